"""PostgreSQL, method `dump`: a parallel, uncompressed directory dump, so that restic deduplicates it.

A session is held open beside the dump; its exported snapshot makes dump and inventory true for one instant.
What the dump does not hold (roles, database settings, owners of large objects) is compared apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, cast

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.engines.postgres import identity, questions, rights
from ccdr.engines.postgres.capture import PSQL, Dumper
from ccdr.engines.postgres.connection import OWN_OPTIONS, SYSTEM_CAS, Connection, major_of
from ccdr.engines.postgres.inventory import Inventory, conf_line, conninfo, quote_ident
from ccdr.engines.postgres.target import Target
from ccdr.errors import BackupBad, CommandFailed, TestBroken
from ccdr.interfaces import Bench, Capture, ClientNeed, Place, SandboxNeeds, ServerTarget, Source, SourceFacts, Tools
from ccdr.model import CheckResult, Look, Manifest
from ccdr.schema import Name, Text, WithPassword

SOCKETS, DATA = "/ccdr/run", "/var/lib/postgresql"  # in the sandbox
CLUSTER, SERVER_LOG = f"{DATA}/ccdr", "/tmp/ccdr-server.log"  # noqa: S108 - inside the sandbox
SUPPORTED = ("17", "18", "16", "15", "14")  # majors; any of their clients can ask a server for its version
# A server for one afternoon: it need not survive a crash, so it need not write everything twice.
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# The server answered, and does not let this role in.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied|(role|database) \"[^\"]*\" does not exist|"
    r"permission denied|not permitted to log in|certificate verify failed|does not match host name"
)


def images(major: str) -> tuple[str, ...]:
    """The official image, then the one that `make images` builds."""
    return (f"postgres:{major}", f"ccdr-sandbox/postgres:{major}")


class Postgres(EngineConfig):
    has_server: ClassVar[bool] = True
    speaks_sql: ClassVar[bool] = True
    exports: ClassVar[bool] = True

    engine: Literal["postgres"]
    method: Literal["dump"] = "dump"
    connection: Connection
    jobs: int = Field(2, ge=1, le=32, description="connections that dump and load in parallel")
    server_settings: dict[Name, Text] = Field({}, description="settings the sandbox's server is started with")
    prepare_sql: tuple[Text, ...] = Field((), description="SQL run in the sandbox before the restore")

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return tuple(name for m in ((major,) if major else SUPPORTED) for name in images(m))

    # --- the source -----------------------------------------------------------------------------------

    def secret(self) -> WithPassword | None:
        return self.connection

    def credentials(self, password: str) -> Mapping[str, str]:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        return {"pgpass": f"*:*:*:*:{escaped}\n"}

    def client(self, major: str | None) -> ClientNeed:
        c = self.connection
        mounts = [c.socket] if c.socket else []
        if c.verified_tls:
            mounts.append(c.ca_file or SYSTEM_CAS)
        return ClientNeed(
            programs=("psql", "pg_dump", "pg_dumpall", "pg_restore"),
            host_dirs=(f"/usr/lib/postgresql/{major}/bin",) if major else (),
            mounts=tuple(mounts),
            network=c.socket is None,
        )

    def probe(self, source: Source) -> SourceFacts:
        sql = "select current_setting('server_version'), pg_database_size(current_database())"
        said = source.place.run(
            [*PSQL, "-c", sql], env=self.connection.environment(source.credentials), what="asking the source"
        )
        version, _, size = said.stdout.strip().partition("|")
        return SourceFacts(version=version.split()[0], major=major_of(version), bytes=int(size))

    def refused(self, said: str) -> bool:
        return _REFUSED.search(said) is not None

    def rights(self, source: Source) -> Iterator[Look]:
        c = self.connection
        if c.socket is not None:
            yield Look.ok("connection", f"by the Unix socket in {c.socket}")
        elif c.verified_tls:
            yield Look.ok("connection", f"to {c.host} by TLS, its certificate verified")
        else:
            yield Look.ok("connection", f"to {c.host}, which never leaves this machine")
        env = {**c.environment(source.credentials), "PGOPTIONS": "-c statement_timeout=20s"}
        out = source.place.run([*PSQL, "-c", rights.SQL], env=env, what="asking for the role's rights")
        yield from rights.judged(rights.read_rights(out.stdout), c.user)

    def client_major(self, place: Place) -> str | None:
        try:
            out = place.run(["pg_dump", "--version"], ok=(0, 126, 127))  # a container's word for one that is not there
        except CommandFailed:
            return None
        match = re.search(r"\d[\d.]*", out.stdout) if out.code == 0 else None
        return major_of(match[0]) if match else None

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        env = self.connection.environment(source.credentials)
        return Dumper(source.place, env, self.connection.database, self.jobs, tools).capture(into)

    @property
    def source_name(self) -> str:
        return self.connection.database

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        return ()

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        inventory = Inventory(manifest.contents)
        return SandboxNeeds(
            bytes=int(inventory.database_bytes * 1.25) + 2**30,
            memory=self.memory or 2 * 2**30,
            user="postgres",
            major=major_of(inventory.version),
            data_dir=DATA,
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        wanted = major_of(inventory.version)
        said = box.run(["postgres", "--version"]).stdout
        version = cast("re.Match[str]", re.search(r"\d[\d.]*", said))[0]
        if major_of(version) != wanted:
            raise TestBroken(
                f"the image holds PostgreSQL {version}, the backup is of {inventory.version}",
                hint=f"name an image with major version {wanted}, such as postgres:{wanted}",
            )
        settings = "".join(conf_line(k, v) for k, v in self._server_settings(inventory).items())
        try:
            box.run(
                ["sh", "-c", _START, "start", inventory.bootstrap, inventory.encoding],
                stdin=settings,
                what="initdb and pg_ctl",
            )
        except CommandFailed as error:
            log = box.run(["sh", "-c", f"tail -n 5 {SERVER_LOG}"], ok=range(256)).stdout.strip()
            raise TestBroken(
                f"the sandbox's server did not start: {error}; {log}",
                hint="does the image hold what `server_settings:` asks for?",
            ) from None
        return version

    def _server_settings(self, inventory: Inventory) -> dict[str, str]:
        memory = (self.memory or 2 * 2**30) >> 20
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": SOCKETS,
            "shared_buffers": f"{memory // 8}MB",
            "maintenance_work_mem": f"{memory // 8}MB",
            "max_wal_size": "1GB",
            "max_locks_per_transaction": "256",
            "lc_messages": "C",  # we read its errors
            "timezone": inventory.timezone,
            "logging_collector": "off",
        }
        if inventory.lc_monetary:
            settings["lc_monetary"] = inventory.lc_monetary
        if self.settings == "throwaway":
            settings |= THROWAWAY
        return settings | self.server_settings

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        inventory = Inventory(manifest.contents)
        self._image_has_extensions(box, inventory)
        admin = self._sandbox_env(inventory, "template1")
        for sql in self.prepare_sql:
            try:
                box.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql], env=admin, what="prepare_sql")
            except CommandFailed as error:
                raise TestBroken(str(error), hint="mend the asset's `prepare_sql:`") from None
        if inventory.database == "postgres":
            box.run([*PSQL, "-c", "drop database postgres"], env=admin)
        roles = (restored / "roles.sql").read_text("utf-8", "surrogateescape")
        # The sandbox's own first superuser bears the source's name; it is there already.
        own = f"CREATE ROLE {quote_ident(inventory.bootstrap)};"
        roles = "\n".join(line for line in roles.split("\n") if line != own)
        argv = ["pg_restore", "-w", f"-j{self.jobs}", "--exit-on-error", "--no-tablespaces"]
        # In one parallel call a partitioned table's trigger may come before its partitions' rows, and change them.
        first = [*argv, "--section=pre-data", "--section=data", "-C", "-d", "template1"]
        then = [*argv, "--section=post-data", "-d", conninfo(inventory.database)]
        try:
            box.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"], stdin=roles, env=admin, what="loading roles")
            for call in (first, then):
                box.run([*call, box.path(restored / "dump")], env=admin, what="pg_restore")
        except CommandFailed as error:
            if error.stalled:
                raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
            if lacks := questions.LACKS.search(error.stderr):
                raise TestBroken(
                    f"the image lacks something that the backup needs: {lacks[0]}",
                    hint="name an image that has it (`image:`), or prepare it (`server_settings:`, `prepare_sql:`)",
                ) from None
            raise BackupBad(
                f"the backup does not load: {error}", hint="restore an older snapshot; find out what is missing in it"
            ) from None

    def _image_has_extensions(self, box: Place, inventory: Inventory) -> None:
        admin = self._sandbox_env(inventory, "template1")
        said = box.run([*PSQL, "-c", "select name from pg_available_extensions"], env=admin).stdout
        if missing := sorted(set(inventory.extensions) - set(said.splitlines())):
            raise TestBroken(
                f"the image lacks the extension {', '.join(missing)}",
                hint="name an image that has it with `image:`",
            )

    def _sandbox_env(self, inventory: Inventory, database: str) -> dict[str, str]:
        options = OWN_OPTIONS
        if int(major_of(inventory.version).split(".")[0]) >= 17:
            options += " -c event_triggers=off"  # ours are not the logins and the statements they are there for
        return {
            "PGHOST": SOCKETS,
            "PGUSER": inventory.bootstrap,
            "PGDATABASE": database,
            "PGAPPNAME": "ccdr",
            "PGOPTIONS": options,
        }

    def _restored_env(self, manifest: Manifest) -> dict[str, str]:
        inventory = Inventory(manifest.contents)
        return self._sandbox_env(inventory, inventory.database)

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self._restored_env(manifest), sql)

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self._restored_env(manifest), query)

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        questions.export(box, self._restored_env(manifest), Inventory(manifest.contents).encoding, sql, to)

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        return identity.compare(bench, self._restored_env(bench.manifest), self.jobs)

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        return questions.integrity(bench, self._restored_env(bench.manifest), self.jobs)

    # --- a real server --------------------------------------------------------------------------------

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        return Target.of(url, self, password_file, ca_file)


# One command, since each costs 60 ms; the settings come on its standard input.
_START = f"""set -e
initdb -D {CLUSTER} -U "$1" -A trust -N -E "$2" --locale=C --no-instructions > /dev/null
cat >> {CLUSTER}/postgresql.conf
pg_ctl -D {CLUSTER} -w -t 120 -l {SERVER_LOG} -s start
"""
