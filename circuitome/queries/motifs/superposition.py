"""Superposition: a neuron that is spread over several hosts and is the main input of none.

Candidates are ranked by the participation ratio of their shares in their hosts,
``(sum s)^2 / sum s^2``: the effective number of hosts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.arrays import quotient
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Instances, Members, Motif

__all__ = ["MOTIF", "find"]


def find(graph: SignedGraph, *, strength: float, polarity: float, hosts: int) -> Instances:
    """Features and their hosts; the score is the effective number of hosts, to nine digits."""
    into = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    sender, share, n = graph.sender[into], graph.share[into], len(graph.keys)
    total, squares = np.bincount(sender, share, n), np.bincount(sender, share * share, n)
    spread = np.round(quotient(total * total, squares), 9)
    enough = np.bincount(sender, minlength=n) >= hosts
    feature = np.flatnonzero((_best_rank(graph) > 1) & enough & (squares > 0))
    members = Members.around(feature, sender, graph.receiver[into])
    return Instances({"feature": feature, "host": members}, spread[feature])


def _best_rank(graph: SignedGraph) -> np.ndarray:
    """The best rank that each neuron has as an input, ``(n,)``."""
    best = np.full(len(graph.keys), np.iinfo(np.int64).max)
    np.minimum.at(best, graph.sender, graph.rank)
    return best


MOTIF: Final = Motif("superposition", find)
