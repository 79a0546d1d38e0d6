"""How what an engine has compared becomes the result of a check; and restored files compared in the sandbox by their
SHA-256, several at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ccdr.host.interrupts import each_to_its_end
from ccdr.host.shares import WORKERS, dealt
from ccdr.model.values import CheckResult, FileDigest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

# How what an engine has compared becomes the result of a check: PASS where nothing is wrong, FAIL that names some.

NAMED = 6  # how many differences a result names


def judged(
    name: str,
    wrong: Sequence[str],
    expected: str,
    actual: str,
    *,
    kind: Literal["identical", "integrity"] = "identical",
    lead: str = "",
    joint: str = "; ",
    detail: str | None = None,
) -> CheckResult:
    """FAIL where anything is wrong, and then `actual` names it, after `lead`."""
    return CheckResult(
        kind=kind,
        name=name,
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=expected,
        actual=lead + named(wrong, joint) if wrong else actual,
        detail=detail or None,
    )


def equal(name: str, before: Mapping[str, object], after: Mapping[str, object], count: int) -> CheckResult:
    """Each key of either has the same value in both; `count` is what there is of them, for people."""
    wrong = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return judged(name, wrong, f"{count} as captured", f"{count}, equal", lead="differs: ")


def named(items: Sequence[str], joint: str = "; ") -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return joint.join(items[:NAMED]) + more


def as_captured(context: CheckContext, name: str, small: Sequence[str]) -> CheckResult:
    """Are these files the captured ones? They say what belongs where; what is large is compared after its way through a
    server, so that it is not hashed twice."""
    present = [file for file in small if (context.restored / file).is_file()]
    there = {file: digest.sha256 for file, digest in context.digest(context.restored, present).items()}
    return equal(name, {file: context.manifest.files[file].sha256 for file in small}, there, len(small))


def alike_sorted(context: CheckContext, script: str, one: Path, other: Path, *more: str) -> bool:
    """Are two files of rows equal as multisets? `script` prints one number for $1, its rows sorted by the system's
    `sort`, which spills to $2; `more` comes behind."""
    hashes = [
        context.host.run(["bash", "-c", script, "sort", str(path), str(context.out), *more], what="sort").stdout
        for path in (one, other)
    ]
    return hashes[0] == hashes[1]


def compare(box: Place, root: str, wanted: Mapping[str, FileDigest], *beside: Callable[[], object]) -> None:
    """Every file that `wanted` names, below `root` of the box; CommandFailed, with sha256sum's words, where one is
    missing or another, or where none is named. `beside` is what else is to be looked at meanwhile; what it raises comes
    out where no file does: that one is not as captured is so, whatever else went wrong."""
    shares = dealt({name: digest.bytes for name, digest in wanted.items()}, WORKERS)
    sums = ["".join(sum_line(name, wanted[name].sha256) for name in share) for share in shares or [[]]]
    work: list[Callable[[], object]] = [partial(_compare, box, root, share) for share in sums]
    each_to_its_end([*work, *beside], WORKERS + 1)


def _compare(box: Place, root: str, sums: str) -> None:
    argv = ["sh", "-c", 'cd "$1" && exec sha256sum --check --quiet --strict -', "sums", root]
    box.run(argv, stdin=sums, what="comparing files by their SHA-256")


def sum_line(name: str, sha256: str) -> str:
    """A line for `sha256sum --check`, which has names of more than one line escaped, and takes `-` for its standard
    input."""
    plain = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if plain == name else chr(92)}{sha256}  {'./-' if name == '-' else plain}\n"
