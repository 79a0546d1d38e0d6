"""A trouble that stands can be acknowledged for a while. It is shown, counted and in reports all the same; tampering
cannot be, and another trouble of the same code is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.support.harness import Ran, Site
from tests.support.judged import acked
from tests.support.sparse import history_of, sparse_record

from ccdr.cli.status import coded
from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.binlog import soon_gone
from ccdr.engines.postgres.dump.references import MOST, Broken
from ccdr.engines.postgres.wal import threats
from ccdr.evidence.acknowledged import (
    ACK,
    ACK_ENDED,
    Acknowledgements,
    acknowledged,
    code_of,
    known_by,
    steady,
    unacknowledged,
    until_of,
    why_of,
)
from ccdr.evidence.history.fold import read_history
from ccdr.evidence.judgement.troubles import as_problem, findings_of
from ccdr.evidence.payloads import CHANGED, keep_payload, payload
from ccdr.evidence.records import BackupEnd, Record
from ccdr.evidence.records.statements import ACKNOWLEDGE_TROUBLE, StatementRecord
from ccdr.host.who import who
from ccdr.model.errors import UsageProblem
from ccdr.model.finding import Finding, at_least, at_most, recorded
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import Verb, human_seconds, rfc3339
from ccdr.telling.acknowledge import StandingProblem, acknowledge, in_force

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATE = Problem(Trouble.BACKUP_LATE, "its backup is overdue")


def ack(problem: Problem = LATE, **changes: Any) -> dict[str, Any]:
    record = {
        "kind": "statement", "says": "acknowledge", "seq": 7, "time": rfc3339(NOW),
        "about": {"of": "trouble", "code": problem.trouble.name, "known_by": [known_by(problem)]},
        "until": rfc3339(NOW + timedelta(days=14)), "words_sha256": "0" * 64, **changes,
    }  # fmt: skip
    ended = {"until": None, "about": {"of": "trouble", "code": problem.trouble.name}}  # by its code
    return record | ended if record["says"] == "end" else record


def acks(problem: Problem = LATE, **changes: Any) -> dict[str, StatementRecord]:
    """As the fold keeps them."""
    record = sparse_record(ack(problem, **changes))
    assert isinstance(record, StatementRecord)
    return {problem.trouble.name: record}


def noted(problems: list[Problem], newest: dict[str, StatementRecord], now: datetime = NOW) -> list[Problem]:
    """Which of them are acknowledged."""
    marked = acknowledged(problems, newest, now)
    assert [p for p in marked if p.acknowledged is None] == unacknowledged(marked)
    return [one for one, mark in zip(problems, marked, strict=True) if mark.acknowledged]


# --- which troubles are acknowledged ----------------------------------------------------------------------


def test_what_is_acknowledged_is_until_it_ends_by_itself() -> None:
    assert noted([LATE], acks()) == [LATE]
    assert noted([LATE], acks(), NOW + timedelta(days=14)) == []
    assert noted([LATE], {}) == []
    (marked,) = acknowledged([LATE], acks(), NOW)
    assert marked == replace(LATE, acknowledged=NOW + timedelta(days=14))


def test_none_lasts_for_more_than_a_quarter_whatever_a_record_says() -> None:
    forever = acks(until=rfc3339(NOW + timedelta(days=4000)))
    assert noted([LATE], forever, NOW + timedelta(days=89)) and not noted(
        [LATE], forever, NOW + ACKNOWLEDGE_TROUBLE.longest
    )


def test_one_that_was_ended_covers_nothing() -> None:
    assert noted([LATE], acks(says="end")) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(LATE, trouble=Trouble.TEST_LATE),
        replace(LATE, about="another finding"),
        replace(LATE, cause="another cause"),
    ],
)
def test_another_trouble_is_not_acknowledged_with_it(other: Problem) -> None:
    assert noted([LATE, other], acks()) == [LATE]


def test_its_sentence_may_change_meanwhile() -> None:
    assert noted([replace(LATE, text="the last one is of 2026-11-20", since=NOW)], acks())


def test_a_test_that_fails_for_another_cause_is_another_trouble() -> None:
    def failed(reason: str) -> Problem:
        return Problem(Trouble.TEST_FAILED, f"its last restore test is FAIL: {reason}", cause=steady(reason))

    first, again = failed("failed: call has at least 1000 rows"), failed("failed: call has at least 1200 rows")
    worse = failed("fetching snapshot 0a1b2c3d failed (the repository answers and decrypts)")
    assert noted([again, worse], acks(first)) == [again]


@pytest.mark.parametrize("code", [t for t in Trouble if t.tampering or t is Trouble.CONTROL_PASSED])
def test_tampering_is_never_acknowledged_whatever_a_record_says(code: Trouble) -> None:
    problem = Problem(code, "the ledger does not verify")
    assert noted([problem], acks(problem)) == []
    with pytest.raises(UsageProblem, match="cannot be acknowledged"):
        code_of(code.name)


def test_what_is_known_of_a_trouble_is_a_digest() -> None:
    about = replace(LATE, about="/srv/customers of acme/key")
    assert len(known_by(about)) == 16 and "acme" not in known_by(about)


# --- what a person writes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["BACKUP_LATE", "backup_late", "Backup-Late"])
def test_a_code_is_known_however_it_is_written(written: str) -> None:
    assert code_of(written) is Trouble.BACKUP_LATE


@pytest.mark.parametrize(("written", "said"), [("LATE", "there is no trouble"), ("MISSED", "nothing that stands")])
def test_what_is_no_trouble_or_does_not_stand_is_refused(written: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        code_of(written)


@pytest.mark.parametrize(
    ("written", "until"),
    [
        ("14d", NOW + timedelta(days=14)),
        ("90d", NOW + ACKNOWLEDGE_TROUBLE.longest),
        ("2026-12-24", datetime(2026, 12, 25, tzinfo=UTC)),
        ("2026-12-24T08:00:00+02:00", datetime(2026, 12, 24, 6, tzinfo=UTC)),
    ],
)
def test_until_is_a_duration_a_whole_day_or_a_time(written: str, until: datetime) -> None:
    assert until_of(written, NOW) == until


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("91d", "more than 90 days"), ("999999999d", "more than 90 days"), ("2027-12-24", "more than 90 days"),
        ("2026-11-23", "is past"), ("2026-11-24T11:00:00Z", "is past"), ("forever", "no duration"), ("", "no duration"),
        ("2026-11-24T13:00:00", "no duration"), ("2026-13-01", "no duration"),
    ],
)  # fmt: skip
def test_until_is_soon_enough_and_yet_to_come(written: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        until_of(written, NOW)


def test_why_is_short_and_says_something() -> None:
    assert why_of(" x ") == "x" and why_of("ș" * 500) == "ș" * 500
    for text, said in (("  ", "says nothing"), ("x" * 501, "501 characters"), ("a\x1b[31m", "no text")):
        with pytest.raises(UsageProblem, match=said):
            why_of(text)


# --- words kept apart -------------------------------------------------------------------------------------


def test_words_are_kept_apart_and_can_be_taken_back(tmp_path: Path) -> None:
    state = Site(tmp_path).services().state
    one, other = keep_payload(state, "a person's words"), keep_payload(state, "a person's words")
    assert one != other, "without a salt whoever can guess the words could prove them"
    kept = state.root / "payloads" / f"{one}.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    assert payload(state, one) == "a person's words"
    kept.write_text(json.dumps({**json.loads(kept.read_text("utf-8")), "text": "other words"}), "utf-8")
    assert payload(state, one) == CHANGED, "they are not those that were recorded"
    kept.write_text("{", "utf-8")
    assert payload(state, one) == CHANGED, "nor is that"
    kept.unlink()
    assert payload(state, one) is None and payload(state, "../version") is None and payload(state, None) is None


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two assets that were never backed up, nor tested."""
    made = Site(tmp_path)
    made.write("restore_tests/c.yaml", "restore_test: c\nchecks:\n  - {kind: identical}\n")
    made.plan(
        "\n".join(
            f"{name}:\n  engine: files\n  paths: [/srv/{name}]\n  tenant: acme\n"
            f'  backup: {{schedule: "15 * * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [c]}}'
            for name in ("a", "b")
        )
    )
    return made


