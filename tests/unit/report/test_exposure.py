"""How much could have been lost at each moment of a period, and how data grow."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import SAID
from tests.support.past import DAY, HOUR, MINUTE, NOW, Past, written
from tests.support.schema import report_document

from ccdr.model.measure import Point, worst_exposure, worst_exposures
from ccdr.model.values import FileDigest, Manifest, rfc3339, source_digest
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.report import Period, html
from ccdr.telling.report.growth import growth


@given(st.datetimes(datetime(2015, 1, 1), datetime(2026, 1, 1)), st.floats(0.001, 4000), st.integers(2, 120))
def test_parts_cover_the_period_without_gaps(start: datetime, days: float, most: int) -> None:
    period = Period(start.replace(tzinfo=UTC), start.replace(tzinfo=UTC) + timedelta(days=days), True)
    edges = period.edges(most)
    assert edges[0] == period.start and edges[-1] == period.end
    assert edges == sorted(set(edges)) and len(edges) <= most + 3


moments = st.integers(0, 10_000)
points_of = st.lists(st.builds(lambda c, took: Point(NOW + timedelta(seconds=c), NOW + timedelta(seconds=c + took)), moments, st.integers(-50, 500)), max_size=12)  # fmt: skip


@given(points_of, st.lists(moments, min_size=2, max_size=8, unique=True))
def test_parts_have_the_worst_exposure_of_each_and_the_period_the_worst_of_all(
    points: list[Point], at: list[int]
) -> None:
    edges = [NOW + timedelta(seconds=second) for second in sorted(at)]
    parts = worst_exposures(edges, points)
    for begin, end, worst in zip(edges, edges[1:], parts, strict=False):
        assert worst == worst_exposure(begin, end, points)
    assert worst_exposure(edges[0], edges[-1], points) == max(parts)


def test_exposure_is_given_over_completed_and_over_tested_backups(past: Past) -> None:
    start = NOW - 4 * DAY
    first = past.backup(start)
    past.test(start + HOUR, first)
    for hours in range(1, 96):
        last = past.backup(start + hours * HOUR)
    past.test(NOW - 30 * MINUTE, last)
    (asset,) = past.report().assets
    assert (
        asset.completed.worst_s == 3660 and asset.completed.since == start + MINUTE
    )  # usable(next) - consistent(previous)
    assert asset.tested.worst_s == (95 * HOUR + MINUTE).total_seconds()
    assert asset.rpo and asset.rpo.verdict == "BREACHED"


def test_a_failed_backup_widens_the_gap_and_a_disproved_one_drops_out(past: Past) -> None:
    past.backup(NOW - 5 * HOUR)
    past.backup(NOW - 4 * HOUR, failed="disk full")
    bad = past.backup(NOW - 3 * HOUR)
    past.backup(NOW - 2 * HOUR)
    assert past.report().assets[0].completed.worst_s == 2 * 3600 + 60
    past.test(NOW - HOUR, bad, "FAIL")
    assert past.report().assets[0].completed.worst_s == 3 * 3600 + 60
    past.test(NOW - HOUR, bad, "PASS")  # the latest verdict on it holds
    assert past.report().assets[0].completed.worst_s == 2 * 3600 + 60


def test_a_period_without_any_backup_is_infinite_not_zero(past: Past) -> None:
    past.backup(NOW - HOUR, failed="no room")
    (asset,) = past.report().assets
    assert asset.completed.worst_s == math.inf and asset.rpo and asset.rpo.verdict == "BREACHED"
    document = report_document(past.report())
    assert document["assets"][0]["exposure_completed"]["worst_s"] is None
    assert "never" in written(html(past.report()))


def test_a_snapshot_that_another_host_took_counts(past: Past) -> None:
    """The ledger of the host that tests has no backups; its catalogue learned of them from the repository."""
    when = NOW - 30 * MINUTE
    manifest = Manifest(
        "p",
        "recordings",
        "b1",
        "files",
        "scan",
        "other",
        when,
        0.0,
        {},
        {},
        {"f": FileDigest(1, "a" * 64)},
        attested=SAID,
    )
    mine = past.site.loaded().plan.assets["recordings"].source_name
    manifest = replace(manifest, contents={"source": mine})
    text = manifest_text(manifest)
    services = past.site.services(past.clock)
    services.catalogue.add(snapshot_of(manifest, text, "5" * 64, "/r", when + MINUTE), text)
    (asset,) = past.report().assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == 1800 and [key for key, _ in asset.untested] == ["5" * 64]


@pytest.mark.parametrize("told", [True, False])
def test_only_what_is_of_the_source_that_the_plan_names_counts(past: Past, *, told: bool) -> None:
    """Records of before they told whose they are were believed, and are."""
    mine = past.site.loaded().plan.assets["recordings"].source_name

    def said(source: str) -> dict[str, str | None]:
        return {"source_sha256": source_digest(source)} if told else {}

    past.backup(NOW - 3 * HOUR, said=said(mine))
    past.backup(NOW - HOUR, said=said("another"))
    (asset,) = past.report().assets
    assert asset.rpo_now and asset.rpo_now.achieved_s == (3 if told else 1) * 3600


def test_bases_are_never_mixed(past: Past) -> None:
    snapshot = past.fine()
    past.test(NOW - 20 * MINUTE, snapshot, took=4000.0, basis="durable")
    (asset,) = past.report().assets
    assert {(r.basis, r.worst_s) for r in asset.restores} == {("throwaway", 40.0), ("durable", 4000.0)}
    assert asset.rto and asset.rto.verdict == "NOT_MEASURED", (
        "the last test was not with the settings that the plan asks for"
    )


def test_growth_is_a_line_through_what_was_measured() -> None:
    period = Period(NOW - 20 * DAY, NOW, True)
    sizes = [(NOW - n * DAY, 1000 - 10 * n) for n in range(20)]
    found = growth(sizes, [(NOW - DAY, 5), (NOW - 2 * DAY, 6)], period, free=100)
    assert found.now == 1000 and found.per_day == pytest.approx(10) and found.in_90_days == 1900
    assert found.full == NOW + 10 * DAY and found.added_bytes == 11 and found.added[-1] == (NOW, 11)
    assert growth(sizes[:1], [], period, free=100).per_day is None


def test_what_was_stored_and_found_bad_leaves_the_period_no_better_once_it_is_mended(past: Past) -> None:
    """The first good one came an hour after the first: until then nothing would have come back."""
    bad = past.backup(NOW - 5 * HOUR)
    past.test(NOW - 290 * MINUTE, bad, "FAIL")
    before = past.report(last=rfc3339(NOW - 285 * MINUTE)).assets[0]
    assert before.rpo is not None and before.rpo.verdict == "BREACHED"
    good = ""
    for halves in range(8, 0, -1):
        good = past.backup(NOW - halves * 30 * MINUTE)
    past.test(NOW - 20 * MINUTE, good)
    report = past.report()
    (asset,) = report.assets
    assert asset.rpo_now is not None and asset.rpo_now.verdict == "MET"
    assert asset.rpo is not None and asset.rpo.verdict == "BREACHED" and asset.completed.worst_s == math.inf
    assert "none of its backups was good" in " ".join(f.text for f in asset.findings) and report.exit_code == 1


def test_before_the_first_backup_of_all_nothing_could_be_measured(past: Past) -> None:
    """The twin: nothing was stored before it."""
    good = ""
    for halves in range(8, 0, -1):
        good = past.backup(NOW - halves * 30 * MINUTE)
    past.test(NOW - 20 * MINUTE, good)
    (asset,) = past.report().assets
    assert asset.rpo is not None and asset.rpo.verdict == "MET" and asset.completed.since is not None
