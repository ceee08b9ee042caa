"""Opponent pairs: two neurons of one layer whose whole fan-ins oppose each other, in at least one strong edge each way.

With ``W`` the weights into a layer, ``(senders, neurons)``, each column of norm one, the cosines are ``W' W``; with ``E``
and ``I`` the strong excitatory and inhibitory edges, a sender excites one of a pair and inhibits the other in ``E' I``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs.motif import Motif, instance, join

__all__ = [
    "MOTIF",
    "cosines",
    "count",
    "fan_in_cosines",
    "met",
    "pairs",
    "scores",
    "twin",
    "wedges",
]


def twin(
    graph: SignedGraph,
    *,
    cosine: float = 0.5,
    strength: float = 4.0,
    polarity: float = 0.2,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    first, second, score = pairs(graph, cosine=cosine, strength=strength, polarity=polarity)
    order = np.lexsort((second, first, -score))[:limit]
    named = zip(
        score[order].tolist(), graph.names(first[order]), graph.names(second[order]), strict=True
    )
    return [
        instance("opponent_pairs", graph.model, value, {"case": [b1, b2]})
        for value, b1, b2 in named
    ]


def count(
    graph: SignedGraph, *, cosine: float = 0.5, strength: float = 4.0, polarity: float = 0.2
) -> int:
    """Number of instances."""
    return len(scores(graph, cosine=cosine, strength=strength, polarity=polarity))


def scores(
    graph: SignedGraph, *, cosine: float = 0.5, strength: float = 4.0, polarity: float = 0.2
) -> np.ndarray:
    """Scores of all instances."""
    return pairs(graph, cosine=cosine, strength=strength, polarity=polarity)[2]


def pairs(
    graph: SignedGraph, *, cosine: float, strength: float, polarity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs as numbers of neurons, the lower first, and how much they oppose: minus the cosine, to nine digits."""
    found = [np.empty((0, 3))]
    for fan in graph.fans():
        wedge = wedges(graph, fan, strength=strength, polarity=polarity)
        one, other = np.nonzero(np.triu(wedge & wedge.T, 1))
        if not len(one):
            continue
        score = -fan_in_cosines(graph, fan, one, other, near=-cosine)
        there = score >= cosine
        found.append(
            np.column_stack([fan.neurons[one[there]], fan.neurons[other[there]], score[there]])
        )
    first, second, score = np.concatenate(found).T
    return first.astype(np.int64), second.astype(np.int64), score


def wedges(graph: SignedGraph, fan: Fan, *, strength: float, polarity: float) -> np.ndarray:
    """Whether some sender strongly excites the one neuron and strongly inhibits the other, ``(c, c)`` bool."""
    return graph.once(
        ("wedges", fan.layer, strength, polarity), lambda: _wedges(graph, fan, strength, polarity)
    )


def _wedges(graph: SignedGraph, fan: Fan, strength: float, polarity: float) -> np.ndarray:
    strong, excites = (
        graph.strong(strength=strength, polarity=polarity)[fan.edges],
        graph.excites[fan.edges],
    )
    plus, minus = np.flatnonzero(strong & excites), np.flatnonzero(strong & ~excites)
    return met(
        fan.row[plus], fan.column[plus], fan.row[minus], fan.column[minus], size=len(fan.neurons)
    )


def met(
    left_at: np.ndarray, left: np.ndarray, right_at: np.ndarray, right: np.ndarray, *, size: int
) -> np.ndarray:
    """Which ``left`` and ``right`` neurons meet at one place, ``(size, size)`` bool; listed where few, else multiplied."""
    places = max(left_at.max(initial=-1), right_at.max(initial=-1)) + 1
    meetings = np.bincount(left_at, minlength=places) @ np.bincount(right_at, minlength=places)
    if meetings <= size * size:
        found = np.zeros((size, size), bool)
        i, j = join(left_at, right_at)
        found[left[i], right[j]] = True
        return found
    dense = np.zeros((2, places, size), np.float32)
    dense[0, left_at, left] = dense[1, right_at, right] = 1
    return dense[0].T @ dense[1] > 0


def cosines(matrix: np.ndarray, one: np.ndarray, other: np.ndarray, *, near: float) -> np.ndarray:
    """Cosines of pairs of columns, ``(m,)``, rounded to nine digits; 1 where they are surely above ``near``.

    Where there are many they are estimated in float32, and only those that may be low enough computed in float64.
    """
    if not len(one):
        return np.ones(0)
    rows = _unit(matrix)
    return _cosines(rows, one, other, near, lambda: _rough(rows))


def fan_in_cosines(
    graph: SignedGraph, fan: Fan, one: np.ndarray, other: np.ndarray, *, near: float
) -> np.ndarray:
    """As `cosines`, of the weights into pairs of a layer's neurons."""
    if not len(one):
        return np.ones(0)
    rows = graph.once(
        ("unit fan-ins", fan.layer), lambda: _unit(fan.matrix(graph.weight[fan.edges]))
    )
    return _cosines(
        rows,
        one,
        other,
        near,
        lambda: graph.once(("rough cosines", fan.layer), lambda: _rough(rows)),
    )


def _unit(matrix: np.ndarray) -> np.ndarray:
    """The columns as rows of norm one."""
    rows = np.ascontiguousarray(matrix.T)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)


def _rough(rows: np.ndarray) -> np.ndarray:
    """All their cosines in float32."""
    short = rows.astype(np.float32)
    return short @ short.T


def _cosines(
    rows: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    near: float,
    rough: Callable[[], np.ndarray],
) -> np.ndarray:
    found, close = np.ones(len(one)), np.arange(len(one))
    if len(one) > len(rows):
        close = np.flatnonzero(rough()[one, other] <= near + 1e-4)
    found[close] = np.round(np.einsum("ij,ij->i", rows[one[close]], rows[other[close]]), 9)
    return found


MOTIF: Final = Motif(
    "opponent_pairs",
    {"case": ("case_1", "case_2")},
    twin,
    count,
    scores=scores,
    instance_null="kernels",
    null="signs",
)
