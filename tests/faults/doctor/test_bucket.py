"""`ccdr doctor` on an S3 server: versions, locks, rights, clocks."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.doctor import an_rpo_that_can_be_met, lines, state_of
from tests.support.faulty_proxy import faulty_proxy
from tests.support.harness import ShiftedClock, Site, eventually, in_background
from tests.support.stored import assert_clean, on_store, settled_file, with_repository

from ccdr.demo.store import DemoStore
from ccdr.model.values import Health
from ccdr.setup.doctor import repository
from ccdr.storage.s3 import CANARY, Bucket, ObjectLock


@pytest.fixture
def stored(site: Site, store: DemoStore, request: pytest.FixtureRequest) -> Site:
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
def lenient(store: DemoStore, *, lying: bool = False, refusing: str = "") -> Iterator[str]:
    ways = {"upstream": store.endpoint, "gone": set(), "lying": lying, "refusing": refusing}
    handler = type("One", (Lenient,), ways)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        in_background(functools.partial(server.serve_forever, 0.05))
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def through(site: Site, store: DemoStore, endpoint: str) -> None:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace(store.endpoint, endpoint))


def test_store_that_takes_a_lock_and_does_not_keep_it(stored: Site, store: DemoStore) -> None:
    with lenient(store) as endpoint:
        through(stored, store, endpoint)
        done = stored.run("doctor")
    assert (done.code, state_of(done, "Object Lock, tried")) == (1, "FAIL"), done
    assert state_of(done, "right to delete") == "WARN"


def test_store_that_says_it_deleted_a_locked_version_and_still_has_it(stored: Site, store: DemoStore) -> None:
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
        assert bucket.canary("r/", lock=False) == s3.CanaryTrial(None, deletable=False)
        assert len(canaries(stored)) == 1
    client.delete_bucket_policy(Bucket=bucket.name)
    assert bucket.canary("r/", lock=False) == s3.CanaryTrial(None, deletable=True)
    assert canaries(stored) == []


def test_credential_that_may_not_lock(stored: Site, store: DemoStore) -> None:
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
    assert backup.code == 1 and "access key (InvalidAccessKeyId)" in backup.json["reason"], backup
    assert "AWS_ACCESS_KEY_ID into the env_file" in backup.json["hint"]


def test_a_bucket_that_a_backup_makes_is_as_the_plan_asks(site: Site, store: DemoStore) -> None:
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
        assert "secret key (SignatureDoesNotMatch)" in done.json["reason"], done
        assert "AWS_SECRET_ACCESS_KEY that belongs to" in done.json["hint"] and "wrongsecretkey42" not in str(done)
    assert done.json["verdict"] == "INCONCLUSIVE" and done.code == 3, done


def test_store_that_is_down(stored: Site, store: DemoStore) -> None:
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
