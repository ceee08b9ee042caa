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
from circuitome.extract.stimuli.paint import (
    band_noise,
    in_grey,
    scatter,
    shaded,
)
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
        aside, along = ((u + 5 * right) % 5) - 2.5, ((v + 5 * up) % 5) - 2.5
        cover = ((1 - torch.hypot(aside, along)) / soft + 0.5).clamp_(0, 1)
        grey.lerp_((2 * shade - 1).expand_as(u), cover)
        first.lerp_(torch.cos(2 * math.pi * tint).expand_as(u), cover)
        second.lerp_(torch.sin(2 * math.pi * tint).expand_as(u), cover)
    return shaded(grey, first, second, saturation)


@stimulus(
    "noise",
    number("slope", 0, 0.5, 1, 1.5, 2),
    SATURATION,
    ANY_SEED,
    ANY_TURN,
    rotate="turn",
)
def noise(
    canvas: Canvas, *, slope: Tensor, saturation: Tensor, seed: Tensor, turn: Tensor
) -> Tensor:
    """Noise whose amplitude falls with frequency to the power of ``slope`` (0 white, 1 as natural
    scenes), grey or coloured.
    """
    u, v = canvas.turned(turn)
    coarsest = min(0.25 / canvas.radius, FINEST / 4)
    fields = [torch.zeros_like(u) for _ in range(3)]
    power = torch.zeros_like(slope)
    for index in range(COMPONENTS):
        # frequencies lie as the squares do: a density of 1 / sqrt(f), which the gain makes good
        frequency = coarsest + (FINEST - coarsest) * (index / (COMPONENTS - 1)) ** 2
        gain = (frequency / FINEST) ** (0.75 - slope)
        phase, tint, tilt = (2 * math.pi * scatter(seed, index, stream) for stream in range(3))
        angle = math.pi * (0.618034 * index) + tilt / COMPONENTS
        wave = u * (2 * math.pi * frequency * torch.cos(angle))
        wave = wave.addcmul_(v, 2 * math.pi * frequency * torch.sin(angle)).add_(phase).cos_()
        for field, part in zip(
            fields, (gain, gain * torch.cos(tint), gain * torch.sin(tint)), strict=True
        ):
            field.addcmul_(wave, part)
        power += gain**2
    fields = [(field / power.sqrt()).clamp_(-1, 1) for field in fields]
    return shaded(fields[0], fields[1], fields[2], saturation)


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
