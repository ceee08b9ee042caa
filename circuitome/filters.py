"""Kinds of the filters that read the image, by weights alone: Gabor fits and colour opponency.

*An Overview of Early Vision in InceptionV1* (Distill, 2020) sorts the first layer by eye into Gabor
filters, colour contrasts and others. Here a filter is taken as a pattern times a direction of
colour (the first one of a singular value decomposition), and a Gabor (Daugman, J. Opt. Soc. Am. A
2, 1985) is fitted to the pattern by Levenberg-Marquardt steps from the best atoms of a dictionary,
all filters and starts at once.

* `other`: the fit is no better than 95 % of the fits to filters of the same layer with their
  entries permuted.
* `colour_contrast`: more of the filter's energy is chroma (orthogonal to grey) than luminance
  (along grey, its mean left out: a constant carries no pattern), and the pattern has less than one
  cycle a kernel: one side against another.
* `gabor`: any other pattern that fits; a wave of a full cycle counts whatever its colours.

A kernel with less than twice as many positions as a Gabor has parameters (smaller than 5 x 5) is
not fitted: it is `colour_contrast` by its chroma alone, or `other`.

What was tried first, a fit to the luminance and chroma decided alone, agreed with 34 of the 64
published labels of InceptionV1's first layer: its Gabors are half chroma (they weigh green most).
The rule above agrees with 52 (Gabor 28 of 28, colour contrast 21 of 27, other 3 of 9); it was found
on these labels, so the agreement flatters it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from circuitome.errors import CircuitomeError

__all__ = [
    "FilterError",
    "FilterKinds",
    "GaborFit",
    "Opponency",
    "fit_gabors",
    "filter_kinds",
    "main_pattern",
    "opponency",
]

PARAMETERS: Final = 9
"""Centre, two widths, frequency and direction of the carrier, cosine, sine, constant."""
STARTS: Final = 4
"""Fits to a filter, each from the best atom of another band of frequencies."""
STEPS: Final = 60
LEVEL: Final = 0.95
"""Share of fits to permuted filters that a Gabor's fit has to beat."""
PERMUTED: Final = 400
"""Fits to permuted filters of a layer, at least."""
CHUNK: Final = 1024
"""Fits at once."""


class FilterError(CircuitomeError):
    """Filters that do not read an image of three colours."""


@dataclass(frozen=True, slots=True)
class GaborFit:
    """The best Gabor of each filter; NaN if the kernel is too small or constant.

    ``exp(-(u / along)**2 / 2 - (v / across)**2 / 2) * cos(2 pi frequency v + phase)`` times an
    amplitude plus a constant; ``u`` runs along the bars and ``v`` across them, from the centre
    ``(x, y)``.
    """

    r2: np.ndarray  # share of the variance over positions
    # along the bars, counter-clockwise as seen on the screen, in [0, 180)
    orientation_deg: np.ndarray
    frequency: np.ndarray  # cycles per pixel
    # of the cosine at the envelope's centre, in [0, 360): 0 an even filter with a bright bar
    phase_deg: np.ndarray
    along: np.ndarray  # standard deviation of the envelope along the bars, pixels
    across: np.ndarray  # and across them
    x: np.ndarray  # centre of the envelope from the kernel's centre, pixels to the right
    y: np.ndarray  # and down


@dataclass(frozen=True, slots=True)
class Opponency:
    """How much a filter is about colour, one entry a filter; NaN if it is constant and grey."""

    # energy orthogonal to grey, as a share of it and of the luminance's variance over positions
    chroma: np.ndarray
    # main axis of the chroma: the end with more weight, in [0, 360); red 0, green 120, blue 240
    hue_deg: np.ndarray
    single_axis: np.ndarray  # share of the chroma's energy along that axis, from 0.5 to 1


@dataclass(frozen=True, slots=True)
class FilterKinds:
    """What a layer that reads the image does, by its weights; one entry a filter."""

    kind: np.ndarray  # str: gabor, colour_contrast or other
    gabor: GaborFit
    colour: Opponency
    bar: float  # R2 that a Gabor's fit had to exceed; NaN if kernels are too small for a fit


