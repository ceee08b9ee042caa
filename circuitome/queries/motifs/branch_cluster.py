"""Branch clusters: groups of neurons that are concentrated in one branch of a block.

Each group with each branch of a block is tested: the chance that as many of the group or more are
in the branch, were its neurons drawn at random from the block's (hypergeometric), with a false
discovery rate and Bonferroni's bound over all pairs tested (Voss et al., *Branch Specialization*,
Distill 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, TypedDict, cast

import numpy as np

from circuitome.queries.asks import Asks
from circuitome.queries.motifs.lack import Lack, no_kinds
from circuitome.queries.motifs.motif import Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, instance, tested
from circuitome.queries.motifs.places import Places, spans_branches
from circuitome.significance import benjamini_hochberg, hypergeometric

__all__ = ["GROUPINGS", "MOTIF", "NULL", "clusters", "missing"]

NULL: Final = "hypergeometric"
"""Name of the null model: the group's neurons drawn at random from the block's."""

GROUPINGS: Final = ("family", "kind")
"""What may make a group."""


class _Cluster(TypedDict):
    """A row of the query."""

    group: str
    branch: str
    block: str
    observed: int
    group_size: int
    branch_size: int
    block_size: int
    score: float


def clusters(model: str, rows: Sequence[QueryRow]) -> list[MotifRow]:
    """Motif rows with p, q and Bonferroni's bound, from all rows of the query: the pairs tested.

    Only branches that have more of a group than expected; ``tests`` is the number of pairs.
    """
    pairs = cast("Sequence[_Cluster]", rows)
    counts = np.array([_counts(row) for row in pairs], np.int64).reshape(-1, 4)
    observed, branch, group, block = counts.T
    p = hypergeometric(observed, branch, special=group, total=block).tolist()
    found = zip(pairs, p, benjamini_hochberg(p).tolist(), strict=True)
    return [
        _concluded(model, row, p=chance, q=rate, tests=len(rows))
        for row, chance, rate in found
        if row["score"] > 0
    ]


def _counts(row: _Cluster) -> tuple[int, ...]:
    return row["observed"], row["branch_size"], row["group_size"], row["block_size"]


def _concluded(model: str, row: _Cluster, *, p: float, q: float, tests: int) -> MotifRow:
    roles = {"group": [row["group"]], "branch": [row["branch"]]}
    cluster = tested(instance(MOTIF.kind, model, row["score"], roles), p=p, q=q, null=NULL)
    cluster["observed"] = row["observed"]
    cluster["group_size"] = row["group_size"]
    cluster["branch_size"] = row["branch_size"]
    cluster["block_size"] = row["block_size"]
    cluster["expected"] = row["group_size"] * row["branch_size"] / row["block_size"]
    cluster["bonferroni"] = min(1.0, p * tests)
    cluster["tests"] = tests
    return cluster


def _table(places: Places, *, grouping: str, min_size: int) -> Sequence[QueryRow]:
    """The rows of the query, from arrays alone."""
    found = [
        _Cluster(**asdict(place), score=place.score)
        for place in places.counts(grouping, min_size=min_size)
    ]
    found.sort(key=lambda row: (-row["score"], row["group"], row["branch"]))
    return cast("list[QueryRow]", found)


def missing(database: Asks, model: str, *, grouping: str, **_: Value) -> Lack | None:
    """What a model lacks for this motif and how to get it, in words; None if it has all."""
    if not any(row["meets_by"] != "add" for row in database.ask("branches", model=model)):
        return Lack(
            "branches that meet by concatenation",
            f"{model} has no branches that meet by concatenation, and no grouped convolutions; "
            "there is nothing to test",
        )
    if grouping == "kind" and not len(database.ask("explained_by_layer", model=model)):
        return no_kinds(model)
    families = database.ask("families", model=model)
    if grouping == "family" and not any(spans_branches(row) for row in families):
        return Lack(
            "annotate --families FILE",
            f"no family of {model} can be in several branches: those that `annotate` finds lie in "
            "one layer each; put curated families into the bundle (`circuitome annotate BUNDLE "
            "--families FILE`), or group by kind (-p grouping=kind)",
        )
    return None


MOTIF: Final = Tested(
    "branch_cluster",
    _table,
    of_bundle=Places.of_bundle,
    conclude=clusters,
    needs=missing,
    evidence="responses",
    choices={"grouping": GROUPINGS},
)
