"""Steps: the channelwise operations that may lie between two layers, and how each is computed.

`verify` runs these functions on ``(N, C, H, W)`` tensors. The table also says what a step means for an edge:
whether it is linear, and how it changes the receptive field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.wiring import Step

__all__ = ["STEPS", "StepKind", "apply", "grow", "output_size", "pair", "receptive_field"]

Field = tuple[tuple[float, float], tuple[float, float]]
"""Receptive field and jump, each (vertical, horizontal), in input pixels."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """How one kind of step is computed and what it means."""

    compute: Callable[..., Tensor]  # (x, **attrs, **vectors) -> x
    linear: bool = False  # a linear (or affine) map of each channel's map
    plain: bool = False  # passed as it is by an edge: linear, or a ReLU
    zero: bool = True  # maps a map of zeros to zeros
    window: tuple[str, str] | None = None  # attributes with its kernel size and its stride
    whole: bool = False  # reads the whole map
    arguments: tuple[str, ...] | None = (
        None  # an ATen operation of this name is this step, with these arguments
    )


def _vector(vector: Tensor) -> Tensor:
    return vector.view(1, -1, 1, 1)


def _affine(
    x: Tensor, *, gain: Tensor | None = None, shift: Tensor | None = None, scale: float = 1.0
) -> Tensor:
    x = x if scale == 1.0 else x * scale
    x = x if gain is None else x * _vector(gain)
    return x if shift is None else x + _vector(shift)


def _prelu(x: Tensor, *, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * _vector(slope))


def _slice(x: Tensor, *, dim: int, start: int, stop: int, step: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


def _activation(compute: Callable[..., Tensor], *arguments: str, zero: bool = True) -> StepKind:
    return StepKind(compute, zero=zero, arguments=arguments)


STEPS: Final[Mapping[str, StepKind]] = {
    "relu": StepKind(F.relu, plain=True, arguments=()),
    "relu6": _activation(F.relu6),
    "hardtanh": _activation(F.hardtanh, "min_val", "max_val"),
    "leaky_relu": _activation(F.leaky_relu, "negative_slope"),
    "prelu": StepKind(_prelu),
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
    "affine": StepKind(_affine, linear=True, zero=False),
    "max_pool": StepKind(F.max_pool2d, window=("kernel_size", "stride")),
    "avg_pool": StepKind(F.avg_pool2d, linear=True, plain=True, window=("kernel_size", "stride")),
    "adaptive_avg_pool": StepKind(F.adaptive_avg_pool2d, linear=True, plain=True, whole=True),
    "adaptive_max_pool": StepKind(F.adaptive_max_pool2d, whole=True),
    "mean": StepKind(
        lambda x, *, dims: x.mean(dims, keepdim=True), linear=True, plain=True, whole=True
    ),
    "amax": StepKind(lambda x, *, dims: x.amax(dims, keepdim=True), whole=True),
    "pad": StepKind(lambda x, *, pad, mode: F.pad(x, pad, mode=mode), linear=True, plain=True),
    "slice": StepKind(_slice, linear=True, plain=True),
    "upsample": StepKind(F.interpolate, linear=True, plain=True),
}


def apply(step: Step, x: Tensor, array: Callable[[str], Tensor]) -> Tensor:
    """The step on ``x``, ``(N, C, H, W)``; ``array`` looks up its vectors by name."""
    vectors = {argument: array(name) for argument, name in step.vectors.items()}
    return STEPS[step.name].compute(x, **step.attrs, **vectors)


def receptive_field(step: Step, field: Field, size: tuple[int, int]) -> Field:
    """Receptive field after a step on maps of ``size``."""
    (rf, jump), kind, attrs = field, STEPS[step.name], step.attrs
    if kind.window is not None:
        kernel, stride = pair(attrs[kind.window[0]]), pair(attrs[kind.window[1]])
        return grow(rf, jump, kernel, (1, 1)), (jump[0] * stride[0], jump[1] * stride[1])
    if kind.whole:
        return grow(rf, jump, size, (1, 1)), (jump[0] * size[0], jump[1] * size[1])
    if step.name == "slice" and attrs["dim"] >= 2:
        down = tuple(
            jump[axis] * (attrs["step"] if axis == attrs["dim"] - 2 else 1) for axis in (0, 1)
        )
        return rf, (down[0], down[1])
    if step.name == "upsample":
        out = attrs["size"]
        return rf, (jump[0] * size[0] / out[0], jump[1] * size[1] / out[1])
    return rf, jump


def output_size(step: Step, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a map after a step, found by running it on one."""
    kind = STEPS[step.name]
    if kind.window is None and not kind.whole and step.name not in ("pad", "slice", "upsample"):
        return size
    out = kind.compute(torch.zeros(1, 1, *size), **step.attrs)
    return int(out.shape[2]), int(out.shape[3])


def grow(
    rf: tuple[float, float],
    jump: tuple[float, float],
    kernel: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[float, float]:
    """A receptive field seen through one more kernel, vertical and horizontal."""
    return (
        rf[0] + (kernel[0] - 1) * dilation[0] * jump[0],
        rf[1] + (kernel[1] - 1) * dilation[1] * jump[1],
    )


def pair(value: Any) -> tuple[int, int]:
    """Vertical and horizontal size of an argument that may be one number for both."""
    sizes = [value] if isinstance(value, int) else list(value)
    return int(sizes[0]), int(sizes[-1])
