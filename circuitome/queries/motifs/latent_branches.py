"""Latent branches: layers whose connections fall into two groups, though nothing branches there.

How the groups are found stands in `circuitome.queries.algorithms.branches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from circuitome.queries.algorithms.branches import between, layer_pairs
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Tested
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, tested
from circuitome.significance import benjamini_hochberg

__all__ = ["MOTIF", "NULL", "conclude"]

NULL: Final = "columns"
"""Name of the null model: each sender's norms, balanced, permuted over its receivers."""


def conclude(model: str, rows: Sequence[QueryRow]) -> list[MotifRow]:
    """Motif rows with p and its q, from all rows of the query, which are the pairs tested."""
    p = [cast("float", row["p"]) for row in rows]
    q = benjamini_hochberg(p).tolist()
    found = zip(MOTIF.gather(model, rows), p, q, strict=True)
    return [tested(row, p=chance, q=rate, null=NULL) for row, chance, rate in found]


def _table(graph: SignedGraph, *, members: int, nulls: int, seed: int) -> Sequence[QueryRow]:
    every = len(graph.layers) ** 2
    return layer_pairs(graph, members=members, nulls=nulls, seed=seed, limit=every)


def _count(graph: SignedGraph, *, members: int, **_: int) -> int:
    """Number of pairs of layers that are compared."""
    return sum(1 for _ in between(graph, members=members))


MOTIF: Final = Tested("latent_branches", _table, conclude=conclude, quick_count=_count)
