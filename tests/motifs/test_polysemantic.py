"""Polysemantic neurons: the query, its array form, cosines by hand, and planted neurons among
decoys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, find, find_significant
from tests.support.planted_kinds import precision_and_recall
from tests.support.planted_weights import readers
from tests.support.synthetic import write_bundle, write_planted

LOOSE: dict[str, Any] = {
    "strength": 0.3,
    "polarity": 0.0,
    "alike": 0.05,
    "apart": 0.05,
    "min_inputs": 2,
}
ROWS = MOTIFS["polysemantic_neuron"].rows


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.4, 1.0]))
def test_the_query_finds_what_the_twin_finds(
    database: Database, tmp_path: Path, seed: int, density: float
) -> None:
    bundle = write_bundle(
        tmp_path / "r", layers=(6, 16, 20, 16, 6), seed=seed, density=density, force=True
    )
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for limit in (2, 100_000):
        rows = find(database, "polysemantic_neuron", limit=limit, **LOOSE)
        assert rows == ROWS(graph, limit=limit, **LOOSE)
        assert len(rows) == min(limit, MOTIFS["polysemantic_neuron"].count(graph, **LOOSE))
    assert rows


def by_hand(
    bundle: Bundle, *, alike: float, apart: float, min_inputs: int
) -> dict[str, tuple[set[str], set[str]]]:
    """Neuron -> its two groups, from loops over the edges of a bundle, all of which are strong."""
    edges = [
        (name == "EXCITES", row)
        for name in ("EXCITES", "INHIBITS")
        for row in bundle.table(name).to_pylist()
    ]
    fan_in: dict[str, dict[str, float]] = {}
    inputs: dict[str, list[tuple[int, str]]] = {}
    for excites, row in edges:
        fan_in.setdefault(row["to"], {})[row["from"]] = row["weight"]
        if excites:
            inputs.setdefault(row["to"], []).append((row["rank"], row["from"]))

    def cosine(one: str, other: str) -> float:
        a, b = fan_in.get(one, {}), fan_in.get(other, {})
        if not a.keys() & b.keys():
            return np.nan
        both = sum(a[key] * b[key] for key in a.keys() & b.keys())
        return both / np.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))

    found = {}
    for neuron, ranked in inputs.items():
        names = [name for _, name in sorted(ranked)]
        second = next((name for name in names if cosine(names[0], name) < apart), None)
        if second is None:
            continue
        one = {n for n in names if cosine(names[0], n) >= alike and cosine(second, n) < apart}
        other = {n for n in names if cosine(second, n) >= alike and cosine(names[0], n) < apart}
        if min(len(one), len(other)) >= min_inputs:
            found[neuron] = (one, other)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_loops_over_edges(tmp_path: Path, seed: int) -> None:
    bundle = write_bundle(
        tmp_path / "r", layers=(6, 16, 20, 16, 6), seed=seed, density=0.6, force=True
    )
    limits = {"alike": 0.2, "apart": 0.1, "min_inputs": 2}
    rows = ROWS(SignedGraph.of_bundle(bundle), strength=0.0, polarity=-1.0, limit=100_000, **limits)
    found = {
        row["roles"]["neuron"][0]: (set(row["roles"]["group_1"]), set(row["roles"]["group_2"]))
        for row in rows
    }
    assert found == by_hand(bundle, **limits)
    assert found


def test_the_score_is_the_mean_cosine_of_the_less_coherent_group(tmp_path: Path) -> None:
    # cosines with the strongest of the group: 0.8 and 0.6; and 1 and 1
    fan_in = {
        0: (1, 0, 0, 0),
        1: (0.8, 0.6, 0, 0),
        2: (0.6, -0.8, 0, 0),
        3: (0, 0, 1, 0),
        4: (0, 0, 2, 0),
        5: (0, 0, 3, 0),
    }
    edges = [
        (f"in:{a}", f"mid:{m}", float(w)) for m, row in fan_in.items() for a, w in enumerate(row)
    ]
    edges = [(a, m, w if w else 1e-9) for a, m, w in edges]  # all can be compared
    edges += [(f"mid:{m}", "out:0", 2.0 - 0.1 * m) for m in fan_in]
    bundle = write_planted(tmp_path / "p", {"in": 4, "mid": 6, "out": 1}, edges)
    (row,) = ROWS(SignedGraph.of_bundle(bundle), strength=0.1)
    assert row["score"] == pytest.approx(0.7)
    assert row["roles"] == {
        "neuron": ["planted/out:0"],
        "group_1": [f"planted/mid:{m}" for m in (0, 1, 2)],
        "group_2": [f"planted/mid:{m}" for m in (3, 4, 5)],
    }


def test_inputs_that_read_nothing_in_common_are_not_compared(tmp_path: Path) -> None:
    edges = [
        (f"{home}:0", f"{layer}:{m}", 1.0)
        for home, layer in (("a", "b"), ("c", "d"))
        for m in range(3)
    ]
    edges += [(f"{layer}:{m}", "out:0", 1.0) for layer in ("b", "d") for m in range(3)]
    bundle = write_planted(tmp_path / "p", {"a": 1, "c": 1, "b": 3, "d": 3, "out": 1}, edges)
    assert ROWS(SignedGraph.of_bundle(bundle), strength=0.1) == []


def test_planted_neurons_are_told_from_decoys_under_noise(tmp_path: Path) -> None:
    precision, recall = precision_and_recall(
        readers, "polysemantic_neuron", ["neuron"], tmp_path / "p"
    )
    assert precision >= 0.95
    assert recall >= 0.95


def test_planted_neurons_are_significant(database: Database, tmp_path: Path) -> None:
    plan = readers(np.random.default_rng(0))
    plan.write(tmp_path / "p")
    database.load(Bundle.open(tmp_path / "p"))
    rows, found = find_significant(database, "polysemantic_neuron", nulls=49)
    assert (found.null, found.instance_null) == ("relabel", "kernels")
    assert found.p == 0.02
    assert rows
    assert all(row["null"] == "kernels" and row["q"] <= 0.05 for row in rows)


def test_random_networks_have_no_enrichment(tmp_path: Path) -> None:
    # p may only be larger than uniform: of 40 at rate 0.1 more than 11 come about once in a
    # thousand times
    motif, small = MOTIFS["polysemantic_neuron"], 0
    from circuitome.queries.motifs.significance import Task, assess

    for seed in range(40):
        bundle = write_bundle(
            tmp_path / "r", layers=(6, 24, 24, 12), seed=seed, density=1.0, force=True
        )
        graph = SignedGraph.of_bundle(bundle)
        (found,) = assess(graph, [Task.of(motif, LOOSE)], nulls=19, seed=seed, workers=1)
        small += found.p <= 0.1
    assert small <= 11


def test_few_inputs_are_no_groups(tmp_path: Path) -> None:
    graph = SignedGraph.of_bundle(write_bundle(tmp_path / "r"))
    assert ROWS(graph, strength=0.0, polarity=0.0, alike=-1.0, apart=1.0, min_inputs=50) == []
