"""Superposition: a neuron that is spread over several hosts and is the main input of none.

Candidates are ranked by the participation ratio of their shares in their hosts,
``(sum s)^2 / sum s^2``: the effective number of hosts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Instances, Members, Motif

__all__ = ["MOTIF", "find"]


def find(graph: SignedGraph, *, strength: float, polarity: float, hosts: int) -> Instances:
    """Features and their hosts; the score is the effective number of hosts, to nine digits."""
    n = len(graph.keys)
    into = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    best = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(best, graph.sender, graph.rank)
    sender, share = graph.sender[into], graph.share[into]
    number = np.bincount(sender, minlength=n)
    total, squares = np.bincount(sender, share, n), np.bincount(sender, share * share, n)
    feature = np.flatnonzero((best > 1) & (number >= hosts) & (squares > 0))
    spread = np.round(total[feature] * total[feature] / squares[feature], 9)
    place = np.full(n, -1)
    place[feature] = np.arange(len(feature))
    held = place[sender] >= 0
    members = Members(place[sender[held]], graph.receiver[into[held]])
    return Instances({"feature": feature, "host": members}, spread)


MOTIF: Final = Motif("superposition", find)
