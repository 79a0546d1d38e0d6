"""The command line: one verb, one file. Verbs import their rooms when they run, so that `--help` is quick."""

from __future__ import annotations

import click

from ccdr import __version__
from ccdr.cli import (
    access,
    ack,
    approval,
    attest,
    backup,
    bootstrap,
    completion,
    controls,
    copy,
    demo,
    deviation,
    discover,
    doctor,
    erasure,
    incident,
    init,
    kit,
    ledger,
    lock,
    notify,
    pause,
    plan,
    recover,
    report,
    repository,
    restore,
    run,
    runbook,
    sandbox,
    schema,
    ship,
    sign_off,
    snapshots,
    status,
    test,
    upkeep,
)
from ccdr.cli.settings import global_options
from ccdr.cli.verbs import EXIT_STATUS, VerbGroup


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


for _verb in (
    init.init,
    discover.discover,
    backup.backup,
    test.test,
    run.run,
    status.status,
    report.report,
    controls.controls,
    bootstrap.bootstrap,
    restore.restore,
    recover.recover,
    runbook.runbook,
    snapshots.snapshots,
    copy.copy,
    upkeep.upkeep,
    ship.ship,
    doctor.doctor,
    ack.ack,
    attest.attest,
    sign_off.sign_off,
    approval.approval,
    access.access,
    pause.pause,
    notify.notify,
    plan.plan,
    erasure.erasure,
    incident.incident,
    deviation.deviation,
    kit.kit,
    repository.repository,
    ledger.ledger,
    lock.lock,
    sandbox.sandbox,
    schema.schema,
    demo.demo,
    completion.completion,
):
    main.add_command(_verb)
