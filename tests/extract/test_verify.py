"""Proof: verify passes on what was extracted and fails on whatever was altered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file

from circuitome.extract import Network, Options, extract, verify
from circuitome.extract.verify import TOLERANCE, VerifyError
from circuitome.graphdb.bundle import Bundle, BundleError
from tests.support.small_networks import build

SHAPE = (3, 16, 16)


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return extract(
        Network(build("option_a"), name="net", input_shape=SHAPE),
        output=tmp_path / "net",
        options=Options(device="cpu"),
    )


def _sign(bundle: Bundle) -> Bundle:
    """Make the manifest agree with altered files, so that only the proof can notice."""
    path = bundle.path / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, entry in manifest["files"].items():
        content = (bundle.path / name).read_bytes()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(manifest))
    return Bundle.open(bundle.path)


def _alter_kernel(path: Path) -> None:
    arrays = load_file(path / "kernels.safetensors")
    arrays["kernel/b"] = arrays["kernel/b"].copy()
    arrays["kernel/b"][3, 1, 1, 1] += 0.01
    save_file(arrays, path / "kernels.safetensors")


def _alter_wiring(path: Path, change: Callable[[dict], None]) -> None:
    wiring = json.loads((path / "wiring.json").read_text())
    change(wiring)
    (path / "wiring.json").write_text(json.dumps(wiring))


def _swap_channels(wiring: dict) -> None:
    layer = next(layer for layer in wiring["layers"] if layer["name"] == "b")
    layer["links"][0]["channels"] = [1, 0, 2, 3]


def _forget_relu(wiring: dict) -> None:
    layer = next(layer for layer in wiring["layers"] if layer["name"] == "c")
    layer["links"][0]["path"] = []


def _move_shortcut(wiring: dict) -> None:
    layer = next(layer for layer in wiring["layers"] if layer["op"] == "add")
    layer["links"][1]["positions"] = {"from": 3, "to": 7}


def _alter_column(path: Path, table: str, column: str, row: int) -> None:
    file = path / "tables" / f"{table}.parquet"
    rows = pq.read_table(file)
    place = rows.column_names.index(column)
    values = rows.column(column).to_pylist()
    values[row] = values[row] + 0.05 if isinstance(values[row], float) else values[row - 1]
    pq.write_table(
        rows.set_column(
            place, rows.schema.field(column), pa.array(values, rows.schema.field(column).type)
        ),
        file,
    )


def _invent_edge(path: Path) -> None:
    file = path / "tables" / "EXCITES.parquet"
    rows = pq.read_table(file)
    last = rows.slice(rows.num_rows - 1)
    place = rows.column_names.index("kernel")
    beyond = pa.array([10**9], rows.schema.field("kernel").type)
    pq.write_table(
        pa.concat_tables([rows, last.set_column(place, rows.schema.field("kernel"), beyond)]), file
    )
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["tables/EXCITES.parquet"]["rows"] += 1
    (path / "manifest.json").write_text(json.dumps(manifest))


ALTERATIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a kernel": (_alter_kernel, "layer"),
    "the channels of a link": (lambda path: _alter_wiring(path, _swap_channels), "layer"),
    "a step of a link": (lambda path: _alter_wiring(path, _forget_relu), "layer"),
    "the place of a shortcut": (lambda path: _alter_wiring(path, _move_shortcut), "summand 1"),
    "a folded bias": (lambda path: _alter_column(path, "Neuron", "bias", 10), "layer"),
    "the weight of an edge": (lambda path: _alter_column(path, "EXCITES", "weight", 20), "edges"),
    "an edge too many": (_invent_edge, "edges"),
    "the sender of an edge": (lambda path: _alter_column(path, "INHIBITS", "from", 20), "edges"),
}


def test_an_untouched_bundle_passes(bundle):
    checks = verify(bundle, build("option_a"))
    assert {check.part for check in checks} == {"layer", "summand 0", "summand 1", "edges"}
    assert max(check.error for check in checks) <= TOLERANCE


@pytest.mark.parametrize("what", ALTERATIONS)
def test_it_fails_when_something_in_the_bundle_is_altered(bundle, what):
    alter, part = ALTERATIONS[what]
    alter(bundle.path)
    failed = [check.part for check in verify(_sign(bundle), build("option_a")) if not check.ok]
    assert part in failed


def test_an_altered_file_is_refused_by_its_checksum(bundle):
    _alter_kernel(bundle.path)
    with pytest.raises(BundleError, match=r"kernels\.safetensors"):
        verify(Bundle.open(bundle.path), build("option_a"))


def test_other_weights_of_the_same_network_fail(bundle):
    assert not all(check.ok for check in verify(bundle, build("option_a", seed=1)))


def test_another_network_is_named_as_such(bundle):
    with pytest.raises(VerifyError, match="the model that the bundle was extracted from"):
        verify(bundle, build("permuted"))


def test_a_small_branch_of_a_sum_is_not_hidden_by_a_large_one(tmp_path):
    model = build("convnext")
    bundle = extract(Network(model, name="net", input_shape=SHAPE), output=tmp_path / "net")
    arrays = load_file(bundle.path / "kernels.safetensors")
    arrays["kernel/narrow"] = arrays["kernel/narrow"] * np.float32(1.001)
    save_file(arrays, bundle.path / "kernels.safetensors")
    failed = [(check.layer, check.part) for check in verify(_sign(bundle), model) if not check.ok]
    assert ("narrow", "layer") in failed


def test_batch_norm_statistics_matter(tmp_path):
    model = build("gated")
    bundle = extract(Network(model, name="net", input_shape=SHAPE), output=tmp_path / "net")
    with torch.no_grad():
        model.get_buffer("bn.running_mean").add_(0.5)
    assert not all(check.ok for check in verify(bundle, model))
