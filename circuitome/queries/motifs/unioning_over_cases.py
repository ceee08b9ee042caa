"""Unioning over cases: two cases that exclude each other, and a neuron that both excite.

An instance is a mutual inhibition of two cases and a common receiver. With ``M`` the mutual inhibitions of a layer's
pairs and ``F`` the strong excitatory edges that leave the layer, ``(neurons, receivers)``, instances are counted by
``M * (F F')``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import CASE_ROLES, Motif, instance, join, top_of
from circuitome.queries.motifs.mutual_inhibition import oppositions, pair_counts

__all__ = ["MOTIF", "count", "scores", "twin", "unions"]


def twin(
    graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    if limit < 1:
        return []
    least = top_of(graph, limit, strength=strength, polarity=polarity, count=count)
    columns, score = unions(graph, strength=least, polarity=polarity)
    order = np.lexsort((*columns[::-1], -score))[:limit]
    named = [graph.names(column[order]) for column in columns]
    return [
        instance(
            "unioning_over_cases",
            graph.model,
            value,
            {"union": [u], "case": [b1, b2], "source": [a1, a2]},
        )
        for value, u, b1, b2, a1, a2 in zip(score[order].tolist(), *named, strict=True)
    ]


def count(graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2) -> int:
    """Number of instances, by matrix products."""
    leaving = _excitatory(graph, strength, polarity)
    total = 0.0
    for cases, pairs in pair_counts(graph, strength=strength, polarity=polarity):
        here = leaving[np.isin(graph.sender[leaving], cases)]
        receivers, columns = np.unique(graph.receiver[here], return_inverse=True)
        reads = np.zeros((len(cases), len(receivers)), np.float32)
        reads[np.searchsorted(cases, graph.sender[here]), columns] = 1
        total += float((pairs * (reads @ reads.T)).sum())
    return int(total)


def scores(graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2) -> np.ndarray:
    """Scores of all instances."""
    return unions(graph, strength=strength, polarity=polarity)[1]


def unions(
    graph: SignedGraph, *, strength: float, polarity: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """All instances: united, both cases, both sources, as numbers of neurons, and the strength of the weakest edge."""
    found = oppositions(graph, strength=strength, polarity=polarity)
    leaving = _excitatory(graph, strength, polarity)
    sender, receiver, size, n = (
        graph.sender[leaving],
        graph.receiver[leaving],
        graph.strength[leaving],
        len(graph.keys),
    )
    # what both cases excite, once a pair of cases and not once an opposition
    pairs, pair = np.unique(found.case_1 * n + found.case_2, return_inverse=True)
    i, first = join(pairs // n, sender)
    united = receiver[first]
    j, second = join((pairs % n)[i] * n + united, sender * n + receiver)
    i, united, weakest = i[j], united[j], np.minimum(size[first[j]], size[second])
    i, j = join(pair, i)
    score = np.minimum(found.score[i], weakest[j])
    return (
        united[j],
        found.case_1[i],
        found.case_2[i],
        found.source_1[i],
        found.source_2[i],
    ), score


def _excitatory(graph: SignedGraph, strength: float, polarity: float) -> np.ndarray:
    return np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)


MOTIF: Final = Motif(
    "unioning_over_cases", {"union": ("united",), **CASE_ROLES}, twin, count, scores=scores
)
