"""Other ledgers, in `STATE/ledgers/ID`, read-only: lost ones that are brought back, and other hosts'."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.evidence.history.kinds import BACKUP_END, TEST_END
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.lineage.answers import waiting
from ccdr.evidence.lineage.beside import directory_of, found_at, id_in, itself, new_of, read_id, reader
from ccdr.evidence.lineage.comparing import keep, read
from ccdr.evidence.lineage.values import COLLECTED, LEDGERS, LINKED, Beside, Lost, Standing
from ccdr.evidence.records.schema import schemas
from ccdr.host.state import State, remove_tree
from ccdr.jobs.attest.comparison import TAG, asked
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import BackupBad, CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import ATTESTED, Attestation, RecordRef, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.storage.restic import RepoSnapshot

KIND = "ledger"  # of the snapshots that hold a ledger
SCHEMAS = "schemas"  # in an export
MOST_TRIED = 5  # of these, when one is brought back


@dataclass(frozen=True)
class Taken:
    """A ledger that lies beside ours now."""

    ledger: str
    records: int
    head: str
    directory: Path
    new: int  # records that were not there before
    missing: int = 0  # how many more are known to have been in it
    lost: Lost | None = None  # what was known of it before it was brought back
    source: str | None = None  # the plan whose repository it came from
    record: RecordRef | None = None

    @property
    def until(self) -> str | None:
        """When its last record is of."""
        return next((str(record["time"]) for record in reader(self.directory).records(reverse=True)), None)

    def as_json(self) -> dict[str, object]:
        return {
            "ledger": self.ledger,
            "records": self.records,
            "head": self.head,
            "directory": str(self.directory),
            "new": self.new,
            "missing": self.missing,
            "source": self.source,
            "until": self.until,
            "record": self.record and self.record.as_json(),
        }


def others(state: State) -> list[tuple[str, Path]]:
    """Every other ledger that is here, by its id."""
    found = sorted((state.root / LEDGERS).glob("*")) if (state.root / LEDGERS).is_dir() else []
    return [(path.name, path) for path in found if path.is_dir() and not path.name.startswith(".")]


def collect(source: Path, services: Services) -> Taken:
    """Take in another host's ledger, or more of one that is here. UsageProblem where there is none, or it is ours;
    LedgerBroken where it does not verify, is shorter than what is here, or another chain under the same id."""
    directory = source / "ledger" if (source / "ledger").is_dir() else source
    found = verify(directory)
    if not found.records and found.ok:
        raise UsageProblem(f"{source} holds no ledger", hint="name the directory of *.jsonl, or a state directory")
    ledger = id_in(directory) if found.ok else read_id(directory)
    if ledger is None and found.ok:
        raise UsageProblem(
            f"the ledger in {source} does not say which one it is",
            hint="run any ccdr of this version there once: its next record names it",
        )
    lineage = read(services.state, services.ledger)
    if ledger is not None and ledger == lineage.ledger:
        raise UsageProblem(f"the ledger in {source} is this host's own", hint="name another host's")
    if found.ok:
        _as_known(directory, str(ledger), services)
    known = lineage.beside.get(str(ledger))
    if known is not None:
        _settle(services.state, known)
    taken = copied(services.state, str(ledger), directory, found, str(source), known)
    return placed(services.state, _told(taken, services))


def _apart(taken: Taken, services: Services) -> list[str]:
    """Plans of it that this host has one of the same name of, and no snapshot in common with: two hosts may have called
    something else the same. Where one of them knows of no snapshot at all, nobody can tell."""
    theirs, ours = _snapshots(reader(taken.directory)), _snapshots(services.ledger)
    for other in (path for name, path in others(services.state) if name != taken.ledger):
        for plan, ids in _snapshots(reader(other)).items():
            ours.setdefault(plan, set()).update(ids)
    for plan in theirs:
        known = services.catalogue.directory.joinpath(plan).glob("*/*.json")
        ours.setdefault(plan, set()).update(path.stem for path in known)
    return sorted(plan for plan, ids in theirs.items() if ours[plan] and not ids & ours[plan])


def _snapshots(ledger: Ledger) -> dict[str, set[str]]:
    """By plan: whatever it tells of as stored or tested."""
    found: dict[str, set[str]] = {}
    for record in ledger.told():
        snapshot = record.get("snapshot")
        if record["kind"] in (BACKUP_END, TEST_END) and isinstance(snapshot, dict) and snapshot.get("id"):
            found.setdefault(str(record["plan"]), set()).add(str(snapshot["id"]))
    return found


def _as_known(directory: Path, ledger: str, services: Services) -> None:
    """What the snapshots that this host knows of attest of it: whoever may write there may have chained it anew.
    LedgerBroken where it is not that."""
    there, says, catalogue = reader(directory), itself(directory), services.catalogue
    for plan in (path.name for path in catalogue.directory.glob("*") if path.is_dir()):
        for s in (s for asset in catalogue.assets(plan) for s in catalogue.snapshots(plan, asset)):
            said = s.attested
            if said is None or said.ledger != ledger:
                continue
            line = there.hash_of(said.seq)
            if line is not None and line != said.head and not says.excuses(there, said.seq, said.prev):
                raise LedgerBroken(
                    f"record {said.seq} of the ledger in {directory} is not the one that snapshot {s.short} of "
                    f"{s.plan} attests: it was rewritten",
                    hint="nothing was taken in: find out who wrote to it, on its host; keep both as evidence",
                )


def _told(taken: Taken, services: Services) -> Taken:
    """Have our ledger say that it lies there, as it is: only what it says so of is read with it."""
    known, apart = read(services.state, services.ledger).beside.get(taken.ledger), _apart(taken, services)
    if known is not None and (known.records, known.head, list(known.apart)) == (taken.records, taken.head, apart):
        return taken
    last = next(reader(taken.directory).records(reverse=True))
    body = {
        "ledger": taken.ledger,
        "of_host": str(last["host"]),
        "records": taken.records,
        "head": taken.head,
        "until": str(last["time"]),
        "apart": apart,
    }
    ref = services.ledger.append(COLLECTED, plan=None, asset=None, run=None, body=body)
    keep(services.state, services.ledger)
    return replace(taken, record=ref)


def copied(
    state: State, ledger: str, source: Path, found: Verification, named: str, known: Beside | None = None
) -> Taken:
    """Copy a chain to beside its place, whole or not at all: it is told of before it is `placed`, so that whoever is
    killed between leaves one of the two there as our ledger tells. LedgerBroken where it must not be: it goes on from
    what is there, or (what lies there may have been changed) from what our own ledger says that it was: `known`."""
    if not found.ok:
        raise LedgerBroken(
            f"the ledger in {named} does not verify: {found.problems[0]}",
            hint=f"`ccdr ledger verify {source}` lists all damage; nothing was taken in",
        )
    target, before = directory_of(state, ledger), 0
    here = None if not target.is_dir() and known is None else known or verify(target)
    if here is not None and here.records:
        before = here.records if target.is_dir() else 0
        if found.records < here.records:
            raise LedgerBroken(
                f"the ledger in {named} has {found.records} records, and {here.records} of it are here already",
                hint=f"it was cut since; {target} has the longer one",
            )
        if reader(source).hash_of(here.records) != here.head:
            raise LedgerBroken(
                f"the ledger in {named} is another chain than what is here of {ledger[:8]}…: one of them was rewritten",
                hint=f"keep both as evidence; the one that was here first is in {target}",
            )
    temporary = new_of(state.directory(LEDGERS) / ledger)
    remove_tree(temporary)
    try:
        _copy(source, temporary)
        again = verify(temporary)
        if not again.ok or again.records < found.records:
            raise LedgerBroken(f"the copy of {named} does not verify", hint="is the disk well? try again")
    except OSError as error:
        remove_tree(temporary)
        raise _unwritten(target, error) from None
    except CcdrError:
        remove_tree(temporary)
        raise
    return Taken(ledger, again.records, again.head, temporary, again.records - before)


def placed(state: State, taken: Taken) -> Taken:
    """Put what was copied, and is told of, in its place."""
    target = directory_of(state, taken.ledger)
    aside = taken.directory.with_suffix(".old")
    try:
        remove_tree(aside)
        if target.is_dir():
            target.rename(aside)
        taken.directory.rename(target)
        remove_tree(aside)
    except OSError as error:
        raise _unwritten(target, error) from None
    return replace(taken, directory=target)


def _settle(state: State, known: Beside) -> None:
    """Put in its place what somebody told of, and was killed before that."""
    if (found := found_at(state, known)) != directory_of(state, known.ledger):
        placed(state, Taken(known.ledger, known.records, known.head, found, 0))


def _unwritten(target: Path, error: OSError) -> CcdrError:
    return CcdrError(f"{target} cannot be written: {error.strerror}", hint="make room there, and try again")


def _copy(source: Path, target: Path) -> None:
    """The segments, what was set aside of torn lines, and the id; nobody writes to them any more."""
    target.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and (path.suffix in (".jsonl", ".bin") or path.name == "id"):
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(0o400)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    target.chmod(0o500)


def exported(services: Services, into: Path) -> Verification:
    """A copy of the live ledger, to be given away, with the schemas of its records: what its verification found.
    CcdrError where it cannot be made."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        _copy(services.ledger.directory, into)
        into.chmod(0o700)
        for path in into.iterdir():
            path.chmod(0o600)
        schemas_of = into / SCHEMAS
        schemas_of.mkdir(mode=0o700)
        for kind, schema in schemas().items():
            (schemas_of / f"{kind}.json").write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", "utf-8")
            (schemas_of / f"{kind}.json").chmod(0o600)
    except OSError as error:
        raise CcdrError(f"{into} cannot be written: {error.strerror}", hint="name another directory") from None
    return verify(into)


