"""Average linkage of linked neurons, one neuron of a network at most in each cluster.

The two clusters with the highest mean score are joined (pairs without a link count 0), if more than
half of their pairs are linked and no network would be in the result twice.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import chain
from typing import NamedTuple

import numpy as np

__all__ = ["cluster"]


class _Offer(NamedTuple):
    """Two clusters that could be joined: the lower, the better."""

    cost: float  # minus the mean score of their pairs
    low: int  # their first members, ascending
    high: int
    one: int  # their numbers
    other: int


class _Linked(NamedTuple):
    """The links between two clusters."""

    total: float  # sum of their scores
    number: int


_NONE = _Linked(0.0, 0)


class _Clusters:
    """Clusters by number, and what links them; joined ones get a new number."""

    def __init__(self, networks: dict[int, int]) -> None:
        self.members = {n: [n] for n in networks}
        self.networks = {n: {network} for n, network in networks.items()}
        self.near: dict[int, dict[int, _Linked]] = {n: {} for n in networks}
        self.new = max(networks, default=0)  # the highest number so far

    def link(self, one: int, other: int, score: float) -> None:
        """Link two clusters of one neuron each."""
        self.near[one][other] = self.near[other][one] = _Linked(score, 1)

    def offers(self, one: int) -> list[_Offer]:
        """Clusters that could join this one."""
        return [
            self._offer(one, other, linked)
            for other, linked in self.near[one].items()
            if 2 * linked.number > len(self.members[one]) * len(self.members[other])
            and self.networks[one].isdisjoint(self.networks[other])
        ]

    def _offer(self, one: int, other: int, linked: _Linked) -> _Offer:
        pairs = len(self.members[one]) * len(self.members[other])
        low, high = sorted((self.members[one][0], self.members[other][0]))
        return _Offer(-linked.total / pairs, low, high, one, other)

    def join(self, one: int, other: int) -> int:
        """Put the two into a cluster of a new number, and give the number."""
        new = self.new = self.new + 1
        self.members[new] = sorted(self.members.pop(one) + self.members.pop(other))
        self.networks[new] = self.networks.pop(one) | self.networks.pop(other)
        first, second = self.near.pop(one), self.near.pop(other)
        self.near[new] = {}
        for third in first | second:
            if third not in (one, other):
                a, b = first.get(third, _NONE), second.get(third, _NONE)
                both = _Linked(a.total + b.total, a.number + b.number)
                self.near[new][third] = self.near[third][new] = both
                self.near[third].pop(one, None)
                self.near[third].pop(other, None)
        return new


def cluster(
    first: np.ndarray, second: np.ndarray, score: np.ndarray, network: np.ndarray
) -> list[list[int]]:
    """Clusters of two neurons or more, each ascending.

    Links are between ``first`` and ``second``, ``(m,)`` numbers of neurons, with a ``score``
    ``(m,)``; ``network`` ``(n,)`` says whose a neuron is.

    >>> chain = np.array([0, 1]), np.array([1, 2]), np.array([0.9, 0.8])
    >>> cluster(*chain, np.array([0, 1, 2]))
    [[0, 1]]
    >>> cluster(
    ...     np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([0.9, 0.8, 0.7]), np.array([0, 1, 2])
    ... )
    [[0, 1, 2]]
    """
    neurons = np.union1d(first, second)
    clusters = _Clusters(dict(zip(neurons.tolist(), network[neurons].tolist(), strict=True)))
    for link in zip(first.tolist(), second.tolist(), score.tolist(), strict=True):
        clusters.link(*link)
    every = chain.from_iterable(map(clusters.offers, clusters.members))
    heap = [offer for offer in every if offer.one < offer.other]
    heapify(heap)
    while heap:
        offer = heappop(heap)
        if {offer.one, offer.other} <= clusters.members.keys():
            new = clusters.join(offer.one, offer.other)
            for further in clusters.offers(new):
                heappush(heap, further)
    return sorted(found for found in clusters.members.values() if len(found) > 1)
