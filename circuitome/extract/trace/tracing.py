"""From a model to its wiring: walk the graph of `torch.export` and follow every channel to its
layer.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.inputs import InputShape
from circuitome.extract.layout import Layout
from circuitome.extract.spatial import MAPS, VOLUMES, single
from circuitome.extract.trace import (
    activations,
    arithmetic,
    channels,
    layers,
    maps,
    norms,
    rearranged,
    reductions,
    views,
)
from circuitome.extract.trace.attention import attention_modules
from circuitome.extract.trace.blocks import Block, find_blocks
from circuitome.extract.trace.composites import composites
from circuitome.extract.trace.export import export_graph, program_inputs
from circuitome.extract.trace.tracer import (
    PendingLayer,
    Rule,
    Tracer,
    Value,
    identity_layer,
    leaves,
)
from circuitome.extract.wiring import Layer, Link, SeveralImages, Step, Wiring, WiringError

__all__ = ["RULES", "Trace", "trace"]

RULES: Final[Mapping[str, Rule]] = {
    **layers.RULES,
    **norms.RULES,
    **arithmetic.RULES,
    **channels.RULES,
    **views.RULES,
    **maps.RULES,
    **reductions.RULES,
    **rearranged.RULES,
    **activations.RULES,
}
"""The rule of every ATen operation that is understood, by its name."""


@dataclass(frozen=True)
class Trace:
    """A traced model: wiring, arrays, and what is needed to run it again while recording."""

    wiring: Wiring
    # "kernel/NAME" (out, fan_in, kh, kw), with a depth before the height in a network of volumes,
    # and the vectors of the steps
    kernels: Mapping[str, np.ndarray]
    biases: tuple[np.ndarray, ...]  # one (channels,) a layer
    program: ExportedProgram
    blocks: tuple[Block, ...]
    # numbers of neurons whose kernels or bias hold a NaN or an infinity
    nonfinite: frozenset[int] = frozenset()


def trace(model: nn.Module, inputs: InputShape, *, labels: Sequence[str] = ()) -> Trace:
    """Trace a model in eval mode on images of this shape, or on several inputs; on one
    example if it takes no more at a time.

    ``labels`` names the classes of the output that has as many channels. `WiringError` names the
    operation, node and module that cannot be wired.
    """
    try:
        return _traced(model, export_graph(model, inputs), labels)
    except SeveralImages as error:
        try:
            return _traced(model, export_graph(model, inputs, batch=1), labels)
        except WiringError:
            raise error from None


def _traced(model: nn.Module, program: ExportedProgram, labels: Sequence[str]) -> Trace:
    with torch.no_grad():
        tracer = _walked(program, labels)
    if all(pending.op == "input" for pending in tracer.layers):
        raise WiringError(
            f"{type(model).__name__} has no layer that reads its input: there is nothing to wire"
        )
    kernels: dict[str, np.ndarray] = {}
    wiring = _wired(tracer, kernels)
    blocks = tuple(find_blocks(tracer, wiring.layers))
    return Trace(wiring, kernels, _biases(tracer), program, blocks)


def _walked(program: ExportedProgram, labels: Sequence[str]) -> Tracer:
    """The state at the end of a walk over all nodes."""
    tracer = Tracer(RULES)
    inputs = _take_constants(tracer, program)
    tracer.composites = composites(program.graph_module, inputs, tracer.env)
    tracer.attention = attention_modules(program.graph)
    within = {node for whole in tracer.composites.values() for node in whole.nodes[:-1]}
    for node in program.graph.nodes:
        if any(sender in tracer.learned for sender in node.all_input_nodes):
            tracer.learned.add(node)
        if node.name in inputs:
            tracer.env[node] = _input(tracer, node, inputs)
        elif node in tracer.composites:
            tracer.node = node
            tracer.env[node] = norms.composed(tracer, tracer.composites[node])
        elif node.op == "call_function" and node not in within:
            moved = rearranged.rearrangement(tracer, node)
            if moved is None:
                tracer.env[node] = tracer.visit(node)
            else:
                within |= {*moved[0]}
                tracer.env[moved[0][-1]] = moved[1]
        elif node.op == "get_attr":
            tracer.env[node] = operator.attrgetter(node.target)(program.graph_module)
        elif node.op == "output":
            _readouts(tracer, node, program, labels)
    return tracer


def _take_constants(tracer: Tracer, program: ExportedProgram) -> list[str]:
    """Make parameters, buffers and constants known to the tracer; returns the other inputs."""
    fixed, inputs = program_inputs(program)
    learned = program.graph_signature.parameters
    targets = {spec.arg.name: spec.target or "" for spec in program.graph_signature.input_specs}
    for node in program.graph.nodes:
        if node.name in fixed:
            value = fixed[node.name]  # on the CPU: folding mixes them with plain numbers
            tracer.env[node] = value.cpu() if isinstance(value, Tensor) else value
            tracer.parameters[node] = targets[node.name]
            if targets[node.name] in learned:
                tracer.learned.add(node)
    return inputs


def _input(tracer: Tracer, node: Node, inputs: Sequence[str]) -> Value:
    tracer.node = node
    shape = node.meta["val"].shape
    if not 2 <= len(shape) <= 2 + VOLUMES:
        raise tracer.error(f"is an input of shape {tuple(shape)}; images (N, C, H, W) are wired")
    name = "input" if len(inputs) == 1 else f"input.{node.name}"
    colours = ("red", "green", "blue") if len(shape) in (2, 4) and shape[1] == 3 else ()
    layout = Layout.image(shape, _rank(node.graph.nodes, inputs))
    return tracer.add_layer(PendingLayer(name, "input", node, layout, labels=colours))


def _rank(nodes: Iterable[Node], inputs: Sequence[str]) -> int:
    """Spatial axes of a network: three if it reads volumes."""
    shapes = (node.meta["val"].shape for node in nodes if node.name in inputs)
    return VOLUMES if any(len(shape) == 2 + VOLUMES for shape in shapes) else MAPS


def _readouts(tracer: Tracer, node: Node, program: ExportedProgram, labels: Sequence[str]) -> None:
    """Make readout neurons of outputs that are not a layer's own neurons, and name the classes."""
    outputs = _outputs(tracer, node, program)
    for number, (leaf, value) in enumerate(outputs):
        tracer.node = leaf
        pending = tracer.whole_layer(value)
        if pending is None:
            name = "output" if len(outputs) == 1 else f"output.{number}"
            pending = identity_layer(tracer, "readout", [(leaf, value)], name=name)
            tracer.add_layer(pending)
        named = any(other.labels == tuple(labels) for other in tracer.layers)
        if len(labels) == pending.layout.channels and not named:
            pending.labels = tuple(labels)


