"""Ledgers that lie beside each other: one of this host's that was lost and brought back, and those of two hosts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from click.testing import CliRunner, Result
from msgspec import to_builtins

from ccdr.cli import main
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.comparison import beginning, keep, read_id
from ccdr.host.state import State
from ccdr.jobs.attest.other_ledgers import collect, copied, placed
from ccdr.jobs.attest.recovering import link
from ccdr.jobs.services import Services
from ccdr.setup.discover.unprotected import untested
from ccdr.storage.listing import RepoSnapshot
from ccdr.telling.metrics import RunFacts
from ccdr.telling.metrics import collect as numbers
from ccdr.telling.notify.concerns import concerns_of
from ccdr.telling.report import Period, Report, make_report
from ccdr.telling.status import status, upkeep_problems
from tests.support.chronicle import Chronicle
from tests.support.clocks import Clock
from tests.support.harness import Site

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = """
crm:
  engine: files
  paths: [/spool]
  backup: {schedule: "15 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [t]}
"""


def past(site: Site) -> Chronicle:
    return Chronicle(END, str(site.loaded().plan.assets["crm"].source_name))


def wrote(state: State, host: str, told: Chronicle) -> str:
    """The ledger of a host says all this at its time; which ledger that is."""
    clock = Clock()
    ledger = Ledger(state.ledger, clock, host=host, actor="a", begin=beginning(state, host))
    for record in told.records:
        clock.at = datetime.fromisoformat(record["time"])
        ledger._append({k: v for k, v in record.items() if k not in ("seq", "prev", "time", "host", "actor")})
    keep(state, ledger)
    return str(read_id(state.ledger))


def stored(site: Site, *told: Chronicle) -> None:
    """What the repository holds is the same for every host."""
    for one in told:
        there = Chronicle(END, "", manifests=one.manifests, there=one.there)
        there.keep(site.root / "none", site.services(Clock()).catalogue)


@dataclass
class Looked:
    found: AssetStatus
    report: Report

    @property
    def troubles(self) -> set[str]:
        return {p.trouble.name for p in self.found.troubles}

    @property
    def last_test(self) -> dict[str, Any]:
        return dict(self.found.as_json()["last_test"])  # type: ignore[call-overload]


def services_of(site: Site, at: datetime = END) -> Services:
    found = site.services(Clock(at))
    found.ledger._begin = beginning(found.state, found.ledger.host)
    return found


def look(site: Site, at: datetime = END) -> Looked:
    """By `status` and the report, which agree."""
    services, loaded = services_of(site, at), site.loaded()
    (found,) = status([loaded], services, services.histories())
    assert status([loaded], services) == [found], "by the summary as by the records"
    report = make_report([loaded], services, Period(at - 30 * DAY, at, until_now=True), command="x")
    (said,) = [a for a in report.assets if a.asset == "crm"]
    assert sorted(f.text for f in said.findings if f.code) == sorted(p.text for p in found.troubles)
    assert (said.coverage, said.rpo_now, said.rto) == (found.coverage, found.rpo, found.rto)
    return Looked(found, report)


def lost(site: Site, verdict: str = "FAIL", *, at: float = -50) -> str:
    """A backup `at` this hour, whose test ended so; then the ledger was lost, and the new one tells of nothing that happened before."""
    old, new = past(site), past(site)
    old.asked(-60, "backup", "test", "prune", "check")
    old.stored(at, "first", begun=True)
    old.tested(at + 1, "first", verdict, begun=True)
    new.wrote(-0.6, "not_begun", asset=None, verb="check", due="2026-11-24T11:00:00Z", reason="no key")
    state = State(site.state)
    name = wrote(state, "h", old)
    state.ledger.rename(site.root / "aside")
    wrote(state, "h", new)
    stored(site, old)
    return name


def brought_back(site: Site, name: str) -> None:
    services, aside = services_of(site, END - timedelta(minutes=1)), site.root / "aside"
    taken = copied(services.state, name, aside, verify(aside), "the repository")
    placed(services.state, link(taken, None, 0, services))


FAILED = [{"name": "identical", "kind": "identical", "status": "FAIL", "expected": "1", "actual": "2"}]


class Pair:
    """A host that backs up (`h`, ours) and one that tests (`db2`), of the same plan."""

    def __init__(self, site: Site) -> None:
        self.site = site
        facts = to_builtins(site.loaded().facts)
        version = {
            "digest": "0" * 64,
            "predecessor": None,
            "files": {},
            "facts": facts,
        }  # none whose copy could be gone
        self.backs_up, self.tests = past(site), past(site)
        self.backs_up.wrote(-50, "plan.version", asset=None, **version)
        self.backs_up.asked(-50, "backup")
        self.tests.wrote(-50, "plan.version", asset=None, **version)
        self.tests.asked(-50, "test", "prune", "check")
        self.tests.checked(-49.9)

    def both(self, verdict: str = "PASS", *, until: float = 0, checked: bool = True) -> None:
        """Hourly backups, until now; each night a test, of which the last ended so: at 03:00, nine hours ago. The host
        that tests wrote its last record at `until`."""
        for hours in range(-50, 0):
            self.backs_up.stored(hours + 0.25, f"b{hours}", begun=True)
        self.tests.manifests |= self.backs_up.manifests
        for hours, said in ((-33.0, "PASS"), (-9.0, verdict)):
            if hours < until:
                name = f"b{int(hours) - 1}"
                self.tests.tested(hours + 0.1, name, said, begun=True)
            if hours < -10 and checked:
                self.tests.checked(-10)
        self.tests.wrote(until - 0.001, "sandbox.reap", asset=None, **REAPED)

    def ours(self, which: str) -> str:
        """This host is that one; the ledger of the other, which lies in `other/`."""
        told, other = (self.backs_up, self.tests) if which == "backs up" else (self.tests, self.backs_up)
        wrote(State(self.site.state), "h" if which == "backs up" else "db2", told)
        stored(self.site, self.backs_up)
        return wrote(State(self.site.root / "other"), "db2" if which == "backs up" else "h", other)

    def collected(self, at: datetime = END) -> None:
        collect(self.site.root / "other", services_of(self.site, at))


REAPED: dict[str, Any] = {"removed": []}


class Listed:
    """A repository that holds what the catalogue has."""

    location = "nowhere"

    def __init__(self, services: Services) -> None:
        self.there = services.catalogue.snapshots("p", "crm")

    def snapshots(self, tags: Sequence[str]) -> list[RepoSnapshot]:
        of = ("ccdr-3", "plan=p", "kind=backup", "asset=crm")
        found = [RepoSnapshot(s.id, s.consistent_point, s.usable_at, ("/r",), of) for s in self.there]
        return [s for s in found if {*tags} <= {*s.tags}]

    def version(self) -> str:
        return "0"


@dataclass
class Everybody:
    """Who judges by records, each by what it says of crm's newest restore test, which was of that snapshot: its
    verdict, None where it knows of none."""

    site: Site
    tested: str

    def told(self, *args: str) -> Result:
        root = self.site.root
        of = ["--plans", str(root / "plans"), "--restore-tests", str(root / "restore_tests")]
        return CliRunner().invoke(main, [*of, "--state", str(self.site.state), *args])

    def asked(self, *args: str) -> Any:
        return json.loads(self.told(*args, "--json").stdout)

    def status(self) -> object:
        return (self.asked("status")["plans"][0]["assets"][0]["last_test"] or {}).get("verdict")

    def report(self) -> object:
        runs = [run for run in look(self.site).report.runs if run.verb == "test"]
        return runs[-1].outcome if runs else None

    def snapshots(self) -> object:
        (found,) = [s for s in self.asked("snapshots", "p")["snapshots"] if s["id"] == self.tested]
        return found["last_test"]

    def restore(self) -> object:
        to = ["--to", str(self.site.root / "there"), "--dry-run"]
        said = self.told("restore", "p", "--asset", "crm", "--snapshot", self.tested, *to).output
        known = {
            "its last restore test passed": "PASS",
            "failed its last restore test": "FAIL",
            "never tested a restore": None,
        }
        (verdict,) = (v for text, v in known.items() if text in said)
        assert verdict == "FAIL" or ("not measured" in said) is (verdict is None), said
        return verdict

    def doctor(self) -> object:
        """Of its verdict it says nothing where an earlier one was measured."""
        (found,) = (c for c in self.asked("doctor", "p", "--only", "tests")["checks"] if c["what"] == "RTO by tests")
        return None if "never tested" in found["found"] else self.status()

    def discover(self) -> object:
        return None if [*untested([self.site.loaded()], services_of(self.site))] else self.status()

    def metrics(self) -> object:
        services, plans = services_of(self.site), [self.site.loaded()]
        made = numbers(
            status(plans, services), upkeep_problems(plans, services), services.histories(), RunFacts(END, 1.0, 0, {})
        )
        where = {"plan": "p", "asset": "crm"}
        told = {
            v: made.get_sample_value("ccdr_asset_last_test_verdict", {**where, "verdict": v}) for v in ("PASS", "FAIL")
        }
        return next((verdict for verdict, said in told.items() if said), None)

    def messages(self) -> object:
        services, plans = services_of(self.site), [self.site.loaded()]
        kinds = {c.trouble.name for c in concerns_of(status(plans, services), upkeep_problems(plans, services))}
        return "FAIL" if "TEST_FAILED" in kinds else None if kinds & {"NOT_KNOWN_HERE", "NEVER_TESTED"} else "PASS"

    @property
    def all(self) -> dict[str, object]:
        names = ("status", "report", "snapshots", "restore", "doctor", "discover", "metrics", "messages")
        return {name: getattr(self, name)() for name in names}
