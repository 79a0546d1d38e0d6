"""What somebody with a free hand on the state directory does to it is told by the next command, and changes no judgement.

docs/explanation/evidence.md lists all manipulations and who notices; each test here has its healthy twin."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.records import record_in
from tests.support.stored import restic_of, two_days

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import keep
from ccdr.host.clock import SystemClock


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All is well: two backups, a restore test, and a run that found nothing to do."""
    site = two_days(tmp_path_factory.mktemp("well"))
    assert (site.run("test", "p").code, site.run("run").code) == (0, 0)
    return site


def codes(site: Site) -> tuple[int, set[str]]:
    """What `status` exits with, and the troubles it tells of."""
    done = site.run("status")
    assert done.json and "plans" in done.json, done
    plans = done.json["plans"]
    return done.code, {t["code"] for p in plans for one in (p, *p["assets"]) for t in one["troubles"]}


def said(site: Site) -> tuple[int, str]:
    """What `report` exits with, and its answer."""
    done = site.run("report")
    return done.code, done.json["answer"]["word"]


def test_records_of_a_later_ccdr_are_inconclusive_whoever_looks(twin: Site) -> None:
    assert codes(twin) == (0, set()) and said(twin) == (0, "Yes, unless disk or machine is lost")
    newest: dict[str, Any] = twin.records("restore_test.end")[-1]
    keep = {key: newest[key] for key in newest if key not in ("seq", "prev", "time", "host", "actor")}
    Ledger(twin.state / "ledger", SystemClock())._append({**keep, "version": 99, "verdict": "FAIL"})
    assert codes(twin) == (3, {"RECORDS_UNKNOWN"}) and said(twin) == (3, "Not proven")
    assert twin.run("ledger", "verify").code == 3
    assert json.loads(twin.run("run", "--dry-run").stdout) is not None


# --- what the state keeps of the ledger -------------------------------------------------------------------------


def of_ledger(site: Site) -> tuple[int, str]:
    done = site.run("status")
    return done.code, " | ".join(done.json["lineage"]["problems"])


def edited(path: Path, change: Callable[[Any], None]) -> None:
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def lost(site: Site) -> None:
    shutil.rmtree(site.state / "ledger")
    site.backed_up()


@pytest.mark.parametrize("by", ["no record", "another record"])
def test_a_loss_that_the_state_says_was_answered_for_stands_all_the_same(twin: Site, by: str) -> None:
    lost(twin)
    first = twin.records()[0]
    assert "is lost, and was begun anew" in of_ledger(twin)[1]

    def answered(body: Any) -> None:
        lineage = body["lineage"]
        (one,) = lineage["lost"]
        answer = ["2024-01-01T00:00:00Z", "answer.ledger"] if by == "no record" else [first["time"], first["kind"]]
        past = [[one, *answer]]
        lineage |= {"lost": [], "past": past, "answers": {one["ledger"]: 1}}

    edited(twin.state / "chain.json", answered)
    code, told = of_ledger(twin)
    assert code == 1 and "is lost, and was begun anew" in told and "says otherwise than the ledger" in told
    assert said(twin)[0] == 1 and twin.run("ledger", "verify").code == 1
    done = twin.run("run")
    assert done.code == 1 and "says otherwise" in done.stderr + done.stdout
    assert of_ledger(twin)[1].count("otherwise") == 0, "it was made anew; that it had been changed is in the ledger"
    shown = twin.run("status")
    assert shown.code == 1 and not shown.json["ledger"]["ok"] and "is lost" in of_ledger(twin)[1]
    assert twin.run("ack", "LEDGER_LOST", "--why", "a disk died").code == 0
    assert "lost" not in of_ledger(twin)[1]


def test_that_nothing_is_kept_of_the_ledger_any_more_is_told(twin: Site) -> None:
    (twin.state / "chain.json").unlink()
    code, told = of_ledger(twin)
    assert code == 1 and "chain.json is gone" in told
    assert twin.run("ledger", "verify").code == 1 and said(twin) == (1, "Not proven")
    assert twin.run("run").code == 1 and (twin.state / "chain.json").exists()
    shown = twin.run("status")
    assert shown.code == 1 and "chain.json is gone" in shown.json["ledger"]["problems"][0], "the next hour looks again"


def without_its_end(site: Site) -> None:
    """The newest backup never was, and what is kept says so too."""
    (segment,) = (site.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if b'"kind":"backup.start"' in line)
    segment.write_bytes(b"".join(lines[:last]))


def begun_anew(site: Site) -> None:
    """As if this state directory had never had another one."""
    shutil.rmtree(site.state / "ledger")


