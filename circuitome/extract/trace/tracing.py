"""From a model to its wiring: walk the graph of `torch.export` and follow every channel to its layer.

The value of a tensor is symbolic: for each of its channels the layer and channel that made it and the steps
on the way (`Value`). Operations are rules in `circuitome.extract.trace.operations`; whatever depends on parameters
alone is computed at once. An operation without a rule is an error that names it, never a guess.
"""

from __future__ import annotations

import gc
import logging
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from circuitome.errors import CircuitomeError
from circuitome.extract.layout import Layout, LayoutError
from circuitome.extract.steps import STEPS, receptive_field
from circuitome.extract.steps import grow as grow_field
from circuitome.extract.trace.blocks import Block, find_blocks
from circuitome.extract.wiring import Layer, Link, Step, Wiring

__all__ = ["BATCH", "Draft", "Trace", "Tracer", "Value", "WiringError", "export_graph", "trace"]

BATCH: Final = (
    2  # images in the exported graph; a batch of one could not be told from other sizes of one
)


class WiringError(CircuitomeError):
    """A network, or an operation in it, that cannot be wired."""


@dataclass(frozen=True)
class Value:
    """A tensor as channels of layers.

    ``layer``, ``channel`` and ``path`` have one entry a channel; ``layer`` -1 is a channel of zeros. ``slots``
    says for every step with vectors which of its entries belongs to the channel (-1: the step is not on its path).
    """

    layout: Layout
    layer: np.ndarray
    channel: np.ndarray
    path: np.ndarray
    slots: Mapping[int, np.ndarray]
    sole: bool  # the only use so far of what it came from: a gain may be folded into the layer

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.layer)

    def take(self, index: np.ndarray, layout: Layout) -> Value:
        """Some channels, in another order; -1 takes a channel of zeros."""
        zero = index < 0

        def pick(array: np.ndarray, nothing: int) -> np.ndarray:
            return (
                np.where(zero, nothing, array[index])
                if len(array)
                else np.full(len(index), nothing)
            )

        slots = {slot: pick(array, -1) for slot, array in self.slots.items()}
        return Value(
            layout, pick(self.layer, -1), pick(self.channel, 0), pick(self.path, 0), slots, False
        )


@dataclass
class Draft:
    """A layer while it is traced: folding still changes its kernel, bias and node."""

    name: str
    op: str
    node: Node
    layout: Layout
    operands: tuple[Value, ...] = ()
    operand_nodes: tuple[Node, ...] = ()
    width: int = 0
    weight: Tensor | None = None  # (out, fan_in, kh, kw)
    bias: Tensor | None = None  # (out,)
    attrs: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


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


Rule = Callable[..., Any]


