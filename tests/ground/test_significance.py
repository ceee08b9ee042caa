"""Every p and q is checked against a definition spelled out, or an exact count."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitome.significance import (
    TOLERANCE,
    auc,
    benjamini_hochberg,
    binomial,
    empirical_p,
    hypergeometric,
    q_at,
    reaching,
    target_decoy_q,
)

numbers = st.lists(st.integers(-4, 4).map(float), max_size=20)
some_numbers = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=20)


@given(some_numbers, numbers)
def test_an_empirical_p_counts_the_observed_value_among_the_null(
    values: list[float], null: list[float]
) -> None:
    counted = [(1 + sum(n >= value for n in null)) / (1 + len(null)) for value in values]
    assert empirical_p(values, null).tolist() == counted


def test_rounding_does_not_keep_a_null_value_from_reaching() -> None:
    assert reaching(0.1 + 0.2, [0.3]) == 1
    assert reaching(0.3 * (1 + 3 * TOLERANCE), [0.3]) == 0
    assert reaching([np.inf, -np.inf], [1.0, np.inf, -np.inf]).tolist() == [1, 3]


@given(some_numbers, numbers, st.integers(1, 9))
def test_a_target_and_decoy_q_is_the_least_over_all_cuts_that_let_the_score_in(
    scores: list[float], decoys: list[float], copies: int
) -> None:
    def share_of_chance(cut: float) -> float:
        expected = (1 + sum(decoy >= cut for decoy in decoys)) / copies
        return expected / sum(score >= cut for score in scores)

    wanted = [
        min(1.0, *(share_of_chance(cut) for cut in scores if cut <= score)) for score in scores
    ]
    assert target_decoy_q(scores, decoys, copies=copies) == pytest.approx(wanted, abs=1e-15)


def test_scores_of_nothing_have_no_q() -> None:
    assert target_decoy_q([], [1.0], copies=1).shape == (0,)
    assert benjamini_hochberg([]).shape == (0,)
    assert hypergeometric(np.zeros(0, int), 1, special=1, total=2).shape == (0,)


def test_a_score_between_two_levels_has_the_q_of_the_lower() -> None:
    levels, q = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.3, 0.1])
    assert q_at([0.9, 1.0, 2.9, 3.0, 9.0], levels, q).tolist() == [1.0, 0.5, 0.3, 0.1, 0.1]
    assert float(q_at(2.0, levels, q)) == 0.3


def test_benjamini_and_hochberg_agree_with_their_own_example() -> None:
    """The fifteen p values of their article's section 4.1; four are found at 5 %."""
    p = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
    ]
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4


@settings(deadline=None)  # the first call imports a library
@given(st.data())
def test_hypergeometric_tails_are_those_of_exact_counts(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 500))
    special, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    found = data.draw(st.integers(max(0, special + drawn - total), min(special, drawn)))
    ways = sum(
        math.comb(special, k) * math.comb(total - special, drawn - k)
        for k in range(found, min(drawn, special) + 1)
    )
    exact = float(Fraction(ways, math.comb(total, drawn)))
    measured = float(hypergeometric(found, drawn, special=special, total=total))
    assert measured == pytest.approx(exact, rel=1e-9, abs=1e-280)


@settings(deadline=None)  # the first call imports a library
@given(st.integers(1, 60), st.data())
def test_binomial_tails_are_those_of_exact_counts(tries: int, data: st.DataObject) -> None:
    found = data.draw(st.integers(0, tries))
    exact = sum(math.comb(tries, k) for k in range(found, tries + 1)) / 2**tries
    assert binomial(found, tries) == pytest.approx(exact, rel=1e-12)


@settings(deadline=None)  # the first call imports a library
@given(some_numbers, some_numbers)
def test_the_area_counts_pairs_and_ties_half(scores: list[float], decoys: list[float]) -> None:
    pairs = [(s > d) + (s == d) / 2 for s in scores for d in decoys]
    measured = auc(np.array(scores), np.array(decoys))
    assert measured == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    assert math.isnan(auc(np.array(scores), np.zeros(0)))
