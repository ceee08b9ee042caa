"""Commands about a database: what is in it, what goes in, what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress
from circuitome.cli.output import note, plural, progress, show_rows

__all__ = ["drop", "export", "list_models", "load", "schema"]


OnlyModel = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Only this model.")]


def load(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", show_default=False, help="Bundles to put in.")],
    db: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Put bundles into a database.

    A model that is there already is replaced. An embedded database is written anew by every load, so several bundles go
    in faster at once.

    \b
    Examples:
      circuitome load squeezenet1_1.circuitome
      circuitome load *.circuitome --db neo4j://localhost:7687
    """
    from circuitome.graphdb.bundle import Bundle
    from circuitome.graphdb.schema import EDGE_TYPES
    from circuitome.queries.database import open_database

    opened = [Bundle.open(path) for path in bundles]
    with open_database(db, create=True) as database, progress() as report:
        for bundle in opened:
            database.load(bundle, progress=report)
    for bundle in opened:
        edges = sum(map(bundle.rows, EDGE_TYPES))
        note(f"{bundle.model}: {plural(bundle.rows('Neuron'), 'neuron')}, {plural(edges, 'edge')} in {db}")


def drop(
    model: Annotated[str, typer.Argument(metavar="MODEL", show_default=False, help="Key of the model.")],
    db: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Remove a model from a database.

    Its bundle stays as it is.

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
    shown = ("key", "architecture", "weights", "input_shape", "keep", "state")
    show_rows(rows, as_json=as_json, columns=shown, empty=f"{db} holds no model; `circuitome load BUNDLE` puts one in")


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="The file (or folder) to write.", show_default=False)
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="networkx (node-link JSON), graphml, gexf, cytoscape or neo4j-admin (CSV)."
        ),
    ] = "networkx",
    model: OnlyModel = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Write a graph for other programs.

    Everything in the database, or one model with --model.

    \b
    Examples:
      circuitome export --format networkx -o squeezenet1_1.json
      circuitome export --format graphml --model squeezenet1_1 -o squeezenet1_1.graphml
    """
    from circuitome.graphdb.export import export as write
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        write(database.store, format, output, model=None if model is None else database.model_key(model))
    note(f"wrote {output}")


def schema(as_json: AsJson = False) -> None:
    """Show the graph's schema.

    Every node, relationship and property, with its type and meaning.

    \b
    Example:
      circuitome schema --json
    """
    from circuitome.graphdb.schema import NODES, RELATIONSHIPS

    rows = []
    for kind in (*NODES.values(), *RELATIONSHIPS.values()):
        ends = f"{kind.source} -> {kind.target}" if kind.name in RELATIONSHIPS else "node"  # pyright: ignore[reportAttributeAccessIssue]
        rows.append({"of": kind.name, "ends": ends, "property": "", "type": "", "meaning": kind.doc})
        for column in kind.columns:
            rows.append(
                {
                    "of": kind.name,
                    "ends": ends,
                    "property": column.name,
                    "type": column.type.kuzu,
                    "meaning": column.doc,
                }
            )
    show_rows(rows, as_json=as_json)
