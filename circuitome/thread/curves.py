"""Curve detectors and the weights between them: *Curve Detectors*, *Curve Circuits*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from circuitome.thread.evidence import ALIGNED, LEVEL, Evidence, Finding, apart, binomial, verdict
from circuitome.thread.inception import neuron_key
from circuitome.tuning import tune

__all__ = ["curves_by_angle", "echoes", "hand_written", "named_curve_pairs", "preferred_angles"]

NOISE: Final = 0.05
"""Standard deviation of the noise added to a published tuning curve, as a share of its peak."""
SAMPLES: Final = 48
"""Stimuli that our estimator of a preferred angle is shown."""
TOLERANCE: Final = 5.0
"""Largest median error that it may have, degrees."""
DRAWS: Final = 25
"""Draws of noise and angles over which its error is the median."""


def preferred_angles(evidence: Evidence) -> Iterator[Finding]:
    """Preferred angles of the curve detectors of mixed3b: the largest response, and our estimator from few noisy ones."""
    published = {
        neuron_key(evidence.truth, f"mixed3b:{unit}"): float(angle)
        for unit, angle in evidence.truth.curve_fact("orientation_hardcoded_in_article").items()
    }
    curves = [evidence.curves[key] for key in published]
    angles, responses = (
        np.array(curves[0]["tuning_at"]),
        np.array([each["tuning"] for each in curves]),
    )
    wanted = np.array(list(published.values()))
    largest = angles[responses.argmax(1)]
    same = int((largest == wanted).sum())
    yield Finding(
        "preferred angles of the curve detectors of mixed3b",
        "Curve Circuits",
        ", ".join(f"{angle:g}" for angle in sorted(wanted.tolist())),
        f"{same} of {len(wanted)} are the angle of the largest published response",
        verdict(same == len(wanted)),
    )
    errors = _errors_of_estimator(angles, responses, wanted)
    yield Finding(
        f"the same by our estimator, from {SAMPLES} angles with {NOISE:.0%} noise",
        "Curve Circuits",
        f"the same angles; {TOLERANCE:g} degrees are allowed",
        f"median error over {DRAWS} draws at most {errors.max():.1f} degrees, in the middle {np.median(errors):.1f}",
        verdict(bool((errors <= TOLERANCE).all())),
    )


def _errors_of_estimator(
    angles: np.ndarray, responses: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Median error of each neuron's estimated angle over draws of angles and noise, degrees ``(neurons,)``."""
    errors = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        at = rng.choice(len(angles), SAMPLES, replace=False)
        noise = (
            NOISE * responses.max(1, keepdims=True) * rng.standard_normal((len(responses), SAMPLES))
        )
        found = tune(angles[at], responses[:, at] + noise, period=360, samples=2).preferred
        errors.append(np.abs((found - wanted + 180) % 360 - 180))
    return np.median(errors, axis=0)


def echoes(evidence: Evidence) -> Iterator[Finding]:
    """The response to the opposite curve, as a share of the largest one."""
    shares: dict[str, list[float]] = {}
    for key, row in evidence.curves.items():
        responses = np.array(row["tuning"])
        best = int(responses.argmax())
        opposite = responses[(best + len(responses) // 2) % len(responses)]
        shares.setdefault(evidence.block_of(key), []).append(float(opposite / responses[best]))
    median = {layer: float(np.median(values)) for layer, values in shares.items()}
    yield Finding(
        "early curve detectors also answer the opposite curve, those of mixed3b do not",
        "Curve Detectors",
        "echoes at 180 degrees in conv2d2 and mixed3a, none in mixed3b",
        "median share of the largest response: "
        + ", ".join(f"{layer} {value:.3f}" for layer, value in median.items()),
        verdict(min(median["conv2d2"], median["mixed3a"]) > median["mixed3b"]),
    )


def curves_by_angle(evidence: Evidence) -> Iterator[Finding]:
    """Signs of the decoded kernels between curve detectors of mixed3a and of mixed3b, by their published angles."""
    like, opposed = [], []
    for (sender, receiver), weight in evidence.edges.items():
        if evidence.block_of(receiver) != "mixed3b" or not {sender, receiver} <= set(
            evidence.curves
        ):
            continue
        angle = apart(*(evidence.curves[end]["orientation_deg"] for end in (sender, receiver)))
        text = (
            f"{evidence.unit(sender)}->{evidence.unit(receiver)} {weight:+.1f} at {angle:g} degrees"
        )
        if angle < ALIGNED:
            like.append((weight > 0, text))
        elif angle > 180 - ALIGNED:
            opposed.append((weight < 0, text))
    yield _signs("curves excite curves within 45 degrees", "same orientation excites", like)
    yield _signs(
        "curves inhibit curves beyond 135 degrees", "opposite orientation inhibits", opposed
    )


def _signs(claim: str, published: str, rows: Sequence[tuple[bool, str]]) -> Finding:
    right = sum(fits for fits, _ in rows)
    p = binomial(right, len(rows))
    against = [text for fits, text in rows if not fits]
    return Finding(
        claim,
        "Curve Circuits",
        published,
        f"{right} of {len(rows)} decoded kernels, sign test p = {p:.1e}"
        + (f"; against it {', '.join(against)}" if against else ""),
        verdict(p <= LEVEL),
    )


def named_curve_pairs(evidence: Evidence) -> Iterator[Finding]:
    """The pairs of curve detectors that the article itself says excite or inhibit."""
    for word, field, sign in (
        ("excite", "excited_pairs_3a_3b", 1),
        ("inhibit", "inhibited_pairs_3a_3b", -1),
    ):
        pairs = [
            (
                neuron_key(evidence.truth, f"mixed3a:{sender}"),
                neuron_key(evidence.truth, f"mixed3b:{receiver}"),
            )
            for sender, receiver in evidence.truth.curve_fact(field)
        ]
        known = [evidence.edges[pair] for pair in pairs if pair in evidence.edges]
        right = sum(sign * weight > 0 for weight in known)
        yield Finding(
            f"pairs of curves that {word}, as named",
            "Curve Circuits",
            ", ".join(
                f"3a:{sender}->3b:{receiver}"
                for sender, receiver in evidence.truth.curve_fact(field)
            ),
            f"{right} of {len(known)} with a decoded kernel, {len(pairs) - len(known)} have none",
            verdict(right == len(known)) if known else "cannot be checked",
        )


def hand_written(evidence: Evidence) -> Iterator[Finding]:
    """Signs of the curve-to-curve kernels of the network that the authors wrote by hand."""
    kernels = evidence.truth.hand_written_curves
    weight = kernels.sum((2, 3))
    steps = np.abs(np.subtract.outer(np.arange(len(weight)), np.arange(len(weight))))
    angle = np.minimum(steps, len(weight) - steps) * 360 / len(weight)
    like, opposed = weight[angle < ALIGNED], weight[angle > 180 - ALIGNED]
    right, opposing = int((like > 0).sum()), int((opposed < 0).sum())
    yield Finding(
        "the same signs in the hand-written network",
        "Curve Circuits",
        "written by hand after the natural circuit",
        f"{right} of {like.size} excite within {ALIGNED:g} degrees, {opposing} of {opposed.size} inhibit beyond "
        f"{180 - ALIGNED:g} (its {len(weight)} curves taken as equal steps of a turn: the file has no angles)",
        verdict(right == like.size and opposing == opposed.size),
    )
