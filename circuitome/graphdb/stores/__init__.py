"""Stores: databases that hold bundles and answer Cypher, behind one small protocol.

A store is one module here; `open_store` picks it by the address. What a store cannot do is data
(`Store.unsupported`), not an ``if``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from circuitome.errors import CircuitomeError
from circuitome.graphdb.bundle import Bundle

__all__ = ["Progress", "Store", "StoreError", "open_store"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, rows done, rows in all."""


class StoreError(CircuitomeError):
    """A database that is not there, is not ours, or refuses a query."""


class Store(Protocol):
    """A database of connectomes.

    Two engines, one contract: same bundle in, same rows out.
    """

    dialect: str
    """Name of the Cypher dialect, ``kuzu`` or ``neo4j``: a query file ``name.<dialect>.cypher`` wins over ``name.cypher``."""

    unsupported: Mapping[str, str]
    """Names of what this engine cannot do, each with the reason."""

    def load(self, *bundles: Bundle, progress: Progress | None = None) -> None:
        """Put bundles in, replacing what the database has of the same models; ``ready`` only when all is in."""
        ...

    def run(self, cypher: str, parameters: Mapping[str, Any] = ..., *, timeout: float | None = None) -> pa.Table:
        """Rows of a reading query; ``timeout`` in seconds. It cannot write, and its parameters are checked both ways."""
        ...

    def models(self) -> list[dict[str, Any]]:
        """The models that are here, as rows of the `Model` table, whatever their state."""
        ...

    def drop(self, model: str) -> None:
        """Remove one model with everything that belongs to it; `StoreError` where it is not here."""
        ...

    def close(self) -> None:
        """Release the database; closing twice does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_store(address: str, *, create: bool = False) -> Store:
    """Open the database at ``address``: a file (embedded), or ``neo4j://``, ``bolt://``, ``neo4j+s://`` (server).

    ``create`` makes an embedded database where there is none (with the first `Store.load`); otherwise that is a
    `StoreError`. A server's database is named by the path, ``neo4j://host:7687/name``; user and password come from
    ``NEO4J_USER`` (``neo4j`` where it is not set) and ``NEO4J_PASSWORD``.
    """
    if "://" in address:
        from circuitome.graphdb.stores.neo4j import Neo4jStore

        return Neo4jStore(address)
    from circuitome.graphdb.stores.embedded import EmbeddedStore

    return EmbeddedStore(address, create=create)