class Tracer:
    """The state of one walk. Rules call its methods."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = rules
        self.drafts: list[Draft] = []
        self.paths: list[tuple[tuple[Step, int], ...]] = [
            ()
        ]  # steps, each with the slot of its vectors or -1
        self.vectors: dict[int, dict[str, Tensor]] = {}  # slot -> argument -> (channels,)
        self.parameters: dict[Node, str] = {}
        self.env: dict[Node, Any] = {}
        self._path_index: dict[Any, int] = {}
        self._names: dict[str, int] = {}
        self.node: Node

    # -- layers ------------------------------------------------------------------------------------

    def add_layer(self, draft: Draft) -> Value:
        """Register a layer and return its output."""
        self.drafts.append(draft)
        channels = draft.layout.channels
        index = len(self.drafts) - 1
        return Value(
            draft.layout,
            np.full(channels, index),
            np.arange(channels),
            np.zeros(channels, dtype=np.int64),
            {},
            len(draft.node.users) == 1,
        )

    def name_of(self, node: Node, weight: Node | None = None) -> str:
        """Dotted module path of the operation, with ``@2`` on a second call, or the node's name."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = (stack[-1][0], str(stack[-1][1])) if stack else ("", "")
        owner = self.parameters.get(weight, "").rpartition(".")[0] if weight is not None else ""
        is_layer = kind.startswith("torch.nn.modules") or "Conv" in kind or "Linear" in kind
        if not path or not (owner == path or is_layer):
            return node.name
        calls = self._names.get(path, 0) + 1
        self._names[path] = calls
        return path if calls == 1 else f"{path}@{calls}"

    def whole_layer(self, value: Value) -> Draft | None:
        """The layer whose unchanged output this is, or None."""
        if not value.channels or value.layer[0] < 0:
            return None
        draft = self.drafts[value.layer[0]]
        same = (
            value.channels == draft.layout.channels
            and (value.layer == value.layer[0]).all()
            and (value.channel == np.arange(value.channels)).all()
            and not value.path.any()
        )
        return draft if same else None

    # -- values ------------------------------------------------------------------------------------

    def step(
        self,
        value: Value,
        step: Step,
        *,
        layout: Layout | None = None,
        vectors: Mapping[str, Tensor] | None = None,
    ) -> Value:
        """Every channel passes one more step; ``vectors`` have one entry a channel."""
        if not STEPS[step.name].zero and (value.layer < 0).any():
            raise self.error(
                "meets channels of zeros that it would make constant; that is not wired"
            )
        slot = -1
        slots = dict(value.slots)
        if vectors:
            slot = len(self.vectors)
            self.vectors[slot] = dict(vectors)
            slots[slot] = np.arange(value.channels)
        path = value.path.copy()
        for old in np.unique(value.path):
            path[value.path == old] = self._intern((*self.paths[old], (step, slot)))
        return replace(value, layout=layout or value.layout, path=path, slots=slots, sole=False)

    def affine(self, value: Value, gain: Tensor | None, shift: Tensor | None) -> Value:
        """Per-channel gain and shift: folded into the layer where that is exact, else a step."""
        draft = self.whole_layer(value)
        if (
            draft is not None
            and value.sole
            and draft.op in ("conv", "linear")
            and draft.weight is not None
        ):
            draft.weight, draft.bias = _fold(draft.weight, draft.bias, gain, shift)
            draft.node, draft.layout = self.node, value.layout
            return replace(value, sole=len(self.node.users) == 1)
        vectors = {
            name: tensor
            for name, tensor in (("gain", gain), ("shift", shift))
            if tensor is not None
        }
        return self.step(value, Step("affine"), vectors=vectors)

    def relayout(self, value: Value, layout: Layout) -> Value:
        """The same channels in another layout; split channels that meet again get their new order."""
        merged, order = layout.merge()
        sole = value.sole and len(self.node.users) == 1
        if np.array_equal(order, np.arange(len(order))):
            return replace(value, layout=merged, sole=sole)
        return value.take(order, merged)

    def concat(self, values: Sequence[Value], dim: int) -> Value:
        """Channels one after another along dimension ``dim``."""
        slots = {slot for value in values for slot in value.slots}
        layout = values[0].layout.with_channels(sum(value.channels for value in values), dim)
        return Value(
            layout,
            np.concatenate([value.layer for value in values]),
            np.concatenate([value.channel for value in values]),
            np.concatenate([value.path for value in values]),
            {
                s: np.concatenate([v.slots.get(s, np.full(v.channels, -1)) for v in values])
                for s in slots
            },
            False,
        )

    def _intern(self, path: tuple[tuple[Step, int], ...]) -> int:
        key = repr(path)
        if key not in self._path_index:
            self._path_index[key] = len(self.paths)
            self.paths.append(path)
        return self._path_index[key]

    # -- errors ------------------------------------------------------------------------------------

    def error(self, why: str) -> WiringError:
        """An error about the node at hand: operation, node, module path, reason, cure."""
        stack = list((self.node.meta.get("nn_module_stack") or {}).values())
        path = (stack[-1][0] if stack else "") or "the model itself"
        return WiringError(
            f"operation {self.node.target} (node {self.node.name}, module {path}) {why}. "
            "Replace it in the model, or extract the part before it; docs/extraction.md says what is wired"
        )

    # -- the walk ----------------------------------------------------------------------------------

    def visit(self, node: Node) -> Any:
        """Value of one node: symbolic, or computed where it depends on parameters alone."""
        self.node = node
        args: Any = torch.fx.map_arg(node.args, lambda n: self.env[n])
        kwargs: Any = torch.fx.map_arg(node.kwargs, lambda n: self.env[n])
        if node.target is operator.getitem:
            return args[0][args[1]]
        if not any(isinstance(leaf, Value) for leaf in _leaves((args, kwargs))):
            return node.target(*args, **kwargs)  # type: ignore[operator]
        name = operation_name(node)
        if name not in self.rules:
            raise self.error("is not understood; the graph cannot be wired through it")
        try:
            return self.rules[name](self, *args, **kwargs)
        except LayoutError as error:
            raise self.error(f"is not understood here: {error}") from error


def operation_name(node: Node) -> str:
    """ATen name without overload and in-place underscore: ``relu`` for ``aten.relu_.default``."""
    name = str(node.target).removeprefix("aten.").split(".")[0]
    return name.rstrip("_")


def _leaves(tree: Any) -> Iterable[Any]:
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _leaves(item)
    elif isinstance(tree, dict):
        yield from _leaves(tuple(tree.values()))
    else:
        yield tree


