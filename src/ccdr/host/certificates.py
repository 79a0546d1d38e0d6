"""An OpenSSH certificate (PROTOCOL.certkeys): whose key it is, and for which names. Nothing of it is verified here."""

from __future__ import annotations

import struct

_OF = "-cert-v01@openssh.com"
_FIELDS = {  # of the public key
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}


def certified(blob: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The public key itself, and the names that its certificate is for; of what is no certificate that blob, and none.
    ValueError where it is cut off."""
    kind, rest = _text(blob)
    name = kind.decode("ascii", "replace")
    fields = _FIELDS.get(name.removesuffix(_OF)) if name.endswith(_OF) else None
    if fields is None:
        return blob, ()
    _nonce, rest = _text(rest)
    plain = name.removesuffix(_OF) + ("@openssh.com" if name.startswith("sk-") else "")
    key = [plain.encode()]
    for _ in range(fields):
        one, rest = _text(rest)
        key.append(one)
    _id, rest = _text(rest[12:])  # behind a serial number and a type
    names, found = _text(rest)[0], list[str]()
    while names:
        one, names = _text(names)
        found.append(one.decode("utf-8", "replace"))
    return b"".join(struct.pack(">I", len(one)) + one for one in key), tuple(found)


def _text(data: bytes) -> tuple[bytes, bytes]:
    """The first one of SSH's wire format (RFC 4251, section 5), and what is behind it."""
    if len(data) < 4 or len(data) < 4 + (length := int.from_bytes(data[:4])):
        raise ValueError("it is cut off")
    return data[4 : 4 + length], data[4 + length :]