WHY = ("--why", "the source moves", "--until", "14d")


def troubles(ran: Ran, asset: str = "a") -> dict[str, bool]:
    (found,) = [a for a in ran.json["plans"][0]["assets"] if a["asset"] == asset]
    return {trouble["code"]: trouble["acknowledged"] for trouble in found["troubles"]}


def test_where_all_that_is_wrong_is_acknowledged_the_exit_status_is_0_and_all_is_still_told(site: Site) -> None:
    before = site.run("status")
    assert before.code == 1 and troubles(before) == {"NEVER_SUCCEEDED": False, "NEVER_TESTED": False}
    assert site.run("ack", "NEVER_SUCCEEDED", "p", *WHY).code == 0
    half = site.run("status")
    assert half.code == 1 and troubles(half) == {"NEVER_SUCCEEDED": True, "NEVER_TESTED": False}
    assert site.run("ack", "never-tested", *WHY).code == 0
    after = site.run("status")
    assert (before.json["acknowledged"], half.json["acknowledged"], after.json["acknowledged"]) == (0, 2, 4)
    assert after.code == 0 and troubles(after) == troubles(after, "b") == {
        "NEVER_SUCCEEDED": True,
        "NEVER_TESTED": True,
    }
    shown = [asset["problems"] for asset in after.json["plans"][0]["assets"]]
    assert shown == [asset["problems"] for asset in before.json["plans"][0]["assets"]], "it is wrong all the same"


