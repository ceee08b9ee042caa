"""What the front page and the pages of results state is what `benchmarks/results/` holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.front_page import SHOWN
from benchmarks.result_pages import PAGES, render
from benchmarks.results import TITLES, read
from benchmarks.thresholds import REASONS, parameters
from circuitome.extract import Network, extract
from circuitome.networks import BUNDLED, load
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs import MOTIFS

ROOT = Path(__file__).parents[2]
CURE = "run `python benchmarks/result_pages.py`"
OF_EDGES = ("opponent_pairs", "push_pull", "mutual_inhibition", "unioning_over_cases")
"""Motifs of the front page that need no annotation."""


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_those_of_the_stored_results(page: str) -> None:
    assert (ROOT / page).read_text() == render(page), CURE


def test_the_finding_of_the_readme_has_no_number_but_those_of_the_results() -> None:
    section = (ROOT / "README.md").read_text().split("## What replicates")[1].split("\n## ")[0]
    begin, end = "<!-- finding: begin -->\n", "<!-- finding: end -->"
    before, rest = section.split(begin)
    after = rest.split(end)[1]
    assert not re.search(r"\d", re.sub(r"\]\([^)]*\)", "]", before + after))


def test_the_finding_covers_every_network_of_the_results() -> None:
    assert {row["network"] for row in read("motif_findings")} == set(TITLES)


def test_the_results_of_the_bundled_networks_are_those_of_their_weights(tmp_path: Path) -> None:
    stored = {(row["network"], row["motif"], row["null"]): row for row in read("motif_findings")}
    for name in BUNDLED:
        network = Network(load(name), name=name, input_shape=(3, 64, 64))
        bundle = extract(network, output=tmp_path / name)
        graph = SignedGraph.of_bundle(bundle)
        for motif, null in SHOWN:
            if motif in OF_EDGES:
                assert MOTIFS[motif].count(graph) == stored[name, motif, null]["found"], motif


def test_every_threshold_of_a_motif_has_a_reason_and_no_reason_is_left_over() -> None:
    assert parameters().keys() == REASONS.keys()
