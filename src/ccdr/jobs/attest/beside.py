"""Other ledgers, in `STATE/ledgers/ID`, read-only: lost ones that are brought back, and other hosts'."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ccdr.evidence.checkpoints.names import ANCHORS, CHECKPOINTS
from ccdr.evidence.history.kinds import BACKUP_END, TEST_END
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.beside import id_in, is_id, itself, read_id, reader
from ccdr.evidence.lineage.comparing import keep, read
from ccdr.evidence.lineage.values import LEDGERS
from ccdr.evidence.package.bag import BY_LEDGER, DATA, examine, is_package
from ccdr.evidence.package.hidden import TREE
from ccdr.evidence.records.lineage import LedgerCollected
from ccdr.host.files import write_durably
from ccdr.host.state import State
from ccdr.jobs.attest.taking_in import Taken, copied, placed, settle
from ccdr.jobs.checkpoints.kept import directory_of
from ccdr.jobs.services import Services
from ccdr.model.errors import LedgerBroken, UsageProblem
from ccdr.model.values import utc

LARGEST = 1024**2  # bytes of a checkpoint, or of a receipt


def others(state: State) -> list[tuple[str, Path]]:
    """Every other ledger that is here, by its id."""
    entries = sorted((state.root / LEDGERS).glob("*")) if (state.root / LEDGERS).is_dir() else []
    return [(path.name, path) for path in entries if path.is_dir() and not path.name.startswith(".")]


def collect(source: Path, services: Services, named: str | None = None) -> Taken:
    """Take in another host's ledger, or more of one that is here; `named` is what people call where it came from.
    UsageProblem where there is none, or it is ours; LedgerBroken where it does not verify, is shorter than what is
    here, or another chain under the same id."""
    directory = source / "ledger" if (source / "ledger").is_dir() else source
    if is_package(source):
        directory = _in_package(source)
    verification = verify(directory)
    if not verification.records and verification.ok:
        raise UsageProblem(f"{source} holds no ledger", hint="name the directory of *.jsonl, or a state directory")
    ledger = id_in(directory) if verification.ok else read_id(directory)
    if ledger is None and verification.ok:
        raise UsageProblem(
            f"the ledger in {source} does not say which one it is",
            hint="run any ccdr of this version there once: its next record names it",
        )
    lineage = read(services.state, services.ledger)
    if ledger is not None and ledger == lineage.ledger:
        raise UsageProblem(f"the ledger in {source} is this host's own", hint="name another host's")
    if verification.ok:
        _as_known(directory, str(ledger), services)
    known = lineage.beside.get(str(ledger))
    if known is not None:
        settle(services.state, known)
    taken = copied(services.state, str(ledger), directory, verification, named or str(source), known)
    done = placed(services.state, _recorded(taken, services))
    _with_checkpoints(source, done.ledger, services.state)
    return done


def _with_checkpoints(source: Path, ledger: str, state: State) -> None:
    """The signed checkpoints that lie with it, and the receipts of their anchors. What is here stays as it is: who
    verifies is told where they differ from the lines. CcdrError where the disk refuses."""
    below = source / DATA if is_package(source) else source
    there, here = below / CHECKPOINTS / ledger, directory_of(state, ledger)
    for path in (*sorted(there.glob("*.txt")), *sorted((there / ANCHORS).glob("*"))):
        to = here / path.relative_to(there)
        if path.is_file() and not path.is_symlink() and not to.exists() and path.stat().st_size <= LARGEST:
            write_durably(to, path.read_bytes())


def _in_package(source: Path) -> Path:
    """Where the ledger of the host that made it lies in a package. LedgerBroken where the package is not as it was
    written; UsageProblem where it shows a part of the ledger only."""
    package, wrong = examine(source)
    if wrong:
        raise LedgerBroken(
            f"the package {source} is not as it was written: {wrong[0]}",
            hint=f"`ccdr ledger verify {source}` lists all damage; nothing was taken in",
        )
    own = package.info.get(BY_LEDGER, "")
    if not is_id(own):  # it must not lead elsewhere
        raise UsageProblem(f"the package {source} does not say which ledger it is of ({BY_LEDGER})")
    directory = source / DATA / "ledgers" / own
    if (directory / TREE).exists():
        raise UsageProblem(
            f"the package {source} shows a part of a ledger", hint="`ccdr ledger export DIR` there packs all of it"
        )
    return directory


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
    by_plan: dict[str, set[str]] = {}
    for record in ledger.as_read():
        snapshot = record.get("snapshot")
        if record["kind"] in (BACKUP_END, TEST_END) and isinstance(snapshot, dict) and snapshot.get("id"):
            by_plan.setdefault(str(record["plan"]), set()).add(str(snapshot["id"]))
    return by_plan


def _as_known(directory: Path, ledger: str, services: Services) -> None:
    """What the snapshots that this host knows of attest of it: whoever may write there may have chained it anew.
    LedgerBroken where it is not that."""
    there, says, catalogue = reader(directory), itself(directory), services.catalogue
    for plan in (path.name for path in catalogue.directory.glob("*") if path.is_dir()):
        for s in (s for asset in catalogue.assets(plan) for s in catalogue.snapshots(plan, asset)):
            attested = s.attested
            if attested is None or attested.ledger != ledger:
                continue
            line = there.hash_of(attested.seq)
            if line is not None and line != attested.head and not says.excuses(there, attested.seq, attested.prev):
                raise LedgerBroken(
                    f"record {attested.seq} of the ledger in {directory} is not the one that snapshot {s.short} of "
                    f"{s.plan} attests: it was rewritten",
                    hint="nothing was taken in: find out who wrote to it, on its host; keep both as evidence",
                )


def _recorded(taken: Taken, services: Services) -> Taken:
    """Have our ledger say that it lies there, as it is: only what it says so of is read with it."""
    known, apart = read(services.state, services.ledger).beside.get(taken.ledger), _apart(taken, services)
    if known is not None and (known.records, known.head, list(known.apart)) == (taken.records, taken.head, apart):
        return taken
    last = next(reader(taken.directory).records(reverse=True))
    collected = LedgerCollected(
        ledger=taken.ledger,
        of_host=str(last["host"]),
        records=taken.records,
        head=taken.head,
        until=utc(last["time"]),
        apart=apart,
    )
    ref = services.ledger.write(collected)
    keep(services.state, services.ledger)
    return replace(taken, record=ref)
