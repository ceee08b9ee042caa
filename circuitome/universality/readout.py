"""Linear read-outs: how well a layer of one network predicts the neurons of another, by
cross-validated ridge regression.

Closed form, for all targets and penalties at once: one eigendecomposition a fold. The penalty of
each target is chosen within the other folds by generalised cross-validation (Golub, Heath and
Wahba, Technometrics 21, 1979).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from circuitome.universality.nulls import over_the_others, p_and_q

__all__ = ["FOLDS", "PENALTIES", "compare_with_twins", "read_out"]

FOLDS: Final = 4
PENALTIES: Final = (0.003, 0.03, 0.3, 3.0, 30.0)
"""Penalties that are tried, in units of the number of samples (of predictors of variance 1)."""


def read_out(predictors: np.ndarray, targets: np.ndarray, *, per_picture: int) -> np.ndarray:
    """R2 of every target on pictures that its regression has not seen, ``(targets,)``; NaN for rows
    of zeros.

    Args:
        predictors: ``(n, samples)`` rows of mean 0 and length 1, or of zeros.
        targets: ``(m, samples)``, the same.
        per_picture: samples of one picture, which stand together and never fall into two folds.
    """
    samples = targets.shape[1]
    x = predictors[predictors.any(1)].T * np.sqrt(samples, dtype=np.float32)
    y = targets.T * np.sqrt(samples, dtype=np.float32)
    fold = np.arange(samples) // per_picture % FOLDS
    wrong = np.zeros(y.shape[1])
    for number in range(FOLDS):
        held = fold == number
        missed = y[held] - _predicted(x[~held], y[~held], x[held])
        wrong += np.einsum("ij,ij->j", missed, missed, dtype=np.float64)
    total = np.einsum("ij,ij->j", y, y, dtype=np.float64)
    return np.where(total > 0, 1 - wrong / np.where(total > 0, total, 1), np.nan)


def _predicted(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Ridge predictions for ``new`` ``(k, n)`` from ``x`` ``(samples, n)`` and ``y``
    ``(samples, m)``: ``(k, m)``.
    """
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y, new = x - x_mean, y - y_mean, new - x_mean
    if not x.shape[1]:
        return np.broadcast_to(y_mean, (len(new), y.shape[1]))
    size, along, onto = _components(x, new)
    shared = along.T @ y
    penalties = len(x) * np.array(PENALTIES, np.float32)
    total = np.einsum("ij,ij->j", y, y)
    errors = []
    for penalty in penalties:
        kept = size / (size + penalty)
        left = total - ((1 - (1 - kept) ** 2) @ shared**2)
        errors.append(left / (1 - (kept.sum() + 1) / len(x)) ** 2)
    chosen = penalties[np.argmin(errors, 0)]
    return onto @ (shared * np.sqrt(size)[:, None] / (size[:, None] + chosen)) + y_mean


def _components(x: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared singular values of ``x``, its left singular vectors, and where ``new`` lies along
    the right ones.
    """
    wide = x.shape[1] > len(x)
    size, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = size > 1e-5 * size[-1]
    size, vectors = size[kept], vectors[:, kept]
    if wide:
        return size, vectors, (new @ (x.T @ vectors)) / np.sqrt(size)
    return size, (x @ vectors) / np.sqrt(size), new @ vectors


def compare_with_twins(r2: np.ndarray, null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and q of R2 ``(n,)`` of a layer's neurons against those from twins ``(twins, n)``, neuron
    by neuron.

    What counts is by how much a neuron's R2 exceeds the mean of its twins'; the decoys are each
    twin's own excess over the mean of the others. Where the network predicts nothing, p and q are
    1.
    """
    p, q = p_and_q(r2 - null.mean(0), over_the_others(null))
    nothing = r2 <= 0
    return np.where(nothing, 1.0, p), np.where(nothing, 1.0, q)
