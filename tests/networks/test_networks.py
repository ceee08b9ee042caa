"""The bundled networks: files, accuracies against their logs, training, scenes, and the first
layer against twins.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import mannwhitneyu
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.networks import BUNDLED, load
from circuitome.networks.menagerie import menagerie
from circuitome.networks.scenes import CLASSES, IGNORED, Scenes, draw_scenes
from circuitome.networks.shapes import SHAPES, SILHOUETTES
from circuitome.networks.textures import TEXTURES
from circuitome.networks.train import TEST_SEED, Recipe, accuracies, main, normalise, train

NAMES = tuple(BUNDLED)
FRESH_SEED = 123_456
TINY = Recipe(images=64, presentations=96, batch=32, log_every=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def fresh_scenes() -> Scenes:
    """Scenes that no network was trained or measured on."""
    return draw_scenes(500, seed=FRESH_SEED)


def log_of(name: str) -> dict[str, Any]:
    return json.loads(BUNDLED[name].log.read_text())


# The registry and the files


def test_the_registry_is_read_without_torch() -> None:
    script = "import sys, circuitome.networks as n; assert n.BUNDLED and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_file_is_small_and_fits_the_architecture_exactly(name: str) -> None:
    network = BUNDLED[name]
    assert network.weights.stat().st_size < 1_000_000
    tensors = load_file(network.weights)
    menagerie().load_state_dict(tensors, strict=True)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    kernels = [tensor for tensor in tensors.values() if tensor.ndim > 1]
    assert {tensor.dtype for tensor in kernels} == {torch.float16}


@pytest.mark.parametrize("name", NAMES)
def test_registry_and_log_agree(name: str) -> None:
    network, log = BUNDLED[name], log_of(name)
    assert (log["name"], log["input_size"]) == (name, list(network.input_size))
    assert (log["mean"], log["std"]) == (list(network.mean), list(network.std))
    assert log["classes"] == {question: list(answers) for question, answers in CLASSES.items()}
    assert log["recipe"]["presentations"] == log["log"][-1]["seen"]
    assert log["test_seed"] == TEST_SEED
    assert log["seed"] not in (FRESH_SEED, TEST_SEED)


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_network_is_in_eval_mode_in_float32_with_shape_first(name: str) -> None:
    net = load(name)
    outputs = net(torch.zeros(2, *BUNDLED[name].input_size))
    assert not any(module.training for module in net.modules())
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert {question: output.shape[1] for question, output in outputs.items()} == {
        question: len(answers) for question, answers in CLASSES.items()
    }
    assert next(iter(outputs)) == "shape"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(CircuitomeError, match=r"'menagerie_s99'.*menagerie_s0"):
        load("menagerie_s99")


def test_the_network_exports_to_a_plain_graph() -> None:
    net = menagerie().eval()
    x = torch.rand(1, 3, 65, 65, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(net, (x,))
    calls = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert len([call for call in calls if "conv2d" in call or "linear" in call]) == 2
    torch.testing.assert_close(exported.module()(x)["shape"], net(x)["shape"])


# What they learned


@pytest.mark.parametrize("name", NAMES)
def test_accuracies_on_fresh_scenes_agree_with_the_log(name: str) -> None:
    """Within four standard errors of the difference, seven questions a network; and far above
    guessing.
    """
    scenes, log = fresh_scenes(), log_of(name)
    measured = accuracies(load(name), scenes)
    for question, labels in scenes.labels.items():
        logged = log["test_accuracy"][question]
        here = int((labels != IGNORED).sum())
        there = log["test_images"] * here / len(labels)
        error = np.sqrt(logged * (1 - logged) * (1 / here + 1 / there))
        assert abs(measured[question] - logged) <= 4 * error, question
        shares = np.bincount(labels[labels != IGNORED], minlength=len(CLASSES[question])) / here
        guess = float(shares.max())
        assert measured[question] > guess + 4 * np.sqrt(guess * (1 - guess) / here), question


@cache
def gabor_bases(side: int) -> Tensor:
    """Orthonormal bases of a grid of Gabors in both phases, `(gabors, side * side, 2)`."""
    y, x = torch.meshgrid(
        *[torch.arange(side, dtype=torch.float64) - (side - 1) / 2] * 2, indexing="ij"
    )
    grids = [
        torch.arange(16) * torch.pi / 16,
        torch.tensor([0.05, 0.09, 0.14, 0.2, 0.28]),
        torch.tensor([1.2, 1.8, 2.6]),
        torch.tensor([-1.5, 0, 1.5]),
        torch.tensor([-1.5, 0, 1.5]),
    ]
    angle, frequency, sigma, cx, cy = torch.cartesian_prod(*grids).double().T[:, :, None, None]
    u, v = x - cx, y - cy
    envelope = torch.exp(-(u**2 + v**2) / 2 / sigma**2)
    phase = 2 * torch.pi * frequency * (angle.cos() * u + angle.sin() * v)
    return torch.linalg.qr(
        torch.stack([envelope * phase.cos(), envelope * phase.sin()], -1).flatten(1, 2)
    ).Q


def gabor_fits(kernels: Tensor) -> np.ndarray:
    """Share of each filter's main colour component that the best Gabor of the grid explains,
    `(n,)`.
    """
    _, _, spatial = torch.linalg.svd(kernels.double().flatten(2), full_matrices=False)
    energies = (
        torch.einsum("gsp,ns->ngp", gabor_bases(kernels.shape[-1]), spatial[:, 0]).square().sum(-1)
    )
    return energies.amax(1).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_first_layer_filters_are_gabors_more_than_permuted_ones(name: str) -> None:
    kernels = load(name).get_parameter("conv1.conv.weight").detach()
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(kernels.flatten(1).shape, generator=generator).argsort(1)
    permuted = kernels.flatten(1).gather(1, order).reshape(kernels.shape)
    assert (
        mannwhitneyu(gabor_fits(kernels), gabor_fits(permuted), alternative="greater").pvalue < 1e-4
    )


def test_the_gabor_measure_knows_a_gabor_from_noise() -> None:
    """A planted grating in a random colour fits nearly perfectly; white noise fits badly."""
    y, x = torch.meshgrid(*[torch.arange(7.0) - 3] * 2, indexing="ij")
    grating = torch.cos(2 * torch.pi * 0.17 * (x + 0.5 * y) + 1) * torch.exp(-(x**2 + y**2) / 9)
    planted = torch.tensor([0.2, -0.5, 0.8])[:, None, None] * grating
    noise = torch.randn(64, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    assert gabor_fits(planted[None])[0] > 0.95
    assert np.median(gabor_fits(noise)) < 0.5


# Training


def test_training_is_deterministic_and_depends_on_the_seed() -> None:
    one, again, other = (train(seed, TINY) for seed in (3, 3, 4))
    assert one[1] == again[1]
    weights = [net.state_dict() for net, _ in (one, again, other)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not torch.equal(weights[0]["conv1.conv.weight"], weights[2]["conv1.conv.weight"])


def test_the_training_command_writes_weights_and_log(tmp_path: Path) -> None:
    main(
        [
            "--seed",
            "7",
            "--out",
            str(tmp_path),
            "--images",
            "64",
            "--presentations",
            "64",
            "--tests",
            "64",
        ]
    )
    net = menagerie()
    net.load_state_dict(load_file(tmp_path / "menagerie_s7.safetensors"))
    log = json.loads((tmp_path / "menagerie_s7.json").read_text())
    assert log["test_accuracy"] == accuracies(net.eval(), draw_scenes(64, seed=TEST_SEED))
    assert log["seed"] == 7
    assert log["torch"] == str(torch.__version__)


def test_accuracy_counts_only_the_scenes_that_answer() -> None:
    class Constant(nn.Module):
        """Always the first answer."""

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {
                name: torch.eye(len(answers))[:1].expand(len(x), -1)
                for name, answers in CLASSES.items()
            }

    scenes = fresh_scenes()
    facing = scenes.labels["facing"]
    assert accuracies(Constant(), scenes)["facing"] == pytest.approx(
        (facing == 0).sum() / (facing >= 0).sum()
    )


# Scenes


def test_scenes_repeat_with_the_seed_and_differ_without_it() -> None:
    one, again, other = (draw_scenes(40, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.images, again.images)
    assert np.array_equal(one.masks, again.masks)
    assert all(np.array_equal(one.labels[name], again.labels[name]) for name in CLASSES)
    assert not np.array_equal(one.images, other.images)


def test_labels_are_answers_and_only_animals_face_somewhere() -> None:
    scenes = fresh_scenes()
    for name, labels in scenes.labels.items():
        assert set(labels) - {IGNORED} == set(range(len(CLASSES[name]))), name
    animal = scenes.labels["shape"] >= len(SHAPES)
    assert np.array_equal(scenes.labels["facing"] != IGNORED, animal)


def test_grey_scenes_have_no_colour() -> None:
    scenes = fresh_scenes()
    grey = scenes.labels["figure_hue"] == CLASSES["figure_hue"].index("grey")
    spread = np.ptp(scenes.images.astype(float), axis=1).mean((1, 2))
    assert spread[grey].max() < spread[~grey].min()
    assert np.array_equal(grey, scenes.labels["ground_hue"] == CLASSES["ground_hue"].index("grey"))


def test_the_mask_lies_where_the_picture_differs_from_its_ground() -> None:
    """In scenes without texture the ground's colour holds outside the mask and fails inside."""
    scenes = fresh_scenes()
    labels = scenes.labels
    plain = (
        (labels["figure_texture"] == 0) & (labels["ground_texture"] == 0) & (labels["focus"] == 0)
    )
    cells = scenes.images[plain].astype(float).reshape(-1, 3, 16, 4, 16, 4).mean((3, 5))
    outside, inside = scenes.masks[plain] == 0, scenes.masks[plain] == 1
    ground = np.array(
        [np.median(cell[:, out], axis=1) for cell, out in zip(cells, outside, strict=True)]
    )
    distance = np.abs(cells - ground[:, :, None, None]).max(1)
    inner = [
        np.median(d[i]) > np.median(d[o])
        for d, i, o in zip(distance, inside, outside, strict=True)
        if i.any()
    ]
    assert len(inner) > 10
    assert np.mean(inner) > 0.9


def test_left_and_right_animals_are_mirror_images() -> None:
    y, x = np.mgrid[-1.3:1.3:65j, -1.3:1.3:65j].astype(np.float32)
    for name in set(SILHOUETTES) - set(SHAPES):
        right = SILHOUETTES[name](x, y) < 0
        left = SILHOUETTES[name](-x, y) < 0
        assert np.array_equal(left, right[:, ::-1])
        assert (left != right).mean() > 0.02, name


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_stays_in_range_and_only_solid_is_flat(name: str) -> None:
    field = TEXTURES[name](np.random.default_rng(0), 8, 64)
    assert field.shape == (8, 64, 64)
    assert field.dtype == np.float32
    assert np.abs(field).max() <= 1
    assert (field.std((1, 2)) > 0.1).all() == (name != "solid")


def test_normalising_maps_the_ends_of_the_range() -> None:
    ends = normalise(
        torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 1, 1)
    )
    torch.testing.assert_close(ends[:, 0, 0, 0], torch.tensor([-2.0, 2.0]))
