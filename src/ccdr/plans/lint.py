"""Lint: what is well-formed and still will not do. Reported, and never stops a backup or a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

from cronsim import CronSim

from ccdr.checks import AnyCheck
from ccdr.checks.reconcile import Reconcile
from ccdr.engines import EngineConfig
from ccdr.host.nearby import DISK, near
from ccdr.model.schema import Strict, zone_of
from ccdr.model.values import human_seconds
from ccdr.plans.access import RoleCredential
from ccdr.plans.deviation_rules import OWNER
from ccdr.plans.model import NOBODY, Plan, Repository
from ccdr.plans.repository_url import bucket_of
from ccdr.plans.yamlfile import Where, YamlProblem

_START = datetime(2026, 1, 1)
_HORIZON = timedelta(days=3660)
PUBLIC = ("ca_file", "cert_file")  # files that a plan names and anybody may read


def lint(plan: Plan, checks: Mapping[str, tuple[AnyCheck, ...]], line: Callable[[Where], int]) -> Iterator[YamlProblem]:
    """Each finding says what to do."""
    for name, asset in plan.assets.items():
        for below, message in (*_backups(plan, name, asset), *_tests(plan, asset, checks.get(name, ()))):
            where = ("assets", name, *below)
            yield YamlProblem(line(where), where, message)
    for where, message in _plan(plan):
        yield YamlProblem(line(where), where, message)
    for where, path in secret_files(plan):
        if elsewhere_too(where) and not path.exists():
            continue
        if fault := open_secret(path):
            yield YamlProblem(line(where), where, fault)


RECOVERY_ONLY = (
    "makes it a plan for recovery alone, and refuses backups: state service, owner and objectives, how each source is "
    "reached (connection), schedules and retention, then remove it"
)


def _plan(plan: Plan) -> Iterator[tuple[Where, str]]:
    if plan.recovery_only:
        yield ("recovery_only",), RECOVERY_ONLY
        return  # that its repository grows, or lies near, is of plans that take backups
    if plan.owner == NOBODY:
        yield ("owner",), "names nobody: write who answers for the service, a name or an address of work"
    elif not OWNER.fullmatch(plan.owner):
        yield (
            ("owner",),
            "is more than one word, which no record holds, so what goes wrong has no owner: write a login, or an "
            "address like dba@example.com",
        )
    if plan.retention is None:
        yield (
            ("repository",),
            "keeps growing, and so does the personal data in it: without `retention:` ccdr prunes nothing; add"
            " retention: {keep_within: 35d}, or longer",
        )
    if plan.site is not None and plan.site == plan.repository.site:
        yield (
            ("repository", "site"),
            f"is {plan.site}, like the source's, so one failure destroys both: keep the repository, or a copy of "
            f"it, elsewhere",
        )
    others: dict[str, Repository] = {"the plan's own repository": plan.repository}
    for name, copy in plan.copies.items():
        for what, other in others.items():
            if fault := _together(copy, other, what):
                yield ("copies", name, *fault[0]), fault[1]
        others[f"the copy {name}"] = copy


def _together(copy: Repository, other: Repository, what: str) -> tuple[Where, str] | None:
    """Why one failure destroys both."""
    both, move = "so one failure destroys both", "name one at another site"
    if copy.location.rstrip("/") == other.location.rstrip("/"):
        return ("url",), f"is that of {what}: {move}"
    if copy.site is not None and copy.site == other.site:
        return ("site",), f"is {copy.site}, like that of {what}, {both}: {move}"
    bucket = bucket_of(copy.location)
    if bucket is not None and bucket == bucket_of(other.location):
        return ("url",), f"lies in the bucket of {what}, {both}: {move}"
    local = copy.is_local and other.is_local
    if local and near(Path(copy.location), [Path(other.location)], on_this_host=True) == DISK:
        return ("url",), f"lies on the disk of {what}, {both}: {move}"
    return None


def reach(plan: Plan, asset: EngineConfig) -> float | None:
    """How old the oldest snapshot is that retention surely keeps of an asset whose backups succeed, in seconds;
    None where nothing is removed, or (keep_last without a schedule) nothing can be said."""
    kept = plan.retention
    if kept is None:
        return None
    spans = [kept.keep_within or 0.0]
    # The oldest of n kept of n units stands at least n - 1 units back.
    units = {"hourly": 3600, "daily": 86400, "weekly": 7 * 86400, "monthly": 28 * 86400, "yearly": 365 * 86400}
    spans += [((getattr(kept, f"keep_{unit}") or 1) - 1) * seconds for unit, seconds in units.items()]
    if kept.keep_last is not None:
        if asset.backup is None:
            return None
        spans.append((kept.keep_last - 1) * narrowest_gap(asset.backup.schedule, plan.timezone))
    return max(spans)


def _backups(plan: Plan, name: str, asset: EngineConfig) -> Iterator[tuple[Where, str]]:
    if asset.group and [a.group for a in plan.assets.values()].count(asset.group) == 1:
        yield (
            ("group",),
            f"is {asset.group}, and no other asset is in it: give the same group to the assets that belong together",
        )
    if asset.backup is None:
        yield (), "has no backup schedule, so `ccdr run` never backs it up: add backup: {schedule: …}"
        return
    rpo = plan.objectives_of(name).rpo
    if (settle := asset.settle_time) is not None and rpo < settle:
        yield (
            ("settle",),
            f"leaves out what changed within the last {human_seconds(settle)}, so the RPO of {human_seconds(rpo)} "
            f"cannot be"
            " met: state a shorter settle time, or an RPO that is true",
        )
    if asset.shipping is not None:
        if rpo <= asset.shipping.interval:
            yield (
                ("log_shipping", "interval"),
                f"stores the log every {human_seconds(asset.shipping.interval)}, and storing it takes some seconds, so"
                f" the RPO of {human_seconds(rpo)} cannot be met: store it twice as often, or set a realistic RPO",
            )
        return
    gap = widest_gap(asset.backup.schedule, plan.timezone)
    if rpo < gap:
        yield (
            ("backup", "schedule"),
            f"leaves up to {human_seconds(gap)} between backups, so the RPO of {human_seconds(rpo)} cannot be met:"
            " back up more often, or set a realistic RPO",
        )


def _tests(plan: Plan, asset: EngineConfig, checks: tuple[AnyCheck, ...]) -> Iterator[tuple[Where, str]]:
    test = asset.restore_test
    if test is None:
        yield (), "has no restore test, so its backups are never proven: add restore_test: {schedule: …, checks: […]}"
        return
    if not checks:
        yield ("restore_test",), "has no checks, and without checks nothing passes: name a restore test with checks"
    elif not any(check.kind == "identical" for check in checks):
        yield (
            ("restore_test", "checks"),
            "never compare what was restored with what was captured: add the check {kind: identical}",
        )
    for check in checks:
        yield from _too_far_apart(plan, asset, check)
        if asset.shipping is not None and isinstance(check, Reconcile) and "time" not in check.columns:
            yield (
                ("restore_test", "checks"),
                f"compare rows that say no time with {check.beside}, and the log brings rows back that are newer than "
                "its backup: none of them can be told from a loss; have the query give a time, named in `columns:`",
            )
    for other in dict.fromkeys(check.beside for check in checks if check.beside):
        if asset.group is None or plan.assets[other].group != asset.group:
            yield (
                ("restore_test", "checks"),
                f"compare it with {other}, but the two are not captured together: give both the same group",
            )
    if test.at and "latest" not in test.snapshot:
        yield (
            ("restore_test", "snapshot"),
            "does not name latest, which is what `at:` recovers by the log: add it, or leave at: out",
        )
    keep, rules = reach(plan, asset), len(test.snapshot)
    gap = widest_gap(test.schedule, plan.timezone) * rules
    if keep is not None and keep < gap:
        between = "tests" if rules == 1 else f"tests by the same one of {rules} rules"
        yield (
            ("restore_test", "schedule"),
            f"leaves up to {human_seconds(gap)} between {between}, while retention keeps snapshots for"
            f" {human_seconds(keep)}: test more often, or keep snapshots longer",
        )


def _too_far_apart(plan: Plan, asset: EngineConfig, check: AnyCheck) -> Iterator[tuple[Where, str]]:
    """Can the two that are compared lie further apart than the check allows, by their schedules?"""
    within, other = getattr(check, "within", None), plan.assets.get(check.beside or "")
    test = asset.restore_test
    together = asset.group is not None and other is not None and other.group == asset.group
    if test is None or within is None or other is None or (together and not test.at):
        return
    if other.backup is None:
        yield (
            ("restore_test", "checks"),
            f"want {check.beside}'s backup within {human_seconds(within)}, and {check.beside} has no backup schedule:"
            " give both assets the same group and schedule",
        )
        return
    gap = widest_gap(other.backup.schedule, plan.timezone)
    if gap > within:
        reached = "what `at:` recovers" if test.at else "this asset's backup"
        yield (
            ("restore_test", "checks"),
            f"want {reached} and {check.beside}'s within {human_seconds(within)}, and up to {human_seconds(gap)}"
            f" lie between two backups of {check.beside}: back that up more often, or widen `within:`",
        )


def secret_files(model: Strict, where: Where = ()) -> Iterator[tuple[Where, Path]]:
    """Every file that holds a secret: passwords of any engine, the repository's environment, addresses to tell. Of the
    roles' credentials only those that lie here: the others are on other hosts, and nowhere else."""
    if isinstance(model, RoleCredential) and not model.here:
        return
    for field in type(model).model_fields:
        value = getattr(model, field)
        if field.endswith("_file") and field not in PUBLIC and isinstance(value, Path):
            yield (*where, field), value
        elif isinstance(value, Strict):
            yield from secret_files(value, (*where, field))
        elif isinstance(value, dict | tuple):
            for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(entry, Strict):
                    yield from secret_files(entry, (*where, field, key))


