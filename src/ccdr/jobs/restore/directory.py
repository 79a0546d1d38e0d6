"""A directory as a target: never one that is, holds or lies in a source or a repository; written beside its final name,
moved there last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.host import interrupts
from ccdr.host.files import remove_tree
from ccdr.host.links import leading_out
from ccdr.host.state import RESTORE_MARK as MARK
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import human_bytes, so_many
from ccdr.ports.place import Place

# Where a restore must not go: a directory that is, holds or lies in a source or a repository, however it is named.

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Guarded:
    """A path that a restore must stay away from, and what it is."""

    path: Path
    what: str


@dataclass(frozen=True)
class MountPoint:
    point: str
    device: str  # major:minor
    root: str  # what of the file system is mounted there


def mounts(table: Path = MOUNTS) -> list[MountPoint]:
    """The kernel's table; empty where it cannot be read."""
    mounted = []
    with contextlib.suppress(OSError):
        for line in table.read_text("utf-8", "surrogateescape").splitlines():
            fields = line.split(" ")
            mounted.append(MountPoint(_plain(fields[4]), fields[2], _plain(fields[3])))
    return mounted


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def refuse_sources(target: Path, guarded: Sequence[Guarded]) -> None:
    """UsageProblem where the target is, holds or lies in a guarded path: by name, through links, by device and
    inode, or through a bind mount of any part of it."""
    table = mounts()
    for one in guarded:
        if how := _overlap(target, one.path, table):
            raise UsageProblem(
                f"{target} {how} {one.path}, {one.what}",
                hint="name a directory elsewhere; look at what was restored, then move it yourself",
            )


def _overlap(target: Path, path: Path, table: Sequence[MountPoint]) -> str | None:
    for mine in _positions(target, table):
        for theirs in _positions(path, table):
            if mine == theirs:
                return "is"
            if mine[: len(theirs)] == theirs:
                return "lies in"
            if theirs[: len(mine)] == mine:
                return "holds"
    if inode_of(path) in {inode_of(p) for p in (target, *target.parents)} - {None}:
        return "lies in"
    if inode_of(target) in {inode_of(p) for p in (path, *path.parents)} - {None}:
        return "holds"
    return None


def _positions(path: Path, table: Sequence[MountPoint]) -> set[tuple[str, ...]]:
    """All the places that a path is: as written, as resolved, and on its file system, whatever that is mounted as."""
    real = Path(os.path.realpath(path))
    positions = {("", *Path(os.path.normpath(path.absolute())).parts), ("", *real.parts)}
    on = [m for m in table if real == Path(m.point) or Path(m.point) in real.parents]
    if on:
        mount = max(enumerate(on), key=lambda pair: (len(Path(pair[1].point).parts), pair[0]))[1]
        inside = Path(mount.root) / real.relative_to(mount.point)
        positions.add((mount.device, *inside.parts))
    return positions


def inode_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


MARGIN = 2**24  # bytes that a file system needs beside the data
BLOCK = 4096  # bytes that a file takes at least


