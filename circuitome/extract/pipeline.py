"""The whole extraction: model -> wiring -> edges -> bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.devices import pick_device
from circuitome.extract.edges import Pruning
from circuitome.extract.tables import write_expanded, write_tables
from circuitome.extract.trace import Trace, trace
from circuitome.extract.weights import digest
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
        progress: called with a stage, what is done and what there is to do.

    Raises:
        WiringError: an operation is not understood; names it.
        ExtractError: a weight is not finite.
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
    _refuse_nonfinite(traced)
    return write_bundle(writer, name, traced, row, keep=pruning, span=span, device=place, progress=report)


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
            manifest={"model": row, "counts": counts, "versions": _versions(), "device": device.type},
            wiring=traced.wiring.to_json(),
            kernels=traced.kernels,
            kernel_rows=[(layer.name, layer.channels * layer.fan_in) for layer in layers],
        )
    return Bundle.open(writer.path)


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES} | {"python": platform.python_version()}


def _refuse_nonfinite(traced: Trace) -> None:
    for index, layer in enumerate(traced.wiring.layers):
        kernel = traced.kernels.get(f"kernel/{layer.name}", np.zeros((layer.channels, 1)))
        bad = ~np.isfinite(kernel).all(axis=tuple(range(1, kernel.ndim))) | ~np.isfinite(traced.biases[index])
        if bad.any():
            raise ExtractError(
                f"layer {layer.name}, neuron {int(np.flatnonzero(bad)[0])}: its kernel or bias is not finite "
                f"({int(bad.sum())} neurons of the layer); repair the weights"
            )
    for name, vector in traced.kernels.items():
        if name.startswith("step/") and not np.isfinite(vector).all():
            layer = traced.wiring.layers[int(name.split("/")[1])].name
            raise ExtractError(
                f"layer {layer}: a {name.split('/')[-1]} on the way to it is not finite; repair the weights"
            )
