"""The instant of a dump. A session holds FLUSH TABLES WITH READ LOCK for as long as it takes until every client has
begun: while it does, nothing commits and nothing is written, so all of them see one state."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from ccdr.engines.mariadb.client import OURS, Login, answers, ask, read_answers
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.ports.capture import Tools
from ccdr.ports.place import Place, Session

PATIENCE = 30.0  # seconds that the session may take to answer, beside what it waits for
_NO_LOCK = re.compile(
    r"ERROR (?:1205|1969)\b|Lock wait timeout exceeded|max_statement_time exceeded|maximum statement execution time"
)


@dataclass(frozen=True)
class Instant:
    """What was true, and seen, while the lock was held. `lag` is what a replica was behind, in seconds."""

    point: datetime
    skew: float
    binlog: dict[str, Any] | None
    lag: float | None
    counts: dict[str, int]  # rows of the tables that are dumped under a lock


@dataclass(frozen=True)
class ReadLock:
    """Of one server."""

    place: Place
    login: Login
    tools: Tools

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """The one that is to hold it."""
        with self.place.session(self.login.asking()) as session:
            wait = max(1, ceil(self.tools.lock_wait))
            # Whatever becomes of us: the server ends a session that says nothing, and so its lock.
            gone = int(2 * wait + PATIENCE)
            _ask(session, f"{OURS} SET SESSION lock_wait_timeout={wait}, wait_timeout={gone};")
            yield session

    def taken(self, session: Session, counts: str, lag: float | None) -> Instant:
        """Have the lock, and look at what is true while it is held; `counts` is SQL that counts rows."""
        wait, clock = self.tools.lock_wait, self.tools.clock
        try:
            ask(session, "FLUSH TABLES WITH READ LOCK;", patience=wait + PATIENCE)
        except CommandFailed as error:
            if error.stalled or error.stderr.search(_NO_LOCK):
                raise BackupFailed(
                    f"ccdr got no read lock within {wait:g} s{self._in_the_way()}",
                    hint="back up at another time, end what is in the way, or use a longer `limits: lock_wait`",
                ) from None
            raise
        before = clock.now()
        source_clock = float(_ask(session, "SELECT UNIX_TIMESTAMP(NOW(6));"))
        after = clock.now()
        point = before if lag is None else before - timedelta(seconds=lag)
        counted = read_answers(_ask(session, counts))
        return Instant(
            point, skew(before, after, source_clock), _binlog(session), lag, {name: int(n) for name, n in counted}
        )

    def release(self, session: Session) -> None:
        """Leaving the session releases it too; this way it is known to be."""
        _ask(session, "UNLOCK TABLES;")

    def _in_the_way(self) -> str:
        """Statements that have run for about as long as we have waited: who, never what."""
        sql = f"""SELECT JSON_ARRAY(id, user, time) FROM information_schema.processlist
          WHERE command NOT IN ('Sleep', 'Daemon', 'Binlog Dump') AND time >= {int(self.tools.lock_wait)}
            AND user NOT IN ('system user', 'event_scheduler') AND id <> CONNECTION_ID() ORDER BY time DESC LIMIT 3;"""
        with contextlib.suppress(CommandFailed):
            connections = answers(self.place, self.login, sql, "looking for what is in the way")
            if connections:
                return ": in its way may be " + ", ".join(
                    f"connection {i} of {u}, for {t} s" for i, u, t in connections
                )
        return ""


def _ask(session: Session, sql: str) -> str:
    return ask(session, sql, patience=PATIENCE)


def _binlog(session: Session) -> dict[str, Any] | None:
    """Where the binary log stands: what is in it from here on is not in the dump. None where nothing is logged."""
    status = _ask(session, "SHOW MASTER STATUS;").strip()
    if not status:
        return None
    file, position = status.split("\t")[:2]
    return {"file": file, "position": int(position), "gtid": _ask(session, "SELECT @@global.gtid_binlog_pos;").strip()}
