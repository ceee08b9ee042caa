"""Commands about a database: what is in it, what goes in, what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress, ask_password
from circuitome.cli.output import note, plural, progress, show_rows

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.graphdb.ddl import SchemaItem
    from circuitome.graphdb.rows import ModelRow
    from circuitome.queries.database import Database

__all__ = ["drop", "list_models", "load", "schema"]

_STRUCTURES: Final = frozenset({"constraint", "index"})
"""What can be made and dropped without a change of data."""


def load(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", show_default=False, help="Bundles to put in."),
    ],
    db: DatabaseAddress = DEFAULT_DATABASE,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="First remove all that the database holds, of any schema."),
    ] = False,
    least_share: Annotated[
        float | None,
        typer.Option(
            "--least-share",
            metavar="X",
            min=0,
            max=1,
            help="Leave out edges with a smaller share of their receiver's squared fan-in norm.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Memory of the embedded engine, such as 8GiB; without it CIRCUITOME_MEMORY, or "
            "half of what is free.",
        ),
    ] = None,
) -> None:
    """Put bundles into a database.

    A model that is there already is replaced. Every load writes an embedded database from the
    start, so it is faster to load several bundles at once. On a server, repeat a load that was cut
    off: until then its model counts as not loaded.

    An embedded database holds 50 million edges at most: --least-share leaves out the weak ones. The
    bundle keeps them.

    \b
    Examples:
      circuitome load squeezenet1_1.circuitome
      circuitome load *.circuitome --db neo4j://localhost:7687
      circuitome load *.circuitome --replace               after a change of the schema
      circuitome load resnet152.circuitome --least-share 0.001 --memory 8GiB
    """
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import open_database

    opened = [Bundle.open(path) for path in bundles]
    with open_database(db, create=True, memory=memory) as database:
        if not replace:
            _tell_other_weights(database, opened)
        with progress() as report:
            done = database.load(*opened, replace=replace, least_share=least_share, progress=report)
    for one in done:
        weak = f"; left out {plural(one.left_out, 'weaker edge')} of all kinds"
        note(
            f"{one.model}: {plural(one.neurons, 'neuron')}, {plural(one.edges, 'edge')} in {db}"
            f"{weak if one.left_out else ''}"
        )


def _tell_other_weights(database: Database, bundles: Sequence[Bundle]) -> None:
    held = {row["key"]: row["weights_sha256"] for row in database.models()}
    for bundle in bundles:
        weights = bundle.manifest.model.get("weights_sha256")
        if held.get(bundle.model, weights) != weights:
            note(f"{bundle.model}: replaces a model of that name with other weights")


def drop(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", show_default=False, help="Key of the model.")
    ],
    db: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Remove a model from a database.

    Its bundle is not changed.

    \b
    Example:
      circuitome drop squeezenet1_1
    """
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        database.drop(model)
    note(f"{model}: removed from {db}")


def list_models(db: DatabaseAddress = DEFAULT_DATABASE, as_json: AsJson = False) -> None:
    """Show the models of a database.

    \b
    Example:
      circuitome models --json
    """
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        rows = database.models()
    _tell_outdated(rows, db)
    show_rows(
        rows,
        as_json=as_json,
        columns=("key", "architecture", "weights", "input_shape", "keep", "state"),
        empty=f"{db} holds no model; `circuitome load BUNDLE` puts one in",
    )


def _tell_outdated(rows: Sequence[ModelRow], db: str) -> None:
    from circuitome.graphdb.schema import SCHEMA_VERSION

    for row in rows:
        if row["schema_version"] != SCHEMA_VERSION:
            note(
                f"{row['key']}: made with another schema (version {row['schema_version']}; this "
                f"program has {SCHEMA_VERSION}); "
                f"`circuitome load BUNDLE... --replace --db {db}` makes the database anew"
            )


def schema(
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="DB",
            callback=ask_password,
            help="Compare this database with it.",
            show_default=False,
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Make what the database lacks, and drop what is ours and outdated."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the graph's schema, or compare a database with it.

    Every node, relationship and property, with its type and meaning. With --db: what the database
    has of it, each item `ok`, `missing`, `outdated`, or `foreign` (not ours, never changed). Exit
    code 1 if something is missing or outdated. --repair makes and drops constraints and indexes
    and changes no data; `circuitome load --replace` does the rest.

    \b
    Examples:
      circuitome schema --json
      circuitome schema --db neo4j://localhost:7687 --repair
    """
    if db is not None:
        _compare_schema(db, repair=repair, as_json=as_json)
        return
    if repair:
        raise typer.BadParameter("name the database with --db", param_hint="--repair")
    _show_schema(as_json=as_json)


def _compare_schema(db: str, *, repair: bool, as_json: bool) -> None:
    items = _items(db, repair=repair)
    show_rows([asdict(item) for item in items], as_json=as_json)
    differing = {item.what for item in items if item.differs}
    if differing & _STRUCTURES:
        note(
            f"{db}: `circuitome schema --db {db} --repair` makes and drops constraints and indexes"
        )
    if differing - _STRUCTURES:
        note(f"{db}: `circuitome load BUNDLE... --replace --db {db}` makes it anew")
    if differing:
        raise typer.Exit(1)


def _items(db: str, *, repair: bool) -> list[SchemaItem]:
    """What the database has of the schema, after a repair if that is asked for."""
    from circuitome.graphdb.ddl import SchemaItem
    from circuitome.graphdb.stores.opening import open_store
    from circuitome.graphdb.stores.protocol import OutdatedError

    try:
        with open_store(db) as store:
            return store.repair() if repair else store.inspect()
    except OutdatedError as error:  # a file that cannot be opened
        return [SchemaItem("version", db, error.wanted, error.found, "outdated")]


def _show_schema(*, as_json: bool) -> None:
    from circuitome.notebook import schema as rows_of_schema

    show_rows(rows_of_schema().to_dicts(), as_json=as_json)
