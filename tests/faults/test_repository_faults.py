"""The repository breaks, is damaged, is tampered with or cannot be reached; or only the way to it does.

Every damage is done to a copy of one good repository, whose undamaged twin passes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.harness import PASSWORD, Ran, Site
from tests.support.repositories import new_repository
from tests.support.stored import LIMITS, again, assert_clean, copy_of, on_store, restic_of, settled_file

from ccdr.demo.store import Store


def ids(site: Site) -> list[str]:
    """Snapshots that count, oldest first, as the catalogue has them."""
    return [s.id for s in site.services().catalogue.snapshots("p", "recordings")]


def packs(site: Site) -> list[Path]:
    """By size: the last one holds today's recording, the first ones hold directories."""
    return sorted((p for p in (site.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_undamaged_twin_passes(twin: Site) -> None:
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == ids(twin)[-1]
    assert_clean(twin)


# --- damage -----------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("damage", "what"),
    [(d, "recording") for d in (flip, remove, truncate, empty)] + [(d, "directory") for d in (flip, remove)],
)
def test_damaged_pack_fails(twin: Site, damage: Callable[[Path], None], what: str) -> None:
    tree = json.loads(restic_of(twin.root, "cat", "snapshot", ids(twin)[-1]))["tree"]
    pack = packs(twin)[-1] if what == "recording" else pack_of(twin, tree)
    damage(pack)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "answers and decrypts" in done.json["reason"]
    assert done.json["snapshot"]["id"] == ids(twin)[-1]
    if (damage, what) == (flip, "recording"):  # yesterday's does not need that pack, and still stands
        older = twin.run("test", "p", "--snapshot", "oldest")
        assert (older.code, older.json["verdict"]) == (0, "PASS"), older
    assert_clean(twin)


def test_what_to_do_about_a_bad_backup_says_whether_there_is_an_older_one(twin: Site) -> None:
    flip(packs(twin)[-1])
    assert "→ restore an older snapshot meanwhile; `ccdr upkeep p --check" in told(twin)
    restic_of(twin.root, "forget", ids(twin)[0])
    said = told(twin)
    assert (
        "→ there is no older snapshot that may be good: docs/how-to/recover.md, A damaged repository, says how to mend it"
        in said
    )
    assert "restore an older" not in said and "; `ccdr upkeep p --check" in said


def told(site: Site) -> str:
    """What people read of a test of the newest."""
    return subprocess.run(site.argv("test", "p"), capture_output=True, text=True, timeout=180, check=False).stdout


def pack_of(site: Site, blob: str) -> Path:
    for index in (site.repo / "index").iterdir():
        for pack in json.loads(restic_of(site.root, "cat", "index", index.name))["packs"]:
            if any(b["id"] == blob for b in pack["blobs"]):
                return site.repo / "data" / pack["id"][:2] / pack["id"]
    raise AssertionError(f"no pack holds {blob}")


def test_removed_index_fails(twin: Site) -> None:
    for index in (twin.repo / "index").iterdir():
        index.unlink()
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert_clean(twin)


def key(site: Site) -> Path:
    return next((site.repo / "keys").iterdir())


def another_key(site: Site) -> None:
    """It opens with the same password, and is of another repository."""
    other = new_repository(site.root / "other", PASSWORD)
    key(site).unlink()
    shutil.copy(next((other / "keys").iterdir()), site.repo / "keys")


OPENING = {
    "config gone": lambda site: (site.repo / "config").unlink(),
    "config flipped": lambda site: flip(site.repo / "config"),
    "config cut": lambda site: truncate(site.repo / "config"),
    "config empty": lambda site: empty(site.repo / "config"),
    "keys gone": lambda site: key(site).unlink(),
    "folder of keys gone": lambda site: shutil.rmtree(site.repo / "keys"),
    "key flipped": lambda site: flip(key(site)),
    "key empty": lambda site: empty(key(site)),
    "key of another repository": another_key,
    "config and keys gone": lambda site: [(site.repo / "config").unlink(), key(site).unlink()],
}


@pytest.mark.parametrize("damage", OPENING)
def test_what_opens_the_repository_is_destroyed_and_its_data_is_there(twin: Site, damage: str) -> None:
    OPENING[damage](twin)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json.get("repository")) == (1, "FAIL", "damaged"), done
    assert done.json["rpo"] == {**done.json["rpo"], "achieved_s": None, "verdict": "BREACHED"}
    assert twin.run("status").json["plans"][0]["assets"][0]["rpo"]["verdict"] == "BREACHED"
    assert_clean(twin)


@pytest.mark.parametrize("first", ["backup", "upkeep"])
def test_no_objective_is_met_from_a_repository_that_a_backup_or_a_check_found_destroyed(twin: Site, first: str) -> None:
    assert twin.run("test", "p").json["rpo"]["verdict"] == "MET"
    kept = (twin.repo / "config").read_bytes()
    (twin.repo / "config").unlink()
    found = twin.run("backup", "p") if first == "backup" else twin.run("upkeep", "p", "--check")
    assert found.code == 1 and "its config is gone" in str(found.json), found
    assert not (twin.repo / "config").exists(), "no new repository is made around its data"
    asset = twin.run("status").json["plans"][0]["assets"][0]
    assert asset["rpo"] == {**asset["rpo"], "achieved_s": None, "verdict": "BREACHED"}
    assert any("found the repository damaged" in said for said in asset["problems"])
    said = twin.run("report", "--json").json["assets"][0]
    assert said["rpo_now"]["verdict"] == "BREACHED"
    (twin.repo / "config").write_bytes(kept)
    twin.backed_up()
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["rpo"]["verdict"]) == (0, "PASS", "MET"), "it was brought back"
    assert twin.run("status").json["plans"][0]["assets"][0]["rpo"]["verdict"] == "MET"


