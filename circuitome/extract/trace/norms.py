"""Rules of norms: affine maps by running statistics, or `norm` neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.formula import SUMS, VIEWS, Formula
from circuitome.extract.spatial import axes_of, single
from circuitome.extract.trace.composites import Composite
from circuitome.extract.trace.rules import Rules, need_image, operand_node
from circuitome.extract.trace.tracer import Tracer, Value, identity_layer, module_of
from circuitome.extract.wiring import Norm, Step

__all__ = ["RULES", "composed"]

_SAME: Final = {"detach", "contiguous", "clone", "expand", "expand_as"}

RULES: Final = Rules()
rule = RULES.rule


@rule("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(t: Tracer, x: Value, *given: Any) -> Any:
    """Batch norm by its running statistics: an affine map of each channel."""
    weight, bias, mean, variance, *rest = given
    native = "native" in str(t.node.target)
    training, eps = (False, rest[1]) if native else (rest[0], rest[2])
    if training or mean is None:
        raise t.error(
            "normalises by the statistics of the batch (track_running_stats=False), so that one "
            "image changes another's answers. Build it with track_running_stats=True and give it "
            "running_mean and running_var (a pass over your images in training mode), or put a "
            "group or instance norm in its place"
        )
    if x.layout.axis_of(1) != "C":
        raise t.error("does not normalise channels; that is not wired")
    result = _by_running_statistics(t, x, (weight, bias, mean, variance), eps)
    return (result,) if native else result


def _by_running_statistics(
    t: Tracer, x: Value, given: Sequence[Tensor | None], eps: float
) -> Value:
    """The affine map by a gain, a shift, a mean and a variance of each channel."""
    weight, bias, mean, variance = given
    assert mean is not None and variance is not None
    gain = 1 / torch.sqrt(variance.double() + eps)
    gain = gain if weight is None else gain * weight.double()
    shift = -mean.double() * gain if bias is None else bias.double() - mean.double() * gain
    return t.affine(x, gain, shift)


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
    """Layer norm over channels, and positions if its shape covers them: `norm` neurons."""
    covered = _covered(t, x, shape, weight)
    dims = (1, *_places(x, covered))
    return _norm_layer(t, x, {"name": "standardize", "dims": dims, "eps": eps}, weight, bias)


@rule("rms_norm")
def rms_norm(
    t: Tracer,
    x: Value,
    shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Value:
    """Norm by the root of the mean square over channels, and positions if its shape covers them:
    `norm` neurons.
    """
    covered = _covered(t, x, shape, weight)
    dims = [1, *_places(x, covered)]
    formula = (
        ("pow.Tensor_Scalar", ["v0", 2], {}),
        ("mean.dim", ["v1", dims, True], {}),
        ("add.Tensor", ["v2", torch.finfo(torch.float32).eps if eps is None else eps], {}),
        ("rsqrt.default", ["v3"], {}),
        ("mul.Tensor", ["v0", "v4"], {}),
    )
    return _norm_layer(t, x, {"name": "composed", "formula": formula}, weight, None)


def _covered(t: Tracer, x: Value, shape: Sequence[int], weight: Tensor | None) -> list[str]:
    """The axes that a norm over the last dimensions runs over."""
    first = len(x.layout.dims) - len(shape)
    covered = [axis for dim in x.layout.dims[first:] for axis in dim]
    left = x.layout.sizes.keys() - covered
    if "N" in covered or any(axis[0] == "C" for axis in left):
        raise t.error("does not normalise over the channels; that is not wired")
    if weight is not None and weight.numel() != x.channels:
        raise t.error("has a gain for every position; that is not wired")
    return covered


def _places(x: Value, covered: Sequence[str]) -> list[int]:
    """The dimensions of those of some axes that are spatial."""
    return [x.layout.place_of(axis) for axis in covered if axis in axes_of(x.layout.rank)]


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
    """Group norm: `norm` neurons."""
    need_image(t, x)
    return _norm_layer(t, x, {"name": "group_norm", "groups": groups, "eps": eps}, weight, bias)


@rule("instance_norm")
def instance_norm(t: Tracer, x: Value, *given: Any) -> Value:
    """Instance norm by the map's own statistics: group norm with one channel a group; by
    running statistics it is what batch norm is.
    """
    weight, bias, mean, variance, use_input, _momentum, eps, *_ = given
    need_image(t, x)
    if not use_input:
        return _by_running_statistics(t, x, (weight, bias, mean, variance), eps)
    return group_norm(t, x, x.channels, weight, bias, eps)


@rule("softmax", "_softmax", "log_softmax", "_log_softmax")
def softmax(t: Tracer, x: Value, dim: int, *_: Any) -> Value:
    """Softmax over the channels: `norm` neurons."""
    (axis, *others) = x.layout.dims[dim % len(x.layout.dims)] or ("C" if x.channels == 1 else "",)
    if axis in ("C0", "C1") and not others and "log" not in str(t.node.target):
        return _norm_layer(t, x, _softmax_of(x, axis), None, None)
    if others or axis != "C":
        raise t.error(
            "is not over the channels (attention over positions, for one); that is not wired"
        )
    name = "log_softmax" if "log" in str(t.node.target) else "softmax"
    return _norm_layer(t, x, {"name": name}, None, None)


def _softmax_of(x: Value, axis: str) -> Norm:
    """A softmax over one of the axes that a view has split the channels into."""
    own, space = x.layout.channel_axes, x.layout.space
    split = [-1, *(x.layout.sizes[axis] for axis in own), *space]
    formula = (
        ("reshape.default", ["v0", split], {}),
        ("softmax.int", ["v1", 1 + own.index(axis)], {}),
        ("reshape.default", ["v2", [-1, x.channels, *space]], {}),
    )
    return {"name": "composed", "formula": formula}


def composed(t: Tracer, composite: Composite) -> Value:
    """An activation or a norm that the network writes out by hand."""
    x = t.env[composite.root]
    if not composite.reduces:
        name, attrs = composite.known or ("curve", {"formula": composite.formula})
        return t.step(x, Step(name, attrs))
    norm: Norm = {"name": "composed", "formula": _over_image(t, x, composite)}
    layer = identity_layer(t, "norm", [(composite.root, x)], name=_module_name(t, composite))
    layer.norm = norm
    return t.add_layer(layer)


def _module_name(t: Tracer, composite: Composite) -> str:
    """The module in which a norm is written out, if it is all that the module does."""
    path, _ = module_of(t.node)
    outside, _ = module_of(composite.root)
    own = path and not outside.startswith(path) and path not in {o.name for o in t.layers}
    return path if own else t.node.name


def _over_image(t: Tracer, x: Value, composite: Composite) -> Formula:
    """The formula of a norm with its dimensions as those of ``(N, C, H, W)`` or volumes."""
    if [axis for dim in x.layout.dims for axis in dim] == x.layout.image_axes:
        _refuse_batch(t, composite.formula, {0})
        own, image = x.layout.shape, (x.channels, *x.layout.space)
        if own[1:] == image:
            return composite.formula
        return _between_views(composite.formula, [-1, *own[1:]], [-1, *image])
    places = [_image_dims(t, axes, x.layout.rank) for axes in x.layout.dims]
    batch = {place for place, dims in enumerate(places) if 0 in dims}
    _refuse_batch(t, composite.formula, batch)
    changed = []
    for name, arguments, named in composite.formula:
        operation = name.partition(".")[0]
        if operation in (VIEWS - _SAME) | {"avg_pool3d", "tensor"}:
            raise t.error("normalises over another shape of the map; that is not wired")
        if operation == "expand":
            name, arguments, named = "clone.default", arguments[:1], {}
        if operation in SUMS:
            arguments, named = _moved(arguments, named, places)
        changed.append((name, arguments, named))
    return tuple(changed)


def _between_views(formula: Formula, first: list[int], last: list[int]) -> Formula:
    """A formula of a tensor viewed as ``first``, whose result is viewed as ``last``."""

    def shifted(value: Any) -> Any:
        if isinstance(value, list):
            return [shifted(item) for item in value]
        return f"v{int(value[1:]) + 1}" if isinstance(value, str) and value[0] == "v" else value

    moved = tuple(
        (name, shifted(arguments), {key: shifted(item) for key, item in named.items()})
        for name, arguments, named in formula
    )
    view = ("reshape.default", ["v0", first], {})
    return (view, *moved, ("reshape.default", [f"v{len(moved) + 1}", last], {}))


def _image_dims(t: Tracer, axes: Sequence[str], rank: int) -> list[int]:
    names = ("N", "C", *axes_of(rank))
    if not {*names}.issuperset(axes):
        raise t.error("normalises channels in pieces; that is not wired")
    return [names.index(axis) for axis in axes]


def _dims_of(arguments: Sequence[Any], named: Mapping[str, Any]) -> list[int] | None:
    """The dimensions that a sum runs over, or None if it names none."""
    if "dim" in named:
        found = named["dim"]
    else:
        found = next((arg for arg in arguments[1:] if isinstance(arg, list)), None)
    return [found] if isinstance(found, int) else found


def _moved(
    arguments: Sequence[Any], named: Mapping[str, Any], places: Sequence[Sequence[int]]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of a sum with its dimensions moved."""

    def moved(dims: Any) -> list[int]:
        given = [dims] if isinstance(dims, int) else dims
        return [place for dim in given for place in places[dim]]

    changed = [moved(arg) if isinstance(arg, list) else arg for arg in arguments]
    return changed, {key: moved(arg) if key == "dim" else arg for key, arg in named.items()}


def _refuse_batch(t: Tracer, formula: Formula, batch: Set[int]) -> None:
    """Refuse a norm over the images of a batch."""
    for name, arguments, named in formula:
        if name.partition(".")[0] not in SUMS:
            continue
        dims = _dims_of(arguments, named)
        if dims is None or batch & {*dims}:
            raise t.error(
                "normalises over the images of a batch, so that one image changes another's "
                "answers; that is not wired"
            )


def _norm_layer(
    t: Tracer, x: Value, norm: Norm, weight: Tensor | None, bias: Tensor | None
) -> Value:
    weight_node = next((arg for arg in t.node.args[1:] if isinstance(arg, Node)), None)
    name = t.name_of(t.node, weight_node)
    layer = identity_layer(t, "norm", [(operand_node(t, 0), x)], name=name)
    if weight is not None:
        layer.weight = weight.reshape(-1, 1, *single(x.layout.rank))
    layer.bias = None if bias is None else bias.reshape(-1)
    layer.norm = norm
    return t.add_layer(layer)
