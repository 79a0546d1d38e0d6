"""Engines of servers that are captured in more than one way: each question goes to the way that it is for.

The plan's method captures. What was captured is restored by the method that its manifest names: plans change, and
older snapshots still have to come back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar, cast, runtime_checkable

from ccdr.engines.base import EngineConfig
from ccdr.engines.servers.connection import NOWHERE, UNKNOWN, ServerConnection
from ccdr.engines.servers.sandbox import image_that_has_it
from ccdr.model.answers import at, lacking, names_in
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.schema import WithPassword
from ccdr.model.values import CheckResult, Manifest, Probe
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.log import Reached, RecoveryTarget
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds


class Method(Protocol):
    """One way to capture a server, and to bring back what it has captured. Its methods are those of `Engine`."""

    @property
    def programs(self) -> tuple[str, ...]:
        """Of the client, as `ClientNeed` wants them."""

    @property
    def source_name(self) -> str: ...

    def rights(self, source: Source) -> Iterator[Probe]: ...

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture: ...

    def sandbox(self, manifest: Manifest) -> SandboxNeeds: ...

    def start(self, box: Place, manifest: Manifest) -> str: ...

    def holds(self, manifest: Manifest) -> Mapping[str, int]: ...

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None: ...

    def identical(self, context: CheckContext) -> Iterator[CheckResult]: ...

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]: ...


@runtime_checkable
class LogBase(Protocol):
    """A method whose snapshots are bases that a shipped log goes on from."""

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached: ...

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]: ...

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]: ...


@runtime_checkable
class Increments(Protocol):
    """A method whose snapshots may be increments: see `Engine.assemble`."""

    def assemble(self, box: Place, restored: Path, manifest: Manifest, into: Path) -> None: ...


def images(engine: str, major: str) -> tuple[str, ...]:
    """The official image, then the one that `make images` builds."""
    return (f"{engine}:{major}", f"ccdr-sandbox/{engine}:{major}")


M = TypeVar("M", bound=Method)


class MethodsConfig(EngineConfig, Generic[M]):
    """An engine names its methods and states `method`; where it needs more of a method than `Method` has, it says so
    by a protocol of its own."""

    supported: ClassVar[tuple[str, ...]]  # majors; any of their clients can ask a server its version

    if TYPE_CHECKING:  # a field of the engine's
        connection: ServerConnection

    def _methods(self) -> Mapping[str, str]:
        """By the name that plans and manifests have for it: where the class lies, `module:Class`. It is read where it
        is used: methods are most of what there is to an engine, and most commands ask for a plan's facts alone."""
        raise NotImplementedError

    def _method(self, name: str) -> M:
        return cast(M, resolve_name(self._methods()[name])(self))

    def _captures(self) -> M:
        return self._method(str(getattr(self, "method", "?")))

    def _captured(self, manifest: Manifest) -> M:
        if manifest.method not in self._methods():
            raise TestBroken(
                f"the snapshot was taken by the method {manifest.method}, which this ccdr does not know",
                hint="restore it with the ccdr that took it, or a newer one",
            )
        return self._method(manifest.method)

    def _base(self, manifest: Manifest) -> LogBase:
        method = self._captured(manifest)
        if not isinstance(method, LogBase):
            raise UsageProblem(f"a {manifest.method} is no base that a log goes on from")
        return method

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        majors = (major,) if major else self.supported
        return tuple(image for one in majors for image in images(self.engine_name, one))

    # --- the source -----------------------------------------------------------------------------------

    @classmethod
    def stated_by(cls, source: str, contents: Mapping[str, object]) -> dict[str, object]:
        for whole in ("cluster of ", "server of "):  # of a whole server: its methods' source_name
            source = source.removeprefix(whole)
        return {"connection": {"host": NOWHERE, "user": UNKNOWN, "database": source}}

    def secret(self) -> WithPassword | None:
        return self.connection

    def rights(self, source: Source) -> Iterator[Probe]:
        yield Probe.ok("connection", self.connection.described)
        yield from self._captures().rights(source)

    @property
    def source_name(self) -> str:
        return self._captures().source_name

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        return self._captures().capture(source, into, tools)

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        return ()

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
        method = self._captured(manifest)
        if not isinstance(method, Increments):
            return super().assemble(box, restored, manifest, into)
        return method.assemble(box, restored, manifest, into)

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        return self._base(manifest).recover(box, restored, log, manifest, target)

    def outside(self, box: Place, log: Path, manifest: Manifest, target: RecoveryTarget) -> Mapping[str, str]:
        return self._base(manifest).outside(box, log, manifest, target)

    def hand_over_log(
        self, host: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget
    ) -> Collection[str]:
        return self._base(manifest).hand_over_log(host, restored, log, manifest, target)

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
