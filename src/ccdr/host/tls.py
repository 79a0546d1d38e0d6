"""A handshake with a server, to see how what is sent there is encrypted. Nothing is asked of it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from hashlib import sha256
from pathlib import Path

from ccdr.model.tls import Tls, tls_of

WITHIN = 5.0  # seconds
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")


def handshake(host: str, port: int, *, ca_file: Path | None = None, named: bool = True) -> Tls | None:
    """As a client would: verified by the CAs in `ca_file`, or the system's. `named`: the certificate is to be of that
    name. None where nobody answers, or not by TLS."""
    used = ca_file or _system_cas()
    with contextlib.suppress(OSError, ssl.SSLError):
        context = ssl.create_default_context(cafile=None if used is None else str(used))
        context.check_hostname = named
        try:
            return _shaken(host, port, context, verified=True, ca_sha256=digest_of_ca(used) if used else None)
        except ssl.SSLCertVerificationError:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # to see the version: nothing is sent
            return _shaken(host, port, context, verified=False, ca_sha256=None)
    return None


def digest_of_ca(path: Path) -> str | None:
    """Which file of CAs that is; None where it cannot be read."""
    with contextlib.suppress(OSError):
        return sha256(path.read_bytes()).hexdigest()
    return None


def _system_cas() -> Path | None:
    given = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if given is not None and Path(given).is_file():
        return Path(given)
    return SYSTEM_CAS if SYSTEM_CAS.is_file() else None


def _shaken(host: str, port: int, context: ssl.SSLContext, *, verified: bool, ca_sha256: str | None) -> Tls | None:
    # Older versions are offered, too: whether a server takes one is what is asked.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with socket.create_connection((host, port), timeout=WITHIN) as plain:
        with context.wrap_socket(plain, server_hostname=host) as encrypted:
            cipher = encrypted.cipher()
            return tls_of(encrypted.version(), cipher and cipher[0], verified=verified, ca_sha256=ca_sha256)
