"""Every kind of mistake in a plan or a restore test is told at its line, all of them at once, and no input
whatever gives anything but a plan or such an answer."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.drawn import examples

import ccdr.plans.yamlfile
from ccdr.model.errors import Exit, PlanInvalid, UsageProblem
from ccdr.plans import LoadedPlan, load_named, load_plan

PLAN = """\
plan: outbound
service: Outbound dialler
owner: ops@callcentre.example
objectives: {rpo: 1h, rto: 30m, mtd: 4h}
timezone: Europe/Bucharest
repository:
  url: s3:http://127.0.0.1:8333/ccdr-outbound
  password_file: secrets/outbound.key
  env_file: secrets/outbound.env
retention: {keep_within: 35d}
limits: {upload: 8MiB}
assets:
  crm:
    engine: postgres
    connection: {host: 127.0.0.1, port: 5432, user: ccdr, database: crm, password_file: secrets/crm.pw}
    image: postgres:17
    backup: {schedule: "*/30 * * * *"}
    restore_test: {schedule: "0 3 * * *", snapshot: latest, checks: [crm]}
  recordings:
    engine: files
    paths: [/var/spool/recordings]
    restore_test: {schedule: "30 3 * * 0", snapshot: random, checks: [recordings]}
"""
CRM = """\
restore_test: crm
checks:
  - {kind: identical}
  - {kind: rows, table: call, at_least: 1000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: sql, name: every call has a customer, expect: 0, query: "select 1"}
"""
RECORDINGS = """\
restore_test: recordings
checks:
  - {kind: identical}
  - {kind: decodable}
"""
SECRET = "use password_file or password_command"
URLS = "expected one like s3:https://host/bucket, rest:https://host/, sftp:user@host:/path or a path"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a right plan and right restore tests."""
    room = tmp_path_factory.mktemp("room")
    write(room, PLAN)
    return room


def write(room: Path, plan: str | bytes, crm: str = CRM) -> None:
    for directory in ("plans", "restore_tests"):
        (room / directory).mkdir(exist_ok=True)
    (room / "plans/outbound.yaml").write_bytes(plan if isinstance(plan, bytes) else plan.encode())
    (room / "restore_tests/crm.yaml").write_text(crm)
    (room / "restore_tests/recordings.yaml").write_text(RECORDINGS)


def load(room: Path) -> LoadedPlan:
    return load_plan(room / "plans/outbound.yaml", room / "restore_tests")


def problems(room: Path) -> list[str]:
    """Each problem without its directory; the exit code is the contract's 2."""
    with pytest.raises(PlanInvalid) as raised:
        load(room)
    assert raised.value.exit_code is Exit.USAGE
    return [str(problem).removeprefix(f"{room}/") for problem in raised.value.problems]


def test_the_undamaged_twin_is_right(room: Path) -> None:
    write(room, PLAN)
    assert list(load(room).plan.assets) == ["crm", "recordings"]


