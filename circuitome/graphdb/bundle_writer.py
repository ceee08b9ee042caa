"""Writing and amending bundles: a new folder takes the bundle's place at the end, all at once.

A bundle is written to a temporary folder beside its place and renamed at the end, so a killed run
leaves nothing that looks whole. Amending works the same way: unchanged files are hard links to the
old ones.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import save_file

from circuitome.errors import first_line
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.drafts import draft, put_in_place
from circuitome.graphdb.manifest import (
    ANNOTATIONS,
    KERNELS,
    MANIFEST,
    WIRING,
    BundleError,
    FileEntry,
    KernelRows,
    Manifest,
    file_entry,
    read_manifest,
    table_file,
)
from circuitome.graphdb.rows import ModelRow, table_of
from circuitome.graphdb.schema import arrow_schema

__all__ = ["BundleAmendment", "BundleWriter", "exchange", "set_aside", "unwritten"]

_UNWRITTEN: Final = (OSError, SafetensorError)
"""What is raised if a file cannot be written."""


def unwritten(error: BaseException) -> str:
    """Why a file could not be written, in the system's words if it has some."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else first_line(error)


class _Writer(AbstractContextManager["_Writer"]):
    """A folder beside a bundle's place that takes the place at the end; it leaves all or
    nothing.
    """

    _cure = "name another place with -o"  # if the place cannot be written

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
        declared = arrow_schema(table).names
        if rows.column_names != declared:
            raise ValueError(
                f"{table}: columns {rows.column_names} are not the schema's {declared}"
            )
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(
                self._folder / table_file(table),
                rows.schema,
                compression="lz4",
                use_dictionary=_texts(rows.schema),  # pyright: ignore[reportArgumentType]
                write_statistics=False,
            )
            self._rows[table] = 0
        self._writers[table].write_table(rows, row_group_size=1 << 20)
        self._rows[table] += rows.num_rows

    def _seal(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the folder is whole."""
        (self._folder / MANIFEST).write_text(json.dumps(manifest.to_json(), indent=1))
        self._finished = True

    def _publish(self) -> None:
        put_in_place(self._folder, self.path)


def _texts(schema: pa.Schema) -> list[str]:
    """Names of the columns of texts."""
    return [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    ]


class BundleWriter(_Writer):
    """Writes a bundle; a context manager that leaves either a whole bundle or nothing.

    Example::

        with BundleWriter("net.circuitome") as writer:
            writer.write("Neuron", neurons)  # may be called again: tables are streamed
            writer.finish(model=row, notes={...}, wiring={...}, kernels={...}, kernel_rows=[...])
    """

    def __init__(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        super().__init__(Path(path))
        if self.path.exists() and not force:
            raise BundleError(
                f"{self.path}: already there; name another with -o, or --force to replace it"
            )
        if self.path.exists() and not (self.path / MANIFEST).is_file():
            raise BundleError(
                f"{self.path}: exists and is not a bundle, so --force does not replace it; "
                "name another with -o"
            )

    @staticmethod
    def amend(bundle: Bundle, *, to: Path | None = None) -> BundleAmendment:
        """A writer that changes some tables of a bundle and leaves the rest; the new bundle
        takes its place, or stands at ``to``.
        """
        return BundleAmendment(bundle, to=to)

    def write(self, table: str, rows: pa.Table) -> None:
        """Append ``rows`` to a table as one row group, in the schema's columns.

        Ends of relationships may be dictionary-encoded.
        """
        self._append(table, rows)

    def finish(
        self,
        *,
        model: Mapping[str, object],
        notes: Mapping[str, object],
        wiring: Mapping[str, object],
        kernels: Mapping[str, np.ndarray],
        kernel_rows: list[tuple[str, int]],
    ) -> None:
        """Write the rest and the manifest.

        Args:
            model: the row of the `Model` table; it has at least a ``key``.
            notes: further entries of the manifest.
            wiring: as `circuitome.extract.wiring` makes it.
            kernels: every array of the kernel file by its name.
            kernel_rows: layer name and number of kernel rows, in the order of computation.
        """
        self._close()
        self._write_kernels(kernels)
        (self._folder / WIRING).write_text(json.dumps(wiring, separators=(",", ":")))
        files = {name: file_entry(self._folder, name) for name in (WIRING, KERNELS)}
        for table in sorted(self._rows):
            name = table_file(table)
            files[name] = file_entry(self._folder, name, rows=self._rows[table])
        entries = tuple(KernelRows(layer, rows) for layer, rows in kernel_rows)
        row = cast(ModelRow, dict(model))
        self._seal(Manifest(row, entries, files, extraction=notes, amendments={}))

    def _write_kernels(self, kernels: Mapping[str, np.ndarray]) -> None:
        path = self._folder / KERNELS
        save_file(dict(kernels), path)
        mode = self._folder.stat().st_mode & 0o666
        path.chmod(mode)  # safetensors writes for its owner alone


class BundleAmendment(_Writer):
    """Changes some tables of a bundle and adds files; a context manager that leaves the new bundle
    or the old one.

    What is not changed is linked, not copied, so that amending costs what is new.

    Example::

        with BundleWriter.amend(bundle) as writer:
            writer.replace("Neuron", neurons)
            writer.attach("tuning.npz", content)
            writer.finish(model={"annotated": "responses,kinds"})
        bundle = Bundle.open(bundle.path)
    """

    _cure = "copy the bundle to a folder that can be written"

    def __init__(self, bundle: Bundle, *, to: Path | None = None) -> None:
        super().__init__(to or bundle.path.resolve())  # behind a link, the link stays
        self._bundle = bundle
        self._files: dict[str, FileEntry] = dict(bundle.manifest.files)

    def replace(self, table: str, rows: pa.Table | Iterable[pa.Table]) -> None:
        """Write a table's new rows in the schema's columns, whole or in parts; no rows: the table
        goes.

        Ends of relationships may be dictionary-encoded.

        Raises:
            ValueError: columns that are not the schema's, or a table that was replaced already.
        """
        if table in self._rows:
            raise ValueError(f"{table}: replaced already; gather its rows first")
        for part in [rows] if isinstance(rows, pa.Table) else rows:
            self._append(table, part)

    def attach(self, name: str, content: bytes | Path) -> None:
        """Put a file under ``annotations/``, from its bytes or a copy of a file; it replaces one of
        that name.

        Raises:
            ValueError: the name leads out of that folder.
        """
        place = PurePosixPath(ANNOTATIONS, name)
        outside = place.is_absolute() or ".." in place.parts or place == PurePosixPath(ANNOTATIONS)
        if not name or outside:
            raise ValueError(f"{name!r}: a file's name below {ANNOTATIONS}/ is wanted")
        target = self._folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)
        self._files[str(place)] = file_entry(self._folder, str(place))

    def detach(self, name: str) -> None:
        """Leave out a further file of the bundle; `BundleError` if it has none of that name."""
        self._bundle.attached_path(name)
        del self._files[f"{ANNOTATIONS}/{name}"]

    def finish(
        self,
        *,
        model: Mapping[str, object] | None = None,
        notes: Mapping[str, object] | None = None,
    ) -> None:
        """Write the manifest and the `Model` table.

        Args:
            model: columns of the `Model` row that change, in the manifest as well.
            notes: further entries of the manifest, or new values of them.

        Raises:
            BundleError: the bundle was replaced since it was opened.
            ValueError: ``model`` has no column of the schema, or ``notes`` an entry that only the
                bundle itself writes.
        """
        changes, old = dict(model or {}), self._bundle.manifest
        extraction, amendments = old.noted(notes or {})
        if unknown := set(changes) - set(arrow_schema("Model").names):
            raise ValueError(f"Model: {', '.join(sorted(unknown))} is no column of the schema")
        _check_current(self._bundle.path, old)
        self._change_model(changes)
        self._close()
        self._take_over()
        self._seal(
            dataclasses.replace(
                old,
                model=cast(ModelRow, {**old.model, **changes}),
                files=dict(sorted(self._files.items())),
                extraction=extraction,
                amendments=amendments,
            )
        )

    def _change_model(self, changes: Mapping[str, object]) -> None:
        rows = [row | changes for row in self._bundle.table("Model").to_pylist()]
        self.replace("Model", table_of("Model", rows))

    def _take_over(self) -> None:
        """Enter the tables that were written, and link the files that stay."""
        for table, rows in self._rows.items():
            file = table_file(table)
            if rows:
                self._files[file] = file_entry(self._folder, file, rows=rows)
            else:
                self._files.pop(file, None)
                (self._folder / file).unlink()
        for name in self._files:
            target = self._folder / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(self._bundle.path / name, target)


def set_aside(bundle: Bundle, folder: Path) -> Bundle:
    """A copy of a bundle at ``folder``, its files linked, that steps may amend until `exchange`."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(bundle.path, folder, copy_function=_link)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({unwritten(error)}); make room") from error
    return Bundle.open(folder)


def exchange(bundle: Bundle, copy: Bundle) -> Bundle:
    """Put a copy in the place of its bundle, at once, and open it there.

    Raises:
        BundleError: the bundle was replaced meanwhile.
    """
    path = bundle.path.resolve()
    _check_current(path, bundle.manifest)
    put_in_place(copy.path, path)
    return Bundle.open(bundle.path)


def _check_current(path: Path, manifest: Manifest) -> None:
    if read_manifest(path) != manifest:
        raise BundleError(f"{path}: was replaced while it was being amended; run the command again")


def _link(source: str | Path, target: str | Path) -> None:
    """Let ``target`` be the same file, or a copy of it if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
