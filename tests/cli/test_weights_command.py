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
    assert "pair.pth::student" in run(*again).err
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
