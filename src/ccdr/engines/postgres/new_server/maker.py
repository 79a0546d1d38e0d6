"""`ServerMaker` for PostgreSQL."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.engines.postgres import server
from ccdr.engines.postgres.connection import OWN_OPTIONS, PSQL, Connection, major_of, untimed, untriggered
from ccdr.engines.postgres.dump.loaded import Loaded, how_far
from ccdr.engines.postgres.dump.target import MAINTENANCE
from ccdr.engines.postgres.inventory import Inventory, conf_line
from ccdr.engines.postgres.new_server import configuration as conf
from ccdr.engines.postgres.new_server import here
from ccdr.engines.postgres.new_server.entering import LOGINS, Entering
from ccdr.engines.postgres.new_server.homes import DATA, PATIENCE, STOP, DumpHome, PhysicalHome, lead_to
from ccdr.engines.postgres.physical.capture import CLUSTER
from ccdr.engines.servers.connection import by_network, lacks_secret, without_secret
from ccdr.engines.servers.start_lines import inside
from ccdr.engines.servers.target import HowFar, Silent
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME, Owner, Site, StartLines
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Postgres
    from ccdr.ports.log import Reached, RecoveryTarget

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")
# Asked of the loaded server, before it is ended for the last time.
_FACTS = """\
select exists (select from pg_authid where rolpassword like 'md5%'), (select count(*) from pg_subscription);
"""
_DATABASES = "select datname from pg_database where datallowconn order by 1;"
_UNLOGGED = "select exists (select from pg_class where relpersistence = 'u');"
_AMCHECK = "select count(*) from pg_extension where extname = 'amcheck';"
# Of every database in one call: each that Docker is asked for takes longer than the question.
_WITH_AMCHECK = f"""set -e
names=$("$@" -c "{_DATABASES}")
printf '%s\\n' "$names" | while IFS= read -r name; do
  had=$(PGDATABASE=$name "$@" -c "{_AMCHECK}")
  if [ "$had" != 0 ]; then printf '%s\\n' "$name"; fi
done
"""
# For a person's first look: the largest tables.
_SIZES = (
    "select schemaname, relname, pg_size_pretty(pg_relation_size(relid)) from pg_stat_user_tables "
    "order by pg_relation_size(relid) desc limit 20"
)

# What its planner goes by, gathered beside the checks, which do not need it: it takes about as long as the load.
_ANALYZE = """rm -f /tmp/ccdr-analyzed
setsid sh -c '"$@"; echo $? > /tmp/ccdr-analyzed' analyze "$@" > /tmp/ccdr-analyze.log 2>&1 < /dev/null &
"""
_ANALYZED = """until [ -s /tmp/ccdr-analyzed ]; do sleep 0.05; done
read -r code < /tmp/ccdr-analyzed
[ "$code" = 0 ] || { cat /tmp/ccdr-analyze.log >&2; exit "$code"; }
"""
NOT_ANALYZED = """\
select exists (select from pg_class c where relkind in ('r', 'p', 'm') and oid >= 16384 and reltuples <> 0
  and not exists (select from pg_statistic where starelid = c.oid));
