"""The command that looks for circuit motifs, and saves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from circuitome.cli.guard import watched
from circuitome.cli.options import (
    DEFAULT_DATABASE,
    LARGEST_NUMBER,
    AsJson,
    DatabaseAddress,
    Limit,
    ModelKey,
    Parameters,
    Timeout,
    parameter_values,
)
from circuitome.cli.output import note, number, plural, progress, show_rows
from circuitome.cli.unused import refuse_unused

if TYPE_CHECKING:
    from circuitome.queries.database import Database
    from circuitome.queries.motifs import MotifRow, Significance
    from circuitome.queries.occurrences import Occurrences, SurveyRow
    from circuitome.queries.question import Question

__all__ = ["motifs"]

_ROW: Final = ("key", "kind", "model", "score", "p", "q", "null", "roles")
"""What every motif row has; some motifs have counts beside."""
_PATIENCE: Final = 3.0
"""Seconds after which null networks are told to take long."""
_GRACE: Final = 300.0
"""Seconds beyond its time-out for a user's query, with all that is made of its rows ..."""
_MEMORY: Final = 8.0
"""... and GiB."""


_TAKEN: Final = "write the motif after the command"
_COLUMNS: Final = (
    "q: of the best instance, against rewired connections; "
    "p: of the number of instances, against kept wiring"
)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What of the instances is shown, and whether they are saved."""

    q: float | None
    limit: int | None
    save: bool
    as_json: bool


class Evidence(Enum):
    """What a motif may rest on."""

    weights = "weights"
    all = "all"


Kind = Annotated[
    str | None,
    typer.Argument(
        metavar="KIND|FILE.cypher",
        show_default=False,
        help="Which motif (- and _ are the same), or a query of your own.",
    ),
]
Nulls = Annotated[
    int | None,
    typer.Option(
        "--null",
        metavar="N",
        min=1,
        show_default=False,
        help="Number of null networks (rewired copies) to compare with.  "
        "[default: 199 for the summary and --q]",
    ),
]
NullModel = Annotated[
    str | None,
    typer.Option(
        "--null-model",
        metavar="signs|swap|relabel|columns|kernels|reflect",
        show_default=False,
        help="Null model of p: for FILE.cypher any but reflect  [default: signs]; for "
        "superposition_read_back relabel or reflect  [default: relabel].",
    ),
]
LargestQ = Annotated[
    float | None,
    typer.Option(
        "--q",
        metavar="Q",
        help="Only instances with at most this q; a summary saves (--save) those at 0.05.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="SEED",
        min=0,
        max=LARGEST_NUMBER,
        show_default=False,
        help="Seed of the null networks.  [default: 0]",
    ),
]
KernelBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="BUNDLE",
        show_default=False,
        help="The model's bundle: weight_banding needs its kernels, superposition_read_back can "
        "use its responses.",
    ),
]
Save = Annotated[
    bool,
    typer.Option(
        "--save",
        help="Save these instances, replacing those saved before for KIND (or for every motif).",
    ),
]
EvidenceOption = Annotated[
    Evidence,
    typer.Option(
        "--evidence",
        help="Motifs of weights alone, or also those that need what annotation measured.",
    ),
]
ListMotifs = Annotated[bool, typer.Option("--list", help="Show the motifs of the library.")]


def motifs(
    context: typer.Context,
    kind: Kind = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
    model: ModelKey = None,
    parameters: Parameters = None,
    limit: Limit = None,
    timeout: Timeout = None,
    nulls: Nulls = None,
    null_model: NullModel = None,
    q: LargestQ = None,
    seed: Seed = None,
    bundle: KernelBundle = None,
    save: Save = False,
    evidence: EvidenceOption = Evidence.all,
    list_motifs: ListMotifs = False,
    as_json: AsJson = False,
) -> None:
    """Find circuit motifs in a network.

    Without KIND: every motif, with two significance values. q is that of its best instance,
    compared with networks whose connections are rewired. p is that of the number of instances,
    compared with networks that keep the wiring. Saved values are shown at once; --null or --seed
    compute them again. A motif that cannot occur is not asked; the last column says what it needs.

    With KIND: a row is one instance, with its neurons in their roles and a score. Without --null
    or --q the instances are candidates, not findings: random networks have them, too. --save keeps
    them; `circuitome circuit MOTIF` draws one.

    With FILE.cypher: your own query is the motif. It has a header and a parameter `model`. Columns
    that hold neuron keys are its roles (`case_1` and `case_2` both fill `case`), and the column
    `score` is its score. --null runs it on rewired copies.

    \b
    Examples:
      circuitome motifs
      circuitome motifs --list
      circuitome motifs opponent-pairs --q 0.05
      circuitome motifs superposition-read-back --null 199 --null-model reflect
      circuitome motifs weight-banding --bundle squeezenet1_1.circuitome
      circuitome motifs branch-cluster -p grouping=kind --q 0.05
      circuitome motifs mutual-inhibition --limit 5
      circuitome motifs unioning_over_cases --model squeezenet1_1 -p strength=4 --json
      circuitome motifs opponent-pairs --null 199 --q 0.05 --save
      circuitome motifs --evidence weights
      circuitome motifs mine.cypher --null 199 --null-model relabel
    """
    from circuitome.queries.occurrences import known_motifs
    from circuitome.queries.question import Question

    refuse_unused(context)
    known = known_motifs(evidence.value)
    if list_motifs:
        return show_rows(known, as_json=as_json)
    kinds = [row["kind"] for row in known]
    given = _parameters(parameters, limit)
    question = Question(kind or "", model, given, nulls, null_model, seed, bundle, timeout)
    wish = _Wish(q, limit, save, as_json)
    if kind is None:
        return _summary(db, question, kinds, wish)
    _check_evidence(question, kinds)
    if q is not None:
        question = replace(question, nulls=question.nulls_of_q)
    return _instances(db, question, wish)


def _parameters(texts: list[str] | None, limit: int | None) -> dict[str, object]:
    """The parameters of the motif's query; wrong use if the limit is given twice."""
    given: dict[str, object] = {**parameter_values(texts, kind=_TAKEN, model="--model")}
    if limit is None:
        return given
    if "limit" in given:
        raise typer.BadParameter("'limit' is given twice, here and as -p", param_hint="--limit")
    return given | {"limit": limit}


