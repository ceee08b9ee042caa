"""Texts in Cypher, or nearly: right ones, broken ones and attacks, in the words of both engines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

__all__ = ["random_cypher", "random_motif"]

# fmt: off
_CYPHER: Final = (
    "MATCH", "OPTIONAL MATCH", "WHERE", "RETURN", "WITH", "UNWIND", "ORDER BY", "LIMIT", "SKIP",
    "UNION", "CALL", "AS", "CREATE", "MERGE", "SET", "DELETE", "DETACH DELETE", "REMOVE", "DROP",
    "FOREACH", "LOAD CSV FROM", "COPY", "PROFILE", "(n)", "(n:Neuron)", "(a)-[r:EXCITES]->(b)",
    "(a)-[r]-(b)", "(:Layer)", "[n IN [1,2] | n]", "{ MATCH (m) RETURN m }", "n", "n.key", "n.bias",
    "r.weight", "count(*)", "collect(n.key)", "sum(r.weight)", "n.nothing", "$x", "$y", "x", "*",
    "1", "-1", "0.5", "1e400", "99999999999999999999", "'a'", '"b"', "`c`", "'", '"', "`", "null",
    "true", "[1, 2]", "{a: 1}", "=", "<>", "<", "IN", "AND", "NOT", "CONTAINS", "=~", "+", "/", "%",
    ",", ";", "(", ")", "[", "]", "{", "}", "//", "/*", "*/", "all(x IN [1] WHERE x > 0)",
    "\\u0043", "\u200b", "\u0000", "\n", "range(1, 3)", "size([1])", "type(r)", "label(r)",
    "EXISTS { MATCH (n) }", "CASE WHEN 1 THEN 2 END", "[:EXCITES*1..3]", "CALL db.labels()",
    "CALL show_tables()", "IN TRANSACTIONS", "DISTINCT", "n:Neuron", "\u00e9", "\U0001f600",
    "// params:\n//   x (integer): it\n", "//   y (nothing = 3): that\n", "date()",
)
# fmt: on


# fmt: off
_CYPHER_OF_NEO4J: Final = (
    "CALL { MATCH (m) RETURN m }", "CALL (n) { MATCH (n)-->(m) RETURN m }", "CALL (*) {",
    "} IN 2 CONCURRENT TRANSACTIONS", "CALL { CREATE (x) } IN TRANSACTIONS OF 10 ROWS",
    "EXISTS { (n)-->() }", "COUNT { (n)-->(:Neuron) }", "COLLECT { MATCH (n)-->(m) RETURN m.key }",
    "COLLECT {", "((a)-[:EXCITES]->(b)){1,3}", "(()-->())+", "-[:EXCITES]->+",
    "shortestPath((n)-[*..3]-(m))", "ANY SHORTEST (n)-->+(m)", "ALL SHORTEST", "SHORTEST 2 PATHS",
    "FOREACH (x IN [1] | SET n.bias = x)", "LOAD CSV WITH HEADERS FROM 'file:///etc/passwd' AS row",
    "USE system", "USE graph.byName('system')", "SHOW TRANSACTIONS", "SHOW USERS",
    "SHOW INDEXES YIELD *", "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
    "CREATE USER u SET PASSWORD 'p'", "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
    "ALTER USER neo4j SET PASSWORD 'p'", "DROP USER neo4j", "DROP DATABASE neo4j",
    "CREATE DATABASE d", "STOP DATABASE neo4j",
    "CREATE CONSTRAINT c FOR (n:Neuron) REQUIRE n.bias IS UNIQUE", "DROP CONSTRAINT Neuron_key",
    "DROP INDEX Neuron_kind IF EXISTS", "CREATE INDEX i FOR (n:Neuron) ON (n.bias)",
    "CALL dbms.listConfig()", "CALL dbms.killQuery('x')", "CALL dbms.security.createUser('u', 'p')",
    "CALL db.createLabel('x')", "CALL db.awaitIndexes(1)",
    "CALL apoc.load.json('file:///etc/passwd')", "apoc.cypher.runFirstColumn('RETURN 1', {})",
    "CALL tx.setMetaData({a: 1})", "CALL db.schema.visualization()", "CYPHER runtime=slotted",
    "CYPHER 5", "EXPLAIN", "PROFILE", "n{.*}", "n{.key, x: 1}", "[(n)-->(m) | m.key]",
    "reduce(s = 0, x IN [1, 2] | s + x)", "properties(n)", "labels(n)", "n:Neuron&!Layer",
    "n IS :: STRING", "point({x: 1, y: 2})", "duration('P1D')", "datetime()", "elementId(n)",
    "n[$x]", "$$x", "SET n += {bias: 7}", "SET n:Layer", "REMOVE n:Neuron", "NODETACH DELETE n",
    "ON CREATE SET n.bias = 1", "INSERT (x)", "FINISH", "`n`", "`CREATE`", "`a``b`", "/* ' */",
    '// "\n', "\r", "\t", "1LOAD", "0CALL", "1SET", "$xDELETE", "as", ";;",
)
# fmt: on
"""What only Neo4j knows, or what an attacker would try on it."""


_ATTACKS: Final = (
    "CREATE (x:Model {key: 'evil'})",
    "MATCH (n:Neuron) SET n.bias = 7.0 RETURN n.key",
    "MATCH (n) DETACH DELETE n",
    "MATCH (as:Neuron) WITH as DELETE as",
    "MERGE (m:Model {key: 'evil'}) RETURN m.key",
    "MATCH (n:Neuron) CALL (n) { DETACH DELETE n } RETURN 1 AS x",
    "LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "UNWIND [1] AS x WITH x WHERE x = 1 LOAD FROM '/etc/passwd' RETURN *",
    "MATCH (n:Model) CALL dbms.killTransaction('neo4j-transaction-1') YIELD message RETURN message",
    "MATCH (n:Model) RETURN n.key UNION CALL db.createProperty('evil')",
    "DROP CONSTRAINT Neuron_key IF EXISTS",
    "CREATE USER evil SET PASSWORD 'evilevil' CHANGE NOT REQUIRED",
    "EXPLAIN MATCH (n) DELETE n",
    "PROFILE COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "CALL { USE system MATCH (u) RETURN u } RETURN u",
)


_QUERIES: Final = (
    "MATCH (n:Neuron) WHERE n.channel > $x RETURN n.key AS key ORDER BY key LIMIT 5",
    "MATCH (a:Neuron)-[r:EXCITES]->(b:Neuron) WHERE r.share > 0.1 RETURN a.key AS a, b.key AS b, "
    "r.weight AS w ORDER BY w",
    "MATCH (l:Layer) WITH l.op AS op, count(*) AS n RETURN op, n ORDER BY op",
    "// Title.\n//\n// params:\n//   x (integer = 3): least\n\nMATCH (n:Neuron) WHERE n.channel "
    ">= $x RETURN n AS n LIMIT 2",
)


def _query(rng: random.Random) -> str:
    """A text that an engine may well understand."""

    def some(items: Sequence[str], most: int = 3) -> list[str]:
        return [rng.choice(items) for _ in range(rng.randrange(1, most + 1))]

    values = (
        "n.key",
        "n.bias",
        "n.channel",
        "n.layer",
        "n.kernel",
        "n.nothing",
        "$x",
        "$y",
        "1",
        "-0.5",
        "'a'",
        "null",
        "[1, 2]",
    )
    shapes = (
        "abs({})",
        "-{}",
        "{} + {}",
        "{} / {}",
        "{} % {}",
        "coalesce({}, {})",
        "size({})",
        "count({})",
        "collect({})",
        "sum({})",
    )
    shapes = (
        *shapes,
        "{} IN {}",
        "{} CONTAINS {}",
        "{} =~ {}",
        "{} IS NULL",
        "max({})",
        "avg({})",
        "toUpper({})",
        "{}",
        "{}",
        "{}",
    )

    def value() -> str:
        shape = rng.choice(shapes)
        return shape.format(*(rng.choice(values) for _ in range(shape.count("{}"))))

    pattern = rng.choice(
        (
            "(n:Neuron)",
            "(n)",
            "(n:Layer)",
            "(n:Neuron)-[r:EXCITES]->(m:Neuron)",
            "(n)-[r]->(m)",
            "(n:Neuron)-[r]-(m)<--(o)",
        )
    )
    tests = some([f"{value()} {rng.choice(['=', '<>', '<', '>='])} {value()}" for _ in range(3)], 2)
    where = (
        f" WHERE {rng.choice([' AND ', ' OR ', ' XOR ']).join(tests)}" if rng.random() < 0.6 else ""
    )
    stage = f" WITH n, {value()} AS v" if rng.random() < 0.3 else ""
    columns = ", ".join(f"{value()} AS c{number}" for number in range(rng.randrange(1, 4)))
    order = rng.choice(["", "", " ORDER BY c0", " ORDER BY c0 DESC"]) + rng.choice(
        ["", " LIMIT 5", " LIMIT $x", " SKIP 1 LIMIT 3"]
    )
    return f"MATCH {pattern}{where}{stage} RETURN {rng.choice(['', 'DISTINCT '])}{columns}{order}"


def _disguised(rng: random.Random, text: str) -> str:
    """The same for an engine, or nearly, and another thing for who looks at its words."""
    words = text.split(" ")
    place = rng.randrange(len(words))
    word = words[place]
    start = rng.randrange(max(1, len(word)))
    code = ord(word[start]) if word else 32
    words[place] = rng.choice(
        (
            word.swapcase(),
            f"{word[:start]}\\u{code:04x}{word[start + 1 :]}",
            f"{word[:start]}\\uu{code:04X}{word[start + 1 :]}",
            f"/* MATCH */{word}/**/",
            f"// '\n{word}",
            f"{word} // `\r",
            f"\u00a0{word}",
            f"\u200b{word}",
            chr(code + 0xFEE0) + word[1:] if 32 < code < 127 else word,
            f"1{word}",
            f"'{word}'",
            f"`{word}`",
            f"{word};",
            f"as {word}",
        )
    )
    head = rng.choice(
        (
            "",
            "",
            "",
            "EXPLAIN ",
            "PROFILE ",
            "CYPHER runtime=slotted ",
            "WITH 1 AS as ",
            ";",
            "/*",
            "USE neo4j ",
        )
    )
    return head + " ".join(words)


def _wide(rng: random.Random) -> str:
    """Any word of either engine."""
    return rng.choice(_CYPHER if rng.random() < 0.5 else _CYPHER_OF_NEO4J)


def random_motif(rng: random.Random) -> str:
    """The text of a motif's file, whose header is right."""
    middle = rng.choice(
        (
            "",
            "",
            _wide(rng),
            _disguised(rng, rng.choice(_ATTACKS)),
            " ".join(_wide(rng) for _ in range(3)),
        )
    )
    return (
        "// Odd.\n//\n// params:\n//   model (model): where\n// returns:\n//   neuron: a "
        "neuron\n//   score: a number\n"
        "MATCH (n:Neuron)-[r:EXCITES]->(m:Neuron) WHERE n.model = $model AND m.model = $model\n"
        f"{middle}\nRETURN n.key AS neuron, max(r.share) AS score ORDER BY neuron\n"
    )