def test_place_that_only_looks_like_what_is_left_of_a_repository_proves_nothing(twin: Site) -> None:
    """A wrong path, with data of somebody else's in it; a new repository, without any; and one whose keys are whole."""
    elsewhere = twin.root / "elsewhere"
    settled_file(elsewhere / "data" / "ab" / "notes.txt", b"not ours")
    settled_file(elsewhere / "data" / "ab" / ("0" * 64), b"not by restic's naming: it begins otherwise")
    (twin.repo / "config").rename(twin.root / "config")
    for place in (elsewhere, new_repository(twin.root / "new", PASSWORD)):
        (place / "config").unlink(missing_ok=True)
        plan = twin.root / "plans" / "p.yaml"
        plan.write_text(plan.read_text().replace(f"url: {twin.repo},", f"url: {place},"))
        done = twin.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert done.json["rpo"]["verdict"] == "MET", "nothing was shown of the backups"
        plan.write_text(plan.read_text().replace(f"url: {place},", f"url: {twin.repo},"))


def test_what_opens_the_repository_is_on_a_disk_that_is_not_mounted(twin: Site) -> None:
    """A link that leads to nothing; the twin, without the link, is damage (`OPENING`)."""
    for linked in (twin.repo / "config", key(twin), twin.repo / "keys"):
        linked.rename(there := twin.root / "disk")
        linked.symlink_to(twin.root / "not mounted")
        done = twin.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), (linked, done)
        assert done.json["rpo"]["verdict"] == "MET", "nothing was shown of the backups"
        assert done.json["hint"], "programs are told too what to do"
        linked.unlink()
        there.rename(linked)


def test_flipped_snapshot_file_never_passes(twin: Site) -> None:
    flip(twin.repo / "snapshots" / ids(twin)[-1])
    done = twin.run("test", "p")
    assert done.code in (1, 3) and done.json["verdict"] != "PASS", done
    assert_clean(twin)


# --- snapshots that vanish, come from the future, or are not what they claim ---------------------------------


