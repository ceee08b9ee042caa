"""What the graph of the published circuits holds, and which file of the facts each part is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from circuitome.graphdb.bundle import Bundle

__all__ = ["Content", "contents"]


@dataclass(frozen=True, slots=True)
class Content:
    """One part of the graph."""

    what: str
    """In words: `neurons`, `signed edges` ..."""
    count: int
    """How many of them."""
    facts: str
    """File of the facts, whose source and licence the table of the facts names."""


def contents(bundle: Bundle) -> Iterator[Content]:
    """The parts of a bundle of `write_inception`."""
    architecture, families = "inceptionv1_architecture.json", "families_early_vision.json"
    yield Content("layers", bundle.rows("Layer"), architecture)
    yield Content("neurons", bundle.rows("Neuron"), architecture)
    yield Content("families", bundle.rows("Family"), families)
    tuned = bundle.table("Neuron")["tuned_to"]
    yield Content("tuning curves", len(tuned) - tuned.null_count, "tuning_curves.npz")
    signed = bundle.rows("EXCITES") + bundle.rows("INHIBITS")
    yield Content("signed edges", signed, "circuit_weights_from_figures.json")
    expanded = "expanded_weights_conv2d2_to_mixed3b_curves.npz"
    yield Content("expanded edges", bundle.rows("EXPANDED"), expanded)
