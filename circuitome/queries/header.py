"""The header of a query file: its leading comment, of which `query_file` shows one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    sections = _Sections()
    for line in text.splitlines():
        sections.read(line)
    lines, notes = sections.lines, sections.notes
    declared = lines.get("params")
    return Header(
        title=" ".join(lines["title"]),
        doc=re.sub(r"\n{3,}", "\n\n", "\n".join(lines["doc"])).strip(),
        parameters=None if declared is None else _parameters(declared, notes.get("renamed"), where),
        returns=tuple(_output(line, where) for line in lines.get("returns", [])),
        notes=notes,
    )


@dataclass(slots=True)
class _Sections:
    """A header as far as it is read."""

    lines: dict[str, list[str]] = field(default_factory=lambda: {"title": [], "doc": []})
    # section -> its lines
    notes: dict[str, str] = field(default_factory=dict)  # word -> text
    current: str = "title"  # section
    noted: str | None = None  # the note that the next line may go on with

    def read(self, line: str) -> None:
        """Take in the next line."""
        text, listed = line.strip(), self.current in ("params", "returns")
        if self._takes_note(line):
            return
        if text in ("params:", "returns:"):
            self.current = text.removesuffix(":")
            self.lines.setdefault(self.current, [])
        elif not text:
            self.current = "doc"
            self.lines["doc"].append("")
        elif listed and line.startswith("    ") and self.lines[self.current]:
            self.lines[self.current][-1] += f" {text}"
        else:
            self.lines[self.current].append(text)

    def _takes_note(self, line: str) -> bool:
        """Whether the line is a note, or goes on with one."""
        note = _NOTE.fullmatch(line) if self.current != "doc" else None
        if note is not None:
            self.noted = note[1]
            self.notes[note[1]] = note[2]
        elif self.noted is not None and line.startswith("  "):
            self.notes[self.noted] += f" {line.strip()}"
        else:
            self.noted = None
        return self.noted is not None


def _parameters(lines: list[str], renamed: str | None, where: str) -> tuple[Parameter, ...]:
    """The declared parameters, each with the names that it had before."""
    declared = [_parameter(line, where) for line in lines]
    names = [parameter.name for parameter in declared]
    formerly = _formerly(renamed.split(", ") if renamed else [], names, where)
    return tuple(replace(p, formerly=formerly.get(p.name, ())) for p in declared)


def _formerly(pairs: list[str], names: list[str], where: str) -> dict[str, tuple[str, ...]]:
    """Name of a parameter -> those that it had before, from pairs ``OLD -> NEW``."""
    formerly: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        old, _, new = pair.partition(" -> ")
        if not _RENAMED.fullmatch(pair) or new not in names or old in names:
            raise QueryError(
                f"{where}: `renamed: {pair}` does not fit the parameters {', '.join(names)}; "
                "write `OLD -> NEW` with the name of a declared parameter"
            )
        formerly[new] = (*formerly.get(new, ()), old)
    return formerly


def _parameter(line: str, where: str) -> Parameter:
    match = _PARAMETER.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    if match is None:
        raise QueryError(
            f"{where}: cannot read the parameter {line[:200]!r}; write `name (type): doc` or "
            "`name (type = default): doc`"
        )
    name, kind, default, doc = match.groups()
    _check_named(name, kind, where)
    if default is None:
        return Parameter(name, kind, doc)
    return Parameter(name, kind, doc, _default(name, kind, default, where), required=False)


def _check_named(name: str, kind: str, where: str) -> None:
    if kind not in TYPES:
        cure = near(kind, TYPES, otherwise=_ONE_OF)
        raise QueryError(f"{where}: parameter `{name}` has no known type `{kind}`; {cure}")
    if name in _RESERVED:
        raise QueryError(f"{where}: a parameter cannot be called `{name}`; call it otherwise")


def _default(name: str, kind: str, text: str, where: str) -> object:
    converter, accepts = TYPES[kind]
    try:
        return converter(json.loads(text))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise QueryError(
            f"{where}: the default {text} of `{name}` is not {accepts}; write it as in JSON"
        ) from None


def _output(line: str, where: str) -> Output:
    match = _OUTPUT.fullmatch(line)
    if match is None:
        raise QueryError(f"{where}: cannot read the column {line!r}; write `name: doc`")
    return Output(*match.groups())
