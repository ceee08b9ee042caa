"""What hostile input cannot do: write through a reading command, reach files, run code, fool a
terminal, fill the memory.
"""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from neo4j.exceptions import Neo4jError
from safetensors.numpy import save_file
from torch import nn

from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.cypher import CypherError, check_reading
from circuitome.graphdb.export import FORMATS, ExportError, export
from circuitome.graphdb.schema import EDGE_TYPES, NODES, arrow_schema
from circuitome.graphdb.stores.neo4j import Neo4jStore
from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import StoreError
from tests.support.damaged_bundles import fit_manifest
from tests.support.factories import TINY
from tests.support.signed_networks import signed, small_gallery
from tests.support.synthetic import write_bundle, write_planted
from tests.support.trials import Trial, attempt, snapshot

HOSTILE = (
    *(
        "' OR 1=1 --",
        '"; DROP TABLE Neuron; //',
        "`) DETACH DELETE n //",
        "}) DETACH DELETE n //",
        "$model",
        "\\",
        "\\'",
    ),
    *(
        "\u0391\u0412",
        "n\u200be",
        "\u202egpj.exe",
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "a\nb\tc",
        "caf\u00e9",
        "%s{0}",
        "*",
        "../x",
    ),
    *(
        "<script>alert(1)</script>",
        "]]>&amp;",
        "$(touch pwned)",
        "`touch pwned`; touch pwned",
        'a,b"',
        "\ufffe",
    ),
    "x" * 1_000,
)

WRITING = (
    "CREATE (n:Model {key: 'evil'})",
    "create (n:Model {key: 'evil'})",
    "CrEaTe/**/(n:Model {key: 'evil'})",
    "// MATCH\nCREATE (n:Model {key: 'evil'})",
    "/* MATCH */ CREATE (n:Model {key: 'evil'})",
    "// hidden\rCREATE (n:Model {key: 'evil'})",
    "\\u0043REATE (n:Model {key: 'evil'})",
    "MATCH (n:Model) WHERE n.key <> '\\u0027 CREATE (:Model {key: \\u0027evil\\u0027}) //' "
    "RETURN n.key",
    "EXPLAIN CREATE (n:Model {key: 'evil'})",
    "PROFILE CREATE (n:Model {key: 'evil'})",
    "INSERT (n:Model {key: 'evil'})",
    "MERGE (n:Model {key: 'evil'}) RETURN n.key",
    "MATCH (n:Neuron) SET n.bias = 7.0",
    "MATCH (n:Neuron)\nSET\nn.bias = 7.0 RETURN n.key",
    "MATCH (n:Neuron) SET n += {bias: 7.0}",
    "MATCH (n:Neuron) REMOVE n.bias",
    "MATCH (n:Neuron) DELETE n",
    "MATCH (n:Neuron) DETACH DELETE n",
    "MATCH (n:Neuron) NODETACH DELETE n",
    "MATCH (n:Neuron) FOREACH (x IN [1] | SET n.bias = 7.0)",
    "MATCH (n:Neuron) CALL (n) { DETACH DELETE n } RETURN 1 AS x",
    "MATCH (n:Neuron) CALL { WITH n DETACH DELETE n } RETURN 1 AS x",
    "MATCH (n:Neuron) CALL (n) { SET n.bias = 7.0 } IN TRANSACTIONS OF 10 ROWS RETURN 1 AS x",
    "MATCH (n:Neuron) CALL (n) { MATCH (m) RETURN m } IN 2 CONCURRENT TRANSACTIONS RETURN 1 AS x",
    "MATCH (n:Neuron) RETURN n.key UNION MATCH (m:Neuron) DETACH DELETE m RETURN 'x' AS key",
    "RETURN 1 AS x; MATCH (n) DETACH DELETE n",
    "DROP TABLE EXCITES",
    "DROP INDEX x",
    "DROP CONSTRAINT Neuron_key",
    "CREATE INDEX x FOR (n:Neuron) ON (n.bias)",
    "ALTER TABLE Neuron ADD evil STRING",
    "COMMENT ON TABLE Model IS 'mine'",
    "COPY Neuron FROM 'x.parquet'",
    "COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "PROFILE COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "EXPLAIN COPY (MATCH (n:Model) RETURN n.key) TO 'stolen.csv'",
    "EXPORT DATABASE 'stolen'",
    "PROFILE EXPORT DATABASE 'stolen'",
    "IMPORT DATABASE 'stolen'",
    "PROFILE IMPORT DATABASE 'stolen'",
    "INSTALL json",
    "PROFILE INSTALL json",
    "LOAD EXTENSION 'evil.so'",
    "PROFILE LOAD EXTENSION 'evil.so'",
    "ATTACH 'other.db' AS other (dbtype kuzu)",
    "PROFILE ATTACH 'other.db' AS other (dbtype kuzu)",
    "BEGIN TRANSACTION",
    "CHECKPOINT",
    "USE system",
    "SHOW TRANSACTIONS YIELD transactionId AS id TERMINATE TRANSACTIONS id",
    "CYPHER 5 CREATE (n:Model {key: 'evil'})",
    "MATCH (as:Neuron) WITH as DELETE as",
    "MATCH (n:Neuron) WITH n AS as SET as.bias = 7.0",
    "MATCH (n:Neuron) WHERE n.bias < 1SET n.bias = 7.0",
    "MATCH (n:Neuron) WHERE n.bias < $1SET n.bias = 7.0",
    "UNWIND [1] AS x WITH x WHERE x = 1LOAD FROM 'nets.csv' RETURN *",
    "UNWIND [1] AS x WITH x LIMIT 1LOAD FROM 'nets.csv' RETURN *",
    "UNWIND [1] AS x WITH x WHERE x = 1.0CALL current_setting('threads') RETURN *",
    "MATCH (n:Neuron) CALL (n) { MATCH (m) RETURN m.key AS k } IN 1 + 1 CONCURRENT TRANSACTIONS "
    "RETURN k",
    "RETURN 1 AS x /* CREATE",
    "RETURN 1 AS x;;",
    "SHOW USERS",
    "SHOW SETTINGS",
    "TERMINATE TRANSACTION 'neo4j-transaction-1'",
    "CREATE USER evil SET PASSWORD 'evilevil'",
    "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'b'",
    "DROP DATABASE neo4j",
    "RETURN " + "(" * 61 + "1" + ")" * 61 + " AS x",
    "RETURN " + "1 + " * 2_001 + "1 AS x",
    "RETURN " + "NOT " * 2_001 + "true AS x",
    "UNWIND [1] AS x1e RETURN " + "x1e-" * 2_001 + "1 AS x",
    "UNWIND [1] AS x RETURN " + "x-1" + "-1" * 2_001 + " AS x",
    "RETURN 1" + " -1" * 2_001 + " AS x",
    "RETURN '" + "x" * 100_000 + "' AS x",
)
"""Each is refused whatever is allowed."""

