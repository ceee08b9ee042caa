"""Where a motif occurs in a model, asked by name or by a query file, and all motifs in summary.

A `Question` is what a person asks; `occurrences` answers it with motif rows and, if null networks
were asked for, with what they say. `survey` asks for all motifs at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.catalogue import library
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs import (
    MOTIFS,
    MotifRow,
    Significance,
    Tally,
    find,
    find_in_bundle,
    find_motif,
    find_significant,
    missing,
    summary,
)
from circuitome.queries.motifs.own import find_own, find_own_significant, load_own
from circuitome.queries.motifs.saved import Enrichment, Finding, save, save_summary, stored
from circuitome.queries.motifs.significance import NULLS
from circuitome.queries.query_file import Query
from circuitome.queries.rows import Rows
from circuitome.vocabulary import Q_MAX

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Occurrences", "Question", "Survey", "known_motifs", "occurrences", "survey"]

_SAVED: Final = 100


class SurveyRow(TypedDict):
    """What is known of one motif in one model; None is what was not asked."""

    kind: str
    model: str
    instances: int
    strongest: float | None
    q: float | None  # least of an instance
    q_null: str | None  # null model of that
    p: float | None  # of the number of instances
    null: str | None  # null model of that
    null_mean: float | None
    null_sd: float | None
    nulls: int | None


_SURVEY_COLUMNS: Final = tuple(SurveyRow.__annotations__)


@dataclass(frozen=True, slots=True)
class Question:
    """A search for instances of one motif."""

    kind: str
    """A motif of the library (``-`` and ``_`` are the same), or the path of a ``.cypher`` file."""
    model: str | None = None
    """Key of the model; None if the database holds one."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Parameters of the motif's query, ``limit`` among them."""
    nulls: int | None = None
    """Number of null networks; None compares with none (a bundle: with its motif's own number)."""
    null_model: str | None = None
    """Null model of p for a file; None is ``signs``."""
    seed: int = 0
    """Seed of the null networks."""
    bundle: Path | None = None
    """The model's bundle, for motifs of kernels or responses."""
    timeout: float | None = None
    """Seconds for the query; None is the database's own."""

    @property
    def own(self) -> bool:
        """Whether the motif is a query file of the user's."""
        return self.kind.endswith(".cypher")

    @property
    def asked(self) -> dict[str, Any]:
        """Arguments of the functions that find instances in a database."""
        return {"model": self.model, "timeout": self.timeout, **self.parameters}


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Instances of one motif in one model."""

    question: Question
    rows: Sequence[MotifRow]
    """Motif rows, strongest first."""
    significance: Significance | None = None
    """What null networks say of the motif as a whole; None if none were asked for."""
    lacking: str | None = None
    """What the model lacks for the motif, such as an annotation; None if it lacks nothing."""
    remarks: tuple[str, ...] = ()
    """What there is to say of instances that a bundle gave."""

    @property
    def candidates(self) -> bool:
        """Whether the rows are candidates alone: no null model was asked for any of them."""
        asked = self.question.bundle is not None or self.significance is not None
        return bool(self.rows) and not asked and all(row["null"] is None for row in self.rows)

    def at_most(self, q: float) -> Occurrences:
        """Those with at most this q; a row without q has none to show."""
        rows = [row for row in self.rows if (1.0 if row["q"] is None else row["q"]) <= q]
        return replace(self, rows=rows)

    def saved(self, database: Database) -> Occurrences:
        """Save the rows, replacing those saved before for the motif; they come back with keys.

        Raises:
            QueryError: if a file is called like a motif of the library.
        """
        asked, found = self.question, self.significance
        model = database.model_key(asked.model)
        enrichment = None if found is None else Enrichment.of(found, seed=asked.seed)
        motif, given = self._searched()
        finding = Finding.of(motif, self.rows, model=model, enrichment=enrichment, **given)
        (rows,) = save(database, model, [finding])
        return replace(self, rows=rows)

    def _searched(self) -> tuple[Query | str, dict[str, object]]:
        """The query of a file, or the kind of a motif, and the parameters that it was given."""
        asked = self.question
        if not asked.own:
            return find_motif(asked.kind).kind, dict(asked.parameters)
        query = load_own(Path(asked.kind)).query
        if query.name in MOTIFS:
            raise QueryError(
                f"a motif of the library is called {query.name}; "
                f"rename {asked.kind}, so that both can be saved"
            )
        limited = query.parameter("limit") is not None
        given = {
            name: value for name, value in asked.parameters.items() if limited or name != "limit"
        }
        return query, given

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[MotifRow]:
        return iter(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """A data frame of the instances, with a column for each role."""
        return Rows.of([_flat(row) for row in self.rows]).to_pandas()


def _flat(row: MotifRow) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "roles"} | row["roles"]


def occurrences(
    database: Database,
    question: Question,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Occurrences:
    """Instances of the motif that is asked for; ``progress`` counts null networks of a file.

    Raises:
        QueryError: for an unknown motif, model or parameter, and a bundle of another model.
    """
    if question.own:
        return _of_file(database, question, progress)
    if question.bundle is not None:
        return _of_bundle(database, question, question.bundle)
    if question.nulls is None:
        rows, found = find(database, question.kind, **question.asked), None
    else:
        nulls = {"nulls": question.nulls, "seed": question.seed}
        rows, found = find_significant(database, question.kind, **nulls, **question.asked)
    return Occurrences(question, rows, found, _lacking(database, question, rows))


def _lacking(database: Database, question: Question, rows: Sequence[object]) -> str | None:
    return None if rows else missing(database, question.kind, **question.asked)


def _of_file(
    database: Database, question: Question, progress: Callable[[int, int], None] | None
) -> Occurrences:
    motif = load_own(Path(question.kind))
    if question.nulls is None:
        return Occurrences(question, find_own(database, motif, **question.asked))
    rows, found = find_own_significant(
        database,
        motif,
        nulls=question.nulls,
        null=question.null_model or "signs",
        seed=question.seed,
        progress=progress,
        **question.asked,
    )
    return Occurrences(question, rows, found)


def _of_bundle(database: Database, question: Question, path: Path) -> Occurrences:
    bundle, model = Bundle.open(path), database.model_key(question.model)
    if bundle.model != model:
        raise QueryError(
            f"{path}: holds {bundle.model}, not {model}; give the bundle of that model"
        )
    rows, remarks = find_in_bundle(
        bundle, question.kind, nulls=question.nulls, seed=question.seed, **question.parameters
    )
    lacking = _lacking(database, question, rows)
    return Occurrences(question, rows, lacking=lacking, remarks=tuple(remarks))


class KnownMotif(TypedDict):
    """A motif of the library."""

    kind: str
    roles: list[str]
    evidence: str
    title: str


def known_motifs(evidence: str = "all") -> list[KnownMotif]:
    """The motifs of the library: kind, roles, evidence, title; ``evidence`` is weights or all."""
    return [
        KnownMotif(
            kind=kind,
            roles=list(motif.roles),
            evidence=motif.evidence,
            title=library()[kind].title,
        )
        for kind, motif in MOTIFS.items()
        if evidence in ("all", motif.evidence)
    ]


@dataclass(frozen=True, slots=True)
class Survey:
    """All motifs in one model, each with two answers of null networks."""

    model: str
    rows: Sequence[SurveyRow]
    """A row for each motif."""
    found: Sequence[Significance | Tally] = ()
    """What was computed; empty if the rows were saved before."""
    seed: int = 0
    """Seed of the null networks."""

    @property
    def stored(self) -> bool:
        """Whether the rows were saved before."""
        return not self.found

    def save(self, database: Database, *, q: float | None, limit: int | None) -> int:
        """Save the survey, and of each motif at most ``limit`` instances of at most this q.

        Returns how many instances were saved.
        """
        kept = save_summary(
            database,
            self.found,
            model=self.model,
            q=Q_MAX if q is None else q,
            limit=_SAVED if limit is None else limit,
            seed=self.seed,
        )
        return sum(kept.values())

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SurveyRow]:
        return iter(self.rows)

    def to_pandas(self) -> pd.DataFrame:
        """A data frame with a row for each motif."""
        return Rows.of([dict(row) for row in self.rows]).to_pandas()


def survey(
    database: Database,
    *,
    model: str | None = None,
    kinds: Collection[str] = MOTIFS.keys(),
    nulls: int | None = None,
    seed: int = 0,
    stored_too: bool = True,
) -> Survey:
    """Every motif over one model: as it was saved, or computed if ``nulls`` are given.

    ``stored_too=False`` always computes.
    """
    key = database.model_key(model)
    saved = stored(database, model=key) if stored_too and nulls is None else {}
    if set(kinds) <= set(saved):
        return Survey(key, [_stored_row(row, key) for kind, row in saved.items() if kind in kinds])
    number = NULLS if nulls is None else nulls
    found = summary(database, model=key, nulls=number, seed=seed, kinds=kinds)
    return Survey(key, [_survey_row(item) for item in found], found, seed)


def _stored_row(row: Mapping[str, object], model: str) -> SurveyRow:
    values = {**row, "model": model, "null": row["null_model"]}
    return cast("SurveyRow", {name: values[name] for name in _SURVEY_COLUMNS})


def _survey_row(found: Significance | Tally) -> SurveyRow:
    """The row of one motif; one that edges have no null model for has no p."""
    names = {"q": "least_q", "q_null": "instance_null"}
    row = {name: getattr(found, names.get(name, name), None) for name in _SURVEY_COLUMNS}
    return cast("SurveyRow", row)
