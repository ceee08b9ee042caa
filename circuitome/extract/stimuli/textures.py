"""Textures: stimuli without a shape, drawn from seeds; they come behind the patterns."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from circuitome.extract.stimuli.axes import (
    ANY_SEED,
    ANY_TURN,
    FINEST,
    SATURATION,
    bar,
    frequency,
    number,
    octaves,
    pixels,
    spaced,
)
from circuitome.extract.stimuli.paint import band_noise, in_grey, plane_wave, scatter, shaded
from circuitome.extract.stimuli.registry import Canvas, stimulus

__all__ = ["dead_leaves", "noise", "oriented_texture"]

COMPONENTS: Final = 32
"""Plane waves in noise of all frequencies."""


@stimulus(
    "dead_leaves",
    pixels("size", spaced(0.15, 1, 6, least=1)),
    SATURATION,
    ANY_SEED,
    ANY_TURN,
    rotate="turn",
    scale="size",
)
def dead_leaves(
    canvas: Canvas,
    *,
    size: Tensor,
    saturation: Tensor,
    seed: Tensor,
    turn: Tensor,
    leaves: int = 20,
) -> Tensor:
    """Opaque discs of one size, grey or coloured, painted over one another (repeated after five
    radii).
    """
    u, v = canvas.turned(turn)
    u, v, soft = u / size, v / size, canvas.soft / size
    grey, first, second = (torch.zeros_like(u) for _ in range(3))
    for index in range(leaves):
        right, up, shade, tint = (scatter(seed, index, stream) for stream in range(4))
        cover = _disc((u + 5 * right) % 5, (v + 5 * up) % 5, soft)
        grey.lerp_((2 * shade - 1).expand_as(u), cover)
        first.lerp_(torch.cos(2 * math.pi * tint).expand_as(u), cover)
        second.lerp_(torch.sin(2 * math.pi * tint).expand_as(u), cover)
    return shaded(grey, first, second, saturation)


def _disc(across: Tensor, along: Tensor, soft: Tensor) -> Tensor:
    """1 within a radius of 1 of the middle, at (2.5, 2.5), and 0 beyond."""
    return ((1 - torch.hypot(across - 2.5, along - 2.5)) / soft + 0.5).clamp_(0, 1)


@stimulus(
    "noise", number("slope", 0, 0.5, 1, 1.5, 2), SATURATION, ANY_SEED, ANY_TURN, rotate="turn"
)
def noise(
    canvas: Canvas, *, slope: Tensor, saturation: Tensor, seed: Tensor, turn: Tensor
) -> Tensor:
    """Noise whose amplitude falls with frequency to the power of ``slope`` (0 white, 1 as natural
    scenes), grey or coloured.
    """
    u, v = canvas.turned(turn)
    fields = grey, first, second = [torch.zeros_like(u) for _ in range(3)]
    power = torch.zeros_like(slope)
    for index, cycles in enumerate(_frequencies(canvas)):
        gain = (cycles / FINEST) ** (0.75 - slope)
        wave, tint = _component(u, v, cycles, seed, index)
        grey.addcmul_(wave, gain)
        first.addcmul_(wave, gain * torch.cos(tint))
        second.addcmul_(wave, gain * torch.sin(tint))
        power += gain**2
    grey, first, second = ((field / power.sqrt()).clamp_(-1, 1) for field in fields)
    return shaded(grey, first, second, saturation)


def _frequencies(canvas: Canvas) -> list[float]:
    """Of the components: they lie as the squares do, with a density of 1 / sqrt(f), which the gain
    makes good.
    """
    coarsest = min(0.25 / canvas.radius, FINEST / 4)
    places = (index / (COMPONENTS - 1) for index in range(COMPONENTS))
    return [coarsest + (FINEST - coarsest) * place**2 for place in places]


def _component(
    u: Tensor, v: Tensor, cycles: float, seed: Tensor, index: int
) -> tuple[Tensor, Tensor]:
    """A plane wave of some cycles a pixel, and its hue in radians."""
    phase, tint, tilt = (2 * math.pi * scatter(seed, index, stream) for stream in range(3))
    angle = math.pi * (0.618034 * index) + tilt / COMPONENTS
    pace = 2 * math.pi * cycles
    return plane_wave(u, v, pace * torch.cos(angle), pace * torch.sin(angle), phase), tint


@stimulus(
    "oriented_texture",
    bar(15, 180),
    frequency(octaves(3, coarsest=2)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def oriented_texture(
    canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor
) -> Tensor:
    """Noise of one frequency whose grain runs along the orientation, give or take 15 degrees."""
    u, v = canvas.turned(orientation)
    return in_grey(band_noise(u * frequency, v * frequency, seed, spread=30))
