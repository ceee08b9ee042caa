"""Families: neurons of a layer that are one feature up to transforms, whose relations compose.

Greedy synchronisation. Seeds are the triples with the largest mean excess. Then, again and again,
that neuron joins, at that offset, whose mean score with all members at the differences of their
offsets is largest, as long as this is nearer to what members have among them than to what chance
has on surrogate layers. Every score between members is used, not chains of neighbours, so that
errors do not add up. Offsets are then fitted jointly by least squares on the group. The whole
procedure runs on every surrogate layer too, and a family is held against the strongest family of
each.

Whether a family is more than chance is asked over all layers and groups of a network together
(`significance`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np

from circuitome.extract.annotate.offsets import closure, fit_offsets, gaps
from circuitome.extract.annotate.pairs import GroupScores, ScoresError, baseline

__all__ = ["Found", "find_families", "null_strengths", "strongest"]

FINE = 3  # places for one step of a circular group where a member may stand while a family grows
PARTNERS = 16  # of every neuron, among which seeds are looked for
SEEDS = 48  # seeds that are grown in one round
LEAST_ROOM = 0.05
"""A mean room above the baselines of less than this counts as this: nothing can be told there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A family of one layer."""

    group: str
    members: np.ndarray
    """``(k,)`` channels, rising."""
    offsets: np.ndarray
    """``(k,)`` degrees, octaves, or 0 and 1; 0 for the first member."""
    offset_sd: np.ndarray
    """``(k,)`` standard errors, against the mean of the family; NaN if nothing is left to judge by.
    """
    period: float | None
    """Offsets come round after this: 360, or less if the feature is symmetric (180 for a line)."""
    closure: float
    """Share of the triangles whose best amounts compose within one step; NaN without triangles."""
    score: float
    """Mean score of the pairs at the differences of their offsets."""
    strength: float
    """Share of the room above their baselines that the pairs fill, times (size - 1)."""
    gaps: np.ndarray
    """``(g,)`` offsets at which the spacing of the members suggests a member and none is."""

    def to_json(self) -> dict[str, str | float | list[float] | None]:
        """Plain data for a record, by the names of the fields."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """From what `to_json` gives; records of earlier versions have no ``period``."""
        values: dict[str, Any] = {"period": None, **data}
        for name, value in data.items():
            if isinstance(value, list):
                values[name] = np.array(value)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Scores of one layer at every difference of offsets that was looked at: both signs and
    none.
    """

    step: float  # from one difference to the next
    cyclic: bool  # differences 0, step, 2 step ... round the circle; otherwise from -L to L steps
    fine: int  # places a step where a member may stand
    scores: np.ndarray  # (d, C, C)
    excess: np.ndarray  # (d, C, C) over the baseline
    room: np.ndarray  # (d, C, C) from the baseline to 1: how much a pair can tell

    @property
    def size(self) -> int:
        """Neurons."""
        return self.scores.shape[1]

    @property
    def zero(self) -> int:
        """Place of no difference."""
        return 0 if self.cyclic else len(self.scores) // 2


def _grid(scores: GroupScores, layer: np.ndarray, plain: np.ndarray) -> _Grid:
    step, count = float(scores.amounts[0]), len(scores.amounts)
    if not np.allclose(scores.amounts, step * np.arange(1, count + 1)):
        raise ScoresError(
            f"amounts {list(scores.amounts)} of group {scores.group} are not equally spaced from 0 "
            "on"
        )
    cyclic = scores.period is not None or scores.involution
    places = 2 if scores.involution else round((scores.period or 0) / step)
    if cyclic and places not in (2 * count, 2 * count + 1):
        raise ScoresError(
            f"amounts {list(scores.amounts)} of group {scores.group} do not reach half of "
            f"{scores.period}"
        )
    floor = baseline(layer, plain)
    found = _both_ways(layer, plain, places=places)
    floors = _both_ways(floor, plain, places=places)
    fine = FINE if cyclic and places > 2 else 1
    return _Grid(step, cyclic, fine, found, found - floors, np.maximum(1 - floors, 0))


def _both_ways(ahead: np.ndarray, plain: np.ndarray, *, places: int) -> np.ndarray:
    """``(a, C, C)`` at positive differences to all: round a circle of ``places``, or (0 places)
    along a line.
    """
    back = ahead.transpose(0, 2, 1)
    if not places:
        return np.concatenate([back[::-1], plain[None], ahead])
    if places % 2:
        return np.concatenate([plain[None], ahead, back[::-1]])
    half = (ahead[-1:] + back[-1:]) / 2
    return np.concatenate([plain[None], ahead[:-1], half, back[:-1][::-1]])


