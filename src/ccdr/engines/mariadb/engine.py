"""MariaDB: what a plan says of it, and which of its methods is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb import questions
from ccdr.engines.mariadb.accounts import accounts_of
from ccdr.engines.mariadb.client import answers, client_version, quote_text
from ccdr.engines.mariadb.connection import OPTION_FILE, Connection, major_of, option_file
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.method import Method
from ccdr.engines.servers.methods import MethodsConfig
from ccdr.model.answers import FreeText
from ccdr.model.damage import Damage
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import BackupFailed
from ccdr.model.schema import Name, Text
from ccdr.model.values import Manifest
from ccdr.ports.accounts import Accounts
from ccdr.ports.capture import ClientNeed, SourceFacts
from ccdr.ports.check import CheckContext
from ccdr.ports.engine import ServerTarget
from ccdr.ports.log import RecoversFiles, ShippedLog
from ccdr.ports.new_server import ServerMaker, Site
from ccdr.ports.place import Place, Source

# The server answered, and does not let this user in.
_REFUSED = re.compile(
    r"ERROR (1044|1045|1049|1130|1142|1227|1698|1820|1862|4151)\b|Access denied|Host '[^']*' is not allowed|"
    r"(certificate|TLS/SSL error)[^\n]*(verify|verification|self.signed|does not match|mismatch)",
    re.IGNORECASE,
)


class MariaDB(MethodsConfig[Method]):
    supported: ClassVar[tuple[str, ...]] = ("11.8", "11.4", "10.11")  # series that are maintained
    has_server: ClassVar[bool] = True
    speaks_sql: ClassVar[bool] = True
    exports: ClassVar[bool] = True
    methods: ClassVar[Mapping[str, str]] = {
        "dump": "ccdr.engines.mariadb.dump:Dump",
        "physical": "ccdr.engines.mariadb.physical:Physical",
    }

    engine: Literal["mariadb"]
    method: Literal["dump", "physical"] = Field(
        "dump", description="`dump`: one database, by mariadb-dump; `physical`: the whole server, by mariadb-backup"
    )
    connection: Connection = Field(description="how the server is reached, and who logs in")
    data_directory: Path = Field(
        Path("/var/lib/mysql"), description="`physical`: where the source's data lies on this host"
    )
    log_shipping: LogShipping | None = Field(None, description="ship the binary log between two backups")
    jobs: int = Field(2, ge=1, le=32, description="connections that dump and load in parallel")
    non_transactional: Literal["lock", "refuse"] = Field(
        "lock", description="MyISAM, MEMORY, Aria … tables: lock them while they are dumped, or refuse to back up"
    )
    leave_out: tuple[Text, ...] = Field(
        (), description="views that are no part of the backup, since they do not work: every report tells of them"
    )
    server_settings: dict[Name, Text] = Field({}, description="settings the sandbox's server is started with")
    prepare_sql: tuple[Text, ...] = Field((), description="SQL run in the sandbox before the restore")

    @model_validator(mode="after")
    def _log_has_a_base(self) -> Self:
        if self.log_shipping is not None and self.method == "dump":
            raise ValueError("has log_shipping with a dump of one database, and the log is of the whole server")
        return self

    @model_validator(mode="after")
    def _only_a_dump_leaves_out(self) -> Self:
        if self.leave_out and self.method != "dump":
            raise ValueError(
                "has leave_out, and a copy of the whole server leaves nothing out: a view may be broken there"
            )
        return self

    # --- the source -----------------------------------------------------------------------------------

    def credentials(self, password: str) -> Mapping[str, str]:
        return {OPTION_FILE: option_file(password)}

    def client(self, major: str | None) -> ClientNeed:
        return ClientNeed(
            programs=self._captures().programs,
            mounts=(*self.connection.mounts, *([self.data_directory] if self.method == "physical" else [])),
            network=self.connection.socket is None,
            reads_all=self.method == "physical",
        )

    def probe(self, source: Source) -> SourceFacts:
        c = self.connection
        sql = f"""SELECT JSON_ARRAY(VERSION(), @@version_comment,
            (SELECT SUM(data_length + index_length) FROM information_schema.tables
             WHERE table_schema = {quote_text(c.database)}),
            {_of_session("ssl_version")}, {_of_session("ssl_cipher")});"""
        (told,) = answers(source.place, c.login(source.credentials), sql, "asking the source")
        version, comment, size, spoken, cipher = told
        if "MariaDB" not in version:
            raise BackupFailed(
                f"the server is {version} ({comment}), and not MariaDB",
                hint="MySQL is not supported: an asset of `engine: files` can keep what its own tools write",
            )
        tls = c.as_encrypted(spoken, cipher)
        return SourceFacts(version, major_of(version), None if size is None else int(size), tls)

    def ask(self, source: Source, sql: str) -> list[list[str | None]]:
        c = self.connection
        return questions.rows(source.place, c.login(source.credentials), c.database, sql)

    def accounts(self, source: Source) -> Accounts:
        return accounts_of(partial(self.ask, source))

    def refused(self, stderr: FreeText) -> bool:
        return stderr.search(_REFUSED) is not None

    def client_major(self, place: Place) -> str | None:
        version = client_version(place)
        return major_of(version) if version else None

    def log(self, name: str) -> ShippedLog | None:
        if self.log_shipping is None:
            return None
        from ccdr.engines.mariadb.binlog import Binlog

        return Binlog(self.connection, self.log_shipping, name)

    # --- the sandbox ----------------------------------------------------------------------------------

    def hand_over(self, restored: Path, final: Path, manifest: Manifest) -> list[str]:
        if manifest.method != "physical":
            return []
        from ccdr.engines.mariadb.physical import hand_over

        return hand_over(restored, final, manifest)

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self._captured(manifest).restored(manifest), _database(manifest), sql)

    def shell(self, box: Place, manifest: Manifest) -> Sequence[str]:
        return ["mariadb", *self._captured(manifest).restored(manifest).arguments, _database(manifest)]

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self._captured(manifest).restored(manifest), _database(manifest), query)

    def _damaged(self, context: CheckContext, kind: Damage, chance: Random) -> str:
        login = self._captured(context.manifest).restored(context.manifest)
        return questions.damage(context.sandbox, login, _database(context.manifest), kind, chance)

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        questions.export(box, self._captured(manifest).restored(manifest), _database(manifest), sql, to)

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        from ccdr.engines.mariadb import erasing

        manifest = context.manifest
        login = self._captured(manifest).restored(manifest)
        database = _database(manifest)
        return erasing.erase(context.sandbox, login, database, wanted, called=database, in_part=in_part)

    def recovers_files(self, manifest: Manifest) -> RecoversFiles | None:
        from ccdr.engines.mariadb.new_server.maker import CopiedFiles

        return CopiedFiles(self)

    # --- a real server --------------------------------------------------------------------------------

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        from ccdr.engines.mariadb.dump.target import MariaDBTarget

        return MariaDBTarget.of(url, self, password_file, ca_file)

    def new_server(self, site: Site) -> ServerMaker:
        from ccdr.engines.mariadb.new_server import Maker

        return Maker(self, site)

    def loading(self, connection: Connection) -> MariaDB:
        """The engine by which a client of another server is opened, to load a dump there."""
        return _Loading.model_validate(
            {**self.model_dump(), "connection": connection, "method": "dump", "log_shipping": None}
        )


class _Loading(MariaDB):
    """What it is given to load is somebody else's text: its client never runs on this host itself."""

    def client(self, major: str | None) -> ClientNeed:
        return replace(super().client(major), on_host=False, loads=True)


def _of_session(name: str) -> str:
    return f"(SELECT variable_value FROM information_schema.session_status WHERE variable_name = '{name.upper()}')"


def _database(manifest: Manifest) -> str:
    return Inventory(manifest.contents).database
