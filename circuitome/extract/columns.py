"""Columns of the bundle's tables: keys of neurons by number, and tables in the schema's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema

__all__ = ["encoded", "gathered", "keys_of", "table_of"]

Run = TypeVar("Run")


def gathered(
    runs: Sequence[Run],
    names: Iterable[str],
    get: Callable[[Run, str], np.ndarray] = getattr,
) -> dict[str, np.ndarray]:
    """Columns of all runs by name, one after another; without a run they are empty."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([get(run, name) for run in runs] or [np.empty(0)])

    return {name: column(name) for name in names}


def encoded(index: np.ndarray, values: Sequence[str]) -> pa.Array:
    """Some of the values by their index, ``(n,)``, dictionary-encoded."""
    return pa.DictionaryArray.from_arrays(
        pa.array(index, pa.int32()), pa.array(values, pa.string())
    )


def keys_of(numbers: np.ndarray, keys: pa.Array) -> pa.Array:
    """Keys of neurons by their numbers, ``(n,)``, dictionary-encoded.

    The dictionary has those keys alone that occur: row groups stay small.
    """
    numbers = numbers.astype(np.int64)
    used = np.zeros(len(keys), dtype=bool)
    used[numbers] = True
    place = np.cumsum(used) - 1
    dictionary = keys.take(pa.array(np.flatnonzero(used)))
    return pa.DictionaryArray.from_arrays(pa.array(place[numbers], pa.int32()), dictionary)


def table_of(name: str, columns: Mapping[str, object]) -> pa.Table:
    """A table with the schema's columns; those that are not given are null.

    Columns that are Arrow arrays, dictionaries among them, are taken without conversion.
    """
    schema = arrow_schema(name)
    rows = len(next(iter(columns.values())))  # pyright: ignore[reportArgumentType]
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(rows, field.type))
        elif isinstance(values, pa.Array):
            arrays.append(values)
        else:
            arrays.append(pa.array(values, field.type, from_pandas=True))
    return pa.table(arrays, names=schema.names)
