"""Everything that can be asked by name: the library's files and the algorithms over them."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from circuitome.queries.algorithms.declared import algorithms
from circuitome.queries.errors import QueryError, near
from circuitome.queries.query_file import Query, is_cypher, load_file, load_folder, load_text

__all__ = ["find_query", "library"]


@functools.cache
def library() -> dict[str, Query]:
    """All queries by name, sorted by topic, then name.

    >>> library()["inputs"].title
    'What a neuron reads: its strongest inputs.'
    """
    queries = load_folder() | algorithms()
    return {
        query.name: query
        for query in sorted(queries.values(), key=lambda query: (query.topic, query.name))
    }


def find_query(name_or_file: str | os.PathLike[str]) -> Query:
    """The query of that name (``-`` and ``_`` are the same), the one in a ``.cypher`` file, or
    the Cypher itself.

    Raises:
        QueryError: for an unknown name, with near ones.
    """
    text = os.fspath(name_or_file)
    if isinstance(name_or_file, os.PathLike) or text.endswith(".cypher"):
        return load_file(Path(text))
    if is_cypher(text):
        return load_text(text)
    name = text.strip().lower().replace("-", "_")
    if name in library():
        return library()[name]
    cure = near(
        name,
        library(),
        otherwise="`circuitome query --list` shows all; a file must end in `.cypher`",
    )
    raise QueryError(f"no query is called {text!r}; {cure}")
