"""A high risk lets the notice to the persons count, and nothing is settled against a risk that was noted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Ran, Site

from ccdr.model.values import utc

ASSET = "crm: {engine: files, paths: [/spool]}"
CLOSING = ("--cause", "attack", "--effects", "recordings were read", "--remedy", "keys were changed")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan(ASSET)
    return made


def opened(site: Site, *more: str) -> str:
    done = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "recordings were read", *more)
    assert done.code in (0, 1), done
    return str(done.json["incident"])


def note(site: Site, name: str, *more: str) -> Ran:
    return site.run("incident", "note", name, *more)


def risk(site: Site, name: str, how: str) -> Ran:
    return note(site, name, "--risk", how, "--risk-why", "card numbers")


def filed(site: Site, name: str, clock: str, *more: str) -> Ran:
    return note(site, name, "--filed", clock, "--receipt", "/etc/hostname", *more)


def clocks(done: Ran) -> dict[str, bool]:
    """Of each whether somebody said that it is not due."""
    assert done.code in (0, 1), done
    return {one["clock"]: one["not_due_record"] is not None for one in done.json["duties"]}


def part(site: Site) -> dict[str, Any]:
    (measure,) = [one for one in site.run("controls").json["measures"] if one["id"] == "incident-reporting"]
    (found,) = [one for one in measure["parts"] if one["id"] == "incidents"]
    return dict(found)


def test_a_high_risk_lets_the_notice_to_the_persons_count_and_a_lower_one_does_not(site: Site) -> None:
    name = opened(site)
    assert clocks(risk(site, name, "risk")) == {"gdpr-33": False}
    assert clocks(risk(site, name, "high")) == {"gdpr-33": False, "gdpr-34": False}
    assert clocks(note(site, name, "--not-due", "gdpr-34", "--text", "34(3)(a): encrypted"))["gdpr-34"]
    assert clocks(risk(site, name, "high"))["gdpr-34"], "the same risk: what was said of it holds"
    assert filed(site, name, "gdpr-33").code == 0
    assert site.run("incident", "close", name, *CLOSING).code == 0
    assert part(site)["state"] == "stated"
    site.ledger_holds()


def test_a_high_risk_takes_back_that_nothing_was_due(site: Site) -> None:
    name = opened(site)
    assert clocks(note(site, name, "--not-due", "gdpr-33", "--text", "no risk")) == {"gdpr-33": True}
    assert clocks(risk(site, name, "high")) == {"gdpr-33": False, "gdpr-34": False}


def test_what_a_risk_lets_count_again_is_due_when_it_was_whatever_the_file_says_later(site: Site) -> None:
    edited = "roles: {}\nclocks:\n  gdpr-33: {law: GDPR 33(1), to: authority, within: "
    persons = "  gdpr-34: {law: GDPR 34(1), to: customers, within: 24h, after: gdpr-33}\n"
    site.write("incidents.yaml", f"{edited}72h}}\n")
    site.plan(ASSET, extra="incidents: {clocks: [gdpr-33]}\n")
    name = opened(site)
    (before,) = note(site, name, "--not-due", "gdpr-33", "--text", "no risk").json["duties"]
    site.write("incidents.yaml", f"{edited}999h}}\n{persons}")
    (again,) = risk(site, name, "risk").json["duties"]
    assert (again["due"], again["not_due_record"]) == (before["due"], None)
    (told, *_) = filed(site, name, "gdpr-33").json["duties"]
    _, later = risk(site, name, "high").json["duties"]
    assert utc(later["due"]) - utc(told["filed_at"]) == timedelta(hours=24), "it follows what was filed already"


def test_a_processor_and_another_regime_have_no_notice_to_the_persons(site: Site) -> None:
    site.plan(ASSET, extra="incidents: {role: processor}\n")
    assert clocks(risk(site, opened(site), "high")) == {"gdpr-33-2": False}
    site.plan(ASSET, extra="incidents: {clocks: [hipaa-404]}\n")
    assert clocks(risk(site, opened(site), "high")) == {"hipaa-404": False}


def test_a_file_of_clocks_without_that_notice_takes_the_one_that_comes_with_ccdr(site: Site) -> None:
    site.write("incidents.yaml", "roles: {}\nclocks:\n  gdpr-33: {law: GDPR 33(1), to: authority, within: 48h}\n")
    site.plan(ASSET, extra="incidents: {clocks: [gdpr-33]}\n")
    assert clocks(risk(site, opened(site), "high")) == {"gdpr-33": False, "gdpr-34": False}


@pytest.mark.parametrize("how", ["risk", "high"])
def test_that_no_notice_is_due_is_refused_against_a_risk_that_was_noted(site: Site, how: str) -> None:
    name = opened(site)
    risk(site, name, how)
    noted = len(site.records())
    refused = note(site, name, "--not-due", "gdpr-33", "--text", "no risk to anybody")
    assert refused.code == 2 and f"the risk was noted as {how}" in refused.json["error"], refused
    assert "--risk unlikely --risk-why" in refused.json["hint"]
    more = ("--not-due", "gdpr-33", *(("--not-due", "gdpr-34") if how == "high" else ()))
    closing = site.run("incident", "close", name, *CLOSING, *more)
    assert closing.code == 2 and f"the risk was noted as {how}" in closing.json["error"], closing
    assert len(site.records()) == noted, "nothing was recorded"
    assert risk(site, name, "unlikely").code == 0
    assert note(site, name, "--not-due", "gdpr-33", "--text", "no risk to anybody").code == 0, "the twin"


def test_an_incident_of_high_risk_is_not_closed_before_the_persons_were_told(site: Site) -> None:
    name = opened(site)
    filed(site, name, "gdpr-33")
    high = ("--risk", "high", "--risk-why", "card numbers")
    refused = site.run("incident", "close", name, *CLOSING, *high)
    assert refused.code == 2 and "gdpr-34" in refused.json["error"], refused
    assert not site.records("note.incident") and not site.records("decide.not_due")
    closed = site.run("incident", "close", name, *CLOSING, *high, "--not-due", "gdpr-34")
    assert closed.code == 0 and clocks(closed) == {"gdpr-33": False, "gdpr-34": True}, closed


def test_a_false_alarm_is_of_no_risk(site: Site) -> None:
    name = opened(site)
    risk(site, name, "high")
    alarm = ("--cause", "false_alarm", "--effects", "none", "--remedy", "none")
    refused = site.run("incident", "close", name, *alarm)
    assert refused.code == 2 and "the risk was noted as high" in refused.json["error"], refused
    lower = ("--risk", "unlikely", "--risk-why", "nobody read them")
    assert site.run("incident", "close", name, *alarm, *lower).code == 0, "the twin"


def test_the_risk_of_a_closed_incident_rises_once_it_is_open_again(site: Site) -> None:
    name = opened(site)
    assert site.run("incident", "close", name, *CLOSING, "--not-due", "gdpr-33").code == 0
    refused = risk(site, name, "high")
    assert refused.code == 2 and "incident reopen" in refused.json["hint"], refused
    assert risk(site, name, "unlikely").code == 0
    site.run("incident", "reopen", name, "--why", "they were read")
    assert clocks(risk(site, name, "high")) == {"gdpr-33": False, "gdpr-34": False}


@pytest.mark.parametrize("cause", ["false_alarm", "attack"])
def test_what_is_overdue_does_not_turn_green_by_closing_alone(site: Site, cause: str) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    closing = ("--cause", cause, "--effects", "none", "--remedy", "none")
    refused = site.run("incident", "close", name, *closing, "--not-due", "gdpr-33")
    assert refused.code == 2 and "gdpr-33 is overdue" in refused.json["error"], refused
    assert f"ccdr incident note {name} --not-due gdpr-33 --text" in refused.json["hint"]
    assert part(site)["state"] == "contradicted"
    assert note(site, name, "--not-due", "gdpr-33", "--text", "nobody's data was there").code == 0
    assert site.run("incident", "close", name, *closing).code == 0
    told = part(site)
    assert told["state"] == "stated" and "1 said not to be due" in told["observed"][0]["text"], told


def test_a_risk_that_is_said_with_the_closing_settles_nothing_that_is_overdue_by_it(site: Site) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    filed(site, name, "gdpr-33", "--filed-at", "2026-01-06 08:00")
    noted = len(site.records())
    high = ("--risk", "high", "--risk-why", "card numbers")
    refused = site.run("incident", "close", name, *CLOSING, *high, "--not-due", "gdpr-34")
    assert refused.code == 2 and "gdpr-34 is overdue since 2026-01-08" in refused.json["error"], refused
    assert f"ccdr incident note {name} --risk high --risk-why" in refused.json["hint"]
    assert len(site.records()) == noted, "nothing was recorded"
    assert risk(site, name, "high").code in (0, 1)
    assert note(site, name, "--not-due", "gdpr-34", "--text", "34(3)(a): encrypted").code == 0
    assert site.run("incident", "close", name, *CLOSING).code == 0
    assert part(site)["state"] == "stated"


def test_the_controls_count_what_was_late_and_what_was_said_not_to_be_due(site: Site) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    filed(site, name, "gdpr-33", "--filed-at", "2026-01-10 08:00")
    site.run("incident", "close", name, *CLOSING)
    for _ in range(2):
        other = opened(site)
        note(site, other, "--not-due", "gdpr-33", "--text", "encrypted")
        site.run("incident", "close", other, *CLOSING)
    told = part(site)
    assert told["state"] == "stated", told
    text = told["observed"][0]["text"]
    assert "1 filed late, 2 said not to be due" in text, text


def test_the_register_says_that_a_notification_was_late_and_why(site: Site) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    filed(site, name, "gdpr-33", "--filed-at", "2026-01-10 09:00", "--text", "the mail server was down, too")
    (row,) = site.run("incident", "register").json["incidents"]
    (duty,) = row["duties"]
    assert (duty["due"], duty["filed_at"]) == ("2026-01-08T08:00:00Z", "2026-01-10T09:00:00Z")
    assert duty["late"] and duty["delay_why"] == "the mail server was down, too", duty
    out = site.root / "register.csv"
    site.run("incident", "register", "--format", "csv", "--out", str(out))
    text = out.read_text()
    assert "due 2026-01-08T08:00:00Z, filed 2026" in text and "LATE by 2d 1h" in text, text
    assert "delay: the mail server was down, too" in text


def test_a_delay_without_a_reason_is_told_and_what_was_in_time_has_none(site: Site) -> None:
    late, timely = opened(site, "--aware-at", "2026-01-05 08:00"), opened(site)
    filed(site, late, "gdpr-33")
    filed(site, timely, "gdpr-33", "--text", "in time")
    rows = {row["incident"]: row["duties"][0] for row in site.run("incident", "register").json["incidents"]}
    assert (rows[late]["late"], rows[late]["delay_why"]) == (True, None)
    assert (rows[timely]["late"], rows[timely]["delay_why"]) == (False, None)
    out = site.root / "register.csv"
    site.run("incident", "register", "--format", "csv", "--out", str(out))
    assert out.read_text().count("no reason for the delay is noted") == 1


def test_what_is_overdue_and_not_filed_is_late_in_the_register(site: Site) -> None:
    opened(site, "--aware-at", "2026-01-05 08:00")
    (row,) = site.run("incident", "register").json["incidents"]
    assert row["duties"][0]["late"] is True and row["duties"][0]["filed_at"] is None
    out = site.root / "register.csv"
    site.run("incident", "register", "--format", "csv", "--out", str(out))
    assert "due 2026-01-08T08:00:00Z, OVERDUE by " in out.read_text() and ", not filed" in out.read_text()


def test_the_reason_of_a_delay_is_asked_for_and_may_come_later(site: Site) -> None:
    name = opened(site, "--aware-at", "2026-01-05 08:00")
    receipt = ("--receipt", "/etc/hostname")
    bare = site.run("incident", "note", name, "--filed", "gdpr-33", *receipt)
    assert "the authority asks why" in bare.stderr and "--text WHY" in bare.stderr
    more = site.run("incident", "note", name, "--filed", "gdpr-33", *receipt, "--text", "nobody knew the form")
    assert "was filed before, by record" in more.stderr and "asks why" not in more.stderr
    (row,) = site.run("incident", "register").json["incidents"]
    assert row["duties"][0]["delay_why"] == "nobody knew the form"
    assert row["duties"][0]["filed_record"] == bare.json["duties"][0]["filed_record"]
    other = opened(site)
    assert "asks why" not in site.run("incident", "note", other, "--filed", "gdpr-33", *receipt).stderr
