"""Null models of a signed graph: rewired copies that keep one thing of a network and destroy
another.

Each takes a `SignedGraph` and a generator of random numbers and gives another graph with the same
neurons, the same number of edges between each pair of layers, and the same number of inputs a
neuron. They need edges alone, so they run from a database without the model, and cost tens of
milliseconds for half a million edges.

| null | keeps | destroys |
|---|---|---|
| `kernels` | what each receiver gets, as a set | who is wired to whom |
| `signs` | place and strength of every edge, signs a receiver | which edges excite |
| `swap` | the same, and how many edges a neuron excites a layer by | which edges excite |
| `relabel` | every column of a matrix between two layers (or groups) | whose column it is |
| `columns` | what each sender sends to a layer, as a set | which receiver gets it |
| `labels` | every edge, and a layer's annotations as a set | which neuron has which |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from circuitome.queries.arrays import place_in_run, quotient
from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph

__all__ = ["NULLS", "Null", "columns", "find_null", "kernels", "labels", "relabel", "signs", "swap"]

Null = Callable[[SignedGraph, np.random.Generator], SignedGraph]
"""A null model: the graph and a generator in, a rewired graph out."""

_ROUNDS: Final = 8  # trades of each receiver in `swap`


def kernels(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """Whole edges permuted over the senders that each receiver has."""
    sender = _moved(graph.sender, *_shuffled_within(graph.receiver, rng))
    return graph.rewired("strength", "strong", "effect", sender=sender)


def signs(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """Signs permuted among each receiver's edges; sizes stay in place."""
    return _signed(graph, _moved(graph.excites, *_shuffled_within(graph.receiver, rng)))


