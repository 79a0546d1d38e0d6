"""The ledger is stored with the backups, once a day, and another host's is collected."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.support.attested import as_text, chained, cut, days_later, ledger_problems, lines
from tests.support.harness import Quiet, Site
from tests.support.schema import misfits
from tests.support.stored import other_host, restic_of, settled_file, with_repository

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import read_id
from ccdr.jobs.attest import compare_due, places, store_due
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore_test import restore_test
from ccdr.jobs.upkeep import prune
from ccdr.model.errors import Exit, WrittenByNewer
from ccdr.model.values import Manifest, ObjectiveVerdict, Verdict
from ccdr.plans.job import Job


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
    assert "stored with the backups of p" in as_text(twin, "status", "-v")
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
    assert "with the backups of p (never yet)" in as_text(twin, "status", "-v")
    assert ledger_problems(twin)[1] == "" and twin.run("test", "p").code == 0


def test_a_ledger_of_more_than_one_tenant_goes_only_where_a_plan_says(twin: Site) -> None:
    """It tells of all of them: no tenant's repository gets it."""
    plan, other = twin.root / "plans" / "p.yaml", twin.root / "plans" / "q.yaml"
    other.write_text(plan.read_text().replace("plan: p", "plan: q\ntenant: acme").replace("/repo,", "/repo2,"))
    both = [twin.loaded(), twin.loaded("q")]
    store_due(both[:1], days_later(twin, 2), lambda: both)
    assert places(twin.services()) == {} and "stored nowhere" in as_text(twin, "status", "-v")
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
        older.setattr(Manifest, "format", 1)
        done = restore_test(job, "latest", there.services(), Quiet())
        assert (done.verdict, done.exit_code) == (Verdict.INCONCLUSIVE, Exit.NOT_CARRIED_OUT), done.reason
        assert "was written by a newer ccdr" in str(done.reason) and "upgrade ccdr on this host" in str(done.hint)
        assert done.rpo is not None and done.rpo.verdict is ObjectiveVerdict.NOT_MEASURED and done.findings == []
        assert prune(job.loaded, there.services(), Quiet()).exit_code is Exit.NOT_CARRIED_OUT
        request = Request(to=str(tmp_path / "to"))
        with pytest.raises(WrittenByNewer), restoring(job, request, there.services(), Quiet()):
            pass
    assert there.run("test", "p").json["verdict"] == "PASS", "once it is upgraded"


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
    assert done.code == 3 and done.json["ledger"] == read_id(twin.state / "ledger"), done
    assert done.json["says"] == "internally consistent", "nobody pinned a key"
    data = tmp_path / "export/data"
    for line in (line for path in data.glob("ledgers/*/*.jsonl") for line in path.open("rb")):
        record = json.loads(line)
        schema = json.loads((data / "schemas" / f"{record['kind']}.json").read_text())
        assert not list(misfits(record, schema, schema)), "its records can be read by what lies beside them"
    assert twin.run("ledger", "export", str(tmp_path / "export")).code == 2
    (id_,) = data.glob("ledgers/*/id")
    id_.write_text("0" * 32 + "\n")
    assert twin.run("ledger", "verify", str(tmp_path / "export")).code == 1
    assert twin.run("ledger", "verify", str(id_.parent)).code == 1, "as a plain copy, too"
