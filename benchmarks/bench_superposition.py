"""Scores of literal superposition in networks with trained-like weights: what each one ranks first.

``python benchmarks/bench_superposition.py`` writes four features, each spread over three hosts,
into each of twenty networks (`tests.support.trained_like_graphs`), ranks all neurons that are the
main input of none by each of `SCORES`, keeps its counts in ``results/superposition.jsonl`` and
renders the tables of the docs. Only the first score is a motif of the library.

Sizes are logarithms of the root of an edge's strength, less their mean over the receiver's inputs
(so that a host with main inputs of its own counts like another), and for *sender, too* less their
mean over what the neuron sends. *Alike*: the hosts have a large cosine with each other, of their
fan-ins (*share inputs*), or of the sums of the fan-ins of what they strongly read (*coherent main
inputs*: alike near-copies count as the same input), the least of three pairs; that of the feature
with these sums is subtracted (*and unlike the feature*). Hosts are never near-copies of each other.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Row, write
from circuitome.queries.graph import Fan, SignedGraph
from circuitome.queries.motifs import superposition
from tests.support.trained_like_graphs import ARCHITECTURES, HOSTS, Recipe, trained_like

__all__ = ["SCORES", "main", "measured", "ranked"]

NETWORKS, PLANTED = 20, 4
FIRST_SEED = 9000  # scores were tried on other networks
POLARITY, STRENGTH = 0.2, 2.0
NOT_COPIES = 0.8  # largest cosine of two hosts' fan-ins
TOP = 8  # strongest edges of a neuron into a layer, of which three are the hosts'

SCORES: Final = (
    "today: effective number of hosts",
    "third size",
    "third size, sender, too",
    "third size less the fourth, sender, too",
    "third size by the spread of what the neuron sends, sender, too",
    "hosts share inputs",
    "third size and hosts share inputs",
    "third size and coherent main inputs",
    "third size and coherent main inputs, and unlike the feature",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Logarithmic sizes of a graph's edges, ``(e,)`` each."""

    graph: SignedGraph
    size: np.ndarray
    sent: np.ndarray  # the sender's mean subtracted, too
    excites: np.ndarray  # bool, at a polarity

    @classmethod
    def of(cls, graph: SignedGraph) -> Sizes:
        """Of all edges of a graph."""
        logs = np.log(np.maximum(graph.strength, 1e-30)) / 2
        size = logs - _mean(graph.receiver, logs)[graph.receiver]
        excites = graph.excites & (np.abs(graph.polarity) >= POLARITY)
        return cls(graph, size, size - _mean(graph.sender, size)[graph.sender], excites)

    def largest(self, values: np.ndarray, place: int) -> np.ndarray:
        """The so many largest of each neuron's values of edges that excite, ``(n,)``."""
        found = np.full(len(self.graph.keys), -np.inf)
        edges = np.flatnonzero(self.excites)
        edges = edges[np.lexsort((-values[edges], self.graph.sender[edges]))]
        sender = self.graph.sender[edges]
        rank = np.arange(len(edges)) - np.searchsorted(sender, sender)
        found[sender[rank == place - 1]] = values[edges[rank == place - 1]]
        return found


