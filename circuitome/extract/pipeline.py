"""The whole extraction: model -> wiring -> edges -> bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.edges import Pruning
from circuitome.extract.models.devices import pick_device
from circuitome.extract.models.weights import digest
from circuitome.extract.tables import neuron_keys, write_expanded, write_tables
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.graphdb.bundle import Bundle, BundleWriter
from circuitome.graphdb.schema import SCHEMA_VERSION, arrow_schema
from circuitome.graphdb.stores import Progress

__all__ = ["ExtractError", "extract", "write_bundle"]

_PACKAGES: Final = ("torch", "torchvision", "numpy", "pyarrow")


class ExtractError(CircuitomeError):
    """A network whose graph cannot be made."""


def extract(
    model: nn.Module,
    example: Tensor | None = None,
    *,
    output: str | Path | None = None,
    name: str = "network",
    input_shape: Sequence[int] = (3, 224, 224),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    keep: float | None = 0.99,
    top: int | None = None,
    span: int | None = 1,
    device: str = "auto",
    seed: int = 0,
    architecture: str = "",
    weights: str = "",
    weights_sha256: str | None = None,
    task: str = "",
    labels: Sequence[str] = (),
    force: bool = False,
    allow_nonfinite: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Write the connectome of ``model`` as a bundle and open it.

    Args:
        model: a CNN in eval mode.
        example: an input batch, of which only the shape ``(N, C, H, W)`` is used; or give ``input_shape``.
        output: folder of the bundle; ``NAME.circuitome`` if None.
        keep: least share of each receiver's squared fan-in norm that the kept edges hold; None keeps all.
        top: most edges to keep of each receiver; None: as many as ``keep`` asks for.
        span: additions of a residual stream that `EXPANDED` edges multiply out; they always span bottlenecks.
            None makes no `EXPANDED` edges.
        labels: class names, in the order of the logits.
        allow_nonfinite: leave out kernels with a NaN or an infinity, and mark the neurons that have one: in the
            manifest's ``nonfinite``, and by a ``kept_mass`` and ``fan_in_norm`` that are null.
        progress: called with a stage, what is done and what there is to do.

    Raises:
        WiringError: an operation is not understood; names it.
        ExtractError: a weight is not finite, and that is not allowed.
        PruningError: ``keep`` is no share, or ``top`` less than one.
        BundleError: ``output`` is there already and ``force`` is not given, or cannot be written.

    Example:
        >>> bundle = extract(model, torch.zeros(1, 3, 224, 224), name="mine")  # doctest: +SKIP
    """
    pruning = Pruning(keep, top)
    shape = tuple(int(size) for size in (input_shape if example is None else example.shape[1:]))
    place = pick_device(device)
    report = progress or (lambda *_: None)
    row: dict[str, Any] = {
        "key": name,
        "architecture": architecture or type(model).__name__,
        "weights": weights,
        "weights_sha256": weights_sha256 or digest(model),
        "task": task or None,
        "input_shape": list(shape),
        "mean": None if mean is None else list(mean),
        "std": None if std is None else list(std),
        "keep": str(pruning),
        "seed": seed,
        "schema_version": SCHEMA_VERSION,
        "state": "ready",
    }
    writer = BundleWriter(output or f"{name}.circuitome", force=force)
    report("tracing", 0, 1)
    traced = trace(model, shape, labels=labels)
    report("tracing", 1, 1)
    traced = _marked(traced) if allow_nonfinite else traced
    _refuse_nonfinite(traced, source=weights or row["architecture"])
    return write_bundle(
        writer, name, traced, row, keep=pruning, span=span, device=place, progress=report
    )


def write_bundle(
    writer: BundleWriter,
    name: str,
    traced: Trace,
    model: Mapping[str, Any],
    *,
    keep: Pruning,
    span: int | None = None,
    device: torch.device,
    progress: Progress | None = None,
) -> Bundle:
    """Weigh the edges of a traced network and write its bundle; ``model`` is the row of the `Model` table.

    ``span`` None makes no expanded edges at all.
    """
    row = dict.fromkeys(arrow_schema("Model").names) | dict(model) | {"key": name}
    with writer:
        report = progress or (lambda *_: None)
        counts = write_tables(writer, row, traced, keep, device, report)
        if span is not None:
            counts |= write_expanded(writer, name, traced, span, keep, device, report)
        layers = traced.wiring.layers
        writer.finish(
            manifest={
                "model": row,
                "counts": counts,
                "versions": _versions(),
                "device": device.type,
                "nonfinite": [
                    neuron_keys(name, traced.wiring)[number] for number in sorted(traced.nonfinite)
                ],
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
    """The trace with zeros for every kernel that is not finite, no bias that is not, and the neurons of both noted."""
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
                f"{source}: layer {layer.name}, neuron {int(np.flatnonzero(bad)[0])}: its kernel or bias is not finite "
                f"({int(bad.sum())} neurons of the layer); repair the weights, or mark them with --allow-nonfinite"
            )
    for name, vector in traced.kernels.items():
        if name.startswith("step/") and not np.isfinite(vector).all():
            layer = traced.wiring.layers[int(name.split("/")[1])].name
            raise ExtractError(
                f"{source}: layer {layer}: a {name.split('/')[-1]} on the way to it is not finite; repair the weights"
            )
