"""Silhouettes as signed distances: twelve abstract shapes and six animals.

A silhouette is a function of two coordinate arrays `u` (right) and `v` (down), any shape, in units
of the figure's radius, that gives the signed distance to the outline in the same units: negative
inside. Distances of ellipses are the usual first-order estimate; every outline fits into a circle
of radius 1.2. Animals look to the right.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANIMALS", "SHAPES", "SILHOUETTES", "Field"]

Field = NDArray[np.floating]
Point = tuple[float, float]
Silhouette = Callable[[Field, Field], Field]


def _disc(u: Field, v: Field, x: float, y: float, r: float) -> Field:
    return np.hypot(u - x, v - y) - r


def _ellipse(
    u: Field, v: Field, x: float, y: float, a: float, b: float, tilt: float = 0.0
) -> Field:
    """Ellipse with half axes `a`, `b`, its first axis turned by `tilt` degrees from `u` towards
    `v`.
    """
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    p, q = c * (u - x) + s * (v - y), c * (v - y) - s * (u - x)
    k = np.hypot(p / a, q / b)
    return k * (k - 1) / (np.hypot(p / a**2, q / b**2) + 1e-6)


def _capsule(u: Field, v: Field, start: Point, end: Point, r: float) -> Field:
    """Thick line between two points, `r` its half width."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    t = np.clip(((u - x0) * dx + (v - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(u - x0 - t * dx, v - y0 - t * dy) - r


def _box(u: Field, v: Field, x: float, y: float, a: float, b: float) -> Field:
    p, q = np.abs(u - x) - a, np.abs(v - y) - b
    return np.hypot(np.maximum(p, 0), np.maximum(q, 0)) + np.minimum(np.maximum(p, q), 0)


