"""Once a night, for a Unix group: a package of a plan's evidence, where the plan says so (`package:`).

Nothing is removed that is not, byte for byte, what a record of this ledger says that ccdr wrote for this plan. Until it
is whole, what is written lies beside, in a directory of a name that nobody can guess, which the state has before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import DONE, FAILED
from ccdr.evidence.judgement.upkeep import approval_of
from ccdr.evidence.package.bag import BY_LEDGER, INFO, TAGS, Bag, examine, is_package
from ccdr.evidence.package.verifying import PLANS
from ccdr.evidence.records import PackageEnd
from ccdr.host.files import sync_directory
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.approvals import believed
from ccdr.jobs.package import Choice, Order, fill, sources, told_of
from ccdr.jobs.recorded import document
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, failure_of
from ccdr.model.trouble import Trouble
from ccdr.model.values import RecordRef, Verb
from ccdr.plans import LoadedPlan
from ccdr.plans.package_place import group_of, misplaced
from ccdr.ports.place import Unwatched
from ccdr.telling.package import closed, told_by_records

NEW, OLD = "new", "old"
FOLDER, FILE = 0o750, 0o640
ABOVE = 0o711  # of directories that lead there: to pass through, for any group


@dataclass(frozen=True)
class NightlyPackage:
    """What came of it, as it was recorded."""

    ended: PackageEnd
    record: RecordRef
    hint: str | None

    @property
    def exit_code(self) -> Exit:
        return Exit.OK if self.ended.result == DONE else Exit.NOT_CARRIED_OUT

    def as_json(self) -> dict[str, object]:
        return document(self.ended, self.record, hint=self.hint)


class Placing(StateFile, frozen=True):
    """STATE/packages/PLAN.json, while one is written: the directory that it is written in, and where it is to lie."""

    beside: str
    target: str


def write_nightly(loaded: LoadedPlan, services: Services) -> NightlyPackage:
    """Write one, in place of the one before. Locked where another process is at it; CcdrError where the ledger cannot
    be written. All else is in the result, and recorded."""
    plan, wanted = loaded.plan, loaded.plan.package
    assert wanted is not None
    began, run = services.clock.monotonic(), services.state.run_id(services.clock)

    def recorded(hint: str | None = None, **about: Any) -> NightlyPackage:
        seconds = round(services.clock.monotonic() - began, 1)
        ended = PackageEnd(plan=plan.plan, run=run, tenant=plan.tenant, seconds=seconds, **about)
        return NightlyPackage(ended, services.ledger.write(ended), hint)

    with services.state.lock(plan.plan, "", Verb.PACKAGE):
        note = services.state.directory("packages") / f"{plan.plan}.json"
        try:
            _require_allowed(loaded, services)
            _clear(note)
            target = Path(os.path.realpath(wanted.directory.parent), wanted.directory.name)
            _require_ours(target, plan.plan, services)
            with _beside(target, note) as beside:
                last = _written(loaded, services, beside / NEW, group_of(wanted.group))
                # First: what lies there is always known by a record.
                done = recorded(result=DONE, exported=last, manifest=_digest(beside / NEW))
                _placed(beside, target)
        except Exception as error:
            why = failure_of(error)
            done = recorded(why.hint, result=FAILED, reason=why.reason)
    return done


def _require_allowed(loaded: LoadedPlan, services: Services) -> None:
    """Whoever changes a plan's file decides neither what root writes over, nor who reads what nobody has approved."""
    for problem in misplaced(loaded, services.state.root):
        raise CcdrError(f"{problem.path} {problem.message}")
    history = believed([loaded], services).get((loaded.plan.plan, None), AssetHistory())
    if any(one.trouble is Trouble.PLAN_UNAPPROVED for one in approval_of(loaded, history, services.clock.now())):
        raise CcdrError("nobody has approved this version of the plan, which says who may read its evidence")


