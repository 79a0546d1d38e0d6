"""Makes a new server of a dump, or of the files of a whole server and its log: `ServerMaker` for MariaDB."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ccdr.engines.mariadb import recovery, server, variables
from ccdr.engines.mariadb.accounts import SANDBOX_USER
from ccdr.engines.mariadb.binlog import new_server_id
from ccdr.engines.mariadb.client import lines
from ccdr.engines.mariadb.dump.method import Dump
from ccdr.engines.mariadb.dump.target import Loaded, how_far
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.new_server import memory_tables, own, private_server
from ccdr.engines.mariadb.new_server.private_server import DATA, copied, with_room
from ccdr.engines.mariadb.physical import laid_out, prepare, prove, take_down_proven
from ccdr.engines.mariadb.server import CLIENT, silenced
from ccdr.engines.servers.connection import by_network, is_loopback, lacks_secret, without_secret
from ccdr.engines.servers.new_server import (
    DROP_IN,
    NewServerMaker,
    Unit,
    container,
    docker_lines,
    inside,
    not_taken,
    require_short,
    told,
    write,
)
from ccdr.engines.servers.target import HowFar
from ccdr.host.accounts import without_account
from ccdr.model.errors import CommandFailed, blaming_the_log
from ccdr.model.values import Manifest, human_bytes
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.new_server import HOME, Owner, StartLines
from ccdr.ports.place import Place, Source, Unwatched
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

# By nothing else; a password that is `invalid` is none.
_BY_SOCKET = (
    "select User from mysql.global_priv where Priv like '%unix_socket%' and User <> '' "
    "and coalesce(json_value(Priv, '$.authentication_string'), '') in ('', 'invalid') order by User;"
)
_ROOT_ASKED = (
    "select 1 from mysql.global_priv where User = 'root' and Host = 'localhost' and Priv not like '%unix_socket%' "
    "and coalesce(json_value(Priv, '$.authentication_string'), '') <> '';"
)
# For a person's first look: the largest tables. What the server knows of their sizes may be old.
_SIZES = (
    "select table_name, engine, round(data_length / 1024) as kb from information_schema.tables "
    "where table_schema = database() order by kb desc limit 40"
)
_UNIT = Unit("mariadb-server", "mariadb", "mariadb@", "mysql")
_VARIABLES = f"{DATA}/{variables.FILE}"  # where a copy has them
_KEEP_VARIABLES = f"umask 077; cat > {_VARIABLES}"
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


def _kept(box: Place) -> dict[str, str]:
    path = f"{DATA}/backup-my.cnf"
    return laid_out(box.run(["cat", path], what="reading how the copy is laid out").stdout)


@dataclass(frozen=True)
class CopiedFiles:
    """`RecoversFiles`, of a whole server's."""

    asset: MariaDB

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        return replace(self.asset.sandbox(manifest), data_dir=HOME, in_place=())

    def open(self, box: Place, manifest: Manifest) -> None:
        """Have the private server run on them, as they were captured."""
        box = with_room(box)
        prepare(box, DATA)
        kept = _kept(box)
        try:
            private_server.start(box, self.asset, manifest, kept)
        except CommandFailed as error:
            raise private_server.bad(box, error) from None

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        self.open(box, manifest)
        box = with_room(box)
        with blaming_the_log():
            reached = recovery.recover(box, server.LOGIN, HOME, log, manifest, target)
        memory_tables.keep_anew(box, manifest)
        return reached

    @staticmethod
    def leave(box: Place, files: Path, final: Path) -> str:
        private_server.stop(with_room(box))
        start = f"mariadbd --defaults-file={final / own.CONF} --user=mysql &"
        fill = (
            f"; then fill its MEMORY tables: mariadb {CLIENT} --comments --binary-mode < {final / memory_tables.FILE}"
        )
        return f"start a server on it which nobody else reaches: {start}" + fill * (files / memory_tables.FILE).exists()