def _polygon(u: Field, v: Field, *corners: tuple[float, float]) -> Field:
    """Exact distance to a simple polygon: nearest edge, sign by crossing number."""
    nearest = np.full(u.shape, 1e9, np.float32)
    inside = np.zeros(u.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        nearest = np.minimum(nearest, _capsule(u, v, (x0, y0), (x1, y1), 0.0))
        if y0 != y1:
            inside ^= ((v < y0) != (v < y1)) & (u < x0 + (v - y0) * (x1 - x0) / (y1 - y0))
    return np.where(inside, -nearest, nearest)


def _union(*parts: Field) -> Field:
    return np.minimum.reduce(parts)


def _wheel(count: int, *radii: float) -> list[tuple[float, float]]:
    """Corners at `count` equal angles whose radii alternate."""
    angles = np.arange(count) * 2 * np.pi / count
    return [
        (radii[i % len(radii)] * np.sin(t), -radii[i % len(radii)] * np.cos(t))
        for i, t in enumerate(angles)
    ]


def _ring(u: Field, v: Field) -> Field:
    return np.abs(_disc(u, v, 0, 0, 0.78)) - 0.2


def _crescent(u: Field, v: Field) -> Field:
    return np.maximum(_disc(u, v, 0, 0, 1), -_disc(u, v, 0.55, 0, 0.82))


def _half_disc(u: Field, v: Field) -> Field:
    return np.maximum(_disc(u, v, 0, 0.4, 1), v - 0.4)


def _drop(u: Field, v: Field) -> Field:
    return _union(
        _disc(u, v, 0, 0.35, 0.62), _polygon(u, v, (0, -1.1), (0.56, 0.08), (-0.56, 0.08))
    )


def _cross(u: Field, v: Field) -> Field:
    return _union(_box(u, v, 0, 0, 1, 0.28), _box(u, v, 0, 0, 0.28, 1))


def _ell(u: Field, v: Field) -> Field:
    return _union(_box(u, v, -0.42, 0, 0.28, 0.95), _box(u, v, 0.1, 0.67, 0.8, 0.28))


def _ess(u: Field, v: Field) -> Field:
    """Two half rings, one above the other, open to opposite sides."""
    upper = np.where(u > 0, np.hypot(u, v + 1.0) * 0 + 9, np.abs(_disc(u, v, 0, -0.45, 0.45)))
    lower = np.where(u < 0, np.hypot(u, v) * 0 + 9, np.abs(_disc(u, v, 0, 0.45, 0.45)))
    tips = _union(
        _capsule(u, v, (0, -0.9), (0.5, -0.9), 0), _capsule(u, v, (0, 0.9), (-0.5, 0.9), 0)
    )
    return _union(upper, lower, tips) - 0.19


def _dog(u: Field, v: Field) -> Field:
    legs = [_capsule(u, v, (x, 0.1), (x, 0.8), 0.1) for x in (-0.6, -0.35, 0.3, 0.55)]
    head = _union(_disc(u, v, 0.75, -0.45, 0.27), _capsule(u, v, (0.8, -0.4), (1.1, -0.35), 0.12))
    tail = _capsule(u, v, (-0.7, -0.1), (-1.0, -0.6), 0.08)
    return _union(_ellipse(u, v, 0, 0, 0.8, 0.33), head, tail, *legs)


def _bird(u: Field, v: Field) -> Field:
    beak = _polygon(u, v, (0.8, -0.68), (1.2, -0.48), (0.8, -0.36))
    tail = _polygon(u, v, (-0.4, 0.05), (-1.15, 0.25), (-1.05, 0.6), (-0.3, 0.4))
    legs = [_capsule(u, v, (x, 0.5), (x, 0.95), 0.05) for x in (0.0, 0.2)]
    return _union(
        _ellipse(u, v, 0.05, 0.12, 0.65, 0.45, -20), _disc(u, v, 0.62, -0.5, 0.3), beak, tail, *legs
    )


def _fish(u: Field, v: Field) -> Field:
    tail = _polygon(u, v, (-0.55, 0), (-1.1, -0.5), (-0.95, 0), (-1.1, 0.5))
    fin = _polygon(u, v, (0.1, -0.4), (-0.4, -0.75), (-0.35, -0.3))
    return _union(_ellipse(u, v, 0.2, 0, 0.85, 0.47), tail, fin)


def _snail(u: Field, v: Field) -> Field:
    horn = _capsule(u, v, (0.85, 0.2), (1.0, -0.3), 0.05)
    foot = _capsule(u, v, (-1.0, 0.68), (0.7, 0.62), 0.15)
    return _union(_disc(u, v, -0.15, -0.05, 0.65), foot, _disc(u, v, 0.82, 0.4, 0.24), horn)


def _giraffe(u: Field, v: Field) -> Field:
    legs = [_capsule(u, v, (x, 0.2), (x, 1.05), 0.07) for x in (-0.6, -0.42, 0.1, 0.28)]
    neck = _capsule(u, v, (0.25, 0.05), (0.55, -0.85), 0.12)
    head = _ellipse(u, v, 0.75, -0.92, 0.32, 0.14, 15)
    return _union(
        _ellipse(u, v, -0.15, 0.15, 0.6, 0.3),
        neck,
        head,
        _capsule(u, v, (-0.7, 0.1), (-0.9, 0.5), 0.05),
        *legs,
    )


def _rabbit(u: Field, v: Field) -> Field:
    ears = [_ellipse(u, v, x, -0.85, 0.11, 0.38, t) for x, t in ((0.38, -20), (0.62, 5))]
    feet = _capsule(u, v, (-0.3, 0.82), (0.6, 0.82), 0.13)
    body = _ellipse(u, v, -0.1, 0.3, 0.68, 0.5, -15)
    return _union(body, _disc(u, v, 0.55, -0.25, 0.33), _disc(u, v, -0.82, 0.45, 0.2), feet, *ears)


SHAPES: dict[str, Silhouette] = {
    "disc": lambda u, v: _disc(u, v, 0, 0, 0.9),
    "ring": _ring,
    "crescent": _crescent,
    "half_disc": _half_disc,
    "ellipse": lambda u, v: _ellipse(u, v, 0, 0, 1.1, 0.55),
    "drop": _drop,
    "square": lambda u, v: _box(u, v, 0, 0, 0.78, 0.78),
    "triangle": lambda u, v: _polygon(u, v, *_wheel(3, 1.1)),
    "star": lambda u, v: _polygon(u, v, *_wheel(10, 1.15, 0.5)),
    "cross": _cross,
    "ell": _ell,
    "ess": _ess,
}
"""Abstract shapes; they appear at any rotation."""

ANIMALS: dict[str, Silhouette] = {
    "dog": _dog,
    "bird": _bird,
    "fish": _fish,
    "snail": _snail,
    "giraffe": _giraffe,
    "rabbit": _rabbit,
}
"""Animals; they appear nearly upright and face left or right."""

SILHOUETTES: dict[str, Silhouette] = SHAPES | ANIMALS
"""All eighteen classes, in the order of the network's `shape` output."""
