"""Options of `circuitome motifs` that would change nothing, each refused with its cure.

What does not fit a single motif is refused by `circuitome.queries.question`, for notebooks too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import typer

from circuitome.cli.options import given

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["refuse_unused"]

_LISTS: Final = frozenset({"list_motifs", "evidence", "as_json"})
"""What `--list` uses."""
_SAVES: Final = "says which instances a summary saves; add --save, or name a motif"
_ONE: Final = "is of one motif; name it, as in `circuitome motifs superposition {}`"


def refuse_unused(context: typer.Context) -> None:
    """Wrong use if an option on the command line has no effect beside the others."""
    options = [name for name in context.params if given(context, name)]
    hints = {option.name: option.opts[0] for option in context.command.params}
    for name, problem in _unused(options, str(context.params["kind"] or "")):
        hint = "KIND" if name == "kind" else hints[name]
        raise typer.BadParameter(problem, param_hint=hint)


def _unused(options: Collection[str], kind: str) -> Iterator[tuple[str, str]]:
    """Names of options that have no effect, each with what to do."""
    if "list_motifs" in options:
        for name in options:
            if name not in _LISTS:
                yield name, "--list shows the motifs of the library, whatever else; leave out one"
    elif not kind:
        yield from _unused_in_summary(options)
    elif kind.endswith(".cypher") and "evidence" in options:
        yield "evidence", "chooses among the motifs of the library; leave it out"


def _unused_in_summary(options: Collection[str]) -> Iterator[tuple[str, str]]:
    if "parameters" in options:
        yield "parameters", _ONE.format("-p strength=4")
    if "null_model" in options:
        yield "null_model", "is of one motif or file; name it"
    if "bundle" in options:
        yield (
            "bundle",
            "only weight_banding and superposition_read_back ask a bundle; name one, as in "
            "`circuitome motifs weight_banding --bundle BUNDLE`",
        )
    for name in ("q", "limit"):
        if name in options and "save" not in options:
            yield name, _SAVES
