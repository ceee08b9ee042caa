"""Networks with planted families, the truth about them, and scores of a first layer without the
rest of the machinery.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.extract.annotate.pairs import GroupScores, correlation
from circuitome.extract.responses.twins import surrogates
from circuitome.extract.stimuli.ensemble import ensemble
from circuitome.extract.stimuli.transforms import IDENTITY, Transform, steps

SIDE = 7
PERIODS = {"rotate": 360.0, "hue": 360.0}


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted family: neuron ``members[n]`` is the template under ``offsets[n]`` of the
    group.
    """

    group: str
    members: tuple[int, ...]
    offsets: tuple[float, ...]


def smooth_filters(
    count: int,
    *,
    smoothness: float,
    generator: torch.Generator,
    side: int = SIDE,
    channels: int = 3,
) -> Tensor:
    """White noise blurred by a Gaussian of ``smoothness`` pixels, cut from a larger field:
    ``(count, channels, side, side)``.
    """
    reach = math.ceil(3 * smoothness)
    noise = torch.randn(count, channels, side + 2 * reach, side + 2 * reach, generator=generator)
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
    bell = torch.exp(-axis.square() / 2 / smoothness**2) if smoothness else torch.ones(1)
    field = noise.reshape(-1, 1, *noise.shape[2:])
    field = nn.functional.conv2d(
        nn.functional.conv2d(field, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1)
    )
    return _unit(field.reshape(count, channels, side, side))


def _unit(filters: Tensor) -> Tensor:
    return filters / filters.std((1, 2, 3), correction=0, keepdim=True)


def gabor(
    transform: Transform,
    *,
    frequency: float = 0.2,
    phase: float = 60.0,
    spread: float = 1.9,
    side: int = SIDE,
) -> Tensor:
    """A Gabor whose bars are horizontal, warm against cold where the transform is of hue, under a
    transform: ``(3, side, side)``.

    ``frequency``: cycles per pixel; ``phase``: degrees, 0 even, 90 odd; ``spread``: pixels.
    """
    axis = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    x, y = transform.coordinates(axis[None, :].expand(side, side), axis[:, None].expand(side, side))
    wave = torch.cos(2 * math.pi * frequency * y + math.radians(phase)) * torch.exp(
        -(x**2 + y**2) / 2 / spread**2
    )
    colour = torch.tensor([1.0, -0.5, -0.5] if transform.group == "hue" else [1.0, 1.0, 1.0])
    turned = transform.colour(colour.view(1, 3, 1, 1) + 0.5) - 0.5
    field = turned[0] * (wave - wave.mean())
    return field / field.std(correction=0)


def planted_layer(
    families: Sequence[tuple[str, Sequence[float], dict[str, Any]]],
    *,
    neurons: int,
    noise: float,
    seed: int,
    smoothness: float = 1.0,
) -> tuple[Tensor, list[Planted]]:
    """Filters ``(neurons, 3, 7, 7)``: every family (group, offsets, Gabor), the rest smooth noise,
    white noise on all; shuffled.
    """
    generator = torch.Generator().manual_seed(seed)
    filters = smooth_filters(neurons, smoothness=smoothness, generator=generator)
    place = torch.randperm(neurons, generator=generator).tolist()
    truth = []
    for group, offsets, look in families:
        members, place = place[: len(offsets)], place[len(offsets) :]
        for member, offset in zip(members, offsets, strict=True):
            filters[member] = gabor(Transform(group, offset), **look)
        truth.append(Planted(group, tuple(members), tuple(offsets)))
    return filters + noise * torch.randn(filters.shape, generator=generator), truth


def turned(count: int, *, span: float) -> list[float]:
    """So many angles, equally spaced over a span, degrees."""
    return [span * n / count for n in range(count)]


def planted_network(
    *, orientations: int, noise: float, seed: int
) -> tuple[nn.Sequential, list[Planted], list[Planted]]:
    """Lines, then curves made of them: the network and what is planted in its two convolutions.

    First, ``orientations`` odd Gabors over 360 degrees among smooth noise. Then as many curve
    neurons of 5 x 5: each is excited along an arc by the lines that are tangent to it and inhibited
    by those across.
    """
    filters, lines = planted_layer(
        [("rotate", turned(orientations, span=360), {"phase": 60.0})],
        neurons=2 * orientations,
        noise=noise,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed + 1)
    kernels = torch.randn(2 * orientations, 2 * orientations, 5, 5, generator=generator) * 0.05
    place = torch.randperm(2 * orientations, generator=generator)[:orientations].tolist()
    for neuron, offset in zip(place, lines[0].offsets, strict=True):
        kernels[neuron] += _curve(lines[0], offset, 2 * orientations)
    kernels += noise * kernels.std() * torch.randn(kernels.shape, generator=generator)
    first, second = (
        nn.Conv2d(3, 2 * orientations, SIDE),
        nn.Conv2d(2 * orientations, 2 * orientations, 5),
    )
    with torch.no_grad():
        first.weight.copy_(filters / SIDE)
        second.weight.copy_(kernels / 5)
        for layer in (first, second):
            assert layer.bias is not None
            layer.bias.zero_()
    return (
        nn.Sequential(first, nn.ReLU(), second, nn.ReLU()),
        lines,
        [Planted("rotate", tuple(place), lines[0].offsets)],
    )


