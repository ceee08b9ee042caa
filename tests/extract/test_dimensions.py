"""Networks of signals and of volumes: their edges by other ways, and their proof."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.extract import Network, Options, Pruning, WiringError, extract, trace, verify
from circuitome.extract.expanded import expand
from circuitome.graphdb.bundle import Bundle
from circuitome.kernels import part_centres
from circuitome.queries.database import Database
from tests.support.dimensions import NETWORKS, shaken
from tests.support.program import run
from tests.support.small_networks import Lambda

CENTRES = ("ex", "ey", "ix", "iy")


def extracted(model: nn.Module, shape: tuple[int, ...], folder: Path) -> Bundle:
    network = Network(model, name=folder.name, input_shape=shape)
    return extract(network, output=folder, keep=Pruning(), options=Options(device="cpu"))


def edges(bundle: Bundle) -> dict[tuple[str, str], dict[str, float]]:
    """Rows of all edges by the names of both ends."""
    rows = bundle.table("EXCITES").to_pylist() + bundle.table("INHIBITS").to_pylist()
    short = len(bundle.model) + 1
    return {(row["from"][short:], row["to"][short:]): row for row in rows}


def layers(bundle: Bundle) -> dict[str, dict[str, list[int]]]:
    return {row["name"]: row for row in bundle.table("Layer").to_pylist()}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_wiring_computes_the_network(name: str, tmp_path: Path) -> None:
    model = NETWORKS[name].build()
    bundle = extracted(model, NETWORKS[name].shape, tmp_path / name)
    checks = verify(bundle, model)
    assert [check for check in checks if not check.ok] == []
    assert len({check.layer for check in checks}) == len(layers(bundle)) - 1


@pytest.mark.parametrize(("name", "layer"), [("heartbeats", "4.second"), ("segmenter", "up")])
def test_the_proof_names_the_layer_whose_weights_are_others(
    name: str, layer: str, tmp_path: Path
) -> None:
    model = NETWORKS[name].build()
    bundle = extracted(model, NETWORKS[name].shape, tmp_path / name)
    with torch.no_grad():
        model.get_submodule(layer).get_parameter("weight")[0, 0].mul_(1.01)
    assert {check.layer for check in verify(bundle, model) if not check.ok} == {layer}


def _plain(kind: type[nn.Conv1d | nn.Conv2d | nn.Conv3d], sides: list[list[int]]) -> nn.Module:
    """Two convolutions and an addition, of as many axes as their kernels have sides."""

    def forward(m: Lambda, x: Tensor) -> Tensor:
        first = m.a(x)
        return m.c(F.relu(first + m.b(F.relu(first))))

    first, second = sides
    half = [side // 2 for side in second]
    return Lambda(
        forward,
        a=kind(3, 4, first, stride=[2 if side > 1 else 1 for side in first]),  # pyright: ignore[reportArgumentType]
        b=kind(4, 4, second, padding=half),  # pyright: ignore[reportArgumentType]
        c=kind(4, 2, second),  # pyright: ignore[reportArgumentType]
    )


def test_a_signal_is_an_image_of_one_row(tmp_path: Path) -> None:
    """The network of images is extracted by the code for images alone."""
    torch.manual_seed(1)
    signals = _plain(nn.Conv1d, [[5], [3]]).eval()
    images = _plain(nn.Conv2d, [[1, 5], [1, 3]]).eval()
    rows = {
        name: tensor.unsqueeze(2) if tensor.dim() == 3 else tensor
        for name, tensor in signals.state_dict().items()
    }
    images.load_state_dict(rows)
    own = extracted(signals, (3, 40), tmp_path / "signals")
    truth = extracted(images, (3, 1, 40), tmp_path / "images")
    assert own.table("EXPANDED").num_rows > 0
    for table in ("EXCITES", "INHIBITS", "EXPANDED"):
        for column in own.table(table).column_names[2:]:
            found = own.table(table)[column].to_numpy(), truth.table(table)[column].to_numpy()
            assert np.array_equal(*found, equal_nan=column in CENTRES), column
    for name, layer in layers(own).items():
        same = {**layers(truth)[name], "key": layer["key"], "model": layer["model"]}
        assert layer == same


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_a_volume_that_is_turned_has_the_same_edges_turned(
    turn: tuple[int, int, int], tmp_path: Path
) -> None:
    """Every axis is treated as every other: (2, 1, 0) exchanges depth and width."""
    torch.manual_seed(2)
    sides = [[3, 2, 5], [1, 3, 3]]
    model = _plain(nn.Conv3d, sides).eval()
    turned = _plain(nn.Conv3d, [[side[axis] for axis in turn] for side in sides]).eval()
    order = (0, 1, *(2 + axis for axis in turn))
    turned.load_state_dict(
        {
            name: tensor.permute(order) if tensor.dim() == 5 else tensor
            for name, tensor in model.state_dict().items()
        }
    )
    shape = (12, 11, 16)
    first = extracted(model, (3, *shape), tmp_path / "first")
    second = extracted(turned, (3, *(shape[axis] for axis in turn)), tmp_path / "second")
    own, other = edges(first), edges(second)
    assert own.keys() == other.keys()
    for ends, edge in own.items():
        for column in ("weight", "excitation", "share"):
            assert edge[column] == pytest.approx(other[ends][column], rel=1e-5)
        where, there = centres(first, edge), centres(second, other[ends])
        assert [there["zyx"[place]] for place in range(3)] == pytest.approx(
            [where["zyx"[axis]] for axis in turn], abs=1e-5, nan_ok=True
        )
    for name, layer in layers(first).items():
        for column in ("size", "receptive_field", *(("kernel", "stride") if name in "abc" else ())):
            assert layers(second)[name][column] == [layer[column][axis] for axis in turn]


def centres(bundle: Bundle, edge: dict[str, float]) -> dict[str, float]:
    """Centre of the positive part of an edge's kernel along each axis; x and y as the table
    says.
    """
    found = part_centres(bundle.kernels.row(int(edge["kernel"]))[None])
    for column in CENTRES:
        absent = edge[column] is None
        assert np.isnan(found[column][0]) if absent else abs(found[column][0] - edge[column]) < 1e-5
    return {axis: float(found[f"e{axis}"][0]) for axis in "xyz"}


def test_a_kernel_of_a_volume_by_hand(tmp_path: Path) -> None:
    """One entry excites from the slice before and a row below; another inhibits from behind."""
    conv = nn.Conv3d(1, 1, (3, 3, 1), bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 0, 2, 0], conv.weight[0, 0, 2, 1, 0] = 3.0, -1.0
    bundle = extracted(nn.Sequential(conv, nn.AvgPool3d((1, 2, 2))).eval(), (1, 4, 6, 6),
                       tmp_path / "net")  # fmt: skip
    edge = edges(bundle)["input:0", "0:0"]
    assert (edge["weight"], edge["excitation"], edge["polarity"]) == (2, 3, 0.5)
    assert [edge[column] for column in CENTRES] == [0, 1, 0, 0]
    centre = part_centres(bundle.kernels.row(int(edge["kernel"]))[None])
    assert (centre["ez"][0], centre["iz"][0]) == (-1, 1)
    rows = layers(bundle)
    assert (rows["0"]["kernel"], rows["0"]["size"]) == ([3, 3, 1], [2, 4, 6])
    assert (rows["output"]["size"], rows["output"]["receptive_field"]) == ([2, 2, 3], [3, 4, 2])
    assert rows["0"]["banding_ratio"] is None


def _linear_volumes() -> Lambda:
    def forward(m: Lambda, x: Tensor) -> Tensor:
        m.kept = m.a(x)
        y = F.pad(F.avg_pool3d(m.kept + m.b(m.kept), (1, 2, 2)), (1, 0, 0, 2, 1, 1))
        return m.c(y[:, :, :, ::2])

    return Lambda(
        forward,
        a=nn.Conv3d(2, 4, 3, padding=1),
        b=nn.Conv3d(4, 4, (3, 1, 2), padding="same", groups=2),
        c=nn.Conv3d(4, 3, (2, 3, 3), dilation=(2, 1, 1)),
    )


def test_expanded_kernels_of_volumes_are_the_gradient() -> None:
    torch.manual_seed(3)
    model, shape = _linear_volumes().eval(), (2, 8, 12, 12)
    traced = trace(model, shape)
    front = expand(traced.wiring, traced.kernels, ["a"], "c")["a"]
    out = model(torch.randn(1, *shape))
    place = (3, 1, 2)
    steps = (1, 4, 2)
    for channel in range(3):
        (truth,) = torch.autograd.grad(out[(0, channel, *place)], model.kept, retain_graph=True)
        window = torch.zeros_like(truth[0])
        for entry in product(*map(range, front.kernel.shape[2:])):
            at = [unit * step + first + along for unit, step, first, along
                  in zip(place, steps, front.origin, entry, strict=True)]  # fmt: skip
            if all(0 <= row < side for row, side in zip(at, window.shape[1:], strict=True)):
                window[(slice(None), *at)] = front.kernel[(channel, slice(None), *entry)]
        assert torch.allclose(window, truth[0], atol=1e-5)
        assert truth.abs().max() > 0.01


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.MaxPool2d(2)), (3, 16), "max_pool2d.*reads dim"),
        (
            nn.Sequential(nn.Conv3d(3, 8, 3)),
            (3, 8, 8),
            "0 is a Conv3d, which reads channels, depth",
        ),
        (nn.Sequential(nn.Conv1d(3, 8, 3)), (3, 8, 8), "0 is a Conv1d, which reads channels and"),
        (nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 8, 8, 8), "0 is a Conv2d, which reads channels, h"),
    ],
)
def test_other_axes_than_those_of_the_input_are_named(
    model: nn.Module, shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(WiringError, match=said):
        trace(shaken(model), shape)


FACTORY = """from torch import nn


