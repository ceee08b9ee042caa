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
from typing import Final

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

PARAMETERS: Final = (
    9  # centre, two widths, frequency and direction of the carrier, cosine, sine, constant
)
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
    """The best Gabor of each filter, one entry a filter; NaN if the kernel is too small or
    constant.

    ``exp(-(u / along)**2 / 2 - (v / across)**2 / 2) * cos(2 pi frequency v + phase)`` times an
    amplitude plus a constant; ``u`` runs along the bars and ``v`` across them, from the centre
    ``(x, y)``.
    """

    r2: np.ndarray  # share of the variance over positions
    orientation_deg: (
        np.ndarray
    )  # along the bars, counter-clockwise as seen on the screen, in [0, 180)
    frequency: np.ndarray  # cycles per pixel
    phase_deg: (
        np.ndarray
    )  # of the cosine at the envelope's centre, in [0, 360): 0 an even filter with a bright bar
    along: np.ndarray  # standard deviation of the envelope along the bars, pixels
    across: np.ndarray  # and across them
    x: np.ndarray  # centre of the envelope from the kernel's centre, pixels to the right
    y: np.ndarray  # and down


@dataclass(frozen=True, slots=True)
class Opponency:
    """How much a filter is about colour, one entry a filter; NaN if it is constant and grey."""

    chroma: (
        np.ndarray
    )  # energy orthogonal to grey, as a share of it and of the luminance's variance over positions
    hue_deg: (
        np.ndarray
    )  # main axis of the chroma: the end with more weight, in [0, 360); red 0, green 120, blue 240
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
    """Pattern ``(filters, kh, kw)`` along the direction of colour in which each filter ``(filters,
    3, kh, kw)`` varies most.

    The direction is the one that leans towards white.
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
    """R2 that `LEVEL` of the layer's filters do not reach once their entries are permuted over
    places and colours.
    """
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
    second = np.einsum("nap,nbp->nab", plane, plane)
    powers, axes = np.linalg.eigh(second)
    chroma = powers.sum(1)
    axis = axes[:, :, 1]
    along = np.einsum("na,nap->n", axis, plane)
    axis = axis * np.where(along < 0, -1, 1)[:, None]
    hue = np.rad2deg(np.arctan2(axis[:, 1], axis[:, 0])) % 360
    noise = np.finfo(np.float64).eps * np.square(pixels).sum((1, 2)) * 16
    coloured, any_energy = chroma > noise, chroma + luminance > noise
    return Opponency(
        chroma=np.where(any_energy, chroma / np.where(any_energy, chroma + luminance, 1), np.nan),
        hue_deg=np.where(coloured, hue, np.nan),
        single_axis=np.where(coloured, powers[:, 1] / np.where(coloured, chroma, 1), np.nan),
    )


_CHROMA: Final = np.array([[2, -1, -1], [0, np.sqrt(3), -np.sqrt(3)]]) / np.sqrt(6)
"""Orthonormal axes of the plane orthogonal to grey, ``(2, 3)``: towards red, and 90 degrees of hue
further.
"""


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
    flat = filters.reshape(len(filters), -1)
    centred = flat - flat.mean(1, keepdims=True)
    energy = np.square(centred).sum(1)
    varies = energy > np.finfo(np.float64).eps * np.square(flat).sum(1) * 16
    unit = centred / np.sqrt(np.where(varies, energy, 1))[:, None]
    rows = [_fit(part, size) for part in np.array_split(unit, -(-len(unit) // CHUNK))]
    return GaborFit(*np.where(varies, np.concatenate(rows, axis=1), np.nan))


@dataclass(frozen=True, slots=True)
class _Atoms:
    """A dictionary of Gabors without their phase: starts for the fit."""

    shape: (
        np.ndarray
    )  # (bands, atoms, 6): centre x, y, log of the widths along and across, frequency, direction
    basis: (
        np.ndarray
    )  # (bands, atoms, 3, kh * kw): an orthonormal basis of cosine, sine and constant


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
    wave = _wave(shape.reshape(-1, 6), _grid(size))
    columns = np.stack([wave.cosine, wave.sine, np.ones_like(wave.sine)], axis=-1)
    basis = np.linalg.qr(columns)[0].swapaxes(-1, -2)
    return _Atoms(shape, basis.reshape(*shape.shape[:2], 3, -1))


@dataclass(frozen=True, slots=True)
class _Wave:
    """Gabors on the positions of a kernel, ``(n, positions)`` each."""

    u: np.ndarray  # along the bars, pixels from the centre
    v: np.ndarray  # across
    cosine: np.ndarray  # envelope times cosine of the carrier
    sine: np.ndarray


def _wave(shape: np.ndarray, grid: np.ndarray) -> _Wave:
    x, y, along, across, frequency, direction = (column[:, None] for column in shape.T)
    dx, dy = grid[0] - x, grid[1] - y
    u = (
        np.cos(direction) * dx - np.sin(direction) * dy
    )  # y runs down, angles counter-clockwise as seen
    v = np.sin(direction) * dx + np.cos(direction) * dy
    envelope = np.exp(-0.5 * (np.square(u / np.exp(along)) + np.square(v / np.exp(across))))
    angle = 2 * np.pi * frequency * v
    return _Wave(u, v, envelope * np.cos(angle), envelope * np.sin(angle))


def _fit(unit: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Rows of `GaborFit` for filters of mean 0 and norm 1, ``(8, filters)``."""
    atoms, grid = _atoms(size), _grid(size)
    share = np.square(np.einsum("bakp,np->nbak", atoms.basis, unit, optimize=True)).sum(-1)
    order = np.argsort(-share.max(2), axis=1, kind="stable")[:, :STARTS]  # the bands that hold most
    start = atoms.shape[
        order, np.take_along_axis(share.argmax(2), order, 1)
    ]  # (filters, starts, 6)
    count, bands = start.shape[:2]
    target = np.repeat(unit, bands, axis=0)
    shape, loss = _descend(start.reshape(-1, 6), target, grid, size)
    best = loss.reshape(count, bands).argmin(1)
    chosen = shape.reshape(count, bands, 6)[np.arange(count), best]
    return _describe(chosen, unit, grid, loss.reshape(count, bands).min(1))


