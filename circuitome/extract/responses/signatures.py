"""Response signatures: each neuron's responses to the gallery, comparable between networks.

A layer's maps are averaged over the cells of a grid that divides the field of view, whatever the
network's input size and strides; a few cells of every picture are read (`gallery`). From these
samples the part that plain brightness, colour and contrast explain linearly is taken out. It has to
be: any two smooth filters agree about bright and busy places, random ones as well, and deep random
networks agree about little else. What is left says what the neuron is about.

Smooth twins of the network are shown the same. How far a neuron can be matched at all is its
*reliability*: the correlation of its signature with itself over the same pictures moved by a 56th
of their side, under faint noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.extract.fields import field_geometries
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.responses.moments import layers_to_read
from circuitome.extract.responses.runner import Runner, Subject, activate
from circuitome.extract.responses.twins import smooth_twin
from circuitome.extract.stimuli.gallery import CELLS, GRID, Gallery
from circuitome.extract.wiring import Layer, Wiring
from circuitome.graphdb.annotation import Findings, put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.signatures import FILE, NETWORK, NULL, packed, unit_rows
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["TWINS", "Signed", "sign", "signature_findings", "write_signatures"]

TWINS: Final = 10
"""Null networks: sixteen neurons, the least of most layers, then have 160 decoys."""
EVERY: Final = 3
"""One picture in three is shown displaced."""
ESTIMATED: Final = 32
"""Pictures by which twins are brought to the mean and spread of the original."""
LEAST: Final = 1e-4
"""Share of a neuron's variance that plain things must leave."""

Samples = dict[int, np.ndarray]
"""Layer -> mean activations in the cells, ``(C, pictures * CELLS)``."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures of a network and its twins."""

    copies: Mapping[str, Mapping[int, np.ndarray]]
    """Copy -> layer -> ``(C, pictures * CELLS)``, rows of length 1 or 0."""
    reliability: Mapping[int, np.ndarray]
    """Layer -> ``(C,)``, NaN if there is no signature."""


def write_signatures(
    bundle: Bundle,
    model: nn.Module,
    shown: Gallery,
    *,
    device: torch.device,
    seed: int,
    progress: Progress,
) -> Bundle:
    """Put the signatures of a network and its twins, and every neuron's reliability, into its
    bundle.

    Only networks that were ``shown`` the same can be compared.
    """
    row, wiring = bundle.manifest.model, Wiring.from_json(bundle.wiring)
    subject = Subject(
        model,
        wiring,
        bundle.kernels.arrays(),
        device=device,
        mean=row.get("mean"),
        std=row.get("std"),
    )
    found = signature_findings(subject, shown, seed=seed, progress=progress)
    return put_in(bundle, "signatures", found)


def signature_findings(
    subject: Subject, shown: Gallery, *, seed: int, progress: Progress
) -> Findings:
    """What the signatures of a network and its twins put into its bundle."""
    found = sign(subject, shown, seed=seed, report=partial(progress, "signatures"))
    layers = subject.wiring.layers
    copies = {copy: _by_name(of, layers) for copy, of in found.copies.items()}
    about = {"sha256": shown.sha256, "per_picture": CELLS, "pictures": len(shown), "null": NULL}
    reliability = [
        found.reliability.get(i, np.full(layer.channels, np.nan)) for i, layer in enumerate(layers)
    ]
    return Findings(
        columns={"Neuron": {"reliability": np.concatenate(reliability).tolist()}},
        files={FILE: packed(copies, about=about)},
        model={"signatures_sha256": shown.sha256},
    )


