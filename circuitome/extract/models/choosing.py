"""Which of the state dicts of a checkpoint is taken, and how that is said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from circuitome.extract.models.checkpoints import Entry, multiplied_out, places_of
from circuitome.extract.models.matching import Fit, fits
from circuitome.extract.models.weights import WeightsError

__all__ = ["Choice", "choose", "names_in_words"]

_AVERAGES: Final = frozenset({"ema", "average", "averaged", "avg", "swa", "shadow"})
"""Words of a place that holds the average over steps of training."""
_ITSELF: Final = "."
"""The key of the names at the top of a file, beside dictionaries that fit as well."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The tensors that are nearest to a network's, and what to say of them."""

    fit: Fit
    instead: str
    """The place that was passed over for this one, its average; empty: there is no other."""
    ways: Mapping[str, int]
    """How many weights had been kept as two tensors, by the tool that does so."""

    def in_words(self) -> str:
        """The line that tells what was taken; empty where nothing had to be chosen."""
        said = [_tensors(len(self.fit.found)), *_renamed(self.fit)]
        said += [f"{way} multiplied out ({count})" for way, count in self.ways.items()]
        if self.fit.left:
            said.append(f"{_tensors(self.fit.left)} beside them left")
        place = _place(self.fit) if self.instead else _common_place(self.fit)
        if not place and len(said) == 1:
            return ""
        average = f" (the average; {self.instead} is there, too)" if self.instead else ""
        return f"taken: {', '.join([f'{place}{average}', *said] if place else said)}"


def choose(
    expected: Mapping[str, Tensor], entries: Sequence[Entry], *, source: str, key: str = ""
) -> Choice | None:
    """The tensors of a checkpoint that are a network's, or the nearest; None if none has a name
    of it.

    Of two whole state dicts the average is taken, if one is; copies count once.

    Args:
        key: where they stand; empty leaves the choice to the names.
        source: what the error calls the checkpoint.

    Raises:
        WeightsError: two fit equally well, or nothing stands at ``key``.
    """
    within = _within(entries, key, source=source) if key else list(entries)
    plain, ways = multiplied_out(within, expected)
    found = _without_copies(fits(expected, plain))
    found = [fit for fit in found if key and _place(fit) == key.rstrip(".")] or found
    if not found:
        return None
    if not found[0].is_whole and 2 * found[0].right < len(expected):
        return Choice(found[0], "", ways)  # another network, whose parts are equally far away
    return _one_of(found, ways, source=source)


def _one_of(found: Sequence[Fit], ways: Mapping[str, int], *, source: str) -> Choice:
    """The only fit, or of two the average."""
    averages = [fit for fit in found if _is_average(fit)]
    others = [fit for fit in found if not _is_average(fit)]
    if len(averages) == 1 and len(others) <= 1:
        return Choice(averages[0], _place(others[0]) or "one at the top" if others else "", ways)
    if len(found) > 1:
        names = [_place(fit) or _ITSELF for fit in found]
        raise WeightsError(
            f"{source}: holds {len(found)} networks that fit equally well: "
            f"{names_in_words(names)}; choose one, as in --weights {source}::{names[-1]}"
        )
    return Choice(found[0], "", ways)


def _within(entries: Sequence[Entry], key: str, *, source: str) -> list[Entry]:
    """The entries at a place, whose prefix may be a part of their names."""
    start = "" if key == _ITSELF else f"{key.rstrip('.')}."
    within = [entry for entry in entries if entry.path.startswith(start)]
    if not within:
        places = [place for place in places_of(entries) if place]
        there = f"it has tensors at {names_in_words(places)}" if places else "it is a state dict"
        raise WeightsError(f"{source}: has no tensors at {key}; {there}")
    return within


def _without_copies(found: Sequence[Fit]) -> list[Fit]:
    kept: list[Fit] = []
    for fit in found:
        if not any(_is_same(fit, other) for other in kept):
            kept.append(fit)
    return kept


def _is_same(fit: Fit, other: Fit) -> bool:
    if fit.found.keys() != other.found.keys():
        return False
    pairs = ((entry.tensor, other.found[name].tensor) for name, entry in fit.found.items())
    return all(_is_equal(one, two) for one, two in pairs)


def _is_equal(one: Tensor, two: Tensor) -> bool:
    try:
        return one is two or (one.dtype == two.dtype and torch.equal(one, two))
    except (RuntimeError, NotImplementedError):  # tensors that hold no values
        return False


def _is_average(fit: Fit) -> bool:
    return bool(_AVERAGES & set(re.split(r"[\W_]+", fit.place.lower())))


def _place(fit: Fit) -> str:
    """Where the names of a fit begin, as it can be typed behind ``FILE::``; empty: the top."""
    name, entry = next(iter(fit.found.items()))
    written = entry.path.endswith(name)
    return entry.path.removesuffix(name).rstrip(".") if written else fit.place


def _common_place(fit: Fit) -> str:
    """The dictionary that holds all tensors of a fit, or the first part of their places."""
    places = {entry.place for entry in fit.found.values()}
    return places.pop() if len(places) == 1 else fit.place


def _renamed(fit: Fit) -> list[str]:
    """What was done to the names of the file."""
    pairs = {_beginnings(entry.name, name) for name, entry in fit.found.items()}
    if len(pairs) == 1:
        written, own = pairs.pop()
        if written and own:
            return [f'prefix "{written}" replaced by "{own}"']
        removed = [f'prefix "{written}" removed'] if written else []
        return [f'prefix "{own}" added'] if own else removed
    words = {
        word
        for name, entry in fit.found.items()
        for word in set(entry.name.split(".")) - set(name.split("."))
    }
    return [f'"{word}." within names removed' for word in sorted(words)]


def _beginnings(written: str, name: str) -> tuple[str, str]:
    """What two names begin with before the words at which both end.

    >>> _beginnings("module.conv.weight", "model.conv.weight")
    ('module.', 'model.')
    """
    one, two = written.split("."), name.split(".")
    while one and two and one[-1] == two[-1]:
        one.pop()
        two.pop()
    return "".join(f"{word}." for word in one), "".join(f"{word}." for word in two)


def _tensors(count: int) -> str:
    return f"{count} tensor{'' if count == 1 else 's'}"


def names_in_words(names: Iterable[str], most: int = 8) -> str:
    """Some names between commas, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
