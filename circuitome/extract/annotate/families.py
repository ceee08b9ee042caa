"""Families: neurons of a layer that are one feature up to transforms, whose relations compose.

Greedy synchronisation. Seeds are the triples with the largest mean excess. Repeatedly add the
neuron and offset with the highest mean score to all members; stop when that score is closer to the
surrogates' than to the members' own. Every score between members is used, not chains of neighbours,
so that errors do not add up. Offsets are then fitted jointly by least squares on the group. The
whole procedure runs on every surrogate layer too, and a family is held against the strongest family
of each.

Whether a family is more than chance is asked over all layers and groups of a network together
(`significance`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NotRequired, TypeAlias, TypedDict

import numpy as np

from circuitome.extract.annotate.growing import Grid, Grown, grow
from circuitome.extract.annotate.offsets import closure, fit_offsets, gaps
from circuitome.extract.annotate.pairs import GroupScores

__all__ = ["Found", "FoundRecord", "find_families", "null_strengths", "strongest"]

PARTNERS = 16  # of every neuron, among which seeds are looked for
SEEDS = 48  # seeds that are grown in one round
TOLL = 0.5  # of what a member of a family of chance tells: paid by every member

Round: TypeAlias = list[tuple[float, Grown]]
"""Families of one layer, which may overlap, each with what one member tells of the others."""


class FoundRecord(TypedDict):
    """What `Found.to_json` gives, as a record keeps it."""

    group: str
    members: list[int]
    offsets: list[float]
    offset_sd: list[float]
    period: NotRequired[float | None]
    closure: float
    score: float
    strength: float
    gaps: list[float]


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
    """What the members tell of one another beyond those of families of chance, in nats: ``(size -
    1) (log(before / after) - toll)``, the mean room of the pairs above their baselines over what
    they leave of it, what is lost between copies (`Grid.lost`) added to both.
    """
    gaps: np.ndarray
    """``(g,)`` offsets at which the spacing of the members suggests a member and none is."""

    def to_json(self) -> dict[str, object]:
        """Plain data for a record, by the names of the fields."""
        return {each.name: np.asarray(getattr(self, each.name)).tolist() for each in fields(self)}

    @classmethod
    def from_json(cls, data: FoundRecord) -> Found:
        """From what `to_json` gives; records of earlier versions have no ``period``."""
        return cls(
            group=data["group"],
            members=np.array(data["members"]),
            offsets=np.array(data["offsets"]),
            offset_sd=np.array(data["offset_sd"]),
            period=data.get("period"),
            closure=data["closure"],
            score=data["score"],
            strength=data["strength"],
            gaps=np.array(data["gaps"]),
        )


def find_families(scores: GroupScores) -> tuple[list[Found], np.ndarray]:
    """Families of one layer under one group, strongest first, and the strength of the strongest of
    every null layer ``(S,)``.

    At least three members, two for reflections and inversion; what a typical null layer has as well
    is left out. Raises `ScoresError` where the amounts are not equally spaced or do not reach half
    of the period.
    """
    nulls = _nulls(scores)
    rounds, toll = _rounds(nulls)
    chance = np.array([_strongest(each, toll) for each in rounds])
    grid = Grid.of(scores, scores.scores, scores.plain)
    typical = float(chance.mean()) if len(chance) else 0.0
    families = _families(grid, _rows(nulls), toll=toll, above=typical)
    found = [_describe(scores, grid, family, strength) for strength, family in families]
    return sorted(found, key=lambda family: (-family.strength, family.members[0])), chance


def null_strengths(scores: GroupScores, *, held_to: int) -> np.ndarray:
    """Strength of the strongest family of every surrogate layer but the first ones ``(S -
    held_to,)``, each held to these, as the real layer is when it is searched with them alone.
    """
    nulls = _nulls(scores)
    first = nulls[:held_to]
    rows, (_, toll) = _rows(first), _rounds(first)
    return np.array([_strongest(_round(grid, rows), toll) for grid in nulls[held_to:]])


def strongest(scores: GroupScores) -> float:
    """Strength of the strongest family of the layer, significant or not; 0 without any."""
    nulls = _nulls(scores)
    grid = Grid.of(scores, scores.scores, scores.plain)
    return _strongest(_round(grid, _rows(nulls)), _rounds(nulls)[1])


def _nulls(scores: GroupScores) -> list[Grid]:
    return [
        Grid.of(scores, *layer) for layer in zip(scores.null_scores, scores.null_plain, strict=True)
    ]


def _rounds(nulls: Sequence[Grid]) -> tuple[list[Round], float]:
    """Families of every surrogate layer, held to the others as the real layer is held to all; and
    the toll of every member, half of what one of the strongest of these families tells on average.
    """
    rows = _rows(nulls)
    rounds = [_round(grid, np.delete(rows, s, 0)) for s, grid in enumerate(nulls)]
    strongest = [max(found, key=_all_told)[0] for found in rounds if found]
    return rounds, TOLL * float(np.mean(strongest)) if strongest else 0.0


def _all_told(found: tuple[float, Grown]) -> float:
    told, family = found
    return (len(family.members) - 1) * told


def _strongest(found: Round, toll: float) -> float:
    """Strength of the strongest family of a layer, which is one of the first round; 0 without
    any.
    """
    return max((_strength(each, toll) for each in found), default=0.0)


def _rows(nulls: Sequence[Grid]) -> np.ndarray:
    """Best score ``(S, C, C)`` of the surrogates of every two neurons over all differences."""
    return np.array([grid.scores.max(0) for grid in nulls])


def _families(
    grid: Grid, rows: np.ndarray, *, toll: float, above: float
) -> Iterator[tuple[float, Grown]]:
    """Disjoint families of a layer that are stronger than ``above``, with their strength, round by
    round; of families that overlap the stronger come first.
    """
    free = np.ones(grid.size, bool)
    found = True
    while found:
        found = False
        grown = [(_strength(each, toll), each[1]) for each in _round(grid, rows, free)]
        for strength, family in sorted(grown, key=lambda each: -each[0]):
            if strength > above and free[family.members].all():
                free[family.members] = False
                found = True
                yield strength, family


def _round(grid: Grid, rows: np.ndarray, free: np.ndarray | None = None) -> Round:
    """Families of free neurons (of all, unless given), which may overlap, each with what a member
    tells of the others.
    """
    free = np.ones(grid.size, bool) if free is None else free
    if grid.cyclic and len(grid.scores) == 2:
        grown = list(_matched(grid, free))
    else:
        grown = list(grow(grid, _seeds(grid, free), free, rows)) if free.sum() > 2 else []
    return [(_told(grid, family), family) for family in grown]


def _matched(grid: Grid, free: np.ndarray) -> Iterator[Grown]:
    """Pairs by falling excess, every neuron in one at most."""
    free = free.copy()
    excess = np.where(free & free[:, None], np.triu(grid.excess[1], 1), 0)
    pairs = np.argwhere(excess > 0)
    for i, j in pairs[np.argsort(-excess[tuple(pairs.T)], kind="stable")]:
        if free[i] and free[j]:
            free[[i, j]] = False
            yield Grown(np.array([i, j]), np.array([0, 1]))


def _seeds(grid: Grid, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triples of free neurons to start from, members and places ``(n, 3)``: the `SEEDS` with the
    largest excess, each once.
    """
    numbers = np.flatnonzero(free)
    trios, places, value = _triples(grid, grid.excess[:, numbers[:, None], numbers])
    _, once = np.unique(np.sort(trios, 1), axis=0, return_index=True)
    first = once[np.argsort(-value[once], kind="stable")[:SEEDS]]
    return numbers[trios[first]], places[first] * grid.fine


