"""Scores for equivariance: every neuron of a layer against every other, under every transform.

``score(i, j)`` of a transform g is the correlation, over presentations of stimuli, of neuron i's
activation to a stimulus with neuron j's to the stimulus under g, each read at the unit that the
stimulus is centred on. *Null layers* read the very same inputs through surrogate filters
(`circuitome.extract.responses.twins`), rescaled to the real neuron's mean and spread; so a null
costs one matrix product. An addition has no filters: its null layers add the operands' channels in
random pairings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.annotate.pairs import GroupScores
from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.responses.probes import Probe
from circuitome.extract.responses.runner import Subject, corners, patches_at
from circuitome.extract.responses.stage import Stage
from circuitome.extract.responses.twins import surrogates
from circuitome.extract.stimuli.transforms import GROUPS, IDENTITY, Transform, steps
from circuitome.extract.verify import read_operand
from circuitome.extract.wiring import Layer, Wiring

__all__ = [
    "ANGLES",
    "WIDEST",
    "LayerScores",
    "Nulls",
    "batches",
    "can_pair",
    "memory",
    "score_layers",
]

WIDEST: Final = 768
"""Layers with more neurons are not searched for pairs: their score tables would not fit into
memory.
"""
ANGLES: Final = frozenset({"rotate", "hue", "hue_rotate"})
"""Groups whose amounts are angles."""
LEAST_RESPONSES: Final = 8
"""Presentations to which a neuron has to respond: two that respond to one, and to the same, have a
correlation of 1. They are counted by the inverse of the sum of fourth powers of its responses.
"""
PERSPECTIVE: Final = 3
"""Units a side around the centre that are read if one patch fills the image."""


class Stimuli(Protocol):
    """Images, each of which can be drawn under a transform."""

    def __len__(self) -> int: ...
    def draw(self, transform: Transform, start: int, stop: int) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Nulls:
    """Null layers that read what a layer reads."""

    count: int
    seed: int
    further: int = 0
    """Null layers that come after these ..."""
    batch: int = 0
    """... and are others in every batch."""

    def draws(self, index: int) -> Iterator[tuple[int, torch.Generator]]:
        """How many null layers of one layer are drawn from which random numbers."""
        seed = self.seed * 1_000_003 + index
        yield self.count, torch.Generator().manual_seed(seed)
        if self.further:
            yield self.further, torch.Generator().manual_seed(seed + (self.batch << 40))

    def filters(self, wiring: Wiring, index: int, kernel: Tensor) -> Tensor:
        """Filters ``(C, fan_in, kh, kw)`` of one layer, then those of its null layers: ``(1 + S, C,
        fan_in, kh, kw)``.
        """
        colours = wiring.reads_image(index)
        null = [
            surrogates(kernel, count, generator=generator, colours=colours, shared=True)
            for count, generator in self.draws(index)
        ]
        return torch.cat([kernel[None], *null])


@dataclass(frozen=True, slots=True)
class LayerScores:
    """Scores of one layer."""

    groups: tuple[GroupScores, ...]
    """Empty if pairs were not searched."""
    invariance: Mapping[str, np.ndarray]
    """By group, ``(C,)``: lowest correlation of a neuron with itself under it."""


def can_pair(wiring: Wiring, index: int) -> bool:
    """Whether pairs are searched in a layer: it has filters or adds, is read, and is not too wide.

    A layer that only the output reads is not searched.
    """
    layer = wiring.layers[index]
    filters = layer.op in ("conv", "linear") and layer.output_padding is None
    links = [link for other in wiring.layers if other.op != "readout" for link in other.links]
    read = any(link.source == index for link in links)
    return (filters or layer.op == "add") and read and 2 <= layer.channels <= WIDEST


@dataclass(slots=True)
class _Task:
    """One layer while its transforms go by."""

    subject: Subject
    index: int
    kernels: Tensor | None  # (1 + S, groups, C / groups, D): the real filters, then the surrogates
    pairings: Tensor | None  # (1 + S, operands, C): channel of each operand that goes into each sum
    bias: Tensor
    gain: Tensor | None = None  # (1 + S, C, 1): makes null pre-activations as wide as the real ones
    shift: Tensor | None = None
    first: Tensor | None = None  # (1 + S, C, M) standardised activations without a transform

    @property
    def layer(self) -> Layer:
        """The layer in the wiring."""
        return self.subject.wiring.layers[self.index]

    @property
    def searched(self) -> bool:
        """Whether it has null layers, and pairs are looked for."""
        return self.kernels is not None or self.pairings is not None

    def read(self, maps: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        """Pre-activations ``(1 + S, C, m)`` of the layer and its null layers at some units."""
        device = next(iter(maps.values())).device
        rows, columns = rows.to(device), columns.to(device)
        if self.kernels is not None:
            seen = patches_at(self.layer, self._operand(0, maps), rows, columns)
            values = self.kernels.to(device) @ seen
            return values.reshape(len(values), self.layer.channels, -1) + self.bias.to(device)
        if self.pairings is not None:
            operands = self._weighted(maps, rows, columns)
            sums = [_paired(operands, channels) for channels in self.pairings]
            return torch.stack(sums) + self.bias.to(device)
        return _at(maps[self.layer.node], rows, columns)[None]

    def _weighted(self, maps: Mapping[str, Tensor], rows: Tensor, columns: Tensor) -> list[Tensor]:
        """What an addition adds at some units, ``(C, m)`` an operand."""
        kernel = self.subject.arrays[f"kernel/{self.layer.name}"]
        weights = torch.as_tensor(kernel, device=rows.device)[:, :, 0, 0]
        return [
            _at(self._operand(number, maps), rows, columns) * weights[:, number, None]
            for number in range(len(self.layer.operands))
        ]

    def _operand(self, number: int, maps: Mapping[str, Tensor]) -> Tensor:
        subject = self.subject
        return read_operand(subject.wiring, self.layer, number, subject.arrays, maps)

    def standardised(self, raw: Tensor) -> Tensor:
        """Activations of mean 0 and length 1 over the presentations; zero if a neuron is silent."""
        if self.gain is None or self.shift is None:
            self.gain, self.shift = _fitted(raw)
        return _unit(self.subject.activation(self.index, raw * self.gain + self.shift))

    def products(self, raw: Tensor) -> np.ndarray:
        """Scores ``(1 + S, C, C)`` with what was presented first; of a layer that is not searched
        ``(1, C)``, of each neuron with itself.
        """
        standard = self.standardised(raw)
        if self.first is None:
            self.first = standard
        if not self.searched:
            return (self.first * standard).sum(2).cpu().numpy()
        return (self.first @ standard.transpose(1, 2)).cpu().numpy()


def _fitted(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and shift ``(1 + S, C, 1)`` by which pre-activations of null layers get the mean and
    spread of the real ones.
    """
    mean, sd = raw.mean(2, keepdim=True), raw.std(2, keepdim=True)
    gain = torch.where(sd > 0, sd[:1] / sd.clamp(min=1e-30), torch.zeros_like(sd))
    shift = mean[:1] - mean * gain
    gain[0], shift[0] = 1, 0
    return gain, shift


