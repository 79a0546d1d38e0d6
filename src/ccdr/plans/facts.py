"""What a plan promises, as facts of closed kinds: what a record of its version holds. Pure.

Names of assets and groups, durations in seconds, schedules, digests: nothing that a person wrote freely, no query and
no connection. Two sets of facts can be compared though the plans' files are gone (loosened.py), and a check can be
compared with another of its kind though nobody sees its text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

from msgspec import Meta

from ccdr.checks import AnyCheck
from ccdr.model.kinds import Count, Digest, NotToldHere, Owner, Seconds, Value, Word, about
from ccdr.model.schema import cron_of, zone_of
from ccdr.model.trouble import Severity
from ccdr.model.values import Objectives, source_digest
from ccdr.plans.deviation_rules import OWNER
from ccdr.plans.model import NOBODY, Approval, Copy, Plan, Repository, Retention

Schedule = Annotated[str, Meta(description="five cron fields, in the plan's zone", examples=["0 5 * * *"])]
Zone = Annotated[str, Meta(description="IANA's name of it", examples=["UTC"])]
Bounds = Mapping[str, float]


class CheckFacts(Value, frozen=True, gc=False):
    """One check: of its kind, and by digests (SHA-256 of canonical JSON); nothing of its text."""

    kind: Word
    fingerprint: Annotated[Digest, about("of all that it asks, but its name and what is left at its default")]
    subject: Annotated[Digest, about("of what it looks at, without its bounds")]
    floors: Annotated[dict[str, float], about("bounds of which more is stronger")] = {}
    ceilings: Annotated[dict[str, float], about("bounds of which less is stronger; what is in neither has none")] = {}

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


class RestoreTestFacts(Value, frozen=True, gc=False):
    """An asset's restore test."""

    schedule: Schedule
    rules: Annotated[tuple[str, ...], about("how snapshots are selected, in turn")]
    at: Annotated[str | None, about("`latest`: tests recover by the shipped log")] = None


class AssetFacts(Value, frozen=True, gc=False):
    """What a plan promises of one asset; null for what it has not."""

    engine: Word
    method: Word
    source: Annotated[Digest | None, about("SHA-256 of the source's name")]
    rpo: Seconds
    rto: Seconds
    settings: Literal["throwaway", "durable"]
    group: str | None = None
    backup: Schedule | None = None
    test: RestoreTestFacts | None = None
    shipping: Annotated[float | None, about("how often its log is stored, seconds")] = None
    checks: tuple[CheckFacts, ...] = ()
    settle: Annotated[Seconds | None, about("for how long what has changed is in no backup; null: nothing waits")] = (
        None
    )
    image: Annotated[str, about("what its sandbox runs; empty: the one for its version")] = ""
    control: Annotated[Schedule | None, about("when a damaged copy of it is tested, and must FAIL")] = None


class RepositoryFacts(Value, frozen=True, gc=False):
    """Where a plan's repository lies."""

    location: Annotated[Digest, about("SHA-256 of its address")]
    on_host: Annotated[bool, about("it is a path on the host that the plan was read on")]
    apart: Annotated[bool, about("its site is another than the source's, as the plan says")]
    lock_days: Annotated[Count, about("the Object Lock that the plan wants, days; 0: none")] = 0
    kept_locked: Annotated[Seconds, about("for how long what is in use is to stay locked; 0: it is not")] = 0.0


class CopyFacts(Value, frozen=True, gc=False):
    """One of a plan's copies."""

    schedule: Annotated[Schedule, about("when it is filled")]
    prune: Schedule
    check: Schedule
    parts: Annotated[Count, about("how many checks it takes to read all of it")]
    retention: Annotated[dict[str, float] | None, about("the rules that are stated; null: nothing is ever removed")]
    repository: RepositoryFacts
    test_every: Annotated[Count, about("after so many restore tests of an asset, one fetches from it")]


