"""`ccdr snapshots`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ccdr.cli.ledger_problems import tell_ledger_problems
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import assets_option, from_option, plan_argument, verb
from ccdr.model.errors import Exit, worst
from ccdr.model.finding import Finding, recorded
from ccdr.model.values import human_bytes, human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.history.asset_history import Histories
    from ccdr.jobs.services import Services
    from ccdr.model.values import Snapshot
    from ccdr.plans import Plan
    from ccdr.plans.job import Job
    from ccdr.storage.listing import RepoSnapshot

UPON, BESIDE = 6, 7  # columns that are shown where there is anything to show


@verb(short_help="List the snapshots of PLAN.")
@plan_argument
@assets_option
@from_option
def snapshots(plan: str, assets: tuple[str, ...], site: str | None) -> Exit:
    """List the snapshots of PLAN, with consistent point, size, last test, whether each counts for the RPO (else why
    not), and what an increment depends on.

    Of before the first release it lists what is there beside them: ccdr neither counts nor removes these.

    Asks the repository: what vanished from it, or has a date in the future, is a finding. So is what is wrong with the
    ledger, which tells what was tested.

    \b
    Examples:
      ccdr snapshots outbound
      ccdr snapshots outbound --asset crm --json
      ccdr snapshots outbound --from offsite
    """
    from ccdr.evidence.acknowledged import exit_of
    from ccdr.jobs import attest
    from ccdr.jobs.copies import from_site
    from ccdr.jobs.in_force import as_recorded
    from ccdr.plans.job import Job
    from ccdr.plans.words import differing
    from ccdr.telling.status import ledger_problems

    options = settings()
    services = options.services()
    stated = options.jobs(plan, assets)
    histories = services.histories()
    [judged] = as_recorded([stated[0].loaded], histories, services)
    way, _ = from_site(stated[0].loaded, services, site)  # the way there is the file's own
    loaded, services = from_site(judged.loaded or stated[0].loaded, services, way.plan.seen_from)
    histories = services.histories() if way.plan.seen_from else histories
    jobs = [Job(loaded, name) for name in loaded.plan.assets if not assets or name in assets]
    repo = services.repository(way, stated[0].limits)
    synchronised = services.synchronise(loaded, repo, [j.asset for j in jobs])
    attest.learned(services, plan, synchronised, [j.asset for j in jobs])
    listed = _listed(loaded.plan, jobs, services, histories, {s.id for s in synchronised.vanished})
    findings = [finding.within(name) for name, finding in synchronised.findings]
    noted = _acknowledged(jobs, services, histories, synchronised.vanished)
    newest = (services.catalogue.snapshots(plan, job.asset) for job in jobs)
    of_ledger = ledger_problems([loaded], services, histories, [s for some in newest for s in some[-1:]])
    of_before = [_of_before(s) for s in synchronised.of_before if not assets or s.tag("asset") in assets]
    if options.json:
        document = {"plan": plan, "version": judged.as_json(), "snapshots": listed, "findings": recorded(findings)}
        document |= {"of_before": of_before}
        print_json(document | {"ledger_troubles": [p.as_json() for p in of_ledger]})
    else:
        _tell(listed)
        if of_before:
            many = so_many(len(of_before), "snapshot")
            click.echo(f"of before the first release: {many}, which ccdr neither counts nor removes:")
            table(list(of_before[0]), [[str(value) for value in s.values()] for s in of_before])
        for finding in findings:
            click.echo(f"finding: {finding}")
        for line in differing(judged):
            click.echo(line)
        tell_ledger_problems(of_ledger)
    synchronised.understood()
    return worst([Exit.OK if noted.issuperset(findings) else Exit.FINDING, exit_of(of_ledger)])


def _of_before(s: RepoSnapshot) -> dict[str, object]:
    return {"id": s.id, "asset": s.tag("asset"), "kind": s.tag("kind"), "time": rfc3339(s.time)}


def _acknowledged(
    jobs: Sequence[Job], services: Services, histories: Histories, vanished: Sequence[Snapshot]
) -> set[Finding]:
    """The findings on what vanished that somebody has answered for."""
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.judgement.asset_status import answered_for
    from ccdr.storage.synchronised import vanished_finding

    noted = set[Finding]()
    for job in jobs:
        missed = [s for s in vanished if s.asset == job.asset]
        history = histories.get((job.plan, job.asset), AssetHistory())
        if missed and answered_for(missed, history, services.clock.now()):
            noted |= {vanished_finding(s).within(job.asset) for s in missed}
    return noted


def _listed(
    plan: Plan, jobs: Sequence[Job], services: Services, histories: Histories, gone: Collection[str]
) -> list[dict[str, object]]:
    """Every snapshot of these assets, as the catalogue has them; `gone` are those that vanished from the repository."""
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.model.groups import captured_together

    known = [s for name in plan.assets for s in services.catalogue.snapshots(plan.plan, name)]
    together = {t.group.run: t for t in captured_together(known)}
    reasons = _why_not(jobs, services, histories, gone)
    return [
        {
            "asset": s.asset,
            "id": s.id,
            "consistent_point": rfc3339(s.consistent_point),
            "usable_at": rfc3339(s.to_hand),
            "bytes": s.bytes,
            "there": s.id not in gone,
            "group": together[s.group.run].as_json() if s.group else None,
            "builds_upon": [needed.id for needed in s.upon],
            "last_test": histories.get((plan.plan, s.asset), AssetHistory()).proven.get(s.id),
            "counts": reasons[s.id] is None,
            "why_not": reasons[s.id],
        }
        for job in jobs
        for s in services.catalogue.snapshots(plan.plan, job.asset)
    ]


def _why_not(
    jobs: Sequence[Job], services: Services, histories: Histories, gone: Collection[str]
) -> dict[str, str | None]:
    """By snapshot: why it does not count for the RPO; None where it does. As `status` judges them, but without what is
    not there any more."""
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.judgement.asset import judge
    from ccdr.evidence.judgement.asset_status import why_not_counting
    from ccdr.telling.status import seen_now

    nothing, reasons = AssetHistory(), dict[str, str | None]()
    for job in jobs:
        own, upkeep = (histories.get((job.plan, name), nothing) for name in (job.asset, None))
        own = replace(own, vanished={})  # the repository has just been asked
        seen, now = seen_now(job, services, own), services.clock.now()
        seen = replace(seen, snapshots=[s for s in seen.snapshots if s.id not in gone])
        reasons |= why_not_counting(judge(job, own, upkeep, seen, now), job, own, seen.snapshots, now)
    return reasons | dict.fromkeys(gone, "vanished")


def _tell(listed: Sequence[dict[str, object]]) -> None:
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
        for s in listed
    ]
    headings = ("id", "asset", "consistent point", "size", "last test", "counts", "depends on", "captured together")
    increments, groups = (any(s[key] for s in listed) for key in ("builds_upon", "group"))
    shown = [n for n in range(len(headings)) if (n != UPON or increments) and (n != BESIDE or groups)]
    table([headings[n] for n in shown], [[row[n] for n in shown] for row in rows])


def _below(parents: object) -> str:
    """What an increment needs, in few words: the one before it, and how many before that."""
    if not isinstance(parents, list) or not parents:
        return "-"
    more = f" and {len(parents) - 1} more, from {str(parents[0])[:8]} on" if len(parents) > 1 else ""
    return f"{str(parents[-1])[:8]}{more}"


def _beside(group: object) -> str:
    """Whom a snapshot was captured together with, in few words."""
    if not isinstance(group, dict):
        return "-"
    skew = "" if group["skew_s"] is None else f", {human_seconds(group['skew_s'])} apart"
    lacks = f", without {', '.join(group['missing'])}" if group["missing"] else ""
    return f"{group['name']} {group['run']}{skew}{lacks}"
