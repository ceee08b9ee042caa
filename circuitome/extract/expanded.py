"""Expanded weights: kernels multiplied out over the layers between two layers.

With every nonlinearity taken for the identity, a layer further up reads a layer further down
through one kernel: the gradient of the linearised network (*Visualizing Weights*, Distill 2021,
which computes it by one backward pass a channel). Here all receivers of a layer are the batch of
one backward sweep: a convolution is passed by its transposed convolution, an addition by its
coefficients, an average pool by its window.

What is not linear is marked. A max pool passes its gradient to one position of its window, which
one depends on the image: it is spread evenly, so that sums are right and positions are not. A mean
over a whole map keeps no position. Where positive and negative paths meet the sum says little:
*cancellation* is |sum of paths| over the sum of |paths|, paths through single neurons with their
summed kernels.

Default spans: across *bottlenecks* (a 1x1 convolution of maps, narrower than its input, whose
readers read nothing else) and across additions of the residual stream (virtual weights), as far as
``span`` additions.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import prod
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from circuitome.extract.edges import KEEP_ALL, Edges, Pruning, Senders, weigh
from circuitome.extract.geometry import ExpandedKernel, ExpandError, dilated
from circuitome.extract.spatial import convolve_transposed, per_channel, single
from circuitome.extract.steps import STEPS, gain, output_size
from circuitome.extract.wiring import Layer, Link, Step, Wiring

__all__ = [
    "Expanded",
    "ExpandError",
    "ExpandedKernel",
    "bottlenecks",
    "expand",
    "expand_target",
    "spans",
]

LINEAR: Final = ("conv", "linear", "add", "norm", "readout")
"""Layers that a sweep can pass; a gate's product cannot be passed."""

