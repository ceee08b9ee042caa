"""The stimuli: each is one function of pixel coordinates, registered under its name.

Orientations, in degrees, counter-clockwise on the screen: of lines, gratings and everything with two sides along the
bar or the border (0 horizontal), with the named side to the left, so that 0 has it on top; of curves, corners, angles
and line ends the direction in which they point (a curve from the middle of its arc to its centre of curvature, as in
*Curve Detectors*, Distill 2020). Sizes follow half of what the layer sees, and are never below what pixels can show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.stimuli.registry import Axis, Canvas, stimulus
from circuitome.extract.stimuli.transforms import GREY, hue_axis

__all__ = ["CHROMA", "CONTRAST", "FINEST"]

CONTRAST: Final = 0.45
"""Light and dark stand this far from grey."""
CHROMA: Final = 0.55
"""Length of a full colour's vector from grey: every hue then lies within [0, 1]."""
FINEST: Final = 0.35
"""Highest spatial frequency, cycles per pixel: a margin below the 0.5 that a pixel grid can carry."""

WAVES: Final = 10  # plane waves in a patch of band-limited noise
COMPONENTS: Final = 32  # ... and of noise of all frequencies
_TABLE: Final = np.random.default_rng(1).random(
    (4, 32, 2)
)  # fixed numbers without a pattern, for `_scatter`


def _every(step: float, stop: float) -> Callable[[float], Sequence[float]]:
    return lambda radius: [step * index for index in range(round(stop / step))]


def _constant(*values: float) -> Callable[[float], Sequence[float]]:
    return lambda radius: values


def _spaced(
    low: float, high: float, count: int, *, least: float
) -> Callable[[float], Sequence[float]]:
    """Sizes from ``low`` to ``high`` radii in equal ratios; the smallest is at least ``least`` pixels, the largest twice that."""

    def sizes(radius: float) -> Sequence[float]:
        first, last = max(low * radius, least), max(high * radius, 2 * least)
        return [first * (last / first) ** (index / (count - 1)) for index in range(count)]

    return sizes


def _frequencies(count: int, *, coarsest: float) -> Callable[[float], Sequence[float]]:
    """Frequencies in equal ratios, from ``coarsest`` cycles in what the layer sees to the finest."""

    def frequencies(radius: float) -> Sequence[float]:
        first = min(coarsest / (2 * radius), FINEST / 2)
        return [first * (FINEST / first) ** (index / (count - 1)) for index in range(count)]

    return frequencies


def _bar(step: float, period: float) -> Axis:
    """Orientation along a bar or a border."""
    return Axis("orientation", "degrees", _every(step, period), period)


def _pointing(step: float) -> Axis:
    """Orientation of what points somewhere."""
    return Axis("orientation", "degrees", _every(step, 360), 360, mirror=180)


def _hues(step: float) -> Axis:
    return Axis("hue", "degrees", _every(step, 360), 360)


POLARITY: Final = Axis("polarity", "", _constant(-1, 1))
ANY_POLARITY: Final = Axis("polarity", "", _constant(-1, 1), nuisance=True)
ANY_PHASE: Final = Axis("phase", "degrees", _every(22.5, 360), 360, nuisance=True)
ANY_TURN: Final = Axis("turn", "degrees", _every(7.5, 360), 360, nuisance=True)
ANY_SEED: Final = Axis(
    "seed", "", lambda radius: [index / 997 for index in range(997)], nuisance=True
)
SATURATION: Final = Axis("saturation", "", _constant(0, 1))


def _step(distance: Tensor, canvas: Canvas) -> Tensor:
    """1 where a signed distance (pixels) is positive, 0 where it is negative, with a border as soft as the canvas."""
    return (distance / canvas.soft + 0.5).clamp_(0, 1)


def _grey(pattern: Tensor, polarity: Tensor | float = 1.0) -> Tensor:
    """Light and dark, ``(n, 1, side, side)``, from a pattern in [-1, 1], ``(n, side, side)``."""
    return (GREY + CONTRAST * polarity * pattern)[:, None]


