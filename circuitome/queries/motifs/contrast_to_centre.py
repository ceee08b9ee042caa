"""Contrast to centre: a centre-surround neuron that reads contrasts around it, facing the centre.

A contrast has its named side (a hue, the light) to the left of its orientation; seen from where a
kernel excites, the kernel's centre lies the other way; where it inhibits, all is reversed.
``facing`` is the cosine between the two directions, of colours times the cosine of the two hues, so
that the opposite hue facing away counts alike.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Instances, Members, Motif
from circuitome.vocabulary import with_traits

__all__ = ["MOTIF", "find"]

_EDGES_OF_LIGHT: Final = with_traits("bright side")
_COLOUR_CENTRE: Final = "colour_centre_surround"


def find(
    graph: SignedGraph, *, strength: float, apart: float, min_inputs: int, min_score: float
) -> Instances:
    """Centres and the contrasts that agree; the score is the mean facing, to nine digits."""
    edges, facing = _faced(graph, strength=strength, apart=apart)
    receiver, n = graph.receiver[edges], len(graph.keys)
    mean = _mean_by(receiver, facing, graph.share[edges], size=n)
    coloured = of_kind(graph, _COLOUR_CENTRE)
    score = np.round(np.where(coloured, mean, np.abs(mean)), 9)
    enough = np.bincount(receiver, minlength=n) >= max(min_inputs, 1)
    centre = np.flatnonzero(enough & (score >= min_score))
    place = np.full(n, -1)
    place[centre] = np.arange(len(centre))
    agrees = (place[receiver] >= 0) & (facing * mean[receiver] > 0)
    contrasts = Members(place[receiver[agrees]], graph.sender[edges[agrees]])
    return Instances({"centre": centre, "contrast": contrasts}, score[centre])


def _faced(graph: SignedGraph, *, strength: float, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Strong edges from contrasts whose kernels have a way, and how much each faces, ``(m,)``."""
    edges = np.flatnonzero(_joined(graph) & (graph.strength >= strength))
    plus = (1 + graph.polarity[edges]) / 2  # how much excites
    minus = (1 - graph.polarity[edges]) / 2  # how much inhibits
    x = plus * np.nan_to_num(graph.ex[edges]) - minus * np.nan_to_num(graph.ix[edges])
    y = plus * np.nan_to_num(graph.ey[edges]) - minus * np.nan_to_num(graph.iy[edges])
    way = np.sqrt(x * x + y * y)
    kept = (way >= apart) & (way > 0)
    edges, x, y, way = edges[kept], x[kept], y[kept], way[kept]
    sender, receiver = graph.sender[edges], graph.receiver[edges]
    hue = graph.preferences["hue_deg"]
    coloured = of_kind(graph, _COLOUR_CENTRE)[receiver]
    same_hue = np.where(coloured, np.cos(np.deg2rad(hue[sender] - hue[receiver])), 1.0)
    angle = np.deg2rad(graph.preferences["orientation_deg"][sender])
    return edges, same_hue * (x * np.sin(angle) + y * np.cos(angle)) / way


def _joined(graph: SignedGraph) -> np.ndarray:
    """Which edges lead from a contrast to a centre of its sort, ``(e,)`` bool."""
    oriented = ~np.isnan(graph.preferences["orientation_deg"])
    hued = ~np.isnan(graph.preferences["hue_deg"])
    colour = of_kind(graph, "colour_contrast") & oriented & hued
    light = of_kind(graph, *_EDGES_OF_LIGHT) & oriented
    colour_centre = of_kind(graph, _COLOUR_CENTRE) & hued
    light_centre = of_kind(graph, "centre_surround")
    sender, receiver = graph.sender, graph.receiver
    of_colour = colour[sender] & colour_centre[receiver]
    return of_colour | (light[sender] & light_centre[receiver])


def _mean_by(group: np.ndarray, value: np.ndarray, weight: np.ndarray, *, size: int) -> np.ndarray:
    """Weighted mean of values ``(m,)`` in each of ``size`` groups, ``(size,)``; 0 if empty."""
    total = np.bincount(group, weight, size)
    return np.divide(
        np.bincount(group, weight * value, size), total, out=np.zeros(size), where=total > 0
    )


MOTIF: Final = Motif(
    "contrast_to_centre",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("colour_contrast", *_EDGES_OF_LIGHT), (_COLOUR_CENTRE, "centre_surround")),
)