@pytest.mark.parametrize("manipulate", [without_its_end, begun_anew])
def test_what_the_catalogues_snapshots_attest_tells_before_any_repository_is_asked(
    twin: Site, manipulate: Callable[[Site], None]
) -> None:
    assert of_ledger(twin) == (0, "")
    for name in ("chain.json", "verified.json", "compared.json"):
        (twin.state / name).unlink(missing_ok=True)
    manipulate(twin)
    services = twin.services()
    record_in(services.ledger, "sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    keep(services.state, services.ledger)
    code, told = of_ledger(twin)
    assert code == 1 and ("it was cut" in told or "does not follow" in told or "was rewritten" in told), told
    assert twin.run("ledger", "verify").code == 1


def test_an_id_that_was_changed_is_attested_by_no_snapshot(twin: Site) -> None:
    """And once it is put back, all agrees again."""
    path = twin.state / "ledger" / "id"
    whole = path.read_text()
    path.write_text("f" * 32 + "\n")
    assert twin.run("ledger", "verify").code == 1
    twin.backed_up()
    newest = json.loads(entries(twin)[-1].read_text())["snapshot"]["id"]
    assert f"ledger={whole.strip()}" in tags_of(twin, newest)
    path.write_text(whole)
    assert twin.run("ledger", "verify", "--repository").code == 0 and codes(twin) == (0, set())


# --- plans ----------------------------------------------------------------------------------------------------------


def with_rpo(site: Site, rpo: str) -> None:
    path = site.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("rpo: 1h", f"rpo: {rpo}").replace("rpo: 1s", f"rpo: {rpo}"))


def test_that_a_versions_files_are_gone_makes_no_promise_smaller_and_is_told(twin: Site) -> None:
    with_rpo(twin, "1s")
    assert twin.run("run").code == 0  # the version is recorded
    time.sleep(1.1)
    assert codes(twin) == (1, {"BREACH_RPO"})
    with_rpo(twin, "9d")
    assert codes(twin) == (1, {"BREACH_RPO"}), "nobody has acted by it"
    for kept in (twin.state / "plans/p").iterdir():
        if kept.is_dir():
            shutil.rmtree(kept)
    assert codes(twin) == (1, {"BREACH_RPO", "PLAN_FILES_GONE"})
    done = twin.run("ledger", "verify")
    assert done.code == 1 and len([p for p in done.json["problems"] if "files of the plan p" in p]) == 2, done
    assert said(twin)[0] == 1


def test_a_kept_file_of_an_older_version_is_missed_and_may_be_acknowledged(twin: Site) -> None:
    assert codes(twin) == (0, set()) and twin.run("ledger", "verify").code == 0
    (first,) = (path for path in (twin.state / "plans/p").iterdir() if path.is_dir())
    whole = (first / "plans/p.yaml").read_text()
    with_rpo(twin, "2h")
    assert twin.run("run").code == 0
    (first / "plans/p.yaml").write_text(whole + "# and one word more\n")
    assert codes(twin) == (1, {"PLAN_FILES_GONE"}) and twin.run("ledger", "verify").code == 1
    assert twin.run("ack", "PLAN_FILES_GONE", "p", "--until", "1d", "--why", "a disk died").code == 0
    assert codes(twin) == (0, {"PLAN_FILES_GONE"})
    (first / "plans/p.yaml").write_text(whole)
    assert codes(twin) == (0, set()) and twin.run("ledger", "verify").code == 0, "put back from the repository"


def test_a_plan_whose_file_and_note_are_gone_stays_in_the_population(twin: Site) -> None:
    text = (twin.root / "plans/p.yaml").read_text()
    twin.write("plans/q.yaml", text.replace("plan: p", "plan: q"))
    assert twin.run("run").code == 0 and twin.run("status").json["plans_gone"] == []
    (twin.root / "plans/p.yaml").unlink()
    (twin.state / "plans/p/newest.json").unlink()
    assert twin.run("run").code == 1, "PLAN_GONE: no run can tell that it was of this directory"
    assert twin.run("status").json["plans_gone"] == ["p"], "by the ledger's plan.version"
    report = twin.run("report").json
    assert "p" in [plan["plan"] for plan in report["plans"]] and twin.records("plan.version")[-1]["plan"] != "p"


def test_a_plan_of_another_directory_is_not_gone(twin: Site, tmp_path: Path) -> None:
    """The healthy twin: one state directory, and two of plans."""
    other = tmp_path / "plans"
    shutil.copytree(twin.root / "plans", other)
    (other / "p.yaml").rename(other / "q.yaml")
    (other / "q.yaml").write_text((other / "q.yaml").read_text().replace("plan: p", "plan: q"))
    assert twin.run("--plans", str(other), "run").code == 0
    assert twin.run("status").json["plans_gone"] == []


# --- the catalogue --------------------------------------------------------------------------------------------------


def entries(site: Site) -> list[Path]:
    """The oldest first."""
    found = list((site.state / "catalogue").rglob("*.json"))
    return sorted(found, key=lambda path: str(json.loads(path.read_text())["snapshot"]["consistent_point"]))


