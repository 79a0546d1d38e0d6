"""Plans that are right: what is read from them, what lint says about them, and when they come due."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from syrupy.assertion import SnapshotAssertion

from ccdr.model.errors import PlanInvalid, UsageProblem
from ccdr.model.schema import Strict, Text, format_duration, parse_duration
from ccdr.model.values import Objectives
from ccdr.plans import (
    LoadedPlan,
    Repository,
    load_named,
    load_plan,
    next_due,
    plan_names,
    plan_schema,
    restore_test_schema,
)
from ccdr.plans.beside import at_odds
from ccdr.plans.job import Job
from ccdr.plans.lint import widest_gap
from ccdr.plans.problems import checked
from ccdr.plans.yamlfile import parse

# The contract's example, word for word.
OUTBOUND = """\
plan: outbound                      # the file's stem
service: Outbound dialler
owner: ops@callcentre.example
objectives: {rpo: 1h, rto: 30m, mtd: 4h}      # an asset may state its own rpo and rto
repository:
  url: s3:http://127.0.0.1:8333/ccdr-outbound  # any restic repository: s3:, rest:, sftp:, a path
  password_file: secrets/outbound.key          # or password_command: [pass, show, outbound]
  env_file: secrets/outbound.env               # AWS_ACCESS_KEY_ID=… ; paths are relative to the plan
retention: {keep_within: 35d}
assets:
  crm:
    engine: postgres
    method: dump                    # how it is captured; each engine names its own
    connection: {host: 127.0.0.1, port: 5432, user: ccdr, database: crm, password_file: secrets/crm.pw}
    image: postgres:17              # what the sandbox runs, and the client where none is on the host
    backup: {schedule: "*/30 * * * *"}
    restore_test: {schedule: "0 3 * * *", snapshot: latest, checks: [crm]}
  recordings:
    engine: files
    paths: [/var/spool/recordings]
    backup: {schedule: "15 * * * *"}
    restore_test: {schedule: "30 3 * * 0", snapshot: random, checks: [recordings]}
