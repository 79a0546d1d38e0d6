"""Method `physical`: the files of a whole server by mariadb-backup, which makes them agree by the server's own log;
made ready in the sandbox and run on.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ccdr.engines import comparison
from ccdr.engines.comparison import judged, named
from ccdr.engines.mariadb import accounts, memory_rows, questions, recovery, rights, server, variables
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.binlog import head_at, origin_of, prepared_notes
from ccdr.engines.mariadb.client import Login, answers, ask, quote_name
from ccdr.engines.mariadb.connection import major_of
from ccdr.engines.mariadb.inventory import SETTINGS, Inventory, Objects, as_recorded, facts_of, objects_of
from ccdr.engines.mariadb.method import Method
from ccdr.engines.mariadb.server import CLIENT, OWN_CONF, PREPARED, SOCKET, for_good, silenced
from ccdr.engines.servers.new_server import told
from ccdr.engines.servers.sandbox import image_that_has_it, in_place
from ccdr.model.answers import lacking, names_in
from ccdr.model.errors import BackupBad, BackupFailed, CommandFailed, TestBroken, blaming_the_log
from ccdr.model.measure import skew
from ccdr.model.values import CheckResult, Manifest, Probe, rfc3339, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place, Session, Source
from ccdr.ports.restored import SandboxNeeds

# Takes a copy of a whole server's files with mariadb-backup, which makes them agree by the server's own log.
#
# It reads the data directory itself, so it runs on the source's host. The rows of MEMORY tables are in no file.

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
        if binlog is not None:
            head = head_at(self.place, self.login, str(binlog["file"])) if self.shipping else None
            binlog |= {"head": head, "until": rfc3339(until)}
        lost = [t.name for t in after.with_rows if t.engine == "MEMORY"]
        steady = before.state & after.state
        contents = {
            **as_recorded(facts),
            "source": self.source,
            "binlog": binlog,
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


# It is what holds every table whatever its engine (the rows of MEMORY tables apart), and what a shipped binary log
# leads on from. It carries along whatever damage the source's own files have, for `integrity` to find.

HOME = "/tmp/ccdr-home"  # noqa: S108 - in the sandbox: a link to where the copy is
DATA, CONF, INIT, _VERIFIED = f"{HOME}/{COPY}", *(f"/tmp/ccdr-{n}" for n in ("server.cnf", "init.sql", "verified"))  # noqa: S108
# How the copy's own files were laid out, which a server that runs on them has to be told.
KEPT = ("innodb_data_file_path", "innodb_page_size", "innodb_undo_tablespaces", "innodb_checksum_algorithm")
_PLACE = in_place(HOME, server.DATA, COPY, memory_rows.BESIDE)
_PREPARE = f"{PREPARED[-1].format('$1')} --use-memory=256M"
# The settings come on standard input; the account that asks for us is made before anybody else may come in.
_START = f"""set -e
mkdir -p /tmp/ccdr-sorting
cat > {CONF}
cat > {INIT} <<'END'
CREATE OR REPLACE USER {quote_name(SANDBOX_USER)}@localhost;
GRANT ALL PRIVILEGES ON *.* TO {quote_name(SANDBOX_USER)}@localhost WITH GRANT OPTION;
END
setsid mariadbd --defaults-file={CONF} < /dev/null > {server.LOG} 2>&1 &
server=$!
until echo 'SELECT 1' | {shlex.join(server.LOGIN.asking())} > /dev/null 2>&1; do
  kill -0 $server
  sleep 0.05
