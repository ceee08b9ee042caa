"""Which scores rank features that are spread over three hosts first, among trained-like weights.

A fifth of `benchmarks/bench_superposition.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench_superposition import SCORES, measured
from circuitome.queries.graph import SignedGraph
from tests.support.trained_like_graphs import ARCHITECTURES, HOSTS, Recipe, trained_like


@pytest.mark.parametrize("hosts", HOSTS)
def test_coherent_hosts_tell_a_spread_feature_and_their_number_does_not(
    tmp_path: Path, hosts: str
) -> None:
    rows = measured(tmp_path / "p", hosts, networks=4)
    recall = [rows[score]["among"] / rows[score]["planted"] for score in SCORES]
    assert rows[SCORES[0]]["planted"] == 16
    assert recall[0] <= 0.5
    assert recall[-1] >= 0.8


@pytest.mark.parametrize("hosts", HOSTS)
def test_planted_features_excite_three_hosts_and_are_hardly_ever_a_main_input(
    tmp_path: Path, hosts: str
) -> None:
    main = []
    for architecture in ARCHITECTURES:
        recipe = Recipe(f"superposition, {hosts}", 4)
        network = trained_like(tmp_path / "p", architecture=architecture, seed=1, recipe=recipe)
        graph = SignedGraph.of_bundle(network.bundle)
        neurons = np.array([sorted(map(graph.keys.tolist().index, i)) for i in network.planted])
        for instance in neurons:
            between = np.isin(graph.sender, instance) & np.isin(graph.receiver, instance)
            (feature,) = set(graph.sender[between].tolist())
            assert between.sum() == 3 and graph.excites[between].all()
            assert (graph.strength[between] >= 1).all()
            main.append(bool((graph.rank[graph.sender == feature] == 1).any()))
    assert np.mean(main) <= 0.1
