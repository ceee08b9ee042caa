"""The server store: Neo4j 5 through the official driver.

Constraints first, then nodes, then relationships in small batches, each its own managed transaction (the driver retries
what is transient and routes in a cluster). A model that is being loaded or dropped has ``state = 'loading'``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import neo4j
import pyarrow as pa
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError, ServiceUnavailable
from neo4j.graph import Node, Path, Relationship

from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.cypher import CypherError, check_parameters, check_reading
from circuitome.graphdb.ddl import neo4j_constraints, neo4j_indexes
from circuitome.graphdb.schema import NODES, SCHEMA_VERSION, NodeType, arrow_schema, table_type
from circuitome.graphdb.stores import Progress, StoreError

__all__ = ["Neo4jStore"]

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_BATCH: Final = 2_000  # rows a transaction: larger ones cost the server more than the round trips they save
_DELETED: Final = 20_000  # relationships a transaction
_SESSIONS: Final = 2


class Neo4jStore:
    """A database on a Neo4j server; nothing is sent before the first method is called.

    ``address`` is ``neo4j://host:7687/database`` (also ``neo4j+s``, ``bolt``, ``bolt+s``); without a database it is the
    user's home database. ``user`` and ``password`` default to ``NEO4J_USER`` (else ``neo4j``) and ``NEO4J_PASSWORD``.
    ``sessions`` is how many batches are on their way at once.
    """

    dialect: str = "neo4j"
    unsupported: Mapping[str, str] = _NONE

    def __init__(
        self, address: str, *, user: str | None = None, password: str | None = None, sessions: int = _SESSIONS
    ) -> None:
        self.address, self._database = _split(address)
        self._user = user or os.environ.get("NEO4J_USER") or "neo4j"
        self._password = password if password is not None else os.environ.get("NEO4J_PASSWORD")
        self._sessions = sessions
        self._driver: neo4j.Driver | None = None

    def load(self, *bundles: Bundle, progress: Progress | None = None) -> None:
        """Put bundles in, replacing what the database has of the same models.

        A model is ``loading`` from the first change to the last; a load that was cut off is repeated by loading again.
        """
        for bundle in bundles:
            bundle.check()
        with self._explained():
            self._declare(neo4j_constraints())
            for bundle in bundles:
                self._load(bundle, progress)
            self._declare(neo4j_indexes())

    def run(self, cypher: str, parameters: Mapping[str, Any] = _NONE, *, timeout: float | None = None) -> pa.Table:
        """Rows of a reading query; ``timeout`` in seconds. `StoreError` where it writes, fails or takes too long."""
        try:
            check_reading(cypher)
            check_parameters(cypher, parameters)
        except CypherError as error:
            raise StoreError(f"{self.address}: {error}") from None
        with self._explained(timeout):
            return self._read(cypher, parameters, timeout)

    def models(self) -> list[dict[str, Any]]:
        """Rows of the `Model` table, by key."""
        columns = ", ".join(f"m.`{column.name}` AS `{column.name}`" for column in NODES["Model"].columns)
        with self._explained():
            return self._read(f"MATCH (m:Model) RETURN {columns} ORDER BY m.key").to_pylist()

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it, in bounded transactions; `StoreError` where it is not here."""
        known = [row["key"] for row in self.models()]
        if model not in known:
            raise StoreError(f"{self.address}: no model {model!r}; it has {', '.join(known) or 'none'}")
        with self._explained():
            self._write("MATCH (m:Model {key: $model}) SET m.state = 'loading'", {"model": model})
            self._clear(model)
            self._write("MATCH (m:Model {key: $model}) DETACH DELETE m", {"model": model})

    def close(self) -> None:
        """Close the connections; closing twice does nothing."""
        if self._driver is not None:
            self._driver.close()
        self._driver = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> neo4j.Driver:
        if self._driver is None:
            if self._password is None:
                raise StoreError(
                    f"{self.address}: no password for user {self._user!r}; set NEO4J_PASSWORD (and NEO4J_USER)"
                )
            driver = neo4j.GraphDatabase.driver(
                self.address,
                auth=(self._user, self._password),
                notifications_min_severity="OFF",
                connection_timeout=10,
                max_transaction_retry_time=30,
            )
            try:
                driver.verify_connectivity()  # at once, where a transaction would try again for half a minute
            except (Neo4jError, DriverError):
                driver.close()
                raise
            self._driver = driver
        return self._driver

    def _session(self, mode: str) -> neo4j.Session:
        return self._connect().session(database=self._database, default_access_mode=mode)

    def _read(self, cypher: str, parameters: Mapping[str, Any] = _NONE, timeout: float | None = None) -> pa.Table:
        @neo4j.unit_of_work(timeout=timeout)
        def work(transaction: neo4j.ManagedTransaction) -> pa.Table:
            result = transaction.run(cast(Any, cypher), dict(parameters))
            return _table(result.keys(), [record.values() for record in result])

        with self._session(neo4j.READ_ACCESS) as session:
            return session.execute_read(work)

    def _write(self, cypher: str, parameters: Mapping[str, Any] = _NONE) -> int:
        """Run one statement in a transaction of its own; the first value of its first row, else 0."""

        def work(transaction: neo4j.ManagedTransaction) -> int:
            record = transaction.run(cast(Any, cypher), dict(parameters)).single()
            return record[0] if record else 0

        with self._session(neo4j.WRITE_ACCESS) as session:
            return session.execute_write(work)

    def _declare(self, statements: Mapping[str, str]) -> None:
        """Make the constraints and indexes that are not there yet."""
        there = set(self._read("SHOW INDEXES YIELD name RETURN name")["name"].to_pylist())
        for name, statement in statements.items():
            if name not in there:
                self._write(statement)

    def _load(self, bundle: Bundle, progress: Progress | None) -> None:
        model = bundle.table("Model").to_pylist()[0] | {"state": "loading", "schema_version": SCHEMA_VERSION}
        known = self._write("MATCH (m:Model {key: $key}) RETURN count(m)", {"key": bundle.model})
        self._write("MERGE (m:Model {key: $row.key}) SET m = $row RETURN 1", {"row": model})
        if known:
            self._clear(bundle.model)
        for table in bundle.tables:
            if table != "Model":
                self._insert(table, bundle, progress)
        self._write("MATCH (m:Model {key: $key}) SET m.state = 'ready' RETURN 1", {"key": bundle.model})

    def _insert(self, table: str, bundle: Bundle, progress: Progress | None) -> None:
        statement, total, done = _insertion(table), bundle.rows(table), 0
        with ThreadPoolExecutor(self._sessions) as pool:
            for batches in _grouped(bundle.batches(table, _BATCH), self._sessions):
                rows = [_rows(batch) for batch in batches]
                made = sum(pool.map(lambda part: self._write(statement, {"rows": part}), rows))
                if made != sum(map(len, rows)):
                    raise StoreError(
                        f"{bundle.path}: {table} names neurons that are not there; extract the bundle again"
                    )
                done += made
                if progress:
                    progress(table, done, total)

    def _clear(self, model: str) -> None:
        """Delete what belongs to a model, all but its own node: relationships first, in bounded transactions."""
        for name, kind in NODES.items():
            if any(column.name == "model" for column in kind.columns):
                owned = f"MATCH (n:`{name}` {{model: $model}})"
                edges = f"{owned} CALL (n) {{ MATCH (n)-[r]-() RETURN r LIMIT {_DELETED} }} WITH DISTINCT r LIMIT {_DELETED}"
                for statement in (f"{edges} DELETE r", f"{owned} WITH n LIMIT {_DELETED} DELETE n"):
                    while self._write(f"{statement} RETURN count(*)", {"model": model}):
                        pass

    @contextlib.contextmanager
    def _explained(self, timeout: float | None = None) -> Iterator[None]:
        """Turn the driver's errors into a `StoreError` that names the address and the cure, never the password."""
        try:
            yield
        except AuthError as error:
            raise StoreError(
                f"{self.address}: the server refused user {self._user!r}; set NEO4J_USER and NEO4J_PASSWORD"
            ) from error
        except ServiceUnavailable as error:
            raise StoreError(
                f"{self.address}: no Neo4j server answers there; start one (`make neo4j`), or name another with --db"
            ) from error
        except Neo4jError as error:
            raise StoreError(self._explain(error, timeout)) from error
        except (DriverError, ConfigurationError, OSError, ValueError, TypeError, OverflowError) as error:
            raise StoreError(
                f"{self.address}: {_first_line(str(error))}; look at the address and the parameters"
            ) from error

    def _explain(self, error: Neo4jError, timeout: float | None) -> str:
        code = error.code or ""
        if "TransactionTimedOut" in code or "Terminated" in code:
            limit = f"after {timeout:g} s" if timeout else "by the server"
            return f"{self.address}: the query was stopped {limit}; narrow its pattern, or give it more with --timeout"
        if "DatabaseNotFound" in code:
            return f"{self.address}: the server has no database {self._database!r}; name another, as in neo4j://host:7687/neo4j"
        if "AccessMode" in code:
            return f"{self.address}: a query only reads, and this one writes; `circuitome load` and `drop` change a database"
        if "Forbidden" in code:
            return f"{self.address}: user {self._user!r} may not do that ({_first_line(error.message or code)}); use another user"
        return f"{self.address}: {_first_line(error.message or code)}; look at the query and its parameters"


