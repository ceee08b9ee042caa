"""Equivariant circuits: families whose weights depend on the relative offset of their members alone, the kernel turned with it.

Annotation finds them, for they need kernels (`circuitome.extract.annotate.feeds`); here are its rows. ``p`` and ``q`` are a
row's own, against permuted offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.schema import parts_done
from circuitome.queries.errors import QueryError, near
from circuitome.queries.motifs.motif import Motif, instance

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["CLASSES", "MOTIF", "Feeds", "circuits", "count", "missing", "twin"]

CLASSES: Final = ("all", "e->e", "i->e", "e->i")
"""What may be asked for."""
_OWN: Final = ("circuit_class", "pairs", "compression")  # the query has the template, too


@dataclass(frozen=True, slots=True)
class Feeds:
    """What feeds what in one model."""

    model: str
    rows: tuple[Mapping[str, Any], ...]  # as the query's, in no order

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Feeds:
        """The circuits that a bundle holds."""
        group = {row["key"]: row["group"] for row in bundle.table("Family").to_pylist()}
        return cls(
            bundle.model,
            tuple(
                row
                | {
                    "sender": row["from"],
                    "receiver": row["to"],
                    "group": group[row["to"]],
                    "score": round(row["r2"], 9),
                }
                for row in bundle.table("FEEDS").to_pylist()
            ),
        )


def circuits(model: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Motif rows from the rows of the query; beyond a motif row ``group``, ``circuit_class``, ``pairs`` and ``compression``."""
    return [
        instance(
            "equivariant_circuit",
            model,
            row["score"],
            {"sender": [row["sender"]], "receiver": [row["receiver"]]},
            p=row["p"],
        )
        | {"q": row["q"], "null": row["null"], "group": row["group"]}
        | {name: row[name] for name in _OWN}
        for row in rows
    ]


def twin(
    feeds: Feeds, *, circuit_class: str = "all", min_score: float = 0.0, limit: int = 100
) -> list[dict[str, Any]]:
    """The motif rows of the query, from the bundle's table alone."""
    rows = _asked(feeds, circuit_class, min_score)
    return circuits(
        feeds.model, sorted(rows, key=lambda row: (-row["score"], row["sender"], row["receiver"]))
    )[:limit]


def count(feeds: Feeds, *, circuit_class: str = "all", min_score: float = 0.0) -> int:
    """Number of circuits."""
    return len(_asked(feeds, circuit_class, min_score))


def _asked(feeds: Feeds, asked: str, min_score: float) -> list[Mapping[str, Any]]:
    return [
        row
        for row in feeds.rows
        if asked in ("all", row["circuit_class"]) and row["score"] >= min_score
    ]


def missing(database: Database, model: str, *, circuit_class: str = "all", **_: Any) -> str | None:
    """What a model lacks for this motif and how to get it, in words; none where it has all. `QueryError` for a class unknown."""
    if circuit_class not in CLASSES:
        cure = near(circuit_class, CLASSES, otherwise=f"there are {', '.join(CLASSES)}")
        raise QueryError(f"equivariant_circuit: no class is called {circuit_class!r}; {cure}")
    row = next(row for row in database.models() if row["key"] == model)
    if "circuits" not in parts_done(row):
        return (
            f"the weights between the families of {model} were not looked at; `circuitome annotate BUNDLE --parts circuits` "
            "does so, then load the bundle again"
        )
    if not len(database.ask("families", model=model)):
        return f"{model} has no families, so there is nothing between them"
    return None


MOTIF: Final = Motif(
    "equivariant_circuit",
    {"sender": ("sender",), "receiver": ("receiver",)},
    twin,
    count,
    of_bundle=Feeds.of_bundle,
    conclude=circuits,
    missing=missing,
    evidence="responses",
)
