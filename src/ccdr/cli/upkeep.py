"""`ccdr upkeep`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from ccdr.cli.approving import GoingOn, going_on_options
from ccdr.cli.output import print_json, table, tell_why, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.trouble import show_words, tell_error
from ccdr.cli.verbs import as_one, dry_run_option, from_option, tell_paused, verb
from ccdr.model.errors import Exit, Locked, UsageProblem, worst
from ccdr.model.values import human_bytes, human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.upkeep import Capacity, Check, Prune
    from ccdr.ports.place import Progress

R = TypeVar("R", "Prune", "Check")


@verb(short_help="Prune and check the repositories.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option("--prune", "only", flag_value="prune", help="Only remove snapshots that retention does not keep.")
@click.option("--check", "only", flag_value="check", help="Only read and verify the next part of the data.")
@click.option("--all-data", is_flag=True, help="The check reads all of the data, however long that takes.")
@from_option
@going_on_options
@dry_run_option
@as_one("going_on", GoingOn)
def upkeep(
    names: tuple[str, ...], only: str | None, all_data: bool, site: str | None, going_on: GoingOn, dry_run: bool
) -> Exit:
    """Look after the repository of each PLAN (of all): remove the snapshots that its retention lets go, and read and
    verify the next part of what stays.

    The last good snapshot of an asset stays, and so does the last one proven by a restore test. While a finding is
    open on an asset, all of it stays; where that goes on for longer than the plan's `longest_hold`, it is a finding
    itself. Run it where the restore tests run: what they have proven stands in this host's ledger.

    --dry-run shows why each snapshot stays or goes.

    A plan with an `approval:` block is pruned by `ccdr run`, as its approved version says. By hand that takes a request
    that somebody else has signed (`ccdr approval request PLAN prune`), and removes what that names; or --break-glass.

    \b
    Examples:
      ccdr upkeep outbound --dry-run
      ccdr upkeep outbound --prune
      ccdr upkeep --check                       all plans
      ccdr upkeep outbound --check --all-data   after damage was found
      ccdr upkeep outbound --from offsite       a copy's repository
      ccdr upkeep outbound --prune --approval prune.txt
    """
    from ccdr.jobs.copies import from_site
    from ccdr.jobs.upkeep import check, prune
    from ccdr.plans.access import Role
    from ccdr.plans.roles import as_role

    options = settings()
    if all_data and only == "prune":
        raise UsageProblem("--all-data is for the check", hint="leave --prune out, or --all-data")
    if going_on.any and (only != "prune" or len(names) != 1 or dry_run):
        raise UsageProblem(
            "--approval and --break-glass are for the prune of one plan",
            hint="ccdr upkeep PLAN --prune --approval FILE",
        )
    loaded, wrong = options.load_told(names)
    own, outcomes = options.services(), _Outcomes(dry_run, codes=[error.exit_code for error in wrong])
    for stated in loaded:
        plan, services = from_site(stated, own, site)
        outcomes.documents.append({"plan": plan.plan.plan})
        tell_paused(services, plan.plan.plan)
        if only in (None, "prune"):
            given = going_on.given(plan, services)
            outcomes.of(
                "prune", partial(prune, as_role(plan, Role.PRUNE), services, dry_run=dry_run, given=given), _tell_prune
            )
        if only in (None, "check"):
            outcomes.of(
                "check",
                partial(check, as_role(plan, Role.VERIFY), services, dry_run=dry_run, all_data=all_data),
                _tell_check,
            )
    if options.json:
        print_json(outcomes.documents[0] if len(names) == 1 else {"plans": outcomes.documents})
    return worst(outcomes.codes)


@dataclass
class _Outcomes:
    """What was done for one plan after the other: told to people at once, to programs at the end."""

    dry_run: bool
    codes: list[Exit]
    documents: list[dict[str, object]] = field(default_factory=list)

    def of(self, name: str, do: Callable[[Progress], R], tell: Callable[[R, bool], None]) -> None:
        """Do one thing for the last plan."""
        from ccdr.jobs.approvals import ApprovalRefused

        try:
            with progress() as watched:
                done = do(watched)
        except (Locked, ApprovalRefused) as error:
            self.codes.append(error.exit_code)
            result = "LOCKED" if isinstance(error, Locked) else "REFUSED"
            self.documents[-1][name] = {"result": result, "reason": str(error), "hint": error.hint}
            tell_error(error, in_json=False)
            return
        self.codes.append(done.exit_code)
        self.documents[-1][name] = done.as_json()
        show_words(done.words, done.run, done.exit_code)
        if not settings().json:
            tell(done, self.dry_run)


def _tell_prune(done: Prune, dry_run: bool) -> None:
    if dry_run:
        rows = [
            (d.snapshot.short, asset, rfc3339(d.snapshot.consistent_point), _stays(d.keep), "; ".join(d.why))
            for asset, d in done.each()
        ]
        table(("id", "asset", "consistent point", "", "why"), rows)
    else:
        click.echo(f"{word(done.result)}  {done.plan}  ", nl=False)
        freed = f", {human_bytes(done.freed)} freed" if done.freed is not None else ""
        kept = sum(d.keep for _, d in done.each())
        click.echo(f"{so_many(len(done.removed), 'snapshot')} removed, {kept} kept{freed}")
        _tell_capacity(done.capacity)
    tell_why(done.reason, done.hint)
    held = [d for _, d in done.each() if d.held_since is not None]
    if held and not dry_run:
        count = so_many(len(held), "snapshot whose time is up is", "snapshots whose time is up are")
        click.echo(f"  {count} held; --dry-run says why")
    _tell_findings(done.findings, done.left_behind)


def _stays(keep: bool) -> str:
    return click.style("keep", fg="green") if keep else click.style("remove", fg="yellow", bold=True)


def _tell_check(done: Check, dry_run: bool) -> None:
    if dry_run:
        click.echo(f"would check the structure, and read {_which(done)}")
        return
    read = f"was read in {human_seconds(done.seconds)}"
    how = {"CLEAN": read, "DAMAGED": f"{read}, and some of it is damaged"}.get(done.result, "could not be read")
    click.echo(f"{word(done.result)}  {done.plan}  {_which(done)} {how}")
    if done.result == "INCONCLUSIVE" and done.reason:
        click.echo(f"  {done.reason}")
    _tell_findings(done.findings, done.left_behind)
    if done.result == "DAMAGED":
        each = f"`ccdr test {done.plan} --asset A --snapshot ID` tests each of them"
        click.echo(f"  snapshots that need the damaged bytes cannot be restored whole; {each}")
    click.echo(f"  {_covered(done)}")
    _tell_capacity(done.capacity)
    if done.hint:
        click.echo(f"  → {done.hint}")


def _covered(done: Check) -> str:
    """How much of the data is known to be clean. Where all of it was read at once, restic tells packs, and no parts."""
    if done.all_data and done.result == "DAMAGED":
        return "no part counts as clean until all of the data is read and found clean"
    full = (
        f"all of it was read since {rfc3339(done.full_since)}"
        if done.full_since
        else "not all of it is known to be clean"
    )
    return f"{done.covered} of {done.parts} parts were read and found clean in this cycle; {full}"


def _which(done: Check) -> str:
    return "all of the data" if done.all_data else f"part {done.part} of {done.parts}"


def _tell_capacity(capacity: Capacity) -> None:
    if capacity.taken is None:
        return
    parts = [f"the repository takes {human_bytes(capacity.taken)}"]
    if capacity.growth is not None:
        parts.append(f"grows by {human_bytes(capacity.growth)} a day")
    if capacity.free is not None:
        parts.append(f"{human_bytes(capacity.free)} free")
    if (full := capacity.full_in) is not None:
        parts.append(f"full in {human_seconds(full)}")
    click.echo(f"  {', '.join(parts)}")


def _tell_findings(findings: Sequence[object], left_behind: list[str]) -> None:
    for line in left_behind:
        click.echo(f"  {line}")
    for finding in findings:
        click.echo(f"  finding: {finding}")
