"""Several tools at the same work, in turn: what all such benches share.

Options, a place that is empty again at the end, rounds, ratios, targets, the table for
docs/explanation/benchmarks.md, the record.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from machine import said
from source import HERE

OURS = "ccdr"
NAME = f"ccdr-bench-{os.getpid()}"  # every container's name begins so
BEGAN = time.monotonic()
BY_HAND = 1.05  # never slower than this many times the same work by hand


@dataclass(frozen=True)
class Measure:
    """One line of the table. `limits`: how many times a side's value ccdr's may be, at most."""

    text: str
    unit: str = "s"
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """A target, and what was found."""

    what: str
    side: str
    limit: float
    ratio: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.limit

    def __str__(self) -> str:
        return f"{self.ratio:.2f} × {self.side}, at most {self.limit:g}: {'met' if self.met else '**missed**'}"


@dataclass
class Rounds:
    """What was measured: for each measure and side one value a round. All of it is in `part` at any time, so that a run
    that is cut short is not lost."""

    measures: Mapping[str, Measure]
    part: Path
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def made(self) -> int:
        return max(len(values) for of in self.samples.values() for values in of.values())

    def turn(self, what: str, number: int, sides: Mapping[str, Callable[[], float]]) -> None:
        """Each side once. Whoever comes second finds the machine as the first has left it: each does so in turn."""
        names = list(sides)
        for name in names if number % 2 else reversed(names):
            self.keep(what, name, sides[name]())

    def keep(self, what: str, side: str, value: float) -> None:
        measure = self.measures[what]
        self.samples.setdefault(what, {}).setdefault(side, []).append(value)
        write_json(self.part, {"command": command(), "unfinished": True, "samples": self.samples})
        say(f"{side}, {measure.text}: {value:.2f} {measure.unit}")

    def stored(self, what: str, bytes_of: Mapping[str, int], before: Mapping[str, int] | None = None) -> None:
        """Megabytes that each side's repository has more than `before`."""
        for side, size in bytes_of.items():
            self.keep(what, side, (size - (before or {}).get(side, 0)) / 1e6)

    def ratios(self, what: str, side: str) -> list[float]:
        """How many times a side's value ccdr's is, in each round."""
        of = self.samples[what]
        return [a / b if b else float("inf") for a, b in zip(of[OURS], of[side], strict=True)]

    def ratio(self, what: str, side: str) -> float:
        return statistics.median(self.ratios(what, side))

    def held(self, what: str) -> list[Held]:
        there = self.samples.get(what, {})
        limits = self.measures[what].limits
        return [Held(what, side, limit, self.ratio(what, side)) for side, limit in limits.items() if side in there]

    @property
    def missed(self) -> list[Held]:
        return [held for what in self.measures for held in self.held(what) if not held.met]

    def table(self) -> str:
        """Markdown: medians, and behind each of the others' how many times it ccdr's is: the median of the rounds' own
        ratios, and between which they lie."""
        found = [(what, self.measures[what], self.samples[what]) for what in self.measures if what in self.samples]
        sides = list(dict.fromkeys(side for _, _, of in found for side in of))
        lines = [f"| | {' | '.join(sides)} | targets |", "|---" * (len(sides) + 2) + "|"]
        for what, measure, of in found:
            cells = [self._cell(what, side, measure.unit) if side in of else "" for side in sides]
            lines.append(f"| {measure.text} | {' | '.join(cells)} | {'; '.join(map(str, self.held(what)))} |")
        return "\n".join(lines)

    def _cell(self, what: str, side: str, unit: str) -> str:
        middle = f"{statistics.median(self.samples[what][side]):.1f} {unit}"
        if side == OURS:
            return middle
        ratios = self.ratios(what, side)
        between = f"; {min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else ""
        return f"{middle} ({self.ratio(what, side):.2f}{between})"


