"""`ccdr ledger verify` of this host's ledger, with all that lies beside it; and of what is new of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.ledger.verified import Verified
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.model.errors import CcdrError, Exit, worst
from ccdr.model.values import rfc3339, so_many

if TYPE_CHECKING:
    from ccdr.evidence.ledger.verification import Verification
    from ccdr.evidence.lineage.own_records import Lineage
    from ccdr.jobs.attest import LedgerComparison
    from ccdr.jobs.checkpoints.held_to import Brought
    from ccdr.jobs.daily_verification import Comparison
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan


def verify_since() -> Exit | None:
    """What is new of this host's ledger; None where there is nothing to go on from. Neither the summary, nor plans,
    nor other ledgers are looked at."""
    from ccdr.jobs.attest import troubles
    from ccdr.jobs.since_verified import checkpoint_stands, verified_before, verify_on

    services, at_work = settings().services(), frozenset[str]()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        at_work = services.state.runs_at_work()  # first: they may end while it is read
    before, signed = verified_before(services), checkpoint_stands(services)
    if before is None or signed is None:
        return None
    verification, lineage = verify_on(services, before), services.lineage()
    problems = dict.fromkeys((*verification.problems, *(trouble.text for trouble in troubles(lineage))))
    if signed:
        stands = f"the newest checkpoint, of {so_many(signed, 'record')}, is of what was read then and stands here"
        verification = replace(verification, notes=(*verification.notes, stands))
    verified = Verified(verification, tuple(problems), at_work, before=before)
    if settings().json:
        print_json({**verified.as_json(), "ledger": lineage.ledger})
    else:
        verified.tell()
    return verified.exit_code


@dataclass(frozen=True)
class _Live:
    """What was found of this host's ledger, of those beside it, and by the repositories that were asked."""

    verified: Verified
    compared: Comparison
    lineage: Lineage
    beside: Mapping[str, Verification]
    answers: _Answers | None

    def as_json(self) -> dict[str, Any]:
        document = {
            **self.verified.as_json(),
            "summary": self.compared.summary,
            "ledger": self.lineage.ledger,
            "others": {name: {"records": of.records, "ok": of.ok} for name, of in self.beside.items()},
        }
        if self.answers is not None:
            document["repositories"] = [outcome.as_json() for outcome in self.answers.outcomes]
            document["not_asked"] = {plan: str(error) for plan, error in self.answers.failed}
        return document

    def tell(self) -> None:
        from ccdr.jobs.daily_verification import DIFFERS, EQUAL

        self.verified.tell()
        for name, of in self.beside.items():
            if of.ok and (known := self.lineage.beside.get(name)):
                how = "brought back" if known.linked else "collected"
                click.echo(
                    f"  beside it the ledger {name[:8]}…, which was {how}: {so_many(of.records, 'record')}, whole"
                )
        for outcome in self.answers.outcomes if self.answers else ():
            click.echo(f"  {_agreed(outcome)}")
        if self.compared.summary == EQUAL:
            click.echo("  the summary that `ccdr status` reads agrees with the records")
        elif self.compared.summary == DIFFERS:
            click.echo("  → find out who wrote to it, then remove it: ccdr builds it again from the ledger")


def verify_live(names: Sequence[str], brought: Brought, signers: str | None, *, repository: bool) -> Exit:
    options = settings()
    services = options.services()
    plans = [options.load(name) for name in names] if names else []
    if repository and not names:
        plans, wrong = options.load_all(())
        for why in wrong:
            click.echo(f"ccdr: {why}", err=True)
    live = _live(services, plans if repository else None, brought, signers)
    if options.json:
        print_json(live.as_json())
    else:
        live.tell()
    failed = live.answers.failed if live.answers else []
    for plan, error in failed:
        click.echo(f"ccdr: {plan}: ccdr could not ask its repository: {error}", err=True)
    return worst([live.verified.exit_code, *(error.exit_code for _, error in failed)])


