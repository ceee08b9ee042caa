"""Every motif by its kind: for each query of the topic ``motifs`` a module of the same name."""

from __future__ import annotations

import importlib
from typing import Final

from circuitome.queries.catalogue import library
from circuitome.queries.errors import QueryError, near
from circuitome.queries.motifs import read_back_responses, weight_banding
from circuitome.queries.motifs.motif import Bundled, Motif, Tested

__all__ = ["BUNDLED", "MOTIFS", "about_p", "find_motif"]

_HERE: Final = __name__.rpartition(".")[0]

_KINDS: Final = sorted(query.name for query in library().values() if query.topic == "motifs")

MOTIFS: Final[dict[str, Motif | Tested]] = {
    name: importlib.import_module(f"{_HERE}.{name}").MOTIF for name in _KINDS
}
"""Every motif by its kind."""

BUNDLED: Final[dict[str, Bundled]] = {
    bundled.kind: bundled for bundled in (read_back_responses.BUNDLED, weight_banding.BUNDLED)
}
"""Those that are also asked of a bundle, by their kind."""


def find_motif(kind: str) -> Motif | Tested:
    """The motif of that kind; ``-`` and ``_`` are the same.

    Raises:
        QueryError: there is none; the message has near kinds.
    """
    name = kind.strip().lower().replace("-", "_")
    if name not in MOTIFS:
        known = f"there are {', '.join(MOTIFS)}"
        raise QueryError(f"no motif is called {kind!r}; {near(name, MOTIFS, otherwise=known)}")
    return MOTIFS[name]


def about_p(kind: str) -> str | None:
    """What the p of a motif counts, if not its instances, or why it has none.

    None for a motif that is not in the library.
    """
    motif = MOTIFS.get(kind)
    return None if motif is None else motif.about_p
