"""The versions of plans in a repository: stored whenever they change, listed and read. Whoever holds its password may
have planted one.
"""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path, PurePosixPath

from ccdr import __version__
from ccdr.evidence.records.plans import PlanStored
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs import in_force
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import BackupBad, CcdrError, OutputTooLong
from ccdr.model.instant import Instant
from ccdr.model.values import Verb
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.plans.roles import as_role
from ccdr.plans.shape import is_name
from ccdr.plans.trust import confirmed, require_confirmed
from ccdr.plans.versions import PLAN_FORMAT, digest_of, files_of
from ccdr.plans.yamlfile import MAX_BYTES, parse
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic

PLAN = "plan"  # the kind of a snapshot that holds a version's files
MOST_FILES = 200
MOST_BYTES = 16 << 20  # of all files of a version together, with what tar puts around them
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Planted(CcdrError):
    """A stored version of a plan is not as ccdr writes one: nothing of it is taken."""


@dataclass(frozen=True)
class StoredVersion:
    """One snapshot of a plan's version, by its tags. `writer` and `host` are who stored it, as that said of itself."""

    snapshot: str
    plan: str
    digest: str
    at: datetime
    root: str
    plan_format: int
    writer: str | None = None
    host: str | None = None
    ccdr: str | None = None

    @property
    def short(self) -> str:
        return self.snapshot[:8]


def listed(snapshots: Iterable[RepoSnapshot], now: datetime) -> tuple[list[StoredVersion], list[str]]:
    """What of the repository's snapshots are versions of plans, oldest first; and a sentence on each that claims to be
    one, and is passed over."""
    versions, refused = [], []
    for s in snapshots:
        if s.tag("kind") != PLAN:
            continue
        try:
            versions.append(_version(s, now))
        except Planted as error:
            refused.append(str(error))
    return sorted(versions, key=lambda v: (v.at, v.snapshot)), refused


def _version(s: RepoSnapshot, now: datetime) -> StoredVersion:
    plan, digest, written = s.tag("plan") or "", s.tag("version") or "", s.tag("plan_format") or ""
    if not is_name(plan):
        raise Planted(f"snapshot {s.id[:8]} is passed over: its plan has no name that a plan may have")
    if not _DIGEST.fullmatch(digest) or not re.fullmatch(r"[0-9]{1,6}", written, re.ASCII) or not _one_root(s.paths):
        raise Planted(f"snapshot {s.id[:8]} of the plan {plan} is passed over: its tags are not as ccdr writes them")
    if in_the_future(s, now):
        raise Planted(f"snapshot {s.id[:8]} of the plan {plan} is passed over: its date is in the future")
    told = {key: _harmless(s.tag(key)) for key in ("writer", "host", "ccdr")}
    return StoredVersion(s.id, plan, digest, s.time, s.paths[0], int(written), **told)


def in_the_future(s: RepoSnapshot, now: datetime) -> bool:
    return s.time > now + CLOCK_TOLERANCE


def _one_root(paths: Sequence[str]) -> bool:
    return len(paths) == 1 and paths[0].startswith("/") and len(paths[0]) < 4096


def _harmless(text: str | None) -> str | None:
    """What somebody else wrote, for a terminal."""
    return text and "".join(c if c.isprintable() else "?" for c in text[:100])


def newest_first(versions: Sequence[StoredVersion], plan: str) -> list[StoredVersion]:
    """A plan's versions, each digest once: where it was stored last."""
    seen: dict[str, StoredVersion] = {}
    for version in reversed([v for v in versions if v.plan == plan]):
        seen.setdefault(version.digest, version)
    return list(seen.values())


