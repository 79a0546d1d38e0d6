"""`ccdr run`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.progress import SILENT, progress
from ccdr.cli.settings import Settings, settings
from ccdr.cli.verbs import dry_run_option, verb
from ccdr.model.errors import CcdrError, Exit, worst

if TYPE_CHECKING:
    from ccdr.jobs.services import Services
    from ccdr.model.values import Verb
    from ccdr.plans import LoadedPlan
    from ccdr.plans.job import Job
    from ccdr.run.next_due import Log
    from ccdr.run.tasks import Did, RunResult

KINDS = ("backups", "tests", "upkeep")


@dataclass(frozen=True)
class _Call:
    """One call of `ccdr run`: when it began, and by what a later one with the same words knows whether to sleep."""

    state: Path
    key: str
    files: list[object]  # the plans' fingerprint
    now: float

    @classmethod
    def of(cls, options: Settings, names: Sequence[str], only: Sequence[str]) -> _Call:
        from ccdr.host.state import default_state
        from ccdr.run.next_due import fingerprint

        watched = (options.plans, options.restore_tests, options.plans.absolute().parent / "anchors.yaml")
        key = "\n".join(map(str, (*[p.absolute() for p in watched], *names, "", *only)))
        now = time.time()
        return cls((options.state or default_state()).absolute(), key, fingerprint(watched), now)

    @property
    def asleep(self) -> bool:
        from ccdr.run.next_due import asleep

        return asleep(self.state, self.key, self.files, self.now)

    def sleep(self, until: float, logs: Sequence[Log], *, shipping_ended: bool) -> None:
        """No longer than until a log that was told to end may be shipped again."""
        from ccdr.jobs.shipping.background import WAKES
        from ccdr.run.next_due import sleep

        if shipping_ended:
            until = min(until, self.now + WAKES)
        with suppress(CcdrError):  # it only saves the next call some time; what the disk refuses is told of otherwise
            sleep(self.state, self.key, self.files, self.now, until, logs)


@verb(short_help="Do what is due by the plans' schedules.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option("--only", type=click.Choice(KINDS), multiple=True, help="Only these; may be given more than once.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Assets at the same time.")
@click.option(
    "--metrics",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CCDR_METRICS",
    metavar="FILE",
    help="Write metrics for Prometheus there (CCDR_METRICS).",
)
@dry_run_option
def run(names: tuple[str, ...], only: tuple[str, ...], jobs: int, metrics: Path | None, dry_run: bool) -> Exit:
    """Carry out everything that is due by the plans' schedules, once: this is what cron calls, as often as it likes.

    What came due more than once since the last call is carried out once, and the rest recorded as missed. What
    failed is tried again after 5 minutes, then 10, 20 and so on up to 6 hours. Any number of runs may overlap.
    Without a terminal it says nothing where all went well; on one it says what comes due next. Whom a plan names
    under notify gets one message when something is wrong, and one when it is over.

    The exit status is of what this call did and found. What still stands from an earlier one is for `ccdr status`:
    a monitor reads that.

    Measured recovery times are those of the machine as it is: more `--jobs` make each of them longer.

    \b
    Examples:
      ccdr run                           all plans: */5 * * * * root ccdr run
      ccdr run outbound --only backups   on the database's host
      ccdr run --only tests --jobs 2     on a host that has no database credentials
      ccdr run --dry-run                 what is due now, and when the next will be
    """
    options, person = settings(), sys.stderr.isatty()  # who wants to know, though there is nothing to do
    call = _Call.of(options, names, only)
    if not dry_run and (options.json or not person) and call.asleep:
        if options.json:
            print_json({"did": [], "missed": [], "busy": []})
        return Exit.OK

    from ccdr.run.ending import end_run, followed
    from ccdr.run.scheduled import renewed_meanwhile
    from ccdr.run.signing import ToSign
    from ccdr.run.tasks import ALL
    from ccdr.run.tasks import KINDS as VERBS

    loaded, wrong = options.load_all(names)
    services, verbs = options.services(), frozenset().union(*(VERBS[k] for k in only)) if only else ALL
    if dry_run:
        return _dry_run(loaded, services, verbs)
    loud, began = options.verbose or person, time.monotonic()
    result = _carry_out(loaded, services, verbs, jobs, loud=loud)
    shipped, ended = _ship(loaded, services, verbs)
    logs = followed(shipped, services)
    end = end_run(loaded, services, result, seconds=time.monotonic() - began, textfile=metrics, logs=logs, wrong=wrong)
    to_sign = ToSign.found(options.plans, services)
    if wrong or result.next_due is not None:
        # Once a plan's file is right again that is told at once: what an earlier run has noted is not slept by.
        # Nor while the ledger is not what it should be: each run answers with that.
        dues = [due.timestamp() for due in (result.next_due, end.next_due) if due is not None]
        at_once = wrong or end.stands or (logs and renewed_meanwhile(loaded, services, verbs))
        call.sleep(call.now if at_once else to_sign.before(min(dues)), logs, shipping_ended=ended)
    if options.json:
        print_json({**result.as_json(), **end.as_json()})
        for did in result.did:
            if did.outcome is None:
                click.echo(f"ccdr: {did.task.name}: {did.reason}", err=True)
    elif loud or result.exit_code is not Exit.OK or end.code is not Exit.OK:
        _tell(result, end.summary)
        if person:
            _tell_next(loaded, services, verbs)
    for trouble in (*wrong, *result.changes, *end.troubles):
        click.echo(f"ccdr: {trouble}", err=True)
    for note in to_sign.carry_out():
        if options.verbose:  # cron would mail it each hour; what is overdue is told as a trouble
            click.echo(f"ccdr: {note}", err=True)
    return worst([result.exit_code, end.code, end.stands, *(error.exit_code for error in wrong)])


def _carry_out(
    loaded: Sequence[LoadedPlan], services: Services, verbs: frozenset[Verb], jobs: int, *, loud: bool
) -> RunResult:
    """What is due, and then what comes with it: each plan is stored with its backups, the ledger is compared and stored
    where that is due."""
    from ccdr.jobs.attest import compare_due, store_due
    from ccdr.jobs.plan_in_repository import store, store_pending
    from ccdr.plans import plan_names
    from ccdr.run.scheduled import run as run_due

    options = settings()
    with progress() if loud else SILENT as watched:
        result = run_due(loaded, services, watched, only=verbs, jobs=jobs, stated=plan_names(options.plans))
    backed_up = {did.task.plan for did in result.did if did.task.asset and did.done and did.task.verb == "backup"}
    notes = store([plan for plan in loaded if plan.plan.plan in backed_up], services)
    with suppress(CcdrError):
        notes += store_pending(loaded, services)
    for note in notes:
        if loud:  # the next run tries again; that it is not there yet, status tells
            click.echo(f"ccdr: {note}", err=True)
    with suppress(CcdrError):  # a ledger that cannot be read is told of when all is done
        # A repository that does not answer is told of by the work with it. While a plan is paused no backup looks at
        # what is there.
        let_be = {task.plan for task in result.paused if task.verb == "backup"}
        compare_due(loaded, services, let_be)
        store_due(loaded, services, options.every, at_once=True)
    return result


def _ship(loaded: list[LoadedPlan], services: Services, verbs: frozenset[Verb]) -> tuple[list[Job], bool]:
    """See to it that every log that a plan wants shipped is, and no other: those that are, and whether something was
    told to end. For the host that backs up."""
    from ccdr.jobs.pausing import Pauses
    from ccdr.jobs.shipping.background import end_unwanted, gone, start_missing
    from ccdr.model.values import Verb
    from ccdr.plans.job import Job

    if Verb.BACKUP not in verbs:
        return [], False
    ended = list(end_unwanted(loaded, services.state))
    for note in ended:
        click.echo(f"ccdr: {note}", err=True)
    pauses = Pauses(services)  # what ships the log of a plan that is paused waits, if it is there
    going_on = [p for p in loaded if pauses.of(p.plan.plan) is None and not p.plan.recovery_only]
    jobs = [Job(p, asset) for p in going_on for asset, engine in p.plan.assets.items() if engine.shipping is not None]
    if not jobs:
        return [], bool(ended)
    options = settings()
    where = ["--plans", str(options.plans.absolute()), "--restore-tests", str(options.restore_tests.absolute())]
    for job in jobs:
        if gone(job, services.state):
            click.echo(f"ccdr: the process that shipped the log of {job.plan}/{job.asset} is gone", err=True)
    for job in start_missing(jobs, services, [*where, "--state", str(services.state.root)]):
        click.echo(f"ccdr: started to ship the log of {job.plan}/{job.asset}", err=True)
    return jobs, bool(ended)


def _tell(result: RunResult, standing: str | None) -> None:
    """One line that says it all, one on where the assets stand by now, then what is not as it should be."""
    click.echo(summary(result))
    if standing is not None:
        click.echo(standing)
    for did in result.did:
        if did.code is not Exit.OK:
            _tell_trouble(did)
    for passed in result.missed:
        m = passed.missed
        times = f"{m.count} times, from {_minute(m.first)} to {_minute(m.last)}" if m.count > 1 else _minute(m.last)
        click.echo(f"{word('MISSED')}  {passed.task.name}, due {times}")


def _tell_next(loaded: list[LoadedPlan], services: Services, verbs: frozenset[Verb]) -> None:
    """What comes due first, of how many schedules: that this knows the plans, and will do something."""
    from ccdr.run.scheduled import standing

    if not (rows := standing(loaded, services, verbs)):
        click.echo("no plan here has a schedule for this: nothing will ever be due")
        return
    first = min(rows, key=lambda row: row.again or row.next)
    known = f"schedules known: {len(rows)}"
    click.echo(f"next: {first.task.name}, due {_minute(first.again or first.next)}; {known}")


def summary(result: RunResult) -> str:
    """For the subject of a mail: counts, and the worst first."""
    wrong = [d.task.name for d in result.did if d.code is not Exit.OK]
    well = len(result.did) - len(wrong)
    parts = [f"not well: {', '.join(wrong)}"] if wrong else []
    if result.missed:
        parts.append(f"missed: {', '.join(p.task.name for p in result.missed)}")
    parts.append(f"{well} done well" if result.did else "nothing was due")
    if result.skipped:
        parts.append(f"skipped while paused: {', '.join(p.task.name for p in result.skipped)}")
    if result.paused:
        parts.append(f"waiting for the end of a pause: {', '.join(t.name for t in result.paused)}")
    if result.busy:
        parts.append(f"under way elsewhere: {', '.join(t.name for t in result.busy)}")
    return f"ccdr run: {'; '.join(parts)}"


def _tell_trouble(did: Did) -> None:
    from ccdr.cli.backup import tell as tell_backup
    from ccdr.cli.restore_test_told import tell as tell_test
    from ccdr.jobs.backup import BackupResult
    from ccdr.jobs.restore_test import RestoreTest

    if isinstance(did.outcome, BackupResult):
        tell_backup(did.outcome)
    elif isinstance(did.outcome, RestoreTest):
        tell_test(did.outcome)
    elif did.reason:
        click.echo(f"{word('FAILED')}  {did.task.name}: {did.reason}")
        if did.hint:
            click.echo(f"  → {did.hint}")


def _dry_run(loaded: list[LoadedPlan], services: Services, verbs: frozenset[Verb]) -> Exit:
    """What is due, and what comes next; nothing is recorded or stamped."""
    from ccdr.run.scheduled import standing

    rows = standing(loaded, services, verbs)
    if settings().json:
        print_json({"schedules": [row.as_json() for row in rows]})
        return Exit.OK
    table(
        ("", "due", "tried again", "next", "failures"),
        [
            (
                row.task.name,
                _minute(row.due) if row.due else "-",
                _minute(row.again) if row.again else "-",
                _minute(row.next),
                str(row.failures or "-"),
            )
            for row in rows
        ],
    )
    if not all(row.seen for row in rows):
        click.echo(
            "schedules count from the first `ccdr run` that sees them: this run notes them, and does nothing else"
        )
    return Exit.OK


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
