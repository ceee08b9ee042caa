"""Wiring: every kind of network is followed channel by channel, or refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from circuitome.extract import Network, Options, Pruning, WiringError, extract, trace, verify
from circuitome.extract.wiring import Wiring
from tests.support.small_networks import NETWORKS, REFUSED, Lambda, build

SHAPE = (3, 16, 16)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_is_proven_by_verify(name, tmp_path):
    model = build(name)
    bundle = extract(
        Network(model, name=name, input_shape=SHAPE),
        output=tmp_path / name,
        keep=Pruning(),
        options=Options(device="cpu"),
    )
    checks = verify(bundle, model)
    assert [check for check in checks if not check.ok] == []
    assert len(checks) > len(trace(model, SHAPE).wiring.layers)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_wired_is_named_with_operation_and_node(name):
    factory, operation = REFUSED[name]
    with pytest.raises(WiringError, match=rf"operation aten\.{operation}.*node .*module"):
        trace(factory().eval(), SHAPE)


def test_an_input_too_small_for_the_network_is_told_without_a_traceback(caplog):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3)).eval()
    with (
        caplog.at_level("INFO"),
        pytest.raises(WiringError, match=r"3x4x4 .*Output size is too small.*--input-size"),
    ):
        trace(model, (3, 4, 4))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_control_flow_that_depends_on_data_is_refused():
    model = Lambda(lambda m, x: m.a(x) if x.sum() > 0 else m.a(-x), a=nn.Conv2d(3, 4, 3)).eval()
    with pytest.raises(WiringError, match="cannot be exported"):
        trace(model, SHAPE)


@pytest.mark.parametrize(
    "run", [lambda m, x: x, lambda m, x: torch.zeros(2, 3)], ids=["input", "constant"]
)
def test_a_network_without_layers_is_refused(run):
    with pytest.raises(WiringError, match="nothing to wire"):
        trace(Lambda(run).eval(), SHAPE)


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(WiringError, match=r"model\.eval\(\)"):
        trace(nn.Conv2d(3, 4, 3).train(), SHAPE)


def test_layers_are_called_as_in_pytorch():
    names = [layer.name for layer in trace(build("shared"), SHAPE).wiring.layers]
    assert names == ["input", "a", "a@2"]
    names = {layer.name for layer in trace(build("gated"), SHAPE).wiring.layers}
    assert {"input", "a", "down", "up", "out"} <= names


def test_the_input_and_the_classes_carry_labels():
    wiring = trace(build("flattened"), SHAPE, labels=("cat", "dog", "car")).wiring
    assert wiring.layers[0].labels == ("red", "green", "blue")
    assert wiring.layers[-1].labels == ("cat", "dog", "car")


def test_channels_of_the_option_a_shortcut_are_followed():
    wiring = trace(build("option_a"), SHAPE).wiring
    add = next(layer for layer in wiring.layers if layer.op == "add")
    shortcut = next(link for link in add.links if link.operand == 1)
    assert wiring.layers[shortcut.source].name == "a"
    assert shortcut.channels.tolist() == [0, 1, 2, 3]
    assert shortcut.positions.tolist() == [2, 3, 4, 5]
    assert [step.name for step in shortcut.path] == ["relu", "slice", "slice"]


def test_a_channel_shuffle_is_a_permutation():
    wiring = trace(build("shuffle"), SHAPE).wiring
    last = wiring.layers[-1]
    arrived = np.full(8, -1)
    for link in last.links:
        arrived[link.positions] = np.where(
            wiring.layers[link.source].name == "a", link.channels, 4 + link.channels
        )
    assert arrived.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_a_linear_layer_on_a_flattened_map_keeps_its_positions():
    wiring = trace(build("permuted"), SHAPE).wiring
    dense = next(layer for layer in wiring.layers if layer.name == "b")
    assert (dense.kernel, dense.width) == ((8, 8), 4)


def test_batch_norm_before_a_nonlinearity_leaves_no_step_and_after_one_a_gain():
    wiring = trace(build("dense"), SHAPE).wiring
    last = wiring.layers[-1]
    assert {tuple(step.name for step in link.path) for link in last.links} == {("affine", "relu")}
    gated = trace(build("gated"), SHAPE).wiring
    assert all(
        "affine" not in [step.name for step in link.path]
        for layer in gated.layers
        for link in layer.links
    )


def test_receptive_field_is_that_of_the_pixels_that_matter():
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 1, 2, stride=2),
    )
    wiring = trace(model.eval(), (3, 40, 40)).wiring
    fields = [layer.receptive_field[0] for layer in wiring.layers]
    assert fields == [1, 3, 3 + 1 + 4 * 2, 3 + 1 + 4 * 2 + 2]


def test_wiring_survives_json():
    for name in NETWORKS:
        wiring = trace(build(name), SHAPE).wiring
        again = Wiring.from_json(json.loads(json.dumps(wiring.to_json())))
        assert json.dumps(again.to_json()) == json.dumps(wiring.to_json())


class Drawn(nn.Module):
    """A random network: each entry of the plan turns the tensors made so far into a further one.

    ``edges`` counts by hand who is connected to whom: senders that arrive twice count once.
    """

    def __init__(self, plan: list[tuple[str, int, int, int]]) -> None:
        super().__init__()
        self.plan, self.edges, self.neurons = plan, 0, 0
        made = [self._fresh(3)]  # the senders in every tensor
        self.parts = nn.ModuleList()
        for kind, a, b, size in plan:
            one, two = made[a % len(made)], made[b % len(made)]
            part: nn.Module = nn.Identity()
            if kind == "conv":
                groups = 2 if len(one) % 2 == 0 and size % 2 == 0 else 1
                part = nn.Sequential(
                    nn.Conv2d(len(one), 2 * size, 3, padding=1, groups=groups),
                    nn.BatchNorm2d(2 * size),
                )
                pieces = (
                    [one[: len(one) // groups], one[len(one) // groups :]] if groups == 2 else [one]
                )
                self.edges += sum(2 * size // groups * len(set(piece)) for piece in pieces)
                made.append(self._fresh(2 * size))
            elif kind == "add":
                part = nn.ModuleList([nn.Conv2d(len(senders), size, 1) for senders in (one, two)])
                self.edges += size * (len(set(one)) + len(set(two))) + 2 * size
                made.append(self._fresh(size))
            else:
                made.append(one + two if kind == "cat" else one)
            self.parts.append(part)
        self.head = nn.Linear(len(made[-1]), 3)
        self.edges += 3 * len(set(made[-1]))

    def _fresh(self, count: int) -> list[int]:
        self.neurons += count
        return list(range(self.neurons - count, self.neurons))

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for (kind, a, b, _), part in zip(self.plan, self.parts, strict=True):
            one, two = made[a % len(made)], made[b % len(made)]
            if kind == "cat":
                made.append(torch.cat([one, two], 1))
            elif kind == "add":
                made.append(part[0](one) - 0.5 * part[1](two))  # type: ignore[index]
            elif kind == "pool":
                made.append(F.max_pool2d(F.relu(one), 3, 1, 1))
            else:
                made.append(part(one))
        return self.head(F.relu(made[-1]).mean((2, 3)))


steps = st.tuples(
    st.sampled_from(["conv", "cat", "add", "pool"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 4),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plan=st.lists(steps, min_size=1, max_size=6), seed=st.integers(0, 100))
def test_random_networks_are_proven_and_have_as_many_edges_as_counted_by_hand(plan, seed, tmp_path):
    torch.manual_seed(seed)
    model = Drawn(plan).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.normal_()  # type: ignore[union-attr]
    bundle = extract(
        Network(model, name="drawn", input_shape=(3, 8, 8)),
        output=tmp_path / "drawn",
        keep=Pruning(),
        force=True,
    )
    assert [check for check in verify(bundle, model) if not check.ok] == []
    assert bundle.manifest.counts["edges"] == model.edges
