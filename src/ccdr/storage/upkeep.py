"""Looking after the repository: forgetting by full id, removing what nothing refers to, reading what is there.

Forgetting and removing take restic's exclusive lock: backups wait for it, and whoever reads without a lock may meet
files that are just being replaced. Reading takes no lock, so that backups go on however long it takes, and so that a
credential which may only read can do it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.host.processes import tree_bytes
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken
from ccdr.model.values import so_many
from ccdr.storage.restic import GOGC, Restic
from ccdr.storage.restic_failures import LOCKED, NO_REPOSITORY, WRONG_PASSWORD, as_repository_error, judged

MOST_PARTS = 256  # restic's: it tells the parts by the first byte of a pack's name
_FULL_ID = re.compile(r"[0-9a-f]{64}")
AT_ONCE = 500  # ids in one command: an argument list has an end
_COUNT = re.compile(r"(\d+) / (\d+) (\w+)")
_PACK = re.compile(r"\bpack ([0-9a-f]{64})")
_TOLD = 4  # packs that are named; hundreds may be damaged …
_KEPT = 40  # … and that many of restic's lines are kept
# What only damage makes restic say, whatever the network did meanwhile.
_CERTAIN = re.compile(
    r"ciphertext verification failed|unexpected pack id|hash mismatch|invalid data returned|not found in repository|"
    r"does not exist|no such file|NoSuchKey|wrong (size|length)|plaintext too short|error loading index"
)
_WAY = re.compile(
    r"connection (reset|refused)|timed? ?out|deadline exceeded|no route to host|no such host|broken pipe|TLS|x509|"
    r"Internal ?Server ?Error|InternalError|SlowDown|Service ?Unavailable|Bad Gateway|AccessDenied|Access Denied|"
    r"Forbidden|server misbehaving|context canceled|partial download error|unexpected EOF|input/output error",
    re.IGNORECASE,
)
# What restic advises after that, its final sentence, and files that nothing refers to (an upload broke off: no damage).
_ADVICE = re.compile(
    r"^The repository |^Damaged pack files|^restic repair|^Fatal: repository contains errors|"
    r"not referenced in any index|additional files were found|^You can run|^This is non-critical|^Load\("
)

OnCount = Callable[[int, int, str], None]  # done, of how many, of what


@dataclass(frozen=True)
class Damage:
    """What a check found wrong: one sentence, the full names of the packs that restic named, and its own words."""

    text: str
    packs: tuple[str, ...]
    words: FreeText = NO_WORDS


def forget(repo: Restic, ids: Sequence[str]) -> None:
    """Forget exactly these snapshots. restic exits with 0 for an id that it does not know, and for one that it could
    not remove: list them afterwards."""
    for wrong in ids:
        if not _FULL_ID.fullmatch(wrong):
            raise ValueError(f"{wrong!r} is not a full id")
    ids = [held for one in ids for held in repo.held_as(one)]
    for first in range(0, len(ids), AT_ONCE):
        _do(repo, ["forget", *ids[first : first + AT_ONCE]], "forgetting snapshots", None)


def prune(repo: Restic, on_count: OnCount | None = None) -> None:
    """Remove the data that no snapshot refers to. Interrupted at any moment, the repository stays whole, and the next
    one goes on."""
    _do(repo, ["prune"], "removing unused data", on_count)


def _do(repo: Restic, args: Sequence[str], what: str, on_count: OnCount | None) -> None:
    code, stderr = repo.unlocking(lambda: counted(repo, args, what, on_count))
    if code != 0:
        with as_repository_error(repo):
            raise CommandFailed(["restic", args[0]], code, stderr, what=f"{what} (restic {args[0]})")


def check(repo: Restic, part: int, parts: int, cache: Path, on_count: OnCount | None = None) -> Damage | None:
    """Check the structure, and read part `part` of `parts` (from 1) of the data, `cache` being an empty directory.
    restic lists the snapshots first, then what they need, so that backups under way do not disturb it.

    None where all is well; TestBroken, RepositoryUnavailable or CommandFailed where it was not carried out.
    """
    what = f"checking part {part} of {parts}" if parts > 1 else "checking all of the data"
    argv = ["check", "--no-lock", f"--read-data-subset={part}/{parts}"]
    damage = None
    for _ in range(2):  # what a prune on another host has replaced meanwhile is missing once, what is damaged twice
        code, stderr = counted(repo.with_cache(cache), argv, "checking the repository", on_count)
        if code == 0:
            return None
        damage = _judged(repo, code, stderr, what)
    return damage


def _judged(repo: Restic, code: int, stderr: FreeText, what: str) -> Damage:
    """Is the repository damaged, or was the way to it broken? A pack that could not be fetched whole counts with restic
    as a damaged one."""
    lines = [line.strip() for line in stderr.reveal().splitlines() if line.strip() and not _ADVICE.search(line)]
    damaged = [line for line in lines if _CERTAIN.search(line)]
    words = FreeText("\n".join((damaged or lines)[-_KEPT:]))
    if not damaged and any(_WAY.search(line) for line in lines):
        raise TestBroken(
            f"{what}: {words.answer or 'restic could not read it'}",
            hint="the repository did not answer all the time; check it again",
            words=words,
        )
    error = judged(repo, CommandFailed(["restic", "check"], code, words), what)
    if not isinstance(error, BackupBad):
        raise error
    packs = tuple(dict.fromkeys(_PACK.findall(stderr.reveal())))
    return Damage(_described(packs, words), packs, words)


def _described(packs: Sequence[str], words: FreeText) -> str:
    """What is damaged, by the names that restic gave it: a tree that lacks something names files too, and those may be
    customers'."""
    why = words.answer or "it is not as it was stored"
    if not packs:
        return f"its structure: {why}"
    more = f" and {len(packs) - _TOLD} more" if len(packs) > _TOLD else ""
    return f"{so_many(len(packs), 'pack')}: {', '.join(pack[:8] for pack in packs[:_TOLD])}{more}: {why}"


