"""What `ccdr doctor` makes of a bucket, as it was found. Every red line has its green twin."""

from __future__ import annotations

import pytest
from tests.support.findings import FAIL, OK, WARN, states

from ccdr.model.values import Health
from ccdr.plans.repository_url import http_address
from ccdr.setup.doctor.repository import _configured, _deletion, _enforced
from ccdr.storage.s3 import Bucket, CanaryTrial, ObjectLock, _open_statements

COMPLIANCE, GOVERNANCE, BARE = ObjectLock("COMPLIANCE", 30), ObjectLock("GOVERNANCE", 30), ObjectLock(None, None)
STORE = Bucket("http://127.0.0.1:1", "b", "key", "secret")


@pytest.mark.parametrize(("lock", "state"), [(COMPLIANCE, OK), (GOVERNANCE, WARN), (BARE, WARN), (None, WARN)])
def test_object_lock_as_configured(lock: ObjectLock | None, state: Health) -> None:
    assert states([_configured(STORE, lock)]) == [state]


@pytest.mark.parametrize(
    ("tried", "state"),
    [
        (CanaryTrial(held=True, deletable=True), OK),
        (CanaryTrial(held=False, deletable=True), FAIL),
        (CanaryTrial(held=True, deletable=False), WARN),  # a missing right looks the same
        (CanaryTrial(held=None, deletable=False), WARN),
        (CanaryTrial(held=None, deletable=True, lock_refusal="AccessDenied"), WARN),
    ],
)
def test_object_lock_as_tried(tried: CanaryTrial, state: Health) -> None:
    assert states([_enforced(tried)]) == [state]


@pytest.mark.parametrize(
    ("tried", "lock", "state"),
    [
        (CanaryTrial(held=None, deletable=False), None, OK),
        (CanaryTrial(held=None, deletable=True), None, WARN),
        (CanaryTrial(held=True, deletable=True), COMPLIANCE, OK),
        (CanaryTrial(held=True, deletable=True), BARE, WARN),
        (CanaryTrial(held=False, deletable=True), COMPLIANCE, WARN),
    ],
)
def test_right_to_delete(tried: CanaryTrial, lock: ObjectLock | None, state: Health) -> None:
    assert states([_deletion(tried, lock)]) == [state]


@pytest.mark.parametrize(
    ("statement", "open_to"),
    [
        ('{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}', 1),
        ('{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:GetObject", "s3:PutObject"]}', 1),
        ('{"Effect": "Allow", "Principal": {"AWS": ["a", "*"]}, "Action": "s3:*"}', 1),
        ('{"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}', 0),
        ('{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:user/x"}, "Action": "s3:*"}', 0),
        ('{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Condition": {"IpAddress": {}}}', 0),
    ],
)
def test_open_policies(statement: str, open_to: int) -> None:
    assert len(_open_statements(f'{{"Statement": [{statement}]}}')) == open_to
    assert len(_open_statements(f'{{"Statement": {statement}}}')) == open_to


def test_unreadable_policy_is_not_a_good_one() -> None:
    assert _open_statements("not JSON") and _open_statements("[]")


@pytest.mark.parametrize(
    ("url", "endpoint", "name", "prefix"),
    [
        ("s3:http://127.0.0.1:8333/ccdr-outbound", "http://127.0.0.1:8333", "ccdr-outbound", ""),
        ("s3:https://s3.example.test/b/x/y/", "https://s3.example.test", "b", "x/y/"),
        ("s3:s3.amazonaws.com/b/x", "https://s3.amazonaws.com", "b", "x/"),
        ("s3://s3.amazonaws.com/b", "https://s3.amazonaws.com", "b", ""),
    ],
)
def test_bucket_of_a_repository(url: str, endpoint: str, name: str, prefix: str) -> None:
    found = Bucket.of(url, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": "eu-north-1"})
    assert found is not None
    bucket, there = found
    assert (bucket.endpoint, bucket.name, there, bucket.region) == (endpoint, name, prefix, "eu-north-1")
    assert "hush" not in repr(bucket)


def test_no_bucket_elsewhere() -> None:
    for url in ("/mnt/backup", "rest:https://h/x", "sftp:u@h:/x"):
        assert Bucket.of(url, {}) is None
    assert http_address("rest:https://user@h:8000/x") == "https://h:8000"
    assert http_address("sftp:u@h:/x") is None
