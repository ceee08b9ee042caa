"""What is known of a neuron, a family, a layer or a saved motif, each as one value.

The command line prints these values; in a notebook `to_pandas` gives them as data frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, cast

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.rows import Row, whole
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.saved import Instance, find_saved
from circuitome.queries.rows import Rows
from circuitome.vocabulary import SHARED_INPUTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Families",
    "Family",
    "Kernel",
    "Layer",
    "Member",
    "Neuron",
    "SavedMotif",
    "families",
    "family",
    "layer",
    "neuron",
    "saved_motif",
]

Kernel = Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
"""Rows of a kernel, from top to bottom; in each the taps from left to right."""

_OF_LAYERS: Final = ("balance", "dropped", "explained_by_layer", "equivariance_by_layer")


@dataclass(frozen=True, slots=True)
class Neuron:
    """What is known of one neuron."""

    facts: Row
    """Row of the query `annotation`: kind, preferences, tuning curve, responses, invariance."""
    partners: Rows
    """Rows of the query `partners`: equivariant partners, best first."""
    families: Rows
    """Rows of the query `families_of`."""
    inputs: Rows
    """Rows of the query `inputs`: strongest first."""
    outputs: Rows
    """Rows of the query `outputs`: strongest first."""

    def row(self) -> Row:
        """All of it as one row, with lists of rows in it."""
        tables = {
            "partners": self.partners,
            "families": self.families,
            "inputs": self.inputs,
            "outputs": self.outputs,
        }
        return {**self.facts, **{name: rows.to_dicts() for name, rows in tables.items()}}

    def to_pandas(self) -> pd.DataFrame:
        """The facts as a data frame of one row; the other tables have their own `to_pandas`."""
        return Rows.of([self.facts]).to_pandas()


def neuron(database: Database, key: str, *, limit: int = 10) -> Neuron:
    """What is known of a neuron; ``limit`` is the number of partners, inputs, outputs and stimuli.

    Raises:
        QueryError: if the neuron is not in the database.
    """
    (facts,) = database.query("annotation", neuron=key)
    key, stimuli = facts["neuron"], facts["top_stimuli"]
    facts["top_stimuli"] = None if stimuli is None else stimuli[:limit]
    return Neuron(
        facts,
        partners=database.query("partners", neuron=key, limit=limit),
        families=database.query("families_of", neuron=key),
        inputs=database.query("inputs", neuron=key, limit=limit),
        outputs=database.query("outputs", neuron=key, limit=limit),
    )


@dataclass(frozen=True, slots=True)
class Member:
    """A neuron in a family."""

    neuron: str
    offset: float | None
    """Its place in the family: degrees, octaves or parity; None if it has none."""


@dataclass(frozen=True, slots=True)
class Family:
    """Neurons that are one feature up to a transformation."""

    family: str
    """Its key."""
    model: str
    layer: str | None
    """Key of its layer; None for a curated family that spans several."""
    name: str | None
    """Title of a curated family."""
    group: str | None
    """Transform group, such as `rotate`."""
    size: int
    closure: float | None
    """Share of triangles of members whose transforms compose."""
    q: float | None
    source: str | None
    """`computed` or `curated`."""
    gaps: list[float] | None
    """Places that lack a member, degrees."""
    members: tuple[Member, ...]

    def row(self) -> Row:
        """The family as one row, with a list of members in it."""
        return {**asdict(self), "members": [asdict(member) for member in self.members]}


@dataclass(frozen=True, slots=True)
class Families:
    """Families of one model or several."""

    found: tuple[Family, ...]

    def __iter__(self) -> Iterator[Family]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def to_pandas(self) -> pd.DataFrame:
        """A data frame with a row for each member of each family."""
        rows = []
        for one in self.found:
            shared = one.row()
            del shared["members"]
            rows += [{**shared, **asdict(member)} for member in one.members]
        return Rows.of(rows).to_pandas()


def families(database: Database, *, model: str | None = None, layer: str | None = None) -> Families:
    """The families of all models, or of one, or of one layer.

    Raises:
        QueryError: if the model or the layer is not in the database.
    """
    models = [model] if model else [row["key"] for row in database.models()]
    only = "" if layer is None else _layer_key(database, layer, model)  # the query's default is all
    found: list[Family] = []
    for name in models or [database.model_key()]:
        found += _gathered(database.query("families", model=name, layer=only))
    return Families(tuple(found))


def _layer_key(database: Database, layer: str, model: str | None) -> str:
    """The whole key of a layer; its model's name may be left out if the model is given."""
    if model and not layer.startswith(f"{model}/"):
        layer = f"{database.model_key(model)}/{layer}"
    return database.layer_key(layer)


def family(database: Database, key: str) -> Family:
    """One family, by its key.

    Raises:
        QueryError: if the family is not in the database.
    """
    key = database.family_key(key)
    of_model = _gathered(database.query("families", model=_model_of(database, key)))
    return next(one for one in of_model if one.family == key)


class _FamilyRow(TypedDict):
    """A row of the query `families`: one member."""

    family: str
    model: str
    layer: str | None
    name: str | None
    group: str | None
    size: int
    closure: float | None
    q: float | None
    source: str | None
    gaps: list[float] | None
    neuron: str
    offset: float | None


