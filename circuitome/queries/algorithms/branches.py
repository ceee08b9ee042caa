"""Latent branches: a pair of layers whose connections fall into two groups, though nothing branches
there.

The norms of the kernels between two layers are a matrix, and its second singular vectors sort the
neurons of both layers (Voss et al., *Branch Specialization*, Distill 2021). First it is balanced,
every row and every column scaled to a mean of one (Sinkhorn, 1964), so that neither who sends much
nor who reads much is taken for a group: then the first singular vectors are constant. How far the
layers fall apart is the part of the second singular value in what the first leaves of the squared
matrix, against matrices in which each sender's norms are dealt to other receivers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np

from circuitome.queries.arrays import quotient
from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.values import at_least_one
from circuitome.significance import p_of_count

__all__ = [
    "ROLES",
    "Between",
    "LayerPair",
    "balanced",
    "between",
    "dealt",
    "layer_pairs",
    "second_share",
]

_ROUNDS: Final = 10  # of scaling; the dense matrices of trained layers take two or three

ROLES: Final = ("sender_1", "receiver_1", "sender_2", "receiver_2")
"""The groups of a pair of layers, as columns of its row."""


@dataclass(frozen=True, slots=True)
class Between:
    """The connections of two layers."""

    senders: np.ndarray  # (s,) int64, all neurons of the sending layer
    receivers: np.ndarray  # (c,) int64, those of the other that read it
    norms: np.ndarray  # (s, c) float64, L2 norms of the kernels, balanced
    wired: np.ndarray  # (s, c) bool, where there is an edge


def between(graph: SignedGraph, *, members: int) -> Iterator[Between]:
    """Every pair of layers with at least ``members`` neurons each and more than one edge a
    receiver, in the order of keys.
    """
    pairs = [
        (int(sends), fan) for fan in graph.fans() for sends in np.unique(graph.layer[fan.senders])
    ]
    for sends, fan in sorted(pairs, key=lambda pair: (pair[0], pair[1].layer)):
        found = _between(graph, sends, fan)
        if min(found.norms.shape) >= max(members, 3) and found.wired.sum() > found.norms.shape[1]:
            yield found


def _between(graph: SignedGraph, sends: int, fan: Fan) -> Between:
    rows = graph.layer[fan.senders] == sends
    norms = np.sqrt(fan.matrix(graph.share[fan.edges])[rows])
    wired = fan.matrix(np.ones(len(fan.edges), bool))[rows]
    read = norms.any(0)
    return Between(fan.senders[rows], fan.neurons[read], balanced(norms[:, read]), wired[:, read])


def balanced(norms: np.ndarray) -> np.ndarray:
    """The matrix with rows and columns scaled so that their means are one, ``(s, c)``; those of
    zeros stay.

    >>> balanced(np.outer([1.0, 5.0], [2.0, 3.0, 4.0])).round(9).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    rows, columns = norms.shape
    down, across = np.ones(rows), np.ones(columns)
    for _ in range(_ROUNDS):
        across = quotient(rows, down @ norms)
        down = quotient(columns, norms @ across)
    return down[:, None] * norms * across


def second_share(norms: np.ndarray) -> np.ndarray:
    """Part of the second singular value in what the first leaves of squared matrices, ``(..., s,
    c)`` to ``(...,)``.

    >>> float(
    ...     second_share(np.kron(np.eye(2), np.ones((3, 3)))).round(9)
    ... )  # two blocks and nothing else
    1.0
    """
    wide = norms.shape[-2] < norms.shape[-1]
    turned = np.swapaxes(norms, -1, -2)
    squares = np.linalg.eigvalsh(norms @ turned if wide else turned @ norms)
    rest = squares[..., :-1].sum(-1)
    return np.divide(squares[..., -2], rest, out=np.zeros_like(rest), where=rest > 1e-12)


def dealt(pair: Between, rng: np.random.Generator) -> np.ndarray:
    """The norms with each sender's permuted over the receivers that it is wired to, ``(s, c)``."""
    drawn = np.where(pair.wired, rng.random(pair.norms.shape, dtype=np.float32), 2)
    order = np.argsort(drawn, axis=1)  # a random order of the wired ones, then the others
    place = np.argsort(~pair.wired, axis=1, kind="stable")  # those in their order, then the others
    moved = np.empty_like(pair.norms)
    np.put_along_axis(moved, place, np.take_along_axis(pair.norms, order, 1), 1)
    return moved


class LayerPair(TypedDict):
    """A row of the query."""

    sends: str
    receives: str
    sender_1: list[str]
    receiver_1: list[str]
    sender_2: list[str]
    receiver_2: list[str]
    share: float
    null_mean: float
    score: float
    p: float


def layer_pairs(
    graph: SignedGraph, *, members: int = 8, nulls: int = 99, seed: int = 0, limit: int = 100
) -> list[LayerPair]:
    """The rows of the query, in its order. `QueryError` for fewer than one null matrix or
    member.
    """
    at_least_one("latent_branches", nulls=nulls, members=members)
    rows: list[LayerPair] = []
    for place, pair in enumerate(between(graph, members=members)):
        rng = np.random.default_rng([seed, place])
        drawn = np.array([second_share(balanced(dealt(pair, rng))) for _ in range(nulls)])
        rows.append(_row(graph, pair, drawn, members))
    return sorted(rows, key=lambda row: (-row["score"], row["sends"], row["receives"]))[:limit]


def _row(graph: SignedGraph, pair: Between, drawn: np.ndarray, members: int) -> LayerPair:
    """The row of a pair of layers; ``drawn`` are its shares in null matrices."""
    share, mean = float(second_share(pair.norms)), float(drawn.mean())
    sender_1, receiver_1, sender_2, receiver_2 = map(graph.names, _groups(pair, members))
    return LayerPair(
        sends=str(graph.layers[graph.layer[pair.senders[0]]]),
        receives=str(graph.layers[graph.layer[pair.receivers[0]]]),
        sender_1=sender_1,
        receiver_1=receiver_1,
        sender_2=sender_2,
        receiver_2=receiver_2,
        share=round(share, 9),
        null_mean=round(mean, 9),
        score=round(share / mean, 9) if mean > 0 else 0.0,
        p=float(p_of_count((drawn >= share - 1e-9).sum(), len(drawn))),
    )


def _groups(pair: Between, members: int) -> list[np.ndarray]:
    """The outermost senders and receivers at both ends, in the order of the roles, outermost
    first.
    """
    left, _, right = np.linalg.svd(pair.norms, full_matrices=False)
    outermost = np.argmax(np.round(np.abs(left[:, 1]), 9))
    turn = np.sign(left[outermost, 1])  # a pair of singular vectors has either sign
    found = []
    for end in (1, -1):
        for neurons, vectors in ((pair.senders, left), (pair.receivers, right.T)):
            lean = end * turn * vectors[:, 1]
            order = np.lexsort((neurons, -np.round(lean, 9)))[:members]
            found.append(neurons[order[lean[order] > 0]])
    return found
