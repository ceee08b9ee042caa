"""Models in: every spelling of a network, every way that weights can be wrong."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from circuitome.errors import CircuitomeError
from circuitome.extract.models.about import About
from circuitome.extract.models.network import Network
from circuitome.extract.models.resolve import ModelError, resolve
from circuitome.extract.models.weights import WeightsError, digest, randomise
from circuitome.networks import BUNDLED

ARCHITECTURES = Path(__file__).parents[1] / "support" / "architectures"
RESNET20 = f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet20"

REAL = [
    ("squeezenet1_1", "squeezenet1_1_imagenet", (3, 224, 224)),
    ("squeezenet1_0", "squeezenet1_0_deepcompression", (3, 224, 224)),
    (RESNET20, "resnet20_cifar10", (3, 32, 32)),
    (RESNET20, "resnet20_cifar10_seedC", (3, 32, 32)),
    (f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet32", "resnet32_cifar10", (3, 32, 32)),
    (f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet56", "resnet56_cifar10", (3, 32, 32)),
    (f"{ARCHITECTURES / 'inception_v3_2015.py'}:early", "inception_v3_tf2015_early", (3, 299, 299)),
    (
        f"{ARCHITECTURES / 'inception_v3_2015.py'}:late",
        "inception_v3_tf2015_late_fp16",
        (288, 35, 35),
    ),
    (f"{ARCHITECTURES / 'mtcnn.py'}:pnet", "mtcnn_pnet", (3, 12, 12)),
    (f"{ARCHITECTURES / 'mtcnn.py'}:rnet", "mtcnn_rnet", (3, 24, 24)),
    (f"{ARCHITECTURES / 'mtcnn.py'}:onet", "mtcnn_onet", (3, 48, 48)),
]

TINY = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

def broken():
    raise ValueError("no such stage")

def words():
    return {"a": 1}

def with_arguments(width):
    return nn.Conv2d(3, width, 1)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(TINY)
    return path


def tiny_state(path: Path) -> dict[str, Tensor]:
    return {
        name: tensor + 0.5 for name, tensor in resolve(f"{path}:net").model.state_dict().items()
    }


def floats(network: Network) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in network.model.state_dict().items()
        if tensor.is_floating_point()
    }


@pytest.mark.parametrize("spec, file, shape", REAL, ids=[file for _, file, _ in REAL])
def test_a_real_weights_file_loads_whole_into_its_architecture(
    weights_dir: Path, spec: str, file: str, shape: tuple[int, int, int]
) -> None:
    path = weights_dir / f"{file}.safetensors"
    network = resolve(spec, weights=str(path))
    expected = load_file(path)
    assert network.input_shape == shape
    assert network.weights == path.name
    for name, tensor in floats(network).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].float())


def test_squeezenet_reads_its_published_preprocessing(weights_dir: Path) -> None:
    network = resolve(
        "squeezenet1_1", weights=str(weights_dir / "squeezenet1_1_imagenet.safetensors")
    )
    assert network.mean == (0.485, 0.456, 0.406)
    assert network.std == (0.229, 0.224, 0.225)
    assert network.labels[:2] == ("tench", "goldfish")


def test_a_bundled_network_needs_nothing_but_its_name() -> None:
    network = resolve("menagerie_s0")
    assert (network.name, network.architecture, network.weights) == (
        "menagerie_s0",
        "menagerie_s0",
        "menagerie_s0.safetensors",
    )
    assert network.input_shape == BUNDLED["menagerie_s0"].input_size
    assert not network.model.training


def test_a_factory_in_a_file_is_shown_without_its_folder(tiny: Path) -> None:
    network = resolve(f"{tiny}:net")
    assert (network.name, network.architecture, network.weights) == (
        "net",
        "nets.py:net",
        "factory",
    )


def test_a_factory_in_a_package_is_found() -> None:
    network = resolve(
        "circuitome.networks.menagerie:menagerie", said=About((3, 64, 64)), name="fresh"
    )
    assert (network.name, network.input_shape) == ("fresh", (3, 64, 64))


def test_a_factory_in_the_working_folder_is_found(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    shutil.copy(tiny, tiny.parent / "nets_of_this_test.py")
    assert resolve("nets_of_this_test:net").architecture == "nets_of_this_test:net"


def test_a_factory_file_imports_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "beside_of_this_test.py").write_text("WIDTH = 5")
    (tmp_path / "nets.py").write_text(
        "from beside_of_this_test import WIDTH\nfrom torch import nn\ndef net(): return "
        "nn.Conv2d(3, WIDTH, 1)"
    )
    model = resolve(f"{tmp_path / 'nets.py'}:net").model
    assert isinstance(model, nn.Conv2d)
    assert model.out_channels == 5


RESOLVE_ALL = """
import sys
from circuitome.errors import CircuitomeError
from circuitome.extract.models.resolve import resolve
refused = 0
for spec in sys.argv[1:]:
    try:
        resolve(spec)
    except CircuitomeError:
        refused += 1
