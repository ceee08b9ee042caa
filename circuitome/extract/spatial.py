"""Operations over two or three spatial axes.

Maps are ``(N, C, H, W)``, and ``(N, C, D, H, W)`` in a network that reads volumes. A signal
``(N, C, L)`` is a map of height 1, and an image among volumes a map of depth 1: neither changes a
number, so that the rest of the program knows two ranks and no third.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "MAPS",
    "VOLUMES",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "axes_of",
    "convolve",
    "convolve_transposed",
    "lifted",
    "max_pool",
    "per_channel",
    "single",
]

MAPS: Final = 2
"""Rank of a network of images or signals: height and width."""
VOLUMES: Final = 3
"""Rank of a network of volumes: depth, height and width."""


def axes_of(rank: int) -> str:
    """Names of the spatial axes, outermost first.

    >>> axes_of(MAPS), axes_of(VOLUMES)
    ('HW', 'DHW')
    """
    return "DHW"[-rank:]


def single(rank: int, value: int = 1) -> tuple[int, ...]:
    """The same number for every axis."""
    return (value,) * rank


def lifted(value: Any, rank: int, axes: int, fill: int = 1) -> tuple[int, ...]:
    """The argument of an operation over the last ``axes`` axes, for all of them.

    ``value`` is one number for each of these axes or one for all; the axes before them get
    ``fill``.

    >>> lifted(2, MAPS, 2), lifted([3], MAPS, 1), lifted((1, 2), VOLUMES, 2, fill=0)
    ((2, 2), (1, 3), (0, 1, 2))
    """
    sizes = [value] if isinstance(value, int) else list(value)
    own = sizes * axes if len(sizes) == 1 else sizes
    return (*single(rank - axes, fill), *map(int, own))


def per_channel(vector: Tensor, rank: int) -> Tensor:
    """One number a channel, ``(C,)``, as ``(1, C, 1, 1)`` or ``(1, C, 1, 1, 1)``."""
    return vector.view(1, -1, *single(rank))


def _by_rank(maps: Callable[..., Tensor], volumes: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The one for maps or the other for volumes, by what is given first."""

    def run(x: Tensor, *given: Any, **named: Any) -> Tensor:
        return (maps if x.dim() == 2 + MAPS else volumes)(x, *given, **named)

    return run


convolve: Final = _by_rank(F.conv2d, F.conv3d)
convolve_transposed: Final = _by_rank(F.conv_transpose2d, F.conv_transpose3d)
max_pool: Final = _by_rank(F.max_pool2d, F.max_pool3d)
avg_pool: Final = _by_rank(F.avg_pool2d, F.avg_pool3d)
adaptive_avg_pool: Final = _by_rank(F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
adaptive_max_pool: Final = _by_rank(F.adaptive_max_pool2d, F.adaptive_max_pool3d)
