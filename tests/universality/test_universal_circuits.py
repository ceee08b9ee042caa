"""Circuits that are there again: by hand, by loops over all edges, in copies, and where there
is nothing to find.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitome.graphdb.schema import arrow_schema
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import opponent_pairs
from circuitome.universality.circuits import circuit_rows, recurrences
from circuitome.universality.preserved import (
    Correspondence,
    _into,
    preserved_edges,
    preserved_table,
)
from tests.support.synthetic import write_bundle, write_planted


def one_layer(path: Path, name: str, weights: np.ndarray) -> SignedGraph:
    """A network of ``in`` and ``out`` with these weights, ``(in, out)``."""
    edges = [(f"in:{i}", f"out:{j}", float(weights[i, j])) for i, j in np.ndindex(weights.shape)]
    layers = {"in": weights.shape[0], "out": weights.shape[1]}
    return SignedGraph.of_bundle(write_planted(path / name, layers, edges, name=name))


def same_channels(here: SignedGraph, there: SignedGraph) -> Correspondence:
    """Every neuron's analogue is that of its layer and channel."""
    keys = [(str(key), f"{there.model}/{str(key).partition('/')[2]}") for key in here.keys]
    return Correspondence.of(here, there, keys)


def random_graph(
    path: Path, name: str, seed: int, layers: tuple[int, ...] = (3, 16, 16, 8)
) -> SignedGraph:
    return SignedGraph.of_bundle(
        write_bundle(path / f"{name}{seed}", name=name, layers=layers, seed=seed)
    )


def moved(graph: SignedGraph, name: str, seed: int) -> Correspondence:
    """Where each neuron went in a copy with its channels permuted within their layers."""
    rng = np.random.default_rng(seed)
    goal = np.lexsort((rng.random(len(graph.keys)), graph.layer))[
        np.argsort(np.argsort(graph.layer, kind="stable"))
    ]
    order = np.lexsort((np.arange(len(goal)), graph.layer))
    assert (graph.layer[goal] == graph.layer).all() and len(order) == len(set(goal.tolist()))
    fan_in = np.empty_like(graph.fan_in)
    fan_in[goal] = graph.fan_in
    ends = {"sender": goal[graph.sender], "receiver": goal[graph.receiver], "fan_in": fan_in}
    there = dataclasses.replace(graph, model=name, **ends)
    return Correspondence(graph, there, np.arange(len(goal)), goal)


def test_an_edge_is_preserved_where_sign_and_strength_agree(tmp_path: Path) -> None:
    strong = np.full((8, 4), 0.5)
    strong[range(4), range(4)] = 10  # strength 7.9
    other = strong.copy()
    other[1, 1] = -10  # another sign
    other[[2, 5], 2] = 0.5, 10  # another sender
    other[:, 3], other[3, 3] = 2, 3  # strength 1.9: less than a quarter
    here, there = one_layer(tmp_path, "a", strong), one_layer(tmp_path, "b", other)
    found = preserved_edges(same_channels(here, there), copies=9)
    assert (found.senders, found.receivers) == (("a/in",), ("a/out",))
    assert (found.edges.tolist(), found.joined.tolist(), found.preserved.tolist()) == (
        [4],
        [4],
        [1],
    )
    lenient = preserved_edges(same_channels(here, there), copies=9, factor=4.5)
    assert lenient.preserved.tolist() == [2]
    keys = [(f"a/in:{i}", f"b/in:{i}") for i in range(1, 8)] + [
        ("a/out:0", "b/out:0"),
        ("a/out:3", "b/out:3"),
    ]
    part = preserved_edges(Correspondence.of(here, there, keys), copies=9)
    assert (part.edges.tolist(), part.preserved.tolist()) == (
        [1],
        [0],
    )  # in:3 -> out:3 alone has both ends
    assert len(Correspondence.of(here, there, [("a/in:0", "b/none:0")]).own) == 0


