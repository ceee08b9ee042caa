"""Small consistent bundles made by numpy alone: random ones, and ones whose edges are written by
hand.

Every edge is computed from the kernels, as the schema says, so that a test can go either way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import (
    ANNOTATION_PARTS,
    SCHEMA_VERSION,
    TRANSFORM_GROUPS,
    arrow_schema,
)

__all__ = [
    "Plan",
    "annotated",
    "edge_columns",
    "write_bundle",
    "write_planted",
    "write_plans",
    "write_residual",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """One layer of a synthetic network."""

    name: str
    op: str
    channels: int
    sources: tuple[str, ...] = ()  # layers whose channels it reads, concatenated
    kernels: np.ndarray | None = None  # (channels, fan_in, kh, kw) float32; none for the input
    block: str | None = None  # name of the block that it is one branch of


def write_bundle(
    path: str | os.PathLike[str],
    *,
    name: str = "toy",
    layers: Sequence[int] = (3, 8, 8, 4),
    seed: int = 0,
    size: int = 3,
    density: float = 0.9,
    keep: float = 1.0,
    force: bool = False,
) -> Bundle:
    """Write a random bundle and open it.

    ``layers`` counts neurons: layer 0 is ``input``, layer 1 ``conv1``, every later one but the last
    is a block of two branches ``block2.a`` and ``block2.b`` (half of the channels each), the last
    is ``fc`` with 1 x 1 kernels. The others have ``size`` x ``size`` kernels. A share ``density``
    of the kernels is not zero, and the first kernel of ``conv1`` sums to exactly zero. ``keep``
    prunes by kept mass, as the extraction does.
    """
    rng = np.random.default_rng(seed)
    plans = _random_plans(layers, size=size, density=density, rng=rng)
    return _write(path, name, plans, keep=keep, seed=seed, force=force)


def write_planted(
    path: str | os.PathLike[str],
    layers: Mapping[str, int],
    edges: Sequence[tuple[str, str, float | Sequence[Sequence[float]]]],
    *,
    name: str = "planted",
    size: int = 1,
    blocks: Mapping[str, str] | None = None,
    force: bool = False,
) -> Bundle:
    """Write a bundle with exactly the given edges and open it.

    ``layers`` maps a layer's name to its number of neurons, senders before receivers. An edge is
    ``(sender, receiver, kernel)`` with neurons as ``layer:channel`` and a number (put at the
    kernel's centre) or a ``size`` x ``size`` kernel. ``blocks`` maps a layer to the block that it
    is one branch of.

    >>> write_planted(
    ...     path, {"in": 2, "out": 1}, [("in:0", "out:0", 0.5), ("in:1", "out:0", -0.25)]
    ... )  # doctest: +SKIP
    """
    readers: dict[str, dict[str, None]] = {layer: {} for layer in layers}
    for sender, receiver, _ in edges:
        readers[_split(receiver)[0]][_split(sender)[0]] = None
    plans = [
        _planted_plan(
            layer,
            channels,
            [other for other in layers if other in readers[layer]],
            layers,
            edges,
            size,
            blocks or {},
        )
        for layer, channels in layers.items()
    ]
    return _write(path, name, plans, keep=1.0, seed=0, force=force)


def write_plans(
    path: str | os.PathLike[str],
    plans: Sequence[Plan],
    *,
    name: str = "planned",
    force: bool = False,
) -> Bundle:
    """Write a bundle of some layers, senders before receivers, and open it."""
    return _write(path, name, plans, keep=1.0, seed=0, force=force)


def write_residual(
    path: str | os.PathLike[str],
    blocks: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    name: str = "r",
) -> Bundle:
    """Write a residual network of 1 x 1 convolutions, each block's ``(hidden, c)`` and ``(c,
    hidden)`` weights, and open it.

    Layers: ``in``; of each block ``first0``, ``second0`` and the addition ``add0``, which reads the
    writer and what the block reads.
    """
    stream, width = "in", blocks[0][0].shape[1]
    plans = [Plan(stream, "input", width)]
    for place, (first, second) in enumerate(blocks):
        hidden, writer, added = f"first{place}", f"second{place}", f"add{place}"
        both = np.tile(np.eye(width, dtype=np.float32), 2)
        plans += [
            Plan(hidden, "conv", len(first), (stream,), first[:, :, None, None]),
            Plan(writer, "conv", width, (hidden,), second[:, :, None, None]),
            Plan(added, "add", width, (writer, stream), both[:, :, None, None]),
        ]
        stream = added
    return _write(path, name, plans, keep=1.0, seed=0, force=True)


def _split(neuron: str) -> tuple[str, int]:
    layer, channel = neuron.rsplit(":", 1)
    return layer, int(channel)


def _planted_plan(
    layer: str,
    channels: int,
    sources: Sequence[str],
    layers: Mapping[str, int],
    edges: Sequence[tuple[str, str, float | Sequence[Sequence[float]]]],
    size: int,
    blocks: Mapping[str, str],
) -> Plan:
    if not sources:
        return Plan(layer, "input", channels, block=blocks.get(layer))
    start = dict(
        zip(sources, np.cumsum([0] + [layers[source] for source in sources]).tolist(), strict=False)
    )
    kernels = np.zeros(
        (channels, sum(layers[source] for source in sources), size, size), np.float32
    )
    for sender, receiver, kernel in edges:
        if _split(receiver)[0] == layer:
            source, channel = _split(sender)
            place = kernels[_split(receiver)[1], start[source] + channel]
            if isinstance(kernel, int | float):
                place[size // 2, size // 2] = kernel
            else:
                place[:] = kernel
    return Plan(layer, "conv", channels, tuple(sources), kernels, blocks.get(layer))


def _random_plans(
    layers: Sequence[int], *, size: int, density: float, rng: np.random.Generator
) -> list[Plan]:
    plans = [Plan("input", "input", layers[0])]
    tops: list[tuple[str, int]] = [
        ("input", layers[0])
    ]  # layers whose concatenation the next one reads
    for index, channels in enumerate(layers[1:], start=1):
        last = index == len(layers) - 1 and index > 1
        fan_in, names = sum(n for _, n in tops), tuple(name for name, _ in tops)
        block = f"block{index}" if index > 1 and not last else None
        halves = [(channels + 1) // 2, channels // 2] if block else [channels]
        titles = ["fc"] if last else [f"{block}.a", f"{block}.b"] if block else [f"conv{index}"]
        side = 1 if last else size
        for title, half in zip(titles, halves, strict=True):
            kernels = _random_kernels(half, fan_in, side, density, rng)
            if index == 1 and side > 1:
                kernels[0, 0] = 0
                kernels[0, 0, 0, 0], kernels[0, 0, -1, -1] = 0.5, -0.5
            plans.append(Plan(title, "linear" if last else "conv", half, names, kernels, block))
        tops = list(zip(titles, halves, strict=True))
    return plans


def _random_kernels(
    channels: int, fan_in: int, side: int, density: float, rng: np.random.Generator
) -> np.ndarray:
    kernels = rng.standard_normal((channels, fan_in, side, side), dtype=np.float32) / np.float32(
        np.sqrt(fan_in)
    )
    kernels[rng.random((channels, fan_in)) >= density] = 0
    return kernels


def edge_columns(kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the signed edges of one layer, each ``(out, fan_in)``, from ``(out, fan_in, kh,
    kw)`` kernels.

    Beside the schema's columns: ``mass``, the squared norm of each kernel. Centres of an absent
    part are NaN.
    """
    k = kernels.astype(np.float64)
    positive, negative = np.maximum(k, 0), np.maximum(-k, 0)
    excitation, inhibition = positive.sum((2, 3)), negative.sum((2, 3))
    mass = np.square(k).sum((2, 3))
    weight = k.sum((2, 3))
    ys = (np.arange(k.shape[2]) - (k.shape[2] - 1) / 2)[:, None]
    xs = (np.arange(k.shape[3]) - (k.shape[3] - 1) / 2)[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = mass / mass.sum(1, keepdims=True)
        order = np.argsort(-share, axis=1, kind="stable")
        return {
            "weight": weight,
            "excitation": excitation,
            "polarity": (excitation - inhibition) / (excitation + inhibition),
            "share": share,
            "rank": np.argsort(order, axis=1) + 1,
            "ex": (positive * xs).sum((2, 3)) / excitation,
            "ey": (positive * ys).sum((2, 3)) / excitation,
            "ix": (negative * xs).sum((2, 3)) / inhibition,
            "iy": (negative * ys).sum((2, 3)) / inhibition,
            "mass": mass,
        }


class _Net:
    """Everything that the tables of one network are made from."""

    def __init__(self, name: str, plans: Sequence[Plan], keep: float) -> None:
        self.name = name
        self.plans = {plan.name: plan for plan in plans}
        counts = [plan.channels for plan in plans]
        self.start = dict(zip(self.plans, np.cumsum([0, *counts])[:-1].tolist(), strict=True))
        self.keys = [
            f"{name}/{plan.name}:{channel}" for plan in plans for channel in range(plan.channels)
        ]
        self.depth = {plan.name: index / max(1, len(plans) - 1) for index, plan in enumerate(plans)}
        self.columns = {
            plan.name: edge_columns(plan.kernels) for plan in plans if plan.kernels is not None
        }
        self.kept = {layer: _kept(columns, keep) for layer, columns in self.columns.items()}
        self.kernel_rows = [
            (p.name, p.kernels.shape[0] * p.kernels.shape[1])
            for p in plans
            if p.kernels is not None
        ]
        offsets = np.cumsum([0] + [rows for _, rows in self.kernel_rows])
        self.offset = {
            layer: int(offset)
            for (layer, _), offset in zip(self.kernel_rows, offsets, strict=False)
        }

    def senders(self, plan: Plan) -> np.ndarray:
        """Neuron number of each channel that a layer reads, ``(fan_in,)``."""
        return np.concatenate(
            [np.arange(self.plans[s].channels) + self.start[s] for s in plan.sources]
        )


def _kept(columns: Mapping[str, np.ndarray], keep: float) -> np.ndarray:
    connected = columns["mass"] > 0
    if keep >= 1:
        return connected
    order = np.argsort(columns["rank"], axis=1)
    before = np.cumsum(np.take_along_axis(columns["share"], order, 1), axis=1) - np.take_along_axis(
        columns["share"], order, 1
    )
    kept = np.zeros_like(connected)
    np.put_along_axis(kept, order, before < keep, axis=1)
    return kept & connected


def _write(
    path: str | os.PathLike[str],
    name: str,
    plans: Sequence[Plan],
    *,
    keep: float,
    seed: int,
    force: bool,
) -> Bundle:
    net = _Net(name, plans, keep)
    with BundleWriter(path, force=force) as writer:
        for table, rows in (
            *_node_tables(net, keep, seed).items(),
            *_structure_tables(net).items(),
        ):
            writer.write(table, rows)
        for layer in net.columns:
            for table, rows in _edges(net, net.plans[layer]).items():
                writer.write(table, rows)
        for table, rows in _extras(net).items():
            writer.write(table, rows)
        writer.finish(
            model={"key": name, "weights_sha256": f"{seed:064x}"},
            notes={"parameters": {"keep": str(keep), "seed": seed}},
            wiring={
                "layers": [
                    {"name": plan.name, "op": plan.op, "sources": list(plan.sources)}
                    for plan in plans
                ]
            },
            kernels={
                f"kernel/{plan.name}": plan.kernels for plan in plans if plan.kernels is not None
            },
            kernel_rows=net.kernel_rows,
        )
    return Bundle.open(path)


def _table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """A table with the schema's columns; those that are not given are null."""
    schema = arrow_schema(name)
    rows = len(next(iter(columns.values())))
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if isinstance(values, pa.DictionaryArray):
            arrays.append(values)
        elif values is None:
            arrays.append(pa.nulls(rows, field.type))
        elif isinstance(values, np.ndarray) and values.dtype.kind == "f":
            arrays.append(pa.array(values, mask=np.isnan(values)).cast(field.type))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, names=schema.names)


