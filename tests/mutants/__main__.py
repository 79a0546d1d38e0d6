"""`make mutants`: are there tests that would notice a careless change? Small changes are made to the modules that
verdicts rest on, one at a time and in memory only, and their unit tests are run against each.

What is known by `modules.yaml` is tried; `equal.yaml` says which changes change nothing that anybody could notice,
and why. Exit 1 where fewer than nine in ten of a module's others are noticed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.mutants.mutations import Mutant, mutants
from tests.mutants.trial import KILLED, ROOT, SURVIVED, try_all

HERE = Path(__file__).parent
KEPT = ROOT / ".mutants"  # verdicts of earlier runs; may be removed
EQUAL = "equal"
LEAST = 0.9

Key = tuple[str, str, str, str]  # file, function, old, new


def main() -> int:
    asked = _arguments()
    modules = yaml.safe_load((HERE / "modules.yaml").read_text())
    equal = _equals()
    failed = False
    rows = []
    for name in asked.module or modules:
        if name not in modules:
            sys.exit(f"{name} is none of {', '.join(modules)}")
        counted, survivors = _module(name, modules[name], equal, asked)
        rows.append((name, counted))
        for file, mutant in survivors:
            print(f"\n{file}:{mutant.lines.start} {mutant.function}\n- {mutant.old}\n+ {mutant.new}")
        sys.stdout.flush()
    print(
        f"\n{'module':<12}{'mutants':>8}{'tried':>7}{'killed':>8}{'survived':>9}{'equal':>7}"
        "   killed of what is not equal"
    )
    for name, counted in rows:
        tried = counted[KILLED] + counted[SURVIVED]
        share = counted[KILLED] / tried if tried else 1.0
        failed |= share < LEAST
        print(
            f"{name:<12}{counted['all']:>8}{tried + counted[EQUAL]:>7}{counted[KILLED]:>8}{counted[SURVIVED]:>9}"
            f"{counted[EQUAL]:>7}   {share:.1%}{'' if share >= LEAST else f', less than {LEAST:.0%}'}"
        )
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("module", nargs="*", help="names in modules.yaml; all by default")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many of each module, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anew", action="store_true", help="go by no verdict of an earlier run")
    parser.add_argument(
        "--survivors", action="store_true",
        help="only what survived before: believe that what was killed once is killed still",
    )  # fmt: skip
    parser.add_argument("--doubt", action="store_true", help="try also what is listed as equal, and name what is not")
    return parser.parse_args()


def _module(
    name: str, module: dict[str, Any], equal: dict[Key, str], asked: argparse.Namespace
) -> tuple[Counter[str], list[tuple[str, Mutant]]]:
    counted: Counter[str] = Counter()
    survivors: list[tuple[str, Mutant]] = []
    every: list[tuple[str, Mutant]] = []
    for file in module["files"]:
        every += [(file, m) for m in mutants((ROOT / "src/ccdr" / file).read_text())]
    counted["all"] = len(every)
    for key in equal.keys() - {(file, *m.key) for file, m in every}:
        if key[0] in module["files"]:
            print(f"equal.yaml: there is no such change any more in {key[0]}, {key[1]}: {key[2]} → {key[3]}")
    chosen = every
    if asked.sample is not None and asked.sample < len(every):
        chosen = random.Random(asked.seed).sample(every, asked.sample)
    if not asked.doubt:
        counted[EQUAL] = sum((file, *m.key) in equal for file, m in chosen)
        chosen = [(file, m) for file, m in chosen if (file, *m.key) not in equal]
    tests = [file for test in module["tests"] for file in _files(test)]
    book = _Book(name, [ROOT / test for test in tests], asked)
    for file in module["files"]:
        path = ROOT / "src/ccdr" / file
        left = []
        for _, mutant in [c for c in chosen if c[0] == file]:
            known = book.known(path, mutant)
            if known is None:
                left.append(mutant)
            else:
                _count(counted, survivors, equal, file, mutant, known)
        print(f"{name}: {file}: {len(left)} to try", file=sys.stderr, flush=True)

        def told(mutant: Mutant, verdict: str, file: str = file, path: Path = path) -> None:
            book.write(path, mutant, verdict)
            _count(counted, survivors, equal, file, mutant, verdict)

        if left:
            try_all(path, left, [str(ROOT / test) for test in tests], told)
    return counted, survivors


def _count(
    counted: Counter[str],
    survivors: list[tuple[str, Mutant]],
    equal: dict[Key, str],
    file: str,
    mutant: Mutant,
    verdict: str,
) -> None:
    if (file, *mutant.key) in equal:
        counted[EQUAL] += 1
        if verdict == KILLED:
            print(f"equal.yaml: a test notices {file}, {mutant.function}: {mutant.old} → {mutant.new}")
        return
    counted[verdict] += 1
    if verdict == SURVIVED:
        survivors.append((file, mutant))


def _equals() -> dict[Key, str]:
    """By file, function, old and new text: why it changes nothing."""
    listed = yaml.safe_load((HERE / "equal.yaml").read_text()) or {}
    return {
        (file, entry.get("in", ""), entry["old"], new): entry["why"]
        for file, entries in listed.items()
        for entry in entries
        for new in ([entry["new"]] if isinstance(entry["new"], str) else entry["new"])
    }


def _files(test: str) -> list[str]:
    """The file of that name under tests/, or all tests of the folder of that name."""
    folder = ROOT / "tests" / test
    within = sorted(path.name for path in folder.glob("test_*.py"))
    return [f"tests/{test}/{name}" for name in within] or [f"tests/{test}.py"]


class _Book:
    """The verdicts so far, a line each, so that a run that was stopped goes on."""

    def __init__(self, name: str, tests: Iterable[Path], asked: argparse.Namespace) -> None:
        KEPT.mkdir(exist_ok=True)
        self.file, self.tests, self.by_survivors = KEPT / f"{name}.jsonl", _digest(tests), asked.survivors
        lines = self.file.read_text().splitlines() if self.file.exists() and not asked.anew else []
        self.lines: dict[Sequence[str], dict[str, str]] = {}
        for line in lines:
            said = json.loads(line)
            self.lines[tuple(said["mutant"])] = said
        self.out = self.file.open("w" if asked.anew else "a")

    def known(self, path: Path, mutant: Mutant) -> str | None:
        said = self.lines.get(self._key(path, mutant))
        if said is None:
            return None
        same = said["tests"] == self.tests and said["source"] == _digest([path])
        believed = self.by_survivors and said["verdict"] == KILLED
        return said["verdict"] if same or believed else None

    def write(self, path: Path, mutant: Mutant, verdict: str) -> None:
        said = {"mutant": self._key(path, mutant), "verdict": verdict, "tests": self.tests, "source": _digest([path])}
        print(json.dumps(said), file=self.out, flush=True)

    @staticmethod
    def _key(path: Path, mutant: Mutant) -> tuple[str, ...]:
        return (path.name, *mutant.key, str(mutant.nth))


def _digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


sys.exit(main())
