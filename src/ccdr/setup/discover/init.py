"""`ccdr init`: from servers' addresses and directories to a plan, its restore tests and a repository's key."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from ccdr.checks import AnyCheck
from ccdr.engines import AnyEngine
from ccdr.engines.discovery.contract import Item, Named, SourceKind
from ccdr.engines.discovery.text import name_from
from ccdr.host.nearby import WORDS, near
from ccdr.host.secret_files import new_secret
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import human_seconds
from ccdr.plans.model import Plan, Repository
from ccdr.plans.problems import checked
from ccdr.plans.restore_tests import RestoreTestFile
from ccdr.plans.yamlfile import dotted, parse
from ccdr.ports.place import Progress
from ccdr.setup.discover import machine
from ccdr.setup.discover.draft import Draft, PlanTerms, beside, draft
from ccdr.setup.discover.looking import Looker
from ccdr.setup.discover.named import everything_named
from ccdr.setup.discover.passwords import Passwords
from ccdr.setup.discover.write import NewFile, write_all


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
        repository = TypeAdapter(Repository).validate_python(
            {"url": url, "password_file": plans / key}, context={"base": Path.cwd()}
        )
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
