"""A source whose data was really encrypted, or a canary of which was touched: its snapshot counts no more, and none after
it, until somebody answers for that. A busy day (an archive, a bulk load, a reindex) is none of it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.copied import copied, with_copies
from tests.support.harness import Site

WORDS = [
    "alo",
    "bună",
    "ziua",
    "sunteți",
    "la",
    "serviciul",
    "clienți",
    "vă",
    "rugăm",
    "așteptați",
    "contract",
    "factură",
    "plată",
    "reclamație",
    "agent",
    "apel",
]


def encrypted(path: Path) -> None:
    new = path.with_suffix(".new")
    argv = [
        "openssl",
        "enc",
        "-aes-256-ctr",
        "-pbkdf2",
        "-iter",
        "1",
        "-k",
        "ransom",
        "-in",
        str(path),
        "-out",
        str(new),
    ]
    subprocess.run(argv, check=True)
    new.replace(path)
    settle(path)


def settle(path: Path) -> None:
    os.utime(path, (1_700_000_000, 1_700_000_000))


def talk(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def record(tree: Path, names: range, *, text: bool) -> None:
    """Transcripts, which compress; or sound, which does not."""
    for number in names:
        chance, path = random.Random(number), tree / f"call-{number}"
        path.write_bytes(talk(chance, 9000).encode() if text else chance.randbytes(60_000))
        settle(path)


def backed_up(site: Site) -> list[str]:
    """Exit code and record agree; the signs that it has."""
    done = site.run("backup", "p")
    assert done.json["result"] == "STORED" and done.code == (1 if done.json.get("suspect") else 0), done
    assert site.records("backup.end")[-1]["suspect"] == done.json.get("suspect", [])
    return list(done.json.get("suspect", []))


def troubles(site: Site) -> dict[str, Any]:
    return {t["code"]: t for t in site.run("status").json["plans"][0]["assets"][0]["troubles"]}


@pytest.fixture(params=[True, False], ids=["transcripts", "sound"])
def recordings(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Site, bool]:
    """Three days on which calls were recorded."""
    site, text = Site(tmp_path), request.param
    (tree := tmp_path / "spool").mkdir()
    site.recordings(tree)
    for day in range(3):
        record(tree, range(day * 30, day * 30 + 30) if not day else range(27 + day * 3, 30 + day * 3), text=text)
        assert backed_up(site) == [], "as usual"
    return site, text


def test_files_that_were_encrypted_are_told_and_busy_days_are_not(recordings: tuple[Site, bool]) -> None:
    site, text = recordings
    tree = site.root / "spool"
    record(tree, range(100, 160), text=text)
    assert backed_up(site) == [], "a campaign: three times as many"
    (archive := site.root / "archive").mkdir()
    for path in sorted(tree.iterdir())[10:]:
        shutil.move(path, archive)
    record(tree, range(200, 203), text=text)
    assert backed_up(site) == [], "an archive day"
    record(tree, range(300, 340), text=text)
    assert backed_up(site) == []
    good = site.records("backup.end")[-1]["snapshot"]["id"]
    for path in tree.iterdir():
        encrypted(path)
    found = backed_up(site)
    assert ("incompressible" if text else "files_replaced") in found, found
    assert backed_up(site) == [], "nothing has leapt since"
    now = troubles(site)["SNAPSHOT_SUSPECT"]
    assert "(1 snapshot)" in now["text"] and now["level"] == "LATE", now
    status = site.run("status").json["plans"][0]["assets"][0]
    assert status["last_good_backup"]["snapshot"]["id"] == good, "what counts is the one before it"


def test_files_that_were_encrypted_by_parts_are_told_once_half_of_them_is(recordings: tuple[Site, bool]) -> None:
    """Neither part is half of them, and what was stored between is the one that counts."""
    site, text = recordings
    paths = sorted((site.root / "spool").iterdir())
    part = len(paths) * 2 // 5
    for path in paths[:part]:
        encrypted(path)
    assert backed_up(site) == [], "two fifths"
    for path in paths[part : 2 * part]:
        encrypted(path)
    assert ("incompressible" if text else "files_replaced") in backed_up(site), "and two more"
    assert "SNAPSHOT_SUSPECT" in troubles(site)


SCHEMA = "create table call (id integer primary key, customer text, phone text, note text); create index by_customer on call (customer);"


def calls(path: Path, ids: range) -> None:
    chance = random.Random(ids.start)
    rows = [(i, f"Customer {i % 900} {talk(chance, 2)}", f"07{i:08}", talk(chance, 40)) for i in ids]
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("begin")
        database.executemany("insert into call values (?, ?, ?, ?)", rows)
        database.execute("commit")


def columns_encrypted(path: Path) -> None:
    """Each value by the same cipher, as its application would write it: base64."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        rows = database.execute("select id, customer || char(10) || phone || char(10) || note from call").fetchall()
        plain = "\0".join(text for _, text in rows).encode()
        argv = ["openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-iter", "1", "-k", "ransom", "-base64", "-A"]
        cipher = subprocess.run(argv, input=plain, capture_output=True, check=True).stdout.decode()
        step = len(cipher) // len(rows)
        database.execute("begin")
        pieces = [(cipher[n * step : n * step + step], i) for n, (i, _) in enumerate(rows)]
        database.executemany("update call set customer = '', phone = '', note = ? where id = ?", pieces)
        database.execute("commit")
        database.execute("vacuum")


