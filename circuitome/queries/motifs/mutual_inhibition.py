"""Mutual inhibition: two neurons of one layer, each excited by what inhibits the other.

A *wedge* is a sender that excites one neuron of a layer and inhibits another; an instance is two
wedges across each other. With ``E`` and ``I`` the strong excitatory and inhibitory edges into a
layer, ``(senders, neurons)``, the wedges are counted by ``W = E' I`` and the instances by
``W * W'`` above the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Instances, Motif, join

__all__ = ["MOTIF", "count", "find", "only_opposed", "pair_counts"]


def find(graph: SignedGraph, *, strength: float, polarity: float) -> Instances:
    """Cases and their sources; the score is the strength of the weakest edge.

    Their number explodes with the number of edges, so choose ``strength`` by `count`.
    """
    return graph.once(
        ("oppositions", strength, polarity), lambda: _oppositions(graph, strength, polarity)
    )


@dataclass(frozen=True, slots=True)
class _Wedges:
    """Senders that excite one neuron of a layer and inhibit another, ``(m,)`` each."""

    source: np.ndarray
    excited: np.ndarray
    inhibited: np.ndarray
    weakest: np.ndarray  # strength of the weaker edge

    @classmethod
    def of(cls, graph: SignedGraph, edges: np.ndarray) -> _Wedges:
        plus, minus = edges[graph.excites[edges]], edges[~graph.excites[edges]]
        place = graph.sender * len(graph.layers) + graph.layer[graph.receiver]
        i, j = join(place[plus], place[minus])
        plus, minus = plus[i], minus[j]
        weakest = np.minimum(graph.strength[plus], graph.strength[minus])
        return cls(graph.sender[plus], graph.receiver[plus], graph.receiver[minus], weakest)


def _oppositions(graph: SignedGraph, strength: float, polarity: float) -> Instances:
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity))
    wedges, n = _Wedges.of(graph, edges), len(graph.keys)
    excited, inhibited, source = wedges.excited, wedges.inhibited, wedges.source
    up = excited < inhibited
    first, second = np.flatnonzero(up), np.flatnonzero(~up)
    i, j = join((excited * n + inhibited)[first], (inhibited * n + excited)[second])
    first, second = first[i], second[j]
    roles = {
        "case": np.column_stack([excited[first], inhibited[first]]),
        "source": np.column_stack([source[first], source[second]]),
    }
    return Instances(roles, np.minimum(wedges.weakest[first], wedges.weakest[second]))


def only_opposed(
    graph: SignedGraph, *, strength: float, polarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of cases that oppose each other in every strong input that they share, ``(m, 2)``.

    And the number of instances of each pair, ``(m,)``.
    """
    return graph.once(
        ("only opposed", strength, polarity), lambda: _only_opposed(graph, strength, polarity)
    )


def _only_opposed(
    graph: SignedGraph, strength: float, polarity: float
) -> tuple[np.ndarray, np.ndarray]:
    n = len(graph.keys)
    case_1, case_2, _, _ = find(graph, strength=strength, polarity=polarity).columns()
    pairs, number = np.unique(case_1 * n + case_2, return_counts=True)
    first, second = pairs // n, pairs % n
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity))
    sender, receiver, excites = graph.sender[edges], graph.receiver[edges], graph.excites[edges]
    i, one = join(first, receiver)
    j, other = join(second[i] * n + sender[one], receiver * n + sender)
    alike = i[j][excites[one[j]] == excites[other]]
    kept = np.bincount(alike, minlength=len(pairs)) == 0
    return np.column_stack([first, second])[kept], number[kept]


def count(graph: SignedGraph, *, strength: float, polarity: float) -> int:
    """Number of instances, by matrix products."""
    counts = pair_counts(graph, strength=strength, polarity=polarity)
    return int(sum(pairs.sum() for _, pairs in counts))


def pair_counts(
    graph: SignedGraph, *, strength: float, polarity: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every layer its neurons ``(c,)``, and how many instances each pair has.

    The numbers are ``(c, c)``, above the diagonal.
    """
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


MOTIF: Final = Motif(
    "mutual_inhibition",
    find,
    null=None,
    quick_count=count,
    about_p="no p: no null model tells mutual inhibition from chance among copies of neurons",
)
