"""The program: its commands in the order of the help, and the one place that turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from circuitome.cli import annotate, ask, databases, demo, models, motifs, neuron, thread_check
from circuitome.errors import CircuitomeError

__all__ = ["app", "main"]

app = typer.Typer(
    name="circuitome",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: it starts faster and keeps the examples' lines
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    models.extract,
    annotate.annotate,
    models.verify,
    models.check,
    databases.load,
    databases.drop,
    databases.list_models,
    ask.query,
    motifs.motifs,
    neuron.neuron,
    ask.circuit,
    ask.families,
    databases.export,
    databases.schema,
    demo.demo,
    thread_check.thread_check,
):
    app.command(name="models" if command is databases.list_models else None)(command)


def _version(asked: bool) -> None:
    if asked:
        from circuitome import __version__

        print(f"circuitome {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The connectome of a trained convolutional network, in a graph database.

    From weights to answers:

    \b
      circuitome extract squeezenet1_1                     a bundle: neurons, signed edges, kernels
      circuitome verify squeezenet1_1.circuitome           proof that the bundle is the network
      circuitome annotate squeezenet1_1.circuitome         what each neuron does: kinds, partners, families
      circuitome load squeezenet1_1.circuitome             into a database
      circuitome query inputs -p neuron=features.3.squeeze:5

    Nothing at hand? `circuitome demo` shows the whole path on networks that come with it.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; ends in `SystemExit` with 0, 1 (a check failed), 2 (wrong use, bad input) or 130 (Ctrl-C)."""
    try:
        app(arguments, prog_name="circuitome")
    except CircuitomeError as error:
        print(f"circuitome: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit has somewhere to go
        sys.exit(0)