def read(repo: Restic, version: StoredVersion) -> dict[str, bytes]:
    """The version's files, by `plans/NAME.yaml` and `restore_tests/NAME.yaml`. Planted where it is not as ccdr writes
    one; CcdrError where it cannot be had."""
    what = f"snapshot {version.short} of the plan {version.plan}"
    try:
        archive = repo.archive(version.snapshot, version.root, most=MOST_BYTES)
        files = _files(archive, version.root)
    except OutputTooLong:
        raise Planted(f"{what} is passed over: it holds more than a plan and its restore tests do") from None
    except BackupBad as error:
        raise Planted(f"{what} is passed over: {error}") from None
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise Planted(f"{what} is passed over: it cannot be read ({type(error).__name__})") from None
    except Planted as error:
        raise Planted(f"{what} is passed over: {error}") from None
    if f"plans/{version.plan}.yaml" not in files or sum(name.startswith("plans/") for name in files) != 1:
        raise Planted(f"{what} is passed over: it does not hold that plan alone")
    if digest_of({name: sha256(text).hexdigest() for name, text in files.items()}) != version.digest:
        raise Planted(f"{what} is passed over: its files are not those that its digest stands for")
    if not all(_is_what_it_is_named(name, text) for name, text in files.items()):
        raise Planted(f"{what} is passed over: it holds a file that is no plan and no restore test of its name")
    return files


def _is_what_it_is_named(name: str, text: bytes) -> bool:
    """A mapping that says its own name, as plans and restore tests of any ccdr do: no settings of another program."""
    directory, _, file = name.partition("/")
    document, _ = parse(text)
    data = document.data if document is not None else None
    key = "plan" if directory == "plans" else "restore_test"
    return isinstance(data, dict) and str(data.get(key)) == file.removesuffix(".yaml")


def _files(archive: bytes, root: str) -> dict[str, bytes]:
    """The files of a tar archive of `root`. Planted where anything else is in it, or a name that no plan has."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for number, member in enumerate(tar):
            if number >= MOST_FILES:
                raise Planted(f"it holds more than {MOST_FILES} files")
            name = name_within(member.name, root)
            if member.isdir():
                if name not in ("", "plans", "restore_tests"):
                    raise Planted("it holds a directory that no plan has")
            elif not member.isreg():
                raise Planted("it holds something that is no file")
            elif name is None or not may_be_named(name) or name in files:
                raise Planted("it holds a file of a name that no plan and no restore test has")
            elif member.size > MAX_BYTES:
                raise Planted(f"it holds a file of more than {MAX_BYTES} bytes")
            else:
                taken = tar.extractfile(member)
                files[name] = taken.read(MAX_BYTES + 1) if taken is not None else b""
    return files


def name_within(path: str, root: str) -> str | None:
    """The path of a member below `root`, an absolute path; "" for `root` itself, None for what is not below it."""
    whole = PurePosixPath("/") / path
    if ".." in whole.parts or "\0" in path:
        return None
    try:
        below = whole.relative_to(root)
    except ValueError:
        return "" if PurePosixPath(root).is_relative_to(whole) else None
    return "" if below == PurePosixPath() else str(below)


def may_be_named(name: str) -> bool:
    """`plans/NAME.yaml` or `restore_tests/NAME.yaml`, and nothing else."""
    directory, _, file = name.partition("/")
    stem = file.removesuffix(".yaml")
    return directory in ("plans", "restore_tests") and file == f"{stem}.yaml" and is_name(stem)


def as_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each."""
    return {name: sha256(text).hexdigest() for name, text in sorted(files.items())}


# Store the files of a plan's version in its repository whenever they change, so that a lost host's plans can be had
# again. No version is ever removed there: no prune and no retention knows of them.

AGAIN = timedelta(hours=1)  # after a try in vain
LOOK = timedelta(days=1)  # how often the repository is asked whether what was stored is still there


class StoredPlan(StateFile, frozen=True):
    """How it stood when it was last looked at; when it is lost, the repository is asked."""

    digest: str | None = None
    repository: str | None = None
    seen: Instant | None = None  # when the repository held it
    tried: Instant | None = None

    def holds(self, digest: str, repository: str) -> bool:
        return (self.digest, self.repository) == (digest, repository)

    def within(self, at: datetime | None, wait: timedelta, now: datetime) -> bool:
        return at is not None and now - wait < at <= now + wait