@pytest.mark.parametrize("which", [0, 1], ids=["the older one", "the newest"])
def test_a_snapshot_that_the_catalogue_makes_younger_makes_the_rpo_no_better(twin: Site, which: int) -> None:
    with_rpo(twin, "1s")
    assert twin.run("run").code == 0
    time.sleep(1.1)
    before = twin.run("status").json["plans"][0]["assets"][0]["rpo"]["achieved_s"]
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    path = entries(twin)[which]
    whole = path.read_text()
    edited(path, lambda body: body["snapshot"].update(consistent_point=now, usable_at=now))
    found = twin.run("status").json["plans"][0]["assets"][0]["rpo"]
    assert found["achieved_s"] >= before and found["verdict"] == "BREACHED"
    assert codes(twin) == (1, {"BREACH_RPO", "CATALOGUE_WRONG"}) and said(twin) == (1, "Not proven")
    assert twin.run("ack", "CATALOGUE_WRONG", "p", "--until", "1d", "--why", "x").code == 2
    path.write_text(whole)
    assert codes(twin) == (1, {"BREACH_RPO"}), "its healthy twin"


# --- the repository -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["an older one", "the newest"])
def test_a_snapshot_that_somebody_removed_is_missed_at_the_next_look_and_counts_no_more(twin: Site, which: int) -> None:
    known = json.loads(entries(twin)[which].read_text())["snapshot"]
    stored = twin.repo / "snapshots" / known["id"]
    whole = stored.read_bytes()
    assert twin.run("ledger", "verify", "--repository").code == 0
    stored.unlink()
    assert codes(twin) == (0, set()), "nobody has looked yet"
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and any("vanished" in said for said in done.json["problems"]), done
    assert codes(twin) == (1, {"SNAPSHOT_VANISHED"}) and said(twin)[0] == 1
    (asset,) = twin.run("status").json["plans"][0]["assets"]
    assert (asset["last_good_backup"]["snapshot"]["id"] == known["id"]) is False
    (record,) = [r for r in twin.records("ledger.compared") if r["vanished"] and r["vanished"]["recordings"]]
    assert record["result"] == "AGREES" and record["vanished"] == {"recordings": [known["id"]]}
    assert twin.run("ack", "SNAPSHOT_VANISHED", "p", "--until", "1d", "--why", "it was ours to remove").code == 0
    assert codes(twin) == (0, {"SNAPSHOT_VANISHED"})
    stored.write_bytes(whole)
    assert twin.run("ledger", "verify", "--repository").code == 0 and codes(twin) == (0, set()), "it is back"
    twin.ledger_holds()


def test_a_loss_that_somebody_has_acknowledged_is_listed_and_is_no_finding_of_a_test(twin: Site) -> None:
    """As `status` has it. What vanishes afterwards nobody has acknowledged."""
    older, newest = (twin.repo / "snapshots" / json.loads(one.read_text())["snapshot"]["id"] for one in entries(twin))
    older.unlink()
    looks = ("snapshots", "test")
    assert [twin.run(look, "p").code for look in looks] == [1, 1]
    assert twin.run("ack", "SNAPSHOT_VANISHED", "p", "--until", "1d", "--why", "it was ours to remove").code == 0
    for look in looks:
        done = twin.run(look, "p")
        assert done.code == 0 and "vanished" in str(done.json["findings"]), done
    done = twin.run("upkeep", "p", "--prune")
    assert done.code == 0 and "vanished" in str(done.json["prune"]["findings"]), done
    assert codes(twin) == (0, {"SNAPSHOT_VANISHED"})
    twin.backed_up()
    newest.unlink()
    assert [twin.run(look, "p").code for look in looks] == [1, 1]
    assert twin.run("upkeep", "p", "--prune").code == 1 and codes(twin) == (1, {"SNAPSHOT_VANISHED"})


@pytest.mark.parametrize("look", ["test", "snapshots"])
def test_whoever_misses_a_snapshot_tells_status_at_once(twin: Site, look: str) -> None:
    newest = json.loads(entries(twin)[1].read_text())["snapshot"]["id"]
    assert twin.run("snapshots", "p").code == 0 and codes(twin) == (0, set())
    stored = twin.repo / "snapshots" / newest
    whole = stored.read_bytes()
    stored.unlink()
    assert twin.run(look, "p").code == 1
    assert "SNAPSHOT_VANISHED" in codes(twin)[1]
    (asset,) = twin.run("status").json["plans"][0]["assets"]
    assert asset["last_good_backup"]["snapshot"]["id"] != newest
    if look == "snapshots":
        stored.write_bytes(whole)
        assert twin.run(look, "p").code == 0 and codes(twin) == (0, set()), "it is back"


