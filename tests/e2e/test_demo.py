"""`ccdr demo`: every store of the sample contact centre from one plan, one table, and what stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import Site, eventually

from ccdr.host.state import State
from ccdr.jobs.daily_verification import verify_now
from ccdr.sandbox.docker import STATE

pytestmark = pytest.mark.long

SHOWN = {
    "restore-tests", "objectives", "backups", "repositories", "isolation", "versions", "plan-versions", "approval",
    "four-eyes", "ledger", "comparisons", "runs", "retention", "erasures", "secrets",
}  # fmt: skip
ASSETS = ("crm", "recordings", "crm-server", "dialler", "queues", "cdr", "configuration")


@dataclass
class Demo:
    """One demo's directory. `said` is what it printed."""

    root: Path
    said: str = ""

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            Site(self.root).argv("demo", *args),
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
            umask=0o077,
        )

    def clean(self) -> subprocess.CompletedProcess[str]:
        argv = Site(self.root).argv("demo", "--clean")
        return subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=False)

    @property
    def site(self) -> Site:
        """`ccdr` on the demo's own plan and state."""
        return Site(self.root / ".demo")

    def line(self, begins: str) -> str:
        """A line of the table that ends it."""
        table = self.said[self.said.index("store and method") :]
        (found,) = [line for line in table.splitlines() if line.startswith(f"{begins} ")]
        return found

    def containers(self) -> set[str]:
        """Names of its servers' and its sandboxes' containers, stopped ones too."""
        found: set[str] = set()
        for part in ("servers", "state", "damaged/state"):
            label = f"label={STATE}={State(self.root / '.demo' / part).id}"
            argv = ["docker", "ps", "-a", "--filter", label, "--format", "{{.Names}}"]
            found |= set(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split())
        return found

    def at_work(self) -> list[str]:
        """Programs of this demo that still run, by their command lines."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if f"{self.root}/.demo" in command:
                found.append(command)
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Carried out once, and kept."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    process = demo.start("--keep")
    demo.said, progress = process.communicate(timeout=500)
    assert process.returncode == 0, progress + demo.said
    yield demo
    demo.clean()


def test_every_store_comes_back_and_the_damaged_copy_goes_red(demo: Demo) -> None:
    for asset in ASSETS:
        assert re.search(rf"^{asset} .* PASS .* MET .* MET ", demo.line(asset)), demo.line(asset)
    assert re.search(r"FAIL .* BREACHED never +NOT_MEASURED", demo.line("crm, damaged")), demo.said
    assert "the repository answers and decrypts" in demo.said
    assert "as it should be" in demo.said and "NOT as it should be" not in demo.said


def test_a_copy_that_was_damaged_on_purpose_is_found(demo: Demo) -> None:
    (record,) = demo.site.records("negative_control.end")
    assert (record["asset"], record["result"], record["healthy"]["verdict"]) == ("cdr", "CAUGHT", "PASS"), record
    assert re.search(r"CAUGHT  a restored copy of cdr was damaged \(row changed, in table \w+\)", demo.said), demo.said


def test_the_table_says_what_was_compared(demo: Demo) -> None:
    told = {asset: demo.line(asset) for asset in ASSETS}
    assert re.search(r"postgres, dump +PASS +\d+ tables, 1\d{5} rows", told["crm"])
    assert re.search(r"postgres, physical \+ log +PASS +\d+ files \+ log", told["crm-server"])
    assert re.search(r"mariadb, dump +PASS +6 tables, \d{5} rows", told["dialler"])
    assert re.search(r"redis, rdb +PASS +2\d{3} keys", told["queues"])
    assert re.search(r"sqlite, copy +PASS +4 tables, 203\d\d rows", told["cdr"])
    assert re.search(r"files, scan +PASS +300 files", told["recordings"])


def test_all_that_it_recorded_is_as_the_published_schemas_say(demo: Demo) -> None:
    for site in (demo.site, Site(demo.root / ".demo/damaged")):
        site.ledger_holds()
    assert {r["kind"] for r in demo.site.records()} >= {"backup.start", "backup.end", "log.shipped", "restore_test.end"}


def test_it_ends_with_a_package_that_an_auditor_verifies(demo: Demo) -> None:
    """By the line that it prints: with a pinned key, and a checkpoint from a locked bucket. Without them it proves
    nothing, and with a better verdict it is found."""
    assert re.search(r"^PASS  the package in .demo/package: verified, up to record \d+ of \d+", demo.said, re.M)
    (line,) = re.findall(r"^verify the package: \S+ (.*)$", demo.said, re.M)
    auditor = Site(demo.root / ".demo" / "auditor")
    by = [str(demo.root / word) if word.startswith(".demo/") else word for word in line.split()]
    done = auditor.run(*by)
    assert (done.code, done.json["says"]) == (0, "verified") and done.json["boundary"]["record"] > 50
    alone = auditor.run(*by[:3])
    assert (alone.code, alone.json["says"]) == (3, "internally consistent")
    (record,) = (demo.root / ".demo/package/data/ledgers").glob("*/000000000001.jsonl")
    kept = record.read_bytes()
    record.write_bytes(kept.replace(b'"verdict":"PASS"', b'"verdict":"FAIL"', 1))
    assert auditor.run(*by).code == 1
    record.write_bytes(kept)


def test_each_measure_has_evidence_or_says_who_must_attest_it(demo: Demo) -> None:
    """Of records that it made itself; what it cannot show is nobody's fault, and is not called shown."""
    found = demo.site.run("controls").json["measures"]
    assert len(found) == 12
    wrong = [one["counts"]["contradicted"] + one["counts"]["expired"] for one in found]
    assert not any(wrong) and sum(one["counts"]["shown"] for one in found) >= len(SHOWN), found
    parts = {part["id"]: part for one in found for part in one["parts"]}
    shown = {name for name, part in parts.items() if part["state"] == "shown"}
    assert shown >= SHOWN, SHOWN - shown
    assert all(part["who_must_attest"] for part in parts.values() if part["state"] == "nothing")


