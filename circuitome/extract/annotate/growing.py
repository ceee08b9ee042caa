"""Families while they grow: scores on a grid of differences, and sums over the members so far.

A member stands at a place on the grid; on a circle places lie closer than the differences that were
measured, and the scores between are interpolated by their waves. All families of a layer grow at
the same time, each from a seed of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np

from circuitome.extract.annotate.pairs import GroupScores, ScoresError, baseline

__all__ = ["Grid", "Grown", "finer", "grow"]

FINE: Final = 3
"""Places for one step of a circular group where a member may stand while a family grows."""
RESAMPLED: Final = frozenset({"rotate", "scale", "hue_rotate"})
"""Groups that draw a filter anew on its grid of pixels."""
LOST: Final = 0.01
"""Share of variance that stays unexplained between exact copies ..."""
LOST_RESAMPLED: Final = 0.05
"""... and between copies that are resampled. Quarter turns lose less, which must not weigh more."""


@dataclass(frozen=True)
class Grid:
    """Scores of one layer at every difference of offsets that was looked at: both signs and
    none.
    """

    step: float  # from one difference to the next
    cyclic: bool  # differences 0, step, 2 step ... round the circle; otherwise from -L to L steps
    fine: int  # places a step where a member may stand
    lost: float  # share of variance that stays unexplained between exact copies
    scores: np.ndarray  # (d, C, C)
    excess: np.ndarray  # (d, C, C) over the baseline
    room: np.ndarray  # (d, C, C) from the baseline to 1: how much a pair can tell

    @classmethod
    def of(cls, scores: GroupScores, layer: np.ndarray, plain: np.ndarray) -> Grid:
        """The scores ``(a, C, C)`` of a layer, or of a null layer, at both signs of the amounts.

        Raises:
            ScoresError: the amounts are not equally spaced, or do not reach half of the period.
        """
        cyclic = scores.period is not None or scores.involution
        places = _places(scores, cyclic=cyclic)
        found = _both_ways(layer, plain, places=places)
        floors = _both_ways(baseline(layer, plain), plain, places=places)
        step, fine = float(scores.amounts[0]), FINE if cyclic and places > 2 else 1
        lost = LOST_RESAMPLED if scores.group in RESAMPLED else LOST
        return cls(step, cyclic, fine, lost, found, found - floors, np.maximum(1 - floors, 0))

    @property
    def size(self) -> int:
        """Neurons."""
        return self.scores.shape[1]

    @property
    def zero(self) -> int:
        """Place of no difference."""
        return 0 if self.cyclic else len(self.scores) // 2

    @property
    def width(self) -> int:
        """Places where a member may stand, as seen from the first."""
        return len(self.scores) * self.fine if self.cyclic else 4 * len(self.scores) + 1

    @cached_property
    def gain(self) -> np.ndarray:
        """Excess weighted by room ``(d, C, C)``."""
        return self.room * self.excess

    def reading(self, difference: np.ndarray) -> np.ndarray:
        """How scores at some differences of places ``(...)``, in fine steps, are read from the
        ``d`` that were measured: weights ``(..., d)``; all 0 beyond them.
        """
        if self.cyclic:
            waves = finer(len(self.scores), self.fine)
            return waves[difference % len(waves)]
        return np.equal.outer(difference + self.zero, np.arange(len(self.scores))).astype(float)

    def around(self, places: np.ndarray) -> np.ndarray:
        """The weights with which members at ``places`` ``(m,)`` see every place ``(m, width, d)``;
        all 0 where the grid would end before what was measured does.
        """
        every = np.arange(self.width) - (0 if self.cyclic else self.width // 2)
        weights = self.reading(every - places[:, None]).astype(np.float32)
        if not self.cyclic:
            weights[np.abs(places) + self.zero > self.width // 2] = 0
        return weights

    def between(self, layer: np.ndarray, members: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Of scores or excess ``(d, C, C)``, those between members ``(..., k)`` at the differences
        of their places: ``(..., k, k)``; NaN beyond the differences that were measured.
        """
        weights = self.reading(places[..., None, :] - places[..., :, None])
        part = layer[:, members[..., :, None], members[..., None, :]]
        found = np.einsum("d...,...d->...", part, weights)
        return found if self.cyclic else np.where(weights.any(-1), found, np.nan)


