"""The write-ahead log as it is shipped: `pg_receivewal` with a replication slot, into a spool.

The slot keeps at the source what was not received yet, so nothing is lost while the receiver is away; that it may
fill the source's disk is what `ready` looks at. `--synchronous` has each write on disk, and told to the source, at
once: so the source tells how far a spool durably reaches. It goes by the name of our own receiver, and the spool is
looked at too: a slot goes forward by whoever receives.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres import points, timelines
from ccdr.engines.postgres.connection import PSQL, Connection
from ccdr.engines.postgres.position import number
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed
from ccdr.model.forks import Fork
from ccdr.model.measure import skew
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.log import LogMark, Segment, Target
from ccdr.ports.place import Clock, Source

RECEIVER = ("pg_receivewal",)
PARTIAL = ".partial"
SEGMENT_BYTES = 16 * 2**20  # unless initdb was told otherwise
SLOT_LENGTH = 63
ANSWER = 20.0  # seconds
NEARLY = 0.5  # of what the source may keep for the slot
_SEGMENT = re.compile(r"(?P<timeline>[0-9A-F]{8})(?P<log>[0-9A-F]{8})(?P<segment>[0-9A-F]{8})")
_LONG = struct.Struct(
    "=24xQII"
)  # a segment's first page begins with: the cluster's identifier, bytes of segment, of page
_PAGE = struct.Struct("=8xQ")  # every page begins with its own place in the log
_FIRST = struct.Struct("=16xI")  # ... and with how many bytes it holds of a record that began before it
_RECORD = struct.Struct("=I4xQ8x")  # a record begins with its length and where the one before it began
DIGITS = 16  # of a digest
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
STATE = """\
select pg_is_in_recovery(), current_setting('wal_level'),
  pg_size_bytes(current_setting('wal_segment_size')),
  coalesce(nullif((select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'), -1) * 1048576, -1),
  coalesce((select coalesce(wal_status, '?') from pg_replication_slots where slot_name = '{slot}'), ''),
  coalesce((select case when active then 'held' else coalesce(wal_status, '?') end from pg_replication_slots
            where slot_name = '{former}'), ''),
  coalesce((select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint from pg_replication_slots
            where slot_name = '{slot}' and not pg_is_in_recovery()), 0);
"""
# Who reads the slot has come how far; the last column is for anybody to choose.
PROGRESS = """\
select coalesce(s.active_pid, 0),
  coalesce(coalesce(r.flush_lsn, case when r.state is null then s.restart_lsn end) >= '{position}', false),
  coalesce(a.application_name, '')
from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid
  left join pg_stat_activity a on a.pid = s.active_pid
where s.slot_name = '{slot}';
"""
CANARY = """\
create schema if not exists ccdr;
create table if not exists ccdr.heartbeat (id int primary key check (id = 1), at timestamptz not null);
insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();
"""
BEAT = "insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();"


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

    def ready(self, source: Source) -> Iterator[str]:
        state = STATE.format(slot=self.slot, former=former_slot_name(self.name))
        standby, level, size, keep, status, former, behind = self._ask(source, state).split("|")
        if standby == "t":
            raise BackupFailed("the server is a standby", hint="ship the log of the primary: name it in `connection:`")
        if level == "minimal":
            raise BackupFailed("the server writes too little log", hint="set wal_level = replica there, and restart it")
        if int(size) != SEGMENT_BYTES:
            raise BackupFailed(
                f"the server's log segments have {human_bytes(int(size))}",
                hint="only clusters of the usual 16 MiB can ship their log yet",
            )
        yield from self._with_slot(source, status, former)
        if self.shipping.canary is not None:
            self._make_canary(source)
        if int(keep) < 0:
            yield (
                "max_slot_wal_keep_size is not set: a slot whose log is not fetched fills the source's disk; set it to "
                "what its disk can spare"
            )
            if int(behind) > nearly(int(keep), self.shipping):
                yield (
                    f"the source keeps {human_bytes(int(behind))} of log for us, and will until its disk is full: find"
                    " out why it is not received"
                )
        elif int(behind) > nearly(int(keep), self.shipping):
            yield (
                f"the source keeps {human_bytes(int(behind))} of log for us and gives up at {human_bytes(int(keep))}: "
                "then a new base backup is needed"
            )

    def _with_slot(self, source: Source, status: str, former: str) -> Iterator[str]:
        """There is one then, unless an older ccdr still receives by the one that it has made."""
        old = former_slot_name(self.name)
        if former and (status or former == "held"):
            yield (
                f"the source keeps log for the slot {old}, as an older ccdr named it: end what receives by it (then it "
                f"is taken over), or drop it: SELECT pg_drop_replication_slot('{old}')"
            )
        slot, state = (self.slot, status) if status else (old, former)
        if state == "lost":
            self._run(source, ["pg_receivewal", "-w", "--slot", slot, "--drop-slot"], "dropping the lost slot")
            yield f"the source gave the slot {slot} up and removed log that was not received: a gap"
            state = ""
        if not state:
            # pg_receivewal's own --create-slot reserves nothing until it first receives.
            sql = f"select from pg_create_physical_replication_slot('{self.slot}', true)"
            self._run(source, [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql], "creating the replication slot")
        elif slot == old and state != "held":
            sql = (
                f"select from pg_copy_physical_replication_slot('{old}', '{self.slot}');"
                f" select from pg_drop_replication_slot('{old}')"
            )
            self._run(source, [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql], "giving the replication slot its new name")

    def _make_canary(self, source: Source) -> None:
        try:
            self._ask(source, CANARY)
        except CommandFailed as error:
            if "permission denied" not in error.stderr:
                raise
            c = self.connection
            raise BackupFailed(
                f"the canary cannot be kept: {error}; as a superuser: {canary_grant(c)}",
                hint="or leave `canary:` out of `log_shipping:`",
            ) from None

    def identity(self, source: Source) -> str:
        return self._ask(source, "select system_identifier from pg_control_system();")

    def receiver(
        self, source: Source, spool: Path, after: str | None, needed: str | None, *, stored: bool
    ) -> tuple[list[str], dict[str, str]]:
        self._begin_anew(source, spool, stored=stored)
        _made_whole(spool)
        argv = ["pg_receivewal", "-w", "-D", source.place.path(spool), "--slot", self.slot]
        return [*argv, "--synchronous", "--no-loop"], {**self._env(source), "PGAPPNAME": self.receiving}

    def _begin_anew(self, source: Source, spool: Path, *, stored: bool) -> None:
        """pg_receivewal goes on from the newest file that it finds. Where the slot keeps only what lies behind that (it
        was lost, and made again), the spool's files are in its way: once they are stored they go."""
        kept = self._ask(source, f"select restart_lsn from pg_replication_slots where slot_name = '{self.slot}';")
        found = [segment for segment in segments_in(spool) if not segment.beside]
        last = _SEGMENT.fullmatch(found[-1].name) if found else None
        if last is None or not kept or number(kept) // SEGMENT_BYTES <= _number(last) + 1:
            return
        if not stored:
            raise CcdrError(
                f"the source keeps log from {kept} on, and what was received before that waits to be stored first",
                hint="mend the repository: what the source has let go since is a gap in any case",
            )
        for segment in found:
            (spool / segment.file).unlink(missing_ok=True)

    @contextlib.contextmanager
    def beat(self, source: Source) -> Iterator[Callable[[], None]]:
        if self.shipping.canary is None:
            yield lambda: None
            return
        with source.place.session([*PSQL, "-v", "ON_ERROR_STOP=1"], env=self._env(source)) as session:

            def beat() -> None:
                session.ask(f"{BEAT}\n\\echo beat\n", "beat", timeout=ANSWER)

            yield beat

    def mark(self, source: Source, clock: Clock) -> LogMark:
        before = clock.now()
        said = self._ask(source, "select pg_current_wal_insert_lsn(), extract(epoch from clock_timestamp());")
        after = clock.now()
        position, _, source_clock = said.partition("|")
        return LogMark(position, before, round(skew(before, after, float(source_clock)), 6))

    def lies_in(self, position: str, segment: str) -> bool:
        match, last = _SEGMENT.fullmatch(segment), max(0, number(position) - 1)
        return match is not None and _number(match) == last // SEGMENT_BYTES  # on whichever timeline

    def reaches(self, spool: Path, position: str) -> bool:
        """As far as the page that holds its last byte: what is there is never taken away, a segment that is received
        again is written over with the same."""
        last = max(0, number(position) - 1)
        found = [(_number(match), s) for s in segments_in(spool) if (match := _SEGMENT.fullmatch(s.name))]
        there = [segment for n, segment in found if n == last // SEGMENT_BYTES]
        if not there:
            return bool(found) and found[0][0] > last // SEGMENT_BYTES  # it was stored, and let go
        return _page_begun(spool / there[-1].file, last)

    def holds(self, source: Source, spool: Path, mark: LogMark) -> bool:
        said = self._ask(source, PROGRESS.format(slot=self.slot, position=mark.position))
        pid, flushed, name = said.split("|", 2) if said else ("0", "f", "")
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

    def begun_after(self, source: Source, manifest: Manifest, moment: datetime) -> bool:
        return False  # nothing tells

    def went_back(
        self, source: Source, last: str, whole: str | None, position: str | None, head: str | None
    ) -> str | None:
        """What was received the source had flushed, and on one timeline nothing flushed is ever taken back, not even
        by a crash."""
        said = self._ask(source, "select lsn, pg_walfile_name(lsn) from (select pg_current_wal_insert_lsn() lsn) l;")
        stands, _, segment = said.partition("|")
        if segment[:8] != last[:8]:
            return None  # promoted: it goes on from somewhere in what its former primary wrote
        ends = [number(position)] if position else []
        if whole is not None and (match := _SEGMENT.fullmatch(whole)) and match["timeline"] == segment[:8]:
            ends.append((_number(match) + 1) * SEGMENT_BYTES)
        return segment if number(stands) < max(ends, default=0) else None

    def branch(self, segment: str) -> int:
        return timeline_of(segment)

    def place(self, segment: str) -> int:
        match = _SEGMENT.fullmatch(segment)
        return _number(match) if match else -1

    def place_of(self, position: str) -> int:
        return number(position) // SEGMENT_BYTES

    def forks(self, files: Path) -> tuple[Fork, ...]:
        """Of the newest timeline, and of each that does not lead there."""
        found: dict[int, Fork] = {}
        for path in sorted(p for p in files.iterdir() if _HISTORY.fullmatch(p.name)):
            with contextlib.suppress(OSError, ValueError):
                told = timelines.forks(int(path.name[:8], 16), path.read_text("utf-8", "replace"))
                found |= {fork.branch: fork for fork in told}
        return tuple(replace(fork, at=self._begun(files, fork)) for _, fork in sorted(found.items()))

    def _begun(self, files: Path, fork: Fork) -> datetime | None:
        """As its first segment tells, whether it is whole or not."""
        name = segment_name(fork.branch, self.place_of(fork.position))
        mine = [p for p in files.glob(f"{name}*") if p.name.removesuffix(PARTIAL).removesuffix(".open") == name]
        times = [timelines.begun(path, fork.position, SEGMENT_BYTES) for path in sorted(mine)]
        return next((when for when in times if when is not None), None)

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        """By the server's own history file, for which a connection for replication has a command."""
        timeline = int(self._ask(source, "select pg_walfile_name(pg_current_wal_insert_lsn());")[:8], 16)
        if timeline == 1:
            return timeline, ()
        argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-d", "replication=true", "-c", f"TIMELINE_HISTORY {timeline}"]
        env = {key: value for key, value in self._env(source).items() if key != "PGOPTIONS"}
        said = source.place.run(argv, env=env, what="asking the source for its timeline's history").stdout
        try:
            return timeline, timelines.forks(timeline, said.partition("|")[2])
        except ValueError as error:
            raise CommandFailed(["psql"], 0, f"its answer is {error}", what="asking for a history") from None

    def holds_behind(self, file: Path, position: str) -> bool:
        """A segment has its full length from the start, all zeros."""
        try:
            with file.open("rb") as segment:
                segment.seek(number(position) % SEGMENT_BYTES)
                return any(any(chunk) for chunk in iter(lambda: segment.read(2**16), b""))
        except FileNotFoundError:  # renamed since
            return False

    def reached_before(self, position: str, other: str) -> bool:
        return number(position) <= number(other)

    def lies_before(self, manifest: Manifest, position: str) -> bool:
        return number(str(manifest.contents["stop_lsn"])) <= number(position)

    def fill_up(self, file: Path) -> None:
        """A receiver that was killed while it made room for a segment leaves less: zeros alone."""
        if file.stat().st_size < SEGMENT_BYTES:
            os.truncate(file, SEGMENT_BYTES)

    def flaw(self, file: Path) -> str | None:
        if _HISTORY.fullmatch(file.name):
            try:
                timelines.forks(int(file.name[:8], 16), file.read_text("utf-8", "replace"))
            except ValueError:
                return f"{file.name} is no timeline's history"
        elif (size := file.stat().st_size) != SEGMENT_BYTES:
            return f"{file.name} has {size} bytes, and a segment {SEGMENT_BYTES}"
        return None

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
        """The cluster's identifier, which each segment tells, and digests of how it goes on: up to its first record's
        sum, which holds for the whole record and its place in the log, and of the whole first page. Each is told once
        it is there: a segment has its full length from the start, all zeros, so its first page is full once there is a
        second one. Where a disk was put back within a segment, that one begins as before, and is not told apart: what
        is received last is the source's own history, whole, and what was stored of the other is written over."""
        try:
            with file.open("rb") as segment:
                start = segment.read(_LONG.size)
                if len(start) < _LONG.size or not any(start):
                    return None
                identifier, _, bytes_ = _LONG.unpack(start)
                page = start + segment.read(max(0, bytes_ - len(start)))
                behind = segment.read(_PAGE.size)
        except FileNotFoundError:  # renamed since
            return None
        head = str(identifier)
        if not bytes_ or len(page) < bytes_:
            return head
        record = len(start) + (_FIRST.unpack_from(page)[0] + 7) // 8 * 8
        ends = record + _RECORD.size
        if ends <= len(page) and _RECORD.unpack_from(page, record)[0]:
            head += f".{_digest(page[:ends])}"
        if len(behind) == _PAGE.size and _PAGE.unpack(behind)[0] == _PAGE.unpack_from(page)[0] + bytes_:
            head += f"{'' if '.' in head else '.'}.{_digest(page)}"
        return head

    def follows(self, earlier: str, later: str) -> bool:
        one, other = _SEGMENT.fullmatch(earlier), _SEGMENT.fullmatch(later)
        if one is None or other is None:
            return False
        step = _number(other) - _number(one)
        if one["timeline"] == other["timeline"]:
            return step == 1
        return one["timeline"] < other["timeline"] and step in (0, 1)  # the new timeline begins within a segment

    def goes_on_from(self, manifest: Manifest) -> bool:
        return manifest.method == "physical"

    def leads_to(self, manifest: Manifest, target: Target) -> bool:
        return target.time is None or manifest.consistent_point <= target.time

    def finds(self, files: Sequence[tuple[str, Path]], name: str, manifest: Manifest) -> bool:
        numbered = [(_number(match), file) for n, file in files if (match := _SEGMENT.fullmatch(n))]
        begins = number(str(manifest.contents["stop_lsn"]))  # what lies before it the base holds already
        return any(position >= begins for position in points.named(numbered, name, SEGMENT_BYTES))

    def needed_from(self, manifest: Manifest) -> str:
        timeline = manifest.contents["timeline"]
        assert isinstance(timeline, int)
        return segment_name(timeline, self.place_of(str(manifest.contents["stop_lsn"])))

    def needed_head(self, manifest: Manifest) -> str | None:
        identifier = manifest.contents.get("system_identifier")
        return None if identifier is None else str(identifier)

    def covers(self, first: str, needed: str) -> bool:
        one, other = _SEGMENT.fullmatch(first), _SEGMENT.fullmatch(needed)
        return bool(one and other and _number(one) <= _number(other) and one["timeline"] <= other["timeline"])

    def _env(self, source: Source) -> dict[str, str]:
        options = "-c statement_timeout=0 -c idle_session_timeout=0 -c role=none -c synchronous_commit=on"
        return {**self.connection.environment(source.credentials), "PGOPTIONS": options, "PGAPPNAME": "ccdr log"}

    def _ask(self, source: Source, sql: str) -> str:
        argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql]
        return source.place.run(argv, env=self._env(source), what="asking the source for its log").stdout.strip()

    def _run(self, source: Source, argv: list[str], what: str) -> None:
        try:
            source.place.run(argv, env=self._env(source), what=what)
        except CommandFailed as error:
            hint = "its role needs REPLICATION, its server a free one of max_replication_slots and max_wal_senders"
            raise BackupFailed(str(error), hint=hint) from None


def segments_in(spool: Path) -> list[Segment]:
    """As `ShippedLog.segments`."""
    names = sorted(p.name for p in spool.iterdir())
    whole = {n for n in names if _SEGMENT.fullmatch(n)}
    found = [Segment(n, n, whole=True) for n in whole]
    found += [Segment(n, n, whole=True, beside=True) for n in names if _HISTORY.fullmatch(n)]
    found += [
        Segment(bare, n, whole=False)
        for n in names
        if n.endswith(PARTIAL) and _SEGMENT.fullmatch(bare := n.removesuffix(PARTIAL)) and bare not in whole
    ]
    return sorted(found, key=lambda s: _order(s.name))


def _made_whole(spool: Path) -> None:
    """A receiver that was killed while it made room for a segment, with zeros, leaves a file that no later one takes:
    "has 11100160 bytes, should be 0 or 16777216". It is received from its beginning in any case."""
    for segment in segments_in(spool):
        file = spool / segment.file
        if not segment.whole and file.stat().st_size < SEGMENT_BYTES:
            os.truncate(file, SEGMENT_BYTES)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def _page_begun(file: Path, last: int) -> bool:
    """Is the page written that holds this byte of the log? A segment has its full length from the start, all zeros."""
    try:
        with file.open("rb") as segment:
            start = segment.read(_LONG.size)
            if len(start) < _LONG.size or not (bytes_ := _LONG.unpack(start)[2]):
                return False
            page = last - last % bytes_
            segment.seek(page % SEGMENT_BYTES)
            header = segment.read(_PAGE.size)
    except FileNotFoundError:  # renamed since
        return False
    return len(header) == _PAGE.size and _PAGE.unpack(header)[0] == page


def nearly(keep: int, shipping: LogShipping) -> float:
    """Bytes of log that a source may keep for a slot before it is told. `keep` is its max_slot_wal_keep_size in bytes;
    negative: all there is. What is free on its disk no query tells, so the limit of the spool stands in for that: it is
    what the plan says of how much may wait."""
    return NEARLY * (keep if keep >= 0 else shipping.spool_limit)


def canary_grant(connection: Connection) -> str:
    """Asked for even where its schema is there already."""
    return f"GRANT CREATE ON DATABASE {connection.database} TO {connection.user};"


def slot_name(name: str) -> str:
    """As PostgreSQL allows it, and unlike that of any other asset, whatever becomes the same by what is allowed."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{former_slot_name(name)[: SLOT_LENGTH - 1 - len(digest)]}_{digest}"


def former_slot_name(name: str) -> str:
    """As it was named before it had a digest: small letters, digits and underscores."""
    return re.sub(r"[^a-z0-9_]", "_", f"ccdr_{name}")[:SLOT_LENGTH]


def _receiving() -> str:
    """One receiver's own, telling people where it runs."""
    return f"ccdr log {re.sub(r'[^A-Za-z0-9.-]', '-', platform.node())[:30]} {token_hex(4)}"


def timeline_of(segment: str) -> int:
    return int(segment[:8], 16) if _SEGMENT.fullmatch(segment) else 1


def segment_name(timeline: int, number: int) -> str:
    return f"{timeline:08X}{number // (2**32 // SEGMENT_BYTES):08X}{number % (2**32 // SEGMENT_BYTES):08X}"


def _number(match: re.Match[str]) -> int:
    return int(match["log"], 16) * (2**32 // SEGMENT_BYTES) + int(match["segment"], 16)


def _order(name: str) -> tuple[str, str]:
    """By number, then timeline; a history file before the segments of its timeline."""
    match = _SEGMENT.fullmatch(name)
    return (name[8:], name[:8]) if match else ("", name)
