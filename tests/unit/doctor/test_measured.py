"""What `ccdr doctor` makes of what was measured: RPO, RTO, upkeep, what a cloud bills for. Every red line has its green twin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.findings import FAIL, OK, WARN, backed_up, states
from tests.support.harness import ShiftedClock, Site
from tests.support.sparse import append_sparse

from ccdr.model.values import Health, Probe
from ccdr.plans.job import Job
from ccdr.setup.doctor import readiness


def tested(site: Site, *seconds: float | None, verdict: str = "PASS", basis: str = "throwaway") -> None:
    for n, took in enumerate(seconds):
        body = {"verdict": verdict, "rto": {"achieved_s": took, "basis": basis}, "snapshot": {"id": "a" * 64}}
        append_sparse(site.services().ledger, "restore_test.end", plan="p", asset="recordings", run=f"t{n}", body=body)


def measured(site: Site) -> tuple[list[Probe], list[Probe]]:
    job, past = Job(site.loaded(), "recordings"), readiness.read_past(site.services().records())
    history = site.services().history(job)
    found = list(readiness.rpo(job, past)), list(readiness.rto(job, history, past))
    states([*found[0], *found[1]])
    return found


def scheduled(site: Site, backup: str) -> Site:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("15 * * * *", backup))
    return site


@pytest.mark.parametrize(
    ("schedule", "took", "state"),
    [
        ("*/30 * * * *", (), WARN),  # not measured
        ("0 */2 * * *", (), FAIL),  # the schedule alone
        ("*/30 * * * *", (600.0,), OK),
        ("*/30 * * * *", (1500.0,), WARN),  # one that fails, and it is breached
        ("*/30 * * * *", (2400.0,), FAIL),
        ("*/30 * * * *", (600.0,) * 19 + (9000.0,), OK),  # one of twenty is no rule
        ("*/30 * * * *", (600.0,) * 18 + (9000.0,) * 2, FAIL),
        ("*/30 * * * *", (9000.0,) * 3 + (600.0,) * 50, OK),  # it was slow, and is no longer
    ],
)
def test_rpo_by_schedule_and_measured_duration(
    plain: Site, schedule: str, took: tuple[float, ...], state: Health
) -> None:
    backed_up(scheduled(plain, schedule), *took)
    (look,) = measured(plain)[0]
    assert look.state is state, look


@pytest.mark.parametrize(
    ("took", "state"),
    [
        ((), WARN),
        ((60.0,), OK),
        ((60.0, 1700.0), WARN),  # near
        ((2000.0, 60.0), WARN),  # was over it not long ago
        ((60.0, 2000.0), FAIL),
        ((2000.0,) + (60.0,) * 10, OK),
    ],
)
def test_rto_by_tests(plain: Site, took: tuple[float, ...], state: Health) -> None:
    tested(plain, *took)
    (look,) = measured(plain)[1]
    assert look.state is state, look


def test_rto_of_another_basis_or_of_a_test_that_failed_does_not_count(plain: Site) -> None:
    tested(plain, 10.0, basis="durable")
    tested(plain, None, verdict="FAIL")
    (look,) = measured(plain)[1]
    assert look.state is WARN and "FAIL" in look.answer


def test_percentile() -> None:
    assert readiness.percentile([3.0], 0.95) == 3.0
    assert readiness.percentile(map(float, range(1, 101)), 0.95) == 95.0
    assert readiness.percentile([1.0, 2.0], 0.95) == 2.0
    with pytest.raises(ValueError, match="no values"):
        readiness.percentile([], 0.95)


def upkeep(site: Site, clock: ShiftedClock | None = None) -> dict[str, Probe]:
    services = site.services(clock)
    found = list(readiness.upkeep(site.loaded(), services.histories(), services.clock.now()))
    states(found)
    return {look.what: look for look in found}


def record(site: Site, kind: str, **body: object) -> None:
    append_sparse(site.services().ledger, kind, plan="p", asset=None, run="u1", body=body)


CLEAN = {"result": "CLEAN", "reason": None, "part": 1, "parts": 30, "covered": 1, "full_since": None}


def test_upkeep_that_nobody_thought_of(plain: Site) -> None:
    assert {look.state for look in upkeep(plain).values()} == {WARN}


def test_upkeep_as_planned(plain: Site) -> None:
    plain.write("plans/urls", "mailto://x\n", mode=0o600)
    extra = "retention: {keep_within: 35d}\nnotify: {urls_file: urls}\n"
    plan = plain.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:", f"{extra}assets:"))
    record(plain, "check.end", **CLEAN)
    record(plain, "prune.end", result="DONE", reason=None, removed=[], kept={}, held=[])
    assert {look.state for look in upkeep(plain).values()} == {OK}
    later = upkeep(plain, ShiftedClock(timedelta(days=3)))
    assert later["repository check"].state is WARN and "overdue" in later["repository check"].answer
    record(plain, "prune.end", result="FAILED", reason="the disk is full", removed=[], kept={}, held=[])
    assert upkeep(plain)["retention"].state is WARN


def test_damage_stands_until_the_same_part_is_found_clean(plain: Site) -> None:
    for part, result, state in ((1, "DAMAGED", FAIL), (2, "CLEAN", FAIL), (1, "CLEAN", OK)):
        record(plain, "check.end", **{**CLEAN, "part": part, "result": result})
        assert upkeep(plain)["repository check"].state is state, (part, result)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, OK),
        ({"full_since": "2026-01-01T00:00:00Z", "covered": 30}, OK),
        ({"result": "DAMAGED", "reason": "a pack"}, FAIL),
        ({"result": "INCONCLUSIVE", "reason": "no answer"}, WARN),
    ],
)
def test_last_check(plain: Site, changed: dict[str, object], state: Health) -> None:
    record(plain, "check.end", **{**CLEAN, **changed})
    assert upkeep(plain)["repository check"].state is state


@pytest.mark.parametrize(("limit", "found"), [("100MiB", [WARN]), ("200MiB", [OK]), (None, [])])
def test_the_months_limit_is_told_before_it_is_reached(plain: Site, limit: str | None, found: list[Health]) -> None:
    stated = f"limits: {{fetch_per_month: {limit}}}\n" if limit else ""
    path = plain.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", f"{stated}assets:", 1))
    now = datetime(2026, 11, 24, tzinfo=UTC)
    past = readiness.Past(fetched={"p": [(now - timedelta(days=1), 82 * 2**20), (now - timedelta(days=30), 2**40)]})
    assert states(readiness.fetching(plain.loaded(), past, now)) == found
