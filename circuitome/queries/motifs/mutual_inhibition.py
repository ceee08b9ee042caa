"""Mutual inhibition: two neurons of one layer, each excited by what inhibits the other.

A *wedge* is a sender that excites one neuron of a layer and inhibits another; an instance is two wedges across each
other. With ``E`` and ``I`` the strong excitatory and inhibitory edges into a layer, ``(senders, neurons)``, the wedges
are counted by ``W = E' I`` and the instances by ``W * W'`` above the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import CASE_ROLES, Motif, instance, join, top_of

__all__ = ["MOTIF", "Oppositions", "count", "oppositions", "pair_counts", "scores", "twin"]


@dataclass(frozen=True, slots=True)
class Oppositions:
    """Instances as numbers of neurons, each ``(m,)``."""

    case_1: np.ndarray
    case_2: np.ndarray
    source_1: np.ndarray
    source_2: np.ndarray
    score: np.ndarray  # strength of the weakest edge


def twin(
    graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    if limit < 1:
        return []
    least = top_of(graph, limit, strength=strength, polarity=polarity, count=count)
    found = oppositions(graph, strength=least, polarity=polarity)
    columns = (found.case_1, found.case_2, found.source_1, found.source_2)
    order = np.lexsort((*columns[::-1], -found.score))[:limit]
    named = [graph.names(column[order]) for column in columns]
    return [
        instance("mutual_inhibition", graph.model, score, {"case": [b1, b2], "source": [a1, a2]})
        for score, b1, b2, a1, a2 in zip(found.score[order].tolist(), *named, strict=True)
    ]


def count(graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2) -> int:
    """Number of instances, by matrix products."""
    return int(
        sum(pairs.sum() for _, pairs in pair_counts(graph, strength=strength, polarity=polarity))
    )


def scores(graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2) -> np.ndarray:
    """Scores of all instances."""
    return oppositions(graph, strength=strength, polarity=polarity).score


def pair_counts(
    graph: SignedGraph, *, strength: float, polarity: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every layer: numbers of its neurons, ``(c,)``, and instances of each pair of them, ``(c, c)``, above the diagonal."""
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity))
    into = graph.layer[graph.receiver[edges]]
    for layer in np.unique(into):
        here = edges[into == layer]
        senders, rows = np.unique(graph.sender[here], return_inverse=True)
        cases, columns = np.unique(graph.receiver[here], return_inverse=True)
        signed = np.zeros((2, len(senders), len(cases)), np.float32)
        signed[graph.excites[here].astype(int), rows, columns] = 1
        wedges = (signed[1].T @ signed[0]).astype(np.float64)
        yield cases, np.triu(wedges * wedges.T, 1)


def oppositions(graph: SignedGraph, *, strength: float, polarity: float) -> Oppositions:
    """All instances, listed; their number explodes with the number of edges, so choose ``strength`` by `count`."""
    return graph.once(
        ("oppositions", strength, polarity), lambda: _oppositions(graph, strength, polarity)
    )


def _oppositions(graph: SignedGraph, strength: float, polarity: float) -> Oppositions:
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity))
    size, n = graph.strength, len(graph.keys)
    plus, minus = edges[graph.excites[edges]], edges[~graph.excites[edges]]
    place = graph.sender * len(graph.layers) + graph.layer[graph.receiver]
    i, j = join(place[plus], place[minus])
    excited, inhibited = graph.receiver[plus[i]], graph.receiver[minus[j]]
    source, weakest = graph.sender[plus[i]], np.minimum(size[plus[i]], size[minus[j]])
    up = excited < inhibited
    first, second = np.flatnonzero(up), np.flatnonzero(~up)
    i, j = join((excited * n + inhibited)[first], (inhibited * n + excited)[second])
    first, second = first[i], second[j]
    return Oppositions(
        excited[first],
        inhibited[first],
        source[first],
        source[second],
        np.minimum(weakest[first], weakest[second]),
    )


MOTIF: Final = Motif("mutual_inhibition", CASE_ROLES, twin, count, scores=scores)
