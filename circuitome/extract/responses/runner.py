"""Running a network up to some layers on batches of stimuli, and reading single units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from circuitome.extract.geometry import FieldGeometry
from circuitome.extract.responses.probes import Probe
from circuitome.extract.steps import STEPS, apply
from circuitome.extract.trace.export import export_graph, first_of, program_inputs
from circuitome.extract.trace.tracing import Trace
from circuitome.extract.wiring import Layer, Link, Step, Wiring

__all__ = ["Runner", "Subject", "activate", "corners", "patches_at", "units_around"]

BENT = frozenset(name for name, kind in STEPS.items() if kind.bends)
"""Steps that bend each value by itself: what makes an activation of a pre-activation."""
PIXELS: Final = 400_000
"""Pixels of a batch of images, about: more do not make it faster."""
CPU: Final = torch.device("cpu")
BATCH: Final = 64
"""Images of a batch, at most."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network that is shown images, and how it takes them."""

    model: nn.Module
    """In eval mode."""
    wiring: Wiring
    """Traced at the size of the images."""
    arrays: Mapping[str, np.ndarray]
    """Kernels and vectors, as the bundle's kernel file has them."""
    biases: tuple[np.ndarray, ...] = ()
    """``(C,)`` a layer; needed for null layers alone."""
    device: torch.device = CPU
    mean: Sequence[float] | None = None
    """Subtracted from each channel of RGB in [0, 1] by the network's preprocessing."""
    std: Sequence[float] | None = None
    """Each channel is divided by it afterwards."""

    @classmethod
    def of(cls, model: nn.Module, traced: Trace, device: torch.device = CPU) -> Subject:
        """A traced model without preprocessing, on the CPU unless a device is given."""
        return cls(model, traced.wiring, traced.kernels, traced.biases, device)

    def seen(self, traced: Trace) -> Subject:
        """The same network at another size of the images."""
        return replace(self, wiring=traced.wiring, arrays=traced.kernels, biases=traced.biases)

    def preprocessing(self) -> tuple[Tensor, Tensor]:
        """What is subtracted from images, and what they are divided by, ``(1, C, 1, 1)`` each."""
        channels = self.wiring.layers[0].channels
        shift = torch.tensor(self.mean or [0.0] * channels)
        scale = torch.tensor(self.std or [1.0] * channels)
        return shift.float().view(1, -1, 1, 1), scale.float().view(1, -1, 1, 1)

    def prepared(self, images: Tensor) -> Tensor:
        """RGB images ``(n, 3, H, W)`` in [0, 1] as the model itself takes them, ``(n, C, H,
        W)``.
        """
        shift, scale = self.preprocessing()
        return (_in_channels(images, self.wiring.layers[0].channels) - shift) / scale

    def runner(self, layers: Iterable[int], *, batch: int | None = None) -> Runner:
        """The network up to some layers, for ``batch`` images at a time."""
        height, width = self.wiring.layers[0].size
        return Runner.build(
            self, layers, batch=batch or max(1, min(BATCH, PIXELS // (height * width)))
        )

    def activation(self, index: int, values: Tensor) -> Tensor:
        """What the readers of a layer see of its values ``(n, C, ...)``; see `activate`."""
        return activate(self.wiring, index, values, self.arrays)


@dataclass(frozen=True, slots=True)
class Runner:
    """A network cut off behind the last of some layers; calling it gives those layers' maps."""

    wiring: Wiring
    layers: tuple[int, ...]
    forward: torch.fx.GraphModule
    inputs: tuple[Tensor | None, ...]  # parameters by place; None if the images go
    targets: tuple[str, ...]  # their names in the model's state; empty if there is none
    scale: Tensor  # (1, C, 1, 1) each: what the network's own preprocessing does to RGB in [0, 1]
    shift: Tensor
    batch: int

    @classmethod
    def build(cls, subject: Subject, layers: Iterable[int], *, batch: int) -> Runner:
        """Cut a network behind ``layers``; it will take ``batch`` images at a time."""
        wiring, device = subject.wiring, subject.device
        wanted = tuple(sorted(set(layers)))
        source = wiring.layers[0]
        program = export_graph(subject.model, (source.channels, *source.size), batch=batch)
        nodes = [wiring.layers[index].node for index in wanted]
        forward = torch.fx.GraphModule(program.graph_module, _cut(program.graph, nodes))
        inputs, targets = _inputs(program, device)
        shift, scale = (number.to(device) for number in subject.preprocessing())
        return cls(wiring, wanted, forward, inputs, targets, scale, shift, batch)

    def rebound(self, model: nn.Module) -> Runner:
        """The same for a model of the same wiring with other weights (a twin): nothing is exported
        again.
        """
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        inputs = [
            _placed(state[target].detach(), value.device)
            if value is not None and target in state
            else value
            for target, value in zip(self.targets, self.inputs, strict=True)
        ]
        return replace(self, inputs=tuple(inputs))

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Maps ``(n, C, H, W)`` by the layers' nodes for RGB images ``(n, 3, H, W)`` in [0, 1];
        ``n`` at most ``batch``.
        """
        count = len(images)
        x = _in_channels((images - self.shift) / self.scale, self.wiring.layers[0].channels)
        x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.batch - count)) if count < self.batch else x
        x = x.contiguous(memory_format=torch.channels_last)
        outputs = self.forward(*(x if value is None else value for value in self.inputs))
        nodes = [self.wiring.layers[index].node for index in self.layers]
        layouts = self.wiring.layouts
        return {
            node: layouts[node].canonical(first_of(value))[:count]
            for node, value in zip(nodes, outputs, strict=True)
        }


def _inputs(
    program: ExportedProgram, device: torch.device
) -> tuple[tuple[Tensor | None, ...], tuple[str, ...]]:
    """The fixed inputs of a program by place, None if the images go there, and their names in the
    model's state, empty for those that have none.
    """
    fixed, _ = program_inputs(program)
    names = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs}
    places = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    inputs = tuple(_placed(fixed.get(name), device) for name in places)
    return inputs, tuple(names.get(name) or "" for name in places)


def _cut(graph: torch.fx.Graph, nodes: Sequence[str]) -> torch.fx.Graph:
    """A copy of a graph that ends in some of its nodes."""
    short = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    short.graph_copy(graph, copies)
    by_name = {node.name: copies[node] for node in graph.nodes if node in copies}
    short.output(tuple(by_name[node] for node in nodes))
    short.eliminate_dead_code()
    return short


def _in_channels(images: Tensor, channels: int) -> Tensor:
    """Grey networks see the mean of the colours, as their images would be made."""
    return images.mean(1, keepdim=True) if channels == 1 and images.shape[1] == 3 else images


def _placed(value: object, device: torch.device) -> Tensor | None:
    if not isinstance(value, Tensor):
        return None
    value = value.to(device)
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def activate(
    wiring: Wiring, index: int, values: Tensor, arrays: Mapping[str, np.ndarray]
) -> Tensor:
    """What the readers of a layer see first of its values ``(n, C, ...)``: through their
    nonlinearity.

    A layer keeps its values if its readers differ, or if one reads it as it is (the stream of a
    residual network, a class's logit).
    """
    read = _read_through(wiring, index)
    if not read:
        return values
    maps = values.reshape(*values.shape[:2], -1, 1)
    shaped = maps
    for link, first in read:
        if not first.vectors:
            return apply(first, values, _no_array)
        channels = torch.as_tensor(link.channels, device=values.device)
        shaped = shaped.clone()
        shaped[:, channels] = apply(
            first, maps[:, channels], lambda name: torch.as_tensor(arrays[name]).to(values.device)
        )
    return shaped.reshape(values.shape)


def _read_through(wiring: Wiring, index: int) -> list[tuple[Link, Step]]:
    """Links that read a layer, with the nonlinearity that comes first; empty unless all have the
    same.
    """
    later = chain.from_iterable(layer.links for layer in wiring.layers[index + 1 :])
    links = [link for link in later if link.source == index]
    bent = [(link, link.path[0]) for link in links if _bends(link)]
    kinds = {(first.name, str(sorted(first.attrs.items()))) for _, first in bent}
    return bent if len(bent) == len(links) and len(kinds) == 1 else []


def _bends(link: Link) -> bool:
    """Whether a link reads through a nonlinearity first."""
    return bool(link.path) and link.path[0].name in BENT


def _no_array(name: str) -> Tensor:
    raise KeyError(name)


def units_around(probe: Probe, field: FieldGeometry, maps: Tensor, *, margin: int) -> Tensor:
    """Values of the unit at each patch's centre and its neighbours: ``(n * patches, C, (2 margin +
    1)²)``.

    ``maps`` are ``(n, C, h, w)``. Neighbours beyond the map's edge repeat the last unit.
    """
    height, width = maps.shape[2:]
    steps = np.arange(-margin, margin + 1)
    rows = [np.clip(field.unit(y, 0, height) + steps, 0, height - 1) for y in probe.centres[0]]
    columns = [np.clip(field.unit(x, 1, width) + steps, 0, width - 1) for x in probe.centres[1]]
    down, right = torch.as_tensor(np.stack(rows)), torch.as_tensor(np.stack(columns))
    picked = maps[:, :, down[:, :, None, None], right]
    count, channels = maps.shape[:2]  # (n, C, py, k, px, k)
    return picked.permute(0, 2, 4, 1, 3, 5).reshape(count * probe.patches, channels, -1)


def patches_at(layer: Layer, operand: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """What units of a convolution read: ``(groups, fan_in * kh * kw, n * P)``.

    Args:
        operand: ``(n, width, h, w)``.
        rows, columns: ``(P,)`` unit coordinates in the layer's map; between units the reads are
            interpolated linearly.
    """
    (height, width), (pad_y, pad_x) = layer.kernel, layer.padding
    span_y, span_x = (height - 1) * layer.dilation[0], (width - 1) * layer.dilation[1]
    wide = F.pad(operand, (pad_x + span_x, pad_x + span_x, pad_y + span_y, pad_y + span_y))
    taken = (
        weight.view(1, 1, -1, 1, 1) * _windows(layer, wide, y, x, (span_y, span_x))
        for y, x, weight in corners(rows, columns)
    )
    grouped = reduce(torch.add, taken).unflatten(1, (layer.groups, -1)).flatten(4)
    return grouped.permute(1, 2, 4, 0, 3).flatten(3).flatten(1, 2)


def corners(rows: Tensor, columns: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Whole units around places between them, and their weights in a linear interpolation, ``(P,)``
    each; none of no weight.
    """
    low_y, low_x = rows.floor(), columns.floor()
    for y, weight_y in ((low_y, 1 - (rows - low_y)), (low_y + 1, rows - low_y)):
        for x, weight_x in ((low_x, 1 - (columns - low_x)), (low_x + 1, columns - low_x)):
            weight = weight_y * weight_x
            if weight.any():
                yield y.long(), x.long(), weight


def _windows(layer: Layer, wide: Tensor, y: Tensor, x: Tensor, span: tuple[int, int]) -> Tensor:
    """Kernel windows ``(n, width, P, kh, kw)`` at whole units; windows that would leave the map are
    moved back inside.
    """
    rows = (y * layer.stride[0] + span[0]).clamp(0, wide.shape[2] - 1 - span[0])
    columns = (x * layer.stride[1] + span[1]).clamp(0, wide.shape[3] - 1 - span[1])
    rows = rows[:, None] + torch.arange(layer.kernel[0]) * layer.dilation[0]
    columns = columns[:, None] + torch.arange(layer.kernel[1]) * layer.dilation[1]
    return wide[:, :, rows[:, :, None], columns[:, None, :]]
