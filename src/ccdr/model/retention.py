"""How long snapshots stay: the plan's rules, resolved to single snapshots. Pure: values in, values out.

The counted rules are restic's (`restic forget`), but by consistent point, in the plan's time zone, and only good
snapshots count, so that bad or planted ones push none out. `keep_within` counts back from now, not from the newest
snapshot: it is a promise to delete. What the rules let go may be held all the same: the last good snapshot, the
last one proven by a restore test, and everything while a finding is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, tzinfo

from ccdr.model import parents as chain
from ccdr.model.values import Snapshot

LAST_GOOD, LAST_PROVEN = "the last good one", "the last one that a restore test has proven"


@dataclass(frozen=True)
class Policy:
    """A plan's rules; None where it states none. Durations are seconds."""

    keep_within: float | None = None
    keep_last: int | None = None
    keep_hourly: int | None = None
    keep_daily: int | None = None
    keep_weekly: int | None = None
    keep_monthly: int | None = None
    keep_yearly: int | None = None
    longest_hold: float = 90 * 86400.0

    @classmethod
    def of(cls, rules: Mapping[str, float]) -> Policy:
        """As a version's record has them; a later ccdr's rules are not known here."""
        return cls(**{one.name: rules[one.name] for one in fields(cls) if one.name in rules})  # type: ignore[arg-type]

    @property
    def counts(self) -> bool:
        """Is there a rule whose end depends on other snapshots?"""
        return any((self.keep_last, self.keep_hourly, self.keep_daily, self.keep_weekly)) or any(
            (self.keep_monthly, self.keep_yearly)
        )


@dataclass(frozen=True)
class AssetSnapshots:
    """What there is of one asset. A snapshot stands in one place only.

    `good` may be restored; `others` do not count, by why (disproved, of another source …); `kept` are never let go,
    by why. `proven` are ids that a restore test has passed, `open` the findings open on the asset, `held_since` when
    an earlier prune first held a snapshot by id.
    """

    good: tuple[Snapshot, ...] = ()
    others: Mapping[str, tuple[Snapshot, ...]] = field(default_factory=dict)
    kept: Mapping[str, tuple[Snapshot, ...]] = field(default_factory=dict)
    proven: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    held_since: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """Whether a snapshot stays, and why. `held_since` is set where no rule keeps it but something holds it: when
    its time was up. `overdue`: that was longer ago than the plan's longest hold."""

    snapshot: Snapshot
    keep: bool
    why: tuple[str, ...]
    held_since: datetime | None = None
    overdue: bool = False


def decide(standing: AssetSnapshots, policy: Policy, now: datetime, zone: tzinfo) -> list[Decision]:
    """One decision for each snapshot, by consistent point, oldest first."""
    # One that does not count pushes no good one out, and stays as long as a good one of its age would.
    rules = kept_by_rules(
        [*standing.good, *(s for group in standing.others.values() for s in group)], policy, now, zone
    )
    rules |= {s.id: () for s in standing.good} | kept_by_rules(standing.good, policy, now, zone)
    protected: dict[str, tuple[str, ...]] = {}
    good = sorted(standing.good, key=_age)
    if good:
        protected[good[-1].id] = (LAST_GOOD,)
    if proven := [s for s in good if s.id in standing.proven]:
        protected[proven[-1].id] = (*protected.get(proven[-1].id, ()), LAST_PROVEN)
    decisions = []
    for what, group in [(None, standing.good), *standing.others.items()]:
        note = () if what is None else (what,)
        for snapshot in group:
            why, holds = rules.get(snapshot.id, ()), (*protected.get(snapshot.id, ()), *standing.open)
            if why:
                decisions.append(Decision(snapshot, True, (*note, *why)))
            elif holds:
                decisions.append(_held(snapshot, (*note, *holds), policy, now, standing.held_since))
            else:
                decisions.append(Decision(snapshot, False, (*note, "no rule keeps it")))
    decisions += [Decision(s, True, (why,)) for why, group in standing.kept.items() for s in group]
    decisions = _with_bases(decisions, policy, now, standing.held_since)
    return sorted(decisions, key=lambda d: _age(d.snapshot))


