"""What `status` says of the log that a host ships: that it comes, up to now, without a gap since the newest base, and
harms nobody; and how the tests and snapshots are told whose trouble is another's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.logs import ships
from tests.support.manifests import SAID
from tests.support.sparse import append_sparse
from tests.support.standing import IDS, LOGGED, NOW, ago, based

from ccdr.evidence.history.kinds import STOPPED
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.log_standing import LogStanding
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.ship import SHIP
from ccdr.model.finding import Finding
from ccdr.model.forks import Fork
from ccdr.model.measure import Point
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import Manifest, Needed, Verb, to_the_second
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.telling.status import status

SHIPPED = LogStanding(since="000000010000000000000001", point=ago(minutes=1), usable=NOW, position="0/3")
LATE = 240.0  # seconds, at an interval of 60: three of them, and a minute


class Shipping:
    """An asset whose log is shipped, with a base of three hours ago."""

    def __init__(self, root: Path, *, based_on: int | None = 1) -> None:
        self.site = Site(root, bare=True)
        self.site.plan(LOGGED)
        self.services: Services = self.site.services(Clock())
        if based_on is not None:
            based(self.site, self.services, based_on, ago(hours=3))

    def wrote(self, kind: str, **body: Any) -> None:
        append_sparse(self.services.ledger, kind, plan="p", asset="crm", run=body.pop("run", "r"), body=body)

    def now(self, standing: LogStanding | None = None) -> AssetStatus:
        if standing is not None:
            ships(self.services, "p", "crm", standing)
        (found,) = status([self.site.loaded()], self.services)
        return found

    def wrong(self, standing: LogStanding | None = None) -> list[Problem]:
        kinds = (Trouble.LOG_LATE, Trouble.LOG_GAP, Trouble.FINDING)
        return [p for p in self.now(standing).wrong if p.trouble in kinds]


@pytest.fixture
def shipping(tmp_path: Path) -> Shipping:
    return Shipping(tmp_path)


def said(problems: list[Problem]) -> list[tuple[Trouble, str]]:
    assert all(p.verb is Verb.BACKUP for p in problems), "a host that only tests does no such work"
    return [(p.trouble, p.text) for p in problems]


def test_log_that_comes_is_no_trouble(shipping: Shipping) -> None:
    assert shipping.wrong(SHIPPED) == [] and shipping.now().rpo.achieved_s == 60


def test_a_process_that_is_gone_without_an_end_is_told_at_once(shipping: Shipping) -> None:
    runs = replace(SHIPPED, running=True)
    with shipping.services.state.lock("p", "crm", SHIP):
        assert shipping.wrong(runs) == []
    (found,) = shipping.wrong(runs)
    assert found.trouble is Trouble.LOG_LATE and "is gone" in found.text and found.since == SHIPPED.point
    assert shipping.wrong(replace(runs, running=False)) == [], "it has ended as it should"


def test_no_log_that_stands_still_is_made_alive_by_what_the_state_directory_says(
    shipping: Shipping, wording: SnapshotAssertion
) -> None:
    """What ships it was stopped a day ago, and somebody has written that it was stored a minute ago."""
    then, stood = Clock(ago(hours=24)), replace(SHIPPED, point=ago(hours=25), usable=ago(hours=24.9))
    ships(shipping.site.services(then), "p", "crm", stood)
    before = shipping.now()
    for edited in (SHIPPED, replace(SHIPPED, usable=stood.usable), replace(SHIPPED, pending=(Point(NOW, NOW),))):
        ships(shipping.services, "p", "crm", edited, recorded=False)
        (told,) = shipping.wrong()
        assert told.trouble is Trouble.LOG_LATE and told.since == stood.point
        assert told.text == wording
        assert shipping.now().rpo == before.rpo and shipping.now().rpo.achieved_s == 3 * 3600, "its base's"


def test_a_log_of_which_no_record_tells_is_not_taken_for_stored(shipping: Shipping, wording: SnapshotAssertion) -> None:
    ships(shipping.services, "p", "crm", SHIPPED, recorded=False)
    (told,) = shipping.wrong()
    assert told.text == wording
    assert shipping.now().rpo.achieved_s == 3 * 3600


@pytest.mark.parametrize(("hours", "believed"), [(0.0, True), (1.9, True), (2.1, False)])
def test_what_was_stored_since_the_last_record_is_believed_for_two_hours(
    shipping: Shipping, hours: float, believed: bool
) -> None:
    then = ago(hours=hours)
    ships(shipping.site.services(Clock(then)), "p", "crm", replace(SHIPPED, point=then, usable=then))
    ships(shipping.services, "p", "crm", SHIPPED, recorded=False)
    assert (shipping.wrong() == []) is believed
    assert shipping.now().rpo.achieved_s == (60 if believed else 2.1 * 3600)


@pytest.mark.parametrize(("seconds", "late"), [(LATE, False), (LATE + 1, True)])
def test_log_is_late_once_some_intervals_passed(
    shipping: Shipping, seconds: float, late: bool, wording: SnapshotAssertion
) -> None:
    point = ago(seconds=seconds)
    problems = shipping.wrong(replace(SHIPPED, point=point))
    if not late:
        assert problems == []
        return
    (problem,) = problems
    text = f"its log is stored only up to {point:%Y-%m-%dT%H:%M:%SZ}: nothing ships it: run `ccdr ship p`"
    assert (problem.trouble, problem.text, problem.since) == (Trouble.LOG_LATE, text, point)
    with shipping.services.state.lock("p", "crm", "ship"):
        assert [text.split(": ", 1)[1] for _, text in said(shipping.wrong())] == wording


@pytest.mark.parametrize(("seconds", "wrong"), [(0, False), (1, True)])
def test_log_that_is_stored_up_to_what_is_yet_to_come_is_told(shipping: Shipping, seconds: int, wrong: bool) -> None:
    point = NOW + CLOCK_TOLERANCE + timedelta(seconds=seconds)
    told = [(Trouble.LOG_LATE, f"its log is stored up to {point:%Y-%m-%dT%H:%M:%SZ}, which is in the future: a clock is or was wrong")]  # fmt: skip
    assert said(shipping.wrong(replace(SHIPPED, point=point))) == (told if wrong else [])


def test_why_log_is_not_shipped_is_told_before_how_far_it_came(shipping: Shipping, wording: SnapshotAssertion) -> None:
    since = ago(minutes=30)
    away = replace(SHIPPED, point=ago(hours=2), trouble="the source is away", troubled=since)
    (problem,) = shipping.wrong(away)
    assert problem.text == wording and problem.since == since
    assert problem.verb is Verb.BACKUP
    (stopped,) = shipping.wrong(replace(away, trouble=STOPPED))
    assert stopped.text.startswith("its log is stored only up to"), "whoever stopped it knows"


def test_log_that_was_never_shipped_is_told_where_backups_are_taken(
    shipping: Shipping, wording: SnapshotAssertion
) -> None:
    assert shipping.wrong() == [], "another host backs up, and ships"
    shipping.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    assert said(shipping.wrong()) == [(Trouble.LOG_LATE, wording)]
    assert said(shipping.wrong(LogStanding())) == [], "it has begun, and there need not be any yet"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"since": "000000010000000000000005"}, "the log cannot continue from its newest backup"),
        ({"since": "000000010000000000000005", "gap": "segment 4 is missing"}, "segment 4 is missing"),
        ({"anew": ago(hours=1), "point": None, "usable": None, "gap": "it went back"}, "it went back"),
    ],
)
def test_log_that_does_not_lead_on_from_the_newest_base_asks_for_another(
    shipping: Shipping, changed: dict[str, Any], text: str, wording: SnapshotAssertion
) -> None:
    told = said(shipping.wrong(replace(SHIPPED, **changed)))
    assert told == [(Trouble.LOG_GAP, wording)] and text in told[0][1]


def test_a_backup_of_another_kind_is_no_base_though_an_older_one_is(shipping: Shipping) -> None:
    """The plan's method was changed to one that the log goes on from, and back: nothing was recovered at the source."""
    stored(shipping, 2, ago(minutes=30), method="dump")
    text = "the log cannot continue from its newest backup"
    assert [problem.partition(";")[0] for _, problem in said(shipping.wrong(SHIPPED))] == [text]
    stored(shipping, 3, ago(minutes=20))
    assert shipping.wrong() == []


