"""What `ccdr run --jobs` gains: four equal small databases, tested one by one and side by side, in turn.

.venv/bin/python bench/parallel.py [--quick] [--rounds 3] [--jobs 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from machine import timed
from rounds import command, write_json
from sides import CCDR
from source import TINY, Source, pick_image, source

ASSETS = ("a", "b", "c", "d")
CRON = f"{(datetime.now(UTC) - timedelta(minutes=10)).minute} * * * *"


def site(root: Path, server: Source, image: str) -> list[str]:
    """Plans for four databases of one server; the command to run them with."""
    plans, checks = root / "plans", root / "restore_tests"
    plans.mkdir(parents=True)
    checks.mkdir()
    (checks / "c.yaml").write_text("restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
    (plans / "key").touch(0o600)
    (plans / "key").write_text("a password of some length\n")
    assets = "".join(
        f"  {name}:\n    engine: postgres\n    image: {image}\n"
        f"    connection: {{host: {server.sockets}, user: postgres, database: tiny_{name}}}\n"
        f'    backup: {{schedule: "{CRON}"}}\n    restore_test: {{schedule: "{CRON}", checks: [c]}}\n'
        for name in ASSETS
    )
    (plans / "p.yaml").write_text(
        f"plan: p\nservice: Bench\nowner: bench\nobjectives: {{rpo: 1h, rto: 30m}}\n"
        f"repository: {{url: {root}/repo, password_file: key}}\nassets:\n{assets}"
    )
    return [CCDR, "--plans", str(plans), "--restore-tests", str(checks), "--state", str(root / "state")]


def due_again(root: Path) -> None:
    """As if an hour had passed for the tests."""
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for path in (root / "state/schedule").glob("*.json"):
        if path.name.startswith("wake-"):
            path.unlink()
        elif path.name.endswith(".test.json"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "settled": before}))


def main() -> int:
    parser = argparse.ArgumentParser(description="What `ccdr run --jobs` gains.")
    parser.add_argument("--quick", action="store_true", help="one round: does the bench work?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    parser.add_argument("--jobs", type=int, default=4)
    args = parser.parse_args()
    image, work = pick_image(), Path("/var/tmp")
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir=work) as directory:
        root = Path(directory)
        root.chmod(0o755)
        with source(image, f"ccdr-bench-{os.getpid()}", root) as server:
            for name in ASSETS:
                server.psql(f"create database tiny_{name} template template0", "postgres")
                server.psql(TINY, f"tiny_{name}")
            ccdr = site(root / "site", server, image)
            timed([*ccdr, "run", "--json"])
            timed([*ccdr, "backup", "p", "--json"])
            ratios, samples = [], []
            for n in range(1 if args.quick else args.rounds):
                seconds = {}
                for jobs in (1, args.jobs) if n % 2 else (args.jobs, 1):
                    due_again(root / "site")
                    done = timed([*ccdr, "run", "--only", "tests", "--jobs", str(jobs), "--json"])
                    verdicts = [d["result"]["verdict"] for d in json.loads(done.stdout)["did"]]
                    assert verdicts == ["PASS"] * len(ASSETS), done.stdout
                    seconds[jobs] = done.seconds
                samples.append(seconds)
                ratios.append(seconds[1] / seconds[args.jobs])
                alone, together = seconds[1], seconds[args.jobs]
                print(f"one by one {alone:.2f} s, --jobs {args.jobs} {together:.2f} s: {ratios[-1]:.2f} times")
    middle = statistics.median(ratios)
    if args.json:
        write_json(args.json, {"command": command(), "seconds_by_jobs": samples})
    print(f"`{command()}`: median {middle:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}); asked for: 1.6")
    return 0 if middle >= 1.6 or args.quick else 1


if __name__ == "__main__":
    raise SystemExit(main())
