"""Residual bypass: a neuron that reads another more through the addition than through the block.

With ``U`` the weights from the source to the block's hidden neurons, ``V`` those from there to the
writer, and the target reading both the source and the writer, the block's part is the sum over
hidden neurons of ``U V``, times the writer's weight in the addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.arrays import quotient
from circuitome.queries.asks import Asks
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack
from circuitome.queries.motifs.motif import Instances, Motif, Value, join

__all__ = ["MOTIF", "Bypasses", "bypasses", "find", "missing"]


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
    past, last = _additions(graph)
    i, product = _through_block(graph, past, last)
    block = np.bincount(i, product, len(past))
    bypass = graph.weight[past]
    total = np.abs(bypass) + np.abs(block)
    score = np.round(quotient(np.abs(bypass), total), 9)
    wired = np.bincount(i, minlength=len(past)) > 0
    kept = np.flatnonzero(wired & (total > 0) & (score >= min_score))
    ends = graph.sender[past[kept]], graph.receiver[past[kept]], graph.sender[last[kept]]
    return Bypasses(*ends, bypass[kept], block[kept], score[kept])


def _additions(graph: SignedGraph) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of edges into one addition: one from any source, and one from a writer, ``(m,)``."""
    added = np.flatnonzero((graph.op == "add")[graph.receiver])
    one, other = join(graph.receiver[added], graph.receiver[added])
    past, last = added[one], added[other]
    written = (graph.op == "conv")[graph.sender[last]]
    written &= graph.sender[past] != graph.sender[last]
    return past[written], last[written]


def _through_block(
    graph: SignedGraph, past: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ways through the block beside edges ``past`` that end in edges ``last``, both ``(m,)``.

    Returns the number of the edge, and the product of the weights of each way.
    """
    # the ways into each writer, and of those the ones that begin at the source
    into, number = np.unique(graph.sender[last], return_inverse=True)
    second = np.flatnonzero(np.isin(graph.receiver, into))
    i, j = join(number, np.searchsorted(into, graph.receiver[second]))
    wanted = graph.sender[past[i]] * len(graph.keys) + graph.sender[second[j]]
    way, first = _found(graph, wanted)
    i, j = i[way], j[way]
    return i, graph.weight[first] * graph.weight[second[j]] * graph.weight[last[i]]


def _found(graph: SignedGraph, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the wanted ``sender * n + receiver`` are edges, and their edges."""
    if not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ends = graph.sender * len(graph.keys) + graph.receiver
    order = np.argsort(ends)
    place = np.minimum(np.searchsorted(ends, wanted, sorter=order), max(len(ends) - 1, 0))
    edge = order[place]
    known = np.flatnonzero(ends[edge] == wanted)
    return known, edge[known]


def find(graph: SignedGraph, *, min_score: float) -> Instances:
    """Target, source and writer; the score is the part of the bypass, to nine digits."""
    found = bypasses(graph, min_score=min_score)
    roles = {"target": found.target, "source": found.source, "writer": found.writer}
    return Instances(roles, found.score)


def missing(database: Asks, model: str, **_: Value) -> Lack | None:
    """What a model lacks for this motif, in words; None if it has all."""
    if any(row["op"] == "add" for row in database.ask("layers", model=model)):
        return None
    reason = f"{model} has no residual additions; there is nothing to pass a block by"
    return Lack("residual additions", reason)


MOTIF: Final = Motif("residual_bypass", find, null="relabel", needs=missing)
