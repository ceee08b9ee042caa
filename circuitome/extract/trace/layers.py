"""Rules of operations with kernels: convolutions and linear layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Final

from torch import Tensor
from torch.fx import Node

from circuitome.extract.geometry import pair
from circuitome.extract.layout import Layout
from circuitome.extract.trace.maps import padded
from circuitome.extract.trace.rules import Rules, need_image, operand_node, shape_of
from circuitome.extract.trace.tracer import PendingLayer, Tracer, Value
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@dataclass(frozen=True, slots=True)
class Convolution:
    """Arguments of ``aten.conv2d`` after its input, in their order."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """Arguments of ``aten.conv_transpose2d`` after its input, in their order."""

    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    output_padding: Any = 0
    groups: int = 1
    dilation: Any = 1


@rule("conv2d")
def conv2d(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A convolution; ``padding`` may be ``same`` or ``valid``."""
    conv = Convolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    need_image(t, x)
    if conv.padding == "same":
        x, conv = _padded_to_same(t, x, conv)
    if conv.bias is None and _is_smoothing(t, x, conv):
        return _filtered(t, x, conv)
    layer = _new_layer(t, "conv", x, conv.weight, conv.bias)
    layer.stride, layer.dilation, layer.groups = pair(conv.stride), pair(conv.dilation), conv.groups
    layer.padding = (0, 0) if conv.padding == "valid" else pair(conv.padding)
    return t.add_layer(layer)


def _is_smoothing(t: Tracer, x: Value, conv: Convolution) -> bool:
    """Whether this blurs every channel alike by a filter that nobody learned."""
    if t.node.args[1] in t.learned or not conv.groups == x.channels == len(conv.weight):
        return False
    first, same = conv.weight[:1], bool((conv.weight == conv.weight[:1]).all())
    return same and bool((first >= 0).all()) and abs(float(first.sum()) - 1) < 1e-5


def _filtered(t: Tracer, x: Value, conv: Convolution) -> Value:
    attrs = {
        "kernel": conv.weight[0, 0].tolist(),
        "kernel_size": tuple(conv.weight.shape[2:]),
        "stride": pair(conv.stride),
        "padding": (0, 0) if conv.padding == "valid" else pair(conv.padding),
        "dilation": pair(conv.dilation),
    }
    return t.step(x, Step("filter", attrs), layout=Layout.image(shape_of(t)))


@rule("conv1d")
def conv1d(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A convolution over the channels of one position, as in efficient channel attention: a
    `linear` layer, each neuron of which reads its neighbours.
    """
    conv = Convolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    dims = x.layout.dims
    if len(dims) != 3 or dims[1] or dims[2] not in (("C",), ()) or len(conv.weight) != 1:
        raise t.error("is one-dimensional and not over channels; that is not wired")
    layer = _new_layer(t, "linear", x, _banded(x.channels, conv, shape_of(t)[2]), None)
    layer.layout = x.layout.with_channels(shape_of(t)[2], 2)
    if conv.bias is not None:
        layer.bias = conv.bias.expand(layer.layout.channels)
    return t.add_layer(layer)


def _banded(channels: int, conv: Convolution, receivers: int) -> Tensor:
    """The matrix ``(receivers, channels, 1, 1)`` of a convolution over channels."""
    stride, dilation = pair(conv.stride)[0], pair(conv.dilation)[0]
    taps = conv.weight[0, 0]
    padding = 0 if conv.padding == "valid" else conv.padding
    if padding == "same":
        padding = dilation * (len(taps) - 1) // 2
    before = pair(padding)[0]
    matrix = taps.new_zeros(receivers, channels, 1, 1)
    for receiver, (tap, weight) in product(range(receivers), enumerate(taps)):
        sender = receiver * stride + tap * dilation - before
        if 0 <= sender < channels:
            matrix[receiver, sender] = weight
    return matrix


def _padded_to_same(t: Tracer, x: Value, conv: Convolution) -> tuple[Value, Convolution]:
    """The convolution with its padding in numbers; of odd widths it becomes a step before it."""
    height, width = (
        gap * (size - 1)
        for size, gap in zip(conv.weight.shape[2:], pair(conv.dilation), strict=True)
    )
    if height % 2 == width % 2 == 0:
        return x, replace(conv, padding=(height // 2, width // 2))
    widths = [width // 2, width - width // 2, height // 2, height - height // 2]
    return padded(t, x, widths, "constant"), replace(conv, padding=0)


@rule("conv_transpose2d")
def conv_transpose2d(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A transposed convolution; its kernels are turned by 180 degrees.

    So a receiver sees its senders through them, as those of any convolution.
    """
    conv = TransposedConvolution(*given, **named)
    _need_constants(t, x, conv.weight, conv.bias)
    need_image(t, x)
    layer = _new_layer(t, "conv", x, _turned(conv.weight, conv.groups), conv.bias)
    layer.stride, layer.dilation, layer.groups = pair(conv.stride), pair(conv.dilation), conv.groups
    layer.padding, layer.output_padding = pair(conv.padding), pair(conv.output_padding)
    return t.add_layer(layer)


def _turned(weight: Tensor, groups: int) -> Tensor:
    """Kernels ``(senders, receivers of a group, kh, kw)`` as those of a convolution, turned."""
    senders, receivers, *kernel = weight.shape
    turned = weight.view(groups, senders // groups, receivers, *kernel).transpose(1, 2).flip(-2, -1)
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
    layout = Layout.image(shape_of(t)) if op == "conv" else x.layout
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
    read = (*(axis for axis in x.layout.dims[last] if axis in "HW"), "C")
    sizes = {axis: size for axis, size in x.layout.sizes.items() if axis not in read}
    layout = Layout((*x.layout.dims[:last], ()), sizes)
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
    positions = {"H", "W"}
    if positions & set(axes) and positions & set(chain.from_iterable(others)):
        raise t.error("reads only part of the map's positions; that is not wired")


def _over_map(weight: Tensor, x: Value) -> Tensor:
    """A matrix ``(out, in)`` as a kernel ``(out, channels, height, width)`` over what it reads."""
    axes, sizes = x.layout.dims[-1], x.layout.sizes
    spread = weight.reshape(weight.shape[0], *(sizes[axis] for axis in axes))
    order = [1 + axes.index(axis) for axis in ("C", "H", "W") if axis in axes]
    height, width = (sizes[axis] if axis in axes else 1 for axis in ("H", "W"))
    return spread.permute(0, *order).reshape(weight.shape[0], x.channels, height, width)
