"""What is told of a log that is shipped: how it stands, at once and in a file that `status` reads; what was stored and
what troubles it, to the ledger, at least once an hour."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.history.kinds import STOPPED
from ccdr.evidence.log_standing import LogStanding, write_standing
from ccdr.evidence.records.backups import LogGap, LogShipped
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.stored_batch import Gap
from ccdr.jobs.shipping.tally import Tally
from ccdr.model.errors import CcdrError, failure_of
from ccdr.model.finding import Finding
from ccdr.plans.job import Job
from ccdr.ports.place import Progress


class Journal:
    """`standing` is what is written down in `home`, `tally` what the ledger has not been told of yet."""

    def __init__(
        self, job: Job, services: Services, run: Run, progress: Progress, home: Path, standing: LogStanding
    ) -> None:
        self._job, self._services, self._run, self._progress = job, services, run, progress
        self._home, self.standing = home, standing
        self.tally = Tally(services.clock.now())
        self._recorded: datetime | None = None  # when the ledger was last told of it

    def remember_last_record(self) -> None:
        """Of whoever shipped it before."""
        with suppress(CcdrError):
            self._recorded = self._services.history(self._job).log_recorded

    def recorded_within(self, span: timedelta, now: datetime) -> bool:
        return self._recorded is not None and now - span < self._recorded <= now

    def step(self, sentence: str) -> None:
        self._progress.step(f"{self._job.asset}: {sentence}")

    def adopt(self, **changes: object) -> None:
        """The standing as the repository has it, by its fields: it is written down once anything else changes."""
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]

    def update(self, **changes: object) -> None:
        """What has changed of the standing, by its fields."""
        self.adopt(**changes)
        write_standing(self._home, self.standing)

    def missing(self, gap: Gap) -> None:
        self.tally.gaps.append(gap)
        sentence = f"log is missing between {gap.after} and {gap.before}: a new base backup is needed"
        self.step(sentence)
        self.update(since=gap.before, gap=sentence)

    def threatened(self, findings: tuple[Finding, ...]) -> None:
        """By these, told at once, and by `status` for as long as they last."""
        for finding in findings:
            if finding not in self.standing.findings:
                self.step(str(finding))
        self.update(findings=findings)

    def troubled(self, error: Exception) -> None:
        trouble = failure_of(error)
        why = " ".join(trouble.reason.split())
        if why != self.standing.trouble:
            self._services.state.keep_words(self._run.id, trouble.words)
        if self.standing.trouble is None:
            away = trouble.words.nobody_answers
            self.update(trouble=why, troubled=self._services.clock.now(), away=away)
            self.record(why)
        elif why != self.standing.trouble:
            self.update(trouble=why, away=trouble.words.nobody_answers)
        self.step(why)

    def untroubled(self) -> None:
        if self.standing.trouble is not None:
            self.update(trouble=None, troubled=None, away=False)

    def record(self, trouble: str | None) -> None:
        """What was stored since the last record."""
        tally = self.tally
        shipped = LogShipped(
            plan=self._job.plan,
            asset=self._job.asset,
            run=self._run.id,
            tenant=self._job.tenant,
            **self._job.loaded.plan.copy_facts,
            since=tally.since,
            points=[(round(point, 3), round(usable, 3)) for point, usable in tally.points],
            snapshots=len(tally.points),
            added_bytes=tally.bytes,
            first=tally.first,
            last=tally.last,
            gaps=[LogGap(after=gap.after, before=gap.before) for gap in tally.gaps],
            vanished=tally.vanished,
            anew=tally.anew,
            branched=tally.branched,
            trouble=trouble,
            findings=list(self.standing.findings),
        )
        self._services.ledger.write(shipped)
        self._recorded = self._services.clock.now()
        self.tally = Tally(self._recorded)
        self.update(pending=(), running=trouble != STOPPED)
