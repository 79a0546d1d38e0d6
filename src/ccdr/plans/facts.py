"""What a plan promises, as facts of closed kinds: what a record of its version holds. Pure.

Names of assets and groups, durations in seconds, schedules, digests: nothing that a person wrote freely, no query and
no connection. Two sets of facts can be compared though the plans' files are gone (loosened.py), and a check can be
compared with another of its kind though nobody sees its text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from ccdr.checks import AnyCheck
from ccdr.host.state_files import made_of
from ccdr.model.values import DeclaredItem, Objectives, source_digest
from ccdr.plans.deviation_rules import OWNER
from ccdr.plans.model import NOBODY, Approval, Copy, Plan, Repository, Retention

FORMAT = 2  # of the facts; raised when a key changes its meaning

Bounds = Mapping[str, float]


@dataclass(frozen=True)
class CheckFacts:
    """One check. `fingerprint` is of all that it asks, `subject` of what it looks at: without its bounds, which are in
    `floors` (more is stronger) and `ceilings` (less is). What is in neither has no bound. Both are SHA-256 of canonical
    JSON, without the check's name, and without what is left at its default."""

    kind: str
    fingerprint: str
    subject: str
    floors: Bounds = field(default_factory=dict)
    ceilings: Bounds = field(default_factory=dict)

    def covers(self, other: CheckFacts) -> bool:
        """Does it look at the same, at least as strictly?"""
        if self.fingerprint == other.fingerprint:
            return True
        if (self.kind, self.subject) != (other.kind, other.subject):
            return False
        floors = all(name in self.floors and self.floors[name] >= least for name, least in other.floors.items())
        return floors and all(
            name in self.ceilings and self.ceilings[name] <= most for name, most in other.ceilings.items()
        )


@dataclass(frozen=True)
class RestoreTestFacts:
    """An asset's restore test. `at`: tests of the latest recover by the shipped log."""

    schedule: str
    rules: tuple[str, ...]
    at: str | None = None


@dataclass(frozen=True)
class AssetFacts:
    """Seconds; `backup` is its schedule, `shipping` how often its log is stored, `control` when a damaged copy is
    tested; None for what it has not. `source` is a digest of what is captured, as records of backups have it. `settle`
    is for how long what has changed is in no backup, `image` what its sandbox runs ("" where the plan names none)."""

    engine: str
    method: str
    source: str | None
    rpo: float
    rto: float
    settings: str
    group: str | None = None
    backup: str | None = None
    test: RestoreTestFacts | None = None
    shipping: float | None = None
    checks: tuple[CheckFacts, ...] = ()
    settle: float | None = None
    image: str = ""
    control: str | None = None


@dataclass(frozen=True)
class RepositoryFacts:
    """`location` is a digest of where it lies, `on_host`: a path on this host; `apart`: its site is another than the
    source's, as the plan says. `lock_days`: for how long the plan wants what is stored locked against whoever holds the
    key, `kept_locked` for how long (seconds) what is in use, 0 where it does not."""

    location: str
    on_host: bool
    apart: bool
    lock_days: int = 0
    kept_locked: float = 0.0


@dataclass(frozen=True)
class CopyFacts:
    """One of a plan's copies: when it is filled and looked after, what stays there, where it lies."""

    schedule: str
    prune: str
    check: str
    parts: int
    retention: Bounds | None
    repository: RepositoryFacts
    test_every: int


@dataclass(frozen=True)
class ApprovalFacts:
    """Who approves the plan: `signers` is a digest of the file's name, `review` seconds, None where a day is named."""

    signers: str
    review: float | None
    second_factor: bool
    recover: bool


@dataclass(frozen=True)
class DeviationFacts:
    """How bad a deviation is, by its code, where the plan says so; and how long after it was opened it is overdue, by
    how bad it is: seconds."""

    severity: Mapping[str, str]
    due: Bounds


@dataclass(frozen=True)
class PlanFacts:
    """`retention` has the rules that are stated, durations in seconds; None where nothing is ever removed. `prune` and
    `check` are schedules, `parts` how many checks it takes to read all of the repository. `told` has, by each way in
    which people or programs are told, a digest of the file's name that holds the addresses. `clocks` are what an
    incident has to be notified by, each with its seconds. `owner` answers for it, None where that is more than one
    word: a record holds no free text. `deviations` is what the plan states of how bad they are and by when they are to
    be over. `declarations` has who may state what no tool can test, by item, `risk_owner` who may
    accept a risk; None: whoever may approve."""

    timezone: str
    mtd: float | None
    retention: Bounds | None
    prune: str
    check: str
    parts: int
    assets: Mapping[str, AssetFacts]
    repository: RepositoryFacts
    told: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, CopyFacts] = field(default_factory=dict)
    approval: ApprovalFacts | None = None
    clocks: Bounds = field(default_factory=dict)
    deviations: DeviationFacts = DeviationFacts({}, {})
    declarations: Mapping[DeclaredItem, tuple[str, ...]] = field(default_factory=dict)
    owner: str | None = None
    risk_owner: str | None = None

    def objectives(self, asset: str) -> Objectives:
        """KeyError where it has no such asset."""
        of = self.assets[asset]
        return Objectives(rpo=of.rpo, rto=of.rto, mtd=self.mtd)

    def as_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def facts_of(plan: Plan, checks: Mapping[str, Sequence[AnyCheck]], clocks: Bounds) -> PlanFacts:
    """Of a plan, each asset's checks, and the clocks of its incidents, which another file may say."""
    kept = plan.retention
    return PlanFacts(
        timezone=plan.timezone,
        mtd=plan.objectives.mtd,
        retention=_rules(kept),
        prune=_cron(plan.upkeep.prune),
        check=_cron(plan.upkeep.check),
        parts=plan.upkeep.parts,
        assets={name: _asset(plan, name, checks[name]) for name in plan.assets},
        repository=_repository(plan, plan.repository),
        copies={name: _copy(plan, copy) for name, copy in plan.copies.items()},
        approval=_approval(plan.approval),
        clocks=clocks,
        deviations=DeviationFacts(
            {str(code): str(bad) for code, bad in plan.deviations.severity.items()}, plan.deviations.due.model_dump()
        ),
        declarations=plan.declarations,
        risk_owner=plan.risk_owner,
        told={
            way: sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()
            for way in ("urls_file", "ping_file")
            if (path := getattr(plan.notify, way)) is not None
        },
        owner=plan.owner if plan.owner != NOBODY and OWNER.fullmatch(plan.owner) else None,
    )


