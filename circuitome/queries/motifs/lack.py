"""What a model lacks for a motif, so that the motif cannot occur in it and is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from circuitome.graphdb.schema_parts import parts_done

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["Lack", "annotated", "no_kinds"]


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not there, in a few words and in a sentence."""

    needs: str
    """What the motif needs, such as ``annotate --parts kinds``."""
    reason: str
    """What is not there, and how to get it if there is a way."""


def no_kinds(model: str) -> Lack:
    """The lack of a model without kinds."""
    return Lack(
        "annotate --parts kinds",
        f"no neuron of {model} has a kind; `circuitome annotate BUNDLE --parts kinds` measures "
        "them, then load the bundle again",
    )


def annotated(database: Database, model: str, part: str) -> bool:
    """Whether a part of the annotation was done in a model."""
    row = next(row for row in database.models() if row["key"] == model)
    return part in parts_done(row)
