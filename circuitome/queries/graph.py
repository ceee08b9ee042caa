"""The signed edges of one model as numpy arrays: what the motifs' vectorised twins work on.

Neurons are numbered in the order of their keys, so that numbers compare as keys do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import EDGE_TYPES
from circuitome.queries.asks import Asks

__all__ = ["EDGE_COLUMNS", "PREFERENCES", "Fan", "Partners", "SignedGraph", "numbers_of"]

EDGE_COLUMNS: Final = ("weight", "share", "polarity", "rank", "ex", "ey", "ix", "iy")
"""What is known of an edge."""

PREFERENCES: Final = ("orientation_deg", "frequency", "hue_deg", "radius_px")
"""What an annotated neuron may prefer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fan:
    """The edges into one layer as the places of a matrix; ``m`` edges, ``s`` senders, ``c``
    neurons of the layer.
    """

    layer: int  # index into the graph's `layers`
    edges: np.ndarray  # (m,) int64, index into the graph's edges
    senders: np.ndarray  # (s,) int64, neurons of every layer that it reads, ascending
    neurons: np.ndarray  # (c,) int64, ascending
    row: np.ndarray  # (m,) int64, place of the edge's sender in `senders`
    column: np.ndarray  # (m,) int64, place of its receiver in `neurons`

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Values of the edges, ``(m,)``, as ``(s, c)``; zero where there is no edge."""
        dense = np.zeros((len(self.senders), len(self.neurons)), values.dtype)
        dense[self.row, self.column] = values
        return dense


@dataclass(frozen=True, slots=True)
class Partners:
    """Equivariant pairs of one model: the second is the first, transformed; ``m`` pairs."""

    first: np.ndarray  # (m,) int64, neurons by their numbers
    second: np.ndarray  # (m,) int64
    transform: np.ndarray  # (m,) str
    amount: np.ndarray  # (m,) float64, degrees or octaves; NaN where it is not known
    q: np.ndarray  # (m,) float64, false discovery rate; 1 where it is not known

    def of(self, transform: str, *, q: float) -> tuple[np.ndarray, np.ndarray]:
        """Both ends of the distinct pairs under a transform, of at most this q, the lower
        number first, ``(k,)`` each.
        """
        there = (self.transform == transform) & (self.q <= q)
        ends = np.sort(np.column_stack([self.first[there], self.second[there]]), axis=1)
        first, second = np.unique(ends, axis=0).T
        return first, second


@dataclass(frozen=True, slots=True)
class SignedGraph:
    """Neurons and signed edges of one model; ``n`` neurons, ``e`` edges."""

    model: str
    keys: np.ndarray  # (n,) str, sorted
    layers: np.ndarray  # (l,) str, sorted
    layer: np.ndarray  # (n,) int64, index into `layers`
    op: np.ndarray  # (n,) str, what the neuron's layer computes: conv, add ...
    fan_in: np.ndarray  # (n,) int64, connected senders before pruning
    sender: np.ndarray  # (e,) int64, index into `keys`
    receiver: np.ndarray  # (e,) int64
    excites: np.ndarray  # (e,) bool
    weight: np.ndarray  # (e,) float64, signed sum of the kernel
    share: np.ndarray  # (e,) float64
    polarity: np.ndarray  # (e,) float64
    rank: np.ndarray  # (e,) int64
    # (e,) float64, centre of the positive part, pixels right of the kernel's centre; NaN where
    # there is none
    ex: np.ndarray
    ey: np.ndarray  # (e,) float64, the same, pixels below it
    ix: np.ndarray  # (e,) float64, centre of the negative part
    iy: np.ndarray  # (e,) float64
    kind: np.ndarray  # (n,) str, what each neuron responds to; empty where that is not known
    preferences: Mapping[
        str, np.ndarray
    ]  # of `PREFERENCES`, each (n,) float64; NaN where there is none
    partners: (
        Partners  # pairs that annotation found, in the order of transform, first, second and amount
    )
    banding: tuple[
        tuple[str, float, float | None], ...
    ] = ()  # layer key, banding ratio, p; where there is a ratio
    derived: dict[tuple[Any, ...], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # see `once`

    def once(self, name: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What ``make`` gives, made once a graph: several motifs ask a null network for the
        same arrays, and change none.
        """
        if name not in self.derived:
            self.derived[name] = make()
        return self.derived[name]

    def rewired(self, *same: str, **changes: Any) -> SignedGraph:
        """The graph with other arrays; what `once` made under a name that begins with one of
        ``same`` stays true of it.
        """
        graph = dataclasses.replace(self, **changes)
        graph.derived.update(
            {name: value for name, value in self.derived.copy().items() if name[0] in same}
        )
        return graph

    @property
    def strength(self) -> np.ndarray:
        """Share of each edge in units of 1 / fan-in of its receiver, ``(e,)``."""
        return self.once(("strength",), lambda: self.share * self.fan_in[self.receiver])

    def names(self, neurons: np.ndarray) -> list[str]:
        """Keys of some neurons, by their numbers."""
        return self.keys[neurons].tolist()

    def strong(self, *, strength: float, polarity: float) -> np.ndarray:
        """Which edges have at least this strength and |polarity|, ``(e,)`` bool."""
        return self.once(
            ("strong", strength, polarity),
            lambda: (self.strength >= strength) & (np.abs(self.polarity) >= polarity),
        )

    @property
    def effect(self) -> np.ndarray:
        """Signed size of each edge in units of its receiver's root mean square, ``(e,)``:
        polarity x sqrt(strength).
        """
        return self.once(("effect",), lambda: self.polarity * np.sqrt(self.strength))

    def by_receiver(self) -> SignedGraph:
        """The same graph with its edges in the order of their receivers, which rewires faster."""
        order = np.argsort(self.receiver, kind="stable")
        names = ("sender", "receiver", "excites", *EDGE_COLUMNS)
        return dataclasses.replace(self, **{name: getattr(self, name)[order] for name in names})

    def fans(self) -> Iterator[Fan]:
        """The edges into each layer that has some, layer by layer.

        Senders are all neurons of the layers that it reads, wired or not, so that a rewired graph
        has matrices of the same shape.
        """
        return iter(self.once(("fans",), lambda: tuple(self._fans())))

    def _fans(self) -> Iterator[Fan]:
        into = self.layer[self.receiver]
        small = np.int16 if len(self.layers) < 1 << 15 else np.int64
        order = np.argsort(into.astype(small), kind="stable")
        bounds = np.searchsorted(into[order], np.arange(len(self.layers) + 1))
        for layer in np.flatnonzero(np.diff(bounds)):
            yield self._fan(int(layer), order[bounds[layer] : bounds[layer + 1]])

    def _fan(self, layer: int, edges: np.ndarray) -> Fan:
        read = np.zeros(len(self.layers), bool)
        read[self.layer[self.sender[edges]]] = True
        senders, neurons = np.flatnonzero(read[self.layer]), np.flatnonzero(self.layer == layer)
        place = np.empty(len(self.keys), np.int64)
        place[senders] = np.arange(len(senders))
        row = place[self.sender[edges]]
        place[neurons] = np.arange(len(neurons))
        return Fan(layer, edges, senders, neurons, row, place[self.receiver[edges]])

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> SignedGraph:
        """The graph of a bundle; its edges in the order of the tables."""
        edges, excites = _edges_of_bundle(bundle)
        known = ["layer", "op", "fan_in", "kind", *PREFERENCES]
        neurons = bundle.table("Neuron").select(["key", *known]).rename_columns(["neuron", *known])
        named = {"key": "layer", "banding_ratio": "score", "banding_p": "p"}
        layers = bundle.table("Layer").rename_columns(named)
        pairs = bundle.table("EQUIVARIANT_TO").select(["from", "to", "transform", "amount", "q"])
        return _Tables(neurons, edges, layers, pairs).graph(bundle.model, excites)

    @classmethod
    def of_database(cls, database: Asks, *, model: str | None = None) -> SignedGraph:
        """The graph of a model in a database; the only one, where none is named."""
        model = database.model_key(model)
        tables = _Tables(
            neurons=database.ask("neurons", model=model).table,
            edges=_edges(database, model),
            layers=database.ask("weight_banding", model=model, limit=1_000_000).table,
            pairs=database.ask("equivariant_pairs", model=model).table,
        )
        return tables.graph(model, _array(tables.edges.column("weight")) >= 0)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What a graph is made from, by bundle or database."""

    neurons: pa.Table  # columns as in the query `neurons`
    edges: pa.Table  # sender, receiver, `EDGE_COLUMNS`
    layers: pa.Table  # layer, score (banding ratio), p
    pairs: pa.Table  # both ends, transform, amount, q

    def graph(self, model: str, excites: np.ndarray) -> SignedGraph:
        """The graph; ``excites`` says it of each edge, ``(e,)`` bool."""
        neurons = self.neurons.sort_by("neuron")
        keys = neurons.column("neuron").combine_chunks()
        layers = neurons.column("layer").unique().sort()
        return SignedGraph(
            model=model,
            keys=_array(keys),
            layers=_array(layers),
            layer=numbers_of(neurons.column("layer"), layers),
            op=_text(neurons.column("op")),
            fan_in=_array(neurons.column("fan_in").fill_null(0)),
            sender=numbers_of(self.edges.column("sender"), keys),
            receiver=numbers_of(self.edges.column("receiver"), keys),
            excites=excites,
            **self._measures(),
            kind=_text(neurons.column("kind")),
            preferences={
                name: _array(neurons.column(name)).astype(np.float64) for name in PREFERENCES
            },
            partners=_partners(self.pairs, keys),
            banding=self._banding(),
        )

    def _measures(self) -> dict[str, np.ndarray]:
        """`EDGE_COLUMNS` as arrays."""
        columns = {name: _array(self.edges.column(name)) for name in EDGE_COLUMNS}
        kinds = {"rank": np.int64}
        return {name: col.astype(kinds.get(name, np.float64)) for name, col in columns.items()}

    def _banding(self) -> tuple[tuple[str, float, float | None], ...]:
        rows = self.layers.select(["layer", "score", "p"]).to_pylist()
        return tuple(
            (row["layer"], row["score"], row["p"]) for row in rows if row["score"] is not None
        )


def _edges_of_bundle(bundle: Bundle) -> tuple[pa.Table, np.ndarray]:
    """The edges of both types, and which of them excite, ``(e,)`` bool."""
    columns = ["from", "to", *EDGE_COLUMNS]
    tables = [_plain(bundle.table(name).select(columns)) for name in EDGE_TYPES]
    sizes = [table.num_rows for table in tables]
    excites = np.repeat([name == "EXCITES" for name in EDGE_TYPES], sizes)
    names = ["sender", "receiver", *EDGE_COLUMNS]
    return pa.concat_tables(tables).rename_columns(names), excites


def _edges(database: Asks, model: str) -> pa.Table:
    """All edges of a model by receiver and sender, asked layer by layer: an engine that sorts
    them all needs gigabytes.
    """
    layers = database.ask("layers", model=model).table.column("layer").to_pylist()
    tables = [database.ask("edges", model=model, layer=layer).table for layer in layers]
    found = [table for table in tables if table.num_rows] or tables[
        :1
    ]  # without rows an engine may know no types
    return pa.concat_tables(found, promote_options="permissive").sort_by(
        [("receiver", "ascending"), ("sender", "ascending")]
    )


def _partners(table: pa.Table, keys: pa.Array) -> Partners:
    """The pairs of a table: both ends, ``transform``, ``amount`` and ``q``, in this order."""
    table = table.rename_columns(["first", "second", "transform", "amount", "q"])
    first, second = (
        numbers_of(table.column(name).cast(pa.string()), keys) for name in ("first", "second")
    )
    transform = _array(table.column("transform").cast(pa.string())).astype(str)
    # a database that has no pairs knows no types
    amount, q = (_array(table.column(name).cast(pa.float64())) for name in ("amount", "q"))
    q = np.nan_to_num(q, nan=1.0)
    order = np.lexsort((q, amount, second, first, transform))
    return Partners(first[order], second[order], transform[order], amount[order], q[order])


def numbers_of(column: pa.Array | pa.ChunkedArray, keys: pa.Array) -> np.ndarray:
    """Place of each key of a column in ``keys``, which holds them all, ``(len(column),)`` int64."""
    # pyarrow makes its compute functions when it is imported, so that no type checker sees them
    return _array(pc.call_function("index_in", [column], pc.SetLookupOptions(keys))).astype(
        np.int64
    )


def _plain(table: pa.Table) -> pa.Table:
    """The table with its ends as plain strings: two dictionaries are not one."""
    ends = [table.column(name).cast(pa.string()) for name in ("from", "to")]
    return pa.table(
        [*ends, *(table.column(name) for name in table.column_names[2:])], names=table.column_names
    )


def _text(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of text; empty where there is none."""
    return _array(column.cast(pa.string()).fill_null(""))


def _array(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)