def _rows(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(name))


def _ends(keys: Sequence[str], numbers: np.ndarray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), pa.array(keys))


def _node_tables(net: _Net, keep: float, seed: int) -> dict[str, pa.Table]:
    model = {
        "key": net.name,
        "architecture": "synthetic",
        "weights": "random",
        "weights_sha256": f"{seed:064x}",
        "input_shape": [next(iter(net.plans.values())).channels, 16, 16],
        "mean": [0.5, 0.25],
        "std": [1.0, 2.0],
        "keep": "all" if keep >= 1 else str(keep),
        "seed": seed,
        "schema_version": SCHEMA_VERSION,
        "state": "ready",
    }
    tables = {
        "Model": _rows("Model", [model]),
        "Layer": _rows("Layer", [_layer(net, p, i) for i, p in enumerate(net.plans.values())]),
    }
    blocks, branches = _blocks(net)
    if blocks:
        tables |= {"Block": _rows("Block", blocks), "Branch": _rows("Branch", branches)}
    return tables | {"Neuron": _neurons(net)}


def _layer(net: _Net, plan: Plan, index: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": f"{net.name}/{plan.name}",
        "model": net.name,
        "name": plan.name,
        "op": plan.op,
    }
    row |= {
        "index": index,
        "depth": net.depth[plan.name],
        "channels": plan.channels,
        "size": [16, 16],
    }
    if plan.kernels is None:
        return row
    kept, share = net.kept[plan.name], net.columns[plan.name]["mass"]
    return row | {
        "kernel": list(plan.kernels.shape[2:]),
        "stride": [1, 1],
        "padding": [side // 2 for side in plan.kernels.shape[2:]],
        "dilation": [1, 1],
        "groups": 1,
        "kept_mass": float((share * kept).sum() / max(share.sum(), 1e-30)),
    }


def _blocks(net: _Net) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    members: dict[str, list[Plan]] = {}
    for plan in net.plans.values():
        if plan.block is not None:
            members.setdefault(plan.block, []).append(plan)
    blocks = [
        {
            "key": f"{net.name}/{block}",
            "model": net.name,
            "name": block,
            "join": "concat",
            "branches": len(plans),
        }
        for block, plans in members.items()
    ]
    branches = [
        {
            "key": _branch(net, plan),
            "model": net.name,
            "block": f"{net.name}/{block}",
            "name": plan.name,
            "index": index,
            "channels": plan.channels,
        }
        for block, plans in members.items()
        for index, plan in enumerate(plans)
    ]
    return blocks, branches


def _branch(net: _Net, plan: Plan) -> str:
    return f"{net.name}/{plan.block}#{plan.name.removeprefix(f'{plan.block}.')}"


def _neurons(net: _Net) -> pa.Table:
    tables = []
    for plan in net.plans.values():
        n = plan.channels
        columns: dict[str, Any] = {
            "key": net.keys[net.start[plan.name] : net.start[plan.name] + n],
            "model": [net.name] * n,
            "layer": [f"{net.name}/{plan.name}"] * n,
            "channel": np.arange(n),
            "op": [plan.op] * n,
            "depth": np.full(n, net.depth[plan.name]),
        }
        if plan.kernels is None:
            columns["label"] = [f"input {channel}" for channel in range(n)]
        else:
            mass, kept = net.columns[plan.name]["mass"], net.kept[plan.name]
            total = mass.sum(1)
            columns |= {
                "bias": np.linspace(-0.1, 0.1, n),
                "fan_in_norm": np.sqrt(total),
                "fan_in": (mass > 0).sum(1),
                "dropped": (mass > 0).sum(1) - kept.sum(1),
                "kept_mass": np.divide(
                    (mass * kept).sum(1), total, out=np.ones(n), where=total > 0
                ),
            }
        tables.append(_table("Neuron", columns))
    return pa.concat_tables(tables)


def _structure_tables(net: _Net) -> dict[str, pa.Table]:
    layer_of = [
        (net.keys[net.start[p.name] + c], f"{net.name}/{p.name}")
        for p in net.plans.values()
        for c in range(p.channels)
    ]
    links = [
        (f"{net.name}/{s}", f"{net.name}/{p.name}") for p in net.plans.values() for s in p.sources
    ]
    tables = {
        "IN_LAYER": _rows(
            "IN_LAYER", [{"from": neuron, "to": layer} for neuron, layer in layer_of]
        ),
        "OF_MODEL": _rows(
            "OF_MODEL", [{"from": f"{net.name}/{layer}", "to": net.name} for layer in net.plans]
        ),
        "NEXT": _rows(
            "NEXT", [{"from": a, "to": b, "through": "relu", "linearised": False} for a, b in links]
        ),
    }
    in_block, in_branch, filled = [], [], dict.fromkeys([p.block for p in net.plans.values()], 0)
    for plan in net.plans.values():
        if plan.block is not None:
            keys = net.keys[net.start[plan.name] : net.start[plan.name] + plan.channels]
            block, first = f"{net.name}/{plan.block}", filled[plan.block]
            in_block += [
                {"from": key, "to": block, "channel": first + i} for i, key in enumerate(keys)
            ]
            in_branch += [{"from": key, "to": _branch(net, plan)} for key in keys]
            filled[plan.block] += plan.channels
    if in_block:
        tables |= {
            "IN_BLOCK": _rows("IN_BLOCK", in_block),
            "IN_BRANCH": _rows("IN_BRANCH", in_branch),
        }
    return tables


def _edges(net: _Net, plan: Plan) -> dict[str, pa.Table]:
    columns, kept = net.columns[plan.name], net.kept[plan.name]
    tables = {}
    for table, signed in (("EXCITES", columns["weight"] >= 0), ("INHIBITS", columns["weight"] < 0)):
        receiver, place = np.nonzero(kept & signed)
        values: dict[str, Any] = {
            name: column[receiver, place] for name, column in columns.items() if name != "mass"
        }
        values["from"] = _ends(net.keys, net.senders(plan)[place])
        values["to"] = _ends(net.keys, receiver + net.start[plan.name])
        values["kernel"] = receiver * kept.shape[1] + place + net.offset[plan.name]
        tables[table] = _table(table, values)
    return tables


def _extras(net: _Net) -> dict[str, pa.Table]:
    """Gates along the first block's second branch, and the paths of two hops that end in the last
    layer.
    """
    tables: dict[str, pa.Table] = {}
    gated = [plan for plan in net.plans.values() if plan.block is not None and plan.sources][1:2]
    for plan in gated:
        n = min(2, plan.channels)
        senders = [net.keys[number] for number in net.senders(plan)[:n]]
        receivers = net.keys[net.start[plan.name] : net.start[plan.name] + n]
        rows = [
            {"from": a, "to": b, "via": "sigmoid"} for a, b in zip(senders, receivers, strict=False)
        ]
        tables["GATES"] = _rows("GATES", rows)
        tables["EXPANDED"] = _expanded(net, plan)
    return tables


def _expanded(net: _Net, plan: Plan) -> pa.Table:
    """Paths of two hops into ``plan`` through its first source, channels summed over the kernel."""
    middle = net.plans[plan.sources[0]]
    second = net.columns[plan.name]["weight"][:, : middle.channels]
    first = net.columns[middle.name]["weight"]
    weight, total = second @ first, np.abs(second) @ np.abs(first)
    mass = np.square(weight)
    share = mass / np.maximum(mass.sum(1, keepdims=True), 1e-30)
    receiver, place = np.nonzero(total)
    columns = {
        "weight": weight,
        "excitation": (weight + total) / 2,
        "share": share,
        "rank": np.argsort(np.argsort(-share, axis=1, kind="stable"), axis=1) + 1,
        "cancellation": np.abs(weight) / np.maximum(total, 1e-30),
    }
    values: dict[str, Any] = {name: column[receiver, place] for name, column in columns.items()}
    values["from"] = _ends(net.keys, net.senders(middle)[place])
    values["to"] = _ends(net.keys, receiver + net.start[plan.name])
    values |= {"hops": np.full(len(place), 2), "linearised": [True] * len(place)}
    return _table("EXPANDED", values)


def annotated(bundle: Bundle, *, seed: int = 0) -> Bundle:
    """Amend a synthetic bundle with an annotation of made-up numbers, consistent with itself, and
    open it again.

    Every neuron but the input's has a kind in turn: ``line``, ``curve``, ``unexplained``,
    ``silent``. In every layer of at least four neurons, neurons 0, 1 and 2 are the family ``f0`` at
    0, 90 and 180 degrees with a gap at 270; neurons 0 and 3 are each other's mirror image. Neuron 1
    of every layer is invariant to rotation. One curated family spans two layers.
    """
    rng = np.random.default_rng(seed)
    layers = [row for row in bundle.table("Layer").to_pylist() if row["op"] != "input"]
    neurons = [_described(row, layers, rng) for row in bundle.table("Neuron").to_pylist()]
    wide = [row["key"] for row in layers if row["channels"] >= 4]
    families, members = _families(bundle.model, wide)
    with BundleWriter.amend(bundle) as writer:
        writer.replace(
            "Layer",
            _rows("Layer", [_shares(r, neurons, wide) for r in bundle.table("Layer").to_pylist()]),
        )
        writer.replace("Neuron", _rows("Neuron", neurons))
        writer.replace(
            "EQUIVARIANT_TO",
            _rows("EQUIVARIANT_TO", [pair for key in wide for pair in _pairs(key, rng)]),
        )
        writer.replace("Family", _rows("Family", families))
        writer.replace("MEMBER_OF", _rows("MEMBER_OF", members))
        writer.attach("statistics.bin", rng.bytes(64))
        writer.finish(
            model={"annotated": ",".join(ANNOTATION_PARTS), "twins": 10, "stimuli_sha256": "1" * 64}
        )
    return Bundle.open(bundle.path)


def _described(
    row: dict[str, Any], layers: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """A neuron with everything that an annotation says."""
    home = next((layer for layer in layers if layer["key"] == row["layer"]), None)
    if home is None:
        return row
    kind = ("line", "curve", "unexplained", "silent")[row["channel"] % 4]
    invariance = {f"invariance_{group}": float(rng.uniform(0, 0.5)) for group in TRANSFORM_GROUPS}
    del invariance[
        "invariance_hue_rotate"
    ]  # hue with rotation are pairs of transforms, not one group
    if row["channel"] == 1:
        invariance["invariance_rotate"] = 0.95
    seen = {"mean_response": 0.5, "sd_response": 0.25, "max_response": 4.0, "sparsity": 0.75}
    if kind == "silent":
        return (
            row
            | dict.fromkeys(seen, 0.0)
            | {"sparsity": 1.0, "kind": kind, "explained": 0.0, "p": 1.0, "q": 1.0}
        )
    known = kind != "unexplained"
    preferred = 350.0 if known else None
    return row | seen | invariance | {
        "kind": kind,
        "runner_up": "edge",
        "explained": float(rng.uniform(0.5, 0.9)) if known else 0.05,
        "p": 0.001 if known else 0.6,
        "q": 0.01 if known else 0.8,
        "orientation_deg": float(rng.uniform(0, 180)) if kind == "line" else preferred,
        "frequency": 0.125 if kind == "line" else None,
        "radius_px": 6.0 if kind == "curve" else None,
        "selectivity": float(rng.uniform(0, 1)),
        "selectivity_sd": 0.02,
        "tuned_to": f"{kind if known else 'edge'}: orientation, degrees",
        "tuning_at": [0.0, 45.0, 90.0, 135.0],
        "tuning": [0.0, 0.5, 1.0, 0.25],
        "top_stimuli": ["curve, orientation 45 degrees, radius 12 "
                        "pixels", "line, orientation 45 degrees"],
    }  # fmt: skip


def _shares(
    row: dict[str, Any], neurons: Sequence[Mapping[str, Any]], wide: Sequence[str]
) -> dict[str, Any]:
    """A layer with the shares of its neurons."""
    kinds = [
        neuron["kind"]
        for neuron in neurons
        if neuron["layer"] == row["key"] and neuron["kind"] is not None
    ]
    if not kinds:
        return row
    found = row["key"] in wide
    return row | {
        "effective_receptive_field": [3.5, 3.25],
        "explained": sum(kind not in ("unexplained", "silent") for kind in kinds) / len(kinds),
        "equivariant": 4 / len(kinds) if found else 0.0,
        "in_families": 3 / len(kinds) if found else 0.0,
        "invariant": sum(
            (neuron["invariance_rotate"] or 0) > 0.9
            for neuron in neurons
            if neuron["layer"] == row["key"]
        )
        / len(kinds),
    }


def _pairs(layer: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Equivariant pairs: three by rotation, one by reflection, one by hue with rotation that is no
    finding.
    """
    pairs = [
        (0, 1, "rotate", 90.0, 0.01),
        (0, 2, "rotate", 180.0, 0.01),
        (1, 2, "rotate", 90.0, 0.02),
    ]
    pairs += [(0, 3, "flip_h", 1.0, 0.03), (1, 3, "hue_rotate", 60.0, 0.4)]
    return [
        {
            "from": f"{layer}:{i}",
            "to": f"{layer}:{j}",
            "transform": transform,
            "amount": amount,
            "turn": 90.0 if transform == "hue_rotate" else None,
            "score": float(rng.uniform(0.6, 0.9)),
            "baseline": 0.3,
            "p": q / 10,
            "q": q,
            "evidence": "responses",
        }
        for i, j, transform, amount, q in pairs
    ]


def _families(
    model: str, layers: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of ``Family`` and ``MEMBER_OF``."""
    computed = {"model": model, "group": "rotate", "size": 3, "closure": 1.0, "score": 0.7}
    computed |= {"p": 0.001, "q": 0.02, "source": "computed", "gaps": [270.0]}
    families: list[dict[str, Any]] = [
        {"key": f"{layer}/f0", "layer": layer, **computed} for layer in layers
    ]
    members = [
        {
            "from": f"{layer}:{channel}",
            "to": f"{layer}/f0",
            "offset": 90.0 * channel,
            "offset_sd": 1.5,
        }
        for layer in layers
        for channel in range(3)
    ]
    if len(layers) > 1:
        key = f"{model}/curated:fronts"
        families.append(
            {"key": key, "model": model, "name": "fronts", "size": 2, "source": "curated"}
        )
        members += [
            {"from": f"{layer}:0", "to": key, "offset": 45.0 * i}
            for i, layer in enumerate(layers[:2])
        ]
    return families, members
