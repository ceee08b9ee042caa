"""The part *kinds*: which stimuli drive each neuron, against twins, and how it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from circuitome.extract.annotate.kinds import SILENT, UNEXPLAINED
from circuitome.extract.annotate.layer_kinds import LayerResponses, cell_means, layer_kinds
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.records import neuron_columns
from circuitome.extract.annotate.scoring import batches
from circuitome.extract.annotate.session import NATURAL, Session
from circuitome.extract.responses.probes import Probe, plan
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
    probes = plan(session.wiring)
    waiting = {probe: _waiting(session, probe) for probe in probes}
    if not any(waiting.values()):
        return
    twins = _twins(session)
    for number, (probe, layers) in enumerate(waiting.items(), start=1):
        if layers:
            report = partial(session.options.report, f"kinds, probe {number} of {len(probes)}")
            _probe(session, probe, layers, twins, report)
    stimuli = catalogue(64, 16.0, seed=session.options.seed)
    session.records.note("stimuli_sha256", stimuli.hash)


def _waiting(session: Session, probe: Probe) -> list[int]:
    """Layers of a probe that have no record."""
    return [index for index in probe.layers if not session.records.has("kinds", index)]


def _probe(
    session: Session,
    probe: Probe,
    layers: Sequence[int],
    twins: Sequence[nn.Module],
    report: Callable[[int, int], None],
) -> None:
    """Show the catalogue to some layers of a probe, and keep their kinds and mean responses."""
    shown = _catalogue(session, probe)
    size = len(shown.cells) * 16.0 * (1 + session.options.twins)
    needs = {index: size * session.wiring.layers[index].channels for index in layers}
    for together in batches(needs, BUDGET):
        stage = Stage.of(session.subject, probe, together)
        for index, responses in show(stage, together, shown, twins, report).items():
            _keep(session, index, responses, shown)


def _catalogue(session: Session, probe: Probe) -> Catalogue:
    return catalogue(
        probe.side,
        session.radius(probe),
        seed=session.options.seed,
        device=session.subject.device,
        scarce=probe.patches <= SCARCE,
    )


def _keep(session: Session, index: int, responses: LayerResponses, shown: Catalogue) -> None:
    records, seed = session.records, session.options.seed
    records.keep(f"{index}.safetensors", cell_means(responses.own, shown))
    columns = layer_kinds(session.subject, index, responses, shown, seed=seed)
    records.put("kinds", index, columns)


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
    networks, cells, of = len(stages), len(shown.cells), stage.wiring.layers
    found = {i: LayerResponses.none_yet(networks, cells, of[i].channels) for i in layers}
    for start in range(0, len(shown), stage.stride):
        trials = np.arange(start, min(start + stage.stride, len(shown)))
        images = stage.images(shown.draw(start, start + len(trials)))
        for place, network in enumerate(stages):
            for index, active in _strongest(network, layers, images):
                found[index].add(place, trials, shown.cell_of[trials], active[: len(trials)])
        report(start + len(trials), len(shown))
    return found


def _strongest(
    network: Stage, layers: Sequence[int], images: Tensor
) -> Iterator[tuple[int, np.ndarray]]:
    """Layer by layer, the largest response ``(patches, C)`` to each patch."""
    maps = network.runner(images)
    for index in layers:
        node = network.wiring.layers[index].node
        yield index, network.strongest(index, maps[node]).cpu().numpy()


def _find(session: Session, bundle: Bundle) -> Findings:
    records, wiring = session.records, session.wiring
    layers = {i: records.get("kinds", i) for i in session.layers}
    explained = [
        _explained(layers[i]["kind"]) if i in layers else None for i in range(len(wiring.layers))
    ]
    return Findings(
        columns={"Neuron": neuron_columns(wiring, layers), "Layer": {"explained": explained}},
        files={f"tuning/{name}": path for name, path in records.kept().items()},
        model=records.notes(),
    )


def _explained(kinds: Sequence[str]) -> float:
    """Share of a layer's neurons whose kind is named."""
    return float(np.mean([kind not in (UNEXPLAINED, SILENT) for kind in kinds]))


PART: Final = Part(_find, _measure)
