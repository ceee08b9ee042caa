"""The bundle: a folder of Parquet tables, kernels, wiring and a manifest; the source of truth.

::

    squeezenet1_1.circuitome/
      manifest.json         model, weights SHA-256, parameters, versions, rows and SHA-256 of every file
      wiring.json           layers, their links and the operations on the way
      kernels.safetensors   folded kernels, one float32 array a layer, and the vectors of the operations
      tables/Neuron.parquet, tables/EXCITES.parquet, ...

A bundle is written to a temporary folder beside its place and renamed at the end, so that a killed run
leaves nothing that looks whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from circuitome.errors import CircuitomeError
from circuitome.graphdb.schema import NODES, RELATIONSHIPS, SCHEMA_VERSION, arrow_schema

__all__ = ["Bundle", "BundleError", "BundleWriter", "Kernels"]

MANIFEST: Final = "manifest.json"
WIRING: Final = "wiring.json"
KERNELS: Final = "kernels.safetensors"
_FORMAT: Final = "circuitome bundle"


class BundleError(CircuitomeError):
    """A folder that is no bundle, or one that was damaged."""


@dataclass(frozen=True)
class Kernels:
    """The kernel array of a bundle: row ``r`` is one ``(kh, kw)`` kernel; layers follow one another.

    Layer ``i`` holds the rows ``offsets[i]`` to ``offsets[i + 1]``, in the order of its array
    ``(out, fan_in, kh, kw)``.
    """

    path: Path
    names: tuple[str, ...]  # layer names, in order
    offsets: np.ndarray  # (len(names) + 1,) int64

    def layer(self, name: str) -> np.ndarray:
        """Kernels of one layer, ``(out, fan_in, kh, kw)`` float32."""
        return self.array(f"kernel/{name}")

    def array(self, name: str) -> np.ndarray:
        """Any array of the file by its full name."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise BundleError(
                f"{self.path}: array {name!r} cannot be read ({error}); extract the bundle again"
            ) from error

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array of the file: ``kernel/LAYER``, and the vectors of the steps."""
        try:
            with safe_open(self.path, framework="numpy") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        except (SafetensorError, OSError) as error:
            raise BundleError(f"{self.path}: not readable ({error}); extract the bundle again") from error

    def row(self, row: int) -> np.ndarray:
        """One kernel, ``(kh, kw)`` float32, by the ``kernel`` property of an edge."""
        if not 0 <= row < self.offsets[-1]:
            raise BundleError(
                f"{self.path}: kernel row {row} is not in 0..{self.offsets[-1] - 1}; look up the edge's `kernel`"
            )
        layer = int(np.searchsorted(self.offsets, row, side="right")) - 1
        array = self.layer(self.names[layer])
        return array.reshape(-1, *array.shape[2:])[row - self.offsets[layer]]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; tables are read on demand.

    Opening looks only at the manifest and at the presence and size of the files; `check` reads everything.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open the bundle at ``path``; `BundleError` where it is none, or a file is missing or cut short."""
        folder = Path(path)
        manifest = _read_manifest(folder)
        for name, entry in manifest["files"].items():
            file = folder / name
            if not file.is_file():
                raise BundleError(f"{folder}: the file {name} is missing; extract the bundle again")
            if file.stat().st_size != entry["bytes"]:
                raise BundleError(
                    f"{folder}: {name} has {file.stat().st_size} bytes, the manifest says {entry['bytes']}; "
                    "extract the bundle again"
                )
        return cls(folder, manifest)

    @property
    def model(self) -> str:
        """Key of the model that the bundle holds."""
        return self.manifest["model"]["key"]

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that it holds, nodes first, in the order of the schema."""
        return tuple(name for name in (*NODES, *RELATIONSHIPS) if self._file(name) in self.manifest["files"])

    @staticmethod
    def _file(table: str) -> str:
        return f"tables/{table}.parquet"

    def rows(self, table: str) -> int:
        """Number of rows of a table, 0 where the bundle has none."""
        entry = self.manifest["files"].get(self._file(table))
        return entry["rows"] if entry else 0

    def table_path(self, table: str) -> Path:
        """Path of a table's Parquet file."""
        return self.path / self._file(table)

    def table(self, name: str) -> pa.Table:
        """One table, with the schema's columns; empty where the bundle has none. Relationship ends are dictionary-encoded."""
        schema = arrow_schema(name)
        if name not in self.tables:
            return schema.empty_table()
        ends = [column for column in ("from", "to") if name in RELATIONSHIPS]
        try:
            return pq.read_table(self.table_path(name), read_dictionary=ends)
        except (pa.ArrowException, OSError) as error:
            raise BundleError(f"{self.table_path(name)}: not readable ({error}); extract the bundle again") from error

    def batches(
        self, name: str, size: int = 65_536, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream a table, or some of its columns, in batches of at most ``size`` rows; ends are dictionary-encoded."""
        if name in self.tables:
            ends = [column for column in ("from", "to") if name in RELATIONSHIPS]
            with pq.ParquetFile(self.table_path(name), read_dictionary=ends) as file:
                yield from file.iter_batches(size, columns=columns)

    @cached_property
    def wiring(self) -> dict[str, Any]:
        """The wiring as plain data, as `circuitome.extract.wiring` writes it."""
        return json.loads((self.path / WIRING).read_text())

    @cached_property
    def kernels(self) -> Kernels:
        """The kernel array."""
        entries = self.manifest["kernels"]
        offsets = np.cumsum([0] + [entry["rows"] for entry in entries], dtype=np.int64)
        return Kernels(self.path / KERNELS, tuple(entry["layer"] for entry in entries), offsets)

    def check(self) -> None:
        """Read everything: checksums, columns and row counts; `BundleError` names the first file that is off."""
        for name, entry in self.manifest["files"].items():
            if _sha256(self.path / name) != entry["sha256"]:
                raise BundleError(
                    f"{self.path}: {name} was altered (its SHA-256 is not the manifest's); extract the bundle again"
                )
        for name in self.tables:
            with pq.ParquetFile(self.table_path(name)) as file:
                if file.schema_arrow.names != arrow_schema(name).names:
                    raise BundleError(
                        f"{self.table_path(name)}: its columns are not those of the schema; extract the bundle again"
                    )
                if file.metadata.num_rows != self.rows(name):
                    raise BundleError(
                        f"{self.table_path(name)}: {file.metadata.num_rows} rows, the manifest says {self.rows(name)}"
                    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle; `circuitome extract MODEL -o {folder}` makes one")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise BundleError(
            f"{folder}: no {MANIFEST}, so it is not a bundle; `circuitome extract MODEL -o DIR` makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST}: not readable as JSON ({error}); extract the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise BundleError(
            f"{folder / MANIFEST}: not a circuitome manifest; `circuitome extract MODEL -o DIR` makes one"
        )
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{folder}: written with schema version {manifest.get('schema_version')}, this program has {SCHEMA_VERSION}; "
            "extract the bundle again"
        )
    if missing := next((name for name, holds in _ENTRIES.items() if not holds(manifest.get(name))), None):
        raise BundleError(f"{folder / MANIFEST}: its entry `{missing}` is missing or damaged; extract the bundle again")
    return manifest


def _is_file_entry(name: str, entry: Any) -> bool:
    kinds = {"bytes": int, "sha256": str} | ({"rows": int} if name.endswith(".parquet") else {})
    return isinstance(entry, dict) and all(isinstance(entry.get(field), kind) for field, kind in kinds.items())


_ENTRIES: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "model": lambda model: isinstance(model, dict) and isinstance(model.get("key"), str),
        "kernels": lambda kernels: isinstance(kernels, list),
        "files": lambda files: isinstance(files, dict) and all(_is_file_entry(*item) for item in files.items()),
    }
)
"""What a manifest must hold for the rest of the program to read it, and what each entry must look like."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class BundleWriter:
    """Writes a bundle; a context manager that leaves either a whole bundle or nothing.

    Example::

        with BundleWriter("net.circuitome") as writer:
            writer.write("Neuron", neurons)  # may be called again: tables are streamed
            writer.finish(manifest={...}, wiring={...}, kernels={...}, kernel_rows=[...])
    """

    def __init__(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        self.path = Path(path)
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, int] = {}
        self._finished = False
        if self.path.exists() and not force:
            raise BundleError(f"{self.path}: already there; name another with -o, or --force to replace it")
        if self.path.exists() and not (self.path / MANIFEST).is_file():
            raise BundleError(
                f"{self.path}: exists and is not a bundle, so --force does not replace it; name another with -o"
            )

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            (self._folder / "tables").mkdir()
            self._folder.chmod((self._folder / "tables").stat().st_mode)  # a temporary folder is for its owner alone
        except OSError as error:
            raise BundleError(
                f"{self.path}: cannot be written ({error.strerror}); name another place with -o"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for writer in self._writers.values():
                writer.close()
            if kind is None and self._finished:
                self._publish()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, table: str, rows: pa.Table) -> None:
        """Append ``rows`` to a table as one row group; columns as in the schema, ends may be dictionary-encoded."""
        if rows.column_names != arrow_schema(table).names:
            raise ValueError(f"{table}: columns {rows.column_names} are not the schema's {arrow_schema(table).names}")
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(
                self._folder / Bundle._file(table),
                rows.schema,
                compression="lz4",
                use_dictionary=[f.name for f in rows.schema if _is_text(f.type)],  # pyright: ignore[reportArgumentType]
                write_statistics=False,
            )
            self._rows[table] = 0
        self._writers[table].write_table(rows, row_group_size=1 << 20)
        self._rows[table] += rows.num_rows

    def finish(
        self,
        *,
        manifest: Mapping[str, Any],
        wiring: Mapping[str, Any],
        kernels: Mapping[str, np.ndarray],
        kernel_rows: list[tuple[str, int]],
    ) -> None:
        """Write the rest and the manifest. ``kernel_rows``: layer name and number of kernel rows, in order."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        save_file(dict(kernels), self._folder / KERNELS)
        (self._folder / WIRING).write_text(json.dumps(wiring, separators=(",", ":")))
        names = [WIRING, KERNELS, *(Bundle._file(table) for table in sorted(self._rows))]
        files = {
            name: {"bytes": (self._folder / name).stat().st_size, "sha256": _sha256(self._folder / name)}
            for name in names
        }
        for table, rows in self._rows.items():
            files[Bundle._file(table)]["rows"] = rows
        whole = {
            "format": _FORMAT,
            "schema_version": SCHEMA_VERSION,
            **manifest,
            "kernels": [{"layer": layer, "rows": rows} for layer, rows in kernel_rows],
            "files": files,
        }
        (self._folder / MANIFEST).write_text(json.dumps(whole, indent=1))
        self._finished = True

    def _publish(self) -> None:
        if self.path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            os.replace(self.path, old / "old")
            os.replace(self._folder, self.path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(self._folder, self.path)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) or pa.types.is_string(kind)
