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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.edges import Pruning, senders, weigh
from circuitome.extract.models.devices import pick_device
from circuitome.extract.steps import apply
from circuitome.extract.trace.export import BATCH, Recorder, export_graph, program_inputs
from circuitome.extract.wiring import Layer, Wiring
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.rows import text
from circuitome.graphdb.schema import EDGE_TYPES
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["TOLERANCE", "LayerCheck", "VerifyError", "read_operand", "verify"]

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
    wiring = _read_wiring(bundle)
    arrays = bundle.kernels.arrays()
    place = pick_device(device)
    with exact_float32(), torch.no_grad():
        shape = bundle.manifest.model["input_shape"] or ()
        recorded = _record(model, wiring, shape, place, seed)
        biases = _biases(bundle, wiring)
        tables = _EdgeTables(bundle, wiring)
        checks: list[LayerCheck] = []
        for index, layer in enumerate(wiring.layers):
            if layer.op != "input":
                kernel = _kernel(bundle, arrays, layer)
                checks += _check_layer(wiring, index, kernel, biases[index], arrays, recorded)
                checks.append(tables.check(index, kernel, arrays))
            if progress:
                progress("verifying", index + 1, len(wiring.layers))
    return [*checks, *tables.rest()]


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
    model: nn.Module, wiring: Wiring, shape: Sequence[int], device: torch.device, seed: int
) -> dict[str, Tensor]:
    """The model's own value of every layer and operand, as ``(N, C, H, W)``."""
    if device.type != "cpu":
        model = copy.deepcopy(model).to(device)
    program = export_graph(model, shape)
    fixed, _ = program_inputs(program)
    nodes = {node.name for node in program.graph.nodes}
    missing = [name for name in wiring.layouts if name not in nodes]
    if missing:
        raise VerifyError(
            f"the model has no node {missing[0]!r}, which the bundle's wiring names; "
            "name the model that the bundle was extracted from"
        )
    images = torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(seed)).to(device)
    recorder = Recorder(program.graph_module, wiring.layouts)
    recorder.run(
        *(fixed.get(node.name, images) for node in program.graph.nodes if node.op == "placeholder")
    )
    return {
        name: wiring.layouts[name].canonical(value) for name, value in recorder.recorded.items()
    }


def _biases(bundle: Bundle, wiring: Wiring) -> list[Tensor]:
    column = bundle.table("Neuron").column("bias").to_numpy(zero_copy_only=False).astype(np.float32)
    if len(column) != wiring.offsets[-1]:
        raise BundleError(
            f"{bundle.path}: {len(column)} neurons, its wiring has {wiring.offsets[-1]}; extract "
            "it again"
        )
    return [torch.as_tensor(part) for part in np.split(column, wiring.offsets[1:-1])]


def _kernel(bundle: Bundle, arrays: Mapping[str, np.ndarray], layer: Layer) -> Tensor:
    kernel = arrays.get(f"kernel/{layer.name}")
    shape = (layer.channels, layer.fan_in, *layer.kernel)
    if kernel is None or kernel.shape != shape:
        found = (
            "is missing" if kernel is None else f"has shape {kernel.shape}, the wiring says {shape}"
        )
        raise BundleError(
            f"{bundle.path}: the kernel of {layer.name} {found}; extract the bundle again"
        )
    return torch.as_tensor(kernel)


def _check_layer(
    wiring: Wiring,
    index: int,
    kernel: Tensor,
    bias: Tensor,
    arrays: Mapping[str, np.ndarray],
    recorded: Mapping[str, Tensor],
) -> list[LayerCheck]:
    layer = wiring.layers[index]
    truth = recorded[layer.node]
    operands = [
        read_operand(wiring, layer, number, arrays, recorded)
        for number in range(len(layer.operands))
    ]
    checks = []
    if layer.op in ("add", "gate"):
        part = "summand" if layer.op == "add" else "factor"
        for number, (mine, node) in enumerate(zip(operands, layer.operands, strict=True)):
            checks.append(_compare(layer, f"{part} {number}", mine, recorded[node]))
    mine = compute(layer, operands, kernel.to(truth.device), bias.to(truth.device))
    return [_compare(layer, "layer", mine, truth), *checks]


