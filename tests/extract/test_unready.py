"""Networks that cannot be followed, and factories that fail: one message with the cure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import circuitome
from circuitome.extract.models.about import About
from circuitome.extract.models.network import ModelError, Network
from circuitome.extract.models.resolve import resolve
from circuitome.extract.verify import verify
from tests.support.program import run

NETS = """
import argparse
import sys

import torch
from torch import nn
from torch.ao import quantization


def net(width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 5),
    )


IMAGE = torch.zeros(2, 3, 16, 16)


def scripted():
    return torch.jit.script(net())


def traced():
    return torch.jit.trace(net(), IMAGE)


def exported():
    return torch.export.export(net().eval(), (IMAGE,))


def unlifted():
    return exported().module()


def meta():
    with torch.device("meta"):
        return net()


def dynamic():
    return quantization.quantize_dynamic(net(), {nn.Linear}, dtype=torch.qint8)


def static():
    model = net().eval()
    model.qconfig = quantization.get_default_qconfig("fbgemm")
    prepared = quantization.prepare(model)
    prepared(IMAGE)
    return quantization.convert(prepared)


def aware():
    model = net().train()
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    return quantization.prepare_qat(model)


def complex_weights():
    return nn.Sequential(nn.Conv2d(3, 4, 3, dtype=torch.complex64))


def needs(depth, *, width):
    return net()


class Needs(nn.Module):
    def __init__(self, depth):
        super().__init__()


def raises():
    raise KeyError("stage")


def asks():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    return net(parser.parse_args().width)


def asks_little():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=6)
    print("building")
    print("slowly", file=sys.stderr)
    parser.print_usage(sys.stderr)
    return net(parser.parse_args().width)


def quits():
    sys.exit("no GPU here")


def recurses():
    return recurses()


def lazy():
    return nn.Sequential(
        nn.LazyConv2d(8, 3, stride=2), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(5),
    )


def lazy_and_wrong():
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.Linear(77, 5))


def compiled():
    return torch.compile(net())


def parallel():
    return nn.DataParallel(net())


def pair():
    return net(), 0.1