@dataclass
class Maker(NewServerMaker["MariaDB"]):
    """`ServerMaker` for MariaDB."""

    user: ClassVar[str] = "mysql"

    def __post_init__(self) -> None:
        own.asked_for(self.site)
        require_short(self.socket)

    # --- before ---------------------------------------------------------------------------------------

    @cached_property
    def socket(self) -> Path:
        """Called as the source's is: a plan that names it need not be changed."""
        return self.site.socket_directory / self.asset.connection.socket_name

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        return replace(self.asset.sandbox(manifest), data_dir=HOME)

    def will(self, manifest: Manifest) -> list[str]:
        inventory = Inventory(manifest.contents)
        if copied(manifest):
            made = "makes the copied files of the whole server ready; its users and their passwords are the source's"
        else:
            made = f"loads {inventory.database} into a new server that has nothing else, with the users as captured"
        at = f"{self.site.address} port {self._listens(manifest)}, and the socket {self.socket}"
        return [made, f"listens, once it is opened, at {at}"]

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        inventory, notes = Inventory(manifest.contents), without_secret(self.asset.connection)
        notes += memory_tables.notes(manifest, self.site.home)
        client = shlex.join(["mariadb", f"--socket={self.socket}", "--user=root"])
        conf = shlex.quote(str(self.site.home / own.CONF))
        notes += told(silenced(inventory.settings, inventory.facts["plugins"], own.asked_for(self.site), conf, client))
        if not copied(manifest) and inventory.facts["elsewhere"]:
            notes.append(f"the source had {', '.join(inventory.facts['elsewhere'])}, which a dump does not hold")
        zone = inventory.settings["system_time_zone"]
        if inventory.settings["time_zone"] == "SYSTEM" and zone != "UTC":
            notes.append(f"it keeps its host's time, as the source did ({zone}): see that the host is in that zone")
        if inventory.libraries:
            notes.append(f"it loads the plugins {', '.join(inventory.libraries)}: its host's MariaDB must have them")
        return notes

    # --- the load -------------------------------------------------------------------------------------

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory, box = Inventory(manifest.contents), with_room(box)
        version = server.fitting_version(box, inventory.version)
        self._require_taken(box, manifest)
        if not copied(manifest):  # of a copy there is no server before it is ready
            try:
                private_server.start(box, self.asset, manifest, {}, empty=True)
            except CommandFailed as error:
                raise private_server.broken(box, error) from None
        return version

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        if not copied(manifest):
            text = (restored / variables.FILE).read_text("utf-8")
            box.run(["sh", "-c", _KEEP_VARIABLES], stdin=text, what="keeping the source's variables")
            # What stands in for another database in a sandbox has no place in a real one.
            Dump(self.asset.model_copy(update={"prepare_sql": ()})).load(with_room(box), restored, manifest)
            memory_tables.keep_anew(box, manifest)
            return None
        prove(box, HOME, manifest)
        files = CopiedFiles(self.asset)
        if log is not None and target is not None:
            return files.recover(box, restored, log, manifest, target)
        files.open(box, manifest)
        memory_tables.keep_beside(box, manifest)
        return None

    def reopen(self, box: Place, manifest: Manifest) -> None:
        """What was loaded had been proven to be as captured before that."""
        box = with_room(box)
        kept = _kept(box) if copied(manifest) else {}
        try:
            private_server.start(box, self.asset, manifest, kept)
        except CommandFailed as error:
            raise private_server.broken(box, error) from None
        take_down_proven(box)
        inventory = Inventory(manifest.contents)
        box.run(server.LOGIN.client(), stdin=server.zone_sql(inventory.zone), what="its time zone")
        memory_tables.fill_again(box, manifest)

    def erased(self, box: Place, manifest: Manifest) -> None:
        """What MEMORY tables held was written down as it was captured."""
        memory_tables.keep_anew(box, manifest)

    # --- the end --------------------------------------------------------------------------------------

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        box = with_room(box)
        kept = _kept(box) if copied(manifest) else {}
        notes = self._kept_out(box)
        if lines(box, server.LOGIN, _ROOT_ASKED, "asking how root logs in"):
            notes.append("root has a password there, as at the source: where a line begins with `mariadb`, add `-p`")
        private_server.stop(box)
        source: dict[str, str] = json.loads(box.run(["cat", _VARIABLES], what="reading the source's variables").stdout)
        mine = self._own(box, manifest, kept, source)
        box.run(["sh", "-c", _SET_UP], stdin=mine.text(str(self.site.home)), what="its configuration")
        notes += mine.notes(source, private_server.start_once(box))
        drop_in = _UNIT.drop_in(self.site, owner, self._unit_lines)
        write(box, DROP_IN, drop_in, "its unit")
        captured, given = mine.buffer_pool
        if given < captured:
            notes.append(
                f"the source's buffer pool had {human_bytes(captured)}, and this host has {human_bytes(mine.memory)} "
                f"of memory: it gets {human_bytes(given)} (`settings: {{innodb_buffer_pool_size: …}}` says otherwise)"
            )
        return notes

    def _listens(self, manifest: Manifest) -> int:
        """Its port: the source's own, which a plan that comes by its socket does not know."""
        known = self.site.port or self.asset.connection.socket is None
        captured = 0 if known else int(Inventory(manifest.contents).settings["port"])
        return captured or self.port  # 0: it listened nowhere

    def _kept_out(self, box: Place) -> list[str]:
        """Accounts of the server that are for those of the host alone, which this one lacks."""
        named = lines(box, server.LOGIN, _BY_SOCKET, "asking who may log in")
        if not (outside := without_account(dict.fromkeys(name for name in named if name != SANDBOX_USER))):
            return []
        return [
            f"{', '.join(outside)} log in by unix_socket, as the host's account of the same name, which this host does "
            f"not have: `useradd --system {outside[0]}` makes one; or once it is started, give it a password: "
            f"`mariadb --socket={shlex.quote(str(self.socket))} -u root`, `ALTER USER … IDENTIFIED BY '…'`"
        ]

    def _own(
        self, box: Place, manifest: Manifest, kept: Mapping[str, str], source: Mapping[str, str | None]
    ) -> own.Own:
        """`source`: what somebody has set there, as far as it is known yet."""
        memory = int(box.run(["awk", "/^MemTotal:/ { print $2 }", "/proc/meminfo"]).stdout) * 1024
        given = variables.given(source, private_server.known_options(box, Inventory(manifest.contents).libraries))
        return own.Own(self.site, manifest, self._listens(manifest), self.socket, kept, memory, given)

    def _require_taken(self, box: Place, manifest: Manifest) -> None:
        """The server itself says whether it knows all of its settings: before anything is loaded."""
        try:
            mine = self._own(box, manifest, {}, Inventory(manifest.contents).variables)
            private_server.take_settings(box, mine.text(HOME))
        except CommandFailed as error:
            raise not_taken(error, own.asked_for(self.site)) from None

    @property
    def _unit_lines(self) -> list[str]:
        conf = self.site.home / own.CONF
        # Debian's own look at the server that it has installed, which this is not.
        return [f'Environment="MYSQLD_MULTI_INSTANCE=--defaults-file={conf}"', "ExecStartPre=", "ExecStartPost="]

    def captured_at(self, manifest: Manifest | None) -> Mapping[str, object]:
        """Where the password is not at hand, as `_opened` says: by its socket, as its administrator."""
        c = self.asset.connection
        at: dict[str, object] = {"connection.host": self.socket}
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
        filled = memory_tables.lines(manifest, self.site.home, self.socket)
        return StartLines(debian, docker, filled, (self._look(manifest),), box)

    def _look(self, manifest: Manifest) -> str:
        """As root, as the server lets its administrator in by its socket."""
        argv = ["mariadb", f"--socket={self.socket}", "--user=root", "--table", f"--execute={_SIZES}"]
        return shlex.join([*argv, Inventory(manifest.contents).database])

    # --- once it is opened ----------------------------------------------------------------------------

    @cached_property
    def _opened(self) -> MariaDB:
        """As the plan's own user, who comes the way that the plan comes: to the server a user of 127.0.0.1 is none of
        the socket's. Where this host does not have its password, as whoever runs ccdr: by the socket the server lets
        its administrator in without one."""
        to: dict[str, object] = {"host": str(self.socket), "port": self.port}
        c, network = self.asset.connection, by_network(self.asset.connection.host, self.site.address)
        if c.password_command is None and (c.password_file is None or not c.password_file.is_file()):
            to |= {"user": "root", "password_file": None}
        elif c.socket is None and is_loopback(network):  # elsewhere it wants TLS, which no new server has yet
            to["host"] = network
        # It is only asked: a copy of a whole server would want the source's own files, too.
        asking: dict[str, object] = {"method": "dump", "log_shipping": None}
        return self.asset.model_copy(update={**asking, "connection": self.asset.connection.model_copy(update=to)})

    def client(self, manifest: Manifest) -> MariaDB:
        return self._opened

    def asked(self, source: Source, manifest: Manifest) -> Restored:
        inventory, login = Inventory(manifest.contents), self._opened.connection.login(source.credentials)
        pulse = HowFar(partial(how_far, source.place, login, inventory.database), Unwatched())
        return Loaded(login, self.asset.jobs, inventory, inventory.database, pulse)

    def is_it(self, source: Source) -> bool:
        """Files that a server runs on no other has; and its number is its own."""
        login = self._opened.connection.login(source.credentials)
        (answer,) = lines(source.place, login, "SELECT @@datadir, @@server_id;", "asking which server it is")
        data, number = answer.split("\t")
        return Path(data) == self.site.home / own.DATA and number == str(new_server_id(self.site.mark))
