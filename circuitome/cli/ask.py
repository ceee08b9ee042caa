"""Commands that ask a database: queries by name or file, a neuron's circuit, families."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from circuitome.cli.guard import watched
from circuitome.cli.options import (
    DEFAULT_DATABASE,
    AsJson,
    DatabaseAddress,
    Limit,
    ModelKey,
    Timeout,
)
from circuitome.cli.output import note, print_json, show_rows, visible

if TYPE_CHECKING:
    from circuitome.queries.query_file import Query
    from circuitome.queries.rows import Rows

__all__ = ["Parameters", "circuit", "families", "parameter_values", "query"]

_OPTIONS: Final = {
    "timeout": "--timeout",
    "database": "--db",
    "row_limit": "--limit",
    "unsafe": "--unsafe",
}
MOST_ROWS: Final = 10_000
"""Rows of a user's own query that are shown, if nothing else is said."""

_OPTIONS_OF_MOTIFS: Final = {**_OPTIONS, "kind": "write the motif after the command"}

Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="KEY=VALUE", help="A parameter; may be given several times."
    ),
]


class Direction(Enum):
    """Which way a circuit is followed."""

    upstream = "upstream"
    downstream = "downstream"


def query(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE.cypher",
            show_default=False,
            help="A query of the library, or a file of your own.",
        ),
    ] = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
    parameters: Parameters = None,
    limit: Limit = None,
    timeout: Timeout = None,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe",
            help="Let FILE.cypher read files and call procedures and plugins; never write.",
        ),
    ] = False,
    list_queries: Annotated[
        bool, typer.Option("--list", help="Show the queries of the library.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the Cypher, to paste into Neo4j Browser.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a question, by name or in Cypher.

    NAME is a query of the library (--list); FILE.cypher is one of your own, and may say in a header what it takes. It is
    stopped after 60 seconds (--timeout), and its rows end at 10,000 (--limit).

    \b
    Examples:
      circuitome query --list
      circuitome query inputs -p neuron=squeezenet1_1/features.3.squeeze:5 --limit 10
      circuitome query hubs --show
      circuitome query mine.cypher -p least=0.2 --json
    """
    from circuitome.queries.catalogue import find_query, library

    given = parameter_values(parameters, taken=_OPTIONS)
    if list_queries:
        return show_rows(
            [_about(query, as_json=as_json) for query in library().values()], as_json=as_json
        )
    if name is None:
        raise typer.BadParameter("name a query, or --list them", param_hint="NAME")
    if show:
        print(visible(find_query(name).browser_text(given)), end="")
        return None
    return _answer(name, db, given, limit=limit, timeout=timeout, unsafe=unsafe, as_json=as_json)


def _about(query: Query, *, as_json: bool) -> dict[str, Any]:
    if not as_json:
        parameters = ", ".join(
            p.name if p.required else f"{p.name}={p.default}" for p in query.parameters
        )
        return {
            "topic": query.topic,
            "query": query.name,
            "parameters": parameters,
            "answers": query.title,
        }
    return {
        "name": query.name,
        "topic": query.topic,
        "title": query.title,
        "doc": query.doc,
        "parameters": [
            {
                "name": p.name,
                "type": p.type,
                "doc": p.doc,
                "required": p.required,
                "default": p.default,
            }
            for p in query.parameters
        ],
        "returns": [{"name": column.name, "doc": column.doc} for column in query.returns],
    }


def parameter_values(
    texts: list[str] | None, *, taken: Mapping[str, str] = MappingProxyType(_OPTIONS_OF_MOTIFS)
) -> dict[str, Any]:
    """The values of ``-p key=value``, still as typed; wrong use where one is no pair, is given twice, or is ``taken``."""
    from circuitome.queries.values import Typed

    pairs: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r}: write it as key=value", param_hint="-p")
        if key in taken:
            raise typer.BadParameter(
                f"{key!r} is an option of its own: {taken[key]}", param_hint="-p"
            )
        if key in pairs:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="-p")
        pairs[key] = Typed(value)
    return pairs


def _answer(
    name: str,
    db: str,
    given: dict[str, Any],
    *,
    limit: int | None = None,
    timeout: float | None = None,
    unsafe: bool = False,
    as_json: bool,
    empty: str = "no rows",
) -> None:
    from circuitome.queries.database import DEFAULT_TIMEOUT, open_database

    if "limit" in given and limit is None:
        limit = given.pop("limit")
    own = name.endswith(".cypher")
    most = MOST_ROWS + 1 if limit is None and own else None
    guard = watched(name, DEFAULT_TIMEOUT if timeout is None else timeout) if own else nullcontext()
    with open_database(db) as database, guard:
        rows: Rows = database.query(
            name, limit=limit, timeout=timeout, row_limit=most, unsafe=unsafe, **given
        )
        loading = [row["key"] for row in database.models() if row["state"] != "ready"]
    for key in loading:
        note(
            f"{key}: not wholly loaded, so what is shown of it may lack parts; `circuitome load BUNDLE` finishes it"
        )
    if most is not None and len(rows) == most:
        rows = rows.head(MOST_ROWS)
        note(
            f"{name}: only the first {MOST_ROWS:,} rows are shown; narrow the query, or give another --limit"
        )
    show_rows(rows.to_dicts(), as_json=as_json, columns=rows.columns, empty=empty)


def circuit(
    key: Annotated[
        str,
        typer.Argument(
            metavar="NEURON|MOTIF",
            show_default=False,
            help="Key of a neuron, or of a saved motif (six or more of its digits).",
        ),
    ],
    db: DatabaseAddress = DEFAULT_DATABASE,
    direction: Annotated[
        Direction, typer.Option(help="What feeds the neuron, or what it feeds.")
    ] = Direction.upstream,
    depth: Annotated[int, typer.Option(metavar="HOPS", min=1, help="So many hops.")] = 2,
    strongest: Annotated[
        int,
        typer.Option("--strongest", "-k", metavar="K", min=1, help="So many edges of each neuron."),
    ] = 5,
    least: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, help="Least share of the receiver's squared fan-in norm."
        ),
    ] = 0.0,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="BUNDLE",
            show_default=False,
            help="The model's bundle: a motif is drawn with its kernels.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what feeds a neuron, hop by hop, or draw a saved motif.

    Of a neuron: its strongest inputs, theirs, and so on; or the same downstream. Of a motif, as `circuitome motifs KIND --save`
    saved it: the neurons in their roles, and the edges between them with sign, share, rank and kernel.

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
    given = {"neuron": key, "depth": depth, "k": strongest, "min_share": least}
    return _answer(
        direction.value, db, given, as_json=as_json, empty=f"{key}: no edges {direction.value}"
    )


def _draw(key: str, db: str, bundle: Path | None, *, as_json: bool) -> None:
    """Draw one saved motif."""
    from circuitome.cli.drawing import drawing, kernels_of, shared_inputs_of
    from circuitome.queries.database import open_database
    from circuitome.queries.motifs.saved import find_saved

    with open_database(db) as database:
        found = find_saved(database, key)
        shared = [] if as_json else shared_inputs_of(found, database)
        kernels = (
            None if bundle is None else kernels_of(found, [*found.edges, *shared], database, bundle)
        )
    if as_json:
        edges = [
            edge if kernels is None else edge | {"taps": kernels[edge["kernel"]]}
            for edge in map(dict, found.edges)
        ]
        return print_json([{"motif": found.motif, "neurons": list(found.neurons), "edges": edges}])
    for line in drawing(found, kernels=kernels, shared=shared):
        print(line)
    return None


def families(
    db: DatabaseAddress = DEFAULT_DATABASE,
    model: ModelKey = None,
    layer: Annotated[
        str | None, typer.Option(metavar="LAYER", help="Only families of this layer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show families of equivariant neurons.

    Neurons that are one feature up to a transformation: their transform group, members and offsets. A place that lacks a
    member is shown as (270?).

    \b
    Example:
      circuitome families --layer squeezenet1_1/features.0 --json
    """
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        models = (
            [model]
            if model
            else [row["key"] for row in database.models()] or [database.model_key()]
        )
        where: dict[str, Any] = {} if layer is None else {"layer": database.layer_key(layer)}
        rows = [row for name in models for row in database.query("families", model=name, **where)]
    found = _gathered(rows)
    show_rows(
        found if as_json else [_for_people(family) for family in found],
        as_json=as_json,
        empty="no families: `circuitome annotate BUNDLE` finds them, `circuitome load BUNDLE` puts them in",
    )


def _gathered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a family, from one row a member."""
    families: dict[str, dict[str, Any]] = {}
    for row in rows:
        member = {"neuron": row.pop("neuron"), "offset": row.pop("offset")}
        families.setdefault(row["family"], row | {"members": []})["members"].append(member)
    return list(families.values())


def _in_order(place: tuple[float | None, str]) -> tuple[bool, float]:
    """Places by their number; members without a place come last."""
    return place[0] is None, place[0] or 0.0


def _place(offset: float | None) -> str:
    """An offset as people read it: whole degrees, or halves of an octave."""
    return "?" if offset is None else f"{offset:.0f}" if abs(offset) >= 10 else f"{offset:.2g}"


def _for_people(family: dict[str, Any]) -> dict[str, Any]:
    """A row of a family with its members in the order of their places, and the gaps among them."""
    prefix = f"{family['layer']}:" if family["layer"] else f"{family['model']}/"
    places = [
        (member["offset"], f"{member['neuron'].removeprefix(prefix)} ({_place(member['offset'])})")
        for member in family["members"]
    ]
    places += [(gap, f"({_place(gap)}?)") for gap in family["gaps"] or ()]
    shown = {"family": family["family"], "group": family["group"], "size": family["size"]}
    shown |= {name: family[name] for name in ("closure", "q", "source")}
    return shown | {"members": [text for _, text in sorted(places, key=_in_order)]}
