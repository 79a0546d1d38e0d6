"""Does a journal still say what was decided? Whoever may write the state could name another target or snapshot there:
the ledger tells, whose chain that would break."""

from __future__ import annotations

from ccdr.evidence.history.kinds import RECOVER_START
from ccdr.jobs.recover.journal import FILE, Told, sum_of
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError


def require_as_decided(told: Told, services: Services) -> None:
    """CcdrError where the ledger says that another thing was decided, or does not know of it. One
    that cannot be read is no reason to have no data."""
    try:
        records = services.ledger.as_read(reverse=True)
        begun = next((r for r in records if r.get("kind") == RECOVER_START and r.get("run") == told.run), None)
    except CcdrError:
        return
    if begun is None:
        why = f"the ledger knows of no recovery with its run, {told.run}"
    elif begun.get("decided_sha256") == sum_of(told.decided):
        return
    else:
        why = "what it says was decided is not what the ledger has of it"
    raise CcdrError(
        f"the recovery's journal {told.directory / FILE} is not believed: {why}",
        hint="who may write there? Look at the targets yourself, and begin a new recovery",
    )