@cache
def _finer(places: int, fine: int) -> np.ndarray:
    """Fourier interpolation on a circle, ``(places * fine, places)``."""
    waves = np.fft.rfft(np.eye(places), axis=0)
    if places % 2 == 0 and fine > 1:
        waves[-1] /= (
            2  # the fastest wave is its own mirror image, and has two once there are faster ones
        )
    return np.fft.irfft(waves, places * fine, axis=0) * fine


@dataclass(slots=True)
class _Growing:
    """A family while it grows: sums over its members, for every neuron at every place it might
    take.
    """

    grid: _Grid
    members: list[int]
    places: list[int]  # of the members, in fine steps from the first
    sums: (
        np.ndarray
    )  # (3, places, C): scores, excess weighted by room, and number of members, seen from there

    @classmethod
    def seeded(cls, grid: _Grid, members: Sequence[int], places: Sequence[int]) -> _Growing:
        """From some neurons at their places."""
        width = len(grid.scores) * grid.fine if grid.cyclic else 4 * len(grid.scores) + 1
        growing = cls(grid, [], [], np.zeros((3, width, grid.size)))
        for member, place in zip(members, places, strict=True):
            growing.add(int(member), int(place))
        return growing

    def add(self, member: int, place: int) -> None:
        """Let a neuron join at a place."""
        self.members.append(member)
        self.places.append(place)
        self._count(member, place, 1)

    def leave(self, index: int) -> None:
        """Let a member go, by its index."""
        self._count(self.members.pop(index), self.places.pop(index), -1)

    def _count(self, member: int, place: int, sign: int) -> None:
        excess, room = self.grid.excess[:, member], self.grid.room[:, member]
        seen = np.stack([self.grid.scores[:, member], room * excess, np.ones_like(excess)])
        if self.grid.cyclic:
            self.sums += sign * np.roll(_finer(len(excess), self.grid.fine) @ seen, place, 1)
            return
        first = len(self.sums[0]) // 2 + place - self.grid.zero
        if 0 <= first <= self.sums.shape[1] - len(excess):
            self.sums[:, first : first + len(excess)] += sign * seen

    def value(self) -> np.ndarray:
        """Mean score with the members ``(places, C)``, -inf where the excess towards them is
        none.
        """
        score, gain, number = self.sums
        fits = (gain > 0) & (number > 0.5)
        return np.where(fits, score / np.maximum(number, 0.5), -np.inf)

    def place(self, row: int) -> int:
        """Place of a row of the sums, in fine steps from the first member."""
        return row if self.grid.cyclic else row - self.sums.shape[1] // 2


def find_families(scores: GroupScores) -> tuple[list[Found], np.ndarray]:
    """Families of one layer under one group, strongest first, and the strength of the strongest of
    every null layer ``(S,)``.

    At least three members, two for reflections and inversion; what a typical null layer has as well
    is left out. Raises `ScoresError` where the amounts are not equally spaced or do not reach half
    of the period.
    """
    nulls = _nulls(scores)
    chance = _chance(nulls)
    grid = _grid(scores, scores.scores, scores.plain)
    typical = max(float(chance.mean()), 0.0) if len(chance) else 0.0
    found = [
        _describe(scores, grid, family) for family in _families(grid, _rows(nulls), above=typical)
    ]
    return sorted(found, key=lambda family: (-family.strength, family.members[0])), chance


def null_strengths(scores: GroupScores) -> np.ndarray:
    """Strength of the strongest family of every surrogate layer ``(S,)``."""
    return _chance(_nulls(scores))


def strongest(scores: GroupScores) -> float:
    """Strength of the strongest family of the layer, significant or not; 0 without any."""
    grid = _grid(scores, scores.scores, scores.plain)
    return _strongest(grid, _rows(_nulls(scores)))


def _nulls(scores: GroupScores) -> list[_Grid]:
    return [
        _grid(scores, *layer) for layer in zip(scores.null_scores, scores.null_plain, strict=True)
    ]


def _chance(nulls: Sequence[_Grid]) -> np.ndarray:
    """Strongest family of every surrogate layer ``(S,)``, held to the others as the real layer is
    held to all.
    """
    rows = _rows(nulls)
    return np.array([_strongest(grid, np.delete(rows, s, 0)) for s, grid in enumerate(nulls)])


def _strongest(grid: _Grid, rows: np.ndarray) -> float:
    """Strength of the strongest family, which is one of the first round; 0 without any."""
    return next(
        (_strength(grid, family) for family in _round(grid, np.ones(grid.size, bool), rows)), 0.0
    )


def _rows(nulls: Sequence[_Grid]) -> np.ndarray:
    """Best score ``(S, C, C)`` of the surrogates of every two neurons over all differences."""
    return np.array([grid.scores.max(0) for grid in nulls])


