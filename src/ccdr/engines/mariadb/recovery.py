"""Recovery of a MariaDB snapshot by the shipped binary log, up to a point, in the sandbox.

The log is applied by the server's own client, all of it: the base is the whole server, so whatever the log names is
there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from ccdr.engines.base import not_reached
from ccdr.engines.mariadb import logfile, memory_rows
from ccdr.engines.mariadb.binlog import GTID
from ccdr.engines.mariadb.client import Login, lines, rows_of
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.logfile import (
    began,
    breaks_off,
    directories_in,
    gtids_of,
    head,
    head_of,
    segments_in,
    started_at,
)
from ccdr.engines.mariadb.memory_rows import MemoryRows
from ccdr.engines.mariadb.server import LACKS
from ccdr.engines.mariadb.statements import STATEMENT
from ccdr.model.errors import BackupBad, CommandFailed, LogStops, TestBroken, UsageProblem
from ccdr.model.values import Manifest, rfc3339
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place

_GTIDS = re.compile(rf"{GTID.pattern}(,{GTID.pattern})*")
JITTER = 5.0  # seconds by which what was begun earlier may commit later: where the log may go back a little
# $1: where the log is read from in its first file; $2: up to where, as an option; $3: the program that leaves changes
# out; $4: the client's words, apart by newlines. Then the files. Whose changes they are comes on standard input.
_APPLY = f"""set -eo pipefail
start=$1; stop=$2; program=$3 listed={memory_rows.LISTED} counted={memory_rows.COUNTED}
mapfile -t client <<< "$4"; shift 4
cat > $listed
: > $counted
told() {{ mariadb-binlog --no-defaults --verify-binlog-checksum --start-position="$start" "$stop" "$@"; }}
if [ -s $listed ]; then
  told "$@" | LC_ALL=C awk -v listed=$listed -v counted=$counted "$program" | "${{client[@]}}" > /dev/null
else
  told "$@" | "${{client[@]}}" > /dev/null
