"""High-low to boundary: a neuron that a high-low frequency detector excites together with another cue of its orientation."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import BORDERS, lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Motif, instance, join

__all__ = ["MOTIF", "boundaries", "count", "scores", "twin"]


def twin(
    graph: SignedGraph,
    *,
    strength: float = 4.0,
    polarity: float = 0.2,
    agreement: float = 0.5,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    *neurons, score = boundaries(graph, strength=strength, polarity=polarity, agreement=agreement)
    order = np.lexsort((*neurons[::-1], -score))[:limit]
    named = zip(
        score[order].tolist(), *(graph.names(column[order]) for column in neurons), strict=True
    )
    return [
        instance(
            "high_low_to_boundary",
            graph.model,
            value,
            {"boundary": [b], "high_low": [h], "cue": [c]},
        )
        for value, b, h, c in named
    ]


def count(
    graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2, agreement: float = 0.5
) -> int:
    """Number of instances."""
    return len(scores(graph, strength=strength, polarity=polarity, agreement=agreement))


def scores(
    graph: SignedGraph, *, strength: float = 4.0, polarity: float = 0.2, agreement: float = 0.5
) -> np.ndarray:
    """Scores of all instances."""
    return boundaries(graph, strength=strength, polarity=polarity, agreement=agreement)[3]


def boundaries(
    graph: SignedGraph, *, strength: float, polarity: float, agreement: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Boundary, high-low detector and cue of each instance as numbers of neurons, and the strength of the weaker edge."""
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    fine = np.flatnonzero(strong & of_kind(graph, "high_low")[graph.sender])
    cues = np.flatnonzero(strong & of_kind(graph, *BORDERS)[graph.sender])
    i, j = join(graph.receiver[fine], graph.receiver[cues])
    one, other = fine[i], cues[j]
    orientation, size = graph.preferences["orientation_deg"], graph.strength
    turned = orientation[graph.sender[one]] - orientation[graph.sender[other]]
    there = (
        np.round(np.cos(np.deg2rad(2 * turned)), 9) >= agreement
    )  # false where an orientation is not known
    one, other = one[there], other[there]
    return (
        graph.receiver[one],
        graph.sender[one],
        graph.sender[other],
        np.minimum(size[one], size[other]),
    )


MOTIF: Final = Motif(
    "high_low_to_boundary",
    {"boundary": ("boundary",), "high_low": ("high_low",), "cue": ("cue",)},
    twin,
    count,
    scores=scores,
    null="labels",
    missing=lacking_kinds(("high_low",), BORDERS),
    evidence="responses",
)
