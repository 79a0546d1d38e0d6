"""How long `ccdr report`, `ccdr status`, and a `ccdr run` with nothing due take over a ledger of years.

.venv/bin/python bench/records.py [--plans 20] [--assets 10] [--days 730] [--work DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import timed
from sides import CCDR
from tests.support.years import Centre, write_catalogue, write_ledger, write_plans

TARGETS = {"status": 0.5, "report": 2.5, "whole": 5.0, "run": 0.3}  # seconds
SAME = 1.3  # how much longer what needs not read years may take where there are --times as many of them


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--plans", type=int, default=20)
    options.add_argument("--assets", type=int, default=10, help="of each plan")
    options.add_argument("--days", type=int, default=730)
    options.add_argument("--times", type=int, default=0, help="then again with so many times the days, and compare")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work", type=Path, help="kept and used again; else a temporary directory")
    given = options.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="ccdr-records-", dir="/var/tmp"))
    try:
        found = measured(given, work / "once", given.days, long=True)
        missed = [what for what, seconds in found.items() if seconds > TARGETS[target_of(what)]]
        if given.times:
            again = measured(given, work / "again", given.days * given.times, long=False)
            for what, seconds in again.items():
                print(f"{what:28} {seconds / found[what]:.2f} of that over {given.days} days", flush=True)
            missed += [f"{what}, {given.times} times" for what in again if again[what] > SAME * found[what]]
        print("missed: " + (", ".join(missed) or "none"), flush=True)
        return 1 if missed else 0
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)


def target_of(what: str) -> str:
    command = what.partition(",")[0]
    return "whole" if command == "report" and "90 days" not in what else command


def measured(given: argparse.Namespace, work: Path, days: int, *, long: bool) -> dict[str, float]:
    """Seconds, the median of each command. `long`: those too that read all of the ledger."""
    end = datetime.now(UTC).replace(microsecond=0)
    centre = Centre(given.plans, given.assets, end, days, timedelta(days=1), timedelta(days=15))
    if not (work / "state/ledger").exists():
        began = time.monotonic()
        write_plans(centre, work)
        (work / "plans/key").write_text("correct horse battery staple\n")
        count = write_ledger(centre, work / "state/ledger")
        entries = write_catalogue(work / "state/ledger", work / "state/catalogue")
        print(
            f"made {count} records, {entries} entries of the catalogue, in {time.monotonic() - began:.1f} s in {work}"
        )
    size = sum(p.stat().st_size for p in (work / "state/ledger").glob("*.jsonl"))
    print(f"ledger: {size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}", flush=True)
    start = (end - timedelta(days=days)).date().isoformat()
    everything = ["report", "--from", start, "--out", str(work / "out")]
    commands = {"report, last 90 days": ["report", "--out", str(work / "out")], "status": ["status", "--json"],
                "run, nothing due": ["run", "--json"]}  # fmt: skip
    if long:
        commands |= {
            "report, 90 days, --whole": ["report", "--whole", "--out", str(work / "out")],
            "report, all of it, html": [*everything, "--format", "html"],
            "report, all of it, json": [*everything, "--format", "json"],
            "report, all of it, csv": [*everything, "--format", "csv"],
        }
    ccdr = [CCDR, "--plans", str(work / "plans"), "--restore-tests", str(work / "restore_tests"),
            "--state", str(work / "state")]  # fmt: skip
    settle(work, [*ccdr, "run", "--json"])
    found = {}
    for what, command in commands.items():
        seconds, peak = [], 0
        for _ in range(given.rounds):
            done = timed([*ccdr, *command], ok=(0, 1))
            seconds.append(round(done.seconds, 2))
            peak = max(peak, done.peak_bytes)
        found[what] = sorted(seconds)[len(seconds) // 2]
        wrote = (work / "out").stat().st_size if command[0] == "report" else 0
        told = f"peak {peak / 1e6:.0f} MB, wrote {wrote / 1e6:.1f} MB"
        target = TARGETS[target_of(what)]
        print(f"{what:28} median {found[what]:.2f} s of {target} s  {json.dumps(seconds)}  {told}", flush=True)
    return found


def settle(work: Path, run: list[str]) -> None:
    """A first run, which sees every schedule for the first time and does nothing: they count from then."""
    shutil.rmtree(work / "state/schedule", ignore_errors=True)
    took = timed(run, ok=(0, 1)).seconds
    print(f"{'run, the first':28} {took:.2f} s: it looks at everything once", flush=True)


if __name__ == "__main__":
    sys.exit(main())
