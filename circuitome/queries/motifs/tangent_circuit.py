"""Tangent circuits: curves excited by curves and lines tangent to them, inhibited by opposing ones.

The curve is taken as an arc of ``radius`` through the middle of the kernel. At the place of an
input the tangent is at right angles to the direction of the arc's centre: a line agrees by the
cosine of twice its angle to the tangent, a curve by the cosine of the angle between its own
direction of curvature and that of the centre (*Curve Circuits*, Distill 2021).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.motifs.posed import LINES, Pose
from circuitome.queries.motifs.posed_edges import Edges

__all__ = ["MOTIF", "POSE", "agreement"]


def agreement(edges: Edges, *, radius: float) -> np.ndarray:
    """How far each input is tangent to the arc at its place, from -1 to 1, ``(m,)``.

    ``radius`` is in pixels of the kernel.
    """
    along = edges.along(
        radius * np.cos(edges.facing) - edges.x, -radius * np.sin(edges.facing) - edges.y
    )
    return np.where(edges.kind == "curve", along, 1 - 2 * along * along)


POSE: Final = Pose(
    "tangent_circuit",
    "curve",
    ("curve", *LINES),
    ("curve",),
    "orientation_deg",
    agreement,
    faces=True,
)
MOTIF: Final = POSE.motif()
