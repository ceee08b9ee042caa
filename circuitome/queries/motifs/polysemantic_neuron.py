"""Polysemantic neurons: strong inputs that fall into two groups which have nothing to do with each other.

With the fan-ins of a neuron's inputs as columns of norm one, their cosines say how alike the inputs are. Two seeds, the
strongest input and the strongest that is unlike it, gather a group each.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs.motif import Motif, instance

__all__ = ["MOTIF", "count", "neurons", "scores", "twin"]

_NOWHERE: Final = np.iinfo(np.int64).max


def twin(
    graph: SignedGraph,
    *,
    strength: float = 2.0,
    polarity: float = 0.2,
    alike: float = 0.3,
    apart: float = 0.1,
    min_inputs: int = 3,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    found = neurons(
        graph, strength=strength, polarity=polarity, alike=alike, apart=apart, min_inputs=min_inputs
    )
    found.sort(key=lambda item: (-item[1], item[0]))
    return [
        instance(
            "polysemantic_neuron",
            graph.model,
            score,
            {
                "neuron": graph.names(np.array([neuron])),
                "group_1": graph.names(first),
                "group_2": graph.names(second),
            },
        )
        for neuron, score, first, second in found[:limit]
    ]


def count(
    graph: SignedGraph,
    *,
    strength: float = 2.0,
    polarity: float = 0.2,
    alike: float = 0.3,
    apart: float = 0.1,
    min_inputs: int = 3,
) -> int:
    """Number of instances."""
    return len(
        neurons(
            graph,
            strength=strength,
            polarity=polarity,
            alike=alike,
            apart=apart,
            min_inputs=min_inputs,
        )
    )


def scores(
    graph: SignedGraph,
    *,
    strength: float = 2.0,
    polarity: float = 0.2,
    alike: float = 0.3,
    apart: float = 0.1,
    min_inputs: int = 3,
) -> np.ndarray:
    """Scores of all instances."""
    found = neurons(
        graph, strength=strength, polarity=polarity, alike=alike, apart=apart, min_inputs=min_inputs
    )
    return np.array([score for _, score, _, _ in found])


def neurons(
    graph: SignedGraph,
    *,
    strength: float,
    polarity: float,
    alike: float,
    apart: float,
    min_inputs: int,
) -> list[tuple[int, float, np.ndarray, np.ndarray]]:
    """Each neuron with its score, to nine digits, and both groups, all as numbers of neurons."""
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    fans = {fan.layer: fan for fan in graph.fans()}
    likeness: dict[
        tuple[int, ...], np.ndarray
    ] = {}  # layers that are read together -> cosines of their neurons
    found = []
    for fan in fans.values():
        mine = strong[fan.edges]
        rank = np.full((len(fan.senders), len(fan.neurons)), _NOWHERE)
        rank[fan.row[mine], fan.column[mine]] = graph.rank[fan.edges][mine]
        enough = np.flatnonzero((rank < _NOWHERE).sum(0) >= 2 * min_inputs)
        read = tuple(np.unique(graph.layer[fan.senders]).tolist())
        if len(enough) and read not in likeness:
            likeness[read] = _likeness(
                graph, fan.senders, [fans[layer] for layer in read if layer in fans]
            )
        found += [
            (int(fan.neurons[column]), score, fan.senders[first], fan.senders[second])
            for column in enough
            for score, first, second in _split(
                rank[:, column], likeness[read], alike, apart, min_inputs
            )
        ]
    return found


def _likeness(graph: SignedGraph, senders: np.ndarray, fans: list[Fan]) -> np.ndarray:
    """Cosines of the fan-ins of neurons, ``(s, s)``; NaN where two read nothing in common."""
    sources = np.unique(np.concatenate([fan.senders for fan in fans] or [np.empty(0, np.int64)]))
    weights, wired = (
        np.zeros((len(senders), len(sources))),
        np.zeros((len(senders), len(sources)), np.float32),
    )
    for fan in fans:
        places = (
            np.searchsorted(senders, fan.neurons)[fan.column],
            np.searchsorted(sources, fan.senders)[fan.row],
        )
        weights[places] = graph.weight[fan.edges]
        wired[places] = 1
    norm = np.linalg.norm(weights, axis=1)
    weights /= np.maximum(norm, np.finfo(float).tiny)[:, None]
    common = (wired @ wired.T > 0) & (norm > 0)[:, None] & (norm > 0)
    return np.where(common, weights @ weights.T, np.nan)


def _split(
    rank: np.ndarray, likeness: np.ndarray, alike: float, apart: float, min_inputs: int
) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """The score and both groups of one neuron, where it has them; ``rank`` of its strong inputs, ``(s,)``."""
    inputs = np.flatnonzero(rank < _NOWHERE)
    first = inputs[np.argmin(rank[inputs])]
    like_1 = likeness[first, inputs]
    unlike = inputs[np.round(like_1, 9) < apart]
    if not len(unlike):
        return []
    second = unlike[np.argmin(rank[unlike])]
    like_2 = likeness[second, inputs]
    near, far = np.round(like_1, 9), np.round(like_2, 9)
    grouped = ((near >= alike) & (far < apart)) | ((near < apart) & (far >= alike))
    in_1, in_2 = grouped & (near >= alike), grouped & (near < alike)
    sizes = in_1.sum(), in_2.sum()
    if min(sizes) < max(min_inputs, 2):
        return []
    groups = zip((like_1, like_2), (in_1, in_2), sizes, strict=True)
    means = [
        (like[there].sum() - 1) / (size - 1) for like, there, size in groups
    ]  # each is alike to itself
    return [(float(np.round(min(means), 9)), inputs[in_1], inputs[in_2])]


MOTIF: Final = Motif(
    "polysemantic_neuron",
    {"neuron": ("neuron",), "group_1": ("group_1",), "group_2": ("group_2",)},
    twin,
    count,
    group="neuron",
    scores=scores,
    null="relabel",
)
