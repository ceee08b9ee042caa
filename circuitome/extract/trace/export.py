"""The ATen graph of a model by `torch.export`, and running it with some of its values kept."""

from __future__ import annotations

import gc
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node

from circuitome.extract.inputs import InputShape, zeros
from circuitome.extract.trace.inlined import inline_regions
from circuitome.extract.trace.unexportable import outputs_as_dictionary, refused
from circuitome.extract.wiring import WiringError

__all__ = [
    "BATCH",
    "Recorder",
    "batch_of",
    "export_graph",
    "first_of",
    "program_inputs",
]

# images in the exported graph; a batch of one could not be told from other sizes of one
BATCH: Final = 2


def batch_of(program: ExportedProgram) -> int:
    """How many images a graph was exported on."""
    _, inputs = program_inputs(program)
    shapes = {
        node.name: node.meta["val"].shape for node in program.graph.nodes if node.name in inputs
    }
    return int(shapes[inputs[0]][0])


def export_graph(model: nn.Module, inputs: InputShape, *, batch: int = BATCH) -> ExportedProgram:
    """The ATen graph of the model on ``batch`` images, or examples of several inputs, without
    in-place operations.
    """
    if model.training:
        raise WiringError(f"{type(model).__name__} is in training mode; call model.eval() first")
    program = _exported(model, inputs, batch)
    inline_regions(program.graph_module)
    if _mutates(program.graph.nodes):
        program = program.run_decompositions({})
    for node in program.graph.nodes:
        functional = _out_of_place(node)
        if functional is not None:
            node.target = functional
    program.graph_module.recompile()
    return program


def _exported(model: nn.Module, inputs: InputShape, batch: int) -> ExportedProgram:
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    examples = tuple(zeros(inputs, batch, device=device))
    try:
        return _run(model, examples)
    except Exception as error:
        if "pytree" not in str(error):
            raise refused(model, inputs, error) from error
        try:  # the tensors of a dataclass are outputs as those of a dictionary are
            with outputs_as_dictionary(model):
                return _run(model, examples)
        except Exception:
            raise refused(model, inputs, error) from error


def _run(model: nn.Module, examples: tuple[Tensor, ...]) -> ExportedProgram:
    with torch.no_grad(), _quietly(), _without_collector():
        return torch.export.export(model, examples)


@contextmanager
def _quietly() -> Iterator[None]:
    """Torch logs a failed operation with its traceback and prints its graph before it raises, and
    warns of what a CPU lacks; the error says it all.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _without_collector() -> Iterator[None]:
    """No garbage collection: an export makes many small objects, all of them alive, and the
    collector walks them again and again.
    """
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
            self.recorded[n.name] = first_of(value)
        return value


def first_of(value: Any) -> Any:
    """The first of several results of an operation, as of a maximum with its places."""
    return value[0] if isinstance(value, (tuple, list)) else value


def program_inputs(program: ExportedProgram) -> tuple[dict[str, object], list[str]]:
    """Concrete value of every placeholder that is a parameter, buffer or constant; and the
    names of the inputs.
    """
    kinds = torch.export.graph_signature.InputKind
    state = {**program.state_dict, **program.constants}
    fixed: dict[str, object] = {}
    inputs = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == kinds.USER_INPUT:
            inputs.append(spec.arg.name)
        else:
            value = state[spec.target or ""]
            fixed[spec.arg.name] = value.detach() if isinstance(value, Tensor) else value
    return fixed, inputs
