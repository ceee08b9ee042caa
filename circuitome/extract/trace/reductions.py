"""Rules that sum up positions, which is a step, or channels, which makes neurons.

A sum or mean over channels is a layer whose kernels are ones: `linear` neurons, or `add` neurons
for the sum of a stack. A maximum over channels makes `max` neurons.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.spatial import axes_of, single
from circuitome.extract.trace.rules import Rules, operand_node
from circuitome.extract.trace.tracer import (
    PendingLayer,
    Tracer,
    Value,
    identity_layer,
    operation_name,
)
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@rule("mean")
def mean(t: Tracer, x: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """Average over positions, channels or both."""
    return _summed(t, x, _places(x, dims), keepdim, average=True)


@rule("sum")
def sum_(t: Tracer, x: Value, dims: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """Sum over positions, channels or both."""
    return _summed(t, x, _places(x, dims), keepdim, average=False)


@rule("amax")
def amax(t: Tracer, x: Value, dims: Any = None, keepdim: bool = False) -> Value:
    """Maximum over positions, channels or both."""
    places = _places(x, dims)
    axes = _reduced_axes(t, x, places)
    x = _over_positions(t, x, "amax", axes)
    channels = [axis for axis in axes if axis[0] == "C"]
    x = _strongest(t, x, channels) if channels else x
    return x if keepdim else _without(t, x, places)


@rule("max")
def max_(t: Tracer, x: Value, other: Any = None, keepdim: bool = False) -> Any:
    """Maximum over a dimension, or of two values."""
    if isinstance(other, int):
        return (amax(t, x, other, keepdim), None)
    return amax(t, x) if other is None else maximum(t, x, other)


@rule("maximum")
def maximum(t: Tracer, a: Any, b: Any) -> Value:
    """The larger of two values: `max` neurons; a ReLU if one side is zero."""
    if isinstance(a, Value) and isinstance(b, Value):
        return _larger(t, a, b)
    x, bound = (a, b) if isinstance(a, Value) else (b, a)
    least = torch.as_tensor(bound, dtype=torch.float64)
    if least.numel() != 1:
        raise t.error("takes the larger of a value and a constant map; that is not wired")
    return t.step(x, Step("clamp", {"min": float(least)}) if least != 0 else Step("relu"))


@rule("linalg_vector_norm", "norm")
def vector_norm(
    t: Tracer, x: Value, order: Any = 2, dims: Any = None, keepdim: bool = False, **_: Any
) -> Value:
    """Euclidean norm over positions or channels: the root of a sum of squares."""
    if order not in (2, None):
        raise t.error(f"is a norm of order {order}; only 2 is wired")
    squares = t.step(x, Step("square"))
    total = _summed(t, squares, _places(x, dims), keepdim, average=False)
    return t.step(total, Step("sqrt"))


@rule("stack")
def stack(t: Tracer, tensors: Sequence[Any], dim: int = 0) -> Value:
    """Values side by side in a new dimension, which counts as an outer one of the channels."""
    values = [value for value in tensors if isinstance(value, Value)]
    first = values[0].layout
    same = all(value.layout.dims == first.dims for value in values)
    if len(values) < len(tensors) or not same or set(first.channel_axes) - {"C"}:
        raise t.error("stacks values of different kinds; that is not wired")
    rank = len(first.dims) + 1
    joined = _side_by_side(t, values)
    dims = [tuple("C1" if axis == "C" else axis for axis in axes) for axes in first.dims]
    outer = ("C0",) if len(values) > 1 else ()
    dims.insert(dim % rank, outer)
    sizes = {axis: size for axis, size in first.sizes.items() if axis != "C"}
    sizes |= {"C1": first.channels} if first.channels > 1 else {}
    sizes |= {"C0": len(values)} if outer else {}
    return replace(joined, layout=Layout(tuple(dims), sizes, first.rank))


def _side_by_side(t: Tracer, values: Sequence[Value]) -> Value:
    """The channels of some values one after another, in no layout yet."""
    place = next(iter(values[0].layout.channel_dims), 1)
    return t.concat(values, place)


def _places(x: Value, dims: Any) -> list[int]:
    """The dimensions that an operation runs over; all if it names none."""
    count = len(x.layout.dims)
    given = [dims] if isinstance(dims, int) else list(dims or range(count))
    return sorted({dim % count for dim in given})


def _reduced_axes(t: Tracer, x: Value, places: Collection[int]) -> list[str]:
    axes = [axis for place in places for axis in x.layout.dims[place]]
    if "N" in axes:
        raise t.error("reduces over the images of a batch; that is not wired")
    return axes


def _summed(t: Tracer, x: Value, places: list[int], keepdim: bool, *, average: bool) -> Value:
    axes = _reduced_axes(t, x, places)
    count = prod(x.layout.sizes[axis] for axis in axes if axis in axes_of(x.layout.rank))
    stacked = _stacked(t, axes)
    x = _over_positions(t, x, "mean", axes)
    if count > 1 and not average:
        x = t.step(x, Step("affine", {"scale": float(count)}))
    channels = [axis for axis in axes if axis[0] == "C"]
    if stacked is not None:
        return _added(t, x, stacked, average=average)
    x = _combined(t, x, channels, average=average) if channels else x
    return x if keepdim else _without(t, x, places)


def _over_positions(t: Tracer, x: Value, name: str, axes: Collection[str]) -> Value:
    """The value with a step that reduces its maps along some of these axes."""
    summed = [axis for axis in sorted(axes) if axis in axes_of(x.layout.rank)]
    if not summed:
        return x
    layout, dims = x.layout.without(summed), tuple(map(x.layout.place_of, summed))
    return t.step(x, Step(name, {"dims": dims}), layout=layout)


def _without(t: Tracer, x: Value, places: Collection[int]) -> Value:
    return t.relayout(x, x.layout.dropped(places))


def _stacked(t: Tracer, axes: Sequence[str]) -> list[Node] | None:
    """The values that a stack put together, if it is their sum that is taken."""
    node = operand_node(t, 0)
    if axes != ["C0"] or operation_name(node) != "stack":
        return None
    given = node.args[0]
    return list(given) if isinstance(given, (list, tuple)) else None  # type: ignore[arg-type]


def _added(t: Tracer, x: Value, nodes: Sequence[Node], *, average: bool) -> Value:
    """`add` neurons of the values of a stack."""
    operands = [(node, t.env[node]) for node in nodes]
    share = 1 / len(nodes) if average else 1.0
    layer = identity_layer(
        t, "add", operands, name=t.node.name, coefficients=[share] * len(operands)
    )
    if len(t.node.meta["val"].shape) != len(layer.layout.dims):
        raise t.error("keeps the dimension of a stack; that is not wired")
    return t.add_layer(layer)


def _gathered(x: Value, axes: Collection[str]) -> tuple[Value, Layout]:
    """The channels that are reduced to one side by side, and the layout without them."""
    sizes = x.layout.sizes
    order = np.arange(x.channels).reshape([sizes[axis] for axis in x.layout.channel_axes])
    own = x.layout.channel_axes
    kept = [axis for axis in own if axis not in axes]
    moved = order.transpose([own.index(axis) for axis in (*kept, *(a for a in own if a in axes))])
    left = x.layout.without(axes)
    return x.take(moved.reshape(-1), x.layout), _renamed(left, kept)


def _renamed(layout: Layout, kept: Sequence[str]) -> Layout:
    """The layout with its only channel axis called ``C``."""
    if len(kept) != 1:
        return layout
    dims = tuple(tuple("C" if axis == kept[0] else axis for axis in dim) for dim in layout.dims)
    sizes = {("C" if axis == kept[0] else axis): size for axis, size in layout.sizes.items()}
    return replace(layout, dims=dims, sizes=sizes)


def _combined(t: Tracer, x: Value, axes: Collection[str], *, average: bool) -> Value:
    """`linear` neurons that add up channels, or average them."""
    gathered, layout = _gathered(x, axes)
    count = x.channels // layout.channels
    weight = _alike(layout, count, 1 / count if average else 1.0)
    return _layer(t, "linear", gathered, layout, weight)


def _strongest(t: Tracer, x: Value, axes: Collection[str]) -> Value:
    """`max` neurons of channels; each sender has an equal share, as in a max pool."""
    gathered, layout = _gathered(x, axes)
    count = x.channels // layout.channels
    weight = _alike(layout, count, 1 / count)
    return _layer(t, "max", gathered, layout, weight)


def _larger(t: Tracer, a: Value, b: Value) -> Value:
    if a.channels != b.channels or a.layout.dims != b.layout.dims:
        raise t.error("takes the larger of values of different shapes; that is not wired")
    both = _side_by_side(t, [a, b])
    order = np.arange(2 * a.channels).reshape(2, -1).T.reshape(-1)
    weight = _alike(a.layout, 2, 0.5)
    return _layer(t, "max", both.take(order, both.layout), a.layout, weight)


def _alike(layout: Layout, fan_in: int, value: float) -> Tensor:
    """Kernels of one entry, the same for every channel and each of its inputs."""
    return torch.full((layout.channels, fan_in, *single(layout.rank)), value).double()


def _layer(t: Tracer, op: str, x: Value, layout: Layout, weight: Tensor) -> Value:
    """A layer each of whose neurons reads a run of the channels of ``x``."""
    operands = ((operand_node(t, 0), x),)
    layer = PendingLayer(t.node.name, op, t.node, layout, operands, x.channels, weight)
    layer.groups = layout.channels
    return t.add_layer(layer)
