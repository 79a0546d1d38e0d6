"""Two assets of one server: from which to recover is said, with why, and both can be opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.manifests import a_manifest, counted
from tests.support.recovering import Watching
from tests.support.wording import lines_with

from ccdr.host.state_files import made_of, plain
from ccdr.jobs.recover import Decision, Planned, again
from ccdr.jobs.recover.doubles import doubles, with_ports
from ccdr.jobs.recover.outlook import moved_of, rather
from ccdr.jobs.recover.places import places_of
from ccdr.jobs.recover.request import RecoverRequest
from ccdr.jobs.recover.states import ChosenState, Instead
from ccdr.model.errors import CcdrError
from ccdr.plans.job import Job
from ccdr.plans.one_server import instead_of
from ccdr.plans.runbook_made import RECOVERED
from ccdr.plans.targets import Target
from ccdr.telling.runbook import page

NOW = datetime(2026, 11, 24, 3, 12, tzinfo=UTC)
ONE = "connection: {host: /one, user: u, database: crm}"
SERVER = f"server: {{engine: postgres, method: physical, {ONE}, log_shipping: {{}}}}\n"
DUMP = f"crm: {{engine: postgres, {ONE}}}\n"
BILLING = "billing: {engine: postgres, connection: {host: /one, user: u, database: billing}}\n"
OFTEN, SELDOM = (f'backup: {{schedule: "{cron}"}}' for cron in ("*/10 * * * *", "0 */2 * * *"))
ELSEWHERE = "far: {engine: postgres, connection: {host: /two, user: u, database: crm}}\n"


def state(asset: str, lost: float, proven: float | None = None) -> ChosenState:
    point = NOW - timedelta(seconds=lost)
    snapshot = counted("1f3e9a2b", "p", asset, "r", "x", "x", point, point, 1, "/x", "0" * 64)
    at = None if proven is None else NOW - timedelta(seconds=proven)
    return ChosenState(snapshot, point, None, None if at is None else "PASS", at, lost)


def jobs_of(site: Site, *assets: str) -> list[Job]:
    site.plan("".join(assets))
    loaded = site.loaded()
    return [Job(loaded, name) for name in loaded.plan.assets]


def found(
    jobs: list[Job], lost: Mapping[str, tuple[float, float | None]], identity: Mapping[str, str] = {}
) -> dict[str, Instead]:
    states = {name: state(name, *of) for name, of in lost.items()}
    known = {name: {"system_identifier": number} for name, number in identity.items()}
    manifests = {job.asset: a_manifest(contents=known.get(job.asset, {})) for job in jobs}
    return doubles(jobs, states, manifests)


def test_the_nearer_of_two_that_hold_the_same_is_the_one_to_recover_from(
    site: Site, wording: SnapshotAssertion
) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    (asset, instead), *others = found(jobs, {"crm": (50.0, 10.0), "server": (13.0, None)}).items()
    assert (asset, instead.asset, instead.in_full, others) == ("crm", "server", True, [])
    said = rather(asset, instead)
    assert lines_with(said, "37.0 s") == wording
    assert "do not start it while server will do" in said and "`--except crm`" in said


def test_a_whole_server_has_not_the_rows_of_its_unlogged_tables_and_the_dump_that_has_is_named(
    site: Site, wording: SnapshotAssertion
) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    states = {"crm": state("crm", 50.0), "server": state("server", 13.0)}
    lost = {"unlogged": 2, "unlogged_tables": ["public dialler_session", "public scratch"]}
    tables = {"public dialler_session crm owner": {"rows": 20}, "public scratch crm owner": {"rows": 0}}
    dump = a_manifest(contents={"tables": tables, "roles": {"crm owner": [False], "owner": [False]}})
    why = doubles(jobs, states, {"crm": dump, "server": a_manifest(method="physical", contents=lost)})["crm"].why
    named = "public.dialler_session, public.scratch"
    assert f"({named})" in why and why == wording
    none = a_manifest(method="physical", contents={"unlogged": 0, "unlogged_tables": []})
    why = doubles(jobs, states, {"crm": dump, "server": none})["crm"].why
    assert why.endswith("it has all of the server")


def test_what_was_captured_together_with_the_other_one_is_told_to_lie_behind(
    site: Site, wording: SnapshotAssertion
) -> None:
    dump, files = (
        DUMP.replace("{engine", "{group: calls, engine"),
        "rec: {engine: files, group: calls, paths: [/srv/rec]}\n",
    )
    jobs = jobs_of(site, dump, SERVER, files)
    instead = found(jobs, {"crm": (50.0, 10.0), "server": (13.0, None), "rec": (50.0, None)})["crm"]
    assert instead.at_once_with == ("rec",) and rather("crm", instead) == wording
    apart = found(jobs_of(site, DUMP, SERVER), {"crm": (50.0, 10.0), "server": (13.0, None)})["crm"]
    assert "counterpart" not in rather("crm", apart)


def test_as_near_it_is_the_one_that_was_proven_later_and_else_the_whole_server(site: Site) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    later = found(jobs, {"crm": (13.0, 900.0), "server": (13.2, 60.0)})
    assert later["crm"].asset == "server" and "proven later, on 2026-11-24T03:11:00Z" in later["crm"].why
    assert found(jobs, {"crm": (13.0, None), "server": (13.0, None)})["crm"].asset == "server"


def test_a_dump_that_is_nearer_than_the_whole_server_leaves_that_the_rest(site: Site) -> None:
    """Which the dump does not hold: it is started as well."""
    instead = found(
        jobs_of(site, DUMP, BILLING, SERVER), {"crm": (50.0, None), "billing": (60.0, None), "server": (9000.0, None)}
    )
    assert {name: one.asset for name, one in instead.items()} == {"server": "crm"}
    assert not instead["server"].in_full and "start it beside it" in rather("server", instead["server"])


def test_two_servers_and_two_databases_of_one_are_no_doubles(site: Site) -> None:
    assert found(jobs_of(site, DUMP, ELSEWHERE), {"crm": (1.0, None), "far": (2.0, None)}) == {}
    assert found(jobs_of(site, DUMP, BILLING), {"crm": (1.0, None), "billing": (2.0, None)}) == {}


def test_what_was_captured_knows_better_than_the_plan_which_server_it_is_of(site: Site) -> None:
    lost = {"crm": (50.0, None), "far": (60.0, None)}
    jobs = jobs_of(site, DUMP, ELSEWHERE)
    assert found(jobs, lost, {"crm": "77", "far": "77"})["far"].asset == "crm"
    lost = {"crm": (50.0, None), "server": (9.0, None)}
    jobs = jobs_of(site, DUMP, SERVER)
    assert found(jobs, lost, {"crm": "77", "server": "78"}) == {}
    assert found(jobs, lost, {"crm": "77", "server": "77"})["crm"].asset == "server"


def test_a_plan_made_from_backups_knows_no_address_and_calls_none_the_same(site: Site) -> None:
    nowhere = "{engine: redis, connection: {host: 192.0.2.1, tls: verify, ca_file: ca.pem}}"
    jobs = jobs_of(site, f"a: {nowhere}\nb: {nowhere}\n")
    assert found(jobs, {"a": (1.0, None), "b": (2.0, None)}) == {}


def test_the_page_and_bootstrap_say_which_by_the_plan_alone(site: Site, wording: SnapshotAssertion) -> None:
    plan = jobs_of(site, DUMP, BILLING, SERVER)[0].loaded.plan
    for spare in ("crm", "billing"):
        assert instead_of(plan, spare) == ("server", wording)
    assert instead_of(plan, "server") is None


@pytest.fixture
def under(tmp_path: Path) -> RecoverRequest:
    return RecoverRequest(under=tmp_path)


def ports(places: Mapping[str, Target]) -> dict[str, int | None]:
    return {name: where.new_server.port for name, where in places.items() if where.new_server is not None}


def test_the_one_to_recover_from_has_the_port_of_the_source_and_the_other_the_next(
    site: Site, under: RecoverRequest, wording: SnapshotAssertion
) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    places, problems = places_of(jobs, under)
    assert problems == []
    given, moved = with_ports(places, jobs, ["crm"], lambda *_: False)
    assert ports(given) == {"crm": 5433, "server": None}
    (said,) = moved_of(moved, {"crm": Instead("server", "")})
    assert said == wording
    given, _ = with_ports(places, jobs, ["server"], lambda *_: False)
    assert ports(given) == {"crm": None, "server": 5433}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)], ids=str)
@pytest.mark.parametrize("shipped", [True, False])
def test_the_page_foretells_the_ports_that_a_recovery_gives_where_the_states_lie_as_the_plan_has_it(
    site: Site, under: RecoverRequest, order: tuple[int, ...], shipped: bool
) -> None:
    """Also of a server of which one database is backed up more often than all of it."""
    server = SERVER if shipped else f"server: {{engine: postgres, method: physical, {ONE}, {SELDOM}}}\n"
    billing = BILLING.replace("{engine", f"{{{OFTEN}, engine")
    assets = (DUMP.replace("{engine", f"{{{OFTEN}, engine"), server, billing)
    jobs = jobs_of(site, *(assets[number] for number in order))
    loaded = jobs[0].loaded
    lost: dict[str, tuple[float, float | None]] = {"crm": (600.0, None), "billing": (600.0, None)}
    lost["server"] = (20.0, None) if shipped else (7200.0, None)
    places, _ = places_of(jobs, RecoverRequest(under=Path(RECOVERED)))
    given, moved = with_ports(places, jobs, found(jobs, lost), lambda *_: False)
    assert (given, moved) == page._ports(loaded)
    assert page._may_differ(loaded) is not None and len(moved) == 2


def test_a_port_that_something_has_or_that_another_was_promised_is_passed_over(
    site: Site, under: RecoverRequest
) -> None:
    third = "far: {engine: postgres, connection: {host: db9, port: 5434, user: u, database: x}}\n"
    jobs = jobs_of(site, DUMP, SERVER, third)
    places, _ = places_of(jobs, under)
    given, _ = with_ports(places, jobs, ["crm"], lambda _, port: port == 5433)
    assert ports(given) == {"crm": 5435, "server": None, "far": None}


def test_a_port_that_somebody_stated_is_theirs_whichever_is_to_be_preferred(
    site: Site, under: RecoverRequest, tmp_path: Path
) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    stated = {"crm": Target.model_validate({"new_server": {"directory": str(tmp_path / "c"), "port": 5432}})}
    places, _ = places_of(jobs, RecoverRequest(under=tmp_path, targets=stated))
    given, moved = with_ports(places, jobs, ["crm"], lambda *_: False)
    assert ports(given) == {"crm": 5432, "server": 5433} and [one.asset for one in moved] == ["server"]
    apart = {"crm": Target.model_validate({"new_server": {"directory": str(tmp_path / "c"), "port": 5440}})}
    places, _ = places_of(jobs, RecoverRequest(under=tmp_path, targets=apart))
    assert with_ports(places, jobs, ["crm"], lambda *_: False) == (places, [])


def test_one_that_listens_everywhere_is_in_the_way_of_one_address(
    site: Site, under: RecoverRequest, tmp_path: Path
) -> None:
    jobs = jobs_of(site, DUMP, SERVER)
    everywhere = {"new_server": {"directory": str(tmp_path / "c"), "address": "0.0.0.0"}}
    places, _ = places_of(jobs, RecoverRequest(under=tmp_path, targets={"crm": Target.model_validate(everywhere)}))
    assert ports(with_ports(places, jobs, ["crm"], lambda *_: False)[0]) == {"crm": 5433, "server": None}


def planned(asset: str, tmp_path: Path, spare_of: str | None = None) -> Planned:
    where = Target.model_validate({"new_server": {"directory": str(tmp_path / asset), "port": 5433}})
    return Planned(asset, "s", NOW, None, None, 1.0, where, spare_of=spare_of)


def test_the_journal_keeps_what_is_a_spare_and_at_which_port(tmp_path: Path) -> None:
    one = planned("crm", tmp_path, "server")
    assert made_of(json.loads(json.dumps(plain(one))), Planned) == one


def test_only_a_spare_may_stay_closed_once_servers_must_be_opened(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs_of(site, DUMP, SERVER)
    asked: dict[str, bool] = {}

    class Standing:
        def __init__(self, planned: Planned, *_: object, must_be_opened: bool, **__: object) -> None:
            asked[planned.asset] = must_be_opened
            raise CcdrError("not looked at here")

    monkeypatch.setattr(again, "Standing", Standing)
    monkeypatch.setattr(again.Of, "told", lambda *_, **__: None)
    decision = Decision("p", None, (planned("crm", tmp_path, "server"), planned("server", tmp_path)), None, None)
    services = site.services()
    with services.state.run(services.clock) as run:
        told: Any = SimpleNamespace(decided=decision.journaled, assets={})
        again.check_again(site.loaded(), told, services, run, Watching(), {}, must_be_opened=True)
        run.clear()
    assert asked == {"crm": False, "server": True}


@pytest.mark.parametrize("taken", [True, False])
def test_a_spare_that_nobody_has_started_is_asked_where_the_server_in_use_is(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """What somebody emptied in the server that applications use is in no copy of the spare."""
    jobs_of(site, DUMP, SERVER)
    asked: list[tuple[str, str]] = []

    class Standing:
        def __init__(self, planned: Planned, job: Job, *_: object, **__: object) -> None:
            self.planned, self.job, self.result = planned, job, SimpleNamespace(left_behind=[])

        def has_its_place_taken_by(self, first: Standing | None) -> bool:
            return taken and first is not None

        def look(self, _: object) -> list[object]:
            asked.append((self.planned.asset, self.planned.asset))
            return []

        def look_in(self, first: Standing, _: object) -> list[object]:
            asked.append((self.planned.asset, first.planned.asset))
            return []

    monkeypatch.setattr(again, "Standing", Standing)
    monkeypatch.setattr(again.Of, "told", lambda *_, **__: None)
    decision = Decision("p", None, (planned("crm", tmp_path, "server"), planned("server", tmp_path)), None, None)
    services = site.services()
    with services.state.run(services.clock) as run:
        told: Any = SimpleNamespace(decided=decision.journaled, assets={})
        results = again.check_again(site.loaded(), told, services, run, Watching(), {}, must_be_opened=True)
        run.clear()
    assert asked == [("server", "server"), ("crm", "server" if taken else "crm")]
    assert [one.planned.asset for one in results] == ["crm", "server"], "told in the order of the recovery"
