"""The server store: Neo4j 5 through the official driver.

Constraints first, then nodes, then relationships in small batches, each its own managed transaction
(the driver retries what is transient and routes in a cluster). A model that is being loaded or
dropped has ``state = 'loading'``.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Final, cast

import neo4j
import pyarrow as pa
from neo4j.exceptions import DriverError, Forbidden, Neo4jError

from circuitome.errors import first_line
from circuitome.graphdb.bundle import Bundle
from circuitome.graphdb.ddl import SchemaItem, neo4j_constraints, neo4j_indexes
from circuitome.graphdb.reading import reading
from circuitome.graphdb.rows import ModelRow, Value, model_rows
from circuitome.graphdb.schema import NODES, SCHEMA_VERSION
from circuitome.graphdb.stores.amendments import checked, missing_end
from circuitome.graphdb.stores.neo4j_address import ServerAddress
from circuitome.graphdb.stores.neo4j_connection import Connection
from circuitome.graphdb.stores.neo4j_shape import contents, structures, versions
from circuitome.graphdb.stores.neo4j_statements import (
    deletion,
    grouped,
    insertion,
    row_lists,
    shared,
)
from circuitome.graphdb.stores.protocol import (
    NO_PARAMETERS,
    Amendment,
    Progress,
    Removal,
    StoreError,
    check_once,
    check_query,
    no_such_model,
    outdated,
    waiting,
)

__all__ = ["Neo4jStore"]

_BATCH: Final = (
    2_000  # rows a transaction: larger ones cost the server more than the round trips they save
)
_DELETED: Final = 10_000  # nodes or relationships a transaction
_ATOMIC: Final = 50_000  # rows of an amendment that one transaction takes
_SMALL: Final = 1_000  # rows; a poor plan costs less than planning all statements anew
_SESSIONS: Final = 2
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
        self._connection = Connection(
            ServerAddress.of(address),
            user=user or os.environ.get("NEO4J_USER") or "neo4j",
            password=password if password is not None else os.environ.get("NEO4J_PASSWORD"),
        )
        self.address = str(self._connection.address)
        self._explained = self._connection.errors.explained
        self._sessions = sessions
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
                self._replace_all()
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
        with self._explained(timeout):
            self._check_schema()
            return self._connection.read(cypher, parameters, timeout, most)

    def models(self) -> list[ModelRow]:
        """Rows of the `Model` table, by key."""
        with self._explained():
            return model_rows(self._connection.read(f"{reading('Model')} ORDER BY `key`"))

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

        with self._connection.session(neo4j.WRITE_ACCESS) as session:
            session.execute_write(work)

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it, in bounded transactions;
        `StoreError` where it is not here.
        """
        with self._explained():
            self._declare_lock()
            with self._alone() as lock:
                known = [row["key"] for row in self.models()]
                if model not in known:
                    raise no_such_model(self.address, model, known)
                self._mark("loading", model)
                self._clear(model)
                self._check_lock(lock)
                if known == [model]:
                    self._clear_shared()
                self._connection.write(
                    "MATCH (m:Model {key: $model}) DETACH DELETE m", {"model": model}
                )

    def inspect(self) -> list[SchemaItem]:
        """Constraints, indexes, labels, relationship types, properties and the models' schema
        version, against the schema.

        The server looks at every node and relationship for their properties: seconds for a million.
        """
        with self._explained():
            return [*structures(self._connection.read), *contents(self._connection.read)]

    def repair(self) -> list[SchemaItem]:
        """Drop outdated constraints and indexes and make the missing ones; what `inspect` says
        afterwards.
        """
        with self._explained():
            self._drop_outdated()
            self._declare({**neo4j_constraints(), **neo4j_indexes()})
            self._connection.read("CALL db.awaitIndexes(600)")
        return self.inspect()

    def close(self) -> None:
        """Close the connections; closing twice does nothing."""
        self._connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _declare(self, statements: Mapping[str, str]) -> None:
        """Make the constraints and indexes that are not there yet."""
        indexes = self._connection.read("SHOW INDEXES YIELD name RETURN name")
        there = set(indexes["name"].to_pylist())
        for name, statement in statements.items():
            if name not in there:
                self._connection.write(statement)

    def _declare_lock(self) -> None:
        """Make what `_alone` stands on."""
        self._declare({"Model_key": neo4j_constraints()["Model_key"]})

    def _drop_outdated(self) -> None:
        for item in list(structures(self._connection.read)):
            if item.state == "outdated":
                name = item.name.replace("`", "``")
                self._connection.write(f"DROP {item.what.upper()} `{name}` IF EXISTS")

    def _forget_plans(self) -> None:
        """Let the server count its indexes and plan anew. Plans for what the database held before
        are kept for ten seconds or more: one for an empty database looks at all relationships of a
        type for each row.
        """
        with contextlib.suppress(Forbidden):  # roles of Enterprise may not be allowed to
            self._connection.write("CALL db.prepareForReplanning(60)")

    def _check_schema(self) -> None:
        """`OutdatedError` where a model was loaded with another schema; asked once."""
        if self._current:
            return
        if error := outdated(self.address, versions(self._connection.read)):
            raise error
        self._current = True

    def _load(self, bundle: Bundle, lock: neo4j.Transaction, progress: Progress | None) -> None:
        model = bundle.table("Model").to_pylist()[0] | {
            "state": "loading",
            "schema_version": SCHEMA_VERSION,
        }
        self._connection.write(
            "MERGE (m:Model {key: $row.key}) SET m = $row RETURN 1", {"row": model}
        )
        self._clear(bundle.model)
        for table in bundle.tables:
            if table != "Model":
                self._insert(table, bundle, progress)
                self._check_lock(lock)
        self._mark("ready", bundle.model)

    def _mark(self, state: str, model: str) -> None:
        self._connection.write(
            "MATCH (m:Model {key: $model}) SET m.state = $state", {"model": model, "state": state}
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[neo4j.Transaction]:
        """Keep other programs that write waiting: a key that is unique, taken in a transaction that
        is never committed.

        Nobody sees it, and the server lets go of it when the connection ends, however the process
        does.
        """
        with self._connection.session(neo4j.WRITE_ACCESS) as session:
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
        statement, done = insertion(table), 0

        def send(batch: pa.RecordBatch) -> int:
            return self._connection.write(statement, {"rows": row_lists(table, batch)})

        with ThreadPoolExecutor(self._sessions) as pool:
            for batches in grouped(bundle.batches(table, _BATCH), self._sessions):
                made = sum(pool.map(send, batches))
                if made != sum(batch.num_rows for batch in batches):
                    raise StoreError(
                        f"{bundle.path}: {table} names neurons that are not there; extract the "
                        "bundle again"
                    )
                done += made
                if progress:
                    progress(table, done, bundle.rows(table))

    def _clear(self, model: str) -> None:
        """Delete what belongs to a model, all but its own node: relationships first, in bounded
        transactions.
        """
        self._connection.write(
            "MATCH (:Model {key: $model})<-[r:ENRICHED_IN|PRESERVED_IN]-() DELETE r",
            {"model": model},
        )
        for label in NODES:
            if not shared(label):
                self._delete(f"MATCH (n:`{label}` {{model: $model}})", {"model": model})

    def _clear_shared(self) -> None:
        """Delete the nodes that models share, where no model is left but one that goes."""
        for label in NODES:
            if shared(label) and label != "Model":
                self._delete(f"MATCH (n:`{label}`)")

    def _replace_all(self) -> None:
        """Delete everything of ours, of whatever schema, in bounded transactions, the models last;
        then drop what is outdated.
        """
        self._declare_lock()
        with self._alone():
            self._connection.write("MATCH (m:Model) SET m.state = 'loading'")
            for label in reversed(NODES):
                self._delete(f"MATCH (n:`{label}`)")
        self._drop_outdated()

    def _delete(self, nodes: str, parameters: Mapping[str, Value] = NO_PARAMETERS) -> None:
        """Delete the nodes ``n`` that a pattern finds: what enters them, what leaves them, then
        the nodes.
        """
        for rest in ("<-[r]-() WITH r", "-[r]->() WITH r", " WITH n"):
            statement = f"{nodes}{rest} LIMIT {_DELETED} DELETE {rest[-1]} RETURN count(*)"
            while self._connection.write(statement, parameters):
                pass
