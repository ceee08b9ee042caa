"""Preserved edges: strong edges of one network that recur between analogues in another.

An analogue is a mutual best match with a low q both ways (`universality.features.mutual_links`). An
edge is strong if its strength (share x fan-in) is at least `STRONG`. A strong edge whose two ends
have analogues is *preserved* if an edge of the same sign joins the analogues, and the two strengths
are within a factor of `FACTOR`. Rewired copies of the other network tell how many are preserved by
chance: `kernels` deals each receiver's edges to its senders again, `relabel` permutes the channels
of a layer as inputs. Both keep which layers are joined, and how strongly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

import numpy as np
import pyarrow as pa

from circuitome.graphdb.schema import arrow_schema
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph
from circuitome.queries.motifs.nulls import find_null
from circuitome.significance import empirical_p

__all__ = [
    "COPIES",
    "FACTOR",
    "REWIRED",
    "STRONG",
    "Correspondence",
    "Judged",
    "Preserved",
    "among",
    "judged",
    "preserved_edges",
    "preserved_table",
    "with_edges",
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

    here: SignedGraph
    there: SignedGraph
    own: np.ndarray  # (m,) int64, neurons of `here`
    others: np.ndarray  # (m,) int64, neurons of `there`; none twice in either

    @classmethod
    def of(
        cls, here: SignedGraph, there: SignedGraph, pairs: Sequence[tuple[str, str]]
    ) -> Correspondence:
        """The correspondence of keys; a pair with a neuron that its graph lacks is left out."""
        own = _numbers(here, [key for key, _ in pairs])
        others = _numbers(there, [key for _, key in pairs])
        known = (own >= 0) & (others >= 0)
        return cls(here, there, own[known], others[known])

    def turned(self) -> Correspondence:
        """The same from the other end."""
        return Correspondence(self.there, self.here, self.others, self.own)

    def places(self) -> np.ndarray:
        """Place of every neuron of `here` in the arrays; -1 without an analogue."""
        place = np.full(len(self.here.keys), -1)
        place[self.own] = np.arange(len(self.own))
        return place


def _numbers(graph: SignedGraph, keys: Sequence[str]) -> np.ndarray:
    wanted = np.array(keys, dtype=object)
    if not len(graph.keys) or not len(wanted):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(graph.keys, wanted), len(graph.keys) - 1)
    return np.where(graph.keys[at] == wanted, at, -1)


class Judged(TypedDict):
    """A count against those of null networks."""

    expected: float
    sd: float
    p: float


class JudgedEdges(Judged):
    """Preserved edges of a pair of layers, or of all, against the null model with the larger p."""

    senders: str | None
    receivers: str | None
    edges: int
    joined: int
    preserved: int
    null: str


def judged(found: int, null: np.ndarray) -> Judged:
    """A count against those of null networks, ``(copies,)``."""
    return {
        "expected": float(null.mean()),
        "sd": float(null.std(ddof=1)) if len(null) > 1 else 0.0,
        "p": float(empirical_p(found, null)),
    }


@dataclass(frozen=True, slots=True)
class Preserved:
    """Strong edges of one network whose ends have analogues in another, by ``k`` pairs of
    layers.
    """

    model: str
    other: str
    senders: tuple[str | None, ...]  # keys of the layers that the edges come from
    receivers: tuple[str | None, ...]
    edges: np.ndarray  # (k,)
    joined: np.ndarray  # (k,) of them those whose analogues are in layers that are joined at all
    preserved: np.ndarray  # (k,)
    nulls: Mapping[str, np.ndarray]  # null model -> (copies, k) preserved in rewired copies

    def judged(self, *, whole: bool = False) -> list[JudgedEdges]:
        """One row a pair of layers, or one of all, against the null model with the larger p."""
        counts = self._together() if whole else self
        return [counts._row(place) for place in range(len(counts.edges))]

    def _together(self) -> Preserved:
        """All pairs of layers as one without names."""
        return dataclasses.replace(
            self,
            senders=(None,),
            receivers=(None,),
            edges=self.edges.sum(keepdims=True),
            joined=self.joined.sum(keepdims=True),
            preserved=self.preserved.sum(keepdims=True),
            nulls={name: null.sum(1, keepdims=True) for name, null in self.nulls.items()},
        )

    def _row(self, place: int) -> JudgedEdges:
        found = int(self.preserved[place])
        tests = [(judged(found, null[:, place]), name) for name, null in self.nulls.items()]
        hardest, name = max(tests, key=lambda test: (test[0]["p"], test[0]["expected"], test[1]))
        return {
            "senders": self.senders[place],
            "receivers": self.receivers[place],
            "edges": int(self.edges[place]),
            "joined": int(self.joined[place]),
            "preserved": found,
            **hardest,
            "null": name,
        }


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Strong edges whose ends both have analogues, and the ends that they would have there; ``w``
    of them, in the order of `codes`.
    """

    here: SignedGraph
    edges: np.ndarray  # (w,) index into the edges of `here`
    senders: np.ndarray  # (w,) analogue of each edge's sender
    receivers: np.ndarray  # (w,) and of its receiver
    codes: np.ndarray  # (w,) one number for both analogues, ascending
    pairs: np.ndarray  # (k,) pairs of layers of `here`, as `_layer_pairs` has them
    pair: np.ndarray  # (w,) index of each edge's pair

    @classmethod
    def of(cls, images: Correspondence, strength: float) -> _Wanted:
        """The edges of at least this strength."""
        here, place = images.here, images.places()
        known = (place[here.sender] >= 0) & (place[here.receiver] >= 0)
        edges = np.flatnonzero((here.strength >= strength) & known)
        senders, receivers = here.sender[edges], here.receiver[edges]
        sent, received = images.others[place[senders]], images.others[place[receivers]]
        codes = _edge_codes(images.there, sent, received)
        order = np.argsort(codes)
        pairs, pair = np.unique(_layer_pairs(here, senders, receivers), return_inverse=True)
        return cls(
            here, edges[order], sent[order], received[order], codes[order], pairs, pair[order]
        )

    def by_pair(self, some: np.ndarray) -> np.ndarray:
        """How many of some of the edges belong to each pair of layers, ``(k,)``."""
        return np.bincount(self.pair[some], minlength=len(self.pairs))

    def preserved(self, graph: SignedGraph, factor: float) -> np.ndarray:
        """Edges of each pair of layers that have a like one in the other graph, ``(k,)``."""
        at, edge = _found(self.codes, _edge_codes(graph, graph.sender, graph.receiver))
        own = self.edges[at]
        one, other = self.here.strength[own], graph.strength[edge]
        comparable = (other <= one * factor) & (one <= other * factor)
        return self.by_pair(at[comparable & (self.here.excites[own] == graph.excites[edge])])


