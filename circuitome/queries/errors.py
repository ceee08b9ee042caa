"""The error of everything that is asked of a database."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from circuitome.errors import CircuitomeError

__all__ = ["QueryError", "near"]


class QueryError(CircuitomeError):
    """A query, a parameter or a name that is not there or does not fit."""


def near(name: str, names: Iterable[str], *, otherwise: str) -> str:
    """The end of a message about an unknown ``name``: the near ones of ``names``, or ``otherwise``.

    >>> near("hub", ["hubs", "layers"], otherwise="see `--list`")
    'did you mean `hubs`?'
    """
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{other}`' for other in close)}?" if close else otherwise
