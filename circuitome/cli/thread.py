"""The commands about the thread's published circuits: loaded as a graph, and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from circuitome.cli.options import DEFAULT_DATABASE, AsJson, DatabaseAddress
from circuitome.cli.output import note, plural, show_rows

if TYPE_CHECKING:
    from circuitome.graphdb.bundle import Bundle
    from circuitome.queries.database import Database
    from circuitome.thread.ground_truth import GroundTruth

__all__ = ["thread", "thread_check"]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="BUNDLE",
        show_default=False,
        help="Keep the graph as a bundle, too: it holds the kernels.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace BUNDLE.")]
Facts = Annotated[
    Path | None,
    typer.Option(
        "--ground-truth",
        metavar="DIR",
        envvar="CIRCUITOME_GROUND_TRUTH",
        show_default=False,
        help="A fuller folder of the published facts, with the pictures that do not ship.",
    ),
]
Kept = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="DB",
        show_default=False,
        help="Keep the graph in this database; otherwise it is made for the check.",
    ),
]


def thread(
    db: DatabaseAddress = DEFAULT_DATABASE,
    output: Output = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Load the published circuits of the Circuits thread into a database.

    The articles published facts about InceptionV1, which come with this program: its first five
    layers, the families of their neurons, kernels that figures show, tuning curves, and features
    found in other networks. They become the model inceptionv1_thread, which every query can be
    asked of. What was loaded before is replaced.

    \b
    Examples:
      circuitome thread --db thread.db
      circuitome motifs branch_cluster --db thread.db
      circuitome query block_channel -p block=mixed3b -p channel=379 --db thread.db
      circuitome query published_features --db thread.db
    """
    from circuitome.thread.contents import Content, contents
    from circuitome.thread.ground_truth import FACTS, open_ground_truth
    from circuitome.universality.published import FILES, record_published

    with _loaded(open_ground_truth(), db, output, force=force) as (bundle, database):
        features = len(record_published(database, FACTS))
        published = Content("features of several networks", features, ", ".join(FILES))
        parts = [*contents(bundle), published]
    show_rows([asdict(part) for part in parts], as_json=as_json)
    note(f"{bundle.model}: in {db}; sources and licences of the facts: {FACTS / 'README.md'}")


def thread_check(
    ground_truth: Facts = None,
    db: Kept = None,
    as_json: AsJson = False,
) -> None:
    """Check the published circuits of the Circuits thread.

    The published facts become a graph of InceptionV1's first five layers. Each claim is a row: what
    the article says, what is measured, and whether it holds. Exit code 1 if a claim that can be
    checked does not hold.

    \b
    Examples:
      circuitome thread-check
      circuitome thread-check --db thread.db
      circuitome thread-check --ground-truth facts         with the filters of conv2d0
    """
    from circuitome.thread.checks import check_thread
    from circuitome.thread.ground_truth import open_ground_truth

    truth = open_ground_truth(ground_truth)
    with _loaded(truth, db or None) as (bundle, database):
        findings = check_thread(truth, bundle, database=database)
    show_rows([asdict(finding) for finding in findings], as_json=as_json)
    _tell_verdicts([finding.verdict for finding in findings])


def _tell_verdicts(verdicts: list[str]) -> None:
    """How many claims hold; exit code 1 if one does not."""
    note(
        f"{plural(len(verdicts), 'claim')}: {verdicts.count('holds')} hold, "
        f"{verdicts.count('does not hold')} do not, {verdicts.count('cannot be checked')} "
        "cannot be checked (their rows say what is missing)"
    )
    if "does not hold" in verdicts:
        raise typer.Exit(1)


@contextmanager
def _loaded(
    truth: GroundTruth, db: str | None, output: Path | None = None, *, force: bool = False
) -> Iterator[tuple[Bundle, Database]]:
    """The published graph as a bundle, and a database that holds it; a place that nobody named
    is gone in the end.
    """
    from circuitome.queries.database import open_database
    from circuitome.thread.inception import write_inception

    with tempfile.TemporaryDirectory(prefix="circuitome.") as aside:
        folder = Path(aside)
        bundle = write_inception(truth, output or folder / "thread.circuitome", force=force)
        place = folder / "thread.db" if db is None else db
        with open_database(place, create=True) as database:
            database.load(bundle)
            yield bundle, database
