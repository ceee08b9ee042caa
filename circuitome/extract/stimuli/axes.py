"""Axes of stimuli: the values that their parameters take, and what of them a neuron may prefer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from circuitome.extract.stimuli.registry import Axis

__all__ = [
    "ANY_PHASE",
    "ANY_POLARITY",
    "ANY_SEED",
    "ANY_TURN",
    "FINEST",
    "ORIENTED",
    "POLARITY",
    "SATURATION",
    "bar",
    "constant",
    "every",
    "frequency",
    "hues",
    "nuisance",
    "number",
    "octaves",
    "pixels",
    "pointing",
    "radius",
    "spaced",
]

Values = Callable[[float], Sequence[float]]

FINEST: Final = 0.35
"""Highest spatial frequency, cycles per pixel: a margin below the 0.5 that a pixel grid can carry.
"""
ORIENTED: Final = {"rotate": "orientation", "flip_h": "orientation", "flip_v": "orientation"}
"""Transforms that move the orientation, and nothing else."""


def every(step: float, stop: float) -> Values:
    """From 0 up to ``stop``, which is left out."""
    return lambda radius: [step * index for index in range(round(stop / step))]


def constant(*values: float) -> Values:
    """The same for all layers."""
    return lambda radius: values


def spaced(low: float, high: float, count: int, *, least: float) -> Values:
    """Sizes from ``low`` to ``high`` radii in equal ratios.

    The smallest is at least ``least`` pixels, the largest twice that.
    """

    def sizes(radius: float) -> Sequence[float]:
        return _ratios(max(low * radius, least), max(high * radius, 2 * least), count)

    return sizes


def octaves(count: int, *, coarsest: float) -> Values:
    """Frequencies in equal ratios, from ``coarsest`` cycles in what the layer sees to the
    finest.
    """

    def frequencies(radius: float) -> Sequence[float]:
        return _ratios(min(coarsest / (2 * radius), FINEST / 2), FINEST, count)

    return frequencies


def _ratios(first: float, last: float, count: int) -> list[float]:
    """Numbers from the first to the last in equal ratios."""
    return [first * (last / first) ** (index / (count - 1)) for index in range(count)]


def bar(step: float, period: float) -> Axis:
    """Orientation along a bar or a border."""
    return Axis("orientation", "degrees", every(step, period), period, column="orientation_deg")


def pointing(step: float) -> Axis:
    """Orientation of what points somewhere."""
    values = every(step, 360)
    return Axis("orientation", "degrees", values, 360, mirror=180, column="orientation_deg")


def hues(step: float) -> Axis:
    """Hues round the circle."""
    return Axis("hue", "degrees", every(step, 360), 360, column="hue_deg")


def frequency(values: Values) -> Axis:
    """Spatial frequency."""
    return Axis("frequency", "cycles per pixel", values, column="frequency")


def radius(values: Values) -> Axis:
    """Radius of a circle or an arc."""
    return Axis("radius", "pixels", values, column="radius_px")


def pixels(name: str, values: Values) -> Axis:
    """A length that has no column."""
    return Axis(name, "pixels", values, column=None)


def number(name: str, *values: float) -> Axis:
    """A number or a choice, which has no column."""
    return Axis(name, "", constant(*values), column=None)


def nuisance(name: str, unit: str, values: Values, period: float | None = None) -> Axis:
    """A parameter that is drawn at random in each trial."""
    return Axis(name, unit, values, period, nuisance=True, column=None)


POLARITY: Final = number("polarity", -1, 1)
ANY_POLARITY: Final = nuisance("polarity", "", constant(-1, 1))
ANY_PHASE: Final = nuisance("phase", "degrees", every(22.5, 360), 360)
ANY_TURN: Final = nuisance("turn", "degrees", every(7.5, 360), 360)
ANY_SEED: Final = nuisance("seed", "", lambda radius: [index / 997 for index in range(997)])
SATURATION: Final = number("saturation", 0, 1)
