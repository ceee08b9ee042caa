"""Rules of operations with kernels: convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Final

from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.spatial import axes_of, lifted, single
from circuitome.extract.trace.maps import padded
from circuitome.extract.trace.rules import Rules, need_image, operand_node, shape_of, spatial
from circuitome.extract.trace.tracer import PendingLayer, Tracer, Value
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@dataclass(frozen=True, slots=True)
class Convolution:
    """Arguments of ``aten.conv2d`` and its like after its input, in their order."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """Arguments of ``aten.conv_transpose2d`` and its like after its input, in their order."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    output_padding: Any = 0
    groups: int = 1
    dilation: Any = 1


@rule("conv2d", "conv3d")
def convolution(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A convolution; ``padding`` may be ``same`` or ``valid``."""
    conv = Convolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    return _convolved(t, x, conv)


def _convolved(t: Tracer, x: Value, conv: Convolution) -> Value:
    need_image(t, x)
    if conv.padding == "same":
        x, conv = _padded_to_same(t, x, conv)
    if conv.bias is None and _is_smoothing(t, x, conv):
        return _filtered(t, x, conv)
    layer = _new_layer(t, "conv", x, _over_all(x, conv.weight), conv.bias)
    layer.stride, layer.dilation = spatial(x, conv.stride), spatial(x, conv.dilation)
    layer.padding, layer.groups = _padding(x, conv), conv.groups
    return t.add_layer(layer)


def _over_all(x: Value, weight: Tensor) -> Tensor:
    """Kernels with axes of length 1 for those that ``x`` lacks."""
    return weight.reshape(*weight.shape[:2], *spatial(x, weight.shape[2:]))


def _padding(x: Value, conv: Convolution) -> tuple[int, ...]:
    return spatial(x, 0 if conv.padding == "valid" else conv.padding, fill=0)


def _is_smoothing(t: Tracer, x: Value, conv: Convolution) -> bool:
    """Whether this blurs every channel alike by a filter that nobody learned."""
    if t.node.args[1] in t.learned or not conv.groups == x.channels == len(conv.weight):
        return False
    first, same = conv.weight[:1], bool((conv.weight == conv.weight[:1]).all())
    return same and bool((first >= 0).all()) and abs(float(first.sum()) - 1) < 1e-5


def _filtered(t: Tracer, x: Value, conv: Convolution) -> Value:
    attrs = {
        "kernel": _over_all(x, conv.weight)[0, 0].tolist(),
        "kernel_size": spatial(x, conv.weight.shape[2:]),
        "stride": spatial(x, conv.stride),
        "padding": _padding(x, conv),
        "dilation": spatial(x, conv.dilation),
    }
    return t.step(x, Step("filter", attrs), layout=Layout.image(shape_of(t), x.layout.rank))


@rule("conv1d")
def conv1d(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A convolution of signals; or over the channels of one position, as in efficient channel
    attention: a `linear` layer, each neuron of which reads its neighbours.
    """
    conv = Convolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    if not _lists_channels(x):
        return _convolved(t, x, conv)
    if len(conv.weight) != 1:
        raise t.error("makes several maps of a list of channels; that is not wired")
    layer = _new_layer(t, "linear", x, _banded(x, conv, shape_of(t)[2]), None)
    layer.layout = x.layout.with_channels(shape_of(t)[2], 2)
    if conv.bias is not None:
        layer.bias = conv.bias.expand(layer.layout.channels)
    return t.add_layer(layer)


def _lists_channels(x: Value) -> bool:
    """Whether a value is a list of channels, ``(N, 1, C)``, in the place of a signal."""
    dims = x.layout.dims
    return len(dims) == 3 and not dims[1] and dims[2] in (("C",), ())


def _banded(x: Value, conv: Convolution, receivers: int) -> Tensor:
    """The matrix ``(receivers, channels, 1, 1)`` of a convolution over channels."""
    (stride,), (dilation,) = lifted(conv.stride, 1, 1), lifted(conv.dilation, 1, 1)
    taps = conv.weight[0, 0]
    padding = 0 if conv.padding == "valid" else conv.padding
    if padding == "same":
        padding = dilation * (len(taps) - 1) // 2
    (before,) = lifted(padding, 1, 1)
    matrix = taps.new_zeros(receivers, x.channels, *single(x.layout.rank))
    for receiver, (tap, weight) in product(range(receivers), enumerate(taps)):
        sender = receiver * stride + tap * dilation - before
        if 0 <= sender < x.channels:
            matrix[receiver, sender] = weight
    return matrix


def _padded_to_same(t: Tracer, x: Value, conv: Convolution) -> tuple[Value, Convolution]:
    """The convolution with its padding in numbers; of odd widths it becomes a step before it."""
    sides = conv.weight.shape[2:]
    gaps = lifted(conv.dilation, len(sides), len(sides))
    added = [gap * (side - 1) for side, gap in zip(sides, gaps, strict=True)]
    if all(rows % 2 == 0 for rows in added):
        return x, replace(conv, padding=[rows // 2 for rows in added])
    widths = [width for rows in added[::-1] for width in (rows // 2, rows - rows // 2)]
    return padded(t, x, widths, "constant"), replace(conv, padding=0)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A transposed convolution; its kernels are turned by 180 degrees.

    So a receiver sees its senders through them, as those of any convolution.
    """
    conv = TransposedConvolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    need_image(t, x)
    turned = _over_all(x, _turned(conv.weight, conv.groups))
    layer = _new_layer(t, "conv", x, turned, conv.bias)
    layer.stride, layer.dilation = spatial(x, conv.stride), spatial(x, conv.dilation)
    layer.padding, layer.groups = spatial(x, conv.padding, fill=0), conv.groups
    layer.output_padding = spatial(x, conv.output_padding, fill=0)
    return t.add_layer(layer)


def _turned(weight: Tensor, groups: int) -> Tensor:
    """Kernels ``(senders, receivers of a group, kh, kw)`` as those of a convolution, turned."""
    senders, receivers, *kernel = weight.shape
    turned = weight.view(groups, senders // groups, receivers, *kernel).transpose(1, 2)
    turned = turned.flip(*range(3, turned.dim()))
    return turned.reshape(groups * receivers, senders // groups, *kernel)


def _need_constants(t: Tracer, x: Any, weight: Any, bias: Any) -> None:
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise t.error("has weights that depend on the input; that is not wired")


def _new_layer(
    t: Tracer, op: str, x: Value, weight: Tensor, bias: Tensor | None, *, place: int = 0
) -> PendingLayer:
    """A layer that reads argument ``place`` of the node at hand; its weight is the next one."""
    weight_node = t.node.args[place + 1]
    name = t.name_of(t.node, weight_node if isinstance(weight_node, Node) else None)
    layout = Layout.image(shape_of(t), x.layout.rank) if op == "conv" else x.layout
    operands = ((operand_node(t, place), x),)
    return PendingLayer(name, op, t.node, layout, operands, x.channels, weight, bias)


@rule("linear")
def linear(t: Tracer, x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    """A linear layer: at every position, or over a flattened map (then its kernel covers the
    map).
    """
    _need_constants(t, x, weight, bias)
    return _linear_layer(t, x, weight, bias)


@rule("matmul", "mm", "bmm")
def matmul(t: Tracer, x: Any, weight: Any) -> Value:
    """A product with a constant matrix: a linear layer."""
    if isinstance(x, Value) and isinstance(weight, Value):
        raise t.error("multiplies two matrices that both depend on the input; that is not wired")
    if not isinstance(x, Value) or isinstance(weight, Value) or weight.dim() != 2:
        raise t.error("is not the product of a value with a constant matrix; that is not wired")
    return linear(t, x, weight.T)


@rule("addmm")
def addmm(t: Tracer, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """A product with a constant matrix and a constant bias: a linear layer."""
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise t.error("is not the product of a value with a constant matrix; that is not wired")
    return _linear_layer(t, x, weight.T * alpha, (bias * beta).expand(weight.shape[1]), place=1)


def _linear_layer(
    t: Tracer, x: Value, weight: Tensor, bias: Tensor | None, *, place: int = 0
) -> Value:
    _need_whole_channels(t, x.layout)
    receivers, last = int(weight.shape[0]), len(x.layout.dims) - 1
    layer = _new_layer(t, "linear", x, _over_map(weight, x), bias, place=place)
    positions = axes_of(x.layout.rank)
    read = (*(axis for axis in x.layout.dims[last] if axis in positions), "C")
    sizes = {axis: size for axis, size in x.layout.sizes.items() if axis not in read}
    layout = replace(x.layout, dims=(*x.layout.dims[:last], ()), sizes=sizes)
    layer.layout = layout.with_channels(receivers, last)
    return t.add_layer(layer)


def _need_whole_channels(t: Tracer, layout: Layout) -> None:
    """Refuse a last dimension that is anything but all channels, at one or at all positions."""
    *others, axes = layout.dims
    in_pieces = layout.channels > 1 and "C" not in axes
    if "N" in axes or (in_pieces and not set(layout.channel_axes) & set(axes)):
        raise t.error(f"mixes {'x'.join(axes) or 'nothing'}, not channels; that is not wired")
    if in_pieces:
        raise t.error("reads channels in pieces; that is not wired")
    positions = {*axes_of(layout.rank)}
    if positions & set(axes) and positions & set(chain.from_iterable(others)):
        raise t.error("reads only part of the map's positions; that is not wired")


def _over_map(weight: Tensor, x: Value) -> Tensor:
    """A matrix ``(out, in)`` as a kernel ``(out, channels, height, width)`` over what it reads."""
    axes, sizes, positions = x.layout.dims[-1], x.layout.sizes, axes_of(x.layout.rank)
    spread = weight.reshape(weight.shape[0], *(sizes[axis] for axis in axes))
    order = [1 + axes.index(axis) for axis in ("C", *positions) if axis in axes]
    sides = [sizes[axis] if axis in axes else 1 for axis in positions]
    return spread.permute(0, *order).reshape(weight.shape[0], x.channels, *sides)
