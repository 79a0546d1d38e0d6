"""Plans and restore tests back from a repository alone: its address and its password are all that is known.

What is written carries out nothing: a mark beside the plans says where they came from, and which of their commands were
confirmed (plans/trust.py). A password that comes through a pipe is kept in the directory, for it comes only once; a
file is named where it lies.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from ccdr import __version__
from ccdr.host.state_files import encoded
from ccdr.jobs.plan_in_repository.directory import as_target, finish, staged, write
from ccdr.jobs.plan_in_repository.made import MADE_FORMAT, made_plan, unstored_plans
from ccdr.jobs.plan_in_repository.needed import Secret, secrets_of
from ccdr.jobs.plan_in_repository.stored_versions import (
    Planted,
    StoredVersion,
    as_files,
    listed,
    newest_first,
    read,
)
from ccdr.jobs.services import BUILT_IN, Services
from ccdr.model.errors import CcdrError, Exit, PlanInvalid, PlanNewer, UsageProblem, WrittenByNewer
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan, Repository, load_plan
from ccdr.plans.one_server import instead_of
from ccdr.plans.trust import MARK, Command, Given, Mark, Origin, commands_of, refuse_newer
from ccdr.plans.versions import PLAN_STORED, digest_of
from ccdr.ports.place import Progress
from ccdr.storage.listing import OF_BEFORE, OURS
from ccdr.storage.restic import Restic

VERSIONS = "versions"  # where older versions go, below the directory
RECOVERED = "recovered"  # where a recovery may go to, if there is such a place beside it already
OTHER = "other"  # where a plan goes whose restore tests have names that another plan's have too
_LARGEST_SECRET = 1 << 20


@dataclass(frozen=True)
class BootstrapRequest:
    url: str
    password_file: Path
    env_file: Path | None
    into: Path
    all_versions: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Taken:
    """One plan that was, or would be, written: `made` from what the repository holds where no version was stored.
    `wrong` is why this ccdr cannot use it, and `newer`: a newer one can."""

    plan: str
    path: Path
    version: StoredVersion | None
    files: tuple[str, ...]
    made: bool = False
    known_here: bool = False
    newer: bool = False
    wrong: str | None = None
    commands: tuple[Command, ...] = ()
    secrets: tuple[Secret, ...] = ()
    lacks: tuple[str, ...] = ()
    untargeted: bool = True  # not every asset has a target
    twice: tuple[tuple[str, str, str], ...] = ()  # an asset, from which other to recover instead, and why

    @property
    def directory(self) -> Path:
        """Of plans: what --plans is to name."""
        return self.path.parent

    def as_json(self) -> dict[str, object]:
        v = self.version
        return {
            "plan": self.plan,
            "file": str(self.path),
            "made": self.made,
            "version": v and {"digest": v.digest, "snapshot": v.snapshot, "stored": rfc3339(v.at), "writer": v.writer,
                              "host": v.host, "ccdr": v.ccdr},
            "restore_tests": [name for name in self.files if name.startswith("restore_tests/")],
            "known_here": self.known_here,
            "newer": self.newer,
            "wrong": self.wrong,
            "commands": [{"where": c.where, "command": list(c.words)} for c in self.commands],
            "secrets": [secret.as_json() for secret in self.secrets],
            "lacks": list(self.lacks),
            "instead": [{"asset": a, "recover_from": first, "why": why} for a, first, why in self.twice],
        }  # fmt: skip


@dataclass
class Bootstrapped:
    """What was written. `older` counts versions beside the newest; `passed_over` says what was not taken."""

    into: Path
    dry_run: bool
    plans: list[Taken] = field(default_factory=list)
    older: int = 0
    passed_over: list[str] = field(default_factory=list)
    key_kept: Path | None = None  # where a password is kept that came through a pipe

    @property
    def exit_code(self) -> Exit:
        return Exit.FINDING if self.passed_over or any(p.wrong and not p.newer for p in self.plans) else Exit.OK


def bootstrap(request: BootstrapRequest, services: Services, progress: Progress) -> Bootstrapped:
    """Write the plans that the repository holds into an absent or empty directory: all, or nothing. UsageProblem where
    that is not one, CcdrError where the repository cannot be opened, holds no plan and nothing of ours, or the disk
    refuses."""
    target = as_target(request.into)
    with _beside(target, dry_run=request.dry_run) as staging:
        given, opened = _given(request, staging, target)
        repo = services.opened(opened, BUILT_IN)
        progress.step("opening the repository")
        repo.probe()
        done = Bootstrapped(target, request.dry_run)
        if given.password_file.is_relative_to(target):
            done.key_kept = given.password_file
        _take_all(_Work(request, services, repo, given, staging, target, progress, done))
        if not request.dry_run:
            (staging / RECOVERED).mkdir()
            for place in (staging, staging / RECOVERED):  # a server's own user finds its data; plans and keys stay ours
                place.chmod(0o711)
            finish(staging, target)
    return done


@contextmanager
def _beside(target: Path, *, dry_run: bool) -> Iterator[Path]:
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="ccdr-") as place:
            yield Path(place)
    else:
        with staged(target) as staging:
            yield staging


def _given(request: BootstrapRequest, staging: Path, target: Path) -> tuple[Given, Repository]:
    """How it is to be opened from now on, and how it is now."""
    key, now_key = _at_hand(request.password_file, "key", staging, target)
    env, now_env = _at_hand(request.env_file, "env", staging, target) if request.env_file else (None, None)
    stated = {"url": request.url, "password_file": str(now_key), "env_file": str(now_env) if now_env else None}
    try:
        repository = Repository.model_validate(stated, context={"base": Path.cwd()})
    except ValidationError as error:
        why = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())
        raise UsageProblem(f"the repository's address {why}", hint="it is what restic is given with -r") from None
    return Given(repository.url, key, env), repository


def _at_hand(path: Path, name: str, staging: Path, target: Path) -> tuple[Path, Path]:
    """Where a secret will lie, and where it lies now: a file stays where it is; what is no file is read once, and
    kept."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return path.absolute(), path.absolute()
        with path.open("rb") as file:
            contents = file.read(_LARGEST_SECRET)
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}", hint="name the file that holds it") from None
    write(staging, f"secrets/repository.{name}", contents)
    return target / "secrets" / f"repository.{name}", staging / "secrets" / f"repository.{name}"