"""
# The server's word on each setting of a file; it starts nothing.
_KNOWN = """cat > /tmp/ccdr-asked.conf && postgres -D /tmp -c config_file=/tmp/ccdr-asked.conf -C data_directory"""
# Does it start with its own configuration? With what is different here on standard input.
_TRIED = "/tmp/ccdr-tried.conf"  # noqa: S108 - in the box
_TRY = f"""set -e
{{ echo "include '{DATA}/{conf.CONF}'"; cat; }} > {_TRIED}
: > {server.LOG}
pg_ctl -D {DATA} -w -t {PATIENCE} -l {server.LOG} -s -o "-c config_file={_TRIED}" start
pg_ctl -D {DATA} -w -t {PATIENCE} -m fast -s stop
"""
_OF_THE_BACKUP = ("backup_manifest", "backup_label.old", "tablespace_map.old")
_OF_THE_BOX = ("postmaster.opts", "postmaster.pid", "current_logfiles", "standby.signal", "recovery.signal")


@dataclass
class PostgresMaker:
    """`ServerMaker`. `asset` is the plan's, with durable settings."""

    asset: Postgres
    site: Site
    had_amcheck: set[str] = field(default_factory=set)
    reached: Connection | None = None  # once it is opened
    analyzing: bool = False

    @classmethod
    def of(cls, asset: Postgres, site: Site) -> PostgresMaker:
        """UsageProblem where the site will not do."""
        made = cls(asset.model_copy(update={"settings": "durable"}), site)
        longest = os.fsencode(conf.socket_path(site.socket_directory, made.port))
        if len(longest) > conf.LONGEST_SOCKET:
            raise UsageProblem(
                f"the socket's path would have {len(longest)} bytes, more than {conf.LONGEST_SOCKET}",
                hint="name a shorter directory, or another one for the socket: `sockets:`",
            )
        if site.sockets is not None and not site.sockets.is_dir():
            raise UsageProblem(f"{site.sockets} is not there", hint=f"mkdir {site.sockets}, or leave `sockets:` out")
        if wrong := [name for name in site.settings if not _SETTING.fullmatch(name)]:
            raise UsageProblem(f"{wrong[0]!r} is no setting of PostgreSQL", hint="mend `settings:` of the new server")
        return made

    @property
    def user(self) -> str:
        return "postgres"

    @property
    def port(self) -> int:
        return self.site.port or self.asset.connection.port

    def _method(self, manifest: Manifest) -> PhysicalHome | DumpHome:
        if manifest.method == "physical":
            return PhysicalHome(self.asset)
        return DumpHome(self.asset)

    # --- before ---------------------------------------------------------------------------------------

    def by_socket_alone(self, manifest: Manifest) -> bool:
        return False

    def needs(self, manifest: Manifest) -> SandboxNeeds:
        needs = self.asset.sandbox(manifest)
        return replace(needs, data_dir=HOME, in_place=() if manifest.upon else needs.in_place)

    def will(self, manifest: Manifest) -> list[str]:
        version, home = Inventory(manifest.contents).version, self.site.home
        how = "of the base backup" if manifest.method == "physical" else "into which the dump is loaded"
        where = f"{self.site.address}:{self.port} and on the socket in {self.site.socket_directory}"
        return [
            f"makes ready a new PostgreSQL {version} server in {home}, {how}",
            f"leaves it ended; once started it listens on {where}",
            f"lets in this host's accounts as roles of their names (root and whoever it runs as also as "
            f"{' and '.join(self._own_roles(manifest))}), and passwords {conf.whence(self.site)}",
        ]

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        contents, wanted = manifest.contents, self.site.settings
        captured = self._captured(manifest)
        notes = [*conf.told(captured, wanted), *without_secret(self.asset.connection)]
        if lacks := here.lacks(host, Inventory(contents), conf.libraries(captured, wanted), conf.locales(contents)):
            notes.append(f"{lacks}; the image has what it needs: start it by Docker, or install that first")
        return notes

    def _captured(self, manifest: Manifest) -> dict[str, str]:
        """How the captured server was set. Which libraries it loads not every role may ask: then what the plan has the
        sandbox load."""
        captured, name = conf.captured_settings(manifest.contents), "shared_preload_libraries"
        if name not in captured and name in self.asset.server_settings:
            captured[name] = self.asset.server_settings[name]
        return captured

    # --- in the box -----------------------------------------------------------------------------------

    def start(self, box: Place, manifest: Manifest) -> str:
        self._settings_known(box)
        return self._method(manifest).start(box, manifest)

    def _settings_known(self, box: Place) -> None:
        """TestBroken where the plan sets what this server does not have, before hours go into a load."""
        text = "".join(conf_line(key, value) for key, value in self.site.settings.items())
        try:
            box.run(["sh", "-c", _KNOWN], stdin=text, what="reading the new server's `settings:`")
        except CommandFailed as error:
            raise TestBroken(
                f"{error}; {lacking(error.stderr, self.site.settings)}",
                hint="mend `settings:` of the new server",
                words=error.stderr,
            ) from None

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        method = self._method(manifest)
        reached = None
        if isinstance(method, PhysicalHome) and log is not None and target is not None:
            reached = method.recover(box, restored, log, manifest, target)
        else:
            method.load(box, restored, manifest)
        env = dict(method.restored_env(manifest))
        if isinstance(method, DumpHome):
            box.run(["sh", "-c", _ANALYZE, "begin", *_analyze()], env=env, what="analyze")
            self.analyzing = True
        box.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-c", "checkpoint"], env=env, what="checkpoint")
        self.had_amcheck = self._with_amcheck(box, env)
        return reached

    def lasting(self, box: Place, manifest: Manifest) -> bool:
        """Recovery from a crash empties what is unlogged. A base backup had left it out."""
        env = dict(self._method(manifest).restored_env(manifest))
        return manifest.method == "physical" or _one(box, env, env["PGDATABASE"], _UNLOGGED) == "f"

    def reopen(self, box: Place, manifest: Manifest) -> None:
        method = self._method(manifest)
        method.reopen(box, manifest)
        self.had_amcheck = self._with_amcheck(box, dict(method.restored_env(manifest)))

    @property
    def restored(self) -> Restored:
        return self.asset

    def _with_amcheck(self, box: Place, env: dict[str, str]) -> set[str]:
        """Databases that have the extension: a check installs it where it is not."""
        argv = ["sh", "-c", _WITH_AMCHECK, "ask", *PSQL, "-v", "ON_ERROR_STOP=1"]
        return set(box.run(argv, env=env, what="asking the new server").stdout.splitlines())

    def erased(self, box: Place, manifest: Manifest) -> None:
        """Nothing lies beside its data; what a checkpoint has written is not in its log any more."""
        env = dict(self._method(manifest).restored_env(manifest))
        box.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-c", "checkpoint"], env=env, what="checkpoint")

    # --- the end --------------------------------------------------------------------------------------

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        method = self._method(manifest)
        env = dict(method.restored_env(manifest))
        if isinstance(method, DumpHome):
            self.see_analyzed(box, env)
        for name in sorted(self._with_amcheck(box, env) - self.had_amcheck):
            _one(box, env, name, "drop extension amcheck;")
        logins = _one(box, env, env["PGDATABASE"], LOGINS)
        old_passwords, subscriptions = _one(box, env, env["PGDATABASE"], _FACTS).split("|")
        try:
            box.run(["sh", "-c", STOP], what="ending the new server")
        except CommandFailed as error:
            raise TestBroken(str(error), hint="see what it says") from None
        more, notes = {}, []
        if int(subscriptions):
            more["max_logical_replication_workers"] = "0"
            notes.append(
                f"its {subscriptions} subscriptions stand still (max_logical_replication_workers = 0): what their "
                "publishers sent after that moment is not in it; make them anew"
            )
        captured, less = conf.fitted(self._captured(manifest), _memory())
        self._write(home, captured, more, owner, manifest, old_passwords=old_passwords == "t")
        self._try(box, home)
        lead_to(home / CLUSTER, self.site.home)
        return notes + less + list(self._entering(logins, home, manifest).notes(self._letting_in))

    def _entering(self, logins: str, home: Path, manifest: Manifest) -> Entering:
        captures = dict.fromkeys([self.asset.connection.user, *self.site.accounts])
        return Entering.of(
            logins,
            _captured_ident(home),
            tuple(captures),
            self._own_roles(manifest),
            copied=manifest.method == "physical",
        )

    def _letting_in(self, account: str, role: str) -> str:
        """A line that does so, once it is started."""
        ident = shlex.quote(str(self.site.home / CLUSTER / conf.IDENT))
        asking = shlex.join(["psql", "-h", str(self.site.socket_directory), "-p", str(self.port), "-d", "postgres"])
        line = shlex.quote(f"{conf.MAP} {account} {conf.quoted(role)}")
        return f"`echo {line} >> {ident} && {asking} -U {self.user} -c 'select pg_reload_conf()'`"

    def see_analyzed(self, box: Place, env: dict[str, str]) -> None:
        """One that was opened again may have been loaded by a run that did not come as far."""
        if self.analyzing:
            box.run(["sh", "-c", _ANALYZED], env=env, what="analyze")
        elif self.lacks_statistics(box, env):
            box.run(_analyze(), env=env, what="analyze")

    @staticmethod
    def lacks_statistics(box: Place, env: dict[str, str]) -> bool:
        return _one(box, env, env["PGDATABASE"], NOT_ANALYZED) == "t"

    def _try(self, box: Place, home: Path) -> None:
        """TestBroken where it does not start with its own settings, but for what only this host has. What the plan
        sets for the sandbox is what the image lacks."""
        here = {
            "listen_addresses": "",
            "unix_socket_directories": server.SOCKETS,
            "data_directory": DATA,
            "hba_file": f"{DATA}/{conf.HBA}",
            "ident_file": f"{DATA}/{conf.IDENT}",
            "logging_collector": "off",
            **self.asset.server_settings,
        }
        try:
            text = "".join(conf_line(key, value) for key, value in here.items())
            box.run(["sh", "-c", _TRY], stdin=text, what="starting the new server by its own settings")
        except CommandFailed as error:
            words = error.stderr + server.last_words(box)
            raise TestBroken(
                f"{error}; {lacking(words, self.site.settings)}",
                hint="mend `settings:` of the new server; or name an image that has what the source has (`image:`)",
                words=words,
            ) from None
        for name in _OF_THE_BOX:
            (home / CLUSTER / name).unlink(missing_ok=True)

    def _write(
        self,
        home: Path,
        captured: dict[str, str],
        more: dict[str, str],
        owner: Owner,
        manifest: Manifest,
        *,
        old_passwords: bool,
    ) -> None:
        data = home / CLUSTER
        if manifest.method == "physical":
            _put_aside(data, home / conf.CAPTURED)
        for name in _OF_THE_BOX:
            (data / name).unlink(missing_ok=True)
        texts = {
            conf.CONF: conf.postgresql_conf(self.site, self.port, captured, more),
            conf.HBA: conf.pg_hba_conf(self.site, old_passwords=old_passwords),
            conf.IDENT: conf.pg_ident_conf(owner.name or self.user, self._own_roles(manifest)),
            conf.AUTO: "",
        }
        status = data.stat()
        for name, text in texts.items():
            path = data / name
            path.write_text(text, "utf-8")
            path.chmod(0o600)
            os.chown(path, status.st_uid, status.st_gid)
        for name, mode in ((conf.LOGS, 0o700), (conf.RUN, 0o755)):
            (home / name).mkdir(exist_ok=True)
            (home / name).chmod(mode)

    def _own_roles(self, manifest: Manifest) -> list[str]:
        """Whom root, and the account that the server runs as, may be: its first superuser, and who captures there."""
        return list(dict.fromkeys([self._superuser(manifest), self.asset.connection.user, *self.site.accounts]))

    def _superuser(self, manifest: Manifest) -> str:
        """The first that may log in."""
        return self._method(manifest).restored_env(manifest)["PGUSER"]

    def captured_in(self, home: Path, manifest: Manifest) -> Mapping[str, Path]:
        return {}

    def captured_at(self, manifest: Manifest | None) -> Mapping[str, object]:
        """Through its socket root is let in without a password (`_own_roles`)."""
        c = self.asset.connection
        lacking = lacks_secret(c)
        if c.socket is None and not lacking:
            return {"connection.host": by_network(c.host, self.site.address), "connection.port": self.port}
        left_out: dict[str, object] = {"connection.password_file": None} if lacking else {}
        return {"connection.host": self.site.socket_directory, "connection.port": self.port, **left_out}

    def told_by(self, manifest: Manifest) -> Sequence[str]:
        return (
            f"{CLUSTER}/global/pg_control",
            f"{CLUSTER}/{conf.CONF}",
            f"{CLUSTER}/{conf.HBA}",
            f"{CLUSTER}/{conf.IDENT}",
        )

    # --- on this host ---------------------------------------------------------------------------------

    def start_lines(self, manifest: Manifest, image: str, owner: Owner) -> StartLines:
        major, home, sockets = (
            major_of(Inventory(manifest.contents).version),
            self.site.home,
            self.site.socket_directory,
        )
        name = re.sub(r"[^A-Za-z0-9_]", "_", home.name)  # as pg_ctlcluster and systemd take it
        data, there = shlex.quote(str(home / CLUSTER)), f"/etc/postgresql/{major}/{name}"
        # A number of the image's is somebody else's here, or nobody's: Debian's own user gets the files then.
        user = owner.name or self.user
        given = () if owner.name else (f"chown -R {user}:{user} {shlex.quote(str(home))}",)
        mounts = dict.fromkeys([home, sockets] if home not in sockets.parents else [home])
        volumes = " ".join(f"-v {shlex.quote(f'{path}:{path}')}" for path in mounts)
        docker = (
            f"docker run -d --name postgres-{name} --restart unless-stopped --network host "
            f"--user {owner.uid}:{owner.gid} --shm-size 256m --stop-signal SIGINT --stop-timeout 120 {volumes} "
            f"--entrypoint postgres {shlex.quote(image)} -D {data}"
        )
        return StartLines(
            debian=(
                *given,
                f"install -d -o {user} /etc/postgresql/{major} {there}",
                f"ln -s {data}/{conf.CONF} {data}/{conf.HBA} {data}/{conf.IDENT} {there}/",
                f"pg_ctlcluster {major} {name} start",
            ),
            docker=(docker,),
            look=(self._look(manifest),),
            inside=inside(f"postgres-{name}"),
        )

    def _look(self, manifest: Manifest) -> str:
        """As root: the server lets it in as its superuser, without a password (pg_ident.conf)."""
        argv = ["psql", "-U", self._superuser(manifest), "-h", str(self.site.socket_directory), "-p", str(self.port)]
        return shlex.join([*argv, "-d", Inventory(manifest.contents).database, "-c", _SIZES])

    def client(self, manifest: Manifest) -> Postgres:
        inventory = Inventory(manifest.contents)
        reached = Connection(
            host=str(self.site.socket_directory),
            port=self.port,
            user=self._superuser(manifest),
            database=inventory.database,
        )
        self.reached = reached
        return self.asset.model_copy(update={"connection": reached, "method": "dump"})

    def asked(self, source: Source, manifest: Manifest) -> Restored:
        assert self.reached is not None
        inventory, place = Inventory(manifest.contents), source.place
        options = f"{OWN_OPTIONS} -c lc_messages=C{untimed(inventory.version)}{untriggered(inventory.version)}"
        env = {**self.reached.environment(source.credentials), "PGOPTIONS": options}
        pulse = HowFar(partial(how_far, place, {**env, "PGDATABASE": MAINTENANCE}, inventory.database), Silent())
        return Loaded(env, self.asset.jobs, inventory, pulse)

    def is_it(self, source: Source) -> bool:
        assert self.reached is not None
        env = self.reached.environment(source.credentials)
        argv = [*PSQL, "-c", f"select current_setting('{conf.MARK}', true)"]
        return source.place.run(argv, env=env, what="asking the new server").stdout.strip() == self.site.mark


def _put_aside(data: Path, aside: Path) -> None:
    """What was captured of the server's own configuration, for people to look at: nothing of it holds any more. What
    stands there already is of the captured one: this is done once more where a recovery goes on."""
    aside.mkdir(mode=0o700, exist_ok=True)
    for name in (conf.AUTO, "standby.signal", "recovery.signal"):
        if (kept := data / f"{name}.captured").exists() and not (aside / name).exists():
            kept.rename(aside / name)
        kept.unlink(missing_ok=True)
    for name in (conf.CONF, conf.HBA, conf.IDENT, *_OF_THE_BACKUP):
        if (data / name).exists() and not (aside / name).exists():
            (data / name).rename(aside / name)


def _captured_ident(home: Path) -> str:
    try:
        return (home / conf.CAPTURED / conf.IDENT).read_text("utf-8", "replace")
    except OSError:  # a dump has none, and Debian's lies elsewhere
        return ""


def _analyze() -> list[str]:
    return [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", "analyze"]


def _one(box: Place, env: dict[str, str], database: str, sql: str) -> str:
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql]
    return box.run(argv, env={**env, "PGDATABASE": database}, what="asking the new server").stdout.strip()


def _memory() -> int:
    """Bytes that this host has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
