"""Rules of operations whose results are neurons by themselves: convolutions, linear layers, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.geometry import pair
from circuitome.extract.layout import Layout
from circuitome.extract.trace.maps import padded
from circuitome.extract.trace.rules import Rules, need_image, operand_node, shape_of
from circuitome.extract.trace.tracer import Draft, Tracer, Value, identity_layer

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@rule("conv2d")
def conv2d(
    t: Tracer,
    x: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """A convolution; ``padding`` may be ``same`` or ``valid``."""
    _weights(t, x, weight, bias)
    need_image(t, x)
    kernel, dilation = (int(weight.shape[2]), int(weight.shape[3])), pair(dilation)
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(size % 2 for size in whole):
            pad = [whole[1] // 2, whole[1] - whole[1] // 2, whole[0] // 2, whole[0] - whole[0] // 2]
            x = padded(t, x, pad, "constant")
        padding = 0 if any(size % 2 for size in whole) else [size // 2 for size in whole]
    pad = (0, 0) if padding == "valid" else pair(padding)
    attrs = {
        "kernel": kernel,
        "stride": pair(stride),
        "padding": pad,
        "dilation": dilation,
        "groups": groups,
    }
    return _conv_layer(t, x, weight, bias, attrs)


@rule("conv_transpose2d")
def conv_transpose2d(
    t: Tracer,
    x: Value,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Value:
    """A transposed convolution: its kernels are kept as the receiver sees its senders, turned by 180 degrees."""
    _weights(t, x, weight, bias)
    need_image(t, x)
    senders, receivers, *kernel = weight.shape
    turned = weight.view(groups, senders // groups, receivers, *kernel).transpose(1, 2).flip(-2, -1)
    turned = turned.reshape(groups * receivers, senders // groups, *kernel)
    attrs = {
        "stride": pair(stride),
        "padding": pair(padding),
        "dilation": pair(dilation),
        "groups": groups,
    }
    return _conv_layer(t, x, turned, bias, attrs | {"output_padding": pair(output_padding)})


def _weights(t: Tracer, x: Any, weight: Any, bias: Any) -> None:
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise t.error("has weights that depend on the input; that is not wired")


def _conv_layer(
    t: Tracer, x: Value, weight: Tensor, bias: Tensor | None, attrs: dict[str, Any]
) -> Value:
    weight_node = t.node.args[1] if isinstance(t.node.args[1], Node) else None
    name = t.name_of(t.node, weight_node)
    attrs = {key: value for key, value in attrs.items() if key != "kernel"}
    layout = Layout.image(shape_of(t))
    return t.add_layer(
        Draft(
            name,
            "conv",
            t.node,
            layout,
            (x,),
            (operand_node(t, 0),),
            x.channels,
            weight,
            bias,
            attrs,
        )
    )


@rule("linear")
def linear(t: Tracer, x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    """A linear layer: at every position, or over a flattened map (then its kernel covers the map)."""
    _weights(t, x, weight, bias)
    return _linear_layer(t, x, weight, bias, place=0)


def _linear_layer(t: Tracer, x: Value, weight: Tensor, bias: Tensor | None, *, place: int) -> Value:
    layout, last = x.layout, len(x.layout.dims) - 1
    axes = layout.dims[last]
    space = tuple(axis for axis in axes if axis in "HW")
    if any(axis[0] == "N" for axis in axes) or (
        layout.channels > 1 and not any(axis[0] == "C" for axis in axes)
    ):
        raise t.error(f"mixes {'x'.join(axes) or 'nothing'}, not channels; that is not wired")
    if layout.channels > 1 and "C" not in axes:
        raise t.error("reads channels in pieces; that is not wired")
    if space and any(axis in "HW" for dim in layout.dims[:last] for axis in dim):
        raise t.error("reads only part of the map's positions; that is not wired")
    weight = weight.reshape(weight.shape[0], *(layout.sizes[axis] for axis in axes))
    weight = weight.permute(0, *(1 + axes.index(axis) for axis in ("C", "H", "W") if axis in axes))
    sizes = [x.channels] + [layout.sizes[axis] if axis in space else 1 for axis in ("H", "W")]
    weight = weight.reshape(weight.shape[0], *sizes)
    out_sizes = {axis: size for axis, size in layout.sizes.items() if axis not in (*space, "C")}
    out = Layout((*layout.dims[:last], ()), out_sizes).with_channels(int(weight.shape[0]), last)
    weight_node = t.node.args[place + 1]
    name = t.name_of(t.node, weight_node if isinstance(weight_node, Node) else None)
    return t.add_layer(
        Draft(
            name, "linear", t.node, out, (x,), (operand_node(t, place),), x.channels, weight, bias
        )
    )


@rule("matmul", "mm")
def matmul(t: Tracer, x: Any, weight: Any) -> Value:
    """A product with a constant matrix: a linear layer."""
    if not isinstance(x, Value) or isinstance(weight, Value) or weight.dim() != 2:
        raise t.error("is not the product of a value with a constant matrix; that is not wired")
    return linear(t, x, weight.T)


@rule("addmm")
def addmm(t: Tracer, bias: Any, x: Any, weight: Any, *, beta: float = 1, alpha: float = 1) -> Value:
    """A product with a constant matrix and a constant bias: a linear layer."""
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        raise t.error("is not the product of a value with a constant matrix; that is not wired")
    return _linear_layer(t, x, weight.T * alpha, (bias * beta).expand(weight.shape[1]), place=1)


@rule("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(
    t: Tracer,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    *rest: Any,
) -> Any:
    """Batch norm by its running statistics: an affine map of each channel."""
    native = "native" in str(t.node.target)
    training, eps = (False, rest[1]) if native else (rest[0], rest[2])
    if training or mean is None or x.layout.axis_of(1) != "C":
        raise t.error("normalises by the batch's own statistics; call model.eval()")
    gain = 1 / torch.sqrt(var.double() + eps)
    gain = gain if weight is None else gain * weight.double()
    shift = -mean.double() * gain if bias is None else bias.double() - mean.double() * gain
    result = t.affine(x, gain, shift)
    return (result,) if native else result


@rule("layer_norm")
def layer_norm(
    t: Tracer,
    x: Value,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    """Layer norm over channels (and positions, where its shape covers them): neurons of a `norm` layer."""
    covered = [axis for dim in x.layout.dims[len(x.layout.dims) - len(shape) :] for axis in dim]
    left = [axis for axis in x.layout.sizes if axis not in (*covered, "N")]
    if "N" in covered or any(axis[0] == "C" for axis in left):
        raise t.error("does not normalise over the channels; that is not wired")
    if weight is not None and weight.numel() != x.channels:
        raise t.error("has a gain for every position; that is not wired")
    dims = [1, *(2 + "HW".index(axis) for axis in covered if axis in "HW")]
    return _norm_layer(t, x, {"name": "standardize", "dims": dims, "eps": eps}, weight, bias)


@rule("group_norm")
def group_norm(
    t: Tracer,
    x: Value,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    """Group norm: neurons of a `norm` layer."""
    need_image(t, x)
    return _norm_layer(t, x, {"name": "group_norm", "groups": groups, "eps": eps}, weight, bias)


@rule("instance_norm")
def instance_norm(
    t: Tracer,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Any,
    var: Any,
    use_input: bool,
    *rest: Any,
) -> Value:
    """Instance norm by the map's own statistics: group norm with one channel a group."""
    need_image(t, x)
    if not use_input:
        raise t.error("uses running statistics; that is not wired")
    return _norm_layer(
        t, x, {"name": "group_norm", "groups": x.channels, "eps": rest[1]}, weight, bias
    )


@rule("softmax", "_softmax", "log_softmax", "_log_softmax")
def softmax(t: Tracer, x: Value, dim: int, *_: Any) -> Value:
    """Softmax over the channels: neurons of a `norm` layer."""
    if x.layout.axis_of(dim % len(x.layout.dims)) != "C":
        raise t.error(
            "is not over the channels (attention over positions, for one); that is not wired"
        )
    name = "log_softmax" if "log" in str(t.node.target) else "softmax"
    return _norm_layer(t, x, {"name": name}, None, None)


def _norm_layer(
    t: Tracer, x: Value, norm: dict[str, Any], weight: Tensor | None, bias: Tensor | None
) -> Value:
    weight_node = next((arg for arg in t.node.args[1:] if isinstance(arg, Node)), None)
    draft = identity_layer(t, t.name_of(t.node, weight_node), "norm", (x,), (operand_node(t, 0),))
    if weight is not None:
        draft.weight = weight.reshape(-1, 1, 1, 1)
    draft.bias = None if bias is None else bias.reshape(-1)
    draft.attrs["norm"] = norm
    return t.add_layer(draft)
