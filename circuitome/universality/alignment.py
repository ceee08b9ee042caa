"""Which layer of one network is like which of another: mutual matches, linear CKA, and a picture of
both.

CKA: Kornblith, Norouzi, Lee and Hinton, *Similarity of Neural Network Representations Revisited*
(2019); here of signatures, in which every neuron counts alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

import numpy as np

from circuitome.universality.matching import Products, mutual_best

__all__ = ["alignment_svg", "linear_cka", "mutual_shares", "own_squares"]


def own_squares(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum of the squared correlations within each layer, ``(layers,)``."""
    layers = (rows[start:stop] for start, stop in pairwise(starts))
    return np.array([float(np.sum((layer @ layer.T).astype(np.float64) ** 2)) for layer in layers])


def linear_cka(found: Products, of_rows: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """Linear CKA ``(row layers, column layers)``, from `own_squares` of both; 0 where a layer
    is silent.
    """
    scale = np.sqrt(of_rows[:, None] * of_columns)
    return np.where(scale > 0, found.squares / np.where(scale > 0, scale, 1), 0)


def mutual_shares(found: Products, row_layer: np.ndarray, column_layer: np.ndarray) -> np.ndarray:
    """Mutual best matches of the whole networks that fall between two layers, as a share of the
    smaller's neurons.
    """
    mutual = np.flatnonzero(mutual_best(found) & (found.of_rows > 0))
    sizes = np.bincount(row_layer), np.bincount(column_layer)
    count = np.zeros((len(sizes[0]), len(sizes[1])))
    np.add.at(count, (row_layer[mutual], column_layer[found.column_of[mutual]]), 1)
    return count / np.minimum(sizes[0][:, None], sizes[1])


CELL = 14
MARGIN = 190


def alignment_svg(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    matrices: Sequence[tuple[str, np.ndarray]],
) -> str:
    """Heat maps side by side as SVG: 0 is white, 1 is dark; a cell's title says its layers and
    value.
    """
    width, height = len(columns) * CELL + MARGIN, len(rows) * CELL + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{len(matrices) * width + 20}" '
        f'height="{height + 20}" font-family="sans-serif">'
    )
    parts = [head, '<rect width="100%" height="100%" fill="white"/>', _text(8, 18, title, size=14)]
    for number, (name, matrix) in enumerate(matrices):
        parts += _heat_map(MARGIN + number * width, name, matrix, (rows, columns))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _heat_map(
    left: int, name: str, matrix: np.ndarray, names: tuple[Sequence[str], Sequence[str]]
) -> Iterator[str]:
    """One matrix with its name, the names of its rows and columns, and a frame."""
    rows, columns = names
    yield _text(left, 36, name, size=12)
    for i, row in enumerate(rows):
        yield _text(left - 4, MARGIN + (i + 0.75) * CELL, row, anchor="end")
    for j, column in enumerate(columns):
        yield _text(left + (j + 0.75) * CELL, MARGIN - 4, column, turn=True)
    for i, j in np.ndindex(matrix.shape):
        said = escape(f"{rows[i]} – {columns[j]}: {matrix[i, j]:.3f}")
        yield (
            f'<rect x="{left + j * CELL}" y="{MARGIN + i * CELL}" width="{CELL}" height="{CELL}" '
            f'fill="{_shade(float(matrix[i, j]))}"><title>{said}</title></rect>'
        )
    yield (
        f'<rect x="{left}" y="{MARGIN}" width="{len(columns) * CELL}" '
        f'height="{len(rows) * CELL}" fill="none" stroke="#888"/>'
    )


def _text(
    x: float, y: float, text: str, *, size: int = 9, anchor: str = "start", turn: bool = False
) -> str:
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
        f'text-anchor="{anchor}"{turned}>{escape(text)}</text>'
    )


def _shade(value: float) -> str:
    """From white to a dark blue."""
    share = min(max(value, 0.0), 1.0)
    return "#" + "".join(f"{round(255 + (dark - 255) * share):02x}" for dark in (8, 29, 88))
