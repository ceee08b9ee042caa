"""Checkpoints as training code writes them: found by content, matched by names, told in a line."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import itertools
import json
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.utils.parametrizations as parametrised
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import prune, spectral_norm, weight_norm

from circuitome.extract import extract, verify
from circuitome.extract.models.about import About
from circuitome.extract.models.checkpoints import entries_of
from circuitome.extract.models.choosing import choose
from circuitome.extract.models.network import Network
from circuitome.extract.models.resolve import WeightsFile, resolve
from circuitome.extract.models.weights import WeightsError

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Conv2d(8, 8, 3)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.pool(self.body(self.stem(x))))

class Wrapper(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)

def net():
    return Net()

def wrapped():
    return Wrapper()
"""

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NETS)
    return path


@pytest.fixture
def module(nets: Path) -> nn.Module:
    return resolve(f"{nets}:net", weights="random").model


def shifted(state: Mapping[str, Tensor], by: float) -> State:
    return {n: t + by if t.is_floating_point() else t for n, t in state.items()}


@pytest.fixture
def state(module: nn.Module) -> State:
    return shifted(module.state_dict(), 0.25)


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def loaded(nets: Path, path: Path, *, key: str = "", head: str = "keep", net: str = "net") -> Any:
    return resolve(
        f"{nets}:{net}", weights=WeightsFile(str(path), key, head), said=About((3, 16, 16))
    )


def refused(nets: Path, path: Path, **options: str) -> str:
    with pytest.raises(WeightsError) as error:
        loaded(nets, path, **options)
    return str(error.value)


def has(network: Network, state: Mapping[str, Tensor], lead: str = "") -> bool:
    own = network.model.state_dict()
    names = [name for name in state if name.endswith(("weight", "bias", "mean", "var"))]
    return all(torch.equal(own[lead + name], state[name]) for name in names)


PREFIXES = {
    "": "",
    "module.": "module.",
    "_orig_mod.": "_orig_mod.",
    "model.": "model.",
    "net.backbone.": "net.backbone.",
    "module.model._orig_mod.": "module.model._orig_mod.",
}
PLACES = ["", "state_dict", "model_state_dict", "net", "network", "generator", "params", "a.b"]


def nested(place: str, state: object) -> object:
    for key in reversed(place.split(".") if place else []):
        state = {key: state, "epoch": 3, "lr": [0.1], "best": torch.tensor(0.5)}
    return state


@pytest.mark.parametrize("place, prefix", list(itertools.product(PLACES, PREFIXES)))
def test_the_weights_are_found_under_any_key_and_prefix(
    nets: Path, state: State, tmp_path: Path, place: str, prefix: str
) -> None:
    torch.save(nested(place, prefixed(prefix, state)), tmp_path / "last")
    network = loaded(nets, tmp_path / "last")
    assert has(network, state)
    told = [f"taken: {place}, {len(state)} tensors" if place else f"taken: {len(state)} tensors"]
    told += [f'prefix "{prefix}" removed'] if prefix else []
    assert network.taken == (", ".join(told) if place or prefix else "")
    assert network.weights == "last"


@pytest.mark.parametrize(
    "name", ["w.pth.tar", "w.ckpt", "w.bin", "w", "w.pth", "w.model", "w.safetensors"]
)
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_file_is_known_by_its_content(
    nets: Path, state: State, tmp_path: Path, name: str, kind: str
) -> None:
    path = tmp_path / name
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    assert has(loaded(nets, path), state)


