"""What a model lacks for a motif, so that the motif cannot occur in it and is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from circuitome.graphdb.schema_parts import parts_done

if TYPE_CHECKING:
    from circuitome.graphdb.rows import ModelRow
    from circuitome.queries.database import Database

__all__ = ["Lack", "annotated", "no_kinds", "no_pictures"]


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


def no_pictures(database: Database, model: str) -> Lack | None:
    """The lack of a model that cannot be annotated, for it reads signals or volumes."""
    shape = _row(database, model)["input_shape"]
    if not shape or len(shape) == 3:
        return None
    size = "x".join(map(str, shape))
    reason = f"{model} reads inputs of {size}; stimuli are pictures, so its neurons have no kinds"
    return Lack("pictures as input", reason)


def annotated(database: Database, model: str, part: str) -> bool:
    """Whether a part of the annotation was done in a model."""
    return part in parts_done(_row(database, model))


def _row(database: Database, model: str) -> ModelRow:
    return next(row for row in database.models() if row["key"] == model)
