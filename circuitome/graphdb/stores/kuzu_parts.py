"""The tables of a Kuzu database as a change leaves them, each written to a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import kuzu
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.reading import owner, owners, reading
from circuitome.graphdb.rows import Value
from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    RelationshipType,
    arrow_schema,
    table_type,
)
from circuitome.graphdb.stores.amendments import conditions
from circuitome.graphdb.stores.kuzu_rows import rows_of
from circuitome.graphdb.stores.protocol import Removal

__all__ = ["amended", "kept"]


def amended(
    connection: kuzu.Connection,
    folder: Path,
    removals: Sequence[Removal],
    insert: Mapping[str, pa.Table],
) -> dict[str, Path | None]:
    """Every table that a change touches, written whole to ``folder`` as it will be; none where
    it will be empty.

    Kuzu cannot fill a node table that nodes were deleted from (its index of keys then lacks
    some), so a table is filled anew, and with a node table all relationships of its nodes.
    """
    parts: dict[str, Path | None] = {}
    gone: dict[str, pa.ChunkedArray] = {}
    for table in _touched({removal.table for removal in removals} | set(insert)):
        here = [removal for removal in removals if removal.table == table]
        rows = rows_of(connection, *_staying(table, here)).cast(arrow_schema(table))
        if table in RELATIONSHIPS:
            rows = _without_ends(rows, RELATIONSHIPS[table], gone)
        elif here:
            keys = rows_of(connection, reading(table, columns=["key"]))
            gone[table] = _without(keys, "key", rows["key"])["key"]
        if table in insert:
            here_already = insert[table]["key"] if table in NODES else None
            rows = pa.concat_tables([_without(rows, "key", here_already), insert[table]])
        parts[table] = _written(table, rows, folder)
    return parts


def _without_ends(
    rows: pa.Table, kind: RelationshipType, gone: Mapping[str, pa.ChunkedArray]
) -> pa.Table:
    """The relationships whose ends stay; ``gone`` are keys of nodes by label."""
    rows = _without(rows, "from", gone.get(kind.source))
    return _without(rows, "to", gone.get(kind.target))


def _touched(changed: set[str]) -> Iterator[str]:
    """The tables to fill anew if some change, nodes first."""
    for table in (*NODES, *RELATIONSHIPS):
        kind = table_type(table)
        ends = {kind.source, kind.target} if isinstance(kind, RelationshipType) else set()
        if changed & {table, *ends}:
            yield table


def kept(
    connection: kuzu.Connection, folder: Path, bundles: Sequence[Bundle], without: Sequence[str]
) -> dict[str, list[Path]]:
    """The tables of what stays, written to ``folder``: rows of all models but ``without``, and
    of the nodes that have no model those that no bundle brings.
    """
    parts = {}
    for table in (*NODES, *RELATIONSHIPS):
        rows = rows_of(connection, *_reading(table, without))
        if table in NODES and owner(table) is None:
            for bundle in bundles:
                rows = _without(rows, "key", bundle.table(table)["key"])
        if path := _written(table, rows, folder):
            parts[table] = [path]
    return parts


def _written(table: str, rows: pa.Table, folder: Path) -> Path | None:
    """The file of a table; none if it has no rows."""
    if not rows.num_rows:
        return None
    path = folder / f"{table}.parquet"
    whole = rows.cast(arrow_schema(table))  # types as in a bundle, so that one COPY takes both
    pq.write_table(whole, path, compression="lz4", write_statistics=False)
    return path


def _reading(table: str, without: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """The query that reads a whole table but for some models, and its parameters."""
    tests = [f"NOT {name} IN $without" for name in owners(table)] if without else []
    return reading(table, tests=tests), {"without": list(without)} if tests else {}


def _staying(table: str, removals: Sequence[Removal]) -> tuple[str, dict[str, Value]]:
    """The query that reads a whole table but for what the removals match, and its parameters."""
    tests: list[str] = []
    values: dict[str, Value] = {}
    for removal in removals:
        kept = []
        for end, column, wanted in conditions(removal):
            name = f"p{len(values)}"
            values[name] = wanted
            kept.append(f"{end}.`{column}` IS NULL OR NOT {end}.`{column}` IN ${name}")
        tests.append(f"({' OR '.join(kept) or 'false'})")
    return reading(table, tests=tests), values


def _without(rows: pa.Table, column: str, values: pa.ChunkedArray | None) -> pa.Table:
    """The rows whose value of a column is none of ``values``."""
    if values is None or not len(values):
        return rows
    # pyarrow makes its compute functions when it is imported, so that no type checker sees them
    found = pc.call_function("is_in", [rows[column]], pc.SetLookupOptions(values))
    return rows.filter(pc.call_function("invert", [found]))
