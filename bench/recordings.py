"""Recordings: many small files, by ccdr, by restic as it comes, and by borg.

.venv/bin/python bench/recordings.py [--quick] [--files 200000] [--rounds 3] [--tune]

First, with 1 % more files, with nothing changed, and back into an empty directory. See docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from machine import facts, timed, version
from rounds import BY_HAND, NAME, OURS, Measure, Rounds, build, carry_out, finish, numbers, options, rounds_of, say
from sides import SECRET, Ours, Restic, discard
from source import tree_bytes
from tools import TOOLS, Ccdr, Side, Tool, container
from tune import tuned

IMAGE = "ccdr-sandbox/files:1"
A_DAY = 500  # recordings in one directory
POOL = 2**22  # bytes that they are cut from; no file is ever parted, so none shares a piece with another
SIZES = (4_000, 16_000)  # bytes: half a second to two of telephone sound
HAND = {"by hand": BY_HAND}
MEASURES = {
    "backup": Measure("first backup", limits=HAND),
    "backup_more": Measure("backup after 1 % more files", limits=HAND),
    "backup_same": Measure("backup with nothing changed", limits=HAND),
    "restore": Measure("restore into an empty directory", limits=HAND),
    "stored": Measure("first backup, stored", "MB"),
    "stored_more": Measure("1 % more files, stored", "MB"),
    "stored_same": Measure("nothing changed, stored", "MB"),
}
ASSET = """\
engine: files
paths: [{tree}]
"""
CHECKS = "restore_test: bench\nchecks:\n  - {kind: identical}\n"


@dataclass
class Tree:
    """Recordings below `root`, a directory for each day. They compress as telephone sound does, hardly, and no two are
    alike."""

    root: Path
    seed: int = 42
    count: int = 0

    def __post_init__(self) -> None:
        self.root.mkdir()
        self._random = random.Random(self.seed)
        # A-law sound of speech: small amplitudes are many, large ones few.
        self._pool = bytes(min(255, int(abs(self._random.gauss(0, 40)))) ^ 0x55 for _ in range(POOL))

    def add(self, files: int) -> None:
        """More of them, written two hours ago: they have settled."""
        then = time.time() - 7200
        for number in range(self.count, self.count + files):
            day = self.root / f"{number // A_DAY:05}"
            if number % A_DAY == 0 or not day.exists():
                day.mkdir(exist_ok=True)
            size = self._random.randint(*SIZES)
            at = self._random.randrange(POOL - size)
            path = day / f"call-{number:08}.wav"
            path.write_bytes(_wav_header(size) + self._pool[at : at + size] + number.to_bytes(8, "little"))
            os.utime(path, (then, then))
        self.count += files


def _wav_header(size: int) -> bytes:
    """RIFF, A-law, 8000 Hz, one channel; `size` and the eight bytes of the number are its sound."""
    form = struct.pack("<HHIIHH", 6, 1, 8000, 8000, 1, 8)
    whole, sound = struct.pack("<I", 36 + size + 8), struct.pack("<I", size + 8)
    return b"RIFF" + whole + b"WAVEfmt \x10\0\0\0" + form + b"data" + sound


@dataclass
class ByHand(Restic):
    """`restic backup`, `restic restore`."""

    tree: Path
    files: Callable[[], int]

    def backup(self) -> float:
        return timed(["restic", "backup", "--quiet", str(self.tree)], env=self.opening).seconds

    def restore(self) -> float:
        target = self.root / "restored"
        done = timed(["restic", "restore", "--quiet", "latest", "--target", str(target)], env=self.anew)
        emptied(target, self.files())
        return done.seconds


@dataclass
class Borg(Tool):
    """`borg create`, `borg extract`: repokey-blake2 and zstd, as restic encrypts and compresses."""

    tree: Path
    files: Callable[[], int]
    user = "root"

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "BORG_REPO": f"{self.at}/repo", "BORG_PASSPHRASE": SECRET, "BORG_BASE_DIR": str(self.at)}

    def prepare(self) -> None:
        self.inside("borg", "init", "--encryption", "repokey-blake2")

    def backup(self) -> float:
        return self.inside("borg", "create", "--compression", "zstd", "::{now:%Y%m%dT%H%M%S.%f}", str(self.tree))

    def restore(self) -> float:
        target = self.at / "restored"
        target.mkdir()
        seconds = self.inside("sh", "-ec", f'cd {target}; borg extract "::$(borg list --short --last 1)"')
        emptied(target, self.files())
        return seconds


def emptied(target: Path, files: int) -> None:
    """What was restored is whole, and goes."""
    found = sum(len(names) for _, _, names in os.walk(target))
    if found != files:
        raise SystemExit(f"{target} has {found} files instead of {files}")
    discard(target)


@dataclass
class Bench:
    tree: Tree
    toolbox: str
    work: Path
    rounds: Rounds

    def round(self, number: int) -> None:
        """Each tool from nothing to a restore of the third backup."""
        ours = Ours(self.work / f"ours{number}", ASSET.format(tree=self.tree.root), CHECKS)
        of = self.tree.root, lambda: self.tree.count
        sides: dict[str, Side] = {
            OURS: Ccdr(ours),
            "by hand": ByHand(self.work / f"hand{number}", *of),
            "borg": Borg(self.toolbox, self.work / f"peers/borg{number}", *of),
        }
        before: dict[str, int] = {}
        for what in ("", "_more", "_same"):
            if what == "_more":
                self.tree.add(max(1, self.tree.count // 100))
            self.rounds.turn(f"backup{what}", number, {name: side.backup for name, side in sides.items()})
            now = {name: side.stored() for name, side in sides.items()}
            self.rounds.stored(f"stored{what}", now, before)
            before = now
        self.rounds.turn("restore", number, {name: side.restore for name, side in sides.items()})
        for side in sides.values():
            side.close()


def measure(args: argparse.Namespace, work: Path) -> int:
    files, rounds = (4000, 1) if args.quick else (args.files, args.rounds)
    say(f"writing {files} files")
    tree = Tree(work / "recordings")
    tree.add(files)
    size = tree_bytes(tree.root)
    if args.tune:
        print(tuned(tree.root, work, rounds))
        return 0
    build("peers.conf")
    found, about = rounds_of(args, MEASURES), {**facts(IMAGE), "borg_version": version(TOOLS, "borg --version")}
    (work / "peers").mkdir()
    mounts = [tree.root, work / "peers"]
    with container(f"{NAME}-tools", TOOLS, "exec sleep infinity", mounts=mounts) as toolbox:
        bench = Bench(tree, toolbox, work, found)
        for number in numbers(rounds, args.minutes):
            bench.round(number)
    title = f"{files} files of {size / 1e9:.2f} GB, {found.made} rounds"
    return finish(args, found, about, {"bytes": size, "files": files}, title)


def main() -> int:
    parser = options(str(__doc__), "recordings", room="about 10 GB")
    parser.add_argument("--files", type=int, default=200_000, help="how many (200000), of 10 kB on average")
    parser.add_argument("--tune", action="store_true", help="instead: restic's settings, by hand, over the recordings")
    return carry_out(parser.parse_args(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
