"""A recorded sign-off as the files that OpenSSH verifies it with."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.sign_offs import NAMESPACE, ToSignOff
from ccdr.host.signatures import key_of
from ccdr.model.errors import CcdrError
from ccdr.model.values import utc

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


def fits(population: Path, given: ToSignOff) -> bool:
    """Are the rows of this period, and of its plans, in a package's population.csv those that were signed? OSError or
    ValueError where it cannot be read."""
    digest, count = sha256(), 0
    with population.open("rb") as file:
        heading = file.readline()
        digest.update(heading)
        columns = next(csv.reader([heading.decode()]))
        for line in file:
            row = dict(zip(columns, next(csv.reader([line.decode("utf-8")])), strict=True))
            of_plans = not given.plans or row["plan"] in given.plans
            if of_plans and row["started"] and given.start <= utc(row["started"]) < given.end:
                digest.update(line)
                count += 1
    return (count, digest.hexdigest()) == (given.rows, given.sha256)
