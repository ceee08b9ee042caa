"""Scores for equivariance: every neuron of a layer against every other under every transform, and the same on null layers.

``score(i, j)`` of a transform g is the correlation, over presentations of stimuli, of neuron i's activation to a stimulus with
neuron j's to the stimulus under g, each read at the unit that the stimulus is centred on. *Null layers* read the very same
inputs through surrogate filters (`circuitome.extract.responses.twins`), rescaled to the real neuron's mean and spread; so a null costs one
matrix product. An addition has no filters: its null layers add the operands' channels in random pairings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.annotate.pairs import GroupScores
from circuitome.extract.responses.probes import Probe, Sight, assemble
from circuitome.extract.responses.runner import Runner, activate, corners, patches_at
from circuitome.extract.responses.twins import surrogates
from circuitome.extract.stimuli.transforms import IDENTITY, Transform, steps
from circuitome.extract.verify import read_operand
from circuitome.extract.wiring import Wiring

__all__ = ["ANGLES", "WIDEST", "LayerScores", "batches", "can_pair", "memory", "score_layers"]

WIDEST: Final = 768
"""Layers with more neurons are not searched for pairs: their score tables would not fit into memory."""
ANGLES: Final = frozenset({"rotate", "hue", "hue_rotate"})
"""Groups whose amounts are angles."""
PERSPECTIVE: Final = (
    3  # units a side around the centre that are read where one patch fills the image
)


class _Stimuli(Protocol):
    def draw(self, transform: Transform, start: int, stop: int) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class LayerScores:
    """Scores of one layer."""

    groups: tuple[GroupScores, ...]  # empty where pairs were not searched
    invariance: Mapping[
        str, np.ndarray
    ]  # by group, (C,): lowest correlation of a neuron with itself under it


def can_pair(wiring: Wiring, index: int) -> bool:
    """Whether pairs are searched in a layer: it has filters or adds, more than the output reads it, and it is not too wide."""
    layer = wiring.layers[index]
    filters = layer.op in ("conv", "linear") and layer.output_padding is None
    read = any(
        link.source == index
        for other in wiring.layers
        if other.op != "readout"
        for link in other.links
    )
    return (filters or layer.op == "add") and read and 2 <= layer.channels <= WIDEST


@dataclass(slots=True)
class _Task:
    """One layer while its transforms go by."""

    index: int
    kernels: Tensor | None  # (1 + S, groups, C / groups, D): the real filters, then the surrogates
    pairings: Tensor | None  # (1 + S, operands, C): channel of each operand that goes into each sum
    bias: Tensor
    gain: Tensor | None = None  # (1 + S, C, 1): makes null pre-activations as wide as the real ones
    shift: Tensor | None = None
    first: Tensor | None = None  # (1 + S, C, M) standardised activations without a transform


@torch.no_grad()
def score_layers(
    runner: Runner,
    probe: Probe,
    looks: Sequence[Sight],
    layers: Sequence[int],
    stimuli: _Stimuli,
    *,
    presentations: int,
    groups: Sequence[str],
    arrays: Mapping[str, np.ndarray],
    biases: Sequence[np.ndarray],
    nulls: int,
    seed: int,
    advance: Callable[[], None],
) -> dict[int, LayerScores]:
    """Scores of some layers of a probe under every transform of ``groups``.

    ``runner`` gives the maps of the layers and of their sources. ``presentations`` patches are drawn for every transform.
    """
    wiring = runner.wiring
    tasks = [_task(wiring, index, arrays, biases, nulls, seed) for index in layers]
    everything = [(group, transform) for group in groups for transform in steps(group)]
    found: dict[int, dict[str, list[np.ndarray]]] = {
        index: {group: [] for group in groups} for index in layers
    }
    plain: dict[int, np.ndarray] = {}
    for group, transform in [("", IDENTITY), *everything]:
        values = _presented(
            runner, probe, looks, tasks, stimuli, transform, presentations, arrays, advance
        )
        for task, raw in zip(tasks, values, strict=True):
            standard = _standardised(wiring, task, raw, arrays)
            if task.first is None:
                task.first = standard
                plain[task.index] = _products(task, standard)
            else:
                found[task.index][group].append(_products(task, standard))
    return {
        task.index: _layer_scores(wiring, task.index, plain[task.index], found[task.index], groups)
        for task in tasks
    }


def _task(
    wiring: Wiring,
    index: int,
    arrays: Mapping[str, np.ndarray],
    biases: Sequence[np.ndarray],
    nulls: int,
    seed: int,
) -> _Task:
    layer = wiring.layers[index]
    bias = torch.as_tensor(biases[index]).view(1, -1, 1)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    if not can_pair(wiring, index):
        return _Task(index, None, None, bias)
    kernel = torch.as_tensor(arrays[f"kernel/{layer.name}"])
    if layer.op == "add":
        count = len(layer.operands)
        shuffled = [
            [torch.randperm(layer.channels, generator=generator) for _ in range(count)]
            for _ in range(nulls)
        ]
        straight = [torch.arange(layer.channels)] * count
        return _Task(
            index, None, torch.stack([torch.stack(rows) for rows in [straight, *shuffled]]), bias
        )
    null = surrogates(kernel, nulls, generator=generator, colours=wiring.reads_image(index))
    every = torch.cat([kernel[None], null.to(kernel)])
    return _Task(
        index,
        every.reshape(1 + nulls, layer.groups, layer.channels // layer.groups, -1),
        None,
        bias,
    )


def _presented(
    runner: Runner,
    probe: Probe,
    looks: Sequence[Sight],
    tasks: Sequence[_Task],
    stimuli: _Stimuli,
    transform: Transform,
    presentations: int,
    arrays: Mapping[str, np.ndarray],
    advance: Callable[[], None],
) -> list[Tensor]:
    """Pre-activations of every task at the units that look at the patches, ``(1 + S, C, M)`` each."""
    points = [
        _points(probe, looks[task.index], transform, runner.wiring.layers[task.index].size)
        for task in tasks
    ]
    parts: list[list[Tensor]] = [[] for _ in tasks]
    for start in range(0, presentations, runner.batch * probe.patches):
        stop = min(start + runner.batch * probe.patches, presentations)
        maps = runner(assemble(probe, stimuli.draw(transform, start, stop)))
        for part, task, (rows, columns) in zip(parts, tasks, points, strict=True):
            part.append(_read(runner.wiring, task, maps, rows, columns, arrays))
        advance()
    return [torch.cat(part, dim=2) for part in parts]


def _points(
    probe: Probe, sight: Sight, transform: Transform, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Unit coordinates ``(P,)`` that look at the patches' centres, and where a patch fills the image at places around it.

    Places around the centre move with the transform.
    """
    reach = PERSPECTIVE // 2 if probe.whole and min(size) >= PERSPECTIVE + 2 else 0
    steps_y, steps_x = np.meshgrid(
        *(np.arange(-reach, reach + 1, dtype=np.float64),) * 2, indexing="ij"
    )
    away_y, away_x = (torch.as_tensor(steps.reshape(-1)) for steps in (steps_y, steps_x))
    moved_x, moved_y = transform.inverse().coordinates(
        away_x * sight.jump[1], away_y * sight.jump[0]
    )
    rows, columns = [], []
    for y in probe.centres[0]:
        for x in probe.centres[1]:
            rows.append((y - sight.start[0] + moved_y) / sight.jump[0])
            columns.append((x - sight.start[1] + moved_x) / sight.jump[1])
    row, column = torch.cat(rows).float(), torch.cat(columns).float()
    return _near_whole(row).clamp(0, size[0] - 1), _near_whole(column).clamp(0, size[1] - 1)