def elsewhere(loaded: LoadedPlan) -> LoadedPlan | None:
    """The plan as if the repository that it names for the ledger were its own; None where it names none."""
    other = loaded.plan.ledger_repository
    return None if other is None else replace(loaded, plan=loaded.plan.model_copy(update={"repository": other}))


def stored_in(loaded: LoadedPlan, services: Services, ledger: str) -> list[RepoSnapshot]:
    """What a plan's repository holds of a ledger, the one with most records last."""
    found = asked(loaded, services).snapshots([TAG, f"kind={KIND}", f"ledger={ledger}"])
    return sorted(found, key=lambda s: (number(s), s.time))


def number(stored: RepoSnapshot) -> int:
    """How many records a stored ledger has by its tag."""
    said = stored.tag("ledger_seq") or ""
    return int(said) if said.isdecimal() else 0


def recover(plans: Sequence[LoadedPlan], services: Services) -> list[Taken]:
    """Bring back what was lost from the repositories of these plans, and link it: LEDGER_LOST is over by it.
    UsageProblem where nothing was lost, or what is there was changed: a person sets that aside first. CcdrError where
    none of it is stored anywhere, LedgerBroken where what is stored is not what snapshots attest."""
    state, ledger = services.state, services.ledger
    lineage = read(state, ledger)
    if lineage.kept in (Standing.CUT, Standing.REWRITTEN, Standing.OTHER):
        raise UsageProblem(
            f"nothing is lost: {lineage.problem}",
            hint=f"keep {state.ledger} as evidence: move it away, and run this again; docs/explanation/evidence.md",
        )
    wanted = waiting(state, ledger)
    if not wanted:
        raise UsageProblem(
            "no ledger was lost here: there is nothing to bring back",
            hint="is all of the state gone? then nothing here knows of it yet: `ccdr run`, or a backup, asks the "
            "repository; call this again after it",
        )
    return [_recovered(one, plans, services) for one in wanted]


