"""Where each asset stands now: judged from ledger and catalogue alone, so that it answers at once and when the
repository does not."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.acknowledged import acknowledged, exit_of
from ccdr.evidence.deviations.standing import deviations_of
from ccdr.evidence.deviations.values import Deviation
from ccdr.evidence.deviations.values import State as DeviationState
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.judgement.anchors import AnchorsStanding
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.incidents import Clocks, IncidentNow, judge_incidents, open_incidents
from ccdr.evidence.judgement.statements import judge_people
from ccdr.evidence.judgement.troubles import judge_deviations, judge_host
from ccdr.evidence.judgement.upkeep import judge_runbook, judge_upkeep, of_copies
from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.records import Record
from ccdr.host.clock import boot
from ccdr.host.secrets import SHORTEST, too_short
from ccdr.host.state import State
from ccdr.jobs.approvals import believed
from ccdr.jobs.attest import by_what_is_known, here, troubles
from ccdr.jobs.catalogued import catalogued
from ccdr.jobs.deviations import checked
from ccdr.jobs.in_force import kept_in, lost, not_kept, unstated
from ccdr.jobs.runbook.seals import VERB as RUNBOOK
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import as_recorded
from ccdr.jobs.shipping.log_archive import logged
from ccdr.jobs.shipping.ship import SHIP
from ccdr.model.errors import CcdrError, Exit, worst
from ccdr.model.groups import Together, captured_together
from ccdr.model.schedule import occurrences
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import DUTIES, Snapshot, Verb, rfc3339, so_many, to_the_second
from ccdr.plans import LoadedPlan, plan_names
from ccdr.plans.job import Job
from ccdr.plans.lint import open_to_others, secret_files
from ccdr.storage.catalogue import Catalogue


@dataclass(frozen=True)
class Answering:
    """Who does what this host does not answer for, as far as that is known here: by its own ledger, which lies beside
    ours, up to `until`; or by who took the newest snapshot."""

    verb: Verb
    host: str | None = None
    until: datetime | None = None
    ledger: str | None = None

    def __str__(self) -> str:
        if self.host is None:
            return "another host, which is not known here"
        if self.until is None:
            return f"{self.host}, by the newest snapshot"
        return f"{self.host}, by its ledger {(self.ledger or '')[:8]}, known up to {to_the_second(self.until)}"

    def as_json(self) -> dict[str, object]:
        return {
            "what": self.verb.value,
            "host": self.host,
            "known_until": self.until and rfc3339(self.until),
            "ledger": self.ledger,
        }


def answering(plan: str, history: AssetHistory, catalogue: Catalogue | None) -> tuple[Answering, ...]:
    """`history` is of the plan's upkeep; the snapshots of the `catalogue` are asked where that knows of no host."""
    answers = []
    for verb in (v for v in DUTIES if not history.answers_for(v)):
        other = history.elsewhere(verb)
        if other is not None:
            answers.append(Answering(verb, other.host, other.until, other.ledger))
        else:
            asked = catalogue if verb is Verb.BACKUP else None
            answers.append(Answering(verb, _newest_by(plan, asked) if asked else None))
    return tuple(answers)


def _newest_by(plan: str, catalogue: Catalogue) -> str | None:
    """Whose the plan's newest snapshot is."""
    there = (s for asset in catalogue.assets(plan) for s in catalogue.snapshots(plan, asset)[-1:])
    newest = max(there, key=lambda s: s.usable_at, default=None)
    with contextlib.suppress(CcdrError):
        return catalogue.manifest(newest).host if newest else None
    return None


def status(plans: Sequence[LoadedPlan], services: Services, histories: Histories | None = None) -> list[AssetStatus]:
    """Every asset of these plans, in their order; `histories` are the services' where they are read already."""
    history = services.histories() if histories is None else histories
    jobs = [Job(loaded, asset) for loaded in plans for asset in loaded.plan.assets]

    def known(plan: str, asset: str | None) -> AssetHistory:
        return history.get((plan, asset), AssetHistory())

    return [_now(job, known(job.plan, job.asset), known(job.plan, None), services) for job in jobs]


