"""Which repositories a plan may name: restic's backends, encrypted on the way, without a secret in the URL."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import ValidationInfo

_BACKENDS = ("s3", "rest", "sftp", "b2", "azure", "gs", "swift", "rclone")
_EXAMPLES = "expected one like s3:https://host/bucket, rest:https://host/, sftp:user@host:/path or a path"


def repository_url(url: str, info: ValidationInfo) -> str:
    """What restic is given; a relative path is relative to the plan, `~` is the user's home."""
    if re.search(r"[\s\\]", url) and ":" in url.partition("/")[0]:
        raise ValueError(f"has a space or a backslash, {_EXAMPLES}")
    backend, colon, rest = url.partition(":")
    if not colon or "/" in backend:
        return _path(url, info)
    if backend == "local":
        return _path(rest, info)
    if backend not in _BACKENDS:
        raise ValueError(f"is of no backend that restic knows, {_EXAMPLES}")
    if not rest.strip("/"):
        raise ValueError(f"names no place after {backend}:, {_EXAMPLES}")
    _no_option(backend, rest)
    if backend in ("s3", "rest"):
        _http(backend, rest)
    elif backend == "sftp" and rest.startswith("//"):
        _no_password(_split(f"sftp:{rest}"))
    return url


def _no_option(backend: str, rest: str) -> None:
    """restic hands these on to ssh and rclone as words of a command line."""
    place = unquote(rest.lstrip("/") if rest.startswith("//") else rest)
    host = place.partition("://")[2] or place
    if place.startswith("-") or host.startswith("-") or "@-" in place:
        raise ValueError("names a host or a user that begins with -, which would be taken for an option")
    if backend == "rclone" and (rest.startswith(":") or "," in rest.partition(":")[0]):
        raise ValueError("holds options of rclone's, which may name a command: write them into rclone.conf")


def _path(text: str, info: ValidationInfo) -> str:
    if not text:
        raise ValueError(f"is empty, {_EXAMPLES}")
    base = Path((info.context or {}).get("base", Path()))
    try:
        return str((base / Path(text).expanduser()).absolute())
    except RuntimeError:
        raise ValueError("names the home of a user this machine does not know") from None


def _http(backend: str, rest: str) -> None:
    if backend == "s3" and "://" not in rest:
        rest = f"https://{rest.removeprefix('//')}"  # as restic reads it
    parts = _split(rest)
    if not rest.startswith(("http://", "https://")):  # restic does not know HTTP://
        raise ValueError(f"is not an http(s) address after {backend}:, {_EXAMPLES}")
    _no_password(parts)
    if not parts.hostname:
        raise ValueError(f"names no host, {_EXAMPLES}")
    if backend == "s3" and not parts.path.strip("/"):
        raise ValueError("names no bucket, expected one like s3:https://host/bucket")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("sends backups in plain text to another host, expected https")


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not an address, {_EXAMPLES}") from None
    return parts


def _no_password(parts: SplitResult) -> None:
    if parts.password is not None:
        raise ValueError("holds a password, and a secret is never a value in a plan: use env_file")


def is_loopback(host: str) -> bool:
    """Traffic to this host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def http_address(url: str) -> str | None:
    """`https://host[:port]` of an s3: or rest: repository; None for one that HTTP does not lead to."""
    backend, _, rest = url.partition(":")
    if backend not in ("s3", "rest"):
        return None
    if "://" not in rest:
        rest = f"https://{rest.removeprefix('//')}"  # as restic reads it
    parts = urlsplit(rest)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def place_in_bucket(url: str) -> tuple[str, str] | None:
    """The bucket of an S3 repository, and the prefix that its keys have there, which ends in a slash or is empty; None
    for any other."""
    if not url.startswith("s3:"):
        return None
    path = url.partition("://")[2] if "://" in url else url.removeprefix("s3:").lstrip("/")
    bucket, _, prefix = path.partition("/")[2].strip("/").partition("/")
    return bucket, f"{prefix}/" if prefix else ""


def bucket_of(url: str) -> tuple[str, str] | None:
    """The store, and the bucket there, of an S3 repository; None for any other."""
    address = http_address(url)
    if address is None or not url.startswith("s3:"):
        return None
    path = url.partition("://")[2] if "://" in url else url.removeprefix("s3:").lstrip("/")
    return address, path.partition("/")[2].strip("/").partition("/")[0]
