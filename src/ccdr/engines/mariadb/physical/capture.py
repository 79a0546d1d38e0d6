"""Takes a copy of a whole server's files with mariadb-backup, which makes them agree by the server's own log.

It reads the data directory itself, so it runs on the source's host. The rows of MEMORY tables are in no file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb import accounts, memory_rows, variables
from ccdr.engines.mariadb.binlog import head_at
from ccdr.engines.mariadb.client import Login, ask
from ccdr.engines.mariadb.inventory import as_recorded, facts_of
from ccdr.engines.mariadb.objects import Objects, objects_of
from ccdr.engines.mariadb.origin import origin_of, prepared_notes
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.model.values import rfc3339, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place, Session

COPY = "data"  # in the captured directory
POSITIONS = ("mariadb_backup_binlog_info", "xtrabackup_binlog_info")
CHECKPOINTS = ("mariadb_backup_checkpoints", "xtrabackup_checkpoints")
LINK = ".isl"  # beside where a table of InnoDB would lie that has a DATA DIRECTORY: a file that names its path
ANSWER = 60.0  # seconds
_NOT_ITS = ("--protocol=",)  # the server's clients know these words, mariadb-backup does not
# Of what it says of a damaged page nothing is repeated: it prints the page, which is a customer's data. Where a file
# could not be copied for another reason, it tells the system's error.
_DAMAGED = re.compile(r"xtrabackup_copy_datafile\(\) failed")
_SYSTEM = re.compile(r"\berrno\b|Errcode|No space left")
_LOG_END = re.compile(r"^last_lsn = (\d+)$", re.MULTILINE)
# A table with a DATA DIRECTORY that was not to be opened there; of Aria, no such table is.
_FAR = re.compile(r"Can't open datafile (?P<innodb>\S+)|Error on aria table file open \./(?P<aria>\S+)\.MA[DI]")
# What lies in files of the table's own, by the engine's number in its .frm, or in the .par of a partitioned table. That
# of InnoDB, mariadb-backup fails over itself.
_FILES = {9: (".MYD", ".MYI"), 10: (".MRG",), 16: (".ARZ",), 17: (".CSV",), 20: (".par",), 42: (".MAD", ".MAI")}
_UNREADABLE = re.compile(r"Can't (?:read|change) dir|Permission denied|OS errno 13|errno: 13|failed to open directory")


@dataclass(frozen=True)
class Copier:
    place: Place
    login: Login
    database: str
    directory: Path  # of the source's data, on this host
    source: str
    tools: Tools
    shipping: bool = False  # of the source's log: then its user may read that

    def capture(self, into: Path) -> Capture:
        """Everything into the empty directory `into`."""
        facts, before = facts_of(self.place, self.login, self.database), self._objects()
        if before.nothing:
            raise BackupFailed(
                f"the database {self.database} holds nothing",
                hint="name the one that matters in `connection:`; ccdr captures the whole server anyway",
            )
        started = origin_of(self.place, self.login)
        with self.place.session(self.login.asking()) as session:
            course = Course(session, self.tools)
            course.ask_position()
            first = course.logged()
            self._copy(into, course)
            self._refuse_another(into / COPY, first, course.logged())
            if lost := without_files(into / COPY):
                raise BackupFailed(
                    f"of {lost[0]}{f' and {len(lost) - 1} more' if lost[1:] else ''} the copy lacks files that hold "
                    "its rows, as mariadb-backup did not find or open them",
                    hint="a table of Aria it never copies from elsewhere (DATA DIRECTORY); CHECK TABLE tells whether "
                    "they are there at all",
                )
        # The log alone leads on to where they are of.
        memory = memory_rows.take(self.place, self.login, self.tools, into) if self.shipping else None
        until, ended = self.tools.clock.now(), origin_of(self.place, self.login)
        # What a replica is behind may have changed meanwhile; and it may have become one.
        course.lag = max((o.lag for o in (started, ended) if o.lag is not None), default=None)
        lacks = "; ".join(dict.fromkeys((*started.lacks, *ended.lacks)))
        facts |= {"replica": course.lag is not None, "log_lacks": lacks}
        return self._described(into, facts | {"memory_rows": memory}, before, self._objects(), course, until)

    def _objects(self) -> Objects:
        return objects_of(self.place, self.login, self.database)

    def _copy(self, into: Path, course: Course) -> None:
        arguments = [a for a in self.login.arguments if not a.startswith(_NOT_ITS)]
        argv = ["mariadb-backup", *arguments, "--backup", f"--target-dir={self.place.path(into / COPY)}"]
        argv += [f"--datadir={self.place.path(self.directory)}", "--parallel=2"]
        try:
            self.place.run(argv, watch=into, pulse=course.pulse(into), what="mariadb-backup")
        except CommandFailed as error:
            if error.stderr.search(_UNREADABLE):
                raise BackupFailed(
                    f"the data directory {self.directory} cannot be read: {error}",
                    hint="`data_directory:` names it on the source's own host; ccdr runs there, as root or as mysql",
                ) from None
            if far := error.stderr.search(_FAR):
                raise BackupFailed(
                    f"{far['innodb'] or far['aria']} lies outside of the data directory (DATA DIRECTORY), where "
                    "mariadb-backup did not open it",
                    hint="install mariadb-backup of the server's series on this host, as a container sees the data "
                    "directory alone (a table of Aria it never copies from elsewhere); or back up by `method: dump`",
                ) from None
            if error.stderr.search(_DAMAGED) and not error.stderr.search(_SYSTEM):
                raise BackupFailed(
                    "the source's own files are damaged: mariadb-backup found a page of an InnoDB table that is not as "
                    "its checksum says",
                    hint="CHECK TABLE tells which table it is; an older snapshot may hold it whole",
                ) from None
            raise

    def _refuse_another(self, copy: Path, first: int, last: int) -> None:
        """mariadb-backup goes to the path that the server names, and takes whatever server's files lie there on this
        host; it sees only that a log is behind the server's. Both numbers are of the server's own."""
        end = _log_end(copy)
        if not first <= end <= last:
            raise BackupFailed(
                f"what lies on this host in {self.directory} is not the server's own: its log ends at {end}, the "
                f"server's was at {first} before the copy and at {last} after it",
                hint="`data_directory:` is the path that the server itself has (SELECT @@datadir), on its own host",
            )

    def _described(
        self, into: Path, facts: dict[str, Any], before: Objects, after: Objects, course: Course, until: datetime
    ) -> Capture:
        variables.keep(facts["variables"], into / COPY)
        files = self.tools.digest(into, [str(p.relative_to(into)) for p in sorted(into.rglob("*")) if p.is_file()])
        if f"{COPY}/ibdata1" not in files:
            raise BackupFailed("mariadb-backup left no copy of the server's data")
        binlog = _position(into / COPY)
        if binlog is not None and self.shipping:
            binlog["head"] = head_at(self.place, self.login, str(binlog["file"]))
        lost = [t.name for t in after.with_rows if t.engine == "MEMORY"]
        steady = before.state & after.state
        contents = {
            **as_recorded(facts),
            "source": self.source,
            "binlog": binlog and {**binlog, "until": rfc3339(until)},
            "tables": {t.name: {"engine": t.engine} for t in after.lasting(before) if not t.is_sequence},
            "without_rows": [],
            "objects": {
                name: definition for name, definition in after.named.items() if before.named.get(name) == definition
            },
            "definers": {name: d for name, d in after.definers.items() if before.definers.get(name) == d},
            "orphans": accounts.orphans(after.definers, accounts.names(self.place, self.login)),
            "unchanged": len(steady),
            "memory_tables": lost,
            "file_count": len(files),
        }
        return Capture(
            consistent_point=course.certain(binlog),
            clock_skew_s=round(course.skew, 6),
            contents=contents,
            files=files,
            bytes=sum(d.bytes for d in files.values()),
            tools={"mariadb-backup": _version(self.place)},
            notes=[*_notes(lost, course.lag, facts["log_lacks"]), *elsewhere(files), *self._waiting()],
        )

    def _waiting(self) -> list[str]:
        what = "in the copy they wait too, and hold their rows, until XA COMMIT or ROLLBACK (XA RECOVER lists them)"
        return prepared_notes(self.place, self.login, what)


@dataclass
class Course:
    """How far the source's log was, and when. In seconds: `skew` is its clock's lead over this host's, `lag` what a
    replica is behind its primary."""

    session: Session
    tools: Tools
    skew: float = 0.0
    lag: float | None = None
    seen: list[tuple[datetime, tuple[str, int] | None]] = field(default_factory=list)

    def ask_position(self) -> None:
        clock = self.tools.clock
        asked = clock.now()
        answers = ask(self.session, "SELECT UNIX_TIMESTAMP(NOW(6)); SHOW MASTER STATUS;", patience=ANSWER).splitlines()
        if not self.seen:
            self.skew = skew(asked, clock.now(), float(answers[0]))
        at = None
        if len(answers) > 1:
            file, position = answers[1].split("\t")[:2]
            at = (file, int(position))
        self.seen.append((asked, at))

    def logged(self) -> int:
        """How far InnoDB's log is, in bytes since the server's first day."""
        told = ask(self.session, "SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current';", patience=ANSWER).split()
        if len(told) < 2:
            raise BackupFailed(
                "the server does not say how far InnoDB's log is: is it started without InnoDB?",
                hint="back it up by `method: dump`: mariadb-backup copies no server without InnoDB",
            )
        return int(told[1])

    def pulse(self, into: Path) -> Any:
        """Looks while the copy grows; a value that changes with it."""

        def grown() -> object:
            self.ask_position()
            size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
            self.tools.progress.amount(size, None)
            return size

        return grown

    def certain(self, binlog: dict[str, object] | None) -> datetime:
        """The latest instant whose commits are all in the copy; without a log that tells it, the copy's start."""
        lag = timedelta(seconds=self.lag or 0.0)
        if binlog is None:
            return self.seen[0][0] - lag
        end = (str(binlog["file"]), int(str(binlog["position"])))
        return max([when for when, at in self.seen if at is not None and at <= end], default=self.seen[0][0]) - lag


