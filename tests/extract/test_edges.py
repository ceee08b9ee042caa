"""Edges: every property against hand-computed kernels and against independent methods."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from circuitome import kernels
from circuitome.extract import ExtractError, Network, Pruning, extract
from circuitome.extract.edges import KEEP_ALL, Senders, banding_ratio, weigh
from circuitome.graphdb.schema import EDGE_TYPES
from tests.support.small_networks import Lambda, build


def _weigh(kernel, keep=KEEP_ALL, neuron=None, gain=None):
    kernel = torch.as_tensor(kernel, dtype=torch.float32)
    neuron = np.arange(kernel.shape[1])[None] if neuron is None else np.asarray(neuron)
    gain = np.ones(neuron.shape) if gain is None else np.asarray(gain, dtype=float)
    (run,) = weigh(kernel, Senders(neuron, gain), receivers=100, rows=50, keep=keep)
    return run[:2]


def test_one_kernel_by_hand():
    edges, fan = _weigh([[[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, -2.0, 3.0]]]])
    assert edges.weight.tolist() == [2.0]
    assert edges.excitation.tolist() == [4.0]
    assert edges.polarity[0] == pytest.approx((4 - 2) / 6)
    assert (edges.ex[0], edges.ey[0]) == pytest.approx(((-1 * 1 + 1 * 3) / 4, (-1 * 1 + 1 * 3) / 4))
    assert (edges.ix[0], edges.iy[0]) == (0.0, 1.0)
    assert (edges.share[0], edges.rank[0], edges.kernel[0], edges.receiver[0]) == (1.0, 1, 50, 100)
    assert fan.norm[0] == pytest.approx(np.sqrt(14))


def test_a_centre_of_a_part_that_is_not_there_is_no_number():
    edges, _ = _weigh([[[[1.0]], [[-2.0]]]])
    assert np.isnan(edges.ix[0]) and np.isnan(edges.ex[1])
    assert edges.inhibits.tolist() == [False, True]


def test_an_exact_zero_sum_excites_with_polarity_zero_and_a_zero_kernel_is_no_edge():
    edges, fan = _weigh([[[[1.0, -1.0]], [[0.0, 0.0]]]])
    assert edges.inhibits.tolist() == [False]
    assert edges.polarity.tolist() == [0.0]
    assert fan.fan_in.tolist() == [1]


def test_pruning_keeps_the_fewest_strongest_edges_that_hold_the_mass():
    edges, fan = _weigh([[[[4.0]], [[-1.0]], [[2.0]], [[2.0]]]], keep=Pruning(0.8))
    assert edges.sender.tolist() == [0, 2]
    assert edges.rank.tolist() == [1, 2]
    assert (fan.fan_in[0], fan.dropped[0]) == (4, 2)
    assert fan.kept_mass[0] == pytest.approx(20 / 25)


def test_pruning_to_the_strongest_few():
    edges, fan = _weigh([[[[4.0]], [[-1.0]], [[2.0]], [[2.0]]]], keep=Pruning(top=1))
    assert (edges.sender.tolist(), fan.dropped.tolist()) == ([0], [3])
    edges, _ = _weigh([[[[4.0]], [[-1.0]], [[2.0]], [[2.0]]]], keep=Pruning(0.5, top=3))
    assert edges.sender.tolist() == [0]


@pytest.mark.parametrize("rule", [Pruning(), Pruning(0.99), Pruning(0.5, 20), Pruning(None, 3)])
def test_a_rule_of_pruning_is_read_back_from_its_text(rule):
    assert Pruning.parse(str(rule)) == rule


def test_a_negative_gain_turns_excitation_into_inhibition():
    edges, _ = _weigh([[[[1.0, -3.0]]]], gain=[[-2.0]])
    assert edges.weight.tolist() == [4.0]
    assert edges.excitation.tolist() == [6.0]
    assert edges.ex.tolist() == [0.5]


def test_groups_read_their_own_senders():
    edges, _ = _weigh(np.ones((4, 2, 1, 1)), neuron=[[0, 1], [2, 3]], gain=np.ones((2, 2)))
    assert edges.sender.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert edges.kernel.tolist() == list(range(50, 58))


def test_a_sender_that_arrives_twice_has_one_edge_with_the_summed_kernel():
    edges, fan = _weigh([[[[1.0, 2.0]], [[5.0, 0.0]], [[-1.0, 1.0]]]], neuron=[[7, 8, 7]])
    assert edges.sender.tolist() == [7, 8]
    assert edges.weight.tolist() == [3.0, 5.0]
    assert (edges.kernel.tolist(), fan.fan_in.tolist()) == ([50, 51], [2])


def test_in_many_runs_the_edges_are_the_same(monkeypatch):
    kernel = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    (whole,) = weigh(
        kernel, Senders(np.arange(5)[None], np.ones((1, 5))), receivers=0, rows=0, keep=Pruning(0.9)
    )
    monkeypatch.setattr("circuitome.extract.edges.CHUNK", 100)
    parts = list(
        weigh(
            kernel,
            Senders(np.arange(5)[None], np.ones((1, 5))),
            receivers=0,
            rows=0,
            keep=Pruning(0.9),
        )
    )
    assert len(parts) > 1
    for name in ("sender", "receiver", "weight", "rank", "kernel"):
        assert np.array_equal(
            np.concatenate([getattr(run, name) for run, _, _ in parts]), getattr(whole[0], name)
        )


def test_a_kernel_that_varies_along_y_alone_is_banded():
    stripes = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    noise = 0.1 * torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    along_y, along_x = banding_ratio(stripes + noise), banding_ratio(stripes.T + noise)
    assert along_y is not None and along_y > 10
    assert along_x is not None and along_x < 0.1
    assert banding_ratio(torch.ones(2, 2, 1, 1)) is None


def _table(bundle):
    rows = [row for name in EDGE_TYPES for row in bundle.table(name).to_pylist()]
    return {(row["from"], row["to"]): row for row in rows}


def test_weights_are_what_one_pixel_in_one_channel_evokes(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, groups=1, bias=False), nn.BatchNorm2d(4)
    ).eval()
    nn.init.uniform_(model.get_buffer("1.running_var"), 0.5, 2.0)
    nn.init.normal_(model.get_parameter("1.weight"))
    bundle = extract(
        Network(model, name="net", input_shape=(3, 9, 9)), output=tmp_path / "net", keep=Pruning()
    )
    edges = _table(bundle)
    with torch.no_grad():
        base = model(torch.zeros(1, 3, 9, 9))
        for sender in range(3):
            pixel = torch.zeros(1, 3, 9, 9)
            pixel[0, sender, 4, 4] = 1
            evoked = (model(pixel) - base)[0]
            for receiver in range(4):
                edge = edges[f"net/input:{sender}", f"net/0:{receiver}"]
                assert edge["weight"] == pytest.approx(float(evoked[receiver].sum()), abs=1e-5)
                assert edge["excitation"] == pytest.approx(
                    float(evoked[receiver].clamp(min=0).sum()), abs=1e-5
                )
                y, x = (evoked[receiver].clamp(min=0).sum(axis) for axis in (1, 0))
                place = torch.arange(9.0) - 4
                assert edge["ex"] == pytest.approx(-float((place * x).sum() / x.sum()), abs=1e-4)
                assert edge["ey"] == pytest.approx(-float((place * y).sum() / y.sum()), abs=1e-4)


def test_a_transposed_convolution_is_seen_from_its_receiver(tmp_path):
    torch.manual_seed(0)
    model = nn.ConvTranspose2d(2, 3, 3, stride=1, padding=1, bias=False).eval()
    bundle = extract(
        Network(model, name="net", input_shape=(2, 7, 7)), output=tmp_path / "net", keep=Pruning()
    )
    image = torch.randn(1, 2, 7, 7)
    kernel = torch.as_tensor(bundle.kernels.array("kernel/" + bundle.kernels.names[1]))
    with torch.no_grad():
        assert torch.allclose(F.conv2d(image, kernel, padding=1), model(image), atol=1e-6)


def test_gains_after_a_nonlinearity_are_multiplied_in_and_flagged(tmp_path):
    model = build("dense")
    bundle = extract(
        Network(model, name="net", input_shape=(3, 16, 16)), output=tmp_path / "net", keep=Pruning()
    )
    flags = {
        (row["from"], row["to"]): row["linearised"] for row in bundle.table("NEXT").to_pylist()
    }
    assert flags["net/a", "net/c"] and not flags["net/input", "net/a"]
    gain = (
        model.get_parameter("n2.weight") / (model.get_buffer("n2.running_var") + 1e-5).sqrt()
    ).detach()
    weight = model.get_parameter("c.weight").detach()
    expected = (weight[2, 5] * gain[5]).sum()
    assert _table(bundle)["net/b:1", "net/c:2"]["weight"] == pytest.approx(
        float(expected), rel=1e-5
    )


def test_a_gate_is_a_relationship_of_its_own(tmp_path):
    bundle = extract(
        Network(build("gated"), name="net", input_shape=(3, 16, 16)), output=tmp_path / "net"
    )
    gates = bundle.table("GATES").to_pylist()
    assert {(row["from"].split(":")[0], row["via"]) for row in gates} == {("net/up", "sigmoid")}
    assert len(gates) == 8
    senders = {
        row["from"].split(":")[0]
        for row in bundle.table("EXCITES").to_pylist()
        if "/mul" in row["to"]
    }
    assert senders == {"net/a"}


def test_the_identity_edges_of_an_addition(tmp_path):
    bundle = extract(
        Network(build("option_a"), name="net", input_shape=(3, 16, 16)), output=tmp_path / "net"
    )
    edges = [row for row in bundle.table("EXCITES").to_pylist() if "/add" in row["to"]]
    assert {row["weight"] for row in edges} == {1.0}
    into = {f"net/add:{channel}" for channel in range(8)}
    assert {row["to"] for row in edges} == into
    by_receiver = {key: [row["from"] for row in edges if row["to"] == key] for key in into}
    assert by_receiver["net/add:0"] == ["net/b:0"]
    assert by_receiver["net/add:3"] == ["net/b:3", "net/a:1"]


def test_weights_that_are_not_finite_are_refused_with_layer_and_neuron(tmp_path):
    model = Lambda(lambda m, x: m.a(x), a=nn.Conv2d(3, 4, 3)).eval()
    with torch.no_grad():
        model.get_parameter("a.weight")[2, 1, 0, 0] = float("nan")
    with pytest.raises(ExtractError, match="layer a, neuron 2"):
        extract(Network(model, name="net", input_shape=(3, 8, 8)), output=tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_gains_that_are_not_finite_are_refused_too(tmp_path):
    model = build("dense")
    with torch.no_grad():
        model.get_buffer("n2.running_var")[3] = float("nan")
    with pytest.raises(ExtractError, match="layer c: a gain"):
        extract(Network(model, name="net", input_shape=(3, 16, 16)), output=tmp_path / "net")


@pytest.mark.parametrize("size", [(3, 3), (2, 5), (1, 1), (7, 4)])
def test_centres_and_banding_in_torch_are_those_of_the_page_of_kernels(size):
    """Edges are weighed on the device, millions at a time; `circuitome.kernels` is in numpy."""
    kernel = np.random.default_rng(3).normal(size=(6, 5, *size)).astype(np.float32)
    edges, _ = _weigh(kernel.tolist())
    centres = kernels.part_centres(kernel.reshape(30, *size)[edges.kernel - 50])
    for name, values in centres.items():
        assert np.allclose(getattr(edges, name), values, atol=1e-6, equal_nan=True), name
    ratio = banding_ratio(torch.as_tensor(kernel))
    if min(size) < 2:
        assert ratio is None
    else:
        assert ratio == pytest.approx(kernels.banding_ratio(kernel), rel=1e-12)
