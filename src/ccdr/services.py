"""What the use-cases are handed: one asset's job, and the rooms it is done with."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccdr.catalogue import Catalogue
from ccdr.checks import AnyCheck
from ccdr.credentials import SHORTEST, env_file, password
from ccdr.digests import Digest
from ccdr.engines import AnyEngine
from ccdr.history import AssetHistory, Histories, histories
from ccdr.interfaces import Clock
from ccdr.ledger import Ledger
from ccdr.model import Objectives, rfc3339
from ccdr.plans import LimitsInForce, LoadedPlan
from ccdr.proc import Host
from ccdr.sandbox.lab import Lab
from ccdr.state import State
from ccdr.storage.restic import Restic


@dataclass(frozen=True)
class Job:
    """One asset of one plan."""

    loaded: LoadedPlan
    asset: str

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def engine(self) -> AnyEngine:
        return self.loaded.plan.assets[self.asset]

    @property
    def objectives(self) -> Objectives:
        return self.loaded.plan.objectives_of(self.asset)

    @property
    def limits(self) -> LimitsInForce:
        return self.loaded.plan.limits_of(self.asset)

    @property
    def checks(self) -> tuple[AnyCheck, ...]:
        """In the order they run: first those that must see the data untouched."""
        return tuple(sorted(self.loaded.checks[self.asset], key=lambda c: c.rank))


@dataclass(frozen=True)
class Trigger:
    """What a run was begun by: a person's (or script's) command, or the schedule, for a due time."""

    due: datetime | None = None

    def body(self) -> dict[str, object]:
        return {"by": "command"} if self.due is None else {"by": "run", "due": rfc3339(self.due)}


BY_HAND = Trigger()


@dataclass(frozen=True)
class Services:
    clock: Clock
    state: State
    ledger: Ledger
    catalogue: Catalogue
    lab: Lab
    host: Host

    @property
    def digest(self) -> Digest:
        return Digest(self.host)

    def repository(self, loaded: LoadedPlan, limits: LimitsInForce, *, gentle: bool = False) -> Restic:
        """The plan's repository, ready to be asked. UsageProblem where a secret cannot be had. `gentle` is for a
        source's host; what is measured runs at full speed."""
        settings = loaded.plan.repository
        secret = password(settings, self.host, what="repository", shortest=SHORTEST)
        env = env_file(settings.env_file) if settings.env_file else {}
        if settings.password_file is not None:
            env["RESTIC_PASSWORD_FILE"] = str(settings.password_file.absolute())
        elif settings.password_command is not None:
            env["RESTIC_PASSWORD_COMMAND"] = shlex.join(settings.password_command)
        hidden = tuple(v for k, v in env.items() if "SECRET" in k or "KEY" in k or "TOKEN" in k)
        return Restic(
            location=settings.location,
            env=env,
            cache=self.state.directory("cache"),
            host=self.host.with_(secrets=(secret or "", *hidden), no_progress=limits.no_progress, gentle=gentle),
            upload_limit=limits.upload,
            download_limit=limits.download,
            lock_wait=limits.lock_wait,
        )

    def histories(self) -> Histories:
        """What the ledger says of each asset."""
        return histories(self.ledger, self.state.root / "history.json")

    def history(self, job: Job) -> AssetHistory:
        """What the ledger says of this asset."""
        return self.histories().get((job.plan, job.asset), AssetHistory())

    def write_credentials(self, job: Job, directory: Path) -> None:
        """The source's password as the files its client wants, mode 0600."""
        source = job.engine.secret()
        secret = password(source, self.host, what=f"{job.asset}: connection") if source else None
        if secret is None:
            return
        for name, text in job.engine.credentials(secret).items():
            path = directory / name
            path.touch(mode=0o600)
            path.write_text(text, "utf-8")
