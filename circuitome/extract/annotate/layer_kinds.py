"""Kinds of one layer as columns: by responses, and by filters if the layer reads the image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from safetensors.numpy import save

from circuitome.extract.annotate.kinds import Kinds, kinds
from circuitome.extract.annotate.tuner import Curve
from circuitome.extract.responses.cells import CellStatistics, Top
from circuitome.extract.responses.runner import Subject
from circuitome.extract.stimuli.catalogue import STIMULI, Catalogue
from circuitome.extract.stimuli.registry import Axis, Stimulus
from circuitome.filters import FilterKinds, filter_kinds
from circuitome.vocabulary import PREFERENCES

__all__ = ["SHOWN", "LayerResponses", "cell_means", "layer_kinds"]

_NUMBERS: Final = ("explained", "p", "q", *PREFERENCES, "selectivity", "selectivity_sd")
"""Fields of `Kinds` that are columns of the neurons as they stand."""
SHOWN: Final = 5
"""Top stimuli that are kept of every neuron."""


@dataclass(frozen=True, slots=True)
class LayerResponses:
    """Responses of one layer to a catalogue."""

    statistics: Sequence[CellStatistics]
    """Of the network, then of its twins."""
    top: Top
    """The network's strongest trials."""

    @classmethod
    def none_yet(cls, networks: int, cells: int, neurons: int) -> LayerResponses:
        """Before the first trial."""
        statistics = [CellStatistics(cells, neurons) for _ in range(networks)]
        return cls(statistics, Top(SHOWN, neurons))

    def add(self, network: int, trials: np.ndarray, cells: np.ndarray, active: np.ndarray) -> None:
        """Add what a network, by its number, gives to some trials ``(n,)`` of cells ``(n,)``:
        ``(n, C)``.
        """
        self.statistics[network].add(cells, active)
        if network == 0:
            self.top.add(trials, active)

    @property
    def own(self) -> CellStatistics:
        """The network's."""
        return self.statistics[0]


def layer_kinds(
    subject: Subject, index: int, responses: LayerResponses, shown: Catalogue, *, seed: int = 0
) -> dict[str, list]:
    """Annotated columns of a layer's neurons, by name, from its responses to the catalogue
    ``shown``.

    In a layer that reads the image, a filter that is a Gabor or a colour contrast by its weights
    (`filters`) has that kind, with the fit's R2 as ``explained``, and neither p nor q: its fit
    beats 95 % of those to permuted filters.
    """
    axes = {name: _axes(stimulus) for name, stimulus in STIMULI.items()}
    found = kinds(responses.own, responses.statistics[1:], shown.cells, axes, seed=seed)
    columns = _kind_columns(found)
    columns["top_stimuli"] = [_described(shown, trials) for trials in responses.top.trials]
    columns |= _curve_columns(found.curves)
    for neuron, own in _by_filters(subject, index, seed).items():
        for name, value in own.items():
            columns[name][neuron] = value
    return columns


def _kind_columns(found: Kinds) -> dict[str, list]:
    """Kinds, how sure they are and what neurons prefer as columns."""
    columns: dict[str, list] = {name: getattr(found, name).tolist() for name in _NUMBERS}
    columns["kind"] = found.kind.tolist()
    columns["runner_up"] = [name or None for name in found.runner_up.tolist()]
    return columns


def _axes(stimulus: Stimulus) -> list[Axis]:
    """Axes of a stimulus that are no nuisance."""
    return [axis for axis in stimulus.axes if not axis.nuisance]


def _curve_columns(curves: Sequence[Curve | None]) -> dict[str, list]:
    """Tuning curves as columns; None for a neuron without one."""
    return {
        "tuned_to": [curve and curve.tuned_to for curve in curves],
        "tuning_at": [curve and curve.at.tolist() for curve in curves],
        "tuning": [curve and curve.mean.tolist() for curve in curves],
    }


def cell_means(statistics: CellStatistics, shown: Catalogue) -> bytes:
    """Every tuning curve of a layer as a safetensors file: ``mean`` and ``sd`` ``(cells, C)``
    float16, and what each cell shows.

    The metadata's ``cells`` is a JSON list, one ``{stimulus, values, trials}`` a row.
    """
    mean = statistics.means
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
    subject: Subject, index: int, seed: int
) -> dict[int, dict[str, str | float | None]]:
    """Columns of the neurons whose filters say what they are, in a layer that reads the image."""
    layer = subject.wiring.layers[index]
    reads_colours = subject.wiring.reads_image(index) and layer.fan_in == 3
    if layer.op != "conv" or not reads_colours:
        return {}
    scale = np.asarray(subject.std or (1.0, 1.0, 1.0)).reshape(1, 3, 1, 1)
    found = filter_kinds(subject.arrays[f"kernel/{layer.name}"] / scale, seed=seed)
    if np.isnan(found.bar):  # too small for a fit
        return {}
    named = np.flatnonzero(found.kind != "other").tolist()
    return {neuron: _filter_columns(found, neuron) for neuron in named}


def _filter_columns(found: FilterKinds, neuron: int) -> dict[str, str | float | None]:
    """Columns of a neuron whose filter is a Gabor or a colour contrast."""
    kind = str(found.kind[neuron])
    preferred: dict[str, float | None] = dict.fromkeys(PREFERENCES)
    preferred["orientation_deg"] = float(found.gabor.orientation_deg[neuron])
    if kind == "gabor":
        preferred["frequency"] = float(found.gabor.frequency[neuron])
    if kind == "colour_contrast":
        preferred["hue_deg"] = float(found.colour.hue_deg[neuron])
    r2 = float(found.gabor.r2[neuron])
    return {"kind": kind, "explained": r2, "p": None, "q": None} | preferred
