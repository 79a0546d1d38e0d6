"""The sandbox's own server: where it lies, how it is set up, how it is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from ccdr.engines.postgres.connection import OWN_OPTIONS, major_of, newer_options, untriggered
from ccdr.engines.servers.sandbox import require_major
from ccdr.model.answers import FreeText
from ccdr.ports.place import Place

SOCKETS, DATA = "/ccdr/run", "/var/lib/postgresql"  # in the sandbox
CLUSTER, LOG = f"{DATA}/ccdr", "/tmp/ccdr-server.log"  # noqa: S108 - inside the sandbox
# A server for one afternoon: it need not survive a crash, so it need not write everything twice.
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def fitting_version(box: Place, captured: str) -> str:
    """The image's version; TestBroken where its major is not that of the `captured` one."""
    output = box.run(["postgres", "--version"]).stdout
    version = cast("re.Match[str]", re.search(r"\d[\d.]*", output))[0]
    require_major("PostgreSQL", version, captured, (major_of(version), major_of(captured)), "postgres")
    return version


def settings(memory: int, *, throwaway: bool, timezone: str, lc_monetary: str | None) -> dict[str, str]:
    """What any sandbox's server is set to. `memory` is in bytes; the rest is the source's."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": SOCKETS,
        "shared_buffers": f"{(memory >> 20) // 8}MB",
        "maintenance_work_mem": f"{(memory >> 20) // 8}MB",
        "max_wal_size": "1GB",
        "max_locks_per_transaction": "256",
        "lc_messages": "C",  # we read its errors
        "timezone": timezone,
        "logging_collector": "off",
    }
    if lc_monetary:
        options["lc_monetary"] = lc_monetary
    return options | THROWAWAY if throwaway else options


def last_words(box: Place, lines: int = 5) -> FreeText:
    """The end of the server's log: so many lines."""
    return FreeText(box.run(["sh", "-c", f"tail -n {lines} {LOG}"], ok=range(256)).stdout)


def environment(user: str, database: str, version: str) -> Mapping[str, str]:
    """libpq's variables for the sandbox's server, of this version."""
    options = OWN_OPTIONS + newer_options(version) + untriggered(version)
    return {"PGHOST": SOCKETS, "PGUSER": user, "PGDATABASE": database, "PGAPPNAME": "ccdr", "PGOPTIONS": options}
