"""The write-ahead log as it is shipped: `pg_receivewal` with a replication slot, into a spool; and the canary, a row
that ccdr renews so that what a restore reached can be read from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from secrets import token_hex

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres import points
from ccdr.engines.postgres import segments as timelines
from ccdr.engines.postgres.connection import STRICT, Connection, answer
from ccdr.engines.postgres.segments import (
    SEGMENT,
    SEGMENT_BYTES,
    anything_behind,
    flaw_of,
    forks_in,
    head_of,
    made_whole,
    number,
    number_of,
    page_begun,
    segment_name,
    segments_in,
    timeline_of,
)
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed
from ccdr.model.finding import Finding, at_least, at_most
from ccdr.model.forks import Fork
from ccdr.model.measure import skew
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.log import LogMark, RecoveryTarget, Segment
from ccdr.ports.place import Clock, Source

# The replication slot, which keeps at the source what was not received yet: its name, how there is one, and what it
# may do to its source.

SLOT_LENGTH = 63
NEARLY = 0.5  # of what the source may keep for the slot
# SQLSTATE: it exists, or does not, since we looked. A backup and whatever ships the log see to it that there is a slot,
# and may do so at the same time.
MEANWHILE = re.compile(r"\b(42710|42704)\b")
_SQL = [*STRICT, "-v", "VERBOSITY=verbose", "-c"]
STATE = """\
select pg_is_in_recovery(), current_setting('wal_level'),
  pg_size_bytes(current_setting('wal_segment_size')),
  coalesce(nullif((select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'), -1) * 1048576, -1),
  coalesce((select coalesce(wal_status, '?') from pg_replication_slots where slot_name = '{slot}'), ''),
  coalesce((select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint from pg_replication_slots
            where slot_name = '{slot}' and not pg_is_in_recovery()), 0);
"""


def nearly(keep: int, shipping: LogShipping) -> float:
    """Bytes of log that a source may keep for a slot before it is told. `keep` is its max_slot_wal_keep_size in bytes;
    negative: all there is. What is free on its disk no query tells, so the limit of the spool stands in for that: it is
    what the plan says of how much may wait."""
    return NEARLY * (keep if keep >= 0 else shipping.spool_limit)


def slot_name(name: str) -> str:
    """As PostgreSQL allows it, and unlike that of any other asset, whatever becomes the same by what is allowed."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    allowed = re.sub(r"[^a-z0-9_]", "_", f"ccdr_{name}")
    return f"{allowed[: SLOT_LENGTH - 1 - len(digest)]}_{digest}"


def threats(keep: int, behind: int, shipping: LogShipping) -> Iterator[Finding]:
    """What the log that is kept for a slot may do to its source; `keep` as in `nearly`, `behind` in bytes."""
    if keep < 0:
        yield Finding(
            "max_slot_wal_keep_size is not set: a slot whose log is not fetched fills the source's disk; set it to "
            "what its disk can spare",
            "max_slot_wal_keep_size",
        )
        if behind > nearly(keep, shipping):
            yield Finding(
                f"the source keeps {human_bytes(behind)} of log for us, and will until its disk is full: find"
                " out why it is not received",
                "log kept for us",
                (at_most(behind),),
            )
    elif behind > nearly(keep, shipping):
        yield Finding(
            f"the source keeps {human_bytes(behind)} of log for us and gives up at {human_bytes(keep)}: "
            "then a new base backup is needed",
            "log kept for us, up to a limit",
            (at_most(behind), at_least(keep)),
        )


def with_slot(run: Callable[[list[str], str], None], slot: str, state: str) -> Iterator[Finding]:
    """There is one then; what threatens it. `run` has a program run, and is content where somebody else
    has done its work (MEANWHILE); `state` is the slot's, none where it is not there."""
    if state == "lost":
        run([*_SQL, f"select from pg_drop_replication_slot('{slot}')"], "dropping the lost slot")
        text = f"the source gave the slot {slot} up and removed log that was not received: a gap"
        yield Finding(text, f"slot {slot} given up")
        state = ""
    if not state:
        # pg_receivewal's own --create-slot reserves nothing until it first receives.
        sql = f"select from pg_create_physical_replication_slot('{slot}', true)"
        run([*_SQL, sql], "creating the replication slot")


# The canary: a row that ccdr renews on the source, so that what a restore reached can be read from it.

CANARY = """\
create schema if not exists ccdr;
create table if not exists ccdr.heartbeat (id int primary key check (id = 1), at timestamptz not null);
insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();
"""
# "If not exists" looks before it makes: of two who do at the same time one is told by these.
_MEANWHILE = r"pg_namespace_nspname_index|pg_type_typname_nsp_index|pg_class_relname_nsp_index"
MAY_COLLIDE = 3  # the schema, the table's type, the table: each once
BEAT = "insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();"


def make_canary(ask: Callable[[str], object], connection: Connection) -> None:
    """Its table, and the first beat; `ask` carries out SQL. BackupFailed where the role may not."""
    try:
        for left in range(MAY_COLLIDE, -1, -1):
            try:
                ask(CANARY)
                break
            except CommandFailed as error:
                if not left or not error.stderr.search(_MEANWHILE):
                    raise
    except CommandFailed as error:
        if "permission denied" not in error.stderr:
            raise
        raise BackupFailed(
            f"the canary cannot be kept: {error}; as a superuser: {canary_grant(connection)}",
            hint="or leave `canary:` out of `log_shipping:`",
        ) from None


def canary_grant(connection: Connection) -> str:
    """Asked for even where its schema is there already."""
    return f"GRANT CREATE ON DATABASE {connection.database} TO {connection.user};"


# The slot keeps at the source what was not received yet, so nothing is lost while the receiver is away; that it may
# fill the source's disk is what `ready` looks at. `--synchronous` has each write on disk, and told to the source, at
# once: so the source tells how far a spool durably reaches. It goes by the name of our own receiver, and the spool is
# looked at too: a slot goes forward by whoever receives.

ANSWER = 20.0  # seconds
# Who reads the slot has come how far; the last column is for anybody to choose.
PROGRESS = """\
select coalesce(s.active_pid, 0),
  coalesce(coalesce(r.flush_lsn, case when r.state is null then s.restart_lsn end) >= '{position}', false),
  coalesce(a.application_name, '')
from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid
  left join pg_stat_activity a on a.pid = s.active_pid
where s.slot_name = '{slot}';
"""


@dataclass(frozen=True)
class Wal:
    """`ShippedLog` of one cluster."""

    connection: Connection
    shipping: LogShipping
    name: str  # the asset's, unlike any other's
    receiving: str = field(default_factory=lambda: _receiving(), compare=False)  # what our receiver calls itself

    @property
    def slot(self) -> str:
        return slot_name(self.name)

    def ready(self, source: Source) -> Iterator[Finding]:
        state = STATE.format(slot=self.slot)
        standby, level, size, keep, status, behind = self._ask(source, state).split("|")
        if standby == "t":
            raise BackupFailed("the server is a standby", hint="ship the log of the primary: name it in `connection:`")
        if level == "minimal":
            raise BackupFailed("the server writes too little log", hint="set wal_level = replica there, and restart it")
        if int(size) != SEGMENT_BYTES:
            raise BackupFailed(
                f"the server's log segments have {human_bytes(int(size))}",
                hint="only clusters of the usual 16 MiB can ship their log yet",
            )
        yield from with_slot(partial(self._run, source), self.slot, status)
        if self.shipping.canary is not None:
            make_canary(lambda sql: self._ask(source, sql), self.connection)
        yield from threats(int(keep), int(behind), self.shipping)

    def identity(self, source: Source) -> str:
        return self._ask(source, "select system_identifier from pg_control_system();")

    def made_new(self, mark: str) -> str | None:
        return None  # the copy of a cluster keeps its identifier, and writes a timeline of its own

    def receiver(
        self, source: Source, spool: Path, after: str | None, needed: str | None, *, stored: bool
    ) -> tuple[list[str], dict[str, str]]:
        self._begin_anew(source, spool, stored=stored)
        made_whole(spool)
        argv = ["pg_receivewal", "-w", "-D", source.place.path(spool), "--slot", self.slot]
        return [*argv, "--synchronous", "--no-loop"], {**self._env(source), "PGAPPNAME": self.receiving}

    def _begin_anew(self, source: Source, spool: Path, *, stored: bool) -> None:
        """pg_receivewal goes on from the newest file that it finds. Where the slot keeps only what lies behind that (it
        was lost, and made again), the spool's files are in its way: once they are stored they go."""
        kept = self._ask(source, f"select restart_lsn from pg_replication_slots where slot_name = '{self.slot}';")
        segments = [segment for segment in segments_in(spool) if not segment.beside]
        last = SEGMENT.fullmatch(segments[-1].name) if segments else None
        if last is None or not kept or number(kept) // SEGMENT_BYTES <= number_of(last) + 1:
            return
        if not stored:
            raise CcdrError(
                f"the source keeps log from {kept} on, and what was received before that waits to be stored first",
                hint="mend the repository: what the source has let go since is a gap in any case",
            )
        for segment in segments:
            (spool / segment.file).unlink(missing_ok=True)

    @contextlib.contextmanager
    def beat(self, source: Source) -> Iterator[Callable[[], None]]:
        if self.shipping.canary is None:
            yield lambda: None
            return
        with source.place.session(STRICT, env=self._env(source)) as session:

            def beat() -> None:
                session.ask(f"{BEAT}\n\\echo beat\n", "beat", timeout=ANSWER)

            yield beat

    def mark(self, source: Source, clock: Clock) -> LogMark:
        before = clock.now()
        answer = self._ask(source, "select pg_current_wal_insert_lsn(), extract(epoch from clock_timestamp());")
        after = clock.now()
        position, _, source_clock = answer.partition("|")
        return LogMark(position, before, round(skew(before, after, float(source_clock)), 6))

    def lies_in(self, position: str, segment: str) -> bool:
        match, last = SEGMENT.fullmatch(segment), max(0, number(position) - 1)
        return match is not None and number_of(match) == last // SEGMENT_BYTES  # on whichever timeline

    def reaches(self, spool: Path, position: str) -> bool:
        """As far as the page that holds its last byte: what is there is never taken away, a segment that is received
        again is written over with the same."""
        last = max(0, number(position) - 1)
        numbered = [(number_of(match), s) for s in segments_in(spool) if (match := SEGMENT.fullmatch(s.name))]
        there = [segment for n, segment in numbered if n == last // SEGMENT_BYTES]
        if not there:
            return bool(numbered) and numbered[0][0] > last // SEGMENT_BYTES  # it was stored, and let go
        return page_begun(spool / there[-1].file, last)

    def holds(self, source: Source, spool: Path, mark: LogMark) -> bool:
        answer = self._ask(source, PROGRESS.format(slot=self.slot, position=mark.position))
        pid, flushed, name = answer.split("|", 2) if answer else ("0", "f", "")
        if name not in ("", self.receiving):
            raise CommandFailed(
                ["pg_receivewal"],
                1,
                f"another receiver has the slot {self.slot}: {name} (process {pid})",
                what="receiving",
            )
        return name == self.receiving and flushed == "t" and self.reaches(spool, mark.position)

    def segments(self, spool: Path) -> list[Segment]:
        return segments_in(spool)

    def same_source(self, head: str, other: str) -> bool:
        return head.partition(".")[0] == other.partition(".")[0]

    def begun_after(self, source: Source, manifest: Manifest, moment: datetime, stored: str | None) -> bool:
        mine = self.needed_head(manifest)  # of one and the same server nothing tells
        return mine not in (None, stored) and mine == self.identity(source)

    def went_back(
        self, source: Source, last: str, whole: str | None, position: str | None, head: str | None
    ) -> str | None:
        """What was received the source had flushed, and on one timeline nothing flushed is ever taken back, not even
        by a crash."""
        answer = self._ask(source, "select lsn, pg_walfile_name(lsn) from (select pg_current_wal_insert_lsn() lsn) l;")
        stands, _, segment = answer.partition("|")
        if segment[:8] != last[:8]:
            return None  # promoted: it goes on from somewhere in what its former primary wrote
        ends = [number(position)] if position else []
        if whole is not None and (match := SEGMENT.fullmatch(whole)) and match["timeline"] == segment[:8]:
            ends.append((number_of(match) + 1) * SEGMENT_BYTES)
        return segment if number(stands) < max(ends, default=0) else None

    def branch(self, segment: str) -> int:
        return timeline_of(segment)

    def place(self, segment: str) -> int:
        match = SEGMENT.fullmatch(segment)
        return number_of(match) if match else -1

    def place_of(self, position: str) -> int:
        return number(position) // SEGMENT_BYTES

    def forks(self, files: Path) -> tuple[Fork, ...]:
        return forks_in(files)

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        """By the server's own history file, for which a connection for replication has a command."""
        timeline = int(self._ask(source, "select pg_walfile_name(pg_current_wal_insert_lsn());")[:8], 16)
        if timeline == 1:
            return timeline, ()
        argv = [*STRICT, "-d", "replication=true", "-c", f"TIMELINE_HISTORY {timeline}"]
        env = {key: value for key, value in self._env(source).items() if key != "PGOPTIONS"}
        output = source.place.run(argv, env=env, what="asking the source for its timeline's history").stdout
        try:
            return timeline, timelines.forks(timeline, output.partition("|")[2])
        except ValueError as error:
            raise CommandFailed(["psql"], 0, f"its answer is {error}", what="asking for a history") from None

    def holds_behind(self, file: Path, position: str) -> bool:
        return anything_behind(file, number(position))

    def reached_before(self, position: str, other: str) -> bool:
        return number(position) <= number(other)

    def lies_before(self, manifest: Manifest, position: str) -> bool:
        return number(str(manifest.contents["stop_lsn"])) <= number(position)

    def fill_up(self, file: Path) -> None:
        """A receiver that was killed while it made room for a segment leaves less: zeros alone."""
        if file.stat().st_size < SEGMENT_BYTES:
            os.truncate(file, SEGMENT_BYTES)

    def flaw(self, file: Path) -> str | None:
        return flaw_of(file)

    def lacks(self, files: Path, branch: int) -> str | None:
        name = f"{branch:08X}.history"
        return name if branch > 1 and not (files / name).is_file() else None

    def reserve(self, files: Path, forks: Sequence[Fork]) -> None:
        """A server takes the number behind the last in a row of which there is a history file."""
        for fork in forks:
            path = files / f"{fork.branch:08X}.history"
            if not path.exists():
                path.write_text(timelines.history(fork.branch, forks), "utf-8")

    def head(self, file: Path) -> str | None:
        return head_of(file)

    def follows(self, earlier: str, later: str) -> bool:
        one, other = SEGMENT.fullmatch(earlier), SEGMENT.fullmatch(later)
        if one is None or other is None:
            return False
        step = number_of(other) - number_of(one)
        if one["timeline"] == other["timeline"]:
            return step == 1
        return one["timeline"] < other["timeline"] and step in (0, 1)  # the new timeline begins within a segment

    def goes_on_from(self, manifest: Manifest) -> bool:
        return manifest.method == "physical"

    def leads_to(self, manifest: Manifest, target: RecoveryTarget) -> bool:
        return target.time is None or manifest.consistent_point <= target.time

    def finds(self, files: Sequence[tuple[str, Path]], name: str, manifest: Manifest) -> bool:
        numbered = [(number_of(match), file) for n, file in files if (match := SEGMENT.fullmatch(n))]
        begins = number(str(manifest.contents["stop_lsn"]))  # what lies before it the base holds already
        return any(position >= begins for position in points.named(numbered, name, SEGMENT_BYTES))

    def needed_from(self, manifest: Manifest) -> str:
        contents = manifest.contents
        return segment_name(int(contents["timeline"]), self.place_of(str(contents["stop_lsn"])))

    def needed_head(self, manifest: Manifest) -> str | None:
        return str(manifest.contents["system_identifier"])

    def covers(self, first: str, needed: str) -> bool:
        one, other = SEGMENT.fullmatch(first), SEGMENT.fullmatch(needed)
        return bool(one and other and number_of(one) <= number_of(other) and one["timeline"] <= other["timeline"])

    def _env(self, source: Source) -> dict[str, str]:
        options = "-c statement_timeout=0 -c idle_session_timeout=0 -c role=none -c synchronous_commit=on"
        return {**self.connection.environment(source.credentials), "PGOPTIONS": options, "PGAPPNAME": "ccdr log"}

    def _ask(self, source: Source, sql: str) -> str:
        return answer(source.place, self._env(source), sql, "asking the source for its log").strip()

    def _run(self, source: Source, argv: list[str], what: str) -> None:
        try:
            source.place.run(argv, env=self._env(source), what=what)
        except CommandFailed as error:
            if error.stderr.search(MEANWHILE):
                return
            hint = "its role needs REPLICATION, its server a free one of max_replication_slots and max_wal_senders"
            raise BackupFailed(str(error), hint=hint) from None


def _receiving() -> str:
    """One receiver's own, telling people where it runs."""
    return f"ccdr log {re.sub(r'[^A-Za-z0-9.-]', '-', platform.node())[:30]} {token_hex(4)}"
