"""The command that looks for circuit motifs, and saves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from circuitome.cli.ask import Parameters, parameter_values
from circuitome.cli.guard import watched
from circuitome.cli.options import (
    DEFAULT_DATABASE,
    LARGEST_NUMBER,
    AsJson,
    DatabaseAddress,
    Limit,
    ModelKey,
    Timeout,
)
from circuitome.cli.output import note, number, plural, progress, show_rows

if TYPE_CHECKING:
    from circuitome.queries.database import Database
    from circuitome.queries.motifs import Significance, Tally

__all__ = ["motifs"]

_ROW: Final = ("key", "kind", "model", "score", "p", "q", "null", "roles")
"""What every motif row has; some motifs have counts beside."""


class Evidence(Enum):
    """What a motif may rest on."""

    weights = "weights"
    all = "all"


_GRACE: Final = 300.0  # seconds beyond its time-out for a query of the user's, with all that is made of its rows ...
_MEMORY: Final = 8.0  # ... and GiB
_SAVED_Q: Final = 0.05
_SAVED_LIMIT: Final = 100
_SUMMARY_COLUMNS: Final = (
    *(
        "kind",
        "model",
        "instances",
        "strongest",
        "q",
        "q_null",
        "p",
        "null",
        "null_mean",
        "null_sd",
        "nulls",
    ),
)


def motifs(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND|FILE.cypher",
            show_default=False,
            help="Which motif (- and _ are the same), or a query of your own.",
        ),
    ] = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
    model: ModelKey = None,
    parameters: Parameters = None,
    limit: Limit = None,
    timeout: Timeout = None,
    nulls: Annotated[
        int | None,
        typer.Option(
            "--null",
            metavar="N",
            min=1,
            show_default=False,
            help="Compare with so many null networks, rewired copies of the edges.  [default: 199 for the summary]",
        ),
    ] = None,
    null_model: Annotated[
        str | None,
        typer.Option(
            "--null-model",
            metavar="signs|swap|relabel|columns|kernels",
            show_default=False,
            help="Null model of p for FILE.cypher.  [default: signs]",
        ),
    ] = None,
    q: Annotated[
        float | None,
        typer.Option(
            "--q",
            metavar="Q",
            help="Only instances with at most this q; a summary saves those at 0.05.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(metavar="SEED", min=0, max=LARGEST_NUMBER, help="Seed of the null networks."),
    ] = 0,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="BUNDLE",
            show_default=False,
            help="The model's bundle: weight_banding needs its kernels; superposition_read_back asks its responses, too.",
        ),
    ] = None,
    save: Annotated[
        bool,
        typer.Option(
            "--save",
            help="Put what is shown into the database, in the place of what was saved of KIND, or of all.",
        ),
    ] = False,
    evidence: Annotated[
        Evidence,
        typer.Option(
            "--evidence",
            help="Motifs of weights alone, or also those that ask what annotation measured.",
        ),
    ] = Evidence.all,
    list_motifs: Annotated[
        bool, typer.Option("--list", help="Show the motifs that are known.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find circuit motifs in a network.

    Without KIND: all motifs over the network, each with two answers of null networks that are never mixed. q: how
    believable its best instance is, against a null that rewires who is connected to whom. p: whether the network holds more of
    them than a null that keeps its wiring. What was saved answers at once; --null computes anew.

    With KIND a row is one instance: the neurons in their roles, and a score. Without --null the instances are candidates
    from edges alone and not findings: random networks have them, too. --save keeps them: `circuitome circuit MOTIF` draws one.

    With FILE.cypher your own query is a motif. It has a header and a parameter `model`; columns that hold neuron keys are
    its roles (`case_1`, `case_2` are two of `case`), the column `score` its score. --null runs it on rewired copies.

    \b
    Examples:
      circuitome motifs
      circuitome motifs --list
      circuitome motifs opponent-pairs --null 199 --q 0.05
      circuitome motifs weight-banding --bundle squeezenet1_1.circuitome
      circuitome motifs branch-cluster -p grouping=kind --q 0.05
      circuitome motifs mutual-inhibition --limit 5
      circuitome motifs unioning_over_cases --model squeezenet1_1 -p strength=4 --json
      circuitome motifs opponent-pairs --null 199 --q 0.05 --save
      circuitome motifs --evidence weights
      circuitome motifs mine.cypher --null 199 --null-model relabel
    """
    from circuitome.queries.catalogue import library
    from circuitome.queries.database import open_database
    from circuitome.queries.motifs import MOTIFS, find_motif

    kinds = [
        name
        for name, motif in MOTIFS.items()
        if evidence is Evidence.all or motif.evidence == evidence.value
    ]
    if list_motifs:
        known = [
            {
                "kind": name,
                "roles": list(MOTIFS[name].roles),
                "evidence": MOTIFS[name].evidence,
                "title": library()[name].title,
            }
            for name in kinds
        ]
        return show_rows(known, as_json=as_json)
    if null_model is not None and not (kind and kind.endswith(".cypher")):
        raise typer.BadParameter(
            "the motifs of the library have theirs; leave it out", param_hint="--null-model"
        )
    if kind is None:
        return _summary(
            db,
            model,
            kinds=kinds,
            nulls=nulls,
            seed=seed,
            q=q,
            limit=limit,
            save=save,
            as_json=as_json,
            timeout=timeout,
        )
    if not kind.endswith(".cypher") and find_motif(kind).kind not in kinds:
        raise typer.BadParameter(
            f"{find_motif(kind).kind} asks what annotation measured; leave it out",
            param_hint="--evidence weights",
        )
    given = parameter_values(parameters) | ({} if limit is None else {"limit": limit})
    asked = {"model": model, "timeout": timeout, **given}
    with open_database(db) as database:
        if kind.endswith(".cypher"):
            rows, found, lacking = _own(
                database, Path(kind), asked, nulls=nulls, null=null_model or "signs", seed=seed
            )
        else:
            rows, found, lacking = _known(
                database, kind, asked, bundle=bundle, nulls=nulls, seed=seed
            )
        unasked = (
            bool(rows)
            and all(row["null"] is None for row in rows)
            and bundle is None
            and found is None
        )
        if q is not None:
            rows = [row for row in rows if (1.0 if row["q"] is None else row["q"]) <= q]
        if save:
            rows = _save(database, kind, rows, found, model=model, given=given, seed=seed)
    show_rows(
        rows if as_json else [_for_people(row) for row in rows],
        as_json=as_json,
        empty="" if unasked else f"no instances: {lacking}" if lacking else "no instances",
    )
    if found is not None:
        note(_in_words(found))
    elif unasked and q is not None:
        note(
            "no null model was asked, so no candidate has a q; leave out --q to see them, or ask with --null 199"
        )
    elif unasked:
        note(
            f"{plural(len(rows), 'candidate')}; no null model was asked, so these are no findings (--null 199 asks)"
        )
    if save:
        note(
            f"saved {plural(len(rows), 'motif')}"
            + (f"; `circuitome circuit {rows[0]['key']}` draws one" if rows else "")
        )
    return None


