"""Each recovery opens an incident, whatever becomes of it, and none waits for that; each fault with its healthy twin."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site, eventually, killed

from ccdr.evidence.controls.registry import INCIDENTS

PLAN = ["recover", "p", "--yes-i-mean", "p"]
BY_HAND = ["incident", "open", "p", "--kind", "availability", "--why", "so it is"]


def recover(site: Site, to: str = "back", *more: str) -> Ran:
    return site.run(*PLAN, "--under", str(site.root / to), *more)


def incidents(site: Site) -> list[dict[str, object]]:
    return list(site.run("incident", "list", "--all").json["incidents"])


def codes(status: Ran) -> set[str]:
    return {one["code"] for plan in status.json["plans"] for one in plan["troubles"]}


def part(site: Site) -> dict[str, object]:
    (measure,) = [m for m in site.run("controls").json["measures"] if m["id"] == INCIDENTS]
    (found,) = [p for p in measure["parts"] if p["id"] == "incidents"]
    return dict(found)


def test_a_recovery_opens_one_and_the_next_is_noted_in_it(centre: Site) -> None:
    assert part(centre)["state"] == "nothing"
    first = recover(centre)
    assert first.code == 0 and first.json["incident"]["next_due"]["clock"] == "gdpr-33", first
    second = recover(centre, "again")
    assert second.json["incident"]["incident"] == first.json["incident"]["incident"]
    (opened,), (noted,) = centre.records("incident.opened"), centre.records("incident.recovery")
    runs = [r["run"] for r in centre.records("recover.start")]
    assert [opened["recovery"], noted["recovery"]] == runs and opened["by"] == "recover"
    (one,) = incidents(centre)
    assert one["recoveries"] == runs and one["state"] == "open"
    assert part(centre)["state"] == "shown"
    centre.ledger_holds()


def test_where_one_opens_the_line_that_closes_a_rehearsal_is_offered(centre: Site) -> None:
    def offered(*args: str) -> list[str]:
        return re.findall(r"`(ccdr incident close \S+ --cause rehearsal [^`]*)`", centre.plainly(*args).stdout)

    (line,) = offered(*PLAN, "--under", str(centre.root / "back"))
    assert offered(*PLAN, "--under", str(centre.root / "again")) == [], "it is noted in one that may be none"
    assert centre.run(*shlex.split(line)[1:]).code == 0 and incidents(centre)[0]["state"] == "closed"
    (by_hand,) = offered(*BY_HAND)
    assert centre.run(*shlex.split(by_hand)[1:]).code == 0
    assert {one["cause"] for one in incidents(centre)} == {"rehearsal"}


def test_a_dry_run_opens_none(centre: Site) -> None:
    assert centre.run("recover", "p", "--under", str(centre.root / "back"), "--dry-run").code == 0
    to = ["--asset", "cdr", "--to", str(centre.root / "dry")]
    assert centre.run("restore", "p", *to, "--dry-run").code == 0
    assert centre.run("runbook", "run", "p", "--dry-run").code == 0
    assert centre.run(*BY_HAND, "--dry-run").json["would_open"]["clocks"][0]["clock"] == "gdpr-33"
    assert not [r for r in centre.records() if r["kind"].startswith("incident.")]


def test_a_restore_for_real_opens_one_and_one_that_was_refused_does_not(centre: Site) -> None:
    full = centre.write("full/file", "here").parent
    refused = centre.run("restore", "p", "--asset", "cdr", "--to", str(full), "--yes-i-mean", "full")
    assert refused.code == 2 and incidents(centre) == [], refused
    assert part(centre)["state"] == "nothing", "nothing was done, and nothing is missing"
    done = centre.run("restore", "p", "--asset", "cdr", "--to", str(centre.root / "new"), "--yes-i-mean", "new")
    assert done.code == 0 and done.json["incident"]["opened_by"] == "restore", done
    assert part(centre)["state"] == "shown"


def test_a_recovery_that_is_killed_has_its_incident(centre: Site) -> None:
    process = centre.start(*PLAN, "--under", str(centre.root / "back"))
    # Its journal is written right after that: before there is one, nothing was begun that could go on.
    begun = centre.state / "recover"
    assert eventually(lambda: any(begun.glob("*/*.jsonl")) or process.poll() is not None)
    killed(process)
    assert process.stdout and process.stderr
    process.stdout.close(), process.stderr.close()
    (start,), (opened,) = centre.records("recover.start"), centre.records("incident.opened")
    assert opened["recovery"] == start["run"]
    assert part(centre)["state"] == "shown"
    if not centre.records("recover.end"):
        assert centre.run("recover", "--resume", "p").code == 0
        assert len(centre.records("incident.recovery")) == 1


def test_an_incident_that_cannot_be_recorded_hinders_no_recovery_and_is_told(centre: Site, lost: Path) -> None:
    """As where the disk takes this line no more, and the next one again."""
    run = (
        "import ccdr.jobs.incidents.opening as opening\n"
        "def refuse(*args): raise OSError(28, 'No space left on device')\n"
        "opening._opened = refuse\n"
        "from ccdr.__main__ import main\nmain()\n"
    )
    argv = [sys.executable, "-c", run, *centre.argv(*PLAN, "--under", str(centre.root / "back"))[3:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done
    assert "no incident could be recorded" in done.stdout, done.stdout
    assert (centre.root / "back/cdr/cdr.db").exists()
    missing = part(centre)
    assert missing["state"] == "contradicted"
    step = missing["observed"][0]["next_step"]  # type: ignore[index]
    run_id = centre.records("recover.start")[0]["run"]
    assert step.endswith(f"--recovery {run_id}")
    assert centre.run(*BY_HAND, "--recovery", run_id).code == 0
    assert part(centre)["state"] == "shown", "the twin"


def test_a_wrong_file_of_clocks_hinders_no_recovery_and_is_named_with_its_line(centre: Site) -> None:
    wrong = centre.write("incidents.yaml", "roles: {}\nclocks:\n  mine: {law: x, to: nobody, within: 1h}\n")
    refused = centre.run(*BY_HAND)
    assert refused.code == 2 and f"{wrong}:3: clocks.mine.to" in json.dumps(refused.json), refused
    done = recover(centre)
    assert done.code == 0 and done.json["incident"]["next_due"]["clock"] == "gdpr-33"
    right = "roles: {controller: [mine]}\nclocks:\n  mine: {law: our contract, to: customers, within: 1h}\n"
    centre.write("incidents.yaml", right)
    assert centre.run("incident", "close", done.json["incident"]["incident"], "--cause", "rehearsal", "--effects", "none",
                      "--remedy", "none").code == 0  # fmt: skip
    assert recover(centre, "again").json["incident"]["next_due"]["clock"] == "mine", "the twin"


def test_what_is_overdue_turns_status_red_and_what_was_filed_does_not(centre: Site) -> None:
    before = centre.run("status")
    opened = centre.run(*BY_HAND, "--aware-at", "2026-01-01T00:00:00Z")
    name = opened.json["incident"]
    assert opened.code == 1 and opened.json["overdue"]
    red = centre.run("status")
    assert red.code == 1 and "INCIDENT_OVERDUE" in codes(red), red
    assert part(centre)["state"] == "contradicted"
    page = centre.root / "report.html"
    assert centre.run("report", "--format", "html", "--out", str(page)).code == 1
    text = page.read_text("utf-8")
    assert 'id="incidents"' in text and name in text and "OVERDUE" in text
    assert centre.run("ack", "INCIDENT_OVERDUE", "p", "--why", "x", "--until", "1d").code == 2
    receipt = centre.write("receipt.txt", "filed under 1234")
    filed = centre.run("incident", "note", name, "--filed", "gdpr-33", "--receipt", str(receipt),
                       "--filed-at", "2026-01-02T00:00:00Z")  # fmt: skip
    assert filed.code == 0 and not filed.json["overdue"], filed
    green = centre.run("status")
    assert green.code == before.code and "INCIDENT_OVERDUE" not in codes(green)
    assert part(centre)["state"] == "stated"


@pytest.mark.parametrize("to", ["authority", "customers"])
@pytest.mark.parametrize("lang", ["en", "ro"])
def test_a_draft_holds_nothing_that_a_person_wrote_no_place_and_no_secret(centre: Site, to: str, lang: str) -> None:
    canary = "Ionescu 0722000001"
    opened = centre.run("incident", "open", "p", "--kind", "integrity", "--why", canary)
    name = opened.json["incident"]
    assert centre.run("incident", "note", name, "--text", canary).code == 0
    assert recover(centre).code == 0
    text = centre.run("incident", "draft", name, "--to", to, "--lang", lang).json["text"]
    password = (centre.root / "plans/key").read_text().strip()
    assert not [word for word in (canary, password, str(centre.root), "cdr.db") if word in text], text
    seqs = {r["seq"] for r in centre.records()}
    word = "record" if lang == "en" else "înregistrarea"
    named = {int(part.split(")")[0]) for part in text.split(f"({word} ")[1:] if part.split(")")[0].isdigit()}
    assert named and named <= seqs, "each fact names its record"
    assert ("[TO BE FILLED IN:" if lang == "en" else "[DE COMPLETAT:") in text
    shown = centre.run("incident", "show", name).json["words"]
    assert [one["text"] for one in shown] == [canary, canary], "the twin: it is kept, apart"
    assert canary not in json.dumps(centre.records())
    csv = centre.run("incident", "register", "--out", str(centre.root / "register.csv"))
    assert csv.code == 0 and canary in (centre.root / "register.csv").read_text()


def test_words_that_were_taken_back_are_said_to_be(centre: Site) -> None:
    name = centre.run(*BY_HAND).json["incident"]
    for path in (centre.state / "payloads").glob("*.json"):
        path.unlink()
    assert centre.run("incident", "show", name).json["words"][0]["text"] is None
