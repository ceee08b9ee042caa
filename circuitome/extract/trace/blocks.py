"""Blocks and branches, found from the graph alone: parallel paths that split from one tensor and
meet again.

A concatenation of channels or an addition is a *join*. The tensor that every path to it passes is
its immediate dominator, the *split*. What lies between and reaches the join by one operand only is
a branch. The groups of a grouped convolution are branches too: that is where AlexNet's two towers
specialise (*Branch Specialization*, Distill 2021). Names are taken from modules, structure is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from circuitome.extract.trace.tracer import Tracer, Value, module_of, operation_name
from circuitome.extract.wiring import Layer

if TYPE_CHECKING:
    from torch.fx import Node


__all__ = ["Block", "Branch", "find_blocks"]


@dataclass(frozen=True, slots=True)
class Branch:
    """One path of a block."""

    name: str  # its last layer, within the block
    channels: int  # that it hands to the join
    parts: tuple[tuple[int, int, int], ...]  # its neurons: layer, first channel, stop


@dataclass(frozen=True, slots=True)
class Block:
    """Parallel paths that meet."""

    name: str
    join: str  # `concat`, `add` or `groups`
    branches: tuple[Branch, ...]
    layer: np.ndarray  # (channels,) layer of every channel after the join, -1 for zeros
    channel: np.ndarray  # (channels,) its channel there
    parent: str | None = None  # smallest block that it lies in


def find_blocks(tracer: Tracer, layers: Sequence[Layer]) -> list[Block]:
    """All blocks of a traced network, in the order of their joins."""
    graph, root = _flow(tracer)
    dominator = nx.immediate_dominators(graph, root)
    joins, order = _Joins(tracer, layers), list(tracer.env)
    found: list[tuple[Block, Node, set[Any]]] = []
    for node in graph:
        operands = _operands(tracer, node)
        if len(operands) > 1:
            reach = _reach(graph, operands, dominator[node], order)
            block = joins.block(node, operands, reach)
            if block is not None:
                found.append((block, node, {node, *reach}))
    nested = [replace(block, parent=_parent(block, node, found)) for block, node, _ in found]
    grouped = (index for index, layer in enumerate(layers) if _is_grouped(layer))
    return nested + [joins.groups(index) for index in grouped]


def _flow(tracer: Tracer) -> tuple[nx.DiGraph, str]:
    graph = nx.DiGraph()
    root = "root"
    carries = {node for node, value in tracer.env.items() if _carries(value, Value)}
    for node in tracer.env:
        if node in carries:
            whole = tracer.composites.get(node)
            read = [whole.root] if whole else node.all_input_nodes
            senders = [other for other in read if other in carries]
            graph.add_edges_from((other, node) for other in senders or [root])
    return graph, root


def _carries(value: Any, kind: type) -> bool:
    return isinstance(value, kind) or (
        isinstance(value, (tuple, list)) and any(isinstance(v, kind) for v in value)
    )


def _operands(tracer: Tracer, node: Any) -> list[Node]:
    """The nodes that meet in a join, or none where this is no join."""
    if (
        isinstance(node, str)
        or node.op != "call_function"
        or not str(node.target).startswith("aten.")
    ):
        return []
    name = operation_name(node)
    if name in ("cat", "concat", "concatenate"):
        given = node.args[0]
    elif name in ("add", "sub"):
        given = node.args[:2]
    else:
        return []
    nodes = [n for n in given if hasattr(n, "users") and isinstance(tracer.env.get(n), Value)]
    return nodes if len(nodes) == len(given) else []


@dataclass(frozen=True, slots=True)
class _Joins:
    """Makes blocks of joins and of grouped layers, each with a name of its own."""

    tracer: Tracer
    layers: Sequence[Layer]
    names: set[str] = field(default_factory=set)

    def block(self, node: Node, operands: Sequence[Node], reach: Mapping[Any, int]) -> Block | None:
        """The block that ends in a join, or None if no layer lies in it."""
        path, _ = module_of(node)
        branches: dict[str, Branch] = {}
        for number, operand in enumerate(operands):
            branch = self._branch(operand, self._inside(operand, reach, 1 << number), path)
            name = _unique(branch.name, branches)
            branches[name] = replace(branch, name=name)
        if not any(branch.parts for branch in branches.values()):
            return None
        name = self._named(path if path and path not in self.names else node.name)
        made = any(pending.node is node for pending in self.tracer.layers)
        join, value = "add" if made else "concat", self.tracer.env[node]
        return Block(name, join, tuple(branches.values()), value.layer, value.channel)

    def _inside(self, operand: Node, reach: Mapping[Any, int], bit: int) -> list[int]:
        """Layers of the block whose channels an operand holds, or that reach the join by it
        only.
        """
        held = set(np.unique(self.tracer.env[operand].layer).tolist())
        return [
            index
            for index, pending in enumerate(self.tracer.layers)
            if pending.node in reach and (index in held or reach[pending.node] == bit)
        ]

    def _branch(self, operand: Node, inside: Sequence[int], path: str) -> Branch:
        name = self.layers[inside[-1]].name.removeprefix(f"{path}.") if inside else "identity"
        parts = tuple((index, 0, self.layers[index].channels) for index in inside)
        return Branch(name, self.tracer.env[operand].channels, parts)

    def groups(self, index: int) -> Block:
        """The block of a grouped layer."""
        layer = self.layers[index]
        size = layer.channels // layer.groups
        branches = tuple(
            Branch(f"group{group}", size, ((index, group * size, (group + 1) * size),))
            for group in range(layer.groups)
        )
        channels = np.arange(layer.channels)
        name = self._named(layer.name)
        return Block(name, "groups", branches, np.full(layer.channels, index), channels)

    def _named(self, name: str) -> str:
        unique = _unique(name, self.names)
        self.names.add(unique)
        return unique


def _reach(
    graph: nx.DiGraph, operands: Sequence[Node], split: Any, order: Sequence[Node]
) -> dict[Any, int]:
    """Nodes strictly between split and join, each with a bit for every operand by which it
    reaches the join; ``order``: all nodes in the order of computation.
    """
    masks: dict[Any, int] = {}
    for number, operand in enumerate(operands):
        masks[operand] = masks.get(operand, 0) | 1 << number
    region: dict[Any, int] = {}
    for node in itertools.takewhile(lambda node: node != split, reversed(order)):
        if node not in masks:
            continue
        region[node] = masks[node]
        for sender in graph.predecessors(node):
            masks[sender] = masks.get(sender, 0) | masks[node]
    return region


def _parent(block: Block, join: Node, found: Sequence[tuple[Block, Node, set[Any]]]) -> str | None:
    around = [
        (len(region), other.name)
        for other, _, region in found
        if other is not block and join in region
    ]
    return min(around)[1] if around else None


def _unique(name: str, taken: Container[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}.{number}"
    return unique


def _is_grouped(layer: Layer) -> bool:
    return layer.op == "conv" and 1 < layer.groups < layer.width
