"""What has to be notified after an incident: ccdr's own file is right, and each mistake of a user's is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site

from ccdr.jobs.incidents.opening import recorded_clocks, unknown_clocks
from ccdr.model.errors import PlanInvalid
from ccdr.model.values import rfc3339, utc
from ccdr.plans.facts import PlanFacts
from ccdr.plans.incident_clocks import PlanIncidents, clocks_beside, clocks_schema, load_clocks
from ccdr.plans.loosened import Code, loosened
from ccdr.plans.own_file import packaged
from ccdr.plans.words import sentence

GOOD = """\
roles:
  controller: [gdpr-33]
clocks:
  gdpr-33: {law: "GDPR 33(1)", to: authority, within: 72h}
  local:
    law: "our contract, 7.3"
    to: customers
    within: 4h
    told_before: 1h
"""


def test_the_file_that_comes_with_ccdr_is_right_and_says_what_each_role_has_to_notify() -> None:
    own = load_clocks(None).value
    assert own.of(PlanIncidents()) == ("gdpr-33",)
    assert own.of(PlanIncidents(role="processor")) == ("gdpr-33-2",)
    assert own.of(PlanIncidents(clocks=("nis2-23",))) == ("nis2-23",)
    lengths = {name: one.within or f"{one.months} month" for name, one in own.clocks.items()}
    assert lengths == {
        "gdpr-33": "72h",
        "gdpr-33-2": "24h",
        "gdpr-34": "72h",
        "hipaa-404": "60d",
        "hipaa-406": "60d",
        "hipaa-408": "60d",
        "hipaa-408-yearly": "60d",
        "hipaa-410": "60d",
        "nis2-23-warning": "24h",
        "nis2-23": "72h",
        "nis2-23-interim": "72h",
        "nis2-23-final": "1 month",
        "nis2-23-progress": "1 month",
        "nis2-23-handled": "1 month",
    }
    assert all(one.quote for one in own.clocks.values()), "the law's own words"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("72h", "3 days", "4: clocks.gdpr-33.within"),
        ("within: 72h", "within: 72h, months: 1", "4: clocks.gdpr-33"),
        (", within: 72h", "", "4: clocks.gdpr-33"),
        ("to: authority", "to: press", "4: clocks.gdpr-33.to"),
        ("[gdpr-33]", "[gdpr-3]", "2: roles.controller[0]: is no clock, did you mean gdpr-33?"),
        ("within: 72h", "within: 72h, after: nothing", "4: clocks.gdpr-33.after: is no clock"),
        ("within: 72h", "within: 72h, after: gdpr-33", "4: clocks.gdpr-33.after: comes back to itself"),
        ("within: 72h", "within: 72h, since: stated", "2: roles.controller[0]: is counted from when a person says"),
        ("within: 4h", "within: 4h\n    after: gdpr-33\n    since: stated", "5: clocks.local"),
        ("within: 4h", "within: 4h\n    after: gdpr-33\n    since: year_end", "5: clocks.local"),
        ("within: 4h", "within: 4h\n    since: year", "9: clocks.local.since"),
        ("    told_before: 1h", "    told_befor: 1h", "9: clocks.local.told_befor"),
        ("our contract, 7.3", "x" * 61, "6: clocks.local.law"),
    ],
)
def test_each_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "incidents.yaml"
    path.write_text(GOOD)
    assert clocks_beside(tmp_path / "plans").value.clocks["local"].before == 3600
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(PlanInvalid) as wrong:
        clocks_beside(tmp_path / "plans")
    assert any(f"{path}:{said}" in str(problem) for problem in wrong.value.problems), wrong.value.problems


def test_its_schema_is_for_editors() -> None:
    assert {"roles", "clocks"} == set(clocks_schema()["properties"])
    assert b"GDPR 33(1)" in packaged("incidents.yaml")


def test_a_clock_that_the_plan_names_and_there_is_not_is_named_with_its_line(
    tmp_path: Path, wording: SnapshotAssertion
) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {clocks: [gdpr-33, nis-23]}\n")
    (wrong,) = unknown_clocks(site.loaded(), load_clocks(None))
    assert "incidents.clocks[1]: " in str(wrong) and "nis2-23?" in str(wrong) and wrong.line > 1
    assert str(wrong).partition("incidents.")[2] == wording
    told = site.run("plan", "check")
    assert told.code == 0 and any("is no clock" in line for line in told.json["lint"]), told
    site.write("incidents.yaml", "roles: {}\nclocks: {mine: {law: x, to: nobody, within: 1h}}\n")
    assert any("incidents.yaml:2: clocks.mine.to" in line for line in site.run("plan", "check").json["lint"])


def test_what_follows_another_is_due_when_that_is_filed_which_counts_as_well() -> None:
    aware = utc("2026-11-24T12:00:00Z")
    for named in (["nis2-23", "nis2-23-final"], ["nis2-23-final"], ["nis2-23-final", "nis2-23"]):
        both = recorded_clocks(load_clocks(None), named, aware, "UTC")
        stated = {one.clock: (one.due, one.after) for one in both}
        assert stated == {"nis2-23": (utc("2026-11-27T12:00:00Z"), None), "nis2-23-final": (None, "nis2-23")}


def dues(names: list[str], aware: str, zone: str = "UTC") -> dict[str, str]:
    clocks = recorded_clocks(load_clocks(None), names, utc(aware), zone)
    return {one.clock: rfc3339(one.due) for one in clocks if one.due is not None}


HIPAA = ["hipaa-404", "hipaa-406", "hipaa-408", "hipaa-410", "hipaa-408-yearly"]


@pytest.mark.parametrize(
    ("aware", "sixty", "yearly"),
    [
        ("2026-06-15T12:00:00Z", "2026-08-14T12:00:00Z", "2027-03-01T23:59:59Z"),
        ("2027-06-15T12:00:00Z", "2027-08-14T12:00:00Z", "2028-02-29T23:59:59Z"),
        ("2027-12-31T23:59:59Z", "2028-02-29T23:59:59Z", "2028-02-29T23:59:59Z"),
        ("2028-01-01T00:00:00Z", "2028-03-01T00:00:00Z", "2029-03-01T23:59:59Z"),
    ],
)
def test_hipaa_has_sixty_days_and_of_fewer_than_500_sixty_after_the_years_end(
    aware: str, sixty: str, yearly: str
) -> None:
    assert dues(HIPAA, aware) == {**dict.fromkeys(HIPAA[:4], sixty), "hipaa-408-yearly": yearly}


def test_the_year_is_the_one_of_the_plans_time_zone() -> None:
    aware = "2027-01-01T03:00:00Z"  # in New York the year is not over
    assert dues(["hipaa-408-yearly"], aware, "America/New_York") == {"hipaa-408-yearly": "2027-03-02T04:59:59Z"}
    assert dues(["hipaa-408-yearly"], aware) == {"hipaa-408-yearly": "2028-02-29T23:59:59Z"}


def test_whom_hipaa_wants_told_is_who_the_law_names() -> None:
    clocks = load_clocks(None).value.clocks
    to = {name: (clocks[name].law, clocks[name].to) for name in HIPAA}
    assert to == {
        "hipaa-404": ("45 CFR 164.404(b)", "customers"),
        "hipaa-406": ("45 CFR 164.406(b)", "media"),
        "hipaa-408": ("45 CFR 164.408(b)", "authority"),
        "hipaa-408-yearly": ("45 CFR 164.408(c)", "authority"),
        "hipaa-410": ("45 CFR 164.410(b)", "customers"),
    }


def test_what_counts_from_when_a_person_says_is_no_clock_of_a_plan(tmp_path: Path, wording: SnapshotAssertion) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {clocks: [gdpr-33, nis2-23-interim]}\n")
    (wrong,) = unknown_clocks(site.loaded(), load_clocks(None))
    assert str(wrong).partition("incidents.")[2] == wording


def test_the_law_is_quoted_whole_or_says_where_it_is_not() -> None:
    quote = load_clocks(None).value.clocks["gdpr-33"].quote
    assert quote and "is unlikely to result in a risk" in quote


def sentences(site: Site, before: PlanFacts) -> list[str]:
    return [sentence(one) for one in loosened(before, site.loaded().facts)]


def test_a_role_by_which_less_has_to_be_notified_is_a_loosening_of_the_plan(
    tmp_path: Path, wording: SnapshotAssertion
) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {role: controller}\n")
    before = site.loaded().facts
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {role: processor}\n")
    (told,) = sentences(site, before)
    assert told == wording
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {clocks: [gdpr-33, nis2-23-final]}\n")
    assert sentences(site, before) == []
    assert site.loaded().facts.clocks and "nis2-23" in site.loaded().facts.clocks


def test_so_is_a_clock_that_a_file_of_ones_own_takes_away_or_gives_more_time(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    site.plan("crm: {engine: files, paths: [/x]}")
    site.write("incidents.yaml", GOOD.replace("[gdpr-33]", "[gdpr-33, local]"))
    before = site.loaded().facts
    site.write("incidents.yaml", GOOD.replace("within: 72h", "within: 99h"))
    assert [one.code for one in loosened(before, site.loaded().facts)] == [
        Code.INCIDENT_CLOCK_LONGER,
        Code.INCIDENT_CLOCK_GONE,
    ]
    site.write("incidents.yaml", GOOD.replace("[gdpr-33]", "[gdpr-33, local]").replace("4h", "4h\n    since: year_end"))
    assert [one.code for one in loosened(before, site.loaded().facts)] == [Code.INCIDENT_CLOCK_LONGER]
    site.write("incidents.yaml", "nothing of this")
    assert [one.item for one in loosened(before, site.loaded().facts)] == ["local"], "ccdr's own are taken then"


def test_a_clock_of_the_years_end_stays_one_and_is_due_when_it_was_whatever_the_file_says_later(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    edited = "roles: {}\nclocks:\n  yearly: {law: x, to: authority, since: year_end, within: "
    site.plan("crm: {engine: files, paths: [/x]}", extra="incidents: {clocks: [yearly]}\n")
    site.write("incidents.yaml", f"{edited}60d}}\n")
    done = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "they were read")
    name, due = done.json["incident"], done.json["duties"][0]["due"]
    site.run("incident", "note", name, "--not-due", "yearly", "--text", "none was due")
    site.write("incidents.yaml", f"{edited}90d}}\n")
    (again,) = site.run("incident", "note", name, "--clock", "yearly").json["duties"]
    assert (again["due"], again["not_due_record"]) == (due, None)
    over = ("--cause", "hardware", "--effects", "none", "--remedy", "none", "--not-due", "yearly")
    assert site.run("incident", "close", name, *over).code == 0
    assert site.run("incident", "reopen", name, "--why", "they were read after all").code == 0
    stated = [one for kind in ("incident.opened", "note.incident") for one in site.records(kind)]
    told = [clock for one in stated for clock in one.get("about", one)["clocks"]]
    assert [(one["due"], one["year_end"]) for one in told] == [(due, True)] * 3
