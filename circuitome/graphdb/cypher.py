"""What a store checks in Cypher text before an engine sees it: its parameters, and that it only
reads the graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from circuitome.errors import CircuitomeError

__all__ = ["CypherError", "check_parameters", "check_reading", "code_of", "parameters_of"]

_NOT_CODE: Final = re.compile(
    r"""//[^\n\r]* | /\*.*?(?:\*/|\Z) | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `(?:``|[^`])*` """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER: Final = re.compile(r"\$(\w+)")
_FIRST: Final = frozenset(["MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN", "CALL"])
_PLAN: Final = re.compile(
    r"(?:EXPLAIN|PROFILE)\b\s*", re.IGNORECASE
)  # Kuzu takes any statement after it: COPY, INSTALL
_ESCAPE: Final = re.compile(
    r"\\u+[0-9a-fA-F]{4}"
)  # Neo4j decodes it before it looks at quotes and words
_RUN: Final = re.compile(r"(?<!\w)\w+")
_NUMBER: Final = re.compile(r"[0-9][0-9_]*(?:[eE][0-9]*)?[dDfF]?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+")
_AFTER_A_NAME: Final = re.compile(
    r"(?:AND|AS(?= [\w`])|ASC|ASCENDING|CALL|CONTAINS|DESC|DESCENDING|ELSE|END|ENDS "
    r"WITH|FINISH|IN|IS|LIMIT|MATCH|MOD|OFFSET"
    r"|OPTIONAL (?:MATCH|CALL)|OR|ORDER BY|RETURN|SKIP|STARTS "
    r"WITH|THEN|UNION|UNWIND|WHEN|WHERE|WITH|XOR|YIELD)\b(?!\.\D)",
    re.IGNORECASE,
)
"""What may follow a variable or an alias: a word such as ``set`` before it is a name, and
begins no clause.
"""
_WRITING: Final = re.compile(
    r"\b(?:CREATE|INSERT|MERGE|SET|DELETE|REMOVE|DROP|FOREACH)\b(?= ?[\w`($\[])", re.IGNORECASE
)
_BATCHES: Final = re.compile(r"\} ?(IN\b[^{}]*?\bTRANSACTIONS)\b", re.IGNORECASE)
_FILES: Final = re.compile(r"\bLOAD (?:CSV|FROM|WITH HEADERS)\b", re.IGNORECASE)
_CALL: Final = re.compile(r"\b(?:CALL|USE)\b(?= ?([\w`][\w`.]*))", re.IGNORECASE)
_FUNCTION: Final = re.compile(r"(?<![\w`.$])((?:[\w`]+\.)+[\w`]+) ?\(")
_BRACKET: Final = re.compile(r"[()\[\]{}]")
_LITERAL: Final = re.compile(r"(?<![\w.])[0-9][0-9_.]*(?:[eE][-+]?[0-9]+)?[dDfF]?")
_JOINT: Final = re.compile(
    r"[+*/%^|&<>=.]|(?<![,\[(])(?<![,\[(] )-|[\w)\]] ?\[|\b(?:AND|OR|XOR|NOT|IN)\b", re.IGNORECASE
)
# characters: Kuzu's parser and some patterns here take time that grows faster than the text
_LONGEST: Final = 100_000
_DEEPEST: Final = 60  # brackets in brackets; Kuzu ends the process at some hundreds ...
_JOINTS: Final = 2_000  # operators; ... and at some thousand of them one after the other
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
"""Procedures that look at the graph's shape alone; every other may read files, change settings
or reach other hosts.
"""
_SPACES: Final = frozenset(
    ["date", "datetime", "localdatetime", "localtime", "time", "duration", "point", "vector"]
)
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
    if found.startswith("/*") and (len(found) < 4 or not found.endswith("*/")):
        return found  # it has no end
    if found.startswith("/"):
        return re.sub(r"[^\n]", " ", found)
    return found[0] + re.sub(r"[^\n]", "x", found[1:-1]) + found[-1]


def parameters_of(text: str) -> tuple[str, ...]:
    """Names of the ``$parameters`` that the text uses, in order of first use."""
    return tuple(dict.fromkeys(_PARAMETER.findall(code_of(text))))


def check_parameters(text: str, given: Mapping[str, object]) -> None:
    """Raise `CypherError` where parameters are missing or unused: engines differ in what they
    let pass.
    """
    used = parameters_of(text)
    if missing := [name for name in used if name not in given]:
        raise CypherError(
            f"the query uses ${', $'.join(missing)}, which was not given; add `-p "
            f"{missing[0]}=VALUE`"
        )
    if unused := [name for name in given if name not in used]:
        known = f"it uses ${', $'.join(used)}" if used else "it takes none"
        raise CypherError(f"the query has no parameter ${', $'.join(unused)}; {known}")


