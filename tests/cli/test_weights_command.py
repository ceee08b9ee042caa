"""Checkpoints on the command line: extracted, said in a line, and proven with the same words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from circuitome.extract.models.resolve import resolve
from circuitome.networks import BUNDLED
from tests.support.program import run

NAME = "menagerie_s0"
FACTORY = "circuitome.networks.menagerie:menagerie"
SIZE = ["--input-size", "3,64,64"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return load_file(BUNDLED[NAME].weights)


def test_what_lightning_writes_is_extracted_verified_and_described(
    here: Path, state: dict[str, torch.Tensor]
) -> None:
    checkpoint = {
        "epoch": 3,
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()}
        | {"loss.weight": torch.ones(3)},
        "hyper_parameters": argparse.Namespace(lr=0.1),
        "callbacks": {"ModelCheckpoint": {"best_model_score": np.float32(0.9)}},
    }
    torch.save(checkpoint, here / "last.ckpt")
    line = [FACTORY, "--weights", "last.ckpt"]
    got = run("extract", *line, *SIZE)
    assert (got.code, got.out) == (0, "menagerie.circuitome\n")
    said = f'taken: state_dict, {len(state)} tensors, prefix "model." removed, 1 tensor beside'
    assert said in got.err
    proof = run("verify", "menagerie.circuitome", *line)
    assert proof.code == 0, proof.err
    assert said in proof.err
    bundled = run("extract", NAME, "-o", "bundled")
    assert "taken" not in bundled.err
    assert manifest(here / "menagerie.circuitome")["counts"] == manifest(here / "bundled")["counts"]


def manifest(bundle: Path) -> dict[str, dict[str, object]]:
    return json.loads((bundle / "manifest.json").read_text())


def test_a_head_that_is_left_out_is_left_out_again(
    here: Path, state: dict[str, torch.Tensor]
) -> None:
    (here / "nets.py").write_text(
        "from torchvision.models import squeezenet1_1\n"
        "def net(): return squeezenet1_1(num_classes=7)\n"
    )
    torch.save(resolve("squeezenet1_1", weights="random").model.state_dict(), here / "thousand.bin")
    line = ["nets.py:net", "--weights", "thousand.bin"]
    refused = run("extract", *line, *SIZE)
    assert (refused.code, "classifier.1.weight is 1000x512x1x1" in refused.err) == (2, True)
    got = run("extract", *line, *SIZE, "--head", "drop")
    assert got.code == 0, got.err
    assert "left out: classifier.1, and with the head its classes" in got.err
    assert manifest(here / "net.circuitome")["left_out"] == ["classifier.1"]
    assert "classifier.1" not in (here / "net.circuitome" / "wiring.json").read_text()
    proof = run("verify", "net.circuitome", *line)
    assert proof.code == 0, proof.err
    assert run("check", "net.circuitome").code == 0


def test_a_key_chooses_and_is_asked_for_again(here: Path, state: dict[str, torch.Tensor]) -> None:
    other = {name: tensor * 2 for name, tensor in state.items()}
    torch.save({"teacher": other, "student": state}, here / "pair.pth")
    both = run("extract", FACTORY, "--weights", "pair.pth", *SIZE)
    assert both.code == 2
    assert "--weights pair.pth::student" in both.err
    assert not (here / "menagerie.circuitome").exists()
    got = run("extract", FACTORY, "--weights", "pair.pth::student", *SIZE)
    assert got.code == 0, got.err
    again = ["verify", "menagerie.circuitome", FACTORY]
    assert run(*again).code == 0  # the file lies in the working folder
    assert run(*again, "--weights", "pair.pth::student").code == 0
    wrong = run(*again, "--weights", "pair.pth::teacher")
    assert (wrong.code, "other weights" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--head", "off"], "give keep or drop"),
        (["--head", "drop"], "name the file with --weights"),
        (["--head", "drop", "--weights", "random"], "random lacks nothing"),
    ],
)
def test_a_head_without_a_file_is_wrong_use(here: Path, options: list[str], words: str) -> None:
    got = run("extract", FACTORY, *SIZE, *options)
    assert (got.code, words in got.err) == (2, True), got.err
    assert not list(here.iterdir())


@pytest.mark.parametrize("command", ["verify", "annotate"])
def test_what_has_to_be_typed_again_is_one_line(
    here: Path, state: dict[str, torch.Tensor], command: str
) -> None:
    (here / "files").mkdir()
    torch.save({"net": state}, here / "files" / "w.pth")
    assert run("extract", FACTORY, "--weights", "files/w.pth::net", *SIZE).code == 0
    whole = f"`circuitome {command} menagerie.circuitome {FACTORY} --weights w.pth::net`"
    for typed in ([], [FACTORY]):
        got = run(command, "menagerie.circuitome", *typed)
        assert (got.code, whole in got.err) == (2, True), got.err


def test_a_manifest_names_no_file_of_another_folder(
    here: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(state, here / "w.pth")
    assert run("extract", FACTORY, "--weights", "w.pth", *SIZE).code == 0
    path = here / "menagerie.circuitome" / "manifest.json"
    path.write_text(path.read_text().replace('"w.pth"', json.dumps(str(here / "w.pth"))))
    got = run("verify", "menagerie.circuitome", FACTORY)
    assert (got.code, "only when they are typed" in got.err) == (2, True)


NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


def test_classes_are_named_by_a_file(here: Path) -> None:
    from circuitome.graphdb.bundle import Bundle

    (here / "nets.py").write_text(NET)
    (here / "names.txt").write_text("cat\n\nbig dog\n owl \n", encoding="utf-8-sig")
    line = ["extract", "nets.py:net", "--force", "--classes", "names.txt"]
    got = run(*line, *SIZE)
    assert got.code == 0, got.err
    rows = Bundle.open("net.circuitome").table("Neuron").to_pylist()
    assert [row["label"] for row in rows][-3:] == ["cat", "big dog", "owl"]
    (here / "names.txt").write_text("cat\ndog")
    assert "the 2 names of --classes are not used" in run(*line, *SIZE).err
    (here / "names.txt").write_bytes(b"\xff\xfe\x00")
    assert run(*line, *SIZE).code == 2


def test_an_input_size_that_nobody_said_is_told(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    told = "input size 3,224,224, for nothing says another"
    assert told in run("extract", "nets.py:net", "-o", "a").err
    assert told not in run("extract", "nets.py:net", "-o", "b", *SIZE).err
    assert told not in run("extract", NAME, "-o", "c").err


def test_a_bundle_is_shown_in_a_line(here: Path) -> None:
    from circuitome.graphdb.bundle import Bundle

    (here / "nets.py").write_text(NET)
    assert run("extract", "nets.py:net", *SIZE, "--keep", "all").code == 0
    shown = repr(Bundle.open("net.circuitome"))
    assert shown == "<Bundle net.circuitome: net, 10 neurons, 24 edges>"
