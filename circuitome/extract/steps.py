"""Steps: the channelwise operations that may lie between two layers, each in one place.

A kind of step says how it is computed (`verify` runs these functions on maps and volumes),
what it means for an edge, and what it does to places (`circuitome.extract.geometry`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.formula import Formula, evaluate
from circuitome.extract.geometry import (
    Filtering,
    Geometry,
    Mirroring,
    Padding,
    Pointwise,
    Resizing,
    Slicing,
    WholeMap,
    Windows,
)
from circuitome.extract.spatial import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    convolve,
    max_pool,
    per_channel,
)
from circuitome.extract.wiring import Step

__all__ = ["STEPS", "StepKind", "apply", "gain", "output_size"]


@dataclass(frozen=True, slots=True)
class StepKind:
    """How one kind of step is computed and what it means."""

    compute: Callable[..., Tensor]
    """``(x, **attrs, **vectors) -> x``."""
    geometry: Geometry
    """What it does to places."""
    linear: bool = False
    """A linear (or affine) map of each channel's map."""
    plain: bool = False
    """Passed by an edge without a word: linear, or a ReLU."""
    zero: bool = True
    """Maps a map of zeros to zeros."""
    arguments: tuple[str, ...] | None = None
    """An ATen operation of this name is this step, with these arguments."""

    @property
    def bends(self) -> bool:
        """Whether it bends each value by itself, as an activation does."""
        return not self.linear and self.geometry.keeps_size


def _alike(vector: Tensor, x: Tensor) -> Tensor:
    """One number a channel, in as many dimensions as ``x``."""
    return per_channel(vector, x.dim() - 2)


def _affine(
    x: Tensor, *, gain: Tensor | None = None, shift: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    x = x if scale == 1.0 else x * scale
    x = x if gain is None else x * _alike(gain, x)
    return x if shift is None else x + _alike(shift, x)


def _prelu(x: Tensor, *, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * _alike(slope, x))


def _curve(x: Tensor, *, formula: Formula) -> Tensor:
    return evaluate(formula, x)


def _power(x: Tensor, *, exponent: float = 1.0, exponents: Tensor | None = None) -> Tensor:
    return torch.pow(x, exponent if exponents is None else _alike(exponents, x))


def _slice(x: Tensor, *, dim: int, start: int, stop: int, step: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


def _filter(
    x: Tensor,
    *,
    kernel: Sequence[Sequence[Any]],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Tensor:
    channels = x.shape[1]
    weight = torch.tensor(kernel, device=x.device).expand(channels, 1, *kernel_size)
    return convolve(x, weight, None, stride, padding, dilation, channels)


def _mean(x: Tensor, *, dims: tuple[int, ...]) -> Tensor:
    return x.mean(dims, keepdim=True)


def _largest(x: Tensor, *, dims: tuple[int, ...]) -> Tensor:
    return x.amax(dims, keepdim=True)


def _pad(x: Tensor, *, pad: tuple[int, ...], mode: str) -> Tensor:
    return F.pad(x, pad, mode=mode)


def _activation(compute: Callable[..., Tensor], *arguments: str, zero: bool = True) -> StepKind:
    return StepKind(compute, Pointwise(), zero=zero, arguments=arguments)


def _linear(compute: Callable[..., Tensor], geometry: Geometry) -> StepKind:
    return StepKind(compute, geometry, linear=True, plain=True)


STEPS: Final[Mapping[str, StepKind]] = {
    "relu": StepKind(F.relu, Pointwise(), plain=True, arguments=()),
    "relu6": _activation(F.relu6),
    "hardtanh": _activation(F.hardtanh, "min_val", "max_val"),
    "leaky_relu": _activation(F.leaky_relu, "negative_slope"),
    "prelu": StepKind(_prelu, Pointwise()),
    "elu": _activation(F.elu, "alpha"),
    "celu": _activation(F.celu, "alpha"),
    "selu": _activation(F.selu),
    "gelu": _activation(F.gelu, "approximate"),
    "silu": _activation(F.silu),
    "mish": _activation(F.mish),
    "softplus": _activation(F.softplus, "beta", "threshold", zero=False),
    "sigmoid": _activation(torch.sigmoid, zero=False),
    "hardsigmoid": _activation(F.hardsigmoid, zero=False),
    "hardswish": _activation(F.hardswish),
    "log_sigmoid": _activation(F.logsigmoid, zero=False),
    "tanh": _activation(torch.tanh),
    "abs": _activation(torch.abs),
    "square": _activation(torch.square),
    "exp": _activation(torch.exp, zero=False),
    "sqrt": _activation(torch.sqrt),
    "clamp": _activation(torch.clamp, "min", "max", zero=False),
    "curve": StepKind(_curve, Pointwise(), zero=False),
    "power": StepKind(_power, Pointwise(), zero=False),
    "reciprocal": _activation(torch.reciprocal, zero=False),
    "rsqrt": _activation(torch.rsqrt, zero=False),
    "log": _activation(torch.log, zero=False),
    "log1p": _activation(torch.log1p),
    "erf": _activation(torch.erf),
    "sin": _activation(torch.sin),
    "threshold": StepKind(F.threshold, Pointwise(), plain=True, zero=False),
    "affine": StepKind(_affine, Pointwise(), linear=True, zero=False),
    "max_pool": StepKind(max_pool, Windows()),
    "avg_pool": _linear(avg_pool, Windows()),
    "filter": _linear(_filter, Filtering()),
    "adaptive_avg_pool": _linear(adaptive_avg_pool, WholeMap()),
    "adaptive_max_pool": StepKind(adaptive_max_pool, WholeMap()),
    "mean": _linear(_mean, WholeMap()),
    "amax": StepKind(_largest, WholeMap()),
    "pad": _linear(_pad, Padding()),
    "slice": _linear(_slice, Slicing()),
    "flip": _linear(torch.flip, Mirroring()),
    "upsample": _linear(F.interpolate, Resizing()),
}
"""Every kind of step by its name: a new one is a line here, be it spatial or not."""


def apply(step: Step, x: Tensor, array: Callable[[str], Tensor]) -> Tensor:
    """The step on ``x``, ``(N, C, ...)``; ``array`` looks up its vectors by name."""
    vectors = {argument: array(name) for argument, name in step.vectors.items()}
    return STEPS[step.name].compute(x, **step.attrs, **vectors)


def gain(step: Step, arrays: Mapping[str, np.ndarray]) -> np.ndarray | float:
    """What the step multiplies each channel by, ``(n,)`` float64 or one number for all.

    ``arrays`` has the vectors of the steps.
    """
    factor = float(step.attrs.get("scale", 1.0))
    if "gain" not in step.vectors:
        return factor
    return arrays[step.vectors["gain"]].astype(np.float64) * factor


def output_size(step: Step, size: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths of a map's axes after a step, found by running it on one."""
    kind = STEPS[step.name]
    if kind.geometry.keeps_size:
        return size
    after = kind.compute(torch.zeros(1, 1, *size), **step.attrs)
    return tuple(map(int, after.shape[2:]))
