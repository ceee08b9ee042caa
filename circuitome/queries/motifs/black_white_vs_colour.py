"""Black and white against colour: grey inputs of one sign and coloured inputs of the other."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Instances, Members, Motif
from circuitome.vocabulary import with_traits

__all__ = ["MOTIF", "find"]

_GREY: Final = with_traits("grey")
_COLOURED: Final = with_traits("coloured")


def find(graph: SignedGraph, *, strength: float, min_score: float) -> Instances:
    """Detectors and the grey and coloured inputs that agree; the score is to nine digits."""
    n = len(graph.keys)
    read = of_kind(graph, "bw_vs_colour")[graph.receiver] & (graph.strength >= strength)
    sides = [
        np.flatnonzero(read & of_kind(graph, *kinds)[graph.sender]) for kinds in (_GREY, _COLOURED)
    ]
    net, weight = (
        [np.bincount(graph.receiver[edges], values[edges], n) for edges in sides]
        for values in (graph.share * graph.polarity, graph.share)
    )
    grey, colour = net
    both = weight[0] + weight[1]
    weaker = np.minimum(np.abs(grey), np.abs(colour))
    score = np.round(np.divide(2 * weaker, both, out=np.zeros(n), where=both > 0), 9)
    detector = np.flatnonzero((grey * colour < 0) & (score >= min_score))
    inputs = [
        _agreeing(graph, detector, edges, total) for edges, total in zip(sides, net, strict=True)
    ]
    roles = {"detector": detector, "grey": inputs[0], "colour": inputs[1]}
    return Instances(roles, score[detector])


def _agreeing(
    graph: SignedGraph, detector: np.ndarray, edges: np.ndarray, total: np.ndarray
) -> Members:
    """Senders of the edges into detectors that have the sign of the detector's total ``(n,)``."""
    place = np.full(len(graph.keys), -1)
    place[detector] = np.arange(len(detector))
    receiver = graph.receiver[edges]
    agrees = (place[receiver] >= 0) & (graph.polarity[edges] * total[receiver] > 0)
    return Members(place[receiver[agrees]], graph.sender[edges[agrees]])


MOTIF: Final = Motif(
    "black_white_vs_colour",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("bw_vs_colour",), _COLOURED, _GREY),
)
