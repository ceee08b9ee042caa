"""p and q see motifs that are planted among trained-like weights, and see none where none is.

A tenth of `benchmarks/bench_motif_power.py`, with fewer null networks.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench_motif_power import UNPLANTED, powered, unplanted
from circuitome.queries.database import open_database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import (
    MOTIFS,
    Significance,
    find_significant,
    mutual_inhibition,
    nulls,
    summary,
    unioning_over_cases,
)
from circuitome.queries.occurrences import survey
from tests.support.synthetic import write_bundle
from tests.support.trained_like_graphs import ARCHITECTURES, PLANTS, Recipe, trained_like
from tests.support.trials import attempt

FEW = {"networks": 4, "nulls": 39}


def signs_of(graph: SignedGraph, strength: float) -> np.ndarray:
    """1 and -1 for strong edges, 0 for the others, ``(senders, receivers)``."""
    signs = np.zeros((len(graph.keys), len(graph.keys)))
    strong = (graph.strength >= strength) & (np.abs(graph.polarity) >= 0.2)
    signs[graph.sender[strong], graph.receiver[strong]] = np.where(graph.excites[strong], 1, -1)
    return signs


def brute(graph: SignedGraph, strength: float) -> tuple[dict[tuple[int, int], int], int]:
    """Cases that only oppose and their mutual inhibitions; and how many of these are united."""
    signs, pairs, united = signs_of(graph, strength), {}, 0
    for one, other in itertools.combinations(range(len(graph.keys)), 2):
        same = graph.layer[one] == graph.layer[other]
        product = signs[:, one] * signs[:, other]
        up = int(((product < 0) & (signs[:, one] > 0)).sum())
        down = int(((product < 0) & (signs[:, one] < 0)).sum())
        if same and up * down and not (product > 0).any():
            pairs[one, other] = up * down
            united += up * down * bool(((signs[one] > 0) & (signs[other] > 0)).any())
    return pairs, united


@pytest.mark.parametrize("seed", range(1, 6))
def test_what_p_of_unions_counts_is_what_trying_every_pair_counts(
    tmp_path: Path, seed: int
) -> None:
    bundle = write_bundle(tmp_path / "r", layers=(4, 12, 24, 24, 8), seed=seed, density=0.5)
    graph = SignedGraph.of_bundle(bundle)
    pairs, number = mutual_inhibition.only_opposed(graph, strength=0.7, polarity=0.2)
    expected, united = brute(graph, 0.7)
    assert dict(zip(map(tuple, pairs.tolist()), number.tolist(), strict=True)) == expected
    assert unioning_over_cases.enriched(graph, strength=0.7, polarity=0.2) == united
    assert 0 < united < number.sum()


def test_relabelled_networks_keep_the_pairs_that_only_oppose(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "r", layers=(4, 12, 24, 24, 8), seed=3, density=0.5)
    graph = SignedGraph.of_bundle(bundle)
    before, _ = mutual_inhibition.only_opposed(graph, strength=0.7, polarity=0.2)
    copy = nulls.relabel(graph, np.random.default_rng(0))
    assert copy.derived.keys() >= {("only opposed", 0.7, 0.2)}  # it is not computed again
    assert list(brute(copy, 0.7)[0]) == list(map(tuple, before.tolist()))
    counted = unioning_over_cases.enriched(copy, strength=0.7, polarity=0.2)
    assert counted == brute(copy, 0.7)[1]


@pytest.mark.parametrize("kind", ["unioning_over_cases", "mutual_inhibition"])
def test_most_of_what_is_planted_are_rows_at_default_thresholds(tmp_path: Path, kind: str) -> None:
    there = []
    for architecture in ARCHITECTURES:
        recipe = Recipe(kind, 6)
        network = trained_like(tmp_path / "t", architecture=architecture, seed=1, recipe=recipe)
        rows = MOTIFS[kind].rows(SignedGraph.of_bundle(network.bundle), limit=10_000)
        members = [frozenset().union(*row["roles"].values()) for row in rows]
        there += [any(planted <= found for found in members) for planted in network.planted]
    assert len(there) == 6 * len(ARCHITECTURES)
    assert np.mean(there) >= 0.85


def test_p_and_q_see_planted_unions(tmp_path: Path) -> None:
    row = powered(tmp_path / "t", "unioning_over_cases", 4, **FEW)
    assert row["p"] >= 0.8 * row["networks"]
    assert row["found"] >= 0.8 * row["instances"]


@pytest.mark.parametrize("of", [name for name in UNPLANTED if name != "shared inputs"])
def test_p_is_seldom_small_without_a_planted_motif(tmp_path: Path, of: str) -> None:
    rows = list(unplanted(tmp_path / "t", of, **FEW))
    assert {row["motif"] for row in rows} <= set(PLANTS)
    # of four, three are this small by chance in 5 networks of ten thousand
    small = {row["motif"]: row["p"] for row in rows if row["p"] is not None}
    del small["superposition_read_back"]  # what reads all copies of a neuron reads its input back
    assert max(small.values()) <= 2, small


def test_mutual_inhibition_has_a_q_and_no_p(tmp_path: Path) -> None:
    network = trained_like(tmp_path / "t", seed=0, recipe=Recipe("mutual_inhibition", 4))
    with open_database(tmp_path / "t.db", create=True) as database:
        database.load(network.bundle)
        rows, found = find_significant(database, "mutual_inhibition", nulls=19)
        kinds = ("mutual_inhibition", "unioning_over_cases")
        (alone, unions) = summary(database, nulls=19, kinds=kinds)
        first, second = survey(database, nulls=19, kinds=kinds)
    assert rows[0]["q"] is not None
    assert (found.p, found.null, found.null_mean, found.nulls) == (None, None, None, 19)
    assert isinstance(alone, Significance) and alone.p is None
    assert (first["p"], first["null"], first["q_null"]) == (None, None, "kernels")
    assert isinstance(unions, Significance) and unions.null == second["null"] == "relabel"
    assert unions.counted <= unions.instances


def test_the_program_says_why_there_is_no_p_and_what_p_counts(tmp_path: Path) -> None:
    network = trained_like(tmp_path / "t", seed=0, recipe=Recipe("unioning_over_cases", 2))
    db = ("--db", tmp_path / "t.db")
    assert attempt("load", network.bundle.path, *db).code == 0
    asked = (*db, "--null", "3", "--limit", "1")
    assert "; no p: no null model" in _words(attempt("motifs", "mutual_inhibition", *asked).err)
    said = _words(attempt("motifs", "unioning_over_cases", *asked).err)
    assert "p counts united mutual inhibitions" in said
    shown = attempt("motifs", "--evidence", "weights", *db, "--null", "3", "--json")
    rows = {row["kind"]: row for row in json.loads(shown.out)}
    assert rows["mutual_inhibition"]["p"] is rows["mutual_inhibition"]["null"] is None
    assert rows["unioning_over_cases"]["p"] is not None
    assert "mutual_inhibition: no p" in _words(shown.err)


def _words(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