def seen_now(job: Job, services: Services, history: AssetHistory, removed: Collection[str] = ()) -> Seen:
    """What this host knows of an asset beside the ledger; `removed` as `catalogued` takes it."""
    held = services.state.held
    shipping = held(job.plan, job.asset, SHIP)  # before and after: one that ends, or begins, meanwhile is not gone
    written = read_standing(services.state, job.plan, job.asset)
    shipping = held(job.plan, job.asset, SHIP) or shipping
    standing = as_recorded(written, history.log_recorded, history.log_point)
    snapshots, changed = catalogued(job, services, history, removed)
    return Seen(
        snapshots,
        lambda bases, disproved: logged(job, services, bases, disproved, standing=standing),
        standing=standing,
        ships=True,
        backing_up=held(job.plan, job.asset, "backup"),
        shipping=shipping,
        changed=tuple(changed),
        lost=records_lost(services, history),
        by_records=not services.catalogue.known_of(job.plan, job.asset),
    )


def records_lost(services: Services, history: AssetHistory) -> bool:
    """Is no backup recorded, and was a ledger lost that may have told of one? Where one is, that is not asked."""
    return history.last_good_backup is None and services.lineage().loss is not None


def _now(job: Job, history: AssetHistory, upkeep: AssetHistory, services: Services) -> AssetStatus:
    judged = judge(job, history, upkeep, seen_now(job, services, history), services.clock.now())
    ends = (history.last_backup, history.last_test, history.restored)
    wrong = tuple(_with_words(judged.wrong, services.state))
    return replace(judged, wrong=wrong, group=_together(job, services), private=private_of(ends, services.state))


def upkeep_problems(
    plans: Sequence[LoadedPlan], services: Services, histories: Histories | None = None, *, verify: bool = True
) -> dict[str, tuple[Problem, ...]]:
    """By plan: what is wrong with the care of its repository, and secrets that others may read. `histories` are those
    that are `believed`; `verify`: by this host's files of who may sign."""
    history, now = believed(plans, services) if histories is None else histories, services.clock.now()

    def of(p: LoadedPlan) -> tuple[Problem, ...]:
        plan = p.plan.plan
        busy = services.state.held(plan, "", "upkeep")
        wrong = judge_upkeep(p, history, now, at_work=busy)
        copying = any(services.state.held(plan, name, "copy") for name in p.plan.copies)
        wrong += of_copies(p, history, now, at_work=busy or copying)
        acks = history.get((plan, None), AssetHistory()).acks
        own = acknowledged((*_secrets(p), *_parted_keys(p, history), *_files(p, services, history)), acks, now)
        incidents = history.get((plan, None), AssetHistory()).incidents
        due = acknowledged(judge_incidents(plan, incidents, clocks_of(services)), acks, now)
        late = acknowledged(overdue_deviations(p, services, history, now, verify=verify), acks, now)
        return (*_with_words(wrong, services.state), *own, *_runbook(plan, history, services), *due, *late)

    return {p.plan.plan: of(p) for p in plans}


def uncalled(loaded: LoadedPlan, histories: Histories, now: datetime) -> bool:
    """Has something come due of what was backed up here, and nobody has tried it since?"""
    for asset, engine in loaded.plan.assets.items():
        own = histories.get((loaded.plan.plan, asset), AssetHistory())
        last = ((engine.backup, own.last_backup), (engine.restore_test, own.last_test or own.last_backup))
        for planned, tried in last if own.begun_here else ():
            if planned is not None and tried is not None:
                due = next(occurrences(planned.schedule, loaded.plan.timezone, tried.time))
                if due <= now:
                    return True
    return False


