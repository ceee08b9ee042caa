"""Circuits of later layers: the car and the dog heads of *Zoom In*."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from circuitome.thread.evidence import Evidence, Finding, verdict
from circuitome.thread.ground_truth import GroundTruth
from circuitome.thread.inception import part_centres

__all__ = ["car", "dog_heads"]


def car(evidence: Evidence) -> Iterator[Finding]:
    """Where the parts of a car excite and inhibit the car detector."""
    circuit = evidence.truth.circuit("car detector")
    senders = {edge["role"]: edge["pre"] for edge in circuit["edges"]}
    kernels = {role: evidence.kernel(sender, circuit["post"]) for role, sender in senders.items()}
    for role, published, excites, inhibits in (
        ("windows", "excite at the top, inhibit at the bottom", -1, 1),
        ("wheels", "excite at the bottom, inhibit at the top", 1, -1),
        ("car body", "excites, at the bottom most", 1, 0),
    ):
        claim, kernel = f"car detector {circuit['post']}: {role}", kernels[role]
        if kernel is None:
            yield Finding(claim, "Zoom In", published, "no decoded kernel", "cannot be checked")
            continue
        centre = part_centres(kernel[None])
        down, up, total = float(centre["ey"][0]), float(centre["iy"][0]), float(kernel.sum())
        yield Finding(
            claim,
            "Zoom In",
            published,
            f"{senders[role]}: positive part {_height(down)}, negative part {_height(up)}, sum {total:+.1f}",
            verdict(down * excites > 0 and (up * inhibits > 0 if inhibits else total > 0)),
        )


def _height(down: float) -> str:
    """Where the centre of a kernel's part lies, in words."""
    return (
        "absent"
        if math.isnan(down)
        else f"{abs(down):.1f} pixels {'below' if down > 0 else 'above'} the centre"
    )


def dog_heads(evidence: Evidence) -> Iterator[Finding]:
    """The union of the oriented dog heads: what the units are called, and the kernels that no figure shows."""
    merge, heads = (
        evidence.truth.circuit(name)
        for name in ("dog merge (union over cases)", "oriented dog head")
    )
    paths = evidence.truth.circuit("dog head pathways")
    (union,), pair = merge["post"], paths["pre"]
    titles = {unit: _titles(evidence.truth, unit) for unit in (*merge["pre"], union)}
    yield Finding(
        f"the mirrored pair {', '.join(pair)} and the union {union} are dog heads",
        "Zoom In",
        "two mirrored dog heads, and either of them",
        "the authors' families: "
        + "; ".join(f"{unit} {', '.join(names) or 'none'}" for unit, names in titles.items()),
        verdict(all(any("Dog Head" in title for title in titles[unit]) for unit in (*pair, union))),
    )
    sources = [f"mixed3b:{unit}" for unit in heads["units"]["mixed3b"]]
    yield _by_tiles(
        evidence, "dog heads: sources excite one case", [(s, c) for s in sources for c in pair]
    )
    yield _by_tiles(
        evidence,
        "dog heads: the paths inhibit each other",
        [(s, c) for s in pair for c in paths["post"]],
    )
    yield _by_tiles(
        evidence,
        "dog heads: every case excites the union",
        [(case, union) for case in merge["pre"]],
    )


def _titles(truth: GroundTruth, unit: str) -> list[str]:
    layer, _, channel = unit.partition(":")
    return [
        family.title
        for family in truth.families
        if family.layer == layer and int(channel) in family.units
    ]


def _by_tiles(evidence: Evidence, claim: str, pairs: Sequence[tuple[str, str]]) -> Finding:
    """A row on edges of later layers: their signs where figures show them, otherwise what is missing."""
    kernels = {
        f"{sender}->{receiver}": evidence.kernel(sender, receiver) for sender, receiver in pairs
    }
    shown = [
        f"{edge} {kernel.sum():+.1f}" for edge, kernel in kernels.items() if kernel is not None
    ]
    measured = f"kernels of {len(shown)} of {len(pairs)} edges are published" + (
        f": {', '.join(shown)}" if shown else ""
    )
    return Finding(
        claim, "Zoom In", "drawn with arrows, without numbers", measured, "cannot be checked"
    )
