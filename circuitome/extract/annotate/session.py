"""What one annotation works with: the network, its bundle, the records of what is finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor, nn

from circuitome.errors import CircuitomeError
from circuitome.extract.annotate.records import Records
from circuitome.extract.inputs import InputShape, as_text, inputs_in, is_picture, shapes_of
from circuitome.extract.responses.moments import layers_to_read
from circuitome.extract.responses.probes import Probe, symmetric_side
from circuitome.extract.responses.runner import Subject
from circuitome.extract.stimuli.ensemble import natural_like
from circuitome.extract.trace.export import batch_of
from circuitome.extract.trace.tracing import Trace, trace
from circuitome.extract.wiring import Wiring, WiringError
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.stores.protocol import Progress
from circuitome.vocabulary import STIMULI

__all__ = [
    "NATURAL",
    "AnnotateError",
    "Options",
    "Session",
    "identity_of",
    "refuse_other_inputs",
    "traced_for",
]

NATURAL: Final = 64
"""Natural-like images that a network is shown."""
METHODS: Final = 3
"""Raised if the same network, shown the same, gets another annotation: earlier ones are made anew.
"""
MARGIN: Final = 1.75
"""Side of the images of stimuli, in effective fields of the layer with the largest."""


class AnnotateError(CircuitomeError):
    """An annotation that cannot be made of what was given."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an annotation is made."""

    twins: int = 10
    """Null networks for kinds, and null layers for equivariance."""
    seed: int = 0
    images: Path | None = None
    """Folder of pictures to show beside the natural-like ones."""
    report: Progress = lambda *_: None

    def counted(self, stage: str, total: int) -> Callable[[], None]:
        """What reports another step of a stage, of ``total``, whenever it is called."""
        done = count(1)
        return lambda: self.report(stage, next(done), total)


@dataclass(frozen=True, slots=True)
class Session:
    """One annotation while it is made."""

    subject: Subject
    options: Options
    records: Records
    wanted: tuple[str, ...]
    """Parts that are made, in their order."""
    identity: Mapping[str, object]
    """What has to be the same for finished layers of an earlier run to count."""

    @property
    def wiring(self) -> Wiring:
        """The network's wiring, at the size of the images."""
        return self.subject.wiring

    @property
    def side(self) -> int:
        """Height of the images, pixels."""
        return self.wiring.layers[0].size[0]

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are looked at."""
        return layers_to_read(self.wiring)

    def fields(self) -> dict[int, tuple[float, float]]:
        """Height and width of every layer's effective field, pixels; the responses are known."""
        entry = self.records.get("responses", 0)
        return {index: tuple(entry[str(index)]["field"]) for index in self.layers}

    def radius(self, probe: Probe) -> float:
        """Half of what the probe's layers see, pixels: the median of their effective fields."""
        fields = self.fields()
        largest = [max(fields[index]) for index in probe.layers]
        return float(np.clip(np.median(largest) / 2, 3.0, probe.side / 2))

    def scenes(self, count: int, *, seed: int) -> Tensor:
        """Natural-like images of the network's size, ``(count, 3, side, side)``."""
        return natural_like(count, self.side, seed=seed, device=self.subject.device)

    def close_up(self) -> Session:
        """The same at the smallest symmetric side that holds what the layers see.

        The rest of the image would cost time and say little. The responses are known.
        """
        layers = self.wiring.layers
        seen = [max(field) for i, field in self.fields().items() if min(layers[i].size) > 1]
        least = int(np.ceil(MARGIN * max(seen, default=self.side)))
        height, width = layers[0].size
        if least >= self.side or height != width:
            return self
        side = symmetric_side(self.wiring, least=least)
        traced = _traced_at(self.wiring, self.subject.model, side) if side < self.side else None
        return self if traced is None else replace(self, subject=self.subject.seen(traced))


def identity_of(bundle: Bundle, options: Options, *, device: str) -> dict[str, str | int | None]:
    """What has to be the same for finished layers of an earlier run to count."""
    folder = options.images
    names = sorted(path.name for path in folder.iterdir()) if folder and folder.is_dir() else []
    return {
        "weights": bundle.manifest.model.get("weights_sha256"),
        "twins": options.twins,
        "seed": options.seed,
        "images": hashlib.sha256(json.dumps(names).encode()).hexdigest() if folder else None,
        "version": version("circuitome"),
        "methods": METHODS,
        "stimuli": hashlib.sha256(json.dumps([*STIMULI]).encode()).hexdigest(),
        "device": device,
    }


def traced_for(bundle: Bundle, model: nn.Module) -> Trace:
    """The network of a bundle at a side at which every grid of units is symmetric, or at its own.

    Raises:
        AnnotateError: the network does not read images, grey or RGB.
    """
    own = Wiring.from_json(bundle.wiring)
    refuse_other_inputs(inputs_in(bundle.manifest), source=str(bundle.path))
    first = own.layers[0]
    if first.op != "input" or min(first.size) < 2 or first.channels not in (1, 3):
        raise AnnotateError(
            f"{bundle.path}: its network reads {first.channels} channels of "
            f"{first.size[0]}x{first.size[1]}; stimuli are images, grey or RGB"
        )
    height, width = first.size
    traced = _traced_at(own, model, symmetric_side(own)) if height == width else None
    traced = traced or trace(model, (first.channels, height, width))
    if batch_of(traced.program) == 1:
        raise AnnotateError(
            f"{bundle.path}: its network takes one image at a time; stimuli are shown in batches"
        )
    return traced


def refuse_other_inputs(inputs: InputShape, *, source: str) -> None:
    """`AnnotateError` for several inputs, or one that is no picture."""
    if is_picture(inputs):
        return
    shapes = shapes_of(inputs)
    axes = len(shapes[0]) - 1
    why = f"its input {as_text(inputs)} has {axes} spatial {'axis' if axes == 1 else 'axes'}"
    if len(shapes) > 1:
        why = f"it takes {len(shapes)} inputs, {as_text(inputs)}"
    raise AnnotateError(f"{source}: {why}; stimuli are single pictures, of 2 spatial axes")


def _traced_at(own: Wiring, model: nn.Module, side: int) -> Trace | None:
    """The network wired at another side; None if it takes no such images."""
    try:
        found = trace(model, (own.layers[0].channels, side, side))
    except WiringError:
        return None
    return found if _names(found.wiring) == _names(own) else None


def _names(wiring: Wiring) -> Sequence[str]:
    return [layer.name for layer in wiring.layers]
