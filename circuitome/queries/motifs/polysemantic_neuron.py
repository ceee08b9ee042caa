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
class _Splits:
    """Neurons of one layer, and the two groups that the inputs of each fall into."""

    neurons: np.ndarray  # (n,)
    score: np.ndarray  # (n,) mean cosine of the looser group, to nine digits
    group_1: list[np.ndarray]
    group_2: list[np.ndarray]


def find(
    graph: SignedGraph, *, alike: float, apart: float, min_inputs: int, **strong: float
) -> Instances:
    """Neurons and both groups; the score is the mean cosine of the looser one, to nine digits."""
    edges = graph.strong(**strong) & graph.excites
    found = list(_splits(graph, edges, _Groups(alike, apart, min_inputs)))
    roles = {
        "neuron": np.concatenate([np.empty(0, np.int64), *(each.neurons for each in found)]),
        "group_1": [group for each in found for group in each.group_1],
        "group_2": [group for each in found for group in each.group_2],
    }
    return Instances(roles, np.concatenate([np.empty(0), *(each.score for each in found)]))


def _splits(graph: SignedGraph, strong: np.ndarray, asked: _Groups) -> Iterator[_Splits]:
    cosines = _likeness_within(graph)
    for fan in graph.fans():
        rank = _ranks(graph, fan, strong)
        enough = np.flatnonzero((rank < _NOWHERE).sum(1) >= 2 * asked.min_inputs)
        if len(enough):
            read = tuple(np.unique(graph.layer[fan.senders]).tolist())
            yield _split(fan, enough, rank[enough], cosines(read), asked)


def _likeness_within(graph: SignedGraph) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Cosines of the fan-ins of all neurons of layers that are read together, by these layers."""
    fans = {fan.layer: fan for fan in graph.fans()}

    @functools.cache
    def cosines(read: tuple[int, ...]) -> np.ndarray:
        senders = np.flatnonzero(np.isin(graph.layer, read))
        return likeness(graph, senders, [fans[layer] for layer in read if layer in fans])

    return cosines


def _ranks(graph: SignedGraph, fan: Fan, strong: np.ndarray) -> np.ndarray:
    """Rank of each strong input, ``(c, s)``; `_NOWHERE` for any other."""
    mine = strong[fan.edges]
    rank = np.full((len(fan.neurons), len(fan.senders)), _NOWHERE)
    rank[fan.column[mine], fan.row[mine]] = graph.rank[fan.edges][mine]
    return rank


def _split(
    fan: Fan, columns: np.ndarray, rank: np.ndarray, cosines: np.ndarray, asked: _Groups
) -> _Splits:
    """Those of some neurons of a layer that have two groups.

    ``columns``: their places in the layer, ``(n,)``; ``rank`` of their strong inputs, ``(n, s)``;
    ``cosines`` of all senders, ``(s, s)``.
    """
    inputs = rank < _NOWHERE
    like_1 = cosines[rank.argmin(1)]
    near = np.round(like_1, 9)
    unlike = np.where(inputs & (near < asked.apart), rank, _NOWHERE)
    like_2 = cosines[unlike.argmin(1)]
    far = np.round(like_2, 9)
    in_1 = inputs & (near >= asked.alike) & (far < asked.apart)
    in_2 = inputs & (near < asked.apart) & (far >= asked.alike)
    size = np.minimum(in_1.sum(1), in_2.sum(1))
    found = np.flatnonzero((size >= max(asked.min_inputs, 2)) & (unlike.min(1) < _NOWHERE))
    in_1, in_2 = in_1[found], in_2[found]
    means = _mean_without_seed(like_1[found], in_1), _mean_without_seed(like_2[found], in_2)
    groups = ([fan.senders[group] for group in each] for each in (in_1, in_2))
    return _Splits(fan.neurons[columns[found]], np.round(np.minimum(*means), 9), *groups)


def _mean_without_seed(cosines: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean cosine of the members of a group ``(n, s)`` with their strongest, which is one of
    them.
    """
    return (np.where(group, cosines, 0).sum(1) - 1) / (group.sum(1) - 1)


MOTIF: Final = Motif("polysemantic_neuron", find, null="relabel")
