"""Activity on natural-like images: mean, spread, sparsity, maximum, and effective fields.

Effective receptive field: Luo et al., *Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks* (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.responses.runner import Runner, activate
from circuitome.extract.wiring import SOURCES, Wiring

__all__ = ["Moments", "effective_fields", "layers_to_read", "natural_moments"]

MASS: Final = 0.9
"""Share of the squared gradient that an effective receptive field holds."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Activations of a layer's neurons over all positions of natural-like images, ``(C,)`` each."""

    mean: np.ndarray
    sd: np.ndarray
    maximum: np.ndarray
    sparsity: np.ndarray  # share of positions where the neuron is silent: at or below zero

    def to_json(self) -> dict[str, list[float]]:
        """Plain data, by the names of the fields."""
        return {each.name: getattr(self, each.name).tolist() for each in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[float]]) -> Moments:
        """From what `to_json` gives; other entries are left out."""
        return cls(*(np.array(data[each.name]) for each in fields(cls)))


@torch.no_grad()
def natural_moments(
    runner: Runner,
    batches: Iterable[Tensor],
    arrays: Mapping[str, np.ndarray],
    advance: Callable[[], None],
) -> dict[int, Moments]:
    """Moments of every layer of ``runner`` over batches of images ``(n, 3, H, W)``; memory does not
    grow with their number.
    """
    found: dict[int, _Sums] = {}
    for images in batches:
        maps = runner(images)
        for index in runner.layers:
            values = activate(runner.wiring, index, maps[runner.wiring.layers[index].node], arrays)
            seen = _Sums.of(values)
            found[index] = found[index] + seen if index in found else seen
        advance()
    return {index: sums.moments() for index, sums in found.items()}


@dataclass(frozen=True, slots=True)
class _Sums:
    """What is kept of a layer's activations."""

    sums: Tensor  # (3, C): sum, sum of squares, number of silent positions
    peak: Tensor  # (C,)
    positions: int

    @classmethod
    def of(cls, values: Tensor) -> _Sums:
        """Of values ``(n, C, h, w)``."""
        wide = values.double()
        sums = [each.sum((0, 2, 3)).double() for each in (wide, wide.square(), values <= 0)]
        return cls(torch.stack(sums), values.amax((0, 2, 3)), values[:, 0].numel())

    def __add__(self, other: _Sums) -> _Sums:
        peak = torch.maximum(self.peak, other.peak)
        return _Sums(self.sums + other.sums, peak, self.positions + other.positions)

    def moments(self) -> Moments:
        """Those of all positions."""
        total, squares, silent = self.sums.cpu().numpy()
        mean = total / self.positions
        sd = np.sqrt(np.maximum(squares / self.positions - mean**2, 0))
        peak = self.peak.cpu().numpy().astype(np.float64)
        return Moments(mean, sd, peak, silent / self.positions)


def effective_fields(
    runner: Runner, images: Tensor, *, seed: int = 0
) -> dict[int, tuple[float, float]]:
    """Height and width in input pixels that hold 90 % of the squared gradient of a layer's middle
    unit.

    One backward pass a layer: channels are mixed with random signs, whose squared gradient is on
    average the sum of theirs.
    """
    wiring, generator = runner.wiring, torch.Generator().manual_seed(seed)
    inputs = images.clone().requires_grad_(True)
    maps = runner(inputs)
    found = {}
    for index in runner.layers:
        middle = _middle(maps[wiring.layers[index].node])
        signs = torch.randint(0, 2, middle.shape, generator=generator).to(middle) * 2 - 1
        (gradient,) = torch.autograd.grad(
            (middle * signs).sum(), inputs, retain_graph=True, allow_unused=True
        )
        found[index] = (0.0, 0.0) if gradient is None else _extents(gradient)
    return found


def _extents(gradient: Tensor) -> tuple[float, float]:
    """Height and width of the window that holds `MASS` of the squared gradient."""
    energy = gradient.double().square().sum((0, 1)).cpu().numpy()
    return _extent(energy.sum(1)), _extent(energy.sum(0))


def _middle(maps: Tensor) -> Tensor:
    return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]


def _extent(energy: np.ndarray) -> float:
    """The least length of a window about the centre of mass that holds `MASS` of the energy; 0
    where there is none.
    """
    total = energy.sum()
    if not total > 0:
        return 0.0
    centre = round(float((energy * np.arange(len(energy))).sum() / total))
    reach = np.abs(np.arange(len(energy)) - centre)
    held = np.cumsum(np.bincount(reach, energy)) / total
    return float(2 * np.searchsorted(held, MASS) + 1)


def layers_to_read(wiring: Wiring) -> tuple[int, ...]:
    """Every layer but the input."""
    return tuple(index for index, layer in enumerate(wiring.layers) if layer.op not in SOURCES)
