"""The parts of the annotation: what each finds, and which others it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from circuitome.errors import CircuitomeError

__all__ = ["ANNOTATION_PARTS", "PARTS", "AnnotationPart", "SchemaError", "needed_by", "parts_done"]


class SchemaError(CircuitomeError):
    """A declaration that does not fit the rest of the schema."""


@dataclass(frozen=True, slots=True)
class AnnotationPart:
    """A part of the annotation; the columns and tables that it makes name it as their ``part``."""

    name: str
    doc: str
    """What it finds, for help texts and the docs."""
    needs: tuple[str, ...] = ()
    """Parts that have to be done before it; they are done with it."""


PARTS: Final[dict[str, AnnotationPart]] = {
    part.name: part
    for part in (
        AnnotationPart("responses", "activity on natural-like images, effective fields"),
        AnnotationPart("kinds", "the stimuli that drive each neuron, tuning", ("responses",)),
        AnnotationPart("equivariance", "pairs under a transform, invariance", ("responses",)),
        AnnotationPart("families", "groups of neurons whose pairs compose", ("equivariance",)),
        AnnotationPart("circuits", "weights between families", ("families",)),
        AnnotationPart("signatures", "responses to common pictures", ("responses",)),
    )
}
"""The parts of the annotation, in the order in which they are done."""
ANNOTATION_PARTS: Final = tuple(PARTS)
"""What `Model.annotated` may name, in that order."""


def parts_done(model: Mapping[str, object]) -> tuple[str, ...]:
    """The parts of the annotation that a row of `Model` names.

    >>> parts_done({"annotated": "responses,kinds"}), parts_done({"annotated": None})
    (('responses', 'kinds'), ())
    """
    return tuple(part for part in str(model.get("annotated") or "").split(",") if part)


def needed_by(part: str) -> frozenset[str]:
    """The parts of the annotation that have to be done before one, those that they need included.

    Raises:
        SchemaError: there is no such part, or one that is needed is none.

    >>> sorted(needed_by("circuits"))
    ['equivariance', 'families', 'responses']
    """
    if part not in PARTS:
        raise SchemaError(f"no part {part!r} of the annotation; choose from {', '.join(PARTS)}")
    needs = PARTS[part].needs
    return frozenset(needs).union(*map(needed_by, needs))
