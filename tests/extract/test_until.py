"""A network that ends before one of its modules."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from circuitome.extract import Network, extract
from circuitome.extract.models.network import ModelError
from circuitome.extract.models.until import end_before
from circuitome.extract.responses.twins import twin
from circuitome.extract.verify import verify
from circuitome.graphdb.bundle import Bundle
from tests.support.program import run

FACTORY = '''from torch import nn


class Attention(nn.Module):
    """Every position looks at every other."""

    def forward(self, x):
        flat = x.flatten(2)
        alike = (flat.transpose(1, 2) @ flat).softmax(-1)
        return (flat @ alike).view_as(x)


def hybrid():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), Attention(), nn.Conv2d(6, 4, 1)
    )
'''


class Both(nn.Module):
    """A head with two inputs."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return one.mean((1, 2, 3)) - other.mean((1, 2, 3))


class Twice(nn.Module):
    """Two inputs for the module that it ends before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.deep = nn.Conv2d(4, 5, 3, padding=1)
        self.unused = nn.Conv2d(3, 3, 1)
        self.head = Both()

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x).relu()
        return self.head(stem, self.deep(stem))


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(6 * 144, 5)
    ).eval()


def test_it_puts_out_what_the_module_would_read() -> None:
    whole, image = small(), torch.randn(2, 3, 16, 16)
    cut = end_before(copy.deepcopy(whole), "3", (3, 16, 16), source="small")
    assert type(cut).__name__ == "Sequential"
    assert torch.equal(cut(image), whole[:3](image))


def test_its_layers_keep_their_names_and_are_proven(tmp_path: Path) -> None:
    cut = end_before(small(), "2", (3, 16, 16), source="small")
    bundle = extract(Network(cut, name="cut", input_shape=(3, 16, 16)), output=tmp_path / "cut")
    assert [row["name"] for row in bundle.table("Layer").to_pylist()] == ["input", "0", "output"]
    assert all(check.ok for check in verify(bundle, cut))


def test_two_inputs_of_the_module_are_two_outputs(tmp_path: Path) -> None:
    cut = end_before(Twice().eval(), "head", (3, 16, 16), source="twice")
    bundle = extract(Network(cut, name="cut", input_shape=(3, 16, 16)), output=tmp_path / "cut")
    names = [row["name"] for row in bundle.table("Layer").to_pylist()]
    assert {"stem", "deep"} <= set(names) and "unused" not in names
    assert all(check.ok for check in verify(bundle, cut))


def test_a_copy_runs_its_own_weights() -> None:
    cut = end_before(small(), "3", (3, 16, 16), source="small")
    other, image = twin(cut, 0), torch.randn(1, 3, 16, 16)
    assert other(image).shape == cut(image).shape
    assert not torch.allclose(other(image), cut(image))


@pytest.mark.parametrize(
    ("model", "module", "said"),
    [
        (small(), "22", "has no module '22' to end before; near it are 2"),
        (Twice().eval(), "unused", "runs without ever coming to 'unused'"),
    ],
)
def test_modules_that_it_cannot_end_before_are_refused(
    model: nn.Module, module: str, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        end_before(model, module, (3, 16, 16), source="net")


def test_the_command_line_ends_there_and_finds_it_again(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FACTORY)
    model, bundle = f"{tmp_path}/nets.py:hybrid", tmp_path / "hybrid.circuitome"
    line = ("extract", model, "--input-size", "3,16,16", "-o", bundle)
    refused = run(*line)
    assert refused.code == 2
    assert "self-attention in 3" in refused.err and "--until 3" in refused.err
    assert run(*line, "--until", "3").code == 0
    assert Bundle.open(bundle).manifest.note("until") == "3"
    assert run("verify", bundle, model).code == 0
    assert run("annotate", bundle, model, "--parts", "responses", "--twins", "3").code == 0