assert not sys.dont_write_bytecode
print(refused)
"""


def test_nothing_is_left_beside_a_factory(tmp_path: Path) -> None:
    """Python itself would write `__pycache__` folders, unless a variable of the environment
    forbids it.
    """
    (tmp_path / "own" / "deep").mkdir(parents=True)
    net = "from torch import nn\ndef net(): return nn.Conv2d(3, 5, 1)\n"
    files = {
        "nets.py": "import beside\nfrom own.deep.nets import net\ndef wrong(): return 1 / 0\n",
        "beside.py": "",
        "broken.py": "import beside\nraise OSError\n",
        "own/__init__.py": "",
        "own/deep/__init__.py": "import beside",
        "own/deep/nets.py": net,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    good = ["nets.py:net", "own.deep.nets:net", str(tmp_path / "nets.py") + ":net"]
    bad = ["nets.py:wrong", "nets.py:none", "broken.py:net", "own.deep:none", "own.deep.none:net"]
    names = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE_ALL, *good, *bad],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in names},
    )
    assert (done.stdout, done.stderr) == (f"{len(bad)}\n", "")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(files)
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_factory_that_leaves_weights_random_is_repeatable(tiny: Path) -> None:
    first, second, other = (resolve(f"{tiny}:net", seed=seed).weights_sha256 for seed in (1, 1, 2))
    assert first == second != other


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".th"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_weights_come_from_every_kind_of_file(
    tiny: Path, tmp_path: Path, suffix: str, prefix: str
) -> None:
    state = tiny_state(tiny)
    named = {prefix + name: tensor for name, tensor in state.items()}
    path = tmp_path / f"weights{suffix}"
    save_file(named, path) if suffix == ".safetensors" else torch.save(named, path)
    network = resolve(f"{tiny}:net", weights=str(path))
    for name, tensor in floats(network).items():
        assert torch.equal(tensor, state[name])


@pytest.mark.parametrize("wrapping", ["state_dict", "model", "model_state_dict"])
def test_a_wrapped_state_dict_is_found(tiny: Path, tmp_path: Path, wrapping: str) -> None:
    state = tiny_state(tiny)
    torch.save({"epoch": 7, "best_prec1": 0.9, wrapping: state}, tmp_path / "checkpoint.pth")
    network = resolve(f"{tiny}:net", weights=str(tmp_path / "checkpoint.pth"))
    assert torch.equal(network.model.state_dict()["0.weight"], state["0.weight"])


def test_half_precision_weights_become_float32(tiny: Path, tmp_path: Path) -> None:
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tiny_state(tiny).items()
    }
    save_file(state, tmp_path / "half.safetensors")
    network = resolve(f"{tiny}:net", weights=str(tmp_path / "half.safetensors"))
    assert {tensor.dtype for tensor in floats(network).values()} == {torch.float32}
    assert torch.equal(network.model.state_dict()["0.weight"], state["0.weight"].float())


def test_weights_without_auxiliary_heads_fit_googlenet(tmp_path: Path) -> None:
    whole = resolve("googlenet", weights="random")
    state = {
        name: tensor
        for name, tensor in whole.model.state_dict().items()
        if not name.startswith("aux")
    }
    save_file(state, tmp_path / "googlenet.safetensors")
    network = resolve("googlenet", weights=str(tmp_path / "googlenet.safetensors"))
    assert set(network.model.state_dict()) == set(state)


def test_densenet_weights_in_their_published_spelling_fit(tmp_path: Path) -> None:
    state = resolve("densenet121", weights="random").model.state_dict()
    published = {
        name.replace("norm1.", "norm.1.").replace("conv1.", "conv.1.")
        if "denselayer" in name
        else name: tensor.clone()
        for name, tensor in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    save_file(published, tmp_path / "densenet.safetensors")
    network = resolve("densenet121", weights=str(tmp_path / "densenet.safetensors"))
    assert torch.equal(network.model.state_dict()["classifier.weight"], state["classifier.weight"])


def test_random_weights_leave_nothing_at_its_default() -> None:
    network = resolve(RESNET20, weights="random", seed=3)
    fresh = resolve(RESNET20)
    for name, tensor in floats(network).items():
        assert not torch.equal(tensor, fresh.model.state_dict()[name]), name
        assert tensor.unique().numel() > 1, name
    assert network.weights_sha256 == resolve(RESNET20, weights="random", seed=3).weights_sha256
    assert network.weights_sha256 != resolve(RESNET20, weights="random", seed=4).weights_sha256


def test_random_weights_keep_a_deep_network_finite() -> None:
    network = resolve(f"{ARCHITECTURES / 'cifar_resnet.py'}:resnet56", weights="random")
    out = network.model(torch.randn(2, 3, 32, 32))
    assert torch.isfinite(out).all()
    assert out.std() > 0


def test_the_digest_sees_every_weight_and_every_name() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = digest(model)
    assert (
        digest(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)) != before
    )
    renamed = nn.ModuleDict({"a": model[0], "b": model[1]})
    assert digest(renamed) != before
    with torch.no_grad():
        model[1].running_var[3] += 1e-6  # pyright: ignore[reportIndexIssue,reportOperatorIssue]
    assert digest(model) != before


def test_layer_scales_are_random_too() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer_scale = nn.Parameter(torch.ones(8, 1, 1) * 1e-6)

    model = Scaled()
    randomise(model, 0)
    assert model.layer_scale.abs().min() > 0.4
    assert model.layer_scale.unique().numel() == 8


def message(spec: str, kind: type[CircuitomeError], **options: object) -> str:
    with pytest.raises(kind) as error:
        resolve(spec, **options)  # pyright: ignore[reportArgumentType]
    return str(error.value)


def test_a_truncated_safetensors_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    save_file(tiny_state(tiny), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-20])
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "cut.safetensors"))
    assert "cut.safetensors: not a whole safetensors file" in text


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 not a zip", b"\x80\x02}q\x00.", b"hello world"]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_something_else_is_refused(
    tiny: Path, tmp_path: Path, content: bytes, suffix: str
) -> None:
    (tmp_path / f"odd{suffix}").write_bytes(content)
    assert f"odd{suffix}: " in message(
        f"{tiny}:net", WeightsError, weights=str(tmp_path / f"odd{suffix}")
    )


def test_a_truncated_pth_file_is_refused(tiny: Path, tmp_path: Path) -> None:
    torch.save(tiny_state(tiny), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-200])
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "cut.pth"))
    assert "cut.pth: not a whole PyTorch file" in text


class Payload:
    """Creates a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_refused_and_never_run(
    tiny: Path, tmp_path: Path, legacy: bool
) -> None:
    target = tmp_path / "executed"
    content = {"0.weight": Payload(target)}
    if legacy:
        (tmp_path / "evil.pth").write_bytes(pickle.dumps(content))
    else:
        torch.save(content, tmp_path / "evil.pth")
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "evil.pth"))
    assert "evil.pth: holds more than tensors" in text
    assert "never run" in text
    assert not target.exists()
    torch.load(tmp_path / "evil.pth", weights_only=False) if not legacy else pickle.loads(
        (tmp_path / "evil.pth").read_bytes()
    )
    assert target.exists()  # it would have