def test_preserved_edges_are_those_of_loops_over_all(tmp_path: Path) -> None:
    here, there = random_graph(tmp_path, "a", 1), random_graph(tmp_path, "b", 2)
    rng = np.random.default_rng(3)
    chosen = rng.permutation(len(here.keys))[:35]
    images = Correspondence(here, there, chosen, rng.permutation(len(there.keys))[:35])
    found = preserved_edges(images, strength=0.8, factor=6.0, copies=2)
    goal = dict(zip(images.own.tolist(), images.others.tolist(), strict=True))
    edges = {
        (int(s), int(r)): (bool(e), float(x))
        for s, r, e, x in zip(
            there.sender, there.receiver, there.excites, there.strength, strict=True
        )
    }
    joined = {(there.layer[s], there.layer[r]) for s, r in edges}
    counts: dict[tuple[str, str], list[int]] = {}
    for s, r, e, x in zip(
        here.sender.tolist(), here.receiver.tolist(), here.excites, here.strength, strict=True
    ):
        if x >= 0.8 and s in goal and r in goal:
            names = (str(here.layers[here.layer[s]]), str(here.layers[here.layer[r]]))
            count = counts.setdefault(names, [0, 0, 0])
            other = edges.get((goal[s], goal[r]))
            count[0] += 1
            count[1] += (there.layer[goal[s]], there.layer[goal[r]]) in joined
            count[2] += other is not None and other[0] == e and 1 / 6 <= other[1] / x <= 6
    rows = zip(found.edges.tolist(), found.joined.tolist(), found.preserved.tolist(), strict=True)
    assert (
        dict(zip(zip(found.senders, found.receivers, strict=True), map(list, rows), strict=True))
        == counts
    )
    assert sum(count[2] for count in counts.values()) > 0


def test_a_copy_under_a_permutation_preserves_everything_and_rewired_ones_do_not(
    tmp_path: Path,
) -> None:
    here = random_graph(tmp_path, "a", 4)
    images = moved(here, "b", 5)
    found = preserved_edges(images, strength=1.0, copies=49)
    assert found.preserved.tolist() == found.edges.tolist() and found.edges.sum() > 100
    (whole,) = found.judged(whole=True)
    assert whole["preserved"] == whole["edges"] and whole["p"] == pytest.approx(1 / 50)
    assert whole["expected"] + 8 * whole["sd"] < whole["preserved"]
    harder = max(found.nulls, key=lambda name: found.nulls[name].sum(1).mean())
    assert whole["expected"] == pytest.approx(found.nulls[harder].sum(1).mean())
    back = preserved_edges(images.turned(), strength=1.0, copies=2)
    assert back.preserved.sum() == found.preserved.sum()


def test_unrelated_networks_preserve_no_more_than_rewired_ones(tmp_path: Path) -> None:
    graphs = [random_graph(tmp_path, "a", seed) for seed in range(13)]
    values = []
    for one, other in pairwise(graphs):
        images = same_channels(one, dataclasses.replace(other, model="a"))
        values += preserved_edges(images, strength=1.0, copies=39).judged(whole=True)
    p = np.array([row["p"] for row in values])
    assert (p <= 0.05).sum() <= 2 and p.min() < p.max()


def test_the_part_that_is_rewired_has_every_column_and_all_edges_of_the_receivers(
    tmp_path: Path,
) -> None:
    graph = random_graph(tmp_path, "a", 6)
    receivers = np.flatnonzero(graph.layer == graph.layer.max())[:2]
    part = _into(graph, receivers)
    columns = [
        set(zip(g.sender.tolist(), g.layer[g.receiver].tolist(), strict=True))
        for g in (graph, part)
    ]
    assert columns[0] == columns[1] and len(part.sender) < len(graph.sender)
    edges = [
        sorted(
            zip(
                *(
                    getattr(g, name)[np.isin(g.receiver, receivers)]
                    for name in ("sender", "weight")
                ),
                strict=True,
            )
        )
        for g in (graph, part)
    ]
    assert edges[0] == edges[1]