REACHING = (
    "LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "MATCH (n:Model) LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row",
    "LOAD FROM 'nets.csv' RETURN *",
    "LOAD WITH HEADERS (a STRING) FROM 'nets.csv' RETURN *",
    "CALL timeout=0",
    "PROFILE CALL timeout=0",
    "CALL READ_PARQUET('x.parquet') RETURN *",
    "CALL dbms.listConfig() YIELD name RETURN name",
    "call/* */dbms . listConfig() YIELD name RETURN name",
    "CALL `dbms`.`listConfig`() YIELD name RETURN name",
    "OPTIONAL CALL dbms.listConfig() YIELD name RETURN name",
    "CALL (*) { CALL dbms.killQuery('x') YIELD queryId RETURN queryId } RETURN queryId",
    "CALL apoc.load.json('file:///etc/passwd') YIELD value RETURN value",
    "CALL apoc.cypher.doIt('CREATE (n)', {}) YIELD value RETURN value",
    "RETURN apoc.util.sleep(1) AS x",
    "MATCH (n:Model) WHERE genai.vector.encode(n.key, 'x') IS NOT NULL RETURN n.key",
    "MATCH (as:Model) WITH as CALL current_setting('threads') RETURN *",
    "MATCH (as:Model) WITH as CALL READ_PARQUET('x.parquet') RETURN *",
    "MATCH (n:Model) WITH n AS call CALL current_setting('threads') RETURN *",
    "CALL () { USE system MATCH (u) RETURN u } RETURN u",
    "RETURN 1 AS x UNION USE system MATCH (u:User) RETURN u.name AS x",
    "MATCH (n) CALL (n) { WITH n USE`system`MATCH (u) RETURN u } RETURN u",
    "CALL tx.setMetaData({a: 1})",
    "CALL db.clearQueryCaches() YIELD value RETURN value",
)
"""Each is refused unless it is allowed."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    return folder


@pytest.fixture
def toy(address: str, tmp_path: Path) -> Iterator[str]:
    """A database that holds the model `toy`, by its address; it must hold the same afterwards."""
    bundle = write_bundle(tmp_path / "toy")
    with open_store(address, create=True) as store:
        store.load(bundle)
    before = content(address)
    yield address
    assert content(address) == before


def content(address: str) -> list[Any]:
    """Everything of the nodes, and how many edges there are."""
    with open_store(address) as store:
        rows = [
            store.run(f"MATCH (n:`{name}`) RETURN n.key AS key, n AS node ORDER BY key").to_pylist()
            for name in NODES
        ]
        return [
            *rows,
            *(
                store.run(f"MATCH ()-[r:`{name}`]->() RETURN count(r) AS n").to_pylist()
                for name in EDGE_TYPES
            ),
        ]


def ask(text: str, address: str, *more: str, watch: Path | None = None) -> Trial:
    Path("asked.cypher").write_text(text, encoding="utf-8")
    return attempt("query", "asked.cypher", "--db", address, *more, watch=watch)


def test_no_query_writes_or_leaves_a_file(toy: str, here: Path) -> None:
    Path("nets.csv").write_text("a\nb\n")
    Path("asked.cypher").touch()
    for text in (*WRITING, *REACHING):
        Path("asked.cypher").write_text(text, encoding="utf-8")
        trial = ask(text, toy, *(["--unsafe"] if text in WRITING else []), watch=here)
        assert not trial.faults(names="asked"), (text, trial)
        assert trial.code == 2, (text, trial.out)
    assert sorted(os.listdir(here)) == ["asked.cypher", "nets.csv"]


@pytest.mark.parametrize("text", WRITING)
def test_every_writing_text_is_refused_by_its_words_alone(text: str) -> None:
    for unsafe in (False, True):
        with pytest.raises(CypherError):
            check_reading(text, unsafe=unsafe)


@pytest.mark.parametrize("text", REACHING)
def test_what_reaches_beyond_the_graph_is_refused_with_the_way_to_allow_it(text: str) -> None:
    with pytest.raises(CypherError, match=r"reaches beyond the graph.*--unsafe"):
        check_reading(text)
    check_reading(text, unsafe=True)


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n:Neuron) WHERE n.key = 'CREATE (x) SET y' RETURN n.key AS `DELETE n` // DROP "
        "TABLE x",
        "MATCH (n:Model) RETURN n.key AS set, n.seed AS call ORDER BY set",
        "MATCH (n) CALL (n) { MATCH (n)-->(m) RETURN count(m) AS c } RETURN n.key, c",
        "CALL db.labels() YIELD label RETURN label",
        "CALL show_tables() RETURN name",
        "EXPLAIN MATCH (n) RETURN n",
        "RETURN date.truncate('day', date()) AS x, point.distance($a, $b) AS y, "
        "vector.similarity.cosine($a, $b) AS z",
        "/* a\nb */ MATCH (n)\r\nRETURN n.key\t;",
        "MATCH (n:Model) WITH n AS set WHERE set.seed > 1 RETURN set.key AS call ORDER BY call "
        "DESC, set.key",
        "UNWIND [1] AS create WITH create WHERE create > 0 AND create IN [1] RETURN create AS "
        "`insert`",
        "MATCH (n:Set)-[r:MERGE|DROP*1..3]->(m:A&Delete) RETURN {set: 1, drop: 2, use: 3} AS x, "
        "n{.set, .call} AS y",
        "MATCH (set {a: 1}) RETURN CASE set.x WHEN 1 THEN 'USE system' END AS load",
        "WITH 1 AS load WITH load AS x, 2 AS use RETURN use, x ORDER BY use ASC, x",
        "RETURN 1.5e-3 AS a, 1e5 AS b, 0x1F AS c, .5 AS d, $1 AS e, [1, 2][0..1] AS f LIMIT 5",
        "MATCH (n) WHERE n.dropped = 1 AND created > 0 RETURN settings (1) AS x, calls (2) AS "
        "users",
        "RETURN 1 IN [" + "'a', -1.5e-3, [0.5], " * 4_000 + "1] AS x",
    ],
)
def test_words_that_write_may_be_names_and_texts(text: str) -> None:
    check_reading(text)


@pytest.mark.parametrize(
    "char", ["\u200b", "\u00a0", "\u2028", "\u202e", "\x0b", "\x00", "\ufeff", "\u180e"]
)
def test_characters_that_nobody_sees_are_refused_in_code_and_let_be_in_texts(char: str) -> None:
    with pytest.raises(CypherError, match="invisible"):
        check_reading(f"MATCH (n){char}RETURN n")
    check_reading(f"MATCH (n) WHERE n.key = '{char}' RETURN n // {char}")


def test_unsafe_reads_a_file_and_still_cannot_write(toy: str, here: Path) -> None:
    if toy.startswith("bolt"):
        got = ask("CALL dbms.components() YIELD name RETURN name", toy, "--unsafe", "--json")
        assert "Neo4j" in got.out, got.err
    else:
        Path("mine.csv").write_text("a\n7\n")
        got = ask(
            f"LOAD FROM '{here / 'mine.csv'}' (header=true) RETURN a", toy, "--unsafe", "--json"
        )
        assert json.loads(got.out) == [{"a": 7}], got.err
    assert ask("MATCH (n:Neuron) SET n.bias = 7.0", toy, "--unsafe").code == 2


def test_rows_of_a_users_query_end_at_ten_thousand_with_a_word_about_it(
    toy: str, here: Path
) -> None:
    text = "MATCH (a:Neuron), (b:Neuron), (c:Neuron) RETURN a.key AS a, b.key AS b, c.bias AS c"
    got = ask(text, toy, "--json")
    rows = json.loads(got.out)
    assert (got.code, len(rows), set(rows[0])) == (0, 10_000, {"a", "b", "c"})
    assert "only the first 10,000 rows" in got.err
    more = ask(text, toy, "--json", "--limit", "11000")
    assert (len(json.loads(more.out)), more.err) == (11_000, "")
    few = ask("MATCH (n:Model) RETURN n.key AS key", toy, "--json")
    assert (json.loads(few.out), few.err) == ([{"key": "toy"}], "")


def test_cut_rows_have_the_same_types_as_whole_ones(toy: str) -> None:
    text = (
        "MATCH (n:Layer) RETURN n.key AS k, n.channels AS c, n.depth AS d, n.kernel AS s, n "
        "AS n, n.banding_p AS p ORDER BY k"
    )
    with open_store(toy) as store:
        whole, cut, none = store.run(text), store.run(text, most=3), store.run(text, most=0)
    assert cut.to_pylist() == whole.to_pylist()[:3]
    assert (none.num_rows, none.column_names) == (0, whole.column_names)


MOTIF = """// Odd.
//
// params:
//   model (model): where
// returns:
//   neuron: a neuron

