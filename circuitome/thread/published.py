"""What the articles of the Circuits thread published, as plain values.

Units are channels of InceptionV1 counted from 0 after concatenation, as the articles write them
(`mixed3b:379`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = [
    "BandedLayer",
    "BranchSlice",
    "Convolution",
    "CuratedFamily",
    "ExpandedKernels",
    "NamedCircuit",
    "OtherNetwork",
    "Tile",
    "TunedUnits",
    "in_layer",
]


@dataclass(frozen=True, slots=True)
class CuratedFamily:
    """One family of neurons of one layer, as the authors sorted them by eye."""

    layer: str
    """The article's layer: `conv2d2`, `mixed3a` ..."""
    title: str
    """The article's name, which other layers may use as well."""
    units: tuple[int, ...]
    """Channels after concatenation, ascending."""


@dataclass(frozen=True, slots=True)
class BranchSlice:
    """The run of a layer's channels that one convolution computes."""

    name: str
    """Name of the convolution: `mixed3b_5x5`; the layer's own if it has no branches."""
    start: int
    """First channel after concatenation."""
    stop: int
    """Channel after the last."""

    @property
    def size(self) -> int:
        """Number of channels."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Convolution:
    """Shape of one convolution."""

    fan_in: int
    """Input channels."""
    kernel: int
    """Side of the kernel, pixels."""
    stride: int
    """Pixels between positions."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One kernel that was decoded from a figure of an article."""

    sender: str
    """Unit such as `mixed3a:147`, or the name of a factor over several units."""
    receiver: str
    """Unit such as `mixed3b:379`."""
    kernel: np.ndarray
    """``(5, 5)`` float32, rows downwards; 1 is the figure's saturated colour."""
    figure: str
    """Repository and path of the figure; each figure has its own scale."""
    flag: str | None
    """Why the tile is doubtful, None if it is not."""


@dataclass(frozen=True, slots=True)
class TunedUnits:
    """Responses of some units of a layer to synthetic curves at all angles."""

    units: tuple[int, ...]
    """Channels after concatenation."""
    responses: np.ndarray
    """``(units, angles)`` float64, activation units after the ReLU."""

    @property
    def angles(self) -> np.ndarray:
        """``(angles,)`` degrees, clockwise on the screen (x = cos, y = sin, y down)."""
        count = self.responses.shape[1]
        return np.arange(count) * 360 / count

    @property
    def preferred(self) -> np.ndarray:
        """``(units,)`` degrees of the largest response, as the articles have it."""
        return self.angles[self.responses.argmax(1)]

    def preferred_of(self) -> dict[int, float]:
        """Degrees of the largest response of each unit, by its channel."""
        return dict(zip(self.units, self.preferred.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class ExpandedKernels:
    """Kernels multiplied out over what lies between conv2d2 and mixed3b, arbitrary units."""

    senders: np.ndarray
    """``(n,)`` channels of conv2d2."""
    receivers: np.ndarray
    """``(m,)`` channels of mixed3b."""
    kernels: np.ndarray
    """``(n, m, 9, 9)`` float64."""


@dataclass(frozen=True, slots=True)
class NamedCircuit:
    """A circuit that an article draws: what it lacks is empty."""

    senders: tuple[str, ...]
    """Units such as `mixed3a:147`."""
    receivers: tuple[str, ...]
    """Units that read them."""
    roles: Mapping[str, str]
    """Sender of each part that the article names: `windows` ..."""
    units: Mapping[str, tuple[str, ...]]
    """Units by layer, for a circuit that is drawn without arrows."""


@dataclass(frozen=True, slots=True)
class OtherNetwork:
    """Where high-low frequency detectors lie in a network, by the article's own count."""

    name: str
    layer: str
    depth: int
    """Number of that layer."""
    layers: int
    """Number of layers of the network."""


@dataclass(frozen=True, slots=True)
class BandedLayer:
    """How much the kernels of one layer of one trained network run in bands."""

    network: str
    """The article's name of the network and its training, such as `VGG19 - fc-only`."""
    layer: str
    """Its layer, as the network's framework names it."""
    ratio: float
    """Variance of the rows' means over that of the columns' means, of three factors."""


def in_layer(unit: str) -> tuple[str, int]:
    """Layer and channel of a unit.

    >>> in_layer("mixed3b:379")
    ('mixed3b', 379)
    """
    layer, _, channel = unit.partition(":")
    return layer, int(channel)
