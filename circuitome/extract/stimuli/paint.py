"""Painting: how patterns become images, and the noise that several stimuli are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.stimuli.registry import Canvas
from circuitome.extract.stimuli.transforms import GREY, hue_axis

__all__ = [
    "CHROMA",
    "CONTRAST",
    "band_noise",
    "border",
    "in_grey",
    "in_hue",
    "plane_wave",
    "scatter",
    "shaded",
]

CONTRAST: Final = 0.45
"""Light and dark stand this far from grey."""
CHROMA: Final = 0.55
"""Length of a full colour's vector from grey: every hue then lies within [0, 1]."""
WAVES: Final = 10
"""Plane waves in a patch of band-limited noise."""
_TABLE: Final = np.random.default_rng(1).random((4, 32, 2))
"""Fixed numbers without a pattern, for `scatter`."""


def border(distance: Tensor, canvas: Canvas) -> Tensor:
    """1 where a signed distance (pixels) is positive, 0 where it is negative, with a border as soft
    as the canvas.
    """
    return (distance / canvas.soft + 0.5).clamp_(0, 1)


def in_grey(pattern: Tensor, polarity: Tensor | float = 1.0) -> Tensor:
    """Light and dark, ``(n, 1, side, side)``, from a pattern in [-1, 1], ``(n, side, side)``."""
    return (GREY + CONTRAST * polarity * pattern)[:, None]


def in_hue(pattern: Tensor, hue: Tensor) -> Tensor:
    """A pattern between a hue (at 1) and the opposite one (at -1), ``(n, 3, side, side)``, all
    equally bright.
    """
    return GREY + CHROMA * pattern[:, None] * hue_axis(hue[:, 0, 0])[:, :, None, None]


def scatter(seed: Tensor, index: int, stream: int) -> Tensor:
    """Numbers in [0, 1) that differ as if by chance between ``index`` and ``stream``, from seeds
    that are 997ths.
    """
    factor, shift = _TABLE[stream, index]
    return (seed * round(997 * factor) + shift) % 1.0


def _waves(
    u: Tensor, v: Tensor, seed: Tensor, *, count: int, spread: float = 180.0
) -> Iterator[Tensor]:
    """Plane waves of one cycle a unit length that run along v, give or take half of ``spread``
    degrees.
    """
    for index in range(count):
        tilt = math.radians(spread) * ((index + scatter(seed, index, 0)) / count - 0.5)
        across, along = 2 * math.pi * torch.sin(tilt), 2 * math.pi * torch.cos(tilt)
        yield plane_wave(u, v, across, along, 2 * math.pi * scatter(seed, index, 1))


def plane_wave(u: Tensor, v: Tensor, across: Tensor, along: Tensor, phase: Tensor) -> Tensor:
    """The cosine of a phase that grows by ``across`` along u and by ``along`` along v, radians."""
    return (u * across).addcmul_(v, along).add_(phase).cos_()


def band_noise(u: Tensor, v: Tensor, seed: Tensor, *, spread: float = 180.0) -> Tensor:
    """Noise in [-1, 1] of one spatial frequency, 1 a unit length."""
    total = sum(_waves(u, v, seed, count=WAVES, spread=spread), start=torch.zeros(()))
    return (total * math.sqrt(1 / WAVES)).clamp_(-1, 1)


def shaded(grey: Tensor, first: Tensor, second: Tensor, saturation: Tensor) -> Tensor:
    """Brightness and two components of colour, ``(n, side, side)`` in [-1, 1], as one image; grey
    where saturation is 0.

    Colours have two thirds of the grey's contrast, so that hardly any value leaves [0, 1].
    """
    red, between = (
        hue_axis(torch.zeros_like(saturation[:, 0, 0])),
        hue_axis(90 + torch.zeros_like(saturation[:, 0, 0])),
    )
    colour = first[:, None] * red[:, :, None, None] + second[:, None] * between[:, :, None, None]
    share = saturation[:, None] * 2 / 3
    return GREY + CONTRAST * (1 - share / 2) * grey[:, None] + CHROMA * share * colour
