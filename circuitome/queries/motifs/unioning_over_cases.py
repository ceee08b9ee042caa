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

__all__ = ["MOTIF", "count", "find"]


def find(graph: SignedGraph, *, strength: float, polarity: float) -> Instances:
    """United neuron, cases and sources; the score is the strength of the weakest edge."""
    opposed = mutual_inhibition.find(graph, strength=strength, polarity=polarity)
    leaving = _excitatory(graph, strength, polarity)
    sender, receiver = graph.sender[leaving], graph.receiver[leaving]
    size, n = graph.strength[leaving], len(graph.keys)
    case_1, case_2, source_1, source_2 = opposed.columns()
    # what both cases excite, once a pair of cases and not once an opposition
    pairs, pair = np.unique(case_1 * n + case_2, return_inverse=True)
    i, first = join(pairs // n, sender)
    united = receiver[first]
    j, second = join((pairs % n)[i] * n + united, sender * n + receiver)
    i, united, weakest = i[j], united[j], np.minimum(size[first[j]], size[second])
    i, j = join(pair, i)
    roles = {
        "union": united[j],
        "case": np.column_stack([case_1[i], case_2[i]]),
        "source": np.column_stack([source_1[i], source_2[i]]),
    }
    return Instances(roles, np.minimum(opposed.score[i], weakest[j]))


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


def _excitatory(graph: SignedGraph, strength: float, polarity: float) -> np.ndarray:
    return np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)


MOTIF: Final = Motif("unioning_over_cases", find, quick_count=count)
