"""`ccdr ledger verify`: of which of the things that can be verified: this file; of each how: those beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.ledger.verified import CONSISTENT, VERIFIED, WORDS, Verified
from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.checkpoints.verification import Checked
    from ccdr.evidence.ledger.verification import Verification
    from ccdr.evidence.lineage.own_records import Lineage
    from ccdr.evidence.package.verifying import PackageChecked
    from ccdr.evidence.reading import Take
    from ccdr.jobs.attest import LedgerComparison
    from ccdr.jobs.checkpoints.held_to import Brought
    from ccdr.jobs.daily_verification import Comparison
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.telling.package import MadeAnew

# `ccdr ledger verify --ledger ID`: one that was collected, and lies beside ours.


def verify_beside(said: str, brought: Brought, signers: str | None) -> Exit:
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.evidence.lineage.comparison import misnamed
    from ccdr.evidence.statements import signed_in
    from ccdr.jobs.attest.other_ledgers import others
    from ccdr.jobs.checkpoints.held_to import of_beside
    from ccdr.jobs.statements import verified_by

    services = settings().services()
    named = [(name, path) for name, path in others(services.state) if name.startswith(said.lower())]
    if len(named) != 1:
        problem = f"{so_many(len(named), 'ledger')} here {'begins' if len(named) == 1 else 'begin'} with {said}"
        raise UsageProblem(problem, hint="`ls STATE/ledgers` names them; `ccdr ledger collect` takes one in")
    ((name, path),) = named
    chain = next((one for one in services.population().chains if one.ledger == name), None)
    verification = verify_ledger(path)
    problems = (*verification.problems, *(misnamed(path) if verification.ok else ()))
    if not problems and chain is None:
        problems = (
            "it is not as it was taken in, or no record of ours tells of it: move its directory away, and take it in "
            "anew from its evidence bucket (`ccdr ledger collect`)",
        )
    checked = of_beside(services, name, brought)
    statements, held = verified_by(signed_in(path), signers), checked.signed or brought.anything
    verified = Verified(verification, problems, checked=checked, held=held, statements=statements)
    return verified.answer(name)


# `ccdr ledger verify` of this host's ledger, with all that lies beside it; and of what is new of it.


def verify_since() -> Exit | None:
    """What is new of this host's ledger; None where there is nothing to go on from. Neither the summary, nor plans,
    nor other ledgers are looked at."""
    from ccdr.jobs.attest import troubles
    from ccdr.jobs.daily_verification import checkpoint_stands, verified_before, verify_on

    services, at_work = settings().recorded(), frozenset[str]()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        at_work = services.state.runs_at_work()  # first: they may end while it is read
    before, signed = verified_before(services), checkpoint_stands(services)
    if before is None or signed is None:
        return None
    verification, lineage = verify_on(services, before), services.lineage()
    problems = dict.fromkeys((*verification.problems, *(trouble.text for trouble in troubles(lineage))))
    if signed:
        stands = f"the newest checkpoint, of {so_many(signed, 'record')}, is of what was read then and stands here"
        verification = replace(verification, notes=(*verification.notes, stands))
    verified = Verified(verification, tuple(problems), at_work, before=before)
    return verified.answer(lineage.ledger)


@dataclass(frozen=True)
class _Live:
    """What was found of this host's ledger, of those beside it, and by the repositories that were asked."""

    verified: Verified
    compared: Comparison
    lineage: Lineage
    beside: Mapping[str, Verification]
    answers: _Answers | None

    def as_json(self) -> dict[str, Any]:
        document = {
            **self.verified.as_json(),
            "summary": self.compared.summary,
            "ledger": self.lineage.ledger,
            "others": {name: {"records": of.records, "ok": of.ok} for name, of in self.beside.items()},
        }
        if self.answers is not None:
            document["repositories"] = [outcome.as_json() for outcome in self.answers.outcomes]
            document["not_asked"] = {plan: str(error) for plan, error in self.answers.failed}
        return document

    def tell(self) -> None:
        from ccdr.jobs.daily_verification import DIFFERS, EQUAL

        self.verified.tell()
        for name, of in self.beside.items():
            if of.ok and (known := self.lineage.beside.get(name)):
                how = "brought back" if known.linked else "collected"
                click.echo(
                    f"  beside it the ledger {name[:8]}…, which was {how}: {so_many(of.records, 'record')}, whole"
                )
        for outcome in self.answers.outcomes if self.answers else ():
            click.echo(f"  {_agreed(outcome)}")
        if self.compared.summary == EQUAL:
            click.echo("  the summary that `ccdr status` reads agrees with the records")
        elif self.compared.summary == DIFFERS:
            click.echo("  → find out who wrote to it, then remove it: ccdr builds it again from the ledger")


