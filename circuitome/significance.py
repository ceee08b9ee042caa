"""Chance, on one page: every p and q of the program is computed here.

*Empirical p*: the share of null values that reach what was observed, the observed one counted among
them, so that no p is 0 (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010). *Target and
decoy q*: the least expected share of chance among the findings that take in a score (Elias and
Gygi, Nature Methods 4, 2007). One more decoy than there are is counted everywhere, so that few null
networks cannot promise much. Exact tests and Benjamini-Hochberg are those of SciPy, the area under
the ROC curve is scikit-learn's.

A null value *reaches* another one if it is at least as large, but for rounding (`TOLERANCE`).
Both libraries take half a second or more to import, so the functions that call them import them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

__all__ = [
    "TOLERANCE",
    "auc",
    "benjamini_hochberg",
    "benjamini_hochberg_at",
    "binomial",
    "empirical_p",
    "hypergeometric",
    "p_of_count",
    "q_at",
    "reaching",
    "sequential_p",
    "target_decoy_q",
]

TOLERANCE: Final = 1e-12
"""Two values that differ by less than this share of their size are equal: sums depend on order."""

Numbers = Sequence[float] | np.ndarray


def reaching(values: Numbers | float, null: Numbers) -> np.ndarray:
    """How many of the null values ``(m,)`` are at least each value ``(n,)`` or ``()``; same shape.

    >>> reaching([0.3, 1.0], [0.1, 0.1 + 0.2, 0.5]).tolist()
    [2, 0]
    """
    ranked = np.sort(np.asarray(null, np.float64), axis=None)
    return len(ranked) - np.searchsorted(ranked, _least(values), side="left")


def _least(values: Numbers | float) -> np.ndarray:
    """The least values that reach some values; same shape."""
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return np.where(np.isfinite(values), values - TOLERANCE * np.abs(values), values)


def p_of_count(reached: np.ndarray | int, nulls: int) -> np.ndarray:
    """Empirical p if ``reached`` of so many ``nulls`` values reach the observed one; same shape.

    >>> float(p_of_count(4, 199))
    0.025
    """
    return (1 + np.asarray(reached)) / (1 + nulls)


def empirical_p(values: Numbers | float, null: Numbers) -> np.ndarray:
    """Share of the null values ``(m,)`` that reach each value, it among them; shape of ``values``.

    1 without null values.

    >>> empirical_p([0.9, 0.2], [0.1, 0.3, 0.5]).tolist()
    [0.25, 0.75]
    """
    return p_of_count(reaching(values, null), np.size(null))


def sequential_p(value: float, null: Numbers, *, enough: int = 10) -> float:
    """Empirical p of a value among null values ``(n,)`` in the order in which they were drawn,
    which ends when ``enough`` of them have reached it.

    Where chance is frequent, few draws tell so; where it is not, n sets how small p can be.
    Besag and Clifford, Biometrika 78, 1991.

    >>> sequential_p(2.0, [3.0, 1.0, 2.5, 1.0], enough=2), sequential_p(2.0, [1.0] * 199)
    (0.6666666666666666, 0.005)
    """
    reached = np.flatnonzero(np.asarray(null, np.float64) >= _least(value))
    if len(reached) >= enough:
        return enough / int(reached[enough - 1] + 1)
    return float(p_of_count(len(reached), len(null)))


def target_decoy_q(
    scores: Numbers, decoys: Numbers, *, copies: int, targets: Numbers | None = None
) -> np.ndarray:
    """q of each score ``(n,)``: the least expected share of chance among what is taken in with it.

    At a cut, that share is the number of decoys above it plus one, over ``copies``, over the number
    of targets above it; q is the least over all cuts at or below the score, at most 1.

    Args:
        scores: ``(n,)``, what q is asked for; each is tried as a cut.
        decoys: ``(m,)``, scores of ``copies`` null networks together.
        copies: number of null networks.
        targets: ``(t,)``, what the network itself has; by default the scores.

    >>> target_decoy_q([0.9, 0.8, 0.7, 0.1], np.linspace(0, 0.5, 40), copies=10).round(4).tolist()
    [0.0333, 0.0333, 0.0333, 0.825]
    """
    values = np.asarray(scores, np.float64)
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    found = reaching(ranked, ranked if targets is None else targets)
    expected = (1 + reaching(ranked, decoys)) / copies
    q = np.empty(len(values))
    q[order] = np.minimum(np.minimum.accumulate(expected / np.maximum(found, 1)), 1)
    return q


def q_at(scores: Numbers | float, levels: np.ndarray, q: np.ndarray) -> np.ndarray:
    """q of scores ``(n,)`` or ``()``, each that of the highest of the ascending ``levels`` below
    it.

    ``levels`` and their ``q``: ``(m,)``. 1 below all of them.

    >>> q_at([0.5, 2.5], np.array([1.0, 2.0]), np.array([0.4, 0.1])).tolist()
    [1.0, 0.1]
    """
    place = np.searchsorted(levels, scores, side="right")
    return np.concatenate([[1.0], q])[place]


def benjamini_hochberg(p: Numbers) -> np.ndarray:
    """False discovery rate of each of some p values, ``(n,)``.

    Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995.

    >>> benjamini_hochberg([0.01, 0.5, 0.02]).tolist()
    [0.03, 0.5, 0.03]
    """
    values = np.asarray(p, np.float64)
    if not values.size:
        return values
    from scipy.stats import false_discovery_control

    return false_discovery_control(values)


def benjamini_hochberg_at(p: Numbers, tested: Numbers) -> np.ndarray:
    """False discovery rate among p values that were ``tested`` ``(n,)`` if those up to each of some
    p ``(m,)`` are called; shape ``(m,)``.

    >>> benjamini_hochberg_at([0.01, 0.03], [0.01, 0.5, 0.02]).tolist()
    [0.03, 0.045]
    """
    cuts = np.unique(np.concatenate([np.asarray(p, np.float64), np.asarray(tested, np.float64)]))
    called = np.searchsorted(np.sort(np.asarray(tested, np.float64)), cuts, side="right")
    rate = np.minimum(cuts * len(tested) / np.maximum(called, 1), 1)
    return np.minimum.accumulate(rate[::-1])[::-1][np.searchsorted(cuts, p)]


def hypergeometric(
    found: np.ndarray | int,
    drawn: np.ndarray | int,
    *,
    special: np.ndarray | int,
    total: np.ndarray | int,
) -> np.ndarray:
    """Chance that ``drawn`` of ``total`` things hold at least ``found`` special ones; broadcast.

    >>> float(hypergeometric(2, 2, special=2, total=4).round(6))  # both of the two: 1 in 6
    0.166667
    """
    if not np.size(found):
        return np.zeros(np.shape(found))
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(np.asarray(found) - 1, total, special, drawn))


def binomial(found: int, tries: int, *, chance: float = 0.5) -> float:
    """Chance of at least ``found`` successes in ``tries`` that each succeed with ``chance``.

    >>> round(binomial(3, 3), 9)
    0.125
    """
    from scipy.stats import binom

    return float(binom.sf(found - 1, tries, chance))


def auc(scores: np.ndarray, decoys: np.ndarray) -> float:
    """Chance that a score beats a decoy, ties counting half: the area under the ROC curve.

    ``scores`` ``(n,)``, ``decoys`` ``(m,)``. NaN if either is empty.

    >>> auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.875
    """
    if not len(scores) or not len(decoys):
        return float("nan")
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([True, False], [len(scores), len(decoys)])
    return float(roc_auc_score(labels, np.concatenate([scores, decoys])))
