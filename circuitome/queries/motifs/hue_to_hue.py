"""Hue to hue: neurons for a hue, excited by like hues and inhibited by opposite ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.motifs.posed import HUES, Pose
from circuitome.queries.motifs.posed_edges import Edges

__all__ = ["MOTIF", "POSE", "agreement"]


def agreement(edges: Edges) -> np.ndarray:
    """Cosine of the angle between the hues of both ends, ``(m,)``."""
    return np.cos(edges.turn - edges.facing)


POSE: Final = Pose("hue_to_hue", "hue", HUES, HUES, "hue_deg", agreement, faces=True, placed=False)
MOTIF: Final = POSE.motif()
