"""The embedded store: a Kuzu database in one file, rebuilt beside its place and put there whole.

Kuzu appends to a filled relationship table four times slower than it fills an empty one, and the
file grows. So every change, a load or a drop, builds a new file: what stays is read out of the old
one, what is new comes from the bundles, and a rename puts it in place. An amendment copies the file
and fills anew only the tables that it touches. A reader keeps the file that it opened; a killed
load leaves the old one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import kuzu
import pyarrow as pa

from circuitome.errors import first_line
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import SchemaItem, fingerprint, properties_compared
from circuitome.graphdb.reading import reading
from circuitome.graphdb.rows import ModelRow, Value, model_rows
from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
)
from circuitome.graphdb.stores.amendments import checked
from circuitome.graphdb.stores.awaiting import awaited
from circuitome.graphdb.stores.kuzu_files import build, refill
from circuitome.graphdb.stores.kuzu_parts import amended, kept
from circuitome.graphdb.stores.kuzu_rows import ENGINE_ERRORS, plain, pool_is_full, rows_of
from circuitome.graphdb.stores.memory import MEMORY, in_words, pool_size
from circuitome.graphdb.stores.protocol import (
    NO_PARAMETERS,
    Amendment,
    OutdatedError,
    Progress,
    StoreError,
    check_once,
    check_query,
    no_such_model,
    waiting,
)
from circuitome.graphdb.stores.room import MOST_EDGES, check_edges, check_room

__all__ = ["EmbeddedStore"]

_GRACE: Final = 5.0  # seconds that a query may take to stop when it is told to
_CURE: Final = "extract the bundle again, or name another place with --db"


class EmbeddedStore(AbstractContextManager["EmbeddedStore"]):
    """A Kuzu database file; opened for reading alone, and changed by replacing the file.

    ``memory``, such as ``8GiB``, bounds the engine's memory (`pool_size` says what it has
    otherwise), and ``most_edges`` what a load makes. `StoreError` where the file is missing (unless
    ``create``), no Kuzu database, not ours, or of another schema.
    """

    dialect: str = "kuzu"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = False,
        memory: str | None = None,
        most_edges: int = MOST_EDGES,
    ) -> None:
        self.path = Path(path)
        self.address = str(self.path)
        self._memory = memory
        self._pool = pool_size(memory)
        self._most_edges = most_edges
        self._database: kuzu.Database | None = None
        self._connection: kuzu.Connection | None = None
        if self.path.exists():
            try:
                self._open()
            except OutdatedError:
                if not create:
                    raise
        elif not create:
            raise _missing(self.path)

    def load(
        self, *bundles: Bundle, replace: bool = False, progress: Progress | None = None
    ) -> None:
        """Put bundles in, replacing what the database has of the same models, or with ``replace``
        all that it has.

        All of them, or on any error none. `StoreError` before anything is read where the database
        would have too many edges.
        """
        files = [one.table_path(table) for one in bundles for table in one.tables]
        check_edges(self.address, files, most=self._most_edges)
        check_once(bundles)
        models = [bundle.model for bundle in bundles]
        with _alone(self.path):
            self._rebuild(bundles, without=None if replace else models, progress=progress)

    def run(
        self,
        cypher: str,
        parameters: Mapping[str, Value] = NO_PARAMETERS,
        *,
        timeout: float | None = None,
        most: int | None = None,
        unsafe: bool = False,
    ) -> pa.Table:
        """Rows of a reading query, as `Store.run`. `StoreError` where it writes, fails or takes
        too long.
        """
        check_query(cypher, parameters, where=self.address, unsafe=unsafe)
        connection = self._reader()
        connection.set_query_timeout(max(1, round(min(timeout, 1e9) * 1000)) if timeout else 0)
        try:
            return plain(
                awaited(lambda: rows_of(connection, cypher, parameters, most), stop=self._stop)
            )
        except ENGINE_ERRORS as error:
            raise StoreError(self._explain(error, timeout)) from error

    def _stop(self, running: Future[pa.Table]) -> None:
        """Stop a query; one that does not hear of it keeps its connection, which must not be
        closed under it.
        """
        if self._connection is not None:
            self._connection.interrupt()
        if wait([running], _GRACE).not_done:
            self._connection = self._database = None

    def models(self) -> list[ModelRow]:
        """Rows of the `Model` table, by key."""
        if self._connection is None and not self.path.exists():
            return []
        return model_rows(rows_of(self._reader(), reading("Model")).sort_by("key"))

    def amend(self, change: Amendment) -> None:
        """Change what belongs to no bundle, all or nothing; `StoreError` where it does not fit, or
        an end is not there.

        Loading a model's bundle again removes what hangs on its neurons, such as its saved motifs.
        """
        removals, insert = checked(change, where=str(self.path))
        if not removals and not insert:
            return
        with _alone(self.path):
            self._open()
            with self._beside("the change") as folder:
                parts = amended(self._reader(), folder, removals, insert)
                written = [path for path in parts.values() if path]
                check_room(self.address, folder, written, beside=self.path.stat().st_size)
                shutil.copyfile(self.path, folder / "database")
                pool = self._pool_to_write()
                refill(folder / "database", parts, pool=pool, where=self.address)
                self._put(folder)
        self._open()

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it; `StoreError` where it is not
        here.
        """
        with _alone(self.path):
            self._open()
            known = [row["key"] for row in self.models()]
            if model not in known:
                raise no_such_model(self.address, model, known)
            self._rebuild((), without=[model], progress=None)

    def inspect(self) -> list[SchemaItem]:
        """The tables and their columns, against the schema; an outdated file cannot be opened
        at all.
        """
        there = rows_of(self._reader(), "CALL show_tables() RETURN name, type").to_pylist()
        found = {row["name"]: "label" if row["type"] == "NODE" else "relationship" for row in there}
        items = []
        for what, tables in (("label", NODES), ("relationship", RELATIONSHIPS)):
            for table in tables:
                items += self._compared(what, table, here=table in found)
        return items + [
            SchemaItem(found[name], name, "", name, "foreign")
            for name in sorted({*found} - {*NODES, *RELATIONSHIPS})
        ]

    def _compared(self, what: str, table: str, *, here: bool) -> Iterator[SchemaItem]:
        """A table and its columns, against the schema."""
        columns = self._columns(table) if here else {}
        yield SchemaItem(what, table, table, table if here else "", "ok" if here else "missing")
        yield from properties_compared(table, columns, engine="kuzu")

    def _columns(self, table: str) -> dict[str, str]:
        rows = rows_of(self._reader(), f"CALL table_info('{table}') RETURN name, type").to_pylist()
        return {row["name"]: row["type"] for row in rows}

    def repair(self) -> list[SchemaItem]:
        """Nothing to do: a file that opens has the schema's tables, and other files are made
        anew; what `inspect` says.
        """
        return self.inspect()

    def close(self) -> None:
        """Release the file; closing twice does nothing."""
        if self._connection is not None:
            self._connection.close()
        if self._database is not None:
            self._database.close()
        self._connection = self._database = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reader(self) -> kuzu.Connection:
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    def _open(self) -> None:
        """Open what now lies at the path."""
        self.close()
        if not self.path.exists():
            raise _missing(self.path)
        try:
            mark = self._connect()
        except ENGINE_ERRORS as error:
            self.close()
            if pool_is_full(error):
                raise StoreError(
                    f"{self.path}: cannot be opened with {in_words(self._pool)} of memory; give "
                    f"it more with {MEMORY}"
                ) from error
            raise StoreError(
                f"{self.path}: not a database that can be opened ({first_line(error)}); name "
                "another with --db, or delete it and load again"
            ) from error
        if mark != fingerprint():
            self.close()
            raise _not_ours(self.path, mark)

    def _connect(self) -> str:
        """Connect to the file; what marks it as ours, the comment on its `Model` table."""
        if self.path.is_file() and not self.path.stat().st_size:
            raise ValueError("the file is empty")
        self._database = kuzu.Database(str(self.path), read_only=True, buffer_pool_size=self._pool)
        self._connection = kuzu.Connection(self._database)
        tables = rows_of(self._connection, "CALL show_tables() RETURN name, comment").to_pylist()
        return str(next((row["comment"] for row in tables if row["name"] == "Model"), ""))

    def _explain(self, error: Exception, timeout: float | None) -> str:
        text = first_line(error)
        if text.startswith("Interrupted"):
            limit = f"after {timeout:g} s" if timeout else "from outside"
            return (
                f"{self.path}: the query was stopped {limit}; narrow its pattern, or give it "
                "more with --timeout"
            )
        if pool_is_full(error):
            return (
                f"{self.path}: the query needs more memory than it may have "
                f"({in_words(self._pool)}); narrow its pattern or its thresholds, or give it more "
                f"with {MEMORY}"
            )
        return f"{self.path}: {text}; look at the query and its parameters"

    def _rebuild(
        self, bundles: Sequence[Bundle], *, without: Sequence[str] | None, progress: Progress | None
    ) -> None:
        """Build the database anew beside its place: all models but ``without`` (none: no model
        stays), and the bundles'.
        """
        with self._beside("loading") as folder:
            parts = {} if without is None else self._kept(folder, bundles, without)
            for bundle in bundles:
                for table in bundle.tables:
                    parts.setdefault(table, []).append(bundle.table_path(table))
            files = [path for paths in parts.values() for path in paths]
            check_edges(self.address, files, most=self._most_edges)
            check_room(self.address, folder, files)
            build(folder / "database", parts, pool=self._pool_to_write(), progress=progress)
            self._put(folder)
        self._open()

    @contextlib.contextmanager
    def _beside(self, work: str) -> Iterator[Path]:
        """A folder beside the database, gone in the end; what goes wrong meanwhile is one
        `StoreError`.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_prefix(self.path), dir=self.path.parent))
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be written ({error.strerror}); name another place with --db"
            ) from error
        try:
            yield folder
        except (*ENGINE_ERRORS, OSError) as error:
            raise StoreError(
                f"{self.path}: {work} failed, nothing was changed ({self._failure(error)}"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _pool_to_write(self) -> int:
        """Bytes for the engine that writes; the one that reads gives its own back first."""
        self.close()
        self._pool = pool_size(self._memory)
        return self._pool

    def _failure(self, error: Exception) -> str:
        """Why something could not be written, a bracket, and the cure."""
        if pool_is_full(error):
            return (
                f"the engine needs more memory than it may have, {in_words(self._pool)}); give it "
                f"more with {MEMORY} or `load --memory`, or load fewer edges with "
                "`load --least-share`"
            )
        if isinstance(error, OSError):
            return f"{error.strerror or error}); make room on the disk, or {_CURE}"
        return f"{first_line(error)}); {_CURE}"

    def _put(self, folder: Path) -> None:
        """Let the database in ``folder`` take the place of the old one."""
        self.close()
        os.replace(folder / "database", self.path)

    def _kept(
        self, folder: Path, bundles: Sequence[Bundle], without: Sequence[str]
    ) -> dict[str, list[Path]]:
        """Tables of what stays, written to ``folder``; none where no model does."""
        if not self.path.exists():
            return {}
        self._open()
        if not {row["key"] for row in self.models()} - set(without):
            return {}
        return kept(self._reader(), folder, bundles, without)


def _prefix(path: Path) -> str:
    return f".{path.name}.loading-"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other programs that write into the same folder waiting, and clear away what a killed
    one left.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the last one to finish wins
        yield
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror}); name another place with --db"
        ) from error
    try:
        with waiting(str(path)):
            fcntl.flock(folder, fcntl.LOCK_EX)
        for left in path.parent.iterdir():
            if left.name.startswith(_prefix(path)):
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(folder)


def _missing(path: Path) -> StoreError:
    return StoreError(f"{path}: no such database; `circuitome load BUNDLE --db {path}` makes one")


def _not_ours(path: Path, mark: str) -> StoreError:
    if mark.startswith("circuitome schema"):
        return OutdatedError(str(path), found=mark, wanted=fingerprint())
    return StoreError(f"{path}: a Kuzu database, but not one of circuitome; name another with --db")
