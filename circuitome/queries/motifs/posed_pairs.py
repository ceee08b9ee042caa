"""Posed pairs: two poses that each excite their pose of a later feature, and what unites these."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_pairs
from circuitome.queries.motifs.motif import Instances, Motif, join

__all__ = ["MOTIF", "find"]


def find(
    graph: SignedGraph, *, transform: str, q: float, strength: float, polarity: float
) -> Instances:
    """The five neurons; the score is the strength of the weakest of the four edges."""
    n, size = len(graph.keys), graph.strength
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    sender, receiver = graph.sender[edges], graph.receiver[edges]
    wired = sender * n + receiver
    first, second = graph.partners.of(transform, q=q)
    either_way = np.concatenate([first, second]), np.concatenate([second, first])
    i, one = join(first, sender)  # a pair, and an edge from its first
    j, partner = join(receiver[one], either_way[0])  # and the partners of what that excites
    pair, one, later = i[j], one[j], either_way[1][partner]
    k, other = join(second[pair] * n + later, wired)  # of which the second excites its own
    pair, one = pair[k], one[k]
    straight = ~np.isin(first[pair] * n + receiver[other], wired)
    straight &= ~np.isin(second[pair] * n + receiver[one], wired)
    pair, one, other = pair[straight], one[straight], other[straight]
    i, up = join(receiver[one], sender)  # what the later first excites,
    j, beside = join(receiver[other[i]] * n + receiver[up], wired)  # and the later second as well
    pair, one, other, up = pair[i[j]], one[i[j]], other[i[j]], up[j]
    ways = [size[edges[way]] for way in (one, other, up, beside)]
    roles = {
        "first": first[pair],
        "second": second[pair],
        "later_first": receiver[one],
        "later_second": receiver[other],
        "union": receiver[up],
    }
    return Instances(roles, np.min(ways, axis=0, initial=np.inf))


MOTIF: Final = Motif("posed_pairs", find, null="relabel", evidence="responses", needs=lacking_pairs)