def test_removed_newest_snapshot_is_a_finding_and_fails(twin: Site) -> None:
    older, newest = ids(twin)
    restic_of(twin.root, "forget", newest)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert newest[:8] in done.json["reason"] and "vanished" in done.json["reason"]
    assert any(newest[:8] in f and "vanished" in f for f in done.json["findings"])
    assert (done.json["snapshot"]["id"], done.json["snapshot"]["verdict"]) == (older, "PASS")
    assert_clean(twin)


def test_removed_older_snapshot_is_a_finding(twin: Site) -> None:
    older, newest = ids(twin)
    restic_of(twin.root, "forget", older)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS"), done
    assert any(older[:8] in f and "vanished" in f for f in done.json["findings"])
    assert done.json["snapshot"]["id"] == newest
    shown = twin.run("snapshots", "p")
    listed = {s["id"]: (s["there"], s["counts"], s["why_not"]) for s in shown.json["snapshots"]}
    assert shown.code == 1 and listed == {older: (False, False, "vanished"), newest: (True, True, None)}
    assert shown.json["findings"][0].endswith(
        "and no prune removed it: docs/how-to/recover.md, A snapshot that vanished"
    )


def test_all_snapshots_removed_fails(twin: Site) -> None:
    restic_of(twin.root, "forget", *ids(twin))
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert done.json["rpo"] == {**done.json["rpo"], "achieved_s": None, "verdict": "BREACHED"}


TAGS = "ccdr,kind=backup,plan=p,asset=recordings,run=20261124T020000-abcdef"


def planted(site: Site, manifest: Callable[[dict[str, object]], None] | None, *flags: str) -> str:
    """Somebody puts a snapshot with our tags there; with a copy of today's manifest, changed by `manifest`."""
    place = site.root / "planted" / "ccdr-capture"
    place.mkdir(parents=True)
    if manifest is None:
        (place / "notes.txt").write_text("no manifest\n")
    else:
        entry = json.loads((site.state / "catalogue" / "p" / "recordings" / f"{ids(site)[-1]}.json").read_text())
        body = json.loads(entry["manifest"])
        manifest(body)
        (place / "ccdr-manifest.json").write_text(json.dumps(body) + "\n")
    said = restic_of(site.root, "backup", "--json", "--host", "ccdr", "--tag", TAGS, *flags, str(place))
    return str(json.loads(said.splitlines()[-1])["snapshot_id"])


def in_future(body: dict[str, object]) -> None:
    body["consistent_point"] = "2099-01-01T00:00:00Z"


def now(body: dict[str, object]) -> None:
    body["consistent_point"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("consistent", [in_future, now])
def test_snapshot_dated_in_the_future_is_a_finding_and_not_selected(
    twin: Site, consistent: Callable[[dict[str, object]], None]
) -> None:
    newest = ids(twin)[-1]
    fake = planted(twin, consistent, "--time", "2099-01-01 00:00:00")
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "PASS"), done
    assert done.json["snapshot"]["id"] == newest
    assert any(fake[:8] in f and "future" in f for f in done.json["findings"])
    assert done.json["rpo"]["verdict"] == "MET", "exposure is told from snapshots that count"


def test_consistent_point_in_the_future_is_not_selected(twin: Site) -> None:
    newest = ids(twin)[-1]
    fake = planted(twin, in_future)
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "future" in f for f in done.json["findings"])


def test_planted_snapshot_without_manifest_does_not_count(twin: Site) -> None:
    fake, newest = planted(twin, None), ids(twin)[-1]
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "does not count" in f for f in done.json["findings"])
    assert done.json["verdict"] == "FAIL" and f"the newer snapshot {fake[:8]}" in done.json["reason"], (
        "it is what is wanted"
    )
    assert done.json["snapshot"]["verdict"] == "PASS" and not done.json["newer_failed"]
    assert twin.run("test", "p", "--snapshot", newest).json["verdict"] == "PASS", "which is judged by itself alone"
    assert any(f"the newer snapshot {fake[:8]}" in note for note in restored(twin).json["would_restore"]["notes"])
    assert fake not in ids(twin)


def restored(site: Site) -> Ran:
    return site.run("restore", "p", "--asset", "recordings", "--to", str(site.root / "back"), "--dry-run")


