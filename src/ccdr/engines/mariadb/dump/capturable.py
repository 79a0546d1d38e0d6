"""Whether there is something to dump, and all of it can be dumped truly: asked before each attempt, and by `ccdr
doctor`."""

from __future__ import annotations

from collections.abc import Collection

from ccdr.engines.mariadb.client import Login, foreign_characters
from ccdr.engines.mariadb.objects import Objects, broken_views
from ccdr.model.errors import BackupFailed
from ccdr.model.values import so_many
from ccdr.ports.place import Place


def require_characters(place: Place, login: Login) -> None:
    """BackupFailed where the server has mariadb-dump write other characters than there are."""
    if foreign := foreign_characters(place, login):
        raise BackupFailed(
            f"the server makes a session of this user {foreign}, in place of utf8mb4: a dump would hold `?` for "
            "characters that this lacks",
            hint="init_connect does it: SET NAMES utf8mb4 there, or GRANT CONNECTION ADMIN ON *.* TO this user, for "
            "whom it does not run; or skip-character-set-client-handshake does: start the server without that",
        )


def require_leavable(objects: Objects, leave_out: Collection[str]) -> None:
    """BackupFailed where the plan would leave out rows: of a view there is nothing but its definition."""
    if tables := sorted({t.name for t in objects.tables} & set(leave_out)):
        raise BackupFailed(
            f"leave_out names what is no view: {', '.join(tables[:5])}",
            hint="leave a table in: its rows would be in no backup",
        )


def require_working(place: Place, login: Login, database: str, objects: Objects) -> None:
    """BackupFailed where a view does not work: mariadb-dump stops at it."""
    if not objects.views:
        return
    if broken := [name for name in broken_views(place, login, database) if name in objects.views]:
        many = "a view does" if len(broken) == 1 else f"{len(broken)} views do"
        raise BackupFailed(
            f"{many} not work: {', '.join(broken[:5])}; what it reads is gone, or its definer or this"
            " user may not read it",
            hint="mend or drop it at the source (or GRANT what this user lacks of another database); or name it in the "
            "asset's `leave_out:`, and it is in no backup",
        )


def require_capturable(objects: Objects, database: str, *, lock: bool) -> None:
    """BackupFailed where there is nothing to capture, or something that cannot be captured truly. `lock`: may tables
    be locked while they are dumped?"""
    if objects.nothing:
        raise BackupFailed(
            f"{database} holds nothing, and an empty dump is no backup",
            hint="is it the right database, and may the user see what is in it?",
        )
    if objects.unreadable:
        raise BackupFailed(
            f"not every table can be captured: {'; '.join(objects.unreadable[:5])}",
            hint="mend or drop what cannot be opened; a table of another engine holds its rows elsewhere",
        )
    if objects.locked and not lock:
        named = ", ".join(f"{t.name} ({t.engine})" for t in objects.locked[:5])
        count = so_many(len(objects.locked), "table is", "tables are")
        raise BackupFailed(
            f"{count} not transactional, and would be torn without a lock: {named}",
            hint="`non_transactional: lock` locks them while they are dumped; or ALTER TABLE … ENGINE=InnoDB",
        )
