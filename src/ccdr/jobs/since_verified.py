"""Verify what is new of this host's ledger: from where the newest verification that it tells of had come to.

Whatever is before that is not read: that it is as it was, the daily verification shows, and `ccdr ledger verify`. What
the walk has to know of it (runs that had begun, records of a later ccdr) is in the summary that this verification has
kept, which is believed where its digest is the one that the verification's record holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from ccdr.evidence.history.places import Histories
from ccdr.evidence.ledger.ledger import RECOVERED
from ccdr.evidence.ledger.lines import UNKNOWN
from ccdr.evidence.ledger.places import BEGINNING, files_in
from ccdr.evidence.ledger.verification import Begun, Unfinished, Verification, VerifiedPart, verify
from ccdr.evidence.lineage.values import VERIFIED
from ccdr.evidence.summary import HOLDS, kept
from ccdr.jobs.daily_verification import DIFFERS
from ccdr.jobs.services import Services
from ccdr.model.values import TOLD_BY, utc


@dataclass(frozen=True)
class VerifiedBefore:
    """The newest verification: its record's number, and when it was. `part` is what it had verified, `begun` the runs
    that had no end then."""

    record: int
    at: datetime
    part: VerifiedPart
    begun: Begun


def verified_before(services: Services) -> VerifiedBefore | None:
    """None where there is nothing to go on from: none was made, the newest found something, what it kept is not there
    as it was, or the line that it came to is not. CcdrError where the ledger cannot be read."""
    ledger, beside = services.ledger, services.population()
    newest = next(islice(ledger.newest(VERIFIED), 1), None)
    if newest is None or newest.get("result") != HOLDS or newest.get("summary") == DIFFERS:
        return None
    file = kept(services.state, ledger)
    summary = None if file is None else file.summary(beside)
    if summary is None or (summary.mark.seq, summary.mark.hash) != (newest.get("records"), newest.get("head")):
        return None
    first, last = next(iter(ledger.records()), None), ledger.at(summary.mark)
    unknown = _unknown(summary.known)
    if first is None or last is None or newest["seq"] <= summary.mark.seq or (unknown and beside):
        return None  # of records that are not read, in ledgers beside ours the summary does not tell whose they are
    times = utc(first["time"]), utc(last["time"])
    part = VerifiedPart(summary.mark, times, _set_aside(services, summary.mark.seq), unknown)
    return VerifiedBefore(int(newest["seq"]), utc(newest["time"]), part, _begun(summary.known))


def verify_on(services: Services, before: VerifiedBefore) -> Verification:
    """What is new. CcdrError where it cannot be read."""
    return verify(services.ledger.directory, since=before.part, begun=before.begun)


def checkpoint_stands(services: Services) -> int | None:
    """Of how many records the newest checkpoint is, where the key of its time signed it, it is of the tree that was
    kept of it, and the line that this came to is there; 0 where there is none. None: all has to be read to tell.
    CcdrError where the ledger cannot be read."""
    from ccdr.jobs.checkpoints.kept import directory_of, newest_in, read_grown
    from ccdr.jobs.checkpoints.signing_keys import current

    ledger = services.lineage().ledger
    directory = None if ledger is None else directory_of(services.state, ledger)
    newest = None if directory is None else newest_in(directory)
    if directory is None or newest is None:
        return 0
    grown, key = read_grown(directory), current(services)
    if grown is None or not newest.fits(grown.tree) or not services.ledger.holds(grown.mark):
        return None
    return newest.size if key is not None and newest.note.signed_by(key.key) else None


def _unknown(known: Histories) -> int:
    return sum(history.passed_over.get(UNKNOWN, [0])[0] for history in known.values())


def _begun(known: Histories) -> Begun:
    """Runbooks are not among them: one that was open then is told by who reads all."""
    starts = (start for history in known.values() for start in history.open_runs.values() if TOLD_BY not in start)
    begun: Begun = {}
    for start in sorted(starts, key=lambda one: int(one["seq"])):
        kind, about = start["kind"].removesuffix(".start"), (start["plan"], start["asset"], start["run"])
        begun[kind, *about] = Unfinished(kind, *about, start["host"], utc(start["time"]), start["seq"])
    return begun


def _set_aside(services: Services, until: int) -> frozenset[str]:
    """Files of torn lines that records up to there tell of; looked for only where there is such a file."""
    if not any(path.name.startswith("torn-") for path in files_in(services.ledger.directory)):
        return frozenset()
    told = (one for one in services.ledger.of_itself(BEGINNING) if one["kind"] == RECOVERED and one["seq"] <= until)
    return frozenset(str(one.get("file")) for one in told)
