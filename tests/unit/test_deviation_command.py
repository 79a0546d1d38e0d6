"""`ccdr deviation`: what it tells and records, what it refuses; and what status and report say of the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import version
from tests.support.harness import Site
from tests.support.records import record_in
from tests.support.schema import document_misfits
from tests.support.signed import key, signed, signers

from ccdr.model.values import rfc3339

DAY = 24.0
NAMESPACE = "ccdr-deviation"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("keys")
    return {name: key(room, name) for name in ("ana", "mallory")}


@pytest.fixture
def site(tmp_path: Path, keys: dict[str, Path]) -> Site:
    made = Site(tmp_path, bare=True)
    known = signers(tmp_path / "signers", {"ana@x": keys["ana"]})
    made.plan("crm: {engine: files, paths: [/spool]}", extra=f"approval: {{signers: {known}}}\n")
    return made


def began(site: Site, *, failed: float = -3 * DAY, mended: bool = False) -> Chronicle:
    """A ledger whose test failed so many hours ago, and passed since, or did not."""
    now = datetime.now(UTC).replace(microsecond=0)
    past = Chronicle(now, "/spool")
    version(past, failed - 2, owner="ana@x")
    past.stored(failed - 1, "old")
    past.tested(failed, "old", "FAIL")
    if mended:
        past.stored(failed + 1, "new")
        past.tested(failed + 2, "new")
    past.keep(site.state / "ledger", site.services().catalogue)
    return past


def only(site: Site, *words: str) -> dict[str, Any]:
    listed = site.run("deviation", "list", *words).json["deviations"]
    (one,) = [one for one in listed if one["code"] == "TEST_FAILED"]
    return dict(one)


def codes(site: Site) -> list[str]:
    status = site.run("status", "p").json
    return [p["code"] for plan in status["plans"] for p in plan["troubles"]]


def test_where_nothing_went_wrong_there_is_none(site: Site) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    past = Chronicle(now, "/spool")
    past.stored(-0.5, "old")
    past.tested(-0.2, "old")
    past.keep(site.state / "ledger", site.services().catalogue)
    done = site.run("deviation", "list", "--all")
    assert (done.code, done.json["deviations"]) == (0, []), done


def test_an_open_one_is_listed_and_a_closed_one_with_all(site: Site) -> None:
    began(site)
    one = only(site)
    assert (one["state"], one["severity"], one["owner"]) == ("open", "critical", "ana@x")
    assert (one["opened_by_record"], one["asset"], one["overdue"], one["retest"]) == (3, "crm", False, None)
    assert site.run("deviation", "list").code == 0
    shown = site.run("deviation", "show", one["deviation"])
    assert (shown.code, shown.json) == (0, one)


def test_one_that_a_retest_ended_says_by_which_record(site: Site) -> None:
    began(site, mended=True)
    assert not [one for one in site.run("deviation", "list").json["deviations"] if one["code"] == "TEST_FAILED"]
    one = only(site, "--all")
    assert (one["state"], one["retest"]["record"]) == ("closed", 5)
    assert site.run("deviation", "close", one["deviation"]).code == 0
    assert only(site, "--all", "--from", "30d") == one


def test_nobody_closes_one_by_hand(site: Site) -> None:
    began(site)
    name, records = only(site)["deviation"], len(site.records())
    for words in ((), ("--until", "9d"), ("--accept",), ("--accept", "--until", "9d", "--why", "x")):
        refused = site.run("deviation", "close", name, *words)
        assert refused.code == 2, refused
    assert len(site.records()) == records
    assert site.run("deviation", "show", "00000000").code == 2
    assert site.run("deviation", "list", "nowhere").code == 2


def test_an_overdue_one_is_a_finding_of_list_status_and_report(site: Site) -> None:
    began(site, failed=-8 * DAY)
    assert only(site)["overdue"] is True
    assert site.run("deviation", "list").code == 1
    assert "DEVIATION_OVERDUE" in codes(site)
    report = site.run("report", "--json").json
    assert [one["code"] for one in report["findings"] if one["code"] == "DEVIATION_OVERDUE"]
    assert site.run("deviation", "assign", only(site)["deviation"], "--owner", "dba@x", "--due", "9d").code == 0
    assert site.run("deviation", "list").code == 0
    assert "DEVIATION_OVERDUE" not in codes(site)
    one = only(site)
    assert (one["owner"], one["due"] > one["due_by_rule"]) == ("dba@x", True)


def test_one_in_time_is_no_finding(site: Site) -> None:
    began(site)
    assert "DEVIATION_OVERDUE" not in codes(site)


def test_an_overdue_one_is_acknowledged_as_others_are(site: Site) -> None:
    began(site, failed=-8 * DAY)
    assert site.run("ack", "DEVIATION_OVERDUE", "p", "--until", "3d", "--why", "the part comes on Monday").code == 0
    plan = site.run("status", "p").json["plans"][0]
    (late,) = [p for p in plan["troubles"] if p["code"] == "DEVIATION_OVERDUE"]
    assert late["acknowledged"] is True


def test_what_people_say_is_kept_apart_and_the_newest_counts(site: Site) -> None:
    began(site)
    name = only(site)["deviation"]
    assert site.run("deviation", "note", name, "--cause", "the disk was full", "--action", "an alert at 80").code == 0
    told = site.run("deviation", "note", name, "--cause", "the disk of db1 was full").json
    assert (told["cause"], told["action"]) == ("the disk of db1 was full", "an alert at 80")
    assert [said["what"] for said in told["said"]] == ["cause", "action", "cause"]
    assert "disk" not in "".join(path.read_text() for path in (site.state / "ledger").glob("*.jsonl"))
    for path in (site.state / "payloads").iterdir():
        path.unlink()  # taken back: that something was said stays
    assert only(site)["cause"] == "(not kept here any more)"


def test_the_report_has_words_only_where_they_are_asked_for(site: Site) -> None:
    began(site, mended=True)
    name = only(site, "--all")["deviation"]
    site.run("deviation", "note", name, "--cause", "the disk was full")
    plain, told = (
        next(one for one in site.run("report", "--json", *words).json["deviations"] if one["deviation"] == name)
        for words in ((), ("--words",))
    )
    assert (plain["cause"], told["cause"]) == ("(not kept here any more)", "the disk was full")


def test_an_owner_is_one_word(site: Site) -> None:
    began(site)
    name = only(site)["deviation"]
    assert site.run("deviation", "assign", name, "--owner", "Ana, 0722 123 456").code == 2
    assert site.run("deviation", "assign", name, "--owner", "ana@x", "--due", "2020-01-01").code == 2
    assert site.run("deviation", "note", name).code == 2


def accepted(site: Site, name: str, by: Path, *words: str) -> Any:
    return site.run(
        "deviation", "close", name, "--accept", "--until", "30d", "--why", "in March", "--key", str(by), *words
    )


def test_a_risk_that_was_accepted_is_not_overdue_until_its_day(site: Site, keys: dict[str, Path]) -> None:
    began(site, failed=-8 * DAY)
    name = only(site)["deviation"]
    done = accepted(site, name, keys["ana"])
    assert (done.code, done.json["state"], done.json["accepted"]["by"]) == (0, "accepted", "ana@x"), done
    assert site.run("deviation", "list").code == 0 and "DEVIATION_OVERDUE" not in codes(site)
    assert only(site)["retest"] is None
    later = datetime.now(UTC) + timedelta(days=31)
    from ccdr.evidence.deviations.standing import deviations_of

    (one,) = [d for d in deviations_of(site.services().histories()) if d.code == "TEST_FAILED"]
    assert one.acceptance(later) is None and one.overdue(later)


def test_who_may_not_approve_accepts_nothing(site: Site, keys: dict[str, Path]) -> None:
    began(site, failed=-8 * DAY)
    name, records = only(site)["deviation"], len(site.records())
    assert accepted(site, name, keys["mallory"]).code == 2
    assert len(site.records()) == records and only(site)["state"] == "open"


def test_a_risk_is_accepted_by_the_risk_owner_alone_where_the_plan_names_one(site: Site, keys: dict[str, Path]) -> None:
    """Also where another who may approve has accepted it before: of whoever is named by now."""
    began(site, failed=-8 * DAY)
    signers(site.root / "signers", {"ana@x": keys["ana"], "cfo@x": keys["mallory"]})
    name, path = only(site)["deviation"], site.root / "plans/p.yaml"
    seq = accepted(site, name, keys["ana"]).json["accepted"]["record"]
    path.write_text(path.read_text().replace("assets:", "risk_owner: cfo@x\nassets:", 1))
    one = only(site)
    assert (one["state"], one["acceptances_refused"]) == ("open", [seq]) and "DEVIATION_OVERDUE" in codes(site)
    refused = accepted(site, name, keys["ana"])
    assert refused.code == 2 and "the plans name cfo@x" in refused.json["error"]
    assert accepted(site, name, keys["mallory"]).json["accepted"]["by"] == "cfo@x"


def test_who_left_has_accepted_nothing_any_more(site: Site, keys: dict[str, Path]) -> None:
    began(site, failed=-8 * DAY)
    name = only(site)["deviation"]
    seq = accepted(site, name, keys["ana"]).json["accepted"]["record"]
    signers(site.root / "signers", {"mallory@x": keys["mallory"]})
    one = only(site)
    assert (one["state"], one["acceptances_refused"], one["overdue"]) == ("open", [seq], True)
    assert "DEVIATION_OVERDUE" in codes(site)


def test_in_a_package_whose_a_risk_is_says_the_file_of_who_reads_it(site: Site, keys: dict[str, Path]) -> None:
    """Healthy twin: this host's own report verifies it by this host's file."""
    began(site, failed=-8 * DAY)
    name, package = only(site)["deviation"], site.root / "package"
    assert accepted(site, name, keys["ana"]).json["accepted"]["signature"] == "holds"

    def of(report: Any) -> Any:
        return next(one for one in report["deviations"] if one["deviation"] == name)

    assert of(site.run("report").json)["accepted"]["signature"] == "holds"
    theirs = signers(site.root / "theirs", {"ana@x": keys["ana"]})
    others = signers(site.root / "signers", {"mallory@x": keys["mallory"]})  # by this file it would not count
    assert of(site.run("report").json)["accepted"] is None
    assert site.run("ledger", "export", str(package), "--without-plans").code == 0
    told = of(json.loads((package / "data/report.json").read_text()))
    assert (told["state"], told["accepted"]["signature"], told["acceptances_refused"]) == (
        "accepted",
        "not_verified",
        [],
    )
    assert "by ana@x (not verified) until" in (package / "data/report.html").read_text()
    by = {path: site.run("report", "--package", str(package), "--signers", str(path)) for path in (theirs, others)}
    assert [(one.code, one.json["statements"][0]["signature"]) for one in by.values()] == [(0, "holds"), (1, "refused")]


def test_a_key_of_the_hosts_own_accepts_nothing(
    site: Site, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ccdr.evidence.deviations.standing import deviations_of
    from ccdr.host.signatures import SignatureRefused
    from ccdr.jobs.deviations import accept, to_accept

    began(site)
    services = site.services()
    (one,) = [d for d in deviations_of(services.histories()) if d.code == "TEST_FAILED"]
    text = to_accept(one, services, services.clock.now() + timedelta(days=3), "x").text()
    signature = signed(text, keys["ana"], NAMESPACE)
    (tmp_path / "ssh").mkdir()
    own = tmp_path / "ssh" / "ssh_host_ed25519_key.pub"
    own.write_text(keys["ana"].with_name("ana.pub").read_text())
    monkeypatch.setattr("ccdr.jobs.own_keys.SSH", own.parent)
    with pytest.raises(SignatureRefused) as refused:
        accept(one, services, text, signature, [site.loaded()], "default")
    assert refused.value.code == "host"
    own.unlink()
    assert accept(one, services, text, signature, [site.loaded()], "default").by.name == "ana@x"


def test_what_is_signed_elsewhere_is_taken_as_it_was_written(site: Site, keys: dict[str, Path]) -> None:
    began(site)
    name, into = only(site)["deviation"], site.root / "risk.txt"
    words = ("--accept", "--until", "30d", "--why", "in March")
    assert site.run("deviation", "close", name, *words, "--write", str(into)).code == 0
    (site.root / "risk.txt.sig").write_text(signed(into.read_text(), keys["ana"], "ccdr-approval"))
    assert site.run("deviation", "close", name, "--accept", "--signed", str(into)).code == 2  # made for something else
    (site.root / "risk.txt.sig").write_text(signed(into.read_text(), keys["ana"], NAMESPACE))
    assert site.run("deviation", "close", name, "--accept", "--signed", str(into)).json["state"] == "accepted"
    assert site.run("deviation", "close", name, "--accept", "--signed", str(into)).code == 2  # once


def test_a_record_that_somebody_wrote_into_the_ledger_accepts_nothing(site: Site, keys: dict[str, Path]) -> None:
    began(site, failed=-8 * DAY)
    name = only(site)["deviation"]
    services, until = site.services(), rfc3339(datetime.now(UTC).replace(microsecond=0) + timedelta(days=9))
    by = {"name": "ana@x", "key": f"SHA256:{'a' * 43}", "user_verified": None, "signature": signed("x", keys["ana"])}
    of = {"of": "finding", "deviation": name, "code": "TEST_FAILED", "asset": "crm"}
    said = {"says": "accept", "about": of, "until": until, "made": until}
    body = said | {"words_sha256": "0" * 64, "nonce": "0" * 32, "by": by}
    record_in(services.ledger, "statement", plan="p", asset=None, run=None, body=body)
    assert only(site)["state"] == "open"
    assert "DEVIATION_OVERDUE" in codes(site)


def test_what_may_mean_that_evidence_was_changed_is_no_risk_to_accept(site: Site, keys: dict[str, Path]) -> None:
    past = Chronicle(datetime.now(UTC).replace(microsecond=0), "/spool")
    said = {"result": "BROKEN", "records": 1, "head": "0" * 64, "summary": "NONE"}
    past.wrote(-1, "ledger.verified", asset=None, **said)
    past.records[-1]["plan"] = None
    past.keep(site.state / "ledger", site.services().catalogue)
    (one,) = site.run("deviation", "list").json["deviations"]
    assert (one["code"], one["plan"]) == ("LEDGER_BROKEN", None)
    refused = accepted(site, one["deviation"], keys["ana"])
    assert refused.code == 2 and "no risk that anybody may accept" in refused.json["error"]


def test_a_backup_that_does_not_come_is_one_before_any_record_tells_of_it(site: Site) -> None:
    site.plan("crm: {engine: files, paths: [/spool], backup: {schedule: '0 * * * *'}}")
    past = Chronicle(datetime.now(UTC).replace(microsecond=0), "/spool")
    past.stored(-20 * DAY, "old", begun=True)
    past.keep(site.state / "ledger", site.services().catalogue)
    then = {one["code"]: one for one in site.run("deviation", "list").json["deviations"]}
    assert {code: one["opened_by_record"] for code, one in then.items()} == {"BREACH_RPO": None, "MISSED": None}
    first = rfc3339(past.at(-20 * DAY + 1))
    past.wrote(0, "missed", verb="backup", due=rfc3339(past.at(-0.5)), first_due=first, count=479)
    past.keep(site.state / "ledger", site.services().catalogue)
    now = {one["code"]: one for one in site.run("deviation", "list").json["deviations"]}
    assert now["MISSED"]["deviation"] == then["MISSED"]["deviation"]
    assert (now["MISSED"]["opened_by_record"], now["MISSED"]["times"]) == (3, 479)


def test_the_page_says_that_there_are_none_or_which_there_are(site: Site) -> None:
    began(site, failed=-8 * DAY)
    name, out = only(site)["deviation"], site.root / "report.html"
    site.run("report", "--format", "html", "--out", str(out))
    page = out.read_text()
    assert f'<span class="mono">{name}</span>' in page and "no cause noted" in page
    first, last = ((datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d") for days in (40, 20))
    site.run("report", "--from", first, "--to", last, "--format", "html", "--out", str(out))
    assert "None in the period." in out.read_text().partition('id="deviations"')[2].partition("</section>")[0]


def test_each_document_is_as_it_is_published(site: Site, keys: dict[str, Path]) -> None:
    began(site)
    name = only(site)["deviation"]
    runs = {
        "deviation list": site.run("deviation", "list"),
        "deviation show": site.run("deviation", "show", name),
        "deviation assign": site.run("deviation", "assign", name, "--owner", "ana@x"),
        "deviation note": site.run("deviation", "note", name, "--note", "see OPS-77"),
        "deviation close": accepted(site, name, keys["ana"]),
    }
    for command, done in runs.items():
        assert done.code == 0, done
        assert not document_misfits(command, done.json)
