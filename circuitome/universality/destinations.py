"""Where comparisons go: a folder of tables and pictures, or a database that holds the models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow.parquet as pq

from circuitome.graphdb.bundle_writer import unwritten
from circuitome.graphdb.drafts import draft, put_in_place
from circuitome.graphdb.schema import SCHEMA_VERSION
from circuitome.graphdb.signatures import NULL, Signatures
from circuitome.graphdb.stores.protocol import Amendment, Removal
from circuitome.queries.database import Database
from circuitome.universality.alignment import alignment_svg
from circuitome.universality.compare import TABLES, CompareError, Comparison

__all__ = ["FolderWriter", "pairs_to_compare", "record"]

MANIFEST: Final = "manifest.json"
_FORMAT: Final = "circuitome comparison"


class FolderWriter:
    """Writes comparisons into a folder: a context manager that leaves a whole folder or nothing.

    ``ANALOGOUS_TO.parquet`` and so on, one file a relationship for all pairs together;
    ``A--B.svg``, the layers' alignment; ``periodic_table.csv``; ``manifest.json``, with one row a
    layer of what was found, and what is preserved of circuits.
    """

    def __init__(
        self, path: str | os.PathLike[str], networks: Sequence[Signatures], *, force: bool = False
    ) -> None:
        self.path = Path(path)
        self._networks = networks
        self._pairs: list[dict[str, object]] = []
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._stack = ExitStack()
        if not self.path.exists():
            return
        if not force:
            raise CompareError(
                f"{self.path}: already there; name another with -o, or --force to replace it"
            )
        if not _is_comparison(self.path):
            raise CompareError(
                f"{self.path}: exists and holds no comparison, so --force does not replace it; "
                "name another with -o"
            )

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = self._stack.enter_context(draft(self.path))
        except OSError as error:
            raise CompareError(
                f"{self.path}: cannot be written ({error.strerror}); name another with -o"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._stack:
                for writer in self._writers.values():
                    writer.close()
                if kind is None:
                    self._seal()
                    put_in_place(self._folder, self.path)
        except OSError as late:
            error = error or late
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise CompareError(
                f"{self.path}: cannot be written ({unwritten(error)}); make room, or name "
                "another with -o"
            ) from error

    def add(self, found: Comparison) -> None:
        """Write one pair of networks."""
        for name, table in found.tables.items():
            if name not in self._writers:
                path = self._folder / f"{name}.parquet"
                self._writers[name] = pq.ParquetWriter(path, table.schema)
            self._writers[name].write_table(table)
        picture = f"{found.a}--{found.b}.svg"
        title = f"{found.a} (down) and {found.b} (across)"
        self.put(picture, alignment_svg(title, *found.names, list(found.matrices.items())))
        rows = {name: table.num_rows for name, table in found.tables.items()}
        about = {"a": found.a, "b": found.b, "picture": picture, "rows": rows}
        self._pairs.append({**about, "layers": found.layers, "circuits": found.circuits})

    def put(self, name: str, text: str) -> None:
        """Write one more file."""
        (self._folder / name).write_text(text)

    def _seal(self) -> None:
        described = {
            "format": _FORMAT,
            "schema_version": SCHEMA_VERSION,
            "signatures_sha256": self._networks[0].sha256,
            "null": NULL,
            "models": [_about(one) for one in self._networks],
            "pairs": self._pairs,
        }
        self.put(MANIFEST, json.dumps(described, indent=1))


def _about(network: Signatures) -> dict[str, object]:
    model = network.bundle.manifest.model
    return {name: model.get(name) for name in ("key", "architecture", "weights_sha256")}


def _is_comparison(path: Path) -> bool:
    try:
        return json.loads((path / MANIFEST).read_text()).get("format") == _FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def pairs_to_compare(
    networks: Sequence[Signatures], database: Database | None = None, *, force: bool = False
) -> list[tuple[Signatures, Signatures]]:
    """Every pair of networks; with a database, unless ``force``, those that it has not yet.

    `CompareError` where a network is not in the database, or another one of its name.
    """
    pairs = list(combinations(networks, 2))
    if database is None:
        return pairs
    held = {row["key"]: row for row in database.models()}
    for one in networks:
        _check_held(one, held, database.store.address)
    rows = () if force else database.ask("compared_models").to_dicts()
    compared = {(row["model"], row["other"]) for row in rows}
    return [(a, b) for a, b in pairs if not {(a.model, b.model), (b.model, a.model)} <= compared]


def _check_held(one: Signatures, held: Mapping[str, Mapping[str, object]], address: str) -> None:
    row = held.get(one.model)
    if row is None or row.get("state") != "ready":
        raise CompareError(
            f"{one.model} is not in the database; `circuitome load {one.bundle.path} --db "
            f"{address}` puts it in"
        )
    if row["weights_sha256"] != one.bundle.manifest.model.get("weights_sha256"):
        raise CompareError(
            f"{one.bundle.path}: the database's {one.model} has other weights; "
            f"`circuitome load {one.bundle.path} --db {address}` replaces it"
        )


def record(database: Database, found: Comparison) -> None:
    """Put a comparison into a database, in place of what it has between these two models; all
    or nothing.
    """
    ways = ((found.a, found.b), (found.b, found.a))
    remove = tuple(
        Removal(table, source={"model": [one]}, target={"model": [other]})
        for table in TABLES
        for one, other in ways
    )
    circuits = tuple(
        Removal("PRESERVED_IN", source={"model": [one]}, target={"key": [other]})
        for one, other in ways
    )
    database.store.amend(Amendment(remove=remove + circuits, insert=found.tables))
