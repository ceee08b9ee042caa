"""Families that are concentrated in one branch: *Branch Specialization*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from circuitome.thread.evidence import LEVEL, Evidence, Finding, verdict
from circuitome.thread.inception import family_key

__all__ = ["all_pairs", "black_and_white", "curve_features"]

CURVE_WORDS: Final = ("curve", "circle", "loop", "evolute")
"""Words in the titles of mixed3b's families that mean a curve."""


def black_and_white(evidence: Evidence) -> Iterator[Finding]:
    """The black-and-white against colour detectors of mixed3a."""
    yield _in_branch(
        evidence,
        "black-and-white vs colour detectors are in mixed3a_5x5",
        published="9 of 9, p < 1e-8",
        families=[("mixed3a", "BW vs Color")],
        branch="mixed3a_5x5",
        bound=1e-8,
    )


def curve_features(evidence: Evidence) -> Iterator[Finding]:
    """The curve features of mixed3b: a union of families that the article does not list."""
    block = "mixed3b"
    titles = [
        family.title
        for family in evidence.truth.families
        if family.layer == block and any(word in family.title.lower() for word in CURVE_WORDS)
    ]
    outside = "Circle Cluster"
    named = [(block, title) for title in titles if title != outside]
    wider = [neuron for title in titles for neuron in evidence.members(block, title)]
    inside, p = evidence.in_branch(wider, f"{block}_5x5")
    yield _in_branch(
        evidence,
        "curve features are in mixed3b_5x5",
        published="30 of 30, p < 1e-20",
        families=named,
        branch=f"{block}_5x5",
        bound=1e-20,
        more=(
            f"; the {sum(len(evidence.members(*each)) for each in named)} are a union of {len(named)} families "
            f"({', '.join(title for _, title in named)}), merged by hand; with {outside} it is {inside} of {len(wider)}, p = {p:.1e}"
        ),
    )


def _in_branch(
    evidence: Evidence,
    claim: str,
    *,
    published: str,
    families: Sequence[tuple[str, str]],
    branch: str,
    bound: float,
    more: str = "",
) -> Finding:
    neurons = [neuron for layer, title in families for neuron in evidence.members(layer, title)]
    inside, p = evidence.in_branch(neurons, branch)
    return Finding(
        claim,
        "Branch Specialization",
        published,
        f"{inside} of {len(neurons)}, p = {p:.1e}{more}",
        verdict(inside == len(neurons) and p < bound),
    )


def all_pairs(evidence: Evidence) -> Iterator[Finding]:
    """Every family of a branched layer with every branch, corrected for their number."""
    tests = [
        (p, _pair(evidence, block, family, branch, inside))
        for block, sizes in evidence.branches.items()
        for family, neurons in evidence.families.items()
        if any(evidence.layer_of[neuron] in sizes for neuron in neurons)
        for branch in sizes
        for inside, p in [evidence.in_branch(neurons, branch)]
    ]
    bar = LEVEL / len(tests)
    found = [f"{text} {p:.1e}" for p, text in sorted(tests) if p <= bar]
    yield Finding(
        "families are concentrated in branches, all pairs tested",
        "Branch Specialization",
        "no table; the families named above, and more",
        f"{len(found)} of {len(tests)} pairs at p <= {bar:.1e} (Bonferroni): " + "; ".join(found),
        verdict(
            any("BW vs Color" in text for text in found) and any("Curves" in text for text in found)
        ),
    )


def _pair(evidence: Evidence, block: str, family: str, branch: str, inside: int) -> str:
    title = family.removeprefix(family_key(block, ""))
    return f"{title}/{branch} {inside}/{len(evidence.families[family])}"
