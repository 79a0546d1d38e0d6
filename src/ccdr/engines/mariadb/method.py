"""What the ways to capture a server differ in. `engine.py` holds a plan's configuration and asks the right one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ccdr.engines.mariadb.client import Login
from ccdr.interfaces import Bench, Capture, Place, SandboxNeeds, Source, Tools
from ccdr.model import CheckResult, Look, Manifest


class Method(Protocol):
    """One way to capture a server, and to bring back what it has captured. Its methods are those of `Engine`: what is
    asked of the source is asked of the method that the plan names, what is asked of a snapshot of the one that its
    manifest names."""

    @property
    def programs(self) -> tuple[str, ...]:
        """Of the client, as `ClientNeed` wants them."""

    @property
    def source_name(self) -> str: ...

    def rights(self, source: Source) -> Iterator[Look]: ...

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture: ...

    def sandbox(self, manifest: Manifest) -> SandboxNeeds: ...

    def start(self, box: Place, manifest: Manifest) -> str: ...

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None: ...

    def restored(self, manifest: Manifest) -> Login:
        """How the restored server is reached, in the sandbox."""

    def identical(self, bench: Bench) -> Iterator[CheckResult]: ...

    def integrity(self, bench: Bench) -> Iterator[CheckResult]: ...
