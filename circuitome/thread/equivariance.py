"""Circuits that turn with what they read: *Naturally Occurring Equivariance in Neural Networks*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from circuitome.significance import binomial
from circuitome.thread.evidence import (
    ALIGNED,
    P_MAX,
    Evidence,
    Finding,
    apart,
    cannot_be_checked,
    direction,
    verdict,
)

__all__ = ["circles_and_evolutes", "contrast_to_centre"]

ARTICLE: Final = "Equivariance"


def circles_and_evolutes(evidence: Evidence) -> Iterator[Finding]:
    """On which side curves excite circles, and on which evolutes, which are circles turned about.

    The articles do not say which way their angles point; that circles are excited on the side of
    the angle says that it points away from the centre of curvature.
    """
    truth = evidence.truth
    large = truth.circuit("large evolute and circle")
    medium, small = truth.circuit("medium evolute"), truth.circuit("small circle")
    circle = next(unit for unit in large.receivers if unit in truth.circles)
    evolute = next(unit for unit in large.receivers if unit != circle)
    yield _beside(evidence, "circle", small.receivers[0], small.senders, away=False)
    yield _beside(evidence, "circle", circle, large.senders, away=False)
    yield _beside(evidence, "evolute", medium.receivers[0], medium.senders, away=True)
    yield _beside(evidence, "evolute", evolute, large.senders, away=True)


def _beside(
    evidence: Evidence, what: str, unit: str, senders: Sequence[str], *, away: bool
) -> Finding:
    """The row of a circle or evolute: the side on which it is excited by each of the curves."""
    side = "opposite to their angle" if away else "of their angle"
    claim = f"{what} {unit} is excited by curves on the side {side}"
    published = f"curve -> {what}, as drawn"
    turned = _turned(evidence, unit, senders)
    if not turned:
        return cannot_be_checked(claim, ARTICLE, published=published, needs="no decoded kernel")
    right = sum(apart(angle, 180.0 * away) < 90 for angle in turned)
    p = binomial(right, len(turned))
    mean = np.exp(1j * np.deg2rad(turned)).mean()
    measured = (
        f"{right} of {len(turned)} kernels, sign test p = {p:.1e}; "
        "from the curve's angle to the side that it excites "
        f"{np.rad2deg(np.angle(mean)) % 360:.0f} degrees "
        f"(length of the mean direction {abs(mean):.2f})"
    )
    return Finding(claim, ARTICLE, published, measured, verdict(p <= P_MAX))


def _turned(evidence: Evidence, unit: str, senders: Sequence[str]) -> list[float]:
    """Direction of each kernel's positive part less the angle of the curve that it reads."""
    angles = _published_angles(evidence)
    turned = []
    for sender in senders:
        kernel = evidence.kernel(sender, unit) if sender in angles else None
        if kernel is not None:
            turned.append(direction(kernel) - angles[sender])
    return turned


def _published_angles(evidence: Evidence) -> dict[str, float]:
    """Angle of every unit that was shown curves, degrees."""
    tuned = evidence.truth.tuned.items()
    return {
        f"{layer}:{unit}": angle
        for layer, units in tuned
        for unit, angle in units.preferred_of().items()
    }


def contrast_to_centre(evidence: Evidence) -> Iterator[Finding]:
    """Four turned contrast detectors that two centre-surround detectors read oppositely."""
    yield _from_opposite_sides(evidence, "BW center-surround", "black-and-white vs colour")
    yield _from_opposite_sides(evidence, "green-purple contrast to center", "green against purple")


def _from_opposite_sides(evidence: Evidence, circuit_name: str, what: str) -> Finding:
    circuit = evidence.truth.circuit(circuit_name)
    ends = " and ".join(circuit.receivers)
    claim = f"{what}: four turned contrasts become {ends}, from opposite sides"
    sides = [_sides(evidence, circuit.senders, unit) for unit in circuit.receivers]
    if any(len(each) < len(circuit.senders) for each in sides):
        return cannot_be_checked(
            claim, ARTICLE, published="contrast -> centre", needs="kernels are missing"
        )
    opposite = [apart(one, other) for one, other in zip(*sides, strict=True)]
    gaps = [_gaps(each) for each in sides]
    measured = (
        f"the sides of the two lie {_degrees(opposite)} degrees apart; "
        f"those of one are {' and '.join(map(_degrees, gaps))} degrees from the next"
    )
    spread = np.abs(np.concatenate(gaps) - 90) < ALIGNED
    holds = min(opposite) > 180 - ALIGNED and bool(spread.all())
    published = "contrast -> centre: the kernels turn with the contrast"
    return Finding(claim, ARTICLE, published, measured, verdict(holds))


def _sides(evidence: Evidence, senders: Sequence[str], unit: str) -> list[float]:
    """Direction of the positive part of each kernel onto a unit that a figure shows."""
    kernels = [evidence.kernel(sender, unit) for sender in senders]
    return [direction(kernel) for kernel in kernels if kernel is not None]


def _gaps(directions: Sequence[float]) -> list[float]:
    """Degrees between neighbouring directions, all the way round."""
    ordered = np.sort(np.array(directions) % 360)
    return np.diff(ordered, append=ordered[0] + 360).tolist()


def _degrees(angles: Sequence[float]) -> str:
    return ", ".join(f"{angle:.0f}" for angle in angles)
