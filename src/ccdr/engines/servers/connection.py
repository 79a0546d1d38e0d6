"""How a database server is reached, and how people write it, as a URL in which a password never stands: what is the
same whichever it is. TLS is verified off loopback.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import Field

from ccdr.host.tls import digest_of_ca
from ccdr.model.errors import UsageProblem
from ccdr.model.schema import PlanPath, Text, WithPassword
from ccdr.model.tls import Tls, tls_of

NOWHERE = "192.0.2.1"  # RFC 5737: leads to no server, and is taken for none
UNKNOWN = "unknown"
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
_TELLING = frozenset("%/?#@:[]&+=;\\\"'`$")  # characters that a URL, or a shell, would read otherwise


def in_url(text: str, *, plain: str = "") -> str:
    """A name as a person writes it in a URL: percent-encoded only where it would be read otherwise; `plain` is not."""
    return "".join(
        c if c.isprintable() and not c.isspace() and (c not in _TELLING or c in plain) else quote(c, safe="")
        for c in text
    )


class Peer:
    """How a server is reached, by the host and TLS of its connection."""

    if TYPE_CHECKING:  # fields of the connection
        host: Text
        tls: Literal["verify", "loopback"]

    @property
    def socket(self) -> Path | None:
        return Path(self.host) if self.host.startswith("/") else None

    @property
    def verified_tls(self) -> bool:
        if self.socket is not None:
            return False
        return self.tls == "verify" or not is_loopback(self.host)

    def as_encrypted(self, version: str | None, cipher: str | None) -> Tls | None:
        """A connection of ours, as the server told of it; its certificate was verified where that is asked for, else
        there would be none."""
        ca = getattr(self, "ca_file", None) or SYSTEM_CAS
        verified = self.verified_tls
        return tls_of(version, cipher, verified=verified, ca_sha256=digest_of_ca(ca) if verified else None)

    @property
    def described(self) -> str:
        """How it is reached, for people who look at a source."""
        if self.socket is not None:
            return f"by the Unix socket {self._socket_shown}"
        if self.verified_tls:
            return f"to {self.host} by TLS, its certificate verified"
        return f"to {self.host}, which never leaves this machine"

    @property
    def _socket_shown(self) -> str:
        return str(self.socket)


class ServerConnection(Peer, WithPassword):
    """An engine gives `host` and `port` its own defaults. A host that begins with a slash is a Unix socket's."""

    host: Text
    port: int = Field(ge=1, le=65535)
    user: Text = Field(description="the account that captures; `ccdr doctor` says which rights it lacks")
    database: Text = Field(description="the database that is dumped; of a physical backup, the one to log in to")
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate (default: system's)")
    tls: Literal["verify", "loopback"] = Field(
        "loopback", description="`verify` asks for verified TLS on loopback too; elsewhere it always is"
    )

    @property
    def mounts(self) -> tuple[Path, ...]:
        """What of this host a client in a container must see, read-only."""
        sockets = (self.socket,) if self.socket else ()
        return (*sockets, self.ca_file or SYSTEM_CAS) if self.verified_tls else sockets

    @property
    def _socket_shown(self) -> str:
        return f"in {self.socket}"  # its directory, most often


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def lacks_secret(stated: WithPassword) -> bool:
    """Does the plan name a file for the password that this host does not have?"""
    return stated.password_file is not None and not stated.password_file.is_file()


def without_secret(stated: WithPassword) -> list[str]:
    """What to know of a new server of it then: nothing where the file is there, or none is named."""
    if not lacks_secret(stated):
        return []
    return [
        f"this host lacks {stated.password_file}, which no repository holds. Put it back from your copy. There is "
        "none? Then the changed plan does without: it goes in by the new server's socket, as root of this host"
    ]


def by_network(was: str, address: str) -> str:
    """How a server that listens at an address is reached from this host; as the plan has it, where that is the same."""
    if address in ("*", "0.0.0.0", "::", ""):  # noqa: S104 - compared with
        address = "127.0.0.1"
    return was if is_loopback(was) and is_loopback(address) else address


def is_one(one: Peer, other: Peer) -> bool:
    """Do both lead to the same server, by what they say alone? Nobody is asked; where that does not tell, False."""
    if NOWHERE in (one.host, other.host):
        return False
    ports = getattr(one, "port", None) == getattr(other, "port", None)
    if one.socket or other.socket:
        return one.socket == other.socket and ports
    return ports and (one.host == other.host or (is_loopback(one.host) and is_loopback(other.host)))


def may_be_one(one: ServerConnection, other: ServerConnection) -> bool:
    """May both lead to the same server? By address only: the same socket, or a common address and the same port."""
    if one.socket and other.socket:
        first, second = one.socket.resolve(), other.socket.resolve()
        beside = first.parent == second if first.is_socket() else second.is_socket() and second.parent == first
        return beside or (first == second and one.port == other.port)
    if one.port != other.port:
        return False
    if one.socket or other.socket:
        tcp = other if one.socket else one
        return is_loopback(tcp.host)
    return one.host == other.host or bool(_addresses(one.host) & _addresses(other.host))


def _addresses(host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)}
    except (OSError, UnicodeError):
        return {host}


# A server as people write it: a URL, in which a password never stands.


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
