"""The command line: one verb, one file. Verbs import their rooms when they run, so that `--help` is quick."""

from __future__ import annotations

import click

from ccdr import __version__
from ccdr.cli.settings import global_options
from ccdr.cli.verbs import EXIT_STATUS, VerbGroup, Verbs


@click.group(
    cls=VerbGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_STATUS,
)
@click.version_option(__version__, prog_name="ccdr")
@global_options
def main() -> None:
    """Contact-centre disaster recovery: backs up, restores into throwaway sandboxes, checks what came back,
    and records the RPO and RTO really achieved.

    \b
    Examples:
      ccdr init postgresql:///crm     a first plan and restore test from what is found there
      ccdr plan check                 are all plans right?
      ccdr backup outbound            back every asset of the plan up, now
      ccdr test outbound --asset crm  restore the newest snapshot into a sandbox and check it
      ccdr run                        whatever is due: this is what cron calls
      ccdr status                     can the contact centre be brought back?
    """


# In the order of `--help`. Each is a module of this room, of the same name.
main.commands = Verbs(  # type: ignore[assignment]
    "init",
    "discover",
    "backup",
    "test",
    "run",
    "status",
    "report",
    "controls",
    "bootstrap",
    "restore",
    "recover",
    "runbook",
    "snapshots",
    "copy",
    "upkeep",
    "ship",
    "doctor",
    "ack",
    "attest",
    "sign-off",
    "approval",
    "access",
    "pause",
    "notify",
    "plan",
    "erasure",
    "incident",
    "deviation",
    "kit",
    "repository",
    "ledger",
    "lock",
    "sandbox",
    "schema",
    "demo",
    "completion",
)
