"""Motifs: for each ``library/motifs/<kind>.cypher`` a module of the same name with its array form.

`MOTIFS` holds them by kind; `find` asks a database for one, `find_significant` compares it with
null networks, and `summary` does so for all. A new motif is one query file and one module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.motif import Motif, Tested
from circuitome.queries.motifs.motif_row import MotifRow
from circuitome.queries.motifs.registry import BUNDLED, MOTIFS, about_p, find_motif
from circuitome.queries.motifs.search import Search
from circuitome.queries.motifs.significance import NULLS, Significance
from circuitome.queries.motifs.summary import NotAsked, Tally, not_asked, summary
from circuitome.queries.values import bind

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import Database

__all__ = [
    "BUNDLED",
    "MOTIFS",
    "Motif",
    "MotifRow",
    "NotAsked",
    "Search",
    "Significance",
    "Tally",
    "Tested",
    "about_p",
    "find",
    "find_in_bundle",
    "find_motif",
    "find_significant",
    "missing",
    "not_asked",
    "search",
    "summary",
]


def search(
    database: Database,
    kind: str,
    *,
    model: str | None = None,
    timeout: float | None = None,
    **parameters: object,
) -> Search:
    """The search for a motif in a model that is there, with all thresholds bound.

    ``parameters`` are those of the query of the same name. `QueryError` for an unknown kind, model
    or parameter.
    """
    motif = find_motif(kind)
    return Search.of(motif, database.model_key(model), parameters, timeout=timeout)


def find(
    database: Database,
    kind: str,
    *,
    model: str | None = None,
    timeout: float | None = None,
    **parameters: object,
) -> list[MotifRow]:
    """Instances of a motif, strongest first, as `search` and `Search.rows` give them.

    ``p``, ``q`` and ``null`` are None: the rows are candidates, not findings; only an instance with
    an exact test of its own has them.
    """
    asked = search(database, kind, model=model, timeout=timeout, **parameters)
    return asked.rows(database)


def find_in_bundle(
    bundle: Bundle, kind: str, *, nulls: int | None = None, seed: int = 0, **parameters: object
) -> tuple[list[MotifRow], list[str]]:
    """Instances by what no database holds, each with its p or q, and what to say of them all.

    ``nulls`` is the number of null networks, or None for the motif's own. `QueryError` for a motif
    that needs no bundle, and for unknown parameters.
    """
    motif = find_motif(kind)
    if motif.kind not in BUNDLED:
        raise QueryError(
            f"{motif.kind} asks no bundle, only {' and '.join(BUNDLED)} do; leave it out"
        )
    asked = BUNDLED[motif.kind]
    every = library()[motif.kind].parameters
    declared = tuple(one for one in every if one.name in asked.parameters)
    values = bind(f"{motif.kind} of a bundle", declared, parameters)
    return asked.find(bundle, nulls=nulls, seed=seed, **values)


def missing(
    database: Database,
    kind: str,
    *,
    model: str | None = None,
    timeout: float | None = None,
    **parameters: object,
) -> str | None:
    """What a model lacks for a motif, such as an annotation, and how to get it; None: nothing."""
    asked = search(database, kind, model=model, timeout=timeout, **parameters)
    lack = asked.lack(database)
    return None if lack is None else lack.reason


def find_significant(
    database: Database,
    kind: str,
    *,
    model: str | None = None,
    nulls: int = NULLS,
    seed: int = 0,
    timeout: float | None = None,
    **parameters: object,
) -> tuple[list[MotifRow], Significance]:
    """As `find`, each row with its q, and what the null networks say of the motif as a whole.

    The null networks are rewired copies of the database's edges; the model itself is not needed.
    ``timeout`` in seconds is for the query. `QueryError` also for a motif that edges alone have no
    null model for.
    """
    asked = search(database, kind, model=model, timeout=timeout, **parameters)
    return asked.significant(database, nulls=nulls, seed=seed)
