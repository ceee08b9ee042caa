"""Wiring: a network as layers of neurons, each fed by links from earlier layers.

A *link* says which channels of which layer arrive at which input channels, and through which
*steps* (ReLU, pooling, a gain ...). Every step acts on each channel by itself, so that a channel
can be followed. A layer combines what arrives by one grouped convolution: ``conv`` and ``linear``
with their kernels, ``add`` with one 1x1 kernel per summand and channel, ``norm`` and ``readout``
with one per channel, ``gate`` by multiplying its two operands, ``max`` by the largest of a group.
The wiring and the kernels compute the network: `circuitome.extract.verify` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Required, TypedDict, cast

import numpy as np

from circuitome.errors import CircuitomeError
from circuitome.extract.layout import Layout
from circuitome.extract.spatial import MAPS

__all__ = [
    "OPS",
    "SOURCES",
    "DamagedWiring",
    "Layer",
    "Link",
    "Norm",
    "SeveralImages",
    "Step",
    "Wiring",
    "WiringError",
]

MOST_CHANNELS: Final = 1 << 24  # of one layer: a larger number in a file is damage, not a network
OPS: Final = ("input", "constant", "conv", "linear", "add", "gate", "max", "norm", "readout")
SOURCES: Final = ("input", "constant")
"""Layers that read nothing: the image, and maps that are the same for every image."""


class WiringError(CircuitomeError):
    """A network, or an operation in it, that cannot be wired."""


class SeveralImages(WiringError):
    """A network that cannot be wired on several images at a time; on one perhaps."""


class DamagedWiring(CircuitomeError, ValueError):
    """Plain data that is no wiring."""


class Norm(TypedDict, total=False):
    """What a norm layer does to its operand before its gain."""

    name: Required[str]  # standardize, group_norm, softmax, log_softmax or composed
    dims: Sequence[int]  # of (N, C, H, W) or (N, C, D, H, W), that standardize runs over
    groups: int  # of a group norm
    eps: float  # added to the variance
    formula: Sequence[Sequence[Any]]  # of a composed one: `circuitome.extract.formula`


@dataclass(frozen=True, slots=True)
class Step:
    """One channelwise operation between two layers."""

    name: str  # key of `circuitome.extract.steps.STEPS`
    attrs: Mapping[str, Any] = field(default_factory=dict)  # plain data: kernel size, slope ...
    # argument -> array of the kernel file, one value a channel
    vectors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """Channels of one layer that arrive at one operand of a later one, all by the same steps."""

    source: int  # index of the layer that they come from
    operand: int  # 0, or which summand of an add, or 1 for the gate of a gate
    channels: np.ndarray  # (n,) channels of the source
    positions: np.ndarray  # (n,) where they arrive in the operand
    path: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A set of neurons."""

    name: str  # dotted module path, or the name of the export's node
    op: str  # one of `OPS`
    node: str  # the export's node whose value is the neurons' pre-activation
    channels: int
    size: tuple[int, ...]  # height and width of its maps; depth, height and width of volumes
    # the export's nodes that hold each operand; "" if none does
    operands: tuple[str, ...] = ()
    width: int = 0  # channels of an operand
    kernel: tuple[int, ...] = (1, 1)  # along each axis of ``size``, as what follows
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    output_padding: tuple[int, ...] | None = None  # not None: a transposed convolution
    norm: Norm | None = None
    links: tuple[Link, ...] = ()
    receptive_field: tuple[int, ...] = (1, 1)
    depth: float = 0.0
    labels: tuple[str, ...] = ()

    @property
    def fan_in(self) -> int:
        """Input channels of one group; summands of an add."""
        return len(self.operands) if self.op in ("add", "gate") else self.width // self.groups

    @property
    def kernel_rows(self) -> int:
        """Pairs of a neuron and one of its inputs."""
        return self.channels * self.fan_in

    @property
    def sources(self) -> frozenset[int]:
        """The layers that it reads."""
        return frozenset(link.source for link in self.links)


