"""Expanded weights: kernels multiplied out over the layers between two layers.

With every nonlinearity taken for the identity, a layer further up reads a layer further down through one
kernel: the gradient of the linearised network (*Visualizing Weights*, Distill 2021, which computes it by one
backward pass a channel). Here all receivers of a layer are the batch of one backward sweep: a convolution is
passed by its transposed convolution, an addition by its coefficients, an average pool by its window.

What is not linear is marked. A max pool passes its gradient to one position of its window, which one depends
on the image: it is spread evenly, so that sums are right and positions are not. A mean over a whole map keeps
no position. Where positive and negative paths meet the sum says little: *cancellation* is |sum of paths| over
the sum of |paths|, paths through single neurons with their summed kernels.

Default spans: across *bottlenecks* (a 1x1 convolution of maps, narrower than its input, whose readers read nothing else)
and across additions of the residual stream (virtual weights), as far as ``span`` additions.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circuitome.errors import CircuitomeError
from circuitome.extract.edges import KEEP_ALL, Edges, Pruning, Senders, weigh
from circuitome.extract.steps import STEPS, output_size, pair
from circuitome.extract.wiring import Layer, Link, Step, Wiring

__all__ = ["Expanded", "ExpandError", "Front", "bottlenecks", "expand", "expand_target", "spans"]

LINEAR: Final = ("conv", "linear", "add", "norm", "readout")
"""Layers that a sweep can pass; a gate's product cannot be passed."""


class ExpandError(CircuitomeError):
    """Two layers that no path joins, or a step that cannot be multiplied out."""


@dataclass(frozen=True, slots=True)
class Front:
    """How the receivers of a sweep read one layer, or one operand of it."""

    kernel: Tensor  # (receivers, channels, height, width)
    origin: tuple[
        int, int
    ]  # row and column that the first entry reads, seen from the receiver at (0, 0)
    hops: int  # edges of the longest path multiplied out
    bent: bool = False  # a nonlinearity on the way was taken for linear
    relu: bool = False  # so was one right behind this layer, which an edge from it takes as given


@dataclass(frozen=True, slots=True)
class Expanded:
    """Expanded edges of one receiving layer."""

    edges: Edges
    hops: np.ndarray  # (edges,) int64
    linearised: np.ndarray  # (edges,) bool
    cancellation: np.ndarray  # (edges,) float32


def bottlenecks(wiring: Wiring) -> frozenset[int]:
    """Layers that are 1x1 convolutions of maps, narrower than their input, whose readers read nothing else.

    A convolution of a single position (the squeeze of squeeze-and-excite) is none: it feeds a gate.
    """
    found = set()
    for index, layer in enumerate(wiring.layers):
        readers = [
            other for other in wiring.layers if any(link.source == index for link in other.links)
        ]
        alone = all({link.source for link in reader.links} == {index} for reader in readers)
        pointwise = layer.op == "conv" and layer.kernel == (1, 1) and layer.size != (1, 1)
        if pointwise and layer.channels < layer.width and readers and alone:
            found.add(index)
    return frozenset(found)


def spans(wiring: Wiring, span: int = 1) -> Iterator[tuple[int, Callable[[int, int], bool]]]:
    """Receiving layers of the default spans, each with the rule that says what its sweep passes.

    The rule gets a layer and the number of additions passed so far. Additions are passed ``span`` times.
    """
    narrow = bottlenecks(wiring)

    def passes(index: int, additions: int) -> bool:
        op = wiring.layers[index].op
        return index in narrow or op == "norm" or (op == "add" and additions < span)

    for index, layer in enumerate(wiring.layers):
        if (
            layer.op in ("conv", "linear")
            and index not in narrow
            and any(passes(x.source, 0) for x in layer.links)
        ):
            yield index, passes


def expand(
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    sources: Sequence[str],
    target: str,
    *,
    device: str = "cpu",
) -> dict[str, Front]:
    """The kernels by which layer ``target`` reads some earlier layers over all paths between them, in one sweep.

    Returns for every layer of ``sources`` a `Front` with kernel ``(target channels, its channels, height, width)``,
    float32. A path ends at the first of ``sources`` that it meets. Raises `ExpandError` for an unknown layer, or one
    that ``target`` does not depend on.

    Example:
        >>> fronts = expand(
        ...     wiring, arrays, ["features.3.expand3x3"], "features.6.expand3x3"
        ... )  # doctest: +SKIP
    """
    names = [layer.name for layer in wiring.layers]
    for name in (*sources, target):
        if name not in names:
            raise ExpandError(
                f"{name!r} is not a layer of this network; `circuitome query layers` lists them"
            )
    starts, end = {names.index(source) for source in sources}, names.index(target)
    reach = _between(wiring, starts, end)
    found = _sweep(
        wiring, arrays, end, lambda index, _: index in reach, torch.device(device), stops=starts
    )
    for source in sources:
        if names.index(source) not in found:
            raise ExpandError(
                f"{target!r} does not depend on {source!r} by a path that can be multiplied out"
            )
    return {source: found[names.index(source)] for source in sources}


