"""Small networks with response signatures: shown few pictures, so that tests are quick."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from circuitome.extract import Network, Options, extract
from circuitome.extract.responses import signatures
from circuitome.extract.stimuli.ensemble import ensemble, natural_like
from circuitome.extract.stimuli.gallery import CELLS, GRID, SIDE, Gallery
from circuitome.graphdb.bundle import Bundle

__all__ = ["INPUT", "convolutions", "network", "permuted", "plant", "signed", "small_gallery"]

INPUT = (3, 33, 33)


@cache
def small_gallery(count: int = 90) -> Gallery:
    """Few pictures, scenes and others."""
    scenes, others = (
        natural_like(count // 2, SIDE, seed=1),
        ensemble(count - count // 2, SIDE, SIDE / 10, seed=2).draw(),
    )
    pictures = (torch.cat([scenes, others]).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    rng = np.random.default_rng(3)
    cells = np.stack([rng.permutation(GRID * GRID)[:CELLS] for _ in range(count)])
    return Gallery(pictures, cells, f"{count:064d}")


def network(seed: int, *, first: int = 24, second: int = 24) -> nn.Sequential:
    """A random network of two layers that bend and one that does not."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Conv2d(3, first, 5, stride=2), nn.Conv2d(first, second, 3), nn.Conv2d(second, 10, 1)
    for layer in layers:
        fan_in = layer.weight[0].numel()
        kernels = torch.randn(layer.weight.shape, generator=generator) / fan_in**0.5
        layer.weight.data = kernels - kernels.mean(
            (1, 2, 3), keepdim=True
        )  # of mean 0: no neuron is silent
        assert layer.bias is not None
        layer.bias.data = 0.1 * torch.randn(layer.bias.shape, generator=generator)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).eval()


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def permuted(model: nn.Module, seed: int) -> tuple[nn.Module, list[np.ndarray]]:
    """The same network with the channels of every layer in another order, and where each channel
    went.
    """
    import copy

    other, rng = copy.deepcopy(model), np.random.default_rng(seed)
    before, places = np.arange(3), []
    for layer in convolutions(other):
        order = rng.permutation(layer.out_channels)  # new channel c is the old channel order[c]
        layer.weight.data = layer.weight.data[order][:, before]
        assert layer.bias is not None
        layer.bias.data = layer.bias.data[order]
        before = order
        places.append(np.argsort(order))
    return other, places


def plant(
    source: nn.Module, target: nn.Module, *, share: float, noise: float, seed: int
) -> list[dict[int, int]]:
    """Copy a share of each layer's features from one network into channels of another, under noise;
    source -> target channel.

    Planted features of later layers read planted features alone, since what the others say differs.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    before, planted = {0: 0, 1: 1, 2: 2}, []
    for one, other in zip(convolutions(source), convolutions(target), strict=True):
        count = round(share * one.out_channels)
        pairs = dict(
            zip(
                *(rng.permutation(one.out_channels)[:count].tolist() for _ in range(2)), strict=True
            )
        )
        assert one.bias is not None and other.bias is not None
        for a, b in pairs.items():
            height, width = one.kernel_size
            kernels = torch.randn(len(before), height, width, generator=generator)
            kernels -= kernels.mean()
            spread = 1 / kernels.numel() ** 0.5
            one.weight.data[a] = 0
            other.weight.data[b] = 0
            disturbed = kernels + noise * torch.randn(kernels.shape, generator=generator)
            one.weight.data[a, list(before)] = kernels * spread
            other.weight.data[b, list(before.values())] = disturbed * spread
            other.bias.data[b] = one.bias.data[a]
        before = pairs
        planted.append(pairs)
    return planted


def signed(
    model: nn.Module,
    path: Path,
    *,
    gallery: Gallery | None = None,
    input_shape: tuple[int, int, int] = INPUT,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Bundle:
    """Extract a network into ``path`` and add its signatures; the model is called as the folder's
    name before the dot.
    """
    bundle = extract(
        Network(
            model, name=path.name.partition(".")[0], input_shape=input_shape, mean=mean, std=std
        ),
        output=path,
        options=Options(span=None),
    )
    return signatures.write_signatures(
        bundle,
        model,
        gallery or small_gallery(),
        device=torch.device("cpu"),
        seed=0,
        progress=lambda *_: None,
    )
