"""A user's own motif: any ``.cypher`` file with a header, and what null networks say of it.

The query runs on the database, and on rewired copies of the model's edges in the embedded engine, each a database in
memory that holds what the text of the query names. A row is one instance. Columns whose values are neuron keys (or lists of them) are its
roles, ``case_1`` and ``case_2`` the two places of the role ``case``; the column ``score`` is its score, 1 where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from circuitome.graphdb.cypher import CypherError, check_reading, code_of
from circuitome.graphdb.reading import owners, reading
from circuitome.graphdb.schema import (
    EDGE_TYPES,
    NODES,
    RELATIONSHIPS,
    RelationshipType,
    arrow_schema,
    table_type,
)
from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import EDGE_COLUMNS, SignedGraph, numbers_of
from circuitome.queries.lint import dangers
from circuitome.queries.motifs.motif import instance
from circuitome.queries.motifs.nulls import find_null
from circuitome.queries.motifs.significance import NULLS, Significance, enrichment, instance_q
from circuitome.queries.query_file import Query, load_file
from circuitome.queries.values import bind

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["OwnMotif", "find_own", "find_own_significant", "load_own", "rewired_tables"]

Progress = Callable[[int, int], None]
"""Called with null networks done and null networks in all."""

_ALL: Final = 1_000_000_000
_INSTANCE_NULL: Final = "kernels"
_NULLS: Final[tuple[str, ...]] = ("signs", "swap", "relabel", "columns", "kernels")
"""Null models that rewire edges and leave the neurons as they are."""

_KEPT: Final = (
    *("Model", "Layer", "Block", "Branch", "Neuron", "Family"),
    *(
        "IN_LAYER",
        "IN_BLOCK",
        "IN_BRANCH",
        "OF_MODEL",
        "NEXT",
        "MEMBER_OF",
        "EQUIVARIANT_TO",
        "GATES",
    ),
)
"""What a null network has beside its edges: what the model has, as it is."""


@dataclass(frozen=True, slots=True)
class OwnMotif:
    """A motif in a file."""

    path: Path
    query: Query

    @property
    def kind(self) -> str:
        """Stem of the file."""
        return self.query.name


def load_own(path: Path) -> OwnMotif:
    """The motif in a file; `QueryError` where it is no reading query with a header and a parameter ``model``."""
    query = load_file(path, strict=True)
    for text in {query.text_for("kuzu"), query.text_for("neo4j")}:
        try:
            check_reading(text)
        except CypherError as error:
            raise QueryError(f"{path}: {error}") from None
    if query.parameter("model") is None:
        raise QueryError(
            f"{path}: a motif is searched in one model; add `//   model (model): the model` under `// params:`, "
            "and `WHERE n.model = $model`"
        )
    return OwnMotif(path, query)


def find_own(
    database: Database,
    motif: OwnMotif,
    *,
    model: str | None = None,
    timeout: float | None = None,
    **parameters: Any,
) -> list[dict[str, Any]]:
    """Instances of a motif in a file as motif rows, strongest first; candidates, and not findings.

    `QueryError` for what the query does not take, and where none of its columns holds neurons.
    """
    model = database.model_key(model)
    found = database.query(motif.path, model=model, timeout=timeout, **parameters).table
    return _instances(motif, model, found, _keys(database, model))


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
) -> tuple[list[dict[str, Any]], Significance]:
    """As `find_own`, each row with its q, and what null networks say of the motif as a whole.

    Args:
        database: embedded or on a server; the null networks run in the embedded engine either way.
        motif: the motif.
        model: which one; may be left out where there is only one.
        nulls: null networks for q, and as many for p.
        null: null model of p; that of q is `kernels`.
        seed: of the null networks.
        timeout: seconds for the query on each network.
        progress: is told how far it is.
        parameters: of the query; ``limit`` cuts the rows that are given, never the counts.

    Raises:
        QueryError: also where rewired edges say nothing of the query: it reads none, or what is made of them.
    """
    model = database.model_key(model)
    if nulls < 1:
        raise QueryError(
            f"{nulls} null networks are none; ask for at least 1, and for 199 to reach p = 0.005"
        )
    if null not in _NULLS:
        known = f"there are {', '.join(_NULLS)}"
        raise QueryError(
            f"no null model of edges is called {null!r}; {near(null, _NULLS, otherwise=known)}"
        )
    names = _check_for_nulls(motif)
    limit = parameters.pop("limit", None)
    declared = motif.query.parameter("limit")
    most: dict[str, Any] = {} if declared is None else {"limit": _ALL}
    keys = _keys(database, model)
    found = database.query(motif.path, model=model, timeout=timeout, **parameters, **most).table
    rows = _instances(motif, model, found, keys)
    observed = np.array([row["score"] for row in rows])
    values = _bound(database, motif.query, {"model": model, **parameters, **most})
    graph, edges, fixed = _read(database, model, names)
    decoys, counts = [], []
    drawn: list[str] = list(dict.fromkeys((_INSTANCE_NULL, null)))
    jobs = [(name, place) for place in range(nulls) for name in drawn]
    tell = progress or (lambda done, total: None)
    tell(0, len(jobs))
    for done, (name, place) in enumerate(jobs, start=1):
        copy = find_null(name)(graph, np.random.default_rng([seed, drawn.index(name), place]))
        scores = _scores_of_copy(
            motif, fixed | rewired_tables(graph, copy, edges), values, keys, timeout
        )
        if name == _INSTANCE_NULL:
            decoys.append(scores)
        if name == null:
            counts.append(len(scores))
        tell(done, len(jobs))
    levels, q = instance_q(observed, np.concatenate(decoys), nulls=nulls)
    significance = Significance(
        kind=motif.kind,
        model=model,
        instances=len(rows),
        strongest=float(observed.max()) if len(observed) else None,
        levels=levels,
        q=q,
        instance_null=_INSTANCE_NULL,
        p=enrichment(len(rows), counts),
        null=null,
        nulls=nulls,
        null_mean=float(np.mean(counts)),
        null_sd=float(np.std(counts)),
    )
    shown = _shown(motif, limit)
    return significance.annotate(rows[:shown]), significance


def rewired_tables(graph: SignedGraph, copy: SignedGraph, edges: pa.Table) -> dict[str, pa.Table]:
    """The two edge tables of a rewired copy of a graph.

    ``edges`` has the columns wanted, in the order of the graph's edges. Where edges have another size than before (`columns`), excitation
    follows from weight and polarity, and nothing is known of their kernels.
    """
    keys = pa.array(copy.keys)
    resized = not np.array_equal(np.abs(graph.weight), np.abs(copy.weight))
    columns: dict[str, Any] = {}
    for name in edges.column_names:
        if name in ("from", "to"):
            ends = copy.sender if name == "from" else copy.receiver
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(ends.astype(np.int32)), keys)
        elif name in EDGE_COLUMNS:
            columns[name] = pa.array(getattr(copy, name), from_pandas=True)
        elif name == "excitation":
            columns[name] = pa.array(
                _excitation(graph, copy, edges[name].to_numpy(), resized=resized)
            )
        else:
            columns[name] = pa.nulls(len(edges), edges[name].type) if resized else edges[name]
    whole = pa.table(columns)
    return {
        table: whole.filter(pa.array(copy.excites == (table == "EXCITES"))) for table in EDGE_TYPES
    }


def _excitation(
    graph: SignedGraph, copy: SignedGraph, excitation: np.ndarray, *, resized: bool
) -> np.ndarray:
    if resized:
        mass = np.divide(
            copy.weight, copy.polarity, out=np.zeros_like(copy.weight), where=copy.polarity != 0
        )
        return (mass + copy.weight) / 2
    return np.where(copy.excites == graph.excites, excitation, excitation - graph.weight)


def _keys(database: Database, model: str) -> frozenset[str]:
    return frozenset(database.ask("neurons", model=model).table["neuron"].to_pylist())


def _instances(
    motif: OwnMotif, model: str, rows: pa.Table, keys: Collection[str]
) -> list[dict[str, Any]]:
    """Motif rows from the rows of the query: each set of neurons in their roles once, with its best score, strongest first."""
    if not rows.num_rows:
        return []
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    members = {
        name: part
        for name, values in columns.items()
        if (part := _members(values, keys)) is not None
    }
    if not members:
        raise QueryError(
            f"{motif.path}: none of its columns ({', '.join(rows.column_names)}) holds neuron keys; "
            "return some, as in `RETURN n.key AS neuron`"
        )
    scores = _scores(motif, columns)
    order = np.argsort(-scores, kind="stable").tolist()
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for place in order:
        parts = tuple(tuple(values[place]) for values in members.values())
        if parts not in found:
            roles: dict[str, list[str]] = {}
            for name, part in zip(members, parts, strict=True):
                roles.setdefault(re.sub(r"_\d+$", "", name), []).extend(part)
            found[parts] = instance(motif.kind, model, float(scores[place]), roles)
    return list(found.values())


def _members(values: list[Any], keys: Collection[str]) -> list[list[str]] | None:
    """The neurons of each row of a column; none where it holds anything else."""
    lists = [
        value if isinstance(value, list) else [] if value is None else [value] for value in values
    ]
    items = [item for part in lists for item in part]
    return (
        lists if items and all(isinstance(item, str) and item in keys for item in items) else None
    )


def _scores(motif: OwnMotif, columns: Mapping[str, list[Any]]) -> np.ndarray:
    if "score" not in columns:
        return np.ones(len(next(iter(columns.values()))))
    scores = columns["score"]
    if bad := [
        score for score in scores if isinstance(score, bool) or not isinstance(score, int | float)
    ]:
        raise QueryError(
            f"{motif.path}: the column `score` holds {bad[0]!r}; make it a number in every row"
        )
    return np.array(scores, dtype=float)


def _scores_of_copy(
    motif: OwnMotif,
    tables: Mapping[str, pa.Table],
    values: Mapping[str, Any],
    keys: Collection[str],
    timeout: float | None,
) -> np.ndarray:
    from circuitome.graphdb.stores.scratch import Scratch

    with Scratch(tables) as scratch:
        rows = scratch.run(motif.query.text_for("kuzu"), values, timeout=timeout)
    return np.array([row["score"] for row in _instances(motif, "", rows, keys)])


def _shown(motif: OwnMotif, limit: Any) -> int | None:
    """How many rows are given: as asked, else as the query says."""
    declared = motif.query.parameter("limit")
    if limit is None:
        return None if declared is None or declared.required else declared.default
    try:
        number = int(limit)
    except ValueError:
        number = -1
    if number < 0:
        raise QueryError(f"{motif.kind}: `limit` cannot be {limit!r}; give a whole number from 0")
    return number


def _bound(database: Database, query: Query, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all parameters, with whole keys, as the null networks get them."""
    whole: Mapping[str, Callable[[Any], Any]] = {
        "neuron": database.neuron_key,
        "layer": database.layer_key,
        "family": database.family_key,
        "list of neuron": lambda keys: [database.neuron_key(key) for key in keys],
    }
    values = bind(query.name, query.parameters, given)
    return {
        p.name: whole[p.type](values[p.name]) if p.type in whole else values[p.name]
        for p in query.parameters
    }


