"""`ccdr access review`: who may do what, read from the systems as they are; and that somebody has looked at it."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shlex
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from ccdr.engines.files.engine import Files
from ccdr.engines.sqlite.engine import Sqlite
from ccdr.evidence.access import HOLDS, Review
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.access import AccessExported
from ccdr.evidence.records.statements import MOST_NAMED, REVIEW_ACCESS, UNREAD, ExportOfAccess, Statement
from ccdr.evidence.records.values import recorded_user
from ccdr.host.secrets import env_file
from ccdr.host.signatures import key_in, trusted_signers, verify
from ccdr.host.state_files import made_of
from ccdr.jobs.access.export import (
    FORMAT,
    AccessExport,
    AnyFormat,
    Approver,
    DatabaseAccess,
    FileAccess,
    HostAccount,
    NotRead,
    RepositoryPassword,
    StoreCredential,
    StoreTrial,
)
from ccdr.jobs.repository_keys import log_below, stated_in
from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.signatories import refuse
from ccdr.jobs.statement_records import record_statement, signed_by, stated
from ccdr.model.errors import CcdrError, RepositoryMissing, UsageProblem, require_format
from ccdr.model.values import AHEAD, LEDGER_REPOSITORY, PRIMARY, rfc3339, so_many, stamped
from ccdr.plans import LoadedPlan, Plan, Repository
from ccdr.plans.access import here
from ccdr.plans.job import Job
from ccdr.plans.lint import secret_files
from ccdr.plans.model import Approval
from ccdr.plans.yamlfile import dotted
from ccdr.ports.accounts import Accounts
from ccdr.ports.place import Progress
from ccdr.storage.repository_keys import keys_of as keys_of_repository
from ccdr.storage.restic import Restic
from ccdr.storage.s3 import Bucket
from ccdr.storage.s3_access import Grant, PolicyStatement, grants, statements

# Who may read or change what ccdr goes by on this host: secrets, plans, state, and the files that it backs up; and by
# whose keys is approved.

Lacks = Callable[[str, str], None]
OF_STATE = ("ledger", "catalogue", "payloads", "private", "cache", "plans", "runs")
MOST_FILES = 100_000  # of one tree, whose modes are looked at: some seconds


def files_of(loaded: LoadedPlan, state: Path, lacks: Lacks) -> Iterator[FileAccess]:
    """Each with owner, group and mode, and the directories above it that others than their owner may write to."""
    named = [(f"secret: {dotted(where)}", path) for where, path in secret_files(loaded.plan)]
    named += [("plan", loaded.path), ("state", state)]
    named += [(f"state: {name}", state / name) for name in OF_STATE if (state / name).exists()]
    if loaded.plan.approval is not None:
        named.append(("who may approve", loaded.plan.approval.signers))
    for what, path in named:
        yield from _told(what, path, lacks)
    for name, paths in sources_of(loaded.plan).items():
        for path in paths:
            yield from _told(f"source: {name}", path, lacks)
            if path.is_dir():
                yield from _open_to_all(name, path, lacks)


def sources_of(plan: Plan) -> dict[str, Sequence[Path]]:
    """Of each asset that is made of files: which."""
    found: dict[str, Sequence[Path]] = {}
    for name, one in plan.assets.items():
        if isinstance(one, Files):
            found[name] = one.paths
        elif isinstance(one, Sqlite):
            found[name] = (one.path,)
    return found


def _told(what: str, path: Path, lacks: Lacks) -> Iterator[FileAccess]:
    try:
        found = path.stat()
    except OSError as error:
        lacks(f"{what} ({path})", f"it cannot be looked at: {error.strerror}")
        return
    yield FileAccess(
        what=what,
        path=str(path),
        owner=_user(found.st_uid),
        group=_group(found.st_gid),
        mode=f"{stat.S_IMODE(found.st_mode):04o}",
        others_may=_others(found.st_mode),
        replaceable_by_others_at=[str(place) for place in _writable(path)],
    )


def _open_to_all(asset: str, root: Path, lacks: Lacks) -> Iterator[FileAccess]:
    """One line for all files of a tree that every account of this host may read, by the modes of the files and of the
    directories that lead there: how many, for their names may be customers' data. What an access list adds for one
    account is not seen."""
    if not all(place.stat().st_mode & stat.S_IXOTH for place in (root, *root.parents)):
        return
    seen = count = 0
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if _mode(Path(directory, name)) & stat.S_IXOTH]
        for name in names:
            seen += 1
            if _mode(Path(directory, name)) & stat.S_IROTH:
                count += 1
        if seen > MOST_FILES:
            lacks(f"files of {asset} beyond the first {seen}", f"below {root}, too many to be looked at each")
            break
    if count:
        which = so_many(count, "file that every account may read", "files that every account may read")
        yield from _told(f"source: {asset}, {which}, below", root, lacks)


def _mode(path: Path) -> int:
    """Of what is there, not of what a link leads to; nothing where it has gone meanwhile."""
    try:
        found = path.lstat().st_mode
    except OSError:
        return 0
    return 0 if stat.S_ISLNK(found) else found


def _others(mode: int) -> list[str]:
    """What others than its owner may do with it."""
    kinds = (("read", stat.S_IRGRP | stat.S_IROTH), ("write", stat.S_IWGRP | stat.S_IWOTH))
    return [word for word, bits in kinds if mode & bits]


def _writable(path: Path) -> Iterator[Path]:
    """Directories by which somebody else could put another file in its place; not those with a sticky bit."""
    for place in path.absolute().parents:
        try:
            found = place.stat()
        except OSError:
            continue
        shared = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid not in (0, found.st_uid) else 0)
        if found.st_mode & shared and not found.st_mode & stat.S_ISVTX:
            yield place


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def signers_of(loaded: LoadedPlan, lacks: Lacks) -> Iterator[Approver]:
    """By whose keys something is approved or signed, as the file of signers has them."""
    path = (loaded.plan.approval or Approval()).signers
    if loaded.plan.approval is None and not path.exists():
        return
    try:
        text = trusted_signers(path)
    except UsageProblem as error:
        lacks("who may approve", str(error))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        told = _signer(line)
        if told is None:
            lacks(f"line {number} of {path}", "it is none of OpenSSH's allowed_signers")
        else:
            yield told


def _signer(line: str) -> Approver | None:
    """`principals [options] keytype base64 …`."""
    try:
        words = shlex.split(line, posix=False)
    except ValueError:
        return None
    if (found := key_in(words[1:])) is None:
        return None
    at, printed = found[0] + 1, found[1]
    return Approver(
        names=words[0].strip('"').split(","),
        key=printed,
        type=words[at],
        second_factor=words[at].startswith("sk-"),
        options=[word for option in words[1:at] for word in option.split(",")],
    )


# Who is root on this host, or may become it: they read whatever ccdr reads, and may change what it goes by.

SUDOERS = (Path("/etc/sudoers"), Path("/etc/sudoers.d"))
DOAS, SSHD = Path("/etc/doas.conf"), Path("/etc/ssh/sshd_config")
# By Debian's and Red Hat's defaults for sudo; by a container, a machine or a disk of which one is root.
GROUPS = frozenset(("admin", "disk", "docker", "incus-admin", "libvirt", "lxd", "sudo", "wheel"))
_CLOSED = ("nologin", "false")
_NO_RULE = re.compile(r"Defaults|(Runas|Host|Cmnd|Cmd)_Alias\b|[@#]include|#(?!\d)")
_ALIAS = re.compile(r"User_Alias\s+(.*)")
_RULE = re.compile(r"((?:[^\s,]+\s*,\s*)*[^\s,]+)\s+(.*)")  # who, a list; where, as whom and what
_KEYS_ELSEWHERE = re.compile(r"^\s*(AuthorizedKeysFile|AuthorizedKeysCommand|TrustedUserCAKeys)\s", re.M | re.I)


@dataclass(frozen=True)
class Rule:
    """A line of sudoers, of one of those that it is for: a user, `%group` or `#number`."""

    name: str
    text: str


def of_this_host(lacks: Lacks) -> Iterator[HostAccount]:
    """Its accounts, whoever sudo lets do something, and the keys by which somebody enters as root."""
    users, found = pwd.getpwall(), list(rules(SUDOERS, lacks))
    by_sudo = {one.name.removeprefix("%") for one in found if one.name.startswith("%")}
    yield from accounts(users, grp.getgrall(), GROUPS | by_sudo)
    yield from (HostAccount(name=one.name, by=[f"sudo: {one.text}"]) for one in found)
    for root in (user for user in users if user.pw_uid == 0):
        yield from keys_of(root, lacks)
    if DOAS.exists():
        lacks("rules of doas on this host", f"look at {DOAS}")
    _keys_elsewhere(lacks)


def accounts(
    users: Iterable[pwd.struct_passwd], groups: Iterable[grp.struct_group], powerful: Collection[str] = GROUPS
) -> Iterator[HostAccount]:
    """Those with root's number, and the members of the groups that are `powerful`."""
    those = [group for group in groups if group.gr_name in powerful]
    for user in users:
        by = ["uid 0"] if user.pw_uid == 0 else []
        by += [g.gr_name for g in those if g.gr_gid == user.pw_gid or user.pw_name in g.gr_mem]
        if by:
            logs_in = not user.pw_shell.endswith(_CLOSED)
            yield HostAccount(name=user.pw_name, uid=user.pw_uid, logs_in=logs_in, by=by)


