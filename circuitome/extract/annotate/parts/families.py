"""The part *families*: neurons of a layer that are one feature up to a group of transforms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from circuitome.extract.annotate.curated import join_families
from circuitome.extract.annotate.families import Found
from circuitome.extract.annotate.family_nulls import cells_of, draw_nulls
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.parts.equivariance import (
    layer_shares,
    measure_relations,
    relations,
)
from circuitome.extract.annotate.relations import Relations
from circuitome.extract.annotate.session import Session
from circuitome.extract.annotate.significance import family_significance, least_q
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import Row, table_of, text
from circuitome.graphdb.schema import arrow_schema
from circuitome.vocabulary import Q_MAX

__all__ = ["PART"]

SEARCHED: Final = "families"
"""Entry of the manifest."""


def _measure(session: Session) -> None:
    measure_relations(session, "families")
    draw_nulls(session, relations(session))


def _find(session: Session, bundle: Bundle) -> Findings:
    known = relations(session)
    rows, members = _rows(session, bundle.model, known)
    tables = table_of("Family", rows), table_of("MEMBER_OF", members)
    families, joined = join_families(bundle, *tables, instead_of=_computed(bundle))
    share = layer_shares(session, known, {text(member, "from") for member in members})
    return Findings(
        columns={"Layer": {"in_families": share}},
        tables={
            "Family": families,
            "MEMBER_OF": joined,
            "FEEDS": arrow_schema("FEEDS").empty_table(),  # circuits of other families
        },
        manifest={SEARCHED: _searched(session, known)},
    )


def _searched(session: Session, known: Mapping[int, Relations]) -> dict[str, float]:
    """How many cells were searched, the most null layers that were drawn of one, and the least q
    that a family could have with these.
    """
    cells = cells_of(session, known).values()
    nulls = max((cell.drawn for cell in cells), default=0)
    return {"cells": len(cells), "null_layers": nulls, "least_q": least_q(cells)}


def _rows(
    session: Session, model: str, known: Mapping[int, Relations]
) -> tuple[list[Row], list[Row]]:
    """Rows of ``Family`` and ``MEMBER_OF``; families are numbered in each layer."""
    rows: list[Row] = []
    members: list[Row] = []
    numbers: Counter[int] = Counter()
    for index, family, p, q in _significant(session, known):
        numbers[index] += 1
        layer = f"{model}/{session.wiring.layers[index].name}"
        key = f"{layer}/f{numbers[index]}"
        rows.append(_family_row(model, layer, key, family) | {"p": p, "q": q})
        members += _member_rows(layer, key, family)
    return rows, members


def _computed(bundle: Bundle) -> list[str]:
    """Keys of the families that an earlier run found."""
    rows = bundle.table("Family").to_pylist()
    return [row["key"] for row in rows if row["source"] == "computed"]


def _significant(
    session: Session, known: Mapping[int, Relations]
) -> Iterator[tuple[int, Found, float, float]]:
    """Layer, family, p and q of the families at q up to `Q_MAX`, over all layers and groups
    together.
    """
    every = [(index, family) for index, found in known.items() for family in found.families]
    strengths = [((index, family.group), family.strength) for index, family in every]
    chance = family_significance(strengths, cells_of(session, known))
    for (index, family), p, q in zip(every, *chance, strict=True):
        if q <= Q_MAX:
            yield index, family, float(p), float(q)


def _family_row(model: str, layer: str, key: str, family: Found) -> Row:
    return {
        "key": key,
        "model": model,
        "layer": layer,
        "group": family.group,
        "size": len(family.members),
        "closure": _number(family.closure),
        "score": _number(family.score),
        "source": "computed",
        "gaps": family.gaps.tolist(),
    }


def _member_rows(layer: str, key: str, family: Found) -> Iterator[Row]:
    places = zip(family.members, family.offsets.tolist(), family.offset_sd.tolist(), strict=True)
    for channel, offset, error in places:
        end = f"{layer}:{channel}"
        yield {"from": end, "to": key, "offset": offset, "offset_sd": _number(error)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


PART: Final = Part(_find, _measure)
