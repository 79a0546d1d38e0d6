"""What a restore was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccdr.plans import LoadedPlan
from ccdr.plans.targets import NewServer
from ccdr.ports.log import RecoveryTarget


@dataclass(frozen=True)
class Request:
    """What was asked for. `to` is a directory or a server's URL, or the home of a `new_server`; `others` are all plans
    that are known besides the asset's own: their sources must not be touched either. `unknown` are plans that
    could not be read."""

    to: str
    snapshot: str = "latest"
    at: RecoveryTarget | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    onto_source_server: bool = False
    despite_failed_test: bool = False
    despite_failed_checks: bool = False
    others: tuple[LoadedPlan, ...] = ()
    unknown: tuple[str, ...] = ()
    new_server: NewServer | None = None
    working: str | None = None  # names what is made ready, so that a later run finds it; the run's own id unless said

    @property
    def is_url(self) -> bool:
        return "://" in self.to
