"""The whole extraction: model -> wiring -> edges -> bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from circuitome.errors import CircuitomeError
from circuitome.extract.edges import KEEP_MOST, Pruning
from circuitome.extract.models.devices import pick_device
from circuitome.extract.models.network import Network
from circuitome.extract.tables import neuron_keys, write_expanded, write_tables
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
        WiringError: an operation is not understood; names it.
        ExtractError: a weight is not finite, and that is not allowed.
        BundleError: ``output`` is there already and ``force`` is not given, or cannot be written.

    Example:
        >>> bundle = extract(Network(model, name="mine"), keep=Pruning(0.9))  # doctest: +SKIP
    """
    network = network if isinstance(network, Network) else Network(network)
    pick_device(options.device)
    report = progress or (lambda *_: None)
    row = network.row() | {"keep": str(keep)}
    writer = BundleWriter(output or f"{network.name}.circuitome", force=force)
    report("tracing", 0, 1)
    shape = tuple(int(size) for size in network.input_shape)
    traced = trace(network.model, shape, labels=network.labels)
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

    ``model`` is the row of the `Model` table; it has at least a ``key``.
    """
    row = dict.fromkeys(arrow_schema("Model").names) | dict(model)
    row |= {"schema_version": SCHEMA_VERSION, "state": "ready"}
    name, device = str(row["key"]), pick_device(options.device)
    with writer:
        report = progress or (lambda *_: None)
        counts = write_tables(writer, row, traced, keep, device, report)
        if options.span is not None:
            counts |= write_expanded(writer, name, traced, options.span, keep, device, report)
        keys = neuron_keys(name, traced.wiring)
        layers = traced.wiring.layers
        writer.finish(
            model=row,
            notes={
                "counts": counts,
                "versions": _versions(),
                "device": device.type,
                "nonfinite": [keys[number] for number in sorted(traced.nonfinite)],
            },
            wiring=traced.wiring.to_json(),
            kernels=traced.kernels,
            kernel_rows=[(layer.name, layer.channels * layer.fan_in) for layer in layers],
        )
    return Bundle.open(writer.path)


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES} | {
        "python": platform.python_version()
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
    kernels, biases, marked = dict(traced.kernels), [], set()
    for index, layer in enumerate(traced.wiring.layers):
        marked |= {
            int(traced.wiring.offsets[index]) + int(channel)
            for channel in _nonfinite(traced, index).nonzero()[0]
        }
        biases.append(np.where(np.isfinite(traced.biases[index]), traced.biases[index], np.nan))
        kernel = kernels.get(f"kernel/{layer.name}")
        if kernel is not None:
            whole = np.isfinite(kernel).all(axis=(2, 3), keepdims=True)
            kernels[f"kernel/{layer.name}"] = np.where(whole, kernel, np.float32(0))
    return replace(traced, kernels=kernels, biases=tuple(biases), nonfinite=frozenset(marked))


def _refuse_nonfinite(traced: Trace, *, source: str) -> None:
    for index, layer in enumerate(traced.wiring.layers):
        numbers = int(traced.wiring.offsets[index]) + np.arange(layer.channels)
        bad = _nonfinite(traced, index) & ~np.isin(numbers, list(traced.nonfinite))
        if bad.any():
            raise ExtractError(
                f"{source}: layer {layer.name}, neuron {int(np.flatnonzero(bad)[0])}: its kernel "
                "or bias is not finite "
                f"({int(bad.sum())} neurons of the layer); repair the weights, or mark them with "
                "--allow-nonfinite"
            )
    for name, vector in traced.kernels.items():
        if name.startswith("step/") and not np.isfinite(vector).all():
            layer = traced.wiring.layers[int(name.split("/")[1])].name
            raise ExtractError(
                f"{source}: layer {layer}: a {name.split('/')[-1]} on the way to it is not "
                "finite; repair the weights"
            )
