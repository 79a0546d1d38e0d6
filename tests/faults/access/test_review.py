"""`ccdr access review`: who may do what is read from the systems as they are, and that somebody looked is recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Ticking
from tests.support.harness import PASSWORD, Ran, Site, Source, small_database
from tests.support.repositories import new_repository
from tests.support.signed import key, signed, signers
from tests.support.wording import lines_with

from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.host.clock import SystemClock

NAMESPACE = "ccdr-access-review"

SECRET = "SCRAM-of-nobody-42"
WORDS = "Mrs Ionescu has left"


@pytest.fixture(scope="module")
def site(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A database with a leaver who still reads, and somebody who may approve."""
    made = Site(tmp_path_factory.mktemp("review"))
    with small_database(source, "reviewed") as database:
        source.psql(f"create role leaver login password '{SECRET}'; grant pg_read_all_data to leaver", database)
        source.psql("create role idle nologin replication; grant idle to leaver", database)
        made.crm(source, database)
        made.with_repository()
        known = signers(made.root / "signers", {"ana@x": key(made.root, "ana")}, options=f'namespaces="{NAMESPACE}"')
        plan = made.root / "plans/p.yaml"
        plan.write_text(plan.read_text().replace("assets:", f"approval: {{signers: {known}}}\nassets:", 1))
        yield made
        source.psql("drop owned by leaver; drop role leaver; drop role idle", database)


@pytest.fixture(scope="module")
def export(site: Site) -> Path:
    path = site.root / "access.json"
    done = site.run("access", "review", "p", "--out", str(path))
    assert done.code == 0 and json.loads(path.read_bytes()) == done.json, done
    return path


def account(told: dict[str, Any], name: str) -> dict[str, Any]:
    (database,) = told["databases"]
    (found,) = [one for one in database["accounts"] if one["name"] == name]
    return dict(found)


def test_it_tells_what_the_systems_tell(export: Path, site: Site) -> None:
    told = json.loads(export.read_bytes())
    leaver = account(told, "leaver")
    assert leaver["logs_in"] and sorted(leaver["member_of"]) == ["idle", "pg_read_all_data"]
    (public,) = [one for one in leaver["reach"] if one["where"] == "reviewed.public"]
    assert public["reads"] == public["of"] > 0 and public["writes"] == 0
    assert account(told, "idle") | {"reach": []} == {
        "name": "idle", "logs_in": False, "rights": ["REPLICATION", "CONNECT"], "member_of": [], "valid_until": None,
        "reach": [],
    }  # fmt: skip
    assert "SUPERUSER" in account(told, "postgres")["rights"]
    assert any(one["name"].startswith("pg_hba ") for one in told["databases"][0]["accounts"])
    (opened,) = told["repository_keys"]
    assert opened["current"] and opened["repository"] == "primary"
    (ana,) = told["approvers"]
    assert (ana["names"], ana["second_factor"], ana["options"]) == (["ana@x"], False, [f'namespaces="{NAMESPACE}"'])
    assert "root" in [one["name"] for one in told["host_accounts"]]
    files = {one["what"]: one for one in told["files"]}
    assert files["secret: repository.password_file"]["mode"] == "0600" and files["plan"]["others_may"] == ["read"]
    assert any("each role's credential" in one["what"] for one in told["unread"])


def test_it_holds_no_secret_and_no_customers_data(export: Path, source: Source) -> None:
    text = export.read_text("utf-8")
    hashed = source.psql("select rolpassword from pg_authid where rolname = 'leaver'")
    assert hashed.startswith("SCRAM-SHA-256$") and hashed not in text
    assert SECRET not in text and PASSWORD not in text
    name = source.psql("select name from customer limit 1", "reviewed")
    assert name and name not in text


def test_a_source_that_does_not_answer_is_told_and_stops_nothing(site: Site, tmp_path: Path) -> None:
    plan = site.root / "plans/p.yaml"
    before = plan.read_text()
    try:
        plan.write_text(before.replace("user: postgres", "user: nobody_there"))
        told = site.run("access", "review", "p").json
    finally:
        plan.write_text(before)
    assert told["databases"] == [] and told["repository_keys"]
    (lacking,) = [one for one in told["unread"] if one["what"] == "accounts of crm"]
    assert "crm" in lacking["what"] and lacking["why"]


def test_whose_password_opens_the_shipped_log_or_the_ledgers_repository_is_told(site: Site) -> None:
    """Whoever opens the log alone reads what was written since the base. One that does not open is told as such."""
    plan, log = site.root / "plans/p.yaml", site.repo.resolve() / "log"
    before = plan.read_text()
    at = new_repository(site.root / "of-the-ledger", PASSWORD)
    try:
        plan.write_text(before.replace("assets:", f"ledger_repository: {{url: {at}, password_file: key}}\nassets:", 1))
        told = site.run("access", "review", "p").json
        assert [one["repository"] for one in told["repository_keys"]] == ["primary", "ledger_repository"]
        assert "the store of ledger_repository" in [one["what"] for one in told["unread"]]
        assert not any("log" in one["what"] for one in told["unread"]), "none is shipped"
        new_repository(log, PASSWORD)
        told = site.run("access", "review", "p").json
        there = {one["id"]: one["repository"] for one in told["repository_keys"]}
        assert [there[key.name] for key in (log / "keys").iterdir()] == ["primary.log"]
        shutil.rmtree(log)
        new_repository(log, "another-password-of-somebody-42")
        told = site.run("access", "review", "p").json
        assert "keys of the repository primary.log" in [one["what"] for one in told["unread"]]
    finally:
        plan.write_text(before)
        shutil.rmtree(log, ignore_errors=True)


