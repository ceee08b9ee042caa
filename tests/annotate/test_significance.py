"""Families of unplanted networks are rarely significant, whatever chance looks like in their
layers; a single strong one is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from circuitome.extract.annotate.significance import (
    ENOUGH,
    Cell,
    family_significance,
    nulls_needed,
)

Draw = Callable[[int, int], np.ndarray]
"""Strengths of so many null layers of a cell."""
LAWS: Mapping[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "gumbel": lambda rng, count: np.exp(rng.gumbel(size=count) / 4),
    "heavy": lambda rng, count: np.abs(rng.standard_t(2, count)),
    "mostly none": lambda rng, count: np.maximum(rng.normal(-1.5, 1, count), 0),
}


def chance(law: str, *, cells: int, seed: int) -> Draw:
    """Layers differ by a scale of their own."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 1, cells)
    return lambda cell, count: scale[cell] * LAWS[law](rng, count)


def annotated(draw: Draw, own: Mapping[int, float]) -> dict[int, Cell]:
    """Cells whose strongest family is ``own``, with as many null layers as an annotation draws."""
    cells = {cell: Cell(strength, draw(cell, 10)) for cell, strength in own.items()}
    while needed := nulls_needed(cells.values()):
        for name, cell in cells.items():
            if cell.open and len(cell.further) < needed:
                more = draw(name, needed - len(cell.further))
                cells[name] = replace(cell, further=np.concatenate([cell.further, more]))
    return cells


def least_q(cells: Mapping[int, Cell]) -> np.ndarray:
    """q of the strongest family of every cell."""
    return family_significance([(name, cell.strongest) for name, cell in cells.items()], cells)[1]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("count", [6, 24, 120])
def test_about_one_unplanted_network_in_twenty_has_a_finding(law: str, count: int) -> None:
    tries, findings = 200, 0
    for seed in range(tries):
        draw = chance(law, cells=count, seed=seed)
        cells = annotated(draw, {cell: float(draw(cell, 1)[0]) for cell in range(count)})
        findings += bool((least_q(cells) <= 0.05).any())
    assert findings <= 20  # of 200; more than 20 are seen once in a thousand times at one in twenty


@pytest.mark.parametrize("law", ["gumbel", "mostly none"])
@pytest.mark.parametrize("count", [6, 24, 120])
def test_one_strong_family_alone_is_found(law: str, count: int) -> None:
    draw = chance(law, cells=count, seed=count)
    own = {cell: float(draw(cell, 1)[0]) for cell in range(count)}
    own[0] = float(draw(0, 100_000).max())
    q = least_q(annotated(draw, own))
    assert q[0] <= 0.05
    assert (q[1:] <= 0.05).sum() <= 1


def test_p_is_uniform_where_nothing_is_planted() -> None:
    ps = []
    for seed in range(60):
        draw = chance("gumbel", cells=40, seed=1000 + seed)
        cells = annotated(draw, {cell: float(draw(cell, 1)[0]) for cell in range(40)})
        found = [(name, cell.strongest) for name, cell in cells.items()]
        ps.append(family_significance(found, cells)[0])
    for level in (0.01, 0.05):
        assert np.mean(np.concatenate(ps) <= level) == pytest.approx(level, rel=0.35)


def test_null_layers_are_drawn_until_enough_of_them_have_a_family_as_strong() -> None:
    cell = Cell(2.0, np.ones(10), np.full(ENOUGH, 3.0))
    assert cell.stands_out and not cell.open
    assert nulls_needed([cell]) == 0
    assert cell.p(2.0) == 1.0


def test_the_null_layers_that_are_needed_follow_the_cells_that_stand_out() -> None:
    none, out = Cell(0.0, np.ones(10)), Cell(2.0, np.ones(10))
    assert nulls_needed([none] * 4) == 0
    alone, among = nulls_needed([out, *[none] * 19]), nulls_needed([out] * 10 + [none] * 10)
    assert alone >= 20 * 20
    assert 20 * 2 <= among < alone / 5


def test_a_lesser_family_of_a_cell_is_held_to_the_same_null_layers() -> None:
    cells = {0: Cell(9.0, np.ones(10), np.linspace(0, 5, 499)), 1: Cell(0.0, np.ones(10))}
    p, q = family_significance([(0, 9.0), (0, 4.99), (0, 2.5)], cells)
    assert p[0] == pytest.approx(1 / 500)
    assert p[0] <= p[1] < p[2]
    assert (np.diff(q) >= 0).all()


def test_without_families_there_is_nothing() -> None:
    p, q = family_significance([], {0: Cell(0.0, np.ones(5))})
    assert len(p) == len(q) == 0
