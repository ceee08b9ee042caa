"""High-low frequency detectors, their inputs and what reads them: *High-Low Frequency Detectors*."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from circuitome.thread.evidence import ALIGNED, Evidence, Finding, apart, direction, verdict
from circuitome.thread.inception import neuron_key, part_centres

__all__ = ["high_low_branch", "high_low_depth", "high_low_inputs", "high_low_readers"]


def high_low_branch(evidence: Evidence) -> Iterator[Finding]:
    """The high-low frequency detectors of mixed3a, and their branch."""
    neurons = evidence.members("mixed3a", "High-Low Frequency")
    listed = {
        neuron_key(evidence.truth, f"mixed3a:{u}")
        for u in evidence.truth.high_low_fact("detectors_mixed3a_family")
    }
    inside, p = evidence.in_branch(neurons, "mixed3a_3x3")
    shown = len(evidence.truth.high_low_fact("detectors_shown_in_article"))
    yield Finding(
        "high-low frequency detectors of mixed3a",
        "High-Low Frequency Detectors",
        "fifteen in mixed3a",
        f"{len(neurons)}, {inside} of them in mixed3a_3x3 (p = {p:.1e}); the article's figure shows {shown}",
        verdict(len(neurons) == 15 and set(neurons) == listed),
    )


def high_low_inputs(evidence: Evidence) -> Iterator[Finding]:
    """Kernels of the factor of high and the factor of low frequencies onto four detectors."""
    high, low = (evidence.truth.factor_tiles(name) for name in ("hf-factor", "lf-factor"))
    both = [unit for unit in high if unit in low]
    like, opposite = [], []
    for unit in both:
        one, other = high[unit].kernel.astype(np.float64), low[unit].kernel.astype(np.float64)
        like.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]))
        opposite.append(apart(direction(one), direction(other)))
    yield Finding(
        "high frequencies excite on one side and inhibit on the other, low frequencies the other way round",
        "High-Low Frequency Detectors",
        "one factor of high, one of low frequencies, as drawn",
        f"{', '.join(both)}: correlation of the two kernels {', '.join(f'{value:+.2f}' for value in like)}; the sides that "
        f"they excite lie {', '.join(f'{value:.0f}' for value in opposite)} degrees apart",
        verdict(
            all(value < 0 for value in like) and all(value > 180 - ALIGNED for value in opposite)
        )
        if both
        else "cannot be checked",
    )


def high_low_depth(evidence: Evidence) -> Iterator[Finding]:
    """Depth of the layers that have high-low frequency detectors in four networks."""
    models = evidence.truth.high_low_fact("other_models", "similar_directions")
    depth = {f"{each['name']} {each['layerName']}": each["depthRatio"] for each in models}
    shares = {name: layer / layers for name, (layer, layers) in depth.items()}
    yield Finding(
        "high-low frequency detectors of other networks lie at one depth",
        "High-Low Frequency Detectors",
        "between 29 % and 33 % of the depth",
        ", ".join(
            f"{name} {layer}/{layers} = {shares[name]:.3f}"
            for name, (layer, layers) in depth.items()
        )
        + "; the article's own layer counts: that the units do the same is not in the facts",
        verdict(all(29 <= round(100 * share) <= 33 for share in shares.values())),
    )


def high_low_readers(evidence: Evidence) -> Iterator[Finding]:
    """A boundary detector that reads high-low frequency detectors of both polarities."""
    boundary = "mixed3b:345"
    upright = {
        unit: centre
        for unit, tile in evidence.truth.factor_tiles("hf-factor").items()
        for centre in [part_centres(tile.kernel[None])]
        if abs(centre["ex"][0]) > abs(centre["ey"][0])
    }
    kernels = {unit: evidence.kernel(unit, boundary) for unit in upright}
    known = {unit: float(kernel.sum()) for unit, kernel in kernels.items() if kernel is not None}
    sides = {float(np.sign(upright[unit]["ex"][0])) for unit in known}
    listed = (
        f"{unit} (high frequencies on the {'right' if upright[unit]['ex'][0] > 0 else 'left'}) {weight:+.2f}"
        for unit, weight in known.items()
    )
    yield Finding(
        f"{boundary} is excited by high-low detectors of vertical boundaries, whatever their polarity",
        "High-Low Frequency Detectors",
        "excited by both",
        ", ".join(listed) if known else "no kernel of such a detector is published",
        verdict(all(weight > 0 for weight in known.values()))
        if len(sides) == 2
        else "cannot be checked",
    )
    detectors = set(evidence.members("mixed3a", "High-Low Frequency"))
    receivers = sum(evidence.branches["mixed3b"].values())
    shown = sum(
        sender in detectors and evidence.block_of(receiver) == "mixed3b"
        for sender, receiver in evidence.edges
    )
    yield Finding(
        "8 of the 20 strongest readers of the high-low detectors are about boundaries",
        "High-Low Frequency Detectors",
        "8 of the first 20 by L2 norm",
        f"needs all {len(detectors)} x {receivers} kernels onto mixed3b; {shown} are published",
        "cannot be checked",
    )
