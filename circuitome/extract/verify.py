"""Proof that the graph is the network: the bundle's kernels and wiring against the model's own
activations.

Teacher forcing: every layer is fed what the model itself recorded for its sources, through the
bundle's links, steps and kernels, and compared with what the model recorded for the layer. Errors
are norms, ``||d||2 / ||y||2``, and do not add up from layer to layer. Every summand of an addition
is compared by itself, since a branch may be small against the sum; and the edge tables are compared
with the kernels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from circuitome.errors import CircuitomeError
from circuitome.extract.edge_tables import EdgeTables
from circuitome.extract.formula import evaluate
from circuitome.extract.inputs import inputs_in, random_inputs
from circuitome.extract.models.devices import pick_device
from circuitome.extract.spatial import convolve, convolve_transposed, per_channel
from circuitome.extract.steps import apply
from circuitome.extract.trace.export import BATCH, Recorder, export_graph, program_inputs
from circuitome.extract.wiring import SOURCES, Layer, Link, Norm, Wiring
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.manifest import Manifest
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["TOLERANCE", "LayerCheck", "VerifyError", "compute", "read_operand", "verify"]

TOLERANCE: Final = 1e-5
"""Largest relative error of a layer that passes."""


class VerifyError(CircuitomeError):
    """The model named is not the one that the bundle was made from."""


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One comparison."""

    layer: str
    op: str
    part: str  # `layer`, `summand 0` ..., or `edges`
    error: float  # ||d|| / ||y||; inf where something is missing
    ok: bool


