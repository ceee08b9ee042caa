"""Geometry of steps: where a step reads, and how a kernel behind it becomes one before it.

Every kind of step has one of these geometries (`circuitome.extract.steps.STEPS`); receptive fields,
probes and expanded weights ask it, and know no step by its name.

Arithmetic of receptive fields: Araujo, Norris & Sim, *Computing Receptive Fields of Convolutional
Neural Networks* (Distill, 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from circuitome.errors import CircuitomeError
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
    "pair",
]

Size = tuple[int, int]
"""Height and width."""


class ExpandError(CircuitomeError):
    """Two layers that no path joins, or a step that cannot be multiplied out."""


@dataclass(frozen=True, slots=True)
class Window:
    """What a unit reads of the map before it, each vertical and horizontal."""

    kernel: tuple[float, float]
    stride: tuple[float, float]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class FieldGeometry:
    """Where the units of a layer look, each vertical and horizontal, in input pixels."""

    size: tuple[float, float]  # theoretical receptive field
    jump: tuple[float, float]  # from one unit to the next
    start: tuple[float, float]  # centre of the first unit's field; pixel centres are whole numbers

    def unit(self, pixel: float, axis: int, count: int) -> int:
        """The unit whose field is centred nearest to a pixel coordinate."""
        return int(np.clip(round((pixel - self.start[axis]) / self.jump[axis]), 0, count - 1))

    def through(self, window: Window) -> FieldGeometry:
        """The fields of units that read these units through a window."""
        size, jump, start = list(self.size), list(self.jump), list(self.start)
        for axis in (0, 1):
            reach = (window.kernel[axis] - 1) * window.dilation[axis]
            size[axis] += reach * abs(jump[axis])
            start[axis] += jump[axis] * (reach / 2 - window.padding[axis])
            jump[axis] *= window.stride[axis]
        return FieldGeometry(_two(size), _two(jump), _two(start))

    def through_transposed(self, window: Window) -> FieldGeometry:
        """The fields of units that read these units through a transposed convolution."""
        size, jump, start = list(self.size), list(self.jump), list(self.start)
        for axis in (0, 1):
            reach = (window.kernel[axis] - 1) * window.dilation[axis]
            jump[axis] /= window.stride[axis]
            size[axis] += reach * abs(jump[axis])
            start[axis] -= jump[axis] * (reach / 2 - window.padding[axis])
        return FieldGeometry(_two(size), _two(jump), _two(start))


@dataclass(frozen=True, slots=True)
class ExpandedKernel:
    """How the receivers of a sweep read one layer, or one operand of it."""

    kernel: Tensor  # (receivers, channels, height, width)
    origin: tuple[int, int]
    """Row and column that the first entry reads, seen from the receiver at (0, 0)."""
    hops: int
    """Edges of the longest path multiplied out."""
    bent: bool = False
    """A nonlinearity on the way was taken for linear."""
    relu: bool = False
    """So was one right behind this layer, which an edge from it takes as given."""

    def widened(self, kernel: Tensor, stride: Size, padding: Size) -> ExpandedKernel:
        """The same taken back through a window of which ``kernel`` is the result."""
        top, left = (
            place * step - rows
            for place, step, rows in zip(self.origin, stride, padding, strict=True)
        )
        return replace(self, kernel=kernel, origin=(top, left))


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
        return field.through(_window(step))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Every position of a window gets an equal share."""
        window = _window(step)
        if window.dilation != (1, 1):
            raise ExpandError("a dilated max pool lies between: it cannot be multiplied out")
        return _spread(behind, window)


class Filtering(Windows):
    """A fixed filter over windows, as one that blurs before rows and columns are left out."""

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Every position of a window gets the filter's share."""
        window, channels = _window(step), behind.kernel.shape[1]
        fixed = behind.kernel.new_tensor(step.attrs["kernel"])[None, None]
        fixed = dilated(fixed, window.dilation).expand(channels, -1, -1, -1)
        stride = pair(step.attrs["stride"])
        wide = F.conv_transpose2d(behind.kernel, fixed, stride=stride, groups=channels)
        return behind.widened(wide, stride, window.padding)


