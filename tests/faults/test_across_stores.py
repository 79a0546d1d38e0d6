"""Rows and recordings compared after restore: each way in which they do not fit is a FAIL, and has a twin that does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_restored_recordings import tone
from tests.support.harness import Ran, Site, Source, containers, eventually
from tests.support.sites import copy_of as copy_with_shared_repository
from tests.support.stored import LONG_AGO, other_host, restic_of, with_repository

from ccdr.model.values import utc

SCHEMA = """
create table call (id int generated always as identity, what text not null, recording text, bytes text, sha256 text,
                   ended_at timestamptz);
"""
LATE, LONG = "now() - interval '10 minutes'", "now() - interval '1 day'"


class Centre:
    """A database and a tree; what is put into either belongs to a case, a directory of its own."""

    def __init__(self, source: Source, database: str, tree: Path) -> None:
        self.source, self.database, self.tree = source, database, tree
        self.sql = [SCHEMA]

    def file(self, name: str, *, seconds: float = 0.1, at: float = LONG_AGO, data: bytes | None = None) -> Path:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            tone(path, seconds)
        else:
            path.write_bytes(data)
        os.utime(path, (at, at))
        return path

    def row(
        self, what: str, said: str | None, *, of: Path | None = None, ended: str = LONG, **says: str | None
    ) -> None:
        """A row that names `said`; what it says of the file is true of `of`, but for what is given."""
        true = {"bytes": str(of.stat().st_size), "sha256": sha256(of.read_bytes()).hexdigest()} if of else {}
        values = {"recording": said, "bytes": None, "sha256": None, **true, **says}
        quoted = ["null" if v is None else "'" + v.replace("'", "''") + "'" for v in values.values()]
        columns = ", ".join(values)
        self.sql.append(
            f"insert into call (what, {columns}, ended_at) values ('{what}', {', '.join(quoted)}, {ended});"
        )

    def call(self, what: str, name: str, **more: Any) -> Path:
        """A recording and its row."""
        path = self.file(f"{what}/{name}", **more)
        self.row(what, f"{what}/{name}", of=path)
        return path

    def commit(self) -> None:
        self.source.psql("\n".join(self.sql), self.database)
        self.sql = []


PLAN = """
crm:
  engine: postgres
  group: calls
  connection: {{host: {sockets}, user: postgres, database: {database}}}
  backup: {{schedule: "0 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}
recordings:
  engine: files
  group: calls
  paths: [{tree}]
  settle: 1s
  backup: {{schedule: "0 * * * *"}}
"""


def plan(site: Site, centre: Centre, more: str = "") -> None:
    """`more` is YAML of the recordings."""
    site.plan(PLAN.format(sockets=centre.source.sockets, database=centre.database, tree=centre.tree) + more)


def check(what: str, tree: Path, **changes: object) -> str:
    """One reconcile check on the rows and files of a case, as YAML in flow style."""
    columns = changes.pop("columns", ["path", "size", "sha256", "time"])
    said = {"path": "recording", "size": "bytes", "sha256": "sha256", "time": "extract(epoch from ended_at)"}
    asked = ", ".join(said[c] for c in columns)  # type: ignore[attr-defined]
    body = {
        "kind": "reconcile",
        "name": what,
        "with": "recordings",
        "query": f"select {asked} from call where what = '{what}' order by id",
        "columns": columns,
        "root": str(tree),
        "match": ["*.wav"],
        **changes,
    }
    return f"  - {json.dumps(body)}\n"


def own(what: str, tree: Path, **changes: object) -> str:
    """As `check`, its files those of the case's directory."""
    return check(what, tree, **{"root": str(tree / what), **changes}).replace(
        "select recording", f"select substr(recording, {len(what) + 2})"
    )


def cases(centre: Centre) -> None:
    """Everything that can be wrong, each in a directory of its own; and its twins."""
    for n in range(3):
        centre.call("good", f"{n}.wav")
    whole = centre.call("missing", "there.wav")
    centre.row("missing", "missing/gone-0799123456.wav", of=whole)
    cut = centre.call("truncated", "cut.wav", seconds=0.5)
    os.truncate(cut, cut.stat().st_size - 1000)
    os.utime(cut, (LONG_AGO, LONG_AGO))
    other = centre.call("other contents", "swapped.wav")
    data = bytearray(other.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    os.utime(other, (LONG_AGO, LONG_AGO))
    centre.call("not audio", "text.wav", data=b"no recording at all" * 20)
    centre.call("orphan file", "named.wav")
    centre.file("orphan file/nobody-0799123456.wav")
    centre.file("orphan file/index.db", data=b"of another kind")
    centre.call("late row", "there.wav")
    centre.row("late row", "late row/coming.wav", ended=LATE, bytes="1", sha256="00")
    centre.call("future row", "there.wav")
    centre.row("future row", "future row/coming.wav", ended="now() + interval '1 day'", bytes="1", sha256="00")
    centre.call("zoneless", "there.wav")
    centre.row("zoneless", "zoneless/coming.wav", ended=LATE, bytes="1", sha256="00")
    centre.call("late file", "there.wav")
    centre.file("late file/coming.wav", at=time.time() - 600)
    centre.call("future file", "there.wav")
    centre.file("future file/coming.wav", at=time.time() + 86400)
    for said in ("../good/0.wav", "/etc/passwd", "x/../../good/0.wav", "", None, "there.wav/"):
        centre.row("escaping", said, bytes="1", sha256="00")
    linked = centre.file("links/2026/11/a.wav")
    (centre.tree / "links/latest").symlink_to("2026/11")
    (centre.tree / "links/one.wav").symlink_to("latest/a.wav")
    for said in ("links/latest/a.wav", "links/one.wav"):
        centre.row("links", said, of=linked)
    (centre.tree / "bad links").mkdir()
    (centre.tree / "bad links/loop").symlink_to("loop")
    (centre.tree / "bad links/out.wav").symlink_to("/etc/hostname")
    centre.call("bad links", "there.wav")
    for said in ("bad links/loop/a.wav", "bad links/out.wav"):
        centre.row("bad links", said, bytes="1", sha256="00")
    shared = centre.call("shared", "one.wav")
    centre.row("shared", "shared/one.wav", of=shared)
    unsaid = centre.call("unsaid", "one.wav")
    centre.row("unsaid", "unsaid/one.wav", of=unsaid, bytes=None)
    centre.call("case", "call.wav")
    centre.row("case", "case/CALL.wav", of=centre.tree / "case/call.wav")
    numbers = centre.call("no number", "one.wav")
    centre.row("no number", "no number/one.wav", of=numbers, bytes=f"{numbers.stat().st_size}.5")
    centre.row("no number", "no number/one.wav", of=numbers, sha256="unknown")
    silent = centre.file("silent/one.wav", seconds=0)
    centre.row("silent", "silent/one.wav", of=silent)


# the check's arguments; whether rows and files fit; what the record must say of rows and of files
AUDIO, HOUR = {"decodable": True}, {"apart": "1h"}
CASES: dict[str, tuple[str, dict[str, object], bool, bool, str, str]] = {
    "good": ("good", AUDIO, True, True, "3 of 3 rows match, missing 0", "0 of 3 files"),
    "a recording is missing": ("missing", {}, False, True, "1 of 2 rows match, missing 1", "0 of 1 files"),
    "one may be missing": ("missing", {"allow": {"missing": 1}}, True, True, "missing 1", "0 of 1 files"),
    "a recording is truncated": ("truncated", AUDIO, False, True, "wrong size 1", "0 of 1"),
    "a truncated one whose row says no size": (
        "truncated", {**AUDIO, "columns": ["path"]}, False, True, "unreadable 1", "0 of 1"),
    "a truncated one, by its digest": (
        "truncated", {"columns": ["path", "sha256"]}, False, True, "wrong contents 1", "0 of 1"),
    "other contents of the same size": ("other contents", {}, False, True, "wrong size 0, wrong contents 1", "0 of 1"),
    "the same where no digest is said": ("other contents", {"columns": ["path", "size"]}, True, True, "1 of 1", "0 of 1"),
    "it is not audio": ("not audio", AUDIO, False, True, "unreadable 1", "0 of 1"),
    "it need not be audio": ("not audio", {}, True, True, "1 of 1 rows match", "0 of 1"),
    "a file that no row names": ("orphan file", {}, True, False, "1 of 1 rows", "1 of 2 files without a row, in flight 0"),
    "one such file is allowed": (
        "orphan file", {"allow": {"files_without_row": 1}}, True, True, "1 of 1 rows", "1 of 2 files without a row"),
    "any such files are allowed": (
        "orphan file", {"allow": {"files_without_row": "any"}}, True, True, "1 of 1 rows", "1 of 2 files without a row"),
    "files of another kind count too": ("orphan file", {"match": ["*"]}, True, False, "1 of 1 rows", "2 of 3 files"),
    "a row newer than the files": ("late row", HOUR, True, True, "missing 0", "0 of 1 files"),
    "a row that should have had its file": ("late row", {}, False, True, "missing 1", "0 of 1 files"),
    "a row newer than the files, no time told": (
        "late row", {**HOUR, "columns": ["path"]}, False, True, "missing 1", "0 of 1 files"),
    "a row from the future excuses nothing": ("future row", HOUR, False, True, "missing 1", "0 of 1 files"),
    "a file newer than the rows": ("late file", HOUR, True, True, "in flight 0", "0 of 2 files without a row, in flight 1"),
    "a file that should have had its row": (
        "late file", {}, True, False, "in flight 0", "1 of 2 files without a row, in flight 0"),
    "a file from the future excuses nothing": ("future file", HOUR, True, False, "1 of 1", "1 of 2 files without a row"),
    "paths that lead elsewhere": ("escaping", {}, False, False, "0 of 6 rows match, missing 1, unusable path 5", "no file"),
    "links are followed": ("links", AUDIO, True, True, "2 of 2 rows match", "0 of 1 files"),
    "links that lead nowhere": ("bad links", {}, False, True, "missing 1, unusable path 1", "0 of 1 files"),
    "two rows, one file": ("shared", {}, True, True, "files that several rows name 1", "0 of 1"),
    "two rows, one file, not allowed": ("shared", {"allow": {"shared": 0}}, False, True, "rows name 1", "0 of 1"),
    "a row that says no size": ("unsaid", {}, False, True, "no size or digest said 1", "0 of 1"),
    "it may be silent": ("unsaid", {"allow": {"unsaid": "any"}}, True, True, "2 of 2 rows match", "0 of 1"),
    "another case": ("case", {}, False, True, "missing 1", "0 of 1 files"),
    "a size that is no number": ("no number", {}, False, True, "wrong size 1, wrong contents 1", "0 of 1"),
    "every recording is without sound": ("silent", AUDIO, False, True, "all without sound", "0 of 1"),
    "fewer rows than there should be": ("good", {"at_least": 4}, False, True, "3 of 3 rows match", "0 of 3"),
    "a pattern that matches nothing": ("good", {"match": ["*.mp3"]}, True, False, "3 of 3 rows", "no file matches its patterns"),
}  # fmt: skip


@pytest.fixture(scope="module")
def centre(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    source.psql("create database across template template0")
    made = Centre(source, "across", tmp_path_factory.mktemp("spool") / "recordings")
    cases(made)
    made.commit()
    time.sleep(1.1)  # what was written last has settled
    yield made
    source.psql("drop database across with (force)")


@pytest.fixture(scope="module")
def stored(centre: Centre, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = with_repository(Site(tmp_path_factory.mktemp("across")))
    site.write("restore_tests/crm.yaml", "restore_test: crm\nchecks:\n  - {kind: identical}\n")
    plan(site, centre)
    done = site.backed_up()
    assert done.json["groups"][0]["complete"] and done.json["groups"][0]["skew_s"] < 60
    return site


def outcome(site: Site, checks: str, *args: str) -> Ran:
    site.write("restore_tests/crm.yaml", f"restore_test: crm\nchecks:\n  - {{kind: identical}}\n{checks}")
    return site.run("test", "p", "--asset", "crm", *args)


def of(done: Ran, name: str) -> dict[str, Any]:
    (found,) = [c for c in done.json["checks"] if c["name"] == name]
    return dict(found)


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_with_shared_repository(stored, tmp_path / "site")
    yield made
    made.ledger_holds()
    assert not list((made.state / "scratch").glob("run-*"))
    assert not {n for n in containers() if any(str(r["run"]) in n for r in made.records())}


@pytest.fixture(scope="module")
def all_cases(stored: Site, centre: Centre, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Ran]:
    """Every case in one restore test: each is a check of its own."""
    site = copy_with_shared_repository(stored, tmp_path_factory.mktemp("cases") / "site")
    text = ""
    for name, (what, changes, *_) in CASES.items():
        one = own(what, centre.tree, **changes) if what not in ("escaping",) else check(what, centre.tree, **changes)
        if what == "escaping":
            one = one.replace(json.dumps(str(centre.tree)), json.dumps(str(centre.tree / "nothing here")))
        text += one.replace(json.dumps({"name": what})[1:-1], json.dumps({"name": name})[1:-1])
    return site, outcome(site, text)


@pytest.mark.parametrize("name", CASES)
def test_rows_and_files(all_cases: tuple[Site, Ran], name: str) -> None:
    _, _, rows_fit, files_fit, rows_said, files_said = CASES[name]
    rows, files = of(all_cases[1], f"{name}: rows"), of(all_cases[1], f"{name}: files")
    assert rows_said in rows["actual"] and files_said in files["actual"], (rows, files)
    assert [rows["status"], files["status"]] == ["PASS" if fits else "FAIL" for fits in (rows_fit, files_fit)], (
        rows,
        files,
    )
    assert of(all_cases[1], f"{name}: consistent points")["status"] == "PASS"


def test_a_comparison_that_fails_does_not_disprove_the_snapshot(all_cases: tuple[Site, Ran]) -> None:
    site, done = all_cases
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS")
    assert done.json["rpo"]["verdict"] == "MET" and done.json["checks"][0]["status"] == "PASS"
    status = site.run("status").json["plans"][0]["assets"][0]
    assert status["rpo"]["verdict"] == "MET" and any("FAIL" in p for p in status["problems"])


def test_records_hold_counts_and_the_private_output_names(all_cases: tuple[Site, Ran]) -> None:
    site, done = all_cases
    private = site.state / done.json["private"]["file"]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600 and stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    lines = [json.loads(line) for line in private.read_text("ascii").splitlines()]
    assert len(lines) == done.json["private"]["lines"]
    said = {(line["check"], line["what"], line["row"] or Path(line["file"] or "").name) for line in lines}
    assert ("a recording is missing", "missing", "gone-0799123456.wav") in said
    assert ("a file that no row names", "without a row", "nobody-0799123456.wav") in said
    assert ("a file newer than the rows", "in flight", "coming.wav") in said
    assert any(line["what"] == "missing" and str(line["why"]).endswith("case/call.wav") for line in lines)
    assert not any(check == "good" for check, _, _ in said)
    records = "".join(path.read_text() for path in (site.state / "ledger").glob("*.jsonl"))
    assert "0799123456" not in records and "0799123456" not in done.stdout
    assert utc(done.json["private"]["until"]) > datetime.now(UTC) + timedelta(days=6)
    os.utime(private, (time.time() - 8 * 86400,) * 2)
    site.run("sandbox", "reap")
    assert not private.exists()


def test_what_fits_passes_and_its_parts_are_timed_apart(site: Site, centre: Centre) -> None:
    done = outcome(site, own("good", centre.tree, decodable=True))
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (0, "PASS", "PASS"), done
    (other,) = done.json["others"]
    assert other["asset"] == "recordings" and other["snapshot"]["bytes"] > 0 and len(other["snapshot"]["id"]) == 64
    assert other["group_run"] == site.records("group")[0]["run"]
    assert other["skew_s"] == site.records("group")[0]["skew_s"]
    assert all(other["phases"][name] > 0 for name in ("provision", "fetch", "check", "dispose"))
    assert other["sandbox"]["network"] == "none" and done.json["private"] is None
    assert done.json["disposal"]["sandbox_gone"] and done.json["disposal"]["left_behind"] == []
    (record,) = site.records("restore_test.end")
    (said,) = record["others"]
    assert {key: said["sandbox"][key] for key in other["sandbox"]} == other["sandbox"]
    assert {**said, "sandbox": None} == {**other, "sandbox": None}


def test_the_other_assets_time_is_not_the_tested_assets_recovery(site: Site, centre: Centre) -> None:
    slow = own("good", centre.tree).replace("select", "with slept as materialized (select pg_sleep(4)) select", 1)
    done = outcome(site, slow.replace(" order by", " and exists (select from slept) order by"))
    assert done.code == 0, done
    assert done.json["others"][0]["phases"]["check"] > 4
    own_phases = sum(done.json["phases"][name] for name in ("provision", "fetch", "load", "check"))
    assert done.json["rto"]["achieved_s"] < own_phases + 4


def named(name: str, one: str) -> str:
    """The check under another name, beside which others may stand."""
    return re.sub(r'"name": "[^"]*"', f'"name": "{name}"', one)


UNANSWERED = {
    "two columns": ("select recording, bytes from call", "2 columns"),
    "no table": ("select nothing from nowhere", "SQLSTATE 42P01"),
    "it writes": ("delete from call returning recording, bytes, sha256, 0", "SQLSTATE 25006"),
}


def test_a_query_that_does_not_answer_fails_and_no_other_with_it(site: Site, centre: Centre) -> None:
    """One whose end is as people write it answers."""
    good = own("good", centre.tree)
    ends = {"a semicolon": "order by id ;\n", "a comment": "order by id -- all of them"}
    checks = "".join(
        named(name, re.sub(r'"query": "[^"]*"', f'"query": "{query}"', good)) for name, (query, _) in UNANSWERED.items()
    )
    checks += "".join(named(name, good.replace("order by id", json.dumps(end)[1:-1])) for name, end in ends.items())
    done = outcome(site, checks)
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS")
    for name, (_, said) in UNANSWERED.items():
        failed = [c for c in done.json["checks"] if c["name"].startswith(name) and c["status"] == "FAIL"]
        assert any(said in c["actual"] for c in failed), done.json["checks"]
    for name in ends:
        assert {of(done, f"{name}: {part}")["status"] for part in ("rows", "files", "consistent points")} == {"PASS"}


def test_a_time_without_a_zone_is_nobodys(site: Site, centre: Centre) -> None:
    zoned = own("zoneless", centre.tree, **HOUR).replace("extract(epoch from ended_at)", "ended_at")
    done = outcome(site, zoned + named("without", zoned.replace("ended_at ", "ended_at::timestamp ")))
    assert done.code == 1 and {of(done, f"zoneless: {part}")["status"] for part in ("rows", "files")} == {"PASS"}
    assert of(done, "without: rows")["status"] == "FAIL" and "missing 1" in of(done, "without: rows")["actual"]


def test_without_an_image_that_decodes_nothing_is_proven(site: Site, centre: Centre) -> None:
    plan(site, centre, "  image: nowhere/none:1\n")
    done = outcome(site, own("good", centre.tree, decodable=True))
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (3, "INCONCLUSIVE", "PASS"), done
    assert done.json["reason"] == "could not be carried out: good"
    assert "there is no image nowhere/none:1" in site.run("doctor", "p").stdout
    assert outcome(site, own("good", centre.tree)).code == 0, "what needs no sandbox does without"


@pytest.fixture
def fresh(centre: Centre, tmp_path: Path) -> Site:
    (tmp_path / "fresh").mkdir()
    site = with_repository(Site(tmp_path / "fresh"))
    site.write(
        "restore_tests/crm.yaml", f"restore_test: crm\nchecks:\n  - {{kind: identical}}\n{own('good', centre.tree)}"
    )
    plan(site, centre)
    return site


def points(done: Ran) -> dict[str, Any]:
    return of(done, "good: consistent points")


def test_an_old_snapshot_of_the_other_asset_is_not_used_in_silence(fresh: Site, centre: Centre) -> None:
    fresh.run("backup", "p", "--asset", "recordings")
    time.sleep(2)
    fresh.run("backup", "p", "--asset", "crm")
    checks = own("good", centre.tree, within="1s")
    done = outcome(fresh, checks)
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS"), done
    assert points(done)["status"] == "FAIL" and "captured apart" in points(done)["actual"]
    assert of(done, "good: rows")["status"] == "PASS"
    assert outcome(fresh, own("good", centre.tree, within="10m")).code == 0


def test_the_nearest_snapshot_is_compared_unless_one_was_captured_with_it(fresh: Site) -> None:
    first = fresh.backed_up().json
    alone = fresh.run("backup", "p", "--asset", "recordings").json
    done = fresh.run("test", "p", "--asset", "crm")
    ids = {b["asset"]: b["snapshot"]["id"] for b in first["backups"]}
    assert done.code == 0 and done.json["others"][0]["snapshot"]["id"] == ids["recordings"] != alone["snapshot"]["id"]
    later = fresh.run("backup", "p", "--asset", "crm").json
    done = fresh.run("test", "p", "--asset", "crm")
    assert done.json["snapshot"]["id"] == later["snapshot"]["id"]
    assert (
        done.json["others"][0]["snapshot"]["id"] == alone["snapshot"]["id"]
        and done.json["others"][0]["group_run"] is None
    )


def test_another_host_finds_what_was_captured_together(fresh: Site, tmp_path: Path) -> None:
    fresh.backed_up()
    fresh.run("backup", "p", "--asset", "recordings")
    there = other_host(fresh, tmp_path / "there")
    done = there.run("test", "p", "--asset", "crm")
    assert done.code == 0 and done.json["others"][0]["group_run"] == fresh.records("group")[0]["run"], done


def test_a_failed_backup_of_the_other_asset_is_named(fresh: Site, centre: Centre, tmp_path: Path) -> None:
    fresh.backed_up()
    aside = centre.tree.with_name("unmounted")
    centre.tree.rename(aside)
    try:
        broken = fresh.run("backup", "p")
    finally:
        aside.rename(centre.tree)
    assert broken.json["groups"][0]["missing"] == ["recordings"]
    for host in (fresh, other_host(fresh, tmp_path / "there")):
        done = outcome(host, own("good", centre.tree, within="1d"))
        assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS"), done
        assert "failed" in of(done, "good: newest snapshot")["actual"]
        assert points(done)["status"] == "PASS" and of(done, "good: rows")["status"] == "PASS"
    assert outcome(fresh, own("good", centre.tree, within="1d"), "--snapshot", "oldest").code == 0


def test_an_asset_that_was_never_backed_up_cannot_be_compared(fresh: Site) -> None:
    fresh.run("backup", "p", "--asset", "crm")
    done = fresh.run("test", "p", "--asset", "crm")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS")
    assert "no snapshot of p/recordings" in of(done, "good")["actual"]


def test_a_damaged_snapshot_of_the_other_asset_fails(fresh: Site, centre: Centre) -> None:
    fresh.run("backup", "p", "--asset", "crm")
    before = {p for p in (fresh.repo / "data").rglob("*") if p.is_file()}
    fresh.run("backup", "p", "--asset", "recordings")
    new = [p for p in (fresh.repo / "data").rglob("*") if p.is_file() and p not in before]
    assert fresh.run("test", "p", "--asset", "crm").code == 0
    pack = max(new, key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:100] + bytes(100) + pack.read_bytes()[200:])
    done = fresh.run("test", "p", "--asset", "crm")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["verdict"]) == (1, "FAIL", "PASS"), done
    assert "recordings could not be compared" in of(done, "good")["actual"]
    assert restic_of(fresh.root, "snapshots")


def test_a_repository_that_goes_away_meanwhile_proves_nothing(fresh: Site, centre: Centre) -> None:
    """It is gone once the database has been restored, before the recordings are fetched."""
    fresh.backed_up()
    slow = "  - {kind: sql, name: wait, query: select pg_sleep(4) is null, expect: false}\n"
    fresh.write("restore_tests/crm.yaml", f"restore_test: crm\nchecks:\n{slow}{own('good', centre.tree)}")
    process = fresh.start("test", "p", "--asset", "crm")
    assert process.stderr and any("checking crm: wait" in line for line in process.stderr)
    shutil.move(fresh.repo, fresh.root / "away")
    process.communicate(timeout=120)
    shutil.move(fresh.root / "away", fresh.repo)
    (record,) = fresh.records("restore_test.end")
    assert (process.returncode, record["verdict"], record["snapshot"]["verdict"]) == (3, "INCONCLUSIVE", "PASS")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_it_compares_nothing_stays(site: Site, centre: Centre, sign: int) -> None:
    slow = own("good", centre.tree, decodable=True).replace("select", "select pg_sleep(120), ", 1)
    site.write("restore_tests/crm.yaml", f"restore_test: crm\nchecks:\n  - {{kind: identical}}\n{slow}")
    process = site.start("test", "p", "--asset", "crm")
    assert process.stderr and any("comparing crm with recordings" in line for line in process.stderr)
    (start,) = site.records("restore_test.start")
    ours = {n for n in containers() if start["run"] in n}
    assert ours == {f"ccdr-{start['run']}", f"ccdr-{start['run']}-recordings"}
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert eventually(lambda: not {n for n in containers() if start["run"] in n}, 20)
    if sign == signal.SIGTERM:
        (end,) = site.records("restore_test.end")
        assert (end["verdict"], end["disposal"]["sandbox_gone"], end["disposal"]["scratch_gone"]) == (
            "INCONCLUSIVE",
            True,
            True,
        )
    else:
        assert site.run("sandbox", "reap").code == 0


def test_names_that_are_no_text(source: Source, tmp_path: Path) -> None:
    """A database without an encoding, and recordings named by bytes that are not UTF-8."""
    source.psql("create database ascii template template0 encoding 'SQL_ASCII' locale 'C'")
    try:
        (tmp_path / "site").mkdir()
        site, tree = with_repository(Site(tmp_path / "site")), tmp_path / "spool"
        centre = Centre(source, "ascii", tree)
        good = centre.call("good", "plain.wav")
        named = Path(os.fsdecode(os.fsencode(str(good.parent)) + b"/\xe3\xffcall.wav"))
        shutil.copyfile(good, named)
        os.utime(named, (LONG_AGO, LONG_AGO))
        centre.commit()
        source.psql(
            "insert into call (what, recording, bytes, sha256) select what, "
            r"convert_from('good/'::bytea || '\xe3ff'::bytea || 'call.wav'::bytea, 'SQL_ASCII'), bytes, sha256 from call",
            "ascii",
        )
        plan(site, centre)
        site.write("restore_tests/crm.yaml", "restore_test: crm\nchecks: []\n")
        site.backed_up()
        done = outcome(site, check("good", tree, columns=["path", "size", "sha256"], decodable=True))
        assert done.code == 0 and "2 of 2 rows match" in of(done, "good: rows")["actual"], done
        named_again = check("good", tree, columns=["path"]).replace("select recording", "select recording || 'x'")
        done = outcome(site, named_again)
        assert done.code == 1 and "missing 2" in of(done, "good: rows")["actual"]
        private = (site.state / done.json["private"]["file"]).read_text("ascii")
        assert any(
            os.fsencode(json.loads(line)["row"] or "") == b"good/\xe3\xffcall.wavx" for line in private.splitlines()
        )
    finally:
        source.psql("drop database ascii with (force)")


def test_rows_are_read_whatever_way_the_source_writes_values(source: Source, tmp_path: Path) -> None:
    """A row whose file is still to come is in flight by its time, a digest is one of bytes."""
    source.psql("create database written template template0")
    try:
        (tmp_path / "site").mkdir()
        site = with_repository(Site(tmp_path / "site"))
        centre = Centre(source, "written", tmp_path / "spool")
        whole = centre.call("good", "whole.wav")
        centre.row("good", "good/coming.wav", of=whole, ended="now()")
        centre.row("old", "old/gone.wav", of=whole)
        centre.commit()
        for setting in ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Manila'", "bytea_output = escape"):
            source.psql(f"alter database written set {setting}")
        plan(site, centre)
        site.write("restore_tests/crm.yaml", "restore_test: crm\nchecks: []\n")
        site.backed_up()
        asked = [check(what, centre.tree, match=["x"]) for what in ("good", "old")]
        plainly = "".join(asked).replace("extract(epoch from ended_at)", "ended_at")
        done = outcome(site, plainly.replace(", sha256,", ", decode(sha256, 'hex'),"))
        assert of(done, "good: rows")["status"] == "PASS" and "in flight 1" in of(done, "good: rows")["actual"], done
        assert of(done, "old: rows")["status"] == "FAIL" and "missing 1" in of(done, "old: rows")["actual"]
    finally:
        source.psql("drop database written with (force)")


def test_a_restore_for_real_leaves_the_comparison_out_and_says_so(fresh: Site, tmp_path: Path) -> None:
    fresh.run("backup", "p", "--asset", "crm")
    done = fresh.run("restore", "p", "--asset", "crm", "--to", str(tmp_path / "back"), "--yes-i-mean", "back")
    assert done.code == 0, done
    assert any(c["kind"] == "reconcile" and c["status"] == "SKIPPED" for c in done.json["checks"])
