"""What every store checks of an amendment before it changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from circuitome.graphdb.rows import Value
from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    NodeType,
    RelationshipType,
    arrow_schema,
    table_type,
)
from circuitome.graphdb.stores.protocol import Amendment, Removal, StoreError

__all__ = ["checked", "conditions", "missing_end"]


def checked(change: Amendment, *, where: str) -> tuple[tuple[Removal, ...], dict[str, pa.Table]]:
    """Removals that can match something, and the rows to insert in the schema's types and order,
    nodes first.

    ``where`` names the database. `StoreError` for tables and columns that the schema does not
    declare, values that do not fit them, and keys that are missing or given twice.
    """
    for removal in change.remove:
        _check_removal(removal, where)
    for table in change.insert:
        _declared(table, where)
    insert = {
        table: _fitting(table, change.insert[table], where)
        for table in (*NODES, *RELATIONSHIPS)
        if table in change.insert
    }
    return tuple(removal for removal in change.remove if _can_match(removal)), insert


def conditions(removal: Removal) -> Iterator[tuple[str, str, list[Value]]]:
    """What a removal asks: the end (``x`` the row itself, ``a`` what it leaves, ``b`` what it
    enters), column, values.
    """
    for end, wanted in (("x", removal.where), ("a", removal.source), ("b", removal.target)):
        for column, values in wanted.items():
            yield end, column, list(values)


def missing_end(where: str, table: str) -> StoreError:
    """The error for a relationship that leads to or from what is not there."""
    kind = RELATIONSHIPS[table]
    return StoreError(
        f"{where}: {table} names a {kind.source} or a {kind.target} that is not there, nothing "
        "was changed; "
        "load the bundle of its model first"
    )


def _declared(table: str, where: str) -> NodeType | RelationshipType:
    if table not in NODES and table not in RELATIONSHIPS:
        raise StoreError(
            f"{where}: the schema has no table {table!r}; `circuitome schema` shows those that "
            "there are"
        )
    return table_type(table)


def _check_removal(removal: Removal, where: str) -> None:
    kind = _declared(removal.table, where)
    if isinstance(kind, NodeType) and (removal.source or removal.target):
        raise StoreError(
            f"{where}: {removal.table} is a node and has no ends; say which ones by their own "
            "properties"
        )
    _check_columns(removal.where, removal.table, where)
    if isinstance(kind, RelationshipType):
        _check_columns(removal.source, kind.source, where)
        _check_columns(removal.target, kind.target, where)


def _check_columns(wanted: Iterable[str], table: str, where: str) -> None:
    known = {column.name for column in table_type(table).columns}
    if unknown := [column for column in wanted if column not in known]:
        raise StoreError(
            f"{where}: {table} has no column {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )


def _can_match(removal: Removal) -> bool:
    parts: tuple[Mapping[str, object], ...] = (removal.where, removal.source, removal.target)
    return all(values for part in parts for values in part.values())


def _fitting(table: str, rows: pa.Table, where: str) -> pa.Table:
    schema = arrow_schema(table)
    if rows.column_names != schema.names:
        raise StoreError(
            f"{where}: rows of {table} have the columns {', '.join(rows.column_names)}; give "
            f"{', '.join(schema.names)}"
        )
    try:
        rows = rows.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StoreError(
            f"{where}: rows of {table} do not fit the schema ({error}); look at their types"
        ) from None
    _check_keys(table, rows, where)
    return rows


def _check_keys(table: str, rows: pa.Table, where: str) -> None:
    keys = [name for name in ("from", "to") if table in RELATIONSHIPS] or [NODES[table].key.name]
    if any(rows.column(name).null_count for name in keys):
        raise StoreError(
            f"{where}: a row of {table} has no {' or '.join(keys)}; give every row its key"
        )
    if table in NODES and len(rows.column(keys[0]).unique()) < rows.num_rows:
        raise StoreError(f"{where}: rows of {table} have a key twice; give each node once")
