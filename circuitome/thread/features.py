"""Neurons and families of the first layers: *An Overview of Early Vision in InceptionV1*."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from circuitome.filters import filter_kinds
from circuitome.thread.evidence import Evidence, Finding, cannot_be_checked, verdict
from circuitome.thread.ground_truth import FILTER_PICTURES
from circuitome.thread.published import in_layer

__all__ = ["early_vision", "first_layer"]

ARTICLE: Final = "Early Vision"
LABELS: Final = {
    "Gabor Filters": "gabor",
    "Color Contrast": "colour_contrast",
    "Other Units": "other",
}
"""The families of conv2d0, and the kind that each means."""


def early_vision(evidence: Evidence) -> Iterator[Finding]:
    """Neurons and families of the first five layers."""
    neurons, families = len(evidence.layer_of), len(evidence.families)
    times: Counter[str] = Counter()
    for members in evidence.families.values():
        times.update(members)
    sorted_once = set(times) == set(evidence.layer_of) and max(times.values()) == 1
    how = "each neuron in one" if sorted_once else "not each in one"
    yield Finding(
        "every neuron of the first five layers is in one family",
        ARTICLE,
        "1,056 neurons",
        f"{neurons:,} neurons, {families} families, {how}",
        verdict(neurons == 1056 and sorted_once),
    )
    titles = ("Line", "Shifted Line")
    lines = sum(len(evidence.members("conv2d2", title)) for title in titles)
    layer = sum(name == "conv2d2" for name in evidence.layer_of.values())
    yield Finding(
        "line detectors in conv2d2",
        ARTICLE,
        "about 25 %",
        f"{lines} of {layer}, {lines / layer:.1%} (families Line and Shifted Line)",
        verdict(round(20 * lines / layer) == 5),  # 25 % to the nearest 5 %
    )


def first_layer(evidence: Evidence) -> Iterator[Finding]:
    """The families of conv2d0 against our rule for filters, which was found on these labels."""
    claim = "taxonomy of the 64 filters of conv2d0"
    published = "Gabor 28, Color Contrast 27, Other 9"
    filters = evidence.truth.first_filters
    if filters is None:
        needs = (
            f"needs the pictures of the filters, which do not ship with this program: "
            f"--ground-truth DIR names a folder with {FILTER_PICTURES}"
        )
        yield cannot_be_checked(claim, ARTICLE, published=published, needs=needs)
        return
    found = filter_kinds(filters).kind.tolist()
    cells, sizes, agree = [], [], 0
    for title, label in LABELS.items():
        channels = [in_layer(key)[1] for key in evidence.members("conv2d0", title)]
        kinds = Counter(found[channel] for channel in channels)
        listed = ", ".join(f"{kinds[kind]} {kind}" for kind in LABELS.values())
        cells.append(f"{title} {len(channels)}: {listed}")
        sizes.append(len(channels))
        agree += kinds[label]
    measured = (
        f"{agree} of {len(found)} agree with our rule, which was found on these labels; "
        f"{'; '.join(cells)}"
    )
    best_constant = max(sizes)  # what one label for all filters would reach
    yield Finding(claim, ARTICLE, published, measured, verdict(agree > best_constant))