def _recovered(one: Lost, plans: Sequence[LoadedPlan], services: Services) -> Taken:
    return replace(_brought_back(one, plans, services), lost=one)


def _brought_back(one: Lost, plans: Sequence[LoadedPlan], services: Services) -> Taken:
    lost, seq = one.ledger, one.seq
    troubles: list[str] = []
    if (here := directory_of(services.state, lost)).is_dir():  # somebody had a copy, and has collected it
        found = verify(here)
        if found.ok and (seq == 0 or found.records < seq or reader(here).hash_of(seq) == one.head):
            taken = Taken(lost, found.records, found.head, here, 0)
            return link(taken, None, max(0, seq - found.records), services)
        troubles.append(f"{here} {'is another chain than what was lost' if found.ok else 'does not verify'}")
    for loaded in [place for p in plans for place in (elsewhere(p), p) if place is not None]:
        try:
            stored = stored_in(loaded, services, lost)
        except CcdrError as error:
            troubles.append(f"{loaded.plan.plan}: {error}")
            continue
        wrong: LedgerBroken | None = None
        for copy in stored[: -MOST_TRIED - 1 : -1]:  # whoever may write there may store anything under its name
            try:
                return _from(loaded, copy, lost, seq, services)
            except LedgerBroken as error:
                wrong = wrong or error
        if wrong is not None:
            raise wrong
    said = f" ({'; '.join(troubles)})" if troubles else ""
    raise CcdrError(
        f"the ledger {lost[:8]}… is not stored in the repositories of {', '.join(p.plan.plan for p in plans)}{said}",
        hint="name other plans, or put a copy of it back with `ccdr ledger collect DIR`, then run this again; "
        "`ccdr ack LEDGER_LOST` answers for what is lost for good",
    )