def _fold(
    weight: Tensor, bias: Tensor | None, gain: Tensor | None, shift: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    bias = torch.zeros(weight.shape[0], dtype=torch.float64) if bias is None else bias
    if gain is not None:
        weight, bias = weight * gain.to(weight.dtype).view(-1, 1, 1, 1), bias * gain.to(bias.dtype)
    return weight, bias if shift is None else bias + shift.to(bias.dtype)


# -- export ------------------------------------------------------------------------------------------


def export_graph(
    model: nn.Module, input_shape: Sequence[int], *, batch: int = BATCH
) -> ExportedProgram:
    """The ATen graph of the model on ``batch`` images of ``input_shape`` (channels, height, width), without in-place operations."""
    if model.training:
        raise WiringError(f"{type(model).__name__} is in training mode; call model.eval() first")
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    example = torch.zeros(batch, *input_shape, device=device)
    try:
        with torch.no_grad(), _without_logs(), _without_collector():
            program = torch.export.export(model, (example,))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WiringError(
            f"{type(model).__name__} on an input of {'x'.join(map(str, input_shape))} cannot be exported "
            f"by torch.export ({type(error).__name__}: {reason}); check the input size (--input-size), "
            "and the model for control flow that depends on data"
        ) from error
    if _mutates(program.graph.nodes):
        program = program.run_decompositions({})
    for node in program.graph.nodes:
        functional = _out_of_place(node)
        if functional is not None:
            node.target = functional
    program.graph_module.recompile()
    return program


@contextmanager
def _without_logs() -> Iterator[None]:
    """Torch logs a failed operation with its traceback before it raises; the error says it all."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _without_collector() -> Iterator[None]:
    """No garbage collection: an export makes many small objects, all of them alive, and the collector walks them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_place(node: Node) -> bool:
    return (
        node.op == "call_function"
        and str(node.target).startswith("aten.")
        and str(node.target).split(".")[1].endswith("_")
    )


def _mutates(nodes: Iterable[Node]) -> bool:
    """Whether an in-place result is seen through another node than the operation's own."""
    order = {node: index for index, node in enumerate(nodes)}
    for node, place in order.items():
        if not _in_place(node):
            continue
        seen, base = node, node.args[0]
        while isinstance(base, Node):
            if any(order[user] > place for user in base.users if user is not seen):
                return True
            if base.op != "call_function" or not _is_view(base):
                break
            seen, base = base, base.args[0]
    return False


def _is_view(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema is not None and schema.returns and schema.returns[0].alias_info is not None)


def _out_of_place(node: Node) -> Any:
    if not _in_place(node):
        return None
    _, name, overload = str(node.target).split(".")
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    return getattr(packet, overload, None)


class Recorder(Interpreter):
    """Runs an exported graph and keeps the values of some nodes."""

    def __init__(self, graph: GraphModule, keep: Iterable[str]) -> None:
        super().__init__(graph)
        self.keep = frozenset(keep)
        self.recorded: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """Run one node and keep its value if asked."""
        value = super().run_node(n)
        if n.name in self.keep:
            self.recorded[n.name] = value
        return value


def program_inputs(program: ExportedProgram) -> tuple[dict[str, Any], list[str]]:
    """Concrete value of every placeholder that is a parameter, buffer or constant; and the names of the inputs."""
    kinds = torch.export.graph_signature.InputKind
    state = {**program.state_dict, **program.constants}
    fixed: dict[str, Any] = {}
    inputs = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == kinds.USER_INPUT:
            inputs.append(spec.arg.name)
        else:
            value = state[spec.target or ""]
            fixed[spec.arg.name] = value.detach() if isinstance(value, Tensor) else value
    return fixed, inputs


def trace(model: nn.Module, input_shape: Sequence[int], *, labels: Sequence[str] = ()) -> Trace:
    """Trace a model in eval mode on images of ``input_shape``.

    ``labels`` names the classes of the output that has as many channels. `WiringError` names the operation,
    node and module that cannot be wired.
    """
    from circuitome.extract.trace.operations import RULES

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
            leaf for leaf in _leaves(node.args) if isinstance(leaf, Node) and leaf.name in user
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


def identity_layer(
    tracer: Tracer,
    name: str,
    op: str,
    operands: tuple[Value, ...],
    nodes: tuple[Node, ...],
    *,
    layout: Layout | None = None,
    coefficients: Sequence[float] | None = None,
) -> Draft:
    """A layer whose neuron c is a weighted sum (or product) of channel c of each operand."""
    layout = layout or operands[0].layout
    channels = layout.channels
    factors = torch.tensor(coefficients or [1.0] * len(operands), dtype=torch.float64)
    weight = factors.view(1, -1, 1, 1).expand(channels, -1, 1, 1)
    draft = Draft(name, op, tracer.node, layout, operands, nodes, channels, weight)
    draft.attrs["groups"] = channels
    return draft


# -- from drafts to layers ---------------------------------------------------------------------------


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


def output_size(step: Step, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a map after a step, found by running it on one."""
    kind = STEPS[step.name]
    if kind.window is None and not kind.whole and step.name not in ("pad", "slice", "upsample"):
        return size
    out = kind.compute(torch.zeros(1, 1, *size), **step.attrs)
    return int(out.shape[2]), int(out.shape[3])
