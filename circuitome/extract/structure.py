"""Rows that say how layers, blocks and branches hang together; no weights but what pruning did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa

from circuitome.extract.columns import encoded, keys_of, table_of
from circuitome.extract.edges import Flow, linearised
from circuitome.extract.trace.blocks import Block, Branch
from circuitome.extract.wiring import Link, Wiring
from circuitome.graphdb import rows
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


def _homes(counts: Iterable[int], keys: Sequence[str]) -> pa.Array:
    """Each key as often as its count says, dictionary-encoded."""
    return encoded(np.repeat(np.arange(len(keys)), [*counts]), keys)


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
        home = _homes((layer.channels for layer in self.wiring.layers), layers)
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
        next_rows = []
        for (source, target), way in self._ways().items():
            edges, dropped, kept_mass = pairs.of(source, target)
            next_rows.append(
                {
                    "from": layers[source],
                    "to": layers[target],
                    "through": "; ".join(way.through),
                    "linearised": way.bent,
                    "edges": edges,
                    "dropped": dropped,
                    "kept_mass": kept_mass,
                }
            )
        self.writer.write("NEXT", rows.table_of("NEXT", next_rows))

    def _ways(self) -> dict[tuple[int, int], _Way]:
        """How layers reach others, by the numbers of both."""
        ways: dict[tuple[int, int], _Way] = {}
        for index, layer in enumerate(self.wiring.layers):
            for link in layer.links:
                way = ways.setdefault((link.source, index), _Way())
                way.add(link, linearised(layer, link))
        return ways

    def _key(self, block: str) -> str:
        return f"{self.name}/{block}"

    def _write_blocks(self, blocks: Sequence[Block]) -> None:
        block_rows = [
            {
                "key": self._key(block.name),
                "model": self.name,
                "name": block.name,
                "join": block.join,
                "branches": len(block.branches),
                "parent": block.parent and self._key(block.parent),
            }
            for block in blocks
        ]
        self.writer.write("Block", rows.table_of("Block", block_rows))

    def _write_branches(self, blocks: Sequence[Block]) -> None:
        branch_rows = [
            {
                "key": f"{self._key(block.name)}#{branch.name}",
                "model": self.name,
                "block": self._key(block.name),
                "name": branch.name,
                "index": place,
                "channels": branch.channels,
            }
            for block in blocks
            for place, branch in enumerate(block.branches)
        ]
        self.writer.write("Branch", rows.table_of("Branch", branch_rows))
        branches = chain.from_iterable(block.branches for block in blocks)
        self._write_in_branch(list(branches), [str(row["key"]) for row in branch_rows])

    def _write_in_branch(self, branches: Sequence[Branch], keys: Sequence[str]) -> None:
        members = [self._neurons_of(branch) for branch in branches]
        homes = _homes(map(len, members), keys)
        self._write("IN_BRANCH", {"from": self._keys_of(members), "to": homes})

    def _neurons_of(self, branch: Branch) -> np.ndarray:
        offsets = self.wiring.offsets
        runs = [offsets[layer] + np.arange(first, stop) for layer, first, stop in branch.parts]
        return np.concatenate([np.empty(0, dtype=np.int64), *runs])

    def _keys_of(self, runs: Sequence[np.ndarray]) -> pa.Array:
        return keys_of(np.concatenate(runs), self.keys)

    def _write_in_block(self, blocks: Sequence[Block]) -> None:
        """Every channel after the join with its index, every other neuron inside without one."""
        members = [self._members(block) for block in blocks]
        neurons, channels = zip(*members, strict=True)
        channel, counts = np.concatenate(channels), map(len, channels)
        columns = {
            "from": self._keys_of(neurons),
            "to": _homes(counts, [self._key(block.name) for block in blocks]),
            "channel": pa.array(channel, pa.int64(), mask=channel < 0),
        }
        self._write("IN_BLOCK", columns)

    def _members(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Neurons of a block, and the channel after the join that each is, or -1."""
        neuron = self.wiring.offsets[block.layer] + block.channel
        joined = np.where(block.layer >= 0, neuron, -1)
        places = np.flatnonzero(joined >= 0)
        inside = [self._neurons_of(branch) for branch in block.branches]
        rest = np.setdiff1d(np.concatenate(inside), joined)
        channels = np.concatenate([places, np.full(len(rest), -1)])
        return np.concatenate([joined[places], rest]), channels

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
