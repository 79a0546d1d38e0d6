"""`ccdr access`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.approving import FILE, Signing, one_way, sign, signed_text, signing_options, write_to_sign
from ccdr.cli.output import print_json, table, tell_record, word, write_out
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, as_one, complete_plans, dry_run_option, plan_argument, verb
from ccdr.host.state_files import encoded, plain
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.jobs.access import AccessTest, Reviewed
    from ccdr.jobs.access.export import AccessExport, StoreLine
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.ports.accounts import Account

# `ccdr access policies`.

ROLES = ("backup", "verify", "prune", "restore", "auditor", "evidence")


@verb(short_help="Print the policy of each role, for PLAN's bucket.")
@plan_argument
@click.option("--role", "wanted", type=click.Choice(ROLES), help="Of this role alone.")
@click.option(
    "--server",
    type=click.Choice(["aws", "seaweedfs"]),
    default="aws",
    show_default=True,
    help="For whom: AWS and what speaks its policies, or SeaweedFS' -s3.config.",
)
def policies(plan: str, wanted: str | None, server: str) -> Exit:
    """Print what each role may do at the store of PLAN's repository, as policies with its real bucket and folder: the
    least that the role's work needs.

    backup puts and reads, and deletes nothing but its own locks. verify and restore read. prune alone deletes, and
    removes versions. auditor reads the place of evidence that the plan names, and nothing else. evidence is of
    each host that signs its ledger (anchors.yaml): it puts there, and can neither read nor list.

    For AWS each policy is a document of IAM's: attach it to a user or a role of its own. With --role it is that
    document alone; else an object has all of them, by role. For SeaweedFS it is what `weed s3 -s3.config` reads: users
    with these policies, into which you write the keys, and an administrator's identity beside them.

    \b
    Examples:
      ccdr access policies outbound --role backup > backup.json
      aws iam put-user-policy --user-name outbound-backup --policy-name ccdr --policy-document file://backup.json
      ccdr access policies outbound --server seaweedfs > s3.json
    """
    from ccdr.plans.access import Role
    from ccdr.storage.access_policies import EVIDENCE, Places, identities, policy

    places = Places.of(settings().load(plan).plan)
    if wanted is not None and server == "aws":
        print_json(policy(wanted, places))
        return Exit.OK
    there = [EVIDENCE] if places.evidence else []
    every = [*(r.value for r in Role if r is not Role.AUDITOR or places.evidence), *there]
    made = {role: policy(role, places) for role in ([wanted] if wanted is not None else every)}
    if server == "seaweedfs":
        print_json(identities(made, places.plan))
    else:
        print_json(made)
    if wanted is None and places.evidence is None:
        click.echo("ccdr: no policy for auditor and evidence: the plan names no place of evidence", err=True)
    return Exit.OK


# `ccdr access review`.

ALL = "all"


@dataclass(frozen=True)
class _Look:
    """What somebody has looked at, and what they found."""

    looked_at: Path | None
    found: str | None
    to_be_changed: bool
    elsewhere: str | None

    @property
    def empty(self) -> bool:
        given = (self.looked_at, self.found, self.elsewhere)
        return all(one is None for one in given) and not self.to_be_changed


@verb(short_help="Export who may do what, and record that it was looked at.")
@click.argument("plan", metavar="PLAN|all", shell_complete=complete_plans)
@click.option("--out", type=FILE, metavar="FILE", help="Write the export there, as JSON, to be looked at.")
@click.option("--looked-at", type=FILE, metavar="FILE", help="Record that somebody has looked at this export.")
@click.option("--found", metavar="TEXT", help="What they found: at most 500 characters, kept apart.")
@click.option(
    "--to-be-changed", is_flag=True, help="Somebody has what they should not have: failing until reviewed anew."
)
@click.option("--elsewhere", metavar="TEXT", help="Who looked, and when, at what could not be read; kept apart.")
@signing_options
@as_one("look", _Look)
@as_one("signing", Signing)
def review(plan: str, out: Path | None, look: _Look, signing: Signing) -> Exit:
    """Export who may do what of PLAN, as the systems tell now and not as the plan says: the bucket's policy and grants,
    what was tried of each role's credential, accounts of each source's server (roles, memberships, what they read and
    write), the passwords of the repositories (when, by whom and where they were set), owner and mode of secrets, plans
    and state, and who may approve. What could not be read is said. It holds no customer's data, no secret and no hash
    of one.

    A person looks at it, and has that recorded with the digest of what they looked at: `ccdr controls` then shows it
    for three months from the export, and `ccdr status` tells a month before that ends. What could not be
    read is not covered until --elsewhere states who looked there. With a key it is signed
    (`ssh-keygen -Y sign -n ccdr-access-review`) by somebody who stands in the plan's file of signers.

    \b
    Examples:
      ccdr access review outbound
      ccdr access review outbound --out access.json
      ccdr access review outbound --looked-at access.json --found "as agreed in May" --key ~/.ssh/id_ed25519
      ccdr access review outbound --looked-at access.json --found "as agreed" --elsewhere "Ion, the DBA, by hand, 3 May"
      ccdr access review outbound --looked-at access.json --found "a leaver's key is still there" --to-be-changed
      ccdr access review all --out access.json
    """
    options = settings()
    loaded = options.every() if plan == ALL else [options.load(plan)]
    services = options.services()
    if signing.signed is not None or look.looked_at is not None:
        if out is not None:
            raise UsageProblem("--out asks the systems, and --looked-at records: give one of them")
        return _record(plan, loaded, look, signing, services)
    if not look.empty or signing.any:
        raise UsageProblem("what was looked at?", hint=f'ccdr access review {plan} --looked-at FILE --found "…"')
    return _export(plan, loaded, out, services)


def _export(plan: str, loaded: list[LoadedPlan], out: Path | None, services: Services) -> Exit:
    from ccdr.jobs.access import record_export
    from ccdr.jobs.access import review as ask
    from ccdr.jobs.access.export import AccessExports

    with progress() as watched:
        made = [ask(one, services, watched) for one in loaded]
    document = plain(made[0] if plan != ALL else AccessExports(plans=made))
    if out is not None:
        text = encoded(document)
        write_out(out, text)
        for of, one in zip(loaded, made, strict=True):
            record_export(of, one, text, services)
    if settings().json:
        print_json(document)
    else:
        for one in made:
            _tell(one)
    if out is not None:
        click.echo(
            f"ccdr: {out} has it: look at it, then  ccdr access review {plan} --looked-at {out} --found …", err=True
        )
    return Exit.OK


def _record(plan: str, loaded: list[LoadedPlan], look: _Look, signing: Signing, services: Services) -> Exit:
    from ccdr.evidence.acknowledged import words_of
    from ccdr.evidence.records.statements import REVIEW_ACCESS
    from ccdr.jobs.access import looked_at, record_review

    if signing.signed is not None:
        if not look.empty or signing.key is not None or signing.into is not None or plan == ALL:
            hint = "ccdr access review PLAN --signed FILE"
            raise UsageProblem("--signed takes nothing else: all of it stands in FILE", hint=hint)
        text, signature = signed_text(signing.signed)
        return _told([record_review(loaded[0], REVIEW_ACCESS.read(text), services, signature, text)])
    if look.found is None or look.looked_at is None:
        hint = f'ccdr access review {plan} --looked-at FILE --found "as agreed in May"'
        raise UsageProblem("--found is missing: what did whoever looked at it find?", hint=hint)
    found, done = words_of(look.found, "--found"), []
    if signing.any:
        one_way(signing.key, signing.into, None, f"ccdr access review {plan}")
    if signing.into is not None and plan == ALL:
        raise UsageProblem("--write is for one plan: each has a text of its own to be signed", hint="name the plan")
    elsewhere = None if look.elsewhere is None else words_of(look.elsewhere, "--elsewhere")
    given = [
        looked_at(one, look.looked_at, found, services, in_order=not look.to_be_changed, elsewhere=elsewhere)
        for one in loaded
    ]
    if signing.into is not None:
        return write_to_sign(signing.into, given[0], f"ccdr access review {plan} --signed {signing.into}")
    for one, what in zip(loaded, given, strict=True):
        by = sign(what, signing.key, services) if signing.key is not None else None
        done.append(record_review(one, what, services, by))
    return _told(done)


def _told(done: list[Reviewed]) -> Exit:
    if settings().json:
        print_json({"reviewed": [one.as_json() for one in done]})
        return Exit.OK
    for one in done:
        signed = "" if one.review.key else " (not signed)"
        click.echo(f"reviewed  {one.plan}  until {rfc3339(one.review.valid_until)}, by {one.review.by}{signed}")
        if not one.review.in_order:
            click.echo("  something is to be changed: `ccdr controls` says contradicted until it is reviewed anew")
        elif one.review.unseen:
            click.echo(
                f"  {so_many(one.review.unread, 'thing')} could not be read: `ccdr controls` says nothing until "
                "--elsewhere states who looked there"
            )
    return Exit.OK


def _tell(of: AccessExport) -> None:
    click.echo(f"who may do what: {of.plan}, asked on {of.host} at {rfc3339(of.at)}")
    _section("store", ("repository", "what", "who", "may"), [_store_row(one) for one in of.store])
    keys = [
        (k.repository, k.id, f"{k.created:%Y-%m-%d}" if k.created else "-", f"{k.user}@{k.host}")
        for k in of.repository_keys
    ]
    _section("passwords of the repositories", ("repository", "id", "set", "by"), keys)
    for one in of.databases:
        rows = [_account_row(account) for account in one.accounts]
        heading = ("account", "logs in", "everywhere", "member of", "reads/writes")
        _section(f"accounts of {one.asset} ({one.engine})", heading, rows)
    root = [(a.name, {True: "yes", False: "no", None: "-"}[a.logs_in], ", ".join(a.by)) for a in of.host_accounts]
    _section("who is root on this host, or may become it", ("account", "logs in", "by"), root)
    files = [
        (f.what, f"{f.owner}:{f.group}", f.mode, ", ".join(f.replaceable_by_others_at) or "-", f.path) for f in of.files
    ]
    _section("files of this host", ("what", "owner", "mode", "others may replace it at", "path"), files)
    signers = [(", ".join(s.names), s.type, "yes" if s.second_factor else "no", s.key) for s in of.approvers]
    _section("who may approve", ("name", "type", "second factor", "key"), signers)
    _section("not read", ("what", "why"), [(one.what, one.why) for one in of.unread])
    click.echo(f"\n{so_many(of.entries, 'line')}; {so_many(len(of.unread), 'thing')} could not be read")


def _section(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        click.echo(f"\n{title}")
        table(headings, rows)


def _store_row(one: StoreLine) -> tuple[str, str, str, str]:
    from ccdr.jobs.access.export import StoreCredential, StoreTrial
    from ccdr.storage.s3_access import PolicyStatement

    if isinstance(one, StoreCredential):
        ends = f"key …{one.key_ends_in}" if one.key_ends_in else "-" if one.here else "not on this host"
        return one.repository, "credential", one.role, ends
    if isinstance(one, StoreTrial):
        return one.repository, "tried", one.promise, one.result
    if isinstance(one, PolicyStatement):
        some = "" if not one.condition else ", on a condition"
        actions = f"{', '.join(one.actions)} on {', '.join(one.resources)}{some}"
        return one.repository, "policy", ", ".join(one.principal), f"{one.effect} {actions}"
    return one.repository, "grant", one.to, str(one.permission)


def _account_row(account: Account) -> tuple[str, str, str, str, str]:
    reach = [
        f"{r.where}: {r.reads}/{r.writes} of {r.of}" if r.of is not None else " ".join((r.where, *r.rights))
        for r in account.reach
    ]
    until = f", until {account.valid_until}" if account.valid_until else ""
    logs_in = f"{'yes' if account.logs_in else 'no'}{until}"
    rights, groups = ", ".join(account.rights) or "-", ", ".join(account.member_of) or "-"
    return account.name, logs_in, rights, groups, "; ".join(reach) or "-"


# `ccdr access test`.

FOUND = {
    "works": "works",
    "unknown": "the store does not know it",
    "refused": "may not even read what it must",
    "not_here": "not on this host",
    "not_named": "the plan names none",
}
RESULT = {
    "HELD": "held",
    "BROKEN": "broken",
    "CANNOT_SEPARATE": "cannot be separated here",
    "NOT_SHOWN": "not shown",
}


@verb(short_help="Try each role's credential at PLAN's store.")
@plan_argument
@dry_run_option
def test(plan: str, dry_run: bool) -> Exit:
    """Try at the real store what each role's credential may do, as far as it lies on this host, and record it.

    ccdr puts small objects into the folders of the repository, under names that restic passes over, overwrites and
    deletes them by each credential, and removes them at the end by prune's. Beside each refusal that it looks for it
    tries what the same credential must be able to do. Without the credentials of backup and prune it writes nothing.

    Each promise is held, broken, not shown (something lacks to show it), or cannot be separated here (the store has no
    means for it). `ccdr controls` shows what was found, until it is three months old.

    Exits with 1 where a promise is broken, or a credential cannot do its role's work; with 4 where a store that locks
    versions keeps some of the small objects for now.

    \b
    Examples:
      ccdr access test outbound --dry-run
      ccdr access test outbound
      ccdr access test outbound --json
    """
    options = settings()
    loaded, services = options.load(plan), options.services()
    if dry_run:
        return _dry_run(loaded)
    from ccdr.jobs.access import test_access

    done = test_access(loaded, services)
    if options.json:
        print_json(done.as_json())
    else:
        _tell_trials(done)
    return done.exit_code


def _dry_run(loaded: LoadedPlan) -> Exit:
    named = [(role.value, one.here) for role, one in loaded.plan.access.named()]
    if settings().json:
        print_json({"would_try": {"plan": loaded.plan.plan, "roles": [n for n, here in named if here]}})
        return Exit.OK
    for name, here in named:
        click.echo(f"would try {name}" if here else f"would not try {name}: its credential is not on this host")
    if not named:
        click.echo("would try nothing: the plan names no role's credential")
    return Exit.OK


def _tell_trials(done: AccessTest) -> None:
    from ccdr.model.access import SAYS

    table(("role", "credential"), [(role.value, FOUND[state.value]) for role, state in done.states.items()])
    click.echo()
    rows = [
        (word(RESULT[one.result.value]), SAYS[one.promise], one.why or so_many(one.tried, "try", "tries"))
        for one in done.kept
    ]
    table(("", "promise", ""), rows)
    if done.left:
        click.echo(f"left behind: {so_many(done.left, 'version')} of canaries that the store does not let go yet")
    tell_record(done.record)


@click.group(epilog=EXIT_STATUS, short_help="A credential for each role: policies, trials, reviews.")
def access() -> None:
    """Who may do what: a credential for each role at the store (backup, verify, prune, restore, auditor), with
    policies that are ready to be attached; each tried at the real store; and the review of who has access.
    """


access.add_command(policies, "policies")
access.add_command(test, "test")
access.add_command(review, "review")
