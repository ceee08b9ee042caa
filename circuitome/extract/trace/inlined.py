"""Regions of a graph that change no number: they become part of the graph around them.

`torch.autocast` and `torch.no_grad` within a forward become graphs of their own in the export, and
casts leave assertions behind. The network is wired, and proven, in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Final

from torch.fx import GraphModule, Node

__all__ = ["inline_regions"]

_REGIONS: Final = ("wrap_with_autocast", "wrap_with_set_grad_enabled")
_ASSERTIONS: Final = ("aten._assert_tensor_metadata", "aten._assert_async", "aten._assert_scalar")


def inline_regions(graph: GraphModule) -> None:
    """Put the nodes of every region in the region's place, and remove assertions."""
    while regions := [node for node in graph.graph.nodes if _is_region(node)]:
        for region in regions:
            _inline(graph, region)
    for node in list(graph.graph.nodes):
        if str(node.target).startswith(_ASSERTIONS) and not node.users:
            graph.graph.erase_node(node)


def _is_region(node: Node) -> bool:
    return node.op == "call_function" and str(node.target) in _REGIONS


def _inline(graph: GraphModule, region: Node) -> None:
    """Copy the nodes of one region before it, and let its readers read the copies."""
    place = next(i for i, arg in enumerate(region.args) if _body(graph, arg) is not None)
    home = region.args[place]
    body = _body(graph, home)
    assert isinstance(home, Node) and body is not None
    placeholders = [node for node in body.graph.nodes if node.op == "placeholder"]
    copies: dict[Node, Any] = dict(zip(placeholders, region.args[place + 1 :], strict=True))
    results: Any = ()
    with graph.graph.inserting_before(region):
        for node in body.graph.nodes:
            if node.op == "output":
                results = node.args[0]
            elif node not in copies:
                copies[node] = _copied(graph, node, copies, str(home.target))
    for reader in list(region.users):
        assert reader.target is operator.getitem
        result = results[reader.args[1]]
        reader.replace_all_uses_with(copies[result])
        graph.graph.erase_node(reader)
    graph.graph.erase_node(region)
    if not home.users:
        graph.graph.erase_node(home)


def _body(graph: GraphModule, argument: Any) -> GraphModule | None:
    """The graph that an argument of a region names."""
    if not isinstance(argument, Node) or argument.op != "get_attr":
        return None
    found = operator.attrgetter(str(argument.target))(graph)
    return found if isinstance(found, GraphModule) else None


def _copied(graph: GraphModule, node: Node, copies: Mapping[Node, Any], home: str) -> Node:
    copy = graph.graph.node_copy(node, lambda other: copies[other])
    if node.op == "get_attr":
        copy.target = f"{home}.{node.target}"
    return copy
