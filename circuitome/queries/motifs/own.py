"""A user's own motif: any ``.cypher`` file with a header, and what null networks say of it.

The query runs on the database, and on rewired copies of the model's edges in the embedded engine,
each a database in memory that holds what the text of the query names. A row is one instance.
Columns whose values are neuron keys (or lists of them) are its roles, ``case_1`` and ``case_2`` the
two places of the role ``case``; the column ``score`` is its score, 1 without that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.cypher import CypherError, check_reading, code_of
from circuitome.graphdb.rows import Value
from circuitome.graphdb.schema import EDGE_TYPES, NODES, RELATIONSHIPS
from circuitome.queries.errors import QueryError, near
from circuitome.queries.lint import dangers
from circuitome.queries.motifs.motif_row import MotifRow
from circuitome.queries.motifs.null_tables import KEPT, NetworkTables
from circuitome.queries.motifs.nulls import find_null
from circuitome.queries.motifs.own_rows import instances_of
from circuitome.queries.motifs.search import ALL
from circuitome.queries.motifs.significance import (
    NULLS,
    Drawn,
    Progress,
    Significance,
    check_nulls,
)
from circuitome.queries.query_file import Query, load_file
from circuitome.queries.values import bind

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["OwnMotif", "find_own", "find_own_significant", "load_own"]

_INSTANCE_NULL: Final = "kernels"
_NULLS: Final[tuple[str, ...]] = ("signs", "swap", "relabel", "columns", "kernels")
"""Null models that rewire edges and leave the neurons."""

_UNTYPED: Final = (
    "a relationship without a type is another thing in a null network; "
    "write its type, as in `-[r:EXCITES|INHIBITS]->`"
)
_NOT_REWIRED: Final = (
    "null networks have rewired edges and no {}; leave out --null, "
    "or ask for EXCITES and INHIBITS alone"
)
_NO_EDGES: Final = (
    "it reads no edges (EXCITES, INHIBITS), so rewiring them changes nothing; leave out --null"
)
_CUT: Final = (
    "its LIMIT cuts the counts that are compared; make it a parameter, "
    "`//   limit (integer = 100): at most so many rows` and `LIMIT $limit`"
)


@dataclass(frozen=True, slots=True)
class OwnMotif:
    """A motif in a file."""

    path: Path
    query: Query

    @property
    def kind(self) -> str:
        """Stem of the file."""
        return self.query.name

    def shown(self, limit: object) -> int | None:
        """How many rows are given: as asked, else as the query says; None: all."""
        declared = self.query.parameter("limit")
        if limit is None:
            return None if declared is None or declared.required else declared.default
        try:
            number = int(limit) if isinstance(limit, str | int) else -1
        except ValueError:
            number = -1
        if number < 0:
            raise QueryError(
                f"{self.kind}: `limit` cannot be {limit!r}; give a whole number from 0"
            )
        return number


@dataclass(frozen=True, slots=True)
class _Asked:
    """A user's motif with the values of all parameters, and the keys of the model's neurons."""

    motif: OwnMotif
    values: Mapping[str, Value]
    keys: frozenset[str]
    timeout: float | None

    def scores_in(self, tables: Mapping[str, pa.Table]) -> np.ndarray:
        """Scores of all instances in a network that these tables are, ``(m,)``."""
        from circuitome.graphdb.stores.scratch import Scratch

        text = self.motif.query.text_for("kuzu")
        with Scratch(tables) as scratch:
            rows = scratch.run(text, self.values, timeout=self.timeout)
        found = instances_of(self.motif.path, "", rows, self.keys)
        return np.array([row["score"] for row in found])


def load_own(path: Path) -> OwnMotif:
    """The motif in a file.

    Raises:
        QueryError: it is no reading query with a header and a parameter ``model``.
    """
    query = load_file(path, strict=True)
    for text in {query.text_for("kuzu"), query.text_for("neo4j")}:
        try:
            check_reading(text)
        except CypherError as error:
            raise QueryError(f"{path}: {error}") from None
    if query.parameter("model") is None:
        raise QueryError(
            f"{path}: a motif is searched in one model; add `//   model (model): the model` under "
            "`// params:`, and `WHERE n.model = $model`"
        )
    return OwnMotif(path, query)


def find_own(
    database: Database,
    motif: OwnMotif,
    *,
    model: str | None = None,
    timeout: float | None = None,
    **parameters: Any,
) -> list[MotifRow]:
    """Instances of a motif in a file, strongest first; candidates, and not findings.

    Raises:
        QueryError: the query does not take a parameter, or none of its columns holds neurons.
    """
    model = database.model_key(model)
    found = database.query(motif.path, model=model, timeout=timeout, **parameters).table
    return instances_of(motif.path, model, found, _keys(database, model))


def find_own_significant(
    database: Database,
    motif: OwnMotif,
    *,
    model: str | None = None,
    nulls: int = NULLS,
    null: str = "signs",
    seed: int = 0,
    timeout: float | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> tuple[list[MotifRow], Significance]:
    """As `find_own`, each row with its q, and what null networks say of the motif as a whole.

    Args:
        database: embedded or on a server; the null networks run in the embedded engine either way.
        motif: the motif.
        model: which one; may be left out if there is only one.
        nulls: null networks for q, and as many for p.
        null: null model of p; that of q is `kernels`.
        seed: of the null networks.
        timeout: seconds for the query on each network.
        progress: is told how far it is.
        parameters: of the query; ``limit`` cuts the rows that are given, never the counts.

    Raises:
        QueryError: also if rewired edges say nothing of the query: it reads none, or what is made
            of them.
    """
    model = database.model_key(model)
    check_nulls(nulls)
    _check_null_model(null)
    names = _check_for_nulls(motif)
    limit = parameters.pop("limit", None)
    given = {"model": model, **parameters}
    if motif.query.parameter("limit") is not None:
        given["limit"] = ALL
    found = database.query(motif.path, timeout=timeout, **given).table
    keys = _keys(database, model)
    rows = instances_of(motif.path, model, found, keys)
    asked = _Asked(motif, _bound(database, motif.query, given), keys, timeout)
    tables = NetworkTables.of_database(database, model=model, names=names)
    drawn = _drawn(asked, tables, null, nulls=nulls, seed=seed, progress=progress)
    scores = np.array([row["score"] for row in rows], np.float64)
    significance = Significance.of(motif.kind, model, scores, drawn)
    return significance.annotate(rows[: motif.shown(limit)]), significance


def _check_null_model(null: str) -> None:
    if null not in _NULLS:
        known = f"there are {', '.join(_NULLS)}"
        raise QueryError(
            f"no null model of edges is called {null!r}; {near(null, _NULLS, otherwise=known)}"
        )


def _drawn(
    asked: _Asked,
    tables: NetworkTables,
    null: str,
    *,
    nulls: int,
    seed: int,
    progress: Progress | None,
) -> Drawn:
    """What is found in so many null networks of each of both null models."""
    models = list(dict.fromkeys((_INSTANCE_NULL, null)))
    found: dict[str, list[np.ndarray]] = {name: [] for name in models}
    jobs = list(itertools.product(range(nulls), models))
    tell = progress or (lambda done, total: None)
    tell(0, len(jobs))
    for done, (number, name) in enumerate(jobs, start=1):
        rng = np.random.default_rng([seed, models.index(name), number])
        copy = find_null(name)(tables.graph, rng)
        found[name].append(asked.scores_in(tables.rewired(copy)))
        tell(done, len(jobs))
    counts = [len(scores) for scores in found[null]]
    return Drawn(found[_INSTANCE_NULL], counts, _INSTANCE_NULL, null)


def _keys(database: Database, model: str) -> frozenset[str]:
    return frozenset(database.ask("neurons", model=model).table["neuron"].to_pylist())


def _bound(database: Database, query: Query, given: Mapping[str, object]) -> Mapping[str, Value]:
    """Values of all parameters, with whole keys, as the null networks get them."""
    whole = {
        "neuron": database.neuron_key,
        "layer": database.layer_key,
        "family": database.family_key,
        "list of neuron": lambda keys: [database.neuron_key(key) for key in keys],
    }
    values = bind(query.name, query.parameters, given)
    for parameter in query.parameters:
        if parameter.type in whole:
            values[parameter.name] = whole[parameter.type](values[parameter.name])
    return values


def _check_for_nulls(motif: OwnMotif) -> frozenset[str]:
    """The words of the query's text.

    Raises:
        QueryError: null networks say nothing of it.
    """
    text = motif.query.text_for("kuzu")
    for problem in dangers(text, dialect="kuzu"):
        raise QueryError(f"{motif.path}, line {problem.line}: {problem.message}")
    code = code_of(text.replace("`", " "))
    words = frozenset(re.findall(r"\w+", code))
    reason = _unfit(code, words)
    if reason is not None:
        raise QueryError(f"{motif.path}: {reason}")
    return words


def _unfit(code: str, words: Collection[str]) -> str | None:
    """Why null networks say nothing of a text; None if they do."""
    if re.search(r"-\s*\[\s*\w*\s*\]\s*-|\)\s*<?--", code):
        return _UNTYPED
    known = {*KEPT, *EDGE_TYPES}
    for name in (*NODES, *RELATIONSHIPS):
        if name in words and name not in known:
            return _NOT_REWIRED.format(name)
    if not any(name in words for name in EDGE_TYPES):
        return _NO_EDGES
    last = re.split(r"\bRETURN\b", code, flags=re.IGNORECASE)[-1]
    return _CUT if re.search(r"(?<![$.\w])LIMIT\s+\d", last, re.IGNORECASE) else None
