"""Receptive fields: which part of the input the units of every layer see, by the wiring alone."""

from __future__ import annotations

from collections.abc import Sequence

from circuitome.extract.geometry import FieldGeometry, Window
from circuitome.extract.steps import STEPS, output_size
from circuitome.extract.wiring import Layer, Link, Wiring

__all__ = ["field_geometries"]


def field_geometries(wiring: Wiring) -> tuple[FieldGeometry, ...]:
    """Receptive field, jump and start of every layer.

    Where paths of several kinds meet, the field is the largest of them and the grid that of the
    finest.
    """
    found: list[FieldGeometry] = []
    for layer in wiring.layers:
        arrived = [
            _behind(link, found[link.source], wiring.layers[link.source].size)
            for link in layer.links
        ]
        found.append(_of_layer(layer, _met(arrived)) if arrived else _pixel(len(layer.size)))
    return tuple(found)


def _pixel(rank: int) -> FieldGeometry:
    """The field of a pixel of the input."""
    return FieldGeometry((1.0,) * rank, (1.0,) * rank, (0.0,) * rank)


def _behind(link: Link, field: FieldGeometry, size: tuple[int, ...]) -> FieldGeometry:
    for step in link.path:
        after = output_size(step, size)
        field = STEPS[step.name].geometry.field(step, field, size, after)
        size = after
    return field


def _met(arrived: Sequence[FieldGeometry]) -> FieldGeometry:
    finest = min(arrived, key=lambda field: tuple(map(abs, field.jump)))
    sides = zip(*(field.size for field in arrived), strict=True)
    return FieldGeometry(tuple(map(max, sides)), finest.jump, finest.start)


def _of_layer(layer: Layer, field: FieldGeometry) -> FieldGeometry:
    window = Window(layer.kernel, layer.stride, layer.padding, layer.dilation)
    if layer.output_padding is None:
        return field.through(window)
    return field.through_transposed(window)
