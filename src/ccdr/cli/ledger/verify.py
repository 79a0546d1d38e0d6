"""`ccdr ledger verify`: of which of the things that can be verified: this file; of each how: those beside it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.ledger.verified import Verified
from ccdr.cli.ledger.verify_beside import verify_beside
from ccdr.cli.ledger.verify_live import verify_live, verify_since
from ccdr.cli.ledger.verify_proof import proof_at, verify_proof
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.evidence.reading import Take
    from ccdr.jobs.checkpoints.held_to import Brought


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

    Approvals, reviews, attestations, accepted risks and sign-offs are statements that somebody has signed. Whose they
    are, your own file of who may sign tells (--signers): a name in a record is a claim. Without it, where there are
    any, nobody's statements were verified, and the exit code is 3.

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
    from ccdr.evidence.lineage.beside import id_in, misnamed
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
    if settings().json:
        print_json({**verified.as_json(), "ledger": id_in(directory) if verification.ok else None})
    else:
        verified.tell()
    return verified.exit_code


def _verify_package(directory: Path, brought: Brought, signers: str | None) -> Exit:
    from ccdr.cli.ledger.package import VerifiedPackage
    from ccdr.evidence.package.verifying import verify_package
    from ccdr.jobs.statements import verified_by

    try:
        checked = verify_package(directory, brought.pins, brought.anchors, brought.certificates)
    except OSError as error:
        raise CcdrError(f"{directory} cannot be read: {error.strerror}", hint="read it as its owner") from None
    verified = VerifiedPackage(checked, verified_by(checked.signed, signers))
    if settings().json:
        print_json(verified.as_json())
    else:
        verified.tell()
    return verified.exit_code


def text_of(signers: Path) -> str:
    try:
        return signers.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageProblem(f"{signers}, who may sign, cannot be read: {why}") from None
