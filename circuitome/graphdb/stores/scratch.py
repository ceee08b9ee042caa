"""A throw-away embedded database of a few tables, in memory: for the same query over many rewired
copies of a graph.

It holds only what it is given, whole tables or some of their columns: a tenth of a second for fifty
thousand edges, where a database file takes ten times that. Each copy takes a new one: Kuzu keeps
the memory of tables that are dropped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import kuzu
import pyarrow as pa
import pyarrow.parquet as pq

from circuitome.errors import first_line
from circuitome.graphdb.ddl import kuzu_table
from circuitome.graphdb.drafts import draft
from circuitome.graphdb.rows import Value
from circuitome.graphdb.schema import NODES, RELATIONSHIPS
from circuitome.graphdb.stores.kuzu_rows import ENGINE_ERRORS, plain, rows_of
from circuitome.graphdb.stores.protocol import StoreError, check_query

__all__ = ["Scratch"]

_POOL: Final = 2 << 30  # bytes, for the rows as well


class Scratch(AbstractContextManager["Scratch"]):
    """A database in memory with exactly the tables that it is made of; a context manager.

    A table needs its key or its ends, and has as many of its other columns as it is given.
    `StoreError` where a relationship names a node that is not there.

    >>> with Scratch({"Neuron": neurons, "EXCITES": edges}) as scratch:  # doctest: +SKIP
    ...     scratch.run(
    ...         "MATCH (:Neuron)-[:EXCITES]->(n:Neuron) RETURN n.key AS key ORDER BY key", {}
    ...     )
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._database = kuzu.Database(":memory:", buffer_pool_size=_POOL)
        self._connection = kuzu.Connection(self._database)
        try:
            with draft(Path(tempfile.gettempdir(), "circuitome")) as folder:
                for table in (*NODES, *RELATIONSHIPS):
                    if table in tables:
                        self._fill(table, tables[table], folder / f"{table}.parquet")
        except (*ENGINE_ERRORS, OSError) as error:
            self.close()
            raise StoreError(
                f"a null network cannot be built ({first_line(error)}); look at the model's edges"
            ) from error

    def run(
        self, cypher: str, parameters: Mapping[str, Value], *, timeout: float | None = None
    ) -> pa.Table:
        """Rows of a reading query; ``timeout`` in seconds. `StoreError` where it writes, fails
        or takes too long.
        """
        check_query(cypher, parameters, where="null network", unsafe=False)
        try:
            self._connection.set_query_timeout(max(1, round(timeout * 1000)) if timeout else 0)
            return plain(rows_of(self._connection, cypher, parameters))
        except ENGINE_ERRORS as error:
            raise StoreError(
                f"null network: {first_line(error)}; narrow the query's pattern, or give it more "
                "with --timeout"
            ) from error

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._database.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, table: str, rows: pa.Table, path: Path) -> None:
        self._connection.execute(kuzu_table(table, rows.column_names))
        if rows.num_rows:
            pq.write_table(rows, path, compression="none", write_statistics=False)
            self._connection.execute(f'COPY `{table}` FROM "{path.as_posix()}"')
