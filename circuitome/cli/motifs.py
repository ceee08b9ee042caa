"""The command that looks for circuit motifs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from circuitome.cli.ask import Parameters, parameter_values
from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress, Limit, ModelKey, Timeout
from circuitome.cli.output import note, plural, show_rows

__all__ = ["motifs"]


def motifs(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", show_default=False, help="Which motif; - and _ are the same.")
    ] = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
    model: ModelKey = None,
    parameters: Parameters = None,
    limit: Limit = None,
    timeout: Timeout = None,
    q: Annotated[float | None, typer.Option("--q", metavar="Q", help="Only instances with at most this q.")] = None,
    list_motifs: Annotated[bool, typer.Option("--list", help="Show the motifs that are known.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find circuit motifs in a network.

    A row is one instance: the neurons in their roles, and a score. Where p and q are empty, the instances are candidates
    from edges alone and not findings: random networks have them, too.

    \b
    Examples:
      circuitome motifs --list
      circuitome motifs mutual-inhibition --limit 5
      circuitome motifs unioning_over_cases --model squeezenet1_1 -p strength=4 --json
    """
    from circuitome.queries.catalogue import library
    from circuitome.queries.database import open_database
    from circuitome.queries.motifs import MOTIFS, find

    if list_motifs:
        known = [
            {"kind": kind, "roles": list(motif.roles), "title": library()[kind].title} for kind, motif in MOTIFS.items()
        ]
        return show_rows(known, as_json=as_json)
    if kind is None:
        raise typer.BadParameter("name a motif, or --list them", param_hint="KIND")
    given = parameter_values(parameters) | ({} if limit is None else {"limit": limit})
    with open_database(db) as database:
        rows = find(database, kind, **{"model": model, "timeout": timeout, **given})
    unasked = bool(rows) and rows[0]["q"] is None
    if q is not None:
        rows = [row for row in rows if (1.0 if row["q"] is None else row["q"]) <= q]
    show_rows(
        rows if as_json else [_for_people(row) for row in rows],
        as_json=as_json,
        empty="" if unasked else "no instances",
    )
    if unasked and q is not None:
        note("no null model was asked, so no candidate has a q; leave out --q to see them")
    elif unasked:
        note(f"{plural(len(rows), 'candidate')}; no null model was asked, so these are no findings")
    return None


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """A motif row with a column a role."""
    shown = {name: row[name] for name in ("model", "score", "p", "q") if row[name] is not None}
    prefix = f"{row['model']}/"
    return shown | {role: [key.removeprefix(prefix) for key in keys] for role, keys in row["roles"].items()}
