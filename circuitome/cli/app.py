"""The program: its commands in the order of the help, and how errors become exit codes."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, TextIO

import typer
from typer.core import TyperGroup

from circuitome.cli import (
    annotate,
    ask,
    compare,
    databases,
    demo,
    exports,
    models,
    motifs,
    neuron,
    thread,
)
from circuitome.cli.output import note
from circuitome.errors import CircuitomeError

__all__ = ["app", "main"]

_WrongUse: Any = typer.BadParameter.mro()[2]
"""The base of all that is wrong on a command line; Typer does not export it."""

_LONGEST_MESSAGE: Final = 2000

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
    compare.compare,
    exports.export,
    databases.schema,
    demo.demo,
    thread.thread,
    thread.thread_check,
):
    app.command(name="models" if command is databases.list_models else None)(command)


def _version(asked: bool) -> None:
    if asked:
        from circuitome import __version__

        print(f"circuitome {__version__}")
        raise typer.Exit


class _ClosedPipe(Exception):
    """Nobody reads the output any more; Click would end with 1, as if a check had failed."""


class _Commands(TyperGroup):
    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line; ``--help`` and ``--version`` print here."""
        with _pipes_watched():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _pipes_watched():
            return super().invoke(ctx)


@contextmanager
def _pipes_watched() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _ClosedPipe from None


@app.callback(cls=_Commands)
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """The connectome of a trained convolutional network, in a graph database.

    From weights to answers:

    \b
      circuitome extract squeezenet1_1                     a bundle: neurons, signed edges, kernels
      circuitome verify squeezenet1_1.circuitome           proof that the bundle is the network
      circuitome annotate squeezenet1_1.circuitome         what each neuron responds to
      circuitome load squeezenet1_1.circuitome             into a database
      circuitome query inputs -p neuron=features.3.squeeze:5

    To try it: `circuitome demo` goes the whole way with networks that come with it.
    """


class _Notes(logging.Handler):
    """Warnings of the library, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        note(_short(f"circuitome: {record.getMessage()}"))


def _short(message: str) -> str:
    """A message with what it repeats of a very long input cut out."""
    return (
        message if len(message) <= _LONGEST_MESSAGE else f"{message[:1200]} [...] {message[-600:]}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program.

    Ends in `SystemExit` with 0, 1 (a check failed), 2 (wrong use, bad input), 130 (Ctrl-C) or 143
    (SIGTERM).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a name that the terminal has no letters for is no failure
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.getLogger("circuitome").handlers = [_Notes()]
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that drafts are cleared away
    try:
        code = _outcome(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:  # nobody reads the message of an error
        code = 2
    sys.exit(_flushed(code))


def _outcome(arguments: Sequence[str]) -> int:
    """The exit code of a run; an error is told on stderr."""
    try:
        _refuse_odd_text(arguments)
        code = app(arguments, prog_name="circuitome", standalone_mode=False)
    except _ClosedPipe:
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (_WrongUse, CircuitomeError, MemoryError, OSError) as error:
        note(_short(_in_words(error)))
        return 2
    return code if isinstance(code, int) else 0


def _refuse_odd_text(arguments: Sequence[str]) -> None:
    """`CircuitomeError` for text that is not UTF-8: no engine nor safetensors opens such a name."""
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise CircuitomeError(f"{argument!r}: not UTF-8 text; give the file another name")


def _in_words(error: Exception) -> str:
    if isinstance(error, CircuitomeError):
        return f"circuitome: {error}"
    if isinstance(error, MemoryError):
        return "circuitome: not enough memory; close other programs, or ask for less at once"
    if isinstance(error, OSError):  # a name that is too long, a folder that may not be read
        what, why = error.filename or "a file", error.strerror or error
        return f"circuitome: {what}: {why}; name another file or folder"
    text = io.StringIO()
    error.show(text)  # pyright: ignore[reportAttributeAccessIssue]  # Click's own words
    return text.getvalue().rstrip("\n")


def _flushed(code: int) -> int:
    """The exit code once all output is written; a reader that has gone away is no failure.

    What cannot be written goes nowhere: Python flushes again when it ends, and would end with 120.
    """
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is None:  # the shell has closed it
            continue
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                note(f"circuitome: the output cannot be written ({error.strerror})")
                code = 2
    return code
