"""`ccdr access policies`."""

from __future__ import annotations

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit

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
