"""Offsets of the members of a family: fitted jointly, and what they say together.

Differences of offsets are measured between every two members. Offsets are fitted to all of them by
least squares on the group, so that errors do not add up along chains.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

__all__ = ["closure", "fit_offsets", "gaps"]


def fit_offsets(
    differences: np.ndarray, start: np.ndarray, *, period: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets ``(k,)`` and their standard errors from the differences of all pairs ``(k, k)``, NaN
    where unknown.

    Least squares round ``start`` ``(k,)``, residuals taken the short way round the circle. The
    first offset is 0; errors are against the mean of the family, NaN if as many numbers are
    fitted as there are.

    >>> offsets, _ = fit_offsets(
    ...     np.array([[0, 90, 182], [0, 0, 90], [0, 0, 0.0]]), np.array([0, 90, 180.0]), period=360
    ... )
    >>> offsets.round(2)
    array([  0.  ,  90.67, 181.33])
    """
    i, j = np.nonzero(np.triu(np.isfinite(differences), 1))
    each = np.eye(len(start))
    design = each[j] - each[i]
    residual = _short_way(differences[i, j] - (start[j] - start[i]), period)
    inverse = np.linalg.pinv(design)
    moved = inverse @ residual
    left = np.square(residual - design @ moved).sum()
    freedom = len(i) - len(start) + 1
    variance = left / freedom if freedom > 0 else np.nan
    sd = np.sqrt(variance * np.square(inverse).sum(1))
    offsets = start + moved
    offsets = offsets - offsets[0]
    return offsets if period is None else offsets % period, sd


def _short_way(apart: np.ndarray, period: float | None) -> np.ndarray:
    """Differences taken the short way round the circle, if there is one."""
    return apart if period is None else (apart + period / 2) % period - period / 2


def closure(best: np.ndarray, *, step: float, period: float | None) -> float:
    """Share of the triangles i < j < k whose best amounts ``(k, k)`` compose to within one step;
    NaN without triangles.
    """
    if len(best) < 3:
        return float("nan")
    i, j, k = np.array(list(combinations(range(len(best)), 3))).T
    error = _short_way(best[i, j] + best[j, k] - best[i, k], period)
    return float((np.abs(error) <= step + 1e-9).mean())


def gaps(offsets: np.ndarray, *, step: float, period: float | None) -> np.ndarray:
    """Offsets at which a member is missing, given the spacing that the members suggest.

    The fewest equal spaces (of a circle, or of the stretch between the first and the last) on whose
    ends the members stand, each on its own, to within half a step and an eighth of the space, root
    mean square. None are missing if the members suggest no spacing, or where more places would
    be empty than taken.

    >>> gaps(np.array([0.0, 90.0, 180.0]), step=15.0, period=360.0)
    array([270.])
    """
    sites = _sites(offsets, step, period)
    if len(sites) < 3:
        return np.array([])
    span = period if period is not None else sites[-1] - sites[0]
    fewest = len(sites) - (period is None)
    for spaces in range(fewest, fewest + len(sites) + 1):
        if span / spaces < step - 1e-9:
            break
        missing = _missing(sites, span / spaces, step, circle=None if period is None else spaces)
        if missing is not None:
            return missing if period is None else np.sort(missing % period)
    return np.array([])


def _missing(
    sites: np.ndarray, spacing: float, step: float, *, circle: int | None
) -> np.ndarray | None:
    """The ends of equal spaces, ``circle`` of them if they close one, on which no site stands; None
    unless every site stands on its own.
    """
    turns = (sites - sites[0]) / spacing
    shift = _common_phase(turns) if circle else 0.0
    place = np.round(turns - shift).astype(int)
    error = (turns - shift - place) * spacing
    near = np.sqrt(np.square(error).mean()) <= min(step / 2, spacing / 8)
    taken = place % circle if circle else place
    if not near or len(np.unique(taken)) < len(sites):
        return None
    empty = np.setdiff1d(np.arange(circle or place[-1] + 1), taken)
    return sites[0] + (empty + shift) * spacing


def _common_phase(turns: np.ndarray) -> float:
    """Part of a turn that numbers of turns have in common."""
    return np.angle(np.exp(2j * np.pi * turns).mean()) / 2 / np.pi


def _sites(offsets: np.ndarray, step: float, period: float | None) -> np.ndarray:
    """Distinct offsets, rising: what lies within half a step of the one before is the same."""
    ordered = np.sort(offsets if period is None else offsets % period)
    apart = np.diff(ordered, prepend=-np.inf) > step / 2
    sites = ordered[apart]
    if period is not None and len(sites) > 1 and sites[0] + period - ordered[-1] <= step / 2:
        sites = sites[1:] if sites[0] > 0 else sites[sites + step / 2 < period]
    return sites
