"""A load without weak edges: what stays, what goes, and what the tables then say of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from circuitome.extract import Network, extract
from circuitome.extract.edges import KEEP_ALL
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import EDGE_TYPES, WEIGHTED
from circuitome.graphdb.thinning import thinned
from circuitome.queries.database import Database
from tests.support.small_networks import build
from tests.support.synthetic import write_bundle


def shares(bundle: Bundle, table: str) -> np.ndarray:
    return bundle.table(table)["share"].to_numpy()


def dropped(bundle: Bundle) -> int:
    return int(np.nansum(bundle.table("Neuron")["dropped"].to_numpy()))


def a_share_in_the_middle(bundle: Bundle) -> float:
    every = np.concatenate([shares(bundle, table) for table in EDGE_TYPES])
    return float(np.median(every))


def test_edges_of_a_smaller_share_go_and_all_others_stay(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    least = a_share_in_the_middle(bundle)
    with thinned(bundle, least) as thin:
        for table in WEIGHTED:
            wanted = shares(bundle, table)
            assert shares(thin, table).tolist() == wanted[wanted >= least].tolist()
        assert sum(map(thin.rows, EDGE_TYPES)) < sum(map(bundle.rows, EDGE_TYPES))
        place = thin.path
    assert not place.exists()


def test_neurons_and_layers_say_what_they_lost(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    with thinned(bundle, a_share_in_the_middle(bundle)) as thin:
        gone = sum(bundle.rows(table) - thin.rows(table) for table in EDGE_TYPES)
        before, after = (dropped(each) for each in (bundle, thin))
        masses = [each.table("Layer")["kept_mass"].to_numpy() for each in (bundle, thin)]
    assert gone
    assert after - before == gone
    known = ~np.isnan(masses[0])
    assert (masses[1][known] <= masses[0][known]).all()
    assert np.nansum(masses[1]) < np.nansum(masses[0])


def test_pairs_of_layers_say_what_they_lost(tmp_path: Path) -> None:
    network = Network(build("gated"), name="net", input_shape=(3, 16, 16))
    bundle = extract(network, output=tmp_path / "net", keep=KEEP_ALL)
    with thinned(bundle, a_share_in_the_middle(bundle)) as thin:
        before, after = (squared_norms(each) for each in (bundle, thin))
        rows = list(zip(*(each.table("NEXT").to_pylist() for each in (bundle, thin)), strict=True))
    lost = [old["edges"] - new["edges"] for old, new in rows]
    assert sum(lost) == sum(bundle.rows(table) - thin.rows(table) for table in EDGE_TYPES)
    assert [new["dropped"] for _, new in rows] == lost
    assert any(lost) and not all(lost)
    for old, new in rows:
        pair = old["from"], old["to"]
        if old["kept_mass"] is not None:
            assert new["kept_mass"] == pytest.approx(after[pair] / before[pair], abs=1e-6)


def squared_norms(bundle: Bundle) -> Counter[tuple[str, str]]:
    """Squared norm of the signed edges from each layer to another."""
    neurons = {row["key"]: row for row in bundle.table("Neuron").to_pylist()}
    sums: Counter[tuple[str, str]] = Counter()
    for table in EDGE_TYPES:
        for edge in bundle.table(table).to_pylist():
            sender, receiver = neurons[edge["from"]], neurons[edge["to"]]
            mass = edge["share"] * receiver["fan_in_norm"] ** 2
            sums[sender["layer"], receiver["layer"]] += mass
    return sums


def test_nothing_goes_at_a_least_share_of_nothing(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "toy")
    with thinned(bundle, 0.0) as thin:
        assert [thin.rows(table) for table in WEIGHTED] == list(map(bundle.rows, WEIGHTED))


def test_a_load_tells_what_it_left_out_and_the_bundle_keeps_it(
    database: Database, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "toy")
    least, edges = a_share_in_the_middle(bundle), sum(map(bundle.rows, EDGE_TYPES))
    (done,) = database.load(bundle, least_share=least)
    (row,) = database.query(
        "MATCH (:Neuron)-[edge:EXCITES|INHIBITS]->(:Neuron) RETURN count(edge) AS edges, "
        "min(edge.share) AS least"
    )
    (model,) = database.models()
    assert row["edges"] == done.edges < edges
    assert row["least"] == pytest.approx(least) or row["least"] > least
    assert done.left_out >= edges - done.edges
    assert str(model["keep"]).endswith(f"share {least:g}")
    assert sum(map(Bundle.open(bundle.path).rows, EDGE_TYPES)) == edges