def facts_from(body: Mapping[str, Any]) -> PlanFacts:
    """The inverse of `as_json`; ValueError for what is none, or is of a newer format."""
    if body.get("format") != FORMAT:
        raise ValueError(f"facts of format {body.get('format')}, this ccdr reads format {FORMAT}")
    return made_of(body, PlanFacts)


def check_facts(check: AnyCheck) -> CheckFacts:
    stated = check.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for aside in check.asides:
        stated.pop(aside, None)
    floors, ceilings = _measured(check, check.floors), _measured(check, check.ceilings)
    subject = {key: value for key, value in stated.items() if not _is_bound(check, key)}
    return CheckFacts(check.kind, _digest(stated), _digest(subject), floors, ceilings)


def same_or_stronger(later: Iterable[CheckFacts], before: Iterable[CheckFacts]) -> bool:
    """Is all that was asked before still asked, at least as strictly?"""
    now = tuple(later)
    return all(any(check.covers(was) for check in now) for was in before)


def mended(failed: Iterable[CheckFacts], later: Iterable[CheckFacts], kinds: Iterable[str] = ()) -> bool:
    """Does a test with the checks `later`, which passed, take back the failure of one with the checks `failed`? Else
    what failed is no longer checked. `kinds` are those of the checks that failed; none: the test failed before any
    check, so that all of them are still to be shown."""
    wanted = frozenset(kinds)
    return same_or_stronger(later, [check for check in failed if not wanted or check.kind in wanted])


def _asset(plan: Plan, name: str, checks: Iterable[AnyCheck]) -> AssetFacts:
    engine, wanted = plan.assets[name], plan.objectives_of(name)
    test, shipping = engine.restore_test, engine.shipping
    return AssetFacts(
        engine=engine.engine_name,
        method=str(engine.method),
        source=source_digest(engine.source_name),
        rpo=wanted.rpo,
        rto=wanted.rto,
        settings=engine.settings,
        group=engine.group,
        backup=_cron(engine.backup.schedule) if engine.backup else None,
        test=RestoreTestFacts(_cron(test.schedule), test.snapshot, test.at) if test else None,
        shipping=shipping.interval if shipping else None,
        checks=tuple(map(check_facts, checks)),
        settle=engine.settle_time,
        image=engine.image or "",
        control=_cron(control.schedule) if (control := plan.control_of(name)) else None,
    )


def _rules(kept: Retention | None) -> Bounds | None:
    return None if kept is None else {k: float(v) for k, v in kept.model_dump(exclude_none=True).items()}


def _approval(it: Approval | None) -> ApprovalFacts | None:
    if it is None:
        return None
    name = sha256(it.signers.name.encode("utf-8", "surrogateescape")).hexdigest()
    after = it.review_after
    return ApprovalFacts(name, None if after is None else after.total_seconds(), it.second_factor, it.recover)


def _copy(plan: Plan, copy: Copy) -> CopyFacts:
    care = copy.upkeep or plan.upkeep
    return CopyFacts(
        _cron(copy.schedule),
        _cron(care.prune),
        _cron(care.check),
        care.parts,
        _rules(copy.retention or plan.retention),
        _repository(plan, copy),
        copy.test_every,
    )


def _repository(plan: Plan, it: Repository) -> RepositoryFacts:
    where = sha256(it.location.encode("utf-8", "surrogateescape")).hexdigest()
    apart = None not in (plan.site, it.site) and plan.site != it.site
    return RepositoryFacts(where, it.is_local, apart, it.lock_days or 0, it.lock.keep if it.lock else 0.0)


def _is_bound(check: AnyCheck, key: str) -> bool:
    return any(bound.split(".")[0] == key for bound in (*check.floors, *check.ceilings))


def _measured(check: AnyCheck, names: Iterable[str]) -> dict[str, float]:
    """The bounds that are stated, or a default. A word for a number (`any`) is no bound."""
    values: dict[str, float] = {}
    for name in names:
        value: Any = check
        for part in name.split("."):
            value = getattr(value, part)
        if isinstance(value, int | float):
            values[name] = float(value)
    return values


def _cron(text: str) -> str:
    return " ".join(text.split())


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


def checks_from(bodies: object) -> tuple[CheckFacts, ...]:
    """An asset's checks, as a record has them. ValueError for what is none."""
    return made_of(bodies, tuple[CheckFacts, ...])
