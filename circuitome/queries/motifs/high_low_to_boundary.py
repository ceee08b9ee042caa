"""High-low to boundary: excited by a high-low frequency detector and another cue to one border."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_kinds, of_kind
from circuitome.queries.motifs.motif import Instances, Motif, join
from circuitome.vocabulary import with_traits

__all__ = ["MOTIF", "find"]

_CUES: Final = with_traits("border")


def find(graph: SignedGraph, *, strength: float, polarity: float, agreement: float) -> Instances:
    """Boundary, high-low detector and cue; the score is the strength of the weaker edge."""
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    fine = np.flatnonzero(strong & of_kind(graph, "high_low")[graph.sender])
    cues = np.flatnonzero(strong & of_kind(graph, *_CUES)[graph.sender])
    i, j = join(graph.receiver[fine], graph.receiver[cues])
    one, other = fine[i], cues[j]
    orientation, size = graph.preferences["orientation_deg"], graph.strength
    turned = orientation[graph.sender[one]] - orientation[graph.sender[other]]
    alike = np.round(np.cos(np.deg2rad(2 * turned)), 9) >= agreement  # false if one is not known
    one, other = one[alike], other[alike]
    roles = {
        "boundary": graph.receiver[one],
        "high_low": graph.sender[one],
        "cue": graph.sender[other],
    }
    return Instances(roles, np.minimum(size[one], size[other]))


MOTIF: Final = Motif(
    "high_low_to_boundary",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("high_low",), _CUES),
)
