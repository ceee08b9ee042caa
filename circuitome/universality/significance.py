"""How believable a match is: p and q against the matches of null networks, and how well the two are
told apart.

Target and decoy: Elias and Gygi, Nature Methods 4 (2007). One more decoy than there is is counted
everywhere, so that few null networks can't promise much.
"""

from __future__ import annotations

import numpy as np

__all__ = ["area", "false_discovery", "p_values"]


def p_values(scores: np.ndarray, decoys: np.ndarray) -> np.ndarray:
    """Share of the decoys that reach each score, ``(n,)``; 1 where there are no decoys.

    >>> p_values(np.array([0.9, 0.2]), np.array([0.1, 0.3, 0.5]))
    array([0.25, 0.75])
    """
    return (1 + _reaching(scores, decoys)) / (1 + len(decoys))


def false_discovery(scores: np.ndarray, decoys: np.ndarray, *, copies: int) -> np.ndarray:
    """The least expected share of chance among the findings that take in each score, ``(n,)``.

    ``decoys``: scores of ``copies`` null networks, each with as many neurons as there are
    ``scores``.

    >>> false_discovery(np.array([0.9, 0.8, 0.7, 0.1]), np.linspace(0.0, 0.5, 40), copies=10)
    array([0.03333333, 0.03333333, 0.03333333, 0.825     ])
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    found = len(scores) - np.searchsorted(ranked, ranked, side="left")
    ratio = (1 + _reaching(ranked, decoys)) / copies / np.maximum(found, 1)
    q = np.empty(len(scores))
    q[order] = np.minimum(np.minimum.accumulate(ratio), 1)
    return q


def area(scores: np.ndarray, decoys: np.ndarray) -> float:
    """Chance that a score beats a decoy, ties counting half: the area under the ROC curve; NaN
    where either is missing.

    >>> area(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.875
    """
    if not len(scores) or not len(decoys):
        return float("nan")
    ranked = np.sort(decoys)
    below = np.searchsorted(ranked, scores, side="left") + np.searchsorted(
        ranked, scores, side="right"
    )
    return float(below.mean() / (2 * len(decoys)))


def _reaching(scores: np.ndarray, decoys: np.ndarray) -> np.ndarray:
    return len(decoys) - np.searchsorted(np.sort(decoys), scores, side="left")
