"""Contrast to centre: a centre-surround neuron that reads contrasts around it, the right side towards the centre.

A contrast has its named side (a hue, the light) to the left of its orientation; seen from where a kernel excites, the
kernel's centre lies the other way; where it inhibits, all is reversed. ``facing`` is the cosine between the two
directions, of colours times the cosine of the two hues, so that the opposite hue facing away counts alike.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import EDGES_OF_LIGHT, lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "centres", "count", "scores", "twin"]


def twin(
    graph: SignedGraph,
    *,
    strength: float = 1.0,
    apart: float = 0.25,
    min_inputs: int = 2,
    min_score: float = 0.5,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    centre, score, edges = centres(
        graph, strength=strength, apart=apart, min_inputs=min_inputs, min_score=min_score
    )
    rows = []
    for place in np.lexsort((centre, -score))[:limit]:
        here = edges[graph.receiver[edges] == centre[place]]
        roles = {
            "centre": graph.names(centre[[place]]),
            "contrast": graph.names(np.sort(graph.sender[here])),
        }
        rows.append(instance("contrast_to_centre", graph.model, float(score[place]), roles))
    return rows


def count(
    graph: SignedGraph,
    *,
    strength: float = 1.0,
    apart: float = 0.25,
    min_inputs: int = 2,
    min_score: float = 0.5,
) -> int:
    """Number of instances."""
    return len(
        scores(graph, strength=strength, apart=apart, min_inputs=min_inputs, min_score=min_score)
    )


def scores(
    graph: SignedGraph,
    *,
    strength: float = 1.0,
    apart: float = 0.25,
    min_inputs: int = 2,
    min_score: float = 0.5,
) -> np.ndarray:
    """Scores of all instances."""
    return centres(
        graph, strength=strength, apart=apart, min_inputs=min_inputs, min_score=min_score
    )[1]


def centres(
    graph: SignedGraph, *, strength: float, apart: float, min_inputs: int, min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The centres as numbers of neurons, their scores to nine digits, and all edges from contrasts that agree."""
    edges, facing = _faced(graph, strength=strength, apart=apart)
    receiver, n = graph.receiver[edges], len(graph.keys)
    mean = _mean_by(receiver, facing, graph.share[edges], size=n)
    coloured = of_kind(graph, "colour_centre_surround")
    score = np.round(np.where(coloured, mean, np.abs(mean)), 9)
    found = (np.bincount(receiver, minlength=n) >= max(min_inputs, 1)) & (score >= min_score)
    centre = np.flatnonzero(found)
    return centre, score[centre], edges[found[receiver] & (facing * mean[receiver] > 0)]


def _faced(graph: SignedGraph, *, strength: float, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Strong edges from contrasts to centres whose kernels have a way, and how much each faces, ``(m,)`` both."""
    orientation, hue = graph.preferences["orientation_deg"], graph.preferences["hue_deg"]
    oriented = ~np.isnan(orientation)
    pairs = (
        (of_kind(graph, "colour_contrast") & oriented & ~np.isnan(hue), of_kind(graph, "colour_centre_surround") & ~np.isnan(hue)),
        (of_kind(graph, *EDGES_OF_LIGHT) & oriented, of_kind(graph, "centre_surround")),
    )  # fmt: skip
    joined = np.any(
        [contrast[graph.sender] & centre[graph.receiver] for contrast, centre in pairs], axis=0
    )
    edges = np.flatnonzero(joined & (graph.strength >= strength))
    sender, receiver = graph.sender[edges], graph.receiver[edges]
    plus, minus = (
        (1 + graph.polarity[edges]) / 2,
        (1 - graph.polarity[edges]) / 2,
    )  # how much excites, how much inhibits
    x = plus * np.nan_to_num(graph.ex[edges]) - minus * np.nan_to_num(graph.ix[edges])
    y = plus * np.nan_to_num(graph.ey[edges]) - minus * np.nan_to_num(graph.iy[edges])
    way = np.sqrt(x * x + y * y)
    there = (way >= apart) & (way > 0)
    edges, sender, receiver, x, y, way = (
        each[there] for each in (edges, sender, receiver, x, y, way)
    )
    coloured = of_kind(graph, "colour_centre_surround")[receiver]
    same_hue = np.where(coloured, np.cos(np.deg2rad(hue[sender] - hue[receiver])), 1.0)
    angle = np.deg2rad(orientation[sender])
    return edges, same_hue * (x * np.sin(angle) + y * np.cos(angle)) / way


def _mean_by(group: np.ndarray, value: np.ndarray, weight: np.ndarray, *, size: int) -> np.ndarray:
    """Weighted mean of values in each of ``size`` groups, ``(size,)``; 0 where a group is empty. All inputs ``(m,)``."""
    total = np.bincount(group, weight, size)
    return np.divide(
        np.bincount(group, weight * value, size), total, out=np.zeros(size), where=total > 0
    )


MOTIF: Final = Motif(
    "contrast_to_centre",
    {"centre": ("centre",), "contrast": ("contrast",)},
    twin,
    count,
    group="centre",
    scores=scores,
    null="labels",
    missing=lacking_kinds(
        ("colour_contrast", *EDGES_OF_LIGHT), ("colour_centre_surround", "centre_surround")
    ),
    evidence="responses",
)