def _by_name(of: Mapping[int, np.ndarray], layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    return {layers[index].name: rows for index, rows in of.items()}


def sign(
    subject: Subject, shown: Gallery, *, seed: int, report: Callable[[int, int], None]
) -> Signed:
    """Show the gallery to a network, at the size of its wiring, and to `TWINS` twins of it.

    ``report`` is called with images done and images in all.
    """
    runner = subject.runner(layers_to_read(subject.wiring))
    every, some = np.arange(len(shown)), np.arange(0, len(shown), EVERY)
    reader = _Reader(subject, shown, report, total=(1 + TWINS) * len(every) + len(some))
    own, again = reader.read(runner, every), reader.read(runner, some, displaced=True)
    plain = shown.plain(every)
    copies = {NETWORK: _signatures(own, plain)}
    for number, other in enumerate(_twins(subject, shown, seed)):
        copies[f"twin{number}"] = _signatures(reader.read(runner.rebound(other), every), plain)
    return Signed(copies, _reliability(own, again, shown))


def _twins(subject: Subject, shown: Gallery, seed: int) -> Iterator[nn.Module]:
    first = np.arange(min(ESTIMATED, len(shown)))
    images = subject.prepared(shown.draw(first, subject.wiring.layers[0].size))
    for number in range(TWINS):
        own = seed * 1000 + number
        yield smooth_twin(subject.model, own, images=images, seeing=subject.wiring.seeing)


@dataclass(slots=True)
class _Reader:
    """Shows pictures to a network and its twins, and counts them."""

    subject: Subject
    shown: Gallery
    report: Callable[[int, int], None]
    total: int  # pictures that will be shown
    done: int = 0

    def read(self, network: Runner, chosen: np.ndarray, *, displaced: bool = False) -> Samples:
        """Mean activations in the cells of the pictures ``chosen`` ``(n,)``."""
        size = self.subject.wiring.layers[0].size
        found: dict[int, list[Tensor]] = {index: [] for index in network.layers}
        for part in np.array_split(chosen, -(-len(chosen) // network.batch)):
            images = self.shown.draw(part, size, displaced=displaced).to(self.subject.device)
            cells = self.shown.cells[part]
            for index, samples in _samples(network, self.subject.arrays, images, cells).items():
                found[index].append(samples)
            self.done += len(part)
            self.report(self.done, self.total)
        return {index: torch.cat(parts, 1).cpu().numpy() for index, parts in found.items()}


def _signatures(samples: Samples, plain: np.ndarray) -> Samples:
    return {index: _without(rows, plain) for index, rows in samples.items()}


def _reliability(own: Samples, again: Samples, shown: Gallery) -> Samples:
    """Correlation of every neuron's signature with itself over the displaced pictures, ``(C,)``."""
    some = np.arange(0, len(shown), EVERY)
    columns = (some[:, None] * CELLS + np.arange(CELLS)).reshape(-1)
    plain, moved = shown.plain(some), shown.plain(some, displaced=True)
    return {
        index: _agreement(_without(own[index][:, columns], plain), _without(again[index], moved))
        for index in own
    }


@torch.no_grad()
def _samples(
    runner: Runner, arrays: Mapping[str, np.ndarray], images: Tensor, cells: np.ndarray
) -> dict[int, Tensor]:
    """Mean activations in the cells, ``(C, n * CELLS)`` a layer."""
    maps, fields = runner(images), field_geometries(runner.wiring)
    chosen = torch.as_tensor(cells, device=images.device)
    found = {}
    for index in runner.layers:
        values = activate(runner.wiring, index, maps[runner.wiring.layers[index].node], arrays)
        gridded = _gridded(values, fields[index], images.shape[2:])
        picked = gridded.gather(2, chosen[:, None].expand(-1, gridded.shape[1], -1))
        found[index] = picked.transpose(0, 1).flatten(1)
    return found


def _gridded(values: Tensor, field: FieldGeometry, image: Sequence[int]) -> Tensor:
    """Means of activations ``(n, C, ...)`` in all cells of the grid, ``(n, C, GRID ** 2)``."""
    height, width = values.shape[2:] if values.dim() == 4 else (1, 1)
    values = values.reshape(*values.shape[:2], height, width)
    down = _shares(field, 0, height, image[0]).to(values)
    right = _shares(field, 1, width, image[1]).to(values)
    return torch.einsum("ay,ncyx,bx->ncab", down, values, right).flatten(2)


def _shares(field: FieldGeometry, axis: int, units: int, pixels: int) -> Tensor:
    """How much each unit counts in each cell along an axis, ``(GRID, units)``, rows sum to 1.

    A unit stands for the pixels about the centre of its field, up to half way to the next; the
    outermost for all beyond.
    """
    low = field.start[axis] + 0.5 + field.jump[axis] * (np.arange(units) - 0.5)
    high = low + field.jump[axis]
    low[0], high[-1] = -np.inf, np.inf
    edges = np.linspace(0, pixels, GRID + 1)
    shared = np.clip(np.minimum(high, edges[1:, None]) - np.maximum(low, edges[:-1, None]), 0, None)
    return torch.as_tensor(shared / shared.sum(1, keepdims=True), dtype=torch.float32)


def _without(samples: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Rows ``(C, samples)`` less what ``plain`` ``(samples, features)`` explains, of length 1; of
    zeros if nothing is left.
    """
    centred = samples.astype(np.float64)
    centred -= centred.mean(1, keepdims=True)
    features = (plain - plain.mean(0)) / np.maximum(plain.std(0), 1e-9)
    basis, size, _ = np.linalg.svd(features, full_matrices=False)
    basis = basis[:, size > 1e-6 * size[0]]
    left = centred - (centred @ basis) @ basis.T
    share = (left**2).sum(1) / np.maximum((centred**2).sum(1), np.finfo(float).tiny)
    left[share < LEAST] = 0
    return unit_rows(left).astype(np.float32)


def _agreement(own: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Correlation of every row with its fellow, NaN for rows of zeros."""
    there = own.any(1) & again.any(1)
    return np.where(there, (own * again).sum(1), np.nan)
