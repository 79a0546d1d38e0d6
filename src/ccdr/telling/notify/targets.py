"""Addresses (Apprise URLs, one a line in a file) and how a message gets there, in bounded time.

A URL may hold passwords: it is never shown, logged or recorded. An address is named by its line and its kind.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from ccdr.model.errors import UsageProblem
from ccdr.telling.notify.message import Message, one_line

if TYPE_CHECKING:
    import apprise

SECONDS = 20.0  # for all addresses of all plans together
PING_SECONDS = 10.0
AT_ONCE = 32  # addresses that are tried at the same time
URLS, PING = "urls_file", "ping_file"  # stand for addresses that could not even be read

# Kinds of URL whose host names a server; with others it may be a token.
HOST_SHOWN = frozenset(("http", "https", "mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"))

_loading = threading.Lock()  # Apprise loads its services at the first URL

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class MessageTarget:
    """One address. `id` tells it from others without telling it."""

    id: str
    name: str
    url: str = field(repr=False)


def read_targets(path: Path) -> list[MessageTarget]:
    """The file's addresses; blank lines and `#` comments are passed over. UsageProblem where there is none."""
    targets: dict[str, MessageTarget] = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        kind = re.match(r"([a-z][a-z0-9+.-]{0,19})://", url, re.IGNORECASE)
        if kind is None:
            raise UsageProblem(f"{path}:{number}: is no Apprise URL, expected one like mailto://… or slack://…")
        target = MessageTarget(_id(url), f"{path.name} line {number} ({kind[1].lower()})", url)
        targets.setdefault(target.id, target)
    if not targets:
        raise UsageProblem(f"{path} names no address", hint="write one Apprise URL a line: mailto://…, slack://…")
    return list(targets.values())


def read_ping(path: Path) -> str:
    """The URL of a dead-man's switch. UsageProblem where there is none."""
    url = (_read(path).splitlines() or [""])[0].strip()
    try:
        usable = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise UsageProblem(f"{path}: its first line is no http:// or https:// URL")
    return url


def _read(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
        raise UsageProblem(f"{path}: is not a file", hint="name a file, mode 0600")
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageProblem(f"{path}: {why}", hint="write the file, mode 0600, owned by who runs ccdr") from None


def _id(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:16]


def refuse_unknown(targets: Iterable[MessageTarget]) -> None:
    """UsageProblem where one is no URL that Apprise knows: its file is wrong, and no try will mend it."""
    for target in targets:
        with _listening():
            known = _service(target.url) is not None
        if not known:
            hint = "correct the line (a kind that is misspelt, or a part that is missing); nothing was sent to anybody"
            raise UsageProblem(f"{target.name} is no URL that Apprise knows", hint=hint)


def _service(url: str) -> apprise.NotifyBase | None:
    import apprise

    asset = apprise.AppriseAsset(
        app_id="ccdr",
        app_desc="contact-centre disaster recovery",
        app_url="",
        async_mode=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    with _loading:
        return apprise.Apprise.instantiate(url, asset=asset)


def send(url: str, message: Message) -> str | None:
    """Hand a message over to the service behind an Apprise URL; None, or why it was not taken, secrets masked."""
    import apprise

    with _listening() as lines:
        service = _service(url)
        if service is None:
            return mask(url, f"is no URL that Apprise knows{_because(lines)}")
        service.notify_format = apprise.NotifyFormat.TEXT
        if "overflow=" not in url:  # the worst comes first: a pager is not sent thirty pages
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
        kind = apprise.NotifyType.FAILURE if message.wrong else apprise.NotifyType.SUCCESS
        # Asked itself, and not through Apprise's own pool of threads, which would keep this process until it answers.
        taken = service.notify(
            title=message.subject, body=message.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
    return None if taken else mask(url, f"did not take the message{_because(lines)}")


def ping(url: str) -> str | None:
    """GET the URL; None, or why that failed. TLS certificates are verified."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    try:
        request = Request(url, headers={"User-Agent": "ccdr"})  # noqa: S310 - http or https: see read_ping
        with urlopen(request, timeout=PING_SECONDS) as answer:  # noqa: S310
            answer.read(1)
    except HTTPError as error:
        return f"answered {error.code}"
    except (URLError, OSError, HTTPException, ValueError) as error:
        return mask(url, f"could not be reached: {getattr(error, 'reason', None) or error or type(error).__name__}")
    return None


def at_once(calls: Mapping[K, Callable[[], str | None]], seconds: float) -> dict[K, str | None]:
    """Make all calls side by side. What has not answered after `seconds` is given up, and answers that.

    The threads are daemons: one that hangs keeps nobody, at the price that its message may still arrive and be told
    again.
    """
    waiting: queue.SimpleQueue[K] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[K, str | None]] = queue.SimpleQueue()
    for key in calls:
        waiting.put(key)
    given_up = threading.Event()

    def work() -> None:
        while not given_up.is_set():
            try:
                key = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((key, calls[key]()))
            except Exception as error:  # one service's defect must not keep the others from being told
                answers.put((key, f"ended in {type(error).__name__}"))  # its text may quote the URL

    for _ in range(min(len(calls), AT_ONCE)):
        threading.Thread(target=work, daemon=True).start()
    deadline = time.monotonic() + seconds
    results: dict[K, str | None] = {}
    try:
        while len(results) < len(calls):
            key, answer = answers.get(timeout=max(0.001, deadline - time.monotonic()))
            results[key] = answer
    except queue.Empty:
        pass
    finally:
        given_up.set()
    return {key: results.get(key, f"did not answer within {seconds:.0f} s") for key in calls}


def mask(url: str, text: str) -> str:
    """The text on one line, without any part of the URL; its host is shown where that is no secret."""
    kind, _, rest = url.partition("://")
    pieces = {p for piece in re.split(r"[/:@?&=,;#\s]+", rest) for p in (piece, unquote(piece))}
    shown = {_host(url)} if kind.lower() in HOST_SHOWN else set()
    for piece in sorted((p for p in pieces if len(p) >= 3 and p.lower() not in shown), key=len, reverse=True):
        text = re.sub(re.escape(piece), "***", text, flags=re.IGNORECASE)
    return one_line(text)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class _LogLines(logging.Handler):
    """What Apprise logs while it works in this thread: the only place where it says why."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._mine = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._mine and (record.levelno >= logging.WARNING or "xception" in str(record.msg)):
            self.lines.append(record.getMessage())

    def __enter__(self) -> list[str]:
        logger = logging.getLogger("apprise")
        logger.propagate = False  # never to standard error: what it says may quote the URL
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)
        return self.lines

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


_listening = _LogLines


def _because(lines: list[str]) -> str:
    return f": {' | '.join(lines[-2:])}" if lines else ""