def _check_for_nulls(motif: OwnMotif) -> frozenset[str]:
    """The words of the query's text; `QueryError` where null networks say nothing of it."""
    text = motif.query.text_for("kuzu")
    for problem in dangers(text, dialect="kuzu"):
        raise QueryError(f"{motif.path}, line {problem.line}: {problem.message}")
    code = code_of(text.replace("`", " "))
    words = frozenset(re.findall(r"\w+", code))
    if re.search(r"-\s*\[\s*\w*\s*\]\s*-|\)\s*<?--", code):
        raise QueryError(
            f"{motif.path}: a relationship without a type is another thing in a null network; write its type, "
            "as in `-[r:EXCITES|INHIBITS]->`"
        )
    if unfit := [
        name for name in (*NODES, *RELATIONSHIPS) if name in words - {*_KEPT, *EDGE_TYPES}
    ]:
        raise QueryError(
            f"{motif.path}: null networks have rewired edges and no {unfit[0]}; leave out --null, or ask for EXCITES and "
            "INHIBITS alone"
        )
    if not words & set(EDGE_TYPES):
        raise QueryError(
            f"{motif.path}: it reads no edges (EXCITES, INHIBITS), so rewiring them changes nothing; leave out --null"
        )
    last = code[[match.start() for match in re.finditer(r"\bRETURN\b", code, re.IGNORECASE)][-1] :]
    if re.search(r"(?<![$.\w])LIMIT\s+\d", last, re.IGNORECASE):
        raise QueryError(
            f"{motif.path}: its LIMIT cuts the counts that are compared; make it a parameter, "
            "`//   limit (integer = 100): at most so many rows` and `LIMIT $limit`"
        )
    return words