# fmt: off
# What stands in the plan, what stands there instead, and every line of the answer.
MISTAKES: list[tuple[str, str, list[str]]] = [
    # -- the text
    ("plan: outbound\n", "plan: outbound\nplan: x\n", ["2: plan: is given twice, first on line 1, expected one of the two"]),
    (
        "port: 5432,",
        "port: 5432, port: 5433,",
        ["15: assets.crm.connection.port: is given twice, first on line 15, expected one of the two"],
    ),
    ("rpo: 1h", "rpo: 1:00:00", ["4: objectives.rpo: is not a duration, expected one like 90s, 15m, 4h or 35d"]),
    (
        "port: 5432",
        "port: 05432",
        [
            "15: assets.crm.connection.port: is a number that YAML readers disagree on, expected decimal digits, or "
            "quotes around it for text"
        ],
    ),
    (
        "port: 5432",
        "port: .nan",
        [
            "15: assets.crm.connection.port: is a number that YAML readers disagree on, expected decimal digits, or "
            "quotes around it for text"
        ],
    ),
    (
        "port: 5432",
        f"port: {'9' * 5000}",
        ["15: assets.crm.connection.port: is too large a number, expected at most 18 digits, or quotes around it for text"],
    ),
    ("port: 5432", "port: 1e999", ["15: assets.crm.connection.port: is too large a number, expected one that fits a double"]),
    (
        "image: postgres:17",
        "image: !!python/object/apply:os.system [id]",
        ["16: assets.crm.image: has the tag 'tag:yaml.org,2002:python/object/apply:os.system', expected a value without a tag"],
    ),
    ("image: postgres:17", "image: !!str 17", ["16: assets.crm.image: has the tag 'tag:yaml.org,2002:str', expected a value without a tag"]),
    (
        "    backup: {schedule",
        "    <<: {image: x}\n    backup: {schedule",
        ["17: assets.crm: is a merge key (<<), expected the keys themselves"],
    ),
    ("image: postgres:17", "image: *img", ["16: assets.crm.image: refers to the anchor 'img' and no such anchor stands before it, expected a value"]),
    (
        "paths: [/var/spool/recordings]",
        "paths: &p [/var/spool/recordings, *p]",
        ["21: assets.recordings.paths[1]: refers to the anchor 'p' inside that anchor itself, expected a value"],
    ),
    ("retention: {keep_within: 35d}", "1: x", ["10: has the key 1, which is not text, expected quotes around it", "10: 1: unknown key, expected one of plan, service, owner, …"]),
    ("timezone: Europe/Bucharest", "[a, b]: c", ["5: has a key that is a list or a mapping, expected text"]),
    ("  url: s3", "\turl: s3", ["7: is not YAML: it is indented with a tab, expected spaces"]),
    ("owner: ops@", "owner: @", ["3: is not YAML: found character that cannot start any token, expected YAML"]),
    ("owner: ops@callcentre.example", "owner: a: b", ["3: is not YAML: mapping values are not allowed in this context, expected YAML"]),
    ("objectives:", "---\nobjectives:", ["4: starts a second document, expected one document in a file"]),
    ("Outbound dialler", "Out\x07bound", ["2: has the control character U+0007, expected printable text"]),
    ("Outbound dialler", '"Out\\0bound"', ["2: service: has the control character U+0000, expected printable text"]),
    ("[/var/spool/recordings]", "[" * 60 + "]" * 60, ["21: is nested deeper than 50 levels, expected a few"]),
    # -- keys
    ("service: Outbound dialler\n", "", ["1: service: is missing, expected text: the service that its assets make up; reports name it"]),
    ("user: ccdr, ", "", ["15: assets.crm.connection.user: is missing, expected text: the account that captures…"]),
    ("    paths: [/var/spool/recordings]\n", "", ["19: assets.recordings.paths: is missing, expected a list with at least one entry: directories and files…"]),
    ("objectives: {rpo: 1h, rto: 30m, mtd: 4h}\n", "", ["1: objectives: is missing, expected a mapping: what the service needs…"]),
    ("retention:", "retentoin:", ["10: retentoin: unknown key, did you mean retention?"]),
    ("keep_within", "keep-within", ["10: retention.keep-within: unknown key, did you mean keep_within?"]),
    ("upload", "speed", ["11: limits.speed: unknown key, expected one of upload, download, no_progress, lock_wait, fetch_per_month"]),
    ("snapshot: latest", "snapsot: latest", ["18: assets.crm.restore_test.snapsot: unknown key, did you mean snapshot?"]),
    ("password_file: secrets/crm.pw", "password: hunter2", ["15: assets.crm.connection.password: holds a secret, and a secret is never a value in a plan: " + SECRET]),
    ("limits: {upload: 8MiB}", "approval: {api_token: hunter2}", ["11: approval.api_token: holds a secret, and a secret is never a value in a plan: " + SECRET]),
    ("limits: {upload: 8MiB}", "approval: {review: 2027-02-31}", ["11: approval.review: is no duration and no day, expected one like 365d or 2027-11-01"]),
    ("limits: {upload: 8MiB}", "deviations: {due: {critical: soon}}", ["11: deviations.due.critical: is not a duration, expected one like 90s, 15m, 4h or 35d"]),
    ("limits: {upload: 8MiB}", "deviations: {due: {grave: 7d}}", ["11: deviations.due.grave: unknown key, expected one of critical, major, minor"]),
    ("limits: {upload: 8MiB}", "deviations: {severity: {MISSED: grave}}", ["11: deviations.severity.MISSED: is not one of the words known here, expected one of critical, major, minor"]),
    ("limits: {upload: 8MiB}", "deviations: {severity: {MISED: minor}}", ["11: deviations.severity.MISED: unknown key, expected one of CONTROL_PASSED, TEST_FAILED…"]),
    ("limits: {upload: 8MiB}", "approval: {signer: x}", ["11: approval.signer: unknown key, did you mean signers?"]),
    ("  recordings:\n", "  Old Recordings:\n", ["19: assets.'Old Recordings': is not a name, expected small letters, digits, - and _, at most 63 of them"]),
    # -- values
    ("plan: outbound", "plan: inbound", ["1: plan: is not the file's name, expected outbound"]),
    ("plan: outbound", "plan: [outbound]", ["1: plan: is a list, expected a name of small letters, digits, - and _"]),
    ("service: Outbound dialler", "service: 1.10", ["2: service: is a number with decimals, expected text, in quotes"]),
    ("service: Outbound dialler", 'service: ""', ["2: service: is empty, expected text"]),
    ("service: Outbound dialler", "service:", ["2: service: is empty, expected text"]),
    ("rto: 30m", "rto: 30", ["4: objectives.rto: is not a duration, expected one like 90s, 15m, 4h or 35d"]),
    ("rto: 30m", "rto: 0m", ["4: objectives.rto: is not a duration, expected one like 90s, 15m, 4h or 35d"]),
    ("mtd: 4h", "mtd: 10m", ["4: objectives.rto: is longer than the mtd of 10m, expected at most that"]),
    (
        "    engine: files\n",
        "    engine: files\n    objectives: {rto: 1d}\n",
        ["21: assets.recordings.objectives.rto: is longer than the mtd of 4h, expected at most that"],
    ),
    ("Europe/Bucharest", "Europe/Bukarest", ["5: timezone: is not a time zone of this machine, expected one like UTC or Europe/Bucharest"]),
    ("Europe/Bucharest", "Europe", ["5: timezone: is not a time zone of this machine, expected one like UTC or Europe/Bucharest"]),
    ("upload: 8MiB", "upload: 8 MB", ["11: limits.upload: is not a size, expected one like 512MiB or 4GiB"]),
    ("keep_within: 35d", "keep_last: 0", ["10: retention.keep_last: is out of range, expected a whole number of at least 1"]),
    ("keep_within: 35d", "keep_last: true", ["10: retention.keep_last: is true, expected a whole number of at least 1"]),
    ("{keep_within: 35d}", "{}", ["10: retention: keeps nothing, expected keep_within or another keep_ rule"]),
    ("{upload: 8MiB}", "", ["11: limits: is empty, expected a mapping"]),
    ("port: 5432", "port: 65536", ["15: assets.crm.connection.port: is out of range, expected a whole number from 1 to 65535"]),
    ("port: 5432", 'port: "5432"', ["15: assets.crm.connection.port: is text, expected a whole number from 1 to 65535"]),
    ("port: 5432", "port: 54.5", ["15: assets.crm.connection.port: is a number with decimals, expected a whole number from 1 to 65535"]),
    ('"*/30 * * * *"', "every half hour", ['17: assets.crm.backup.schedule: is not a schedule, expected five cron fields like "*/30 * * * *"']),
    ('"*/30 * * * *"', '"61 * * * *"', ["17: assets.crm.backup.schedule: is not a schedule that ever comes due (Bad minute)"]),
    ('"*/30 * * * *"', '"0 0 31 2 *"', ["17: assets.crm.backup.schedule: is not a schedule that ever comes due (Bad day-of-month)"]),
    ("snapshot: latest", "snapshot: lates", ["18: assets.crm.restore_test.snapshot: is not one of the words known here, did you mean latest? expected one of latest, random, oldest"]),
    ("snapshot: latest", "snapshot: [latest, lates]", ["18: assets.crm.restore_test.snapshot[1]: is not one of the words known here, did you mean latest? expected one of latest, random, oldest"]),
    ("snapshot: latest", "snapshot: [oldest, latest, oldest]", ["18: assets.crm.restore_test.snapshot: names oldest twice, expected each rule once: they take turns"]),
    ("snapshot: latest", "snapshot: []", ["18: assets.crm.restore_test.snapshot: has too few entries, expected one of latest, random, oldest"]),
    ("snapshot: latest", "snapshot: 1", ["18: assets.crm.restore_test.snapshot: is a number, expected one of latest, random, oldest"]),
    ("[/var/spool/recordings]", "[]", ["21: assets.recordings.paths: has too few entries, expected a list with at least one entry"]),
    ("[/var/spool/recordings]", "/var/spool/recordings", ["21: assets.recordings.paths: is text, expected a list with at least one entry"]),
    ("[/var/spool/recordings]", "[spool, 5]", ["21: assets.recordings.paths[0]: is not an absolute path…", "21: assets.recordings.paths[1]: is a number, expected a path"]),
    ("secrets/outbound.key", "~no-such-user/key", ["8: repository.password_file: names the home of a user whom this machine does not know"]),
    # -- the repository
    ("  password_file: secrets/outbound.key\n", "", ["6: repository: has no password, expected password_file or password_command"]),
    ("  env_file", "  password_command: [pass, show, x]\n  env_file", ["6: repository: has password_file and password_command, expected one of them"]),
    ("  password_file: secrets/outbound.key", "  password_command: pass show x", ["8: repository.password_command: is text, expected a list with at least one entry"]),
    ("http://127.0.0.1:8333", "http://backup.example", ["7: repository.url: sends backups in plain text to another host, expected https"]),
    ("http://127.0.0.1:8333", "http://localhost.example", ["7: repository.url: sends backups in plain text to another host, expected https"]),
    ("http://127.0.0.1:8333", "https://key:hunter2@backup.example", ["7: repository.url: holds a password, and a secret is never a value in a plan: use env_file"]),
    ("/ccdr-outbound", "/", ["7: repository.url: names no bucket, expected one like s3:https://host/bucket"]),
    ("s3:http", "http", [f"7: repository.url: is of no backend that restic knows, {URLS}"]),
    ("8333", "83333", [f"7: repository.url: is not an address, {URLS}"]),
    ("s3:http://127.0.0.1:8333/ccdr-outbound", "'s3:'", [f"7: repository.url: names no place after s3:, {URLS}"]),
    # -- engines
    ("database: crm", "database: template1", ["13: assets.crm: names the database template1, which belongs to the server itself: name the one that holds the data, or use `method: physical` for the whole server"]),
    ("database: crm", "database: template0", ["13: assets.crm: names the database template0, which belongs to the server itself: name the one that holds the data"]),
    ("engine: files", "engine: file", ["20: assets.recordings.engine: is not a known engine, did you mean files? expected one of …"]),
    ("engine: files", "engine: 5", ["20: assets.recordings.engine: is not a known engine, expected one of …"]),
    ("    engine: files\n", "", ["19: assets.recordings.engine: is missing, expected one of …"]),
    (
        "    engine: files\n    paths: [/var/spool/recordings]",
        "    engine: oracle\n    paths: [spool]\n    memory: 4\n    sid: x\n    backup: {shedule: x}",
        [
            "20: assets.recordings.engine: is not a known engine, expected one of …",
            "21: assets.recordings.paths[0]: is not an absolute path…",
            "22: assets.recordings.memory: is not a size, expected one like 512MiB or 4GiB",
            "23: assets.recordings.sid: unknown key, expected one of …",
            "24: assets.recordings.backup.schedule: is missing, expected text: when a backup is due: …",
            "24: assets.recordings.backup.shedule: unknown key, did you mean schedule?",
        ],
    ),
    (
        "engine: postgres\n    connection: {host: 127.0.0.1, port: 5432, user: ccdr",
        "engine: postgre\n    connection: {host: 127.0.0.1, port: many",
        [
            "14: assets.crm.engine: is not a known engine, did you mean postgres? expected one of …",
            "15: assets.crm.connection.port: is text, expected a whole number from 1 to 65535",
            "15: assets.crm.connection.user: is missing, expected text: the account that captures…",
        ],
    ),
    (PLAN.partition("assets:\n")[2], "  crm: postgres\n", ["13: assets.crm: is text, expected a mapping"]),
    (PLAN.partition("assets:\n")[2], "  {}\n", ["12: assets: has too few entries, expected a mapping"]),
    # -- what a plan refers to
    ("checks: [crm]", "checks: [crmm]", ["18: assets.crm.restore_test.checks[0]: ROOM/restore_tests/crmm.yaml does not exist, did you mean crm?"]),
    ("checks: [crm]", "checks: [../x]", ["18: assets.crm.restore_test.checks[0]: is spelt wrongly, expected a name of small letters, digits, - and _"]),
    ("checks: [crm]", "checks: crm", ["18: assets.crm.restore_test.checks: is text, expected a list"]),
    (
        "checks: [recordings]",
        "checks: [recordings, crm]",
        [
            "22: assets.recordings.restore_test.checks[1]: has the check rows, which asks by SQL and is not for files",
            "22: assets.recordings.restore_test.checks[1]: has the check freshness, which asks by SQL and is not for files",
            "22: assets.recordings.restore_test.checks[1]: has the check sql, which asks by SQL and is not for files",
        ],
    ),
]

