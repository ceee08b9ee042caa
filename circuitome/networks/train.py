"""Train a bundled network: `python -m circuitome.networks.train --seed 0 --out DIR`, about seven
minutes on an idle core.

Supervised, on scenes drawn for the purpose: a weighted sum of cross-entropies over the questions
and, from a 1x1 convolution on block `b` that is thrown away afterwards, of the figure's 16x16 mask.
AdamW, one-cycle rate, bfloat16 autocast. The seed decides the scenes, the fresh weights and the
order; on one machine and one thread it decides every bit. Weights are stored in float16 (batch norm
and biases in float32), and the accuracies in the log are measured with the stored weights.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from circuitome.networks import MEAN, STD
from circuitome.networks.menagerie import Menagerie, menagerie
from circuitome.networks.scenes import CLASSES, IGNORED, SIZE, Scenes, draw_scenes

__all__ = ["Recipe", "accuracies", "main", "normalise", "train"]

LOSS_WEIGHTS = {
    "shape": 1.0,
    "facing": 0.3,
    "figure_texture": 0.3,
    "ground_texture": 0.3,
    "figure_hue": 0.2,
    "ground_hue": 0.1,
    "focus": 0.3,
}
MASK_WEIGHT = 1.5

TEST_SEED = 900_000
"""Scenes for the accuracies in the log; the training scenes of seed s are drawn with seed s."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to train."""

    images: int = 42_000
    """Different training scenes."""
    presentations: int = 144_000
    """Scenes shown in all, every one several times."""
    batch: int = 32
    rate: float = 2e-3
    """Peak learning rate of AdamW."""
    decay: float = 0.05
    """Weight decay; `first_decay` for `conv1`, which keeps its filters smooth."""
    first_decay: float = 0.5
    first_scale: float = 0.4
    """`conv1` starts this many times smaller than PyTorch would have it."""
    slope: float = 0.0
    """Of the rectifiers below zero."""
    log_every: int = 250
    """Steps between two entries of the loss log."""


class _Trainee(nn.Module):
    """The network with the mask head that only training uses."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.net = cast(Menagerie, menagerie(recipe.slope))
        self.mask = nn.Conv2d(128, 1, 1)
        with torch.no_grad():
            self.net.conv1.conv.weight.mul_(recipe.first_scale)

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        b = self.net.ground(x)
        return self.net.read(b), self.mask(b)[:, 0]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Normalised images `(n, 3, 64, 64)`, labels `(n,)` by question, masks `(n, 16, 16)`."""

    images: Tensor
    labels: dict[str, Tensor]
    masks: Tensor


