"""Real trained networks go from file to verified, loaded and queried graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuitome import open_store
from circuitome.extract import extract, verify
from circuitome.extract.models import Network, resolve
from circuitome.graphdb.bundle import Bundle
from tests.compare_stores import differences

ARCHITECTURES = Path(__file__).parent / "architectures"
RESNET, MTCNN, INCEPTION = (
    str(ARCHITECTURES / name) for name in ("cifar_resnet.py", "mtcnn.py", "inception_v3_2015.py")
)
REAL = {
    "resnet20": (f"{RESNET}:resnet20", "resnet20_cifar10"),
    "squeezenet1_1": ("squeezenet1_1", "squeezenet1_1_imagenet"),
    "onet": (f"{MTCNN}:onet", "mtcnn_onet"),
    "pnet": (f"{MTCNN}:pnet", "mtcnn_pnet"),
    "rnet": (f"{MTCNN}:rnet", "mtcnn_rnet"),
    "resnet20_seedC": (f"{RESNET}:resnet20", "resnet20_cifar10_seedC"),
    "resnet20_seedD": (f"{RESNET}:resnet20", "resnet20_cifar10_seedD"),
    "resnet32": (f"{RESNET}:resnet32", "resnet32_cifar10"),
    "resnet56": (f"{RESNET}:resnet56", "resnet56_cifar10"),
    "squeezenet1_0": ("squeezenet1_0", "squeezenet1_0_deepcompression"),
    "inception_early": (f"{INCEPTION}:early", "inception_v3_tf2015_early"),
    "inception_late": (f"{INCEPTION}:late", "inception_v3_tf2015_late_fp16"),
}


def networks(*often: str) -> list[Any]:
    """All networks, as parameters; those not named wait for `make torture`."""
    slow = [pytest.mark.torture, pytest.mark.timeout(1800)]
    return [pytest.param(name, marks=[] if name in often else slow) for name in ("menagerie_s0", *REAL)]


@pytest.fixture(scope="module", params=networks("menagerie_s0", "resnet20", "squeezenet1_1", "onet"))
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


@pytest.mark.parametrize("network", networks("menagerie_s0", "resnet20"), indirect=True)
def test_both_stores_answer_every_query_alike(bundle, neo4j_empty, tmp_path):
    with (
        open_store(str(tmp_path / "real.db"), create=True) as embedded,
        open_store(neo4j_empty.address) as server,
    ):
        for database in (embedded, server):
            database.load(bundle)
        assert differences(embedded, server, bundle.model) == []