def overdue_deviations(
    loaded: LoadedPlan, services: Services, histories: Histories, now: datetime, *, verify: bool = True
) -> Iterator[Problem]:
    """Of one plan, at that time. Only where one would count does anybody ask whether an acceptance is signed."""
    plan = loaded.plan.plan
    due = [d for d in deviations_of(histories, [plan], ended=False) if now > d.due]
    yield from judge_deviations(checked(due, services, [loaded] if verify else None, now), now)


def left_overdue(
    plans: Collection[str], services: Services, histories: Histories, now: datetime, *, verify: bool = True
) -> Iterator[tuple[str, Problem]]:
    """The same of plans that have no file, with their names: that one was removed, or renamed, ends no deviation of
    what this host recorded."""
    there = deviations_of(histories, plans, ended=False) if plans else []
    due = checked((d for d in there if now > d.due and d.ledger is None), services, () if verify else None, now)
    for one in due:
        yield from ((str(one.plan), problem) for problem in judge_deviations([one], now))


def left_by_plans(directory: Path | None, services: Services, histories: Histories) -> tuple[Problem, ...]:
    """What is wrong now with plans that are not in this directory any more; None: it is not known which."""
    if directory is None or not directory.is_dir():
        return ()
    now, host = services.clock.now(), histories.get((None, None), AssetHistory())
    stated = plan_names(directory)
    names = unstated(stated, directory, services, histories)
    gone = [_gone(v.plan, v.digest, directory, services) for v in lost(stated, directory, services, histories)]
    of_host = [d for d in deviations_of(histories, names, ended=False) if d.ledger is None] if names else []
    for one in checked((d for d in of_host if d.code == Trouble.PLAN_GONE.name), services, (), now):
        if one.state(now) is DeviationState.OPEN:
            version = histories[one.plan, None].version
            if version is not None:
                last = version.predecessor or version
                gone.append(_gone(str(one.plan), last.digest, directory, services, one))
    late = left_overdue(names, services, histories, now)
    return tuple(acknowledged((*gone, *(problem for _, problem in late)), host.acks, now))


def _gone(plan: str, digest: str, directory: Path, services: Services, recorded: Deviation | None = None) -> Problem:
    """`recorded`: as which finding, where a run has seen it. That ends nothing: a person says that it is to be so."""
    text = f"no file names the plan {plan} any more: nothing of it is backed up or tested here"
    kept = kept_in(services, plan, digest) / "plans" / f"{plan}.yaml"
    file = str(directory.absolute() / kept.name)
    step = f"{shlex.join(['cp', str(kept), file]) if kept.is_file() else 'put its file back'}   brings it back"
    if recorded is not None:
        step += f'; ccdr deviation close {recorded.id} --accept --until 365d --why "…"   says that it is to be gone'
    return Problem(Trouble.PLAN_GONE, text, None if recorded is None else recorded.since, about=plan, step=step)


def clocks_of(services: Services) -> Clocks:
    return Clocks(services.clock.now(), services.clock.monotonic(), boot())


def incidents_now(plan: str, history: AssetHistory, services: Services) -> list[IncidentNow]:
    """Those of a plan that are open, with what is due next."""
    return open_incidents(plan, history.incidents, clocks_of(services))


def _runbook(plan: str, histories: Histories, services: Services) -> tuple[Problem, ...]:
    """Of one that somebody goes on with now nothing is wrong."""
    if services.state.held(plan, "", RUNBOOK):
        return ()
    return judge_runbook(plan, histories.get((plan, None), AssetHistory()), services.clock.now())


def ledger_problems(
    plans: Sequence[LoadedPlan], services: Services, histories: Histories, newest: Iterable[Snapshot]
) -> tuple[Problem, ...]:
    """What is wrong with the ledger as this host knows it without a verification; `newest` are the assets' newest
    snapshots, which attest it."""
    lineage = services.lineage()
    attested = by_what_is_known(here(services, lineage, list(newest)))
    return (*troubles(lineage, services.unsound), *attested, *judge_host(plans, histories))