MATCH (n:Neuron)-[r:EXCITES]->(m:Neuron) WHERE n.model = $model AND m.model = $model
{}
RETURN n.key AS neuron ORDER BY neuron
"""
"""A user's motif, with room for a clause."""


@pytest.mark.parametrize(
    "clause",
    [
        "SET n.bias = 7.0",
        "DETACH DELETE n",
        "CALL (n) { CREATE (x:Model {key: 'evil'}) }",
        "CALL dbms.listConfig() YIELD name",
        "CALL READ_PARQUET('x.parquet')",
        "LOAD CSV FROM 'file:///etc/passwd' AS row",
        "WITH n LIMIT 1LOAD FROM 'nets.csv'",
        "WITH n AS as DELETE as WITH as AS n",
        "CALL () { USE system MATCH (u) RETURN u }",
    ],
)
def test_a_motif_file_cannot_do_what_a_query_file_cannot(toy: str, here: Path, clause: str) -> None:
    Path("odd.cypher").write_text(MOTIF.format(clause))
    Path("two.cypher").write_text(MOTIF.format(""))
    Path(f"two.{'neo4j' if '://' in toy else 'kuzu'}.cypher").write_text(MOTIF.format(clause))
    for line in (
        ["motifs", "odd.cypher"],
        ["motifs", "odd.cypher", "--null", "1", "--save"],
        ["motifs", "two.cypher"],
    ):
        trial = attempt(*line, "--db", toy, watch=here)
        assert not trial.faults(names="two" if line[1] == "two.cypher" else "odd.cypher"), trial
        assert trial.code == 2
    query = attempt("query", "two.cypher", "--db", toy, watch=here)
    assert (query.code, query.crash) == (2, ""), query


