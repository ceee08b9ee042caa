"""Superposition read back as a motif: rows on both engines, its hosts, and brute force. Its
nulls: `test_motif_nulls`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.algorithms.read_back import pairs
from circuitome.queries.database import Database
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS, find, find_significant
from tests.support.synthetic import write_planted

KIND = "superposition_read_back"


def written(path: Path, into: np.ndarray, out: np.ndarray, *, past: bool = False) -> Bundle:
    """``in -> host -> out`` from ``(hosts, inputs)`` and ``(readers, hosts)``; ``past``: a
    reader reads an input, too.
    """
    edges = [
        (f"in:{i}", f"host:{k}", float(into[k, i]))
        for k, i in np.ndindex(into.shape)
        if into[k, i] != 0
    ]
    edges += [
        (f"host:{k}", f"out:{r}", float(out[r, k]))
        for r, k in np.ndindex(out.shape)
        if out[r, k] != 0
    ]
    edges += [("in:0", "out:0", 1.0)] if past else []
    layers = {"in": into.shape[1], "host": into.shape[0], "out": out.shape[0]}
    return write_planted(path, layers, edges, name="p", force=True)


def demixing(seed: int, *, density: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Ten hosts of 16 inputs; four of the 12 readers read one input each."""
    rng = np.random.default_rng(seed)
    into = rng.standard_normal((10, 16)) * (rng.random((10, 16)) < density)
    out = rng.standard_normal((12, 10))
    out[:4] = into[:, :4].T + 0.3 * rng.standard_normal((4, 10))
    return into.astype(np.float32).astype(float), out.astype(np.float32).astype(float)


def brute_force(
    into: np.ndarray, out: np.ndarray, cosine: float, hosts: float
) -> dict[tuple[int, int], float]:
    """Every input and reader that are each other's best match, by trying all."""
    sent, read = into - into.mean(1, keepdims=True), out - out.mean(0)
    match = {
        (i, r): float(sent[:, i] @ read[r] / np.linalg.norm(sent[:, i]) / np.linalg.norm(read[r]))
        for i in range(into.shape[1])
        for r in range(len(out))
    }
    found = {}
    for (i, r), value in match.items():
        drive = [
            max(0, sent[k, i] * read[r, k]) for k in range(len(into)) if into[k, i] and out[r, k]
        ]
        spread = sum(drive) ** 2 / max(sum(c * c for c in drive), 1e-30)
        best = all(value >= other for (j, s), other in match.items() if j == i or s == r)
        if best and value >= cosine and spread >= hosts:
            found[i, r] = value
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10_000), density=st.sampled_from([0.5, 1.0]), hosts=st.sampled_from([2, 4])
)
def test_the_twin_finds_what_brute_force_finds(
    tmp_path: Path, seed: int, density: float, hosts: int
) -> None:
    into, out = demixing(seed, density=density)
    rows = pairs(SignedGraph.of_bundle(written(tmp_path / "p", into, out)), cosine=0.5, hosts=hosts)
    found = {
        (int(row["feature"].split(":")[1]), int(row["reader"].split(":")[1])): row["score"]
        for row in rows
    }
    expected = brute_force(into, out, 0.5, hosts)
    assert found.keys() == expected.keys()
    assert [found[pair] for pair in expected] == pytest.approx(list(expected.values()), abs=1e-8)


def test_the_query_gives_the_rows_of_the_twin(database: Database, tmp_path: Path) -> None:
    bundle = written(tmp_path / "p", *demixing(0))
    database.load(bundle)
    graph = SignedGraph.of_bundle(bundle)
    for limit in (2, 100):
        rows = find(database, "superposition-read-back", limit=limit, cosine=0.5)
        assert rows == MOTIFS[KIND].rows(graph, limit=limit, cosine=0.5)
        assert len(rows) == min(limit, MOTIFS[KIND].count(graph, cosine=0.5))
    again, found = find_significant(database, KIND, nulls=19, cosine=0.5)
    assert [row | {"q": None, "null": None} for row in again] == rows
    assert (found.null, found.instance_null) == ("relabel", "kernels")


def test_the_hosts_are_those_that_carry_the_feature(tmp_path: Path) -> None:
    into, out = np.zeros((6, 8)), np.zeros((6, 6))
    into[:4, 0], out[0, :4] = [1, 1, 0.9, 0.3], 1  # four hosts, one of which carries little
    (row,) = pairs(SignedGraph.of_bundle(written(tmp_path / "p", into, out)))
    assert (row["feature"], row["reader"]) == ("p/in:0", "p/out:0")
    assert row["spread"] == pytest.approx(
        3.2**2 / 2.9
    )  # the means over senders and readers only scale the drives
    assert row["hosts"] == ["p/host:0", "p/host:1", "p/host:2"]


def test_readers_that_hear_the_feature_elsewhere_are_no_readers_back(tmp_path: Path) -> None:
    into, out = demixing(0)
    assert pairs(SignedGraph.of_bundle(written(tmp_path / "p", into, out)))
    assert pairs(SignedGraph.of_bundle(written(tmp_path / "q", into, out, past=True))) == []
    assert (
        pairs(SignedGraph.of_bundle(written(tmp_path / "w", into[:, :8], out))) == []
    )  # hosts wider than what they read
