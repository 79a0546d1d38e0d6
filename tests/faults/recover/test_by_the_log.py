"""A plan's moment and a database whose log is shipped: before its first base, behind its log's end, across a failover;
and what is asked of a person then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.support.cluster import DATA, Cluster
from tests.support.harness import Quiet, Site
from tests.support.shipping import KEPT, based, recovered, ship_once, standing

from ccdr.jobs.recover.outlook import outlook
from ccdr.jobs.recover.request import RecoverRequest, Undecided
from ccdr.jobs.recover.states import ANSWERS, SILENT, AssetStep
from ccdr.model.errors import UsageProblem
from ccdr.model.values import utc


class Failed(NamedTuple):
    """A server that failed over: what was on timeline 1, when that ended, when its log was last stored; and what came
    behind."""

    site: Site
    server: Cluster
    first: datetime
    between: datetime
    second: datetime


@pytest.fixture(scope="module")
def failed_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failed]:
    with based(tmp_path_factory.mktemp("failover")) as (site, made):
        made.psql("insert into call (id, note) values (900, 'before')", "postgres")
        first = datetime.now(UTC)
        ship_once(site)
        made.psql("insert into call (id, note) select max(id) + 1, 'unshipped' from call", "postgres")
        between = datetime.now(UTC)
        made.stop()
        made.run("touch", f"{DATA}/standby.signal")
        made.start(**KEPT)
        made.run("pg_ctl", "-D", DATA, "-w", "promote")
        made.psql("insert into call (id, note) values (1000, 'behind'); select pg_switch_wal()", "postgres")
        ship_once(site)
        second = datetime.now(UTC)
        made.psql("insert into call (id, note) values (1001, 'last')", "postgres")
        ship_once(site)
        (site.root / "under").mkdir()
        yield Failed(site, made, first, between, second)


def look(site: Site, at: datetime | None, **asked: Any) -> AssetStep:
    request = RecoverRequest(at=at, under=site.root / "under", **asked)
    (step,) = outlook(site.loaded(), request, site.services(), Quiet()).steps
    return step


def the_base(site: Site) -> datetime:
    return site.services().catalogue.snapshots("p", "crm")[0].consistent_point


def test_before_the_first_base_there_is_no_state_and_the_first_is_named(failed_over: Failed) -> None:
    site, base = failed_over.site, the_base(failed_over.site)
    with pytest.raises(UsageProblem) as refused:
        look(site, base - timedelta(hours=1))
    assert "crm: no state of it is as old as that" in str(refused.value)
    assert "--nearest" in str(refused.value.hint)
    found = look(site, base - timedelta(hours=1), nearest=True)
    assert (found.state.by_log, found.state.point) == (False, base)
    twin = look(site, base)
    assert twin.state.point == base


def test_a_moment_within_the_log_loses_nothing(failed_over: Failed) -> None:
    found = look(failed_over.site, failed_over.first)
    assert found.state.by_log and found.state.lost_s == 0
    assert found.state.target is not None and found.state.target.branch in (None, 1)
    assert found.where.kind == "new_server" and found.source == ANSWERS
    assert any("applies the log to" in text for text in found.will)
    assert found.state.log_bytes > 0 and found.memory > 0


def test_behind_the_end_of_the_log_its_end_is_taken_and_what_that_lacks_is_told(failed_over: Failed) -> None:
    site = failed_over.site
    latest, now = look(site, None), look(site, datetime.now(UTC))
    stored = utc(standing(site)["point"])
    assert latest.state.point == now.state.point == stored
    assert latest.state.target is not None and latest.state.target.to_the_end
    assert now.state.lost_s is not None and now.state.lost_s > 0


def test_across_a_failover_nothing_is_begun_until_somebody_has_said_which_timeline(failed_over: Failed) -> None:
    site = failed_over.site
    with pytest.raises(Undecided) as asked:
        look(site, failed_over.between)
    assert asked.value.exit_code == 3
    (question,) = asked.value.questions
    assert [a.option for a in question.answers] == ["--timeline crm=1", "--timeline crm=2"]
    assert "nothing was begun" in str(asked.value) and "--timeline crm=1" in str(asked.value.hint)
    found = look(site, failed_over.between, timelines={"crm": 1})
    assert found.state.by_log and found.state.point <= failed_over.between
    assert failed_over.first <= found.state.point, "what was shipped before it failed over is in it"
    behind = look(site, failed_over.second)
    assert behind.state.by_log and behind.state.lost_s == 0, "where one timeline alone was written, nobody is asked"


def test_a_recovery_by_the_log_that_passed_proves_the_log_and_one_that_failed_is_passed_over(
    failed_over: Failed,
) -> None:
    site = failed_over.site
    done = recovered(site, "latest")
    assert done.json["verdict"] == "PASS", done
    proven = look(site, None)
    assert (proven.state.proof, proven.state.proof_by, proven.state.proven) == ("PASS", "log", True)
    assert proven.predicted is not None and proven.predicted.runs == 1
    site.write(
        "restore_tests/crm.yaml", "restore_test: crm\nchecks:\n  - {kind: rows, table: call, at_least: 100000}\n"
    )
    assert recovered(site, "latest").json["verdict"] == "FAIL"
    found = look(site, None)
    assert not found.state.by_log and found.state.point == the_base(site)
    assert any("the recovery by it of" in text and "failed" in text for text in found.state.passed_over)
    within = look(site, failed_over.first)
    assert within.state.by_log, "what that went through and more is not disproved before its end"


def test_a_source_that_is_gone_is_told_at_once(failed_over: Failed) -> None:
    failed_over.server.stop()
    began = datetime.now(UTC)
    found = look(failed_over.site, failed_over.first)
    assert (found.source, found.healthy) == (SILENT, None)
    assert datetime.now(UTC) - began < timedelta(seconds=20)
