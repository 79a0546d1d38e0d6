"""`ccdr sign-off`: a period's population is signed by who may, and that is recorded with the signature itself."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from ccdr.evidence.records.statements import SIGN_PERIOD, PeriodPopulation, SignedWith, Statement
from ccdr.evidence.statements import WORD
from ccdr.host.signatures import Signer, trusted_signers, verify
from ccdr.jobs.services import Services
from ccdr.jobs.signatories import refuse
from ccdr.jobs.statement_records import record_statement, refuse_ahead, signed_by, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339, so_many
from ccdr.telling.report.build import Report
from ccdr.telling.report.promises import DUE
from ccdr.telling.report.runs import MISSED, RUNBOOK, RUNNING
from ccdr.telling.report.sign_offs import tests_by_command

# What is as of when the text was written, and not of the period.
_OF_THE_TEXT = ("records", "head", "problems", "ccdr")


def to_sign_off(report: Report, services: Services) -> Statement[PeriodPopulation]:
    """What is to be signed. UsageProblem where the period has not ended, where something of it has not, where there is
    nothing, or where the ledger does not verify."""
    verified, period = report.ledger.verification, report.period
    if verified.problems:
        raise UsageProblem(
            f"the ledger does not verify ({so_many(len(verified.problems), 'problem')}): its population is no proof",
            hint="`ccdr ledger verify` says what is wrong with it",
        )
    ledger = services.lineage().ledger
    if ledger is None:
        raise UsageProblem(
            "this ledger does not say yet which one it is",
            hint="the next record says it: `ccdr run`, a backup or a restore test writes one",
        )
    if period.end > services.clock.now():
        raise UsageProblem(
            f"the period ends at {rfc3339(period.end)}: what goes on cannot be signed yet",
            hint="sign it off once it has ended",
        )
    running = [run for run in report.runs if run.outcome == RUNNING and run.verb != RUNBOOK]
    if running:
        raise UsageProblem(
            f"{so_many(len(running), 'run')} of the period {'is' if len(running) == 1 else 'are'} still at work: once "
            "that has ended, the population is another one",
            hint="sign the period off once `ccdr status` shows that nothing is at work",
        )
    if not report.runs:
        raise UsageProblem(
            f"there is no record of the period from {rfc3339(period.start)} to {rfc3339(period.end)}: nothing to sign",
            hint="look at --from and --to; `ccdr report` shows what there is",
        )
    outcomes = Counter[str]()
    for run in report.runs:
        outcomes[run.outcome if WORD.fullmatch(run.outcome) else "OTHER"] += run.count
    tallies = report.tallies.values()
    tests, accounts = tests_by_command(report.runs, services.ledger.host)
    there = [finding for asset in report.assets for finding in asset.findings]
    there += [finding for plan in report.plans for finding in plan.findings]
    of = PeriodPopulation(
        ledger=ledger,
        on=services.ledger.host,
        begins=period.start,
        ends=period.end,
        plans=tuple(sorted(set(report.wanted))),
        rows=report.population.rows,
        population_sha256=report.population.sha256,
        outcomes=dict(sorted(outcomes.items())),
        due=sum(tally.get(DUE) or 0 for tally in tallies),
        due_in_part=any(tally.get(DUE, 0) is None for tally in tallies)
        or any(one.since is not None for one in report.promises),
        missed=sum(tally.get(MISSED) or 0 for tally in tallies),
        findings=sum(finding.acknowledged is None for finding in there),
        acknowledged=sum(finding.acknowledged is not None for finding in there),
        tests_by_command=tests,
        accounts=accounts,
        read_with=tuple(
            SignedWith(ledger=one.chain.ledger, records=one.chain.records, head=one.chain.head)
            for one in report.ledger.beside
            if one.believed
        ),
        records=verified.records,
        head=verified.head,
        problems=len(report.ledger.problems),
        ccdr=report.version,
    )
    return stated(services, "period", of)


def sign_off(
    given: Statement[PeriodPopulation],
    report: Report,
    services: Services,
    signature: str,
    signers: Path,
) -> tuple[int, Signer]:
    """Record it: the number of its record, and who signed. `report` is of the same period, made now.
    UsageProblem where the text is not of what there is now, or was not signed by who may: then nothing is recorded."""
    now = to_sign_off(report, services)
    _refuse_other(given, now, services)
    if any(one.nonce == given.nonce for one in report.sign_offs):
        raise UsageProblem(
            "this text is recorded already, with its signature",
            hint="`ccdr sign-off --list` shows it; another person signs a text of their own: --write FILE",
        )
    there = trusted_signers(signers)
    signer = verify(given.text(), signature, there, SIGN_PERIOD.namespace, services.host)
    by = signed_by(signer, signature)
    refuse(given, by, signer.name, there, (), services)
    digest = sha256(there.encode()).hexdigest()
    return record_statement(given, services, by, {"signers_sha256": digest}), signer


def _refuse_other(given: Statement[PeriodPopulation], now: Statement[PeriodPopulation], services: Services) -> None:
    """What somebody signs is what this host says of the period, word for word."""
    of, same = given.about, {name: getattr(now.about, name) for name in _OF_THE_TEXT}
    if replace(of, **same) != now.about:
        raise UsageProblem(
            "this text is not what this ledger says of the period now: records of it were added or found since, or the "
            "text is of another host",
            hint="write it anew with --write, and have that signed",
        )
    refuse_ahead(given, services.clock.now())
    if given.made < of.ends:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, before its period ended", hint="write it anew")
    if services.ledger.hash_of(of.records) != of.head:
        raise UsageProblem(
            f"record {of.records} of this ledger is not the one that the text names: it is of another ledger",
            hint="write it anew with --write; `ccdr ledger verify` says whether this ledger holds",
        )
