"""Rows of the bundle's tables of neurons, layers and edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch

from circuitome.extract.columns import keys_of, table_of
from circuitome.extract.edges import (
    Edges,
    FanIn,
    Flow,
    Pruning,
    banding_ratio,
    senders,
    weigh,
)
from circuitome.extract.expanded import Expanded, ExpandError, expand_target, spans
from circuitome.extract.structure import LayerPairs, Structure
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.wiring import Layer, Wiring
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["layer_edges", "neuron_keys", "write_expanded", "write_tables"]

ROW_GROUP: Final = 1 << 20  # edges held before they are written


def write_tables(
    writer: BundleWriter,
    model: Mapping[str, Any],
    traced: Trace,
    keep: Pruning,
    device: torch.device,
    report: Progress,
) -> dict[str, int]:
    """Write every table of a bundle but `EXPANDED`; returns what was counted."""
    wiring, name = traced.wiring, model["key"]
    keys = neuron_keys(name, wiring)
    dictionary = pa.array(keys, pa.string())
    fans: list[FanIn] = []
    tables, pairs = _EdgeWriter(writer, dictionary), LayerPairs(wiring)
    for index, layer in enumerate(wiring.layers):
        fan = []
        for edges, run, flow in layer_edges(traced, index, keep, device):
            tables.add(edges)
            fan.append(run)
            pairs.add(index, flow)
        fans.append(_joined(fan) if fan else _no_fan_in(layer.channels))
        report("weighing", index + 1, len(wiring.layers))
    tables.flush()
    writer.write(
        "Model",
        table_of("Model", {column: [model[column]] for column in arrow_schema("Model").names}),
    )
    writer.write("Layer", _layer_rows(name, traced, fans))
    writer.write("Neuron", _neuron_rows(name, traced, fans, dictionary))
    Structure(writer, name, wiring, dictionary).write(traced.blocks, pairs)
    return {
        "layers": len(wiring.layers),
        "neurons": len(keys),
        "edges": tables.count,
        "dropped": int(sum(fan.dropped.sum() for fan in fans)),
        "blocks": len(traced.blocks),
    }


def neuron_keys(name: str, wiring: Wiring) -> list[str]:
    """Keys of all neurons, in their order."""
    return [
        f"{name}/{layer.name}:{channel}"
        for layer in wiring.layers
        for channel in range(layer.channels)
    ]


def layer_edges(
    traced: Trace, index: int, keep: Pruning, device: torch.device
) -> Iterator[tuple[Edges, FanIn, Flow]]:
    """Edges of one layer of a traced network, in runs of receivers; none for the input."""
    wiring, layer = traced.wiring, traced.wiring.layers[index]
    if layer.op == "input":
        return
    rows = sum(other.channels * other.fan_in for other in wiring.layers[:index])
    kernel = torch.as_tensor(traced.kernels[f"kernel/{layer.name}"])
    kernel = kernel if device.type == "mps" else kernel.to(device)  # MPS has no float64
    sources = senders(wiring, layer, traced.kernels)
    yield from weigh(kernel, sources, receivers=int(wiring.offsets[index]), rows=rows, keep=keep)


def _joined(fans: Sequence[FanIn]) -> FanIn:
    return FanIn(
        *(
            np.concatenate([getattr(fan, name) for fan in fans])
            for name in FanIn.__dataclass_fields__
        )
    )


def _no_fan_in(channels: int) -> FanIn:
    nothing = np.zeros(channels, dtype=np.int64)
    return FanIn(np.zeros(channels), nothing, nothing, np.ones(channels))


class _EdgeWriter:
    """Collects edges and writes them in large row groups, each sign to its own table."""

    def __init__(self, writer: BundleWriter, keys: pa.Array) -> None:
        self.writer, self.keys = writer, keys
        self.waiting: list[Edges] = []
        self.rows = self.count = 0

    def add(self, edges: Edges) -> None:
        """Take a run of edges."""
        self.waiting.append(edges)
        self.rows += len(edges.sender)
        self.count += len(edges.sender)
        if self.rows >= ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what waits; the first call makes both tables, be they empty."""
        columns = {
            field: np.concatenate([getattr(run, field) for run in self.waiting] or [np.empty(0)])
            for field in Edges.__dataclass_fields__
        }
        inhibits = columns["inhibits"].astype(bool)
        signs = (("EXCITES", np.flatnonzero(~inhibits)), ("INHIBITS", np.flatnonzero(inhibits)))
        with ThreadPoolExecutor(2) as pool:  # each table has its own file
            list(
                pool.map(
                    lambda sign: self.writer.write(sign[0], self._rows(sign[0], sign[1], columns)),
                    signs,
                )
            )
        self.waiting, self.rows = [], 0

    def _rows(self, name: str, index: np.ndarray, columns: Mapping[str, np.ndarray]) -> pa.Table:
        ends = {"from": columns["sender"][index], "to": columns["receiver"][index]}
        given: dict[str, Any] = {end: keys_of(numbers, self.keys) for end, numbers in ends.items()}
        given |= {
            field.name: columns[field.name][index]
            for field in arrow_schema(name)
            if field.name not in given
        }
        return table_of(name, given)


