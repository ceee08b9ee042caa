"""One small architecture of every torchvision family, and of others, goes from its name to a proven
bundle.

`benchmarks/bench_torchvision.py` does the same for every size at the published input.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from circuitome.extract import Network, Options, Pruning, extract, trace, verify
from circuitome.extract.models.about import About
from circuitome.extract.models.resolve import resolve

ARCHITECTURES = Path(__file__).parents[1] / "support" / "architectures"
FAMILIES = {
    "alexnet": 64,
    "vgg11_bn": 32,
    "googlenet": 64,
    "inception_v3": 75,
    "resnet18": 64,
    "resnext50_32x4d": 64,
    "densenet121": 64,
    "squeezenet1_0": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v2_x0_5": 64,
    "mnasnet0_5": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
    f"{ARCHITECTURES / 'grouped_alexnet.py'}:grouped_alexnet": 99,
}


def narrowed(model: nn.Module) -> nn.Module:
    """The model with 64 neurons instead of thousands in each fully connected layer of its head,
    which have most of its weights.
    """
    head = getattr(model, "classifier", None)
    before = 0
    for place, layer in enumerate(head if isinstance(head, nn.Sequential) else ()):
        if isinstance(layer, nn.Linear) and layer.in_features > 4000:
            assert isinstance(head, nn.Sequential)
            head[place] = nn.Linear(before or layer.in_features, 64)
            before = 64
    return model.eval()


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: Path(spec).name)
def test_a_network_of_each_family_is_proven(spec, tmp_path):
    size = FAMILIES[spec]
    network = resolve(spec, weights="random", said=About((3, size, size)), seed=1)
    model = narrowed(network.model)
    bundle = extract(
        Network(model, name="net", input_shape=network.input_shape),
        output=tmp_path / "net",
        keep=Pruning(0.5),
        options=Options(span=None),
    )
    checks = verify(bundle, model)
    assert [check for check in checks if not check.ok] == []
    ops = {row["op"] for row in bundle.table("Layer").to_pylist()}
    assert {"input", "conv"} <= ops


def test_channels_after_concatenation_are_found_as_the_literature_writes_them(tmp_path):
    network = resolve("googlenet", weights="random", said=About((3, 64, 64)))
    bundle = extract(
        Network(network.model, name="googlenet", input_shape=(3, 64, 64)),
        output=tmp_path / "net",
        keep=Pruning(0.5),
        options=Options(span=None),
    )
    places = {
        row["channel"]: row["from"]
        for row in bundle.table("IN_BLOCK").to_pylist()
        if row["to"] == "googlenet/inception3b" and row["channel"] is not None
    }
    assert sorted(places) == list(range(480))
    assert (
        places[379] == "googlenet/inception3b.branch3.1.conv:59"
    )  # 1x1: 128, 3x3: 192, then the 5x5 branch


def test_the_two_towers_of_alexnet_are_branches():
    model = resolve(
        f"{ARCHITECTURES / 'grouped_alexnet.py'}:grouped_alexnet", weights="random"
    ).model
    blocks = {block.name: block for block in trace(model, (3, 99, 99)).blocks}
    assert set(blocks) == {"3", "8", "10"}
    assert all(
        [branch.name for branch in block.branches] == ["group0", "group1"]
        for block in blocks.values()
    )


def test_a_transformer_is_refused_by_the_name_of_what_it_does():
    from circuitome.extract import WiringError

    model = resolve("vit_b_16", weights="random").model
    with pytest.raises(WiringError, match="operation aten"):
        trace(model, (3, 224, 224))
