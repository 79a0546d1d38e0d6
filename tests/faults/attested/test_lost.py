"""A ledger that was lost is no new beginning: it is told, and brought back from the repository."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.attested import as_text, forged, ledger_problems, lines, problems
from tests.support.harness import PASSWORD, Site
from tests.support.records import record_in
from tests.support.repositories import new_repository
from tests.support.stored import other_host, restic_of

from ccdr.evidence.ledger.verification import verify as verify_ledger
from ccdr.evidence.lineage.comparison import keep, read_id
from ccdr.jobs.attest.storing import store
from ccdr.jobs.services import limits_of


@pytest.fixture
def lost(twin: Site) -> tuple[Site, str]:
    """A site whose ledger was stored in its repository, and is gone then; which it was."""
    was = stored(twin)
    shutil.rmtree(twin.state / "ledger")
    return twin, was


def stored(site: Site) -> str:
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
    told = as_text(site, "ledger", "verify", "--repository")
    assert f"beside it the ledger {was[:8]}…, which was brought back: {taken['records']} records, whole" in told
    assert f"record 3; 2 attest the ledger {was[:8]}… beside it" in told, told
    assert "not known here" not in told
    shown = site.run("ledger", "show", "--ledger", was[:6])
    assert {r["kind"] for r in shown.json["records"]} >= {"ledger.begin", "backup.end"}
    assert "brought back" in site.run("report").json["ledger"]["lost_before"][0]


@pytest.mark.parametrize("shortened", [False, True])
def test_the_longest_copy_of_a_lost_ledger_is_brought_back(twin: Site, shortened: bool) -> None:
    """Whichever repository holds it; what says of itself that it is longer than it is does not count."""
    stored(twin)
    with_a_second_repository(twin)
    services = twin.services()
    for n in range(3):
        record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=f"r{n}", body={"removed": []})
    longest = services.ledger.head()
    place, loaded = services.repository(twin.loaded("q"), limits_of(twin.loaded("q"))), twin.loaded()
    store(place, services)
    if shortened:
        first = services.repository(loaded, limits_of(loaded))
        (there,) = json.loads(restic_of(twin.root, "snapshots", "--json", "--tag", "kind=ledger"))
        tags = [t for t in there["tags"] if not t.startswith("ledger_seq=")]
        restic_of(twin.root, "tag", "--set", ",".join([*tags, "ledger_seq=9999"]), there["id"])
        assert len(first.snapshots(["ccdr-3", "kind=ledger"])) == 1
    shutil.rmtree(twin.state / "ledger")
    done = twin.run("ledger", "recover")
    (taken,) = done.json["ledgers"]
    assert done.code == 0 and (taken["records"], taken["head"], taken["source"]) == (longest.seq, longest.hash, "q")


def test_what_was_brought_back_is_told_where_another_was_not(twin: Site) -> None:
    was, services = stored(twin), twin.services()
    unknown = {"ledger": "f" * 32, "last_seq": 7, "last_head": "e" * 64}
    shutil.rmtree(twin.state / "ledger")
    twin.backed_up()
    services = twin.services()
    record_in(services.ledger, "ledger.lost", plan="p", asset=None, run=None, body=unknown)
    keep(services.state, services.ledger)
    done = twin.run("ledger", "recover")
    assert done.code == 3 and "is not stored in the repositories of p" in done.stderr, done
    assert [one["ledger"] for one in done.json["ledgers"]] == [was]
    assert ["ffffffff" in one["error"] for one in done.json["failed"]] == [True]
    again = twin.run("ledger", "recover")
    assert again.code == 3 and "ffffffff" in again.json["error"], "that one is still lost"


def with_a_second_repository(site: Site) -> None:
    """Of a plan `q`, with nothing in it."""
    plan = (site.root / "plans" / "p.yaml").read_text()
    site.write("plans/q.yaml", plan.replace("plan: p", "plan: q").replace("/repo,", "/repo2,"))
    new_repository(site.root / "repo2", PASSWORD)


@pytest.mark.parametrize("later", [0, 3])
def test_one_loss_is_told_with_one_number_of_records(twin: Site, later: int) -> None:
    """And how many of them were brought back, where some were written after it had been stored."""
    stored(twin)
    services = twin.services()
    had = len(lines(twin))
    for number in range(later):
        record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=f"r{number}", body={"removed": []})
    keep(services.state, services.ledger)
    shutil.rmtree(twin.state / "ledger")
    whole, back = f"at least {had + later}", f"{had} records of at least {had + later}" if later else f"{had} records"
    for told in (
        as_text(twin, "status", "-v"),
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
    assert stored_are() == [was] and "ledger: stored with the backups of p" in as_text(twin, "status", "-v")
    shutil.rmtree(twin.state / "ledger")
    assert twin.run("ledger", "recover").code == 0
    told = as_text(twin, "status", "-v")
    assert "not stored with the backups of p yet" in told and str(was)[:8] in told, told
    assert twin.run("status").json["lineage"]["stored"]["p"]["stored"] is None
    awake()
    new = read_id(twin.state / "ledger")
    assert stored_are() == [was, new] and "ledger: stored with the backups of p" in as_text(twin, "status", "-v")
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
    assert f"it is in {site.state}/ledgers/{was}, read-only" in told and " of the new ledger links it" in told
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


@pytest.mark.parametrize("new_host", [False, True])
def test_a_run_without_any_state_asks_the_repository(twin: Site, tmp_path: Path, new_host: bool) -> None:
    """Though nothing is due, and nothing here knows of a snapshot: for a new host that is no loss."""
    if new_host:
        site, code, of_what = other_host(twin, tmp_path / "there"), 0, []
    else:
        site, code, of_what = twin, 1, [read_id(twin.state / "ledger")]
        stored(twin)
        everything(twin)
    done = site.run("run")
    assert done.code == code and [r["ledger"] for r in site.records("ledger.lost")] == of_what, done
    assert [r["elsewhere"] for r in site.records("ledger.compared")] == [2]
    unknown = "2 are of other ledgers, not known here"
    assert unknown in as_text(site, "ledger", "verify", "--repository"), "nor is what was lost yet"
    assert site.run("ledger", "recover").code == (2 if new_host else 0)
    assert "CATALOGUE_WRONG" not in codes(site), "the catalogue was lost with it, and is read again"
    assert site.services().catalogue.knows("p") is not new_host
    tried = (site.state / "compared.json").read_text()
    assert site.run("run").code == 0 and (site.state / "compared.json").read_text() == tried, "it was compared today"


def test_what_was_stored_nowhere_cannot_be_brought_back(twin: Site) -> None:
    empty(twin)
    done = twin.run("ledger", "recover")
    assert done.code == 3 and "is not stored in the repositories of p" in done.stderr and "ccdr ack" in done.stderr, (
        done
    )


def test_nothing_is_brought_back_where_nothing_is_lost(twin: Site) -> None:
    done = twin.run("ledger", "recover")
    assert done.code == 2 and "no ledger was lost" in done.stderr, done


def test_a_state_elsewhere_is_told_of_the_ledgers_of_others_and_may_say_which_is_lost(
    twin: Site, tmp_path: Path
) -> None:
    """A new host, or another path, has another installation: nothing tells that it stands in for the lost one."""
    was, had = stored(twin), len(lines(twin))
    new = other_host(twin, tmp_path / "new")
    new.backed_up()
    refused = new.run("ledger", "recover", "p")
    assert refused.code == 2 and was[:8] in refused.json["error"], refused
    assert f"ccdr ledger recover p --ledger {was[:8]}" in refused.json["hint"], refused
    assert not new.records("ledger.lost"), "only a person knows"
    done = new.run("ledger", "recover", "p", "--ledger", was[:8])
    (taken,) = done.json["ledgers"]
    assert done.code == 0 and (taken["ledger"], taken["records"], taken["missing"]) == (was, had, 0), done
    assert "brought back" in new.run("report").json["ledger"]["lost_before"][0]
    assert ledger_problems(new)[1] == ""
    again = new.run("ledger", "recover", "p")
    assert again.code == 2 and "nothing to bring back" in again.json["error"], "it is known now"


def test_a_ledger_that_no_repository_holds_is_not_said_to_be_lost(twin: Site, wording: SnapshotAssertion) -> None:
    refused = twin.run("ledger", "recover", "p", "--ledger", "ffffffff")
    assert refused.code == 2 and refused.json["error"] == wording, refused
    assert not twin.records("ledger.lost")


@pytest.mark.parametrize("said", ["", "{:.1}", "{:.7}", "{}0"])
def test_a_slip_says_of_no_ledger_that_it_is_lost(twin: Site, tmp_path: Path, said: str) -> None:
    """The only other one begins so; and what is recorded stays."""
    new, was = other_host(twin, tmp_path / "new"), stored(twin)
    refused = new.run("ledger", "recover", "p", "--ledger", said.format(was))
    assert refused.code == 2 and "8 hexadecimal digits" in refused.json["error"], refused
    assert not new.records("ledger.lost")


@pytest.mark.parametrize("said", [(), ("--ledger", "ffffffff")])
def test_a_repository_that_cannot_be_asked_is_no_repository_without_ledgers(
    twin: Site, tmp_path: Path, said: tuple[str, ...]
) -> None:
    new = other_host(twin, tmp_path / "new")
    (away := twin.repo).rename(away.with_name("away"))
    told = new.run("ledger", "recover", "p", *said)
    assert told.code == 3 and "could not be asked everywhere: p: " in told.json["error"], told
    away.with_name("away").rename(away)
    assert new.run("ledger", "recover", "p", *said).code == 2
