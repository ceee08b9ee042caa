"""The commands as functions, for notebooks: each returns a value with `to_pandas`.

::

    import circuitome

    circuitome.neuron("squeezenet1_1/features.3.squeeze:5").to_pandas()
    circuitome.motifs("opponent_pairs", nulls=199).at_most(0.05).to_pandas()

``db`` is an open `Database`, or what opens one: a file, or the address of a server. `extract`,
`annotate` and `verify` stand in `circuitome.extract`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.export import WHOLE, Selection
from circuitome.graphdb.export import export as write_export
from circuitome.graphdb.rows import Row
from circuitome.graphdb.schema import NODES, RELATIONSHIPS
from circuitome.queries import about
from circuitome.queries.database import Database, open_database
from circuitome.queries.errors import QueryError
from circuitome.queries.occurrences import Occurrences, Survey, occurrences
from circuitome.queries.occurrences import survey as survey_of
from circuitome.queries.question import Question
from circuitome.queries.rows import Rows
from circuitome.universality.every_pair import Comparisons, compare_all
from circuitome.vocabulary import CIRCUIT_HOPS, CIRCUIT_INPUTS

__all__ = [
    "DATABASE",
    "check",
    "circuit",
    "compare",
    "drop",
    "export",
    "families",
    "load",
    "models",
    "motifs",
    "neuron",
    "query",
    "schema",
]

DATABASE: Final = "circuitome.db"
"""The database in the working folder."""

_PROBLEM: Final = pa.schema([("bundle", pa.string()), ("problem", pa.string())])

Place: TypeAlias = Database | str | os.PathLike[str]


@contextmanager
def _opened(db: Place, *, create: bool = False) -> Iterator[Database]:
    """The database; one that is opened here is closed again."""
    if isinstance(db, Database):
        yield db
    else:
        with open_database(db, create=create) as database:
            yield database


def query(name: str, *, db: Place = DATABASE, limit: int | None = None, **parameters: Any) -> Rows:
    """Rows of a named query of the library, of a ``.cypher`` file, or of Cypher itself."""
    with _opened(db) as database:
        return database.query(name, limit=limit, **parameters)


def neuron(key: str, *, db: Place = DATABASE, limit: int = 10) -> about.Neuron:
    """What is known of a neuron, with at most ``limit`` partners, inputs, outputs and stimuli."""
    with _opened(db) as database:
        return about.neuron(database, key, limit=limit)


def families(
    *, db: Place = DATABASE, model: str | None = None, layer: str | None = None
) -> about.Families:
    """The families of all models, or of one, or of one layer."""
    with _opened(db) as database:
        return about.families(database, model=model, layer=layer)


def circuit(
    key: str,
    *,
    db: Place = DATABASE,
    direction: str = "upstream",
    depth: int = CIRCUIT_HOPS,
    strongest: int = CIRCUIT_INPUTS,
    least: float = 0.0,
) -> Rows:
    """Edges of the circuit that feeds a neuron, or that it feeds (``downstream``), hop by hop."""
    with _opened(db) as database:
        return database.query(direction, neuron=key, depth=depth, k=strongest, min_share=least)


def motifs(
    kind: str | None = None,
    *,
    db: Place = DATABASE,
    model: str | None = None,
    nulls: int | None = None,
    null_model: str | None = None,
    bundle: Path | None = None,
    **parameters: Any,
) -> Occurrences | Survey:
    """Instances of a motif of the library or of a ``.cypher`` file; without ``kind``, a survey.

    ``nulls`` is the number of null networks to compare with, and ``null_model`` that of p, such as
    ``reflect`` for ``superposition_read_back``. The survey has all motifs, as they were saved, or
    computed. `QueryError` for what would change nothing.
    """
    if kind is None and (bundle is not None or null_model is not None):
        raise QueryError("a bundle and a null model are of one motif; name it")
    with _opened(db) as database:
        if kind is None:
            return survey_of(database, model=model, nulls=nulls, **parameters)
        question = Question(str(kind), model, parameters, nulls, null_model, bundle=bundle)
        return occurrences(database, question)


def compare(
    *bundles: Bundle | str | os.PathLike[str],
    db: Place | None = None,
    output: Path | None = None,
    force: bool = False,
) -> Comparisons:
    """Every pair of networks compared; ``db`` gets the pairs that it lacks, ``output`` all."""
    opened = [_bundle(one) for one in bundles]
    if db is None:
        return compare_all(opened, folder=output, force=force)
    with _opened(db) as database:
        return compare_all(opened, database=database, folder=output, force=force)


def models(*, db: Place = DATABASE) -> Rows:
    """The models of a database."""
    with _opened(db) as database:
        return Rows.of([dict(row) for row in database.models()])


def load(
    *bundles: Bundle | str | os.PathLike[str],
    db: Place = DATABASE,
    replace: bool = False,
    least_share: float | None = None,
) -> Rows:
    """Put bundles into a database, which is made if it is not there; its models.

    ``least_share`` leaves out weaker edges, as `circuitome.queries.database.Database.load` does.
    """
    with _opened(db, create=True) as database:
        database.load(*bundles, replace=replace, least_share=least_share)
        return models(db=database)


def drop(model: str, *, db: Place = DATABASE) -> Rows:
    """Remove a model from a database; the models that are left."""
    with _opened(db) as database:
        database.drop(model)
        return models(db=database)


def export(
    output: Path,
    *,
    format: str = "networkx",
    db: Place | Bundle = DATABASE,
    model: str | None = None,
    chosen: Selection = WHOLE,
) -> Path:
    """Write the graph of all models, of one, or of a bundle, for other programs; ``chosen`` is what
    of it. The path that was written.
    """
    if isinstance(db, Bundle):
        if model not in (None, db.model):
            raise QueryError(f"{db.path} holds {db.model}, not {model}; leave the model out")
        return write_export(db, format, output, chosen=chosen)
    with _opened(db) as database:
        key = database.exported(model)
        return write_export(database.store, format, output, model=key, chosen=chosen)


def schema() -> Rows:
    """The graph's schema: every node, relationship and property, with its type and meaning."""
    rows: list[Row] = []
    for kind in (*NODES.values(), *RELATIONSHIPS.values()):
        ends = "node"
        if kind.name in RELATIONSHIPS:
            relationship = RELATIONSHIPS[kind.name]
            ends = f"{relationship.source} -> {relationship.target}"
        of = {"of": kind.name, "ends": ends}
        rows.append({**of, "property": "", "type": "", "meaning": kind.doc})
        for column in kind.columns:
            said = {"property": column.name, "type": column.type.kuzu, "meaning": column.doc}
            rows.append({**of, **said})
    return Rows.of(rows)


def check(*bundles: Bundle | str | os.PathLike[str]) -> Rows:
    """The damage of bundles, a row for each problem: ``bundle`` and ``problem``."""
    found: list[Row] = []
    for bundle in map(_bundle, bundles):
        found.extend({"bundle": str(bundle.path), "problem": fault} for fault in bundle.faults())
    return Rows.of(found, _PROBLEM)


def _bundle(bundle: Bundle | str | os.PathLike[str]) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
