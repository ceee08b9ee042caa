"""Activations and norms that a network writes out by hand: recognised as what they are.

``x * torch.sigmoid(x)`` is one activation, no gate of one layer by itself; ``x / x.norm(dim=1)`` is
one norm. The way back from a product or quotient to the one tensor that all of it depends on (its
nearest dominator in the graph) is written down as a formula, if every operation on it is one of
numbers, sums and shapes. An activation is then compared with the known ones by its values, so that
no spelling matters.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeGuard

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from circuitome.extract.formula import CURVES, REDUCTIONS, SUMS, VIEWS, known_name

__all__ = ["Composite", "composites"]

_MOST: Final = 40  # operations of a formula
_LARGEST: Final = 1 << 14  # numbers of a constant
_NEGATIVE: Final = ("rsqrt", "reciprocal")
_CLAMPS: Final = ("relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "relu")
_TOPS: Final = ("mul", "div", "where", "maximum", "minimum")
_SAME: Final = {"detach", "contiguous", "clone", "to"}


@dataclass(frozen=True, slots=True)
class Composite:
    """A part of a graph that is one function of one tensor."""

    root: Node  # the tensor
    nodes: tuple[Node, ...]  # the operations in their order; the last one's value is the function's
    formula: tuple[tuple[Any, ...], ...]  # `circuitome.extract.formula`
    known: tuple[str, dict[str, object]] | None = None  # name and attributes of the activation

    @property
    def reduces(self) -> bool:
        """Whether it sums up numbers: a norm, no activation."""
        return any(_name(node) in REDUCTIONS for node in self.nodes)


def composites(
    graph: GraphModule, inputs: Iterable[str], constants: Mapping[Node, Any]
) -> dict[Node, Composite]:
    """The hand-written activations and norms of a graph by the node of their value.

    ``constants``: values of the placeholders that do not depend on the ``inputs``.
    """
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    search = _Search(graph, _dependent(graph, set(inputs)), constants, order)
    found: dict[Node, Composite] = {}
    taken: set[Node] = set()
    nodes = [node for node in graph.graph.nodes if node in search.dependent]
    for tops in (_products, _clamps):
        for node in reversed(nodes):
            if node in taken or not tops(node, search.dependent):
                continue
            composite = search.product(node) if tops is _products else search.clamp(node)
            if composite is not None and not taken & set(composite.nodes):
                found[composite.nodes[-1]] = composite
                taken |= set(composite.nodes)
    return found


def _products(node: Node, dependent: Set[Node]) -> bool:
    name, senders = _name(node), [arg for arg in node.args if arg in dependent]
    if name not in _TOPS:
        return False
    return len(senders) > 1 or (name == "div" and senders == [node.args[1]])


def _clamps(node: Node, _: Set[Node]) -> bool:
    return _name(node) in _CLAMPS


def _dependent(graph: GraphModule, inputs: Set[str]) -> set[Node]:
    dependent: set[Node] = set()
    for node in graph.graph.nodes:
        if node.name in inputs or any(sender in dependent for sender in node.all_input_nodes):
            dependent.add(node)
    return dependent


def _name(node: Node) -> str:
    if node.target is operator.getitem:
        return "getitem"
    target = str(node.target)
    return target.split(".")[1].rstrip("_") if target.startswith("aten.") else ""


def _overload(node: Node) -> str:
    return "getitem" if node.target is operator.getitem else str(node.target)[len("aten.") :]


@dataclass(frozen=True, slots=True)
class _Search:
    """Looks for composites in one graph."""

    graph: GraphModule
    dependent: Set[Node]
    constants: Mapping[Node, Any]
    order: Mapping[Node, int]

    def product(self, top: Node) -> Composite | None:
        """The activation or norm that ends in a product or quotient, or shortly behind it."""
        cone = self._cone(top)
        if cone is None:
            return None
        root, nodes = cone
        whole = self._composite(root, nodes)
        if whole is None:
            return None
        if whole.reduces:
            return whole if self._divides(nodes) and _same_shape(root, top) else None
        if not self._curved(root, nodes) or any(name == "tensor" for name, *_ in whole.formula):
            return None
        for longer in self._extended(nodes):
            composite = self._composite(root, longer)
            if composite is not None and composite.known:
                return composite
        return whole

    def clamp(self, node: Node) -> Composite | None:
        """A known activation around a clamp: a sigmoid, or a ReLU, of straight lines."""
        nodes: tuple[Node, ...] = (node,)
        for _ in range(3):
            composite = self._around(nodes)
            sender = nodes[0].args[0]
            if composite is not None or not self._straight(sender):
                return composite
            nodes = (sender, *nodes)
        return None

    def _around(self, nodes: tuple[Node, ...]) -> Composite | None:
        """The known activation that starts with these nodes, if there is one."""
        root = nodes[0].args[0]
        if not isinstance(root, Node) or root not in self.dependent:
            return None
        for longer in self._extended(nodes):
            composite = self._composite(root, longer)
            if composite is not None and composite.known and len(longer) > 1:
                return composite
        return None

    def _straight(self, node: Any) -> TypeGuard[Node]:
        """Whether this is a node that adds constants or multiplies by them, for one reader."""
        if not isinstance(node, Node):
            return False
        senders = [arg for arg in node.args if arg in self.dependent]
        straight = _name(node) in ("add", "mul", "div", "sub") and senders == [node.args[0]]
        return straight and len(node.users) == 1

    def _extended(self, nodes: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
        """The nodes, then with one and two further operations on each number behind them."""
        for _ in range(3):
            yield nodes
            (reader, *others) = [*nodes[-1].users] or [None]
            if others or reader is None or not self._straight(reader):
                return
            nodes = (*nodes, reader)

    def _cone(self, top: Node) -> tuple[Node, tuple[Node, ...]] | None:
        """The nearest node through which all paths to ``top`` go, and what lies between."""
        front, nodes = {top}, list[Node]()
        while front != {top} or not nodes:
            node = max(front, key=self.order.__getitem__)
            if len(front) == 1 and nodes:
                return node, tuple(sorted(nodes, key=self.order.__getitem__))
            if _name(node) not in CURVES | REDUCTIONS | VIEWS or len(nodes) == _MOST:
                return None
            front.remove(node)
            front |= {sender for sender in node.all_input_nodes if sender in self.dependent}
            nodes.append(node)
        return None

    def _composite(self, root: Node, nodes: tuple[Node, ...]) -> Composite | None:
        """The composite of these nodes, if nothing else reads them and their constants are
        numbers.
        """
        inside = set(nodes[:-1])
        if any(user not in nodes for node in inside for user in node.users):
            return None
        constants = self._constants(nodes)
        if constants is None:
            return None
        given = [root, *constants, *nodes]
        names = {node: f"v{place}" for place, node in enumerate(given)}
        try:
            formula = (
                *(_tensor(value) for value in constants.values()),
                *(self._instruction(node, names) for node in nodes),
            )
        except _NoFormula:
            return None
        plain = not constants and all(_name(node) in CURVES for node in nodes)
        return Composite(root, nodes, formula, known_name(formula) if plain else None)

    def _constants(self, nodes: Iterable[Node]) -> dict[Node, Tensor] | None:
        """The constant tensors that these nodes read, but for single numbers; None if one is
        unknown or large.
        """
        found: dict[Node, Tensor] = {}
        for sender in chain.from_iterable(node.all_input_nodes for node in nodes):
            if sender in self.dependent:
                continue
            value = self._value(sender)
            if not isinstance(value, Tensor) or value.numel() > _LARGEST:
                return None
            if value.numel() > 1:
                found[sender] = value
        return found

    def _value(self, node: Node) -> Any:
        """What a node that does not depend on the image is."""
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.graph)
        if node.op == "call_function" and node not in self.constants:
            args: Any = torch.fx.map_arg(node.args, self._value)
            named: Any = torch.fx.map_arg(node.kwargs, self._value)
            return node.target(*args, **named)  # type: ignore[operator]
        return self.constants.get(node)

    def _instruction(self, node: Node, names: Mapping[Node, str]) -> tuple[Any, ...]:
        if _name(node) in ("view", "reshape", "expand"):
            return self._reshaped(node, names)
        if _name(node) in _SAME:
            return "clone.default", [self._argument(node.args[0], names)], {}
        arguments = [self._argument(argument, names) for argument in node.args]
        kept = {key: value for key, value in node.kwargs.items() if not _is_format(value)}
        named = {key: self._argument(value, names) for key, value in kept.items()}
        if _name(node) in SUMS:
            arguments = [_positive(argument, node.args[0]) for argument in arguments]
        return _overload(node), arguments, named

    def _reshaped(self, node: Node, names: Mapping[Node, str]) -> tuple[Any, ...]:
        """A view, be the batch of whatever size."""
        sender, shape = node.args[0], _shape(node) or ()
        if not isinstance(sender, Node) or shape[:1] != (_shape(sender) or ())[:1]:
            raise _NoFormula
        operation = "expand.default" if _name(node) == "expand" else "reshape.default"
        return operation, [names[sender], [-1, *map(int, shape[1:])]], {}

    def _argument(self, argument: Any, names: Mapping[Node, str]) -> Any:
        if isinstance(argument, Node):
            return names[argument] if argument in names else self._number(argument)
        if isinstance(argument, (list, tuple)):
            return [self._argument(item, names) for item in argument]
        if argument is None or isinstance(argument, (int, float, str)):
            return argument
        raise _NoFormula

    def _number(self, node: Node) -> float:
        value = self._value(node)
        if isinstance(value, Tensor) and value.numel() == 1:
            return float(value)
        raise _NoFormula

    def _divides(self, nodes: Iterable[Node]) -> bool:
        """Whether something is divided by what depends on the image."""
        return any(
            (_name(node) == "div" and node.args[1] in self.dependent)
            or _name(node) in _NEGATIVE
            or (_name(node) == "pow" and isinstance(node.args[1], float) and node.args[1] < 0)
            for node in nodes
        )

    def _curved(self, root: Node, nodes: Iterable[Node]) -> bool:
        """Whether every number of the result depends on the same number of the root alone."""
        return all(_name(node) in CURVES | _SAME and _same_shape(root, node) for node in nodes)


def _tensor(value: Tensor) -> tuple[Any, ...]:
    return "tensor", [value.detach().float().reshape(-1).tolist(), list(value.shape)], {}


class _NoFormula(Exception):
    """An argument that plain data does not hold."""


def _positive(dims: Any, node: Any) -> Any:
    """Dimensions of a node's value, counted from the first one; other arguments as they are."""
    rank = len(_shape(node) or ())
    return [dim % rank for dim in dims] if isinstance(dims, list) else dims


def _same_shape(one: Node, other: Node) -> bool:
    return _shape(one) == _shape(other)


def _shape(node: Node) -> tuple[int, ...] | None:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _is_format(value: Any) -> bool:
    return isinstance(value, (torch.dtype, torch.device, torch.layout, torch.memory_format))