def _split(address: str) -> tuple[str, str | None]:
    """Address without the database, and the database."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in {f"{kind}{tls}" for kind in ("neo4j", "bolt") for tls in ("", "+s", "+ssc")}
        if not known or not parts.hostname or (parts.port or 1) < 1:
            raise ValueError
    except ValueError:
        raise StoreError(f"{_shown(address)}: not the address of a server; write neo4j://host:7687/database") from None
    if parts.username or parts.password:
        raise StoreError(
            f"{_shown(address)}: user and password do not belong in an address; set NEO4J_USER and NEO4J_PASSWORD"
        )
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or None


def _shown(address: str) -> str:
    """The address without what stands before an ``@``."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _insertion(table: str) -> str:
    """The statement that creates ``$rows`` of a table, each a list in the order of its columns."""
    kind = table_type(table)
    if isinstance(kind, NodeType):
        values = ", ".join(f"n.`{name}` = x[{place}]" for place, name in enumerate(arrow_schema(table).names))
        verb = "MERGE" if _shared(table) else "CREATE"
        return f"UNWIND $rows AS x {verb} (n:`{table}` {{`key`: x[0]}}) SET {values} RETURN count(*)"
    ends = f"MATCH (a:`{kind.source}` {{`key`: x[0]}}) MATCH (b:`{kind.target}` {{`key`: x[1]}})"
    values = ", ".join(f"`{column.name}`: x[{place}]" for place, column in enumerate(kind.columns, start=2))
    return f"UNWIND $rows AS x {ends} CREATE (a)-[:`{table}` {{{values}}}]->(b) RETURN count(*)"


def _shared(label: str) -> bool:
    """Whether nodes of the label belong to no model, so that they may be there already."""
    return not any(column.name == "model" for column in NODES[label].columns)


def _rows(batch: pa.RecordBatch) -> list[list[Any]]:
    return [list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]


def _grouped(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of the driver as Arrow: int64, float64, string, bool, lists of them, and structs of properties."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.Table.from_arrays([_array([_value(item) for item in column]) for column in columns], names=list(names))


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowInvalid:  # whole numbers among floats
        return pa.array(values, pa.float64())


def _value(value: Any) -> Any:
    """A node or relationship as the map of its properties, a path as its nodes and relationships."""
    if isinstance(value, Node | Relationship):
        return dict(value)
    if isinstance(value, Path):
        return {
            "nodes": [dict(node) for node in value.nodes],
            "relationships": [dict(rel) for rel in value.relationships],
        }
    return [_value(item) for item in value] if isinstance(value, list) else value


def _first_line(text: str) -> str:
    return (text.strip() or "the driver failed").splitlines()[0].rstrip(".")
