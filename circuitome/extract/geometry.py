"""Geometry of steps: where a step reads, and how a kernel behind it becomes one before it.

Every kind of step has one of these geometries (`circuitome.extract.steps.STEPS`); receptive fields,
probes and expanded weights ask it, and know no step by its name.

Arithmetic of receptive fields: Araujo, Norris & Sim, *Computing Receptive Fields of Convolutional
Neural Networks* (Distill, 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np
from torch import Tensor

from circuitome.errors import CircuitomeError
from circuitome.extract.spatial import convolve_transposed, lifted
from circuitome.extract.wiring import Step

__all__ = [
    "ExpandError",
    "ExpandedKernel",
    "FieldGeometry",
    "Filtering",
    "Geometry",
    "Mirroring",
    "Padding",
    "Pointwise",
    "Resizing",
    "Slicing",
    "WholeMap",
    "Window",
    "Windows",
    "dilated",
]

Size = tuple[int, ...]
"""Height and width; depth, height and width of volumes."""


class ExpandError(CircuitomeError):
    """Two layers that no path joins, or a step that cannot be multiplied out."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a unit reads of the map before it, along each axis."""

    kernel: tuple[float, ...]
    stride: tuple[float, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def tile(cls, sides: tuple[float, ...]) -> Window:
        """One that lies beside the next."""
        return cls(sides, sides, (0,) * len(sides), (1,) * len(sides))


@dataclass(frozen=True, slots=True)
class FieldGeometry:
    """Where the units of a layer look, along each axis, in input pixels."""

    size: tuple[float, ...]  # theoretical receptive field
    jump: tuple[float, ...]  # from one unit to the next
    start: tuple[float, ...]  # centre of the first unit's field; pixel centres are whole numbers

    def unit(self, pixel: float, axis: int, count: int) -> int:
        """The unit whose field is centred nearest to a pixel coordinate."""
        return int(np.clip(round((pixel - self.start[axis]) / self.jump[axis]), 0, count - 1))

    def through(self, window: Window) -> FieldGeometry:
        """The fields of units that read these units through a window."""
        size, jump, start = list(self.size), list(self.jump), list(self.start)
        for axis in range(len(size)):
            reach = (window.kernel[axis] - 1) * window.dilation[axis]
            size[axis] += reach * abs(jump[axis])
            start[axis] += jump[axis] * (reach / 2 - window.padding[axis])
            jump[axis] *= window.stride[axis]
        return FieldGeometry(tuple(size), tuple(jump), tuple(start))

    def through_transposed(self, window: Window) -> FieldGeometry:
        """The fields of units that read these units through a transposed convolution."""
        size, jump, start = list(self.size), list(self.jump), list(self.start)
        for axis in range(len(size)):
            reach = (window.kernel[axis] - 1) * window.dilation[axis]
            jump[axis] /= window.stride[axis]
            size[axis] += reach * abs(jump[axis])
            start[axis] -= jump[axis] * (reach / 2 - window.padding[axis])
        return FieldGeometry(tuple(size), tuple(jump), tuple(start))


@dataclass(frozen=True, slots=True)
class ExpandedKernel:
    """How the receivers of a sweep read one layer, or one operand of it."""

    kernel: Tensor  # (receivers, channels, height, width), or with a depth before the height
    origin: tuple[int, ...]
    """Row and column that the first entry reads, seen from the receiver at (0, 0)."""
    hops: int
    """Edges of the longest path multiplied out."""
    bent: bool = False
    """A nonlinearity on the way was taken for linear."""
    relu: bool = False
    """So was one right behind this layer, which an edge from it takes as given."""

    def widened(self, kernel: Tensor, stride: Size, padding: Size) -> ExpandedKernel:
        """The same taken back through a window of which ``kernel`` is the result."""
        origin = (
            place * step - rows
            for place, step, rows in zip(self.origin, stride, padding, strict=True)
        )
        return replace(self, kernel=kernel, origin=tuple(origin))

    def plus(self, other: ExpandedKernel) -> ExpandedKernel:
        """Two kernels over the same layer as one, aligned by their origins."""
        pair = (self, other)
        first = np.min([each.origin for each in pair], axis=0)
        last = np.max([np.add(each.origin, each.kernel.shape[2:]) for each in pair], axis=0)
        total = self.kernel.new_zeros(*self.kernel.shape[:2], *(last - first).tolist())
        for each in pair:
            starts, sides = (each.origin - first).tolist(), each.kernel.shape[2:]
            covered = (slice(at, at + side) for at, side in zip(starts, sides, strict=True))
            total[(..., *covered)] += each.kernel
        return ExpandedKernel(
            total,
            tuple(first.tolist()),
            max(self.hops, other.hops),
            self.bent or other.bent,
            self.relu or other.relu,
        )


class Geometry(ABC):
    """What a step does to places."""

    keeps_size: ClassVar[bool] = False
    """Whether a map keeps its height and width."""

    @abstractmethod
    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The fields behind the step; ``before``, ``after``: size of the map on its two sides."""

    @abstractmethod
    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """A kernel over the map behind the step, as one over the map before it.

        Raises:
            ExpandError: the step has no such kernel.
        """


class Pointwise(Geometry):
    """Every value stays where it is."""

    keeps_size = True

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The same."""
        return field

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """The same."""
        return behind


class Windows(Geometry):
    """A pool over windows, all alike.

    A max pool passes its gradient to one position of its window, which one depends on the image:
    it is spread evenly, so that sums are right and positions are not.
    """

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """Larger by the window, coarser by its stride."""
        return field.through(_window(step, len(before)))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Every position of a window gets an equal share."""
        window = _window(step, len(before))
        if any(gap != 1 for gap in window.dilation):
            raise ExpandError("a dilated max pool lies between: it cannot be multiplied out")
        return _spread(behind, window)


class Filtering(Windows):
    """A fixed filter over windows, as one that blurs before rows and columns are left out."""

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Every position of a window gets the filter's share."""
        window, channels = _window(step, len(before)), behind.kernel.shape[1]
        fixed = behind.kernel.new_tensor(step.attrs["kernel"])[None, None]
        fixed = dilated(fixed, window.dilation)
        fixed = fixed.expand(channels, *fixed.shape[1:])
        stride = lifted(step.attrs["stride"], len(before), len(before))
        wide = convolve_transposed(behind.kernel, fixed, stride=stride, groups=channels)
        return behind.widened(wide, stride, window.padding)


class WholeMap(Geometry):
    """A pool over the whole map to one number without a position, or to a grid of windows."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """As through windows that tile the map."""
        sides = (whole / parts for whole, parts in zip(before, after, strict=True))
        return field.through(Window.tile(tuple(sides)))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """One number reads no position; a grid spreads evenly over its windows."""
        after = tuple(step.attrs.get("output_size", (1,) * len(before)))
        if set(after) == {1}:
            return replace(behind, origin=(0,) * len(before))
        if after == before:
            return behind
        if any(length % parts for length, parts in zip(before, after, strict=True)):
            raise ExpandError(
                f"a pool from {before} to {after} has uneven windows: it cannot be multiplied out"
            )
        sides = (whole // parts for whole, parts in zip(before, after, strict=True))
        return _spread(behind, Window.tile(tuple(sides)))


class Padding(Geometry):
    """Rows and columns around the map."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The first unit lies outside the map."""
        first = zip(field.start, field.jump, _padding(step, len(before)), strict=True)
        return replace(field, start=tuple(start - jump * rows for start, jump, rows in first))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """The same kernel, reading further up and left."""
        first = zip(behind.origin, _padding(step, len(before)), strict=True)
        return replace(behind, origin=tuple(place - rows for place, rows in first))


class Slicing(Geometry):
    """A range of rows or of columns."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """Later by the range's start, coarser by its step."""
        axis = step.attrs["dim"] - 2
        jump, start = list(field.jump), list(field.start)
        start[axis] += jump[axis] * step.attrs["start"]
        jump[axis] *= step.attrs["step"]
        return replace(field, jump=tuple(jump), start=tuple(start))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """The kernel with gaps for what the range leaves out."""
        axis, skip = step.attrs["dim"] - 2, step.attrs["step"]
        origin = list(behind.origin)
        origin[axis] = origin[axis] * skip + step.attrs["start"]
        kernel = behind.kernel
        if skip > 1:
            gaps = [1] * len(before)
            gaps[axis] = skip
            kernel = dilated(kernel, tuple(gaps))
        return replace(behind, kernel=kernel, origin=tuple(origin))


class Resizing(Geometry):
    """Upsampling to another size."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The same fields, on a finer grid."""
        jump, start = list(field.jump), list(field.start)
        for axis in range(len(before)):
            ratio = before[axis] / after[axis]
            start[axis] += jump[axis] * (ratio - 1) / 2
            jump[axis] *= ratio
        return replace(field, jump=tuple(jump), start=tuple(start))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Refused: the kernel differs from position to position."""
        raise ExpandError(
            "an upsampling lies between, which reads by phases: it cannot be multiplied out"
        )


class Mirroring(Geometry):
    """Rows or columns in reverse order."""

    keeps_size = True

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The same fields, met from the other end."""
        jump, start = list(field.jump), list(field.start)
        for axis in range(len(before)):
            if 2 + axis in step.attrs["dims"]:
                start[axis] += jump[axis] * (before[axis] - 1)
                jump[axis] = -jump[axis]
        return replace(field, jump=tuple(jump), start=tuple(start))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Refused: the kernel differs from position to position."""
        raise ExpandError("a mirrored map lies between: it cannot be multiplied out")


def dilated(kernel: Tensor, dilation: Size) -> Tensor:
    """Kernels ``(..., kh, kw)`` with zeros between their rows and columns."""
    sides = [(size - 1) * gap + 1 for size, gap in zip(kernel.shape[2:], dilation, strict=True)]
    spread = kernel.new_zeros(*kernel.shape[:2], *sides)
    spread[(..., *(slice(None, None, gap) for gap in dilation))] = kernel
    return spread


def _window(step: Step, rank: int) -> Window:
    padding, dilation = step.attrs.get("padding", 0), step.attrs.get("dilation", 1)
    given = (step.attrs["kernel_size"], step.attrs["stride"], padding, dilation)
    return Window(*(lifted(value, rank, rank) for value in given))


def _padding(step: Step, rank: int) -> Size:
    """What is added before the first place of each axis."""
    before = step.attrs["pad"][::2]
    return (*(0,) * (rank - len(before)), *before[::-1])


def _spread(behind: ExpandedKernel, window: Window) -> ExpandedKernel:
    """Back through a pool: every position of its window gets an equal share."""
    sides = [int(length) for length in window.kernel]
    stride = tuple(map(int, window.stride))
    channels = behind.kernel.shape[1]
    even = behind.kernel.new_full((channels, 1, *sides), 1 / prod(sides))
    wide = convolve_transposed(behind.kernel, even, stride=stride, groups=channels)
    return behind.widened(wide, stride, window.padding)
