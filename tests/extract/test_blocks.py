"""Blocks and branches are found from the wiring alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.extract import Network, extract, trace
from tests.support.small_networks import Lambda, build

SHAPE = (3, 16, 16)


def _branches(model: nn.Module, shape=SHAPE) -> dict[str, tuple[str, list[str]]]:
    return {
        b.name: (b.join, [branch.name for branch in b.branches]) for b in trace(model, shape).blocks
    }


class Fire(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.one, self.three = (
            nn.Conv2d(3, 4, 1),
            nn.Conv2d(4, 6, 1),
            nn.Conv2d(4, 5, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def test_the_paths_between_split_and_concatenation_are_branches(tmp_path):
    bundle = extract(
        Network(nn.Sequential(Fire()).eval(), name="net", input_shape=SHAPE),
        output=tmp_path / "net",
    )
    assert [(row["key"], row["channels"]) for row in bundle.table("Branch").to_pylist()] == [
        ("net/0#one", 6),
        ("net/0#three", 5),
    ]
    places = {row["from"]: row["channel"] for row in bundle.table("IN_BLOCK").to_pylist()}
    assert (places["net/0.one:5"], places["net/0.three:0"], places["net/0.three:4"]) == (5, 6, 10)
    assert not any("squeeze" in key for key in places)


def test_an_identity_shortcut_is_a_branch_without_neurons():
    assert _branches(build("convnext")) == {"add": ("add", ["narrow", "identity"])} or _branches(
        build("convnext")
    ) == {"add": ("add", ["identity", "narrow"])}


def test_nested_blocks_name_the_smallest_one_around_them():
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = m.stem(x)
        inner = torch.cat([m.a(x), m.b(x)], 1)
        return torch.cat([m.c(inner), m.d(x)], 1)

    parts = {"stem": nn.Conv2d(3, 4, 1), "a": nn.Conv2d(4, 3, 1), "b": nn.Conv2d(4, 2, 1)}
    model = Lambda(run, **parts, c=nn.Conv2d(5, 4, 1), d=nn.Conv2d(4, 2, 1)).eval()
    inner, outer = trace(model, SHAPE).blocks
    assert (inner.parent, outer.parent) == (outer.name, None)
    layers = trace(model, SHAPE).wiring.layers
    assert [sorted(layers[part[0]].name for part in branch.parts) for branch in outer.branches] == [
        ["a", "b", "c"],
        ["d"],
    ]


def test_the_groups_of_a_grouped_convolution_are_branches_and_depthwise_ones_are_not():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3, groups=2), nn.Conv2d(6, 6, 3, groups=6)
    ).eval()
    (block,) = trace(model, SHAPE).blocks
    assert (block.name, block.join) == ("1", "groups")
    assert [branch.parts for branch in block.branches] == [((2, 0, 3),), ((2, 3, 6),)]


def test_a_dense_concatenation_puts_a_neuron_into_several_blocks(tmp_path):
    bundle = extract(
        Network(build("dense"), name="net", input_shape=SHAPE), output=tmp_path / "net"
    )
    places = [
        (row["to"], row["channel"])
        for row in bundle.table("IN_BLOCK").to_pylist()
        if row["from"] == "net/b:0"
    ]
    assert places == [("net/cat", 4), ("net/cat_1", 4)]
