"""Branch clusters: groups of neurons that are concentrated in one branch of a block.

Each group with each branch of a block is tested: the chance that as many of the group or more are
in the branch, were its neurons drawn at random from the block's (hypergeometric), with a false
discovery rate and Bonferroni's bound over all pairs tested (Voss et al., *Branch Specialization*,
Distill 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypedDict, cast

import numpy as np

from circuitome.queries.asks import Asks
from circuitome.queries.motifs.feature_circuit import NO_KINDS
from circuitome.queries.motifs.motif import Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, instance
from circuitome.queries.motifs.places import Place, Places
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
    p = hypergeometric(
        np.array([row["observed"] for row in pairs], np.int64),
        np.array([row["branch_size"] for row in pairs], np.int64),
        special=np.array([row["group_size"] for row in pairs], np.int64),
        total=np.array([row["block_size"] for row in pairs], np.int64),
    ).tolist()
    found = []
    for row, chance, q in zip(pairs, p, benjamini_hochberg(p).tolist(), strict=True):
        if row["score"] > 0:
            roles = {"group": [row["group"]], "branch": [row["branch"]]}
            cluster = instance(MOTIF.kind, model, row["score"], roles, p=chance, q=q, null=NULL)
            cluster["observed"] = row["observed"]
            cluster["group_size"] = row["group_size"]
            cluster["branch_size"] = row["branch_size"]
            cluster["block_size"] = row["block_size"]
            cluster["expected"] = row["group_size"] * row["branch_size"] / row["block_size"]
            cluster["bonferroni"] = min(1.0, chance * len(rows))
            cluster["tests"] = len(rows)
            found.append(cluster)
    return found


def _table(places: Places, *, grouping: str, min_size: int) -> Sequence[QueryRow]:
    """The rows of the query, from arrays alone."""
    rows = [_row(place) for place in places.counts(grouping, min_size=min_size)]
    rows.sort(key=lambda row: (-row["score"], row["group"], row["branch"]))
    return cast("list[QueryRow]", rows)


def _row(place: Place) -> _Cluster:
    """The score: observed less expected in standard deviations; 0 if a group fills its block."""
    block, group, branch = place.block_size, place.group_size, place.branch_size
    expected = 1.0 * group * branch / block
    left_over = 1.0 * (block - branch) / block * (block - group) / (block - 1.0)
    score = 0.0
    if left_over > 0:
        score = round((place.observed - expected) / math.sqrt(expected * left_over), 9)
    return _Cluster(
        group=place.group,
        branch=place.branch,
        block=place.block,
        observed=place.observed,
        group_size=group,
        branch_size=branch,
        block_size=block,
        score=score,
    )


def missing(database: Asks, model: str, *, grouping: str, **_: Value) -> str | None:
    """What a model lacks for this motif and how to get it, in words; None if it has all."""
    if not any(row["meets_by"] != "add" for row in database.ask("branches", model=model)):
        return (
            f"{model} has no branches that meet by concatenation, and no grouped convolutions; "
            "there is nothing to test"
        )
    if grouping == "kind" and not len(database.ask("explained_by_layer", model=model)):
        return NO_KINDS.format(model)
    spanning = [
        row
        for row in database.ask("families", model=model)
        if row["source"] != "computed" or row["layer"] is None
    ]
    if grouping == "family" and not spanning:
        return (
            f"no family of {model} can be in several branches: those that `annotate` finds lie in "
            "one layer each; put curated families into the bundle, or group by kind "
            "(-p grouping=kind)"
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
