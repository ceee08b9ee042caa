"""Power and calibration of motifs in networks with trained-like weights, at default settings.

``python benchmarks/bench_motif_power.py [PART...]`` writes so many instances of one motif into each
of twenty networks (four architectures; `tests.support.trained_like_graphs`), and into others none.
It keeps its counts in ``results/motif_power.jsonl`` and renders the tables of the docs; a part is a
motif, or what is in the networks without one. Each network is compared with as many null networks
as a user gets.

*Power of p*: the share of networks with p <= .05. *Power of q*: the share of the planted instances
that have a row at q <= .05. *Calibration*: how many networks without a planted motif have p <= .05,
or a row at q <= .05.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.results import Q_MAX, Row, read, write
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS
from circuitome.queries.motifs.significance import NULLS, Significance, Task, assess
from tests.support.trained_like_graphs import (
    ARCHITECTURES,
    PLANTS,
    Recipe,
    TrainedLike,
    trained_like,
)

__all__ = ["UNPLANTED", "main", "powered", "unplanted"]

NETWORKS = 20
PLANTED = (1, 2, 4, 8)
FIRST_SEED = 5000  # no motif was chosen on these
UNPLANTED = {
    "no groups": Recipe(groups=0),
    "copies": Recipe(groups=5),
    "shared inputs": Recipe(decoy="sharing", groups=5),
    "mutual inhibition": Recipe("mutual_inhibition", 7),
}
"""Networks without a planted motif by what else is in them."""
OPPOSED = ("mutual_inhibition", "opponent_pairs", "push_pull")
"""Motifs that may stand in the last of these."""


def made(path: Path, place: int, recipe: Recipe) -> tuple[TrainedLike, SignedGraph]:
    """The network of that number."""
    name = list(ARCHITECTURES)[place % len(ARCHITECTURES)]
    network = trained_like(path, architecture=name, seed=FIRST_SEED + place, recipe=recipe)
    return network, SignedGraph.of_bundle(network.bundle)


def powered(
    path: Path, kind: str, planted: int, *, networks: int = NETWORKS, nulls: int = NULLS
) -> Row:
    """In how many networks with so many of a motif p and q find it."""
    small, found, there = 0, 0, 0
    for place in range(networks):
        network, graph = made(path, place, Recipe(kind, planted))
        (result,) = assess(graph, [Task.of(MOTIFS[kind])], nulls=nulls, seed=place)
        small += result.p is not None and result.p <= Q_MAX
        found += believed(network.planted, graph, result)
        there += planted
    row: Row = {"motif": kind, "planted": planted, "networks": networks}
    p = None if MOTIFS[kind].null is None else small
    return row | {"p": p, "found": found, "instances": there}


def believed(planted: Sequence[frozenset[str]], graph: SignedGraph, result: Significance) -> int:
    """How many of the planted instances have a row at a small q."""
    rows = result.annotate(MOTIFS[result.kind].rows(graph, limit=max(result.instances, 1)))
    kept = [row["roles"].values() for row in rows if row["q"] is not None and row["q"] <= Q_MAX]
    members = [frozenset().union(*roles) for roles in kept]
    return sum(any(instance <= other for other in members) for instance in planted)


def unplanted(
    path: Path, of: str, *, networks: int = NETWORKS, nulls: int = NULLS
) -> Iterator[Row]:
    """In how many networks without a planted motif p and q find one."""
    kinds = [kind for kind in PLANTS if of != "mutual inhibition" or kind not in OPPOSED]
    tasks = [Task.of(MOTIFS[kind]) for kind in kinds]
    results = []
    for place in range(networks):
        _, graph = made(path, networks + place, UNPLANTED[of])
        results.append(assess(graph, tasks, nulls=nulls, seed=place))
    for kind, found in zip(kinds, zip(*results, strict=True), strict=True):
        p = [result.p for result in found if result.p is not None]
        q = sum(result.least_q is not None and result.least_q <= Q_MAX for result in found)
        row: Row = {"motif": kind, "planted": 0, "of": of, "networks": networks}
        yield row | {"p": sum(value <= Q_MAX for value in p) if p else None, "found": q}


def measured(part: str) -> list[Row]:
    """The rows of networks with a motif of that kind, or without any."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        if part in UNPLANTED:
            return list(unplanted(path, part))
        return [powered(path, part, planted) for planted in PLANTED]


def main() -> None:
    parts = [*UNPLANTED, *PLANTS]
    origin = f"`python benchmarks/bench_motif_power.py`, run on {date.today()}."
    for part in sys.argv[1:] or parts:
        others = [row for row in read("motif_power") if _part(row) != part]
        rows = sorted(others + measured(part), key=lambda row: parts.index(_part(row)))
        write("motif_power", rows, origin=origin)
    result_pages.main()


def _part(row: Row) -> str:
    return str(row["of"] if "of" in row else row["motif"])


if __name__ == "__main__":
    main()
