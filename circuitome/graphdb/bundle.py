"""The bundle: a folder of Parquet tables, kernels, wiring and a manifest; the source of truth.

::

    squeezenet1_1.circuitome/ manifest.json         model, weights SHA-256, parameters, versions,
      rows and SHA-256 of every file wiring.json           layers, their links and the operations on
      the way kernels.safetensors   folded kernels, one float32 array a layer, and the vectors of
      the operations tables/Neuron.parquet, tables/EXCITES.parquet, ... annotations/...
      further files of the annotation

This module reads one; `circuitome.graphdb.bundle_writer` writes and amends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from circuitome.graphdb.faults import Inspection
from circuitome.graphdb.manifest import (
    ANNOTATIONS,
    KERNELS,
    WIRING,
    BundleError,
    Manifest,
    inside,
    read_json,
    read_manifest,
    table_file,
)
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, arrow_schema
from circuitome.graphdb.table_file import opened

__all__ = ["Bundle", "BundleError", "Kernels"]

_UNREADABLE: Final = (SafetensorError, OSError)


@dataclass(frozen=True)
class Kernels:
    """The kernel array of a bundle: row ``r`` is one ``(kh, kw)`` kernel, of volumes
    ``(kd, kh, kw)``; layers follow one another.

    Layer ``i`` holds the rows ``offsets[i]`` to ``offsets[i + 1]``, in the order of its array
    ``(out, fan_in, kh, kw)``.
    """

    path: Path
    names: tuple[str, ...]  # layer names, in order
    offsets: np.ndarray  # (len(names) + 1,) int64

    def layer(self, name: str) -> np.ndarray:
        """Kernels of one layer, ``(out, fan_in, kh, kw)`` or ``(out, fan_in, kd, kh, kw)``
        float32.
        """
        return self.array(f"kernel/{name}")

    def array(self, name: str) -> np.ndarray:
        """Any array of the file by its full name."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                return file.get_tensor(name)
        except _UNREADABLE as error:
            raise BundleError(
                f"{self.path}: array {name!r} cannot be read ({error}); extract the bundle again"
            ) from error

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array of the file: ``kernel/LAYER``, and the vectors of the steps."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                names = file.keys()
                return {name: file.get_tensor(name) for name in names}
        except _UNREADABLE as error:
            raise BundleError(
                f"{self.path}: not readable ({error}); extract the bundle again"
            ) from error

    def row(self, row: int) -> np.ndarray:
        """One kernel, ``(kh, kw)`` or ``(kd, kh, kw)`` float32, by the ``kernel`` property of an
        edge.
        """
        if not 0 <= row < self.offsets[-1]:
            raise BundleError(
                f"{self.path}: kernel row {row} is not in 0..{self.offsets[-1] - 1}; "
                "look up the edge's `kernel`"
            )
        layer = int(np.searchsorted(self.offsets, row, side="right")) - 1
        array = self.layer(self.names[layer])
        return array.reshape(-1, *array.shape[2:])[row - self.offsets[layer]]


@dataclass(frozen=True, repr=False)
class Bundle:
    """An opened bundle; tables are read on demand.

    Opening looks only at the manifest and at the presence and size of the files; `check` reads
    everything.
    """

    path: Path
    manifest: Manifest

    def __repr__(self) -> str:
        counts = self.manifest.counts
        sizes = [f"{counts[name]:,} {name}" for name in ("neurons", "edges") if name in counts]
        return f"<Bundle {self.path}: {', '.join([self.model, *sizes])}>"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open the bundle at ``path``.

        Raises:
            BundleError: there is none, or a file is missing or was cut short.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        for name, entry in manifest.files.items():
            file = inside(folder, name)
            if not file.is_file():
                raise BundleError(f"{folder}: the file {name} is missing; extract the bundle again")
            if (size := file.stat().st_size) != entry.bytes:
                raise BundleError(
                    f"{folder}: {name} has {size} bytes, the manifest says {entry.bytes}; "
                    "extract the bundle again"
                )
        return cls(folder, manifest)

    @property
    def model(self) -> str:
        """Key of the model that the bundle holds."""
        return self.manifest.model["key"]

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it holds, nodes first, in the order of the schema."""
        names = (*NODES, *RELATIONSHIPS)
        return tuple(name for name in names if table_file(name) in self.manifest.files)

    def rows(self, table: str) -> int:
        """Number of rows of a table, 0 if the bundle does not have it."""
        entry = self.manifest.files.get(table_file(table))
        return (entry and entry.rows) or 0

    def table_path(self, table: str) -> Path:
        """Path of a table's Parquet file."""
        return self.path / table_file(table)

    @property
    def attached(self) -> tuple[str, ...]:
        """Names of the further files that `BundleAmendment.attach` put in, sorted."""
        prefix = f"{ANNOTATIONS}/"
        names = [name for name in self.manifest.files if name.startswith(prefix)]
        return tuple(sorted(name.removeprefix(prefix) for name in names))

    def attached_path(self, name: str) -> Path:
        """Path of a further file; `BundleError` if the bundle has none of that name."""
        if name not in self.attached:
            raise BundleError(
                f"{self.path}: no annotation {name!r}; `circuitome annotate {self.path}` makes them"
            )
        return self.path / ANNOTATIONS / name

    def table(self, name: str) -> pa.Table:
        """One table in the schema's columns, empty if the bundle does not have it.

        Ends of relationships are dictionary-encoded.
        """
        if name not in self.tables:
            return arrow_schema(name).empty_table()
        with self._opened(name) as file:
            return file.read()

    def batches(
        self, name: str, size: int = 65_536, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A table, or some of its columns, in batches of at most ``size`` rows, as `table`
        gives it.
        """
        if name in self.tables:
            with self._opened(name) as file:
                yield from file.iter_batches(size, columns=columns)

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        with opened(self.table_path(name), name, rows=self.rows(name)) as file:
            yield file

    @cached_property
    def wiring(self) -> dict[str, Any]:
        """The wiring as plain data, as `circuitome.extract.wiring` writes it."""
        return read_json(self.path / WIRING)

    @cached_property
    def kernels(self) -> Kernels:
        """The kernel array."""
        entries = self.manifest.kernels
        offsets = np.cumsum([0] + [entry.rows for entry in entries], dtype=np.int64)
        return Kernels(self.path / KERNELS, tuple(entry.layer for entry in entries), offsets)

    def check(self) -> None:
        """Read every file, and the keys of every node; `BundleError` tells the first fault."""
        Inspection(self.path, self.manifest).check()

    def faults(self) -> Iterator[str]:
        """Every fault, a line each: checksums, columns, rows, keys, ends of relationships, NaN."""
        return Inspection(self.path, self.manifest).faults()