def _require_ours(target: Path, plan: str, services: Services) -> None:
    """Nothing is there, or the package that a record says ccdr wrote for this plan: all of it, and nothing else."""
    if not os.path.lexists(target):
        return
    found, why = os.lstat(target), None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or not is_package(target):
        why = "is there, and is no package of ccdr's"
    elif (labels := _labels(target)).get(BY_LEDGER) != services.lineage().ledger:
        why = "is a package of another ledger"
    elif labels.get(PLANS) != plan:
        why = "is a package of other plans"
    elif _digest(target) not in _recorded(plan, services):
        why = "is a package that no run of this plan wrote, or was changed since"
    elif findings := examine(target)[1]:
        why = f"was changed since it was written ({findings[0].code})"
    if why is not None:
        raise CcdrError(f"{target} {why}: look at it, and move it away, or name another directory")


def _labels(package: Path) -> dict[str, str]:
    try:
        lines = Bag(package, {}, {}, True).read(INFO).decode("utf-8", "replace").splitlines()
    except ValueError:
        return {}
    return {label: value for label, _, value in (line.partition(": ") for line in lines)}


def _digest(package: Path) -> str:
    """By which it is known: all of its files hang on this one. Empty where there is none."""
    try:
        return sha256(Bag(package, {}, {}, True).read(TAGS)).hexdigest()
    except ValueError:
        return ""


def _recorded(plan: str, services: Services) -> Iterator[str]:
    for record in services.ledger.newest(PackageEnd):
        if isinstance(record, PackageEnd) and (record.plan, record.result) == (plan, DONE) and record.manifest:
            yield record.manifest


@contextmanager
def _beside(target: Path, note: Path) -> Iterator[Path]:
    """A new directory of ours alone, on the same disk, which is gone at the end. CcdrError where the disk refuses."""
    beside = target.with_name(f".ccdr-package-{secrets.token_hex(16)}")
    write_state(note, Placing(beside=str(beside), target=str(target)))
    try:
        for above in reversed([one for one in target.parents if not one.exists()]):
            above.mkdir(mode=0o700)
            above.chmod(ABOVE)
        beside.mkdir(mode=0o700)
        yield beside
    except OSError as error:
        hint = "make room there, or name another directory"
        raise CcdrError(f"{target} cannot be written: {error.strerror}", hint=hint) from None
    finally:
        _clear(note)


def _clear(note: Path) -> None:
    """Of a run, or of one that was killed: what it took away is put back where nothing came in its place. CcdrError
    where that cannot be."""
    if (left := state_or_none(note, Placing)) is None:
        return
    beside, target = Path(left.beside), Path(left.target)
    try:
        if os.path.lexists(beside / OLD) and not os.path.lexists(target):
            (beside / OLD).rename(target)
        if os.path.lexists(beside):
            shutil.rmtree(beside)  # it refuses a link, and follows none
        note.unlink()
    except OSError as error:
        raise CcdrError(f"{beside}, which ccdr made, cannot be removed: {error.strerror or 'it is a link'}") from None


def _written(loaded: LoadedPlan, services: Services, root: Path, group: int | None) -> int:
    """On disk, and the group's to read; the number of the record that it ends with."""
    assert group is not None
    choice, found = Choice(None, frozenset({loaded.plan.plan})), sources(services)
    told, mark, lacks = closed(services, told_of(services, choice, found, texts=True), loaded.path.parent)
    if mark is None:
        raise lacks[0]
    root.mkdir(mode=0o700)
    fill(services, Order(choice, None, told), told_by_records, sources(services, mark), root, Unwatched())
    for folder, _, names in os.walk(root):
        for path, mode in ((Path(folder), FOLDER), *((Path(folder, name), FILE) for name in names)):
            os.chown(path, -1, group)
            path.chmod(mode)
    os.sync()
    return told.seq


def _placed(beside: Path, target: Path) -> None:
    if os.path.lexists(target):
        target.rename(beside / OLD)
    (beside / NEW).rename(target)
    sync_directory(target.parent)
