"""`ccdr plan approve`, and what every verb that takes a signature has in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccdr.cli.settings import F
    from ccdr.evidence.records.statements import Statement
    from ccdr.jobs.approvals import ApprovedPlan, Given, ToBeApproved
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
package_option = click.option(
    "--package", type=FOLDER, metavar="DIR", help="Of a package, from its records, as they stood at its end."
)
LARGEST = 1 << 20


def signing_options(function: F) -> F:
    """How a text comes to be signed: here by a key, or elsewhere. One of the three is given."""
    options: tuple[Callable[[F], F], ...] = (
        click.option("--key", type=FILE, metavar="KEY", help="Sign it here, by this key of OpenSSH's (or its .pub)."),
        click.option("--write", "into", type=FILE, metavar="FILE", help="Write what is to be signed into FILE."),
        click.option("--signed", type=FILE, metavar="FILE", help="Take FILE, and its signature in FILE.sig."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Signing:
    """By which key, or where it is signed: the values of `signing_options`."""

    key: Path | None
    into: Path | None
    signed: Path | None

    @property
    def any(self) -> bool:
        return any(one is not None for one in (self.key, self.into, self.signed))


def key_option(function: F) -> F:
    """For what may be signed, by who states it here."""
    return click.option("--key", type=FILE, metavar="KEY", help="Sign it, by this key of OpenSSH's (or its .pub).")(
        function
    )


def signing_by(key: Path | None, signers: Path | None = None) -> Services:
    """The services, with this key at hand: whose it is says that file of who may sign, or a plan's, or this host's."""
    from ccdr.jobs.services import Hand
    from ccdr.plans.model import SIGNERS

    services = settings().services()
    if key is None:
        return services
    plans, _ = settings().load_all(())
    places = (one.plan.approval.signers for one in plans if one.plan.approval is not None)
    return replace(services, hand=Hand(key, (*places, SIGNERS) if signers is None else (signers,)))


@dataclass(frozen=True)
class GoingOn:
    """By what something goes on that needs somebody else's approval: the option's values."""

    approval: Path | None
    break_glass: str | None

    @property
    def any(self) -> bool:
        return self.approval is not None or self.break_glass is not None

    def given(self, loaded: LoadedPlan, services: Services) -> Given:
        """UsageProblem where both were given, or the files cannot be read."""
        from ccdr.evidence.acknowledged import words_of
        from ccdr.jobs.approvals import NOTHING, Given

        if self.approval is not None and self.break_glass is not None:
            raise UsageProblem("--approval and --break-glass are two things: give one")
        if self.break_glass is not None:

            def tell() -> None:
                from ccdr.run.at_once import tell_at_once

                for line in tell_at_once(loaded, services):
                    click.echo(f"ccdr: {line}", err=True)

            return Given(reason=words_of(self.break_glass, "--break-glass", "say why: it is reviewed"), tell=tell)
        if self.approval is None:
            return NOTHING
        path = self.approval
        asked, approved = (path.with_name(f"{path.name}.{end}") for end in ("requested", "sig"))
        return Given(_read(path), _read(asked), _read(approved))


def going_on_options(function: F) -> F:
    """For what needs somebody else's approval, where the plan is to be approved."""
    approval = click.option(
        "--approval", type=FILE, metavar="FILE", help="A request that somebody else has signed (FILE, and FILE.sig)."
    )
    glass = click.option(
        "--break-glass", metavar="WHY", help="Go on without one, in an emergency: told at once, red until reviewed."
    )
    return approval(glass(function))


def may_recover(loaded: LoadedPlan, services: Services, going_on: GoingOn) -> None:
    """Where the plan wants an approval of a recovery: ApprovalRefused, recorded, where there is none that holds."""
    from ccdr.evidence.statements import Operation
    from ccdr.jobs.approvals import Wanted, allowed

    allowed(Wanted(Operation.RECOVER, loaded), services, going_on.given(loaded, services))


def signed_text(path: Path) -> tuple[str, str]:
    """A text that was written for it, and the signature that lies beside it."""
    return _read(path), _read(path.with_name(f"{path.name}.sig"))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageProblem(
            f"{path}: {error.strerror}", hint="`ssh-keygen -Y sign` writes FILE.sig beside FILE: give FILE"
        ) from None
    if len(data) > LARGEST:
        raise UsageProblem(f"{path} has more than {LARGEST} bytes: it is no text of ccdr's")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageProblem(f"{path} is no text of ccdr's") from None


def sign(given: Statement[Any], key: Path, services: Services) -> str:
    """The signature, by a key that is here."""
    from ccdr.host import signatures

    return signatures.sign(given.text(), key, given.row.namespace, services.host)


