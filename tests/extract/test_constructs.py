"""Constructs of research code: each becomes neurons and edges as counted by hand, and is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.extract import trace
from tests.support.constructs import (
    PLAIN,
    PLAIN_EDGES,
    SHAPE,
    Run,
    around,
    ops_of,
    proven,
    steps_behind,
)
from tests.support.small_networks import Lambda


def _silent(m: Lambda, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        y = m.mask(x.float())
    with torch.autocast("cuda", enabled=False):
        y = y.double().float().to(x.dtype).to(x.device)
    assert y.shape[1] == 6
    return y.detach().contiguous().clone().type_as(x)


def test_what_changes_no_number_leaves_no_trace(tmp_path, recwarn):
    model = around(_silent, mask=nn.Conv2d(6, 6, 1))
    bundle = proven(model, tmp_path)
    assert ops_of(bundle) == ["input", "conv", "conv", "conv", "linear"]
    assert steps_behind(model) == [[]]
    assert not [warning for warning in recwarn if "autocast" in str(warning.message)]


@dataclass
class Answer:
    """What a network may return."""

    logits: Tensor
    features: Tensor


def test_the_tensors_of_a_dataclass_are_the_outputs(tmp_path):
    def forward(m: Lambda, x: Tensor) -> Any:
        features = m.a(x)
        return Answer(m.b(F.relu(features).mean((2, 3))), features)

    model = Lambda(forward, a=nn.Conv2d(3, 6, 3), b=nn.Linear(6, 4)).eval()
    assert ops_of(proven(model, tmp_path)) == ["input", "conv", "linear"]


def _stacked(m: Lambda, x: Tensor) -> Tensor:
    return torch.stack([x, m.k(x), F.relu(x)], 1).sum(1)


def _spatial(m: Lambda, x: Tensor) -> Tensor:
    seen = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
    return x * torch.sigmoid(m.k(seen))


def _both_attentions(m: Lambda, x: Tensor) -> Tensor:
    by_channel = torch.sigmoid(m.k(x.mean((2, 3), keepdim=True)))
    return x * by_channel + x * torch.sigmoid(m.q(x))


def _selective(m: Lambda, x: Tensor) -> Tensor:
    x = torch.stack([x, m.k(x)], 1)
    share = m.q(F.relu(x.sum(1).mean((2, 3), keepdim=True))).view(-1, 2, 6, 1, 1).softmax(1)
    return (x * share).sum(1)


def _efficient(m: Lambda, x: Tensor) -> Tensor:
    y = m.k(F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2))
    return x * torch.sigmoid(y.transpose(-1, -2).unsqueeze(-1)).expand_as(x)


def _circular(m: Lambda, x: Tensor) -> Tensor:
    y = F.pad(x.mean((2, 3)).view(x.shape[0], 1, -1), (1, 1), mode="circular")
    return x * torch.sigmoid(m.k(y)).view(x.shape[0], -1, 1, 1)


def _coordinates(m: Lambda, x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    rows = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(n, 1, h, w)
    return m.k(torch.cat([x, rows], 1))


def _unshuffled_by_hand(m: Lambda, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return m.k(y.reshape(n, 4 * c, h // 2, w // 2))


def _shuffled_by_hand(m: Lambda, x: Tensor) -> Tensor:
    x = m.k(x)
    n, c, h, w = x.shape
    return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)


def _conv(i: int, o: int, k: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, padding=k // 2)


OPERATIONS: dict[str, tuple[Run, dict[str, Any], int, int]] = {
    # more neurons and edges than without it; a dense 6 to 6 layer has 36 edges
    "the sum of a stack": (_stacked, {"k": _conv(6, 6)}, 6 + 6, 36 + 3 * 6 - 6),
    "its largest": (
        lambda m, x: torch.stack([x, m.k(x)]).max(0).values,
        {"k": _conv(6, 6)},
        6 + 6,
        36 + 2 * 6,
    ),
    "the larger of two": (
        lambda m, x: torch.maximum(x, m.k(x)),
        {"k": _conv(6, 6)},
        6 + 6,
        36 + 2 * 6,
    ),
    "maxout": (
        lambda m, x: m.k(x).view(-1, 6, 3, *x.shape[2:]).amax(2),
        {"k": _conv(6, 18)},
        18 + 6,
        6 * 18 + 18,
    ),
    "split attention's sum": (
        lambda m, x: m.k(x).view(-1, 2, 6, *x.shape[2:]).sum(1),
        {"k": _conv(6, 12)},
        12 + 6,
        6 * 12 + 12,
    ),
    "a mean over channels": (lambda _, x: x + x.mean(1, keepdim=True), {}, 1 + 6, 6 + 12),
    "a mask of one channel": (
        lambda m, x: x * torch.sigmoid(m.k(x)),
        {"k": _conv(6, 1)},
        1 + 6,
        6 + 6,
    ),
    "a map of one channel, added": (lambda m, x: x + m.k(x), {"k": _conv(6, 1)}, 1 + 6, 6 + 12),
    "a copied mask": (
        lambda m, x: x * torch.sigmoid(m.k(x)).repeat(1, 6, 1, 1),
        {"k": _conv(6, 1)},
        1 + 6,
        6 + 6,
    ),
    "spatial attention": (_spatial, {"k": _conv(2, 1, 7)}, 1 + 1 + 1 + 6, 6 + 6 + 2 + 6),
    "channel and spatial attention": (
        _both_attentions,
        {"k": _conv(6, 6), "q": _conv(6, 1)},
        6 + 1 + 6 + 6 + 6,
        36 + 6 + 6 + 6 + 12,
    ),
    "selective kernels": (
        _selective,
        {"k": _conv(6, 6, 3), "q": _conv(6, 12)},
        6 + 6 + 12 + 12 + 12 + 6,
        36 + 12 + 72 + 12 + 12 + 12,
    ),
    "efficient channel attention": (
        _efficient,
        {"k": nn.Conv1d(1, 1, 3, padding=1, bias=False)},
        6 + 6,
        3 * 6 - 2 + 6,
    ),
    "the same in a circle": (_circular, {"k": nn.Conv1d(1, 1, 3)}, 6 + 6, 3 * 6 + 6),
    "a gated linear unit": (
        lambda m, x: F.glu(m.k(x), 1),
        {"k": _conv(6, 12)},
        12 + 6,
        72 + 6,
    ),
    "a quotient of two layers": (
        lambda m, x: m.k(x) / (m.q(x).exp() + 1),
        {"k": _conv(6, 6), "q": _conv(6, 6)},
        18,
        36 + 36 + 6,
    ),
    "coordinates": (_coordinates, {"k": _conv(7, 6)}, 1 + 6, 6 * 7),
    "mirrored maps": (lambda m, x: m.k(x.flip([1, 3])), {"k": _conv(6, 6)}, 6, 36),
    "pixel shuffle": (
        lambda m, x: F.pixel_shuffle(m.k(x), 2),
        {"k": _conv(6, 24)},
        24 + 6,
        6 * 24 + 24,
    ),
    "the same by views": (_shuffled_by_hand, {"k": _conv(6, 24)}, 24 + 6, 6 * 24 + 24),
    "pixel unshuffle": (
        lambda m, x: m.k(F.pixel_unshuffle(x, 2)),
        {"k": _conv(24, 6)},
        6,
        36,
    ),
    "space to depth by views": (_unshuffled_by_hand, {"k": _conv(24, 6)}, 6, 36),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_the_neurons_and_edges_that_one_counts_by_hand(name, tmp_path):
    run, parts, neurons, edges = OPERATIONS[name]
    bundle = proven(around(run, **parts), tmp_path)
    assert bundle.manifest.counts["neurons"] == PLAIN + neurons
    assert bundle.manifest.counts["edges"] == PLAIN_EDGES + edges


def test_one_mask_gates_all_neurons(tmp_path):
    model = around(lambda m, x: x * torch.sigmoid(m.k(x)), k=_conv(6, 1))
    gates = proven(model, tmp_path).table("GATES").to_pylist()
    assert [row["from"] for row in gates] == ["net/k:0"] * 6
    assert [row["to"] for row in gates] == [f"net/mul:{channel}" for channel in range(6)]


def test_the_sum_of_a_stack_is_made_of_add_neurons(tmp_path):
    assert "add" in ops_of(proven(around(_stacked, k=_conv(6, 6)), tmp_path))


def test_a_blur_that_nobody_learned_is_a_step(tmp_path):
    class Blur(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            rows = torch.tensor([1.0, 2.0, 1.0])
            kernel = rows[:, None] * rows / 16
            self.register_buffer("kernel", kernel[None, None].repeat(6, 1, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            return F.conv2d(x, self.get_buffer("kernel"), stride=2, groups=6)

    model = around(lambda m, x: m.blur(F.relu(x)), blur=Blur())
    bundle = proven(model, tmp_path)
    assert bundle.manifest.counts["neurons"] == PLAIN
    assert steps_behind(model) == [["relu", "pad", "filter"]]


POOLS: dict[str, Run] = {
    "sum": lambda _, x: F.relu(x).sum((2, 3)),
    "generalised mean": lambda m, x: x.clamp(min=1e-6).pow(m.p).mean((2, 3)).pow(1.0 / m.p),
    "length": lambda _, x: x.norm(dim=(2, 3)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_over_all_positions_are_steps(name, tmp_path):
    torch.manual_seed(0)

    def forward(m: Lambda, x: Tensor) -> Tensor:
        return m.b(POOLS[name](m, m.a(x)))

    p = nn.Parameter(torch.ones(1) * 3)
    model = Lambda(forward, a=nn.Conv2d(3, 6, 3), b=nn.Linear(6, 4), p=p).eval()
    assert proven(model, tmp_path).manifest.counts["neurons"] == 3 + 6 + 4


def test_the_sum_over_positions_is_the_mean_times_their_number():
    model = Lambda(lambda m, x: m.b(m.a(x).sum((2, 3))), a=_conv(3, 6), b=nn.Linear(6, 4)).eval()
    link = trace(model, SHAPE).wiring.layers[-1].links[0]
    assert [(step.name, step.attrs.get("scale")) for step in link.path] == [
        ("mean", None),
        ("affine", 256.0),
    ]


def test_standardised_weights_are_the_kernels(tmp_path):
    class StandardisedConv(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            rows = self.weight.reshape(1, self.out_channels, -1)
            rows = F.batch_norm(rows, None, None, training=True, eps=1e-6)
            return F.conv2d(input, rows.reshape_as(self.weight), self.bias)

    bundle = proven(around(lambda m, x: m.k(x), k=StandardisedConv(6, 6, 3)), tmp_path)
    kernel = bundle.kernels.arrays()["kernel/k"]
    assert abs(kernel.mean((1, 2, 3))).max() < 1e-6
    assert kernel.std((1, 2, 3)) == pytest.approx(1, abs=1e-3)
