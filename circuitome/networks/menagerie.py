"""Menagerie: a small branched CNN for 64x64 scenes, in the manner of AlexNet's groups and
Inception's blocks.

The first three convolutions run in two separate halves (channels 0-15 and 16-31 of `conv1` meet no
common neuron until block `a`); three inception blocks follow, each with a 1x1, a 3x3, a 5x5 and a
pooling branch; the average over the image is read out linearly, one head a question of
`circuitome.networks.scenes.CLASSES`. Dotted module names are the layer names of the graph:
`conv1.conv`, `a.branch3x3.conv`, `heads.shape`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from circuitome.networks.scenes import CLASSES

__all__ = ["Block", "ConvNorm", "Menagerie", "menagerie"]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, rectifier: `(n, in, h, w)` to `(n, out, h', w')`."""

    slope: float = 0.0
    """Of the rectifier below zero."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)


class Block(nn.Module):
    """Four parallel branches, concatenated in the order 1x1, 3x3, 5x5, pool; height and width are
    kept.

    Args:
        inputs: channels in.
        branch1x1, pool: channels out of these branches.
        branch3x3, branch5x5: channels of the 1x1 reduction, then channels out.
    """

    def __init__(
        self,
        inputs: int,
        *,
        branch1x1: int,
        branch3x3: tuple[int, int],
        branch5x5: tuple[int, int],
        pool: int,
    ) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(inputs, branch1x1, 1)
        self.reduce3x3 = ConvNorm(inputs, branch3x3[0], 1)
        self.branch3x3 = ConvNorm(*branch3x3, 3)
        self.reduce5x5 = ConvNorm(inputs, branch5x5[0], 1)
        self.branch5x5 = ConvNorm(*branch5x5, 5)
        self.branchpool = ConvNorm(inputs, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        branches = (
            self.branch1x1(x),
            self.branch3x3(self.reduce3x3(x)),
            self.branch5x5(self.reduce5x5(x)),
            self.branchpool(pooled),
        )
        return torch.cat(branches, 1)


class Menagerie(nn.Module):
    """The whole network; made by `menagerie`."""

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, 32, 7, stride=2)
        self.reduce2 = ConvNorm(32, 32, 1, groups=2)
        self.conv2 = ConvNorm(32, 64, 3, groups=2)
        self.a = Block(64, branch1x1=24, branch3x3=(32, 40), branch5x5=(12, 16), pool=16)
        self.b = Block(96, branch1x1=32, branch3x3=(48, 56), branch5x5=(16, 24), pool=16)
        self.c = Block(128, branch1x1=64, branch3x3=(64, 108), branch5x5=(28, 40), pool=28)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(240, len(answers)) for name, answers in CLASSES.items()}
        )
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.slope = slope

    def ground(self, x: Tensor) -> Tensor:
        """Everything up to block `b`: `(n, 3, 64, 64)` to `(n, 128, 16, 16)`."""
        x = F.max_pool2d(self.conv1(x), 3, stride=2, padding=1)
        return self.b(self.a(self.conv2(self.reduce2(x))))

    def read(self, b: Tensor) -> dict[str, Tensor]:
        """Block `c` and the heads, from block `b`'s output."""
        c = self.c(F.max_pool2d(b, 3, stride=2, padding=1))
        pooled = c.mean((2, 3))
        return {name: head(pooled) for name, head in self.heads.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits by question, `shape` first: `{"shape": (n, 18), "facing": (n, 2), ...}`."""
        return self.read(self.ground(x))


def menagerie(slope: float = 0.0) -> nn.Module:
    """Build the network with fresh weights (210 thousand parameters) and, with a ``slope``, leaky
    rectifiers.

    It takes normalised RGB, `(n, 3, 64, 64)`, and being convolutional up to an average it takes
    other sizes too: with an odd side such as 65 every stride and pooling grid is symmetric under
    reflection.

    Example:
        >>> menagerie().eval()(torch.zeros(1, 3, 64, 64))["shape"].shape
        torch.Size([1, 18])
    """
    return Menagerie(slope)
