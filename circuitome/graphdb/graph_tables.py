"""The tables of a graph for other programs, from a bundle, a store, or as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.reading import owners, reading
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, arrow_schema
from circuitome.graphdb.selection import WHOLE, Selection
from circuitome.graphdb.stores.protocol import Store

__all__ = ["Source", "Tables", "streams", "tables_of"]

Tables: TypeAlias = Mapping[str, pa.Table]
"""Tables by name, with the schema's columns; what is not there is empty."""

Source: TypeAlias = Bundle | Store | Tables


def tables_of(
    source: Source, *, model: str | None = None, chosen: Selection = WHOLE
) -> dict[str, pa.Table]:
    """All tables that hold rows, nodes first; from a store those of one ``model``, else of all.

    Relationships between two models belong to the tables of all, not to those of one. `ExportError`
    if ``chosen`` names a family, a neuron or a motif that is not there.
    """
    if isinstance(source, Bundle):
        tables = {name: source.table(name) for name in source.tables if chosen.reads(name)}
    else:
        tables = dict(_filled(source, model, chosen))
    return tables if chosen == WHOLE else chosen.of(tables)


def streams(source: Source, model: str | None) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """All tables that hold rows, nodes first, one after the other: a bundle in batches, a store
    a table at a time.
    """
    if isinstance(source, Bundle):
        yield from ((name, source.batches(name)) for name in source.tables)
    else:
        for name, table in _filled(source, model):
            yield name, iter(table.to_batches())


def _filled(
    source: Store | Tables, model: str | None, chosen: Selection = WHOLE
) -> Iterator[tuple[str, pa.Table]]:
    read = source.get if isinstance(source, Mapping) else _from_store(source, model)
    for name in filter(chosen.reads, (*NODES, *RELATIONSHIPS)):
        table = read(name)
        if table is not None and table.num_rows:
            yield name, table


def _from_store(store: Store, model: str | None) -> Callable[[str], pa.Table]:
    def read(name: str) -> pa.Table:
        cypher = _reading(name, model)
        rows = store.run(cypher, {"model": model} if "$model" in cypher else {})
        schema = arrow_schema(name)
        return pa.table([_cast(rows[field.name], field.type) for field in schema], schema=schema)

    return read


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _reading(name: str, model: str | None) -> str:
    tests = [] if model is None else [f"{owner} = $model" for owner in owners(name)]
    order = "`key`" if name in NODES else "`from`, `to`"
    return f"{reading(name, tests=tests)} ORDER BY {order}"