def test_one_asset_is_acknowledged_and_no_other(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", "p", "--asset", "b", *WHY)
    found = site.run("status")
    assert found.code == 1 and (troubles(found)["NEVER_TESTED"], troubles(found, "b")["NEVER_TESTED"]) == (False, True)


def test_the_record_says_who_and_until_when_and_not_a_persons_words(site: Site) -> None:
    done = site.run("ack", "NEVER_TESTED", "p", "--asset", "a", *WHY)
    (record,) = site.records(ACK)
    about = record["about"]
    assert (record["plan"], record["asset"], record["run"], about["code"]) == ("p", "a", None, "NEVER_TESTED")
    assert record["who"]["uid"] == who().uid and record["tenant"] == "acme"
    assert "moves" not in json.dumps(record) and len(record["words_sha256"]) == 64
    (shown,) = done.json["acknowledged"]
    assert shown["why"] == "the source moves" and shown["until"] == record["until"] and shown["record"] == record["seq"]
    site.ledger_holds()


def test_what_is_acknowledged_is_listed_and_can_be_ended(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", *WHY)
    listed = site.run("ack", "--list")
    assert [(one["asset"], one["why"]) for one in listed.json["acknowledged"]] == [
        ("a", "the source moves"),
        ("b", "the source moves"),
    ]
    ended = site.run("ack", "--end", "NEVER_TESTED", "p", "--asset", "a")
    assert ended.code == 0 and [one["asset"] for one in ended.json["ended"]] == ["a"]
    assert [one["asset"] for one in site.run("ack", "--list").json["acknowledged"]] == ["b"]
    assert len(site.records(ACK)) == 2 and len(site.records(ACK_ENDED)) == 1
    again = site.run("ack", "--end", "NEVER_TESTED", "p", "--asset", "a")
    assert again.code == 2 and "not acknowledged there" in again.stderr


def test_words_that_were_taken_back_leave_the_rest(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", "p", "--asset", "a", *WHY)
    for kept in (site.state / "payloads").iterdir():
        kept.unlink()
    (one,) = site.run("ack", "--list").json["acknowledged"]
    assert one["why"] is None and one["code"] == "NEVER_TESTED"
    listed = site.plainly("ack", "--list").stdout
    assert "not kept here any more" in listed and "taken back" not in listed, (
        "a lost state directory leaves none either"
    )
    assert site.run("ledger", "verify").code == 0


def test_the_shown_ledger_says_how_much_it_left_out_and_who(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", *WHY)
    there = site.run("ledger", "show").json["records"]

    def shown(*args: str) -> str:
        return site.plainly("ledger", "show", *args).stdout

    older = f"{len(there) - 1} older record{'s' if len(there) > 2 else ''} not shown: `--last {len(there)}` shows all"
    assert len(there) > 1 and older in shown("--last", "1") and there[-1]["actor"] in shown("--last", "1")
    assert "not shown" not in shown("--last", str(len(there)))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("LEDGER_BROKEN", *WHY), "cannot be acknowledged"),
        (("SUMMARY_WRONG", "p", *WHY), "cannot be acknowledged"),
        (("BACKUP_LATE", "p", *WHY), "does not stand: only what is wrong now"),
        (("NEVER_TESTED", "p", "--asset", "c", *WHY), "no asset is called 'c'"),
        (("NEVER_TESTED", "q", *WHY), "no plan 'q'"),
        (("NEVER_TESTED", "--until", "14d"), "--why is missing"),
        (("NEVER_TESTED", "--why", "x"), "--until is missing"),
        (("NEVER_TESTED", "--why", "x", "--until", "1000d"), "more than 90 days"),
        (("NEVER_TESTED", "--why", "x" * 501, "--until", "1d"), "501 characters"),
        ((), "which trouble?"),
        (("--list", "NEVER_TESTED"), "--list takes no code"),
    ],
)
def test_what_cannot_be_acknowledged_is_exit_2_and_nothing_is_recorded(
    site: Site, args: tuple[str, ...], said: str
) -> None:
    done = site.run("ack", *args)
    assert done.code == 2 and said in done.stderr and done.json["hint"]
    assert site.records(ACK) == [] and not (site.state / "payloads").exists()


_BADLY = {"backup.end": "FAILED", "check.end": "INCONCLUSIVE", "prune.end": "FAILED"}


@pytest.mark.parametrize(
    ("code", "between"),
    [
        ("BACKUP_FAILED", ("backup.end", {"result": "STORED", "snapshot": {}})),
        ("SOURCE_AWAY", ("backup.end", {"result": "STORED", "snapshot": {}})),
        ("TEST_FAILED", ("restore_test.end", {"verdict": "PASS", "snapshot": {"id": "0" * 64, "selected": "latest"}})),
        ("CHECK_LATE", ("check.end", {"result": "CLEAN", "part": 1, "parts": 1})),
        ("PRUNE_FAILED", ("prune.end", {"result": "DONE", "removed": []})),
    ],
)
def test_what_was_acknowledged_and_has_ended_covers_no_later_one(
    code: str, between: tuple[str, dict[str, Any]]
) -> None:
    """Of its kind. What did not go well ends nothing."""

    asset = None if Trouble[code].row.ended_by in (Verb.CHECK, Verb.PRUNE) else "a"

    def record(seq: int, kind: str, body: dict[str, Any]) -> Record:
        of = {"seq": seq, "plan": "p", "asset": asset, "run": f"r{seq}", "time": rfc3339(NOW)}
        return sparse_record({**of, "kind": kind, **body})

    def covered(*between: tuple[str, dict[str, Any]]) -> list[str]:
        one = acks(Problem(Trouble[code], ""))[code]
        records: list[Record] = [structs.replace(one, seq=7, plan="p", asset=asset)]
        records += [record(8 + n, kind, body) for n, (kind, body) in enumerate(between)]
        history = next(iter(read_history(records).values()))
        return [one.code for one in Acknowledgements.in_force(history.acks, NOW).each]

    badly = {"verdict": "INCONCLUSIVE"} if between[0] == "restore_test.end" else {"result": _BADLY[between[0]]}
    assert covered() == covered((between[0], badly)) == [code] and covered(between) == []


def test_a_dry_run_says_what_it_would_do_and_does_nothing(site: Site) -> None:
    done = site.run("ack", "NEVER_TESTED", *WHY, "--dry-run")
    assert done.code == 0 and site.records(ACK) == [] and not (site.state / "payloads").exists()
    assert site.run("status").code == 1


def test_the_newest_record_of_a_code_holds() -> None:
    def record(seq: int, code: str, says: str = "acknowledge") -> dict[str, Any]:
        one = ack(says=says)
        return {**one, "seq": seq, "plan": "p", "asset": "a", "run": None, "about": one["about"] | {"code": code}}

    records = [record(1, "BACKUP_LATE"), record(2, "TEST_LATE"), record(3, "BACKUP_LATE", "end")]
    history = history_of(records)["p", "a"]
    assert {code: one.seq for code, one in history.acks.items()} == {"BACKUP_LATE": 3, "TEST_LATE": 2}
    assert [one.code for one in Acknowledgements.in_force(history.acks, NOW).each] == ["TEST_LATE"]


def test_people_read_what_is_acknowledged_last_and_without_a_next_step(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", "p", "--asset", "a", *WHY)
    done = site.plainly("status")
    lines = [line for line in done.stdout.splitlines() if line.startswith("p/a: ")]
    assert "no backup has succeeded yet" in lines[0]
    assert lines[-1].startswith("p/a: never tested (NEVER_TESTED, acknow")
    assert "acknowledged: 1 trouble; `ccdr ack --li" in done.stdout
    assert done.stdout.count("ccdr backup p --asset a ") == 1, "of what never was backed up, that is the step"


def test_what_to_type_stands_behind_each_trouble_that_can_be_acknowledged(site: Site) -> None:
    """Before anybody has done so: `ccdr ack` takes each code that is shown, and then nothing is left to show."""

    def shown() -> list[tuple[str, str]]:
        said = site.plainly("status").stdout
        return re.findall(r"^p/a: (.+) \[([A-Z_]+)(?:, by [A-Z_]+)?\]$", said, re.M)

    assert [code for _, code in shown()] == ["NEVER_SUCCEEDED", "NEVER_TESTED"]
    for _, code in shown():
        assert site.run("ack", code, "p", "--asset", "a", *WHY).code == 0
    assert shown() == []


@pytest.mark.parametrize("trouble", Trouble)
def test_a_code_is_shown_where_ack_takes_it_and_not_else(trouble: Trouble) -> None:
    said = coded(Problem(trouble, "so it is"))
    try:
        assert said == f" [{code_of(trouble.name).name}]"
    except UsageProblem:
        assert said == ""
    because = coded(Problem(trouble, "so it is", because=Trouble.BACKUP_FAILED))
    assert because.endswith("by BACKUP_FAILED]") and because.startswith(said.removesuffix("]"))


def test_a_report_tells_who_has_acknowledged_what_and_holds_their_words_only_by_choice(site: Site) -> None:
    site.run("ack", "NEVER_TESTED", "p", "--asset", "a", "--until", "14d", "--why", "the lab moves & Ann knows")
    (record,) = site.records(ACK)
    made = site.run("report").json
    (told,) = made["acknowledged"]
    assert (told["code"], told["asset"], told["record"], told["actor"]) == (
        "NEVER_TESTED",
        "a",
        record["seq"],
        record["actor"],
    )
    assert told["who"] == record["who"] and told["until"] == rfc3339(datetime.fromisoformat(record["until"]))
    assert told["why"] is None and told["why_sha256"] == record["words_sha256"]

    def page(*args: str) -> str:
        return site.plainly("report", *args).stdout

    said = page()
    by = f"by {record['actor']} on {record['host']} (record {record['seq']})"
    assert by in said and f"user id {record['who']['uid']}, " in said and "the lab moves" not in said + json.dumps(made)
    assert f"{by}: the lab moves &amp; Ann knows</small>" in page("--words")
    assert site.run("report", "--words").json["acknowledged"][0]["why"] == "the lab moves & Ann knows"
    (site.state / "payloads" / f"{record['words_sha256']}.json").unlink()
    assert site.run("report", "--words").json["acknowledged"][0]["why"] is None, "it was taken back"
    site.run("ack", "--end", "NEVER_TESTED", "p")
    assert site.run("report").json["acknowledged"] == [] and "<h3>Acknowledged</h3>" not in page()


def test_a_trouble_of_this_host_has_no_plan_and_is_acknowledged_all_the_same(site: Site) -> None:
    services, here = site.services(), Problem(Trouble.NOT_BEGUN, "nothing could begin on this host")
    acknowledge(
        Trouble.NOT_BEGUN,
        [StandingProblem((None, None), here)],
        services,
        asset=None,
        until=services.clock.now() + timedelta(days=1),
        why="known",
        tenants={},
    )
    histories = services.histories()
    (one,) = in_force(services, histories)
    assert one.place == (None, None) and one.why == "known"
    assert noted([here], dict(histories[None, None].acks), services.clock.now()) == [here]


# --- what has become worse ------------------------------------------------------------------------------------


def breach(achieved: float, point: float) -> Problem:
    return Problem(Trouble.BREACH_RPO, "-", values=(achieved,), lasting=point)


@pytest.mark.parametrize(
    ("then", "later", "covered"),
    [
        (breach(7200, 1000.0), breach(7200, 1000.0), True),
        (breach(7200, 1000.0), breach(7200 + 86400, 1000.2), True),  # the same one, a day later
        (breach(7200, 1000.0), breach(5000, 90000.0), True),  # another one, and no worse
        (breach(7200, 1000.0), breach(7300, 90000.0), False),  # another one, and worse
        (breach(7200, 1000.0), breach(7200 + 90000, 900.0), False),  # what was newest is gone, too
        (breach(7200, 1000.0), Problem(Trouble.BREACH_RPO, "-", cause="none"), False),  # nothing counts any more
        (Problem(Trouble.BREACH_RTO, "-", values=(100.0,)), Problem(Trouble.BREACH_RTO, "-", values=(109.0,)), True),
        (Problem(Trouble.BREACH_RTO, "-", values=(100.0,)), Problem(Trouble.BREACH_RTO, "-", values=(111.0,)), False),
        (Problem(Trouble.FINDING, "-", values=(3.0,)), Problem(Trouble.FINDING, "-", values=(3.0,)), True),
        (Problem(Trouble.FINDING, "-", values=(3.0,)), Problem(Trouble.FINDING, "-", values=(2.0,)), True),
        (Problem(Trouble.FINDING, "-", values=(3.0,)), Problem(Trouble.FINDING, "-", values=(3000.0,)), False),
        (Problem(Trouble.FINDING, "-", cause="a1b2c3d4"), Problem(Trouble.FINDING, "-", cause="a1b2c3d5"), False),
    ],
)
def test_what_is_acknowledged_is_not_what_it_has_become(then: Problem, later: Problem, covered: bool) -> None:
    assert acked(then, later) is covered


@pytest.mark.parametrize("code", Trouble)
def test_whatever_its_code_one_is_covered_up_to_the_value_that_was_seen(code: Trouble) -> None:
    can = code.row.no_ack is None
    for now, covered in ((2.0, True), (3.0, True), (3.2, code is Trouble.BREACH_RTO), (4.0, False)):
        assert acked(Problem(code, "-", values=(3.0,)), Problem(code, "-", values=(now,))) is (covered and can), now
    assert not acked(Problem(code, "-", values=(3.0,)), Problem(code, "-", values=(3.0, 0.0))), (
        "nobody saw a second one"
    )


def behind(kept: float, limit: float) -> Finding:
    (one,) = threats(int(limit), int(kept), LogShipping())
    return one


def old(seconds: float) -> Finding:
    return Finding(f"its newest good snapshot is {human_seconds(seconds)} old", "old", (at_most(seconds),))


def rows(count: int) -> Finding:
    (one,) = Broken({"call_customer of call": count}).findings()
    return one


@pytest.mark.parametrize(
    ("made", "then", "now", "covered"),
    [
        (soon_gone, (36000.0,), (36000.0,), True),
        (soon_gone, (36000.0,), (86400.0,), True),
        (soon_gone, (36000.0,), (3600.0,), False),
        (soon_gone, (36000.0,), (45.0,), False),
        (behind, (1900 * 2**20, 2**31), (1900 * 2**20, 2**31), True),
        (behind, (1900 * 2**20, 2**31), (1910 * 2**20, 2**31), True),  # a little more with each look
        (behind, (1900 * 2**20, 2**31), (3900 * 2**20, 2**32), False),
        (behind, (1900 * 2**20, 2**31), (1900 * 2**20, 2**30), False),
        (behind, (1900 * 2**20, 2**31), (2**40, 2**40), False),
        (old, (3600.0,), (3700.0,), True),
        (old, (3600.0,), (5 * 86400.0,), False),
        (rows, (3,), (2,), True),
        (rows, (3,), (4,), False),
        (rows, (3,), (MOST,), False),
    ],
)
def test_a_finding_is_covered_until_what_it_says_is_worse(
    made: Callable[..., Finding], then: tuple[Any, ...], now: tuple[Any, ...], covered: bool
) -> None:
    """Less is worse of what is kept, more of what is not as it should be; as it comes back from a record."""

    def found(values: tuple[Any, ...]) -> Problem:
        told = {"kind": "backup.end", "plan": "p", "asset": "a", "run": "r", "snapshot": {"id": "s"}}
        backup = sparse_record(told | {"findings": recorded([made(*values)])})
        assert isinstance(backup, BackupEnd)
        (problem,) = findings_of(backup, Verb.BACKUP)
        return problem

    assert acked(found(then), found(now)) is covered


def test_another_snapshot_that_vanished_is_another_finding_whatever_its_sentence_says() -> None:
    def found(cause: str, text: str) -> Problem:
        return as_problem(Finding(text, "vanished", cause=cause), Verb.TEST)

    assert acked(found("1a2b3c4d", "of 2026-11-24"), found("1a2b3c4d", "said in other words"))
    assert not acked(found("1a2b3c4d", "of 2026-11-24"), found("1a2b3c4e", "of 2026-11-24"))


def test_what_changes_with_each_look_is_worse_once_it_is_twice_as_much() -> None:
    assert [at_most(n) for n in (0, 1, 3, 4, 5)] == [0, 1, 4, 4, 8]
    assert [at_least(n) for n in (0, 1, 3, 4, 5)] == [0, -1, -2, -4, -4]


def test_one_that_is_dated_ahead_holds_for_nothing() -> None:
    ahead = acks(time=rfc3339(NOW + timedelta(days=365)), until=rfc3339(NOW + timedelta(days=400)))
    assert noted([LATE], ahead) == [] and noted([LATE], ahead, NOW + timedelta(days=366)) != []
    assert noted([LATE], acks(time=rfc3339(NOW + timedelta(minutes=1)))) != [], "another clock may be a little ahead"
