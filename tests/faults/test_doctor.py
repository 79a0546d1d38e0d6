"""`ccdr doctor` on real servers: what is well is said to be well, and each thing that is not is seen."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.faulty_proxy import faulty_proxy
from tests.support.harness import PASSWORD, Ran, ShiftedClock, Site, Source, eventually, in_background
from tests.support.stored import assert_clean, on_store, settled_file, with_repository

from ccdr.demo.store import Store
from ccdr.model.values import Health, Probe
from ccdr.setup.doctor import repository
from ccdr.storage.s3 import CANARY, Bucket, ObjectLock

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def lines(done: Ran) -> dict[tuple[str, str | None], dict[str, Any]]:
    """By what was looked at and asset: the worst line of each."""
    order = ["OK", "WARN", "UNKNOWN", "FAIL"]
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for line in done.json["checks"]:
        assert set(line) == {"plan", "asset", "what", "state", "found", "do"}
        assert line["state"] in order and line["found"]
        assert (line["do"] is None) == (line["state"] == "OK"), "every other line says what to do"
        key = (line["what"], line["asset"])
        if key not in found or order.index(found[key]["state"]) < order.index(line["state"]):
            found[key] = line
    assert PASSWORD not in done.stdout + done.stderr
    return found


def state_of(done: Ran, what: str, asset: str | None = None) -> str:
    found = lines(done)
    assert (what, asset) in found, (what, asset, str(done))
    return str(found[what, asset]["state"])


def contents(*roots: Path) -> str:
    """Everything below, names and bytes."""
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*")):
            digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def an_rpo_that_can_be_met(site: Site) -> Site:
    """Hourly backups cannot keep an RPO of an hour: each takes its time."""
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("rpo: 1h", "rpo: 2h"))
    return site


@pytest.fixture
def twin(twin: Site) -> Site:
    return an_rpo_that_can_be_met(twin)


# --- on a path ------------------------------------------------------------------------------------------------


def test_all_is_well_and_nothing_is_changed(twin: Site) -> None:
    places = [twin.root / name for name in ("plans", "restore_tests", "repo", "tree")]
    places += [twin.state / name for name in ("ledger", "catalogue", "index")]
    before = contents(*places)
    done = twin.run("doctor")
    assert done.code == 0, done
    assert {line["state"] for line in lines(done).values()} <= {"OK", "WARN"}
    for what, asset in (
        ("restic", None),
        ("repository", None),
        ("source", "recordings"),
        ("RPO by schedule", "recordings"),
    ):
        assert state_of(done, what, asset) == "OK", done
    assert contents(*places) == before
    assert_clean(twin)


def test_people_are_told_in_lines(twin: Site) -> None:
    (twin.root / "plans" / "key").chmod(0o644)
    done = subprocess.run(twin.argv("doctor", "p"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert said[0] == "this host" and "p" in said and "p/recordings" in said
    fault = next(n for n, line in enumerate(said) if line.startswith("  FAIL"))
    assert "others may read" in said[fault] and said[fault + 1].strip() == f"→ chmod 600 {twin.root}/plans/key"
    assert said[-1].endswith("1 FAIL") or "1 FAIL" in said[-1]


def test_no_plan_and_a_wrong_plan(site: Site) -> None:
    assert site.run("doctor").code == 2
    site.write("plans/p.yaml", "plan: p\n")
    assert site.run("doctor").code == 2
    assert site.run("doctor", "other").code == 2


def test_wrong_password(twin: Site) -> None:
    twin.write("plans/key", "not the one that it was made with\n", mode=0o600)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "repository")) == (1, "FAIL"), done
    assert "does not open" in lines(done)["repository", None]["found"]


def test_missing_password(twin: Site) -> None:
    (twin.root / "plans" / "key").unlink()
    done = twin.run("doctor")
    assert done.code == 1, done
    assert (state_of(done, "secrets"), state_of(done, "repository")) == ("FAIL", "UNKNOWN")


def test_repository_that_vanished_and_one_that_never_was(twin: Site) -> None:
    shutil.rmtree(twin.repo)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "repository")) == (1, "FAIL"), done
    (twin.root / "new").mkdir()
    new = Site(twin.root / "new", bare=True)
    new.recordings(twin.root / "tree")
    an_rpo_that_can_be_met(new)
    done = new.run("doctor")
    assert (done.code, state_of(done, "repository")) == (0, "WARN"), done


def test_lock_that_a_dead_restic_left(twin: Site) -> None:
    """Known by the time that nobody renews."""
    argv = ["restic", "-r", str(twin.repo), "--no-cache", "backup", "--stdin-from-command", "--", "sleep", "60"]
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "RESTIC_PASSWORD": PASSWORD}
    restic = subprocess.Popen(argv, env=env, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert eventually(lambda: any((twin.repo / "locks").iterdir()), 30)
        assert state_of(twin.run("doctor"), "repository locks") == "OK", "it is at work"
    finally:
        os.killpg(restic.pid, signal.SIGKILL)
        restic.communicate()

    def looked(shift: timedelta) -> Probe:
        found = list(repository.repository(twin.loaded(), twin.services(ShiftedClock(shift)), known=True))
        return found[-1]

    assert looked(timedelta(minutes=20)).state is Health.OK
    late = looked(timedelta(hours=1))
    assert late.state is Health.WARN and "restic unlock" in str(late.do), late
    assert any((twin.repo / "locks").iterdir()), "looking removes nothing"


def test_source_that_is_gone(twin: Site) -> None:
    shutil.move(twin.root / "tree", twin.root / "elsewhere")
    done = twin.run("doctor")
    assert (done.code, state_of(done, "source", "recordings")) == (1, "FAIL"), done
    (twin.root / "tree").mkdir()
    done = twin.run("doctor")
    assert (done.code, state_of(done, "rights to read", "recordings")) == (1, "FAIL"), done
    assert twin.run("doctor", "--only", "tests").code == 0, "which is no concern of a host that only tests"


def test_state_that_cannot_be_had(twin: Site) -> None:
    twin.write("file", "")
    done = twin.run("doctor", "--state", str(twin.root / "file" / "state"))
    assert (done.code, state_of(done, "state directory")) == (1, "FAIL"), done
    assert (state_of(done, "source", "recordings"), state_of(done, "repository")) == ("UNKNOWN", "UNKNOWN")


def test_damaged_ledger(twin: Site) -> None:
    ledger = next((twin.state / "ledger").glob("*.jsonl"))
    ledger.write_text("no record\n" + ledger.read_text())
    done = twin.run("doctor")
    assert (done.code, state_of(done, "ledger")) == (1, "FAIL"), done


def test_open_state_directory(twin: Site) -> None:
    twin.state.chmod(0o755)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "state directory")) == (1, "FAIL"), done


# --- Docker and images ----------------------------------------------------------------------------------------

DECODED = "restore_test: recordings\nchecks:\n  - {kind: identical}\n  - {kind: decodable, match: ['*.wav']}\n"


def test_docker_does_not_answer(twin: Site) -> None:
    twin.write("restore_tests/recordings.yaml", DECODED)
    done = twin.run("doctor", env=NO_DOCKER)
    assert done.code == 3, done
    assert (state_of(done, "Docker"), state_of(done, "sandbox", "recordings")) == ("UNKNOWN", "UNKNOWN")
    assert state_of(twin.run("doctor"), "sandbox", "recordings") == "OK"
    assert twin.run("doctor", "--only", "backups", env=NO_DOCKER).code == 0, "a host that only backs up needs none"


def test_image_that_is_not_there(twin: Site) -> None:
    twin.write("restore_tests/recordings.yaml", DECODED)
    twin.recordings(twin.root / "tree", "image: registry.invalid/nothing:1", checks=DECODED)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "sandbox", "recordings")) == (1, "FAIL"), done
    assert "registry.invalid/nothing:1" in lines(done)["sandbox", "recordings"]["found"]


@pytest.fixture
def older_image() -> Iterator[str]:
    """An image whose PostgreSQL client says that it is of version 16."""
    name = f"ccdr-test-pg16:{os.getpid()}"
    script = "printf '#!/bin/sh\\necho \"pg_dump (PostgreSQL) 16.9\"\\n' > /usr/bin/pg_dump; chmod 755 /usr/bin/pg_dump"
    made = subprocess.run(
        ["docker", "run", "-d", "--entrypoint", "sh", "ccdr-sandbox/files:1", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    subprocess.run(["docker", "wait", made], capture_output=True, check=True)
    subprocess.run(["docker", "commit", made, name], capture_output=True, check=True)
    subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    yield name
    subprocess.run(["docker", "rmi", name], capture_output=True, check=True)


# --- a database -----------------------------------------------------------------------------------------------


@pytest.fixture
def crm(site: Site, source: Source, database: str) -> Site:
    with_repository(site)
    site.crm(source, database)
    return site


def test_database_its_image_and_what_was_measured(crm: Site, source: Source, database: str, older_image: str) -> None:
    crm.backed_up()
    assert crm.run("test", "p").code == 0
    done = crm.run("doctor")
    assert done.code == 0, done
    for what in (
        "source",
        "connection",
        "rights to read",
        "sandbox",
        "room for a sandbox",
        "RTO by tests",
        "source's clock",
    ):
        assert state_of(done, what, "crm") == "OK", (what, str(done))
    assert state_of(done, "rights to write", "crm") == "WARN", "postgres is a superuser"
    assert "version 17, as the source" in lines(done)["sandbox", "crm"]["found"]

    crm.crm(source, database, f"image: {older_image}")
    done = crm.run("doctor", "--only", "tests")
    assert (done.code, state_of(done, "sandbox", "crm")) == (1, "FAIL"), done
    assert "16" in lines(done)["sandbox", "crm"]["found"]

    crm.crm(source, database, "image: 'ccdr-sandbox/files:1'")
    assert state_of(crm.run("doctor", "--only", "tests"), "sandbox", "crm") == "FAIL", "it holds no client at all"

    crm.crm(source, database, "objectives: {rpo: 30m, rto: 1s}")
    done = crm.run("doctor")
    assert (state_of(done, "RPO by schedule", "crm"), state_of(done, "RTO by tests", "crm")) == ("FAIL", "FAIL")
    crm.crm(source, database, "memory: 4096GiB")
    assert state_of(crm.run("doctor"), "room for a sandbox", "crm") == "FAIL"
    assert_clean(crm)


@contextmanager
def role(source: Source, database: str, *grants: str, options: str = "") -> Iterator[str]:
    name = f"{database}_doctor"
    source.psql(f"create role {name} login {options}")
    for grant in grants:
        source.psql(grant.format(role=name), database)
    try:
        yield name
    finally:
        source.psql(f"drop owned by {name}", database)
        source.psql(f"drop role {name}")


READ = "grant pg_read_all_data to {role}"
OBJECTS = (
    "do $$ declare o oid; begin for o in select oid from pg_largeobject_metadata loop"
    " execute format('grant select on large object %s to {role}', o); end loop; end $$"
)


def as_role(site: Site, name: str) -> Ran:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("user: postgres", f"user: {name}"))
    return site.run("doctor", "--only", "backups")


@pytest.mark.parametrize(
    ("grants", "options", "reads", "writes"),
    [
        ((READ, OBJECTS), "bypassrls", "OK", "OK"),  # the README's
        ((), "bypassrls", "FAIL", "OK"),
        ((READ,), "bypassrls", "FAIL", "OK"),  # which does not cover large objects
        ((READ, OBJECTS, "grant insert on call to {role}"), "bypassrls", "OK", "WARN"),
        ((READ, OBJECTS, "alter table call enable row level security"), "", "FAIL", "OK"),
        ((READ, OBJECTS, "alter table call enable row level security"), "bypassrls", "OK", "OK"),
        ((READ, OBJECTS), "bypassrls createrole", "OK", "WARN"),
        ((READ, OBJECTS, "create schema shut; create table shut.t ()"), "bypassrls", "OK", "OK"),
        (
            ("grant select on all tables in schema public to {role}; grant select on all sequences in schema public to {role}",
             OBJECTS, "create schema shut; create table shut.t (); grant select on shut.t to {role}"),
            "bypassrls", "FAIL", "OK",
        ),
    ],
)  # fmt: skip
def test_rights_of_a_role(
    crm: Site, source: Source, database: str, grants: tuple[str, ...], options: str, reads: str, writes: str
) -> None:
    """And what the line says is what a backup by this role then does."""
    with role(source, database, *grants, options=options) as name:
        done = as_role(crm, name)
        assert (state_of(done, "rights to read", "crm"), state_of(done, "rights to write", "crm")) == (reads, writes), (
            done
        )
        assert done.code == (1 if reads == "FAIL" else 0)
        if reads == "FAIL":
            assert crm.run("backup", "p").code == 1


def test_source_that_refuses_and_one_that_does_not_answer(crm: Site) -> None:
    done = as_role(crm, "nobody_of_that_name")
    assert (done.code, state_of(done, "source", "crm")) == (1, "FAIL"), done
    plan = crm.root / "plans" / "p.yaml"
    (crm.root / "none").mkdir()
    text = plan.read_text()
    plan.write_text(text.replace(text.split("host: ")[1].split(",")[0], str(crm.root / "none")))
    done = crm.run("doctor")
    assert (done.code, state_of(done, "source", "crm")) == (3, "UNKNOWN"), done
    assert crm.run("doctor", "--only", "tests").code == 0


# --- the S3 server --------------------------------------------------------------------------------------------


@pytest.fixture
def stored(site: Site, store: Store, request: pytest.FixtureRequest) -> Site:
    """A tree in a repository on the S3 server, in a bucket of its own: `r/` in versions, no Object Lock."""
    with_repository(site)
    settled_file(site.root / "tree" / "a.wav", b"sound" * 1000)
    site.recordings(site.root / "tree")
    name = f"doctor-{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    if "lock" in request.node.name:
        store.bucket(name)._client(timeout=5).create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return an_rpo_that_can_be_met(on_store(site, store, name))


def there(site: Site) -> tuple[Bucket, Any]:
    found = Bucket.of(site.loaded().plan.repository.url, env(site))
    assert found is not None
    return found[0], found[0]._client(timeout=5)


def env(site: Site) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (site.root / "plans" / "s3.env").read_text().split())


def canaries(site: Site) -> list[str]:
    bucket, client = there(site)
    said = client.list_object_versions(Bucket=bucket.name, Prefix=f"r/{CANARY}")
    return [v["Key"] for v in [*said.get("Versions", []), *said.get("DeleteMarkers", [])]]


def default_retention(site: Site, mode: str) -> None:
    bucket, client = there(site)
    rule = {"DefaultRetention": {"Mode": mode, "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=bucket.name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


def impatient(site: Site) -> None:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("assets:", "limits: {no_progress: 5s}\nassets:"))


def policy(site: Site, effect: str, *actions: str) -> None:
    bucket, client = there(site)
    resource = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
    statement = {"Effect": effect, "Principal": "*", "Action": list(actions), "Resource": resource}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_bucket_policy(Bucket=bucket.name, Policy=text)


def test_versioned_bucket(stored: Site) -> None:
    done = stored.run("doctor")
    assert done.code == 0, done
    expected = {"bucket versioning": "OK", "public access": "OK", "Object Lock": "WARN", "right to delete": "WARN"}
    assert {what: state_of(done, what) for what in expected} == expected
    assert (state_of(done, "repository"), state_of(done, "clock"), canaries(stored)) == ("OK", "OK", [])
    assert ("Object Lock, tried", None) not in lines(done), "there is none to try"


def test_bucket_without_versions(stored: Site) -> None:
    bucket, client = there(stored)
    client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Suspended"})
    done = stored.run("doctor")
    assert (done.code, state_of(done, "bucket versioning")) == (1, "FAIL"), done
    assert canaries(stored) == []


@pytest.mark.parametrize("how", ["policy", "acl"])
def test_public_bucket(stored: Site, how: str) -> None:
    bucket, client = there(stored)
    if how == "policy":
        policy(stored, "Allow", "s3:GetObject", "s3:ListBucket")
    else:
        client.put_bucket_acl(Bucket=bucket.name, ACL="public-read")
    done = stored.run("doctor")
    assert (done.code, state_of(done, "public access")) == (1, "FAIL"), done
    said = lines(done)["public access", None]["found"]
    assert "anybody may list it" in said and ("policy allows" in said if how == "policy" else "ACL grants READ" in said)


def test_locked_bucket_is_proven_by_a_canary(stored: Site) -> None:
    done = stored.run("doctor")
    assert (done.code, state_of(done, "Object Lock, tried"), canaries(stored)) == (0, "OK", []), done
    assert state_of(done, "Object Lock") == "WARN", "it holds, but nothing that restic writes is locked"
    default_retention(stored, "COMPLIANCE")
    done = stored.run("doctor")
    assert (done.code, state_of(done, "Object Lock"), state_of(done, "Object Lock, tried")) == (0, "OK", "OK"), done
    assert canaries(stored) == [], "though all else is now locked for a day"
    assert state_of(done, "right to delete") == "OK"
    done = stored.run("doctor", "--no-canary")
    assert ("Object Lock, tried", None) not in lines(done) and state_of(done, "Object Lock") == "OK"


class Lenient(BaseHTTPRequestHandler):
    """Before the S3 server: takes every lock, and lets every version be deleted all the same, as some stores do."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str]
    gone: ClassVar[set[str]] = set()
    lying = False
    refusing = ""  # requests that have this header

    def answer(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        version = (query.get("versionId") or [""])[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.refusing in self.headers:
            self.say(403)
            return
        if version and self.command == "DELETE" and not self.refusing:
            self.gone.add("" if self.lying else version)
            self.say(204)
            return
        if version in self.gone:
            self.say(404)
            return
        upstream = HTTPConnection(urlsplit(self.upstream).netloc, timeout=20)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("expect", "connection"):
                upstream.putheader(name, value)
        upstream.endheaders(body)
        got = upstream.getresponse()
        data = got.read()
        self.send_response_only(got.status)
        for name, value in got.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = got.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data)
        upstream.close()

    def say(self, status: int) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer

    def log_message(self, *_: object) -> None: ...


@contextmanager
def lenient(store: Store, *, lying: bool = False, refusing: str = "") -> Iterator[str]:
    ways = {"upstream": store.endpoint, "gone": set(), "lying": lying, "refusing": refusing}
    handler = type("One", (Lenient,), ways)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        in_background(functools.partial(server.serve_forever, 0.05))
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def through(site: Site, store: Store, endpoint: str) -> None:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace(store.endpoint, endpoint))


