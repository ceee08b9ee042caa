"""Posed pairs: two poses of a feature that each excite their own pose of a later one, and a neuron that unites these."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_pairs
from circuitome.queries.motifs.motif import Motif, instance, join

__all__ = ["MOTIF", "chains", "count", "scores", "twin"]

_ROLES: Final = ("first", "second", "later_first", "later_second", "union")


def twin(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    strength: float = 4.0,
    polarity: float = 0.2,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    *neurons, score = chains(graph, transform=transform, q=q, strength=strength, polarity=polarity)
    order = np.lexsort((*neurons[::-1], -score))[:limit]
    named = zip(
        score[order].tolist(), *(graph.names(column[order]) for column in neurons), strict=True
    )
    return [
        instance(
            "posed_pairs",
            graph.model,
            value,
            {role: [key] for role, key in zip(_ROLES, keys, strict=True)},
        )
        for value, *keys in named
    ]


def count(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    strength: float = 4.0,
    polarity: float = 0.2,
) -> int:
    """Number of instances."""
    return len(scores(graph, transform=transform, q=q, strength=strength, polarity=polarity))


def scores(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    strength: float = 4.0,
    polarity: float = 0.2,
) -> np.ndarray:
    """Scores of all instances."""
    return chains(graph, transform=transform, q=q, strength=strength, polarity=polarity)[-1]


def chains(
    graph: SignedGraph, *, transform: str, q: float, strength: float, polarity: float
) -> tuple[np.ndarray, ...]:
    """The neurons in the order of the roles, as numbers, and the strength of the weakest of the four edges."""
    n, size = len(graph.keys), graph.strength
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    sender, receiver = graph.sender[edges], graph.receiver[edges]
    wired = sender * n + receiver
    first, second = graph.partners.of(transform, q=q)
    either_way = np.concatenate([first, second]), np.concatenate([second, first])
    i, one = join(first, sender)  # a pair, and an edge from its first
    j, partner = join(receiver[one], either_way[0])  # and the partners of what that excites
    pair, one, later = i[j], one[j], either_way[1][partner]
    k, other = join(second[pair] * n + later, wired)  # of which the second excites its own
    pair, one = pair[k], one[k]
    crossed = np.isin(first[pair] * n + receiver[other], wired) | np.isin(
        second[pair] * n + receiver[one], wired
    )
    pair, one, other = pair[~crossed], one[~crossed], other[~crossed]
    i, up = join(
        receiver[one], sender
    )  # what the later first excites, and the later second as well
    j, beside = join(receiver[other[i]] * n + receiver[up], wired)
    pair, one, other, up = pair[i[j]], one[i[j]], other[i[j]], up[j]
    score = np.min(
        [size[edges[place]] for place in (one, other, up, beside)], axis=0, initial=np.inf
    )
    return first[pair], second[pair], receiver[one], receiver[other], receiver[up], score


MOTIF: Final = Motif(
    "posed_pairs",
    {
        **{role: (role,) for role in _ROLES[:-1]},
        "union": ("united",),
    },
    twin,
    count,
    scores=scores,
    null="relabel",
    missing=lacking_pairs,
    evidence="responses",
)