def _curve(lines: Planted, offset: float, fan_in: int) -> Tensor:
    """Kernel ``(fan_in, 5, 5)``: the tangent of the arc at a place says which line is wanted
    there.
    """
    axis = torch.arange(5, dtype=torch.float32) - 2
    x, y = Transform("rotate", offset).coordinates(
        axis[None, :].expand(5, 5), axis[:, None].expand(5, 5)
    )
    on_arc = torch.exp(-(y - 0.12 * x**2 + 0.5).square() / 2)
    tangent = offset - torch.rad2deg(torch.atan(0.24 * x))
    kernel = torch.zeros(fan_in, 5, 5)
    for member, angle in zip(lines.members, lines.offsets, strict=True):
        kernel[member] = (
            on_arc * torch.exp(3 * (torch.cos(torch.deg2rad(tangent - angle)) - 1)) - 0.2 * on_arc
        )
    return kernel


def pairwise(found: Sequence[int], truth: Sequence[int]) -> tuple[float, float]:
    """Precision and recall of the pairs within a family."""

    def pairs(members: Sequence[int]) -> int:
        return len(members) * (len(members) - 1) // 2

    both = pairs(sorted(set(found) & set(truth)))
    return both / max(pairs(found), 1), both / pairs(truth)


def offset_errors(
    found: Sequence[tuple[int, float]], truth: Planted, *, period: float
) -> np.ndarray:
    """Errors of offsets (degrees) of the members found, after the family as a whole is turned to
    fit best.
    """
    planted = dict(zip(truth.members, truth.offsets, strict=True))
    error = np.array([offset - planted[member] for member, offset in found if member in planted])
    common = np.angle(np.exp(2j * np.pi * error / period).mean()) * period / 2 / np.pi
    return (error - common + period / 2) % period - period / 2


class Responder:
    """Patches drawn once, and what layers of filters say to them: a small stand-in for the
    pipeline.

    ``front``: what lies between the image and the layer, if anything does.
    """

    def __init__(
        self,
        *,
        groups: Sequence[str],
        patches: int = 1200,
        seed: int = 0,
        side: int = SIDE,
        front: nn.Module | None = None,
    ) -> None:
        shown = ensemble(patches, side, side / 2, seed=seed)

        def seen(transform: Transform) -> Tensor:
            images = shown.draw(transform, 0, patches) - 0.5
            with torch.no_grad():
                return (images if front is None else front(images)).flatten(1).T

        self.plain = seen(IDENTITY)
        self.shown = {group: [(g.amount, seen(g)) for g in steps(group)] for group in groups}

    def scores(self, kernel: Tensor, group: str, *, nulls: Tensor) -> GroupScores:
        """Scores of filters ``(C, fan_in, h, w)`` with a ReLU, and of their surrogates ``(S, C,
        fan_in, h, w)``.
        """
        layers = [
            self._layer(kernel, group),
            *(self._layer(null, group, like=kernel) for null in nulls),
        ]
        scores, plain = (np.stack(part) for part in zip(*layers, strict=True))
        amounts = np.array([amount for amount, _ in self.shown[group]])
        return GroupScores(
            group, amounts, PERIODS.get(group), scores[0], plain[0], scores[1:], plain[1:]
        )

    def _layer(
        self, kernel: Tensor, group: str, *, like: Tensor | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        weights = kernel.flatten(1)
        bias = torch.zeros(len(kernel), 1)
        if like is not None:
            wanted, own = like.flatten(1) @ self.plain, weights @ self.plain
            weights = weights * (wanted.std(1) / own.std(1))[:, None]
            bias = wanted.mean(1, keepdim=True) - (weights @ self.plain).mean(1, keepdim=True)
        first = (weights @ self.plain + bias).relu().numpy()
        others = [(weights @ patches + bias).relu().numpy() for _, patches in self.shown[group]]
        return np.stack([correlation(first, other) for other in others]), correlation(first, first)


def null_layers(kernel: Tensor, count: int, *, seed: int, colours: bool = True) -> Tensor:
    """Surrogates of a layer, by default of one that reads the image."""
    return surrogates(
        kernel, count, generator=torch.Generator().manual_seed(seed), colours=colours, shared=True
    )
