"""How a source's client is connected, where the server itself does not tell: by a handshake of our own."""

from __future__ import annotations

from ccdr.engines.servers.connection import Peer
from ccdr.host.tls import handshake
from ccdr.model.tls import Tls
from ccdr.ports.engine import Engine


def tls_seen(engine: Engine) -> Tls | None:
    """Of a server that is reached by verified TLS; None of any other, and where it does not answer this host. Redis'
    client compares no names, so nobody does here."""
    connection = getattr(engine, "connection", None)
    if not isinstance(connection, Peer) or not connection.verified_tls:
        return None
    certificate, key = getattr(connection, "cert_file", None), getattr(connection, "key_file", None)
    port, ca = getattr(connection, "port", 0), getattr(connection, "ca_file", None)
    own = (certificate, key) if certificate is not None and key is not None else None
    return handshake(connection.host, port, ca_file=ca, named=False, own=own)
