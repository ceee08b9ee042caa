"""Rows of the driver as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
from neo4j.graph import Node, Path, Relationship

__all__ = ["table_of"]

_SCALARS: Final = {int, float, str, bool, type(None)}


def table_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of the driver as Arrow: int64, float64, string, bool, lists of them, and structs of
    properties.
    """
    columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
    return pa.Table.from_arrays([_array(_values(column)) for column in columns], names=list(names))


def _values(column: list[Any]) -> list[Any]:
    """A column without the driver's own types; most hold none, and millions of rows are looked
    at in one go.
    """
    return column if set(map(type, column)) <= _SCALARS else list(map(_value, column))


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowInvalid:  # whole numbers among floats
        return pa.array(values, pa.float64())


def _value(value: Any) -> Any:
    """A node or relationship as the map of its properties, a path as its nodes and
    relationships.
    """
    if isinstance(value, Node | Relationship):
        return dict(value)
    if isinstance(value, Path):
        return {
            "nodes": [dict(node) for node in value.nodes],
            "relationships": [dict(rel) for rel in value.relationships],
        }
    return [_value(item) for item in value] if isinstance(value, list) else value
