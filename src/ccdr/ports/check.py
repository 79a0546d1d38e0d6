"""What a check may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.model.values import Manifest, Snapshot
from ccdr.ports.place import Digester, Place

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.engine import Engine


@dataclass(frozen=True)
class CheckContext:
    """What a check may look at: the restored engine, the fetched files, and what was captured.

    `fetched` is where the snapshot was written on this host (source paths stand below it), `restored` the
    captured directory of it, `out` a directory that both this host and the sandbox can write. `box` is the
    sandbox, or where the client of a real server runs; None where neither the engine nor any check needs one.
    """

    manifest: Manifest
    fetched: Path
    restored: Path
    out: Path
    box: Place | None
    host: Place
    digest: Digester
    recovered: bool = False  # by a log: what changed since the capture is as it should be
    reached: datetime | None = None  # by that log; None where nothing tells

    @property
    def point(self) -> datetime | None:
        """The instant that the restored data is true for; None after a recovery to a point whose time nothing tells."""
        return self.reached if self.recovered else self.manifest.consistent_point

    @property
    def data(self) -> Path:
        """Where a program that looks at the restored files finds them: what was read in place stands below `fetched`,
        each path where it was; else it is the captured directory."""
        return self.fetched if "roots" in self.manifest.contents else self.restored

    @property
    def sandbox(self) -> Place:
        """The sandbox, for those that said they need one."""
        assert self.box is not None
        return self.box


@dataclass(frozen=True)
class Counterpart:
    """Another asset of the plan, restored for the same test, so that a check can compare the two.

    `context` is of the other one; its box is a sandbox of its own, there only for a check that says it needs one.
    `point` is the instant that the tested asset was restored to. `work` is a private directory of this comparison;
    `note` keeps a reference (a path, as a row says it) for the person, and nowhere else.
    """

    asset: str
    snapshot: Snapshot
    engine: Engine
    context: CheckContext
    point: datetime
    together: str | None  # the group's run that both are of
    work: Path
    note: Callable[[Mapping[str, object]], None]
    recovered: bool = False  # the tested asset was recovered by its log, to a point that no backup of another's has
