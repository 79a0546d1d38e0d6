"""Recordings that are moved and deleted while they are backed up, beside the same tree at rest.

.venv/bin/python bench/moving.py [--quick] [--files 100000] [--rate 10] [--rounds 1]

A backup of all, one with nothing new, a restore test. See docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from machine import facts
from recordings import ASSET, CHECKS, IMAGE, Tree
from rounds import OURS, Measure, Rounds, carry_out, finish, numbers, options, rounds_of, say
from sides import Ours, discard

REST = "at rest"
MEASURES = {
    "backup": Measure("first backup"),
    "again": Measure("the next backup"),
    "test": Measure("restore test"),
    "memory_backup": Measure("its own memory, at most: the next backup", "MB"),
    "memory_test": Measure("its own memory, at most: restore test", "MB"),
}


@dataclass
class Dialler:
    """Moves and deletes recordings of a tree in turn, `rate` a second."""

    tree: Tree
    rate: float
    done: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._work, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _work(self, stop: threading.Event) -> None:
        began, before = time.monotonic(), self.done
        archive = self.tree.root / "archive"
        archive.mkdir(exist_ok=True)
        for path in sorted(self.tree.root.glob("0*/*.wav"))[:: max(1, self.tree.count // 10_000)]:
            if stop.wait(max(0.0, began + (self.done - before) / self.rate - time.monotonic())):
                return
            if self.done % 2:
                path.unlink()
            else:
                path.rename(archive / path.name)
            self.done += 1


def once(ours: Ours, rounds: Rounds, side: str) -> None:
    for what, verb in (("backup", "backup"), ("again", "backup"), ("test", "test")):
        done, document = ours.run(verb)
        rounds.keep(what, side, done.seconds)
        if what != "backup":
            rounds.keep(f"memory_{verb}", side, done.peak_bytes / 1e6)
        told = document.get("notes") or [check["actual"] for check in document.get("checks", [])]
        say(f"{document.get('result') or document.get('verdict')}: {'; '.join(told)}")


def measure(args: argparse.Namespace, work: Path) -> int:
    files = 4000 if args.quick else args.files
    found, made = rounds_of(args, MEASURES), 0
    for number in numbers(1 if args.quick else args.rounds, args.minutes):
        say(f"writing {files} files")
        tree = Tree(work / f"recordings{number}")
        tree.add(files)
        dialler = Dialler(tree, args.rate)
        resting = Ours(work / f"rest{number}", ASSET.format(tree=tree.root), CHECKS)
        once(resting, found, REST)
        discard(resting.root)
        moving = Ours(work / f"moving{number}", ASSET.format(tree=tree.root), CHECKS)
        with dialler.at_work():
            once(moving, found, OURS)
        made += dialler.done
        for gone in (moving.root, tree.root):
            discard(gone)
    title = f"{files} files, {made} moved or deleted, {args.rate:g} a second, {found.made} rounds"
    return finish(args, found, facts(IMAGE), {"files": files, "moved": made}, title)


def main() -> int:
    parser = options(str(__doc__), "moving", room="about 4 GB", rounds=1)
    parser.add_argument("--files", type=int, default=100_000, help="how many (100000), of 10 kB on average")
    parser.add_argument("--rate", type=float, default=10.0, help="moves and deletions in a second (10)")
    return carry_out(parser.parse_args(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
