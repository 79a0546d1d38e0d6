"""Who was erased at the source is in nothing that a recovery hands over, and a later look finds it as it was left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.erased import added, of_its_own
from tests.support.harness import Site, ask_sqlite

CALLER = "asset: cdr\ntable: customer\nkey: {id: 17}\n"
VOICE = "asset: recordings\nfiles: [017.wav]\n"
PLANTED = (
    "asset: cdr\ntable: customer\nkey: {id: 200}\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n",
    "asset: recordings\nfiles: [000.wav]\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n",
)
NOT_PLANTED = "asset: cdr\ntable: customer\nkey: {id: 4711}\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n"


@pytest.fixture
def own(centre: Site, stored_centre: Site) -> Site:
    checks = centre.root / "restore_tests/cdr.yaml"
    checks.write_text(checks.read_text("utf-8").replace("3000", "2900"), "utf-8")  # there are that many, and fewer soon
    return of_its_own(centre, stored_centre.repo)


def recover(site: Site, *more: str):
    return site.run("recover", "p", "--under", str(site.root / "back"), "--yes-i-mean", "p", *more)


def rows(site: Site) -> list[tuple[int, int]]:
    database = site.root / "back/cdr/cdr.db"
    return ask_sqlite(
        database, "select (select count(*) from customer), (select count(*) from call where customer_id in (17, 200))"
    )


def test_nobody_who_was_erased_comes_back(own: Site, lost: Path) -> None:
    added(own, CALLER, VOICE, *PLANTED)
    done = recover(own)
    assert (done.code, done.json["state"]) == (0, "done"), done
    assert rows(own) == [(199, 15)], "the canary and what refers to it are nobody's"
    tree = own.root / "back" / "recordings"
    assert {path.name for path in tree.rglob("*.wav")} == {f"{n:03}.wav" for n in range(20)} - {"017.wav"}
    assert {(r["asset"], r["result"], r["purpose"]) for r in own.records("erasure.replay")} == {
        ("cdr", "PROVEN", "recover"),
        ("recordings", "PROVEN", "recover"),
    }
    assert len(list((lost / "tree").iterdir())) == 20, "the source is as it was"
    again = own.run("recover", "check", "p")
    assert again.code == 0, again
    statuses = {c["status"] for asset in again.json["steps"] for c in asset["checks"]}
    assert "FAIL" not in statuses, again.json


def test_what_was_recovered_is_backed_up_and_proven_again_and_without_the_canary_it_is_not(own: Site) -> None:
    """As after every loss: the recovered file is the source from now on."""
    added(own, CALLER, PLANTED[0])
    done = recover(own, "--assets", "cdr")
    assert done.code == 0, done
    database = own.root / "back/cdr/cdr.db"
    plan = own.root / "plans/p.yaml"
    now = re.sub(r"(?m)^( +)path: .*/cdr\.db$", rf"\1path: {database}", plan.read_text("utf-8"))
    plan.write_text(now, "utf-8")
    assert proven_anew(own) == (0, "PROVEN", None)
    ask_sqlite(
        database,
        "pragma foreign_keys = on; delete from call where customer_id = 200; delete from customer where id = 200",
    )
    code, result, reason = proven_anew(own)
    assert (code, result) == (1, "FAILED") and "the canary e-000002 was not found" in str(reason)
    own.ledger_holds()


def proven_anew(site: Site) -> tuple[int, str, str | None]:
    """By a backup of what is there now, and its restore test."""
    assert site.run("backup", "p", "--asset", "cdr").code == 0
    code, replay = site.run("test", "p", "--asset", "cdr").code, site.records("erasure.replay")[-1]
    return code, replay["result"], replay["reason"]


def test_a_canary_that_was_planted_after_the_moment_stays_too_and_stops_nothing(own: Site) -> None:
    """Of two, one is dated when it was added, and its row is in the older snapshot all the same."""
    added(
        own,
        CALLER,
        PLANTED[0],
        PLANTED[0].replace("id: 200", "id: 199").replace("erased_at: 2026-01-01T00:00:00Z\n", ""),
    )
    done = recover(own, "--assets", "cdr")
    assert (done.code, done.json["state"]) == (0, "done"), done
    assert rows(own) == [(199, 15)] and own.records("erasure.replay")[-1]["result"] == "PROVEN"


def test_what_may_hold_them_stops_the_asset_and_the_glass_may_be_broken(own: Site) -> None:
    added(own, CALLER, NOT_PLANTED)
    done = recover(own, "--assets", "cdr")
    assert done.code == 1 and not (own.root / "back/cdr").exists(), done
    again = own.run("recover", "--resume", "p", "--despite-erasures", "the canary was never planted, OPS-18")
    assert again.code == 1 and (own.root / "back/cdr/cdr.db").exists(), again
    assert own.records("erasure.replay")[-1]["handed_over"] is True
    assert rows(own) == [(199, 15)], "who is known is erased all the same"
