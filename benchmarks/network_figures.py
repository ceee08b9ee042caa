"""Figures and pictures of the bundled networks against their twins: `python
benchmarks/network_figures.py`.

Writes `docs/pictures/networks_*.png` and the tables between the `network-figures` markers of
`docs/networks.md`. About five minutes on one core. A *twin* has the entries of every filter
permuted (so weight distribution, fan-in and signs are kept) and its batch-norm statistics estimated
anew on scenes. What is counted, and how, stands in `docs/networks.md`; the thresholds are written
once, below.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import cast

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import permutation_test
from torch import Tensor, nn

from circuitome.networks import BUNDLED, load
from circuitome.networks.menagerie import Menagerie
from circuitome.networks.scenes import CLASSES, IGNORED, draw_scenes
from circuitome.networks.train import normalise

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- network-figures: begin -->", "<!-- network-figures: end -->"

ORIENTED_R2, ORIENTED_SELECTIVITY = 0.6, 0.3
"""A filter is oriented if a Gabor explains this share of it and it prefers one orientation of
gratings this much.
"""
CURVE_PEAK, CURVE_SELECTIVITY, CURVE_OVER_LINE = 0.3, 0.4, 1.2
PARTNER_SCORE, PARTNER_MARGIN = 0.5, 0.2
"""Partners: least score, and least lead over both baselines."""
SIDE = 65
"""Odd, so that every stride and pooling grid is symmetric."""
SCENES_SEED = 800_000

Array = NDArray[np.float64]


# Twins


def make_twin(net: Menagerie, images: Tensor, *, seed: int) -> Menagerie:
    """A copy with every filter's entries permuted and batch-norm statistics from `images` `(n,
    3, h, w)`.
    """
    twin = Menagerie()
    twin.load_state_dict(net.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in twin.modules():
            if isinstance(module, nn.Conv2d):
                flat = module.weight.flatten(1)
                order = torch.rand(flat.shape, generator=generator).argsort(1)
                module.weight.copy_(flat.gather(1, order).reshape(module.weight.shape))
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        twin.train()
        for part in images.split(128):
            twin(part)
    return twin.eval()


# First layer: Gabor fits and colour


def main_components(kernels: Tensor) -> Array:
    """Each filter's strongest spatial component over colour, `(n, 3, 7, 7)` to `(n, 7, 7)`."""
    flat = kernels.double().flatten(2)
    _, strength, spatial = torch.linalg.svd(flat, full_matrices=False)
    return (strength[:, :1] * spatial[:, 0]).reshape(len(kernels), *kernels.shape[2:]).numpy()


def _gabor(shape: Array, side: int) -> Array:
    """Cosine and sine Gabor `(2, side * side)`; `shape`: x, y, log length, log width, angle,
    frequency.
    """
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    c, s = np.cos(shape[4]), np.sin(shape[4])
    u, v = c * (x - shape[0]) + s * (y - shape[1]), c * (y - shape[1]) - s * (x - shape[0])
    envelope = np.exp(-((u / np.exp(shape[3])) ** 2 + (v / np.exp(shape[2])) ** 2) / 2)
    phase = 2 * np.pi * shape[5] * u
    return np.stack([envelope * np.cos(phase), envelope * np.sin(phase)]).reshape(2, -1)


def _residual(shape: Array, target: Array, side: int) -> Array:
    """What is left of a unit-norm `target` after the best amplitudes of both phases."""
    atoms = _gabor(shape, side)
    amplitudes, *_ = np.linalg.lstsq(atoms.T, target, rcond=1e-6)
    return target - amplitudes @ atoms


def gabor_r2(component: Array) -> float:
    """Share of a filter's energy that the best Gabor explains (shape free, both phases free, no
    offset).
    """
    side = component.shape[-1]
    target = component.ravel() / (np.linalg.norm(component) + 1e-12)
    starts = [
        np.array([x, y, np.log(1.8), np.log(1.5), angle, frequency])
        for x in (-1, 1)
        for y in (-1, 1)
        for angle in np.arange(8) * np.pi / 8
        for frequency in (0.08, 0.15, 0.25)
    ]
    starts.sort(key=lambda start: float(np.sum(_residual(start, target, side) ** 2)))
    low = [-3, -3, np.log(0.8), np.log(0.8), -np.pi, 0.03]
    high = [3, 3, np.log(4), np.log(4), 2 * np.pi, 0.4]
    fits = [
        least_squares(_residual, s, bounds=(low, high), args=(target, side), max_nfev=60)
        for s in starts[:4]
    ]
    return 1 - min(2 * float(fit.cost) for fit in fits)


def orientation_selectivity(component: Array) -> float:
    """One minus the circular variance of a filter's responses to gratings, at the frequency it
    likes best; 0 to 1.
    """
    side = component.shape[-1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angles = np.arange(24) * np.pi / 24
    along = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    waves = np.exp(
        2j * np.pi * np.array([0.05, 0.08, 0.12, 0.17, 0.24, 0.32])[:, None, None, None] * along
    )
    responses = np.abs((waves * component).sum((2, 3)))
    best = responses[responses.max(1).argmax()]
    return float(np.abs((best * np.exp(2j * angles)).sum()) / best.sum())


def luminance_share(kernels: Tensor) -> Array:
    """Share of each filter's energy on the black-and-white axis, `(n, 3, kh, kw)` to `(n,)`;
    chance is 1/3.
    """
    flat = kernels.double().flatten(2)
    return ((flat.sum(1) ** 2 / 3).sum(1) / (flat**2).sum((1, 2))).numpy()


# Responses


def features(net: Menagerie, images: Tensor) -> dict[str, Tensor]:
    """Rectified responses of the three blocks, each `(n, channels, h, w)`."""
    kept: dict[str, list[Tensor]] = {"a": [], "b": [], "c": []}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: kept[name].append(output)

    hooks = [getattr(net, name).register_forward_hook(keep(name)) for name in kept]
    with torch.no_grad():
        for part in images.split(128):
            net(part)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in kept.items()}


def widened(images: Tensor) -> Tensor:
    """Scenes with their last row and column doubled: `SIDE` pixels."""
    return nn.functional.pad(images, (0, 1, 0, 1), mode="replicate")


def partner_count(base: Tensor, turned: Tensor) -> int:
    """Number of units that have a partner under a transform.

    Args:
        base: responses to scenes, `(n, channels, h, w)`.
        turned: responses to the transformed scenes, turned back.
    """

    def standard(responses: Tensor) -> Tensor:
        flat = responses.transpose(0, 1).flatten(1).double()
        flat = flat - flat.mean(1, keepdim=True)
        return flat / (flat.norm(dim=1, keepdim=True) + 1e-9)

    one, other = standard(base), standard(turned)
    score, plain = one @ other.T, one @ one.T
    own = score.diagonal()
    index = torch.arange(len(score))
    best = score.argmax(1)
    mutual = (score.argmax(0)[best] == index) & (best != index)
    value = score[index, best]
    margin = value - torch.maximum(torch.maximum(plain[index, best], own), own[best])
    return int((mutual & (value >= PARTNER_SCORE) & (margin >= PARTNER_MARGIN)).sum())


# Curves


def draw_strokes(radii: tuple[float, ...], angles: int) -> Tensor:
    """Curves through the middle, `(kinds, angles, 3, SIDE, SIDE)` normalised.

    A kind is a radius (pixels; infinite is a line), a stroke or a filled edge, and a polarity.
    """
    y, x = torch.meshgrid(*[torch.arange(SIDE) - (SIDE - 1) / 2] * 2, indexing="ij")
    window = torch.exp(-(((x**2 + y**2) / 14**2) ** 2))
    pictures = []
    for radius, edge, polarity in product(radii, (False, True), (-1, 1)):
        turned = [_stroke(x, y, 2 * np.pi * k / angles, radius, edge=edge) for k in range(angles)]
        pictures.append(torch.stack(turned) * window * polarity)
    return 1.6 * torch.stack(pictures)[:, :, None].expand(-1, -1, 3, -1, -1)


def _stroke(x: Tensor, y: Tensor, angle: float, radius: float, *, edge: bool) -> Tensor:
    """One arc that bulges towards `angle`, `(SIDE, SIDE)` in [-1, 1]: a stroke 2.5 pixels wide,
    or a filled edge.
    """
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    distance = u if np.isinf(radius) else torch.hypot(u + radius, v) - radius
    if edge:
        return -torch.tanh(distance)
    ink = (1.75 - distance.abs()).clip(0, 1)
    if not np.isinf(radius):
        ink = ink * (torch.atan2(v, u + radius).abs() < np.pi / 3)
    return ink


def curve_units(net: Menagerie, strongest: dict[str, Tensor]) -> dict[str, int]:
    """Curve units a block, by peak, selectivity and lead over lines (see docs/networks.md)."""
    curves = draw_strokes((6.0, 9.0, 14.0, 20.0), 24)
    lines = draw_strokes((float("inf"),), 24)
    responses = [_stroke_responses(net, strokes) for strokes in (curves, lines)]
    counts = {}
    for name in ("a", "b"):
        tuning, line = (response[name] / strongest[name] for response in responses)
        peak, kind = tuning.amax(1).max(0)
        tuned = tuning[kind, :, torch.arange(len(kind))]
        angles = torch.arange(tuned.shape[1]) * 2 * np.pi / tuned.shape[1]
        selectivity = torch.hypot(tuned @ angles.cos(), tuned @ angles.sin()) / (
            tuned.sum(1) + 1e-9
        )
        over = peak >= CURVE_OVER_LINE * line.amax((0, 1))
        counts[name] = int(((peak > CURVE_PEAK) & (selectivity > CURVE_SELECTIVITY) & over).sum())
    return counts


def _stroke_responses(net: Menagerie, strokes: Tensor) -> dict[str, Tensor]:
    """Strongest response within 4 pixels of the middle, `(kinds, angles, channels)`."""
    kinds, angles = strokes.shape[:2]
    found = {}
    for name, response in features(net, strokes.flatten(0, 1)).items():
        middle = response.shape[-1] // 2
        near = response[:, :, middle - 1 : middle + 2, middle - 1 : middle + 2].amax((2, 3))
        found[name] = near.unflatten(0, (kinds, angles))
    return found


# The figures of one network


def figures(net: Menagerie, images: Tensor) -> dict[str, float]:
    """Everything the table holds, for a network or a twin; `images` are widened scenes."""
    base = features(net, images)
    return first_layer_figures(net) | curve_figures(net, base) | partner_figures(net, images, base)


def first_layer_figures(net: Menagerie) -> dict[str, float]:
    """Gabor fits, and how the two groups of `conv1` share black-and-white and colour."""
    kernels = net.conv1.conv.weight.detach()
    components = main_components(kernels)
    gabors = np.array([gabor_r2(component) for component in components])
    selective = (
        np.array([orientation_selectivity(component) for component in components])
        >= ORIENTED_SELECTIVITY
    )
    groups = tuple(np.split(luminance_share(kernels), 2))
    p = permutation_test(
        groups, _mean_difference, n_resamples=9_999, rng=np.random.default_rng(0)
    ).pvalue
    return {
        "conv1: median R2 of a Gabor fit": float(np.median(gabors)),
        "conv1: oriented filters of 32": int(((gabors >= ORIENTED_R2) & selective).sum()),
        "conv1: black-and-white share, first group": float(groups[0].mean()),
        "conv1: black-and-white share, second group": float(groups[1].mean()),
        "conv1: p of the groups' difference": float(p),
    }


def _mean_difference(one: Array, other: Array) -> float:
    return float(np.mean(one) - np.mean(other))


def curve_figures(net: Menagerie, base: dict[str, Tensor]) -> dict[str, float]:
    """Curve units a block."""
    counts = curve_units(net, {name: _strongest(response) for name, response in base.items()})
    return {
        f"curve units, block {name} of {base[name].shape[1]}": count
        for name, count in counts.items()
    }


def partner_figures(net: Menagerie, images: Tensor, base: dict[str, Tensor]) -> dict[str, float]:
    """Units with a partner under reflection and under a quarter turn, a block."""
    row: dict[str, float] = {}
    for title, there, back in TRANSFORMS:
        turned = features(net, there(images))
        for name, response in base.items():
            key = f"{title} partners, block {name} of {response.shape[1]}"
            row[key] = partner_count(response, back(turned[name]))
    return row


TRANSFORMS: tuple[tuple[str, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]], ...] = (
    ("mirror", lambda x: x.flip(-1), lambda x: x.flip(-1)),
    ("90 degree", lambda x: x.rot90(1, (2, 3)), lambda x: x.rot90(-1, (2, 3))),
)
"""Title, transform of the pictures, and its inverse for the response maps."""


def _strongest(response: Tensor) -> Tensor:
    """What counts as a full response: the 99.9th percentile over scenes and places,
    `(channels,)`.
    """
    flat = response.transpose(0, 1).flatten(1)
    return flat.kthvalue(int(0.999 * flat.shape[1]), dim=1).values + 1e-6


# Tables


def accuracy_table() -> str:
    """Test accuracies from the training logs, a column a network, beside the share of the
    commonest answer.
    """
    logs = [json.loads(network.log.read_text()) for network in BUNDLED.values()]
    labels = draw_scenes(logs[0]["test_images"], seed=logs[0]["test_seed"]).labels
    rows = []
    for name in CLASSES:
        counts = np.bincount(labels[name][labels[name] != IGNORED])
        right = [f"{log['test_accuracy'][name]:.3f}" for log in logs]
        rows.append([name, str(len(counts)), *right, f"{counts.max() / counts.sum():.3f}"])
    return _markdown(["question", "answers", *BUNDLED, "always the commonest answer"], rows)


def twin_table(trained: list[dict[str, float]], twins: list[dict[str, float]]) -> str:
    """The trained networks' figures, a column each, beside the twins' range."""
    rows = []
    for key in trained[0]:
        low, high = (pick(twin[key] for twin in twins) for pick in (min, max))
        rows.append(
            [key, *(_number(row[key]) for row in trained), f"{_number(low)} to {_number(high)}"]
        )
    return _markdown(["figure", *BUNDLED, f"{len(twins)} twins"], rows)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_tables(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


# Pictures


def draw_filters(net: Menagerie, title: str, path: Path) -> None:
    """The 32 first-layer filters, each on its own scale around grey, the two groups side by
    side.
    """
    kernels = net.conv1.conv.weight.detach()
    pictures = (
        (0.5 + 0.5 * kernels / kernels.abs().amax((1, 2, 3), keepdim=True))
        .permute(0, 2, 3, 1)
        .numpy()
    )
    figure = plt.figure(figsize=(9, 4.9), layout="constrained")
    for group, panel in enumerate(np.ravel(np.asarray(figure.subfigures(1, 2), dtype=object))):
        panel.suptitle(f"{title}, {('first', 'second')[group]} group", fontsize=10)
        for cell, axis in enumerate(panel.subplots(4, 4).flat):
            channel = 16 * group + cell
            axis.imshow(pictures[channel], interpolation="nearest")
            axis.set_title(str(channel), fontsize=7, pad=2)
            axis.axis("off")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_examples(path: Path, *, rows: int = 4, columns: int = 12) -> None:
    """A sheet of scenes."""
    images = draw_scenes(rows * columns, seed=SCENES_SEED + 1).images
    sheet = (
        images.reshape(rows, columns, 3, 64, 64)
        .transpose(0, 3, 1, 4, 2)
        .reshape(rows * 64, columns * 64, 3)
    )
    plt.imsave(path, sheet)


def _scenes(count: int, seed: int) -> Tensor:
    return normalise(torch.from_numpy(draw_scenes(count, seed=seed).images))


def _networks() -> Iterator[tuple[str, Menagerie]]:
    return ((name, cast(Menagerie, load(name))) for name in BUNDLED)


def main() -> None:
    """Measure everything, then write the pictures and the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=256, help="scenes to compare responses on")
    parser.add_argument("--twins", type=int, default=3, help="twins a network")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = widened(_scenes(args.scenes, SCENES_SEED))
    calibration = _scenes(1024, SCENES_SEED + 2)
    trained, twins = [], []
    (DOCS / "pictures").mkdir(parents=True, exist_ok=True)
    draw_examples(DOCS / "pictures" / "networks_scenes.png")
    for name, net in _networks():
        draw_filters(net, name, DOCS / "pictures" / f"networks_conv1_{name}.png")
        trained.append(figures(net, images))
        twins += [
            figures(make_twin(net, calibration, seed=seed), images) for seed in range(args.twins)
        ]
        print(name, json.dumps(trained[-1]), flush=True)
    write_tables(DOCS / "networks.md", accuracy_table() + "\n\n" + twin_table(trained, twins))


if __name__ == "__main__":
    main()
