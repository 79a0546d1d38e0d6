"""`ccdr run` as cron calls it, from a plan to a mailbox, a ping and metrics: whole processes, real backups and tests."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from syrupy.assertion import SnapshotAssertion
from tests.e2e.test_cron import ASSET, HOURLY, LOOK, NEVER, an_hour_passes
from tests.support.harness import Site
from tests.support.listeners import Mailbox, Web, free_port, mail_server, web_server
from tests.support.logs import ships
from tests.support.manifests import SAID
from tests.support.sparse import append_sparse
from tests.support.stored import LIMITS, assert_clean, settled_file, with_repository
from tests.support.wording import lines_with

from ccdr.evidence.log_standing import LogStanding
from ccdr.model.values import Manifest
from ccdr.plans.job import Job
from ccdr.run.ending import end_run, followed
from ccdr.run.tasks import RunResult
from ccdr.storage.manifest import manifest_text, snapshot_of

SECRET = "hunter2-very-s3cret"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, mailbox: Mailbox, web: Web) -> Site:
    made = with_repository(Site(tmp_path))
    for n in range(4):
        settled_file(tmp_path / "tree" / "a" / f"{n}.wav", os.urandom(5000))
    made.write("restore_tests/c.yaml", LOOK)
    made.write("plans/urls", f"{mailbox.url()}\n", mode=0o600)
    made.write("plans/ping", f"{web.url('ping', 'http')}\n", mode=0o600)
    assets = ASSET.format(name="a", tree=tmp_path / "tree", limits=LIMITS, cron=HOURLY)
    made.plan(assets, extra=NEVER + "notify: {urls_file: urls, ping_file: ping}\n")
    (tmp_path / "metrics").mkdir()
    made.env["CCDR_METRICS"] = str(tmp_path / "metrics" / "ccdr.prom")
    return made


def the_next_try_is_due(site: Site) -> None:
    for path in (site.state / "schedule").glob("*.json"):
        slot = json.loads(path.read_text())
        if "retry_at" in slot:
            path.write_text(json.dumps({**slot, "retry_at": None}))
        else:
            path.unlink()


def number(site: Site, name: str) -> float:
    text = Path(site.env["CCDR_METRICS"]).read_text()
    (found,) = (s.value for f in text_string_to_metric_families(text) for s in f.samples if s.name == name)
    return found


def test_from_never_to_proven_to_failed_and_back(
    site: Site, mailbox: Mailbox, web: Web, wording: SnapshotAssertion
) -> None:
    assert site.run("run").code == 0
    assert mailbox.subjects == ["ccdr: p: a never backed up (+1 more)"]
    assert number(site, "ccdr_asset_never_succeeded") == 1 and web.asked == []
    an_hour_passes(site)
    done = site.run("run")
    assert done.code == 0 and done.json["telling"]["pinged"] == ["p"], done
    assert done.json["summary"] == "ccdr: 1 asset, 1 proven"
    assert mailbox.subjects[1:] == wording
    assert number(site, "ccdr_asset_proven") == 1 and number(site, "ccdr_last_run_exit_code") == 0
    pings = len(web.asked)
    an_hour_passes(site)
    tree = (site.root / "tree" / "a").rename(site.root / "unmounted")
    done = site.run("run")
    assert done.code == 1 and done.json["telling"]["pinged"] == [] and len(web.asked) == pings, done
    assert re.sub(r"\+\d more", "+N more", mailbox.subjects[2]) == wording
    assert "the backup of 2" in mailbox.text() and "next: is the file system of " in mailbox.text()
    assert number(site, "ccdr_asset_proven") == 0 and number(site, "ccdr_asset_last_backup_ok") == 0
    tree.rename(site.root / "tree" / "a")
    an_hour_passes(site)
    the_next_try_is_due(site)
    assert site.run("run").code == 0
    assert mailbox.subjects[3].startswith("ccdr: p: fixed: a source GONE (+") and len(mailbox.raw) == 4
    assert len(web.asked) == pings + 1
    assert_clean(site)


def test_what_failed_by_hand_is_told_by_the_next_run_though_nothing_is_due(site: Site, mailbox: Mailbox) -> None:
    assert site.run("backup", "p").code == 0
    assert site.run("test", "p").code == 0
    assert site.plainly("run").returncode == 0 and not mailbox.subjects
    tree = (site.root / "tree" / "a").rename(site.root / "unmounted")
    assert site.run("backup", "p").code == 1
    assert site.plainly("run").returncode == 0
    assert len(mailbox.subjects) == 1 and mailbox.subjects[0].startswith("ccdr: p: a source GONE")
    tree.rename(site.root / "tree" / "a")
    assert site.run("backup", "p").code == 0
    assert site.plainly("run").returncode == 0
    assert mailbox.subjects[1:] == ["ccdr: p: fixed: a source GONE (+1 more)"]
    site.write("restore_tests/c.yaml", LOOK.replace("identical", "command, argv: ['false']"))
    assert site.plainly("run").returncode == 0
    assert site.run("test", "p").code == 1
    assert site.plainly("run").returncode == 0
    assert mailbox.subjects[2].startswith("ccdr: p: a restore test FAILED"), mailbox.subjects
    assert site.plainly("run").returncode == 0 and len(mailbox.subjects) == 3


def test_a_mail_server_that_is_down_fails_no_run(site: Site, mailbox: Mailbox) -> None:
    url = f"mailto://me:{SECRET}@127.0.0.1:{free_port()}/?from=a@b.test&to=c@d.test"
    site.write("plans/urls", f"{url}\n{mailbox.url()}\n", mode=0o600)
    done = site.run("run")
    assert done.code == 0 and "p: urls line 1 (mailto) did not take" in done.stderr, done
    assert mailbox.subjects == ["ccdr: p: a never backed up (+1 more)"]
    an_hour_passes(site)
    done = site.run("run")
    assert done.code == 0 and done.stderr.count("urls line 1") == 0, done  # said once, in words
    assert "urls line 1 (mailto) did not take " in mailbox.text()
    shown = site.run("status")
    assert "urls line 1 (mailto)" in shown.json["plans"][0]["could_not_tell"][0]
    assert number(site, "ccdr_notification_failures") == 1
    for said in (str(done), str(shown), (site.state / "told.json").read_text()):
        assert SECRET not in said


def test_metrics_that_cannot_be_written_fail_no_run(site: Site) -> None:
    (site.root / "metrics").rmdir()
    (site.root / "metrics").write_text("a file")
    done = site.plainly("run", "--metrics", site.env["CCDR_METRICS"])
    assert done.returncode == 0 and "ccdr.prom could not be written" in done.stderr and "Traceback" not in done.stderr
    done = site.plainly("run", "--metrics", "/dev/full")
    assert done.returncode == 0


def test_what_was_missed_and_what_could_not_begin(site: Site, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    site.run("run")
    an_hour_passes(site)
    assert site.run("run").code == 0
    told = len(mailbox.raw)
    an_hour_passes(site)
    (site.root / "plans" / "key").rename(site.root / "key")
    assert site.run("run").code == 2
    (subject,) = mailbox.subjects[told:]
    assert "password_file" in subject and subject.partition(": password_file")[0] == wording
    assert subject.endswith("... (+1 more)"), "a reason is cut"
    (site.root / "key").rename(site.root / "plans" / "key")
    for wake in (site.state / "schedule").glob("wake-*"):
        wake.unlink()
    assert site.run("run").json["did"] == [] and len(mailbox.raw) == told + 1  # waits for its next try
    the_next_try_is_due(site)
    done = site.run("run")
    assert done.code == 0 and done.json["did"], done
    assert lines_with(mailbox.subjects[told + 1 :], "fixed:") == wording


def test_a_plan_whose_file_is_wrong_is_told_by_the_others_once(
    site: Site, mailbox: Mailbox, wording: SnapshotAssertion
) -> None:
    """Who is to be told stands in the file that is wrong."""
    site.run("run")
    told = len(mailbox.raw)
    typo = site.root / "plans" / "q.yaml"
    typo.write_text("plan: q\nservice: Dialler\nowner: hunter2secret\nobjectives: {rpo: 1x, rto: 1h}\n")
    assert [site.run("run").code for _ in range(2)] == [2, 2]
    assert mailbox.subjects[told:] == wording
    assert "plans/q.yaml is wrong in line" in mailbox.text(told) and "hunter2" not in mailbox.text(told)
    typo.unlink()
    assert site.run("run").code == 0
    assert mailbox.subjects[told + 1 :] == wording


def test_a_broken_ledger_is_told_and_nothing_is_called_fixed(site: Site, mailbox: Mailbox) -> None:
    site.run("run")
    an_hour_passes(site)
    (site.root / "tree" / "a").rename(site.root / "unmounted")
    site.run("run")
    told = len(mailbox.raw)
    (segment,) = (site.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"{}\n" + b"".join(lines[1:]))
    an_hour_passes(site)
    site.run("run")
    assert mailbox.subjects[told].startswith("ccdr: p: ledger does NOT VERIFY")
    assert not any("fixed" in s for s in mailbox.subjects[told:])


def test_each_host_tells_only_what_is_its_own_to_do(site: Site, mailbox: Mailbox, wording: SnapshotAssertion) -> None:
    site.run("run", "--only", "backups")
    assert mailbox.subjects == ["ccdr: p: a never backed up"]
    elsewhere = str(site.root / "state of another host")
    site.run("run", "--only", "tests", "--state", elsewhere)
    assert mailbox.subjects[1:] == ["ccdr: p: a never tested"]
    an_hour_passes(site)
    assert site.run("run", "--only", "backups").code == 0
    assert mailbox.subjects[2:] == wording
    assert number(site, "ccdr_asset_proven") == 0


def test_cron_mail_says_where_everything_stands(site: Site, wording: SnapshotAssertion) -> None:
    site.run("run")
    an_hour_passes(site)
    (site.root / "tree" / "a").rename(site.root / "unmounted")
    done = site.plainly("run")
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == wording
    assert done.stdout.splitlines()[1].startswith("ccdr: 1 asset, 0 proven; ")


LOGGED = """\
crm:
  engine: postgres
  method: physical
  objectives: {rpo: 5m}
  connection: {host: /nowhere, user: postgres, database: postgres}
  log_shipping: {interval: 60s}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