@dataclass(frozen=True)
class Wiring:
    """All layers in the order of computation; a link's source is an index into them."""

    layers: tuple[Layer, ...]
    # of the export's nodes that layers name
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    @cached_property
    def offsets(self) -> np.ndarray:
        """First neuron of every layer in the numbering of all neurons, ``(layers + 1,)``."""
        return np.cumsum([0] + [layer.channels for layer in self.layers])

    @cached_property
    def row_offsets(self) -> np.ndarray:
        """First kernel row of every layer in the numbering of all rows, ``(layers + 1,)``."""
        return np.cumsum([0] + [layer.kernel_rows for layer in self.layers])

    def neurons(self, index: int) -> np.ndarray:
        """Numbers of a layer's neurons among all, ``(channels,)``."""
        return np.arange(self.offsets[index], self.offsets[index + 1])

    def spread(self, values: Sequence[str] | Sequence[float]) -> np.ndarray:
        """One value a layer as one a neuron."""
        return np.repeat(values, np.diff(self.offsets))

    def reads_image(self, index: int) -> bool:
        """Whether everything that a layer reads is the input."""
        return all(self.layers[source].op in SOURCES for source in self.layers[index].sources)

    @property
    def seeing(self) -> frozenset[str]:
        """Names of the layers that read the input alone."""
        reading = (index for index, layer in enumerate(self.layers) if layer.sources)
        return frozenset(self.layers[index].name for index in reading if self.reads_image(index))

    def to_json(self) -> dict[str, object]:
        """Plain data for ``wiring.json``; runs of channels are written as ``{from, to}``."""
        return {
            "layers": [_layer_to_json(layer) for layer in self.layers],
            "layouts": {
                node: {"dims": layout.dims, "sizes": layout.sizes}
                for node, layout in self.layouts.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Wiring:
        """The wiring that `to_json` wrote; `DamagedWiring` where it did not."""
        try:
            return cls._from_json(cast("_Written", data))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DamagedWiring(
                f"the bundle's wiring.json is damaged ({error}); extract the bundle again"
            ) from error

    @classmethod
    def _from_json(cls, data: _Written) -> Wiring:
        layers = tuple(_layer_from_json(entry) for entry in data["layers"])
        rank = len(layers[0].size) if layers else MAPS
        layouts = {
            node: Layout(tuple(map(tuple, entry["dims"])), entry["sizes"], rank)
            for node, entry in data["layouts"].items()
        }
        return cls(layers, layouts)


class _WrittenStep(TypedDict):
    name: str
    attrs: dict[str, object]
    vectors: dict[str, str]


class _WrittenLink(TypedDict):
    source: int
    operand: int
    channels: list[int] | dict[str, int]  # numbers, or ``{from, to}``
    positions: list[int] | dict[str, int]
    path: list[_WrittenStep]


class _WrittenLayout(TypedDict):
    dims: list[list[str]]
    sizes: dict[str, int]


class _Written(TypedDict):
    """A wiring as plain data, if it is not damaged."""

    layers: list[dict[str, Any]]  # fields of `Layer`
    layouts: dict[str, _WrittenLayout]


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _layer_to_json(layer: Layer) -> dict[str, object]:
    fields: dict[str, object] = asdict(replace(layer, links=()))
    del fields["links"]
    return fields | {"links": [_link_to_json(link) for link in layer.links]}


def _layer_from_json(data: dict[str, Any]) -> Layer:
    fields = {name: _tupled(value) for name, value in data.items() if name != "links"}
    return Layer(**fields, links=tuple(_link_from_json(link) for link in data["links"]))


def _link_to_json(link: Link) -> dict[str, object]:
    return {
        "source": link.source,
        "operand": link.operand,
        "channels": _indices_to_json(link.channels),
        "positions": _indices_to_json(link.positions),
        "path": [asdict(step) for step in link.path],
    }


def _link_from_json(data: _WrittenLink) -> Link:
    channels = _indices_from_json(data["channels"])
    positions = _indices_from_json(data["positions"])
    if channels.shape != positions.shape:
        raise ValueError(f"a link has {len(channels)} channels and {len(positions)} positions")
    path = tuple(Step(step["name"], step["attrs"], step["vectors"]) for step in data["path"])
    return Link(int(data["source"]), int(data["operand"]), channels, positions, path)


def _indices_to_json(indices: np.ndarray) -> list[int] | dict[str, int]:
    if len(indices) and np.array_equal(indices, np.arange(indices[0], indices[0] + len(indices))):
        return {"from": int(indices[0]), "to": int(indices[0]) + len(indices)}
    return indices.tolist()


def _indices_from_json(data: list[int] | dict[str, int]) -> np.ndarray:
    if isinstance(data, Sequence):
        return np.asarray(data, dtype=np.int64)
    first, end = data["from"], data["to"]
    if not 0 <= first <= end <= MOST_CHANNELS:
        raise ValueError(f"a run of channels from {first} to {end}")
    return np.arange(first, end, dtype=np.int64)