def expand_target(
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    target: int,
    passes: Callable[[int, int], bool],
    *,
    keep: Pruning = KEEP_ALL,
    device: torch.device,
) -> Iterator[Expanded]:
    """Expanded edges into one layer from every layer that its sweep ends at; direct edges are left out.

    ``keep`` prunes by the receiver's squared expanded norm.
    """
    fronts = {
        i: front
        for i, front in _sweep(wiring, arrays, target, passes, device).items()
        if front.hops > 1
    }
    if not fronts:
        return
    whole = _sweep(wiring, arrays, target, passes, device, magnitude=True)
    size = [max(front.kernel.shape[2 + axis] for front in fronts.values()) for axis in (0, 1)]
    parts = [
        F.pad(f.kernel, (0, size[1] - f.kernel.shape[3], 0, size[0] - f.kernel.shape[2]))
        for f in fronts.values()
    ]
    neuron = np.concatenate(
        [wiring.offsets[i] + np.arange(f.kernel.shape[1]) for i, f in fronts.items()]
    )
    counts = [front.kernel.shape[1] for front in fronts.values()]
    hops = np.repeat([front.hops for front in fronts.values()], counts)
    bent = np.repeat([front.bent for front in fronts.values()], counts)
    paths = torch.cat([whole[i].kernel[:, :, 0, 0] for i in fronts], 1).cpu().numpy()
    senders = Senders(neuron[None], np.ones((1, len(neuron))))
    first = int(wiring.offsets[target])
    column = np.full(int(wiring.offsets[-1]), -1)
    column[neuron] = np.arange(len(neuron))
    for edges, _, _ in weigh(torch.cat(parts, 1), senders, receivers=first, rows=0, keep=keep):
        place = column[edges.sender]
        apart = paths[edges.receiver - first, place]
        ratio = np.abs(edges.weight) / np.where(apart > 0, apart, 1)
        yield Expanded(edges, hops[place], bent[place], np.minimum(ratio, 1).astype(np.float32))


def _between(wiring: Wiring, starts: Set[int], end: int) -> set[int]:
    """Layers strictly between some layers and a later one, on some path."""
    after = set(starts)
    for index in range(min(starts, default=0) + 1, end + 1):
        if any(link.source in after for link in wiring.layers[index].links):
            after.add(index)
    before = {end}
    for index in range(end, -1, -1):
        if index in before and index not in starts:
            before |= {link.source for link in wiring.layers[index].links}
    return (after & before) - starts - {end}


# -- the sweep -----------------------------------------------------------------------------------------


def _sweep(
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    target: int,
    passes: Callable[[int, int], bool],
    device: torch.device,
    *,
    stops: Set[int] | None = None,
    magnitude: bool = False,
) -> dict[int, Front]:
    """Fronts at the layers where the sweep from ``target`` ends: those that ``passes`` does not let through.

    ``stops`` are the layers to arrive at, if not all; other ends are dropped. With ``magnitude``, every kernel is replaced by
    the absolute value of its sum: the sum of |paths|.
    """
    ends: dict[int, Front] = {}
    waiting: dict[tuple[int, int], Front] = {}  # layer, additions passed
    order: list[tuple[int, int]] = []
    kernel = _kernel(wiring.layers[target], arrays, device, magnitude)
    state = [(target, 0, (0, _own_front(wiring.layers[target], kernel)))]
    while True:
        for index, additions, (operand, front) in state:
            for link in wiring.layers[index].links:
                key = (link.source, additions)
                ending = not passes(*key)
                if link.operand != operand or (
                    ending and stops is not None and link.source not in stops
                ):
                    continue
                arrived = _through(wiring, link, front, arrays, magnitude)
                if ending:
                    _accumulate(ends, link.source, arrived)
                else:
                    if key not in waiting:
                        heapq.heappush(order, (-key[0], key[1]))
                    _accumulate(waiting, key, arrived)
        if not order:
            return ends
        negative, additions = heapq.heappop(order)
        index = -negative
        front = waiting.pop((index, additions))
        layer = wiring.layers[index]
        if layer.op not in LINEAR:
            raise ExpandError(
                f"the {layer.op} layer {layer.name} lies between: it cannot be multiplied out"
            )
        kernel = _kernel(layer, arrays, device, magnitude)
        more = additions + (layer.op == "add")
        state = [(index, more, own) for own in _passed(layer, kernel, front, magnitude)]


