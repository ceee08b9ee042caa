"""Kernels that figures show, and expanded ones, as edges of the graph.

Of an edge that several figures show, the kernel is from the figure with most inputs of its
receiver, so that as many of a receiver's kernels as possible have one scale. Doubtful kernels are
left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from circuitome.kernels import part_centres
from circuitome.thread.ground_truth import EARLY_LAYERS, GroundTruth
from circuitome.thread.keys import neuron_key
from circuitome.thread.published import Tile, in_layer

__all__ = ["DecodedKernels", "chosen_tiles", "decoded_edges", "decoded_kernels", "expanded_edges"]

# hops: conv2d2 -> mixed3a -> mixed3b, bottlenecks not counted
_HOW: Final[Mapping[str, object]] = {"hops": 2, "linearised": True}

Row = dict[str, object]


def chosen_tiles(truth: GroundTruth) -> tuple[Tile, ...]:
    """One decoded kernel for each edge inside the graph, in the order of the file."""
    inside = [tile for tile in truth.tiles if tile.flag is None and _is_inside(tile)]
    shown = Counter((tile.receiver, tile.figure) for tile in inside)
    chosen: dict[tuple[str, str], Tile] = {}
    for tile in sorted(inside, key=lambda tile: -shown[tile.receiver, tile.figure]):
        chosen.setdefault((tile.receiver, tile.sender), tile)
    return tuple(tile for tile in inside if chosen[tile.receiver, tile.sender] is tile)


def _is_inside(tile: Tile) -> bool:
    """Whether both ends are units of the early layers: a sender may be a factor over several."""
    for end in (tile.sender, tile.receiver):
        layer, _, channel = end.partition(":")
        if layer not in EARLY_LAYERS or not channel.isdigit():
            return False
    return True


@dataclass(frozen=True, slots=True)
class DecodedKernels:
    """Kernels of every layer of the graph that a figure shows."""

    layers: Mapping[str, np.ndarray]
    """``(neurons, fan-in, 5, 5)`` float32 by the layer's name; zero if no figure shows one."""
    row_of: Mapping[tuple[str, str], int]
    """Row of each edge's kernel among all of them, by sender and receiver."""


def decoded_kernels(truth: GroundTruth, tiles: Sequence[Tile]) -> DecodedKernels:
    """The kernels of the tiles, in the place that each has in its layer."""
    size = tiles[0].kernel.shape
    shown = {truth.branch_of(*in_layer(tile.receiver)).name for tile in tiles}
    layers: dict[str, np.ndarray] = {}
    first_row: dict[str, int] = {}
    rows = 0
    for layer in EARLY_LAYERS:
        for branch in truth.branches[layer]:
            if branch.name in shown:
                shape = (branch.size, truth.fan_in(layer), *size)
                layers[branch.name] = np.zeros(shape, np.float32)
                first_row[branch.name] = rows
                rows += shape[0] * shape[1]
    row_of = {}
    for tile in tiles:
        (layer, channel), (_, sender) = in_layer(tile.receiver), in_layer(tile.sender)
        branch = truth.branch_of(layer, channel)
        place = (channel - branch.start, sender)
        kernels = layers[branch.name]
        kernels[place] = tile.kernel
        row = np.ravel_multi_index(place, kernels.shape[:2])
        row_of[tile.sender, tile.receiver] = first_row[branch.name] + int(row)
    return DecodedKernels(layers, row_of)


def decoded_edges(
    truth: GroundTruth, tiles: Sequence[Tile], row_of: Mapping[tuple[str, str], int]
) -> dict[str, list[Row]]:
    """Rows of ``EXCITES`` and ``INHIBITS``."""
    kernels = np.stack([tile.kernel for tile in tiles]).astype(np.float64)
    columns = _columns(kernels) | _among_inputs([tile.receiver for tile in tiles], kernels)
    tables: dict[str, list[Row]] = {"EXCITES": [], "INHIBITS": []}
    for number, tile in enumerate(tiles):
        ends = {"from": neuron_key(truth, tile.sender), "to": neuron_key(truth, tile.receiver)}
        values = {name: _or_none(column[number].item()) for name, column in columns.items()}
        kernel = {"kernel": row_of[tile.sender, tile.receiver]}
        table = "INHIBITS" if columns["weight"][number] < 0 else "EXCITES"
        tables[table].append({**ends, **values, **kernel})
    return tables


def _columns(kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Properties of edges with kernels ``(n, kh, kw)``, each ``(n,)``."""
    weight, total = kernels.sum((1, 2)), np.abs(kernels).sum((1, 2))
    signed = {
        "weight": weight,
        "excitation": (weight + total) / 2,
        "polarity": weight / total,
    }
    return signed | part_centres(kernels)


def _among_inputs(receivers: Sequence[str], kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Share of each kernel's squared norm in those of its receiver, and its rank from 1."""
    mass = np.square(kernels).sum((1, 2))
    share, rank = np.empty(len(mass)), np.empty(len(mass), np.int64)
    homes = np.array(receivers)
    for receiver in dict.fromkeys(receivers):
        own = np.flatnonzero(homes == receiver)
        share[own] = mass[own] / mass[own].sum()
        rank[own[np.argsort(-mass[own], kind="stable")]] = np.arange(1, len(own) + 1)
    return {"share": share, "rank": rank}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def expanded_edges(truth: GroundTruth) -> list[Row]:
    """Rows of ``EXPANDED``; how far paths cancel is not published, and left empty."""
    expanded = truth.expanded
    mass = np.square(expanded.kernels).sum((2, 3))
    order = np.argsort(-mass, axis=0, kind="stable")
    columns = {
        "weight": expanded.kernels.sum((2, 3)),
        "excitation": np.maximum(expanded.kernels, 0).sum((2, 3)),
        "share": mass / mass.sum(0),
        "rank": np.argsort(order, axis=0) + 1,
    }
    senders = [neuron_key(truth, f"conv2d2:{unit}") for unit in expanded.senders]
    receivers = [neuron_key(truth, f"mixed3b:{unit}") for unit in expanded.receivers]
    values = zip(*(column.ravel().tolist() for column in columns.values()), strict=True)
    return [
        {"from": sender, "to": receiver, **dict(zip(columns, row, strict=True)), **_HOW}
        for (sender, receiver), row in zip(product(senders, receivers), values, strict=True)
    ]