def _check_evidence(question: Question, kinds: list[str]) -> None:
    """Wrong use if the motif is not among those of the evidence."""
    motif = question.motif
    if motif is not None and motif.kind not in kinds:
        raise typer.BadParameter(
            f"{motif.kind} needs what annotation measured; leave it out",
            param_hint="--evidence weights",
        )


def _instances(db: str, question: Question, wish: _Wish) -> None:
    """Instances of one motif."""
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        every = _asked(database, question)
        shown = every if wish.q is None else every.at_most(wish.q)
        if wish.save:
            shown = shown.saved(database)
    rows = list(shown) if wish.as_json else [_for_people(row) for row in shown]
    show_rows(rows, as_json=wish.as_json)
    if not rows:
        note(_nothing(every, wish.q))
    for line in (*every.remarks, *_verdict(every)):
        note(line)
    if wish.save:
        _tell_saved(shown)


def _nothing(found: Occurrences, q: float | None) -> str:
    """Why there is no row to show."""
    if found.rows:
        return f"no instance has a q of at most {q:g}"
    return f"no instances: {found.lacking}" if found.lacking else "no instances"


def _tell_saved(shown: Occurrences) -> None:
    draw = f"; `circuitome circuit {shown.rows[0].get('key')}` draws one" if shown.rows else ""
    note(f"saved {plural(len(shown), 'motif')}{draw}")


def _asked(database: Database, question: Question) -> Occurrences:
    """The instances; a user's own query is watched, and null networks are counted."""
    from circuitome.queries.database import DEFAULT_TIMEOUT
    from circuitome.queries.occurrences import occurrences

    with nullcontext(_untold) if question.nulls is None else _told() as tell:
        if not question.own:
            return occurrences(database, question, progress=tell)
        timeout = DEFAULT_TIMEOUT if question.timeout is None else question.timeout
        with watched(question.kind, timeout, grace=_GRACE, memory=_MEMORY) as again:

            def step(done: int, total: int) -> None:
                again()
                tell(done, total)

            return occurrences(database, question, progress=step)


