"""Motifs: for each ``library/motifs/<kind>.cypher`` a module of the same name with its vectorised twin.

`MOTIFS` holds them by kind; `find` asks a database for one, `find_significant` compares it with null networks, and
`summary` does so for all. A new motif is one query file and one module.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Bundled, Motif
from circuitome.queries.motifs.significance import NULLS, Significance, Task, assess
from circuitome.queries.values import bind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import Database

__all__ = [
    "BUNDLED",
    "MOTIFS",
    "Motif",
    "Significance",
    "Tally",
    "find",
    "find_in_bundle",
    "find_motif",
    "find_significant",
    "missing",
    "summary",
]

_MODULES: Final = [
    importlib.import_module(f"{__name__}.{name}")
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
]

MOTIFS: Final[dict[str, Motif]] = {
    module.__name__.rpartition(".")[2]: module.MOTIF
    for module in _MODULES
    if "MOTIF" in module.__all__
}
"""Every motif by its kind."""

BUNDLED: Final[dict[str, Bundled]] = {
    module.BUNDLED.kind: module.BUNDLED for module in _MODULES if "BUNDLED" in module.__all__
}
"""Those that are also asked of a bundle, by their kind."""


_ALL: Final = 1_000_000_000
"""More rows than any query has."""

_THERE_ARE: Final = f"there are {', '.join(MOTIFS)}"


def find_motif(kind: str) -> Motif:
    """The motif of that kind (``-`` and ``_`` are the same); `QueryError` with near kinds for an unknown one."""
    name = kind.strip().lower().replace("-", "_")
    if name not in MOTIFS:
        raise QueryError(f"no motif is called {kind!r}; {near(name, MOTIFS, otherwise=_THERE_ARE)}")
    return MOTIFS[name]


def find(
    database: Database, kind: str, *, model: str | None = None, **parameters: Any
) -> list[dict[str, Any]]:
    """Instances of a motif as rows ``{kind, model, score, p, q, null, roles}``, strongest first.

    ``parameters`` are those of the query of the same name. The bare form: ``p``, ``q`` and ``null`` are null, and the
    rows are candidates, not findings; only where an instance has an exact test of its own are they there.
    `QueryError` for an unknown kind, model or parameter.
    """
    motif, model = find_motif(kind), database.model_key(model)
    if motif.conclude is None:
        return motif.gather(model, database.query(motif.kind, model=model, **parameters))
    missing(database, kind, model=model, **parameters)
    limit = bind(
        motif.kind, library()[motif.kind].parameters, {"model": model, **_own(parameters)}
    )["limit"]
    rows = database.query(motif.kind, **{"model": model, **parameters, "limit": _ALL})
    return motif.conclude(model, rows.to_dicts())[:limit]


def find_in_bundle(
    bundle: Bundle, kind: str, *, nulls: int | None = None, seed: int = 0, **parameters: Any
) -> tuple[list[dict[str, Any]], list[str]]:
    """Instances by what no database holds, each with its p or q, and what there is to say of them all, in words.

    ``nulls`` is the number of null networks, or None for the motif's own. `QueryError` for a motif that needs no bundle, and
    for unknown parameters.
    """
    motif = find_motif(kind)
    if motif.kind not in BUNDLED:
        raise QueryError(
            f"{motif.kind} asks no bundle, only {' and '.join(BUNDLED)} do; leave it out"
        )
    asked = BUNDLED[motif.kind]
    declared = tuple(
        one for one in library()[motif.kind].parameters if one.name in asked.parameters
    )
    return asked.find(
        bundle, nulls=nulls, seed=seed, **bind(f"{motif.kind} of a bundle", declared, parameters)
    )


def missing(
    database: Database, kind: str, *, model: str | None = None, **parameters: Any
) -> str | None:
    """What a model lacks for a motif, such as an annotation, and how to get it; none where it has all that it takes."""
    motif, model = find_motif(kind), database.model_key(model)
    return motif.missing(database, model, **_own(parameters)) if motif.missing else None


def _own(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are the query's own."""
    return {name: value for name, value in parameters.items() if name != "timeout"}


def find_significant(
    database: Database,
    kind: str,
    *,
    model: str | None = None,
    nulls: int = NULLS,
    seed: int = 0,
    timeout: float | None = None,
    **parameters: Any,
) -> tuple[list[dict[str, Any]], Significance]:
    """As `find`, each row with its q, and what the null networks say of the motif as a whole.

    The null networks are rewired copies of the database's edges; the model itself is not needed. ``timeout`` in seconds
    is for the queries. `QueryError` also for a motif that edges alone have no null model for.
    """
    motif, model = find_motif(kind), database.model_key(model)
    declared = library()[motif.kind].parameters
    values = bind(motif.kind, declared, {"model": model, **parameters})
    task = Task.of(motif, {name: value for name, value in values.items() if name != "model"})
    rows = find(database, kind, **{"model": model, "timeout": timeout, **parameters})
    (found,) = assess(
        SignedGraph.of_database(database, model=model), [task], nulls=nulls, seed=seed
    )
    return found.annotate(rows), found


def summary(
    database: Database,
    *,
    model: str | None = None,
    nulls: int = NULLS,
    seed: int = 0,
    kinds: Collection[str] = MOTIFS.keys(),
) -> list[Significance | Tally]:
    """Every motif over one model, or those of some kinds, with the queries' own thresholds; `Tally` where edges have no null."""
    graph = SignedGraph.of_database(database, model=model)
    tested = [motif for kind, motif in MOTIFS.items() if kind in kinds and motif.scores is not None]
    found = {
        item.kind: item
        for item in assess(graph, [Task.of(motif) for motif in tested], nulls=nulls, seed=seed)
    }
    return [
        found[kind] if kind in found else _tally(database, graph.model, kind)
        for kind in MOTIFS
        if kind in kinds
    ]


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a motif occurs in one network, and no more."""

    kind: str
    model: str
    instances: int
    strongest: float | None  # the highest score; none without instances
    least_q: float | None  # the lowest q of an instance that has one of its own
    instance_null: str | None  # null model of that q


def _tally(database: Database, model: str, kind: str) -> Tally:
    rows = find(database, kind, model=model, limit=_ALL)
    best = min(
        (row for row in rows if row["q"] is not None), key=lambda row: row["q"], default=None
    )
    q, null = (best["q"], best["null"]) if best else (None, None)
    return Tally(kind, model, len(rows), rows[0]["score"] if rows else None, q, null)
