"""The part *kinds*: which stimuli drive each neuron, against twins, and how it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import nn

from circuitome.extract.annotate.kinds import SILENT, UNEXPLAINED
from circuitome.extract.annotate.layer_kinds import SHOWN, LayerResponses, cell_means, layer_kinds
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.records import neuron_column
from circuitome.extract.annotate.scoring import batches
from circuitome.extract.annotate.session import NATURAL, Session
from circuitome.extract.responses.cells import CellStatistics, Top
from circuitome.extract.responses.probes import plan
from circuitome.extract.responses.stage import Stage
from circuitome.extract.responses.twins import twin
from circuitome.extract.stimuli.catalogue import Catalogue, catalogue
from circuitome.extract.stimuli.ensemble import natural_like
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle

__all__ = ["PART", "show"]

BUDGET: Final = 4e8
"""Bytes of statistics that are collected at a time."""
SCARCE: Final = 4
"""Probes with so few patches an image, or fewer, show the short catalogue."""


def _measure(session: Session) -> None:
    records, subject, options = session.records, session.subject, session.options
    probes = plan(session.wiring)
    waiting = [[i for i in probe.layers if not records.has("kinds", i)] for probe in probes]
    if not any(waiting):
        return
    twins = _twins(session)
    for number, (probe, layers) in enumerate(zip(probes, waiting, strict=True), start=1):
        if not layers:
            continue
        shown = catalogue(
            probe.side,
            session.radius(probe),
            seed=options.seed,
            device=subject.device,
            scarce=probe.patches <= SCARCE,
        )
        size = len(shown.cells) * 16.0 * (1 + options.twins)
        needs = {index: size * session.wiring.layers[index].channels for index in layers}
        report = partial(options.report, f"kinds, probe {number} of {len(probes)}")
        for together in batches(layers, needs.__getitem__, BUDGET):
            stage = Stage.of(subject, probe, together)
            for index, responses in show(stage, together, shown, twins, report).items():
                records.keep(f"{index}.safetensors", cell_means(responses.own, shown))
                columns = layer_kinds(subject, index, responses, shown, seed=options.seed)
                records.put("kinds", index, columns)
    records.note("stimuli_sha256", catalogue(64, 16.0, seed=options.seed).hash)


def _twins(session: Session) -> list[nn.Module]:
    options, subject = session.options, session.subject
    natural = natural_like(min(NATURAL, 32), session.side, seed=options.seed + 1, device="cpu")
    images = subject.prepared(natural)
    seeds = (options.seed * 1000 + number for number in range(options.twins))
    return [twin(subject.model, seed, images=images) for seed in seeds]


@torch.no_grad()
def show(
    stage: Stage,
    layers: Sequence[int],
    shown: Catalogue,
    twins: Sequence[nn.Module],
    report: Callable[[int, int], None],
) -> dict[int, LayerResponses]:
    """Responses of a network and its twins to a catalogue; each stimulus is drawn once for all of
    them.
    """
    stages = [stage, *(stage.rebound(other) for other in twins)]
    channels = {index: stage.wiring.layers[index].channels for index in layers}
    found = {
        index: LayerResponses(
            [CellStatistics(len(shown.cells), channels[index]) for _ in stages],
            Top(SHOWN, channels[index]),
        )
        for index in layers
    }
    for start in range(0, len(shown), stage.stride):
        stop = min(start + stage.stride, len(shown))
        images = stage.images(shown.draw(start, stop))
        for place, network in enumerate(stages):
            maps = network.runner(images)
            for index in layers:
                strongest = network.strongest(index, maps[stage.wiring.layers[index].node])
                active = strongest[: stop - start].cpu().numpy()
                found[index].statistics[place].add(shown.cell_of[start:stop], active)
                if place == 0:
                    found[index].top.add(np.arange(start, stop), active)
        report(stop, len(shown))
    return found


def _find(session: Session, bundle: Bundle) -> Findings:
    records, wiring = session.records, session.wiring
    layers = {i: records.get("kinds", i) for i in session.layers}
    names = dict.fromkeys(name for columns in layers.values() for name in columns)
    neurons = {
        name: neuron_column(wiring, {i: columns[name] for i, columns in layers.items()})
        for name in names
    }
    explained = [
        _explained(layers[i]["kind"]) if i in layers else None for i in range(len(wiring.layers))
    ]
    return Findings(
        columns={"Neuron": neurons, "Layer": {"explained": explained}},
        files={f"tuning/{name}": path for name, path in records.kept().items()},
        model=records.notes(),
    )


def _explained(kinds: Sequence[str]) -> float:
    """Share of a layer's neurons whose kind is named."""
    return float(np.mean([kind not in (UNEXPLAINED, SILENT) for kind in kinds]))


PART: Final = Part(_find, _measure)
