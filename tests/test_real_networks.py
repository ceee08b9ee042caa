"""Real trained networks go from file to verified, loaded and queried graph."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitome import open_store
from circuitome.extract import extract, verify
from circuitome.extract.models import Network, resolve
from circuitome.graphdb.bundle import Bundle

ARCHITECTURES = Path(__file__).parent / "architectures"
REAL = {
    "resnet20": (str(ARCHITECTURES / "cifar_resnet.py") + ":resnet20", "resnet20_cifar10"),
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet"),
    "onet": (str(ARCHITECTURES / "mtcnn.py") + ":onet", "mtcnn_onet"),
}


@pytest.fixture(scope="module", params=["menagerie_s0", *REAL])
def network(request, weights_dir) -> Network:
    if request.param not in REAL:
        return resolve(request.param)
    spec, weights = REAL[request.param]
    return resolve(spec, weights=str(weights_dir / f"{weights}.safetensors"), name=request.param)


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory) -> Bundle:
    return extract(
        network.model,
        output=tmp_path_factory.mktemp("real") / network.name,
        name=network.name,
        input_shape=network.input_shape,
        labels=network.labels,
    )


def test_the_graph_is_the_network(bundle, network):
    assert [check for check in verify(bundle, network.model) if not check.ok] == []


def test_what_was_kept_and_dropped_adds_up(bundle):
    neurons = bundle.table("Neuron").to_pylist()
    counts = bundle.manifest["counts"]
    assert sum(row["fan_in"] for row in neurons) == counts["edges"] + counts["dropped"]


def test_it_answers_from_a_database(bundle, network, tmp_path):
    with open_store(str(tmp_path / "real.db"), create=True) as database:
        database.load(bundle)
        last = bundle.table("Layer").to_pylist()[-1]
        rows = database.query("inputs", neuron=f"{last['key']}:0").to_dicts()
        assert rows
        assert rows[0]["share"] == max(row["share"] for row in rows)
        layers = database.query("layers").to_dicts()
        assert sum(row["neurons"] for row in layers) == bundle.manifest["counts"]["neurons"]
