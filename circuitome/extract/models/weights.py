"""Weights of a network: drawn at random, looked through, and known by their digest.

`randomise` draws weights none of which is at an identity default. How weights come out of a file
is told in `circuitome.extract.models.fitting`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import torch
from torch import Tensor, nn

from circuitome.errors import CircuitomeError

__all__ = [
    "RESAVE",
    "WeightsError",
    "digest",
    "randomise",
    "refuse_nonfinite",
    "shape_in_words",
]

RESAVE: Final = (
    "if you trust the file, load it with PyTorch and save its tensors with "
    "`safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')`"
)
"""The cure for a file whose tensors cannot be reached without running code."""


class WeightsError(CircuitomeError):
    """A weights file that cannot be read, or that belongs to another network."""


def shape_in_words(tensor: Tensor) -> str:
    """Sizes as people write them.

    >>> shape_in_words(torch.zeros(4, 3, 5, 5))
    '4x3x5x5'
    """
    return "x".join(map(str, tensor.shape)) or "a scalar"


def refuse_nonfinite(model: nn.Module, *, source: str) -> None:
    """`WeightsError` that names the first tensor of ``model`` with a NaN or an infinity, and
    the channel in it.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            place = (~torch.isfinite(tensor)).nonzero()[0].tolist()
            where = f", channel {place[0]}" if place else ""
            raise WeightsError(
                f"{source}: {name}{where} is not finite (NaN or infinity); train or save the "
                "network again, "
                "or mark such neurons with `extract --allow-nonfinite`"
            )


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every weight of ``model`` anew, from ``seed`` alone.

    Kernels are Gaussian with variance 2 / fan-in. Gains of norms and layer scales (either sign),
    biases, running means and variances are random too: at their defaults they are the identity, and
    a fault in folding them would not show.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            parameter.copy_(_draw(module, name, parameter.shape, generator))
        for name, buffer in module.named_buffers(recurse=False):
            if name == "running_mean":
                buffer.copy_(_normal(buffer.shape, 0.2, generator))
            elif name == "running_var":
                buffer.copy_(_uniform(buffer.shape, 0.5, 1.5, generator))


def _draw(module: nn.Module, name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    size = math.prod(shape)
    if isinstance(module, nn.PReLU):
        return _uniform(shape, 0.1, 0.4, generator)
    if "bias" in name:
        return _normal(shape, 0.1, generator)
    if len(shape) < 2 or size == max(shape):  # a gain a channel
        sign = torch.where(_uniform(shape, 0, 1, generator) < 0.125, -1.0, 1.0)
        return _uniform(shape, 0.5, 1.5, generator) * sign
    return _normal(shape, math.sqrt(2 * shape[0] / size), generator)


def _uniform(shape: torch.Size, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _normal(shape: torch.Size, sd: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) * sd


def digest(model: nn.Module) -> str:
    """SHA-256 over every parameter and buffer of ``model``: names, dtypes, shapes and bytes, sorted
    by name.

    >>> digest(nn.Identity()) == hashlib.sha256().hexdigest()
    True
    """
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(f"{name} {tensor.dtype} {shape_in_words(tensor)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