def test_a_server_that_does_not_stop_is_not_waited_for(
    neo4j_empty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("circuitome.graphdb.stores.neo4j_connection._GRACE", 0.5)
    with open_store(neo4j_empty.address) as store:
        begun = time.monotonic()
        with pytest.raises(StoreError, match=r"did not stop the query after 0\.5 s.*narrow"):
            store.run("RETURN reduce(a = 0, x IN range(1, 300000000) | a + 1) AS x", timeout=0.5)
        assert time.monotonic() - begun < 5
        assert store.run("RETURN 1 AS x", timeout=60).to_pylist() == [{"x": 1}]


def test_a_server_out_of_memory_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Session:
        def __enter__(self) -> Session:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, *_: object) -> Any:
            asked.append(1)
            raise Neo4jError._hydrate_neo4j(
                code="Neo.TransientError.General.OutOfMemoryError", message="Java heap space"
            )

        def execute_read(self, work: Any) -> Any:
            while True:  # as the driver does
                try:
                    return work(self)
                except Neo4jError as error:
                    if not error.is_retryable() or len(asked) > 5:
                        raise

    store = Neo4jStore("bolt://127.0.0.1:9", password="x")
    monkeypatch.setattr(store._connection, "session", lambda mode: Session())
    store._current = True
    with pytest.raises(StoreError, match="more memory than the server gives it; narrow"):
        store.run("MATCH (n) RETURN n", timeout=5)
    assert len(asked) == 1


