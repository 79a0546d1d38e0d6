"""What it means that restic failed, by its exit codes and messages: of the repository, of the way to it, of this host,
or of the backup; as sentences for a person, without names.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccdr.model.answers import FreeText
from ccdr.model.errors import (
    BackupBad,
    CcdrError,
    CommandFailed,
    RepositoryClosed,
    RepositoryDamaged,
    RepositoryLocked,
    RepositoryMissing,
    RepositoryUnavailable,
    TestBroken,
)
from ccdr.storage.remains import damage, store_at
from ccdr.storage.s3 import Bucket, Refused

if TYPE_CHECKING:
    from ccdr.storage.restic import Restic

# restic's exit codes and messages: what each means, and as sentences for a person, without names.

PARTIAL, NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 3, 10, 11, 12
# What restic's messages say when the way to the repository broke, not the repository.
NETWORK = re.compile(
    r"connection (reset|refused)|timed? ?out|no route to host|no such host|broken pipe|TLS|x509|"
    r"\b50[0-9]\b|Internal ?Server ?Error|InternalError|SlowDown|Service ?Unavailable|Bad Gateway|"
    r"AccessDenied|Access Denied|Forbidden|server misbehaving|context canceled",
    re.IGNORECASE,
)
# An S3 server that refuses: by what it says, or by nothing but the status of its answer.
DENIED = re.compile(
    r"access.?denied|forbidden|\b40[013]\b|signature|access.?key",
    re.IGNORECASE,
)
# An S3 server that answers, and has no such bucket: restic tries that again and again, as if it were out of order.
NO_BUCKET = re.compile(r"bucket does not exist|NoSuchBucket", re.IGNORECASE)
DAMAGE = re.compile(
    r"ciphertext|verification failed|hash|invalid data|not found|no such file|does not exist|"
    r"NoSuchKey|unexpected (EOF|file size|pack id)|wrong (size|length)|too short|corrupt|cannot load|decrypt|"
    r"(?-i:\bMAC\b)",
    re.IGNORECASE,
)
# What it says, with the exit code of anything else, where a key or the config could not be read …
NOT_OPENED = re.compile(
    r"LoadRaw\(<key/|config or key \w+ is damaged|config cannot be loaded|config file has zero size"
)
KEY_UNREAD = re.compile(r"Load(?:Raw)?\(<key/")
# … and where a key did open, and what is encrypted with it is not what it was.
UNDECIPHERABLE = re.compile(r"config or key \w+ is damaged: ciphertext|config cannot be loaded: nonce is invalid")
# What restic says after the error that matters.
_FOLLOW_UP = re.compile(r"lchown |UtimesNano|There were \d+ errors")
# What the file system that is restored to, or the user who restores, does not allow. The repository has no part in it.
NOT_HERE = re.compile(
    r"\b(link|symlink|mknod|lchown|chmod) /.*?: (operation not (permitted|supported)|permission denied|too many links)",
    re.IGNORECASE,
)
DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
# A try that was not the last one: what counts is what became of them.
RETRIED = re.compile(r"^.* returned error, retrying after .*$", re.MULTILINE)
# What restic's messages name, and do not say: a customer may call a directory `501`, and a recording `hash not found`.
_NAMED = (
    (re.compile(r"\b(\w+)\(<[^>]*>[^)]*\)"), r"\1"),  # Load(<data/0123456789>, 216, 503)
    (re.compile(r"(?<=retrying after )[^:]*"), ""),
    (re.compile(r'"(?:[^"\\]|\\.)*"'), '""'),
    (re.compile(r"\b[\w:]+://\S+?(?=:?(?:\s|$))"), "/"),
    (re.compile(r"\b(link|symlink) .*(?= /)"), r"\1"),  # where it leads, which may be relative
    (re.compile(r"(?<![^\s(=])/.*?(?=: |$)"), "/"),
)


@dataclass(frozen=True)
class Said(FreeText):
    """restic's last few messages, for a person; `plain` are all of them, without the names in them, to be judged."""

    plain: str = field(default="", repr=False)


def unnamed(message: str, item: str = "") -> str:
    """What restic says, without what it says that of (`item`), paths, quoted names and offsets: those decide nothing.
    A name may hold anything, so that the item goes first, wherever it stands."""
    if item.startswith("/") and item != "/":
        message = message.replace(item, "/")
    message = message.replace("\n", " ")
    for pattern, left in _NAMED:
        message = pattern.sub(left, message)
    return message


def readable(stderr: FreeText) -> Said:
    """restic's messages as sentences, the last few: it mixes JSON lines and text on standard error."""
    if isinstance(stderr, Said):
        return stderr
    sentences: dict[str, None] = {}
    plain: dict[str, None] = {}
    for line in stderr.reveal().splitlines():
        text = line.strip().removeprefix("\x1b[2K")
        item = ""
        if text.endswith('"}') and not text.startswith("{"):
            continue  # the rest of a line that was too long ago to be kept: what in it is a name, nobody can say
        with contextlib.suppress(ValueError, AttributeError):
            message = json.loads(text)
            error = message.get("error") or {}
            text = str(message.get("message") or error.get("message") or text)
            item = str(message.get("item") or "")
        text = text.removeprefix("Fatal: ")
        bare = unnamed(text, item)
        if text.strip() and not _FOLLOW_UP.search(bare):
            sentences[f"{item}: {text}".replace("\n", " ") if item else text.replace("\n", " ")] = None
            plain[bare] = None
    return Said("\n".join([*sentences][-4:]), "\n".join(plain))


