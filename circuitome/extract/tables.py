"""Rows of the bundle's tables: neurons, layers, edges, blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch

from circuitome.extract.edges import (
    Edges,
    FanIn,
    Flow,
    Pruning,
    banding_ratio,
    linearised,
    senders,
    weigh,
)
from circuitome.extract.expanded import Expanded, ExpandError, expand_target, spans
from circuitome.extract.trace.blocks import Block
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.wiring import Layer, Wiring
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import arrow_schema
from circuitome.graphdb.stores import Progress

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
    tables, pairs = _EdgeWriter(writer, dictionary), _Pairs(wiring)
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
        _table("Model", {column: [model[column]] for column in arrow_schema("Model").names}),
    )
    writer.write("Layer", _layer_rows(name, traced, fans))
    writer.write("Neuron", _neuron_rows(name, traced, fans, dictionary))
    _write_structure(writer, name, wiring, dictionary, pairs)
    _write_blocks(writer, name, wiring, traced.blocks, dictionary)
    _write_gates(writer, wiring, dictionary)
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
        given: dict[str, Any] = {end: _keys_of(numbers, self.keys) for end, numbers in ends.items()}
        given |= {
            field.name: columns[field.name][index]
            for field in arrow_schema(name)
            if field.name not in given
        }
        return _table(name, given)


def _keys_of(numbers: np.ndarray, keys: pa.Array) -> pa.Array:
    """Keys of neurons by their numbers, dictionary-encoded with those keys alone that occur:
    row groups stay small.
    """
    used = np.zeros(len(keys), dtype=bool)
    used[numbers.astype(np.int64)] = True
    place = np.cumsum(used) - 1
    dictionary = keys.take(pa.array(np.flatnonzero(used)))
    return pa.DictionaryArray.from_arrays(
        pa.array(place[numbers.astype(np.int64)], pa.int32()), dictionary
    )


def _table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """A table with the schema's columns; those that are not given are null, dictionaries are
    kept.
    """
    schema = arrow_schema(name)
    rows = len(next(iter(columns.values())))
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if isinstance(values, pa.Array):
            arrays.append(values)
        else:
            arrays.append(
                pa.nulls(rows, field.type)
                if values is None
                else pa.array(values, field.type, from_pandas=True)
            )
    return pa.table(arrays, names=schema.names)


def _layer_rows(name: str, traced: Trace, fans: Sequence[FanIn]) -> pa.Table:
    layers = traced.wiring.layers
    ratios = [_banding(traced, layer) for layer in layers]
    weighed = [layer.op in ("conv", "linear") for layer in layers]
    masses = [
        _mass(fan) if layer.op != "input" else None for layer, fan in zip(layers, fans, strict=True)
    ]
    return _table(
        "Layer",
        {
            "key": [f"{name}/{layer.name}" for layer in layers],
            "model": [name] * len(layers),
            "name": [layer.name for layer in layers],
            "op": [layer.op for layer in layers],
            "index": range(len(layers)),
            "depth": [layer.depth for layer in layers],
            "channels": [layer.channels for layer in layers],
            "size": [list(layer.size) for layer in layers],
            **{
                field: [
                    list(getattr(layer, field)) if w else None
                    for layer, w in zip(layers, weighed, strict=True)
                ]
                for field in ("kernel", "stride", "padding", "dilation")
            },
            "groups": [
                layer.groups if w else None for layer, w in zip(layers, weighed, strict=True)
            ],
            "receptive_field": [list(layer.receptive_field) for layer in layers],
            "kept_mass": masses,
            "banding_ratio": ratios,
        },
    )


def _mass(fan: FanIn) -> float | None:
    total = float(np.square(fan.norm).sum())
    return float((np.square(fan.norm) * fan.kept_mass).sum()) / total if total else None


def _banding(traced: Trace, layer: Layer) -> float | None:
    return (
        banding_ratio(torch.as_tensor(traced.kernels[f"kernel/{layer.name}"]))
        if layer.op in ("conv", "linear")
        else None
    )


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
    return _table(
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

    ends = {"from": _keys_of(column("sender"), keys), "to": _keys_of(column("receiver"), keys)}
    given = {field: column(field) for field in ("weight", "excitation", "share", "rank")}
    own = {
        field: np.concatenate([getattr(run, field) for run in runs] or [np.empty(0)])
        for field in ("hops", "linearised", "cancellation")
    }
    return _table("EXPANDED", ends | given | own)


class _Pairs:
    """What pruning did to each pair of layers."""

    def __init__(self, wiring: Wiring) -> None:
        self.ends = wiring.offsets[1:]
        self.totals: dict[tuple[int, int], np.ndarray] = {}  # edges, kept, mass, kept mass

    def add(self, receiver: int, flow: Flow) -> None:
        """Add the flow into a run of receivers of one layer."""
        there = np.flatnonzero(flow.sender >= 0)
        layers = np.searchsorted(self.ends, flow.sender[there], side="right")
        columns = (flow.edges, flow.kept, flow.mass, flow.kept_mass)
        sums = np.stack([np.bincount(layers, column[there], len(self.ends)) for column in columns])
        for source in np.unique(layers):
            key = (int(source), receiver)
            self.totals[key] = self.totals.get(key, 0) + sums[:, source]

    def of(self, source: int, receiver: int) -> tuple[int, int, float | None]:
        """Kept edges, dropped edges, and the kept share of the squared norm; None where there
        is none (a gate).
        """
        edges, kept, mass, kept_mass = self.totals.get((source, receiver), np.zeros(4))
        return int(kept), int(edges - kept), float(kept_mass / mass) if mass else None


def _write_structure(
    writer: BundleWriter, name: str, wiring: Wiring, keys: pa.Array, pairs: _Pairs
) -> None:
    layer_keys = pa.array([f"{name}/{layer.name}" for layer in wiring.layers], pa.string())
    counts = [layer.channels for layer in wiring.layers]
    home = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(counts)), counts), pa.int32()), layer_keys
    )
    writer.write("IN_LAYER", _table("IN_LAYER", {"from": keys, "to": home}))
    writer.write("OF_MODEL", _table("OF_MODEL", {"from": layer_keys, "to": [name] * len(counts)}))
    steps: dict[tuple[int, int], tuple[list[str], bool]] = {}
    for index, layer in enumerate(wiring.layers):
        for link in layer.links:
            through, bent = steps.setdefault((link.source, index), ([], False))
            way = ",".join(step.name for step in link.path)
            if way and way not in through:
                through.append(way)
            steps[link.source, index] = (through, bent or linearised(layer, link))
    rows = {
        "from": [layer_keys[source].as_py() for source, _ in steps],
        "to": [layer_keys[target].as_py() for _, target in steps],
        "through": ["; ".join(through) for through, _ in steps.values()],
        "linearised": [bent for _, bent in steps.values()],
    }
    rows |= dict(
        zip(
            ("edges", "dropped", "kept_mass"),
            zip(*(pairs.of(*pair) for pair in steps), strict=True),
            strict=True,
        )
    )
    writer.write("NEXT", _table("NEXT", rows))


def _write_blocks(
    writer: BundleWriter, name: str, wiring: Wiring, blocks: Sequence[Block], keys: pa.Array
) -> None:
    if not blocks:
        return
    rows = {
        "key": [f"{name}/{block.name}" for block in blocks],
        "model": [name] * len(blocks),
        "name": [block.name for block in blocks],
        "join": [block.join for block in blocks],
        "branches": [len(block.branches) for block in blocks],
        "parent": [block.parent and f"{name}/{block.parent}" for block in blocks],
    }
    writer.write("Block", _table("Block", rows))
    branches = [
        (block, number, branch) for block in blocks for number, branch in enumerate(block.branches)
    ]
    branch_keys = [f"{name}/{block.name}#{branch.name}" for block, _, branch in branches]
    rows = {
        "key": branch_keys,
        "model": [name] * len(branches),
        "block": [f"{name}/{block.name}" for block, _, _ in branches],
        "name": [branch.name for _, _, branch in branches],
        "index": [number for _, number, _ in branches],
        "channels": [branch.channels for _, _, branch in branches],
    }
    writer.write("Branch", _table("Branch", rows))
    in_branch = [
        (wiring.offsets[layer] + np.arange(first, stop), number)
        for number, (_, _, branch) in enumerate(branches)
        for layer, first, stop in branch.parts
    ]
    _write_members(writer, "IN_BRANCH", in_branch, keys, branch_keys)
    _write_in_block(writer, name, wiring, blocks, keys)


def _write_members(
    writer: BundleWriter,
    table: str,
    runs: Sequence[tuple[np.ndarray, int]],
    keys: pa.Array,
    targets: Sequence[str],
) -> None:
    sender = np.concatenate([neurons for neurons, _ in runs]) if runs else np.empty(0)
    target = np.repeat([number for _, number in runs], [len(neurons) for neurons, _ in runs])
    columns = {
        "from": _keys_of(sender, keys),
        "to": pa.DictionaryArray.from_arrays(
            pa.array(target, pa.int32()), pa.array(targets, pa.string())
        ),
    }
    writer.write(table, _table(table, columns))


def _write_in_block(
    writer: BundleWriter, name: str, wiring: Wiring, blocks: Sequence[Block], keys: pa.Array
) -> None:
    """Every channel after the join with its index, and every other neuron inside without one."""
    neurons, targets, channels = [], [], []
    for number, block in enumerate(blocks):
        joined = np.where(block.layer >= 0, wiring.offsets[block.layer] + block.channel, -1)
        places = np.flatnonzero(joined >= 0)
        inside = [
            wiring.offsets[layer] + np.arange(first, stop)
            for b in block.branches
            for layer, first, stop in b.parts
        ]
        rest = np.setdiff1d(np.concatenate(inside), joined)
        neurons += [joined[places], rest]
        channels += [places, np.full(len(rest), -1)]
        targets.append(np.full(len(places) + len(rest), number))
    channel = np.concatenate(channels)
    block_keys = pa.array([f"{name}/{block.name}" for block in blocks], pa.string())
    columns = {
        "from": _keys_of(np.concatenate(neurons), keys),
        "to": pa.DictionaryArray.from_arrays(
            pa.array(np.concatenate(targets), pa.int32()), block_keys
        ),
        "channel": pa.array(channel, pa.int64(), mask=channel < 0),
    }
    writer.write("IN_BLOCK", _table("IN_BLOCK", columns))


def _write_gates(writer: BundleWriter, wiring: Wiring, keys: pa.Array) -> None:
    senders_, receivers, via = [], [], []
    for index, layer in enumerate(wiring.layers):
        for link in layer.links if layer.op == "gate" else ():
            if link.operand == 1:
                senders_.append(wiring.offsets[link.source] + link.channels)
                receivers.append(wiring.offsets[index] + link.positions)
                via += [",".join(step.name for step in link.path)] * len(link.channels)
    if senders_:
        columns = {
            "from": _keys_of(np.concatenate(senders_), keys),
            "to": _keys_of(np.concatenate(receivers), keys),
            "via": via,
        }
        writer.write("GATES", _table("GATES", columns))
