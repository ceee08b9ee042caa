"""Operations: one rule for each ATen operation that the wiring understands.

A rule gets the tracer and the operation's arguments, in which tensors that depend on the input are
`Value` and all others are plain tensors, and returns the `Value` of its result. To add an operation, write
a rule here with ``@rule("aten_name")``; an activation needs only a line in `circuitome.extract.steps.STEPS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.steps import STEPS, pair
from circuitome.extract.trace.tracing import Draft, Rule, Tracer, Value, identity_layer
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

_RULES: dict[str, Rule] = {}
RULES: Final[Mapping[str, Rule]] = _RULES


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for ATen operations, named without overload and in-place underscore."""

    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


def _shape(tracer: Tracer) -> tuple[int, ...]:
    return tuple(tracer.node.meta["val"].shape)


def _node(tracer: Tracer, place: int) -> Node:
    node = tracer.node.args[place]
    if not isinstance(node, Node):
        raise tracer.error(f"has argument {place} of an unexpected form")
    return node


def _image(tracer: Tracer, x: Value) -> None:
    if not x.layout.is_image:
        raise tracer.error(f"reads dimensions {x.layout.dims}, not (N, C, H, W); that is not wired")


# -- layers ------------------------------------------------------------------------------------------


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
    _image(t, x)
    kernel, dilation = (int(weight.shape[2]), int(weight.shape[3])), pair(dilation)
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(size % 2 for size in whole):
            pad = [whole[1] // 2, whole[1] - whole[1] // 2, whole[0] // 2, whole[0] - whole[0] // 2]
            x = _padded(t, x, pad, "constant")
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
    _image(t, x)
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
    layout = Layout.image(_shape(t))
    return t.add_layer(
        Draft(name, "conv", t.node, layout, (x,), (_node(t, 0),), x.channels, weight, bias, attrs)
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
        Draft(name, "linear", t.node, out, (x,), (_node(t, place),), x.channels, weight, bias)
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
    _image(t, x)
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
    _image(t, x)
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
    draft = identity_layer(t, t.name_of(t.node, weight_node), "norm", (x,), (_node(t, 0),))
    if weight is not None:
        draft.weight = weight.reshape(-1, 1, 1, 1)
    draft.bias = None if bias is None else bias.reshape(-1)
    draft.attrs["norm"] = norm
    return t.add_layer(draft)


# -- sums, products ------------------------------------------------------------------------------------


@rule("add")
def add(t: Tracer, a: Any, b: Any, *, alpha: float = 1) -> Value:
    """A sum: `add` neurons for two values, a shift where one side is constant."""
    if isinstance(a, Value) and isinstance(b, Value):
        return _add_layer(t, a, b, (1.0, float(alpha)))
    x, constant = (a, b) if isinstance(a, Value) else (b, a)
    factor = alpha if isinstance(a, Value) else 1.0
    x = x if isinstance(a, Value) or alpha == 1 else _scaled(t, x, float(alpha))
    return t.affine(x, None, _per_channel(t, x, constant) * factor)


@rule("sub")
def sub(t: Tracer, a: Any, b: Any, *, alpha: float = 1) -> Value:
    """A difference."""
    if isinstance(a, Value) and isinstance(b, Value):
        return _add_layer(t, a, b, (1.0, -float(alpha)))
    if isinstance(a, Value):
        return t.affine(a, None, -_per_channel(t, a, b) * alpha)
    return t.affine(b, _per_channel(t, b, -float(alpha)), _per_channel(t, b, a))


@rule("rsub")
def rsub(t: Tracer, a: Value, b: Any, alpha: float = 1) -> Value:
    """``b - alpha a``."""
    return sub(t, b, a, alpha=alpha)


@rule("neg")
def neg(t: Tracer, x: Value) -> Value:
    """``-x``."""
    return _scaled(t, x, -1.0)


@rule("mul")
def mul(t: Tracer, a: Any, b: Any) -> Value:
    """A product: a gate for two values, a gain where one side is constant."""
    if isinstance(a, Value) and isinstance(b, Value):
        return _gate_layer(t, a, b)
    x, constant = (a, b) if isinstance(a, Value) else (b, a)
    return t.affine(x, _per_channel(t, x, constant), None)


@rule("div")
def div(t: Tracer, a: Any, b: Any) -> Value:
    """A quotient by a constant."""
    if not isinstance(a, Value) or isinstance(b, Value):
        raise t.error("divides by a value that depends on the input; that is not wired")
    return t.affine(a, 1 / _per_channel(t, a, b), None)


@rule("pow")
def power(t: Tracer, x: Value, exponent: Any) -> Value:
    """A square; other powers are not wired."""
    if exponent != 2:
        raise t.error(f"raises to the power {exponent}; only squares are wired")
    return t.step(x, Step("square"))


def _scaled(t: Tracer, x: Value, scale: float) -> Value:
    return t.affine(x, torch.full((x.channels,), scale, dtype=torch.float64), None)


def _per_channel(t: Tracer, x: Value, constant: Any) -> Tensor:
    """A scalar or a tensor that varies over channels alone, as ``(channels,)`` float64."""
    tensor = torch.as_tensor(constant, dtype=torch.float64).cpu()
    if tensor.numel() == 1:
        return tensor.reshape(1).expand(x.channels).clone()
    dims = (
        x.layout.dims[len(x.layout.dims) - tensor.dim() :]
        if tensor.dim() <= len(x.layout.dims)
        else ()
    )
    varying = (
        [dim for dim, size in zip(dims, tensor.shape, strict=True) if size != 1] if dims else []
    )
    if varying != [("C",)] or tensor.numel() != x.channels:
        raise t.error(
            f"has a constant of shape {tuple(tensor.shape)} that differs between positions; that is not wired"
        )
    return tensor.reshape(-1)


def _aligned(t: Tracer, a: Value, b: Value) -> tuple[Value, Value]:
    """Two values for an elementwise operation; a single channel is repeated to match."""
    homes = [
        [
            len(v.layout.dims) - i
            for i, dim in enumerate(v.layout.dims)
            if any(axis[0] == "C" for axis in dim)
        ]
        for v in (a, b)
    ]
    if a.channels != b.channels and 1 in (a.channels, b.channels):
        few, many = (a, b) if a.channels == 1 else (b, a)
        spread = few.take(np.zeros(many.channels, dtype=np.int64), many.layout)
        return (spread, b) if few is a else (a, spread)
    if a.channels != b.channels or homes[0] != homes[1]:
        raise t.error(f"combines {a.layout.dims} with {b.layout.dims}; that is not wired")
    return a, b


def _joint(t: Tracer, a: Value, b: Value) -> Layout:
    """Layout of an elementwise result: that of the operand whose shape it has."""
    shape = _shape(t)
    for value in (a, b):
        if value.layout.shape == shape:
            return value.layout
    if len(shape) == 4 and a.layout.is_image and b.layout.is_image:
        return Layout.image(shape)
    raise t.error("broadcasts both of its operands; that is not wired")


def _add_layer(t: Tracer, a: Value, b: Value, coefficients: tuple[float, float]) -> Value:
    layout, nodes = _joint(t, a, b), (_node(t, 0), _node(t, 1))
    a, b = _aligned(t, a, b)
    return t.add_layer(
        identity_layer(
            t, t.node.name, "add", (a, b), nodes, layout=layout, coefficients=coefficients
        )
    )


def _gate_layer(t: Tracer, a: Value, b: Value) -> Value:
    layout, nodes = _joint(t, a, b), (_node(t, 0), _node(t, 1))
    swap = _is_gate(t, a) and not _is_gate(t, b)
    a, b = _aligned(t, a, b)
    values, nodes = ((b, a), nodes[::-1]) if swap else ((a, b), nodes)
    return t.add_layer(identity_layer(t, t.node.name, "gate", values, nodes, layout=layout))


def _is_gate(t: Tracer, x: Value) -> bool:
    bounded = ("sigmoid", "hardsigmoid", "tanh", "relu6", "hardtanh", "clamp")
    last = [t.paths[path][-1][0].name if t.paths[path] else "" for path in np.unique(x.path)]
    return all(name in bounded for name in last)


# -- channels ------------------------------------------------------------------------------------------


@rule("cat", "concat", "concatenate")
def cat(t: Tracer, tensors: Sequence[Any], dim: int = 0) -> Value:
    """Concatenation of channels; constant zeros become channels of zeros."""
    values = [_as_value(t, tensor, tensors) for tensor in tensors]
    dim %= len(values[0].layout.dims)
    for value in values:
        others = [axes for place, axes in enumerate(value.layout.dims) if place != dim]
        if value.layout.axis_of(dim) != "C" or others != [
            axes for place, axes in enumerate(values[0].layout.dims) if place != dim
        ]:
            raise t.error(
                f"joins along {'x'.join(value.layout.dims[dim]) or 'an empty dimension'}, not channels"
            )
    return t.concat(values, dim)


def _as_value(t: Tracer, tensor: Any, tensors: Sequence[Any]) -> Value:
    if isinstance(tensor, Value):
        return tensor
    if tensor.count_nonzero() > 0:
        raise t.error("joins a constant that is not zero; that is not wired")
    model = next(value for value in tensors if isinstance(value, Value))
    return model.take(
        np.full(tensor.shape[1], -1), model.layout.with_channels(int(tensor.shape[1]), 1)
    )


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def split(t: Tracer, x: Value, _sections: Any, dim: int = 0) -> list[Value]:
    """Consecutive pieces of the channels, their sizes read off the export."""
    dim %= len(x.layout.dims)
    if x.layout.axis_of(dim) != "C":
        raise t.error(f"splits {'x'.join(x.layout.dims[dim])}, not channels; that is not wired")
    sizes = [int(piece.shape[dim]) for piece in t.node.meta["val"]]
    ends = np.cumsum([0, *sizes])
    return [
        x.take(np.arange(first, last), x.layout.with_channels(int(last - first), dim))
        for first, last in itertools.pairwise(ends)
    ]


@rule("slice")
def slice_(
    t: Tracer, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    """A range of channels, or of rows or columns."""
    dim %= len(x.layout.dims)
    size = x.layout.shape[dim]
    first, last, _ = slice(start, end, step).indices(size)
    if (first, last, step) == (0, size, 1):
        return t.relayout(x, x.layout)
    axis = x.layout.axis_of(dim)
    if axis == "C":
        index = np.arange(first, last, step)
        return x.take(index, x.layout.with_channels(len(index), dim))
    if axis not in ("H", "W"):
        raise t.error(f"cuts {axis}, not channels or positions; that is not wired")
    attrs = {"dim": 2 + "HW".index(axis), "start": first, "stop": last, "step": step}
    return t.step(
        x, Step("slice", attrs), layout=_resized(x.layout, axis, len(range(first, last, step)))
    )


@rule("select")
def select(t: Tracer, x: Value, dim: int, index: int) -> Value:
    """One channel, row or column; the dimension is gone."""
    dim %= len(x.layout.dims)
    index %= x.layout.shape[dim]
    piece = slice_(t, x, dim, index, index + 1)
    dims = tuple(axes for place, axes in enumerate(piece.layout.dims) if place != dim)
    return t.relayout(piece, Layout(dims, piece.layout.sizes))


@rule("index_select")
def index_select(t: Tracer, x: Value, dim: int, index: Tensor) -> Value:
    """Chosen channels."""
    dim %= len(x.layout.dims)
    if isinstance(index, Value) or x.layout.axis_of(dim) != "C":
        raise t.error("does not choose channels by a constant; that is not wired")
    chosen = index.cpu().numpy()
    return x.take(chosen, x.layout.with_channels(len(chosen), dim))


@rule("index")
def index(t: Tracer, x: Value, indices: Sequence[Any]) -> Value:
    """Channels chosen by a constant index tensor."""
    given = [(dim, chosen) for dim, chosen in enumerate(indices) if chosen is not None]
    if len(given) != 1 or isinstance(given[0][1], Value) or given[0][1].dim() != 1:
        raise t.error("indexes by more than one list of channels; that is not wired")
    chosen = given[0][1]
    return index_select(
        t, x, given[0][0], chosen.nonzero().flatten() if chosen.dtype == torch.bool else chosen
    )


def _resized(layout: Layout, axis: str, size: int) -> Layout:
    sizes = {name: old for name, old in layout.sizes.items() if name != axis}
    if size != 1:
        return Layout(layout.dims, sizes | {axis: size})
    return Layout(tuple(tuple(a for a in axes if a != axis) for axes in layout.dims), sizes)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(t: Tracer, x: Value, groups: int) -> Value:
    """Channels dealt out over groups, as in ShuffleNet."""
    order = np.arange(x.channels).reshape(groups, -1).T.reshape(-1)
    return x.take(order, x.layout)


# -- views -----------------------------------------------------------------------------------------------


@rule(
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view", "view_copy"
)
def view(t: Tracer, x: Value, *_: Any) -> Value:
    """The same numbers in another shape, read off the export."""
    return t.relayout(x, x.layout.reshape(_shape(t)))


@rule("permute")
def permute(t: Tracer, x: Value, order: Sequence[int]) -> Value:
    """Dimensions in another order."""
    return t.relayout(x, x.layout.permute([dim % len(order) for dim in order]))


@rule("transpose", "swapaxes", "swapdims")
def transpose(t: Tracer, x: Value, a: int, b: int) -> Value:
    """Two dimensions exchanged."""
    order = list(range(len(x.layout.dims)))
    order[a], order[b] = order[b], order[a]
    return permute(t, x, order)


@rule("t", "numpy_T")
def turn(t: Tracer, x: Value) -> Value:
    """Dimensions reversed."""
    return permute(t, x, list(range(len(x.layout.dims)))[::-1])


@rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(t: Tracer, x: Value, _p: float, train: bool) -> Value:
    """Nothing, in eval mode."""
    if train:
        raise t.error("drops at random; call model.eval()")
    return t.relayout(x, x.layout)


@rule("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "detach_copy", "to", "_to_copy")
def same(t: Tracer, x: Value, *_: Any, **__: Any) -> Value:
    """The same numbers."""
    if t.node.meta["val"].dtype != _node(t, 0).meta["val"].dtype:
        raise t.error("changes the number format; export the model in one format")
    return t.relayout(x, x.layout)


@rule("expand", "expand_as")
def expand(t: Tracer, x: Value, *_: Any, **__: Any) -> Value:
    """One position copied over a map, as older squeeze-and-excite modules do; channels can't be copied."""
    shape = _shape(t)
    if shape == x.layout.shape:
        return t.relayout(x, x.layout)
    if (
        len(shape) != 4
        or not x.layout.is_image
        or shape[1] != x.channels
        or x.layout.space != (1, 1)
    ):
        raise t.error(
            f"copies {x.layout.shape} to {shape}; only one position to a whole map is wired"
        )
    size = (int(shape[2]), int(shape[3]))
    return t.step(
        x, Step("upsample", {"size": size, "mode": "nearest"}), layout=x.layout.with_space(*size)
    )


# -- maps ------------------------------------------------------------------------------------------------


@rule("max_pool2d", "max_pool2d_with_indices")
def max_pool2d(
    t: Tracer,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """Max pooling."""
    attrs = {"padding": pair(padding), "dilation": pair(dilation), "ceil_mode": ceil_mode}
    pooled = _pooled(t, x, "max_pool", kernel, stride, attrs)
    return (pooled, None) if "indices" in str(t.node.target) else pooled


@rule("avg_pool2d")
def avg_pool2d(
    t: Tracer,
    x: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    """Average pooling."""
    attrs = {
        "padding": pair(padding),
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
    }
    return _pooled(t, x, "avg_pool", kernel, stride, attrs | {"divisor_override": divisor_override})


def _pooled(
    t: Tracer, x: Value, name: str, kernel: Any, stride: Any, attrs: dict[str, Any]
) -> Value:
    _image(t, x)
    attrs = {"kernel_size": pair(kernel), "stride": pair(stride or kernel), **attrs}
    meta = t.node.meta["val"]
    shape = meta[0].shape if isinstance(meta, (tuple, list)) else meta.shape
    return t.step(x, Step(name, attrs), layout=x.layout.with_space(int(shape[2]), int(shape[3])))


@rule("adaptive_avg_pool2d", "_adaptive_avg_pool2d")
def adaptive_avg_pool2d(t: Tracer, x: Value, size: Any) -> Value:
    """Average pooling to a given size."""
    return _adaptive(t, x, "adaptive_avg_pool")


@rule("adaptive_max_pool2d")
def adaptive_max_pool2d(t: Tracer, x: Value, size: Any) -> Any:
    """Max pooling to a given size."""
    return (_adaptive(t, x, "adaptive_max_pool"), None)


def _adaptive(t: Tracer, x: Value, name: str) -> Value:
    _image(t, x)
    meta = t.node.meta["val"]
    shape = meta[0].shape if isinstance(meta, (tuple, list)) else meta.shape
    size = (int(shape[2]), int(shape[3]))
    return t.step(x, Step(name, {"output_size": size}), layout=x.layout.with_space(*size))


@rule("mean")
def mean(t: Tracer, x: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """Average over positions."""
    return _reduced(t, x, "mean", dims, keepdim)


@rule("amax")
def amax(t: Tracer, x: Value, dims: Any = (), keepdim: bool = False) -> Value:
    """Maximum over positions."""
    return _reduced(t, x, "amax", dims, keepdim)


def _reduced(t: Tracer, x: Value, name: str, dims: Any, keepdim: bool) -> Value:
    given = [dims] if isinstance(dims, int) else list(dims or range(len(x.layout.dims)))
    places = {dim % len(x.layout.dims) for dim in given}
    axes = [axis for place in places for axis in x.layout.dims[place]]
    if any(axis not in ("H", "W") for axis in axes):
        raise t.error(f"reduces over {'x'.join(axes)}, not positions alone; that is not wired")
    kept = [
        () if place in places else old
        for place, old in enumerate(x.layout.dims)
        if keepdim or place not in places
    ]
    layout = Layout(
        tuple(kept), {axis: size for axis, size in x.layout.sizes.items() if axis not in axes}
    )
    return t.step(
        x, Step(name, {"dims": tuple(2 + "HW".index(axis) for axis in sorted(axes))}), layout=layout
    )


@rule("pad", "constant_pad_nd")
def pad(t: Tracer, x: Value, widths: Sequence[int], *rest: Any) -> Value:
    """Padding of maps; zero padding of channels makes channels of zeros (ResNet's option A shortcut)."""
    given = "constant" if "constant_pad" in str(t.node.target) or not rest else rest[0]
    value = rest[-1] if rest and not isinstance(rest[-1], str) else 0
    if given == "constant" and value not in (0, None):
        raise t.error(f"pads with {value}; only zeros are wired")
    _image(t, x)
    widths = [*widths, *([0] * (8 - len(widths)))]
    if any(widths[6:]):
        raise t.error("pads the batch; that is not wired")
    if any(widths[4:6]):
        if given != "constant":
            raise t.error(f"pads channels by {given}; that is not wired")
        index = np.concatenate(
            [np.full(widths[4], -1), np.arange(x.channels), np.full(widths[5], -1)]
        )
        x = x.take(index, x.layout.with_channels(len(index), 1))
    return _padded(t, x, widths[:4], given) if any(widths[:4]) else x


def _padded(t: Tracer, x: Value, widths: Sequence[int], mode: str) -> Value:
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
    _image(t, x)
    size = tuple(int(length) for length in _shape(t)[2:])
    target = str(t.node.target)
    mode = next(
        m for m in ("nearest_exact", "nearest", "bilinear", "bicubic") if m in target
    ).replace("_", "-")
    attrs: dict[str, Any] = {"size": size, "mode": mode}
    if mode in ("bilinear", "bicubic"):
        attrs["align_corners"] = bool(rest[1])
    factors = rest[-1] if isinstance(rest[-1], (list, tuple)) else None
    if factors and any(
        length * f != out for length, f, out in zip(x.layout.space, factors, size, strict=True)
    ):
        raise t.error(
            f"scales by {tuple(factors)}, which is no whole number of pixels here; that is not wired"
        )
    return t.step(x, Step("upsample", attrs), layout=x.layout.with_space(*size))


# -- activations -------------------------------------------------------------------------------------------


@rule("prelu")
def prelu(t: Tracer, x: Value, weight: Tensor) -> Value:
    """PReLU with one slope, or one a channel."""
    return t.step(
        x, Step("prelu"), vectors={"slope": weight.detach().reshape(-1).expand(x.channels).clone()}
    )


def _activation(
    t: Tracer, x: Value, *args: Any, name: str, arguments: tuple[str, ...], **kwargs: Any
) -> Value:
    return t.step(x, Step(name, dict(zip(arguments, args, strict=False)) | kwargs))


for _name, _kind in STEPS.items():
    if _kind.arguments is not None:
        _RULES[_name] = partial(_activation, name=_name, arguments=_kind.arguments)
