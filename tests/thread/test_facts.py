"""The facts that ship: every file has its source and licence, and together they are small."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from circuitome.thread.ground_truth import FACTS
from circuitome.universality.published import published_features

LARGEST = 1_200_000
"""Bytes that the facts may take in all."""
README = (FACTS / "README.md").read_text()
FILES = sorted(path.name for path in FACTS.iterdir() if path.name != "README.md")


def table(title: str) -> dict[str, dict[str, str]]:
    """The rows of the table below a heading, by their first cell."""
    section = README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): dict(zip(names, row, strict=True)) for row in rows}


def test_all_facts_together_are_small() -> None:
    assert 0 < sum(path.stat().st_size for path in FACTS.iterdir()) <= LARGEST


def test_no_picture_ships() -> None:
    for name in FILES:
        assert not name.endswith((".png", ".svg", ".jpg"))
        if name.endswith(".npz"):
            with np.load(FACTS / name) as arrays:
                assert not [key for key in arrays.files if arrays[key].dtype == np.uint8]


def test_every_file_is_in_the_table_and_nothing_else() -> None:
    assert sorted(table("Files")) == FILES


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_its_source_and_licence(name: str) -> None:
    sources, row = table("Sources"), table("Files")[name]
    keys = row["from"].split(", ")
    assert keys
    for key in keys:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", sources[key]["repository"])
        assert re.fullmatch(r"`[0-9a-f]{40}`", sources[key]["commit"])
        assert sources[key]["licence"]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
def test_a_file_that_names_its_sources_names_those_of_the_table(name: str) -> None:
    sources = table("Sources")
    row = table("Files")[name]
    written = json.loads((FACTS / name).read_text()).get("source", [])
    for source in written if isinstance(written, list) else [written]:
        commits = [sources[key]["commit"].strip("`") for key in row["from"].split(", ")]
        assert source["commit"] in commits


def test_addresses_of_features_in_other_networks_ship() -> None:
    rows = {row["key"]: row for row in published_features(FACTS)}
    assert len(rows) == 9
    assert "AlexNet Conv2D_2:183" in rows["circuits/high-low-frequency"]["addresses"]