GUARDED = """
import sys
import circuitome.cli.guard as guard, circuitome.cli.motifs as motifs
guard.watched.__wrapped__.__kwdefaults__.update(grace=0.5, memory=float(sys.argv[1]))
motifs._GRACE, motifs._MEMORY = 0.5, float(sys.argv[1])
from circuitome.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    "command, gibibytes, text, message",
    [
        ("query", "9", "RETURN factorial(100000000000) AS x", "did not stop after 0.5 s; narrow"),
        (
            "query",
            "9",
            "RETURN " + "CASE WHEN true THEN " * 40 + "1" + " END" * 40 + " AS x",
            "did not stop after 0.5 s",
        ),
        (
            "query",
            "0.3",
            "WITH range(1, 999999) AS a RETURN list_transform(a, x -> a) AS x",
            "more than 0.3 GiB of memory",
        ),
        (
            "motifs",
            "9",
            MOTIF.format("WITH n, factorial(n.channel + 100000000000) AS f"),
            "did not stop after 0.5 s",
        ),
    ],
)
def test_what_no_engine_stops_ends_with_a_message(
    command: str, gibibytes: str, text: str, message: str, tmp_path: Path, here: Path
) -> None:
    with open_store(str(tmp_path / "a.db"), create=True) as store:
        store.load(write_bundle(tmp_path / "toy"))
    Path("odd.cypher").write_text(text)
    seconds = "0.5" if gibibytes == "9" else "60"
    line = [command, "odd.cypher", "--db", str(tmp_path / "a.db"), "--timeout", seconds]
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, gibibytes, *line],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("circuitome: odd.cypher: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_query_file_is_a_file_of_some_size(toy: str, here: Path) -> None:
    Path("zero.cypher").symlink_to("/dev/zero")
    os.mkfifo("pipe.cypher")
    Path("folder.cypher").mkdir()
    Path("large.cypher").write_text("//" * 1_000_000)
    Path("header.cypher").write_text(
        f"// Title.\n//\n// params:\n//   x ({' ' * 100_000}\nRETURN $x AS x"
    )
    for name in ("zero", "pipe", "folder", "large", "header"):
        for command in ("query", "motifs"):
            begun = time.monotonic()
            trial = attempt(command, f"{name}.cypher", "--db", toy)
            assert not trial.faults(names=f"{name}.cypher"), trial
            assert (trial.code, time.monotonic() - begun < 10) == (2, True)


def test_a_runaway_pattern_is_stopped_and_says_how_to_narrow(toy: str, here: Path) -> None:
    paths = ", ".join(f"(n{number}:Neuron)" for number in range(7))
    got = ask(
        f"MATCH {paths} RETURN sum(n0.bias * n6.bias + n3.bias) AS x", toy, "--timeout", "0.3"
    )
    assert got.code == 2
    assert "stopped after 0.3 s; narrow its pattern" in got.err


@pytest.mark.parametrize(
    "text",
    [
        "RETURN size(range(1, 100000000000)) AS x",
        "RETURN lpad('x', 2147483647, 'y') AS x",
        "RETURN repeat('x', $n) AS x",
    ],
)
def test_what_no_time_out_stops_is_not_started(text: str, tmp_path: Path, here: Path) -> None:
    with open_store(str(tmp_path / "a.db"), create=True) as store:
        store.load(write_bundle(tmp_path / "toy"))
    got = ask(text, str(tmp_path / "a.db"), *(["-p", "n=1"] if "$n" in text else []))
    assert got.code == 2
    assert "no time-out stops them" in got.err


OUT = "out `touch pwned`; $(touch pwned) '\" "


def imported_arguments(folder: Path) -> list[str]:
    """The first arguments of the import tool, as ``import.sh`` calls it from another folder with a
    hostile database.
    """
    tool = folder / "bin" / "neo4j-admin"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$SAID"\n')
    tool.chmod(0o755)
    said = folder / "said"
    environment = {
        "PATH": f"{tool.parent.absolute()}:{os.environ['PATH']}",
        "SAID": str(said.absolute()),
    }
    done = subprocess.run(
        ["sh", folder / "import.sh", "$(touch pwned)"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    arguments = said.read_text().splitlines()
    assert all(argument.startswith("--") for argument in arguments[4:])
    assert (
        "$model" not in (folder / "import.sh").read_text() + (folder / "finish.cypher").read_text()
    )
    return arguments[:4]


def motif_names_stay_names(address: str, model: str, keys: list[str]) -> None:
    """Save every edge's sender as a motif of a hostile kind, look at it, and draw it."""
    kind = "evil'}) DETACH DELETE n `$(touch pwned)"
    Path(f"{kind}.cypher").write_text(MOTIF.format(""))
    saved = attempt(
        "motifs",
        f"{kind}.cypher",
        "--model",
        model,
        "--save",
        "--null",
        "1",
        "--json",
        "--db",
        address,
    )
    assert (saved.code, saved.crash) == (0, ""), saved.err
    rows = json.loads(saved.out)
    assert {row["roles"]["neuron"][0] for row in rows} < set(keys)
    assert len(rows) == len(keys) - 1  # the last one sends nothing
    drawn = attempt("circuit", rows[0]["key"], "--db", address)
    assert not drawn.faults()
    assert (drawn.code, kind in drawn.out) == (0, True), drawn.err
    asked = json.loads(
        attempt("query", "saved_motifs", "--json", "-p", f"model={model}", "--db", address).out
    )
    assert {row["kind"] for row in asked} == {kind}


