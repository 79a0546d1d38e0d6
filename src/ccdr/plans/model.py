"""What a plan states: service, objectives, repository, retention and assets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ccdr.engines import AnyEngine
from ccdr.engines.base import ControlSettings, PlanLimits
from ccdr.model import values as model
from ccdr.model.schema import (
    AbsolutePath,
    Cron,
    Duration,
    Name,
    PlanPath,
    Strict,
    Text,
    WithPassword,
    Zone,
    parse_duration,
    zone_of,
)
from ccdr.model.values import DeclaredItem
from ccdr.plans.access import Access
from ccdr.plans.deviation_rules import OWNER, Deviations
from ccdr.plans.incident_clocks import PlanIncidents
from ccdr.plans.repository_url import repository_url
from ccdr.plans.runbook import RunbookState, Steps
from ccdr.plans.targets import Targets

NO_PROGRESS = 600.0
LOCK_WAIT = 30.0
SIGNERS = Path("/etc/ccdr/allowed_signers")  # who may approve, unless a plan names another file
NOBODY = "unknown"  # as an owner: a plan that nobody has put a name to yet
NIGHTLY = "30 6 * * *"  # when the package for a group is due: behind what a night does
LONGEST_SITE = 100  # characters of a site's name that records hold
Principal = Annotated[str, Field(pattern=f"^{OWNER.pattern}$")]  # a name of the file of signers
NO_PASSWORD = "has no password, expected password_file or password_command"  # noqa: S105


class PlanObjectives(Strict):
    """What the service needs (NIST SP 800-34)."""

    rpo: Duration = Field(description="how much of the newest data may be lost")
    rto: Duration = Field(description="how long a restore may take")
    mtd: Duration | None = Field(None, description="how long the service may be away before it is past saving")


class LockKept(Strict):
    """Object Lock of what is in use is pushed forward, day by day, by a credential of its own: packs that new snapshots
    refer to are as old as the first that held them."""

    keep: Duration = Field(description="for how long, from each day on, what is in use cannot be removed by anybody")
    env_file: PlanPath = Field(
        description="file of NAME=value lines: a credential that may list versions, and ask for and put retention; it "
        "lies on the host that extends alone"
    )


class Repository(WithPassword):
    """A restic repository, and where its password comes from."""

    url: Annotated[Text, AfterValidator(repository_url)] = Field(
        description="any restic repository: s3:, rest:, sftp:, b2:, azure:, gs:, swift:, rclone: or a path"
    )
    env_file: PlanPath | None = Field(None, description="file of NAME=value lines, for the store's credentials")
    site: Text | None = Field(None, description="where this copy lies")
    object_lock: Duration | None = Field(
        None,
        description="s3: a bucket that ccdr makes locks each version for so many days (COMPLIANCE); none unless said",
    )
    fast_key: bool = Field(
        True,
        description="a password that ccdr made gets a second key, which opens in a tenth of a second",
    )
    lock: LockKept | None = Field(None, description="s3: have the Object Lock of what is in use pushed forward")

    @property
    def lock_days(self) -> int | None:
        return None if self.object_lock is None else math.ceil(self.object_lock / 86400)

    @property
    def location(self) -> str:
        """What restic is given; a path is absolute."""
        return self.url

    @property
    def is_local(self) -> bool:
        return self.url.startswith("/")

    @model_validator(mode="after")
    def _some_password(self) -> Self:
        if self.password_file is None and self.password_command is None:
            raise ValueError(NO_PASSWORD)
        return self

    @model_validator(mode="after")
    def _locks_in_a_bucket(self) -> Self:
        if self.lock is not None and not self.url.startswith("s3:"):
            raise ValueError("has `lock:`, and only buckets lock objects: expected a url that begins with s3:")
        return self


class Retention(Strict):
    """How long snapshots stay. Counted rules alone can be tricked by planted snapshots: prefer keep_within."""

    keep_within: Duration | None = Field(None, description="every snapshot that is younger than this")
    keep_last: int | None = Field(None, ge=1, description="so many of the newest good ones of each asset")
    keep_hourly: int | None = Field(
        None, ge=1, description="the newest good one of each of so many hours that have one"
    )
    keep_daily: int | None = Field(None, ge=1, description="the newest good one of each of so many days that have one")
    keep_weekly: int | None = Field(
        None, ge=1, description="the newest good one of each of so many weeks that have one"
    )
    keep_monthly: int | None = Field(
        None, ge=1, description="the newest good one of each of so many months that have one"
    )
    keep_yearly: int | None = Field(
        None, ge=1, description="the newest good one of each of so many years that have one"
    )
    longest_hold: Duration = Field(
        90 * 86400.0, description="a snapshot whose time is up and that is still held for longer is a finding"
    )

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not any(self.model_dump(exclude={"longest_hold"}).values()):
            raise ValueError("keeps nothing, expected keep_within or another keep_ rule")
        return self


class Upkeep(Strict):
    """When `ccdr run` looks after the repository: what retention lets go is removed, what stays is read."""

    prune: Cron = Field("0 5 * * 0", description="when snapshots past their retention are removed")
    check: Cron = Field("0 6 * * *", description="when a part of the repository's data is read and verified")
    parts: int = Field(30, ge=1, le=256, description="how many checks it takes to read all of the data")


class Copy(Repository):
    """A second repository, at another site: what the plan's own holds is copied there, log and ledger with it."""

    schedule: Cron = Field(description="when what is new is copied there")
    retention: Retention | None = Field(None, description="which snapshots stay there; the plan's unless said")
    upkeep: Upkeep | None = Field(None, description="when it is looked after; as the plan's own unless said")
    test_every: int = Field(
        7,
        ge=1,
        le=1000,
        description="after so many restore tests of an asset, one restores it from this copy, too; and after the first",
    )


