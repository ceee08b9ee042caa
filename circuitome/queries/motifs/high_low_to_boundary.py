"""High-low to boundary: excited by a high-low frequency detector and another cue to one border."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_kinds, sent_by
from circuitome.queries.motifs.motif import Instances, Motif, join
from circuitome.vocabulary import with_traits

__all__ = ["MOTIF", "find"]

_CUES: Final = with_traits("border")


def find(graph: SignedGraph, *, strength: float, polarity: float, agreement: float) -> Instances:
    """Boundary, high-low detector and cue; the score is the strength of the weaker edge."""
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    fine, cues = sent_by(graph, ["high_low"], strong), sent_by(graph, _CUES, strong)
    i, j = join(graph.receiver[fine], graph.receiver[cues])
    one, other = fine[i], cues[j]
    alike = _parallel(graph, one, other) >= agreement  # false if one is not known
    one, other = one[alike], other[alike]
    ends = {"high_low": graph.sender[one], "cue": graph.sender[other]}
    weaker = np.minimum(graph.strength[one], graph.strength[other])
    return Instances({"boundary": graph.receiver[one], **ends}, weaker)


def _parallel(graph: SignedGraph, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Cosine of twice the angle between the senders of two edges, to nine digits, ``(m,)``."""
    angle = graph.preferences["orientation_deg"]
    between = angle[graph.sender[one]] - angle[graph.sender[other]]
    return np.round(np.cos(np.deg2rad(2 * between)), 9)


MOTIF: Final = Motif(
    "high_low_to_boundary",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("high_low",), _CUES),
)
