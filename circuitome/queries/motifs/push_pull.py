"""Push and pull: two neurons of one layer that read opposite things and say opposite things.

Both the fan-ins and the fan-outs of the pair oppose each other, so that what a receiver gets from the one being on it
gets from the other being off. Fan-in cosines are those of the weights; a fan-out goes to receivers of different scale, so
its cosines are those of the effects, weights in units of the receiver's root mean square.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs.motif import Motif, instance
from circuitome.queries.motifs.opponent_pairs import cosines, fan_in_cosines, met, wedges

__all__ = ["MOTIF", "count", "pairs", "scores", "twin"]


def twin(
    graph: SignedGraph,
    *,
    cosine: float = 0.3,
    strength: float = 4.0,
    polarity: float = 0.2,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The motif rows of the query, from arrays alone."""
    first, second, score = pairs(graph, cosine=cosine, strength=strength, polarity=polarity)
    order = np.lexsort((second, first, -score))[:limit]
    named = zip(
        score[order].tolist(), graph.names(first[order]), graph.names(second[order]), strict=True
    )
    return [
        instance("push_pull", graph.model, value, {"case": [b1, b2]}) for value, b1, b2 in named
    ]


def count(
    graph: SignedGraph, *, cosine: float = 0.3, strength: float = 4.0, polarity: float = 0.2
) -> int:
    """Number of instances."""
    return len(scores(graph, cosine=cosine, strength=strength, polarity=polarity))


def scores(
    graph: SignedGraph, *, cosine: float = 0.3, strength: float = 4.0, polarity: float = 0.2
) -> np.ndarray:
    """Scores of all instances."""
    return pairs(graph, cosine=cosine, strength=strength, polarity=polarity)[2]


def pairs(
    graph: SignedGraph, *, cosine: float, strength: float, polarity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs as numbers of neurons, the lower first, and the weaker of their two oppositions, to nine digits."""
    strong = graph.strong(strength=strength, polarity=polarity)
    effect, fans = graph.effect, {fan.layer: fan for fan in graph.fans()}
    found = [np.empty((0, 3))]
    for layer, fan in fans.items():
        readers = [other for other in fans.values() if (graph.layer[other.senders] == layer).any()]
        if not readers:
            continue
        wedge = wedges(graph, fan, strength=strength, polarity=polarity)
        opposed = np.any([_opposed(graph, fan, reader, strong) for reader in readers], axis=0)
        one, other = np.nonzero(np.triu((wedge | wedge.T) & (opposed | opposed.T), 1))
        fan_in = -fan_in_cosines(graph, fan, one, other, near=-cosine)
        there = fan_in >= cosine
        one, other, fan_in = one[there], other[there], fan_in[there]
        if not len(one):
            continue
        out = np.concatenate([_sent(graph, layer, reader, effect) for reader in readers])
        score = np.minimum(fan_in, -cosines(out, one, other, near=-cosine))
        there = score >= cosine
        found.append(
            np.column_stack([fan.neurons[one[there]], fan.neurons[other[there]], score[there]])
        )
    first, second, score = np.concatenate(found).T
    return first.astype(np.int64), second.astype(np.int64), score


def _opposed(graph: SignedGraph, fan: Fan, reader: Fan, strong: np.ndarray) -> np.ndarray:
    """Whether a neuron of the reading layer is strongly excited by the one and strongly inhibited by the other, ``(c, c)``."""
    sender, excites = graph.sender[reader.edges], graph.excites[reader.edges]
    ours = strong[reader.edges] & (graph.layer[sender] == fan.layer)
    plus, minus = np.flatnonzero(ours & excites), np.flatnonzero(ours & ~excites)
    one, other = (np.searchsorted(fan.neurons, sender[edges]) for edges in (plus, minus))
    return met(reader.column[plus], one, reader.column[minus], other, size=len(fan.neurons))


def _sent(graph: SignedGraph, layer: int, reader: Fan, effect: np.ndarray) -> np.ndarray:
    """What the neurons of a layer send to one that reads it, ``(receivers, c)``."""
    return reader.matrix(effect[reader.edges])[graph.layer[reader.senders] == layer].T


MOTIF: Final = Motif(
    "push_pull",
    {"case": ("case_1", "case_2")},
    twin,
    count,
    scores=scores,
    instance_null="kernels",
    null="signs",
)
