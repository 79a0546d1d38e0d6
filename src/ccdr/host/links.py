"""Symbolic links that lead out of a tree: whoever follows them touches what is not of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def leading_out(tree: Path, final: Path) -> Iterator[str]:
    """Links in the tree, by their paths below it, that lead out of it once it is called `final`. OSError where a
    directory cannot be read."""
    inside = (tree.resolve(), final)
    above = [tree]
    while above:
        with os.scandir(above.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    above.append(path)
                elif entry.is_symlink() and not any(_end(path).is_relative_to(one) for one in inside):
                    yield str(path.relative_to(tree))


def _end(link: Path) -> Path:
    """Where it leads. An absolute one is not followed: its end may not be there yet."""
    to = link.readlink()
    return Path(os.path.normpath(to)) if to.is_absolute() else (link.parent / to).resolve()