def read_operand(
    wiring: Wiring,
    layer: Layer,
    number: int,
    arrays: Mapping[str, np.ndarray],
    recorded: Mapping[str, Tensor],
) -> Tensor:
    """One operand of a layer, ``(N, width, H, W)``, from the values of its sources (by node)
    through the links.
    """
    device = next(iter(recorded.values())).device

    def array(name: str) -> Tensor:
        return torch.as_tensor(arrays[name]).to(device)

    operand = None
    for link in layer.links:
        if link.operand != number:
            continue
        x = recorded[wiring.layers[link.source].node][
            :, torch.as_tensor(link.channels, device=device)
        ]
        for step in link.path:
            x = apply(step, x, array)
        if operand is None:
            operand = x.new_zeros(len(x), layer.width, *x.shape[2:])
        operand[:, torch.as_tensor(link.positions, device=device)] = x
    if operand is None:  # a summand of zeros
        return torch.zeros_like(recorded[layer.operands[number]])
    return operand


def compute(layer: Layer, operands: Sequence[Tensor], kernel: Tensor, bias: Tensor) -> Tensor:
    """Pre-activation of a layer, ``(N, channels, H, W)``, from its operands and its kernel."""
    spread = bias.view(1, -1, 1, 1)
    if layer.op in ("conv", "linear") and layer.output_padding is None:
        return F.conv2d(
            operands[0], kernel, bias, layer.stride, layer.padding, layer.dilation, layer.groups
        )
    if layer.op == "conv":
        return _transposed(layer, operands[0], kernel, bias)
    if layer.op == "add":
        weights = kernel[:, :, 0, 0]
        return sum((weights[:, i].view(1, -1, 1, 1) * x for i, x in enumerate(operands)), spread)
    if layer.op == "gate":
        return (
            kernel[:, 0].view(1, -1, 1, 1)
            * operands[0]
            * (kernel[:, 1].view(1, -1, 1, 1) * operands[1])
            + spread
        )
    x = operands[0] if layer.norm is None else _normalised(operands[0], **layer.norm)
    return kernel.view(1, -1, 1, 1) * x + spread


