"""The registry of stimuli: what a stimulus is, where it is drawn, and how one is registered.

A new stimulus is one function: it takes a `Canvas` and its parameters, ``(n, 1, 1)`` each, and
gives the images, ``(n, 1 or 3, side, side)``. The decorator says its parameters, with units, and
which of them a transform moves; `circuitome.vocabulary` says what the stimulus is, for motifs and
queries. The stimuli themselves stand in `patterns`; `catalogue.STIMULI` has them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from circuitome.errors import CircuitomeError
from circuitome.extract.stimuli.transforms import (
    GROUPS,
    IDENTITY,
    Transform,
    pixels_from_centre,
)
from circuitome.vocabulary import PREFERENCES, STIMULI, SWITCHES, TRAITS

__all__ = ["REGISTERED", "Axis", "Canvas", "Stimulus", "StimulusError", "stimulus"]

Draw = Callable[..., Tensor]


class StimulusError(CircuitomeError):
    """A stimulus that cannot be registered, chosen or drawn."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where stimuli are drawn: the coordinates of a square patch's pixels."""

    x: Tensor
    """``(1 or n, side, side)`` pixels to the right of the patch's centre, before a transform."""
    y: Tensor
    """``(1 or n, side, side)`` pixels down."""
    radius: float
    """Half of what the layer sees, pixels: the sizes of the stimuli follow it."""
    soft: float | Tensor = 1.0
    """Width of anti-aliased borders in these pixels, so that it grows on the screen with scale."""

    @classmethod
    def square(
        cls,
        side: int,
        radius: float,
        *,
        transform: Transform = IDENTITY,
        device: str | torch.device = "cpu",
    ) -> Canvas:
        """The pixels of a patch of ``side``; what is drawn there comes out under ``transform`` (its
        places, not its colours).
        """
        line = pixels_from_centre(side, device).expand(1, side, side)
        x, y = transform.coordinates(line, line.mT)
        return cls(x, y, radius)

    @property
    def distance(self) -> Tensor:
        """Pixels from the patch's centre, ``(1 or n, side, side)``."""
        return torch.hypot(self.x, self.y)

    def shifted(self, right: Tensor, down: Tensor) -> Canvas:
        """The canvas on which everything is drawn ``(n, 1, 1)`` pixels further to the right and
        down.
        """
        return replace(self, x=self.x - right, y=self.y - down)

    def turned(self, degrees: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels along a direction (0 right, 90 up) and to the left of it, ``(n, side, side)``
        each.
        """
        angle = torch.deg2rad(degrees)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return self.x * cosine - self.y * sine, -self.x * sine - self.y * cosine


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter of a stimulus."""

    name: str
    unit: str  # "degrees", "pixels", "cycles per pixel", or "" for a number or a choice
    values: Callable[
        [float], Sequence[float]
    ]  # its values for a layer that sees this radius (pixels)
    period: float | None = None  # None: not circular
    nuisance: bool = False  # drawn at random in each trial, and no part of the cell
    mirror: float = 0.0
    """An angle a becomes mirror - a under flip_h and mirror + 180 - a under flip_v."""
    column: str | None = field(kw_only=True)
    """Column of `Neuron` that keeps a preferred value, one of `PREFERENCES`; None: there is none.
    """

    def moved(self, value: float, transform: Transform) -> float:
        """The value after a transform that moves this axis."""
        group, amount = transform.group, transform.amount
        if group == "scale":
            falls = self.unit == "cycles per pixel"
            return value / transform.factor if falls else value * transform.factor
        if group not in SWITCHES:
            return value + amount
        if not amount:
            return value
        if group == "invert":
            return value + 180.0 if self.unit == "degrees" else -value
        return self.mirror + (180.0 if group == "flip_v" else 0.0) - value


@dataclass(frozen=True, slots=True)
class Stimulus:
    """A class of images: one function and its parameters."""

    name: str
    doc: str
    """One sentence."""
    draw: Draw
    """``(canvas, **{axis name: (n, 1, 1)})`` -> ``(n, 1 or 3, side, side)``, grey 0.5."""
    axes: tuple[Axis, ...]
    """The first is the one that a neuron is said to be tuned to."""
    acts: Mapping[str, str]
    """Transform group -> the axis that it moves; a group that is not here moves none exactly."""
    traits: frozenset[str]
    """What it is, of `circuitome.vocabulary.TRAITS`."""

    def axis(self, name: str) -> Axis:
        """The axis of a name."""
        return next(axis for axis in self.axes if axis.name == name)

    def moved(self, values: Mapping[str, float], transform: Transform) -> dict[str, float]:
        """Parameters whose image is the image of ``values`` under a transform.

        Lengths that a stimulus takes from its canvas are left alone: under `scale` the soft borders
        grow too.

        Raises:
            StimulusError: the transform moves no parameter.
        """
        parts = [transform]
        if transform.group == "hue_rotate":
            parts = [Transform("hue", transform.amount), Transform("rotate", transform.turn)]
        moved = dict(values)
        for part in parts:
            if part.group not in self.acts:
                raise StimulusError(
                    f"{transform.group} moves no parameter of the stimulus {self.name}"
                )
            name = self.acts[part.group]
            moved[name] = self.axis(name).moved(moved[name], part)
        return moved


REGISTERED: Final[dict[str, Stimulus]] = {}
"""Every stimulus registered so far, by name."""


def stimulus(
    name: str, *axes: Axis, traits: Collection[str] | None = None, **acts: str
) -> Callable[[Draw], Draw]:
    """Register a function as the stimulus ``name``; its docstring's first sentence describes it.

    Args:
        axes: its parameters, the one that a neuron is said to be tuned to first.
        traits: what it is; by default what `circuitome.vocabulary.STIMULI` says of the name.
        acts: which axis a transform group moves.

    Raises:
        StimulusError: the name is taken, its traits are not known, ``acts`` names a group or an
            axis that there is not, or an axis a column that neurons do not have.

    >>> from circuitome.extract.stimuli.registry import Axis, stimulus
    >>> try:
    ...     level = Axis("level", "", lambda radius: [0, 1], column=None)
    ...
    ...     @stimulus("blank", level, traits=["grey"], rotate="angle")
    ...     def blank(canvas, *, level):
    ...         '''A uniform field.'''
    ... except CircuitomeError as error:
    ...     print(error)
    stimulus blank: rotate moves 'angle', which is none of its axes (level)
    """

    def register(draw: Draw) -> Draw:
        if name in REGISTERED:
            raise StimulusError(
                f"stimulus {name} is registered twice; give the second one another name"
            )
        own = _traits(name, traits)
        _check_acts(name, acts, [axis.name for axis in axes])
        _check_columns(name, axes)
        doc = (inspect.getdoc(draw) or "").split("\n\n")[0].replace("\n", " ")
        if not doc:
            raise StimulusError(
                f"stimulus {name} has no docstring; say in one sentence what it shows"
            )
        REGISTERED[name] = Stimulus(name, doc, draw, axes, acts, own)
        return draw

    return register


def _traits(name: str, given: Collection[str] | None) -> frozenset[str]:
    own = STIMULI.get(name) if given is None else frozenset(given)
    if own is None:
        raise StimulusError(
            f"stimulus {name} has no traits; enter it in circuitome.vocabulary.STIMULI, "
            "where motifs and "
            "queries look for them"
        )
    if unknown := sorted(own - TRAITS.keys()):
        raise StimulusError(
            f"stimulus {name}: {unknown[0]!r} is no trait; choose from {', '.join(TRAITS)}"
        )
    return own


def _check_acts(name: str, acts: Mapping[str, str], axes: Sequence[str]) -> None:
    for group, moves in acts.items():
        if group not in GROUPS:
            raise StimulusError(
                f"stimulus {name}: there is no transform group {group}; use {', '.join(GROUPS)}"
            )
        if moves not in axes:
            raise StimulusError(
                f"stimulus {name}: {group} moves {moves!r}, which is none of its axes "
                f"({', '.join(axes)})"
            )


def _check_columns(name: str, axes: Sequence[Axis]) -> None:
    for axis in axes:
        if axis.column is not None and axis.column not in PREFERENCES:
            raise StimulusError(
                f"stimulus {name}: {axis.name} is kept in {axis.column!r}, which neurons do not "
                f"have; choose from {', '.join(PREFERENCES)}, or None"
            )
