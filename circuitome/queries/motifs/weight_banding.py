"""Weight banding: layers whose signed kernels vary along y more than along x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.kernels import banding_ratio, banding_variances
from circuitome.queries.asks import Asks
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack
from circuitome.queries.motifs.motif import Bundled, Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, tested
from circuitome.significance import benjamini_hochberg, empirical_p

__all__ = ["BUNDLED", "MOTIF", "NULL", "banding_p", "missing", "significant"]

NULL: Final = "transpose"
"""Name of the null model: each filter of a layer transposed, or not, at random; of kernels."""


def banding_p(kernels: np.ndarray, *, nulls: int, rng: np.random.Generator) -> float | None:
    """p of a layer's ratio: the share of layers with filters transposed at random that reach it.

    ``kernels``: ``(out, fan_in, kh, kw)``. None without a ratio, and if kernels are not square, or
    of volumes. One filter, all kernels into one neuron, is transposed as a whole: its kernels look
    alike and are no independent evidence.
    """
    if kernels.ndim != 4 or kernels.shape[2] != kernels.shape[3]:
        return None
    ratio = banding_ratio(kernels)
    if np.isnan(ratio):
        return None
    down, across = banding_variances(kernels)
    turned = rng.random((nulls, len(down))) < 0.5
    total = float(down.sum() + across.sum())
    share = np.where(turned, across, down).sum(1) / total  # grows with the ratio and is finite
    observed = float(down.sum()) / total
    return float(empirical_p(observed, share))


def significant(
    bundle: Bundle, rows: Sequence[MotifRow], *, nulls: int, seed: int = 0
) -> list[MotifRow]:
    """Motif rows of the bundle's model with the p of each layer, and its q over all that have one.

    Raises:
        QueryError: the bundle holds another model.
    """
    if any(row["model"] != bundle.model for row in rows):
        raise QueryError(
            f"{bundle.path}: holds {bundle.model}, not {rows[0]['model']}; "
            "give the bundle of that model"
        )
    known = _p_by_layer(bundle, nulls=nulls, seed=seed)
    q = dict(zip(known, benjamini_hochberg(list(known.values())).tolist(), strict=True))
    found = []
    for row in rows:
        (layer,) = row["roles"]["layer"]
        null = NULL if layer in known else None
        found.append(tested(row, p=known.get(layer), q=q.get(layer), null=null))
    return found


def _p_by_layer(bundle: Bundle, *, nulls: int, seed: int) -> dict[str, float]:
    """Key of each layer that has a p, and that."""
    known: dict[str, float] = {}
    kernels = bundle.kernels.arrays()
    names = sorted(name for name in kernels if name.startswith("kernel/"))
    for place, name in enumerate(names):
        rng = np.random.default_rng([seed, place])
        p = banding_p(kernels[name], nulls=nulls, rng=rng)
        if p is not None:
            known[f"{bundle.model}/{name.removeprefix('kernel/')}"] = p
    return known


def _table(graph: SignedGraph, *, min_score: float) -> list[QueryRow]:
    """The rows of the query, from the layers' ratios alone."""
    enough = [band for band in graph.banding if band[1] >= min_score]
    ordered = sorted(enough, key=lambda band: (-band[1], band[0]))
    return [{"layer": layer, "score": ratio, "p": p} for layer, ratio, p in ordered]


def missing(database: Asks, model: str, **_: Value) -> Lack | None:
    """What a model lacks for this motif, in words; None if it has all."""
    kernels = [row["kernel"] or () for row in database.ask("layers", model=model)]
    if any(len(kernel) == 2 and min(kernel) > 1 for kernel in kernels):
        return None
    reason = f"{model} has no kernels of several rows and columns; there is no way to prefer"
    return Lack("kernels of rows and columns", reason)


def _of_bundle(
    bundle: Bundle, *, nulls: int | None, seed: int, min_score: float, limit: int
) -> tuple[list[MotifRow], list[str]]:
    graph = SignedGraph.of_bundle(bundle)
    rows = MOTIF.rows(graph, min_score=min_score, limit=limit)
    return significant(bundle, rows, nulls=999 if nulls is None else nulls, seed=seed), []


MOTIF: Final = Tested("weight_banding", _table, needs=missing)
BUNDLED: Final = Bundled(MOTIF.kind, _of_bundle, ("min_score", "limit"))