@pytest.mark.parametrize(
    "plain, average",
    [
        ("params", "params_ema"),
        ("model", "model_ema"),
        ("model", "ema"),
        ("state_dict", "state_dict_ema"),
        ("net", "ema_state_dict"),
        ("model", "swa_model"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_of_two_the_average_is_taken_and_said(
    nets: Path, state: State, tmp_path: Path, plain: str, average: str, first: bool
) -> None:
    pair = [(plain, shifted(state, 1)), (average, prefixed("module.", state))]
    torch.save(dict(pair if first else reversed(pair)), tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth")
    assert has(network, state)
    assert network.taken.startswith(f"taken: {average}.module (the average; {plain} is there, too)")


def test_an_average_under_a_prefix_is_taken(nets: Path, state: State, tmp_path: Path) -> None:
    both = prefixed("model.", shifted(state, 1)) | prefixed("ema_model.", state)
    torch.save({"state_dict": both}, tmp_path / "last.ckpt")
    network = loaded(nets, tmp_path / "last.ckpt")
    assert has(network, state)
    assert "state_dict.ema_model (the average; state_dict.model is there, too)" in network.taken


@pytest.mark.parametrize("flat", [True, False])
def test_two_that_fit_are_refused_and_a_key_chooses(
    nets: Path, state: State, tmp_path: Path, flat: bool
) -> None:
    teacher, path = shifted(state, 1), tmp_path / "distilled.pth"
    flat_one = prefixed("teacher.", teacher) | prefixed("student.", state)
    torch.save(flat_one if flat else {"teacher": teacher, "student": state, "epoch": 1}, path)
    text = refused(nets, path)
    assert "holds 2 networks that fit equally well: teacher, student" in text
    assert f"--weights {path}::student" in text
    assert has(loaded(nets, path, key="teacher"), teacher)
    network = resolve(f"{nets}:net", weights=f"{path}::student")
    assert has(network, state)
    assert network.weights == "distilled.pth::student"
    assert "has no tensors at nobody" in refused(nets, path, key="nobody")


def test_a_network_beside_another_below_it_has_a_key_too(
    nets: Path, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "m.pth"
    torch.save(state | prefixed("momentum.", shifted(state, 1)), path)
    assert "fit equally well: ., momentum" in refused(nets, path)
    assert has(loaded(nets, path, key="."), state)


def test_the_same_weights_twice_are_one(nets: Path, state: State, tmp_path: Path) -> None:
    copies = {name: tensor.clone() for name, tensor in state.items()}
    torch.save({"model": state, "best": copies}, tmp_path / "m.pth")
    assert loaded(nets, tmp_path / "m.pth").taken == f"taken: model, {len(state)} tensors"


def test_the_one_of_the_right_shapes_is_taken(nets: Path, state: State, tmp_path: Path) -> None:
    wider = {name: torch.cat([tensor, tensor]) for name, tensor in state.items() if tensor.dim()}
    torch.save({"teacher": wider, "student": state}, tmp_path / "m.pth")
    assert has(loaded(nets, tmp_path / "m.pth"), state)


def test_keys_reach_into_lists(nets: Path, state: State, tmp_path: Path) -> None:
    torch.save({"folds": [shifted(state, 1), state]}, tmp_path / "m.pth")
    assert "folds.0, folds.1" in refused(nets, tmp_path / "m.pth")
    assert has(loaded(nets, tmp_path / "m.pth", key="folds.1"), state)


@pytest.mark.parametrize("word", ["module", "_orig_mod", "inner"])
def test_a_word_within_names_is_passed_over(
    nets: Path, state: State, tmp_path: Path, word: str
) -> None:
    inside = {name.replace("stem.", f"stem.{word}."): tensor for name, tensor in state.items()}
    torch.save({"state_dict": inside}, tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth")
    assert has(network, state)
    assert network.taken.endswith(f'"{word}." within names removed')


@pytest.mark.parametrize(
    "before, said", [("", '"model." added'), ("module.", '"module." replaced by "model."')]
)
def test_a_network_that_wraps_gets_its_prefix_added(
    nets: Path, state: State, tmp_path: Path, before: str, said: str
) -> None:
    torch.save(prefixed(before, state), tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth", net="wrapped")
    assert has(network, state, lead="model.")
    assert network.taken.endswith(f"prefix {said}")


def test_parts_saved_apart_are_put_together(nets: Path, state: State, tmp_path: Path) -> None:
    parts: dict[str, State] = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    torch.save({"weights": parts}, tmp_path / "m.pth")
    assert has(loaded(nets, tmp_path / "m.pth"), state)


def test_counters_of_swa_and_profilers_are_no_weights(
    nets: Path, state: State, tmp_path: Path
) -> None:
    counted = prefixed("module.", state) | {"n_averaged": torch.tensor(5)}
    counted |= {"module.total_ops": torch.zeros(1), "module.stem.total_params": torch.zeros(1)}
    torch.save(counted, tmp_path / "swa.pt")
    assert has(loaded(nets, tmp_path / "swa.pt"), state)


class Config(dict[str, object]):
    """A class of training code that is filled like a dictionary."""


class Steps(list[int]):
    """One that is filled like a list."""


class Phase(enum.Enum):
    """One that is called with a value."""

    TRAIN = 1


BESIDE: dict[str, Callable[[], object]] = {
    "NumPy number": lambda: np.float64(0.93),
    "NumPy number of 32 bits": lambda: np.float32(0.93),
    "NumPy array": lambda: np.arange(6.0).reshape(2, 3),
    "NumPy generator": np.random.get_state,
    "arguments": lambda: argparse.Namespace(lr=0.1, schedule=[1, 2]),
    "namespace": lambda: SimpleNamespace(lr=0.1),
    "path": lambda: Path("runs/1"),
    "date": datetime.datetime.now,
    "configuration": lambda: Config(lr=0.1, net=Config(width=3)),
    "list of its own": lambda: Steps([1, 2, 3]),
    "enumeration": lambda: Phase.TRAIN,
    "class": lambda: Config,
    "dictionary with a default": lambda: collections.defaultdict(list, {"loss": [0.1]}),
    "queue": lambda: collections.deque([1, 2]),
    "module": lambda: nn.Conv2d(3, 4, 3),
}


@pytest.mark.parametrize("what", BESIDE)
@pytest.mark.parametrize("old", [False, True])
def test_what_stands_beside_the_weights_is_no_obstacle(
    nets: Path, state: State, tmp_path: Path, what: str, old: bool
) -> None:
    content = {"extra": BESIDE[what](), "state_dict": state}
    torch.save(content, tmp_path / "m.pth", _use_new_zipfile_serialization=not old)
    if (what, old) == ("module", True):  # with its source, which no reader passes over
        assert "a module with its source" in refused(nets, tmp_path / "m.pth")
        return
    assert has(loaded(nets, tmp_path / "m.pth"), state)


def test_the_state_of_an_optimizer_is_no_network(
    nets: Path, state: State, tmp_path: Path, module: nn.Module
) -> None:
    module.requires_grad_(True)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.randn(2, 3, 16, 16)).sum().backward()
    optimizer.step()
    content = {"optimizer": optimizer.state_dict(), "model": state, "scaler": {"scale": 2.0}}
    torch.save(content, tmp_path / "m.pth")
    assert loaded(nets, tmp_path / "m.pth").taken == f"taken: model, {len(state)} tensors"


class Runs:
    """Runs a function where it is unpickled by pickle itself."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("function", [os.system, subprocess.Popen, eval, Path.touch])
def test_code_beside_weights_is_refused_by_name_and_never_run(
    nets: Path, state: State, tmp_path: Path, function: Callable[..., object], old: bool
) -> None:
    target = tmp_path / "executed"
    argument = target if function is Path.touch else f"touch {target}"
    content = {"state_dict": state, "hook": Runs(function, argument)}
    torch.save(content, tmp_path / "evil.ckpt", _use_new_zipfile_serialization=not old)
    text = refused(nets, tmp_path / "evil.ckpt")
    assert "holds more than tensors (" in text
    assert "never run" in text
    assert not target.exists()


class Marks:
    """Leaves a file behind where one is built, called or filled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __setstate__(self, state: Any) -> None:
        state["target"].touch()


@pytest.mark.parametrize("old", [False, True])
def test_classes_of_a_file_are_never_called(
    nets: Path, state: State, tmp_path: Path, old: bool
) -> None:
    target = tmp_path / "called"
    content = {"state_dict": state, "hook": Marks(target), "sum": Runs(Marks, target)}
    torch.save(content, tmp_path / "m.ckpt", _use_new_zipfile_serialization=not old)
    assert has(loaded(nets, tmp_path / "m.ckpt"), state)
    assert not target.exists()
    torch.load(tmp_path / "m.ckpt", weights_only=False)
    assert target.exists()  # it would have


def test_an_object_in_the_place_of_a_weight_is_missing(
    nets: Path, state: State, tmp_path: Path
) -> None:
    torch.save(state | {"fc.bias": np.zeros(5)}, tmp_path / "m.pth")
    assert "lacks fc.bias" in refused(nets, tmp_path / "m.pth")


def test_a_deep_or_shared_structure_is_walked_once() -> None:
    leaf: dict[str, object] = {"weight": torch.zeros(1)}
    shared = leaf
    for _ in range(12):
        shared = {"a": shared, "b": shared}
    deep: dict[str, object] = {"weight": torch.zeros(1)}
    for _ in range(5000):
        deep = {"x": deep}
    circle: dict[str, object] = {"weight": torch.zeros(1)}
    circle["again"] = circle
    assert [len(entries_of(content)) for content in (shared, deep, circle)] == [1, 0, 1]


def test_pruning_masks_are_multiplied_out(nets: Path, tmp_path: Path, module: nn.Module) -> None:
    body: Any = module.get_submodule("body")
    prune.random_unstructured(body, "weight", 0.5)
    torch.save({"state_dict": prefixed("model.", module.state_dict())}, tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth")
    assert torch.equal(network.model.state_dict()["body.weight"], body.weight)
    assert (body.weight == 0).sum() == body.weight.numel() // 2
    assert "pruning masks multiplied out (1)" in network.taken


@pytest.mark.parametrize("norm", [weight_norm, parametrised.weight_norm])
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weight_norm_is_multiplied_out(
    nets: Path, tmp_path: Path, module: nn.Module, norm: Callable[..., Any], dim: int | None
) -> None:
    norm(module.get_submodule("body"), dim=dim)
    torch.save(module.state_dict(), tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth")
    body: Any = module.get_submodule("body")
    with torch.no_grad():
        body(torch.zeros(1, 8, 5, 5))  # the older one computes its weight when it runs
    assert torch.allclose(network.model.state_dict()["body.weight"], body.weight, rtol=1e-6)
    assert "weight norm multiplied out (1)" in network.taken


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "norm, cure",
    [(spectral_norm, "remove_spectral_norm"), (parametrised.spectral_norm, "parametrize.remove")],
)
def test_spectral_norm_is_refused_with_its_cure(
    nets: Path, tmp_path: Path, module: nn.Module, norm: Callable[..., Any], cure: str
) -> None:
    norm(module.get_submodule("body"))
    torch.save(module.state_dict(), tmp_path / "m.pth")
    assert cure in refused(nets, tmp_path / "m.pth")


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_state_dict_is_refused_as_such(
    nets: Path, tmp_path: Path, module: nn.Module
) -> None:
    quantised = torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8)
    torch.save(quantised.state_dict(), tmp_path / "m.pth")
    assert "quantised network" in refused(nets, tmp_path / "m.pth")


def test_a_model_in_a_notebook_gets_the_weights_of_a_checkpoint(
    nets: Path, state: State, tmp_path: Path
) -> None:
    torch.save({"teacher": shifted(state, 1), "student": backbone(state)}, tmp_path / "m.ckpt")
    fresh = Network(
        resolve(f"{nets}:net").model, "mine", (3, 16, 16), labels=["a", "b", "c", "d", "e"]
    )
    taught = fresh.with_weights(f"{tmp_path / 'm.ckpt'}::teacher")
    assert has(taught, shifted(state, 1))
    assert (taught.weights, taught.labels) == ("m.ckpt::teacher", fresh.labels)
    cut = taught.with_weights(WeightsFile(str(tmp_path / "m.ckpt"), "student", "drop"))
    bundle = extract(cut, output=tmp_path / "mine")
    assert bundle.manifest.note("left_out") == ["fc"]
    assert all(check.ok for check in verify(bundle, cut.model))


def test_a_network_that_asks_for_the_version_of_its_layers_gets_it(tmp_path: Path) -> None:
    trained = resolve("mnasnet0_5", weights="random", seed=2).model.state_dict()
    save_file(trained, tmp_path / "m")
    network = resolve("mnasnet0_5", weights=str(tmp_path / "m"))
    assert torch.equal(
        network.model.state_dict()["classifier.1.bias"], trained["classifier.1.bias"]
    )


def backbone(state: Mapping[str, Tensor]) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}


def test_a_backbone_is_refused_with_what_is_absent(
    nets: Path, state: State, tmp_path: Path
) -> None:
    torch.save(backbone(state), tmp_path / "m.pth")
    text = refused(nets, tmp_path / "m.pth")
    assert "all of fc is absent (a backbone)" in text
    assert "--head drop" in text


def test_other_classes_are_refused_with_both_numbers(
    nets: Path, state: State, tmp_path: Path
) -> None:
    other = {"fc.weight": torch.zeros(9, 8), "fc.bias": torch.zeros(9)}
    torch.save(backbone(state) | other, tmp_path / "m.pth")
    text = refused(nets, tmp_path / "m.pth")
    assert "fc.weight is 9x8, but nets.py:net has 5x8 there" in text
    assert "`--head drop` leaves fc out" in text


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"fc.weight": torch.zeros(9, 8), "fc.bias": torch.zeros(9)},
        {"fc.weight": torch.zeros(5, 16), "fc.bias": torch.zeros(5)},
        {"last_linear.weight": torch.zeros(9, 8)},
    ],
    ids=["none", "other classes", "other width", "other name"],
)
def test_a_head_can_be_left_out(nets: Path, state: State, tmp_path: Path, head: State) -> None:
    torch.save({"model": prefixed("net.", backbone(state) | head)}, tmp_path / "m.pth")
    network = loaded(nets, tmp_path / "m.pth", head="drop")
    assert has(network, backbone(state))
    assert not [name for name in network.model.state_dict() if name.startswith("fc")]
    assert (network.left_out, network.labels) == (("fc",), ())
    assert "left out: fc, and with the head its classes" in network.taken
    assert network.model(torch.zeros(1, 3, 16, 16)).shape == (1, 8)


def test_only_a_head_can_be_left_out(nets: Path, state: State, tmp_path: Path) -> None:
    gap = {name: tensor for name, tensor in state.items() if not name.startswith("body.")}
    for content, words in (
        (gap, "lacks body, which is no head: fc runs after it"),
        (state, "has the whole head; leave out --head drop"),
        (backbone(state) | {"body.1.weight": torch.zeros(2)}, "has body.1.weight unknown to it"),
        ({"stem.0.weight": torch.zeros(1)}, "without its head"),
    ):
        torch.save(content, tmp_path / "m.pth")
        assert words in refused(nets, tmp_path / "m.pth", head="drop")
    with pytest.raises(WeightsError, match="lacks nothing"):
        resolve(f"{nets}:net", weights=WeightsFile("random", head="drop"))
    with pytest.raises(WeightsError, match="keep, drop"):
        WeightsFile("m.pth", head="off")


def shards(folder: Path, state: Mapping[str, Tensor], names: tuple[str, ...]) -> Path:
    places = {tensor: names[number % len(names)] for number, tensor in enumerate(state)}
    for name in names:
        part = {tensor: state[tensor] for tensor in state if places[tensor] == name}
        (save_file if name.endswith("safetensors") else torch.save)(part, folder / name)
    index = folder / "model.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_weights_in_parts_are_read_by_their_index(
    nets: Path, state: State, tmp_path: Path, ending: str
) -> None:
    names = tuple(f"model-{number:05}-of-00003.{ending}" for number in (1, 2, 3))
    index = shards(tmp_path, prefixed("model.", state), names)
    network = loaded(nets, index)
    assert has(network, state)
    assert network.weights == "model.index.json"
    assert "name their index" in refused(nets, tmp_path / names[0])
    (tmp_path / names[1]).unlink()
    assert f"its part {names[1]} is not beside it" in refused(nets, index)


@pytest.mark.parametrize("part", ["../out.bin", "/etc/passwd", "a/b.bin", "..", "", "a\\b", "\n"])
def test_an_index_cannot_name_files_elsewhere(nets: Path, tmp_path: Path, part: str) -> None:
    index = tmp_path / "model.index.json"
    index.write_text(json.dumps({"weight_map": {"fc.weight": part}}))
    assert "not a file beside it" in refused(nets, index)


@pytest.mark.parametrize(
    "text", ['{"weight_map": [1]}', '{"a": 1}', "{", '{"a":' * 100_000, '{"weight_map": {"a": 1}}']
)
def test_a_damaged_index_is_refused(nets: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    assert "m.json: not " in refused(nets, tmp_path / "m.json")


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"1")


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "Git LFS": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
        "a Git LFS pointer; run `git lfs pull`",
    ),
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><html>no such file"), "a web page"),
    "XML": (lambda p: p.write_text("<?xml version='1.0'?><Error>AccessDenied"), "a web page"),
    "ONNX": (lambda p: p.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.6.0:\xff"), "an ONNX file"),
    "HDF5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "an HDF5 file, as Keras"),
    "Keras": (lambda p: zipped(p, "config.json", "model.weights.h5"), "a Keras archive"),
    "SavedModel": (lambda p: p.write_bytes(b"\x08\x01\x12\x80\xff\x01"), "a TensorFlow SavedModel"),
    "TensorFlow Lite": (lambda p: p.write_bytes(b"\x1c\0\0\0TFL3\x14"), "a TensorFlow Lite file"),
    "NumPy": (lambda p: p.write_bytes(b"\x93NUMPY\x01\0"), "a NumPy array"),
    "NumPy archive": (lambda p: zipped(p, "a.npy", "b.npy"), "an archive of NumPy arrays"),
    "zip": (lambda p: zipped(p, "run/m.pth"), "a zip archive of run/m.pth; unpack it"),
    "tar": (lambda p: p.write_bytes(b"m.pth".ljust(257, b"\0") + b"ustar\x0000"), "a tar archive"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08\0"), "packed with gzip"),
    "empty": (lambda p: p.write_bytes(b""), "an empty file"),
    "text": (lambda p: p.write_text("Access denied"), "a text ('Access denied' ...)"),
    "JSON": (lambda p: p.write_text('{"error": "no"}'), "a JSON text"),
    "odd bytes": (lambda p: p.write_bytes(bytes(range(200, 255))), "begins with bytes c8 c9"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["m.pth", "m.safetensors", "m"])
def test_a_file_of_something_else_is_named_as_what_it_is(
    nets: Path, tmp_path: Path, kind: str, name: str
) -> None:
    write, words = FOREIGN[kind]
    write(tmp_path / name)
    text = refused(nets, tmp_path / name)
    assert (
        "safetensors file" in text
        if (kind, name[1:]) == ("odd bytes", ".safetensors")
        else (words in text)
    )


@pytest.mark.filterwarnings("ignore")
def test_programs_of_torch_are_named_with_the_way_to_their_weights(
    nets: Path, tmp_path: Path, module: nn.Module
) -> None:
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    assert "a TorchScript archive; `torch.jit.load`" in refused(nets, tmp_path / "m.pt")
    example = (torch.zeros(2, 3, 16, 16),)
    torch.export.save(torch.export.export(module, example), tmp_path / "m.pt2")
    assert "an exported program; `torch.export.load`" in refused(nets, tmp_path / "m.pt2")


def test_a_folder_is_refused_with_files_in_it(nets: Path, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "pytorch_model.bin")
    text = refused(nets, tmp_path)
    assert "a folder; name the weights file in it, such as pytorch_model.bin" in text


def test_another_pickle_is_refused(nets: Path, state: State, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert "never run" in refused(nets, tmp_path / "m.pkl")
    torch.save({}, tmp_path / "m.pth")
    assert "not a state dict" in refused(nets, tmp_path / "m.pth")


def test_a_file_whose_name_has_colons_is_itself(nets: Path, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "a::b")
    assert resolve(f"{nets}:net", weights=str(tmp_path / "a::b")).weights == "a::b"


words = st.text("abm", min_size=1, max_size=3)
trees = st.dictionaries(
    st.lists(words, min_size=1, max_size=3).map(".".join),
    st.integers(1, 3),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(shapes=trees, place=st.lists(words, max_size=2), prefix=st.lists(words, max_size=3))
def test_any_names_are_found_where_they_stand(
    shapes: dict[str, int], place: list[str], prefix: list[str]
) -> None:
    """Whatever a network's names are, and whatever stands before them."""
    own = {name: torch.full((size,), float(i)) for i, (name, size) in enumerate(shapes.items())}
    start = "".join(f"{word}." for word in prefix)
    content: object = {start + name: tensor for name, tensor in own.items()}
    for key in reversed(place):
        content = {key: content}
    choice = choose(own, entries_of(content), source="it", key=".".join(place))
    assert choice is not None
    assert choice.fit.is_whole
    assert {name: entry.tensor for name, entry in choice.fit.found.items()} == own


@settings(max_examples=200, deadline=None)
@given(shapes=trees, other=trees)
def test_a_whole_fit_has_every_shape_of_the_network(
    shapes: dict[str, int], other: dict[str, int]
) -> None:
    """A file of another network is never taken as whole with a name missing or a shape wrong."""
    own = {name: torch.zeros(size) for name, size in shapes.items()}
    entries = entries_of({name: torch.zeros(size) for name, size in other.items()})
    try:
        choice = choose(own, entries, source="it")
    except WeightsError:
        return
    if choice is not None and choice.fit.is_whole:
        found = {name: entry.tensor.shape for name, entry in choice.fit.found.items()}
        assert found == {name: tensor.shape for name, tensor in own.items()}
