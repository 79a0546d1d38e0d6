"""Every command as people and scripts call it: JSON, exit codes, options wherever they stand, bad input."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import warm
from tests.support.harness import Quiet, Site
from tests.support.sites import copy_of

from ccdr.evidence.records.writing import SEAL
from ccdr.jobs.restore_test import restore_test
from ccdr.model.errors import UsageProblem
from ccdr.plans.job import Job
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.synchronised import Synchronised

COMMANDS = ("access policies", "access test", "access review", "plan approve", "plan check", "plan schema", "plan show", "plan trust", "backup", "test", "status", "snapshots", "ledger checkpoint", "ledger key create", "ledger key rotate", "ledger key show", "ledger proof", "ledger show", "ledger verify",
            "sandbox reap", "demo", "completion", "init", "discover", "run", "upkeep", "report",
            "controls", "doctor", "notify test", "restore", "copy", "recover", "recover check", "ack", "attest", "sign-off", "approval request", "approval review", "bootstrap",
            "pause", "kit page", "lock extend", "repository key add", "repository key list", "repository key remove", "repository key rotate", "runbook show", "runbook print", "runbook run", "runbook resume",
            "deviation assign", "deviation close", "deviation list", "deviation note", "deviation show",
            "incident clocks", "incident close", "incident draft", "incident list", "incident note", "incident open",
            "incident register", "incident reopen", "incident show",
            "erasure add", "erasure list", "erasure prove", "erasure replay", "erasure review", "erasure withdraw", "runbook retry", "runbook skip", "runbook status", "runbook take-over")  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("commands") / "spool"
    (root / "a").mkdir(parents=True)
    for name in ("a/one", "two"):
        (root / name).write_text(name)
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    return root


@pytest.fixture(scope="module")
def stored(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two assets, each backed up once and tested once."""
    site = Site(tmp_path_factory.mktemp("stored"))
    two_assets(site, tree)
    site.backed_up()
    done = site.run("test", "p")
    assert done.code == 0, done
    return site


def two_assets(site: Site, tree: Path) -> None:
    site.write("restore_tests/files.yaml", "restore_test: files\nchecks:\n  - {kind: identical}\n")
    site.plan(
        f"""
        one:
          engine: files
          paths: [{tree}/a]
          restore_test: {{schedule: "0 3 * * *", checks: [files]}}
        two:
          engine: files
          paths: [{tree}]
          restore_test: {{schedule: "0 3 * * *", checks: [files]}}
        """
    )


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")


