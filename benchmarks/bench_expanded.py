"""Expanded weights over one inception block: one sweep against one backward pass an output channel.

Every kernel by which the 512 outputs of GoogLeNet's inception4a read the 480 outputs of
inception3b, the max pool between them included, with nonlinearities taken for the identity. The
alternative is what captum's optim-wip branch does: a linearised copy of the block (ReLU off, max
pools replaced by average pools) and one ``autograd.grad`` for the centre of each output channel, on
the smallest map whose borders do not matter. The results are compared before the times. Goal: >= 50
x.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from circuitome.extract.expanded import expand
from circuitome.extract.models.resolve import resolve
from circuitome.extract.trace.tracing import trace

BRANCHES = ("branch1.conv", "branch2.1.conv", "branch3.1.conv", "branch4.1.conv")
SOURCES = tuple(f"inception3b.{branch}" for branch in BRANCHES)
SIDE = 17  # pixels: the widest kernel reads 9, twice over for the stride of the pool


class Straight(nn.Module):
    """GoogLeNet's maxpool3 and inception4a with every nonlinearity straightened."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.block: Any = model.get_submodule("inception4a")

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 3, 2, 1)
        b = self.block
        ways = [
            [b.branch1],
            [b.branch2[0], b.branch2[1]],
            [b.branch3[0], b.branch3[1]],
            [lambda y: F.avg_pool2d(y, 3, 1, 1), b.branch4[1]],
        ]
        return torch.cat([self._along(way, x) for way in ways], 1)

    @staticmethod
    def _along(way: list[Any], x: Tensor) -> Tensor:
        for part in way:
            x = part.bn(part.conv(x)) if hasattr(part, "bn") else part(x)
        return x


def loop(block: Straight) -> Tensor:
    """Gradients of the centre of every output channel, ``(512, 480, side, side)``."""
    image = torch.zeros(1, 480, SIDE, SIDE, requires_grad=True)
    out = block(image)
    centre = out.shape[2] // 2
    return torch.stack(
        [
            torch.autograd.grad(out[0, j, centre, centre], image, retain_graph=True)[0][0]
            for j in range(out.shape[1])
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = resolve("googlenet", weights="random").model
    traced, block = trace(model, (3, 224, 224)), Straight(model)

    def sweep() -> list[Tensor]:
        found = []
        for branch in BRANCHES:
            fronts = expand(traced.wiring, traced.kernels, SOURCES, f"inception4a.{branch}")
            found.append(torch.cat([fronts[source].kernel for source in SOURCES], 1))
        return found

    start = time.perf_counter()
    truth = loop(block)
    slow = time.perf_counter() - start
    fast, mine = [], sweep()
    for _ in range(options.repeats):
        start = time.perf_counter()
        mine = sweep()
        fast.append(time.perf_counter() - start)
    difference = max(
        float(
            (kernel.sum((2, 3)) - gradient.sum((2, 3))).abs().max()
            / gradient.abs().sum((2, 3)).max()
        )
        for kernel, gradient in zip(
            mine, truth.split([len(kernel) for kernel in mine]), strict=True
        )
    )
    print(
        f"inception3b -> inception4a of GoogLeNet, {torch.get_num_threads()} threads, largest "
        f"difference {difference:.1e}"
    )
    print(f"one autograd.grad a channel  {slow:8.3f} s")
    print(f"one sweep a layer            {min(fast):8.3f} s   {slow / min(fast):6.1f} x faster")


if __name__ == "__main__":
    main()