def _unit(active: Tensor) -> Tensor:
    """Activations centred and of length 1; zero where the neuron does not respond, or to so few
    presentations that a correlation says nothing.
    """
    centred = active - active.mean(2, keepdim=True)
    length = centred.norm(dim=2, keepdim=True)
    unit = centred / length.clamp(min=1e-30)
    responds = length > 1e-5 * active.abs().amax(2, keepdim=True) * active.shape[2] ** 0.5
    often = unit.pow(4).sum(2, keepdim=True) * LEAST_RESPONSES <= 1
    return torch.where(responds & often, unit, torch.zeros_like(unit))


def _paired(operands: Sequence[Tensor], channels: Tensor) -> Tensor:
    """The sum of operands ``(C, m)``, the channels of each in another order: ``(operands, C)``."""
    parts = [operand[order] for operand, order in zip(operands, channels, strict=True)]
    return torch.as_tensor(sum(parts))


@torch.no_grad()
def score_layers(
    stage: Stage,
    layers: Mapping[int, Collection[str]],
    stimuli: Stimuli,
    *,
    nulls: Nulls,
    advance: Callable[[], None],
) -> dict[int, LayerScores]:
    """Scores of some layers of a stage under every transform of the groups that each is asked for.

    The stage's runner gives the maps of the layers and of their sources.
    """
    tasks = [_task(stage.subject, index, nulls) for index in layers]
    plain = _scores(stage, tasks, stimuli, IDENTITY, advance)
    found: dict[int, dict[str, list[np.ndarray]]] = {index: defaultdict(list) for index in layers}
    asked = set(chain.from_iterable(layers.values()))
    for transform in chain.from_iterable(steps(group) for group in GROUPS if group in asked):
        shown = [task for task in tasks if transform.group in layers[task.index]]
        scores = _scores(stage, shown, stimuli, transform, advance)
        for task, score in zip(shown, scores, strict=True):
            found[task.index][transform.group].append(score)
    return {
        index: _layer_scores(stage.wiring, index, own, found[index])
        for index, own in zip(layers, plain, strict=True)
    }


