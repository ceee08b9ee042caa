"""The command that writes a graph for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuitome.cli.options import DEFAULT_DATABASE, DatabaseAddress, given
from circuitome.cli.output import note, plural

if TYPE_CHECKING:
    from circuitome.graphdb.export import Source, Written

__all__ = ["export"]


class Part(Enum):
    """What alone is written."""

    neurons = "neurons"


FromBundle = Annotated[
    Path | None,
    typer.Argument(
        metavar="BUNDLE",
        show_default=False,
        help="A bundle to write, in place of a database.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="The file (or folder) to write.",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="networkx (node-link JSON), graphml, gexf, cytoscape or neo4j-admin (CSV).",
    ),
]
OnlyModel = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Only this model.")]
Only = Annotated[
    Part | None,
    typer.Option(
        "--only",
        help="Only neurons and the edges between them: no layers, families nor expanded edges.",
    ),
]
LeastShare = Annotated[
    float,
    typer.Option(
        "--least-share",
        metavar="SHARE",
        min=0,
        max=1,
        help="Leave out edges with a smaller share of the receiver's squared fan-in norm.",
    ),
]
OfFamily = Annotated[
    str | None,
    typer.Option(
        "--family",
        metavar="KEY",
        help="Only the members of this family, and the edges by which they read and are read.",
    ),
]
OfCircuit = Annotated[
    str | None,
    typer.Option(
        "--circuit",
        metavar="KEY",
        help="Only the circuit of this neuron or saved motif, as `circuitome circuit KEY` shows "
        "it.",
    ),
]


def export(
    context: typer.Context,
    output: Output,
    bundle: FromBundle = None,
    format: Format = "networkx",
    model: OnlyModel = None,
    only: Only = None,
    least_share: LeastShare = 0.0,
    family: OfFamily = None,
    circuit: OfCircuit = None,
    db: DatabaseAddress = DEFAULT_DATABASE,
) -> None:
    """Write a graph for other programs.

    Everything in the database, or one model with --model, or BUNDLE. Nodes have a `label` (in
    Cytoscape `name`). In GEXF the weight of an edge is its share, since Gephi takes no negative
    weights: `sign` and the colour (red excites, blue inhibits) say the rest.

    \b
    Examples:
      circuitome export --format networkx -o squeezenet1_1.json
      circuitome export squeezenet1_1.circuitome --format graphml -o squeezenet1_1.graphml
      circuitome export -f gexf --only neurons --least-share 0.05 -o squeezenet1_1.gexf
      circuitome export -f gexf --circuit squeezenet1_1/features.3.squeeze:5 -o circuit.gexf
      circuitome export --format neo4j-admin -o csv        a large Neo4j: csv/import.sh
    """
    from circuitome.graphdb.export import Selection, write

    if bundle is not None and given(context, "db"):
        raise typer.BadParameter("a bundle and a database: choose one", param_hint="--db")
    chosen = Selection(only and only.value, least_share, family, circuit)
    with _source(bundle, db, model) as (source, key):
        written = write(source, format, output, model=key, chosen=chosen)
    for line in _told(written, whole=format == "neo4j-admin"):
        note(line)


@contextmanager
def _source(bundle: Path | None, db: str, model: str | None) -> Iterator[tuple[Source, str | None]]:
    """What is written, and the key of the model if it is one alone; an error if a model is not
    wholly loaded.
    """
    if bundle is not None:
        yield _bundle(bundle, model), None
        return
    from circuitome.queries.database import open_database

    with open_database(db) as database:
        yield database.store, database.exported(model)


def _bundle(path: Path, model: str | None) -> Source:
    from circuitome.graphdb.bundle import Bundle

    opened = Bundle.open(path)
    if model not in (None, opened.model):
        raise typer.BadParameter(
            f"{path} holds {opened.model}; leave it out, or name another bundle",
            param_hint="--model",
        )
    return opened


def _told(written: Written, *, whole: bool) -> Iterator[str]:
    """What was written, and why there are more relationships than `load` tells edges."""
    from circuitome.graphdb.schema import EDGE_TYPES, NODES

    rows = dict(written.rows)
    every = sum(number for name, number in rows.items() if name not in NODES)
    neurons, edges = rows.pop("Neuron", 0), sum(rows.pop(name, 0) for name in EDGE_TYPES)
    yield f"wrote {written.path}: {plural(neurons, 'neuron')}, {plural(edges, 'edge')}"
    if rows:
        others = ", ".join(f"{number:,} {name}" for name, number in rows.items())
        cure = "" if whole else "; `--only neurons` leaves these out"
        yield f"with them {others}: {plural(every, 'relationship')} in all{cure}"