def attestation_problems(services: Services, histories: Histories) -> tuple[Problem, ...]:
    """What people have attested and is not theirs, or stale, or will be within a month: of this host, and of no
    plan."""
    host, now = histories.get((None, None), AssetHistory()), services.clock.now()
    return judge_people(host, now)


def anchor_problems(anchors: AnchorsStanding, services: Services, histories: Histories) -> tuple[Problem, ...]:
    """What is wrong with the ledger's anchors: of this host, and of no plan."""
    host = histories.get((None, None), AssetHistory())
    return tuple(acknowledged(anchors.problems(), host.acks, services.clock.now()))


def exit_code(assets: Sequence[AssetStatus]) -> Exit:
    return worst([exit_of(s.troubles) for s in assets])


def private_of(records: Iterable[Record | None], state: State) -> tuple[str, ...]:
    """Where what programs said in these runs, and what was found by name, is kept for a while: what is there yet."""
    runs = dict.fromkeys(str(record.run) for record in records if record is not None)
    return tuple(str(path) for run in runs for path in state.private_of(run))


def kept(path: str) -> str:
    """How people are told of a file that `private_of` names."""
    what = "the programs' own messages" if path.endswith(".txt") else "what was found, by name"
    return f"{what}, for your eyes only, kept for a week: {path}"


def _with_words(problems: Iterable[Problem], state: State) -> Iterator[Problem]:
    for p in problems:
        yield replace(p, private=tuple(map(str, state.private_of(p.run)))) if p.run else p


def _together(job: Job, services: Services) -> Together | None:
    known = (s for name in job.grouped for s in services.catalogue.snapshots(job.plan, name))
    ours = [t for t in captured_together(known) if job.asset not in t.missing]
    return ours[-1] if ours else None


def _files(loaded: LoadedPlan, services: Services, histories: Histories) -> Iterator[Problem]:
    """Of the plan's versions that are in the ledger."""
    plan = loaded.plan.plan
    if versions := not_kept(plan, services, histories):
        newest = f"that of {rfc3339(versions[0].at)[:19]}Z ({versions[0].record})"
        what = (
            f"of {so_many(len(versions), 'version')} of the plan, {newest}{'' if len(versions) == 1 else ' the newest'}"
        )
        text = f"the files {what}, are not kept in the state directory any more as they were"
        step = next_step(Trouble.PLAN_FILES_GONE, plan, None)
        yield Problem(Trouble.PLAN_FILES_GONE, text, about=" ".join(v.digest[:16] for v in versions), step=step)


def _parted_keys(loaded: LoadedPlan, histories: Histories) -> Iterator[Problem]:
    """As the plan was last examined."""
    plan = loaded.plan.plan
    seen = histories.get((plan, None), AssetHistory()).examined
    for name, of in seen.repositories.items() if seen else ():
        for key in of.parted_keys:
            text = (
                f"key {key[:8]} of {name} is one of a password's two, and the other was removed past ccdr: it opens "
                "still"
            )
            step = (
                f"ccdr repository key remove {plan} {key[:8]}   where that password is to open nothing; of the one "
                f"in use, ccdr repository key rotate {plan}; then ccdr controls --examine"
            )
            yield Problem(Trouble.FINDING, text, about=f"parted {key}", step=step)


def _secrets(loaded: LoadedPlan) -> Iterator[Problem]:
    for _, path in secret_files(loaded.plan):
        if mode := open_to_others(path):
            yield Problem(Trouble.FINDING, f"{path} holds a secret, and {mode}", about=str(path))
    for opened in (loaded.plan.repository, *loaded.plan.copies.values()):
        if (file := opened.password_file) is not None and too_short(file):
            text = f"{file} holds a repository's password shorter than {SHORTEST} characters, which no backup takes"
            yield Problem(Trouble.FINDING, f"{text}: put the right one back from your copy", about=f"short {file}")
