"""Mirrored unions: cases that exclude each other, are one another transformed by response, and are read together.

The union over cases of *Zoom In*, with what the bare six edges leave out: that the cases are copies of each other. Fan-in
cosines are those of the weights; fan-out cosines are those of the effects, weights in units of the receiver's root mean square.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_pairs
from circuitome.queries.motifs.motif import Motif, instance, join

__all__ = ["MOTIF", "count", "cosines_of", "scores", "twin", "united"]


def twin(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    opposed: float = 0.1,
    together: float = 0.2,
    strength: float = 4.0,
    polarity: float = 0.2,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    first, second, score, unions = united(
        graph,
        transform=transform,
        q=q,
        opposed=opposed,
        together=together,
        strength=strength,
        polarity=polarity,
    )
    rows = []
    for place in np.lexsort((second, first, -score))[:limit]:
        roles = {
            "union": graph.names(unions[place]),
            "case": graph.names(np.array([first[place], second[place]])),
        }
        rows.append(instance("mirrored_unions", graph.model, float(score[place]), roles))
    return rows


def count(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    opposed: float = 0.1,
    together: float = 0.2,
    strength: float = 4.0,
    polarity: float = 0.2,
) -> int:
    """Number of pairs."""
    return len(
        united(
            graph,
            transform=transform,
            q=q,
            opposed=opposed,
            together=together,
            strength=strength,
            polarity=polarity,
        )[2]
    )


def scores(
    graph: SignedGraph,
    *,
    transform: str = "flip_h",
    q: float = 0.05,
    opposed: float = 0.1,
    together: float = 0.2,
    strength: float = 4.0,
    polarity: float = 0.2,
) -> np.ndarray:
    """Scores of all pairs."""
    return united(
        graph,
        transform=transform,
        q=q,
        opposed=opposed,
        together=together,
        strength=strength,
        polarity=polarity,
    )[2]


def united(
    graph: SignedGraph,
    *,
    transform: str,
    q: float,
    opposed: float,
    together: float,
    strength: float,
    polarity: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """The pairs as numbers of neurons, their scores to nine digits, and the neurons that unite each, ascending."""
    first, second = graph.partners.of(transform, q=q)
    fan_in = cosines_of(
        graph.receiver, graph.sender, graph.weight, first, second, size=len(graph.keys)
    )
    there = np.round(-fan_in, 9) >= opposed
    first, second, fan_in = first[there], second[there], fan_in[there]
    fan_out = cosines_of(
        graph.sender, graph.receiver, graph.effect, first, second, size=len(graph.keys)
    )
    there = np.round(fan_out, 9) >= together
    first, second, score = (
        first[there],
        second[there],
        np.round(np.minimum(-fan_in, fan_out)[there], 9),
    )
    edges = np.flatnonzero(graph.strong(strength=strength, polarity=polarity) & graph.excites)
    unions = [_common(graph, edges, one, other) for one, other in zip(first, second, strict=True)]
    held = np.array([len(receivers) > 0 for receivers in unions], bool)
    return (
        first[held],
        second[held],
        score[held],
        [receivers for receivers in unions if len(receivers)],
    )


def _common(graph: SignedGraph, edges: np.ndarray, one: int, other: int) -> np.ndarray:
    """Receivers that two neurons share among some edges, ascending."""
    reads = [graph.receiver[edges[graph.sender[edges] == case]] for case in (one, other)]
    return np.intersect1d(reads[0], reads[1])


def cosines_of(
    end: np.ndarray,
    other: np.ndarray,
    value: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    size: int,
) -> np.ndarray:
    """Cosines of what pairs of neurons have at their edges, ``(m,)``; NaN where the two share no neuron at the other end.

    ``end``, ``other``, ``value``: of each edge, ``(e,)``: the neuron that it counts for, the one at its other end, its value.
    ``first``, ``second``: the pairs, ``(m,)``; ``size``: number of neurons.
    """
    norm = np.sqrt(np.bincount(end, value**2, size))
    wanted = np.zeros(size, bool)
    wanted[first] = wanted[second] = True
    edges = np.flatnonzero(wanted[end])
    i, j = join(first, end[edges])
    pair, edge = i, edges[j]
    i, j = join(second[pair] * size + other[edge], end[edges] * size + other[edges])
    both = np.bincount(pair[i], value[edge[i]] * value[edges[j]], len(first))
    shared = np.bincount(pair[i], minlength=len(first)) > 0
    product = norm[first] * norm[second]
    return np.divide(both, product, out=np.full(len(first), np.nan), where=shared & (product > 0))


MOTIF: Final = Motif(
    "mirrored_unions",
    {"union": ("united",), "case": ("case_1", "case_2")},
    twin,
    count,
    group="pair",
    scores=scores,
    null="relabel",
    missing=lacking_pairs,
    evidence="responses",
)
