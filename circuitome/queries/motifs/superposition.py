"""Superposition: a neuron that is spread over several hosts and is the main input of none.

Candidates are ranked by the participation ratio of their shares in their hosts, ``(sum s)^2 / sum s^2``: the effective
number of hosts.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "count", "scores", "twin"]


def twin(
    graph: SignedGraph,
    *,
    strength: float = 2.0,
    polarity: float = 0.2,
    hosts: int = 3,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    into = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    spread = _spread(graph, into, hosts)
    candidates = np.flatnonzero(~np.isnan(spread))
    order = candidates[np.lexsort((candidates, -spread[candidates]))][:limit]
    return [
        instance(
            "superposition",
            graph.model,
            float(spread[feature]),
            {
                "feature": graph.names(np.array([feature])),
                "host": graph.names(np.sort(graph.receiver[into[graph.sender[into] == feature]])),
            },
        )
        for feature in order
    ]


def count(
    graph: SignedGraph, *, strength: float = 2.0, polarity: float = 0.2, hosts: int = 3
) -> int:
    """Number of candidates."""
    into = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    return int((~np.isnan(_spread(graph, into, hosts))).sum())


def scores(
    graph: SignedGraph, *, strength: float = 2.0, polarity: float = 0.2, hosts: int = 3
) -> np.ndarray:
    """Scores of all candidates."""
    into = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    spread = _spread(graph, into, hosts)
    return spread[~np.isnan(spread)]


def _spread(graph: SignedGraph, into: np.ndarray, hosts: int) -> np.ndarray:
    """Effective number of hosts of each neuron, ``(n,)``, rounded to nine digits; NaN where it is no candidate."""
    n = len(graph.keys)
    best = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(best, graph.sender, graph.rank)
    sender, share = graph.sender[into], graph.share[into]
    number = np.bincount(sender, minlength=n)
    total, squares = np.bincount(sender, share, n), np.bincount(sender, share * share, n)
    is_candidate = (best > 1) & (number >= hosts) & (number > 0)
    return np.round(
        np.divide(total * total, squares, out=np.full(n, np.nan), where=is_candidate), 9
    )


MOTIF: Final = Motif(
    "superposition",
    {"feature": ("feature",), "host": ("host",)},
    twin,
    count,
    group="feature",
    scores=scores,
)
