"""Keys that are this host's, or of an account of it, and no one person's signature: `ssh-keygen` makes one with any."""

from __future__ import annotations

import base64
import contextlib
import os
import pwd
from collections.abc import Collection, Iterator
from pathlib import Path

from ccdr.evidence.records import LedgerKey
from ccdr.host.processes import Host
from ccdr.host.signatures import key_in
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError

SSH = Path("/etc/ssh")
LARGEST = 1 << 16  # bytes of a file that may be a key, or say whose one is
# Of the state directory: what is large, is not kept, or holds what people wrote.
_NO_KEYS = frozenset(
    ("ledger", "ledgers", "catalogue", "index", "cache", "shipping", "scratch", "private", "copies", "payloads")
)
_PRIVATE = b"PRIVATE KEY-----"


def host_key(fingerprint: str, services: Services) -> str | None:
    """Where this host has the key of this fingerprint, as OpenSSH prints it: among its own, as a private key that lies
    open in the state directory, or as one that has ever signed the ledger's checkpoints. None where it has none such.
    """
    for path in sorted(SSH.glob("ssh_host_*_key.pub")):
        if _fingerprint(_text(path)) == fingerprint:
            return str(path)
    without_public = (p for p in sorted(SSH.glob("ssh_host_*_key")) if not p.with_name(f"{p.name}.pub").exists())
    for path in (*without_public, *_files(services.state.root)):
        if _PRIVATE in _bytes(path) and _fingerprint(_public(path, services.host)) == fingerprint:
            return str(path)
    from ccdr.evidence.checkpoints.keys import keys_in  # what it needs takes time: only where somebody has signed

    keys, _ = keys_in(services.ledger.newest(LedgerKey), services.lineage().ledger)
    return next((f"record {one.seq}" for one in keys if _fingerprint(_openssh(one.key.public)) == fingerprint), None)


def account_of(key: str, accounts: Collection[str]) -> str | None:
    """Which of these accounts of this host lets the public key (its type and base64) log in, or has it beside its own;
    None where none does, or what they have cannot be read."""
    for account in accounts:
        with contextlib.suppress(KeyError, OSError):
            home = Path(pwd.getpwnam(account).pw_dir) / ".ssh"
            for path in (home / "authorized_keys", *home.glob("*.pub")):
                if key.split()[1] in _text(path).split():
                    return account
    return None


def _files(root: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(root):
        if Path(directory) == root:
            below[:] = [name for name in below if name not in _NO_KEYS]
        yield from (Path(directory) / name for name in sorted(names))


def _bytes(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= LARGEST:
            return path.read_bytes()
    return b""


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _public(path: Path, host: Host) -> str:
    """Of a private key without a passphrase; empty where it is none. What it is written with may be read by others, for
    which `ssh-keygen -f FILE` would refuse it: it is handed over on standard input."""
    with contextlib.suppress(CcdrError):
        argv = ["ssh-keygen", "-y", "-P", "", "-f", "/dev/stdin"]
        return host.run(argv, stdin=_text(path), what="ssh-keygen").stdout
    return ""


def _openssh(public: bytes) -> str:
    """An Ed25519 key's 32 bytes, as a line of OpenSSH's (RFC 8709)."""
    kind = b"ssh-ed25519"
    blob = b"".join(len(part).to_bytes(4) + part for part in (kind, public))
    return f"{kind.decode()} {base64.b64encode(blob).decode()}"


def _fingerprint(line: str) -> str | None:
    found = key_in(line.split())
    return None if found is None else found[1]