Passes = Callable[[int, int], bool]
"""Whether a sweep passes a layer, given the number of additions that it passed so far."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """Expanded edges of one receiving layer."""

    edges: Edges
    hops: np.ndarray  # (edges,) int64
    linearised: np.ndarray  # (edges,) bool
    cancellation: np.ndarray  # (edges,) float32


def bottlenecks(wiring: Wiring) -> frozenset[int]:
    """Layers that are 1x1 convolutions of maps, narrower than their input, whose readers read
    nothing else.

    A convolution of a single position (the squeeze of squeeze-and-excite) is none: it feeds a gate.
    """
    alone: set[int] = set()
    together: set[int] = set()
    for layer in wiring.layers:
        (alone if len(layer.sources) == 1 else together).update(layer.sources)
    return frozenset(index for index in alone - together if _narrows(wiring.layers[index]))


def _narrows(layer: Layer) -> bool:
    maps = layer.op == "conv" and prod(layer.size) > 1
    return maps and prod(layer.kernel) == 1 and layer.channels < layer.width


def spans(wiring: Wiring, span: int = 1) -> Iterator[tuple[int, Passes]]:
    """Receiving layers of the default spans, each with the rule that says what its sweep passes.

    Additions are passed ``span`` times.
    """
    narrow = bottlenecks(wiring)

    def passes(index: int, additions: int) -> bool:
        op = wiring.layers[index].op
        return index in narrow or op == "norm" or (op == "add" and additions < span)

    for index, layer in enumerate(wiring.layers):
        if layer.op not in ("conv", "linear") or index in narrow:
            continue
        if any(passes(source, 0) for source in layer.sources):
            yield index, passes


def expand(
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    sources: Sequence[str],
    target: str,
    *,
    device: str = "cpu",
) -> dict[str, ExpandedKernel]:
    """The kernels by which layer ``target`` reads some earlier layers, over all paths between them.

    Returns for every layer of ``sources`` a kernel ``(target channels, its channels, height,
    width)``, float32, of volumes with a depth before the height. A path ends at the first of
    ``sources`` that it meets.

    Raises:
        ExpandError: a layer is unknown, or ``target`` does not depend on it.

    Example:
        >>> kernels = expand(
        ...     wiring, arrays, ["features.3.expand3x3"], "features.6.expand3x3"
        ... )  # doctest: +SKIP
    """
    *starts, end = _numbers(wiring, (*sources, target))
    reach = _between(wiring, set(starts), end)
    place = torch.device(device)
    sweep = _Sweep(wiring, arrays, lambda index, _: index in reach, place, stops=set(starts))
    found = sweep.from_layer(end)
    for source, start in zip(sources, starts, strict=True):
        if start not in found:
            raise ExpandError(
                f"{target!r} does not depend on {source!r} by a path that can be multiplied out"
            )
    return {source: found[start] for source, start in zip(sources, starts, strict=True)}


def _numbers(wiring: Wiring, names: Iterable[str]) -> list[int]:
    """Layers by their names."""
    numbers = {layer.name: index for index, layer in enumerate(wiring.layers)}
    for name in names:
        if name not in numbers:
            raise ExpandError(
                f"{name!r} is not a layer of this network; `circuitome query layers` lists them"
            )
    return [numbers[name] for name in names]


def expand_target(
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    target: int,
    passes: Passes,
    *,
    keep: Pruning = KEEP_ALL,
    device: torch.device,
) -> Iterator[Expanded]:
    """Expanded edges into one layer from every layer that its sweep ends at; direct edges are left
    out.

    ``keep`` prunes by the receiver's squared expanded norm.
    """
    sweep = _Sweep(wiring, arrays, passes, device)
    ends = {i: end for i, end in sweep.from_layer(target).items() if end.hops > 1}
    if not ends:
        return
    sizes = replace(sweep, magnitude=True).from_layer(target)
    paths = _side_by_side([sizes[i].kernel for i in ends]).flatten(1).cpu().numpy()
    neuron = np.concatenate([wiring.neurons(i) for i in ends])
    column = np.full(int(wiring.offsets[-1]), -1)
    column[neuron] = np.arange(len(neuron))
    hops, bent = _per_channel(ends.values())
    kernel = _side_by_side([end.kernel for end in ends.values()])
    senders, first = Senders(neuron[None], np.ones((1, len(neuron)))), int(wiring.offsets[target])
    for edges, _, _ in weigh(kernel, senders, receivers=first, rows=0, keep=keep):
        place = column[edges.sender]
        ratio = _cancellation(edges.weight, paths[edges.receiver - first, place])
        yield Expanded(edges, hops[place], bent[place], ratio)


def _per_channel(ends: Collection[ExpandedKernel]) -> tuple[np.ndarray, np.ndarray]:
    """Hops of every channel of all ends, and whether a nonlinearity lies on the way."""
    counts = [end.kernel.shape[1] for end in ends]
    hops = np.repeat([end.hops for end in ends], counts)
    return hops, np.repeat([end.bent for end in ends], counts)


def _cancellation(weight: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """|sum of paths| over the sum of |paths|."""
    ratio = np.abs(weight) / np.where(paths > 0, paths, 1)
    return np.minimum(ratio, 1).astype(np.float32)


def _side_by_side(kernels: Sequence[Tensor]) -> Tensor:
    """Kernels of the same receivers as one, over the channels of all: filled up with zeros."""
    sides = np.max([kernel.shape[2:] for kernel in kernels], axis=0)
    return torch.cat([_filled_up(kernel, sides) for kernel in kernels], 1)


def _filled_up(kernel: Tensor, sides: np.ndarray) -> Tensor:
    """A kernel with zeros behind its last places, so that its axes have these lengths."""
    missing = (sides - kernel.shape[2:]).tolist()
    return F.pad(kernel, [width for count in missing[::-1] for width in (0, count)])


def _between(wiring: Wiring, starts: Set[int], end: int) -> set[int]:
    """Layers strictly between some layers and a later one, on some path."""
    after = set(starts)
    for index in range(min(starts, default=0) + 1, end + 1):
        if wiring.layers[index].sources & after:
            after.add(index)
    before = {end}
    for index in range(end, -1, -1):
        if index in before and index not in starts:
            before |= wiring.layers[index].sources
    return (after & before) - starts - {end}


@dataclass(frozen=True, slots=True)
class _Sweep:
    """A sweep back from one layer: what it passes, where it ends, and the kernels on its way."""

    wiring: Wiring
    arrays: Mapping[str, np.ndarray]
    passes: Passes
    device: torch.device
    stops: Set[int] | None = None
    """The layers to arrive at, if not all; other ends are dropped."""
    magnitude: bool = False
    """Replace every kernel by the absolute value of its sum, and add up |paths|: no places."""

    def from_layer(self, target: int) -> dict[int, ExpandedKernel]:
        """Kernels at the layers that ``passes`` does not let through: the ends of the sweep."""
        fronts = _Fronts()
        own = self._own_kernel(self.wiring.layers[target])
        self._read(target, 0, [own], fronts)
        for index, additions, front in fronts.deepest_first():
            layer = self.wiring.layers[index]
            if layer.op not in LINEAR:
                raise ExpandError(
                    f"the {layer.op} layer {layer.name} lies between: it cannot be multiplied out"
                )
            more = additions + (layer.op == "add")
            self._read(index, more, self._passed(layer, front), fronts)
        return fronts.ends

    def _read(
        self,
        index: int,
        additions: int,
        operands: Sequence[ExpandedKernel],
        fronts: _Fronts,
    ) -> None:
        """Take the kernels over a layer's operands back along its links."""
        for operand, front in enumerate(operands):
            for link in self.wiring.layers[index].links:
                if link.operand != operand:
                    continue
                if self.passes(link.source, additions):
                    fronts.wait(link.source, additions, self._through(link, front))
                elif self.stops is None or link.source in self.stops:
                    fronts.end(link.source, self._through(link, front))

    def _kernel(self, layer: Layer) -> Tensor:
        kernel = torch.as_tensor(self.arrays[f"kernel/{layer.name}"]).to(self.device)
        if not self.magnitude:
            return kernel
        return kernel.sum(tuple(range(2, kernel.dim())), keepdim=True).abs()

    def _own_kernel(self, layer: Layer) -> ExpandedKernel:
        """How a layer's own neurons read their input."""
        _refuse_phases(layer)
        kernel = self._kernel(layer)
        if prod(kernel.shape[2:]) != 1:
            kernel = dilated(kernel, layer.dilation)
        origin = tuple(-rows for rows in layer.padding)
        return ExpandedKernel(_ungrouped(kernel, layer.groups), origin, 1)

    def _passed(self, layer: Layer, front: ExpandedKernel) -> list[ExpandedKernel]:
        """The kernel over a layer's neurons, as kernels over its operands."""
        bent = front.bent or front.relu or layer.op == "norm"
        passed = replace(front, hops=front.hops + 1, bent=bent, relu=False)
        if layer.op not in ("add", "norm", "readout"):
            return [self._before(layer, passed)]
        kernel = self._kernel(layer)
        factors = (per_channel(factor, kernel.dim() - 2) for factor in kernel.flatten(1).T)
        return [replace(passed, kernel=front.kernel * factor) for factor in factors]

    def _before(self, layer: Layer, behind: ExpandedKernel) -> ExpandedKernel:
        """A kernel over what a convolution makes, as one over its input."""
        _refuse_phases(layer)
        stride = dilation = single(len(layer.size))
        if not self.magnitude:
            stride, dilation = layer.stride, layer.dilation
        kernel, groups = self._kernel(layer), layer.groups
        wide = convolve_transposed(
            behind.kernel, kernel, stride=stride, groups=groups, dilation=dilation
        )
        return behind.widened(wide, layer.stride, layer.padding)

    def _through(self, link: Link, front: ExpandedKernel) -> ExpandedKernel:
        """A kernel over an operand, taken back through one link to the channels of its source."""
        source = self.wiring.layers[link.source]
        part = replace(front, kernel=_columns(front.kernel, link.positions), relu=False)
        for step, size in reversed(_with_sizes(link.path, source.size)):
            part = self._back(step, part, size)
        whole = part.kernel
        if not _is_range(link.channels, source.channels):
            shape = (whole.shape[0], source.channels, *whole.shape[2:])
            channels = torch.as_tensor(link.channels, device=whole.device)
            whole = whole.new_zeros(shape).index_add_(1, channels, part.kernel)
        origin = single(len(source.size), 0) if self.magnitude else part.origin
        return replace(part, kernel=whole, origin=origin)

    def _back(self, step: Step, behind: ExpandedKernel, size: tuple[int, ...]) -> ExpandedKernel:
        """A kernel over what comes out of a step, as one over what goes in, a map of ``size``."""
        kind = STEPS[step.name]
        factor = np.broadcast_to(np.float32(gain(step, self.arrays)), behind.kernel.shape[1])
        if (factor != 1).any():
            factor = np.abs(factor) if self.magnitude else factor.copy()
            by = torch.as_tensor(factor, device=self.device)
            behind = replace(behind, kernel=behind.kernel * per_channel(by, len(size)))
        before = behind if self.magnitude else kind.geometry.back(step, behind, size)
        if kind.linear:
            return before
        return replace(before, relu=True) if kind.plain else replace(before, bent=True)


