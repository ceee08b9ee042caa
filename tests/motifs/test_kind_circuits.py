"""Circuits between kinds: queries, twins, planted instances among decoys, and what is said
where annotation lacks.
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
from circuitome.queries.motifs.nulls import labels
from circuitome.queries.motifs.significance import Task, assess
from tests.support.planted_circuits import boundaries, colours, contrasts
from tests.support.planted_kinds import (
    Plan,
    annotate,
    around,
    precision_and_recall,
    randomly_annotated,
)
from tests.support.synthetic import write_bundle, write_planted

LOOSE: dict[str, dict[str, Any]] = {
    "contrast_to_centre": {"strength": 0.1, "apart": 0.1, "min_inputs": 1, "min_score": 0.05},
    "high_low_to_boundary": {"strength": 0.1, "polarity": 0.0, "agreement": 0.0},
    "black_white_vs_colour": {"strength": 0.1, "min_score": 0.05},
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
    for kind, parameters in LOOSE.items():
        for limit in (2, 100_000):
            rows = find(database, kind, limit=limit, **parameters)
            assert rows == MOTIFS[kind].rows(graph, limit=limit, **parameters)
            assert len(rows) == min(limit, MOTIFS[kind].count(graph, **parameters))


def test_random_networks_have_instances_of_each_at_loose_thresholds(tmp_path: Path) -> None:
    """Otherwise the test above compares nothing."""
    graphs = [
        SignedGraph.of_bundle(randomly_annotated(tmp_path / "r", seed=seed, density=1.0))
        for seed in range(3)
    ]
    for kind, parameters in LOOSE.items():
        assert sum(MOTIFS[kind].count(graph, **parameters) for graph in graphs) >= 3, kind


@pytest.mark.parametrize(
    ("kind", "roles", "plan", "parameters"),
    [
        ("contrast_to_centre", ["centre"], contrasts, {}),
        ("high_low_to_boundary", ["boundary", "high_low", "cue"], boundaries, {}),
        ("black_white_vs_colour", ["detector"], colours, {}),
    ],
)
def test_planted_circuits_are_told_from_decoys_under_noise(
    tmp_path: Path,
    kind: str,
    roles: list[str],
    plan: Callable[[np.random.Generator], Plan],
    parameters: dict[str, Any],
) -> None:
    precision, recall = precision_and_recall(plan, kind, roles, tmp_path / "planted", **parameters)
    assert precision >= 0.95
    assert recall >= 0.95


def kernel(degrees: float) -> list[list[float]]:
    """Excitation in one direction from the centre, inhibition in the other."""
    values = np.zeros((3, 3))
    values[around(degrees)], values[around(degrees + 180)] = 1, -1
    return values.tolist()


@pytest.mark.parametrize(
    ("place", "orientation", "hue", "facing"),
    [
        (90, 180, 60, 1.0),  # above the centre, the hue below the border
        (90, 0, 60, -1.0),  # the hue above it
        (90, 0, 240, 1.0),  # the opposite hue above it: the same border
        (0, 90, 60, 1.0),  # to the right, the hue to the left
        (0, 0, 60, 0.0),
        (180, 270, 120, 0.5),  # to the left, a hue 60 degrees off to the right
        (45, 135, 60, 1.0),
    ],
)
def test_facing_is_the_angle_between_the_named_side_and_the_centre(
    tmp_path: Path, place: float, orientation: float, hue: float, facing: float
) -> None:
    bundle = write_planted(
        tmp_path / "p", {"in": 1, "out": 1}, [("in:0", "out:0", kernel(place))], size=3
    )
    labelled = {
        "planted/in:0": {"kind": "colour_contrast", "orientation_deg": orientation, "hue_deg": hue},
        "planted/out:0": {"kind": "colour_centre_surround", "hue_deg": 60.0},
    }
    graph = SignedGraph.of_bundle(annotate(bundle, labelled))
    rows = MOTIFS["contrast_to_centre"].rows(graph, min_inputs=1, min_score=-1.0)
    assert [row["score"] for row in rows] == pytest.approx([facing], abs=1e-9)


def test_without_annotation_it_is_said_how_to_get_it(database: Database, tmp_path: Path) -> None:
    database.load(write_bundle(tmp_path / "bare"))
    for kind in LOOSE:
        assert find(database, kind) == []
        assert "circuitome annotate BUNDLE" in (missing(database, kind) or "")


def test_a_lacking_kind_is_named(database: Database, tmp_path: Path) -> None:
    bundle = annotate(write_bundle(tmp_path / "toy"), {"toy/conv1:0": {"kind": "line"}})
    database.load(bundle)
    assert missing(database, "high_low_to_boundary") == "no neuron of toy is of kind high_low"
    assert "of kind bw_vs_colour, and none colour_centre_surround or colour_contrast or hue" in (
        missing(database, "black_white_vs_colour") or ""
    )


def test_dealing_labels_keeps_edges_and_what_each_layer_has(tmp_path: Path) -> None:
    graph = SignedGraph.of_bundle(randomly_annotated(tmp_path / "r", seed=1, density=1.0))
    dealt = labels(graph, np.random.default_rng(0))
    assert dealt.sender is graph.sender
    assert dealt.weight is graph.weight

    def told(one: SignedGraph) -> list[tuple[Any, ...]]:
        columns = (one.kind, np.nan_to_num(one.preferences["hue_deg"], nan=-1))
        return list(zip(one.layer.tolist(), *(column.tolist() for column in columns), strict=True))

    assert sorted(told(dealt)) == sorted(told(graph))
    assert told(dealt) != told(graph)
    # a pair joins the labels that it joined before
    ends = [
        sorted(
            (told(one)[a], told(one)[b])
            for a, b in zip(one.partners.first, one.partners.second, strict=True)
        )
        for one in (graph, dealt)
    ]
    assert ends[0] == ends[1]


def test_random_labels_are_no_enrichment(tmp_path: Path) -> None:
    tries, small = 30, 0
    for seed in range(tries):
        graph = SignedGraph.of_bundle(randomly_annotated(tmp_path / "r", seed=seed, density=1.0))
        tasks = [Task.of(MOTIFS[kind], LOOSE[kind]) for kind in LOOSE]
        small += sum(
            found.p <= 0.1 for found in assess(graph, tasks, nulls=19, seed=seed, workers=1)
        )
    # p may only be larger than uniform: of 90 at rate 0.1 more than 19 come about once in a
    # thousand times
    assert small <= 19


def test_a_planted_circuit_is_significant_and_its_null_is_named(
    database: Database, tmp_path: Path
) -> None:
    plan = boundaries(np.random.default_rng(0), idle=240)
    plan.write(tmp_path / "planted")

    database.load(Bundle.open(tmp_path / "planted"))
    rows, found = find_significant(database, "high_low_to_boundary", nulls=99)
    assert (found.null, found.instance_null) == ("labels", "kernels")
    assert found.instances == len(rows) == 12
    assert found.p == 0.01
    assert all(row["null"] == "kernels" and row["q"] <= 0.05 for row in rows)
