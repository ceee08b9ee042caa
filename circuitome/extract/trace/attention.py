"""Where a network mixes positions by attention, so that a refusal can say so."""

from __future__ import annotations

from typing import Final

from torch.fx import Graph, Node

from circuitome.extract.trace.tracer import module_of, operation_name

__all__ = ["attention_modules"]

_PRODUCTS: Final = ("matmul", "bmm", "baddbmm", "einsum")
_KEPT: Final = [
    "dropout",
    "clone",
    "contiguous",
    "to",
    "expand",
    "view",
    "reshape",
    "_unsafe_view",
    "transpose",
    "permute",
    "mul",
    "add",
    "unsqueeze",
    "squeeze",
    "flatten",
    "type_as",
]


def attention_modules(graph: Graph) -> tuple[str, ...]:
    """Modules in which a softmax is multiplied by a matrix that depends on the image, too."""
    found = [module_of(node)[0] for node in graph.nodes if _attends(node)]
    return tuple(dict.fromkeys(found))


def _attends(node: Node) -> bool:
    name = operation_name(node)
    if name == "scaled_dot_product_attention":
        return True
    return name in _PRODUCTS and any(_is_softmax(sender) for sender in node.all_input_nodes)


def _is_softmax(node: Node) -> bool:
    """Whether a node is a softmax, in whatever shape."""
    for _ in range(8):
        name = operation_name(node)
        if name in ("softmax", "_softmax"):
            return True
        if name not in _KEPT or not node.all_input_nodes:
            return False
        node = node.all_input_nodes[0]
    return False
