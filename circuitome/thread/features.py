"""Neurons and families of the first layers: *An Overview of Early Vision in InceptionV1*."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from circuitome.filters import filter_kinds
from circuitome.thread.evidence import Evidence, Finding, verdict

__all__ = ["early_vision", "first_layer"]


def early_vision(evidence: Evidence) -> Iterator[Finding]:
    """Neurons and families of the first five layers."""
    neurons, families = len(evidence.layer_of), len(evidence.families)
    once = Counter(neuron for members in evidence.families.values() for neuron in members)
    sorted_once = set(once) == set(evidence.layer_of) and max(once.values()) == 1
    yield Finding(
        "every neuron of the first five layers is in one family",
        "Early Vision",
        "1,056 neurons",
        f"{neurons:,} neurons, {families} families, {'each neuron in one' if sorted_once else 'not each in one'}",
        verdict(neurons == 1056 and sorted_once),
    )
    lines = len(evidence.members("conv2d2", "Line")) + len(
        evidence.members("conv2d2", "Shifted Line")
    )
    layer = sum(name == "conv2d2" for name in evidence.layer_of.values())
    yield Finding(
        "line detectors in conv2d2",
        "Early Vision",
        "about 25 %",
        f"{lines} of {layer}, {lines / layer:.1%} (families Line and Shifted Line)",
        verdict(round(20 * lines / layer) == 5),  # 25 % to the nearest 5 %
    )


def first_layer(evidence: Evidence) -> Iterator[Finding]:
    """The families of conv2d0 against our rule for filters, that was found on these labels."""
    labels = {"Gabor Filters": "gabor", "Color Contrast": "colour_contrast", "Other Units": "other"}
    found = filter_kinds(evidence.truth.first_filters).kind
    cells = []
    agree = 0
    for title, label in labels.items():
        kinds = Counter(
            str(found[int(key.rpartition(":")[2])]) for key in evidence.members("conv2d0", title)
        )
        agree += kinds[label]
        cells.append(
            f"{title} {sum(kinds.values())}: "
            + ", ".join(f"{kinds[kind]} {kind}" for kind in labels.values())
        )
    commonest = max(len(evidence.members("conv2d0", title)) for title in labels)
    yield Finding(
        "taxonomy of the 64 filters of conv2d0",
        "Early Vision",
        "Gabor 28, Color Contrast 27, Other 9",
        f"{agree} of {len(found)} agree with our rule, which was found on these labels; "
        + "; ".join(cells),
        verdict(agree > commonest),  # more than the best constant answer
    )
