"""What a plan promised and does not any more: the loosenings from one version to the next. Pure.

Only what is less than before is told; what is more, or the same in other words, is not. Where nobody can tell which of
two is less (another query, another source), the change itself is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ccdr.plans.deviation_rules import SEVERITIES, due_within, severity_of
from ccdr.plans.due import how_often, same_times
from ccdr.plans.facts import ApprovalFacts, AssetFacts, Bounds, CheckFacts, DeviationFacts, PlanFacts
from ccdr.plans.versions import PlanRevision

Value = float | str | None
_BY_VERSION = "for its version"  # an image, where the plan names none


class Code(StrEnum):
    """Stable: programs may name them."""

    RPO_LONGER = "RPO_LONGER"
    RTO_LONGER = "RTO_LONGER"
    MTD_LONGER = "MTD_LONGER"
    PLAN_GONE = "PLAN_GONE"
    ASSET_GONE = "ASSET_GONE"
    SOURCE_CHANGED = "SOURCE_CHANGED"
    BACKUP_RARER = "BACKUP_RARER"
    BACKUP_UNSCHEDULED = "BACKUP_UNSCHEDULED"
    TEST_RARER = "TEST_RARER"
    TEST_UNSCHEDULED = "TEST_UNSCHEDULED"
    CONTROL_RARER = "CONTROL_RARER"  # the test of the restore tests, by a damaged copy
    CONTROL_UNSCHEDULED = "CONTROL_UNSCHEDULED"
    PRUNE_RARER = "PRUNE_RARER"
    CHECK_RARER = "CHECK_RARER"  # of the repository
    PARTS_SMALLER = "PARTS_SMALLER"  # each check of the repository reads less of it
    TIMEZONE_CHANGED = "TIMEZONE_CHANGED"
    RULE_GONE = "RULE_GONE"  # by which a test's snapshot was chosen
    CHECK_GONE = "CHECK_GONE"  # of what was restored
    CHECK_WEAKER = "CHECK_WEAKER"
    CHECK_REPLACED = "CHECK_REPLACED"
    SETTINGS_EASIER = "SETTINGS_EASIER"
    LOG_RARER = "LOG_RARER"
    LOG_UNSHIPPED = "LOG_UNSHIPPED"
    GROUP_LEFT = "GROUP_LEFT"
    RETENTION_SHORTER = "RETENTION_SHORTER"
    HOLD_LONGER = "HOLD_LONGER"
    SETTLE_LONGER = "SETTLE_LONGER"
    IMAGE_CHANGED = "IMAGE_CHANGED"  # of the sandbox that a restore test runs in
    REPOSITORY_CHANGED = "REPOSITORY_CHANGED"
    REPOSITORY_NEARER = "REPOSITORY_NEARER"  # it lies where the source does, and did not
    OBJECT_LOCK_SHORTER = "OBJECT_LOCK_SHORTER"  # what is stored is locked for fewer days, or not at all
    LOCK_KEPT_SHORTER = "LOCK_KEPT_SHORTER"  # what is in use is kept locked for less time, or not at all
    COPY_GONE = "COPY_GONE"  # one of the plan's copies is not filled any more
    COPY_CHANGED = "COPY_CHANGED"  # … it is another repository
    COPY_RARER = "COPY_RARER"
    COPY_RETENTION_SHORTER = "COPY_RETENTION_SHORTER"
    COPY_TESTED_RARER = "COPY_TESTED_RARER"
    APPROVAL_GONE = "APPROVAL_GONE"  # nobody is to approve the plan any more
    APPROVAL_CHANGED = "APPROVAL_CHANGED"  # who may is another file
    APPROVAL_WEAKER = "APPROVAL_WEAKER"  # it holds for longer, or asks for less
    INCIDENT_CLOCK_GONE = "INCIDENT_CLOCK_GONE"  # an incident has not to be notified by it any more
    INCIDENT_CLOCK_LONGER = "INCIDENT_CLOCK_LONGER"
    DEVIATIONS_MILDER = "DEVIATIONS_MILDER"  # what went wrong counts as less bad than it did
    DEVIATIONS_LATER = "DEVIATIONS_LATER"  # … or is to be over later
    DECLARERS_GONE = "DECLARERS_GONE"  # whoever may approve states it
    DECLARERS_CHANGED = "DECLARERS_CHANGED"  # … or somebody who was not to
    RISK_OWNER_GONE = "RISK_OWNER_GONE"  # whoever may approve accepts a risk
    RISK_OWNER_CHANGED = "RISK_OWNER_CHANGED"
    NOTIFY_GONE = "NOTIFY_GONE"
    NOTIFY_CHANGED = "NOTIFY_CHANGED"


@dataclass(frozen=True)
class Loosening:
    """`before` and `after` are seconds, counts, schedules or names, by the code; None for what was not, or is no more.
    `item` is what of the asset it is about: a check's kind, a rule, a bound, a rule of retention; `fingerprint` tells
    which check."""

    code: Code
    asset: str | None
    before: Value
    after: Value
    item: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class PlanChange:
    """One version, which one it took the place of, and what it does not promise any more. `keys` names what differs;
    None where a version's files are not at hand. `unapproved_s`: for how long it was in force within the period
    and nobody had approved it; None where nobody is to."""

    before: PlanRevision | None
    after: PlanRevision
    loosenings: tuple[Loosening, ...]
    keys: tuple[str, ...] | None = None
    unapproved_s: float | None = None


def changes(
    versions: Sequence[PlanRevision],
    start: datetime,
    end: datetime,
    unapproved: Callable[[PlanRevision, datetime, datetime], float | None],
) -> list[PlanChange]:
    """Of one plan's versions those that took another's place within a period, in order, what loosened nothing among
    them; and whichever was in force unapproved within it: for how long, from when to when, says `unapproved`."""
    found = []
    for before, after, then in zip((None, *versions), versions, (*versions[1:], None), strict=False):
        since, until = max(start, after.at), end if then is None else min(end, then.at)
        seconds = unapproved(after, since, until) if since < until else None
        if seconds or (before is not None and start <= after.at < end):
            less = () if before is None else tuple(loosened(before.facts, after.facts))
            found.append(PlanChange(before, after, less, unapproved_s=seconds))
    return found


def loosened(before: PlanFacts, after: PlanFacts) -> list[Loosening]:
    """In the order in which they stand in a plan."""
    if not after.assets:  # as it is recorded that a plan is no more: a plan has an asset
        return [Loosening(Code.PLAN_GONE, None, len(before.assets), None)] if before.assets else []
    loosenings = [*_of_plan(before, after)]
    for name, was in before.assets.items():
        now = after.assets.get(name)
        loosenings += [Loosening(Code.ASSET_GONE, name, was.engine, None)] if now is None else _of_asset(name, was, now)
    return loosenings


def _of_plan(before: PlanFacts, after: PlanFacts) -> Iterator[Loosening]:
    yield from _longer(Code.MTD_LONGER, None, before.mtd, after.mtd)
    if any(not same_times(cron, before.timezone, after.timezone) for cron in _schedules(before)):
        yield Loosening(Code.TIMEZONE_CHANGED, None, before.timezone, after.timezone)
    yield from _rarer(Code.PRUNE_RARER, None, before.prune, after.prune)
    yield from _rarer(Code.CHECK_RARER, None, before.check, after.check)
    if after.parts > before.parts:
        yield Loosening(Code.PARTS_SMALLER, None, before.parts, after.parts)
    yield from _retention(before, after)
    yield from _repository(before, after)
    yield from _copies(before, after)
    yield from _approval(before.approval, after.approval)
    yield from _clocks(before.clocks, after.clocks)
    yield from _deviations(before.deviations, after.deviations)
    for item, names in before.declarations.items():
        may = after.declarations.get(item, ())
        if not may or not {*may} <= {*names}:
            code = Code.DECLARERS_CHANGED if may else Code.DECLARERS_GONE
            yield Loosening(code, None, ", ".join(names), ", ".join(may) or None, item)
    if before.risk_owner not in (None, after.risk_owner):
        code = Code.RISK_OWNER_CHANGED if after.risk_owner else Code.RISK_OWNER_GONE
        yield Loosening(code, None, before.risk_owner, after.risk_owner)
    for way, name in before.told.items():
        if (now := after.told.get(way)) != name:
            yield Loosening(Code.NOTIFY_CHANGED if now else Code.NOTIFY_GONE, None, name, now, way)


def _repository(before: PlanFacts, after: PlanFacts) -> Iterator[Loosening]:
    """Another one has none of the snapshots that there were."""
    was, now = before.repository, after.repository
    if was.location != now.location:
        yield Loosening(Code.REPOSITORY_CHANGED, None, was.location, now.location)
    if now.on_host and not was.on_host:
        yield Loosening(Code.REPOSITORY_NEARER, None, "another machine", "the host itself", "on_host")
    if was.apart and not now.apart:
        yield Loosening(Code.REPOSITORY_NEARER, None, "another site", "no other site", "apart")
    if now.lock_days < was.lock_days:
        yield Loosening(Code.OBJECT_LOCK_SHORTER, None, was.lock_days, now.lock_days or None)
    if now.kept_locked < was.kept_locked:
        yield Loosening(Code.LOCK_KEPT_SHORTER, None, was.kept_locked, now.kept_locked or None)


def _approval(was: ApprovalFacts | None, now: ApprovalFacts | None) -> Iterator[Loosening]:
    """By a day that is named nobody can tell how long an approval holds."""
    if was is None:
        return
    if now is None:
        yield Loosening(Code.APPROVAL_GONE, None, None, None)
        return
    if was.signers != now.signers:
        yield Loosening(Code.APPROVAL_CHANGED, None, was.signers, now.signers)
    if was.review is not None and now.review is not None and now.review > was.review:
        yield Loosening(Code.APPROVAL_WEAKER, None, was.review, now.review, "review within")
    for item in ("second_factor", "recover"):
        if getattr(was, item) and not getattr(now, item):
            yield Loosening(Code.APPROVAL_WEAKER, None, "true", "false", item)


def _clocks(was: Bounds, now: Bounds) -> Iterator[Loosening]:
    """`item` is the clock's name: it may be gone as the plan's role is another."""
    for name, within in was.items():
        if name not in now:
            yield Loosening(Code.INCIDENT_CLOCK_GONE, None, within, None, name)
        elif now[name] > within:
            yield Loosening(Code.INCIDENT_CLOCK_LONGER, None, within, now[name], name)


def _deviations(was: DeviationFacts, now: DeviationFacts) -> Iterator[Loosening]:
    """`item` is the code, or how bad it is. What is not stated is as it comes with ccdr."""
    for code in sorted({*was.severity, *now.severity}):
        old, new = severity_of(code, was.severity), severity_of(code, now.severity)
        if SEVERITIES.index(new) > SEVERITIES.index(old):
            yield Loosening(Code.DEVIATIONS_MILDER, None, old, new, code)
    for severity in SEVERITIES:
        before, after = due_within(severity, was.due), due_within(severity, now.due)
        if after > before:
            yield Loosening(Code.DEVIATIONS_LATER, None, before, after, severity)


def _copies(before: PlanFacts, after: PlanFacts) -> Iterator[Loosening]:
    """`item` is the copy's name."""
    for name, was in before.copies.items():
        now = after.copies.get(name)
        if now is None:
            yield Loosening(Code.COPY_GONE, None, was.repository.location, None, name)
            continue
        if was.repository.location != now.repository.location:
            yield Loosening(Code.COPY_CHANGED, None, was.repository.location, now.repository.location, name)
        yield from (replace(one, item=name) for one in _rarer(Code.COPY_RARER, None, was.schedule, now.schedule))
        if any(one.code is Code.RETENTION_SHORTER for one in _kept(was.retention, now.retention)):
            yield Loosening(Code.COPY_RETENTION_SHORTER, None, None, None, name)
        if now.test_every > was.test_every:
            yield Loosening(Code.COPY_TESTED_RARER, None, was.test_every, now.test_every, name)


