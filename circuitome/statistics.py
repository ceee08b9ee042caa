"""Statistics that every part of the program uses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["benjamini_hochberg"]


def benjamini_hochberg(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """False discovery rate of each of some p values, ``(n,)`` (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995).

    >>> benjamini_hochberg([0.01, 0.5, 0.02])
    array([0.03, 0.5 , 0.03])
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(-values, kind="stable")
    ranked = values[order] * len(values) / np.arange(len(values), 0, -1)
    q = np.empty(len(values))
    q[order] = np.minimum.accumulate(np.minimum(ranked, 1))
    return q