def size(repo: Restic) -> int:
    """What the repository takes, bytes: on this host as its files are, elsewhere what its snapshots refer to."""
    local = Path(repo.location)
    if local.is_absolute() and local.is_dir():
        return tree_bytes(local)
    output = repo._run(["stats", "--mode", "raw-data", "--json", "--no-lock"], what="measuring the repository")
    try:
        return int(json.loads(output)["total_size"])
    except (ValueError, KeyError, TypeError) as error:
        raise CcdrError(f"restic's statistics cannot be read: {type(error).__name__}") from None


def room(repo: Restic) -> int | None:
    """Free bytes where the repository lies, None where that cannot be told."""
    local = Path(repo.location)
    if not local.is_absolute():
        return None
    try:
        return shutil.disk_usage(local).free
    except OSError:
        return None


def counted(repo: Restic, args: Sequence[str], what: str, on_count: OnCount | None) -> tuple[int, FreeText]:
    """A long call; its exit code, and what it said on standard error. Stopped when neither its count nor its cache
    moves."""
    counts: dict[str, int] = {}

    def line(text: str) -> None:
        if match := _COUNT.search(text):
            done, total, unit = int(match[1]), int(match[2]), match[3]
            counts[unit] = done
            if on_count is not None:
                on_count(done, total, unit)

    def pulse() -> object:
        return dict(counts), tree_bytes(repo.cache)

    waits = [] if "--no-lock" in args else ["--retry-lock", f"{repo.lock_wait:.0f}s"]
    argv = repo._argv([*args, *waits])
    env = {"GOGC": GOGC, **repo.call_env, "RESTIC_PROGRESS_FPS": "2"}
    command = f"{what} (restic {args[0]})"
    with as_repository_error(repo):
        out = repo.host.run(argv, env=env, what=command, ok=range(256), pulse=pulse, on_line=line)
        if out.code in (NO_REPOSITORY, LOCKED, WRONG_PASSWORD):
            raise CommandFailed(["restic", args[0]], out.code, out.stderr, what=command)
    return out.code, out.stderr
