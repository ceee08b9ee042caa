"""The bundle: a folder of Parquet tables, kernels, wiring and a manifest; the source of truth.

::

    squeezenet1_1.circuitome/
      manifest.json         model, weights SHA-256, parameters, versions, rows and SHA-256 of every file
      wiring.json           layers, their links and the operations on the way
      kernels.safetensors   folded kernels, one float32 array a layer, and the vectors of the operations
      tables/Neuron.parquet, tables/EXCITES.parquet, ...
      annotations/...       further files of the annotation

A bundle is written to a temporary folder beside its place and renamed at the end, so that a killed run
leaves nothing that looks whole. Amending one works the same way: unchanged files are hard links to the old ones.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from circuitome.errors import CircuitomeError
from circuitome.graphdb.drafts import clear, draft, put_in_place
from circuitome.graphdb.schema import EDGE_TYPES, NODES, RELATIONSHIPS, SCHEMA_VERSION, arrow_schema

__all__ = [
    "Bundle",
    "BundleAmendment",
    "BundleError",
    "BundleWriter",
    "Kernels",
    "exchange",
    "set_aside",
    "unwritten",
]

MANIFEST: Final = "manifest.json"
WIRING: Final = "wiring.json"
KERNELS: Final = "kernels.safetensors"
ANNOTATIONS: Final = "annotations"
_FORMAT: Final = "circuitome bundle"
_CODECS: Final = (
    "LZ4",
    "SNAPPY",
    "UNCOMPRESSED",
)  # bundles have the first; others can pack a thousandfold and more
_LONGEST_KEY: Final = 4_000  # bytes: Neo4j indexes no text of more than 8,164
_ROOM: Final = 64 << 20  # bytes that any table may take in memory ...
_SWELL: Final = 64  # ... and so many more for each byte of its file: real tables take up to 13
_LARGEST_JSON: Final = 256 << 20  # bytes; the wiring of DenseNet-201 has under 1 MiB


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
            raise BundleError(
                f"{self.path}: not readable ({error}); extract the bundle again"
            ) from error

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
            file = _inside(folder, name)
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
        return tuple(
            name for name in (*NODES, *RELATIONSHIPS) if self._file(name) in self.manifest["files"]
        )

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

    @property
    def attached(self) -> tuple[str, ...]:
        """Names of the further files that `BundleAmendment.attach` put in, sorted."""
        prefix = f"{ANNOTATIONS}/"
        return tuple(
            sorted(
                name.removeprefix(prefix)
                for name in self.manifest["files"]
                if name.startswith(prefix)
            )
        )

    def attached_path(self, name: str) -> Path:
        """Path of a further file; `BundleError` where the bundle has none of that name."""
        if name not in self.attached:
            raise BundleError(
                f"{self.path}: no annotation {name!r}; `circuitome annotate {self.path}` makes them"
            )
        return self.path / ANNOTATIONS / name

    def table(self, name: str) -> pa.Table:
        """One table, with the schema's columns; empty where the bundle has none. Relationship ends are dictionary-encoded."""
        schema = arrow_schema(name)
        if name not in self.tables:
            return schema.empty_table()
        with self._opened(name) as file:
            return file.read()

    def batches(
        self, name: str, size: int = 65_536, *, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream a table, or some of its columns, in batches of at most ``size`` rows; ends are dictionary-encoded."""
        if name in self.tables:
            with self._opened(name) as file:
                yield from file.iter_batches(size, columns=columns)

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        """A table's file, known to have the schema's columns, the manifest's rows, and no more in it than its size allows."""
        path = self.table_path(name)
        try:
            with pq.ParquetFile(path, read_dictionary=_ends(name)) as file:
                if fault := _fault_of(path, file, name, rows=self.rows(name)):
                    raise BundleError(f"{path}: {fault}; extract the bundle again")
                yield file
        except KeyError as error:  # no ends
            raise BundleError(
                f"{path}: its columns are not those of the schema; extract the bundle again"
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise BundleError(
                f"{path}: not readable ({_first_line(error)}); extract the bundle again"
            ) from error

    @cached_property
    def wiring(self) -> dict[str, Any]:
        """The wiring as plain data, as `circuitome.extract.wiring` writes it."""
        return _read_json(self.path / WIRING)

    @cached_property
    def kernels(self) -> Kernels:
        """The kernel array."""
        entries = self.manifest["kernels"]
        offsets = np.cumsum([0] + [entry["rows"] for entry in entries], dtype=np.int64)
        return Kernels(self.path / KERNELS, tuple(entry["layer"] for entry in entries), offsets)

    def check(self) -> None:
        """Read every file, and the keys of every node; `BundleError` tells the first thing that is off."""
        for fault in itertools.chain(self._altered(), self._node_faults()):
            raise BundleError(f"{fault}; extract the bundle again")

    def faults(self) -> Iterator[str]:
        """Everything that is off, a line each, in any table: checksums, columns, rows, keys, ends of relationships, NaN."""
        yield from self._altered()
        yield from self._node_faults()
        yield from self._relationship_faults()

    def _altered(self) -> Iterator[str]:
        for name, entry in self.manifest["files"].items():
            if _sha256(self.path / name) != entry["sha256"]:
                yield f"{self.path}: {name} was altered (its SHA-256 is not the manifest's)"

    def _readable(self, name: str) -> tuple[pa.Table | None, str]:
        """A table, or what is wrong with it."""
        try:
            return self.table(name), ""
        except BundleError as error:
            return None, str(error).removesuffix("; extract the bundle again")

    def _node_faults(self) -> Iterator[str]:
        for name in NODES:
            table, fault = self._readable(name)
            if table is None:
                yield fault
                continue
            path, keys = self.table_path(name), table["key"]
            if keys.null_count:
                yield f"{path}: {keys.null_count} rows have no key"
            if (repeated := _repeated(keys)) is not None:
                yield f"{path}: the key {repeated!r} is there twice"
            longest = (
                pc.call_function("max", [pc.call_function("binary_length", [keys])]).as_py() or 0
            )
            if longest > _LONGEST_KEY:
                yield f"{path}: a key has {longest:,} bytes, and {_LONGEST_KEY:,} at most are found in a database"
            owner = "key" if name == "Model" else "model"
            if owner in table.column_names and (
                others := set(table[owner].unique().to_pylist()) - {self.model}
            ):
                yield f"{path}: {owner} is {sorted(map(str, others))[0]!r} in some rows, the manifest says {self.model!r}"
            yield from _not_numbers(path, table)

    def _relationship_faults(self) -> Iterator[str]:
        keys = {
            name: table["key"].combine_chunks()
            for name in NODES
            if (table := self._readable(name)[0]) is not None
        }
        pairs: list[np.ndarray] = []
        for name, kind in RELATIONSHIPS.items():
            table, fault = self._readable(name)
            if table is None:
                yield fault
                continue
            path = self.table_path(name)
            numbers = []
            for column, label in (("from", kind.source), ("to", kind.target)):
                place = _places(table[column], keys.get(label, pa.array([], pa.string())))
                if (place < 0).any():
                    row = int(np.flatnonzero(place < 0)[0])
                    yield (
                        f"{path}: {int((place < 0).sum())} rows have no {label} at `{column}`, "
                        f"the first is {table[column][row].as_py()!r} in row {row}"
                    )
                numbers.append(place)
            if name in EDGE_TYPES:
                pairs.append(numbers[0] * (1 << 31) + numbers[1])
            yield from _not_numbers(path, table)
        known = np.concatenate([part[part >= 0] for part in pairs])
        if twice := len(known) - len(np.unique(known)):
            yield f"{self.path}: {twice} pairs of neurons have more than one edge ({', '.join(EDGE_TYPES)})"


def _inside(folder: Path, name: str) -> Path:
    """The file of that name, which must lie in the folder itself: not above it, and not behind a link that leads out."""
    place = PurePosixPath(name)
    outside = (
        not name.isprintable()
        or "\\" in name
        or place.is_absolute()
        or ".." in place.parts
        or not place.parts
    )
    if outside or not (folder / place).resolve().is_relative_to(folder.resolve()):
        raise BundleError(
            f"{folder}: {name!r} is not a file of the bundle's folder; get the bundle from its maker again"
        )
    return folder / place


def _ends(name: str) -> list[str]:
    return ["from", "to"] if name in RELATIONSHIPS else []


def _fault_of(path: Path, file: pq.ParquetFile, name: str, *, rows: int) -> str:
    """What is wrong with the columns, rows or contents of a table; empty where nothing is."""
    if file.schema_arrow.names != arrow_schema(name).names:
        return "its columns are not those of the schema"
    for field, expected in zip(file.schema_arrow, arrow_schema(name), strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if kind != expected.type:
            return f"its column `{field.name}` holds {kind}, not {expected.type}"
    if file.metadata.num_rows != rows:
        return f"{file.metadata.num_rows} rows, the manifest says {rows}"
    columns = [
        (group, column)
        for group in range(file.num_row_groups)
        for column in range(file.metadata.num_columns)
    ]
    chunks = [file.metadata.row_group(group).column(column) for group, column in columns]
    if any(chunk.compression not in _CODECS for chunk in chunks):
        return f"compressed with {', '.join(sorted({chunk.compression for chunk in chunks}))}, not with {_CODECS[0]}"
    size = path.stat().st_size
    room = _ROOM + _SWELL * size
    if 8 * sum(chunk.num_values for chunk in chunks) > room or _text_bytes(path, file, room) > room:
        return f"its {size} bytes would unpack to more than {room >> 20} MiB"
    return ""


def _text_bytes(path: Path, file: pq.ParquetFile, room: int) -> int:
    """Bytes that the table's texts take when each is written out; counted from their dictionaries, so none is."""
    texts = [file.schema.column(number) for number in range(len(file.schema.names))]
    paths = [
        leaf.path
        for leaf in texts
        if leaf.physical_type == "BYTE_ARRAY" and leaf.path not in ("from", "to")
    ]
    total = 0
    if paths:
        with pq.ParquetFile(path, read_dictionary=paths) as packed:
            for batch in packed.iter_batches(1 << 16, columns=paths):
                total += sum(map(_unpacked, batch.columns))
                if total > room:
                    break
    return total


def _unpacked(column: pa.Array) -> int:
    texts = column.flatten() if isinstance(column, pa.ListArray) else column
    if not isinstance(texts, pa.DictionaryArray):
        return texts.nbytes
    lengths = pc.call_function("binary_length", [texts.dictionary])
    return pc.call_function("sum", [lengths.take(texts.indices)]).as_py() or 0


def _repeated(keys: pa.ChunkedArray) -> str | None:
    """A value that is there more than once."""
    counts = keys.drop_null().value_counts()
    twice = np.flatnonzero(counts.field("counts").to_numpy() > 1)
    return counts.field("values")[int(twice[0])].as_py() if len(twice) else None


def _places(ends: pa.ChunkedArray, keys: pa.Array) -> np.ndarray:
    """Row of each end among the keys, -1 where it is not one of them; ``(rows,)`` int64."""
    places = [np.empty(0, np.int64)]
    for chunk in ends.dictionary_encode().chunks:
        known = pc.call_function("index_in", [chunk.dictionary], pc.SetLookupOptions(keys))
        places.append(
            known.take(chunk.indices).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        )
    return np.concatenate(places)


def _not_numbers(path: Path, table: pa.Table) -> Iterator[str]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = (
            pc.call_function("list_flatten", [column]) if pa.types.is_list(column.type) else column
        )
        bad = (
            pc.call_function("sum", [pc.call_function("is_nan", [values])]).as_py()
            if pa.types.is_floating(values.type)
            else 0
        )
        if bad:
            yield f"{path}: {bad} values of `{name}` are not a number"


def _read_json(path: Path) -> Any:
    """Content of a JSON file that is not absurdly large or deep."""
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError(f"{path.stat().st_size} bytes are too many")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            f"{path}: not readable as JSON ({_first_line(error)}); extract the bundle again"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not _is_dir(folder):
        clear(folder)
    if not _is_dir(folder):
        raise BundleError(
            f"{folder}: no such bundle; `circuitome extract MODEL -o {folder}` makes one"
        )
    if not (folder / MANIFEST).exists():
        raise BundleError(
            f"{folder}: no {MANIFEST}, so it is not a bundle; `circuitome extract MODEL -o DIR` makes one"
        )
    manifest = _read_json(_inside(folder, MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise BundleError(
            f"{folder / MANIFEST}: not a circuitome manifest; `circuitome extract MODEL -o DIR` makes one"
        )
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{folder}: written with schema version {manifest.get('schema_version')}, this program has {SCHEMA_VERSION}; "
            "extract the bundle again"
        )
    if missing := next(
        (name for name, holds in _ENTRIES.items() if not holds(manifest.get(name))), None
    ):
        raise BundleError(
            f"{folder / MANIFEST}: its entry `{missing}` is missing or damaged; extract the bundle again"
        )
    return manifest


def _is_dir(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _is_file_entry(name: str, entry: Any) -> bool:
    counts = ["bytes", "rows"] if name.startswith("tables/") else ["bytes"]
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and all(_is_count(entry.get(n)) for n in counts)
    )


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 53


def _is_model(row: Any) -> bool:
    """Whether it is a row of the `Model` table, with a key."""
    try:
        pa.Table.from_pylist([row], schema=arrow_schema("Model"))
    except (pa.ArrowException, AttributeError, TypeError, ValueError, OverflowError):
        return False
    return isinstance(row, dict) and isinstance(row.get("key"), str) and row["key"] != ""


_ENTRIES: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "model": _is_model,
        "kernels": lambda kernels: (
            isinstance(kernels, list)
            and all(
                isinstance(entry, dict)
                and isinstance(entry.get("layer"), str)
                and _is_count(entry.get("rows"))
                for entry in kernels
            )
        ),
        "files": lambda files: (
            isinstance(files, dict)
            and files.keys() >= {WIRING, KERNELS, "tables/Model.parquet"}
            and all(_is_file_entry(*item) for item in files.items())
        ),
    }
)
"""What a manifest must hold for the rest of the program to read it, and what each entry must look like."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_UNWRITTEN: Final = (OSError, SafetensorError)
"""What is raised where a file cannot be written."""


def unwritten(error: BaseException) -> str:
    """Why a file could not be written, in the system's words where it has some."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else _first_line(error)


class _Draft:
    """A folder beside a bundle's place that takes the place at the end; a context manager that leaves all or nothing."""

    _cure = "name another place with -o"  # where the place cannot be written

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rows: dict[str, int] = {}
        self._finished = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = self._stack.enter_context(draft(self.path))
            (self._folder / "tables").mkdir()
        except OSError as error:
            raise BundleError(
                f"{self.path}: cannot be written ({error.strerror}); {self._cure}"
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
                self._close()
                if kind is None and self._finished:
                    self._publish()
        except _UNWRITTEN as late:
            error = error or late
        if isinstance(error, _UNWRITTEN) and not isinstance(error, BrokenPipeError):
            raise BundleError(
                f"{self.path}: cannot be written ({unwritten(error)}); make room, or {self._cure}"
            ) from error

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _append(self, table: str, rows: pa.Table) -> None:
        if rows.column_names != arrow_schema(table).names:
            raise ValueError(
                f"{table}: columns {rows.column_names} are not the schema's {arrow_schema(table).names}"
            )
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

    def _entry(self, name: str) -> dict[str, Any]:
        """What the manifest says of one file of the folder, rows of tables excepted."""
        return {
            "bytes": (self._folder / name).stat().st_size,
            "sha256": _sha256(self._folder / name),
        }

    def _seal(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest: from now on the folder is whole."""
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
        self._finished = True

    def _publish(self) -> None:
        put_in_place(self._folder, self.path)


class BundleWriter(_Draft):
    """Writes a bundle; a context manager that leaves either a whole bundle or nothing.

    Example::

        with BundleWriter("net.circuitome") as writer:
            writer.write("Neuron", neurons)  # may be called again: tables are streamed
            writer.finish(manifest={...}, wiring={...}, kernels={...}, kernel_rows=[...])
    """

    def __init__(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        super().__init__(Path(path))
        if self.path.exists() and not force:
            raise BundleError(
                f"{self.path}: already there; name another with -o, or --force to replace it"
            )
        if self.path.exists() and not (self.path / MANIFEST).is_file():
            raise BundleError(
                f"{self.path}: exists and is not a bundle, so --force does not replace it; name another with -o"
            )

    @staticmethod
    def amend(bundle: Bundle) -> BundleAmendment:
        """A writer that changes some tables of a bundle and leaves the rest as it is."""
        return BundleAmendment(bundle)

    def write(self, table: str, rows: pa.Table) -> None:
        """Append ``rows`` to a table as one row group; columns as in the schema, ends may be dictionary-encoded."""
        self._append(table, rows)

    def finish(
        self,
        *,
        manifest: Mapping[str, Any],
        wiring: Mapping[str, Any],
        kernels: Mapping[str, np.ndarray],
        kernel_rows: list[tuple[str, int]],
    ) -> None:
        """Write the rest and the manifest. ``kernel_rows``: layer name and number of kernel rows, in order."""
        self._close()
        save_file(dict(kernels), self._folder / KERNELS)
        (self._folder / KERNELS).chmod(
            self._folder.stat().st_mode & 0o666
        )  # safetensors writes for its owner alone
        (self._folder / WIRING).write_text(json.dumps(wiring, separators=(",", ":")))
        names = [WIRING, KERNELS, *(Bundle._file(table) for table in sorted(self._rows))]
        files = {name: self._entry(name) for name in names}
        for table, rows in self._rows.items():
            files[Bundle._file(table)]["rows"] = rows
        self._seal(
            {
                "format": _FORMAT,
                "schema_version": SCHEMA_VERSION,
                **manifest,
                "kernels": [{"layer": layer, "rows": rows} for layer, rows in kernel_rows],
                "files": files,
            }
        )


class BundleAmendment(_Draft):
    """Changes some tables of a bundle and adds further files; a context manager that leaves the new bundle or the old one.

    What is not changed is linked, not copied, so that amending costs what is new.

    Example::

        with BundleWriter.amend(bundle) as writer:
            writer.replace("Neuron", neurons)
            writer.attach("tuning.npz", content)
            writer.finish(model={"annotated": "responses,kinds"})
        bundle = Bundle.open(bundle.path)
    """

    _cure = "copy the bundle to a folder that can be written"

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(
            bundle.path.resolve()
        )  # behind a link, the bundle is replaced and not the link
        self._bundle = bundle
        self._files: dict[str, dict[str, Any]] = dict(bundle.manifest["files"])

    def replace(self, table: str, rows: pa.Table) -> None:
        """Write a table anew, in the schema's columns; ends may be dictionary-encoded. No rows: the table goes.

        ``ValueError`` for columns that are not the schema's, and for a table that was replaced already.
        """
        if table in self._rows:
            raise ValueError(f"{table}: replaced already; gather its rows first")
        self._append(table, rows)

    def attach(self, name: str, content: bytes | Path) -> None:
        """Put a further file under ``annotations/``, from its bytes or a copy of a file; it replaces one of the same name.

        ``ValueError`` for a name that leads out of that folder.
        """
        place = PurePosixPath(ANNOTATIONS, name)
        if (
            not name
            or place.is_absolute()
            or ".." in place.parts
            or place == PurePosixPath(ANNOTATIONS)
        ):
            raise ValueError(f"{name!r}: a file's name below {ANNOTATIONS}/ is wanted")
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)
        self._files[str(place)] = self._entry(str(place))

    def detach(self, name: str) -> None:
        """Leave out a further file that the bundle has; `BundleError` where it has none of that name."""
        self._bundle.attached_path(name)
        del self._files[f"{ANNOTATIONS}/{name}"]

    def finish(
        self, *, model: Mapping[str, Any] | None = None, manifest: Mapping[str, Any] | None = None
    ) -> None:
        """Write the manifest and the `Model` table.

        Args:
            model: columns of the `Model` row that change; in the manifest's entry ``model`` as well.
            manifest: further entries of the manifest, or new values of them.

        Raises:
            BundleError: the bundle was replaced since it was opened.
            ValueError: ``model`` has no column of the schema, or ``manifest`` an entry that only the bundle itself writes.
        """
        if own := {"format", "schema_version", "model", "kernels", "files"} & set(manifest or ()):
            raise ValueError(f"{', '.join(sorted(own))}: entries that the bundle writes itself")
        if unknown := set(model or ()) - set(arrow_schema("Model").names):
            raise ValueError(f"Model: {', '.join(sorted(unknown))} is no column of the schema")
        if dict(_read_manifest(self.path)) != dict(self._bundle.manifest):
            raise BundleError(
                f"{self.path}: was replaced while it was being amended; run the command again"
            )
        changes = dict(model or {})
        rows = [row | changes for row in self._bundle.table("Model").to_pylist()]
        self.replace("Model", pa.Table.from_pylist(rows, schema=arrow_schema("Model")))
        self._close()
        self._take_over()
        self._seal(
            {
                **self._bundle.manifest,
                **(manifest or {}),
                "model": {**self._bundle.manifest["model"], **changes},
                "files": dict(sorted(self._files.items())),
            }
        )

    def _take_over(self) -> None:
        """Enter the tables that were written, and link what stays as it is."""
        for table, rows in self._rows.items():
            file = Bundle._file(table)
            if rows:
                self._files[file] = self._entry(file) | {"rows": rows}
            else:
                self._files.pop(file, None)
                (self._folder / file).unlink()
        for name in self._files:
            target = self._folder / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(self._bundle.path / name, target)


def set_aside(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of a bundle at ``folder``, its files linked, that several steps may amend until `exchange` puts it in its place."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(
            bundle.path,
            folder,
            copy_function=lambda source, target: _link(Path(source), Path(target)),
        )
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({unwritten(error)}); make room") from error
    return Bundle.open(folder)


def exchange(bundle: Bundle, copy: Bundle) -> Bundle:
    """Put a copy in the place of its bundle, at once, and open it there; `BundleError` where that was replaced meanwhile."""
    path = bundle.path.resolve()
    if dict(_read_manifest(path)) != dict(bundle.manifest):
        raise BundleError(f"{path}: was replaced while it was being amended; run the command again")
    put_in_place(copy.path, path)
    return Bundle.open(bundle.path)


def _link(source: Path, target: Path) -> None:
    """Let ``target`` be the same file, or a copy of it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) or pa.types.is_string(kind)