done
"""
_UNTOLD = "and what a session alone had set for it (its engine, page compression) no log tells"
_TABLES = """SELECT JSON_ARRAY(table_schema, table_name, engine) FROM information_schema.tables
WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
  AND table_schema NOT IN ('information_schema', 'performance_schema') ORDER BY 1;"""
# That one has run, its server has noted in no log.
_DUE = """SELECT JSON_QUOTE(CONCAT(db, '.', name)) FROM mysql.event
WHERE status = 'ENABLED' AND execute_at < UTC_TIMESTAMP() ORDER BY 1;"""


@dataclass(frozen=True)
class Physical(Method):
    """`Method` for a whole server."""

    programs: ClassVar[tuple[str, ...]] = ("mariadb", "mariadb-backup")

    # --- the source -----------------------------------------------------------------------------------

    @property
    def source_name(self) -> str:
        """A server is not its database of the same name."""
        return f"server of {self.asset.connection.database}"

    def rights(self, source: Source) -> Iterator[Probe]:
        c = self.asset.connection
        login = c.login(source.credentials)
        granted = rights.rights_of(source.place, login, c.database)
        yield from rights.judged(granted, c.user, c.database, canary=self.asset.keeps_canary)
        if granted.there and not granted.lacking:
            yield _tables(objects_of(source.place, login, c.database), c.database)
            if self._shipping:
                try:
                    memory_rows.takable(source.place, login)
                except BackupFailed as error:
                    yield Probe.fail("MEMORY tables", str(error), error.hint or "change the source")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        c = self.asset.connection
        login = c.login(source.credentials)
        rights.require(rights.rights_of(source.place, login, c.database), c.user, c.database)
        if self._shipping:
            memory_rows.takable(source.place, login)  # before hours of copying
        asset = self.asset
        live = Copier(source.place, login, c.database, asset.data_directory, self.source_name, tools, self._shipping)
        return live.capture(into)

    @property
    def _shipping(self) -> bool:
        return self.asset.log_shipping is not None

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        held = sum(d.bytes for d in manifest.files.values())
        return SandboxNeeds(
            bytes=int(held * 1.2) + server.REDO + 2**30,
            memory=self.asset.memory_beside,
            user="mysql",
            major=major_of(Inventory(manifest.contents).version),
            data_dir=server.DATA,
            in_place=(COPY,),
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        """The server is the restored one: there is none before the load."""
        return server.fitting_version(box, Inventory(manifest.contents).version)

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"files": int(manifest.contents["file_count"])}

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        with _blamed():
            box.run(["sh", "-c", _PLACE, "place", box.path(restored)], what="putting the copy in place")
        prove(box, HOME, manifest)
        kept = laid_out(_noted(restored / COPY / "backup-my.cnf"))
        prepare(box, DATA)
        self._start(box, manifest, kept)

    def _start(self, box: Place, manifest: Manifest, kept: Mapping[str, str]) -> None:
        inventory = Inventory(manifest.contents)
        options = server.settings(inventory, self.asset.memory_beside, throwaway=self.asset.settings == "throwaway")
        options |= {**kept, "datadir": DATA, "tmpdir": "/tmp/ccdr-sorting", "init_file": INIT}  # noqa: S108
        options |= {"default_time_zone": inventory.zone, **self.asset.server_settings}
        # A session of the source may have said so, and its log does not tell. Where it had not, nothing was altered.
        options |= {"loose-system_versioning_alter_history": "KEEP"}
        del options["innodb_log_file_size"]  # the copy has its own
        conf = server.configuration(options, inventory.libraries)
        try:
            box.run(["bash", "-c", _START], stdin=conf, what="starting the restored server")
        except CommandFailed as error:
            words = server.last_words(box)
            if words.search(server.LACKS) or error.stalled:
                raise TestBroken(
                    f"{error.the_image} cannot run the restored server: {lacking(words, names_in(manifest.contents))}",
                    hint=f"{image_that_has_it(manifest)}; or change `server_settings:`",
                    words=words,
                ) from None
            why = f"{error}; {words.answer}" if words.answer else str(error)
            raise BackupBad(
                f"the restored server does not start: {why}", hint="restore an older snapshot", words=words
            ) from None

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        self.load(box, restored, manifest)
        with blaming_the_log():
            return recovery.recover(box, server.LOGIN, HOME, log, manifest, target)

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        return {}

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        return recovery.directories(log, manifest)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        """Files by their digests, before a server touched them; then that what they are made of is all there."""
        box, inventory = context.sandbox, Inventory(context.manifest.contents)
        verified = box.run(["cat", _VERIFIED], ok=(0, 1)).code == 0
        count, there = so_many(len(context.manifest.files), "file"), objects_of(box, server.LOGIN, inventory.database)
        made = sorted({t.name for t in there.tables} - inventory.names)
        untold = f"; made by the log: {named(made)}, {_UNTOLD}" if made and context.recovered else ""
        if context.recovered and (due := answers(box, server.LOGIN, _DUE, "listing events")):
            untold += f"; events of times past, which run once events do: {named(due)}"
        yield judged(
            "files", [] if verified else ["not verified"], count, f"{count}, equal by SHA-256{untold}", lead="differs: "
        )
        if context.recovered:
            return  # by a log that may hold other tables
        names = {t.name: t.engine for t in there.tables}
        wrong = [f"table {n}" for n, t in sorted(inventory.tables.items()) if names.get(n) != t["engine"]]
        wrong += [name for name, definition in inventory.objects.items() if there.named.get(name) != definition]
        wrong += [name for name, definer in inventory.definers.items() if there.definers.get(name) != definer]
        count = f"{so_many(len(inventory.tables), 'table')}, {so_many(len(inventory.objects), 'other object')}"
        empty = sum(engine == "MEMORY" for _, _, engine in _server_tables(box))
        note = (
            f"; {so_many(empty, 'MEMORY table')} of the server, empty here: their rows are in no file" if empty else ""
        )
        yield judged(
            f"objects of {inventory.database}", sorted(set(wrong)), count, f"{count}, all there{note}", lead="differs: "
        )

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        """Of the backup itself: these are the source's own pages and indexes, of all its databases. What was taken down
        must be there, and whatever else is there is looked at too: it may have been made while the rest was copied."""
        there = [(where, name) for where, name, _ in _server_tables(context.sandbox)]
        return questions.integrity(context, server.LOGIN, there)


def _tables(objects: Objects, database: str) -> Probe:
    memory = [t.name for t in objects.with_rows if t.engine == "MEMORY"]
    if objects.nothing:
        problem = f"{database} holds nothing, and an empty database is no backup"
        return Probe.fail("tables", problem, "name the one that matters in `connection:`")
    if memory:
        problem = f"{so_many(len(memory), 'table')} of {database} in memory alone: a copy of files lacks their rows"
        return Probe.warn("tables", problem, "if they matter, add an asset with `method: dump` for that database")
    return Probe.ok("tables", so_many(len(objects.tables), "table"))


def _server_tables(box: Place) -> list[tuple[str, str, str | None]]:
    """Database, name and engine of each table of the restored server, its own ones too."""
    return [(*row,) for row in answers(box, server.LOGIN, _TABLES, "listing the server's tables")]


def prove(box: Place, directory: str, manifest: Manifest) -> None:
    """The copy's files, below `directory`, are as captured: BackupBad where they are not."""
    with _blamed():
        comparison.compare(box, directory, manifest.files)
        take_down_proven(box)


