"""Layers whose kernels run in bands: *Weight Banding*.

The article has no number for it: it shows the kernels, and says which layers are banded. The number
here is the variance of the rows' means over that of the columns' means, summed over all kernels of
a layer; a claim holds if the layers are ordered as the article says. No threshold is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from circuitome.thread.evidence import Evidence, Finding, verdict
from circuitome.thread.published import BandedLayer

__all__ = ["Band", "banding", "expected_band"]

Band = Literal["horizontal", "vertical", "none", "exception"]


def expected_band(layer: BandedLayer) -> Band:
    """What the article says of a layer, by its network and how that was trained."""
    network = layer.network.lower()
    if "fc-only" in network:
        return "exception" if "vgg19" in network else "none"
    if "90deg" in network:
        return "vertical"
    if "x-avgpool" in network:
        return "horizontal" if "/5a/" in layer.layer or "/5a_" in layer.layer else "none"
    return "none" if "alexnet" in network else "horizontal"


def banding(evidence: Evidence) -> Iterator[Finding]:
    """Ratio of every layer that the article shows, against what it says of each."""
    ratios: dict[Band, dict[str, float]] = {band: {} for band in get_args(Band)}
    for layer in evidence.truth.banded:
        place = " 5a" if "/5a/" in layer.layer else ""
        ratios[expected_band(layer)][f"{layer.network}{place}"] = layer.ratio
    least_banded = min(ratios["horizontal"].values())
    most_plain, least_plain = max(ratios["none"].values()), min(ratios["none"].values())
    yield _row(
        "last layers before global average pooling are banded",
        "banded",
        ratios["horizontal"],
        holds=least_banded > most_plain,
    )
    yield _row(
        "trained on images turned by 90 degrees, the bands turn",
        "vertical bands",
        ratios["vertical"],
        holds=max(ratios["vertical"].values()) < min(1, least_plain),
    )
    yield _row(
        "no bands: AlexNet, a fully connected head, the last layer under pooling along x",
        "not banded",
        ratios["none"],
        holds=most_plain < least_banded,
    )
    yield _row(
        "VGG19 with a fully connected head is banded all the same",
        "the article's own exception",
        ratios["exception"],
        holds=min(ratios["exception"].values()) > most_plain,
    )


def _row(claim: str, published: str, ratios: Mapping[str, float], *, holds: bool) -> Finding:
    listed = sorted(ratios.items(), key=lambda item: -item[1])
    values = ", ".join(f"{name} {ratio:.2g}" for name, ratio in listed)
    measured = f"rows over columns: {values}"
    return Finding(claim, "Weight Banding", published, measured, verdict(holds))