def _known(
    database: Database,
    kind: str,
    asked: Mapping[str, Any],
    *,
    bundle: Path | None,
    nulls: int | None,
    seed: int,
) -> tuple[list[dict[str, Any]], Significance | None, str | None]:
    """Rows of a motif of the library, what null networks say of it, and what the model lacks for it."""
    from circuitome.queries.motifs import find, find_significant, missing

    found = None
    if bundle is not None:
        rows = _of_bundle(database, kind, bundle, asked, nulls=nulls, seed=seed)
    elif nulls is None:
        rows = find(database, kind, **asked)
    else:
        rows, found = find_significant(database, kind, nulls=nulls, seed=seed, **asked)
    return rows, found, None if rows else missing(database, kind, **asked)


def _own(
    database: Database,
    path: Path,
    asked: Mapping[str, Any],
    *,
    nulls: int | None,
    null: str,
    seed: int,
) -> tuple[list[dict[str, Any]], Significance | None, str | None]:
    """The same for a query of the user's; it lacks nothing."""
    from circuitome.queries.database import DEFAULT_TIMEOUT
    from circuitome.queries.motifs.own import find_own, find_own_significant, load_own

    motif = load_own(path)
    timeout = DEFAULT_TIMEOUT if asked["timeout"] is None else asked["timeout"]
    with watched(str(path), timeout, grace=_GRACE, memory=_MEMORY) as again:
        if nulls is None:
            return find_own(database, motif, **asked), None, None
        with _told() as tell:

            def step(done: int, total: int) -> None:
                again()
                tell(done, total)

            rows, found = find_own_significant(
                database, motif, nulls=nulls, null=null, seed=seed, progress=step, **asked
            )
    return rows, found, None


@contextmanager
def _told() -> Iterator[Callable[[int, int], None]]:
    """Tell how long the null networks will take, as soon as one is done, and how far they are."""
    start = time.perf_counter()
    with progress() as bars:

        def tell(done: int, total: int) -> None:
            if done == 0:
                nonlocal start
                start = time.perf_counter()
            elif done == 1:
                each = time.perf_counter() - start
                note(
                    f"{plural(total, 'null network')}, {each:.1f} s for the first: about {_long(each * total)} in all"
                )
            bars("null networks", done, total)

        yield tell