def _families(grid: _Grid, rows: np.ndarray, *, above: float) -> Iterator[_Growing]:
    """Disjoint families of a layer that are stronger than ``above``, round by round."""
    free = np.ones(grid.size, bool)
    found = True
    while found:
        found = False
        for family in _round(grid, free, rows):
            if _strength(grid, family) <= above:
                break
            if free[family.members].all():
                free[family.members] = False
                found = True
                yield family


def _round(grid: _Grid, free: np.ndarray, rows: np.ndarray) -> list[_Growing]:
    """Families of free neurons, which may overlap, the strongest first."""
    if grid.cyclic and len(grid.scores) == 2:
        grown = list(_matched(grid, free))
    else:
        grown = [_grow(seed, free, rows) for seed in _seeds(grid, free)] if free.sum() > 2 else []
    return sorted(grown, key=lambda family: -_strength(grid, family))


def _matched(grid: _Grid, free: np.ndarray) -> Iterator[_Growing]:
    """Pairs by falling excess, every neuron in one at most."""
    free = free.copy()
    excess = np.where(free & free[:, None], np.triu(grid.excess[1], 1), 0)
    pairs = np.argwhere(excess > 0)
    for i, j in pairs[np.argsort(-excess[tuple(pairs.T)], kind="stable")]:
        if free[i] and free[j]:
            free[[i, j]] = False
            yield _Growing(grid, [int(i), int(j)], [0, 1], np.zeros((3, 2, 0)))


def _seeds(grid: _Grid, free: np.ndarray) -> Iterator[_Growing]:
    """Of every free neuron the triple with the largest mean excess among its best partners; the
    best `SEEDS` of all.
    """
    numbers = np.flatnonzero(free)
    excess = grid.excess[:, numbers[:, None], numbers]
    row = excess.argmax(0)
    best = np.take_along_axis(excess, row[None], 0)[0]
    np.fill_diagonal(best, -np.inf)
    partners = np.argsort(-best, axis=1, kind="stable")[:, : min(PARTNERS, len(numbers) - 1)]
    one = np.take_along_axis(best, partners, 1)
    place = np.take_along_axis(row, partners, 1) - grid.zero
    difference = place[:, None, :] - place[:, :, None] + grid.zero
    if grid.cyclic:
        difference %= len(excess)
    known = (difference >= 0) & (difference < len(excess))
    third = excess[np.where(known, difference, 0), partners[:, :, None], partners[:, None, :]]
    total = one[:, :, None] + one[:, None, :] + np.where(known, third, 0)
    total[:, np.arange(partners.shape[1]), np.arange(partners.shape[1])] = -np.inf
    j, k = np.unravel_index(total.reshape(len(numbers), -1).argmax(1), total.shape[1:])
    each = np.arange(len(numbers))
    trios = np.stack([each, partners[each, j], partners[each, k]], 1)
    places = np.stack([0 * each, place[each, j], place[each, k]], 1)
    _, once = np.unique(np.sort(trios, 1), axis=0, return_index=True)
    value = total[each, j, k][once]
    for n in once[np.argsort(-value, kind="stable")[:SEEDS]]:
        yield _Growing.seeded(grid, numbers[trios[n]].tolist(), (places[n] * grid.fine).tolist())


def _grow(family: _Growing, free: np.ndarray, rows: np.ndarray) -> _Growing:
    """Let neurons join while they are nearer to the members than to chance, then let go those that
    are not.
    """
    while len(family.members) < free.sum():
        value = family.value()
        value[:, ~free] = -np.inf
        value[:, family.members] = -np.inf
        row, neuron = np.unravel_index(value.argmax(), value.shape)
        if not value[row, neuron] > _bar(family, rows, _own_scores(family)):
            break
        family.add(int(neuron), family.place(int(row)))
    while len(family.members) > 3:
        own = _own_scores(family)
        worst = int(own.argmin())
        if not own[worst] < _bar(family, rows, np.delete(own, worst)):
            break
        family.leave(worst)
    return family


def _own_scores(family: _Growing) -> np.ndarray:
    """Mean score of every member with the others at the differences of their places ``(k,)``."""
    between = _between(family.grid, family.grid.scores, family)
    np.fill_diagonal(between, np.nan)
    known = (~np.isnan(between)).sum(1)  # none, where all differences lie beyond the amounts tried
    return np.nansum(between, 1) / np.maximum(known, 1)


def _bar(family: _Growing, rows: np.ndarray, own: np.ndarray) -> float:
    """Score from which a neuron belongs: equally far, in standard deviations, from members and from
    chance.

    Members: their own mean scores, and one more at the spread of chance, since few members tell
    little. Chance: what the surrogates of members reach with those of the others. Members with a
    mean score of r have a correlation of sqrt(r) with what they share, so a neuron that is like it
    by chance with correlation c has a mean score of c sqrt(r).
    """
    if not len(rows) or len(family.members) == rows.shape[1]:
        return 0.0
    best = np.delete(rows[:, family.members], family.members, axis=2).max(2)
    shared = np.sqrt(max(own.mean(), 0))
    chance, sd = best.mean() * shared, best.std() * shared
    spread = np.sqrt((sd**2 + np.square(own - own.mean()).sum()) / len(own))
    return float((chance * spread + own.mean() * sd) / max(spread + sd, 1e-9))


