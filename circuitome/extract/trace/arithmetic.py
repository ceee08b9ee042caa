"""Rules of sums, products and powers: `add` and `gate` neurons, or gains and shifts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

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
    shape = shape_of(t)
    for value in (a, b):
        if value.layout.shape == shape:
            return value.layout
    if len(shape) == 4 and a.layout.is_image and b.layout.is_image:
        return Layout.image(shape)
    raise t.error("broadcasts both of its operands; that is not wired")


def _add_layer(t: Tracer, a: Value, b: Value, coefficients: tuple[float, float]) -> Value:
    layout, nodes = _joint(t, a, b), (operand_node(t, 0), operand_node(t, 1))
    a, b = _aligned(t, a, b)
    return t.add_layer(
        identity_layer(
            t, t.node.name, "add", (a, b), nodes, layout=layout, coefficients=coefficients
        )
    )


def _gate_layer(t: Tracer, a: Value, b: Value) -> Value:
    layout, nodes = _joint(t, a, b), (operand_node(t, 0), operand_node(t, 1))
    swap = _is_gate(t, a) and not _is_gate(t, b)
    a, b = _aligned(t, a, b)
    values, nodes = ((b, a), nodes[::-1]) if swap else ((a, b), nodes)
    return t.add_layer(identity_layer(t, t.node.name, "gate", values, nodes, layout=layout))


def _is_gate(t: Tracer, x: Value) -> bool:
    bounded = ("sigmoid", "hardsigmoid", "tanh", "relu6", "hardtanh", "clamp")
    last = [t.paths[path][-1][0].name if t.paths[path] else "" for path in np.unique(x.path)]
    return all(name in bounded for name in last)
