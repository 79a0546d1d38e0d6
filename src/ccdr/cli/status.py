"""`ccdr status`: all that it has to tell, gathered once, for people (a table, and what is wrong with each next step) or
for a program.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from ccdr.cli.ledger_problems import tell_anchors, tell_attestations, tell_ledger_problems, tell_left
from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.host.state_files import plain
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.trouble import FAILED_TESTS, Level, Problem, Trouble, next_step
from ccdr.model.values import DUTIES, Achieved, Verb, human_bytes, human_seconds, rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.cli.settings import Settings
    from ccdr.evidence.history.asset_history import AssetHistory, RepositorySize
    from ccdr.evidence.judgement.anchors import AnchorsStanding
    from ccdr.evidence.judgement.asset_status import AssetStatus
    from ccdr.evidence.judgement.incidents import IncidentNow
    from ccdr.evidence.lineage.own_records import Lineage
    from ccdr.evidence.population import Chain
    from ccdr.jobs.attest import LedgerCopy
    from ccdr.jobs.daily_verification import Finding
    from ccdr.jobs.pausing import PausedPlan
    from ccdr.jobs.services import Services
    from ccdr.model.errors import PlanInvalid
    from ccdr.plans import LoadedPlan
    from ccdr.plans.versions import Judged
    from ccdr.telling.copies import CopyStatus
    from ccdr.telling.status import Answering

# All that `ccdr status` has to tell, gathered once: for people, or for a program (`document`).


@dataclass(frozen=True)
class Seen:
    """All that is told, by people's eyes or a program's. Mappings are by plan, of the plans that are `shown`."""

    services: Services
    shown: Sequence[str]
    judged: Sequence[Judged]
    loaded: Sequence[LoadedPlan]  # as they were recorded
    wrong: Sequence[PlanInvalid]
    statuses: Sequence[AssetStatus]
    care: Mapping[str, Sequence[Problem]]
    deaf: Mapping[str, Sequence[str]]
    own: Mapping[str, Collection[Verb]]
    elsewhere: Mapping[str, Sequence[Answering]]
    private: Mapping[str, Sequence[str]]
    copies: Sequence[CopyStatus]
    paused: Mapping[str, PausedPlan]
    incidents: Mapping[str, Sequence[IncidentNow]]  # those that are open
    lineage: Lineage
    verified: Finding | None
    of_ledger: Sequence[Problem]
    anchors: AnchorsStanding
    of_anchors: Sequence[Problem]
    attested: Sequence[Problem]  # what is stale, and what will be soon
    left: Sequence[Problem]  # of plans whose files are not there any more
    read_with: Sequence[Chain]
    sizes: Mapping[str, RepositorySize]
    untested: Mapping[str, Collection[str]]  # assets that began anew, and of which nothing has come back since
    by_hand: Mapping[str, Sequence[str]]  # of plans that no run came for by itself, where that is to be told
    code: Exit

    @property
    def gone(self) -> list[str]:
        """Plans that no file names any more."""
        return [p.about for p in self.left if p.trouble is Trouble.PLAN_GONE]

    @property
    def everything(self) -> list[Problem]:
        of_plans = (p for name in self.shown for p in self.care[name])
        of_host = (*self.attested, *self.left, *self.of_anchors)
        return [*(p for s in self.statuses for p in s.troubles), *of_plans, *of_host]

    @property
    def found(self) -> int:
        """How many findings there are: each once, of whatever it is."""
        wrong = (*self.of_ledger, *self.everything)
        return self.broken + sum(p.acknowledged is None and p.trouble.row.exit is Exit.FINDING for p in wrong)

    @property
    def broken(self) -> int:
        """How many problems the newest verification of the ledger has found."""
        return 0 if self.verified is None or self.verified.ok else max(1, len(self.verified.problems))

    @property
    def acknowledged(self) -> int:
        return sum(p.acknowledged is not None for p in self.everything)

    @property
    def not_known_here(self) -> int:
        return sum(p.trouble is Trouble.NOT_KNOWN_HERE for p in self.everything)


def gather(plans: Sequence[LoadedPlan], wrong: Sequence[PlanInvalid], services: Services, options: Settings) -> Seen:
    from ccdr.cli.by_itself import not_by_itself
    from ccdr.evidence.acknowledged import exit_of
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.judgement.upkeep import elsewhere
    from ccdr.jobs.approvals import believed
    from ccdr.jobs.daily_verification import newest
    from ccdr.jobs.in_force import as_recorded
    from ccdr.jobs.pausing import paused
    from ccdr.plans.versions import FileState
    from ccdr.run.responsible import responsible_for
    from ccdr.telling.anchoring import standing
    from ccdr.telling.copies import copies_of
    from ccdr.telling.notify import untold
    from ccdr.telling.status import (
        anchor_problems,
        answering,
        attestation_problems,
        exit_code,
        incidents_now,
        ledger_problems,
        left_by_plans,
        private_of,
        uncalled,
        upkeep_problems,
    )
    from ccdr.telling.status import status as ask

    shown, histories = [p.plan.plan for p in plans], services.histories()
    judged = as_recorded(plans, histories, services)
    loaded = [one.loaded for one in judged if one.loaded]
    histories = believed(loaded, services, histories)
    statuses, care = ask(loaded, services, histories), upkeep_problems(loaded, services, histories)
    files = {p.plan.plan: p for p in plans}
    for one in judged:  # what is in force may be of another plan of that name
        if one.loaded is not None and one.file is FileState.DIFFERS:
            found = elsewhere(files[one.plan], histories.get((one.plan, None), AssetHistory()))
            told = {problem.trouble for problem in care[one.plan]}
            care[one.plan] += tuple(problem for problem in found if problem.trouble not in told)
    of_plans = {name: histories.get((name, None), AssetHistory()) for name in shown}
    lineage = services.lineage()
    left_out, verified = {one.ledger for one in services.unsound}, newest(lineage)
    of_ledger = ledger_problems(loaded, services, histories, [s for one in statuses for s in one.usable[-1:]])
    stated, left = attestation_problems(services, histories), left_by_plans(options.plans, services, histories)
    anchors = standing(options.plans, services, lineage)
    of_anchors = anchor_problems(anchors, services, histories)
    broken = Exit.FINDING if verified is not None and not verified.ok else Exit.OK

    def private(history: AssetHistory) -> Sequence[str]:
        return private_of((history.pruned, history.checked), services.state)

    return Seen(
        services,
        shown,
        judged,
        loaded,
        wrong,
        statuses,
        care,
        untold(services.state, shown),
        responsible_for(loaded, histories),
        {name: answering(name, history, services.catalogue) for name, history in of_plans.items()},
        {name: private(history) for name, history in of_plans.items()},
        [one for plan in loaded for one in copies_of(plan, histories, services.clock.now())],
        {one.plan: one for one in paused(services)},
        {name: incidents_now(name, history, services) for name, history in of_plans.items()},
        lineage,
        verified,
        of_ledger,
        anchors,
        of_anchors,
        stated,
        left,
        [chain for chain in services.population().chains if chain.ledger not in left_out],
        {name: taken for name, history in of_plans.items() if (taken := history.repository_size)},
        {
            name: [str(asset) for (plan, asset), one in histories.items() if plan == name and one.awaits_proof]
            for name in shown
        },
        {
            one.plan.plan: list(not_by_itself(one.plan.plan, services.state, options))
            for one in loaded
            if options.verbose or uncalled(one, histories, services.clock.now())
        },
        worst(
            [
                broken,
                *(error.exit_code for error in wrong),
                exit_of(of_ledger),
                exit_of(stated),
                exit_of(left),
                exit_of(of_anchors),
                *map(exit_of, care.values()),
                exit_code(statuses),
            ]
        ),
    )


def document(seen: Seen) -> dict[str, object]:
    from ccdr.jobs.attest import places
    from ccdr.jobs.by_itself import has_come

    plans = [
        {
            "plan": name,
            "assets": [s.as_json() for s in seen.statuses if s.plan == name],
            "copies": [one.as_json() for one in seen.copies if one.plan == name],
            "problems": [p.text for p in seen.care[name]],
            "troubles": [p.as_json() for p in seen.care[name]],
            "private": list(seen.private[name]),
            "paused": seen.paused[name].as_json() if name in seen.paused else None,
            "incidents": [one.as_json() for one in seen.incidents[name]],
            "could_not_tell": seen.deaf.get(name, []),
            "elsewhere": [one.as_json() for one in seen.elsewhere[name]],
            "duties": [verb.value for verb in DUTIES if verb in seen.own[name]],
            "untested": list(seen.untested[name]),
            "room": seen.sizes.get(name) and to_builtins(seen.sizes[name]),
            "by_itself": has_come(name, seen.services.state),
            "version": version.as_json(),
        }
        for name, version in zip(seen.shown, seen.judged, strict=True)
    ]
    stored = {plan: plain(at.seen(seen.lineage)) for plan, at in places(seen.services).items() if plan in seen.shown}
    ledger = {**seen.lineage.as_json, "stored": stored, "problems": [p.text for p in seen.of_ledger]}
    ledger["anchors"] = {**seen.anchors.as_json(), "troubles": [p.as_json() for p in seen.of_anchors]}
    return {
        "plans": plans,
        "plans_gone": seen.gone,
        "wrong": [str(problem) for error in seen.wrong for problem in error.problems],
        "without_file": [p.as_json() for p in seen.left],
        "acknowledged": seen.acknowledged,
        "not_known_here": seen.not_known_here,
        "attestations": [p.as_json() for p in seen.attested],
        "ledger": seen.verified and seen.verified.as_json(),
        "lineage": {**ledger, "beside": [chain.as_json() for chain in seen.read_with]},
    }


# What `ccdr status` has gathered, for people: the verdict, a table, what is wrong with each next step; then what is
# still to be done or known. What is as it should be is told to whoever asks for more.


def tell(seen: Seen, *, more: bool = False) -> None:
    """`more`: also what is as it should be."""
    click.echo(_verdict(seen))
    _tell_assets(seen, more=more)
    _tell_plans(seen, more=more)
    _tell_of_host(seen)
    _tell_standing(seen)
    if more:
        _tell_more(seen)


def _verdict(seen: Seen) -> str:
    """In one line: the answer that a report gives, and how much of what is wrong nobody has taken note of."""
    from ccdr.telling.answer import answer

    given = answer(
        seen.statuses,
        ledger_problems=seen.broken + sum(p.trouble.tampering for p in seen.of_ledger),
        noted=sum(p.level is Level.NOTE for p in seen.everything),
        lost=any(p.trouble is Trouble.LEDGER_LOST for p in seen.of_ledger),
        unknown=seen.code is Exit.NOT_CARRIED_OUT,
        unread=len(seen.wrong) + len(seen.gone),
    )
    found = so_many(seen.found, "finding") if seen.found else "no finding"
    return f"{word(given.word)}, {found}: {given.sentence}{_as_of(seen)}"


def _as_of(seen: Seen) -> str:
    """When the records that it rests on were last verified: what was changed since shows the next time."""
    if seen.verified is None:
        return " (records not verified yet)"
    ago = max(0.0, (seen.services.clock.now() - seen.verified.at).total_seconds())
    return f" (records verified {human_seconds(ago)} ago)" if seen.verified.ok else ""


def _tell_assets(seen: Seen, *, more: bool) -> None:
    from ccdr.telling.status import kept

    rows = [
        (
            f"{s.plan}/{s.asset}",
            word(s.coverage),
            _objective(s.rpo),
            _objective(s.rto),
            last_test_of(s),
            _last_backup(s),
        )
        for s in seen.statuses
    ]
    table(("asset", "coverage", "RPO", "RTO", "last test", "last good backup"), rows)
    for s in seen.statuses:
        _problems(s.troubles, s.plan, s.asset)
        for path in s.private if more else _words_of(s.troubles):
            click.echo(f"{s.plan}/{s.asset}: {kept(path)}")


def _words_of(problems: Sequence[Problem]) -> Collection[str]:
    """Where it is kept what programs said of what is wrong, each once."""
    return dict.fromkeys(path for p in problems if p.acknowledged is None for path in p.private)


def _tell_plans(seen: Seen, *, more: bool) -> None:
    from ccdr.plans.words import differing
    from ccdr.telling.status import kept

    for name in seen.shown:
        for standing in seen.incidents[name]:
            click.echo(f"{name}: {standing}")
        _problems(seen.care[name], name, None)
        for path in seen.private[name] if more else _words_of(seen.care[name]):
            click.echo(f"{name}: {kept(path)}")
        for line in seen.deaf.get(name, []):
            click.echo(f"{name}: a message was not delivered: {line}")
    for line in (line for one in seen.judged for line in differing(one)):
        click.echo(line)


def _tell_of_host(seen: Seen) -> None:
    """What is wrong that is of no plan: its ledger, what holds that, what people have stated here."""
    if seen.verified is not None and not seen.verified.ok:
        _failed(seen.verified)
    tell_ledger_problems(seen.of_ledger)
    tell_anchors(seen.of_anchors)
    tell_attestations(seen.attested)
    tell_left(seen.left)


def _tell_standing(seen: Seen) -> None:
    """What is no finding, and somebody may wait for: another host, what was acknowledged, what nothing calls."""
    from ccdr.jobs.attest import homes, places
    from ccdr.run.responsible import listed

    for name in seen.shown:
        for one in seen.copies:
            if one.plan == name:
                click.echo(str(one))
        if others := seen.elsewhere[name]:
            who = {str(one): listed([o.verb for o in others if str(o) == str(one)]) for one in others}
            there = "; ".join(f"for {work}: {host}" for host, work in who.items())
            click.echo(f"{name}: this host answers for {listed(seen.own[name])}; {there}")
        for line in (line for told in (_room(seen, name), _untested(seen, name)) for line in told):
            click.echo(line)
    if unknown := seen.not_known_here:
        click.echo(
            f"not known here: {so_many(unknown, 'thing')} that another host answers for: no finding here, and no proof"
        )
    if noted := seen.acknowledged:
        click.echo(f"acknowledged: {so_many(noted, 'trouble')}; `ccdr ack --list` shows why and until when")
    at_home, stored = [p.plan.plan for p in homes(seen.loaded, seen.loaded)], places(seen.services)
    for name in at_home:
        if (place := stored.get(name)) and (place.reason is not None or not place.of(seen.lineage)):
            click.echo(_stored(name, place, ours=place.of(seen.lineage)))
    if seen.loaded and not at_home:
        click.echo(
            "ledger: stored nowhere: these plans belong to more than one tenant, and no plan names a ledger_repository"
        )
    for name in seen.shown:
        for line in seen.by_hand.get(name, ()):
            click.echo(line)


def _room(seen: Seen, plan: str) -> Iterator[str]:
    """How far each log is shipped, and by whom it is; what the repository takes, and what is free for it."""
    from ccdr.evidence.log_standing import read_standing

    told = []
    for s in seen.statuses:
        stands = read_standing(seen.services.state, plan, s.asset) if s.plan == plan else None
        if stands is not None and stands.point is not None:
            by = "its shipper runs" if stands.running else "no shipper runs"
            told.append(f"log of {s.asset} stored up to {rfc3339(stands.point)[:19]}Z, {by}")
    if (size := seen.sizes.get(plan)) is not None:
        free = "" if size.free_bytes is None else f", {human_bytes(size.free_bytes)} free"
        told.append(f"repository {human_bytes(size.repository_bytes)}{free} on {size.time:%Y-%m-%d}")
    if told:
        yield f"{plan}: {'; '.join(told)}"


def _untested(seen: Seen, plan: str) -> Iterator[str]:
    if assets := [s.asset for s in seen.statuses if s.plan == plan and s.asset in seen.untested.get(plan, ())]:
        yield f"{plan}: not tested yet since it was recovered, or began anew: {', '.join(assets)}"


def _tell_more(seen: Seen) -> None:
    """What is as it should be: groups, rules, copies beside their source, the ledger and what holds it."""
    from ccdr.jobs.attest import homes, places

    for line in dict.fromkeys(_group(s) for s in seen.statuses if s.group):
        click.echo(line)
    for s in seen.statuses:
        if len(s.by_rule) > 1:
            click.echo(_rules(s))
    _near(seen.statuses)
    _verified(seen.verified, seen.services)
    _compared(seen.lineage, seen.shown)
    for chain in seen.read_with:
        click.echo(f"ledger: read with {chain}")
    for name in (p.plan.plan for p in homes(seen.loaded, seen.loaded)):
        if (place := places(seen.services).get(name)) and place.reason is None and place.of(seen.lineage):
            click.echo(_stored(name, place, ours=True))
    for line in seen.anchors.lines():
        click.echo(f"ledger: {line}")


def _problems(problems: Sequence[Problem], plan: str, asset: str | None) -> None:
    """What is wrong, with the code that `ccdr ack` takes, and on the line below what to do; each step once, what
    follows from something else behind that, and says so. What is acknowledged comes last, without."""
    steps: dict[str | None, list[str]] = {}
    noted = []
    for wrong in sorted(problems, key=lambda p: p.because is not None):
        if wrong.acknowledged is not None:
            noted.append(f"{wrong.text} ({wrong.trouble.name}, acknowledged until {rfc3339(wrong.acknowledged)})")
            continue
        # A finding's next step is to read this.
        own = None if wrong.trouble is Trouble.FINDING else next_step(wrong.trouble, plan, asset)
        step = wrong.step or own
        steps.setdefault(step, []).append(f"{wrong.text}{coded(wrong)}")
    for step, texts in steps.items():
        for text in texts:
            click.echo(f"{plan}/{asset}: {text}" if asset else f"{plan}: {text}")
        if step is not None:
            click.echo(f"  → {step}")
    for text in noted:
        click.echo(f"{plan}/{asset}: {text}" if asset else f"{plan}: {text}")


def coded(wrong: Problem) -> str:
    """What to type to acknowledge it, where it can be; and what it only follows from."""
    follows = f"by {wrong.because.name}" if wrong.because else ""
    codes = ", ".join(filter(None, (wrong.trouble.name if wrong.trouble.row.no_ack is None else "", follows)))
    return f" [{codes}]" if codes else ""


def _near(statuses: Sequence[AssetStatus]) -> None:
    """Where the copies lie beside what they protect: one line for all assets of a plan of which that is so."""
    alike: dict[tuple[str, str], list[str]] = {}
    for s in statuses:
        for p in s.near:
            alike.setdefault((s.plan, p.text), []).append(s.asset)
    for (plan, text), assets in alike.items():
        click.echo(f"{plan}/{', '.join(assets)}: {text} (no finding: the plan allows it)")
        click.echo(f"  → {next_step(Trouble.REPOSITORY_NEAR, plan, None)}")


def _last_backup(s: AssetStatus) -> str:
    """The last that is good, and that a newer one was tried in vain."""
    good = rfc3339(s.good.usable_at)[:19] if s.good else "never"
    if s.good and s.good.in_use:
        good += f", without {so_many(s.good.in_use, 'file', 'files')} in use"
    if not s.failed or s.last_backup is None:
        return good
    return f"{good}, {word('FAILED')} at {rfc3339(s.last_backup.time)[:19]}"


def last_test_of(status: AssetStatus) -> str:
    """Its verdict; where that is FAIL for a newer backup, whether another one has made up for it."""
    from ccdr.evidence.verdicts import verdict_on_snapshot

    test = status.last_test
    verdict = test.verdict if test else "-"
    newer = test is not None and verdict == "FAIL" and verdict_on_snapshot(test) == "PASS"
    stands = any(p.trouble in FAILED_TESTS for p in status.wrong)
    since = "" if stands else " that failed, and one was stored since"
    return word(verdict) + (f" (a newer backup{since}; its snapshot is good)" if newer else "")


def _failed(verified: Finding) -> None:
    for problem in verified.problems:
        click.echo(f"ledger: {word('FAIL')} on {verified.at:%Y-%m-%d %H:%M} UTC: {problem}")
    click.echo("  → `ccdr ledger verify` lists all damage; the next `ccdr run` verifies again")


def _verified(verified: Finding | None, services: Services) -> None:
    """From when the last full comparison is of the evidence that all of this is read from."""
    from ccdr.jobs.daily_verification import first_due

    if verified is None:
        first = ""
        with suppress(CcdrError):  # of one that cannot be read the troubles tell
            if due := first_due(services):
                first = f", first after {due:%Y-%m-%d %H:%M} UTC"
        click.echo(f"ledger: not verified yet: `ccdr run` verifies it each day{first}")
        click.echo("  → `ccdr ledger verify` does so at any time")
    elif verified.ok:
        when = f"{verified.at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"ledger: all {verified.records} records and their summary verified on {when}")


def _compared(lineage: Lineage, plans: Sequence[str]) -> None:
    """When the repositories were last asked what they attest of the ledger, as its records have it."""
    from ccdr.jobs.attest import RECENT

    for plan in plans:
        comparison = lineage.compared.get(plan)
        if comparison is None or not comparison.as_json()["ok"] or not comparison.snapshots:
            continue  # what contradicts it is told of as what is wrong
        more = not comparison.whole and comparison.snapshots >= RECENT
        when, what = comparison.at[:16].replace("T", " "), "the newest " if more else ""
        text = f"{what}{so_many(comparison.snapshots, 'snapshot attests', 'snapshots attest')} it, and all agreed on"
        click.echo(f"ledger: {plan}: {text} {when} UTC")


def _stored(plan: str, place: LedgerCopy, *, ours: bool) -> str:
    """That it is not stored is no finding: it is on this host, and a host that tests need not be able to write."""
    if not ours:
        return f"ledger: not stored with the backups of {plan} yet: {place.not_ours}"
    at = f"on {place.stored[:16].replace('T', ' ')} UTC, up to record {place.seq}" if place.stored else "never yet"
    if place.reason is None:
        return f"ledger: stored with the backups of {plan} {at}"
    return f"ledger: ccdr could not store it with the backups of {plan} ({at}): {place.reason}"


def _objective(achieved: Achieved) -> str:
    asked = human_seconds(achieved.objective_s)
    if achieved.achieved_s is None or not isfinite(achieved.achieved_s):
        return f"{word(achieved.verdict)} ({asked})"
    return f"{word(achieved.verdict)} {human_seconds(achieved.achieved_s)} of {asked}"


def _rules(status: AssetStatus) -> str:
    """By which rules its snapshots were chosen, and what each found last."""
    tests = [
        f"{rule} {word(s.verdict)} {rfc3339(s.time)[:19]}Z" if s else f"{rule} never"
        for rule, s in status.by_rule.items()
    ]
    return f"{status.plan}/{status.asset}: last tested by rule: {', '.join(tests)}"


def _group(status: AssetStatus) -> str:
    """When a group was last captured together, and how near its consistent points are to one another."""
    group = status.group
    assert group is not None
    line = f"{status.plan}: group {group.group.name} was last captured at {rfc3339(group.newest)[:19]}Z"
    if group.skew is not None:
        line += f", consistent points {human_seconds(group.skew)} apart"
    return f"{line}, without {', '.join(group.missing)}" if group.missing else line


@verb(short_help="Can the contact centre be brought back?")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
def status(names: tuple[str, ...]) -> Exit:
    """Can the contact centre be brought back? Objectives against achieved, coverage, what is late.

    From the ledger and the catalogue alone: it answers when the repository does not. A plan is judged by the version
    that was recorded when somebody last acted by it; where its file differs by now, that is said.

    \b
    Examples:
      ccdr status
      ccdr status outbound --json
    """
    options = settings()
    from ccdr.plans.loader import NO_PLAN

    loaded, wrong_plans = options.load_all(names, needed=False)
    for error in wrong_plans:
        click.echo(f"ccdr: {error}", err=True)
    services = options.services()
    if not services.state.has_contents:  # a wrong --state looks like a plan that was never carried out
        click.echo(f"ccdr: {services.state.root} holds nothing yet: is it the right --state?", err=True)
    seen = gather(loaded, wrong_plans, services, options)
    if not (loaded or wrong_plans or seen.gone):
        raise UsageProblem(f"there is no plan in {options.plans}", hint=NO_PLAN)
    if options.json:
        print_json(document(seen))
    else:
        tell(seen, more=options.verbose)
    return seen.code
