"""Method `dump`: a parallel, uncompressed directory dump, so that restic deduplicates it.

A session is held open beside the dump; its exported snapshot makes dump and inventory true for one instant.
What the dump does not hold (roles, database settings, owners of large objects) is compared apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccdr.engines.base import tables_and_rows
from ccdr.engines.postgres import questions, rights, server
from ccdr.engines.postgres.connection import PSQL, STRICT, answer, major_of
from ccdr.engines.postgres.dump import database, identity, references
from ccdr.engines.postgres.dump.capture import Dumper
from ccdr.engines.postgres.dump.database import drop_what_was_dropped
from ccdr.engines.postgres.dump.definitions import statements
from ccdr.engines.postgres.dump.toc import read_toc
from ccdr.engines.postgres.dump.unfilled import FILLED, perhaps, unfilled
from ccdr.engines.postgres.inventory import Inventory, conf_line, conninfo
from ccdr.engines.postgres.method import Method
from ccdr.engines.postgres.server_settings import without_jobs
from ccdr.engines.servers.methods import unloadable
from ccdr.engines.servers.sandbox import image_that_has_it
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Manifest, Probe
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

# One process that dies (for want of memory, of a bug) takes the others with it; a server that came up again by itself
# would answer as if nothing had been, and lack the rows of unlogged tables, and what no commit has waited for.
LOADED_ONCE = {"restart_after_crash": "off"}


@dataclass(frozen=True)
class Dump(Method):
    """`Method` for one database, loaded into a new server."""

    programs: ClassVar[tuple[str, ...]] = ("psql", "pg_dump", "pg_dumpall", "pg_restore")
    size_sql: ClassVar[str] = "pg_database_size(current_database())"
    as_files: ClassVar[str] = "the captured dump; it is loaded nowhere"

    # --- the source -----------------------------------------------------------------------------------

    def rights(self, source: Source) -> Iterator[Probe]:
        env = {**self.asset.connection.environment(source.credentials), "PGOPTIONS": "-c statement_timeout=20s"}
        told = answer(source.place, env, rights.SQL, "asking for the role's rights")
        yield from rights.judged(rights.read_rights(told), self.asset.connection.user)

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        asset, connection = self.asset, self.asset.connection
        env = connection.environment(source.credentials)
        dumper = Dumper(source.place, env, connection.database, asset.jobs, tools, asset.leave_out)
        return dumper.capture(into)

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        inventory = Inventory(manifest.contents)
        return SandboxNeeds(
            bytes=int(inventory.database_bytes * 1.25) + 2**30,
            memory=self.asset.memory_beside,
            user="postgres",
            major=major_of(inventory.version),
            data_dir=server.DATA,
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        version = server.fitting_version(box, inventory.version)
        settings = "".join(conf_line(k, v) for k, v in self.settings(manifest).items())
        try:
            box.run(
                ["sh", "-c", _START, "start", inventory.bootstrap, inventory.encoding],
                stdin=settings,
                what="initdb and pg_ctl",
            )
        except CommandFailed as error:
            words = server.last_words(box)
            raise TestBroken(
                f"the sandbox's server did not start: {error}; {lacking(words, self.asset.server_settings)}",
                hint="does the image hold what `server_settings:` asks for?",
                words=words,
            ) from None
        return version

    def settings(self, manifest: Manifest) -> dict[str, str]:
        """The sandbox's postgresql.conf."""
        inventory, asset = Inventory(manifest.contents), self.asset
        common = server.settings(
            self.asset.memory_beside,
            throwaway=asset.settings == "throwaway",
            timezone=inventory.timezone,
            lc_monetary=inventory.lc_monetary,
        )
        return without_jobs(common | LOADED_ONCE | inventory.abbreviations, asset.server_settings)

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return tables_and_rows(manifest)

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        inventory = Inventory(manifest.contents)
        self._image_has_extensions(box, manifest)
        admin = server.environment(inventory.bootstrap, "template1", inventory.version)
        for sql in self.asset.prepare_sql:
            try:
                box.run(STRICT, env=admin, stdin=f"{sql}\n;\n", what="prepare_sql", alone=True)
            except CommandFailed as error:
                raise TestBroken(str(error), hint="mend the asset's `prepare_sql:`") from None
        if inventory.database == "postgres":
            answer(box, admin, "drop database postgres")
        script = (restored / "roles.sql").read_text("utf-8", "surrogateescape")
        # The sandbox's own first superuser bears the source's name; it is there already.
        wanted = "\n".join(database.without(script, inventory.bootstrap))
        dump = restored / "dump"
        argv = ["pg_restore", "-w", f"-j{self.asset.jobs}", "--exit-on-error", "--no-tablespaces"]
        made, within = [*argv, "-C", "-d", "template1"], [*argv, "-d", conninfo(inventory.database)]
        # In one parallel call a partitioned table's trigger may come before its partitions' rows, and change them.
        sections = ["--section=pre-data", "--section=data"]
        try:
            utf8 = {**admin, "PGCLIENTENCODING": "UTF8"}
            box.run([*STRICT, "-f", "-"], stdin=wanted, env=utf8, what="loading roles", alone=True)
            if owners := database.owners(manifest.contents):
                toc, listed = read_toc(box, dump, whole=True), ["-L", "/dev/stdin"]
                box.run(
                    [*made, *listed, box.path(dump)], stdin=toc.lines(database.BEFORE), env=admin, what="pg_restore"
                )
                database.make(box, self.restored_env(manifest), dump, toc, owners)
                rest = toc.lines(database.AFTER)
                box.run([*within, *sections, *listed, box.path(dump)], stdin=rest, env=admin, what="pg_restore")
            else:
                box.run([*made, *sections, box.path(dump)], env=admin, what="pg_restore")
            within, last = [*within, "--section=post-data"], None
            later = perhaps(manifest.contents)
            if views := [*unfilled(manifest.contents, live=False), *later]:
                within, last = [*within, "-L", "/dev/stdin"], read_toc(box, dump).lines(database.AFTER, views)
            box.run([*within, box.path(dump)], stdin=last, env=admin, what="pg_restore")
            if later:
                self._fill(box, manifest, dump, later)
            drop_what_was_dropped(box, self.restored_env(manifest), manifest.contents)
        except CommandFailed as error:
            listing = (restored / "toc.list").read_text("utf-8", "surrogateescape")
            raise (
                references.to_blame(error, manifest.contents)
                or references.raised(error, listing)
                or unloadable(error, questions.lacks(inventory.extensions), manifest)
            ) from None

    def _fill(self, box: Place, manifest: Manifest, dump: Path, views: Iterable[tuple[str, str]]) -> None:
        """One whose fill fails stays as it is: it may reach another server, and `identical` names it."""
        wanted = re.compile("|".join(re.escape(f"{FILLED} {schema} {name} ") for schema, name in views))
        script = "\n".join(statements(box, dump, read_toc(box, dump), wanted))
        box.run([*PSQL, "-f", "-"], stdin=script, env=self.restored_env(manifest), what="filling views", alone=True)

    @staticmethod
    def _image_has_extensions(box: Place, manifest: Manifest) -> None:
        inventory = Inventory(manifest.contents)
        admin = server.environment(inventory.bootstrap, "template1", inventory.version)
        there = answer(box, admin, "select name from pg_available_extensions").split("\n")
        if missing := sorted(set(inventory.extensions) - set(there)):
            raise TestBroken(
                f"the image lacks the extension {', '.join(missing)}",
                hint=image_that_has_it(manifest),
            )

    def restored_env(self, manifest: Manifest) -> Mapping[str, str]:
        inventory = Inventory(manifest.contents)
        return server.environment(inventory.bootstrap, inventory.database, inventory.version)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return identity.compare(context, self.restored_env(context.manifest), self.asset.jobs)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        return questions.integrity(context, self.restored_env(context.manifest), self.asset.jobs)


# One command, since each costs 60 ms; the settings come on its standard input.
_START = f"""set -e
initdb -D {server.CLUSTER} -U "$1" -A trust -N -E "$2" --locale=C --no-instructions > /dev/null
cat >> {server.CLUSTER}/postgresql.conf
pg_ctl -D {server.CLUSTER} -w -t 120 -l {server.LOG} -s start
"""
