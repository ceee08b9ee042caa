"""The bundle's edge tables, compared layer by layer with edges computed anew from its kernels."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from circuitome.extract.columns import gathered
from circuitome.extract.edges import Pruning, senders, weigh
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import text
from circuitome.graphdb.schema import EDGE_TYPES

__all__ = ["EdgeTables"]


_COLUMNS: Final = ("sender", "receiver", "kernel", "weight", "excitation", "share")


class EdgeTables:
    """The bundle's edges, compared layer by layer with edges computed anew from kernels and
    wiring.
    """

    def __init__(self, bundle: Bundle, wiring: Wiring) -> None:
        keys = bundle.table("Neuron").column("key").combine_chunks()
        self.keep = Pruning.parse(text(bundle.manifest.model, "keep"))
        self.wiring = wiring
        self.streams = [_EdgeStream(bundle, name, keys) for name in EDGE_TYPES]

    def error(self, index: int, kernel: Tensor, arrays: Mapping[str, np.ndarray]) -> float:
        """Largest relative error of weights, excitations and shares of one layer, layers in their
        order; inf where the edges are not the same ones.
        """
        first, stop = map(int, self.wiring.row_offsets[index : index + 2])
        sources = senders(self.wiring, self.wiring.layers[index], arrays)
        receiver = int(self.wiring.offsets[index])
        weighed = weigh(kernel, sources, receivers=receiver, rows=first, keep=self.keep)
        truth = gathered([edges for edges, _, _ in weighed], (*_COLUMNS, "inhibits"))
        signs = np.flatnonzero(~truth["inhibits"]), np.flatnonzero(truth["inhibits"])
        return max(
            _edge_error(stream.until(stop), truth, sign)
            for stream, sign in zip(self.streams, signs, strict=True)
        )

    def left(self) -> int:
        """How many edges belong to no layer."""
        return sum(len(stream.until(1 << 62)["kernel"]) for stream in self.streams)


def _edge_error(
    mine: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], rows: np.ndarray
) -> float:
    """Largest relative error of a column; inf where the edges are not the same ones."""
    if not all(np.array_equal(mine[name], truth[name][rows]) for name in _COLUMNS[:3]):
        return float("inf")
    return max(_relative(mine[name], truth[name][rows]) for name in _COLUMNS[3:])


class _EdgeStream:
    """One edge table, read forwards in the order of its kernel rows."""

    def __init__(self, bundle: Bundle, name: str, keys: pa.Array) -> None:
        self.batches = bundle.batches(name, 1 << 20, columns=("from", "to", *_COLUMNS[2:]))
        self.keys = keys
        self.waiting: dict[str, np.ndarray] | None = self._next()

    def until(self, row: int) -> dict[str, np.ndarray]:
        """The edges up to a kernel row that were not read yet, one array a column."""
        taken = []
        while self.waiting is not None:
            stop = int(np.searchsorted(self.waiting["kernel"], row))
            taken.append({name: column[:stop] for name, column in self.waiting.items()})
            self.waiting = {name: column[stop:] for name, column in self.waiting.items()}
            if len(self.waiting["kernel"]):
                break
            self.waiting = self._next()
        return gathered(taken, _COLUMNS, operator.getitem)

    def _next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        if batch is None:
            return None
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS[2:]}
        return columns | {
            "sender": self._numbers(batch, "from"),
            "receiver": self._numbers(batch, "to"),
        }

    def _numbers(self, batch: pa.RecordBatch, end: str) -> np.ndarray:
        column = batch.column(end)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        found = pc.call_function("index_in", [encoded.dictionary], pc.SetLookupOptions(self.keys))
        return found.fill_null(-1).to_numpy(zero_copy_only=False)[
            encoded.indices.to_numpy(zero_copy_only=False)
        ]


def _relative(mine: np.ndarray, truth: np.ndarray) -> float:
    norm = float(np.linalg.norm(truth.astype(np.float64)))
    return float(np.linalg.norm(mine.astype(np.float64) - truth)) / (norm or 1.0)