def _outputs(tracer: Tracer, node: Node, program: ExportedProgram) -> list[tuple[Node, Value]]:
    """What the model returns and depends on its input, each once, with the node that makes it."""
    specs = program.graph_signature.output_specs
    kind = torch.export.graph_signature.OutputKind.USER_OUTPUT
    returned = {spec.arg.name for spec in specs if spec.kind == kind}
    found: dict[Node, Value] = {}
    for leaf in leaves(node.args):
        if isinstance(leaf, Node) and leaf.name in returned:
            value = tracer.env[leaf]
            if isinstance(value, Value):
                found[leaf] = value
    return list(found.items())


def _wired(tracer: Tracer, arrays: dict[str, np.ndarray]) -> Wiring:
    """The layers as they came to be, with their depth and receptive field; fills ``arrays``."""
    layers: list[Layer] = []
    for index, name in enumerate(_names(tracer.layers)):
        pending, links = tracer.layers[index], _links(tracer, index, arrays)
        if pending.weight is not None:
            arrays[f"kernel/{name}"] = _array(pending.weight)
        layers.append(_layer(name, pending, links))
    wiring = Wiring(tuple(layers), _layouts(tracer))
    placed = zip(layers, field_geometries(wiring), _depths(layers), strict=True)
    return replace(
        wiring, layers=tuple(_placed(layer, field, depth) for layer, field, depth in placed)
    )


def _placed(layer: Layer, field: FieldGeometry, depth: float) -> Layer:
    size = tuple(map(round, field.size))
    return replace(layer, receptive_field=size, depth=depth)


