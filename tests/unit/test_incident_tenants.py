"""An incident of a plan that holds the data of several controllers: each gets a notice of their own, of their own data
alone, and what one of them was told settles nothing for another."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import closed, opened, said_of_incident
from tests.support.harness import Ran, Site
from tests.support.judged import END
from tests.support.sparse import sparse_record

from ccdr.evidence.incidents import MOST_CLOSED, incident_of
from ccdr.evidence.records.statements import NOTE_INCIDENT
from ccdr.jobs.incidents import facts, find, for_recovery, reopen
from ccdr.model.values import rfc3339

PLAN = (
    "crm: {engine: files, paths: [/spool], tenant: acme}\n"
    "voice: {engine: files, paths: [/spool2], tenant: acme}\n"
    "exchange: {engine: files, paths: [/spool3], tenant: beta}\n"
)
RECEIPT = ("--receipt", "/etc/hostname")


class Centre:
    """A processor of two, or of one."""

    def __init__(self, root: Path, assets: str = PLAN, role: str = "processor") -> None:
        self.site = Site(root, bare=True)
        self.site.plan(assets, extra=f"incidents: {{role: {role}}}\n")
        done = self.site.run("incident", "open", "p", "--kind", "availability", "--why", "the array is gone")
        assert done.code == 0, done
        self.opened, self.name = done.json, str(done.json["incident"])

    def note(self, *more: str) -> Ran:
        return self.site.run("incident", "note", self.name, *more)

    def draft(self, *more: str) -> Ran:
        return self.site.run("incident", "draft", self.name, *more)

    @property
    def settled(self) -> dict[str | None, bool]:
        duties = self.site.run("incident", "show", self.name).json["duties"]
        return {one["tenant"]: bool(one["filed_record"] or one["not_due_record"]) for one in duties}


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path)


def test_an_incident_names_whose_data_it_concerns(centre: Centre) -> None:
    assert centre.opened["tenants"] == [
        {"tenant": "acme", "assets": ["crm", "voice"]},
        {"tenant": "beta", "assets": ["exchange"]},
    ]
    assert centre.settled == {"acme": False, "beta": False}
    (row,) = csv.DictReader(
        io.StringIO(centre.site.start("incident", "register").communicate(timeout=60)[0]).readlines()[:2]
    )
    assert row["tenants"] == "acme (crm, voice); beta (exchange)"
    assert "to acme: due" in row["notifications"] and "to beta: due" in row["notifications"]
    centre.site.ledger_holds()


def test_a_recovery_concerns_those_whose_data_were_brought_back(centre: Centre) -> None:
    """Nobody else is owed a notice by it; and who is not in an incident that is open hears by one of their own."""
    site, services = centre.site, centre.site.services()

    def recovered(run: str, *assets: str) -> dict[str, object]:
        told = for_recovery(site.loaded(), services, run, "recover", assets)
        assert told.standing is not None
        return {"name": told.standing.incident.name, "tenants": dict(told.standing.incident.tenants)}

    assert recovered("r-1", "exchange")["name"] == centre.name, "it concerns both"
    site.run("incident", "close", centre.name, "--cause", "false_alarm", "--effects", "none", "--remedy", "none")
    of_beta = recovered("r-2", "exchange")
    assert of_beta["tenants"] == {"beta": ["exchange"]}
    of_acme = recovered("r-3", "voice")
    assert of_acme["name"] != of_beta["name"] and of_acme["tenants"] == {"acme": ["voice"]}
    assert recovered("r-4", "exchange")["name"] == of_beta["name"]


@pytest.mark.parametrize("lang", ["en", "ro"])
def test_each_controller_has_a_draft_that_names_their_own_data_alone(centre: Centre, lang: str) -> None:
    mixed = centre.draft("--to", "customers", "--lang", lang)
    assert mixed.code == 2 and "acme, beta" in mixed.json["error"] and "--tenant" in mixed.json["hint"], mixed
    assert centre.draft("--for", "gdpr-33-2").code == 2
    assert centre.draft("--to", "customers", "--tenant", "gamma").code == 2
    assert centre.draft("--to", "authority", "--tenant", "acme").code == 2
    text = centre.draft("--to", "customers", "--tenant", "acme", "--lang", lang).json["text"]
    assert "acme" in text and "crm, voice" in text and "beta" not in text and "exchange" not in text
    other = centre.draft("--for", "gdpr-33-2", "--tenant", "beta", "--lang", lang).json
    assert other["tenant"] == "beta" and "exchange" in other["text"]
    assert "acme" not in other["text"] and "crm" not in other["text"]
    both = centre.draft("--to", "authority", "--lang", lang).json["text"]
    assert "acme" in both and "beta" in both


def test_what_is_filed_for_one_is_not_filed_for_the_other(centre: Centre) -> None:
    asked = centre.note("--filed", "gdpr-33-2", *RECEIPT)
    assert asked.code == 2 and "acme, beta" in asked.json["error"], asked
    assert centre.note("--filed", "gdpr-33-2", "--tenant", "gamma", *RECEIPT).code == 2
    assert centre.note("--filed", "gdpr-33-2", "--tenant", "acme", *RECEIPT).code == 0
    assert centre.settled == {"acme": True, "beta": False}
    told = centre.draft("--to", "customers", "--tenant", "beta").json["text"]
    assert "notified at" not in told, "what acme was told is none of beta's"
    assert "notified at" in centre.draft("--to", "customers", "--tenant", "acme").json["text"]
    end = ("--cause", "hardware", "--effects", "none", "--remedy", "none")
    left = centre.site.run("incident", "close", centre.name, *end)
    assert left.code == 2 and "gdpr-33-2" in left.json["error"] and "beta" in left.json["error"], left
    status = centre.site.start("status", "p").communicate(timeout=60)[0]
    assert "to the controller beta" in status and "to the controller acme" not in status
    assert centre.note("--filed", "gdpr-33-2", "--tenant", "beta", *RECEIPT).code == 0
    assert centre.site.run("incident", "close", centre.name, *end).code == 0
    centre.site.ledger_holds()


def test_of_one_of_them_a_person_may_say_that_nothing_is_due(centre: Centre) -> None:
    assert centre.note("--not-due", "gdpr-33-2", "--tenant", "beta", "--text", "their data was not in it").code == 0
    assert centre.settled == {"acme": False, "beta": True}
    assert centre.note("--not-due", "gdpr-33-2", "--text", "nobody's").code == 0
    assert centre.settled == {"acme": True, "beta": True}


def test_a_closing_that_is_taken_back_leaves_open_what_it_alone_had_settled(centre: Centre) -> None:
    assert centre.note("--filed", "gdpr-33-2", "--tenant", "acme", *RECEIPT).code == 0
    end = ("--cause", "hardware", "--effects", "none", "--remedy", "none", "--not-due", "gdpr-33-2")
    assert centre.site.run("incident", "close", centre.name, *end).code == 0
    assert centre.settled == {"acme": True, "beta": True}
    assert centre.site.run("incident", "reopen", centre.name, "--why", "read after all").code == 0
    assert centre.settled == {"acme": True, "beta": False}
    assert centre.note("--clock", "gdpr-33-2").code == 0
    assert centre.settled == {"acme": True, "beta": False}, "what counts already counts on"


@pytest.mark.parametrize(("assets", "role"), [(PLAN, "controller"), (PLAN.replace("beta", "acme"), "processor")])
def test_of_one_controller_nobody_need_say_of_which(tmp_path: Path, assets: str, role: str) -> None:
    centre = Centre(tmp_path, assets, role)
    assert list(centre.settled) == [None]
    assert centre.draft("--to", "customers").code == 0
    clock = "gdpr-33-2" if role == "processor" else "gdpr-33"
    assert centre.note("--filed", clock, "--tenant", "acme", *RECEIPT).code == 2
    assert centre.note("--filed", clock, *RECEIPT).code == 0


def test_facts_for_one_controller_are_of_their_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a recovery of both, too."""
    site, past = Site(tmp_path, bare=True), Chronicle(END, "/x")
    tenants = [{"tenant": "acme", "assets": ["crm"]}, {"tenant": "beta", "assets": ["exchange"]}]
    opened(past, -2, run="r1", role="processor", tenants=tenants)
    begun = [{"asset": name} for name in ("crm", "exchange")]
    point, time = rfc3339(past.at(-3)), rfc3339(past.at(-1))
    done = [{"asset": "crm", "state": "done", "point": point}, {"asset": "exchange", "state": "failed", "point": point}]
    told_of = [
        {"kind": "recover.start", "seq": 2, "time": time, "assets": begun},
        {"kind": "recover.end", "seq": 3, "time": time, "assets": done, "state": "failed", "rto": {"achieved_s": 60.0}},
        {"kind": "restore.start", "seq": 4, "time": time, "asset": "exchange"},
    ]
    records = [sparse_record({"plan": "p", "run": "r1", **one}) for one in told_of]
    monkeypatch.setattr(facts, "_of_runs", lambda *_: records)
    services = site.services()
    past.keep(services.state.ledger, services.catalogue)
    known = find(services, "inc-1")

    def told(tenant: str | None) -> tuple[list[object], list[object]]:
        found = facts.facts_of(known, services, tenant)
        assets = next(one.values["assets"] for one in found.done if one.what == "recovery_began")
        ended = next(one.values for one in found.done if one.what == "recovery_failed")
        restored = [one.values["asset"] for one in found.done if one.what == "restore_began"]
        return [assets, ended["done"], ended["of"]], [*restored, *(one.values["asset"] for one in found.lost)]

    assert told(None) == ([["crm", "exchange"], 1, 2], ["exchange", "crm"])
    assert told("acme") == ([["crm"], 1, 1], ["crm"])
    assert told("beta") == ([["exchange"], 0, 1], ["exchange"])


