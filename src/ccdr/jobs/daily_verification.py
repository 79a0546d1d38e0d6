"""The evidence looks after itself: once a day `ccdr run` verifies the whole ledger and makes the summary of it anew; in
between, what is new is verified from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.due_gaps import LedgerGap
from ccdr.evidence.folding import Fold, Place, read_folded
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.ledger.ledger import BEGINNING, Mark, files_in
from ccdr.evidence.ledger.verification import Begun, Unfinished, Verification, VerifiedPart, verify
from ccdr.evidence.lineage.comparison import differs, keep, misnamed
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.reading import another_walk, meanwhile
from ccdr.evidence.records import LedgerRecovered
from ccdr.evidence.records.upkeep import LedgerVerified
from ccdr.evidence.records.values import UNKNOWN, code
from ccdr.evidence.summary import HOLDS, forget_older, keep_summary, kept, sum_up
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import RecordRef, so_many, utc

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.verification import Checked
    from ccdr.jobs.checkpoints.held_to import Brought

# What was found is a record in the ledger. A finding stands until all holds again, and is looked for every hour until
# then. Against whoever may write all of the state directory this is no proof, but nothing stays hidden for longer
# than a day; `ccdr ledger verify` compares whenever somebody asks. Nobody reads a summary that is not as the ledger
# says.

BROKEN = "BROKEN"
EQUAL, DIFFERS, NONE = "EQUAL", "DIFFERS", "NONE"  # the summary that was kept
EVERY, SOON = timedelta(days=1), timedelta(hours=1)
MOST_RECORDED = 5  # problems that a record spells out


class KeptMark(StateFile, frozen=True):
    """verified.json: where the record of the last verification stands, and the hash of the one before it."""

    mark: Mark
    prev: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A ledger that was verified, and how the summary kept beside it compares; `differences` are sentences."""

    ledger: Verification
    summary: str
    differences: tuple[str, ...]
    folded: Fold = field(default_factory=Fold, compare=False, repr=False)  # our own, up to its end
    checked: Checked | None = field(default=None, compare=False, repr=False)  # by its checkpoints and anchors
    gaps: tuple[LedgerGap, ...] = ()  # due times for which nothing was begun, by its own plans

    @property
    def problems(self) -> tuple[str, ...]:
        return self.ledger.problems + self.differences + self.contradictions

    @property
    def contradictions(self) -> tuple[str, ...]:
        """What its checkpoints and the receipts of its anchors say otherwise."""
        return tuple(str(one) for one in self.checked.findings) if self.checked else ()


@dataclass(frozen=True)
class Finding:
    """The newest verification, as its record (number `seq`) has it. `index` has the digests of the files that a report
    may begin from."""

    at: datetime
    records: int
    result: str
    summary: str
    problems: tuple[str, ...]
    seq: int = 0
    index: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.result == HOLDS and self.summary != DIFFERS

    def as_json(self) -> dict[str, object]:
        return {
            "verified": self.at.isoformat().replace("+00:00", "Z"),
            "ok": self.ok,
            "records": self.records,
            "summary": self.summary,
            "problems": list(self.problems),
        }


def compare(services: Services, brought: Brought | None = None, *, keeps: bool = False) -> Comparison:
    """Walk the whole ledger, hold it to its checkpoints and to what whoever asks has `brought`, and make the summary
    anew on the way, as far as the one that is kept goes, and what is kept of its lineage; verify those that lie beside
    it. Neither is judged of a ledger that does not verify, nor is a summary of others than lie there now. CcdrError
    where it cannot be read. Changes nothing. `keeps`: the summary that is made of its end is wanted, too."""
    from ccdr.jobs.checkpoints.held_to import NOTHING_BROUGHT, of_live  # no other run need load what signs

    with another_walk(services.ledger.directory, partial(of_live, services, brought or NOTHING_BROUGHT)) as checked:
        found = _compare(services, keeps=keeps)
        comparison = replace(found, checked=checked(), gaps=tuple(found.folded.due.gaps()))
    changed = services.lineage().changed
    if comparison.ledger.ok and changed is None and differs(services.state, services.ledger):
        changed = "chain.json says otherwise than the ledger of what became of it: it was changed"
    return (
        comparison
        if changed is None
        else replace(comparison, summary=DIFFERS, differences=(*comparison.differences, changed))
    )


