"""The gallery: pictures that every network is shown, for comparing neurons of several networks.

The same pictures for all: each is drawn once, at one size and in 8 bits, and brought to the size
that a network takes. Half are natural-like scenes; the others are leaves, marks and waves of three
sizes, and mosaics of the catalogue's stimuli, of three sizes too, since a network of 32 pixels and
one of 224 see different things in one picture.

A response is read in cells of the field of view, a few of each picture: `CELLS` of `GRID` x `GRID`.
What a cell shows of plain brightness, colour and contrast, at several widths, is known beside
(`Gallery.plain`): nearly every filter answers to that, a random one as well.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.stimuli.catalogue import catalogue
from circuitome.extract.stimuli.ensemble import ensemble, natural_like
from circuitome.extract.stimuli.images import read_images

__all__ = ["CELLS", "GRID", "SIDE", "Gallery", "gallery"]

SIDE: Final = 224  # pixels of the pictures as they are drawn
GRID: Final = 8  # cells along a side of the field of view
CELLS: Final = 3  # of them are read in each picture
SCENES: Final = 192
RANDOM: Final = (
    (48, 4),
    (40, 10),
    (40, 25),
)  # leaves, marks and waves: pictures, and their radius as a part of the side
MOSAICS: Final = ((22, 2), (21, 4), (21, 8))  # pictures, and stimuli along a side
SEED: Final = 20_200_310  # of everything: the pictures are one fixed set
SHIFT: Final = SIDE // 56  # pixels by which a displaced picture is moved
COMMON: Final = "01f689e27753141553aadd848e9da5d8cc55760c915a09a7497a2b839a6025b2"
"""Name of the common pictures, of the cells that are read and of how signatures are made of them.

Signatures of one name can be compared. If any of these changes, it has to become another one: any
64 hexadecimal digits. A test holds it to the pixels.
"""
NOISE: Final = 0.02  # standard deviation of the noise upon it, of values in [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Pictures, and which cells of each are read."""

    pictures: np.ndarray  # (n, 3, SIDE, SIDE) uint8
    cells: np.ndarray  # (n, CELLS) places in the grid, row by row
    sha256: str  # names the pictures, the cells and how responses become signatures

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, chosen: np.ndarray, size: tuple[int, ...], *, displaced: bool = False) -> Tensor:
        """Pictures of the numbers ``chosen``, ``(n, 3, *size)`` in [0, 1]; ``displaced``: moved a
        little, under faint noise.
        """
        images = torch.from_numpy(self.pictures[chosen]).float() / 255
        if displaced:
            images = torch.stack(
                [_moved(image, int(number)) for image, number in zip(images, chosen, strict=True)]
            )
        images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        return _noisy(images, chosen) if displaced else images

    def plain(self, chosen: np.ndarray, *, displaced: bool = False) -> np.ndarray:
        """What the cells show of place, brightness, colour and contrast, ``(len(chosen) * CELLS,
        features)`` float64.

        Colours and mean steps between neighbouring pixels in the cell, its quarter of the grid and
        so on up to the whole picture; each also squared and as a square root, since neurons bend
        what they see.
        """
        parts = [
            self.draw(part, (SIDE // 4, SIDE // 4), displaced=displaced)
            for part in np.array_split(chosen, 1 + len(chosen) // 64)
        ]
        shown, cells = _pooled(torch.cat(parts)), self.cells[chosen]
        there = np.take_along_axis(shown.double().numpy(), cells[:, None], 2)
        values = there.transpose(0, 2, 1).reshape(-1, there.shape[1])
        bent = values**2, np.sqrt(np.abs(values))
        return np.column_stack([values, *bent, *_places(cells.reshape(-1))])


def _pooled(images: Tensor) -> Tensor:
    """Colours and steps at several widths in all cells, ``(n, features, GRID ** 2)``."""
    right, down = ((images - images.roll(1, axis)).abs().mean(1, keepdim=True) for axis in (3, 2))
    shown = torch.cat([images, right, down], 1)
    widths = [F.adaptive_avg_pool2d(shown, count) for count in (1, 2, 4, GRID)]
    cells = [F.interpolate(width, size=GRID, mode="nearest") for width in widths]
    return torch.cat(cells, 1).flatten(2)


def _places(cells: np.ndarray) -> list[np.ndarray]:
    """Where cells lie, from -1 to 1, products of it, and whether at an edge; ``(n,)`` each."""
    y, x = 2 * (np.array(np.divmod(cells, GRID)) + 0.5) / GRID - 1
    edge = (np.abs(np.stack([y, x])) > 1 - 1.5 / GRID).astype(float)
    return [y, x, y * y, x * x, y * x, *edge]


def gallery(images: Path | None = None) -> Gallery:
    """The pictures, and behind them those of a folder of one's own."""
    own = _own() if images is None else np.concatenate([_own(), _read(images)])
    # every picture has its own stream, so that its cells do not depend on how many there are
    cells = [
        np.random.default_rng([SEED, n]).permutation(GRID * GRID)[:CELLS] for n in range(len(own))
    ]
    return Gallery(own, np.array(cells), _digest(None if images is None else own[len(_own()) :]))


@cache
def _own() -> np.ndarray:
    """The pictures that are drawn."""
    drawn = [natural_like(SCENES, SIDE, seed=SEED)]
    drawn += [ensemble(count, SIDE, SIDE / part, seed=SEED + part).draw() for count, part in RANDOM]
    drawn += [_mosaics(count, along) for count, along in MOSAICS]
    return np.concatenate([_in_bytes(images) for images in drawn])


def _mosaics(count: int, along: int) -> Tensor:
    """Pictures of ``along`` x ``along`` stimuli, drawn by lot from the catalogue."""
    side = SIDE // along
    trials = catalogue(side, 0.4 * side, seed=SEED)
    lot = np.random.default_rng([SEED, along]).permutation(max(len(trials), count * along**2))[
        : count * along**2
    ]
    tiles = torch.cat([trials.draw(int(number), int(number) + 1) for number in lot % len(trials)])
    placed = tiles.view(count, along, along, 3, side, side).permute(0, 3, 1, 4, 2, 5)
    return placed.reshape(count, 3, SIDE, SIDE)


def _read(folder: Path) -> np.ndarray:
    return np.concatenate([_in_bytes(picture[None]) for _, picture in read_images(folder, SIDE)])


def _in_bytes(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _moved(image: Tensor, number: int) -> Tensor:
    """An image moved by `SHIFT` pixels into a direction of its own; borders are mirrored."""
    angle = np.random.default_rng([SEED, 1, number]).uniform(0, 2 * math.pi)
    top, left = (SHIFT + round(SHIFT * part) for part in (math.sin(angle), math.cos(angle)))
    wide = F.pad(image[None], (SHIFT, SHIFT, SHIFT, SHIFT), mode="reflect")[0]
    return wide[:, top : top + SIDE, left : left + SIDE]


def _noisy(images: Tensor, chosen: np.ndarray) -> Tensor:
    noise = [
        np.random.default_rng([SEED, 2, int(n)]).standard_normal(images.shape[1:], np.float32)
        for n in chosen
    ]
    return images + NOISE * torch.from_numpy(np.stack(noise))


def _digest(own: np.ndarray | None) -> str:
    """Which set of pictures this is: the common ones', or a SHA-256 of it and the user's own."""
    return COMMON if own is None else hashlib.sha256(COMMON.encode() + own.tobytes()).hexdigest()
