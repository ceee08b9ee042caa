"""The command that puts the thread's published circuits beside what is measured on them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from circuitome.cli.options import AsJson
from circuitome.cli.output import note, plural, show_rows

__all__ = ["thread_check"]


def thread_check(
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="CIRCUITOME_GROUND_TRUTH",
            show_default=False,
            help="Folder of the facts published with the Circuits thread.",
        ),
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="DB",
            show_default=False,
            help="Keep the graph in this database; otherwise it is made for the check.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the published circuits of the Circuits thread.

    The facts become a graph of InceptionV1's first five layers, as far as it was published. Each claim is a row: what the
    article says, what is measured, and whether it holds. Exit code 1 where one does not that can be checked.

    \b
    Examples:
      circuitome thread-check --ground-truth facts
      circuitome thread-check --ground-truth facts --db thread.db
      circuitome query block_channel -p block=mixed3b -p channel=379 --db thread.db
    """
    from circuitome.queries.database import open_database
    from circuitome.thread.checks import check_thread
    from circuitome.thread.ground_truth import open_ground_truth
    from circuitome.thread.inception import write_inception

    truth = open_ground_truth(ground_truth)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="circuitome.")))
        bundle = write_inception(truth, folder / "thread.circuitome")
        database = stack.enter_context(open_database(db or folder / "thread.db", create=True))
        database.load(bundle)
        findings = check_thread(truth, bundle, database=database)
    show_rows([asdict(finding) for finding in findings], as_json=as_json)
    verdicts = [finding.verdict for finding in findings]
    note(
        f"{plural(len(findings), 'claim')}: {verdicts.count('holds')} hold, {verdicts.count('does not hold')} do not, "
        f"{verdicts.count('cannot be checked')} cannot be checked from what was published"
    )
    if "does not hold" in verdicts:
        raise typer.Exit(1)
