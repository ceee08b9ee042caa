"""One search for a motif in a model of a database: its thresholds are bound once, and carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.lack import Lack, no_pictures
from circuitome.queries.motifs.motif import Motif, Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow
from circuitome.queries.motifs.significance import NULLS, Progress, Significance, Task, assess
from circuitome.queries.values import rows_at_most

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["ALL", "Search"]

ALL: Final = 1_000_000_000
"""More rows than any query has."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for."""

    motif: Motif | Tested
    model: str  # key
    thresholds: Mapping[str, Value]  # all of them
    limit: int  # rows at most
    timeout: float | None = None  # seconds for the query; None: the database's own

    @classmethod
    def of(
        cls,
        motif: Motif | Tested,
        model: str,
        given: Mapping[str, object],
        *,
        timeout: float | None = None,
    ) -> Search:
        """The search with the header's defaults for what is not given.

        Raises:
            QueryError: a threshold that the motif does not have, or a value that it cannot have.
        """
        thresholds = {name: value for name, value in given.items() if name != "limit"}
        limit = given.get("limit", motif.definition.limit)
        return cls(motif, model, motif.bound(thresholds), rows_at_most(motif.kind, limit), timeout)

    def rows(self, database: Database) -> list[MotifRow]:
        """Instances, strongest first; candidates, unless each brings a test of its own."""
        motif = self.motif
        own_test = motif.conclude if isinstance(motif, Tested) else None
        limit = self.limit if own_test is None else ALL  # q is over all rows
        given = {"model": self.model, **self.thresholds}
        rows = database.query(motif.kind, limit=limit, timeout=self.timeout, **given)
        if own_test is None:
            return motif.gather(self.model, rows)
        return own_test(self.model, rows.to_dicts())[: self.limit]

    def lack(self, database: Database) -> Lack | None:
        """What the model lacks for the motif, which then cannot occur; None if it has all."""
        needs = self.motif.needs
        found = None if needs is None else needs(database, self.model, **self.thresholds)
        if found is None or not found.needs.startswith("annotate "):
            return found
        return no_pictures(database, self.model) or found

    def task(self, null: str | None = None) -> Task:
        """What is counted in null networks; ``null`` is the null model of p, or None for the usual
        one.

        Raises:
            QueryError: no null of edges fits the motif, or it does not have this one.
        """
        return Task.of(self.motif, self.thresholds, null=null)

    def significant(
        self,
        database: Database,
        *,
        nulls: int = NULLS,
        null: str | None = None,
        seed: int = 0,
        progress: Progress = lambda done, total: None,
    ) -> tuple[list[MotifRow], Significance]:
        """As `rows`, each with its q, and what null networks say of the motif as a whole."""
        task = self.task(null)
        rows = self.rows(database)
        graph = SignedGraph.of_database(database, model=self.model)
        (found,) = assess(graph, [task], nulls=nulls, seed=seed, progress=progress)
        return found.annotate(rows), found
