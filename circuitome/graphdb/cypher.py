"""What a store checks in Cypher text before an engine sees it: its parameters, and that it only reads the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from circuitome.errors import CircuitomeError

__all__ = ["CypherError", "check_parameters", "check_reading", "code_of", "parameters_of"]

_NOT_CODE: Final = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `(?:``|[^`])*` """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER: Final = re.compile(r"\$(\w+)")
_FIRST: Final = frozenset(["MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN", "CALL", "EXPLAIN", "PROFILE"])
_WRITING: Final = re.compile(r"\b(CREATE|MERGE|SET|DELETE|REMOVE|DROP|FOREACH)\b", re.IGNORECASE)
_FILES: Final = re.compile(r"\bLOAD\s+(CSV|FROM|WITH)\b|\bIN\s+(\d+\s+)?(CONCURRENT\s+)?TRANSACTIONS\b", re.IGNORECASE)


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


def check_reading(text: str) -> None:
    """Raise `CypherError` for text that is not one reading query: a clause that writes, reads a file, or two statements."""
    code = code_of(text).strip().rstrip(";")
    first = re.match(r"\w*", code).group() if code else ""  # type: ignore[union-attr]
    if not code:
        raise CypherError("the query is empty; write one that starts with MATCH")
    if first.upper() not in _FIRST:
        raise CypherError(
            f"a query starts with MATCH, UNWIND or CALL and reads; this one starts with {first or code[0]!r}"
        )
    if ";" in code:
        raise CypherError("the text holds several statements; run them one by one, without `;` between")
    if found := _FILES.search(code):
        raise CypherError(f"a query reads the graph and nothing else; leave out `{found.group()}`")
    if found := _writing(code):
        raise CypherError(f"a query only reads; leave out `{found}` (`circuitome load` and `drop` change a database)")


def _writing(code: str) -> str | None:
    """The first word that writes, unless it is a name: after a dot, a colon or AS, or before a colon or a bracket."""
    for match in _WRITING.finditer(code):
        before, after = code[: match.start()].rstrip(), code[match.end() :].lstrip()
        name = (
            before[-1:] in {".", ":", "|", "$"} or re.search(r"\bAS$", before, re.IGNORECASE) or after[:1] in {":", "."}
        )
        if not name and after[:1] not in {"", ",", ")", "="}:
            return match.group()
    return None
