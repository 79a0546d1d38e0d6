"""File trees: recordings, configuration. Method `scan`: restic reads them where they are.

A listing of every file with its digest goes into the snapshot. The trees are in use: a file that changed within
the settle time is left for the next backup, and what changed while it was read is seen afterwards, by its
inode's times, so that the listing is true of what was stored. Digests of unchanged files carry over.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.base import EngineConfig
from ccdr.errors import BackupBad, BackupFailed, CommandFailed, UsageProblem
from ccdr.interfaces import Bench, Capture, ClientNeed, Place, SandboxNeeds, ServerTarget, Source, SourceFacts, Tools
from ccdr.model import CheckResult, Look, Manifest, Verdict
from ccdr.schema import AbsolutePath, Duration, WithPassword

LISTING = "files.jsonl"
BATCH = 4000  # files hashed at a time: bounds memory, not speed
NOBODY = "65534:65534"
KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFSOCK: "s"}
WAITING = "w"
STARVED_HINT = "shorten `settle:`, or keep what is always written to elsewhere"
STARVED = 300.0  # seconds; a file that has waited longer was left out by an earlier backup too
LOOKED_AT = 5000  # entries of a tree whose rights are looked at before anything is captured
NAMED = 20  # how many paths a private detail names


@dataclass(frozen=True)
class Entry:
    """One line of a listing. Times are nanoseconds; `sha256` only for regular files, `target` for links."""

    path: str
    type: str  # f, d, l, s for a socket, o for pipes and devices, w for a file that waits to settle
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    ctime: int
    inode: int
    sha256: str | None = None
    target: str | None = None

    @classmethod
    def of(cls, path: str, shown_as: str) -> Entry:
        """Look at `path` (not through a link); OSError where it is gone."""
        s = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(s.st_mode), "o")
        return cls(
            path=shown_as,
            type=kind,
            size=s.st_size if kind == "f" else 0,
            mode=stat.S_IMODE(s.st_mode),
            uid=s.st_uid,
            gid=s.st_gid,
            mtime=s.st_mtime_ns,
            ctime=s.st_ctime_ns,
            inode=s.st_ino,
            target=str(Path(path).readlink()) if kind == "l" else None,
        )

    @property
    def key(self) -> tuple[str, ...]:
        """Sorts like a walk: a directory, then what is in it, then its next sibling."""
        return tuple(self.path.split("/"))

    def unchanged(self, now: Entry) -> bool:
        """The inode's times tell that nobody wrote to it: so its digest still holds."""
        return (self.type, self.size, self.mtime, self.ctime, self.inode) == (
            now.type,
            now.size,
            now.mtime,
            now.ctime,
            now.inode,
        )

    def with_digest(self, sha256: str) -> Entry:
        return Entry(**{**self.__dict__, "sha256": sha256})

    def waiting(self, since: float) -> Entry:
        """The same file, left for the next backup; `ctime` tells since when it has been left."""
        return Entry(**{**self.__dict__, "type": WAITING, "size": 0, "ctime": int(since * 1e9), "inode": 0})

    def line(self) -> str:
        return json.dumps(list(self.__dict__.values()), separators=(",", ":")) + "\n"

    @classmethod
    def parse(cls, line: str) -> Entry:
        return cls(*json.loads(line))


