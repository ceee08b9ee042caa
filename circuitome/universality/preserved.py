"""Preserved circuits: edges and motifs of one network that recur between analogues in another.

An analogue is a mutual best match with a low q both ways (`universality.features.mutual_links`). An
edge is strong if its strength (share x fan-in) is at least `STRONG`. A strong edge whose two ends
have analogues is *preserved* if an edge of the same sign joins the analogues, and the two strengths
are within a factor of `FACTOR`. Rewired copies of the other network tell how many are preserved by
chance: `kernels` deals each receiver's edges to its senders again, `relabel` permutes the channels
of a layer as inputs. Both keep which layers are joined, and how strongly.

A motif recurs if analogues of all its neurons play the same parts in an instance of the same motif.
Chance: analogues permuted among those of one layer of the other network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph
from circuitome.queries.motifs import mutual_inhibition, opponent_pairs, push_pull
from circuitome.queries.motifs.motif import Motif
from circuitome.queries.motifs.nulls import find_null
from circuitome.significance import empirical_p
from circuitome.universality.features import mutual_links

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.universality.compare import Comparison

__all__ = [
    "FACTOR",
    "REWIRED",
    "STRONG",
    "Correspondence",
    "Preserved",
    "circuit_rows",
    "compare_circuits",
    "preserved_edges",
    "preserved_table",
    "recurrences",
]

STRONG: Final = 4.0
"""Least strength of an edge that is looked for, in units of 1 / fan-in."""
FACTOR: Final = 4.0
"""Strengths are comparable within this factor, either way."""
COPIES: Final = 199  # null networks, and permutations
REWIRED: Final = ("kernels", "relabel")
"""Null models of preserved edges, of `circuitome.queries.motifs.nulls`."""


@dataclass(frozen=True, slots=True)
class Correspondence:
    """Analogues of one network's neurons in another, as numbers of neurons; ``m`` of them."""

    here: np.ndarray  # (m,) int64, neurons of the one graph
    there: np.ndarray  # (m,) int64, neurons of the other; none twice in either

    @classmethod
    def of(
        cls, here: SignedGraph, there: SignedGraph, pairs: Sequence[tuple[str, str]]
    ) -> Correspondence:
        """The correspondence of keys; a pair with a neuron that its graph lacks is left out."""
        ends = [
            _numbers(graph, [pair[side] for pair in pairs])
            for side, graph in enumerate((here, there))
        ]
        known = (ends[0] >= 0) & (ends[1] >= 0)
        return cls(ends[0][known], ends[1][known])

    def turned(self) -> Correspondence:
        """The same from the other end."""
        return Correspondence(self.there, self.here)

    def lookup(self, size: int, side: str) -> np.ndarray:
        """Place of every neuron of a side in the arrays, ``(size,)``; -1 without an analogue."""
        place = np.full(size, -1)
        neurons = getattr(self, side)
        place[neurons] = np.arange(len(neurons))
        return place


def _numbers(graph: SignedGraph, keys: Sequence[str]) -> np.ndarray:
    wanted = np.array(keys, dtype=object)
    if not len(graph.keys) or not len(wanted):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(graph.keys, wanted), len(graph.keys) - 1)
    return np.where(graph.keys[at] == wanted, at, -1)


@dataclass(frozen=True, slots=True)
class Preserved:
    """Strong edges of one network whose ends have analogues in another, by ``k`` pairs of
    layers.
    """

    model: str
    other: str
    senders: tuple[str, ...]  # keys of the layers that the edges come from
    receivers: tuple[str, ...]
    edges: np.ndarray  # (k,)
    joined: np.ndarray  # (k,) of them those whose analogues are in layers that are joined at all
    preserved: np.ndarray  # (k,)
    nulls: Mapping[str, np.ndarray]  # null model -> (copies, k) preserved in rewired copies

    def judged(self, *, whole: bool = False) -> list[dict[str, Any]]:
        """One row a pair of layers, or one of all, against the null model with the larger p."""
        pick = (lambda counts: counts.sum(-1, keepdims=True)) if whole else (lambda counts: counts)
        ends: list[tuple[str | None, str | None]] = [(None, None)] if whole else []
        ends = ends or list(zip(self.senders, self.receivers, strict=True))
        rows = []
        for place, (sender, receiver) in enumerate(ends):
            found = int(pick(self.preserved)[place])
            tests = [
                (_judged(found, pick(counts)[:, place]), name)
                for name, counts in self.nulls.items()
            ]
            test, name = max(tests, key=lambda item: (item[0]["p"], item[0]["expected"], item[1]))
            rows.append(
                {
                    "senders": sender,
                    "receivers": receiver,
                    "edges": int(pick(self.edges)[place]),
                    "joined": int(pick(self.joined)[place]),
                    "preserved": found,
                    **test,
                    "null": name,
                }
            )
        return rows


