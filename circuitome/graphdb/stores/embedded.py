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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from circuitome.errors import first_line
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import SchemaItem, fingerprint, properties_compared
from circuitome.graphdb.reading import owner, owners, reading
from circuitome.graphdb.rows import ModelRow, Value, model_rows
from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    RelationshipType,
    arrow_schema,
    table_type,
)
from circuitome.graphdb.stores.amendments import checked, conditions
from circuitome.graphdb.stores.awaiting import awaited
from circuitome.graphdb.stores.kuzu_files import build, check_room, refill
from circuitome.graphdb.stores.kuzu_rows import ENGINE_ERRORS, plain, rows_of
from circuitome.graphdb.stores.protocol import (
    NO_PARAMETERS,
    Amendment,
    OutdatedError,
    Progress,
    Removal,
    StoreError,
    check_once,
    check_query,
    waiting,
)

__all__ = ["EmbeddedStore"]

_GRACE: Final = 5.0  # seconds that a query may take to stop when it is told to
_CURE: Final = (
    "is there room on the disk? else extract the bundle again, or name another place with --db"
)
_POOL: Final = 1 << 30  # bytes; 3 million edges load in it


class EmbeddedStore(AbstractContextManager["EmbeddedStore"]):
    """A Kuzu database file; opened for reading alone, and changed by replacing the file.

    ``buffer_pool_size`` (bytes) bounds the engine's memory. `StoreError` where the file is missing
    (unless ``create``), no Kuzu database, not ours, or of another schema.
    """

    dialect: str = "kuzu"

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = False, buffer_pool_size: int = _POOL
    ) -> None:
        self.path = Path(path)
        self.address = str(self.path)
        self._pool = buffer_pool_size
        self._database: kuzu.Database | None = None
        self._connection: kuzu.Connection | None = None
        if self.path.exists():
            try:
                self._open()
            except OutdatedError:
                if not create:
                    raise
        elif not create:
            raise StoreError(
                f"{self.path}: no such database; `circuitome load BUNDLE --db {self.path}` makes "
                "one"
            )

    def load(
        self, *bundles: Bundle, replace: bool = False, progress: Progress | None = None
    ) -> None:
        """Put bundles in, replacing what the database has of the same models, or with ``replace``
        all that it has.

        All of them, or on any error none.
        """
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
                parts = self._amended(folder, removals, insert)
                check_room(
                    folder,
                    [path for path in parts.values() if path],
                    beside=self.path.stat().st_size,
                )
                shutil.copyfile(self.path, folder / "database")
                refill(folder / "database", parts, pool=self._pool, where=str(self.path))
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
                raise StoreError(
                    f"{self.path}: no model {model!r}; it has {', '.join(known) or 'none'}"
                )
            self._rebuild((), without=[model], progress=None)

    def inspect(self) -> list[SchemaItem]:
        """The tables and their columns, against the schema; an outdated file cannot be opened
        at all.
        """
        tables = rows_of(self._reader(), "CALL show_tables() RETURN name, type").to_pylist()
        found = {
            row["name"]: "label" if row["type"] == "NODE" else "relationship" for row in tables
        }
        items = []
        for name in (*NODES, *RELATIONSHIPS):
            what = "label" if name in NODES else "relationship"
            items.append(
                SchemaItem(
                    what,
                    name,
                    name,
                    name if name in found else "",
                    "ok" if name in found else "missing",
                )
            )
            items += properties_compared(
                name, self._columns(name) if name in found else {}, engine="kuzu"
            )
        return items + [
            SchemaItem(found[name], name, "", name, "foreign")
            for name in sorted({*found} - {*NODES, *RELATIONSHIPS})
        ]

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
            raise StoreError(
                f"{self.path}: no such database; `circuitome load BUNDLE --db {self.path}` makes "
                "one"
            )
        try:
            if self.path.is_file() and not self.path.stat().st_size:
                raise ValueError("the file is empty")
            self._database = kuzu.Database(
                str(self.path), read_only=True, buffer_pool_size=self._pool
            )
            self._connection = kuzu.Connection(self._database)
            tables = rows_of(
                self._connection, "CALL show_tables() RETURN name, comment"
            ).to_pylist()
        except ENGINE_ERRORS as error:
            self.close()
            raise StoreError(
                f"{self.path}: not a database that can be opened ({first_line(error)}); name "
                "another with --db, or delete it and load again"
            ) from error
        marks = {table["name"]: table["comment"] for table in tables}
        if marks.get("Model") != fingerprint():
            self.close()
            raise _not_ours(self.path, str(marks.get("Model", "")))

    def _explain(self, error: Exception, timeout: float | None) -> str:
        text = first_line(error)
        if text.startswith("Interrupted"):
            limit = f"after {timeout:g} s" if timeout else "from outside"
            return (
                f"{self.path}: the query was stopped {limit}; narrow its pattern, or give it "
                "more with --timeout"
            )
        if "buffer pool is full" in text:
            pool = f"{self._pool / (1 << 30):g} GiB"
            return (
                f"{self.path}: the query needs more memory than it may have ({pool}); narrow "
                "its pattern or its thresholds"
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
            check_room(folder, [path for paths in parts.values() for path in paths])
            build(folder / "database", parts, folder, pool=self._pool, progress=progress)
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
        except ENGINE_ERRORS as error:
            raise StoreError(
                f"{self.path}: {work} failed, nothing was changed ({first_line(error)}); {_CURE}"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{self.path}: {work} failed, nothing was changed ({error.strerror or error}); "
                f"{_CURE}"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _put(self, folder: Path) -> None:
        """Let the database in ``folder`` take the place of the old one."""
        self.close()
        os.replace(folder / "database", self.path)

    def _amended(
        self, folder: Path, removals: Sequence[Removal], insert: Mapping[str, pa.Table]
    ) -> dict[str, Path | None]:
        """Every table that a change touches, written whole to ``folder`` as it will be; none where
        it will be empty.

        Kuzu cannot fill a node table that nodes were deleted from (its index of keys then lacks
        some), so a table is filled anew, and with a node table all relationships of its nodes.
        """
        touched = {removal.table for removal in removals} | set(insert)
        touched |= {
            name for name, kind in RELATIONSHIPS.items() if {kind.source, kind.target} & touched
        }
        parts: dict[str, Path | None] = {}
        gone: dict[str, pa.Array | pa.ChunkedArray] = {}
        for table in (*NODES, *RELATIONSHIPS):
            if table not in touched:
                continue
            here = [removal for removal in removals if removal.table == table]
            rows = rows_of(self._reader(), *_staying(table, here)).cast(arrow_schema(table))
            kind = table_type(table)
            if isinstance(kind, RelationshipType):
                for end, label in (("from", kind.source), ("to", kind.target)):
                    rows = _without(rows, end, gone.get(label))
            elif here:
                keys = rows_of(self._reader(), f"MATCH (x:`{table}`) RETURN x.`key` AS `key`")
                gone[table] = _without(keys, "key", rows["key"])["key"]
            if table in insert:
                kept = _without(rows, "key", insert[table]["key"]) if table in NODES else rows
                rows = pa.concat_tables([kept, insert[table]])
            parts[table] = folder / f"{table}.parquet" if rows.num_rows else None
            if rows.num_rows:
                pq.write_table(
                    rows, folder / f"{table}.parquet", compression="lz4", write_statistics=False
                )
        return parts

    def _kept(
        self, folder: Path, bundles: Sequence[Bundle], without: Sequence[str]
    ) -> dict[str, list[Path]]:
        """Tables of what stays, written to ``folder``."""
        if not self.path.exists():
            return {}
        self._open()
        if not {row["key"] for row in self.models()} - set(without):
            return {}
        parts = {}
        for table in (*NODES, *RELATIONSHIPS):
            rows = rows_of(self._reader(), *_reading(table, without))
            if table in NODES and owner(table) is None:
                rows = _without_keys(
                    rows,
                    [key for bundle in bundles for key in bundle.table(table)["key"].to_pylist()],
                )
            if rows.num_rows:
                parts[table] = [folder / f"{table}.parquet"]
                whole = rows.cast(
                    arrow_schema(table)
                )  # types as in a bundle, so that one COPY takes both
                pq.write_table(whole, parts[table][0], compression="lz4", write_statistics=False)
        return parts


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


def _not_ours(path: Path, mark: str) -> StoreError:
    if mark.startswith("circuitome schema"):
        return OutdatedError(str(path), found=mark, wanted=fingerprint())
    return StoreError(f"{path}: a Kuzu database, but not one of circuitome; name another with --db")


def _reading(table: str, without: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """The query that reads a whole table but for some models, and its parameters."""
    tests = [f"NOT {name} IN $without" for name in owners(table)] if without else []
    return reading(table, tests=tests), {"without": list(without)} if tests else {}


def _staying(table: str, removals: Sequence[Removal]) -> tuple[str, dict[str, Value]]:
    """The query that reads a whole table but for what the removals match, and its parameters."""
    tests: list[str] = []
    values: dict[str, Value] = {}
    for removal in removals:
        kept = []
        for end, column, wanted in conditions(removal):
            name = f"p{len(values)}"
            values[name] = wanted
            kept.append(f"{end}.`{column}` IS NULL OR NOT {end}.`{column}` IN ${name}")
        tests.append(f"({' OR '.join(kept) or 'false'})")
    return reading(table, tests=tests), values


def _without(rows: pa.Table, column: str, values: pa.Array | pa.ChunkedArray | None) -> pa.Table:
    """The rows whose value of a column is none of ``values``."""
    if values is None or not len(values):
        return rows
    # pyarrow makes its compute functions when it is imported, so that no type checker sees them
    found = pc.call_function("is_in", [rows[column]], pc.SetLookupOptions(values))
    return rows.filter(pc.call_function("invert", [found]))


def _without_keys(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows of other keys; for the few nodes that belong to no model."""
    return rows.filter(pa.array([key not in keys for key in rows["key"].to_pylist()], pa.bool_()))
