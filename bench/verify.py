"""How long the verification of a large ledger that a key signs takes, and how much memory: a directory, a live state,
what is new of it.

.venv/bin/python bench/verify.py [--days 120] [--plans 50] [--assets 10] [--rounds 1] [--work DIR]

Three million records: 500 assets, a backup of each every hour, a restore test every day, 120 days. `--days 5` shows in
a minute that the bench works. `--work` keeps the ledger (2.2 GB) for the next time.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import start
from sides import CCDR
from tests.support.years import Centre, write_ledger, write_plans

MEMORY = 300 * 1000**2  # bytes, of all processes together, a page that they share counted once
SECONDS = {"whole": 60.0, "on": 2.0}  # of all of it, and of what is new
DAILY: list[str] = []
# What `ccdr run` does once a day, but for the report's index, which is another matter.
DAILY_CODE = """
import sys
from pathlib import Path
from ccdr.jobs.daily_verification import verify_now
from ccdr.wiring import services
verify_now(services(Path(sys.argv[1])))
"""


@dataclass(frozen=True)
class Whole:
    """A command with all processes that it began: wall seconds, seconds of processors that `worked`, and the most
    bytes that were resident at once. `rss` is the sum of the processes' own counts, a page that two share twice; `pss`
    counts each page once."""

    seconds: float
    worked: float
    rss: int
    pss: int
    code: int
    said: str


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--plans", type=int, default=50)
    options.add_argument("--assets", type=int, default=10, help="of each plan")
    options.add_argument("--days", type=int, default=120)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--work", type=Path, help="kept and used again; else a temporary directory")
    given = options.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="ccdr-verify-", dir="/var/tmp"))
    try:
        made(given, work)
        missed = measured(given, work)
        print("missed: " + (", ".join(missed) or "none"), flush=True)
        return 1 if missed else 0
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)


def made(given: argparse.Namespace, work: Path) -> None:
    """`work/ledger`, and plans: as `ccdr` on that host would have left them."""
    if (work / "ledger").exists():
        return
    began, end = time.monotonic(), datetime.now(UTC).replace(microsecond=0)
    hourly, daily = timedelta(hours=1), timedelta(days=1)
    centre = Centre(given.plans, given.assets, end, given.days, hourly, daily, manifests=False)
    write_plans(centre, work)
    (work / "plans/key").write_text("correct horse battery staple\n")
    count = write_ledger(centre, work / "unfinished")
    (work / "unfinished").rename(work / "ledger")
    print(f"made {count} records in {time.monotonic() - began:.0f} s in {work}", flush=True)


def measured(given: argparse.Namespace, work: Path) -> list[str]:
    """Each command in turn; which of them missed a target."""
    size, state = sum(p.stat().st_size for p in (work / "ledger").glob("*.jsonl")), work / "state"
    processors, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"ledger: {size / 1e6:.0f} MB; {processors} processors; load {load:.1f}", flush=True)
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(work / "ledger", state / "ledger")  # whatever is appended, the next time begins as this one
    (state / "ledger").chmod(0o700)
    ccdr = [CCDR, "--plans", str(work / "plans"), "--restore-tests", str(work / "restore_tests"),
            "--state", str(state)]  # fmt: skip
    for sign in (["ledger", "key", "create"], ["ledger", "checkpoint"]):
        done = together([*ccdr, *sign])
        print(f"{' '.join(sign):28} {done.seconds:6.2f} s  exit {done.code}", flush=True)
    missed = []
    for what, target, command in (
        ("a directory", "whole", ["ledger", "verify", str(work / "ledger")]),
        ("live, never verified before", "whole", ["ledger", "verify"]),
        ("the daily verification", None, DAILY),
        ("live, verified before", "whole", ["ledger", "verify"]),
        ("live, what is new", "on", ["ledger", "verify", "--since-verified"]),
    ):
        argv = [sys.executable, "-c", DAILY_CODE, str(state)] if command is DAILY else [*ccdr, *command]
        rounds = [together(argv) for _ in range(1 if target is None else given.rounds)]
        seconds, pss = sorted(one.seconds for one in rounds)[len(rounds) // 2], max(one.pss for one in rounds)
        goal = f" of {SECONDS[target]:.0f} s" if target else ""
        memory = f"resident {max(one.rss for one in rounds) / 1e6:.0f} MB, shared pages once {pss / 1e6:.0f} MB"
        worked = f"processors {max(one.worked for one in rounds):.1f} s"
        print(f"{what:28} {seconds:6.2f} s{goal}  {worked}  {memory}  exit {rounds[-1].code}", flush=True)
        print(f"{'':28} {rounds[-1].said.splitlines()[0][:120] if rounds[-1].said else ''}", flush=True)
        if target is not None and (seconds > SECONDS[target] or pss > MEMORY or rounds[-1].code != 0):
            missed.append(what)
    return missed


def together(argv: Sequence[str]) -> Whole:
    """Run a command to its end, and look at all processes of its session every twentieth of a second."""
    start()
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    peak = [0, 0]
    watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watcher.start()
    said, _ = process.communicate()
    seconds = time.monotonic() - began
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Whole(seconds, worked, *peak, process.returncode, said.decode("utf-8", "replace"))


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    while process.poll() is None:
        sums = [0, 0]
        for pid in _of_session(process.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
            except OSError:  # it has ended
                continue
            of_it = {line.split()[0]: int(line.split()[1]) * 1024 for line in rollup[1:]}
            sums = [sums[0] + of_it["Rss:"], sums[1] + of_it["Pss:"]]
        peak[:] = map(max, peak, sums)
        time.sleep(0.05)


def _of_session(session: int) -> list[int]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text("ascii", "replace")
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[3]) == session:
                found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
