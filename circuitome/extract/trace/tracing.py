"""From a model to its wiring: walk the graph of `torch.export` and follow every channel to its layer."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.steps import grow as grow_field
from circuitome.extract.steps import output_size, receptive_field
from circuitome.extract.trace import activations, arithmetic, channels, layers, maps, views
from circuitome.extract.trace.blocks import Block, find_blocks
from circuitome.extract.trace.export import export_graph, program_inputs
from circuitome.extract.trace.tracer import Draft, Rule, Tracer, Value, identity_layer, leaves
from circuitome.extract.wiring import Layer, Link, Wiring, WiringError

__all__ = ["RULES", "Trace", "trace"]

RULES: Final[Mapping[str, Rule]] = {
    **layers.RULES,
    **arithmetic.RULES,
    **channels.RULES,
    **views.RULES,
    **maps.RULES,
    **activations.RULES,
}
"""The rule of every ATen operation that is understood, by its name."""


@dataclass(frozen=True)
class Trace:
    """A traced model: wiring, arrays, and what is needed to run it again while recording."""

    wiring: Wiring
    kernels: Mapping[
        str, np.ndarray
    ]  # "kernel/NAME" (out, fan_in, kh, kw), and the vectors of the steps
    biases: tuple[np.ndarray, ...]  # one (channels,) a layer
    program: ExportedProgram
    blocks: tuple[Block, ...]
    nonfinite: frozenset[int] = (
        frozenset()
    )  # numbers of neurons whose kernels or bias hold a NaN or an infinity


def trace(model: nn.Module, input_shape: Sequence[int], *, labels: Sequence[str] = ()) -> Trace:
    """Trace a model in eval mode on images of ``input_shape``.

    ``labels`` names the classes of the output that has as many channels. `WiringError` names the operation,
    node and module that cannot be wired.
    """
    program = export_graph(model, input_shape)
    tracer = Tracer(RULES)
    fixed, inputs = program_inputs(program)
    targets = {spec.arg.name: spec.target or "" for spec in program.graph_signature.input_specs}
    with torch.no_grad():
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if (
                    node.name in fixed
                ):  # on the CPU, wherever the model is: folding mixes them with plain numbers
                    value = fixed[node.name]
                    tracer.env[node] = value.cpu() if isinstance(value, Tensor) else value
                    tracer.parameters[node] = targets[node.name]
                else:
                    tracer.env[node] = _input(tracer, node, inputs)
            elif node.op == "call_function":
                tracer.env[node] = tracer.visit(node)
            elif node.op == "get_attr":
                tracer.env[node] = operator.attrgetter(node.target)(program.graph_module)
            elif node.op == "output":
                _readouts(tracer, node, program, labels)
    if all(draft.op == "input" for draft in tracer.drafts):
        raise WiringError(
            f"{type(model).__name__} has no layer that reads its input: there is nothing to wire"
        )
    layers, kernels, biases, layouts = _finish(tracer)
    blocks = tuple(find_blocks(tracer, layers))
    return Trace(Wiring(layers, layouts), kernels, biases, program, blocks)


def _input(tracer: Tracer, node: Node, inputs: Sequence[str]) -> Value:
    tracer.node = node
    shape = node.meta["val"].shape
    if len(shape) not in (2, 4):
        raise tracer.error(f"is an input of shape {tuple(shape)}; images (N, C, H, W) are wired")
    name = "input" if len(inputs) == 1 else f"input.{node.name}"
    colours = ("red", "green", "blue") if shape[1] == 3 else ()
    return tracer.add_layer(Draft(name, "input", node, Layout.image(shape), labels=colours))


def _readouts(tracer: Tracer, node: Node, program: ExportedProgram, labels: Sequence[str]) -> None:
    """Make readout neurons of outputs that are not a layer's own neurons, and name the classes."""
    specs = program.graph_signature.output_specs
    user = {
        s.arg.name for s in specs if s.kind == torch.export.graph_signature.OutputKind.USER_OUTPUT
    }
    outputs = list(
        dict.fromkeys(
            leaf for leaf in leaves(node.args) if isinstance(leaf, Node) and leaf.name in user
        )
    )
    values = [(leaf, tracer.env[leaf]) for leaf in outputs if isinstance(tracer.env[leaf], Value)]
    for number, (leaf, value) in enumerate(values):
        tracer.node = leaf
        draft = tracer.whole_layer(value)
        if draft is None:
            name = "output" if len(values) == 1 else f"output.{number}"
            draft = identity_layer(tracer, name, "readout", (value,), (leaf,))
            tracer.add_layer(draft)
        if len(labels) == draft.layout.channels and not any(
            d.labels == tuple(labels) for d in tracer.drafts
        ):
            draft.labels = tuple(labels)


