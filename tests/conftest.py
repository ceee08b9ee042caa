"""Fixtures that several tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitome.graphdb.stores.opening import open_store
from circuitome.graphdb.stores.protocol import Store
from circuitome.queries.database import Database

pytest_plugins = ["tests.support.neo4j_server"]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder of real trained networks; the tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
    if not folder.is_dir():
        pytest.skip(
            f"no weights of real networks at {folder}; set CIRCUITOME_WEIGHTS to their folder"
        )
    return folder


@pytest.fixture(scope="session")
def ground_truth_dir() -> Path:
    """Folder of the facts published with the Circuits thread; the tests that need it are skipped
    where it is not there.
    """
    folder = Path(
        os.environ.get("CIRCUITOME_GROUND_TRUTH", ROOT.parent / "shared" / "ground_truth")
    )
    if not folder.is_dir():
        pytest.skip(f"no published facts at {folder}; set CIRCUITOME_GROUND_TRUTH to their folder")
    return folder


@pytest.fixture(params=["kuzu", "neo4j"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty store, once of each engine."""
    return (
        str(tmp_path / "store.db")
        if request.param == "kuzu"
        else request.getfixturevalue("neo4j_empty").address
    )


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty store, once of each engine."""
    with open_store(address, create=True) as opened:
        yield opened


@pytest.fixture
def database(store: Store) -> Iterator[Database]:
    """An empty database, once of each engine."""
    with Database(store) as database:
        yield database
