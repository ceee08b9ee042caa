"""Circuits between kinds of features: what the motifs share that ask what a neuron responds to.

Kinds and preferences come from annotation; edges from the weights. The null `labels` deals what
annotation says of a neuron to another neuron of its layer, and leaves the edges alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from circuitome.queries.asks import Asks
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack, annotated, no_kinds
from circuitome.queries.motifs.motif import Value

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["kinds_of", "lacking_kinds", "lacking_pairs", "of_kind", "sent_by"]


def of_kind(graph: SignedGraph, *kinds: str) -> np.ndarray:
    """Which neurons are of one of these kinds, ``(n,)`` bool."""
    return np.isin(graph.kind, kinds)


def sent_by(graph: SignedGraph, kinds: Sequence[str], edges: np.ndarray) -> np.ndarray:
    """Numbers of those among the edges, ``(e,)`` bool, that neurons of these kinds send."""
    return np.flatnonzero(edges & of_kind(graph, *kinds)[graph.sender])


def kinds_of(database: Asks, model: str) -> set[str]:
    """The kinds that neurons of a model have."""
    return set(database.ask("neurons", model=model).table.column("kind").to_pylist()) - {None}


def lacking_kinds(*needed: Sequence[str]) -> Callable[..., Lack | None]:
    """`Motif.needs` of a motif that needs neurons of one of each of some sets of kinds."""

    def missing(database: Asks, model: str, **_: Value) -> Lack | None:
        known = kinds_of(database, model)
        if not known:
            return no_kinds(model)
        absent = [" or ".join(kinds) for kinds in needed if not known & set(kinds)]
        if not absent:
            return None
        reason = f"no neuron of {model} is of kind {', and none '.join(absent)}"
        return Lack(f"neurons of kind {', and '.join(absent)}", reason)

    return missing


def lacking_pairs(
    database: Database, model: str, *, transform: str, q: float, **_: Value
) -> Lack | None:
    """What a model lacks for a motif of equivariant pairs, and how to get it."""
    pairs = database.ask("equivariant_pairs", model=model).to_dicts()
    if not pairs and not annotated(database, model, "equivariance"):
        return Lack(
            "annotate --parts equivariance",
            f"{model} has no equivariant pairs; `circuitome annotate BUNDLE --parts equivariance` "
            "looks for them, then load the bundle again",
        )
    found = {row["transform"] for row in pairs if row["q"] is not None and row["q"] <= q}
    if transform in found:
        return None
    known = ", ".join(sorted(found)) or "none"
    reason = f"{model} has no pairs under {transform!r} at q <= {q:g}; it has {known}"
    return Lack(f"pairs under {transform} at q <= {q:g}", reason)
