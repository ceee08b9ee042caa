"""Latent branches: a pair of layers whose connections fall into two groups, though nothing branches there.

How the groups are found stands in `circuitome.queries.algorithms.branches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from circuitome.queries.algorithms.branches import ROLES, between, layer_pairs
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance
from circuitome.significance import benjamini_hochberg

__all__ = ["MOTIF", "NULL", "conclude", "count", "twin"]

NULL: Final = "columns"

"""Name of the null model: each sender's norms, balanced, permuted over its receivers."""


def conclude(model: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Motif rows with p and its q, from all rows of the query, which are the pairs tested."""
    q = benjamini_hochberg([row["p"] for row in rows]).tolist()
    return [
        instance(
            "latent_branches",
            model,
            row["score"],
            {role: list(row[role]) for role in ROLES},
            p=row["p"],
        )
        | {"q": value, "null": NULL}
        for row, value in zip(rows, q, strict=True)
    ]


def twin(
    graph: SignedGraph, *, members: int = 8, nulls: int = 99, seed: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    every = layer_pairs(
        graph, members=members, nulls=nulls, seed=seed, limit=len(graph.layers) ** 2
    )
    return conclude(graph.model, every)[:limit]


def count(graph: SignedGraph, *, members: int = 8, nulls: int = 99, seed: int = 0) -> int:
    """Number of pairs of layers that are compared."""
    return sum(1 for _ in between(graph, members=members))


MOTIF: Final = Motif(
    "latent_branches", {role: (role,) for role in ROLES}, twin, count, null=NULL, conclude=conclude
)
