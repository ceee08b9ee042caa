"""Contrast to centre: a centre-surround neuron that reads contrasts around it, facing the centre.

A contrast has its named side (a hue, the light) to the left of its orientation; seen from where a
kernel excites, the kernel's centre lies the other way; where it inhibits, all is reversed.
``facing`` is the cosine between the two directions, of colours times the cosine of the two hues, so
that the opposite hue facing away counts alike.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.arrays import mean_by
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
    receiver = graph.receiver[edges]
    mean = mean_by(receiver, facing, graph.share[edges], size=len(graph.keys))
    score = np.round(np.where(of_kind(graph, _COLOUR_CENTRE), mean, np.abs(mean)), 9)
    number = np.bincount(receiver, minlength=len(mean))
    centre = np.flatnonzero((number >= max(min_inputs, 1)) & (score >= min_score))
    agree = edges[facing * mean[receiver] > 0]
    contrasts = Members.around(centre, graph.receiver[agree], graph.sender[agree])
    return Instances({"centre": centre, "contrast": contrasts}, score[centre])


def _faced(graph: SignedGraph, *, strength: float, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Strong edges from contrasts whose kernels have a way, and how much each faces, ``(m,)``."""
    edges = np.flatnonzero(_joined(graph) & (graph.strength >= strength))
    x, y = _way(graph, edges)
    length = np.sqrt(x * x + y * y)
    kept = (length >= apart) & (length > 0)
    edges, x, y = edges[kept], x[kept], y[kept]
    angle = np.deg2rad(graph.preferences["orientation_deg"][graph.sender[edges]])
    along = x * np.sin(angle) + y * np.cos(angle)
    return edges, _same_hue(graph, edges) * along / length[kept]


def _way(graph: SignedGraph, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels from where each kernel inhibits to where it excites, right and down, ``(m,)`` each."""
    plus = (1 + graph.polarity[edges]) / 2  # how much excites
    minus = (1 - graph.polarity[edges]) / 2  # how much inhibits
    x = plus * np.nan_to_num(graph.ex[edges]) - minus * np.nan_to_num(graph.ix[edges])
    y = plus * np.nan_to_num(graph.ey[edges]) - minus * np.nan_to_num(graph.iy[edges])
    return x, y


def _same_hue(graph: SignedGraph, edges: np.ndarray) -> np.ndarray:
    """Cosine of the hues of both ends of edges into centres of colour, ``(m,)``; 1 for others."""
    sender, receiver, hue = graph.sender[edges], graph.receiver[edges], graph.preferences["hue_deg"]
    alike = np.cos(np.deg2rad(hue[sender] - hue[receiver]))
    return np.where(of_kind(graph, _COLOUR_CENTRE)[receiver], alike, 1.0)


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


MOTIF: Final = Motif(
    "contrast_to_centre",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("colour_contrast", *_EDGES_OF_LIGHT), (_COLOUR_CENTRE, "centre_surround")),
)