"""

REFUSED = {
    "scripted": ("TorchScript", "return the module before torch.jit.script"),
    "traced": ("TorchScript", "return the module before torch.jit.script"),
    "exported": ("an exported program", "return the module before torch.export"),
    "unlifted": ("cannot be made ready", "return a plain torch.nn.Module"),
    "meta": ("0.weight is on the meta device", "without torch.device('meta')"),
    "dynamic": ("its layer 4 is quantised", "before quantisation"),
    "static": ("is quantised", "before quantisation"),
    "aware": ("its layer 0 is quantised", "before quantisation"),
    "complex_weights": ("no plain tensor of floats (torch.complex64)", "return the plain network"),
    "needs": ("needs arguments (depth, width)", "write a function that calls it"),
    "Needs": ("needs arguments (depth)", "write a function that calls it"),
    "raises": ("KeyError: 'stage' (nets.py, line 73)", "repair it"),
    "asks": ("the following arguments are required: --width", "reads no command line"),
    "quits": ("SystemExit: no GPU here (nets.py, line ", "reads no command line"),
    "recurses": ("RecursionError", "repair it"),
    "lazy_and_wrong": ("on an input of 3x16x16", "check the input size"),
    "pair": ("gave a tuple", "return the network"),
}


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("factory", REFUSED)
def test_what_cannot_be_followed_ends_with_one_message_and_leaves_nothing(
    nets: Path, factory: str
) -> None:
    got = run("extract", f"nets.py:{factory}", "--input-size", "3,16,16")
    what, cure = REFUSED[factory]
    assert (got.code, got.out) == (2, "")
    assert what in got.err
    assert cure in got.err
    assert "Traceback" not in got.err
    assert len(got.err.splitlines()) == 1
    assert [entry.name for entry in nets.parent.iterdir()] == ["nets.py"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("factory", ["lazy", "compiled", "parallel", "asks_little"])
def test_what_can_be_followed_is_extracted_and_proven(nets: Path, factory: str) -> None:
    network = resolve(f"{nets}:{factory}", said=About((3, 16, 20)))
    bundle = circuitome.extract(network, output=nets.parent / "out")
    assert all(check.ok for check in verify(bundle, network.model))
    again = resolve(f"{nets}:{factory}", said=About((3, 16, 20)))
    assert network.weights_sha256 == again.weights_sha256
    assert next(iter(network.model.state_dict())) == "0.weight"


def test_lazy_layers_have_weights_before_a_file_is_read(nets: Path) -> None:
    trained = resolve(f"{nets}:lazy", said=About((3, 16, 20)), seed=3).model
    torch.save({"state_dict": trained.state_dict()}, nets.parent / "lazy.ckpt")
    network = resolve(
        f"{nets}:lazy", weights=str(nets.parent / "lazy.ckpt"), said=About((3, 16, 20))
    )
    assert torch.equal(network.model.state_dict()["4.weight"], trained.state_dict()["4.weight"])


def test_what_a_factory_prints_is_no_output(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(sys.argv)
    resolve(f"{nets}:asks_little")
    assert sys.argv == before
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[:2]) == ("", ["building", "slowly"])
    assert "usage: " in err


@pytest.mark.filterwarnings("ignore")
def test_a_module_that_is_given_is_looked_at_too(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    with torch.device("meta"):
        meta = nn.Conv2d(3, 4, 3).eval()
    for model, words in (
        (torch.jit.script(net), "TorchScript"),
        (meta, "on the meta device"),
        (nn.Sequential(nn.LazyConv2d(4, 3)).eval(), "is lazy and has no values yet"),
    ):
        with pytest.raises(ModelError, match=words):
            circuitome.extract(Network(model, input_shape=(3, 16, 16)), output=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def package(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


BLOCK = "from torch import nn\ndef block(width): return nn.Conv2d(3, width, 3)\n"


@pytest.mark.parametrize(
    "line",
    [
        "from .blocks import block",
        "from . import blocks; block = blocks.block",
        "from ..models.blocks import block",
        "from models_of_this_test.blocks import block",
        "from project_of_this_test.models.blocks import block",
    ],
)
def test_a_file_of_a_package_is_run_as_a_part_of_it(tmp_path: Path, line: str) -> None:
    deep = "project" in line or ".." in line
    inner = "project_of_this_test/models" if deep else "models_of_this_test"
    for width in (4, 6):  # another folder of the same names gives its own network
        folder = tmp_path / str(width)
        files = {
            f"{inner}/__init__.py": "",
            f"{inner}/blocks.py": BLOCK,
            f"{inner}/net.py": f"{line}\ndef net(): return block({width})\n",
        }
        package(folder, files | ({"project_of_this_test/__init__.py": ""} if deep else {}))
        network = resolve(f"{folder / inner / 'net.py'}:net")
        assert network.model.get_parameter("weight").shape[0] == width
        assert network.architecture == "net.py:net"
        assert not list(folder.rglob("__pycache__"))


def test_a_relative_import_without_a_package_has_its_cure(tmp_path: Path) -> None:
    package(tmp_path, {"net.py": "from .blocks import block", "blocks.py": BLOCK})
    with pytest.raises(ModelError, match=r"put an empty __init__\.py into its folder"):
        resolve(f"{tmp_path / 'net.py'}:net")


def test_a_package_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    files = {
        "models/__init__.py": "\nimport no_such_thing",
        "models/net.py": "from . import blocks",
        "models/blocks.py": BLOCK,
    }
    package(tmp_path, files)
    with pytest.raises(ModelError, match=r"'no_such_thing' \(__init__\.py, line 2\); install"):
        resolve(f"{tmp_path / 'models' / 'net.py'}:net")
