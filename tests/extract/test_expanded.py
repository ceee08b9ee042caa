"""Expanded weights against autograd's gradient of the linearised network, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.extract import Network, Options, Pruning, extract, trace
from circuitome.extract.expanded import ExpandError, bottlenecks, expand, spans
from tests.support.small_networks import Lambda, build

SHAPE = (3, 32, 32)


def _bottleneck(act) -> Lambda:
    def run(m: Lambda, x: Tensor) -> Tensor:
        m.kept = m.a(x)
        return m.c(act(m.n(m.b(act(m.kept)))))

    b = nn.Conv2d(8, 3, 1)
    return Lambda(
        run,
        a=nn.Conv2d(3, 8, 3, padding=1),
        b=b,
        n=nn.BatchNorm2d(3),
        c=nn.Conv2d(3, 6, 3, padding=1),
    )


def _residual(act) -> Lambda:
    def run(m: Lambda, x: Tensor) -> Tensor:
        m.kept = m.a(x)
        y = m.b(act(m.kept)) + m.kept
        y = 0.5 * y - m.c(act(y))
        return m.d(act(y))

    parts = {name: nn.Conv2d(6, 6, 3, padding=1) for name in "bc"}
    return Lambda(
        run, a=nn.Conv2d(3, 6, 3, padding=1), **parts, d=nn.Conv2d(6, 4, 3, padding=1, stride=2)
    )


def _branches(act) -> Lambda:
    def run(m: Lambda, x: Tensor) -> Tensor:
        m.kept = m.a(x)
        y = act(m.kept)
        joined = torch.cat([m.b(y), m.c(F.avg_pool2d(y, 3, 1, 1)), y[:, 2:4]], 1)
        return m.d(F.avg_pool2d(act(joined), 2))

    parts = {
        "b": nn.Conv2d(6, 4, (1, 3), padding=(0, 1)),
        "c": nn.Conv2d(6, 5, 3, padding=2, dilation=2),
    }
    return Lambda(run, a=nn.Conv2d(3, 6, 3, padding=1), **parts, d=nn.Conv2d(11, 4, 3, padding=1))


def _grouped(act) -> Lambda:
    def run(m: Lambda, x: Tensor) -> Tensor:
        m.kept = m.a(x)
        y = m.b(act(m.kept))
        return m.d(m.scale * act(F.pad(y, (1, 0, 0, 2)))[:, :, ::2, 1::2])

    b = nn.Conv2d(6, 8, 3, padding=1, groups=2)
    scale = nn.Parameter(torch.randn(8, 1, 1))
    return Lambda(
        run, a=nn.Conv2d(3, 6, 3, padding=1), b=b, scale=scale, d=nn.Conv2d(8, 4, 3, groups=4)
    )


MAKERS = {
    "bottleneck": (_bottleneck, "c"),
    "residual": (_residual, "d"),
    "branches": (_branches, "d"),
}
MAKERS |= {"grouped": (_grouped, "d")}


def _identity(x: Tensor) -> Tensor:
    return x


@pytest.mark.parametrize("name", MAKERS)
def test_expanded_kernels_are_the_gradient_of_the_linearised_network(name):
    make, target = MAKERS[name]
    torch.manual_seed(3)
    model = make(F.relu).eval()
    nn.init.normal_(model.get_buffer("n.running_mean")) if name == "bottleneck" else None
    straight = make(_identity).eval()
    straight.load_state_dict(model.state_dict())
    traced = trace(model, SHAPE)
    front = expand(traced.wiring, traced.kernels, ["a"], target)["a"]

    out = straight(torch.randn(1, *SHAPE))
    row, column = out.shape[2] // 2, out.shape[3] // 2
    stride = SHAPE[1] // out.shape[2] if name != "grouped" else 2
    gradients = [
        torch.autograd.grad(out[0, j, row, column], straight.kept, retain_graph=True)[0][0]
        for j in range(4)
    ]
    top, left = row * stride + front.origin[0], column * stride + front.origin[1]
    height, width = front.kernel.shape[2:]
    truth = torch.stack(gradients)
    window = truth[:, :, top : top + height, left : left + width]
    assert torch.allclose(front.kernel[:4], window, atol=1e-5 * float(truth.abs().max()))
    outside = truth.abs().sum() - window.abs().sum()
    assert float(outside) == pytest.approx(0, abs=1e-4 * float(truth.abs().sum()))


def test_a_bottleneck_is_narrow_and_read_alone():
    torch.manual_seed(0)
    wiring = trace(_bottleneck(F.relu).eval(), SHAPE).wiring
    assert [wiring.layers[index].name for index in bottlenecks(wiring)] == ["b"]
    assert bottlenecks(trace(_branches(F.relu).eval(), SHAPE).wiring) == frozenset()


def test_by_default_edges_span_a_bottleneck(tmp_path):
    torch.manual_seed(0)
    model = _bottleneck(F.relu).eval()
    bundle = extract(
        Network(model, name="net", input_shape=SHAPE), output=tmp_path / "net", keep=Pruning()
    )
    rows = {(row["from"], row["to"]): row for row in bundle.table("EXPANDED").to_pylist()}
    assert len(rows) == 8 * 6
    gain = model.get_parameter("n.weight") / (model.get_buffer("n.running_var") + 1e-5).sqrt()
    first = (model.get_parameter("b.weight")[:, :, 0, 0] * gain[:, None]).detach().double().numpy()
    second = model.get_parameter("c.weight").sum((2, 3)).detach().double().numpy()
    for (sender, receiver), row in rows.items():
        i, j = int(sender.split(":")[1]), int(receiver.split(":")[1])
        paths = first[:, i] * second[j]
        assert row["weight"] == pytest.approx(paths.sum(), abs=1e-6)
        assert row["cancellation"] == pytest.approx(
            abs(paths.sum()) / np.abs(paths).sum(), rel=1e-3
        )
        assert (row["hops"], row["linearised"]) == (2, True)
    by_receiver = [
        sum(row["share"] for row in rows.values() if row["to"] == f"net/c:{j}") for j in range(6)
    ]
    assert by_receiver == pytest.approx([1.0] * 6)


def test_without_a_nonlinearity_nothing_is_linearised(tmp_path):
    torch.manual_seed(0)
    bundle = extract(
        Network(_bottleneck(_identity).eval(), name="net", input_shape=SHAPE),
        output=tmp_path / "net",
    )
    assert not any(bundle.table("EXPANDED").column("linearised").to_pylist())


@pytest.mark.parametrize(("span", "sources"), [(1, {"c", "mul"}), (2, {"a", "b", "c"})])
def test_the_residual_stream_is_passed_as_far_as_the_span(tmp_path, span, sources):
    torch.manual_seed(0)
    model = _residual(F.relu).eval()
    bundle = extract(
        Network(model, name="net", input_shape=SHAPE),
        output=tmp_path / "net",
        options=Options(span=span),
    )
    rows = [row for row in bundle.table("EXPANDED").to_pylist() if row["to"].startswith("net/d:")]
    layers = {row["from"].split("/")[1].split(":")[0] for row in rows}
    adds = {layer for layer in layers if layer.startswith(("add", "sub"))}
    assert layers - adds == {source for source in sources if source != "mul"}
    assert bool(adds) == (span == 1)
    assert {row["hops"] for row in rows} == ({2} if span == 1 else {2, 3})


def test_a_span_of_zero_makes_no_expanded_edges_over_additions(tmp_path):
    bundle = extract(
        Network(_residual(F.relu).eval(), name="net", input_shape=SHAPE),
        output=tmp_path / "net",
        options=Options(span=0),
    )
    assert bundle.rows("EXPANDED") == 0


def test_paths_that_cancel_are_marked(tmp_path):
    model = _bottleneck(_identity).eval()
    with torch.no_grad():
        for parameter in (model.get_parameter("b.weight"), model.get_parameter("c.weight")):
            parameter.zero_()
        model.get_parameter("b.weight")[0, 5] = 1.0
        model.get_parameter("b.weight")[1, 5] = 1.0
        model.get_parameter("c.weight")[2, 0, 1, 1] = 1.0
        model.get_parameter("c.weight")[2, 1, 1, 1] = -0.9
    bundle = extract(Network(model, name="net", input_shape=SHAPE), output=tmp_path / "net")
    (row,) = bundle.table("EXPANDED").to_pylist()
    assert (row["from"], row["to"]) == ("net/a:5", "net/c:2")
    assert row["cancellation"] == pytest.approx(0.1 / 1.9, rel=1e-4)


def test_layers_that_no_path_joins_are_refused():
    traced = trace(build("shared"), (3, 16, 16))
    with pytest.raises(ExpandError, match="not a layer"):
        expand(traced.wiring, traced.kernels, ["nowhere"], "a")
    with pytest.raises(ExpandError, match="does not depend"):
        expand(traced.wiring, traced.kernels, ["a@2"], "a")


def test_a_gate_between_two_layers_is_named():
    traced = trace(build("gated"), (3, 16, 16))
    with pytest.raises(ExpandError, match="gate layer mul"):
        expand(traced.wiring, traced.kernels, ["a"], "out")


def test_spans_of_a_plain_chain_are_empty():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).eval()
    assert list(spans(trace(model, SHAPE).wiring)) == []
