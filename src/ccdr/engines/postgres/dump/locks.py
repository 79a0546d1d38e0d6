"""What pg_dump's locks keep, and what keeps pg_dump from them: asked while it runs, in a session that sees the present.

TRUNCATE, and whatever alters a table, waits for pg_dump's lock and commits as soon as that goes. So a table that is
another one after the dump tells nothing. One that was found locked, and then still the one that the snapshot knows, was
dumped as it was: that can be asked only before pg_dump ends.

"The one that the snapshot knows" goes for its file, its name and its columns: pg_dump learns names in its snapshot, and
locks and copies by them what bears them now. After a swap of names that is another table, whose rows are too new
for the snapshot; after one of columns it is a column that is NULL in every row of that time.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ccdr.engines.postgres.inventory import TABLES
from ccdr.host.interrupts import threads
from ccdr.model.errors import CommandFailed

SOON, OFTEN, GROWTH = 0.02, 0.5, 1.4  # seconds between two looks: at first, in the end, and how they grow
# First who holds locks, then what the tables are: the other way round a table could change in between. The list is
# asked for only where it has grown.
HELD = (
    """\
select count(*) as held, count(*) <> {known} as grown, coalesce(array_agg(l.relation), '{{}}') as tables,
  coalesce(bool_or(a.query like 'COPY %'), false) as copying
from pg_locks l join pg_stat_activity a using (pid)
where a.application_name = '{app}' and l.granted and l.locktype = 'relation' and l.mode = 'AccessShareLock'
  and l.relation >= 16384 and l.database = (select oid from pg_database where datname = current_database()) \\gset
\\echo :held :copying
\\if :grown
"""
    + TABLES.replace("{}", "{{}}").replace("ONES", "c.oid = any (:'tables'::oid[])")
    + "\\endif\n"
)
# There is no need to go on with a dump that lacks rows.
ENOUGH = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '{app}';"
# Whoever waits behind another one who waits is blocked by both: first those that wait for nobody.
WAITING = """\
select jsonb_build_object('table', w.relation::regclass, 'holder', h.pid, 'role', h.usename,
         'application', h.application_name, 'since', extract(epoch from h.xact_start), 'kind', h.backend_type)
from (select a.pid, l.relation, unnest(pg_blocking_pids(a.pid)) as by
      from pg_stat_activity a join pg_locks l on l.pid = a.pid and not l.granted and l.locktype = 'relation'
      where a.application_name = '{app}' and a.wait_event_type = 'Lock') w left join pg_stat_activity h on h.pid = w.by
order by h.wait_event_type is not distinct from 'Lock', h.xact_start limit 1;
"""
# An application gives itself its name: what reads like one is repeated, what could be a person or a number is not.
_NAME = re.compile(r"(?!.*\d{5})[A-Za-z][\w .:/+()-]{0,39}", re.ASCII)


@dataclass(frozen=True)
class Holder:
    """Who keeps pg_dump waiting; what that one asks is nobody's business."""

    table: str
    pid: int | None
    role: str | None
    application: str
    since: datetime | None

    def __str__(self) -> str:
        if self.pid is None:
            return "a prepared transaction (see pg_prepared_xacts)"
        who = [f"role {self.role}"] if self.role else []
        if self.application:
            who.append(self.application if _NAME.fullmatch(self.application) else "an application of an odd name")
        names = f" ({', '.join(who)})" if who else ""
        since = f", in a transaction since {self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else ""
        return f"process {self.pid}{names}{since}"


def holder_of(answer: Mapping[str, Any]) -> Holder:
    """One row of WAITING."""
    kind = answer["kind"]
    since = answer["since"]
    return Holder(
        table=str(answer["table"]),
        pid=answer["holder"],
        role=answer["role"] or (None if kind == "client backend" else kind),
        application=answer["application"] or "",
        since=None if since is None else datetime.fromtimestamp(float(since), UTC),
    )


@dataclass(frozen=True)
class TableState:
    """What one was or is: by whichever of these a dump of it may go wrong."""

    namespace: int
    schema: str
    name: str
    file: int
    columns: int | None


Tables = Mapping[int, TableState]


def tables_of(answer: str) -> dict[int, TableState]:
    """What TABLES gives, by OID."""
    return {int(oid): TableState(*fields) for oid, fields in json.loads(answer).items()}


@dataclass
class Locks:
    """`known`: what the snapshot knows. `redefined` gives the names of what else was defined anew until now. `safe`:
    tables (by OID) that were dumped as the snapshot has them. `rewritten`: names of what was not, since it was another
    one before pg_dump locked or read it; then it is stopped. `copying`: has it read all definitions? `holder`: who kept
    pg_dump waiting last, unless it had its lock in the end."""

    known: Tables
    redefined: Callable[[], Collection[str]] = tuple
    safe: set[int] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    copying: bool = False
    holder: Holder | None = None
    _held: int = 0

    def poll(self, ask: Callable[[str], str], app: str) -> None:
        """`ask` gives the session's answer to SQL; pg_dump is known by its application's name, a plain word. First
        whether it waits: one that holds locks after it did not wait has what it waited for, and has not given up."""
        waiting = ask(WAITING.format(app=app)).strip()
        held, _, tables = ask(HELD.format(known=self._held, app=app)).partition("\n")
        count, copying = held.split()
        self._held = int(count)
        for oid, table in tables_of(tables or "{}").items():
            if (was := self.known.get(oid)) == table:
                self.safe.add(oid)
            elif was is not None:
                self.rewritten.add(was.name)
        if copying == "t" and not self.copying:
            self.rewritten |= {*self.redefined()}
            self.copying = True
        if self.rewritten:
            ask(ENOUGH.format(app=app))
        if waiting:
            self.holder = holder_of(json.loads(waiting))
        elif self._held:
            self.holder = None

    def changed(self, now: Tables) -> list[str]:
        """The tables that may not have been dumped as the snapshot has them, now that pg_dump has ended. Whoever
        renames a schema waits for no table's lock."""
        return [was.name for oid, was in self.known.items() if self._may_have_changed(oid, was, now.get(oid))]

    def _may_have_changed(self, oid: int, was: TableState, now: TableState | None) -> bool:
        if oid not in self.safe:
            return was != now
        return now is not None and now.namespace == was.namespace and now.schema != was.schema


@contextlib.contextmanager
def watched(locks: Locks, ask: Callable[[str], str], app: str, lock_wait: float) -> Iterator[None]:
    """Look again and again until the block is left; nobody else may use the session meanwhile. However slowly the
    server answers, who keeps pg_dump waiting is looked for before it gives up, after `lock_wait` seconds."""
    over = threading.Event()

    def looking() -> None:
        pause = SOON
        with contextlib.suppress(CommandFailed, ValueError):  # whoever asks next is told what is wrong with the session
            while not over.wait(pause):
                began = time.monotonic()
                locks.poll(ask, app)
                spared = min(5 * (time.monotonic() - began), lock_wait / 4)  # the server has other work
                pause = max(min(pause * GROWTH, OFTEN), spared)

    with threads(1) as pool:
        doing: Future[None] = pool.submit(looking)
        try:
            yield
        finally:
            over.set()
            doing.result()
