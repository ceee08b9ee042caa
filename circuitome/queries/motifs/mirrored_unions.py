"""Mirrored unions: cases that exclude each other, mirror each other's responses, read together.

The union over cases of *Zoom In*, with what the bare six edges leave out: that the cases are copies
of each other. Fan-in cosines are those of the weights; fan-out cosines are those of the effects,
weights in units of the receiver's root mean square.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.fans import EdgeValues
from circuitome.queries.motifs.feature_circuit import lacking_pairs
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find"]


def find(
    graph: SignedGraph,
    *,
    transform: str,
    q: float,
    opposed: float,
    together: float,
    strength: float,
    polarity: float,
) -> Instances:
    """Cases and what unites them; the score is the weaker of both cosines, to nine digits."""
    n = len(graph.keys)
    reads = EdgeValues(graph.receiver, graph.sender, graph.weight, n)
    sends = EdgeValues(graph.sender, graph.receiver, graph.effect, n)
    first, second = graph.partners.of(transform, q=q)
    fan_in = reads.cosines(first, second)
    kept = np.round(-fan_in, 9) >= opposed
    first, second, fan_in = first[kept], second[kept], fan_in[kept]
    fan_out = sends.cosines(first, second)
    kept = np.round(fan_out, 9) >= together
    cases = np.column_stack([first, second])[kept]
    score = np.round(np.minimum(-fan_in, fan_out)[kept], 9)
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    unions = [_common(graph, np.flatnonzero(strong), *pair) for pair in cases]
    held = [place for place, receivers in enumerate(unions) if len(receivers)]
    roles = {"case": cases[held], "union": [unions[place] for place in held]}
    return Instances(roles, score[held])


def _common(graph: SignedGraph, edges: np.ndarray, one: int, other: int) -> np.ndarray:
    """Receivers that two neurons share among some edges, ascending."""
    reads = [graph.receiver[edges[graph.sender[edges] == case]] for case in (one, other)]
    return np.intersect1d(reads[0], reads[1])


MOTIF: Final = Motif(
    "mirrored_unions", find, null="relabel", evidence="responses", needs=lacking_pairs
)