def test_hostile_names_stay_names_in_every_command(
    address: str, tmp_path: Path, here: Path
) -> None:
    layers = dict.fromkeys(HOSTILE, 1)
    edges = [(f"{a}:0", f"{b}:0", 1.0) for a, b in pairwise(HOSTILE)]
    model = "m`\"'}) DETACH DELETE n //\x1b[31m"
    bundle = write_planted(tmp_path / "hostile", layers, edges, name=model)
    assert attempt("load", bundle.path, "--db", address).code == 0
    keys = sorted(bundle.table("Neuron")["key"].to_pylist())
    for line in (
        ["models"],
        ["query", "neurons"],
        ["query", "layers"],
        ["families"],
        ["motifs", "superposition"],
    ):
        for flag in ([], ["--json"]):
            trial = attempt(*line, *flag, "--db", address)
            assert (trial.code, trial.crash) == (0, ""), (line, trial.err)
            assert not trial.faults()
    rows = json.loads(attempt("query", "neurons", "--json", "--db", address).out)
    assert sorted(row["neuron"] for row in rows) == keys
    for key in keys:
        trial = attempt("neuron", key, "--json", "--db", address)
        assert trial.code == 0, trial.err
        assert json.loads(trial.out)[0]["neuron"] == key
    Path("one.cypher").write_text("MATCH (n:Neuron {key: $key}) RETURN n.key AS key")
    for name in (*HOSTILE, "x" * 10_000):
        for value in (name, f"{model}/{name}:0"):
            trial = attempt("query", "one.cypher", "-p", f"key={value}", "--json", "--db", address)
            found = [{"key": value}] if value in keys else []
            assert (trial.code, trial.crash) == (0, ""), trial.err
            assert json.loads(trial.out) == found
    for form in FORMATS:
        trial = attempt("export", "--format", form, "-o", f"{OUT}{form}", "--db", address)
        assert (trial.code, trial.crash) == (0, ""), trial.err
    graph = nx.node_link_graph(json.loads(Path(f"{OUT}networkx").read_text()), edges="edges")
    assert set(keys) <= set(graph)
    for form, read in (("graphml", nx.read_graphml), ("gexf", nx.read_gexf)):
        assert read(f"{OUT}{form}").number_of_nodes() == graph.number_of_nodes()
    elements = json.loads(Path(f"{OUT}cytoscape").read_text())["elements"]
    assert set(keys) <= {node["data"]["id"] for node in elements["nodes"]}
    assert imported_arguments(Path(f"{OUT}neo4j-admin")) == [
        "database",
        "import",
        "full",
        "$(touch pwned)",
    ]
    motif_names_stay_names(address, model, keys)
    assert not list(here.rglob("pwned*"))
    assert attempt("drop", model, "--db", address).code == 0
    assert json.loads(attempt("models", "--json", "--db", address).out) == []


def test_a_name_that_would_tear_a_list_apart_is_not_exported_as_csv(tmp_path: Path) -> None:
    motif = {"key": "0" * 16, "members": ["a\x1fb"], "roles": ["neuron"]}
    tables = {"Motif": pa.Table.from_pylist([motif], schema=arrow_schema("Motif"))}
    with pytest.raises(ExportError, match=r"Motif: .*U\+001F.*another format"):
        export(tables, "neo4j-admin", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(tables, "networkx", tmp_path / "out.json")


def test_a_key_that_is_too_long_for_an_index_is_refused_before_anything_is_written(
    address: str, tmp_path: Path
) -> None:
    bundle = write_planted(
        tmp_path / "long", {"x" * 10_000: 1, "b": 1}, [(f"{'x' * 10_000}:0", "b:0", 1.0)]
    )
    trial = attempt("load", bundle.path, "--db", address)
    assert not trial.faults(names="a key has 10,0")
    assert trial.code == 2
    with open_store(address, create=True) as store:
        assert store.models() == []


def test_hostile_layers_of_a_network_and_curated_families_stay_names(
    address: str, here: Path
) -> None:
    names = [name for name in HOSTILE if "." not in name and len(name) < 300]
    Path("odd.py").write_text(
        f"from torch import nn\nNAMES = {names!r}\n"
        "def odd():\n    m = nn.Sequential()\n    for i, n in enumerate(NAMES):\n"
        "        m.add_module(n, nn.Conv2d(3, 3, 1))\n    return m\n"
    )
    made = attempt(
        "extract",
        "odd.py:odd",
        "--input-size",
        "3,4,4",
        "--weights",
        "random",
        "-o",
        "odd.circuitome",
    )
    assert made.code == 0, made.err or made.crash
    with Path("mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["family", "neuron", "offset"],
                *([name, f"odd/{names[0]}:{i}", 0] for i, name in enumerate(names[:3])),
            ]
        )
    curated = attempt("annotate", "odd.circuitome", "--families", "mine.csv")
    assert curated.code == 0, curated.err or curated.crash
    assert attempt("load", "odd.circuitome", "--db", address).code == 0
    rows = json.loads(attempt("families", "--json", "--db", address).out)
    assert sorted(row["name"] for row in rows) == sorted(names[:3])
    layers = {
        row["layer"]
        for row in json.loads(attempt("query", "layers", "--json", "--db", address).out)
    }
    assert {f"odd/{name}" for name in names} <= layers


def test_hostile_layers_stay_names_where_networks_are_compared(address: str, here: Path) -> None:
    names = [name for name in HOSTILE if "." not in name and "/" not in name and len(name) < 300]
    paths = []
    for seed, model in enumerate(("one", "two")):
        layers, rng = nn.Sequential(), torch.Generator().manual_seed(seed)
        for number, name in enumerate(names[seed::8]):
            layer = nn.Conv2d(8 if number else 3, 8, 3, padding=1)
            layer.weight.data = torch.randn(layer.weight.shape, generator=rng) / 8
            layers.add_module(name, layer)
        paths.append(
            signed(layers.eval(), here / f"{model}.circuitome", gallery=small_gallery(36)).path
        )
    assert attempt("load", *paths, "--db", address).code == 0
    compared = attempt(
        "compare", *paths, "--db", address, "--circuits", "-o", "out `touch pwned`", "--json"
    )
    assert (compared.code, compared.crash) == (0, ""), compared.err
    assert not compared.faults()
    with open_store(address) as store:
        keys = set(store.run("MATCH (n:Neuron) RETURN n.key AS key")["key"].to_pylist())
        pairs = store.run(
            "MATCH (a:Neuron)-[r:ANALOGOUS_TO]->(b:Neuron) RETURN a.key AS a, b.key AS b"
        ).to_pylist()
    assert pairs
    assert {key for pair in pairs for key in pair.values()} <= keys
    assert {layer for key in keys for layer in [key.partition("/")[2].rpartition(":")[0]]} >= set(
        names[0::8]
    )
    assert attempt("compare", "--table", "--db", address).code == 0
    assert not list(here.rglob("pwned*"))