def test_a_snapshot_whose_entry_was_removed_with_it_is_missed_by_the_ledger(twin: Site) -> None:
    entry = entries(twin)[0]
    whole, stored = entry.read_bytes(), twin.repo / "snapshots" / entry.stem
    kept = stored.read_bytes()
    entry.unlink()
    assert twin.run("ledger", "verify", "--repository").code == 0, "it is there, and is learned again"
    stored.unlink()
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and any(f"{entry.stem[:8]} (recordings) is not in" in said for said in done.json["problems"])
    assert codes(twin) == (1, {"SNAPSHOT_VANISHED"}) and said(twin)[0] == 1
    stored.write_bytes(kept)
    entry.write_bytes(whole)
    assert twin.run("ledger", "verify", "--repository").code == 0 and codes(twin) == (0, set()), "it is back"


def test_what_retention_removed_has_not_vanished(twin: Site) -> None:
    path = twin.root / "plans" / "p.yaml"
    path.write_text(path.read_text().replace("assets:\n", "retention: {keep_last: 1}\nassets:\n", 1))
    assert twin.run("upkeep", "p", "--prune").code == 0 and len(entries(twin)) == 1
    assert twin.run("ledger", "verify", "--repository").code == 0
    assert "SNAPSHOT_VANISHED" not in codes(twin)[1]


def test_a_snapshot_that_was_tagged_anew_is_found(twin: Site) -> None:
    newest = json.loads(entries(twin)[1].read_text())["snapshot"]
    (tag,) = [t for t in tags_of(twin, newest["id"]) if t.startswith("ledger_head=")]
    restic_of(twin.root, "tag", "--remove", tag, "--add", f"ledger_head={'0' * 64}", newest["id"])
    done = twin.run("ledger", "verify", "--repository")
    assert done.code == 1 and any("is not the one that" in said for said in done.json["problems"]), done
    assert "SNAPSHOT_VANISHED" in codes(twin)[1] and said(twin) == (1, "Not proven")


def tags_of(site: Site, snapshot: str) -> list[str]:
    (found,) = json.loads(restic_of(site.root, "snapshots", "--json", snapshot))
    return [str(tag) for tag in found["tags"]]


def sound(site: Site, kind: str, **changes: Any) -> dict[str, Any]:
    """The newest record of a kind, as if it had been another run's."""
    newest = site.records(kind)[-1]
    kept = {key: newest[key] for key in newest if key not in ("seq", "prev", "time", "host", "actor")}
    return {**kept, "run": "20261127T000000-ffffff", **changes}


def test_a_backup_that_never_was_is_missed_in_the_repository(twin: Site) -> None:
    """Recorded, and put into the catalogue, as a sound one: the ledger alone cannot know."""
    ledger = Ledger(twin.state / "ledger", SystemClock())
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    never = {**twin.records("backup.end")[-1]["snapshot"], "id": "ab" * 32, "consistent_point": now}
    ledger._append(sound(twin, "backup.start"))
    ledger._append(sound(twin, "backup.end", snapshot=never))
    entry = json.loads(entries(twin)[1].read_text())
    entry["snapshot"] |= {"id": "ab" * 32, "consistent_point": now, "usable_at": now}
    entries(twin)[1].with_name(f"{'ab' * 32}.json").write_text(json.dumps(entry))
    assert codes(twin) == (0, set()), "a false record at its source looks true"
    assert twin.run("ledger", "verify", "--repository").code == 1
    assert codes(twin) == (1, {"SNAPSHOT_VANISHED"})


def test_the_newest_record_that_was_changed_is_found_by_what_was_noted_of_it(twin: Site) -> None:
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    whole = segment.read_bytes()
    *lines, last = whole.splitlines(keepends=True)
    segment.write_bytes(b"".join(lines) + last.replace(b'"host":"', b'"host":"x', 1))
    code, told = of_ledger(twin)
    assert code == 1 and "was rewritten" in told, told
    segment.write_bytes(whole)
    assert of_ledger(twin) == (0, ""), "its healthy twin"


def test_who_may_write_everything_may_write_anything(twin: Site) -> None:
    """What the docs say that nobody can know, as it is: state and repository changed alike say the same."""
    newest = json.loads(entries(twin)[1].read_text())["snapshot"]["id"]
    (segment,) = (twin.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    first = max(n for n, line in enumerate(lines) if b'"kind":"backup.start"' in line)
    segment.write_bytes(b"".join(lines[:first]))
    for name in ("chain.json", "verified.json", "compared.json"):
        (twin.state / name).unlink(missing_ok=True)
    entries(twin)[1].unlink()
    (twin.repo / "snapshots" / newest).unlink()
    services = twin.services()
    keep(services.state, services.ledger)
    assert twin.run("ledger", "verify", "--repository").code == 0
    assert of_ledger(twin)[1] == ""