def _coloured(pattern: Tensor, hue: Tensor) -> Tensor:
    """A pattern between a hue (at 1) and the opposite one (at -1), ``(n, 3, side, side)``, all equally bright."""
    return GREY + CHROMA * pattern[:, None] * hue_axis(hue[:, 0, 0])[:, :, None, None]


def _scatter(seed: Tensor, index: int, stream: int) -> Tensor:
    """Numbers in [0, 1) that differ as if by chance between ``index`` and ``stream``, from seeds that are 997ths."""
    factor, shift = _TABLE[stream, index]
    return (seed * round(997 * factor) + shift) % 1.0


def _waves(
    u: Tensor, v: Tensor, seed: Tensor, *, count: int, spread: float = 180.0
) -> Iterator[Tensor]:
    """Plane waves of one cycle a unit length that run along v, give or take half of ``spread`` degrees."""
    for index in range(count):
        tilt = math.radians(spread) * ((index + _scatter(seed, index, 0)) / count - 0.5)
        wave = u * (2 * math.pi * torch.sin(tilt))
        wave.addcmul_(v, 2 * math.pi * torch.cos(tilt)).add_(2 * math.pi * _scatter(seed, index, 1))
        yield wave.cos_()


def _noise(u: Tensor, v: Tensor, seed: Tensor, *, spread: float = 180.0) -> Tensor:
    """Noise in [-1, 1] of one spatial frequency, 1 a unit length."""
    total = sum(_waves(u, v, seed, count=WAVES, spread=spread), start=torch.zeros(()))
    return (total * math.sqrt(1 / WAVES)).clamp_(-1, 1)


