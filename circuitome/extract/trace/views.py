"""Rules of operations that keep all numbers and change at most a tensor's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from circuitome.extract.trace.rules import Rules, shape_of
from circuitome.extract.trace.tracer import Tracer, Value

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@rule(
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view", "view_copy"
)
def view(t: Tracer, x: Value, *_: Any) -> Value:
    """The same numbers in another shape, read off the export."""
    return t.relayout(x, x.layout.reshape(shape_of(t)))


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


@rule("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "detach_copy")
def same(t: Tracer, x: Value, *_: Any, **__: Any) -> Value:
    """The same numbers."""
    return t.relayout(x, x.layout)


@rule("to", "_to_copy", "type_as")
def cast(t: Tracer, x: Value, *_: Any, **__: Any) -> Value:
    """The same numbers on another device or in another format, if that has float32's digits."""
    wanted = t.node.meta["val"].dtype
    if wanted not in (torch.float32, torch.float64):
        name = str(wanted).removeprefix("torch.")
        raise t.error(f"computes in {name}, and float32 is wired: build the network without it")
    return t.relayout(x, x.layout)