def test_a_pickled_module_is_refused_with_the_way_to_save_it(tiny: Path, tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 4, 3), tmp_path / "module.pth")
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "module.pth"))
    assert "Conv2d" in text
    assert "save_file(model.state_dict()" in text


def test_numpy_arrays_are_no_state_dict(tiny: Path, tmp_path: Path) -> None:
    torch.save({"0.weight": [1.0, 2.0]}, tmp_path / "lists.pth")
    assert "'0.weight' is a list" in message(
        f"{tiny}:net", WeightsError, weights=str(tmp_path / "lists.pth")
    )
    np.save(tmp_path / "array.npy", np.zeros(3))
    assert "array.npy: not a weights file" in message(
        f"{tiny}:net", WeightsError, weights=str(tmp_path / "array.npy")
    )


def test_weights_of_another_shape_name_the_first_such_tensor_with_both_shapes(
    tiny: Path, tmp_path: Path
) -> None:
    state = tiny_state(tiny) | {"0.weight": torch.zeros(4, 3, 5, 5), "1.weight": torch.zeros(7)}
    save_file(state, tmp_path / "other.safetensors")
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "other.safetensors"))
    assert "other.safetensors: 0.weight is 4x3x5x5, but nets.py:net has 4x3x3x3 there" in text


def test_missing_and_unknown_tensors_are_named(tiny: Path, tmp_path: Path) -> None:
    state = tiny_state(tiny)
    del state["0.bias"], state["1.weight"]
    save_file(state | {"head.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "other.safetensors"))
    assert "lacks 0.bias and 1 more and has head.weight unknown to it" in text


def test_a_missing_counter_of_batch_norm_is_no_fault(tiny: Path, tmp_path: Path) -> None:
    state = {
        name: tensor
        for name, tensor in tiny_state(tiny).items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, tmp_path / "old.safetensors")
    assert (
        resolve(f"{tiny}:net", weights=str(tmp_path / "old.safetensors")).weights
        == "old.safetensors"
    )


def test_quantised_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    state = tiny_state(tiny) | {"0.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int8)}
    save_file(state, tmp_path / "int8.safetensors")
    assert "0.weight holds torch.int8" in message(
        f"{tiny}:net", WeightsError, weights=str(tmp_path / "int8.safetensors")
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_weights_are_named_with_their_channel(
    tiny: Path, tmp_path: Path, value: float
) -> None:
    state = tiny_state(tiny)
    state["0.weight"][2, 1, 0, 0] = value
    save_file(state, tmp_path / "sick.safetensors")
    text = message(f"{tiny}:net", WeightsError, weights=str(tmp_path / "sick.safetensors"))
    assert "sick.safetensors: 0.weight, channel 2 is not finite" in text
    assert (
        resolve(
            f"{tiny}:net", weights=str(tmp_path / "sick.safetensors"), allow_nonfinite=True
        ).name
        == "net"
    )


def test_a_missing_weights_file_is_named(tiny: Path) -> None:
    assert "nowhere.safetensors: no such file" in message(
        f"{tiny}:net", WeightsError, weights="nowhere.safetensors"
    )


def test_an_unknown_name_brings_near_ones() -> None:
    assert "squeezenet1_1" in message("squeezenet_1_1", ModelError)
    assert "menagerie_s0" in message("menagerie", ModelError)


def test_a_python_file_without_its_factory_brings_the_whole_spelling(tiny: Path) -> None:
    assert f"{tiny}:net" in message(str(tiny), ModelError)


def test_a_missing_file_module_or_factory_is_named(tiny: Path) -> None:
    assert "nowhere.py: no such file" in message("nowhere.py:net", ModelError)
    assert "no_such_package: no such module" in message("no_such_package:net", ModelError)
    text = message(f"{tiny}:ned", ModelError)
    assert "has no 'ned'" in text
    assert "net, broken, words" in text
    assert "write package.module:factory" in message("nets.py:", ModelError)


def test_a_factory_that_fails_is_told_with_its_place(tiny: Path) -> None:
    text = message(f"{tiny}:broken", ModelError)
    assert "ValueError: no such stage (nets.py, line 9)" in text
    assert "without arguments" in message(f"{tiny}:with_arguments", ModelError)


def test_a_file_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import torch\nimport no_such_thing\n")
    assert "ModuleNotFoundError: No module named 'no_such_thing' (bad.py, line 2)" in message(
        f"{tmp_path / 'bad.py'}:net", ModelError
    )
    (tmp_path / "exits.py").write_text("raise SystemExit(3)")
    assert "SystemExit: 3" in message(f"{tmp_path / 'exits.py'}:net", ModelError)


def test_a_factory_that_gives_no_module_is_refused(tiny: Path) -> None:
    assert "gave a dict, not a torch.nn.Module" in message(f"{tiny}:words", ModelError)


def test_a_factory_has_no_published_weights(tiny: Path) -> None:
    assert "no DEFAULT weights" in message(f"{tiny}:net", WeightsError, weights="DEFAULT")


def test_published_weights_out_of_reach_bring_the_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody listens there
    for proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    text = message("squeezenet1_1", WeightsError)
    assert "could not be fetched" in text
    assert "--weights FILE" in text


@pytest.mark.parametrize(
    "name", ["a/b", "a:b", "", " ", ".hidden", "x\n", "`x`", "x' }) DETACH DELETE n //"]
)
def test_a_name_that_would_break_keys_is_refused(tiny: Path, name: str) -> None:
    if name:
        assert "--name" in message(f"{tiny}:net", ModelError, name=name)
    else:
        assert resolve(f"{tiny}:net", name=name).name == "net"


def test_preprocessing_that_does_not_fit_the_input_is_refused(tiny: Path) -> None:
    assert "--mean has 1 numbers" in message(f"{tiny}:net", ModelError, said=About(mean=(0.5,)))
    assert "above 0" in message(f"{tiny}:net", ModelError, said=About(std=(1.0, 0.0, 1.0)))
    assert "--input-size" in message(f"{tiny}:net", ModelError, said=About((3,)))


def test_option_a_shortcuts_carry_every_second_pixel_between_zero_channels() -> None:
    block = resolve(RESNET20).model.get_submodule("layer2.0.shortcut")
    x = torch.randn(1, 16, 8, 8)
    out = block(x)
    assert out.shape == (1, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_the_two_parts_of_inception_fit_together() -> None:
    early = resolve(f"{ARCHITECTURES / 'inception_v3_2015.py'}:early").model
    late = resolve(f"{ARCHITECTURES / 'inception_v3_2015.py'}:late").model
    maps = early(torch.randn(1, 3, 299, 299))
    assert maps.shape == (1, 288, 35, 35)
    assert late(maps).shape == (1, 1280, 8, 8)


def test_mtcnn_heads_are_probabilities_and_boxes(weights_dir: Path) -> None:
    for stage, size in (("pnet", 12), ("rnet", 24), ("onet", 48)):
        network = resolve(
            f"{ARCHITECTURES / 'mtcnn.py'}:{stage}",
            weights=str(weights_dir / f"mtcnn_{stage}.safetensors"),
        )
        box, *_, probability = network.model(torch.zeros(1, 3, size, size))
        assert box.shape[1] == 4
        assert F.l1_loss(probability.sum(1), torch.ones_like(probability.sum(1))) < 1e-6


def test_the_bundled_networks_are_different_trainings() -> None:
    assert len({resolve(name).weights_sha256 for name in BUNDLED}) == len(BUNDLED) == 3