def _compare(services: Services, *, keeps: bool) -> Comparison:
    ledger, beside = services.ledger, services.population()
    of_others = beside.problems()
    file = kept(services.state, ledger)
    expected, name, as_recorded = (
        (None, None, False) if file is None else (file.expected(beside), file.name, file.as_recorded)
    )
    del file  # of a large ledger it has tens of megabytes
    verification, folded = read_folded(ledger.directory, None if beside else expected, keeps=keeps and not beside)
    if verification.ok:
        changed = [*_kept_mark(services), *misnamed(ledger.directory)]
        verification = replace(verification, problems=(*verification.problems, *changed))
    verification = replace(verification, problems=(*verification.problems, *_wrong(folded.wrong), *of_others))
    found = Comparison(verification, NONE, (), folded)
    if not verification.ok or name is None:
        return found
    if not as_recorded:
        difference = f"{name} is not as the last verification had made it: it was changed, and is not read"
        return replace(found, summary=DIFFERS, differences=(difference,))
    if expected is None or not ledger.holds(expected.mark):  # it would not be read
        return found
    if not (expected.is_of(sum_up(ledger, beside, expected.mark)) if beside else folded.alike):
        difference = f"{name} says otherwise than the ledger that it sums up: `ccdr status` was not to be believed"
        return replace(found, summary=DIFFERS, differences=(difference,))
    return replace(found, summary=EQUAL)


def _wrong(passed_over: Mapping[Place, Sequence[int]]) -> list[str]:
    """Records that cannot be so, by the places that they are about."""
    problems = []
    for key, (count, last) in passed_over.items():
        more = f" and {so_many(count - 1, 'more')} about the same" if count > 1 else ""
        about = "/".join(part for part in key if part) or "this host"
        problems.append(f"record {last}, about {about}, cannot be understood: no ccdr wrote it so{more}")
    return problems[:MOST_RECORDED]


def _kept_mark(services: Services) -> list[str]:
    """Is the record of the last verification still there? It is not where the ledger was begun anew, which says so."""
    kept = state_or_none(_path(services.state), KeptMark)
    if kept is None:
        return []
    lineage, ledger, mark = services.lineage(), services.ledger, kept.mark
    if ledger.at(mark) is not None or lineage.lost or lineage.past or lineage.excuses(ledger, mark.seq, kept.prev):
        return []
    return [f"record {mark.seq}, of the last verification, is not in the ledger any more: it was cut off or rewritten"]


def newest(lineage: Lineage) -> Finding | None:
    """What the newest verification in the ledger found; None where there is none."""
    last = lineage.verified
    if last is None:
        return None
    return Finding(utc(last.at), last.records, last.result, last.summary, last.problems, last.seq, last.index)


def daily(services: Services, index: Callable[[Services], dict[str, str]] | None = None) -> tuple[Finding | None, bool]:
    """Verify, if that is due; what the newest verification found, and whether that is bad news. A ledger that is less
    than a day old is let be. `index` makes that of a ledger that holds (digests of its files, by name). CcdrError where
    it cannot be read or written."""
    lineage, now = services.lineage(), services.clock.now()
    last = newest(lineage)
    if not _due(last, services, now) and (lineage.changed is None or (last and not last.ok)):
        return last, False
    with services.state.turn("verify") as mine:
        if not mine:
            return last, False
        verify_now(services, index)
    after = newest(services.lineage())
    before = () if last is None or last.ok else last.problems
    return after, after is not None and not after.ok and after.problems != before


def first_due(services: Services) -> datetime | None:
    """From when on a run verifies a ledger that none has verified yet; None where there is no record. CcdrError where
    it cannot be read."""
    first = next(services.ledger.as_read(), None)
    return None if first is None else first.time + EVERY


def verify_now(services: Services, index: Callable[[Services], dict[str, str]] | None = None) -> None:
    """Verify all of it now, and record what was found."""
    with meanwhile(partial(index, services)) if index else nullcontext(dict[str, str]) as made:
        comparison = compare(services, keeps=True)
        files = made() or {}
    if comparison.ledger.ok:
        files |= _keep_summary(services, comparison)
    _record(services, comparison, files)
    if comparison.ledger.ok:
        forget_older(services.state, files)
        keep(services.state, services.ledger, anew=comparison.summary == DIFFERS)


def _keep_summary(services: Services, comparison: Comparison) -> dict[str, str]:
    """The digest of its file, by that one's name; empty where none can be made: it only saves time."""
    with suppress(CcdrError):
        ledger, beside = services.ledger, services.population()
        if mark := ledger.mark_of(RecordRef(comparison.ledger.records, comparison.ledger.head)):
            folded = comparison.folded  # of which all is known only where nothing lay beside it then
            made = folded if folded.keeps and not beside else sum_up(ledger, beside, mark)
            return keep_summary(services.state, mark, made.up_to(mark))
    return {}


