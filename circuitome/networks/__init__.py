"""The bundled networks: small branched CNNs trained by this package, so that a fresh machine has
something to look at.

Importing this module imports no torch; `load` does.

Example:
    >>> BUNDLED["menagerie_s0"].input_size
    (3, 64, 64)
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from circuitome.errors import CircuitomeError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["BUNDLED", "MEAN", "STD", "BundledNetwork", "load"]

MEAN = (0.5, 0.5, 0.5)
"""What the networks' input is normalised by, RGB in [0, 1]."""
STD = (0.25, 0.25, 0.25)

_WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class BundledNetwork:
    """A network that comes with the package: how to build it and where its weights lie."""

    name: str
    factory: str
    """`package.module:function` that builds the architecture without weights."""
    weights: Path
    """`.safetensors`; kernels in float16, batch norm and biases in float32."""
    log: Path
    """`.json`: recipe, losses and test accuracies of the training."""
    input_size: tuple[int, int, int]
    """Channels, height, width."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    task: str


def _menagerie(seed: int) -> BundledNetwork:
    name = f"menagerie_s{seed}"
    return BundledNetwork(
        name=name,
        factory="circuitome.networks.menagerie:menagerie",
        weights=_WEIGHTS / f"{name}.safetensors",
        log=_WEIGHTS / f"{name}.json",
        input_size=(3, 64, 64),
        mean=MEAN,
        std=STD,
        task="18 shapes and animals in procedural scenes; also facing, textures, hues and focus",
    )


BUNDLED: dict[str, BundledNetwork] = {
    network.name: network for network in map(_menagerie, range(3))
}
"""The bundled networks by name: one architecture, three seeds (own scenes, own fresh weights,
own order).
"""


def load(name: str) -> nn.Module:
    """Load a bundled network in eval mode, in float32.

    Raises:
        CircuitomeError: there is no bundled network of this name.

    Example:
        >>> import torch
        >>> load("menagerie_s0")(torch.zeros(1, 3, 64, 64))["shape"].shape
        torch.Size([1, 18])
    """
    if name not in BUNDLED:
        raise CircuitomeError(
            f"No bundled network is called {name!r}; there are {', '.join(BUNDLED)}."
        )
    from safetensors.torch import load_file

    network = BUNDLED[name]
    module, function = network.factory.split(":")
    net: nn.Module = getattr(import_module(module), function)()
    net.load_state_dict(
        load_file(network.weights)
    )  # copying into float32 parameters widens float16
    return net.eval()
