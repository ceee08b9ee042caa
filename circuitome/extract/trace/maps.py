"""Rules of operations on the positions of each channel's map: pools, padding, upsampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.extract.geometry import pair
from circuitome.extract.trace.rules import Rules, need_image, shape_of
from circuitome.extract.trace.tracer import Tracer, Value
from circuitome.extract.wiring import Step

__all__ = ["RULES", "padded"]

RULES: Final = Rules()
rule = RULES.rule


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Arguments of ``aten.max_pool2d`` after its input, in their order."""

    kernel_size: Any
    stride: Any = ()
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False


@dataclass(frozen=True, slots=True)
class AveragePool:
    """Arguments of ``aten.avg_pool2d`` after its input, in their order."""

    kernel_size: Any
    stride: Any = ()
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


@rule("max_pool2d", "max_pool2d_with_indices")
def max_pool2d(t: Tracer, x: Value, *given: Any, **named: Any) -> Any:
    """Max pooling."""
    pool = MaxPool(*given, **named)
    rest = {"dilation": pair(pool.dilation), "ceil_mode": pool.ceil_mode}
    pooled = _pooled(t, x, "max_pool", pool, rest)
    return (pooled, None) if "indices" in str(t.node.target) else pooled


@rule("avg_pool2d")
def avg_pool2d(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
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
        "kernel_size": pair(pool.kernel_size),
        "stride": pair(pool.stride or pool.kernel_size),
        "padding": pair(pool.padding),
    }
    return t.step(x, Step(name, {**window, **rest}), layout=x.layout.with_space(*_size_of(t)))


def _size_of(t: Tracer) -> tuple[int, int]:
    """Height and width of the map that the node at hand makes, its first one."""
    meta = t.node.meta["val"]
    shape = meta[0].shape if isinstance(meta, (tuple, list)) else meta.shape
    return int(shape[2]), int(shape[3])


@rule("adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def adaptive_avg_pool2d(t: Tracer, x: Value, size: Any) -> Value:
    """Average pooling to a given size."""
    return _adaptive(t, x, "adaptive_avg_pool")


@rule("adaptive_max_pool2d")
def adaptive_max_pool2d(t: Tracer, x: Value, size: Any) -> Any:
    """Max pooling to a given size."""
    return (_adaptive(t, x, "adaptive_max_pool"), None)


def _adaptive(t: Tracer, x: Value, name: str) -> Value:
    need_image(t, x)
    size = _size_of(t)
    return t.step(x, Step(name, {"output_size": size}), layout=x.layout.with_space(*size))


@rule("pad", "constant_pad_nd")
def pad(t: Tracer, x: Value, widths: Sequence[int], *rest: Any) -> Value:
    """Padding of maps; zero padding of channels makes channels of zeros (ResNet's option A
    shortcut).
    """
    given = _padding_mode(t, rest)
    if len(widths) == 2 and x.layout.dims[-1] == ("C",):
        return x.choose(_around(x.channels, widths, given), len(x.layout.dims) - 1)
    need_image(t, x)
    widths = [*widths, *([0] * (8 - len(widths)))]
    if any(widths[6:]):
        raise t.error("pads the batch; that is not wired")
    if any(widths[4:6]):
        if given != "constant":
            raise t.error(f"pads channels by {given}; that is not wired")
        x = _between_zeros(x, *widths[4:6])
    return padded(t, x, widths[:4], given) if any(widths[:4]) else x


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
    """A value with its maps padded by ``widths``: left, right, top, bottom."""
    height, width = x.layout.space
    layout = x.layout.with_space(height + widths[2] + widths[3], width + widths[0] + widths[1])
    return t.step(
        x, Step("pad", {"pad": tuple(int(w) for w in widths), "mode": mode}), layout=layout
    )


@rule(
    "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_nearest_exact2d"
)
def upsample(t: Tracer, x: Value, *rest: Any) -> Value:
    """Nearest, bilinear or bicubic upsampling."""
    need_image(t, x)
    size = tuple(int(length) for length in shape_of(t)[2:])
    factors = rest[-1] if isinstance(rest[-1], (list, tuple)) else ()
    if factors and tuple(np.multiply(x.layout.space, factors)) != size:
        raise t.error(
            f"scales by {tuple(factors)}, which is no whole number of pixels here; that is not "
            "wired"
        )
    target = str(t.node.target)
    mode = next(m for m in ("nearest_exact", "nearest", "bilinear", "bicubic") if m in target)
    attrs: dict[str, object] = {"size": size, "mode": mode.replace("_", "-")}
    if mode in ("bilinear", "bicubic"):
        attrs["align_corners"] = bool(rest[1])
    return t.step(x, Step("upsample", attrs), layout=x.layout.with_space(*size))
