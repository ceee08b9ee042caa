"""Textures as grey fields in [-1, 1]: solid, five periodic or painted ones and two kinds of noise.

A texture takes a random generator, a count and a size, and gives `(count, size, size)` float32.
Within a batch every field has its own orientation, scale and phase.
"""

from collections.abc import Callable

import numpy as np

from circuitome.networks.shapes import Field

__all__ = ["TEXTURES", "soften"]

Texture = Callable[[np.random.Generator, int, int], Field]


def _turned(rng: np.random.Generator, count: int, size: int) -> tuple[Field, Field]:
    """Coordinates in pixels, `(count, size, size)` each, turned and shifted at random."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    dx, dy = rng.uniform(0, size, (2, count, 1, 1)).astype(np.float32)
    c, s = np.cos(angle), np.sin(angle)
    return c * x + s * y + dx, c * y - s * x + dy


def _phase_scale(rng: np.random.Generator, count: int, low: float, high: float) -> Field:
    """Angular frequencies, `(count, 1, 1)` radians a pixel, for periods of `low` to `high`
    pixels.
    """
    periods = np.exp(rng.uniform(np.log(low), np.log(high), (count, 1, 1)))
    return (2 * np.pi / periods).astype(np.float32)


def _spread(field: Field) -> Field:
    """Scale every field to mean 0 and a spread of 0.5, clipped to [-1, 1]."""
    field = field - field.mean((1, 2), keepdims=True)
    return np.clip(0.5 * field / (field.std((1, 2), keepdims=True) + 1e-6), -1, 1).astype(
        np.float32
    )


def _solid(rng: np.random.Generator, count: int, size: int) -> Field:
    return np.zeros((count, size, size), np.float32)


def _stripes(rng: np.random.Generator, count: int, size: int) -> Field:
    u, _ = _turned(rng, count, size)
    sharpness = rng.uniform(1, 4, (count, 1, 1)).astype(np.float32)
    return np.tanh(sharpness * np.sin(u * _phase_scale(rng, count, 4, 14)))


def _checker(rng: np.random.Generator, count: int, size: int) -> Field:
    u, v = _turned(rng, count, size)
    k = _phase_scale(rng, count, 8, 18)
    return np.tanh(6 * np.sin(u * k) * np.sin(v * k))


def _dots(rng: np.random.Generator, count: int, size: int) -> Field:
    u, v = _turned(rng, count, size)
    k = _phase_scale(rng, count, 7, 14)
    sign = rng.choice(np.array([-1, 1], np.float32), (count, 1, 1))
    return sign * np.tanh(3 * (np.cos(u * k) + np.cos(v * k) - 0.9))


def _rings(rng: np.random.Generator, count: int, size: int) -> Field:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    cx, cy = rng.uniform(0, size, (2, count, 1, 1)).astype(np.float32)
    return np.tanh(3 * np.sin(np.hypot(x - cx, y - cy) * _phase_scale(rng, count, 5, 14)))


def _leaves(rng: np.random.Generator, count: int, size: int, discs: int = 50) -> Field:
    """Dead leaves: opaque discs of many radii painted over one another."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    field = np.zeros((count, size, size), np.float32)
    cx, cy = rng.uniform(-4, size + 4, (2, discs, count, 1, 1)).astype(np.float32)
    radius = np.sort(3 / rng.uniform(0.15, 1, (discs, count, 1, 1)).astype(np.float32), axis=0)[
        ::-1
    ]
    grey = rng.uniform(-1, 1, (discs, count, 1, 1)).astype(np.float32)
    for i in range(discs):
        np.copyto(field, grey[i], where=(x - cx[i]) ** 2 + (y - cy[i]) ** 2 < radius[i] ** 2)
    return field


def _filtered_noise(rng: np.random.Generator, count: int, size: int, gain: Field) -> Field:
    noise = rng.standard_normal((count, size, size), dtype=np.float32)
    return _spread(np.fft.irfft2(np.fft.rfft2(noise) * gain, s=(size, size)).astype(np.float32))


def _frequencies(size: int) -> Field:
    """Radial spatial frequency of the real Fourier transform, `(size, size // 2 + 1)` cycles a
    pixel.
    """
    return np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]).astype(np.float32)


def _cloud(rng: np.random.Generator, count: int, size: int) -> Field:
    """1/f noise, as natural scenes have."""
    return _filtered_noise(
        rng, count, size, 1 / np.maximum(_frequencies(size), 1 / size) ** np.float32(1.2)
    )


def _grain(rng: np.random.Generator, count: int, size: int) -> Field:
    """Noise of high frequencies only."""
    return _filtered_noise(rng, count, size, np.exp(-(((_frequencies(size) - 0.28) / 0.08) ** 2)))


def soften(field: Field, sigma: Field) -> Field:
    """Blur every field `(n, size, size)` by its own Gaussian, `sigma` `(n,)` pixels; the border
    wraps.
    """
    size = field.shape[-1]
    gain = np.exp(-2 * (np.pi * sigma[:, None, None] * _frequencies(size)) ** 2)
    return np.fft.irfft2(np.fft.rfft2(field) * gain, s=(size, size)).astype(np.float32)


TEXTURES: dict[str, Texture] = {
    "solid": _solid,
    "stripes": _stripes,
    "checker": _checker,
    "dots": _dots,
    "rings": _rings,
    "leaves": _leaves,
    "cloud": _cloud,
    "grain": _grain,
}
"""Texture classes, in the order of the network's texture outputs."""
