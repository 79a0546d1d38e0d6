"""What people signed, as the files that OpenSSH verifies it with; is a sign-off of the rows that are here?"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.records.statements import PeriodPopulation
from ccdr.evidence.statements import signatures_of
from ccdr.evidence.verdicts import Record
from ccdr.host.signatures import key_of
from ccdr.model.errors import CcdrError
from ccdr.model.values import utc

FOLDER = "signed"


def files_of(record: Record) -> dict[str, str]:
    """What an auditor verifies a recorded statement with, by the names of files: for each signature the text, the
    signature, and the line of allowed_signers that its record vouches for (compare it with the file itself):

    ssh-keygen -Y verify -f NAME.allowed_signers -I WHO -n PURPOSE -s NAME.txt.sig < NAME.txt
    """
    files = dict[str, str]()
    for one in signatures_of(record):
        name = f"{one.namespace}-{record['seq']:06}-{record['nonce'][:8]}"
        line = f'{one.by["name"]} namespaces="{one.namespace}" {key_of(str(one.by["signature"]))}\n'
        files |= {f"{name}.txt": one.text, f"{name}.txt.sig": str(one.by["signature"])}
        files[f"{name}.allowed_signers"] = line
    return files


def readable_files_of(record: Record) -> dict[str, str]:
    """The same; nothing of one that no ccdr can have recorded."""
    try:
        return files_of(record)
    except (CcdrError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}


def fit(population: Path, given: Sequence[PeriodPopulation]) -> list[bool]:
    """Of each: are the rows of its period, and of its plans, in a package's population.csv those that were signed? The
    file is one that `population.read` takes. OSError where it cannot be read."""
    with population.open("rb") as file:
        heading = file.readline()
        columns = next(csv.reader([heading.decode()]))
        digests, counts = [sha256(heading) for _ in given], [0 for _ in given]
        for line in file if given else ():
            row = dict(zip(columns, next(csv.reader([line.decode()])), strict=True))
            try:
                started = utc(row["started"])
            except (ValueError, OverflowError):  # the row that closes the file has none
                continue
            for at, one in enumerate(given):
                if one.begins <= started < one.ends and (not one.plans or row["plan"] in one.plans):
                    digests[at].update(line)
                    counts[at] += 1
    told = zip(counts, (digest.hexdigest() for digest in digests), strict=True)
    return [both == (one.rows, one.population_sha256) for both, one in zip(told, given, strict=True)]