def _verdict(found: Occurrences) -> Iterator[str]:
    """What null networks say, or that none were asked for."""
    if found.significance is not None:
        yield _in_words(found.significance)
    elif found.candidates:
        yield (
            f"{plural(len(found), 'candidate')}, not findings: no null model was asked for "
            "(--null 199 compares with one)"
        )


def _untold(done: int, total: int) -> None:
    """Say nothing: no null networks are asked for."""


@contextmanager
def _told() -> Iterator[Callable[[int, int], None]]:
    """Show how far null networks are; say how long they will take if they are not done at once."""
    start, said = time.perf_counter(), False
    with progress() as bars:

        def tell(done: int, total: int) -> None:
            nonlocal start, said
            if done == 0:
                start = time.perf_counter()
            passed = time.perf_counter() - start
            if 0 < done < total and passed >= _PATIENCE and not said:
                said = True
                note(
                    f"{done} of {plural(total, 'null network')} in {_long(passed)}: about "
                    f"{_long(passed / done * total)} in all; --null N asks for fewer"
                )
            bars("null networks", done, total)

        yield tell


def _long(seconds: float) -> str:
    """A time as people say it.

    >>> _long(40), _long(400)
    ('40 s', '7 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _summary(db: str, question: Question, kinds: list[str], wish: _Wish) -> None:
    """All motifs over one model."""
    from circuitome.queries.database import DEFAULT_TIMEOUT, open_database
    from circuitome.queries.occurrences import survey

    timeout = DEFAULT_TIMEOUT if question.timeout is None else question.timeout
    with open_database(db, timeout=timeout) as database:
        found = survey(
            database,
            model=question.model,
            kinds=kinds,
            nulls=question.nulls,
            seed=question.seed,
            stored_too=not wish.save,
        )
        if wish.save:
            saved = found.save(database, q=wish.q, limit=wish.limit)
            note(f"saved {plural(saved, 'motif')} of {plural(found.asked, 'kind')}")
    if found.stored:
        note("these values were saved before; --null N computes them again")
    from circuitome.queries.motifs import about_p

    rows = found.rows if wish.as_json else [_with_dashes(row) for row in found.rows]
    show_rows(rows, as_json=wish.as_json)
    note(_COLUMNS)
    for row in found.rows:
        if said := about_p(row["kind"]):
            note(f"{row['kind']}: {said}")


def _with_dashes(row: SurveyRow) -> dict[str, object]:
    """A row of the summary for people: a dash for the numbers of a motif that was not asked, and
    for the p of one that has none.
    """
    values = dict[str, object](row)
    if row["instances"] is not None:
        return values | ({"p": "-"} if row["p"] is None else {})
    return {name: "-" if value is None else value for name, value in values.items()}


def _in_words(found: Significance) -> str:
    return (
        f"{plural(found.instances, 'instance')} of {found.kind} in {found.model}"
        f"{_of_p(found)}; q of a row is against `{found.instance_null}`"
    )


def _of_p(found: Significance) -> str:
    """What p says, what it counts if that is not the instances, or why there is none."""
    from circuitome.queries.motifs import about_p

    said = about_p(found.kind)
    if found.p is None:
        return f"; {said}"
    counted = f"; {said}: {found.counted:,}" if said else ""
    return (
        f"{counted}, {found.null_mean:.1f} ± {found.null_sd:.1f} in "
        f"{plural(found.nulls, 'null network')} `{found.null}`: p = {number(found.p)}"
    )


def _for_people(row: MotifRow) -> dict[str, object]:
    """A motif row with a column for each role."""
    prefix, values = f"{row['model']}/", dict[str, object](row)
    known = [name for name in ("key", "model", "score", "p", "q") if values.get(name) is not None]
    counts = [name for name in values if name not in _ROW]
    shown = {name: values[name] for name in (*known, *counts)}
    for role, keys in row["roles"].items():
        shown[role] = [key.removeprefix(prefix) for key in keys]
    return shown
