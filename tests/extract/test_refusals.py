"""What cannot be wired is refused as what it is, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from circuitome.extract import Network, WiringError, extract, trace
from circuitome.extract.shapes import prove_shapes
from tests.support.small_networks import Lambda, build

SHAPE = (3, 16, 16)


class Attention(nn.Module):
    """Self-attention over positions, written out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        mixed = self.mixed(x.flatten(2).transpose(1, 2)).reshape(n, h * w, 3, 2, c // 2)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        share = (query @ key.transpose(-2, -1)).softmax(-1)
        return (share @ value).transpose(1, 2).reshape(n, h * w, c).transpose(1, 2).view(x.shape)


class Several(nn.Module):
    """Torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(2).transpose(1, 2)
        return self.heads(y, y, y)[0].transpose(1, 2).view(x.shape)


@pytest.mark.parametrize(("block", "home"), [(Attention, "stages.1"), (Several, "stages.1.heads")])
def test_attention_is_named_with_its_module(block, home):
    stages = nn.Sequential(nn.Conv2d(3, 4, 3), block(), nn.Conv2d(4, 4, 3))
    model = Lambda(lambda m, x: m.stages(x), stages=stages).eval()
    with pytest.raises(WiringError, match=rf"self-attention in {home} .*operation aten\."):
        trace(model, SHAPE)


def test_what_fails_elsewhere_is_not_called_attention():
    stages = nn.ModuleList([Lambda(lambda m, x: x.sort(1).values), Attention()])
    model = Lambda(lambda m, x: m.s[1](m.s[0](m.a(x))), a=nn.Conv2d(3, 4, 3), s=stages).eval()
    with pytest.raises(WiringError, match=r"^operation aten\.sort.*values of the image"):
        trace(model, SHAPE)


def test_control_flow_on_data_is_named_with_its_line_and_without_a_graph(capfd):
    def run(m: Lambda, x: Tensor) -> Tensor:
        if x.mean() > 0:
            x = -x
        return m.a(x)

    model = Lambda(run, a=nn.Conv2d(3, 4, 3)).eval()
    line = run.__code__.co_firstlineno + 1
    with pytest.raises(WiringError, match=rf"test_refusals\.py, line {line} \(`if x\.mean\(\) > 0"):
        trace(model, SHAPE)
    assert capfd.readouterr().err == ""


def test_a_norm_over_the_batch_is_refused_with_a_cure_that_can_be_done():
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm).eval()
    with pytest.raises(WiringError, match=r"module 1.*track_running_stats=False.*group or inst"):
        trace(model, SHAPE)


def test_a_norm_over_the_batch_by_hand_is_refused():
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = m.a(x)
        return y / y.std((0, 2, 3), keepdim=True)

    with pytest.raises(WiringError, match="over the images of a batch"):
        trace(Lambda(run, a=nn.Conv2d(3, 4, 3)).eval(), SHAPE)


def test_half_precision_is_refused_by_its_name():
    run: Any = lambda m, x: m.a(x).half().float()  # noqa: E731 - as others here
    with pytest.raises(WiringError, match="computes in float16"):
        trace(Lambda(run, a=nn.Conv2d(3, 4, 3)).eval(), SHAPE)


@pytest.mark.parametrize("name", ["gated", "u_net", "permuted", "norms"])
def test_shapes_are_proven_before_anything_is_written(name):
    prove_shapes(trace(build(name), SHAPE))


def test_a_wiring_of_another_shape_is_refused_and_nothing_is_written(tmp_path: Path, monkeypatch):
    from circuitome.extract import pipeline

    traced = trace(build("option_a"), SHAPE)
    layer = next(layer for layer in traced.wiring.layers if layer.name == "b")
    object.__setattr__(layer, "stride", (1, 1))
    monkeypatch.setattr(pipeline, "trace", lambda *_, **__: traced)
    with pytest.raises(WiringError, match=r"layer b \(conv, node .*8x16x16.*makes 8x8x8"):
        extract(Network(build("option_a"), name="n", input_shape=SHAPE), output=tmp_path / "n")
    assert list(tmp_path.iterdir()) == []