# The same for a restore test that the plan refers to: the plan is right, and is refused with it.
TEST_MISTAKES: list[tuple[str, str, list[str]]] = [
    ("restore_test: crm", "restore_test: recordings", ["1: restore_test: is not the file's name, expected crm"]),
    ("restore_test: crm\n", "", ["1: restore_test: is missing, expected a name of small letters, digits, - and _: the file's name without .yaml"]),
    (CRM, "", ["1: is empty, expected a mapping"]),
    (CRM, "- restore_test: crm\n", ["1: is a list, expected a mapping"]),
    (CRM, "restore_test: crm\n", ["1: checks: is missing, expected a list: …"]),
    (CRM, "restore_test: crm\nchecks: {kind: identical}\n", ["2: checks: is a mapping, expected a list"]),
    ("{kind: identical}", "identical", ["3: checks[0]: is text, expected a mapping"]),
    ("{kind: identical}", "{kind: identicl}", ["3: checks[0].kind: is not a known kind, did you mean identical? expected one of …"]),
    ("kind: identical", "table: call", ["3: checks[0].kind: is missing, expected one of …"]),
    ("{kind: identical}", "{kind: identical, table: call}", ["3: checks[0].table: unknown key, expected one of name, kind…"]),
    ("kind: rows", "kind: row", ["4: checks[1].kind: is not a known kind, did you mean rows? expected one of …"]),
    ("kind: rows, table: call", "kind: count, table: 5", ["4: checks[1].kind: is not a known kind, expected one of …", "4: checks[1].table: is a number, expected text, in quotes"]),
    ("table: call, ", "", ["4: checks[1].table: is missing, expected text: …"]),
    ("at_least: 1000", "at_least: -1", ["4: checks[1].at_least: is out of range, expected a whole number of at least 0"]),
    (", at_least: 1000", "", ["4: checks[1]: has no bound, expected at_least or at_most"]),
    ("within: 24h", "within: 1 day", ["5: checks[2].within: is not a duration, expected one like 90s, 15m, 4h or 35d"]),
    ("expect: 0", "expect: [0]", ["6: checks[3].expect: is a list, expected true or false, a whole number, a number or text"]),
    ("expect: 0, ", "", ["6: checks[3].expect: is missing, expected true or false, a whole number, a number or text: …"]),
]
# fmt: on