def _review(text: str) -> str:
    try:
        if _DAY.fullmatch(text):
            date.fromisoformat(text)  # ValueError: as of the 31st of February
        else:
            parse_duration(text)
    except ValueError:
        raise ValueError("is no duration and no day, expected one like 365d or 2027-11-01") from None
    return text


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Approval(Strict):
    """Somebody else is to sign this plan, each version of it, and what removes backups out of turn."""

    signers: PlanPath = Field(
        SIGNERS, description="OpenSSH's allowed_signers: who may approve; root's, and writable by nobody else"
    )
    review: Annotated[Text, AfterValidator(_review)] = Field(
        "365d",
        description="when an approved version is looked at again: after so long (365d), or by a day (2027-11-01)",
    )
    second_factor: bool = Field(
        False, description="only a security key approves whose signature says that it knew its user (a PIN, a finger)"
    )
    recover: bool = Field(False, description="`ccdr recover` and `ccdr restore` need an approval, too")
    approved_by: Text | None = Field(None, description="a note for people: who did; only a signature counts")
    approved: Text | None = Field(None, description="a note for people: when")

    @property
    def review_after(self) -> timedelta | None:
        """How long an approval holds; None where a day is named."""
        return None if _DAY.fullmatch(self.review) else timedelta(seconds=parse_duration(self.review))

    def review_by(self, approved: datetime) -> datetime:
        """When a version that was approved then is to be looked at again: to the end of a day that is named, UTC."""
        if (after := self.review_after) is not None:
            return (approved + after).replace(microsecond=0)
        return datetime.combine(date.fromisoformat(self.review), time(), UTC) + timedelta(days=1)


class Notify(Strict):
    """Who is told, once per state and not per run. The URLs may hold passwords, so they stand in files."""

    urls_file: PlanPath | None = Field(None, description="file of Apprise URLs, one a line: mailto://…, slack://…")
    ping_file: PlanPath | None = Field(
        None, description="file whose first line is a URL that is asked after every `ccdr run` in which all went well"
    )
    remind: Duration = Field(86400.0, description="how long until what is still wrong is told again")


@dataclass(frozen=True)
class LimitsInForce:
    """An asset's limits with the plan's and the built-in defaults filled in: bytes per second, seconds."""

    upload: int | None
    download: int | None
    no_progress: float
    lock_wait: float


def for_recovery(data: Any) -> Any:
    """A plan file's data, with what a plan for recovery alone need not state: what only backups are judged by."""
    if isinstance(data, dict) and data.get("recovery_only") is True:
        nobody = {"service": data.get("plan"), "owner": NOBODY, "objectives": {"rpo": "3650d", "rto": "3650d"}}
        return {**nobody, **data}
    return data


class GroupPackage(Strict):
    """A package of this plan's evidence, written by `ccdr run` once a night, for people who need nothing of root's."""

    directory: AbsolutePath = Field(
        description="where it lies: apart from all that plans name, below directories of root's; what is there and was "
        "not written by ccdr stays, and is a trouble"
    )
    group: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="the Unix group that may read it")