@dataclass
class _Work:
    request: BootstrapRequest
    services: Services
    repo: Restic
    given: Given
    staging: Path
    target: Path
    progress: Progress
    done: Bootstrapped
    marks: dict[str, dict[str, Origin]] = field(default_factory=dict)  # by the directory, of plans
    written: dict[str, bytes] = field(default_factory=dict)  # by name below the directory


def _take_all(work: _Work) -> None:
    work.progress.step("listing what it holds")
    there = work.repo.snapshots([OURS])
    versions, work.done.passed_over = listed(there, work.services.clock.now())
    for plan in sorted({v.plan for v in versions}):
        candidates = newest_first(versions, plan)
        newest = _take_newest(work, candidates)
        if newest is not None and work.request.all_versions:
            for version in candidates:
                _take_older(work, version)
        work.done.older += len(candidates) - 1 if newest is not None else 0
    taken = {one.plan for one in work.done.plans}
    for plan in unstored_plans(there, taken):
        work.progress.step(f"making the plan {plan} from what the repository holds of it")
        made = made_plan(plan, there, work.repo, work.given, work.services.clock.now())
        work.done.passed_over += made.passed_over
        if made.assets:
            _write(work, plan, made.files, None, lacks=made.lacks)
    if not work.done.plans:
        raise CcdrError(
            "the repository holds no plan, and no backup that ccdr made"
            + (f"; {work.done.passed_over[0]}" if work.done.passed_over else "")
            + ("; what it holds is of before the first release" if work.repo.snapshots([OF_BEFORE]) else ""),
            hint="is it the right one? `restic snapshots` lists what it holds",
        )
    for directory, origins in work.marks.items():
        mark = Mark(rfc3339(work.services.clock.now()), work.given, origins)
        write(work.staging, f"{directory}{MARK}", encoded(mark))


