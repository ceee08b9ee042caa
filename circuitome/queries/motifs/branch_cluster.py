"""Branch clusters: groups of neurons that are concentrated in one branch of a block.

Each group with each branch of a block is tested: the chance that as many of the group or more are in the branch, were
its neurons drawn at random from the block's (hypergeometric), with a false discovery rate and Bonferroni's bound over
all pairs tested (Voss et al., *Branch Specialization*, Distill 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.errors import QueryError, near
from circuitome.queries.motifs.motif import Motif, instance
from circuitome.significance import benjamini_hochberg

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["GROUPINGS", "MOTIF", "NULL", "Places", "clusters", "count", "missing", "tail", "twin"]

NULL: Final = "hypergeometric"
"""Name of the null model: the group's neurons drawn at random from the block's."""

GROUPINGS: Final = ("family", "kind")
"""What may make a group."""

_NO_KINDS: Final = (None, "unexplained", "silent")
_COUNTS: Final = ("observed", "group_size", "branch_size", "block_size")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the neurons of one model lie, and which groups they belong to; ``n`` neurons."""

    model: str
    ends: Mapping[
        str, tuple[str, np.ndarray]
    ]  # branch -> its block, and which neurons it hands to its end, (n,) bool
    groups: Mapping[str, Mapping[str, np.ndarray]]  # grouping -> group -> its members, (n,) bool

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Places:
        """The places that a bundle holds."""
        neurons = bundle.table("Neuron").select(["key", "kind"]).to_pylist()
        number = {row["key"]: place for place, row in enumerate(neurons)}
        block = {row["key"]: row["block"] for row in bundle.table("Branch").to_pylist()}
        at_end = {ends[:2] for ends in _pairs(bundle, "IN_BLOCK", "channel") if ends[2] is not None}
        paths = [
            (branch, n) for n, branch in _pairs(bundle, "IN_BRANCH") if (n, block[branch]) in at_end
        ]
        spanning = {
            row["key"]
            for row in bundle.table("Family").to_pylist()
            if row["source"] != "computed" or row["layer"] is None
        }
        families = [(family, n) for n, family in _pairs(bundle, "MEMBER_OF") if family in spanning]
        kinds = [(row["kind"], row["key"]) for row in neurons if row["kind"] not in _NO_KINDS]
        ends = {branch: (block[branch], inside) for branch, inside in _sets(paths, number).items()}
        return cls(
            bundle.model, ends, {"family": _sets(families, number), "kind": _sets(kinds, number)}
        )

    def counts(self, *, grouping: str, min_size: int) -> list[dict[str, Any]]:
        """The rows of the query but for their scores, in no order: one a group of a block and branch of that block."""
        rows = []
        for block in {block for block, _ in self.ends.values()}:
            branches = [branch for branch in self.ends if self.ends[branch][0] == block]
            if len(branches) < 2:
                continue
            inside = np.stack([self.ends[branch][1] for branch in branches])
            sizes = inside.sum(1).tolist()
            for group, members in self.groups[grouping].items():
                observed = (inside & members).sum(1).tolist()
                shared = {
                    "group": group,
                    "block": block,
                    "group_size": sum(observed),
                    "block_size": sum(sizes),
                }
                if sum(observed) >= max(min_size, 1):
                    rows += [
                        shared | {"branch": branch, "branch_size": size, "observed": number}
                        for branch, size, number in zip(branches, sizes, observed, strict=True)
                    ]
        return rows


def tail(
    observed: np.ndarray, group: np.ndarray, branch: np.ndarray, block: np.ndarray
) -> np.ndarray:
    """Chance of at least ``observed`` of a group in a branch (hypergeometric), each ``(m,)`` whole numbers; ``(m,)``.

    ``group`` and ``branch`` are how many of the ``block`` neurons they have.

    >>> tail(np.array([2]), np.array([2]), np.array([2]), np.array([4])).round(
    ...     9
    ... )  # both of the right ones: 1 in 6
    array([0.16666667])
    """
    if not len(observed):
        return np.zeros(0)
    number = np.array([[observed], [group], [branch], [block]], np.int64)[:, 0, :, None]
    seen, group, branch, block = number
    logs = np.array([math.lgamma(n + 1) for n in range(int(block.max()) + 1)])  # of the factorials

    def ways(n: np.ndarray, k: np.ndarray) -> np.ndarray:
        return logs[n] - logs[k] - logs[n - k]

    more = np.arange(int(np.minimum(group, branch).max()) + 1)
    there = (more >= seen) & (more <= np.minimum(group, branch)) & (more >= group + branch - block)
    k = np.where(there, more, np.maximum(0, group + branch - block))
    chance = np.exp(ways(branch, k) + ways(block - branch, group - k) - ways(block, group))
    return np.minimum((chance * there).sum(1), 1.0)