def verify_live(names: Sequence[str], brought: Brought, signers: str | None, *, repository: bool) -> Exit:
    options = settings()
    services = options.services() if repository else options.recorded()  # on a new host the repository knows
    plans = [options.load(name) for name in names] if names else []
    if repository and not names:
        plans, _ = options.load_told(())
    live = _live(services, plans if repository else None, brought, signers)
    if options.json:
        print_json(live.as_json())
    else:
        live.tell()
    failed = live.answers.failed if live.answers else []
    for plan, error in failed:
        click.echo(f"ccdr: {plan}: ccdr could not ask its repository: {error}", err=True)
    return worst([live.verified.exit_code, *(error.exit_code for _, error in failed)])


def _live(services: Services, plans: Sequence[LoadedPlan] | None, brought: Brought, signers: str | None) -> _Live:
    """The repositories of `plans` are asked, too (None: none)."""
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.evidence.statements import signed_in
    from ccdr.jobs.attest import by_what_is_known, here, troubles
    from ccdr.jobs.attest.other_ledgers import others
    from ccdr.jobs.checkpoints.held_to import of_beside
    from ccdr.jobs.daily_verification import compare
    from ccdr.jobs.statements import verified_by

    at_work: frozenset[str] = frozenset()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        at_work = services.state.runs_at_work()  # first: they may end while it is read
    compared = compare(services, brought)
    answers = None if plans is None else _asked(plans, services)
    lineage = services.lineage()
    contradiction = here(services, lineage, services.catalogue.newest())
    of_ledger = [p.text for p in (*troubles(lineage), *by_what_is_known(contradiction))]
    of_plans = _plans_not_kept(services, compared) if compared.ledger.ok else []
    beside = {name: verify_ledger(path) for name, path in others(services.state)}
    of_others = [f"ledger {name[:8]}…: {problem}" for name, of in beside.items() for problem in of.problems]
    for name, of in beside.items():
        findings = of_beside(services, name).findings if of.ok else ()
        of_others += [f"ledger {name[:8]}…: {finding}" for finding in findings]
    problems = tuple(
        dict.fromkeys((*compared.ledger.problems, *compared.differences, *of_ledger, *of_plans, *of_others))
    )
    attested = [problem for outcome in (answers.outcomes if answers else ()) for problem in outcome.findings]
    problems += tuple(problem for problem in attested if not any(problem in one for one in problems))
    unread = tuple(
        f"ledger {name[:8]}…: it lies here, and no record of ours tells of it: it is not read; "
        f"`ccdr ledger collect` of it takes it in"
        for name in beside
        if name not in lineage.beside
    )
    noted = replace(compared.ledger, notes=(*compared.ledger.notes, *unread))
    held = brought.anything or bool(lineage.anchoring.configured) or _configured()
    statements = verified_by(signed_in(services.ledger.directory), signers)
    verified = Verified(noted, problems, at_work, compared.checked, held, gaps=compared.gaps, statements=statements)
    return _Live(verified, compared, lineage, beside, answers)


def _configured() -> bool:
    """Are there anchors beside the plans? A file that is wrong names some."""
    from ccdr.plans.anchors import anchors_beside

    try:
        return bool(anchors_beside(settings().plans))
    except CcdrError:
        return True


