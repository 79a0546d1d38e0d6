"""What a host answers for is what its runs were lately asked for: it is blamed for that, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.listeners import mail_server
from tests.support.manifests import SAID
from tests.support.runs import World
from tests.support.sparse import append_sparse
from tests.support.wording import lines_with

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.lineage.own_records import installation
from ccdr.model.trouble import Trouble
from ccdr.model.values import DUTIES, FileDigest, Manifest, ObjectiveVerdict, Verb
from ccdr.run.ending import end_run, our_own
from ccdr.run.responsible import Change, asked
from ccdr.run.tasks import KINDS, Performed, RunResult, Task
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling.status import status

# Backed up twice an hour, tested each night, checked daily, pruned weekly on Sundays.
PLAN = """
a:
  engine: files
  paths: [/srv/a]
  backup: {schedule: "*/30 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
"""
UPKEEP = "retention: {keep_within: 35d}\nupkeep: {prune: 0 5 * * 0, check: 0 6 * * *}\n"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BACKUPS, TESTS = KINDS["backups"], frozenset({Verb.TEST})  # and the negative controls with them
CARE = frozenset({Verb.PRUNE, Verb.CHECK})  # and the copies with it
ALL = BACKUPS | TESTS | CARE


class Host(World):
    """A host whose crontab somebody writes."""

    def cron(self, *lines: str | None, every: timedelta = 30 * MINUTE, times: int = 1) -> list[Change]:
        """As `ccdr run` for each line (`--only` what, or None for all), so many times; what was told of duties."""
        told = []
        for _ in range(times):
            for line in lines:
                told += asked(self.plans, self.services, KINDS[line] if line else ALL)
            self.clock.on(seconds=every.total_seconds())
        return told

    def duties(self, plan: str = "p") -> frozenset[Verb]:
        history = self.services.histories().get((plan, None), AssetHistory())
        return frozenset(verb for verb in DUTIES if history.answers_for(verb))

    def blamed(self) -> set[Trouble]:
        ours = our_own(self.plans, self.services)
        return {p.trouble for s in ours.assets for p in s.wrong} | {p.trouble for p in ours.upkeep["p"]}

    def end(self, result: RunResult) -> None:
        end_run(self.plans, self.services, result, seconds=1.0)

    def backs_up(self, *, fails: bool = False) -> None:
        """As `ccdr backup p`, by hand."""
        run = f"b{self.services.ledger.head().seq}"
        where = {"plan": "p", "asset": "a", "run": run}
        append_sparse(self.services.ledger, "backup.start", **where, body={})
        stored = {"result": "FAILED", "reason": "x"} if fails else {"result": "STORED", "reason": None}
        told = None if fails else {"id": self.snapshot(self.services.ledger.host)}
        append_sparse(self.services.ledger, "backup.end", **where, body={**stored, "snapshot": told})

    def snapshot(self, of: str) -> str:
        """A host's backup of now, known here; its id."""
        now, named = self.clock.at, {"source": str(self.plans[0].plan.assets["a"].source_name)}
        said = replace(SAID, installation=installation(self.services.state, of))
        files = {"f": FileDigest(1, "a" * 64)}
        manifest = Manifest("p", "a", "r", "files", "scan", of, now, 0.0, {}, named, files, attested=said)
        text, key = manifest_text(manifest), sha256(f"{of} {now}".encode()).hexdigest()
        self.services.catalogue.add(snapshot_of(manifest, text, key, "/r", now), text)
        return key

    @property
    def rpo(self) -> ObjectiveVerdict:
        (found,) = status(self.plans, self.services)
        return found.rpo.verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return made(tmp_path)


def made(root: Path) -> Host:
    site = Site(root)
    site.write("restore_tests/c.yaml", "restore_test: c\nchecks:\n  - {kind: identical}\n")
    site.plan(PLAN, extra=UPKEEP)
    return Host(site)


def test_a_host_that_was_never_asked_answers_for_all_and_its_first_day_is_no_news(
    host: Host, wording: SnapshotAssertion
) -> None:
    assert host.duties() == ALL
    assert host.cron("tests", "upkeep") == [] and host.duties() == TESTS | CARE
    first, second = host.site.records("duties")
    assert first["verbs"] == ["test"] and first["reason"] == wording
    assert second["gained"] == ["prune", "check"] and second["asset"] is None


def test_several_lines_of_a_crontab_are_all_its_duties(host: Host) -> None:
    assert host.cron("tests", "upkeep", every=HOUR, times=80) == []
    assert host.duties() == TESTS | CARE
    assert len(host.site.records("duties")) == 2, "what does not change is not recorded again"


def test_one_run_without_only_is_forgotten_after_a_day_in_which_it_came_due_twice(host: Host) -> None:
    host.cron("tests", every=HOUR, times=30)
    (gained,) = host.cron(None)
    assert gained.gained == BACKUPS | CARE and "backups" in str(gained) and host.duties() == ALL
    assert host.cron("tests", every=HOUR, times=23) == [] and Verb.BACKUP in host.duties(), "not within a day"
    (lost,) = host.cron("tests", every=HOUR, times=3)
    assert set(lost.lost) == BACKUPS and host.duties() == TESTS | CARE
    assert "no longer answers" in str(lost) and "restore tests" in str(lost)
    assert host.cron("tests", every=12 * HOUR, times=2 * 9) == []  # the weekly prune has not come due twice yet
    (lost,) = host.cron("tests", every=12 * HOUR, times=2 * 5)
    assert set(lost.lost) == CARE and host.duties() == TESTS


def test_what_is_asked_for_only_when_it_is_due_stays_a_duty(host: Host) -> None:
    """A line that calls for upkeep once a week, just before it is due, among others that run all day."""
    host.clock.to("2026-11-22T04:00:00Z")  # a Sunday
    for _ in range(4):
        assert host.cron("tests", "upkeep", every=12 * HOUR) == []
        assert host.cron("tests", every=12 * HOUR, times=13) == []
    assert host.duties() == TESTS | CARE


def test_where_nothing_runs_at_all_the_duties_stay(host: Host) -> None:
    host.cron(None, times=3)
    host.clock.on(days=400)
    assert host.duties() == ALL
    assert host.cron(None) == [] and host.duties() == ALL


def test_a_clock_set_back_or_ahead_takes_no_duty_away(host: Host) -> None:
    host.cron("tests", "backups", times=2)
    host.clock.on(days=-300)
    assert host.cron("tests", times=10) == [] and host.duties() == TESTS | BACKUPS
    host.cron("tests", "backups", times=2)
    assert host.duties() == TESTS | BACKUPS
    asked_at = json.loads((host.site.state / "asked.json").read_text())["p"]
    assert all(datetime.fromisoformat(at) <= host.clock.at for at in asked_at.values()), "no stamp is yet to come"


def test_lost_stamps_count_from_now(host: Host) -> None:
    host.cron("tests", "backups", times=2)
    for text in (None, "", "[]", '{"p": {"nonsense": "2026-11-24T12:00:00Z"}}', '{"p": 3}'):
        path = host.site.state / "asked.json"
        path.unlink() if text is None else path.write_text(text)
        assert host.cron("tests", times=40) == [] and host.duties() == TESTS | BACKUPS


def test_a_plan_that_is_not_named_is_not_asked_for(host: Host) -> None:
    host.site.plan(PLAN, name="q", extra=UPKEEP)
    services, (p, q) = host.services, host.plans
    asked([p, q], services, TESTS)
    host.clock.on(days=3)
    assert asked([p], services, BACKUPS)[0].plan == "p"
    assert host.duties("q") == TESTS and host.duties("p") == BACKUPS


def test_where_the_ledger_was_lost_duties_begin_with_the_next_run(host: Host) -> None:
    """Whatever its schedules were stamped for: no record says that this host answers for it."""
    host.run(None)
    for segment in (host.site.state / "ledger").glob("*.jsonl"):
        segment.unlink()
    assert not host.run("tests").changes and host.duties() == TESTS


def test_it_is_not_blamed_for_what_another_host_does_now(host: Host) -> None:
    """The whole way: it did everything, failed at backups, then was asked for tests alone."""

    def failing(task: Task) -> Performed | None:
        if task.verb is Verb.BACKUP:
            append_sparse(
                host.services.ledger,
                "backup.end",
                plan="p",
                asset="a",
                run="r",
                body={"result": "FAILED", "reason": "x"},
            )
        return None

    host.act = failing
    for _ in range(3):
        host.run()
        host.clock.on(minutes=30)
    assert {Trouble.BACKUP_FAILED, Trouble.NEVER_SUCCEEDED, Trouble.NEVER_TESTED} <= host.blamed()
    host.cron("tests", every=HOUR, times=30)
    assert Trouble.BACKUP_FAILED in host.blamed(), "that nobody asks for it here any more is no other host's work"
    host.snapshot("another")
    host.cron("tests", every=HOUR, times=30)
    assert not host.blamed() & {Trouble.BACKUP_FAILED, Trouble.NEVER_SUCCEEDED, Trouble.BACKUP_LATE}
    assert Trouble.NEVER_TESTED in host.blamed(), "what it still does, it still answers for"


def test_objectives_are_judged_only_by_the_host_that_does_the_work(host: Host) -> None:
    """What another one has done since is not known here: neither its backups nor how long its tests took."""

    def said() -> tuple[str, str]:
        (asset,) = our_own(host.plans, host.services).assets
        return asset.rpo.verdict.value, asset.rto.verdict.value

    slow = {"achieved_s": 7200.0, "basis": "throwaway"}
    body = {"verdict": "PASS", "reason": None, "findings": [], "snapshot": {"id": "a" * 64}, "rto": slow}
    append_sparse(host.services.ledger, "restore_test.end", plan="p", asset="a", run="r", body=body)
    assert said() == ("BREACHED", "BREACHED")
    host.cron("backups", every=HOUR, times=30)
    assert said() == ("BREACHED", "NOT_KNOWN_HERE")
    host.cron("tests", every=HOUR, times=60)
    assert said() == ("NOT_KNOWN_HERE", "BREACHED")


def test_a_change_is_told_once_and_what_moved_away_is_not_called_fixed(host: Host) -> None:
    with mail_server() as mailbox:
        host.site.write("plans/urls", f"{mailbox.url()}\n", mode=0o600)
        host.site.plan(PLAN, extra=UPKEEP + "notify: {urls_file: urls, remind: 300d}\n")
        for line in (None, None, *["tests"] * 16):
            host.end(host.run(line))
            host.clock.on(hours=2)
        host.end(host.run("tests"))
    assert mailbox.subjects[0].startswith("ccdr: p: a never backed up")
    others = mailbox.subjects[1:]
    assert [s for s in others if "other work than before" in s] == ["ccdr: p: other work than before"]
    text = next(mailbox.text(n) for n, s in enumerate(mailbox.subjects) if "other work" in s)
    assert "last asked for backups here" in text and "crontab" in text
    assert not any("fixed" in mailbox.text(n).lower() for n in range(len(mailbox.raw)))


@pytest.mark.parametrize("line", ["tests", "upkeep"])
def test_one_run_for_other_work_does_not_give_away_the_backups_that_are_taken_here(
    host: Host, line: str, wording: SnapshotAssertion
) -> None:
    """A single host: its first run of all is for tests alone; then all its runs are, for a month."""
    host.backs_up()
    assert host.cron(line) == [] and Verb.BACKUP in host.duties() and host.rpo is ObjectiveVerdict.MET
    (first,) = host.site.records("duties")
    assert str(first["reason"]) == wording
    host.cron(line, every=8 * HOUR, times=90)
    assert Verb.BACKUP in host.duties() and host.rpo is ObjectiveVerdict.BREACHED
    assert Trouble.BACKUP_LATE in host.blamed()


def test_a_crontab_line_for_backups_that_is_removed_is_no_other_hosts_work(host: Host) -> None:
    host.cron("backups", "tests", times=2)
    host.backs_up()
    assert not any(change.lost for change in host.cron("tests", every=HOUR, times=60))
    assert Verb.BACKUP in host.duties() and host.rpo is ObjectiveVerdict.BREACHED


def test_what_another_host_has_backed_up_since_makes_it_that_ones_to_do(host: Host) -> None:
    """The healthy twin: backups moved to another host, and the snapshots that are tested here are its."""
    host.backs_up()
    host.cron("tests", every=HOUR, times=3)
    host.snapshot("another")
    assert any(Verb.BACKUP in change.lost for change in host.cron("tests", every=HOUR, times=30))
    assert host.duties() == TESTS and host.rpo is ObjectiveVerdict.NOT_KNOWN_HERE
    host.backs_up()  # once, by hand
    assert host.cron("tests", every=HOUR, times=3) == [] and host.duties() == TESTS


def test_a_backup_by_hand_where_none_was_taken_before_is_this_hosts_to_do(host: Host) -> None:
    """Its runs were for tests alone, and nobody knew of a snapshot; then somebody began to take them here."""
    host.cron("tests", every=HOUR, times=30)
    assert host.duties() == TESTS and host.rpo is ObjectiveVerdict.NOT_KNOWN_HERE
    host.backs_up()
    (gained,) = host.cron("tests")
    assert gained.gained == BACKUPS and "was asked for" not in str(gained)
    assert host.duties() == TESTS | BACKUPS and host.rpo is ObjectiveVerdict.MET
    assert host.cron("tests", every=HOUR, times=40) == [] and host.rpo is ObjectiveVerdict.BREACHED


STEPS = st.sampled_from(["backs up", "fails", "another", "tests", "upkeep", "backups", "all", "a day of tests"])


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=9))
def test_backups_are_ours_until_another_host_is_known_to_take_them(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Whatever is asked for here, in whatever order."""
    host = made(tmp_path_factory.mktemp("drawn"))
    begun, asked_for, others, newest = False, False, False, ""
    for step in steps:
        before = host.duties() if host.site.records("duties") else frozenset[Verb]()
        if step in ("backs up", "fails"):
            host.backs_up(fails=step == "fails")
            begun, newest = True, newest if step == "fails" else "ours"
        elif step == "another":
            host.snapshot("another")
            others, newest = True, "another's"
        elif step == "a day of tests":
            host.cron("tests", every=8 * HOUR, times=4)
        else:
            host.cron(None if step == "all" else step)
            asked_for |= step in ("all", "backups")
        host.clock.on(minutes=7)
        if step in ("backs up", "fails", "another"):
            continue
        if begun and not others:
            assert Verb.BACKUP in host.duties() and host.rpo is not ObjectiveVerdict.NOT_KNOWN_HERE
        if begun and newest != "another's" and Verb.BACKUP in before:
            assert Verb.BACKUP in host.duties()
        if not begun and not asked_for:
            assert Verb.BACKUP not in host.duties()
        if step == "a day of tests" and (newest == "another's" or not begun):
            assert Verb.BACKUP not in host.duties()


def test_the_run_itself_says_what_changed(host: Host, wording: SnapshotAssertion) -> None:
    host.clock.at = datetime.now(UTC) - timedelta(days=3)
    host.cron("tests")
    done = host.site.run("run")
    assert done.json["duties"][0]["plan"] == "p" and "backups" in done.json["duties"][0]["change"]
    assert lines_with(done.stderr, "was asked for") == wording
    assert "asked for" not in host.site.run("run").stderr


def test_two_crons_at_once_both_count(host: Host) -> None:
    from threading import Thread

    threads = [Thread(target=host.run, args=(kind,)) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert host.duties() == ALL
