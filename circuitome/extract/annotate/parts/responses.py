"""The part *responses*: activity on natural-like images, and effective receptive fields."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

import numpy as np
import torch
from torch import Tensor

from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.records import neuron_columns
from circuitome.extract.annotate.session import NATURAL, Session
from circuitome.extract.responses.moments import Moments, effective_fields, natural_moments
from circuitome.extract.stimuli.images import read_images
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle

__all__ = ["PART", "measure"]

_COLUMNS: Final = {
    "mean_response": "mean",
    "sd_response": "sd",
    "max_response": "maximum",
    "sparsity": "sparsity",
}
"""Column of a neuron -> field of `Moments`."""


def measure(session: Session) -> None:
    """Measure every layer's moments and effective field, unless they are recorded."""
    if session.records.has("responses", 0):
        return
    subject = session.subject
    runner = subject.runner(session.layers)
    pictures = _pictures(session)
    total = -(-NATURAL // runner.batch) + -(-len(pictures) // runner.batch) + 1
    advance = session.options.counted("responses", total)
    own = _batched(pictures, runner.batch, subject.device)
    shown = chain(_natural(session, runner.batch), own)
    moments = natural_moments(runner, shown, subject.arrays, advance)
    fields = _fields(session)
    advance()
    entry = {str(i): own.to_json() | {"field": list(fields[i])} for i, own in moments.items()}
    session.records.put("responses", 0, entry)


def _fields(session: Session) -> dict[int, tuple[float, float]]:
    """Effective fields of the layers, on two scenes."""
    scenes = session.scenes(2, seed=session.options.seed)
    return effective_fields(session.subject.runner(session.layers, batch=2), scenes)


def _pictures(session: Session) -> list[Tensor]:
    """A person's own pictures, ``(3, H, W)`` each; empty without a folder."""
    folder = session.options.images
    return [] if folder is None else [image for _, image in read_images(folder, session.side)]


def _natural(session: Session, batch: int) -> Iterator[Tensor]:
    seed = session.options.seed * 1_000_003
    for start in range(0, NATURAL, batch):
        yield session.scenes(min(batch, NATURAL - start), seed=seed + start)


def _batched(pictures: list[Tensor], batch: int, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, len(pictures), batch):
        yield torch.stack(pictures[start : start + batch]).to(device)


def _find(session: Session, bundle: Bundle) -> Findings:
    entry, wiring = session.records.get("responses", 0), session.wiring
    moments = {index: Moments.from_json(entry[str(index)]) for index in session.layers}
    columns = {i: _columns(own) for i, own in moments.items()}
    fields = session.fields()
    layers = [list(fields[i]) if i in fields else None for i in range(len(wiring.layers))]
    return Findings(
        columns={
            "Neuron": neuron_columns(wiring, columns),
            "Layer": {"effective_receptive_field": layers},
        },
        model={"twins": session.options.twins},
    )


def _columns(moments: Moments) -> dict[str, np.ndarray]:
    return {column: getattr(moments, name) for column, name in _COLUMNS.items()}


PART: Final = Part(_find, measure)
