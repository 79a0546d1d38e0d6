"""Takes a base backup, and what goes beside it; it leaves out the rows of unlogged tables, which no log brings, and
replication slots.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccdr.engines.postgres import questions, server_settings
from ccdr.engines.postgres.connection import OWN_OPTIONS, STRICT, newer_options, told
from ccdr.engines.postgres.inventory import NO_TIMEOUTS
from ccdr.engines.postgres.physical import facts, parents
from ccdr.engines.postgres.physical.backup_manifest import NAME, BackupManifest, read_backup_manifest
from ccdr.engines.postgres.physical.parents import ParentChoice
from ccdr.engines.postgres.segments import number
from ccdr.host.interrupts import each_to_its_end
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.model.values import human_bytes, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place, Session

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Incremental

# What a base backup leaves out: the rows of unlogged tables, which no log brings, and replication slots.

MOST_NAMED = 5
_UNLOGGED = """\
select translate(format('%s.%s.%s', current_database(), n.nspname, c.relname), e'\\n', ' ')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relpersistence = 'u' and c.relkind = 'r' order by n.nspname, c.relname
"""


def unlogged(box: Place, env: Mapping[str, str]) -> list[str]:
    """Of all databases of the restored server: `database.schema.table`."""
    return questions.of_each(box, env, _UNLOGGED)


def emptied(contents: Mapping[str, Any]) -> str | None:
    """Of a manifest's contents: which tables of the database that was asked come back empty; None where none do."""
    if not (count := int(contents["unlogged"])):
        return None
    named = ", ".join(str(name).replace(" ", ".", 1) for name in contents["unlogged_tables"][:MOST_NAMED])
    comes = so_many(count, "unlogged table comes", "unlogged tables come")
    return f"{comes} back empty ({named}{', …' * (count > MOST_NAMED)}): a base backup leaves out their rows"


def slots_lost(contents: Mapping[str, Any]) -> Iterator[str]:
    """Of a manifest's contents: those of the server that are not ccdr's own."""
    if slots := contents["slots"]:
        many = so_many(len(slots), "replication slot")
        yield f"{many} ({', '.join(slots)}) not in a base backup: make anew what is needed"


# The server itself reads its files and verifies their page checksums; the log that makes them consistent is streamed
# beside them, so that the copy stands on its own. What it is true for is its end. No clock tells that exactly, so the
# source is asked all the while how far its log is: the last answer that is not beyond the backup's end is certain.

PATIENCE = 60.0  # seconds; nothing that is asked waits on others
CLUSTER, TABLESPACES = "data", "tablespaces"  # in the captured directory
BASE_FILE = f"{CLUSTER}/{NAME}"
HANDED = "ccdr-base"  # where pg_basebackup reads the manifest of what it builds upon, for as long as it runs
LINKS, WAL = "pg_tblspc", "pg_wal"
MARGIN = 2**26  # bytes: the log that is written meanwhile


