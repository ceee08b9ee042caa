"""Curves to circles, and to evolutes: curves at their places round a middle, all bent towards it, or all away from it.

A circle is made of curves whose centres of curvature lie inwards; an *evolute* of the same curves turned about
(*Naturally Occurring Equivariance in Neural Networks*, Distill 2020).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.posed import ROUND, Edges, Pose

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["MOTIF", "POSES"]


def _outwards(edges: Edges) -> np.ndarray:
    """1 where a curve's centre of curvature lies outwards of its place, -1 where it lies inwards, ``(m,)``."""
    return edges.along(edges.x, edges.y)


def _inwards(edges: Edges) -> np.ndarray:
    return -_outwards(edges)


POSES: Final = {
    "inwards": Pose("curve_to_circle", "circle", ("curve",), ROUND, "orientation_deg", _inwards),
    "outwards": Pose("curve_to_circle", "circle", ("curve",), (), "orientation_deg", _outwards),
}
"""What is asked, by where the centres of curvature lie; an evolute may be of any kind."""


def _pose(points: str) -> Pose:
    if points not in POSES:
        cure = near(points, POSES, otherwise=f"there are {', '.join(POSES)}")
        raise QueryError(f"curve_to_circle: curves cannot point {points!r}; {cure}")
    return POSES[points]


def _twin(
    graph: SignedGraph, *, points: str = "inwards", **parameters: Any
) -> list[dict[str, Any]]:
    return _pose(points).twin(graph, **parameters)


def _count(graph: SignedGraph, *, points: str = "inwards", **parameters: Any) -> int:
    return _pose(points).count(graph, **parameters)


def _scores(graph: SignedGraph, *, points: str = "inwards", **parameters: Any) -> np.ndarray:
    return _pose(points).scores(graph, **parameters)


def _missing(
    database: Database, model: str, *, points: str = "inwards", **parameters: Any
) -> str | None:
    return _pose(points).missing(database, model, **parameters)


MOTIF: Final = replace(
    POSES["inwards"].motif(), twin=_twin, count=_count, scores=_scores, missing=_missing
)
