"""A period that is over, with restore tests of several hands in it, and keys of people who may sign it off."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.evidence.records import StatementRecord, of_mapping
from ccdr.host.clock import SystemClock
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from ccdr.telling.report import Report, make_report
from ccdr.telling.report.period import past_period
from tests.support.harness import Ran
from tests.support.past import DAY, HOUR, MINUTE, Past
from tests.support.signed import key, signers

NAMESPACE = "ccdr-sign-off"


def as_read(line: dict[str, Any]) -> StatementRecord:
    """What somebody stated, as whoever judges has it."""
    record = of_mapping(line)
    assert isinstance(record, StatementRecord), record
    return record


class SignOffRoom(Past):
    """`start` to `end`: two days, over since a day. Ana and Dan may sign; `ana@x` has accounts `ana` and `apop`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        today = SystemClock().now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.start, self.end = today - 3 * DAY, today - DAY
        begin = beginning(State(self.site.state), socket.gethostname())
        self.ledger = Ledger(self.site.state / "ledger", self.clock, host=socket.gethostname(), actor="a", begin=begin)
        self.backup(self.start - DAY)  # before the period
        self.snapshot = self.backup(self.start + HOUR)
        self.ana, self.dan = key(root, "ana"), key(root, "dan")
        self.signers = signers(root / "signers", {"ana@x,apop": self.ana, "dan@x": self.dan})

    def tested(self, actor: str, *, hours: float = 2, by: str = "command", verb: str = "test", **who: Any) -> None:
        """A restore test that passed, by this hand; `who` as its record has it."""
        run, when, before = self.run_id(), self.start + hours * HOUR, self.ledger.actor
        self.ledger.actor = actor
        trigger = {"by": "command"} if by == "command" else {"by": "run", "due": rfc3339(when)}
        at = {"terminal": "pts/0", "started_by": "terminal"} if by == "command" else {"started_by": "cron"}
        begun = {"uid": 0, "login_uid": None, "terminal": None, **at, "claims": {}, **who}
        kind = "restore_test" if verb == "test" else "negative_control"
        self.wrote(when, f"{kind}.start", run=run, trigger=trigger, who=begun)
        if verb == "test":
            self.wrote(when + MINUTE, "restore_test.end", run=run, verdict="PASS", reason=None, phases={"fetch": 1.0},
                       snapshot={"id": self.snapshot, "verdict": "PASS", "selected": "latest",
                                 "consistent_point": rfc3339(when), "bytes": 5}, findings=[])  # fmt: skip
        self.ledger.actor = before

    @property
    def period(self) -> tuple[str, ...]:
        return "--from", f"{self.start:%Y-%m-%d}", "--to", f"{self.end - timedelta(seconds=1):%Y-%m-%d}"

    def asked(self, *args: str) -> Ran:
        return self.site.run("sign-off", *args, "--signers", str(self.signers))

    def sign(self, by: Path | None = None, *args: str) -> Ran:
        return self.asked(*self.period, "--key", str(by or self.ana), *args)

    @property
    def sign_offs(self) -> list[dict[str, Any]]:
        """As they are listed."""
        listed: list[dict[str, Any]] = self.asked("--list").json["sign_offs"]
        return listed

    def records(self) -> list[dict[str, Any]]:
        return self.site.records("period.population")

    def services(self) -> Services:
        return self.site.services()

    def made(self, start: datetime | None = None, end: datetime | None = None) -> Report:
        """A report of the period, or of another one."""
        period = past_period(start or self.start, end or self.end)
        plans = [self.site.loaded()]
        return make_report(plans, self.services(), period, command="ccdr report", signers=self.signers)
