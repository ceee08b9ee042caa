"""The strongest ways from neurons to one target, found layer by layer from the target down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pyarrow as pa

from circuitome.queries.arrays import place_in_run
from circuitome.queries.asks import Asks
from circuitome.queries.graph import numbers_of
from circuitome.queries.rows import Rows

__all__ = ["Candidates", "Ways", "effect"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ways from senders to the target, one a row, each ``(m,)``: over an edge to ``next``, then
    that neuron's way ``slot``.
    """

    sender: np.ndarray
    strength: np.ndarray
    next: np.ndarray
    slot: np.ndarray
    share: np.ndarray
    weight: np.ndarray

    @classmethod
    def target(cls, neuron: int) -> Candidates:
        """The way of the target itself, of no edge."""
        zero = np.zeros(1)
        return cls(np.array([neuron]), np.ones(1), np.array([-1]), np.array([0]), zero, zero)

    @classmethod
    def together(cls, some: Sequence[Candidates]) -> Candidates:
        """All of several, the strongest of each sender first."""
        columns = [map(attrgetter(name), some) for name in cls.__slots__]
        found = cls(*(np.concatenate(list(column)) for column in columns))
        return found.rows(np.lexsort((found.slot, found.next, -found.strength, found.sender)))

    def rows(self, rows: np.ndarray) -> Candidates:
        """Some of them: their numbers, or which, bool."""
        return Candidates(*(getattr(self, name)[rows] for name in self.__slots__))

    def by_position(self, position: np.ndarray) -> dict[int, Candidates]:
        """The candidates of each layer, by its position in the order of computation."""
        places = position[self.sender]
        return {int(place): self.rows(places == place) for place in np.unique(places)}


@dataclass(frozen=True, slots=True)
class Ways:
    """The ``k`` strongest ways from every neuron to the target, strongest first; arrays are ``(n,
    k)``.

    Neurons are numbered in the order of their keys, so that ties are broken by keys.
    """

    keys: pa.Array  # (n,) sorted
    position: np.ndarray  # (n,) position of each neuron's layer in the order of computation
    strength: np.ndarray  # 0 where there are fewer ways
    next: np.ndarray  # number of the neuron that the way goes to; -1 at the target
    slot: np.ndarray  # and which of that neuron's ways it goes on with
    share: np.ndarray
    weight: np.ndarray

    @classmethod
    def over(cls, database: Asks, model: str, k: int) -> Ways:
        """None yet, for all neurons of a model."""
        order = {row["layer"]: row["index"] for row in database.ask("layers", model=model)}
        neurons = database.ask("neurons", model=model).table.sort_by("neuron")
        position = np.array([order[layer] for layer in neurons.column("layer").to_pylist()])
        shape = (neurons.num_rows, k)
        return cls(
            keys=neurons.column("neuron").combine_chunks(),
            position=position,
            strength=np.zeros(shape),
            next=np.full(shape, -1),
            slot=np.zeros(shape, np.int64),
            share=np.zeros(shape),
            weight=np.zeros(shape),
        )

    def number(self, key: str) -> int:
        """Number of a neuron."""
        return self.keys.index(key).as_py()

    def settle(self, pending: Sequence[Candidates]) -> np.ndarray:
        """Keep the strongest candidates of each sender; numbers of the senders."""
        if not pending:
            return np.zeros(0, np.int64)
        found = Candidates.together(pending)
        place = place_in_run(found.sender)
        kept = place < self.strength.shape[1]
        found, place = found.rows(kept), place[kept]
        for name in ("strength", "next", "slot", "share", "weight"):
            getattr(self, name)[found.sender, place] = getattr(found, name)
        return np.unique(found.sender)

    def over_edges(self, edges: Rows, *, above: int, source: int) -> Candidates:
        """Ways over the given edges, from senders computed after position ``above``, and from
        the source itself.
        """
        table = edges.table
        sender, receiver = (
            numbers_of(table.column(end), self.keys) for end in ("sender", "receiver")
        )
        share, weight = (np.asarray(table.column(name), np.float64) for name in ("share", "weight"))
        asked = (self.position[sender] > above) | (sender == source)
        rows = self._useful(np.flatnonzero(asked), sender, receiver, share)
        edge, slot = np.nonzero(self.strength[receiver[rows]])
        rows = rows[edge]
        strength = share[rows] * self.strength[receiver[rows], slot]
        return Candidates(sender[rows], strength, receiver[rows], slot, share[rows], weight[rows])

    def _useful(
        self, rows: np.ndarray, sender: np.ndarray, receiver: np.ndarray, share: np.ndarray
    ) -> np.ndarray:
        """Those edges that can be on one of the sender's strongest ways, strongest first."""
        strongest = share * self.strength[receiver, 0]
        rows = rows[np.lexsort((receiver[rows], -strongest[rows], sender[rows]))]
        return rows[place_in_run(sender[rows]) < self.strength.shape[1]]

    def path(self, neuron: int, slot: int, place: int) -> dict[str, object]:
        """One row of the answer."""
        numbers, slots = np.array(list(self._along(neuron, slot))).T
        edges = numbers[:-1], slots[:-1]
        weights = self.weight[edges]
        return {
            "place": place,
            "strength": float(self.strength[neuron, slot]),
            "effect": effect(float(np.prod(np.where(weights >= 0, 1, -1)))),
            "hops": len(weights),
            "neurons": self.keys.take(pa.array(numbers)).to_pylist(),
            "shares": self.share[edges].tolist(),
            "weights": weights.tolist(),
        }

    def _along(self, neuron: int, slot: int) -> Iterator[tuple[int, int]]:
        """The neurons of a way to the target, and the slot of each."""
        while neuron >= 0:
            yield neuron, slot
            neuron, slot = int(self.next[neuron, slot]), int(self.slot[neuron, slot])


def effect(weight: float) -> str:
    """What an edge of this weight does, or a path of edges with this product of signs."""
    return "excites" if weight >= 0 else "inhibits"