def test_where_the_source_went_back_and_no_base_counts_the_log_is_told_by_itself(tmp_path: Path) -> None:
    shipping = Shipping(tmp_path, based_on=None)
    assert shipping.wrong(LogStanding(anew=ago(hours=1), gap="it went back")) == []
    shipped = replace(SHIPPED, anew=ago(hours=1), point=ago(hours=2))
    assert [p.since for p in shipping.wrong(shipped)] == [ago(hours=2)]


@pytest.mark.parametrize(("seconds", "begins"), [(0, True), (1, False)])
def test_a_base_of_when_the_log_began_anew_is_one_that_it_leads_on_from(
    shipping: Shipping, seconds: float, begins: bool
) -> None:
    anew = LogStanding(anew=ago(hours=1), gap="it went back")
    based(shipping.site, shipping.services, 2, ago(hours=1, seconds=seconds))
    ((trouble, text),) = said(shipping.wrong(anew))
    assert trouble is (Trouble.LOG_LATE if begins else Trouble.LOG_GAP), text


def test_where_the_source_was_recovered_the_log_leads_on_from_an_older_base(
    shipping: Shipping, wording: SnapshotAssertion
) -> None:
    based(shipping.site, shipping.services, 2, ago(hours=1))  # in segment 2, too
    fork = Fork(2, 1, "0/2000050")  # before both
    lost = replace(SHIPPED, branch=2, forks=(fork,))
    assert [text.partition(";")[0] for _, text in said(shipping.wrong(lost))] == wording
    older: datetime = ago(hours=5)
    contents = {"timeline": 1, "stop_lsn": "0/2000048", "source": shipping.site.loaded().plan.assets["crm"].source_name}
    manifest = Manifest("p", "crm", "b3", "postgres", "physical", "h", older, 0.0, {}, contents, attested=SAID)
    text = manifest_text(manifest)
    shipping.services.catalogue.add(snapshot_of(manifest, text, IDS[3], "/r", older), text)
    assert said(shipping.wrong(lost)) == [(Trouble.LOG_GAP, wording)]


