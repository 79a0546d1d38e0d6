"""The owner's canaries, looked at where they are: nobody has a reason to change them."""

from __future__ import annotations

import json
from hashlib import sha256

from ccdr.model.errors import CommandFailed
from ccdr.plans.job import Job
from ccdr.ports.place import Source


def digests_of(job: Job, source: Source) -> dict[str, str | None]:
    """Of each, by name: a digest of the file, or of the rows that its query gives; None where there is none."""
    found: dict[str, str | None] = {}
    for name, canary in job.engine.canaries.items():
        try:
            if canary.path is not None:
                found[name] = sha256(canary.path.read_bytes()).hexdigest()
            else:
                rows = job.engine.ask(source, str(canary.query))
                found[name] = sha256(json.dumps(rows).encode()).hexdigest() if rows else None
        except FileNotFoundError:
            found[name] = None
        except CommandFailed as error:
            if error.stalled:
                raise
            found[name] = None  # whatever it asked is no more
    return found