def _plans_not_kept(services: Services, compared: Comparison) -> list[str]:
    """Versions of plans whose files are gone, or were changed: of all there ever were. By what was folded while the
    ledger was verified, where no other lies beside it: years are not read twice."""
    from ccdr.jobs.in_force import not_kept

    histories = services.histories() if services.population() else compared.folded.of_plans
    plans = dict.fromkeys(plan for plan, _ in histories if plan is not None)
    return [
        f"the files of the plan {v.plan} of {rfc3339(v.at)[:19]}Z ({v.record}) are not kept any more as they were"
        for plan in plans
        for v in not_kept(plan, services, histories, most=None)
    ]


@dataclass(frozen=True)
class _Answers:
    """What the repositories attest, and those that could not be asked."""

    outcomes: list[LedgerComparison] = field(default_factory=list)
    failed: list[tuple[str, CcdrError]] = field(default_factory=list)


def _asked(plans: Sequence[LoadedPlan], services: Services) -> _Answers:
    """It is recorded, where that can be written: an auditor may only read."""
    from ccdr.jobs.attest import compare, listed_and_vanished, record

    answers = _Answers()
    for loaded in plans:
        try:
            listed, vanished = listed_and_vanished(loaded, services)
            outcome = compare(services, loaded.plan.plan, listed, vanished=vanished)
        except CcdrError as error:
            answers.failed.append((loaded.plan.plan, error))
            continue
        with contextlib.suppress(CcdrError):
            record(services, outcome, by_hand=True)
        answers.outcomes.append(outcome)
    return answers


def _agreed(outcome: LedgerComparison) -> str:
    line = f"the repository of {outcome.plan}: {so_many(outcome.snapshots, 'snapshot attests', 'snapshots attest')} it"
    if outcome.snapshots:
        line += f", up to record {outcome.newest}"
    for name, count in outcome.beside.items():
        line += f"; {so_many(count, 'attests', 'attest')} the ledger {name[:8]}… beside it"
    if unknown := outcome.elsewhere - sum(outcome.beside.values()):
        line += f"; {so_many(unknown, 'is', 'are')} of other ledgers, not known here"
    return line


# `ccdr ledger verify` of one record's proof.

_SHOWN = ("kind", "time", "host", "plan", "asset", "run", "verdict", "result", "reason")


def proof_at(where: Path) -> Path | None:
    """The proof's file, where there is one: the file itself, or the one in a directory that `ccdr ledger proof`
    wrote. One that lies with the lines of a ledger does not stand for them."""
    from ccdr.evidence.checkpoints.proof import PROOF, RECORD, is_proof

    path = where / PROOF if where.is_dir() else where
    if not path.is_file() or (where.is_dir() and any(one.name != RECORD for one in where.glob("*.jsonl"))):
        return None
    with path.open("rb") as file:
        return path if where.is_dir() or is_proof(file.read(64)) else None


def verify_proof(path: Path, brought: Brought) -> Exit:
    from ccdr.evidence.checkpoints.proof import LARGEST, RECORD, check_proof, read_proof

    beside = path.with_name(RECORD)
    try:
        with path.open("rb") as file:
            proof = read_proof(file.read(LARGEST + 1))
        line = beside.read_bytes() if beside.is_file() else None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as why:
        raise UsageProblem(f"{path} {why}", hint="`ccdr ledger proof RUN DIR` writes one") from None
    checked, record = check_proof(proof, line, brought.pins, brought.anchors)
    says = None if checked.findings else VERIFIED if checked.proven else CONSISTENT
    code = Exit.FINDING if checked.findings else Exit.OK if says == VERIFIED else Exit.NOT_CARRIED_OUT
    if settings().json:
        body = {"ok": not checked.findings, "says": says, "record": dict(record), "records": checked.records}
        print_json({**body, "problems": [str(one) for one in checked.findings], **checked.as_json()})
        return code
    click.echo(f"{word(WORDS[code])}  record {proof.index + 1} of {checked.records}{f': {says}' if says else ''}")
    _tell(checked, record)
    return code


