"""Kuzu database files made of Parquet files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import kuzu
import pyarrow.parquet as pq

from circuitome.graphdb.ddl import fingerprint, kuzu_table
from circuitome.graphdb.drafts import draft
from circuitome.graphdb.schema import NODES, RELATIONSHIPS
from circuitome.graphdb.stores.amendments import missing_end
from circuitome.graphdb.stores.protocol import Progress

__all__ = ["build", "refill"]


def build(
    target: Path, parts: Mapping[str, Sequence[Path]], *, pool: int, progress: Progress | None
) -> None:
    """A new database at ``target`` with the rows of the Parquet files in ``parts``."""
    with _connected(target, pool) as connection:
        for table in (*NODES, *RELATIONSHIPS):
            _make_table(connection, table)
        with _plain_paths(parts) as plain:
            for table in (*NODES, *RELATIONSHIPS):
                if table in plain:
                    _copy(connection, table, plain[table], progress)
        connection.execute("MATCH (m:Model) SET m.state = 'ready'")


def refill(target: Path, parts: Mapping[str, Path | None], *, pool: int, where: str) -> None:
    """Empty the tables in ``parts`` of the database at ``target``, and fill them from their
    Parquet files.
    """
    with _connected(target, pool) as connection:
        for table in reversed(tuple(parts)):  # relationships before the nodes that they join
            connection.execute(f"DROP TABLE `{table}`")
        for table in parts:
            _make_table(connection, table)
        with _plain_paths({table: [path] for table, path in parts.items() if path}) as plain:
            for table, paths in plain.items():
                with _ends_missed(where, table):
                    _copy(connection, table, paths)
        connection.execute("CHECKPOINT")


@contextlib.contextmanager
def _connected(target: Path, pool: int) -> Iterator[kuzu.Connection]:
    """A connection that writes."""
    database = kuzu.Database(str(target), buffer_pool_size=pool)
    connection = kuzu.Connection(database)
    try:
        yield connection
    finally:
        connection.close()
        database.close()


def _make_table(connection: kuzu.Connection, table: str) -> None:
    """Make an empty table; the one of models is marked as ours."""
    connection.execute(kuzu_table(table))
    if table == "Model":
        connection.execute(f"COMMENT ON TABLE `Model` IS '{fingerprint()}'")


@contextlib.contextmanager
def _ends_missed(where: str, table: str) -> Iterator[None]:
    """Say in our words that a relationship leads to what is not there."""
    try:
        yield
    except RuntimeError as error:
        if "Unable to find primary key" in str(error):
            raise missing_end(where, table) from None
        raise


def _copy(
    connection: kuzu.Connection,
    table: str,
    paths: Sequence[str],
    progress: Progress | None = None,
) -> None:
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    if progress:
        progress(table, 0, rows)
    files = ", ".join(f'"{path}"' for path in paths)
    connection.execute(f"COPY `{table}` FROM [{files}]")
    if progress:
        progress(table, rows, rows)


@contextlib.contextmanager
def _plain_paths(parts: Mapping[str, Sequence[Path]]) -> Iterator[dict[str, list[str]]]:
    """Links to the files under names that need no quoting: Kuzu takes no parameter there, and
    reads `*` as a pattern.
    """
    with draft(Path(tempfile.gettempdir(), "circuitome")) as folder:
        plain: dict[str, list[str]] = {}
        for table, paths in parts.items():
            for number, path in enumerate(paths):
                link = folder / f"{table}-{number}.parquet"
                link.symlink_to(path.absolute())
                plain.setdefault(table, []).append(link.as_posix())
        yield plain