@dataclass(frozen=True)
class BaseBackup:
    """One server, through one place. `env` is libpq's; it holds no password. `options` are for pg_basebackup."""

    place: Place
    env: Mapping[str, str]
    source: str
    options: Sequence[str]
    tools: Tools
    cycle: Incremental | None = None

    def capture(self, into: Path) -> Capture:
        with self.place.session(STRICT, env=self._asking()) as session:
            _ask(session, NO_TIMEOUTS)
            cluster = facts.read_cluster(_ask(session, facts.CLUSTER))
            _refuse(cluster, into)
            cluster["settings"] = server_settings.captured(self.place, self.env, into)
            before = self._catalogues(cluster, [name for name, d in cluster["databases"].items() if d["asked"]])
            course = Course(session, self.tools, cluster["standby"])
            course.ask_position()
            choice = self._copy(into, cluster, course)
            _refuse_new_tablespaces(cluster, json.loads(_ask(session, facts.TABLESPACES)))
        backup = _read(into)
        _keep_inside(into)
        after = self._catalogues(cluster, list(before))
        held = {name: facts.unchanged(before[name], after[name]) for name in after}
        return self._described(into, cluster, backup, course, held, choice)

    def _asking(self) -> dict[str, str]:
        options = f"{OWN_OPTIONS} {facts.PINNED} -c lock_timeout={int(self.tools.lock_wait * 1000)}"
        return {**self.env, "PGOPTIONS": options, "PGCLIENTENCODING": "UTF8"}

    def _catalogues(self, cluster: Mapping[str, Any], databases: Sequence[str]) -> dict[str, dict[str, str]]:
        """The digests of each database's catalogues; one that cannot be asked (any more) is left out. Those of the
        whole server are counted to the one that `connection:` names."""
        asking = self._asking()

        def ask(name: str) -> dict[str, str] | None:
            options = f"{asking['PGOPTIONS']} {facts.UTC}{newer_options(cluster['version'])}"
            env = {**asking, "PGDATABASE": name, "PGOPTIONS": options}
            try:
                return facts.catalogues(self.place, env, cluster["horizon"], shared=name == cluster["database"])
            except CommandFailed:
                if name == cluster["database"]:
                    raise
                return None

        answers = each_to_its_end([partial(ask, name) for name in databases], facts.AT_ONCE)
        by_database = dict(zip(databases, answers, strict=True))
        return {name: digests for name, digests in by_database.items() if digests is not None}

    def _copy(self, into: Path, cluster: Mapping[str, Any], course: Course) -> ParentChoice:
        """An increment where the plan wants one and the source can give it, else a full copy."""
        choice = parents.choose(self.tools.base, cluster, self.cycle, self.tools.clock.now())
        if choice.base is None or choice.base.held is None:
            self._run(into, cluster, course)
            return choice
        handed = into / HANDED
        shutil.copyfile(choice.base.held, handed)
        try:
            self._run(into, cluster, course, [f"--incremental={self.place.path(handed)}"])
            # Asked now: the source has summed up its log as far as the increment needs it.
            why = None if int(_ask(course.session, f"{parents.leads_on(choice.base)};\n")) else parents.STRAYED
        except CommandFailed as error:
            if (why := parents.impossible(error)) is None:
                raise
        finally:
            handed.unlink(missing_ok=True)
        if why is None:
            return choice
        for name in (CLUSTER, TABLESPACES):
            shutil.rmtree(into / name, ignore_errors=True)
        self._run(into, cluster, course)
        return choice.full(why)

    def _run(self, into: Path, cluster: Mapping[str, Any], course: Course, more: Sequence[str] = ()) -> None:
        place = self.place
        argv = ["pg_basebackup", "-w", "-D", place.path(into / CLUSTER), "--format=plain", "--wal-method=stream"]
        argv += ["--manifest-checksums=SHA256", "--no-sync", "--label=ccdr", *self.options, *more]
        for oid, tablespace in (cluster["tablespaces"] or {}).items():
            if tablespace["location"].startswith("/"):
                target = place.path(into / TABLESPACES / oid)
                argv.append(mapping(tablespace["location"], target))
        try:
            place.run(argv, env=self.env, what="pg_basebackup", pulse=course.ask_position)
        except CommandFailed as error:
            if "checksum error occurred" in error.stderr:
                raise BackupFailed(
                    f"the source's own files are damaged: {error}",
                    hint="an older snapshot may hold them whole; see PostgreSQL's documentation on data corruption",
                ) from None
            raise

    def _described(
        self,
        into: Path,
        cluster: Mapping[str, Any],
        backup: BackupManifest,
        course: Course,
        held: Mapping[str, Mapping[str, str]],
        choice: ParentChoice,
    ) -> Capture:
        log = [str(p.relative_to(into)) for p in _files(into / CLUSTER / WAL)]
        beside = [server_settings.FILE, f"{CLUSTER}/{NAME}", *log]
        files = self.tools.digest(into, beside)
        output = self.place.run(["pg_basebackup", "--version"]).stdout
        contents = {
            **cluster,
            "source": self.source,
            "bytes": backup.bytes,  # beside `files`
            "files": len(backup.files),
            "timeline": backup.timeline,
            "start_lsn": backup.start,
            "stop_lsn": backup.end,
            "backup_manifest_sha256": files[f"{CLUSTER}/{NAME}"].sha256,
            "catalogues": held,
            **choice.sizes(backup.bytes, cluster),
        }
        return Capture(
            consistent_point=course.certain(number(backup.end)),
            clock_skew_s=round(course.skew, 6),
            contents=contents,
            files=files,
            bytes=backup.bytes + sum(d.bytes for d in files.values()),
            tools={"pg_basebackup": output.split(")")[1].split()[0]},
            notes=[*choice.notes, *_notes(cluster, held)],
            findings=list(choice.findings),
            parents=choice.parents,
        )