@dataclass(slots=True)
class _Fronts:
    """How far a sweep has come: kernels at layers to pass, and at its ends."""

    ends: dict[int, ExpandedKernel] = field(default_factory=dict)
    waiting: dict[tuple[int, int], ExpandedKernel] = field(default_factory=dict)
    order: list[tuple[int, int]] = field(default_factory=list)

    def end(self, index: int, front: ExpandedKernel) -> None:
        """Add a kernel over a layer that is an end."""
        self.ends[index] = self.ends[index].plus(front) if index in self.ends else front

    def wait(self, index: int, additions: int, front: ExpandedKernel) -> None:
        """Add a kernel over a layer that will be passed."""
        key = (index, additions)
        if key in self.waiting:
            self.waiting[key] = self.waiting[key].plus(front)
            return
        self.waiting[key] = front
        heapq.heappush(self.order, (-index, additions))

    def deepest_first(self) -> Iterator[tuple[int, int, ExpandedKernel]]:
        """The layers that wait, last ones first; meanwhile others may be added."""
        while self.order:
            negative, additions = heapq.heappop(self.order)
            yield -negative, additions, self.waiting.pop((-negative, additions))


def _refuse_phases(layer: Layer) -> None:
    if layer.output_padding is not None:
        raise ExpandError(
            f"the transposed convolution {layer.name} reads by phases: it cannot be multiplied out"
        )


def _ungrouped(kernel: Tensor, groups: int) -> Tensor:
    """The kernel of a grouped convolution over all of its input channels."""
    if groups == 1:
        return kernel
    out, fan_in, *sides = kernel.shape
    whole = kernel.new_zeros(out, groups * fan_in, *sides)
    for group, rows in enumerate(torch.arange(out, device=kernel.device).chunk(groups)):
        whole[rows, group * fan_in : (group + 1) * fan_in] = kernel[rows]
    return whole


def _columns(kernel: Tensor, positions: np.ndarray) -> Tensor:
    if _is_range(positions, kernel.shape[1]):
        return kernel
    return kernel[:, torch.as_tensor(positions, device=kernel.device)]


def _is_range(indices: np.ndarray, size: int) -> bool:
    return len(indices) == size and bool((indices == np.arange(size)).all())


def _with_sizes(path: Iterable[Step], size: tuple[int, ...]) -> list[tuple[Step, tuple[int, ...]]]:
    """Each step of a path with the size of the map before it."""
    sized = []
    for step in path:
        sized.append((step, size))
        size = output_size(step, size)
    return sized
