"""SQLite, method `copy`: SQLite's online backup of one database file, while its application has it open.

Two small programs open databases, ccdr never does: `live.py` the live one, `reader.py` copies of it, on this host
right after the capture and in the sandbox after the restore. What both say of a copy is compared.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ccdr.engines.base import EngineConfig, tables_and_rows
from ccdr.engines.servers.erasing import told_columns
from ccdr.engines.sqlite import comparison, erasing, mounts, programs
from ccdr.engines.sqlite.instant import seconds
from ccdr.engines.sqlite.programs import HOST_PYTHON, NAMED, SANDBOX_PYTHON, ReaderAnswer
from ccdr.host.interrupts import threads
from ccdr.model.answers import FreeText
from ccdr.model.damage import OF_TABLES, Damage, NothingToDamage
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import BackupBad, BackupFailed, CommandFailed, SourceAway, TestBroken, UsageProblem
from ccdr.model.schema import AbsolutePath, Zone, zone_of
from ccdr.model.values import CheckResult, Manifest, Probe, so_many
from ccdr.ports.capture import Capture, SourceFacts, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

MAJOR = "3"
MAGIC = b"SQLite format 3\0"
NOBODY = "65534:65534"
LOADED = "/ccdr/run/database"  # in the sandbox: a link to the restored file
LOOK_WAIT = 5.0  # seconds that a look waits to be let in
RESERVED = ("ccdr-manifest.json",)  # what else lies in a captured directory


def _a_name_of_its_own(path: Path) -> Path:
    if path.name in RESERVED:
        raise ValueError("has a name that ccdr needs for itself, expected another")
    return path


class Sqlite(EngineConfig):
    has_server: ClassVar[bool] = False
    speaks_sql: ClassVar[bool] = True
    exports: ClassVar[bool] = True

    engine: Literal["sqlite"]
    method: Literal["copy"] = "copy"
    path: Annotated[AbsolutePath, AfterValidator(_a_name_of_its_own)] = Field(description="the database file")
    timezone: Zone = Field("UTC", description="the zone of times that the database holds as text without one")

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return ("ccdr-sandbox/files:1",)

    # --- the source -----------------------------------------------------------------------------------

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        return {"path": source}

    def client_major(self, place: Place) -> str | None:
        return MAJOR if _version(place, SANDBOX_PYTHON) else None

    @property
    def source_name(self) -> str:
        return str(self.path)

    @property
    def source_paths(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def _words(self) -> FreeText:
        """A file's name may be a customer's: the plan has it, and a person at a terminal may see it."""
        return FreeText(f"`path:` is {self.path}")

    def probe(self, source: Source) -> SourceFacts:
        """By its directory entry and its first bytes: nothing is locked yet."""
        path = self.path
        if path.is_symlink():  # it may lead elsewhere tomorrow
            words = FreeText(f"{path} leads to {os.path.realpath(path)}")
            raise BackupFailed(f"{NAMED} is a link", hint="name what it leads to in `path:`", words=words)
        try:
            status = path.stat()
        except FileNotFoundError:
            hint = "is its file system mounted? else change `path:` in the plan"
            raise SourceAway(f"{NAMED} is not there", hint=hint, words=self._words) from None
        except OSError as error:
            hint = "run ccdr as a user who may read it"
            raise BackupFailed(f"{NAMED}: {error.strerror}", hint=hint, words=self._words) from None
        if not stat.S_ISREG(status.st_mode):
            hint = "name the database file itself in `path:`"
            raise BackupFailed(f"{NAMED} is not a file", hint=hint, words=self._words)
        if status.st_nlink > 1:
            raise BackupFailed(
                f"{NAMED} has {status.st_nlink} names (hard links)",
                hint="SQLite's log lies beside the name that its application opens: what is under another would be"
                " missed. Leave the file one name",
                words=self._words,
            )
        if where := mounts.torn_at(path):
            raise BackupFailed(
                f"{NAMED} is mounted without its directory, {where}",
                hint="SQLite's log lies beside the name that its application opens: what is in that would be missed."
                " Mount the directory of the database, and not the file",
                words=self._words,
            )
        if overlay := mounts.layer(path):
            raise BackupFailed(
                f"{NAMED} lies in a layer of the overlay that is mounted at {overlay}",
                hint="whoever has it open there sees no lock of ours, and we see none of theirs: have its container"
                " keep the database in a volume, and name it there",
                words=self._words,
            )
        return SourceFacts(version=self._writer(), major=MAJOR, bytes=status.st_size)

    def _writer(self) -> str:
        """The SQLite that wrote to it last, by the file's header (bytes 96 to 99)."""
        try:
            with self.path.open("rb") as file:
                header = file.read(100)
        except OSError as error:
            hint = "run ccdr as a user who may read it"
            raise BackupFailed(f"{NAMED}: {error.strerror}", hint=hint, words=self._words) from None
        if not header:
            hint = "is it the right file? its application has made no table in it yet"
            raise BackupFailed(f"{NAMED} is empty: it holds no table", hint=hint, words=self._words)
        if not header.startswith(MAGIC):
            sentence, hint = programs.SENTENCES["not a database"]
            raise SourceAway(f"{NAMED} {sentence}", hint=hint, words=self._words)
        number = struct.unpack(">L", header[96:100])[0] if len(header) == 100 else 0
        return f"{number // 10**6}.{number // 1000 % 1000}.{number % 1000}" if number else MAJOR

    def rights(self, source: Source) -> Iterator[Probe]:
        what = "rights to read"
        try:
            seen = programs.source(source.place, self.path, None, LOOK_WAIT)
        except BackupFailed as error:
            yield Probe.fail(what, str(error), error.hint or programs.REPORT)
            return
        if not seen.tables:
            yield Probe.fail(what, f"{self.path} holds no table, and that is no backup", "is it the right file?")
        else:
            yield Probe.ok(what, f"{self.path}: {so_many(seen.tables, 'table')}; read by SQLite {seen.sqlite}")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        name, copy = self.path.name, into / self.path.name
        started = tools.clock.now()
        seen = programs.source(source.place, self.path, copy, tools.lock_wait)
        if not seen.tables:
            hint = "is it the right file? an empty one is no backup"
            raise BackupFailed(f"{NAMED} holds no table", hint=hint, words=self._words)
        owners = self._as_the_source(copy)
        with threads(1) as pool:
            digested = pool.submit(tools.digest, into, [name])
            contents = self._described(source.place, copy)
            files = digested.result()
        return Capture(
            consistent_point=started + timedelta(seconds=seen.began),
            clock_skew_s=0.0,
            contents={"source": self.source_name, "file": name, "version": seen.sqlite, **owners, **contents},
            files=files,
            bytes=files[name].bytes,
            tools={"sqlite": seen.sqlite},
            notes=seen.notes,
            findings=comparison.faults_of_the_source(contents),
        )

    def _as_the_source(self, copy: Path) -> dict[str, object]:
        """Give the copy the source's mode and, as root, its owner: a restore brings them back."""
        status = self.path.stat()
        mode = stat.S_IMODE(status.st_mode)
        copy.chmod(mode | stat.S_IRUSR)
        as_root = os.geteuid() == 0
        if as_root:
            os.chown(copy, status.st_uid, status.st_gid)
        return {"mode": mode, "owner": [status.st_uid, status.st_gid] if as_root else None}

    def _described(self, place: Place, copy: Path) -> dict[str, Any]:
        questions: dict[str, list[str]] = {"contents": [], "references": [], "sequences": []}
        answer = programs.ask(place, HOST_PYTHON, str(copy), questions, "reading the copy")
        if answer.refused is not None:
            raise SourceAway(
                f"{NAMED} was copied, and cannot be read to its end: {answer.why}",
                hint=programs.SENTENCES["damaged"][1],
                words=self._words,
            )
        answers = answer.answers
        columns = answers["contents"].pop("columns")
        beside = {"references": answers["references"], "sequences": answers["sequences"]}
        return {**answers["contents"], **beside, **told_columns(columns)}

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        row = int(manifest.contents["largest_row"])  # bytes; held several times over while it is digested
        return SandboxNeeds(bytes=0, memory=self.memory or max(2**29, 2**28 + 6 * row), user=NOBODY, major=MAJOR)

    def start(self, box: Place, manifest: Manifest) -> str:
        if (version := _version(box, SANDBOX_PYTHON)) is None:
            raise TestBroken(
                "the image has no python3 with its sqlite3 module",
                hint="use ccdr-sandbox/files:1 (`make images`), or an image that has both",
            )
        return version

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return tables_and_rows(manifest)

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        """A file needs no loading: it gets a name by which checks find it, and must open."""
        box.run(["ln", "-s", box.path(restored / str(manifest.contents["file"])), LOADED])
        answer = self._asked(box, {"glance": []})
        if answer.refused is None:
            return
        if comparison.older(answer.sqlite, manifest):
            raise TestBroken(
                f"the image's SQLite {answer.sqlite} is older than {manifest.contents['version']}, which took the"
                f" backup, and does not read it: {answer.why}",
                hint="name an image with a newer one with `image:`",
            )
        raise BackupBad(
            f"what was restored is not a database that opens: {answer.why}",
            hint="restore an older snapshot",
            words=answer.refused,
        )

    def as_files(self, manifest: Manifest) -> str:
        return f"the database file, {manifest.contents['file']}"

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        """Python's: the image has no other client, and only this one opens a file with a log where none can be made."""
        opening = f"import sqlite3; db = sqlite3.connect('file:{LOADED}?mode=ro&immutable=1', uri=True)"
        return ["python3", "-i", "-c", f"{opening}; print('db.execute(\"SELECT …\").fetchall()')"]

    @staticmethod
    def _asked(box: Place, questions: dict[str, list[str]], what: str = "reading the database") -> ReaderAnswer:
        return programs.ask(box, SANDBOX_PYTHON, LOADED, questions, what)

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        rows: list[list[str | None]] = self._answered(box, {"query": [sql]})["query"]["rows"]
        return rows

    @property
    def damages(self) -> tuple[Damage, ...]:
        return OF_TABLES

    def damage(self, context: CheckContext, kind: Damage, chance: Random) -> str:
        """In the sandbox, on a copy, which then takes the file's place: what was restored cannot be written there."""
        box, copy = context.sandbox, context.out / "damaged"
        box.run(["cp", LOADED, box.path(copy)], watch=context.out, what="copying the database")
        box.run(["chmod", "u+w", box.path(copy)])
        table = programs.damage(box, SANDBOX_PYTHON, box.path(copy), kind.value, chance.randrange(2**32))
        if table is None:
            raise NothingToDamage("no table of the database has a row that could be damaged so")
        erasing.put_back(copy, context.restored / str(context.manifest.contents["file"]))
        return table

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        self._answered(box, {"export": [sql, box.path(to)]})

    def _answered(self, box: Place, questions: dict[str, list[str]]) -> dict[str, Any]:
        answer = self._asked(box, questions, "the query")
        if answer.refused is None:
            return answer.answers
        if answer.lacks:
            raise TestBroken(
                f"the image's SQLite lacks something that the query needs: {answer.why}",
                hint="name an image that has it with `image:`, or ask for something else",
                words=answer.refused,
            )
        raise CommandFailed(["query"], 1, answer.refused, what="the query")

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        rows = self.query(box, manifest, query)
        if len(rows) > 1 or (rows and len(rows[0]) != 1):
            raise CommandFailed(["query"], 1, f"{len(rows)} rows of {len(rows[0])} columns, expected one timestamp")
        if not rows or rows[0][0] is None:
            return None
        try:
            return seconds(rows[0][0], zone_of(self.timezone))
        except (ValueError, OverflowError):
            problem = "not a time: expected ISO 8601 text, seconds, milliseconds or a Julian day"
            raise CommandFailed(["query"], 1, problem) from None

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        answer = self._asked(context.sandbox, {"contents": []})
        return comparison.identical(context, answer)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        """On a copy of what was restored: SQLite looks at all of it only where it might write."""
        box, copy = context.sandbox, context.out / "database"
        box.run(["cp", "--reflink=auto", LOADED, box.path(copy)], watch=context.out, what="copying the database")
        questions: dict[str, list[str]] = {"references": [], "sequences": [], "integrity": []}
        answer = programs.ask(box, SANDBOX_PYTHON, box.path(copy), questions, "integrity_check")
        copy.unlink()
        return iter(comparison.integrity(context, answer))

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        return erasing.erase(context, LOADED, wanted)

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        raise UsageProblem("a database file is restored into a directory, not onto a server", hint="name one with --to")


def _version(place: Place, python: str) -> str | None:
    """The SQLite of a Python; None where there is none, or no Python."""
    argv = [python, "-I", "-c", "import sqlite3; print(sqlite3.sqlite_version)"]
    try:
        output = place.run(argv, ok=(0, 1, 126, 127))  # a container's word for one that is not there
    except CommandFailed:
        return None
    return output.stdout.strip() if output.code == 0 else None
