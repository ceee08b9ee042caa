"""Arithmetic of arrays that several algorithms and motifs need."""

from __future__ import annotations

import numpy as np

__all__ = ["mean_by", "place_in_run", "quotient"]


def quotient(parts: np.ndarray | float, wholes: np.ndarray) -> np.ndarray:
    """Parts over wholes, shapes broadcast; 0 where a whole is not above 0.

    >>> quotient(np.array([1.0, 2.0]), np.array([4.0, 0.0])).tolist()
    [0.25, 0.0]
    """
    shape = np.broadcast_shapes(np.shape(parts), wholes.shape)
    return np.divide(parts, wholes, out=np.zeros(shape), where=wholes > 0)


def mean_by(group: np.ndarray, value: np.ndarray, weight: np.ndarray, *, size: int) -> np.ndarray:
    """Weighted mean of values ``(m,)`` in each of ``size`` groups, ``(size,)``; 0 if empty.

    >>> mean_by(np.array([0, 0]), np.array([1.0, 4.0]), np.array([2.0, 1.0]), size=2).tolist()
    [2.0, 0.0]
    """
    return quotient(np.bincount(group, weight * value, size), np.bincount(group, weight, size))


def place_in_run(values: np.ndarray) -> np.ndarray:
    """Place of each element in its run of equal values, from 0, ``(len(values),)``.

    >>> place_in_run(np.array([7, 7, 7, 2, 2])).tolist()
    [0, 1, 2, 0, 1]
    """
    if not len(values):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))
