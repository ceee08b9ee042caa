"""Families of unplanted networks are rarely significant, whatever chance looks like in their
layers.
"""

from __future__ import annotations

import numpy as np
import pytest

from circuitome.extract.annotate.significance import family_significance


def networks(law: str, *, cells: int, nulls: int, tries: int, seed: int) -> list[np.ndarray]:
    """Strongest families ``(cells, 1 + nulls)``, the first column the network's own, all by one
    law.
    """
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(tries):
        scale = rng.lognormal(0, 1, (cells, 1))  # layers differ
        draws = {
            "gumbel": rng.gumbel(size=(cells, 1 + nulls)),
            "heavy": rng.standard_t(2, (cells, 1 + nulls)),
            "mostly none": np.maximum(rng.normal(-1.5, 1, (cells, 1 + nulls)), 0),
        }[law]
        made.append(scale * draws)
    return made


@pytest.mark.parametrize("law", ["gumbel", "heavy", "mostly none"])
@pytest.mark.parametrize(("cells", "nulls"), [(120, 10), (6, 20), (24, 10)])
def test_at_most_one_unplanted_network_in_ten_has_a_finding(
    law: str, cells: int, nulls: int
) -> None:
    tries, findings = 200, 0
    for strengths in networks(law, cells=cells, nulls=nulls, tries=tries, seed=cells + nulls):
        found = [(cell, float(strength)) for cell, strength in enumerate(strengths[:, 0])]
        _, q = family_significance(found, dict(enumerate(strengths[:, 1:])))
        findings += bool((q <= 0.05).any())
    assert findings <= tries / 10  # one in 20 is expected; 3.5 binomial standard deviations above


def test_p_is_uniform_where_nothing_is_planted() -> None:
    ps = []
    for strengths in networks("gumbel", cells=40, nulls=10, tries=40, seed=1):
        found = [(cell, float(strength)) for cell, strength in enumerate(strengths[:, 0])]
        ps.append(family_significance(found, dict(enumerate(strengths[:, 1:])))[0])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.concatenate(ps) <= level) == pytest.approx(level, rel=0.35)


def test_strong_families_are_found() -> None:
    strengths = networks("gumbel", cells=100, nulls=10, tries=1, seed=2)[0]
    planted = strengths[:, 0].copy()
    planted[:10] = strengths[:10, 1:].mean(1) + 8 * strengths[:10, 1:].std(1)
    _, q = family_significance(
        [(c, float(s)) for c, s in enumerate(planted)], dict(enumerate(strengths[:, 1:]))
    )
    assert (q[:10] <= 0.05).sum() >= 9
    assert (q[10:] <= 0.05).sum() <= 2


def test_without_families_there_is_nothing() -> None:
    p, q = family_significance([], {0: np.ones(5)})
    assert len(p) == len(q) == 0
