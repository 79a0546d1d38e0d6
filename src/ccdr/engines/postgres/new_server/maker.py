"""`ServerMaker` for PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ccdr.engines.postgres import questions, server_settings
from ccdr.engines.postgres.connection import OWN_OPTIONS, Connection, answer, major_of, newer_options, untriggered
from ccdr.engines.postgres.dump import unfilled
from ccdr.engines.postgres.dump.loaded import Loaded, how_far
from ccdr.engines.postgres.dump.target import MAINTENANCE
from ccdr.engines.postgres.inventory import Inventory, quote_name
from ccdr.engines.postgres.new_server import configuration, here, statistics
from ccdr.engines.postgres.new_server.homes import STOP, DumpHome, PhysicalHome, lead_to
from ccdr.engines.postgres.physical.capture import CLUSTER, emptied, slots_lost
from ccdr.engines.servers.connection import by_network, lacks_secret, without_secret
from ccdr.engines.servers.new_server import LONGEST_SOCKET, NewServerMaker, inside, refuse_settings, told
from ccdr.engines.servers.target import HowFar
from ccdr.host.accounts import known, without_account
from ccdr.model.errors import CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.new_server import HOME, Owner, Site, StartLines
from ccdr.ports.place import Place, Source, Unwatched
from ccdr.ports.restored import Restored, SandboxNeeds

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Postgres
    from ccdr.ports.log import Reached, RecoveryTarget

# How a person starts the new server, word for word, and looks at what is there.

# For a person's first look: the largest tables.
_SIZES = (
    "select schemaname, relname, pg_size_pretty(pg_relation_size(relid)) from pg_stat_user_tables "
    "order by pg_relation_size(relid) desc limit 20"
)


def start_lines(site: Site, manifest: Manifest, image: str, owner: Owner, user: str, look: str) -> StartLines:
    """`user` is Debian's own, `look` the client of `look_at`."""
    major = major_of(Inventory(manifest.contents).version)
    home, sockets = site.home, site.socket_directory
    name = re.sub(r"[^A-Za-z0-9_]", "_", home.name)  # as pg_ctlcluster and systemd take it
    data, there = shlex.quote(str(home / CLUSTER)), f"/etc/postgresql/{major}/{name}"
    # A number of the image's is somebody else's here, or nobody's: Debian's own user gets the files then.
    runs = owner.name or user
    given = () if owner.name else (f"chown -R {runs}:{runs} {shlex.quote(str(home))}",)
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
            f"install -d -o {runs} /etc/postgresql/{major} {there}",
            f"ln -s {data}/{configuration.CONF} {data}/{configuration.HBA} {data}/{configuration.IDENT} {there}/",
            f"pg_ctlcluster {major} {name} start",
        ),
        docker=(docker,),
        look=(look,),
        inside=inside(f"postgres-{name}"),
    )


def look_at(socket_directory: Path, port: int, superuser: str, database: str) -> str:
    """As root: the server lets it in as its superuser, without a password (pg_ident.conf)."""
    argv = ["psql", "-U", superuser, "-h", str(socket_directory), "-p", str(port)]
    return shlex.join([*argv, "-d", database, "-c", _SIZES])


# Who could log in at the captured server, and cannot at the new one: its own files say who comes in, and maps that
# name accounts of the old host are worth nothing on another.

# Whoever may log in, and whether by a password.
LOGINS = "select rolpassword is not null, rolname from pg_authid where rolcanlogin order by rolname;"


