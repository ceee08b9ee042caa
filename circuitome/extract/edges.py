"""Signed weighted edges from kernels: one batched sweep a layer, pruned by kept mass.

The kernel of an edge is the folded kernel from one sender to one receiver, times the gains that the
sender passes on its way. All sums are in float64. Definitions: DESIGN section 2; positions are in
pixels from the kernel's centre, y down, as in *Visualizing Weights* (Distill, 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuitome.errors import CircuitomeError
from circuitome.extract.spatial import single
from circuitome.extract.steps import STEPS, gain
from circuitome.extract.wiring import Layer, Link, Wiring

__all__ = [
    "KEEP_ALL",
    "KEEP_MOST",
    "Edges",
    "FanIn",
    "Flow",
    "Pruning",
    "PruningError",
    "Senders",
    "banding_ratio",
    "linearised",
    "senders",
    "weigh",
]

CHUNK = 1 << 16  # kernel entries in one sweep: bounds the memory, and stays within the cache


class PruningError(CircuitomeError):
    """A rule of pruning that makes no sense."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """Which edges are kept: of each receiver the strongest that hold ``share`` of its squared
    norm, at most ``top``.
    """

    share: float | None = None  # None: all
    top: int | None = None  # None: as many as ``share`` asks for

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise PruningError(
                f"keep {self.share} is not a share; give a number above 0 and at most 1, or `all`"
            )
        if self.top is not None and self.top < 1:
            raise PruningError(f"top {self.top} keeps no edge; give 1 or more")

    def __str__(self) -> str:
        """``all``, ``0.99``, ``0.99 top 20``, ``all top 20``."""
        share = "all" if self.share is None else str(self.share)
        return share if self.top is None else f"{share} top {self.top}"

    @classmethod
    def parse(cls, text: str) -> Pruning:
        """What `str` wrote; `ValueError` for other text."""
        share, _, top = text.partition(" top ")
        return cls(None if share == "all" else float(share), int(top) if top else None)


KEEP_ALL = Pruning()
KEEP_MOST = Pruning(0.99)


@dataclass(frozen=True, slots=True)
class Senders:
    """Who arrives at the inputs of a layer, one row a group: ``(groups, fan_in)`` each."""

    neuron: np.ndarray  # number of the sender among all neurons; -1 where nothing is connected
    gain: np.ndarray  # factor on the way, float64


@dataclass(frozen=True, slots=True)
class Edges:
    """Kept edges of a run of receivers, one entry an edge, by receiver and then by input
    channel.
    """

    sender: np.ndarray  # int32, number among all neurons
    receiver: np.ndarray  # int32
    weight: np.ndarray  # float32, as are excitation to iy; NaN where there is no such part
    excitation: np.ndarray
    polarity: np.ndarray
    share: np.ndarray
    rank: np.ndarray  # int64, from 1
    ex: np.ndarray
    ey: np.ndarray
    ix: np.ndarray
    iy: np.ndarray
    kernel: np.ndarray  # int64, row in the kernel array
    inhibits: np.ndarray  # bool: the kernel sums to less than zero


@dataclass(frozen=True, slots=True)
class FanIn:
    """What pruning did to a run of receivers, one entry a receiver."""

    norm: np.ndarray  # L2 norm of all incoming kernels
    fan_in: np.ndarray  # connected senders
    dropped: np.ndarray  # of these, edges that were pruned
    kept_mass: np.ndarray  # share of the squared norm that was kept; 1 where nothing comes in


@dataclass(frozen=True, slots=True)
class Flow:
    """What a run of receivers gets from each sender, one entry a sender (or a pair where groups
    differ).
    """

    sender: np.ndarray  # number among all neurons; -1 where nothing is connected
    edges: np.ndarray  # connected pairs
    kept: np.ndarray  # of these, kept ones
    mass: np.ndarray  # squared norm of their kernels
    kept_mass: np.ndarray  # of the kept ones


def senders(wiring: Wiring, layer: Layer, arrays: Mapping[str, np.ndarray]) -> Senders:
    """Senders of a layer; ``arrays`` has the vectors of the steps. A gate's second operand is
    left out.
    """
    per_operand = layer.op in ("add", "gate")
    rows, width = (layer.fan_in, layer.channels) if per_operand else (1, layer.width)
    neuron = np.full((rows, width), -1, dtype=np.int64)
    gains = np.ones(neuron.shape)
    for link in layer.links:
        if layer.op == "gate" and link.operand == 1:
            continue
        place = link.operand if per_operand else 0, link.positions
        neuron[place] = wiring.offsets[link.source] + link.channels
        gains[place] = _gain(link, arrays)
    if per_operand:
        return Senders(neuron.T, gains.T)
    shape = (layer.groups, layer.fan_in)
    return Senders(neuron.reshape(shape), gains.reshape(shape))


def _gain(link: Link, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    product = np.ones(len(link.channels))
    for step in link.path:
        product *= gain(step, arrays)
    return product


def linearised(layer: Layer, link: Link) -> bool:
    """Whether the edges along a link take more than a plain ReLU for linear."""
    return layer.op in ("norm", "gate", "max") or any(
        not STEPS[step.name].plain for step in link.path
    )


def weigh(
    kernel: Tensor, sources: Senders, *, receivers: int, rows: int, keep: Pruning = KEEP_ALL
) -> Iterator[tuple[Edges, FanIn, Flow]]:
    """Edges of one layer, in runs of receivers.

    ``kernel``: ``(out, fan_in, kh, kw)``, or with a depth before the height, on the device that
    computes. ``receivers``, ``rows``: numbers of the layer's first neuron and first kernel row. A
    kernel of zeros is no edge.
    """
    out, fan_in = kernel.shape[:2]
    size = max(1, CHUNK // max(1, kernel[0].numel()))
    group = np.arange(out) // (out // len(sources.neuron))
    repeated = _repeats(sources)
    for first in range(0, out, size):
        run = np.arange(first, min(first + size, out))
        neuron = sources.neuron[group[run]]
        factor = torch.as_tensor(sources.gain[group[run]], device=kernel.device)
        kernels = kernel[first : first + size].to(torch.float64) * factor.view(
            *factor.shape, *single(kernel.dim() - 2)
        )
        if repeated:
            kernels, neuron = _merge(kernels, neuron)
        shares = _Shares.of(kernels, neuron, keep)
        edges = _edges(kernels, neuron, shares, receivers + first, rows + first * fan_in)
        yield edges, shares.fan_in(), shares.flow(neuron)


@dataclass(frozen=True, slots=True)
class _Shares:
    """How squared norms divide among the inputs of receivers, ``(receivers, fan_in)`` each."""

    total: Tensor  # (receivers,) the squared norms
    energy: Tensor  # squared norm of a kernel; 0 where nothing is connected
    connected: Tensor
    share: Tensor
    rank: Tensor  # by falling share, from 0
    kept: Tensor

    @classmethod
    def of(cls, kernels: Tensor, sender: np.ndarray, keep: Pruning) -> _Shares:
        """Of kernels ``(receivers, fan_in, height, width)``, pruned."""
        energy = _energy(kernels, sender)
        total, connected = energy.sum(1), energy > 0
        share = energy / total.clamp(min=torch.finfo(torch.float64).tiny)[:, None]
        order, rank = _ranked(share.to(torch.float32))
        kept = connected
        if keep.share is not None:
            ordered = share.gather(1, order)
            before = (ordered.cumsum(1) - ordered).gather(1, rank)
            kept = kept & (before < keep.share)
        if keep.top is not None:
            kept = kept & (rank < keep.top)
        return cls(total, energy, connected, share, rank, kept)

    def fan_in(self) -> FanIn:
        """What pruning did to the receivers."""
        mass = torch.where(self.kept, self.share, 0.0).sum(1)
        columns = (
            self.total.sqrt(),
            self.connected.sum(1),
            (self.connected & ~self.kept).sum(1),
            torch.where(self.total > 0, mass, 1.0),
        )
        return FanIn(*(column.cpu().numpy() for column in columns))

    def flow(self, sender: np.ndarray) -> Flow:
        """What the receivers get from each sender."""
        kept_mass = torch.where(self.kept, self.energy, 0.0)
        columns = (self.connected, self.kept, self.energy, kept_mass)
        if (sender == sender[:1]).all():
            return Flow(sender[0], *(column.sum(0).cpu().numpy() for column in columns))
        return Flow(sender.reshape(-1), *(column.reshape(-1).cpu().numpy() for column in columns))


def _repeats(sources: Senders) -> bool:
    """Whether a sender arrives at several inputs of one receiver."""
    ordered = np.sort(sources.neuron, axis=1)
    return bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any())


def _merge(kernels: Tensor, neuron: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Add up the kernels of a sender that arrives at several inputs of one receiver, at its
    first input.
    """
    count, fan_in = neuron.shape
    key = neuron + (np.arange(count) * (neuron.max() + 2))[:, None]
    _, where, inverse = np.unique(key.reshape(-1), return_index=True, return_inverse=True)
    target = torch.as_tensor(where[inverse].reshape(-1), device=kernels.device)
    flat = kernels.reshape(count * fan_in, *kernels.shape[2:])
    merged = torch.zeros_like(flat).index_add_(0, target, flat).reshape(kernels.shape)
    kept = np.full(count * fan_in, -1)
    kept[where] = neuron.reshape(-1)[where]
    return merged, kept.reshape(neuron.shape)


