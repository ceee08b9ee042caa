"""Motifs: queries on both engines, their vectorised twins, and brute force, all equal."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.opening import open_store
from circuitome.kernels import banding_ratio
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import EDGE_COLUMNS, PREFERENCES, SignedGraph
from circuitome.queries.motifs import MOTIFS, MotifRow, find, find_motif, motif
from tests.support.synthetic import annotated, write_bundle, write_planted

SIGNED = ("mutual_inhibition", "unioning_over_cases")
PAIRS = ("opponent_pairs", "push_pull")

CASES = [
    ("in:0", "case:0", 1.0),
    ("in:1", "case:0", -1.0),
    ("in:1", "case:1", 1.0),
    ("in:0", "case:1", -1.0),
]
UNION = [("case:0", "out:0", 1.0), ("case:1", "out:0", 1.0)]
DECOYS = [
    *[
        ("in:2", "case:2", 1.0),
        ("in:3", "case:2", 0.9),
        ("in:3", "case:3", 1.0),
        ("in:2", "case:3", 0.9),
    ],  # none inhibits
    *[
        ("in:4", "case:4", 1.0),
        ("in:5", "case:4", -1.0),
        ("in:5", "case:5", 1.0),
        ("in:4", "case:5", 1.0),
    ],  # one does
    *[
        ("case:2", "out:1", 1.0),
        ("case:3", "out:1", 1.0),
        ("case:4", "out:2", 1.0),
        ("case:5", "out:2", 1.0),
    ],
    *[
        ("in:6", "case:6", 1.0),
        ("in:7", "case:6", -1.0),
        ("in:7", "case:7", 1.0),
        ("in:6", "case:7", -1.0),
    ],  # opposed,
    *[("case:6", "out:3", 1.0), ("case:7", "out:3", -1.0)],  # but not united
]
SHAPE = {"in": 8, "case": 8, "out": 4}

HOSTS = [(f"in:{n}", f"host:{n}", 1.0) for n in (1, 2, 3)]
SPREAD = [("in:0", f"host:{n}", 0.7) for n in (1, 2, 3)]
AT_HOME = [("in:4", f"host:{n}", 0.6) for n in (1, 2, 3)] + [
    ("in:4", "host:4", 1.0)
]  # also spread, but main input of one


def planted(tmp_path: Path, shape: dict[str, int], edges: list[tuple[str, str, float]]) -> Bundle:
    return write_planted(tmp_path / "planted.circuitome", shape, edges, name="p", force=True)


def keys(names: str) -> list[str]:
    return [f"p/{name}" for name in names.split()]


def brute_force(
    graph: SignedGraph, strength: float, polarity: float
) -> tuple[list[Any], list[Any]]:
    """Mutual inhibitions and unions, by trying everything."""
    edges: dict[bool, dict[tuple[int, int], float]] = {True: {}, False: {}}
    for edge in np.flatnonzero(graph.strong(strength=strength, polarity=polarity)):
        edges[bool(graph.excites[edge])][graph.sender[edge], graph.receiver[edge]] = graph.strength[
            edge
        ]
    plus, minus = edges[True], edges[False]
    mutual, union = [], []
    for (a1, b1), (a2, b2) in itertools.product(plus, plus):
        if (
            b1 < b2
            and graph.layer[b1] == graph.layer[b2]
            and (a1, b2) in minus
            and (a2, b1) in minus
        ):
            score = min(plus[a1, b1], plus[a2, b2], minus[a1, b2], minus[a2, b1])
            mutual.append((-score, b1, b2, a1, a2))
            for (b, u), size in plus.items():
                if b == b1 and (b2, u) in plus:
                    union.append((-min(score, size, plus[b2, u]), u, b1, b2, a1, a2))
    return sorted(mutual), sorted(union)


def as_numbers(graph: SignedGraph, rows: list[MotifRow]) -> list[tuple[Any, ...]]:
    number = {key: place for place, key in enumerate(graph.keys)}
    return [
        (
            -row["score"],
            *(
                number[key]
                for role in ("union", "case", "source")
                for key in row["roles"].get(role, [])
            ),
        )
        for row in rows
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.3, 0.6, 1.0]),
    strength=st.sampled_from([0.2, 0.8, 1.5]),
)
def test_the_twins_find_what_brute_force_finds(
    tmp_path: Path, seed: int, density: float, strength: float
) -> None:
    bundle = write_bundle(
        tmp_path / "r", layers=(3, 5, 8, 6, 3), seed=seed, density=density, force=True
    )
    graph = SignedGraph.of_bundle(bundle)
    for kind, expected in zip(SIGNED, brute_force(graph, strength, 0.2), strict=True):
        assert MOTIFS[kind].count(graph, strength=strength) == len(expected)
        rows = MOTIFS[kind].rows(graph, strength=strength, limit=1_000_000)
        assert as_numbers(graph, rows) == expected


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.5, 1.0]),
    strength=st.sampled_from([0.3, 0.8]),
)
def test_the_queries_find_what_the_twins_find(
    database: Database, tmp_path: Path, seed: int, density: float, strength: float
) -> None:
    bundle = write_bundle(
        tmp_path / "r", layers=(3, 8, 12, 10, 4), seed=seed, density=density, force=True
    )
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for kind in (*SIGNED, "superposition"):
        for limit in (7, 100_000):
            rows = find(database, kind, strength=strength, limit=limit)
            assert rows == MOTIFS[kind].rows(graph, strength=strength, limit=limit)
            assert len(rows) == min(limit, MOTIFS[kind].count(graph, strength=strength))
    for kind in PAIRS:
        for limit in (7, 100_000):
            rows = find(database, kind, strength=strength, cosine=0.1, limit=limit)
            assert rows == MOTIFS[kind].rows(graph, strength=strength, cosine=0.1, limit=limit)
            assert len(rows) == min(limit, MOTIFS[kind].count(graph, strength=strength, cosine=0.1))


def test_a_graph_is_the_same_from_a_bundle_and_from_a_database(
    database: Database, tmp_path: Path
) -> None:
    bundle = annotated(write_bundle(tmp_path / "r", layers=(3, 8, 6, 4)))
    database.load(bundle)
    one, other = SignedGraph.of_bundle(bundle), SignedGraph.of_database(database)
    orders = [np.lexsort((graph.sender, graph.receiver)) for graph in (one, other)]
    for name in ("sender", "receiver", "excites", *EDGE_COLUMNS):
        np.testing.assert_array_equal(
            getattr(one, name)[orders[0]], getattr(other, name)[orders[1]], name
        )
    for name in ("keys", "layers", "layer", "fan_in", "kind"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    for name in PREFERENCES:
        np.testing.assert_array_equal(one.preferences[name], other.preferences[name], name)
    for name in ("first", "second", "transform", "amount", "q"):
        np.testing.assert_array_equal(
            getattr(one.partners, name), getattr(other.partners, name), name
        )
    assert len(one.partners.first)


def test_a_planted_union_is_found_and_its_decoys_are_not(
    database: Database, tmp_path: Path
) -> None:
    bundle = planted(tmp_path, SHAPE, CASES + UNION + DECOYS)
    database.load(bundle)
    roles = {"union": keys("out:0"), "case": keys("case:0 case:1"), "source": keys("in:0 in:1")}
    expected = [
        {
            "kind": "unioning_over_cases",
            "model": "p",
            "score": 1.0,
            "p": None,
            "q": None,
            "null": None,
            "roles": roles,
        }
    ]
    assert find(database, "unioning-over-cases", strength=0.5) == expected
    assert (
        MOTIFS["unioning_over_cases"].rows(SignedGraph.of_bundle(bundle), strength=0.5) == expected
    )


def test_planted_mutual_inhibition_is_found_and_its_decoys_are_not(
    database: Database, tmp_path: Path
) -> None:
    bundle = planted(tmp_path, SHAPE, CASES + UNION + DECOYS)
    database.load(bundle)
    found = find(database, "mutual_inhibition", strength=0.5)
    assert [row["roles"] for row in found] == [
        {"case": keys("case:0 case:1"), "source": keys("in:0 in:1")},
        {"case": keys("case:6 case:7"), "source": keys("in:6 in:7")},
    ]
    assert MOTIFS["mutual_inhibition"].rows(SignedGraph.of_bundle(bundle), strength=0.5) == found
    assert find(database, "mutual_inhibition", strength=1.5) == []


def test_a_planted_feature_in_superposition_is_found_and_one_with_a_home_is_not(
    database: Database, tmp_path: Path
) -> None:
    bundle = planted(tmp_path, {"in": 5, "host": 5}, HOSTS + SPREAD + AT_HOME)
    database.load(bundle)
    (row,) = find(database, "superposition", strength=0.5)
    assert row["roles"] == {"feature": keys("in:0"), "host": keys("host:1 host:2 host:3")}
    assert row["score"] == pytest.approx(3)
    assert MOTIFS["superposition"].rows(SignedGraph.of_bundle(bundle), strength=0.5) == [row]
    assert find(database, "superposition", strength=0.5, hosts=4) == []


def test_many_instances_are_cut_by_their_weakest_edge_before_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = SignedGraph.of_bundle(
        write_bundle(tmp_path / "r", layers=(3, 8, 12, 10, 4), density=1.0)
    )
    for kind in SIGNED:
        every = MOTIFS[kind].rows(graph, strength=0.1, limit=1_000_000)
        with monkeypatch.context() as patch:
            patch.setattr(motif, "MANY_INSTANCES", 0)
            assert (
                motif.top_of(graph, 10, strength=0.1, polarity=0.2, count=MOTIFS[kind].count) > 0.1
            )
            assert MOTIFS[kind].rows(graph, strength=0.1, limit=10) == every[:10]


def test_queries_and_twins_agree_on_ten_thousand_neurons(tmp_path: Path) -> None:
    layers = (3, *([1000] * 10), 10)
    bundle = write_bundle(tmp_path / "big", layers=layers, size=1, density=0.03)
    graph = SignedGraph.of_bundle(bundle)
    with Database(open_store(str(tmp_path / "big.db"), create=True)) as database:
        database.load(bundle)
        for kind, strength in (
            ("mutual_inhibition", 1.5),
            ("unioning_over_cases", 1),
            ("superposition", 2),
        ):
            rows = find(database, kind, strength=strength)
            assert rows
            assert rows == MOTIFS[kind].rows(graph, strength=strength)
        for kind in PAIRS:
            rows = find(database, kind, strength=1, cosine=0.1)
            assert rows
            assert rows == MOTIFS[kind].rows(graph, strength=1, cosine=0.1)


def test_banded_kernels_have_a_ratio_above_one() -> None:
    rows = np.broadcast_to(np.array([1.0, 0.0, -1.0])[:, None], (4, 2, 3, 3))
    tilted = rows + 0.5 * rows.swapaxes(2, 3)
    assert banding_ratio(tilted) == pytest.approx(4)
    assert banding_ratio(tilted.swapaxes(2, 3)) == pytest.approx(0.25)
    assert banding_ratio(rows) == np.inf
    assert np.isnan(banding_ratio(np.ones((1, 1, 1, 1))))


def test_planted_opponents_are_found_and_their_decoys_are_not(
    database: Database, tmp_path: Path
) -> None:
    database.load(planted(tmp_path, SHAPE, CASES + UNION + DECOYS))
    # both planted pairs are exact opposites; only the second is read as opposites, by `out:3`
    pairs = [keys("case:0 case:1"), keys("case:6 case:7")]
    found = find(database, "opponent_pairs", strength=0.5)
    assert [(row["roles"], row["score"]) for row in found] == [
        ({"case": pair}, 1.0) for pair in pairs
    ]
    found = find(database, "push_pull", strength=0.5)
    assert [(row["roles"], row["score"]) for row in found] == [({"case": pairs[1]}, 1.0)]


def test_an_unknown_motif_is_answered_with_near_ones(database: Database) -> None:
    with pytest.raises(QueryError, match=r"no motif is called 'mutual'; .*mutual_inhibition"):
        find_motif("mutual")
    assert find_motif("Weight-Banding") is MOTIFS["weight_banding"]
