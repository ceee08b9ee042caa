"""Procedural scenes: one figure on a ground, each with its own texture, colour and focus.

A scene is drawn in three steps. *Draw lots*: class, pose, textures, hues (three scenes of ten are
grey), focus. *Paint layers*: figure and ground each as two tones of one hue mixed by a texture,
blurred where out of focus. *Compose*: the silhouette's coverage mixes the layers; outline, shading
and pixel noise go on top. In one scene of twelve figure and ground share hue and lightness and
differ by texture only. All of it is numpy and vectorised over a chunk of scenes; the same seed and
count give the same bytes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitome.networks.shapes import SHAPES, SILHOUETTES, Field
from circuitome.networks.textures import TEXTURES, soften

__all__ = ["CLASSES", "IGNORED", "SIZE", "Scenes", "draw_scenes"]

SIZE = 64
"""Side of a scene in pixels."""

IGNORED = -100
"""Label of a question that a scene does not answer (which way a star faces); `cross_entropy`
skips it.
"""

HUES = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "grey")
GREY = len(HUES) - 1
FOCUS = ("sharp", "ground_blurred", "figure_blurred")

CLASSES: dict[str, tuple[str, ...]] = {
    "shape": tuple(SILHOUETTES),
    "facing": ("left", "right"),
    "figure_texture": tuple(TEXTURES),
    "ground_texture": tuple(TEXTURES),
    "figure_hue": HUES,
    "ground_hue": HUES,
    "focus": FOCUS,
}
"""The questions asked about a scene and the names of their answers, in the order of the labels."""

_HUE_CENTRES = np.array([0, 32, 58, 115, 180, 225, 275, 325], np.float32) / 360
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Scenes:
    """A batch of scenes with everything that is known about them."""

    images: NDArray[np.uint8]
    """`(n, 3, 64, 64)`, RGB."""
    labels: dict[str, NDArray[np.int64]]
    """One `(n,)` array a key of `CLASSES`; `IGNORED` where the question has no answer."""
    masks: NDArray[np.float32]
    """`(n, 16, 16)`, share of each 4x4 pixel cell that the figure covers."""


@dataclass(frozen=True, slots=True)
class _Lots:
    """What chance decided about a chunk of scenes; labels as in `Scenes`, the rest `(n,)`
    float32.
    """

    labels: dict[str, NDArray[np.int64]]
    hidden: NDArray[np.bool_]
    """Figure and ground have one hue and lightness."""


def draw_scenes(count: int, *, seed: int) -> Scenes:
    """Draw `count` scenes of 64x64 pixels.

    Example:
        >>> scenes = draw_scenes(4, seed=0)
        >>> scenes.images.shape, scenes.masks.shape
        ((4, 3, 64, 64), (4, 16, 16))
    """
    rng = np.random.default_rng(seed)
    chunks = [_draw_chunk(rng, min(_CHUNK, count - start)) for start in range(0, count, _CHUNK)]
    labels = {}
    for name in CLASSES:
        labels[name] = np.concatenate([chunk.labels[name] for chunk in chunks])
    images = np.concatenate([chunk.images for chunk in chunks])
    return Scenes(images, labels, np.concatenate([chunk.masks for chunk in chunks]))


def _draw_chunk(rng: np.random.Generator, count: int) -> Scenes:
    lots = _draw_lots(rng, count)
    labels = lots.labels
    distance = _silhouettes(rng, labels["shape"], labels["facing"])
    blur = rng.uniform(1.2, 2.5, count).astype(np.float32)
    figure_blur = np.where(labels["focus"] == FOCUS.index("figure_blurred"), blur, 0)
    ground_blur = np.where(labels["focus"] == FOCUS.index("ground_blurred"), blur, 0)
    figure_tones, ground_tones = _tones(rng, lots)
    figure = _layer(rng, labels["figure_texture"], figure_tones, figure_blur)
    ground = _layer(rng, labels["ground_texture"], ground_tones, ground_blur)
    coverage = np.clip(0.5 - distance, 0, 1)
    outlined = rng.random(count) < np.where(lots.hidden, 0.6, 0.25)
    ink = np.clip(1.3 - np.abs(distance), 0, 1) * outlined[:, None, None]
    coverage, ink = _blurred(coverage, figure_blur), _blurred(ink, figure_blur)
    image = ground + coverage[:, None] * (figure - ground)
    tone = rng.choice(np.array([0.03, 0.97], np.float32), (count, 1, 1, 1))
    image = image + ink[:, None] * (tone - image)
    image = image * _shading(rng, count)[:, None]
    image += rng.uniform(0, 0.04, (count, 1, 1, 1)) * rng.standard_normal(
        image.shape, dtype=np.float32
    )
    masks = coverage.reshape(count, 16, SIZE // 16, 16, SIZE // 16).mean((2, 4))
    return Scenes((np.clip(image, 0, 1) * 255).astype(np.uint8), labels, masks.astype(np.float32))


def _draw_lots(rng: np.random.Generator, count: int) -> _Lots:
    shape = rng.integers(len(SILHOUETTES), size=count)
    facing = np.where(shape >= len(SHAPES), rng.integers(2, size=count), IGNORED)
    solid = rng.random((2, count)) < 0.4
    textures = np.where(solid, 0, rng.integers(len(TEXTURES), size=(2, count)))
    hidden = rng.random(count) < 0.08
    offset = rng.integers(1, len(TEXTURES), size=count)
    textures[1] = np.where(hidden, (textures[0] + offset) % len(TEXTURES), textures[1])
    hues = rng.integers(GREY, size=(2, count))
    hues[1] = np.where(hidden, hues[0], hues[1])
    hues = np.where(rng.random(count) < 0.3, GREY, hues)
    focus = rng.integers(len(FOCUS), size=count)
    # A solid ground looks the same in and out of focus: such a scene counts as sharp.
    focus = np.where((focus == FOCUS.index("ground_blurred")) & (textures[1] == 0), 0, focus)
    return _Lots(dict(zip(CLASSES, (shape, facing, *textures, *hues, focus), strict=True)), hidden)


def _silhouettes(
    rng: np.random.Generator, shape: NDArray[np.int64], facing: NDArray[np.int64]
) -> Field:
    """Signed distances `(n, 64, 64)` in pixels, each figure at its own place, size and rotation."""
    count = len(shape)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) - (SIZE - 1) / 2
    radius = rng.uniform(13, 23, (count, 1, 1)).astype(np.float32)
    dx, dy = (rng.uniform(-1, 1, (2, count, 1, 1)) * (28 - radius)).astype(np.float32)
    upright = (rng.uniform(-20, 20, count), rng.uniform(0, 360, count))
    angle = np.radians(np.where(shape >= len(SHAPES), *upright)).astype(np.float32)[:, None, None]
    u = (np.cos(angle) * (x - dx) + np.sin(angle) * (y - dy)) / radius
    v = (np.cos(angle) * (y - dy) - np.sin(angle) * (x - dx)) / radius
    u = np.where((facing == 0)[:, None, None], -u, u)
    distance = np.empty_like(u)
    for index, silhouette in enumerate(SILHOUETTES.values()):
        chosen = shape == index
        distance[chosen] = silhouette(u[chosen], v[chosen])
    return distance * radius


def _tones(
    rng: np.random.Generator, lots: _Lots
) -> tuple[tuple[Field, Field], tuple[Field, Field]]:
    """Base colour and texture swing, `(n, 3)` each, for figure and ground."""
    count = len(lots.hidden)
    lightness = rng.uniform(0.25, 0.8, (2, count))
    grey = lots.labels["figure_hue"] == GREY
    same_hue = lots.labels["figure_hue"] == lots.labels["ground_hue"]
    # Mostly, and always where both sides have one hue, the figure stands out by its lightness.
    apart = same_hue | (rng.random(count) < 0.75)
    step = rng.choice([-1, 1], count) * rng.uniform(0.25, 0.5, count)
    stepped = np.where(
        np.abs(lightness[0] + step - 0.5) < 0.4, lightness[0] + step, lightness[0] - step
    )
    lightness[1] = np.where(apart, stepped, lightness[1])
    lightness[1] = np.where(lots.hidden, lightness[0], lightness[1])
    layers = []
    for name, light in (("figure_hue", lightness[0]), ("ground_hue", lightness[1])):
        centre = _HUE_CENTRES[np.minimum(lots.labels[name], GREY - 1)]
        hue = centre + rng.uniform(-0.02, 0.02, count)
        saturation = np.where(grey, 0, rng.uniform(0.55, 1, count))
        # Textures are of light, not of colour: the swing has no hue.
        swing = rng.uniform(0.1, 0.28, (count, 1)) * np.ones(3)
        layers.append((_rgb(hue, saturation, light), swing.astype(np.float32)))
    return layers[0], layers[1]


def _rgb(
    hue: NDArray[np.floating], saturation: NDArray[np.floating], lightness: NDArray[np.floating]
) -> Field:
    """HSL to RGB, `(n, 3)`; hue in turns."""
    lightness = np.clip(lightness, 0.05, 0.95)
    wheel = np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    chroma = (1 - np.abs(2 * lightness - 1)) * saturation
    return (lightness[:, None] + chroma[:, None] * (np.clip(wheel, 0, 1) - 0.5)).astype(np.float32)


def _layer(
    rng: np.random.Generator, texture: NDArray[np.int64], tones: tuple[Field, Field], blur: Field
) -> Field:
    """One painted layer, `(n, 3, 64, 64)`."""
    field = np.empty((len(texture), SIZE, SIZE), np.float32)
    for index, paint in enumerate(TEXTURES.values()):
        chosen = texture == index
        field[chosen] = paint(rng, int(chosen.sum()), SIZE)
    field = _blurred(field, blur)
    base, swing = (tone[:, :, None, None] for tone in tones)
    return base + swing * field[:, None]


def _blurred(field: Field, blur: Field) -> Field:
    """The fields, those with a positive `blur` softened."""
    chosen = blur > 0
    field = field.copy()
    field[chosen] = soften(field[chosen], blur[chosen])
    return field


def _shading(rng: np.random.Generator, count: int) -> Field:
    """A smooth ramp of light across the scene, `(n, 64, 64)` around 1."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / (SIZE / 2) - 1
    gx, gy = rng.uniform(-0.15, 0.15, (2, count, 1, 1)).astype(np.float32)
    return 1 + gx * x + gy * y