def _take_newest(work: _Work, candidates: Sequence[StoredVersion]) -> StoredVersion | None:
    """The newest that is as ccdr writes one; one that is not is passed over, and told."""
    for version in candidates:
        work.progress.step(f"reading the plan {version.plan}")
        try:
            files = read(work.repo, version)
        except Planted as error:
            work.done.passed_over.append(str(error))
            continue
        _write(work, version.plan, files, version)
        return version
    return None


def _take_older(work: _Work, version: StoredVersion) -> None:
    work.progress.step(f"reading the plan {version.plan} of {rfc3339(version.at)[:19]}Z")
    with contextlib.suppress(Planted):  # told before, or not the newest: it is not what anybody goes by
        files = read(work.repo, version)
        below = f"{VERSIONS}/{version.plan}/{version.at:%Y%m%dT%H%M%SZ}-{version.digest[:12]}/"
        for name, text in files.items():
            write(work.staging, f"{below}{name}", text)
        origin = Origin(version.plan, version.digest, as_files(files), version.plan_format, version.ccdr)
        work.marks.setdefault(f"{below}plans/", {})[version.plan] = origin


def _write(
    work: _Work, plan: str, files: Mapping[str, bytes], version: StoredVersion | None, *, lacks: Sequence[str] = ()
) -> None:
    """A plan's files, where plans are looked for; below `OTHER` where another plan has restore tests of these names
    that say something else."""
    clash = any(work.written.get(name, text) != text for name, text in files.items())
    below = f"{OTHER}/{plan}/" if clash else ""
    for name, text in files.items():
        write(work.staging, f"{below}{name}", text)
        work.written.setdefault(f"{below}{name}", text)
    digests = as_files(files)
    if version is None:
        origin = Origin(plan, digest_of(digests), digests, MADE_FORMAT, __version__, made=True)
    else:
        origin = Origin(plan, version.digest, digests, version.plan_format, version.ccdr)
    one = Taken(plan, work.target / below / f"plans/{plan}.yaml", version, tuple(files), version is None)
    one = replace(one, lacks=tuple(lacks), known_here=version is not None and _known_here(work.services, version))
    try:
        loaded = _loaded(work, below, origin)
    except (PlanNewer, WrittenByNewer) as error:
        one = replace(one, newer=True, wrong=str(error))
    except CcdrError as error:
        one = replace(one, wrong=str(error))
    else:
        commands = commands_of(loaded.plan)
        if one.known_here:
            origin = replace(origin, confirmed=frozenset(c.digest for c in commands))
        waiting = tuple(c for c in commands if c.digest not in origin.confirmed)
        secrets = tuple(secrets_of(loaded.plan, unconfirmed=frozenset(c.where for c in waiting)))
        twice = tuple((a, *found) for a in loaded.plan.assets if (found := instead_of(loaded.plan, a)) is not None)
        one = replace(one, commands=waiting, secrets=secrets, untargeted=loaded.plan.untargeted, twice=twice)
    work.marks.setdefault(f"{below}plans/", {})[plan] = origin
    work.done.plans.append(one)


def _loaded(work: _Work, below: str, origin: Origin) -> LoadedPlan:
    """As it will be read. PlanNewer where a newer ccdr stored it and this one cannot tell what it says."""
    path = work.staging / below / "plans" / f"{origin.plan}.yaml"
    refuse_newer(origin)
    try:
        return load_plan(path, path.parent.parent / "restore_tests", work.target / below / "plans")
    except PlanInvalid as error:
        refuse_newer(origin, error)
        there = os.fspath(work.staging)
        raise CcdrError(str(error).replace(there, str(work.target))) from None


def _known_here(services: Services, version: StoredVersion) -> bool:
    """Has this very host stored that version? Then it went by it, or somebody confirmed it here."""
    with contextlib.suppress(CcdrError):
        history = services.histories().get((version.plan, None))
        record = history.newest.get(PLAN_STORED) if history else None
        return record is not None and record.get("digest") == version.digest
    return False
