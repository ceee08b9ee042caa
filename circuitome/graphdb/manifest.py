"""The manifest of a bundle: its model, its parameters, and the size and SHA-256 of every file.

Reading one checks all that the rest of the program relies on, so that `Manifest` is a value of
known types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar, cast

import pyarrow as pa

from circuitome.errors import CircuitomeError, first_line
from circuitome.graphdb.drafts import clear
from circuitome.graphdb.rows import ModelRow, Value, table_of
from circuitome.graphdb.schema import SCHEMA_VERSION, arrow_schema

__all__ = [
    "ANNOTATIONS",
    "KERNELS",
    "MANIFEST",
    "WIRING",
    "BundleError",
    "FileEntry",
    "KernelRows",
    "Manifest",
    "file_entry",
    "inside",
    "read_json",
    "read_manifest",
    "sha256",
    "table_file",
]

MANIFEST: Final = "manifest.json"
WIRING: Final = "wiring.json"
KERNELS: Final = "kernels.safetensors"
ANNOTATIONS: Final = "annotations"
_TABLES: Final = "tables/"
_FORMAT: Final = "circuitome bundle"
_OWN: Final = ("format", "schema_version", "model", "kernels", "files")  # entries with a meaning
_MAX_JSON: Final = 256 << 20  # bytes; the wiring of DenseNet-201 has under 1 MiB

T = TypeVar("T")


class BundleError(CircuitomeError):
    """A folder that is not a bundle, or a bundle that was damaged."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of one file."""

    bytes: int
    sha256: str
    rows: int | None = None  # of a table

    def to_json(self) -> dict[str, Value]:
        """The entry as it is written: rows for tables alone."""
        entry: dict[str, Value] = {"bytes": self.bytes, "sha256": self.sha256}
        return entry if self.rows is None else {**entry, "rows": self.rows}


@dataclass(frozen=True, slots=True)
class KernelRows:
    """How many kernels of the kernel array belong to one layer."""

    layer: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself."""

    model: ModelRow
    kernels: tuple[KernelRows, ...]  # in the order of computation
    files: Mapping[str, FileEntry]  # by path within the bundle
    extraction: Mapping[str, object]  # further entries of the extraction: counts, versions ...
    amendments: Mapping[str, object]  # further entries that amendments added

    def note(self, name: str) -> object:
        """A further entry, `None` if there is none of that name."""
        return {**self.extraction, **self.amendments}.get(name)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of layers, neurons, edges and so on that the extraction counted."""
        return cast("dict[str, int]", self.note("counts") or {})

    @property
    def nonfinite(self) -> list[str]:
        """Keys of the neurons with a weight that is not finite."""
        return cast("list[str]", self.note("nonfinite") or [])

    def noted(self, entries: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
        """The further entries with new ones, or new values of old ones, in it.

        Raises:
            ValueError: an entry that only the bundle itself writes.
        """
        if own := set(_OWN) & set(entries):
            raise ValueError(f"{', '.join(sorted(own))}: entries that the bundle writes itself")
        old = {name: entries.get(name, value) for name, value in self.extraction.items()}
        new = {name: value for name, value in entries.items() if name not in old}
        return old, {**self.amendments, **new}

    def to_json(self) -> dict[str, object]:
        """The manifest as it is written."""
        return {
            "format": _FORMAT,
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            **self.extraction,
            "kernels": [asdict(entry) for entry in self.kernels],
            "files": {name: entry.to_json() for name, entry in self.files.items()},
            **self.amendments,
        }


def table_file(table: str) -> str:
    """Path of a table's file within a bundle."""
    return f"{_TABLES}{table}.parquet"


def file_entry(folder: Path, name: str, *, rows: int | None = None) -> FileEntry:
    """The entry of a file that lies in ``folder``."""
    path = folder / name
    return FileEntry(path.stat().st_size, sha256(path), rows)


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(folder: Path, name: str) -> Path:
    """The file of that name in the folder.

    Raises:
        BundleError: it lies above the folder, or behind a link that leads out.
    """
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
            f"{folder}: {name!r} is not a file of the bundle's folder; "
            "get the bundle from its maker again"
        )
    return folder / place


def read_json(path: Path) -> Any:
    """Content of a JSON file that is neither absurdly large nor absurdly deep; else
    `BundleError`.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError(f"{path.stat().st_size} bytes are too many")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            f"{path}: not readable as JSON ({first_line(error)}); extract the bundle again"
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in ``folder``; `BundleError` if that is not a bundle of this
    schema.
    """
    path = _found(folder)
    content = read_json(inside(folder, MANIFEST))
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise BundleError(
            f"{path}: not a circuitome manifest; `circuitome extract MODEL -o DIR` makes one"
        )
    if content.get("schema_version") != SCHEMA_VERSION:
        raise BundleError(
            f"{folder}: written with schema version {content.get('schema_version')}, "
            f"this program has {SCHEMA_VERSION}; extract the bundle again"
        )
    return _manifest(content, path)


def _found(folder: Path) -> Path:
    """The path of the manifest in ``folder``; what a killed process had moved aside is back."""
    if not _is_dir(folder):
        clear(folder)
    if not _is_dir(folder):
        raise BundleError(
            f"{folder}: no such bundle; `circuitome extract MODEL -o {folder}` makes one"
        )
    path = folder / MANIFEST
    if not path.exists():
        raise BundleError(
            f"{folder}: no {MANIFEST}, so it is not a bundle; "
            "`circuitome extract MODEL -o DIR` makes one"
        )
    return path


def _is_dir(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _manifest(content: Mapping[str, object], path: Path) -> Manifest:
    """The manifest of its JSON; `BundleError` names the first entry that cannot be read."""
    model = _entry(content, "model", _model, path)
    kernels = _entry(content, "kernels", _kernels, path)
    files = _entry(content, "files", _files, path)
    names = list(content)
    notes = {name: names.index(name) < names.index("kernels") for name in names if name not in _OWN}
    return Manifest(
        model=model,
        kernels=kernels,
        files=files,
        extraction={name: content[name] for name, early in notes.items() if early},
        amendments={name: content[name] for name, early in notes.items() if not early},
    )


def _entry(content: Mapping[str, object], name: str, read: Callable[[Any], T], path: Path) -> T:
    try:
        return read(content.get(name))
    except (pa.ArrowException, AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise BundleError(
            f"{path}: its entry `{name}` is missing or damaged; extract the bundle again"
        ) from None


def _model(row: Any) -> ModelRow:
    """A row of the `Model` table; columns that it does not name are null."""
    table_of("Model", [row])
    if not _text(row["key"]):
        raise ValueError("no key")
    return cast(ModelRow, {**dict.fromkeys(arrow_schema("Model").names), **row})


def _kernels(entries: Any) -> tuple[KernelRows, ...]:
    if not isinstance(entries, list):
        raise TypeError(f"{entries!r} is not a list")
    return tuple(KernelRows(_text(entry["layer"]), _count(entry["rows"])) for entry in entries)


def _files(entries: Any) -> dict[str, FileEntry]:
    files = {
        name: FileEntry(
            _count(entry["bytes"]),
            _text(entry["sha256"]),
            _count(entry["rows"]) if name.startswith(_TABLES) else None,
        )
        for name, entry in entries.items()
    }
    if missing := {WIRING, KERNELS, table_file("Model")} - files.keys():
        raise KeyError(min(missing))
    return files


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    if not 0 <= value < 1 << 53:
        raise ValueError(f"{value} is no number of bytes or rows")
    return value
