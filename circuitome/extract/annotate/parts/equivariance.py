"""The part *equivariance*: pairs of neurons under a transform, and what they are invariant to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import numpy as np

from circuitome.extract.annotate.pairs import Pair
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.records import neuron_columns
from circuitome.extract.annotate.relations import Relations, pairs_from_json, pairs_to_json
from circuitome.extract.annotate.scoring import Nulls, batches, memory, score_layers
from circuitome.extract.annotate.session import Session
from circuitome.extract.annotate.weight_evidence import weight_pairs
from circuitome.extract.responses.probes import Probe, plan
from circuitome.extract.responses.stage import Stage
from circuitome.extract.stimuli.ensemble import Ensemble, ensemble
from circuitome.extract.stimuli.transforms import GROUPS, steps
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import Row, table_of, text
from circuitome.vocabulary import INVARIANT

__all__ = [
    "PART",
    "layer_shares",
    "measure_relations",
    "relations",
    "samples",
    "sources",
    "stimuli_for",
]

BUDGET: Final = 4e8
"""Bytes of score tables that are collected at a time."""
FEWEST: Final = 112
"""Presentations if one patch fills the image ..."""
MOST: Final = 512
"""... and if many fit."""
_TRANSFORMS: Final = 1 + sum(len(steps(group)) for group in GROUPS)
"""Transforms under which every stimulus is shown, none included."""


def _measure(session: Session) -> None:
    if "families" not in session.wanted:  # they look at the same scores
        measure_relations(session, "equivariance")


def measure_relations(session: Session, part: str) -> None:
    """Score every layer under every transform, and keep pairs, families if they are the part, and
    invariance.
    """
    probes = plan(session.wiring)
    for number, probe in enumerate(probes, start=1):
        stage = f"equivariance, probe {number} of {len(probes)}"
        for index, found in _scored(session, probe, part, stage):
            session.records.put(part, index, found.to_json())
    _weigh(session, part)


def _scored(
    session: Session, probe: Probe, part: str, stage: str
) -> Iterator[tuple[int, Relations]]:
    """What is found in each layer of a probe that has no record yet."""
    subject, options = session.subject, session.options
    stimuli, nulls = stimuli_for(session, probe), _nulls(session)
    waiting = [index for index in probe.layers if not session.records.has(part, index)]
    needs = {index: _needs(session, probe, index) for index in waiting}
    for layers in batches(needs, BUDGET):
        seen = Stage.of(subject, probe, [*layers, *sources(session.wiring, layers)])
        advance = options.counted(stage, _TRANSFORMS * -(-len(stimuli) // seen.stride))
        asked = dict.fromkeys(layers, GROUPS)
        scores = score_layers(seen, asked, stimuli, nulls=nulls, advance=advance)
        for index, found in scores.items():
            yield index, Relations.of(found, families=part == "families")


def stimuli_for(session: Session, probe: Probe) -> Ensemble:
    """What the layers of a probe are shown."""
    shown, radius = FEWEST if probe.whole else MOST, session.radius(probe)
    device = session.subject.device
    return ensemble(shown, probe.side, radius, seed=session.options.seed, device=device)


def _nulls(session: Session) -> Nulls:
    return Nulls(session.options.twins, session.options.seed)


def _needs(session: Session, probe: Probe, index: int) -> float:
    """Bytes that the scores of a layer of a probe take."""
    return memory(session.wiring, index, _TRANSFORMS, session.options.twins, samples(probe))


def samples(probe: Probe) -> int:
    """Presentations to every layer of a probe."""
    return FEWEST * 9 if probe.whole else MOST


def sources(wiring: Wiring, layers: Iterable[int]) -> list[int]:
    """Layers that some layers read."""
    return [link.source for index in layers for link in wiring.layers[index].links]


def _weigh(session: Session, part: str) -> None:
    """Evidence from weights, once the layers have all been looked at by responses."""
    known = _read(session, part)
    for number, index in enumerate(known, start=1):
        if not session.records.has("weights", index):
            pairs = weight_pairs(session.subject, index, known, _nulls(session))
            session.records.put("weights", index, pairs_to_json(pairs))
        session.options.report("equivariance, by weights", number, len(known))


def relations(session: Session) -> dict[int, Relations]:
    """What is recorded of every layer: by the families, if they are wanted, who look at the
    same.
    """
    return _read(session, "families" if "families" in session.wanted else "equivariance")


def _read(session: Session, part: str) -> dict[int, Relations]:
    return {i: Relations.from_json(session.records.get(part, i)) for i in session.layers}


def _find(session: Session, bundle: Bundle) -> Findings:
    known = relations(session)
    rows = list(_pair_rows(session, bundle.model, known))
    layers = {
        "equivariant": layer_shares(session, known, _partners(rows)),
        "in_families": layer_shares(session, known, ()),
        "invariant": [_invariant(known.get(i)) for i in range(len(session.wiring.layers))],
    }
    neurons = {i: _invariances(found) for i, found in known.items()}
    return Findings(
        columns={"Neuron": neuron_columns(session.wiring, neurons), "Layer": layers},
        tables={"EQUIVARIANT_TO": table_of("EQUIVARIANT_TO", rows)},
    )


def _partners(rows: Iterable[Row]) -> set[str]:
    """Neurons that are in a pair by their responses."""
    pairs = [(text(row, "from"), text(row, "to")) for row in rows if row["evidence"] == "responses"]
    return set(chain.from_iterable(pairs))


def _invariances(found: Relations) -> dict[str, np.ndarray]:
    """Columns of a layer's neurons, one a group; hue with a rotation is no group of its own."""
    groups = [group for group in found.invariance if group != "hue_rotate"]
    return {f"invariance_{group}": found.invariance[group] for group in groups}


def layer_shares(
    session: Session, known: Mapping[int, Relations], neurons: Iterable[str]
) -> list[float | None]:
    """Share of every layer's neurons that are among some; None for layers that were not
    searched.
    """
    counts = Counter(key.rpartition(":")[0].partition("/")[2] for key in neurons)
    return [
        counts[layer.name] / layer.channels if index in known and known[index].searched else None
        for index, layer in enumerate(session.wiring.layers)
    ]


def _invariant(found: Relations | None) -> float | None:
    """Share of a layer's neurons that rotation leaves alone."""
    if found is None or not len(found.invariance.get("rotate", ())):
        return None
    return float((found.invariance["rotate"] >= INVARIANT).mean())


def _pair_rows(session: Session, model: str, known: Mapping[int, Relations]) -> Iterator[Row]:
    for index, found in known.items():
        layer = f"{model}/{session.wiring.layers[index].name}"
        weighed = pairs_from_json(session.records.get("weights", index))
        for evidence, pairs in (("responses", found.pairs), ("weights", weighed)):
            for pair in pairs:
                yield _pair_row(layer, pair, evidence)


def _pair_row(layer: str, pair: Pair, evidence: str) -> Row:
    return {
        "from": f"{layer}:{pair.i}",
        "to": f"{layer}:{pair.j}",
        "transform": pair.group,
        "amount": pair.amount,
        "turn": pair.turn if pair.group == "hue_rotate" else None,
        "score": pair.score,
        "baseline": pair.baseline,
        "p": pair.p,
        "q": pair.q,
        "evidence": evidence,
    }


PART: Final = Part(_find, _measure)