def swap(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """Signs permuted so that each receiver, and each sender towards each layer, keeps its number of
    excitatory edges.

    Pairs of receivers of one layer trade signs over the senders that excite one and inhibit the
    other (Strona et al., *A fast and unbiased procedure to randomize ecological binary matrices*,
    Nature Communications 2014); every receiver trades eight times with a partner drawn anew.
    """
    excites = graph.excites.copy()
    into = graph.layer[graph.receiver]
    order = np.lexsort((graph.sender, into))
    for edges in np.split(order, np.flatnonzero(np.diff(into[order])) + 1):
        if len(edges):
            excites[edges] = _traded(
                graph.sender[edges], graph.receiver[edges], excites[edges], rng
            )
    return _signed(graph, excites)


def relabel(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """The channels of a layer permuted as inputs, for each layer that reads them; each matrix stays
    as it is.

    Of a grouped convolution each group's channels among themselves: neurons of another group do not
    read them.
    """
    senders, part, edge_column = graph.once(("columns",), lambda: _columns(graph))
    sender = _moved(senders, *_shuffled_within(part, rng))
    same = ("strength", "strong", "effect", "only opposed")
    return graph.rewired(*same, sender=sender[edge_column])


def columns(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """A sender's edges to one layer permuted over the receivers there.

    Edges travel in units of their receiver (share and weight over the receiver's norm), and each
    receiver's shares are made to sum to what they did; ranks follow from them.
    """
    n, receiver = len(graph.keys), graph.receiver
    pair = graph.sender * len(graph.layers) + graph.layer[receiver]
    place, drawn = _shuffled_within(pair, rng)
    names = [name for name in ("excites", *EDGE_COLUMNS) if name != "rank"]
    moved = {name: _moved(getattr(graph, name), place, drawn) for name in names}
    norm = np.sqrt(np.bincount(receiver, graph.weight**2, n))
    before = np.maximum(norm[receiver[drawn]], np.finfo(float).tiny)
    moved["weight"][place] *= norm[receiver[place]] / before
    total, found = (np.bincount(receiver, share, n) for share in (graph.share, moved["share"]))
    moved["share"] *= quotient(total, found)[receiver]
    return dataclasses.replace(graph, **moved, rank=_ranks(receiver, moved["share"]))


def labels(graph: SignedGraph, rng: np.random.Generator) -> SignedGraph:
    """What annotation says of each neuron, its partners too, dealt to another neuron of its
    layer; edges stay.
    """
    place, drawn = _shuffled_within(graph.layer, rng)
    source, goal = np.empty_like(place), np.empty_like(place)
    source[place], goal[drawn] = drawn, place
    ends = {"first": goal[graph.partners.first], "second": goal[graph.partners.second]}
    return graph.rewired(
        *("strength", "strong", "effect", "fans"),
        kind=graph.kind[source],
        preferences={name: values[source] for name, values in graph.preferences.items()},
        partners=dataclasses.replace(graph.partners, **ends),
    )


NULLS: Final[Mapping[str, Null]] = MappingProxyType(
    {
        "kernels": kernels,
        "signs": signs,
        "swap": swap,
        "relabel": relabel,
        "columns": columns,
        "labels": labels,
    }
)
"""Every null model by its name."""


def find_null(name: str) -> Null:
    """The null model of that name; `QueryError` with near ones for an unknown one."""
    if name not in NULLS:
        known = f"there are {', '.join(NULLS)}"
        raise QueryError(f"no null model is called {name!r}; {near(name, NULLS, otherwise=known)}")
    return NULLS[name]


def _columns(graph: SignedGraph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns of the matrices between two layers: sender of each and the connected part that
    it lies in, ``(columns,)`` each, and the column of every edge ``(e,)``.
    """
    n, k = len(graph.layers), len(graph.keys)
    pair = graph.layer[graph.receiver] * n + graph.layer[graph.sender]
    column, edge_column = np.unique(pair * k + graph.sender, return_inverse=True)
    row, edge_row = np.unique(pair * k + graph.receiver, return_inverse=True)
    return column % k, _parts(edge_column, edge_row, len(column), len(row)), edge_column


def _parts(column: np.ndarray, row: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Number of the connected part that each column of some matrices lies in, ``(columns,)``,
    from their entries, each ``(e,)``.
    """
    found = np.arange(columns)
    while True:  # the least number spreads along rows and columns; dense matrices take two rounds
        least = np.full(rows, columns)
        np.minimum.at(least, row, found[column])
        spread = found.copy()
        np.minimum.at(spread, column, least[row])
        if (spread == found).all():
            return found
        found = spread


def _shuffled_within(group: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places of elements, and the elements that go there: a random permutation within each
    group, each ``(len(group),)``.
    """
    ordered = bool((group[1:] >= group[:-1]).all())  # as `SignedGraph.by_receiver` leaves its edges
    there = np.arange(len(group)) if ordered else np.argsort(group, kind="stable")
    key = (group.astype(np.uint64) << np.uint64(32)) | rng.integers(
        1 << 32, size=len(group), dtype=np.uint64
    )
    return there, np.argsort(key)


def _moved(values: np.ndarray, place: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The values with those at ``drawn`` put to ``place``."""
    found = np.empty_like(values)
    found[place] = values[drawn]
    return found


def _signed(graph: SignedGraph, excites: np.ndarray) -> SignedGraph:
    """The graph with other signs; an edge of |polarity| 0 keeps it."""
    turned = excites != graph.excites
    flip = np.where(turned, -1.0, 1.0)
    parts = {  # what excited inhibits
        name: np.where(turned, getattr(graph, other), getattr(graph, name))
        for name, other in (("ex", "ix"), ("ey", "iy"), ("ix", "ex"), ("iy", "ey"))
    }
    return graph.rewired(
        *("strength", "strong", "fans"),
        excites=excites,
        weight=graph.weight * flip,
        polarity=graph.polarity * flip,
        **parts,
    )


def _traded(
    sender: np.ndarray, receiver: np.ndarray, excites: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The signs into one layer after trades, ``(m,)``."""
    senders, column = np.unique(sender, return_inverse=True)
    receivers, row = np.unique(receiver, return_inverse=True)
    sign = np.zeros((len(receivers), len(senders)), np.int8)  # 0: no edge
    sign[row, column] = np.where(excites, 1, -1)
    half = len(receivers) // 2
    for _ in range(_ROUNDS if half else 0):
        drawn = rng.permutation(len(receivers))
        one, other = drawn[:half], drawn[half : 2 * half]
        sign[one], sign[other] = _trade(sign[one], sign[other], rng)
    return sign[row, column] > 0


def _trade(
    upper: np.ndarray, lower: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Signs of receivers and of their partners, ``(r, s)`` each, dealt anew where they differ."""
    differ = upper * lower < 0
    drawn = rng.random(differ.shape, dtype=np.float32)
    key = np.where(differ, drawn, 2)  # those that differ come first
    rank = np.argsort(np.argsort(key, axis=1), axis=1)
    positive = rank < (differ & (upper > 0)).sum(1, keepdims=True)
    new = np.where(positive, 1, -1).astype(np.int8)
    return np.where(differ, new, upper), np.where(differ, -new, lower)


def _ranks(receiver: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rank of each edge among those of its receiver by share, from 1."""
    order = np.lexsort((-share, receiver))
    rank = np.empty(len(order), np.int64)
    rank[order] = place_in_run(receiver[order]) + 1
    return rank