class Reviewing:
    def __init__(self, site: Site, export: Path) -> None:
        self.site, self.export = site, export

    def record(self, *args: str, found: str = WORDS) -> Ran:
        return self.site.run("access", "review", "p", "--looked-at", str(self.export), "--found", found, *args)

    def part(self) -> tuple[str, str | None]:
        (measure,) = [one for one in self.site.run("controls").json["measures"] if one["id"] == "access-control"]
        (part,) = [one for one in measure["parts"] if one["id"] == "access-review"]
        return part["state"], part["who_must_attest"]

    def told(self, days: float) -> set[str]:
        """What is told of it when so much time has passed."""
        services = self.site.services(Ticking(SystemClock().now() + timedelta(days=days)))
        found = judge_upkeep(self.site.loaded(), services.histories(), services.clock.now())
        return {p.trouble.name for p in found} & {"ACCESS_REVIEW", "ACCESS_REVIEW_ENDS"}


@pytest.fixture(scope="module")
def reviewing(site: Site, export: Path) -> Reviewing:
    return Reviewing(site, export)


def test_that_somebody_looked_is_recorded_and_told_a_month_before_it_ends(reviewing: Reviewing) -> None:
    assert reviewing.part()[0] == "nothing"
    done = reviewing.record("--key", str(reviewing.site.root / "ana"), "--elsewhere", "Ion Popa, by hand")
    assert done.code == 0, done
    (told,) = done.json["reviewed"]
    digest = sha256(reviewing.export.read_bytes()).hexdigest()
    assert (told["by"], told["export_sha256"], told["in_order"]) == ("ana@x", digest, True)
    assert reviewing.part() == ("stated", None)
    assert reviewing.told(0) == reviewing.told(61) == set()
    assert reviewing.told(63) == reviewing.told(91) == {"ACCESS_REVIEW_ENDS"}, "no finding"
    assert reviewing.told(93) == {"ACCESS_REVIEW"}
    text = "".join(path.read_text("utf-8") for path in (reviewing.site.state / "ledger").glob("*.jsonl"))
    assert "Ionescu" not in text and "Popa" not in text and "leaver" not in text
    reviewing.site.ledger_holds()


def test_what_is_to_be_changed_is_failing_until_it_is_reviewed_anew(reviewing: Reviewing) -> None:
    assert reviewing.record("--to-be-changed").code == 0
    assert reviewing.part()[0] == "contradicted" and reviewing.told(0) == {"ACCESS_REVIEW"}
    assert reviewing.record().json["reviewed"][0]["key"] is None, "nobody signed it"
    assert reviewing.part()[0] == "nothing", "not failing any more"


def test_what_could_not_be_read_is_not_covered_until_somebody_states_who_looked_there(
    reviewing: Reviewing, wording: SnapshotAssertion
) -> None:
    (told,) = reviewing.record("--key", str(reviewing.site.root / "ana")).json["reviewed"]
    unread = json.loads(reviewing.export.read_bytes())["unread"]
    assert not told["elsewhere"] and len(told["not_read"]) == told["unread"] == len(unread) > 0
    assert lines_with(told["not_read"], "credential") == wording
    assert not any("/" in one for one in told["not_read"]), "no path"
    assert reviewing.part() == ("nothing", "the plan's owner")
    assert reviewing.record("--elsewhere", "Ion, the DBA, by hand").json["reviewed"][0]["elsewhere"]
    assert reviewing.part()[0] == "nothing", "nobody signed it"
    signed_by = ("--key", str(reviewing.site.root / "ana"))
    assert reviewing.record(*signed_by, "--elsewhere", "Ion, the DBA, by hand").code == 0
    assert reviewing.part() == ("stated", None)


def test_signed_elsewhere_it_is_the_same(reviewing: Reviewing) -> None:
    path = reviewing.site.root / "to-sign.txt"
    assert reviewing.record("--write", str(path)).json["written"] == str(path)
    other = reviewing.site.root / "to-sign.txt.sig"
    other.write_text(signed(path.read_text(), reviewing.site.root / "ana", NAMESPACE))
    done = reviewing.site.run("access", "review", "p", "--signed", str(path))
    assert done.code == 0 and done.json["reviewed"][0]["by"] == "ana@x", done
    path.write_text(path.read_text().replace("in_order", "to_be_changed"))
    assert reviewing.site.run("access", "review", "p", "--signed", str(path)).code == 2, "it is not what was signed"


def test_all_plans_are_exported_and_reviewed_together(reviewing: Reviewing) -> None:
    path = reviewing.site.root / "all.json"
    told = reviewing.site.run("access", "review", "all", "--out", str(path)).json
    assert [one["plan"] for one in told["plans"]] == ["p"]
    done = reviewing.site.run("access", "review", "all", "--looked-at", str(path), "--found", WORDS)
    (reviewed,) = done.json["reviewed"]
    assert reviewed["export_sha256"] == sha256(path.read_bytes()).hexdigest() and done.code == 0


@pytest.mark.parametrize("how", ["other plan", "old", "no export", "no words"])
def test_what_is_no_review_is_refused(reviewing: Reviewing, tmp_path: Path, how: str) -> None:
    told = json.loads(reviewing.export.read_bytes())
    told |= {"other plan": {"plan": "q"}, "old": {"at": "2026-01-01T00:00:00Z"}, "no export": {"entries": "many"}}.get(
        how, {}
    )
    count = len(reviewing.site.records())
    one = Reviewing(reviewing.site, tmp_path / "changed.json")
    one.export.write_text(json.dumps(told))
    assert one.record(found="" if how == "no words" else WORDS).code == 2
    assert len(reviewing.site.records()) == count
