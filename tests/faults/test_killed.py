"""ccdr killed or interrupted in each phase of a restore test: nothing stays, the chain is whole, nothing reads PASS."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site, Source, eventually, small_database
from tests.support.sites import copy_of

from ccdr.host.state import State

pytestmark = pytest.mark.long

CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
SLOW_CHECKS = CHECKS + '  - {kind: sql, name: slow, expect: "", query: "select pg_sleep(120)"}\n'
SLOW_LOAD = 'prepare_sql: ["select pg_sleep(120)"]'
# phase → the line that tells it has begun, and what makes it last
PHASES = {
    "provision": ("ccdr: providing a sandbox", CHECKS, ""),
    "fetch": ("ccdr: fetching", CHECKS, ""),
    "load": ("ccdr: loading", CHECKS, SLOW_LOAD),
    "check": ("ccdr: checking crm: slow", SLOW_CHECKS, ""),
}


@pytest.fixture(scope="module")
def stored(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "killed") as name:
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name, checks=CHECKS)
        site.backed_up()
        yield site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")


def own(site: Site, kind: str = "ps") -> list[str]:
    """Containers of this installation, running or not (`running`: those alone), or its volumes."""
    argv = {"ps": ["ps", "-aq"], "running": ["ps", "-q"], "volume": ["volume", "ls", "-q"]}[kind]
    label = f"label=ccdr.state={State(site.state).id}"
    return subprocess.run(
        ["docker", *argv, "--filter", label], capture_output=True, text=True, check=True
    ).stdout.split()


def children(site: Site) -> list[str]:
    """Processes whose command line names this site: what the killed one had started."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in lines if f"{site.root}/" in line]


def scratch(site: Site) -> list[Path]:
    return list((site.state / "scratch").glob("run-*"))


def stopped(site: Site, source: Source, phase: str, sign: int, *, extra: str = "") -> int:
    """Run a test, send `sign` once `phase` has begun; its exit code."""
    line, checks, more = PHASES[phase]
    site.crm(source, "killed", checks=checks, extra=f"{more}\n{extra}")
    process = site.start("test", "p")
    assert process.stderr
    for said in process.stderr:
        if line in said:
            break
    process.send_signal(sign)
    process.communicate(timeout=60)
    return process.returncode


def goes_on(site: Site, source: Source) -> None:
    """The next test passes, and nothing of either stays."""
    site.crm(source, "killed", checks=CHECKS)
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("PASS", 0), done
    assert not own(site) and not own(site, "volume") and not scratch(site)


@pytest.mark.parametrize("phase", PHASES)
def test_killed_ccdr_leaves_nothing_once_reaped_and_no_pass(site: Site, source: Source, phase: str) -> None:
    assert stopped(site, source, phase, signal.SIGKILL) == -signal.SIGKILL
    assert eventually(lambda: not own(site, "running"), 20)  # the sandbox ends by itself: its input was closed
    assert eventually(lambda: not children(site), 20)  # so does restic, which the kernel told
    reaped = site.run("sandbox", "reap")
    # A container that was made and not yet started when its ccdr was killed has no input to be closed: it is reaped.
    assert reaped.code == 0 and not scratch(site) and not own(site)
    assert any(name.startswith("scratch run-") for name in reaped.json["removed"])
    (start,) = site.records("restore_test.start")
    assert not site.records("restore_test.end")
    found = site.run("ledger", "verify")
    assert found.code == 0 and found.json["ok"]
    assert [start["run"] in crash for crash in found.json["crashes"]] == [True]
    status = site.run("status").json["plans"][0]["assets"][0]
    assert status["coverage"] == "untested" and status["last_test"] is None
    goes_on(site, source)


def test_killed_ccdr_with_its_data_on_disk_leaves_no_volume_once_reaped(site: Site, source: Source) -> None:
    stopped(site, source, "check", signal.SIGKILL, extra="storage: disk")
    assert eventually(lambda: not own(site), 20)
    assert site.run("sandbox", "reap").code == 0
    assert not own(site, "volume") and not scratch(site)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_interrupted_ccdr_cleans_up_and_records_it(site: Site, source: Source, sign: int) -> None:
    """In the load with TERM, in the check with the others: nobody has to reap."""
    phase = "load" if sign == signal.SIGTERM else "check"
    assert stopped(site, source, phase, sign) == 3
    assert not own(site) and not scratch(site)
    (end,) = site.records("restore_test.end")
    assert (end["verdict"], end["reason"]) == ("INCONCLUSIVE", "interrupted")
    assert end["disposal"]["sandbox_gone"] and end["disposal"]["scratch_gone"]
    found = site.run("ledger", "verify")
    assert found.code == 0 and found.json["crashes"] == []


def test_interrupted_fetch_cleans_up(site: Site, source: Source) -> None:
    assert stopped(site, source, "fetch", signal.SIGTERM) == 3
    assert not own(site) and not scratch(site)
    assert [r["verdict"] for r in site.records("restore_test.end")] == ["INCONCLUSIVE"]
    goes_on(site, source)
