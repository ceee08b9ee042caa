"""Residual bypass: a neuron of the residual stream that hears another through the addition more than through the block.

With ``U`` the weights from the source to the block's hidden neurons, ``V`` those from there to the writer, and the target
reading both the source and the writer, the block's part is the sum over hidden neurons of ``U V``, times the writer's
weight in the addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance, join

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["MOTIF", "Bypasses", "bypasses", "count", "missing", "scores", "twin"]


@dataclass(frozen=True, slots=True)
class Bypasses:
    """Instances as numbers of neurons, each ``(m,)``."""

    source: np.ndarray
    target: np.ndarray
    writer: np.ndarray
    bypass: np.ndarray  # weight of the way through the addition
    block: np.ndarray  # summed weight of the ways through the block
    score: np.ndarray  # part of the bypass, rounded to nine digits


def bypasses(graph: SignedGraph, *, min_score: float) -> Bypasses:
    """All instances, in no order."""
    adds, convolves = graph.op == "add", graph.op == "conv"
    added = np.flatnonzero(adds[graph.receiver])
    one, other = join(graph.receiver[added], graph.receiver[added])
    past, last = added[one], added[other]
    there = convolves[graph.sender[last]] & (graph.sender[past] != graph.sender[last])
    past, last = past[there], last[there]
    n = len(graph.keys)
    # the ways into each writer, and of those the ones that begin at the source
    into, number = np.unique(graph.sender[last], return_inverse=True)
    second = np.flatnonzero(np.isin(graph.receiver, into))
    i, j = join(number, np.searchsorted(into, graph.receiver[second]))
    place, first = _found(graph, graph.sender[past[i]] * n + graph.sender[second[j]])
    i, j = i[place], j[place]
    product = graph.weight[first] * graph.weight[second[j]] * graph.weight[last[i]]
    block = np.bincount(i, product, len(past))
    wired = np.bincount(i, minlength=len(past)) > 0
    bypass = graph.weight[past]
    size = np.abs(bypass)
    total = size + np.abs(block)
    score = np.round(np.divide(size, total, out=np.zeros_like(size), where=total > 0), 9)
    kept = np.flatnonzero(wired & (total > 0) & (score >= min_score))
    return Bypasses(
        graph.sender[past[kept]],
        graph.receiver[past[kept]],
        graph.sender[last[kept]],
        bypass[kept],
        block[kept],
        score[kept],
    )


def _found(graph: SignedGraph, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the wanted ``sender * n + receiver`` are edges, and their edges."""
    if not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ends = graph.sender * len(graph.keys) + graph.receiver
    order = np.argsort(ends)
    place = np.minimum(np.searchsorted(ends, wanted, sorter=order), max(len(ends) - 1, 0))
    edge = order[place]
    there = np.flatnonzero(ends[edge] == wanted)
    return there, edge[there]


def twin(graph: SignedGraph, *, min_score: float = 0.5, limit: int = 100) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    found = bypasses(graph, min_score=min_score)
    order = np.lexsort((found.writer, found.source, found.target, -found.score))[:limit]
    ends = (graph.names(column[order]) for column in (found.source, found.target, found.writer))
    return [
        instance(
            "residual_bypass", graph.model, score, {"source": [s], "target": [t], "writer": [w]}
        )
        for score, s, t, w in zip(found.score[order].tolist(), *ends, strict=True)
    ]


def count(graph: SignedGraph, *, min_score: float = 0.5) -> int:
    """Number of instances."""
    return len(scores(graph, min_score=min_score))


def scores(graph: SignedGraph, *, min_score: float = 0.5) -> np.ndarray:
    """Scores of all instances."""
    return bypasses(graph, min_score=min_score).score


def missing(database: Database, model: str, **_: Any) -> str | None:
    """What a model lacks for this motif, in words; none where it has all."""
    if any(row["op"] == "add" for row in database.ask("layers", model=model)):
        return None
    return f"{model} has no residual additions; there is nothing to pass a block by"


MOTIF: Final = Motif(
    "residual_bypass",
    {"source": ("source",), "target": ("target",), "writer": ("writer",)},
    twin,
    count,
    scores=scores,
    null="relabel",
    missing=missing,
)