@dataclass
class Staging:
    """Where a restore into a directory is made ready, on the target's own file system: beside it, or in it where it
    is a mount point. `tree` becomes the target; `capture` and `out` go once the checks have run. `named`: it has its
    final name, whatever happens after that. `own`: it has an owner and a mode of its own, whatever an empty directory
    that was there has."""

    target: Path
    root: Path
    inside: bool
    named: bool = False
    own: bool = False

    @classmethod
    def of(cls, target: Path, run: str) -> Staging:
        inside = target.is_dir() and target.is_mount()
        return cls(target, root_for(target, run, inside=inside), inside)

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def capture(self) -> Path:
        return self.root / "capture"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def begin(self) -> None:
        try:
            self.root.mkdir(mode=0o700)
            for path in (self.tree, self.out):
                path.mkdir(mode=0o700)
        except OSError as error:
            raise CcdrError(f"{self.root} cannot be made: {error.strerror}", hint="check who may write there") from None

    def adopt(self, root: Path) -> bool:
        """In place of `begin`: go on in what an earlier restore, which is at work no more, has left at `root`. Is it
        there?"""
        if not (root / self.tree.name).is_dir():
            return False
        root.rename(self.root)
        remove_tree(self.out)
        self.out.mkdir(mode=0o700)
        return True

    def back_in(self, captured: Path) -> None:
        """The captured directory where it was fetched to, whatever `move_capture` had done."""
        if self.capture.is_dir() and not captured.exists():
            captured.parent.mkdir(parents=True, exist_ok=True)
            self.capture.rename(captured)

    def inodes(self) -> list[list[int]]:
        """By which what is in the tree is known again under its final name: the tree's own, or (at a mount point) those
        of all that is to be moved."""
        paths = sorted(self.tree.iterdir()) if self.inside else [self.tree]
        return [[status.st_dev, status.st_ino] for status in (path.lstat() for path in paths)]

    def move_capture(self, captured: Path, roots: Sequence[str]) -> None:
        """Take the captured directory out of the tree: the listing is ccdr's. Directories that only led there go."""
        captured.rename(self.capture)
        above = captured.parent
        while above != self.tree and not any(f"{above}/".startswith(f"{self.tree}{root}/") for root in roots):
            try:
                above.rmdir()
            except OSError:  # holds something else
                return
            above = above.parent

    def finish(self, host: Place, *, keeps_links: bool = False) -> None:
        """The final name, in one step (at a mount point: one step for each entry). On disk before it is said to be.
        CcdrError where a server that is started on it would follow a link to what was not made here; a tree of files
        keeps those that it had."""
        if not keeps_links:
            self._refuse_links()
        host.run(["sync", "-f", str(self.root)], what="writing to disk")
        try:
            with interrupts.deferred():
                if self.inside:
                    self._move_in()
                else:
                    if not self.own:
                        self._as_it_was()
                    self.tree.rename(self.target)  # fails where something has come into it meanwhile
                self.named = True
        except OSError as error:
            raise CcdrError(f"{self.target} cannot be given its name: {error.strerror}") from None
        self.settle(host)

    def _refuse_links(self) -> None:
        try:
            out = sorted(leading_out(self.tree, self.target))
        except OSError as error:
            raise CcdrError(f"{self.tree} cannot be looked through for links: {error.strerror}") from None
        if out:
            raise CcdrError(
                f"{out[0]} in what was restored leads out of it, to {(self.tree / out[0]).readlink()}: a server would "
                f"use that ({so_many(len(out), 'such link')})",
                hint="restore another snapshot; or fetch this one with restic, and look at that link first",
            )

    def settle(self, host: Place) -> None:
        """Its name is on disk, too."""
        host.run(["sync", "-f", str(self.target)], what="writing to disk")

    def cleared(self, host: Place, findings: list[str]) -> list[str]:
        """It has its name: see that this is on disk, or tell it as a finding, and remove what is left beside it."""
        try:
            self.settle(host)
        except CcdrError as error:
            findings.append(f"{self.target} may not be on disk yet: {error}; run `sync -f {self.target}`")
        return self.remove()

    def _move_in(self) -> None:
        """All entries or none, and nothing that has come there meanwhile is replaced."""
        moved: list[Path] = []
        try:
            for entry in sorted(self.tree.iterdir()):
                final = self.target / entry.name
                if final.exists() or final.is_symlink():
                    raise FileExistsError(errno.EEXIST, "something appeared there meanwhile")
                entry.rename(final)
                moved.append(final)
            if self.own:
                status = self.tree.stat()
                os.chown(self.target, status.st_uid, status.st_gid)
                self.target.chmod(stat.S_IMODE(status.st_mode))
        except OSError:
            for final in reversed(moved):
                final.rename(self.tree / final.name)
            raise

    def _as_it_was(self) -> None:
        """An empty directory that was there keeps its owner and mode."""
        with contextlib.suppress(FileNotFoundError):
            was = self.target.stat()
            self.tree.chmod(stat.S_IMODE(was.st_mode))
            with contextlib.suppress(PermissionError):
                os.chown(self.tree, was.st_uid, was.st_gid)

    def remove(self) -> list[str]:
        """All of it that is left; what could not be removed, as sentences."""
        return remove_tree(self.root)


def named_before(target: Path, inodes: Sequence[Sequence[int]]) -> bool | None:
    """Has an earlier restore, whose `Staging.inodes` these were, given it its name? None: at a mount point a part of
    it."""
    known = {(int(device), int(inode)) for device, inode in inodes}
    if not known or not target.is_dir():
        return False
    if inode_of(target) in known:
        return True
    if not target.is_mount():
        return False
    there = {(status.st_dev, status.st_ino) for status in (path.lstat() for path in target.iterdir())}
    return True if known <= there else None if known & there else False


def take_back(target: Path, root: Path, inodes: Sequence[Sequence[int]]) -> None:
    """At a mount point: what an earlier restore had moved to its final name before it was killed goes back into its
    working copy below `root`."""
    known = {(int(device), int(inode)) for device, inode in inodes}
    for path in sorted(target.iterdir()):
        status = path.lstat()
        if (status.st_dev, status.st_ino) in known:
            path.rename(root / "tree" / path.name)


def root_for(target: Path, run: str, *, inside: bool) -> Path:
    """Where the restore of that run makes it ready."""
    return target / f".{MARK}-{run}" if inside else target.parent / f".{target.name}.{MARK}-{run}"


