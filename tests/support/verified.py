"""A site with a day of records, whose ledger and summary are verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from ccdr.evidence.ledger.ledger import SEGMENT_BYTES, Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.trouble import Trouble
from ccdr.run.ending import Conclusion, end_run
from ccdr.run.tasks import RunResult
from ccdr.telling.status import status
from tests.support.clocks import Clock
from tests.support.harness import Ran, Site
from tests.support.recorded import backup, test


@dataclass
class World:
    """A site with a day of records, the last of them a restore test that failed."""

    site: Site
    clock: Clock = field(default_factory=Clock)
    small: bool = False

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    @property
    def ledger(self) -> Ledger:
        size, begin = 600 if self.small else SEGMENT_BYTES, beginning(State(self.site.state), "db1")
        return Ledger(self.site.state / "ledger", self.clock, segment_bytes=size, begin=begin)

    def lived(self) -> None:
        for n in range(4):
            backup(self.ledger, f"b{n}", "recordings")
        test(self.ledger, "t1", "recordings-b2", "PASS", "recordings")
        test(self.ledger, "t2", "recordings-b3", "FAIL", "recordings")

    def day_passes(self, **delta: float) -> Conclusion:
        """A run's end, a day later (or whatever)."""
        self.clock.at += timedelta(**(delta or {"days": 1, "minutes": 1}))
        return end_run([self.site.loaded()], self.services, RunResult(), seconds=1.0)

    def troubles(self) -> set[Trouble]:
        (found,) = status([self.site.loaded()], self.services)
        return {p.trouble for p in found.wrong}

    def told(self, end: Conclusion) -> list[str]:
        assert end.telling is not None
        return [s.subject for s in end.telling.sent]

    def change_the_summary(self) -> None:
        """Whoever wants no test to have failed."""
        (file,) = (self.site.state / "index").glob("histories-*")
        file.write_bytes(file.read_bytes().replace(b"FAIL", b"PASS"))

    def status(self) -> Ran:
        return self.site.run("status")
