"""What is known of edges between posed neurons: how both ends lie, and where the sender is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitome.queries.arrays import mean_by
from circuitome.queries.graph import SignedGraph

__all__ = ["Edges", "means", "places"]


@dataclass(frozen=True, slots=True)
class Edges:
    """Some edges and what is known of their ends; ``m`` edges.

    Angles are in radians, counter-clockwise on the screen.
    """

    kind: np.ndarray  # (m,) str, of the sender
    turn: np.ndarray  # (m,) orientation or hue of the sender
    facing: np.ndarray  # (m,) the same of the receiver; NaN if it has none
    x: np.ndarray  # (m,) pixels right of the kernel's centre; NaN if no place is asked
    y: np.ndarray  # (m,) pixels below it

    def along(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cosine between each sender's orientation and a direction, ``(m,)``; ``y`` is down."""
        return (np.cos(self.turn) * x - np.sin(self.turn) * y) / np.sqrt(x * x + y * y)


def places(graph: SignedGraph, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the kernels' parts that excite, if the edge does, or inhibit; ``(m,)`` each.

    Pixels right of the kernel's middle, and below it.
    """
    excites = graph.excites[edges]
    x = np.where(excites, graph.ex[edges], graph.ix[edges])
    return x, np.where(excites, graph.ey[edges], graph.iy[edges])


def means(
    group: np.ndarray, value: np.ndarray, weight: np.ndarray, *, size: int, least: int
) -> np.ndarray:
    """Weighted means to nine digits, ``(size,)``; NaN for groups of fewer than ``least`` values.

    All but the size as in `mean_by`; a group whose weights are zeros has no mean, either.
    """
    enough = np.bincount(group, minlength=size) >= least
    some = np.bincount(group, weight, size) > 0
    return np.where(enough & some, np.round(mean_by(group, value, weight, size=size), 9), np.nan)
