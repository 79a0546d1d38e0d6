"""restic's exit codes and messages: what each means, and as sentences for a person, without names."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field

from ccdr.model.answers import FreeText

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