def _read(
    database: Database, model: str, names: frozenset[str]
) -> tuple[SignedGraph, pa.Table, dict[str, pa.Table]]:
    """The graph; its edges with the columns that the query names, in the graph's order; and the other tables that it names."""
    graph = SignedGraph.of_database(database, model=model).by_receiver()
    parts = [_table(database, name, model, names) for name in EDGE_TYPES]
    edges = pa.concat_tables(parts)
    keys, n = pa.array(graph.keys), len(graph.keys)
    ends = numbers_of(edges["to"], keys) * n + numbers_of(edges["from"], keys)
    there = np.argsort(graph.receiver * n + graph.sender)
    order = np.empty(len(there), np.int64)
    order[there] = np.argsort(ends)
    wanted = {name for name in _KEPT if name in names} | {"Neuron"}
    for name in list(wanted):
        kind = table_type(name)
        if isinstance(kind, RelationshipType):
            wanted |= {kind.source, kind.target}
    fixed = {name: _table(database, name, model, names) for name in _KEPT if name in wanted}
    return graph, edges.take(pa.array(order)), fixed


def _table(database: Database, name: str, model: str, names: Iterable[str]) -> pa.Table:
    """What a model has of a table: keys or ends, and the columns that are among ``names``."""
    schema = arrow_schema(name)
    columns = [
        column for column in schema.names if column in ("key", "from", "to") or column in names
    ]
    tests = [f"{owner} = $model" for owner in owners(name)]
    text = reading(name, tests=tests, columns=columns)
    wanted = pa.schema([schema.field(column) for column in columns])
    return database.store.run(text, {"model": model}).cast(wanted)