def clusters(model: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Motif rows with p, q and Bonferroni's bound, from all rows of the query, which are the pairs tested.

    Beyond a motif row: ``observed``, ``expected``, ``group_size``, ``branch_size``, ``block_size``, ``bonferroni`` and ``tests``,
    the number of pairs. Only branches that have more of a group than expected.
    """
    p = tail(*(np.array([row[name] for row in rows], np.int64) for name in _COUNTS)).tolist()
    found = []
    for row, chance, q in zip(rows, p, benjamini_hochberg(p).tolist(), strict=True):
        if row["score"] > 0:
            roles = {"group": [row["group"]], "branch": [row["branch"]]}
            counts = {name: row[name] for name in _COUNTS}
            counts["expected"] = row["group_size"] * row["branch_size"] / row["block_size"]
            corrected = {"bonferroni": min(1.0, chance * len(rows)), "tests": len(rows)}
            found.append(
                instance("branch_cluster", model, row["score"], roles, p=chance)
                | {"q": q, "null": NULL}
                | counts
                | corrected
            )
    return found


def twin(
    places: Places, *, grouping: str = "family", min_size: int = 3, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    rows = [
        row | {"score": _score(row)} for row in places.counts(grouping=grouping, min_size=min_size)
    ]
    return clusters(
        places.model, sorted(rows, key=lambda row: (-row["score"], row["group"], row["branch"]))
    )[:limit]


def count(places: Places, *, grouping: str = "family", min_size: int = 3) -> int:
    """Number of branches that have more of a group than expected."""
    return sum(_score(row) > 0 for row in places.counts(grouping=grouping, min_size=min_size))


def missing(database: Database, model: str, *, grouping: str = "family", **_: Any) -> str | None:
    """What a model lacks for this motif and how to get it, in words; none where it has all. `QueryError` for a grouping unknown."""
    if grouping not in GROUPINGS:
        cure = near(grouping, GROUPINGS, otherwise=f"there are {', '.join(GROUPINGS)}")
        raise QueryError(f"branch_cluster: no grouping is called {grouping!r}; {cure}")
    if not any(row["meets_by"] != "add" for row in database.ask("branches", model=model)):
        return f"{model} has no branches that meet by concatenation, and no grouped convolutions; there is nothing to test"
    if grouping == "kind" and not len(database.ask("explained_by_layer", model=model)):
        return f"no neuron of {model} has a kind; `circuitome annotate BUNDLE` measures them, then load the bundle again"
    families = database.ask("families", model=model)
    if grouping == "family" and not any(
        row["source"] != "computed" or row["layer"] is None for row in families
    ):
        return (
            f"no family of {model} can be in several branches: those that `annotate` finds lie in one layer each; "
            "put curated families into the bundle, or group by kind (-p grouping=kind)"
        )
    return None


def _score(row: Mapping[str, Any]) -> float:
    """Observed less expected in standard deviations, rounded to nine digits; 0 where a group fills its block."""
    block, group, branch = row["block_size"], row["group_size"], row["branch_size"]
    expected = 1.0 * group * branch / block
    left_over = 1.0 * (block - branch) / block * (block - group) / (block - 1.0)
    return (
        round((row["observed"] - expected) / math.sqrt(expected * left_over), 9)
        if left_over > 0
        else 0.0
    )


def _pairs(bundle: Bundle, table: str, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Both ends of each row of a table, and further columns."""
    rows = bundle.table(table)
    return zip(*(rows.column(name).to_pylist() for name in ("from", "to", *columns)), strict=True)


def _sets(pairs: Iterable[tuple[str, str]], number: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Group -> its members, ``(n,)`` bool, from pairs of a group and a neuron."""
    found: dict[str, np.ndarray] = {}
    for group, neuron in pairs:
        found.setdefault(group, np.zeros(len(number), bool))[number[neuron]] = True
    return found


MOTIF: Final = Motif(
    "branch_cluster",
    {"group": ("group",), "branch": ("branch",)},
    twin,
    count,
    of_bundle=Places.of_bundle,
    conclude=clusters,
    missing=missing,
    evidence="responses",
)
