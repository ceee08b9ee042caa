"""A store by its address."""

from __future__ import annotations

from circuitome.graphdb.stores.protocol import Store

__all__ = ["open_store"]


def open_store(address: str, *, create: bool = False, memory: str | None = None) -> Store:
    """Open the database at ``address``: a file (embedded), or ``neo4j://``, ``bolt://``,
    ``neo4j+s://`` (server).

    ``create`` makes an embedded database where there is none (with the first `Store.load`);
    otherwise that is a `StoreError`. ``memory`` is what the embedded engine may have, such as
    ``8GiB``; otherwise ``CIRCUITOME_MEMORY``, or half of what is free. A server's database is named
    by the path, ``neo4j://host:7687/name``; user and password come from ``NEO4J_USER`` (``neo4j``
    where it is not set) and ``NEO4J_PASSWORD``.
    """
    if "://" in address:
        from circuitome.graphdb.stores.neo4j import Neo4jStore

        return Neo4jStore(address)
    from circuitome.graphdb.stores.embedded import EmbeddedStore

    return EmbeddedStore(address, create=create, memory=memory)
