"""Small networks of signals and of volumes, with batch norm, affines and scales away from their
defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.small_networks import Lambda

__all__ = ["NETWORKS", "Sized", "shaken"]


@dataclass(frozen=True)
class Sized:
    """What makes a network, and the shape of its input."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return shaken(self.make())


def shaken(model: nn.Module) -> nn.Module:
    """The network in eval mode, with random norms and biases."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return model.eval()


def _heartbeat_block(senders: int, receivers: int, stride: int) -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = m.drop(F.relu(m.first_norm(m.first(x))))
        return F.relu(m.shortcut(m.pool(x)) + m.second_norm(m.second(y)))

    return Lambda(
        run,
        first=nn.Conv1d(senders, receivers, 7, stride=stride, padding=3, bias=False),
        first_norm=nn.BatchNorm1d(receivers),
        drop=nn.Dropout1d(0.1),
        second=nn.Conv1d(receivers, receivers, 4, padding="same", dilation=3, bias=False),
        second_norm=nn.BatchNorm1d(receivers),
        pool=nn.AvgPool1d(stride, ceil_mode=True),
        shortcut=nn.Conv1d(senders, receivers, 1),
    )


def _heartbeats() -> nn.Module:
    """A residual network of twelve leads, as those that read electrocardiograms."""
    return nn.Sequential(
        nn.Conv1d(12, 8, 15, stride=2, padding=7, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(3, 2, 1),
        _heartbeat_block(8, 8, 1),
        _heartbeat_block(8, 16, 2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 5),
    )


def _denoiser() -> nn.Module:
    """A U of signals: a transposed convolution, a skip, gates, norms, and a head at each step."""

    def run(m: Lambda, x: Tensor) -> tuple[Tensor, ...]:
        first = m.norm(F.gelu(m.first(F.pad(x, (2, 3), mode="reflect"))))
        y = m.up(m.down(first)[:, :, 1:-1])
        y = F.interpolate(y, size=first.shape[2], mode="linear")
        y = m.slope(m.groups(m.joined(torch.cat([first, y], 1))))
        y = y * torch.sigmoid(m.gate(y.mean(2))).unsqueeze(2)
        y = m.head(m.last_norm(y.transpose(1, 2))).transpose(1, 2)
        return F.adaptive_max_pool1d(y, 4).flatten(1), F.interpolate(y, scale_factor=2).flip(2)

    return Lambda(
        run,
        first=nn.Conv1d(2, 6, 4),
        norm=nn.InstanceNorm1d(6, affine=True),
        down=nn.Conv1d(6, 8, 3, stride=2, padding=1, groups=2),
        up=nn.ConvTranspose1d(8, 6, 4, stride=2, padding=1),
        joined=nn.Conv1d(12, 4, 3, padding=1, padding_mode="circular"),
        groups=nn.GroupNorm(2, 4),
        slope=nn.PReLU(4),
        gate=nn.Linear(4, 4),
        last_norm=nn.LayerNorm(4),
        head=nn.Linear(4, 3),
    )


def _segmenter() -> nn.Module:
    """A U of volumes, with uneven strides and a gate."""

    def run(m: Lambda, x: Tensor) -> Tensor:
        first = F.leaky_relu(m.norm(m.first(x)), 0.1)
        deep = m.deep_norm(m.down(F.max_pool3d(first, 2)))
        y = m.up(deep + m.drop(m.deep(deep)))
        y = F.interpolate(y, size=first.shape[2:], mode="trilinear", align_corners=False)
        y = y * torch.sigmoid(m.gate(F.adaptive_avg_pool3d(y, 1)))
        return m.head(torch.cat([first, y], 1))

    return Lambda(
        run,
        first=nn.Conv3d(1, 6, 3, padding=1),
        norm=nn.BatchNorm3d(6),
        down=nn.Conv3d(6, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        deep_norm=nn.InstanceNorm3d(8, affine=True),
        deep=nn.Conv3d(8, 8, (3, 2, 1), padding="same", groups=2),
        drop=nn.Dropout3d(),
        up=nn.ConvTranspose3d(8, 6, (2, 3, 2), stride=2, output_padding=1),
        gate=nn.Conv3d(6, 6, 1),
        head=nn.Conv3d(12, 2, 1),
    )


def _clips() -> nn.Module:
    """A classifier of short films with two heads, one of which keeps positions."""

    def run(m: Lambda, x: Tensor) -> tuple[Tensor, ...]:
        x = F.relu(m.first(x))
        x = F.relu(x + m.norm(m.second(x)))
        x = m.wide(F.relu(m.narrow(F.avg_pool3d(x, 2))))[:, :, :, 1:, ::2]
        return m.classes(x.mean((2, 3, 4))), m.places(
            F.adaptive_avg_pool3d(x, (2, 3, 2)).flatten(1)
        )

    return Lambda(
        run,
        first=nn.Conv3d(3, 6, (3, 7, 5), stride=(1, 2, 2), padding=(1, 3, 2)),
        second=nn.Conv3d(6, 6, 3, padding=1),
        norm=nn.BatchNorm3d(6),
        narrow=nn.Conv3d(6, 4, 1),
        wide=nn.Conv3d(4, 8, 3, padding=2, dilation=2),
        classes=nn.Linear(8, 5),
        places=nn.Linear(8 * 2 * 3 * 2, 4),
    )


NETWORKS = {
    "heartbeats": Sized(_heartbeats, (12, 200)),
    "denoiser": Sized(_denoiser, (2, 63)),
    "segmenter": Sized(_segmenter, (1, 8, 12, 16)),
    "clips": Sized(_clips, (3, 6, 16, 12)),
}
