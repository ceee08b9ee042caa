"""High-low frequency detectors, their inputs and readers: *High-Low Frequency Detectors*."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from circuitome.kernels import part_centres
from circuitome.thread.evidence import (
    ALIGNED,
    Evidence,
    Finding,
    Verdict,
    apart,
    cannot_be_checked,
    direction,
    verdict,
)
from circuitome.thread.keys import neuron_key

__all__ = ["high_low_branch", "high_low_depth", "high_low_inputs", "high_low_readers"]

ARTICLE: Final = "High-Low Frequency Detectors"
TITLE: Final = "High-Low Frequency"
"""Title of the family in mixed3a."""
BOUNDARY: Final = "mixed3b:345"
"""The boundary detector of which the article says that it reads both polarities."""


def high_low_branch(evidence: Evidence) -> Iterator[Finding]:
    """The high-low frequency detectors of mixed3a, and their branch."""
    truth = evidence.truth
    neurons = evidence.members("mixed3a", TITLE)
    listed = {neuron_key(truth, f"mixed3a:{unit}") for unit in truth.high_low_family}
    inside, p = evidence.in_branch(neurons, "mixed3a_3x3")
    yield Finding(
        "high-low frequency detectors of mixed3a",
        ARTICLE,
        "fifteen in mixed3a",
        f"{len(neurons)}, {inside} of them in mixed3a_3x3 (p = {p:.1e}); "
        f"the article's figure shows {len(truth.high_low_shown)}",
        verdict(len(neurons) == 15 and set(neurons) == listed),
    )


def high_low_inputs(evidence: Evidence) -> Iterator[Finding]:
    """Kernels of the factor of high and the factor of low frequencies onto four detectors."""
    high, low = (evidence.truth.factor_tiles(name) for name in ("hf-factor", "lf-factor"))
    both = [unit for unit in high if unit in low]
    like, opposite = [], []
    for unit in both:
        one, other = (tiles[unit].kernel.astype(np.float64) for tiles in (high, low))
        like.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]))
        opposite.append(apart(direction(one), direction(other)))
    correlations = ", ".join(f"{value:+.2f}" for value in like)
    angles = ", ".join(f"{value:.0f}" for value in opposite)
    yield Finding(
        "high frequencies excite on one side and inhibit on the other, "
        "low frequencies the other way round",
        ARTICLE,
        "one factor of high, one of low frequencies, as drawn",
        f"{', '.join(both)}: correlation of the two kernels {correlations}; "
        f"the sides that they excite lie {angles} degrees apart",
        _opposed(like, opposite),
    )


def _opposed(correlations: Sequence[float], angles: Sequence[float]) -> Verdict:
    if not correlations:
        return "cannot be checked"
    return verdict(max(correlations) < 0 and min(angles) > 180 - ALIGNED)


def high_low_depth(evidence: Evidence) -> Iterator[Finding]:
    """Depth of the layers that have high-low frequency detectors in four networks."""
    listed, percents = [], []
    for network in evidence.truth.high_low_elsewhere:
        share = network.depth / network.layers
        percents.append(round(100 * share))
        place = f"{network.name} {network.layer} {network.depth}/{network.layers}"
        listed.append(f"{place} = {share:.3f}")
    yield Finding(
        "high-low frequency detectors of other networks lie at one depth",
        ARTICLE,
        "between 29 % and 33 % of the depth",
        f"{', '.join(listed)}; the article's own layer counts: "
        "that the units do the same is not in the facts",
        verdict(min(percents) >= 29 and max(percents) <= 33),
    )


def high_low_readers(evidence: Evidence) -> Iterator[Finding]:
    """Readers of the high-low frequency detectors: a boundary detector, and those of L2 norm."""
    yield _boundary(evidence)
    yield _strongest_readers(evidence)


def _boundary(evidence: Evidence) -> Finding:
    """The kernels of detectors of vertical boundaries of both polarities onto one neuron."""
    listed, sides, weights = [], set(), []
    for unit, right in _vertical(evidence).items():
        kernel = evidence.kernel(unit, BOUNDARY)
        if kernel is not None:
            weights.append(float(kernel.sum()))
            sides.add(right)
            side = "right" if right else "left"
            listed.append(f"{unit} (high frequencies on the {side}) {weights[-1]:+.2f}")
    return Finding(
        f"{BOUNDARY} is excited by high-low detectors of vertical boundaries, "
        "whatever their polarity",
        ARTICLE,
        "excited by both",
        ", ".join(listed) or "no kernel of such a detector is published",
        verdict(min(weights) > 0) if len(sides) == 2 else "cannot be checked",
    )


def _vertical(evidence: Evidence) -> dict[str, bool]:
    """Detectors of vertical boundaries: whether high frequencies excite each on the right."""
    found = {}
    for unit, tile in evidence.truth.factor_tiles("hf-factor").items():
        centre = part_centres(tile.kernel[None])
        right, down = float(centre["ex"][0]), float(centre["ey"][0])
        if abs(right) > abs(down):
            found[unit] = right > 0
    return found


def _strongest_readers(evidence: Evidence) -> Finding:
    detectors = set(evidence.members("mixed3a", TITLE))
    receivers = sum(evidence.branches["mixed3b"].values())
    shown = sum(
        sender in detectors and evidence.block_of(receiver) == "mixed3b"
        for sender, receiver in evidence.edges
    )
    return cannot_be_checked(
        "8 of the 20 strongest readers of the high-low detectors are about boundaries",
        ARTICLE,
        published="8 of the first 20 by L2 norm",
        needs=f"needs all {len(detectors)} x {receivers} kernels onto mixed3b; "
        f"{shown} are published",
    )