def test_store_that_takes_a_lock_and_does_not_keep_it(stored: Site, store: Store) -> None:
    with lenient(store) as endpoint:
        through(stored, store, endpoint)
        done = stored.run("doctor")
    assert (done.code, state_of(done, "Object Lock, tried")) == (1, "FAIL"), done
    assert state_of(done, "right to delete") == "WARN"


def test_store_that_says_it_deleted_a_locked_version_and_still_has_it(stored: Site, store: Store) -> None:
    with lenient(store, lying=True) as endpoint:
        through(stored, store, endpoint)
        done = stored.run("doctor")
    assert (done.code, state_of(done, "bucket")) == (3, "UNKNOWN"), done
    assert "still has it" in lines(done)["bucket", None]["found"]


def test_credential_that_may_not_delete_proves_no_lock(stored: Site) -> None:
    """And leaves one canary behind, not one each time; it goes once somebody may."""
    policy(stored, "Deny", "s3:DeleteObject", "s3:DeleteObjectVersion")
    for n in range(2):
        done = stored.run("doctor")
        assert done.code == 0, done
        assert (state_of(done, "Object Lock, tried"), state_of(done, "right to delete")) == ("WARN", "OK")
        assert "not proven" in lines(done)["Object Lock, tried", None]["found"]
        if n == 0:  # what is younger may be another's, who looks at this moment
            assert len(canaries(stored)) == 1
    bucket, client = there(stored)
    client.delete_bucket_policy(Bucket=bucket.name)