def _mean(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(index, values) / np.maximum(np.bincount(index), 1)


def scores(graph: SignedGraph) -> dict[str, np.ndarray]:
    """Each of `SCORES` of all neurons, ``(n,)``; minus infinity where there are no hosts."""
    sizes, n = Sizes.of(graph), len(graph.keys)
    today = np.full(n, -np.inf)
    found = superposition.find(graph, strength=STRENGTH, polarity=POLARITY, hosts=3)
    today[np.asarray(found.roles["feature"])] = found.score
    third, fourth = (sizes.largest(sizes.sent, place) for place in (3, 4))
    spread = np.sqrt(_mean(graph.sender, sizes.sent**2))
    spread = np.pad(spread, (0, n - len(spread)), constant_values=1)
    gap = np.where(np.isfinite(fourth), third - np.where(np.isfinite(fourth), fourth, 0), -np.inf)
    plain = (today, sizes.largest(sizes.size, 3), third, gap, third / np.maximum(spread, 1e-9))
    return dict(zip(SCORES, (*plain, *_of_hosts(sizes)), strict=True))


def _of_hosts(sizes: Sizes) -> np.ndarray:
    """The scores that compare hosts, the best over three of each neuron, ``(4, n)``."""
    best = np.full((4, len(sizes.graph.keys)), -np.inf)
    for fan in sizes.graph.fans():
        layer = _Layer.of(sizes, fan)
        for row, sender in enumerate(fan.senders):
            hosts = np.argsort(-layer.size[row], kind="stable")[:TOP]
            hosts = hosts[np.isfinite(layer.size[row, hosts])]
            for values in layer.compared(row, hosts):
                best[:, sender] = np.maximum(best[:, sender], values)
    return best


@dataclass(frozen=True, slots=True)
class _Layer:
    """What is known of the edges into a layer; ``s`` senders, ``c`` neurons."""

    size: np.ndarray  # (s, c), minus infinity where an edge does not excite or is below average
    weights: np.ndarray  # (s, c), signed
    read: np.ndarray  # (s, c), sizes of strong edges that excite
    alike: np.ndarray  # (s, s), cosines of the senders' fan-ins

    @classmethod
    def of(cls, sizes: Sizes, fan: Fan) -> _Layer:
        graph = sizes.graph
        kept = sizes.excites & (graph.strength >= 1)
        strong = sizes.excites & (graph.strength >= STRENGTH)
        size = np.full((len(fan.senders), len(fan.neurons)), -np.inf)
        size[fan.row, fan.column] = np.where(kept, sizes.size, -np.inf)[fan.edges]
        root = np.sqrt(graph.share)
        return cls(
            size,
            fan.matrix((np.where(graph.excites, 1, -1) * root)[fan.edges]),
            fan.matrix((strong * root)[fan.edges]),
            _fan_in_cosines(graph, fan.senders),
        )

    def compared(self, row: int, hosts: np.ndarray) -> Iterator[tuple[float, ...]]:
        """The four scores of a sender and any three of its hosts."""
        weights, read = self.weights[:, hosts].copy(), self.read[:, hosts].copy()
        weights[row] = read[row] = 0  # without the feature
        shared = _cosines(weights.T @ weights)
        gram = read.T @ self.alike @ read
        coherent = _cosines(gram)
        own = self.alike[row] @ read / np.sqrt(np.maximum(np.diag(gram), 1e-12))
        for three in itertools.combinations(range(len(hosts)), 3):
            pairs = tuple(np.array(list(itertools.combinations(three, 2))).T)
            if shared[pairs].max() < NOT_COPIES:
                third, alike = self.size[row, hosts[list(three)]].min(), shared[pairs].min()
                main = third + 2 * coherent[pairs].min()
                yield alike, third + 2 * alike, main, main - 2 * own[list(three)].max()


def _fan_in_cosines(graph: SignedGraph, neurons: np.ndarray) -> np.ndarray:
    """Cosines of what some neurons read; those of other layers, or that read nothing, are like
    themselves alone.
    """
    found, place = np.eye(len(neurons)), {neuron: at for at, neuron in enumerate(neurons.tolist())}
    signed = np.where(graph.excites, 1, -1) * np.sqrt(graph.share)
    for fan in graph.fans():
        columns = [at for at, neuron in enumerate(fan.neurons.tolist()) if neuron in place]
        rows = [place[neuron] for neuron in fan.neurons[columns].tolist()]
        weights = fan.matrix(signed[fan.edges])[:, columns]
        found[np.ix_(rows, rows)] = _cosines(weights.T @ weights)
    np.fill_diagonal(found, 1)
    return found


def _cosines(gram: np.ndarray) -> np.ndarray:
    norms = np.sqrt(np.maximum(np.diag(gram), 1e-12))
    return gram / norms / norms[:, None]


def ranked(graph: SignedGraph, score: np.ndarray) -> list[str]:
    """Keys of the neurons that are the main input of none, the highest score first."""
    main = np.zeros(len(score), bool)
    main[graph.sender[graph.rank == 1]] = True
    there = np.flatnonzero(np.isfinite(score) & ~main)
    return graph.names(there[np.argsort(-score[there], kind="stable")])


def measured(path: Path, hosts: str, *, networks: int = NETWORKS) -> Mapping[str, Row]:
    """How many of the planted features each score has among its first rows."""
    rows: dict[str, Row] = {
        score: {"score": score, "hosts": hosts, "planted": 0, "first": 0, "among": 0}
        for score in SCORES
    }
    recipe = Recipe(f"superposition, {hosts}", PLANTED)
    for place in range(networks):
        name = list(ARCHITECTURES)[place % len(ARCHITECTURES)]
        network = trained_like(path, architecture=name, seed=FIRST_SEED + place, recipe=recipe)
        graph = SignedGraph.of_bundle(network.bundle)
        features = set(map(_alone, network.planted))
        for score, values in scores(graph).items():
            found = ranked(graph, values)
            rows[score]["planted"] += len(features)
            rows[score]["first"] += len(features.intersection(found[:PLANTED]))
            rows[score]["among"] += len(features.intersection(found[: 2 * PLANTED]))
    return rows


def _alone(instance: frozenset[str]) -> str:
    """The one neuron of its layer: the feature, not a host."""
    layers = Counter(_layer(key) for key in instance)
    (feature,) = (key for key in instance if layers[_layer(key)] == 1)
    return feature


def _layer(key: str) -> str:
    return key.partition(":")[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for name in HOSTS for row in measured(Path(folder) / "p", name).values()]
    write(
        "superposition", rows, origin=f"`python benchmarks/bench_superposition.py`, {date.today()}."
    )
    result_pages.main()


if __name__ == "__main__":
    main()
