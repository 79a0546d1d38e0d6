"""What people are told of each trouble, as who is called at three in the morning reads it: from pasts, by the rules that
`ccdr run` tells by."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.logs import ships
from tests.support.wording import lines_with

from ccdr.evidence.log_standing import LogStanding
from ccdr.run.ending import our_own
from ccdr.telling.notify import concerns_of
from ccdr.telling.notify.message import Message, compose
from ccdr.telling.notify.state import NotificationState

STORED = {"id": "f" * 64, "consistent_point": "2026-11-23T12:00:00Z", "bytes": 1, "manifest_sha256": "0" * 64}
END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REMIND = DAY
PLAN = """
crm:
  engine: files
  paths: [/spool]
  group: centre
  backup: {schedule: "0 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
idle:
  engine: files
  paths: [/idle]
  group: centre
  backup: {schedule: "0 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
log:
  engine: postgres
  method: physical
  log_shipping: {interval: 60s}
  backup: {schedule: "0 1 * * *"}
  connection: {host: /nowhere, user: postgres, database: postgres}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("night"), bare=True)
    made.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    made.plan(PLAN, extra='retention: {keep_last: 3}\nupkeep: {prune: "0 5 * * *", check: "0 6 * * 0"}\n')
    return made


@dataclass
class Night:
    """A host, and who is told: `told` gives what an address gets at that hour, None where there is no news."""

    site: Site
    past: Chronicle = field(default_factory=lambda: Chronicle(END, ""))
    state: NotificationState = field(default_factory=NotificationState)
    standing: LogStanding | None = None
    only: tuple[str | None, ...] = ()  # whose troubles are told

    def of(self, asset: str) -> Chronicle:
        """The past goes on with this asset."""
        self.past.asset = asset
        self.past.source = str(self.site.loaded().plan.assets[asset].source_name)
        return self.past

    def told(self, hours: float) -> Message | None:
        loaded, now = self.site.loaded(), self.past.at(hours)
        shutil.rmtree(self.site.state, ignore_errors=True)
        services = self.site.services(Clock(now))
        self.past.keep(services.state.ledger, services.catalogue)
        if self.standing is not None:
            at = self.standing
            point, usable = (moment and min(moment, now) for moment in (at.point, at.usable))
            ships(services, "p", "log", replace(at, point=point, usable=usable))
        ours = our_own([loaded], services)
        concerns = [c for c in concerns_of(ours.assets, ours.upkeep) if not self.only or c.asset in self.only]
        self.state.observe(concerns, list(loaded.plan.assets), now, whole=True,
                          elsewhere=[key for _, key in ours.elsewhere])  # fmt: skip
        news = self.state.news("a", now, REMIND)
        if not news:
            return None
        message = compose(loaded, news, now, known=self.state.entries.values())
        self.state.accept("a", news, now)
        return message

    def well(self, *, until: float = -24.0, assets: tuple[str, ...] = ("crm", "idle", "log")) -> Night:
        """All was backed up and has passed by then."""
        for asset in assets:
            past = self.of(asset)
            past.stored(until - 1, f"{asset}-good", usable=until - 0.99)
            past.tested(until - 0.9, f"{asset}-good", begun=True, took=60.0)
        self.past.checked(until - 0.8)
        self.past.pruned(until - 0.7)
        return self


@pytest.fixture
def night(site: Site) -> Night:
    return Night(site)


Before = Callable[[Night], object]


def failed(hours: float, why: str = "/spool is not there", asset: str = "crm", **more: Any) -> Before:
    return lambda n: n.of(asset).failed(hours, why, **more)


def stored(hours: float, name: str, **more: Any) -> Before:
    return lambda n: n.of("crm").stored(hours, name, **more)


def tested(hours: float, name: str | None, verdict: str, **more: Any) -> Before:
    return lambda n: n.of("crm").tested(hours, name, verdict, begun=True, **more)


def wrote(hours: float, kind: str, asset: str | None = "crm", **body: Any) -> Before:
    def tell(n: Night) -> None:
        n.of("crm")
        n.past.wrote(hours, kind, asset=asset, **body)

    return tell


def stands(**more: Any) -> Before:
    """How the shipping of a log does."""
    point = {"since": "000000010000000000000001", "position": "0/3", "point": END + 20 * DAY, "usable": END + 20 * DAY}
    return lambda n: setattr(n, "standing", LogStanding(**{**point, **more}))


FALLEN = [{"kind": "rows", "name": "call has rows", "status": "FAIL", "expected": "1", "actual": "0"}]
AWAY = "there is no repository at /mnt/backup"
# What happened, of which asset it is told at which hour: the subject, and what the body says must be done first.
SUBJECTS: dict[str, tuple[list[Before], str | None, float, str, str]] = {
    "the source is gone": (
        [failed(-23)], "crm", -22.9,
        "crm backup FAILED: /spool is not there (+1 more)", "`ccdr doctor p` looks for the cause",
    ),
    "the source is gone, and a test finds no newer backup": (
        [failed(-23), failed(-9.1), tested(-9, "crm-good", "FAIL", own="PASS", newer_failed=True)], "crm", -8.9,
        "crm backup FAILED: /spool is not there (+2 more)", "`ccdr doctor p` looks for the cause",
    ),
    "the repository is gone": (
        [failed(-23, AWAY, repository="missing"), tested(-22.95, None, "INCONCLUSIVE", repository="missing")], "crm", -22.9,
        "crm repository NOT THERE (+3 more)", "ccdr doctor p   looks at the repository",
    ),
    "the repository does not open": (
        [failed(-23, "it does not open", repository="closed")], "crm", -22.9,
        "crm repository does NOT OPEN (+2 more)", "ccdr doctor p   looks at the repository",
    ),
    "a check of a restore failed": (
        [tested(-23, "crm-good", "FAIL", checks=FALLEN)], "crm", -22.9,
        "crm restore test FAILED: call has rows (+2 more)", "ccdr backup p --asset crm && ccdr test p --asset crm   ends this trouble once it passes",
    ),
    "a test broke": (
        [tested(-24.3, "crm-good", "INCONCLUSIVE", reason="Docker does not answer")], "crm", -24.2,
        "crm restore test INCONCLUSIVE: Docker does not answer", "ccdr doctor p; ccdr test p --asset crm",
    ),
    "a secret is gone": (
        [wrote(-22, "not_begun", verb="backup", due="2026-11-23T14:00:00Z", reason="plans/x.pw is not there")], "crm", -21.9,
        "crm backup could not start: plans/x.pw is not there (+2 more)", "ccdr plan check p; ccdr doctor p",
    ),
    "cron is dead": (
        [], "crm", -12,
        "crm backup OVERDUE since 2026-11-23 13:00 UTC (+1 more)", "ccdr run --dry-run   on its host",
    ),
    "a log is not shipped": (
        [stands(point=END - DAY, usable=END - DAY, trouble="the server at /nowhere does not answer",
                troubled=END - 20 * HOUR)], "log", -12,
        "log log NOT SHIPPED since 2026-11-23 16:00 UTC: the server at /nowhere does not answer (+2 more)",
        "ccdr doctor p   on its host looks for the cause; then ccdr ship p --asset log",
    ),
    "nothing was ever done": (
        [], "idle", -12, "idle never backed up (+1 more)", "ccdr backup p --asset idle   takes the first one now",
    ),
    "a restore for real crashed": (
        [lambda n: n.of("crm").began(-24.3, "restore", "rr", target={"kind": "directory", "name": "/srv/r"})], "crm", -24.2,
        "crm restore CRASHED", "remove /srv/.r.ccdr-restore-rr (or /srv/r/.ccdr-restore-rr, on a mount), if it is still there",
    ),
    "it takes too long": (
        [tested(-24.3, "crm-good", "PASS", took=7200.0)], "crm", -24.2,
        "crm RTO BREACHED: 2h 00m of 30m 00s", "restore faster (",
    ),
    "a group is not whole": (
        [wrote(-24.3, "group", None, group="centre", result="INCOMPLETE", complete=False, skew_s=None, missing=["idle"],
               members={})], "crm", -24.2,
        "crm group INCOMPLETE: there is no snapshot of idle", "ccdr doctor p   looks for the cause; then ccdr backup p",
    ),
    "a backup has found something": (
        [stored(-24.3, "found", findings=["2 files were in use"])], "crm", -24.2,
        "crm finding: 2 files were in use", "",
    ),
    "its log has a gap": (
        [stands(gap="log is missing between 3 and 5", point=END - 24.2 * HOUR)], "log", -24.2,
        "log log has a GAP", "ccdr backup p --asset log   takes a new base",
    ),
    "a check found damage": (
        [wrote(-24.3, "check.end", None, result="DAMAGED", part=1, parts=1)], None, -24.2,
        "repository DAMAGED", "ccdr test p --snapshot latest   shows whether the newest snapshot is whole",
    ),
    "a check broke": (
        [wrote(-24.3, "check.end", None, result="INCONCLUSIVE", part=1, parts=1, reason="no answer")], None, -24.2,
        "check INCONCLUSIVE: no answer", "ccdr doctor p; ccdr upkeep p --check",
    ),
    "a prune failed": (
        [wrote(-24.3, "prune.end", None, result="FAILED", removed=[], reason="it is locked")], None, -24.2,
        "prune FAILED: it is locked", "ccdr doctor p; ccdr upkeep p --prune",
    ),
    "nobody looks after a repository": (
        [], None, 24 * 13, "prune OVERDUE since 2026-11-25 05:00 UTC (+1 more)", "ccdr upkeep p --prune   does it now",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SUBJECTS)
def test_a_subject_names_the_cause_and_since_when_and_the_body_what_to_do(night: Night, what: str) -> None:
    before, asset, hours, subject, step = SUBJECTS[what]
    night.only = (asset,)
    night.well(assets=("log",) if asset == "log" else () if asset == "idle" else ("crm",))
    for tell in before:
        tell(night)
    message = night.told(hours)
    assert message is not None and message.subject == f"ccdr: p: {subject}", message
    steps = [line for line in message.body.splitlines() if line.startswith("  next: ")]
    assert not step or steps[0].startswith(f"  next: {step}"), message.body
    assert len(steps) == len(set(steps)), "each step once"


def test_what_follows_later_from_what_was_told_names_that(night: Night, wording: SnapshotAssertion) -> None:
    """A day later its RPO is breached, and a test says so too: who reads that need not look for why."""
    night.only = ("log",)
    night.well(assets=("log",))
    failed(-11, "the server at /nowhere does not answer", "log")(night)
    stands()(night)
    first = night.told(-10.9)
    assert first and first.subject == wording
    night.past.asset = "log"
    night.past.tested(-9, "log-good", "FAIL", own="PASS", newer_failed=True)
    then = night.told(-8.9)
    cause = "backup FAILED since 2026-11-24 01:06 UTC: the server at /nowhere does not answer"
    assert then and cause in then.subject and then.subject == wording, then
    assert f"  because: {cause}\n" in then.body and lines_with(then.body, "  next:") == wording


def test_what_began_on_the_first_day_is_never_back_again(night: Night, wording: SnapshotAssertion) -> None:
    """Its source was gone from the start: what was tried since, and what tests say of it, is the same trouble."""
    night.only = ("crm",)
    told = []
    for hour in range(-48, 0, 3):
        failed(hour)(night)
        if hour % 24 == 0:
            tested(hour + 0.1, None, "FAIL" if hour else "INCONCLUSIVE")(night)
        told += [message for message in [night.told(hour + 0.2)] if message]
    assert told[0].subject == wording
    assert not [m for m in told if "ack again" in m.body or "comes and goes" in m.body or "Fixed" in m.body]
    since = " since 2026-11-22 12:12 UTC: /spool is not there"
    assert all(since in m.subject for m in told[1:]), [m.subject for m in told]


def test_a_log_that_was_not_shipped_on_the_first_day_is_not_back_again_when_its_server_goes(
    night: Night, wording: SnapshotAssertion
) -> None:
    night.only = ("log",)
    night.well(assets=("log",))
    first = night.told(-24.1)
    assert first and first.subject == "ccdr: p: log log NOT SHIPPED" and "was never shipped" in first.body
    stands(point=END - DAY, usable=END - DAY)(night)
    assert "* log: log NOT SHIPPED, over" in str(night.told(-24 + 0.05))
    stands(point=END - DAY, usable=END - DAY, trouble="the server does not answer", troubled=END - 23 * HOUR)(night)
    then = night.told(-22.95)
    assert then and "comes and goes" not in then.body and "ack again" not in then.body
    assert then.subject == wording, then


def test_what_does_come_back_is_told_as_that_and_not_as_if_it_had_stood_since(
    night: Night, wording: SnapshotAssertion
) -> None:
    night.only = ("crm",)
    for hour in (-10, -8):
        failed(hour)(night)
        message = night.told(hour + 0.5)
        night.of("crm").stored(hour + 0.6, f"s{hour}")
        assert night.told(hour + 0.7)
    assert message and message.subject == wording


def test_each_next_step_is_told_once_where_cron_is_dead(night: Night) -> None:
    night.well()
    message = night.told(-12)
    assert message and message.body.count("its backup is overdue") == 2
    assert message.body.count("  next: ccdr run --dry-run") == 1


def test_two_troubles_that_are_called_alike_are_both_told_and_both_over(night: Night) -> None:
    night.only = ("crm",)
    night.well(assets=("crm",))
    night.past.stored(-20, "new")
    tested(-19, "new", "FAIL", reason="rows are gone")(night)
    first = night.told(-18.9)
    assert first and "rows are gone" in first.body
    tested(-18, "crm-good", "FAIL", selected="oldest", reason="a key is gone")(night)
    second = night.told(-17.9)
    assert second and "a key is gone" in second.body and "Fixed" not in second.body, second
    assert "rows are gone" not in second.body, "that is known"
    night.past.stored(-17.5, "newest")
    tested(-17.4, "newest", "PASS")(night)
    over = night.told(-17.3)
    assert over and over.body.count("restore test FAILED, over since") == 2, over
