"""Layouts: which dimension of a tensor holds the batch, the channels, the rows and the columns.

A dimension is a tuple of *axes*, outermost first: ``(("N",), ("C",), ("H",), ("W",))`` is the usual
image batch, ``(("N",), ("C", "H", "W"))`` the same flattened. Axes of size one are left out, so an
empty tuple is a dimension of size one. A view may split the channels (channel shuffle): then they
are the axes ``C0``, ``C1`` ... until they meet again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Layout", "LayoutError"]

Dims = tuple[tuple[str, ...], ...]


class LayoutError(ValueError):
    """A view that mixes or splits axes in a way that channels cannot be followed through."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Meaning of a tensor's dimensions."""

    dims: Dims  # the axes of each dimension, outermost first
    sizes: Mapping[str, int]  # size of every axis that occurs

    @classmethod
    def image(cls, shape: Sequence[int]) -> Layout:
        """The usual layout of ``(N, C)``, ``(N, C, H, W)`` tensors."""
        names = ("N", "C", "H", "W")[: len(shape)]
        sizes = {name: int(size) for name, size in zip(names, shape, strict=True) if size != 1}
        return cls(tuple((name,) if name in sizes else () for name in names), sizes)

    @property
    def channel_axes(self) -> tuple[str, ...]:
        """The axes that hold channels, in the order in which channels are numbered."""
        return tuple(
            sorted((axis for axis in self.sizes if axis[0] == "C"), key=lambda axis: axis[1:])
        )

    @property
    def channels(self) -> int:
        """Number of channels."""
        return prod(self.sizes[axis] for axis in self.channel_axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(prod(self.sizes[axis] for axis in dim) for dim in self.dims)

    @property
    def space(self) -> tuple[int, int]:
        """Height and width."""
        return self.sizes.get("H", 1), self.sizes.get("W", 1)

    @property
    def is_image(self) -> bool:
        """Whether this is ``(N, C, H, W)``."""
        names = ("N", "C", "H", "W")
        return len(self.dims) == 4 and all(
            dim in ((name,), ()) for dim, name in zip(self.dims, names, strict=True)
        )

    def axis_of(self, dim: int) -> str:
        """The one axis of a dimension; ``C`` where the only channel has size one; `LayoutError`
        for a merged one.
        """
        axes = self.dims[dim]
        if len(axes) == 1:
            return axes[0]
        if not axes and self.channels == 1:
            return "C"
        raise LayoutError(f"dimension {dim} holds {'x'.join(axes) or 'nothing'}")

    def with_channels(self, channels: int, dim: int) -> Layout:
        """The same with another number of (unsplit) channels in dimension ``dim``."""
        sizes = {axis: size for axis, size in self.sizes.items() if axis[0] != "C"}
        if channels != 1:
            sizes["C"] = channels
        dims = [tuple(axis for axis in axes if axis[0] != "C") for axes in self.dims]
        dims[dim] = ("C",) if channels != 1 else ()
        return Layout(tuple(dims), sizes)

    def with_space(self, height: int, width: int) -> Layout:
        """The same image layout with another height and width."""
        sizes = {axis: size for axis, size in self.sizes.items() if axis not in "HW"}
        sizes |= {axis: size for axis, size in (("H", height), ("W", width)) if size != 1}
        dims = list(self.dims)
        for dim, axis in ((2, "H"), (3, "W")):
            dims[dim] = (axis,) if axis in sizes else ()
        return Layout(tuple(dims), sizes)

    def without(self, dropped: Collection[str]) -> Layout:
        """The same dimensions without some axes: each becomes one of size one."""
        dims = [tuple(axis for axis in dim if axis not in dropped) for dim in self.dims]
        sizes = {axis: size for axis, size in self.sizes.items() if axis not in dropped}
        return Layout(tuple(dims), sizes)

    def permute(self, order: Sequence[int]) -> Layout:
        """Dimensions in another order."""
        return Layout(tuple(self.dims[dim] for dim in order), self.sizes)

    def reshape(self, shape: Sequence[int]) -> Layout:
        """The layout after a view as ``shape``; only channel axes may be split."""
        axes = [(axis, self.sizes[axis]) for dim in self.dims for axis in dim]
        dims: list[list[tuple[str, int]]] = []
        for target in shape:
            dim: list[tuple[str, int]] = []
            rest = int(target)
            while rest > 1:
                if not axes:
                    raise LayoutError(
                        f"a view of {self.shape} as {tuple(shape)} does not keep its axes"
                    )
                axis, size = axes.pop(0)
                if rest % size == 0:
                    dim.append((axis, size))
                    rest //= size
                elif size % rest == 0 and axis[0] == "C":
                    dim.append((axis + "0", rest))
                    axes.insert(0, (axis + "1", size // rest))
                    rest = 1
                else:
                    raise LayoutError(f"a view of {self.shape} as {tuple(shape)} splits {axis}")
            dims.append(dim)
        if axes:
            raise LayoutError(f"a view of {self.shape} as {tuple(shape)} loses {axes[0][0]}")
        sizes = {axis: size for dim in dims for axis, size in dim}
        return Layout(tuple(tuple(axis for axis, _ in dim) for dim in dims), sizes)

    def merge(self) -> tuple[Layout, np.ndarray]:
        """Join split channel axes that stand together in one dimension.

        Returns the layout and, for every channel of the new numbering, its old number ``(C,)``.
        """
        axes = self.channel_axes
        order = np.arange(self.channels)
        if axes in ((), ("C",)):
            return self, order
        homes = [place for place, dim in enumerate(self.dims) if set(dim) & set(axes)]
        dim = self.dims[homes[0]]
        first = next(place for place, axis in enumerate(dim) if axis in axes)
        now = dim[first : first + len(axes)]
        if len(homes) > 1 or set(now) != set(axes):
            return self, order
        cube = order.reshape([self.sizes[axis] for axis in axes])
        order = cube.transpose([axes.index(axis) for axis in now]).reshape(-1)
        dims = list(self.dims)
        dims[homes[0]] = (*dim[:first], "C", *dim[first + len(axes) :])
        sizes = {axis: size for axis, size in self.sizes.items() if axis not in axes}
        return Layout(tuple(dims), sizes | {"C": len(order)}), order

    def canonical(self, tensor: Tensor) -> Tensor:
        """A tensor of this layout, be its batch of another size, as ``(N, C, H, W)``; needs
        unsplit channels.
        """
        sizes = {**self.sizes, "N": -1}
        axes = [axis for dim in self.dims for axis in dim]
        spread = tensor.reshape([sizes[axis] for axis in axes])
        names = [axis for axis in ("N", "C", "H", "W") if axis in axes]
        spread = spread.permute([axes.index(axis) for axis in names])
        return spread.reshape([sizes.get(axis, 1) for axis in ("N", "C", "H", "W")])