def filter_kinds(weights: np.ndarray, *, seed: int = 0) -> FilterKinds:
    """Sort the filters of a layer that reads the image.

    Args:
        weights: ``(filters, 3, kh, kw)``, on RGB: divide by the preprocessing's standard deviations
            first.
        seed: of the permutations.

    Raises:
        FilterError: the filters do not read three colours.
    """
    weights = _rgb(weights)
    colour, gabor = opponency(weights), fit_gabors(main_pattern(weights))
    bar = _permuted_bar(weights, seed)
    coloured = colour.chroma > 0.5
    if np.isnan(bar):
        return FilterKinds(np.where(coloured, "colour_contrast", "other"), gabor, colour, bar)
    waves = gabor.frequency >= 1 / max(weights.shape[2:])
    kind = np.where(coloured & ~waves, "colour_contrast", "gabor")
    return FilterKinds(np.where(gabor.r2 > bar, kind, "other"), gabor, colour, bar)


def main_pattern(weights: np.ndarray) -> np.ndarray:
    """Patterns ``(filters, kh, kw)`` along the direction of colour, towards white, in which each
    filter ``(filters, 3, kh, kw)`` varies most.
    """
    pixels = weights.reshape(len(weights), 3, -1)
    around = pixels - pixels.mean(2, keepdims=True)
    directions = np.linalg.eigh(around @ around.swapaxes(1, 2))[1][:, :, -1]
    directions *= np.where(directions.sum(1) < 0, -1, 1)[:, None]
    return np.einsum("nc,ncp->np", directions, pixels).reshape(len(weights), *weights.shape[2:])