def _names(layers: Sequence[PendingLayer]) -> Iterator[str]:
    """A name of its own for every layer; that of its node is added where it is taken."""
    taken: set[str] = set()
    for pending in layers:
        name = pending.name if pending.name not in taken else f"{pending.name}.{pending.node.name}"
        taken.add(name)
        yield name


def _layouts(tracer: Tracer) -> dict[str, Layout]:
    """Layouts of the nodes whose values are compared with the model's own."""
    layouts: dict[str, Layout] = {}
    for pending in tracer.layers:
        layouts[pending.node.name] = pending.layout
        if pending.op in ("add", "gate"):  # their operands are compared one by one
            held = [node for node, _ in pending.operands if node is not None]
            layouts.update({node.name: _layout_of(tracer, node) for node in held})
    return layouts


def _layout_of(tracer: Tracer, node: Node) -> Layout:
    """Layout of a node's own value, which an operation may have repeated to match another."""
    value: Value = tracer.env[node]
    return value.layout


def _layer(name: str, pending: PendingLayer, links: tuple[Link, ...]) -> Layer:
    rank, weight = pending.layout.rank, pending.weight
    return Layer(
        name=name,
        op=pending.op,
        node=pending.node.name,
        channels=pending.layout.channels,
        size=pending.layout.space,
        operands=tuple(node.name if node else "" for node, _ in pending.operands),
        width=pending.width,
        kernel=single(rank) if weight is None else tuple(weight.shape[2:]),
        stride=pending.stride or single(rank),
        padding=pending.padding or single(rank, 0),
        dilation=pending.dilation or single(rank),
        groups=pending.groups,
        output_padding=pending.output_padding,
        norm=pending.norm,
        links=links,
        labels=pending.labels,
    )


def _depths(layers: Sequence[Layer]) -> list[float]:
    """Weighted layers on the longest path to each layer, as a share of the longest of all."""
    hops: list[int] = []
    for layer in layers:
        before = max((hops[link.source] for link in layer.links), default=0)
        hops.append(before + (layer.op in ("conv", "linear")))
    longest = max(hops, default=0) or 1
    return [count / longest for count in hops]


def _biases(tracer: Tracer) -> tuple[np.ndarray, ...]:
    """One ``(channels,)`` a layer, float32."""
    biases = []
    for pending in tracer.layers:
        bias = torch.zeros(pending.layout.channels) if pending.bias is None else pending.bias
        biases.append(_array(bias))
    return tuple(biases)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.to(torch.float32).contiguous().cpu().numpy()


def _links(tracer: Tracer, index: int, arrays: dict[str, np.ndarray]) -> tuple[Link, ...]:
    """The links of one layer, a link for each source and path; fills ``arrays`` with vectors."""
    links = []
    for operand, (_, value) in enumerate(tracer.layers[index].operands):
        pairs = np.stack([value.layer, value.path], axis=1)
        for source, path in np.unique(pairs[value.layer >= 0], axis=0):
            positions = np.flatnonzero((pairs == (source, path)).all(axis=1))
            place = f"step/{index}/{operand}/{source}.{path}"
            steps = _named(_steps(tracer, value, path, positions), place, arrays)
            links.append(Link(int(source), operand, value.channel[positions], positions, steps))
    return tuple(links)


def _named(
    steps: Iterable[tuple[Step, dict[str, np.ndarray]]], place: str, arrays: dict[str, np.ndarray]
) -> tuple[Step, ...]:
    """The steps with the names of their vectors, which go into ``arrays``."""
    named = []
    for number, (step, vectors) in enumerate(steps):
        names = {argument: f"{place}.{number}/{argument}" for argument in vectors}
        arrays |= {names[argument]: vector for argument, vector in vectors.items()}
        named.append(replace(step, vectors=names))
    return tuple(named)


def _steps(
    tracer: Tracer, value: Value, path: int, positions: np.ndarray
) -> Iterator[tuple[Step, dict[str, np.ndarray]]]:
    """The steps of a path, with their vectors for some channels of a value."""
    for step, slot in tracer.paths[path]:
        yield (
            step,
            {
                argument: _array(tensor)[value.slots[slot][positions]]
                for argument, tensor in tracer.vectors.get(slot, {}).items()
            },
        )
