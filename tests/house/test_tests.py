"""The tests themselves: what they share stands in `tests/support`, and no test leans on another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import Package, circles

TESTS = Package(Path(__file__).parents[1], computed={})
GRAPH = TESTS.graph(types=True)


def is_test(module: str) -> bool:
    return module.rpartition(".")[2].startswith("test_")


@pytest.mark.parametrize("module", TESTS.files)
def test_nobody_imports_a_test(module: str) -> None:
    assert not [other for other in GRAPH[module] if is_test(other)]


def test_helpers_import_in_no_circle() -> None:
    assert circles(GRAPH) == []
