"""Loads that would not fit are refused before they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import WEIGHTED
from circuitome.graphdb.stores.embedded import EmbeddedStore
from circuitome.graphdb.stores.protocol import StoreError
from circuitome.graphdb.stores.room import check_room
from tests.support.synthetic import write_bundle


def edges(bundle: Bundle) -> int:
    return sum(map(bundle.rows, WEIGHTED))


def test_more_edges_than_a_database_holds_are_refused_with_the_cure(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    assert bundle.rows("EXPANDED")
    there = sorted(tmp_path.iterdir())
    most = edges(bundle) - 1
    with (
        EmbeddedStore(tmp_path / "x.db", create=True, most_edges=most) as store,
        pytest.raises(StoreError) as caught,
    ):
        store.load(bundle)
    said = str(caught.value)
    assert f"{edges(bundle):,} edges of all kinds" in said and f"{most:,} at most" in said
    assert "MiB" in said
    assert all(cure in said for cure in ("--keep", "--top", "load --least-share"))
    assert sorted(tmp_path.iterdir()) == there


def test_as_many_edges_as_a_database_holds_are_loaded(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    with EmbeddedStore(tmp_path / "x.db", create=True, most_edges=edges(bundle)) as store:
        store.load(bundle)
        assert [row["key"] for row in store.models()] == ["toy"]


def test_models_that_are_there_count_unless_they_are_replaced(tmp_path: Path) -> None:
    one, other = (write_bundle(tmp_path / name, name=name) for name in ("one", "other"))
    with EmbeddedStore(tmp_path / "x.db", create=True, most_edges=edges(one)) as store:
        store.load(one)
        with pytest.raises(StoreError, match=f"{edges(one) + edges(other):,} edges"):
            store.load(other)
        assert [row["key"] for row in store.models()] == ["one"]
        store.load(other, replace=True)
        assert [row["key"] for row in store.models()] == ["other"]


def test_a_disk_without_room_is_named_with_what_is_needed(tmp_path: Path) -> None:
    table = tmp_path / "EXCITES.parquet"
    with table.open("wb") as file:
        file.truncate(1 << 42)  # takes no room itself
    with pytest.raises(StoreError, match=r"^x\.db: .* up to \d+ GiB are needed .* the disk has"):
        check_room("x.db", tmp_path, [table])
    assert [path.name for path in tmp_path.iterdir()] == ["EXCITES.parquet"]