def take_down_proven(box: Place) -> None:
    """For the check that asks."""
    box.run(["sh", "-c", f"echo verified > {_VERIFIED}"], what="taking down that all are as captured")


@contextmanager
def _blamed() -> Iterator[None]:
    """Only what sha256sum says of a file is the backup's fault."""
    try:
        yield
    except CommandFailed as error:
        if "sha256sum" not in error.stderr or error.stalled:
            raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
        raise BackupBad(
            f"the copy is not what was captured: {error}", hint="restore an older snapshot meanwhile"
        ) from None


def prepare(box: Place, data: str) -> None:
    """Have the copied files agree with each other, by the log that was copied with them."""
    try:
        box.run(["find", data, "-name", f"*{LINK}", "-delete"], what="keeping all tables below the copy")
        box.run(["sh", "-c", _PREPARE, "prepare", data], what="mariadb-backup --prepare")
    except CommandFailed as error:
        if error.stalled:
            raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
        raise BackupBad(
            f"the copy cannot be made ready: {error}", hint="restore an older snapshot, and back up again"
        ) from None


def hand_over(restored: Path, final: Path, manifest: Manifest) -> list[str]:
    """The tables that lay elsewhere stay below the copy, where they are: a server would go on at their old paths. What
    it needs to run on them as it did is in a configuration of its own, and nothing by which it does to others."""
    links = sorted((restored / COPY).rglob(f"*{LINK}"))
    for link in links:
        link.unlink()
    inventory, conf = Inventory(manifest.contents), final / OWN_CONF
    options = {f"loose-{name}": inventory.settings[name] for name in SETTINGS if name in inventory.settings}
    options |= {**laid_out(_noted(restored / COPY / "backup-my.cnf")), **for_good(inventory.facts["plugins"])}
    options |= {"datadir": str(final / COPY), "socket": SOCKET, "skip_networking": "1"}
    (restored / OWN_CONF).write_text(server.configuration(options, inventory.libraries), "utf-8")
    still = silenced(inventory.settings, inventory.facts["plugins"], {}, shlex.quote(str(conf)), f"mariadb {CLIENT}")
    return [*elsewhere(str(link) for link in links), *told(still)]


def _noted(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise BackupBad(f"the copy lacks what mariadb-backup noted of it: {error.strerror}") from None


def laid_out(noted: str) -> dict[str, str]:
    """Of what mariadb-backup noted of the source's server."""
    options = dict(line.split("=", 1) for line in noted.splitlines() if "=" in line)
    return {name: options[name] for name in KEPT if name in options}
