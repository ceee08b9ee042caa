"""Response signatures: what each neuron says to the gallery, in a form that can be compared between networks.

A layer's maps are averaged over the cells of a grid that divides the field of view, whatever the network's input size and
strides; a few cells of every picture are read (`gallery`). From these samples the part that plain brightness, colour and
contrast explain linearly is taken out. It has to be: any two smooth filters agree about bright and busy places, random ones as
well, and deep random networks agree about little else. What is left says what the neuron is about.

Twins of the network are shown the same. How far a neuron can be matched at all is its *reliability*: the correlation of
its signature with itself over the same pictures moved by a 56th of their side, under faint noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.extract.responses.moments import layers_to_read
from circuitome.extract.responses.probes import Sight, sights
from circuitome.extract.responses.runner import Runner, activate
from circuitome.extract.responses.twins import twin
from circuitome.extract.stimuli.gallery import CELLS, GRID, Gallery
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.annotation import Findings, put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import FILE, NETWORK, packed, unit_rows
from circuitome.graphdb.stores import Progress

__all__ = ["TWINS", "Signed", "sign", "write_signatures"]

TWINS: Final = (
    3  # null networks: sixteen neurons, the least of most layers, then have forty-eight decoys
)
EVERY: Final = 3  # one picture in three is shown displaced
ESTIMATED: Final = 32  # pictures by which twins are brought to the mean and spread of the original
LEAST: Final = 1e-4  # share of a neuron's variance that plain things must leave
PIXELS: Final = 400_000  # of a batch of images, about


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures of a network and its twins."""

    copies: Mapping[
        str, Mapping[int, np.ndarray]
    ]  # copy -> layer -> (C, pictures * CELLS), rows of length 1 or 0
    reliability: Mapping[int, np.ndarray]  # layer -> (C,), NaN where there is no signature


