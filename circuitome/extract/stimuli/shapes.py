"""Shapes in bulk, drawn from tables: discs, ellipses, straight borders, plane waves and Gabors.

Every transform here is a similarity, which keeps discs round and plane waves plane: the shapes are
moved instead of the pixels. Along rows and columns they then are sums and products of
one-dimensional tables, which makes them cheap. In the shapes of tensors n counts images and k the
shapes of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitome.extract.stimuli.transforms import Transform, pixels_from_centre

__all__ = ["Frame", "composite", "conic", "plane", "wave_sum"]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the images are drawn, and what a transform does to a place, a direction and a
    length.
    """

    line: Tensor  # (side,) pixels from the centre, of columns and of rows
    radius: float
    reach: float  # shapes lie within this distance of the centre
    factor: float  # lengths grow by this
    turn: Tensor  # (2, 2) rotation or reflection of (x, y)

    @classmethod
    def of(cls, side: int, radius: float, transform: Transform, device: torch.device) -> Frame:
        line = pixels_from_centre(side, device)
        turn = torch.tensor(transform.matrix, device=device) / transform.factor
        return cls(line, radius, max(1.5 * radius, 0.6 * side), transform.factor, turn)

    def direction(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors on the screen, x and y, of angles (radians) before the transform."""
        x, y = torch.cos(angle), -torch.sin(angle)
        return self.turn[0, 0] * x + self.turn[0, 1] * y, self.turn[1, 0] * x + self.turn[1, 1] * y

    def centres(
        self, where: Tensor, distance: Tensor, *, reach: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Places on the screen, uniform in a disc of ``reach``, from two uniform numbers."""
        x, y = self.direction(2 * math.pi * where)
        length = self.factor * reach * torch.sqrt(distance)
        return x * length, y * length


def conic(
    frame: Frame,
    x: Tensor,
    y: Tensor,
    *,
    along: tuple[Tensor, Tensor],
    length: Tensor,
    width: Tensor,
) -> Tensor:
    """Nearly the distance to an ellipse's border, positive within, in pixels before the transform,
    ``(n, k, side, side)``.

    ``(width^2 - q) / (2 width)``, where q is the squared distance from the centre measured in
    widths.
    """
    (ax, ay), ratio, scale = along, (width / length) ** 2, 1 / (2 * width * frame.factor**2)
    xx, yy, xy = ax * ax * ratio + ay * ay, ay * ay * ratio + ax * ax, 2 * ax * ay * (ratio - 1)
    dx, dy = frame.line - x[..., None], frame.line - y[..., None]
    columns = (width / 2)[..., None] - (xx * scale)[..., None] * dx * dx
    rows = -(yy * scale)[..., None] * dy * dy
    level = columns[..., None, :] + rows[..., :, None]
    return level.addcmul_((-(xy * scale)[..., None] * dx)[..., None, :], dy[..., :, None])


def plane(frame: Frame, x: Tensor, y: Tensor, *, normal: tuple[Tensor, Tensor]) -> Tensor:
    """The distance to a straight line, in pixels before the transform, positive on the normal's
    side.
    """
    columns = normal[0][..., None] * (frame.line - x[..., None]) / frame.factor
    rows = normal[1][..., None] * (frame.line - y[..., None]) / frame.factor
    return columns[..., None, :] + rows[..., :, None]


def composite(cover: Tensor, values: Tensor) -> Tensor:
    """Paint shapes over one another, the first in front, and the last value behind them all.

    ``cover`` ``(n, k, side, side)`` is used up; ``values`` ``(n, k + 1, channels)`` gives ``(n,
    channels, side, side)``.
    """
    seen = torch.ones_like(cover[:, 0])
    for index in range(cover.shape[1]):
        cover[:, index] *= seen
        seen -= cover[:, index]
    painted = values[:, :-1].transpose(1, 2) @ cover.flatten(2)
    return (painted + values[:, -1, :, None] * seen.flatten(1)[:, None]).unflatten(
        2, cover.shape[2:]
    )


def wave_sum(
    frame: Frame,
    colours: Tensor,
    frequency: Tensor,
    *,
    angle: Tensor,
    phase: Tensor,
    window: tuple[Tensor, Tensor, Tensor] | None = None,
) -> Tensor:
    """Sum of coloured plane waves, or of Gabors where there is a ``window`` (x, y, standard
    deviation), all ``(n, k)``.

    cos(a + b) = cos a cos b - sin a sin b splits each wave into columns and rows: one product of
    matrices a channel.
    """
    kx, ky = frame.direction(angle)
    pace = 2 * math.pi * frequency / frame.factor
    x, y, spread = window or (torch.zeros_like(kx), torch.zeros_like(kx), None)
    dx, dy = frame.line - x[..., None], frame.line - y[..., None]
    across, down = (kx * pace)[..., None] * dx + phase[..., None], (ky * pace)[..., None] * dy
    columns = _under([across.cos(), across.sin()], dx, spread)
    rows = _under([down.cos(), -down.sin()], dy, spread)
    amplitudes = colours.transpose(1, 2).repeat(1, 1, 2)[..., None]
    weighted = rows[:, None] * amplitudes  # (n, 3, 2k, side)
    return weighted.transpose(2, 3) @ columns[:, None]


def _under(waves: list[Tensor], places: Tensor, spread: Tensor | None) -> Tensor:
    """Waves ``(n, k, side)``, one list behind the other, under Gaussians of some ``spread``."""
    if spread is None:
        return torch.cat(waves, 1)
    window = torch.exp(-0.5 * (places / spread[..., None]) ** 2)
    return torch.cat([wave * window for wave in waves], 1)