@dataclass(frozen=True)
class Entering:
    """`by_password` has every role that may log in; `mapped` the accounts of the old host and the roles that they came
    in as; `captures` are the roles by which the plan captures, `ours` whom root is let in as. `whole`: roles came with
    their passwords."""

    by_password: Mapping[str, bool]
    mapped: Sequence[tuple[str, str]]
    captures: Sequence[str]
    ours: Sequence[str]
    whole: bool

    @classmethod
    def of(cls, logins: str, ident: str, captures: Sequence[str], ours: Sequence[str], *, whole: bool) -> Entering:
        """`logins` is what `LOGINS` gave, `ident` the captured pg_ident.conf."""
        rows = (line.partition("|") for line in logins.split("\n") if line)
        by_password = {role: stored == "t" for stored, _, role in rows}
        mapped = [(account, role) for account, role in mapped_in(ident) if role in by_password and account != role]
        return cls(by_password, mapped, captures, ours, whole)

    def notes(self, letting_in: Callable[[str, str], str], asking: str) -> Iterator[str]:
        """Sentences, each with the line that mends it: `letting_in` an account as a role, `asking` as the superuser."""
        if missing := [role for role in self.captures if role not in self.by_password]:
            yield (
                f"the plan captures as {', '.join(missing)}, and the new server has no such role that may log in: "
                "make it before the next backup (docs/reference/postgres.md says with which rights)"
            )
        for account, role in self.mapped:
            if role not in self.ours:
                first = "" if known(account) else f"this host has no such account (`useradd {account}`). "
                yield (
                    f"its pg_ident.conf let the account {account} in as {role}, and the new one does not. {first}Once "
                    f"it is started: {letting_in(account, role)}"
                )
        told = {*self.ours, *(role for _, role in self.mapped)}
        silent = [role for role, password in self.by_password.items() if not password]
        if not self.whole and silent:
            giving = shlex.quote("\\password " + quote_name(silent[0]))
            yield (
                f"{', '.join(silent)} came back without passwords, which the role that took the backup may not read: "
                "nobody is let in by one. For each, once it is started: "
                f"`{asking} -c {giving}`"
            )
        elif outside := without_account(role for role in silent if role not in told):
            yield (
                f"{', '.join(outside)} may log in without a password, and this host has no accounts of these names: "
                "nobody is let in as them. For each, ACCOUNT being what its application runs as here, once it is "
                f"started: {letting_in('ACCOUNT', outside[0])} (where Docker started it, psql may run by `docker "
                "exec`, and echo here). One that comes by network needs a password: psql's \\password, as the superuser"
            )


def mapped_in(ident: str) -> Iterator[tuple[str, str]]:
    """Accounts and the roles that a pg_ident.conf lets them in as, where it says so by their plain names."""
    for line in ident.split("\n"):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quote of its own
            continue
        if len(words) == 3 and not any(word.startswith(("/", "+")) for word in words[1:]) and words[2] != "all":
            yield words[1], words[2]


_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")
# What a target says by words of its own, and what would lead to another server's files.
_OURS = {
    "data_directory": "directory",
    "unix_socket_directories": "sockets",
    **dict.fromkeys(("config_file", "hba_file", "ident_file", "external_pid_file")),
}
# Asked of the loaded server, before it is ended for the last time.
_FACTS = """\
select exists (select from pg_authid where rolpassword like 'md5%');
"""
# A slot is the source's: whoever drops a subscription drops that. Of every database at once, whoever may connect.
_LET_GO = """\
set allow_system_table_mods = on;
update pg_subscription s set subenabled = false, subslotname = null from pg_subscription was
where was.oid = s.oid returning format('%I', s.subname) || coalesce(format(' (slot %s)', was.subslotname), '');
"""
_UNLOGGED = "select exists (select from pg_class where relpersistence = 'u');"
# Beside the cluster of a copy; of a dump elsewhere.
_KEEP_WORDS = f"""umask 077
mkdir -p {HOME}/{configuration.CAPTURED} && cat > {HOME}/{configuration.CAPTURED}/{server_settings.FILE}
rm -f {HOME}/{server_settings.FILE}
"""
_WITH_AMCHECK = "select current_database() from pg_extension where extname = 'amcheck';"


