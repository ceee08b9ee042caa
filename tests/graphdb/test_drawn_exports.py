"""What other programs draw: labels, weights that are never negative, colours of the signs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, parse

import networkx as nx
import pyarrow as pa
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import Selection, export
from circuitome.graphdb.schema import arrow_schema
from tests.support.synthetic import annotated, write_bundle

GEXF = "{http://www.gexf.net/1.2draft}"
VIZ = "{http://www.gexf.net/1.2draft/viz}"
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"
RED, BLUE = ("214", "39", "40"), ("31", "119", "180")
GEXF_TYPES = {"long", "double", "boolean", "string"}
"""Those of GEXF 1.2 that are written."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return annotated(write_bundle(tmp_path_factory.mktemp("bundles") / "toy"))


def edges(path: Path) -> Iterator[tuple[Element, dict[str, str]]]:
    """The edges of a GEXF file with their attributes by title."""
    root = parse(path).getroot()
    titles = {
        one.get("id"): one.get("title", "")
        for block in root.iter(f"{GEXF}attributes")
        if block.get("class") == "edge"
        for one in block
    }
    for edge in root.iter(f"{GEXF}edge"):
        values = edge.iter(f"{GEXF}attvalue")
        yield edge, {titles[one.get("for")]: one.get("value", "") for one in values}


def test_a_neuron_is_labelled_with_its_class_or_its_key_without_the_model(
    toy: Bundle, tmp_path: Path
) -> None:
    graphs = [
        nx.read_graphml(export(toy, "graphml", tmp_path / "g.graphml")),
        nx.read_gexf(export(toy, "gexf", tmp_path / "g.gexf")),
    ]
    for graph in graphs:
        labels = dict(graph.nodes(data="label"))
        assert labels["toy/input:0"] == "input 0"
        assert labels["toy/conv1:1"] == "conv1:1"
        assert labels["toy/conv1"] == "conv1"
        assert all(labels.values())
    elements = json.loads(export(toy, "cytoscape", tmp_path / "g.cyjs").read_text())["elements"]
    names = {node["data"]["id"]: node["data"]["name"] for node in elements["nodes"]}
    assert names == dict(graphs[0].nodes(data="label"))


def test_labels_of_several_models_keep_the_model(tmp_path: Path) -> None:
    rows = [{"key": f"{model}/conv:0", "model": model} for model in ("a", "b")]
    tables = {"Neuron": pa.Table.from_pylist(rows, schema=arrow_schema("Neuron"))}
    graph = nx.read_graphml(export(tables, "graphml", tmp_path / "g"))
    assert dict(graph.nodes(data="label")) == {"a/conv:0": "a/conv:0", "b/conv:0": "b/conv:0"}


def test_the_weight_of_gexf_is_the_share_and_its_sign_is_an_attribute(
    toy: Bundle, tmp_path: Path
) -> None:
    graph = nx.read_gexf(export(toy, "gexf", tmp_path / "g.gexf"))
    for name, sign in (("EXCITES", 1), ("INHIBITS", -1)):
        found = {(a, b): v for a, b, v in graph.edges(data=True) if v["type"] == name}
        rows = toy.table(name).to_pylist()
        assert len(found) == len(rows) > 0
        for row in rows:
            edge = found[row["from"], row["to"]]
            assert edge["weight"] == edge["share"] == row["share"]
            assert (edge["signed_weight"], edge["sign"]) == (row["weight"], sign)


def test_excitation_is_red_and_inhibition_blue(toy: Bundle, tmp_path: Path) -> None:
    colours = {"EXCITES": RED, "INHIBITS": BLUE}
    for edge, values in edges(export(toy, "gexf", tmp_path / "g.gexf")):
        found = edge.findall(f"{VIZ}color")
        told = [(one.get("r"), one.get("g"), one.get("b")) for one in found]
        if values["type"] == "EXPANDED":
            assert told == [BLUE if float(values["signed_weight"]) < 0 else RED]
        else:
            assert told == ([colours[values["type"]]] if values["type"] in colours else [])


def test_gexf_keeps_the_rules_of_the_format(toy: Bundle, tmp_path: Path) -> None:
    root = parse(export(toy, "gexf", tmp_path / "g.gexf")).getroot()
    nodes = [node.get("id") for node in root.iter(f"{GEXF}node")]
    numbers = [edge.get("id") for edge in root.iter(f"{GEXF}edge")]
    assert len(set(nodes)) == len(nodes)
    assert len(set(numbers)) == len(numbers)
    assert all(node.get("label") for node in root.iter(f"{GEXF}node"))
    for place in ("node", "edge"):
        (block,) = (one for one in root.iter(f"{GEXF}attributes") if one.get("class") == place)
        declared = {one.get("id") for one in block}
        used = {value.get("for") for one in root.iter(f"{GEXF}{place}") for value in one.iter()} - {
            None
        }
        assert used <= declared
        assert {one.get("type") for one in block} <= GEXF_TYPES
        titles = [one.get("title") for one in block]
        assert len(set(titles)) == len(titles)
        assert not {"label", "weight"} & set(titles)  # the format's own
    for edge in root.iter(f"{GEXF}edge"):
        assert {edge.get("source"), edge.get("target")} <= set(nodes)
        weight = float(edge.get("weight", 1))
        assert math.isfinite(weight)
        assert weight >= 0


def test_graphml_keeps_the_rules_of_the_format(toy: Bundle, tmp_path: Path) -> None:
    root = parse(export(toy, "graphml", tmp_path / "g.graphml")).getroot()
    keys = {key.get("id"): key.get("for") for key in root.iter(f"{GRAPHML}key")}
    assert {key.get("attr.type") for key in root.iter(f"{GRAPHML}key")} <= GEXF_TYPES
    for place in ("node", "edge"):
        for one in root.iter(f"{GRAPHML}{place}"):
            used = [data.get("key") for data in one.iter(f"{GRAPHML}data")]
            assert len(set(used)) == len(used)
            assert {keys[name] for name in used} == {place}


def test_an_export_of_a_part_is_read_back_as_that_part(toy: Bundle, tmp_path: Path) -> None:
    chosen = Selection("neurons", 0.1)
    graph = nx.read_gexf(export(toy, "gexf", tmp_path / "g.gexf", chosen=chosen))
    assert set(graph) == set(toy.table("Neuron")["key"].to_pylist())
    strong = [
        row
        for name in ("EXCITES", "INHIBITS")
        for row in toy.table(name).to_pylist()
        if row["share"] >= 0.1
    ]
    assert graph.number_of_edges() == len(strong) + toy.rows("GATES") > 0
