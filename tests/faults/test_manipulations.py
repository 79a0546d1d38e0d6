"""What somebody with a free hand on the state directory does to it is told by the next command, and changes no judgement.

docs/evidence.md lists all manipulations and who notices; each test here has its healthy twin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Site
from tests.stored import two_days

from ccdr.clock import SystemClock
from ccdr.ledger import Ledger
from ccdr.lineage import keep


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All is well: two backups, a restore test, and a run that found nothing to do."""
    site = two_days(tmp_path_factory.mktemp("well"))
    assert (site.run("test", "p").code, site.run("run").code) == (0, 0)
    return site


def codes(site: Site) -> tuple[int, set[str]]:
    """What `status` exits with, and the troubles it tells of."""
    done = site.run("status")
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
    assert codes(twin) == (3, {"RECORDS_NEWER"}) and said(twin) == (3, "Not proven")
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


def test_a_loss_that_the_state_says_was_answered_for_stands_all_the_same(twin: Site) -> None:
    lost(twin)
    assert "is lost, and was begun anew" in of_ledger(twin)[1]

    def answer(body: Any) -> None:
        lineage = body["lineage"]
        (one,) = lineage["lost"]
        past = [[one, "2024-01-01T00:00:00Z", "ledger.acknowledged"]]
        lineage |= {"lost": [], "past": past, "answers": {one["ledger"]: 1}}

    edited(twin.state / "chain.json", answer)
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
    for name in ("chain.json", "history.json", "verified.json", "compared.json"):
        (twin.state / name).unlink(missing_ok=True)
    manipulate(twin)
    services = twin.services()
    services.ledger.append("sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    keep(services.state, services.ledger)
    code, told = of_ledger(twin)
    assert code == 1 and ("it was cut" in told or "does not follow" in told or "was rewritten" in told), told
    assert twin.run("ledger", "verify").code == 1
