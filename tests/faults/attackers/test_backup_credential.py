"""Somebody holds the store's key and the repository's password, as the host that backs up does. What they can do is done,
against a real S3 server where it is about that, and who notices is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.faults.repository.test_snapshots import planted as forged
from tests.support.attacking import PREFIX, Held, borrowed, forged_pass, in_a_locked_bucket, planted
from tests.support.harness import PASSWORD, Quiet, Ran, Site
from tests.support.repository_damage import ids
from tests.support.stored import other_host, restic_of

from ccdr.demo.store import DemoStore
from ccdr.host.state import State
from ccdr.jobs import backup as attempt
from ccdr.jobs.attest.storing import store as store_ledger
from ccdr.jobs.backup import backup
from ccdr.jobs.services import limits_of
from ccdr.plans.job import Job
from ccdr.plans.versions import digest_of


@pytest.fixture
def held(twin: Site, store: DemoStore, request: pytest.FixtureRequest) -> Held:
    return in_a_locked_bucket(twin, store, f"attacked-{sha256(request.node.name.encode()).hexdigest()[:12]}")


def tested(site: Site, *more: str) -> tuple[int, str]:
    done = site.run("test", "p", *more)
    return done.code, done.json["verdict"]


def codes(site: Site) -> set[str]:
    told = site.run("status").json
    of_assets = {t["code"] for plan in told["plans"] for asset in plan["assets"] for t in asset["troubles"]}
    return of_assets | {t["code"] for plan in told["plans"] for t in plan["troubles"]}


def asked(site: Site) -> Ran:
    return site.run("ledger", "verify", "--repository")


# --- reading --------------------------------------------------------------------------------------------------------


def test_with_the_password_all_that_is_stored_can_be_read(twin: Site, held: Held, tmp_path: Path) -> None:
    words = dict(line.split("=", 1) for line in (twin.root / "plans/s3.env").read_text().split())
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "RESTIC_PASSWORD": PASSWORD, **words}
    url = twin.loaded().plan.repository.url
    argv = ["restic", "-q", "-r", url, "--no-cache", "--no-lock", "restore", ids(twin)[-1], "--target", str(tmp_path)]
    subprocess.run(argv, env=env, check=True)
    assert next(tmp_path.rglob("today.wav")).read_bytes() == (twin.root / "tree/agent0/today.wav").read_bytes()


def test_without_the_password_the_bucket_shows_no_contents_and_no_names(twin: Site, held: Held) -> None:
    there = b"".join(held.read(key) for key in held.everything())
    for path in (twin.root / "tree").rglob("*.wav"):
        assert path.read_bytes()[:64] not in there and path.name.encode() not in there
    assert b"recordings" not in there and len(there) > 400_000, "it was really looked at"


def test_an_old_key_file_that_versions_keep_opens_what_is_stored_after_a_rotation(
    twin: Site, held: Held, tmp_path: Path
) -> None:
    """The master key is the same. What was stored before may be known; a new repository has a new one."""
    before = held.versions()
    assert twin.run("repository", "key", "rotate", "p").code == 0
    for key in {*held.everything(), *before}:
        path = tmp_path / "repo" / key.removeprefix(PREFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.read(key, before.get(key)))
    assert ids(twin)[-1] in restic_of(tmp_path, "list", "snapshots", "--no-lock")
    new = (twin.root / "plans/key").read_text().strip()
    assert new != PASSWORD and tested(twin) == (0, "PASS")


# --- removing -------------------------------------------------------------------------------------------------------


def test_a_locked_version_can_be_neither_removed_nor_unlocked(twin: Site, held: Held) -> None:
    """Not by the key that owns the bucket either, which is more than a backup holds."""
    every = held.every_version()
    for key, version in every:
        with pytest.raises(ClientError, match="AccessDenied"):
            held.client.delete_object(Bucket=held.name, Key=key, VersionId=version, BypassGovernanceRetention=True)
    key, version = every[0]
    one = {"Bucket": held.name, "Key": key, "VersionId": version}
    until = held.client.get_object_retention(**one)["Retention"]["RetainUntilDate"]
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(hours=12)}
    with pytest.raises(ClientError, match="AccessDenied"):
        held.client.put_object_retention(**one, Retention=sooner)
    assert held.every_version() == every and tested(twin) == (0, "PASS")


def test_a_bucket_that_is_emptied_is_told_and_is_whole_once_the_markers_are_gone(twin: Site, held: Held) -> None:
    before = held.versions()
    held.deleted(*held.everything())
    assert held.everything() == []
    failed = twin.run("backup", "p")
    assert failed.code == 1 and "no repository" in failed.json["reason"], failed
    assert tested(twin) == (3, "INCONCLUSIVE"), "as with a disk that is not mounted"
    assert {"REPOSITORY_AWAY", "BACKUP_FAILED"} <= codes(twin) and twin.run("status").code == 1
    held.as_it_was(before)
    twin.backed_up()
    assert tested(twin) == (0, "PASS")


def test_packs_that_are_overwritten_fail_their_test_and_the_versions_before_serve_again(twin: Site, held: Held) -> None:
    before = held.versions("data/")
    held.overwritten(held.everything("data/"), b"nothing")
    assert tested(twin) == (1, "FAIL") and "TEST_FAILED" in codes(twin)
    held.as_it_was(before)
    assert tested(twin) == (0, "PASS")


def test_an_old_state_of_the_bucket_is_told_here_and_to_nobody_who_never_saw_a_newer_one(
    twin: Site, held: Held, tmp_path: Path
) -> None:
    """Whatever was written since is deleted: what is left is the bucket as it was."""
    older, newest = ids(twin)
    before = held.versions()
    held.deleted(*(key for key in held.everything("snapshots/") if not key.endswith(older)))
    bare = other_host(twin, tmp_path / "bare")
    assert tested(bare) == (0, "PASS") and ids(bare) == [older], "a bare host knows of no other"
    assert tested(twin) == (1, "FAIL") and "SNAPSHOT_VANISHED" in codes(twin)
    held.as_it_was(before)
    assert tested(twin) == (0, "PASS") and tested(bare) == (0, "PASS") and ids(bare) == [older, newest]


# --- planting -------------------------------------------------------------------------------------------------------


def test_a_sound_snapshot_of_other_data_passes_its_test_and_is_counted_as_another_hosts(
    twin: Site, tmp_path: Path
) -> None:
    planted(twin, tmp_path / "theirs")
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), "it holds what it says that it holds"
    assert done.json["snapshot"]["id"] == ids(twin)[-1] and len(ids(twin)) == 3
    (repository,) = asked(twin).json["repositories"]
    assert (repository["snapshots"], repository["elsewhere"]) == (2, 1)


def test_a_snapshot_of_other_data_fails_a_check_that_knows_the_asset(twin: Site, tmp_path: Path) -> None:
    checks = "restore_test: recordings\nchecks:\n  - {kind: identical}\n"
    checks += "  - {kind: command, name: calls of today, argv: [sh, -c, 'find . -name today.wav | grep -q .']}\n"
    twin.write("restore_tests/recordings.yaml", checks)
    assert tested(twin) == (0, "PASS")
    planted(twin, tmp_path / "theirs")
    assert tested(twin) == (1, "FAIL")


def test_a_manifest_that_claims_a_newer_ccdr_stops_tests_until_somebody_removes_it(twin: Site) -> None:
    fake = forged(twin, lambda body: body.update(format=99))
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE") and fake[:8] in done.json["reason"], done
    restic_of(twin.root, "forget", fake)
    assert tested(twin) == (0, "PASS")


def test_a_snapshot_that_borrows_a_run_of_ours_is_found(
    twin: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it attests of the ledger is right: it was copied from the tags of a good one."""
    run, attested = borrowed(twin)
    with monkeypatch.context() as patch:
        patch.setattr(attempt, "attestation", lambda *_: attested)
        patch.setattr(State, "run_id", staticmethod(lambda _: run))
        theirs = other_host(twin, tmp_path / "theirs")
        result = backup(Job(theirs.loaded(), "recordings"), theirs.services(), Quiet())
    assert result.snapshot is not None
    assert twin.run("snapshots", "p").code == 1, "told as soon as it is read"
    done = asked(twin)
    assert done.code == 1 and "which stored another one" in " ".join(done.json["problems"]), done
    told = twin.run("status")
    assert told.code == 1 and "which stored another one" in str(told.json["lineage"]["problems"])
    restic_of(twin.root, "forget", result.snapshot.id)
    assert "which stored another one" not in str(asked(twin).json["problems"]), "until somebody removes it"