def verify(
    bundle: Bundle,
    model: nn.Module,
    *,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> list[LayerCheck]:
    """Compare every layer of ``bundle`` with ``model`` on two random images; float32, TF32 off.

    Returns one row a layer, one more for each summand of an addition, and one for each layer's
    edges. Raises `BundleError` for a damaged bundle, `VerifyError` where the model has other nodes
    than the bundle names.
    """
    bundle.check()
    try:
        return _checks(bundle, model, device=device, seed=seed, progress=progress)
    except CircuitomeError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BundleError(
            f"{bundle.path}: its wiring, kernels and tables do not go together with the model, "
            "or with one another "
            f"({type(error).__name__}: {str(error)[:200]}); extract the bundle again"
        ) from error


def _checks(
    bundle: Bundle, model: nn.Module, *, device: str, seed: int, progress: Progress | None
) -> list[LayerCheck]:
    with exact_float32(), torch.no_grad():
        forced = _Forced.of(bundle, model, device, seed)
        tables, layers = EdgeTables(bundle, forced.wiring), forced.wiring.layers
        checks: list[LayerCheck] = []
        for index, layer in enumerate(layers):
            if layer.op not in SOURCES:
                kernel = forced.kernel(layer)
                checks += forced.checks(index, kernel)
                checks.append(_check(layer, "edges", tables.error(index, kernel, forced.arrays)))
            if progress:
                progress("verifying", index + 1, len(layers))
    if tables.left():
        checks.append(LayerCheck("(no layer)", "", "edges", float("inf"), False))
    return checks


@contextmanager
def exact_float32() -> Iterator[None]:
    """Float32 without TF32 or reduced precision, for comparisons."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _read_wiring(bundle: Bundle) -> Wiring:
    try:
        return Wiring.from_json(bundle.wiring)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle.path}: its wiring is damaged ({error}); extract the bundle again"
        ) from error


def _record(
    model: nn.Module, wiring: Wiring, manifest: Manifest, device: torch.device, seed: int
) -> dict[str, Tensor]:
    """The model's own value of every layer and operand, ``(N, C, ...)``."""
    inputs, batch = inputs_in(manifest), 1 if manifest.note("single") else BATCH
    if device.type != "cpu":
        model = copy.deepcopy(model).to(device)
    program = export_graph(model, inputs, batch=batch)
    _refuse_other_nodes(program, wiring)
    values, names = program_inputs(program)
    noise = random_inputs(inputs, batch, seed=seed)
    values |= {name: images.to(device) for name, images in zip(names, noise, strict=True)}
    recorder = Recorder(program.graph_module, wiring.layouts)
    recorder.run(*(values[node.name] for node in program.graph.nodes if node.op == "placeholder"))
    return {
        name: wiring.layouts[name].canonical(value).float()
        for name, value in recorder.recorded.items()
    }


def _refuse_other_nodes(program: ExportedProgram, wiring: Wiring) -> None:
    nodes = {node.name for node in program.graph.nodes}
    missing = [name for name in wiring.layouts if name not in nodes]
    if missing:
        raise VerifyError(
            f"the model has no node {missing[0]!r}, which the bundle's wiring names; "
            "name the model that the bundle was extracted from"
        )


def _biases(bundle: Bundle, wiring: Wiring) -> list[Tensor]:
    column = bundle.table("Neuron").column("bias").to_numpy(zero_copy_only=False).astype(np.float32)
    if len(column) != wiring.offsets[-1]:
        raise BundleError(
            f"{bundle.path}: {len(column)} neurons, its wiring has {wiring.offsets[-1]}; extract "
            "it again"
        )
    return [torch.as_tensor(part) for part in np.split(column, wiring.offsets[1:-1])]


@dataclass(frozen=True, slots=True)
class _Forced:
    """The layers of a bundle, each fed what the model itself recorded for its sources."""

    bundle: Bundle
    wiring: Wiring
    arrays: Mapping[str, np.ndarray]
    biases: Sequence[Tensor]
    recorded: Mapping[str, Tensor]

    @classmethod
    def of(cls, bundle: Bundle, model: nn.Module, device: str, seed: int) -> _Forced:
        """Run the model on random images."""
        wiring, arrays = _read_wiring(bundle), bundle.kernels.arrays()
        recorded = _record(model, wiring, bundle.manifest, pick_device(device), seed)
        return cls(bundle, wiring, arrays, _biases(bundle, wiring), recorded)

    def kernel(self, layer: Layer) -> Tensor:
        """The bundle's kernel of a layer, of the shape that the wiring says."""
        kernel = self.arrays.get(f"kernel/{layer.name}")
        shape = (layer.channels, layer.fan_in, *layer.kernel)
        if kernel is not None and kernel.shape == shape:
            return torch.as_tensor(kernel)
        found = "is missing"
        if kernel is not None:
            found = f"has shape {kernel.shape}, the wiring says {shape}"
        raise BundleError(
            f"{self.bundle.path}: the kernel of {layer.name} {found}; extract the bundle again"
        )

    def checks(self, index: int, kernel: Tensor) -> Iterator[LayerCheck]:
        """A layer's values and the parts that it combines against the recorded ones."""
        layer = self.wiring.layers[index]
        truth = self.recorded[layer.node]
        operands = [
            read_operand(self.wiring, layer, number, self.arrays, self.recorded)
            for number in range(len(layer.operands))
        ]
        bias = self.biases[index].to(truth.device)
        mine = compute(layer, operands, kernel.to(truth.device), bias)
        yield _check(layer, "layer", _error(mine, truth))
        if layer.op in ("add", "gate"):
            part = "summand" if layer.op == "add" else "factor"
            for number, (operand, node) in enumerate(zip(operands, layer.operands, strict=True)):
                if not node:  # no value of the network's: the layer's own check holds it
                    continue
                own = _repeated(self.recorded[node], operand.shape[1])
                yield _check(layer, f"{part} {number}", _error(operand, own))


def read_operand(
    wiring: Wiring,
    layer: Layer,
    number: int,
    arrays: Mapping[str, np.ndarray],
    recorded: Mapping[str, Tensor],
) -> Tensor:
    """One operand of a layer, ``(N, width, ...)``, from the values of its sources (by node)
    through the links.
    """
    device = next(iter(recorded.values())).device

    def array(name: str) -> Tensor:
        return torch.as_tensor(arrays[name]).to(device)

    operand = None
    for link in layer.links:
        if link.operand != number:
            continue
        x = _arrived(link, recorded[wiring.layers[link.source].node], array)
        if operand is None:
            operand = x.new_zeros(len(x), layer.width, *x.shape[2:])
        operand[:, torch.as_tensor(link.positions, device=device)] = x
    if operand is None:  # a summand of zeros
        return torch.zeros_like(recorded[layer.operands[number] or layer.node])
    return operand


def _arrived(link: Link, source: Tensor, array: Callable[[str], Tensor]) -> Tensor:
    """Values of a link's channels after its steps, from those of its source."""
    x = source[:, torch.as_tensor(link.channels, device=source.device)]
    for step in link.path:
        x = apply(step, x, array)
    return x


def compute(layer: Layer, operands: Sequence[Tensor], kernel: Tensor, bias: Tensor) -> Tensor:
    """Pre-activation of a layer, ``(N, channels, ...)``, from its operands and its kernel."""
    if layer.op in ("conv", "linear"):
        return _convolved(layer, operands[0], kernel, bias)
    if layer.op == "max":
        return operands[0].unflatten(1, (layer.groups, layer.fan_in)).amax(2)
    if layer.norm is not None:
        operands = [_normalised(operands[0], layer.norm)]
    rank = len(layer.size)
    pairs = zip(kernel.flatten(1).T, operands, strict=True)
    scaled = [per_channel(factor, rank) * x for factor, x in pairs]
    terms = [scaled[0] * scaled[1]] if layer.op == "gate" else scaled
    return sum(terms, per_channel(bias, rank))


def _convolved(layer: Layer, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    if layer.output_padding is not None:
        return _transposed(layer, x, kernel, bias)
    window = (layer.stride, layer.padding, layer.dilation)
    return convolve(x, kernel, bias, *window, layer.groups)


def _transposed(layer: Layer, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    weight = kernel.reshape(layer.groups, -1, layer.fan_in, *layer.kernel).transpose(1, 2)
    weight = weight.flip(*range(3, weight.dim())).reshape(layer.width, -1, *layer.kernel)
    assert layer.output_padding is not None
    return convolve_transposed(
        x,
        weight,
        bias,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.groups,
        layer.dilation,
    )


def _normalised(x: Tensor, norm: Norm) -> Tensor:
    name, eps = norm["name"], norm.get("eps", 0.0)
    if name == "composed":
        return evaluate(norm.get("formula", ()), x)
    if name == "standardize":
        variance, mean = torch.var_mean(x, list(norm.get("dims", ())), correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + eps)
    if name == "group_norm":
        return F.group_norm(x, norm.get("groups", 1), eps=eps)
    return torch.softmax(x, 1) if name == "softmax" else torch.log_softmax(x, 1)


def _error(mine: Tensor, truth: Tensor) -> float:
    """``||d|| / ||y||``; inf where the shapes do not go together."""
    if mine.shape != truth.shape:
        try:
            mine = mine.expand_as(truth)
        except RuntimeError:
            return float("inf")
    difference = torch.linalg.vector_norm((mine - truth).double())
    norm = torch.linalg.vector_norm(truth.double())
    return float(difference / norm) if norm > 0 else float(difference)


def _repeated(recorded: Tensor, channels: int) -> Tensor:
    """A map of one channel as often as the network repeats it; others as they are."""
    if recorded.shape[1] != 1:
        return recorded
    return recorded.expand(-1, channels, *recorded.shape[2:])


def _check(layer: Layer, part: str, error: float) -> LayerCheck:
    return LayerCheck(layer.name, layer.op, part, error, error <= TOLERANCE)