class Files(EngineConfig):
    has_server: ClassVar[bool] = False
    in_sandbox: ClassVar[bool] = False
    index_file: ClassVar[str | None] = LISTING

    engine: Literal["files"]
    method: Literal["scan"] = "scan"
    paths: Annotated[tuple[AbsolutePath, ...], Field(min_length=1)]
    settle: Duration = Field(60.0, description="files changed within this time are left for the next backup")

    def image_candidates(self, major: str | None) -> tuple[str, ...]:
        return ("ccdr-sandbox/files:1",)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for one, other in itertools.permutations(self.paths, 2):
            if one == other or one in other.parents:
                raise ValueError(f"paths overlap, expected {other} to be named once")
        return self

    # --- the source -----------------------------------------------------------------------------------

    def secret(self) -> WithPassword | None:
        return None

    def credentials(self, password: str) -> Mapping[str, str]:
        return {}

    def client(self, major: str | None) -> ClientNeed | None:
        return None

    def client_major(self, place: Place) -> str | None:
        return None

    def probe(self, source: Source) -> SourceFacts:
        for path in self.paths:
            if path.is_symlink():  # restic would store the link, and nothing of what it points to
                raise BackupFailed(f"{path} is a link", hint=f"name what it points to in `paths:`: {path.resolve()}")
            if not path.exists():
                raise BackupFailed(
                    f"{path} is not there", hint="is its file system mounted? else change `paths:` in the plan"
                )
        return SourceFacts(version="1", major="1")

    def rights(self, source: Source) -> Iterator[Look]:
        """Of the first entries of each tree: a look must be quick where there are millions."""
        what = "rights to read"
        for root in self.paths:
            seen, files, closed = 0, 0, 0
            for entry in itertools.islice(_anyhow(root), LOOKED_AT):
                seen += 1
                files += entry.is_file()
                closed += not os.access(entry, os.R_OK | os.X_OK if entry.is_dir() else os.R_OK)
            if closed:
                said = f"{closed} of the first {seen} entries of {root} may not be read by the user who runs ccdr"
                yield Look.fail(what, said, "run ccdr as a user who may read them all, or open them to it")
            elif not files:
                said = f"there is no file in {root}, and an empty tree is no backup"
                yield Look.fail(what, said, "is its file system mounted? else change `paths:` in the plan")
            else:
                whole = "all of it" if seen < LOOKED_AT else f"its first {seen} entries"
                yield Look.ok(what, f"{root}: {whole} may be read")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        started = tools.clock.now()
        count = {"f": 0, "d": 0, "l": 0, "o": 0, WAITING: 0}
        size = starved = 0
        filled: set[str] = set()
        roots = [str(root) for root in self.paths]
        unsettled: list[Path] = []
        listing = into / LISTING
        with listing.open("w", encoding="ascii") as out, ExitStack() as stack:
            previous: Iterator[Entry] = iter(())
            if tools.previous is not None and tools.previous.is_file():
                previous = read_listing(stack.enter_context(tools.previous.open(encoding="ascii")))
            found = self._entries(started.timestamp())
            for entry in self._with_digests(found, previous, tools):
                out.write(entry.line())
                count[entry.type] += 1
                size += entry.size
                if entry.type == WAITING:
                    unsettled.append(Path(entry.path))
                    starved += started.timestamp() - entry.ctime / 1e9 > max(2 * self.settle, STARVED)
                elif entry.type == "f":
                    filled |= {root for root in roots if entry.path == root or entry.path.startswith(f"{root}/")}
                if count["f"] % 1000 == 0:
                    tools.progress.amount(size, None)
        if empty := [str(root) for root in self.paths if str(root) not in filled]:
            raise BackupFailed(
                f"there is no settled file in {', '.join(empty)}",
                hint="an empty tree is no backup: is its file system mounted?",
            )
        files = tools.digest(into, [LISTING])
        return Capture(
            consistent_point=started,
            clock_skew_s=0.0,
            contents={
                "version": "1",
                "source": self.source_name,
                "starved": starved,
                "settle": self.settle,
                "roots": [str(p) for p in self.paths],
                "files": count["f"],
                "directories": count["d"],
                "links": count["l"],
                "special": count["o"],
                "bytes": size,
                "unsettled": len(unsettled),
                "owners": os.geteuid() == 0,
                "listing_sha256": files[LISTING].sha256,
            },
            files=files,
            bytes=size,
            paths=self.paths,
            excluded=tuple(unsettled),
            notes=[f"{len(unsettled)} files in use were left for the next backup"] if unsettled else [],
            findings=[f"{starved} files in use are in no new snapshot any more: {STARVED_HINT}"] if starved else [],
        )

    @property
    def source_paths(self) -> tuple[Path, ...]:
        return self.paths

    @property
    def source_name(self) -> str:
        return " ".join(sorted(map(str, self.paths)))

    def settled(self, capture: Capture, into: Path) -> tuple[str, ...]:
        changed = []
        with (into / LISTING).open(encoding="ascii") as lines:
            for entry in read_listing(lines):
                if entry.type == "f" and not _still(entry):
                    changed.append(entry.path)
        return tuple(changed)

    def _entries(self, now: float) -> Iterator[Entry]:
        """Every entry below `paths`; regular files that changed within the settle time wait. A time in the
        future is not a recent change: it would never settle."""
        for root in sorted(set(self.paths)):
            for entry in walk(str(root), str(root)):
                age = now - entry.mtime / 1e9
                yield entry.waiting(now) if entry.type == "f" and -self.settle < age < self.settle else entry

    @staticmethod
    def _with_digests(found: Iterator[Entry], previous: Iterator[Entry], tools: Tools) -> Iterator[Entry]:
        """Digests of unchanged files carry over from the previous listing, and so does since when a file waits;
        the rest is hashed in batches."""
        paired = _with_previous(found, previous)
        while batch := list(itertools.islice(paired, BATCH)):
            carried = {now.path: was.sha256 for now, was in batch if was and was.sha256 and was.unchanged(now)}
            new = [now.path for now, _ in batch if now.type == "f" and now.path not in carried]
            hashed = tools.digest(Path("/"), new, vanishing=True)
            for now, was in batch:
                since = was.ctime / 1e9 if was and was.type == WAITING else None
                if now.type == WAITING:
                    yield now if since is None else now.waiting(since)
                elif now.type != "f":
                    yield now
                elif digest := carried.get(now.path):
                    yield now.with_digest(digest)
                elif now.path in hashed and _still(now):
                    yield now.with_digest(hashed[now.path].sha256)
                else:
                    yield now.waiting(since or tools.clock.now().timestamp())

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        return SandboxNeeds(bytes=0, memory=self.memory or 2**29, user=NOBODY, major="1")

    def start(self, box: Place, manifest: Manifest) -> str:
        return "1"

    def recordable(self, said: str) -> str:
        """Nothing below the roots is named."""
        for root in map(str, self.paths):
            said = re.sub(rf"{re.escape(root)}/.*?(?=: |; |, |$)", f"{root}/…", said, flags=re.MULTILINE)
        return super().recordable(said)

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return {"files": int(str(manifest.contents["files"]))}

    def complete(self, fetched: Path, restored: Path, manifest: Manifest) -> None:
        """Every listed entry is there with its type and size. A backup that was killed before it had looked at
        what restic left out has no other mark; contents are the business of `identical`."""
        there = missing = 0
        with (restored / LISTING).open(encoding="ascii") as lines:
            for entry in read_listing(lines):
                if entry.type != WAITING:
                    whole = _came_back(f"{fetched}{entry.path}", entry)
                    there, missing = there + whole, missing + (not whole)
        if missing:
            raise BackupBad(
                f"the restore is incomplete: {missing} of {there + missing} entries are missing, or not as listed",
                hint="restore an older snapshot meanwhile, and back up again",
            )

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        return None

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        raise CommandFailed(["query"], 2, "files answer no queries")

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        raise CommandFailed(["query"], 2, "files answer no queries")

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        return iter(())

    def onto(self, url: str, password_file: Path | None, ca_file: Path | None) -> ServerTarget:
        raise UsageProblem("files are restored into a directory, not onto a server", hint="name one with --to")

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        """Every file's digest, and type, size, link target, mode, time and (as root) owner of every entry."""
        listing, contents = bench.restored / LISTING, bench.manifest.contents
        if bench.digest(bench.restored, [LISTING])[LISTING].sha256 != contents["listing_sha256"]:
            yield _result("listing", Verdict.FAIL, "the captured listing", "another listing")
            return
        compared = _Comparison(bench, owners=bool(contents["owners"]) and os.geteuid() == 0)
        with listing.open(encoding="ascii") as lines:
            compared.run(entry for entry in read_listing(lines) if entry.type != WAITING)
        expected = f"{contents['files']} files, {contents['bytes']} bytes"
        bad = compared.missing or compared.changed
        if bad:
            actual = f"{compared.missing} missing, {compared.changed} changed, {compared.equal} equal"
        else:
            actual = f"{compared.equal} files equal by SHA-256"
        if compared.extra:
            actual += f", {compared.extra} that came while the backup ran"
        status = Verdict.FAIL if bad or compared.equal != contents["files"] else Verdict.PASS
        yield _result("files", status, expected, actual, "\n".join(compared.named) or None)


