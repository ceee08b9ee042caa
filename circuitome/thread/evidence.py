"""What the checks of the thread look at, what they find, and the two exact tests that they use."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database
from circuitome.thread.ground_truth import EARLY_LAYERS, GroundTruth
from circuitome.thread.inception import MODEL, family_key, neuron_key, part_centres

__all__ = [
    "ALIGNED",
    "LEVEL",
    "Evidence",
    "Finding",
    "Verdict",
    "apart",
    "binomial",
    "direction",
    "hypergeometric",
    "verdict",
]

Verdict = Literal["holds", "does not hold", "cannot be checked"]

ALIGNED: Final = 45.0
"""Two directions are alike where they are less than this apart, degrees; opposed beyond 180 less this."""
LEVEL: Final = 0.05
"""Chance that a significant count is none, where an article states no number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    claim: str
    """What is said, in a few words."""
    source: str
    """The article that says it."""
    published: str
    """The article's own number or wording."""
    measured: str
    """What the facts give; where nothing can be measured, what is missing."""
    verdict: Verdict
    """Whether the claim holds on what was published."""


@dataclass(frozen=True)
class Evidence:
    """What the checks look at."""

    truth: GroundTruth
    """The published facts."""
    bundle: Bundle
    """The bundle of `write_inception`, for its kernels."""
    database: Database
    """A database that holds this bundle."""

    @cached_property
    def families(self) -> Mapping[str, tuple[str, ...]]:
        """Keys of the members of each family, by the family's key."""
        members: dict[str, list[str]] = {}
        for row in self.database.query("families", model=MODEL):
            members.setdefault(row["family"], []).append(row["neuron"])
        return {family: tuple(neurons) for family, neurons in members.items()}

    @cached_property
    def branches(self) -> Mapping[str, Mapping[str, int]]:
        """Channels of each branch, by the names of its block and of its last layer."""
        blocks: dict[str, dict[str, int]] = {}
        for row in self.database.query("branches", model=MODEL):
            block, name = row["branch"].removeprefix(f"{MODEL}/").split("#")
            blocks.setdefault(block, {})[name] = row["channels"]
        return blocks

    @cached_property
    def layer_of(self) -> Mapping[str, str]:
        """Name of the layer of every neuron."""
        rows = self.database.query("neurons", model=MODEL)
        return {row["neuron"]: row["layer"].removeprefix(f"{MODEL}/") for row in rows}

    @cached_property
    def edges(self) -> Mapping[tuple[str, str], float]:
        """Signed sum of every decoded kernel in the graph, by sender and receiver."""
        return {
            (row["sender"], row["receiver"]): row["weight"]
            for row in self.database.query("edges", model=MODEL)
        }

    @cached_property
    def curves(self) -> Mapping[str, Mapping[str, Any]]:
        """The annotation of every neuron that was shown curves."""
        keys = [
            neuron_key(self.truth, f"{layer}:{unit}")
            for layer, tuned in self.truth.tuned.items()
            if layer in EARLY_LAYERS
            for unit in tuned.units
        ]
        return {key: next(iter(self.database.query("annotation", neuron=key))) for key in keys}

    def members(self, layer: str, title: str) -> tuple[str, ...]:
        """Keys of the members of a curated family."""
        return self.families[family_key(layer, title)]

    def by_branch(self, neurons: Sequence[str]) -> Counter[str]:
        """How many of the neurons each branch has."""
        return Counter(self.layer_of[neuron] for neuron in neurons)

    def in_branch(self, neurons: Sequence[str], branch: str) -> tuple[int, float]:
        """How many of some neurons of a block are in a branch, and the chance of as many (hypergeometric)."""
        sizes = next(branches for branches in self.branches.values() if branch in branches)
        inside = self.by_branch(neurons)[branch]
        return inside, hypergeometric(
            inside, len(neurons), special=sizes[branch], total=sum(sizes.values())
        )

    def block_of(self, neuron: str) -> str:
        """The article's layer of a neuron: the block of its branch, or its own layer."""
        layer = self.layer_of[neuron]
        return next(
            (block for block, branches in self.branches.items() if layer in branches), layer
        )

    def unit(self, neuron: str) -> str:
        """A neuron as the articles write it, `mixed3b:379`, from its key."""
        name, _, channel = neuron.removeprefix(f"{MODEL}/").rpartition(":")
        block = self.block_of(neuron)
        start = next(branch.start for branch in self.truth.branches[block] if branch.name == name)
        return f"{block}:{start + int(channel)}"

    def kernel(self, sender: str, receiver: str) -> np.ndarray | None:
        """The kernel ``(5, 5)`` of an edge between units such as `mixed3a:147`, None where no figure shows it.

        From the bundle where the graph has the edge, otherwise from the facts: later layers are not in the graph.
        """
        ends = [end.partition(":")[0] in EARLY_LAYERS for end in (sender, receiver)]
        if not all(ends):
            tile = self.truth.tile(sender, receiver)
            return None if tile is None else tile.kernel.astype(np.float64)
        keys = neuron_key(self.truth, sender), neuron_key(self.truth, receiver)
        if keys not in self.edges:
            return None
        layer, _, channel = keys[1].removeprefix(f"{MODEL}/").rpartition(":")
        return self.bundle.kernels.layer(layer)[int(channel), int(sender.partition(":")[2])].astype(
            np.float64
        )


def hypergeometric(found: int, drawn: int, *, special: int, total: int) -> float:
    """Chance that ``drawn`` of ``total`` things hold at least ``found`` of the ``special`` ones.

    >>> hypergeometric(2, 2, special=2, total=4)  # both of the two right ones among four: 1 in 6
    0.16666666666666666
    """
    ways = sum(
        math.comb(special, k) * math.comb(total - special, drawn - k)
        for k in range(found, min(drawn, special) + 1)
    )
    return ways / math.comb(total, drawn)


def binomial(found: int, tries: int) -> float:
    """Chance of at least ``found`` heads in ``tries`` throws of a fair coin.

    >>> binomial(3, 3)
    0.125
    """
    return sum(math.comb(tries, k) for k in range(found, tries + 1)) / 2**tries


def verdict(holds: bool) -> Verdict:
    """The word for a claim that could be checked."""
    return "holds" if holds else "does not hold"


def apart(one: float, other: float) -> float:
    """Degrees between two directions, 0 to 180."""
    return abs((one - other + 180) % 360 - 180)


def direction(kernel: np.ndarray) -> float:
    """Direction of the centre of a kernel's positive part, degrees clockwise from the right: as the articles draw angles."""
    centre = part_centres(kernel[None])
    return math.degrees(math.atan2(centre["ey"][0], centre["ex"][0]))
