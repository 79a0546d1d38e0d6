"""How long `ccdr report`, `ccdr status`, and a `ccdr run` with nothing due take over a ledger of years.

.venv/bin/python bench/records.py [--plans 20] [--assets 10] [--days 730] [--older] [--work DIR]
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
from tests.years import Centre, write_ledger, write_plans

TARGETS = {"report": 5.0, "status": 1.0, "run": 0.3}  # seconds


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--plans", type=int, default=20)
    options.add_argument("--assets", type=int, default=10, help="of each plan")
    options.add_argument("--days", type=int, default=730)
    options.add_argument("--older", action="store_true", help="as an older ccdr wrote them")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--work", type=Path, help="kept and used again; else a temporary directory")
    given = options.parse_args()
    work = given.work or Path(tempfile.mkdtemp(prefix="ccdr-records-", dir="/var/tmp"))
    end = datetime.now(UTC).replace(microsecond=0)
    centre = Centre(given.plans, given.assets, end, given.days, timedelta(days=1), timedelta(days=15))
    try:
        if not (work / "state/ledger").exists():
            began = time.monotonic()
            write_plans(centre, work)
            (work / "plans/key").write_text("correct horse battery staple\n")
            count = write_ledger(centre, work / "state/ledger", older=given.older)
            print(f"made {count} records in {time.monotonic() - began:.1f} s in {work}", flush=True)
        size = sum(p.stat().st_size for p in (work / "state/ledger").glob("*.jsonl"))
        print(f"ledger: {size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}", flush=True)
        start = (end - timedelta(days=given.days)).date().isoformat()
        everything = ["report", "--from", start, "--out", str(work / "out")]
        commands = {
            "report, all of it, html": [*everything, "--format", "html"],
            "report, all of it, json": [*everything, "--format", "json"],
            "report, all of it, csv": [*everything, "--format", "csv"],
            "report, last 90 days": ["report", "--out", str(work / "out")],
            "status": ["status", "--json"],
            "run, nothing due": ["run", "--json"],
        }
        ccdr = [CCDR, "--plans", str(work / "plans"), "--restore-tests", str(work / "restore_tests"),
                "--state", str(work / "state")]  # fmt: skip
        missed = []
        for what, command in commands.items():
            if command[0] == "run":
                settle(work, [*ccdr, *command])
            seconds, peak = [], 0
            for _ in range(given.rounds):
                done = timed([*ccdr, *command], ok=(0, 1))
                seconds.append(round(done.seconds, 2))
                peak = max(peak, done.peak_bytes)
            target = TARGETS[command[0]]
            best = sorted(seconds)[len(seconds) // 2]
            wrote = (work / "out").stat().st_size if command[0] == "report" else 0
            told = f"peak {peak / 1e6:.0f} MB, wrote {wrote / 1e6:.1f} MB"
            print(f"{what:28} median {best:.2f} s of {target} s  {json.dumps(seconds)}  {told}", flush=True)
            missed += [what] if best > target else []
        return 1 if missed else 0
    finally:
        if given.work is None:
            shutil.rmtree(work, ignore_errors=True)


def settle(work: Path, run: list[str]) -> None:
    """A first run, which sees every schedule for the first time and does nothing: they count from then."""
    shutil.rmtree(work / "state/schedule", ignore_errors=True)
    took = timed(run, ok=(0, 1)).seconds
    print(f"{'run, the first':28} {took:.2f} s: it looks at everything once", flush=True)


if __name__ == "__main__":
    sys.exit(main())
