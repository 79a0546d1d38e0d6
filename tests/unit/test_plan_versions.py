"""A plan's versions: facts, what was in force, what was loosened. Pure."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import TypeAdapter
from syrupy.assertion import SnapshotAssertion
from tests.support.drawn import examples

from ccdr.checks import AnyCheck
from ccdr.evidence.records.plans import version_of
from ccdr.evidence.records.writing import unsealed
from ccdr.jobs.in_force import plan_version
from ccdr.model.schedule import occurrences
from ccdr.plans import load_plan
from ccdr.plans.due import DueTimes, how_often, of, same_times
from ccdr.plans.facts import (
    ApprovalFacts,
    AssetFacts,
    CopyFacts,
    PlanFacts,
    RepositoryFacts,
    RestoreTestFacts,
    check_facts,
    facts_of,
    mended,
)
from ccdr.plans.loosened import Code, Loosening, loosened
from ccdr.plans.versions import (
    PlanRevision,
    changed,
    digest_of,
    files_of,
    in_force,
    objectives_in_force,
)
from ccdr.plans.words import sentence

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLAN = """\
plan: outbound
service: Outbound dialler
owner: Maria Ionescu, +40 700 123 456
timezone: Europe/Bucharest
objectives: {rpo: 1h, rto: 30m, mtd: 4h}
repository: {url: /backups/outbound, password_file: secrets/outbound.key}
retention: {keep_within: 35d}
assets:
  crm:
    engine: postgres
    connection: {host: crm.internal, user: maria, database: crm, password_file: secrets/crm.pw}
    group: calls
    backup: {schedule: "*/30  * * * *"}
    restore_test: {schedule: "0 3 * * *", snapshot: [latest, random], checks: [crm]}
  recordings:
    engine: files
    paths: [/var/spool/recordings/ionescu]
    group: calls
    backup: {schedule: "*/30  * * * *"}
"""
TESTS = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: rows, table: call, at_least: 1000}
  - {kind: freshness, query: "select max(started_at) from call where phone <> '+40700123456'", within: 24h}
  - {kind: sql, name: no call of Maria Ionescu is lost, expect: 0, query: "select 0"}
"""


