"""Plans and restore tests back from a repository alone, into an empty directory that is filled at once or not at all;
made from what the repository holds where no plan was stored. Its address and its password are all that is known.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ccdr import __version__
from ccdr.checks.integrity import Integrity
from ccdr.engines import AnyEngine, EngineConfig
from ccdr.engines.servers.connection import NOWHERE
from ccdr.host.files import remove_tree, sync_directory, write_durably
from ccdr.host.state_files import encoded, plain
from ccdr.jobs.plan_in_repository.stored_versions import (
    Planted,
    StoredVersion,
    as_files,
    in_the_future,
    listed,
    newest_first,
    read,
)
from ccdr.jobs.services import BUILT_IN, Services
from ccdr.jobs.shipping.log_archive import LOG
from ccdr.model.errors import (
    BackupBad,
    CcdrError,
    Exit,
    PlanInvalid,
    PlanNewer,
    RepositoryMissing,
    UsageProblem,
    WrittenByNewer,
)
from ccdr.model.values import Manifest, rfc3339
from ccdr.plans import LoadedPlan, Repository, load_plan
from ccdr.plans.lint import secret_files
from ccdr.plans.model import Plan
from ccdr.plans.one_server import instead_of
from ccdr.plans.shape import is_name
from ccdr.plans.trust import MARK, Command, Given, Mark, Origin, commands_of, refuse_newer
from ccdr.plans.versions import PLAN_FORMAT as MADE_FORMAT
from ccdr.plans.versions import digest_of
from ccdr.ports.place import Progress
from ccdr.storage.listing import OF_BEFORE, OURS, RepoSnapshot
from ccdr.storage.manifest import CAPTURED, MANIFEST, parse_manifest
from ccdr.storage.restic import Restic

# An empty directory that is filled at once or not at all: written beside, and given its name when it is whole.

_STAGED = ".ccdr-bootstrap-"  # in the name of what is written beside


def as_target(into: Path) -> Path:
    """Where it really lies; UsageProblem where it may not be written into: only what is absent or empty may."""
    try:
        target = into.resolve()
        if not target.exists():
            if not target.parent.is_dir():
                raise UsageProblem(f"{target.parent} does not exist", hint="create it, or name another --into DIR")
            return target
        if not target.is_dir():
            raise UsageProblem(f"{into} is not a directory", hint="name one with --into that is absent or empty")
        if next(target.iterdir(), None) is not None:
            raise UsageProblem(
                f"{into} is not empty, and nothing that exists is written over",
                hint="name a directory with --into that is absent or empty",
            )
    except (OSError, RuntimeError, ValueError) as error:  # a link that leads to itself, a NUL in the name
        why = getattr(error, "strerror", None) or "it has no name that a directory may have"
        raise UsageProblem(f"{into} cannot be looked at: {why}", hint="name another --into DIR") from None
    return target


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A directory beside the target, private, and gone when this ends, unless `finish` has given it the target's name.
    What earlier ones that were killed have left is removed first. CcdrError where it cannot be made."""
    _remove_left(target)
    staging = target.with_name(f".{target.name}{_STAGED}{os.getpid()}")
    try:
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise CcdrError(
            f"{target.parent} cannot be written to: {error.strerror}", hint="name another --into DIR, as a user who may"
        ) from None
    try:
        yield staging
    finally:
        if staging.exists():
            remove_tree(staging)


def finish(staging: Path, target: Path) -> None:
    """All of it is on disk, and has the target's name: only if that is still absent or empty."""
    try:
        staging.rename(target)  # an empty directory is replaced, another one is not
        sync_directory(target.parent)
    except OSError as error:
        if error.errno == errno.EBUSY:  # the empty directory is a file system of its own
            hint = f"it is a mount point: name a directory below it, as --into {target / 'ccdr'}"
            raise CcdrError(f"{target} cannot be replaced", hint=hint) from None
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise UsageProblem(f"{target} is not empty any more; nothing was written over") from None
        raise CcdrError(f"{target} cannot be written: {error.strerror}", hint="name another --into DIR") from None


def write(staging: Path, name: str, contents: bytes) -> None:
    """CcdrError where the disk refuses."""
    try:
        write_durably(staging / name, contents)
    except CcdrError as error:
        raise CcdrError(
            f"the plans cannot be written beside {staging.parent}: {error}",
            hint="free space there, or name another --into DIR; nothing was left behind",
        ) from None


def _remove_left(target: Path) -> None:
    with contextlib.suppress(OSError):
        for left in target.parent.glob(f".{target.name}{_STAGED}*"):
            pid = left.name.rpartition("-")[2]
            if pid.isdecimal() and not Path("/proc", pid).exists() and left.is_dir() and not left.is_symlink():
                remove_tree(left)


