"""Makes a new server of a dump, or of the files of a whole server and its log: `ServerMaker` for MariaDB.

Whatever happens to it until it is opened happens in a container, by an account of ours that is gone from it at the end.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.engines import sums
from ccdr.engines.mariadb import recovery, server
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.client import lines, quote_name
from ccdr.engines.mariadb.dump.files import dump_rows
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE
from ccdr.engines.mariadb.dump.loaded import Loaded, how_far
from ccdr.engines.mariadb.dump.method import Dump
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.new_server import own
from ccdr.engines.mariadb.origin import new_server_id
from ccdr.engines.mariadb.physical.method import VERIFIED, laid_out, prepare
from ccdr.engines.servers.connection import by_network, lacks_secret, without_secret
from ccdr.engines.servers.room import WithRoom
from ccdr.engines.servers.start_lines import DROP_IN, Unit, container, docker_lines, inside
from ccdr.engines.servers.target import HowFar, Silent
from ccdr.host.accounts import without_account
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken, blaming_the_log
from ccdr.model.values import Manifest, human_bytes, so_many
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.new_server import HOME, Owner, Site, StartLines
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

DATA, SORTING = f"{HOME}/{own.DATA}", f"{HOME}/sorting"
_CONF, _INIT, _PID = "/tmp/ccdr-server.cnf", "/tmp/ccdr-init.sql", "/tmp/ccdr-server.pid"  # noqa: S108 - in the sandbox
# By nothing else; a password that is `invalid` is none.
_BY_SOCKET = (
    "select User from mysql.global_priv where Priv like '%unix_socket%' and User <> '' "
    "and coalesce(json_value(Priv, '$.authentication_string'), '') in ('', 'invalid') order by User;"
)
# For a person's first look: the largest tables. What the server knows of their sizes may be old.
_SIZES = (
    "select table_name, engine, round(data_length / 1024) as kb from information_schema.tables "
    "where table_schema = database() order by kb desc limit 40"
)
_CLIENT = shlex.join(server.LOGIN.asking())
_UNIT = Unit("mariadb-server", "mariadb", "mariadb@", "mysql")
# $1: is there no server yet? Then $2: are time zones known by their names? The settings come on standard input. Of a
# server that is born here the administrator gets our name, as in a sandbox; else our account is made before anybody may
# come in.
_START = f"""set -e
umask 027
mkdir -p {SORTING}
cat > {_CONF}
init= client=({_CLIENT})
if [ -n "$1" ]; then
  client=({shlex.join(server.BORN.asking())})
  mariadb-install-db --defaults-file={_CONF} --auth-root-authentication-method=normal --skip-test-db \\
    --skip-name-resolve > {server.LOG} 2>&1 || {{ code=$?; cat {server.LOG} >&2; exit $code; }}
else
  init=--init-file={_INIT}
  cat > {_INIT} <<'END'
CREATE OR REPLACE USER {quote_name(SANDBOX_USER)}@localhost;
GRANT ALL PRIVILEGES ON *.* TO {quote_name(SANDBOX_USER)}@localhost WITH GRANT OPTION;
END
fi
setsid mariadbd --defaults-file={_CONF} $init --pid-file={_PID} < /dev/null > {server.LOG} 2>&1 &
server=$!
until echo 'SELECT 1' | "${{client[@]}}" > /dev/null 2>&1; do
  kill -0 $server
  sleep 0.05
