"""Equivariant circuits: weights between families that depend on their members' offset alone.

Annotation finds them, for they need kernels (`circuitome.extract.annotate.feeds`); here are its
rows. ``p`` and ``q`` are a row's own, against permuted offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict, cast

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.motifs.lack import Lack, annotated
from circuitome.queries.motifs.motif import Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, instance, tested

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["CLASSES", "MOTIF", "Feeds", "circuits", "missing"]

CLASSES: Final = ("all", "e->e", "i->e", "e->i")
"""What may be asked for."""


class _Circuit(TypedDict):
    """What is used of a row of the query; it has the template, too."""

    sender: str
    receiver: str
    group: str
    circuit_class: str
    pairs: int
    compression: float
    score: float
    p: float
    q: float
    null: str


@dataclass(frozen=True, slots=True)
class Feeds:
    """What feeds what in one model."""

    model: str
    rows: tuple[_Circuit, ...]  # in no order

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Feeds:
        """The circuits that a bundle holds."""
        group = {row["key"]: row["group"] for row in bundle.table("Family").to_pylist()}
        rows = []
        for row in bundle.table("FEEDS").to_pylist():
            ends = {"sender": row["from"], "receiver": row["to"], "group": group[row["to"]]}
            rows.append(cast("_Circuit", row | ends | {"score": round(row["r2"], 9)}))
        return cls(bundle.model, tuple(rows))


def circuits(model: str, rows: Sequence[QueryRow]) -> list[MotifRow]:
    """Motif rows from the rows of the query, each with its class, pairs and compression."""
    found = []
    for row in cast("Sequence[_Circuit]", rows):
        roles = {"sender": [row["sender"]], "receiver": [row["receiver"]]}
        circuit = instance(MOTIF.kind, model, row["score"], roles)
        circuit = tested(circuit, p=row["p"], q=row["q"], null=row["null"])
        circuit["group"] = row["group"]
        circuit["circuit_class"] = row["circuit_class"]
        circuit["pairs"] = row["pairs"]
        circuit["compression"] = row["compression"]
        found.append(circuit)
    return found


def _table(feeds: Feeds, *, circuit_class: str, min_score: float) -> list[QueryRow]:
    """The rows of the query, from the bundle's table alone."""
    rows = [
        row
        for row in feeds.rows
        if circuit_class in ("all", row["circuit_class"]) and row["score"] >= min_score
    ]
    rows.sort(key=lambda row: (-row["score"], row["sender"], row["receiver"]))
    return cast("list[QueryRow]", rows)


def missing(database: Database, model: str, **_: Value) -> Lack | None:
    """What a model lacks for this motif and how to get it; None if it has all."""
    if not annotated(database, model, "circuits"):
        return Lack(
            "annotate --parts circuits",
            f"the weights between the families of {model} were not looked at; "
            "`circuitome annotate BUNDLE --parts circuits` does so, then load the bundle again",
        )
    if not len(database.ask("families", model=model)):
        return Lack("families", f"{model} has no families, so there is nothing between them")
    return None


MOTIF: Final = Tested(
    "equivariant_circuit",
    _table,
    of_bundle=Feeds.of_bundle,
    conclude=circuits,
    needs=missing,
    evidence="responses",
    choices={"circuit_class": CLASSES},
)