@pytest.fixture
def loaded(tmp_path):
    for name, text in (("plans/outbound.yaml", PLAN), ("restore_tests/crm.yaml", TESTS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return load_plan(tmp_path / "plans/outbound.yaml", tmp_path / "restore_tests")


def check(**stated):
    return check_facts(TypeAdapter(AnyCheck).validate_python(stated))


def body_of(loaded, before):
    return unsealed(written_of(loaded, before))


def written_of(loaded, before):
    return plan_version("outbound", files_of(loaded), loaded.facts, before)


def recorded(version, seq=1, at=NOON):
    return version_of(replace(version, seq=seq, time=at, actor="root"))


# What is recorded


def test_facts_come_back_from_json_as_they_were(loaded):
    facts = loaded.facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=PlanFacts) == facts


def test_facts_hold_what_is_promised(loaded):
    facts = loaded.facts
    assert (facts.timezone, facts.mtd, facts.retention) == (
        "Europe/Bucharest", 14400.0, {"keep_within": 35 * 86400.0, "longest_hold": 90 * 86400.0},
    )  # fmt: skip
    crm = facts.assets["crm"]
    assert (crm.rpo, crm.rto, crm.backup, crm.group) == (3600.0, 1800.0, "*/30 * * * *", "calls")
    assert crm.test == RestoreTestFacts("0 3 * * *", ("latest", "random"))
    assert [(c.kind, c.floors, c.ceilings) for c in crm.checks] == [
        ("identical", {}, {}), ("rows", {"at_least": 1000.0}, {}), ("freshness", {}, {"within": 86400.0}), ("sql", {}, {}),
    ]  # fmt: skip


def test_a_record_of_a_version_holds_nothing_that_a_person_wrote_freely(loaded):
    text = json.dumps(body_of(loaded, None))
    for secret in (
        "Maria",
        "maria",
        "Ionescu",
        "ionescu",
        "+40",
        "700123",
        "crm.internal",
        "select",
        "dialler",
        "spool",
        "secrets",
    ):
        assert secret not in text, secret
    assert loaded.facts.owner is None, "a record holds one word"
    assert facts_of(loaded.plan.model_copy(update={"owner": "ops@x"}), loaded.checks, {}).owner == "ops@x"


def test_facts_of_a_newer_format_are_not_guessed_at(loaded):
    with pytest.raises(msgspec.ValidationError, match=r"\$\.format"):
        msgspec.convert({**msgspec.to_builtins(loaded.facts), "format": 3}, PlanFacts)
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.convert({"format": 2}, PlanFacts)


def test_a_version_is_known_by_what_sha256sum_says_of_its_files(loaded, tmp_path):
    import subprocess

    said = "sha256sum plans/*.yaml restore_tests/*.yaml | sha256sum"
    out = subprocess.run(["bash", "-c", said], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.split()[0] == digest_of(files_of(loaded))


@pytest.mark.parametrize("kind", list(get_args(get_args(AnyCheck)[0])), ids=lambda c: c.__name__)
def test_each_check_says_by_what_its_strength_is_measured(kind):
    """Every number of a check is a bound, or it is said not to be one."""
    for name, field in kind.model_fields.items():
        measured = any(bound.split(".")[0] == name for bound in (*kind.floors, *kind.ceilings))
        is_number = any(t in (int, float, bool) for t in (field.annotation, *get_args(field.annotation)))
        assert measured or not is_number or name in (*kind.asides, "expect", "database"), name


# What was in force


def version(seq, at, facts, digest="d"):
    return PlanRevision("outbound", f"{digest}{seq}", facts, seq, at, "root", None, {})


def test_what_was_in_force_at_a_time_and_at_a_record(loaded):
    facts = loaded.facts
    one, two = version(10, NOON, facts), version(20, NOON + timedelta(days=1), facts)
    assert in_force([one, two], NOON - timedelta(seconds=1)) is None
    assert in_force([one, two], NOON) is one
    assert in_force([one, two], NOON + timedelta(hours=23)) is one
    assert in_force([one, two], NOON + timedelta(days=2)) is two
    assert (in_force([one, two], 9), in_force([one, two], 19), in_force([one, two], 20)) == (None, one, two)


def test_a_version_is_recorded_anew_only_where_something_changed(loaded, tmp_path):
    assert changed(loaded, None)
    known = recorded(written_of(loaded, None))
    assert known is not None and not changed(loaded, known)
    (tmp_path / "restore_tests/crm.yaml").write_text(TESTS + "# a word\n")
    again = load_plan(tmp_path / "plans/outbound.yaml", tmp_path / "restore_tests")
    assert changed(again, known)
    after = recorded(written_of(again, known), seq=2)
    assert after.before == known.digest != after.digest


def test_objectives_are_those_of_each_time(loaded):
    facts = loaded.facts
    looser = replace(facts, assets={**facts.assets, "crm": replace(facts.assets["crm"], rpo=7200.0)})
    day = timedelta(days=1)
    versions = [version(1, NOON, facts), version(2, NOON + day, facts), version(3, NOON + 2 * day, looser)]
    assert objectives_in_force(versions, "crm", NOON - day, NOON + 3 * day) == [
        (NOON, NOON + 2 * day, 3600.0, 1800.0),
        (NOON + 2 * day, NOON + 3 * day, 7200.0, 1800.0),
    ]
    assert objectives_in_force(versions, "gone", NOON, NOON + day) == []
    ahead = [
        versions[0],
        dataclasses.replace(versions[1], at=NOON + 9 * day),
        dataclasses.replace(versions[-1], at=NOON + 2 * day),
    ]
    until = NOON + 12 * day
    assert [one[:2] for one in objectives_in_force(ahead, "crm", NOON, until)] == [
        (NOON, NOON + 2 * day), (NOON + 2 * day, until),
    ], "what a clock that was ahead has dated takes no time of the next one's"  # fmt: skip


# Loosenings

IDENTICAL, ROWS = check(kind="identical"), check(kind="rows", table="call", at_least=1000, at_most=9000)
FRESH = check(kind="freshness", query="select 1", within="24h")
ASSET = AssetFacts(
    "postgres", "dump", "s" * 64, 3600.0, 1800.0, "durable", "calls", "*/30 * * * *",
    RestoreTestFacts("0 3 * * *", ("latest", "random"), "latest"), 60.0, (IDENTICAL, ROWS, FRESH),
    60.0, "postgres:17", "0 4 1 * *",
)  # fmt: skip
FACTS = PlanFacts(
    format=2,
    timezone="UTC", mtd=14400.0, retention={"keep_within": 35 * 86400.0, "longest_hold": 86400.0},
    prune="0 5 * * 0", check="0 6 * * *", parts=30,
    assets={"crm": ASSET, "queues": replace(ASSET, engine="redis")},
    repository=RepositoryFacts("r" * 64, on_host=False, apart=True, lock_days=30, kept_locked=35 * 86400.0),
    told={"urls_file": "u" * 64, "ping_file": "p" * 64},
    copies={"far": CopyFacts("0 4 * * *", "0 5 * * 0", "0 6 * * *", 30, {"keep_last": 3.0}, RepositoryFacts("c" * 64, False, True, 0), 7)},
    approval=ApprovalFacts("a" * 64, 30 * 86400.0, second_factor=True, recover=True),
    clocks={"gdpr-33": 72 * 3600.0}, declarations={"siem": ("ana@x", "dan@x")},
    risk_owner="cfo@x",
)  # fmt: skip


def with_asset(**changes):
    return replace(FACTS, assets={**FACTS.assets, "crm": replace(ASSET, **changes)})


def with_test(**changes):
    return with_asset(test=replace(ASSET.test, **changes))


def with_copy(**changes):
    return replace(FACTS, copies={"far": replace(FACTS.copies["far"], **changes)})


def with_repository(**changes):
    return replace(FACTS, repository=replace(FACTS.repository, **changes))


def with_approval(**changes):
    return replace(FACTS, approval=replace(FACTS.approval, **changes))


WEAKENINGS = {
    "nobody approves it": (Code.APPROVAL_GONE, replace(FACTS, approval=None)),
    "others approve it": (Code.APPROVAL_CHANGED, with_approval(signers="b" * 64)),
    "approved for longer": (Code.APPROVAL_WEAKER, with_approval(review=31 * 86400.0)),
    "approved by one factor": (Code.APPROVAL_WEAKER, with_approval(second_factor=False)),
    "recovered by one person": (Code.APPROVAL_WEAKER, with_approval(recover=False)),
    "rpo": (Code.RPO_LONGER, with_asset(rpo=3601.0)),
    "rto": (Code.RTO_LONGER, with_asset(rto=1801.0)),
    "mtd longer": (Code.MTD_LONGER, replace(FACTS, mtd=14401.0)),
    "mtd gone": (Code.MTD_LONGER, replace(FACTS, mtd=None)),
    "asset gone": (Code.ASSET_GONE, replace(FACTS, assets={"queues": FACTS.assets["queues"]})),
    "plan gone": (Code.PLAN_GONE, replace(FACTS, assets={})),
    "another source": (Code.SOURCE_CHANGED, with_asset(source="t" * 64)),
    "backups rarer": (Code.BACKUP_RARER, with_asset(backup="0 * * * *")),
    "backups not at weekends": (Code.BACKUP_RARER, with_asset(backup="*/30 * * * 1-5")),
    "as many backups, all at night": (Code.BACKUP_RARER, with_asset(backup="*/5 0-3 * * *")),
    "no backups": (Code.BACKUP_UNSCHEDULED, with_asset(backup=None)),
    "tests rarer": (Code.TEST_RARER, with_test(schedule="0 3 * * 0")),
    "tests left out in winter": (Code.TEST_RARER, with_test(schedule="0 3 * 3-12 *")),
    "no tests": (Code.TEST_UNSCHEDULED, with_asset(test=None)),
    "negative controls rarer": (Code.CONTROL_RARER, with_asset(control="0 4 1 1 *")),
    "no negative controls": (Code.CONTROL_UNSCHEDULED, with_asset(control=None)),
    "prunes rarer": (Code.PRUNE_RARER, replace(FACTS, prune="0 5 1 * *")),
    "checks rarer": (Code.CHECK_RARER, replace(FACTS, check="0 6 * * 0")),
    "checks of less": (Code.PARTS_SMALLER, replace(FACTS, parts=60)),
    "another zone": (Code.TIMEZONE_CHANGED, replace(FACTS, timezone="Europe/Bucharest")),
    "no random snapshots": (Code.RULE_GONE, with_test(rules=("latest",))),
    "no recovery by the log": (Code.RULE_GONE, with_test(at=None)),
    "check gone": (Code.CHECK_GONE, with_asset(checks=(ROWS, FRESH))),
    "fewer rows": (Code.CHECK_WEAKER, with_asset(checks=(IDENTICAL, check(kind="rows", table="call", at_least=999, at_most=9000), FRESH))),
    "more rows": (Code.CHECK_WEAKER, with_asset(checks=(IDENTICAL, check(kind="rows", table="call", at_least=1000), FRESH))),
    "less fresh": (Code.CHECK_WEAKER, with_asset(checks=(IDENTICAL, ROWS, check(kind="freshness", query="select 1", within="25h")))),
    "another query": (Code.CHECK_REPLACED, with_asset(checks=(IDENTICAL, ROWS, check(kind="freshness", query="select now()", within="24h")))),
    "throwaway settings": (Code.SETTINGS_EASIER, with_asset(settings="throwaway")),
    "log stored rarer": (Code.LOG_RARER, with_asset(shipping=120.0)),
    "log not shipped": (Code.LOG_UNSHIPPED, with_asset(shipping=None)),
    "alone": (Code.GROUP_LEFT, with_asset(group=None)),
    "kept shorter": (Code.RETENTION_SHORTER, replace(FACTS, retention={**FACTS.retention, "keep_within": 86400.0})),
    "rule of retention gone": (Code.RETENTION_SHORTER, replace(FACTS, retention={"keep_last": 3.0, "longest_hold": 86400.0})),
    "files settle for longer": (Code.SETTLE_LONGER, with_asset(settle=61.0)),
    "another image": (Code.IMAGE_CHANGED, with_asset(image="mine:latest")),
    "no image named": (Code.IMAGE_CHANGED, with_asset(image="")),
    "another repository": (Code.REPOSITORY_CHANGED, with_repository(location="s" * 64)),
    "a repository on the host": (Code.REPOSITORY_NEARER, with_repository(on_host=True)),
    "a repository at the source's site": (Code.REPOSITORY_NEARER, with_repository(apart=False)),
    "locked for fewer days": (Code.OBJECT_LOCK_SHORTER, with_repository(lock_days=29)),
    "not locked": (Code.OBJECT_LOCK_SHORTER, with_repository(lock_days=0)),
    "in use, locked for less time": (Code.LOCK_KEPT_SHORTER, with_repository(kept_locked=86400.0)),
    "in use, not locked": (Code.LOCK_KEPT_SHORTER, with_repository(kept_locked=0.0)),
    "a copy gone": (Code.COPY_GONE, replace(FACTS, copies={})),
    "another copy": (Code.COPY_CHANGED, with_copy(repository=replace(FACTS.copies["far"].repository, location="s" * 64))),
    "copied rarer": (Code.COPY_RARER, with_copy(schedule="0 4 * * 0")),
    "a copy keeps for shorter": (Code.COPY_RETENTION_SHORTER, with_copy(retention={"keep_last": 2.0})),
    "a copy tested rarer": (Code.COPY_TESTED_RARER, with_copy(test_every=8)),
    "another role, and its clock": (Code.INCIDENT_CLOCK_GONE, replace(FACTS, clocks={"gdpr-33-2": 86400.0})),
    "no clocks": (Code.INCIDENT_CLOCK_GONE, replace(FACTS, clocks={})),
    "a clock of more hours": (Code.INCIDENT_CLOCK_LONGER, replace(FACTS, clocks={"gdpr-33": 73 * 3600.0})),
    "somebody else declares": (Code.DECLARERS_CHANGED, replace(FACTS, declarations={"siem": ("ana@x", "eve@x")})),
    "one more declares": (Code.DECLARERS_CHANGED, replace(FACTS, declarations={"siem": ("ana@x", "dan@x", "eve@x")})),
    "whoever approves declares": (Code.DECLARERS_GONE, replace(FACTS, declarations={})),
    "somebody else accepts risks": (Code.RISK_OWNER_CHANGED, replace(FACTS, risk_owner="eve@x")),
    "whoever approves accepts risks": (Code.RISK_OWNER_GONE, replace(FACTS, risk_owner=None)),
    "nobody is told": (Code.NOTIFY_GONE, replace(FACTS, told={"ping_file": "p" * 64})),
    "no ping": (Code.NOTIFY_GONE, replace(FACTS, told={"urls_file": "u" * 64})),
    "others are told": (Code.NOTIFY_CHANGED, replace(FACTS, told={**FACTS.told, "urls_file": "v" * 64})),
    "held for longer": (Code.HOLD_LONGER, replace(FACTS, retention={**FACTS.retention, "longest_hold": 99 * 86400.0})),
}  # fmt: skip
TIGHTENINGS = {
    "approved for shorter": with_approval(review=86400.0),
    "approved until a day": with_approval(review=None),
    "locked for longer": with_repository(lock_days=31),
    "copied more often": with_copy(schedule="0 4,16 * * *"),
    "a copy more": replace(FACTS, copies={**FACTS.copies, "cold": FACTS.copies["far"]}),
    "a copy keeps for longer": with_copy(retention={"keep_last": 4.0}),
    "a clock more": replace(FACTS, clocks={"gdpr-33": 71 * 3600.0, "nis2-23": 72 * 3600.0}),
    "one less declares": replace(FACTS, declarations={"siem": ("dan@x",)}),
    "somebody is named to declare": replace(FACTS, declarations={**FACTS.declarations, "host-patching": ("ana@x",)}),
    "rpo": with_asset(rpo=60.0),
    "rto": with_asset(rto=60.0),
    "mtd": replace(FACTS, mtd=60.0),
    "another asset": replace(FACTS, assets={**FACTS.assets, "more": ASSET}),
    "more backups": with_asset(backup="*/10 * * * *"),
    "backups at other minutes": with_asset(backup="7,37 * * * *"),
    "more tests": with_test(schedule="0 3,15 * * *"),
    "tests at another hour": with_test(schedule="0 4 * * *"),
    "another rule": with_test(rules=("latest", "oldest", "random")),
    "another check": with_asset(checks=(FRESH, ROWS, IDENTICAL, check(kind="integrity"))),
    "more rows": with_asset(checks=(IDENTICAL, check(kind="rows", table="call", at_least=1001, at_most=8999), FRESH)),
    "fresher": with_asset(checks=(IDENTICAL, ROWS, check(kind="freshness", query="select 1", within="23h"))),
    "more negative controls": with_asset(control="0 4 * * *"),
    "another name": with_asset(
        checks=(check(kind="identical", name="as captured"), check(kind="rows", name="calls", table="call", at_least=1000, at_most=9000), FRESH)
    ),
    "log stored more often": with_asset(shipping=30.0),
    "kept longer": replace(FACTS, retention={"keep_within": 99 * 86400.0, "keep_last": 3.0, "longest_hold": 3600.0}),
    "kept for ever": replace(FACTS, retention=None),
    "files settle sooner": with_asset(settle=1.0),
    "checks of more": replace(FACTS, parts=7, check="0 * * * *", prune="0 5 * * *"),
    "a zone of other name": replace(FACTS, timezone="Etc/UTC"),
}  # fmt: skip


@pytest.mark.parametrize("what", WEAKENINGS)
def test_each_weakening_is_found_and_nothing_else(what):
    code, after = WEAKENINGS[what]
    assert [found.code for found in loosened(FACTS, after)] == [code]


@pytest.mark.parametrize("what", TIGHTENINGS)
def test_what_is_more_or_the_same_is_no_loosening(what):
    assert loosened(FACTS, TIGHTENINGS[what]) == []


def test_a_plan_that_removes_what_it_kept_for_ever_keeps_it_shorter():
    [found] = loosened(replace(FACTS, retention=None), FACTS)
    assert (found.code, found.before) == (Code.RETENTION_SHORTER, None)


def test_a_loosening_tells_its_values_and_which_check_it_is_about():
    [found] = loosened(FACTS, WEAKENINGS["fewer rows"][1])
    assert (found.asset, found.item, found.before, found.after) == ("crm", "rows at_least", 1000.0, 999.0)
    assert found.fingerprint == ROWS.fingerprint


crons = st.sampled_from(
    ["*/15 * * * *", "0 * * * *", "0 3 * * *", "30 2 * * 1-5", "0 0 1 * *", "5 4 29 2 *", "0 9 * * MON#1"]
)
numbers = st.integers(1, 9)
some_checks = st.lists(
    st.one_of(
        st.builds(lambda n: check(kind="rows", table="a", at_least=n), numbers),
        st.builds(lambda n: check(kind="rows", table="b", at_most=n), numbers),
        st.builds(lambda n: check(kind="freshness", query="q", within=f"{n}h"), numbers),
        st.builds(lambda n: check(kind="reconcile", query="q", at_least=n, allow={"missing": n, "unsaid": "any"}, **{"with": "r"}), numbers),
        st.just(IDENTICAL),
    ),
    max_size=4,
).map(tuple)  # fmt: skip
assets = st.builds(
    lambda rpo, rto, backup, rules, shipping, checks: replace(
        ASSET, rpo=float(rpo), rto=float(rto), backup=backup, test=replace(ASSET.test, rules=tuple(rules)),
        shipping=shipping and float(shipping), checks=checks,
    ),
    numbers, numbers, st.one_of(st.none(), crons), st.sets(st.sampled_from(["latest", "random", "oldest"]), min_size=1),
    st.one_of(st.none(), numbers), some_checks,
)  # fmt: skip
plans = st.builds(
    lambda of, prune, check, parts, zone: PlanFacts(
    format=2,
        timezone=zone, mtd=None, retention=None, prune=prune, check=check, parts=parts, assets=of, repository=FACTS.repository
    ),
    st.dictionaries(st.sampled_from("abc"), assets, min_size=1), crons, crons, numbers, st.sampled_from(["UTC", "Europe/Bucharest"]),
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(plans)
def test_a_version_loosens_nothing_against_itself(facts):
    assert loosened(facts, facts) == []
    assert msgspec.json.decode(msgspec.json.encode(facts), type=PlanFacts) == facts


@settings(max_examples=examples(60), deadline=None)
@given(plans, plans)
def test_of_two_versions_that_loosen_nothing_both_ways_each_promises_the_same(one, other):
    """Whoever loosens and takes it back is seen at least once."""
    if loosened(one, other) or loosened(other, one):
        return
    for name, was in one.assets.items():
        now = other.assets[name]
        assert (was.rpo, was.rto, was.shipping or now.shipping) == (now.rpo, now.rto, now.shipping)
        assert mended(was.checks, now.checks) and mended(now.checks, was.checks)


# Mended, or no longer checked


def test_a_failure_is_mended_by_the_same_or_stronger_checks_alone():
    assert mended([IDENTICAL, ROWS], [ROWS, IDENTICAL])
    assert mended([ROWS], [check(kind="rows", table="call", at_least=2000, at_most=9000)])
    assert not mended([ROWS], [check(kind="rows", table="call", at_least=10)])
    assert not mended([ROWS], [check(kind="rows", table="other", at_least=1000, at_most=9000)])
    assert not mended([IDENTICAL, ROWS], [ROWS])
    assert not mended([IDENTICAL], [])


def test_only_kinds_that_failed_must_be_checked_again():
    assert mended([IDENTICAL, ROWS], [IDENTICAL], kinds=["identical"])
    assert not mended([IDENTICAL, ROWS], [ROWS], kinds=["identical"])


# Due times, counted

TZ = st.sampled_from(
    ["UTC", "Europe/Bucharest", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
ODD = st.one_of(
    crons, st.sampled_from(["30 2 * * *", "0 0 * * *", "*/20 */3 * * *", "59 23 L * *", "15 1-4 * * SUN", "0 0 13 * 5"])
)


@settings(max_examples=examples(100), deadline=None)
@given(ODD, TZ, st.integers(0, 364 * 86400), st.integers(0, 12 * 86400))
def test_due_times_are_those_that_run_goes_by(cron, zone, offset, length):
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) + offset
    end = start + length
    expected = []
    for when in occurrences(cron, zone, datetime.fromtimestamp(start - 1, UTC)):
        if when.timestamp() >= end:
            break
        expected.append(int(when.timestamp()))
    times = DueTimes(cron, zone)
    assert times.count(start, end) == len(set(expected))
    assert list(times.between(start, end)) == sorted(set(expected))
    if expected:
        assert times.newest(end - 1) == expected[-1] and times.next(start - 1) == expected[0]
        assert times.holds(expected[0]) and not times.holds(expected[0] + 1)


def test_a_year_of_quarters_of_an_hour_is_counted_at_once():
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    assert of("*/15 * * * *", "Europe/Bucharest").count(start, start + 365 * 86400) == 365 * 96


def test_how_often_counts_gaps_and_not_only_numbers():
    assert how_often("0 2 * * *") == (1461, 86400)
    assert how_often("*/5 0-3 * * *")[1] == 20 * 3600 + 300
    assert how_often("0 9 * * MON#1")[1] > 27 * 86400


def test_zones_are_the_same_where_their_clocks_are():
    assert same_times("0 2 * * *", "Europe/Bucharest", "Europe/Athens")
    assert not same_times("0 2 * * *", "UTC", "Europe/Bucharest")
    assert same_times("*/15 * * * *", "UTC", "Europe/Bucharest")


def test_what_a_longer_settle_time_does_to_the_rpo_is_said(wording: SnapshotAssertion):
    [found] = loosened(FACTS, with_asset(settle=30 * 86400.0))
    assert "within the last 30d; before, 1m" in sentence(found) and "RPO" in sentence(found)
    [found] = loosened(FACTS, with_asset(image=""))
    assert sentence(found) == wording


@pytest.mark.parametrize("code", Code)
def test_each_loosening_has_words(code):
    assert sentence(Loosening(code, "crm", 1.0, 2.0, "x")).strip()
