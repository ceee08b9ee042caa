"""Significance of families over all searched layers and groups of a network, its *cells*.

A family counts by its strength against the strongest family of every null layer of its cell: ``z``,
its distance from their mean in their standard deviations. With ten null layers the tail of z is
anybody's guess, and it differs: where chance rarely makes a family at all, one that it makes stands
far out. So nothing is assumed of it. Every null layer gets a z of its own, against the others of
its cell, and these, over all cells, are what chance is like: q is target and decoy (Elias & Gygi,
Nature Methods 4, 2007), the cells with a z this large that a null network has, over those that the
network has.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from circuitome.significance import empirical_p, target_decoy_q

__all__ = ["family_significance"]

LEAST = 0.25
"""Standard deviations below this share of the median over the cells count as that: in small samples
they may be 0.
"""


def family_significance(
    found: Sequence[tuple[Hashable, float]], chance: Mapping[Any, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """p and q of families.

    Args:
        found: cell and strength of every family.
        chance: strength of the strongest family of each null layer, ``(S,)``, of every cell that
            was searched, with a family or without. S is the same for all, at least 3.

    Returns:
        p ``(families,)``: share of the null layers of all cells whose strongest family stands out
        as much (one added). q ``(families,)``: number of cells of a null network that stand out as
        much (one added to all S networks together), over the number of cells of this network; a
        family that is not its cell's strongest is judged by its own z.

    >>> none = {cell: np.array([1.0, 2.0, 3.0, 2.0]) for cell in range(5)}
    >>> p, q = family_significance([(cell, 9.0) for cell in range(5)], none)
    >>> p.round(3).tolist(), q.round(3).tolist()
    ([0.048, 0.048, 0.048, 0.048, 0.048], [0.05, 0.05, 0.05, 0.05, 0.05])
    """
    if not found:
        return np.empty(0), np.empty(0)
    maxima = np.stack(list(chance.values()))  # (cells, S)
    place = {cell: index for index, cell in enumerate(chance)}
    cells, strengths = zip(*found, strict=True)
    of = np.array([place[cell] for cell in cells])
    sd = maxima.std(1, ddof=1)
    floor = _least_spread(sd)
    z = (strengths - maxima.mean(1)[of]) / np.maximum(sd[of], floor)
    decoys = _left_out(maxima, floor)
    best = np.full(len(maxima), -np.inf)
    np.maximum.at(best, of, z)
    q = target_decoy_q(z, decoys, copies=maxima.shape[1], targets=best)
    return empirical_p(z, decoys), q


def _least_spread(sd: np.ndarray) -> float:
    """What a standard deviation counts as at least."""
    return LEAST * float(np.median(sd[sd > 0]) if (sd > 0).any() else 1.0)


def _left_out(maxima: np.ndarray, floor: float) -> np.ndarray:
    """z of every null layer against the others of its cell, ``(cells, S)``."""
    nulls = maxima.shape[1]
    rest = (maxima.sum(1, keepdims=True) - maxima) / (nulls - 1)
    square = (np.square(maxima).sum(1, keepdims=True) - np.square(maxima)) / (nulls - 1)
    spread = np.sqrt(np.maximum(square - rest**2, 0) * (nulls - 1) / (nulls - 2))
    return (maxima - rest) / np.maximum(spread, floor)