done
[ -n "$1" ] || exit 0
"${{client[@]}}" <<'END'
SET SESSION sql_mode='';
{server.OURS_ALONE}END
[ -z "$2" ] || {server.NAME_ZONES}
"""
# It has ended well only where it says so: one that was killed would be mended as it starts, before anybody looks.
_STOP = f"""set -e
pid=$(cat {_PID})
{_CLIENT} <<'END'
DROP USER IF EXISTS {quote_name(SANDBOX_USER)}@localhost;
SHUTDOWN;
END
while grep -q '^State:[[:space:]]*[^ZX[:space:]]' /proc/$pid/status 2> /dev/null; do sleep 0.05; done
grep -q 'Shutdown complete' {server.LOG}
rm -rf {SORTING}
"""
# The configuration comes on standard input. Nothing of an old log may lie there.
_SET_UP = f"""set -e
umask 027
cd {HOME}
mkdir -p {own.BINLOG} {own.LOGS} {own.RUN}
chmod 750 {own.LOGS}
chmod 755 {own.RUN}
chmod 700 {own.DATA} {own.BINLOG}
rm -rf {own.BINLOG}/* {own.LOGS}/* {own.RUN}/*
: > {own.ERRORS}
cat > {own.CONF}
chmod 644 {own.CONF}
"""
_TAKES = f"cat > {_CONF} && mariadbd --defaults-file={_CONF} --datadir=/tmp --verbose --help > /dev/null"
# Rows of MEMORY tables go with the server that is ended at last: they are kept for a person, and for `reopen`.
MEMORY = "memory.sql"  # below the home
_KEEP = f"""umask 077; use=$1; shift; {{ printf '%s\\n' "$use"; cat "$@"; }} > {HOME}/{MEMORY}"""
_KEEP_ANEW = f"""umask 077; use=$1; shift; {{ printf '%s\\n' "$use"; "$@"; }} > {HOME}/{MEMORY}"""
_REFILL = f"{shlex.join(server.LOGIN.client(f'--init-command=SET SESSION {AS_THEY_ARE}'))} < {HOME}/{MEMORY}"
STARTING = 24  # times, five seconds apart, that a client knocks at a server which was started just now
_NO_ROOM = re.compile(r"No space left|Disk full|errno: 28|OS error 28|error number 28", re.IGNORECASE)
# Once by its own configuration, but for where it listens and what it would write beside its data: does it start?
_ONCE = f"""set -e
sed '/^log_bin=/d; /^log_error=/d; /^plugin_dir=/d' {HOME}/{own.CONF} > {_CONF}
mkdir -p {SORTING}
: > {server.LOG}
mariadbd --defaults-file={_CONF} --datadir={DATA} --tmpdir={SORTING} --socket={server.SOCKET} --pid-file={_PID} \\
  --skip-networking --skip-log-bin --event-scheduler=OFF --innodb-buffer-pool-size=256M --key-buffer-size=16M \\
  < /dev/null > {server.LOG} 2>&1 &
server=$!
until grep -q 'ready for connections' {server.LOG}; do
  kill -0 $server
  sleep 0.05
done
kill $server
wait $server
rm -rf {SORTING}
"""
_WRITE = f'cat > "{HOME}/$1" && chmod 644 "{HOME}/$1"'


@dataclass
class Maker:
    """`ServerMaker` for MariaDB."""

    asset: MariaDB
    site: Site

    def __post_init__(self) -> None:
        own.asked_for(self.site)
        own.require_short(self._socket)

    # --- before ---------------------------------------------------------------------------------------

    @cached_property
    def _socket(self) -> Path:
        """Called as the source's is: a plan that names it need not be changed."""
        return self.site.socket_directory / self.asset.connection.socket_name

    @property
    def user(self) -> str:
        return "mysql"

    @property
    def port(self) -> int:
        return self.site.port or self.asset.connection.port

    @staticmethod
    def _copied(manifest: Manifest) -> bool:
        """Is it a whole server's files? Else a dump."""
        return manifest.method == "physical"

    def by_socket_alone(self, manifest: Manifest) -> bool:
        return False

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        return replace(self.asset.sandbox(manifest), data_dir=HOME)

    def will(self, manifest: Manifest) -> list[str]:
        inventory = Inventory(manifest.contents)
        if self._copied(manifest):
            made = "makes the copied files of the whole server ready; its users and their passwords are the source's"
        else:
            made = f"loads {inventory.database} into a new server that has nothing else, with the users as captured"
        at = f"{self.site.address} port {self.port}, and the socket {self._socket}"
        events = "; its events begin to run then" if inventory.settings.get("event_scheduler") == "ON" else ""
        return [made, f"listens, once it is opened, at {at}{events}"]

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        inventory, notes = Inventory(manifest.contents), without_secret(self.asset.connection)
        if self._copied(manifest) and (lost := manifest.contents.get("memory_tables")):
            assert isinstance(lost, list)
            notes.append(f"{so_many(len(lost), 'MEMORY table comes', 'MEMORY tables come')} back empty")
        if files := self._in_memory(manifest):
            notes.append(
                f"{so_many(len(files), 'MEMORY table')} ({', '.join(list(files)[:5])}) will be empty when it is opened:"
                f" what they held is in {self.site.home / MEMORY}, for `mariadb --comments --binary-mode < FILE`"
            )
        if not self._copied(manifest) and inventory.facts["elsewhere"]:
            notes.append(f"the source had {', '.join(inventory.facts['elsewhere'])}, which a dump does not hold")
        zone = inventory.settings.get("system_time_zone", "UTC")
        if inventory.settings.get("time_zone") == "SYSTEM" and zone != "UTC":
            notes.append(f"it keeps its host's time, as the source did ({zone}): see that the host is in that zone")
        if inventory.libraries:
            notes.append(f"it loads the plugins {', '.join(inventory.libraries)}: its host's MariaDB must have them")
        return notes

    # --- the load -------------------------------------------------------------------------------------

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory, box = Inventory(manifest.contents), WithRoom(box, HOME, _PID)
        version = server.fitting_version(box, inventory.version)
        self._require_taken(box, manifest)
        if not self._copied(manifest):  # of a copy there is no server before it is ready
            try:
                self._start(box, manifest, {}, empty=True)
            except CommandFailed as error:
                raise self._broken(box, error) from None
        return version

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        if not self._copied(manifest):
            # What stands in for another database in a sandbox has no place in a real one.
            Dump(self.asset.model_copy(update={"prepare_sql": ()})).load(WithRoom(box, HOME, _PID), restored, manifest)
            if files := self._in_memory(manifest):
                use = f"USE {quote_name(Inventory(manifest.contents).database)};"
                paths = [box.path(restored / name) for name in files.values()]
                box.run(["sh", "-c", _KEEP, "keep", use, *paths], what="keeping the rows of MEMORY tables")
            return None
        self._prove(box, manifest)
        prepare(box, DATA)
        box = WithRoom(box, HOME, _PID)
        kept = self._kept(box)
        try:
            self._start(box, manifest, kept)
        except CommandFailed as error:
            raise self._bad(box, error) from None
        if log is None or target is None:
            return None
        with blaming_the_log():
            return recovery.recover(box, server.LOGIN, log, manifest, target)

    @staticmethod
    def _in_memory(manifest: Manifest) -> dict[str, str]:
        """Of a dump: its MEMORY tables that hold rows, and the files of these."""
        if manifest.method == "physical":
            return {}
        tables = Inventory(manifest.contents).tables
        return {n: str(t["file"]) for n, t in tables.items() if t["engine"] == "MEMORY" and int(t["rows"])}

    @staticmethod
    def _prove(box: Place, manifest: Manifest) -> None:
        try:
            sums.compare(box, HOME, manifest.files)
            box.run(["sh", "-c", f"echo verified > {VERIFIED}"], what="taking down that all are as captured")
        except CommandFailed as error:
            if "sha256sum" not in error.stderr or error.stalled:
                raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
            raise BackupBad(
                f"the copy is not what was captured: {error}", hint="restore an older snapshot meanwhile"
            ) from None

    @staticmethod
    def _kept(box: Place) -> dict[str, str]:
        path = f"{DATA}/backup-my.cnf"
        return laid_out(box.run(["cat", path], what="reading how the copy is laid out").stdout)

    def lasting(self, box: Place, manifest: Manifest) -> bool:
        return True

    def reopen(self, box: Place, manifest: Manifest) -> None:
        """What was loaded had been proven to be as captured before that."""
        box = WithRoom(box, HOME, _PID)
        kept = self._kept(box) if self._copied(manifest) else {}
        try:
            self._start(box, manifest, kept)
        except CommandFailed as error:
            raise self._broken(box, error) from None
        box.run(["sh", "-c", f"echo verified > {VERIFIED}"], what="taking down that all are as captured")
        inventory = Inventory(manifest.contents)
        box.run(server.LOGIN.client(), stdin=server.zone_sql(inventory.zone), what="its time zone")
        if tables := self._in_memory(manifest):
            acting = " ".join(told for name, told in inventory.objects.items() if name.startswith("trigger "))
            if any(f" INSERT of {table}," in acting for table in tables):
                raise TestBroken(
                    "a MEMORY table has lost its rows, and a trigger would act on them once more",
                    hint="begin again, into a directory that is not there yet",
                )
            box.run(["sh", "-c", _REFILL], what="filling MEMORY tables")

    def _start(self, box: Place, manifest: Manifest, kept: dict[str, str], *, empty: bool = False) -> None:
        """With durable settings, and shut off from everybody: no network, no events, no log of its own."""
        inventory = Inventory(manifest.contents)
        options = server.settings(inventory, self.asset.memory or server.MEMORY, throwaway=False)
        options |= {**kept, "datadir": DATA, "tmpdir": SORTING, "skip_slave_start": "1"}
        # A commit is handed to the system, which keeps it whatever ends the server; it does not wait for the disk.
        options["innodb_flush_log_at_trx_commit"] = "2"
        # A session of the source may have said so, and its log does not tell. Where it had not, nothing was altered.
        options |= {"loose-system_versioning_alter_history": "KEEP", **self.asset.server_settings}
        if not empty:
            del options["innodb_log_file_size"]  # there is one
        conf = server.configuration(options, inventory.libraries)
        named = "zones" if empty and inventory.facts["named_zones"] else ""
        argv = ["bash", "-c", _START, "start", "empty" if empty else "", named]
        box.run(argv, stdin=conf, what="mariadb-install-db and mariadbd" if empty else "starting the restored server")
        if self._copied(manifest):
            box.run(server.LOGIN.client(), stdin=server.zone_sql(inventory.zone), what="its time zone")

    @staticmethod
    def _broken(box: Place, error: CommandFailed) -> TestBroken:
        words = server.last_words(box)
        return TestBroken(
            f"the new server does not start: {error}{f'; {words.answer}' if words.answer else ''}",
            hint="does the image hold the plugins that the source uses, and has the target's disk room?",
            words=words,
        )

    def _bad(self, box: Place, error: CommandFailed) -> TestBroken | BackupBad:
        words = server.last_words(box)
        if error.stalled or words.search(server.LACKS) or words.search(_NO_ROOM):
            return self._broken(box, error)
        why = f"{error}; {words.answer}" if words.answer else str(error)
        return BackupBad(f"the restored server does not start: {why}", hint="restore an older snapshot", words=words)

    @property
    def restored(self) -> Restored:
        return self.asset

    def erased(self, box: Place, manifest: Manifest) -> None:
        """What MEMORY tables held was written down as it was captured."""
        if tables := self._in_memory(manifest):
            database = Inventory(manifest.contents).database
            dump = dump_rows(server.LOGIN, database, list(tables), lock=True, histories=False)
            argv = ["sh", "-c", _KEEP_ANEW, "keep", f"USE {quote_name(database)};", *dump]
            box.run(argv, what="keeping the rows of MEMORY tables")

    # --- the end --------------------------------------------------------------------------------------

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        box = WithRoom(box, HOME, _PID)
        kept = self._kept(box) if self._copied(manifest) else {}
        notes = self._kept_out(box)
        try:
            box.run(["bash", "-c", _STOP], what="ending the new server")
        except CommandFailed as error:
            words = server.last_words(box)
            raise TestBroken(
                f"the new server did not end cleanly: {error}", hint="has the target's disk room?", words=words
            ) from None
        mine = self._own(box, manifest, kept)
        box.run(["sh", "-c", _SET_UP], stdin=mine.text(str(self.site.home)), what="its configuration")
        try:
            box.run(["bash", "-c", _ONCE], what="starting it once by its own configuration")
        except CommandFailed as error:
            words = server.last_words(box)
            raise TestBroken(
                f"the new server does not start by its own configuration: {error}",
                hint="mend `settings:` of the target",
                words=words,
            ) from None
        drop_in = _UNIT.drop_in(self.site, owner, self._unit_lines)
        box.run(["sh", "-c", _WRITE, "write", DROP_IN], stdin=drop_in, what="its unit")
        captured, given = mine.buffer_pool
        if given < captured:
            notes.append(
                f"the source's buffer pool had {human_bytes(captured)}, and this host has {human_bytes(mine.memory)} "
                f"of memory: it gets {human_bytes(given)} (`settings: {{innodb_buffer_pool_size: …}}` says otherwise)"
            )
        return notes

    def _kept_out(self, box: Place) -> list[str]:
        """Accounts of the server that are for those of the host alone, which this one lacks."""
        named = lines(box, server.LOGIN, _BY_SOCKET, "asking who may log in")
        if not (outside := without_account(dict.fromkeys(name for name in named if name != SANDBOX_USER))):
            return []
        return [
            f"{', '.join(outside)} log in by unix_socket, as the host's account of the same name, which this host does "
            f"not have: `useradd --system {outside[0]}` makes one; or once it is started, give it a password: "
            f"`mariadb --socket={shlex.quote(str(self._socket))} -u root`, `ALTER USER … IDENTIFIED BY '…'`"
        ]

    def _own(self, box: Place, manifest: Manifest, kept: dict[str, str]) -> own.Own:
        memory = int(box.run(["awk", "/^MemTotal:/ { print $2 }", "/proc/meminfo"]).stdout) * 1024
        return own.Own(self.site, manifest, self.port, self._socket, kept, memory)

    def _require_taken(self, box: Place, manifest: Manifest) -> None:
        """The server itself says whether it knows all of its settings: before anything is loaded."""
        try:
            text = self._own(box, manifest, {}).text(HOME)
            box.run(["sh", "-c", _TAKES], stdin=text, what="trying its configuration")
        except CommandFailed as error:
            named = next((name for name in own.asked_for(self.site) if name in error.stderr), None)
            told = f" ({named})" if named else ""
            raise TestBroken(
                f"the new server does not take its settings{told}: {error}", hint="mend `settings:` of the target"
            ) from None

    @property
    def _unit_lines(self) -> list[str]:
        conf = self.site.home / own.CONF
        # Debian's own look at the server that it has installed, which this is not.
        return [f'Environment="MYSQLD_MULTI_INSTANCE=--defaults-file={conf}"', "ExecStartPre=", "ExecStartPost="]

    def captured_in(self, home: Path, manifest: Manifest) -> Mapping[str, Path]:
        return {}

    def captured_at(self, manifest: Manifest | None) -> Mapping[str, object]:
        """Where the password is not at hand, as `_opened` says: by its socket, as its administrator."""
        c = self.asset.connection
        at: dict[str, object] = {"connection.host": self._socket}
        secret = c.password_file is not None or c.password_command is not None
        unasked = c.socket is not None and not secret and bool(without_account([c.user]))
        if lacks_secret(c) or unasked:  # who had come in as the account of that name does not any more
            at |= {"connection.user": "root", **({} if unasked else {"connection.password_file": None})}
        elif c.socket is None:
            at = {"connection.host": by_network(c.host, self.site.address), "connection.port": self.port}
        if self.asset.method == "physical":
            at["data_directory"] = self.site.home / own.DATA
        return at

    def told_by(self, manifest: Manifest) -> Sequence[str]:
        return (own.CONF, own.ERRORS, f"{own.DATA}/aria_log_control")

    def start_lines(self, manifest: Manifest, image: str, owner: Owner) -> StartLines:
        conf = f"--defaults-file={self.site.home / own.CONF}"
        docker = docker_lines(self.site, image, owner, "mariadbd", conf)
        debian, box = _UNIT.lines(self.site, owner), inside(container(self.site, "mariadbd"))
        return StartLines(debian, docker, self._refilled(manifest), (self._look(manifest),), box)

    def _look(self, manifest: Manifest) -> str:
        """As root, as the server lets its administrator in by its socket."""
        argv = ["mariadb", f"--socket={self._socket}", "--user=root", "--table", f"--execute={_SIZES}"]
        return shlex.join([*argv, Inventory(manifest.contents).database])

    def _refilled(self, manifest: Manifest) -> tuple[str, ...]:
        """As it fills them itself; by whoever the server lets in by its socket without a password."""
        if not self._in_memory(manifest):
            return ()
        as_they_are = f"--init-command=SET SESSION {AS_THEY_ARE}"
        argv = ["mariadb", f"--socket={self._socket}", "--comments", "--binary-mode", as_they_are]
        wait = shlex.join(["mariadb-admin", f"--socket={self._socket}", f"--wait={STARTING}", "ping"])
        return wait, f"{shlex.join(argv)} < {shlex.quote(str(self.site.home / MEMORY))}"

    # --- once it is opened ----------------------------------------------------------------------------

    @cached_property
    def _opened(self) -> MariaDB:
        """As the plan's own user; where this host does not have its password, as whoever runs ccdr: by the socket the
        server lets its administrator in without one."""
        to: dict[str, object] = {"host": str(self._socket), "port": self.port}
        secret = self.asset.connection.password_file
        if self.asset.connection.password_command is None and (secret is None or not secret.is_file()):
            to |= {"user": "root", "password_file": None}
        # It is only asked: a copy of a whole server would want the source's own files, too.
        asking: dict[str, object] = {"method": "dump", "log_shipping": None}
        return self.asset.model_copy(update={**asking, "connection": self.asset.connection.model_copy(update=to)})

    def client(self, manifest: Manifest) -> MariaDB:
        return self._opened

    def asked(self, source: Source, manifest: Manifest) -> Restored:
        inventory, login = Inventory(manifest.contents), self._opened.connection.login(source.credentials)
        pulse = HowFar(partial(how_far, source.place, login, inventory.database), Silent())
        return Loaded(login, self.asset.jobs, inventory, inventory.database, pulse)

    def is_it(self, source: Source) -> bool:
        """Files that a server runs on no other has; and its number is its own."""
        login = self._opened.connection.login(source.credentials)
        (answer,) = lines(source.place, login, "SELECT @@datadir, @@server_id;", "asking which server it is")
        data, number = answer.split("\t")
        return Path(data) == self.site.home / own.DATA and number == str(new_server_id(self.site.mark))
