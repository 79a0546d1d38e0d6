"""How well ccdr foretells a restore: it learns from restore tests of three sizes, and is held to tests of four times
the largest of them.

.venv/bin/python bench/predict.py [--quick] [--mb 60] [--runs 5] [--only ASSET] [--work DIR] [--json FILE]

A PostgreSQL dump and a tree of recordings grow from one to two, three and twelve times `--mb`, and are backed up at
each size. Then the four snapshots are tested in turn, `--runs` times: what the first three foretell of the fourth is
compared with what that took. In turn, for a machine that others use is quick in one minute and slow in the next: size
after size, that would be told of the sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from machine import timed
from recordings import SIZES, Tree
from rounds import command, write_json
from sides import CCDR
from source import CALLS_PER_GB, Source, pick_image, source

from ccdr.jobs.recover.prediction import MeasuredRun, Work, predicted, told_of
from ccdr.jobs.recover.states import Predicted
from ccdr.model.values import Snapshot
from ccdr.wiring import services

TIMES, FOUR = (1, 2, 3), 12  # times the first size: what is learned from, and what is foretold
WITHIN = 0.20
PHASES = {"crm": ("fetch", "load", "check", "finish"), "recordings": ("fetch", "check", "finish")}


@dataclass
class Site:
    """A plan with both assets."""

    root: Path

    def write(self, server: Source, image: str, tree: Path) -> None:
        plans, checks = self.root / "plans", self.root / "restore_tests"
        for path in (plans, checks):
            path.mkdir(parents=True)
        (checks / "c.yaml").write_text("restore_test: c\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
        (checks / "r.yaml").write_text("restore_test: r\nchecks:\n  - {kind: identical}\n")
        (plans / "key").touch(0o600)
        (plans / "key").write_text("a password of some length\n")
        (plans / "p.yaml").write_text(
            f"plan: p\nservice: Bench\nowner: bench\nobjectives: {{rpo: 1h, rto: 30m}}\n"
            f"repository: {{url: {self.root}/repo, password_file: key}}\nassets:\n"
            f"  crm:\n    engine: postgres\n    image: {image}\n"
            f"    connection: {{host: {server.sockets}, user: postgres, database: bench}}\n"
            f'    restore_test: {{schedule: "0 3 * * *", checks: [c]}}\n'
            f"  recordings:\n    engine: files\n    paths: [{tree}]\n    settle: 1s\n"
            f'    restore_test: {{schedule: "0 3 * * *", checks: [r]}}\n'
        )

    def ccdr(self, *words: str) -> dict[str, object]:
        base = ["--plans", str(self.root / "plans"), "--restore-tests", str(self.root / "restore_tests")]
        done = timed([CCDR, *base, "--state", str(self.root / "state"), *words, "--json"], ok=(0, 1))
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    def backed_up(self, asset: str) -> Snapshot:
        self.ccdr("backup", "p", "--asset", asset)
        newest: Snapshot = services(self.root / "state").catalogue.snapshots("p", asset)[-1]
        return newest

    def tested(self, asset: str, snapshot: Snapshot) -> float:
        """Seconds from the decision to restore until the checks had passed."""
        test = self.ccdr("test", "p", "--asset", asset, "--snapshot", snapshot.id)
        assert test["verdict"] == "PASS", test
        rto = test["rto"]
        assert isinstance(rto, Mapping)
        return float(rto["achieved_s"])

    def foretold(self, asset: str, size: int) -> tuple[Predicted, list[MeasuredRun]]:
        """By the tests of what is smaller; and all of them."""
        records = services(self.root / "state").ledger.as_read(reverse=True)
        runs = told_of(records, "p", [asset], datetime.now(UTC))[asset].runs
        work = Work(size, phases=PHASES[asset], durable=False if asset == "crm" else None)
        found = predicted([run for run in runs if run.bytes < size], work)
        assert found is not None
        return found, runs


def main() -> int:
    parser = argparse.ArgumentParser(description="How well a restore's time is foretold.")
    parser.add_argument("--quick", action="store_true", help="2 MB and one run of each: does the bench work?")
    parser.add_argument("--mb", type=int, default=60, help="the first size")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="where all of it lies")
    parser.add_argument("--only", choices=("crm", "recordings"), help="one of the two")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    args = parser.parse_args()
    size, runs = (2, 1) if args.quick else (args.mb, args.runs)
    calls, files = CALLS_PER_GB * size // 1000, size * 10**6 // (sum(SIZES) // 2)
    samples: dict[str, object] = {}
    missed = False
    image = pick_image()
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir=args.work) as directory:
        root = Path(directory)
        root.chmod(0o755)
        with source(image, f"ccdr-bench-{os.getpid()}", root) as server:
            site, tree = Site(root / "site"), Tree(root / "recordings")
            site.write(server, image, tree.root)

            def crm(times: int, before: int) -> None:
                if before == 0:
                    server.fill("bench", calls)
                else:
                    server.append("bench", calls, calls * (times - before), more=calls * (before - 1))

            grow: dict[str, Callable[[int, int], None]] = {
                "crm": crm,
                "recordings": lambda times, before: tree.add(files * (times - before)),
            }
            print("| asset | learned from | foretold for | predicted | measured | ratio |", "|---" * 6 + "|", sep="\n")
            for asset, more in grow.items():
                if args.only not in (None, asset):
                    continue
                before, snapshots = 0, list[Snapshot]()
                for times in (*TIMES, FOUR):
                    more(times, before)
                    before = times
                    snapshots.append(site.backed_up(asset))
                took: dict[int, list[float]] = {snapshot.bytes: [] for snapshot in snapshots}
                for _ in range(runs):
                    for snapshot in snapshots:
                        took[snapshot.bytes].append(site.tested(asset, snapshot))
                held = snapshots[-1].bytes
                found, every = site.foretold(asset, held)
                measured = took.pop(held)
                middle = statistics.median(measured)
                ratio = found.seconds / middle
                missed = missed or abs(ratio - 1) > WITHIN
                inside = sum(found.low <= seconds <= found.high for seconds in measured)
                print(
                    f"| {asset} | {', '.join(f'{size / 1e6:.0f}' for size in took)} MB, {runs} runs each | "
                    f"{held / 1e6:.0f} MB | {found.seconds:.1f} s ({found.low:.1f} to {found.high:.1f}) | "
                    f"{middle:.1f} s ({min(measured):.1f} to {max(measured):.1f}), {inside} of {runs} within | "
                    f"{ratio:.2f} |",
                    flush=True,
                )
                samples[asset] = {
                    "learned": took,
                    "bytes": held,
                    "measured": measured,
                    "runs": [{"bytes": run.bytes, "phases": run.phases, "basis": run.basis} for run in every],
                    **found.as_json(),
                }
    if args.json:
        write_json(args.json, {"command": command(), "samples": samples})
    print(f"`{command()}`: asked for: within {WITHIN:.0%}")
    return 1 if missed and not args.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())
