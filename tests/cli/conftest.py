"""Where a command of a test runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def here(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the test module's ``workshop`` as the working folder, and no database in the
    environment.
    """
    folder = tmp_path / "here"
    shutil.copytree(workshop, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    return folder