@stimulus(
    "line",
    _bar(15, 180),
    Axis("width", "pixels", _spaced(0.15, 0.6, 3, least=1)),
    POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="width",
    invert="polarity",
)
def line(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """A light or dark line through the middle."""
    _, v = canvas.turned(orientation)
    return _grey(_step(width / 2 - v.abs(), canvas), polarity)


@stimulus(
    "edge",
    _bar(15, 360),
    Axis("blur", "pixels", _spaced(0.1, 0.5, 2, least=1)),
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="blur",
)
def edge(canvas: Canvas, *, orientation: Tensor, blur: Tensor) -> Tensor:
    """A border between light, to its left, and dark."""
    _, v = canvas.turned(orientation)
    return _grey((2 * v / blur.clamp(min=canvas.soft)).clamp_(-1, 1))


@stimulus(
    "grating",
    _bar(15, 180),
    Axis("frequency", "cycles per pixel", _frequencies(5, coarsest=0.5)),
    ANY_PHASE,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="frequency",
    invert="phase",
)
def grating(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """A sinusoidal grating that fills the patch."""
    _, v = canvas.turned(orientation)
    return _grey(torch.cos(2 * math.pi * frequency * v + torch.deg2rad(phase)))


@stimulus(
    "gabor",
    _bar(15, 180),
    Axis("frequency", "cycles per pixel", _frequencies(5, coarsest=0.5)),
    ANY_PHASE,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="frequency",
    invert="phase",
)
def gabor(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """A grating under a round Gaussian whose standard deviation is half a period."""
    u, v = canvas.turned(orientation)
    envelope = torch.exp(-2 * frequency**2 * (u * u + v * v))
    return _grey(envelope * torch.cos(2 * math.pi * frequency * v + torch.deg2rad(phase)))


@stimulus(
    "curve",
    _pointing(15),
    Axis("radius", "pixels", _spaced(0.4, 1.6, 3, least=1.5)),
    ANY_POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
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
    return _grey(_step(max(1.0, 0.2 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus(
    "corner",
    _pointing(15),
    POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    invert="polarity",
)
def corner(canvas: Canvas, *, orientation: Tensor, polarity: Tensor) -> Tensor:
    """A filled right angle with its tip in the middle, that opens towards its orientation."""
    u, v = canvas.turned(orientation)
    return _grey(2 * _step((u - v.abs()) * math.sqrt(0.5), canvas) - 1, polarity)


@stimulus(
    "angle",
    _pointing(30),
    Axis("opening", "degrees", _constant(30, 60, 120, 150)),
    ANY_POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
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
    return _grey(_step(max(1.0, 0.2 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus(
    "cross",
    _bar(15, 90),
    Axis("width", "pixels", _spaced(0.15, 0.6, 3, least=1)),
    POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="width",
    invert="polarity",
)
def cross(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """Two lines that cross at a right angle in the middle."""
    u, v = canvas.turned(orientation)
    return _grey(_step(width / 2 - torch.minimum(u.abs(), v.abs()), canvas), polarity)


@stimulus(
    "circle",
    Axis("radius", "pixels", _spaced(0.15, 1.1, 8, least=0.8)),
    Axis("filled", "", _constant(0, 1)),
    POLARITY,
    scale="radius",
    invert="polarity",
)
def circle(canvas: Canvas, *, radius: Tensor, filled: Tensor, polarity: Tensor) -> Tensor:
    """A disc, or a ring, about the middle."""
    inside = radius - torch.hypot(canvas.x, canvas.y)
    ring = _step(0.15 * radius - inside.abs(), canvas)
    return _grey(torch.where(filled > 0, _step(inside, canvas), ring), polarity)


def _centre_surround(canvas: Canvas, radius: Tensor, surround: Tensor | float) -> Tensor:
    distance = torch.hypot(canvas.x, canvas.y)
    return 2 * _step(radius - distance, canvas) - _step(radius * surround - distance, canvas)


@stimulus(
    "centre_surround",
    Axis("radius", "pixels", _spaced(0.15, 1, 8, least=0.8)),
    Axis("surround", "", _constant(1.5, 3)),
    POLARITY,
    scale="radius",
    invert="polarity",
)
def centre_surround(
    canvas: Canvas, *, radius: Tensor, surround: Tensor, polarity: Tensor
) -> Tensor:
    """A disc within a ring of the opposite brightness, that reaches to ``surround`` times its radius."""
    return _grey(_centre_surround(canvas, radius, surround), polarity)


@stimulus(
    "colour_centre_surround",
    Axis("radius", "pixels", _spaced(0.2, 0.9, 4, least=0.8)),
    _hues(30),
    scale="radius",
    hue="hue",
    invert="hue",
)
def colour_centre_surround(canvas: Canvas, *, radius: Tensor, hue: Tensor) -> Tensor:
    """A disc of a hue within a ring of the opposite hue, as bright."""
    return _coloured(_centre_surround(canvas, radius, 2.5), hue)


@stimulus(
    "line_end",
    _pointing(15),
    Axis("width", "pixels", _spaced(0.2, 0.5, 2, least=1)),
    POLARITY,
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="width",
    invert="polarity",
)
def line_end(canvas: Canvas, *, orientation: Tensor, width: Tensor, polarity: Tensor) -> Tensor:
    """A line from the middle outwards."""
    u, v = canvas.turned(orientation)
    return _grey(_step(torch.minimum(u, width / 2 - v.abs()), canvas), polarity)


@stimulus(
    "spiral",
    Axis("pitch", "degrees", _constant(-60, -30, 30, 60), 180),
    Axis("arms", "", _constant(1, 2, 3, 5)),
    ANY_TURN,
    rotate="turn",
)
def spiral(canvas: Canvas, *, pitch: Tensor, arms: Tensor, turn: Tensor) -> Tensor:
    """Arms that leave the middle at an angle, ``pitch``, to the radius: counter-clockwise where it is positive."""
    distance = torch.hypot(canvas.x, canvas.y).clamp(min=1e-3)
    around = torch.atan2(-canvas.y, canvas.x) - torch.deg2rad(turn)
    pitch = torch.deg2rad(pitch)
    coarse = _step(
        distance - arms / (2 * torch.cos(pitch)), canvas
    )  # nearer to the middle the arms are finer than pixels
    return _grey(coarse * torch.cos(arms * (around - torch.tan(pitch) * torch.log(distance))))


@stimulus(
    "divergence",
    Axis("arms", "", _constant(3, 4, 5, 6, 8, 12)),
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
    distance = torch.hypot(canvas.x, canvas.y) * torch.sin(aside.abs())
    return _grey(_step(max(1.0, 0.15 * canvas.radius) / 2 - distance, canvas), polarity)


@stimulus(
    "high_low",
    _bar(15, 360),
    Axis("frequency", "cycles per pixel", _constant(FINEST / 2, FINEST)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def high_low(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor) -> Tensor:
    """Noise of a high frequency to the left of a border, and of a fifth of it on the other side."""
    u, v = canvas.turned(orientation)
    local = frequency * (0.2 + 0.8 * _step(v, canvas))
    return _grey(_noise(u * local, v * local, seed))


@stimulus(
    "brightness_gradient",
    _bar(15, 360),
    Axis("width", "pixels", _spaced(2, 5, 2, least=4)),
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    scale="width",
)
def brightness_gradient(canvas: Canvas, *, orientation: Tensor, width: Tensor) -> Tensor:
    """A ramp over ``width`` pixels that brightens to the left of its orientation."""
    _, v = canvas.turned(orientation)
    return _grey((2 * v / width).clamp_(-1, 1))


@stimulus(
    "colour_contrast",
    _bar(30, 360),
    _hues(60),
    rotate="orientation",
    flip_h="orientation",
    flip_v="orientation",
    hue="hue",
    invert="hue",
)
def colour_contrast(canvas: Canvas, *, orientation: Tensor, hue: Tensor) -> Tensor:
    """A border between a hue, to its left, and the opposite one, as bright."""
    _, v = canvas.turned(orientation)
    return _coloured(2 * _step(v, canvas) - 1, hue)


@stimulus(
    "hue",
    _hues(15),
    Axis("saturation", "", _constant(0.5, 1)),
    Axis("brightness", "", _constant(-0.1, 0, 0.1), nuisance=True),
    hue="hue",
)
def hue(canvas: Canvas, *, hue: Tensor, saturation: Tensor, brightness: Tensor) -> Tensor:
    """A uniform colour."""
    field = saturation * torch.ones_like(canvas.x)
    return _coloured(field, hue) + brightness[:, None]


@stimulus(
    "bw_vs_colour",
    _bar(15, 360),
    Axis("frequency", "cycles per pixel", _constant(FINEST / 4, FINEST / 2)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def bw_vs_colour(canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor) -> Tensor:
    """Noise in black and white to the left of a border, and in colours, as bright, on the other side."""
    u, v = canvas.turned(orientation)
    grey = _step(v, canvas)
    u, v = u * frequency, v * frequency
    field = _noise(u, v, seed)
    hues = hue_axis(360 * seed[:, 0, 0]), hue_axis(360 * seed[:, 0, 0] + 90)
    parts = field * (1 - grey), _noise(u, v, (seed + 0.5) % 1) * (1 - grey)
    colour = sum(
        (part[:, None] * axis[:, :, None, None] for part, axis in zip(parts, hues, strict=True)),
        torch.zeros(()),
    )
    return GREY + CHROMA * colour + CONTRAST * (field * grey)[:, None]


@stimulus(
    "dead_leaves",
    Axis("size", "pixels", _spaced(0.15, 1, 6, least=1)),
    SATURATION,
    ANY_SEED,
    ANY_TURN,
    rotate="turn",
    scale="size",
)
def dead_leaves(
    canvas: Canvas,
    *,
    size: Tensor,
    saturation: Tensor,
    seed: Tensor,
    turn: Tensor,
    leaves: int = 20,
) -> Tensor:
    """Opaque discs of one size, grey or coloured, painted over one another (repeated after five radii)."""
    u, v = canvas.turned(turn)
    u, v, soft = u / size, v / size, canvas.soft / size
    grey, first, second = (torch.zeros_like(u) for _ in range(3))
    for index in range(leaves):
        right, up, shade, tint = (_scatter(seed, index, stream) for stream in range(4))
        aside, along = ((u + 5 * right) % 5) - 2.5, ((v + 5 * up) % 5) - 2.5
        cover = ((1 - torch.hypot(aside, along)) / soft + 0.5).clamp_(0, 1)
        grey.lerp_((2 * shade - 1).expand_as(u), cover)
        first.lerp_(torch.cos(2 * math.pi * tint).expand_as(u), cover)
        second.lerp_(torch.sin(2 * math.pi * tint).expand_as(u), cover)
    return _shaded(grey, first, second, saturation)


@stimulus(
    "noise",
    Axis("slope", "", _constant(0, 0.5, 1, 1.5, 2)),
    SATURATION,
    ANY_SEED,
    ANY_TURN,
    rotate="turn",
)
def noise(
    canvas: Canvas, *, slope: Tensor, saturation: Tensor, seed: Tensor, turn: Tensor
) -> Tensor:
    """Noise whose amplitude falls with frequency to the power of ``slope`` (0 white, 1 as natural scenes), grey or coloured."""
    u, v = canvas.turned(turn)
    coarsest = min(0.25 / canvas.radius, FINEST / 4)
    fields = [torch.zeros_like(u) for _ in range(3)]
    power = torch.zeros_like(slope)
    for index in range(COMPONENTS):
        # frequencies lie as the squares do: a density of 1 / sqrt(f), which the gain makes good
        frequency = coarsest + (FINEST - coarsest) * (index / (COMPONENTS - 1)) ** 2
        gain = (frequency / FINEST) ** (0.75 - slope)
        phase, tint, tilt = (2 * math.pi * _scatter(seed, index, stream) for stream in range(3))
        angle = math.pi * (0.618034 * index) + tilt / COMPONENTS
        wave = u * (2 * math.pi * frequency * torch.cos(angle))
        wave = wave.addcmul_(v, 2 * math.pi * frequency * torch.sin(angle)).add_(phase).cos_()
        for field, part in zip(
            fields, (gain, gain * torch.cos(tint), gain * torch.sin(tint)), strict=True
        ):
            field.addcmul_(wave, part)
        power += gain**2
    fields = [(field / power.sqrt()).clamp_(-1, 1) for field in fields]
    return _shaded(fields[0], fields[1], fields[2], saturation)


@stimulus(
    "oriented_texture",
    _bar(15, 180),
    Axis("frequency", "cycles per pixel", _frequencies(3, coarsest=2)),
    ANY_SEED,
    rotate="orientation",
    scale="frequency",
)
def oriented_texture(
    canvas: Canvas, *, orientation: Tensor, frequency: Tensor, seed: Tensor
) -> Tensor:
    """Noise of one frequency whose grain runs along the orientation, give or take 15 degrees."""
    u, v = canvas.turned(orientation)
    return _grey(_noise(u * frequency, v * frequency, seed, spread=30))


def _shaded(grey: Tensor, first: Tensor, second: Tensor, saturation: Tensor) -> Tensor:
    """Brightness and two components of colour, ``(n, side, side)`` in [-1, 1], as one image; grey where saturation is 0.

    Colours have two thirds of the grey's contrast, so that hardly any value leaves [0, 1].
    """
    red, between = (
        hue_axis(torch.zeros_like(saturation[:, 0, 0])),
        hue_axis(90 + torch.zeros_like(saturation[:, 0, 0])),
    )
    colour = first[:, None] * red[:, :, None, None] + second[:, None] * between[:, :, None, None]
    share = saturation[:, None] * 2 / 3
    return GREY + CONTRAST * (1 - share / 2) * grey[:, None] + CHROMA * share * colour
