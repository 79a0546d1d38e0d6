"""How well ccdr foretells a restore: it learns from restore tests of three sizes, and is held to tests of four times
the largest of them.

.venv/bin/python bench/predict.py [--quick] [--mb 60] [--runs 5] [--only ASSET] [--work DIR] [--json FILE]

A PostgreSQL dump and a tree of recordings grow from one to two and three times `--mb`; each is tested `--runs` times at
each size. Then they are made twelve times as large, and what is foretold is compared with what is measured.
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

from ccdr.jobs.recover.measured import told_of
from ccdr.jobs.recover.predict import Work, predicted
from ccdr.jobs.recover.states import Predicted
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

    def tested(self, asset: str) -> tuple[float, int]:
        """Seconds from the decision to restore until the checks had passed, and bytes."""
        test = self.ccdr("test", "p", "--asset", asset)
        assert test["verdict"] == "PASS", test
        rto, snapshot = test["rto"], test["snapshot"]
        assert isinstance(rto, Mapping) and isinstance(snapshot, Mapping)
        return float(rto["achieved_s"]), int(snapshot["bytes"])

    def foretold(self, asset: str, size: int) -> Predicted:
        records = services(self.root / "state").ledger.as_read(reverse=True)
        told = told_of(records, "p", [asset], datetime.now(UTC))[asset]
        found = predicted(told.runs, Work(size, phases=PHASES[asset], durable=False if asset == "crm" else None))
        assert found is not None
        return found


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
                learned: list[tuple[int, float]] = []
                before = 0
                for times in TIMES:
                    more(times, before)
                    before = times
                    site.ccdr("backup", "p", "--asset", asset)
                    for _ in range(runs):
                        seconds, held = site.tested(asset)
                        learned.append((held, seconds))
                more(FOUR, before)
                site.ccdr("backup", "p", "--asset", asset)
                found, measured, held = None, [], 0
                for _ in range(runs):
                    if found is None:  # before the first: what it learns from must not be what it is held to
                        held = _newest_bytes(site, asset)
                        found = site.foretold(asset, held)
                    measured.append(site.tested(asset)[0])
                assert found is not None
                middle = statistics.median(measured)
                ratio = found.seconds / middle
                missed = missed or abs(ratio - 1) > WITHIN
                inside = sum(found.low <= seconds <= found.high for seconds in measured)
                print(
                    f"| {asset} | {', '.join(f'{held / 1e6:.0f}' for held in sorted({h for h, _ in learned}))} MB, "
                    f"{runs} runs each | {held / 1e6:.0f} MB | {found.seconds:.1f} s "
                    f"({found.low:.1f} to {found.high:.1f}) | {middle:.1f} s ({min(measured):.1f} to "
                    f"{max(measured):.1f}), {inside} of {runs} within | {ratio:.2f} |",
                    flush=True,
                )
                samples[asset] = {
                    "learned": learned, "bytes": held, "measured": measured, **found.as_json()
                }  # fmt: skip
    if args.json:
        write_json(args.json, {"command": command(), "samples": samples})
    print(f"`{command()}`: asked for: within {WITHIN:.0%}")
    return 1 if missed and not args.quick else 0


def _newest_bytes(site: Site, asset: str) -> int:
    newest: int = services(site.root / "state").catalogue.snapshots("p", asset)[-1].bytes
    return newest


if __name__ == "__main__":
    raise SystemExit(main())