def random_cypher(rng: random.Random) -> tuple[str, list[str]]:
    """A query text, and the ``-p`` options that come with it."""
    kind = rng.random()
    if kind < 0.1:
        text = " ".join(_wide(rng) for _ in range(rng.randrange(1, 14)))
    elif kind < 0.3:
        text = _disguised(rng, rng.choice(_ATTACKS) if rng.random() < 0.7 else _query(rng))
    else:
        text = _query(rng) if kind < 0.85 else rng.choice(_QUERIES)
        if kind < 0.5 or kind > 0.9:
            words: list[str] = list(map(str, text.split(" ")))
            for _ in range(rng.choice([1, 1, 2, 3])):
                place = rng.randrange(len(words))
                words[place : place + rng.randrange(3)] = [_wide(rng)]
            text = " ".join(words)
    common = ("1", "2", "-1", "0.25", "x", "tiny/0:0", "[1, 2]", "true")
    odd = (
        "nan",
        "[]",
        "{}",
        "null",
        "1e400",
        "2" * 30,
        "\u001b[31m",
        "' }) //",
        "[" * 3000,
        '{"a": [1]}',
        "",
        "[null]",
        '[1, "a"]',
    )
    used = {name for name in ("x", "y") if (f"${name}" in text) != (rng.random() < 0.05)}
    values = {name: rng.choice(common if rng.random() < 0.6 else odd) for name in sorted(used)}
    return text, [part for name, value in values.items() for part in ("-p", f"{name}={value}")]
