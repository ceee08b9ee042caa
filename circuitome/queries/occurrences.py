"""Where a motif occurs in a model, asked by name or by a query file, and all motifs in summary.

A `Question` is what a person asks; `occurrences` answers it with motif rows and, if null networks
were asked for, with what they say. `survey` asks for all motifs at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.catalogue import library
from circuitome.queries.database import Database
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs import (
    MOTIFS,
    MotifRow,
    NotAsked,
    Significance,
    Tally,
    find_in_bundle,
    find_motif,
    not_asked,
    summary,
)
from circuitome.queries.motifs.own import find_own, find_own_significant, load_own
from circuitome.queries.motifs.saved import Enrichment, Finding, save, save_summary, stored
from circuitome.queries.motifs.search import Search
from circuitome.queries.motifs.significance import NULLS, Progress
from circuitome.queries.query_file import Query
from circuitome.queries.question import Question
from circuitome.queries.rows import Rows
from circuitome.vocabulary import Q_MAX

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Occurrences",
    "Question",
    "Survey",
    "SurveyRow",
    "known_motifs",
    "occurrences",
    "survey",
]

_SAVED: Final = 100
_TAKEN: Final = frozenset({"nulls", "null", "seed", "progress"})
"""What is said of null networks, so that no parameter of a query file can be called so."""


class SurveyRow(TypedDict):
    """What is known of one motif in one model; None is what was not asked."""

    kind: str
    model: str
    instances: int | None  # None: the motif cannot occur in the model and was not asked
    strongest: float | None
    q: float | None  # least of an instance
    q_null: str | None  # null model of that
    p: float | None  # of the number of instances, or of what the motif counts; None: no null fits
    null: str | None  # null model of that
    null_mean: float | None
    null_sd: float | None
    nulls: int | None
    remark: str | None  # why it was not asked, such as ``needs annotate --parts kinds``


_SURVEY_COLUMNS: Final = tuple(SurveyRow.__annotations__)


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
        """Those with at most this q.

        Raises:
            QueryError: the rows are candidates, which have no q.
        """
        if self.candidates:
            kind = self.rows[0]["kind"]
            raise QueryError(f"{kind}: candidates have no q; {self.question.way_to_q}")
        rows = [row for row in self.rows if (1.0 if row["q"] is None else row["q"]) <= q]
        return replace(self, rows=rows)

    def saved(self, database: Database) -> Occurrences:
        """Save the rows, replacing those saved before for the motif; they come back with keys.

        Raises:
            QueryError: if a file is called like a motif of the library.
        """
        asked, found = self.question, self.significance
        model = database.model_key(asked.model)
        enrichment = None if found is None else Enrichment.of(found, seed=asked.seed or 0)
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
    progress: Progress = lambda done, total: None,
) -> Occurrences:
    """Instances of the motif that is asked for; ``progress`` counts null networks.

    A motif that cannot occur in the model is not held against null networks.

    Raises:
        QueryError: for an unknown motif, model or parameter, a bundle of another model, and what
            would change nothing.
    """
    question.check()
    if question.own:
        return _of_file(database, question, progress)
    if question.bundle is not None:
        return _of_bundle(database, question, question.bundle)
    search = _search(database, question)
    if question.nulls is None:
        rows = search.rows(database)
        return Occurrences(question, rows, lacking=_lacking(search, database, rows))
    search.task(question.null_model)
    lacking = _lacking(search, database, ())
    if lacking is not None:
        return Occurrences(question, [], lacking=lacking)
    rows, found = search.significant(
        database,
        nulls=question.nulls,
        null=question.null_model,
        seed=question.seed or 0,
        progress=progress,
    )
    return Occurrences(question, rows, found)


def _search(database: Database, question: Question) -> Search:
    motif, model = find_motif(question.kind), database.model_key(question.model)
    return Search.of(motif, model, question.parameters, timeout=question.timeout)


def _lacking(search: Search, database: Database, rows: Sequence[object]) -> str | None:
    """Why there are no rows, if the motif cannot occur in the model."""
    lack = None if rows else search.lack(database)
    return None if lack is None else lack.reason


def _of_file(database: Database, question: Question, progress: Progress) -> Occurrences:
    motif = load_own(Path(question.kind))
    asked: dict[str, Any] = {"model": question.model, "timeout": question.timeout}
    asked |= question.parameters
    if question.nulls is None:
        return Occurrences(question, find_own(database, motif, **asked))
    taken = sorted(_TAKEN & question.parameters.keys())
    if taken:
        raise QueryError(
            f"{question.kind}: null networks have a {taken[0]!r} of their own; call the parameter "
            "otherwise"
        )
    rows, found = find_own_significant(
        database,
        motif,
        nulls=question.nulls,
        null=question.null_model or "signs",
        seed=question.seed or 0,
        progress=progress,
        **asked,
    )
    return Occurrences(question, rows, found)


def _of_bundle(database: Database, question: Question, path: Path) -> Occurrences:
    bundle, model = Bundle.open(path), database.model_key(question.model)
    if bundle.model != model:
        raise QueryError(
            f"{path}: holds {bundle.model}, not {model}; give the bundle of that model"
        )
    rows, remarks = find_in_bundle(
        bundle, question.kind, nulls=question.nulls, seed=question.seed or 0, **question.parameters
    )
    return Occurrences(question, rows, remarks=tuple(remarks))


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
    found: Sequence[Significance | Tally | NotAsked] = ()
    """What was computed; empty if the rows were saved before."""
    seed: int = 0
    """Seed of the null networks."""

    @property
    def stored(self) -> bool:
        """Whether the rows were saved before."""
        return not self.found

    @property
    def asked(self) -> int:
        """Number of motifs that were asked: those that can occur in the model."""
        return sum(row["instances"] is not None for row in self.rows)

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
    seed: int | None = None,
    stored_too: bool = True,
) -> Survey:
    """Every motif over one model: as it was saved, or computed if ``nulls`` or a seed are given.

    ``stored_too=False`` always computes.
    """
    key = database.model_key(model)
    if stored_too and nulls is None and seed is None:
        rows = _stored_rows(database, key, kinds)
        if rows is not None:
            return Survey(key, rows)
    number, seed = NULLS if nulls is None else nulls, seed or 0
    found = summary(database, model=key, nulls=number, seed=seed, kinds=kinds)
    return Survey(key, [_survey_row(item) for item in found], found, seed)


def _stored_rows(database: Database, model: str, kinds: Collection[str]) -> list[SurveyRow] | None:
    """The rows of a survey that was saved; None if there is a motif of which nothing was."""
    saved = {kind: row for kind, row in stored(database, model=model).items() if kind in kinds}
    rest = [kind for kind in kinds if kind not in saved]
    unasked = list(not_asked(database, model, rest)) if saved else []
    if len(unasked) < len(rest):
        return None
    rows = [_stored_row(row, model) for row in saved.values()] + list(map(_survey_row, unasked))
    return sorted(rows, key=itemgetter("kind"))


def _stored_row(row: Mapping[str, object], model: str) -> SurveyRow:
    values = {**row, "model": model, "null": row["null_model"], "remark": None}
    return cast("SurveyRow", {name: values[name] for name in _SURVEY_COLUMNS})


def _survey_row(found: Significance | Tally | NotAsked) -> SurveyRow:
    """The row of one motif; one that edges have no null model for has no p."""
    names = {"q": "least_q", "q_null": "instance_null"}
    row = {name: getattr(found, names.get(name, name), None) for name in _SURVEY_COLUMNS}
    if isinstance(found, NotAsked):
        row["remark"] = f"needs {found.lack.needs}"
    return cast("SurveyRow", row)
