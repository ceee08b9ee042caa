"""Motifs: for each ``library/motifs/<kind>.cypher`` a module of the same name with its vectorised twin.

`MOTIFS` holds them by kind; `find` asks a database for one. A new motif is one query file and one module.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Final

from circuitome.queries.errors import QueryError, near
from circuitome.queries.motifs.motif import Motif

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["MOTIFS", "Motif", "find", "find_motif"]

MOTIFS: Final[dict[str, Motif]] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").MOTIF
    for module in pkgutil.iter_modules(__path__)
    if module.name != "motif"
}
"""Every motif by its kind."""


_THERE_ARE: Final = f"there are {', '.join(MOTIFS)}"


def find_motif(kind: str) -> Motif:
    """The motif of that kind (``-`` and ``_`` are the same); `QueryError` with near kinds for an unknown one."""
    name = kind.strip().lower().replace("-", "_")
    if name not in MOTIFS:
        raise QueryError(f"no motif is called {kind!r}; {near(name, MOTIFS, otherwise=_THERE_ARE)}")
    return MOTIFS[name]


def find(database: Database, kind: str, *, model: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """Instances of a motif as rows ``{kind, model, score, p, q, null, roles}``, strongest first.

    ``parameters`` are those of the query of the same name. The bare form: ``p``, ``q`` and ``null`` are null, and the
    rows are candidates, not findings. `QueryError` for an unknown kind, model or parameter.
    """
    motif, model = find_motif(kind), database.model_key(model)
    return motif.gather(model, database.query(motif.kind, model=model, **parameters))