def numbers(most: int, minutes: float | None, *, after: float = 0) -> Iterator[int]:
    """The numbers of rounds, from 1: `most` of them, or fewer where one more, as long as the longest, would not end
    within so many minutes of the bench; what comes when they are over takes about `after` of a round."""
    longest = 0.0
    for number in range(1, most + 1):
        if minutes and number > 1 and time.monotonic() - BEGAN + longest * (1 + after) > minutes * 60:
            say(f"{minutes:g} minutes do not suffice for one more round")
            return
        began = time.monotonic()
        say(f"round {number} of {most}")
        yield number
        longest = max(longest, time.monotonic() - began)


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S}  {text}", flush=True)


def options(doc: str, name: str, *, room: str, rounds: int = 3, least: int = 1) -> argparse.ArgumentParser:
    """What each of these benches can be told. `room`: how much it needs below --work."""
    parser = argparse.ArgumentParser(prog=f"bench/{name}.py", description=doc.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, one round: does the bench work?")
    how_often = f"{least} to 9 ({rounds})"
    parser.add_argument("--rounds", type=int, default=rounds, choices=range(least, 10), metavar="N", help=how_often)
    parser.add_argument("--minutes", type=float, help="begin no round that would not end within so many")
    out = HERE / f"results/{name}.json"
    parser.add_argument("--json", "--out", dest="out", type=Path, default=out, help=f"every sample ({out.name})")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), help=f"where data goes; it takes {room}")
    return parser


def rounds_of(args: argparse.Namespace, measures: Mapping[str, Measure]) -> Rounds:
    return Rounds(measures, args.out.with_name(f"{args.out.name}.part"))


def carry_out(args: argparse.Namespace, bench: Callable[[argparse.Namespace, Path], int]) -> int:
    """The bench's exit code. Whatever ends it, what it made is removed."""
    if os.geteuid() != 0:
        print("root is needed: files of other users are read, and images are made", file=sys.stderr)
        return 2
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell may start it deaf to that
        signal.signal(sign, signal.default_int_handler)
    try:
        with _workspace(args.work) as work:
            return bench(args, work)
    except KeyboardInterrupt:
        print("interrupted: all that the bench had made is removed", file=sys.stderr)
        return 130


@contextmanager
def _workspace(at: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-", dir=at) as directory:
        work = Path(directory)
        work.chmod(0o755)
        try:
            yield work
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_IGN)  # what is left takes a second
            left = said("docker", "ps", "-aq", "--filter", f"name=^{NAME}").split()
            if left:
                subprocess.run(["docker", "rm", "-f", "-v", *left], check=False, capture_output=True)


def build(recipe: str) -> None:
    """The image of a recipe beside this file, where it is not there yet."""
    subprocess.run([HERE.parent / "deploy/images/build", "--here", HERE / recipe], check=True)


def finish(
    args: argparse.Namespace, rounds: Rounds, about: Mapping[str, object], data: Mapping[str, object], title: str
) -> int:
    """Record all samples, print the table; 1 where a target is missed, but for --quick: there what a call costs at
    least is most of it."""
    took = time.monotonic() - BEGAN
    held = [held for what in rounds.measures for held in rounds.held(what)]
    result = {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": command(),
        "took_s": round(took),
        "machine": {**about, "load_after": [round(n, 2) for n in os.getloadavg()]},
        "data": data,
        "samples": rounds.samples,
        "targets": [{**vars(h), "met": h.met} for h in held],
    }
    write_json(args.out, result)
    rounds.part.unlink(missing_ok=True)
    print(f"\n`{command()}`: {title}, {machine_line(about)}, {took / 60:.0f} minutes:")
    print(f"\n{rounds.table()}\n\n{args.out}: every sample")
    for missed in rounds.missed:
        print(f"missed: {rounds.measures[missed.what].text}, {missed}".replace("*", ""))
    return 1 if rounds.missed and not args.quick else 0


def command() -> str:
    """As a person types it."""
    return shlex.join([".venv/bin/python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def write_json(path: Path, what: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(what, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
    new.replace(path)


def machine_line(about: Mapping[str, object]) -> str:
    tools = (str(about[name]) for name in about if name.endswith("_version"))
    return f"{about['processors']} × {about['processor']}, load {about['load_before']}, " + ", ".join(
        [" ".join(str(about["restic"]).split()[:2]), *tools]
    )