def test_canaries_that_were_left_serve_as_the_control(stored: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ccdr.storage import s3

    monkeypatch.setattr(s3, "LEFT_AFTER", -60.0)
    bucket, client = there(stored)
    policy(stored, "Deny", "s3:DeleteObject", "s3:DeleteObjectVersion")
    for _ in range(3):
        assert bucket.canary("r/", lock=False) == s3.Canary(None, deletable=False)
        assert len(canaries(stored)) == 1
    client.delete_bucket_policy(Bucket=bucket.name)
    assert bucket.canary("r/", lock=False) == s3.Canary(None, deletable=True)
    assert canaries(stored) == []


def test_credential_that_may_not_lock(stored: Site, store: Store) -> None:
    with lenient(store, refusing="x-amz-object-lock-mode") as endpoint:
        through(stored, store, endpoint)
        done = stored.run("doctor")
    assert (done.code, state_of(done, "Object Lock, tried")) == (0, "WARN"), done
    assert "not proven" in lines(done)["Object Lock, tried", None]["found"]
    assert state_of(done, "right to delete") == "WARN"


def test_credential_that_only_reads_a_locked_bucket(stored: Site) -> None:
    """That of a host which only tests: it is no reason to call anything unknown."""
    policy(stored, "Deny", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
    done = stored.run("doctor", "--only", "tests")
    assert (done.code, state_of(done, "Object Lock, tried"), state_of(done, "right to delete")) == (0, "WARN", "OK"), (
        done
    )
    assert canaries(stored) == []


def test_interrupted_while_the_canary_of_a_locked_bucket_waits(stored: Site) -> None:
    process = stored.start("doctor")
    assert eventually(lambda: bool(canaries(stored)), 30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3 and "Traceback" not in err, out + err
    assert canaries(stored) == []
    assert_clean(stored)


def test_wrong_key_of_the_store(stored: Site) -> None:
    impatient(stored)
    stored.write("plans/s3.env", "AWS_ACCESS_KEY_ID=nobody\nAWS_SECRET_ACCESS_KEY=wrongsecretkey42\n", mode=0o600)
    done = stored.run("doctor")
    assert (done.code, state_of(done, "bucket")) == (1, "FAIL"), done
    assert "wrongsecretkey42" not in str(done)
    backup = stored.run("backup", "p")
    assert backup.code == 1 and "does not know the access key (InvalidAccessKeyId)" in backup.json["reason"], backup
    assert "AWS_ACCESS_KEY_ID into the env_file" in backup.json["hint"]


def test_a_bucket_that_a_backup_makes_is_as_the_plan_asks(site: Site, store: Store) -> None:
    """And `doctor` says beforehand that the backup will make it. Without `object_lock:` it keeps versions all the same."""
    plain = store.bucket("made-plain")
    assert plain.ensure(lock_days=None) and not plain.ensure(lock_days=3), "one that is there stays as it is"
    assert (plain.versioning(), plain.object_lock()) == ("Enabled", None)
    site.bare = True
    settled_file(site.root / "tree" / "a.wav", b"sound")
    site.write("plans/s3.env", store.env_file(), mode=0o600)
    url = f"{{url: 's3:{store.endpoint}/made/r', password_file: key, env_file: s3.env, object_lock: 3d}}"
    site.recordings(site.root / "tree", repository=url)
    impatient(site)
    before = [
        c for c in site.run("doctor", "--only", "backups").json["checks"] if c["what"] in ("bucket", "repository")
    ]
    assert {c["state"] for c in before} == {"WARN"}, before
    assert all("the first `ccdr backup p` makes it" in c["do"] for c in before), before
    assert site.run("backup", "p").code == 0
    bucket, _ = there(site)
    assert (bucket.versioning(), bucket.object_lock()) == ("Enabled", ObjectLock("COMPLIANCE", 3))
    after = {c["what"]: c["state"] for c in site.run("doctor", "--only", "backups", "--no-canary").json["checks"]}
    assert (after["bucket versioning"], after["Object Lock"]) == ("OK", "OK")


def test_wrong_secret_of_the_store_is_told_as_that(stored: Site) -> None:
    """Not as a store that does not answer; the key itself is right."""
    impatient(stored)
    right = (stored.root / "plans/s3.env").read_text()
    assert stored.run("backup", "p").code == 0, "the right one"
    wrong = re.sub("(?m)^AWS_SECRET_ACCESS_KEY=.*$", "AWS_SECRET_ACCESS_KEY=wrongsecretkey42", right)
    stored.write("plans/s3.env", wrong, mode=0o600)
    for verb in ("backup", "test"):
        done = stored.run(verb, "p")
        assert "does not take the secret key (SignatureDoesNotMatch)" in done.json["reason"], done
        assert "AWS_SECRET_ACCESS_KEY that belongs to" in done.json["hint"] and "wrongsecretkey42" not in str(done)
    assert done.json["verdict"] == "INCONCLUSIVE" and done.code == 3, done


def test_store_that_is_down(stored: Site, store: Store) -> None:
    """It could not be looked at, and is not waited for."""
    impatient(stored)
    with faulty_proxy(store.endpoint) as proxy:
        through(stored, store, proxy.endpoint)
        proxy.set("reset")
        began = time.monotonic()
        done = stored.run("doctor", timeout=60)
        took = time.monotonic() - began
    assert done.code == 3, done
    assert {state_of(done, what) for what in ("repository", "bucket", "clock")} == {"UNKNOWN"}
    assert took < 45, "restic alone would try for a quarter of an hour"


def test_clock_that_somebody_set(stored: Site) -> None:
    for shift, state in (
        (timedelta(0), Health.OK),
        (timedelta(minutes=2), Health.WARN),
        (-timedelta(hours=1), Health.FAIL),
    ):
        (look,) = repository.clock(stored.loaded(), stored.services(ShiftedClock(shift)))
        assert look.state is state, look