def _edge_codes(graph: SignedGraph, senders: np.ndarray, receivers: np.ndarray) -> np.ndarray:
    return senders * len(graph.keys) + receivers


def _layer_pairs(graph: SignedGraph, senders: np.ndarray, receivers: np.ndarray) -> np.ndarray:
    return graph.layer[receivers] * len(graph.layers) + graph.layer[senders]


def preserved_edges(
    images: Correspondence,
    *,
    strength: float = STRONG,
    factor: float = FACTOR,
    copies: int = COPIES,
    seed: int = 0,
) -> Preserved:
    """Which strong edges of a network recur in the other, and how many in its rewired copies."""
    here, there, wanted = images.here, images.there, _Wanted.of(images, strength)
    part, rng = _into(there, wanted.receivers), np.random.default_rng(seed)
    nulls = {}
    for name in REWIRED:
        rewired = (find_null(name)(part, rng) for _ in range(copies))
        counts = [wanted.preserved(graph, factor) for graph in rewired]
        nulls[name] = np.reshape(counts, (copies, len(wanted.pairs)))
    joined = np.isin(
        _layer_pairs(there, wanted.senders, wanted.receivers),
        _layer_pairs(there, there.sender, there.receiver),
    )
    receivers, senders = np.divmod(wanted.pairs, len(here.layers))
    return Preserved(
        model=here.model,
        other=there.model,
        senders=tuple(here.layers[senders].tolist()),
        receivers=tuple(here.layers[receivers].tolist()),
        edges=wanted.by_pair(np.arange(len(wanted.edges))),
        joined=wanted.by_pair(np.flatnonzero(joined)),
        preserved=wanted.preserved(part, factor),
        nulls=nulls,
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
    columns = graph.sender * len(graph.layers) + graph.layer[graph.receiver]
    one_each = np.unique(columns, return_index=True)[1]
    into = np.flatnonzero(among(graph, receivers)[graph.receiver])
    return with_edges(graph, np.union1d(into, one_each)).by_receiver()


def among(graph: SignedGraph, neurons: np.ndarray) -> np.ndarray:
    """Which neurons of the graph are among some, ``(n,)`` bool."""
    chosen = np.zeros(len(graph.keys), bool)
    chosen[neurons] = True
    return chosen


def with_edges(graph: SignedGraph, edges: np.ndarray) -> SignedGraph:
    """The graph with some of its edges alone."""
    names = ("sender", "receiver", "excites", *EDGE_COLUMNS)
    return dataclasses.replace(graph, **{name: getattr(graph, name)[edges] for name in names})


def preserved_table(found: Sequence[Preserved]) -> pa.Table:
    """Rows of ``PRESERVED_IN``."""
    rows = [
        row | {"from": row["receivers"], "to": one.other} for one in found for row in one.judged()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("PRESERVED_IN"))