def _between(grid: _Grid, layer: np.ndarray, family: _Growing) -> np.ndarray:
    """Of scores or excess ``(d, C, C)``, those between members at the differences of their places
    ``(k, k)``.
    """
    members, places = np.array(family.members), np.array(family.places)
    difference = places[None, :] - places[:, None]
    part = layer[:, members[:, None], members[None, :]]
    if grid.cyclic:
        part = np.tensordot(_finer(len(layer), grid.fine), part, 1)
        return np.take_along_axis(part, difference[None] % len(part), 0)[0]
    row = difference + grid.zero
    inside = (row >= 0) & (row < len(layer))
    return np.where(inside, np.take_along_axis(part, np.where(inside, row, 0)[None], 0)[0], np.nan)


def _strength(grid: _Grid, family: _Growing) -> float:
    """How much of the room above their baselines the pairs fill, times (size - 1).

    Not the mean excess: neighbours a small turn apart have little room, and large families have
    many neighbours.
    """
    pairs = np.triu_indices(len(family.members), 1)
    excess = np.nansum(_between(grid, grid.excess, family)[pairs])
    room = np.nansum(_between(grid, grid.room, family)[pairs])
    return float(excess / max(room, LEAST_ROOM * len(pairs[0])) * (len(family.members) - 1))


def _describe(scores: GroupScores, grid: _Grid, family: _Growing) -> Found:
    """The family with its offsets fitted, members in rising order."""
    order = np.argsort(family.members)
    members = np.array(family.members)[order]
    unit = grid.step / grid.fine
    start = (np.array(family.places)[order] - family.places[order[0]]) * unit
    strength = _strength(grid, family)
    score = float(np.nanmean(_between(grid, grid.scores, family)[np.triu_indices(len(members), 1)]))
    common = (scores.group, members)
    if scores.involution:
        return Found(
            *common,
            np.array([0.0, 1.0]),
            np.full(2, np.nan),
            None,
            np.nan,
            score,
            strength,
            np.array([]),
        )
    between = grid.scores[:, members[:, None], members]
    full = scores.period
    period = None if full is None else _symmetry(between, start, step=grid.step, period=full)
    differences = _refined(grid, between, start)
    offsets, sd = fit_offsets(differences, start, period=full)
    best = (between.argmax(0) - grid.zero) * grid.step
    within = closure(best, step=grid.step, period=period)
    missing = gaps(offsets, step=grid.step, period=period)
    if period is not None:
        offsets = offsets % period
    return Found(*common, offsets, sd, period, within, score, strength, missing)


def _symmetry(between: np.ndarray, start: np.ndarray, *, step: float, period: float) -> float:
    """After which turn the members come back: the smallest fraction of the period that may be added
    to every difference.

    It may where the pairs then score as they do without, to within their spread. ``between``: ``(d,
    k, k)``.
    """
    places = len(between)
    i, j = np.triu_indices(len(start), 1)
    rows = np.round((start[j] - start[i]) / step).astype(int)
    scores = between[rows % places, i, j]
    for order in range(places // 2, 1, -1):
        if places % order == 0:
            turned = [
                between[(rows + turn) % places, i, j].mean()
                for turn in range(0, places, places // order)
            ]
            if min(turned) >= scores.mean() - scores.std():
                return period / order
    return period


def _refined(grid: _Grid, between: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Difference of offsets of every two members ``(k, k)`` at the peak of their score nearest to
    where they stand.

    A parabola through the best place within a step and its neighbours; NaN where the grid has none.
    """
    rows = np.round((start[None, :] - start[:, None]) / grid.step).astype(int)
    around = np.arange(-2, 3)[:, None, None]
    place = rows[None] + around + grid.zero
    inside = (place >= 0) & (place < len(between)) | grid.cyclic
    values = np.take_along_axis(between, np.where(inside, place, 0) % len(between), 0)
    values = np.where(inside, values, -np.inf)
    top = values[1:4].argmax(0) + 1
    left, middle, right = (
        np.take_along_axis(values, (top + shift)[None], 0)[0] for shift in (-1, 0, 1)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = (left - right) / 2 / (left - 2 * middle + right)
    shift = np.where(np.isfinite(shift) & (np.abs(shift) <= 1), shift, 0)
    return np.where(np.isfinite(middle), (rows + top - 2 + shift) * grid.step, np.nan)
