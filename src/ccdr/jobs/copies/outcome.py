"""What one copying gives: for people, for programs and for the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ccdr.evidence.history.kinds import DONE, FAILED
from ccdr.evidence.records.copies import CopyEnd
from ccdr.evidence.records.values import Repository, code
from ccdr.jobs.recorded import document
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import Exit, worst
from ccdr.model.finding import Finding
from ccdr.model.values import RecordRef


@dataclass
class Copying:
    """What was copied to one of a plan's copies, and what is there now, by asset: `there` is None where that is not
    known. `lacking` are the ids of snapshots that should be there and could not be copied, `vanished` of those that
    were there, and that nobody here has removed. `source` and `repository` say how the plan's own repository and the
    copy's were found, where that is why it ended."""

    plan: str
    copy: str
    site: str | None
    run: str = ""
    result: Literal["DONE", "FAILED", "PLANNED"] = FAILED
    reason: str | None = None
    words: FreeText = NO_WORDS  # what restic said: for a person's eyes, never recorded
    hint: str | None = None
    made: bool = False  # the repository, just now
    copied: dict[str, int] = field(default_factory=dict)
    log_copied: int = 0
    there: dict[str, int] | None = None
    newest: dict[str, datetime] = field(default_factory=dict)
    arrived: dict[str, datetime] = field(default_factory=dict)  # when the newest was there
    log_until: dict[str, datetime] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    vanished: dict[str, list[str]] = field(default_factory=dict)
    damaged: bool = False  # the plan's own repository could not give back what is lacking
    source: Repository = None
    repository: Repository = None
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    left_behind: list[str] = field(default_factory=list)
    failure: Exit = Exit.NOT_CARRIED_OUT
    record: RecordRef | None = None

    @property
    def exit_code(self) -> Exit:
        codes = [] if self.result == DONE else [Exit.FINDING if self.damaged else self.failure]
        codes += [Exit.FINDING] if self.findings or any(self.vanished.values()) else []
        codes += [Exit.LEFT_BEHIND] if self.left_behind else []
        return worst(codes)

    @property
    def done(self) -> bool:
        return self.result == DONE

    def ended(self) -> CopyEnd:
        """For the ledger, and (with where it stands there) for `--json`."""
        return CopyEnd(
            plan=self.plan,
            run=self.run,
            copy=self.copy,
            site=self.site,
            result=code(self.result),
            reason=self.reason,
            made=self.made,
            copied=self.copied,
            log_copied=self.log_copied,
            there=self.there,
            newest=self.newest,
            arrived=self.arrived,
            log_until=self.log_until,
            lacking=self.lacking,
            vanished=self.vanished,
            damaged=self.damaged,
            source=self.source,
            repository=self.repository,
            findings=self.findings,
            seconds=round(self.seconds, 3),
            left_behind=self.left_behind,
        )

    def as_json(self) -> dict[str, object]:
        return document(self.ended(), self.record, run=self.run or None, hint=self.hint)
