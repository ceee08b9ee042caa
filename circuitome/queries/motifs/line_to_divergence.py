"""Lines to divergences: neurons excited by radial lines and inhibited by tangent ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.motifs.posed import LINES, Pose
from circuitome.queries.motifs.posed_edges import Edges

__all__ = ["MOTIF", "POSE", "agreement"]


def agreement(edges: Edges) -> np.ndarray:
    """1 if a line lies along the direction of its place, -1 if at right angles to it, ``(m,)``."""
    along = edges.along(edges.x, edges.y)
    return 2 * along * along - 1


POSE: Final = Pose(
    "line_to_divergence", "divergence", LINES, ("divergence",), "orientation_deg", agreement
)
MOTIF: Final = POSE.motif()
