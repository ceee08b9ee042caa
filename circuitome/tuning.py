"""Tuning curves: which value of a parameter a neuron prefers, how sharply, and how surely.

A curve sampled at a few values is fitted by a Gaussian process (Matern covariance, unknown mean),
whose smoothness, length and noise are averaged over a grid by their restricted likelihood: so
uneven sampling, repeats and unknown noise need no setting, and everything read from the curve has a
standard deviation, from curves drawn out of the posterior (Rasmussen & Williams, *Gaussian
Processes for Machine Learning*, 2006, chapters 2 and 5). On an axis that closes (an orientation, a
hue) distances are chords of the circle; positive values of an axis that does not (radii,
frequencies) are compared by their ratios.

The preferred value is the *peak* of the curve. The circular mean is another number: for the
published curve detectors the two part by up to 13 degrees, because their curves are skewed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np

from circuitome.errors import CircuitomeError

__all__ = ["Tuning", "TuningError", "tune"]

SMOOTHNESSES: Final = (1.5, 2.5)
"""Orders of the Matern covariance tried: real curves have cusps as well as round tops."""
LENGTHS: Final = (0.04, 0.07, 0.12, 0.2, 0.35, 0.6)
"""Lengths of the covariance tried, as shares of the axis (25 degrees are 0.07 of a full turn)."""
NOISES: Final = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Variances of the noise tried, as shares of the curve's own."""
GRID: Final = 180
"""Points at which a fitted curve is read: 2 degrees apart on a full turn, before the peak is
refined.
"""
JITTER: Final = 1e-8
"""Added to the variance of a drawn curve, so that its covariance has a root."""
CHUNK: Final = 128
"""Neurons fitted at once: bounds the memory of the drawn curves."""


class TuningError(CircuitomeError):
    """A tuning curve that cannot be fitted."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What tuning curves say, one entry a neuron; NaN if a neuron's responses do not vary."""

    preferred: np.ndarray  # value at the peak of the fitted curve, in the units of the values
    preferred_sd: np.ndarray  # its standard deviation (circular on an axis with a period)
    peak: np.ndarray  # fitted response there
    selectivity: np.ndarray
    """``|sum r exp(2 pi i v / period)| / sum r`` if periodic, or ``1 - mean r / max r``; r >= 0."""
    selectivity_sd: np.ndarray
    # fitted response half a period from the peak over that at the peak; NaN without a period
    echo: np.ndarray
    echo_sd: np.ndarray


@dataclass(frozen=True, slots=True)
class _Axis:
    """An axis on which distances are Euclidean: one coordinate, or two where it closes."""

    at: np.ndarray  # (n, d) coordinates of the samples
    grid: np.ndarray  # (g, d) coordinates of the points of the grid
    values: np.ndarray  # (g,) values of these points
    period: float | None


def tune(
    values: np.ndarray,
    responses: np.ndarray,
    *,
    period: float | None,
    samples: int = 48,
    seed: int = 0,
) -> Tuning:
    """Fit the tuning curves of many neurons that were sampled at the same values.

    Args:
        values: ``(n,)``, in any order; a value that occurs twice is a repeat. If all are positive
            and there is no period, curves are fitted over their logarithms.
        responses: ``(neurons, n)``; what a fitted curve has below zero counts as no response, as a
            ReLU has it.
        period: after which the axis repeats (360 for the direction of a curve, 180 for that of a
            line), or None.
        samples: curves drawn for the standard deviations.
        seed: of these draws.

    Raises:
        TuningError: fewer than two different values, or shapes or numbers that do not fit.

    Example:
        >>> angles = np.arange(0, 360, 15.0)
        >>> curve = np.exp(3 * np.cos(np.deg2rad(angles - 40)) - 3)
        >>> round(float(tune(angles, curve[None], period=360).preferred[0]))
        40
    """
    values, responses = (
        np.asarray(values, np.float64),
        np.asarray(responses, np.float64),
    )
    _check(values, responses, period)
    axis, models = _models(tuple(values.tolist()), period)
    rng = np.random.default_rng(seed)
    parts = [_tune(axis, models, part, samples, rng) for part in _chunks(responses)]
    return Tuning(*map(np.concatenate, zip(*map(_columns, parts), strict=True)))


def _columns(tuning: Tuning) -> list[np.ndarray]:
    return [getattr(tuning, field.name) for field in fields(tuning)]


def _check(values: np.ndarray, responses: np.ndarray, period: float | None) -> None:
    if values.ndim != 1 or responses.ndim != 2 or responses.shape[1] != len(values):
        raise TuningError(
            f"responses of shape {responses.shape} for values of shape {values.shape}; "
            "give (neurons, n) and (n,)"
        )
    if not (np.isfinite(values).all() and np.isfinite(responses).all()):
        raise TuningError(
            "a tuning curve holds NaN or infinity; leave out the values that were not shown"
        )
    if len(np.unique(values if period is None else values % period)) < 2:
        raise TuningError(
            f"a tuning curve needs two or more different values, not {np.unique(values).tolist()}"
        )