def elsewhere_too(where: Where) -> bool:
    """A file that lies on one host alone, whichever of those that act by the plan it is."""
    return where[-2:] == ("lock", "env_file")


def open_secret(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"names {path}, which does not exist: create it with mode 0600"
    except OSError as error:
        return f"names {path}, which cannot be looked at ({error.strerror}): run as a user who can, or move it"
    if not path.is_file():
        return f"names {path}, which is not a file: name one"
    if mode & 0o077:
        return f"names {path}, which other users can read (mode {mode & 0o777:04o}): chmod 600 {path}"
    return None


def open_to_others(path: Path) -> str | None:
    """How a secret that is there can be read by others, and what to do; None where it cannot, or is not there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return f"other users can read it (mode {mode & 0o777:04o}): chmod 600 {path}" if mode & 0o077 else None


@lru_cache(maxsize=4096)
def widest_gap(schedule: str, timezone: str) -> float:
    """The longest time between two occurrences in seconds, daylight saving included.

    From some 400 occurrences one after the other, and from the last of one day to the first of the next on some
    400 days on which it comes due: a schedule of many times a day has its widest gap at a weekend.
    """
    zone = zone_of(timezone)
    times = list(islice(_until_horizon(CronSim(schedule, _START.replace(tzinfo=zone))), 400))
    minute, hour, *days = schedule.split()
    field = CronSim(f"{minute} {hour} * * *", _START)
    first, last = (time(f(field.hours), f(field.minutes)) for f in (min, max))
    edges: list[datetime] = []
    for day in islice(_until_horizon(CronSim(" ".join(["0", "0", *days]), _START - timedelta(days=1))), 400):
        edges += [datetime.combine(day, first, zone), datetime.combine(day, last, zone)]
    gaps = [b - a for a, b in pairwise(t.astimezone(UTC) for t in times)]
    gaps += [b - a for a, b in pairwise(t.astimezone(UTC) for t in edges)][1::2]
    return max((gap.total_seconds() for gap in gaps), default=_HORIZON.total_seconds())


@lru_cache(maxsize=4096)
def narrowest_gap(schedule: str, timezone: str) -> float:
    """The shortest time between two occurrences in seconds, from the first 400 or so."""
    zone = zone_of(timezone)
    times = list(islice(_until_horizon(CronSim(schedule, _START.replace(tzinfo=zone))), 400))
    gaps = [b - a for a, b in pairwise(t.astimezone(UTC) for t in times)]
    return min((gap.total_seconds() for gap in gaps), default=_HORIZON.total_seconds())


def _until_horizon(occurrences: CronSim) -> Iterator[datetime]:
    for when in occurrences:
        if when.replace(tzinfo=None) > _START + _HORIZON:
            return
        yield when