def agrees(told: list[str], answers: list[str], file: str, room: Path) -> bool:
    """`…` at the end of an answer leaves the rest open: it changes with every engine and check."""
    expected = [f"{file}:{answer}".replace("ROOM", str(room)) for answer in answers]
    return len(told) == len(expected) and all(
        said.startswith(answer[:-1]) if answer.endswith("…") else said == answer
        for said, answer in zip(told, expected, strict=True)
    )


@pytest.mark.parametrize(("right", "wrong", "answers"), MISTAKES, ids=[f"{m[1][:30]!a}" for m in MISTAKES])
def test_a_mistake_in_a_plan_is_told_at_its_line(room: Path, right: str, wrong: str, answers: list[str]) -> None:
    assert right in PLAN
    write(room, PLAN.replace(right, wrong, 1))
    told = problems(room)
    assert agrees(told, answers, "plans/outbound.yaml", room), "\n".join(told)


@pytest.mark.parametrize(("right", "wrong", "answers"), TEST_MISTAKES, ids=[f"{m[1][:30]!a}" for m in TEST_MISTAKES])
def test_a_mistake_in_a_restore_test_is_told_at_its_line(
    room: Path, right: str, wrong: str, answers: list[str]
) -> None:
    assert right in CRM
    write(room, PLAN, CRM.replace(right, wrong, 1))
    told = problems(room)
    assert agrees(told, answers, "restore_tests/crm.yaml", room), "\n".join(told)