def without_files(copy: Path) -> list[str]:
    """The tables, of any database, that lack a file of their own there: as their .frm is called below it, so `d/t`.

    A name has no # in a file's name: it goes before a partition's, and begins those of tables in the making."""
    there = Counter((path.parent, re.split(r"[#.]", path.name)[0], path.suffix) for path in copy.glob("*/*"))
    lost = []
    for definition in sorted(copy.glob("*/[!#]*.frm")):
        with definition.open("rb") as file:
            engines = file.read(4)[3:]
        if (parts := definition.with_suffix(".par")).is_file():
            listed = parts.read_bytes()
            engines += listed[12 : 12 + int.from_bytes(listed[8:12], "little")]
        wanted = Counter((definition.parent, definition.stem, s) for engine in engines for s in _FILES.get(engine, ()))
        if wanted - there:
            lost.append(str(definition.relative_to(copy).with_suffix("")))
    return lost


def _notes(lost: list[str], lag: float | None, lacks: str) -> Iterator[str]:
    if lost:
        yield f"{len(lost)} MEMORY tables come back empty, but by a shipped log: their rows are in no file of the copy"
    if lag is not None:
        yield f"taken from a replica, {lag:g} s behind its primary"
    if lacks:
        yield f"no log can lead on from this copy: {lacks}"


