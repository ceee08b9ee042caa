"""Weight banding: layers whose signed kernels vary along y more than along x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Bundled, Motif, instance
from circuitome.significance import benjamini_hochberg

__all__ = ["BUNDLED", "MOTIF", "NULL", "banding_p", "banding_ratio", "count", "significant", "twin"]

NULL: Final = "transpose"
"""Name of the null model: each filter of a layer transposed, or not, at random. It needs the kernels of a bundle."""


def banding_ratio(kernels: np.ndarray) -> float:
    """Variance along y of the row means over variance along x of the column means, summed over all kernels.

    ``kernels``: signed, ``(out, fan_in, kh, kw)``. 1 where no direction is preferred, NaN where neither varies.

    >>> banding_ratio(np.array([[[[1.0, 1.0], [0.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]]))
    1.0
    """
    filters = _variances(kernels)
    down, across = float(filters[0].sum()), float(filters[1].sum())
    if across == 0:
        return float("inf") if down > 0 else float("nan")
    return down / across


def banding_p(kernels: np.ndarray, *, nulls: int, rng: np.random.Generator) -> float | None:
    """p of a layer's ratio: the share of layers with filters transposed at random whose ratio is as large, itself among them.

    ``kernels``: ``(out, fan_in, kh, kw)``. None where there is no ratio, and where kernels are not square. One filter, all
    kernels into one neuron, is transposed as a whole: its kernels look alike and are no independent evidence.
    """
    ratio = banding_ratio(kernels)
    if np.isnan(ratio) or kernels.shape[2] != kernels.shape[3]:
        return None
    down, across = _variances(kernels)
    turned = rng.random((nulls, len(down))) < 0.5
    total = float(down.sum() + across.sum())
    share = np.where(turned, across, down).sum(1) / total  # grows with the ratio and is finite
    observed = float(down.sum()) / total
    return float((1 + (share >= observed * (1 - 1e-12)).sum()) / (1 + nulls))


def significant(
    bundle: Bundle, rows: Sequence[dict[str, Any]], *, nulls: int, seed: int = 0
) -> list[dict[str, Any]]:
    """Motif rows of the bundle's model with the p of each layer, and its q over all layers that have one.

    Here a row is a layer, and p is its own. `QueryError` where the bundle holds another model.
    """
    if any(row["model"] != bundle.model for row in rows):
        raise QueryError(
            f"{bundle.path}: holds {bundle.model}, not {rows[0]['model']}; give the bundle of that model"
        )
    arrays = {
        name: array for name, array in bundle.kernels.arrays().items() if name.startswith("kernel/")
    }
    p = {
        f"{bundle.model}/{name.removeprefix('kernel/')}": banding_p(
            kernels, nulls=nulls, rng=np.random.default_rng([seed, place])
        )
        for place, (name, kernels) in enumerate(sorted(arrays.items()))
    }
    known = {key: value for key, value in p.items() if value is not None}
    q = dict(zip(known, benjamini_hochberg(list(known.values())).tolist(), strict=True))
    return [
        row | {"p": known.get(layer), "q": q.get(layer), "null": NULL if layer in known else None}
        for row in rows
        for layer in row["roles"]["layer"]
    ]


def _variances(kernels: np.ndarray) -> np.ndarray:
    """Variance of row means along y, and of column means along x, summed over each filter's kernels, ``(2, out)``."""
    kernels = kernels.astype(np.float64)
    return np.stack([kernels.mean(3).var(2).sum(1), kernels.mean(2).var(2).sum(1)])


def twin(graph: SignedGraph, *, min_score: float = 0.0, limit: int = 100) -> list[dict[str, Any]]:
    """The motif rows of the query, from the layers' ratios alone; the role ``layer`` holds a layer's key."""
    layers = sorted(
        (band for band in graph.banding if band[1] >= min_score),
        key=lambda band: (-band[1], band[0]),
    )
    return [
        instance("weight_banding", graph.model, ratio, {"layer": [layer]}, p=p)
        for layer, ratio, p in layers[:limit]
    ]


def count(graph: SignedGraph, *, min_score: float = 0.0) -> int:
    """Number of layers that have at least this ratio."""
    return sum(ratio >= min_score for _, ratio, _ in graph.banding)


def _of_bundle(
    bundle: Bundle, *, nulls: int | None, seed: int, min_score: float, limit: int
) -> tuple[list[dict[str, Any]], list[str]]:
    rows = twin(SignedGraph.of_bundle(bundle), min_score=min_score, limit=limit)
    return significant(bundle, rows, nulls=999 if nulls is None else nulls, seed=seed), []


MOTIF: Final = Motif("weight_banding", {"layer": ("layer",)}, twin, count)
BUNDLED: Final = Bundled(MOTIF.kind, _of_bundle, ("min_score", "limit"))
