"""A server as people write it: a URL, in which a password never stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ccdr.engines.servers.connection import is_loopback
from ccdr.model.errors import UsageProblem


@dataclass(frozen=True)
class Address:
    """A server, and one of its databases; None for all of them. A `host` that begins with a slash is a Unix socket's;
    `tls` and `ca_file` as in a plan's connection."""

    host: str
    port: int
    user: str | None
    database: str | None = None
    tls: str = "loopback"
    ca_file: Path | None = None

    @property
    def local(self) -> bool:
        """Is it a server of this machine?"""
        return self.host.startswith("/") or is_loopback(self.host)

    @property
    def shown(self) -> str:
        """For people: `127.0.0.1:5432`, or the socket."""
        return self.host if self.host.startswith("/") else f"{self.host}:{self.port}"


def read_url(text: str, known: Collection[str], example: str) -> tuple[SplitResult, int | None, dict[str, str]]:
    """A URL's parts, its port, and its options, which are of the `known` ones. UsageProblem where it is none; its text
    is never repeated, since it may hold a password."""
    try:
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        if "://" not in text:
            raise ValueError
    except ValueError:
        raise UsageProblem("the URL cannot be read", hint=example) from None
    try:
        port = parts.port
    except ValueError:
        raise UsageProblem("the URL's port is no port", hint=example) from None
    if parts.password is not None or "password" in options:
        raise UsageProblem(
            "the URL holds a password, which other users of this machine can read",
            hint="take another password, write it into a file of mode 0600, and name it with --password-file FILE",
        )
    if wrong := sorted(options.keys() - known):
        raise UsageProblem(f"the URL's option {wrong[0]} is not known", hint=f"it may have {', '.join(sorted(known))}")
    return parts, port, options


def host_of(parts: SplitResult) -> str | None:
    """A socket may stand there too, with %2F for its slashes; `hostname` would make it lower-case."""
    if "%2f" in parts.netloc.lower():
        return unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return parts.hostname


def ca_file_of(options: dict[str, str], name: str) -> Path | None:
    return Path(options[name]).absolute() if options.get(name) else None