def _result(name: str, status: Verdict, expected: str, actual: str, detail: str | None = None) -> CheckResult:
    return CheckResult(kind="identical", name=name, status=status, expected=expected, actual=actual, detail=detail)


class _Comparison:
    """Walks listing and restored tree side by side; counts for the record, paths for the person."""

    def __init__(self, bench: Bench, *, owners: bool) -> None:
        self._bench, self._owners = bench, owners
        self.equal = self.missing = self.changed = self.extra = 0
        self.named: list[str] = []

    def run(self, listed: Iterator[Entry]) -> None:
        roots = self._bench.manifest.contents["roots"]
        assert isinstance(roots, list)
        found = itertools.chain.from_iterable(
            walk(f"{self._bench.fetched}{root}", str(root)) for root in sorted(set(map(Path, map(str, roots))))
        )
        pairs = _merge(listed, found)
        while batch := list(itertools.islice(pairs, BATCH)):
            self._batch(batch)

    def _batch(self, batch: list[tuple[Entry | None, Entry | None]]) -> None:
        to_hash = [now.path.lstrip("/") for was, now in batch if was and now and was.type == now.type == "f"]
        hashed = self._bench.digest(self._bench.fetched, to_hash)
        for was, now in batch:
            if was is None:
                self.extra += 1 if now is not None and now.type == "f" else 0
            elif now is None:
                self.missing += 1
                self._name("missing", was.path)
            elif (why := self._difference(was, now)) is not None:
                self.changed += 1
                self._name(why, was.path)
            elif was.type == "f":
                if hashed[was.path.lstrip("/")].sha256 == was.sha256:
                    self.equal += 1
                else:
                    self.changed += 1
                    self._name("contents differ", was.path)

    def _difference(self, was: Entry, now: Entry) -> str | None:
        for what in ("type", "size", "target"):
            if getattr(was, what) != getattr(now, what):
                return f"{what} differs"
        if was.type != "l" and was.mode != now.mode:
            return "mode differs"
        if was.type == "f" and was.mtime != now.mtime:
            return "modification time differs"
        if self._owners and (was.uid, was.gid) != (now.uid, now.gid):
            return "owner differs"
        return None

    def _name(self, why: str, path: str) -> None:
        if len(self.named) < NAMED:
            self.named.append(f"{why}: {path}")