def _triples(grid: Grid, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every neuron the triple with the largest excess among its best partners.

    ``excess``: ``(d, n, n)``. Returns members and places ``(n, 3)`` and their excess ``(n,)``.
    """
    partners, place, own = _partners(grid, excess)
    total = own[:, :, None] + own[:, None, :] + _between_partners(grid, excess, partners, place)
    total[:, np.eye(partners.shape[1], dtype=bool)] = -np.inf
    each = np.arange(len(total))
    j, k = np.unravel_index(total.reshape(len(total), -1).argmax(1), total.shape[1:])
    trios = np.column_stack([each, partners[each, j], partners[each, k]])
    places = np.column_stack([0 * each, place[each, j], place[each, k]])
    return trios, places, total[each, j, k]


def _partners(grid: Grid, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The neurons of most excess with every neuron, their places, and that excess; ``(n, m)``
    each.
    """
    row = excess.argmax(0)
    best = np.take_along_axis(excess, row[None], 0)[0]
    np.fill_diagonal(best, -np.inf)
    partners = np.argsort(-best, axis=1, kind="stable")[:, : min(PARTNERS, len(best) - 1)]
    place = np.take_along_axis(row, partners, 1) - grid.zero
    return partners, place, np.take_along_axis(best, partners, 1)


def _between_partners(
    grid: Grid, excess: np.ndarray, partners: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """Excess ``(n, m, m)`` between the partners ``(n, m)`` of every neuron at their places."""
    difference = place[:, None, :] - place[:, :, None] + grid.zero
    if grid.cyclic:
        difference %= len(excess)
    known = (difference >= 0) & (difference < len(excess))
    found = excess[np.where(known, difference, 0), partners[:, :, None], partners[:, None, :]]
    return np.where(known, found, 0)


def _told(grid: Grid, family: Grown) -> float:
    """What one member of a family tells of the others, in nats.

    Of the room above their baselines and not of the mean excess, since neighbours a small turn
    apart have little room, and large families have many neighbours. The logarithm, since chance
    makes large families whose pairs fill half of their room, and none whose pairs fill it.
    """
    pairs = np.triu_indices(len(family.members), 1)
    excess = np.nansum(grid.between(grid.excess, family.members, family.places)[pairs])
    room = np.nansum(grid.between(grid.room, family.members, family.places)[pairs])
    before, after = np.maximum([room, room - excess], 0) / len(pairs[0])
    return float(np.log((before + grid.lost) / (after + grid.lost)))


def _strength(found: tuple[float, Grown], toll: float) -> float:
    """What the members tell of one another beyond the toll of each; 0 if that is nothing.

    Among many neurons each new member is the best of many, so one more loose member tells something
    by chance; three exact copies are rarer than nine such. Half of that, since the whole would
    leave nothing of large families whose members are little closer than those of chance.
    """
    told, family = found
    return max((len(family.members) - 1) * (told - toll), 0.0)


def _describe(scores: GroupScores, grid: Grid, family: Grown, strength: float) -> Found:
    """The family with its offsets fitted, members in rising order."""
    order = np.argsort(family.members)
    members = family.members[order]
    pairs = np.triu_indices(len(members), 1)
    found = Found(
        group=scores.group,
        members=members,
        offsets=np.array([0.0, 1.0]),
        offset_sd=np.full(2, np.nan),
        period=None,
        closure=np.nan,
        score=float(np.nanmean(grid.between(grid.scores, family.members, family.places)[pairs])),
        strength=strength,
        gaps=np.array([]),
    )
    if scores.involution:
        return found
    start = (family.places[order] - family.places[order[0]]) * (grid.step / grid.fine)
    return _fitted(found, grid, start, full=scores.period)


def _fitted(found: Found, grid: Grid, start: np.ndarray, *, full: float | None) -> Found:
    """A family with offsets fitted from their ``start`` ``(k,)``; ``full``: period of its group."""
    between = grid.scores[:, found.members[:, None], found.members]
    period = None if full is None else _symmetry(between, start, step=grid.step, period=full)
    offsets, sd = fit_offsets(_refined(grid, between, start), start, period=full)
    best = (between.argmax(0) - grid.zero) * grid.step
    return replace(
        found,
        offsets=offsets if period is None else offsets % period,
        offset_sd=sd,
        period=period,
        closure=closure(best, step=grid.step, period=period),
        gaps=gaps(offsets, step=grid.step, period=period),
    )


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
            turns = range(0, places, places // order)
            turned = [between[(rows + turn) % places, i, j].mean() for turn in turns]
            if min(turned) >= scores.mean() - scores.std():
                return period / order
    return period


def _refined(grid: Grid, between: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Difference of offsets of every two members ``(k, k)`` at the peak of their score nearest to
    where they stand.

    A parabola through the best place within a step and its neighbours; NaN if the grid has none.
    """
    rows = np.round((start - start[:, None]) / grid.step).astype(int)
    values = _around(grid, between, rows + grid.zero)
    top = values[1:4].argmax(0) + 1
    left, middle, right = np.take_along_axis(values, np.stack([top - 1, top, top + 1]), 0)
    peak = rows + top - 2 + _vertex(left, middle, right)
    return np.where(np.isfinite(middle), peak * grid.step, np.nan)


def _around(grid: Grid, between: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scores ``(5, k, k)`` of every two members at rows ``(k, k)`` of theirs ``(d, k, k)`` and up
    to two on; -inf beyond the grid.
    """
    place = rows + np.arange(-2, 3)[:, None, None]
    inside = (place >= 0) & (place < len(between)) | grid.cyclic
    values = np.take_along_axis(between, np.where(inside, place, 0) % len(between), 0)
    return np.where(inside, values, -np.inf)


def _vertex(left: np.ndarray, middle: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Place of the vertex of a parabola through values at -1, 0 and 1; 0 if it lies beyond."""
    with np.errstate(all="ignore"):
        shift = (left - right) / 2 / (left - 2 * middle + right)
    return np.where(np.isfinite(shift) & (np.abs(shift) <= 1), shift, 0)
