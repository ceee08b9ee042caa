"""The catalogue: which stimuli a layer is shown, in which order, each drawn when it is asked for.

`registry` says what a stimulus is, `patterns` has the stimuli, `ensemble` the random images for equivariance and the
natural-like ones, `images` reads a user's own.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.stimuli import patterns as _patterns  # noqa: F401  (fills the registry)
from circuitome.extract.stimuli.registry import REGISTERED, Axis, Canvas, Stimulus, StimulusError

__all__ = ["JITTER", "STIMULI", "TRIALS", "Catalogue", "Cell", "catalogue"]

STIMULI: Final[Mapping[str, Stimulus]] = MappingProxyType(REGISTERED)
"""All stimuli by name."""
TRIALS: Final = 48
"""Trials of a family at one repeat, at least: families of few cells repeat them more often."""
JITTER: Final = 0.1
"""Every image is moved at random by up to this share of the layer's radius."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the values of a stimulus, nuisances left out."""

    stimulus: str
    values: Mapping[str, float]  # axis -> value


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The trials that a layer is shown: cells of all families, each several times with other nuisances."""

    cells: tuple[Cell, ...]
    cell_of: (
        np.ndarray
    )  # (trials,) int64: the cell of every trial; the trials of a family stand together
    side: int  # pixels of the square patches
    radius: float  # half of what the layer sees, pixels
    hash: str  # SHA-256 of everything that defines the images, the code that draws them included
    device: torch.device
    families: tuple[
        tuple[str, int, Mapping[str, np.ndarray]], ...
    ]  # name, first trial, parameter -> (trials,) float32

    def __len__(self) -> int:
        return len(self.cell_of)

    def draw(self, start: int, stop: int) -> Tensor:
        """The images of a run of trials, ``(n, 3, side, side)``, mostly in [0, 1], grey 0.5."""
        start, stop, _ = slice(start, stop).indices(len(self))
        images = torch.empty(max(0, stop - start), 3, self.side, self.side, device=self.device)
        canvas = Canvas.square(self.side, self.radius, device=self.device)
        for name, first, columns in self.families:
            low, high = max(start, first), min(stop, first + len(columns["right"]))
            if low < high:
                part = slice(low - first, high - first)
                given = {
                    k: torch.as_tensor(v[part], device=self.device)[:, None, None]
                    for k, v in columns.items()
                }
                shifted = canvas.shifted(given.pop("right"), given.pop("down"))
                images[low - start : high - start] = STIMULI[name].draw(shifted, **given)
        return images

    def describe(self, trial: int) -> str:
        """A trial in words: ``curve, orientation 45 degrees, radius 12 pixels``."""
        cell = self.cells[int(self.cell_of[trial])]
        axes = STIMULI[cell.stimulus].axes
        parts = [
            f"{a.name} {cell.values[a.name]:.3g} {a.unit}".rstrip() for a in axes if not a.nuisance
        ]
        return ", ".join([cell.stimulus.replace("_", " "), *parts])


def catalogue(
    side: int,
    radius: float,
    *,
    seed: int,
    repeats: int = 2,
    device: str | torch.device = "cpu",
    stimuli: Sequence[str] | None = None,
    scarce: bool = False,
) -> Catalogue:
    """The trials for a layer whose neurons see ``2 * radius`` pixels, on patches of ``side`` pixels.

    Every cell (combination of values) is shown ``repeats`` times or more, its nuisances spread evenly over these
    trials. ``scarce`` takes every other value of every axis that has a unit: a third of the cells and trials, for layers that see
    nearly the whole image, where each trial is dear. `StimulusError` for sizes that make no sense and unknown names.

    >>> from circuitome.extract.stimuli.catalogue import catalogue
    >>> trials = catalogue(32, 8, seed=0, stimuli=["curve"])
    >>> len(trials.cells), len(trials), trials.describe(0)
    (72, 144, 'curve, orientation 0 degrees, radius 3.2 pixels')
    >>> tuple(trials.draw(0, 5).shape)
    (5, 3, 32, 32)
    """
    if side < 1 or not radius > 0 or repeats < 1:
        raise StimulusError(
            f"no stimuli for patches of {side} pixels, a radius of {radius} and {repeats} repeats; all must be positive"
        )
    chosen = _chosen(stimuli)
    cells: list[Cell] = []
    cell_of: list[np.ndarray] = []
    families = []
    for kind in chosen:
        own = _cells(kind, radius, scarce=scarce)
        rng = np.random.default_rng([seed, *kind.name.encode()])
        times = max(repeats, round((TRIALS / 3 if scarce else TRIALS) * repeats / len(own)))
        families.append(
            (
                kind.name,
                sum(map(len, cell_of)),
                _parameters(kind, own, radius, times=times, rng=rng),
            )
        )
        cell_of.append(len(cells) + np.repeat(np.arange(len(own)), times))
        cells += own
    digest = _digest(chosen, families, side=side, radius=radius)
    return Catalogue(
        tuple(cells),
        np.concatenate(cell_of),
        side,
        float(radius),
        digest,
        torch.device(device),
        tuple(families),
    )


def _chosen(names: Sequence[str] | None) -> list[Stimulus]:
    if names is None:
        return list(STIMULI.values())
    unknown = sorted(set(names) - set(STIMULI))
    if unknown or not names:
        raise StimulusError(
            f"no stimulus {', '.join(unknown) or 'is chosen'}; choose from {', '.join(STIMULI)}"
        )
    return [STIMULI[name] for name in dict.fromkeys(names)]


def _cells(kind: Stimulus, radius: float, *, scarce: bool) -> list[Cell]:
    axes = [axis for axis in kind.axes if not axis.nuisance]
    values = [list(axis.values(radius))[:: 2 if scarce and axis.unit else 1] for axis in axes]
    names = [axis.name for axis in axes]
    return [
        Cell(kind.name, dict(zip(names, row, strict=True))) for row in itertools.product(*values)
    ]


def _parameters(
    kind: Stimulus, cells: list[Cell], radius: float, *, times: int, rng: np.random.Generator
) -> Mapping[str, np.ndarray]:
    """Every parameter of a family's trials, ``(cells * times,)`` each, and where the patch is moved to."""
    columns = {
        axis.name: _nuisance(axis, radius, len(cells), times=times, rng=rng)
        if axis.nuisance
        else np.repeat([cell.values[axis.name] for cell in cells], times)
        for axis in kind.axes
    }
    angle, length = (
        rng.uniform(0, 2 * np.pi, len(cells) * times),
        np.sqrt(rng.uniform(0, 1, len(cells) * times)),
    )
    columns["right"] = JITTER * radius * length * np.cos(angle)
    columns["down"] = JITTER * radius * length * np.sin(angle)
    return {name: column.astype(np.float32) for name, column in columns.items()}


