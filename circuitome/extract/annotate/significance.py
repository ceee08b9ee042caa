"""Significance of families over all searched layers and groups of a network, its *cells*.

A family is judged within its own cell alone, since strengths of different cells do not compare: its
p is its rank among the strongest families of the cell's null layers. The first few null layers are
what families are grown against. If none of them has a family as strong, further ones are drawn, and
p is that of these alone, which took no part in finding the family (`sequential_p`). q is
Benjamini and Hochberg's over all cells; those without a family enter with p = 1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from circuitome.significance import (
    benjamini_hochberg,
    benjamini_hochberg_at,
    reaching,
    sequential_p,
)
from circuitome.vocabulary import Q_MAX

__all__ = ["ENOUGH", "Cell", "family_significance", "least_q", "nulls_needed"]

ENOUGH: Final = 10
"""Null layers with a family as strong after which no more are drawn."""
SPARE: Final = 1.25
"""More are drawn than are needed now: some cells will drop out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One layer under one group of transforms."""

    strongest: float
    """Strength of its strongest family; 0 without any."""
    first: np.ndarray
    """``(S,)`` strengths of the strongest family of the null layers that families were grown
    against.
    """
    further: np.ndarray = field(default_factory=lambda: np.empty(0))
    """``(n,)`` the same of further null layers, in the order in which they were drawn."""

    @property
    def drawn(self) -> int:
        """Null layers that a family is held against if it stands out, and at least the first."""
        return max(len(self.first), len(self.further))

    @property
    def stands_out(self) -> bool:
        """Whether its family is stronger than that of each of the first null layers."""
        return self.strongest > 0 and not reaching(self.strongest, self.first)

    @property
    def reached(self) -> int:
        """Further null layers with a family as strong."""
        return int(reaching(self.strongest, self.further))

    @property
    def open(self) -> bool:
        """Whether more null layers would tell more."""
        return self.stands_out and self.reached < ENOUGH

    def p(self, strength: float) -> float:
        """p of a family of this cell."""
        if self.stands_out and len(self.further):
            return sequential_p(strength, self.further, enough=ENOUGH)
        return sequential_p(strength, self.first, enough=len(self.first) + 1)


def least_q(cells: Collection[Cell]) -> float:
    """The least q that a family can have with the null layers that were drawn of each cell: if all
    cells had one that no null layer reaches. 1 without cells.

    >>> least_q([Cell(9.0, np.ones(10), np.ones(99)), Cell(0.0, np.ones(9))])
    0.02
    """
    least = benjamini_hochberg([1 / (1 + cell.drawn) for cell in cells])
    return float(least.min(initial=1.0))


def nulls_needed(cells: Iterable[Cell]) -> int:
    """Further null layers that every open cell needs if those that no null layer has reached are to
    be significant together; 0 if they are, or if there is none.
    """
    every = list(cells)
    unreached = [cell for cell in every if cell.stands_out and not cell.reached]
    if not unreached:
        return 0
    needed = math.ceil(len(every) / (Q_MAX * len(unreached)))
    fewest = min(len(cell.further) for cell in unreached)
    return 0 if fewest >= needed else math.ceil(SPARE * needed)


def family_significance(
    found: Sequence[tuple[Hashable, float]], cells: Mapping[Any, Cell]
) -> tuple[np.ndarray, np.ndarray]:
    """p and q of families ``(families,)``.

    Args:
        found: cell and strength of every family.
        cells: every cell that was searched, with a family or without.

    >>> cells = {name: Cell(0.0, np.ones(10)) for name in "abc"}
    >>> cells["a"] = Cell(9.0, np.ones(10), np.ones(79))
    >>> p, q = family_significance([("a", 9.0), ("a", 0.5)], cells)
    >>> p.tolist(), q.round(4).tolist()
    ([0.0125, 1.0], [0.0375, 1.0])
    """
    p = np.array([cells[cell].p(strength) for cell, strength in found])
    best = [cell.p(cell.strongest) if cell.strongest else 1.0 for cell in cells.values()]
    return p, benjamini_hochberg_at(p, best)
