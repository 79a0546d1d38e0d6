"""A report that begins from the index says what one says that reads the whole ledger; and whatever the index does not
fit is not used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.clocks import Clock
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.years import Centre, write_ledger, write_plans
from tests.unit import test_one_judgement as pasts
from tests.unit.test_one_judgement import ASSETS, END, Event, told_by

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.jobs import daily_verification
from ccdr.jobs.services import Services
from ccdr.model.values import stamped
from ccdr.plans import LoadedPlan
from ccdr.telling.report import Period, Report, html, index, json_lines, make_report
from ccdr.telling.report.evidence import Evidence
from ccdr.telling.report.period import NEVER, month_of, next_month
from ccdr.telling.report.reading import Before
from ccdr.wiring import services as wired

DAY = timedelta(days=1)
SCALE = 40  # an hour of a past that is drawn here is nearly two days


def verified(services: Services) -> daily_verification.Finding:
    """As `ccdr run` does it once a day."""
    daily_verification._record(services, daily_verification.compare(services), index.make(services))
    found = daily_verification.newest(services.lineage())
    assert found is not None and found.ok
    return found


def lived(root: Path, centre: Centre) -> tuple[list[LoadedPlan], Services]:
    """Its plans and its years of records, which were verified."""
    write_plans(centre, root)
    (root / "plans/key").write_text("x\n")
    write_ledger(centre, root / "state/ledger")
    site = Site(root, bare=True)
    services = site.services(Clock())
    verified(services)
    return [site.loaded(centre.plan_name(n)) for n in range(centre.plans)], services


def both(plans: list[LoadedPlan], services: Services, period: Period) -> tuple[Report, Report]:
    """From the index, and from all of the ledger."""
    quick, whole = (make_report(plans, services, period, command="x", whole=whole) for whole in (False, True))
    assert quick.ledger.before is not None and whole.ledger.before is None
    first, second = quick.ledger.verification, whole.ledger.verification
    assert replace(first, notes=()) == replace(second, notes=()), "but for what was noted before"
    return quick, replace(whole, ledger=quick.ledger)


# --- the same -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[LoadedPlan], Services]:
    """Four hundred days of six assets: what retention removed, crashes, an outage, tests that fail."""
    return lived(tmp_path_factory.mktemp("years"), Centre(2, 3, END, 400, timedelta(hours=6), timedelta(days=5)))


@pytest.mark.parametrize("ends", [0, 20])
def test_a_report_on_the_last_weeks_is_the_same(years: tuple[list[LoadedPlan], Services], ends: int) -> None:
    plans, services = years
    for days in (1, 30, 60, 90):
        end = END - ends * DAY
        quick, whole = both(plans, services, Period(end - days * DAY, end, until_now=not ends))
        assert quick.runs and quick == whole
    assert b"".join(html(quick)) == b"".join(html(whole))  # made of that alone: once, of the longest
    assert b"".join(json_lines(quick)) == b"".join(json_lines(whole))


def test_what_is_let_go_of_is_not_asked_for(
    years: tuple[list[LoadedPlan], Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, services = years
    period = Period(END - 60 * DAY, END, until_now=True)
    quick, _ = both(plans, services, period)
    monkeypatch.setattr(Evidence, "_after", lambda *_: NEVER)
    everything = make_report(plans, services, period, command="x", whole=True)
    assert quick == replace(everything, ledger=quick.ledger)


def test_of_one_plan_it_is_the_same(years: tuple[list[LoadedPlan], Services]) -> None:
    plans, services = years
    period, name = Period(END - 30 * DAY, END, until_now=True), plans[0].plan.plan
    one, other = (
        make_report(plans[:1], services, period, command="x", named=[name], whole=whole) for whole in (False, True)
    )
    assert one.ledger.before is not None and one == replace(other, ledger=one.ledger)


def test_a_period_that_begins_before_all_states_reads_the_whole_ledger(
    years: tuple[list[LoadedPlan], Services],
) -> None:
    plans, services = years
    made = make_report(plans, services, Period(END - 300 * DAY, END, until_now=True), command="x")
    assert made.ledger.before is None and made.ledger.verification.ok


site, loaded = pasts.site, pasts.loaded
spread = st.lists(
    st.tuples(st.one_of(pasts.stores, pasts.tests, pasts.others), pasts.gaps.map(lambda gap: gap * SCALE), st.sampled_from(ASSETS)),
    min_size=8, max_size=40,
)  # fmt: skip


@settings(
    deadline=None,
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spread, st.integers(1, 80))
def test_of_any_past_it_is_the_same(
    site: Site, loaded: LoadedPlan, made: list[tuple[Event, float, str]], days: int
) -> None:
    shutil.rmtree(site.state, ignore_errors=True)
    services, told = site.services(Clock()), told_by(made, loaded)
    told.past.keep(services.state.ledger, services.catalogue)
    event("indexed" if verified(services).index else "too short")
    period = Period(END - days * DAY, END, until_now=True)
    quick = make_report([loaded], services, period, command="x")
    whole = make_report([loaded], services, period, command="x", whole=True)
    assert quick == replace(whole, ledger=quick.ledger)


# --- what does not fit is not used --------------------------------------------------------------------------


def change(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def state_changed(services: Services) -> None:
    for path in (services.state.root / "index").iterdir():
        change(path)


def state_gone(services: Services) -> None:
    shutil.rmtree(services.state.root / "index")


def other_ledger_before(services: Services) -> None:
    """The line that the newest state was made up to is another one now, as is all behind it."""
    rewritten(services, 0)


def rewritten(services: Services, first: int) -> None:
    """Chained anew from a record on, by somebody who may write it all; what the verification has found stays there."""
    from hashlib import sha256

    directory = services.state.ledger
    prev, segments = "0" * 64, sorted(directory.glob("*.jsonl"))
    for segment in segments:
        lines = []
        for number, line in enumerate(segment.read_bytes().splitlines(keepends=True)):
            if number == first:
                line = line.replace(b'"host":"dr1"', b'"host":"dr2"')
            at = line.index(b'"prev":"') + 8
            line = line[:at] + prev.encode() + line[at + 64 :]
            prev = sha256(line).hexdigest()
            lines.append(line)
        segment.write_bytes(b"".join(lines))


def found_broken(services: Services) -> None:
    found = daily_verification.compare(services)
    ledger = replace(found.ledger, problems=("it was changed",))
    daily_verification._record(services, replace(found, ledger=ledger), index.make(services))


@pytest.mark.parametrize(
    "spoil", [state_changed, state_gone, other_ledger_before, found_broken], ids=lambda f: f.__name__
)
def test_what_does_not_fit_is_not_used(tmp_path: Path, spoil: Callable[[Services], None]) -> None:
    plans, services = small(tmp_path)
    period = Period(END - 30 * DAY, END, until_now=True)
    assert make_report(plans, services, period, command="x").ledger.before is not None, "the twin"
    spoil(services)
    made = make_report(plans, services, period, command="x")
    assert made.ledger.before is None and made.ledger.verification.records > 1000


def test_what_was_changed_since_the_verification_is_found_where_it_is_read(tmp_path: Path) -> None:
    """A record behind the state's mark: the report has read it, and says so with the whole ledger's findings."""
    plans, services = small(tmp_path)
    last = max(services.state.ledger.glob("*.jsonl"))
    lines = last.read_bytes().splitlines(keepends=True)
    lines[-20] = lines[-20].replace(b'"host":"dr1"', b'"host":"dr2"')
    last.write_bytes(b"".join(lines))
    made = make_report(plans, services, Period(END - 30 * DAY, END, until_now=True), command="x")
    assert made.ledger.before is None and not made.ledger.verification.ok


def small(root: Path) -> tuple[list[LoadedPlan], Services]:
    return lived(root, Centre(1, 2, END, 200, timedelta(hours=6), timedelta(days=5)))


def test_the_report_says_what_was_verified_before(tmp_path: Path) -> None:
    plans, services = small(tmp_path)
    made = make_report(plans, services, Period(END - 30 * DAY, END, until_now=True), command="x")
    found = daily_verification.newest(services.lineage())
    assert found is not None and isinstance(made.ledger.before, Before)
    upto = services.ledger.numbered(made.ledger.before.upto + 1)
    assert upto is not None and stamped(upto.time) >= "2026-10-01" and made.ledger.before.seq == found.seq
    page = b"".join(html(made)).decode()
    assert f"Records 1 to {made.ledger.before.upto:,}" in page and f"record {found.seq:,}" in page


# --- what it is made of -------------------------------------------------------------------------------------


def test_there_is_a_state_for_each_of_the_last_months(years: tuple[list[LoadedPlan], Services]) -> None:
    _, services = years
    names = sorted(path.name for path in (services.state.root / "index").iterdir())
    assert names == ["2026-08-01.state", "2026-09-01.state", "2026-10-01.state", "2026-11-01.state"]
    for name in names:
        kept = index.read((services.state.root / "index" / name).read_bytes())
        assert f"{kept.boundary:%Y-%m-%d}.state" == name == f"{month_of(kept.boundary):%Y-%m-%d}.state"
        before, behind = (services.ledger.numbered(kept.verified.mark.seq + n) for n in (0, 1))
        assert before and behind and before.time < kept.boundary < behind.time
        assert next_month(kept.boundary) > kept.boundary


def test_a_state_does_not_grow_with_the_years(tmp_path: Path) -> None:
    sizes = []
    for days in (150, 600):
        root = tmp_path / str(days)
        centre = Centre(1, 1, END, days, timedelta(hours=6), timedelta(days=5))
        write_ledger(centre, root / "ledger")
        index.make(replace_clock(root))
        sizes.append(max(path.stat().st_size for path in (root / "index").iterdir()))
    assert sizes[1] < 1.2 * sizes[0], sizes


def replace_clock(root: Path) -> Services:
    services, clock = wired(root), Clock()
    return replace(services, clock=clock, ledger=Ledger(root / "ledger", clock))