def _tell(checked: Checked, record: Mapping[str, Any]) -> None:
    for label, lines in (("problem", checked.findings), ("not judged", checked.unproven)):
        for line in lines:
            click.echo(f"  {label}: {line}")
    for key in _SHOWN:
        if record.get(key) is not None:
            click.echo(f"  {key}: {record[key]}")
    if not checked.findings:
        for line in checked.shows():
            click.echo(f"  boundary: {line}")


@verb(short_help="Verify the ledger, a copy of one, or a proof.")
@click.argument("where", metavar="[DIRECTORY | PLAN...]", nargs=-1)
@click.option("--repository", is_flag=True, help="Compare with what the snapshots of PLAN... (of all) attest, too.")
@click.option(
    "--pin",
    "pins",
    metavar="KEY",
    multiple=True,
    help="A public key that you had by another way: as `ccdr ledger key show` prints it, its fingerprint, or a file.",
)
@click.option(
    "--anchor",
    "anchors",
    metavar="FILE[@TIME]",
    multiple=True,
    help="A checkpoint that you had by another way, or a directory of them; and when you had it (RFC 3339).",
)
@click.option(
    "--tsa",
    "authorities",
    metavar="CERT",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The certificate of a time-stamping authority's CA, PEM, that you had by another way.",
)
@click.option(
    "--signers",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Who may sign, as you know it (OpenSSH's allowed_signers): every signed statement is verified by it.",
)
@click.option("--ledger", "ledger", metavar="ID", help="One that was collected here, by the beginning of its id.")
@click.option("--since-verified", is_flag=True, help="Read only what came after the last verification by `ccdr run`.")
def verify(
    where: tuple[str, ...],
    repository: bool,
    pins: tuple[str, ...],
    anchors: tuple[str, ...],
    authorities: tuple[Path, ...],
    signers: Path | None,
    ledger: str | None,
    since_verified: bool,
) -> Exit:
    """Verify the chain of the live ledger, or of the one in DIRECTORY: a copy of a ledger, or a package that
    `ccdr ledger export` wrote, of which every file is held to the others; or one record's proof, as `ccdr ledger proof`
    writes it. Of the live one, the summary that `ccdr status` is read from is made anew and compared, too, and so is
    what is kept of it elsewhere in the state directory; other ledgers that are here are verified as well.

    A chain alone cannot show that its newest records were cut off, and whoever can rewrite every file can chain it
    anew. Its checkpoints, by a key that you pinned (--pin), and one of them that you had by another way (--anchor),
    or an authority's token over one, by a certificate that you had by another way (--tsa), can: the answer then is
    *verified*, and ends with the boundary: a change before that record would have been found. Without them it is
    *internally consistent*. The snapshots in the repositories can show it, too (--repository).

    Approvals, reviews, declarations, accepted risks and signed periods are statements that somebody has signed. Whose
    they are, your own file of who may sign tells (--signers): a name in a record is a claim. Without it, where there
    are any, nobody's statements were verified, and the exit code is 3.

    With --ledger it is one that was collected. The checkpoints of the evidence buckets that it was collected from are
    anchors then: whoever collected them had them by another way than the host's.

    With --since-verified it reads only what came after the newest verification that the ledger tells of, and checks
    that the record which that came to is there: seconds, whatever the ledger's age. It says from which record on it
    looked, and reads all where there is nothing to go on from.

    Exits 0 where it is verified, and, of a live ledger without anchors, or of one that no key signs, where it is
    internally consistent; a live one whose anchors are configured (anchors.yaml), and a copy of one that a key signs,
    exits 3 where it is no more than that, as does one with records that this ccdr does not read. Crashed runs are
    reported, and are not verification failures.

    \b
    Examples:
      ccdr ledger verify
      ccdr ledger verify --since-verified
      ccdr ledger verify --repository
      ccdr ledger verify --repository outbound
      ccdr ledger verify /mnt/auditor/export --pin ledger.key --anchor from-my-mail.txt
      ccdr ledger verify --pin ledger.key --tsa tsa-ca.pem
      ccdr ledger verify --ledger b465c9bf --pin ledger.key
    """
    from ccdr.evidence.package.bag import is_package
    from ccdr.jobs.checkpoints.held_to import Brought

    brought, known = Brought.of(pins, anchors, authorities), None if signers is None else text_of(signers)
    if ledger is not None:
        if where or repository or since_verified:
            raise UsageProblem("--ledger names one that was collected here, and nothing else goes with it")
        return verify_beside(ledger, brought, known)
    if since_verified:
        if where or repository or brought.anything:
            what = "--since-verified looks at what is new of the live ledger"
            raise UsageProblem(what, hint="leave it out: a copy, a repository, a pin and an anchor are for all of it")
        if (code := verify_since()) is not None:
            return code
        click.echo("ccdr: there is no verification to go on from: all of it is read", err=True)
    if repository or not where:
        return verify_live(where, brought, known, repository=repository)
    if len(where) > 1:
        raise UsageProblem("one DIRECTORY can be verified at a time", hint="--repository takes the names of plans")
    directory = Path(where[0])
    brought.require_from_elsewhere(directory)
    if is_package(directory):  # first: what proves one record must not stand for all of them
        return _verify_package(directory, brought, known)
    if (proof := proof_at(directory)) is not None:
        return verify_proof(proof, brought)
    if not directory.is_dir():
        hint = "name a copy of a ledger, a package or a proof; with --repository, plans"
        raise UsageProblem(f"there is no directory {directory}", hint=hint)
    return _verify_directory(directory, brought, known)


def _verify_directory(directory: Path, brought: Brought, signers: str | None) -> Exit:
    from ccdr.evidence.due_gaps import DueRuns
    from ccdr.evidence.lineage.comparison import id_in, misnamed
    from ccdr.evidence.reading import another_walk, read_verified
    from ccdr.evidence.statements import signed_in
    from ccdr.jobs.checkpoints.held_to import of_directory
    from ccdr.jobs.statements import verified_by

    due = DueRuns()

    def anew() -> Take:
        nonlocal due
        due = DueRuns()
        return due.take

    with another_walk(directory, partial(of_directory, directory, directory / "checkpoints", brought, None)) as held_to:
        verification, checked = read_verified(directory, anew, crashes=True), held_to()
    if verification.records == 0 and verification.ok:
        raise UsageProblem(f"{directory} holds no ledger: nothing was verified", hint="name the directory of *.jsonl")
    problems = (*verification.problems, *(misnamed(directory) if verification.ok else ()))
    held = checked.signed or brought.anything
    statements = verified_by(signed_in(directory), signers)
    verified = Verified(verification, problems, checked=checked, held=held, gaps=due.gaps(), statements=statements)
    return verified.answer(id_in(directory) if verification.ok else None)


def _verify_package(directory: Path, brought: Brought, signers: str | None) -> Exit:
    from ccdr.cli.ledger.package import VerifiedPackage
    from ccdr.evidence.package.verifying import verify_package
    from ccdr.host.clock import SystemClock
    from ccdr.jobs.statements import verified_by

    try:
        checked = verify_package(
            directory, brought.pins, brought.anchors, brought.certificates, now=SystemClock().now()
        )
    except OSError as error:
        raise CcdrError(f"{directory} cannot be read: {error.strerror}", hint="read it as its owner") from None
    verified = VerifiedPackage(checked, verified_by(checked.signed, signers), made_anew_of(directory, checked))
    if settings().json:
        print_json(verified.as_json())
    else:
        verified.tell()
    return verified.exit_code


def made_anew_of(directory: Path, checked: PackageChecked) -> MadeAnew:
    """Where its records are not what they were, nothing is: what they come to proves nothing."""
    from ccdr.telling.package import MadeAnew, made_anew

    ours = checked.ours
    if checked.findings or ours is None or ours.verification.problems or ours.verification.unknown:
        return MadeAnew(
            unproven=["what is told beside the records: these are not as they were, or not to be read here"]
        )
    return made_anew(directory, checked)


def text_of(signers: Path) -> str:
    try:
        return signers.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageProblem(f"{signers}, who may sign, cannot be read: {why}") from None
