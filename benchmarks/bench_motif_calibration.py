"""Calibration of every motif: findings in networks that hold none, and how small p is there.

Two kinds of networks without findings, sixty tries each. *Twins* of the bundled networks have the
entries of their filters permuted. *Null networks* are taken for networks, each compared with others
drawn from itself. Motifs that ask what neurons respond to are tried on null networks of the
annotated bundles, which lie in the folder ``CIRCUITOME_BUNDLES``.

``python benchmarks/bench_motif_calibration.py [twins|nulls]`` measures both, or the one named; the
other keeps its tries in ``results/motif_calibration.jsonl``. At the end it renders the tables of
the docs (``python benchmarks/result_pages.py`` does that alone).
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from circuitome.extract import Network, extract
from circuitome.extract.models.resolve import resolve
from circuitome.extract.responses.twins import twin
from circuitome.graphdb.bundle import Bundle
from circuitome.networks import BUNDLED
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, MotifRow, branch_cluster, nulls
from circuitome.queries.motifs.places import Places
from circuitome.queries.motifs.significance import Task, assess

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import result_pages
from benchmarks.bench_motif_nulls import EVERY, bundle_of, exact, tested
from benchmarks.results import read, write

__all__ = ["main", "shuffled"]

TRIES = 60
NULLS = 99  # a try; with 199 the run takes twice as long
PLAIN = ("",)  # no part is annotated
Try = dict[str, Any]


def twins(folder: Path) -> Iterator[Try]:
    """Twins of the bundled networks, taken for networks; edges and kernels alone, nothing is
    annotated.
    """
    for place in range(TRIES):
        name = list(BUNDLED)[place % len(BUNDLED)]
        other = twin(resolve(name).model, 1000 + place)
        bundle = extract(
            Network(other, name="twin", input_shape=BUNDLED[name].input_size),
            output=folder / "twin",
            force=True,
        )
        graph = SignedGraph.of_bundle(bundle)
        for result in assess(graph, tested(graph, PLAIN), nulls=NULLS, seed=place):
            yield {"motif": result.kind, "of": "twins", "q": result.least_q, "p": result.p}
        for kind, rows in exact(bundle, graph, PLAIN):
            yield {"motif": kind, "of": "twins", "q": _least_q(rows), "p": None}


def null_networks(folder: Path) -> Iterator[Try]:
    """Null networks of the bundled ones, taken for networks: those of q for q, those of p for p."""
    residual = bundle_of("resnet20", folder)  # for the one motif that needs additions
    if residual is not None:
        yield from _residual(SignedGraph.of_bundle(residual).by_receiver())
    bundles = [bundle for name in BUNDLED if (bundle := bundle_of(name, folder)) is not None]
    graphs = [SignedGraph.of_bundle(bundle).by_receiver() for bundle in bundles]
    parts = [
        (bundle.table("Model").to_pylist()[0]["annotated"] or "").split(",") for bundle in bundles
    ]
    for place in range(TRIES):
        at = place % len(graphs)
        tasks = tested(graphs[at], parts[at])
        for name in dict.fromkeys(null for task in tasks for null in task.null_models):
            drawn = nulls.find_null(name)(graphs[at], np.random.default_rng([7, place]))
            asked = [_only(task, name) for task in tasks if name in task.null_models]
            yield from _tries(drawn, asked, name, place)
        if "kinds" in parts[at]:
            yield {"motif": "branch_cluster", "of": "nulls", "asks": "q", "p": None} | _dealt(
                bundles[at], place
            )


def _residual(graph: SignedGraph) -> Iterator[Try]:
    task = Task.of(MOTIFS["residual_bypass"])
    for place in range(TRIES):
        for name in task.null_models:
            drawn = nulls.find_null(name)(graph, np.random.default_rng([7, place]))
            yield from _tries(drawn, [_only(task, name)], name, place)


def _tries(graph: SignedGraph, tasks: list[Task], null: str, place: int) -> Iterator[Try]:
    for result in assess(graph, tasks, nulls=NULLS, seed=place):
        of_p = MOTIFS[result.kind].null == null
        found = {"p": result.p, "q": None} if of_p else {"p": None, "q": result.least_q}
        yield {"motif": result.kind, "of": "nulls", "asks": "p" if of_p else "q"} | found


def _only(task: Task, null: str) -> Task:
    """The task with one null model for both, so that no others are drawn."""
    return dataclasses.replace(task, instance_null=null, null=null)


def _dealt(bundle: Bundle, place: int) -> Try:
    places = shuffled(Places.of_bundle(bundle), np.random.default_rng(place))
    return {"q": _least_q(branch_cluster.MOTIF.rows(places, grouping="kind", limit=EVERY))}


def shuffled(places: Places, rng: np.random.Generator) -> Places:
    """The places with kinds dealt anew to the neurons at the end of each block."""
    kinds = {kind: members.copy() for kind, members in places.groups["kind"].items()}
    for block in sorted({block for block, _ in places.ends.values()}):
        there = np.flatnonzero(
            np.any([inside for name, inside in places.ends.values() if name == block], axis=0)
        )
        drawn = rng.permutation(there)
        kinds = {kind: _moved(members, there, drawn) for kind, members in kinds.items()}
    return dataclasses.replace(places, groups={**places.groups, "kind": kinds})


def _moved(members: np.ndarray, there: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    other = members.copy()
    other[there] = members[drawn]
    return other


def _least_q(rows: Sequence[MotifRow]) -> float | None:
    return min((row["q"] for row in rows if row["q"] is not None), default=None)


def together(tries: list[Try]) -> list[dict[str, Any]]:
    """All tries of a motif and kind of network in one row: the least q and the p of each."""
    rows = []
    for kind, of in sorted({(item["motif"], item["of"]) for item in tries}):
        here = [item for item in tries if (item["motif"], item["of"]) == (kind, of)]
        q = [_short(item["q"]) for item in here if item.get("asks", "q") == "q"]
        p = [_short(item["p"]) for item in here if item["p"] is not None]
        rows.append({"motif": kind, "of": of, "q": q, "p": p})
    return rows


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def main() -> None:
    for of in sys.argv[1:] or ["twins", "nulls"]:
        with tempfile.TemporaryDirectory() as folder:
            made = list((twins if of == "twins" else null_networks)(Path(folder)))
        rows = [row for row in read("motif_calibration") if row["of"] != of] + together(made)
        write("motif_calibration", rows)
    result_pages.main()


if __name__ == "__main__":
    main()
