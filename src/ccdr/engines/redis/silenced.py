"""What a restored Redis or Valkey server does not do by itself until somebody says so: follow another server, or be one
of several."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.engines.servers.silenced import Silenced

# Never taken over, wherever they stood.
SILENCED = frozenset(("replicaof", "slaveof", "cluster-enabled", "cluster-config-file", "masterauth", "masteruser"))


def silenced(*, replica: bool, client: str) -> Iterator[Silenced]:
    """`client` is one of the new server."""
    if replica:
        yield Silenced("it was a replica, and follows nobody", f"{client} REPLICAOF HOST PORT")