class ApprovalFacts(Value, frozen=True, gc=False):
    """Who is to approve the plan, and what else needs somebody's signature."""

    signers: Annotated[Digest, about("SHA-256 of the name of the file of signers")]
    review: Annotated[Seconds | None, about("how long an approval holds, seconds; null: until a day that is named")]
    second_factor: Annotated[bool, about("only a security key approves that knew its user")]
    recover: Annotated[bool, about("a recovery needs an approval of its own")]


class DeviationFacts(Value, frozen=True, gc=False):
    """How bad what went wrong is, and by when it is to be over."""

    severity: Annotated[dict[str, Severity], about("by code, where the plan says so")] = {}
    due: Annotated[dict[str, Seconds], about("how long after it was opened it is overdue, by how bad it is")] = {}


class PlanFacts(Value, frozen=True, kw_only=True, gc=False):
    """What a plan promises: names of assets and groups, durations in seconds, schedules, digests."""

    format: Literal[2]
    timezone: Zone
    mtd: Seconds | None
    retention: Annotated[dict[str, float] | None, about("the rules that are stated; null: nothing is ever removed")]
    prune: Schedule
    check: Schedule
    parts: Annotated[Count, about("how many checks it takes to read all of the repository")]
    assets: dict[str, AssetFacts]
    repository: RepositoryFacts
    told: Annotated[
        dict[str, Digest], about("who is told, by way: SHA-256 of the name of the file with the addresses")
    ] = {}
    copies: Annotated[dict[str, CopyFacts], about("further repositories that all of it is copied to")] = {}
    approval: Annotated[ApprovalFacts | None, about("null: nobody is to approve it")] = None
    clocks: Annotated[
        dict[str, float], about("what an incident has to be notified by: seconds, by the clock's name")
    ] = {}
    deviations: DeviationFacts = DeviationFacts()
    declarations: Annotated[dict[str, tuple[Owner, ...]], about("who may state what no tool can test, by item")] = {}
    risk_owner: Annotated[Owner | None, about("who alone may accept a risk; null: whoever may approve")] = None
    owner: Annotated[Owner | None, about("who answers for it; null: nobody, or more than one word")] = None

    def __post_init__(self) -> None:
        """What is due goes by these. NotToldHere for what this machine can tell no time by."""
        every = [self.prune, self.check]
        for of in self.assets.values():
            every += filter(None, (of.backup, of.test.schedule if of.test else None, of.control))
        for copy in self.copies.values():
            every += (copy.schedule, copy.prune, copy.check)
        try:
            zone_of(self.timezone)
            for cron in {*every}:
                cron_of(cron)
        except ValueError as error:
            raise NotToldHere(str(error)) from None

    def checks_of(self, asset: str | None) -> tuple[CheckFacts, ...] | None:
        """None where it has no such asset."""
        of = self.assets.get(asset) if asset is not None else None
        return of.checks if of else None

    def objectives(self, asset: str) -> Objectives:
        """KeyError where it has no such asset."""
        of = self.assets[asset]
        return Objectives(rpo=of.rpo, rto=of.rto, mtd=self.mtd)


def facts_of(plan: Plan, checks: Mapping[str, Sequence[AnyCheck]], clocks: dict[str, float]) -> PlanFacts:
    """Of a plan, each asset's checks, and the clocks of its incidents, which another file may say."""
    kept = plan.retention
    return PlanFacts(
        format=2,
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
            {str(code): bad for code, bad in plan.deviations.severity.items()}, plan.deviations.due.model_dump()
        ),
        declarations={str(item): names for item, names in plan.declarations.items()},
        risk_owner=plan.risk_owner,
        told={
            way: sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()
            for way in ("urls_file", "ping_file")
            if (path := getattr(plan.notify, way)) is not None
        },
        owner=plan.owner if plan.owner != NOBODY and OWNER.fullmatch(plan.owner) else None,
    )


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


def _rules(kept: Retention | None) -> dict[str, float] | None:
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
