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
from circuitome.queries.motifs.fans import column_cosines, fan_in_cosines, met, paired, wedges
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find"]


def find(graph: SignedGraph, *, cosine: float, strength: float, polarity: float) -> Instances:
    """Both cases, the lower first; the score is the weaker opposition, to nine digits."""
    strong = graph.strong(strength=strength, polarity=polarity)
    found = []
    for fan in graph.fans():
        readers = [each for each in graph.fans() if (graph.layer[each.senders] == fan.layer).any()]
        if readers:
            wedge = wedges(graph, fan, strength=strength, polarity=polarity)
            opposed = np.any([_opposed(graph, fan, reader, strong) for reader in readers], axis=0)
            pairs = np.triu((wedge | wedge.T) & (opposed | opposed.T), 1)
            found.append(_apart(graph, fan, readers, pairs, cosine))
    return paired(found)


def _apart(
    graph: SignedGraph, fan: Fan, readers: list[Fan], pairs: np.ndarray, cosine: float
) -> np.ndarray:
    """The pairs ``(c, c)`` bool that oppose each other: both neurons and the score, ``(m, 3)``."""
    one, other = np.nonzero(pairs)
    score = -fan_in_cosines(graph, fan, one, other, near=-cosine)
    one, other, score = (values[score >= cosine] for values in (one, other, score))
    if len(one):
        sent = np.concatenate([_sent(graph, fan.layer, reader) for reader in readers])
        score = np.minimum(score, -column_cosines(sent, one, other, near=-cosine))
    cases = np.column_stack([fan.neurons[one], fan.neurons[other], score])
    return cases[score >= cosine]


def _opposed(graph: SignedGraph, fan: Fan, reader: Fan, strong: np.ndarray) -> np.ndarray:
    """Whether the one strongly excites what the other strongly inhibits, ``(c, c)`` bool."""
    sender, excites = graph.sender[reader.edges], graph.excites[reader.edges]
    ours = strong[reader.edges] & (graph.layer[sender] == fan.layer)
    plus, minus = np.flatnonzero(ours & excites), np.flatnonzero(ours & ~excites)
    one, other = (np.searchsorted(fan.neurons, sender[edges]) for edges in (plus, minus))
    return met(reader.column[plus], one, reader.column[minus], other, size=len(fan.neurons))


def _sent(graph: SignedGraph, layer: int, reader: Fan) -> np.ndarray:
    """What the neurons of a layer send to one that reads it, ``(receivers, c)``."""
    return reader.matrix(graph.effect[reader.edges])[graph.layer[reader.senders] == layer].T


MOTIF: Final = Motif("push_pull", find)
