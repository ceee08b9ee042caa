"""Null layers for families: as many of each layer as its families need to be told from chance.

Ten null layers cannot make one family of a network of a hundred layers and groups significant. So
of those layers in which a family stands out, further null layers are drawn, and looked at under the
groups in which it does, until ten have a family as strong or q can fall below `Q_MAX`
(`circuitome.extract.annotate.significance`). What was drawn is recorded layer by layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from circuitome.extract.annotate.families import null_strengths
from circuitome.extract.annotate.parts.equivariance import samples, sources, stimuli_for
from circuitome.extract.annotate.relations import Relations
from circuitome.extract.annotate.scoring import Nulls, batches, memory, score_layers
from circuitome.extract.annotate.session import Session
from circuitome.extract.annotate.significance import Cell, nulls_needed
from circuitome.extract.responses.probes import Probe, plan
from circuitome.extract.responses.stage import Stage
from circuitome.extract.stimuli.transforms import steps

__all__ = ["cells_of", "draw_nulls"]

RECORDS: Final = "family_nulls"
BUDGET: Final = 1e9
"""Bytes of score tables that are collected at a time."""
FEW: Final = 10
"""Null layers that are drawn at a time at least."""
MOST: Final = 2000
"""Null layers that are drawn of a layer; beyond that a family stays insignificant."""

Cells = dict[tuple[int, str], Cell]
Strengths = dict[str, list[float]]
"""By group, the strengths of the strongest family of each further null layer of a layer."""


def cells_of(session: Session, known: Mapping[int, Relations]) -> Cells:
    """The cells of a network, by layer and group, with what was drawn of them so far."""
    cells: Cells = {}
    for index, found in known.items():
        drawn = _drawn(session, index)
        for group, first in found.chance.items():
            own = [family.strength for family in found.families if family.group == group]
            further = np.array(drawn.get(group, ()), dtype=float)
            cells[index, group] = Cell(max(own, default=0.0), first, further)
    return cells


def _drawn(session: Session, index: int) -> Strengths:
    has = session.records.has(RECORDS, index)
    return session.records.get(RECORDS, index) if has else {}


def draw_nulls(session: Session, known: Mapping[int, Relations]) -> None:
    """Draw further null layers until every family is told from chance or is not."""
    while needed := nulls_needed((cells := cells_of(session, known)).values()):
        waiting: dict[int, list[str]] = {}
        for (index, group), cell in cells.items():
            if cell.open and len(cell.further) < min(needed, MOST):
                waiting.setdefault(index, []).append(group)
        if not waiting:
            return
        for probe in plan(session.wiring):
            own = {index: waiting[index] for index in probe.layers if index in waiting}
            for index, strengths in _strengths(session, probe, own, needed):
                session.records.put(RECORDS, index, strengths)


def _strengths(
    session: Session, probe: Probe, waiting: Mapping[int, list[str]], needed: int
) -> Iterator[tuple[int, Strengths]]:
    """All strengths of each layer of a probe, once another batch of null layers is drawn."""
    drawn = {index: _drawn(session, index) for index in waiting}
    sizes = {index: _one(session, probe, index, groups) for index, groups in waiting.items()}
    for layers in batches(sizes, BUDGET / FEW):
        done = max(_count(drawn[index]) for index in layers)
        room = int(BUDGET / sum(sizes[index] for index in layers))
        count = max(FEW, min(needed - done, room))
        found = _fresh(session, probe, {index: waiting[index] for index in layers}, (count, done))
        for index, fresh in found.items():
            own = {group: drawn[index].get(group, []) + more for group, more in fresh.items()}
            yield index, drawn[index] | own


def _one(session: Session, probe: Probe, index: int, groups: Collection[str]) -> float:
    """Bytes that the scores of one null layer take."""
    return memory(session.wiring, index, _transforms(groups), 0, samples(probe))


def _transforms(groups: Iterable[str]) -> int:
    return 1 + sum(len(steps(group)) for group in groups)


def _fresh(
    session: Session, probe: Probe, asked: Mapping[int, list[str]], batch: tuple[int, int]
) -> dict[int, Strengths]:
    """Strengths of some fresh null layers, by layer; ``batch``: how many, after how many."""
    (count, done), options = batch, session.options
    seen = Stage.of(session.subject, probe, [*asked, *sources(session.wiring, asked)])
    stimuli = stimuli_for(session, probe)
    shown = _transforms(set().union(*asked.values())) * -(-len(stimuli) // seen.stride)
    stage = f"families, null layers {done + 1} to {done + count} of {len(asked)} layers"
    nulls = Nulls(options.twins, options.seed, count, batch=1 + done)
    advance = options.counted(stage, shown)
    scores = score_layers(seen, asked, stimuli, nulls=nulls, advance=advance)
    return {
        index: {
            group.group: null_strengths(group, held_to=options.twins).tolist()
            for group in found.groups
        }
        for index, found in scores.items()
    }


def _count(strengths: Strengths) -> int:
    """Null layers drawn so far, of the group with the most."""
    return max(map(len, strengths.values()), default=0)
