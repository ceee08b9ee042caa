"""Superposition read back: a neuron spread over several hosts of a layer, and a neuron of the next
that recovers it.

Senders h, hosts ``s = relu(W h + b)``, readers ``e = relu(V s + b)``; kernels are summed over their
taps. ``W`` is centred over the senders of each host and ``V`` over the readers of each host. Sender
``i`` and reader ``r`` are a pair where each is the other's best match by the cosine of ``V[r]`` and
``W[:, i]``, at least ``cosine``; and where the drive ``c[k] = max(0, V[r, k] W[k, i])`` is spread:
``(sum c)^2 / sum c^2 >= hosts``. The hosts are at most as many as the senders.

Every sender is compared with every reader over every host: ten million paths around one layer of
SqueezeNet, which an engine joins in more memory, or minutes, than it may have. So the query is a
library algorithm over `edges`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypedDict

import numpy as np

from circuitome.kernels import cosines
from circuitome.queries.arrays import quotient
from circuitome.queries.graph import SignedGraph

__all__ = [
    "NULLS",
    "Chain",
    "ReadBack",
    "ReadBackRow",
    "chains",
    "effective_number",
    "pairs",
    "read_back",
    "reflect",
    "relabel",
]


@dataclass(frozen=True, slots=True)
class Chain:
    """Two matrices in a row, around one layer of hosts."""

    senders: np.ndarray  # (i,) int64, neurons that the hosts read
    hosts: np.ndarray  # (k,) int64
    readers: np.ndarray  # (r,) int64, neurons of every layer that reads the hosts
    into: np.ndarray  # (k, i) float64, W
    out: np.ndarray  # (r, k) float64, V

    def centred(self) -> tuple[np.ndarray, np.ndarray]:
        """W less its mean over the senders of each host, and V less its mean over the readers
        of each host.
        """
        return self.into - self.into.mean(1, keepdims=True), self.out - self.out.mean(0)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Instances as numbers of neurons, each ``(m,)``."""

    feature: np.ndarray
    reader: np.ndarray
    score: np.ndarray  # cosine, rounded to nine digits
    spread: np.ndarray  # effective number of hosts
    drive: np.ndarray  # (m, k) float64, c; as many columns as the chain has hosts

    def main_hosts(self, chain: Chain) -> list[np.ndarray]:
        """Of each instance the hosts with the largest drive, as many as its spread has whole
        ones.
        """
        order = np.argsort(-self.drive, axis=1, kind="stable")
        numbers = np.round(self.spread, 9).astype(int)
        return [chain.hosts[row[:number]] for row, number in zip(order, numbers, strict=True)]


def chains(graph: SignedGraph) -> Iterator[Chain]:
    """Every layer with what it reads and what reads it, where it is no wider than what it reads."""
    fans = {fan.layer: fan for fan in graph.fans()}
    for layer, fan in fans.items():
        readers = [other for other in fans.values() if (graph.layer[other.senders] == layer).all()]
        if readers and len(fan.neurons) <= len(fan.senders):
            out = [f.matrix(graph.weight[f.edges]) for f in readers]
            yield Chain(
                senders=fan.senders,
                hosts=fan.neurons,
                readers=np.concatenate([f.neurons for f in readers]),
                into=fan.matrix(graph.weight[fan.edges]).T,
                out=np.concatenate(out, axis=1).T,
            )


def read_back(chain: Chain, *, cosine: float, hosts: float) -> ReadBack:
    """The instances of one chain, by reader."""
    into, out = chain.centred()
    match = cosines(out, into.T)
    best = match.argmax(1)
    mutual = match.argmax(0)[best] == np.arange(len(out))
    r = np.flatnonzero(mutual & (match[np.arange(len(out)), best] >= cosine))
    i = best[r]
    wired = (chain.out[r] != 0) & (chain.into[:, i].T != 0)
    drive = np.where(wired, np.maximum(0, out[r] * into[:, i].T), 0)
    number = effective_number(drive)
    wide = np.round(number, 9) >= hosts
    return ReadBack(
        chain.senders[i[wide]],
        chain.readers[r[wide]],
        np.round(match[r, i][wide], 9),
        number[wide],
        drive[wide],
    )


def effective_number(drive: np.ndarray) -> np.ndarray:
    """Effective number of hosts of each drive ``(m, k)``, ``(sum c)^2 / sum c^2``, ``(m,)``; 0
    where there is none.

    >>> effective_number(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    array([2., 0.])
    """
    total, squares = drive.sum(1), np.square(drive).sum(1)
    return quotient(total**2, squares)


def reflect(chain: Chain, rng: np.random.Generator) -> Chain:
    """The chain with its readers reflected along the principal axes of what the hosts get.

    ``V U D U'`` with random signs ``D``, in the eigenbasis ``U`` of ``W W'``: it keeps how much the
    readers read of each principal component of their hosts.
    """
    into, _ = chain.centred()
    axes = np.linalg.eigh(into @ into.T)[1]
    turned = (chain.out @ axes * rng.choice([-1.0, 1.0], len(axes))) @ axes.T
    return replace(chain, out=turned)


def relabel(chain: Chain, rng: np.random.Generator) -> Chain:
    """The chain with its hosts permuted as inputs of the readers."""
    return replace(chain, out=chain.out[:, rng.permutation(chain.out.shape[1])])


NULLS: Final = {"relabel": relabel, "reflect": reflect}
"""Null models of a chain, by name: each changes what the readers read."""


class ReadBackRow(TypedDict):
    """A row of the query."""

    feature: str
    hosts: list[str]
    reader: str
    spread: float
    score: float


def pairs(
    graph: SignedGraph, *, cosine: float = 0.6, hosts: float = 3, limit: int = 100
) -> list[ReadBackRow]:
    """The rows of the query, in its order.

    Of the hosts those with the largest drive are named, as many as the effective number has whole
    ones.
    """
    rows: list[ReadBackRow] = []
    for chain in chains(graph):
        found = read_back(chain, cosine=cosine, hosts=hosts)
        rows += itertools.starmap(
            _row,
            zip(
                graph.names(found.feature),
                map(graph.names, found.main_hosts(chain)),
                graph.names(found.reader),
                np.round(found.spread, 9).tolist(),
                found.score.tolist(),
                strict=True,
            ),
        )
    return sorted(rows, key=lambda row: (-row["score"], row["feature"], row["reader"]))[:limit]


def _row(feature: str, hosts: list[str], reader: str, spread: float, score: float) -> ReadBackRow:
    return {"feature": feature, "hosts": hosts, "reader": reader, "spread": spread, "score": score}
