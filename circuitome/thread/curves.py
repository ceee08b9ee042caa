"""Curve detectors and the weights between them: *Curve Detectors*, *Curve Circuits*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.significance import binomial
from circuitome.thread.evidence import ALIGNED, P_MAX, Evidence, Finding, apart, verdict
from circuitome.thread.keys import neuron_key
from circuitome.tuning import tune

__all__ = ["curves_by_angle", "echoes", "hand_written", "named_curve_pairs", "preferred_angles"]

ARTICLE: Final = "Curve Circuits"
OPPOSED: Final = 180 - ALIGNED
NOISE: Final = 0.05
"""Standard deviation of the noise added to a published tuning curve, as a share of its peak."""
SAMPLES: Final = 48
"""Stimuli that our estimator of a preferred angle is shown."""
TOLERANCE: Final = 5.0
"""Largest median error that it may have, degrees."""
DRAWS: Final = 25
"""Draws of noise and angles over which its error is the median."""


def preferred_angles(evidence: Evidence) -> Iterator[Finding]:
    """Preferred angles of the curve detectors of mixed3b: the largest response, and our
    estimate.
    """
    written = evidence.truth.curve_angles
    curves = [evidence.curves[neuron_key(evidence.truth, f"mixed3b:{unit}")] for unit in written]
    wanted, angles = np.array(list(written.values())), curves[0].angles
    responses = np.stack([curve.responses for curve in curves])
    same = int((angles[responses.argmax(1)] == wanted).sum())
    yield Finding(
        "preferred angles of the curve detectors of mixed3b",
        ARTICLE,
        ", ".join(f"{angle:g}" for angle in sorted(wanted.tolist())),
        f"{same} of {len(wanted)} are the angle of the largest published response",
        verdict(same == len(wanted)),
    )
    errors = _errors_of_estimator(angles, responses, wanted)
    yield Finding(
        f"the same by our estimator, from {SAMPLES} angles with {NOISE:.0%} noise",
        ARTICLE,
        f"the same angles; {TOLERANCE:g} degrees are allowed",
        f"median error over {DRAWS} draws at most {errors.max():.1f} degrees, "
        f"in the middle {np.median(errors):.1f}",
        verdict(bool((errors <= TOLERANCE).all())),
    )


def _errors_of_estimator(
    angles: np.ndarray, responses: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Median error of each neuron's estimated angle over draws of angles and noise, degrees."""
    errors = []
    peaks = responses.max(1, keepdims=True)
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        at = rng.choice(len(angles), SAMPLES, replace=False)
        noise = NOISE * peaks * rng.standard_normal((len(responses), SAMPLES))
        found = tune(angles[at], responses[:, at] + noise, period=360, samples=2).preferred
        errors.append(np.abs((found - wanted + 180) % 360 - 180))
    return np.median(errors, axis=0)


def echoes(evidence: Evidence) -> Iterator[Finding]:
    """The response to the opposite curve, as a share of the largest one."""
    shares: dict[str, list[float]] = {}
    for neuron, curve in evidence.curves.items():
        best, half = int(curve.responses.argmax()), len(curve.responses) // 2
        opposite = curve.responses[(best + half) % len(curve.responses)]
        share = float(opposite / curve.responses[best])
        shares.setdefault(evidence.block_of(neuron), []).append(share)
    median = {layer: float(np.median(values)) for layer, values in shares.items()}
    listed = ", ".join(f"{layer} {value:.3f}" for layer, value in median.items())
    yield Finding(
        "early curve detectors also respond to the opposite curve, those of mixed3b do not",
        "Curve Detectors",
        "echoes at 180 degrees in conv2d2 and mixed3a, none in mixed3b",
        f"median share of the largest response: {listed}",
        verdict(min(median["conv2d2"], median["mixed3a"]) > median["mixed3b"]),
    )


@dataclass(frozen=True, slots=True)
class _CurveEdge:
    """A decoded kernel between two curve detectors."""

    weight: float
    """Signed sum of the kernel."""
    angle: float
    """Between the published angles of its ends, 0 to 180 degrees."""
    text: str


