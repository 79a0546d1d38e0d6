"""What `ccdr doctor` makes of secrets: who may read and replace them. Every red line has its green twin."""

from __future__ import annotations

import os
import stat

import pytest
from tests.support.findings import FAIL, OK, WARN, states
from tests.support.harness import PASSWORD, Site

from ccdr.model.values import Health, Probe
from ccdr.setup.doctor.machine import secrets


def looked(site: Site, *, sources: bool = True) -> dict[str, Probe]:
    found = list(secrets(site.loaded(), site.services().host, sources=sources))
    states(found)
    return {look.what: look for look in found}


def test_secrets_that_are_well_kept(plain: Site) -> None:
    found = looked(plain)
    assert {w: f.state for w, f in found.items()} == {"secrets": OK, "repository password": OK}
    assert PASSWORD not in str(found)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_secret_that_others_read(plain: Site, mode: int) -> None:
    key = plain.root / "plans" / "key"
    key.chmod(mode)
    found = looked(plain)["secrets"]
    assert (found.state, found.do) == (FAIL, f"chmod 600 {key}")


def test_secret_that_is_not_there(plain: Site) -> None:
    (plain.root / "plans" / "key").unlink()
    found = looked(plain)
    assert found["secrets"].state is FAIL and "does not exist" in found["secrets"].answer
    assert found["repository password"].state is FAIL


@pytest.mark.parametrize("what", ["plans", "plans/p.yaml"])
def test_plan_or_secret_that_others_could_replace(plain: Site, what: str) -> None:
    place = plain.root / what
    place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o002)
    found = looked(plain)["secrets"]
    assert found.state is FAIL and f"chmod go-w {place}" == found.do
    place.chmod(0o1777)  # as /tmp: only its owner may replace what is in it
    assert what == "plans/p.yaml" or looked(plain)["secrets"].state is OK


def test_group_that_is_not_the_users_own_may_replace(plain: Site) -> None:
    place = plain.root / "plans"
    os.chown(place, -1, 4711) if os.geteuid() == 0 else pytest.skip("only root gives a directory to a group")
    place.chmod(0o770)
    assert looked(plain)["secrets"].state is FAIL
    place.chmod(0o750)
    assert looked(plain)["secrets"].state is OK


@pytest.mark.parametrize(("text", "state"), [("short", FAIL), ("", FAIL), ("0123456789ab", WARN), ("a" * 40, WARN)])
def test_weak_password(plain: Site, text: str, state: Health) -> None:
    plain.write("plans/key", f"{text}\n", mode=0o600)
    assert looked(plain)["repository password"].state is state


def test_host_that_only_tests_needs_no_source_secrets(site: Site) -> None:
    site.plan("crm: {engine: postgres, connection: {user: u, database: d, password_file: crm.pw}}")
    assert looked(site)["secrets"].state is FAIL
    assert looked(site, sources=False)["secrets"].state is OK


def test_certificate_is_no_secret(site: Site) -> None:
    site.write("plans/ca.pem", "-----BEGIN CERTIFICATE-----", mode=0o644)
    site.plan("crm: {engine: postgres, connection: {user: u, database: d, host: db.test, ca_file: ca.pem}}")
    assert looked(site)["secrets"].state is OK