def _judged(found: int, null: np.ndarray) -> dict[str, float]:
    return {
        "expected": float(null.mean()),
        "sd": float(null.std(ddof=1)) if len(null) > 1 else 0.0,
        "p": float(empirical_p(found, null)),
    }


def preserved_edges(
    here: SignedGraph,
    there: SignedGraph,
    images: Correspondence,
    *,
    strength: float = STRONG,
    factor: float = FACTOR,
    copies: int = COPIES,
    seed: int = 0,
) -> Preserved:
    """Which strong edges of ``here`` recur in ``there``, and how many in its rewired copies."""
    place, n = images.lookup(len(here.keys), "here"), len(there.keys)
    chosen = (here.strength >= strength) & (place[here.sender] >= 0) & (place[here.receiver] >= 0)
    chosen = np.flatnonzero(chosen)
    sent, received = (images.there[place[ends[chosen]]] for ends in (here.sender, here.receiver))
    order = np.argsort(sent * n + received)
    chosen, sent, received = chosen[order], sent[order], received[order]
    pair = here.layer[here.receiver[chosen]] * len(here.layers) + here.layer[here.sender[chosen]]
    pairs, group = np.unique(pair, return_inverse=True)

    def count(graph: SignedGraph) -> np.ndarray:
        """Preserved edges of each pair of layers, ``(k,)``."""
        at, edge = _found(sent * n + received, graph.sender * n + graph.receiver)
        one, other = here.strength[chosen[at]], graph.strength[edge]
        alike = (
            (here.excites[chosen[at]] == graph.excites[edge])
            & (other <= one * factor)
            & (one <= other * factor)
        )
        return np.bincount(group[at[alike]], minlength=len(pairs))

    part, rng = _into(there, received), np.random.default_rng(seed)
    layers = np.unique(there.layer[there.sender] * len(there.layers) + there.layer[there.receiver])
    joined = np.isin(there.layer[sent] * len(there.layers) + there.layer[received], layers)
    nulls = {
        name: np.array([count(find_null(name)(part, rng)) for _ in range(copies)]).reshape(
            copies, len(pairs)
        )
        for name in REWIRED
    }
    return Preserved(
        here.model,
        there.model,
        tuple(here.layers[pairs % len(here.layers)].tolist()),
        tuple(here.layers[pairs // len(here.layers)].tolist()),
        np.bincount(group, minlength=len(pairs)),
        np.bincount(group[joined], minlength=len(pairs)),
        count(part),
        nulls,
    )


def _found(wanted: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in ``wanted``, which ascends, of the codes that it holds; places of these codes."""
    if not len(wanted):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    at = np.minimum(np.searchsorted(wanted, codes), len(wanted) - 1)
    there = np.flatnonzero(wanted[at] == codes)
    return at[there], there


def _into(graph: SignedGraph, receivers: np.ndarray) -> SignedGraph:
    """The graph with the edges into some neurons alone, and one of every column.

    Rewired, those edges are as in the rewired whole: `kernels` works receiver by receiver, and
    `relabel` deals out the same columns.
    """
    chosen = np.zeros(len(graph.keys), bool)
    chosen[receivers] = True
    _, column = np.unique(
        graph.sender * len(graph.layers) + graph.layer[graph.receiver], return_index=True
    )
    return _with_edges(
        graph, np.union1d(np.flatnonzero(chosen[graph.receiver]), column)
    ).by_receiver()


def _with_edges(graph: SignedGraph, edges: np.ndarray) -> SignedGraph:
    names = ("sender", "receiver", "excites", *EDGE_COLUMNS)
    return dataclasses.replace(graph, **{name: getattr(graph, name)[edges] for name in names})


def preserved_table(found: Sequence[Preserved]) -> pa.Table:
    """Rows of ``PRESERVED_IN``."""
    names = ("senders", "edges", "preserved", "expected", "sd", "p", "null")
    rows = [
        {"from": row["receivers"], "to": one.other} | {name: row[name] for name in names}
        for one in found
        for row in one.judged()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("PRESERVED_IN"))


_RECURRING: Final = (opponent_pairs.MOTIF, push_pull.MOTIF, mutual_inhibition.MOTIF)
"""Motifs whose instances are looked for in the other network, with their own thresholds."""


def _instances(motif: Motif, graph: SignedGraph, among: np.ndarray) -> np.ndarray:
    """Instances of a motif all of whose neurons are in ``among``, as rows of neurons."""
    chosen = np.zeros(len(graph.keys), bool)
    chosen[among] = True
    if motif is mutual_inhibition.MOTIF:  # has no part in other edges than its own
        graph = _with_edges(graph, np.flatnonzero(chosen[graph.sender] & chosen[graph.receiver]))
    rows = np.column_stack(motif.instances(graph).columns())
    return rows[chosen[rows].all(1)]


def _codes(rows: np.ndarray, size: int) -> np.ndarray:
    """One number an instance: its cases in ascending order, and their sources with them."""
    turned = rows[:, 0] > rows[:, 1]
    rows = np.where(turned[:, None], rows[:, _TURNED[: rows.shape[1]]], rows)
    return rows @ size ** np.arange(rows.shape[1])


_TURNED: Final = [1, 0, 3, 2]


def recurrences(
    here: SignedGraph,
    there: SignedGraph,
    images: Correspondence,
    *,
    copies: int = COPIES,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """How many instances of each motif recur in the other network, and how many by chance."""
    own, others = images.lookup(len(here.keys), "here"), images.lookup(len(there.keys), "there")
    m, rng = len(images.here), np.random.default_rng(seed)
    layer = there.layer[images.there]
    home = np.argsort(layer, kind="stable")
    for motif in _RECURRING:
        codes = _codes(own[_instances(motif, here, images.here)], m)
        rows = others[_instances(motif, there, images.there)]
        found = int(np.isin(codes, _codes(rows, m)).sum())
        null = np.zeros(copies, np.int64)
        for number in range(copies if len(codes) and len(rows) else 0):
            drawn = np.empty(m, np.int64)
            drawn[home] = np.lexsort((rng.random(m), layer))
            null[number] = np.isin(codes, _codes(drawn[rows], m)).sum()
        yield {
            "motif": motif.kind,
            "instances": len(codes),
            "recurring": found,
            **_judged(found, null),
        }


def circuit_rows(found: Preserved, motifs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is preserved as rows of one shape: all edges, edges by pairs of layers, motifs."""
    model = {"model": found.model, "other": found.other}
    rows = []
    for row in (*found.judged(whole=True), *found.judged()):
        counts = {"found": row["edges"], "again": row["preserved"]}
        rest = {name: row[name] for name in ("expected", "sd", "p", "null")}
        rows.append(
            model
            | {"what": "edges", "senders": row["senders"], "receivers": row["receivers"]}
            | counts
            | rest
        )
    for row in motifs:
        counts = {"found": row["instances"], "again": row["recurring"]}
        rest = {name: row[name] for name in ("expected", "sd", "p")} | {
            "null": "permuted analogues"
        }
        rows.append(
            model | {"what": row["motif"], "senders": None, "receivers": None} | counts | rest
        )
    return rows


def compare_circuits(
    found: Comparison, a: Bundle, b: Bundle, *, copies: int = COPIES, seed: int = 0
) -> Comparison:
    """The comparison with its circuits: rows of ``PRESERVED_IN``, and `Comparison.circuits`."""
    links = mutual_links([found.tables["ANALOGOUS_TO"]])
    ends = zip(links.first, links.second, strict=True)
    pairs = [
        (first, second) if first.startswith(f"{found.a}/") else (second, first)
        for first, second in ends
    ]
    one, other = SignedGraph.of_bundle(a), SignedGraph.of_bundle(b)
    images = Correspondence.of(one, other, pairs)
    ways, rows = [], []
    for here, there, way in ((one, other, images), (other, one, images.turned())):
        edges = preserved_edges(here, there, way, copies=copies, seed=seed)
        rows += circuit_rows(edges, list(recurrences(here, there, way, copies=copies, seed=seed)))
        ways.append(edges)
    tables = {**found.tables, "PRESERVED_IN": preserved_table(ways)}
    return dataclasses.replace(found, tables=tables, circuits=tuple(rows))