@pytest.mark.parametrize("name", [*HOSTILE, "\u0441ircuitome/x", "a" * 201])
def test_a_model_cannot_be_called_anything(name: str, here: Path) -> None:
    Path("nets.py").write_text(TINY)
    trial = attempt("extract", "nets.py:tiny", "--name", name, "--input-size", "3,8,8", watch=here)
    if name in ("\u0391\u0412", "caf\u00e9"):  # letters, if not of the Latin alphabet
        assert (trial.code, trial.changed[0]) == (0, f"{name}.circuitome")
    else:
        assert not trial.faults()
        assert (trial.code, "--name" in trial.err) == (2, True)


def test_a_table_and_json_show_what_a_terminal_would_obey(here: Path, tmp_path: Path) -> None:
    bundle = write_planted(
        tmp_path / "p",
        {"a\x1b[31m\x9b2J\u202e": 1, "b": 1},
        [("a\x1b[31m\x9b2J\u202e:0", "b:0", 1.0)],
    )
    assert attempt("load", bundle.path, "--db", "a.db").code == 0
    for line in (["query", "neurons"], ["neuron", "b:0"], ["query", "neurons", "--json"]):
        got = attempt(*line, "--db", "a.db")
        assert got.code == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(got.out + got.err)
        assert "\\x1b[31m\\x9b2J\\u202e" in got.out or "\\u001b[31m\\u009b2J\\u202e" in got.out
    Path("evil.cypher").write_text("// \x1b[31m\nMATCH (n:Model) RETURN n.key AS key")
    assert "\x1b" not in attempt("query", "evil.cypher", "--show").out
    assert "\x1b" not in attempt("query", "--\x1b[31m").err


TRAP = (
    "import pathlib\npathlib.Path(__file__).with_name('sprung').touch()\nraise "
    "SystemExit('trapped')\n"
)


@pytest.mark.parametrize("where, file", [("beside", "w.safetensors"), ("inside", "w.pth")])
def test_nothing_is_imported_from_the_folder_of_a_weights_file(
    where: str, file: str, tmp_path: Path
) -> None:
    from circuitome.extract.models.resolve import resolve

    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in (
        "torch",
        "numpy",
        "json",
        "safetensors",
        "torchvision",
        "kuzu",
        "rich",
        "typer",
        "sitecustomize",
        "circuitome",
    ):
        (folder / f"{name}.py").write_text(TRAP)
    state = resolve("squeezenet1_1", weights="random").model.state_dict()
    if file.endswith("pth"):
        torch.save(state, folder / file)
    else:
        save_file({name: tensor.numpy() for name, tensor in state.items()}, folder / file)
    line = [
        "extract",
        "squeezenet1_1",
        "--weights",
        folder / file,
        "--input-size",
        "3,64,64",
        "-o",
        tmp_path / "out",
    ]
    done = subprocess.run(
        [Path(sys.executable).with_name("circuitome"), *line],
        cwd=folder if where == "inside" else tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "sprung").exists()


