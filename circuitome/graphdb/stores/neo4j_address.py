"""The address of a server: its parts, and why no server answers there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from circuitome.errors import first_line
from circuitome.graphdb.stores.protocol import StoreError

__all__ = ["ServerAddress", "unreachable"]

_SCHEMES: Final = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Which database of which server; as text it is what a message names."""

    server: str
    """Scheme, host and port."""
    database: str | None
    """None: the user's home database."""

    @classmethod
    def of(cls, text: str) -> ServerAddress:
        """The address ``neo4j://host:7687/database``; `StoreError` for any other text."""
        parts = _parts(text)
        if parts is None:
            raise StoreError(
                f"{_shown(text)}: not the address of a server; write neo4j://host:7687/database"
            )
        if parts.username or parts.password:
            raise StoreError(
                f"{_shown(text)}: user and password do not belong in an address; set NEO4J_USER "
                "and NEO4J_PASSWORD"
            )
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or None)

    def __str__(self) -> str:
        return f"{self.server}/{self.database}" if self.database else self.server


def _parts(address: str) -> SplitResult | None:
    """The parts of a server's address; None where it is none."""
    with contextlib.suppress(ValueError):  # brackets or a port that are none
        parts = urlsplit(address)
        extra = parts.query or parts.fragment
        if parts.scheme in _SCHEMES and parts.hostname and (parts.port or 1) >= 1 and not extra:
            return parts
    return None


def _shown(address: str) -> str:
    """The address without what stands before an ``@``."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def unreachable(server: str) -> str:
    """Why no server answers, and the cure; a router does not say that TLS failed, so that is
    tried by itself.
    """
    parts = urlsplit(server)
    if "+s" in parts.scheme and (fault := _tls_fault(parts)):
        return (
            f"no TLS connection ({first_line(fault)}); a server without TLS is neo4j://, "
            "one with a certificate of "
            "its own neo4j+ssc://, and SSL_CERT_FILE names further authorities to trust"
        )
    return "no Neo4j server answers there; start one (`make neo4j`), or name another with --db"


def _tls_fault(server: SplitResult) -> str:
    """What is wrong with a server's TLS; empty where it is sound, or nobody answers."""
    place = (server.hostname or "", server.port or 7687)
    context = ssl.create_default_context()
    context.check_hostname &= server.scheme.endswith("+s")
    context.verify_mode = ssl.CERT_REQUIRED if context.check_hostname else ssl.CERT_NONE
    try:
        with socket.create_connection(place, timeout=5) as connection:
            context.wrap_socket(connection, server_hostname=server.hostname).close()
    except ssl.SSLError as error:
        reason = (error.reason or "no handshake").replace("_", " ").lower()
        return getattr(error, "verify_message", "") or reason
    except OSError:
        pass
    return ""
