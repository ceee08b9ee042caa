"""What the header of a motif's query says: its title, its thresholds, and who plays which role.

::

    // roles: union = united; case = case_1, case_2
    // instance: pair

``instance`` names the column whose equal values make one instance; without it, a row is one.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError
from circuitome.queries.motifs.motif_row import QueryRow
from circuitome.queries.values import Parameter

__all__ = ["Definition", "Part", "definition_of"]

_ROLE: Final = re.compile(r"(\w+)(?: = (\w+(?:, \w+)*))?(?: if (\w+) = (\w+))?")


@dataclass(frozen=True, slots=True)
class Part:
    """Which columns of the query fill a role."""

    role: str
    columns: tuple[str, ...]
    condition: tuple[str, str] | None  # column and the value that it has in rows that count

    @classmethod
    def read(cls, text: str, *, where: str) -> Part:
        """The part that a header writes as ``ROLE = COLUMN, COLUMN if COLUMN = VALUE``."""
        match = _ROLE.fullmatch(text)
        if match is None:
            raise QueryError(
                f"{where}: cannot read the role {text!r}; write `// roles: ROLE = COLUMN; ROLE`"
            )
        role, columns, column, value = match.groups()
        names = tuple((columns or role).split(", "))
        return cls(role, names, None if column is None else (column, value))

    def of(self, rows: Sequence[QueryRow]) -> list[str]:
        """The keys in this role, each once."""
        if self.condition is not None:
            column, value = self.condition
            rows = [row for row in rows if row[column] == value]
        keys: dict[str, None] = {}
        for row, column in itertools.product(rows, self.columns):
            value = row[column]
            keys.update(dict.fromkeys(value if isinstance(value, list) else [str(value)]))
        return list(keys)


@dataclass(frozen=True, slots=True)
class Definition:
    """What the header of a motif's query says."""

    title: str
    parts: tuple[Part, ...]
    group: str | None  # column whose equal values make one instance; None: a row is one
    thresholds: tuple[Parameter, ...]  # parameters but for the model and the limit
    limit: int  # rows, by default

    @classmethod
    def of(cls, kind: str) -> Definition:
        """The definition of a motif of the library.

        Raises:
            QueryError: its header has no roles, or they cannot be read.
        """
        query = library()[kind]
        parts = [Part.read(text, where=kind) for text in query.notes.get("roles", "").split("; ")]
        limit = query.parameter("limit")
        thresholds = [p for p in query.parameters if p.name not in ("model", "limit")]
        return cls(
            query.title,
            tuple(parts),
            query.notes.get("instance"),
            tuple(thresholds),
            cast("int", limit.default) if limit else 0,
        )


definition_of = functools.cache(Definition.of)
"""As `Definition.of`, which reads each header once."""
