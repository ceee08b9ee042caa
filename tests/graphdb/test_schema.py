"""The schema is declared once, and everything that is made from it follows."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from circuitome.graphdb.ddl import (
    fingerprint,
    kuzu_statements,
    neo4j_constraints,
    neo4j_indexes,
    schema_markdown,
)
from circuitome.graphdb.rows import ModelRow
from circuitome.graphdb.schema import EDGE_TYPES, NODES, RELATIONSHIPS, arrow_schema, table_type
from circuitome.queries.catalogue import library

TABLES = (*NODES, *RELATIONSHIPS)


def test_the_page_of_the_docs_is_the_one_that_the_schema_makes() -> None:
    page = Path(__file__).parents[2] / "docs" / "schema.md"
    assert page.read_text() == schema_markdown(), "run `make docs`"


def test_every_table_and_every_property_stands_in_the_page() -> None:
    page = schema_markdown()
    for table in TABLES:
        assert f"### `{table}`\n" in page
        for column in table_type(table).columns:
            assert f"| `{column.name}`" in page


def test_every_row_of_the_page_has_three_cells() -> None:
    rows = [line for line in schema_markdown().splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {5}


@pytest.mark.parametrize("label", NODES)
def test_a_node_is_found_by_its_key(label: str) -> None:
    assert NODES[label].key.name == "key"
    assert arrow_schema(label).field(0).type == pa.string()


@pytest.mark.parametrize("name", RELATIONSHIPS)
def test_a_relationship_joins_labels_that_are_declared(name: str) -> None:
    assert {RELATIONSHIPS[name].source, RELATIONSHIPS[name].target} <= set(NODES)
    assert arrow_schema(name).names[:2] == ["from", "to"]


@pytest.mark.parametrize("table", TABLES)
def test_names_are_plain_words_used_once(table: str) -> None:
    names = arrow_schema(table).names
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_both_edge_types_hold_the_same() -> None:
    excites, inhibits = (RELATIONSHIPS[name].columns for name in EDGE_TYPES)
    assert excites == inhibits


def test_a_row_of_models_has_the_columns_of_its_table() -> None:
    assert list(ModelRow.__annotations__) == arrow_schema("Model").names


def test_what_is_asked_of_a_neuron_tells_all_that_its_annotation_fills() -> None:
    filled = {column.name for column in NODES["Neuron"].columns if column.part is not None}
    assert filled and filled <= {column.name for column in library()["annotation"].returns}


def test_kuzu_takes_every_statement(tmp_path: Path) -> None:
    import kuzu

    with kuzu.Database(str(tmp_path / "x.db")) as database, kuzu.Connection(database) as connection:
        for statement in kuzu_statements():
            connection.execute(statement)
        tables = connection.execute("CALL show_tables() RETURN name")
        assert not isinstance(tables, list)
        assert set(tables.get_as_arrow()["name"].to_pylist()) == set(TABLES)


def test_every_key_is_unique_and_every_filter_column_has_an_index() -> None:
    assert len(neo4j_constraints()) == len(NODES)
    indexes = neo4j_indexes()
    for table in TABLES:
        for column in table_type(table).columns:
            assert (f"{table}_{column.name}" in indexes) == column.indexed


def test_the_mark_of_a_database_changes_with_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    monkeypatch.delitem(RELATIONSHIPS, "NEXT")
    assert fingerprint() != before
