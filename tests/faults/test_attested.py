"""What was done to the ledger is found by what the repository's snapshots attest; each manipulation has its healthy twin.

`quiet` manipulations change what the state directory keeps of the ledger, too: then only the repository tells.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Ran, ShiftedClock, Site
from tests.support.schema import misfits
from tests.support.stored import other_host, restic_of, settled_file, with_repository

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify as verify_ledger
from ccdr.evidence.lineage.beside import read_id
from ccdr.evidence.lineage.comparing import keep
from ccdr.jobs.attest import compare_due, places, store_due
from ccdr.jobs.backup.backup import backup
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.services import Services
from ccdr.jobs.upkeep import prune
from ccdr.model.errors import Exit, WrittenByNewer
from ccdr.model.values import ObjectiveVerdict, Verdict
from ccdr.plans.job import Job
from ccdr.storage.restic import PINNED_HOST

Records = list[dict[str, Any]]


def lines(site: Site) -> Records:
    (segment,) = sorted((site.state / "ledger").glob("*.jsonl"))
    return [json.loads(line) for line in segment.read_bytes().splitlines()]


def chained(site: Site, records: Records, *, renumbered: bool = False) -> None:
    """Put these records there in place of what was, as a chain that verifies."""
    (segment,) = sorted((site.state / "ledger").glob("*.jsonl"))
    before, out = "0" * 64, b""
    for number, record in enumerate(records, 1):
        body = {**record, "prev": before, **({"seq": number} if renumbered else {})}
        line = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        before, out = sha256(line).hexdigest(), out + line
    segment.write_bytes(out)


def cut(site: Site) -> None:
    """The newest backup never was."""
    records = lines(site)
    last = max(n for n, r in enumerate(records) if r["kind"] == "backup.start")
    chained(site, records[:last])


def tail_rehashed(site: Site) -> None:
    records = lines(site)
    chained(site, [{**r, "host": "elsewhere"} if r["seq"] == len(records) - 2 else r for r in records])


def forged(site: Site) -> None:
    """As long as it was, and of the same id, but for the times."""
    chained(site, [{**r, "time": "2026-01-01T00:00:00.000000Z"} for r in lines(site)])


def oldest_dropped(site: Site) -> None:
    records = lines(site)
    chained(site, [records[0], *records[3:]], renumbered=True)


MANIPULATIONS = {
    "the ledger was cut": (cut, "missing"),
    "its tail was changed and rehashed": (tail_rehashed, "rewritten"),
    "the whole chain was forged": (forged, "rewritten"),
    "the oldest records were dropped, the others renumbered": (oldest_dropped, "rewritten"),
}


def quietly(site: Site) -> None:
    """Whoever changes the ledger changes what is kept of it beside it."""
    for name in ("chain.json", "verified.json", "compared.json"):
        (site.state / name).unlink(missing_ok=True)
    shutil.rmtree(site.state / "catalogue", ignore_errors=True)
    keep(site.services().state, site.services().ledger, anew=True)


def problems(done: Ran) -> str:
    return " | ".join(done.json["problems"])


def ledger_problems(site: Site) -> tuple[int, str]:
    done = site.run("status")
    return done.code, " | ".join(done.json["lineage"]["problems"])


@pytest.mark.parametrize("first", [("snapshots", "p"), ("ledger", "verify", "--repository")])
def test_a_new_host_that_asks_the_repository_first_is_not_told_that_anything_was_changed(
    twin: Site, first: tuple[str, ...]
) -> None:
    new = ("--state", str(twin.root / "of another host"))
    twin.run(*first, *new)
    assert "chain.json" not in str(twin.run("status", *new).json["lineage"]["problems"])
    done = twin.run("ledger", "verify", *new)
    assert (done.code, done.json["problems"]) == (0, []), done


def test_a_ledger_that_nobody_touched_is_what_its_snapshots_attest(twin: Site) -> None:
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 0 and done.json["says"] == "internally consistent", done
    (asked,) = done.json["repositories"]
    assert (asked["ok"], asked["snapshots"], asked["elsewhere"], asked["unattested"]) == (True, 2, 0, 0), done
    assert ledger_problems(twin)[1] == ""
    told, verified = as_text(twin, "status"), as_text(twin, "ledger", "verify", "--repository")
    assert "ledger: p: 2 snapshots attest it, and all agreed on 2" in told
    assert "the repository of p: 2 snapshots attest it, up to record " in verified, "the same is counted"


@pytest.mark.parametrize("what", MANIPULATIONS)
def test_what_was_done_to_the_ledger_is_found_by_the_repository(twin: Site, what: str) -> None:
    manipulate, said = MANIPULATIONS[what]
    manipulate(twin)
    quietly(twin)
    assert twin.run("ledger", "verify").code == 0, "the chain alone does not show it"
    done = twin.run("ledger", "verify", "--repository", "p")
    assert done.code == 1 and said in problems(done) and not done.json["ok"], done
    code, told = ledger_problems(twin)
    assert code == 1 and said in told
    report = twin.run("report")
    assert report.code == 1 and report.json["answer"]["word"] == "Not proven" and not report.json["ledger"]["ok"], (
        report
    )


def test_the_next_backup_finds_it_too(twin: Site) -> None:
    tail_rehashed(twin)
    quietly(twin)
    done = twin.backed_up()
    assert any("the ledger: " in note for note in done.json["notes"]), done
    (record,) = [r for r in twin.records("ledger.compared") if r["result"] == "DIFFERS"]
    assert record["problems"] and ledger_problems(twin)[1]
    assert twin.run("run").code == 1, "a finding of the ledger's stands, whatever the plans want"


@pytest.mark.parametrize("manipulate", [cut, oldest_dropped])
def test_what_the_state_keeps_of_it_tells_at_once(twin: Site, manipulate: Callable[[Site], None]) -> None:
    manipulate(twin)
    code, told = ledger_problems(twin)
    assert code == 1 and ("was cut" in told or "was rewritten" in told), told
    assert twin.run("ledger", "verify").code == 1


def test_a_finding_is_over_once_the_ledger_is_as_it_was(twin: Site) -> None:
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    whole = segment.read_bytes()
    cut(twin)
    quietly(twin)
    assert twin.run("ledger", "verify", "--repository").code == 1
    segment.write_bytes(whole)
    assert twin.run("ledger", "verify", "--repository").code == 0
    assert ledger_problems(twin)[1] == ""


def test_another_hosts_ledger_in_place_of_ours_is_found(twin: Site, tmp_path: Path) -> None:
    there = other_host(twin, tmp_path / "there")
    assert there.run("test", "p").code == 0
    shutil.rmtree(twin.state / "ledger")
    shutil.copytree(there.state / "ledger", twin.state / "ledger")
    code, told = ledger_problems(twin)
    assert code == 1 and "another ledger" in told, told
    quietly(twin)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and "another host's ledger" in problems(done), done
    assert "LEDGER_LOST" not in done.stdout and not twin.records("ledger.lost"), "nobody can acknowledge it"


def test_a_second_host_is_no_loss(twin: Site, tmp_path: Path) -> None:
    """Its own ledger is young, and the snapshots are of another one, which is not known there."""
    there = other_host(twin, tmp_path / "there")
    assert there.run("test", "p").code == 0
    done = there.run("ledger", "verify", "--repository")
    (asked,) = done.json["repositories"]
    assert (done.code, asked["snapshots"], asked["elsewhere"]) == (0, 0, 2), done
    assert there.backed_up().code == 0
    for site in (there, twin):
        assert site.run("ledger", "verify", "--repository").code == 0
        assert ledger_problems(site)[1] == ""


def planted(site: Site, run: str, *options: str, **changed: object) -> None:
    """A snapshot with the tags of the newest one, but for these."""
    newest = json.loads(restic_of(site.root, "snapshots", "--json", "--tag", "kind=backup"))[-1]
    tags = (
        dict(t.split("=", 1) for t in newest["tags"] if "=" in t)
        | {"run": run}
        | {k: str(v) for k, v in changed.items()}
    )
    words = [w for t in ["ccdr", *(f"{k}={v}" for k, v in tags.items())] for w in ("--tag", t)]
    restic_of(site.root, "backup", "--quiet", *options, "--host", PINNED_HOST, *words, str(site.root / "plans"))


def test_a_snapshot_of_this_ledger_that_no_record_knows_is_found(twin: Site) -> None:
    planted(twin, "20260101T000000-abcdef")
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and "no record knows its run 20260101T000000-abcdef" in problems(done), done


def test_a_backup_looks_at_the_newest_and_puts_off_no_look_at_all_of_them(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccdr.jobs.attest.comparison.RECENT", 1)
    planted(twin, "20260101T000000-abcdef", "--time", "2026-01-01 00:00:00")
    job, services = Job(twin.loaded(), "recordings"), twin.services()
    assert not [note for note in backup(job, services, Quiet()).notes if "the ledger" in note]
    compare_due([twin.loaded()], services)
    assert ledger_problems(twin)[1] == "", "today it was done already"
    compare_due([twin.loaded()], days_later(twin, 1.1))
    assert "no record knows its run 20260101T000000-abcdef" in ledger_problems(twin)[1]


def test_a_snapshot_of_another_ledger_is_not_known_here(twin: Site) -> None:
    planted(twin, "20260101T000000-abcdef", ledger="f" * 32, installation="0" * 12)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 0 and done.json["repositories"][0]["elsewhere"] == 1, done


def test_the_snapshot_of_a_run_that_crashed_is_its_own(twin: Site) -> None:
    """Stored, and killed before its end was recorded."""
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    records = lines(twin)
    last = max(n for n, r in enumerate(records) if r["kind"] == "backup.end")
    chained(twin, records[:last])
    quietly(twin)
    assert segment.stat().st_size
    assert twin.run("ledger", "verify", "--repository").code == 0


def from_before(site: Site) -> dict[str, str]:
    """As an older ccdr left its snapshots: they attest nothing, and the catalogue knows of nothing that does. Their ids
    are others by it: by the old ones."""
    listed = ["snapshots", "--json", "--tag", "kind=backup"]
    for found in json.loads(restic_of(site.root, *listed)):
        gone = [w for t in found["tags"] if t.startswith(("ledger", "installation")) for w in ("--remove", t)]
        restic_of(site.root, "tag", *gone, found["id"])
    shutil.rmtree(site.state / "catalogue", ignore_errors=True)
    return {found["original"]: found["id"] for found in json.loads(restic_of(site.root, *listed))}


def test_snapshots_from_before_they_attested_anything_are_no_finding(twin: Site) -> None:
    from_before(twin)
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 0 and done.json["repositories"][0]["unattested"] == 2, done


def test_a_ledger_from_before_there_were_ids_is_named_at_its_next_record(twin: Site) -> None:
    told = json.dumps([r for r in lines(twin) if not r["kind"].startswith("ledger.")])
    for was, now in from_before(twin).items():
        told = told.replace(was, now)
    old = json.loads(told)
    chained(twin, old, renumbered=True)
    (twin.state / "ledger" / "id").unlink()
    quietly(twin)
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    before = segment.read_bytes()
    twin.backed_up()
    assert segment.read_bytes().startswith(before), "nothing is rewritten"
    (begun,) = twin.records("ledger.begin")
    assert (begun["seq"], begun["from"], begun["predecessor"]) == (len(old) + 1, len(old) + 1, None)
    assert read_id(twin.state / "ledger") == begun["ledger"]
    assert twin.run("ledger", "verify", "--repository").code == 0
    assert ledger_problems(twin)[1] == ""


@pytest.fixture
def lost(twin: Site) -> tuple[Site, str]:
    """A site whose ledger was stored in its repository, and is gone then; which it was."""
    was = stored(twin)
    shutil.rmtree(twin.state / "ledger")
    return twin, was


def stored(site: Site) -> str:
    from ccdr.jobs.attest.storing import store
    from ccdr.jobs.services import limits_of

    services, loaded = site.services(), site.loaded()
    store(services.repository(loaded, limits_of(loaded)), services)
    was = read_id(site.state / "ledger")
    assert was is not None
    return was


def empty(site: Site) -> None:
    for path in (site.state / "ledger").glob("*.jsonl"):
        path.write_bytes(b"")


def everything(site: Site) -> None:
    shutil.rmtree(site.state)


def snapshots_tell(site: Site) -> tuple[int, list[str]]:
    done = site.run("snapshots", "p")
    return done.code, [one["code"] for one in done.json["ledger_troubles"]]


@pytest.mark.parametrize(
    "lose", [empty, lambda s: shutil.rmtree(s.state / "ledger"), everything], ids=["emptied", "gone", "state"]
)
def test_a_lost_ledger_is_no_new_beginning(twin: Site, lose: Callable[[Site], None]) -> None:
    was = read_id(twin.state / "ledger")
    lose(twin)
    twin.backed_up()  # work goes on
    code, told = ledger_problems(twin)
    assert code == 1 and str(was)[:8] in told and "lost" in told, told
    assert snapshots_tell(twin) == (1, ["LEDGER_LOST"])
    report = twin.run("report")
    assert report.code == 1 and report.json["answer"]["word"] == "Not proven", report
    assert [twin.run("run").code for _ in range(2)] == [1, 1], "as long as it stands"
    assert twin.run("ack", "LEDGER_LOST", "--why", "the disk died").code == 0
    assert ledger_problems(twin)[1] == "" and snapshots_tell(twin) == (0, [])
    report = twin.run("report")
    assert str(was)[:8] in report.json["ledger"]["lost_before"][0], "every report tells of it for a year"
    assert "the disk died" not in json.dumps(twin.records()), "a person's words are kept apart"
    assert twin.run("ledger", "verify", "--repository").code == 0, "nor does the repository bring it up again"


def test_a_lost_ledger_is_brought_back_beside_the_new_one(lost: tuple[Site, str]) -> None:
    site, was = lost
    assert ledger_problems(site)[0] == 1
    site.backed_up()
    done = site.run("ledger", "recover")
    assert done.code == 0, done
    (taken,) = done.json["ledgers"]
    assert (taken["ledger"], taken["missing"]) == (was, 0) and taken["until"]
    beside = site.state / "ledgers" / was
    assert verify_ledger(beside).records == taken["records"]
    assert not any(path.stat().st_mode & 0o222 for path in beside.iterdir()), "read-only"
    assert ledger_problems(site)[1] == ""
    verified = site.run("ledger", "verify", "--repository")
    assert verified.code == 0 and was in verified.json["others"], verified
    shown = site.run("ledger", "show", "--ledger", was[:6])
    assert {r["kind"] for r in shown.json["records"]} >= {"ledger.begin", "backup.end"}
    assert "brought back" in site.run("report").json["ledger"]["lost_before"][0]


@pytest.mark.parametrize("later", [0, 3])
def test_one_loss_is_told_with_one_number_of_records(twin: Site, later: int) -> None:
    """And how many of them were brought back, where some were written after it had been stored."""
    stored(twin)
    services = twin.services()
    had = len(lines(twin))
    for number in range(later):
        services.ledger.append("sandbox.reap", plan=None, asset=None, run=f"r{number}", body={"removed": []})
    keep(services.state, services.ledger)
    shutil.rmtree(twin.state / "ledger")
    whole, back = f"at least {had + later}", f"{had} records of at least {had + later}" if later else f"{had} records"
    for told in (
        as_text(twin, "status"),
        as_text(twin, "ack", "LEDGER_LOST", "--why", "x", "--dry-run"),
        twin.run("report").json["findings"][0]["text"],
    ):
        assert set(re.findall(r"at least \d+", told)) == {whole}, told
    told = as_text(twin, "ledger", "recover")
    assert f": {back}, up to" in told and (f"at least {later} records are lost" in told) is bool(later), told
    (told,) = twin.run("report").json["ledger"]["lost_before"]
    assert whole in told and f"brought back beside this one ({back})" in told


def test_the_new_ledger_is_stored_by_the_next_run(twin: Site) -> None:
    """Until then `status` does not take what is there of the lost one for it. A ledger that was stored an hour ago, and
    not lost, is let be."""

    def stored_are() -> list[str]:
        listed = json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger"))
        return [tag.partition("=")[2] for one in listed for tag in one["tags"] if tag.startswith("ledger=")]

    def awake() -> None:
        for wake in (twin.state / "schedule").glob("wake-*"):
            wake.unlink()
        twin.run("run")

    awake()
    was = read_id(twin.state / "ledger")
    awake()
    assert stored_are() == [was] and "ledger: stored with the backups of p" in as_text(twin, "status")
    shutil.rmtree(twin.state / "ledger")
    assert twin.run("ledger", "recover").code == 0
    told = as_text(twin, "status")
    assert "ledger: not stored with the backups of p yet" in told and str(was)[:8] in told, told
    assert twin.run("status").json["lineage"]["stored"]["p"]["stored"] is None
    awake()
    new = read_id(twin.state / "ledger")
    assert stored_are() == [was, new] and "ledger: stored with the backups of p" in as_text(twin, "status")
    assert twin.run("status").json["lineage"]["stored"]["p"]["ledger"] == new


def test_what_failed_before_the_loss_fails_again_once_the_ledger_is_back(twin: Site) -> None:
    """By the same commands as ever; what passes later takes it back."""
    good = (twin.root / "restore_tests" / "recordings.yaml").read_text()
    bad = "restore_test: recordings\nchecks:\n  - {kind: command, name: no, argv: ['false']}\n"
    twin.write("restore_tests/recordings.yaml", bad)
    assert twin.run("test", "p").json["verdict"] == "FAIL"
    stored(twin)
    shutil.rmtree(twin.state / "ledger")
    assert "TEST_FAILED" not in codes(twin), "nobody knows"
    assert twin.run("ledger", "recover").code == 0
    assert "TEST_FAILED" in codes(twin)
    assert twin.run("report").json["answer"]["word"] == "No"
    twin.write("restore_tests/recordings.yaml", good)
    twin.backed_up()
    assert twin.run("test", "p").json["verdict"] == "PASS" and "TEST_FAILED" not in codes(twin)
    assert twin.run("ledger", "verify", "--repository").code == 0


def codes(site: Site) -> set[str]:
    """What `status` tells of, and the report as well."""
    (asset,) = site.run("status").json["plans"][0]["assets"]
    found = {trouble["code"] for trouble in asset["troubles"]}
    assert found <= {finding["code"] for finding in site.run("report").json["findings"]}
    return found


def test_a_ledger_that_was_brought_back_and_then_changed_is_found(lost: tuple[Site, str]) -> None:
    site, was = lost
    told = as_text(site, "ledger", "recover")
    assert re.search(
        rf"^recovered the lost ledger {was[:8]}… from the repository of p: \d+ records, up to 2\S+ \S+ UTC$", told, re.M
    )
    assert f"it lies in {site.state}/ledgers/{was}, read-only" in told and " of the new ledger links it" in told
    assert told.splitlines()[-1].startswith("  → `ccdr ledger verify --repository`")
    beside = site.state / "ledgers" / was
    shutil.rmtree(beside)
    done = site.run("ledger", "verify", "--repository")
    assert done.code == 1 and "is not in" in problems(done), done


def test_a_stored_ledger_that_is_not_what_snapshots_attest_is_not_brought_back(twin: Site) -> None:
    forged(twin)
    was = stored(twin)
    shutil.rmtree(twin.state / "ledger")
    done = twin.run("ledger", "recover")
    assert done.code == 1 and "rewritten before it was stored" in done.stderr, done
    assert not (twin.state / "ledgers" / was).exists() and ledger_problems(twin)[0] == 1


def test_a_run_looks_at_once_where_a_ledger_is_young_and_snapshots_are_there(twin: Site) -> None:
    """Whoever removed it removed what was kept of it, too."""
    shutil.rmtree(twin.state / "ledger")
    (twin.state / "chain.json").unlink()
    assert twin.run("run").code == 1 and "is lost" in ledger_problems(twin)[1]


def test_what_was_stored_nowhere_cannot_be_brought_back(twin: Site) -> None:
    empty(twin)
    done = twin.run("ledger", "recover")
    assert done.code == 3 and "is not stored in the repositories of p" in done.stderr and "ccdr ack" in done.stderr, (
        done
    )


def test_nothing_is_brought_back_where_nothing_is_lost(twin: Site) -> None:
    done = twin.run("ledger", "recover")
    assert done.code == 2 and "no ledger was lost" in done.stderr, done


def days_later(site: Site, days: float) -> Services:
    return site.services(ShiftedClock(timedelta(days=days)))


def test_the_ledger_is_stored_with_the_backups_once_a_day(twin: Site) -> None:
    """And is nothing that a command would take for a backup, or for somebody else's."""
    services = days_later(twin, 2)
    store_due([twin.loaded()], twin.services(), lambda: [twin.loaded()])
    assert places(services) == {}, "it is not a day old"
    for _ in range(2):
        store_due([twin.loaded()], services, lambda: [twin.loaded()])
    (place,) = places(services).values()
    assert (place.reason, place.seq) == (None, len(lines(twin)))
    (listed,) = json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger"))
    assert f"ledger={read_id(twin.state / 'ledger')}" in listed["tags"] and not any(
        "plan=" in t for t in listed["tags"]
    )
    store_due([twin.loaded()], days_later(twin, 4), lambda: [twin.loaded()])
    assert len(json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger"))) == 2
    assert "stored with the backups of p" in as_text(twin, "status")
    assert twin.run("status").json["lineage"]["stored"]["p"]["reason"] is None
    for args in (("snapshots", "p"), ("test", "p"), ("upkeep", "p", "--prune"), ("ledger", "verify", "--repository")):
        done = twin.run(*args)
        assert done.code == 0 and not done.json.get("findings"), done


def test_a_run_and_a_restore_test_see_to_it(twin: Site) -> None:
    """Where more than a day has passed since it was stored, or compared."""
    long_ago = "2025-11-24T12:00:00Z"
    for args in (("test", "p"), ("run",)):
        stored = {"p": {"tried": long_ago, "stored": long_ago, "seq": 1, "reason": None}}
        (twin.state / "stored-ledger.json").write_text(json.dumps(stored))
        assert twin.run(*args).code == 0
        assert str(places(twin.services())["p"].stored) > long_ago, args
    plan = twin.loaded()
    compare_due([plan], twin.services())
    assert len(twin.records("ledger.compared")) == 1, "compared today"
    compare_due([plan], days_later(twin, 2))
    assert [r["result"] for r in twin.records("ledger.compared")] == ["AGREES"] * 2


def test_the_ledger_is_stored_with_the_first_backup(site: Site, tmp_path: Path) -> None:
    """Else a host that dies on its first day takes all that it knew with it."""

    def stored_by_a_run() -> int:
        for wake in (site.state / "schedule").glob("wake-*"):
            wake.unlink()
        assert site.run("run").code == 0
        return len(json.loads(restic_of(site.root, "snapshots", "--json", "--tag", "kind=ledger")))

    settled_file(tmp_path / "tree" / "a.wav", b"a voice")
    with_repository(site).recordings(tmp_path / "tree")
    assert stored_by_a_run() == 0, "there is nothing yet to store it with"
    site.backed_up()
    assert stored_by_a_run() == 1 and places(site.services())["p"].stored
    assert stored_by_a_run() == 1, "and then once a day"


def test_that_a_host_may_not_store_its_ledger_is_told_and_fails_nothing(twin: Site) -> None:
    refused = "#!/bin/sh\ncase \"$*\" in *' backup '*) echo 'Fatal: unable to save snapshot: AccessDenied' >&2; exit 1;; esac\n"
    twin.write("bin/restic", f'{refused}exec {shutil.which("restic")} "$@"\n', mode=0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{twin.root / 'bin'}:{os.environ['PATH']}")
        store_due([twin.loaded()], days_later(twin, 2), lambda: [twin.loaded()])
    place = places(twin.services())["p"]
    assert place.stored is None and place.reason
    assert "it could not be stored with the backups of p (never yet)" in as_text(twin, "status")
    assert ledger_problems(twin)[1] == "" and twin.run("test", "p").code == 0


def test_a_ledger_of_more_than_one_tenant_goes_only_where_a_plan_says(twin: Site) -> None:
    """It tells of all of them: no tenant's repository gets it."""
    plan, other = twin.root / "plans" / "p.yaml", twin.root / "plans" / "q.yaml"
    other.write_text(plan.read_text().replace("plan: p", "plan: q\ntenant: acme").replace("/repo,", "/repo2,"))
    both = [twin.loaded(), twin.loaded("q")]
    store_due(both[:1], days_later(twin, 2), lambda: both)
    assert places(twin.services()) == {} and "stored nowhere" in as_text(twin, "status")
    own = f"ledger_repository: {{url: {twin.root}/evidence, password_file: key}}\n"
    plan.write_text(plan.read_text().replace("assets:\n", f"{own}assets:\n", 1))
    both[0] = twin.loaded()
    store_due(both, days_later(twin, 2), lambda: both)
    assert places(twin.services())["p"].stored and "q" not in places(twin.services())
    assert json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger")) == []
    was = read_id(twin.state / "ledger")
    shutil.rmtree(twin.state / "ledger")
    done = twin.run("ledger", "recover", "p")
    assert done.code == 0 and done.json["ledgers"][0]["ledger"] == was, done


def test_a_ledger_that_was_cut_is_not_stored_over_what_it_was(twin: Site) -> None:
    cut(twin)
    store_due([twin.loaded()], days_later(twin, 2), lambda: [twin.loaded()])
    assert json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger")) == []


def test_what_only_a_newer_ccdr_can_read_is_inconclusive(
    twin: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test host that was not upgraded first: it says nothing against the backup, removes nothing and restores nothing
    older in its place."""
    there = other_host(twin, tmp_path / "there")
    plan = there.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:\n", "retention: {keep_last: 1}\nassets:\n"))
    job = Job(there.loaded(), "recordings")
    with monkeypatch.context() as older:
        older.setattr("ccdr.storage.catalogue.MANIFEST_FORMAT", 1)
        done = restore_test(job, "latest", there.services(), Quiet())
        assert (done.verdict, done.exit_code) == (Verdict.INCONCLUSIVE, Exit.NOT_CARRIED_OUT), done.reason
        assert "was written by a newer ccdr" in str(done.reason) and "upgrade ccdr on this host" in str(done.hint)
        assert done.rpo is not None and done.rpo.verdict is ObjectiveVerdict.NOT_MEASURED and done.findings == []
        assert prune(job.loaded, there.services(), Quiet()).exit_code is Exit.NOT_CARRIED_OUT
        request = Request(to=str(tmp_path / "to"))
        with pytest.raises(WrittenByNewer), restoring(job, request, there.services(), Quiet()):
            pass
    assert there.run("test", "p").json["verdict"] == "PASS", "once it is upgraded"


def as_text(site: Site, *args: str) -> str:
    done = subprocess.run(site.argv(*args), capture_output=True, text=True, check=False)
    return done.stdout


def test_another_hosts_ledger_is_collected_and_kept_to_its_word(twin: Site, tmp_path: Path) -> None:
    there = other_host(twin, tmp_path / "there")
    assert there.run("test", "p").code == 0
    name = str(read_id(there.state / "ledger"))
    done = twin.run("ledger", "collect", str(there.state))
    first = len(lines(there))
    assert done.code == 0 and done.json["ledgers"][0]["records"] == first, done
    assert there.run("test", "p").code == 0
    done = twin.run("ledger", "collect", str(there.state / "ledger"))
    assert done.code == 0 and done.json["ledgers"][0]["new"] == len(lines(there)) - first, done
    assert twin.run("ledger", "verify").json["others"][name]["ok"]
    whole = lines(there)
    chained(there, whole[:-2])
    done = twin.run("ledger", "collect", str(there.state))
    assert done.code == 1 and "are here already" in done.stderr, done
    chained(there, [{**r, "host": "x"} for r in whole])
    done = twin.run("ledger", "collect", str(there.state))
    assert done.code == 1 and "another chain" in done.stderr, done
    (segment,) = (there.state / "ledger").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"kind"', b'"kinf"', 1))
    done = twin.run("ledger", "collect", str(there.state))
    assert done.code == 1 and "does not verify" in done.stderr, done
    assert twin.run("ledger", "collect", str(twin.state)).code == 2, "our own"
    assert Ledger(twin.state / "ledgers" / name, None).head().seq == len(whole)  # type: ignore[arg-type]


def test_an_export_verifies_and_says_which_ledger_it_is(twin: Site, tmp_path: Path) -> None:
    assert twin.run("ledger", "export", str(tmp_path / "export")).code == 0
    done = twin.run("ledger", "verify", str(tmp_path / "export"))
    assert done.code == 0 and done.json["ledger"] == read_id(twin.state / "ledger"), done
    for line in (line for path in (tmp_path / "export").glob("*.jsonl") for line in path.open("rb")):
        record = json.loads(line)
        schema = json.loads((tmp_path / "export/schemas" / f"{record['kind']}.json").read_text())
        assert not list(misfits(record, schema, schema)), "its records can be read by what lies beside them"
    assert twin.run("ledger", "export", str(tmp_path / "export")).code == 2
    (tmp_path / "export" / "id").write_text("0" * 32 + "\n")
    assert twin.run("ledger", "verify", str(tmp_path / "export")).code == 1