def _kernel(
    layer: Layer, arrays: Mapping[str, np.ndarray], device: torch.device, magnitude: bool
) -> Tensor:
    kernel = torch.as_tensor(arrays[f"kernel/{layer.name}"]).to(device)
    return kernel.sum((2, 3), keepdim=True).abs() if magnitude else kernel


def _own_front(layer: Layer, kernel: Tensor) -> Front:
    """How a layer's own neurons read their input."""
    if layer.output_padding is not None:
        raise ExpandError(
            f"the transposed convolution {layer.name} reads by phases: it cannot be multiplied out"
        )
    if kernel.shape[2:] != (1, 1):
        kernel = _dilated(kernel, layer.dilation)
    return Front(_ungrouped(kernel, layer.groups), (-layer.padding[0], -layer.padding[1]), 1)


def _ungrouped(kernel: Tensor, groups: int) -> Tensor:
    """The kernel of a grouped convolution over all of its input channels."""
    if groups == 1:
        return kernel
    out, fan_in, height, width = kernel.shape
    whole = kernel.new_zeros(out, groups * fan_in, height, width)
    for group, rows in enumerate(torch.arange(out, device=kernel.device).chunk(groups)):
        whole[rows, group * fan_in : (group + 1) * fan_in] = kernel[rows]
    return whole


def _dilated(kernel: Tensor, dilation: tuple[int, int]) -> Tensor:
    height, width = ((size - 1) * d + 1 for size, d in zip(kernel.shape[2:], dilation, strict=True))
    spread = kernel.new_zeros(*kernel.shape[:2], height, width)
    spread[:, :, :: dilation[0], :: dilation[1]] = kernel
    return spread


def _passed(layer: Layer, kernel: Tensor, front: Front, magnitude: bool) -> list[tuple[int, Front]]:
    """The front at a layer's neurons, as fronts at its operands."""
    bent = front.bent or front.relu or layer.op == "norm"
    if layer.op in ("add", "norm", "readout"):
        factors = kernel[:, :, 0, 0].T.reshape(kernel.shape[1], 1, -1, 1, 1)
        passed = replace(front, hops=front.hops + 1, bent=bent, relu=False)
        return [
            (s, replace(passed, kernel=front.kernel * factor)) for s, factor in enumerate(factors)
        ]
    if layer.output_padding is not None:
        raise ExpandError(
            f"the transposed convolution {layer.name} reads by phases: it cannot be multiplied out"
        )
    stride, dilation = ((1, 1), (1, 1)) if magnitude else (layer.stride, layer.dilation)
    wide = F.conv_transpose2d(
        front.kernel, kernel, stride=stride, groups=layer.groups, dilation=dilation
    )
    origin = tuple(
        o * s - p for o, s, p in zip(front.origin, layer.stride, layer.padding, strict=True)
    )
    return [(0, Front(wide, (origin[0], origin[1]), front.hops + 1, bent))]


def _through(
    wiring: Wiring, link: Link, front: Front, arrays: Mapping[str, np.ndarray], magnitude: bool
) -> Front:
    """A front at an operand, taken back through the steps of one link to the channels of its source."""
    source = wiring.layers[link.source]
    part = replace(front, kernel=_columns(front.kernel, link.positions), relu=False)
    sizes = _sizes(link, source)
    for step, size in zip(reversed(link.path), reversed(sizes), strict=True):
        part = _back(step, part, size, arrays, magnitude)
    whole = part.kernel
    if not _is_range(link.channels, source.channels):
        shape = (whole.shape[0], source.channels, *whole.shape[2:])
        channels = torch.as_tensor(link.channels, device=whole.device)
        whole = whole.new_zeros(shape).index_add_(1, channels, part.kernel)
    return replace(part, kernel=whole, origin=(0, 0) if magnitude else part.origin)


def _columns(kernel: Tensor, positions: np.ndarray) -> Tensor:
    return (
        kernel
        if _is_range(positions, kernel.shape[1])
        else kernel[:, torch.as_tensor(positions, device=kernel.device)]
    )


def _is_range(indices: np.ndarray, size: int) -> bool:
    return len(indices) == size and bool((indices == np.arange(size)).all())


