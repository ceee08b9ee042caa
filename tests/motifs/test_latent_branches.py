"""Latent branches: planted groups are found, shuffled matrices are not, and both engines give
the rows of the arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.algorithms.branches import (
    Between,
    balanced,
    between,
    dealt,
    layer_pairs,
    second_share,
)
from circuitome.queries.database import Database, open_database
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, find, summary
from circuitome.queries.motifs.latent_branches import MOTIF
from tests.support.planted_weights import grouped_weights
from tests.support.synthetic import write_bundle, write_planted


def written(path: Path, weights: np.ndarray) -> Bundle:
    """A network of two layers from its weights, ``(senders, receivers)``; zeros are no edges."""
    senders, receivers = weights.shape
    edges = [
        (f"in:{i}", f"out:{j}", float(weights[i, j]))
        for i, j in np.ndindex(weights.shape)
        if weights[i, j] != 0
    ]
    return write_planted(path, {"in": senders, "out": receivers}, edges, name="p", force=True)


def test_planted_groups_are_found_whatever_the_signs(tmp_path: Path) -> None:
    right, named = 0, 0
    for seed in range(20):
        weights, first, reads = grouped_weights(seed, noise=0.5)
        (row,) = layer_pairs(SignedGraph.of_bundle(written(tmp_path / "p", weights)), nulls=39)
        assert row["p"] == 1 / 40
        for senders, receivers in (("sender_1", "receiver_1"), ("sender_2", "receiver_2")):
            inside = [first[int(key.split(":")[1])] for key in row[senders]]
            reading = [reads[int(key.split(":")[1])] for key in row[receivers]]
            side = np.mean(inside) > 0.5
            right += sum(value == side for value in inside + reading)
            named += len(inside + reading)
    assert named == 20 * 4 * 8
    assert right / named >= 0.95


def test_neurons_that_merely_send_or_read_much_are_no_groups(tmp_path: Path) -> None:
    p = []
    for seed in range(60):
        weights, _, _ = grouped_weights(seed, noise=0.5, popular=True)
        (row,) = layer_pairs(
            SignedGraph.of_bundle(written(tmp_path / "p", weights)), nulls=19, seed=seed
        )
        p.append(row["p"])
    # three are expected; more than ten of sixty would be seen once in ten thousand times
    assert sum(value <= 0.05 for value in p) <= 10


def test_the_share_is_that_of_the_singular_values() -> None:
    norms = np.abs(np.random.default_rng(0).standard_normal((2, 7, 5)))
    for matrix, share in zip(norms, second_share(norms), strict=True):
        values = np.linalg.svd(matrix)[1] ** 2
        assert share == pytest.approx(values[1] / values[1:].sum())
    assert second_share(np.ones((4, 4))) == 0  # nothing is left


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.3, 0.7, 1.0]))
def test_shuffling_keeps_what_a_sender_sends_and_where_it_is_wired(
    seed: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    wired = rng.random((6, 8)) < density
    norms = rng.random((6, 8)) * wired
    moved = dealt(Between(np.arange(6), np.arange(8), norms, wired), rng)
    assert (np.sort(moved, 1) == np.sort(norms, 1)).all()
    assert (moved[~wired] == 0).all()


def test_balancing_takes_out_what_neurons_send_and_read() -> None:
    rng = np.random.default_rng(0)
    inner, sends, reads = (
        rng.random((6, 8)) + 0.1,
        np.exp(rng.standard_normal((6, 1))),
        np.exp(rng.standard_normal(8)),
    )
    assert balanced(sends * inner * reads) == pytest.approx(balanced(inner), rel=1e-4)
    assert balanced(inner).mean(0) == pytest.approx(np.ones(8), rel=1e-4)


def test_layers_that_are_too_small_or_only_hand_on_are_left_out(tmp_path: Path) -> None:
    handed = np.eye(10)
    graph = SignedGraph.of_bundle(written(tmp_path / "p", handed))
    assert list(between(graph, members=4)) == []
    graph = SignedGraph.of_bundle(written(tmp_path / "q", np.ones((3, 10))))
    assert list(between(graph, members=4)) == []
    assert MOTIF.count(SignedGraph.of_bundle(written(tmp_path / "o", np.ones((8, 10))))) == 1


def test_the_query_gives_the_rows_of_the_twin(database: Database, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "r", layers=(3, 10, 12, 12, 8), density=0.8)
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    asked: dict[str, Any] = {"members": 4, "nulls": 9, "seed": 1}
    for limit in (2, 100):
        rows = find(database, "latent-branches", limit=limit, **asked)
        assert rows == MOTIFS["latent_branches"].rows(graph, limit=limit, **asked)
    assert len(rows) == MOTIF.count(graph, members=4) > 2
    assert {row["null"] for row in rows} == {"columns"}
    assert all(0.1 <= (row["p"] or 0.0) <= (row["q"] or 0.0) <= 1 for row in rows)


def test_wrong_numbers_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    with open_database(tmp_path / "x.db", create=True) as database:
        database.load(write_bundle(tmp_path / "r"))
        with pytest.raises(QueryError, match="latent_branches: `nulls` cannot be 0"):
            find(database, "latent_branches", nulls=0)
        assert "latent_branches" in {item.kind for item in summary(database, nulls=1)}
