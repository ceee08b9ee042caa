"""The part *responses*: activity on natural-like images, and effective receptive fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import torch
from torch import Tensor

from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.records import neuron_column
from circuitome.extract.annotate.session import NATURAL, Session
from circuitome.extract.responses.moments import Moments, effective_fields, natural_moments
from circuitome.extract.stimuli.ensemble import natural_like
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
    subject, layers, options = session.subject, session.layers, session.options
    runner = subject.runner(layers)
    pictures = _pictures(session)
    total = -(-NATURAL // runner.batch) + -(-len(pictures) // runner.batch) + 1
    count = iter(range(1, total + 1))

    def advance() -> None:
        options.report("responses", next(count), total)

    own = _batched(pictures, runner.batch, subject.device)
    shown = chain(_natural(session, runner.batch), own)
    moments = natural_moments(runner, shown, subject.arrays, advance)
    scenes = natural_like(2, session.side, seed=options.seed, device=subject.device)
    fields = effective_fields(subject.runner(layers, batch=2), scenes)
    advance()
    entry = {str(i): moments[i].to_json() | {"field": list(fields[i])} for i in layers}
    session.records.put("responses", 0, entry)


def _pictures(session: Session) -> list[Tensor]:
    """A person's own pictures, ``(3, H, W)`` each; empty without a folder."""
    folder = session.options.images
    return [] if folder is None else [image for _, image in read_images(folder, session.side)]


def _natural(session: Session, batch: int) -> Iterator[Tensor]:
    seed, device = session.options.seed * 1_000_003, session.subject.device
    for start in range(0, NATURAL, batch):
        count = min(batch, NATURAL - start)
        yield natural_like(count, session.side, seed=seed + start, device=device)


def _batched(pictures: Sequence[Tensor], batch: int, device: torch.device) -> Iterator[Tensor]:
    for start in range(0, len(pictures), batch):
        yield torch.stack(list(pictures[start : start + batch])).to(device)


def _find(session: Session, bundle: Bundle) -> Findings:
    entry, wiring = session.records.get("responses", 0), session.wiring
    moments = {index: Moments.from_json(entry[str(index)]) for index in session.layers}
    neurons = {}
    for column, name in _COLUMNS.items():
        values = {i: getattr(own, name) for i, own in moments.items()}
        neurons[column] = neuron_column(wiring, values)
    fields = session.fields()
    layers = [list(fields[i]) if i in fields else None for i in range(len(wiring.layers))]
    return Findings(
        columns={"Neuron": neurons, "Layer": {"effective_receptive_field": layers}},
        model={"twins": session.options.twins},
    )


PART: Final = Part(_find, measure)
