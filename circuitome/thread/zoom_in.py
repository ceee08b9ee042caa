"""Circuits of later layers: the car and the dog heads of *Zoom In*."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from circuitome.kernels import part_centres
from circuitome.thread.evidence import Evidence, Finding, cannot_be_checked, verdict
from circuitome.thread.ground_truth import GroundTruth
from circuitome.thread.published import in_layer

__all__ = ["car", "dog_heads"]

ARTICLE: Final = "Zoom In"
CAR_PARTS: Final = (
    ("windows", "excite at the top, inhibit at the bottom", -1, 1),
    ("wheels", "excite at the bottom, inhibit at the top", 1, -1),
    ("car body", "excites, at the bottom most", 1, 0),
)
"""Part, the article's words, and where it excites and inhibits: 1 below, -1 above, 0 nowhere."""


def car(evidence: Evidence) -> Iterator[Finding]:
    """Where the parts of a car excite and inhibit the car detector."""
    circuit = evidence.truth.circuit("car detector")
    (detector,) = circuit.receivers
    for role, published, excites, inhibits in CAR_PARTS:
        claim, sender = f"car detector {detector}: {role}", circuit.roles[role]
        kernel = evidence.kernel(sender, detector)
        if kernel is None:
            needs = "no decoded kernel"
            yield cannot_be_checked(claim, ARTICLE, published=published, needs=needs)
            continue
        centre = part_centres(kernel[None])
        positive, negative = float(centre["ey"][0]), float(centre["iy"][0])
        total = float(kernel.sum())
        measured = (
            f"{sender}: positive part {_height(positive)}, "
            f"negative part {_height(negative)}, sum {total:+.1f}"
        )
        rest = negative * inhibits > 0 if inhibits else total > 0
        holds = positive * excites > 0 and rest
        yield Finding(claim, ARTICLE, published, measured, verdict(holds))


def _height(down: float) -> str:
    """Where the centre of a kernel's part lies, in words."""
    if math.isnan(down):
        return "absent"
    return f"{abs(down):.1f} pixels {'below' if down > 0 else 'above'} the centre"


def dog_heads(evidence: Evidence) -> Iterator[Finding]:
    """The union of the oriented dog heads: its units' names, and kernels that no figure shows."""
    truth = evidence.truth
    merge = truth.circuit("dog merge (union over cases)")
    paths = truth.circuit("dog head pathways")
    (union,), pair = merge.receivers, paths.senders
    titles = {unit: _titles(truth, unit) for unit in (*merge.senders, union)}
    listed = "; ".join(f"{unit} {', '.join(names) or 'none'}" for unit, names in titles.items())
    yield Finding(
        f"the mirrored pair {', '.join(pair)} and the union {union} are dog heads",
        ARTICLE,
        "two mirrored dog heads, and either of them",
        f"the authors' families: {listed}",
        verdict(all("Dog Head" in " ".join(titles[unit]) for unit in (*pair, union))),
    )
    sources = truth.circuit("oriented dog head").units["mixed3b"]
    edges = list(product(sources, pair))
    yield _by_tiles(evidence, "dog heads: sources excite one case", edges)
    edges = list(product(pair, paths.receivers))
    yield _by_tiles(evidence, "dog heads: the paths inhibit each other", edges)
    edges = [(case, union) for case in merge.senders]
    yield _by_tiles(evidence, "dog heads: every case excites the union", edges)


def _titles(truth: GroundTruth, unit: str) -> list[str]:
    """Titles of the families that a unit is in."""
    layer, channel = in_layer(unit)
    families = truth.families
    return [each.title for each in families if each.layer == layer and channel in each.units]


def _by_tiles(evidence: Evidence, claim: str, pairs: Sequence[tuple[str, str]]) -> Finding:
    """A row on edges of later layers: their signs if figures show them, or what is missing."""
    shown = []
    for sender, receiver in pairs:
        kernel = evidence.kernel(sender, receiver)
        if kernel is not None:
            shown.append(f"{sender}->{receiver} {kernel.sum():+.1f}")
    needs = f"kernels of {len(shown)} of {len(pairs)} edges are published"
    listed = f": {', '.join(shown)}" if shown else ""
    published = "drawn with arrows, without numbers"
    return cannot_be_checked(claim, ARTICLE, published=published, needs=needs + listed)
