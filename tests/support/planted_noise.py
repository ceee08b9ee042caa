"""Noise on the weights of networks into which motifs are written by hand: light, or as training
leaves weights.

*Light*: Gaussian, half as spread as all weights of the layer. Most of them are zero, so it is small
beside a planted weight. *Trained-like*: sizes log-normal and signs random, half of the root mean
square of the weights that are *not* zero; kernels over several pixels are smooth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from tests.support.trained_like_graphs import SPREAD, bumps

__all__ = ["AMOUNT", "NOISES", "Noise", "among", "gaussian", "light", "trained"]

AMOUNT: Final = 0.5
"""Size of the noise: of light, in standard deviations of all weights; of trained-like, in root mean
squares of the non-zero ones.
"""

Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""The weights of a layer, ``(neurons, neurons, ...pixels)``, to these with noise on them."""


def gaussian(amount: float) -> Noise:
    """Gaussian noise, so many times as spread as the weights of the layer, zeros counted."""

    def noisy(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return weights + amount * weights.std() * rng.standard_normal(weights.shape)

    return noisy


light: Final = gaussian(AMOUNT)


def among(
    amount: float, draw: Callable[[tuple[int, ...], np.random.Generator], np.ndarray]
) -> Noise:
    """What is drawn, its root mean square so many times that of the weights that are not zero."""

    def noisy(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = draw(weights.shape, rng)
        return weights + amount * _size(weights[weights != 0]) / _size(noise) * noise

    return noisy


def _size(weights: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(weights**2)))


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape)


def _log_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Weights with the sizes and kernels of `trained_like_graphs`, and with random signs."""
    ends, pixels = shape[:2], shape[2:]
    weights = rng.choice([-1.0, 1.0], ends) * np.exp(SPREAD * rng.standard_normal(ends))
    weights = weights.reshape(*ends, *(1 for _ in pixels))
    return weights * bumps(ends, rng, size=pixels[0]) if math.prod(pixels) > 1 else weights


trained: Final = among(AMOUNT, _log_normal)

NOISES: Final[Mapping[str, Noise]] = MappingProxyType(
    {
        "light": light,
        "trained-like": trained,
        "half as large": among(AMOUNT / 2, _log_normal),
        "Gaussian, as large": among(AMOUNT, _normal),
    }
)
"""Each noise by its name in the tables; the last two say what in trained-like noise matters."""
