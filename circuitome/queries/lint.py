"""What must not stand in a query text, because the two engines would differ, refuse, or crash.

Each rule says where it applies: one text usually serves both engines (``both``), and a
``name.kuzu.cypher`` or ``name.neo4j.cypher`` serves one. The silent differences are why this
exists: nobody would notice them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from circuitome.graphdb.cypher import code_of, parameters_of
from circuitome.queries import checks
from circuitome.queries.query_file import Query

__all__ = ["RULES", "Problem", "Rule", "dangers", "lint", "lint_query"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One place in a text that breaks a rule."""

    rule: str
    line: int  # from 1, below the header
    message: str  # what, and what to write instead


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must not stand in a query."""

    name: str
    cure: str  # why, and what to write instead
    find: Callable[
        [str], Iterator[int]
    ]  # positions in the code (comments blanked, strings emptied)
    dialects: tuple[str, ...] = ("both", "kuzu", "neo4j")  # texts it applies to
    crashes: tuple[str, ...] = ()  # engines that it kills: refused in users' files, too


def lint(text: str, *, dialect: str = "both") -> list[Problem]:
    """Problems of one query text, by line; ``dialect`` is the engine it is for, or ``both``.

    >>> [problem.rule for problem in lint("MATCH (n:Neuron) RETURN log(n.bias) AS x")]
    ['log', 'order']
    """
    code = code_of(text)
    return sorted(
        _problems(code, [rule for rule in RULES if dialect in rule.dialects]),
        key=lambda p: (p.line, p.rule),
    )


def dangers(text: str, *, dialect: str) -> list[Problem]:
    """Problems that would end the process on this engine."""
    return list(_problems(code_of(text), [rule for rule in RULES if dialect in rule.crashes]))


def lint_query(query: Query) -> list[Problem]:
    """Problems of a query and of its variants."""
    shared = (
        "neo4j" if "kuzu" in query.variants else "kuzu" if "neo4j" in query.variants else "both"
    )
    found = lint(query.text, dialect=shared)
    return found + [
        problem
        for dialect, text in query.variants.items()
        for problem in lint(text, dialect=dialect)
    ]


def _problems(code: str, rules: list[Rule]) -> Iterator[Problem]:
    for rule in rules:
        for position in rule.find(code):
            yield Problem(rule.name, code.count("\n", 0, position) + 1, rule.cure)


def _pattern(expression: str) -> Callable[[str], Iterator[int]]:
    compiled = re.compile(expression, re.IGNORECASE | re.DOTALL)
    return lambda code: (match.start() for match in compiled.finditer(code))


def _spliced(code: str) -> Iterator[int]:
    """Traces of values put into the text: ``{name}``, ``%s``, ``+ name +`` are no Cypher here."""
    yield from _pattern(r"\{\s*\w*\s*\}|%\(?\w*\)?[sdr]\b|\bformat\s*\(")(code)


def _writes(code: str) -> Iterator[int]:
    words = (
        "CREATE|MERGE|SET|DELETE|REMOVE|DROP|ALTER|COPY|LOAD|FOREACH|INSTALL|ATTACH|DETACH|EXPORT"
        "|IMPORT|CHECKPOINT"
    )
    yield from _pattern(rf"(?<![.:$\w])(?:{words})(?=\s+[\w(:{{])")(code)


def _missing_parameter_use(code: str) -> Iterator[int]:
    """Hop bounds and labels cannot be parameters."""
    if parameters_of(code):
        yield from _pattern(r"\*\s*[\d.]*\s*\$|[(\[]\s*\w*\s*:\s*\$")(code)


_SHARED: Final = ("both",)
_NOT_KUZU: Final = ("both", "kuzu")
_NOT_NEO4J: Final = ("both", "neo4j")

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "distinct-last",
        "Kuzu gives NULL or 0 for a grouped aggregate after a DISTINCT one: put DISTINCT "
        "aggregates last, or stage with WITH",
        checks.distinct_before_aggregate,
        _NOT_KUZU,
    ),
    Rule(
        "same-edge-twice",
        "Kuzu lets two relationships of a pattern be the same one, Neo4j does not: add `r <> s`, "
        "or say that two nodes differ",
        checks.same_relationship_twice,
        _NOT_KUZU,
    ),
    Rule(
        "list-index",
        "lists count from 1 in Kuzu and from 0 in Neo4j: do not index lists",
        _pattern(
            r"(?<!\bIN)(?<!\bRETURN)(?<!\bWITH)(?<!\bAS)(?<!\bTHEN)(?<!\bELSE)(?<=[\w)\]])"
            r"\s?\[(?!\s*:)(?!\s*\w+\s*:)"
        ),
        _SHARED,
    ),
    Rule(
        "substring",
        "substring counts from 1 in Kuzu and from 0 in Neo4j: do it outside the query",
        _pattern(r"\bsubstring\s*\("),
        _SHARED,
    ),
    Rule(
        "log",
        "`log` is base 10 in Kuzu and natural in Neo4j, and Neo4j has no `ln`: write a variant, or "
        "do it outside",
        _pattern(r"\blog\s*\("),
        _NOT_KUZU,
    ),
    Rule(
        "ln",
        "Neo4j has no `ln`: write a variant, or do it outside",
        _pattern(r"\bln\s*\("),
        _NOT_NEO4J,
    ),
    Rule(
        "null-aggregate",
        "over no rows `sum` and `collect` give NULL in Kuzu: write `coalesce(sum(x), 0)`",
        checks.null_aggregate,
        _NOT_KUZU,
    ),
    Rule(
        "several-labels",
        "`(n:A:B)` means A or B in Kuzu and A and B in Neo4j: use one label",
        _pattern(r"\(\s*\w*\s*:\s*\w+\s*[:&|!]\s*\w"),
        _SHARED,
    ),
    Rule(
        "undirected",
        "an undirected pattern finds a self-loop twice in Kuzu, and every edge from both ends: "
        "give a direction",
        _pattern(r"\)\s*-\s*(?:\[[^\]]*\]\s*)?-\s*\("),
    ),
    Rule(
        "list-predicate",
        "all(), any(), none() and single() over lists kill the process in Kuzu: match the "
        "elements, or count the exceptions",
        _pattern(r"\b(?:all|any|none|single)\s*\(\s*\w+\s+IN\b"),
        _NOT_KUZU,
        ("kuzu",),
    ),
    Rule(
        "unbounded",
        "in Kuzu range(), repeat(), lpad() and rpad() with large numbers take all memory and no "
        "time-out stops them: "
        "write numbers under a million, or make the list outside",
        _pattern(
            r"\brange\s*\((?!\s*-?\d{1,6}\s*,\s*-?\d{1,6}\s*(?:,\s*-?\d{1,6}\s*)?\))"
            r"|\b(?:repeat|lpad|rpad|left_pad|right_pad)\s*\((?![^()]*,\s*\d{1,6}\s*[,)])"
        ),
        _NOT_KUZU,
        ("kuzu",),
    ),
    Rule(
        "bare-flag",
        "Kuzu takes the wrong branch of CASE WHEN on a boolean that a WITH carried: carry 1 or 0, "
        "and compare it",
        _pattern(r"\bWHEN\s+\w+\s+(?:THEN|AND|OR)\b"),
        _NOT_KUZU,
    ),
    Rule(
        "type",
        "`type(r)` is `label(r)` in Kuzu: use the sign of `r.weight`, or match each type",
        _pattern(r"\btype\s*\("),
        _NOT_KUZU,
    ),
    Rule(
        "label",
        "`label(r)` is Kuzu's alone: use the sign of `r.weight`, or match each type",
        _pattern(r"\blabels?\s*\("),
        _NOT_NEO4J,
    ),
    Rule(
        "id", "internal ids are the engine's own: use `key`", _pattern(r"\b(?:elementId|id)\s*\(")
    ),
    Rule(
        "hops",
        "patterns of several hops differ in syntax and meaning: use a library algorithm over "
        "one-hop queries",
        _pattern(r"\[[^\]]*\*|\bshortestPath\s*\(|\ballShortestPaths\s*\(|\bSHORTEST\b"),
        _SHARED,
    ),
    Rule(
        "path-functions",
        "relationships(p), nodes(p), properties(...) differ: name the relationships of the pattern",
        _pattern(r"\b(?:relationships|rels|nodes|properties)\s*\("),
        _SHARED,
    ),
    Rule(
        "comprehension",
        "list comprehensions and reduce are not in Kuzu, list_* functions not in Neo4j: aggregate "
        "instead",
        _pattern(r"\[\s*\w+\s+IN\b|\breduce\s*\(|\blist_\w+\s*\(|\[\s*\("),
        _SHARED,
    ),
    Rule(
        "cast",
        "`toInteger` and the like are not in Kuzu, `CAST` not in Neo4j: multiply by 1.0, or "
        "convert outside",
        _pattern(r"\bto(?:Integer|Float|String|Boolean)(?:OrNull)?\s*\(|\bCAST\s*\("),
        _SHARED,
    ),
    Rule(
        "missing-function",
        "percentiles, stDev and exp are not in Kuzu: do it outside the query",
        _pattern(r"\b(?:percentileCont|percentileDisc|stDevP?|exp)\s*\("),
        _NOT_KUZU,
    ),
    Rule(
        "subquery",
        "in Kuzu EXISTS and COUNT subqueries must begin with MATCH: write `EXISTS { MATCH ... }`",
        _pattern(r"\b(?:EXISTS|COUNT)\s*\{(?!\s*MATCH\b)"),
        _NOT_KUZU,
    ),
    Rule(
        "neo4j-only",
        "CALL, COLLECT subqueries, map projections, inline WHERE and quantified patterns are not "
        "in Kuzu: stage with WITH",
        _pattern(
            r"\bCALL\b|\bCOLLECT\s*\{|\w\s*\{\s*\."
            r"|\(\s*\w*\s*:\s*\w+[^(){}]*\bWHERE\b[^()]*\)\s*(?:<?-)"
            r"|\[[^\]]*\bWHERE\b[^\]]*\]|\)\s*\{\s*\d|\)\s*\+\s*\("
        ),
        _NOT_KUZU,
    ),
    Rule(
        "label-predicate",
        "a label cannot be a condition in Kuzu: put it into the pattern",
        _pattern(r"\b(?:WHERE|AND|OR|NOT|WHEN)\s+\w+\s*:\s*[A-Z]"),
        _NOT_KUZU,
    ),
    Rule(
        "with-order",
        "in Kuzu `WITH ... ORDER BY` needs a LIMIT: order at the end, or add one",
        checks.with_order_without_limit,
        _NOT_KUZU,
    ),
    Rule(
        "limit-order",
        "LIMIT without ORDER BY gives other rows each time: order first, ending in a key",
        checks.limit_without_order,
    ),
    Rule(
        "alias",
        "an alias that is also a variable breaks ORDER BY in Kuzu: choose another name",
        checks.alias_is_variable,
        _NOT_KUZU,
    ),
    Rule(
        "comma",
        "Kuzu does not read a blank before a comma in ORDER BY: write `a, b`",
        _pattern(r"\bORDER\s+BY\b[^;]*?\s,"),
        _NOT_KUZU,
    ),
    Rule(
        "order", "rows must come in a fixed order: end with `ORDER BY ..., key`", checks.unordered
    ),
    Rule(
        "schema",
        "the schema declares no such label, type or property: see docs/schema.md",
        checks.unknown_names,
    ),
    Rule("spliced", "values belong in `$parameters`, never in the text", _spliced),
    Rule(
        "parameter-place",
        "a label, type or hop bound cannot be a parameter",
        _missing_parameter_use,
    ),
    Rule("writes", "a query of the library only reads", _writes),
)
"""Every rule, with why it is there."""