def _near_whole(places: Tensor) -> Tensor:
    """Coordinates without the rounding errors that would make two reads of one."""
    whole = places.round()
    return torch.where((places - whole).abs() < 1e-4, whole, places)


def _read(
    wiring: Wiring,
    task: _Task,
    maps: Mapping[str, Tensor],
    rows: Tensor,
    columns: Tensor,
    arrays: Mapping[str, np.ndarray],
) -> Tensor:
    """Pre-activations ``(1 + S, C, m)`` of the real layer and its null layers at some units."""
    layer = wiring.layers[task.index]
    device = next(iter(maps.values())).device
    rows, columns = rows.to(device), columns.to(device)
    if task.kernels is not None:
        seen = patches_at(layer, read_operand(wiring, layer, 0, arrays, maps), rows, columns)
        values = task.kernels.to(device) @ seen
        return values.reshape(len(values), layer.channels, -1) + task.bias.to(device)
    if task.pairings is None:
        return _at(maps[layer.node], rows, columns)[None]
    weights = torch.as_tensor(arrays[f"kernel/{layer.name}"], device=device)[:, :, 0, 0]
    operands = [
        _at(read_operand(wiring, layer, number, arrays, maps), rows, columns)
        * weights[:, number, None]
        for number in range(len(layer.operands))
    ]
    sums = [
        sum(operand[channels] for operand, channels in zip(operands, rows_of, strict=True))
        for rows_of in task.pairings
    ]
    return torch.stack([torch.as_tensor(total) for total in sums]) + task.bias.to(device)