def _task(subject: Subject, index: int, nulls: Nulls) -> _Task:
    wiring = subject.wiring
    layer = wiring.layers[index]
    bias = torch.as_tensor(subject.biases[index]).view(1, -1, 1)
    if not can_pair(wiring, index):
        return _Task(subject, index, None, None, bias)
    if layer.op == "add":
        return _Task(subject, index, None, _pairings(layer, nulls.draws(index)), bias)
    return _Task(subject, index, _filters(subject, index, nulls), None, bias)


def _filters(subject: Subject, index: int, nulls: Nulls) -> Tensor:
    """Filters of a layer, then of its null layers: ``(1 + S, groups, C / groups, D)``."""
    layer = subject.wiring.layers[index]
    kernel = torch.as_tensor(subject.arrays[f"kernel/{layer.name}"])
    every = nulls.filters(subject.wiring, index, kernel)
    return every.reshape(len(every), layer.groups, layer.channels // layer.groups, -1)


def _pairings(layer: Layer, draws: Iterator[tuple[int, torch.Generator]]) -> Tensor:
    """Which channel of each operand goes into each sum ``(1 + S, operands, C)``; the first is
    real.
    """
    channels, operands = layer.channels, len(layer.operands)
    real = torch.arange(channels).expand(operands, channels)
    shuffled = [
        torch.randperm(channels, generator=generator)[None]
        for count, generator in draws
        for _ in range(count * operands)
    ]
    return torch.cat([real, *shuffled]).view(-1, operands, channels)


def _scores(
    stage: Stage,
    tasks: Sequence[_Task],
    stimuli: Stimuli,
    transform: Transform,
    advance: Callable[[], None],
) -> list[np.ndarray]:
    """Scores of every task, as `_Task.products` has them, at the units that look at the patches."""
    layers = stage.wiring.layers
    points = [
        _points(stage.probe, stage.fields[task.index], transform, layers[task.index].size)
        for task in tasks
    ]
    parts: list[list[Tensor]] = [[] for _ in tasks]
    for start in range(0, len(stimuli), stage.stride):
        stop = min(start + stage.stride, len(stimuli))
        maps = stage.maps(stimuli.draw(transform, start, stop))
        for part, task, (rows, columns) in zip(parts, tasks, points, strict=True):
            part.append(task.read(maps, rows, columns))
        advance()
    return [task.products(torch.cat(part, dim=2)) for task, part in zip(tasks, parts, strict=True)]


def _points(
    probe: Probe, field: FieldGeometry, transform: Transform, size: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Unit coordinates ``(P,)`` that look at the patches' centres.

    If a patch fills the image, at places around it as well; these move with the transform.
    """
    line = _perspective(probe, size)
    away_y, away_x = (grid.reshape(-1) for grid in torch.meshgrid(line, line, indexing="ij"))
    moved_x, moved_y = transform.inverse().coordinates(
        away_x * field.jump[1], away_y * field.jump[0]
    )
    away = moved_y, moved_x
    centres = torch.tensor(list(product(*probe.centres)), dtype=torch.float64).T
    rows, columns = (
        ((centres[axis, :, None] - field.start[axis] + away[axis]) / field.jump[axis]).flatten()
        for axis in (0, 1)
    )
    return _on_map(rows.float(), size[0]), _on_map(columns.float(), size[1])


def _perspective(probe: Probe, size: tuple[int, ...]) -> Tensor:
    """Units along an axis, from the one at a centre, that are read."""
    reach = PERSPECTIVE // 2 if probe.whole and min(size) >= PERSPECTIVE + 2 else 0
    return torch.arange(-reach, reach + 1, dtype=torch.float64)


def _on_map(places: Tensor, size: int) -> Tensor:
    return _near_whole(places).clamp(0, size - 1)


def _near_whole(places: Tensor) -> Tensor:
    """Coordinates without the rounding errors that would make two reads of one."""
    whole = places.round()
    return torch.where((places - whole).abs() < 1e-4, whole, places)


def _at(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maps ``(n, C, h, w)`` at unit coordinates, interpolated linearly: ``(C, n * P)``."""
    total = torch.zeros(maps.shape[0], maps.shape[1], len(rows), device=maps.device)
    for y, x, weight in corners(rows, columns):
        total += weight * maps[:, :, y.clamp(max=maps.shape[2] - 1), x.clamp(max=maps.shape[3] - 1)]
    return total.transpose(0, 1).reshape(maps.shape[1], -1)


def _layer_scores(
    wiring: Wiring, index: int, plain: np.ndarray, found: Mapping[str, Sequence[np.ndarray]]
) -> LayerScores:
    own = {group: _lowest(scores) for group, scores in found.items()}
    if not can_pair(wiring, index):
        return LayerScores((), own)
    groups = [_group_scores(group, plain, scores) for group, scores in found.items()]
    return LayerScores(tuple(groups), own)


def _lowest(found: Sequence[np.ndarray]) -> np.ndarray:
    """Lowest score of every neuron with itself over the amounts, ``(C,)``."""
    own = [scores[0] if scores.ndim == 2 else np.diagonal(scores[0]) for scores in found]
    return np.min(own, axis=0).astype(np.float64)


def _group_scores(group: str, plain: np.ndarray, found: Sequence[np.ndarray]) -> GroupScores:
    every = np.stack(found, axis=1)  # (1 + S, a, C, C)
    amounts = np.array([transform.amount for transform in steps(group)])
    turns = (
        np.array([transform.turn for transform in steps(group)]) if group == "hue_rotate" else None
    )
    period = 360.0 if group in ANGLES else None
    return GroupScores(group, amounts, period, every[0], plain[0], every[1:], plain[1:], turns)


def memory(wiring: Wiring, index: int, transforms: int, nulls: int, samples: int) -> float:
    """Bytes that the scores of one layer take while they are collected."""
    channels = wiring.layers[index].channels
    partners = channels * (1 + nulls) if can_pair(wiring, index) else 1
    return 4.0 * channels * (transforms * partners + 3 * samples * (1 + nulls))


def batches(needs: Mapping[int, float], budget: float) -> Iterator[list[int]]:
    """Runs of layers whose memory together, each by its ``needs``, stays within ``budget``; a layer
    beyond it stands alone.
    """
    run: list[int] = []
    used = 0.0
    for index, need in needs.items():
        if run and used + need > budget:
            yield run
            run, used = [], 0.0
        run.append(index)
        used += need
    if run:
        yield run
