"""Which tensors of a checkpoint are a network's: names with something before or between.

Training code wraps networks: `module.` (DataParallel), `_orig_mod.` (torch.compile), `model.`
(Lightning), dictionaries in dictionaries. All of that stands before a network's own names, or is
one word between them. `fits` lists every place at which names of the network are found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeVar

from torch import Tensor

from circuitome.extract.models.checkpoints import Entry

__all__ = ["Fit", "fits", "is_counter"]

_WRAPPERS: Final = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
)
_COUNTERS: Final = ("num_batches_tracked", "n_averaged", "total_ops", "total_params")
"""Counters beside weights: of batch norm (absent from older files), of SWA, of profilers."""
_MOST_WORDS: Final = 32  # words between names that are tried

_MOST_PLACES: Final = 64  # places that are looked at, if no more is found at any other

_Expected = Mapping[str, Tensor]
Key = TypeVar("Key")


def is_counter(name: str) -> bool:
    """Whether a tensor of that name is no weight, and may be absent or left over."""
    return name.rpartition(".")[2] in _COUNTERS


@dataclass(frozen=True, slots=True)
class Fit:
    """A place of a checkpoint, and the tensors there that have a network's names."""

    place: str
    """What stands before the names, without wrappers and the last dot."""
    found: Mapping[str, Entry]
    """By the network's names, whatever the shapes."""
    missing: tuple[str, ...]
    """Names of the network that are not there."""
    misfits: tuple[str, ...]
    """Names of the network that have another shape there."""
    unknown: tuple[str, ...]
    """Names there that the network does not have."""
    left: int
    """Tensors of the same dictionary that stand under another prefix."""

    @property
    def is_whole(self) -> bool:
        """Whether it is the network's, every name and shape."""
        return not (self.missing or self.misfits or self.unknown)

    @property
    def right(self) -> int:
        """Tensors with the name and the shape of one of the network's."""
        return len(self.found) - len(self.misfits)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A way to read names: words that are passed over, and what the network's names begin with
    that the file's do not.
    """

    words: frozenset[str]
    lead: str = ""


def fits(expected: _Expected, entries: Sequence[Entry]) -> list[Fit]:
    """The places at which a network's names are found, by the simplest way to read them.

    If whole ones are found, these alone; else the nearest, the best first.

    Args:
        expected: the network's tensors by name.
        entries: those of the checkpoint.

    Example:
        >>> from circuitome.extract.models.checkpoints import entries_of
        >>> import torch
        >>> state = {"weight": torch.zeros(3)}
        >>> [fit.place for fit in fits(state, entries_of({"net": state}))]
        ['net']
    """
    nearest: list[Fit] = []
    for reading in _readings(expected, entries):
        found = _read(expected, entries, reading)
        if whole := [fit for fit in found if fit.is_whole]:
            return whole
        nearest = _better(nearest, found)
    return nearest


def _better(old: list[Fit], new: list[Fit]) -> list[Fit]:
    most = max((fit.right for fit in old), default=0)
    return new if max((fit.right for fit in new), default=0) > most else old or new


def _readings(expected: _Expected, entries: Sequence[Entry]) -> Iterator[_Reading]:
    leads = _leads(expected)
    for words in (frozenset[str](), _WRAPPERS):
        yield from (_Reading(words, lead) for lead in leads)
    own = {word for name in expected for word in name.split(".")}
    words = Counter(word for entry in entries for word in set(entry.name.split(".")) - own)
    for word, _ in words.most_common(_MOST_WORDS):
        yield _Reading(_WRAPPERS | {word})


def _leads(expected: _Expected) -> list[str]:
    """What all names of the network begin with: nothing, a word, two words ..."""
    leads, first = [""], next(iter(expected), "")
    for end in (index for index, char in enumerate(first) if char == "."):
        if not all(name.startswith(first[: end + 1]) for name in expected):
            break
        leads.append(first[: end + 1])
    return leads


def _read(expected: _Expected, entries: Sequence[Entry], reading: _Reading) -> list[Fit]:
    """The places where most of the names are, read in one way; none if that mixes names up."""
    names = _plain({name: name.removeprefix(reading.lead) for name in expected}, reading)
    paths = _plain({number: entry.path for number, entry in enumerate(entries)}, reading)
    if names is None or paths is None:
        return []
    places: dict[str, dict[str, int]] = {}
    depth = max((name.count(".") for name in names), default=0) + 1
    for path, number in paths.items():
        words = path.split(".")
        for cut in range(max(0, len(words) - depth), len(words)):
            name = names.get(".".join(words[cut:]))
            if name is not None:
                places.setdefault(".".join(words[:cut]), {})[name] = number
    most = _fullest(expected, entries, places)
    return [
        _fit(expected, entries, paths, _Where(place, places[place], _deeper(place, most)))
        for place in most
    ]


def _deeper(place: str, others: Sequence[str]) -> tuple[str, ...]:
    """How names begin that stand below a place, and are another place's."""
    start = f"{place}." if place else ""
    return tuple(f"{other}." for other in others if other != place and other.startswith(start))


@dataclass(frozen=True, slots=True)
class _Where:
    """A place, and the numbers of the entries there by the network's names."""

    place: str
    numbers: Mapping[str, int]
    deeper: tuple[str, ...]


def _plain(names: Mapping[Key, str], reading: _Reading) -> dict[str, Key] | None:
    """Names without the words that are passed over; None if two become one."""
    plain = {
        ".".join(word for word in name.split(".") if word not in reading.words): key
        for key, name in names.items()
    }
    return plain if len(plain) == len(names) else None


def _fullest(
    expected: _Expected, entries: Sequence[Entry], places: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """The places with the most tensors of the right name and shape."""
    right = {
        place: sum(entries[number].tensor.shape == expected[name].shape for name, number in found)
        for place, found in ((place, found.items()) for place, found in places.items())
    }
    most = max(right.values(), default=0)
    return [place for place, count in right.items() if count == most][:_MOST_PLACES]


def _fit(
    expected: _Expected,
    entries: Sequence[Entry],
    paths: Mapping[str, int],
    where: _Where,
) -> Fit:
    """A place and what is there; ``paths`` are the entries' plain ones."""
    found = {name: entries[where.numbers[name]] for name in expected if name in where.numbers}
    beside = _beside(entries, paths, where, {entry.place for entry in found.values()})
    under = list(_under(where, beside))
    return Fit(
        where.place,
        found,
        missing=tuple(name for name in expected if name not in found and not is_counter(name)),
        misfits=tuple(
            name for name, entry in found.items() if entry.tensor.shape != expected[name].shape
        ),
        unknown=tuple(name for name in under if not is_counter(name)),
        left=len(beside) - len(under),
    )


def _beside(
    entries: Sequence[Entry], paths: Mapping[str, int], where: _Where, holders: Set[str]
) -> list[str]:
    """Paths of the tensors in the same dictionaries that a place leaves."""
    taken = set(where.numbers.values())
    return [
        path
        for path, number in paths.items()
        if number not in taken and entries[number].place in holders
    ]


def _under(where: _Where, paths: Iterable[str]) -> Iterator[str]:
    """Names of those paths that stand under a place itself."""
    start = f"{where.place}." if where.place else ""
    for path in paths:
        if path.startswith(start) and not path.startswith(where.deeper or ("\0",)):
            yield path.removeprefix(start)