@pytest.mark.parametrize("forgotten", [True, False])
def test_an_incident_that_is_opened_once_more_has_its_controllers_and_its_risk(tmp_path: Path, forgotten: bool) -> None:
    """Though so many were closed since that the summary had forgotten it."""
    site, past = Site(tmp_path, bare=True), Chronicle(END, "/x")
    tenants = [{"tenant": "acme", "assets": ["crm"]}, {"tenant": "beta", "assets": ["exchange"]}]
    due = rfc3339(past.at(-60))
    clock = {"clock": "gdpr-33-2", "law": "GDPR 33(2)", "to": "customers", "due": due, "within_s": 86400.0}
    opened(past, -84, role="processor", tenants=tenants, clocks=[clock])
    said_of_incident(past, -83, NOTE_INCIDENT, incident="inc-1", risk="risk")
    closed(past, -82, not_due=["gdpr-33-2"])
    for number in range(MOST_CLOSED + 2 if forgotten else 1):
        opened(past, -80, f"inc-later-{number}")
        closed(past, -79, f"inc-later-{number}")
    services = site.services()
    past.keep(services.state.ledger, services.catalogue)
    assert ("inc-1" in services.histories()["p", None].incidents) is not forgotten
    told = reopen(find(services, "inc-1"), services, "their data was read after all").incident
    kept = incident_of("p", "inc-1", services.histories()["p", None].incidents["inc-1"], services.clock.now())
    for one in (told, kept):
        assert one.open and one.controllers == one.several("gdpr-33-2") == ["acme", "beta"]
        assert one.risk == "risk" and one.tenants == {"acme": ["crm"], "beta": ["exchange"]}
    assert len(site.records(NOTE_INCIDENT.kind)) == (2 if forgotten else 1)
