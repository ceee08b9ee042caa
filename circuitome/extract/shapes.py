"""Proof of shapes: every layer makes maps of the shape that the network makes.

`circuitome.extract.verify` compares numbers, after the bundle is written. Before it is, the same
functions run here on tensors without numbers, so that what cannot be verified is not written.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.trace.export import first_of
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.verify import compute, read_operand
from circuitome.extract.wiring import Layer, WiringError

__all__ = ["prove_shapes"]

_NOWHERE = torch.device("meta")


def prove_shapes(traced: Trace) -> None:
    """Refuse a trace in which a layer makes maps of another shape than the network.

    Raises:
        WiringError: names the layer, its operation and both shapes.
    """
    recorded = _recorded(traced)
    for index, layer in enumerate(traced.wiring.layers):
        if not layer.operands:
            continue
        truth = tuple(recorded[layer.node].shape)
        try:
            mine = tuple(_computed(traced, index, recorded).shape)
        except (RuntimeError, LookupError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise _error(layer, f"cannot be computed from what it reads ({reason})") from error
        if mine != truth and not _repeats(mine, truth):
            raise _error(layer, f"makes maps {_text(mine)}, and the network makes {_text(truth)}")


def _recorded(traced: Trace) -> dict[str, Tensor]:
    """The value of every layer and operand, ``(N, C, ...)``, without its numbers."""
    nodes = {node.name: node for node in traced.program.graph.nodes}
    return {
        name: layout.canonical(torch.empty(_shape(nodes[name]), device=_NOWHERE))
        for name, layout in traced.wiring.layouts.items()
    }


def _shape(node: Node) -> torch.Size:
    return first_of(node.meta["val"]).shape


def _computed(traced: Trace, index: int, recorded: Mapping[str, Tensor]) -> Tensor:
    """What a layer makes of the values of its sources."""
    wiring, layer = traced.wiring, traced.wiring.layers[index]
    operands = [
        read_operand(wiring, layer, number, traced.kernels, recorded)
        for number in range(len(layer.operands))
    ]
    kernel = torch.empty(layer.channels, layer.fan_in, *layer.kernel, device=_NOWHERE)
    return compute(layer, operands, kernel, torch.empty(layer.channels, device=_NOWHERE))


def _repeats(mine: tuple[int, ...], truth: tuple[int, ...]) -> bool:
    """Whether the network repeats what a layer makes over positions, as `verify` does."""
    return mine[:2] == truth[:2] and all(
        own in (1, other) for own, other in zip(mine[2:], truth[2:], strict=True)
    )


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[1:]))


def _error(layer: Layer, why: str) -> WiringError:
    return WiringError(
        f"layer {layer.name} ({layer.op}, node {layer.node}) {why}: its operation is not wired as "
        "the network computes it. Replace it in the model, or end before it with --until MODULE; "
        "docs/extraction.md says what is wired"
    )
