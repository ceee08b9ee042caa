"""What is wrong with a bundle: files that were altered, keys and ends that do not fit, numbers
that are none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from circuitome.graphdb.manifest import BundleError, Manifest, sha256, table_file
from circuitome.graphdb.schema import EDGE_TYPES, NODES, RELATIONSHIPS, arrow_schema
from circuitome.graphdb.table_file import CURE, opened

__all__ = ["Inspection"]

_MAX_KEY: Final = 4_000  # bytes: Neo4j indexes no text of more than 8,164


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything of a bundle, read and compared with its manifest and the schema."""

    folder: Path
    manifest: Manifest

    def check(self) -> None:
        """Read every file, and the keys of every node; `BundleError` tells the first fault."""
        for fault in itertools.chain(self._altered(), self._node_faults()):
            raise BundleError(f"{fault}{CURE}")

    def faults(self) -> Iterator[str]:
        """Every fault, a line each: checksums, columns, rows, keys, ends of relationships, NaN."""
        yield from self._altered()
        yield from self._node_faults()
        yield from self._relationship_faults()

    def _altered(self) -> Iterator[str]:
        for name, entry in self.manifest.files.items():
            if sha256(self.folder / name) != entry.sha256:
                yield f"{self.folder}: {name} was altered (its SHA-256 is not the manifest's)"

    def _path(self, table: str) -> Path:
        return self.folder / table_file(table)

    def _readable(self, table: str) -> tuple[pa.Table | None, str]:
        """A table, or what is wrong with it."""
        entry = self.manifest.files.get(table_file(table))
        if entry is None:
            return arrow_schema(table).empty_table(), ""
        try:
            with opened(self._path(table), table, rows=entry.rows or 0) as file:
                return file.read(), ""
        except BundleError as error:
            return None, str(error).removesuffix(CURE)

    def _node_faults(self) -> Iterator[str]:
        for label in NODES:
            table, fault = self._readable(label)
            if table is None:
                yield fault
                continue
            path = self._path(label)
            yield from _key_faults(path, table["key"])
            yield from self._owner_faults(path, label, table)
            yield from _not_numbers(path, table)

    def _owner_faults(self, path: Path, label: str, table: pa.Table) -> Iterator[str]:
        owner, model = "key" if label == "Model" else "model", self.manifest.model["key"]
        if owner not in table.column_names:
            return
        if others := set(table[owner].unique().to_pylist()) - {model}:
            other = sorted(map(str, others))[0]
            yield f"{path}: {owner} is {other!r} in some rows, the manifest says {model!r}"

    def _relationship_faults(self) -> Iterator[str]:
        keys = self._keys()
        pairs: list[np.ndarray] = []
        for name, kind in RELATIONSHIPS.items():
            table, fault = self._readable(name)
            if table is None:
                yield fault
                continue
            path = self._path(name)
            rows = {}
            for column, label in (("from", kind.source), ("to", kind.target)):
                rows[column] = _rows_of(table[column], keys[label])
                what = f"{label} at `{column}`"
                yield from _missing_ends(path, table[column], rows[column], what)
            if name in EDGE_TYPES:
                pairs.append(rows["from"] * (1 << 31) + rows["to"])
            yield from _not_numbers(path, table)
        if twice := _repetitions(pairs):
            edges = ", ".join(EDGE_TYPES)
            yield f"{self.folder}: {twice} pairs of neurons have more than one edge ({edges})"

    def _keys(self) -> dict[str, pa.Array]:
        """Keys of the nodes of every table; none of one that cannot be read."""
        tables = {label: self._readable(label)[0] for label in NODES}
        none = pa.array([], pa.string())
        return {
            label: none if table is None else table["key"].combine_chunks()
            for label, table in tables.items()
        }


def _key_faults(path: Path, keys: pa.ChunkedArray) -> Iterator[str]:
    if keys.null_count:
        yield f"{path}: {keys.null_count} rows have no key"
    if (repeated := _repeated(keys)) is not None:
        yield f"{path}: the key {repeated!r} is there twice"
    lengths = pc.call_function("binary_length", [keys])
    longest = pc.call_function("max", [lengths]).as_py() or 0
    if longest > _MAX_KEY:
        yield (
            f"{path}: a key has {longest:,} bytes, and {_MAX_KEY:,} at most are found in a database"
        )


def _repeated(keys: pa.ChunkedArray) -> str | None:
    """A value that is there more than once."""
    counts = keys.drop_null().value_counts()
    twice = np.flatnonzero(counts.field("counts").to_numpy() > 1)
    return counts.field("values")[int(twice[0])].as_py() if len(twice) else None


def _rows_of(ends: pa.ChunkedArray, keys: pa.Array) -> np.ndarray:
    """Row of each end among the keys, -1 if it is not one of them; ``(rows,)`` int64."""
    parts = [np.empty(0, np.int64)]
    for chunk in ends.dictionary_encode().chunks:
        known = pc.call_function("index_in", [chunk.dictionary], pc.SetLookupOptions(keys))
        rows = known.take(chunk.indices).fill_null(-1)
        parts.append(rows.to_numpy(zero_copy_only=False).astype(np.int64))
    return np.concatenate(parts)


def _repetitions(pairs: list[np.ndarray]) -> int:
    """How many pairs are there again; those below 0 lack an end and do not count."""
    known = np.concatenate([part[part >= 0] for part in pairs])
    return len(known) - len(np.unique(known))


def _missing_ends(path: Path, ends: pa.ChunkedArray, rows: np.ndarray, what: str) -> Iterator[str]:
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        row = int(missing[0])
        yield (
            f"{path}: {len(missing)} rows have no {what}, "
            f"the first is {ends[row].as_py()!r} in row {row}"
        )


def _not_numbers(path: Path, table: pa.Table) -> Iterator[str]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        is_list = pa.types.is_list(column.type)
        values = pc.call_function("list_flatten", [column]) if is_list else column
        if not pa.types.is_floating(values.type):
            continue
        if bad := pc.call_function("sum", [pc.call_function("is_nan", [values])]).as_py():
            yield f"{path}: {bad} values of `{name}` are not a number"