def _nuisance(
    axis: Axis, radius: float, cells: int, *, times: int, rng: np.random.Generator
) -> np.ndarray:
    """Values drawn for every trial: uniform, and spread evenly over the trials of a cell."""
    values = np.asarray(axis.values(radius), dtype=float)
    places = rng.random((cells, times)).argsort(1) / times + rng.random((cells, 1))
    return values[np.floor(places % 1 * len(values)).astype(int).clip(max=len(values) - 1)].reshape(
        -1
    )


def _digest(chosen: list[Stimulus], families: list, *, side: int, radius: float) -> str:
    """SHA-256 of the sizes, all parameters of all trials and the code that draws them."""
    digest = hashlib.sha256(json.dumps([side, float(radius)]).encode())
    for name, _, columns in families:
        for column, values in columns.items():
            digest.update(f"{name}.{column}".encode() + values.astype("<f4").tobytes())
    for source in sorted({_source(kind) for kind in chosen} | {inspect.getsource(Canvas)}):
        digest.update(source.encode())
    return digest.hexdigest()


def _source(kind: Stimulus) -> str:
    module = inspect.getmodule(kind.draw)
    try:
        return inspect.getsource(module if module is not None else kind.draw)
    except (OSError, TypeError):  # typed at a prompt
        return kind.draw.__code__.co_code.hex()