@dataclass
class Course:
    """How far the source was, and when. `skew` is its clock's lead over this host's, seconds."""

    session: Session
    tools: Tools
    standby: bool
    skew: float = 0.0
    _began: bool = True
    _seen: list[tuple[datetime, int]] = field(default_factory=list)

    def ask_position(self) -> object:
        """Ask once more; a value that changes while the backup comes on."""
        clock = self.tools.clock
        asked = clock.now()
        source_clock, at, replayed, phases, streamed = _ask(self.session, facts.HOW_FAR).strip().split("|")
        if self._began:
            self._began = False
            self.skew = skew(asked, clock.now(), float(source_clock))
        if replayed:  # a standby's data is true for its newest replayed commit's time
            asked += timedelta(seconds=min(0.0, float(replayed) - self.skew - asked.timestamp()))
        if replayed or not self.standby:
            self._seen.append((asked, number(at)))
        if streamed:
            self.tools.progress.amount(int(streamed), None)
        return phases

    def certain(self, end: int) -> datetime:
        """The latest instant whose commits all stand before `end` in the log."""
        if not self._seen:
            raise BackupFailed(
                "the standby cannot tell the time of its newest replayed commit",
                hint="back it up once a commit has been replayed since its start, or use the primary",
            )
        return max(when for when, at in self._seen if at <= end)


def _ask(session: Session, sql: str) -> str:
    return told(session, sql, patience=PATIENCE)


def _refuse(cluster: Mapping[str, Any], into: Path) -> None:
    """BackupFailed before anything is read, where it would come to nothing."""
    if not cluster["object_count"]:
        raise BackupFailed(
            f"the database {cluster['database']} holds no object of its own",
            hint="name the one that matters in `connection:`; ccdr captures the whole server anyway",
        )
    needed = sum(d["bytes"] or 0 for d in cluster["databases"].values()) + MARGIN
    free = shutil.disk_usage(into).free
    if free < needed:
        raise BackupFailed(
            f"{into} has {human_bytes(free)} free, the copy needs {human_bytes(needed)}",
            hint="free space there, or name another place with --state",
        )


def _read(into: Path) -> BackupManifest:
    try:
        return read_backup_manifest(into / CLUSTER / NAME)
    except (OSError, ValueError) as error:
        raise BackupFailed(f"pg_basebackup left no manifest that can be read: {error}") from None


def _keep_inside(into: Path) -> None:
    """Tablespaces lie in the captured directory. Their links lead there from wherever it stands: as pg_basebackup
    leaves them, a restored server would go on writing to a path of this host."""
    for link in sorted((into / CLUSTER / LINKS).iterdir()):
        if not link.is_symlink():  # a tablespace that the server itself keeps in its directory
            continue
        assert link.readlink() == into / TABLESPACES / link.name, "made meanwhile: `_refuse_new_tablespaces`"
        link.unlink()
        link.symlink_to(Path("..", "..", TABLESPACES, link.name))


def _refuse_new_tablespaces(cluster: Mapping[str, Any], there: Sequence[str]) -> None:
    """The log within a base makes one again at its own path, wherever a server is started on that base."""
    if new := set(there) - (cluster["tablespaces"] or {}).keys():
        raise BackupFailed(
            f"the tablespace {', '.join(sorted(new))} was made while the server was copied", hint="back up again"
        )


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def mapping(path: str, to: str) -> str:
    """For PostgreSQL's programs: a tablespace that lies at this path goes to that one."""
    was, goes = (one.replace("=", "\\=") for one in (path, to))
    return f"--tablespace-mapping={was}={goes}"


def _notes(cluster: Mapping[str, Any], held: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    if lost := emptied(cluster):
        yield lost
    yield from slots_lost(cluster)
    if not cluster["data_checksums"]:
        yield "the source's pages bear no checksums: damage that it carries itself is not seen when it is captured"
    if left := sorted(set(cluster["databases"]) - held.keys() - {"template0"}):
        yield f"definitions of {', '.join(left)} are not compared: the role may not connect there"
    if "pg_authid" not in held[cluster["database"]] and not cluster["superuser"]:
        yield "roles are not compared: only a superuser, or pg_read_all_data, may read them at the source"