def _solve(
    shape: np.ndarray, target: np.ndarray, grid: np.ndarray
) -> tuple[_Wave, np.ndarray, np.ndarray]:
    """The waves, the best cosine, sine and constant ``(n, 3)`` and what they leave over ``(n,
    positions)``.
    """
    wave = _wave(shape, grid)
    columns = np.stack([wave.cosine, wave.sine, np.ones_like(wave.sine)], axis=-1)
    gram = columns.swapaxes(1, 2) @ columns + 1e-9 * np.eye(3)
    weights = np.linalg.solve(gram, np.einsum("npk,np->nk", columns, target)[..., None])[..., 0]
    return wave, weights, target - np.einsum("npk,nk->np", columns, weights)


def _descend(
    shape: np.ndarray, target: np.ndarray, grid: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg-Marquardt steps on the shape, the linear weights solved for (Golub & Pereyra,
    1973), each fit for itself.

    Returns the shapes ``(n, 6)`` and the squared residuals ``(n,)``.
    """
    low, high = _bounds(size)
    wave, weights, left = _solve(shape, target, grid)
    loss, damping = np.square(left).sum(1), np.full(len(shape), 1e-2)
    for _ in range(STEPS):
        slope = _jacobian(shape, wave, weights)
        normal = slope.swapaxes(1, 2) @ slope
        ridge = damping[:, None] * (np.einsum("nii->ni", normal) + 1e-6)
        step = np.linalg.solve(
            normal + ridge[:, :, None] * np.eye(6), np.einsum("npk,np->nk", slope, left)[..., None]
        )
        tried = np.clip(shape + step[..., 0], low, high)
        new_wave, new_weights, new_left = _solve(tried, target, grid)
        new_loss = np.square(new_left).sum(1)
        better = new_loss < loss
        damping = np.where(better, damping / 3, damping * 4)
        shape, weights, left = (
            np.where(better[:, None], new, old)
            for new, old in ((tried, shape), (new_weights, weights), (new_left, left))
        )
        wave = _Wave(
            *(
                np.where(better[:, None], getattr(new_wave, f), getattr(wave, f))
                for f in _Wave.__slots__
            )
        )
        loss = np.where(better, new_loss, loss)
    return shape, loss


def _bounds(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Centre within the kernel, widths from half a pixel to the kernel's side, half a cycle a
    kernel to half a cycle a pixel.
    """
    side = max(size)
    half = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    low = np.array([-half[0], -half[1], np.log(0.5), np.log(0.5), 0.5 / side, -np.inf])
    high = np.array([half[0], half[1], np.log(side), np.log(side), 0.5, np.inf])
    return low, high


def _jacobian(shape: np.ndarray, wave: _Wave, weights: np.ndarray) -> np.ndarray:
    """Slopes of the Gabor by the six parameters of its shape, the linear weights held, ``(n,
    positions, 6)``.
    """
    _, _, along, across, frequency, direction = (column[:, None] for column in shape.T)
    a, b = weights[:, 0, None], weights[:, 1, None]
    value = a * wave.cosine + b * wave.sine
    turned = (
        2 * np.pi * (b * wave.cosine - a * wave.sine)
    )  # slope by the number of cycles at a position
    by_u = -wave.u / np.exp(2 * along) * value
    by_v = -wave.v / np.exp(2 * across) * value + frequency * turned
    cosine, sine = np.cos(direction), np.sin(direction)
    columns = (
        -cosine * by_u - sine * by_v,
        sine * by_u - cosine * by_v,
        np.square(wave.u) / np.exp(2 * along) * value,
        np.square(wave.v) / np.exp(2 * across) * value,
        wave.v * turned,
        -wave.v * by_u + wave.u * by_v,
    )
    return np.stack(columns, axis=-1)


def _describe(
    shape: np.ndarray, unit: np.ndarray, grid: np.ndarray, loss: np.ndarray
) -> np.ndarray:
    """Rows of `GaborFit`; ``v`` points down where the bars run to the right, so that each Gabor is
    written in one way.
    """
    _, weights, _ = _solve(shape, unit, grid)
    x, y, along, across, frequency, direction = shape.T
    turned = np.floor(direction / np.pi) % 2 == 1  # the same Gabor with v reversed
    phase = np.arctan2(-weights[:, 1], weights[:, 0]) * np.where(turned, -1, 1)
    rows = (
        1 - loss,
        np.rad2deg(direction) % 180,
        frequency,
        np.rad2deg(phase) % 360,
        np.exp(along),
        np.exp(across),
    )
    return np.stack([*rows, x, y])