def _layer_rows(name: str, traced: Trace, fans: Sequence[FanIn]) -> pa.Table:
    layers = zip(traced.wiring.layers, fans, strict=True)
    rows = [_layer_row(name, traced, index, *pair) for index, pair in enumerate(layers)]
    names = arrow_schema("Layer").names
    return table_of("Layer", {field: [row.get(field) for row in rows] for field in names})


def _layer_row(name: str, traced: Trace, index: int, layer: Layer, fan: FanIn) -> dict[str, object]:
    row: dict[str, object] = {
        "key": f"{name}/{layer.name}",
        "model": name,
        "name": layer.name,
        "op": layer.op,
        "index": index,
        "depth": layer.depth,
        "channels": layer.channels,
        "size": list(layer.size),
        "receptive_field": list(layer.receptive_field),
        "kept_mass": None if layer.op == "input" else _mass(fan),
    }
    if layer.op in ("conv", "linear"):
        kernel = torch.as_tensor(traced.kernels[f"kernel/{layer.name}"])
        row |= {
            "kernel": list(layer.kernel),
            "stride": list(layer.stride),
            "padding": list(layer.padding),
            "dilation": list(layer.dilation),
            "groups": layer.groups,
            "banding_ratio": banding_ratio(kernel),
        }
    return row


def _mass(fan: FanIn) -> float | None:
    total = float(np.square(fan.norm).sum())
    return float((np.square(fan.norm) * fan.kept_mass).sum()) / total if total else None


def _neuron_rows(name: str, traced: Trace, fans: Sequence[FanIn], keys: pa.Array) -> pa.Table:
    layers = traced.wiring.layers
    counts = [layer.channels for layer in layers]

    def spread(values: Sequence[Any]) -> list[Any]:
        return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]

    unknown = np.repeat([layer.op == "input" for layer in layers], counts)
    unknown[list(traced.nonfinite)] = True
    norm, fan_in, dropped, mass = (
        np.concatenate([getattr(fan, field) for fan in fans])
        for field in ("norm", "fan_in", "dropped", "kept_mass")
    )
    return table_of(
        "Neuron",
        {
            "key": keys,
            "model": [name] * len(keys),
            "layer": spread([f"{name}/{layer.name}" for layer in layers]),
            "channel": np.concatenate([np.arange(count) for count in counts]),
            "op": spread([layer.op for layer in layers]),
            "label": [
                label for layer in layers for label in layer.labels or (None,) * layer.channels
            ],
            "bias": np.concatenate(traced.biases).astype(np.float64),
            "depth": spread([layer.depth for layer in layers]),
            "fan_in_norm": pa.array(norm, pa.float64(), mask=unknown),
            "fan_in": fan_in,
            "dropped": dropped,
            "kept_mass": pa.array(mass, pa.float64(), mask=unknown),
        },
    )


def write_expanded(
    writer: BundleWriter,
    name: str,
    traced: Trace,
    span: int,
    keep: Pruning,
    device: torch.device,
    report: Progress,
) -> dict[str, int]:
    """Write the `EXPANDED` table of the default spans; returns what was counted."""
    wiring = traced.wiring
    keys = pa.array(neuron_keys(name, wiring), pa.string())
    targets = list(spans(wiring, span))
    waiting: list[Expanded] = []
    written, skipped = 0, 0
    for number, (target, passes) in enumerate(targets):
        try:
            waiting += expand_target(
                wiring, traced.kernels, target, passes, keep=keep, device=device
            )
        except ExpandError:
            skipped += 1
        if sum(len(run.hops) for run in waiting) >= ROW_GROUP or number == len(targets) - 1:
            rows = _expanded_rows(waiting, keys)
            writer.write("EXPANDED", rows)
            written += len(rows)
            waiting = []
        report("expanding", number + 1, len(targets))
    return {"expanded": written, "not_expanded": skipped}


def _expanded_rows(runs: Sequence[Expanded], keys: pa.Array) -> pa.Table:
    def column(field: str) -> np.ndarray:
        return np.concatenate([getattr(run.edges, field) for run in runs] or [np.empty(0)])

    ends = {"from": keys_of(column("sender"), keys), "to": keys_of(column("receiver"), keys)}
    given = {field: column(field) for field in ("weight", "excitation", "share", "rank")}
    own = {
        field: np.concatenate([getattr(run, field) for run in runs] or [np.empty(0)])
        for field in ("hops", "linearised", "cancellation")
    }
    return table_of("EXPANDED", ends | given | own)
