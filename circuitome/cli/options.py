"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from circuitome.queries.values import Typed

__all__ = [
    "DEFAULT_DATABASE",
    "LARGEST_NUMBER",
    "AsJson",
    "BundlePath",
    "DatabaseAddress",
    "Device",
    "Limit",
    "ModelAgain",
    "ModelKey",
    "NeuronKey",
    "Parameters",
    "Timeout",
    "Weights",
    "ask_password",
    "floats",
    "given",
    "integers",
    "kept_share",
    "parameter_values",
    "sizes",
]

DEFAULT_DATABASE: Final = "circuitome.db"


def ask_password(context: typer.Context, address: str | None) -> str | None:
    """The address; a person at a terminal is asked for a server's password without NEO4J_PASSWORD.

    It goes into the environment of this process alone: no command line or shell history has it.
    """
    server = address is not None and "://" in address and "@" not in address
    if (
        server
        and not context.resilient_parsing
        and "NEO4J_PASSWORD" not in os.environ
        and sys.stdin.isatty()
    ):
        user = os.environ.get("NEO4J_USER") or "neo4j"
        os.environ["NEO4J_PASSWORD"] = typer.prompt(
            f"Password of {user} at {address}", hide_input=True, err=True
        )
    return address


LARGEST_NUMBER: Final = 2**63 - 1  # what a database holds as a whole number


def given(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line, and not in the environment or nowhere."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


BundlePath = Annotated[
    Path,
    typer.Argument(metavar="BUNDLE", help="A bundle written by `extract`.", show_default=False),
]
DatabaseAddress = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="DB",
        envvar="CIRCUITOME_DB",
        callback=ask_password,
        help="A file (embedded database), or neo4j://, bolt://, neo4j+s:// (server).",
    ),
]
ModelAgain = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        show_default=False,
        help="As for `extract`; required for a factory only.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON array of row objects.")]
ModelKey = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help="Key of the model; may be left out if there is only one."
    ),
]
NeuronKey = Annotated[
    str,
    typer.Argument(
        metavar="NEURON",
        show_default=False,
        help="Key such as squeezenet1_1/features.3.squeeze:5; the model may be left out.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE[::KEY]|DEFAULT|random",
        help="A safetensors or PyTorch file (code in it is never run), and where in it they stand "
        "if two networks fit; the published weights; or random ones drawn from the seed.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Device to compute on.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=0, help="Maximum number of rows.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", min=0, max=1e9, help="Time limit of the query; 0 is none."
    ),
]


Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", "-p", metavar="KEY=VALUE", help="A parameter; may be given several times."
    ),
]


def integers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Whole numbers between commas, as in ``3,224,224``; wrong use otherwise."""
    return None if text is None else tuple(int(number) for number in _numbers(text, option, int))


def sizes(texts: list[str] | None) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """The size of one input, or those of several; empty if none is given."""
    shapes = tuple(integers(text, "--input-size") or () for text in texts or ())
    return shapes if len(shapes) > 1 else sum(shapes, ())


def floats(text: str | None, option: str) -> tuple[float, ...] | None:
    """Numbers between commas, as in ``0.485,0.456,0.406``; wrong use otherwise."""
    return None if text is None else tuple(_numbers(text, option, float))


def _numbers(text: str, option: str, kind: type[int] | type[float]) -> list[float]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        example = "3,224,224" if kind is int else "0.485,0.456,0.406"
        raise typer.BadParameter(
            f"{text!r}: give numbers between commas, as in {example}", param_hint=option
        ) from None


def kept_share(text: str) -> float | None:
    """The share of ``--keep``, None for ``all``; wrong use unless 0 < share <= 1."""
    if text == "all":
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise typer.BadParameter(
            f"{text!r}: give a share such as 0.99, or all", param_hint="--keep"
        )
    return share


_TAKEN: Final = MappingProxyType(
    {
        "timeout": "--timeout",
        "database": "--db",
        "row_limit": "--limit",
        "unsafe": "--unsafe",
    }
)


def parameter_values(texts: list[str] | None, **taken: str) -> dict[str, Typed]:
    """Values of ``-p key=value`` as typed.

    Wrong use if one is no pair, is given twice, or is an option of its own; ``taken`` names more.
    """
    from circuitome.queries.values import Typed

    options = {**_TAKEN, **taken}
    pairs: dict[str, Typed] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r}: write it as key=value", param_hint="-p")
        if key in options:
            raise typer.BadParameter(
                f"{key!r} is an option of its own: {options[key]}", param_hint="-p"
            )
        if key in pairs:
            raise typer.BadParameter(f"{key!r} is given twice", param_hint="-p")
        pairs[key] = Typed(value)
    return pairs
