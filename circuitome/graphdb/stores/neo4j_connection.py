"""A connection to a server: statements in transactions, each tried again where that may help."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, cast

import neo4j
import pyarrow as pa
from neo4j.exceptions import DriverError, Neo4jError

from circuitome.graphdb.rows import Value
from circuitome.graphdb.stores.awaiting import awaited
from circuitome.graphdb.stores.neo4j_address import ServerAddress
from circuitome.graphdb.stores.neo4j_errors import Interpreter
from circuitome.graphdb.stores.neo4j_values import table_of
from circuitome.graphdb.stores.protocol import NO_PARAMETERS, StoreError

__all__ = ["Connection"]

_GRACE: Final = 10.0  # seconds after a time-out in which a server has to say that it stopped
_FOREVER: Final = 1e9  # seconds; a lock takes no more
logging.getLogger("neo4j").addHandler(
    logging.NullHandler()
)  # else its retries are told on stderr, beside our message


class Connection:
    """A connection to one database; nothing is sent before the first statement.

    The driver's errors come as they are, but for a full memory; `Interpreter.explained` turns
    them into ours.
    """

    def __init__(self, address: ServerAddress, *, user: str, password: str | None) -> None:
        self.address = address
        self.errors = Interpreter(address, user)
        self._user = user
        self._password = password
        self._driver: neo4j.Driver | None = None
        self._bookmarks = (
            neo4j.GraphDatabase.bookmark_manager()
        )  # in a cluster, reads see what this connection wrote

    def read(
        self,
        cypher: str,
        parameters: Mapping[str, Value] = NO_PARAMETERS,
        timeout: float | None = None,
        most: int | None = None,
    ) -> pa.Table:
        """Rows of a statement, the first ``most``; ``timeout`` in seconds."""
        given_up = threading.Event()

        @neo4j.unit_of_work(timeout=timeout)
        def work(transaction: neo4j.ManagedTransaction) -> pa.Table:
            if given_up.is_set():
                raise StoreError(f"{self.address}: nobody waits for this any more")
            with self.errors.memory_asked_once():
                result = transaction.run(cast(Any, cypher), dict(parameters))
                records = itertools.islice(result, most)
                return table_of(result.keys(), [record.values() for record in records])

        def ask() -> pa.Table:
            with self.session(neo4j.READ_ACCESS) as session:
                return session.execute_read(work)

        return self._answer(ask, timeout, given_up)

    def _answer(
        self, ask: Callable[[], pa.Table], timeout: float | None, given_up: threading.Event
    ) -> pa.Table:
        """What ``ask`` gives; inside one expression, such as `reduce`, a server sees no time-out,
        and the driver hears no Ctrl-C, so another thread asks.
        """

        def stop(_: Future[pa.Table]) -> None:
            given_up.set()
            self.close()  # the server ends what nobody is connected to

        seconds = min(timeout, _FOREVER) + _GRACE if timeout else None
        try:
            return awaited(ask, stop=stop, seconds=seconds)
        except TimeoutError:
            raise StoreError(
                f"{self.address}: the server did not stop the query after {timeout or 0:g} s, so "
                "nobody waits for it any more; narrow its lists and patterns (the server may be "
                "busy with it for long: `SHOW TRANSACTIONS` there)"
            ) from None

    def write(self, cypher: str, parameters: Mapping[str, Value] = NO_PARAMETERS) -> int:
        """Run one statement in a transaction of its own; the first value of its first row, else
        0.
        """

        def work(transaction: neo4j.ManagedTransaction) -> int:
            record = transaction.run(cast(Any, cypher), dict(parameters)).single()
            return record[0] if record else 0

        with self.session(neo4j.WRITE_ACCESS) as session:
            return session.execute_write(work)

    def session(self, mode: str) -> neo4j.Session:
        """A session of the driver, to read or to write."""
        return self._connected().session(
            database=self.address.database,
            default_access_mode=mode,
            bookmark_manager=self._bookmarks,
        )

    def close(self) -> None:
        """Close the connections; closing twice does nothing."""
        if self._driver is not None:
            self._driver.close()
        self._driver = None

    def _connected(self) -> neo4j.Driver:
        if self._driver is None:
            if self._password is None:
                raise StoreError(
                    f"{self.address}: no password for user {self._user!r}; set NEO4J_PASSWORD "
                    "(and NEO4J_USER)"
                )
            self._driver = _driver(self.address.server, self._user, self._password)
        return self._driver


def _driver(server: str, user: str, password: str) -> neo4j.Driver:
    """A driver whose server answers."""
    driver = neo4j.GraphDatabase.driver(
        server,
        auth=(user, password),
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
    return driver