class Plan(Strict):
    """One service's backups, restore tests and objectives."""

    plan: Name = Field(description="the file's name without .yaml")
    service: Text = Field(description="the service that its assets make up; reports name it")
    owner: Text = Field(description="who answers for it")
    objectives: PlanObjectives = Field(description="what the service needs; an asset may state its own")
    timezone: Zone = Field("UTC", description="the zone of its schedules")
    site: Text | None = Field(None, description="where the source stands")
    tenant: Name = Field("default", description="whose data it is, where one centre works for several clients")
    repository: Repository = Field(description="where the backups are stored")
    ledger_repository: Repository | None = Field(
        None,
        description="where this host's ledger is stored in place of `repository`; needed where its plans are of more "
        "than one tenant, for it tells of all of them",
    )
    retention: Retention | None = Field(None, description="which snapshots stay; without it none is ever removed")
    upkeep: Upkeep = Field(Upkeep(), description="when the repository is looked after")
    negative_control: ControlSettings | None = Field(
        None,
        description="when a damaged copy of each asset with a restore test is tested, and must FAIL; never unless said",
    )
    copies: dict[Name, Copy] = Field({}, description="further repositories, by name, that all of it is copied to")
    notify: Notify = Field(Notify(), description="who is told when something is wrong")
    limits: PlanLimits = Field(PlanLimits(), description="defaults for the assets' limits")
    ignore: tuple[Text, ...] = Field(
        (), description="databases (by name) and directories (by path) that need no backup: `ccdr discover` is silent"
    )
    recovery_only: Literal[True] | None = Field(
        None,
        description="`true`: it takes no backups, and need not state `service`, `owner` and `objectives`; `ccdr "
        "bootstrap` makes such a plan where the repository holds none",
    )
    approval: Approval | None = Field(
        None, description="somebody else approves each version of this plan, and what removes backups out of turn"
    )
    access: Access = Field(Access(), description="the credential of each role at the store of the repository")
    incidents: PlanIncidents = Field(
        PlanIncidents(), description="what has to be notified after an incident, and as what"
    )
    declarations: dict[DeclaredItem, Annotated[tuple[Principal, ...], Field(min_length=1)]] = Field(
        {},
        description="who may state what no tool can test, by item: names as the file of signers has them. Of an item "
        "that it does not name, whoever may approve the plan, where it has `approval:`",
    )
    risk_owner: Principal | None = Field(
        None,
        description="who alone may accept the risk of what went wrong, as the file of signers has the name; without it "
        "whoever may approve the plan",
    )
    deviations: Deviations = Field(
        Deviations(), description="how bad what went wrong is, and by when it is to be over; reports tell of it"
    )
    package: GroupPackage | None = Field(
        None, description="a package of its evidence that `ccdr run` writes once a night, for a Unix group"
    )
    targets: Targets = Field({}, description="where `ccdr recover` brings each asset, by its name")
    runbook: Steps = Field(
        {}, description="the steps of an emergency, by name; without it `ccdr runbook` makes one from the plan"
    )
    runbook_state: RunbookState | None = Field(
        None, description="a bucket in which the runbook's state lies as well, so that another host can go on"
    )
    assets: Annotated[dict[Name, AnyEngine], Field(min_length=1)] = Field(
        description="what is backed up, by name: each a database, a server or a tree of files"
    )

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.timezone)

    @property
    def seen_from(self) -> str | None:
        """The copy whose repository stands in for the plan's own (`copies.seen_from`); None: the plan is as it is."""
        return next((name for name, copy in self.copies.items() if copy is self.repository), None)

    @property
    def copy_facts(self) -> dict[str, Any]:
        """For records: which copy of the data it is about, and where that lies."""
        site = self.repository.site
        return {"copy": self.seen_from or model.PRIMARY, "site": site and site[:LONGEST_SITE]}

    @property
    def untargeted(self) -> bool:
        """Is there an asset of which it does not say where it is brought?"""
        return any(asset not in self.targets for asset in self.assets)

    def tenant_of(self, asset: str | None) -> str:
        """The asset's own tenant, the plan's where it states none, or where it is about no asset alone."""
        own = self.assets[asset].tenant if asset is not None else None
        return own or self.tenant

    def objectives_of(self, asset: str) -> model.Objectives:
        """The asset's own objectives, the plan's where it states none."""
        own = self.assets[asset].objectives
        return model.Objectives(
            rpo=own.rpo or self.objectives.rpo, rto=own.rto or self.objectives.rto, mtd=self.objectives.mtd
        )

    def control_of(self, asset: str) -> ControlSettings | None:
        """The asset's own negative control, the plan's where it states none: only of what has a restore test."""
        own = self.assets[asset]
        return (own.negative_control or self.negative_control) if own.restore_test else None

    def limits_of(self, asset: str) -> LimitsInForce:
        """The asset's own limits, the plan's where it states none, then the built-in ones."""
        own, plan = self.assets[asset].limits, self.limits
        return LimitsInForce(
            upload=own.upload or plan.upload,
            download=own.download or plan.download,
            no_progress=own.no_progress or plan.no_progress or NO_PROGRESS,
            lock_wait=own.lock_wait or plan.lock_wait or LOCK_WAIT,
        )
