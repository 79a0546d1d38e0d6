"""What this host lacks to run the new server by itself: programs, libraries, locales."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ccdr.engines.postgres.connection import major_of
from ccdr.engines.postgres.inventory import Inventory
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

PROGRAMS, SHARED = Path("/usr/lib/postgresql"), Path("/usr/share/postgresql")  # as Debian's packages have them


def lacks(host: Place, inventory: Inventory, libraries: Collection[str], locales: Collection[str]) -> str:
    """One phrase; empty where it has everything."""
    major = major_of(inventory.version)
    programs, shared = PROGRAMS / major, SHARED / major
    if not (programs / "bin" / "postgres").exists():
        return f"this host has no PostgreSQL {major} of Debian's (postgresql-{major})"
    missing = [f"the library {name}" for name in libraries if not (programs / "lib" / f"{name}.so").exists()]
    extensions = sorted(inventory.extensions)
    missing += [f"the extension {n}" for n in extensions if not (shared / "extension" / f"{n}.control").exists()]
    missing += [f"the locale {name}" for name in sorted(_missing(host, locales))]
    return f"this host lacks {', '.join(missing)}" if missing else ""


def _missing(host: Place, locales: Collection[str]) -> set[str]:
    try:
        known = {_plain(line) for line in host.run(["locale", "-a"]).stdout.splitlines()}
    except CommandFailed:
        return set()  # nobody knows
    return {name for name in locales if _plain(name) not in known}


def _plain(locale: str) -> str:
    """`en_US.UTF-8` and `en_US.utf8` are one."""
    name, dot, encoding = locale.partition(".")
    return name + dot + re.sub(r"[^a-z0-9]", "", encoding.lower())