def test_everything_wrong_is_told_at_once_in_file_order(room: Path) -> None:
    plan = PLAN.replace("rpo: 1h", "rpo: 1").replace("8MiB", "8").replace("port: 5432", "port: 0")
    write(room, plan.replace("checks: [recordings]", "checks: [recording]"), CRM.replace("24h", "24"))
    assert [said.split(": ")[0] for said in problems(room)] == [
        "plans/outbound.yaml:4",
        "plans/outbound.yaml:11",
        "plans/outbound.yaml:15",
        "plans/outbound.yaml:22",
        "restore_tests/crm.yaml:5",
    ]


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"", "1: is empty, expected a mapping"),
        (b"# nothing\n", "1: is empty, expected a mapping"),
        (b"- plan: outbound\n", "1: is a list, expected a mapping"),
        (b"outbound", "1: is text, expected a mapping"),
        (b"\xef\xbb\xbfplan: outbound\n", "1: starts with a byte order mark, expected plain UTF-8: …"),
        (PLAN.encode("utf-16"), "1: starts with a byte order mark, expected plain UTF-8: …"),
        (PLAN.replace("dialler", "diallér").encode("latin-1"), "2: has the byte 0xe9, expected UTF-8 text"),
        (PLAN.replace("dialler", "\0").encode(), "2: has the control character U+0000, expected printable text"),
        (b"#" * (1 << 20) + b"#", "1: is larger than 1 MiB, expected a file that people write"),
        (b"[" * 100_000, "1: is nested deeper than 50 levels, expected a few"),
        (b"{a: " * 100_000, "1: is nested deeper than 50 levels, expected a few"),
        (b"? " * 100_000, "1: is nested deeper than 50 levels, expected a few"),
        (b"- " * 100_000, "1: is nested deeper than 50 levels, expected a few"),
        (b"x: [" + b"1, " * 200_000 + b"1]", "1: has more than 100000 values, aliases counted by what they stand for"),
    ],
    ids=range(14),
)
def test_a_file_that_is_no_plan_at_all(room: Path, raw: bytes, answer: str) -> None:
    write(room, raw)
    first = problems(room)[:1]
    assert agrees(first, [answer], "plans/outbound.yaml", room), first