def _places(scores: GroupScores, *, cyclic: bool) -> int:
    """Differences on the circle of a group; 0 if it has none."""
    step, count = float(scores.amounts[0]), len(scores.amounts)
    if not np.allclose(scores.amounts, step * np.arange(1, count + 1)):
        raise ScoresError(
            f"amounts {list(scores.amounts)} of group {scores.group} are not equally spaced "
            "from 0 on"
        )
    places = 2 if scores.involution else round((scores.period or 0) / step)
    if cyclic and places not in (2 * count, 2 * count + 1):
        raise ScoresError(
            f"amounts {list(scores.amounts)} of group {scores.group} do not reach half of "
            f"{scores.period}"
        )
    return places


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
def finer(places: int, fine: int) -> np.ndarray:
    """Fourier interpolation on a circle, ``(places * fine, places)``."""
    waves = np.fft.rfft(np.eye(places), axis=0)
    if places % 2 == 0 and fine > 1:
        waves[-1] /= (
            2  # the fastest wave is its own mirror image, and has two once there are faster ones
        )
    return np.fft.irfft(waves, places * fine, axis=0) * fine


@dataclass(frozen=True, slots=True)
class Grown:
    """Neurons of a family, and where each stands."""

    members: np.ndarray
    """``(k,)`` channels, in the order in which they joined."""
    places: np.ndarray
    """``(k,)`` in fine steps from the first of the seed."""


def grow(
    grid: Grid, seeds: tuple[np.ndarray, np.ndarray], free: np.ndarray, rows: np.ndarray
) -> Iterator[Grown]:
    """The family that grows from each seed: neurons join while they are nearer to the members than
    to chance, then those that are not are let go.

    Args:
        grid: scores of the layer.
        seeds: members and places ``(n, 3)`` each.
        free: ``(C,)``, neurons that may join.
        rows: ``(S, C, C)``, best score of every two neurons of each null layer.
    """
    growing = _Growing.empty(grid, len(seeds[0]), rows)
    every = np.arange(len(seeds[0]))
    for members, places in zip(*(each.T for each in seeds), strict=True):
        growing.join(every, members, places)
    waiting = every if free.sum() > 3 else every[:0]
    while len(waiting):
        neurons, places, wanted = growing.next(waiting, free)
        waiting = waiting[wanted]
        growing.join(waiting, neurons[wanted], places[wanted])
        waiting = waiting[growing.sizes[waiting] < free.sum()]
    growing.let_go()
    for members, places in zip(growing.members, growing.places, strict=True):
        yield Grown(members[members >= 0], places[members >= 0])


