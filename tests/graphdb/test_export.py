"""The graph leaves the bundle and comes back whole, and every file opens in a reader that is
not ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import (
    FORMATS,
    ExportError,
    export,
    from_networkx,
    tables_of,
    to_networkx,
)
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, Type, arrow_schema
from circuitome.graphdb.stores.opening import open_store
from tests.support.synthetic import write_bundle


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "toy")


def plain(tables: dict[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    """Rows in an order of their own."""
    return {name: sorted(table.to_pylist(), key=repr) for name, table in tables.items()}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = {
    Type.STRING: TEXT,
    Type.INT: st.integers(-(2**63), 2**63 - 1),
    Type.FLOAT: st.floats(allow_nan=False),
    Type.FLOAT32: st.floats(allow_nan=False, width=32),
    Type.BOOL: st.booleans(),
    Type.INTS: st.lists(st.integers(-9, 9), max_size=3),
    Type.FLOATS: st.lists(st.floats(allow_nan=False), max_size=3),
    Type.STRINGS: st.lists(TEXT, max_size=3),
}


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, pa.Table]:
    """Tables of random nodes and relationships, parallel ones and keys that two labels share
    included.
    """
    keys = {label: draw(st.lists(TEXT, unique=True, max_size=3)) for label in NODES}
    rows: dict[str, list[dict[str, Any]]] = {
        label: [{"key": key} for key in keys[label]] for label in NODES
    }
    for name, kind in RELATIONSHIPS.items():
        if keys[kind.source] and keys[kind.target]:
            end = st.tuples(st.sampled_from(keys[kind.source]), st.sampled_from(keys[kind.target]))
            rows[name] = [{"from": a, "to": b} for a, b in draw(st.lists(end, max_size=3))]
    for name, items in rows.items():
        kind = NODES.get(name) or RELATIONSHIPS[name]
        for row in items:
            for column in kind.columns:
                if column.name != "key" and draw(st.booleans()):
                    row[column.name] = draw(VALUES[column.type])
    return {
        name: pa.Table.from_pylist(items, schema=arrow_schema(name))
        for name, items in rows.items()
        if items
    }


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(graphs())
def test_networkx_and_back_loses_nothing(tables: dict[str, pa.Table]) -> None:
    assert plain(from_networkx(to_networkx(tables))) == plain(tables)


def test_networkx_has_every_property_under_its_own_key(toy: Bundle) -> None:
    graph = to_networkx(toy)
    assert graph.number_of_nodes() == sum(toy.rows(label) for label in NODES)
    assert graph.number_of_edges() == sum(toy.rows(name) for name in RELATIONSHIPS)
    edge = toy.table("EXCITES").to_pylist()[5]
    ends = edge.pop("from"), edge.pop("to")
    assert graph.edges[(*ends, "EXCITES")] == {
        name: value for name, value in edge.items() if value is not None
    }
    assert graph.nodes["toy/conv1:0"]["type"] == "Neuron"


def test_a_store_gives_the_graph_of_its_bundle(toy: Bundle, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", name="other", layers=(3, 4, 2))
    with open_store(str(tmp_path / "x.db"), create=True) as store:
        store.load(toy, other)
        assert plain(tables_of(store, model="toy")) == plain(tables_of(toy))
        assert (
            to_networkx(store).number_of_nodes()
            == to_networkx(toy).number_of_nodes() + to_networkx(other).number_of_nodes()
        )


def test_neo4j_gives_the_graph_of_its_bundle(toy: Bundle, neo4j_empty: Any) -> None:
    with open_store(neo4j_empty.address) as store:
        store.load(toy)
        assert plain(tables_of(store)) == plain(tables_of(toy))


def test_a_graph_that_is_not_ours_is_refused() -> None:
    graph = nx.MultiDiGraph()
    graph.add_node("a", type="Person")
    with pytest.raises(ExportError, match="'Person' is no type of the schema"):
        from_networkx(graph)
    graph = nx.MultiDiGraph()
    graph.add_node("a", type="Neuron", hue=3)
    with pytest.raises(ExportError, match="property 'hue' is not in the schema"):
        from_networkx(graph)


def test_node_link_json_opens_in_networkx_and_is_the_graph(toy: Bundle, tmp_path: Path) -> None:
    data = json.loads(export(toy, "networkx", tmp_path / "g.json").read_text())
    graph = nx.node_link_graph(data, edges="edges")
    assert plain(from_networkx(graph)) == plain(tables_of(toy))


@pytest.mark.parametrize("format, read", [("graphml", nx.read_graphml), ("gexf", nx.read_gexf)])
def test_xml_opens_in_networkx_with_every_edge(
    toy: Bundle, tmp_path: Path, format: str, read: Any
) -> None:
    graph = read(export(toy, format, tmp_path / f"g.{format}"))
    whole = to_networkx(toy)
    assert set(graph) == set(whole)
    assert graph.number_of_edges() == whole.number_of_edges()
    neuron = graph.nodes["toy/conv1:1"]
    assert neuron["bias"] == whole.nodes["toy/conv1:1"]["bias"]
    assert "kind" not in neuron
    assert json.loads(graph.nodes["toy/conv1"]["kernel"]) == [3, 3]
    weight = "signed_weight" if format == "gexf" else "weight"
    found = sorted(
        (a, b, v[weight]) for a, b, v in graph.edges(data=True) if v["type"] == "EXCITES"
    )
    assert found == sorted(
        (a, b, v["weight"]) for a, b, k, v in whole.edges(keys=True, data=True) if k == "EXCITES"
    )


@pytest.mark.parametrize("format, read", [("graphml", nx.read_graphml), ("gexf", nx.read_gexf)])
def test_xml_takes_any_text(tmp_path: Path, format: str, read: Any) -> None:
    names = ["<a>", "\"b\" & 'c'", "d\x01\n", "ü→"]
    table = pa.Table.from_pylist(
        [{"key": name, "label": name} for name in names], schema=arrow_schema("Neuron")
    )
    graph = read(export({"Neuron": table}, format, tmp_path / "g.xml"))
    assert len(graph) == len(names)
    assert graph.nodes["<a>"]["type"] == "Neuron"


def test_cytoscape_json_has_ids_and_ends(toy: Bundle, tmp_path: Path) -> None:
    elements = json.loads(export(toy, "cytoscape", tmp_path / "g.cyjs").read_text())["elements"]
    ids = [node["data"]["id"] for node in elements["nodes"]]
    assert len(set(ids)) == len(ids) == sum(toy.rows(label) for label in NODES)
    assert len(elements["edges"]) == sum(toy.rows(name) for name in RELATIONSHIPS)
    assert {
        end
        for edge in elements["edges"]
        for end in (edge["data"]["source"], edge["data"]["target"])
    } <= set(ids)


def test_keys_that_two_labels_share_stay_two_nodes(tmp_path: Path) -> None:
    tables = {
        name: pa.Table.from_pylist([{"key": "m/add"}], schema=arrow_schema(name))
        for name in ("Layer", "Block")
    }
    assert len(to_networkx(tables)) == 2
    assert len(nx.read_graphml(export(tables, "graphml", tmp_path / "g"))) == 2


@pytest.mark.parametrize("format", FORMATS)
def test_exporting_again_replaces_and_leaves_nothing_else(
    toy: Bundle, tmp_path: Path, format: str
) -> None:
    export(toy, format, tmp_path / "out")
    export(toy, format, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_unknown_format_names_the_known_ones(toy: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="unknown format 'pickle'; one of networkx"):
        export(toy, "pickle", tmp_path / "g")


def test_a_folder_with_other_files_is_not_replaced(toy: Bundle, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ExportError, match="other files"):
        export(toy, "neo4j-admin", tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_place_that_cannot_be_written_is_named(toy: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export(toy, "networkx", tmp_path / "file" / "g.json")