def write_signatures(
    bundle: Bundle,
    model: nn.Module,
    shown: Gallery,
    *,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> Bundle:
    """Put the signatures of a network and its twins, and every neuron's reliability, into its bundle.

    Only networks that were ``shown`` the same can be compared.
    """
    row, wiring = bundle.manifest.model, Wiring.from_json(bundle.wiring)
    found = sign(
        model,
        wiring,
        bundle.kernels.arrays(),
        shown,
        mean=row.get("mean"),
        std=row.get("std"),
        device=device,
        seed=seed,
        report=lambda done, total: progress("signatures", done, total),
    )
    names = [layer.name for layer in wiring.layers]
    copies = {
        copy: {names[i]: rows for i, rows in layers.items()}
        for copy, layers in found.copies.items()
    }
    content = packed(
        copies, about={"sha256": shown.sha256, "per_picture": CELLS, "pictures": len(shown)}
    )
    reliability = [
        found.reliability.get(i, np.full(layer.channels, np.nan))
        for i, layer in enumerate(wiring.layers)
    ]
    findings = Findings(
        columns={"Neuron": {"reliability": np.concatenate(reliability).tolist()}},
        files={FILE: content},
        model={"signatures_sha256": shown.sha256},
    )
    return put_in(bundle, "signatures", findings)


def sign(
    model: nn.Module,
    wiring: Wiring,
    arrays: Mapping[str, np.ndarray],
    shown: Gallery,
    *,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    device: torch.device,
    seed: int,
    report: Callable[[int, int], None],
) -> Signed:
    """Show the gallery to a network (in eval mode, at the size of its ``wiring``) and to `TWINS` twins of it.

    ``arrays``: those of the bundle's kernel file. ``report`` is called with images done and images in all.
    """
    size, channels = wiring.layers[0].size, wiring.layers[0].channels
    batch = max(1, min(64, PIXELS // (size[0] * size[1])))
    runner = Runner.build(
        model, wiring, layers_to_read(wiring), batch=batch, device=device, mean=mean, std=std
    )
    first = shown.draw(np.arange(min(ESTIMATED, len(shown))), size)
    first = (
        (first if channels > 1 else first.mean(1, keepdim=True))
        .sub(runner.shift.cpu())
        .div(runner.scale.cpu())
    )
    every, some = np.arange(len(shown)), np.arange(0, len(shown), EVERY)
    total = (1 + TWINS) * len(every) + len(some)
    done = 0

    def read(
        network: Runner, chosen: np.ndarray, *, displaced: bool = False
    ) -> dict[int, np.ndarray]:
        nonlocal done
        found: dict[int, list[Tensor]] = {index: [] for index in network.layers}
        for part in np.array_split(chosen, -(-len(chosen) // batch)):
            images = shown.draw(part, size, displaced=displaced).to(device)
            for index, samples in _samples(network, arrays, images, shown.cells[part]).items():
                found[index].append(samples)
            done += len(part)
            report(done, total)
        return {index: torch.cat(parts, 1).cpu().numpy() for index, parts in found.items()}

    own, again = read(runner, every), read(runner, some, displaced=True)
    rows = (some[:, None] * CELLS + np.arange(CELLS)).reshape(-1)
    here, there = shown.plain(some), shown.plain(some, displaced=True)
    reliability = {
        index: _agreement(_without(own[index][:, rows], here), _without(again[index], there))
        for index in own
    }
    plain = shown.plain(every)
    copies = {NETWORK: {index: _without(samples, plain) for index, samples in own.items()}}
    for number in range(TWINS):
        other = runner.rebound(twin(model, seed * 1000 + number, images=first))
        copies[f"twin{number}"] = {
            index: _without(samples, plain) for index, samples in read(other, every).items()
        }
    return Signed(copies, reliability)


@torch.no_grad()
def _samples(
    runner: Runner, arrays: Mapping[str, np.ndarray], images: Tensor, cells: np.ndarray
) -> dict[int, Tensor]:
    """Mean activations in the cells, ``(C, n * CELLS)`` a layer."""
    maps, look = runner(images), sights(runner.wiring)
    chosen = torch.as_tensor(cells, device=images.device)
    found = {}
    for index in runner.layers:
        values = activate(runner.wiring, index, maps[runner.wiring.layers[index].node], arrays)
        values = values.reshape(
            *values.shape[:2], *(values.shape[2:] if values.dim() == 4 else (1, 1))
        )
        down, right = (
            _shares(look[index], axis, values.shape[2 + axis], images.shape[2 + axis])
            for axis in (0, 1)
        )
        gridded = torch.einsum(
            "ay,ncyx,bx->ncab", down.to(values), values, right.to(values)
        ).flatten(2)
        picked = gridded.gather(2, chosen[:, None].expand(-1, gridded.shape[1], -1))
        found[index] = picked.transpose(0, 1).flatten(1)
    return found


def _shares(sight: Sight, axis: int, units: int, pixels: int) -> Tensor:
    """How much each unit says of each cell along an axis, ``(GRID, units)``, rows sum to 1.

    A unit stands for the pixels about the centre of its field, up to half way to the next; the outermost for all beyond.
    """
    low = sight.start[axis] + 0.5 + sight.jump[axis] * (np.arange(units) - 0.5)
    high = low + sight.jump[axis]
    low[0], high[-1] = -np.inf, np.inf
    edges = np.linspace(0, pixels, GRID + 1)
    shared = np.clip(np.minimum(high, edges[1:, None]) - np.maximum(low, edges[:-1, None]), 0, None)
    return torch.as_tensor(shared / shared.sum(1, keepdims=True), dtype=torch.float32)


def _without(samples: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Rows ``(C, samples)`` less what ``plain`` ``(samples, features)`` explains, of length 1; of zeros where nothing is left."""
    centred = samples.astype(np.float64)
    centred -= centred.mean(1, keepdims=True)
    basis, size, _ = np.linalg.svd(
        (plain - plain.mean(0)) / np.maximum(plain.std(0), 1e-9), full_matrices=False
    )
    basis = basis[:, size > 1e-6 * size[0]]
    left = centred - (centred @ basis) @ basis.T
    share = (left**2).sum(1) / np.maximum((centred**2).sum(1), np.finfo(float).tiny)
    left[share < LEAST] = 0
    return unit_rows(left).astype(np.float32)


def _agreement(own: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Correlation of every row with its fellow, NaN for rows of zeros."""
    there = own.any(1) & again.any(1)
    return np.where(there, (own * again).sum(1), np.nan)
