"""Method `physical`: a base backup of the whole server, restored file by file.

Nothing is parsed and no index is built, so it is the quickest to restore; it comes back on the same major version and
architecture alone, and carries along whatever damage the source's own files have, for `integrity` to find.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ccdr.engines.postgres import recovery, server
from ccdr.engines.postgres.connection import major_of
from ccdr.engines.postgres.inventory import Inventory
from ccdr.engines.postgres.method import Method
from ccdr.engines.postgres.physical import backup_manifest, checks, cluster, rights, tablespaces
from ccdr.engines.postgres.physical.capture import CLUSTER, TABLESPACES, BaseBackup, unlogged
from ccdr.engines.postgres.segments import segments_in, timeline_of
from ccdr.engines.postgres.server_settings import AT_LEAST, SUBSCRIBERS, without_jobs
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupBad, CommandFailed, TestBroken, blaming_the_log
from ccdr.model.values import CheckResult, FileDigest, Manifest, Probe
from ccdr.ports.capture import WHOLE, Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

IN_PLACE = "allow_in_place_tablespaces"


@dataclass(frozen=True)
class Physical(Method):
    """`Method` for a whole server."""

    programs: ClassVar[tuple[str, ...]] = ("psql", "pg_basebackup")
    size_sql: ClassVar[str] = """(select coalesce(sum(pg_database_size(oid)), 0) from pg_database
            where has_database_privilege(oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage'))"""
    as_files: ClassVar[str] = f"the server's data directory ({CLUSTER}/) and its tablespaces, ready to be started"

    # --- the source -----------------------------------------------------------------------------------

    @property
    def source_name(self) -> str:
        """A cluster is not its database of the same name."""
        return f"cluster of {self.asset.connection.database}"

    def rights(self, source: Source) -> Iterator[Probe]:
        asset = self.asset
        increments = asset.incremental is not None
        return rights.probes(source, asset.connection, increments=increments, shipping=asset.log_shipping)

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        asset = self.asset
        options = [f"--checkpoint={asset.checkpoint}"]
        if asset.max_rate:
            options.append(f"--max-rate={min(max(asset.max_rate >> 10, 32), 2**20)}k")
        env = asset.connection.environment(source.credentials)
        return BaseBackup(source.place, env, self.source_name, options, tools, asset.incremental).capture(into)

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        contents: Mapping[str, Any] = manifest.contents
        held = int(contents.get("whole_bytes", contents["bytes"])) + sum(d.bytes for d in manifest.files.values())
        return SandboxNeeds(
            bytes=int(held * 1.1) + 2**30,
            memory=self.asset.memory_beside,
            user="postgres",
            major=major_of(Inventory(contents).version),
            data_dir=server.DATA,
            in_place=(WHOLE,) if manifest.upon else (CLUSTER, TABLESPACES),
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        """The server is the restored one: there is none before the load."""
        return server.fitting_version(box, Inventory(manifest.contents).version)

    def listed(self, restored: Path, manifest: Manifest) -> Mapping[str, FileDigest]:
        files = backup_manifest.listed(restored / CLUSTER)
        return {**{f"{CLUSTER}/{name}": digest for name, digest in files.items()}, **manifest.files}

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"files": int(manifest.contents["files"])}

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        self.prepare(box, restored, manifest)
        self.run(box, manifest)

    def run(self, box: Place, manifest: Manifest) -> None:
        """Have a server answer on it."""
        try:
            cluster.start(box, self.settings(manifest))
            cluster.answers(box, self.restored_env(manifest))
        except CommandFailed as error:
            raise cluster.judged(error, manifest) from None

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        assert target.branch is not None
        with blaming_the_log():
            return tablespaces.created(box, log, target.branch, str(manifest.contents["start_lsn"]))

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        """As `load`, and then by the shipped log up to the target."""
        self.prepare(box, restored, manifest)

        def begin(more: Mapping[str, str]) -> None:
            cluster.start(box, {**self.settings(manifest), **more}, recovering=True)

        def judged(error: CommandFailed) -> BackupBad | TestBroken:
            return cluster.judged(error, manifest)

        def words_of_server() -> FreeText:
            # Whoever asks whether it is there yet, while it goes down, is refused with a line each.
            return server.last_words(box, recovery.LAST_LINES)

        env = self.restored_env(manifest)
        restarted = recovery.RecoveringServer(box, begin, judged, cluster.PGDATA, words_of_server, env)
        mine = target.branch  # what a branch before it holds behind where it was left stands there as well
        segments = [s.name for s in segments_in(log) if not s.beside and mine in (None, timeline_of(s.name))]
        with blaming_the_log():  # of the base, every file is as it was captured by now
            reached = recovery.recover(restarted, box.path(log), segments, target, target.clock_skew(manifest))
            try:
                cluster.answers(box, env)
                reached = replace(reached, left_out=dict.fromkeys(unlogged(box, env), 0))
            except CommandFailed as error:
                raise cluster.judged(error, manifest) from None
        tablespaces.lead_back(box, cluster.HOME)
        return reached

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        disarm(restored / CLUSTER)
        return self.outside(host, log, manifest, target)

    def prepare(self, box: Place, restored: Path, manifest: Manifest) -> None:
        """Have the cluster stand where a server can run on it, proven to be what was captured."""
        if manifest.upon:
            cluster.assemble(box, restored, manifest, cluster.own_directory(box, restored))
            cluster.whole(box)
        else:
            cluster.put_in_place(box, restored)
            cluster.verify(box, self.listed(restored, manifest))

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        cluster.assemble(box, restored, manifest, box.path(into))

    def settings(self, manifest: Manifest) -> dict[str, str]:
        """The sandbox's postgresql.conf."""
        asset, inventory = self.asset, Inventory(manifest.contents)
        captured = inventory.settings
        options = server.settings(
            self.asset.memory_beside,
            throwaway=asset.settings == "throwaway",
            timezone=inventory.timezone,
            lc_monetary=inventory.lc_monetary,
        )
        for name in AT_LEAST:
            options[name] = str(max(int(captured[name] or 0), int(options.get(name, 0))))
        if libraries := captured.get("shared_preload_libraries"):
            options["shared_preload_libraries"] = libraries
        spaces = (inventory.facts["tablespaces"] or {}).values()
        if captured.get(IN_PLACE) == "on" or not all(one["location"].startswith("/") for one in spaces):
            options[IN_PLACE] = "on"  # or no server starts on one that lies in the data directory
        options[SUBSCRIBERS] = "0"  # its subscriptions are the source's business
        return without_jobs(options | inventory.abbreviations, asset.server_settings)

    def restored_env(self, manifest: Manifest) -> Mapping[str, str]:
        inventory = Inventory(manifest.contents)
        superusers: list[str] = inventory.facts["superusers"] or []
        if not superusers:
            raise TestBroken(
                "no superuser of the restored server may log in",
                hint="let one log in at the source: ALTER ROLE … LOGIN; what it may reach is for pg_hba.conf to say",
            )
        user = inventory.bootstrap if inventory.bootstrap in superusers else superusers[0]
        return server.environment(user, inventory.database, inventory.version)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return checks.identical(context, self.restored_env(context.manifest))

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        manifest = context.manifest
        return checks.integrity(context, self.restored_env(manifest), self.settings(manifest), self.asset.jobs)


def disarm(data: Path) -> None:
    """A server that is started on it applies no log, and follows no other. One that was recovered before has the target
    of then in there."""
    for name in ("recovery.signal", "standby.signal"):
        (data / name).unlink(missing_ok=True)
    if (auto := data / "postgresql.auto.conf").exists():
        lines = auto.read_text("utf-8", "surrogateescape").splitlines(keepends=True)
        kept = (line for line in lines if not line.startswith(("recovery_target", "restore_command")))
        auto.write_text("".join(kept), "utf-8", "surrogateescape")