def _retention(before: PlanFacts, after: PlanFacts) -> Iterator[Loosening]:
    yield from _kept(before.retention, after.retention)


def _kept(was: Bounds | None, now: Bounds | None) -> Iterator[Loosening]:
    """Without retention nothing is ever removed: nothing keeps longer."""
    if now is None:
        return
    for rule in sorted({*(was or {}), *now}):
        old, new = None if was is None else was.get(rule, 0.0), now.get(rule, 0.0)
        if rule == "longest_hold":
            if old is not None and new > old:
                yield Loosening(Code.HOLD_LONGER, None, old, new)
        elif old is not None and new < old:
            yield Loosening(Code.RETENTION_SHORTER, None, old, new or None, rule)
    if was is None:
        yield Loosening(Code.RETENTION_SHORTER, None, None, None)


def _of_asset(name: str, was: AssetFacts, now: AssetFacts) -> Iterator[Loosening]:
    yield from _longer(Code.RPO_LONGER, name, was.rpo, now.rpo)
    yield from _longer(Code.RTO_LONGER, name, was.rto, now.rto)
    if was.source != now.source:
        yield Loosening(Code.SOURCE_CHANGED, name, was.source, now.source)
    if was.group is not None and was.group != now.group:
        yield Loosening(Code.GROUP_LEFT, name, was.group, now.group)
    if was.backup is not None and now.backup is None:
        yield Loosening(Code.BACKUP_UNSCHEDULED, name, was.backup, None)
    yield from _rarer(Code.BACKUP_RARER, name, was.backup, now.backup)
    if was.shipping is not None:
        if now.shipping is None:
            yield Loosening(Code.LOG_UNSHIPPED, name, was.shipping, None)
        yield from _longer(Code.LOG_RARER, name, was.shipping, now.shipping or 0.0)
    if was.settle is not None:
        yield from _longer(Code.SETTLE_LONGER, name, was.settle, now.settle or 0.0)
    if was.image != now.image:
        yield Loosening(Code.IMAGE_CHANGED, name, was.image or _BY_VERSION, now.image or _BY_VERSION)
    if was.settings == "durable" and now.settings != "durable":
        yield Loosening(Code.SETTINGS_EASIER, name, was.settings, now.settings)
    yield from _of_test(name, was, now)


