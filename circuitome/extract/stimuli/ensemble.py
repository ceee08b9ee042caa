"""Random images: an ensemble that no transform changes as a whole, and natural-like scenes.

Equivariance compares the responses to images with those to the same images under a transform.
Neither neuron of a pair may be favoured by that, so the ensemble's *distribution* is the same under
rotation, reflection, hue rotation and inversion, and nearly so under change of scale; and each
image is a formula, so its transform is exact, not resampled.

Dead leaves: Lee, Mumford and Huang, *Occlusion models for natural images* (2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from circuitome.extract.stimuli.axes import FINEST
from circuitome.extract.stimuli.registry import StimulusError
from circuitome.extract.stimuli.shapes import Frame, composite, conic, plane, wave_sum
from circuitome.extract.stimuli.transforms import GREY, IDENTITY, Transform, hue_axis

__all__ = ["Ensemble", "ensemble", "natural_like"]

LEAVES: Final = 24  # opaque discs, ellipses and half planes in an image of leaves
STROKES: Final = 10  # lines and arcs in an image of marks
GABORS: Final = 8  # ... and Gabors
WAVES: Final = 40  # plane waves in an image of waves, at most
SHARES: Final = (0.4, 0.35)  # of leaves and of marks among the images; the rest are waves
BORDERS: Final = 3  # the last leaves, behind the others, are half planes
NUMBERS: Final = 10  # random numbers of one shape
BLOCK: Final = 1 << 21  # entries of a block of drawing on the CPU: it then stays within the cache
WIDE: Final = 1 << 27  # ... and on an accelerator


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Random images, each defined by the seed and its number alone."""

    count: int
    side: int  # pixels of the square patches
    radius: float  # half of what the layer sees, pixels: shapes and wavelengths follow it
    seed: int
    device: torch.device

    def __len__(self) -> int:
        return self.count

    def draw(
        self, transform: Transform = IDENTITY, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Images ``start`` to ``stop`` under a transform, ``(n, 3, side, side)``, mostly in [0, 1],
        grey 0.5.
        """
        start, stop, _ = slice(start, stop).indices(self.count)
        images = torch.empty(max(0, stop - start), 3, self.side, self.side, device=self.device)
        frame = Frame.of(self.side, self.radius, transform, self.device)
        for block in _blocks(range(start, stop), LEAVES * self.side**2, self.device):
            self._draw_into(images[block.start - start : block.stop - start], block, frame)
        return transform.colour(images)

    def _draw_into(self, images: Tensor, block: range, frame: Frame) -> None:
        """Draw the images of a block, sort by sort."""
        numbers = _numbers(self.seed, block)
        kind = np.searchsorted(np.cumsum(SHARES), numbers[:, 0], side="right")
        for which, draw in enumerate((_leaves, _marks, _plane_waves)):
            place = np.flatnonzero(kind == which)
            if len(place):
                given = torch.as_tensor(numbers[place, 1:], dtype=torch.float32, device=self.device)
                images[torch.as_tensor(place, device=self.device)] = draw(given, frame)


def _blocks(images: range, entries: int, device: torch.device) -> Iterator[range]:
    """Images by so many as are drawn at a time, if each takes some ``entries``."""
    size = max(1, (BLOCK if device.type == "cpu" else WIDE) // entries)
    return (images[first : first + size] for first in range(0, len(images), size))


def ensemble(
    count: int, side: int, radius: float, *, seed: int, device: str | torch.device = "cpu"
) -> Ensemble:
    """Random images of ``side`` pixels for neurons that see ``2 * radius``: leaves, marks and
    waves, in colour and grey.

    >>> from circuitome.extract.stimuli.ensemble import ensemble
    >>> from circuitome.extract.stimuli.transforms import Transform
    >>> images = ensemble(100, 21, 10, seed=0)
    >>> plain, turned = images.draw(start=0, stop=8), images.draw(Transform("rotate", 90), 0, 8)
    >>> bool((turned - plain.rot90(1, (2, 3))).abs().max() < 1e-4)
    True
    """
    if count < 1 or side < 1 or not radius > 0:
        raise StimulusError(
            f"no {count} images of {side} pixels for a radius of {radius}; "
            "all three must be positive"
        )
    return Ensemble(count, side, float(radius), seed, torch.device(device))


def _numbers(seed: int, images: range) -> np.ndarray:
    """Uniform random numbers, ``(images, 2 + WAVES * NUMBERS)``: the same for an image in whatever
    company it is drawn.
    """
    return np.stack(
        [
            np.random.Generator(np.random.Philox(key=[seed, i])).random(2 + WAVES * NUMBERS)
            for i in images
        ]
    )


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    """Sizes spread evenly over octaves."""
    return low * (high / low) ** uniform


def _colours(shade: Tensor, tint: Tensor, saturation: Tensor, coloured: Tensor) -> Tensor:
    """Vectors from grey, ``(n, shapes, 3)``, all hues and both polarities alike, from uniform
    numbers ``(n, shapes)``.
    """
    chroma = 0.5 * torch.sqrt(saturation) * coloured
    # a full colour has less room for brightness before it leaves [0, 1]
    brightness = (0.45 - 0.3 * chroma) * torch.sign(shade - 0.5) * (2 * shade - 1).abs().sqrt()
    return brightness[..., None] + chroma[..., None] * hue_axis(360 * tint)


def _shapes(numbers: Tensor, count: int, *, first: int = 0) -> tuple[Tensor, ...]:
    """The uniform numbers of ``count`` shapes, `NUMBERS` columns ``(n, count)``."""
    return tuple(
        numbers[:, 1 + first * NUMBERS : 1 + (first + count) * NUMBERS]
        .reshape(-1, count, NUMBERS)
        .unbind(-1)
    )


def _coloured(numbers: Tensor) -> Tensor:
    """Whether an image is in colour: two of three are; ``(n, 1)``."""
    return (numbers[:, :1] < 2 / 3).to(numbers.dtype)


def _leaves(numbers: Tensor, frame: Frame) -> Tensor:
    """Dead leaves: opaque discs, ellipses and half planes of plain colours."""
    shapes = _shapes(numbers, LEAVES + 1)
    colours = _colours(shapes[0], shapes[1], shapes[2], _coloured(numbers))
    cover = _covers(tuple(column[:, :LEAVES] for column in shapes[3:9]), frame)
    return composite(cover, colours) + GREY


def _covers(shapes: tuple[Tensor, ...], frame: Frame) -> Tensor:
    """How much of each pixel each leaf covers, ``(n, leaves, side, side)``."""
    where, distance, _, angle, *_ = shapes
    ax, ay = frame.direction(2 * math.pi * angle)
    level = _ellipses(shapes, (ax, ay), frame)
    half = slice(-BORDERS, None)
    x, y = frame.centres(where[:, half], distance[:, half], reach=frame.radius)
    level[:, half] = plane(frame, x, y, normal=(ax[:, half], ay[:, half]))
    return level.add_(0.5).clamp_(0, 1)


def _ellipses(shapes: tuple[Tensor, ...], along: tuple[Tensor, Tensor], frame: Frame) -> Tensor:
    """Distance to the border of each leaf; half of the leaves are discs, an ellipse is up to three
    times as long as wide.
    """
    where, distance, size, _, form, slim = shapes
    radius = _between(size**1.5, max(0.15 * frame.radius, 0.8), max(1.2 * frame.radius, 3.0))
    stretch = torch.where(form < 0.5, 1.0, 3**-slim)
    x, y = frame.centres(where, distance, reach=frame.reach + radius)
    return conic(frame, x, y, along=along, length=radius, width=radius * stretch)


def _marks(numbers: Tensor, frame: Frame) -> Tensor:
    """Lines, arcs and Gabors at random places on a plain ground."""
    coloured = _coloured(numbers)
    shade, tint, saturation, *placed, width, there = _shapes(numbers, STROKES)
    half = _between(width, max(0.06 * frame.radius, 0.5), max(0.4 * frame.radius, 1.2))
    cover = (half[..., None, None] + 0.5 - _to_strokes(placed, frame).abs_()).clamp_(0, 1)
    cover *= (there < 0.5)[..., None, None]
    ground = torch.zeros_like(numbers[:, :1, None]).expand(-1, 1, 3)
    strokes = composite(cover, torch.cat([_colours(shade, tint, saturation, coloured), ground], 1))
    return strokes + _gabors(numbers, frame, coloured) + GREY


def _to_strokes(placed: list[Tensor], frame: Frame) -> Tensor:
    """Distance to the middle of each stroke, a line or an arc, ``(n, strokes, side, side)``."""
    where, distance, size, angle, form = placed
    radius = _between(size, max(0.3 * frame.radius, 1.5), max(2.5 * frame.radius, 4.0))
    nx, ny = frame.direction(2 * math.pi * angle)
    # a point of the stroke is uniform in the disc; an arc's centre lies a radius from there
    x, y = frame.centres(where, distance, reach=frame.radius)
    far = radius * frame.factor
    arcs = conic(frame, x + nx * far, y + ny * far, along=(nx, ny), length=radius, width=radius)
    straight = (form < 0.4)[..., None, None]
    return torch.where(straight, plane(frame, x, y, normal=(nx, ny)), arcs)


def _gabors(numbers: Tensor, frame: Frame, coloured: Tensor) -> Tensor:
    shade, tint, saturation, where, distance, size, angle, phase, there, _ = _shapes(
        numbers, GABORS, first=STROKES
    )
    frequency = _between(size, min(0.4 / frame.radius, FINEST / 3), FINEST)
    x, y = frame.centres(where, distance, reach=frame.radius)
    spread = 0.5 / frequency * frame.factor
    there = (there < 0.5).to(numbers.dtype)
    return wave_sum(
        frame,
        _colours(shade, tint, saturation, coloured) * there[..., None],
        frequency,
        angle=2 * math.pi * angle,
        phase=2 * math.pi * phase,
        window=(x, y, spread),
    )


def _plane_waves(numbers: Tensor, frame: Frame) -> Tensor:
    """Sums of 1 to 40 plane waves, the amplitude of a frequency falling as its inverse."""
    shade, tint, saturation, many, size, angle, phase = _shapes(numbers, WAVES)[:7]
    # equal amplitudes at frequencies spread evenly over octaves: that is 1/f
    frequency = _between(size, min(0.25 / frame.radius, FINEST / 4), FINEST)
    colours = _colours(shade, tint, saturation, _coloured(numbers))
    colours = colours * _amplitudes(many)[..., None]
    angle, phase = 2 * math.pi * angle, 2 * math.pi * phase
    return wave_sum(frame, colours, frequency, angle=angle, phase=phase) + GREY


def _amplitudes(many: Tensor) -> Tensor:
    """Amplitudes of the waves ``(n, WAVES)``, 0 for those left out; a gamut of numbers: a single
    wave is a grating, two a plaid.
    """
    count = _between(many[:, :1], 1, WAVES)
    there = torch.arange(WAVES, device=many.device) < count
    return there.to(many.dtype) / count.sqrt()


def natural_like(count: int, side: int, *, seed: int, device: str | torch.device = "cpu") -> Tensor:
    """Scenes ``(count, 3, side, side)`` in [0, 1]: dead leaves with textured, shaded, coloured
    surfaces, partly blurred.

    Sizes follow the picture, not a layer. Like photographs they have sharp borders, flat parts and
    a power spectrum that falls with frequency, though more steeply than most (by nearly 3 powers of
    two an octave; photographs by about 2).
    """
    if count < 1 or side < 1:
        raise StimulusError(f"no {count} scenes of {side} pixels; both must be positive")
    device = torch.device(device)
    blocks = _blocks(range(count), 3 * LEAVES * side**2, device)
    return torch.cat([_scenes(seed, images, side, device) for images in blocks])


SURFACES: Final = 3  # textures that the leaves of a scene share
THICK: Final = 64  # leaves of a scene


def _scenes(seed: int, images: range, side: int, device: torch.device) -> Tensor:
    frame, uniform = Frame.of(side, side / 2, IDENTITY, device), _streams(seed, images, device)
    textures = _one_over_f(uniform(SURFACES, side, side))
    shapes, extra = uniform(THICK, NUMBERS), uniform(THICK + 1, 8)
    painted = composite(_natural_covers(shapes, frame), _surfaces(extra, uniform(2)))
    scene = _lit(painted, textures, frame.line / (side / 2))
    sigma = _between(uniform(1), 0.3, 1.5)[:, 0] * (uniform(1)[:, 0] < 0.5)
    return _blurred(scene, sigma).clamp_(0, 1)


def _streams(seed: int, images: range, device: torch.device) -> Callable[..., Tensor]:
    """Gives uniform random numbers of a shape ``(n, *shape)``, from a stream of each image."""
    rngs = [np.random.Generator(np.random.Philox(key=[seed, 1 << 40 | image])) for image in images]
    return lambda *shape: torch.as_tensor(
        np.stack([rng.random(shape, dtype=np.float32) for rng in rngs]), device=device
    )


def _lit(painted: Tensor, textures: Tensor, line: Tensor) -> Tensor:
    """Colours of surfaces that are painted with their properties, as `_surfaces` has them."""
    plain, rough, slope = painted.split([3, SURFACES, 2], 1)
    light = slope[:, :1] * line + slope[:, 1:] * line[:, None]
    return (plain + (rough * textures).sum(1, keepdim=True)) * (1 + light)


def _natural_covers(shapes: Tensor, frame: Frame) -> Tensor:
    """Discs and ellipses, few of them large, and the large ones mostly behind."""
    where, distance, size, angle, form = shapes.unbind(-1)[:5]
    low, high = max(0.04 * frame.radius, 1.0), max(0.5 * frame.radius, 3.0)
    back = torch.arange(THICK, device=size.device) >= THICK * 3 // 4
    radius = torch.where(
        back, _between(size, high / 3, high), 1 / (1 / low + size * (1 / high - 1 / low))
    )
    x, y = frame.centres(where, distance, reach=1.5 * frame.radius)
    ax, ay = frame.direction(2 * math.pi * angle)
    level = conic(frame, x, y, along=(ax, ay), length=radius, width=radius * (1 - 0.7 * form))
    return level.add_(0.5).clamp_(0, 1)


def _surfaces(extra: Tensor, scene: Tensor) -> Tensor:
    """Colour (3), amplitudes of the textures and slope of the light (2) of every leaf, ``(n,
    leaves, 3 + SURFACES + 2)``.
    """
    shade, tint, saturation, rough, which, right, down, dull = extra.unbind(-1)
    # a scene has its own palette: hues about one, and more grey than colour
    hue = 360 * scene[:, :1] + 240 * (tint - 0.5) * scene[:, 1:].clamp(min=0.2)
    colour = (0.08 + 0.84 * shade)[..., None] + (0.35 * saturation**2)[..., None] * hue_axis(hue)
    chosen = one_hot((which * SURFACES).long().clamp(max=SURFACES - 1), SURFACES)
    amplitude = (0.25 * rough * (dull < 0.8))[..., None] * chosen
    return torch.cat([colour, amplitude, 0.8 * torch.stack([right - 0.5, down - 0.5], -1)], -1)


def _one_over_f(uniform: Tensor) -> Tensor:
    """Noise of standard deviation 1 whose amplitude falls with frequency, from white noise ``(n, k,
    side, side)``.
    """
    side = uniform.shape[-1]
    gain = 1 / _radial(side, uniform.device).clamp(min=1 / side)
    gain[0, 0] = 0
    field = torch.fft.irfft2(torch.fft.rfft2(uniform - 0.5) * gain, s=(side, side))
    return field / field.std((2, 3), keepdim=True, correction=0).clamp(min=1e-6)


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Images ``(n, 3, side, side)`` under Gaussians of ``sigma`` ``(n,)`` pixels; borders are
    mirrored.
    """
    side = images.shape[-1]
    double = torch.cat([images, images.flip(3)], 3)
    double = torch.cat([double, double.flip(2)], 2)
    gain = torch.exp(-2 * (math.pi * sigma[:, None, None] * _radial(2 * side, images.device)) ** 2)
    blurred = torch.fft.irfft2(torch.fft.rfft2(double) * gain[:, None], s=(2 * side, 2 * side))
    return blurred[..., :side, :side]


def _radial(side: int, device: torch.device) -> Tensor:
    """Spatial frequency of the real Fourier transform, ``(side, side // 2 + 1)`` cycles per
    pixel.
    """
    rows, columns = torch.fft.fftfreq(side, device=device), torch.fft.rfftfreq(side, device=device)
    return torch.hypot(rows[:, None], columns)