def curves_by_angle(evidence: Evidence) -> Iterator[Finding]:
    """Signs of the kernels between curve detectors of mixed3a and mixed3b, by their angles."""
    edges = list(_curve_edges(evidence))
    like = [edge for edge in edges if edge.angle < ALIGNED]
    opposed = [edge for edge in edges if edge.angle > OPPOSED]
    yield _signs(
        "curves excite curves within 45 degrees",
        "same orientation excites",
        kernels=len(like),
        against=[edge.text for edge in like if edge.weight <= 0],
    )
    yield _signs(
        "curves inhibit curves beyond 135 degrees",
        "opposite orientation inhibits",
        kernels=len(opposed),
        against=[edge.text for edge in opposed if edge.weight >= 0],
    )


def _curve_edges(evidence: Evidence) -> Iterator[_CurveEdge]:
    """The decoded kernels between curve detectors that end in mixed3b."""
    curves = evidence.curves
    for (sender, receiver), weight in evidence.edges.items():
        if sender in curves and receiver in curves and evidence.block_of(receiver) == "mixed3b":
            angle = apart(curves[sender].preferred, curves[receiver].preferred)
            ends = f"{evidence.unit(sender)}->{evidence.unit(receiver)}"
            yield _CurveEdge(weight, angle, f"{ends} {weight:+.1f} at {angle:g} degrees")


def _signs(claim: str, published: str, *, kernels: int, against: Sequence[str]) -> Finding:
    """The row of a claim on signs: how many kernels have the one that it wants."""
    right = kernels - len(against)
    p = binomial(right, kernels)
    named = f"; against it {', '.join(against)}" if against else ""
    measured = f"{right} of {kernels} decoded kernels, sign test p = {p:.1e}{named}"
    return Finding(claim, ARTICLE, published, measured, verdict(p <= P_MAX))


def named_curve_pairs(evidence: Evidence) -> Iterator[Finding]:
    """The pairs of curve detectors that the article itself says excite or inhibit."""
    yield _named_pairs(evidence, "excite", evidence.truth.curve_pairs("excited"), sign=1)
    yield _named_pairs(evidence, "inhibit", evidence.truth.curve_pairs("inhibited"), sign=-1)


def _named_pairs(
    evidence: Evidence, word: str, pairs: Sequence[tuple[int, int]], *, sign: int
) -> Finding:
    weights = []
    for sender, receiver in pairs:
        ends = (f"mixed3a:{sender}", f"mixed3b:{receiver}")
        one, other = (neuron_key(evidence.truth, end) for end in ends)
        if (one, other) in evidence.edges:
            weights.append(evidence.edges[one, other])
    right = sum(sign * weight > 0 for weight in weights)
    return Finding(
        f"pairs of curves that {word}, as named",
        ARTICLE,
        ", ".join(f"3a:{sender}->3b:{receiver}" for sender, receiver in pairs),
        f"{right} of {len(weights)} with a decoded kernel, {len(pairs) - len(weights)} have none",
        verdict(right == len(weights)) if weights else "cannot be checked",
    )


def hand_written(evidence: Evidence) -> Iterator[Finding]:
    """Signs of the curve-to-curve kernels of the network that the authors wrote by hand."""
    weight = evidence.truth.hand_written_curves.sum((2, 3))
    count = len(weight)
    steps = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    angle = np.minimum(steps, count - steps) * 360 / count
    like, opposed = weight[angle < ALIGNED], weight[angle > OPPOSED]
    right, opposing = int((like > 0).sum()), int((opposed < 0).sum())
    yield Finding(
        "the same signs in the hand-written network",
        ARTICLE,
        "written by hand after the natural circuit",
        f"{right} of {like.size} excite within {ALIGNED:g} degrees, "
        f"{opposing} of {opposed.size} inhibit beyond {OPPOSED:g} "
        f"(its {count} curves taken as equal steps of a turn: the file has no angles)",
        verdict(right == like.size and opposing == opposed.size),
    )