def _of_test(name: str, was: AssetFacts, now: AssetFacts) -> Iterator[Loosening]:
    if was.test is not None:
        if now.test is None:
            yield Loosening(Code.TEST_UNSCHEDULED, name, was.test.schedule, None)
        else:
            yield from _rarer(Code.TEST_RARER, name, was.test.schedule, now.test.schedule)
            gone = [rule for rule in was.test.rules if rule not in now.test.rules]
            yield from (Loosening(Code.RULE_GONE, name, rule, None, rule) for rule in gone)
            if was.test.at is not None and now.test.at is None:
                yield Loosening(Code.RULE_GONE, name, "at", None, "at")
    if was.control is not None and now.control is None:
        yield Loosening(Code.CONTROL_UNSCHEDULED, name, was.control, None)
    yield from _rarer(Code.CONTROL_RARER, name, was.control, now.control)
    yield from _of_checks(name, was.checks, now.checks)


def _of_checks(name: str, was: Sequence[CheckFacts], now: Sequence[CheckFacts]) -> Iterator[Loosening]:
    """A check that none covers any more: of the same subject it has become weaker; where there is a new one of its kind
    it was replaced, as far as anybody can tell; else it is gone."""
    new = [check for check in now if all(check.fingerprint != old.fingerprint for old in was)]
    for old in was:
        if any(check.covers(old) for check in now):
            continue
        same = [check for check in now if (check.kind, check.subject) == (old.kind, old.subject)]
        if same:
            yield from _weaker(name, old, same[0])
        elif other := next((check for check in new if check.kind == old.kind), None):
            yield Loosening(Code.CHECK_REPLACED, name, old.fingerprint, other.fingerprint, old.kind, old.fingerprint)
        else:
            yield Loosening(Code.CHECK_GONE, name, old.kind, None, old.kind, old.fingerprint)