def store(plans: Sequence[LoadedPlan], services: Services) -> list[str]:
    """Have the repository hold the files of each plan's version. A sentence for each that could not be stored; the next
    backup, or run, tries again."""
    notes = []
    for loaded in plans:
        try:
            _store(loaded, services)
        except (CcdrError, OSError) as error:
            notes.append(f"the plan {loaded.plan.plan} could not be stored in its repository: {error}")
    return notes


def store_pending(plans: Sequence[LoadedPlan], services: Services) -> list[str]:
    """As `store`, of those that were changed since they were stored, on the host that takes their backups: a plan need
    not wait for the next one. Not where nothing was ever stored, nor where that was tried in vain just now."""
    now, pending = services.clock.now(), []
    histories = services.histories()
    for loaded in plans:
        note, of = _noted(loaded, services), histories.get((loaded.plan.plan, None))
        if note.holds(_digest(loaded), _where(loaded)) or note.within(note.tried, AGAIN, now):
            continue
        if loaded.plan.recovery_only or not confirmed(loaded):
            continue
        if (of is None or of.answers_for(Verb.BACKUP)) and services.knows(loaded.plan.plan):
            pending.append(loaded)
    return store(pending, services)


def _store(loaded: LoadedPlan, services: Services) -> None:
    digest, where, note, now = _digest(loaded), _where(loaded), _noted(loaded, services), services.clock.now()
    if not loaded.texts or loaded.plan.recovery_only:  # one that was made from the repository is no news to it
        return
    require_confirmed(loaded)  # what this host has stored, it knows: nothing goes there unseen
    held = note.holds(digest, where)
    if held and note.within(note.seen, LOOK, now):
        return
    _write_note(loaded, services, StoredPlan(note.digest, note.repository, note.seen, now))
    repo = services.repository(as_role(loaded, Role.BACKUP), limits_of(loaded), gentle=True)
    with services.state.reading(repo.location):
        if not (held and _there(repo, loaded.plan.plan, digest, now)):
            snapshot = _stored(loaded, services, repo, digest)
            stored = PlanStored(plan=loaded.plan.plan, digest=digest, snapshot=snapshot, repository=where)
            services.ledger.write(stored)
    _write_note(loaded, services, StoredPlan(digest, where, now, None))


def _stored(loaded: LoadedPlan, services: Services, repo: Restic, digest: str) -> str:
    """Each host stores its own; one that another host stored is the same."""
    directory = in_force.kept_in(services, loaded.plan.plan, digest)
    in_force.keep(loaded, directory)
    ledger = services.ledger
    tags = [OURS, f"kind={PLAN}", f"plan={loaded.plan.plan}", f"version={digest}", f"plan_format={PLAN_FORMAT}"]
    told = {"writer": ledger.actor, "host": ledger.host, "ccdr": __version__}
    tags += [f"{key}={value.replace(',', ' ')}" for key, value in told.items()]  # restic takes a comma for two tags
    return repo.backup([directory.absolute()], tags=tags).id


def _there(repo: Restic, plan: str, digest: str, now: datetime) -> bool:
    """Is this still the newest version there?"""
    versions, _ = listed(repo.snapshots([OURS, f"kind={PLAN}", f"plan={plan}"]), now)
    return bool(versions) and versions[-1].digest == digest


def _digest(loaded: LoadedPlan) -> str:
    return digest_of(files_of(loaded))


def _where(loaded: LoadedPlan) -> str:
    repository = loaded.facts.repository
    return repository.location if repository else ""


def _note(loaded: LoadedPlan, services: Services) -> Path:
    return services.state.root / "plans" / loaded.plan.plan / "stored.json"


def _noted(loaded: LoadedPlan, services: Services) -> StoredPlan:
    return state_or_none(_note(loaded, services), StoredPlan) or StoredPlan()


def _write_note(loaded: LoadedPlan, services: Services, note: StoredPlan) -> None:
    with contextlib.suppress(CcdrError):  # it only saves time
        write_state(_note(loaded, services), note)
