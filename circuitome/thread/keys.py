"""Keys of the graph: how units and families of the articles are called in it."""

from __future__ import annotations

from typing import Final

from circuitome.thread.ground_truth import GroundTruth
from circuitome.thread.published import in_layer

__all__ = ["MODEL", "family_key", "layer_key", "neuron_key"]

MODEL: Final = "inceptionv1_thread"
"""Key of the model: not `inceptionv1`, which a user's own extraction may have."""


def layer_key(name: str) -> str:
    """Key of a layer of the graph, which is a branch of an article's layer: `mixed3b_5x5`."""
    return f"{MODEL}/{name}"


def neuron_key(truth: GroundTruth, unit: str) -> str:
    """Key of a unit that is written as in the articles, ``mixed3b:379``."""
    layer, channel = in_layer(unit)
    branch = truth.branch_of(layer, channel)
    return f"{layer_key(branch.name)}:{channel - branch.start}"


def family_key(layer: str, title: str) -> str:
    """Key of a family; titles occur in several layers, so the layer stands before it."""
    return f"{MODEL}/curated:{layer} {title}"
