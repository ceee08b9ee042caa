"""Statements that change a server's rows, and the rows as they take them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from circuitome.graphdb.reading import owner, pattern
from circuitome.graphdb.rows import Value
from circuitome.graphdb.schema import (
    NODES,
    RelationshipType,
    arrow_schema,
    table_type,
)
from circuitome.graphdb.stores.amendments import conditions
from circuitome.graphdb.stores.protocol import Removal

__all__ = ["deletion", "grouped", "insertion", "row_lists", "shared"]


def deletion(removal: Removal) -> tuple[str, dict[str, list[Value]]]:
    """The statement that deletes what a removal matches, and its parameters."""
    wanted = list(conditions(removal))
    verb = "DETACH DELETE" if removal.table in NODES else "DELETE"
    tests = [f"{end}.`{column}` IN $p{place}" for place, (end, column, _) in enumerate(wanted)]
    where = f" WHERE {' AND '.join(tests)}" if tests else ""
    values = {f"p{place}": values for place, (_, _, values) in enumerate(wanted)}
    return f"MATCH {pattern(removal.table)}{where} {verb} x", values


def insertion(table: str, *, merge: bool = False) -> str:
    """The statement that creates ``$rows`` of a table, as `row_lists` gives them.

    With ``merge`` nodes may be there already, and get the new properties.
    """
    kind = table_type(table)
    if isinstance(kind, RelationshipType):
        return _relationship_insertion(kind)
    values = ", ".join(
        f"n.`{name}` = x[{place}]" for place, name in enumerate(arrow_schema(table).names)
    )
    verb = "MERGE" if merge or shared(table) else "CREATE"
    return f"UNWIND $rows AS x {verb} (n:`{table}` {{`key`: x[0]}}) SET {values} RETURN count(*)"


def _relationship_insertion(kind: RelationshipType) -> str:
    values = ", ".join(
        f"`{column.name}`: x[{place}]" for place, column in enumerate(kind.columns, start=1)
    )
    return (
        f"UNWIND $rows AS g MATCH (b:`{kind.target}` {{`key`: g[0]}}) UNWIND g[1] AS x "
        f"MATCH (a:`{kind.source}` {{`key`: x[0]}}) CREATE (a)-[:`{kind.name}` {{{values}}}]->(b) "
        "RETURN count(*)"
    )


def shared(label: str) -> bool:
    """Whether nodes of the label belong to no model, so that they may be there already."""
    return owner(label) != "model"


def row_lists(table: str, batch: pa.RecordBatch) -> list[list[Any]]:
    """Nodes as lists in the order of their columns; relationships by what they enter, which is
    looked up once: ``[to, [[from, ...], ...]]``.
    """
    rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
    if table in NODES:
        return list(map(list, rows))
    groups: dict[str, list[list[Any]]] = {}
    for sender, receiver, *values in rows:
        groups.setdefault(receiver, []).append([sender, *values])
    return list(map(list, groups.items()))


def grouped(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    """The batches in lists of ``size``, the last of what is left."""
    return iter(lambda: list(itertools.islice(batches, size)), [])
