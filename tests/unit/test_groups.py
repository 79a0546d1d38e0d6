"""Assets that belong together: how they begin, what they have in common, what a plan may say of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.harness import Site
from tests.support.manifests import SAID, counted

from ccdr.host import interrupts
from ccdr.jobs.group_backup import Rendezvous
from ccdr.model.errors import PlanInvalid
from ccdr.model.groups import captured_together, counterpart
from ccdr.model.measure import apart
from ccdr.model.values import GroupRun, Manifest, Snapshot
from ccdr.storage.manifest import manifest_text, parse_manifest

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_snapshot(asset: str, at: datetime, group: GroupRun | None) -> Snapshot:
    return counted(
        f"{asset}{at}", "p", asset, "r", "files", "scan", at, at, 1, "/x", "0" * 64, source="/srv", group=group
    )


def test_all_wait_for_the_last_one() -> None:
    meeting, begun = Rendezvous("abc"), []

    def go(name: str) -> None:
        meeting.arrive(name)
        begun.append(name)

    threads = [threading.Thread(target=go, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    assert not any(thread.join(0.3) or not thread.is_alive() for thread in threads) and begun == []
    go("c")
    for thread in threads:
        thread.join(10)
    assert sorted(begun) == ["a", "b", "c"]


def test_one_that_failed_before_keeps_nobody_waiting() -> None:
    meeting = Rendezvous("ab")
    thread = threading.Thread(target=meeting.arrive, args=("a",))
    thread.start()
    meeting.leave("b")
    thread.join(10)
    assert not thread.is_alive()
    meeting.arrive("a")  # again, for another attempt: nobody is waited for any more


def test_who_waits_can_be_interrupted() -> None:
    raised = []

    def go() -> None:
        try:
            Rendezvous("ab").arrive("a")
        except KeyboardInterrupt:
            raised.append(True)

    thread = threading.Thread(target=go)
    interrupts.stop_all()
    try:
        thread.start()
        thread.join(10)
    finally:
        interrupts.reset()
    assert raised == [True]


@given(st.lists(st.floats(-1e6, 1e6), max_size=6))
def test_skew_is_from_the_oldest_to_the_newest(seconds: list[float]) -> None:
    points = [NOW + timedelta(seconds=s) for s in seconds]
    expected = (max(points) - min(points)).total_seconds() if len(points) > 1 else None
    assert apart(points) == expected


def test_snapshots_are_told_by_the_run_they_have_in_common() -> None:
    early, late = GroupRun("calls", "g1", ("crm", "rec")), GroupRun("calls", "g2", ("crm", "rec"))
    ours = [
        a_snapshot("crm", NOW, early),
        a_snapshot("rec", NOW + timedelta(seconds=2), early),
        a_snapshot("rec", NOW + timedelta(hours=1), None),
        a_snapshot("crm", NOW + timedelta(hours=2), late),
    ]
    first, second = captured_together(reversed(ours))
    assert (first.group.run, first.skew, first.missing) == ("g1", 2.0, [])
    assert (second.group.run, second.skew, second.missing) == ("g2", None, ["rec"])


def test_a_group_lies_where_its_newest_does_and_says_what_it_has() -> None:
    """Two runs that overlap are told by what is newest of each."""
    one, two = GroupRun("calls", "g1", ("crm", "rec", "queue")), GroupRun("calls", "g2", ("crm", "rec"))
    ours = [
        a_snapshot("crm", NOW, one),
        a_snapshot("rec", NOW + timedelta(seconds=90.12345), one),
        a_snapshot("crm", NOW + timedelta(seconds=30), two),
        a_snapshot("rec", NOW + timedelta(seconds=60), two),
    ]
    second, first = captured_together(ours)
    assert (second.group, first.group) == (two, one)
    assert first.as_json() == {
        "name": "calls",
        "run": "g1",
        "consistent_points": {"crm": "2026-11-24T12:00:00Z", "rec": "2026-11-24T12:01:30.123450Z"},
        "skew_s": 90.123,
        "missing": ["queue"],
    }
    (alone,) = captured_together(ours[:1])
    assert alone.as_json()["skew_s"] is None


def test_who_was_captured_together_goes_together_though_another_one_is_nearer() -> None:
    """Not where its own log has carried it elsewhere, and not where that one is not good."""
    run, later = GroupRun("calls", "g1", ("crm", "rec")), GroupRun("calls", "g2", ("crm", "rec"))
    own = a_snapshot("crm", NOW, run)
    first, again = (a_snapshot("rec", NOW + timedelta(seconds=s), run) for s in (40, 50))
    near, other = a_snapshot("rec", NOW, None), a_snapshot("rec", NOW + timedelta(seconds=1), later)
    assert counterpart(own, NOW, [first, again, near, other], recovered=False) == again
    assert counterpart(own, NOW, [first, again, near, other], recovered=True) == near
    assert counterpart(own, NOW, [other, near], recovered=False) == near
    alone = replace(own, group=None)
    assert counterpart(alone, NOW + timedelta(seconds=45), [first, near], recovered=False) == first
    assert counterpart(own, NOW, [], recovered=False) is counterpart(alone, NOW, [], recovered=False) is None


@given(st.integers(-50, 50), st.lists(st.integers(-50, 50), max_size=6), st.booleans())
def test_else_the_nearest_and_of_two_as_near_the_newer(point: int, others: list[int], recovered: bool) -> None:
    own, good = a_snapshot("crm", NOW, None), [a_snapshot("rec", NOW + timedelta(seconds=s), None) for s in others]
    found = counterpart(own, NOW + timedelta(seconds=point), good, recovered=recovered)
    apart = min((abs(s - point) for s in others), default=None)
    expected = max((s for s in others if abs(s - point) == apart), default=None)
    assert (found and found.consistent_point) == (None if expected is None else NOW + timedelta(seconds=expected))


@given(st.none() | st.builds(GroupRun, st.text(), st.text(), st.lists(st.text(), max_size=3).map(tuple)))
def test_a_manifest_keeps_its_group(group: GroupRun | None) -> None:
    manifest = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {}, attested=SAID)
    assert parse_manifest(manifest_text(replace(manifest, group=group))) == replace(manifest, group=group)


def test_a_snapshot_keeps_its_group_in_the_catalogue(tmp_path: Path) -> None:
    site = Site(tmp_path)
    catalogue = site.services().catalogue
    kept = a_snapshot("crm", NOW, GroupRun("calls", "g1", ("crm", "rec")))
    alone = replace(a_snapshot("crm", NOW - timedelta(hours=1), None), id="alone")
    for snapshot in (kept, alone):
        catalogue.add(snapshot, "")
    assert catalogue.snapshots("p", "crm") == [alone, kept]


ASSET = "{name}: {{engine: files, paths: [/srv/{name}], group: {group}{backup}}}\n"


def problems(site: Site, assets: str) -> list[str]:
    site.plan(assets)
    try:
        return [str(p).split(": ", 1)[1] for p in site.loaded().lint]
    except PlanInvalid as error:
        return [str(p).partition("p.yaml:")[2] for p in error.problems]


def asset(name: str, schedule: str | None, group: str = "calls") -> str:
    backup = "" if schedule is None else f', backup: {{schedule: "{schedule}"}}'
    return ASSET.format(name=name, group=group, backup=backup)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (asset("b", "5 * * * *"), 'differs from that of a, which is of the same group calls, expected "0 * * * *"'),
        (asset("b", None), 'which has a backup schedule, expected "0 * * * *" here as well'),
    ],
)
def test_a_group_has_one_schedule(tmp_path: Path, other: str, said: str) -> None:
    (problem,) = problems(Site(tmp_path), asset("a", "0 * * * *") + other)
    assert problem.startswith("8: assets.b.") and said in problem


def test_groups_that_are_right_are_no_problem(tmp_path: Path) -> None:
    site = Site(tmp_path)
    right = asset("a", "0 * * * *") + asset("b", "0  *  * * *") + asset("c", None, "x") + asset("d", None, "x")
    assert not [p for p in problems(site, right) if "group" in p]
    assert [site.loaded().plan.assets[n].group for n in "abcd"] == ["calls", "calls", "x", "x"]


def test_a_group_of_one_is_told(tmp_path: Path) -> None:
    found = problems(Site(tmp_path), asset("a", "0 * * * *"))
    assert any("no other asset is in it" in p for p in found)
