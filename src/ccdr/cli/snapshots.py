"""`ccdr snapshots`."""

from __future__ import annotations

import click

from ccdr.cli.shell import asset_option, plan_argument, print_json, settings, table, verb, word
from ccdr.errors import Exit
from ccdr.model import human_bytes, rfc3339


@verb()
@plan_argument
@asset_option
def snapshots(plan: str, asset: str | None) -> Exit:
    """List the snapshots of PLAN that count, with consistent point, size and last test.

    Asks the repository: what vanished from it, or bears a future date, is a finding.

    \b
    Examples:
      ccdr snapshots outbound
      ccdr snapshots outbound --asset crm --json
    """
    from ccdr.history import AssetHistory

    options = settings()
    services = options.services()
    jobs = options.jobs(plan, asset)
    repo = services.repository(jobs[0].loaded, jobs[0].limits)
    told = services.synchronise(jobs[0].loaded, repo, [j.asset for j in jobs])
    history = services.histories()
    gone = {s.id for s in told.vanished}
    found = [
        {
            "asset": s.asset,
            "id": s.id,
            "consistent_point": rfc3339(s.consistent_point),
            "usable_at": rfc3339(s.usable_at),
            "bytes": s.bytes,
            "there": s.id not in gone,
            "last_test": history.get((plan, s.asset), AssetHistory()).proven.get(s.id),
        }
        for job in jobs
        for s in services.catalogue.snapshots(plan, job.asset)
    ]
    findings = [f"{name}: {said}" for name, said in told.findings]
    if options.json:
        print_json({"plan": plan, "snapshots": found, "findings": findings})
    else:
        rows = [
            (
                str(s["id"])[:8],
                str(s["asset"]),
                str(s["consistent_point"]),
                human_bytes(float(str(s["bytes"]))),
                word(str(s["last_test"] or "untested")) if s["there"] else word("VANISHED"),
            )
            for s in found
        ]
        table(("id", "asset", "consistent point", "size", "last test"), rows)
        for said in findings:
            click.echo(f"finding: {said}")
    return Exit.FINDING if findings else Exit.OK
