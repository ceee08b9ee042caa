"""Probes: which patch of the input each layer's units see, and how patches are laid out.

A stimulus is drawn around the centre of one unit's receptive field, so that each unit sees its own.
Layers that see little are probed by many patches in one image, side by side on a grid that their
units share; layers that see nearly all of the image get one patch an image. So a rotation of a
stimulus is a rotation about the unit that is read, at any angle, whatever the strides and pools on
the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.steps import output_size
from circuitome.extract.wiring import SOURCES, Layer, Wiring

__all__ = ["Probe", "assemble", "map_sizes", "plan", "symmetric_side"]

DENSITIES: Final = (16, 8, 4, 3, 2)
"""Patches along a side that are tried, finest first; then one an image."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Layers that are probed together, and the grid of patches in one image."""

    layers: tuple[int, ...]
    image: tuple[int, ...]  # height and width of the image, pixels
    side: int  # of a patch, pixels
    centres: tuple[tuple[float, ...], tuple[float, ...]]
    """Of the patches, pixel coordinates, vertical and horizontal."""

    @property
    def patches(self) -> int:
        """Patches in one image."""
        return len(self.centres[0]) * len(self.centres[1])

    @property
    def whole(self) -> bool:
        """Whether one patch fills the image."""
        return self.patches == 1


def map_sizes(wiring: Wiring, side: int) -> list[tuple[int, ...]] | None:
    """Height and width of every layer's maps for square images of another side; None if the sizes
    do not fit.
    """
    sizes: list[tuple[int, ...]] = []
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


def _convolved_size(layer: Layer, size: tuple[int, ...]) -> tuple[int, ...]:
    cells = _units(layer, 0, size[0]), _units(layer, 1, size[1])
    if min(cells) < 1:
        raise ValueError(f"{layer.name}: nothing is left of a map of {size}")
    return cells


def _units(layer: Layer, axis: int, length: int) -> int:
    """Units along an axis of what a convolution, transposed or not, makes of a map."""
    stride, padding = layer.stride[axis], layer.padding[axis]
    reach = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
    if layer.output_padding is None:
        return (length + 2 * padding - reach) // stride + 1
    return (length - 1) * stride - 2 * padding + reach + layer.output_padding[axis]


def symmetric_side(wiring: Wiring, *, least: int | None = None, reach: int = 33) -> int:
    """A side of the image at which every grid of units is symmetric about its centre: the nearest
    to the wiring's own.

    ImageNet's 224 pixels are not symmetric for strides of two with odd kernels (SqueezeNet 1.1:
    223). A side at which every map has a unit in its middle comes first. Given ``least``, the
    smallest such side from there up to the wiring's own is looked for. If no side within ``reach``
    pixels, or between these, will do, the wiring's own is returned.
    """
    own = wiring.layers[0].size[0]
    near = range(max(own - reach, 1), own + reach + 1)
    nearest = sorted(near, key=lambda side: (abs(side - own), side))
    fair = []
    for side in nearest if least is None else range(least, own):
        sizes = map_sizes(wiring, side)
        if sizes is not None and _is_symmetric(wiring, sizes, side):
            if all(size[0] % 2 == 1 for size in sizes[1:]):
                return side
            fair.append(side)
    return fair[0] if fair else own


def _is_symmetric(wiring: Wiring, sizes: Sequence[tuple[int, ...]], side: int) -> bool:
    return all(
        abs(field.start[axis] + field.jump[axis] * (size[axis] - 1) / 2 - (side - 1) / 2) < 1e-6
        for field, size in zip(field_geometries(wiring), sizes, strict=True)
        for axis in (0, 1)
        if size[axis] > 1
    )


def plan(wiring: Wiring, *, margin: int = 1) -> tuple[Probe, ...]:
    """Probes that together read every layer but the input.

    A patch leaves room for ``margin`` units on each side of the one at its centre.
    """
    fields, image = field_geometries(wiring), wiring.layers[0].size
    needs = {
        index: max(fields[index].size) + 2 * margin * max(map(abs, fields[index].jump))
        for index, layer in enumerate(wiring.layers)
        if layer.op not in SOURCES
    }
    probes = []
    for density in DENSITIES:
        probe = _fitting(needs, fields, image, density)
        if probe is not None:
            probes.append(probe)
            needs = {index: need for index, need in needs.items() if index not in probe.layers}
    if needs:
        probes.append(_whole(list(needs), fields, wiring))
    return tuple(probes)


