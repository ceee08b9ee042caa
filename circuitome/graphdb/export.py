"""The graph for other programs: networkx, GraphML, GEXF, Cytoscape JSON, and CSV for
``neo4j-admin``.

A source is a `Bundle` or a model in a `Store`. On disk, ``networkx`` means node-link JSON and never
a pickle: a pickle runs code when it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from circuitome.graphdb.drafts import draft, put_in_place
from circuitome.graphdb.graph_files import (
    write_cytoscape,
    write_gexf,
    write_graphml,
    write_node_link,
)
from circuitome.graphdb.graph_tables import Source, Tables, streams, tables_of
from circuitome.graphdb.neo4j_import import ExportError, write_import
from circuitome.graphdb.networkx_graph import from_networkx, to_networkx

__all__ = [
    "FORMATS",
    "ExportError",
    "Source",
    "Tables",
    "export",
    "from_networkx",
    "tables_of",
    "to_networkx",
]


def export(
    source: Source,
    format: str,
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
) -> Path:
    """Write the graph to ``path`` in one of `FORMATS`: a file, or a new folder for ``neo4j-admin``.

    ``networkx``: node-link JSON (``networkx.node_link_graph(json.load(file), edges="edges")``);
    ``cytoscape``: Cytoscape.js JSON; ``graphml`` and ``gexf``: XML; ``neo4j-admin``: CSV, with the
    command in its ``import.sh``. Nulls are left out; a list is JSON text where the format has no
    lists. A file that is there is replaced when the new one is whole. `ExportError` where the
    format is unknown or the place cannot be written.
    """
    if format not in FORMATS:
        raise ExportError(f"unknown format {format!r}; one of {', '.join(FORMATS)}")
    target = Path(path)
    _refuse_link(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft(target) as folder:
            written = folder / "out"
            FORMATS[format](source, model, written)
            _place(written, target)
    except OSError as error:
        raise ExportError(
            f"{target}: cannot be written ({error.strerror or error}); name another place with -o"
        ) from error
    return target


def _refuse_link(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_file() and not target.is_dir()):
        raise ExportError(
            f"{target}: a link or a device, which a file would take the place of; name another "
            "place with -o"
        )


def _place(written: Path, target: Path) -> None:
    if not written.is_dir():
        os.replace(written, target)
        return
    if target.exists() and not (target / "import.sh").is_file() and any(target.iterdir()):
        raise ExportError(f"{target}: a folder with other files in it; name another with -o")
    put_in_place(written, target)


_Writer = Callable[[Source, str | None, Path], None]


def _whole(write: Callable[[Tables, Path], None]) -> _Writer:
    """A writer that takes all tables at once."""
    return lambda source, model, path: write(tables_of(source, model=model), path)


FORMATS: Final[Mapping[str, _Writer]] = {
    "networkx": _whole(write_node_link),
    "graphml": _whole(write_graphml),
    "gexf": _whole(write_gexf),
    "cytoscape": _whole(write_cytoscape),
    "neo4j-admin": lambda source, model, path: write_import(streams(source, model), path),
}