def _transposed(layer: Layer, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    height, width = layer.kernel
    weight = (
        kernel.reshape(layer.groups, -1, layer.fan_in, height, width).transpose(1, 2).flip(-2, -1)
    )
    weight = weight.reshape(layer.width, -1, height, width)
    assert layer.output_padding is not None
    return F.conv_transpose2d(
        x,
        weight,
        bias,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.groups,
        layer.dilation,
    )


def _normalised(
    x: Tensor, *, name: str, dims: Sequence[int] = (), groups: int = 1, eps: float = 0.0
) -> Tensor:
    if name == "standardize":
        variance, mean = torch.var_mean(x, list(dims), correction=0, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + eps)
    if name == "group_norm":
        return F.group_norm(x, groups, eps=eps)
    return torch.softmax(x, 1) if name == "softmax" else torch.log_softmax(x, 1)


def _compare(layer: Layer, part: str, mine: Tensor, truth: Tensor) -> LayerCheck:
    if mine.shape != truth.shape:
        try:
            mine = mine.expand_as(truth)
        except RuntimeError:
            return LayerCheck(layer.name, layer.op, part, float("inf"), False)
    difference = torch.linalg.vector_norm((mine - truth).double())
    norm = torch.linalg.vector_norm(truth.double())
    error = float(difference / norm) if norm > 0 else float(difference)
    return LayerCheck(layer.name, layer.op, part, error, error <= TOLERANCE)


class _EdgeTables:
    """The bundle's edges, compared layer by layer with edges computed anew from kernels and
    wiring.
    """

    def __init__(self, bundle: Bundle, wiring: Wiring) -> None:
        keys = bundle.table("Neuron").column("key").combine_chunks()
        self.keep = Pruning.parse(text(bundle.manifest.model, "keep"))
        self.wiring = wiring
        self.streams = [_EdgeStream(bundle, name, keys) for name in EDGE_TYPES]
        self.rows = np.cumsum([0] + [layer.channels * layer.fan_in for layer in wiring.layers])

    def check(self, index: int, kernel: Tensor, arrays: Mapping[str, np.ndarray]) -> LayerCheck:
        """Compare senders, receivers, weights, excitations and shares of one layer; layers in
        their order.
        """
        layer = self.wiring.layers[index]
        row, receiver = int(self.rows[index]), int(self.wiring.offsets[index])
        sources = senders(self.wiring, layer, arrays)
        runs = [
            edges
            for edges, _, _ in weigh(kernel, sources, receivers=receiver, rows=row, keep=self.keep)
        ]
        truth = {
            name: np.concatenate([getattr(edges, name) for edges in runs])
            for name in (*_COLUMNS, "inhibits")
        }
        errors = []
        for stream, sign in zip(self.streams, (~truth["inhibits"], truth["inhibits"]), strict=True):
            errors.append(
                _edge_error(stream.until(int(self.rows[index + 1])), truth, np.flatnonzero(sign))
            )
        return LayerCheck(layer.name, layer.op, "edges", max(errors), max(errors) <= TOLERANCE)

    def rest(self) -> list[LayerCheck]:
        """A failure for edges that belong to no layer, if there are any."""
        left = sum(
            len(part["kernel"]) for part in (stream.until(1 << 62) for stream in self.streams)
        )
        return [LayerCheck("(no layer)", "", "edges", float("inf"), False)] if left else []


_COLUMNS: Final = ("sender", "receiver", "kernel", "weight", "excitation", "share")


def _edge_error(
    mine: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], rows: np.ndarray
) -> float:
    """Largest relative error of a column; inf where the edges are not the same ones."""
    if not all(np.array_equal(mine[name], truth[name][rows]) for name in _COLUMNS[:3]):
        return float("inf")
    return max(_relative(mine[name], truth[name][rows]) for name in _COLUMNS[3:])


class _EdgeStream:
    """One edge table, read forwards in the order of its kernel rows."""

    def __init__(self, bundle: Bundle, name: str, keys: pa.Array) -> None:
        self.batches = bundle.batches(name, 1 << 20, columns=("from", "to", *_COLUMNS[2:]))
        self.keys = keys
        self.waiting: dict[str, np.ndarray] | None = self._next()

    def until(self, row: int) -> dict[str, np.ndarray]:
        """The edges up to a kernel row that were not read yet, one array a column."""
        taken = []
        while self.waiting is not None:
            stop = int(np.searchsorted(self.waiting["kernel"], row))
            taken.append({name: column[:stop] for name, column in self.waiting.items()})
            self.waiting = {name: column[stop:] for name, column in self.waiting.items()}
            if len(self.waiting["kernel"]):
                break
            self.waiting = self._next()
        return {
            name: np.concatenate([part[name] for part in taken] or [np.empty(0)])
            for name in _COLUMNS
        }

    def _next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        if batch is None:
            return None
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS[2:]}
        return columns | {
            "sender": self._numbers(batch, "from"),
            "receiver": self._numbers(batch, "to"),
        }

    def _numbers(self, batch: pa.RecordBatch, end: str) -> np.ndarray:
        column = batch.column(end)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        found = pc.call_function("index_in", [encoded.dictionary], pc.SetLookupOptions(self.keys))
        return found.fill_null(-1).to_numpy(zero_copy_only=False)[
            encoded.indices.to_numpy(zero_copy_only=False)
        ]


def _relative(mine: np.ndarray, truth: np.ndarray) -> float:
    norm = float(np.linalg.norm(truth.astype(np.float64)))
    return float(np.linalg.norm(mine.astype(np.float64) - truth)) / (norm or 1.0)