def test_a_bomb_of_aliases_is_refused_at_once(room: Path, wording: SnapshotAssertion) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    write(room, f"a0: &a0 [lol]\n{levels}")
    assert problems(room) == wording
    chain = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 10_000))
    write(room, f"a0: &a0 [lol]\n{chain}")
    assert problems(room) == wording


@pytest.mark.parametrize("name", ["no/such", "../plans/outbound", "outbond", "", "out\0bound", "é"])
def test_an_unknown_plan_names_those_there_are(room: Path, name: str) -> None:
    write(room, PLAN)
    with pytest.raises(UsageProblem) as raised:
        load_named(name, room / "plans", None)
    assert "there is no plan" in str(raised.value) and "outbound" in str(raised.value.hint)


# -- whatever stands in the file


def answered(room: Path, plan: str | bytes, crm: str = CRM) -> str:
    """The contract's promise for any input; returns what was said."""
    write(room, plan, crm)
    try:
        loaded = load(room)
    except PlanInvalid as error:
        assert error.problems
        for problem in error.problems:
            assert problem.line >= 1 and problem.message
            assert "\n" not in str(problem) and str(problem).isprintable()
        return str(error)
    return "\n".join(map(str, loaded.lint))


# A run of hypothesis takes seconds, and its examples share the directory on purpose.
anything = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
PARSERS = pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])