def test_a_manifest_names_code_and_none_is_run(here: Path) -> None:
    Path("nets.py").write_text(TINY)
    Path("evil.py").write_text(
        "from pathlib import Path\nPath('executed').touch()\ndef net(): ...\n"
    )
    assert (
        attempt("extract", "nets.py:tiny", "--input-size", "3,8,8", "-o", "a.circuitome").code == 0
    )
    manifest = json.loads(Path("a.circuitome/manifest.json").read_text())
    for architecture in ("evil.py:net", "evil:net", str(here / "evil.py:net"), "os:getcwd"):
        manifest["model"]["architecture"] = architecture
        Path("a.circuitome/manifest.json").write_text(json.dumps(manifest))
        for command in ("verify", "annotate"):
            trial = attempt(command, "a.circuitome")
            assert (trial.code, "typed" in trial.err) == (2, True), trial.err
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/hostname",
        "tables/../../outside",
        "..",
        "a\\..\\b",
        "x\x00y",
        "./../outside",
    ],
)
def test_a_path_in_a_manifest_does_not_lead_out(name: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (tmp_path / "outside").write_bytes(b"secret")
    manifest: dict[str, Any] = bundle.manifest.to_json()
    manifest["files"] = {**manifest["files"], name: {"bytes": 6, "sha256": "0" * 64, "rows": 1}}
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="is not a file of the bundle's folder"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    "name",
    ["tables/Neuron.parquet", "kernels.safetensors", "wiring.json", "manifest.json", "tables"],
)
def test_a_link_that_leads_out_of_a_bundle_is_refused(name: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (bundle.path / name).rename(tmp_path / "outside")
    (bundle.path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is not a file of the bundle's folder"):
        Bundle.open(bundle.path)


def test_a_bundle_behind_a_link_is_a_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "toy")
    (tmp_path / "link").symlink_to(tmp_path / "toy")
    Bundle.open(tmp_path / "link").check()


def test_neurons_of_another_model_are_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    neurons = bundle.table("Neuron").to_pylist()
    neurons[3]["model"] = "other"
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Neuron", pa.Table.from_pylist(neurons, schema=arrow_schema("Neuron")))
        writer.finish()
    with pytest.raises(BundleError, match="model is 'other' in some rows"):
        Bundle.open(bundle.path).check()


BOUNDED = """
import json, resource, sys
from circuitome.cli import main
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
codes = []
for line in json.loads(sys.argv[2]):
    try:
        main(line)
    except SystemExit as stop:
        codes.append(stop.code)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) / 1024
assert grown < float(sys.argv[1]), f"{grown:.0f} MiB"
print(json.dumps(codes))
"""


def bounded(*lines: list[Any], mebibytes: int) -> subprocess.CompletedProcess[str]:
    """Runs of the program in a process that fails where its memory grows by more; prints their exit
    codes.
    """
    code = [
        sys.executable,
        "-c",
        BOUNDED,
        str(mebibytes),
        json.dumps([list(map(str, line)) for line in lines]),
    ]
    return subprocess.run(code, capture_output=True, text=True, timeout=100)


def text_bomb() -> pa.Table:
    """A million rows that share one text of a megabyte: a few kilobytes on disk, a terabyte as
    plain text.
    """
    indices = pa.array(np.zeros(1_000_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 1_000_000]))
    columns = {field.name: pa.nulls(1_000_000, field.type) for field in arrow_schema("Neuron")}
    return pa.table({**columns, "key": texts})


def row_bomb() -> pa.Table:
    """Twenty million rows of nothing."""
    return pa.table(
        {field.name: pa.nulls(20_000_000, field.type) for field in arrow_schema("Branch")}
    )


@pytest.mark.parametrize("table, make", [("Neuron", text_bomb), ("Branch", row_bomb)])
def test_a_table_that_would_unpack_to_very_much_is_refused(
    table: str, make: Any, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "toy")
    rows = make()
    pq.write_table(rows, bundle.table_path(table), compression="lz4", use_dictionary=True)
    fit_manifest(bundle.path, f"tables/{table}.parquet", rows.num_rows)
    done = bounded(
        ["check", bundle.path], ["load", bundle.path, "--db", tmp_path / "a.db"], mebibytes=400
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 2]
    assert done.stderr.count(f"{table}.parquet") >= 2
    assert done.stderr.count("would unpack to more than") >= 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.db").exists()


def test_a_table_packed_by_something_else_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    pq.write_table(
        pq.read_table(bundle.table_path("Neuron")), bundle.table_path("Neuron"), compression="zstd"
    )
    fit_manifest(bundle.path, "tables/Neuron.parquet")
    with pytest.raises(BundleError, match="compressed with ZSTD"):
        Bundle.open(bundle.path).check()


def safetensors_with(header: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header


def weights_bombs(folder: Path) -> dict[str, Path]:
    """Weights files that promise, or would unpack to, far more than they are."""
    huge = {"0.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 1 << 62]}}
    files = {
        "shape.safetensors": safetensors_with(json.dumps(huge).encode()),
        "header.safetensors": safetensors_with(b"{}", 1 << 62),
        "deep.safetensors": safetensors_with(b'{"a":' * 200_000),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    torch.save({"0.weight": torch.zeros(8, 3, 3, 3)}, folder / "packed.pth")
    with zipfile.ZipFile(folder / "packed.pth") as whole:
        parts = {entry: whole.read(entry) for entry in whole.namelist()}
    with zipfile.ZipFile(folder / "packed.pth", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry, data in parts.items():
            bomb.writestr(entry, bytes(1 << 30) if "/data/" in entry else data)
    torch.save({"0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, folder / "strided.pth")
    return {name: folder / name for name in (*files, "packed.pth", "strided.pth")}


def test_weights_that_promise_too_much_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(TINY)
    bombs = weights_bombs(tmp_path)
    before = snapshot(tmp_path)
    model, output = f"{tmp_path / 'nets.py'}:tiny", tmp_path / "out.circuitome"
    done = bounded(
        *(["extract", model, "--weights", path, "-o", output] for path in bombs.values()),
        mebibytes=700,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [2] * len(bombs)
    assert all(name in done.stderr for name in bombs)
    assert "Traceback" not in done.stderr
    assert {
        name: file for name, file in snapshot(tmp_path).items() if "__pycache__" not in name
    } == before


def test_a_manifest_that_is_deep_or_huge_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    (bundle.path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="not readable as JSON"):
        Bundle.open(bundle.path)
    with (bundle.path / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)  # a hole: no disk is used
    with pytest.raises(BundleError, match="are too many"):
        Bundle.open(bundle.path)
