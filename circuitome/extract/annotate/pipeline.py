"""The whole annotation: a network and its bundle -> what each part of it finds, in the bundle.

What is finished is kept layer by layer in a folder beside the bundle, ``.NAME.annotating``, and
removed when the bundle has it all: an annotation that was stopped goes on from there, if it is the
same annotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch
from torch import nn

from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.parts import responses as activity
from circuitome.extract.annotate.records import Records
from circuitome.extract.annotate.session import (
    AnnotateError,
    Options,
    Session,
    identity_of,
    traced_for,
)
from circuitome.extract.models.devices import pick_device
from circuitome.extract.models.weights import digest
from circuitome.extract.responses.runner import Subject
from circuitome.extract.verify import exact_float32
from circuitome.graphdb.annotation import put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.bundle_writer import exchange, set_aside
from circuitome.graphdb.schema import PARTS, SchemaError, made_by, needed_by, parts_done
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["AnnotateError", "annotate", "part_of"]

HOME: Final = "circuitome.extract.annotate.parts"
"""Package that has a module for each part."""
COPY: Final = "bundle"
"""Folder among the records where the bundle is amended until everything is in it."""
FEWEST_TWINS: Final = 3


def annotate(
    bundle: Bundle,
    model: nn.Module,
    *,
    parts: Sequence[str] = tuple(PARTS),
    twins: int = 10,
    images: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Bundle:
    """Add to ``bundle`` what its network does; ``model`` is that network, in eval mode.

    Args:
        parts: of `circuitome.graphdb.schema.PARTS`; what a part needs is done as well. Parts that
            the bundle has from the same annotation are kept.
        twins: null networks for kinds, and null layers for equivariance.
        images: folder of pictures to show beside the natural-like ones.

    Raises:
        AnnotateError: an unknown part, fewer than three twins, another model's weights, or a
            network that does not see images.
        BundleError: the bundle cannot be written.
        SchemaError: a part that nobody declared or made, or one that makes what is not its own.
    """
    _check(parts, twins)
    _check_weights(bundle, model)
    options = Options(twins, seed, images, progress or (lambda *_: None))
    subject = _subject(bundle, model, pick_device(device))
    identity = identity_of(bundle, options, device=subject.device.type)
    wanted = _wanted(bundle, parts, identity)
    if not wanted:
        Records.discard(bundle, identity)
        return bundle
    made = {name: part_of(name) for name in wanted}
    records = Records.open(bundle, identity, wanted)
    annotated = _made(bundle, Session(subject, options, records, wanted, identity), made)
    records.remove()
    return annotated


def _subject(bundle: Bundle, model: nn.Module, device: torch.device) -> Subject:
    """The network of a bundle at a side at which its grids of units are symmetric."""
    row = bundle.manifest.model
    subject = Subject.of(model, traced_for(bundle, model), device)
    return replace(subject, mean=row.get("mean"), std=row.get("std"))


def _made(bundle: Bundle, session: Session, parts: Mapping[str, Part]) -> Bundle:
    """The bundle with the findings of some parts, all of them or none."""
    with exact_float32():
        measured = [part.measure for part in parts.values() if part.measure is not None]
        if measured:
            activity.measure(session)  # the sizes of all stimuli follow from it
            session = session.close_up()
        for measure in measured:
            measure(session)
        annotated = set_aside(bundle, session.records.folder / COPY)
        for name, part in parts.items():
            found = part.find(session, annotated)
            entries = {**found.manifest, "annotation": dict(session.identity)}
            annotated = put_in(annotated, name, replace(found, manifest=entries))
    return exchange(bundle, annotated)


def _wanted(
    bundle: Bundle, parts: Sequence[str], identity: Mapping[str, str | int | None]
) -> tuple[str, ...]:
    """Parts to make: of one annotation those that it lacks; of another those of the old one as
    well.
    """
    before = {part for part in parts_done(bundle.manifest.model) if part in PARTS}
    asked = set(parts).union(*map(needed_by, parts))
    wanted = asked | before
    if bundle.manifest.note("annotation") == dict(identity):
        seed = int(identity["seed"] or 0)
        wanted = asked - {part for part in before if part_of(part).holds(bundle, seed)}
    return tuple(part for part in PARTS if part in wanted)


def _check(parts: Sequence[str], twins: int) -> None:
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise AnnotateError(
            f"part {(unknown or ['(none)'])[0]!r} is not known; choose from {', '.join(PARTS)}"
        )
    if twins < FEWEST_TWINS:
        raise AnnotateError(
            f"--twins {twins}: significance needs {FEWEST_TWINS} null networks at least; "
            "ten are usual"
        )


def _check_weights(bundle: Bundle, model: nn.Module) -> None:
    if digest(model) != bundle.manifest.model.get("weights_sha256"):
        raise AnnotateError(
            f"{bundle.path}: made from other weights than this model's; "
            "name the model that it was made from"
        )


def part_of(name: str) -> Part:
    """The part of a name: ``PART`` of the module of that name in
    `circuitome.extract.annotate.parts`.

    Raises:
        SchemaError: the part is not declared, nothing in the schema belongs to it, or no module
            makes it.
    """
    made_by(name)
    home = f"{HOME}.{name}"
    if find_spec(home) is None:
        raise SchemaError(f"the part {name!r} of the annotation has no module {home}; write it")
    return import_module(home).PART
