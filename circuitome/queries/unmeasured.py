"""What a query reads that only an annotation measures: why it may have no rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from circuitome.graphdb.cypher import code_of
from circuitome.graphdb.schema import (
    NODES,
    PARTS,
    RELATIONSHIPS,
    NodeType,
    RelationshipType,
    parts_done,
)
from circuitome.queries.query_file import Query

__all__ = ["parts_read", "why_empty"]

_WORDS: Final = r"OPTIONAL\s+MATCH|MATCH|WHERE|WITH|RETURN|ORDER|UNWIND|LIMIT|SKIP|CALL"
_CLAUSES: Final = re.compile(
    rf"\b({_WORDS})\b(.*?)(?=\b(?:{_WORDS})\b|\Z)", re.DOTALL | re.IGNORECASE
)
"""The clauses of a query: what each begins with, and the rest of it."""


def parts_read(cypher: str) -> list[str]:
    """The parts of the annotation without which a query finds nothing: it matches their tables, or
    asks for their columns. What it only shows does not count.

    >>> parts_read("MATCH (a:Neuron)-[:EQUIVARIANT_TO]->(b) WHERE a.kind = 'curve' RETURN b.key")
    ['kinds', 'equivariance']
    """
    code = code_of(cypher)
    named = [kind for kind in _tables() if _is_named(kind.name, code)]
    asked = "\n".join(_conditions(code))
    read = {kind.part for kind in named if _is_named(kind.name, asked)}
    for name, parts in _makers(named).items():
        if len(parts) == 1 and None not in parts and re.search(rf"\.{name}\b", asked):
            read |= parts
    return [part for part in PARTS if part in read]


def _is_named(table: str, code: str) -> bool:
    return re.search(rf"[:|]\s*{table}\b", code) is not None


def _conditions(code: str) -> Iterator[str]:
    """What must be there for a row: the patterns of a query, and their conditions."""
    optional = False
    for clause in _CLAUSES.finditer(code):
        word = clause[1].upper()
        optional = word.startswith("OPTIONAL") or (optional and word == "WHERE")
        if word in ("MATCH", "WHERE") and not optional:
            yield clause[2]


def _tables() -> Iterator[NodeType | RelationshipType]:
    yield from NODES.values()
    yield from RELATIONSHIPS.values()


def _makers(kinds: Iterable[NodeType | RelationshipType]) -> dict[str, set[str | None]]:
    """The parts that make the columns of each name; None: it is there from the start."""
    makers: dict[str, set[str | None]] = {}
    for kind in kinds:
        for column in kind.columns:
            makers.setdefault(column.name, set()).add(column.part or kind.part)
    return makers


def why_empty(query: Query, models: Iterable[Mapping[str, object]]) -> str:
    """What to say of a query without rows: what is not measured in any model, and the cure."""
    done = {part for model in models for part in parts_done(model)}
    lacking = [part for part in parts_read(query.text) if part not in done]
    if not lacking:
        return "no rows"
    return (
        f"no rows: {query.name} reads what `circuitome annotate BUNDLE --parts "
        f"{','.join(lacking)}` measures; do so, then `circuitome load BUNDLE` again"
    )
