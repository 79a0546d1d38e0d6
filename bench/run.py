"""What ccdr costs, against the same work by hand, in one run on one machine. See README.md beside this file.

.venv/bin/python bench/run.py [--quick] [--gb 2] [--rounds 3] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import Timed, facts, timed
from sides import CCDR, ByHand, Ours, discard, of_postgres, take_down
from source import CALLS_PER_GB, HERE, TINY, Source, pick_image, source, tree_bytes

MEMORY = 150e6  # bytes, of ccdr itself


@dataclass
class Row:
    """One line of the table: what ccdr needed, what the comparison needed, and what is asked for."""

    what: str
    unit: str
    ours: float
    other: float | None
    value: float  # what is held against the target
    target: float | None
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.value <= self.target


def paired(what: str, ours: list[float], by_hand: list[float], target: float) -> Row:
    """The median of the ratios, each of two runs that came one right after the other."""
    ratios = [a / b for a, b in zip(ours, by_hand, strict=True)]
    samples = {"ccdr": ours, "by_hand": by_hand, "ratio": ratios}
    middle = statistics.median
    return Row(what, "ratio", middle(ours), middle(by_hand), middle(ratios), target, samples)


def single(what: str, unit: str, values: list[float], target: float | None) -> Row:
    middle = statistics.median(values)
    return Row(what, unit, middle, None, middle, target, {"ccdr": values})


@dataclass
class Bench:
    source: Source
    image: str
    work: Path
    calls: int
    rounds: int
    peak: dict[str, int] = field(default_factory=dict)
    phases: dict[str, list[Any]] = field(default_factory=dict)

    def say(self, text: str) -> None:
        print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)

    def ours(self, side: Ours, verb: str) -> tuple[float, Any]:
        done, document = side.run(verb)
        self._note(verb, done, document)
        return done.seconds, document

    def _note(self, verb: str, done: Timed, document: Any) -> None:
        self.peak[verb] = max(self.peak.get(verb, 0), done.peak_bytes)
        self.phases.setdefault(verb, []).append(document["phases"])
        self.say(f"ccdr {verb}: {done.seconds:.2f} s {document['phases']}")

    def compare(self) -> list[Row]:
        """Backups and tests of the large database, ccdr and by hand in turn; then a second backup."""
        kept = take_down(self.source, "crm", self.image, self.work)
        times: dict[str, list[float]] = {key: [] for key in ("backup", "backup_hand", "test", "test_hand")}
        for n in range(1, self.rounds + 1):
            self.say(f"round {n} of {self.rounds}")
            a = of_postgres(self.work / f"ours{n}", self.source, "crm", self.image, self.calls)
            b = ByHand(self.work / f"hand{n}", self.source, "crm", self.image, self.calls, kept)
            pairs = {
                "backup": (lambda a=a: self.ours(a, "backup"), lambda b=b: b.backup()),
                "test": (lambda a=a: self.ours(a, "test"), lambda a=a, b=b: b.test(*a.sandbox())),
            }
            for verb, (ours, hand) in pairs.items():
                # Whoever comes second finds the machine as the first has left it: each does so in turn.
                if n % 2:
                    times[verb].append(ours()[0])
                times[f"{verb}_hand"].append(self.by_hand(verb, hand()))
                if not n % 2:
                    times[verb].append(ours()[0])
            if n < self.rounds:
                discard(a.root, b.root)
        rows = [
            paired("ccdr backup / pg_dump + restic backup", times["backup"], times["backup_hand"], 1.05),
            paired("ccdr test / fetch, load, checks", times["test"], times["test_hand"], 1.10),
        ]
        rows += self.append(a, b)
        discard(a.root, b.root)
        return rows

    def by_hand(self, what: str, done: Timed) -> float:
        self.say(f"by hand, {what}: {done.seconds:.2f} s")
        return done.seconds

    def append(self, a: Ours, b: ByHand) -> list[Row]:
        """What a second backup stores after 1 % more rows, by the size of the repository."""
        self.source.append("crm", self.calls, self.calls // 100)
        first = tree_bytes(a.repo), tree_bytes(b.repo)
        seconds = [self.ours(a, "backup")[0]], [self.by_hand("second backup", b.backup())]
        added = tree_bytes(a.repo) - first[0], tree_bytes(b.repo) - first[1]
        share = 100 * added[0] / first[0]
        samples = {"ccdr": [float(added[0])], "by_hand": [float(added[1])], "first": [float(first[0])]}
        stored = Row(
            "second backup after a 1 % append, stored", "%", share, 100 * added[1] / first[1], share, 3, samples
        )
        again = paired("the same second backup, time", *seconds, 1.05)
        again.target = None
        return [stored, again, single("first backup, stored", "MB", [first[0] / 1e6], None)]

    def tiny(self) -> list[Row]:
        self.source.psql("create database tiny template template0", "postgres")
        self.source.psql(TINY, "tiny")
        side = of_postgres(self.work / "tiny", self.source, "tiny", self.image, 3000)
        backups = [self.ours(side, "backup")[0] for _ in range(3)]
        tests = [self.ours(side, "test")[0] for _ in range(5)]
        discard(side.root)
        return [
            single("tiny database: ccdr test, command to verdict", "s", tests, 4),
            single("tiny database: ccdr backup", "s", backups, None),
        ]

    def memory(self) -> list[Row]:
        return [single(f"peak memory of ccdr itself, {v}", "MB", [n / 1e6], MEMORY / 1e6) for v, n in self.peak.items()]


def start_up() -> Row:
    return single("ccdr --help", "s", [timed([CCDR, "--help"]).seconds for _ in range(11)], 0.3)


def table(rows: Sequence[Row]) -> str:
    lines = [("", "ccdr", "by hand", "measure", "at most", "")]
    for row in rows:
        shown = "s" if row.unit == "ratio" else row.unit
        other = "" if row.other is None else f"{row.other:.2f} {shown}"
        value = f"{row.value:.3f}" if row.unit == "ratio" else f"{row.value:.2f} {row.unit}"
        target = "" if row.target is None else f"{row.target:g}"
        met = {None: "", True: "met", False: "MISSED"}[row.met]
        lines.append((row.what, f"{row.ours:.2f} {shown}", other, value, target, met))
    widths = [max(len(line[n]) for line in lines) for n in range(6)]
    return "\n".join(
        "  ".join(
            c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What ccdr costs, against the same work by hand.")
    parser.add_argument("--quick", action="store_true", help="100 MB and one round: does the harness work?")
    parser.add_argument("--gb", type=float, default=2.0, help="size of the database, GB (2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often ccdr and by hand are measured in turn (3)")
    parser.add_argument("--out", type=Path, default=HERE / "results/latest.json", help="where the JSON goes")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help="where data goes; about 6 GB are needed")
    args = parser.parse_args()
    gb, rounds = (0.1, 1) if args.quick else (args.gb, args.rounds)
    image, calls = pick_image(), int(CALLS_PER_GB * gb)
    began, about = time.monotonic(), facts(image, postgres="postgres --version")
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir=args.work) as directory:
        work = Path(directory)
        work.chmod(0o755)
        with source(image, f"ccdr-bench-{os.getpid()}", work) as server:
            bench = Bench(server, image, work, calls, rounds)
            bench.say(f"filling a database of about {gb:g} GB")
            server.fill("crm", calls)
            size = server.size("crm")
            bench.say(f"it has {size / 1e9:.2f} GB")
            rows = [*bench.compare(), *bench.tiny(), start_up(), *bench.memory()]
    result = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": shlex.join(["bench/run.py", *sys.argv[1:]]),
        "took_s": round(time.monotonic() - began, 1),
        "machine": about,
        "database": {"bytes": size, "calls": calls},
        "commands": {
            "ccdr": "ccdr --plans … --restore-tests … --state … backup|test bench --json",
            "by_hand": {name: (HERE / f"by_hand/{name}.sh").read_text("utf-8") for name in ("backup", "test")},
        },
        "results": [{**asdict(row), "met": row.met} for row in rows],
        "phases": bench.phases,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\n{size / 1e9:.2f} GB, {rounds} rounds, {about['processors']} × {about['processor']}, {about['restic']}\n")
    print(f"{table(rows)}\n\n{args.out}: every sample, phases, versions, command lines")
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
