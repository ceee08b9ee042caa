"""All motifs over one model: how often each occurs, and what null networks say of that."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack
from circuitome.queries.motifs.motif import Motif, Tested
from circuitome.queries.motifs.registry import MOTIFS
from circuitome.queries.motifs.search import ALL, Search
from circuitome.queries.motifs.significance import NULLS, Significance, Task, assess

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["NotAsked", "Tally", "not_asked", "summary"]


def summary(
    database: Database,
    *,
    model: str | None = None,
    nulls: int = NULLS,
    seed: int = 0,
    kinds: Collection[str] = MOTIFS.keys(),
) -> list[Significance | Tally | NotAsked]:
    """Every motif over one model, or those of some kinds, with the queries' own thresholds.

    A motif that edges have no null for has a `Tally`; one that cannot occur is `NotAsked`.
    """
    model = database.model_key(model)
    found: dict[str, Significance | Tally | NotAsked] = {}
    found.update((item.kind, item) for item in not_asked(database, model, kinds))
    graph = SignedGraph.of_database(database, model=model)
    chosen = [motif for kind, motif in MOTIFS.items() if kind in kinds]
    asked = [motif for motif in chosen if motif.kind not in found]
    tasks = [Task.of(motif) for motif in asked if isinstance(motif, Motif)]
    found.update((item.kind, item) for item in assess(graph, tasks, nulls=nulls, seed=seed))
    return [found.get(motif.kind) or _tally(database, model, motif) for motif in chosen]


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A motif that cannot occur in a model, such as one of kinds in a network without."""

    kind: str
    model: str
    lack: Lack


def not_asked(database: Database, model: str, kinds: Collection[str]) -> Iterator[NotAsked]:
    """The motifs among some kinds that cannot occur in a model, and what it lacks for them."""
    for kind in kinds:
        lack = Search.of(MOTIFS[kind], model, {}).lack(database)
        if lack is not None:
            yield NotAsked(kind, model, lack)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a motif occurs in one network, and no more."""

    kind: str
    model: str
    instances: int
    strongest: float | None  # the highest score; None without instances
    least_q: float | None  # the lowest q of an instance that has one of its own
    instance_null: str | None  # null model of that q


def _tally(database: Database, model: str, motif: Motif | Tested) -> Tally:
    rows = Search.of(motif, model, {"limit": ALL}).rows(database)
    tested = [(row["q"], row["null"]) for row in rows if row["q"] is not None]
    q, null = min(tested, key=lambda pair: pair[0], default=(None, None))
    strongest = rows[0]["score"] if rows else None
    return Tally(motif.kind, model, len(rows), strongest, q, null)
