"""Mirrored unions and posed pairs: queries, twins, cosines by hand, and planted ones among
decoys.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, find, find_significant, missing
from circuitome.queries.motifs.fans import EdgeValues
from circuitome.queries.motifs.significance import Task, assess
from tests.support.planted_equivariance import mirrored, poses
from tests.support.planted_kinds import Plan, precision_and_recall, randomly_annotated
from tests.support.synthetic import write_bundle

LOOSE: dict[str, dict[str, Any]] = {
    "mirrored_unions": {"opposed": -0.5, "together": -0.5, "strength": 0.3, "polarity": 0.0},
    "posed_pairs": {"strength": 0.3, "polarity": 0.0},
}
"""Thresholds at which small random networks have instances."""


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.5, 1.0]))
def test_the_queries_find_what_the_twins_find(
    database: Database, tmp_path: Path, seed: int, density: float
) -> None:
    bundle = randomly_annotated(tmp_path / "r", seed=seed, density=density)
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for kind, loose in LOOSE.items():
        asked: list[dict[str, Any]] = [
            {"limit": 3},
            {"limit": 100_000},
            {"transform": "rotate", "q": 1.0, "limit": 100_000},
        ]
        number = 0
        for more in asked:
            parameters = loose | more
            rows = find(database, kind, **parameters)
            assert rows == MOTIFS[kind].rows(graph, **parameters)
            limit = parameters.pop("limit")
            assert len(rows) == min(limit, MOTIFS[kind].count(graph, **parameters))
            number += len(rows)
        assert number, kind


def test_cosines_are_those_of_whole_columns(tmp_path: Path) -> None:
    graph = SignedGraph.of_bundle(
        write_bundle(tmp_path / "r", layers=(3, 10, 8, 6), density=0.4, seed=3)
    )
    first, second = np.triu_indices(len(graph.keys), 1)
    matrix = np.zeros((len(graph.keys), len(graph.keys)))
    matrix[graph.sender, graph.receiver] = graph.weight
    norm = np.linalg.norm(matrix, axis=0)
    shared = ((matrix != 0).T.astype(int) @ (matrix != 0).astype(int))[first, second] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.where(
            shared, (matrix.T @ matrix / np.outer(norm, norm))[first, second], np.nan
        )
    reads = EdgeValues(graph.receiver, graph.sender, graph.weight, len(graph.keys))
    found = reads.cosines(first, second)
    assert found == pytest.approx(expected, nan_ok=True)
    assert shared.any()
    assert not shared.all()


ROLES = {
    "mirrored_unions": ["case"],
    "posed_pairs": ["first", "second", "later_first", "later_second", "union"],
}


@pytest.mark.parametrize(("kind", "plan"), [("mirrored_unions", mirrored), ("posed_pairs", poses)])
def test_planted_ones_are_told_from_decoys_under_noise(
    tmp_path: Path, kind: str, plan: Callable[[np.random.Generator], Plan]
) -> None:
    precision, recall = precision_and_recall(plan, kind, ROLES[kind], tmp_path / "p")
    assert precision >= 0.95
    assert recall >= 0.95


@pytest.mark.parametrize(("kind", "plan"), [("mirrored_unions", mirrored), ("posed_pairs", poses)])
def test_planted_ones_are_significant(
    database: Database, tmp_path: Path, kind: str, plan: Callable[[np.random.Generator], Plan]
) -> None:
    plan(np.random.default_rng(0)).write(tmp_path / "p")
    database.load(Bundle.open(tmp_path / "p"))
    rows, found = find_significant(database, kind, nulls=49)
    assert (found.null, found.instance_null) == ("relabel", "kernels")
    assert found.p <= 0.05
    assert len(rows) == 4
    assert all(row["null"] == "kernels" and row["q"] <= 0.05 for row in rows)


def test_random_networks_have_no_enrichment(tmp_path: Path) -> None:
    # p may only be larger than uniform: of 60 at rate 0.1 more than 14 come about once in a
    # thousand times
    tries, small = 30, 0
    for seed in range(tries):
        graph = SignedGraph.of_bundle(randomly_annotated(tmp_path / "r", seed=seed, density=1.0))
        tasks = [Task.of(MOTIFS[kind], parameters) for kind, parameters in LOOSE.items()]
        small += sum(
            found.p <= 0.1 for found in assess(graph, tasks, nulls=19, seed=seed, workers=1)
        )
    assert small <= 14


def test_without_pairs_it_is_said_how_to_get_them(database: Database, tmp_path: Path) -> None:
    database.load(write_bundle(tmp_path / "bare"))
    for kind in LOOSE:
        assert find(database, kind) == []
        assert "circuitome annotate BUNDLE" in (missing(database, kind) or "")
    _, found = find_significant(database, "posed_pairs", nulls=1)
    assert found.instances == 0


def test_a_transform_without_pairs_is_named(database: Database, tmp_path: Path) -> None:
    database.load(randomly_annotated(tmp_path / "r", seed=0, density=1.0))
    text = missing(database, "mirrored_unions", transform="hue", q=0.05)
    assert text == "toy has no pairs under 'hue' at q <= 0.05; it has flip_h, rotate"
    assert missing(database, "mirrored_unions") is None
