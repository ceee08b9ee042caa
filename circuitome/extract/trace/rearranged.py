"""Rules that copy channels or positions, or move numbers between channels and positions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.spatial import MAPS, axes_of
from circuitome.extract.trace.rules import Rules, operand_node, shape_of, spatial
from circuitome.extract.trace.tracer import PendingLayer, Tracer, Value, operation_name
from circuitome.extract.wiring import Step

__all__ = ["RULES", "phases", "rearrangement"]

_VIEWS: Final = ("view", "reshape", "permute", "transpose", "contiguous", "clone")

RULES: Final = Rules()
rule = RULES.rule


@rule("expand", "expand_as", "repeat", "tile")
def expand(t: Tracer, x: Value, *_: Any, **__: Any) -> Value:
    """One position copied over a map, as older squeeze-and-excite modules do, or one channel
    over many.
    """
    shape = shape_of(t)
    if shape == x.layout.shape:
        return t.relayout(x, x.layout)
    own = x.layout.shape
    if len(shape) != len(own) or not x.layout.is_image or shape[0] != own[0]:
        raise t.error(f"copies {x.layout.shape} to {shape}; that is not wired")
    if shape[1] != x.channels:
        x = x.choose(_copies(t, x.channels, int(shape[1])), 1)
    size = spatial(x, shape[2:])
    if size == x.layout.space:
        return x
    if any(own not in (1, new) for own, new in zip(x.layout.space, size, strict=True)):
        raise t.error(f"copies maps of {x.layout.space} to {size}; one row or column is wired")
    step = Step("upsample", {"size": size, "mode": "nearest"})
    return t.step(x, step, layout=x.layout.with_space(size))


def _copies(t: Tracer, channels: int, wanted: int) -> np.ndarray:
    """Which channel each of the wanted ones copies."""
    if wanted % channels:
        raise t.error(f"copies {channels} channels to {wanted}; that is not wired")
    return np.tile(np.arange(channels), wanted // channels)


@rule("repeat_interleave")
def repeat_interleave(t: Tracer, x: Value, repeats: Any, dim: int | None = None, **_: Any) -> Value:
    """Each channel several times."""
    if not isinstance(repeats, int) or dim is None:
        raise t.error("repeats by a list, or a flattened map; that is not wired")
    dim %= len(x.layout.dims)
    if x.layout.axis_of(dim) != "C":
        raise t.error("repeats positions; that is not wired")
    return x.choose(np.repeat(np.arange(x.channels), repeats), dim)


@rule("flip")
def flip(t: Tracer, x: Value, dims: Sequence[int]) -> Value:
    """Channels in reverse order, or maps mirrored."""
    mirrored = []
    for dim in dims:
        axis = x.layout.axis_of(dim % len(x.layout.dims))
        if axis == "C":
            x = x.choose(np.arange(x.channels)[::-1], dim % len(x.layout.dims))
        elif axis in axes_of(x.layout.rank):
            mirrored.append(x.layout.place_of(axis))
        else:
            raise t.error(f"turns {axis} around; that is not wired")
    return t.step(x, Step("flip", {"dims": sorted(mirrored)})) if mirrored else x


@rule("pixel_unshuffle")
def pixel_unshuffle(t: Tracer, x: Value, factor: int) -> Value:
    """Every factor-th pixel of each row and column as a channel of its own."""
    _need_maps(t, x)
    taken = [
        phases(t, x, (row, column), (factor, factor))
        for row in range(factor)
        for column in range(factor)
    ]
    joined = t.concat(taken, 1)
    order = np.arange(joined.channels).reshape(len(taken), -1).T.reshape(-1)
    return joined.take(order, Layout.image(shape_of(t)))


def _need_maps(t: Tracer, x: Value) -> None:
    """Refuse a value that is no ``(N, C, H, W)`` among images."""
    if not _has_maps(x):
        raise t.error(
            f"moves positions of {x.layout.shape} to channels, or back; that is not wired"
        )


def _has_maps(x: Value) -> bool:
    return x.layout.is_image and x.layout.rank == MAPS and len(x.layout.dims) == 4


def phases(t: Tracer, x: Value, first: tuple[int, int], skip: tuple[int, int]) -> Value:
    """Some rows and columns of a value: from ``first``, every ``skip``-th."""
    for axis in (0, 1):
        if skip[axis] == 1:
            continue
        size = list(x.layout.space)
        attrs = {"dim": 2 + axis, "start": first[axis], "stop": size[axis], "step": skip[axis]}
        size[axis] = len(range(first[axis], size[axis], skip[axis]))
        x = t.step(x, Step("slice", attrs), layout=x.layout.with_space(size))
    return x


@rule("pixel_shuffle")
def pixel_shuffle(t: Tracer, x: Value, factor: int) -> Value:
    """Neurons whose maps hold those of ``factor²`` channels, one at each place of a square.

    It is a transposed convolution with one entry a kernel.
    """
    _need_maps(t, x)
    channels = np.arange(x.channels).reshape(-1, factor, factor)
    return _scattered(t, x, channels, Layout.image(shape_of(t)))


def _scattered(t: Tracer, x: Value, channels: np.ndarray, layout: Layout) -> Value:
    """Neurons whose maps hold some channels, ``(receivers, rows, columns)``, one at each place."""
    receivers, rows, columns = channels.shape
    weight = torch.zeros(receivers, rows * columns, rows, columns, dtype=torch.float64)
    for place, (row, column) in enumerate(itertools.product(range(rows), range(columns))):
        weight[:, place, rows - 1 - row, columns - 1 - column] = 1
    gathered = x.take(channels.reshape(-1), x.layout)
    operands = ((operand_node(t, 0), gathered),)
    layer = PendingLayer(t.node.name, "conv", t.node, layout, operands, x.channels, weight)
    layer.stride, layer.groups, layer.output_padding = (rows, columns), receivers, (0, 0)
    return t.add_layer(layer)


def rearrangement(t: Tracer, node: Node) -> tuple[list[Node], Value] | None:
    """Views from one image to another that move positions to channels or back, with the result.

    None unless the node is the first of them.
    """
    sender = node.args[0] if node.args else None
    x = t.env.get(sender) if isinstance(sender, Node) else None
    if operation_name(node) not in ("view", "reshape") or not isinstance(x, Value):
        return None
    if node.meta["val"].dim() <= 4 or not _has_maps(x):
        return None
    nodes = _views_to_image(node)
    if nodes is None or tuple(nodes[-1].meta["val"].shape[2:]) == x.layout.space:
        return None
    t.node = nodes[-1]
    index = _moved(nodes, x.layout.shape)
    value = _gathered(t, x, index)
    value = _spread(t, x, index) if value is None else value
    return None if value is None else (nodes, value)


def _views_to_image(node: Node) -> list[Node] | None:
    """A view and those behind it, up to the first of four dimensions."""
    nodes = [node]
    while nodes[-1].meta["val"].dim() != 4:
        readers = list(nodes[-1].users)
        if len(readers) != 1 or operation_name(readers[0]) not in _VIEWS:
            return None
        nodes.append(readers[0])
    return nodes


def _moved(nodes: Sequence[Node], shape: Sequence[int]) -> np.ndarray:
    """Where each number of the last view comes from in one image, ``(channels, rows, columns)``."""
    first: Any = nodes[0].args[0]
    values: dict[Any, Any] = {first: torch.arange(int(np.prod(shape))).reshape(*shape)}
    for node in nodes:
        args: Any = torch.fx.map_arg(node.args, values.__getitem__)
        values[node] = node.target(*args, **node.kwargs)  # type: ignore[operator]
    return values[nodes[-1]][0].numpy()


def _strided(index: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """Channel, first row and first column ``(channels, 3)`` of maps that are every n-th row and
    column of a channel; None if they are not.
    """
    skip = height // index.shape[1], width // index.shape[2]
    first = index[:, 0, 0]
    rows = np.arange(index.shape[1])[:, None] * skip[0] * width
    columns = np.arange(index.shape[2]) * skip[1]
    if not np.array_equal(index, first[:, None, None] + rows + columns):
        return None
    channel, place = np.divmod(first, height * width)
    return np.stack([channel, place // width, place % width], axis=1)


def _gathered(t: Tracer, x: Value, index: np.ndarray) -> Value | None:
    """Space to depth: every channel takes some rows and columns of one."""
    height, width = x.layout.space
    if height % index.shape[1] or width % index.shape[2]:
        return None
    found = _strided(index, height, width)
    if found is None:
        return None
    skip = height // index.shape[1], width // index.shape[2]
    starts = [(row, column) for row in range(skip[0]) for column in range(skip[1])]
    joined = t.concat([phases(t, x, start, skip) for start in starts], 1)
    channel, row, column = found.T
    order = (row * skip[1] + column) * x.channels + channel
    return joined.take(order, Layout.image(shape_of(t)))


def _spread(t: Tracer, x: Value, index: np.ndarray) -> Value | None:
    """Depth to space: every channel goes to some rows and columns of one."""
    _, height, width = index.shape
    target = np.argsort(index.reshape(-1)).reshape(x.channels, *x.layout.space)
    if height % target.shape[1] or width % target.shape[2]:
        return None
    found = _strided(target, height, width)
    if found is None:
        return None
    skip = height // target.shape[1], width // target.shape[2]
    channels = np.full((len(index), *skip), -1)
    channels[found[:, 0], found[:, 1], found[:, 2]] = np.arange(x.channels)
    if (channels < 0).any():
        return None
    return _scattered(t, x, channels, Layout.image(shape_of(t)))
