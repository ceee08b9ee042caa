"""What the checks of the thread look at, and what they find."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.kernels import part_centres
from circuitome.queries.database import Database
from circuitome.significance import hypergeometric
from circuitome.thread.ground_truth import EARLY_LAYERS, GroundTruth
from circuitome.thread.keys import MODEL, family_key, layer_key, neuron_key
from circuitome.thread.published import in_layer

__all__ = [
    "ALIGNED",
    "P_MAX",
    "CurveTuning",
    "Evidence",
    "Finding",
    "Verdict",
    "apart",
    "cannot_be_checked",
    "direction",
    "verdict",
]

Verdict = Literal["holds", "does not hold", "cannot be checked"]

ALIGNED: Final = 45.0
"""Two directions are alike if they are less than this apart, degrees; opposed beyond 180 less
it.
"""
P_MAX: Final = 0.05
"""Largest p of a count that is taken for more than chance, if an article states no number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    claim: str
    """The claim, in a few words."""
    source: str
    """The article that makes it."""
    published: str
    """The article's own number or wording."""
    measured: str
    """What the facts give; if nothing can be measured, what is missing."""
    verdict: Verdict
    """Whether the claim holds on what was published."""


def verdict(holds: bool) -> Verdict:
    """The word for a claim that could be checked."""
    return "holds" if holds else "does not hold"


def cannot_be_checked(claim: str, source: str, *, published: str, needs: str) -> Finding:
    """The row of a claim that lacks something to be checked."""
    return Finding(claim, source, published, needs, "cannot be checked")


@dataclass(frozen=True, slots=True)
class CurveTuning:
    """What the graph holds of a neuron that was shown curves; ``n`` angles."""

    preferred: float
    """Published angle of the largest response, degrees."""
    angles: np.ndarray
    """``(n,)`` degrees."""
    responses: np.ndarray
    """``(n,)`` activation units."""


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
            block, name = _name(row["branch"]).split("#")
            blocks.setdefault(block, {})[name] = row["channels"]
        return blocks

    @cached_property
    def layer_of(self) -> Mapping[str, str]:
        """Name of the layer of every neuron."""
        rows = self.database.query("neurons", model=MODEL)
        return {row["neuron"]: _name(row["layer"]) for row in rows}

    @cached_property
    def edges(self) -> Mapping[tuple[str, str], float]:
        """Signed sum of every decoded kernel in the graph, by sender and receiver."""
        rows = self.database.query("edges", model=MODEL)
        return {(row["sender"], row["receiver"]): row["weight"] for row in rows}

    @cached_property
    def curves(self) -> Mapping[str, CurveTuning]:
        """The tuning of every neuron of the graph that was shown curves."""
        units = [
            neuron_key(self.truth, f"{layer}:{unit}")
            for layer, tuned in self.truth.tuned.items()
            if layer in EARLY_LAYERS
            for unit in tuned.units
        ]
        return {unit: self._tuning(unit) for unit in units}

    def _tuning(self, neuron: str) -> CurveTuning:
        row = next(iter(self.database.query("annotation", neuron=neuron)))
        angles, responses = np.array(row["tuning_at"]), np.array(row["tuning"])
        return CurveTuning(row["orientation_deg"], angles, responses)

    def members(self, layer: str, title: str) -> tuple[str, ...]:
        """Keys of the members of a curated family."""
        return self.families[family_key(layer, title)]

    def in_branch(self, neurons: Sequence[str], branch: str) -> tuple[int, float]:
        """How many of some neurons of a block are in a branch, and the chance of as many."""
        sizes = next(sizes for sizes in self.branches.values() if branch in sizes)
        inside = Counter(self.layer_of[neuron] for neuron in neurons)[branch]
        total = sum(sizes.values())
        p = hypergeometric(inside, len(neurons), special=sizes[branch], total=total)
        return inside, float(p)

    def block_of(self, neuron: str) -> str:
        """The article's layer of a neuron: the block of its branch, or its own layer."""
        layer = self.layer_of[neuron]
        blocks = (block for block, branches in self.branches.items() if layer in branches)
        return next(blocks, layer)

    def unit(self, neuron: str) -> str:
        """A neuron as the articles write it, `mixed3b:379`, from its key."""
        name, channel = in_layer(_name(neuron))
        block = self.block_of(neuron)
        start = next(each.start for each in self.truth.branches[block] if each.name == name)
        return f"{block}:{start + channel}"

    def kernel(self, sender: str, receiver: str) -> np.ndarray | None:
        """The kernel ``(5, 5)`` of an edge between units, None if no figure shows it.

        From the bundle if the graph has both layers, otherwise from the facts.
        """
        if {in_layer(sender)[0], in_layer(receiver)[0]} <= set(EARLY_LAYERS):
            return self._kernel_of_graph(sender, receiver)
        tile = self.truth.tile(sender, receiver)
        return None if tile is None else tile.kernel.astype(np.float64)

    def _kernel_of_graph(self, sender: str, receiver: str) -> np.ndarray | None:
        ends = neuron_key(self.truth, sender), neuron_key(self.truth, receiver)
        if ends not in self.edges:
            return None
        layer, channel = in_layer(_name(ends[1]))
        kernels = self.bundle.kernels.layer(layer)
        return kernels[channel, in_layer(sender)[1]].astype(np.float64)


def _name(key: str) -> str:
    """A key without its model."""
    return key.removeprefix(layer_key(""))


def apart(one: float, other: float) -> float:
    """Degrees between two directions, 0 to 180."""
    return abs((one - other + 180) % 360 - 180)


def direction(kernel: np.ndarray) -> float:
    """Direction of the centre of a kernel's positive part, degrees clockwise from the right."""
    centre = part_centres(kernel[None])
    return math.degrees(math.atan2(centre["ey"][0], centre["ex"][0]))
