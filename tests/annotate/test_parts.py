"""A part of the annotation is a declaration in the schema and one function; what nobody
declared fails.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from circuitome.extract import extract
from circuitome.extract.annotate.families import Found
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.pipeline import annotate, part_of
from circuitome.extract.annotate.relations import Relations
from circuitome.extract.annotate.session import Session
from circuitome.extract.models.network import Network
from circuitome.extract.pipeline import Options
from circuitome.graphdb import schema
from circuitome.graphdb.annotation import Findings, put_in
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import kuzu_statements
from circuitome.graphdb.schema import PARTS, AnnotationPart, Column, SchemaError, Type

Find = Callable[[Session, Bundle], Findings]


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 4, 3)
        return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()


def declare(monkeypatch: pytest.MonkeyPatch, *, column: bool = True) -> None:
    """The first of the two places: the schema."""
    toy = AnnotationPart("toy", "how toyish each neuron is", ("responses",))
    monkeypatch.setitem(schema.PARTS, "toy", toy)
    if column:
        neuron = schema.NODES["Neuron"]
        own = Column("toy_score", Type.FLOAT, "how toyish", part="toy")
        monkeypatch.setitem(schema.NODES, "Neuron", replace(neuron, columns=(*neuron.columns, own)))


def make(monkeypatch: pytest.MonkeyPatch, find: Find) -> None:
    """The second: the module `circuitome.extract.annotate.parts.toy`."""
    module = ModuleType("circuitome.extract.annotate.parts.toy")
    module.__spec__ = ModuleSpec(module.__name__, None)
    module.__dict__["PART"] = Part(find)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def by_peak(session: Session, bundle: Bundle) -> Findings:
    """Twice the largest response of every neuron."""
    largest = bundle.table("Neuron")["max_response"].to_pylist()
    return Findings(
        columns={"Neuron": {"toy_score": [None if one is None else 2 * one for one in largest]}}
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bare(tmp_path)


def bare(folder: Path) -> Bundle:
    network = Network(net(), name="net", input_shape=(3, 33, 33))
    return extract(network, output=folder / "net", options=Options(span=None), force=True)


def test_a_part_that_is_declared_and_made_is_in_the_bundle_and_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch)
    make(monkeypatch, by_peak)
    done = annotate(bare(tmp_path), net(), parts=["toy"], twins=3, device="cpu")
    done.check()
    assert schema.parts_done(done.manifest.model) == ("responses", "toy")
    neurons = done.table("Neuron").to_pylist()
    assert [row["toy_score"] for row in neurons[3:]] == [
        2 * row["max_response"] for row in neurons[3:]
    ]
    assert any("toy_score" in statement for statement in kuzu_statements())
    again = annotate(done, net(), parts=["toy"], twins=3, device="cpu")
    assert again.manifest == done.manifest


def test_a_part_without_a_column_or_a_module_fails_before_anything_is_computed(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, column=False)
    with pytest.raises(SchemaError, match="'toy' of the annotation makes nothing"):
        annotate(bundle, net(), parts=["toy"], twins=3, device="cpu")
    declare(monkeypatch)
    with pytest.raises(SchemaError, match=r"no module circuitome\.extract\.annotate\.parts\.toy"):
        annotate(bundle, net(), parts=["toy"], twins=3, device="cpu")


def test_a_part_writes_what_it_owns_and_nothing_else(bundle: Bundle) -> None:
    kinds = Findings(columns={"Neuron": {"kind": [None] * bundle.rows("Neuron")}})
    with pytest.raises(SchemaError, match=r"Neuron\.kind does not belong to the part 'responses'"):
        put_in(bundle, "responses", kinds)
    unknown = Findings(columns={"Neuron": {"taste": [None] * bundle.rows("Neuron")}})
    with pytest.raises(SchemaError, match=r"Neuron\.taste does not belong"):
        put_in(bundle, "kinds", unknown)
    table = schema.arrow_schema("FEEDS").empty_table()
    with pytest.raises(SchemaError, match="FEEDS does not belong to the part 'kinds'"):
        put_in(bundle, "kinds", Findings(tables={"FEEDS": table}))
    with pytest.raises(SchemaError, match="no part 'toy'"):
        put_in(bundle, "toy", Findings())


def test_what_is_made_again_undoes_what_was_made_of_it(bundle: Bundle) -> None:
    for part in ("responses", "equivariance", "families", "circuits"):
        bundle = put_in(bundle, part, Findings())
    assert schema.parts_done(put_in(bundle, "families", Findings()).manifest.model) == (
        *("responses", "equivariance", "families"),
    )


@pytest.mark.parametrize("part", PARTS)
def test_every_declared_part_makes_something_and_has_a_module(part: str) -> None:
    assert schema.made_by(part)
    assert part_of(part)
    assert schema.needed_by(part) <= set(PARTS)


def test_every_part_that_the_schema_names_is_declared() -> None:
    kinds = [*schema.NODES.values(), *schema.RELATIONSHIPS.values()]
    named = {kind.part for kind in kinds} | {
        column.part for kind in kinds for column in kind.columns
    }
    assert named - {None} == set(PARTS)


def test_what_is_known_of_a_layer_is_the_same_after_a_record() -> None:
    family = Found(
        group="rotate",
        members=np.array([1, 4]),
        offsets=np.array([0.0, 90.0]),
        offset_sd=np.array([np.nan, 2.0]),
        period=180.0,
        closure=float("nan"),
        score=0.5,
        strength=1.5,
        gaps=np.array([]),
    )
    own = Relations(True, {"rotate": np.array([0.25])}, [], [family], {"rotate": np.ones(3)})
    data = json.loads(json.dumps(own.to_json()))
    assert json.dumps(Relations.from_json(data).to_json()) == json.dumps(own.to_json())
    del data["families"][0]["period"]  # as records of earlier versions are
    assert Relations.from_json(data).families[0].period is None