@pytest.mark.parametrize("manifest", ["[" * 100_000, "{", None])
def test_snapshot_whose_manifest_is_damaged_is_told_where_nothing_else_is_known(
    twin: Site, manifest: str | None
) -> None:
    """With no state: there is one, and it cannot be read. Without any there is none."""
    newest = ids(twin)[-1]
    restic_of(twin.root, "forget", *ids(twin))
    shutil.rmtree(twin.state)
    if manifest is not None:
        place = twin.root / "planted" / "ccdr-capture"
        settled_file(place / "ccdr-manifest.json", manifest.encode())
        newest = json.loads(
            restic_of(twin.root, "backup", "--json", "--host", "ccdr", "--tag", TAGS, str(place)).splitlines()[-1]
        )["snapshot_id"]
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert ("1 snapshot of p/recordings that cannot be read" in done.json["reason"]) is (manifest is not None)
    assert any(newest[:8] in said and "does not count" in said for said in done.json["findings"]) is (
        manifest is not None
    )
    real = restored(twin)
    assert (real.code, real.json["error"]) == (2, done.json["reason"]), "a restore for real says the same of it"
    assert ("A damaged repository" in real.json["hint"]) is (manifest is not None)


def test_manifest_of_another_asset_does_not_count(twin: Site) -> None:
    fake, newest = planted(twin, lambda body: body.update(asset="crm")), ids(twin)[-1]
    done = twin.run("test", "p")
    assert done.code == 1 and done.json["snapshot"]["id"] == newest, done
    assert any(fake[:8] in f and "p/crm" in f for f in done.json["findings"])
    assert fake not in ids(twin)


def test_planted_manifest_without_its_files_fails(twin: Site) -> None:
    """A whole forged snapshot is selected, since it claims to be the newest; it cannot pass."""
    fake = planted(twin, now)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["snapshot"]["id"]) == (1, "FAIL", fake), done
    assert "incomplete" in done.json["reason"]


# --- today's failed, yesterday's is fine ------------------------------------------------------------------------


def test_failed_newer_backup_fails_the_latest_though_the_older_is_good(twin: Site) -> None:
    newest = ids(twin)[-1]
    shutil.move(twin.root / "tree", twin.root / "unmounted")
    assert twin.run("backup", "p").code == 1
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "is not there" in done.json["reason"], "the failed backup is named"
    assert done.json["snapshot"] == {**done.json["snapshot"], "id": newest, "verdict": "PASS"}
    assert all(c["status"] == "PASS" for c in done.json["checks"]) and done.json["checks"]
    assert done.json["newer_failed"] is True, "and nothing else is wrong"
    own = twin.run("test", "p", "--snapshot", newest)
    assert (own.code, own.json["verdict"]) == (0, "PASS"), "another selection judges only its own"
    shutil.move(twin.root / "unmounted", twin.root / "tree")
    assert twin.run("status").code == 1
    twin.backed_up()
    assert twin.run("status").code == 0, "the next good backup heals it"
    assert twin.run("test", "p").json["verdict"] == "PASS"
    assert_clean(twin)


# --- what restic does ----------------------------------------------------------------------------------------------

TRUNCATING = """\
#!/bin/sh
{real} "$@"
code=$?
case " $* " in *" restore "*)
  find {state}/scratch -name today.wav -exec truncate -s 1000 {{}} + ;;
esac
exit $code
"""


def test_truncated_restore_fails(twin: Site) -> None:
    """restic says that all is well, and a file is short."""
    script = TRUNCATING.format(real=shutil.which("restic"), state=twin.state)
    twin.write("bin/restic", script, mode=0o755)
    done = twin.run("test", "p", env={"PATH": f"{twin.root / 'bin'}:{os.environ['PATH']}"})
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert_clean(twin)
    assert twin.run("test", "p").json["verdict"] == "PASS"


# --- secrets and the way in ----------------------------------------------------------------------------------------


