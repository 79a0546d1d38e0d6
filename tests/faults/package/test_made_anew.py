"""What a package tells beside its records is made anew from them: whoever changes it, with every digest, is found."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from tests.support.packages import Exporting, made, sealed, told_otherwise
from tests.support.sparse import append_sparse

from ccdr.evidence.package import bag
from ccdr.evidence.package.verifying import verify_package
from ccdr.jobs.checkpoints.creation import make
from ccdr.model.values import rfc3339
from ccdr.telling import package as package_telling
from ccdr.telling.report.population_csv import COLUMNS


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    exporting = made(tmp_path_factory.mktemp("anew"))
    world = exporting.world
    missed = {"verb": "test", "due": rfc3339(world.clock.now()), "count": 3, "reason": "the host was off"}
    append_sparse(world.ledger, "missed", plan="p", asset="recordings", run=None, body=missed)
    assert world.site.run("ack", "TEST_FAILED", "p", "--why", "known", "--until", "7d").code == 0
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)
    assert exporting.export().code == 0
    assert exporting.by_pin() == (0, "verified", []), "the healthy twin"
    return exporting


def found_in(exported: Exporting, name: str, change: Callable[[Path], object]) -> tuple[int, str | None, list[str]]:
    package = exported.damaged(name)
    change(package)
    sealed(package)
    return exported.by_pin(package)


def replaced(path: Path, old: bytes, new: bytes) -> None:
    assert old in path.read_bytes(), path
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def another(cell: str) -> str:
    if not cell:
        return "1"
    return cell[:-1] + ("1" if cell[-1] == "0" else "0") if cell[-1].isdigit() else f"{cell}x"


def with_other_cell(package: Path, column: str) -> None:
    """Of the last row but the one that closes it, whose digest is made to fit."""
    path = package / "data/population.csv"
    *rows, closing = path.read_bytes().splitlines(keepends=True)
    before = sha256(b"".join(rows)).hexdigest()
    cells = next(csv.reader([rows[-1].decode()]))
    at = COLUMNS.index(column)
    cells[at] = another(cells[at])
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    rows[-1] = text.getvalue().encode()
    after = sha256(b"".join(rows)).hexdigest()
    path.write_bytes(b"".join([*rows, closing.replace(before.encode(), after.encode())]))
    if "Ccdr-Population-SHA256" in (package / bag.INFO).read_text():
        told_otherwise(package, "Ccdr-Population-SHA256", after)


@pytest.mark.parametrize("column", COLUMNS)
def test_each_column_of_the_population_is_held_to_the_records(exported: Exporting, column: str) -> None:
    assert found_in(exported, f"column-{column}", lambda p: with_other_cell(p, column))[0] == 1


def json_changed(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "change"),
    {
        "report.html": lambda path: replaced(path, b"</main>", b"<p>All is well.</p></main>"),
        "report.json": lambda path: json_changed(path, lambda told: told["answer"].update(level="FINE")),
        "controls.json": lambda path: json_changed(path, lambda told: told["measures"].pop()),
        "README.txt": lambda path: path.write_text("Open report.html, and believe it.\n"),
        "LIMITS.txt": lambda path: path.write_text("There are none.\n"),
        "schemas/missed.json": lambda path: path.write_text("{}"),
        "population.csv": lambda path: path.unlink(),
    }.items(),
)
def test_each_document_is_made_anew_from_the_records(
    exported: Exporting, name: str, change: Callable[[Path], object]
) -> None:
    found = found_in(exported, name.replace("/", "-"), lambda p: change(p / "data" / name))
    assert found[0] == 1 and "NOT_AS_RECORDED" in found[2], found


def test_the_text_of_a_plan_that_is_gone_is_found(exported: Exporting) -> None:
    found = found_in(exported, "no-text", lambda p: next(p.glob("data/plans/*/*/plans/p.yaml")).unlink())
    assert found[0] == 1 and "PLAN_TEXT_MISSING" in found[2], found


@pytest.mark.parametrize(
    "name",
    [
        "data/read-me-first.html",
        "data/checkpoints/x/1.txt",
        "data/checkpoints/OURS/deep/report.html",
        "data/checkpoints/OURS/anchors/note.html",
        "data/signed/a.txt",
    ],
)
def test_a_file_that_belongs_to_nothing_is_found_though_a_digest_has_it(exported: Exporting, name: str) -> None:
    def added(package: Path) -> None:
        (ours,) = (one.name for one in (package / "data/checkpoints").iterdir())
        path = package / name.replace("OURS", ours)
        path.parent.mkdir(exist_ok=True)
        path.write_text("All is well.\n")

    found = found_in(exported, f"added-{len(name)}", added)
    codes = {"PACKAGE_FILE_EXTRA", "SIGNED_FILE_WRONG", "CHECKPOINT_UNREADABLE"}
    assert found[0] == 1 and codes & set(found[2]), found


@pytest.mark.parametrize("label", ["Ccdr-Plans", "Ccdr-Tenant"])
def test_a_whole_package_leaves_no_plan_out_whatever_it_says(exported: Exporting, label: str) -> None:
    """Its report, made anew of the plans that it names, would say nothing of the one that fails."""
    found = found_in(exported, f"narrowed-{label}", lambda p: told_otherwise(p, label, "q"))
    assert found[0] == 1 and {"NOT_AS_RECORDED", "PACKAGE_INFO_WRONG"} & set(found[2]), found


def test_a_record_that_is_dated_after_the_package_is_found(tmp_path: Path) -> None:
    exporting = made(tmp_path)
    now = exporting.world.clock.at
    exporting.world.clock.at = datetime(2036, 1, 1, tzinfo=UTC)
    append_sparse(exporting.world.ledger, "backup.start", plan="p", asset="recordings", run="late", body={})
    exporting.world.clock.at = now
    exporting.export()
    found = exporting.verify()
    assert found[0] == 1 and "RECORD_AFTER_PACKAGE" in found[2], found


LIES: dict[str, Callable[[dict[str, object]], object]] = {
    "rpo": lambda facts: facts["assets"]["recordings"].update(rpo=99_999.0),  # type: ignore[index]
    "rto": lambda facts: facts["assets"]["recordings"].update(rto=99_999.0),  # type: ignore[index]
    "backup": lambda facts: facts["assets"]["recordings"].update(backup="0 0 1 1 *"),  # type: ignore[index]
    "test": lambda facts: facts["assets"]["recordings"].update(test=None),  # type: ignore[index]
    "assets": lambda facts: facts.update(assets={}),
    "timezone": lambda facts: facts.update(timezone="Pacific/Kiritimati"),
    "owner": lambda facts: facts.update(owner="eve@example.test"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_version_of_a_plan_promises_is_made_from_its_text(tmp_path: Path, lie: str) -> None:
    exporting = made(tmp_path)
    (record,) = exporting.world.site.records("plan.version")
    facts = json.loads(json.dumps(record["facts"]))
    LIES[lie](facts)
    assert facts != record["facts"]
    body = {"digest": record["digest"], "predecessor": record["predecessor"], "files": record["files"], "facts": facts}
    append_sparse(exporting.services.ledger, "plan.version", plan="p", asset=None, run=None, body=body)
    exporting.export()
    found = exporting.by_pin()
    assert found[0] == 1 and "PLAN_FACTS_WRONG" in found[2], found


def test_another_owner_of_a_plan_is_found(exported: Exporting) -> None:
    def owner(package: Path) -> None:
        for name in ("report.json", "report.html"):
            path = package / "data" / name
            path.write_bytes(path.read_bytes().replace(b"ops@example.test", b"eve@example.test"))

    found = found_in(exported, "owner", owner)
    assert found[0] == 1 and "NOT_AS_RECORDED" in found[2], found


def test_missed_0_beside_an_open_missed_is_found(exported: Exporting) -> None:
    def none_missed(told: dict[str, object]) -> None:
        for one in told["population"]["tallies"]:  # type: ignore[index]
            one["missed"] = 0

    found = found_in(exported, "missed", lambda p: json_changed(p / "data/report.json", none_missed))
    assert found[0] == 1 and "NOT_AS_RECORDED" in found[2], found


def test_an_acknowledged_trouble_beside_another_answer_is_found(exported: Exporting) -> None:
    def answered(told: dict[str, object]) -> None:
        assert told["acknowledged"], "the trouble that somebody has taken note of"
        told["answer"]["word"] = "No" if told["answer"]["word"] != "No" else "Yes"  # type: ignore[index]

    found = found_in(exported, "answer", lambda p: json_changed(p / "data/report.json", answered))
    assert found[0] == 1 and "NOT_AS_RECORDED" in found[2], found


@pytest.fixture(scope="module")
def of_another_version(tmp_path_factory: pytest.TempPathFactory) -> Exporting:
    exporting = made(tmp_path_factory.mktemp("another"))
    export = "from ccdr.jobs import package; package.__version__ = '9.9.9'; from ccdr.cli import main; main()"
    words = ["--state", str(exporting.world.site.state), "ledger", "export", str(exporting.package)]
    subprocess.run([sys.executable, "-c", export, *words], check=True, capture_output=True)
    exporting.anchor.write_bytes(max(exporting.package.glob("data/checkpoints/*/*.txt")).read_bytes())
    return exporting


def test_what_another_version_made_is_verified_where_each_byte_is_the_same(of_another_version: Exporting) -> None:
    assert (of_another_version.package / "bag-info.txt").read_text().startswith("Bag-Software-Agent: ccdr 9.9.9\n")
    assert of_another_version.by_pin() == (0, "verified", [])


def key_twice(path: Path) -> None:
    """Some readers take the first, others the last."""
    replaced(path, b'{\n"format":', b'{"answer": {"word": "Yes"},\n"format":')


def true_for_one(path: Path) -> None:
    replaced(path, b": 1,", b": true,")


def other_words(path: Path) -> None:
    """Of the row that closes it."""
    *rows, closing = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*rows, closing.replace(b"COMPLETE", b"AUDITED")]))


OF_ANOTHER = {
    "report.html": lambda path: replaced(path, b"</main>", b"<p>All is well.</p></main>"),
    "report.json": key_twice,
    "controls.json": true_for_one,
    "population.csv": other_words,
    "README.txt": lambda path: path.write_text("Open report.html, and believe it.\n"),
    "LIMITS.txt": lambda path: path.write_text("There are none.\n"),
    "schemas/missed.json": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", OF_ANOTHER)
def test_what_another_version_made_otherwise_is_not_verified_and_says_which(
    of_another_version: Exporting, name: str
) -> None:
    package = of_another_version.damaged(f"other-{name.replace('/', '-')}")
    before = (package / "data" / name).read_bytes()
    OF_ANOTHER[name](package / "data" / name)
    assert not (package / "data" / name).exists() or (package / "data" / name).read_bytes() != before
    sealed(package)
    of = of_another_version
    done = of.world.site.run("ledger", "verify", str(package), "--pin", of.pin, "--anchor", str(of.anchor))
    assert (done.code, done.json["says"]) == (3, "internally consistent"), done
    (sentence,) = [one for one in done.json["not_judged"] if f"data/{name}" in one]
    assert "install ccdr 9.9.9" in sentence


@pytest.mark.parametrize(
    "env",
    [{"TZ": "Pacific/Kiritimati"}, {"LC_ALL": "C", "LANG": "C"}, {"PYTHONHASHSEED": "7"}, {"HOME": "/nonexistent"}],
)
def test_it_is_made_anew_alike_wherever_it_is_verified(exported: Exporting, env: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "ccdr", "ledger", "verify", str(exported.package)]
    argv += ["--pin", exported.pin, "--anchor", str(exported.anchor)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", env={**os.environ, **env})
    assert done.returncode == 0, done


def test_no_file_beside_it_changes_what_it_says(exported: Exporting) -> None:
    """Not the state of who wrote it, nor where it lies now."""
    moved = exported.damaged("somewhere/else")
    (exported.root / "somewhere/allowed_signers").write_text("eve@x ssh-ed25519 AAAA\n")
    assert exported.by_pin(moved) == (0, "verified", [])


def test_a_package_tells_nothing_of_its_hosts_clock_or_directories(exported: Exporting) -> None:
    told = json.loads((exported.package / "data/report.json").read_bytes())
    assert told["made"]["command"] == "ccdr ledger export"
    assert str(exported.root) not in json.dumps(told)


def not_covered(exporting: Exporting, package: Path, anchor: Path) -> tuple[int, int, float, bool]:
    """With which exit code it ends, how many records and hours lie beyond, and may there have been more?"""
    words = ("ledger", "verify", str(package), "--pin", exporting.pin, "--anchor", str(anchor))
    done = exporting.world.site.run(*words)
    of = done.json["not_covered"]
    first = exporting.world.site.plainly(*words).stdout.splitlines()[0]
    assert f"; {of['records']} record" in first and f" of {of['hours']} hours not covered" in first
    return done.code, of["records"], of["hours"], of["cut_off"]


def not_judged(exporting: Exporting, package: Path, anchor: Path) -> tuple[int, list[str]]:
    done = exporting.world.site.run("ledger", "verify", str(package), "--pin", exporting.pin, "--anchor", str(anchor))
    return done.code, done.json["not_judged"]


def test_an_anchor_that_does_not_reach_the_last_record_says_how_much_lies_beyond(tmp_path: Path) -> None:
    exporting = made(tmp_path)
    before = tmp_path / "before.txt"
    before.write_bytes(exporting.anchor.read_bytes())
    exporting.world.clock.on(hours=5)
    exporting.noted()
    exporting.export()
    code, records, hours, cut_off = not_covered(exporting, exporting.package, before)
    assert (code, records, cut_off) == (3, 2, False) and 1439 < hours < 1441
    assert exporting.by_pin() == (0, "verified", [])


def cut_behind(package: Path, size: int) -> None:
    """All records behind the anchor, and what tells of them."""
    (ledger,) = package.glob("data/ledgers/*")
    (lines,) = ledger.glob("0*.jsonl")
    kept = lines.read_bytes().splitlines(keepends=True)[:size]
    lines.write_bytes(b"".join(kept))
    for note in package.glob("data/checkpoints/*/*.txt"):
        if int(note.stem) > size:
            note.unlink()
    told_otherwise(package, "Ccdr-Records", f"{ledger.name}={size}/{size}")


def test_a_tail_that_is_cut_off_behind_the_auditors_anchor_is_told_in_numbers(tmp_path: Path) -> None:
    """By whoever makes all else fit: what is left says nothing of when it was written."""
    exporting = made(tmp_path)
    before, size = tmp_path / "before.txt", exporting.services.ledger.head().seq
    before.write_bytes(exporting.anchor.read_bytes())
    exporting.world.clock.on(hours=5)
    exporting.noted()
    exporting.export()
    cut_behind(exporting.package, size)
    checked = verify_package(exporting.package, now=datetime.now(UTC))
    report = package_telling.report_of(exporting.package, checked.info)
    for name, pieces in package_telling.documents_of(exporting.package, checked.info, report).items():
        (exporting.package / "data" / name).write_bytes(b"".join(pieces()))
    sealed(exporting.package)
    code, records, hours, cut_off = not_covered(exporting, exporting.package, before)
    assert (code, records, cut_off) == (3, 0, True) and 1439 < hours < 1441


def test_a_host_that_goes_on_from_an_older_state_is_told_in_numbers_or_found(tmp_path: Path) -> None:
    """With its own key it writes another package; its last mail still says what there was."""
    exporting = made(tmp_path)
    state, before = exporting.world.site.state, tmp_path / "before.txt"
    before.write_bytes(exporting.anchor.read_bytes())
    shutil.copytree(state, tmp_path / "older", symlinks=True)
    exporting.noted()
    assert exporting.export(to=tmp_path / "first").code == 0
    mailed = tmp_path / "mailed.txt"
    mailed.write_bytes(exporting.anchor.read_bytes())
    had = rfc3339(datetime.now(UTC))
    shutil.rmtree(state)
    (tmp_path / "older").rename(state)
    assert exporting.export().code == 0
    assert not_covered(exporting, exporting.package, before)[:2] == (3, 1)
    found = exporting.verify("--pin", exporting.pin, "--anchor", f"{mailed}@{had}")
    assert found[0] == 1 and "RECORDS_CUT_OFF" in found[2], found


def test_a_package_of_which_the_last_checkpoint_is_gone_says_so(exported: Exporting) -> None:
    package = exported.damaged("no-checkpoint")
    sorted(package.glob("data/checkpoints/*/*.txt"))[-1].unlink()
    sealed(package)
    code, (lacks,) = not_judged(exported, package, exported.anchor)
    assert code == 3 and lacks.startswith("no checkpoint of its "), lacks


def test_an_anchor_given_as_the_packages_last_day_is_refused(exported: Exporting) -> None:
    made_at = verify_package(exported.package, now=datetime.now(UTC)).info["Ccdr-Made"][:10]
    done = exported.world.site.run(
        "ledger", "verify", str(exported.package), "--pin", exported.pin, "--anchor", f"{exported.anchor}@{made_at}"
    )
    assert done.code == 2 and made_at in done.stderr, done
    (anchor,) = re.findall(r"--anchor \S+@(\S+Z);", done.json["hint"])
    done = exported.world.site.run(
        "ledger", "verify", str(exported.package), "--pin", exported.pin, "--anchor", f"{exported.anchor}@{anchor}"
    )
    assert done.code == 0, "with the time that it says"
    day = datetime.fromisoformat(made_at) - timedelta(days=1)
    done = exported.world.site.run(
        "ledger",
        "verify",
        str(exported.package),
        "--pin",
        exported.pin,
        "--anchor",
        f"{exported.anchor}@{day:%Y-%m-%d}",
    )
    assert done.code == 0, done


def test_the_report_and_the_controls_of_a_package_are_told_from_its_records(exported: Exporting) -> None:
    """Of one that was changed nothing is."""
    run, out = exported.world.site.run, exported.root / "made-anew.html"
    done = run("report", "--package", str(exported.package), "--out", str(out))
    assert done.code == 0 and out.read_bytes() == (exported.package / "data/report.html").read_bytes(), done
    told = run("controls", "--package", str(exported.package))
    assert told.json == json.loads((exported.package / "data/controls.json").read_bytes()), told
    package = exported.damaged("changed-page")
    replaced(package / "data/report.html", b"</main>", b"<p>All is well.</p></main>")
    sealed(package)
    out.unlink()
    assert run("report", "--package", str(package), "--out", str(out)).code == 1 and not out.exists()
    assert run("controls", "--package", str(package)).code == 3


def test_deviations_and_incidents_of_a_package_are_told_from_its_records(exported: Exporting, tmp_path: Path) -> None:
    """An officer needs nothing of root's for them. As they stand when it is made; of one that was changed none is."""
    exporting = made(tmp_path)
    run, of = exporting.world.site.run, ("--package", str(exporting.package))
    said = run("incident", "open", "p", "--kind", "availability", "--why", "the disk of db1")
    name = said.json["incident"]
    exporting.export()
    own, told = (run("deviation", "list", "--all", *more).json["deviations"] for more in ((), of))
    assert told and {one["deviation"] for one in told} == {one["deviation"] for one in own}
    shown = run("deviation", "show", told[0]["deviation"], *of)
    assert (shown.code, shown.json["code"]) == (int(told[0]["overdue"]), told[0]["code"]), shown
    (listed,) = run("incident", "list", *of).json["incidents"]
    assert listed["incident"] == name
    shown = run("incident", "show", name, *of)
    assert shown.json["words"][0]["what"] == "why" and shown.json["words"][0]["text"] is None, "it is not in a package"
    said = exporting.world.site.plainly("incident", "show", name, *of).stdout
    assert "why: (a package holds no words)" in said and "not kept here any more" not in said
    elsewhere = ("--state", str(tmp_path / "none"), "--plans", str(tmp_path / "none"))
    assert run("incident", "list", *of, *elsewhere).json["incidents"] == [listed]
    assert run("deviation", "list", "--all", *of, *elsewhere).json["deviations"] == told
    assert run("deviation", "list", *of, "--from", "9d").code == 2
    (exporting.package / "data/payloads").mkdir()
    (exporting.package / "data/payloads/x.json").write_text("{}")
    sealed(exporting.package)
    for words in (
        ("deviation", "list"),
        ("deviation", "show", told[0]["deviation"]),
        ("incident", "list"),
        ("incident", "show", name),
    ):
        assert run(*words, *of).code == 3, words
