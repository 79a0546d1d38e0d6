"""PostgreSQL, method `dump`: a parallel, uncompressed directory dump, so that restic deduplicates it.

A session is held open beside the dump; its exported snapshot makes dump and inventory true for one instant.
What the dump does not hold (roles, database settings, owners of large objects) is compared apart.
"""

from __future__ import annotations

import csv
import ipaddress
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal, cast

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.engines.postgres import identity
from ccdr.engines.postgres.inventory import (
    CLOCK,
    INVENTORY,
    OPEN_SNAPSHOT,
    Inventory,
    conf_line,
    quote_ident,
    read_inventory,
)
from ccdr.errors import BackupBad, BackupFailed, CommandFailed, TestBroken
from ccdr.interfaces import Bench, Capture, ClientNeed, Place, SandboxNeeds, Source, SourceFacts, Tools
from ccdr.model import CheckResult, Manifest, Verdict
from ccdr.schema import Name, PlanPath, Text, WithPassword

SOCKETS, DATA = "/ccdr/run", "/var/lib/postgresql"  # in the sandbox
CLUSTER, SERVER_LOG = f"{DATA}/ccdr", "/tmp/ccdr-server.log"  # noqa: S108 - inside the sandbox
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
SUPPORTED = ("17", "18", "16", "15", "14")  # majors; any of their clients can ask a server for its version
NULL = "\x02NULL\x02"  # how psql is told to print SQL's NULL
SESSION_PATIENCE = 60.0  # seconds; the session asks for nothing that waits on others
# A server for one afternoon: it need not survive a crash, so it need not write everything twice.
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# What an image lacks is not the backup's fault.
_IMAGE_LACKS = re.compile(
    r'extension "[^"]+" is not available|could not open extension control file[^\n]*|could not access file[^\n]*|'
    r'invalid (?:LC_COLLATE |LC_CTYPE )?locale name[^\n]*|collation "[^"]+" for encoding[^\n]*|'
    r"could not create locale[^\n]*|unsupported version[^\n]*in file header|unrecognized configuration parameter[^\n]*"
)


class Connection(WithPassword):
    """How to reach the source. `host` may be a directory, for a Unix socket."""

    host: Text = Field("/var/run/postgresql", description="name, address, or directory of the Unix socket")
    port: int = Field(5432, ge=1, le=65535)
    user: Text
    database: Text
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate (default: system's)")
    tls: Literal["verify", "loopback"] = Field(
        "loopback", description="`verify` asks for verified TLS on loopback too; elsewhere it always is"
    )

    @property
    def socket(self) -> Path | None:
        return Path(self.host) if self.host.startswith("/") else None

    @property
    def verified_tls(self) -> bool:
        if self.socket is not None:
            return False
        return self.tls == "verify" or not _is_loopback(self.host)

    def environment(self, credentials: Path) -> dict[str, str]:
        """libpq's variables; the password itself stays in a file."""
        env = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGPASSFILE": str(credentials / "pgpass"),
            "PGAPPNAME": "ccdr",
            "PGCONNECT_TIMEOUT": "15",
        }
        if self.verified_tls:
            env |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.ca_file or SYSTEM_CAS)}
        return env


