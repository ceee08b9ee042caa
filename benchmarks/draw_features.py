"""Draw features: what each of their neurons says most to, among the pictures that all networks are
shown.

``python benchmarks/draw_features.py TABLE FOLDER --output PICTURE.png [--features u1 u2 ...]``:
TABLE is a ``periodic_table.csv`` of ``circuitome compare -o``, FOLDER holds the bundles as
``MODEL.circuitome``, with signatures. One row a feature, one group of pictures a network. Of a
layer that reads the image its filter is drawn as well; of all, the places in the pictures where the
neuron's signature is highest, one a picture.
"""

from __future__ import annotations

import argparse
import csv
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from circuitome.extract.stimuli.gallery import GRID, SIDE, Gallery, gallery
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import Signatures

SHOWN = 4  # places a neuron
CROP = 76  # pixels of the pictures around a place
DRAWN = 38  # pixels of a place in the drawing
GAP = 6


def crop(pictures: Gallery, sample: int) -> np.ndarray:
    """What lies around the cell of a sample, ``(CROP, CROP, 3)`` in [0, 1]; white beyond the
    picture.
    """
    picture, place = divmod(sample, pictures.cells.shape[1])
    middle = (np.array(divmod(int(pictures.cells[picture][place]), GRID)) + 0.5) * SIDE / GRID
    padded = np.pad(
        pictures.pictures[picture], ((0, 0), (CROP, CROP), (CROP, CROP)), constant_values=255
    )
    top, left = (middle + CROP / 2).astype(int)
    return padded[:, top : top + CROP, left : left + CROP].transpose(1, 2, 0) / 255


def resized(image: np.ndarray, *, smooth: bool) -> np.ndarray:
    """An image at the drawing's size: means over blocks, or its own pixels."""
    at = np.arange(DRAWN) * image.shape[0] // DRAWN
    if smooth:
        side = image.shape[0] // DRAWN
        return (
            image[: side * DRAWN, : side * DRAWN].reshape(DRAWN, side, DRAWN, side, 3).mean((1, 3))
        )
    return image[at][:, at]


@cache
def opened(path: Path) -> tuple[Signatures, np.ndarray, list[str]]:
    """Signatures of a bundle, its rows of the network, and the keys of its neurons."""
    signatures = Signatures.open(Bundle.open(path))
    return signatures, signatures.copy(), signatures.neuron_keys().tolist()


def neuron_pictures(pictures: Gallery, path: Path, neuron: str) -> list[np.ndarray]:
    """The filter of a neuron that reads the image, and the places that it says most to."""
    signatures, rows, keys = opened(path)
    if signatures.sha256 != pictures.sha256:
        raise SystemExit(
            f"{path}: its signatures are of other pictures; annotate it again with --parts "
            "signatures"
        )
    order, seen, drawn = np.argsort(-rows[keys.index(neuron)], kind="stable"), set(), []
    for sample in order.tolist():
        picture = sample // signatures.per_picture
        if picture not in seen:
            seen.add(picture)
            drawn.append(resized(crop(pictures, sample), smooth=True))
        if len(drawn) == SHOWN:
            break
    layer, _, channel = neuron.partition("/")[2].rpartition(":")
    if layer == signatures.layers[0]:  # reads the image
        image = signatures.bundle.kernels.layer(layer)[int(channel)].transpose(1, 2, 0)
        drawn[-1] = resized(0.5 + 0.5 * image / np.abs(image).max(), smooth=False)
    return drawn


def main() -> None:
    """Draw the features that are named, or the first ten."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    with options.table.open() as lines:
        rows = {row["feature"]: row for row in csv.DictReader(lines)}
    chosen = [rows[key] for key in options.features or list(rows)[:10]]
    networks = sorted(
        {neuron.partition("/")[0] for row in chosen for neuron in row["neurons"].split()}
    )
    group = SHOWN * (DRAWN + 2) + GAP
    wide, high = len(networks) * group, len(chosen) * (DRAWN + GAP)
    canvas, pictures = np.ones((high, wide, 3)), gallery()
    for i, row in enumerate(chosen):
        for neuron in row["neurons"].split():
            left = networks.index(neuron.partition("/")[0]) * group
            found = neuron_pictures(
                pictures, options.folder / f"{neuron.partition('/')[0]}.circuitome", neuron
            )
            for j, image in enumerate(found):
                top, at = i * (DRAWN + GAP), left + j * (DRAWN + 2)
                canvas[top : top + DRAWN, at : at + DRAWN] = image
    figure = plt.figure(figsize=((wide + 60) / 100, (high + 24) / 100), dpi=100)
    axis = figure.add_axes((60 / (wide + 60), 0, wide / (wide + 60), high / (high + 24)))
    axis.imshow(np.clip(canvas, 0, 1), interpolation="nearest")
    axis.axis("off")
    for i, row in enumerate(chosen):
        axis.text(
            -6, i * (DRAWN + GAP) + DRAWN / 2, row["feature"], ha="right", va="center", fontsize=8
        )
    for number, name in enumerate(networks):
        axis.text(number * group, -6, name, fontsize=8)
    figure.savefig(options.output)
    with Image.open(options.output) as drawn:
        small = drawn.convert("RGB").quantize(96)
    small.save(options.output, optimize=True)


if __name__ == "__main__":
    main()
