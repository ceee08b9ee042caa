"""The address of a server: its parts, and why no server answers there."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from circuitome.errors import first_line
from circuitome.graphdb.stores.protocol import StoreError

__all__ = ["split_address", "unreachable"]


def split_address(address: str) -> tuple[str, str | None]:
    """Address without the database, and the database."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in {
            f"{kind}{tls}" for kind in ("neo4j", "bolt") for tls in ("", "+s", "+ssc")
        }
        if (
            not known
            or not parts.hostname
            or (parts.port or 1) < 1
            or parts.query
            or parts.fragment
        ):
            raise ValueError
    except ValueError:
        raise StoreError(
            f"{_shown(address)}: not the address of a server; write neo4j://host:7687/database"
        ) from None
    if parts.username or parts.password:
        raise StoreError(
            f"{_shown(address)}: user and password do not belong in an address; set NEO4J_USER "
            "and NEO4J_PASSWORD"
        )
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or None


def _shown(address: str) -> str:
    """The address without what stands before an ``@``."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def unreachable(address: str) -> str:
    """Why no server answers, and the cure; a router does not say that TLS failed, so that is
    tried by itself.
    """
    parts = urlsplit(address)
    if "+s" in parts.scheme:
        context = ssl.create_default_context()
        context.check_hostname &= parts.scheme.endswith("+s")
        context.verify_mode = ssl.CERT_REQUIRED if context.check_hostname else ssl.CERT_NONE
        try:
            with socket.create_connection(
                (parts.hostname or "", parts.port or 7687), timeout=5
            ) as connection:
                context.wrap_socket(connection, server_hostname=parts.hostname).close()
        except ssl.SSLError as error:
            reason = (
                getattr(error, "verify_message", "")
                or (error.reason or "no handshake").replace("_", " ").lower()
            )
            return (
                f"no TLS connection ({first_line(reason)}); a server without TLS is neo4j://, "
                "one with a certificate of "
                "its own neo4j+ssc://, and SSL_CERT_FILE names further authorities to trust"
            )
        except OSError:
            pass
    return "no Neo4j server answers there; start one (`make neo4j`), or name another with --db"