def test_what_threatens_the_log_is_told_and_stays_the_same_while_its_numbers_change(shipping: Shipping) -> None:
    piled = (Finding(f"{n} GiB pile up at the source", "log kept for us", (n,)) for n in (5.0, 17.0))
    one, other = (shipping.wrong(replace(SHIPPED, findings=(found,))) for found in piled)
    assert [p.text for p in other] == ["17.0 GiB pile up at the source"]
    assert [p.about for p in one] == [p.about for p in other] == ["log kept for us"]


# --- whose fault a test's failure is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "check", "recovery", "trouble"),
    [
        ("FAIL", "PASS", None, Trouble.TEST_FAILED),
        (None, "PASS", None, Trouble.TEST_FAILED),
        ("PASS", "FAIL", None, Trouble.TEST_FAILED),
        ("PASS", "PASS", None, Trouble.NEWER_FAILED),
        ("PASS", "PASS", "FAIL", Trouble.LOG_FAILED),
        (None, "PASS", "FAIL", Trouble.LOG_FAILED),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_a_failed_test_says_what_it_is_that_failed(
    shipping: Shipping, own: str | None, check: str, recovery: str | None, trouble: Trouble, again: bool
) -> None:
    """It stays what it is when a test that broke comes after it."""
    reached = recovery and {"target": "latest", "verdict": recovery, "until": "2026-11-24T11:00:00Z"}
    shipping.wrote(
        "restore_test.end", verdict="FAIL", reason="so it was", findings=["odd"], rto=None, run="t1",
        snapshot={"id": IDS[1], "verdict": own, "selected": "at" if recovery else "latest"}, recovery=reached,
        checks=[{"kind": "fits", "status": check}],
    )  # fmt: skip
    if again:
        shipping.wrote(
            "restore_test.end", verdict="INCONCLUSIVE", reason="no room", snapshot=None, findings=[], run="t2"
        )
    found = [p for p in shipping.now(SHIPPED).wrong if p.verb is Verb.TEST]
    kinds = [Trouble.TEST_INCONCLUSIVE, trouble] if again else [trouble, Trouble.FINDING]
    assert [p.trouble for p in found] == kinds
    alone = " for a newer backup alone" if trouble is Trouble.NEWER_FAILED else ""
    if not again:
        assert found[0].text == f"its last restore test is FAIL{alone}: so it was" and found[0].since == NOW
    else:
        at = found[0].since
        assert at and found[0].text == f"its last restore test, of {to_the_second(at)}, is INCONCLUSIVE: no room"
        how = "none that goes as far has passed" if recovery else "no newer snapshot has passed"
        what = "recovery by the log" if recovery else "restore test"
        assert found[1].text == f"its {what} of 2026-11-24T12:00:00Z is FAIL, and {how}: so it was"


# --- snapshots that do not count, and the line itself ---------------------------------------------------------


def stored(shipping: Shipping, number: int, when: datetime, **changed: Any) -> None:
    source = changed.pop("source", shipping.site.loaded().plan.assets["crm"].source_name)
    contents = {"timeline": 1, "stop_lsn": "0/2000060", "source": source}
    usable, method = changed.pop("usable", when), changed.pop("method", "physical")
    manifest = Manifest(
        "p", "crm", f"b{number}", "postgres", method, "h", when, 0.0, {}, contents, attested=SAID, **changed
    )
    text = manifest_text(manifest)
    shipping.services.catalogue.add(snapshot_of(manifest, text, IDS[number], "/r", usable), text)


def test_newer_snapshots_that_do_not_count_are_named_with_why(shipping: Shipping, wording: SnapshotAssertion) -> None:
    """An older one that a good one has made up for is not, nor is one of another source."""
    stored(shipping, 2, ago(hours=4), upon=(Needed(IDS[7], "0" * 64),))
    stored(shipping, 3, ago(hours=2), upon=(Needed(IDS[7], "0" * 64),))
    assert [p.text for p in shipping.wrong(SHIPPED)] == wording
    stored(shipping, 4, ago(minutes=5), usable=NOW + timedelta(hours=2))
    stored(shipping, 5, ago(minutes=4), upon=(Needed(IDS[8], "0" * 64),))
    (problem,) = [p for p in shipping.wrong() if p.about == "newer"]
    assert problem.text.startswith("3 newer snapshots do not count: ")
    assert problem.text == wording


def test_a_newest_snapshot_of_another_source_is_told_as_that(shipping: Shipping, wording: SnapshotAssertion) -> None:
    stored(shipping, 2, ago(hours=2), source="elsewhere")
    assert [(p.about, p.text) for p in shipping.wrong(SHIPPED)] == [("source", wording)]
    stored(shipping, 3, ago(hours=1))
    assert shipping.wrong() == []


def test_by_which_rule_it_was_tested_last_is_part_of_its_line(shipping: Shipping) -> None:
    shipping.wrote(
        "restore_test.end", verdict="PASS", reason=None, findings=[], rto=None,
        snapshot={"id": IDS[1], "verdict": "PASS", "selected": "oldest"},
    )  # fmt: skip
    line = shipping.now(SHIPPED).as_json()
    assert line["tested_by_rule"] == {"oldest": {"time": "2026-11-24T12:00:00.000000Z", "verdict": "PASS"}}
    assert line["last_good_backup"] == {
        "time": "2026-11-24T09:00:00Z",
        "snapshot": {"id": IDS[1], "consistent_point": "2026-11-24T09:00:00Z", "in_use": 0},
    }