def staging_for(
    target: Path,
    guarded: Sequence[Guarded],
    *,
    size: int,
    entries: int,
    run: str,
    before: Path | None = None,
    makes: Path | None = None,
) -> tuple[Staging, list[str]]:
    """Whether the target will do, and where it is made ready; notes. Changes nothing. `before` is the working copy of
    an earlier restore that this one goes on with; `makes` a directory that is made once the work begins. UsageProblem
    where it will not: a link, not empty, a source, no parent, no right to write, no room for `size` bytes in `entries`
    files."""
    if target.is_symlink():
        raise UsageProblem(f"{target} is a link", hint=f"name the link's target: {os.path.realpath(target)}")
    if target == Path("/"):
        raise UsageProblem("/ cannot be a target", hint="name a directory that does not exist yet")
    refuse_sources(target, guarded)
    inside = target.is_dir() and target.is_mount()
    if target.exists():
        _refuse_unless_empty(target, mount=inside, but=before.name if before is not None else None)
    above = base = target if inside else target.parent
    if makes is not None and base == makes and not os.path.lexists(base):
        base = existing(base)
        if not base.is_dir():
            raise UsageProblem(f"{above} cannot be made: {base} is not a directory", hint="name another with --under")
    if not base.is_dir():
        raise UsageProblem(f"{base} is not there", hint=f"mkdir -p {base}")
    if not os.access(base, os.W_OK | os.X_OK):
        raise UsageProblem(f"{base} may not be written by this user", hint="name another place, or run as its owner")
    there = 0 if before is None else tree_bytes(before)
    _refuse_without_room(base, max(0, size - there), entries)
    staging = Staging.of(target, run)
    left = [] if inside else sorted(set(above.glob(f".{target.name}.{MARK}-*")) - {staging.root, before})
    notes = [f"{path} is what an earlier restore left or is still writing: remove it once it is done" for path in left]
    return staging, notes


def existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    return next(p for p in (path, *path.parents) if os.path.lexists(p))


def make_above(directory: Path) -> None:
    """Whatever is missing down to the directory, as one that others may go through: whoever runs what is brought there
    must reach it. CcdrError where it cannot be made."""
    missing = [path for path in (directory, *directory.parents) if not path.is_dir()]
    try:
        for path in reversed(missing):
            path.mkdir()
            path.chmod(0o755)
    except OSError as error:
        raise CcdrError(
            f"{directory} cannot be made: {error.strerror}", hint="make it, and check who may write there"
        ) from None


def tree_bytes(root: Path) -> int:
    """What the files below it take on the disk."""
    total = 0
    for above, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(above, name).lstat().st_blocks * 512
    return total


def _refuse_unless_empty(target: Path, *, mount: bool, but: str | None = None) -> None:
    if not target.is_dir():
        raise UsageProblem(f"{target} is not a directory", hint="name a directory that does not exist yet")
    try:
        held = [p.name for p in target.iterdir() if p.name != but]
    except OSError as error:
        raise UsageProblem(f"{target} cannot be read: {error.strerror}", hint="name another directory") from None
    if mount and held == ["lost+found"]:
        held = []
    if held:
        raise UsageProblem(  # their names may be of recordings, and a refusal is recorded
            f"{target} is not empty: it holds {so_many(len(held), 'entry', 'entries')}",
            hint="name a directory that does not exist yet; ccdr never writes over anything",
        )


def _refuse_without_room(base: Path, size: int, entries: int) -> None:
    free, needed = shutil.disk_usage(base).free, int(size * 1.02) + entries * BLOCK + MARGIN
    if free < needed:
        raise UsageProblem(
            f"{base} has {human_bytes(free)} free, the restore needs {human_bytes(needed)}",
            hint="free space there, or name a directory on another disk",
        )
    file_system = os.statvfs(base)
    if file_system.f_files and file_system.f_favail < entries:
        raise UsageProblem(f"{base} has room for {file_system.f_favail} more files, the restore has {entries}")


@contextlib.contextmanager
def opened(tree: Path) -> Iterator[None]:
    """For as long as a sandbox looks at it, all may read the tree (the directory above keeps others out); then every
    mode is as it was."""
    changed: list[tuple[Path, int]] = []

    def let_all_read(path: Path) -> None:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        wanted = mode | (0o555 if stat.S_ISDIR(status.st_mode) else 0o444)
        if mode != wanted and (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
            path.chmod(wanted)
            changed.append((path, mode))

    try:
        let_all_read(tree)
        for above, directories, files in os.walk(tree):  # each directory is opened before it is gone into
            for name in [*directories, *files]:
                let_all_read(Path(above, name))
        yield
    finally:
        for path, mode in reversed(changed):
            path.chmod(mode)