fi
cat $counted
"""
_NOT_THERE = "ERROR 1051 "  # DROP TABLE is logged as done, though it ended in this, and then the others are gone
# A table that cannot be made, a character set that old_mode made another one, a table that lies on another server.
_CANNOT = re.compile(r"ERROR (1005|1105|1429|1430) ")
LOOKS_APART = timedelta(hours=1)  # a base may be that much younger than what it is certain of
_HISTORY = """SELECT CONCAT(t.table_schema, '.', t.table_name) FROM information_schema.tables t
  WHERE t.table_type = 'SYSTEM VERSIONED' AND EXISTS (SELECT 1 FROM information_schema.columns c
    WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.data_type REGEXP 'blob|text')
  ORDER BY 1 LIMIT 1;"""
HEARTBEAT = """SELECT COALESCE((SELECT 1 FROM information_schema.tables
  WHERE table_schema = 'ccdr' AND table_name = 'heartbeat'), 0);"""
BEAT = "SELECT COALESCE(UNIX_TIMESTAMP(MAX(at)), '') FROM ccdr.heartbeat;"


def recover(box: Place, login: Login, home: str, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
    """Apply the log (a directory of its files) to the restored server, whose base lies in `home`. BackupBad where it
    does not hold what it should; UsageProblem where the target is none; TestBroken where the log does not tell what it
    takes."""
    first, start = started_at(manifest)
    _of_one_log(log, manifest)
    names = _whole(log, first)
    size = (log / first).stat().st_size
    if len(names) > 1 and size < start:
        raise BackupBad(
            f"the log's {first} ends at {size}, and the base goes on from {start} in it",
            hint="was the source put back to an earlier state? then back up again",
        )
    skew = target.clock_skew(manifest)
    second = None if target.time is None else int(target.time.timestamp() + skew)
    if target.name is not None and not _GTIDS.fullmatch(target.name):
        raise UsageProblem(
            f"{target.name!r} is no point in a binary log", hint="name a time, `latest`, or a GTID like 0-1-4711"
        )
    settings = Inventory(manifest.contents).settings
    local = settings["system_time_zone"] != "UTC"
    held = logfile.read(box, log, names, start, second=second, gtids=target.name or "", local=local)
    _require(held, names, manifest, target)
    stop = held.stop
    if stop is not None:
        names = names[: names.index(stop.file) + 1]
    end = stop.position if stop else held.end
    at_base = target.name is not None and set(held.missing) == set(target.name.split(","))
    left_out: Mapping[str, int] = {}
    if not at_base and (len(names) > 1 or end > start):  # else there is nothing to apply
        left_out = _Replay(box, login, home, log, names, start, end, target.name).carry_out(manifest)
        if settings["binlog_row_image"] == "NOBLOB":
            _require_history(box, login)
    if second is not None:
        if target.beyond and stop is None:
            raise not_reached(target)
        known = second if stop is None or stop.earliest is None else min(second, stop.earliest)
        return Reached(f"{names[-1]}:{end}", datetime.fromtimestamp(known - skew, UTC), None, left_out)
    if target.name is not None:
        return Reached(f"GTID {target.name}", None, None, left_out)
    beat = _heartbeat(box, login)
    at = None if beat is None else datetime.fromtimestamp(beat - skew, UTC)
    last = None if held.last is None else datetime.fromtimestamp(held.last, UTC)
    return Reached(f"{names[-1]}:{end}", at, last, left_out)


def _require(held: logfile.Span, names: list[str], manifest: Manifest, target: RecoveryTarget) -> None:
    """That the log can lead to the target, and tells it."""
    if lacks := manifest.contents["log_lacks"]:
        raise BackupBad(
            f"the log that leads on from the base does not hold every change: {lacks}",
            hint="`ccdr ship PLAN` says what to change at the source; then back up again",
        )
    last = names[-1]
    reached = held.stop.file if held.stop else last
    if broken := [name for name in names[: names.index(reached)] if name in held.broken]:
        raise BackupBad(
            f"the log's {broken[0]} is damaged: an event in it is cut short, or not as its checksum says",
            hint="recover to a time before that, and back up again; is the source's own file damaged too?",
        )
    if target.position is not None:
        file, _, offset = target.position.rpartition(":")
        if file not in names or (file == last and held.end < int(offset)):
            raise BackupBad(
                f"the log ends at {last}:{held.end}, and was stored as reaching to {target.position}",
                hint="recover to an earlier time, and back up again",
            )
    if unknown := [gtid for gtid in held.missing if gtid not in gtids_of(manifest)]:
        raise UsageProblem(
            f"the log that leads on from the base holds no transaction {', '.join(unknown)}",
            hint="`mariadb-binlog` lists those of the source's log",
        )
    require_the_same_again(held.doubts)
    stop, skew = held.stop, target.clock_skew(manifest)
    if target.time is None or stop is None or stop.earliest is None:
        return
    if stop.earliest < int(target.time.timestamp() + skew) - JITTER:
        raise TestBroken(
            f"the log's times do not tell where {rfc3339(target.time)} lies in it: GTID {stop.gtid} claims to be later,"
            f" and what comes after it, up to GTID {stop.behind}, to be earlier",
            hint="a session may set its own time: name the GTID up to which to recover, with `--at`",
        )


def require_the_same_again(doubts: Mapping[str, int]) -> None:
    """LogStops where something in the log, of these kinds, may do otherwise when it is run again."""
    if plain := doubts.get(STATEMENT):
        raise LogStops(
            f"{plain} changes are in the log as statements and not as rows, and nobody can tell whether they do the "
            "same again",
            hint="set binlog_format to ROW at the source, and back up again",
        )
    if doubts:
        differing = "; ".join(
            f"{n} change{'s' * (n > 1)} in the log {'are each' if n > 1 else 'is'} {kind}"
            for kind, n in sorted(doubts.items())
        )
        raise LogStops(
            f"{differing}: nobody can tell whether the log does the same again",
            hint="back up again: what a base holds is not done again",
        )


@dataclass(frozen=True)
class _Replay:
    """Of these files of the log: from `start` in the first to `end` in the last, or up to GTIDs of this name."""

    box: Place
    login: Login
    home: str
    log: Path
    names: Sequence[str]
    start: int
    end: int
    name: str | None

    def carry_out(self, manifest: Manifest) -> Mapping[str, int]:
        """How many changes of each MEMORY table were left out: all that lie before the place of which its rows are
        known."""
        lost, rows = memory_rows.tables_of(self.box, self.login), MemoryRows.of(manifest)
        until = f"--stop-position={self.name or self.end}"
        if rows is None or not self._comes_to(rows):
            return self._without(lost, self.names, self.start, until)
        at = self.names.index(rows.file)
        left_out = self._without(lost, self.names[: at + 1], self.start, f"--stop-position={rows.position}")
        memory_rows.load(self.box, self.login, self.home)
        later = self._without(lost - rows.tables, self.names[at:], rows.position, until)
        return memory_rows.added(left_out, later)

    def _comes_to(self, rows: MemoryRows) -> bool:
        if rows.file not in self.names:
            return False
        return rows.lies_before_all(self.name) if self.name else rows.lies_before(self.names[-1], self.end)

    def _without(self, lost: frozenset[str], names: Sequence[str], start: int, until: str) -> Mapping[str, int]:
        left_out = _apply(self.box, self.login, [self.log / name for name in names], start, until, lost)
        memory_rows.require_still(self.box, self.login, lost)
        return left_out


def _apply(
    box: Place, login: Login, files: list[Path], start: int, until: str, lost: Collection[str] = ()
) -> Mapping[str, int]:
    """`lost` are the tables whose changes are left out: how many of each were."""
    client = login.client()
    argv = ["bash", "-c", _APPLY, "apply", str(start), until, memory_rows.LEAVE_OUT, "\n".join(client)]
    try:
        listed = "".join(f"{key}\n" for key in lost)
        argv += map(box.path, files)
        told = box.run(argv, stdin=listed, env={"TZ": "UTC"}, what="applying the log").stdout
        return dict(memory_rows.counted(told))
    except CommandFailed as error:
        if error.stalled:
            raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
        if error.stderr.search(LACKS):
            raise TestBroken(
                f"{error.the_image} cannot apply the log: {error}",
                hint="back up again: a base tells which plugins the source uses; or name an image with them (`image:`)",
            ) from None
        if renamed := error.stderr.search(memory_rows.RENAMED):
            raise LogStops(
                f"the log renames {memory_rows.named(renamed['key'])}, a MEMORY table whose changes are left out since "
                "the base lacks its rows, or gives its name to another table",
                hint="back up again: what a base holds is not done again",
            ) from None
        if _NOT_THERE in error.stderr:
            raise LogStops(
                f"the log drops a table that is not there: {error}",
                hint="so does DROP TABLE of several, of which one was not there at the source either; back up again",
            ) from None
        if error.stderr.search(_CANNOT):
            raise LogStops(
                f"the log does what the server here cannot: {error}",
                hint="what a session had set (innodb_strict_mode, old_mode) is in no log, and nobody here reaches "
                "another server; back up again",
            ) from None
        raise BackupBad(
            f"the log cannot be applied: {error}", hint="recover to an earlier time, and back up again"
        ) from None


def _require_history(box: Place, login: Login) -> None:
    """LogStops where a row's history is made here of what the log leaves out."""
    if tables := rows_of(box, login, _HISTORY, "looking for tables that keep their history"):
        name = "".join(tables[0]).encode("unicode_escape").decode()
        raise LogStops(
            f"the log leaves out texts and BLOBs that did not change (binlog_row_image is NOBLOB), and {name} keeps its"
            " history: that lacks them here",
            hint="set binlog_row_image to FULL at the source, and back up again",
        )


