"""A small network around a construct, and its proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from circuitome.extract import Network, Options, Pruning, extract, trace, verify
from circuitome.graphdb.bundle import Bundle
from tests.support.small_networks import Lambda

__all__ = ["PLAIN", "PLAIN_EDGES", "SHAPE", "Run", "around", "ops_of", "proven", "steps_behind"]

SHAPE = (3, 16, 16)
PLAIN = 3 + 6 + 6 + 4
"""Neurons of the network around every construct, which has six channels there."""
PLAIN_EDGES = 6 * 3 + 6 * 6 + 4 * 6

Run = Callable[[Lambda, Tensor], Tensor]


def around(run: Run, **parts: nn.Module | nn.Parameter) -> nn.Module:
    """Two convolutions with a construct between them, and a head; random parameters."""
    torch.manual_seed(0)

    def forward(m: Lambda, x: Tensor) -> Tensor:
        return m.head(m.second(run(m, m.first(x))).mean((2, 3)))

    network = Lambda(
        forward,
        first=nn.Conv2d(3, 6, 3),
        second=nn.Conv2d(6, 6, 3),
        head=nn.Linear(6, 4),
        **parts,
    )
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return network.eval()


def proven(model: nn.Module, folder: Path) -> Bundle:
    network = Network(model, name="net", input_shape=SHAPE)
    options = Options(device="cpu")
    bundle = extract(network, output=folder / "net", keep=Pruning(), options=options)
    assert [check for check in verify(bundle, model) if not check.ok] == []
    return bundle


def ops_of(bundle: Bundle) -> list[str]:
    return [row["op"] for row in bundle.table("Layer").to_pylist()]


def steps_behind(model: nn.Module, layer: str = "first") -> list[list[str]]:
    """Names of the steps on each way on from a layer."""
    layers = trace(model, SHAPE).wiring.layers
    number = [one.name for one in layers].index(layer)
    links = [link for one in layers for link in one.links if link.source == number]
    return [[step.name for step in link.path] for link in links]
