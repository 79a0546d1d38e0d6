"""`ccdr incident` refuses what cannot be, and records nothing of it."""

from __future__ import annotations

import csv
import io
import json
from calendar import isleap
from datetime import UTC
from pathlib import Path

import pytest
from msgspec import to_builtins
from tests.support.harness import Site
from tests.support.records import record_in

from ccdr.evidence.incidents import incident_of
from ccdr.jobs.incidents import find, reopen
from ccdr.jobs.incidents.opening import for_recovery
from ccdr.model.deadlines import Length, deadline
from ccdr.model.values import rfc3339, utc
from ccdr.plans.own_file import packaged


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.plan("crm: {engine: files, paths: [/spool]}", extra="incidents: {role: processor}\n")
    return made


def opened(site: Site) -> str:
    done = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "a laptop is gone")
    assert done.code == 0, done
    return str(done.json["incident"])


def test_what_follows_a_notification_that_was_filed_counts_from_then(site: Site) -> None:
    name = opened(site)
    site.run("incident", "note", name, "--clock", "nis2-23")
    filed = ("--filed", "nis2-23", "--receipt", "/etc/hostname")
    at = next(d for d in site.run("incident", "note", name, *filed).json["duties"] if d["clock"] == "nis2-23")
    added = site.run("incident", "note", name, "--clock", "nis2-23-final").json["duties"]
    final = next(d for d in added if d["clock"] == "nis2-23-final")
    assert final["due"] == rfc3339(deadline(utc(at["filed_at"]), Length(months=1), UTC))


def test_a_final_report_brings_the_notification_that_it_is_counted_from(site: Site) -> None:
    name = opened(site)
    added = site.run("incident", "note", name, "--clock", "nis2-23-final").json
    dues = {one["clock"]: utc(one["due"]) for one in added["duties"]}
    assert dues["nis2-23"] == deadline(utc(added["aware_at"]), Length(72 * 3600), UTC)
    assert dues["nis2-23-final"] == deadline(dues["nis2-23"], Length(months=1), UTC)


def test_a_final_report_of_an_older_incident_counts_from_the_notification_once_there_is_one(site: Site) -> None:
    name = opened(site)
    site.run("incident", "note", name, "--clock", "nis2-23-final")
    services = site.services()
    known = find(services, name)
    first, noted = (to_builtins(one) for one in (known.records[0], known.records[-1]))
    alone = {**noted["about"]["clocks"][1], "after": None, "due": first["aware_at"]}
    body = {key: first[key] for key in ("kinds", "aware_at", "role", "timezone", "boot", "elapsed_s")}
    older = {**body, "incident": "inc-older", "by": "person", "clocks": [alone]}
    record_in(services.ledger, "incident.opened", plan="p", asset=None, run=None, body=older)
    site.run("incident", "note", "inc-older", "--clock", "nis2-23")
    filed = ("--filed", "nis2-23", "--receipt", "/etc/hostname")
    duties = {one["clock"]: one for one in site.run("incident", "note", "inc-older", *filed).json["duties"]}
    due = deadline(utc(duties["nis2-23"]["filed_at"]), Length(months=1), UTC)
    assert duties["nis2-23-final"]["due"] == rfc3339(due)


def test_a_clock_that_is_named_again_is_due_when_it_was_whatever_the_file_says_now(site: Site) -> None:
    """Who edits the file has no more time by it; nor has who first says that it is not due."""
    name = opened(site)
    (before,) = site.run("incident", "show", name).json["duties"]
    longer = (
        packaged("incidents.yaml").decode().replace('within: 24h # "without undue', 'within: 9000h # "without undue')
    )
    assert longer != packaged("incidents.yaml").decode()
    site.write("incidents.yaml", longer)
    (again,) = site.run("incident", "note", name, "--clock", "gdpr-33-2").json["duties"]
    assert again == before
    assert site.run("incident", "note", name, "--not-due", "gdpr-33-2", "--text", "it was ours").code == 0
    (counts,) = site.run("incident", "note", name, "--clock", "gdpr-33-2").json["duties"]
    assert counts == before, "it counts after all, from when it did"


