"""Weight banding: layers whose signed kernels vary along y more than along x."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "banding_ratio", "count", "twin"]


def banding_ratio(kernels: np.ndarray) -> float:
    """Variance along y of the row means over variance along x of the column means, summed over all kernels.

    ``kernels``: signed, ``(out, fan_in, kh, kw)``. 1 where no direction is preferred, NaN where neither varies.

    >>> banding_ratio(np.array([[[[1.0, 1.0], [0.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]]))
    1.0
    """
    kernels = kernels.astype(np.float64)
    down, across = kernels.mean(3).var(2).sum(), kernels.mean(2).var(2).sum()
    if across == 0:
        return float("inf") if down > 0 else float("nan")
    return float(down / across)


def twin(graph: SignedGraph, *, least: float = 0.0, limit: int = 100) -> list[dict[str, Any]]:
    """The motif rows of the query, from the layers' ratios alone; the role ``layer`` holds a layer's key."""
    layers = sorted((band for band in graph.banding if band[1] >= least), key=lambda band: (-band[1], band[0]))
    return [
        instance("weight_banding", graph.model, ratio, {"layer": [layer]}, p=p) for layer, ratio, p in layers[:limit]
    ]


def count(graph: SignedGraph, *, least: float = 0.0) -> int:
    """Number of layers that have at least this ratio."""
    return sum(ratio >= least for _, ratio, _ in graph.banding)


MOTIF: Final = Motif("weight_banding", {"layer": ("layer",)}, twin, count)
