"""What a store checks in Cypher text before an engine sees it: its parameters, and that it only reads the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from circuitome.errors import CircuitomeError

__all__ = ["CypherError", "check_parameters", "check_reading", "code_of", "parameters_of"]

_NOT_CODE: Final = re.compile(
    r"""//[^\n\r]* | /\*.*?\*/ | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `(?:``|[^`])*` """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER: Final = re.compile(r"\$(\w+)")
_FIRST: Final = frozenset(["MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN", "CALL"])
_PLAN: Final = re.compile(
    r"(?:EXPLAIN|PROFILE)\b\s*", re.IGNORECASE
)  # Kuzu takes any statement after it: COPY, INSTALL
_ESCAPE: Final = re.compile(r"\\u+[0-9a-fA-F]{4}")  # Neo4j decodes it before it looks at quotes and words
_WRITING: Final = re.compile(r"\b(CREATE|INSERT|MERGE|SET|DELETE|REMOVE|DROP|FOREACH)\b", re.IGNORECASE)
_BATCHES: Final = re.compile(r"\bIN\s+(\S+\s+)?(CONCURRENT\s+)?TRANSACTIONS\b", re.IGNORECASE)
_FILES: Final = re.compile(r"\bLOAD\s+(CSV|FROM|WITH)\b", re.IGNORECASE)
_DOTTED: Final = r"[\w`]+(?:\s*\.\s*[\w`]+)"
_CALL: Final = re.compile(rf"\bCALL\b(?!\s*[({{])\s*({_DOTTED}*)?", re.IGNORECASE)
_FUNCTION: Final = re.compile(rf"(?<![\w`.$])({_DOTTED}+)\s*\(")
_PROCEDURES: Final = frozenset(
    [
        "show_tables",
        "table_info",
        "show_connection",
        "db_version",
        "db.labels",
        "db.relationshiptypes",
        "db.propertykeys",
    ]
    + [f"db.schema.{name}" for name in ("visualization", "nodetypeproperties", "reltypeproperties")]
)
"""Procedures that look at the graph's shape alone; every other may read files, change settings or reach other hosts."""
_SPACES: Final = frozenset(["date", "datetime", "localdatetime", "localtime", "time", "duration", "point", "vector"])
"""Namespaces of Neo4j's own functions; every other belongs to a plugin."""


class CypherError(CircuitomeError):
    """Query text that does more than read, or parameters that are not the ones it uses."""


def code_of(text: str) -> str:
    """The text with comments, strings and quoted names blanked, every character at its place.

    >>> code_of("RETURN 'a$b' AS x // $c")
    "RETURN 'xxx' AS x      "
    """
    return _NOT_CODE.sub(_blank, text)


def _blank(match: re.Match[str]) -> str:
    found = match.group()
    if found.startswith("/"):
        return re.sub(r"[^\n]", " ", found)
    return found[0] + re.sub(r"[^\n]", "x", found[1:-1]) + found[-1]


def parameters_of(text: str) -> tuple[str, ...]:
    """Names of the ``$parameters`` that the text uses, in order of first use."""
    return tuple(dict.fromkeys(_PARAMETER.findall(code_of(text))))


def check_parameters(text: str, given: Mapping[str, Any]) -> None:
    """Raise `CypherError` where parameters are missing or unused: engines differ in what they let pass."""
    used = parameters_of(text)
    if missing := [name for name in used if name not in given]:
        raise CypherError(f"the query uses ${', $'.join(missing)}, which was not given; add `-p {missing[0]}=VALUE`")
    if unused := [name for name in given if name not in used]:
        known = f"it uses ${', $'.join(used)}" if used else "it takes none"
        raise CypherError(f"the query has no parameter ${', $'.join(unused)}; {known}")


def check_reading(text: str, *, unsafe: bool = False) -> None:
    """Raise `CypherError` for text that is not one reading query: a clause that writes, or a second statement.

    Files, procedures and functions of plugins are refused, too; ``unsafe`` lifts that, and nothing else.
    """
    code = code_of(text).strip().rstrip(";")
    if not code:
        raise CypherError("the query is empty; write one that starts with MATCH")
    _refuse_disguise(text, code)
    start = _PLAN.match(code)
    first = re.match(r"\w*", code[start.end() if start else 0 :]).group()  # type: ignore[union-attr]
    if not unsafe and (found := _beyond(code)):
        raise CypherError(
            f"`{found}` reaches beyond the graph, to files, settings or plugins; leave it out, or allow it with --unsafe"
        )
    if first.upper() not in _FIRST and not _FILES.match(code):
        raise CypherError(
            f"a query starts with MATCH, UNWIND or CALL and reads; this one starts with {first or code[0]!r}"
        )
    if ";" in code:
        raise CypherError("the text holds several statements; run them one by one, without `;` between")
    if found := _keyword(_WRITING, code) or _BATCHES.search(code):
        raise CypherError(
            f"a query only reads; leave out `{found.group()}` (`circuitome load` and `drop` change a database)"
        )


def _refuse_disguise(text: str, code: str) -> None:
    """Refuse what an engine may read otherwise than this module does: escapes, and characters that nobody sees."""
    if escape := _ESCAPE.search(text):
        raise CypherError(f"`{escape.group()}` may hide what a query does; write the character itself")
    for char in code:
        if not char.isprintable() and char not in "\n\r\t":
            raise CypherError(f"the query has an invisible character, {char!r}, outside its texts; remove it")


def _beyond(code: str) -> str | None:
    """The first thing that reads more than the graph: a file, a procedure, a function of a plugin."""
    if found := _FILES.search(code):
        return " ".join(found.group().split())
    for match in _CALL.finditer(code):
        name = match.group(1)
        if name and not _names(code[: match.start()]) and _flat(name) not in _PROCEDURES:
            return " ".join(match.group().split())
    for match in _FUNCTION.finditer(code):
        name = _flat(match.group(1))
        if name not in _PROCEDURES and name.partition(".")[0] not in _SPACES:
            return match.group(1)
    return None


def _flat(name: str) -> str:
    return re.sub(r"\s", "", name).lower()


def _keyword(pattern: re.Pattern[str], code: str) -> re.Match[str] | None:
    return next(_keywords(pattern, code), None)


def _keywords(pattern: re.Pattern[str], code: str) -> Iterator[re.Match[str]]:
    """Matches that begin with a clause's word: no name after a dot, a colon or AS, none before a colon or a bracket."""
    for match in pattern.finditer(code):
        if not _names(code[: match.start()]) and code[match.end() :].lstrip()[:1] not in {"", ":", ".", ",", ")", "="}:
            yield match


def _names(before: str) -> bool:
    """Whether the word after this text is a name."""
    before = before.rstrip()
    return before[-1:] in {".", ":", "|", "$"} or re.search(r"\bAS$", before, re.IGNORECASE) is not None
