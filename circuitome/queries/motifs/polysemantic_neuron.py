"""Polysemantic neurons: strong inputs that fall into two groups without anything in common.

With the fan-ins of a neuron's inputs as columns of norm one, their cosines say how alike the inputs
are. Two seeds, the strongest input and the strongest that is unlike it, gather a group each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.fans import likeness
from circuitome.queries.motifs.motif import Instances, Motif

__all__ = ["MOTIF", "find"]

_NOWHERE: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Groups:
    """What two groups of inputs have to be."""

    alike: float  # least cosine of a member and its group's strongest
    apart: float  # what the cosine of a member and the other group's strongest is below
    min_inputs: int  # of each


def find(
    graph: SignedGraph,
    *,
    strength: float,
    polarity: float,
    alike: float,
    apart: float,
    min_inputs: int,
) -> Instances:
    """Neurons and both groups; the score is the mean cosine of the looser one, to nine digits."""
    asked = _Groups(alike, apart, min_inputs)
    strong = graph.strong(strength=strength, polarity=polarity) & graph.excites
    fans = {fan.layer: fan for fan in graph.fans()}
    cosines: dict[tuple[int, ...], np.ndarray] = {}  # layers that are read together -> theirs
    neurons: list[int] = []
    scores: list[float] = []
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    for fan in fans.values():
        mine = strong[fan.edges]
        rank = np.full((len(fan.senders), len(fan.neurons)), _NOWHERE)
        rank[fan.row[mine], fan.column[mine]] = graph.rank[fan.edges][mine]
        enough = np.flatnonzero((rank < _NOWHERE).sum(0) >= 2 * min_inputs)
        read = tuple(np.unique(graph.layer[fan.senders]).tolist())
        if len(enough) and read not in cosines:
            into = [fans[layer] for layer in read if layer in fans]
            cosines[read] = likeness(graph, fan.senders, into)
        for column in enough:
            split = _split(rank[:, column], cosines[read], asked)
            if split is not None:
                score, *places = split
                neurons.append(int(fan.neurons[column]))
                scores.append(score)
                groups.append((fan.senders[places[0]], fan.senders[places[1]]))
    roles = {
        "neuron": np.array(neurons, np.int64),
        "group_1": [first for first, _ in groups],
        "group_2": [second for _, second in groups],
    }
    return Instances(roles, np.array(scores, np.float64))


def _split(
    rank: np.ndarray, cosines: np.ndarray, asked: _Groups
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The score and both groups of a neuron, if it has them.

    ``rank`` of its strong inputs, ``(s,)``; ``cosines`` of all senders, ``(s, s)``.
    """
    inputs = np.flatnonzero(rank < _NOWHERE)
    first = inputs[np.argmin(rank[inputs])]
    like_1 = cosines[first, inputs]
    near = np.round(like_1, 9)
    unlike = inputs[near < asked.apart]
    if not len(unlike):
        return None
    second = unlike[np.argmin(rank[unlike])]
    like_2 = cosines[second, inputs]
    far = np.round(like_2, 9)
    in_1 = (near >= asked.alike) & (far < asked.apart)
    in_2 = (near < asked.apart) & (far >= asked.alike)
    grouped = in_1 | in_2
    in_1, in_2 = grouped & (near >= asked.alike), grouped & (near < asked.alike)
    if min(in_1.sum(), in_2.sum()) < max(asked.min_inputs, 2):
        return None
    means = [
        (like[group].sum() - 1) / (group.sum() - 1)  # each is alike to itself
        for like, group in ((like_1, in_1), (like_2, in_2))
    ]
    return float(np.round(min(means), 9)), inputs[in_1], inputs[in_2]


MOTIF: Final = Motif("polysemantic_neuron", find, null="relabel")
