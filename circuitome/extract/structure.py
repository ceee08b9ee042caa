"""Rows that say how layers, blocks and branches hang together; no weights but what pruning did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from circuitome.extract.columns import encoded, keys_of, table_of
from circuitome.extract.edges import Flow, linearised
from circuitome.extract.trace.blocks import Block, Branch
from circuitome.extract.wiring import Link, Wiring
from circuitome.graphdb.bundle_writer import BundleWriter

__all__ = ["LayerPairs", "Structure"]


class LayerPairs:
    """What pruning did to each pair of layers."""

    def __init__(self, wiring: Wiring) -> None:
        self.ends = wiring.offsets[1:]
        self.totals: dict[tuple[int, int], np.ndarray] = {}  # edges, kept, mass, kept mass

    def add(self, receiver: int, flow: Flow) -> None:
        """Add the flow into a run of receivers of one layer."""
        connected = np.flatnonzero(flow.sender >= 0)
        layers = np.searchsorted(self.ends, flow.sender[connected], side="right")
        columns = (flow.edges, flow.kept, flow.mass, flow.kept_mass)
        count = len(self.ends)
        sums = np.stack([np.bincount(layers, column[connected], count) for column in columns])
        for source in np.unique(layers):
            key = (int(source), receiver)
            self.totals[key] = self.totals.get(key, 0) + sums[:, source]

    def of(self, source: int, receiver: int) -> tuple[int, int, float | None]:
        """Kept edges, dropped edges, and the kept share of the squared norm; None for a gate."""
        edges, kept, mass, kept_mass = self.totals.get((source, receiver), np.zeros(4))
        return int(kept), int(edges - kept), float(kept_mass / mass) if mass else None


@dataclass(slots=True)
class _Way:
    """How one layer reaches another, over all links."""

    through: list[str] = field(default_factory=list)
    bent: bool = False

    def add(self, link: Link, bent: bool) -> None:
        names = _names(link)
        if names and names not in self.through:
            self.through.append(names)
        self.bent = self.bent or bent


def _names(link: Link) -> str:
    return ",".join(step.name for step in link.path)


@dataclass(frozen=True, slots=True)
class Structure:
    """Writes the tables of one network's structure."""

    writer: BundleWriter
    name: str
    """Key of the model."""
    wiring: Wiring
    keys: pa.Array
    """Of all neurons."""

    def write(self, blocks: Sequence[Block], pairs: LayerPairs) -> None:
        """Write layers' homes and successors, blocks and branches, and gates."""
        layers = [f"{self.name}/{layer.name}" for layer in self.wiring.layers]
        counts = [layer.channels for layer in self.wiring.layers]
        home = encoded(np.repeat(np.arange(len(counts)), counts), layers)
        self._write("IN_LAYER", {"from": self.keys, "to": home})
        self._write("OF_MODEL", {"from": layers, "to": [self.name] * len(layers)})
        self._write_next(layers, pairs)
        if blocks:
            self._write_blocks(blocks)
            self._write_branches(blocks)
            self._write_in_block(blocks)
        self._write_gates()

    def _write(self, table: str, columns: dict[str, object]) -> None:
        self.writer.write(table, table_of(table, columns))

    def _write_next(self, layers: Sequence[str], pairs: LayerPairs) -> None:
        ways: dict[tuple[int, int], _Way] = {}
        for index, layer in enumerate(self.wiring.layers):
            for link in layer.links:
                way = ways.setdefault((link.source, index), _Way())
                way.add(link, linearised(layer, link))
        pruned = [pairs.of(source, target) for source, target in ways]
        self._write(
            "NEXT",
            {
                "from": [layers[source] for source, _ in ways],
                "to": [layers[target] for _, target in ways],
                "through": ["; ".join(way.through) for way in ways.values()],
                "linearised": [way.bent for way in ways.values()],
                "edges": [kept for kept, _, _ in pruned],
                "dropped": [dropped for _, dropped, _ in pruned],
                "kept_mass": [mass for _, _, mass in pruned],
            },
        )

    def _block_keys(self, blocks: Sequence[Block]) -> list[str]:
        return [f"{self.name}/{block.name}" for block in blocks]

    def _write_blocks(self, blocks: Sequence[Block]) -> None:
        self._write(
            "Block",
            {
                "key": self._block_keys(blocks),
                "model": [self.name] * len(blocks),
                "name": [block.name for block in blocks],
                "join": [block.join for block in blocks],
                "branches": [len(block.branches) for block in blocks],
                "parent": [block.parent and f"{self.name}/{block.parent}" for block in blocks],
            },
        )

    def _write_branches(self, blocks: Sequence[Block]) -> None:
        branches = [branch for block in blocks for branch in block.branches]
        counts = [len(block.branches) for block in blocks]
        homes = np.repeat(self._block_keys(blocks), counts).tolist()
        keys = [f"{home}#{branch.name}" for home, branch in zip(homes, branches, strict=True)]
        columns = {
            "key": keys,
            "model": [self.name] * len(branches),
            "block": homes,
            "name": [branch.name for branch in branches],
            "index": [place for count in counts for place in range(count)],
            "channels": [branch.channels for branch in branches],
        }
        self._write("Branch", columns)
        members = [self._neurons_of(branch) for branch in branches]
        targets = np.repeat(np.arange(len(branches)), [len(each) for each in members])
        ends = {"from": self._keys_of(members), "to": encoded(targets, keys)}
        self._write("IN_BRANCH", ends)

    def _neurons_of(self, branch: Branch) -> np.ndarray:
        offsets = self.wiring.offsets
        runs = [offsets[layer] + np.arange(first, stop) for layer, first, stop in branch.parts]
        return np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)

    def _keys_of(self, runs: Sequence[np.ndarray]) -> pa.Array:
        return keys_of(np.concatenate(runs), self.keys)

    def _write_in_block(self, blocks: Sequence[Block]) -> None:
        """Every channel after the join with its index, every other neuron inside without one."""
        neurons, channels, counts = [], [], []
        for block in blocks:
            neuron = self.wiring.offsets[block.layer] + block.channel
            joined = np.where(block.layer >= 0, neuron, -1)
            places = np.flatnonzero(joined >= 0)
            inside = [self._neurons_of(branch) for branch in block.branches]
            rest = np.setdiff1d(np.concatenate(inside), joined)
            neurons += [joined[places], rest]
            channels += [places, np.full(len(rest), -1)]
            counts.append(len(places) + len(rest))
        channel = np.concatenate(channels)
        columns = {
            "from": self._keys_of(neurons),
            "to": encoded(np.repeat(np.arange(len(blocks)), counts), self._block_keys(blocks)),
            "channel": pa.array(channel, pa.int64(), mask=channel < 0),
        }
        self._write("IN_BLOCK", columns)

    def _write_gates(self) -> None:
        offsets = self.wiring.offsets
        senders, receivers, via = [], [], []
        for index, layer in enumerate(self.wiring.layers):
            gates = [link for link in layer.links if layer.op == "gate" and link.operand == 1]
            for link in gates:
                senders.append(offsets[link.source] + link.channels)
                receivers.append(offsets[index] + link.positions)
                via += [_names(link)] * len(link.channels)
        if senders:
            ends = {"from": self._keys_of(senders), "to": self._keys_of(receivers)}
            self._write("GATES", {**ends, "via": via})