def _rgb(weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 4 or weights.shape[1] != 3:
        raise FilterError(
            f"filters of shape {weights.shape} do not read RGB; give (filters, 3, height, width)"
        )
    return weights


def _permuted_bar(weights: np.ndarray, seed: int) -> float:
    """R2 that `LEVEL` of the layer's filters do not reach if all their entries are permuted."""
    if _too_small(weights.shape[2:]) or not len(weights):
        return float("nan")
    flat = np.repeat(weights.reshape(len(weights), -1), -(-PERMUTED // len(weights)), axis=0)
    permuted = np.random.default_rng(seed).permuted(flat, axis=1).reshape(-1, *weights.shape[1:])
    r2 = fit_gabors(main_pattern(permuted)).r2
    return float(np.quantile(r2[np.isfinite(r2)], LEVEL)) if np.isfinite(r2).any() else float("nan")


def opponency(weights: np.ndarray) -> Opponency:
    """Split the filters ``(filters, 3, kh, kw)`` into luminance and chroma.

    Raises:
        FilterError: the filters do not read three colours.

    Example:
        >>> red_against_cyan = np.zeros((1, 3, 1, 2))
        >>> red_against_cyan[0, :, 0] = [[2, 0], [0, 1], [0, 1]]
        >>> opponency(red_against_cyan).hue_deg.round().tolist()
        [0.0]
    """
    weights = _rgb(weights)
    pixels = weights.reshape(len(weights), 3, -1)
    grey = pixels.sum(1) / np.sqrt(3)
    luminance = np.square(grey - grey.mean(1, keepdims=True)).sum(1)
    plane = np.einsum("ac,ncp->nap", _CHROMA, pixels)
    powers, axes = np.linalg.eigh(np.einsum("nap,nbp->nab", plane, plane))
    chroma = powers.sum(1)
    noise = np.finfo(np.float64).eps * np.square(pixels).sum((1, 2)) * 16
    coloured = chroma > noise
    return Opponency(
        chroma=_ratio(chroma, chroma + luminance, where=chroma + luminance > noise),
        hue_deg=np.where(coloured, _hue(axes[:, :, 1], plane), np.nan),
        single_axis=_ratio(powers[:, 1], chroma, where=coloured),
    )


def _hue(axis: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Hue of the end with more weight of each axis ``(n, 2)``, degrees ``(n,)``."""
    along = np.einsum("na,nap->n", axis, plane)
    axis = axis * np.where(along < 0, -1, 1)[:, None]
    return np.rad2deg(np.arctan2(axis[:, 1], axis[:, 0])) % 360


def _ratio(part: np.ndarray, whole: np.ndarray, *, where: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=where)


_CHROMA: Final = np.array([[2, -1, -1], [0, np.sqrt(3), -np.sqrt(3)]]) / np.sqrt(6)
"""Orthonormal axes of the plane orthogonal to grey, ``(2, 3)``: towards red, and across."""


def _too_small(size: tuple[int, ...]) -> bool:
    return size[0] * size[1] < 2 * PARAMETERS or min(size) < 2


def fit_gabors(filters: np.ndarray) -> GaborFit:
    """Fit a Gabor to each filter.

    Args:
        filters: ``(filters, kh, kw)``, one channel.

    Raises:
        FilterError: another shape.
    """
    filters = np.asarray(filters, np.float64)
    if filters.ndim != 3:
        raise FilterError(
            f"filters of shape {filters.shape} have no single channel; give (filters, height, "
            "width)"
        )
    size = (filters.shape[1], filters.shape[2])
    if _too_small(size) or not len(filters):
        return GaborFit(*np.full((8, len(filters)), np.nan))
    unit = _unit(filters.reshape(len(filters), -1))
    rows = [_fit(part, size) for part in np.array_split(unit, -(-len(unit) // CHUNK))]
    return GaborFit(*np.where(unit.any(1), np.concatenate(rows, axis=1), np.nan))


def _unit(flat: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and norm 1; constant ones become zeros."""
    centred = flat - flat.mean(1, keepdims=True)
    energy = np.square(centred).sum(1)
    varies = energy > np.finfo(np.float64).eps * np.square(flat).sum(1) * 16
    norm = np.sqrt(np.where(varies, energy, np.inf))
    return centred / norm[:, None]


@dataclass(frozen=True, slots=True)
class _Atoms:
    """A dictionary of Gabors without their phase: starts for the fit."""

    # (bands, atoms, 6): centre x, y, log of the widths along and across, frequency, direction
    shape: np.ndarray
    # (bands, atoms, 3, kh * kw): an orthonormal basis of cosine, sine and constant
    basis: np.ndarray


def _grid(size: tuple[int, int]) -> np.ndarray:
    """Pixels to the right of and below the kernel's centre, ``(2, kh * kw)``."""
    y, x = np.mgrid[: size[0], : size[1]].reshape(2, -1)
    return np.stack([x - (size[1] - 1) / 2, y - (size[0] - 1) / 2])


@lru_cache(maxsize=8)
def _atoms(size: tuple[int, int]) -> _Atoms:
    """Bands of frequency half a cycle a kernel apart, 8 directions, 2 widths, 9 centres."""
    side = min(size)
    frequencies = np.arange(1, side) / (2 * side)
    directions = np.arange(8) * np.pi / 8
    widths = np.log([side / 6, side / 3])
    offsets_y, offsets_x = (np.array([-1, 0, 1]) * length / 5 for length in size)
    mesh = np.meshgrid(frequencies, offsets_x, offsets_y, widths, directions, indexing="ij")
    frequency, x, y, width, direction = (part.reshape(len(frequencies), -1) for part in mesh)
    shape = np.stack([x, y, width, width, frequency, direction], axis=-1)
    columns = _columns(_wave(shape.reshape(-1, 6), _grid(size)))
    basis = np.linalg.qr(columns)[0].swapaxes(-1, -2)
    return _Atoms(shape, basis.reshape(*shape.shape[:2], 3, -1))


def _wave(shape: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Gabors on the positions of a kernel, ``(4, n, positions)``.

    The four: pixels from the centre along the bars and across them, and the envelope times the
    cosine and the sine of the carrier.
    """
    x, y, along, across, frequency, direction = (column[:, None] for column in shape.T)
    dx, dy = grid[0] - x, grid[1] - y
    # y runs down, angles counter-clockwise as seen
    u = np.cos(direction) * dx - np.sin(direction) * dy
    v = np.sin(direction) * dx + np.cos(direction) * dy
    envelope = np.exp(-0.5 * (np.square(u / np.exp(along)) + np.square(v / np.exp(across))))
    angle = 2 * np.pi * frequency * v
    return np.stack([u, v, envelope * np.cos(angle), envelope * np.sin(angle)])


def _columns(wave: np.ndarray) -> np.ndarray:
    """Cosine, sine and constant at every position, ``(n, positions, 3)``."""
    _, _, cosine, sine = wave
    return np.stack([cosine, sine, np.ones_like(sine)], axis=-1)


def _fit(unit: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Rows of `GaborFit` for filters of mean 0 and norm 1, ``(8, filters)``."""
    atoms, grid = _atoms(size), _grid(size)
    share = np.square(np.einsum("bakp,np->nbak", atoms.basis, unit, optimize=True)).sum(-1)
    bands = np.argsort(-share.max(2), axis=1, kind="stable")[:, :STARTS]  # those that hold most
    start = atoms.shape[bands, np.take_along_axis(share.argmax(2), bands, 1)]
    count, starts, _ = start.shape
    target = np.repeat(unit, starts, axis=0)
    shape, loss = _descend(start.reshape(-1, 6), target, grid, size)
    loss = loss.reshape(count, starts)
    chosen = shape.reshape(count, starts, 6)[np.arange(count), loss.argmin(1)]
    return _describe(chosen, unit, grid, loss.min(1))


class _Solved(NamedTuple):
    """Gabors of given shapes with their best linear weights."""

    wave: np.ndarray  # (4, n, positions)
    weights: np.ndarray  # (n, 3) of cosine, sine and constant
    left: np.ndarray  # (n, positions) what they leave over


def _solve(shape: np.ndarray, target: np.ndarray, grid: np.ndarray) -> _Solved:
    wave = _wave(shape, grid)
    columns = _columns(wave)
    gram = columns.swapaxes(1, 2) @ columns + 1e-9 * np.eye(3)
    weights = np.linalg.solve(gram, np.einsum("npk,np->nk", columns, target)[..., None])[..., 0]
    return _Solved(wave, weights, target - np.einsum("npk,nk->np", columns, weights))


def _descend(
    shape: np.ndarray, target: np.ndarray, grid: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The shapes ``(n, 6)`` that Levenberg-Marquardt steps lead to, and squared residuals ``(n,)``.

    Each fit is for itself; the linear weights are solved for (Golub & Pereyra, 1973).
    """
    low, high = _bounds(size)
    fit, damping = _solve(shape, target, grid), np.full(len(shape), 1e-2)
    loss = np.square(fit.left).sum(1)
    for _ in range(STEPS):
        tried = np.clip(shape + _step(shape, fit, damping), low, high)
        new = _solve(tried, target, grid)
        new_loss = np.square(new.left).sum(1)
        better = new_loss < loss
        damping = np.where(better, damping / 3, damping * 4)
        loss = np.where(better, new_loss, loss)
        better = better[:, None]
        shape = np.where(better, tried, shape)
        fit = _Solved(*(np.where(better, *pair) for pair in zip(new, fit, strict=True)))
    return shape, loss


def _step(shape: np.ndarray, fit: _Solved, damping: np.ndarray) -> np.ndarray:
    """The damped step of every shape, ``(n, 6)``."""
    slope = _jacobian(shape, fit)
    normal = slope.swapaxes(1, 2) @ slope
    ridge = damping[:, None] * (np.einsum("nii->ni", normal) + 1e-6)
    downhill = np.einsum("npk,np->nk", slope, fit.left)
    return np.linalg.solve(normal + ridge[:, :, None] * np.eye(6), downhill[..., None])[..., 0]


def _bounds(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest values of the parameters of a shape, ``(6,)`` each.

    The centre is within the kernel, widths are from half a pixel to the kernel's side, and
    frequencies from half a cycle a kernel to half a cycle a pixel.
    """
    side, half_y, half_x = max(size), (size[0] - 1) / 2, (size[1] - 1) / 2
    low = np.array([-half_x, -half_y, np.log(0.5), np.log(0.5), 0.5 / side, -np.inf])
    high = np.array([half_x, half_y, np.log(side), np.log(side), 0.5, np.inf])
    return low, high


def _jacobian(shape: np.ndarray, fit: _Solved) -> np.ndarray:
    """Slopes of the Gabor by the parameters of its shape alone, ``(n, positions, 6)``."""
    _, _, along, across, frequency, direction = (column[:, None] for column in shape.T)
    a, b, _ = (column[:, None] for column in fit.weights.T)
    u, v, cosine, sine = fit.wave
    value = a * cosine + b * sine
    turned = 2 * np.pi * (b * cosine - a * sine)  # slope by the number of cycles at a position
    by_u = -u / np.exp(2 * along) * value
    by_v = -v / np.exp(2 * across) * value + frequency * turned
    cosine, sine = np.cos(direction), np.sin(direction)
    columns = (
        -cosine * by_u - sine * by_v,
        sine * by_u - cosine * by_v,
        np.square(u) / np.exp(2 * along) * value,
        np.square(v) / np.exp(2 * across) * value,
        v * turned,
        -v * by_u + u * by_v,
    )
    return np.stack(columns, axis=-1)


def _describe(
    shape: np.ndarray, unit: np.ndarray, grid: np.ndarray, loss: np.ndarray
) -> np.ndarray:
    """Rows of `GaborFit`; ``v`` points down if the bars run to the right: one way for each."""
    weights = _solve(shape, unit, grid).weights
    x, y, along, across, frequency, direction = shape.T
    turned = np.floor(direction / np.pi) % 2 == 1  # the same Gabor with v reversed
    phase = np.arctan2(-weights[:, 1], weights[:, 0]) * np.where(turned, -1, 1)
    angles = np.rad2deg(direction) % 180, np.rad2deg(phase) % 360
    return np.stack(
        [1 - loss, angles[0], frequency, angles[1], np.exp(along), np.exp(across), x, y]
    )
