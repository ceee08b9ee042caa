"""Fixtures of the thread's tests: the facts that ship, their graph, and copies to alter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from circuitome.graphdb.bundle import Bundle
from circuitome.thread.ground_truth import FACTS, GroundTruth, open_ground_truth
from circuitome.thread.inception import write_inception
from tests.support.program import Run, run


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return open_ground_truth()


@pytest.fixture(scope="module")
def bundle(truth: GroundTruth, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_inception(truth, tmp_path_factory.mktemp("thread") / "thread.circuitome")


@pytest.fixture(scope="module")
def printed() -> Run:
    """What the command prints on the facts that ship."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CIRCUITOME_GROUND_TRUTH", raising=False)
        return run("thread-check", "--json")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the facts that a test may alter."""
    return Path(shutil.copytree(FACTS, tmp_path / "facts"))


@pytest.fixture
def copy_with_pictures(ground_truth_dir: Path, tmp_path: Path) -> Path:
    """A copy of the fuller folder, which has the pictures that do not ship."""
    return Path(shutil.copytree(ground_truth_dir, tmp_path / "fuller"))
