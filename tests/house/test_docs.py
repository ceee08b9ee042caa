"""The documentation holds: its examples run, and every command and query is in it."""

from __future__ import annotations

import os
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import circuitome
from circuitome.cli import app
from circuitome.queries.catalogue import library

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """File name or nothing, language and text of each code block."""
    for match in BLOCK.finditer(page):
        yield match[1] or "", match[2], match[3]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder in which `circuitome` is a program."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "circuitome"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m circuitome "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CIRCUITOME_DB", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_the_examples_of_the_readme_run_as_they_stand(shell: Path) -> None:
    ran = []
    for name, language, text in blocks(README):
        if name:
            (shell / name).write_text(text)
        elif language == "bash":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text], cwd=shell, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            ran.append(language)
        elif language == "python":
            done = subprocess.run(
                [sys.executable, "-c", text], cwd=shell, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            ran.append(language)
        else:
            assert language == "console", f"a block that nobody runs: {text}"
    assert ran.count("bash") >= 3
    assert "python" in ran


def test_the_readme_names_every_command() -> None:
    names = {
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
    }
    commands = {name.replace("_", "-") for name in names}
    named = set(re.findall(r"`([\w-]+)`", README.split("## Commands")[1].split("## ")[0]))
    assert commands <= named


def test_every_query_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "queries.md").read_text()
    missing = [name for name in library() if f"### `{name}`" not in page]
    assert not missing


def test_links_of_the_docs_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


def test_make_has_the_targets_that_the_docs_promise() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("install", "demo", "test", "lint", "bench", "neo4j", "torture", "docs"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_pinned_versions_name_no_address() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert lines
    assert all(re.fullmatch(r"[\w.\-]+==[\w.+!]+", line) for line in lines)


def test_the_examples_of_the_notebook_page_run_one_after_the_other(shell: Path) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    examples = [text for _, language, text in blocks(page) if language == "python"]
    assert len(examples) >= 4
    for text in examples:
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=shell, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"


def test_the_notebook_page_names_everything_that_the_package_exports() -> None:
    named = re.findall(r"^\| `(\w+)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(set(named)) == sorted(circuitome.__all__)


def test_every_function_that_the_glossary_names_is_there() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text()
    names = re.findall(r"`(circuitome\.[\w.]+)`", page)
    assert len(names) > 20
    for name in names:
        assert pydoc.locate(name) is not None, name


def test_the_examples_of_the_extraction_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from circuitome.extract import Network, extract
    from circuitome.networks import load

    monkeypatch.chdir(tmp_path)
    extract(
        Network(load("menagerie_s0"), name="menagerie_s0", input_shape=(3, 64, 64)),
        output="demo/menagerie_s0.circuitome",
    )
    page = (ROOT / "docs" / "extraction.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # the page is ours
    assert names["fronts"]["conv1.conv"].kernel.shape[:2] == (40, 32)