def check_reading(text: str, *, unsafe: bool = False) -> None:
    """Raise `CypherError` for text that is not one reading query: a clause that writes, or a second
    statement.

    Files, procedures and functions of plugins are refused, too; ``unsafe`` lifts that, and nothing
    else.
    """
    if len(text) > _LONGEST:
        raise CypherError(
            f"the query has {len(text):,} characters, {_LONGEST:,} are the most; give long lists "
            "as parameters"
        )
    code = code_of(text)
    _refuse_disguise(text, code)
    _refuse_joined_words(code)
    code = _tight(code).removesuffix(";").rstrip()
    if not code:
        raise CypherError("the query is empty; write one that starts with MATCH")
    _refuse_depth(code)
    if not unsafe and (found := _beyond(code)):
        raise CypherError(
            f"`{found}` reaches beyond the graph, to files, settings or plugins; leave it out, "
            "or allow it with --unsafe"
        )
    _refuse_statements(code)
    _refuse_writing(code)


def _refuse_statements(code: str) -> None:
    """Refuse what begins otherwise than a query, and all that follows one."""
    start = _PLAN.match(code)
    first = "".join(re.findall(r"\A\w*", code[start.end() if start else 0 :]))
    if first.upper() not in _FIRST and not _FILES.match(code):
        raise CypherError(
            "a query starts with MATCH, UNWIND or CALL and reads; this one starts with "
            f"{first or code[0]!r}"
        )
    if ";" in code:
        raise CypherError(
            "the text holds several statements; run them one by one, without `;` between"
        )


def _refuse_writing(code: str) -> None:
    if found := _clause(_WRITING, code) or _BATCHES.search(code):
        raise CypherError(
            f"a query only reads; leave out `{found.group(found.re.groups)}` (`circuitome load` "
            "and `drop` change a "
            "database), or put it in backticks where it is a name"
        )


def _tight(code: str) -> str:
    """The code with one blank for any white space, and none around a dot."""
    return re.sub(r" ?\. ?", ".", " ".join(code.split()))


def _refuse_disguise(text: str, code: str) -> None:
    """Refuse what an engine may read otherwise than this module does: escapes, and characters
    that nobody sees.
    """
    if escape := _ESCAPE.search(text):
        raise CypherError(
            f"`{escape.group()}` may hide what a query does; write the character itself"
        )
    for char in code:
        if not char.isprintable() and char not in "\n\r\t":
            raise CypherError(
                f"the query has an invisible character, {char!r}, outside its texts; remove it"
            )
    if "/*" in code:
        raise CypherError("the query has a comment without an end; write `*/` behind it")


def _refuse_joined_words(code: str) -> None:
    """Refuse a number and a name without a blank between."""
    for run in _RUN.finditer(code):
        word = run.group()
        if not word.isidentifier() and not _NUMBER.fullmatch(
            word
        ):  # Kuzu reads `1LOAD` as a number and a clause
            raise CypherError(
                f"`{word[:40]}` is neither a number nor a name; put a blank between the two, or "
                "backticks around"
            )


def _refuse_depth(code: str) -> None:
    """Refuse what ends the process in an engine, or keeps its parser busy for good."""
    depth = 0
    for bracket in _BRACKET.finditer(code):
        depth += 1 if bracket.group() in "([{" else -1
        if depth > _DEEPEST:
            raise CypherError(
                f"more than {_DEEPEST} brackets stand one in the other; take the query apart"
            )
    if len(_JOINT.findall(_LITERAL.sub("0", code))) > _JOINTS:
        raise CypherError(
            f"more than {_JOINTS:,} operators; take the query apart, or give a list as a parameter"
        )


def _beyond(code: str) -> str | None:
    """The first thing that reads more than the graph: a file, a procedure, another database, a
    function of a plugin.
    """
    if found := _FILES.search(code):
        return found.group()
    for match in _CALL.finditer(code):
        if _begins(match, code) and match.group(1).lower() not in _PROCEDURES:
            return f"{match.group()} {match.group(1)}"
    for match in _FUNCTION.finditer(code):
        name = match.group(1).lower()
        if name not in _PROCEDURES and name.partition(".")[0] not in _SPACES:
            return match.group(1)
    return None


def _clause(pattern: re.Pattern[str], code: str) -> re.Match[str] | None:
    """The first match that begins a clause."""
    return next((match for match in pattern.finditer(code) if _begins(match, code)), None)


def _begins(match: re.Match[str], code: str) -> bool:
    """Whether a word begins a clause, told by what follows it alone: what stands before it can
    be made up.
    """
    place = match.end() + (code[match.end() : match.end() + 1] == " ")
    return _AFTER_A_NAME.match(code, place) is None
