"""The header of a query file: its leading comment, of which `query_file` shows one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from circuitome.queries.errors import QueryError, near
from circuitome.queries.values import TYPES, Parameter

__all__ = ["Header", "Output", "parse_header"]

_RESERVED: Final = ("timeout", "database", "row_limit", "unsafe")
_PARAMETER: Final = re.compile(r"(\w+)\s*\(([a-z ]+?)(?:\s*=\s*(.+?))?\)\s*:\s*(.*)")
_OUTPUT: Final = re.compile(r"(\w+)\s*:\s*(.*)")
_NOTE: Final = re.compile(r"(renamed|roles|instance|kuzu): +(.+)")
_RENAMED: Final = re.compile(r"\w+ -> \w+(?:, \w+ -> \w+)*")
_LONGEST_LINE: Final = (
    2_000  # characters; the pattern of a parameter takes time that grows with their square
)
_ONE_OF: Final = f"write one of: {', '.join(TYPES)}"


@dataclass(frozen=True, slots=True)
class Output:
    """One column that a query returns."""

    name: str
    doc: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a header block says."""

    title: str
    doc: str
    parameters: tuple[Parameter, ...] | None  # none where there is no `params:` section
    returns: tuple[Output, ...]
    notes: Mapping[str, str]  # word -> text of the lines `renamed:`, `roles:`, `instance:`, `kuzu:`


def parse_header(text: str, *, where: str) -> Header:
    """Read a header block: a title, the sections ``params:`` and ``returns:``, and prose.

    ``text`` has its ``//`` already removed. `QueryError` names the line that cannot be read.
    """
    sections: dict[str, list[str]] = {"title": [], "params": [], "returns": [], "doc": []}
    current, seen = "title", set()
    notes: dict[str, str] = {}
    noted = None  # the note that the next line may go on with
    for line in text.splitlines():
        word = line.strip().removesuffix(":")
        note = _NOTE.fullmatch(line) if current != "doc" else None
        going_on, noted = noted if line.startswith("  ") else None, None
        if note is not None:
            noted = note.group(1)
            notes[noted] = note.group(2)
        elif going_on is not None:
            noted = going_on
            notes[noted] += f" {line.strip()}"
        elif word in ("params", "returns") and line.strip().endswith(":"):
            current = word
            seen.add(word)
        elif not line.strip():
            current = "doc"
            sections["doc"].append("")
        elif current in ("params", "returns") and line.startswith("    ") and sections[current]:
            sections[current][-1] += " " + line.strip()
        else:
            sections[current].append(line.strip())
    return Header(
        title=" ".join(sections["title"]),
        doc=re.sub(r"\n{3,}", "\n\n", "\n".join(sections["doc"])).strip(),
        parameters=_parameters(sections["params"], notes.get("renamed"), where)
        if "params" in seen
        else None,
        returns=tuple(_output(line, where) for line in sections["returns"]),
        notes=notes,
    )


def _parameters(lines: list[str], renamed: str | None, where: str) -> tuple[Parameter, ...]:
    """The declared parameters, each with the names that it had before."""
    declared = [_parameter(line, where) for line in lines]
    names = [parameter.name for parameter in declared]
    formerly: dict[str, tuple[str, ...]] = {}
    for pair in renamed.split(", ") if renamed else ():
        old, _, new = pair.partition(" -> ")
        if not _RENAMED.fullmatch(pair) or new not in names or old in names:
            raise QueryError(
                f"{where}: `renamed: {pair}` does not fit the parameters {', '.join(names)}; "
                "write `OLD -> NEW` with the name of a declared parameter"
            )
        formerly[new] = (*formerly.get(new, ()), old)
    return tuple(replace(p, formerly=formerly.get(p.name, ())) for p in declared)


def _parameter(line: str, where: str) -> Parameter:
    match = _PARAMETER.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    if match is None:
        raise QueryError(
            f"{where}: cannot read the parameter {line[:200]!r}; write `name (type): doc` or "
            "`name (type = default): doc`"
        )
    name, kind, default, doc = match.groups()
    if kind not in TYPES:
        raise QueryError(
            f"{where}: parameter `{name}` has no known type `{kind}`; "
            f"{near(kind, TYPES, otherwise=_ONE_OF)}"
        )
    if name in _RESERVED:
        raise QueryError(f"{where}: a parameter cannot be called `{name}`; call it otherwise")
    if default is None:
        return Parameter(name, kind, doc)
    try:
        return Parameter(name, kind, doc, TYPES[kind][0](json.loads(default)), required=False)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise QueryError(
            f"{where}: the default {default} of `{name}` is not {TYPES[kind][1]}; write it as in "
            "JSON"
        ) from None


def _output(line: str, where: str) -> Output:
    match = _OUTPUT.fullmatch(line)
    if match is None:
        raise QueryError(f"{where}: cannot read the column {line!r}; write `name: doc`")
    return Output(*match.groups())
