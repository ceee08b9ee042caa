"""Circuits that turn with what they read: *Naturally Occurring Equivariance in Neural Networks*."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from circuitome.thread.evidence import (
    ALIGNED,
    LEVEL,
    Evidence,
    Finding,
    apart,
    binomial,
    direction,
    verdict,
)

__all__ = ["circles_and_evolutes", "contrast_to_centre"]


def circles_and_evolutes(evidence: Evidence) -> Iterator[Finding]:
    """Where curves excite circles, and where evolutes: a circle is made of them, an evolute of them turned about.

    The articles do not say which way their angles point; that circles are excited on the side of the angle says that it
    points away from the centre of curvature.
    """
    angles = {
        f"{layer}:{unit}": float(angle)
        for layer, tuned in evidence.truth.tuned.items()
        for unit, angle in zip(tuned.units, tuned.preferred, strict=True)
    }
    large, medium, small = (
        evidence.truth.circuit(name)
        for name in ("large evolute and circle", "medium evolute", "small circle")
    )
    circle = next(unit for unit in large["post"] if unit in evidence.truth.circles)
    evolute = next(unit for unit in large["post"] if unit != circle)
    for what, unit, senders, away in (
        ("circle", small["post"], small["pre"], 0.0),
        ("circle", circle, large["pre"], 0.0),
        ("evolute", medium["post"], medium["pre"], 180.0),
        ("evolute", evolute, large["pre"], 180.0),
    ):
        turned = _turned(evidence, unit, [sender for sender in senders if sender in angles], angles)
        side = "on the side of their angle" if away == 0 else "on the side opposite to their angle"
        yield _beside(f"{what} {unit} is excited by curves {side}", what, turned, away)


def _turned(
    evidence: Evidence, unit: str, senders: Sequence[str], angles: Mapping[str, float]
) -> list[float]:
    """Direction of each kernel's positive part less the published angle of the curve that it reads, degrees."""
    kernels = {sender: evidence.kernel(sender, unit) for sender in senders}
    return [
        direction(kernel) - angles[sender]
        for sender, kernel in kernels.items()
        if kernel is not None
    ]


def _beside(claim: str, what: str, turned: Sequence[float], away: float) -> Finding:
    published = f"curve -> {what}, as drawn"
    if not turned:
        return Finding(claim, "Equivariance", published, "no decoded kernel", "cannot be checked")
    right = sum(apart(angle, away) < 90 for angle in turned)
    mean = np.exp(1j * np.deg2rad(turned)).mean()
    p = binomial(right, len(turned))
    return Finding(
        claim,
        "Equivariance",
        published,
        f"{right} of {len(turned)} kernels, sign test p = {p:.1e}; from the curve's angle to the side that it excites "
        f"{np.rad2deg(np.angle(mean)) % 360:.0f} degrees (length of the mean direction {abs(mean):.2f})",
        verdict(p <= LEVEL),
    )


def contrast_to_centre(evidence: Evidence) -> Iterator[Finding]:
    """Four turned contrast detectors that two centre-surround detectors read from opposite sides."""
    for name, what in (
        ("BW center-surround", "black-and-white vs colour"),
        ("green-purple contrast to center", "green against purple"),
    ):
        circuit = evidence.truth.circuit(name)
        sides = [
            [
                direction(kernel)
                for sender in circuit["pre"]
                for kernel in [evidence.kernel(sender, unit)]
                if kernel is not None
            ]
            for unit in circuit["post"]
        ]
        claim = f"{what}: four turned contrasts become {' and '.join(circuit['post'])}, from opposite sides"
        if any(len(each) < len(circuit["pre"]) for each in sides):
            yield Finding(
                claim,
                "Equivariance",
                "contrast -> centre",
                "kernels are missing",
                "cannot be checked",
            )
            continue
        opposite = [apart(one, other) for one, other in zip(*sides, strict=True)]
        around = [_gaps(each) for each in sides]
        yield Finding(
            claim,
            "Equivariance",
            "contrast -> centre: the kernels turn with the contrast",
            f"the sides of the two lie {', '.join(f'{angle:.0f}' for angle in opposite)} degrees apart; those of one are "
            + " and ".join(", ".join(f"{gap:.0f}" for gap in gaps) for gaps in around)
            + " degrees from the next",
            verdict(
                all(angle > 180 - ALIGNED for angle in opposite)
                and all(abs(gap - 90) < ALIGNED for gaps in around for gap in gaps)
            ),
        )


def _gaps(directions: Sequence[float]) -> list[float]:
    """Degrees between neighbouring directions, all the way round."""
    ordered = np.sort(np.array(directions) % 360)
    return np.diff(ordered, append=ordered[0] + 360).tolist()
