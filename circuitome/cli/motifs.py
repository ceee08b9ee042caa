"""The command that looks for circuit motifs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from circuitome.cli.ask import Parameters, parameter_values
from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress, Limit, ModelKey, Timeout
from circuitome.cli.output import note, number, plural, show_rows

if TYPE_CHECKING:
    from circuitome.queries.motifs import Motif, Significance, Tally

__all__ = ["motifs"]

_ROW: Final = ("kind", "model", "score", "p", "q", "null", "roles")
"""What every motif row has; some motifs have counts beside."""


def motifs(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", show_default=False, help="Which motif; - and _ are the same.")
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
    q: Annotated[float | None, typer.Option("--q", metavar="Q", help="Only instances with at most this q.")] = None,
    seed: Annotated[int, typer.Option(metavar="SEED", help="Seed of the null networks.")] = 0,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="BUNDLE",
            show_default=False,
            help="The model's bundle: weight_banding needs its kernels.",
        ),
    ] = None,
    list_motifs: Annotated[bool, typer.Option("--list", help="Show the motifs that are known.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find circuit motifs in a network.

    Without KIND: all motifs over the network, each with two answers of null networks that are never mixed. q: how
    believable its best instance is, against a null that rewires who is connected to whom. p: whether the network holds more of
    them than a null that keeps its wiring.

    With KIND a row is one instance: the neurons in their roles, and a score. Without --null the instances are candidates
    from edges alone and not findings: random networks have them, too.

    \b
    Examples:
      circuitome motifs
      circuitome motifs --list
      circuitome motifs opponent-pairs --null 199 --q 0.05
      circuitome motifs weight-banding --bundle squeezenet1_1.circuitome
      circuitome motifs branch-cluster -p grouping=kind --q 0.05
      circuitome motifs mutual-inhibition --limit 5
      circuitome motifs unioning_over_cases --model squeezenet1_1 -p strength=4 --json
    """
    from circuitome.queries.catalogue import library
    from circuitome.queries.database import open_database
    from circuitome.queries.motifs import MOTIFS, find, find_motif, find_significant, missing

    if list_motifs:
        known = [
            {"kind": kind, "roles": list(motif.roles), "title": library()[kind].title} for kind, motif in MOTIFS.items()
        ]
        return show_rows(known, as_json=as_json)
    if kind is None:
        return _show_summary(db, model, nulls=nulls, seed=seed, as_json=as_json)
    given = parameter_values(parameters) | ({} if limit is None else {"limit": limit})
    asked = {"model": model, "timeout": timeout, **given}
    with open_database(db) as database:
        if bundle is not None:
            rows, found = _banded(find(database, kind, **asked), find_motif(kind), bundle, nulls=nulls, seed=seed), None
        elif nulls is None:
            rows, found = find(database, kind, **asked), None
        else:
            rows, found = find_significant(database, kind, nulls=nulls, seed=seed, **asked)
        lacking = None if rows else missing(database, kind, **asked)
    unasked = bool(rows) and all(row["null"] is None for row in rows) and bundle is None and found is None
    if q is not None:
        rows = [row for row in rows if (1.0 if row["q"] is None else row["q"]) <= q]
    show_rows(
        rows if as_json else [_for_people(row) for row in rows],
        as_json=as_json,
        empty="" if unasked else f"no instances: {lacking}" if lacking else "no instances",
    )
    if found is not None:
        note(_in_words(found))
    elif unasked and q is not None:
        note("no null model was asked, so no candidate has a q; leave out --q to see them, or ask with --null 199")
    elif unasked:
        note(f"{plural(len(rows), 'candidate')}; no null model was asked, so these are no findings (--null 199 asks)")
    return None


def _banded(
    rows: list[dict[str, Any]], motif: Motif, path: Path, *, nulls: int | None, seed: int
) -> list[dict[str, Any]]:
    """Rows of weight banding with what transposed kernels say of them; wrong use for another motif."""
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.motifs.weight_banding import MOTIF, significant

    if motif is not MOTIF:
        raise typer.BadParameter(
            f"only {MOTIF.kind} needs kernels; leave it out, and give --null 199", param_hint="--bundle"
        )
    return significant(Bundle.open(path), rows, nulls=999 if nulls is None else nulls, seed=seed)


def _show_summary(db: str, model: str | None, *, nulls: int | None, seed: int, as_json: bool) -> None:
    from circuitome.queries.database import open_database
    from circuitome.queries.motifs import summary
    from circuitome.queries.motifs.significance import NULLS

    with open_database(db) as database:
        found = summary(database, model=model, nulls=NULLS if nulls is None else nulls, seed=seed)
    show_rows([_summary_row(item) for item in found], as_json=as_json)
    note("q: of the best instance, against rewired connections; p: of the number of instances, against kept wiring")


def _summary_row(found: Significance | Tally) -> dict[str, Any]:
    """One motif in the summary: what edges alone have no null model for has no q and no p."""
    from circuitome.queries.motifs import Tally

    row: dict[str, Any] = {"kind": found.kind, "model": found.model}
    row |= {"instances": found.instances, "strongest": found.strongest}
    names = ("q", "q_null", "p", "null", "null_mean", "null_sd", "nulls")
    if isinstance(found, Tally):
        return row | dict.fromkeys(names) | {"q": found.least_q, "q_null": found.instance_null}
    values = (found.least_q, found.instance_null, found.p, found.null, found.null_mean, found.null_sd, found.nulls)
    return row | dict(zip(names, values, strict=True))


def _in_words(found: Significance) -> str:
    return (
        f"{plural(found.instances, 'instance')} of {found.kind} in {found.model}, {found.null_mean:.1f} ± {found.null_sd:.1f} in "
        f"{plural(found.nulls, 'null network')} `{found.null}` that keep its wiring: p = {number(found.p)}; "
        f"q of a row is against `{found.instance_null}`"
    )


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """A motif row with a column a role."""
    shown = {name: row[name] for name in ("model", "score", "p", "q") if row[name] is not None}
    prefix = f"{row['model']}/"
    counts = {name: value for name, value in row.items() if name not in _ROW}
    return shown | counts | {role: [key.removeprefix(prefix) for key in keys] for role, keys in row["roles"].items()}
