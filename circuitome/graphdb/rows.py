"""Rows that cross a border: what a cell holds, what a row is, and Arrow tables made of rows.

A stored property is a scalar, a list of scalars or null. A query may also return nodes and
relationships, as maps of their properties, and lists of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypedDict, cast

import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema

__all__ = ["ModelRow", "Row", "Value", "model_rows", "number", "table_of", "text", "whole"]

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
"""What a cell of a row, or a parameter of a query, may hold."""

Row: TypeAlias = dict[str, Value]
"""One row of a query or of a table, by column."""


class ModelRow(TypedDict):
    """One row of the `Model` table, as the schema declares it; `circuitome schema` says what
    each column is.
    """

    key: str
    architecture: str | None
    weights: str | None
    weights_sha256: str | None
    task: str | None
    input_shape: list[int] | None
    mean: list[float] | None
    std: list[float] | None
    keep: str | None
    seed: int | None
    annotated: str | None
    twins: int | None
    stimuli_sha256: str | None
    signatures_sha256: str | None
    schema_version: int | None
    state: str | None


def model_rows(table: pa.Table) -> list[ModelRow]:
    """Rows of a `Model` table."""
    return cast("list[ModelRow]", table.to_pylist())


def table_of(name: str, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    """Rows as an Arrow table with the columns of the schema's table ``name``; what a row leaves out
    is null.

    Raises:
        pyarrow.ArrowException: a value does not fit its column.

    >>> table_of("OF_MODEL", [{"from": "toy/conv1", "to": "toy"}]).to_pylist()
    [{'from': 'toy/conv1', 'to': 'toy'}]
    """
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(name))


def text(row: Mapping[str, object], column: str) -> str:
    """The text in a column that always holds one.

    >>> text({"layer": "toy/conv1"}, "layer")
    'toy/conv1'
    """
    value = row[column]
    if not isinstance(value, str):
        raise TypeError(f"{column}: {value!r} is no text")
    return value


def number(row: Mapping[str, object], column: str) -> float:
    """The number in a column that always holds one.

    >>> number({"score": 0.5}, "score")
    0.5
    """
    value = row[column]
    if not isinstance(value, int | float):
        raise TypeError(f"{column}: {value!r} is no number")
    return value


def whole(row: Mapping[str, object], column: str) -> int:
    """The whole number in a column that always holds one.

    >>> whole({"channel": 3}, "channel")
    3
    """
    value = row[column]
    if not isinstance(value, int):
        raise TypeError(f"{column}: {value!r} is no whole number")
    return value
