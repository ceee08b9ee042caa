"""Checks of a query's text that one pattern cannot make: places that break a rule of `lint`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from circuitome.graphdb.schema import NODES, RELATIONSHIPS
from circuitome.queries.clauses import AGGREGATE, clauses_of, split_items

__all__ = [
    "alias_is_variable",
    "distinct_before_aggregate",
    "limit_without_order",
    "null_aggregate",
    "same_relationship_twice",
    "unknown_names",
    "unordered",
    "with_order_without_limit",
]


def distinct_before_aggregate(code: str) -> Iterator[int]:
    """Projections with a plain aggregate after a DISTINCT one."""
    for clause in clauses_of(code):
        distinct = [bool(match[2]) for match in AGGREGATE.finditer(clause.body)]
        if clause.projects and distinct != sorted(distinct):
            yield clause.start


_CUTS: Final = ("ORDER BY", "SKIP", "LIMIT")
_CHAIN: Final = re.compile(r"\((\w*)[^()]*\)\s*(<?)-\s*(?:\[([^\]]*)\])?\s*-(>?)\s*(?=\((\w*))")


@dataclass(frozen=True, slots=True)
class _Link:
    """One relationship of a pattern, from tail to head."""

    variable: str
    types: frozenset[str]  # empty: any
    tail: str
    head: str


def _links(pattern: str) -> list[_Link]:
    links = []
    for number, match in enumerate(_CHAIN.finditer(pattern)):
        left, backwards, inner, _, right = match.groups()
        variable, _, types = (inner or "").partition(":")
        ends = (left or f"_{number}", right or f"_{number}'")
        tail, head = reversed(ends) if backwards else ends
        names = frozenset(re.findall(r"\w+", types.split("{")[0]))
        links.append(_Link(variable.strip(), names, tail, head))
    return links


def same_relationship_twice(code: str) -> Iterator[int]:
    """Two relationships of a pattern that may be one: a walk in Kuzu, forbidden in Neo4j."""
    apart = set(
        map(frozenset, re.findall(r"(\w+)(?:\.key)?\s*(?:<>|<|>)\s*(\w+)(?:\.key)?\b", code))
    )
    for keyword, start, body in clauses_of(code):
        if keyword.endswith("MATCH"):
            links = _links(body)
            for first, second in itertools.combinations(links, 2):
                overlap = not first.types or not second.types or first.types & second.types
                if overlap and _may_coincide(first, second, links, apart):
                    yield start


def _may_coincide(
    first: _Link, second: _Link, links: list[_Link], apart: set[frozenset[str]]
) -> bool:
    """Whether nothing keeps the two apart: no ``r <> s``, no two nodes that differ, no loop."""
    if frozenset((first.variable, second.variable)) in apart and first.variable:
        return False
    groups = [{first.tail, second.tail}, {first.head, second.head}]
    if groups[0] & groups[1]:
        return False

    def one(a: str, b: str) -> bool:
        return a == b or any(a in group and b in group for group in groups)

    if any(len(pair) == 2 and one(*pair) for pair in apart):
        return False
    return not any(one(link.tail, link.head) for link in links)


def unordered(code: str) -> Iterator[int]:
    """A text whose rows have no fixed order: it must end in an ORDER BY with a key as last item."""
    clauses = clauses_of(code)
    returns = [clause for clause in clauses if clause.keyword == "RETURN"]
    if not returns:
        yield len(code.rstrip()) - 1 if code.strip() else 0
    elif not _is_one_row(returns[-1].body):
        start = returns[-1].start
        orders = [c.body for c in clauses if c.keyword == "ORDER BY" and c.start > start]
        if not orders or not _is_key(_last_item(orders[-1]), code):
            yield start


def _is_one_row(projection: str) -> bool:
    """Whether there are aggregates alone, so that nothing is grouped."""
    items = split_items(re.sub(r"^\s*DISTINCT\b", "", projection, flags=re.IGNORECASE))
    single = [AGGREGATE.match(item) or item.lower().startswith("coalesce") for item in items]
    return bool(items) and all(single)


def _last_item(order: str) -> str:
    last = split_items(order)[-1]
    return re.sub(r"\s+(ASC|DESC)(ENDING)?$", "", last, flags=re.IGNORECASE)


def _is_key(item: str, code: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether an item is ``x.key``, or a name for one by aliases, maps, or a choice of two."""
    if re.fullmatch(r"\w+\.key", item):
        return True
    if not re.fullmatch(r"\w+(\.\w+)?", item) or item in seen:
        return False
    for choice in _sources(item, code):
        if all(_is_key(source, code, seen | {item}) for source in choice):
            return True
    return False


