"""Blocks and branches, found from the graph alone: parallel paths that split from one tensor and
meet again.

A concatenation of channels or an addition is a *join*. The tensor that every path to it passes is
its immediate dominator, the *split*. What lies between and reaches the join by one operand only is
a branch. The groups of a grouped convolution are branches too: that is where AlexNet's two towers
specialise (*Branch Specialization*, Distill 2021). Names are taken from modules, structure is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from circuitome.extract.trace.tracer import Tracer, Value, operation_name
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
    order = {node: index for index, node in enumerate(tracer.env)}
    names: set[str] = set()
    found: list[tuple[Block, Node, set[Any]]] = []
    for node in graph:
        operands = _operands(tracer, node)
        if len(operands) > 1:
            reach = _reach(graph, operands, dominator[node], order)
            block = _join(tracer, layers, node, operands, reach, names)
            if block is not None:
                found.append((block, node, {node, *reach}))
    nested = [replace(block, parent=_parent(block, node, found)) for block, node, _ in found]
    return nested + [
        _groups(index, layer, names) for index, layer in enumerate(layers) if _is_grouped(layer)
    ]


def _flow(tracer: Tracer) -> tuple[nx.DiGraph, str]:
    graph = nx.DiGraph()
    root = "root"
    carries = {node for node, value in tracer.env.items() if _carries(value, Value)}
    for node in tracer.env:
        if node in carries:
            senders = [other for other in node.all_input_nodes if other in carries]
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


def _join(
    tracer: Tracer,
    layers: Sequence[Layer],
    node: Node,
    operands: Sequence[Node],
    reach: Mapping[Any, int],
    names: set[str],
) -> Block | None:
    """The block that ends in a join, or None if no layer lies in it; adds its name to ``names``."""
    home = {pending.node: index for index, pending in enumerate(tracer.layers)}
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    branches: list[Branch] = []
    for number, operand in enumerate(operands):
        value: Value = tracer.env[operand]
        inside = sorted(_direct(tracer, value, reach) | _private(home, reach, number))
        name = layers[inside[-1]].name.removeprefix(f"{path}.") if inside else "identity"
        parts = tuple((index, 0, layers[index].channels) for index in inside)
        taken = {branch.name for branch in branches}
        branches.append(Branch(_unique(name, taken), value.channels, parts))
    if not any(branch.parts for branch in branches):
        return None
    name = _unique(path if path and path not in names else node.name, names)
    names.add(name)
    join, value = "add" if node in home else "concat", tracer.env[node]
    return Block(name, join, tuple(branches), value.layer, value.channel)


def _direct(tracer: Tracer, value: Value, reach: Mapping[Any, int]) -> set[int]:
    """Layers of the block whose channels an operand holds."""
    present = np.unique(value.layer[value.layer >= 0]).tolist()
    return {layer for layer in present if tracer.layers[layer].node in reach}


def _private(home: Mapping[Node, int], reach: Mapping[Any, int], number: int) -> set[int]:
    """Layers that reach the join by operand ``number`` only."""
    return {home[node] for node, mask in reach.items() if mask == 1 << number and node in home}


def _reach(
    graph: nx.DiGraph, operands: Sequence[Node], split: Any, order: Mapping[Node, int]
) -> dict[Any, int]:
    """Nodes strictly between split and join, each with a bit for every operand by which it
    reaches the join.
    """
    start = order.get(split, -1)
    masks: dict[Any, int] = {}
    for number, operand in enumerate(operands):
        masks[operand] = masks.get(operand, 0) | 1 << number
    waiting = sorted(masks, key=order.__getitem__)
    region: dict[Any, int] = {}
    while waiting:
        current = waiting.pop()
        if current == split or isinstance(current, str) or order[current] <= start:
            continue
        region[current] = masks[current]
        for sender in graph.predecessors(current):
            if isinstance(sender, str):
                continue
            fresh = sender not in masks
            masks[sender] = masks.get(sender, 0) | masks[current]
            if fresh:
                waiting.append(sender)
        waiting.sort(key=order.__getitem__)
    return region


def _parent(block: Block, join: Node, found: Sequence[tuple[Block, Node, set[Any]]]) -> str | None:
    around = [
        (len(region), other.name)
        for other, _, region in found
        if other is not block and join in region
    ]
    return min(around)[1] if around else None


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}.{number}"
    return unique


def _is_grouped(layer: Layer) -> bool:
    return layer.op == "conv" and 1 < layer.groups < layer.width


def _groups(index: int, layer: Layer, names: set[str]) -> Block:
    size = layer.channels // layer.groups
    branches = tuple(
        Branch(f"group{group}", size, ((index, group * size, (group + 1) * size),))
        for group in range(layer.groups)
    )
    name = _unique(layer.name, names)
    names.add(name)
    return Block(
        name, "groups", branches, np.full(layer.channels, index), np.arange(layer.channels)
    )
