"""`ccdr snapshots`."""

from __future__ import annotations

from dataclasses import replace

import click

from ccdr.cli.ledger_problems import tell_ledger_problems
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import assets_option, plan_argument, verb
from ccdr.model.errors import Exit, worst
from ccdr.model.values import human_bytes, human_seconds, rfc3339

UPON, BESIDE = 6, 7  # columns that are shown where there is anything to show


@verb(short_help="List the snapshots of PLAN.")
@plan_argument
@assets_option
def snapshots(plan: str, assets: tuple[str, ...]) -> Exit:
    """List the snapshots of PLAN, with consistent point, size, last test, whether each counts for the RPO (else why
    not), and what an increment depends on.

    Asks the repository: what vanished from it, or has a date in the future, is a finding. So is what is wrong with the
    ledger, which tells what was tested.

    \b
    Examples:
      ccdr snapshots outbound
      ccdr snapshots outbound --asset crm --json
    """
    from ccdr.evidence.acknowledged import exit_of
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.judgement.asset import judge
    from ccdr.evidence.judgement.counting import answered_for, why_not_counting
    from ccdr.jobs import attest
    from ccdr.jobs.in_force import as_recorded
    from ccdr.model.groups import captured_together
    from ccdr.plans.job import Job
    from ccdr.plans.words import differing
    from ccdr.storage.synchronised import vanished_finding
    from ccdr.telling.status import ledger_problems, seen_now

    options = settings()
    services = options.services()
    stated = options.jobs(plan, assets)
    history = services.histories()
    [judged] = as_recorded([stated[0].loaded], history, services)
    loaded = judged.loaded or stated[0].loaded
    jobs = [Job(loaded, name) for name in loaded.plan.assets if not assets or name in assets]
    repo = services.repository(stated[0].loaded, stated[0].limits)  # the way there is the file's own
    told = services.synchronise(loaded, repo, [j.asset for j in jobs])
    gone = {s.id for s in told.vanished}
    attest.learned(services, plan, told, [j.asset for j in jobs])
    known = [s for name in loaded.plan.assets for s in services.catalogue.snapshots(plan, name)]
    nothing, reasons = AssetHistory(), dict[str, str | None]()
    for job in jobs:  # as `status` judges them, but without what is not there any more
        own, upkeep = (history.get((plan, name), nothing) for name in (job.asset, None))
        own = replace(own, vanished={})  # the repository has just been asked
        seen, now = seen_now(job, services, own), services.clock.now()
        seen = replace(seen, snapshots=[s for s in seen.snapshots if s.id not in gone])
        reasons |= why_not_counting(judge(job, own, upkeep, seen, now), job, own, seen.snapshots, now)
    reasons |= dict.fromkeys(gone, "vanished")
    together = {t.group.run: t for t in captured_together(known)}
    found = [
        {
            "asset": s.asset,
            "id": s.id,
            "consistent_point": rfc3339(s.consistent_point),
            "usable_at": rfc3339(s.usable_at),
            "bytes": s.bytes,
            "there": s.id not in gone,
            "group": together[s.group.run].as_json() if s.group else None,
            "builds_upon": [needed.id for needed in s.upon],
            "last_test": history.get((plan, s.asset), AssetHistory()).proven.get(s.id),
            "counts": reasons[s.id] is None,
            "why_not": reasons[s.id],
        }
        for job in jobs
        for s in services.catalogue.snapshots(plan, job.asset)
    ]
    findings = [f"{name}: {said}" for name, said in told.findings]
    noted = set[str]()  # what somebody has acknowledged
    for job in jobs:
        missed = [s for s in told.vanished if s.asset == job.asset]
        if missed and answered_for(missed, history.get((plan, job.asset), nothing), services.clock.now()):
            noted |= {f"{job.asset}: {vanished_finding(s)}" for s in missed}
    newest = (services.catalogue.snapshots(plan, job.asset) for job in jobs)
    of_ledger = ledger_problems([loaded], services, history, [s for some in newest for s in some[-1:]])
    if options.json:
        document = {"plan": plan, "version": judged.as_json(), "snapshots": found, "findings": findings}
        print_json(document | {"ledger_troubles": [p.as_json() for p in of_ledger]})
    else:
        rows = [
            (
                str(s["id"])[:8],
                str(s["asset"]),
                str(s["consistent_point"]),
                human_bytes(float(str(s["bytes"]))),
                word(str(s["last_test"] or "untested")) if s["there"] else word("VANISHED"),
                "yes" if s["counts"] else f"no: {s['why_not']}",
                _below(s["builds_upon"]),
                _beside(s["group"]),
            )
            for s in found
        ]
        headings = (
            "id",
            "asset",
            "consistent point",
            "size",
            "last test",
            "counts",
            "depends on",
            "captured together",
        )
        increments = any(s["builds_upon"] for s in found)
        shown = [n for n in range(len(headings)) if (n != UPON or increments) and (n != BESIDE or together)]
        table([headings[n] for n in shown], [[row[n] for n in shown] for row in rows])
        for said in findings:
            click.echo(f"finding: {said}")
        for line in differing(judged):
            click.echo(line)
        tell_ledger_problems(of_ledger)
    told.understood()
    return worst([Exit.OK if noted.issuperset(findings) else Exit.FINDING, exit_of(of_ledger)])


def _below(upon: object) -> str:
    """What an increment needs, in few words: the one before it, and how many before that."""
    if not isinstance(upon, list) or not upon:
        return "-"
    more = f" and {len(upon) - 1} more, from {str(upon[0])[:8]} on" if len(upon) > 1 else ""
    return f"{str(upon[-1])[:8]}{more}"


def _beside(group: object) -> str:
    """Whom a snapshot was captured together with, in few words."""
    if not isinstance(group, dict):
        return "-"
    skew = "" if group["skew_s"] is None else f", {human_seconds(group['skew_s'])} apart"
    lacks = f", without {', '.join(group['missing'])}" if group["missing"] else ""
    return f"{group['name']} {group['run']}{skew}{lacks}"
