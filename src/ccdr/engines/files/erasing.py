"""Erase people's files from a restored tree: a file has no transaction, and what counts is that all are gone before
anything leaves quarantine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccdr.engines.files.parts import expression
from ccdr.model.erasure import Erased, Replayed, Wanted


def erase(tree: Path, roots: Sequence[str], wanted: Sequence[Wanted]) -> Replayed:
    """As `Restored.erase`, below `tree`, where each path stands as it was. A directory that is named goes with all that
    is in it."""
    patterns = [expression(one.selector.files, roots) for one in wanted]
    every = expression([path for one in wanted for path in one.selector.files], roots)
    found = [Erased.of(one) for one in wanted]
    for path, named, is_directory in list(_below(tree)):
        if not every.fullmatch(named):
            continue
        of = [one for one, pattern in zip(found, patterns, strict=True) if pattern.fullmatch(named)]
        goes = not all(one.stays for one in of)
        if is_directory:
            if goes and not any(path.iterdir()):
                path.rmdir()
            continue
        for one in of:
            one.before += 1
        if goes:
            path.unlink()
    for _, named, is_directory in _below(tree):
        if not is_directory and every.fullmatch(named):
            for one, pattern in zip(found, patterns, strict=True):
                one.after += pattern.fullmatch(named) is not None
    return Replayed(found, atomic=False)


def _below(tree: Path) -> Iterator[tuple[Path, str, bool]]:
    """Each entry, what is in a directory before itself: where it stands, its path at the source, whether it is one."""
    for directory, directories, files in os.walk(tree, topdown=False, onerror=_raise):
        for name in (*files, *directories):
            path = Path(directory, name)
            yield path, f"/{path.relative_to(tree)}", name in directories and not path.is_symlink()


def _raise(error: OSError) -> None:
    """What cannot be looked at may hold somebody."""
    raise error