def _due(last: Finding | None, services: Services, now: datetime) -> bool:
    """Daily; soon where something is wrong, or all would be read: after an upgrade, or since others were put beside
    our ledger."""
    if last is None:
        first = next(services.ledger.as_read(), None)
        return first is not None and not now - EVERY < first.time <= now + SET_BACK
    file = kept(services.state, services.ledger)
    calm = last.ok and file is not None and file.mark(services.population()) is not None
    return not now - (EVERY if calm else SOON) < last.at <= now + SET_BACK


def _record(services: Services, comparison: Comparison, index: dict[str, str]) -> None:
    problems = comparison.problems[:MOST_RECORDED]
    verified = LedgerVerified(
        result=code(HOLDS if comparison.ledger.ok and not comparison.contradictions else BROKEN),
        reason="; ".join(problems) or None,
        records=comparison.ledger.records,
        head=comparison.ledger.head,
        summary=code(comparison.summary),
        problems=[str(problem) for problem in problems],
        index=index if comparison.ledger.ok else {},
    )
    ref = services.ledger.write(verified)
    mark = services.ledger.mark_of(ref)
    if mark is not None:
        last = services.ledger.at(mark)
        write_state(_path(services.state), KeptMark(mark=mark, prev=last.prev if last else None))


def _path(state: State) -> Path:
    return state.root / "verified.json"


# Verify what is new of this host's ledger: from where the newest verification that it tells of had come to.
#
# Whatever is before that is not read: that it is as it was, the daily verification shows, and `ccdr ledger verify`.
# What the walk has to know of it (runs that had begun, records of a later ccdr) is in the summary that this
# verification has kept, which is believed where its digest is the one that the verification's record holds.


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
    newest = next(ledger.newest(LedgerVerified), None)
    if not isinstance(newest, LedgerVerified) or newest.result != HOLDS or newest.summary == DIFFERS:
        return None
    file = kept(services.state, ledger)
    summary = None if file is None else file.summary(beside)
    if summary is None or (summary.mark.seq, summary.mark.hash) != (newest.records, newest.head):
        return None
    first, last = next(ledger.as_read(), None), ledger.at(summary.mark)
    unknown = _unknown(summary.known)
    if first is None or last is None or newest.seq <= summary.mark.seq or (unknown and beside):
        return None  # of records that are not read, in ledgers beside ours the summary does not tell whose they are
    times = first.time, last.time
    part = VerifiedPart(summary.mark, times, _set_aside(services, summary.mark.seq), unknown)
    return VerifiedBefore(newest.seq, newest.time, part, _begun(summary.known))


def verify_on(services: Services, before: VerifiedBefore) -> Verification:
    """What is new. CcdrError where it cannot be read."""
    return verify(services.ledger.directory, since=before.part, begun=before.begun)


def checkpoint_stands(services: Services) -> int | None:
    """Of how many records the newest checkpoint is, where the key of its time signed it, it is of the tree that was
    kept of it, and the line that this came to is there; 0 where there is none. None: all has to be read to tell.
    CcdrError where the ledger cannot be read."""
    from ccdr.jobs.checkpoints.creation import current
    from ccdr.jobs.checkpoints.store import directory_of, newest_in, read_grown

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
    return sum(history.passed_over.get(UNKNOWN, (0, 0))[0] for history in known.values())


def _begun(known: Histories) -> Begun:
    """Runbooks are not among them: one that was open then is told by who reads all."""
    starts = (start for history in known.values() for start in history.open_runs.values() if start.origin is None)
    begun: Begun = {}
    for start in sorted(starts, key=lambda one: one.seq):
        kind, about = start.kind.removesuffix(".start"), (start.plan, start.asset, start.run)
        begun[kind, *about] = Unfinished(kind, *about, start.host, start.time, start.seq)
    return begun


def _set_aside(services: Services, until: int) -> frozenset[str]:
    """Files of torn lines that records up to there tell of; looked for only where there is such a file."""
    if not any(path.name.startswith("torn-") for path in files_in(services.ledger.directory)):
        return frozenset()
    told = (one for one in services.ledger.of_itself(BEGINNING) if isinstance(one, LedgerRecovered))
    return frozenset(one.file for one in told if one.seq <= until)
