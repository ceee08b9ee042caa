"""Circuits between kinds of features: what the motifs share that ask what a neuron responds to.

Kinds and preferences come from annotation; edges from the weights. The null `labels` deals what annotation says of a
neuron to another neuron of its layer, and leaves the edges alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = [
    "BORDERS",
    "COLOURED",
    "EDGES_OF_LIGHT",
    "GREY",
    "lacking_kinds",
    "lacking_pairs",
    "of_kind",
]

COLOURED: Final = ("hue", "colour_contrast", "colour_centre_surround")
"""Kinds whose stimuli differ from grey in colour alone."""

EDGES_OF_LIGHT: Final = ("edge", "brightness_gradient")
"""Kinds with a bright side."""

BORDERS: Final = ("line", *EDGES_OF_LIGHT, "colour_contrast")
"""Kinds that show where a border runs, beside high-low frequency."""

GREY: Final = (
    *(
        "line",
        "edge",
        "grating",
        "gabor",
        "curve",
        "corner",
        "angle",
        "cross",
        "circle",
        "centre_surround",
        "line_end",
    ),
    *("spiral", "divergence", "high_low", "brightness_gradient", "oriented_texture"),
)
"""Kinds whose stimuli have no colour at all."""


def of_kind(graph: SignedGraph, *kinds: str) -> np.ndarray:
    """Which neurons are of one of these kinds, ``(n,)`` bool."""
    return np.isin(graph.kind, kinds)


def lacking_kinds(*needed: Sequence[str]) -> Callable[..., str | None]:
    """A `Motif.missing` for a motif that needs neurons of one of each of some sets of kinds."""

    def missing(database: Database, model: str, **_: Any) -> str | None:
        there = set(database.ask("neurons", model=model).table.column("kind").to_pylist()) - {None}
        if not there:
            return f"no neuron of {model} has a kind; `circuitome annotate BUNDLE` measures them, then load the bundle again"
        absent = [" or ".join(kinds) for kinds in needed if not there & set(kinds)]
        return f"no neuron of {model} is of kind {', and none '.join(absent)}" if absent else None

    return missing


def lacking_pairs(
    database: Database, model: str, *, transform: str = "flip_h", q: float = 0.05, **_: Any
) -> str | None:
    """What a model lacks for a motif of equivariant pairs, and how to get it."""
    pairs = database.ask("equivariant_pairs", model=model).to_dicts()
    if not pairs:
        return (
            f"{model} has no equivariant pairs; `circuitome annotate BUNDLE` looks for them (part `equivariance`), "
            "then load the bundle again"
        )
    found = {row["transform"] for row in pairs if row["q"] is not None and row["q"] <= q}
    if transform not in found:
        return f"{model} has no pairs under {transform!r} at q <= {q:g}; it has {', '.join(sorted(found)) or 'none'}"
    return None
