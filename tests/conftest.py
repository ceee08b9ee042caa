"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder of real trained networks; the tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("CIRCUITOME_WEIGHTS", ROOT.parent / "shared" / "weights"))
    if not folder.is_dir():
        pytest.skip(f"no weights of real networks at {folder}; set CIRCUITOME_WEIGHTS to their folder")
    return folder