"""


@dataclass
class Standstill:
    """It stands, so that only what it decides is left."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize("gap", [None, "log is missing between A and B: a new base backup is needed"])
def test_a_log_that_is_shipped_lets_a_run_sleep_for_longer_than_its_rpo(site: Site, gap: str | None) -> None:
    """Its RPO of minutes is looked at by the quick way; unless the log has a gap, and the RPO is its base's."""
    site.plan(LOGGED, extra=NEVER + "notify: {urls_file: urls}\n")
    services, loaded = site.services(clock := Standstill()), site.loaded()
    contents = {"timeline": 1, "stop_lsn": "0/2000060", "source": loaded.plan.assets["crm"].source_name}
    taken = clock.at - timedelta(minutes=2)
    manifest = Manifest("p", "crm", "b1", "postgres", "physical", "h", taken, 0.0, {}, contents, attested=SAID)
    text, told = manifest_text(manifest), {"id": "1" * 64, "verdict": "PASS", "selected": "latest"}
    services.catalogue.add(snapshot_of(manifest, text, "1" * 64, "/r", taken), text)
    body = {"verdict": "PASS", "reason": None, "findings": [], "recovery": None, "rto": None, "snapshot": told}
    append_sparse(services.ledger, "restore_test.end", plan="p", asset="crm", run="t", body=body)
    begins = "000000010000000000000009" if gap else "000000010000000000000001"
    standing = LogStanding(since=begins, point=clock.at, usable=clock.at, position="0/9000060", gap=gap)
    ships(services, "p", "crm", standing)
    logs = followed([Job(loaded, "crm")], services)
    wakes = end_run([loaded], services, RunResult(), seconds=0, logs=logs).next_due
    rpo_is_breached = taken + timedelta(minutes=5, seconds=1)
    assert (wakes == rpo_is_breached) if gap else (wakes is None or wakes > clock.at + timedelta(hours=1)), wakes
    unwatched = end_run([loaded], services, RunResult(), seconds=0).next_due
    assert unwatched is not None and unwatched <= clock.at + timedelta(minutes=5, seconds=1)