def _at(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maps ``(n, C, h, w)`` at unit coordinates, interpolated linearly: ``(C, n * P)``."""
    total = torch.zeros(maps.shape[0], maps.shape[1], len(rows), device=maps.device)
    for y, x, weight in corners(rows, columns):
        total += weight * maps[:, :, y.clamp(max=maps.shape[2] - 1), x.clamp(max=maps.shape[3] - 1)]
    return total.transpose(0, 1).reshape(maps.shape[1], -1)


def _standardised(
    wiring: Wiring, task: _Task, raw: Tensor, arrays: Mapping[str, np.ndarray]
) -> Tensor:
    """Activations with mean 0 and length 1 over the presentations; zero where a neuron says nothing."""
    if task.gain is None:
        mean, sd = raw.mean(2, keepdim=True), raw.std(2, keepdim=True)
        task.gain = torch.where(sd > 0, sd[:1] / sd.clamp(min=1e-30), torch.zeros_like(sd))
        task.shift = mean[:1] - mean * task.gain
        task.gain[0], task.shift[0] = 1, 0
    assert task.shift is not None
    active = activate(wiring, task.index, raw * task.gain + task.shift, arrays)
    centred = active - active.mean(2, keepdim=True)
    length = centred.norm(dim=2, keepdim=True)
    heard = length > 1e-5 * active.abs().amax(2, keepdim=True) * active.shape[2] ** 0.5
    return torch.where(heard, centred / length.clamp(min=1e-30), torch.zeros_like(centred))


def _products(task: _Task, standard: Tensor) -> np.ndarray:
    """Scores ``(1 + S, C, C)``; of layers that are not searched ``(1, C)``, each neuron with itself."""
    assert task.first is not None
    if task.kernels is None and task.pairings is None:
        return (task.first * standard).sum(2).cpu().numpy()
    return (task.first @ standard.transpose(1, 2)).cpu().numpy()


def _layer_scores(
    wiring: Wiring,
    index: int,
    plain: np.ndarray,
    found: Mapping[str, Sequence[np.ndarray]],
    groups: Sequence[str],
) -> LayerScores:
    own = {
        group: np.min([_self(scores) for scores in found[group]], axis=0).astype(np.float64)
        for group in groups
        if found[group]
    }
    if not can_pair(wiring, index):
        return LayerScores((), own)
    return LayerScores(
        tuple(_group_scores(group, plain, found[group]) for group in groups if found[group]), own
    )


def _self(scores: np.ndarray) -> np.ndarray:
    return scores[0] if scores.ndim == 2 else np.diagonal(scores[0])


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
    tables = (
        channels * channels * transforms * (1 + nulls)
        if can_pair(wiring, index)
        else channels * transforms
    )
    return 4.0 * (tables + 3 * channels * samples * (1 + nulls))


def batches(
    wiring: Wiring, layers: Sequence[int], bytes_each: Callable[[int], float], budget: float
) -> Iterator[list[int]]:
    """Runs of layers whose memory together stays within ``budget``; a layer beyond it stands alone."""
    run: list[int] = []
    used = 0.0
    for index in layers:
        need = bytes_each(index)
        if run and used + need > budget:
            yield run
            run, used = [], 0.0
        run.append(index)
        used += need
    if run:
        yield run
