"""Probes: which patch of the input each layer's units see, and how patches are laid out so that each unit sees its own.

A stimulus is drawn around the centre of one unit's receptive field. Layers that see little are probed by many patches in one
image, side by side on a grid that their units share; layers that see nearly all of the image get one patch an image. So a
rotation of a stimulus is a rotation about the unit that is read, at any angle, whatever the strides and pools on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.steps import output_size
from circuitome.extract.wiring import Layer, Wiring

__all__ = [
    "Probe",
    "assemble",
    "map_sizes",
    "plan",
    "symmetric_side",
]

DENSITIES: Final = (
    16,
    8,
    4,
    3,
    2,
)  # patches along a side that are tried, finest first; then one an image


@dataclass(frozen=True, slots=True)
class Probe:
    """Layers that are probed together, and the grid of patches in one image."""

    layers: tuple[int, ...]
    image: tuple[int, int]  # height and width of the image, pixels
    side: int  # of a patch, pixels
    centres: tuple[
        tuple[float, ...], tuple[float, ...]
    ]  # of the patches, pixel coordinates, vertical and horizontal

    @property
    def patches(self) -> int:
        """Patches in one image."""
        return len(self.centres[0]) * len(self.centres[1])

    @property
    def whole(self) -> bool:
        """Whether one patch fills the image."""
        return self.patches == 1


# -- input size --------------------------------------------------------------------------------------


def map_sizes(wiring: Wiring, side: int) -> list[tuple[int, int]] | None:
    """Height and width of every layer's maps for square images of another side; None where the sizes do not fit."""
    sizes: list[tuple[int, int]] = []
    try:
        for layer in wiring.layers:
            if not layer.links:
                sizes.append((side, side))
                continue
            size = sizes[layer.links[0].source]
            for step in layer.links[0].path:
                size = output_size(step, size)
            sizes.append(_convolved_size(layer, size))
    except (RuntimeError, ValueError):  # a map smaller than its window
        return None
    return sizes


def _convolved_size(layer: Layer, size: tuple[int, int]) -> tuple[int, int]:
    out = []
    for axis in (0, 1):
        reach = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
        if layer.output_padding is None:
            cells = (size[axis] + 2 * layer.padding[axis] - reach) // layer.stride[axis] + 1
        else:
            cells = (
                (size[axis] - 1) * layer.stride[axis]
                - 2 * layer.padding[axis]
                + reach
                + layer.output_padding[axis]
            )
        if cells < 1:
            raise ValueError(f"{layer.name}: nothing is left of a map of {size}")
        out.append(cells)
    return out[0], out[1]


def symmetric_side(wiring: Wiring, *, least: int | None = None, reach: int = 33) -> int:
    """A side of the image at which every grid of units is symmetric about its centre: the nearest to the wiring's own.

    ImageNet's 224 pixels are not symmetric for strides of two with odd kernels (SqueezeNet 1.1: 223). A side at which every
    map has a unit in its middle comes first. Given ``least``, the smallest such side from there up to the wiring's own is
    looked for. Where no side within ``reach`` pixels, or between these, will do, the wiring's own is returned.
    """
    own = wiring.layers[0].size[0]
    if least is None:
        sides = sorted(
            range(max(own - reach, 1), own + reach + 1), key=lambda side: (abs(side - own), side)
        )
    else:
        sides = list(range(least, own))
    fair = []
    for side in sides:
        sizes = map_sizes(wiring, side)
        if sizes is not None and _is_symmetric(wiring, sizes, side):
            if all(size[0] % 2 == 1 for size in sizes[1:]):
                return side
            fair.append(side)
    return fair[0] if fair else own


def _is_symmetric(wiring: Wiring, sizes: Sequence[tuple[int, int]], side: int) -> bool:
    return all(
        abs(field.start[axis] + field.jump[axis] * (size[axis] - 1) / 2 - (side - 1) / 2) < 1e-6
        for field, size in zip(field_geometries(wiring), sizes, strict=True)
        for axis in (0, 1)
        if size[axis] > 1
    )


# -- the grid of patches -----------------------------------------------------------------------------


