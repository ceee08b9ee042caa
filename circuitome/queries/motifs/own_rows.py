"""Rows of a user's query as instances: which columns hold neurons, and in which roles."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.motif_row import MotifRow, instance

__all__ = ["instances_of"]


def instances_of(path: Path, model: str, rows: pa.Table, keys: Collection[str]) -> list[MotifRow]:
    """Motif rows, strongest first: each set of neurons in their roles once, with its best score.

    ``path`` is the query's file, ``keys`` are those of the model's neurons. `QueryError` if no
    column holds neurons, or a score is no number.
    """
    if not rows.num_rows:
        return []
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    parts = _parts(path, columns, keys)
    scores = _scores(path, columns, rows.num_rows)
    found: dict[tuple[tuple[str, ...], ...], MotifRow] = {}
    for place in np.argsort(-scores, kind="stable").tolist():
        neurons = tuple(tuple(values[place]) for values in parts.values())
        if neurons not in found:
            roles = _roles(parts, neurons)
            found[neurons] = instance(path.stem, model, float(scores[place]), roles)
    return list(found.values())


def _parts(
    path: Path, columns: Mapping[str, list[object]], keys: Collection[str]
) -> dict[str, list[list[str]]]:
    """The columns that hold neurons, each with those of every row."""
    members = {name: _members(values, keys) for name, values in columns.items()}
    parts = {name: part for name, part in members.items() if part is not None}
    if not parts:
        raise QueryError(
            f"{path}: none of its columns ({', '.join(columns)}) holds neuron "
            "keys; return some, as in `RETURN n.key AS neuron`"
        )
    return parts


def _members(values: list[object], keys: Collection[str]) -> list[list[str]] | None:
    """The neurons of each row of a column; None if it holds anything else, or none."""
    found = []
    for value in values:
        items = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(item, str) and item in keys for item in items):
            return None
        found.append(items)
    return found if any(found) else None


def _scores(path: Path, columns: Mapping[str, list[object]], rows: int) -> np.ndarray:
    """The column `score`, ``(rows,)``; ones without it."""
    scores = columns.get("score", [1] * rows)
    for score in scores:
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise QueryError(
                f"{path}: the column `score` holds {score!r}; make it a number in every row"
            )
    return np.array(scores, dtype=float)


def _roles(names: Collection[str], neurons: Sequence[tuple[str, ...]]) -> dict[str, list[str]]:
    """Neurons by role; numbered columns are places in one."""
    roles: dict[str, list[str]] = {}
    for name, some in zip(names, neurons, strict=True):
        roles.setdefault(re.sub(r"_\d+$", "", name), []).extend(some)
    return roles
