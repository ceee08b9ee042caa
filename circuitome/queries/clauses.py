"""The clauses of a query's text, and the items and columns of its projections."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from circuitome.graphdb.cypher import code_of

__all__ = ["AGGREGATE", "Clause", "clauses_of", "columns_of", "split_items"]

_CLAUSE: Final = re.compile(
    r"(?<![$.\w])(OPTIONAL\s+MATCH|MATCH|WHERE|WITH|RETURN|UNWIND|ORDER\s+BY|SKIP|LIMIT"
    r"|UNION(?:\s+ALL)?)\b",
    re.IGNORECASE,
)
AGGREGATE: Final = re.compile(
    r"\b(count|sum|avg|min|max|collect)\s*\(\s*(DISTINCT\b)?", re.IGNORECASE
)


class Clause(NamedTuple):
    """A clause at the top level of a text."""

    keyword: str  # in capitals, one space between words
    start: int  # position of the keyword
    body: str

    @property
    def projects(self) -> bool:
        """Whether it makes columns."""
        return self.keyword in ("WITH", "RETURN")


def clauses_of(code: str) -> list[Clause]:
    """The clauses at the top level."""
    found = [match for match in _CLAUSE.finditer(code) if _depth(code, match.start()) == 0]
    ends = [match.start() for match in found[1:]] + [len(code)]
    return [
        Clause(" ".join(m[1].upper().split()), m.start(), code[m.end() : end])
        for m, end in zip(found, ends, strict=True)
    ]


def _depth(code: str, position: int) -> int:
    before = code[:position]
    return sum(before.count(char) for char in "({[") - sum(before.count(char) for char in ")}]")


def columns_of(text: str) -> tuple[str, ...]:
    """Names of the columns of the last ``RETURN`` of a query, as its text names them."""
    code = code_of(text.replace("`", " "))
    found = list(re.finditer(r"\bRETURN\b(?:\s+DISTINCT\b)?", code, re.IGNORECASE))
    if not found:
        return ()
    clause = re.split(
        r"\bORDER\s+BY\b|(?<![$.\w])(?:SKIP|LIMIT)\b|;",
        code[found[-1].end() :],
        flags=re.IGNORECASE,
    )[0]
    return tuple(_column_name(item) for item in split_items(clause))


def split_items(clause: str) -> list[str]:
    """Items of a projection, split at the commas that stand in no bracket."""
    items, depth = [""], 0
    for char in clause:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            items.append("")
        else:
            items[-1] += char
    return [item.strip() for item in items if item.strip()]


def _column_name(item: str) -> str:
    found = re.search(r"\bAS\s+(\w+)$", item, re.IGNORECASE)
    return found.group(1) if found else item
