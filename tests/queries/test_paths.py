"""Circuits and strongest paths, on both engines, against plain enumeration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import EDGE_TYPES
from circuitome.graphdb.stores.protocol import Store
from circuitome.queries.algorithms.paths import downstream, strongest_paths, upstream
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from tests.support.synthetic import write_bundle, write_planted


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "toy.circuitome", layers=(3, 6, 8, 6, 4), density=1.0)


@pytest.fixture
def database(store: Store, bundle: Bundle) -> Iterator[Database]:
    with Database(store) as database:
        database.load(bundle)
        yield database


def graph_of(bundle: Bundle) -> nx.DiGraph:
    graph = nx.DiGraph()
    for table in EDGE_TYPES:
        for row in bundle.table(table).to_pylist():
            graph.add_edge(row["from"], row["to"], share=row["share"], weight=row["weight"])
    return graph


def strongest_edges(
    graph: nx.DiGraph, neuron: str, depth: int, k: int, *, up: bool
) -> dict[tuple[str, str], int]:
    """Edges of the circuit and their distances, neuron by neuron, as the definition says."""
    edges: dict[tuple[str, str], int] = {}
    seen, frontier = {neuron}, [neuron]
    for distance in range(1, depth + 1):
        found = set()
        for here in frontier:
            around = (
                graph.in_edges(here, data="share") if up else graph.out_edges(here, data="share")
            )
            best = sorted(around, key=lambda edge: (-edge[2], edge[0] if up else edge[1]))[:k]
            edges |= {(a, b): distance for a, b, _ in best}
            found |= {a if up else b for a, b, _ in best}
        frontier = sorted(found - seen)
        seen |= found
    return edges


def test_upstream_and_downstream_grow_the_circuit_hop_by_hop(
    database: Database, bundle: Bundle
) -> None:
    graph = graph_of(bundle)
    for function, up, neuron in ((upstream, True, "toy/fc:1"), (downstream, False, "toy/input:2")):
        circuit = function(database, neuron, depth=3, k=2)
        expected = strongest_edges(graph, neuron, 3, 2, up=up)
        assert {
            (row["sender"], row["receiver"]): row["distance"] for row in circuit.edges
        } == expected
        distances = {row["neuron"]: row["distance"] for row in circuit.nodes}
        assert distances[neuron] == 0
        assert distances.keys() == {neuron} | {end for edge in expected for end in edge}
        assert max(distances.values()) == 3


def test_a_circuit_is_the_same_by_name(database: Database) -> None:
    rows = database.query("upstream", neuron="toy/fc:1", depth="3", k=2)
    assert rows.to_dicts() == upstream(database, "toy/fc:1", depth=3, k=2).edges.to_dicts()


def test_an_edge_of_a_circuit_says_whether_it_excites(database: Database, bundle: Bundle) -> None:
    graph = graph_of(bundle)
    for row in upstream(database, "toy/fc:1", depth=2).edges:
        weight = graph.edges[row["sender"], row["receiver"]]["weight"]
        assert row["effect"] == ("excites" if weight >= 0 else "inhibits")


def test_a_least_share_leaves_weak_edges_out(database: Database) -> None:
    edges = upstream(database, "toy/fc:1", depth=2, k=100, min_share=0.1).edges.to_dicts()
    every = upstream(database, "toy/fc:1", depth=2, k=100).edges.to_dicts()
    assert 0 < len(edges) < len(every)
    assert min(row["share"] for row in edges) >= 0.1


def test_the_strongest_paths_are_those_of_full_enumeration(
    database: Database, bundle: Bundle
) -> None:
    graph, source, target = graph_of(bundle), "toy/input:0", "toy/fc:2"
    every = [tuple(path) for path in nx.all_simple_paths(graph, source, target)]
    strength = {
        path: math.prod(graph.edges[edge]["share"] for edge in pairwise(path)) for path in every
    }
    expected = sorted(every, key=lambda path: (-strength[path], path))[:25]
    rows = strongest_paths(database, source, target, k=25).to_dicts()
    assert [tuple(row["neurons"]) for row in rows] == expected
    assert [row["strength"] for row in rows] == pytest.approx([strength[path] for path in expected])
    assert [row["place"] for row in rows] == list(range(1, 26))
    for row in rows:
        weights = [graph.edges[edge]["weight"] for edge in pairwise(row["neurons"])]
        assert row["weights"] == pytest.approx(weights)
        inhibiting = sum(weight < 0 for weight in weights)
        assert row["effect"] == ("inhibits" if inhibiting % 2 else "excites")


def test_all_paths_from_all_inputs_together_have_the_strength_one(database: Database) -> None:
    total = sum(
        row["strength"]
        for n in range(3)
        for row in strongest_paths(database, f"input:{n}", "fc:2", k=10_000)
    )
    assert total == pytest.approx(1, rel=1e-4)


@pytest.fixture
def diamond(store: Store, tmp_path: Path) -> Iterator[Database]:
    """Two layers of equal ways, and one that skips a layer."""
    edges = [("in:0", f"a:{n}", 1.0) for n in range(3)] + [
        (f"a:{n}", "out:0", (-1.0) ** n) for n in range(3)
    ]
    bundle = write_planted(
        tmp_path / "d.circuitome", {"in": 2, "a": 3, "out": 2}, [*edges, ("in:0", "out:0", 1.0)]
    )
    with Database(store) as database:
        database.load(bundle)
        yield database


def test_ties_are_broken_by_keys_and_signs_multiply(diamond: Database) -> None:
    rows = diamond.query("strongest_paths", source="in:0", target="out:0").to_dicts()
    assert [row["neurons"][1:-1] for row in rows] == [
        ["planted/a:0"],
        ["planted/a:1"],
        ["planted/a:2"],
        [],
    ]
    assert [row["effect"] for row in rows] == ["excites", "inhibits", "excites", "excites"]
    assert [row["strength"] for row in rows] == pytest.approx([0.25] * 4)


def test_where_no_path_leads_there_are_no_rows_and_backwards_is_an_error(diamond: Database) -> None:
    assert len(diamond.query("strongest_paths", source="in:1", target="out:0")) == 0
    assert diamond.query("strongest_paths", source="in:1", target="out:0").columns[0] == "place"
    assert len(diamond.query("upstream", neuron="in:0")) == 0
    with pytest.raises(QueryError, match="planted/in:0 is not computed after planted/out:0"):
        diamond.query("strongest_paths", source="out:0", target="in:0")
    with pytest.raises(QueryError, match="upstream: `depth` cannot be 0"):
        diamond.query("upstream", neuron="out:0", depth=0)
    with pytest.raises(QueryError, match="no neuron 'planted/in:7'"):
        diamond.query("strongest_paths", source="planted/in:7", target="out:0")
