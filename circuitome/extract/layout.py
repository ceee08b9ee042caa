"""Layouts: which dimension of a tensor holds the batch, the channels, the rows and the columns.

A dimension is a tuple of *axes*, outermost first: ``(("N",), ("C",), ("H",), ("W",))`` is the usual
image batch, ``(("N",), ("C", "H", "W"))`` the same flattened. Axes of size one are left out, so an
empty tuple is a dimension of size one. A view may split the channels (channel shuffle): then they
are the axes ``C0``, ``C1`` ... until they meet again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from circuitome.extract.spatial import MAPS, axes_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Layout", "LayoutError"]

Dims = tuple[tuple[str, ...], ...]
Axes = deque[tuple[str, int]]
"""Names and sizes."""


class LayoutError(ValueError):
    """A view that mixes or splits axes in a way that channels cannot be followed through."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Meaning of a tensor's dimensions."""

    dims: Dims  # the axes of each dimension, outermost first
    sizes: Mapping[str, int]  # size of every axis that occurs
    rank: int = MAPS  # spatial axes of the network: `circuitome.extract.spatial`

    @classmethod
    def image(cls, shape: Sequence[int], rank: int = MAPS) -> Layout:
        """The usual layout of ``(N, C)``, ``(N, C, W)``, ``(N, C, H, W)`` tensors, and in a network
        of volumes of ``(N, C, D, H, W)``.
        """
        names = ("N", "C", *axes_of(rank)[rank + 2 - len(shape) :])
        sizes = {name: int(size) for name, size in zip(names, shape, strict=True) if size != 1}
        return cls(tuple((name,) if name in sizes else () for name in names), sizes, rank)

    @property
    def channel_axes(self) -> tuple[str, ...]:
        """The axes that hold channels, in the order in which channels are numbered."""
        return tuple(sorted(axis for axis in self.sizes if axis[0] == "C"))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._size(self.channel_axes)

    @property
    def channel_dims(self) -> list[int]:
        """The dimensions that hold channels."""
        return [place for place, dim in enumerate(self.dims) if {*dim} & {*self.channel_axes}]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return tuple(map(self._size, self.dims))

    def _size(self, axes: Sequence[str]) -> int:
        return prod(self.sizes[axis] for axis in axes)

    @property
    def space(self) -> tuple[int, ...]:
        """Height and width, before them the depth in a network of volumes."""
        return tuple(self.sizes.get(axis, 1) for axis in axes_of(self.rank))

    @property
    def image_axes(self) -> list[str]:
        """The axes in the order of ``(N, C, D, H, W)``, channels in that of their numbers."""
        held = {axis for dim in self.dims for axis in dim}
        return [axis for axis in ("N", *self.channel_axes, *axes_of(self.rank)) if axis in held]

    @property
    def is_image(self) -> bool:
        """Whether this is ``(N, C, W)``, ``(N, C, H, W)`` or ``(N, C, D, H, W)``."""
        axes = len(self.dims) - 2
        if not 1 <= axes <= self.rank:
            return False
        names = ("N", "C", *axes_of(axes))
        return all(dim in ((name,), ()) for dim, name in zip(self.dims, names, strict=True))

    def place_of(self, axis: str) -> int:
        """The dimension of a spatial axis in `canonical` tensors."""
        return 2 + axes_of(self.rank).index(axis)

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
        bare = self.without(self.channel_axes)
        if channels == 1:
            return bare._with_dims({dim: ()})
        return bare._with_dims({dim: ("C",)}, {"C": channels})

    def with_space(self, space: Sequence[int]) -> Layout:
        """The same image layout with other lengths of its axes."""
        names = axes_of(len(space))
        sizes = {axis: size for axis, size in zip(names, space, strict=True) if size != 1}
        own = names[self.rank + 2 - len(self.dims) :]
        dims = {2 + place: (axis,) if axis in sizes else () for place, axis in enumerate(own)}
        return self.without(names)._with_dims(dims, sizes)

    def _with_dims(
        self, dims: Mapping[int, tuple[str, ...]], sizes: Mapping[str, int] | None = None
    ) -> Layout:
        """The same but for the axes of some dimensions; sizes of new ones are added."""
        changed = tuple(dims.get(place, axes) for place, axes in enumerate(self.dims))
        return replace(self, dims=changed, sizes={**self.sizes, **(sizes or {})})

    def without(self, dropped: Collection[str]) -> Layout:
        """The same dimensions without some axes: each becomes one of size one."""

        def kept(dim: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(axis for axis in dim if axis not in dropped)

        sizes = {axis: size for axis, size in self.sizes.items() if axis not in dropped}
        return replace(self, dims=tuple(map(kept, self.dims)), sizes=sizes)

    def dropped(self, places: Collection[int]) -> Layout:
        """Without some dimensions, all of size one."""
        dims = [dim for place, dim in enumerate(self.dims) if place not in places]
        return replace(self, dims=tuple(dims))

    def permute(self, order: Sequence[int]) -> Layout:
        """Dimensions in another order."""
        return replace(self, dims=tuple(self.dims[dim] for dim in order))

    def reshape(self, shape: Sequence[int]) -> Layout:
        """The layout after a view as ``shape``; only channel axes may be split."""
        view = f"a view of {self.shape} as {tuple(shape)}"
        axes = deque((axis, self.sizes[axis]) for dim in self.dims for axis in dim)
        taken = [_taken(axes, int(size), view) for size in shape]
        if axes:
            raise LayoutError(f"{view} loses {axes[0][0]}")
        sizes: dict[str, int] = {}
        for dim in taken:
            sizes |= dim
        return replace(self, dims=tuple(map(tuple, taken)), sizes=sizes)

    def merge(self) -> tuple[Layout, np.ndarray]:
        """Join split channel axes that stand together in one dimension.

        Returns the layout and, for every channel of the new numbering, its old number ``(C,)``.
        """
        axes, order = self.channel_axes, np.arange(self.channels)
        home = self._home_of(axes)
        if axes in ((), ("C",)) or home is None:
            return self, order
        place, first = home
        dim, stop = self.dims[place], first + len(axes)
        cube = order.reshape([self.sizes[axis] for axis in axes])
        order = cube.transpose([axes.index(axis) for axis in dim[first:stop]]).reshape(-1)
        dims = {place: (*dim[:first], "C", *dim[stop:])}
        return self.without(axes)._with_dims(dims, {"C": len(order)}), order

    def _home_of(self, axes: Sequence[str]) -> tuple[int, int] | None:
        """The dimension and the place in it where axes stand together, in whatever order."""
        for place, dim in enumerate(self.dims):
            for first in range(len(dim)):
                if set(dim[first : first + len(axes)]) == set(axes):
                    return place, first
        return None

    def canonical(self, tensor: Tensor) -> Tensor:
        """A tensor of this layout, be its batch of another size, as ``(N, C, H, W)``, or
        ``(N, C, D, H, W)`` in a network of volumes.
        """
        sizes = {**self.sizes, "N": -1}
        axes = [axis for dim in self.dims for axis in dim]
        spread = tensor.reshape([sizes[axis] for axis in axes])
        names = self.image_axes
        spread = spread.permute([axes.index(axis) for axis in names])
        batch = -1 if "N" in axes else 1
        return spread.reshape(batch, self.channels, *self.space)


def _taken(axes: Axes, size: int, view: str) -> dict[str, int]:
    """Take the next axes that make up a dimension of ``size``; channels may be split."""
    taken: dict[str, int] = {}
    while size > 1:
        if not axes:
            raise LayoutError(f"{view} does not keep its axes")
        axis, length = axes.popleft()
        if size % length == 0:
            taken[axis] = length
            size //= length
        elif length % size == 0 and axis[0] == "C":
            taken[axis + "0"] = size
            axes.appendleft((axis + "1", length // size))
            break
        else:
            raise LayoutError(f"{view} splits {axis}")
    return taken