def directories(log: Path, manifest: Manifest) -> set[str]:
    """At which paths a server that applies it with symbolic links (its default) makes files. LogStops where it does not
    tell."""
    first, start = started_at(manifest)
    return {path for name in _whole(log, first) for path in directories_in(log / name, start if name == first else 0)}


def _whole(log: Path, first: str) -> list[str]:
    """Its files from the first that is needed on; BackupBad where one ends before the next goes on, which its sum does
    not tell if it was taken of what is there."""
    names = [segment.name for segment in segments_in(log)]
    names = names[names.index(first) :]
    for one, other in pairwise(names):
        if (gtid := breaks_off(log / one, log / other)) is not None:
            raise BackupBad(
                f"the log's {one} ends before GTID {gtid}, behind which {other} goes on",
                hint="recover to an earlier time, and back up again",
            )
    return names


def _of_one_log(log: Path, manifest: Manifest) -> None:
    """A server whose log was begun anew gives the same names again, and what bears them leads nowhere from the base."""
    first, _ = started_at(manifest)
    wanted, there = began(manifest), head_of(log / first)
    if there is None or there == wanted:
        return
    if wanted is None:  # the base does not tell: but what it lies in was not begun after it
        latest = manifest.consistent_point + timedelta(seconds=manifest.clock_skew_s or 0.0) + LOOKS_APART
        if there < head(latest, 0):
            return
    raise BackupBad(
        f"the source's log was begun anew: {first} of the log begins otherwise ({there}) than that of the base "
        f"({wanted or 'which is older'})",
        hint="restore the base without the log; give the asset another name in the plan, and back it up",
    )


def _heartbeat(box: Place, login: Login) -> float | None:
    """The canary's newest restored beat, by the source's clock."""
    if lines(box, login, HEARTBEAT, "looking for the canary") != ["1"]:
        return None
    beats = lines(box, login, BEAT, "asking the canary")
    return float(beats[0]) if beats and beats[0] else None
