"""Every command has a function of its name, whose value is that of the command."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
from typer.main import get_command

import circuitome
from circuitome.cli import app
from circuitome.queries.database import open_database
from circuitome.queries.errors import QueryError
from tests.support.program import run
from tests.support.synthetic import annotated, write_bundle

NOTHING_TO_GIVE = {"demo", "thread", "thread-check"}
"""Commands that tell a story, or check published facts: they have no value of a network."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    bundle = annotated(write_bundle(folder / "toy.circuitome"))
    with open_database(folder / "circuitome.db", create=True) as database:
        database.load(bundle)
    return folder


def test_every_command_has_a_function_of_its_name() -> None:
    commands = set(get_command(app).commands) - NOTHING_TO_GIVE  # pyright: ignore[reportAttributeAccessIssue]
    assert commands <= set(circuitome.__all__)
    assert all(callable(getattr(circuitome, name)) for name in commands)


def test_the_functions_have_docstrings_of_one_page() -> None:
    from circuitome import notebook

    assert all(getattr(notebook, name).__doc__ for name in notebook.__all__ if name.islower())


def test_a_query_gives_the_rows_of_the_command(here: Path) -> None:
    rows = run("query", "hubs", "--limit", "3", "--json").rows
    assert circuitome.query("hubs", limit=3).to_dicts() == rows
    assert len(circuitome.query("hubs", limit=3).to_pandas()) == len(rows) == 3


def test_a_neuron_is_that_of_the_command(here: Path) -> None:
    key = circuitome.query("neurons").to_dicts()[10]["neuron"]
    (row,) = run("neuron", key, "--json").rows
    about = circuitome.neuron(key)
    assert about.row() == row
    assert about.to_pandas()["neuron"].tolist() == [key]
    assert len(about.inputs.to_pandas()) == len(row["inputs"])


def test_families_are_those_of_the_command(here: Path) -> None:
    rows = run("families", "--json").rows
    found = circuitome.families()
    assert rows and [family.row() for family in found] == rows
    assert len(found.to_pandas()) == sum(len(row["members"]) for row in rows)


def test_a_family_and_a_layer_are_found_by_key(here: Path) -> None:
    from circuitome.queries import about

    wanted = next(iter(circuitome.families()))
    with open_database("circuitome.db") as database:
        assert about.family(database, wanted.family) == wanted
        layer = about.layer(database, database.neuron_key(wanted.members[0].neuron).split(":")[0])
        assert layer.facts["neurons"] == len(layer.to_pandas())
        assert {"balance", "kept_mass", "op"} <= set(layer.facts)
        with pytest.raises(QueryError, match="no layer 'nowhere'"):
            about.layer(database, "nowhere")


def test_families_of_a_layer_need_no_full_key_if_the_model_is_named(here: Path) -> None:
    wanted = next(iter(circuitome.families()))
    with open_database("circuitome.db") as database:
        database.load(annotated(write_bundle(here / "other.circuitome", name="other")))
    layer = str(wanted.layer).removeprefix(f"{wanted.model}/")
    named = run("families", "--layer", layer, "--model", wanted.model, "--json")
    whole = run("families", "--layer", str(wanted.layer), "--json")
    assert named.rows == whole.rows
    assert wanted.family in {row["family"] for row in named.rows}


def test_a_circuit_has_the_edges_of_the_command(here: Path) -> None:
    key = circuitome.query("neurons").to_dicts()[-1]["neuron"]
    rows = run("circuit", key, "--depth", "1", "--json").rows
    assert circuitome.circuit(key, depth=1).to_dicts() == rows


def test_motifs_are_those_of_the_command(here: Path) -> None:
    rows = run("motifs", "mutual-inhibition", "-p", "strength=0.1", "--limit", "4", "--json").rows
    found = circuitome.motifs("mutual_inhibition", strength=0.1, limit=4)
    assert rows and list(found) == rows
    assert {"case", "source"} <= set(found.to_pandas().columns)


def test_a_survey_has_a_row_for_each_motif(here: Path) -> None:
    rows = run("motifs", "--null", "3", "--json").rows
    found = circuitome.motifs(nulls=3)
    assert found.to_pandas()["kind"].tolist() == [row["kind"] for row in rows]


def test_models_and_schema_are_those_of_the_command(here: Path) -> None:
    assert circuitome.models().to_dicts() == run("models", "--json").rows
    assert circuitome.schema().to_dicts() == run("schema", "--json").rows


def test_a_sound_bundle_has_no_problems(here: Path) -> None:
    assert circuitome.check("toy.circuitome").to_pandas().columns.tolist() == ["bundle", "problem"]
    assert len(circuitome.check("toy.circuitome")) == 0


def test_load_drop_and_export_give_what_is_there(here: Path) -> None:
    (model,) = [row["key"] for row in circuitome.load("toy.circuitome", db="new.db")]
    assert circuitome.export(here / "graph.json", db="new.db").exists()
    with open_database("new.db") as database:
        assert len(circuitome.drop(model, db=database)) == 0


def test_a_database_that_is_open_stays_open(here: Path) -> None:
    with open_database("circuitome.db") as database:
        circuitome.query("hubs", db=database)
        assert len(circuitome.query("hubs", db=database)) > 0


def test_a_bundle_and_a_part_are_exported(here: Path) -> None:
    bundle = circuitome.Bundle.open("toy.circuitome")
    chosen = circuitome.Selection("neurons", 0.1)
    places = [
        circuitome.export(here / name, format="gexf", db=db, model="toy", chosen=chosen)
        for name, db in (("a.gexf", bundle), ("b.gexf", "circuitome.db"))
    ]
    from_bundle, from_database = map(nx.read_gexf, places)
    assert set(from_bundle) == set(from_database)
    assert sorted(from_bundle.edges()) == sorted(from_database.edges())
    with pytest.raises(QueryError, match="holds toy, not other"):
        circuitome.export(here / "c.gexf", db=bundle, model="other")
