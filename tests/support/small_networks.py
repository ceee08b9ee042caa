"""Small networks of every kind of wiring, with batch norm, affines and scales away from their
defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["NETWORKS", "REFUSED", "build"]


class Lambda(nn.Module):
    """Submodules and a function of the input."""

    def __init__(
        self, run: Callable[..., Tensor | tuple[Tensor, ...]], **parts: nn.Module | nn.Parameter
    ) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.run(self, x)


def _conv(i: int, o: int, k: int = 3, **options: int | str) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, **({"padding": k // 2} | options))  # type: ignore[arg-type]


def _gated() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = F.silu(m.bn(m.a(x)))
        gate = torch.sigmoid(m.up(F.relu(m.down(x.mean((2, 3), keepdim=True)))))
        return m.out(gate * x)

    return Lambda(
        run,
        a=_conv(3, 8),
        bn=nn.BatchNorm2d(8),
        down=_conv(8, 4, 1),
        up=_conv(4, 8, 1),
        out=_conv(8, 5),
    )


def _copied_gate() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = m.a(x)
        gate = torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1).flatten(1))))).view(
            x.shape[0], -1, 1, 1
        )
        return m.out(F.relu(x * gate.expand_as(x)))

    return Lambda(run, a=_conv(3, 8), down=nn.Linear(8, 4), up=nn.Linear(4, 8), out=_conv(8, 5))


def _dense() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = m.a(x)
        y = torch.cat([x, m.b(F.relu(m.n1(x)))], 1)
        return m.c(F.relu(m.n2(torch.cat([y, x], 1))))

    return Lambda(
        run,
        a=_conv(3, 4),
        b=_conv(4, 6),
        n1=nn.BatchNorm2d(4),
        n2=nn.BatchNorm2d(14),
        c=_conv(14, 5),
    )


def _option_a() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = F.relu(m.a(x))
        return m.c(F.relu(m.n(m.b(x)) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))))

    return Lambda(run, a=_conv(3, 4), b=_conv(4, 8, stride=2), n=nn.BatchNorm2d(8), c=_conv(8, 3))


def _shuffle() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        left, right = m.a(x).chunk(2, 1)
        y = torch.cat([left, F.relu(m.b(right))], 1)
        n, c, h, w = y.shape
        return m.c(y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))

    return Lambda(run, a=_conv(3, 8), b=_conv(4, 4, groups=4), c=_conv(8, 5, groups=1))


def _convnext() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        x = m.stem(x)
        y = m.norm(m.depthwise(x).permute(0, 2, 3, 1))
        y = m.narrow(F.gelu(m.widen(y))).permute(0, 3, 1, 2)
        return m.head((x + m.scale * y).mean((-2, -1)))

    parts = {"stem": _conv(3, 6), "depthwise": _conv(6, 6, groups=6), "norm": nn.LayerNorm(6)}
    parts |= {"widen": nn.Linear(6, 12), "narrow": nn.Linear(12, 6), "head": nn.Linear(6, 4)}
    return Lambda(run, **parts, scale=nn.Parameter(torch.full((6, 1, 1), 1e-3)))


def _flattened() -> nn.Module:
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        _conv(3, 4),
        nn.PReLU(4),
        pool,
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 7),
        nn.PReLU(),
        nn.Linear(7, 3),
    )


def _permuted() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.relu(m.a(x)).permute(0, 3, 2, 1).contiguous()
        y = m.b(y.view(y.shape[0], -1))
        return torch.softmax(m.c(y), dim=1), m.d(y)

    return Lambda(
        run,
        a=_conv(3, 4, stride=2),
        b=nn.Linear(4 * 8 * 8, 6),
        c=nn.Linear(6, 2),
        d=nn.Linear(6, 4),
    )


def _u_net() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        a = F.relu(m.a(x))
        b = F.relu(m.b(F.max_pool2d(a, 2)))
        up = m.up(b)
        near = F.interpolate(b, scale_factor=2, mode="nearest")
        return m.c(torch.cat([a, up, near], 1))

    up = nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1, groups=2)
    return Lambda(run, a=_conv(3, 4), b=_conv(4, 6), up=up, c=_conv(18, 5))


def _shared() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        return m.a(F.relu(m.a(F.avg_pool2d(x, 2))))

    return Lambda(run, a=_conv(3, 3, dilation=2, padding=2))


def _functional() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        weight = m.w / m.w.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        x = F.conv2d(x, weight, m.b, padding="same")
        return 1.5 * F.leaky_relu(x, 0.2, inplace=True) - 0.25 * F.hardswish(x)

    return Lambda(run, w=nn.Parameter(torch.randn(4, 3, 4, 5)), b=nn.Parameter(torch.randn(4)))


def _matrices() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = F.relu(m.a(x)).mean((2, 3)) @ m.w
        return torch.addmm(m.b, F.relu(y), m.v, beta=0.5, alpha=2.0)

    parts = {
        name: nn.Parameter(torch.randn(*shape))
        for name, shape in (("w", (4, 5)), ("v", (5, 3)), ("b", (3,)))
    }
    return Lambda(run, a=_conv(3, 4), **parts)


def _in_place() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = m.a(x)
        F.relu_(y)
        return m.b(y)

    return Lambda(run, a=_conv(3, 4), b=_conv(4, 2))


def _twice() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = F.relu(m.a(x))
        return m.b(torch.cat([y, y[:, 1:3], y], 1)) + m.c(y + y)

    return Lambda(run, a=_conv(3, 4), b=_conv(10, 5), c=_conv(4, 5, 1))


def _norms() -> nn.Module:
    return nn.Sequential(
        _conv(3, 8),
        nn.GroupNorm(2, 8),
        nn.ReLU6(),
        _conv(8, 6),
        nn.InstanceNorm2d(6, affine=True),
        _conv(6, 4),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "gated": _gated,
    "copied_gate": _copied_gate,
    "dense": _dense,
    "option_a": _option_a,
    "shuffle": _shuffle,
    "convnext": _convnext,
    "flattened": _flattened,
    "permuted": _permuted,
    "u_net": _u_net,
    "shared": _shared,
    "functional": _functional,
    "matrices": _matrices,
    "in_place": _in_place,
    "twice": _twice,
    "norms": _norms,
}
"""Networks on 3x16x16 images, by the kind of their wiring."""


def _attention() -> nn.Module:
    def run(m: Lambda, x: Tensor) -> Tensor:
        y = m.a(x).flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(y, y, y)

    return Lambda(run, a=_conv(3, 4))


def _sorted() -> nn.Module:
    return Lambda(lambda m, x: m.a(x).sort(dim=1).values, a=_conv(3, 4))


def _positions() -> nn.Module:
    return Lambda(lambda m, x: m.b(m.a(x).flatten(2)), a=_conv(3, 4), b=nn.Linear(256, 4))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "attention": (_attention, "scaled_dot_product_attention"),
    "sort": (_sorted, "sort"),
    "mixing positions": (_positions, "linear"),
}
"""Networks that cannot be wired, with the operation that the error has to name."""


def build(name: str, seed: int = 0) -> nn.Module:
    """A network of `NETWORKS` in eval mode, every parameter and buffer random."""
    torch.manual_seed(seed)
    model = NETWORKS[name]().eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif tensor.is_floating_point() and (tensor.dim() == 1 or key.endswith("scale")):
                tensor.mul_(torch.empty_like(tensor).uniform_(0.5, 1.5)).add_(
                    torch.randn_like(tensor) * 0.3 * tensor.abs().mean()
                )
    return model
