"""The versions of plans that a repository holds, listed and read. Whoever holds its password may have planted one:
nothing is taken but small files of names that a plan and its restore tests may have, and only where they are what their
digest says.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import PurePosixPath

from ccdr.model.errors import BackupBad, CcdrError, OutputTooLong
from ccdr.plans.shape import is_name
from ccdr.plans.versions import digest_of
from ccdr.plans.yamlfile import MAX_BYTES, parse
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic

PLAN = "plan"  # the kind of a snapshot that holds a version's files
MOST_FILES = 200
MOST_BYTES = 16 << 20  # of all files of a version together, with what tar puts around them
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Planted(CcdrError):
    """A stored version of a plan is not as ccdr writes one: nothing of it is taken."""


@dataclass(frozen=True)
class StoredVersion:
    """One snapshot of a plan's version, by its tags. `writer` and `host` are who stored it, as that said of itself."""

    snapshot: str
    plan: str
    digest: str
    at: datetime
    root: str
    plan_format: int
    writer: str | None = None
    host: str | None = None
    ccdr: str | None = None

    @property
    def short(self) -> str:
        return self.snapshot[:8]


def listed(snapshots: Iterable[RepoSnapshot], now: datetime) -> tuple[list[StoredVersion], list[str]]:
    """What of the repository's snapshots are versions of plans, oldest first; and a sentence on each that claims to be
    one, and is passed over."""
    versions, refused = [], []
    for s in snapshots:
        if s.tag("kind") != PLAN:
            continue
        try:
            versions.append(_version(s, now))
        except Planted as error:
            refused.append(str(error))
    return sorted(versions, key=lambda v: (v.at, v.snapshot)), refused


def _version(s: RepoSnapshot, now: datetime) -> StoredVersion:
    plan, digest, written = s.tag("plan") or "", s.tag("version") or "", s.tag("plan_format") or ""
    if not is_name(plan):
        raise Planted(f"snapshot {s.id[:8]} is passed over: its plan has no name that a plan may have")
    if not _DIGEST.fullmatch(digest) or not re.fullmatch(r"[0-9]{1,6}", written, re.ASCII) or not _one_root(s.paths):
        raise Planted(f"snapshot {s.id[:8]} of the plan {plan} is passed over: its tags are not as ccdr writes them")
    if in_the_future(s, now):
        raise Planted(f"snapshot {s.id[:8]} of the plan {plan} is passed over: its date is in the future")
    told = {key: _harmless(s.tag(key)) for key in ("writer", "host", "ccdr")}
    return StoredVersion(s.id, plan, digest, s.time, s.paths[0], int(written), **told)


def in_the_future(s: RepoSnapshot, now: datetime) -> bool:
    return s.time > now + CLOCK_TOLERANCE


def _one_root(paths: Sequence[str]) -> bool:
    return len(paths) == 1 and paths[0].startswith("/") and len(paths[0]) < 4096


def _harmless(text: str | None) -> str | None:
    """What somebody else wrote, for a terminal."""
    return text and "".join(c if c.isprintable() else "?" for c in text[:100])


def newest_first(versions: Sequence[StoredVersion], plan: str) -> list[StoredVersion]:
    """A plan's versions, each digest once: where it was stored last."""
    seen: dict[str, StoredVersion] = {}
    for version in reversed([v for v in versions if v.plan == plan]):
        seen.setdefault(version.digest, version)
    return list(seen.values())


def read(repo: Restic, version: StoredVersion) -> dict[str, bytes]:
    """The version's files, by `plans/NAME.yaml` and `restore_tests/NAME.yaml`. Planted where it is not as ccdr writes
    one; CcdrError where it cannot be had."""
    what = f"snapshot {version.short} of the plan {version.plan}"
    try:
        archive = repo.archive(version.snapshot, version.root, most=MOST_BYTES)
        files = _files(archive, version.root)
    except OutputTooLong:
        raise Planted(f"{what} is passed over: it holds more than a plan and its restore tests do") from None
    except BackupBad as error:
        raise Planted(f"{what} is passed over: {error}") from None
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise Planted(f"{what} is passed over: it cannot be read ({type(error).__name__})") from None
    except Planted as error:
        raise Planted(f"{what} is passed over: {error}") from None
    if f"plans/{version.plan}.yaml" not in files or sum(name.startswith("plans/") for name in files) != 1:
        raise Planted(f"{what} is passed over: it does not hold that plan alone")
    if digest_of({name: sha256(text).hexdigest() for name, text in files.items()}) != version.digest:
        raise Planted(f"{what} is passed over: its files are not those that its digest stands for")
    if not all(_is_what_it_is_named(name, text) for name, text in files.items()):
        raise Planted(f"{what} is passed over: it holds a file that is no plan and no restore test of its name")
    return files


def _is_what_it_is_named(name: str, text: bytes) -> bool:
    """A mapping that says its own name, as plans and restore tests of any ccdr do: no settings of another program."""
    directory, _, file = name.partition("/")
    document, _ = parse(text)
    data = document.data if document is not None else None
    key = "plan" if directory == "plans" else "restore_test"
    return isinstance(data, dict) and str(data.get(key)) == file.removesuffix(".yaml")


def _files(archive: bytes, root: str) -> dict[str, bytes]:
    """The files of a tar archive of `root`. Planted where anything else is in it, or a name that no plan has."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for number, member in enumerate(tar):
            if number >= MOST_FILES:
                raise Planted(f"it holds more than {MOST_FILES} files")
            name = name_within(member.name, root)
            if member.isdir():
                if name not in ("", "plans", "restore_tests"):
                    raise Planted("it holds a directory that no plan has")
            elif not member.isreg():
                raise Planted("it holds something that is no file")
            elif name is None or not may_be_named(name) or name in files:
                raise Planted("it holds a file of a name that no plan and no restore test has")
            elif member.size > MAX_BYTES:
                raise Planted(f"it holds a file of more than {MAX_BYTES} bytes")
            else:
                taken = tar.extractfile(member)
                files[name] = taken.read(MAX_BYTES + 1) if taken is not None else b""
    return files


def name_within(path: str, root: str) -> str | None:
    """The path of a member below `root`, an absolute path; "" for `root` itself, None for what is not below it."""
    whole = PurePosixPath("/") / path
    if ".." in whole.parts or "\0" in path:
        return None
    try:
        below = whole.relative_to(root)
    except ValueError:
        return "" if PurePosixPath(root).is_relative_to(whole) else None
    return "" if below == PurePosixPath() else str(below)


def may_be_named(name: str) -> bool:
    """`plans/NAME.yaml` or `restore_tests/NAME.yaml`, and nothing else."""
    directory, _, file = name.partition("/")
    stem = file.removesuffix(".yaml")
    return directory in ("plans", "restore_tests") and file == f"{stem}.yaml" and is_name(stem)


def as_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each."""
    return {name: sha256(text).hexdigest() for name, text in sorted(files.items())}