def normalise(images: Tensor) -> Tensor:
    """RGB bytes `(n, 3, h, w)` as the network's float32 input."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def train(seed: int, recipe: Recipe) -> tuple[Menagerie, list[dict[str, float]]]:
    """Train one network; gives it in eval mode with the log, entries `{"step", "seen", "loss",
    <question>...}`.

    Deterministic for one seed, machine and number of threads.
    """
    torch.manual_seed(seed)
    trainee = _Trainee(recipe)
    trainee.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    steps = recipe.presentations // recipe.batch
    optimiser = torch.optim.AdamW(_parameter_groups(trainee, recipe))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=steps + 1, pct_start=0.1
    )
    log: list[dict[str, float]] = []
    recent: list[dict[str, float]] = []
    for step, batch in enumerate(
        _batches(draw_scenes(recipe.images, seed=seed), steps, recipe.batch, seed), 1
    ):
        losses = _losses(trainee, batch)
        optimiser.zero_grad()
        losses["loss"].backward()
        optimiser.step()
        schedule.step()
        recent.append({name: loss.item() for name, loss in losses.items()})
        if step % recipe.log_every == 0 or step == steps:
            log.append({"step": step, "seen": step * recipe.batch, **_means(recent)})
            recent.clear()
            print(json.dumps(log[-1]), flush=True)
    return trainee.net.eval(), log


def accuracies(net: nn.Module, scenes: Scenes, *, batch: int = 250) -> dict[str, float]:
    """Share of right answers by question, over the scenes that answer it."""
    with torch.no_grad():
        outputs = [net(normalise(part)) for part in torch.from_numpy(scenes.images).split(batch)]
    right = {}
    for name, labels in scenes.labels.items():
        answers = torch.cat([output[name].argmax(1) for output in outputs]).numpy()
        right[name] = float((answers == labels)[labels != IGNORED].mean())
    return right


def _parameter_groups(trainee: _Trainee, recipe: Recipe) -> list[dict[str, object]]:
    """Strong decay for `conv1`, ordinary for other kernels, none for biases and batch norm."""
    first = trainee.net.conv1.conv.weight
    kernels = [p for p in trainee.parameters() if p.ndim > 1 and p is not first]
    vectors = [p for p in trainee.parameters() if p.ndim == 1]
    decays = ((recipe.first_decay, [first]), (recipe.decay, kernels), (0.0, vectors))
    return [
        {"params": params, "weight_decay": decay, "lr": recipe.rate} for decay, params in decays
    ]


def _batches(scenes: Scenes, steps: int, size: int, seed: int) -> Iterator[_Batch]:
    """Random batches, half of the scenes mirrored, contrast varied."""
    rng, count = np.random.default_rng([seed, 1]), len(scenes.images)
    order = np.concatenate([rng.permutation(count) for _ in range(-(-steps * size // count))])
    for chosen in order[: steps * size].reshape(steps, size):
        mirrored = torch.from_numpy(rng.random(size) < 0.5)
        contrast = torch.from_numpy(rng.uniform(0.6, 1.2, (size, 1, 1, 1)).astype(np.float32))
        labels = {name: torch.from_numpy(values[chosen]) for name, values in scenes.labels.items()}
        facing = labels["facing"]
        labels["facing"] = torch.where(mirrored & (facing != IGNORED), 1 - facing, facing)
        images = _mirror(torch.from_numpy(scenes.images[chosen]), mirrored)
        images = (normalise(images) * contrast).contiguous(memory_format=torch.channels_last)
        yield _Batch(images, labels, _mirror(torch.from_numpy(scenes.masks[chosen]), mirrored))


def _mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored.reshape(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


def _losses(trainee: _Trainee, batch: _Batch) -> dict[str, Tensor]:
    """Every question's loss, the mask's, and their weighted sum under `loss`."""
    with torch.autocast("cpu", torch.bfloat16):
        outputs, mask = trainee(batch.images)
    losses = {name: _cross_entropy(outputs[name].float(), batch.labels[name]) for name in CLASSES}
    total = sum((LOSS_WEIGHTS[name] * loss for name, loss in losses.items()), torch.zeros(()))
    losses["mask"] = F.binary_cross_entropy_with_logits(mask.float(), batch.masks)
    return losses | {"loss": total + MASK_WEIGHT * losses["mask"]}


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the scenes that are asked; zero, not a nan, where none is."""
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / max(
        1, int((labels >= 0).sum())
    )


def _means(entries: list[dict[str, float]]) -> dict[str, float]:
    columns = zip(entries[0], zip(*map(dict.values, entries), strict=True), strict=True)
    return {name: round(float(np.mean(values)), 4) for name, values in columns}


def _stored(net: nn.Module) -> dict[str, Tensor]:
    """Kernels in float16; what has one axis (batch norm, biases) in float32; counters are left
    as they are.
    """
    return {name: _narrowed(value).contiguous() for name, value in net.state_dict().items()}


def _narrowed(value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    return value.to(torch.float16 if value.ndim > 1 else torch.float32)


def _reloaded(path: Path, recipe: Recipe) -> nn.Module:
    net = menagerie(recipe.slope)
    net.load_state_dict(load_file(path))
    return net.eval()


def main(argv: list[str] | None = None) -> None:
    """Train, store and measure one network: `menagerie_s<seed>.safetensors` and `.json` in
    `--out`.
    """
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    recipe = Recipe(args.images, args.presentations, slope=args.slope)
    start = time.perf_counter()
    net, log = train(args.seed, recipe)
    seconds = round(time.perf_counter() - start)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"menagerie_s{args.seed}.safetensors"
    save_file(_stored(net), path)
    test_accuracy = accuracies(_reloaded(path, recipe), draw_scenes(args.tests, seed=TEST_SEED))
    record = {
        "name": path.stem,
        "seed": args.seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "input_size": (3, SIZE, SIZE),
        "mean": MEAN,
        "std": STD,
        "classes": CLASSES,
        "test_accuracy": test_accuracy,
        "test_images": args.tests,
        "test_seed": TEST_SEED,
        "recipe": asdict(recipe),
        "loss_weights": LOSS_WEIGHTS | {"mask": MASK_WEIGHT},
        "seconds": seconds,
        "threads": args.threads,
        "torch": str(torch.__version__),
        "log": log,
    }
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(test_accuracy), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m circuitome.networks.train", description=__doc__
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the weights and the log"
    )
    parser.add_argument("--images", type=int, default=Recipe().images, help="training scenes")
    parser.add_argument(
        "--presentations", type=int, default=Recipe().presentations, help="scenes shown in all"
    )
    parser.add_argument(
        "--tests", type=int, default=4_000, help="scenes to measure the accuracies on"
    )
    parser.add_argument(
        "--slope", type=float, default=Recipe().slope, help="of leaky rectifiers below zero"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
