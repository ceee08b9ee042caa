"""Offsets of the members of a family: fitted jointly, and what they say together.

Differences of offsets are measured between every two members. Offsets are fitted to all of them by
least squares on the group, so that errors do not add up along chains.
"""

from __future__ import annotations

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
    count = len(start)
    i, j = np.triu_indices(count, 1)
    seen = np.isfinite(differences[i, j])
    i, j = i[seen], j[seen]
    design = np.zeros((len(i), count))
    design[np.arange(len(i)), j] = 1
    design[np.arange(len(i)), i] = -1
    residual = _short_way(differences[i, j] - (start[j] - start[i]), period)
    inverse = np.linalg.pinv(design)
    moved = inverse @ residual
    offsets = start + moved
    freedom = len(i) - count + 1
    left = residual - design @ moved
    variance = np.square(left).sum() / freedom if freedom > 0 else np.nan
    sd = np.sqrt(variance * np.square(inverse).sum(1))
    offsets = offsets - offsets[0]
    return offsets if period is None else offsets % period, sd


def _short_way(apart: np.ndarray, period: float | None) -> np.ndarray:
    """Differences taken the short way round the circle, if there is one."""
    return apart if period is None else (apart + period / 2) % period - period / 2


def closure(best: np.ndarray, *, step: float, period: float | None) -> float:
    """Share of the triangles i < j < k whose best amounts ``(k, k)`` compose to within one step;
    NaN without triangles.
    """
    count = len(best)
    i, j, k = (index.reshape(-1) for index in np.meshgrid(*[np.arange(count)] * 3, indexing="ij"))
    rising = (i < j) & (j < k)
    i, j, k = i[rising], j[rising], k[rising]
    if not len(i):
        return float("nan")
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
    least, most = len(sites) - (period is None), 2 * len(sites) - (period is None)
    for count in range(least, most + 1):
        spacing = span / count
        if spacing < step - 1e-9:
            break
        turns = (sites - sites[0]) / spacing
        shift = _common_phase(turns) if period is not None else 0.0
        place = np.round(turns - shift).astype(int)
        error = (turns - shift - place) * spacing
        taken = place % count if period is not None else place
        near = np.sqrt(np.square(error).mean()) <= min(step / 2, spacing / 8)
        if near and len(np.unique(taken)) == len(sites):
            empty = np.setdiff1d(np.arange(count + (period is None)), taken)
            missing = sites[0] + (empty + shift) * spacing
            return missing if period is None else np.sort(missing % period)
    return np.array([])


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
