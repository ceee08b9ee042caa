"""Push and pull: two neurons of a layer that read opposite things and send opposite things.

Both the fan-ins and the fan-outs of the pair oppose each other, so that what a receiver gets from
the one being on it gets from the other being off. Fan-in cosines are those of the weights; a
fan-out goes to receivers of different scale, so its cosines are those of the effects, weights in
units of the receiver's root mean square.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs.fans import column_cosines, fan_in_cosines, met, wedges
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find"]


def find(graph: SignedGraph, *, cosine: float, strength: float, polarity: float) -> Instances:
    """Both cases, the lower first; the score is the weaker opposition, to nine digits."""
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
        apart = fan_in >= cosine
        one, other, fan_in = one[apart], other[apart], fan_in[apart]
        if not len(one):
            continue
        sent = np.concatenate([_sent(graph, layer, reader, effect) for reader in readers])
        score = np.minimum(fan_in, -column_cosines(sent, one, other, near=-cosine))
        apart = score >= cosine
        cases = fan.neurons[one[apart]], fan.neurons[other[apart]]
        found.append(np.column_stack([*cases, score[apart]]))
    pairs = np.concatenate(found)
    return Instances({"case": pairs[:, :2].astype(np.int64)}, pairs[:, 2])


def _opposed(graph: SignedGraph, fan: Fan, reader: Fan, strong: np.ndarray) -> np.ndarray:
    """Whether the one strongly excites what the other strongly inhibits, ``(c, c)`` bool."""
    sender, excites = graph.sender[reader.edges], graph.excites[reader.edges]
    ours = strong[reader.edges] & (graph.layer[sender] == fan.layer)
    plus, minus = np.flatnonzero(ours & excites), np.flatnonzero(ours & ~excites)
    one, other = (np.searchsorted(fan.neurons, sender[edges]) for edges in (plus, minus))
    return met(reader.column[plus], one, reader.column[minus], other, size=len(fan.neurons))


def _sent(graph: SignedGraph, layer: int, reader: Fan, effect: np.ndarray) -> np.ndarray:
    """What the neurons of a layer send to one that reads it, ``(receivers, c)``."""
    return reader.matrix(effect[reader.edges])[graph.layer[reader.senders] == layer].T


MOTIF: Final = Motif("push_pull", find)
