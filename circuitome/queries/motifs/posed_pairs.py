"""Posed pairs: two poses that each excite their pose of a later feature, and what unites these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_pairs
from circuitome.queries.motifs.motif import Instances, Motif, join

__all__ = ["MOTIF", "find"]


@dataclass(frozen=True, slots=True)
class _Wires:
    """The strong excitatory edges of a graph of ``n`` neurons, ``(e,)`` each."""

    sender: np.ndarray
    receiver: np.ndarray
    strength: np.ndarray
    n: int

    @classmethod
    def of(cls, graph: SignedGraph, strength: float, polarity: float) -> _Wires:
        edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
        ends = graph.sender[edges], graph.receiver[edges]
        return cls(*ends, graph.strength[edges], len(graph.keys))

    def joining(self, sender: np.ndarray, receiver: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of some ends, ``(m,)`` each, an edge joins, and that edge."""
        return join(sender * self.n + receiver, self.sender * self.n + self.receiver)

    def beside(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Which edges keep apart, so that neither sender excites the other's receiver."""
        wired, sender, receiver = self.sender * self.n + self.receiver, self.sender, self.receiver
        across = np.isin(sender[one] * self.n + receiver[other], wired)
        return ~(across | np.isin(sender[other] * self.n + receiver[one], wired))


def find(
    graph: SignedGraph, *, transform: str, q: float, strength: float, polarity: float
) -> Instances:
    """The five neurons; the score is the strength of the weakest of the four edges."""
    wires = _Wires.of(graph, strength, polarity)
    one, other, up, beside = _united(wires, *_parallel(wires, *graph.partners.of(transform, q=q)))
    weakest = np.min(wires.strength[np.stack([one, other, up, beside])], axis=0)
    roles = {
        "first": wires.sender[one],
        "second": wires.sender[other],
        "later_first": wires.receiver[one],
        "later_second": wires.receiver[other],
        "union": wires.receiver[up],
    }
    return Instances(roles, weakest)


def _parallel(
    wires: _Wires, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two edges each, ``(m,)``, by which both of a pair excite their own of another pair.

    ``first`` and ``second`` are all pairs, ``(k,)`` each; a later pair may lie either way round.
    """
    i, one = join(first, wires.sender)  # a pair, and an edge from its first
    j, pair = join(wires.receiver[one], np.concatenate([first, second]))
    partner = np.concatenate([second, first])[pair]  # of what that excites
    k, other = wires.joining(second[i[j]], partner)
    one = one[j[k]]
    apart = wires.beside(one, other)
    return one[apart], other[apart]


def _united(wires: _Wires, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, ...]:
    """Two edges each, and two that join their receivers in one neuron; four times ``(m,)``."""
    i, up = join(wires.receiver[one], wires.sender)  # what the later first excites,
    one, other = one[i], other[i]
    j, beside = wires.joining(wires.receiver[other], wires.receiver[up])  # and the later second
    return one[j], other[j], up[j], beside


MOTIF: Final = Motif("posed_pairs", find, null="relabel", evidence="responses", needs=lacking_pairs)