def _chunks(responses: np.ndarray) -> list[np.ndarray]:
    return [responses[first : first + CHUNK] for first in range(0, max(1, len(responses)), CHUNK)]


def _axis(values: np.ndarray, period: float | None) -> _Axis:
    """Coordinates in which the whole axis has length 1."""
    if period is not None:
        grid = np.arange(GRID) * period / GRID
        return _Axis(_circle(values / period), _circle(grid / period), grid, period)
    logarithmic = bool((values > 0).all())
    at = np.log(values) if logarithmic else values
    low, span = at.min(), np.ptp(at)
    grid = np.linspace(0, 1, GRID)
    points = low + grid * span
    return _Axis(
        (at[:, None] - low) / span,
        grid[:, None],
        np.exp(points) if logarithmic else points,
        None,
    )


def _circle(turns: np.ndarray) -> np.ndarray:
    """Points on a circle of circumference 1, ``(n, 2)``."""
    return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=-1) / (2 * np.pi)


def _covariance(a: np.ndarray, b: np.ndarray, shape: tuple[float, float]) -> np.ndarray:
    """Matern covariance of unit variance between points ``(n, d)`` and ``(m, d)``; ``shape``:
    smoothness and length.
    """
    smoothness, length = shape
    scaled = np.sqrt(2 * smoothness * np.square(a[:, None] - b[None]).sum(-1)) / length
    return (1 + scaled + (scaled**2 / 3 if smoothness > 2 else 0)) * np.exp(-scaled)


