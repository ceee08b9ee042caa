"""Average linkage of linked neurons, one neuron of a network at most in each cluster.

The two clusters with the highest mean score are joined (pairs without a link count 0), if more than
half of their pairs are linked and no network would be in the result twice.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
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

    def __init__(self, first: list[int], second: list[int], score: list[float]) -> None:
        self.members = {n: [n] for n in sorted({*first, *second})}
        self.near: dict[int, dict[int, _Linked]] = {n: {} for n in self.members}
        for one, other, value in zip(first, second, score, strict=True):
            self.near[one][other] = self.near[other][one] = _Linked(value, 1)
        self.networks: dict[int, set[int]] = {}

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

    def join(self, one: int, other: int, new: int) -> None:
        """Put the two into a cluster of a new number."""
        self.members[new] = sorted(self.members.pop(one) + self.members.pop(other))
        self.networks[new] = self.networks.pop(one) | self.networks.pop(other)
        joined: dict[int, _Linked] = {}
        for part in (self.near.pop(one), self.near.pop(other)):
            part.pop(one, None)
            part.pop(other, None)
            for third, linked in part.items():
                before = joined.get(third, _NONE)
                joined[third] = _Linked(before.total + linked.total, before.number + linked.number)
        self.near[new] = joined
        for third, linked in joined.items():
            self.near[third].pop(one, None)
            self.near[third].pop(other, None)
            self.near[third][new] = linked


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
    clusters = _Clusters(first.tolist(), second.tolist(), score.tolist())
    clusters.networks = {n: {int(network[n])} for n in clusters.members}
    every = [offer for n in clusters.members for offer in clusters.offers(n)]
    heap = [offer for offer in every if offer.one < offer.other]
    heapify(heap)
    new = max(clusters.members, default=0) + 1
    while heap:
        offer = heappop(heap)
        if offer.one not in clusters.members or offer.other not in clusters.members:
            continue
        clusters.join(offer.one, offer.other, new)
        for further in clusters.offers(new):
            heappush(heap, further)
        new += 1
    return sorted(found for found in clusters.members.values() if len(found) > 1)