def test_an_erased_caller_is_erased_again_in_what_is_restored(demo: Demo) -> None:
    (record,) = demo.site.records("erasure.replay")
    assert (record["asset"], record["result"], record["entries"]) == ("cdr", "PROVEN", 2), record
    assert sum(one["found_before"] for one in record["found"]) == 2 and not sum(
        one["found_after"] for one in record["found"]
    )
    assert "erased again in the restored cdr" in demo.said


def test_calls_fit_their_recordings(demo: Demo) -> None:
    (record,) = [r for r in demo.site.records("restore_test.end") if r["asset"] == "crm"]
    compared = {c["name"]: c for c in record["checks"] if c["kind"] == "reconcile"}
    assert "300 of 300 rows match" in compared["every call's recording: rows"]["actual"], compared
    assert {c["status"] for c in compared.values()} == {"PASS"}
    assert "captured together: crm and recordings" in demo.said
    assert record["others"][0]["group_run"] in {g["run"] for g in demo.site.records("group")}


def test_what_came_by_the_log_is_restored(demo: Demo) -> None:
    """The base was taken before the last 2,000 calls."""
    (record,) = [r for r in demo.site.records("restore_test.end") if r["asset"] == "crm-server"]
    backups = [r for r in demo.site.records("backup.end") if r["asset"] == "crm-server"]
    (rows,) = [c for c in record["checks"] if c["kind"] == "rows"]
    assert len(backups) == 1 and rows["actual"] == "102000" and record["recovery"]["reached"]["at"]


def signer_gone(site: Site) -> None:
    (site.root / "allowed_signers").write_text("")
    site.run("controls", "--examine")


def secret_open(site: Site) -> None:
    (site.root / "plans/secrets/outbound.env").chmod(0o644)
    site.run("controls", "--examine")


def record_changed(site: Site) -> None:
    """The last: nothing that comes after it holds."""
    path = sorted((site.root / "state/ledger").glob("*.jsonl"))[0]
    changed = path.read_text("utf-8").replace("PASS", "FAIL", 1)
    assert changed != path.read_text("utf-8")
    path.write_text(changed, "utf-8")
    verify_now(site.services())


def floor_raised(site: Site) -> None:
    (site.root / "floors.yaml").write_text('versions: {restic: "99.0"}\n')


def password_too_old(site: Site) -> None:
    floors = site.root / "floors.yaml"  # what it lacks is less than ccdr's own floors: it goes on from what is there
    floors.write_text(f"{floors.read_text() if floors.exists() else ''}ages: {{repository_key: 1s}}\n")


def all_at_one_site(site: Site) -> None:
    plan = site.root / "plans/outbound.yaml"
    text = plan.read_text("utf-8")
    at_one = text.replace("repository:\n", "site: Iasi\nrepository:\n  site: Iasi\n", 1)
    assert at_one != text
    plan.write_text(at_one, "utf-8")
    site.run("controls", "--examine")


def nobody_notified(site: Site) -> None:
    aware = (datetime.now(UTC) - timedelta(hours=73)).strftime("%Y-%m-%d %H:%M:%SZ")
    why = ("--why", "the array lost power", "--aware-at", aware)
    assert site.run("incident", "open", "outbound", "--kind", "availability", *why).code == 1