def _live(services: Services, plans: Sequence[LoadedPlan] | None, brought: Brought, signers: str | None) -> _Live:
    """The repositories of `plans` are asked, too (None: none)."""
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.evidence.statements import signed_in
    from ccdr.jobs.attest import by_what_is_known, here, troubles
    from ccdr.jobs.attest.beside import others
    from ccdr.jobs.checkpoints.held_to import of_beside
    from ccdr.jobs.daily_verification import compare
    from ccdr.jobs.statements import verified_by

    at_work: frozenset[str] = frozenset()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        at_work = services.state.runs_at_work()  # first: they may end while it is read
    compared = compare(services, brought)
    answers = None if plans is None else _asked(plans, services)
    lineage = services.lineage()
    contradiction = here(services, lineage, services.catalogue.newest())
    of_ledger = [p.text for p in (*troubles(lineage), *by_what_is_known(contradiction))]
    of_plans = _plans_not_kept(services, compared) if compared.ledger.ok else []
    beside = {name: verify_ledger(path) for name, path in others(services.state)}
    of_others = [f"ledger {name[:8]}…: {problem}" for name, of in beside.items() for problem in of.problems]
    for name, of in beside.items():
        findings = of_beside(services, name).findings if of.ok else ()
        of_others += [f"ledger {name[:8]}…: {finding}" for finding in findings]
    problems = tuple(
        dict.fromkeys((*compared.ledger.problems, *compared.differences, *of_ledger, *of_plans, *of_others))
    )
    attested = [problem for outcome in (answers.outcomes if answers else ()) for problem in outcome.findings]
    problems += tuple(problem for problem in attested if not any(problem in one for one in problems))
    unread = tuple(
        f"ledger {name[:8]}…: it lies here, and no record of ours tells of it: it is not read; "
        f"`ccdr ledger collect` of it takes it in"
        for name in beside
        if name not in lineage.beside
    )
    noted = replace(compared.ledger, notes=(*compared.ledger.notes, *unread))
    held = brought.anything or bool(lineage.anchoring.configured) or _configured()
    statements = verified_by(signed_in(services.ledger.directory), signers)
    verified = Verified(noted, problems, at_work, compared.checked, held, gaps=compared.gaps, statements=statements)
    return _Live(verified, compared, lineage, beside, answers)


def _configured() -> bool:
    """Are there anchors beside the plans? A file that is wrong names some."""
    from ccdr.plans.anchors import anchors_beside

    try:
        return bool(anchors_beside(settings().plans))
    except CcdrError:
        return True


def _plans_not_kept(services: Services, compared: Comparison) -> list[str]:
    """Versions of plans whose files are gone, or were changed: of all there ever were. By what was folded while the
    ledger was verified, where no other lies beside it: years are not read twice."""
    from ccdr.jobs.in_force import not_kept

    histories = services.histories() if services.population() else compared.folded.of_plans
    plans = dict.fromkeys(plan for plan, _ in histories if plan is not None)
    return [
        f"the files of the plan {v.plan} of {rfc3339(v.at)[:19]}Z ({v.record}) are not kept any more as they were"
        for plan in plans
        for v in not_kept(plan, services, histories, most=None)
    ]


@dataclass(frozen=True)
class _Answers:
    """What the repositories attest, and those that could not be asked."""

    outcomes: list[LedgerComparison] = field(default_factory=list)
    failed: list[tuple[str, CcdrError]] = field(default_factory=list)


def _asked(plans: Sequence[LoadedPlan], services: Services) -> _Answers:
    """It is recorded, where that can be written: an auditor may only read."""
    from ccdr.jobs.attest import compare, listed_and_vanished, record

    answers = _Answers()
    for loaded in plans:
        try:
            listed, vanished = listed_and_vanished(loaded, services)
            outcome = compare(services, loaded.plan.plan, listed, vanished=vanished)
        except CcdrError as error:
            answers.failed.append((loaded.plan.plan, error))
            continue
        with contextlib.suppress(CcdrError):
            record(services, outcome, by_hand=True)
        answers.outcomes.append(outcome)
    return answers


def _agreed(outcome: LedgerComparison) -> str:
    line = f"the repository of {outcome.plan}: {so_many(outcome.snapshots, 'snapshot attests', 'snapshots attest')} it"
    if outcome.snapshots:
        line += f", up to record {outcome.newest}"
    if outcome.unattested:
        line += f"; {so_many(outcome.unattested, 'is', 'are')} from before snapshots did"
    for name, count in outcome.beside.items():
        line += f"; {so_many(count, 'attests', 'attest')} the ledger {name[:8]}… beside it"
    if unknown := outcome.elsewhere - sum(outcome.beside.values()):
        line += f"; {so_many(unknown, 'is', 'are')} of other ledgers, not known here"
    return line
