"""Kinds of one layer as the columns of its neurons: by responses, and by filters where a layer reads the image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from safetensors.numpy import save

from circuitome.extract.annotate.kinds import COLUMNS, kinds
from circuitome.extract.responses.cells import CellStatistics, Top
from circuitome.extract.stimuli.catalogue import STIMULI, Catalogue
from circuitome.extract.trace.tracing import Trace
from circuitome.filters import filter_kinds

__all__ = ["SHOWN", "cell_means", "layer_kinds"]

SHOWN: Final = 5
"""Top stimuli that are kept of every neuron."""


def layer_kinds(
    traced: Trace,
    index: int,
    statistics: Sequence[CellStatistics],
    top: Top,
    shown: Catalogue,
    *,
    std: Sequence[float] | None,
    seed: int = 0,
) -> dict[str, list[Any]]:
    """Annotated columns of a layer's neurons, by name.

    Args:
        statistics: of the network, then of its twins.
        top: the strongest trials.
        std: what the network's preprocessing divides its input channels by.

    In a layer that reads the image, a filter that is a Gabor or a colour contrast by its weights (`filters`) has that
    kind, with the fit's R2 as ``explained``, and neither p nor q: its fit beats 95 % of those to permuted filters.
    """
    axes = {
        name: [axis for axis in stimulus.axes if not axis.nuisance]
        for name, stimulus in STIMULI.items()
    }
    found = kinds(statistics[0], statistics[1:], shown.cells, axes, seed=seed)
    curves = found.curves
    columns: dict[str, list[Any]] = {
        "kind": found.kind.tolist(),
        "runner_up": [name or None for name in found.runner_up.tolist()],
        **{name: getattr(found, name).tolist() for name in ("explained", "p", "q", *COLUMNS)},
        "selectivity": found.selectivity.tolist(),
        "selectivity_sd": found.selectivity_sd.tolist(),
        "tuned_to": [None if curve is None else curve.tuned_to for curve in curves],
        "tuning_at": [None if curve is None else curve.at.tolist() for curve in curves],
        "tuning": [None if curve is None else curve.mean.tolist() for curve in curves],
        "top_stimuli": [_described(shown, trials) for trials in top.trials],
    }
    _by_filters(traced, index, columns, std, seed)
    return columns


def cell_means(statistics: CellStatistics, shown: Catalogue) -> bytes:
    """Every tuning curve of a layer as a safetensors file: ``mean`` and ``sd`` ``(cells, C)`` float16, and what each cell shows.

    The metadata's ``cells`` is a JSON list, one ``{stimulus, values, trials}`` a row.
    """
    mean = statistics.total / statistics.n[:, None]
    variance = np.maximum(statistics.squares / statistics.n[:, None] - mean**2, 0)
    cells = [
        {"stimulus": cell.stimulus, "values": dict(cell.values), "trials": int(count)}
        for cell, count in zip(shown.cells, statistics.n, strict=True)
    ]
    largest = float(np.finfo(np.float16).max)
    arrays = {"mean": mean, "sd": np.sqrt(variance)}
    halves = {
        name: np.clip(array, -largest, largest).astype(np.float16) for name, array in arrays.items()
    }
    return save(halves, metadata={"cells": json.dumps(cells)})


def _described(shown: Catalogue, trials: np.ndarray) -> list[str]:
    return [shown.describe(int(trial)) for trial in trials if trial >= 0]


def _by_filters(
    traced: Trace, index: int, columns: dict[str, list[Any]], std: Sequence[float] | None, seed: int
) -> None:
    layer = traced.wiring.layers[index]
    if layer.op != "conv" or not traced.wiring.reads_image(index) or layer.fan_in != 3:
        return
    weights = traced.kernels[f"kernel/{layer.name}"] / np.asarray(std or (1.0, 1.0, 1.0)).reshape(
        1, 3, 1, 1
    )
    found = filter_kinds(weights, seed=seed)
    if np.isnan(found.bar):  # too small for a fit
        return
    for neuron in np.flatnonzero(found.kind != "other"):
        kind = str(found.kind[neuron])
        own = {
            "kind": kind,
            "explained": float(found.gabor.r2[neuron]),
            "p": None,
            "q": None,
            "orientation_deg": float(found.gabor.orientation_deg[neuron]),
            "frequency": float(found.gabor.frequency[neuron]) if kind == "gabor" else None,
            "hue_deg": float(found.colour.hue_deg[neuron]) if kind == "colour_contrast" else None,
            "radius_px": None,
        }
        for name, value in own.items():
            columns[name][neuron] = value
