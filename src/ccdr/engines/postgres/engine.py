"""PostgreSQL: what a plan says of it, and which of its methods is asked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres import questions
from ccdr.engines.postgres.connection import OWN_OPTIONS, Connection, answer, major_of
from ccdr.engines.postgres.inventory import Inventory, quote_name
from ccdr.engines.postgres.method import Method
from ccdr.engines.postgres.rights import accounts_of
from ccdr.engines.servers.methods import MethodsConfig
from ccdr.model.answers import FreeText
from ccdr.model.damage import Damage
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed
from ccdr.model.schema import Duration, Size, Strict, Text
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.accounts import Accounts
from ccdr.ports.capture import ClientNeed, SourceFacts
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.log import RecoversFiles, ShippedLog
from ccdr.ports.new_server import ServerMaker, Site
from ccdr.ports.place import Place, Source

# As PostgreSQL has them: an extension's begin with its name, as in `pg_stat_statements.max`.
Setting = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*$", max_length=126)]
SUPERUSER = "postgres"  # as almost every server calls it
# The server answered, and does not let this role in.
_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied|(role|database) \"[^\"]*\" does not exist|"
    r"permission denied|not permitted to log in|certificate verify failed|does not match host name"
)


class Incremental(Strict):
    """Between two full bases, bases that hold only what has changed since the one before (PostgreSQL 17 and later)."""

    full_every: Duration = Field(
        7 * 86400.0, description="a base is a full one again once the last full one is this old"
    )
    longest: int = Field(14, ge=1, le=99, description="increments in a row at most: a restore needs all of them")


class Postgres(MethodsConfig[Method]):
    supported: ClassVar[tuple[str, ...]] = ("17", "18", "16", "15", "14")
    has_server: ClassVar[bool] = True
    speaks_sql: ClassVar[bool] = True
    exports: ClassVar[bool] = True
    methods: ClassVar[Mapping[str, str]] = {
        "dump": "ccdr.engines.postgres.dump:Dump",
        "stream": "ccdr.engines.postgres.stream:StreamedDump",
        "physical": "ccdr.engines.postgres.physical:Physical",
    }

    engine: Literal["postgres"]
    method: Literal["dump", "stream", "physical"] = Field(
        "dump",
        description="`dump`: one database, by pg_dump; `stream`: the same, past scratch into the repository; "
        "`physical`: the whole server, by pg_basebackup",
    )
    connection: Connection = Field(description="how the server is reached, and who logs in")
    log_shipping: LogShipping | None = Field(None, description="ship the write-ahead log between two backups")
    jobs: int = Field(2, ge=1, le=32, description="connections that dump, load and check in parallel")
    checkpoint: Literal["fast", "spread"] = Field(
        "fast", description="`physical`: the source's checkpoint before a backup, at once or gently over minutes"
    )
    max_rate: Size | None = Field(None, description="`physical`: bytes per second that are read from the source")
    incremental: Incremental | None = Field(
        None, description="`physical`: increments between full bases; the source needs `summarize_wal = on`"
    )
    leave_out: tuple[Text, ...] = Field(
        (),
        description="`dump`, `stream`: changed objects of the server or of extensions that no dump holds, by the names "
        "that `identical` gives them: not compared, and every report tells of them",
    )
    server_settings: dict[Setting, Text] = Field({}, description="settings the sandbox's server is started with")
    prepare_sql: tuple[Text, ...] = Field((), description="`dump`, `stream`: SQL run in the sandbox before the restore")

    @model_validator(mode="after")
    def _of_method(self) -> Self:
        if self.method == "physical" and self.leave_out:
            raise ValueError("has leave_out, and a copy of the whole server leaves nothing out")
        if self.method != "physical":
            for field in ("checkpoint", "max_rate", "incremental"):
                if getattr(self, field) != type(self).model_fields[field].default:  # which `plan show` prints
                    raise ValueError(f"has {field}, which is of `method: physical` alone")
        return self

    @model_validator(mode="after")
    def _of_a_database(self) -> Self:
        """Templates are part of any new server: one cannot be made beside that of a sandbox, or of a real server."""
        database = self.connection.database
        if database == "template0" or (database == "template1" and self.method != "physical"):
            raise ValueError(
                f"names the database {database}, which belongs to the server itself: name the one that holds the data"
                + (", or use `method: physical` for the whole server" if database == "template1" else "")
            )
        return self

    @model_validator(mode="after")
    def _log_has_a_base(self) -> Self:
        if self.log_shipping is not None and self.method != "physical":
            raise ValueError("has log_shipping with a dump, which is no base that a log goes on from")
        return self

    # --- the source -----------------------------------------------------------------------------------

    def credentials(self, password: str) -> Mapping[str, str]:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        return {"pgpass": f"*:*:*:*:{escaped}\n"}

    def client(self, major: str | None) -> ClientNeed:
        c = self.connection
        return ClientNeed(
            programs=self._captures().programs,
            host_dirs=(f"/usr/lib/postgresql/{major}/bin",) if major else (),
            mounts=c.mounts,
            network=c.socket is None,
        )

    def probe(self, source: Source) -> SourceFacts:
        own = "(select {} from pg_stat_ssl where pid = pg_backend_pid() and ssl)"
        tls = f"{own.format('version')}, {own.format('cipher')}"
        sql = f"select current_setting('server_version'), {tls}, {self._captures().size_sql}"
        env = {**self.connection.environment(source.credentials), "PGOPTIONS": OWN_OPTIONS}
        version, spoken, cipher, size = answer(source.place, env, sql, "asking the source").strip().split("|")
        encrypted = self.connection.as_encrypted(spoken, cipher)
        return SourceFacts(version.split()[0], major_of(version), int(size), encrypted)

    def ask(self, source: Source, sql: str) -> list[list[str | None]]:
        env = {**self.connection.environment(source.credentials), "PGOPTIONS": OWN_OPTIONS}
        return questions.rows(source.place, env, sql)

    def accounts(self, source: Source) -> Accounts:
        return accounts_of(partial(self.ask, source), self.connection.database)

    def beside_source(self) -> tuple[Sequence[str], str] | None:
        """As the superuser, of whom the plan most often knows no password."""
        from ccdr.engines.postgres.address import shown

        if self.method == "physical":
            return None
        c, beside = self.connection, f"{self.connection.database}_restored"
        of, own = (shown(c.model_copy(update={"user": SUPERUSER, "database": name})) for name in (beside, "postgres"))
        secret = c.password_file if c.user == SUPERUSER else f"{SUPERUSER}.pw"
        login = ["--password-file", str(secret)] if secret else []
        rename = f"alter database {quote_name(beside)} rename to {quote_name(c.database)}"
        return [of, "--onto-source-server", *login], shlex.join(["psql", own, "-c", rename])

    def refused(self, stderr: FreeText) -> bool:
        return stderr.search(_REFUSED) is not None

    def client_major(self, place: Place) -> str | None:
        try:
            out = place.run(["pg_dump", "--version"], ok=(0, 126, 127))  # a container's word for one that is not there
        except CommandFailed:
            return None
        match = re.search(r"\d[\d.]*", out.stdout) if out.code == 0 else None
        return major_of(match[0]) if match else None

    @property
    def base_file(self) -> str | None:
        if self.incremental is None:
            return None
        from ccdr.engines.postgres.physical import BASE_FILE

        return BASE_FILE

    def log(self, name: str) -> ShippedLog | None:
        if self.log_shipping is None:
            return None
        from ccdr.engines.postgres.wal import Wal

        return Wal(self.connection, self.log_shipping, name)

    # --- the sandbox ----------------------------------------------------------------------------------

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        return self._captured(manifest).listed(restored, manifest)

    def as_files(self, manifest: Manifest) -> str:
        return self._captured(manifest).as_files

    def hand_over(self, restored: Path, final: Path, manifest: Manifest) -> list[str]:
        if manifest.method != "physical":
            return []
        from ccdr.engines.postgres.new_server.configuration import hand_over

        return hand_over(restored, final, manifest)

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self._captured(manifest).restored_env(manifest), sql)

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        env = self._captured(manifest).restored_env(manifest)
        return ["psql", "-h", env["PGHOST"], "-U", env["PGUSER"], "-d", env["PGDATABASE"]]

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self._captured(manifest).restored_env(manifest), query)

    def _damaged(self, context: CheckContext, kind: Damage, chance: Random) -> str:
        env = self._captured(context.manifest).restored_env(context.manifest)
        return questions.damage(context.sandbox, env, kind, chance)

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        encoding = Inventory(manifest.contents).encoding
        questions.export(box, self._captured(manifest).restored_env(manifest), encoding, sql, to)

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        from ccdr.engines.postgres import erasing

        env = self._captured(context.manifest).restored_env(context.manifest)
        return erasing.erase(context.sandbox, env, wanted, in_part=in_part)

    def recovers_files(self, manifest: Manifest) -> RecoversFiles | None:
        from ccdr.engines.postgres.new_server.homes import PhysicalFiles

        return PhysicalFiles(self.model_copy(update={"settings": "durable"}))

    # --- a real server --------------------------------------------------------------------------------

    def new_server(self, site: Site) -> ServerMaker:
        from ccdr.engines.postgres.new_server import PostgresMaker

        return PostgresMaker.of(self, site)

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        from ccdr.engines.postgres.dump import PostgresTarget

        return PostgresTarget.of(url, self, password_file, ca_file)