def _weaker(name: str, old: CheckFacts, new: CheckFacts) -> Iterator[Loosening]:
    for bound, least in old.floors.items():
        if (value := new.floors.get(bound)) is None or value < least:
            yield Loosening(Code.CHECK_WEAKER, name, least, value, f"{old.kind} {bound}", old.fingerprint)
    for bound, most in old.ceilings.items():
        if (value := new.ceilings.get(bound)) is None or value > most:
            yield Loosening(Code.CHECK_WEAKER, name, most, value, f"{old.kind} {bound}", old.fingerprint)


def _longer(code: Code, asset: str | None, was: float | None, now: float | None) -> Iterator[Loosening]:
    """None is no bound at all."""
    if was is not None and (now is None or now > was):
        yield Loosening(code, asset, was, now)


def _rarer(code: Code, asset: str | None, was: str | None, now: str | None) -> Iterator[Loosening]:
    if was is None or now is None or was == now:
        return
    (count, gap), (fewer, wider) = how_often(was), how_often(now)
    if fewer < count or wider > gap:
        yield Loosening(code, asset, was, now)


def _schedules(facts: PlanFacts) -> Iterable[str]:
    crons = [facts.prune, facts.check, *(copy.schedule for copy in facts.copies.values())]
    for asset in facts.assets.values():
        crons += [cron for cron in (asset.backup, asset.test and asset.test.schedule, asset.control) if cron]
    return dict.fromkeys(crons)