def ccdr(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    if Site.warm:
        with contextlib.chdir(cwd):
            return warm.run(args, env={**os.environ, **env}, timeout=60, umask=-1)
    return subprocess.run(
        [sys.executable, "-m", "ccdr", *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_exit_status(command: str, tmp_path: Path) -> None:
    done = ccdr(*command.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0 and "Usage:" in done.stdout and "Exit status:" in done.stdout
    assert f"ccdr {command}" in done.stdout.split("Examples:")[1]


@pytest.mark.usefixtures("cold")
def test_backup_json(site: Site, tree: Path, tmp_path: Path) -> None:
    own = Site(tmp_path, bare=True)
    two_assets(own, tree)
    dry = own.run("backup", "p", "--dry-run")
    assert dry.code == 0 and [b["asset"] for b in dry.json["would_back_up"]] == ["one", "two"]
    assert not own.repo.exists() and not own.records()
    both = own.run("backup", "p")
    assert both.code == 0 and [b["result"] for b in both.json["backups"]] == ["STORED", "STORED"]
    one = own.run("backup", "p", "--asset", "one").json
    assert {"plan", "asset", "run", "result", "reason", "snapshot", "phases", "record"} <= set(one)
    assert set(one["snapshot"]) == {
        "id", "consistent_point", "bytes", "manifest_sha256", "source_sha256", "upon", "in_use", "missing_s",
    }  # fmt: skip
    assert one["record"]["seq"] == len(own.records())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["backup"], "Missing argument 'PLAN'"),
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--nonsense"], "No such option"),
        (["run", "--only", "everything"], "'everything' is not one of"),
        (["run", "--jobs", "0"], "0 is not in the range"),
        (["report", "--format", "pdf"], "'pdf' is not one of"),
        (["restore", "p"], "Missing option"),
    ],
)
def test_a_mistake_on_the_command_line_is_a_document_too(site: Site, args: list[str], said: str) -> None:
    done = site.run(*args)
    assert done.code == 2 and said in done.json["error"] and "--help" in done.json["hint"], done
    assert done.json["exit"] == 2 and "Error: " in done.stderr and "Usage: " in done.stderr
    plainly = site.start(*args)
    out, err = plainly.communicate()
    assert (plainly.returncode, out) == (2, "") and said in err, "without --json as ever"


@pytest.mark.usefixtures("cold")
def test_help_and_version_are_no_mistakes(site: Site) -> None:
    for args in (["--help"], ["run", "--help"], ["--version"]):
        process = site.start(*args)
        assert process.communicate()[0] and process.returncode == 0


@pytest.mark.usefixtures("cold")
def test_test_json_is_the_contracts(site: Site) -> None:
    one = site.run("test", "p", "--asset", "one")
    found = one.json
    assert one.code == 0
    assert {"plan", "asset", "verdict", "reason", "snapshot", "phases", "checks", "rpo", "rto", "record"} <= set(found)
    assert {"id", "consistent_point", "bytes", "selected"} <= set(found["snapshot"]) and len(
        found["snapshot"]["id"]
    ) == 64
    assert set(found["phases"]) == {"provision", "fetch", "load", "check", "dispose"}
    assert [set(c) for c in found["checks"]] == [{"kind", "name", "status", "expected", "actual", "varies"}]
    assert set(found["rpo"]) == {"objective_s", "achieved_s", "verdict"} and found["rpo"]["objective_s"] == 3600
    assert set(found["rto"]) == {"objective_s", "achieved_s", "answering_s", "basis", "verdict"}
    assert found["snapshot"]["consistent_point"].endswith("Z")
    line = (site.state / "ledger").glob("*.jsonl").__next__().read_bytes().splitlines(True)[found["record"]["seq"] - 1]
    assert hashlib.sha256(line).hexdigest() == found["record"]["hash"]


def test_several_assets_are_a_list_and_the_worst_code_wins(site: Site, tree: Path) -> None:
    """`two` names no checks: INCONCLUSIVE, 3; `one` passes; then `one` fails too: 1 comes before 3."""
    path = site.root / "plans/p.yaml"
    good = path.read_text()
    head, tail = good.rsplit("checks: [files]", 1)
    path.write_text(f"{head}checks: []{tail}")
    done = site.run("test", "p")
    assert [t["verdict"] for t in done.json["tests"]] == ["PASS", "INCONCLUSIVE"] and done.code == 3
    pack = next(p for p in (site.state / "catalogue/p/one").glob("*.json"))
    broken = json.loads(pack.read_text())
    broken["snapshot"]["manifest_sha256"] = "0" * 64
    pack.write_text(json.dumps(broken))
    done = site.run("test", "p")
    assert [t["verdict"] for t in done.json["tests"]] == ["FAIL", "INCONCLUSIVE"] and done.code == 1
    site.ledger_holds()


def test_dry_run_of_a_test_does_nothing(site: Site) -> None:
    before = len(site.records())
    done = site.run("test", "p", "--dry-run")
    assert done.code == 0 and [t["asset"] for t in done.json["would_test"]] == ["one", "two"]
    assert len(site.records()) == before and not list((site.state / "scratch").glob("run-*"))


def test_status_json(site: Site) -> None:
    done = site.run("status")
    assert done.code == 0, done
    (plan,) = done.json["plans"]
    assert plan["plan"] == "p" and [a["asset"] for a in plan["assets"]] == ["one", "two"]
    asset = plan["assets"][0]
    assert set(asset) == {
        "asset",
        "near",
        "near_known",
        "rpo",
        "rto",
        "last_backup",
        "last_good_backup",
        "last_test",
        "coverage",
        "tested_by_rule",
        "group",
        "problems",
        "troubles",
        "private",
    }
    assert asset["coverage"] == "tested" and asset["problems"] == [] and asset["last_test"]["verdict"] == "PASS"
    assert asset["rpo"]["verdict"] == asset["rto"]["verdict"] == "MET"
    assert asset["last_backup"]["result"] == "STORED"
    assert asset["last_good_backup"]["snapshot"]["id"] == asset["last_backup"]["snapshot"]["id"]


def test_status_of_what_was_never_done(tree: Path, tmp_path: Path) -> None:
    own = Site(tmp_path, bare=True)
    two_assets(own, tree)
    done = own.run("status")
    (asset, _) = done.json["plans"][0]["assets"]
    assert done.code == 1 and asset["coverage"] == "untested" and asset["last_test"] is None
    assert asset["rpo"] == {"objective_s": 3600, "achieved_s": None, "verdict": "BREACHED"}
    assert asset["rto"]["verdict"] == "NOT_MEASURED" and len(asset["problems"]) == 2


def test_status_answers_without_the_repository(site: Site) -> None:
    (site.root / "repo").unlink()
    assert site.run("status").code == 0
    verdict, head, row, _, *more = site.start("status").communicate()[0].splitlines()
    assert verdict.startswith("Yes") and ", no finding: " in verdict
    assert head.startswith("asset ") and row.startswith("p/") and not [line for line in more if "ledger: " in line]
    fine = site.start("status", "-v").communicate()[0]
    assert "ledger: not verified yet" in fine, "who asks for more hears of what is as it should be, too"


def test_snapshots_json(site: Site) -> None:
    done = site.run("snapshots", "p")
    assert done.code == 0 and done.json["plan"] == "p" and done.json["findings"] == []
    assert [(s["asset"], s["there"], s["last_test"]) for s in done.json["snapshots"]] == [
        ("one", True, "PASS"), ("two", True, "PASS")]  # fmt: skip
    assert all(len(s["id"]) == 64 and s["bytes"] > 0 for s in done.json["snapshots"])


def test_snapshot_by_id(site: Site) -> None:
    (one,) = [s["id"] for s in site.run("snapshots", "p", "--asset", "one").json["snapshots"]]
    for said in (one, one[:8], one[:4]):
        done = site.run("test", "p", "--asset", "one", "--snapshot", said)
        assert done.code == 0 and done.json["snapshot"]["id"] == one and done.json["snapshot"]["selected"] == said
    alone = site.run("test", "p", "--snapshot", one)  # only the asset that has it
    assert alone.code == 0 and alone.json["asset"] == "one"
    before = len(site.records("restore_test.end"))
    for said in ("f" * 64, one[:3], "", one + "0", "latest ", "*", one.upper() if one.upper() != one else "FFFF"):
        done = site.run("test", "p", "--asset", "one", "--snapshot", said)
        assert done.code == 2, (said, done)
    assert {r["verdict"] for r in site.records("restore_test.end")[before:]} <= {"SKIPPED"}
    site.ledger_holds()


def test_ambiguous_snapshot_id_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second snapshot whose id begins alike; the repository is said to hold both."""
    monkeypatch.setattr(Catalogue, "synchronise", lambda *_: Synchronised())
    folder = site.state / "catalogue/p/one"
    (entry,) = folder.glob("*.json")
    body = json.loads(entry.read_text())
    other = body["snapshot"]["id"][:10] + "0" * 54
    body["snapshot"]["id"] = other
    (folder / f"{other}.json").write_text(json.dumps(body))
    with pytest.raises(UsageProblem, match="more than one snapshot"):
        restore_test(Job(site.loaded(), "one"), other[:6], site.services(), Quiet())
    assert [r["verdict"] for r in site.records("restore_test.end")][-1] == "SKIPPED"


def test_oldest_and_random_are_recorded(site: Site) -> None:
    assert site.run("test", "p", "--asset", "one", "--snapshot", "oldest").json["snapshot"]["selected"] == "oldest"
    done = site.run("test", "p", "--asset", "one", "--snapshot", "random").json["snapshot"]
    assert done["selected"] == "random" and isinstance(done["seed"], int)


def test_ledger_show_and_verify(site: Site) -> None:
    shown = site.run("ledger", "show", "--kind", "restore_test.end", "--last", "1").json["records"]
    assert [r["kind"] for r in shown] == ["restore_test.end"]
    assert site.run("ledger", "show", "--asset", "nobody").json == {"records": []}
    done = site.run("ledger", "verify")
    assert done.code == 0 and done.json["ok"] and done.json["records"] == len(site.records())
    (file,) = (site.state / "ledger").glob("*.jsonl")
    file.write_text(file.read_text().replace('"PASS"', '"FAIL"', 1))
    broken = site.run("ledger", "verify")
    assert broken.code == 1 and not broken.json["ok"] and broken.json["problems"]


def test_plan_commands(site: Site) -> None:
    done = site.run("plan", "check")
    assert done.code == 0 and done.json["checked"] == ["p"] and done.json["problems"] == []
    shown = site.run("plan", "show", "p").json
    assert set(shown["assets"]) == set(shown["next_due"]) == {"one", "two"}
    assert site.run("plan", "schema").json["$defs"] and site.run("plan", "schema", "--restore-test").json["$defs"]


def test_lock_of_another_run_is_exit_5(site: Site) -> None:
    for verb in ("test", "backup"):
        lock = site.state / "locks" / f"p.one.{verb}.lock"
        lock.parent.mkdir(exist_ok=True)
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            done = site.run(verb, "p", "--asset", "one")
            assert done.code == 5 and "running" in done.json["reason"], done
            both = site.run("test", "p") if verb == "test" else None
        if both is not None:  # the other asset is tested all the same; 5 is the worst of 5 and 0
            assert both.code == 5 and [t["verdict"] for t in both.json["tests"]] == ["SKIPPED", "PASS"]


# --- options, streams, bad input ----------------------------------------------------------------------------


@pytest.mark.usefixtures("cold")
def test_global_options_stand_anywhere_and_in_the_environment(site: Site) -> None:
    places = [
        "--plans",
        str(site.root / "plans"),
        "--restore-tests",
        str(site.root / "restore_tests"),
        "--state",
        str(site.state),
    ]
    said = [
        ccdr(*places, "--json", "status", "p", cwd=site.root),
        ccdr("status", "p", *places, "--json", cwd=site.root),
        ccdr("--json", "status", *places, "p", cwd=site.root),
        ccdr("status", "--json", "p", cwd=site.root, CCDR_PLANS=places[1], CCDR_RESTORE_TESTS=places[3], CCDR_STATE=places[5]),
        ccdr("status", "--json", cwd=site.root, CCDR_STATE=places[5]),  # ./plans, ./restore_tests
        ccdr("-v", "status", "p", "--json", cwd=site.root, CCDR_STATE=places[5]),
    ]  # fmt: skip
    assert {d.returncode for d in said} == {0}, said
    shown = [json.loads(d.stdout)["plans"][0]["assets"][0]["last_test"]["seq"] for d in said]
    assert len(set(shown)) == 1
    group = ccdr("ledger", *places, "verify", "--json", cwd=site.root)  # between a group and its verb
    assert group.returncode in (0, 2)


BAD = [
    [], ["nonsense"], ["backup"], ["backup", "nowhere"], ["backup", "p", "--asset", "nobody"], ["backup", "p", "--no-such"],
    ["backup", "../p"], ["backup", ""], ["backup", "p", "q"], ["backup", "p\x01"], ["test", "nowhere"], ["test", "p", "--asset", "nobody"],
    ["test", "p", "--asset", ""], ["status", "nowhere"], ["status", "../../etc/passwd"], ["snapshots", "nowhere"],
    ["snapshots", "p", "--asset", "nobody"], ["plan", "show", "nowhere"], ["plan", "check", "nowhere"], ["plan"], ["ledger", "show", "--last", "0"],
    ["ledger", "show", "--last", "x"], ["ledger", "verify", "/nonexistent"], ["completion", "tcsh"], ["sandbox"], ["sandbox", "reap", "x"],
    ["test", "p", "--snapshot"], ["--plans"], ["--plans", "/etc/passwd", "status"], ["--state", "/etc/passwd", "status"],
]  # fmt: skip


@pytest.mark.parametrize("args", BAD, ids=lambda a: " ".join(a).replace("\x01", "^A") or "nothing")
def test_bad_command_line_is_exit_2(site: Site, args: list[str]) -> None:
    before = len(site.records())
    done = site.run(*args) if args[:1] not in (["--plans"], ["--state"]) else None
    code, said = (done.code, done.stderr) if done else _plain(site, args)
    assert code == 2 and said.strip() and "Traceback" not in said, (code, said)
    assert len(site.records()) == before


def _plain(site: Site, args: list[str]) -> tuple[int, str]:
    done = ccdr(*args, cwd=site.root)
    return done.returncode, done.stderr


MISTAKES = {
    "not yaml": "plan: [",
    "a list": "- plan: p",
    "empty": "",
    "binary": "\x00\x01",
    "wrong types": "plan: p\nservice: 1\nowner: []\nobjectives: 5\nassets: x\n",
    "an unknown engine": "plan: p\nassets: {a: {engine: oracle}}\n",
}


@pytest.mark.parametrize("verb", ["plan check", "backup", "test", "status", "snapshots", "plan show"])
def test_wrong_plan_is_exit_2_whatever_the_command(site: Site, verb: str) -> None:
    for name, text in MISTAKES.items():
        (site.root / "plans/p.yaml").write_text(text)
        done = site.run(*verb.split(), "p")
        assert done.code == 2 and "p.yaml" in done.stderr + done.stdout, (name, done)
        assert done.json is not None


def test_state_that_cannot_be_written_is_no_traceback(site: Site) -> None:
    shutil.rmtree(site.state)
    site.state.write_text("a file")
    for verb in (["backup", "p"], ["test", "p"], ["sandbox", "reap"]):
        done = ccdr("--state", str(site.state), *verb, cwd=site.root)
        assert done.returncode in (1, 2, 3) and "Traceback" not in done.stderr and "state" in done.stderr, done


def test_status_asks_whether_an_empty_state_is_the_right_one(site: Site) -> None:
    elsewhere = site.root / "elsewhere"
    asked = f"{elsewhere} holds nothing yet: is it the right --state?"
    assert asked in site.run("status", "--state", str(elsewhere)).stderr
    assert not elsewhere.exists() and "right --state" not in site.run("status").stderr


def test_a_snapshot_that_is_not_here_says_where_they_are_listed(site: Site) -> None:
    for wrong in ("deadbeef", "zz!!"):
        done = site.run("test", "p", "--snapshot", wrong)
        assert done.code == 2 and wrong in done.json["error"] and "ccdr snapshots p" in done.json["hint"], done


@pytest.mark.parametrize("command", ["status", "ledger show", "plan schema", "plan show p", "snapshots p", "test p"])
@pytest.mark.usefixtures("cold")
def test_output_piped_to_head_is_no_error(site: Site, command: str) -> None:
    line = " ".join(site.argv(*command.split())) + " --json | head -c 1 > /dev/null; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr, done.stderr
    assert done.stdout.strip() == "0"


@pytest.mark.usefixtures("cold")
def test_a_reader_who_leaves_stops_nothing_and_hides_nothing(tree: Path, tmp_path: Path) -> None:
    site = Site(tmp_path)
    two_assets(site, tree)
    line = " ".join(site.argv("backup", "p")) + " | true; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0" and "Broken" not in done.stderr, done
    assert [(r["asset"], r["result"]) for r in site.records("backup.end")[-2:]] == [
        ("one", "STORED"),
        ("two", "STORED"),
    ]
    plan = site.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace(f"[{tree}/a]", f"[{tree}/unmounted]"))
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1", "a failed backup, whoever reads of it"
    assert [(r["asset"], r["result"]) for r in site.records("backup.end")[-2:]] == [
        ("one", "FAILED"),
        ("two", "STORED"),
    ]
    done = subprocess.run(
        ["bash", "-c", line.replace("backup p", "--help")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0", done


@pytest.mark.parametrize("form", ["", "--json"])
@pytest.mark.usefixtures("cold")
def test_output_onto_a_full_disk_is_told_and_is_not_done_well(site: Site, form: str) -> None:
    command = f"{' '.join(site.argv('status', 'p'))} {form} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done
    assert "No space left on device" in done.stderr
    to_a_file = subprocess.run(["bash", "-c", command.replace("/dev/full", "/dev/null")], check=False)
    assert to_a_file.returncode == 0


@pytest.mark.usefixtures("cold")
def test_closed_standard_output_is_no_traceback(site: Site) -> None:
    for line in (">&-", "2>&-", "<&-"):
        command = " ".join(site.argv("status", "p")) + f" {line}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and done.returncode in (0, 3), (line, done)


@pytest.mark.usefixtures("cold")
def test_people_get_words_and_a_pipe_gets_plain_lines(site: Site) -> None:
    done = subprocess.run(site.argv("test", "p", "--asset", "one"), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("PASS  p/one") and "\x1b" not in done.stdout + done.stderr, (
        done
    )
    assert all(line.startswith("ccdr: ") for line in done.stderr.splitlines())
    assert "RPO" in done.stdout and "record:" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(site: Site, shell: str) -> None:
    done = ccdr("completion", shell, cwd=site.root)
    assert done.returncode == 0 and "_CCDR_COMPLETE" in done.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0


def test_completion_completes_verbs_and_plans(site: Site) -> None:
    program = Path(sys.executable).with_name("ccdr")

    def completed(line: str) -> str:
        words = line.split(" ")
        env = {"_CCDR_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        return subprocess.run(
            [program], capture_output=True, text=True, cwd=site.root, env={**os.environ, **env}, check=False
        ).stdout

    assert "plain,status" in completed("ccdr sta")
    assert "plain,p" in completed("ccdr test ")


def test_json_is_one_document_on_standard_output(site: Site) -> None:
    for command in ("status", "snapshots p", "ledger checkpoint", "ledger key create", "ledger key rotate", "ledger key show", "ledger proof", "ledger show", "ledger verify", "plan check", "plan show p", "plan schema", "sandbox reap --dry-run",
                    "test p --asset one", "backup nowhere", "test p --asset nobody"):  # fmt: skip
        assert isinstance(site.run(*command.split()).json, dict), command


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(stored: Site) -> Iterator[None]:
    yield
    assert not list((stored.state / "scratch").glob("run-*"))


@pytest.mark.parametrize(
    "args",
    [
        ["backup", "p", "--asset", "one"],
        ["test", "p", "--asset", "one"],
        ["restore", "p", "--asset", "one", "--to", "HERE", "--yes-i-mean", "back"],
        ["upkeep", "p", "--check"],
        ["upkeep", "p", "--prune"],
    ],
)
def test_what_is_printed_is_the_record_and_where_it_stands(site: Site, tmp_path: Path, args: list[str]) -> None:
    told = site.run(*(str(tmp_path / "back") if arg == "HERE" else arg for arg in args)).json
    told = told.get("check") or told.get("prune") or told
    (record,) = (one for one in site.records() if one["seq"] == told["record"]["seq"])
    recorded = {key: value for key, value in record.items() if key not in SEAL}
    assert {key: told.get(key, "absent") for key in recorded} == recorded
