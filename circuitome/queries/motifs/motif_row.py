"""A motif's instance as a row, whatever it was found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

__all__ = ["MotifRow", "QueryRow", "instance", "tested"]

QueryRow = Mapping[str, object]
"""A row of a query: column -> value."""


class MotifRow(TypedDict):
    """One instance. ``p``, ``q`` and ``null`` are None if no null model was asked: a candidate."""

    kind: str
    model: str
    score: float
    p: float | None
    q: float | None
    null: str | None  # null model of p or q
    roles: dict[str, list[str]]  # role -> keys
    key: NotRequired[str]  # of a saved motif
    group: NotRequired[str]  # these four: of an equivariant circuit
    circuit_class: NotRequired[str]
    pairs: NotRequired[int]
    compression: NotRequired[float]
    observed: NotRequired[int]  # these seven: of a branch cluster
    group_size: NotRequired[int]
    branch_size: NotRequired[int]
    block_size: NotRequired[int]
    expected: NotRequired[float]
    bonferroni: NotRequired[float]
    tests: NotRequired[int]


def tested(row: MotifRow, *, p: float | None, q: float | None, null: str | None) -> MotifRow:
    """The row with what a null model says of it."""
    found = row.copy()
    found["p"], found["q"], found["null"] = p, q, null
    return found


def instance(kind: str, model: str, score: float, roles: Mapping[str, list[str]]) -> MotifRow:
    """One motif row, a candidate."""
    return MotifRow(
        kind=kind, model=model, score=score, p=None, q=None, null=None, roles=dict(roles)
    )
