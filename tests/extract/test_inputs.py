"""Networks with several inputs, with outputs in containers, and that take one image at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from circuitome.extract import Network, Options, Pruning, WiringError, extract, trace, verify
from circuitome.extract.annotate.pipeline import annotate
from circuitome.extract.annotate.session import AnnotateError
from circuitome.extract.inputs import InputShape, inputs_in
from circuitome.extract.models.network import ModelError
from circuitome.extract.models.resolve import About, resolve
from circuitome.graphdb.bundle import Bundle, BundleError
from tests.support.dimensions import shaken
from tests.support.program import run
from tests.support.small_networks import Lambda


def extracted(model: nn.Module, inputs: InputShape, folder: Path) -> Bundle:
    network = Network(model, name=folder.name, input_shape=inputs)
    return extract(network, output=folder, keep=Pruning(), options=Options(device="cpu"))


class Fused(nn.Module):
    """A picture, its depths, a signal and numbers about it, joined late."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.depth = nn.Conv2d(3, 8, 3), nn.Conv2d(1, 8, 3, padding=1, stride=2)
        self.beat, self.told = nn.Conv1d(2, 6, 5), nn.Linear(4, 6)
        self.head = nn.Linear(20, 5)

    def forward(self, rgb: Tensor, depth: Tensor, beat: Tensor, told: Tensor) -> Tensor:
        seen = F.relu(F.max_pool2d(self.colour(rgb), 2) + self.depth(depth)).mean((2, 3))
        heard = F.relu(self.beat(beat)).amax(2)
        return self.head(torch.cat([seen, heard, self.told(told)], 1))


FUSED = ((3, 18, 18), (1, 16, 16), (2, 30), (4,))


def test_every_input_is_a_layer_and_the_proof_feeds_them_all(tmp_path: Path) -> None:
    model = shaken(Fused())
    bundle = extracted(model, FUSED, tmp_path / "fused")
    rows = {row["name"]: row for row in bundle.table("Layer").to_pylist()}
    inputs = {name: row["size"] for name, row in rows.items() if row["op"] == "input"}
    assert inputs == {"input.rgb": [18, 18], "input.depth": [16, 16], "input.beat": [1, 30],
                      "input.told": [1, 1]}  # fmt: skip
    assert bundle.manifest.model["input_shape"] == [3, 18, 18]
    assert bundle.manifest.note("inputs") == [list(shape) for shape in FUSED]
    edges = bundle.table("EXCITES").to_pylist() + bundle.table("INHIBITS").to_pylist()
    read = {(row["from"].split(":")[0], row["to"].split(":")[0]) for row in edges}
    assert {("fused/input.depth", "fused/depth"), ("fused/input.told", "fused/told")} <= read
    assert len(read) == 4 + 2 + 3
    assert [check for check in verify(bundle, model) if not check.ok] == []


def test_a_manifest_whose_inputs_are_damaged_is_refused(tmp_path: Path) -> None:
    bundle = extracted(shaken(Fused()), FUSED, tmp_path / "fused")
    manifest = replace(bundle.manifest, extraction={**bundle.manifest.extraction, "inputs": 7})
    with pytest.raises(BundleError, match="`inputs` is damaged"):
        inputs_in(manifest)


def test_the_proof_tells_inputs_that_are_exchanged(tmp_path: Path) -> None:
    """Both are of one shape: only numbers can tell them."""

    class Pair(nn.Module):
        def __init__(self, turned: bool) -> None:
            super().__init__()
            self.one, self.other, self.turned = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), turned

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            left, right = (right, left) if self.turned else (left, right)
            return self.one(left) + self.other(right)

    torch.manual_seed(0)
    model, other = Pair(turned=False).eval(), Pair(turned=True).eval()
    other.load_state_dict(model.state_dict())
    bundle = extracted(model, ((1, 8, 8), (1, 8, 8)), tmp_path / "pair")
    assert all(check.ok for check in verify(bundle, model))
    failed = {check.layer for check in verify(bundle, other) if not check.ok}
    assert failed == {"one", "other"}


