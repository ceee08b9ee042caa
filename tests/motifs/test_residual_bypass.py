"""Residual bypass: the query on both engines, its array form and brute force agree; what is
planted is found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.database import Database, open_database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import find, find_significant, missing
from circuitome.queries.motifs.residual_bypass import MOTIF, bypasses
from circuitome.queries.motifs.significance import Task, assess
from tests.support.synthetic import write_bundle, write_residual

CHANNELS = 6


def matrices(seed: int, *, density: float, blocks: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Both convolutions of each block, ``(receivers, senders)``."""
    rng = np.random.default_rng(seed)

    def drawn(rows: int, columns: int) -> np.ndarray:
        return (
            rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < density)
        ).astype(np.float32)

    return [(drawn(CHANNELS + 2, CHANNELS), drawn(CHANNELS, CHANNELS + 2)) for _ in range(blocks)]


def brute_force(
    blocks: list[tuple[np.ndarray, np.ndarray]], min_score: float
) -> list[tuple[str, str, str, float]]:
    """Every channel of every block whose part is large enough, from the product of the two
    matrices.
    """
    found = []
    for place, (into, out) in enumerate(blocks):
        block = out.astype(float) @ into.astype(float)
        wired = (out != 0).astype(int) @ (into != 0).astype(int)
        for c in range(CHANNELS):
            score = round(1 / (1 + abs(block[c, c])), 9)
            if wired[c, c] and score >= min_score:
                source = "in" if place == 0 else f"add{place - 1}"
                found.append(
                    (f"r/{source}:{c}", f"r/add{place}:{c}", f"r/second{place}:{c}", score)
                )
    return sorted(found, key=lambda row: (-row[3], row[1], row[0], row[2]))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.2, 0.6, 1.0]),
    min_score=st.sampled_from([0.0, 0.5]),
)
def test_the_twin_finds_what_brute_force_finds(
    tmp_path: Path, seed: int, density: float, min_score: float
) -> None:
    blocks = matrices(seed, density=density)
    graph = SignedGraph.of_bundle(write_residual(tmp_path / "r", blocks))
    rows = MOTIF.rows(graph, min_score=min_score)
    found = [
        (*(row["roles"][role][0] for role in ("source", "target", "writer")), row["score"])
        for row in rows
    ]
    expected = brute_force(blocks, min_score)
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in expected], abs=1e-8)
    assert MOTIF.count(graph, min_score=min_score) == len(expected)


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), density=st.sampled_from([0.4, 1.0]))
def test_the_query_finds_what_the_twin_finds(
    database: Database, tmp_path: Path, seed: int, density: float
) -> None:
    bundle = write_residual(tmp_path / "r", matrices(seed, density=density))
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for limit, min_score in ((3, 0.5), (1000, 0.0)):
        rows = find(database, "residual_bypass", limit=limit, min_score=min_score)
        assert rows == MOTIF.rows(graph, limit=limit, min_score=min_score)
        assert len(rows) == min(limit, MOTIF.count(graph, min_score=min_score))
    assert missing(database, "residual_bypass") is None


def planted(path: Path, *, seed: int, noise: float) -> tuple[Bundle, set[str]]:
    """Blocks that overwrite the even channels with three times what they hold, and leave the
    odd ones alone but for noise.
    """
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(3):
        into = np.eye(CHANNELS + 2, CHANNELS)
        out = 3 * np.eye(CHANNELS, CHANNELS + 2)
        out[1::2] = 0
        blocks.append(
            tuple(
                (m + noise * rng.standard_normal(m.shape)).astype(np.float32) for m in (into, out)
            )
        )
    bundle = write_residual(path, blocks)
    return bundle, {f"r/add{block}:{c}" for block in range(3) for c in range(1, CHANNELS, 2)}


def test_channels_that_a_block_leaves_alone_are_found(tmp_path: Path) -> None:
    right, found, there = 0, 0, 0
    for seed in range(20):
        bundle, expected = planted(tmp_path / "r", seed=seed, noise=0.2)
        targets = {row["roles"]["target"][0] for row in MOTIF.rows(SignedGraph.of_bundle(bundle))}
        right, found, there = (
            right + len(targets & expected),
            found + len(targets),
            there + len(expected),
        )
    assert right / there >= 0.95
    assert right / found >= 0.95


def test_a_block_that_talks_to_its_own_channels_has_fewer_bypasses_than_a_relabelled_one(
    tmp_path: Path,
) -> None:
    bundle, _ = planted(tmp_path / "r", seed=0, noise=0.2)
    graph = SignedGraph.of_bundle(bundle)
    (result,) = assess(graph, [Task.of(MOTIF)], nulls=39)
    assert result.null == "relabel"
    assert result.null_mean is not None and result.instances < result.null_mean
    assert result.p is not None and result.p > 0.5


def test_weights_are_multiplied_along_both_ways(tmp_path: Path) -> None:
    into, out = (
        np.zeros((CHANNELS + 2, CHANNELS), np.float32),
        np.zeros((CHANNELS, CHANNELS + 2), np.float32),
    )
    into[0, 1], out[1, 0] = 0.5, -0.5
    into[3, 1], out[1, 3] = 2.0, 0.25
    found = bypasses(
        SignedGraph.of_bundle(write_residual(tmp_path / "r", [(into, out)])), min_score=0
    )
    assert found.block.tolist() == [0.25]  # -0.25 and 0.5
    assert found.score.tolist() == [0.8]


def test_a_network_without_additions_says_so(tmp_path: Path) -> None:
    with open_database(tmp_path / "x.db", create=True) as database:
        database.load(write_bundle(tmp_path / "plain"))
        assert (
            missing(database, "residual-bypass")
            == "toy has no residual additions; there is nothing to pass a block by"
        )
        rows, found = find_significant(database, "residual_bypass", nulls=3)
        assert rows == [] and found.instances == 0
