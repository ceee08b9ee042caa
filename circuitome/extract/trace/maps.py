"""Rules of operations on the positions of each channel's map: pools, padding, upsampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.extract.spatial import MAPS, single
from circuitome.extract.trace.export import first_of
from circuitome.extract.trace.rules import Rules, need_image, shape_of, spatial
from circuitome.extract.trace.tracer import Tracer, Value
from circuitome.extract.wiring import Step

__all__ = ["RULES", "padded"]

RULES: Final = Rules()
rule = RULES.rule


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Arguments of ``aten.max_pool2d`` and its like after its input, in their order."""

    kernel_size: Any
    stride: Any = ()
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Arguments of ``aten.avg_pool2d`` and its like after its input, in their order."""

    kernel_size: Any
    stride: Any = ()
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@rule(
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
)
def max_pool(t: Tracer, x: Value, *given: Any, **named: Any) -> Any:
    """Max pooling."""
    pool = MaxPool(*given, **named)
    rest = {"dilation": spatial(x, pool.dilation), "ceil_mode": pool.ceil_mode}
    pooled = _pooled(t, x, "max_pool", pool, rest)
    return (pooled, None) if "indices" in str(t.node.target) else pooled


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """Average pooling."""
    pool = AveragePool(*given, **named)
    rest = {
        "ceil_mode": pool.ceil_mode,
        "count_include_pad": pool.count_include_pad,
        "divisor_override": pool.divisor_override,
    }
    return _pooled(t, x, "avg_pool", pool, rest)


def _pooled(
    t: Tracer, x: Value, name: str, pool: MaxPool | AveragePool, rest: Mapping[str, object]
) -> Value:
    need_image(t, x)
    window = {
        "kernel_size": spatial(x, pool.kernel_size),
        "stride": spatial(x, pool.stride or pool.kernel_size),
        "padding": spatial(x, pool.padding, fill=0),
    }
    return t.step(x, Step(name, {**window, **rest}), layout=x.layout.with_space(_size_of(t, x)))


def _size_of(t: Tracer, x: Value) -> tuple[int, ...]:
    """Lengths of the axes of the map that the node at hand makes of ``x``, its first one."""
    return spatial(x, first_of(t.node.meta["val"]).shape[2:])


@rule(
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "_adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "_adaptive_avg_pool3d",
)
def adaptive_avg_pool(t: Tracer, x: Value, size: Any) -> Value:
    """Average pooling to a given size."""
    return _adaptive(t, x, "adaptive_avg_pool")


@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(t: Tracer, x: Value, size: Any) -> Any:
    """Max pooling to a given size."""
    return (_adaptive(t, x, "adaptive_max_pool"), None)


def _adaptive(t: Tracer, x: Value, name: str) -> Value:
    need_image(t, x)
    size = _size_of(t, x)
    return t.step(x, Step(name, {"output_size": size}), layout=x.layout.with_space(size))


@rule("pad", "constant_pad_nd")
def pad(t: Tracer, x: Value, widths: Sequence[int], *rest: Any) -> Value:
    """Padding of maps; zero padding of channels makes channels of zeros (ResNet's option A
    shortcut).
    """
    given = _padding_mode(t, rest)
    if len(widths) == 2 and x.layout.dims[-1] == ("C",):
        return x.choose(_around(x.channels, widths, given), len(x.layout.dims) - 1)
    need_image(t, x)
    own = 2 * (len(x.layout.dims) - 2)
    widths = [*widths, *([0] * (own + 4 - len(widths)))]
    if any(widths[own + 2 :]):
        raise t.error("pads the batch; that is not wired")
    if any(widths[own : own + 2]):
        if given != "constant":
            raise t.error(f"pads channels by {given}; that is not wired")
        x = _between_zeros(x, *widths[own : own + 2])
    return padded(t, x, widths[:own], given) if any(widths[:own]) else x


def _around(channels: int, widths: Sequence[int], mode: str) -> np.ndarray:
    """Channels with others before and after them; -1 is a channel of zeros."""
    own, width = np.arange(channels), (widths[0], widths[1])
    if mode == "constant":
        return np.pad(own, width, constant_values=-1)
    modes: Mapping[str, Any] = {"circular": "wrap", "replicate": "edge"}
    return np.pad(own, width, mode=modes.get(mode, mode))


def _padding_mode(t: Tracer, rest: Sequence[Any]) -> str:
    """How a padding fills what it adds; other constants than zero are refused."""
    mode = "constant" if "constant_pad" in str(t.node.target) or not rest else rest[0]
    value = rest[-1] if rest and not isinstance(rest[-1], str) else 0
    if mode == "constant" and value not in (0, None):
        raise t.error(f"pads with {value}; only zeros are wired")
    return mode


def _between_zeros(x: Value, before: int, after: int) -> Value:
    """The channels with some of zeros before and after them."""
    zeros = np.full(before, -1), np.full(after, -1)
    return x.choose(np.concatenate([zeros[0], np.arange(x.channels), zeros[1]]), 1)


def padded(t: Tracer, x: Value, widths: Sequence[int], mode: str) -> Value:
    """A value with its maps padded by ``widths``: left, right, then top, bottom, and so on."""
    whole = (*map(int, widths), *single(2 * x.layout.rank - len(widths), 0))
    added = (before + after for before, after in zip(whole[::2], whole[1::2], strict=True))
    space = np.add(x.layout.space, [*added][::-1]).tolist()
    step = Step("pad", {"pad": whole, "mode": mode})
    return t.step(x, step, layout=x.layout.with_space(space))


@rule(
    "upsample_nearest1d",
    "_upsample_nearest_exact1d",
    "upsample_linear1d",
    "upsample_nearest2d",
    "_upsample_nearest_exact2d",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_nearest3d",
    "_upsample_nearest_exact3d",
    "upsample_trilinear3d",
)
def upsample(t: Tracer, x: Value, *rest: Any) -> Value:
    """Nearest, linear or bicubic upsampling."""
    need_image(t, x)
    size = spatial(x, shape_of(t)[2:])
    factors = rest[-1] if isinstance(rest[-1], (list, tuple)) else ()
    own = x.layout.space[x.layout.rank + 2 - len(x.layout.dims) :]
    if factors and tuple(np.multiply(own, factors)) != shape_of(t)[2:]:
        raise t.error(
            f"scales by {tuple(factors)}, which is no whole number of pixels here; that is not "
            "wired"
        )
    mode = _interpolation(t, x.layout.rank)
    attrs: dict[str, object] = {"size": size, "mode": mode}
    if not mode.startswith("nearest"):
        attrs["align_corners"] = bool(rest[1])
    return t.step(x, Step("upsample", attrs), layout=x.layout.with_space(size))


def _interpolation(t: Tracer, rank: int) -> str:
    """The mode by which `torch.nn.functional.interpolate` does over all axes what the node at hand
    does over its own.
    """
    target = str(t.node.target)
    mode = next(m for m in ("nearest_exact", "nearest", "linear", "bicubic") if m in target)
    if mode == "bicubic" and rank != MAPS:
        raise t.error("is bicubic beside volumes; that is not wired")
    linear = "bilinear" if rank == MAPS else "trilinear"
    return linear if mode == "linear" else mode.replace("_", "-")