def beats():
    return nn.Sequential(
        nn.Conv1d(3, 8, 5), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 6, 3),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 4),
    )


def volume():
    return nn.Sequential(
        nn.Conv3d(1, 8, 3), nn.ReLU(), nn.Conv3d(8, 6, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        nn.Linear(6, 2),
    )
"""


@pytest.mark.parametrize(
    ("factory", "size", "axes"),
    [("beats", "3,40", "1 spatial axis"), ("volume", "1,8,9,10", "3 spatial axes")],
)
def test_the_command_line_extracts_proves_and_does_not_annotate(
    factory: str, size: str, axes: str, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    model, bundle = f"{tmp_path}/nets.py:{factory}", tmp_path / "b"
    line = ("extract", model, "--input-size", size, "-o", bundle)
    refused = run(*line, "--annotate", "kinds")
    assert refused.code == 2 and axes in refused.err and "pictures" in refused.err
    assert not bundle.exists()
    done = run(*line)
    assert done.code == 0 and "not annotated" not in done.err
    assert run("verify", bundle, model).code == 0
    refused = run("annotate", bundle, "--parts", "kinds")
    assert refused.code == 2 and axes in refused.err and len(refused.err.splitlines()) == 1


@pytest.mark.parametrize(("name", "layer"), [("heartbeats", "4.second"), ("clips", "wide")])
def test_a_database_answers_and_motifs_of_weights_are_asked(
    name: str, layer: str, tmp_path: Path
) -> None:
    bundle = extracted(NETWORKS[name].build(), NETWORKS[name].shape, tmp_path / name)
    place = ("--db", tmp_path / "db")
    assert run("load", bundle.path, *place).code == 0
    asked = run("query", "inputs", *place, "-p", f"neuron={name}/{layer}:0", "--json")
    rows = {row["sender"].removeprefix(f"{name}/"): row["weight"] for row in json.loads(asked.out)}
    truth = {
        ends[0]: row["weight"] for ends, row in edges(bundle).items() if ends[1] == f"{layer}:0"
    }
    assert rows == pytest.approx(truth) and len(truth) > 3
    remarks = {
        row["kind"]: row["remark"]
        for row in json.loads(run("motifs", *place, "--null", "3", "--json").out)
    }
    assert remarks["weight_banding"] == "needs kernels of rows and columns"
    assert remarks["curve_to_circle"] == remarks["mirrored_unions"] == "needs pictures as input"
    assert not any(map(remarks.get, ("opponent_pairs", "superposition", "residual_bypass")))
    graph = tmp_path / "graph.graphml"
    assert run("export", *place, "--format", "graphml", "-o", graph).code == 0
    assert graph.read_text().count("<node") > len(rows)


def test_a_volume_of_a_database_has_its_sides(tmp_path: Path, database: Database) -> None:
    bundle = extracted(NETWORKS["clips"].build(), NETWORKS["clips"].shape, tmp_path / "clips")
    database.load(bundle)
    rows = {row["layer"]: row for row in database.ask("layers", model="clips")}
    assert rows["clips/first"]["kernel"] == [3, 7, 5]
    assert rows["clips/first"]["stride"] == [1, 2, 2]