def test_two_looks_through_one_module_are_two_layers(tmp_path: Path) -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.eye, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            one, other = (self.head(F.relu(self.eye(x)).mean((2, 3))) for x in (one, other))
            return (one - other).square()

    model = shaken(Twins())
    bundle = extracted(model, ((3, 9, 9), (3, 9, 9)), tmp_path / "twins")
    names = [row["name"] for row in bundle.table("Layer").to_pylist()]
    assert {"eye", "eye@2", "head", "head@2"} < set(names)
    assert all(check.ok for check in verify(bundle, model))


FACTORY = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.colour, self.depth = nn.LazyConv2d(8, 3), nn.Conv2d(1, 8, 3)
        self.deep = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, rgb, depth):
        x = self.deep((self.colour(rgb) + self.depth(depth)).relu())
        return {"classes": self.head(x.mean((2, 3))), "parts": [x]}


def net():
    return Net()
"""


def test_the_command_line_takes_a_size_for_each_input(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    model, bundle = f"{tmp_path}/nets.py:net", tmp_path / "b"
    sizes = ("--input-size", "3,16,16", "--input-size", "1,16,16")
    few = run("extract", model, *sizes[:2], "-o", bundle)
    assert (
        few.code == 2
        and "takes the inputs rgb, depth, and 1 size is" in few.err
        and not bundle.exists()
    )
    line = ("extract", model, *sizes, "-o", bundle, "--seed", "3")
    refused = run(*line, "--annotate", "kinds")
    assert refused.code == 2 and "takes 2 inputs, 3x16x16 and 1x16x16" in refused.err
    done = run(*line)
    assert done.code == 0 and "not annotated" not in done.err and "nothing says" not in done.err
    assert run("verify", bundle, model).code == 0
    refused = run("annotate", bundle)
    assert refused.code == 2 and "takes 2 inputs" in refused.err
    assert run(*line, "--force", "--until", "deep").code == 0
    assert run("verify", bundle, model).code == 0
    assert run("load", bundle, "--db", tmp_path / "db").code == 0


def test_a_head_of_a_network_with_two_inputs_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    spec, said = f"{tmp_path}/nets.py:net", About(((3, 16, 16), (1, 16, 16)))
    whole = resolve(spec, said=said)
    kept = {name: x for name, x in whole.model.state_dict().items() if "head" not in name}
    save_file(kept, tmp_path / "w.safetensors")
    bundle = tmp_path / "b"
    sizes = ("--input-size", "3,16,16", "--input-size", "1,16,16")
    line = ("--weights", tmp_path / "w.safetensors", "--head", "drop")
    assert run("extract", spec, *sizes, *line, "-o", bundle).code == 0
    assert Bundle.open(bundle).manifest.note("left_out") == ["head"]
    assert run("verify", bundle, spec, "--weights", tmp_path / "w.safetensors").code == 0


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (
            (3, 18, 18),
            "takes the inputs rgb, depth, beat, told, and 1 size is given; give --input-size once",
        ),
        (FUSED[:3], "takes the inputs rgb, depth, beat, told, and 3 sizes are given"),
        ((*FUSED, (3,)), "takes the inputs rgb, depth, beat, told, and 5 sizes are given"),
        ((FUSED[1], FUSED[0], *FUSED[2:]), "on an input of 1x16x16 and 3x18x18 and 2x30 and 4"),
    ],
)
def test_sizes_that_are_not_those_of_the_inputs_are_refused(inputs: Any, said: str) -> None:
    with pytest.raises(WiringError, match=said):
        trace(shaken(Fused()), inputs)


@pytest.mark.parametrize("shape", [(3,), ((3, 8, 8), ()), ((3, 8, 8), (0,)), ("a", "b"), (1,) * 5])
def test_sizes_that_are_none_are_refused(shape: Any, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    with pytest.raises(ModelError, match="input size"):
        resolve(f"{tmp_path}/nets.py:net", said=About(shape))


@dataclass
class Answer:
    """What a network may return."""

    logits: Tensor
    maps: Any
    note: str = ""


class Named(OrderedDict[str, Any]):
    """A mapping of its own class, as libraries of pretrained networks return."""


@pytest.mark.parametrize(
    "packed",
    [
        lambda a, b: (a, b),
        lambda a, b: {"a": [a, (b,)], "none": None, "shape": a.shape[2]},
        lambda a, b: Answer(a, [b], "text"),
        lambda a, b: {"answer": Answer(a, Answer(b, None))},
        lambda a, b: Named(a=a, b=Named(b=b)),
    ],
)
def test_outputs_in_containers_are_outputs(packed: Callable[..., Any], tmp_path: Path) -> None:
    def forward(m: Lambda, x: Tensor) -> Any:
        first = F.relu(m.a(x))
        return packed(first, m.b(first))

    model = shaken(Lambda(forward, a=nn.Conv2d(3, 6, 3), b=nn.Conv2d(6, 4, 3)))
    bundle = extracted(model, (3, 12, 12), tmp_path / "net")
    names = [row["name"] for row in bundle.table("Layer").to_pylist()]
    assert names == ["input", "a", "b", "output.0"]
    assert all(check.ok for check in verify(bundle, model))


def _asserted(m: Lambda, x: Tensor) -> Tensor:
    assert x.shape[0] == 1, "one at a time"
    return m.b(F.relu(m.a(x)).flatten(1))


@pytest.mark.parametrize(
    "forward",
    [
        _asserted,
        lambda m, x: m.b(F.relu(m.a(x)).view(1, -1)),
        lambda m, x: m.b(F.relu(m.a(x)).squeeze(0).flatten()),
        lambda m, x: m.b(F.relu(m.a(x))[0].reshape(-1)),
    ],
)
def test_code_for_one_image_is_wired_on_one(forward: Callable[..., Tensor], tmp_path: Path) -> None:
    model = shaken(Lambda(forward, a=nn.Conv2d(3, 6, 3), b=nn.Linear(6 * 100, 4)))
    bundle = extracted(model, (3, 12, 12), tmp_path / "net")
    assert bundle.manifest.note("single") is True
    assert [row["name"] for row in bundle.table("Layer").to_pylist()] == ["input", "a", "b"]
    assert all(check.ok for check in verify(bundle, model))
    with torch.no_grad():
        model.get_submodule("a").get_parameter("weight").mul_(1.1)
    assert {check.layer for check in verify(bundle, model) if not check.ok} == {"a"}
    with torch.no_grad():
        model.get_submodule("a").get_parameter("weight").div_(1.1)


def test_a_network_of_one_image_at_a_time_is_not_annotated(tmp_path: Path) -> None:
    model = shaken(Lambda(_asserted, a=nn.Conv2d(3, 6, 3), b=nn.Linear(6 * 100, 4)))
    bundle = extracted(model, (3, 12, 12), tmp_path / "net")
    with pytest.raises(AnnotateError, match="one image at a time; stimuli are shown in batches"):
        annotate(bundle, model, parts=("responses",), twins=3)


def test_what_takes_several_images_is_not_wired_on_one(tmp_path: Path) -> None:
    model = shaken(nn.Sequential(nn.Conv2d(3, 6, 3)))
    assert extracted(model, (3, 12, 12), tmp_path / "net").manifest.note("single") is None


def test_a_mean_over_the_images_of_a_batch_stays_refused() -> None:
    model = Lambda(lambda m, x: m.a(x) - m.a(x).mean(0, keepdim=True), a=nn.Conv2d(3, 6, 3)).eval()
    with pytest.raises(WiringError, match="over the images of a batch"):
        trace(model, (3, 12, 12))
