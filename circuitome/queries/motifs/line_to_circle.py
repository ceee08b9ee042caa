"""Lines to circles: round neurons excited by lines tangent to a ring, inhibited by radial ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.motifs.posed import LINES, ROUND, Pose
from circuitome.queries.motifs.posed_edges import Edges

__all__ = ["MOTIF", "POSE", "agreement"]


def agreement(edges: Edges) -> np.ndarray:
    """1 if a line lies at right angles to the direction of its place, -1 if along it, ``(m,)``."""
    along = edges.along(edges.x, edges.y)
    return 1 - 2 * along * along


POSE: Final = Pose("line_to_circle", "circle", LINES, ROUND, "orientation_deg", agreement)
MOTIF: Final = POSE.motif()