@dataclass(frozen=True, slots=True)
class _Model:
    """One covariance and noise on one axis: all about the fit but the responses."""

    smoother: np.ndarray  # (n, g): responses @ smoother is the fitted curve
    penalty: np.ndarray  # (n, n): y @ penalty @ y / (n - 1) is the variance of the process
    constant: float  # part of the restricted log likelihood
    noise: float  # variance of the noise over that of the process
    root: np.ndarray
    """``(g + n, g + n)``: root @ root.T is the covariance at the grid and the samples."""

    def errors(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Errors of the fit, ``(count, g)``: curves of the prior, less what the fit would make of
        their noisy samples (Journel & Huijbregts, *Mining Geostatistics*, 1978).
        """
        prior = rng.standard_normal((count, len(self.root))) @ self.root.T
        noise = np.sqrt(self.noise) * rng.standard_normal((count, len(self.smoother)))
        return prior[:, :GRID] - (prior[:, GRID:] + noise) @ self.smoother


def _of_shape(axis: _Axis, shape: tuple[float, float]) -> list[_Model]:
    """The models of one covariance, with every noise."""
    points = np.concatenate([axis.grid, axis.at])
    covariance = _covariance(points, points, shape)
    root = np.linalg.cholesky(covariance + JITTER * np.eye(len(points)))
    count = len(axis.grid)
    return [
        _model(covariance[count:, count:], covariance[:count, count:], noise, root)
        for noise in NOISES
    ]


def _model(between: np.ndarray, cross: np.ndarray, noise: float, root: np.ndarray) -> _Model:
    covariance = between + noise * np.eye(len(between))
    inverse = np.linalg.inv(covariance)
    ones = inverse.sum(0)
    total = ones.sum()
    # the mean is not known, but estimated
    smoother = inverse @ cross.T + np.outer(ones, 1 - cross @ ones) / total
    penalty = inverse - np.outer(ones, ones) / total
    constant = -0.5 * (np.linalg.slogdet(covariance)[1] + np.log(total))
    return _Model(smoother, penalty, float(constant), noise, root)


@lru_cache(maxsize=32)
def _models(values: tuple[float, ...], period: float | None) -> tuple[_Axis, tuple[_Model, ...]]:
    """The models of an axis, kept: the layers of a network are shown the same values."""
    axis = _axis(np.array(values), period)
    return axis, tuple(
        model for shape in product(SMOOTHNESSES, LENGTHS) for model in _of_shape(axis, shape)
    )


@dataclass(frozen=True, slots=True)
class _Posterior:
    """What all models make of the curves of ``c`` neurons; ``m`` models."""

    models: tuple[_Model, ...]
    curves: np.ndarray  # (m, c, g) fitted by each model
    spread: np.ndarray  # (m, c) standard deviation of the process
    weight: np.ndarray  # (m, c) of each model, 1 in all
    freedom: int  # samples less one

    @classmethod
    def of(cls, models: tuple[_Model, ...], responses: np.ndarray) -> _Posterior:
        """Models weighted by their restricted likelihood of the responses ``(c, n)``."""
        freedom = responses.shape[1] - 1
        sums = np.stack([((responses @ model.penalty) * responses).sum(1) for model in models])
        variance = np.maximum(sums / freedom, np.finfo(float).eps ** 2)
        constants = np.array([model.constant for model in models])
        evidence = constants[:, None] - 0.5 * freedom * np.log(variance)
        weight = np.exp(evidence - evidence.max(0))
        weight /= weight.sum(0)
        curves = np.stack([responses @ model.smoother for model in models])
        return cls(models, curves, np.sqrt(variance), weight, freedom)

    def mean(self) -> np.ndarray:
        """The fitted curves, ``(c, g)``."""
        return np.einsum("mc,mcg->cg", self.weight, self.curves)

    def draw(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Curves ``(samples, c, g)``: first the model, then its variance, then the curve."""
        size = (samples, self.curves.shape[1])
        chosen = (rng.random(size)[None] > self.weight.cumsum(0)[:-1, None]).sum(0)
        factor = np.sqrt(self.freedom / rng.chisquare(self.freedom, size))
        drawn = np.empty((*size, GRID))
        for number, model in enumerate(self.models):
            sample, neuron = np.nonzero(chosen == number)
            scale = factor[sample, neuron] * self.spread[number, neuron]
            error = model.errors(len(sample), rng) * scale[:, None]
            drawn[sample, neuron] = self.curves[number, neuron] + error
        return drawn


def _tune(
    axis: _Axis,
    models: tuple[_Model, ...],
    responses: np.ndarray,
    samples: int,
    rng: np.random.Generator,
) -> Tuning:
    varies = np.ptp(responses, axis=1) > 0
    scale = np.where(varies, np.abs(responses).max(1), 1)
    posterior = _Posterior.of(models, responses / scale[:, None])
    read, drawn = (
        _read(axis, posterior.mean()),
        _read(axis, posterior.draw(samples, rng)),
    )
    columns = (
        read.preferred,
        _spread(drawn.preferred, axis.period),
        read.peak * scale,
        read.selectivity,
        drawn.selectivity.std(0),
        read.echo,
        drawn.echo.std(0),
    )
    return Tuning(*(np.where(varies, column, np.nan) for column in columns))


@dataclass(frozen=True, slots=True)
class _Read:
    """What is read from curves ``(..., g)``, each ``(...)``."""

    preferred: np.ndarray
    peak: np.ndarray
    selectivity: np.ndarray
    echo: np.ndarray


def _read(axis: _Axis, curves: np.ndarray) -> _Read:
    best = curves.argmax(-1)
    shift, peak = _refine(axis, curves, best)
    rectified = np.maximum(curves, 0)
    total = np.maximum(rectified.sum(-1), np.finfo(float).tiny)
    if axis.period is None:
        preferred = np.interp(best + shift, np.arange(GRID), axis.values)
        mean = total / GRID
        selectivity = 1 - mean / np.maximum(rectified.max(-1), mean)
        return _Read(preferred, peak, selectivity, np.full(peak.shape, np.nan))
    turns = np.exp(2j * np.pi * axis.values / axis.period)
    echo = _at(rectified, best + GRID // 2) / np.maximum(peak, np.finfo(float).tiny)
    return _Read(
        preferred=(best + shift) / GRID * axis.period % axis.period,
        peak=peak,
        selectivity=np.abs(rectified @ turns) / total,
        echo=np.where(peak > 0, echo, np.nan),
    )


def _at(curves: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Curves ``(..., g)`` at one place of the grid each, ``(...)``; the grid is walked round."""
    return np.take_along_axis(curves, (places % GRID)[..., None], -1)[..., 0]


def _refine(axis: _Axis, curves: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the parabola through the peak and its neighbours is highest, in points of the grid from
    ``best``, and its height.
    """
    before, here, after = (_at(curves, best + step) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    inside = (bend < 0) & ((axis.period is not None) | ((best > 0) & (best < GRID - 1)))
    shift = np.where(inside, 0.5 * (before - after) / np.where(inside, bend, 1), 0)
    return shift, here - 0.25 * (before - after) * shift


def _spread(drawn: np.ndarray, period: float | None) -> np.ndarray:
    """Standard deviation over the first axis; on an axis with a period, that of the wrapped normal
    of the same mean length.
    """
    if period is None:
        return drawn.std(0)
    length = np.abs(np.exp(2j * np.pi * drawn / period).mean(0))
    return np.sqrt(-2 * np.log(np.clip(length, np.finfo(float).tiny, 1))) * period / (2 * np.pi)
