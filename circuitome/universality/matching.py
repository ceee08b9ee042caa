"""Best matches between the neurons of two networks: one matrix product a layer, and what is
kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["Products", "multiply", "mutual_best", "shuffled"]


@dataclass(frozen=True, slots=True)
class Products:
    """Correlations of all neurons of one network (rows) with all of another (columns), by their
    layers.
    """

    # (rows, column layers) float32: a row's best in each layer of the columns
    by_column_layer: np.ndarray
    # (row layers, columns) float32: a column's best in each layer of the rows
    by_row_layer: np.ndarray
    column_of: np.ndarray  # (rows,) the column that matches a row best
    row_of: np.ndarray  # (columns,) the row that matches a column best
    squares: np.ndarray  # (row layers, column layers) float64: sums of squared correlations

    @property
    def of_rows(self) -> np.ndarray:
        """The best match of every row, ``(rows,)``."""
        return self.by_column_layer.max(1)

    @property
    def of_columns(self) -> np.ndarray:
        """The best match of every column, ``(columns,)``."""
        return self.by_row_layer.max(0)

    def turned(self) -> Products:
        """The same with rows and columns exchanged."""
        return Products(
            by_column_layer=self.by_row_layer.T,
            by_row_layer=self.by_column_layer.T,
            column_of=self.row_of,
            row_of=self.column_of,
            squares=self.squares.T,
        )


def multiply(
    rows: np.ndarray, row_starts: np.ndarray, columns: np.ndarray, column_starts: np.ndarray
) -> Products:
    """Correlate ``rows`` ``(n, samples)`` with ``columns`` ``(m, samples)``, both of mean 0 and
    length 1, layer by layer.

    ``starts``: first neuron of every layer, and their number at the end. No more than one layer's
    correlations are in memory at a time.

    >>> line = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]) / np.sqrt(2)
    >>> multiply(line, np.array([0, 2]), line[::-1], np.array([0, 1, 2])).column_of
    array([1, 0])
    """
    firsts, every = column_starts[:-1], np.arange(len(columns))
    by_column_layer, column_of, by_row_layer, places, squares = [], [], [], [], []
    for start, stop in pairwise(row_starts):
        scores = rows[start:stop] @ columns.T
        by_column_layer.append(np.maximum.reduceat(scores, firsts, axis=1))
        column_of.append(scores.argmax(1))
        place = scores.argmax(0)
        by_row_layer.append(scores[place, every])
        places.append(start + place)
        total = np.einsum("ij,ij->j", scores, scores, dtype=np.float64)
        squares.append(np.add.reduceat(total, firsts))
    best = np.array(by_row_layer, np.float32)
    return Products(
        by_column_layer=np.concatenate(by_column_layer, dtype=np.float32),
        by_row_layer=best,
        column_of=np.concatenate(column_of),
        row_of=np.array(places)[best.argmax(0), every],
        squares=np.array(squares),
    )


def mutual_best(found: Products) -> np.ndarray:
    """Rows whose best column has them as its best row, ``(rows,)`` bool."""
    return found.row_of[found.column_of] == np.arange(len(found.column_of))


def shuffled(rows: np.ndarray, per_picture: int, *, seed: int) -> np.ndarray:
    """Every row with its pictures in an order of its own: what matches it then, matches by its
    distribution alone.
    """
    pictures = rows.reshape(len(rows), -1, per_picture)
    order = np.random.default_rng(seed).random(pictures.shape[:2]).argsort(1)
    return np.take_along_axis(pictures, order[..., None], 1).reshape(rows.shape)
