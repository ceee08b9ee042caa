"""Response signatures: what is shown, how it is read, and what of it gets into the bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from circuitome.extract import Network, extract
from circuitome.extract.annotate.parts import signatures as part
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.responses import signatures
from circuitome.extract.responses.runner import Subject
from circuitome.extract.responses.signatures import TWINS
from circuitome.extract.stimuli import gallery as galleries
from circuitome.extract.stimuli.gallery import CELLS, GRID, SIDE, gallery
from circuitome.extract.trace.tracing import trace
from circuitome.graphdb.bundle import BundleError
from circuitome.graphdb.signatures import FILE, Signatures, packed, unit_rows
from tests.support.signed_networks import INPUT, convolutions, network, signed, small_gallery


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real gallery with few pictures of each kind."""
    monkeypatch.setattr(galleries, "SCENES", 3)
    monkeypatch.setattr(galleries, "RANDOM", ((2, 4),))
    monkeypatch.setattr(galleries, "MOSAICS", ((2, 4),))
    galleries._own.cache_clear()
    yield
    galleries._own.cache_clear()


def test_own_pictures_come_behind_the_common_ones_and_change_the_hash(
    few: None, tmp_path: Path
) -> None:
    Image.new("RGB", (50, 40), (255, 0, 0)).save(tmp_path / "red.png")
    common, more = gallery(), gallery(tmp_path)
    assert len(common) == 7
    assert np.array_equal(more.pictures[:7], common.pictures) and np.array_equal(
        more.cells[:7], common.cells
    )
    assert more.pictures[7, :, 9, 9].tolist() == [255, 0, 0]
    assert common.sha256 == gallery().sha256 != more.sha256
    Image.new("RGB", (50, 40), (0, 0, 255)).save(tmp_path / "red.png")
    assert gallery(tmp_path).sha256 != more.sha256


def test_a_picture_is_the_same_scene_at_every_size(few: None) -> None:
    shown, numbers = gallery(), np.arange(7)
    large, small = shown.draw(numbers, (96, 96)), shown.draw(numbers, (32, 32))
    assert F.adaptive_avg_pool2d(large, 4).sub(F.adaptive_avg_pool2d(small, 4)).abs().max() < 0.02
    moved = shown.draw(numbers, (96, 96), displaced=True)
    assert 0.005 < float((moved - large).abs().mean()) < 0.1
    alone = shown.draw(numbers[3:4], (96, 96), displaced=True)
    assert torch.equal(alone[0], moved[3])


def test_pictures_differ_and_are_not_flat(few: None) -> None:
    pictures = gallery().pictures.reshape(7, -1).astype(float)
    assert pictures.std(1).min() > 10
    assert np.abs(np.corrcoef(pictures) - np.eye(7)).max() < 0.9


def test_cells_are_means_of_the_units_that_look_there() -> None:
    fine = signatures._shares(FieldGeometry((3, 3), (2, 2), (0.5, 0.5)), 0, 16, 32)
    assert torch.allclose(fine, torch.eye(8).repeat_interleave(2, 1) / 2)
    coarse = signatures._shares(FieldGeometry((9, 9), (8, 8), (3.5, 3.5)), 0, 4, 32)
    assert torch.allclose(coarse, torch.eye(4).repeat_interleave(2, 0))
    valid = signatures._shares(
        FieldGeometry((17, 17), (4, 4), (7.5, 7.5)), 0, 5, 32
    )  # no padding: the border is seen by few units
    assert valid[0, 0] == 1 and valid[-1, -1] == 1
    assert torch.allclose(valid.sum(1), torch.ones(GRID))


def test_a_networks_own_preprocessing_is_respected(tmp_path: Path) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.5)
    plain, prepared = network(1), network(1)
    weight, bias = convolutions(prepared)[0].weight.data, convolutions(prepared)[0].bias
    assert bias is not None
    shift, scale = torch.tensor(mean).view(1, 3, 1, 1), torch.tensor(std).view(1, 3, 1, 1)
    bias.data += (weight * shift / scale).sum(
        (1, 2, 3)
    )  # undoes what the other network's preprocessing does
    one = Signatures.open(signed(prepared, tmp_path / "one", mean=mean, std=std))
    convolutions(plain)[0].weight.data = weight / scale
    other = Signatures.open(signed(plain, tmp_path / "other"))
    alike = (one.copy() * other.copy()).sum(1)
    assert alike.min() > 0.999


def test_what_brightness_colour_and_contrast_explain_is_no_signature() -> None:
    shown = small_gallery()
    plain = shown.plain(np.arange(len(shown)))
    own = np.random.default_rng(0).standard_normal((1, len(plain)))
    rows = np.concatenate([3 * plain[:, :3].T + 1, plain[:, :1].T + own])
    left = signatures._without(rows, plain)
    assert not left[:3].any()
    assert np.linalg.norm(left[3]) == pytest.approx(1, abs=1e-5)
    assert np.abs(unit_rows(plain.T) @ left[3]).max() < 1e-5
    assert float(left[3] @ unit_rows(own)[0]) > 0.8