@dataclass
class PostgresMaker(NewServerMaker["Postgres"]):
    """`ServerMaker`. `asset` is the plan's, with durable settings."""

    user: ClassVar[str] = "postgres"

    had_amcheck: set[str] = field(default_factory=set)
    reached: Connection | None = None  # once it is opened
    analyzing: bool = False

    @classmethod
    def of(cls, asset: Postgres, site: Site) -> PostgresMaker:
        """UsageProblem where the site will not do."""
        made = cls(asset.model_copy(update={"settings": "durable"}), site)
        longest = os.fsencode(made.socket)
        if len(longest) > LONGEST_SOCKET:
            raise UsageProblem(
                f"the socket's path would have {len(longest)} bytes, more than {LONGEST_SOCKET}",
                hint="name a shorter directory, or another one for the socket: `sockets:`",
            )
        if site.sockets is not None and not site.sockets.is_dir():
            raise UsageProblem(f"{site.sockets} is not there", hint=f"mkdir {site.sockets}, or leave `sockets:` out")
        named = {name.lower(): value for name, value in site.settings.items()}
        refuse_settings(named, "PostgreSQL", _SETTING, _OURS)
        return made

    @property
    def socket(self) -> Path:
        return configuration.socket_path(self.site.socket_directory, self.port)

    def _method(self, manifest: Manifest) -> PhysicalHome | DumpHome:
        if manifest.method == "physical":
            return PhysicalHome(self.asset)
        return DumpHome(self.asset)

    # --- before ---------------------------------------------------------------------------------------

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
            f"{' and '.join(self._own_roles(manifest))}), and passwords {configuration.whence(self.site)}",
        ]

    def notes(self, manifest: Manifest, host: Place) -> list[str]:
        contents, wanted = manifest.contents, self.site.settings
        captured = self._captured(manifest)
        stand_still = told(server_settings.of_settings(captured, wanted, self._conf))
        notes = [*stand_still, *configuration.told(captured, wanted), *without_secret(self.asset.connection)]
        if manifest.method != "physical":
            notes += unfilled.notes(contents, live=False)
        else:
            notes += slots_lost(contents)
            if lost := emptied(contents):
                notes.append(f"{lost}; a dump of that database, if there is one, has them as of when it was taken")
        if lacks := here.lacks(
            host, Inventory(contents), configuration.libraries(captured, wanted), configuration.locales(contents)
        ):
            notes.append(f"{lacks}; the image has what it needs: start it by Docker, or install that first")
        return notes

    @property
    def _conf(self) -> str:
        return shlex.quote(str(self.site.home / CLUSTER / configuration.CONF))

    def _captured(self, manifest: Manifest) -> dict[str, str]:
        """How the captured server was set. Which libraries it loads not every role may ask: then what the plan has the
        sandbox load."""
        captured, name = configuration.captured_settings(manifest.contents), "shared_preload_libraries"
        if name not in captured and name in self.asset.server_settings:
            captured[name] = self.asset.server_settings[name]
        return captured

    # --- in the box -----------------------------------------------------------------------------------

    def start(self, box: Place, manifest: Manifest) -> str:
        configuration.ask(box, self.site.settings)
        return self._method(manifest).start(box, manifest)

    def load(
        self, box: Place, restored: Path, manifest: Manifest, log: Path | None, target: RecoveryTarget | None
    ) -> Reached | None:
        method, words = self._method(manifest), (restored / server_settings.FILE).read_text("utf-8")
        reached = None
        if isinstance(method, PhysicalHome) and log is not None and target is not None:
            reached = method.recover(box, restored, log, manifest, target)
        else:
            method.load(box, restored, manifest)
        box.run(["sh", "-c", _KEEP_WORDS], stdin=words, what="keeping what the source had set")
        env = dict(method.restored_env(manifest))
        if isinstance(method, DumpHome):
            statistics.begin(box, env)
            self.analyzing = True
        answer(box, env, "checkpoint", "checkpoint")
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

    def _with_amcheck(self, box: Place, env: dict[str, str]) -> set[str]:
        """Databases that have the extension: a check installs it where it is not."""
        return set(questions.of_each(box, env, _WITH_AMCHECK))

    def erased(self, box: Place, manifest: Manifest) -> None:
        """Nothing lies beside its data; what a checkpoint has written is not in its log any more."""
        env = dict(self._method(manifest).restored_env(manifest))
        answer(box, env, "checkpoint", "checkpoint")

    # --- the end --------------------------------------------------------------------------------------

    def settle(self, box: Place, manifest: Manifest, home: Path, owner: Owner) -> list[str]:
        method = self._method(manifest)
        env = dict(method.restored_env(manifest))
        if isinstance(method, DumpHome):
            self.see_analyzed(box, env)
        for name in sorted(self._with_amcheck(box, env) - self.had_amcheck):
            _one(box, env, name, "drop extension amcheck;")
        logins, there = _one(box, env, env["PGDATABASE"], LOGINS), server_settings.all_of(box, env)
        old_passwords = _one(box, env, env["PGDATABASE"], _FACTS)
        subscriptions = ", ".join(sorted(_one(box, env, env["PGDATABASE"], _LET_GO).split("\n")))
        try:
            box.run(["sh", "-c", STOP], what="ending the new server")
        except CommandFailed as error:
            raise TestBroken(str(error), hint="see what it says") from None
        more, notes = {}, []
        if subscriptions:
            more[server_settings.SUBSCRIBERS] = "0"
            named = f"its subscriptions {subscriptions}, disabled and without slots, which are the source's"
            notes += told([server_settings.of_subscriptions(named, self._conf)])
        words = json.loads((home / configuration.CAPTURED / server_settings.FILE).read_text("utf-8"))
        source, lost = server_settings.for_server(
            {**Inventory(manifest.contents).settings, **self._captured(manifest), **words}, there
        )
        captured, less = configuration.fitted(source, _memory())
        self._write(home, captured, more, owner, manifest, old_passwords=old_passwords == "t")
        configuration.start_once(box, home, self.site.settings, self.asset.server_settings)
        lead_to(home / CLUSTER, self.site.home)
        entering = self._entering(logins, home, manifest)
        return notes + lost + less + list(entering.notes(self._letting_in, self._asking))

    def _entering(self, logins: str, home: Path, manifest: Manifest) -> Entering:
        captures = dict.fromkeys([self.asset.connection.user, *self.site.accounts])
        return Entering.of(
            logins,
            configuration.captured_ident(home),
            tuple(captures),
            self._own_roles(manifest),
            whole=manifest.method == "physical" or bool(manifest.contents["role_passwords"]),
        )

    @property
    def _asking(self) -> str:
        """A client of the started server, as whom it runs as is let in."""
        at = ["-h", str(self.site.socket_directory), "-p", str(self.port), "-d", MAINTENANCE]
        return shlex.join(["psql", *at, "-U", self.user])

    def _letting_in(self, account: str, role: str) -> str:
        """A line that does so, once it is started."""
        ident = shlex.quote(str(self.site.home / CLUSTER / configuration.IDENT))
        line = shlex.quote(f"{configuration.MAP} {account} {quote_name(role)}")
        return f"`echo {line} >> {ident} && {self._asking} -c 'select pg_reload_conf()'`"

    def see_analyzed(self, box: Place, env: dict[str, str]) -> None:
        """One that was opened again may have been loaded by a run that did not come as far."""
        if self.analyzing:
            statistics.wait(box, env)
        elif self.lacks_statistics(box, env):
            statistics.gather(box, env)

    @staticmethod
    def lacks_statistics(box: Place, env: dict[str, str]) -> bool:
        return _one(box, env, env["PGDATABASE"], statistics.LACKING) == "t"

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
        if manifest.method == "physical":
            configuration.put_aside(home)
        texts = {
            configuration.CONF: configuration.postgresql_conf(self.site, self.port, captured, more),
            configuration.HBA: configuration.pg_hba_conf(self.site, old_passwords=old_passwords),
            configuration.IDENT: configuration.pg_ident_conf(owner.name or self.user, self._own_roles(manifest)),
            configuration.AUTO: "",
        }
        configuration.write(home, texts)

    def _own_roles(self, manifest: Manifest) -> list[str]:
        """Whom root, and the account that the server runs as, may be: its first superuser, and who captures there."""
        return list(dict.fromkeys([self._superuser(manifest), self.asset.connection.user, *self.site.accounts]))

    def _superuser(self, manifest: Manifest) -> str:
        """The first that may log in."""
        return self._method(manifest).restored_env(manifest)["PGUSER"]

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
            f"{CLUSTER}/{configuration.CONF}",
            f"{CLUSTER}/{configuration.HBA}",
            f"{CLUSTER}/{configuration.IDENT}",
        )

    # --- on this host ---------------------------------------------------------------------------------

    def start_lines(self, manifest: Manifest, image: str, owner: Owner) -> StartLines:
        database = Inventory(manifest.contents).database
        look = look_at(self.site.socket_directory, self.port, self._superuser(manifest), database)
        return start_lines(self.site, manifest, image, owner, self.user, look)

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
        options = f"{OWN_OPTIONS} -c lc_messages=C{newer_options(inventory.version)}{untriggered(inventory.version)}"
        env = {**self.reached.environment(source.credentials), "PGOPTIONS": options}
        pulse = HowFar(partial(how_far, place, {**env, "PGDATABASE": MAINTENANCE}, inventory.database), Unwatched())
        return Loaded(env, self.asset.jobs, inventory, pulse)

    def is_it(self, source: Source) -> bool:
        assert self.reached is not None
        env = self.reached.environment(source.credentials)
        sql = f"select current_setting('{configuration.MARK}', true)"
        return answer(source.place, env, sql, "asking the new server").strip() == self.site.mark


def _one(box: Place, env: dict[str, str], database: str, sql: str) -> str:
    return answer(box, {**env, "PGDATABASE": database}, sql, "asking the new server").strip()


def _memory() -> int:
    """Bytes that this host has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
