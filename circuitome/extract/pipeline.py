"""The whole extraction: model -> wiring -> edges -> bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from circuitome.errors import CircuitomeError
from circuitome.extract.edges import KEEP_MOST, Pruning
from circuitome.extract.inputs import shapes_of
from circuitome.extract.models.devices import pick_device
from circuitome.extract.models.network import Network
from circuitome.extract.models.readiness import refuse_unready
from circuitome.extract.shapes import prove_shapes
from circuitome.extract.tables import Tables
from circuitome.extract.trace.export import batch_of
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import SCHEMA_VERSION, arrow_schema
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["ExtractError", "Options", "extract", "write_bundle"]

_PACKAGES: Final = ("torch", "torchvision", "numpy", "pyarrow")


class ExtractError(CircuitomeError):
    """A network whose graph cannot be made."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a network is extracted, beside what is pruned."""

    span: int | None = 1
    """Additions of a residual stream that `EXPANDED` edges multiply out, besides bottlenecks.

    None makes no `EXPANDED` edges."""
    device: str = "auto"
    """What computes; `circuitome.extract.models.devices.pick_device` lists the names."""
    allow_nonfinite: bool = False
    """Leave out kernels with a NaN or an infinity, and mark the neurons that have one.

    They are named in the manifest's ``nonfinite``, and their ``kept_mass`` and ``fan_in_norm`` are
    null."""


DEFAULTS: Final = Options()


def extract(
    network: nn.Module | Network,
    *,
    output: str | Path | None = None,
    keep: Pruning = KEEP_MOST,
    force: bool = False,
    options: Options = DEFAULTS,
    progress: Progress | None = None,
) -> Bundle:
    """Write the connectome of a network as a bundle and open it.

    Args:
        network: a CNN in eval mode, or a `Network` that says its name and input shape, too.
        output: folder of the bundle; ``NAME.circuitome`` if None.
        keep: which edges of each receiver are kept; the strongest 99 % if nothing is said.
        force: replace a bundle that is there.
        progress: called with a stage, what is done and what there is to do.

    Raises:
        WiringError: an operation is not understood, or its wiring makes maps of another shape than
            the network; names it.
        ExtractError: a weight is not finite, and that is not allowed.
        BundleError: ``output`` is there already and ``force`` is not given, or cannot be written.

    Example:
        >>> bundle = extract(Network(model, name="mine"), keep=Pruning(0.9))  # doctest: +SKIP
    """
    network = network if isinstance(network, Network) else Network(network)
    pick_device(options.device)
    report = progress or (lambda *_: None)
    refuse_unready(network.model, source=network.architecture or type(network.model).__name__)
    row = network.row() | {"keep": str(keep)}
    row |= {"left_out": list(network.left_out)} if network.left_out else {}
    row |= {"until": network.until} if network.until else {}
    shapes = shapes_of(network.input_shape)
    row |= {"inputs": [list(shape) for shape in shapes]} if len(shapes) > 1 else {}
    writer = BundleWriter(output or f"{network.name}.circuitome", force=force)
    report("tracing", 0, 1)
    traced = trace(network.model, network.input_shape, labels=network.labels)
    prove_shapes(traced)
    row |= {"single": True} if batch_of(traced.program) == 1 else {}
    report("tracing", 1, 1)
    traced = _marked(traced) if options.allow_nonfinite else traced
    _refuse_nonfinite(traced, source=network.weights or str(row["architecture"]))
    return write_bundle(writer, row, traced, keep=keep, options=options, progress=report)


def write_bundle(
    writer: BundleWriter,
    model: Mapping[str, object],
    traced: Trace,
    *,
    keep: Pruning,
    options: Options = DEFAULTS,
    progress: Progress | None = None,
) -> Bundle:
    """Weigh the edges of a traced network and write its bundle.

    ``model`` is the row of the `Model` table; it has at least a ``key``, and what is no column of
    that table becomes an entry of the manifest.
    """
    columns = arrow_schema("Model").names
    further = {name: value for name, value in model.items() if name not in columns}
    row = {name: model.get(name) for name in columns}
    row |= {"schema_version": SCHEMA_VERSION, "state": "ready"}
    device = pick_device(options.device)
    with writer:
        tables = Tables(writer, row, traced, keep, device, progress or (lambda *_: None))
        counts = tables.write()
        if options.span is not None:
            counts |= tables.write_expanded(options.span)
        marked = [tables.keys[number].as_py() for number in sorted(traced.nonfinite)]
        writer.finish(
            model=row,
            notes=further | _notes(counts, device=device.type, nonfinite=marked),
            wiring=traced.wiring.to_json(),
            kernels=traced.kernels,
            kernel_rows=[(layer.name, layer.kernel_rows) for layer in traced.wiring.layers],
        )
    return Bundle.open(writer.path)


def _notes(
    counts: Mapping[str, int], *, device: str, nonfinite: Sequence[str]
) -> dict[str, object]:
    versions = {package: version(package) for package in _PACKAGES}
    return {
        "counts": counts,
        "versions": versions | {"python": platform.python_version()},
        "device": device,
        "nonfinite": nonfinite,
    }


def _nonfinite(traced: Trace, index: int) -> np.ndarray:
    """Which neurons of a layer have a kernel or a bias that is not finite, ``(channels,)`` bool."""
    layer = traced.wiring.layers[index]
    kernel = traced.kernels.get(f"kernel/{layer.name}", np.zeros((layer.channels, 1)))
    return ~np.isfinite(kernel).all(axis=tuple(range(1, kernel.ndim))) | ~np.isfinite(
        traced.biases[index]
    )


def _marked(traced: Trace) -> Trace:
    """The trace with zeros for every kernel that is not finite, no bias that is not, and the
    neurons of both noted.
    """
    kernels, marked = dict(traced.kernels), set()
    for index, layer in enumerate(traced.wiring.layers):
        marked.update(traced.wiring.neurons(index)[_nonfinite(traced, index)].tolist())
        kernel = kernels.get(f"kernel/{layer.name}")
        if kernel is not None:
            whole = np.isfinite(kernel).all(axis=tuple(range(2, kernel.ndim)), keepdims=True)
            kernels[f"kernel/{layer.name}"] = np.where(whole, kernel, np.float32(0))
    biases = tuple(np.where(np.isfinite(bias), bias, np.nan) for bias in traced.biases)
    return replace(traced, kernels=kernels, biases=biases, nonfinite=frozenset(marked))


def _refuse_nonfinite(traced: Trace, *, source: str) -> None:
    for index, layer in enumerate(traced.wiring.layers):
        marked = np.isin(traced.wiring.neurons(index), list(traced.nonfinite))
        bad = np.flatnonzero(_nonfinite(traced, index) & ~marked)
        if len(bad):
            raise ExtractError(
                f"{source}: layer {layer.name}, neuron {bad[0]}: its kernel "
                "or bias is not finite "
                f"({len(bad)} neurons of the layer); repair the weights, or mark them with "
                "--allow-nonfinite"
            )
    _refuse_nonfinite_steps(traced, source=source)


def _refuse_nonfinite_steps(traced: Trace, *, source: str) -> None:
    for name, vector in traced.kernels.items():
        if name.startswith("step/") and not np.isfinite(vector).all():
            _, index, *_, argument = name.split("/")
            raise ExtractError(
                f"{source}: layer {traced.wiring.layers[int(index)].name}: a {argument} on the way "
                "to it is not finite; repair the weights"
            )
