"""Activations and norms written out by hand: one step, or one layer of norm neurons; proven."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.constructs import (
    PLAIN,
    PLAIN_EDGES,
    Run,
    around,
    ops_of,
    proven,
    steps_behind,
)
from tests.support.small_networks import Lambda


def _gelu_by_tanh(_: Lambda, x: Tensor) -> Tensor:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))
    return 0.5 * x * (1 + torch.tanh(inner))


def _gelu_by_cubes(_: Lambda, x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.7978845608028654 * x * (1 + 0.044715 * x * x)))


ACTIVATIONS: dict[str, tuple[Run, str]] = {
    "swish": (lambda _, x: x * torch.sigmoid(x), "silu"),
    "swish the other way": (lambda _, x: torch.sigmoid(x) * x, "silu"),
    "swish as a quotient": (lambda _, x: x / (1 + torch.exp(-x)), "silu"),
    "hard swish": (lambda _, x: x * F.relu6(x + 3) / 6, "hardswish"),
    "hard swish in brackets": (lambda _, x: x * (F.relu6(x + 3) / 6), "hardswish"),
    "hard swish by clamp": (lambda _, x: x * torch.clamp(x / 6 + 0.5, 0, 1), "hardswish"),
    "hard sigmoid": (lambda _, x: F.relu6(x + 3) / 6, "hardsigmoid"),
    "hard sigmoid by hardtanh": (lambda _, x: F.hardtanh(x + 3, 0, 6) / 6, "hardsigmoid"),
    "gelu by erf": (lambda _, x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), "gelu"),
    "gelu, its half last": (lambda _, x: x * (1 + torch.erf(x * 2**-0.5)) * 0.5, "gelu"),
    "gelu by tanh": (_gelu_by_tanh, "gelu"),
    "gelu by cubes": (_gelu_by_cubes, "gelu"),
    "mish": (lambda _, x: x * torch.tanh(F.softplus(x)), "mish"),
    "square": (lambda _, x: x * x, "square"),
    "quick gelu": (lambda _, x: x * torch.sigmoid(1.702 * x), "curve"),
    "softsign": (lambda _, x: F.softsign(x), "curve"),
    "leaky relu by where": (lambda _, x: torch.where(x > 0, x, 0.1 * x), "curve"),
    "clamp_min": (lambda _, x: torch.clamp_min(x, 0), "relu"),
    "clamp": (lambda _, x: x.clamp(min=0), "relu"),
    "larger than zero": (lambda _, x: torch.maximum(x, torch.zeros(1)), "relu"),
    "threshold of zero": (lambda _, x: F.threshold(x, 0.0, 0.0), "relu"),
    "threshold": (lambda _, x: F.threshold(x, 0.1, 0.0), "threshold"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_written_by_hand_is_one_step(name, tmp_path):
    run, step = ACTIVATIONS[name]
    model = around(run)
    bundle = proven(model, tmp_path)
    assert bundle.manifest.counts["neurons"] == PLAIN
    assert bundle.manifest.counts["edges"] == PLAIN_EDGES
    assert steps_behind(model) == [[step]]


def test_a_swish_with_a_learned_slope_is_one_step(tmp_path):
    beta = nn.Parameter(torch.tensor(1.5))
    model = around(lambda m, x: x * torch.sigmoid(m.beta * x), beta=beta)
    assert proven(model, tmp_path).manifest.counts["neurons"] == PLAIN


def test_a_gate_of_another_layer_stays_a_gate(tmp_path):
    model = around(lambda m, x: x * torch.sigmoid(m.mask(x)), mask=nn.Conv2d(6, 6, 1))
    bundle = proven(model, tmp_path)
    assert bundle.manifest.counts["neurons"] == PLAIN + 6 + 6
    assert len(bundle.table("GATES")) == 6


def _hand_layer_norm(m: Lambda, x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    spread = (x - mean).pow(2).mean(1, keepdim=True)
    return m.w[:, None, None] * ((x - mean) / torch.sqrt(spread + 1e-6)) + m.b[:, None, None]


def _last_channels_norm(_: Lambda, x: Tensor) -> Tensor:
    y = x.permute(0, 2, 3, 1)
    variance, mean = torch.var_mean(y, dim=-1, keepdim=True, unbiased=False)
    return ((y - mean) * torch.rsqrt(variance + 1e-5)).permute(0, 3, 1, 2)


def _hand_group_norm(_: Lambda, x: Tensor) -> Tensor:
    y = x.view(x.shape[0], 2, -1)
    y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True) + 1e-5).sqrt()
    return y.view(x.shape)


def _evo_norm(m: Lambda, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    groups = x.reshape(n, 2, c // 2, h, w)
    spread = groups.float().var(dim=(2, 3, 4), unbiased=False, keepdim=True).add(1e-5).sqrt()
    spread = spread.to(x.dtype).expand(groups.shape).reshape(n, c, h, w)
    return x * (x * m.w.view(1, -1, 1, 1)).sigmoid() / spread


def _vector() -> nn.Parameter:
    return nn.Parameter(torch.randn(6))


NORMS: dict[str, tuple[Run, dict[str, Any]]] = {
    "layer norm by hand": (_hand_layer_norm, {"w": _vector(), "b": _vector()}),
    "layer norm, channels last": (_last_channels_norm, {}),
    "group norm by hand": (_hand_group_norm, {}),
    "instance norm": (lambda m, x: m.norm(x), {"norm": nn.InstanceNorm2d(6)}),
    "rms norm": (
        lambda m, x: m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        {"norm": nn.RMSNorm(6)},
    ),
    "rms norm by hand": (
        lambda m, x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6) * m.w[:, None, None],
        {"w": _vector()},
    ),
    "length one": (lambda _, x: F.normalize(x, dim=1), {}),
    "local response norm": (lambda m, x: m.norm(x), {"norm": nn.LocalResponseNorm(5)}),
    "a norm with a swish": (_evo_norm, {"w": _vector()}),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_one_layer_of_norm_neurons(name, tmp_path):
    run, parts = NORMS[name]
    bundle = proven(around(run, **parts), tmp_path)
    assert ops_of(bundle) == ["input", "conv", "norm", "conv", "linear"]
    assert bundle.manifest.counts["neurons"] == PLAIN + 6
    assert bundle.manifest.counts["edges"] == PLAIN_EDGES + 6


def test_a_global_response_norm_is_a_norm_and_a_sum(tmp_path):
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 3, 1)
        size = torch.norm(y, p=2, dim=(1, 2), keepdim=True)
        share = size / (size.mean(dim=-1, keepdim=True) + 1e-6)
        return (m.w * (y * share) + m.b + y).permute(0, 3, 1, 2)

    bundle = proven(around(run, w=_vector(), b=_vector()), tmp_path)
    assert ops_of(bundle) == ["input", "conv", "norm", "add", "conv", "linear"]


def test_an_instance_norm_by_running_statistics_is_folded(tmp_path):
    norm = nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
    bundle = proven(around(lambda m, x: m.norm(x), norm=norm), tmp_path)
    assert bundle.manifest.counts["neurons"] == PLAIN