def test_wrong_password_proves_nothing(twin: Site) -> None:
    twin.write("plans/key", "another battery staple\n", mode=0o600)
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "password" in failed.json["reason"]
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "password" in done.json["reason"]
    twin.write("plans/key", PASSWORD + "\n", mode=0o600)
    twin.backed_up()
    assert twin.run("test", "p").code == 0
    assert_clean(twin)


@pytest.mark.parametrize("key", [None, "", "\n", "short\n", b"\xff\xfe" * 20])
def test_password_that_cannot_serve_is_refused_before_anything_is_done(twin: Site, key: str | bytes | None) -> None:
    (twin.root / "plans" / "key").unlink()
    if key is not None:
        (twin.root / "plans" / "key").write_bytes(key.encode() if isinstance(key, str) else key)
    before, listing = len(twin.records()), restic_of(twin.root, "list", "snapshots")
    for verb in ("backup", "test"):
        done = twin.run(verb, "p")
        assert done.code == 2, done
        assert "password" in done.stderr
    assert len(twin.records()) == before, "nothing was done, so nothing is recorded"
    assert restic_of(twin.root, "list", "snapshots") == listing
    assert_clean(twin)


def test_missing_env_file_is_refused(twin: Site) -> None:
    plan = twin.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("password_file: key", "password_file: key, env_file: nowhere.env"))
    assert twin.run("backup", "p").code == 2
    assert twin.run("test", "p").code == 2


# --- locks -----------------------------------------------------------------------------------------------------------


def locks(site: Site) -> list[str]:
    return [p.name for p in (site.repo / "locks").iterdir() if "tmp" not in p.name]


