"""By when a deviation is to be over: whoever says another day moves it in sight, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.chronicle import Chronicle
from tests.support.harness import Site
from tests.support.records import record_in
from tests.unit.test_deviation_command import DAY, began, only

from ccdr.model.values import rfc3339, utc


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan("crm: {engine: files, paths: [/spool]}")
    return made


def broken(site: Site) -> Chronicle:
    """A ledger that was found broken eight days ago."""
    past = Chronicle(datetime.now(UTC).replace(microsecond=0), "/spool")
    past.stored(-9 * DAY, "old")
    past.wrote(-8 * DAY, "ledger.verified", asset=None, result="BROKEN", records=1, head="0" * 64, summary="NONE")
    past.records[-1]["plan"] = None
    past.keep(site.state / "ledger", site.services().catalogue)
    return past


def test_nobody_moves_a_day_further_than_a_risk_may_be_accepted(site: Site) -> None:
    began(site, failed=-8 * DAY)
    name, records = only(site)["deviation"], len(site.records())
    refused = site.run("deviation", "assign", name, "--owner", "dba@x", "--due", "367d")
    assert (refused.code, len(site.records())) == (2, records)


def assigned(deviation: str, code: str, until: str) -> dict[str, object]:
    about = {"of": "finding", "deviation": deviation, "code": code, "owner": "x"}
    made = {"made": rfc3339(datetime.now(UTC)), "nonce": "0" * 32}
    return {"says": "assign", "about": about, "until": until, **made}


def test_nor_does_a_record_that_says_so(site: Site) -> None:
    began(site, failed=-8 * DAY)
    one, services = only(site), site.services()
    body = assigned(one["deviation"], "TEST_FAILED", "2099-01-01T00:00:00Z")
    record_in(services.ledger, "statement", plan="p", asset=None, run=None, body=body)
    assert utc(only(site)["due"]) <= datetime.now(UTC) + timedelta(days=367)


def test_the_day_of_what_nobody_may_accept_is_never_later_than_the_plan_says(site: Site) -> None:
    broken(site)
    (one,) = (o for o in site.run("deviation", "list").json["deviations"] if o["code"] == "LEDGER_BROKEN")
    assert one["overdue"] is True
    name = one["deviation"]
    refused = site.run("deviation", "assign", name, "--owner", "dba@x", "--due", "90d")
    assert refused.code == 2, refused
    body = assigned(name, "LEDGER_BROKEN", rfc3339(datetime.now(UTC) + timedelta(9)))
    record_in(site.services().ledger, "statement", plan=None, asset=None, run=None, body=body)
    shown = site.run("deviation", "show", name)
    assert (shown.json["owner"], shown.json["overdue"], shown.json["due"]) == ("x", True, one["due_by_rule"])


# --- of a plan that is not there any more ----------------------------------------------------------------------------


def renamed(site: Site) -> None:
    path = site.root / "plans/p.yaml"
    path.with_name("q.yaml").write_text(path.read_text().replace("plan: p\n", "plan: q\n"))
    path.unlink()


def left(site: Site, command: str = "status") -> list[str]:
    document = site.run(command, "--json").json
    return [one["code"] for one in document["without_file" if command == "status" else "findings"]]


def test_what_is_overdue_is_so_when_its_plan_has_another_name(site: Site) -> None:
    began(site, failed=-8 * DAY)
    assert left(site) == []
    renamed(site)
    done = site.run("status")
    assert done.code == 1 and left(site) == ["DEVIATION_OVERDUE"]
    assert "DEVIATION_OVERDUE" in left(site, "report")


def test_in_time_it_is_no_finding_there_either(site: Site) -> None:
    began(site)
    renamed(site)
    assert left(site) == [] and "DEVIATION_OVERDUE" not in left(site, "report")


def test_it_is_acknowledged_as_what_is_of_no_plan(site: Site) -> None:
    began(site, failed=-8 * DAY)
    renamed(site)
    assert site.run("ack", "DEVIATION_OVERDUE", "--until", "3d", "--why", "it moved").code == 0
    (one,) = site.run("status").json["without_file"]
    assert one["acknowledged"] is True


def test_what_the_ledger_found_about_itself_stands_in_the_report_of_a_plan(site: Site) -> None:
    broken(site)
    for plans in ((), ("p",)):
        told = site.run("report", *plans, "--json").json["deviations"]
        assert "LEDGER_BROKEN" in [one["code"] for one in told], plans