def opposed(path: Path) -> SignedGraph:
    """Eight neurons of one layer, four pairs that read opposite things; senders of the pairs
    differ.
    """
    rng = np.random.default_rng(0)
    weights = 0.02 * rng.standard_normal((16, 8))
    for pair in range(4):
        weights[[4 * pair, 4 * pair + 1], 2 * pair] = 3, -2
        weights[[4 * pair, 4 * pair + 1], 2 * pair + 1] = -3, 2
    return one_layer(path, "a", weights)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_motifs_recur_in_a_copy_whatever_the_order_of_their_cases(
    tmp_path: Path, seed: int
) -> None:
    here = opposed(tmp_path)
    images = moved(here, "b", seed)
    found = {row["motif"]: row for row in recurrences(images, copies=49)}
    assert found["opponent_pairs"]["instances"] == opponent_pairs.MOTIF.count(here) == 4
    assert found["mutual_inhibition"]["instances"] == 4
    for kind in ("opponent_pairs", "mutual_inhibition"):
        assert found[kind]["recurring"] == 4 and found[kind]["p"] == pytest.approx(1 / 50)
        assert found[kind]["expected"] < 2
    assert found["push_pull"]["instances"] == 0 and found["push_pull"]["p"] == 1


def test_a_motif_with_a_neuron_that_has_no_analogue_does_not_count(tmp_path: Path) -> None:
    here = opposed(tmp_path)
    images = moved(here, "b", 1)
    kept = images.own != np.flatnonzero(here.keys == "a/out:0")[0]
    images = Correspondence(here, images.there, images.own[kept], images.others[kept])
    found = {row["motif"]: row for row in recurrences(images)}
    assert found["opponent_pairs"]["instances"] == found["opponent_pairs"]["recurring"] == 3
    assert found["mutual_inhibition"]["instances"] == found["mutual_inhibition"]["recurring"] == 3


def test_chance_recurrences_are_those_of_permuted_analogues(tmp_path: Path) -> None:
    here = opposed(tmp_path)
    images = moved(here, "b", 1)
    (row,) = [r for r in recurrences(images, copies=2000) if r["motif"] == "opponent_pairs"]
    # each of four pairs falls on one of four among the 28 pairs of eight neurons
    assert row["expected"] == pytest.approx(4 * 4 / 28, abs=0.06)


def test_rows_have_the_columns_of_the_schema_and_one_shape(tmp_path: Path) -> None:
    here = random_graph(tmp_path, "a", 7)
    images = moved(here, "b", 8)
    found = preserved_edges(images, strength=1.0, copies=5)
    table = preserved_table([found])
    assert table.schema == arrow_schema("PRESERVED_IN") and table.num_rows == len(found.senders)
    row = table.to_pylist()[0]
    assert (
        row["to"] == "b"
        and row["null"] in ("kernels", "relabel")
        and row["edges"] == row["preserved"]
    )
    rows: list[dict[str, Any]] = circuit_rows(found, recurrences(images, copies=5))
    assert len({tuple(row) for row in rows}) == 1
    assert [row["what"] for row in rows].count("edges") == 1 + table.num_rows
    assert rows[0]["found"] == sum(row["found"] for row in rows[1 : 1 + table.num_rows])


def test_without_analogues_there_is_nothing(tmp_path: Path) -> None:
    here, there = random_graph(tmp_path, "a", 1), random_graph(tmp_path, "b", 2)
    none = Correspondence.of(here, there, [])
    found = preserved_edges(none, copies=3)
    assert found.judged() == [] and preserved_table([found]).num_rows == 0
    assert found.judged(whole=True)[0]["p"] == 1
    assert all(row["instances"] == 0 and row["p"] == 1 for row in recurrences(none, copies=3))
