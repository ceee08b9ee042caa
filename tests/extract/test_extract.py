"""The whole extraction: a bundle that is whole, the same twice, or not there at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitome.extract import Network, Options, Pruning, WiringError, extract, verify
from circuitome.extract.edges import PruningError
from circuitome.extract.models.weights import digest
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.schema import EDGE_TYPES, arrow_schema
from tests.support.small_networks import REFUSED, build

SHAPE = (3, 16, 16)
ROOT = Path(__file__).parents[2]


def test_the_same_command_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        extract(
            Network(build("gated"), name="net", input_shape=SHAPE),
            output=tmp_path / name,
            options=Options(device="cpu"),
        )
    files = sorted(
        path.relative_to(tmp_path / "one")
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    )
    assert len(files) > 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), (
            file
        )


def test_every_table_has_the_columns_of_the_schema(tmp_path):
    bundle = extract(
        Network(build("gated"), name="net", input_shape=SHAPE), output=tmp_path / "net"
    )
    for table in bundle.tables:
        schema = arrow_schema(table)
        found = bundle.table(table).schema
        assert found.names == schema.names
        for field in schema:
            kind = found.field(field.name).type
            assert (
                kind.value_type
                if hasattr(kind, "value_type") and field.name in ("from", "to")
                else kind
            ) == field.type


def test_kernel_rows_lead_from_an_edge_to_its_kernel(tmp_path):
    model = build("option_a")
    bundle = extract(Network(model, name="net", input_shape=SHAPE), output=tmp_path / "net")
    rows = [row for name in EDGE_TYPES for row in bundle.table(name).to_pylist()]
    assert len(rows) == bundle.manifest.counts["edges"]
    for row in rows[::7]:
        kernel = bundle.kernels.row(row["kernel"]).astype(np.float64)
        assert row["weight"] == pytest.approx(kernel.sum(), abs=1e-6)
    edge = next(row for row in rows if row["to"] == "net/c:1")
    layer, channel = edge["from"].rsplit(":", 1)
    assert layer == "net/add"
    expected = model.get_parameter("c.weight")[1, int(channel)].detach().numpy()
    assert np.allclose(bundle.kernels.row(edge["kernel"]), expected)


def test_pruning_is_counted_on_neurons_layers_and_in_the_manifest(tmp_path):
    pruned = extract(
        Network(build("option_a"), name="net", input_shape=SHAPE),
        output=tmp_path / "a",
        keep=Pruning(0.8),
    )
    whole = extract(
        Network(build("option_a"), name="net", input_shape=SHAPE),
        output=tmp_path / "b",
        keep=Pruning(),
    )
    neurons = pruned.table("Neuron").to_pylist()
    dropped = sum(row["dropped"] for row in neurons)
    assert 0 < dropped == pruned.manifest.counts["dropped"]
    assert whole.manifest.counts["edges"] == pruned.manifest.counts["edges"] + dropped
    assert all(row["kept_mass"] >= 0.8 - 1e-12 for row in neurons if row["op"] != "input")
    kept = {row["name"]: row["kept_mass"] for row in pruned.table("Layer").to_pylist()}
    assert kept["input"] is None
    assert 0.8 <= kept["c"] < 1
    assert (pruned.manifest.model["keep"], whole.manifest.model["keep"]) == ("0.8", "all")


def test_pruning_is_counted_on_each_pair_of_layers(tmp_path):
    bundle = extract(
        Network(build("shuffle"), name="net", input_shape=SHAPE),
        output=tmp_path / "net",
        keep=Pruning(0.7, top=3),
    )
    rows = bundle.table("NEXT").to_pylist()
    counts = bundle.manifest.counts
    assert sum(row["edges"] for row in rows) == counts["edges"]
    assert sum(row["dropped"] for row in rows) == counts["dropped"] > 0
    assert all(0 < row["kept_mass"] <= 1 for row in rows)
    assert verify(bundle, build("shuffle"))[-1].ok


def test_a_batch_gives_the_input_shape(tmp_path):
    network = Network(build("gated"), input_shape=torch.zeros(4, *SHAPE).shape[1:])
    bundle = extract(network, output=tmp_path / "net")
    assert bundle.manifest.model["input_shape"] == list(SHAPE)


def test_a_bare_module_is_a_network_that_nothing_else_is_known_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = build("gated")
    bundle = extract(model)
    row = bundle.manifest.model
    assert bundle.path.name == "network.circuitome"
    assert (row["key"], row["input_shape"]) == ("network", [3, 224, 224])
    assert (row["architecture"], row["weights"]) == (type(model).__name__, "")
    assert (row["weights_sha256"], row["task"], row["mean"]) == (digest(model), None, None)


def test_progress_is_told_to_the_end(tmp_path):
    told = []
    extract(
        Network(build("option_a"), input_shape=SHAPE),
        output=tmp_path / "net",
        progress=lambda *args: told.append(args),
    )
    assert {stage for stage, done, total in told if done == total} == {
        "tracing",
        "weighing",
        "expanding",
    }


@pytest.mark.parametrize("keep", [0.0, 1.5, -1.0])
def test_a_share_to_keep_that_is_none_is_refused(tmp_path, keep):
    with pytest.raises(PruningError, match="above 0 and at most 1"):
        extract(
            Network(build("gated"), input_shape=SHAPE), output=tmp_path / "net", keep=Pruning(keep)
        )


def test_a_network_that_cannot_be_wired_leaves_nothing_behind(tmp_path):
    with pytest.raises(WiringError):
        extract(
            Network(REFUSED["attention"][0]().eval(), input_shape=SHAPE), output=tmp_path / "net"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_overwritten_unless_forced(tmp_path):
    extract(Network(build("gated"), name="first", input_shape=SHAPE), output=tmp_path / "net")
    with pytest.raises(BundleError, match="--force"):
        extract(Network(build("gated"), name="second", input_shape=SHAPE), output=tmp_path / "net")
    assert Bundle.open(tmp_path / "net").model == "first"
    extract(
        Network(build("gated"), name="second", input_shape=SHAPE),
        output=tmp_path / "net",
        force=True,
    )
    assert Bundle.open(tmp_path / "net").model == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


SLOW = """
import sys, time
from circuitome.extract import Network, extract
from tests.support.small_networks import build
def progress(stage, done, total):
    print(stage, done, flush=True); time.sleep(0.3)
network = Network(build("gated"), name="net", input_shape=(3, 16, 16))
extract(network, output=sys.argv[1], progress=progress)
"""


def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path):
    target = tmp_path / "net"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(target)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("weighing 3"):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    assert not target.exists()
    with pytest.raises(BundleError):
        Bundle.open(target)
    bundle = extract(Network(build("gated"), name="net", input_shape=SHAPE), output=target)
    assert all(check.ok for check in verify(bundle, build("gated")))