@contextlib.contextmanager
def as_repository_error(repo: Restic) -> Iterator[None]:
    try:
        yield
    except CommandFailed as error:
        raise _meaning(repo, error) from None


def _meaning(repo: Restic, error: CommandFailed) -> CcdrError:
    """What keeps the repository from being used; where it is none of that, the failure itself, readable."""
    stderr = readable(error.stderr)
    why = f": {stderr.answer}" if stderr.answer else ""
    if destroyed := _destroyed(repo, error):
        return RepositoryDamaged(
            f"the repository at {repo.location} is damaged: {destroyed}",
            hint="keep the place as it is, and bring config and keys back from a copy, or from the bucket's "
            "older versions: docs/how-to/recover.md, A damaged repository",
        )
    if DISK_FULL.search(stderr.plain):
        return RepositoryUnavailable(
            f"restic has no room to write: its cache is {repo.cache}, the repository is at {repo.location}",
            hint="check which of the two is full (`df -h`), and make room there",
        )
    if error.code == NO_REPOSITORY or (error.stalled and NO_BUCKET.search(stderr.plain)):
        return RepositoryMissing(f"there is no repository at {repo.location}{why}", hint=_where_is_it(repo))
    if error.code == WRONG_PASSWORD:
        return RepositoryClosed(
            f"the repository at {repo.location} does not open with the plan's password{why}",
            hint=f"check {repo.named}.password_file (or password_command) of the plan",
        )
    if error.code == LOCKED:
        return RepositoryLocked(
            f"the repository at {repo.location} is locked by another program",
            hint="wait for it; `restic unlock` removes locks of programs that no longer run",
        )
    if unknown := _credential_refused(repo, error, stderr):
        return RepositoryUnavailable(unknown[0], hint=unknown[1])
    if error.stalled or (error.argv[0] == "restic" and NETWORK.search(stderr.plain)):
        return RepositoryUnavailable(
            f"the repository at {repo.location} does not answer{why or f': {error}'}",
            hint="check the address, the network and the store itself",
        )
    if error.code == 1 and error.argv[0] == "restic" and error.stderr.search(KEY_UNREAD):
        return RepositoryUnavailable(
            f"a key of the repository at {repo.location} cannot be read{why}",
            hint="check that the disk with its keys is mounted, and that this user may read them",
        )
    return CommandFailed(error.argv, error.code, stderr, stalled=error.stalled, what=str(error.what))


def _where_is_it(repo: Restic) -> str:
    """What to do where it is not there: only of a plan that is new may a backup make it."""
    question = "check that the disk is mounted, and the address or bucket is right"
    if repo.known():
        return f"backups of {repo.plan} were stored there: {question}; ccdr makes no new repository in its place"
    return f"the first `ccdr {'copy' if repo.copied else 'backup'} {repo.plan}` makes it; if there was one: {question}"


def _destroyed(repo: Restic, error: CommandFailed) -> str | None:
    """Did it not open for damage? By what its store holds: the exit codes say the same of a wrong password, and of
    a place where there never was one."""
    stderr = error.stderr + readable(error.stderr)  # some of it is JSON, in which `<` is \\u003c
    unreadable = error.code == 1 and stderr.search(NOT_OPENED)
    if error.stalled or not (unreadable or error.code in (NO_REPOSITORY, WRONG_PASSWORD)):
        return None
    if (store := store_at(repo.location, repo.env)) is None:
        return None
    return damage(store, undecipherable=bool(unreadable and stderr.search(UNDECIPHERABLE)))


def _credential_refused(repo: Restic, error: CommandFailed, stderr: Said) -> tuple[str, str] | None:
    """Does the store not know the access key, or its secret? restic asks by HEAD, whose answer has no code in it,
    and says `Access Denied` of all that may be wrong: so the store is asked once more, in our own words."""
    if error.argv[0] != "restic" or not DENIED.search(stderr.plain):
        return None
    if (bucket_and_prefix := Bucket.of(repo.location, repo.env)) is None:
        return None
    try:
        bucket_and_prefix[0].versioning()
    except Refused as refused:
        if refused.unknown_credential:
            return f"the store at {bucket_and_prefix[0].endpoint} {refused.of_the_credential}", refused.next_step
    except CcdrError:
        return None
    return None


def judged(repo: Restic, error: CommandFailed, what: str) -> CcdrError:
    """Is the backup bad, or was the test broken? restic's exit code alone does not tell."""
    message = f"{what}: {error}"
    plain = readable(error.stderr).plain
    of_damage = DAMAGE.search(NOT_HERE.sub("", RETRIED.sub("", plain)))
    if DISK_FULL.search(plain):
        return TestBroken(message, hint="free space where it was written (scratch lies in --state), then try again")
    if NOT_HERE.search(plain) and not of_damage:
        return TestBroken(message, hint="restore as root, to a file system that supports links, owners and modes")
    if error.stalled or error.code < 0 or error.code in (127, 130):
        return TestBroken(message, hint="find out who stopped restic, or why the repository hangs")
    if NETWORK.search(plain) and not of_damage:
        return TestBroken(message, hint="the repository did not answer all the time; try again")
    try:
        repo.probe()
    except RepositoryDamaged as damaged:
        return damaged
    except CcdrError as unreachable:
        return TestBroken(f"{message}; and then {unreachable}", hint=unreachable.hint)
    if holder := repo.rewritten_by():
        return TestBroken(f"{message}; {holder}", hint="wait for it, then run this again")
    return BackupBad(
        f"{message} (the repository answers and decrypts)",
        hint="restore an older snapshot meanwhile; "
        f"`ccdr upkeep {repo.plan} --check --all-data` says what else is damaged",
    )
