"""Rules: how the wiring understands an ATen operation.

A rule gets the tracer and the operation's arguments, in which tensors that depend on the input are
`Value` and all others are plain tensors, and returns the `Value` of its result. To add an
operation, write a rule with ``@rule("aten_name")`` beside its like; an activation needs only a line
in `circuitome.extract.steps.STEPS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch.fx import Node

from circuitome.extract.spatial import lifted
from circuitome.extract.trace.tracer import Rule, Tracer, Value, operation_name

__all__ = ["Rules", "need_image", "operand_node", "shape_of", "spatial"]


class Rules(dict[str, Rule]):
    """Rules by the names of their ATen operations, without overload and in-place underscore."""

    def rule(self, *names: str) -> Callable[[Rule], Rule]:
        """Register a rule for these operations."""

        def register(function: Rule) -> Rule:
            self.update(dict.fromkeys(names, function))
            return function

        return register


def shape_of(tracer: Tracer) -> tuple[int, ...]:
    """Shape of the node's value."""
    return tuple(tracer.node.meta["val"].shape)


def operand_node(tracer: Tracer, place: int) -> Node:
    """The node of argument ``place``."""
    node = tracer.node.args[place]
    if not isinstance(node, Node):
        raise tracer.error(f"has argument {place} of an unexpected form")
    return node


def need_image(tracer: Tracer, x: Value) -> None:
    """Refuse a value that is not laid out as ``(N, C, H, W)``, ``(N, C, W)`` or
    ``(N, C, D, H, W)``, or has other axes than the operation's name says.
    """
    named = re.search("([123])d", operation_name(tracer.node))
    axes = len(x.layout.dims) - 2
    if not x.layout.is_image or (named and int(named[1]) != axes):
        raise tracer.error(f"reads dimensions {x.layout.dims}, not (N, C, H, W); that is not wired")


def spatial(x: Value, value: Any, fill: int = 1) -> tuple[int, ...]:
    """An argument of an operation over the maps of ``x``, one number for each spatial axis of the
    network; ``fill`` for axes that ``x`` lacks.
    """
    return lifted(value, x.layout.rank, len(x.layout.dims) - 2, fill)
