"""Circuits of one network that recur in another: its preserved edges, and its motifs.

A motif recurs if analogues of all its neurons play the same parts in an instance of the same motif.
Chance: analogues permuted among those of one layer of the other network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import mutual_inhibition, opponent_pairs, push_pull
from circuitome.queries.motifs.motif import Motif
from circuitome.universality.features import mutual_links
from circuitome.universality.nulls import permutations
from circuitome.universality.preserved import (
    COPIES,
    Correspondence,
    Judged,
    Preserved,
    among,
    judged,
    preserved_edges,
    preserved_table,
    with_edges,
)

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.universality.compare import Comparison

__all__ = ["Recurrence", "circuit_rows", "compare_circuits", "recurrences"]

_RECURRING: Final = (opponent_pairs.MOTIF, push_pull.MOTIF, mutual_inhibition.MOTIF)
"""Motifs whose instances are looked for in the other network, with their own thresholds."""


def _instances(motif: Motif, graph: SignedGraph, neurons: np.ndarray) -> np.ndarray:
    """Instances of a motif all of whose neurons are among some, as rows of neurons."""
    chosen = among(graph, neurons)
    if motif is mutual_inhibition.MOTIF:  # has no part in other edges than its own
        graph = with_edges(graph, np.flatnonzero(chosen[graph.sender] & chosen[graph.receiver]))
    rows = np.column_stack(motif.instances(graph).columns())
    return rows[chosen[rows].all(1)]


_TURNED: Final = [1, 0, 3, 2]
"""Where the cases and their sources stand if the second case comes first."""


def _codes(rows: np.ndarray, size: int) -> np.ndarray:
    """One number an instance: its cases in ascending order, and their sources with them."""
    turned = rows[:, 0] > rows[:, 1]
    rows = np.where(turned[:, None], rows[:, _TURNED[: rows.shape[1]]], rows)
    return rows @ size ** np.arange(rows.shape[1])


class Recurrence(Judged):
    """Instances of a motif, and how many of them recur."""

    motif: str
    instances: int
    recurring: int


def recurrences(
    images: Correspondence, *, copies: int = COPIES, seed: int = 0
) -> Iterator[Recurrence]:
    """How many instances of each motif recur in the other network, and how many by chance."""
    here, there, m = images.here, images.there, len(images.own)
    own, others = images.places(), images.turned().places()
    rng, layer = np.random.default_rng(seed), there.layer[images.others]
    for motif in _RECURRING:
        codes = _codes(own[_instances(motif, here, images.own)], m)
        rows = others[_instances(motif, there, images.others)]
        null = np.zeros(copies, np.int64)
        if len(codes) and len(rows):
            drawn = permutations(layer, copies, rng)
            null[:] = [np.isin(codes, _codes(each[rows], m)).sum() for each in drawn]
        found = int(np.isin(codes, _codes(rows, m)).sum())
        yield {
            "motif": motif.kind,
            "instances": len(codes),
            "recurring": found,
            **judged(found, null),
        }


_COLUMNS: Final = (
    *("model", "other", "what", "senders", "receivers", "found", "again"),
    *("expected", "sd", "p", "null"),
)


def circuit_rows(found: Preserved, motifs: Iterable[Recurrence]) -> list[dict[str, object]]:
    """What is preserved as rows of one shape: all edges, edges by pairs of layers, motifs."""
    about = {"model": found.model, "other": found.other}
    no_layers = {"senders": None, "receivers": None, "null": "permuted analogues"}
    edges = [
        {**row, "what": "edges", "found": row["edges"], "again": row["preserved"]}
        for row in chain(found.judged(whole=True), found.judged())
    ]
    recurring = [
        {**row, "what": row["motif"], "found": row["instances"], "again": row["recurring"]}
        for row in motifs
    ]
    return [
        *(_in_columns(about | row) for row in edges),
        *(_in_columns(about | no_layers | row) for row in recurring),
    ]


def _in_columns(row: Mapping[str, object]) -> dict[str, object]:
    return {name: row[name] for name in _COLUMNS}


def compare_circuits(
    found: Comparison, a: Bundle, b: Bundle, *, copies: int = COPIES, seed: int = 0
) -> Comparison:
    """The comparison with its circuits: rows of ``PRESERVED_IN``, and `Comparison.circuits`."""
    links = mutual_links([found.tables["ANALOGOUS_TO"]])
    pairs = [
        (one, other) if one.startswith(f"{found.a}/") else (other, one)
        for one, other in links.ends()
    ]
    images = Correspondence.of(SignedGraph.of_bundle(a), SignedGraph.of_bundle(b), pairs)
    ways, rows = [], []
    for way in (images, images.turned()):
        edges = preserved_edges(way, copies=copies, seed=seed)
        ways.append(edges)
        rows += circuit_rows(edges, recurrences(way, copies=copies, seed=seed))
    tables = {**found.tables, "PRESERVED_IN": preserved_table(ways)}
    return dataclasses.replace(found, tables=tables, circuits=tuple(rows))