def elsewhere(files: Iterable[str]) -> list[str]:
    """What is told of a copy with such files: the tables themselves lie where they would without."""
    if not (links := sum(name.endswith(LINK) for name in files)):
        return []
    return [
        f"DATA DIRECTORY: {so_many(links, 'table or partition', 'tables or partitions')} lay outside of the data "
        "directory; restored, they lie in it"
    ]


def _position(copy: Path) -> dict[str, object] | None:
    """Where the log stood that the copy agrees with; None where the source writes none."""
    for name in POSITIONS:
        if (copy / name).is_file() and (fields := (copy / name).read_text("utf-8").split("\n")[0].split("\t")) != [""]:
            return {"file": fields[0], "position": int(fields[1]), "gtid": fields[2].strip() if len(fields) > 2 else ""}
    return None


def _log_end(copy: Path) -> int:
    """How far the copied log goes, as `Course.logged` counts."""
    for name in CHECKPOINTS:
        if (copy / name).is_file() and (match := _LOG_END.search((copy / name).read_text("utf-8"))):
            return int(match[1])
    raise BackupFailed("mariadb-backup has not noted how far its copy goes")


def _version(place: Place) -> str:
    output = place.run(["mariadb-backup", "--version"])
    match = re.search(r"\d+\.\d+\.\d+", output.stdout + output.stderr.reveal())
    return match[0] if match else "?"
