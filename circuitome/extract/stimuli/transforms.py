"""Transforms: groups under which neurons may be copies of one another, and what they do to images.

An image is a function of pixel coordinates (x right, y down, from the centre of the patch), so a
transform g acts exactly: the image g f has at p the colour g(f(g^-1 p)). Angles are in degrees,
counter-clockwise as seen on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from circuitome.errors import CircuitomeError
from circuitome.vocabulary import GROUPS, SWITCHES

__all__ = [
    "GREY",
    "GROUPS",
    "IDENTITY",
    "Matrix",
    "Transform",
    "TransformError",
    "hue_axis",
    "pixels_from_centre",
    "steps",
]

GREY: Final = 0.5
"""The grey that hue rotation and inversion leave as it is."""

Matrix = tuple[tuple[float, float], tuple[float, float]]
"""A linear map of (x, y), by rows."""


class TransformError(CircuitomeError):
    """A transform that there is not."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One element g of a group: what it does to places and to colours."""

    group: str  # one of GROUPS
    amount: float
    """Degrees (rotate, hue, hue_rotate), octaves (scale), 0 or 1 (flips, invert)."""
    turn: float = 0.0  # hue_rotate only: degrees of the rotation, beside the hue in `amount`

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise TransformError(
                f"transform group {self.group!r} is not known; choose one of {', '.join(GROUPS)}"
            )
        if self.group in SWITCHES and self.amount not in (0.0, 1.0):
            raise TransformError(
                f"{self.group} by {self.amount:g} makes no sense; its amount is 1, or 0 for none"
            )
        if self.turn and self.group != "hue_rotate":
            raise TransformError(
                f"{self.group} takes no turn ({self.turn:g}); that is for hue_rotate"
            )

    def inverse(self) -> Transform:
        """The transform that undoes this one."""
        if self.group in SWITCHES:
            return self
        return replace(self, amount=-self.amount, turn=-self.turn)

    @property
    def angle(self) -> float:
        """Degrees by which places are rotated."""
        return {"rotate": self.amount, "hue_rotate": self.turn}.get(self.group, 0.0)

    @property
    def factor(self) -> float:
        """Factor by which lengths grow."""
        return 2.0**self.amount if self.group == "scale" else 1.0

    @property
    def matrix(self) -> Matrix:
        """Where a place goes, ``(x, y)`` to ``g (x, y)``: always a rotation or a reflection, times
        `factor`.
        """
        if self.group in ("flip_h", "flip_v") and self.amount:
            return (
                ((-1.0, 0.0), (0.0, 1.0)) if self.group == "flip_h" else ((1.0, 0.0), (0.0, -1.0))
            )
        cosine, sine = _cosine_sine(self.angle)
        return (self.factor * cosine, self.factor * sine), (
            -self.factor * sine,
            self.factor * cosine,
        )

    def coordinates(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``g^-1 (x, y)`` of each point, pixels from the patch's centre: an image drawn there is
        the image under g.
        """
        (a, b), (c, d) = self.inverse().matrix
        return a * x + b * y, c * x + d * y

    def colour(self, rgb: Tensor) -> Tensor:
        """Colours ``(n, 3, h, w)`` under g: hue turns about the grey axis, inversion mirrors at
        grey; nothing is clipped.
        """
        if self.group == "invert" and self.amount:
            return 2 * GREY - rgb
        if self.group in ("hue", "hue_rotate") and self.amount % 360:
            return (
                torch.einsum("ij,njhw->nihw", _hue_matrix(self.amount).to(rgb), rgb - GREY) + GREY
            )
        return rgb


IDENTITY: Final = Transform("rotate", 0.0)


def steps(group: str) -> tuple[Transform, ...]:
    """The transforms of a group that are tried by default.

    The score of a pair (i, j) under g^-1 is that of (j, i) under g, so positive amounts suffice.
    """
    if group == "hue_rotate":
        # a hue by 180 degrees with a turn back is the inverse of that with the turn forth
        turns = [(hue, turn) for hue in (60.0, 120.0, 180.0) for turn in (-90.0, 90.0, 180.0)]
        return tuple(
            Transform(group, hue, turn) for hue, turn in turns if (hue, turn) != (180.0, -90.0)
        )
    amounts = {
        "rotate": [15.0 * step for step in range(1, 13)],
        "scale": [0.5, 1.0],
        "hue": [30.0 * step for step in range(1, 7)],
    }
    return tuple(Transform(group, amount) for amount in amounts.get(group, [1.0]))


def pixels_from_centre(side: int, device: str | torch.device) -> Tensor:
    """Coordinates ``(side,)`` of the pixels along a side, 0 in its middle."""
    return torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2


def hue_axis(degrees: Tensor) -> Tensor:
    """Unit vectors ``(..., 3)`` in RGB, orthogonal to grey, of hues: 0 is towards red, 120 green,
    240 blue.
    """
    thirds = torch.arange(3, dtype=degrees.dtype, device=degrees.device) * (2 * math.pi / 3)
    return math.sqrt(2 / 3) * torch.cos(torch.deg2rad(degrees)[..., None] - thirds)


def _hue_matrix(degrees: float) -> Tensor:
    """Rotation ``(3, 3)`` of RGB about the grey axis that takes red to green at 120 degrees
    (Rodrigues).
    """
    cosine, sine = _cosine_sine(degrees)
    same, following = cosine + (1 - cosine) / 3, (1 - cosine) / 3 + sine / math.sqrt(3)
    before = (1 - cosine) / 3 - sine / math.sqrt(3)
    return torch.tensor(
        [[same, before, following], [following, same, before], [before, following, same]]
    )


def _cosine_sine(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of 90 degrees, so that pixels fall on pixels there."""
    quarters, rest = divmod(degrees, 90.0)
    cosine, sine = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[int(quarters) % 4]