def test_what_was_closed_long_ago_has_its_clocks_when_it_is_opened_once_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of closed ones only the newest are kept in mind; those that were filed then are not due again."""
    monkeypatch.setattr("ccdr.evidence.incidents.MOST_CLOSED", 1)
    name, closing = opened(site), ("--cause", "false_alarm", "--effects", "none", "--remedy", "none")
    site.run("incident", "note", name, "--clock", "nis2-23", "--clock", "nis2-23-warning")
    site.run("incident", "note", name, "--filed", "nis2-23", "--receipt", "/etc/hostname")
    site.run("incident", "note", name, "--not-due", "nis2-23-warning", "--text", "not significant")
    (before, *_) = site.run("incident", "close", name, *closing).json["duties"]
    for _ in range(3):
        site.run("incident", "close", opened(site), *closing)
    services = site.services()
    assert name not in services.histories()["p", None].incidents
    reopen(find(services, name), services, "it was real")
    entry = services.histories()["p", None].incidents[name]
    (duty,) = incident_of("p", name, entry, services.clock.now()).duties
    assert (duty.clock, rfc3339(duty.due), duty.settled) == ("gdpr-33-2", before["due"], False)
    shown = {one["clock"]: one for one in site.run("incident", "show", name).json["duties"]}
    assert shown["nis2-23"]["filed_record"] and shown["nis2-23-warning"]["not_due_record"], "as its records tell"
    site.ledger_holds()


def test_what_a_recovery_assumed_was_breached_a_person_states_and_the_last_word_counts(site: Site) -> None:
    """Files that came back may have been read, too, before they were lost."""
    services = site.services()
    for_recovery(site.loaded(), services, "r-1", "recover")
    (name,) = services.histories()["p", None].incidents
    draft = ("incident", "draft", name, "--to", "authority")
    assert "nobody has stated it yet: " in site.run(*draft).stdout
    both = ("--kind", "availability", "--kind", "confidentiality")
    assert site.run("incident", "note", name, *both, "--text", "a dump was copied").json["kinds"] == list(both[1::2])
    assert "nobody has stated it" not in site.run(*draft).stdout
    site.run("incident", "note", name, "--kind", "confidentiality")
    assert site.run("incident", "show", name).json["kinds"] == ["confidentiality"]
    refused = site.run(
        "incident", "note", name, "--kind", "integrity", "--filed", "gdpr-33-2", "--receipt", "/etc/hostname"
    )
    assert refused.code == 2 and "four things" in refused.json["error"]
    site.ledger_holds()


def test_a_loss_after_everybody_was_notified_of_a_disclosure_is_an_incident_of_its_own(site: Site) -> None:
    """Nothing is left to be notified of the first: nobody would hear of the second."""
    services, first = site.services(), opened(site)

    def recovered(run: str) -> str:
        told = for_recovery(site.loaded(), services, run, "recover").standing
        assert told is not None
        return told.incident.name

    assert recovered("r-1") == first, "while it is to be notified, it is one event"
    site.run("incident", "note", first, "--filed", "gdpr-33-2", "--receipt", "/etc/hostname")
    second = recovered("r-2")
    assert second != first and recovered("r-3") == second
    site.run("incident", "note", second, "--filed", "gdpr-33-2", "--receipt", "/etc/hostname")
    assert recovered("r-4") == second, "a loss that was notified goes on"


def test_the_register_has_the_risk_and_whom_it_concerns_in_a_persons_own_words(site: Site) -> None:
    name = opened(site)
    site.run("incident", "note", name, "--risk", "high", "--risk-why", "voices", "--persons", "about 40 callers")
    weight = ("--risk", "unlikely", "--risk-why", "the disk was encrypted", "--records", "some 90 recordings")
    closing = ("--cause", "loss_or_theft", "--effects", "none", "--remedy", "none", "--not-due", "gdpr-33-2")
    done = site.run("incident", "close", name, *closing, *weight)
    assert done.code == 0 and done.json["cause"] == "loss_or_theft", done
    (row,) = site.run("incident", "register").json["incidents"]
    assert (row["risk"], row["risk_why"]) == ("unlikely", "the disk was encrypted"), "what was said last"
    assert (row["persons_concerned"], row["records_concerned"]) == ("about 40 callers", "some 90 recordings")
    assert row["notes"] == [row["notes"][0]] and "a laptop is gone" in row["notes"][0]
    out = site.root / "register.csv"
    site.run("incident", "register", "--format", "csv", "--out", str(out))
    first, *_ = csv.DictReader(io.StringIO(out.read_text()))
    assert (first["risk"], first["persons_concerned"]) == ("unlikely", "about 40 callers")
    recorded = json.dumps(site.records())
    assert "40 callers" not in recorded and "encrypted" not in recorded, "the ledger has digests alone"
    site.ledger_holds()


def test_a_close_that_is_refused_records_nothing_of_its_weight(site: Site) -> None:
    name = opened(site)
    closing = ("--cause", "attack", "--effects", "x", "--remedy", "x", "--persons", "40")
    assert site.run("incident", "close", name, *closing).code == 2
    assert not site.records("note.incident") and not site.records("decide.not_due")


def test_what_they_ask_for_counts_from_when_they_asked(site: Site) -> None:
    name = opened(site)
    aware = site.run("incident", "show", name).json["aware_at"]
    added = site.run("incident", "note", name, "--clock", "nis2-23-interim", "--since", aware)
    (one,) = (duty for duty in added.json["duties"] if duty["clock"] == "nis2-23-interim")
    assert utc(one["due"]) == deadline(utc(aware), Length(72 * 3600), UTC)


def test_an_early_warning_is_drafted_by_its_clock_and_what_has_no_draft_says_so(site: Site) -> None:
    name = opened(site)
    for clock in ("nis2-23-warning", "hipaa-410"):
        site.run("incident", "note", name, "--clock", clock)
    done = site.run("incident", "draft", name, "--for", "nis2-23-warning")
    assert done.code == 0 and "unlawful or malicious acts" in done.json["text"] and done.json["to"] == "authority"
    assert "Articles 33(2)" in site.run("incident", "draft", name, "--for", "gdpr-33-2").json["text"]
    for args, said in (
        (["--for", "hipaa-410"], "ccdr has no draft for 45 CFR 164.410(b)"),
        (["--for", "nis2-23"], "has no clock 'nis2-23'"),
        ([], "a draft needs one of --to and --for"),
        (["--to", "authority", "--for", "nis2-23-warning"], "a draft needs one of --to and --for"),
    ):
        refused = site.run("incident", "draft", name, *args)
        assert refused.code == 2 and said in refused.json["error"], refused


def test_few_individuals_are_told_of_to_the_secretary_after_the_years_end(site: Site) -> None:
    site.plan("crm: {engine: files, paths: [/spool]}", extra="incidents: {clocks: [hipaa-404, hipaa-406, hipaa-408]}\n")
    late = ("--aware-at", "2023-05-01 08:00")  # 2024 has a leap day
    name = site.run("incident", "open", "p", "--kind", "confidentiality", "--why", "x", *late).json["incident"]
    for clock in ("hipaa-406", "hipaa-408"):
        site.run("incident", "note", name, "--not-due", clock, "--text", "12 individuals")
    added = site.run("incident", "note", name, "--clock", "hipaa-408-yearly").json["duties"]
    duties = {one["clock"]: (one["to"], one["due"], one["not_due_record"] is None) for one in added}
    assert duties == {
        "hipaa-404": ("customers", "2023-06-30T08:00:00Z", True),
        "hipaa-406": ("media", "2023-06-30T08:00:00Z", False),
        "hipaa-408": ("authority", "2023-06-30T08:00:00Z", False),
        "hipaa-408-yearly": ("authority", "2024-02-29T23:59:59Z", True),
    }
    recorded = site.records("note.incident")[-1]["about"]["clocks"]
    assert [(one["clock"], one["year_end"]) for one in recorded] == [("hipaa-408-yearly", True)]
    told = json.dumps(site.run("controls").json)
    assert "(hipaa-408-yearly), was due" in told and "(hipaa-408), was due" not in told
    refused = site.run("incident", "note", name, "--clock", "hipaa-408-yearly", "--since", "2023-05-02 08:00")
    assert refused.code == 2 and "--since is not for hipaa-408-yearly" in refused.json["error"]
    site.ledger_holds()


def test_a_recovery_lets_a_yearly_notice_count_and_none_that_a_person_is_to_start(site: Site) -> None:
    site.plan("crm: {engine: files, paths: [/spool]}", extra="incidents: {clocks: [hipaa-408-yearly, gdpr-33]}\n")
    assert for_recovery(site.loaded(), site.services(), "r-1", "recover").why is None
    (recorded,) = site.records("incident.opened")
    year = utc(recorded["aware_at"]).year + 1
    due = {one["clock"]: one["due"] for one in recorded["clocks"]}
    assert due["hipaa-408-yearly"] == f"{year}-{'02-29' if isleap(year) else '03-01'}T23:59:59Z" and "gdpr-33" in due


def test_the_media_are_told_by_a_form_for_which_ccdr_has_facts_alone(site: Site) -> None:
    name = opened(site)
    site.run("incident", "note", name, "--clock", "hipaa-406")
    refused = site.run("incident", "draft", name, "--for", "hipaa-406")
    assert refused.code == 2 and "ccdr has no draft for 45 CFR 164.406(b)" in refused.json["error"]
    assert "(--to customers)" in refused.json["hint"]
    assert "to the media" not in site.run("incident", "draft", name, "--to", "customers").json["text"]


def test_the_list_of_clocks_says_from_when_each_counts(site: Site) -> None:
    process = site.start("incident", "clocks")
    out, _ = process.communicate()
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "60d after the year's end" in lines["hipaa-408-yearly"] and "media" in lines["hipaa-406"]
    assert "72h of --since" in lines["nis2-23-interim"] and "1 month after nis2-23" in lines["nis2-23-final"]
    assert lines["hipaa-408"].split()[-1] == "60d"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["note", "inc-0"], "there is no incident 'inc-0'"),
        (["open", "p", "--kind", "integrity", "--why", " "], "--why says nothing"),
        (["open", "p", "--kind", "integrity", "--why", "x", "--aware-at", "2099-01-01 00:00"], "is in the future"),
        (["open", "p", "--kind", "integrity", "--why", "x", "--aware-at", "soon"], "is no time"),
        (["open", "p", "--why", "x"], "Missing option '--kind'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_recorded(site: Site, args: list[str], said: str) -> None:
    done = site.run("incident", *args)
    assert done.code == 2 and said in done.json["error"], done
    assert not site.records("incident.opened")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--filed", "gdpr-33-2"], "--receipt is missing"),
        (["--filed", "gdpr-33", "--receipt", "/etc/hostname"], "has no clock 'gdpr-33'"),
        (["--filed", "gdpr-33-2", "--receipt", "/nowhere"], "the receipt, cannot be read"),
        (
            ["--filed", "gdpr-33-2", "--receipt", "/etc/hostname", "--filed-at", "2020-01-01 00:00"],
            "before anybody was aware",
        ),
        (["--receipt", "/etc/hostname"], "which notification was filed?"),
        (["--not-due", "gdpr-33-2"], "--text is missing"),
        (["--clock", "gdpr-3"], "has no clock 'gdpr-3'"),
        (["--clock", "nis2-23-interim"], "--since is missing"),
        (["--clock", "nis2-23-interim", "--since", "2020-01-01 00:00"], "when you became aware of it"),
        (["--clock", "hipaa-410", "--since", "2020-01-01 00:00"], "--since is not for hipaa-410"),
        (["--since", "2020-01-01 00:00", "--text", "x"], "which one?"),
        (["--risk", "high"], "--risk-why is missing"),
        (["--risk-why", "x"], "--risk is missing"),
        (["--persons", "x", "--clock", "gdpr-33"], "are four things"),
        (["--records", " "], "--records says nothing"),
        ([], "--text is missing"),
    ],
)
def test_a_note_that_cannot_be_is_refused(site: Site, args: list[str], said: str) -> None:
    name = opened(site)
    done = site.run("incident", "note", name, *args)
    assert done.code == 2 and said in done.json["error"], done
    assert len([r for r in site.records() if r["kind"].startswith("incident.")]) == 1


def test_an_empty_file_is_no_receipt(site: Site) -> None:
    name, receipt = opened(site), site.write("receipt.txt", "")
    filed = ("incident", "note", name, "--filed", "gdpr-33-2", "--receipt", str(receipt))
    refused = site.run(*filed)
    assert refused.code == 2 and "is empty" in refused.json["error"] and not site.records("decide.filing")
    receipt.write_text("number 1234")
    assert site.run(*filed).code == 0


def test_the_controls_show_each_notification_that_is_overdue(site: Site) -> None:
    late = ("--aware-at", "2026-01-05 08:00")
    done = site.run("incident", "open", "p", "--kind", "availability", "--why", "x", *late)
    site.run("incident", "note", done.json["incident"], "--clock", "nis2-23-warning", "--clock", "nis2-23")
    told = json.dumps(site.run("controls").json)
    assert all(f"({clock}), was due by" in told for clock in ("gdpr-33-2", "nis2-23-warning", "nis2-23"))


def test_a_receipt_of_another_filing_is_told(site: Site) -> None:
    """It belongs to one; what is filed in phases is one filing."""
    first, second = opened(site), opened(site)
    receipts = [site.write(name, name) for name in ("first.eml", "second.eml")]

    def filed(name: str, receipt: int) -> str:
        done = site.plainly("incident", "note", name, "--filed", "gdpr-33-2", "--receipt", str(receipts[receipt]))
        assert done.returncode == 0, done
        return done.stderr

    def said() -> str:
        parts = [p for m in site.run("controls").json["measures"] for p in m["parts"] if p["id"] == "incidents"]
        return str(parts[0]["observed"])

    assert "stands for" not in filed(first, 0) + filed(first, 0) + said(), "the twin: phases of one"
    told = f"stands for gdpr-33-2 of {first} and gdpr-33-2 of {second}"
    assert told in filed(second, 0) and told in said()


def test_a_receipt_of_its_own_is_not(site: Site) -> None:
    for name in (opened(site), opened(site)):
        site.run("incident", "note", name, "--filed", "gdpr-33-2", "--receipt", str(site.write(f"{name}.eml", name)))
    parts = [p for m in site.run("controls").json["measures"] for p in m["parts"] if p["id"] == "incidents"]
    assert "stands for" not in str(parts)
