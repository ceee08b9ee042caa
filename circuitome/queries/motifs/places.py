"""Where the neurons of a model lie, branch by branch, and which groups they belong to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.bundle import Bundle

__all__ = ["Place", "Places", "spans_branches"]

_NO_KINDS: Final = (None, "unexplained", "silent")


@dataclass(frozen=True, slots=True)
class Place:
    """How many neurons of a group are in one branch of a block."""

    group: str  # key of the family, or name of the kind
    branch: str
    block: str
    observed: int  # members of the group at the end of the branch
    group_size: int  # members at the end of the block
    branch_size: int  # neurons that the branch hands to the block's end
    block_size: int  # neurons that all branches hand to it

    @property
    def score(self) -> float:
        """Observed less expected in standard deviations; 0 if a group fills its block."""
        block, group, branch = self.block_size, self.group_size, self.branch_size
        expected = 1.0 * group * branch / block
        left_over = 1.0 * (block - branch) / block * (block - group) / (block - 1.0)
        if left_over <= 0:
            return 0.0
        return round((self.observed - expected) / math.sqrt(expected * left_over), 9)


@dataclass(frozen=True, slots=True)
class Places:
    """The branches and groups of one model; ``n`` neurons."""

    model: str
    ends: Mapping[str, tuple[str, np.ndarray]]
    # branch -> its block, and which neurons it hands to its end, (n,) bool
    groups: Mapping[str, Mapping[str, np.ndarray]]  # grouping -> group -> its members, (n,) bool

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Places:
        """The places that a bundle holds."""
        neurons = bundle.table("Neuron").select(["key", "kind"]).to_pylist()
        number = {row["key"]: place for place, row in enumerate(neurons)}
        spanning = {row["key"] for row in bundle.table("Family").to_pylist() if spans_branches(row)}
        members = _ends(bundle.table("MEMBER_OF"))
        families = [(family, neuron) for neuron, family in members if family in spanning]
        kinds = [(row["kind"], row["key"]) for row in neurons if row["kind"] not in _NO_KINDS]
        groups = {"family": _sets(families, number), "kind": _sets(kinds, number)}
        return cls(bundle.model, _handed_on(bundle, number), groups)

    def counts(self, grouping: str, *, min_size: int) -> Iterator[Place]:
        """One place a group of a block and branch of that block, in no order."""
        for block in {block for block, _ in self.ends.values()}:
            branches = [branch for branch in self.ends if self.ends[branch][0] == block]
            if len(branches) < 2:
                continue
            held = np.stack([self.ends[branch][1] for branch in branches])
            sizes = held.sum(1).tolist()
            for group, members in self.groups[grouping].items():
                observed = (held & members).sum(1).tolist()
                if sum(observed) < max(min_size, 1):
                    continue
                for branch, size, number in zip(branches, sizes, observed, strict=True):
                    yield Place(group, branch, block, number, sum(observed), size, sum(sizes))


def spans_branches(family: Mapping[str, object]) -> bool:
    """Whether a family can be in several branches: those that annotation finds lie in a layer."""
    return family["source"] != "computed" or family["layer"] is None


def _handed_on(bundle: Bundle, number: Mapping[str, int]) -> dict[str, tuple[str, np.ndarray]]:
    """Branch -> its block, and which neurons it hands to its end, ``(n,)`` bool."""
    block = {row["key"]: row["block"] for row in bundle.table("Branch").to_pylist()}
    inside = bundle.table("IN_BLOCK")
    at_end = set(_ends(inside.filter(inside.column("channel").is_valid())))
    paths = _ends(bundle.table("IN_BRANCH"))
    held = [(branch, neuron) for neuron, branch in paths if (neuron, block[branch]) in at_end]
    return {branch: (block[branch], neurons) for branch, neurons in _sets(held, number).items()}


def _ends(rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Both ends of each row of a table."""
    return zip(rows.column("from").to_pylist(), rows.column("to").to_pylist(), strict=True)


def _sets(pairs: Iterable[tuple[str, str]], number: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Group -> its members, ``(n,)`` bool, from pairs of a group and a neuron."""
    found: dict[str, np.ndarray] = {}
    for group, neuron in pairs:
        found.setdefault(group, np.zeros(len(number), bool))[number[neuron]] = True
    return found
