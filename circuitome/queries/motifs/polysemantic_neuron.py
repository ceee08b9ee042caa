"""Polysemantic neurons: strong inputs that fall into two groups without anything in common.

With the fan-ins of a neuron's inputs as columns of norm one, their cosines say how alike the inputs
are. Two seeds, the strongest input and the strongest that is unlike it, gather a group each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.graph import Fan, SignedGraph
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


@dataclass(frozen=True, slots=True)
class _Split:
    """A neuron, and the two groups that its inputs fall into."""

    neuron: int
    score: float  # mean cosine of the looser group, to nine digits
    group_1: np.ndarray
    group_2: np.ndarray


def find(
    graph: SignedGraph, *, alike: float, apart: float, min_inputs: int, **strong: float
) -> Instances:
    """Neurons and both groups; the score is the mean cosine of the looser one, to nine digits."""
    edges = graph.strong(**strong) & graph.excites
    found = list(_splits(graph, edges, _Groups(alike, apart, min_inputs)))
    roles = {
        "neuron": np.array([split.neuron for split in found], np.int64),
        "group_1": [split.group_1 for split in found],
        "group_2": [split.group_2 for split in found],
    }
    return Instances(roles, np.array([split.score for split in found], np.float64))


def _splits(graph: SignedGraph, strong: np.ndarray, asked: _Groups) -> Iterator[_Split]:
    cosines = _likeness_within(graph)
    for fan in graph.fans():
        rank = _ranks(graph, fan, strong)
        read = tuple(np.unique(graph.layer[fan.senders]).tolist())
        for column in np.flatnonzero((rank < _NOWHERE).sum(0) >= 2 * asked.min_inputs):
            split = _split(rank[:, column], cosines(read), asked)
            if split is not None:
                score, *groups = split
                yield _Split(int(fan.neurons[column]), score, *(fan.senders[g] for g in groups))


def _likeness_within(graph: SignedGraph) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Cosines of the fan-ins of all neurons of layers that are read together, by these layers."""
    fans = {fan.layer: fan for fan in graph.fans()}

    @functools.cache
    def cosines(read: tuple[int, ...]) -> np.ndarray:
        senders = np.flatnonzero(np.isin(graph.layer, read))
        return likeness(graph, senders, [fans[layer] for layer in read if layer in fans])

    return cosines


def _ranks(graph: SignedGraph, fan: Fan, strong: np.ndarray) -> np.ndarray:
    """Rank of each strong input, ``(s, c)``; `_NOWHERE` for any other."""
    mine = strong[fan.edges]
    rank = np.full((len(fan.senders), len(fan.neurons)), _NOWHERE)
    rank[fan.row[mine], fan.column[mine]] = graph.rank[fan.edges][mine]
    return rank


def _split(
    rank: np.ndarray, cosines: np.ndarray, asked: _Groups
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """The score and both groups of a neuron, if it has them.

    ``rank`` of its strong inputs, ``(s,)``; ``cosines`` of all senders, ``(s, s)``.
    """
    inputs = np.flatnonzero(rank < _NOWHERE)
    like_1 = cosines[inputs[np.argmin(rank[inputs])], inputs]
    near = np.round(like_1, 9)
    unlike = inputs[near < asked.apart]
    if not len(unlike):
        return None
    like_2 = cosines[unlike[np.argmin(rank[unlike])], inputs]
    far = np.round(like_2, 9)
    in_1 = near >= asked.alike
    grouped = (in_1 & (far < asked.apart)) | ((near < asked.apart) & (far >= asked.alike))
    groups = [(like_1, grouped & in_1), (like_2, grouped & ~in_1)]
    if min(group.sum() for _, group in groups) < max(asked.min_inputs, 2):
        return None
    means = [_mean_without_seed(like[group]) for like, group in groups]
    first, second = (inputs[group] for _, group in groups)
    return float(np.round(min(means), 9)), first, second


def _mean_without_seed(cosines: np.ndarray) -> float:
    return (cosines.sum() - 1) / (len(cosines) - 1)


MOTIF: Final = Motif("polysemantic_neuron", find, null="relabel")