def _long(seconds: float) -> str:
    """A time as people say it.

    >>> _long(40), _long(400)
    ('40 s', '7 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _save(
    database: Database,
    kind: str,
    rows: list[dict[str, Any]],
    found: Significance | None,
    *,
    model: str | None,
    given: Mapping[str, Any],
    seed: int,
) -> list[dict[str, Any]]:
    """Save the rows; they come back with their keys."""
    from circuitome.queries.motifs import MOTIFS, find_motif
    from circuitome.queries.motifs.own import load_own
    from circuitome.queries.motifs.saved import Enrichment, Finding, save

    own = load_own(Path(kind)).query if kind.endswith(".cypher") else None
    if own is not None and own.name in MOTIFS:
        raise typer.BadParameter(
            f"a motif of the library is called {own.name}; rename {kind}, so that both can be saved",
            param_hint="--save",
        )
    key = database.model_key(model)
    enrichment = None if found is None else Enrichment.of(found, seed=seed)
    if own is not None and own.parameter("limit") is None:
        given = {name: value for name, value in given.items() if name != "limit"}
    finding = Finding.of(
        own or find_motif(kind).kind, rows, model=key, enrichment=enrichment, **given
    )
    (kept,) = save(database, key, [finding])
    return kept


def _of_bundle(
    database: Database,
    kind: str,
    path: Path,
    asked: Mapping[str, Any],
    *,
    nulls: int | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of a motif asked of the model's bundle; what there is to say of them is told."""
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.errors import QueryError
    from circuitome.queries.motifs import find_in_bundle

    bundle, model = Bundle.open(path), database.model_key(asked["model"])
    if bundle.model != model:
        raise QueryError(
            f"{path}: holds {bundle.model}, not {model}; give the bundle of that model"
        )
    given = {name: value for name, value in asked.items() if name not in ("model", "timeout")}
    rows, said = find_in_bundle(bundle, kind, nulls=nulls, seed=seed, **given)
    for line in said:
        note(line)
    return rows


def _summary(
    db: str,
    model: str | None,
    *,
    kinds: Sequence[str],
    nulls: int | None,
    seed: int,
    q: float | None,
    limit: int | None,
    save: bool,
    as_json: bool,
    timeout: float | None,
) -> None:
    """All motifs over one model: as they were saved, where nothing else is asked and all were."""
    from circuitome.queries.database import DEFAULT_TIMEOUT, open_database
    from circuitome.queries.motifs import summary
    from circuitome.queries.motifs.saved import save_summary, stored
    from circuitome.queries.motifs.significance import NULLS

    with open_database(db, timeout=DEFAULT_TIMEOUT if timeout is None else timeout) as database:
        key = database.model_key(model)
        saved = {} if save or nulls is not None else stored(database, model=key)
        if set(kinds) <= set(saved):
            rows = [_stored_row(row, key) for kind, row in saved.items() if kind in kinds]
            note("stored significance; --null N computes anew")
        else:
            found = summary(
                database, model=key, nulls=NULLS if nulls is None else nulls, seed=seed, kinds=kinds
            )
            rows = [_summary_row(item) for item in found]
            if save:
                kept = save_summary(
                    database,
                    found,
                    model=key,
                    q=_SAVED_Q if q is None else q,
                    limit=_SAVED_LIMIT if limit is None else limit,
                    seed=seed,
                )
                note(f"saved {plural(sum(kept.values()), 'motif')} of {plural(len(found), 'kind')}")
    show_rows(rows, as_json=as_json)
    note(
        "q: of the best instance, against rewired connections; p: of the number of instances, against kept wiring"
    )


def _stored_row(row: Mapping[str, Any], model: str) -> dict[str, Any]:
    """One motif in the summary, as it was saved."""
    values = {**row, "model": model, "null": row["null_model"]}
    return {name: values[name] for name in _SUMMARY_COLUMNS}


def _summary_row(found: Significance | Tally) -> dict[str, Any]:
    """One motif in the summary: what edges alone have no null model for has no p."""
    from circuitome.queries.motifs import Tally

    row: dict[str, Any] = dict.fromkeys(_SUMMARY_COLUMNS)
    row |= {
        "kind": found.kind,
        "model": found.model,
        "instances": found.instances,
        "strongest": found.strongest,
    }
    row |= {"q": found.least_q, "q_null": found.instance_null}
    if isinstance(found, Tally):
        return row
    return row | {
        name: getattr(found, name) for name in ("p", "null", "null_mean", "null_sd", "nulls")
    }


def _in_words(found: Significance) -> str:
    return (
        f"{plural(found.instances, 'instance')} of {found.kind} in {found.model}, {found.null_mean:.1f} ± {found.null_sd:.1f} in "
        f"{plural(found.nulls, 'null network')} `{found.null}`: p = {number(found.p)}; "
        f"q of a row is against `{found.instance_null}`"
    )


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """A motif row with a column a role."""
    shown = {
        name: row[name] for name in ("key", "model", "score", "p", "q") if row.get(name) is not None
    }
    prefix = f"{row['model']}/"
    counts = {name: value for name, value in row.items() if name not in _ROW}
    return (
        shown
        | counts
        | {role: [key.removeprefix(prefix) for key in keys] for role, keys in row["roles"].items()}
    )
