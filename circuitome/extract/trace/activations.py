"""Rules of activations: every step that is an ATen operation of the same name, and PReLU."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from torch import Tensor

from circuitome.extract.steps import STEPS
from circuitome.extract.trace.rules import Rules
from circuitome.extract.trace.tracer import Tracer, Value
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


def _activation(
    t: Tracer, x: Value, *args: Any, name: str, arguments: tuple[str, ...], **kwargs: Any
) -> Value:
    return t.step(x, Step(name, dict(zip(arguments, args, strict=False)) | kwargs))


for _name, _kind in STEPS.items():
    if _kind.arguments is not None:
        RULES[_name] = partial(_activation, name=_name, arguments=_kind.arguments)
