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
    **strong: float,
) -> Instances:
    """Cases and what unites them; the score is the weaker of both cosines, to nine digits.

    ``strong`` is what `SignedGraph.strong` asks of an edge to the union.
    """
    pairs = graph.partners.of(transform, q=q)
    cases, score = _mirrored(graph, *pairs, opposed=opposed, together=together)
    edges = np.flatnonzero(graph.strong(**strong) & graph.excites)
    unions = [_common(graph, edges, *pair) for pair in cases]
    held = [place for place, receivers in enumerate(unions) if len(receivers)]
    roles = {"case": cases[held], "union": [unions[place] for place in held]}
    return Instances(roles, score[held])


def _mirrored(
    graph: SignedGraph, first: np.ndarray, second: np.ndarray, *, opposed: float, together: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose fan-ins oppose and whose fan-outs agree, ``(m, 2)``, and how much, ``(m,)``."""
    n = len(graph.keys)
    fan_in = EdgeValues(graph.receiver, graph.sender, graph.weight, n).cosines(first, second)
    kept = np.round(-fan_in, 9) >= opposed
    first, second, fan_in = first[kept], second[kept], fan_in[kept]
    fan_out = EdgeValues(graph.sender, graph.receiver, graph.effect, n).cosines(first, second)
    kept = np.round(fan_out, 9) >= together
    score = np.round(np.minimum(-fan_in, fan_out), 9)
    return np.column_stack([first, second])[kept], score[kept]


def _common(graph: SignedGraph, edges: np.ndarray, one: int, other: int) -> np.ndarray:
    """Receivers that two neurons share among some edges, ascending."""
    reads = [graph.receiver[edges[graph.sender[edges] == case]] for case in (one, other)]
    return np.intersect1d(reads[0], reads[1])


MOTIF: Final = Motif(
    "mirrored_unions", find, null="relabel", evidence="responses", needs=lacking_pairs
)
