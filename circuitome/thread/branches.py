"""Families that are concentrated in one branch: *Branch Specialization*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from circuitome.thread.evidence import P_MAX, Evidence, Finding, verdict
from circuitome.thread.keys import family_key

__all__ = ["all_pairs", "black_and_white", "curve_features"]

ARTICLE: Final = "Branch Specialization"
CURVE_WORDS: Final = ("curve", "circle", "loop", "evolute")
"""Words in the titles of mixed3b's families that mean a curve."""
OUTSIDE: Final = "Circle Cluster"
"""The one of them that the 30 leave out."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A number of neurons in one branch, as the article has it."""

    claim: str
    published: str
    layer: str
    titles: Sequence[str]
    branch: str
    p_below: float


def black_and_white(evidence: Evidence) -> Iterator[Finding]:
    """The black-and-white against colour detectors of mixed3a."""
    claim = _Claim(
        "black-and-white vs colour detectors are in mixed3a_5x5",
        published="9 of 9, p < 1e-8",
        layer="mixed3a",
        titles=["BW vs Color"],
        branch="mixed3a_5x5",
        p_below=1e-8,
    )
    yield _checked(evidence, claim)


def curve_features(evidence: Evidence) -> Iterator[Finding]:
    """The curve features of mixed3b: a union of families that the article does not list."""
    families = [family for family in evidence.truth.families if family.layer == "mixed3b"]
    titles = [family.title for family in families if _is_curve(family.title)]
    claim = _Claim(
        "curve features are in mixed3b_5x5",
        published="30 of 30, p < 1e-20",
        layer="mixed3b",
        titles=[title for title in titles if title != OUTSIDE],
        branch="mixed3b_5x5",
        p_below=1e-20,
    )
    wider = _neurons(evidence, "mixed3b", titles)
    inside, p = evidence.in_branch(wider, claim.branch)
    number = len(_neurons(evidence, "mixed3b", claim.titles))
    yield _checked(
        evidence,
        claim,
        more=f"; the {number} are a union of {len(claim.titles)} families "
        f"({', '.join(claim.titles)}), merged by hand; "
        f"with {OUTSIDE} it is {inside} of {len(wider)}, p = {p:.1e}",
    )


def _is_curve(title: str) -> bool:
    return any(word in title.lower() for word in CURVE_WORDS)


def _neurons(evidence: Evidence, layer: str, titles: Sequence[str]) -> list[str]:
    """Members of some families of a layer."""
    return [neuron for title in titles for neuron in evidence.members(layer, title)]


def _checked(evidence: Evidence, claim: _Claim, *, more: str = "") -> Finding:
    neurons = _neurons(evidence, claim.layer, claim.titles)
    inside, p = evidence.in_branch(neurons, claim.branch)
    measured = f"{inside} of {len(neurons)}, p = {p:.1e}{more}"
    holds = inside == len(neurons) and p < claim.p_below
    return Finding(claim.claim, ARTICLE, claim.published, measured, verdict(holds))


def all_pairs(evidence: Evidence) -> Iterator[Finding]:
    """Every family of a branched layer with every branch, corrected for their number."""
    tests = sorted(_tests(evidence))
    bar = P_MAX / len(tests)
    found = [f"{pair} {p:.1e}" for p, pair in tests if p <= bar]
    listed = "; ".join(found)
    yield Finding(
        "families are concentrated in branches, all pairs tested",
        ARTICLE,
        "no table; the families named above, and more",
        f"{len(found)} of {len(tests)} pairs at p <= {bar:.1e} (Bonferroni): {listed}",
        verdict("BW vs Color" in listed and "Curves" in listed),
    )


def _tests(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """p of each family with each branch of its layer, and the pair in words."""
    for block, sizes in evidence.branches.items():
        for family, neurons in evidence.families.items():
            if not any(evidence.layer_of[neuron] in sizes for neuron in neurons):
                continue
            title = family.removeprefix(family_key(block, ""))
            for branch in sizes:
                inside, p = evidence.in_branch(neurons, branch)
                yield p, f"{title}/{branch} {inside}/{len(neurons)}"
