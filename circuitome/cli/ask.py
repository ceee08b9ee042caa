"""Commands that ask a database: queries by name or file, a neuron's circuit, families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from circuitome.cli.guard import watched
from circuitome.cli.options import (
    DEFAULT_DATABASE,
    AsJson,
    DatabaseAddress,
    Limit,
    ModelKey,
    Parameters,
    Timeout,
    parameter_values,
)
from circuitome.cli.output import note, print_json, show_rows, visible
from circuitome.vocabulary import CIRCUIT_HOPS, CIRCUIT_INPUTS

if TYPE_CHECKING:
    from circuitome.queries.about import Family
    from circuitome.queries.database import Database
    from circuitome.queries.query_file import Query
    from circuitome.queries.rows import Rows
    from circuitome.queries.values import Parameter

__all__ = ["circuit", "families", "query"]

MOST_ROWS: Final = 10_000
"""Rows of a user's own query that are shown without --limit."""


class Direction(Enum):
    """Which way a circuit is followed."""

    upstream = "upstream"
    downstream = "downstream"


Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME|FILE.cypher|CYPHER",
        show_default=False,
        help="A query of the library, a file of your own, or the Cypher itself in quotes.",
    ),
]
Unsafe = Annotated[
    bool,
    typer.Option(
        "--unsafe",
        help="Let your own Cypher read files and call procedures and plugins; never write.",
    ),
]
ListQueries = Annotated[bool, typer.Option("--list", help="Show the queries of the library.")]
Show = Annotated[
    bool, typer.Option("--show", help="Print the Cypher, to paste into Neo4j Browser.")
]


def query(
    name: Name = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
    parameters: Parameters = None,
    model: ModelKey = None,
    limit: Limit = None,
    timeout: Timeout = None,
    unsafe: Unsafe = False,
    list_queries: ListQueries = False,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Ask a question, by name or in Cypher.

    NAME is a query of the library (--list). FILE.cypher is one of your own; its header may declare
    its parameters. CYPHER is one as well, and reads only. Your own are stopped after 60 seconds
    (--timeout), and at most 10,000 rows are shown (--limit).

    \b
    Examples:
      circuitome query --list
      circuitome query inputs -p neuron=squeezenet1_1/features.3.squeeze:5 --limit 10
      circuitome query hubs --show
      circuitome query mine.cypher -p min_share=0.2 --json
      circuitome query "MATCH (n:Neuron) RETURN n.op AS op, count(*) AS neurons ORDER BY op"
    """
    from circuitome.queries.catalogue import find_query
    from circuitome.queries.unmeasured import why_empty

    taken = {} if model is None else {"model": "--model"}
    given: dict[str, Any] = {**parameter_values(parameters, **taken)}
    if model is not None:
        given["model"] = model
    if list_queries:
        return _show_library(as_json=as_json)
    if name is None:
        raise typer.BadParameter("name a query, or --list them", param_hint="NAME")
    if show:
        return print(visible(find_query(name).browser_text(given)), end="")
    if limit is None:
        limit = given.pop("limit", None)
    options = {"limit": limit, "timeout": timeout, "unsafe": unsafe}
    with _opened(db, name, timeout) as database:
        rows = _first_rows(database, name, **options, **given)
        empty = "" if len(rows) else why_empty(find_query(name), database.models())
    return show_rows(rows.to_dicts(), as_json=as_json, columns=rows.columns, empty=empty)


def _show_library(*, as_json: bool) -> None:
    from circuitome.queries.catalogue import library

    about = _for_programs if as_json else _for_people
    show_rows([about(query) for query in library().values()], as_json=as_json)


def _for_people(query: Query) -> dict[str, object]:
    """A query as a row of the list."""
    shown = [p.name if p.required else f"{p.name}={p.default}" for p in query.parameters]
    return {
        "topic": query.topic,
        "query": query.name,
        "parameters": ", ".join(shown),
        "answers": query.title,
    }


def _for_programs(query: Query) -> dict[str, object]:
    return {
        "name": query.name,
        "topic": query.topic,
        "title": query.title,
        "doc": query.doc,
        "parameters": [_parameter(parameter) for parameter in query.parameters],
        "returns": [{"name": column.name, "doc": column.doc} for column in query.returns],
    }


def _parameter(parameter: Parameter) -> dict[str, object]:
    fields = ("name", "type", "doc", "required", "default")
    return {name: getattr(parameter, name) for name in fields}


@contextmanager
def _opened(db: str, name: str, timeout: float | None = None) -> Iterator[Database]:
    """The database; a file is watched, and models that are not wholly loaded are told."""
    from circuitome.queries.database import DEFAULT_TIMEOUT, open_database

    with open_database(db) as database:
        if _is_own(name):
            with watched(_shown(name), DEFAULT_TIMEOUT if timeout is None else timeout):
                yield database
        else:
            yield database
        loading = [row["key"] for row in database.models() if row["state"] != "ready"]
    for key in loading:
        note(
            f"{key}: not wholly loaded, so its rows may be incomplete; "
            "`circuitome load BUNDLE` finishes it"
        )


def _is_own(name: str) -> bool:
    """Whether a query is the user's own: a file, or the Cypher itself."""
    from circuitome.queries.query_file import is_cypher

    return name.endswith(".cypher") or is_cypher(name)


def _shown(name: str) -> str:
    """What messages call a query of the user's."""
    return name if name.endswith(".cypher") else "the query"


def _first_rows(database: Database, name: str, **options: Any) -> Rows:
    """Rows of a query; those of a file end at `MOST_ROWS` without a limit."""
    if options["limit"] is not None or not _is_own(name):
        return database.query(name, **options)
    rows = database.query(name, row_limit=MOST_ROWS + 1, **options)
    if len(rows) > MOST_ROWS:
        note(
            f"{_shown(name)}: only the first {MOST_ROWS:,} rows are shown; "
            "narrow the query, or give another --limit"
        )
    return rows.head(MOST_ROWS)


Key = Annotated[
    str,
    typer.Argument(
        metavar="NEURON|MOTIF",
        show_default=False,
        help="Key of a neuron, or of a saved motif (six or more of its digits).",
    ),
]
DirectionOption = Annotated[
    Direction, typer.Option("--direction", help="Follow inputs, or outputs.")
]
Depth = Annotated[int, typer.Option("--depth", metavar="HOPS", min=1, help="Number of hops.")]
Strongest = Annotated[
    int,
    typer.Option("--strongest", "-k", metavar="K", min=1, help="Number of edges for each neuron."),
]
LeastShare = Annotated[
    float,
    typer.Option(
        "--least",
        metavar="SHARE",
        min=0,
        help="Smallest share of the receiver's squared fan-in norm.",
    ),
]
KernelBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="BUNDLE",
        show_default=False,
        help="The model's bundle, to draw a motif with its kernels.",
    ),
]


