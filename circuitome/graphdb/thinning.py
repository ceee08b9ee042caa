"""A bundle without its weak edges, for a database that has to stay small.

What the tables say of pruning is said anew, as if the extraction had left these edges out: dropped
edges and kept mass of neurons, layers and pairs of layers. Shares and ranks stay what they are, and
the edges that go are the last by rank.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.drafts import draft
from circuitome.graphdb.schema import EDGE_TYPES, WEIGHTED

__all__ = ["thinned"]

_BATCH: Final = 1 << 20  # edges that are looked at together


@contextmanager
def thinned(bundle: Bundle, least_share: float) -> Iterator[Bundle]:
    """The bundle without edges whose share is smaller, in a folder that is gone in the end.

    `BundleError` where the bundle is damaged.
    """
    bundle.check()
    with draft(Path(tempfile.gettempdir(), "circuitome")) as folder:
        copy, pruning = folder / "bundle", _Pruning(bundle)
        with BundleWriter.amend(bundle, to=copy) as writer:
            for table in WEIGHTED:
                writer.replace(table, _strong(bundle, table, least_share, pruning))
            for table, rows in pruning.tables():
                writer.replace(table, rows)
            keep = bundle.manifest.model.get("keep") or "all"
            writer.finish(model={"keep": f"{keep} share {least_share:g}"})
        yield Bundle.open(copy)


def _strong(
    bundle: Bundle, table: str, least_share: float, pruning: _Pruning
) -> Iterator[pa.Table]:
    """The edges of a table that stay; of signed ones, those that go are counted."""
    for batch in bundle.batches(table, _BATCH):
        share = np.nan_to_num(_numbers(batch["share"]))
        stays = share >= least_share
        if table in EDGE_TYPES:
            pruning.count(batch, share, stays)
        yield pa.Table.from_batches([batch]).filter(pa.array(stays))


class _Pruning:
    """The edges that go, by receiver, by its layer, and by pair of layers."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        neurons, layers = bundle.table("Neuron"), bundle.table("Layer")
        self._keys, self._layers = neurons["key"], layers["key"]
        self._layer = _places(neurons["layer"], self._layers)
        self._squared_norm = np.nan_to_num(np.square(_numbers(neurons["fan_in_norm"])))
        self._of_neurons = _Tally(len(self._keys))
        self._of_layers = _Tally(len(self._layers))
        self._of_pairs = _Tally(len(self._layers) ** 2)

    def count(self, edges: pa.RecordBatch, share: np.ndarray, stays: np.ndarray) -> None:
        """Count signed edges, of which some stay."""
        sender, receiver = (_places(edges[end], self._keys) for end in ("from", "to"))
        mass = share * self._squared_norm[receiver]
        self._of_neurons.count(receiver, share, stays)
        self._of_layers.count(self._layer[receiver], mass, stays)
        self._of_pairs.count(self._pairs(self._layer[sender], self._layer[receiver]), mass, stays)

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """The tables that tell of pruning, with what they now have to say."""
        yield "Neuron", self._of_neurons.told(self._bundle.table("Neuron"))
        yield "Layer", self._of_layers.told(self._bundle.table("Layer"))
        pairs = self._bundle.table("NEXT")
        ends = (_places(pairs[end], self._layers) for end in ("from", "to"))
        yield "NEXT", self._of_pairs.told(pairs, self._pairs(*ends))

    def _pairs(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        return source * len(self._layers) + target


class _Tally:
    """Edges that go, and the squared norm of those that there were and of those that stay, by
    some place of theirs.
    """

    def __init__(self, places: int) -> None:
        self._gone = np.zeros(places, np.int64)
        self._before, self._after = np.zeros(places), np.zeros(places)

    def count(self, place: np.ndarray, mass: np.ndarray, stays: np.ndarray) -> None:
        """Count edges at their places, of which some stay."""
        size = len(self._gone)
        self._gone += np.bincount(place[~stays], minlength=size)
        self._before += np.bincount(place, mass, size)
        self._after += np.bincount(place[stays], mass[stays], size)

    def told(self, rows: pa.Table, places: np.ndarray | None = None) -> pa.Table:
        """The rows of these places, or of all in order, with edges, dropped edges and kept mass
        as they now are; what was null stays null.
        """
        chosen = np.arange(len(self._gone)) if places is None else places
        gone, before, after = self._gone[chosen], self._before[chosen], self._after[chosen]
        left = np.divide(after, before, out=np.ones(len(chosen)), where=(gone > 0) & (before > 0))
        for column, change, values in (
            ("edges", "subtract", gone),
            ("dropped", "add", gone),
            ("kept_mass", "multiply", left),
        ):
            if column in rows.column_names:
                new = pc.call_function(change, [rows[column], pa.array(values)])
                rows = rows.set_column(rows.column_names.index(column), column, new)
        return rows


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column as float64, NaN for null."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _places(keys: pa.Array | pa.ChunkedArray, among: pa.ChunkedArray) -> np.ndarray:
    """Where keys stand among others; all of them do."""
    if isinstance(keys, pa.DictionaryArray):
        return _places(keys.dictionary, among)[keys.indices.to_numpy()]
    known = among.combine_chunks()
    return pc.call_function(
        "index_in", [keys.cast(pa.string())], pc.SetLookupOptions(known)
    ).to_numpy()