# Which secrets a plan still needs on this host, by name, and what for. A recovery needs the repository's alone: those
# of sources that are gone are for the next backups.

RECOVERY = "a recovery onto its target"
BACKUPS, TELLING, LEDGER, COPIES = "backups", "telling people", "storing the ledger", "copies elsewhere"
ROLES, OTHERWISE = "the jobs of its role", "what names it"


@dataclass(frozen=True)
class Secret:
    """`where` is the key of the plan, `expected` the file, or None where a command gives it. `there`: it is, or the
    command was confirmed."""

    plan: str
    where: str
    use: str
    asset: str | None
    expected: Path | None
    there: bool

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "where": self.where,
            "for": self.use,
            "asset": self.asset,
            "expected": str(self.expected) if self.expected else None,
            "there": self.there,
        }


def secrets_of(plan: Plan, *, unconfirmed: frozenset[str] = frozenset()) -> Iterator[Secret]:
    """Every secret that the plan names but its repository's, which was given; `unconfirmed` are the keys whose commands
    nobody has confirmed here."""
    for where, path in secret_files(plan):
        parts = tuple(map(str, where))
        if parts[0] == "repository":
            continue
        yield Secret(plan.plan, ".".join(parts), _use(parts), _asset(parts), path, path.is_file())
    for command in commands_of(plan):
        if command.where.endswith("password_command"):
            parts = tuple(command.where.split("."))
            if parts[0] == "repository":
                continue
            there = command.where not in unconfirmed
            yield Secret(plan.plan, command.where, _use(parts), _asset(parts), None, there)


def _use(where: tuple[str, ...]) -> str:
    uses = {"targets": RECOVERY, "ledger_repository": LEDGER, "assets": BACKUPS, "notify": TELLING, "copies": COPIES}
    uses["access"] = RECOVERY if where[1:2] == ("restore",) else ROLES
    return uses.get(where[0], OTHERWISE)


def _asset(where: tuple[str, ...]) -> str | None:
    return where[1] if where[0] in ("assets", "targets") and len(where) > 1 else None


# A plan made from what a repository holds of one that is not stored there: it was lost, or never stored.
#
# It is for recovery alone (`recovery_only: true`): engines, methods, sources and groups are what the newest manifests
# say, and whether the log was shipped is what the log's repository says. What snapshots do not tell (who answers for
# it, how the sources are reached, what must be true of a restored database) is said to be lacking.

TRIES = 3  # of an asset's newest manifests: one that cannot be read is passed over
LACKS = (
    "service, owner and objectives",
    "connection and credentials of the sources",
    "schedules and retention",
    "checks of its own in the restore tests",
)
_HEAD = """\
# Made by `ccdr bootstrap` on {now} from what the repository holds: nobody had stored a plan there.
# Good for recovery: to list, test and restore what is there. For backups it lacks:
# {lacks}.
# Addresses of servers are not known: {nowhere} leads nowhere. Once all is stated, remove `recovery_only`.

"""
_TEST = """\
# Made by `ccdr bootstrap`: what must be true of {asset} after a restore, as far as a backup alone can tell.

"""


@dataclass
class Made:
    """The files of the plan, as a stored version has them; `assets` are those that something was found of."""

    files: dict[str, bytes] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    lacks: tuple[str, ...] = LACKS
    passed_over: list[str] = field(default_factory=list)


def unstored_plans(there: Iterable[RepoSnapshot], known: Collection[str]) -> list[str]:
    """Plans that there are backups of, and no version that counts."""
    named = {s.tag("plan") or "" for s in there if s.tag("kind") == "backup"}
    return sorted(name for name in named if is_name(name) and name not in known)


def made_plan(plan: str, there: Sequence[RepoSnapshot], repo: Restic, given: Given, now: datetime) -> Made:
    """A plan of all assets that the repository holds a backup of. CcdrError where the repository fails."""
    made, assets = Made(), dict[str, dict[str, Any]]()
    manifests: dict[str, Manifest] = {}
    shipped = _shipped(plan, repo)
    for asset in _assets(plan, there):
        try:
            manifest = _newest(plan, asset, there, repo, now)
            assets[asset] = _stated(manifest, shipped=asset in shipped)
        except Planted as error:
            made.passed_over.append(f"{plan}/{asset} is left out of the plan: {error}")
        else:
            manifests[asset] = manifest
    if not assets:
        return made
    _grouped(assets, manifests)
    tests = {asset: _test_name(plan, asset) for asset in assets}
    for asset, stated in assets.items():
        stated["restore_test"] = {"schedule": "0 3 * * *", "checks": [tests[asset]]}
    body = {
        "plan": plan,
        "recovery_only": True,
        "repository": {key: value for key, value in plain(given).items() if value is not None},
        "assets": assets,
    }
    head = _HEAD.format(now=rfc3339(now)[:19] + "Z", lacks=", ".join(LACKS), nowhere=NOWHERE)
    made.files[f"plans/{plan}.yaml"] = (head + _yaml(body)).encode()
    for asset, name in tests.items():
        checks: list[dict[str, str]] = [{"kind": "identical"}]
        if assets[asset]["engine"] in Integrity.engines:
            checks.append({"kind": "integrity"})
        text = _TEST.format(asset=asset) + _yaml({"restore_test": name, "checks": checks})
        made.files[f"restore_tests/{name}.yaml"] = text.encode()
    made.assets = tuple(assets)
    return made


