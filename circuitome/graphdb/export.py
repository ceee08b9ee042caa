"""The graph for other programs: networkx, GraphML, GEXF, Cytoscape JSON, and CSV for
``neo4j-admin``.

A source is a `Bundle` or a model in a `Store`. On disk, ``networkx`` means node-link JSON and never
a pickle: a pickle runs code when it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from circuitome.graphdb.drafts import draft, put_in_place
from circuitome.graphdb.graph_files import (
    write_cytoscape,
    write_gexf,
    write_graphml,
    write_node_link,
)
from circuitome.graphdb.graph_tables import Source, Tables, streams, tables_of
from circuitome.graphdb.neo4j_import import ExportError, Streams, write_import
from circuitome.graphdb.networkx_graph import from_networkx, to_networkx
from circuitome.graphdb.selection import WHOLE, Selection

__all__ = [
    "FORMATS",
    "WHOLE",
    "ExportError",
    "Selection",
    "Source",
    "Tables",
    "Written",
    "export",
    "from_networkx",
    "tables_of",
    "to_networkx",
    "write",
]


@dataclass(frozen=True, slots=True)
class Written:
    """A graph that was written."""

    path: Path
    rows: Mapping[str, int]
    """Number of nodes or relationships by type."""


def export(
    source: Source,
    format: str,
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    chosen: Selection = WHOLE,
) -> Path:
    """Write the graph to ``path`` in one of `FORMATS`: a file, or a new folder for ``neo4j-admin``.

    ``networkx``: node-link JSON (``networkx.node_link_graph(json.load(file), edges="edges")``);
    ``cytoscape``: Cytoscape.js JSON; ``graphml`` and ``gexf``: XML; ``neo4j-admin``: CSV, with the
    command in its ``import.sh``. ``chosen`` says what of the graph is written; ``neo4j-admin``
    takes all of it. Nulls are left out; a list is JSON text where the format has no lists. A file
    that is there is replaced when the new one is whole. `ExportError` if the format is unknown, the
    place cannot be written, or what is chosen is not there.
    """
    return write(source, format, path, model=model, chosen=chosen).path


def write(
    source: Source,
    format: str,
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    chosen: Selection = WHOLE,
) -> Written:
    """As `export`; the value says also what was written."""
    if format not in FORMATS:
        raise ExportError(f"unknown format {format!r}; one of {', '.join(FORMATS)}")
    target = Path(path)
    _refuse_link(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft(target) as folder:
            written = folder / "out"
            rows = FORMATS[format](source, model, chosen, written)
            _place(written, target)
    except OSError as error:
        raise ExportError(
            f"{target}: cannot be written ({error.strerror or error}); name another place with -o"
        ) from error
    return Written(target, rows)


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


_Writer = Callable[[Source, str | None, Selection, Path], Mapping[str, int]]


def _whole(write: Callable[[Tables, Path], None]) -> _Writer:
    """A writer that takes all tables at once."""

    def write_tables(
        source: Source, model: str | None, chosen: Selection, path: Path
    ) -> dict[str, int]:
        tables = tables_of(source, model=model, chosen=chosen)
        write(tables, path)
        return {name: table.num_rows for name, table in tables.items()}

    return write_tables


def _import(source: Source, model: str | None, chosen: Selection, path: Path) -> dict[str, int]:
    """Write CSV for ``neo4j-admin``: of all that a database needs, so nothing can be chosen."""
    if chosen.options:
        raise ExportError(
            f"{chosen.options[0]}: neo4j-admin makes a database, which the program asks and so "
            "needs whole; leave it out, or choose another --format"
        )
    rows: dict[str, int] = {}
    write_import(_counted(streams(source, model), rows), path)
    return rows


def _counted(tables: Streams, rows: dict[str, int]) -> Streams:
    """The tables as they are; how many rows were read of each stands in ``rows``."""

    def counting(name: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows[name] = 0
        for batch in batches:
            rows[name] += batch.num_rows
            yield batch

    for name, batches in tables:
        yield name, counting(name, batches)


FORMATS: Final[Mapping[str, _Writer]] = {
    "networkx": _whole(write_node_link),
    "graphml": _whole(write_graphml),
    "gexf": _whole(write_gexf),
    "cytoscape": _whole(write_cytoscape),
    "neo4j-admin": _import,
}
