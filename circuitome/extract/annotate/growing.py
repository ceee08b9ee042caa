"""A family while it grows: scores on a grid of differences, and sums over the members so far.

A member stands at a place on the grid; on a circle places lie closer than the differences that were
measured, and the scores between are interpolated by their waves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from circuitome.extract.annotate.pairs import GroupScores, ScoresError, baseline

__all__ = ["Grid", "Growing", "finer"]

FINE: Final = 3
"""Places for one step of a circular group where a member may stand while a family grows."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Scores of one layer at every difference of offsets that was looked at: both signs and
    none.
    """

    step: float  # from one difference to the next
    cyclic: bool  # differences 0, step, 2 step ... round the circle; otherwise from -L to L steps
    fine: int  # places a step where a member may stand
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
        return cls(step, cyclic, fine, found, found - floors, np.maximum(1 - floors, 0))

    @property
    def size(self) -> int:
        """Neurons."""
        return self.scores.shape[1]

    @property
    def zero(self) -> int:
        """Place of no difference."""
        return 0 if self.cyclic else len(self.scores) // 2


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


@dataclass(slots=True)
class Growing:
    """A family while it grows: sums over its members, for every neuron at every place it might
    take.
    """

    grid: Grid
    members: list[int]
    places: list[int]  # of the members, in fine steps from the first
    sums: (
        np.ndarray
    )  # (3, places, C): scores, excess weighted by room, and number of members, seen from there

    @classmethod
    def seeded(cls, grid: Grid, members: Sequence[int], places: Sequence[int]) -> Growing:
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
            self.sums += sign * np.roll(finer(len(excess), self.grid.fine) @ seen, place, 1)
            return
        first = len(self.sums[0]) // 2 + place - self.grid.zero
        if 0 <= first <= self.sums.shape[1] - len(excess):
            self.sums[:, first : first + len(excess)] += sign * seen

    def value(self) -> np.ndarray:
        """Mean score with the members ``(places, C)``; -inf without excess over the baseline."""
        score, gain, number = self.sums
        fits = (gain > 0) & (number > 0.5)
        return np.where(fits, score / np.maximum(number, 0.5), -np.inf)

    def place(self, row: int) -> int:
        """Place of a row of the sums, in fine steps from the first member."""
        return row if self.grid.cyclic else row - self.sums.shape[1] // 2
