"""What a restore was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.plans import LoadedPlan
from ccdr.plans.targets import NewServer
from ccdr.ports.log import RecoveryTarget
from ccdr.storage.synchronised import Synchronised

Reached = Callable[[str, Mapping[str, object]], None]


def _nobody(stage: str, facts: Mapping[str, object]) -> None: ...


@dataclass(frozen=True)
class Before:
    """How far an earlier try came that was killed or stopped: its run, the last stage that it told of (`fetched`,
    `loaded`, `checked`, `naming`), and by what its work is known again."""

    run: str
    stage: str | None = None
    token: Mapping[str, object] | None = None

    @property
    def past_fetching(self) -> bool:
        return self.stage not in (None, "begun")


@dataclass(frozen=True)
class Told:
    """What restic told whoever asked it for several assets at once, a moment ago: its version, this asset's part of
    what is there, and the log that is stored of it (None: nobody has asked)."""

    restic: str
    synchronised: Synchronised
    archive: LogArchive | None = None


@dataclass(frozen=True)
class Request:
    """What was asked for. `to` is a directory or a server's URL, or the home of a `new_server`; `others` are all plans
    that are known besides the asset's own: their sources must not be touched either. `unknown` are plans that
    could not be read.

    Of a recovery, which `goes_on` after whatever stops it: `before` is what an earlier try left, `reached` is told of
    each stage that need not be gone through again, right after it (`naming`: right before)."""

    to: str
    snapshot: str = "latest"
    at: RecoveryTarget | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    parts: tuple[str, ...] = ()  # of it these alone, by patterns
    onto_source_server: bool = False
    despite_failed_test: bool = False
    despite_failed_checks: bool = False
    despite_erasures: str | None = None  # why it is handed over though erased people may be in it
    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()
    goes_on: bool = False
    before: Before | None = None
    reached: Reached = _nobody
    new_server: NewServer | None = None
    makes: Path | None = None  # a directory above the target, which is made when the work begins
    told: Told | None = None  # else the repository is asked
    working: str | None = None  # names what is made ready, so that a later run finds it; the run's own id unless said

    @property
    def is_url(self) -> bool:
        return "://" in self.to
