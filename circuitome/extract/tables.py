"""Rows of the bundle's tables of neurons, layers and edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Final

import numpy as np
import pyarrow as pa
import torch

from circuitome.extract.columns import gathered, keys_of, table_of
from circuitome.extract.edges import Edges, FanIn, Flow, Pruning, banding_ratio, senders, weigh
from circuitome.extract.expanded import Expanded, ExpandError, Passes, expand_target, spans
from circuitome.extract.structure import LayerPairs, Structure
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.wiring import SOURCES, Layer
from circuitome.graphdb import rows
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["Tables", "layer_edges"]

ROW_GROUP: Final = 1 << 20  # edges held before they are written


@dataclass(frozen=True)
class Tables:
    """Weighs the edges of one traced network and writes its tables."""

    writer: BundleWriter
    model: Mapping[str, object]
    """The row of the `Model` table."""
    traced: Trace
    keep: Pruning
    device: torch.device
    report: Progress

    @property
    def name(self) -> str:
        """Key of the model."""
        return rows.text(self.model, "key")

    @cached_property
    def keys(self) -> pa.Array:
        """Keys of all neurons, in their order."""
        keys = [
            f"{self.name}/{layer.name}:{channel}"
            for layer in self.traced.wiring.layers
            for channel in range(layer.channels)
        ]
        return pa.array(keys, pa.string())

    def write(self) -> dict[str, int]:
        """Write every table of a bundle but `EXPANDED`; returns what was counted."""
        wiring, blocks = self.traced.wiring, self.traced.blocks
        edges, pairs = _EdgeWriter(self.writer, self.keys), LayerPairs(wiring)
        fans = [self._weighed(index, edges, pairs) for index in range(len(wiring.layers))]
        edges.flush()
        self.writer.write("Model", rows.table_of("Model", [self.model]))
        self.writer.write("Layer", rows.table_of("Layer", self._layer_rows(fans)))
        self.writer.write("Neuron", self._neurons(fans))
        Structure(self.writer, self.name, wiring, self.keys).write(blocks, pairs)
        return {
            "layers": len(wiring.layers),
            "neurons": len(self.keys),
            "edges": edges.count,
            "dropped": int(sum(fan.dropped.sum() for fan in fans)),
            "blocks": len(blocks),
        }

    def _weighed(self, index: int, writer: _EdgeWriter, pairs: LayerPairs) -> FanIn:
        """What pruning did to the neurons of a layer, whose edges and flows are handed on."""
        layers = self.traced.wiring.layers
        fans = []
        for edges, fan, flow in layer_edges(self.traced, index, self.keep, self.device):
            writer.add(edges)
            fans.append(fan)
            pairs.add(index, flow)
        self.report("weighing", index + 1, len(layers))
        if not fans:
            return _no_fan_in(layers[index].channels)
        return FanIn(**gathered(fans, FanIn.__dataclass_fields__))

    def _layer_rows(self, fans: Sequence[FanIn]) -> Iterator[dict[str, object]]:
        for index, (layer, fan) in enumerate(zip(self.traced.wiring.layers, fans, strict=True)):
            yield {
                "key": f"{self.name}/{layer.name}",
                "model": self.name,
                "name": layer.name,
                "op": layer.op,
                "index": index,
                "depth": layer.depth,
                "channels": layer.channels,
                "size": layer.size,
                "receptive_field": layer.receptive_field,
                "kept_mass": None if layer.op in SOURCES else _mass(fan),
                **self._window(layer),
            }

    def _window(self, layer: Layer) -> dict[str, object]:
        """What the row of a convolution or linear layer says besides."""
        if layer.op not in ("conv", "linear"):
            return {}
        kernel = torch.as_tensor(self.traced.kernels[f"kernel/{layer.name}"])
        return {
            "kernel": layer.kernel,
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
            "groups": layer.groups,
            "banding_ratio": banding_ratio(kernel),
        }

    def _neurons(self, fans: Sequence[FanIn]) -> pa.Table:
        wiring, layers = self.traced.wiring, self.traced.wiring.layers
        columns = {
            "key": self.keys,
            "model": [self.name] * len(self.keys),
            "layer": wiring.spread([f"{self.name}/{layer.name}" for layer in layers]),
            "channel": np.concatenate([np.arange(layer.channels) for layer in layers]),
            "op": wiring.spread([layer.op for layer in layers]),
            "label": list(chain.from_iterable(map(_labels, layers))),
            "bias": np.concatenate(self.traced.biases).astype(np.float64),
            "depth": wiring.spread([layer.depth for layer in layers]),
        }
        return table_of("Neuron", columns | self._fan_in(fans))

    def _fan_in(self, fans: Sequence[FanIn]) -> dict[str, object]:
        """What pruning did to each neuron; unknown where nothing finite comes in."""
        wiring, fan = self.traced.wiring, gathered(fans, FanIn.__dataclass_fields__)
        unknown = wiring.spread([layer.op in SOURCES for layer in wiring.layers])
        unknown[list(self.traced.nonfinite)] = True
        return {
            "fan_in_norm": pa.array(fan["norm"], pa.float64(), mask=unknown),
            "fan_in": fan["fan_in"],
            "dropped": fan["dropped"],
            "kept_mass": pa.array(fan["kept_mass"], pa.float64(), mask=unknown),
        }

    def write_expanded(self, span: int) -> dict[str, int]:
        """Write the `EXPANDED` table of the default spans; returns what was counted."""
        targets = list(spans(self.traced.wiring, span))
        waiting: list[Expanded] = []
        written, skipped = 0, 0
        for number, (target, passes) in enumerate(targets, start=1):
            try:
                waiting += self._expanded(target, passes)
            except ExpandError:
                skipped += 1
            if sum(len(run.hops) for run in waiting) >= ROW_GROUP or number == len(targets):
                table = _expanded_rows(waiting, self.keys)
                self.writer.write("EXPANDED", table)
                written += len(table)
                waiting = []
            self.report("expanding", number, len(targets))
        return {"expanded": written, "not_expanded": skipped}

    def _expanded(self, target: int, passes: Passes) -> Iterator[Expanded]:
        wiring, kernels = self.traced.wiring, self.traced.kernels
        return expand_target(wiring, kernels, target, passes, keep=self.keep, device=self.device)


def layer_edges(
    traced: Trace, index: int, keep: Pruning, device: torch.device
) -> Iterator[tuple[Edges, FanIn, Flow]]:
    """Edges of one layer of a traced network, in runs of receivers; none for the input."""
    wiring, layer = traced.wiring, traced.wiring.layers[index]
    if layer.op in SOURCES:
        return
    kernel = torch.as_tensor(traced.kernels[f"kernel/{layer.name}"])
    kernel = kernel if device.type == "mps" else kernel.to(device)  # MPS has no float64
    sources = senders(wiring, layer, traced.kernels)
    receivers, first_row = int(wiring.offsets[index]), int(wiring.row_offsets[index])
    yield from weigh(kernel, sources, receivers=receivers, rows=first_row, keep=keep)


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
        columns = gathered(self.waiting, Edges.__dataclass_fields__)
        inhibits = columns["inhibits"].astype(bool)
        signs = np.flatnonzero(~inhibits), np.flatnonzero(inhibits)
        with ThreadPoolExecutor(2) as pool:  # each table has its own file
            list(pool.map(self._write, ("EXCITES", "INHIBITS"), signs, repeat(columns)))
        self.waiting, self.rows = [], 0

    def _write(self, name: str, index: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        taken = {field: column[index] for field, column in columns.items()}
        self.writer.write(name, table_of(name, taken | _ends(taken, self.keys)))


def _ends(columns: Mapping[str, np.ndarray], keys: pa.Array) -> dict[str, pa.Array]:
    """Keys of the senders and receivers that edges have by number."""
    return {"from": keys_of(columns["sender"], keys), "to": keys_of(columns["receiver"], keys)}


def _expanded_rows(runs: Sequence[Expanded], keys: pa.Array) -> pa.Table:
    names = ("sender", "receiver", "weight", "excitation", "share", "rank")
    edges = gathered([run.edges for run in runs], names)
    own = gathered(runs, ("hops", "linearised", "cancellation"))
    return table_of("EXPANDED", edges | own | _ends(edges, keys))


def _labels(layer: Layer) -> Sequence[str | None]:
    """Names of a layer's channels, as far as they have names."""
    return layer.labels or (None,) * layer.channels


def _mass(fan: FanIn) -> float | None:
    total = float(np.square(fan.norm).sum())
    return float((np.square(fan.norm) * fan.kept_mass).sum()) / total if total else None