def images(major: str) -> tuple[str, ...]:
    """The official image, then the one that `make images` builds."""
    return (f"postgres:{major}", f"ccdr-sandbox/postgres:{major}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Postgres(EngineConfig):
    has_server: ClassVar[bool] = True

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
            [*_PSQL, "-c", sql], env=self.connection.environment(source.credentials), what="asking the source"
        )
        version, _, size = said.stdout.strip().partition("|")
        return SourceFacts(version=version.split()[0], major=_major(version), bytes=int(size))

    def client_major(self, place: Place) -> str | None:
        try:
            said = place.run(["pg_dump", "--version"]).stdout
        except CommandFailed:
            return None
        match = re.search(r"\d[\d.]*", said)
        return _major(match[0]) if match else None

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        env = self.connection.environment(source.credentials)
        env["PGOPTIONS"] = f"-c lock_timeout={int(tools.lock_wait * 1000)} -c client_min_messages=warning"
        place, dump = source.place, into / "dump"
        with place.session([*_PSQL, "-v", "ON_ERROR_STOP=1"], env=env) as session:
            session.ask("\\echo ready\n", "ready", timeout=SESSION_PATIENCE)
            before = tools.clock.now()
            opened = session.ask(f"{OPEN_SNAPSHOT}\n{CLOCK}\n\\echo opened\n", "opened", timeout=SESSION_PATIENCE)
            after = tools.clock.now()
            snapshot, source_clock, standby, replayed = opened.strip().replace("\n", "|").split("|")
            inventory = read_inventory(session.ask(f"{INVENTORY}\n\\echo told\n", "told", timeout=SESSION_PATIENCE))
            argv = ["pg_dump", "-w", "-Fd", f"-j{self.jobs}", "-Z0", "--no-sync", f"--snapshot={snapshot}"]
            argv += [f"--lock-wait-timeout={int(tools.lock_wait * 1000)}", "-f", place.path(dump)]
            if standby == "t":
                argv.append("--no-unlogged-table-data")  # a standby has none
            dump_env = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} {identity.DUMP_OPTIONS}"}
            place.run(argv, env=dump_env, watch=into, what="pg_dump")
        skew = float(source_clock) - (before + (after - before) / 2).timestamp()
        point = before
        if standby == "t":
            if not replayed:
                raise BackupFailed(
                    "the standby cannot tell the time of its newest replayed commit",
                    hint="back it up once a commit has been replayed since its start, or use the primary",
                )
            point = before + timedelta(seconds=min(0.0, float(replayed) - skew - before.timestamp()))
        data = [str(p.relative_to(into)) for p in sorted(into.rglob("*.dat"))]
        with ThreadPoolExecutor(max_workers=1) as pool:
            # What the client tells in small answers, while the data is hashed.
            told = pool.submit(self._describe, place, dump_env, into, superuser=inventory.superuser)
            files = tools.digest(into, data, lines=True)
            toc, schema = told.result()
        small = [str(p.relative_to(into)) for p in sorted(into.rglob("*")) if p.is_file() and p.suffix != ".dat"]
        files |= tools.digest(into, small)
        tables = identity.tables(toc, {n.removeprefix("dump/"): d for n, d in files.items()})
        if not tables:
            raise BackupFailed(
                f"the dump of {self.connection.database} holds no table",
                hint="is it the right database, and may the user see its tables?",
            )
        contents = {
            **inventory.facts,
            "standby": standby == "t",
            "role_passwords": inventory.superuser,
            "tables": {key: {"rows": t.rows, "bytes": t.bytes, "sha256": t.sha256} for key, t in tables.items()},
            "schema_sha256": schema.sha256,
        }
        return Capture(
            consistent_point=point,
            clock_skew_s=round(skew, 6),
            contents=contents,
            files=files,
            bytes=sum(d.bytes for d in files.values()),
            tools={"pg_dump": place.run(["pg_dump", "--version"]).stdout.split("\n")[0].split(")")[1].split()[0]},
        )

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        return ()

    def _describe(
        self, place: Place, env: Mapping[str, str], into: Path, *, superuser: bool
    ) -> tuple[identity.Toc, identity.Schema]:
        """What goes beside the dump. `globals.sql` is for people who restore a whole server; `roles.sql` is what
        the sandbox loads."""
        for name, flag in (("globals.sql", "--globals-only"), ("roles.sql", "--roles-only")):
            argv = ["pg_dumpall", "-w", flag, "-l", self.connection.database, "-f", place.path(into / name)]
            if not superuser:
                argv.append("--no-role-passwords")  # only a superuser may read them
            place.run(argv, env=env, what=f"pg_dumpall {flag}")
        toc = identity.read_toc(place, into / "dump")
        (into / "toc.list").write_text(toc.text)
        return toc, identity.schema(place, into / "dump")

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        inventory = Inventory(manifest.contents)
        return SandboxNeeds(
            bytes=int(inventory.database_bytes * 1.25) + 2**30,
            memory=self.memory or 2 * 2**30,
            user="postgres",
            major=_major(inventory.version),
            data_dir=DATA,
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        wanted = _major(inventory.version)
        said = box.run(["postgres", "--version"]).stdout
        version = cast("re.Match[str]", re.search(r"\d[\d.]*", said))[0]
        if _major(version) != wanted:
            raise TestBroken(
                f"the image holds PostgreSQL {version}, the backup is of {inventory.version}",
                hint=f"name an image with major version {wanted}, such as postgres:{wanted}",
            )
        settings = "".join(conf_line(k, v) for k, v in self._server_settings(inventory).items())
        try:
            box.run(["bash", "-c", _START, "start", inventory.bootstrap], stdin=settings, what="initdb and pg_ctl")
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
        if self.settings == "throwaway":
            settings |= THROWAWAY
        return settings | self.server_settings

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        inventory = Inventory(manifest.contents)
        self._image_has_extensions(box, inventory)
        admin = self._sandbox_env(inventory, "template1")
        for sql in self.prepare_sql:
            try:
                box.run([*_PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql], env=admin, what="prepare_sql")
            except CommandFailed as error:
                raise TestBroken(str(error), hint="mend the asset's `prepare_sql:`") from None
        if inventory.database == "postgres":
            box.run([*_PSQL, "-c", "drop database postgres"], env=admin)
        roles = (restored / "roles.sql").read_text("utf-8", "surrogateescape")
        # The sandbox's own first superuser bears the source's name; it is there already.
        own = f"CREATE ROLE {quote_ident(inventory.bootstrap)};"
        roles = "\n".join(line for line in roles.split("\n") if line != own)
        argv = ["pg_restore", "-w", "-C", f"-j{self.jobs}", "--exit-on-error", "--no-tablespaces", "-d", "template1"]
        try:
            box.run([*_PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"], stdin=roles, env=admin, what="loading roles")
            box.run([*argv, box.path(restored / "dump")], env=admin, what="pg_restore")
        except CommandFailed as error:
            if error.stalled:
                raise TestBroken(str(error), hint="give `limits: no_progress` more time") from None
            if lacks := _IMAGE_LACKS.search(error.stderr):
                raise TestBroken(
                    f"the image lacks something that the backup needs: {lacks[0]}",
                    hint="name an image that has it (`image:`), or prepare it (`server_settings:`, `prepare_sql:`)",
                ) from None
            raise BackupBad(
                f"the backup does not load: {error}", hint="restore an older snapshot; find out what is missing in it"
            ) from None

    def _image_has_extensions(self, box: Place, inventory: Inventory) -> None:
        admin = self._sandbox_env(inventory, "template1")
        said = box.run([*_PSQL, "-c", "select name from pg_available_extensions"], env=admin).stdout
        if missing := sorted(set(inventory.extensions) - set(said.splitlines())):
            raise TestBroken(
                f"the image lacks the extension {', '.join(missing)}",
                hint="name an image that has it with `image:`",
            )

    def _sandbox_env(self, inventory: Inventory, database: str) -> dict[str, str]:
        return {"PGHOST": SOCKETS, "PGUSER": inventory.bootstrap, "PGDATABASE": database, "PGAPPNAME": "ccdr"}

    def _restored_env(self, manifest: Manifest) -> dict[str, str]:
        inventory = Inventory(manifest.contents)
        return self._sandbox_env(inventory, inventory.database)

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        env = self._restored_env(manifest) | {"PGOPTIONS": "-c default_transaction_read_only=on"}
        argv = [*_PSQL, "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-c", sql]
        said = box.run(argv, env=env, what="the query").stdout
        rows = csv.reader(said.splitlines(keepends=True))
        return [[None if value == NULL else value for value in row] for row in rows]

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        # A timestamp without a zone is read in the source's: the sandbox was given the same `timezone`.
        inner = query.strip().rstrip(";")
        value = self.query(box, manifest, f"select extract(epoch from (({inner}\n))::timestamptz)")[0][0]
        return None if value is None else float(value)

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        return identity.compare(bench, self._restored_env(bench.manifest), self.jobs)

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        """`pg_amcheck` over every table and index. After a logical restore it proves that what was loaded is
        readable throughout and that indexes agree with their tables, in the sandbox."""
        env = self._restored_env(bench.manifest)
        had = "amcheck" in Inventory(bench.manifest.contents).extensions
        argv = ["pg_amcheck", "-w", f"-j{self.jobs}", "--heapallindexed", "--install-missing", env["PGDATABASE"]]
        try:
            out = bench.sandbox.run(argv, env=env, ok=(0, 2), what="pg_amcheck")
        except CommandFailed as error:
            if lacks := _IMAGE_LACKS.search(error.stderr):
                hint = "name an image that has PostgreSQL's contrib modules"
                raise TestBroken(f"the image cannot check integrity: {lacks[0]}", hint=hint) from None
            raise
        if not had:
            bench.sandbox.run([*_PSQL, "-c", "drop extension if exists amcheck"], env=env)
        said = [line for line in (out.stdout + out.stderr).splitlines() if line.strip()]
        yield CheckResult(
            kind="integrity",
            name="pg_amcheck --heapallindexed",
            status=Verdict.PASS if out.code == 0 else Verdict.FAIL,
            expected="no corruption",
            actual="no corruption" if out.code == 0 else f"exit {out.code}, {len(said)} lines of findings",
            detail="\n".join(said[:20]) or None,
        )


# One command, since each costs 60 ms; the settings come on its standard input.
_START = f"""set -e
initdb -D {CLUSTER} -U "$1" -A trust -N -E UTF8 --locale=C --no-instructions > /dev/null
cat >> {CLUSTER}/postgresql.conf
pg_ctl -D {CLUSTER} -w -t 120 -l {SERVER_LOG} -s start
"""
_PSQL = ("psql", "-X", "-w", "-q", "-A", "-t")


def _major(version: str) -> str:
    """`17.12 (Debian …)` is 17; before version 10 the first two numbers were the major version."""
    numbers = version.split()[0].split(".")
    return numbers[0] if int(numbers[0]) >= 10 else ".".join(numbers[:2])
