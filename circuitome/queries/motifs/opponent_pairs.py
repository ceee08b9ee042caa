"""Opponent pairs: two neurons of a layer whose whole fan-ins oppose, with a strong edge each
way.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.fans import fan_in_cosines, paired, wedges
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find"]


def find(graph: SignedGraph, *, cosine: float, strength: float, polarity: float) -> Instances:
    """Both cases, the lower first; the score is how much they oppose, to nine digits."""
    found = []
    for fan in graph.fans():
        wedge = wedges(graph, fan, strength=strength, polarity=polarity)
        one, other = np.nonzero(np.triu(wedge & wedge.T, 1))
        if not len(one):
            continue
        score = -fan_in_cosines(graph, fan, one, other, near=-cosine)
        opposed = score >= cosine
        cases = fan.neurons[one[opposed]], fan.neurons[other[opposed]]
        found.append(np.column_stack([*cases, score[opposed]]))
    return paired(found)


MOTIF: Final = Motif("opponent_pairs", find)
