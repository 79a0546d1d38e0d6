"""Makes a new server of an RDB file: `ServerMaker` for Redis and Valkey. Once it is open it is asked page by page:
nobody is held up.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ccdr.engines.redis.capture import RDB, RUN, USERS, kind_of, load_file, made_durable, restored_server
from ccdr.engines.redis.client import Client, databases_in
from ccdr.engines.redis.erasing import written_again
from ccdr.engines.redis.server import PrivateServer, admin, configuration, quoted
from ccdr.engines.servers.connection import by_network
from ccdr.engines.servers.new_server import (
    DROP_IN,
    NewServerMaker,
    Silenced,
    Unit,
    container,
    docker_lines,
    inside,
    not_taken,
    refuse_settings,
    require_short,
    told,
    write,
)
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Manifest, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.new_server import HOME, Owner, Site, StartLines
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.redis.engine import Redis

# A server that its users may be using by now, asked by its own client, page by page: nobody is held up for long.

COUNTING = "counting keys"
# One page. ARGV: the cursor, a type or nothing, a pattern. Gives the next cursor, how many keys of it match, and the
# newest id of the streams' last entries among them (or 0).
_PAGE = """\
local words = {'SCAN', ARGV[1], 'MATCH', ARGV[3], 'COUNT', '10000'}
if ARGV[2] ~= '' then words[7], words[8] = 'TYPE', ARGV[2] end
local page, newest = redis.call(unpack(words)), 0
for _, key in ipairs(page[2]) do
  local last = ARGV[2] == 'stream' and redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if last then newest = math.max(newest, tonumber(string.match(last[1], '^%d+'))) end