def _energy(kernels: Tensor, sender: np.ndarray) -> Tensor:
    """Squared norms of kernels, 0 where nothing is connected."""
    energy = _flat(kernels).square().sum(-1).reshape(sender.shape)
    if (sender >= 0).all():
        return energy
    return torch.where(torch.as_tensor(sender >= 0, device=energy.device), energy, 0.0)


def _flat(kernels: Tensor) -> Tensor:
    """Kernels ``(receivers, fan_in, height, width)``, one a row."""
    return kernels.flatten(0, 1).flatten(1)


def _ranked(share: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of each row by falling share, ties by column, and the rank of every column from 0;
    both ``(rows, columns)``.

    Share and column are packed into one integer, since integers sort by far the fastest (on the CPU
    in numpy).
    """
    columns = torch.arange(share.shape[1], device=share.device)
    keys = ((0x7FFFFFFF - share.view(torch.int32).to(torch.int64)) << 32) | columns
    keys = (
        torch.from_numpy(np.sort(keys.numpy(), axis=1))
        if keys.device.type == "cpu"
        else keys.sort(dim=1).values
    )
    order = keys & 0xFFFFFFFF
    return order, torch.empty_like(order).scatter_(1, order, columns.expand_as(order))


def _places(kept: Tensor) -> Tensor | slice:
    """Flat index of what is kept; a slice where that is everything, so that nothing is copied."""
    if bool(kept.all()):
        return slice(None)
    if kept.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(kept.numpy()))
    return kept.reshape(-1).nonzero()[:, 0]


def _moments(kernels: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mass, x and y moments of the positive and of the negative part, ``(n, 3)`` each, of
    kernels ``(n, entries)`` of ``size``, whose last axes are height and width.
    """
    *_, height, width = size
    y = torch.arange(height, dtype=kernels.dtype, device=kernels.device) - (height - 1) / 2
    x = torch.arange(width, dtype=kernels.dtype, device=kernels.device) - (width - 1) / 2
    ones = torch.ones(*size, dtype=kernels.dtype, device=kernels.device)
    basis = torch.stack([ones, ones * x, ones * y[:, None]], dim=-1).reshape(-1, 3)
    return kernels.clamp(min=0) @ basis, (-kernels).clamp(min=0) @ basis


def _measures(excited: Tensor, inhibited: Tensor) -> dict[str, Tensor]:
    """Weights, polarities and centres of edges from the moments of their two parts."""
    excitation, x_plus, y_plus = excited.unbind(1)
    inhibition, x_minus, y_minus = inhibited.unbind(1)
    weight = excitation - inhibition
    return {
        "weight": weight,
        "excitation": excitation,
        "polarity": weight / (excitation + inhibition),
        "ex": x_plus / excitation,
        "ey": y_plus / excitation,
        "ix": x_minus / inhibition,
        "iy": y_minus / inhibition,
    }


def _edges(kernels: Tensor, neuron: np.ndarray, shares: _Shares, receiver: int, row: int) -> Edges:
    """The kept edges; ``receiver``, ``row``: numbers of the run's first receiver and kernel."""
    kept = _places(shares.kept)
    measures = _measures(*_moments(_flat(kernels)[kept], kernels.shape[2:]))
    measures["share"] = shares.share.reshape(-1)[kept]
    place = np.arange(neuron.size) if isinstance(kept, slice) else kept.cpu().numpy()
    return Edges(
        sender=neuron.reshape(-1)[place].astype(np.int32),
        receiver=(receiver + place // neuron.shape[1]).astype(np.int32),
        rank=shares.rank.reshape(-1)[kept].cpu().numpy() + 1,
        kernel=row + place,
        inhibits=(measures["weight"] < 0).cpu().numpy(),
        **{name: column.to(torch.float32).cpu().numpy() for name, column in measures.items()},
    )


def banding_ratio(kernel: Tensor) -> float | None:
    """Variance of the row means over variance of the column means of the signed kernels; None for
    narrow kernels, and for those of volumes.

    Above 1, kernels vary more along y than along x: *Weight Banding* (Distill, 2021). The scalar is
    ours: the article shows it by eye.
    """
    if kernel.dim() != 4 or min(kernel.shape[2:]) < 2:
        return None
    along_y = kernel.mean(3, dtype=torch.float64).var(2, correction=0).sum()
    along_x = kernel.mean(2, dtype=torch.float64).var(2, correction=0).sum()
    return float(along_y / along_x) if along_x > 0 else None
