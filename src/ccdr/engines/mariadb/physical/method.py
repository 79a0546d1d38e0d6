"""Method `physical`: the files of a whole server by mariadb-backup, made ready in the sandbox and run on.

It is what holds every table whatever its engine (the rows of MEMORY tables apart), and what a shipped binary log leads
on from. It carries along whatever damage the source's own files have, for `integrity` to find.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.engines import sums
from ccdr.engines.compared import judged, named
from ccdr.engines.mariadb import memory_rows, questions, recovery, rights, server
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.client import Login, answers, quote_name
from ccdr.engines.mariadb.connection import major_of
from ccdr.engines.mariadb.inventory import SETTINGS, Inventory
from ccdr.engines.mariadb.objects import Objects, objects_of
from ccdr.engines.mariadb.physical.capture import COPY, LINK, Copier, elsewhere
from ccdr.engines.mariadb.silenced import CLIENT, OWN_CONF, PREPARED, SOCKET, for_good, silenced
from ccdr.engines.servers.sandbox import image_that_has_it, in_place
from ccdr.engines.servers.silenced import told
from ccdr.model.answers import lacking, names_in
from ccdr.model.errors import BackupBad, BackupFailed, CommandFailed, TestBroken, blaming_the_log
from ccdr.model.values import CheckResult, Manifest, Probe, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

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
class Physical:
    """`Method` for a whole server."""

    asset: MariaDB

    # --- the source -----------------------------------------------------------------------------------

    @property
    def programs(self) -> tuple[str, ...]:
        return ("mariadb", "mariadb-backup")

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
            memory=self._memory,
            user="mysql",
            major=major_of(Inventory(manifest.contents).version),
            data_dir=server.DATA,
            in_place=(COPY,),
        )

    @property
    def _memory(self) -> int:
        return self.asset.memory or server.MEMORY

    def start(self, box: Place, manifest: Manifest) -> str:
        """The server is the restored one: there is none before the load."""
        return server.fitting_version(box, Inventory(manifest.contents).version)

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"files": int(str(manifest.contents["file_count"]))}

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        with _blamed():
            box.run(["sh", "-c", _PLACE, "place", box.path(restored)], what="putting the copy in place")
        prove(box, HOME, manifest)
        kept = laid_out(_noted(restored / COPY / "backup-my.cnf"))
        prepare(box, DATA)
        self._start(box, manifest, kept)

    def _start(self, box: Place, manifest: Manifest, kept: Mapping[str, str]) -> None:
        inventory = Inventory(manifest.contents)
        options = server.settings(inventory, self._memory, throwaway=self.asset.settings == "throwaway")
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

    @staticmethod
    def outside(box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        return {}

    def restored(self, manifest: Manifest) -> Login:
        return server.LOGIN

    @staticmethod
    def hand_over_log(
        host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
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
        sums.compare(box, directory, manifest.files)
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
