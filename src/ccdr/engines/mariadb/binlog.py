"""The binary log as it is shipped: `mariadb-binlog --raw --stop-never` into a spool; and whose data its server has, and
whether its log holds every change.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.client import Login, ask, lines, table
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.logfile import (
    KEPT_BESIDE,
    SEGMENT,
    base_of,
    began,
    begun,
    cut_short,
    gtids_of,
    head,
    head_of,
    number_of,
    same_server,
    segments_in,
    size_of,
    started_at,
    transactions,
    until,
)
from ccdr.engines.mariadb.rights import canary_grant
from ccdr.model.errors import BackupFailed, CommandFailed, UsageProblem
from ccdr.model.finding import Finding, at_least
from ccdr.model.forks import Fork
from ccdr.model.measure import skew
from ccdr.model.values import Manifest, human_seconds, so_many
from ccdr.ports.log import LogMark, RecoveryTarget, Segment
from ccdr.ports.place import Clock, Place, Source

# Whose data a server has, how old it is, and whether its log holds every change: where it is a replica, or its log is
# filtered, neither goes without saying. What a session leaves out of the log by itself (sql_log_bin) nothing tells.

_VARIABLES = """SELECT LOWER(variable_name), variable_value FROM information_schema.global_variables
  WHERE variable_name IN ('LOG_BIN', 'LOG_SLAVE_UPDATES', 'WSREP_ON');"""
_FILTERS = (("Binlog_Do_DB", "binlog_do_db"), ("Binlog_Ignore_DB", "binlog_ignore_db"))


@dataclass(frozen=True)
class Origin:
    """`lag` is what a replica's data is behind its primary's, in seconds; None where the server is no replica. `lacks`
    is why its log does not hold every change, as sentences."""

    lag: float | None
    lacks: tuple[str, ...]


def origin_of(place: Place, login: Login) -> Origin:
    """BackupFailed where it is a replica that does not replicate."""
    lag = lag_of(table(place, login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))
    variables = dict(line.split("\t", 1) for line in lines(place, login, _VARIABLES, "asking what is logged"))
    status = table(place, login, "SHOW MASTER STATUS;", "asking what is logged")
    return Origin(lag, tuple(_lacks(variables, status, replica=lag is not None)))


def new_server_id(mark: str) -> int:
    """What a server is numbered that a recovery with this mark made new. No other has that number, and whoever ships a
    log takes one of the upper half."""
    return 1 + int(sha256(mark.encode()).hexdigest()[:12], 16) % (2**31 - 2)


def prepared_notes(place: Place, login: Login, what: str) -> list[str]:
    """Transactions that wait for a word from elsewhere (XA): a dump lacks what they did, a copy keeps them waiting."""
    prepared = len(lines(place, login, "XA RECOVER FORMAT='SQL';", "asking for prepared transactions"))
    return [f"{so_many(prepared, 'XA transaction')} prepared and not yet ended: {what}"] if prepared else []


def lag_of(status: list[dict[str, str]]) -> float | None:
    """By what SHOW ALL SLAVES STATUS says."""
    lags = [row["Seconds_Behind_Master"] for row in status]
    if not lags:
        return None
    if "NULL" in lags:
        raise BackupFailed(
            "this replica does not replicate at present, so nobody can tell what time its data is of",
            hint="start it (SHOW ALL SLAVES STATUS tells why it stopped), or back up the primary",
        )
    return max(map(float, lags))


def _lacks(variables: Mapping[str, str], status: list[dict[str, str]], *, replica: bool) -> Iterator[str]:
    for column, option in _FILTERS:
        if names := ", ".join(row[column] for row in status if row[column]):
            yield f"{option} ({names}) keeps databases out of it"
    if variables.get("log_slave_updates") != "ON":
        if replica:
            yield "what comes from its primary is not in it (log_slave_updates is OFF)"
        elif variables.get("wsrep_on") == "ON":
            yield "what comes from the cluster's other nodes is not in it (log_slave_updates is OFF)"


# The source keeps its log for as long as it is told to (`binlog_expire_logs_seconds`), whoever reads it: what was not
# received by then is a gap. A receiver begins the file that it left off in anew, and empties it before the first
# event has come: what was received of it already is kept beside it until there is as much again.

ANSWER = 20.0  # seconds
KEPT = 86400.0  # seconds of log that a source should keep: whoever ships may be away for as long
GTID = re.compile(r"\d+-\d+-\d+")
_BEGUN = re.compile(r"^#(?P<day>\d{6}) +(?P<time>[\d:]+) server id (?P<server>\d+) .*\bStart: binlog", re.MULTILINE)
FACTS = "SELECT @@log_bin + 0, @@binlog_format, @@binlog_expire_logs_seconds, @@binlog_row_image;"
CANARY = """\
CREATE DATABASE IF NOT EXISTS ccdr;
CREATE TABLE IF NOT EXISTS ccdr.heartbeat (id INT PRIMARY KEY, at TIMESTAMP(6) NOT NULL) ENGINE=InnoDB;
"""
BEAT = "INSERT INTO ccdr.heartbeat VALUES (1, NOW(6)) ON DUPLICATE KEY UPDATE at = NOW(6);"


@dataclass(frozen=True)
class Binlog:
    """`ShippedLog` of one server."""

    connection: Connection
    shipping: LogShipping
    name: str

    def ready(self, source: Source) -> Iterator[Finding]:
        login = self.connection.login(source.credentials)
        (settings,) = lines(source.place, login, FACTS, "asking the source for its log")
        logs, form, kept, image = settings.split("\t")
        if not int(logs):
            raise BackupFailed("the server writes no binary log", hint="set log_bin there, and restart it")
        origin = origin_of(source.place, login)
        if origin.lacks:  # a base is of use all the same
            yield Finding(_not_whole(origin), "not every change", cause="; ".join(origin.lacks))
        if form != "ROW":
            text = f"binlog_format is {form}: set it to ROW, so that what is applied again does the same again"
            yield Finding(text, "binlog_format", cause=form)
        if image != "FULL" and form == "ROW":
            text = f"binlog_row_image is {image}: set it to FULL, so that every change can be applied again"
            yield Finding(text, "binlog_row_image", cause=image)
        if 0 < float(kept) < KEPT:
            yield soon_gone(float(kept))
        if self.shipping.canary is not None and origin.lag is not None:
            text = "the server is a replica: no canary is kept there, since it would beat without its primary too"
            yield Finding(text, "no canary")
        elif self.shipping.canary is not None:
            self._make_canary(source, login)

    def _make_canary(self, source: Source, login: Login) -> None:
        try:
            source.place.run(login.client(), stdin=CANARY + BEAT, what="making the canary's table")
        except CommandFailed as error:
            if "denied" not in error.stderr:
                raise
            raise BackupFailed(
                f"the canary cannot be kept: {error}; {canary_grant(self.connection.user)}",
                hint="or leave `canary:` out of `log_shipping:`",
            ) from None

    def _whole(self, source: Source) -> Origin:
        """BackupFailed where what is shipped would not be all of its changes, or nobody could tell how old they are."""
        origin = origin_of(source.place, self.connection.login(source.credentials))
        if origin.lacks:
            raise BackupFailed(_not_whole(origin), hint="have it log all, and back up again; or name its primary")
        return origin

    def identity(self, source: Source) -> str:
        """Its number among its replicas: whoever copies a server has to give the copy another."""
        return _rows(source, self.connection, "SELECT @@server_id;")[0][0]

    def made_new(self, mark: str) -> str | None:
        return str(new_server_id(mark))

    def receiver(
        self, source: Source, spool: Path, after: str | None, needed: str | None, *, stored: bool
    ) -> tuple[list[str], dict[str, str]]:
        self._whole(source)
        login = self.connection.login(source.credentials)
        there = [row[0] for row in _rows(source, self.connection, "SHOW BINARY LOGS;")]
        last = self.segments(spool)[-1:]
        if last and last[0].name in there:
            first = last[0].name
            (spool / last[0].file).replace(spool / f"{first}{KEPT_BESIDE}")
        elif after is not None and (later := [name for name in there if number_of(name) > number_of(after)]):
            first = later[0]
        elif after is None and needed in there:
            first = str(needed)
        elif after is None:
            first = there[-1]
        else:
            first = there[-1] if after in there else there[0]
        # Among a server's replicas each has a number of its own.
        number = 2**31 + zlib.crc32(f"ccdr {self.name}".encode()) % 2**31
        argv = ["mariadb-binlog", *login.arguments, "--read-from-remote-server", "--raw", "--stop-never"]
        argv += [f"--stop-never-slave-server-id={number}", f"--result-file={source.place.path(spool)}/", first]
        return argv, {}

    @contextlib.contextmanager
    def beat(self, source: Source) -> Iterator[Callable[[], None]]:
        if self.shipping.canary is None:
            yield lambda: None
            return
        login = self.connection.login(source.credentials)
        with source.place.session(login.asking()) as session:

            def beat() -> None:
                if not ask(session, "SHOW ALL SLAVES STATUS;", patience=ANSWER).strip():
                    ask(session, BEAT, patience=ANSWER)

            yield beat

    def mark(self, source: Source, clock: Clock) -> LogMark:
        lag = self._whole(source).lag or 0.0
        before = clock.now()
        rows = _rows(source, self.connection, "SHOW MASTER STATUS; SELECT UNIX_TIMESTAMP(NOW(6));")
        after = clock.now()
        (file, position, *_), (source_clock, *_) = rows
        ahead = skew(before, after, float(source_clock))
        return LogMark(f"{file}:{position}", before - timedelta(seconds=lag), round(ahead, 6))

    def lies_in(self, position: str, segment: str) -> bool:
        return position.rpartition(":")[0] == segment

    def reaches(self, spool: Path, position: str) -> bool:
        file, _, offset = position.rpartition(":")
        files = {segment.name: segment.file for segment in self.segments(spool)}
        if file not in files:
            return bool(files) and min(map(number_of, files)) > number_of(file)  # it was stored, and let go
        return size_of(spool / files[file]) >= int(offset)

    def holds(self, source: Source, spool: Path, mark: LogMark) -> bool:
        file, _, offset = mark.position.rpartition(":")
        return size_of(spool / file) >= int(offset)

    def segments(self, spool: Path) -> list[Segment]:
        segments = segments_in(spool)
        for kept in spool.glob(f"*{KEPT_BESIDE}"):
            if kept.name not in [segment.file for segment in segments]:
                kept.unlink()
        return segments

    def went_back(
        self, source: Source, last: str, whole: str | None, position: str | None, head: str | None
    ) -> str | None:
        """A server that was recovered, or told RESET MASTER, begins its log anew, by the same names: all that it has
        are before what was received, or what has the same name begins otherwise. It only counts up else."""
        there = [row[0] for row in _rows(source, self.connection, "SHOW BINARY LOGS;")]
        if not there:
            return None
        stands = there[-1]
        if all(base_of(name) != base_of(last) or number_of(name) < number_of(last) for name in there):
            return stands
        if last not in there or head is None:
            return None
        now = head_at(source.place, self.connection.login(source.credentials), last)
        return stands if now is not None and now != head and same_server(now, head) else None

    def begun_after(self, source: Source, manifest: Manifest, moment: datetime, stored: str | None) -> bool:
        mine = began(manifest)
        if mine is None or begun(mine) <= moment + timedelta(seconds=manifest.clock_skew_s or 0.0):
            return False
        return head_at(source.place, self.connection.login(source.credentials), self.needed_from(manifest)) == mine

    def same_source(self, head: str, other: str) -> bool:
        return same_server(head, other)

    def branch(self, segment: str) -> int:
        return 1  # a server that was recovered begins its log anew

    def place(self, segment: str) -> int:
        return number_of(segment)

    def place_of(self, position: str) -> int:
        return number_of(position.rpartition(":")[0])

    def forks(self, files: Path) -> tuple[Fork, ...]:
        return ()

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        return 1, ()

    def holds_behind(self, file: Path, position: str) -> bool:
        return False

    def reached_before(self, position: str, other: str) -> bool:
        return True

    def lies_before(self, manifest: Manifest, position: str) -> bool:
        return True

    def fill_up(self, file: Path) -> None:
        pass

    def flaw(self, file: Path) -> str | None:
        return cut_short(file)

    def lacks(self, files: Path, branch: int) -> str | None:
        return None

    def reserve(self, files: Path, forks: Sequence[Fork]) -> None:
        pass

    def head(self, file: Path) -> str | None:
        return head_of(file)

    def follows(self, earlier: str, later: str) -> bool:
        one, other = SEGMENT.fullmatch(earlier), SEGMENT.fullmatch(later)
        return bool(one and other and one["base"] == other["base"] and int(other["number"]) == int(one["number"]) + 1)

    def goes_on_from(self, manifest: Manifest) -> bool:
        return manifest.method == "physical" and manifest.contents["binlog"] is not None

    def leads_to(self, manifest: Manifest, target: RecoveryTarget) -> bool:
        """What the copy holds already nothing takes out of it again."""
        if target.time is not None:
            return target.time >= until(manifest)
        held = {gtid.split("-")[0]: int(gtid.split("-")[2]) for gtid in gtids_of(manifest)}
        named = (target.name or "").split(",")
        return not any(
            GTID.fullmatch(gtid) and held.get(gtid.split("-")[0], 0) > int(gtid.split("-")[2]) for gtid in named
        )

    def finds(self, files: Sequence[tuple[str, Path]], name: str, manifest: Manifest) -> bool:
        missing = set(name.split(","))
        if unlike := [gtid for gtid in missing if not GTID.fullmatch(gtid)]:
            raise UsageProblem(
                f"MariaDB's log has no point that is called {unlike[0]!r}",
                hint='name a transaction by its GTID, like 0-1-4711, or a time, like "2026-11-24 14:05:00"',
            )
        missing -= {*gtids_of(manifest)}
        for _, file in files:
            missing -= {*transactions(file)}
        return not missing

    def needed_from(self, manifest: Manifest) -> str:
        return started_at(manifest)[0]

    def needed_head(self, manifest: Manifest) -> str | None:
        return began(manifest)

    def covers(self, first: str, needed: str) -> bool:
        one, other = SEGMENT.fullmatch(first), SEGMENT.fullmatch(needed)
        return bool(one and other and one["base"] == other["base"] and int(one["number"]) <= int(other["number"]))


def head_at(place: Place, login: Login, name: str) -> str | None:
    """As `head_of`, of the source's own file. None where it cannot be read: whoever ships the log will say why."""
    argv = ["mariadb-binlog", *login.arguments, "--read-from-remote-server", "--base64-output=decode-rows"]
    try:
        output = place.run(
            [*argv, "--stop-position=5", name], env={"TZ": "UTC"}, what="asking how the log begins"
        ).stdout
    except CommandFailed:
        return None
    match = _BEGUN.search(output)
    if match is None:
        return None
    when = datetime.strptime(f"{match['day']} {match['time']}", "%y%m%d %H:%M:%S").replace(tzinfo=UTC)
    return head(when, int(match["server"]))


def soon_gone(kept: float) -> Finding:
    """Of a log that is kept for so many seconds."""
    return Finding(
        f"the source keeps its log for {human_seconds(kept)} only (binlog_expire_logs_seconds): what was not received "
        "by then is lost",
        "binlog_expire_logs_seconds",
        (at_least(kept),),
    )


def _not_whole(origin: Origin) -> str:
    return f"the server's log does not hold every change, and is not shipped: {'; '.join(origin.lacks)}"


def _rows(source: Source, connection: Connection, sql: str) -> list[list[str]]:
    login = connection.login(source.credentials)
    return [line.split("\t") for line in lines(source.place, login, sql, "asking the source for its log")]