"""
CHECKS = {
    "crm": "restore_test: crm\nchecks: [{kind: identical}, {kind: integrity}]\n",
    "recordings": "restore_test: recordings\nchecks: [{kind: identical}]\n",
}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """plans/, restore_tests/ and secrets that only their owner reads."""
    for directory in ("plans/secrets", "restore_tests"):
        (tmp_path / directory).mkdir(parents=True)
    for secret in ("outbound.key", "outbound.env", "crm.pw"):
        file = tmp_path / "plans/secrets" / secret
        file.touch(mode=0o600)
    for name, text in CHECKS.items():
        (tmp_path / f"restore_tests/{name}.yaml").write_text(text)
    return tmp_path


def load(room: Path, text: str = OUTBOUND) -> LoadedPlan:
    (room / "plans/outbound.yaml").write_text(text)
    return load_plan(room / "plans/outbound.yaml", room / "restore_tests")


def lint(room: Path, right: str = "", wrong: str = "") -> list[str]:
    assert right in OUTBOUND
    return [str(p).removeprefix(f"{room}/plans/") for p in load(room, OUTBOUND.replace(right, wrong, 1)).lint]


def test_the_contracts_example_is_read_and_has_no_lint(room: Path) -> None:
    loaded = load(room)
    plan = loaded.plan
    assert plan.repository.location == "s3:http://127.0.0.1:8333/ccdr-outbound"
    assert plan.repository.password_file == room / "plans/secrets/outbound.key"
    assert plan.retention and plan.retention.keep_within == 35 * 86400
    assert [asset.engine_name for asset in plan.assets.values()] == ["postgres", "files"]
    assert [check.kind for check in loaded.checks["crm"]] == ["identical", "integrity"]
    assert loaded.sha256 == sha256(OUTBOUND.encode()).hexdigest()
    assert loaded.restore_tests["crm"] == sha256(CHECKS["crm"].encode()).hexdigest()
    assert loaded.lint == ()


def test_without_a_directory_of_restore_tests_a_plan_has_no_checks(room: Path) -> None:
    (room / "plans/outbound.yaml").write_text(OUTBOUND)
    assert load_plan(room / "plans/outbound.yaml", None).checks == {"crm": (), "recordings": ()}


def test_paths_are_relative_to_the_plan_wherever_it_is_read_from(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (room / "plans/outbound.yaml").write_text(OUTBOUND.replace("s3:http://127.0.0.1:8333/ccdr-outbound", "../repo"))
    monkeypatch.chdir(room)
    plan = load_plan(Path("plans/outbound.yaml"), Path("restore_tests")).plan
    assert plan.repository.is_local
    assert Path(plan.repository.location).resolve() == room.resolve() / "repo"
    assert plan.repository.env_file == room / "plans/secrets/outbound.env"


def test_anchors_serve_for_what_assets_share(room: Path) -> None:
    text = OUTBOUND.replace('{schedule: "*/30 * * * *"}', '&often {schedule: "*/30 * * * *"}')
    plan = load(room, text.replace('{schedule: "15 * * * *"}', "*often")).plan
    assert plan.assets["recordings"].backup == plan.assets["crm"].backup


def test_a_plan_says_the_words_that_other_yaml_readers_take_for_something_else(room: Path) -> None:
    plan = load(room, OUTBOUND.replace("Outbound dialler", "no").replace("user: ccdr", "user: 'on'")).plan
    assert plan.service == "no"
    assert load(room, OUTBOUND.replace("ops@callcentre.example", "2026-11-24")).plan.owner == "2026-11-24"


def test_an_asset_states_its_own_objectives(room: Path) -> None:
    plan = load(room, OUTBOUND.replace("    method: dump ", "    objectives: {rto: 10m} ")).plan
    assert plan.objectives_of("crm") == Objectives(rpo=3600, rto=600, mtd=14400)
    assert plan.objectives_of("recordings") == Objectives(rpo=3600, rto=1800, mtd=14400)


def test_limits_come_from_the_asset_then_the_plan_then_the_built_in_ones(room: Path) -> None:
    text = OUTBOUND.replace("retention:", "limits: {upload: 4MiB, no_progress: 5m}\nretention:")
    plan = load(room, text.replace("    method: dump ", "    limits: {upload: 1MiB, lock_wait: 5s} ")).plan
    crm, recordings = plan.limits_of("crm"), plan.limits_of("recordings")
    assert (crm.upload, crm.download, crm.no_progress, crm.lock_wait) == (2**20, None, 300, 5)
    assert (recordings.upload, recordings.no_progress, recordings.lock_wait) == (4 * 2**20, 300, 30)
    assert load(room).plan.limits_of("crm").no_progress == 600


def test_optional_parts(room: Path) -> None:
    extra = "site: Cluj\napproval: {approved_by: m.pop, approved: 2026-11-01, review: 2027-11-01}\n"
    plan = load(room, OUTBOUND.replace("retention: {keep_within: 35d}\n", extra)).plan
    assert (plan.site, plan.retention) == ("Cluj", None)
    assert plan.approval is not None and plan.approval.approved_by == "m.pop"
    assert plan.approval.review_by(datetime(2026, 11, 1, tzinfo=UTC)) == datetime(2027, 11, 2, tzinfo=UTC)
    assert str(plan.approval.signers) == "/etc/ccdr/allowed_signers"


@pytest.mark.parametrize(
    "url",
    [
        "s3:https://s3.eu-central-1.amazonaws.com/bucket/prefix",
        "s3:s3.amazonaws.com/bucket",
        "s3:http://localhost:9000/b",
        "s3:http://[::1]:9000/b",
        "s3:http://127.1.2.3/b",
        "rest:https://backup.example:8000/",
        "rest:https://user@backup.example/repo",
        "sftp:ccdr@backup.example:/srv/repo",
        "sftp://ccdr@backup.example:2222//srv/repo",
        "sftp:ccdr@backup-1.example:/srv/a-b/-c",
        "b2:bucket:path",
        "azure:container:/",
        "gs:bucket:/",
        "swift:container:/path",
        "rclone:remote:path",
        "/srv/with space/repo",
    ],
)
def test_repositories_that_are_let_through_as_they_are(url: str) -> None:
    assert Repository(url=url, password_command=("true",)).location == url


@pytest.mark.parametrize(
    "url",
    [
        "http://backup.example/b",
        "s3:http://10.0.0.5:9000/b",
        "s3:http://127.0.0.1@evil.example/b",
        "s3:http://127.0.0.1\\@evil.example/b",
        "s3:http://127.0.0.1.evil.example/b",
        "s3:HTTP://evil.example/b",
        "s3:ftp://host/b",
        "s3:https:///b",
        "s3:https://host/",
        "s3:http://[::1/b",
        "rest:http://user:pw@localhost/",
        "rest:backup.example",
        "rest:",
        "sftp://u:pw@host/x",
        "sftp:-oProxyCommand=touch PWNED",
        "sftp:-oProxyCommand=touch${IFS}x:/r",
        "sftp:u@-oProxyCommand=x:/r",
        "sftp:a/b@-oProxyCommand=x:/r",
        "sftp://-oProxyCommand=x/r",
        "sftp://u@-oProxyCommand=x/r",
        "sftp://%2DoProxyCommand=x@h/r",
        "rest:https://-h/r",
        "s3:-h/b",
        "rclone:--config=x",
        "rclone::sftp,ssh=x,host=h:/r",
        "rclone:remote,ssh=x:/r",
        "c:stuff",
        "s4:bucket",
        "s3: host/b",
        "",
    ],
)
def test_repositories_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Repository(url=url, password_command=("true",))


@given(st.integers(1, 999_999_999), st.sampled_from("smhd"))
def test_durations_come_back_as_the_same_number_of_seconds(count: int, unit: str) -> None:
    seconds = parse_duration(f"{count}{unit}")
    assert parse_duration(format_duration(seconds)) == seconds
    assert len(format_duration(seconds)) <= len(f"{count}{unit}") + 1


# -- lint


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            "owner: ops@callcentre.example",
            "owner: Ana Pop, IT",
            "outbound.yaml:3: owner: is more than one word, which no record holds, so what goes wrong has no owner: write"
            " a login, or an address like dba@example.com",
        ),
        (
            "*/30 * * * *",
            "0 */2 * * *",
            "outbound.yaml:16: assets.crm.backup.schedule: leaves up to 2h 00m between backups, so the RPO of"
            " 1h 00m cannot be met: back up more often, or set a realistic RPO",
        ),
        (
            "*/30 * * * *",
            "*/5 8-19 * * 1-5",
            "outbound.yaml:16: assets.crm.backup.schedule: leaves up to 2d 12h between backups, so the RPO of"
            " 1h 00m cannot be met: back up more often, or set a realistic RPO",
        ),
        (
            '    backup: {schedule: "*/30 * * * *"}\n',
            "",
            "outbound.yaml:11: assets.crm: has no backup schedule, so `ccdr run` never backs it up: "
            "add backup: {schedule: …}",
        ),
        (
            '    restore_test: {schedule: "0 3 * * *", snapshot: latest, checks: [crm]}\n',
            "",
            "outbound.yaml:11: assets.crm: has no restore test, so its backups are never proven: "
            "add restore_test: {schedule: …, checks: […]}",
        ),
        (
            ", checks: [crm]",
            "",
            "outbound.yaml:17: assets.crm.restore_test: has no checks, and without checks nothing passes: name a restore test with checks",
        ),
        (
            "35d",
            "5d",
            "outbound.yaml:22: assets.recordings.restore_test.schedule: leaves up to 7d 0h between tests, while "
            "retention keeps snapshots for 5d 0h: test more often, or keep snapshots longer",
        ),
        (
            "keep_within: 35d",
            "keep_daily: 7",  # the oldest of seven is six days old
            "outbound.yaml:22: assets.recordings.restore_test.schedule: leaves up to 7d 0h between tests, while "
            "retention keeps snapshots for 6d 0h: test more often, or keep snapshots longer",
        ),
        (
            "keep_within: 35d",
            "keep_last: 100",  # of hourly backups
            "outbound.yaml:22: assets.recordings.restore_test.schedule: leaves up to 7d 0h between tests, while "
            "retention keeps snapshots for 4d 3h: test more often, or keep snapshots longer",
        ),
        (
            "retention: {keep_within: 35d}\n",
            "",
            "outbound.yaml:5: repository: keeps growing, and so does the personal data in it: without `retention:` ccdr prunes nothing; add retention: {keep_within: 35d}, or longer",
        ),
        (
            "repository:\n",
            "site: Cluj\nrepository:\n  site: Cluj\n",
            "outbound.yaml:7: repository.site: is Cluj, like the source's, so one failure destroys "
            "both: keep the repository, or a copy of it, elsewhere",
        ),
    ],
)
def test_lint(room: Path, right: str, wrong: str, said: str) -> None:
    assert lint(room, right, wrong) == [said]


def test_two_plans_that_open_one_repository_with_different_keys_are_named(
    room: Path, wording: SnapshotAssertion
) -> None:
    """By the line of each. The same key, or another repository, is fine."""
    secrets, url = room / "plans/secrets", "s3:http://127.0.0.1:8333/ccdr-outbound"
    (secrets / "outbound.key").write_text("the right one\n")
    (secrets / "outbound.env").write_text("AWS_ACCESS_KEY_ID=a\n")
    (secrets / "other.key").write_text("another one\n")
    (secrets / "other.env").write_text("AWS_ACCESS_KEY_ID=b\n")
    first = load(room)

    def second(*changes: tuple[str, str]) -> list[str]:
        text = OUTBOUND.replace("plan: outbound", "plan: second")
        for old, new in changes:
            text = text.replace(old, new)
        (room / "plans/second.yaml").write_text(text)
        loaded = load_plan(room / "plans/second.yaml", room / "restore_tests")
        return [str(p).removeprefix(f"{room}/plans/") for p in at_odds(loaded, [first, loaded])]

    assert second() == [] and second((url, f"{url}/")) == []
    there = f"repository at {room}/plans/outbound.yaml:5 names the same repository with"
    assert [one.replace(str(room), "") for one in second(("secrets/outbound.key", "secrets/other.key"))] == wording
    (said,) = second(("secrets/outbound.env", "secrets/other.env"))
    assert said.startswith(f"second.yaml:8: repository.env_file: {there} other credentials (env_file)")
    assert second(("secrets/outbound.key", "secrets/other.key"), (url, f"{url}-2")) == []
    (secrets / "other.key").write_text("the right one\n")
    assert second(("secrets/outbound.key", "secrets/other.key")) == [], "another file, the same password"


def test_the_ledgers_repository_is_opened_by_the_same_key_where_it_is_the_same(room: Path) -> None:
    (room / "plans/secrets/outbound.key").write_text("the right one\n")
    (room / "plans/secrets/other.key").write_text("another one\n")
    head = "ledger_repository: {url: 's3:http://127.0.0.1:8333/ccdr-outbound', password_file: secrets/other.key,"
    loaded = load(room, OUTBOUND.replace("retention:", f"{head} env_file: secrets/outbound.env}}\nretention:"))
    (said,) = at_odds(loaded, [loaded])
    assert said.path == "ledger_repository.password_file" and "another password" in said.message


def test_with_several_rules_each_ones_own_turns_are_within_retention(room: Path, wording: SnapshotAssertion) -> None:
    assert lint(room, "snapshot: random", "snapshot: [latest, random, oldest]") == []
    short = OUTBOUND.replace("35d", "15d")

    def said(rules: str) -> list[str]:
        found = load(room, short.replace("snapshot: random", f"snapshot: {rules}")).lint
        return [str(p).removeprefix(f"{room}/plans/") for p in found]

    assert said("[latest, random]") == said("latest") == []
    assert said("[latest, random, oldest]") == wording


def test_what_recovers_the_latest_by_the_log_wants_the_latest_to_have_its_turn(
    room: Path, wording: SnapshotAssertion
) -> None:
    assert lint(room, "snapshot: latest", "snapshot: [oldest, latest], at: latest") == []
    (said,) = lint(room, "snapshot: latest", "snapshot: oldest, at: latest")
    assert said.replace(str(room), "") == wording


@pytest.mark.parametrize(
    ("stated", "rules"),
    [
        ("latest", ("latest",)),
        ("[oldest, latest]", ("oldest", "latest")),
        ("latest, at: latest", ("at",)),
        ("random, at: latest", ("at",)),  # from the newest base, whatever a single word says
        ("[oldest, latest], at: latest", ("oldest", "at")),
    ],
)
def test_the_log_is_recovered_by_when_it_is_the_latests_turn(room: Path, stated: str, rules: tuple[str, ...]) -> None:
    ships = OUTBOUND.replace("    method: dump ", "    method: physical\n    log_shipping: {interval: 60s} #")
    assert Job(load(room, ships.replace("snapshot: latest", f"snapshot: {stated}", 1)), "crm").rules == rules
    plain = OUTBOUND.replace("snapshot: latest", f"snapshot: {stated}", 1)
    assert "at" not in Job(load(room, plain), "crm").rules, "it ships no log"


def test_one_rule_is_shown_and_described_as_one_word(room: Path) -> None:
    plan = load(room).plan
    shown = [plan.assets[a].model_dump(mode="json")["restore_test"]["snapshot"] for a in ("crm", "recordings")]
    assert shown == ["latest", "random"]
    stated = plan_schema()["$defs"]["RestoreTestSettings"]["properties"]["snapshot"]
    assert stated["default"] == "latest" and stated["anyOf"][0]["enum"] == ["latest", "random", "oldest"]


@pytest.mark.parametrize(
    "kept", ["keep_daily: 8", "keep_weekly: 2", "keep_last: 400", "keep_daily: 2, keep_within: 7d"]
)
def test_retention_that_outlives_the_interval_of_tests(room: Path, kept: str) -> None:
    assert lint(room, "keep_within: 35d", kept) == []


def test_lint_leaves_a_public_certificate_alone(room: Path) -> None:
    (room / "plans/ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    assert lint(room, "database: crm,", "database: crm, ca_file: ca.pem,") == []


def test_lint_misses_the_check_that_compares_with_what_was_captured(room: Path, wording: SnapshotAssertion) -> None:
    (room / "restore_tests/crm.yaml").write_text("restore_test: crm\nchecks: [{kind: integrity}]\n")
    assert lint(room) == wording
    (room / "restore_tests/crm.yaml").write_text("restore_test: crm\nchecks: []\n")
    assert "without checks nothing passes" in lint(room)[0]


def test_lint_looks_at_the_files_that_hold_secrets(room: Path, wording: SnapshotAssertion) -> None:
    secrets = room / "plans/secrets"
    (secrets / "outbound.key").chmod(0o640)
    (secrets / "outbound.env").unlink()
    (secrets / "crm.pw").unlink()
    (secrets / "crm.pw").mkdir(mode=0o700)
    assert [one.replace(str(secrets), "") for one in lint(room)] == wording


@pytest.mark.parametrize(
    ("schedule", "zone", "hours"),
    [
        ("*/30 * * * *", "UTC", 0.5),
        ("0 3 * * *", "UTC", 24),
        ("0 3 * * *", "Europe/Bucharest", 25),  # the night on which summer time ends
        ("0 * * * *", "Europe/Bucharest", 1),
        ("0 8-18 * * 1-5", "UTC", 62),
        ("* 8-18 * * 1-5", "UTC", 61 + 1 / 60),  # 400 occurrences do not reach the weekend
        ("0,10 23 * * *", "UTC", 23 + 50 / 60),
        ("30 3 * * 0", "UTC", 168),
        ("0 0 1 * *", "UTC", 31 * 24),
        ("0 0 29 2 *", "UTC", (4 * 365 + 1) * 24),
    ],
)
def test_the_widest_gap_of_a_schedule(schedule: str, zone: str, hours: float) -> None:
    assert widest_gap(schedule, zone) == pytest.approx(hours * 3600)


# -- when, which, and for editors


def test_next_due_counts_in_the_plans_zone(room: Path) -> None:
    now = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)  # 01:00 in Bucharest, the night on which summer time ends
    local = load(room, OUTBOUND.replace("assets:", "timezone: Europe/Bucharest\nassets:")).plan
    due = next_due(local, "crm", now)
    assert due["restore_test"] and due["restore_test"].astimezone(UTC) == datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    assert due["backup"] and due["backup"].isoformat() == "2026-10-25T01:30:00+03:00"
    assert next_due(load(room).plan, "crm", now)["restore_test"] == datetime(2026, 10, 25, 3, 0, tzinfo=UTC)
    without = load(room, OUTBOUND.replace('    backup: {schedule: "*/30 * * * *"}\n', "")).plan
    assert next_due(without, "crm", now)["backup"] is None


def test_plans_of_a_directory(room: Path) -> None:
    load(room)
    for name in ("b.yaml", ".hidden.yaml", "notes.txt", "old.yaml~", "c.yml"):
        (room / "plans" / name).write_text("")
    assert plan_names(room / "plans") == ["b", "outbound"]
    assert load_named("outbound", room / "plans", room / "restore_tests").plan.service == "Outbound dialler"
    for name, hint in [("outbond", "did you mean outbound? there are b and outbound"), ("c", "rename")]:
        with pytest.raises(UsageProblem) as raised:
            load_named(name, room / "plans", None)
        assert hint in str(raised.value.hint)
    with pytest.raises(UsageProblem, match="cannot list"):
        plan_names(room / "nowhere")


def test_where_plans_usually_are_is_told_where_there_are_any(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hint(usual: Path) -> str:
        monkeypatch.setattr("ccdr.plans.loader.USUAL", usual)
        with pytest.raises(UsageProblem) as raised:
            plan_names(room / "nowhere")
        return str(raised.value.hint)

    assert f"cd {room}`" in hint(room / "plans")
    assert "--plans DIR" in hint(room / "missing")


def test_a_plan_that_cannot_be_read(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageProblem, match="does not exist"):
        load_plan(room / "none.yaml", None)
    with pytest.raises(UsageProblem, match="is not a file"):
        load_plan(room / "plans", None)
    (room / "plans/outbound.yaml").write_text(OUTBOUND)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UsageProblem, match="cannot be read: Permission denied"):
        load_plan(room / "plans/outbound.yaml", None)


def test_a_check_that_is_not_for_the_engine_is_the_plans_problem(room: Path, wording: SnapshotAssertion) -> None:
    (room / "restore_tests/recordings.yaml").write_text(
        "restore_test: recordings\nchecks:\n  - {kind: rows, table: call, at_least: 1}\n"
    )
    with pytest.raises(PlanInvalid) as raised:
        load(room)
    assert [(p.line, p.path, p.message) for p in raised.value.problems] == [
        (22, "assets.recordings.restore_test.checks[0]", wording),
    ]


def test_the_schema_is_plain_json_and_knows_every_engine() -> None:
    schema = json.loads(json.dumps(plan_schema()))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["assets"]["additionalProperties"] is False
    (engines,) = schema["properties"]["assets"]["patternProperties"].values()
    assert {"files", "postgres"} <= set(engines["discriminator"]["mapping"])
    assert len(engines["oneOf"]) == len(engines["discriminator"]["mapping"])


@pytest.mark.parametrize("schema", [plan_schema(), restore_test_schema()], ids=["plan", "restore_test"])
def test_each_key_has_a_description(schema: dict[str, Any]) -> None:
    """Editors and docs/reference/keys.md show it; `const` says which variant it is."""
    parts = {"": schema, **schema["$defs"]}
    keys = [
        (f"{name}.{key}", stated) for name, part in parts.items() for key, stated in part.get("properties", {}).items()
    ]
    assert (
        len(keys) > 20
        and [key for key, stated in keys if "const" not in stated and not stated.get("description")] == []
    )


@pytest.mark.parametrize(("settle", "seconds"), [("0s", 0.0), ("1s", 1.0)])
def test_files_need_not_settle(room: Path, settle: str, seconds: float) -> None:
    """Of a tree that nobody writes to, or where whole files are moved in."""
    plan = load(room, OUTBOUND.replace("engine: files\n", f"engine: files\n    settle: {settle}\n", 1)).plan
    assert getattr(plan.assets["recordings"], "settle") == seconds  # noqa: B009 - of one engine


def test_a_kind_of_file_is_built_once_however_many_are_read(tmp_path: Path) -> None:
    class File(Strict):
        name: Text

    document, _ = parse(b"name: one\n")
    assert document is not None and not File.__pydantic_complete__
    read, problems = checked(File, document, tmp_path, Any)
    assert File.__pydantic_complete__
    assert (read, problems) == (File(name="one"), [])