def sign_or_write(given: Statement[Any], key: Path | None, into: Path | None, then: str, services: Services) -> str:
    """The signature; empty where the text was written, for who signs elsewhere: `then` takes it."""
    if into is not None:
        write_to_sign(into, given, f"{then} --signed {into}")
        return ""
    assert key is not None
    return sign(given, key, services)


def write_to_sign(path: Path, given: Statement[Any], then: str) -> Exit:
    """Nothing is written over: a signature lies beside the text."""
    text, namespace = given.text(), given.row.namespace
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}", hint="name a file that is not there yet") from None
    steps = [f"ssh-keygen -Y sign -n {namespace} -f KEY {path}", then]
    if settings().json:
        print_json({"written": str(path), "next": steps})
    else:
        click.echo(text, nl=False)
        click.echo(f"→ whoever approves it signs {path}:  {steps[0]}\n→ then:  {steps[1]}", err=True)
    return Exit.OK


def one_way(key: Path | None, into: Path | None, signed: Path | None, command: str) -> None:
    """UsageProblem unless exactly one way of signing was given."""
    given = [name for name, one in (("--key", key), ("--write", into), ("--signed", signed)) if one is not None]
    if len(given) > 1:
        raise UsageProblem(f"{' and '.join(given)} are several ways to sign: give one")
    if not given:
        raise UsageProblem(
            "by which key is it signed?",
            hint=f"`{command} --key KEY` signs it here; `{command} --write FILE` writes what is to be signed elsewhere",
        )


@verb(short_help="Have this version of PLAN approved, by a signature.")
@plan_argument
@signing_options
def approve(plan: str, key: Path | None, into: Path | None, signed: Path | None) -> Exit:
    """Approve PLAN as it stands now, with its restore tests: somebody who may signs the digest of these files, by
    OpenSSH's `ssh-keygen -Y sign`, and that is recorded. Who may stands in the plan's `approval: signers`, a file that
    is root's.

    It is of this version alone: a plan that was changed, or whose restore tests were, is to be approved again. Until
    then `ccdr status` tells of it, backups and restore tests go on, and nothing is pruned.

    Without an option it shows what would be signed, and which keys differ from the version that was approved last.

    \b
    Examples:
      ccdr plan approve outbound                          shows what would be signed, and how
      ccdr plan approve outbound --key ~/.ssh/id_ed25519
      ccdr plan approve outbound --write outbound.txt     then: ssh-keygen -Y sign -n ccdr-approval -f KEY outbound.txt
      ccdr plan approve outbound --signed outbound.txt    reads outbound.txt.sig, too
    """
    from ccdr.jobs.approvals import approve as record
    from ccdr.jobs.approvals import to_approve, to_be_approved

    options = settings()
    loaded, services = options.load(plan), options.services()
    if key is into is signed is None:
        return _preview(to_be_approved(loaded, services))
    one_way(key, into, signed, f"ccdr plan approve {plan}")
    if signed is not None:
        return _tell(record(loaded, services, *signed_text(signed)))
    given = to_approve(loaded, services)
    signature = sign_or_write(given, key, into, f"ccdr plan approve {plan}", services)
    return _tell(record(loaded, services, given.text(), signature)) if signature else Exit.OK


def _preview(shown: ToBeApproved) -> Exit:
    from ccdr.jobs.approvals import told_of

    if settings().json:
        print_json(shown.as_json())
        return Exit.OK
    click.echo(f"would be signed: version {shown.version} of {shown.plan}, to be looked at again by", nl=False)
    click.echo(f" {shown.review_by:%Y-%m-%d}")
    for name, digest in shown.files.items():
        click.echo(f"  {digest}  {name}")
    if shown.before is None:
        click.echo("no version of it was approved before, as far as this host knows")
        if shown.not_here:
            click.echo(f"  {told_of(shown.plan, shown.not_here)}")
    elif shown.before == shown.version:
        click.echo("it is the version that was approved last" + (f"; {shown.why}" if shown.why else ""))
    else:
        keys = "its files are gone" if shown.keys is None else ", ".join(shown.keys) or "comments and layout alone"
        click.echo(f"changed since version {shown.before[:8]}, approved last: {keys}")
    signs, writes = shown.next
    click.echo(f"→ {signs}   signs it here\n→ {writes}   writes it, for who signs elsewhere", err=True)
    return Exit.OK


def _tell(done: ApprovedPlan) -> Exit:
    from ccdr.jobs.approvals import told_of

    if settings().json:
        print_json(done.as_json())
    else:
        click.echo(f"approved  {done.plan}  version {done.digest[:8]}, by {done.signer}; record {done.seq}")
        click.echo(f"  to be looked at again by {done.review_by:%Y-%m-%d}")
        if done.not_here:
            click.echo(f"  {told_of(done.plan, done.not_here)}")
    return Exit.OK
