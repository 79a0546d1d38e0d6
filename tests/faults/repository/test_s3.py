"""A repository on S3, and what a network does to the way there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.harness import Ran, Site
from tests.support.repository_damage import ids, key
from tests.support.stored import LIMITS, again, assert_clean, copy_of, on_store, settled_file

from ccdr.demo.store import DemoStore


def dead_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def proxied(
    good: Site, kept: Path, store: DemoStore, tmp_path_factory: pytest.TempPathFactory
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
    good: Site, kept: Path, store: DemoStore, tmp_path: Path
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
def troubles(good: Site, kept: Path, store: DemoStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trouble]:
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


def test_bucket_that_is_not_there_is_made_once_and_never_again(site: Site, store: DemoStore, tmp_path: Path) -> None:
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