def circuit(
    key: Key,
    db: DatabaseAddress = DEFAULT_DATABASE,
    direction: DirectionOption = Direction.upstream,
    depth: Depth = CIRCUIT_HOPS,
    strongest: Strongest = CIRCUIT_INPUTS,
    least: LeastShare = 0.0,
    bundle: KernelBundle = None,
    as_json: AsJson = False,
) -> None:
    """Show the circuit around a neuron, or draw a saved motif.

    For a neuron: its strongest inputs, their strongest inputs, and so on; or the same downstream.
    For a motif, saved by `circuitome motifs KIND --save`: the neurons in their roles, and the edges
    between them with sign, share, rank and kernel.

    \b
    Examples:
      circuitome circuit squeezenet1_1/features.4.squeeze:3 --depth 3
      circuitome circuit squeezenet1_1/features.0:7 --direction downstream --least 0.05
    """
    from circuitome.queries.motifs.saved import looks_like_a_motif

    if looks_like_a_motif(key):
        return _draw(key, db, bundle, as_json=as_json)
    if bundle is not None:
        raise typer.BadParameter(
            "only a motif is drawn with its kernels; leave it out", param_hint="--bundle"
        )
    way = direction.value
    with _opened(db, way) as database:
        rows = database.query(way, neuron=key, depth=depth, k=strongest, min_share=least)
    empty = f"{key}: no edges {way}"
    return show_rows(rows.to_dicts(), as_json=as_json, columns=rows.columns, empty=empty)


def _draw(key: str, db: str, bundle: Path | None, *, as_json: bool) -> None:
    """Draw one saved motif."""
    from circuitome.cli.drawing import drawing
    from circuitome.queries.about import saved_motif
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        found = saved_motif(database, key, bundle=bundle)
    if as_json:
        return print_json([found.row()])
    for line in drawing(found.instance, kernels=found.kernels, shared=found.shared):
        print(line)
    return None


OnlyLayer = Annotated[
    str | None, typer.Option("--layer", metavar="LAYER", help="Only families of this layer.")
]


def families(
    db: DatabaseAddress = DEFAULT_DATABASE,
    model: ModelKey = None,
    layer: OnlyLayer = None,
    as_json: AsJson = False,
) -> None:
    """Show families of equivariant neurons.

    The neurons of a family are one feature up to a transformation. Shown are its transform group,
    and its members with their offsets. A place that lacks a member is shown as (270?).

    \b
    Example:
      circuitome families --layer squeezenet1_1/features.0 --json
    """
    from circuitome.queries.about import families as families_of
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        found = families_of(database, model=model, layer=layer)
    show_rows(
        [family.row() if as_json else _family(family) for family in found],
        as_json=as_json,
        empty=_no_families(layer),
    )


def _no_families(layer: str | None) -> str:
    if layer is not None:
        return f"no families in {layer}; `circuitome families` lists those of all layers"
    cure = "`circuitome annotate BUNDLE` finds them, `circuitome load BUNDLE` puts them in"
    return f"no families: {cure}"


def _family(family: Family) -> dict[str, object]:
    """A family as a row, its members and gaps in the order of their places."""
    prefix = f"{family.layer}:" if family.layer else f"{family.model}/"
    places = [
        (member.offset, f"{member.neuron.removeprefix(prefix)} ({_place(member.offset)})")
        for member in family.members
    ]
    places += [(gap, f"({_place(gap)}?)") for gap in family.gaps or ()]
    return {
        "family": family.family,
        "group": family.group,
        "size": family.size,
        "closure": family.closure,
        "q": family.q,
        "source": family.source,
        "members": [text for _, text in sorted(places, key=_in_order)],
    }


def _in_order(place: tuple[float | None, str]) -> tuple[bool, float]:
    """Places by their number; members without a place come last."""
    return place[0] is None, place[0] or 0.0


def _place(offset: float | None) -> str:
    """An offset as people read it: whole degrees, or halves of an octave."""
    return "?" if offset is None else f"{offset:.0f}" if abs(offset) >= 10 else f"{offset:.2g}"
