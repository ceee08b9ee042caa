"""The server store: Neo4j 5 through the official driver.

Constraints first, then nodes, then relationships in small batches, each its own managed transaction
(the driver retries what is transient and routes in a cluster). A model that is being loaded or
dropped has ``state = 'loading'``.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Final, TypedDict, cast

import neo4j
import pyarrow as pa
from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    DriverError,
    Forbidden,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from circuitome.errors import first_line
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import (
    SchemaItem,
    compared,
    neo4j_constraints,
    neo4j_declared,
    neo4j_indexes,
    properties_compared,
)
from circuitome.graphdb.reading import reading
from circuitome.graphdb.rows import ModelRow, Value, model_rows
from circuitome.graphdb.schema import (
    NODES,
    RELATIONSHIPS,
    SCHEMA_VERSION,
)
from circuitome.graphdb.stores.amendments import checked, missing_end
from circuitome.graphdb.stores.awaiting import awaited
from circuitome.graphdb.stores.neo4j_address import split_address, unreachable
from circuitome.graphdb.stores.neo4j_statements import (
    deletion,
    grouped,
    insertion,
    row_lists,
    shared,
)
from circuitome.graphdb.stores.neo4j_values import table_of
from circuitome.graphdb.stores.protocol import (
    Amendment,
    Progress,
    Removal,
    StoreError,
    check_once,
    check_query,
    outdated,
    waiting,
)

__all__ = ["Neo4jStore"]

_NONE: Final[Mapping[str, Value]] = MappingProxyType({})
_BATCH: Final = (
    2_000  # rows a transaction: larger ones cost the server more than the round trips they save
)
_DELETED: Final = 10_000  # nodes or relationships a transaction
_ATOMIC: Final = 50_000  # rows of an amendment that one transaction takes
_SMALL: Final = 1_000  # rows; a poor plan costs less than planning all statements anew
_SESSIONS: Final = 2
_GRACE: Final = 10.0  # seconds after a time-out in which a server has to say that it stopped
_FOREVER: Final = 1e9  # seconds; a lock takes no more
logging.getLogger("neo4j").addHandler(
    logging.NullHandler()
)  # else its retries are told on stderr, beside our message
_LOCK: Final = "circuitome: somebody writes"  # a model's key that no committed transaction has


class Neo4jStore(AbstractContextManager["Neo4jStore"]):
    """A database on a Neo4j server; nothing is sent before the first method is called.

    ``address`` is ``neo4j://host:7687/database`` (also ``neo4j+s``, ``bolt``, ``bolt+s``); without
    a database it is the user's home database. ``user`` and ``password`` default to ``NEO4J_USER``
    (else ``neo4j``) and ``NEO4J_PASSWORD``. ``sessions`` is how many batches are on their way at
    once.
    """

    dialect: str = "neo4j"

    def __init__(
        self,
        address: str,
        *,
        user: str | None = None,
        password: str | None = None,
        sessions: int = _SESSIONS,
    ) -> None:
        self._server, self._database = split_address(address)
        self.address = f"{self._server}/{self._database}" if self._database else self._server
        self._user = user or os.environ.get("NEO4J_USER") or "neo4j"
        self._password = password if password is not None else os.environ.get("NEO4J_PASSWORD")
        self._sessions = sessions
        self._driver: neo4j.Driver | None = None
        self._bookmarks = (
            neo4j.GraphDatabase.bookmark_manager()
        )  # in a cluster, reads see what this store wrote
        self._current = False  # whether the models were seen to be of this schema

    def load(
        self, *bundles: Bundle, replace: bool = False, progress: Progress | None = None
    ) -> None:
        """Put bundles in, replacing what the database has of the same models, or with ``replace``
        all that it has of ours.

        A model is ``loading`` from the first change to the last. A load that was cut off is
        repeated by loading again: it starts by removing what the first one left.
        """
        check_once(bundles)
        with self._explained():
            if replace:
                self._declare(
                    {"Model_key": neo4j_constraints()["Model_key"]}
                )  # what `_alone` stands on
                with self._alone():
                    self._empty()
                self._drop_outdated()
            self._check_schema()
            self._declare(neo4j_constraints())
            with self._alone() as lock:
                for bundle in bundles:
                    self._load(bundle, lock, progress)
            self._declare(neo4j_indexes())
            if sum(bundle.rows(table) for bundle in bundles for table in bundle.tables) > _SMALL:
                self._forget_plans()

    def run(
        self,
        cypher: str,
        parameters: Mapping[str, Value] = _NONE,
        *,
        timeout: float | None = None,
        most: int | None = None,
        unsafe: bool = False,
    ) -> pa.Table:
        """Rows of a reading query, as `Store.run`. `StoreError` where it writes, fails or takes
        too long.
        """
        check_query(cypher, parameters, where=self.address, unsafe=unsafe)
        with self._explained(timeout):
            self._check_schema()
            return self._read(cypher, parameters, timeout, most)

    def models(self) -> list[ModelRow]:
        """Rows of the `Model` table, by key."""
        with self._explained():
            return model_rows(self._read(f"{reading('Model')} ORDER BY `key`"))

    def amend(self, change: Amendment) -> None:
        """Change what belongs to no bundle; `StoreError` where it does not fit, or an end is not
        there.

        All or nothing up to 50,000 rows that come: a transaction of more takes the server 5 kB a
        row. More than that is no longer atomic: what goes, goes first, in one transaction, then
        rows come in batches, nodes first, then relationships in the order of the schema, and the
        last 50,000 at once. One that was cut off is made again. Loading a model's bundle again
        removes what hangs on its neurons, such as its saved motifs.
        """
        removals, insert = checked(change, where=self.address)
        batches = deque(
            (table, batch) for table, rows in insert.items() for batch in rows.to_batches(_BATCH)
        )
        with self._explained():
            self._check_schema()
            self._declare({**neo4j_constraints(), **neo4j_indexes()})
            with self._alone():
                left = sum(batch.num_rows for _, batch in batches)
                if left > _ATOMIC and removals:
                    self._amend(removals, ())
                    removals = ()
                while left > _ATOMIC:
                    table, batch = batches.popleft()
                    self._amend((), [(table, batch)])
                    left -= batch.num_rows
                self._amend(removals, batches)

    def _amend(
        self, removals: Sequence[Removal], batches: Iterable[tuple[str, pa.RecordBatch]]
    ) -> None:
        """Delete and insert in one transaction."""

        def work(transaction: neo4j.ManagedTransaction) -> None:
            for removal in removals:
                statement, values = deletion(removal)
                transaction.run(cast(Any, statement), values).consume()
            for table, batch in batches:
                rows = {"rows": row_lists(table, batch)}
                made = transaction.run(cast(Any, insertion(table, merge=True)), rows).single()
                if made is None or made[0] != batch.num_rows:
                    raise missing_end(self.address, table)

        with self._session(neo4j.WRITE_ACCESS) as session:
            session.execute_write(work)

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it, in bounded transactions;
        `StoreError` where it is not here.
        """
        with self._explained():
            self._declare(
                {"Model_key": neo4j_constraints()["Model_key"]}
            )  # what `_alone` stands on
            with self._alone() as lock:
                known = [row["key"] for row in self.models()]
                if model not in known:
                    raise StoreError(
                        f"{self.address}: no model {model!r}; it has {', '.join(known) or 'none'}"
                    )
                self._write(
                    "MATCH (m:Model {key: $model}) SET m.state = 'loading'", {"model": model}
                )
                self._clear(model)
                self._check_lock(lock)
                if known == [model]:  # nothing is left that could share them
                    for label in NODES:
                        if shared(label) and label != "Model":
                            self._delete(f"MATCH (n:`{label}`)", _NONE)
                self._write("MATCH (m:Model {key: $model}) DETACH DELETE m", {"model": model})

    def inspect(self) -> list[SchemaItem]:
        """Constraints, indexes, labels, relationship types, properties and the models' schema
        version, against the schema.

        The server looks at every node and relationship for their properties: seconds for a million.
        """
        with self._explained():
            return [*self._structures(), *self._contents()]

    def repair(self) -> list[SchemaItem]:
        """Drop outdated constraints and indexes and make the missing ones; what `inspect` says
        afterwards.
        """
        with self._explained():
            self._drop_outdated()
            self._declare({**neo4j_constraints(), **neo4j_indexes()})
            self._read("CALL db.awaitIndexes(600)")
        return self.inspect()

    def close(self) -> None:
        """Close the connections; closing twice does nothing."""
        if self._driver is not None:
            self._driver.close()
        self._driver = None

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> neo4j.Driver:
        if self._driver is None:
            if self._password is None:
                raise StoreError(
                    f"{self.address}: no password for user {self._user!r}; set NEO4J_PASSWORD "
                    "(and NEO4J_USER)"
                )
            driver = neo4j.GraphDatabase.driver(
                self._server,
                auth=(self._user, self._password),
                notifications_min_severity="OFF",
                connection_timeout=10,
                max_transaction_retry_time=30,
            )
            try:
                # at once, where a transaction would try again for half a minute
                driver.verify_connectivity()
            except (Neo4jError, DriverError):
                driver.close()
                raise
            self._driver = driver
        return self._driver

    def _session(self, mode: str) -> neo4j.Session:
        return self._connect().session(
            database=self._database, default_access_mode=mode, bookmark_manager=self._bookmarks
        )

    def _read(
        self,
        cypher: str,
        parameters: Mapping[str, Value] = _NONE,
        timeout: float | None = None,
        most: int | None = None,
    ) -> pa.Table:
        given_up = threading.Event()

        @neo4j.unit_of_work(timeout=timeout)
        def work(transaction: neo4j.ManagedTransaction) -> pa.Table:
            if given_up.is_set():
                raise StoreError(f"{self.address}: nobody waits for this any more")
            try:
                result = transaction.run(cast(Any, cypher), dict(parameters))
                return table_of(
                    result.keys(), [record.values() for record in itertools.islice(result, most)]
                )
            except Neo4jError as error:
                if "OutOfMemory" in (
                    error.code or ""
                ):  # the driver would try again, and fill the server's memory again
                    raise StoreError(self._explain(error, timeout)) from error
                raise

        def ask() -> pa.Table:
            with self._session(neo4j.READ_ACCESS) as session:
                return session.execute_read(work)

        def stop(_: Future[pa.Table]) -> None:
            given_up.set()
            self.close()  # the server ends what nobody is connected to

        # inside one expression, such as `reduce`, a server sees no time-out, and the driver hears
        # no Ctrl-C
        try:
            return awaited(
                ask, stop=stop, seconds=min(timeout, _FOREVER) + _GRACE if timeout else None
            )
        except TimeoutError:
            raise StoreError(
                f"{self.address}: the server did not stop the query after {timeout or 0:g} s, so "
                "nobody waits for it any more; "
                "narrow its lists and patterns (the server may be busy with it for long: `SHOW "
                "TRANSACTIONS` there)"
            ) from None

    def _write(self, cypher: str, parameters: Mapping[str, Value] = _NONE) -> int:
        """Run one statement in a transaction of its own; the first value of its first row, else
        0.
        """

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

    def _forget_plans(self) -> None:
        """Plans that were made for what the database held before are kept for ten seconds or more:
        one for an empty database looks at all relationships of a type for each row.
        """
        with contextlib.suppress(Forbidden):  # roles of Enterprise may not be allowed to
            self._write("CALL db.clearQueryCaches()")

    def _structures(self) -> list[SchemaItem]:
        """Constraints and indexes; one that failed is outdated, so that `repair` makes it anew."""
        constraints = self._read("SHOW CONSTRAINTS YIELD name, type, labelsOrTypes, properties")
        indexes = self._read(
            "SHOW INDEXES YIELD name, type, labelsOrTypes, properties, owningConstraint, state "
            "WHERE type <> 'LOOKUP' AND owningConstraint IS NULL"
        ).to_pylist()
        failed = {row["name"]: _meaning(row) for row in indexes if row["state"] == "FAILED"}
        sound = {_meaning(row): row["name"] for row in indexes if row["name"] not in failed}
        declared = neo4j_declared()
        return [
            *compared(
                "constraint",
                declared["constraint"],
                {_meaning(r): r["name"] for r in constraints.to_pylist()},
            ),
            *(
                item
                for item in compared("index", declared["index"], sound)
                if item.name not in failed
            ),
            *(
                SchemaItem("index", name, meaning, f"{meaning} (failed)", "outdated")
                for name, meaning in failed.items()
            ),
        ]

    def _contents(self) -> Iterator[SchemaItem]:
        """Labels, relationship types and properties that are in use, and the schema version of
        each model.
        """
        for what, known, procedure in (
            (
                "label",
                NODES,
                "nodeTypeProperties() YIELD nodeLabels AS names, propertyName AS name, "
                "propertyTypes AS types",
            ),
            (
                "relationship",
                RELATIONSHIPS,
                "relTypeProperties() YIELD relType, propertyName AS name, propertyTypes AS types",
            ),
        ):
            returned = (
                "names"
                if what == "label"
                else "[substring(relType, 2, size(relType) - 3)] AS names"
            )
            rows = self._read(
                f"CALL db.schema.{procedure} RETURN {returned}, name, types ORDER BY names, name"
            ).to_pylist()
            tables = sorted({table for row in rows for table in row["names"]})
            for table in tables:
                ours = table in known
                yield SchemaItem(
                    what, table, table if ours else "", table, "ok" if ours else "foreign"
                )
                if not ours:
                    continue
                kinds = {
                    row["name"]: " | ".join(row["types"])
                    for row in rows
                    if table in row["names"] and row["name"]
                }
                yield from properties_compared(table, kinds, engine="neo4j")
        for model, version in self._versions():
            yield SchemaItem(
                "version",
                model,
                str(SCHEMA_VERSION),
                str(version),
                "ok" if version == SCHEMA_VERSION else "outdated",
            )

    def _versions(self) -> list[tuple[str, int]]:
        rows = self._read(
            "MATCH (m:Model) WHERE m.schema_version IS NOT NULL "
            "RETURN m.key AS key, m.schema_version AS version ORDER BY key"
        )
        return [(row["key"], row["version"]) for row in rows.to_pylist()]

    def _check_schema(self) -> None:
        """`OutdatedError` where a model was loaded with another schema; asked once."""
        if self._current:
            return
        if error := outdated(self.address, self._versions()):
            raise error
        self._current = True

    def _drop_outdated(self) -> None:
        for item in self._structures():
            if item.state == "outdated":
                self._write(f"DROP {item.what.upper()} `{item.name.replace('`', '``')}` IF EXISTS")

    def _load(self, bundle: Bundle, lock: neo4j.Transaction, progress: Progress | None) -> None:
        model = bundle.table("Model").to_pylist()[0] | {
            "state": "loading",
            "schema_version": SCHEMA_VERSION,
        }
        self._write("MERGE (m:Model {key: $row.key}) SET m = $row RETURN 1", {"row": model})
        self._clear(bundle.model)
        for table in bundle.tables:
            if table != "Model":
                self._insert(table, bundle, progress)
                self._check_lock(lock)
        self._write(
            "MATCH (m:Model {key: $key}) SET m.state = 'ready' RETURN 1", {"key": bundle.model}
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[neo4j.Transaction]:
        """Keep other programs that write waiting: a key that is unique, taken in a transaction that
        is never committed.

        Nobody sees it, and the server lets go of it when the connection ends, however the process
        does.
        """
        with self._session(neo4j.WRITE_ACCESS) as session:
            transaction = session.begin_transaction(
                timeout=0
            )  # whatever limit the server has for transactions
            with waiting(self.address):
                transaction.run("CREATE (:Model {key: $key})", {"key": _LOCK}).consume()
            try:
                yield transaction
            finally:
                with contextlib.suppress(
                    Neo4jError, DriverError
                ):  # the server is gone, and the lock with it
                    transaction.rollback()

    def _check_lock(self, lock: neo4j.Transaction) -> None:
        """`StoreError` where the transaction that holds the lock is gone: another load may have
        begun meanwhile.
        """
        try:
            lock.run("RETURN 1").consume()
        except Neo4jError as error:
            raise StoreError(
                f"{self.address}: the server ended the transaction that keeps others away "
                f"({first_line(error.message or error)}), so "
                "the model is not marked as loaded; load it again"
            ) from error
        except DriverError as error:
            raise StoreError(
                f"{self.address}: the connection was lost on the way, so the model is not marked "
                "as loaded; load it again"
            ) from error

    def _insert(self, table: str, bundle: Bundle, progress: Progress | None) -> None:
        statement, total, done = insertion(table), bundle.rows(table), 0
        with ThreadPoolExecutor(self._sessions) as pool:
            for batches in grouped(bundle.batches(table, _BATCH), self._sessions):
                made = sum(
                    pool.map(
                        lambda batch: self._write(statement, {"rows": row_lists(table, batch)}),
                        batches,
                    )
                )
                if made != sum(batch.num_rows for batch in batches):
                    raise StoreError(
                        f"{bundle.path}: {table} names neurons that are not there; extract the "
                        "bundle again"
                    )
                done += made
                if progress:
                    progress(table, done, total)

    def _clear(self, model: str) -> None:
        """Delete what belongs to a model, all but its own node: relationships first, in bounded
        transactions.
        """
        self._write(
            "MATCH (:Model {key: $model})<-[r:ENRICHED_IN|PRESERVED_IN]-() DELETE r",
            {"model": model},
        )
        for label in NODES:
            if not shared(label):
                self._delete(f"MATCH (n:`{label}` {{model: $model}})", {"model": model})

    def _empty(self) -> None:
        """Delete everything of ours, of whatever schema, in bounded transactions; the models go
        last.
        """
        self._write("MATCH (m:Model) SET m.state = 'loading'")
        for label in reversed(NODES):
            self._delete(f"MATCH (n:`{label}`)", _NONE)

    def _delete(self, nodes: str, parameters: Mapping[str, Value]) -> None:
        """Delete the nodes ``n`` that a pattern finds: what enters them, what leaves them, then
        the nodes.
        """
        for rest in ("<-[r]-() WITH r", "-[r]->() WITH r", " WITH n"):
            statement = f"{nodes}{rest} LIMIT {_DELETED} DELETE {rest[-1]} RETURN count(*)"
            while self._write(statement, parameters):
                pass

    @contextlib.contextmanager
    def _explained(self, timeout: float | None = None) -> Iterator[None]:
        """Turn the driver's errors into a `StoreError` that names the address and the cure,
        never the password.
        """
        try:
            yield
        except AuthError as error:
            raise StoreError(
                f"{self.address}: the server refused user {self._user!r}; set NEO4J_USER and "
                "NEO4J_PASSWORD"
            ) from error
        except (ServiceUnavailable, SessionExpired) as error:
            raise StoreError(f"{self.address}: {unreachable(self._server)}") from error
        except Neo4jError as error:
            raise StoreError(self._explain(error, timeout)) from error
        except (
            DriverError,
            ConfigurationError,
            OSError,
            ValueError,
            TypeError,
            OverflowError,
        ) as error:
            raise StoreError(
                f"{self.address}: {first_line(error)}; look at the address and the parameters"
            ) from error

    def _explain(self, error: Neo4jError, timeout: float | None) -> str:
        code = error.code or ""
        if "TransactionTimedOut" in code or "Terminated" in code:
            limit = f"after {timeout:g} s" if timeout else "by the server"
            return (
                f"{self.address}: the query was stopped {limit}; narrow its pattern, or give "
                "it more with --timeout"
            )
        if "OutOfMemory" in code:
            return (
                f"{self.address}: this needs more memory than the server gives it; narrow its "
                "pattern or its lists, or give "
                "the server more (server.memory.heap.max_size)"
            )
        if "LockAcquisitionTimeout" in code:
            return (
                f"{self.address}: another program writes there, and the server lets nobody "
                "wait so long; try again later"
            )
        if "DatabaseNotFound" in code:
            return (
                f"{self.address}: the server has no database {self._database!r}; name "
                "another, as in neo4j://host:7687/neo4j"
            )
        if "AccessMode" in code:
            return (
                f"{self.address}: a query only reads, and this one writes; `circuitome load` "
                "and `drop` change a database"
            )
        if "Forbidden" in code:
            return (
                f"{self.address}: user {self._user!r} may not do that "
                f"({first_line(error.message or code or error)}); use another user"
            )
        return (
            f"{self.address}: {first_line(error.message or code or error)}; look at the "
            "query and its parameters"
        )


class _Structure(TypedDict):
    """A constraint or index, as the server shows it."""

    name: str
    type: str
    labelsOrTypes: list[str] | None
    properties: list[str] | None


def _meaning(row: _Structure) -> str:
    """Type, label and properties of a constraint or index, as in ``RANGE Neuron.kind``."""
    return (
        f"{row['type']} {'|'.join(row['labelsOrTypes'] or [])}.{','.join(row['properties'] or [])}"
    )
