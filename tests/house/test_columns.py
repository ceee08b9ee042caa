"""Prose keeps to 100 columns: pages in Markdown and queries. Ruff holds Python to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = 100
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
QUERIES = sorted((ROOT / "circuitome" / "queries").rglob("*.cypher"))
AWAITING = {"docs/schema.md"}
"""Files that are not wrapped yet; whoever wraps one takes it out here."""


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbers and lines of a page that are neither code, table, heading nor picture."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not re.match(r"\s*(\||#|<|!\[)", line):
            yield number, line


def too_long(text: str) -> list[str]:
    """Lines of prose over 100 columns; the address of a link does not count."""
    return [
        f"{number}: {line[:60]}..."
        for number, line in prose(text)
        if len(re.sub(r"\]\([^)]*\)", "]", line)) > COLUMNS
    ]


def test_what_is_prose_is_told_from_the_rest() -> None:
    long = "word " * 30
    code, table, heading = f"```\n{long}\n```\n", f"| {long} |\n", f"# {long}\n"
    assert too_long(f"{code}{table}{heading}![{long}](x.svg)\n[word](https://{'x' * 100})\n") == []
    assert [line.split(":")[0] for line in too_long(f"{code}{long}\n- {long}")] == ["4", "5"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose_of_a_page_keeps_to_100_columns(page: Path) -> None:
    if page.relative_to(ROOT).as_posix() not in AWAITING:
        assert not too_long(page.read_text())


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_keeps_to_100_columns(query: Path) -> None:
    assert not [line for line in query.read_text().splitlines() if len(line) > COLUMNS]
