"""Networks with smooth, trained-like filters that were drawn independently: what one has the other
has by chance alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tests.support.trained_like import conv, smooth_kernels, stem

__all__ = ["INPUT", "unrelated"]

INPUT = (3, 49, 49)
ROTATIONS = tuple(45.0 * step for step in range(8))


class _Unit(nn.Module):
    """Convolutions side by side, joined, or added to what they read; ReLU after."""

    def __init__(self, kernels: Sequence[Tensor], *, adds: bool = False) -> None:
        super().__init__()
        self.ways = nn.ModuleList(conv(kernel) for kernel in kernels)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([way(x) for way in self.ways], 1)
        return torch.relu(x + y if self.adds else y)


def unrelated(seed: int) -> nn.Module:
    """A network in evaluation mode whose first layer has a rotation family among smooth filters.

    Its seed says how it is built: plain, residual, or of branches with kernels of two sizes.
    """
    generator = torch.Generator().manual_seed(seed)
    first, _ = stem([("rotate", ROTATIONS)], neurons=48, seed=seed)
    layers: list[nn.Module] = [conv(first / first[0].numel() ** 0.5, stride=2), nn.ReLU()]
    sides = (3, 5) if seed % 3 == 2 else (3,)
    senders = len(first)
    for width in (48, 48, 32):
        shapes = [(width // len(sides), senders, side) for side in sides]
        kernels = [smooth_kernels(shape, generator) for shape in shapes]
        layers.append(_Unit(kernels, adds=seed % 3 == 1 and senders == width))
        senders = width
    head = nn.Linear(senders, 10)
    head.weight.data = torch.randn(head.weight.shape, generator=generator) / senders**0.5
    head.bias.data = torch.zeros(10)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