WORDS = """plan assets crm { } [ ] &a *a ' " # ? <<: 1h 0x1f .inf ~ null é --- ... %YAML !!str \\x00 !<x>"""
scraps = st.sampled_from(
    [*WORDS.split(), ": ", "- ", ", ", "\n", "\n  ", "|\n", ">-\n", "\t", "\r", "%YAML 1.1\n---\n"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [
            "1h",
            "latest",
            "postgres",
            "files",
            "crm",
            "/x",
            "~nobody/x",
            "* * * * *",
            "0 0 31 2 *",
            "s3:",
            "s3:http://[::1",
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars.map(str), inner, max_size=3),
    max_leaves=6,
)


@PARSERS
@anything
@given(raw=st.binary(max_size=200) | st.lists(scraps, max_size=40).map("".join).map(str.encode))
def test_no_bytes_give_a_traceback(room: Path, parser: str, raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccdr.plans.yamlfile, "_LOADER", getattr(yaml, parser))
        answered(room, raw)
        write(room, PLAN)
        (room / "restore_tests/crm.yaml").write_bytes(raw)
        with pytest.raises(PlanInvalid):
            load(room)


@PARSERS
@anything
@given(data=st.data())
def test_no_damaged_text_gives_a_traceback(room: Path, parser: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(PLAN)))
    end = data.draw(st.integers(start, min(start + 20, len(PLAN))))
    scrap = "".join(data.draw(st.lists(scraps, max_size=3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ccdr.plans.yamlfile, "_LOADER", getattr(yaml, parser))
        answered(room, PLAN[:start] + scrap + PLAN[end:])


def nodes(value: Any, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [where, *(found for key, child in inner for found in nodes(child, (*where, key)))]


def changed(text: str, where: tuple[str | int, ...], how: str, value: Any) -> str:
    """The document, as flow-style YAML, with one node deleted, replaced, renamed or given twice."""
    whole = {"root": copy.deepcopy(yaml.safe_load(text))}
    *parents, last = ("root", *where)
    holder: Any = whole
    for part in parents:
        holder = holder[part]
    twice = ""
    if how == "delete":
        del holder[last]
    elif how == "replace":
        holder[last] = value
    elif how == "rename" and isinstance(holder, dict):
        holder[str(value)[:20]] = holder.pop(last)
    elif isinstance(holder, dict):
        twice = json.dumps(str(last)) + ": "
        holder["\u2400"] = value  # stands for the same key once more
    return json.dumps(whole.get("root"), ensure_ascii=False).replace('"\u2400": ', twice)


changes = st.sampled_from(["delete", "replace", "rename", "twice"])


@anything
@given(data=st.data(), how=changes, value=values)
def test_no_change_to_a_node_gives_a_traceback(room: Path, data: st.DataObject, how: str, value: Any) -> None:
    plan = data.draw(st.sampled_from(nodes(yaml.safe_load(PLAN))))
    crm = data.draw(st.sampled_from(nodes(yaml.safe_load(CRM))))
    answered(room, changed(PLAN, plan, how, value))
    answered(room, PLAN, changed(CRM, crm, how, value))


@pytest.mark.parametrize("where", nodes(yaml.safe_load(PLAN)), ids=str)
@pytest.mark.parametrize("secret", ["hunter2 canary", "s3:https://key:hunter2@x/b", 42424242])
def test_no_answer_quotes_a_value(room: Path, where: tuple[str | int, ...], secret: str | int) -> None:
    """A secret may stand anywhere by mistake. Only the names of files are said, since nothing else identifies them."""
    said = answered(room, changed(PLAN, where, "replace", secret))
    if where[-1:] not in (("password_file",), ("env_file",)):
        assert "hunter2" not in said and "42424242" not in said
