"""Geometry of kernels, in numpy: centres, banding, turning, cosines.

Places are pixels from a kernel's centre, x to the right, y down and z away from the viewer. The
weighing of edges computes the same moments in torch, on the device and millions at a time
(`extract.edges`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["banding_ratio", "banding_variances", "cosines", "part_centres", "turning", "unit_rows"]

Matrix = tuple[tuple[float, float], tuple[float, float]]


def part_centres(kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Centres of the positive and the negative part of kernels ``(n, kh, kw)``, or of volumes
    ``(n, kd, kh, kw)``.

    Returns ``ex, ey`` of the positive and ``ix, iy`` of the negative part, each ``(n,)``, pixels;
    of volumes ``ez`` and ``iz``, too. NaN if a part is absent.

    >>> centres = part_centres(np.array([[[0.0, 2.0], [0.0, 0.0]]]))
    >>> centres["ex"].tolist(), centres["ey"].tolist(), centres["ix"].tolist()
    ([0.5], [-0.5], [nan])
    """
    kernels = kernels.astype(np.float64)
    sides, every = kernels.shape[1:], tuple(range(1, kernels.ndim))
    grid = np.ogrid[tuple(slice(-(side - 1) / 2, side / 2) for side in sides)]
    centres = {}
    for letter, part in (("e", np.maximum(kernels, 0)), ("i", np.maximum(-kernels, 0))):
        mass = part.sum(every)
        for axis, places in zip("xyz", reversed(grid), strict=False):
            moment = (part * places).sum(every)
            absent = np.full(len(mass), np.nan)
            centres[letter + axis] = np.divide(moment, mass, out=absent, where=mass > 0)
    return centres


def banding_variances(kernels: np.ndarray) -> np.ndarray:
    """Variance of the row means along y, and of the column means along x, of each filter.

    ``kernels``: signed, ``(out, fan_in, kh, kw)``. Returns ``(2, out)``, summed over the fan-in.
    """
    kernels = kernels.astype(np.float64)
    return np.stack([kernels.mean(3).var(2).sum(1), kernels.mean(2).var(2).sum(1)])


def banding_ratio(kernels: np.ndarray) -> float:
    """Variance along y of the row means over variance along x of the column means, of all kernels.

    ``kernels``: signed, ``(out, fan_in, kh, kw)``. Above 1, kernels vary more along y than along x:
    *Weight Banding* (Distill, 2021); the scalar is ours, the article shows it by eye. Infinite if
    they vary along y alone, NaN if they vary along neither.

    >>> banding_ratio(np.array([[[[1.0, 1.0], [0.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]]))
    1.0
    """
    down, across = banding_variances(kernels).sum(1).tolist()
    if across == 0:
        return float("inf") if down > 0 else float("nan")
    return down / across


def turning(size: Sequence[int], inverse: Matrix, *, decimals: int | None = None) -> np.ndarray:
    """What moves a kernel of ``size`` (height, width), as a linear map of its entries.

    Linear interpolation between entries, zero outside; exact for quarter turns and reflections.

    Args:
        size: height and width of the kernel, entries.
        inverse: linear map of (x, y), by rows: from a place in the moved kernel to where its entry
            comes from.
        decimals: the places that entries come from are rounded to this; by default they are not.

    Returns:
        ``(entries, entries)``: row = entry of the moved kernel, column = entry that it comes from.

    >>> quarter = turning((3, 3), ((0, -1), (1, 0)))  # what was on the right is on top
    >>> (quarter @ np.array([0, 0, 0, 0, 0, 1, 0, 0, 0.0])).reshape(3, 3)
    array([[0., 1., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    height, width = size
    y, x = (grid.reshape(-1) for grid in np.mgrid[:height, :width])
    (a, b), (c, d) = inverse
    right, down = x - (width - 1) / 2, y - (height - 1) / 2
    from_x, from_y = a * right + b * down, c * right + d * down
    from_x, from_y = from_x + (width - 1) / 2, from_y + (height - 1) / 2
    if decimals is not None:
        from_x, from_y = np.round(from_x, decimals), np.round(from_y, decimals)
    near_x = np.maximum(1 - np.abs(from_x[:, None] - x[None, :]), 0)
    near_y = np.maximum(1 - np.abs(from_y[:, None] - y[None, :]), 0)
    return near_x * near_y


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows ``(n, d)`` scaled to norm one; a row of zeros stays one."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norm > 0, rows / np.where(norm > 0, norm, 1), 0)


def cosines(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of every row ``(n, d)`` with every other row ``(m, d)``: ``(n, m)``, 0 for zero rows.

    >>> cosines(np.array([[3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.0]]
    """
    return unit_rows(rows) @ unit_rows(others).T
