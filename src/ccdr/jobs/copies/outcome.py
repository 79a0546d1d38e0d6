"""What one copying gives: for people, for programs and for the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.history.kinds import DONE, FAILED
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import Exit, worst
from ccdr.model.finding import Finding, recorded
from ccdr.model.values import RecordRef, rfc3339


@dataclass
class Copying:
    """What was copied to one of a plan's copies, and what is there now, by asset: `there` is None where that is not
    known. `lacking` are the ids of snapshots that should be there and could not be copied, `vanished` of those that
    were there, and that nobody here has removed. `source` and `repository` say how the plan's own repository and the
    copy's were found, where that is why it ended."""

    plan: str
    copy: str
    site: str | None
    run: str | None = None
    result: str = FAILED
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
    source: str | None = None
    repository: str | None = None
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

    def body(self) -> dict[str, object]:
        """For the ledger, and (with its record) for `--json`."""
        return {
            "result": self.result,
            "reason": self.reason,
            "made": self.made,
            "copied": self.copied,
            "log_copied": self.log_copied,
            "there": self.there,
            "newest": {asset: rfc3339(at) for asset, at in self.newest.items()},
            "arrived": {asset: rfc3339(at) for asset, at in self.arrived.items()},
            "log_until": {asset: rfc3339(at) for asset, at in self.log_until.items()},
            "lacking": self.lacking,
            "vanished": self.vanished,
            "damaged": self.damaged,
            "source": self.source,
            "repository": self.repository,
            "findings": recorded(self.findings),
            "seconds": round(self.seconds, 3),
            "left_behind": self.left_behind,
        }

    def as_json(self) -> dict[str, object]:
        record = self.record and self.record.as_json()
        about = {"plan": self.plan, "copy": self.copy, "site": self.site, "run": self.run}
        return {**about, **self.body(), "hint": self.hint, "record": record}
