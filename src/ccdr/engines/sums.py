"""Restored files compared in the sandbox with what was captured, by their SHA-256, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ccdr.host.interrupts import each_to_its_end
from ccdr.host.shares import WORKERS, dealt
from ccdr.model.values import FileDigest
from ccdr.ports.place import Place


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
