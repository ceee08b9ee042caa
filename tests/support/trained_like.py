"""Networks drawn at random whose weights are like trained ones, with circuits written into them or
with none.

Magnitudes are log-normal, kernels are smooth in space, the mean of a filter is a little inhibitory,
some senders are heavy and some neurons are dead; next to what is planted stand decoys. A claim of
calibration or of power is measured on these, and not on networks whose other weights are zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from circuitome.extract.stimuli.transforms import Transform
from tests.support.planted import Planted, smooth_filters

__all__ = ["conv", "network", "smooth_kernels", "stem"]

SPREAD: Final = 0.8
"""Standard deviation of the logarithm of magnitudes."""
INHIBITORY: Final = -0.1
"""Mean of the weights of a filter, in their standard deviations."""
SIDE: Final = 7
_WIDE: Final = 15
"""Side of the fields that turned filters are cut from."""


def stem(
    families: Sequence[tuple[str, Sequence[float]]],
    *,
    neurons: int = 64,
    noise: float = 0.1,
    smoothness: float = 1.2,
    reach: float = 2.0,
    seed: int,
) -> tuple[Tensor, list[Planted]]:
    """Filters ``(neurons, 3, 7, 7)`` of a first layer: every family (group, offsets) a smooth
    random field under its transforms, the rest smooth random fields; all of them fall off with
    ``reach`` pixels, are a little inhibitory on the whole and have white noise on them; shuffled.
    """
    generator = torch.Generator().manual_seed(seed)
    filters = smooth_filters(neurons, smoothness=smoothness, generator=generator, side=SIDE)
    place = torch.randperm(neurons, generator=generator).tolist()
    truth = []
    for group, offsets in families:
        members, place = place[: len(offsets)], place[len(offsets) :]
        field = smooth_filters(1, smoothness=smoothness, generator=generator, side=_WIDE)
        for member, offset in zip(members, offsets, strict=True):
            filters[member] = _seen(field, Transform(group, offset))
        truth.append(Planted(group, tuple(members), tuple(offsets)))
    bell = _envelope(reach)
    filters = filters * bell
    filters = filters - bell * (filters.mean((1, 2, 3), keepdim=True) / bell.mean())
    filters = filters / filters.std((1, 2, 3), correction=0, keepdim=True) + INHIBITORY
    return filters + noise * torch.randn(filters.shape, generator=generator), truth


def _envelope(reach: float) -> Tensor:
    """A round bell ``(side, side)`` of ``reach`` pixels."""
    axis = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    return torch.exp(-(axis[:, None].square() + axis.square()) / 2 / reach**2)


def _seen(field: Tensor, transform: Transform) -> Tensor:
    """The middle of a field ``(1, 3, wide, wide)`` under a transform: ``(3, side, side)``."""
    axis = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    x, y = transform.coordinates(axis[None, :].expand(SIDE, SIDE), axis[:, None].expand(SIDE, SIDE))
    grid = torch.stack([x, y], -1)[None] / ((_WIDE - 1) / 2)
    seen = grid_sample(field, grid.float(), align_corners=True, mode="bicubic")
    seen = transform.colour(seen + 0.5) - 0.5
    return seen[0] / seen.std(correction=0)


def smooth_kernels(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Kernels ``(out, in, side, side)``, log-normal in magnitude, smooth in space."""
    receivers, senders, side = shape
    kernels = smooth_filters(
        receivers * senders, smoothness=0.8, generator=generator, side=side, channels=1
    ).reshape(receivers, senders, side, side)
    size = torch.exp(SPREAD * torch.randn(receivers, senders, 1, 1, generator=generator))
    heavy = torch.exp(0.5 * torch.randn(senders, 1, 1, generator=generator))
    kernels = kernels * size * heavy
    kernels = kernels + INHIBITORY * kernels.std()
    kernels[torch.rand(receivers, generator=generator) < 0.03] = 0  # dead
    return kernels / math.sqrt(senders * side * side)


def network(
    first: Tensor, *, widths: Sequence[int] = (32, 16), classes: int = 10, seed: int
) -> nn.Sequential:
    """A first layer of given filters ``(n, 3, 7, 7)`` and smooth random ones after it."""
    generator = torch.Generator().manual_seed(seed + 500_009)
    layers: list[nn.Module] = [conv(first / SIDE / math.sqrt(3), stride=2)]
    senders = len(first)
    for width in widths:
        layers += [nn.ReLU(), conv(smooth_kernels((width, senders, 3), generator))]
        senders = width
    head = nn.Linear(senders, classes)
    with torch.no_grad():
        head.weight.copy_(torch.randn(classes, senders, generator=generator) / math.sqrt(senders))
        head.bias.zero_()
    return nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()


def conv(weight: Tensor, *, stride: int = 1) -> nn.Conv2d:
    """A convolution of these kernels that keeps the size of maps but for its stride, bias 0."""
    side = weight.shape[2]
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], side, stride=stride, padding=side // 2)
    with torch.no_grad():
        layer.weight.copy_(weight)
        assert layer.bias is not None
        layer.bias.zero_()
    return layer
