"""What an algorithm asks of a database: rows of library queries, and keys of what is there.

`circuitome.queries.database.Database` gives it. Algorithms and graphs know this protocol alone, so
that the library, of which they are a part, can be imported by the database.
"""

from __future__ import annotations

from typing import Any, Protocol

from circuitome.queries.rows import Rows

__all__ = ["Asks"]


class Asks(Protocol):
    """Something that answers library queries."""

    def ask(self, name: str, **parameters: Any) -> Rows:
        """Rows of a library query whose parameters are known to be right."""
        ...

    def model_key(self, model: str | None = None) -> str:
        """The key of a model that is there: the one named, or the only one."""
        ...

    def neuron_key(self, key: str) -> str:
        """The key of a neuron that is there; `QueryError` for any other."""
        ...
