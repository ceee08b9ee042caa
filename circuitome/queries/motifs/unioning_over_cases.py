"""Unioning over cases: two cases that exclude each other, and a neuron that both excite.

An instance is a mutual inhibition of two cases and a common receiver. With ``M`` the mutual
inhibitions of a layer's pairs and ``F`` the strong excitatory edges that leave the layer,
``(neurons, receivers)``, instances are counted by ``M * (F F')``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import mutual_inhibition
from circuitome.queries.motifs.motif import Instances, Motif, join

__all__ = ["MOTIF", "count", "enriched", "find"]


def find(graph: SignedGraph, *, strength: float, polarity: float) -> Instances:
    """United neuron, cases and sources; the score is the strength of the weakest edge."""
    opposed = mutual_inhibition.find(graph, strength=strength, polarity=polarity)
    case_1, case_2, source_1, source_2 = opposed.columns()
    # what both cases excite, once a pair of cases and not once an opposition
    n = len(graph.keys)
    pairs, pair = np.unique(case_1 * n + case_2, return_inverse=True)
    leaving = _excitatory(graph, strength, polarity)
    together, first, second = _united(graph, leaving, pairs // n, pairs % n)
    i, j = join(pair, together)
    first, second = first[j], second[j]
    roles = {
        "union": graph.receiver[first],
        "case": np.column_stack([case_1[i], case_2[i]]),
        "source": np.column_stack([source_1[i], source_2[i]]),
    }
    weakest = np.minimum(graph.strength[first], graph.strength[second])
    return Instances(roles, np.minimum(opposed.score[i], weakest))


def _united(
    graph: SignedGraph, edges: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of ``first`` and ``second`` whose edges meet: the pair, and both edges, ``(m,)``."""
    sender, receiver, n = graph.sender[edges], graph.receiver[edges], len(graph.keys)
    i, one = join(first, sender)
    j, other = join(second[i] * n + receiver[one], sender * n + receiver)
    return i[j], edges[one[j]], edges[other]


def count(graph: SignedGraph, *, strength: float, polarity: float) -> int:
    """Number of instances, by matrix products."""
    leaving = _excitatory(graph, strength, polarity)
    total = 0.0
    counts = mutual_inhibition.pair_counts(graph, strength=strength, polarity=polarity)
    for cases, pairs in counts:
        here = leaving[np.isin(graph.sender[leaving], cases)]
        receivers, columns = np.unique(graph.receiver[here], return_inverse=True)
        reads = np.zeros((len(cases), len(receivers)), np.float32)
        reads[np.searchsorted(cases, graph.sender[here]), columns] = 1
        total += float((pairs * (reads @ reads.T)).sum())
    return int(total)


def enriched(graph: SignedGraph, *, strength: float, polarity: float) -> int:
    """Number of mutual inhibitions that a neuron unites, of cases that only oppose each other.

    Each is counted once, however many neurons unite it. Near-copies that oppose each other in two
    inputs and agree in others do not count.
    """
    pairs, number = mutual_inhibition.only_opposed(graph, strength=strength, polarity=polarity)
    leaving = _excitatory(graph, strength, polarity)
    united, _, _ = _united(graph, leaving, *pairs.T)
    return int(number[np.unique(united)].sum())


def _excitatory(graph: SignedGraph, strength: float, polarity: float) -> np.ndarray:
    return np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)


MOTIF: Final = Motif(
    "unioning_over_cases",
    find,
    null="relabel",
    quick_count=count,
    enriched=enriched,
    about_p="p counts united mutual inhibitions of cases that oppose in all strong inputs they "
    "share",
)