def _gathered(rows: Rows) -> list[Family]:
    """Families from rows of the query `families`."""
    of: dict[str, list[_FamilyRow]] = {}
    for row in cast("Iterable[_FamilyRow]", rows):
        of.setdefault(row["family"], []).append(row)
    return [_family(members) for members in of.values()]


def _family(rows: Sequence[_FamilyRow]) -> Family:
    first = rows[0]
    return Family(
        family=first["family"],
        model=first["model"],
        layer=first["layer"],
        name=first["name"],
        group=first["group"],
        size=first["size"],
        closure=first["closure"],
        q=first["q"],
        source=first["source"],
        gaps=first["gaps"],
        members=tuple(Member(row["neuron"], row["offset"]) for row in rows),
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of one layer."""

    facts: Row
    """Its rows of the queries that have one for each layer, as one row."""
    neurons: Rows
    """Rows of the query `neurons`."""
    alike: Rows
    """Rows of the query `layer_alignment`: layers of other networks, most alike first."""

    def to_pandas(self) -> pd.DataFrame:
        """Its neurons as a data frame."""
        return self.neurons.to_pandas()


def layer(database: Database, key: str) -> Layer:
    """What is known of a layer.

    Raises:
        QueryError: if the layer is not in the database.
    """
    key = database.layer_key(key)
    model = _model_of(database, key)
    facts: Row = {}
    for name in ("layers", *_OF_LAYERS):
        for row in database.query(name, model=model):
            facts |= row if row["layer"] == key else {}
    neurons = database.query("neurons", model=model).table
    here = [of == key for of in neurons.column("layer").to_pylist()]
    return Layer(facts, Rows(neurons.filter(here)), database.query("layer_alignment", layer=key))


def _model_of(database: Database, key: str) -> str:
    """The model that a whole key belongs to."""
    models = [row["key"] for row in database.models()]
    return max((name for name in models if key.startswith(f"{name}/")), key=len)


@dataclass(frozen=True, slots=True)
class SavedMotif:
    """A saved motif, and what lies between its neurons."""

    instance: Instance
    shared: Sequence[Row]
    """Edges from inputs that its first two neurons share, if no edge joins its neurons."""
    kernels: Mapping[int, Kernel] | None
    """Kernels of the edges by their number in the bundle; None without a bundle."""

    def row(self) -> Row:
        """The motif as one row: itself, its neurons in their roles, and the edges between them."""
        edges = [cast("Row", {**edge}) for edge in self.instance.edges]
        if self.kernels is not None:
            edges = [{**edge, "taps": self.kernels[whole(edge, "kernel")]} for edge in edges]
        neurons = [cast("Row", member) for member in self.instance.neurons]
        return {"motif": cast("Row", self.instance.motif), "neurons": neurons, "edges": edges}

    def to_pandas(self) -> pd.DataFrame:
        """The edges between its neurons as a data frame."""
        return Rows.of([dict(edge) for edge in self.instance.edges]).to_pandas()


def saved_motif(database: Database, key: str, *, bundle: Path | None = None) -> SavedMotif:
    """The saved motif of that key, or of the only one that begins so.

    Raises:
        QueryError: if none or several are saved, or if ``bundle`` holds other weights.
    """
    found = find_saved(database, key)
    shared = _shared_inputs(found, database)
    if bundle is None:
        return SavedMotif(found, shared, None)
    kernels = _bundle_of(found, database, bundle).kernels
    numbers = [whole(edge, "kernel") for edge in (*found.edges, *shared)]
    return SavedMotif(found, shared, {number: kernels.row(number).tolist() for number in numbers})


def _shared_inputs(instance: Instance, database: Database) -> list[Row]:
    """Edges from the strongest inputs that the first two neurons share, if no edge joins any."""
    neurons = list(dict.fromkeys(member["neuron"] for member in instance.neurons))
    if instance.edges or len(neurons) < 2:
        return []
    pair = neurons[:2]
    shared = database.ask("shared_inputs", first=pair[0], second=pair[1], limit=SHARED_INPUTS)
    inputs = [row["sender"] for row in shared]
    edges = database.ask("edges_between", neurons=[*inputs, *pair]).to_dicts() if inputs else []
    between = [edge for edge in edges if edge["receiver"] in pair and edge["sender"] in inputs]
    return sorted(between, key=lambda edge: inputs.index(edge["sender"]))


def _bundle_of(instance: Instance, database: Database, path: Path) -> Bundle:
    """The bundle of the motif's model; `QueryError` for another's, or other weights."""
    bundle, model = Bundle.open(path), instance.motif["model"]
    if bundle.model != model:
        raise QueryError(
            f"{path}: holds {bundle.model}, and the motif is of {model}; name the bundle of {model}"
        )
    (row,) = (row for row in database.models() if row["key"] == model)
    if row["weights_sha256"] != bundle.manifest.model.get("weights_sha256"):
        raise QueryError(
            f"{path}: holds other weights of {model} than the database; "
            "load it, and save the motifs again"
        )
    return bundle
