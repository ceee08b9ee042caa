"""Fan-ins and fan-outs of pairs of neurons: their cosines, and the strong edges that oppose them.

With ``W`` the weights into a layer, ``(senders, neurons)``, each column of norm one, the cosines
are ``W' W``; with ``E`` and ``I`` the strong excitatory and inhibitory edges, a sender excites one
of a pair and inhibits the other in ``E' I``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from circuitome.kernels import unit_rows
from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs.motif import Instances, join

__all__ = ["EdgeValues", "column_cosines", "fan_in_cosines", "likeness", "met", "paired", "wedges"]


@dataclass(frozen=True, slots=True)
class EdgeValues:
    """A value of each edge, counted for the neuron at one end; ``e`` edges, ``n`` neurons."""

    end: np.ndarray  # (e,) the neuron that the edge counts for
    other: np.ndarray  # (e,) the neuron at its other end
    value: np.ndarray  # (e,)
    size: int  # n

    def cosines(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosines of the values of pairs of neurons, ``(m,)``; NaN if both share no other end."""
        size, value = self.size, self.value
        norm = np.sqrt(np.bincount(self.end, value**2, size))
        wanted = np.zeros(size, bool)
        wanted[first] = wanted[second] = True
        edges = np.flatnonzero(wanted[self.end])
        pair, j = join(first, self.end[edges])
        edge = edges[j]
        ends = self.end[edges] * size + self.other[edges]
        i, j = join(second[pair] * size + self.other[edge], ends)
        both = np.bincount(pair[i], value[edge[i]] * value[edges[j]], len(first))
        shared = np.bincount(pair[i], minlength=len(first)) > 0
        product = norm[first] * norm[second]
        known = shared & (product > 0)
        return np.divide(both, product, out=np.full(len(first), np.nan), where=known)


def wedges(graph: SignedGraph, fan: Fan, *, strength: float, polarity: float) -> np.ndarray:
    """Whether a sender strongly excites the one neuron and inhibits the other, ``(c, c)`` bool."""

    def made() -> np.ndarray:
        strong = graph.strong(strength=strength, polarity=polarity)[fan.edges]
        excites = graph.excites[fan.edges]
        plus, minus = np.flatnonzero(strong & excites), np.flatnonzero(strong & ~excites)
        ends = fan.row[plus], fan.column[plus], fan.row[minus], fan.column[minus]
        return met(*ends, size=len(fan.neurons))

    return graph.once(("wedges", fan.layer, strength, polarity), made)


def met(
    left_at: np.ndarray, left: np.ndarray, right_at: np.ndarray, right: np.ndarray, *, size: int
) -> np.ndarray:
    """Which ``left`` and ``right`` neurons meet at one place, ``(size, size)`` bool.

    Few meetings are listed, many are multiplied.
    """
    places = max(left_at.max(initial=-1), right_at.max(initial=-1)) + 1
    meetings = np.bincount(left_at, minlength=places) @ np.bincount(right_at, minlength=places)
    if meetings <= size * size:
        found = np.zeros((size, size), bool)
        i, j = join(left_at, right_at)
        found[left[i], right[j]] = True
        return found
    dense = np.zeros((2, places, size), np.float32)
    dense[0, left_at, left] = dense[1, right_at, right] = 1
    return dense[0].T @ dense[1] > 0


def column_cosines(
    matrix: np.ndarray, one: np.ndarray, other: np.ndarray, *, near: float
) -> np.ndarray:
    """Cosines of pairs of columns, ``(m,)``, rounded to nine digits; 1 if surely above ``near``.

    Many are estimated in float32, and only those that may be low enough computed in float64.
    """
    if not len(one):
        return np.ones(0)
    rows = _unit_columns(matrix)
    return _cosines(rows, one, other, near, lambda: _rough(rows))


def fan_in_cosines(
    graph: SignedGraph, fan: Fan, one: np.ndarray, other: np.ndarray, *, near: float
) -> np.ndarray:
    """As `column_cosines`, of the weights into pairs of a layer's neurons."""
    if not len(one):
        return np.ones(0)

    def unit() -> np.ndarray:
        return _unit_columns(fan.matrix(graph.weight[fan.edges]))

    rows = graph.once(("unit fan-ins", fan.layer), unit)
    rough = ("rough cosines", fan.layer)
    return _cosines(rows, one, other, near, lambda: graph.once(rough, lambda: _rough(rows)))


def likeness(graph: SignedGraph, neurons: np.ndarray, fans: list[Fan]) -> np.ndarray:
    """Cosines of the fan-ins of neurons ``(s,)``: ``(s, s)``; NaN if two read nothing in common."""
    read = [fan.senders for fan in fans]
    sources = np.unique(np.concatenate(read or [np.empty(0, np.int64)]))
    weights = np.zeros((len(neurons), len(sources)))
    wired = np.zeros(weights.shape, np.float32)
    for fan in fans:
        row = np.searchsorted(neurons, fan.neurons)[fan.column]
        column = np.searchsorted(sources, fan.senders)[fan.row]
        weights[row, column] = graph.weight[fan.edges]
        wired[row, column] = 1
    rows = unit_rows(weights)
    reads = np.any(rows, axis=1)
    common = (wired @ wired.T > 0) & np.outer(reads, reads)
    return np.where(common, rows @ rows.T, np.nan)


def paired(found: Iterable[np.ndarray]) -> Instances:
    """Instances of two cases, from tables of both and their score, ``(m, 3)`` each."""
    pairs = np.concatenate([np.empty((0, 3)), *found])
    return Instances({"case": pairs[:, :2].astype(np.int64)}, pairs[:, 2])


def _unit_columns(matrix: np.ndarray) -> np.ndarray:
    """The columns as rows of norm one."""
    return unit_rows(np.ascontiguousarray(matrix.T))


def _rough(rows: np.ndarray) -> np.ndarray:
    """All their cosines in float32."""
    short = rows.astype(np.float32)
    return short @ short.T


def _cosines(
    rows: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    near: float,
    rough: Callable[[], np.ndarray],
) -> np.ndarray:
    found, close = np.ones(len(one)), np.arange(len(one))
    if len(one) > len(rows):
        close = np.flatnonzero(rough()[one, other] <= near + 1e-4)
    exact = np.einsum("ij,ij->i", rows[one[close]], rows[other[close]])
    found[close] = np.round(exact, 9)
    return found
