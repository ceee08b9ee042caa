"""Curves to circles and evolutes: curves round a middle, all bent towards it or away from it.

A circle is made of curves whose centres of curvature lie inwards; an *evolute* of the same curves
turned about (*Naturally Occurring Equivariance in Neural Networks*, Distill 2020).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from circuitome.queries.asks import Asks
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack
from circuitome.queries.motifs.motif import Instances, Value
from circuitome.queries.motifs.posed import ROUND, Pose
from circuitome.queries.motifs.posed_edges import Edges

__all__ = ["MOTIF", "POSES"]


def _outwards(edges: Edges) -> np.ndarray:
    """1 if a curve's centre of curvature lies outwards of its place, -1 if inwards, ``(m,)``."""
    return edges.along(edges.x, edges.y)


def _inwards(edges: Edges) -> np.ndarray:
    return -_outwards(edges)


POSES: Final = {
    "inwards": Pose("curve_to_circle", "circle", ("curve",), ROUND, "orientation_deg", _inwards),
    "outwards": Pose("curve_to_circle", "circle", ("curve",), (), "orientation_deg", _outwards),
}
"""What is asked, by where the centres of curvature lie; an evolute may be of any kind."""


def _find(graph: SignedGraph, *, points: str, **thresholds: Any) -> Instances:
    return POSES[points].find(graph, **thresholds)


def _missing(database: Asks, model: str, *, points: str, **thresholds: Value) -> Lack | None:
    return POSES[points].missing(database, model, **thresholds)


MOTIF: Final = replace(
    POSES["inwards"].motif(), find=_find, needs=_missing, choices={"points": tuple(POSES)}
)