def _sources(item: str, code: str) -> list[tuple[str, ...]]:
    """What an item may be a name for; of a choice of two it is for both."""
    name = item.rpartition(".")[2]
    pattern = rf"([\w.]+)\s+AS\s+{name}\b" if name == item else rf"[{{,]\s*{name}\s*:\s*(\w+)"
    flags = re.IGNORECASE if name == item else re.NOFLAG
    choice = rf"\bTHEN\s+([\w.]+)\s+ELSE\s+([\w.]+)\s+END\s+AS\s+{name}\b"
    sources = [(source,) for source in re.findall(pattern, code, flags)]
    return [*re.findall(choice, code, re.IGNORECASE), *sources]


def with_order_without_limit(code: str) -> Iterator[int]:
    """A ``WITH`` that orders all its rows."""
    clauses = clauses_of(code)
    for place, clause in enumerate(clauses, start=1):
        rest = itertools.takewhile(lambda later: later.keyword in _CUTS, clauses[place:])
        words = {later.keyword for later in rest}
        if clause.keyword == "WITH" and "ORDER BY" in words and "LIMIT" not in words:
            yield clause.start


def limit_without_order(code: str) -> Iterator[int]:
    """A ``LIMIT`` or ``SKIP`` of rows in no order."""
    for before, clause in itertools.pairwise(clauses_of(code)):
        if clause.keyword in ("LIMIT", "SKIP") and before.keyword not in ("ORDER BY", "SKIP"):
            yield clause.start


def null_aggregate(code: str) -> Iterator[int]:
    """``sum`` and ``collect`` that may see no rows: NULL in Kuzu, 0 and [] in Neo4j."""
    optional = False
    for keyword, start, body in clauses_of(code):
        optional |= keyword == "OPTIONAL MATCH"
        if keyword in ("WITH", "RETURN"):
            items = split_items(body)
            alone = all(AGGREGATE.search(item) for item in items)
            for match in re.finditer(
                r"(coalesce\s*\(\s*)?\b(sum|collect)\s*\(", body, re.IGNORECASE
            ):
                if (alone or optional) and not match.group(1):
                    yield start
            optional = False


def alias_is_variable(code: str) -> Iterator[int]:
    """Names of columns that are variables of a pattern, too."""
    variables = set(re.findall(r"[(\[](\w+)\s*:", code)) | set(re.findall(r"\((\w+)\)\s*<?-", code))
    for match in re.finditer(r"\bAS\s+(\w+)", code, re.IGNORECASE):
        if match.group(1) in variables:
            yield match.start()


_PROPERTIES: Final = {
    table.name: set(map(attrgetter("name"), table.columns))
    for table in (*NODES.values(), *RELATIONSHIPS.values())
}


def unknown_names(code: str) -> Iterator[int]:
    """Labels, types and properties not in the schema; Kuzu refuses them, Neo4j finds nothing."""
    tables: dict[str, set[str]] = {}
    for match in re.finditer(r"[(\[]\s*(\w*)\s*:\s*(\w+(?:\s*\|\s*:?\w+)*)", code):
        names = re.findall(r"\w+", match.group(2))
        tables.setdefault(match.group(1), set()).update(names)
        if any(name not in _PROPERTIES for name in names):
            yield match.start()
    for match in re.finditer(r"\b([A-Za-z_]\w*)\.(\w+)", code):
        known = [
            _PROPERTIES[name] for name in tables.get(match.group(1), ()) if name in _PROPERTIES
        ]
        if known and not any(match.group(2) in columns for columns in known):
            yield match.start()