@pytest.mark.parametrize(("rules", "stays"), [("keep_last: 2", False), ("keep_within: 35d", True)])
def test_snapshots_that_are_planted_push_ours_out_by_their_number_and_never_by_age(
    twin: Site, tmp_path: Path, rules: str, stays: bool
) -> None:
    plan = twin.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("assets:\n", f"retention: {{{rules}}}\nassets:\n", 1))
    ours = set(ids(twin))
    planted(twin, tmp_path / "theirs", 3)
    assert tested(twin)[0] == 0
    assert twin.run("upkeep", "p", "--prune").code == 0
    assert (ours <= set(ids(twin))) is stays


def test_a_plan_that_is_planted_is_the_newest_until_the_next_look_of_this_host(twin: Site, tmp_path: Path) -> None:
    twin.run("run")
    text = (twin.root / "plans/p.yaml").read_text()
    place = tmp_path / "planted"
    shutil.copytree(twin.root / "restore_tests", place / "restore_tests")
    (place / "plans").mkdir()
    (place / "plans/p.yaml").write_text(text.replace("rpo: 1h", "rpo: 9h"))
    sums = {str(p.relative_to(place)): sha256(p.read_bytes()).hexdigest() for p in place.rglob("*.yaml")}
    tags = ["ccdr-3", "kind=plan", "plan=p", f"version={digest_of(sums)}", "plan_format=2"]
    restic_of(twin.root, "backup", "-q", str(place), *(word for tag in tags for word in ("--tag", tag)))
    assert "rpo: 9h" in bootstrapped(twin, tmp_path / "one"), "a bare host takes it"
    (twin.state / "plans/p/stored.json").unlink()  # as after a day, when what is stored there is looked at again
    twin.backed_up()
    assert "rpo: 1h" in bootstrapped(twin, tmp_path / "two")


def bootstrapped(site: Site, into: Path) -> str:
    argv = ["--password-file", str(site.root / "plans/key"), "--into", str(into), "--state", str(into) + "-state"]
    done = site.run("bootstrap", str(site.repo), *argv)
    assert done.code == 0, done
    return (into / "plans/p.yaml").read_text()


def test_a_longer_ledger_that_is_planted_is_brought_back_after_a_loss(twin: Site, tmp_path: Path) -> None:
    """Nothing attests what is newer than the newest snapshot: here a restore test that never was."""
    assert tested(twin) == (0, "PASS")
    theirs = other_host(twin, tmp_path / "theirs")
    shutil.copytree(twin.state, theirs.state)
    run, services, loaded = forged_pass(theirs), theirs.services(), theirs.loaded()
    store_ledger(services.repository(loaded, limits_of(loaded)), services)
    shutil.rmtree(twin.state / "ledger")
    twin.backed_up()
    done = twin.run("ledger", "recover")
    assert done.code == 0 and run not in str(twin.records()), done
    (taken,) = done.json["ledgers"]
    assert run in str(twin.run("ledger", "show", "--ledger", taken["ledger"]).json)