def _assets(plan: str, there: Iterable[RepoSnapshot]) -> list[str]:
    tagged = {s.tag("asset") or "" for s in there if s.tag("kind") == "backup" and s.tag("plan") == plan}
    return sorted(name for name in tagged if is_name(name))


def _newest(plan: str, asset: str, there: Iterable[RepoSnapshot], repo: Restic, now: datetime) -> Manifest:
    """Of the asset's newest backup that says what it is. Planted where none of the newest ones does."""
    of_asset = [s for s in there if (s.tag("kind"), s.tag("plan"), s.tag("asset")) == ("backup", plan, asset)]
    why = "its date is in the future"
    for s in [s for s in reversed(of_asset) if not in_the_future(s, now)][:TRIES]:
        root = next((p for p in s.paths if PurePosixPath(p).name == CAPTURED), None)
        if root is None:
            why = f"snapshot {s.id[:8]} holds no captured directory"
            continue
        try:
            manifest = parse_manifest(repo.read(s.id, PurePosixPath(root) / MANIFEST))
        except CcdrError as error:
            why = str(error)
            continue
        if (manifest.plan, manifest.asset) == (plan, asset):
            return manifest
        why = f"the manifest of snapshot {s.id[:8]} is of something else"
    raise Planted(why)


def _stated(manifest: Manifest, *, shipped: bool) -> dict[str, Any]:
    """What a plan says of the asset. Planted where the manifest does not tell."""
    kind = _engines().get(manifest.engine)
    if kind is None:
        raise Planted(f"this ccdr does not know the engine {manifest.engine!a}")
    try:
        source = manifest.contents["source"]
        stated = kind.stated_by(str(source), manifest.contents)
    except (BackupBad, ValueError, TypeError):
        raise Planted("its manifest does not say what was captured") from None
    body: dict[str, Any] = {"engine": manifest.engine, "method": manifest.method, **stated}
    if "method" not in kind.model_fields:
        del body["method"]
    logged = {**body, "log_shipping": {"interval": "60s"}}
    return logged if shipped and "log_shipping" in kind.model_fields and _is_right(kind, logged) else body


def _is_right(kind: type[EngineConfig], stated: Mapping[str, Any]) -> bool:
    """Not where what was captured last is no base that a log goes on from."""
    with contextlib.suppress(ValidationError):
        kind.model_validate_json(json.dumps(stated), strict=True)
        return True
    return False


def _engines() -> dict[str, type[EngineConfig]]:
    union, *_ = get_args(AnyEngine)
    return {get_args(kind.model_fields["engine"].annotation)[0]: kind for kind in get_args(union)}


def _grouped(assets: Mapping[str, dict[str, Any]], manifests: Mapping[str, Manifest]) -> None:
    """What was captured together: where more than one of them is there."""
    named = {asset: m.group.name for asset, m in manifests.items() if m.group is not None and is_name(m.group.name)}
    for asset, group in named.items():
        if sum(other == group for other in named.values()) > 1:
            assets[asset]["group"] = group


def _shipped(plan: str, repo: Restic) -> set[str]:
    """Assets whose log was shipped: there is some of it, below the repository."""
    place = replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")
    with contextlib.suppress(RepositoryMissing):
        return {s.tag("asset") or "" for s in place.snapshots([OURS, f"kind={LOG}", f"plan={plan}"])}
    return set()


def _test_name(plan: str, asset: str) -> str:
    name = asset if asset.startswith(plan) else f"{plan}-{asset}"
    return name if is_name(name) else asset


def _yaml(body: object) -> str:
    return str(yaml.dump(body, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000))


class _Plain(yaml.SafeDumper):
    """A plan knows no anchors: what is said twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


# What is written carries out nothing: a mark beside the plans says where they came from, and which of their commands
# were confirmed (plans/trust.py). A password that comes through a pipe is kept in the directory, for it comes only
# once; a file is named where it lies.

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
        record = history.files_stored if history else None
        return record is not None and record.digest == version.digest
    return False