class WholeMap(Geometry):
    """A pool over the whole map to one number without a position, or to a grid of windows."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """As through windows that tile the map."""
        window = (before[0] / after[0], before[1] / after[1])
        return field.through(Window(window, window))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """One number reads no position; a grid spreads evenly over its windows."""
        after = tuple(step.attrs.get("output_size", (1, 1)))
        if after == (1, 1):
            return replace(behind, origin=(0, 0))
        if after == before:
            return behind
        if any(length % parts for length, parts in zip(before, after, strict=True)):
            raise ExpandError(
                f"a pool from {before} to {after} has uneven windows: it cannot be multiplied out"
            )
        window = (before[0] // after[0], before[1] // after[1])
        return _spread(behind, Window(window, window))


class Padding(Geometry):
    """Rows and columns around the map."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The first unit lies outside the map."""
        top, left = _padding(step)
        start = (field.start[0] - field.jump[0] * top, field.start[1] - field.jump[1] * left)
        return replace(field, start=start)

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """The same kernel, reading further up and left."""
        top, left = _padding(step)
        return replace(behind, origin=(behind.origin[0] - top, behind.origin[1] - left))


class Slicing(Geometry):
    """A range of rows or of columns."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """Later by the range's start, coarser by its step."""
        axis = step.attrs["dim"] - 2
        jump, start = list(field.jump), list(field.start)
        start[axis] += jump[axis] * step.attrs["start"]
        jump[axis] *= step.attrs["step"]
        return replace(field, jump=_two(jump), start=_two(start))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """The kernel with gaps for what the range leaves out."""
        axis, skip = step.attrs["dim"] - 2, step.attrs["step"]
        origin = list(behind.origin)
        origin[axis] = origin[axis] * skip + step.attrs["start"]
        kernel = behind.kernel
        if skip > 1:
            kernel = dilated(kernel, (skip, 1) if axis == 0 else (1, skip))
        return replace(behind, kernel=kernel, origin=(origin[0], origin[1]))


class Resizing(Geometry):
    """Upsampling to another size."""

    def field(self, step: Step, field: FieldGeometry, before: Size, after: Size) -> FieldGeometry:
        """The same fields, on a finer grid."""
        jump, start = list(field.jump), list(field.start)
        for axis in (0, 1):
            ratio = before[axis] / after[axis]
            start[axis] += jump[axis] * (ratio - 1) / 2
            jump[axis] *= ratio
        return replace(field, jump=_two(jump), start=_two(start))

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
        for axis in (0, 1):
            if 2 + axis in step.attrs["dims"]:
                start[axis] += jump[axis] * (before[axis] - 1)
                jump[axis] = -jump[axis]
        return replace(field, jump=_two(jump), start=_two(start))

    def back(self, step: Step, behind: ExpandedKernel, before: Size) -> ExpandedKernel:
        """Refused: the kernel differs from position to position."""
        raise ExpandError("a mirrored map lies between: it cannot be multiplied out")


def pair(value: Any) -> tuple[int, int]:
    """Vertical and horizontal size of an argument that may be one number for both."""
    sizes = [value] if isinstance(value, int) else list(value)
    return int(sizes[0]), int(sizes[-1])


def dilated(kernel: Tensor, dilation: Size) -> Tensor:
    """Kernels ``(..., kh, kw)`` with zeros between their rows and columns."""
    height, width = ((size - 1) * d + 1 for size, d in zip(kernel.shape[2:], dilation, strict=True))
    spread = kernel.new_zeros(*kernel.shape[:2], height, width)
    spread[:, :, :: dilation[0], :: dilation[1]] = kernel
    return spread


def _two(values: Sequence[float]) -> tuple[float, float]:
    return values[0], values[1]


def _window(step: Step) -> Window:
    padding, dilation = step.attrs.get("padding", 0), step.attrs.get("dilation", 1)
    kernel, stride = step.attrs["kernel_size"], step.attrs["stride"]
    return Window(pair(kernel), pair(stride), pair(padding), pair(dilation))


def _padding(step: Step) -> tuple[int, int]:
    """Rows above and columns to the left."""
    left, _, top, _ = (*step.attrs["pad"], 0, 0)[:4]
    return top, left


def _spread(behind: ExpandedKernel, window: Window) -> ExpandedKernel:
    """Back through a pool: every position of its window gets an equal share."""
    height, width = (int(length) for length in window.kernel)
    stride = (int(window.stride[0]), int(window.stride[1]))
    channels = behind.kernel.shape[1]
    even = behind.kernel.new_full((channels, 1, height, width), 1 / (height * width))
    wide = F.conv_transpose2d(behind.kernel, even, stride=stride, groups=channels)
    return behind.widened(wide, stride, window.padding)