@pytest.fixture
def exclusive(twin: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Another program, stopped while it holds the repository's exclusive lock."""
    argv = ["restic", "-r", str(twin.repo), "--no-cache", "check", "--read-data"]
    process = subprocess.Popen(
        argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not locks(twin):
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    assert locks(twin), "it was too quick"
    yield process
    process.kill()
    process.wait()


def test_locked_repository_fails_the_backup_and_not_the_test(twin: Site, exclusive: subprocess.Popen[bytes]) -> None:
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "locked" in failed.json["reason"]
    own = twin.run("test", "p", "--snapshot", ids(twin)[-1])
    assert (own.code, own.json["verdict"]) == (0, "PASS"), "a test only reads"
    exclusive.send_signal(signal.SIGCONT)
    assert exclusive.wait(60) == 0
    twin.backed_up()
    assert twin.run("test", "p").code == 0
    assert_clean(twin)


def test_stale_lock_of_a_dead_process_does_not_stop_us(twin: Site, exclusive: subprocess.Popen[bytes]) -> None:
    exclusive.kill()
    exclusive.wait()
    assert locks(twin)
    twin.backed_up()
    assert not locks(twin)
    assert twin.run("test", "p").code == 0


# --- a path that is not mounted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_by", ["catalogue", "ledger"])
def test_unmounted_repository_is_not_created_again(twin: Site, known_by: str) -> None:
    shutil.rmtree(twin.state / ("ledger" if known_by == "catalogue" else "catalogue"))
    shutil.move(twin.repo, twin.root / "elsewhere")
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "no repository" in failed.json["reason"]
    assert not twin.repo.exists(), "nothing was written below the mount point"
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    said = twin.run("report", "--json").json["answer"]
    assert said["word"] == "No" and "it was not there" in said["sentence"], "whatever was proven of it before"
    to = str(twin.root / "back")
    for asked in (["snapshots", "p"], ["restore", "p", "--asset", "recordings", "--to", to, "--yes-i-mean", to]):
        done = twin.run(*asked)
        assert done.code == 3 and "backups of p were stored there" in done.json["hint"], done
    shutil.move(twin.root / "elsewhere", twin.repo)
    twin.backed_up()
    assert twin.run("test", "p").code == 0


def test_empty_mount_point_is_not_filled(twin: Site) -> None:
    shutil.move(twin.repo, twin.root / "elsewhere")
    twin.repo.mkdir()
    assert twin.run("backup", "p").code == 1
    assert list(twin.repo.iterdir()) == []


def test_new_plan_gets_a_repository(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    settled_file(tmp_path / "tree" / "a.wav", b"a voice")
    site.recordings(tmp_path / "tree")
    site.backed_up()
    assert (site.repo / "config").is_file()
    assert site.run("test", "p").code == 0
    assert_clean(site)


# --- S3, and what a network does ---------------------------------------------------------------------------------------


def dead_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def proxied(
    good: Site, kept: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, FaultyProxy]]:
    """The good site, its repository in the S3 server, reached by way of the proxy."""
    again(good, kept)
    with faulty_proxy(store.endpoint) as proxy:
        site = copy_of(good, tmp_path_factory.mktemp("proxied"))
        yield on_store(site, store, "ccdr-faults", endpoint=proxy.endpoint), proxy


def test_s3_round_trip_with_env_file(proxied: tuple[Site, FaultyProxy]) -> None:
    site, _ = proxied
    settled_file(site.root / "tree" / "on-s3.wav", os.urandom(5000))
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == ids(site)[-1]
    assert_clean(site)


def test_s3_bucket_tells_what_was_destroyed_from_what_is_elsewhere(
    good: Site, kept: Path, store: Store, tmp_path: Path
) -> None:
    again(good, kept)
    site, bucket = copy_of(good, tmp_path), "ccdr-destroyed"
    opened = key(site).name
    on_store(site, store, bucket)
    client = store.bucket(bucket)._client(timeout=5)

    def tested() -> tuple[int, str, str]:
        done = site.run("test", "p")
        return done.code, done.json["verdict"], done.json["rpo"]["verdict"]

    for name in ("r/config", f"r/keys/{opened}"):
        contents = client.get_object(Bucket=bucket, Key=name)["Body"].read()
        client.delete_object(Bucket=bucket, Key=name)
        assert tested() == (1, "FAIL", "BREACHED"), name
        client.put_object(Bucket=bucket, Key=name, Body=contents[::-1])
        assert tested() == (1, "FAIL", "BREACHED"), name
        client.put_object(Bucket=bucket, Key=name, Body=contents)
        assert tested() == (0, "PASS", "MET"), name
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace(f"/{bucket}/r'", f"/{bucket}/other'"))
    assert tested() == (3, "INCONCLUSIVE", "MET"), "a wrong prefix"


@pytest.fixture
def patient(proxied: tuple[Site, FaultyProxy]) -> Iterator[tuple[Site, FaultyProxy]]:
    """restic waits before it tries again: half a second to one and a half, then one to three. Two faults of the same
    request are more than the four seconds without progress that are elsewhere enough."""
    site, _ = proxied
    plan = site.root / "plans" / "p.yaml"
    before = plan.read_text()
    assert "no_progress: 4s" in before
    plan.write_text(before.replace("no_progress: 4s", "no_progress: 20s"))
    yield proxied
    plan.write_text(before)


@pytest.mark.parametrize("mode", ["5xx", "reset"])
def test_s3_short_trouble_is_survived(patient: tuple[Site, FaultyProxy], mode: str) -> None:
    site, proxy = patient
    settled_file(site.root / "tree" / f"short-{mode}.wav", os.urandom(150_000))
    seen = proxy.faults
    proxy.after(60_000, mode, count=2)  # type: ignore[arg-type]
    site.backed_up()
    assert proxy.tripped.is_set() and proxy.faults > seen, "the fault was really there"
    proxy.transient(mode, 2)  # type: ignore[arg-type]
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(site)


DEAD = ("s3:http://127.0.0.1:{port}/bucket/r", "rest:http://127.0.0.1:{port}/r")
LASTING = ("5xx", "reset", "stall", *DEAD)


@dataclass(frozen=True)
class Trouble:
    """What a backup and a test made of trouble that lasts, and then of its end."""

    backup: Ran
    test: Ran
    seconds: float
    healed: Ran | None
    site: Site


@pytest.fixture(scope="module")
def troubles(good: Site, kept: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trouble]:
    """Every kind of trouble at once: each is a wait for a watchdog."""
    tree = again(good, kept).root / "tree"
    settled_file(tree / "tomorrow.wav", os.urandom(150_000))

    def one(case: str) -> Trouble:
        number = LASTING.index(case)
        site = copy_of(good, tmp_path_factory.mktemp(f"trouble{number}"))
        with faulty_proxy(store.endpoint) as proxy:
            on_store(site, store, f"ccdr-trouble{number}", endpoint=proxy.endpoint)
            if case in DEAD:
                url = f"{{url: '{case.format(port=dead_port())}', password_file: key, env_file: s3.env}}"
                site.recordings(tree, LIMITS, repository=url)
            else:
                proxy.after(60_000, case)  # type: ignore[arg-type]
            began = time.monotonic()
            backup, test = site.run("backup", "p"), site.run("test", "p")
            seconds = time.monotonic() - began
            assert case in DEAD or proxy.tripped.is_set()
            proxy.set("pass")
            if case not in DEAD:
                site.backed_up()
            return Trouble(backup, test, seconds, None if case in DEAD else site.run("test", "p"), site)

    with ThreadPoolExecutor(len(LASTING)) as pool:
        return dict(zip(LASTING, pool.map(one, LASTING), strict=True))


@pytest.mark.parametrize("case", LASTING)
def test_lasting_trouble_fails_the_backup_and_proves_nothing_in_a_test(troubles: dict[str, Trouble], case: str) -> None:
    found = troubles[case]
    assert (found.backup.code, found.backup.json["result"]) == (1, "FAILED"), found.backup
    assert "does not answer" in found.backup.json["reason"]
    assert (found.test.code, found.test.json["verdict"]) == (3, "INCONCLUSIVE"), found.test
    assert "does not answer" in found.test.json["reason"]
    assert found.seconds < 90, "it is told soon, not after restic's quarter of an hour"
    assert_clean(found.site)


@pytest.mark.parametrize("case", ["5xx", "reset", "stall"])
def test_trouble_that_has_passed_is_forgotten(troubles: dict[str, Trouble], case: str) -> None:
    healed = troubles[case].healed
    assert healed is not None and (healed.code, healed.json["verdict"]) == (0, "PASS"), healed
    assert len(ids(troubles[case].site)) == 3, "what was stored in part does not count"


def test_s3_trouble_while_fetching_proves_nothing(proxied: tuple[Site, FaultyProxy]) -> None:
    """The repository answers at first, then no more: that is not damage."""
    site, proxy = proxied
    site.backed_up()
    process = site.start("test", "p", "--json")
    assert process.stderr
    try:
        for line in process.stderr:
            if "fetching" in line:
                proxy.set("reset")
                break
        out = process.communicate(timeout=120)[0]
        assert (process.returncode, json.loads(out)["verdict"]) == (3, "INCONCLUSIVE"), out
    finally:
        proxy.set("pass")
    assert site.run("test", "p").code == 0
    assert_clean(site)


def test_bucket_that_is_not_there_is_made_once_and_never_again(site: Site, store: Store, tmp_path: Path) -> None:
    """The store answers that it has no such bucket: a new plan's first backup makes it, a known plan's is a finding."""
    settled_file(tmp_path / "tree" / "call.wav", os.urandom(20_000))
    site.write("plans/s3.env", store.env_file(), mode=0o600)
    url = f"{{url: 's3:{store.endpoint}/ccdr-fresh', password_file: key, env_file: s3.env}}"
    site.recordings(tmp_path / "tree", LIMITS, repository=url)
    assert site.run("backup", "p").code == 0
    assert site.run("test", "p").json["verdict"] == "PASS"
    bucket, client = "ccdr-fresh", store.bucket("ccdr-fresh")._client(timeout=5)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=found["Key"])
    client.delete_bucket(Bucket=bucket)
    done = site.run("backup", "p")
    assert done.code == 1 and "no such bucket" in done.json["reason"], done
    assert site.run("test", "p").json["verdict"] == "INCONCLUSIVE", "as with a disk that is not mounted"
