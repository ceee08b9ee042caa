"""The catalogue: which stimuli a layer is shown, in which order, each drawn when it is asked for.

`registry` says what a stimulus is, `patterns` has the stimuli, `ensemble` the random images for
equivariance and the natural-like ones, `images` reads a user's own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.stimuli import patterns, textures
from circuitome.extract.stimuli.registry import REGISTERED, Axis, Canvas, Stimulus, StimulusError

__all__ = ["DRAWING", "JITTER", "STIMULI", "TRIALS", "Catalogue", "Cell", "Trials", "catalogue"]

STIMULI: Final[Mapping[str, Stimulus]] = MappingProxyType(REGISTERED)
"""All stimuli by name, in the order in which they are shown."""
HOMES: Final = (patterns, textures)
"""Modules that register them, in that order."""
TRIALS: Final = 48
"""Trials of a stimulus at one repeat, at least: stimuli of few cells repeat them more often."""
JITTER: Final = 0.1
"""Every image is moved at random by up to this share of the layer's radius."""
DRAWING: Final = 1
"""To be raised if the same parameters come to be drawn as other images; a test looks at the pixels.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the values of a stimulus, nuisances left out."""

    stimulus: str
    values: Mapping[str, float]
    """Axis -> value."""


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of one stimulus, which stand together."""

    stimulus: str
    first: int
    """Number of the first of them."""
    parameters: Mapping[str, np.ndarray]
    """Parameter -> ``(trials,)`` float32; ``right`` and ``down`` are where the patch is moved to.
    """

    def __len__(self) -> int:
        return len(self.parameters["right"])

    def draw(self, canvas: Canvas, start: int, stop: int) -> Tensor:
        """The images of some of its trials, counted from its first, ``(n, 1 or 3, side, side)``."""
        device = canvas.x.device
        given = {
            name: torch.as_tensor(values[start:stop], device=device)[:, None, None]
            for name, values in self.parameters.items()
        }
        moved = canvas.shifted(given.pop("right"), given.pop("down"))
        return STIMULI[self.stimulus].draw(moved, **given)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The trials that a layer is shown: cells of all stimuli, each several times with other
    nuisances.
    """

    cells: tuple[Cell, ...]
    cell_of: np.ndarray
    """``(trials,)`` int64: the cell of every trial."""
    side: int
    """Pixels of the square patches."""
    radius: float
    """Half of what the layer sees, pixels."""
    hash: str
    """SHA-256 of everything that defines the images."""
    device: torch.device
    trials: tuple[Trials, ...]
    """Those of each stimulus."""

    def __len__(self) -> int:
        return len(self.cell_of)

    def draw(self, start: int, stop: int) -> Tensor:
        """The images of a run of trials, ``(n, 3, side, side)``, mostly in [0, 1], grey 0.5."""
        start, stop, _ = slice(start, stop).indices(len(self))
        images = torch.empty(max(0, stop - start), 3, self.side, self.side, device=self.device)
        canvas = Canvas.square(self.side, self.radius, device=self.device)
        for own in self.trials:
            low, high = max(start, own.first), min(stop, own.first + len(own))
            if low < high:
                drawn = own.draw(canvas, low - own.first, high - own.first)
                images[low - start : high - start] = drawn
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
    """The trials for a layer whose neurons see ``2 * radius`` pixels, on patches of ``side``
    pixels.

    Every cell (combination of values) is shown ``repeats`` times or more, its nuisances spread
    evenly over these trials. ``scarce`` takes every other value of every axis that has a unit: a
    third of the cells and trials, for layers that see nearly the whole image, where each trial is
    dear.

    Raises:
        StimulusError: sizes that make no sense, or unknown names.

    >>> from circuitome.extract.stimuli.catalogue import catalogue
    >>> trials = catalogue(32, 8, seed=0, stimuli=["curve"])
    >>> len(trials.cells), len(trials), trials.describe(0)
    (72, 144, 'curve, orientation 0 degrees, radius 3.2 pixels')
    >>> tuple(trials.draw(0, 5).shape)
    (5, 3, 32, 32)
    """
    _check_sizes(side, radius, repeats)
    cells: list[Cell] = []
    cell_of: list[np.ndarray] = []
    trials: list[Trials] = []
    for kind in _chosen(stimuli):
        own = _cells(kind, radius, scarce=scarce)
        times = max(repeats, round((TRIALS / 3 if scarce else TRIALS) * repeats / len(own)))
        parameters = _parameters(kind, own, radius, times=times, seed=seed)
        trials.append(Trials(kind.name, sum(map(len, cell_of)), parameters))
        cell_of.append(len(cells) + np.repeat(np.arange(len(own)), times))
        cells += own
    return Catalogue(
        tuple(cells),
        np.concatenate(cell_of),
        side,
        float(radius),
        _digest(trials, side=side, radius=radius),
        torch.device(device),
        tuple(trials),
    )


def _check_sizes(side: int, radius: float, repeats: int) -> None:
    if side < 1 or not radius > 0 or repeats < 1:
        raise StimulusError(
            f"no stimuli for patches of {side} pixels, a radius of {radius} and {repeats} repeats; "
            "all must be positive"
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
    kind: Stimulus, cells: list[Cell], radius: float, *, times: int, seed: int
) -> Mapping[str, np.ndarray]:
    """Every parameter of a stimulus's trials, ``(cells * times,)``, and where the patch is moved
    to.
    """
    rng = np.random.default_rng([seed, *kind.name.encode()])
    columns = {}
    for axis in kind.axes:
        if axis.nuisance:
            columns[axis.name] = _nuisance(axis, radius, len(cells), times=times, rng=rng)
        else:
            columns[axis.name] = np.repeat([cell.values[axis.name] for cell in cells], times)
    angle = rng.uniform(0, 2 * np.pi, len(cells) * times)
    length = JITTER * radius * np.sqrt(rng.uniform(0, 1, len(cells) * times))
    columns |= {"right": length * np.cos(angle), "down": length * np.sin(angle)}
    return {name: column.astype(np.float32) for name, column in columns.items()}


def _nuisance(
    axis: Axis, radius: float, cells: int, *, times: int, rng: np.random.Generator
) -> np.ndarray:
    """Values drawn for every trial: uniform, and spread evenly over the trials of a cell."""
    values = np.asarray(axis.values(radius), dtype=float)
    places = rng.random((cells, times)).argsort(1) / times + rng.random((cells, 1))
    chosen = np.floor(places % 1 * len(values)).astype(int).clip(max=len(values) - 1)
    return values[chosen].reshape(-1)


def _digest(trials: Sequence[Trials], *, side: int, radius: float) -> str:
    """SHA-256 of the sizes, of all parameters of all trials, and of how they are drawn."""
    digest = hashlib.sha256(json.dumps([DRAWING, side, float(radius)]).encode())
    for own in trials:
        for name, values in own.parameters.items():
            digest.update(f"{own.stimulus}.{name}".encode() + values.astype("<f4").tobytes())
    return digest.hexdigest()
