"""`ccdr approval`: requests that somebody else signs, and what was done without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE, one_way, sign_or_write, signed_text, signing_options, write_to_sign
from ccdr.cli.output import print_json, table
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, from_option, plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.approvals import BrokenGlass

OPERATIONS = ("prune", "key-remove", "register", "recover")


@click.group(epilog=EXIT_STATUS, short_help="Four eyes: ask for an approval, review what was done without.")
def approval() -> None:
    """What needs another person's signature, where a plan has an `approval:` block: ask for it, and review what was
    done without."""


@verb(short_help="Ask for somebody else's approval.")
@plan_argument
@click.argument("operation", type=click.Choice(OPERATIONS))
@click.option("--key", type=FILE, metavar="KEY", required=True, help="Your own key (or its .pub, held by ssh-agent).")
@click.option("--out", type=FILE, metavar="FILE", required=True, help="Write the request into FILE.")
@click.option("--for", "lasts", metavar="TIME", default="24h", help="How long it can be carried out (24h; at most 7d).")
@click.option("--host", metavar="HOST", help="Which host carries it out; this one unless said.")
@click.option("--about", metavar="WORD", help="What of it: an id, where the operation asks for one.")
@from_option
def request(
    plan: str, operation: str, key: Path, out: Path, lasts: str, host: str | None, about: str | None, site: str | None
) -> Exit:
    """Write what you want to do with PLAN into FILE, and sign it. Somebody else reads FILE and signs it, too:

    \b
      ssh-keygen -Y sign -n ccdr-approval -f THEIR_KEY FILE

    --about says more where there is more to say: of the register of erasures the entry that is to be withdrawn, or what
    `ccdr erasure add --dry-run` tells of the one that is to be added.

    The request is of this version of the plan, of this repository, for this host, for once, and for a while. One for a
    prune names the snapshots that would go now: no others do.

    \b
    Examples:
      ccdr approval request outbound prune --key ~/.ssh/id_ed25519 --out prune.txt
      ccdr upkeep outbound --prune --approval prune.txt     once prune.txt.sig is there
      ccdr approval request outbound register --about e-000017 --key ~/.ssh/id_ed25519 --out withdraw.txt
    """
    from datetime import timedelta

    from ccdr.evidence.statements import WORD, Operation
    from ccdr.jobs.approvals import Wanted
    from ccdr.jobs.approvals import request as ask
    from ccdr.jobs.copies import from_site
    from ccdr.model.schema import parse_duration

    options = settings()
    try:
        span = timedelta(seconds=parse_duration(lasts))
    except (ValueError, OverflowError):
        raise UsageProblem(f"--for {lasts[:40]!a} is no duration", hint="write 4h, or 7d at most") from None
    if about is not None and not WORD.fullmatch(about):
        raise UsageProblem(f"--about {about[:40]!a} is not one word", hint="write an id: letters, digits, . : _ -")
    if out.exists():
        raise UsageProblem(f"{out} is there already", hint="name a file that is not there yet")
    loaded, services = from_site(options.load(plan), options.services(), site)
    snapshots: list[str] = []
    if operation == Operation.PRUNE:
        from ccdr.jobs.upkeep import prune

        with progress() as watched:
            planned = prune(loaded, services, watched, dry_run=True)
        snapshots = [d.snapshot.id for _, d in planned.each() if not d.keep]
    asked, signature = ask(Wanted(Operation(operation), loaded, about), services, key, span, snapshots, host)
    _write(out.with_name(f"{out.name}.requested"), signature)
    code = write_to_sign(out, asked, f"{_carried_out(operation, plan, about or '-')} --approval {out}")
    if not options.json and operation == Operation.PRUNE:
        click.echo(f"  it names {so_many(len(snapshots), 'snapshot')} that would go", err=True)
    return code


def _carried_out(operation: str, plan: str, about: str) -> str:
    """The command that takes the approval."""
    from ccdr.jobs.erasure.entries import NOBODY

    if operation == "register" and about.startswith(NOBODY):
        return f"ccdr erasure review {plan} --nobody {about.removeprefix(NOBODY)} --why WHY"
    if operation == "register" and about.startswith("e-"):
        return f"ccdr erasure withdraw {plan} {about} --why WHY"
    if operation == "register":
        return f"ccdr erasure add {plan} --selector FILE"
    if operation == "recover":
        return f"ccdr recover {plan}"
    if operation == "key-remove":
        return f"ccdr repository key remove {plan} {about}"
    return f"ccdr upkeep {plan} --prune"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageProblem(f"{path}: {error.strerror}", hint="name a place where you may write") from None


@verb(short_help="Review what was done without an approval.")
@plan_argument
@click.option("--record", type=int, metavar="N", help="Which of them, by its record's number.")
@click.option("--found", metavar="TEXT", help="What the review found: at most 500 characters.")
@signing_options
def review(
    plan: str, record: int | None, found: str | None, key: Path | None, into: Path | None, signed: Path | None
) -> Exit:
    """List what was done with PLAN by --break-glass and nobody has reviewed; or review one of it: somebody who may
    approve signs that they have looked at why. Until then it stands as BREAK_GLASS.

    \b
    Examples:
      ccdr approval review outbound
      ccdr approval review outbound --record 412 --found "the disk was full, OPS-77" --key ~/.ssh/id_ed25519
    """
    from ccdr.evidence.acknowledged import words_of
    from ccdr.jobs.approvals import reviewed, to_be_reviewed, to_review

    options = settings()
    loaded, services = options.load(plan), options.services()
    waiting = to_be_reviewed(services, loaded)
    if all(one is None for one in (record, found, key, into, signed)):
        return _list(waiting, plan)
    one_way(key, into, signed, f"ccdr approval review {plan}")
    if signed is not None:
        if (record, found) != (None, None):
            raise UsageProblem("--signed takes neither --record nor --found: both stand in FILE", hint="leave them out")
        text, signature = signed_text(signed)
    elif found is None:
        raise UsageProblem("--found is missing: what did the review find?", hint='--found "…"')
    else:
        broken = _one_of(waiting, record, plan)
        given = to_review(plan, broken, services, words_of(found, "--found"))
        text, signature = given.text(), sign_or_write(given, key, into, f"ccdr approval review {plan}", services)
        if not signature:
            return Exit.OK
    signer = reviewed(loaded, services, text, signature)
    if options.json:
        print_json({"reviewed": {"plan": plan, "by": signer.name, "key": signer.key}})
    else:
        click.echo(f"reviewed  {plan}, by {signer}")
    return Exit.OK


def _one_of(waiting: list[BrokenGlass], record: int | None, plan: str) -> BrokenGlass:
    there = [one for one in waiting if record in (None, one.seq)]
    if len(there) == 1:
        return there[0]
    known = ", ".join(str(one.seq) for one in waiting) or "none"
    raise UsageProblem(f"which of {plan} is reviewed?", hint=f"--record N; what waits for a review: {known}")


def _list(waiting: list[BrokenGlass], plan: str) -> Exit:
    if settings().json:
        print_json({"to_review": [one.as_json() for one in waiting]})
    elif not waiting:
        click.echo(f"nothing of {plan} waits for a review")
    else:
        rows = [
            (str(one.seq), one.operation, one.at[:19], one.actor, one.why or "(not kept any more)") for one in waiting
        ]
        table(("record", "done without approval", "at", "by", "why"), rows)
    return Exit.FINDING if waiting else Exit.OK


approval.add_command(request, "request")
approval.add_command(review, "review")