end
return string.format('%s %d %.0f', page[1], #page[2], newest)
"""


@dataclass(frozen=True)
class Opened:
    """`Restored` for it: it counts keys, where the plan's user may."""

    has_server: ClassVar[bool] = True

    client: Client

    def matching(
        self, context: CheckContext, pattern: str, kind: str | None, database: int | None
    ) -> tuple[int, float | None] | None:
        """As `questions.matching`; None where the plan's user may not."""
        total, newest = 0, 0
        try:
            for one in databases_in(self.client.info("keyspace")) if database is None else (database,):
                cursor = "0"
                while True:
                    cursor, count, last = self._page(cursor, pattern, kind, one)
                    total, newest = total + count, max(newest, last)
                    if cursor == "0":
                        break
        except CommandFailed as error:
            if self.client.not_for_us(error):
                return None
            raise
        return total, newest / 1000 if newest else None

    def _page(self, cursor: str, pattern: str, kind: str | None, database: int) -> tuple[str, int, int]:
        """CommandFailed for an error of the server, which the client prints as any answer to what was typed."""
        said = self.client.typed(("EVAL", _PAGE, "0", cursor, kind or "", pattern), database=database, what=COUNTING)
        if (told := re.fullmatch(r"(\d+) (\d+) (\d+)\s*", said)) is None:
            raise CommandFailed(["EVAL"], 1, said, what=COUNTING)
        return told[1], int(told[2]), int(told[3])

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        raise CommandFailed(["query"], 2, "redis answers no SQL")

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        raise CommandFailed(["query"], 2, "redis answers no SQL")

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        raise CommandFailed(["identical"], 2, "one that is in use is not compared with what was captured")

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        raise CommandFailed(["integrity"], 2, "one that is in use is not taken apart")

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        raise CommandFailed(["erase"], 2, "one that is in use is not written to")


# Until it is opened it is a replica of nobody, as in a restore test: nothing expires in it and nobody else reaches
# it. Where the source had an append-only file, so has the new one, begun of the loaded RDB; and the server that is
# checked has read that file again, since a server that has one reads no RDB.

DATA, LOGS, SOCKETS, ACL = "data", "log", "run", "users.acl"  # below the home
# What a target says by words of its own; None: what is not for it to say.
_OURS = {
    **{"bind": "address", "port": "port", "unixsocket": "sockets", "dir": "directory"},
    **dict.fromkeys(("requirepass", "masterauth", "user", "aclfile"), "users are the captured ones"),
    **dict.fromkeys(("replicaof", "slaveof"), "a new server is nobody's replica"),
    **dict.fromkeys(("dbfilename", "appendfilename", "appenddirname", "logfile", "pidfile", "daemonize", "include")),
}
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
_PUT = f"""set -e
umask 027
mkdir -p {HOME}/{DATA}
cp --reflink=auto "$1/{RDB}" {HOME}/{DATA}/{RDB}
[ ! -f "$1/{USERS}" ] || cp "$1/{USERS}" {HOME}/{ACL}
"""
_ENDED = r"""
pid=$(cat "$1"/pid)
while grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
grep -q 'ready to exit' "$1"/log
"""
_SET_UP = f"""set -e
umask 027
cd {HOME}
mkdir -p {LOGS} {SOCKETS}
chmod 750 {LOGS} {DATA}
chmod 755 {SOCKETS}
rm -rf {LOGS}/* {SOCKETS}/*
: > {LOGS}/server.log
[ ! -f {ACL} ] || chmod 640 {ACL}
"""
# Does the server take the configuration that comes on standard input? $1: the program's name.
_TRY = """set -e
rm -rf /tmp/ccdr-try && mkdir /tmp/ccdr-try
cat > /tmp/ccdr-try/conf
"$1-server" /tmp/ccdr-try/conf --port 0 --unixsocket /tmp/ccdr-try/s --dir /tmp/ccdr-try --appendonly no --save '' \\
  --pidfile /tmp/ccdr-try/pid --logfile '' > /tmp/ccdr-try/out 2>&1 < /dev/null &
server=$!
until [ -S /tmp/ccdr-try/s ]; do
  kill -0 $server 2> /dev/null || { cat /tmp/ccdr-try/out >&2; exit 1; }
  sleep 0.02
done
kill $server
"""


def asked_for(site: Site) -> dict[str, str]:
    """The settings that the target states. UsageProblem where one is not for it to state."""
    named = {name.lower(): value for name, value in site.settings.items()}
    refuse_settings(named, "Redis", _OPTION, _OURS)
    return named


# Of the captured settings these are never taken over: a new server follows nobody, and is not one of several.
SILENCED = frozenset(("replicaof", "slaveof", "cluster-enabled", "cluster-config-file", "masterauth", "masteruser"))


def silenced(*, replica: bool, client: str) -> Iterator[Silenced]:
    """What it does not do by itself until somebody says so; `client` is one of the new server."""
    if replica:
        yield Silenced("it was a replica, and follows nobody", f"{client} REPLICAOF HOST PORT")


@dataclass
class Maker(NewServerMaker["Redis"]):
    """`ServerMaker` for Redis and Valkey."""

    user: ClassVar[str] = "redis"

    def __post_init__(self) -> None:
        asked_for(self.site)
        require_short(self.socket)

    # --- before ---------------------------------------------------------------------------------------

    @cached_property
    def socket(self) -> Path:
        """Called as the source's is."""
        was = self.asset.connection.socket
        return self.site.socket_directory / (was.name if was is not None else "redis.sock")

    def by_socket_alone(self, manifest: Manifest) -> bool:
        return not (_has_users(manifest) and self._had_port(manifest))

    def _had_port(self, manifest: Manifest) -> bool:
        """Did the source listen at a TCP port? Where the backup does not tell, one that the plan reaches by a port."""
        captured = manifest.contents["settings"]
        told = captured.get("port") if isinstance(captured, Mapping) else None
        return self.asset.connection.socket is None if told is None else str(told) != "0"

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        return replace(self.asset.sandbox(manifest), data_dir=HOME)

    def will(self, manifest: Manifest) -> list[str]:
        made = f"has a new {kind_of(manifest).title} server load the RDB, with {_users(manifest)}"
        if self._settings(manifest)["appendonly"] == "yes":
            made += ", and begin its append-only file of it"
        at = f"the socket {self.socket}"
        at = at if self.by_socket_alone(manifest) else f"{self.site.address} port {self.port}, and {at}"
        return [made, f"listens, once it is opened, at {at}"]

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        notes = []
        if not _has_users(manifest):
            notes.append(
                f"the backup holds no users, so anybody could do anything: the new server listens on {self.socket} "
                "alone, for its own user. Set passwords there, and then its port"
            )
        elif not self._had_port(manifest):
            notes.append(
                f"its source listened at no TCP port (`port 0`), or the backup does not tell: the new server listens "
                f"on {self.socket} alone. Where it is to have one, set `port` in {self._conf(manifest)} before it is "
                "started"
            )
        if (lost := self._lost_password(manifest)) is not None:
            notes.append(lost)
        if manifest.contents["settings"] is None:
            notes.append("the backup holds no settings (+config|get): it has its program's own, and those of the plan")
        if self._keeps_nothing(manifest):
            conf = shlex.quote(str(self._conf(manifest)))
            notes.append(
                'it keeps nothing, as its source did (`save ""`, `appendonly no`): each start reads the state of the '
                'backup again. So that it keeps what comes, state `settings: {appendonly: "yes"}` at the target; or, '
                f"before it is started: `printf 'save 3600 1\\nsave 300 100\\nsave 60 10000\\n' >> {conf}`"
            )
        if manifest.contents["cluster_node"]:
            notes.append("the source was one node of a cluster: the new server stands alone, with that node's keys")
        notes += told(silenced(replica=bool(manifest.contents["replica"]), client=self._cli(manifest)))
        if self.asset.modules:
            notes.append(
                f"it loads the modules {', '.join(self.asset.modules)}: they must lie there where it is started"
            )
        return notes

    def _conf(self, manifest: Manifest) -> Path:
        return self.site.home / f"{kind_of(manifest).name}.conf"

    def _settings(self, manifest: Manifest) -> dict[str, str]:
        """As captured, and as the target states; where it listens is for the target alone."""
        captured = manifest.contents["settings"]
        settings = captured.items() if isinstance(captured, Mapping) else ()
        known = {str(n): str(v) for n, v in settings if n not in SILENCED | {"port"}}
        return {"appendonly": "no", **known, **asked_for(self.site)}

    def _keeps_nothing(self, manifest: Manifest) -> bool:
        """Neither file is written, though the one that was brought back lies there, and is read at each start."""
        settings = self._settings(manifest)
        return settings["appendonly"] == "no" and settings.get("save") == ""

    # --- the load -------------------------------------------------------------------------------------

    def start(self, box: Place, manifest: Manifest) -> str:
        """A server loads its data as it starts: here only, is it the right one?"""
        version = self.asset.start(box, manifest)
        self._require_taken(box, manifest)
        return version

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        box.run(["sh", "-c", _PUT, "put", box.path(restored)], what="putting the RDB in place")
        server = restored_server(box, manifest)
        databases, extra, rules = self.asset.databases(manifest), self.asset.extra, self._rules(box, manifest)
        load_file(server, restored / RDB, f"{HOME}/{DATA}", rules, manifest, databases, extra)
        if self._settings(manifest)["appendonly"] == "yes":
            made_durable(server, f"{HOME}/{DATA}")
            self._end(server)
            self.reopen(box, manifest)
        return None

    def reopen(self, box: Place, manifest: Manifest) -> None:
        server, extra = restored_server(box, manifest), list(self.asset.extra)
        if self._settings(manifest)["appendonly"] == "yes":
            extra.append("appendonly yes")
        databases = self.asset.databases(manifest)
        conf = configuration(RUN, f"{HOME}/{DATA}", RDB, databases=databases, users=True, extra=extra)
        server.configure(conf, f"user {admin()}\n{self._rules(box, manifest)}")
        try:
            server.start()
        except CommandFailed as error:
            raise TestBroken(
                f"the new server does not start: {error}", hint="begin again, into a directory that is not there yet"
            ) from None
        keys = sum(counts["keys"] for counts in databases_in(server.info("keyspace")).values())
        if keys != manifest.contents["keys"]:
            raise TestBroken(
                f"the new server has read {so_many(keys, 'key')} from its disk, and was given "
                f"{manifest.contents['keys']}",
                hint="begin again, into a directory that is not there yet",
            )

    @staticmethod
    def _rules(box: Place, manifest: Manifest) -> str:
        return box.run(["cat", f"{HOME}/{ACL}"], what="its users").stdout if _has_users(manifest) else ""

    def erased(self, box: Place, manifest: Manifest) -> None:
        written_again(restored_server(box, manifest))

    # --- the end --------------------------------------------------------------------------------------

    @staticmethod
    def _end(server: PrivateServer) -> None:
        server.stop()
        try:
            server.place.run(["sh", "-c", _ENDED, "ended", server.run], what="ending the new server")
        except CommandFailed as error:
            raise TestBroken(
                f"the new server did not end cleanly: {error}", hint="has the target's disk room?"
            ) from None

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        name = kind_of(manifest).name
        self._end(restored_server(box, manifest))
        box.run(["sh", "-c", _SET_UP], what="its directories")
        conf = f"{name}.conf"
        text = self._text(manifest, str(self.site.home))
        write(box, conf, text, "its configuration")
        program = f"/usr/bin/{name}-server {self.site.home / conf} --supervised systemd --daemonize no"
        lines = ["ExecStart=", f"ExecStart={program}", "PIDFile=", f"ReadWritePaths={self.site.home}"]
        if self.site.sockets is not None:
            lines.append(f"ReadWritePaths=-{self.site.sockets}")
        drop_in = _unit(name).drop_in(self.site, owner, lines)
        write(box, DROP_IN, drop_in, "its unit")
        other = self._other_password(manifest, home)
        return [] if other is None else [other]

    def _require_taken(self, box: Place, manifest: Manifest) -> None:
        """Does the server know its settings? Its files come with the load."""
        lines = self._text(manifest, HOME).splitlines()
        of_files = ("aclfile ", "dir ", "logfile ", "pidfile ")
        text = "".join(f"{line}\n" for line in lines if not line.startswith(of_files))
        try:
            box.run(["sh", "-c", _TRY, "try", kind_of(manifest).name], stdin=text, what="trying its configuration")
        except CommandFailed as error:
            raise not_taken(error, asked_for(self.site)) from None

    def _text(self, manifest: Manifest, home: str) -> str:
        """Its own configuration. Without users there is nobody whom a password would keep out."""
        open_ = _has_users(manifest)
        options = {
            "bind": self.site.address,
            "port": "0" if self.by_socket_alone(manifest) else str(self.port),
            "unixsocket": quoted(str(self.socket)),
            "unixsocketperm": "777" if open_ else "700",
            "dir": quoted(f"{home}/{DATA}"),
            "dbfilename": RDB,
            "logfile": quoted(f"{home}/{LOGS}/server.log"),
            "pidfile": quoted(f"{home}/{SOCKETS}/server.pid"),
            "daemonize": "no",
        }
        if open_:
            options["aclfile"] = quoted(f"{home}/{ACL}")
        for name, value in self._settings(manifest).items():
            options[name] = value if name == "save" and value else quoted(value)
        title = f"{kind_of(manifest).title} {manifest.contents['version']}"
        return "".join(
            [
                f"# {title}, made new by ccdr of the snapshot of {manifest.plan}/{manifest.asset} of "
                f"{manifest.consistent_point:%Y-%m-%d %H:%M:%S} UTC.\n",
                *(f"{name} {value}\n" for name, value in options.items()),
                *(f"{line}\n" for line in self.asset.extra),
            ]
        )

    def captured_in(self, home: Path, manifest: Manifest) -> Mapping[str, Path]:
        """It writes no RDB until it is opened, and never its users."""
        there = {RDB: home / DATA / RDB, USERS: home / ACL}
        return {name: path for name, path in there.items() if name in manifest.files}

    def captured_at(self, manifest: Manifest | None) -> Mapping[str, object]:
        """One without users listens on its socket alone."""
        c = self.asset.connection
        if manifest is not None and not _has_users(manifest):
            left_out = ("user", "password_file", "password_command")
            return {"connection.host": self.socket, **{f"connection.{n}": None for n in left_out if getattr(c, n)}}
        if c.socket is not None or (manifest is not None and self.by_socket_alone(manifest)):
            return {"connection.host": self.socket}
        return {"connection.host": by_network(c.host, self.site.address), "connection.port": self.port}

    def told_by(self, manifest: Manifest) -> Sequence[str]:
        return (f"{kind_of(manifest).name}.conf", f"{LOGS}/server.log", f"{DATA}/{RDB}")

    def start_lines(self, manifest: Manifest, image: str, owner: Owner) -> StartLines:
        name = kind_of(manifest).name
        conf = str(self.site.home / f"{name}.conf")
        docker = docker_lines(self.site, image, owner, f"{name}-server", conf)
        debian, box = _unit(name).lines(self.site, owner), inside(container(self.site, f"{name}-server"))
        return StartLines(debian, docker, look=(self._look(manifest),), inside=box)

    def _look(self, manifest: Manifest) -> str:
        """By the plan's own user; where this host lacks its password, as whoever comes without one. Its client goes on
        as `default` once AUTH has failed: so that is asked for first, by itself, and ends it."""
        connection, secret = self.asset.connection, self.asset.connection.password_file
        cli = self._cli(manifest)
        if not _has_users(manifest) or (secret is None and connection.password_command is None):
            return f"{cli} INFO keyspace"
        if secret is not None and not secret.is_file():
            return f"{cli} -e INFO keyspace"
        user = [connection.user] if connection.user is not None else []
        may = f"{cli} -e -x {shlex.join(['AUTH', *user])}"
        ask = f"{cli} {shlex.join([*(['--user', *user] if user else []), '--askpass', 'INFO', 'keyspace'])}"
        read = "IFS= read -r p"
        if secret is None:  # typed by whoever has it, where nobody sees it
            read = f'printf "password: " >&2; stty -echo 2> /dev/null; {read}; stty echo 2> /dev/null'
        line = shlex.join(["sh", "-c", f'{read}; printf %s "$p" | {may} && printf "%s\\n" "$p" | {ask}'])
        return f"{line} < {shlex.quote(str(secret))}" if secret is not None else line

    def _cli(self, manifest: Manifest) -> str:
        return shlex.join([f"{kind_of(manifest).name}-cli", "-s", str(self.socket)])

    def _lost_password(self, manifest: Manifest) -> str | None:
        """What to do about one that this host lacks: the server has only its digest, and no repository has it."""
        secret = self.asset.connection.password_file
        if not _has_users(manifest) or secret is None or secret.is_file():
            return None
        file, directory = shlex.quote(str(secret)), shlex.quote(str(secret.parent))
        return (
            f"this host lacks {secret}, which no repository holds. Put it back from your copy. There is none? "
            f"`(umask 077; mkdir -p {directory}; head -c 24 /dev/urandom | base64 > {file})` makes a new one; once the "
            f"server is started, {self._sets(manifest, secret)}"
        )

    def _sets(self, manifest: Manifest, secret: Path) -> str:
        """The line by which the server takes what is in that file."""
        user = self.asset.connection.user or "default"
        typed = f'"ACL SETUSER %s resetpass >%s\\nACL SAVE\\n" {shlex.quote(user)}'
        client = self._cli(manifest)
        line = shlex.join(["sh", "-c", f'IFS= read -r p; printf {typed} "$p" | {client} -e'])
        return (
            f"`{line} < {shlex.quote(str(secret))}` sets it there (as its user `default`, if that needs no password; "
            f"where it runs by Docker, with `docker exec -i -u root` and the container's name before "
            f"{client.split()[0]}, behind the |)"
        )

    def _other_password(self, manifest: Manifest, home: Path) -> str | None:
        """That this host has one which the server will not take: by the digests that the captured users have."""
        secret, user = self.asset.connection.password_file, self.asset.connection.user or "default"
        try:
            rules = (home / ACL).read_text("utf-8", "replace").split("\n")
            word = "" if secret is None else secret.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            return None
        mine = next((line.split() for line in rules if line.split()[:2] == ["user", user]), None)
        if secret is None or mine is None or {"nopass", f"#{sha256(word.encode()).hexdigest()}"} & set(mine):
            return None
        return (
            f"the password in {secret} is none that {user} has in the backup. Is it a new one? Once the server is "
            f"started, {self._sets(manifest, secret)}"
        )

    # --- once it is opened ----------------------------------------------------------------------------

    def client(self, manifest: Manifest) -> Redis:
        to: dict[str, object] = {"host": str(self.socket)}
        if not _has_users(manifest):
            to |= {"user": None, "password_file": None, "password_command": None}
        return self.asset.model_copy(update={"connection": self.asset.connection.model_copy(update=to)})

    def asked(self, source: Source, manifest: Manifest) -> Restored:
        return Opened(Client(source.place, self.client(manifest).connection, source.credentials))

    def is_it(self, source: Source) -> bool:
        """A configuration lies where it lies: nobody else's server has read it."""
        connection = self.asset.connection.model_copy(update={"host": str(self.socket)})
        info = Client(source.place, connection, source.credentials).first_info("server")
        return Path(info.get("config_file", "")).parent == self.site.home


def _has_users(manifest: Manifest) -> bool:
    return manifest.contents["users"] is not None


def _users(manifest: Manifest) -> str:
    users = manifest.contents["users"]
    return so_many(len(users), "user") if isinstance(users, list) else "no users"


def _unit(name: str) -> Unit:
    return Unit(f"{name}-server", f"{name}-server", f"{name}-server@", name)
