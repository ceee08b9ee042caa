"""Superposition read back: a neuron spread over several hosts of a layer, and a neuron of the next that recovers it.

How the pairs are found stands in `circuitome.queries.algorithms.read_back`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from circuitome.queries.algorithms.read_back import chains, pairs, read_back
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "conclude", "count", "scores", "twin"]


def conclude(model: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Motif rows from those of the query."""
    return [
        instance(
            "superposition_read_back",
            model,
            row["score"],
            {"feature": [row["feature"]], "host": list(row["hosts"]), "reader": [row["reader"]]},
        )
        for row in rows
    ]


def twin(
    graph: SignedGraph, *, cosine: float = 0.6, hosts: float = 3, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    return conclude(graph.model, pairs(graph, cosine=cosine, hosts=hosts, limit=limit))


def scores(graph: SignedGraph, *, cosine: float = 0.6, hosts: float = 3) -> np.ndarray:
    """Scores of all instances."""
    found = [read_back(chain, cosine=cosine, hosts=hosts).score for chain in chains(graph)]
    return np.concatenate([np.empty(0), *found])


def count(graph: SignedGraph, *, cosine: float = 0.6, hosts: float = 3) -> int:
    """Number of instances."""
    return len(scores(graph, cosine=cosine, hosts=hosts))


MOTIF: Final = Motif(
    "superposition_read_back",
    {"feature": ("feature",), "host": ("hosts",), "reader": ("reader",)},
    twin,
    count,
    scores=scores,
    null="relabel",
    conclude=conclude,
)
