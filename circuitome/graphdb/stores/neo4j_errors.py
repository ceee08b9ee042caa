"""The driver's errors in our words: they name the address and the cure, never the password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from circuitome.errors import first_line
from circuitome.graphdb.stores.neo4j_address import ServerAddress, unreachable
from circuitome.graphdb.stores.protocol import StoreError

__all__ = ["Interpreter"]

_STOPPED: Final = (
    "the query was stopped {limit}; narrow its pattern, or give it more with --timeout"
)
_CAUSES: Final = {
    "TransactionTimedOut": _STOPPED,
    "Terminated": _STOPPED,
    "OutOfMemory": "this needs more memory than the server gives it; narrow its pattern or its "
    "lists, or give the server more (server.memory.heap.max_size)",
    "LockAcquisitionTimeout": "another program writes there, and the server lets nobody wait so "
    "long; try again later",
    "DatabaseNotFound": "the server has no database {database!r}; name another, as in "
    "neo4j://host:7687/neo4j",
    "AccessMode": "a query only reads, and this one writes; `circuitome load` and `drop` change a "
    "database",
    "Forbidden": "user {user!r} may not do that ({reason}); use another user",
    "": "{reason}; look at the query and its parameters",
}
"""By what stands in the server's code; the first that does."""
_OUR_FAULT: Final = (DriverError, ConfigurationError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Tells a user of a server what its errors mean."""

    address: ServerAddress
    user: str

    @contextlib.contextmanager
    def explained(self, timeout: float | None = None) -> Iterator[None]:
        """Turn the driver's errors into a `StoreError`; ``timeout`` (seconds) is what a query
        had.
        """
        try:
            yield
        except AuthError as error:
            raise StoreError(
                f"{self.address}: the server refused user {self.user!r}; set NEO4J_USER and "
                "NEO4J_PASSWORD"
            ) from error
        except (ServiceUnavailable, SessionExpired) as error:
            raise StoreError(f"{self.address}: {unreachable(self.address.server)}") from error
        except Neo4jError as error:
            raise self._refusal(error, timeout) from error
        except (*_OUR_FAULT, OSError) as error:
            raise StoreError(
                f"{self.address}: {first_line(error)}; look at the address and the parameters"
            ) from error

    @contextlib.contextmanager
    def memory_asked_once(self) -> Iterator[None]:
        """Inside a transaction: where the memory is full, the driver would try again, and fill
        the server's memory again.
        """
        try:
            yield
        except Neo4jError as error:
            if "OutOfMemory" in (error.code or ""):
                raise self._refusal(error) from error
            raise

    def _refusal(self, error: Neo4jError, timeout: float | None = None) -> StoreError:
        code = error.code or ""
        cause = next(cause for sign, cause in _CAUSES.items() if sign in code).format(
            limit=f"after {timeout:g} s" if timeout else "by the server",
            database=self.address.database,
            user=self.user,
            reason=first_line(error.message or code or error),
        )
        return StoreError(f"{self.address}: {cause}")