def canary_touched(site: Site) -> None:
    path = site.root / "switchboard/configuration/0000-do-not-touch.conf"
    path.write_text("encrypted\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert site.run("backup", "outbound", "--asset", "configuration").code == 1


def another_erased(site: Site) -> None:
    site.write("erased.yaml", "asset: cdr\nrows: [{table: cdr, key: {src: '+999610000043'}}]\n", mode=0o600)
    add = ("erasure", "add", "outbound", "--selector", str(site.root / "erased.yaml"))
    added = site.run(*add, "--break-glass", "nobody else is there")  # who may sign is gone by now
    assert added.code == 0, added


def attestation_ended(site: Site) -> None:
    assert site.run("attest", "card-data", "--end", "--statement", "cards are taken now").code == 0


def checks_blinded(site: Site) -> None:
    site.write("restore_tests/cdr.yaml", "restore_test: cdr\nchecks:\n  - {kind: rows, table: cdr, at_least: 10}\n")
    argv = ("test", "outbound", "--asset", "cdr", "--negative-control", "--damage", "row_changed", "--seed", "1")
    assert site.run(*argv).json["result"] == "PASSED"


def check_failed(site: Site) -> None:
    site.write(
        "restore_tests/configuration.yaml",
        "restore_test: configuration\nchecks:\n  - {kind: command, name: no, argv: ['false']}\n",
    )
    assert site.run("test", "outbound", "--asset", "configuration").code == 1


# By measure: a part of it that the demo shows, how that is broken, and as what it is told then.
BROKEN: dict[str, tuple[str, Callable[[Site], None], str]] = {
    "policies-and-training": ("approval", signer_gone, "contradicted"),
    "access-control": ("four-eyes", signer_gone, "contradicted"),
    "workplace-hygiene": ("secrets", secret_open, "contradicted"),
    "updates": ("versions", floor_raised, "contradicted"),
    "encryption": ("repositories", password_too_old, "expired"),
    "legal-compliance": ("erasures", another_erased, "expired"),
    "threats": ("leaps", canary_touched, "contradicted"),
    "security-testing": ("negative-controls", checks_blinded, "contradicted"),
    "backup-and-recovery": ("restore-tests", check_failed, "contradicted"),
    "incident-reporting": ("incidents", nobody_notified, "contradicted"),
    "physical-security": ("sites", all_at_one_site, "contradicted"),
    "monitoring-and-audit": ("ledger", record_changed, "contradicted"),
}


def part_of(site: Site, measure: str, part: str) -> str:
    (found,) = [one for one in site.run("controls").json["measures"] if one["id"] == measure]
    (state,) = [one["state"] for one in found["parts"] if one["id"] == part]
    return str(state)


def test_kept_it_can_be_tried(demo: Demo) -> None:
    site = demo.site
    assert {name.rsplit("-", 1)[1] for name in demo.containers()} == {"crm", "dialler", "queues"}
    checked = site.run("plan", "check")
    assert checked.code == 0 and checked.json["lint"] == [], checked
    assert site.run("backup", "outbound", "--asset", "queues").code == 0
    assert site.run("run").code == 0  # nothing is due; it starts what ships the log
    assert eventually(lambda: any("ship outbound" in command for command in demo.at_work()))


def test_what_is_stated_no_more_is_nothing(demo: Demo) -> None:
    assert part_of(demo.site, "legal-compliance", "card-data") == "stated"
    attestation_ended(demo.site)
    assert part_of(demo.site, "legal-compliance", "card-data") == "nothing"


@pytest.mark.parametrize("measure", BROKEN)
def test_each_measure_that_it_shows_turns_when_that_is_broken(demo: Demo, measure: str) -> None:
    """On the demo's own data. What was broken stays so: each is asked for its own part."""
    part, broken, then = BROKEN[measure]
    if measure != "access-control":  # the same signer
        not_shown = part in ("leaps", "negative-controls", "incidents", "sites")  # or of one asset alone
        assert part_of(demo.site, measure, part) == ("nothing" if not_shown else "shown")
    broken(demo.site)
    assert part_of(demo.site, measure, part) == then


def test_cleaning_ends_all_of_it(demo: Demo) -> None:
    done = demo.clean()
    assert done.returncode == 0 and not (demo.root / ".demo").exists(), done.stderr
    assert demo.at_work() == [] and demo.containers() == set()
    assert demo.clean().stdout == "there is no .demo\n"


def test_interrupted_it_leaves_nothing_running(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    process = demo.start()
    assert process.stderr and any("the first backup" in line for line in process.stderr)
    assert demo.containers()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 3 and "Traceback" not in said
    assert demo.at_work() == [] and demo.containers() == set()
    assert demo.clean().returncode == 0 and not (tmp_path / ".demo").exists()


def test_without_docker_nothing_is_begun(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    process = demo.start(DOCKER_HOST=f"unix://{tmp_path}/nothing.sock")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3 and "Docker does not answer" in said and "Traceback" not in said
    assert not (tmp_path / ".demo").exists() and demo.at_work() == []


def test_in_a_directory_too_deep_for_sockets_nothing_is_begun(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    demo = Demo(deep)
    process = demo.start()
    _, said = process.communicate(timeout=50)  # less than an S3 server is waited for
    assert process.returncode == 2 and "too long a path for a Unix socket" in said
    assert demo.at_work() == [] and demo.clean().returncode == 0


def test_what_is_no_demo_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "mine").touch()
    demo = Demo(tmp_path)
    assert demo.clean().returncode == 2 and demo.start().wait(60) == 2
    assert (tmp_path / ".demo" / "mine").exists()