def _fitting(
    needs: Mapping[int, float],
    fields: Sequence[FieldGeometry],
    image: tuple[int, ...],
    density: int,
) -> Probe | None:
    """Layers whose ``needs`` in pixels a grid of ``density`` patches a side leaves room for."""
    layers = [index for index, need in needs.items() if need <= min(image) // density]
    while layers:
        jump = max(max(map(abs, fields[index].jump)) for index in layers)
        pitch = int(min(image) / density // jump * jump)
        fit = [index for index in layers if needs[index] <= pitch]
        if fit == layers:
            return _side_by_side(layers, fields, image, pitch)
        layers = fit
    return None


def _side_by_side(
    layers: Sequence[int], fields: Sequence[FieldGeometry], image: tuple[int, ...], pitch: int
) -> Probe | None:
    """Patches around units of the coarsest grid, ``pitch`` pixels apart; None if there are not two
    along each axis.
    """
    deepest = fields[_coarsest(layers, fields)]
    down, right = (
        _centres(deepest.start[axis], deepest.jump[axis], pitch, image[axis]) for axis in (0, 1)
    )
    if min(len(down), len(right)) < 2:
        return None
    return Probe(tuple(layers), image, _parity(pitch, down[0]), (down, right))


def _coarsest(layers: Sequence[int], fields: Sequence[FieldGeometry]) -> int:
    """The layer whose units lie furthest apart."""
    return max(layers, key=lambda index: fields[index].jump)


def _centres(start: float, jump: float, pitch: int, size: int) -> tuple[float, ...]:
    first = start + jump * np.ceil((pitch / 2 - 0.5 - start) / jump)
    return tuple(float(centre) for centre in np.arange(first, size - pitch / 2 + 0.01, pitch))


def _parity(side: int, centre: float) -> int:
    """The largest side up to ``side`` whose middle falls on a pixel as the centre does."""
    on_pixel = abs(centre - round(centre)) < 0.25
    return side if (side % 2 == 1) == on_pixel else side - 1


def _whole(layers: Sequence[int], fields: Sequence[FieldGeometry], wiring: Wiring) -> Probe:
    """One patch an image, around the middle unit of the layers' coarsest grid, large enough to fill
    the image.
    """
    image = wiring.layers[0].size
    centres = [(size - 1) / 2 for size in image]
    spatial = [index for index in layers if min(wiring.layers[index].size) > 1]
    if spatial:
        deepest = _coarsest(spatial, fields)
        centres = [_middle(fields[deepest], wiring.layers[deepest], axis) for axis in (0, 1)]
    y, x = (_half_pixel(*each) for each in zip(centres, image, strict=True))
    side = max(_reach(y, image[0]), _reach(x, image[1]))
    side = side if _parity(side, y) == side else side + 1
    return Probe(tuple(layers), image, side, ((y,), (x,)))


def _middle(field: FieldGeometry, layer: Layer, axis: int) -> float:
    """Pixel coordinate of the middle unit of a layer along an axis."""
    return field.start[axis] + field.jump[axis] * ((layer.size[axis] - 1) // 2)


def _half_pixel(centre: float, size: int) -> float:
    """A coordinate within the image, on a pixel or half way between two."""
    return round(min(max(centre, 0.0), size - 1.0) * 2) / 2


def _reach(centre: float, size: int) -> int:
    """Side of the smallest patch around a centre that holds all of an axis, pixels."""
    return int(np.ceil(2 * max(centre, size - 1 - centre))) + 1


def assemble(probe: Probe, patches: Tensor) -> Tensor:
    """Images ``(n, 3, H, W)`` of patches ``(n * probe.patches, 3, side, side)``, on grey; the last
    image may be part empty.
    """
    per = probe.patches
    images = -(-len(patches) // per)
    patches = F.pad(patches, (0, 0, 0, 0, 0, 0, 0, images * per - len(patches)), value=0.5)
    height, width = probe.image
    grey = patches.new_full((images, patches.shape[1], height, width), 0.5)
    for place, (y, x) in enumerate(product(*probe.centres)):
        rows, own_rows = _overlap(y, probe.side, height)
        columns, own_columns = _overlap(x, probe.side, width)
        grey[:, :, rows, columns] = patches[place::per, :, own_rows, own_columns]
    return grey


def _overlap(centre: float, length: int, size: int) -> tuple[slice, slice]:
    """Where a patch and the image overlap along an axis: in the image, and in the patch."""
    first = round(centre - (length - 1) / 2)
    start, stop = max(first, 0), min(first + length, size)
    return slice(start, stop), slice(start - first, stop - first)
