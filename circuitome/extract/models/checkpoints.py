"""Checkpoints as tensors by dotted names: what training code nests is laid flat.

`entries_of` lists every tensor of a checkpoint with its place in it, and `multiplied_out` makes
plain weights of those that pruning and weight norm had split in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

__all__ = ["Entry", "entries_of", "multiplied_out", "places_of"]

_DEEPEST: Final = 16  # dictionaries in dictionaries
_PARAMETRISED: Final = "parametrizations."


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One tensor of a checkpoint."""

    place: str
    """Keys of the dictionaries that lead to it, with dots; empty: the file itself is a state
    dict."""
    name: str
    """Its name there."""
    tensor: Tensor

    @property
    def path(self) -> str:
        """Place and name, with a dot."""
        return f"{self.place}.{self.name}" if self.place else self.name


def entries_of(content: object) -> list[Entry]:
    """Every tensor in nested dictionaries and lists, in their order.

    Each of these is looked into once, and none that lies deeper than 16 others.

    >>> content = {"epoch": 3, "ema": {"conv.weight": torch.zeros(2)}}
    >>> [entry.path for entry in entries_of(content)]
    ['ema.conv.weight']
    """
    entries: list[Entry] = []
    seen: set[int] = set()
    waiting = [("", 0, content)]
    while waiting:
        place, depth, holder = waiting.pop()
        if id(holder) in seen or depth > _DEEPEST:
            continue
        seen.add(id(holder))
        inner = []
        for name, value in _members(holder):
            if isinstance(value, Tensor):
                entries.append(Entry(place, name, value))
            elif isinstance(value, (Mapping, list, tuple)):
                inner.append((f"{place}.{name}" if place else name, depth + 1, value))
        waiting += reversed(inner)
    return entries


def _members(holder: object) -> Iterator[tuple[str, object]]:
    if isinstance(holder, Mapping):
        members: Iterable[tuple[object, object]] = holder.items()
    elif isinstance(holder, (list, tuple)):
        members = enumerate(holder)
    else:
        return
    for name, value in members:
        if isinstance(name, (str, int)):
            yield str(name), value


def places_of(entries: Iterable[Entry]) -> dict[str, int]:
    """The places that hold tensors, and how many each; the fullest first."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.place] = counts.get(entry.place, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def multiplied_out(
    entries: Sequence[Entry], own: Iterable[str]
) -> tuple[list[Entry], dict[str, int]]:
    """Plain weights in place of those that a training tool keeps as two tensors.

    ``weight_orig`` and ``weight_mask`` (`torch.nn.utils.prune`) are multiplied; ``weight_g`` and
    ``weight_v``, or ``parametrizations.weight.original0`` and ``original1`` (weight norm), are
    length and direction.

    Args:
        own: names of the network that is to get them; such as it has itself are left alone.

    Returns:
        The entries, and how many weights were made by each way.
    """
    known = set(own)
    by_path = {entry.path: entry for entry in entries}
    made: dict[str, Entry] = {}
    used: set[str] = set()
    ways: dict[str, int] = {}
    for entry in entries:
        for way in _WAYS:
            pair = way.partner(entry)
            other = by_path.get(pair.other) if pair else None
            if pair is None or other is None or any(_is_part(name, way) for name in known):
                continue
            tensor = way.joined(entry.tensor, other.tensor)
            if tensor is not None:
                made[entry.path] = Entry(entry.place, pair.name, tensor)
                used.add(other.path)
                ways[way.said] = ways.get(way.said, 0) + 1
    plain = [made.get(entry.path, entry) for entry in entries if entry.path not in used]
    return plain, ways


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str  # of the plain weight
    other: str  # path of the second tensor


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to keep a weight as two tensors."""

    first: str
    second: str
    said: str

    def partner(self, entry: Entry) -> _Pair | None:
        """The plain weight's name and the second tensor's path, if this is the first tensor."""
        if not entry.name.endswith(self.first):
            return None
        stem = entry.name.removesuffix(self.first)
        other = entry.path.removesuffix(self.first) + self.second
        before, _, parameter = stem.rpartition(_PARAMETRISED)
        return _Pair(before + parameter if self.first.startswith(".") else stem, other)

    def joined(self, first: Tensor, second: Tensor) -> Tensor | None:
        """The plain weight; None if the two do not belong together."""
        if not (first.is_floating_point() and first.layout == torch.strided):
            return None
        if self.said == "pruning masks":
            return first * second if first.shape == second.shape else None
        return _with_length(second, first)


def _with_length(direction: Tensor, length: Tensor) -> Tensor | None:
    """The directions ``(out, in, ...)``, each scaled to its length ``(out, 1, ...)``."""
    if length.dim() not in (0, direction.dim()):
        return None
    sizes = zip(length.shape, direction.shape, strict=False)
    if any(size not in (1, whole) for size, whole in sizes):
        return None
    over = [axis for axis, size in enumerate(length.shape) if size == 1]
    axes = over if length.dim() else list(range(direction.dim()))
    return direction * (length / torch.linalg.vector_norm(direction, dim=axes, keepdim=True))


def _is_part(name: str, way: _Way) -> bool:
    return name.endswith((way.first, way.second))


_WAYS: Final = (
    _Way("_orig", "_mask", "pruning masks"),
    _Way("_g", "_v", "weight norm"),
    _Way(".original0", ".original1", "weight norm"),
)