def _with_bases(
    decisions: Sequence[Decision], policy: Policy, now: datetime, held_since: Mapping[str, datetime]
) -> list[Decision]:
    """What a kept increment builds upon stays for as long as it does."""
    needed = chain.needed_by(d.snapshot for d in decisions if d.keep)

    def stays(d: Decision) -> Decision:
        if (by := needed.get(d.snapshot.id)) is None:
            return d
        why = f"snapshot {by.short} depends on it"
        if d.keep:
            return replace(d, why=(*d.why, why))
        return _held(d.snapshot, (*d.why[:-1], why), policy, now, held_since)

    return [stays(d) for d in decisions]


def _held(
    snapshot: Snapshot, why: tuple[str, ...], policy: Policy, now: datetime, held_since: Mapping[str, datetime]
) -> Decision:
    since = held_since.get(snapshot.id, now)
    if policy.keep_within is not None and not policy.counts:  # then its end does not depend on others
        since = snapshot.consistent_point + timedelta(seconds=policy.keep_within)
    overdue = now - since > timedelta(seconds=policy.longest_hold)
    return Decision(snapshot, True, why, since, overdue)


def kept_by_rules(
    snapshots: Iterable[Snapshot], policy: Policy, now: datetime, zone: tzinfo, *, oldest: bool = True
) -> dict[str, tuple[str, ...]]:
    """By id, the rules that keep a snapshot; those that none keeps are left out.

    `oldest`: as with restic, the oldest of all is kept while a counted rule is not used up.
    """
    newest_first = sorted(snapshots, key=_age, reverse=True)
    why: dict[str, list[str]] = {}
    if policy.keep_within is not None:
        for s in newest_first:
            if now - s.consistent_point <= timedelta(seconds=policy.keep_within):
                why.setdefault(s.id, []).append("keep_within")
    for rule, period in _PERIODS.items():
        left, last = getattr(policy, rule) or 0, None
        for number, s in enumerate(newest_first):
            this = period(s.consistent_point.astimezone(zone), number)
            is_oldest = oldest and number == len(newest_first) - 1
            if left and (this != last or is_oldest):
                why.setdefault(s.id, []).append(rule)
                left, last = left - 1, this
    return {id_: tuple(rules) for id_, rules in why.items()}


def expired(snapshots: Sequence[Snapshot], policy: Policy, now: datetime, zone: tzinfo) -> frozenset[str]:
    """Ids that the rules alone would let go by now, as another host may judge that has not seen all of them."""
    kept = kept_by_rules(snapshots, policy, now, zone, oldest=False)
    return frozenset(s.id for s in snapshots) - kept.keys()


def leapt(good: Iterable[Snapshot], policy: Policy, rpo: float) -> float | None:
    """Seconds from the newest good snapshot but one to the newest, where these lie so far apart that `keep_within`
    would let go of all but that one, and much further than was meant (`rpo`, seconds): a clock that was set forward
    looks like that, for one backup. None where they do not."""
    points = sorted(s.consistent_point for s in good)
    if policy.keep_within is None or len(points) < 2:
        return None
    apart = (points[-1] - points[-2]).total_seconds()
    return apart if apart > max(policy.keep_within, 2 * rpo) else None


def _age(snapshot: Snapshot) -> tuple[datetime, datetime, str]:
    return snapshot.consistent_point, snapshot.usable_at, snapshot.id


# What two snapshots of the same period have in common. An hour that a clock set back repeats is two hours.
_PERIODS: Mapping[str, Callable[[datetime, int], object]] = {
    "keep_last": lambda when, number: number,
    "keep_hourly": lambda when, number: (when.date(), when.hour, when.utcoffset()),
    "keep_daily": lambda when, number: when.date(),
    "keep_weekly": lambda when, number: when.isocalendar()[:2],
    "keep_monthly": lambda when, number: (when.year, when.month),
    "keep_yearly": lambda when, number: when.year,
}