def _finish(
    tracer: Tracer,
) -> tuple[tuple[Layer, ...], dict[str, np.ndarray], tuple[np.ndarray, ...], dict[str, Layout]]:
    layers: list[Layer] = []
    kernels: dict[str, np.ndarray] = {}
    biases: list[np.ndarray] = []
    layouts: dict[str, Layout] = {}
    fields: list[Any] = []
    chain: list[int] = []
    names: set[str] = set()
    for index, draft in enumerate(tracer.drafts):
        name = draft.name if draft.name not in names else f"{draft.name}.{draft.node.name}"
        names.add(name)
        links = _links(tracer, draft, index, kernels)
        layouts[draft.node.name] = draft.layout
        if draft.op in ("add", "gate"):  # their operands are compared one by one
            operands = zip(draft.operand_nodes, draft.operands, strict=True)
            layouts.update({node.name: value.layout for node, value in operands})
        kernel = (
            (1, 1)
            if draft.weight is None
            else (int(draft.weight.shape[2]), int(draft.weight.shape[3]))
        )
        if draft.weight is not None:
            kernels[f"kernel/{name}"] = draft.weight.to(torch.float32).contiguous().cpu().numpy()
        layer = Layer(
            name=name,
            op=draft.op,
            node=draft.node.name,
            channels=draft.layout.channels,
            size=draft.layout.space,
            operands=tuple(node.name for node in draft.operand_nodes),
            width=draft.width,
            kernel=kernel,
            links=links,
            labels=draft.labels,
            **draft.attrs,
        )
        seen = _receptive_field(layer, layers, fields)
        fields.append(seen)
        weighs = int(layer.op in ("conv", "linear"))
        chain.append(max((chain[link.source] for link in links), default=0) + weighs)
        layers.append(replace(layer, receptive_field=(round(seen[0][0]), round(seen[0][1]))))
        bias = torch.zeros(layer.channels) if draft.bias is None else draft.bias
        biases.append(bias.to(torch.float32).cpu().numpy())
    longest = max(chain, default=0) or 1
    finished = tuple(
        replace(layer, depth=hops / longest) for layer, hops in zip(layers, chain, strict=True)
    )
    return finished, kernels, tuple(biases), layouts


def _links(
    tracer: Tracer, draft: Draft, index: int, kernels: dict[str, np.ndarray]
) -> tuple[Link, ...]:
    links = []
    for operand, value in enumerate(draft.operands):
        pairs = np.stack([value.layer, value.path], axis=1)
        for source, path in np.unique(pairs[value.layer >= 0], axis=0):
            positions = np.flatnonzero((pairs == (source, path)).all(axis=1))
            steps = []
            for number, (step, slot) in enumerate(tracer.paths[path]):
                vectors = {}
                for argument, tensor in tracer.vectors.get(slot, {}).items():
                    name = f"step/{index}/{operand}/{source}.{path}.{number}/{argument}"
                    kernels[name] = (
                        tensor.to(torch.float32).cpu().numpy()[value.slots[slot][positions]]
                    )
                    vectors[argument] = name
                steps.append(replace(step, vectors=vectors))
            links.append(
                Link(int(source), operand, value.channel[positions], positions, tuple(steps))
            )
    return tuple(links)


def _receptive_field(layer: Layer, layers: Sequence[Layer], fields: Sequence[Any]) -> Any:
    arrived = []
    for link in layer.links:
        seen, size = fields[link.source], layers[link.source].size
        for step in link.path:
            seen = receptive_field(step, seen, size)
            size = output_size(step, size)
        arrived.append(seen)
    if not arrived:
        return (1.0, 1.0), (1.0, 1.0)
    rf = (max(seen[0][0] for seen in arrived), max(seen[0][1] for seen in arrived))
    jump = (
        min(seen[1][0] for seen in arrived),
        min(seen[1][1] for seen in arrived),
    )  # a gate's 1x1 map is spread
    scale = (
        (1 / layer.stride[0], 1 / layer.stride[1])
        if layer.output_padding is not None
        else layer.stride
    )
    return grow_field(rf, jump, layer.kernel, layer.dilation), (
        jump[0] * scale[0],
        jump[1] * scale[1],
    )