def walk(real: str, shown: str) -> Iterator[Entry]:
    """Every entry at and below `real`, named as if it stood at `shown`; sorted as `Entry.key` sorts. What
    vanishes while we look is left out, and so are sockets, which only their program can make; a directory that
    may not be read is an error."""
    try:
        top = Entry.of(real, shown)
    except FileNotFoundError:
        return
    if top.type == "s":
        return
    yield top
    if top.type == "d":
        try:
            names = sorted(os.listdir(real))  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return
        except OSError as error:
            raise CommandFailed(["scan"], 1, f"{shown}: {error.strerror}") from None
        for name in names:
            yield from walk(f"{real}/{name}", f"{shown}/{name}")


def _anyhow(root: Path) -> Iterator[Path]:
    """A tree's entries in no order, links left out; what may not be listed is an entry without what is in it."""
    yield root
    if root.is_dir() and os.access(root, os.R_OK | os.X_OK):
        for entry in root.iterdir():
            if not entry.is_symlink():
                yield from _anyhow(entry)


def read_listing(lines: IO[str]) -> Iterator[Entry]:
    return map(Entry.parse, lines)


def matching(listing: Path, patterns: tuple[str, ...]) -> Iterator[Entry]:
    """The regular files of a listing whose names match one of the shell patterns, without regard to case."""
    lowered = [p.lower() for p in patterns]
    with listing.open(encoding="ascii") as lines:
        for entry in read_listing(lines):
            name = entry.path.rsplit("/", 1)[-1].lower()
            if entry.type == "f" and any(fnmatch.fnmatchcase(name, p) for p in lowered):
                yield entry


def _came_back(path: str, entry: Entry) -> bool:
    try:
        now = Entry.of(path, entry.path)
    except OSError:
        return False
    return (now.type, now.size, now.target) == (entry.type, entry.size, entry.target)


def _still(entry: Entry) -> bool:
    try:
        return entry.unchanged(Entry.of(entry.path, entry.path))
    except OSError:
        return False


def _merge(one: Iterator[Entry], other: Iterator[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Pair two sorted runs of entries by path."""
    a, b = next(one, None), next(other, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a.key < b.key):
            yield a, None
            a = next(one, None)
        elif a is None or b.key < a.key:
            yield None, b
            b = next(other, None)
        else:
            yield a, b
            a, b = next(one, None), next(other, None)


def _with_previous(found: Iterator[Entry], previous: Iterator[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Each entry with its counterpart of the previous listing, if there is one."""
    for was, now in _merge(previous, found):
        if now is not None:
            yield now, was
