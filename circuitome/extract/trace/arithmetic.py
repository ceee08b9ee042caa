"""Rules of sums, products and powers: `add` and `gate` neurons, or gains and shifts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.trace.rules import Rules, operand_node, shape_of
from circuitome.extract.trace.tracer import Tracer, Value, identity_layer
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


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
    """A quotient: a gain by a constant, a gate by the reciprocal of a value."""
    if not isinstance(b, Value):
        return t.affine(a, 1 / _per_channel(t, a, b), None)
    inverse = t.step(b, Step("reciprocal"))
    if isinstance(a, Value):
        return _gate_layer(t, a, inverse, held=(True, False))
    return t.affine(inverse, _per_channel(t, b, a), None)


@rule("pow")
def power(t: Tracer, x: Any, exponent: Any) -> Value:
    """A power by a constant, of all channels or of each."""
    if not isinstance(x, Value) or isinstance(exponent, Value):
        raise t.error("has an exponent that depends on the input; that is not wired")
    exponents = _per_channel(t, x, exponent)
    if (exponents == 2).all():
        return t.step(x, Step("square"))
    if (exponents == exponents[0]).all():
        return t.step(x, Step("power", {"exponent": float(exponents[0])}))
    return t.step(x, Step("power"), vectors={"exponents": exponents})


@rule("glu")
def glu(t: Tracer, x: Value, dim: int = -1) -> Value:
    """A gate of the first half of the channels by the sigmoid of the second."""
    dim %= len(x.layout.dims)
    if x.layout.axis_of(dim) != "C":
        raise t.error("splits positions, not channels; that is not wired")
    first, second = np.split(np.arange(x.channels), 2)
    open_ = t.step(x.choose(second, dim), Step("sigmoid"))
    halves: list[tuple[Node | None, Value]] = [(None, x.choose(first, dim)), (None, open_)]
    return t.add_layer(identity_layer(t, "gate", halves, name=t.node.name))


@rule("addcmul")
def addcmul(t: Tracer, x: Any, a: Any, b: Any, *, value: float = 1) -> Value:
    """``x + value a b``, if one factor and what it is added to are constants, or ``a b`` is."""
    if not isinstance(a, Value) and not isinstance(b, Value):
        return add(t, x, value * a * b)
    if isinstance(x, Value) or (isinstance(a, Value) and isinstance(b, Value)):
        raise t.error("adds a product to another value; that is not wired")
    factor, y = (a, b) if isinstance(b, Value) else (b, a)
    return t.affine(y, value * _per_channel(t, y, factor), _per_channel(t, y, x))


def _scaled(t: Tracer, x: Value, scale: float) -> Value:
    return t.affine(x, torch.full((x.channels,), scale, dtype=torch.float64), None)


def _per_channel(t: Tracer, x: Value, constant: Any) -> Tensor:
    """A scalar or a tensor that varies over channels alone, as ``(channels,)`` float64."""
    tensor = torch.as_tensor(constant, dtype=torch.float64).cpu()
    if tensor.numel() == 1:
        return tensor.reshape(1).expand(x.channels).clone()
    spread = _over_channels(x.layout, tensor)
    if spread is None:
        raise t.error(
            f"has a constant of shape {tuple(tensor.shape)} that differs between positions; "
            "that is not wired"
        )
    return spread


def _over_channels(layout: Layout, tensor: Tensor) -> Tensor | None:
    """A tensor that varies over the channels of a layout alone, as ``(channels,)``."""
    found = _varying(layout, tensor)
    if found is None:
        return None
    order = [axis for axis in layout.channel_axes if axis in found]
    spread = tensor.reshape([layout.sizes[axis] for axis in found])
    spread = spread.permute([found.index(axis) for axis in order])
    whole = [layout.sizes[axis] for axis in layout.channel_axes]
    ones = [layout.sizes[axis] if axis in found else 1 for axis in layout.channel_axes]
    return spread.reshape(ones).expand(whole).reshape(-1).clone()


def _varying(layout: Layout, tensor: Tensor) -> list[str] | None:
    """The channel axes over which a tensor varies, in its order; None if others are among them."""
    first = len(layout.dims) - tensor.dim()
    if first < 0:
        return None
    varying = [
        dim for dim, size in zip(layout.dims[first:], tensor.shape, strict=True) if size != 1
    ]
    axes = [axis for dim in varying for axis in dim]
    return axes if set(axes) <= set(layout.channel_axes) else None


def _aligned(t: Tracer, a: Value, b: Value) -> tuple[Value, Value]:
    """Two values for an elementwise operation; a single channel is repeated to match."""
    if a.channels != b.channels and a.channels == 1:
        return _repeated(a, b), b
    if a.channels != b.channels and b.channels == 1:
        return a, _repeated(b, a)
    if a.channels != b.channels or _channel_dims(a) != _channel_dims(b):
        raise t.error(f"combines {a.layout.dims} with {b.layout.dims}; that is not wired")
    return a, b


def _repeated(single: Value, like: Value) -> Value:
    return single.take(np.zeros(like.channels, dtype=np.int64), like.layout)


def _channel_dims(x: Value) -> list[int]:
    """Which dimensions hold channels, counted from the last one, as in broadcasting."""
    count = len(x.layout.dims)
    return [count - place for place in x.layout.channel_dims]


def _joint(t: Tracer, a: Value, b: Value) -> Layout:
    """Layout of an elementwise result: that of the operand whose shape it has."""
    shape = shape_of(t)
    for value in (a, b):
        if value.layout.shape == shape:
            return value.layout
    images = a.layout.is_image and b.layout.is_image
    if images and len(shape) == len(a.layout.dims) == len(b.layout.dims):
        return Layout.image(shape, a.layout.rank)
    raise t.error("broadcasts both of its operands; that is not wired")


def _add_layer(t: Tracer, a: Value, b: Value, coefficients: tuple[float, float]) -> Value:
    layout = _joint(t, a, b)
    operands = _operands(t, a, b)
    name = t.node.name
    return t.add_layer(
        identity_layer(t, "add", operands, name=name, layout=layout, coefficients=coefficients)
    )


def _gate_layer(t: Tracer, a: Value, b: Value, *, held: tuple[bool, bool] = (True, True)) -> Value:
    """`gate` neurons; ``held``: whether the network has each factor as a value of its own."""
    layout = _joint(t, a, b)
    operands: list[tuple[Node | None, Value]] = [
        (node if own else None, value)
        for (node, value), own in zip(_operands(t, a, b), held, strict=True)
    ]
    if _is_gate(t, a) and not _is_gate(t, b):
        operands = operands[::-1]
    return t.add_layer(identity_layer(t, "gate", operands, name=t.node.name, layout=layout))


def _operands(t: Tracer, a: Value, b: Value) -> list[tuple[Node, Value]]:
    """The two values that an operation combines, each with its node."""
    a, b = _aligned(t, a, b)
    return [(operand_node(t, 0), a), (operand_node(t, 1), b)]


def _is_gate(t: Tracer, x: Value) -> bool:
    """Whether every channel has just passed a step that bounds it."""
    bounded = ("sigmoid", "hardsigmoid", "tanh", "relu6", "hardtanh", "clamp")
    paths = [t.paths[path] for path in np.unique(x.path)]
    return all(path and path[-1][0].name in bounded for path in paths)
