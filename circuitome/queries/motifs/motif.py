"""What a motif is: a query, the roles that its columns play, and a vectorised twin that gives the same rows.

A motif row is ``{kind, model, score, p, q, null, roles: {role: [keys]}}``. ``p``, ``q`` and ``null`` are null where no
null model was asked: such rows are candidates, not findings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.graph import SignedGraph

__all__ = ["CASE_ROLES", "Bundled", "Motif", "instance", "join", "top_of"]

CASE_ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "case": ("case_1", "case_2"),
    "source": ("source_1", "source_2"),
}


_FEW: Final = 1_000_000  # so many instances are listed in well under a second


@dataclass(frozen=True, slots=True)
class Motif:
    """One kind of motif."""

    kind: str  # stem of its query file and of its module
    roles: Mapping[str, tuple[str, ...]]  # role -> columns of the query that fill it, in order
    twin: Callable[
        ..., list[dict[str, Any]]
    ]  # (graph, *, the query's parameters) -> motif rows, in the query's order
    count: Callable[
        ..., int
    ]  # (graph, *, the query's parameters but `limit`) -> number of instances, none listed
    group: str | None = None  # column whose equal values make one instance; none where a row is one
    scores: Callable[..., np.ndarray] | None = (
        None  # as `count`, but the scores of all instances; none: no null fits
    )
    instance_null: str = "kernels"  # null model of an instance's q
    null: str = "signs"  # null model of the enrichment: it keeps the topology
    of_bundle: Callable[[Bundle], Any] = (
        SignedGraph.of_bundle
    )  # what the twin works on, from a bundle
    conclude: Callable[[str, Sequence[Mapping[str, Any]]], list[dict[str, Any]]] | None = None
    # (model, all rows of the query) -> motif rows with p and q of their own; none where the query's rows say all
    missing: Callable[..., str | None] | None = (
        None  # (database, model, *, parameters) -> what the model lacks for it
    )
    evidence: str = (
        "weights"  # or `responses`: it asks what annotation measured, kinds, pairs or families
    )

    def gather(self, model: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Motif rows from the rows of the query, in their order."""
        found = []
        for _, group in itertools.groupby(
            enumerate(rows), key=lambda item: item[1][self.group] if self.group else item[0]
        ):
            members = [row for _, row in group]
            roles = {
                role: list(dict.fromkeys(row[column] for row in members for column in columns))
                for role, columns in self.roles.items()
            }
            found.append(
                instance(self.kind, model, members[0]["score"], roles, p=members[0].get("p"))
            )
        return found


@dataclass(frozen=True, slots=True)
class Bundled:
    """A motif asked of a bundle, for what no database holds: its kernels, or the responses of its neurons."""

    kind: str  # of the motif
    find: Callable[..., tuple[list[dict[str, Any]], list[str]]]
    # (bundle, *, nulls (None: its own number), seed, those parameters) -> motif rows with p and q, and what to say of them
    parameters: tuple[str, ...] = ("limit",)  # those of the motif's query that it takes


def instance(
    kind: str, model: str, score: float, roles: Mapping[str, list[str]], *, p: float | None = None
) -> dict[str, Any]:
    """One motif row."""
    return {
        "kind": kind,
        "model": model,
        "score": score,
        "p": p,
        "q": None,
        "null": None,
        "roles": dict(roles),
    }


def join(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of equal values of two arrays of whole numbers from 0: ``left[i] == right[j]``."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    size = max(left.max(initial=-1), right.max(initial=-1)) + 1
    if size <= 4 * (len(left) + len(right)):
        bounds = np.concatenate([[0], np.cumsum(np.bincount(right, minlength=size))])
        start, end = bounds[left], bounds[left + 1]
    else:
        start, end = np.searchsorted(ordered, left, "left"), np.searchsorted(ordered, left, "right")
    number = end - start
    i = np.repeat(np.arange(len(left)), number)
    offset = np.arange(len(i)) - np.repeat(np.cumsum(number) - number, number)
    return i, order[np.repeat(start, number) + offset]


def top_of(
    graph: SignedGraph, limit: int, *, strength: float, polarity: float, count: Callable[..., int]
) -> float:
    """A strength at which there are still ``limit`` instances of a motif scored by its weakest edge, but not too many.

    Everything weaker cannot be among the first ``limit``, so nothing weaker needs to be listed. Where there are
    many, the largest such strength is found by bisection over those that occur, one count (by matrix products) a step.
    """
    if count(graph, strength=strength, polarity=polarity) <= max(limit, _FEW):
        return strength
    levels = np.unique(graph.strength[graph.strong(strength=strength, polarity=polarity)])
    low, high = 0, len(levels)  # enough instances at levels[low], too few at levels[high]
    while high - low > 1:
        middle = (low + high) // 2
        if count(graph, strength=float(levels[middle]), polarity=polarity) >= limit:
            low = middle
        else:
            high = middle
    return float(levels[low])
