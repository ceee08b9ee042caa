"""What chance gives: scores against those of twins, and permutations within groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from circuitome.significance import empirical_p, target_decoy_q

__all__ = ["over_the_others", "p_and_q", "permutations"]


def over_the_others(scores: np.ndarray) -> np.ndarray:
    """By how much each twin's scores exceed the mean of the other twins', ``(twins, n)``.

    >>> over_the_others(np.array([[1.0], [2.0], [6.0]])).ravel().tolist()
    [-3.0, -1.5, 4.5]
    """
    return scores - (scores.sum(0) - scores) / (len(scores) - 1)


def p_and_q(scores: np.ndarray, null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and q of scores ``(n,)`` against those of null networks ``(copies, m)``, all pooled."""
    return empirical_p(scores, null), target_decoy_q(scores, null, copies=len(null))


def permutations(group: np.ndarray, copies: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Permutations ``(n,)`` of things that stay within their ``group`` ``(n,)``."""
    home = np.argsort(group, kind="stable")
    for _ in range(copies):
        drawn = np.empty(len(group), np.int64)
        drawn[home] = np.lexsort((rng.random(len(group)), group))
        yield drawn
