"""`ccdr init`: from servers' addresses and directories to a plan, its restore tests and a repository's key, in files
that are written all or none.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from ccdr.checks import AnyCheck
from ccdr.engines import AnyEngine
from ccdr.engines.discoveries import DISCOVERIES
from ccdr.engines.discovery import Item, Named, SourceKind, name_from, path_of, remark, scalar
from ccdr.host.files import sync_directory
from ccdr.host.nearby import WORDS, near
from ccdr.host.secret_files import new_secret
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import human_bytes, human_seconds
from ccdr.plans.model import NOBODY, Plan, Repository
from ccdr.plans.problems import checked
from ccdr.plans.restore_tests import RestoreTestFile
from ccdr.plans.yamlfile import dotted, parse
from ccdr.ports.place import Progress
from ccdr.setup.discover import machine
from ccdr.setup.discover.machine import Looker

# What `ccdr init` is given: servers' URLs, or paths of this host. Each engine tells what is its own.

_EXAMPLE = DISCOVERIES[0].example
_TWICE = {SourceKind.SERVER: "a server", SourceKind.FILE: "a database"}


def everything_named(given: tuple[str, ...]) -> list[Named]:
    """Servers, then files, then trees. UsageProblem for what is none of these, is empty, or is named twice.

    No text of an argument that may hold a password is repeated.
    """
    named = sorted(map(_named, given), key=lambda one: one.kind)
    for kind, what in _TWICE.items():
        wheres = [one.where for one in named if one.kind is kind]
        if len(set(wheres)) < len(wheres):
            raise UsageProblem(f"{what} is named twice", hint="name it once")
    trees = [Path(str(one.where)) for one in named if one.kind is SourceKind.TREE]
    for n, path in enumerate(trees):
        for other in trees[:n] + trees[n + 1 :]:
            if path == other or other in path.parents:
                raise UsageProblem(
                    f"{path} is named twice, by itself or with {other}", hint="name only the upper directory"
                )
    return named


def _named(text: str) -> Named:
    scheme = text.partition(":")[0].lower()
    for discovery in DISCOVERIES:
        if ":" in text and scheme in discovery.schemes:
            return discovery.parse(text)
    if "://" in text:
        raise _unknown(text)
    path = path_of(text)
    for discovery in DISCOVERIES:
        if one := discovery.at(path):
            return one
    raise UsageProblem(f"ccdr cannot back up {path}", hint=_EXAMPLE)


def _unknown(text: str) -> UsageProblem:
    try:
        scheme = urlsplit(text).scheme
    except ValueError:
        return UsageProblem("the URL cannot be read", hint=_EXAMPLE)
    return UsageProblem(f"{scheme or 'this'}: is no address that ccdr knows yet", hint=_EXAMPLE)


# Which file has whose password.


@dataclass(frozen=True)
class Passwords:
    """`own` by where a server is, `shared` for those that have none of their own."""

    shared: Path | None = None
    own: Mapping[object, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Sequence[str], named: Sequence[Named]) -> Passwords:
        """From `FILE` or `URL=FILE`; UsageProblem for a URL that is none of the servers, and for two of the same."""
        servers = {one.where for one in named if one.kind is SourceKind.SERVER}
        shared: list[Path] = []
        own: dict[object, Path] = {}
        for text in given:
            url, equals, file = text.rpartition("=")
            if not equals or "://" not in url:
                shared.append(Path(text))
                continue
            (server,) = everything_named((url,))
            if server.where not in servers:
                raise UsageProblem(
                    "--password-file names a URL that is not one of the servers",
                    hint="write it exactly as you wrote the server",
                )
            if server.where in own:
                raise UsageProblem("--password-file names two files for one server", hint="name one")
            own[server.where] = Path(file)
        if len(shared) > 1:
            raise UsageProblem(
                "--password-file is given more than once, without a URL",
                hint="name the server of each: --password-file URL=FILE",
            )
        return cls(shared[0] if shared else None, own)

    @property
    def files(self) -> list[Path]:
        return [*([self.shared] if self.shared else []), *self.own.values()]

    def file_of(self, one: Named) -> Path | None:
        return self.own.get(one.where, self.shared) if one.kind is SourceKind.SERVER else None


# Writes new files, all or none.


@dataclass(frozen=True)
class NewFile:
    """A file to be. One with `keep` stays as it is where it exists already; `mode` is narrowed by the umask."""

    path: Path
    text: str
    mode: int = 0o644
    keep: bool = False


@dataclass
class _Undo:
    made: list[Path] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    replaced: dict[Path, bytes] = field(default_factory=dict)

    def __call__(self) -> None:
        for path in self.made:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for path, was in self.replaced.items():
            with contextlib.suppress(OSError):
                path.write_bytes(was)
        for directory in reversed(self.directories):
            with contextlib.suppress(OSError):
                directory.rmdir()


def write_all(files: list[NewFile], *, force: bool) -> list[Path]:
    """Write every file and return those written, in this order; without `force` a file that exists is a UsageProblem.

    CcdrError where one cannot be written: then everything is as it was.
    """
    wanted = [file for file in files if not (file.keep and file.path.exists())]
    if not force and (there := [str(f.path) for f in wanted if f.path.exists() or f.path.is_symlink()]):
        raise UsageProblem(f"{', '.join(there)} exists already", hint="take another --name, or replace it with --force")
    undo = _Undo()
    try:
        staged = [(file, _staged(file, undo)) for file in wanted]
        for file, temporary in staged:
            if file.path.exists():
                undo.replaced[file.path] = file.path.read_bytes()
            else:
                undo.made.append(file.path)
            temporary.replace(file.path)
        for directory in {file.path.parent for file in wanted}:
            sync_directory(directory)
    except OSError as error:
        undo()
        where = error.filename or "a file"
        hint = "free space, or name directories you may write with --plans and --restore-tests"
        raise CcdrError(f"{where} cannot be written: {error.strerror}; nothing was", hint=hint) from None
    except BaseException:
        undo()
        raise
    return [file.path for file in wanted]


def _staged(file: NewFile, undo: _Undo) -> Path:
    """The file's text beside it, on disk, under another name."""
    for directory in _missing(file.path.parent):
        directory.mkdir(mode=0o700 if file.mode == 0o600 else 0o755)
        undo.directories.append(directory)
    temporary = file.path.with_name(f".{file.path.name}.{os.getpid()}.tmp")
    undo.made.append(temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(file.text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:  # a full disk does not say which file it was
        error.filename = str(file.path)
        raise
    return temporary


def _missing(directory: Path) -> Iterator[Path]:
    """The directories to make, the uppermost first."""
    yield from reversed([p for p in (directory, *directory.parents) if not p.exists()])


# The first plan and its restore tests, written for the people who will change them.
#
# What cannot be found out is assumed, and the text says so.

GIB = 2**30
# Up to so many bytes: objectives, and how often to back up (minutes), a third of the RPO. Past the last, the last.
_SCALES = ((10 * GIB, "1h", "1h", "4h", 20), (100 * GIB, "6h", "4h", "12h", 120), (2**63, "24h", "24h", "48h", 480))
WEEKLY_OVER = 20 * GIB  # restoring more than that every night would be all that the machine does


@dataclass(frozen=True)
class PlanTerms:
    """What a plan says besides its assets. Paths are as the plan is to name them; `assumed` is true where nobody
    named a repository."""

    name: str
    timezone: str
    repository: str
    assumed: bool
    key: str
    env_file: str | None
    password_files: Sequence[str | None] | None = None  # of each item, as the plan names it


@dataclass(frozen=True)
class Draft:
    """Texts: the plan, and its restore tests by name. `assets` are names, in the order of the items."""

    plan: str
    restore_tests: dict[str, str]
    assets: tuple[str, ...]


def draft(terms: PlanTerms, items: Sequence[Item], now: float) -> Draft:
    """A plan of these databases and trees; `now` is in seconds since the epoch."""
    names = _asset_names(items)
    tests: dict[str, str] = {}
    for name in names:
        tests[name] = name_from(name if name == terms.name else f"{terms.name}-{name}", tests.values())
    lines = [*_head(terms, items), "assets:"]
    for n, (name, item) in enumerate(zip(names, items, strict=True)):
        lines += [f"  {scalar(name)}:", *(f"    {line}" for line in _asset(terms, item, n, tests[name], items)), ""]
    texts = {
        tests[name]: restore_test(tests[name], item.title, item.check_lines(now))
        for name, item in zip(names, items, strict=True)
    }
    return Draft("\n".join(lines).rstrip("\n") + "\n", texts, tuple(names))


def restore_test(name: str, what: str, checks: Iterable[str]) -> str:
    """A restore-test file's text; `what` is how people call what is tested."""
    lines = [
        f"# What must be true of {what}, restored into a sandbox, before a backup counts as proven.",
        "# Written by `ccdr init` from what it found; add what your application relies on (kind: sql, kind: command).",
        "",
        f"restore_test: {scalar(name)}",
        "checks:",
        "  # What was restored equals what was captured. Never leave it out.",
        "  - {kind: identical}",
    ]
    return "\n".join([*lines, *checks]) + "\n"


def _asset_names(items: Sequence[Item]) -> list[str]:
    taken: list[str] = []
    for item in items:
        taken.append(item.name(taken))
    return taken


def _scale(items: Sequence[Item]) -> tuple[int, str, str, str, int]:
    total = sum(item.bytes for item in items)
    return next(scale for scale in _SCALES if total <= scale[0])


def _head(terms: PlanTerms, items: Sequence[Item]) -> Iterator[str]:
    _, rpo, rto, mtd, _ = _scale(items)
    total = human_bytes(sum(item.bytes for item in items))
    yield from (
        "# Written by `ccdr init` from what it found; it is yours now. `ccdr plan check` lists all mistakes at once.",
        "# Durations: 90s, 15m, 4h, 35d. Relative paths are relative to this file. A secret is never written here.",
        "",
        f"plan: {scalar(terms.name)}",
        remark(f"service: {scalar(terms.name)}", "the name that people use: change it"),
        remark(f"owner: {NOBODY}", "write who answers for it: a name, or an address of work"),
        remark(f"timezone: {scalar(terms.timezone)}", "this machine's zone; the schedules below use it"),
        "",
        f"# An assumption, from the size alone ({total}): write what the service really needs. `ccdr test` measures",
        "# what is achieved, and `ccdr status` says whether that is enough.",
        "objectives:",
        remark(f"  rpo: {rpo}", "at most this much of the newest data may be lost"),
        remark(f"  rto: {rto}", "restored, checked and in use again within this"),
        remark(f"  mtd: {mtd}", "the service does not survive a longer outage"),
        "",
        "repository:",
    )
    if terms.assumed:
        yield "  # This directory is on this very machine: good for a start, but NO DISASTER RECOVERY. What destroys"
        yield "  # the machine destroys its backups. Name another place before you rely on it: s3:https://host/bucket,"
        yield "  # sftp:user@host:/path, rest:https://host/ or a mounted /path of another machine."
    yield f"  url: {scalar(terms.repository)}"
    yield "  # Without this file no backup can ever be read again: keep a copy of it away from this machine."
    yield f"  password_file: {scalar(terms.key)}"
    if terms.env_file:
        yield "  # The store's credentials, as NAME=value lines: AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…"
        yield f"  env_file: {scalar(terms.env_file)}"
    yield from (
        "",
        remark("retention:", "`ccdr run` removes what is older; it never removes the last good one"),
        remark("  keep_within: 8d", "longer than the longest gap between two restore tests"),
        "  keep_daily: 35",
        "",
        remark("# notify:", "who gets a message when something is wrong: once, not at every run"),
        remark(f"#   urls_file: secrets/{terms.name}.urls", "Apprise URLs, one a line: mailto://…, slack://…"),
        "",
    )


def _asset(terms: PlanTerms, item: Item, n: int, test: str, items: Sequence[Item]) -> Iterator[str]:
    yield from item.asset_lines(terms.password_files[n] if terms.password_files else None, terms.timezone)
    yield "backup:"
    yield remark(f"  schedule: {scalar(_every(_scale(items)[4], n))}", "a third of the RPO: one may fail", column=33)
    weekly = item.bytes > WEEKLY_OVER
    picked = "random" if weekly and item.tree is not None else "latest"
    start = 60 + n * 20 % 240
    yield "restore_test:"
    day = str(n % 7) if weekly else "*"
    yield f"  schedule: {scalar(f'{start % 60} {start // 60} * * {day}')}"
    yield f"  snapshot: {picked}"
    yield f"  checks: [{scalar(test)}]"


def _every(minutes: int, n: int) -> str:
    """A cron schedule; assets start a few minutes apart."""
    if minutes < 60:
        return f"{','.join(str(m) for m in range(n * 7 % minutes, 60, minutes))} * * * *"
    return f"{n * 7 % 60} */{minutes // 60} * * *"


def beside(path: Path, plans: Path) -> str:
    """How a plan of the directory `plans` names a path: relative where it lies below."""
    return str(path.relative_to(plans)) if path.is_relative_to(plans) else str(path)


@dataclass(frozen=True)
class InitRequest:
    """The command line. Directories are as given; `name`, `repository` and the files may be left to us."""

    given: tuple[str, ...]
    plans: Path
    restore_tests: Path
    name: str | None = None
    repository: str | None = None
    password_files: tuple[str, ...] = ()
    env_file: Path | None = None
    force: bool = False
    dry_run: bool = False


@dataclass
class Initialised:
    """What was found and written. `contents` and `notes` are for people; a finding is something left unprotected, or
    that will make the first backup fail; `grants` are what has to be typed, and where, before one can succeed."""

    plan: str
    files: dict[Path, str]
    written: list[Path] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    assets: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        return Exit.FINDING if self.findings else Exit.OK


def init(wanted: InitRequest, services: Services, progress: Progress) -> Initialised:
    """Look, draft, and write unless it is a dry run. UsageProblem before anything was written."""
    named = everything_named(wanted.given)
    servers = [one for one in named if one.kind is SourceKind.SERVER]
    passwords = Passwords.of(wanted.password_files, named)
    for path in passwords.files:
        _secret(path, "--password-file", needed=bool(servers))
    _secret(wanted.env_file, "--env-file", needed=True)
    name = _name(wanted, named[0])
    plan_file = wanted.plans / f"{name}.yaml"
    _refuse_existing(plan_file, wanted)
    looking = Looker(services, progress)
    report = looking.report
    sources = [
        (item, passwords.file_of(one)) for one in named for item in one.discover(looking, passwords.file_of(one))
    ]
    items = [item for item, _ in sources]
    if not items:
        raise UsageProblem("there is nothing to protect: " + "; ".join([*report.notes, *report.findings]))
    if passwords.shared and len([one for one in servers if one.where not in passwords.own]) > 1:
        report.notes.append(
            f"{passwords.shared} is the password file of every server that has no other: for a server with its own "
            f"password add --password-file URL=FILE"
        )
    terms = _terms(name, wanted, services, [file for _, file in sources])
    _apart([services.state.root.absolute(), Path(terms.repository)], [item.tree for item in items if item.tree])
    drafted = draft(terms, items, looking.now)
    _well_formed(drafted, wanted.plans.absolute())
    secret = new_secret()
    files = _files(drafted, terms, plan_file, wanted, secret)
    made = Initialised(name, {f.path: f.text for f in files}, contents=report.contents, notes=report.notes)
    made.notes += _near(terms, items)
    made.findings, made.grants = report.findings, report.grants
    made.assets = [{"asset": a, **i.as_json()} for a, i in zip(drafted.assets, items, strict=True)]
    if terms.env_file and wanted.env_file is None:
        made.findings.append(f"write the store's credentials into {wanted.plans / terms.env_file}, mode 0600")
    key = wanted.plans / terms.key
    if key.exists():
        made.notes.append(f"the key {key} exists already, and ccdr uses it")
    del made.files[key]  # never shown
    if not wanted.dry_run:
        if not key.exists():
            with contextlib.suppress(CcdrError):  # another user's state: then the repository gets no fast key
                services.record_made(secret, name)
        made.written = write_all(files, force=wanted.force)
        _wait(report.settled - services.clock.now().timestamp(), progress)
    return made


def _wait(seconds: float, progress: Progress) -> None:
    """Until the first backup finds files that have settled."""
    if seconds > 0:
        progress.step(f"waiting {human_seconds(seconds)} until files have settled: then a backup finds them")
        time.sleep(seconds)


def _near(terms: PlanTerms, items: Sequence[Item]) -> Iterator[str]:
    """A repository that is lost together with what it protects."""
    if not terms.repository.startswith("/"):
        return
    trees = [item.tree for item in items if item.tree]
    here = any(item.local for item in items)
    repository = Path(terms.repository)
    nearness = near(repository, trees, on_this_host=False) or near(repository, (), on_this_host=here)
    if nearness is not None:
        yield (
            f"the repository {repository} is {WORDS[nearness]}. This is good for a start, but it is no disaster "
            f"recovery: name another place with --repository (s3:, sftp:, rest:, or a mounted path of another machine)"
        )


def _secret(path: Path | None, option: str, *, needed: bool) -> None:
    """A file that holds a secret must be there, and be nobody else's to read."""
    if path is None:
        return
    if not needed:
        raise UsageProblem(f"{option} needs a server, and you named none")
    try:
        status = path.stat()
    except OSError as error:
        raise UsageProblem(f"{option}: {path}: {error.strerror}", hint="write the file, mode 0600") from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageProblem(f"{option}: {path} is not a file", hint="write the file, mode 0600")
    if status.st_mode & 0o077:
        raise UsageProblem(f"{option}: other users can read {path}", hint=f"chmod 600 {path}")


def _name(wanted: InitRequest, first: Named) -> str:
    if wanted.name is not None:
        if name_from(wanted.name) != wanted.name:
            raise UsageProblem(
                f"--name {ascii(wanted.name)[1:-1]} is not a name",
                hint=f"take small letters, digits, - and _, such as {name_from(wanted.name, otherwise='outbound')}",
            )
        return wanted.name
    name, otherwise = first.plan_name(machine.hostname())
    return name_from(name, otherwise=otherwise)


def _refuse_existing(plan_file: Path, wanted: InitRequest) -> None:
    """Before anything is asked; what else may exist is seen when it is written."""
    if not wanted.force and (plan_file.exists() or plan_file.is_symlink()):
        hint = "take another --name, or replace it and its restore tests with --force"
        raise UsageProblem(f"{plan_file} exists already", hint=hint)


def _terms(name: str, wanted: InitRequest, services: Services, password_files: Sequence[Path | None]) -> PlanTerms:
    plans = wanted.plans.absolute()
    url = wanted.repository or str(services.state.root.absolute().parent / "ccdr-repository" / name)
    key = f"secrets/{name}.key"
    try:
        repository = Repository.model_validate({"url": url, "password_file": plans / key}, context={"base": Path.cwd()})
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageProblem(f"--repository {why}") from None
    needs_env = repository.url.partition(":")[0] in ("s3", "b2", "azure", "swift")
    env_file = beside(wanted.env_file.absolute(), plans) if wanted.env_file else None
    return PlanTerms(
        name=name,
        timezone=machine.timezone(),
        repository=repository.url,
        assumed=wanted.repository is None,
        key=key,
        env_file=env_file or (f"secrets/{name}.env" if needs_env else None),
        password_files=[beside(file.absolute(), plans) if file else None for file in password_files],
    )


def _apart(ours: Sequence[Path], trees: Sequence[Path]) -> None:
    for tree in trees:
        for path in ours:
            if tree == path or tree in path.parents:
                raise UsageProblem(
                    f"{tree} would hold {path}, and every backup would back up the backups",
                    hint="name a directory below it, or another --repository and --state",
                )


def _files(drafted: Draft, terms: PlanTerms, plan_file: Path, wanted: InitRequest, key: str) -> list[NewFile]:
    """The plan comes last: with it all the rest is there."""
    files = [NewFile(wanted.plans / terms.key, f"{key}\n", 0o600, keep=True)]
    files += [NewFile(wanted.restore_tests / f"{name}.yaml", text) for name, text in drafted.restore_tests.items()]
    return [*files, NewFile(plan_file, drafted.plan)]


def _well_formed(drafted: Draft, base: Path) -> None:
    """What is written must be a plan, whatever odd names went into it."""
    texts: list[tuple[type[BaseModel], object, str]] = [(Plan, AnyEngine, drafted.plan)]
    texts += [(RestoreTestFile, AnyCheck, text) for text in drafted.restore_tests.values()]
    for model, kinds, text in texts:
        document, problems = parse(text.encode("utf-8"))
        if document is not None:
            problems += checked(model, document, base, kinds)[1]
        if problems:
            complaints = "; ".join(f"{dotted(problem.where)}: {problem.message}" for problem in problems)
            raise CcdrError(
                f"the plan for these sources would be wrong, so ccdr wrote nothing: {complaints}",
                hint="name the databases and directories one by one, and report this",
            )
