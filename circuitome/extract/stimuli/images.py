"""A user's own pictures: read from a folder, cut square and brought to size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from circuitome.errors import CircuitomeError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["SUFFIXES", "ImagesError", "read_images"]

SUFFIXES: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of the files that are taken for pictures, in capitals or not."""


class ImagesError(CircuitomeError):
    """A folder of pictures that cannot be read."""


def read_images(folder: str | Path, side: int) -> Iterator[tuple[str, Tensor]]:
    """The pictures in a folder and in those below it, by name: path within the folder, ``(3, side,
    side)`` in [0, 1].

    The largest square about the middle is scaled to ``side``; transparency is laid over grey; a
    film gives its first frame. `ImagesError`: at once for a folder that is not there or has no
    pictures, and at a damaged file.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImagesError(f"{root} is not a folder; give one that holds pictures")
    paths = sorted(
        path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise ImagesError(f"no picture in {root}; files must end in one of {', '.join(SUFFIXES)}")
    return ((path.relative_to(root).as_posix(), _read(path, side)) for path in paths)


def _read(path: Path, side: int) -> Tensor:
    # a dependency of torchvision
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            square = _square(_opaque(ImageOps.exif_transpose(file)))
            fitted = square.resize((side, side), Image.Resampling.BICUBIC)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImagesError(
            f"{path} cannot be read as a picture ({error}); replace it or take it away"
        ) from error
    return torch.from_numpy(np.array(fitted, dtype=np.float32).transpose(2, 0, 1) / 255)


def _opaque(picture: Image) -> Image:
    """A picture in RGB, of 8 bits, over grey where it is transparent."""
    from PIL import Image

    if picture.mode.startswith("I;16"):  # `convert` would cut it off at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        grey = Image.new("RGBA", picture.size, (128, 128, 128, 255))
        picture = Image.alpha_composite(grey, picture.convert("RGBA"))
    return picture.convert("RGB")


def _square(picture: Image) -> Image:
    """The largest square about the middle."""
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    return picture.crop((left, top, left + edge, top + edge))