def _from(loaded: LoadedPlan, stored: RepoSnapshot, lost: str, seq: int, services: Services) -> Taken:
    plan, state = loaded.plan.plan, services.state
    with state.run(services.clock) as run:
        into = run.directory("ledger")
        repo = services.repository(loaded, limits_of(loaded))
        repo.restore(stored.id, stored.paths[0], into)
        found, named = verify(into), f"snapshot {stored.id[:8]} of {plan}"
        if found.ok and id_in(into) != lost:
            raise BackupBad(f"{named} holds another ledger than its tag says", hint="name another plan")
        _as_attested(into, loaded, services, lost)
        taken = copied(state, lost, into, found, named)
    return placed(state, link(taken, plan, max(0, seq - taken.records), services))


def _as_attested(directory: Path, loaded: LoadedPlan, services: Services, lost: str) -> None:
    """What was stored could have been changed before it was: the snapshots know better."""
    there, says = reader(directory), itself(directory)
    head = there.head().seq
    listed = asked(loaded, services).snapshots([TAG, f"plan={loaded.plan.plan}", f"ledger={lost}"])
    for s in listed:
        said = Attestation.of({key: s.tag(key) for key in ATTESTED})
        if said is None or said.seq > head or there.hash_of(said.seq) == said.head:
            continue
        if not says.excuses(there, said.seq, said.prev):
            raise LedgerBroken(
                f"record {said.seq} of the stored ledger is not the one that snapshot {s.id[:8]} of {rfc3339(s.time)} "
                "attests: it was rewritten before it was stored",
                hint="nothing was taken in; older snapshots of it may be whole: `restic snapshots --tag kind=ledger`",
            )


def link(taken: Taken, plan: str | None, missing: int, services: Services) -> Taken:
    """Record that a lost ledger lies beside this one now."""
    body = {
        "ledgers": [taken.ledger],
        "records": taken.records,
        "head": taken.head,
        "missing": missing,
        "reason": f"{so_many(missing, 'record')} of it are lost" if missing else None,
    }
    ref = services.ledger.append(LINKED, plan=plan, asset=None, run=None, body=body)
    keep(services.state, services.ledger)
    return replace(taken, missing=missing, source=plan, record=ref)
