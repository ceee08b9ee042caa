"""What of a graph is written: neurons alone, strong edges, one family, one circuit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import FORMATS, ExportError, Selection, export, tables_of
from circuitome.graphdb.schema import EDGE_TYPES, RELATIONSHIPS, arrow_schema
from circuitome.graphdb.stores.opening import open_store
from circuitome.queries.database import Database
from tests.support.synthetic import annotated, write_bundle, write_planted

CHAIN = {"input": 2, "a": 2, "b": 2, "c": 1}
"""Neurons of four layers, each read by the next."""
EDGES = [
    *[("input:0", "a:0", 1.0), ("input:1", "a:1", 1.0)],
    *[("a:0", "b:0", 3.0), ("a:1", "b:0", -1.0), ("a:1", "b:1", 1.0)],
    ("b:0", "c:0", 1.0),
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return annotated(write_bundle(tmp_path_factory.mktemp("bundles") / "toy"))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_planted(tmp_path_factory.mktemp("bundles") / "m", CHAIN, EDGES, name="m")


def keys(tables: dict[str, pa.Table], label: str = "Neuron") -> set[str]:
    return set(tables[label]["key"].to_pylist()) if label in tables else set()


def pairs(tables: dict[str, pa.Table]) -> set[tuple[str, str]]:
    rows = [row for name in EDGE_TYPES if name in tables for row in tables[name].to_pylist()]
    return {(row["from"], row["to"]) for row in rows}


def test_neurons_alone_have_their_edges_and_nothing_else(toy: Bundle) -> None:
    tables = tables_of(toy, chosen=Selection("neurons"))
    assert list(tables) == ["Neuron", *EDGE_TYPES, "GATES"]
    assert all(tables[name].num_rows == toy.rows(name) for name in tables)


def test_the_least_share_leaves_weaker_edges_out(chain: Bundle) -> None:
    tables = tables_of(chain, chosen=Selection(least_share=0.2))
    every = pairs(tables_of(chain))
    assert every - pairs(tables) == {("m/a:1", "m/b:0")}  # 1 of 9 + 1
    assert keys(tables) == keys(tables_of(chain))


def test_a_circuit_is_what_feeds_a_neuron_in_two_hops(chain: Bundle) -> None:
    tables = tables_of(chain, chosen=Selection(circuit="c:0"))
    assert keys(tables) == {"m/c:0", "m/b:0", "m/a:0", "m/a:1"}
    assert pairs(tables) == {("m/b:0", "m/c:0"), ("m/a:0", "m/b:0"), ("m/a:1", "m/b:0")}
    assert keys(tables, "Layer") == {"m/a", "m/b", "m/c"}
    strong = tables_of(chain, chosen=Selection(circuit="m/c:0", least_share=0.2))
    assert keys(strong) == {"m/c:0", "m/b:0", "m/a:0"}


def test_a_circuit_has_the_edges_that_the_command_shows(toy: Bundle, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "x.db"), create=True) as store:
        store.load(toy)
        rows = Database(store).query("upstream", neuron="toy/fc:1").to_dicts()
        for source in (store, toy):
            found = pairs(tables_of(source, chosen=Selection(circuit="toy/fc:1")))
            assert found == {(row["sender"], row["receiver"]) for row in rows}


def test_a_family_has_its_members_and_all_that_they_read_and_are_read_by(toy: Bundle) -> None:
    tables = tables_of(toy, chosen=Selection(family="conv1/f0"))
    members = {f"toy/conv1:{number}" for number in (0, 1, 2)}
    assert pairs(tables) == {pair for pair in pairs(tables_of(toy)) if members & set(pair)}
    assert members < keys(tables)
    assert keys(tables, "Family") == {"toy/conv1/f0"}
    assert set(tables["MEMBER_OF"]["from"].to_pylist()) == members


@pytest.mark.parametrize(
    "chosen", [Selection(family="toy/conv1/f0"), Selection("neurons", 0.05, circuit="toy/fc:0")]
)
def test_every_end_of_a_part_is_in_it(toy: Bundle, chosen: Selection) -> None:
    tables = tables_of(toy, chosen=chosen)
    for name, table in tables.items():
        if name in RELATIONSHIPS:
            kind = RELATIONSHIPS[name]
            assert set(table["from"].to_pylist()) <= keys(tables, kind.source)
            assert set(table["to"].to_pylist()) <= keys(tables, kind.target)


def motif(*members: str) -> dict[str, pa.Table]:
    """Tables of a saved motif."""
    rows: dict[str, list[dict[str, Any]]] = {
        "Motif": [{"key": "abc123def", "model": "m", "kind": "pair"}],
        "HAS_ROLE": [{"from": "abc123def", "to": member} for member in members],
    }
    return {n: pa.Table.from_pylist(r, schema=arrow_schema(n)) for n, r in rows.items()}


def test_a_saved_motif_has_the_edges_between_its_neurons(chain: Bundle) -> None:
    tables = {**tables_of(chain), **motif("m/a:1", "m/b:0", "m/b:1")}
    found = tables_of(tables, chosen=Selection("neurons", circuit="abc123"))
    assert pairs(found) == {("m/a:1", "m/b:0"), ("m/a:1", "m/b:1")}


def test_a_saved_motif_without_an_edge_has_the_inputs_that_its_neurons_share(chain: Bundle) -> None:
    tables = {**tables_of(chain), **motif("m/b:0", "m/b:1")}
    found = tables_of(tables, chosen=Selection("neurons", circuit="abc123def"))
    assert pairs(found) == {("m/a:1", "m/b:0"), ("m/a:1", "m/b:1")}


@pytest.mark.parametrize(
    "chosen, message",
    [
        (Selection(family="toy/conv1/f9"), r"no family 'toy/conv1/f9'; did you mean .*f0"),
        (Selection(family="x"), "no family 'x'; `circuitome families` lists them"),
        (Selection(circuit="conv1:99"), "no neuron 'conv1:99'; did you mean"),
        (Selection(circuit="abcdef0"), "abcdef0: no saved motif begins so"),
    ],
)
def test_what_is_not_there_is_named_with_near_ones(
    toy: Bundle, tmp_path: Path, chosen: Selection, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(toy, "gexf", tmp_path / "g", chosen=chosen)
    assert not list(tmp_path.iterdir())


def test_what_no_graph_has_is_refused() -> None:
    with pytest.raises(ExportError, match="'layers': give neurons"):
        Selection("layers")
    with pytest.raises(ExportError, match="from 0 to 1"):
        Selection(least_share=2)
    with pytest.raises(ExportError, match="choose one"):
        Selection(family="a", circuit="b")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_takes_a_part_but_the_import_of_neo4j(
    toy: Bundle, tmp_path: Path, format: str
) -> None:
    for chosen in (
        Selection("neurons"),
        Selection(least_share=0.1),
        Selection(family="conv1/f0"),
        Selection(circuit="fc:0"),
    ):
        if format != "neo4j-admin":
            assert export(toy, format, tmp_path / "g", chosen=chosen).is_file()
            continue
        with pytest.raises(ExportError, match=f"{chosen.options[0]}: neo4j-admin"):
            export(toy, format, tmp_path / "g", chosen=chosen)
