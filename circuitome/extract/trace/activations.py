"""Rules of activations: every step that is an ATen operation of the same name, and PReLU."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from torch import Tensor

from circuitome.extract.steps import STEPS
from circuitome.extract.trace.rules import Rules
from circuitome.extract.trace.tracer import Tracer, Value, operation_name
from circuitome.extract.wiring import Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@rule("prelu")
def prelu(t: Tracer, x: Value, weight: Tensor) -> Value:
    """PReLU with one slope, or one a channel."""
    return t.step(
        x, Step("prelu"), vectors={"slope": weight.detach().reshape(-1).expand(x.channels).clone()}
    )


@rule("clamp", "clamp_min", "clamp_max")
def clamp(t: Tracer, x: Value, *given: Any, **named: Any) -> Value:
    """A ReLU if it is one by another name."""
    name = operation_name(t.node)
    order = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(name, ("min", "max"))
    bounds = dict(zip(order, given, strict=False)) | named
    low, high = (_bound(t, bounds.get(end)) for end in ("min", "max"))
    if low == 0 and high is None:
        return t.step(x, Step("relu"))
    if given or name != "clamp":
        return t.step(x, Step("clamp", {"min": low, "max": high}))
    return t.step(x, Step("clamp", bounds))


def _bound(t: Tracer, bound: Any) -> float | None:
    if isinstance(bound, Tensor) and bound.numel() == 1:
        return float(bound)
    if isinstance(bound, (Value, Tensor)):
        raise t.error("cuts at a bound that is not one number; that is not wired")
    return bound


@rule("threshold")
def threshold(t: Tracer, x: Value, least: float, value: float) -> Value:
    """A ReLU, or one that starts higher."""
    if least == value == 0:
        return t.step(x, Step("relu"))
    return t.step(x, Step("threshold", {"threshold": least, "value": value}))


def _activation(
    t: Tracer, x: Value, *args: Any, name: str, arguments: tuple[str, ...], **kwargs: Any
) -> Value:
    return t.step(x, Step(name, dict(zip(arguments, args, strict=False)) | kwargs))


for _name, _kind in STEPS.items():
    if _kind.arguments is not None and _name not in RULES:
        RULES[_name] = partial(_activation, name=_name, arguments=_kind.arguments)
