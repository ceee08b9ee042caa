"""The stimuli: each is one function of pixel coordinates, registered under its name.

Orientations, in degrees, counter-clockwise on the screen: of lines, gratings and everything with
two sides along the bar or the border (0 horizontal), with the named side to the left, so that 0 has
it on top; of curves, corners, angles and line ends the direction in which they point (a curve from
the middle of its arc to its centre of curvature, as in *Curve Detectors*, Distill 2020). Sizes
follow half of what the layer sees, and are never below what pixels can show.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from circuitome.extract.stimuli.axes import (
    ANY_PHASE,
    ANY_POLARITY,
    ANY_SEED,
    ANY_TURN,
    FINEST,
    ORIENTED,
    POLARITY,
    bar,
    constant,
    frequency,
    hues,
    nuisance,
    number,
    octaves,
    pixels,
    pointing,
    radius,
    spaced,
)
from circuitome.extract.stimuli.paint import CHROMA, CONTRAST, band_noise, border, in_grey, in_hue
from circuitome.extract.stimuli.registry import Axis, Canvas, stimulus
from circuitome.extract.stimuli.transforms import GREY, hue_axis

__all__ = [
    "angle",
    "brightness_gradient",
    "bw_vs_colour",
    "centre_surround",
    "circle",
    "colour_centre_surround",
    "colour_contrast",
    "corner",
    "cross",
    "curve",
    "divergence",
    "edge",
    "gabor",
    "grating",
    "high_low",
    "hue",
    "line",
    "line_end",
    "spiral",
]


@stimulus(
    "line",
    bar(15, 180),
    pixels("width", spaced(0.15, 0.6, 3, least=1)),
    POLARITY,
    **ORIENTED,
    scale="width",
    invert="polarity",
)
def line(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """A light or dark line through the middle."""
    _, v = canvas.turned(orientation)
    return in_grey(border(width / 2 - v.abs(), canvas), polarity)


@stimulus(
    "edge", bar(15, 360), pixels("blur", spaced(0.1, 0.5, 2, least=1)), **ORIENTED, scale="blur"
)
def edge(canvas: Canvas, *, orientation: Tensor, blur: Tensor) -> Tensor:
    """A border between light, to its left, and dark."""
    _, v = canvas.turned(orientation)
    return in_grey((2 * v / blur.clamp(min=canvas.soft)).clamp_(-1, 1))


@stimulus(
    "grating",
    bar(15, 180),
    frequency(octaves(5, coarsest=0.5)),
    ANY_PHASE,
    **ORIENTED,
    scale="frequency",
    invert="phase",
)
def grating(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """A sinusoidal grating that fills the patch."""
    _, v = canvas.turned(orientation)
    return in_grey(_waves(v, frequency, phase))


def _waves(v: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    return torch.cos(2 * math.pi * frequency * v + torch.deg2rad(phase))


@stimulus(
    "gabor",
    bar(15, 180),
    frequency(octaves(5, coarsest=0.5)),
    ANY_PHASE,
    **ORIENTED,
    scale="frequency",
    invert="phase",
)
def gabor(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """A grating under a round Gaussian whose standard deviation is half a period."""
    u, v = canvas.turned(orientation)
    envelope = torch.exp(-2 * frequency**2 * (u * u + v * v))
    return in_grey(envelope * _waves(v, frequency, phase))


@stimulus(
    "curve",
    pointing(15),
    radius(spaced(0.4, 1.6, 3, least=1.5)),
    ANY_POLARITY,
    **ORIENTED,
    invert="polarity",
)
def curve(canvas: Canvas, *, orientation: Tensor, radius: Tensor, polarity: Tensor) -> Tensor:
    """An arc whose middle lies in the middle, at most half a circle, as a line."""
    u, v = canvas.turned(orientation)
    v = v.abs()
    half = (1.2 * canvas.radius / radius).clamp(max=math.pi / 2)
    sine, cosine = torch.sin(half), torch.cos(half)
    from_arc = (torch.hypot(u - radius, v) - radius).abs()
    from_end = torch.hypot(u - radius * (1 - cosine), v - radius * sine)
    distance = torch.where(v * cosine <= (radius - u) * sine, from_arc, from_end)
    return in_grey(border(max(1.0, 0.2 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus("corner", pointing(15), POLARITY, **ORIENTED, invert="polarity")
def corner(canvas: Canvas, *, orientation: Tensor, polarity: Tensor) -> Tensor:
    """A filled right angle with its tip in the middle, that opens towards its orientation."""
    u, v = canvas.turned(orientation)
    return in_grey(2 * border((u - v.abs()) * math.sqrt(0.5), canvas) - 1, polarity)


@stimulus(
    "angle",
    pointing(30),
    Axis("opening", "degrees", constant(30, 60, 120, 150), column=None),
    ANY_POLARITY,
    **ORIENTED,
    invert="polarity",
)
def angle(canvas: Canvas, *, orientation: Tensor, opening: Tensor, polarity: Tensor) -> Tensor:
    """Two lines that meet at an angle other than a right one, open towards its orientation."""
    u, v = canvas.turned(orientation)
    u, v = u + 0.3 * canvas.radius * torch.cos(torch.deg2rad(opening / 2)), v.abs()
    cosine, sine = torch.cos(torch.deg2rad(opening / 2)), torch.sin(torch.deg2rad(opening / 2))
    distance = torch.where(
        u * cosine + v * sine >= 0, (u * sine - v * cosine).abs(), torch.hypot(u, v)
    )
    return in_grey(border(max(1.0, 0.2 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus(
    "cross",
    bar(15, 90),
    pixels("width", spaced(0.15, 0.6, 3, least=1)),
    POLARITY,
    **ORIENTED,
    scale="width",
    invert="polarity",
)
def cross(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """Two lines that cross at a right angle in the middle."""
    u, v = canvas.turned(orientation)
    return in_grey(border(width / 2 - torch.minimum(u.abs(), v.abs()), canvas), polarity)


@stimulus(
    "circle",
    radius(spaced(0.15, 1.1, 8, least=0.8)),
    number("filled", 0, 1),
    POLARITY,
    scale="radius",
    invert="polarity",
)
def circle(canvas: Canvas, *, radius: Tensor, filled: Tensor, polarity: Tensor) -> Tensor:
    """A disc, or a ring, about the middle."""
    inside = radius - canvas.distance
    ring = border(0.15 * radius - inside.abs(), canvas)
    return in_grey(torch.where(filled > 0, border(inside, canvas), ring), polarity)


def _centre_surround(canvas: Canvas, radius: Tensor, surround: Tensor | float) -> Tensor:
    disc, both = (border(edge - canvas.distance, canvas) for edge in (radius, radius * surround))
    return 2 * disc - both


@stimulus(
    "centre_surround",
    radius(spaced(0.15, 1, 8, least=0.8)),
    number("surround", 1.5, 3),
    POLARITY,
    scale="radius",
    invert="polarity",
)
def centre_surround(
    canvas: Canvas, *, radius: Tensor, surround: Tensor, polarity: Tensor
) -> Tensor:
    """A disc within a ring of the opposite brightness, that reaches to ``surround`` times its
    radius.
    """
    return in_grey(_centre_surround(canvas, radius, surround), polarity)


@stimulus(
    "colour_centre_surround",
    radius(spaced(0.2, 0.9, 4, least=0.8)),
    hues(30),
    scale="radius",
    hue="hue",
    invert="hue",
)
def colour_centre_surround(canvas: Canvas, *, radius: Tensor, hue: Tensor) -> Tensor:
    """A disc of a hue within a ring of the opposite hue, as bright."""
    return in_hue(_centre_surround(canvas, radius, 2.5), hue)


@stimulus(
    "line_end",
    pointing(15),
    pixels("width", spaced(0.2, 0.5, 2, least=1)),
    POLARITY,
    **ORIENTED,
    scale="width",
    invert="polarity",
)
def line_end(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """A line from the middle outwards."""
    u, v = canvas.turned(orientation)
    return in_grey(border(torch.minimum(u, width / 2 - v.abs()), canvas), polarity)


@stimulus(
    "spiral",
    Axis("pitch", "degrees", constant(-60, -30, 30, 60), 180, column=None),
    number("arms", 1, 2, 3, 5),
    ANY_TURN,
    rotate="turn",
)
def spiral(canvas: Canvas, *, pitch: Tensor, arms: Tensor, turn: Tensor) -> Tensor:
    """Arms that leave the middle at an angle, ``pitch``, to the radius: counter-clockwise where it
    is positive.
    """
    distance = canvas.distance.clamp(min=1e-3)
    around = torch.atan2(-canvas.y, canvas.x) - torch.deg2rad(turn)
    pitch = torch.deg2rad(pitch)
    # nearer to the middle the arms are finer than pixels
    coarse = border(distance - arms / (2 * torch.cos(pitch)), canvas)
    return in_grey(coarse * torch.cos(arms * (around - torch.tan(pitch) * torch.log(distance))))


@stimulus(
    "divergence",
    number("arms", 3, 4, 5, 6, 8, 12),
    POLARITY,
    ANY_TURN,
    rotate="turn",
    invert="polarity",
)
def divergence(canvas: Canvas, *, arms: Tensor, polarity: Tensor, turn: Tensor) -> Tensor:
    """Lines that leave the middle in all directions."""
    around = torch.atan2(-canvas.y, canvas.x) - torch.deg2rad(turn)
    gap = 2 * math.pi / arms
    aside = (around + gap / 2) % gap - gap / 2
    distance = canvas.distance * torch.sin(aside.abs())
    return in_grey(border(max(1.0, 0.15 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus(
    "high_low",
    bar(15, 360),
    frequency(constant(FINEST / 2, FINEST)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def high_low(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor) -> Tensor:
    """Noise of a high frequency to the left of a border, and of a fifth of it on the other side."""
    u, v = canvas.turned(orientation)
    local = frequency * (0.2 + 0.8 * border(v, canvas))
    return in_grey(band_noise(u * local, v * local, seed))


@stimulus(
    "brightness_gradient",
    bar(15, 360),
    pixels("width", spaced(2, 5, 2, least=4)),
    **ORIENTED,
    scale="width",
)
def brightness_gradient(canvas: Canvas, *, orientation: Tensor, width: Tensor) -> Tensor:
    """A ramp over ``width`` pixels that brightens to the left of its orientation."""
    _, v = canvas.turned(orientation)
    return in_grey((2 * v / width).clamp_(-1, 1))


@stimulus("colour_contrast", bar(30, 360), hues(60), **ORIENTED, hue="hue", invert="hue")
def colour_contrast(canvas: Canvas, *, orientation: Tensor, hue: Tensor) -> Tensor:
    """A border between a hue, to its left, and the opposite one, as bright."""
    _, v = canvas.turned(orientation)
    return in_hue(2 * border(v, canvas) - 1, hue)


@stimulus(
    "hue",
    hues(15),
    number("saturation", 0.5, 1),
    nuisance("brightness", "", constant(-0.1, 0, 0.1)),
    hue="hue",
)
def hue(canvas: Canvas, *, hue: Tensor, saturation: Tensor, brightness: Tensor) -> Tensor:
    """A uniform colour."""
    field = saturation * torch.ones_like(canvas.x)
    return in_hue(field, hue) + brightness[:, None]


@stimulus(
    "bw_vs_colour",
    bar(15, 360),
    frequency(constant(FINEST / 4, FINEST / 2)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def bw_vs_colour(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor) -> Tensor:
    """Noise in black and white to the left of a border, and in colours, as bright, on the other
    side.
    """
    u, v = canvas.turned(orientation)
    grey = border(v, canvas)
    u, v = u * frequency, v * frequency
    field = band_noise(u, v, seed)
    hues = hue_axis(360 * seed[:, 0, 0]), hue_axis(360 * seed[:, 0, 0] + 90)
    parts = field * (1 - grey), band_noise(u, v, (seed + 0.5) % 1) * (1 - grey)
    colour = sum(
        (part[:, None] * axis[:, :, None, None] for part, axis in zip(parts, hues, strict=True)),
        torch.zeros(()),
    )
    return GREY + CHROMA * colour + CONTRAST * (field * grey)[:, None]
