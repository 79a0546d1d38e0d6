"""A recorded sign-off as the files that OpenSSH verifies it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccdr.evidence.sign_offs import NAMESPACE, ToSignOff
from ccdr.host.signatures import key_of
from ccdr.model.errors import CcdrError

FOLDER = "sign-offs"


def files_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What an auditor verifies a recorded sign-off with, by the names of files: the text, its signature, and the line
    of allowed_signers that its record vouches for (compare it with the file itself, by the record's
    `signers_sha256`):

    ssh-keygen -Y verify -f NAME.allowed_signers -I WHO -n ccdr-sign-off -s NAME.txt.sig < NAME.txt
    """
    given, by = ToSignOff.recorded(record), record["by"]
    name = f"sign-off-{given.start:%Y%m%d}-{given.end:%Y%m%d}-{given.nonce[:8]}"
    line = f'{by["name"]} namespaces="{NAMESPACE}" {key_of(str(by["signature"]))}\n'
    return {
        f"{name}.txt": given.text(),
        f"{name}.txt.sig": str(by["signature"]),
        f"{name}.allowed_signers": line,
    }


def readable_files_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The same; nothing of one that no ccdr can have recorded."""
    try:
        return files_of(record)
    except (CcdrError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}