def run_sql(*statements: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return run


BUSY: dict[str, Callable[[Path], None]] = {
    "a bulk load": lambda path: calls(path, range(50_000, 75_000)),
    "a reindex": run_sql("reindex", "vacuum"),
    "every row written anew": run_sql("update call set note = note || ' (reviewed)'", "vacuum"),
    "nine of ten rows archived": run_sql("delete from call where id % 10", "vacuum"),
}


def test_a_database_whose_columns_were_encrypted_is_told_and_its_upkeep_is_not(tmp_path: Path) -> None:
    site, database = Site(tmp_path), tmp_path / "cdr.db"
    run_sql(*SCHEMA.split(";")[:2])(database)
    site.cdr(database)
    for day in range(3):
        calls(database, range(day * 500 + (19_000 if day else 0), day * 500 + 19_500))
        assert backed_up(site) == []
    for what, busy in BUSY.items():
        busy(database)
        assert backed_up(site) == [], what
    calls(database, range(100_000, 120_000))
    assert backed_up(site) == []
    columns_encrypted(database)
    assert backed_up(site) == ["incompressible"]


def test_a_canary_that_was_touched_is_told_until_somebody_answers(tmp_path: Path) -> None:
    site, tree = Site(tmp_path), tmp_path / "spool"
    tree.mkdir()
    record(tree, range(3), text=True)
    (tree / "00-canary").write_text("nobody opens this")
    settle(tree / "00-canary")
    to = f"retention: {{keep_last: 1}}\ntargets: {{recordings: {{directory: {tmp_path}/back}}}}\n"
    site.recordings(tree, f"canaries: {{front: {{path: {tree}/00-canary}}}}")
    (site.root / "plans/p.yaml").write_text((site.root / "plans/p.yaml").read_text() + to)
    assert [backed_up(site), backed_up(site)] == [[], []], "the first one that sees it goes by no other"
    encrypted(tree / "00-canary")
    assert backed_up(site) == ["canary_changed"]
    (tree / "00-canary").unlink()
    assert backed_up(site) == ["canary_gone"] and set(troubles(site)) >= {"SNAPSHOT_SUSPECT"}
    good = site.records("backup.end")[1]["snapshot"]
    assert site.run("test", "p", "--snapshot", good["id"]).json["snapshot"]["verdict"] == "PASS"
    pruned = site.run("upkeep", "p", "--prune")
    assert good["id"] not in str(site.records("prune.end")[-1]["removed"]), pruned
    latest = site.run("recover", "p", "--yes-i-mean", "p")
    assert latest.code == 3 and not (tmp_path / "back").exists(), latest
    then = site.run("recover", "p", "--at", good["consistent_point"], "--yes-i-mean", "p")
    assert (tmp_path / "back").exists(), then
    (tree / "00-canary").write_text("planted anew")
    settle(tree / "00-canary")
    assert backed_up(site) == ["canary_changed"], "another one in its place is another one"
    answer = ("ack", "SNAPSHOT_SUSPECT", "p", "--asset", "recordings", "--until", "1d", "--why", "it was me")
    assert site.run(*answer).code == 0
    assert "SNAPSHOT_SUSPECT" not in troubles(site)
    assert site.run("test", "p").code == 0 and site.run("upkeep", "p", "--prune").code == 0
    assert good["id"] in str(site.records("prune.end")[-1]["removed"]), "nothing holds it any more"
    assert backed_up(site) == [], "as it is now it is as it is to be"
    encrypted(tree / "00-canary")
    assert backed_up(site) == ["canary_changed"] and "SNAPSHOT_SUSPECT" in troubles(site), "that answer was of another"
    site.ledger_holds()


def test_a_canary_that_no_backup_finds_is_no_evidence_and_one_that_it_finds_is(tmp_path: Path) -> None:
    """Nor is one that the plan names no more."""
    site, tree = Site(tmp_path), tmp_path / "spool"
    tree.mkdir()
    record(tree, range(3), text=True)

    def seen() -> tuple[str, str]:
        (measure,) = [m for m in site.run("controls").json["measures"] if m["id"] == "threats"]
        (part,) = [p for p in measure["parts"] if p["id"] == "leaps"]
        return part["state"], part["observed"][0]["text"]

    site.recordings(tree, f"canaries: {{front: {{path: {tree}/00-canary}}}}")
    site.backed_up()
    assert seen()[0] == "nothing", "a name that was mistyped guards nothing"
    (tree / "00-canary").write_text("nobody opens this")
    settle(tree / "00-canary")
    site.backed_up()
    assert seen()[0] == "shown" and "1 canary as" in seen()[1]
    site.recordings(tree)
    site.backed_up()
    assert seen()[0] == "nothing", seen()


def test_what_is_suspect_is_so_at_a_copy_of_it(tmp_path: Path) -> None:
    """It is no better there: neither is it the newest that counts, nor does the good one before it go."""
    site = with_copies(tmp_path, extra="retention: {keep_last: 1}\n", more=", retention: {keep_last: 1}")
    (canary := tmp_path / "tree/00-canary").write_text("nobody opens this")
    settle(canary)
    path = site.root / "plans/p.yaml"
    path.write_text(
        path.read_text().replace("  settle: 1s\n", f"  settle: 1s\n    canaries: {{front: {{path: {canary}}}}}\n")
    )
    assert backed_up(site) == []
    good = site.records("backup.end")[-1]["snapshot"]
    copied(site)
    assert site.run("test", "p", "--from", "offsite").code == 0
    encrypted(canary)
    assert backed_up(site) == ["canary_changed"]
    suspect = site.records("backup.end")[-1]["snapshot"]
    site.run("copy", "p")
    newest = site.records("copy.end")[-1]["newest"]
    assert newest == {"recordings": good["consistent_point"]}, "what counts there is the one before it"
    shown = {s["id"]: s for s in site.run("snapshots", "p", "--from", "offsite").json["snapshots"]}
    assert suspect["id"] in shown and "suspect" in str(shown[suspect["id"]]), shown
    given = ("--under", str(tmp_path / "back"), "--yes-i-mean", "p", "--from", "offsite")
    latest = site.run("recover", "p", *given)
    assert latest.code == 3 and "suspect" in latest.json["error"], latest
    site.run("upkeep", "p", "--prune", "--from", "offsite")
    assert good["id"] in {s["id"] for s in site.run("snapshots", "p", "--from", "offsite").json["snapshots"]}
    answer = ("ack", "SNAPSHOT_SUSPECT", "p", "--asset", "recordings", "--until", "1d", "--why", "it was me")
    assert site.run(*answer).code == 0
    copied(site)
    assert site.records("copy.end")[-1]["newest"] == {"recordings": suspect["consistent_point"]}, "the twin"
