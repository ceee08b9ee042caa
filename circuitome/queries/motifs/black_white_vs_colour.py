"""Black and white against colour: a detector whose grey inputs have one sign and whose coloured inputs the other."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import COLOURED, GREY, lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "count", "detectors", "scores", "twin"]


def twin(
    graph: SignedGraph, *, strength: float = 1.0, min_score: float = 0.5, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    detector, score, grey, coloured = detectors(graph, strength=strength, min_score=min_score)
    rows = []
    for place in np.lexsort((detector, -score))[:limit]:
        plain, colour = (
            graph.names(np.sort(graph.sender[edges[graph.receiver[edges] == detector[place]]]))
            for edges in (grey, coloured)
        )
        roles = {"detector": graph.names(detector[[place]]), "grey": plain, "colour": colour}
        rows.append(instance("black_white_vs_colour", graph.model, float(score[place]), roles))
    return rows


def count(graph: SignedGraph, *, strength: float = 1.0, min_score: float = 0.5) -> int:
    """Number of instances."""
    return len(scores(graph, strength=strength, min_score=min_score))


def scores(graph: SignedGraph, *, strength: float = 1.0, min_score: float = 0.5) -> np.ndarray:
    """Scores of all instances."""
    return detectors(graph, strength=strength, min_score=min_score)[1]


def detectors(
    graph: SignedGraph, *, strength: float, min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The detectors as numbers of neurons, their scores to nine digits, and the edges from grey and coloured inputs that agree."""
    n = len(graph.keys)
    read = of_kind(graph, "bw_vs_colour")[graph.receiver] & (graph.strength >= strength)
    sides = [
        np.flatnonzero(read & of_kind(graph, *kinds)[graph.sender]) for kinds in (GREY, COLOURED)
    ]
    net, weight = (
        [np.bincount(graph.receiver[edges], values[edges], n) for edges in sides]
        for values in (graph.share * graph.polarity, graph.share)
    )
    grey, colour = net
    both = weight[0] + weight[1]
    weaker = np.minimum(np.abs(grey), np.abs(colour))
    score = np.round(np.divide(2 * weaker, both, out=np.zeros(n), where=both > 0), 9)
    found = (grey * colour < 0) & (score >= min_score)
    agreeing = [
        edges[
            found[graph.receiver[edges]]
            & (graph.polarity[edges] * total[graph.receiver[edges]] > 0)
        ]
        for edges, total in zip(sides, net, strict=True)
    ]
    detector = np.flatnonzero(found)
    return detector, score[detector], agreeing[0], agreeing[1]


MOTIF: Final = Motif(
    "black_white_vs_colour",
    {"detector": ("detector",), "grey": ("grey",), "colour": ("colour",)},
    twin,
    count,
    group="detector",
    scores=scores,
    null="labels",
    missing=lacking_kinds(("bw_vs_colour",), COLOURED, GREY),
    evidence="responses",
)
