"""Where the neurons of a model lie, branch by branch, and which groups they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.graphdb.bundle import Bundle

__all__ = ["Place", "Places"]

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
        block = {row["key"]: row["block"] for row in bundle.table("Branch").to_pylist()}
        channels = bundle.table("IN_BLOCK").column("channel").to_pylist()
        inside = zip(_ends(bundle, "IN_BLOCK"), channels, strict=True)
        at_end = {ends for ends, channel in inside if channel is not None}
        paths = [
            (branch, n) for n, branch in _ends(bundle, "IN_BRANCH") if (n, block[branch]) in at_end
        ]
        spanning = {
            row["key"]
            for row in bundle.table("Family").to_pylist()
            if row["source"] != "computed" or row["layer"] is None
        }
        families = [(family, n) for n, family in _ends(bundle, "MEMBER_OF") if family in spanning]
        kinds = [(row["kind"], row["key"]) for row in neurons if row["kind"] not in _NO_KINDS]
        ends = {branch: (block[branch], held) for branch, held in _sets(paths, number).items()}
        groups = {"family": _sets(families, number), "kind": _sets(kinds, number)}
        return cls(bundle.model, ends, groups)

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


def _ends(bundle: Bundle, table: str) -> Iterator[tuple[str, str]]:
    """Both ends of each row of a table."""
    rows = bundle.table(table)
    return zip(rows.column("from").to_pylist(), rows.column("to").to_pylist(), strict=True)


def _sets(pairs: Iterable[tuple[str, str]], number: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Group -> its members, ``(n,)`` bool, from pairs of a group and a neuron."""
    found: dict[str, np.ndarray] = {}
    for group, neuron in pairs:
        found.setdefault(group, np.zeros(len(number), bool))[number[neuron]] = True
    return found