@dataclass(slots=True)
class _Growing:
    """Families of one layer while they grow: sums over their members, for every neuron at every
    place that it might take.
    """

    grid: Grid
    rows: np.ndarray
    members: np.ndarray  # (n, k), -1 where there is none
    places: np.ndarray  # (n, k)
    taken: np.ndarray  # (n, C): the members once more
    score: np.ndarray  # (n, width, C)
    gain: np.ndarray  # (n, width, C): excess weighted by room
    number: np.ndarray  # (n, width): members that are seen from there

    @classmethod
    def empty(cls, grid: Grid, count: int, rows: np.ndarray) -> _Growing:
        """So many families without members."""
        none, shape = np.empty((count, 0), int), (count, grid.width, grid.size)
        score, gain = np.zeros((2, *shape), np.float32)
        number = np.zeros(shape[:2], np.float32)
        return cls(grid, rows, none, none, np.zeros(shape[::2], bool), score, gain, number)

    @property
    def sizes(self) -> np.ndarray:
        """Number of members ``(n,)``."""
        return (self.members >= 0).sum(1)

    def join(self, families: np.ndarray, neurons: np.ndarray, places: np.ndarray) -> None:
        """Let a neuron join each of some families at a place; ``(m,)`` each."""
        weights = self.grid.around(places)
        self.score[families] += weights @ self.grid.scores[:, neurons].swapaxes(0, 1)
        self.gain[families] += weights @ self.grid.gain[:, neurons].swapaxes(0, 1)
        self.number[families] += weights.sum(2)
        self.taken[families, neurons] = True
        more = np.full((2, len(self.members), 1), -1)
        more[:, families, 0] = neurons, places
        self.members = np.concatenate([self.members, more[0]], 1)
        self.places = np.concatenate([self.places, more[1]], 1)

    def next(
        self, families: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The neuron of highest mean score with each of some families, its place, and whether it
        belongs; ``(m,)`` each.
        """
        number = self.number[families][:, :, None]
        fits = (self.gain[families] > 0) & (number > 0.5)
        fits &= (free & ~self.taken[families])[:, None, :]
        mean = np.where(fits, self.score[families] / np.maximum(number, 0.5), np.float32(-np.inf))
        flat = mean.reshape(len(mean), -1)
        best = flat.argmax(1)
        row, neuron = np.divmod(best, self.grid.size)
        bars = self.bars(families, self.own(families))
        places = row if self.grid.cyclic else row - self.grid.width // 2
        return neuron, places, flat[np.arange(len(flat)), best] > bars

    def own(self, families: np.ndarray) -> np.ndarray:
        """Mean score of every member with the others at the differences of their places ``(m,
        k)``; NaN where there is no member.
        """
        members, places = self.members[families], self.places[families]
        there = members >= 0
        between = self.grid.between(self.grid.scores, members, places)
        known = there[:, :, None] & there[:, None, :] & ~np.isnan(between)
        known &= ~np.eye(members.shape[1], dtype=bool)
        # none is known where all differences lie beyond the amounts tried
        mean = np.where(known, between, 0).sum(2) / np.maximum(known.sum(2), 1)
        return np.where(there, mean, np.nan)

    def bars(self, families: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Score from which a neuron belongs to each of some families ``(m,)``: equally far, in
        standard deviations, from members and from chance.

        Members: their ``own`` mean scores ``(m, k)``, and one more at the spread of chance, since
        few members tell little. Chance: what the surrogates of members reach with those of the
        others. Members with a mean score of r have a correlation of sqrt(r) with what they share,
        so a neuron that is like it by chance with correlation c has a mean score of c sqrt(r).
        """
        whole = self.sizes[families] == self.grid.size
        if not len(self.rows) or not len(families):
            return np.zeros(len(families))
        mean = np.nanmean(own, 1)
        shared = np.sqrt(np.maximum(mean, 0))
        chance, sd = (shared * moment for moment in self._chance(families))
        square = np.nansum(np.square(own - mean[:, None]), 1)
        spread = np.sqrt((sd**2 + square) / (~np.isnan(own)).sum(1))
        bars = (chance * spread + mean * sd) / np.maximum(spread + sd, 1e-9)
        return np.where(whole, 0.0, bars)

    def _chance(self, families: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, over null layers and members, of the best score of a member
        with a neuron that is none; ``(m,)`` each.
        """
        members, taken = self.members[families], self.taken[families]
        others = np.where(taken[:, None, :], -np.inf, self.rows[:, members])
        best = others.max(3)
        there = (members >= 0) & np.isfinite(best[0])
        count = np.maximum(len(best) * there.sum(1), 1)
        best = np.where(there, best, 0)
        mean = best.sum((0, 2)) / count
        square = np.where(there, np.square(best - mean[:, None]), 0).sum((0, 2))
        return mean, np.sqrt(square / count)

    def let_go(self) -> None:
        """Let members go that are nearer to chance than to the others, the worst first, while more
        than three are left.
        """
        waiting = np.flatnonzero(self.sizes > 3)
        while len(waiting):
            own = self.own(waiting)
            worst = np.nanargmin(own, 1)
            each = np.arange(len(waiting))
            lowest = own[each, worst]
            own[each, worst] = np.nan
            gone = lowest < self.bars(waiting, own)
            waiting, worst = waiting[gone], worst[gone]
            self.taken[waiting, self.members[waiting, worst]] = False
            self.members[waiting, worst] = -1
            waiting = waiting[self.sizes[waiting] > 3]