def plan(wiring: Wiring, *, margin: int = 1) -> tuple[Probe, ...]:
    """Probes that together read every layer but the input.

    A patch leaves room for ``margin`` units on each side of the one at its centre.
    """
    fields = field_geometries(wiring)
    waiting = [index for index, layer in enumerate(wiring.layers) if layer.op != "input"]
    image = wiring.layers[0].size
    probes = []
    for density in DENSITIES:
        layers, side, centres = _fitting(waiting, fields, image, density, margin)
        if layers:
            probes.append(Probe(tuple(layers), image, side, centres))
            waiting = [index for index in waiting if index not in layers]
    if waiting:
        probes.append(_whole(waiting, fields, wiring))
    return tuple(probes)


def _fitting(
    waiting: Sequence[int],
    fields: Sequence[FieldGeometry],
    image: tuple[int, int],
    density: int,
    margin: int,
) -> tuple[list[int], int, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Layers that fit on a grid of so many patches, the patches' side, and their centres."""
    needs = {
        index: max(fields[index].size) + 2 * margin * max(fields[index].jump) for index in waiting
    }
    pitch = min(image) // density
    layers = [index for index in waiting if needs[index] <= pitch]
    while layers:
        jump = max(max(fields[index].jump) for index in layers)
        pitch = int(min(image) / density // jump * jump)
        fit = [index for index in layers if needs[index] <= pitch]
        if len(fit) == len(layers):
            deepest = fields[max(layers, key=lambda index: fields[index].jump)]
            centres = tuple(
                _centres(deepest.start[axis], deepest.jump[axis], pitch, image[axis])
                for axis in (0, 1)
            )
            if all(len(axis) >= 2 for axis in centres):
                return layers, _parity(pitch, centres[0][0]), (centres[0], centres[1])
            return [], 0, ((), ())
        layers = fit
    return [], 0, ((), ())


def _centres(start: float, jump: float, pitch: int, size: int) -> tuple[float, ...]:
    first = start + jump * np.ceil((pitch / 2 - 0.5 - start) / jump)
    return tuple(float(centre) for centre in np.arange(first, size - pitch / 2 + 0.01, pitch))


def _parity(side: int, centre: float) -> int:
    """The largest side up to ``side`` whose middle falls on a pixel as the centre does."""
    on_pixel = abs(centre - round(centre)) < 0.25
    return side if (side % 2 == 1) == on_pixel else side - 1


def _whole(layers: Sequence[int], fields: Sequence[FieldGeometry], wiring: Wiring) -> Probe:
    """One patch an image, around the middle unit of the layers' coarsest grid, large enough to fill the image."""
    height, width = wiring.layers[0].size
    spatial = [index for index in layers if min(wiring.layers[index].size) > 1]
    centres, sides = [], []
    for axis, size in enumerate((height, width)):
        centre = (size - 1) / 2
        if spatial:
            deepest = max(spatial, key=lambda index: fields[index].jump)
            unit = (wiring.layers[deepest].size[axis] - 1) // 2
            centre = fields[deepest].start[axis] + fields[deepest].jump[axis] * unit
        centre = min(max(centre, 0.0), size - 1.0)
        centre = round(centre * 2) / 2
        centres.append((centre,))
        sides.append(int(np.ceil(2 * max(centre, size - 1 - centre))) + 1)
    side = max(sides)
    return Probe(
        tuple(layers),
        (height, width),
        side if _parity(side, centres[0][0]) == side else side + 1,
        (centres[0], centres[1]),
    )


def assemble(probe: Probe, patches: Tensor) -> Tensor:
    """Images ``(n, 3, H, W)`` of patches ``(n * probe.patches, 3, side, side)``, on grey; the last image may be part empty."""
    per = probe.patches
    images = -(-len(patches) // per)
    patches = F.pad(patches, (0, 0, 0, 0, 0, 0, 0, images * per - len(patches)), value=0.5)
    height, width = probe.image
    grey = patches.new_full((images, patches.shape[1], height, width), 0.5)
    for place, (y, x) in enumerate((y, x) for y in probe.centres[0] for x in probe.centres[1]):
        top, left = (round(centre - (probe.side - 1) / 2) for centre in (y, x))
        rows, columns = _overlap(top, probe.side, height), _overlap(left, probe.side, width)
        patch = patches[place::per]
        grey[:, :, rows[0] : rows[1], columns[0] : columns[1]] = patch[
            :, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left
        ]
    return grey


def _overlap(first: int, length: int, size: int) -> tuple[int, int]:
    return max(first, 0), min(first + length, size)
