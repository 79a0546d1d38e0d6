"""How a connection was encrypted on its way. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(TLS|SSL)v(\d(?:\.\d)?)", re.ASCII)
_CIPHER = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Tls:
    """`version` as OpenSSL names it (TLSv1.3), `cipher` too; None where nobody told. `verified`: the server's
    certificate was; by which file of CAs, its digest says."""

    version: str | None
    cipher: str | None
    verified: bool
    ca_sha256: str | None = None


def tls_of(version: str | None, cipher: str | None, *, verified: bool, ca_sha256: str | None) -> Tls | None:
    """As a server told of a connection; None where it was not encrypted."""
    if not version:
        return None
    known = _VERSION.fullmatch(version.strip()) is not None
    named = cipher is not None and _CIPHER.fullmatch(cipher.strip()) is not None
    return Tls(
        version.strip() if known else None,
        cipher.strip() if named and cipher else None,
        verified,
        ca_sha256 if verified else None,
    )


def number_of(version: str) -> str | None:
    """`TLSv1.2` is 1.2; None of what is older than any TLS, or no version."""
    found = _VERSION.fullmatch(version)
    return None if found is None or found[1] != "TLS" else found[2] if "." in found[2] else f"{found[2]}.0"
