"""Rows of MEMORY tables, which go with the server that is ended at last: kept in its home as statements, for a person,
and for a server that is opened again. A copy of a server's files has those that came beside it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from ccdr.engines.mariadb import memory_rows, server
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.memory_rows import MemoryRows
from ccdr.engines.mariadb.new_server.private_server import copied
from ccdr.model.errors import TestBroken
from ccdr.model.values import Manifest, so_many
from ccdr.ports.new_server import HOME
from ccdr.ports.place import Place

FILE = "memory.sql"  # below the home
_REFILL = f"{shlex.join(server.LOGIN.client(f'--init-command=SET SESSION {AS_THEY_ARE}'))} < {HOME}/{FILE}"
STARTING = 24  # times, five seconds apart, that a client knocks at a server which was started just now


def in_memory(manifest: Manifest) -> list[str]:
    """Of a dump: its MEMORY tables that hold rows."""
    if copied(manifest):
        return []
    return [n for n, t in Inventory(manifest.contents).tables.items() if t["engine"] == "MEMORY" and int(t["rows"])]


def kept(manifest: Manifest) -> list[str]:
    """The tables whose rows are in the home."""
    beside = MemoryRows.of(manifest) if copied(manifest) else None
    return sorted(map(memory_rows.named, beside.tables)) if beside else in_memory(manifest)


def notes(manifest: Manifest, home: Path) -> Iterator[str]:
    """What a person should know of them; `home` is the new server's."""
    tables = kept(manifest)
    if copied(manifest) and not tables and (lost := manifest.contents["memory_tables"]):
        yield f"{so_many(len(lost), 'MEMORY table comes', 'MEMORY tables come')} back empty"
    if tables:
        yield (
            f"{so_many(len(tables), 'MEMORY table')} ({', '.join(tables[:5])}) will be empty when it is opened:"
            f" what they held is in {home / FILE}, for `mariadb --comments --binary-mode < FILE`"
        )


def keep_beside(box: Place, manifest: Manifest) -> None:
    """As they came beside a copy of which no log is applied: as they were a moment after it."""
    if kept(manifest):
        box.run(
            ["install", "-m", "600", f"{HOME}/{memory_rows.FILE}", f"{HOME}/{FILE}"],
            what="keeping the rows of MEMORY tables",
        )


def keep_anew(box: Place, manifest: Manifest) -> None:
    """As they are now, each with the number that comes next: it goes with the rows."""
    if kept(manifest):
        box.run(["sh", "-c", f"umask 077; : > {HOME}/{FILE}"], what="keeping the rows of MEMORY tables")
        for database, tables in memory_rows.by_database(box, server.LOGIN):
            argv = memory_rows.dumping(box, server.LOGIN, f"{HOME}/{FILE}", database, tables, anew=True)
            box.run(argv, what="keeping the rows of MEMORY tables")


def fill_again(box: Place, manifest: Manifest) -> None:
    """TestBroken where a trigger would act on their rows once more."""
    if kept(manifest):
        objects = Inventory(manifest.contents).objects.items()
        acting = " ".join(told for name, told in objects if name.startswith("trigger "))
        if any(f" INSERT of {table}," in acting for table in in_memory(manifest)):  # of a copy, none has a trigger
            raise TestBroken(
                "a MEMORY table has lost its rows, and a trigger would act on them once more",
                hint="begin again, into a directory that is not there yet",
            )
        box.run(["sh", "-c", _REFILL], what="filling MEMORY tables")


def lines(manifest: Manifest, home: Path, socket: Path) -> tuple[str, ...]:
    """For a person to fill them once it is opened, as whom the server lets in by its socket without a password."""
    if not kept(manifest):
        return ()
    as_they_are = f"--init-command=SET SESSION {AS_THEY_ARE}"
    argv = ["mariadb", f"--socket={socket}", "--comments", "--binary-mode", as_they_are]
    wait = shlex.join(["mariadb-admin", f"--socket={socket}", f"--wait={STARTING}", "ping"])
    return wait, f"{shlex.join(argv)} < {shlex.quote(str(home / FILE))}"