def test_plain_things_of_a_cell_are_those_of_its_place() -> None:
    shown = small_gallery()
    plain = shown.plain(np.arange(2))
    assert plain.shape[0] == 2 * CELLS
    y, x = divmod(int(shown.cells[1, 2]), GRID)
    edge = SIDE // GRID
    picture = shown.pictures[1][:, y * edge : (y + 1) * edge, x * edge : (x + 1) * edge] / 255
    finest = (
        3 * 5
    )  # five things each of the whole picture, its halves, its quarters, then of the cell
    assert plain[CELLS + 2, finest : finest + 3] == pytest.approx(picture.mean((1, 2)), abs=0.01)


def filters(*kernels: torch.Tensor) -> nn.Sequential:
    layer = nn.Conv2d(3, len(kernels), 5, stride=2, bias=False)
    layer.weight.data = torch.stack(kernels)
    return nn.Sequential(layer, nn.ReLU(), nn.Conv2d(len(kernels), 2, 1)).eval()


def test_reliability_falls_where_a_neuron_looks_at_fine_detail(tmp_path: Path) -> None:
    line = torch.arange(5.0)
    coarse = torch.tanh(line - 2).expand(3, 5, 5)
    fine = (-1.0) ** (line[:, None] + line).expand(3, 5, 5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bundle = signed(filters(coarse, fine, torch.zeros(3, 5, 5)), tmp_path / "three")
    first = [
        row["reliability"]
        for row in bundle.table("Neuron").to_pylist()
        if row["layer"] == "three/0"
    ]
    assert first[0] > first[1] + 0.1
    assert first[2] is None
    assert not Signatures.open(bundle).copy()[2].any()


def test_without_displacement_every_neuron_is_reliable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(galleries, "SHIFT", 0)
    monkeypatch.setattr(galleries, "NOISE", 0.0)
    opened = Signatures.open(signed(network(2), tmp_path / "still"))
    assert np.nanmin(opened.reliability) > 0.9999


def test_eight_bits_cost_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = unit_rows(
        np.maximum(rng.standard_normal((50, 1152)), 1.5)
    )  # rectified and sparse, as responses are
    content = packed({"net": {"a": rows}}, about={})
    from safetensors.numpy import load

    again = unit_rows(load(content)["net/a"].astype(np.float32))
    assert (rows * again).sum(1).min() > 0.998
    assert not load(packed({"net": {"a": np.zeros((1, 4))}}, about={}))["net/a"].any()


def test_signatures_stand_in_the_bundle(tmp_path: Path) -> None:
    model = nn.Sequential(
        *list(network(3))[:4], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)
    ).eval()
    bundle = signed(model, tmp_path / "net")
    bundle.check()
    row = bundle.manifest.model
    assert row["annotated"] == "signatures" and row["signatures_sha256"] == small_gallery().sha256
    opened = Signatures.open(bundle)
    assert opened.layers == ("0", "2", "6")
    assert opened.twins == tuple(f"twin{number}" for number in range(TWINS))
    assert opened.starts.tolist() == [0, 24, 48, 58]
    own = opened.copy()
    assert own.shape == (58, len(small_gallery()) * CELLS)
    assert np.linalg.norm(own, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(np.sum(own * opened.copy("twin0"), 1)).mean() < 0.5


def test_a_bundle_without_signatures_names_the_cure(tmp_path: Path) -> None:
    bundle = extract(Network(network(5), name="bare", input_shape=INPUT), output=tmp_path / "bare")
    with pytest.raises(BundleError, match="--parts signatures"):
        Signatures.open(bundle)


def test_annotate_makes_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(6, first=4, second=4)
    bundle = extract(Network(model, name="net", input_shape=INPUT), output=tmp_path / "net")
    monkeypatch.setattr(part, "gallery", lambda images: small_gallery(24))
    done = annotate(bundle, model, parts=["signatures"], device="cpu")
    assert done.manifest.model["annotated"] == "responses,signatures"
    assert FILE in done.attached
    monkeypatch.setattr(
        part, "signature_findings", lambda *_, **__: pytest.fail("signatures were there")
    )
    assert annotate(done, model, parts=["signatures"], device="cpu").manifest == done.manifest


def test_annotate_makes_those_of_an_earlier_version_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(6, first=4, second=4)
    bundle = extract(Network(model, name="net", input_shape=INPUT), output=tmp_path / "net")
    monkeypatch.setattr(part, "gallery", lambda images: small_gallery(24))
    with monkeypatch.context() as earlier:
        earlier.setattr(signatures, "NULL", "twins")
        bundle = annotate(bundle, model, parts=["signatures"], device="cpu")
    with pytest.raises(BundleError, match="older kind of null networks"):
        Signatures.open(bundle)
    again = annotate(bundle, model, parts=["signatures"], device="cpu")
    assert len(Signatures.open(again).twins) == TWINS


def test_twins_differ_from_run_to_run_only_by_the_seed(tmp_path: Path) -> None:
    model, shown = network(7), small_gallery(24)
    traced = trace(model, INPUT)

    def twins(seed: int) -> np.ndarray:
        subject = Subject.of(model, traced)
        found = signatures.sign(subject, shown, seed=seed, report=lambda *_: None)
        return found.copies["twin1"][1]

    assert np.array_equal(twins(0), twins(0))
    assert not np.allclose(twins(0), twins(1), atol=0.1)
