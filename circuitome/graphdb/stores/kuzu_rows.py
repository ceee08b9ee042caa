"""Rows out of Kuzu: in its own types, or in those that both engines give."""

from __future__ import annotations

import contextlib
import importlib.util  # noqa: F401  Kuzu uses it without importing it
from collections.abc import Mapping
from typing import Any, Final

import kuzu
import pyarrow as pa

from circuitome.graphdb.rows import Value
from circuitome.graphdb.stores.protocol import NO_PARAMETERS

__all__ = ["ENGINE_ERRORS", "plain", "pool_is_full", "rows_of"]

ENGINE_ERRORS: Final = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    ZeroDivisionError,
)
"""What Kuzu raises."""


def pool_is_full(error: Exception) -> bool:
    """Whether Kuzu gave up because it may have no more memory."""
    return "buffer pool is full" in str(error)


def rows_of(
    connection: kuzu.Connection,
    cypher: str,
    parameters: Mapping[str, Value] = NO_PARAMETERS,
    most: int | None = None,
) -> pa.Table:
    """Rows of one statement, in the engine's types; ``most`` of them."""
    result = connection.execute(cypher, dict(parameters))
    if isinstance(result, list):
        raise RuntimeError("several statements in one text")
    with contextlib.closing(result):
        names = result.get_column_names()
        if (
            names and most is not None and result.get_num_tuples() > most
        ):  # Arrow would be made of all of them
            columns = zip(*result.get_n(most), strict=True) if most else ([] for _ in names)
            return pa.table([pa.array(column) for column in columns], names=names)
        return result.get_as_arrow() if names else pa.table({})


def plain(table: pa.Table) -> pa.Table:
    """The same rows in Neo4j's types: int64, float64, string, bool, lists of them, and structs
    of properties.
    """
    for number, field in enumerate(table.schema):
        table = table.set_column(number, field.name, _plain_column(table.column(number)))
    return table


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    target = _plain_type(column.type)
    if target is None:
        return pa.chunked_array([pa.array([_visible(value) for value in column.to_pylist()])])
    if target == column.type:
        return column
    try:
        return column.cast(target)
    except pa.ArrowInvalid:  # a sum beyond 64 bits
        return column.cast(pa.float64())


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type that both engines give; None if a value must be rewritten (nodes, relationships)."""
    types = pa.types
    if types.is_struct(kind) or types.is_map(kind):
        return None
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = _plain_type(kind.value_type)
        if inner is None or inner == kind.value_type:
            return inner and kind
        return pa.list_(inner)
    return _plain_scalar(kind)


def _plain_scalar(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.float64() if kind.scale else pa.int64()
    if pa.types.is_integer(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(kind) else kind


def _visible(value: Any) -> Any:
    """A node or relationship as the map of its properties, without the engine's own fields."""
    if isinstance(value, dict):
        return {
            name: _visible(item)
            for name, item in value.items()
            if not name.startswith("_") and item is not None
        }
    return [_visible(item) for item in value] if isinstance(value, list) else value