def rules(places: Iterable[Path], lacks: Lacks) -> Iterator[Rule]:
    """Who sudo lets do something: each of a list, and whoever an alias stands for."""
    lines = [line for path in _files(places, lacks) for line in _lines(path, lacks)]
    aliases = dict(_aliases(lines))
    for line in lines:
        if _NO_RULE.match(line) or _ALIAS.match(line) or (found := _RULE.fullmatch(line)) is None:
            continue
        for name in _expanded(_listed(found[1]), aliases):
            yield Rule(name, " ".join(found[2].split()))


def _lines(path: Path, lacks: Lacks) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        lacks(*_unread(path, error))
        return []
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _aliases(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """`User_Alias A = x, y : B = z`."""
    for line in lines:
        if (found := _ALIAS.fullmatch(line)) is not None:
            for one in found[1].split(" : "):
                name, _, members = one.partition("=")
                yield name.strip(), _listed(members)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _expanded(names: Sequence[str], aliases: Mapping[str, Sequence[str]], seen: Collection[str] = ()) -> Iterator[str]:
    for name in names:
        if name in aliases and name not in seen:
            yield from _expanded(aliases[name], aliases, (*seen, name))
        else:
            yield name


def _files(places: Iterable[Path], lacks: Lacks) -> Iterator[Path]:
    """As sudo takes them: of a directory, what has no dot and does not end in `~`."""
    for place in places:
        try:
            if place.is_dir():
                yield from (p for p in sorted(place.iterdir()) if "." not in p.name and not p.name.endswith("~"))
            elif place.exists():
                yield place
        except OSError as error:
            lacks(*_unread(place, error))


def _unread(path: Path, error: OSError) -> tuple[str, str]:
    return "rules of sudo on this host", f"{path}: {error.strerror}; as root `sudo -l -U NAME` tells those of one"


def keys_of(user: pwd.struct_passwd, lacks: Lacks) -> Iterator[HostAccount]:
    """The keys by which somebody enters as this user, over ssh."""
    path = Path(user.pw_dir) / ".ssh/authorized_keys"
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        lacks("keys of ssh to this host", f"{path}: {error.strerror}")
        return
    for line in lines:
        if (told := _key(line)) is not None:
            yield HostAccount(name=user.pw_name, uid=user.pw_uid, logs_in=True, by=[told])


def _key(line: str) -> str | None:
    """`[options] keytype base64 comment`."""
    words = line.split()
    if line.lstrip().startswith("#") or (found := key_in(words)) is None:
        return None
    at, printed = found
    comment = " ".join(words[at + 2 :])
    return f"ssh: {printed}{f' ({comment})' if comment else ''}"


def _keys_elsewhere(lacks: Lacks) -> None:
    try:
        named = _KEYS_ELSEWHERE.findall(SSHD.read_text("utf-8", "replace"))
    except FileNotFoundError:
        return
    except OSError as error:
        lacks("keys of ssh to this host", f"{SSHD}: {error.strerror}")
        return
    if named:
        lacks("keys of ssh to this host", f"{SSHD} names others: {', '.join(dict.fromkeys(named))}")


# Who may come to a repository's store, as far as the store tells: its bucket's policy and grants, and by which
# credential ccdr itself comes.

USERS = "the store's users, and which policies each has"
ADMINISTRATOR = "only the store's administrator may list them: AWS' IAM, or SeaweedFS' -s3.config"


def store_of(
    plan: Plan, name: str, repository: Repository, lacks: Lacks
) -> Iterator[StoreCredential | PolicyStatement | Grant]:
    """What is known of one repository's store."""
    yield from _credentials(plan, name, repository, lacks)
    try:
        env = env_file(repository.env_file) if repository.env_file else {}
    except CcdrError as error:
        lacks(f"the bucket of {name}", str(error))
        return
    there = Bucket.of(repository.url, env)
    if there is None:
        lacks(f"the store of {name}", "it is in no S3 bucket: look at its directory, or its accounts, there")
        return
    bucket = there[0]
    lacks(f"{USERS} ({name})", ADMINISTRATOR)
    asking: Mapping[str, Callable[[Bucket, str], Iterator[PolicyStatement | Grant]]]
    asking = {"policy": statements, "grant": grants}
    for what, ask in asking.items():
        try:
            yield from ask(bucket, name)
        except CcdrError as error:
            lacks(f"the bucket's {what} of {name}", str(error))


def _credentials(plan: Plan, name: str, repository: Repository, lacks: Lacks) -> Iterator[StoreCredential]:
    block = {PRIMARY: "repository", LEDGER_REPOSITORY: LEDGER_REPOSITORY}.get(name, f"copies.{name}")
    named = [("plan", f"{block}.env_file", repository.env_file)]
    if name == PRIMARY:
        named += [(role.value, f"access.{role}.env_file", one.env_file) for role, one in plan.access.named()]
    for role, where, path in named:
        if path is None:
            continue
        told = StoreCredential(repository=name, role=role, named_by=where, here=here(path))
        if not told.here:
            yield told
            continue
        try:
            key = env_file(path).get("AWS_ACCESS_KEY_ID")
        except CcdrError as error:
            lacks(f"the credential at {where}", str(error))
            continue
        yield replace(told, key_ends_in=key[-4:] if key and len(key) >= 12 else None)


PATIENCE = 20.0  # seconds that one question to a source may take
LARGEST = 1 << 24  # bytes of an export


def review(loaded: LoadedPlan, services: Services, progress: Progress) -> AccessExport:
    """Ask every system. What cannot be read is said, and stops nothing."""
    at = services.clock.now().replace(microsecond=0)
    made = AccessExport(plan=loaded.plan.plan, at=at, host=services.ledger.host)
    parts: Sequence[tuple[str, Callable[[], None]]] = (
        ("the store", lambda: _store(loaded, services, made)),
        ("the repositories' keys", lambda: _keys(loaded, services, made)),
        ("the sources", lambda: ask_sources(loaded, services, progress, made)),
        (
            "who is root on this host",
            lambda: made.host_accounts.extend(of_this_host(made.lacks)),
        ),
        (
            "files of this host",
            lambda: made.files.extend(files_of(loaded, services.state.root, made.lacks)),
        ),
        ("who may approve", lambda: made.approvers.extend(signers_of(loaded, made.lacks))),
    )
    for what, look in parts:
        progress.step(f"asking: {what}")
        look()
    made.entries = made.counted()
    return made


def _store(loaded: LoadedPlan, services: Services, made: AccessExport) -> None:
    plan = loaded.plan
    for name, repository in stated_in(loaded).items():
        made.store.extend(store_of(plan, name, repository, made.lacks))
    last = services.histories().get((plan.plan, None), AssetHistory()).trial
    if last is None:
        made.lacks("what each role's credential may do at the store", "never tried: `ccdr access test` tries it")
        return
    for one in last.promises:
        made.store.append(
            StoreTrial(
                repository=PRIMARY,
                promise=one.promise,
                result=one.result,
                tried=stamped(last.time),
                record=last.seq,
            )
        )


def _keys(loaded: LoadedPlan, services: Services, made: AccessExport) -> None:
    """Of each repository that the plan names, and of the shipped log's below one: whoever opens that reads as much."""
    twins = services.twins(loaded.plan.plan)
    for name, settings in stated_in(loaded).items():
        try:
            repo = services.opened(settings, limits_of(loaded)).impatient()
            made.repository_keys += _keys_in(repo, name, twins)
        except CcdrError as error:
            made.lacks(f"keys of the repository {name}", _why(error))
            continue
        try:
            made.repository_keys += _keys_in(log_below(repo), f"{name}.log", twins)
        except RepositoryMissing:  # none is shipped
            continue
        except CcdrError as error:
            made.lacks(f"keys of the repository {name}.log", _why(error))


def _keys_in(repo: Restic, name: str, twins: Mapping[str, str]) -> list[RepositoryPassword]:
    return [RepositoryPassword(repository=name, **asdict(key)) for key in keys_of_repository(repo, twins)]


def ask_sources(loaded: LoadedPlan, services: Services, progress: Progress, made: AccessExport) -> None:
    """The accounts of each source's server."""
    for name, engine in loaded.plan.assets.items():
        if not engine.has_server:
            continue
        job = Job(loaded, name)
        try:
            found = _asked(job, services, progress)
        except CcdrError as error:
            made.lacks(f"accounts of {name}", _why(error))
            continue
        made.databases.append(DatabaseAccess(asset=name, engine=engine.engine_name, accounts=found.accounts))
        for what in found.unread:
            made.lacks(f"of {name}", what)


def _asked(job: Job, services: Services, progress: Progress) -> Accounts:
    """What the source's server tells, by the client's own user."""
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("into")
        services.write_credentials(job, credentials)
        opened = services.lab.source(
            job.engine, run.id, into, credentials, PATIENCE, progress, any_client=True, gentle=False
        )
        with opened as (source, _):
            return job.engine.accounts(source)


def _why(error: CcdrError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)


# --- that somebody has looked ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reviewed:
    """A review, as it was recorded."""

    plan: str
    review: Review
    export: str

    def as_json(self) -> dict[str, object]:
        one = self.review
        return {
            "plan": self.plan,
            "export_sha256": self.export,
            "by": one.by,
            "key": one.key,
            "in_order": one.in_order,
            "entries": one.entries,
            "unread": one.unread,
            "not_read": list(one.not_read),
            "elsewhere": one.elsewhere,
            "valid_until": rfc3339(one.valid_until),
            "record": one.seq,
        }


def record_export(loaded: LoadedPlan, made: AccessExport, written: bytes, services: Services) -> None:
    """That the systems told this, in a file of these bytes: who reviews it is held to that. CcdrError where the disk
    refuses."""
    exported = AccessExported(
        plan=made.plan,
        export_sha256=sha256(written).hexdigest(),
        entries=made.entries,
        unread=len(made.unread),
        tenant=loaded.plan.tenant_of(None),
        who=recorded_user(),
    )
    services.ledger.write(exported)


def _as_exported(plan: str, export: str, counts: tuple[int, int], services: Services) -> int:
    """The number of its record. UsageProblem where this host has exported no such file."""
    for record in services.ledger.newest(AccessExported):
        if isinstance(record, AccessExported) and (record.plan, record.export_sha256) == (plan, export):
            if (record.entries, record.unread) == counts:
                return record.seq
            break
    raise UsageProblem(
        "no record of this host tells of such an export: it was changed since it was written, or made elsewhere",
        hint=f"ccdr access review {plan} --out FILE   asks the systems anew; look at that file",
    )


def looked_at(
    loaded: LoadedPlan,
    export: Path,
    found: str,
    services: Services,
    *,
    in_order: bool,
    elsewhere: str | None = None,
) -> Statement[ExportOfAccess]:
    """What is to be signed or recorded: the words are kept from now on; `elsewhere` says who looked at what could not
    be read. UsageProblem where the file is no export of this plan's that this host has made, or too old."""
    plan, now = loaded.plan.plan, services.clock.now().replace(microsecond=0)
    raw = _read(export)
    told = _of_plan(raw, export, plan)
    exported = _in_time(told.at, now, plan)
    until, counts = min(exported, now) + HOLDS, (told.entries, len(told.unread))
    number = _as_exported(plan, digest := sha256(raw).hexdigest(), counts, services)
    seen = keep_payload(services.state, elsewhere) if elsewhere and counts[1] else None
    names = _not_read(told.unread)
    of = ExportOfAccess(
        export_sha256=digest,
        export=number,
        exported=exported,
        entries=counts[0],
        unread=counts[1],
        not_read=names,
        result="in_order" if in_order else "to_be_changed",
        elsewhere_sha256=seen,
    )
    return stated(services, "review", of, plan=plan, until=until, words=found)


def _not_read(unread: Sequence[NotRead]) -> tuple[str, ...]:
    """By names that a record may hold, each once."""
    names = (one.what if re.fullmatch(UNREAD, one.what) else "a file of this host" for one in unread)
    return tuple(dict.fromkeys(names))[:MOST_NAMED]


def record_review(
    loaded: LoadedPlan,
    given: Statement[ExportOfAccess],
    services: Services,
    signature: str | None,
    signed: str | None = None,
) -> Reviewed:
    """Record it; `signed` is the text of the signature where that was made elsewhere. UsageProblem where it is of
    another plan, too old, or not signed by who may: then nothing is recorded."""
    plan, now, of = loaded.plan.plan, services.clock.now(), given.about
    if given.plan != plan:
        raise UsageProblem(
            f"this is a review of {str(given.plan)[:63]}, not of {plan}", hint="name the plan that it is of"
        )
    _in_time(of.exported, now, plan)
    _as_exported(plan, of.export_sha256, (of.entries, of.unread), services)
    if given.made > now + AHEAD or not now < given.expiry <= of.exported + HOLDS:
        raise UsageProblem(
            f"this review, written at {rfc3339(given.made)}, is for a time that is past, or for more than three months",
            hint=f"ccdr access review {plan} --out FILE   asks the systems anew",
        )
    by = None
    if signature is not None:
        text = signed if signed is not None else given.text()
        signers, space = trusted_signers((loaded.plan.approval or Approval()).signers), REVIEW_ACCESS.namespace
        by = signed_by(verify(text, signature, signers, space, services.host), signature)
        refuse(given, by, by.name, signers, [loaded], services)
    record_statement(given, services, by, {"tenant": loaded.plan.tenant_of(None)})
    newest = services.histories()[plan, None].review
    assert newest is not None, "it was just recorded"
    return Reviewed(plan, Review.of(newest), of.export_sha256)


def _in_time(exported: datetime, now: datetime, plan: str) -> datetime:
    if -AHEAD <= now - exported < HOLDS:
        return exported
    raise UsageProblem(
        f"the export was made at {rfc3339(exported)}: it does not tell who has access today",
        hint=f"ccdr access review {plan} --out FILE   asks the systems anew",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageProblem(f"{path}, which was looked at, cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise UsageProblem(f"{path} has more than {LARGEST} bytes: it is no export of ccdr's")
    return raw


def _of_plan(raw: bytes, path: Path, plan: str) -> AccessExport:
    """The export of this plan, alone in its file or beside others: each with as many lines as it says."""
    with suppress(ValueError, AttributeError):
        told = json.loads(raw)
        for one in (every := told.get("plans", [told])):
            require_format(f"the export {path}", made_of(one, AnyFormat).access_review, FORMAT)
        exports = made_of(every, list[AccessExport])
        if any(not one.entries or one.entries != one.counted() for one in exports):
            raise ValueError
        if (own := next((one for one in exports if one.plan == plan), None)) is None:
            of = ", ".join(one.plan[:63] for one in exports)
            raise UsageProblem(f"{path} is an export of {of}, not of {plan}", hint="give the plan's own")
        return own
    raise UsageProblem(
        f"{path} is no export of ccdr's", hint="`ccdr access review PLAN --out FILE` writes one; look at that file"
    )
