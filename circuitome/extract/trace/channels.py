"""Rules that join, split, choose or reorder channels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from circuitome.extract.layout import Layout
from circuitome.extract.spatial import axes_of
from circuitome.extract.trace.rules import Rules
from circuitome.extract.trace.tracer import PendingLayer, Tracer, Value
from circuitome.extract.wiring import SeveralImages, Step

__all__ = ["RULES"]

RULES: Final = Rules()
rule = RULES.rule


@rule("cat", "concat", "concatenate")
def cat(t: Tracer, tensors: Sequence[Any], dim: int = 0) -> Value:
    """Concatenation of channels; constant zeros become channels of zeros."""
    nodes: Any = t.node.args[0]
    values = [
        _as_value(t, node, tensor, tensors) for node, tensor in zip(nodes, tensors, strict=True)
    ]
    dim %= len(values[0].layout.dims)
    others = values[0].layout.dropped({dim}).dims
    for value in values:
        if value.layout.axis_of(dim) != "C" or value.layout.dropped({dim}).dims != others:
            raise t.error(
                f"joins along {'x'.join(value.layout.dims[dim]) or 'an empty dimension'}, not "
                "channels"
            )
    return t.concat(values, dim)


def _as_value(t: Tracer, node: Node, tensor: Any, tensors: Sequence[Any]) -> Value:
    if isinstance(tensor, Value):
        return tensor
    model = next(value for value in tensors if isinstance(value, Value))
    if tensor.count_nonzero() == 0:
        return model.choose(np.full(tensor.shape[1], -1), 1)
    if not model.layout.is_image or tensor.dim() != len(model.layout.dims):
        raise t.error("joins a constant that is not zero, and no map; that is not wired")
    layout = Layout.image(tensor.shape, model.layout.rank)
    layer = PendingLayer(node.name, "constant", node, layout)
    return t.add_layer(layer)


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def split(t: Tracer, x: Value, _sections: Any, dim: int = 0) -> list[Value]:
    """Consecutive pieces of the channels, their sizes read off the export."""
    dim %= len(x.layout.dims)
    if x.layout.axis_of(dim) != "C":
        raise t.error(f"splits {'x'.join(x.layout.dims[dim])}, not channels; that is not wired")
    sizes = [int(piece.shape[dim]) for piece in t.node.meta["val"]]
    ends = np.cumsum([0, *sizes])
    return [x.choose(np.arange(*piece), dim) for piece in itertools.pairwise(ends)]


@rule("slice")
def slice_(
    t: Tracer, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    """A range of channels, or of rows or columns."""
    dim %= len(x.layout.dims)
    size = x.layout.shape[dim]
    first, last, _ = slice(start, end, step).indices(size)
    if (first, last, step) == (0, size, 1):
        return t.relayout(x, x.layout)
    axis, taken = x.layout.axis_of(dim), np.arange(first, last, step)
    if axis == "C":
        return x.choose(taken, dim)
    if axis == "N":
        raise SeveralImages(str(t.error("cuts the batch; that is not wired")))
    if axis not in axes_of(x.layout.rank):
        raise t.error(f"cuts {axis}, not channels or positions; that is not wired")
    attrs = {"dim": x.layout.place_of(axis), "start": first, "stop": last, "step": step}
    return t.step(x, Step("slice", attrs), layout=_resized(x.layout, axis, len(taken)))


@rule("select")
def select(t: Tracer, x: Value, dim: int, index: int) -> Value:
    """One channel, row or column; the dimension is gone."""
    dim %= len(x.layout.dims)
    index %= x.layout.shape[dim]
    piece = slice_(t, x, dim, index, index + 1)
    return t.relayout(piece, piece.layout.dropped({dim}))


@rule("index_select")
def index_select(t: Tracer, x: Value, dim: int, index: Tensor) -> Value:
    """Chosen channels."""
    dim %= len(x.layout.dims)
    if isinstance(index, Value) or x.layout.axis_of(dim) != "C":
        raise t.error("does not choose channels by a constant; that is not wired")
    return x.choose(index.cpu().numpy(), dim)


@rule("index")
def index(t: Tracer, x: Value, indices: Sequence[Any]) -> Value:
    """Channels chosen by a constant index tensor."""
    given = [(dim, chosen) for dim, chosen in enumerate(indices) if chosen is not None]
    if len(given) != 1 or isinstance(given[0][1], Value) or given[0][1].dim() != 1:
        raise t.error("indexes by more than one list of channels; that is not wired")
    dim, chosen = given[0]
    if chosen.dtype == torch.bool:
        chosen = chosen.nonzero().flatten()
    return index_select(t, x, dim, chosen)


def _resized(layout: Layout, axis: str, size: int) -> Layout:
    if size == 1:
        return layout.without(axis)
    return replace(layout, sizes={**layout.sizes, axis: size})


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(t: Tracer, x: Value, groups: int) -> Value:
    """Channels dealt out over groups, as in ShuffleNet."""
    order = np.arange(x.channels).reshape(groups, -1).T.reshape(-1)
    return x.take(order, x.layout)