def _sizes(link: Link, source: Layer) -> list[tuple[int, int]]:
    """Size of the map before each step of a link."""

    sizes, size = [], source.size
    for step in link.path:
        sizes.append(size)
        size = output_size(step, size)
    return sizes


def _back(
    step: Step,
    front: Front,
    size: tuple[int, int],
    arrays: Mapping[str, np.ndarray],
    magnitude: bool,
) -> Front:
    """A front behind a step, as a front before it."""
    kind = STEPS[step.name]
    if step.name == "affine":
        gain = torch.full(
            (front.kernel.shape[1],),
            float(step.attrs.get("scale", 1.0)),
            device=front.kernel.device,
        )
        if "gain" in step.vectors:
            gain = gain * torch.as_tensor(arrays[step.vectors["gain"]]).to(gain.device)
        return replace(
            front, kernel=front.kernel * (gain.abs() if magnitude else gain).view(1, -1, 1, 1)
        )
    if kind.window is not None:
        window, stride = (pair(step.attrs[name]) for name in kind.window)
        bent = front.bent or not kind.linear
        if step.attrs.get("dilation", (1, 1)) not in ((1, 1), [1, 1], 1):
            raise ExpandError("a dilated max pool lies between: it cannot be multiplied out")
        return replace(
            _spread(front, window, stride, pair(step.attrs["padding"]), magnitude), bent=bent
        )
    if kind.whole:
        return replace(_averaged(step, front, size, magnitude), bent=front.bent or not kind.linear)
    if step.name == "slice":
        return _sliced(step, front, magnitude)
    if step.name == "pad":
        left, _, top, _ = (*step.attrs["pad"], 0, 0)[:4]
        return replace(front, origin=(front.origin[0] - top, front.origin[1] - left))
    if step.name == "upsample":
        raise ExpandError(
            "an upsampling lies between, which reads by phases: it cannot be multiplied out"
        )
    return replace(front, relu=True) if kind.plain else replace(front, bent=True)


def _spread(
    front: Front,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    magnitude: bool,
) -> Front:
    """Back through a pool: every position of its window gets an equal share."""
    origin = tuple(o * s - p for o, s, p in zip(front.origin, stride, padding, strict=True))
    if magnitude:
        return front
    channels = front.kernel.shape[1]
    even = front.kernel.new_full((channels, 1, *window), 1 / (window[0] * window[1]))
    wide = F.conv_transpose2d(front.kernel, even, stride=stride, groups=channels)
    return replace(front, kernel=wide, origin=(origin[0], origin[1]))


def _averaged(step: Step, front: Front, size: tuple[int, int], magnitude: bool) -> Front:
    """Back through a pool over the whole map: one number without a position, or an even grid of windows."""
    out = step.attrs.get("output_size", (1, 1))
    if tuple(out) in ((1, 1), size):
        return replace(front, origin=(0, 0)) if tuple(out) == (1, 1) else front
    if any(length % o for length, o in zip(size, out, strict=True)):
        raise ExpandError(
            f"a pool from {size} to {tuple(out)} has uneven windows: it cannot be multiplied out"
        )
    window = (size[0] // out[0], size[1] // out[1])
    return _spread(front, window, window, (0, 0), magnitude)


def _sliced(step: Step, front: Front, magnitude: bool) -> Front:
    axis, skip = step.attrs["dim"] - 2, step.attrs["step"]
    origin = list(front.origin)
    origin[axis] = origin[axis] * skip + step.attrs["start"]
    kernel = front.kernel
    if not magnitude and skip > 1:
        kernel = _dilated(kernel, (skip, 1) if axis == 0 else (1, skip))
    return replace(front, kernel=kernel, origin=(origin[0], origin[1]))


def _accumulate(fronts: dict, key: object, front: Front) -> None:
    """Add a front to what is there, kernels aligned by their origins."""
    if key not in fronts:
        fronts[key] = front
        return
    old = fronts[key]
    origin = tuple(min(a, b) for a, b in zip(old.origin, front.origin, strict=True))
    far = [max(f.origin[axis] + f.kernel.shape[2 + axis] for f in (old, front)) for axis in (0, 1)]
    shape = (*old.kernel.shape[:2], far[0] - origin[0], far[1] - origin[1])
    total = old.kernel.new_zeros(shape)
    for each in (old, front):
        row, column = (each.origin[axis] - origin[axis] for axis in (0, 1))
        total[:, :, row : row + each.kernel.shape[2], column : column + each.kernel.shape[3]] += (
            each.kernel
        )
    fronts[key] = Front(
        total,
        (origin[0], origin[1]),
        max(old.hops, front.hops),
        old.bent or front.bent,
        old.relu or front.relu,
    )
