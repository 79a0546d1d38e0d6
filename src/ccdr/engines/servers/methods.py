"""Engines of servers that are captured in more than one way: each question goes to the way that it is for.

The plan's method captures. What was captured is restored by the method that its manifest names: plans change, and
older snapshots still have to come back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from ccdr.engines.base import EngineConfig, no_increments
from ccdr.engines.servers.connection import NOWHERE, UNKNOWN, ServerConnection
from ccdr.engines.servers.sandbox import image_that_has_it
from ccdr.model.answers import at, lacking, names_in
from ccdr.model.damage import OF_TABLES, Damage, NothingToDamage
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Manifest, Probe
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds


@dataclass(frozen=True)
class Method:
    """One way to capture a server, and to bring back what it has captured. Its methods are those of `Engine`. What it
    has captured is no base that a shipped log goes on from, and no increment, unless it says how."""

    programs: ClassVar[tuple[str, ...]]  # of the client, as `ClientNeed` wants them

    asset: MethodsConfig[Any]

    @property
    def source_name(self) -> str:
        return self.asset.connection.database

    def rights(self, source: Source) -> Iterator[Probe]:
        raise NotImplementedError

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        raise NotImplementedError

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        raise NotImplementedError

    def start(self, box: Place, manifest: Manifest) -> str:
        raise NotImplementedError

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        raise NotImplementedError

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        raise NotImplementedError

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        raise NotImplementedError

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        raise NotImplementedError

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        raise _no_base(manifest)

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        raise _no_base(manifest)

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        raise _no_base(manifest)

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        raise no_increments(self.asset.engine_name)


def _no_base(manifest: Manifest) -> UsageProblem:
    return UsageProblem(f"a {manifest.method} is no base that a log goes on from")


MEMORY = 2 * 2**30  # bytes that a sandbox's server gets beside its data


def images(engine: str, major: str) -> tuple[str, ...]:
    """The official image, then the one that `make images` builds."""
    return (f"{engine}:{major}", f"ccdr-sandbox/{engine}:{major}")


M = TypeVar("M", bound=Method)


class MethodsConfig(EngineConfig, Generic[M]):
    """An engine names its methods and states `method`; where it needs more of a method than `Method` has, it says so
    by a protocol of its own."""

    supported: ClassVar[tuple[str, ...]]  # majors; any of their clients can ask a server its version
    # One line for each way to capture a server, by the name that plans and manifests have for it: where the class lies,
    # `module:Class`. It is read where it is used: methods are most of what there is to an engine, and most commands ask
    # for a plan's facts alone.
    methods: ClassVar[Mapping[str, str]]

    if TYPE_CHECKING:  # fields of the engine's
        connection: ServerConnection
        method: str

    def _method(self, name: str) -> M:
        return cast(M, resolve_name(self.methods[name])(self))

    def _captures(self) -> M:
        return self._method(self.method)

    def _captured(self, manifest: Manifest) -> M:
        if manifest.method not in self.methods:
            raise TestBroken(
                f"the snapshot was taken by the method {manifest.method}, which this ccdr does not know",
                hint="restore it with the ccdr that took it, or a newer one",
            )
        return self._method(manifest.method)

    @property
    def memory_beside(self) -> int:
        """Of a sandbox's server, beside its data: bytes."""
        return self.memory or MEMORY

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        majors = (major,) if major else self.supported
        return tuple(image for one in majors for image in images(self.engine_name, one))

    # --- the source -----------------------------------------------------------------------------------

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        for whole in ("cluster of ", "server of "):  # of a whole server: its methods' source_name
            source = source.removeprefix(whole)
        return {"connection": {"host": NOWHERE, "user": UNKNOWN, "database": source}}

    def rights(self, source: Source) -> Iterator[Probe]:
        yield Probe.ok("connection", self.connection.described)
        yield from self._captures().rights(source)

    @property
    def source_name(self) -> str:
        return self._captures().source_name

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        return self._captures().capture(source, into, tools)

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        return self._captured(manifest).sandbox(manifest)

    def start(self, box: Place, manifest: Manifest) -> str:
        return self._captured(manifest).start(box, manifest)

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return self._captured(manifest).holds(manifest)

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        self._captured(manifest).load(box, restored, manifest)

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None:
        self._captured(manifest).assemble(box, restored, manifest, into)

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        return self._captured(manifest).recover(box, restored, log, manifest, target)

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        return self._captured(manifest).outside(box, log, manifest, target)

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        return self._captured(manifest).hand_over_log(host, restored, log, manifest, target)

    @property
    def damages(self) -> tuple[Damage, ...]:
        return () if self.method == "physical" else OF_TABLES

    def damage(self, context: CheckContext, kind: Damage, chance: Random) -> str:
        if context.manifest.method == "physical":
            raise NothingToDamage("of a physical backup the fetched files are what is compared")
        return self._damaged(context, kind, chance)

    def _damaged(self, context: CheckContext, kind: Damage, chance: Random) -> str:
        raise NotImplementedError

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return self._captured(context.manifest).identical(context)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        return self._captured(context.manifest).integrity(context)


def unloadable(error: CommandFailed, lacks: re.Pattern[str], manifest: Manifest) -> CcdrError:
    """Whose fault it is that a dump does not load: time's, the image's (where a server says what it `lacks`), or the
    backup's own. Of what the server said, objects that the manifest lists are named."""
    names = list(names_in(manifest.contents))
    if error.stalled:
        return TestBroken(str(error), hint="give `limits: no_progress` more time")
    if error.stderr.errors.begins(lacks):
        return TestBroken(
            f"{error.the_image} lacks something that the backup needs: {lacking(error.stderr, names)}",
            hint=f"{image_that_has_it(manifest)}; or prepare its server (`server_settings:`, `prepare_sql:`)",
        )
    return BackupBad(
        f"the backup does not load: {error}{at(error.stderr, names)}",
        hint="restore an older snapshot; find out what is missing in it",
    )
