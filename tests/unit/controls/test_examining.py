"""Once a day somebody looks at how secrets are kept and repositories are reached: what is seen is a record, and holds
no secret."""

from __future__ import annotations

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import PASSWORD, ShiftedClock, Site
from tests.support.repositories import new_repository
from tests.support.sites import copy_of
from tests.support.stored import settled_file
from tests.support.tls import certificates_in, serving

from ccdr.host import nearby
from ccdr.host.nearby import Mount
from ccdr.host.strength import weak
from ccdr.jobs.examining import beside_source, examine, examine_daily, way_to
from ccdr.storage.restic import Restic

STRONG = "GPnY3bX9u0cVt1mQz7sKeR5wLhA2dF8j"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two plans, each with its own repository's key."""
    made = Site(tmp_path_factory.mktemp("seen"))
    settled_file(made.root / "tree" / "a.wav", b"sound")
    made.recordings(made.root / "tree")
    made.write("plans/other", f"{STRONG}\n", mode=0o600)
    made.plan(
        f"a: {{engine: files, paths: [{made.root}/tree]}}", name="q", repository="{url: ../q, password_file: other}"
    )
    made.backed_up()
    return made


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates_in(tmp_path_factory.mktemp("certificates"))


def hygiene(site: Site, plan: str = "p") -> tuple[str, str]:
    """What is seen of one plan's secrets now."""
    done = site.run("controls", "--examine")
    (measure,) = [one for one in done.json["measures"] if one["id"] == "workplace-hygiene"]
    (part,) = [one for one in measure["parts"] if one["id"] == "secrets"]
    (seen,) = [one for one in part["observed"] if one["plan"] == plan]
    return seen["state"], seen["text"]


def test_what_is_seen_of_a_repository_is_recorded_and_no_secret(site: Site) -> None:
    assert hygiene(site)[0] == "shown"
    seen = site.records("plan.examined")[0]
    repository = seen["repositories"]["primary"]
    assert (repository["way"], repository["format"], repository["keys"]) == ("this_host", 2, 1)
    assert repository["oldest_key"] < seen["time"]
    (secret,) = seen["secrets"]
    assert (secret["place"], secret["weak"], secret["also_in"]) == ("repository.password_file", False, [])
    text = "".join(path.read_text("utf-8") for path in (site.state / "ledger").glob("*.jsonl"))
    assert PASSWORD not in text and STRONG not in text and str(site.root) not in text.replace(str(site.state), "")
    site.ledger_holds()


def test_a_secret_that_others_may_read_is_failing(site: Site, wording: SnapshotAssertion) -> None:
    (site.root / "plans/key").chmod(0o644)
    assert hygiene(site) == ("contradicted", wording)


def test_a_weak_password_is_failing(site: Site, wording: SnapshotAssertion) -> None:
    (site.root / "plans/other").write_text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")
    assert hygiene(site, "q") == ("contradicted", wording)
    assert hygiene(site)[0] == "shown", "the other plan's is none of its own"


def test_a_password_that_another_plan_has_too_is_failing(site: Site, wording: SnapshotAssertion) -> None:
    (site.root / "plans/other").write_text(PASSWORD + "\n")
    assert hygiene(site) == ("contradicted", wording)
    path = site.root / "plans/q.yaml"
    path.write_text(path.read_text().replace("../q", site.loaded().plan.repository.location))
    assert hygiene(site)[0] == "shown", "the same repository has the same password"


def test_a_secret_that_was_never_changed_for_years_is_stale(site: Site) -> None:
    then = time.time() - 1000 * 86400
    os.utime(site.root / "plans/key", (then, then))
    assert hygiene(site)[0] == "expired"


def test_a_repository_that_is_not_there_is_not_known(site: Site) -> None:
    """The healthy twin is the plan `p`."""
    site.run("controls", "--examine")
    (seen,) = [one for one in site.records("plan.examined") if one["plan"] == "q"]
    assert seen["repositories"]["primary"]["format"] is None


def test_a_run_looks_once_a_day_and_not_at_a_ledger_of_today(site: Site) -> None:
    clock, plans = ShiftedClock(), [site.loaded(), site.loaded("q")]
    services = site.services(clock)
    assert examine_daily(plans, services) == []
    clock.shift = timedelta(days=2)
    assert len(examine_daily(plans, services)) == 2
    assert examine_daily(plans, services) == []
    clock.shift = timedelta(days=3, hours=1)
    assert len(examine_daily(plans[:1], services)) == 1


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("/srv/backups", "this_host"),
        ("s3:http://127.0.0.1:8333/b", "loopback"),
        ("s3:http://[::1]:8333/b", "loopback"),
        ("rest:http://localhost/", "loopback"),
        ("s3:https://store.example/b", "tls"),
        ("s3:store.example/b", "tls"),
        ("sftp:ops@store.example:/b", "ssh"),
        ("b2:bucket:path", "by_itself"),
        ("rest:http://store.example:8000/", "plain"),
        ("s3:http://store.example/b", "plain"),
    ],
)
def test_the_way_to_a_repository(url: str, way: str) -> None:
    assert way_to(url) == way


@pytest.mark.parametrize(
    ("secret", "of_repository", "may_be_guessed"),
    [
        (STRONG, True, False),
        (PASSWORD, True, False),
        ("", True, True),
        ("short1!", True, True),
        ("a" * 40, True, True),
        ("abababababababababababababab", True, True),
        ("Tr0ub4dor&3", False, True),
        ("k3V9-xQ2m-7LpZ", False, False),
    ],
)
def test_a_password_that_may_be_guessed(secret: str, of_repository: bool, may_be_guessed: bool) -> None:
    assert weak(secret, of_repository=of_repository) is may_be_guessed


def test_the_tls_of_a_repository_is_seen_though_it_does_not_open(
    site: Site, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that speaks TLS and nothing else, by the CA that the plan's `env_file` names."""
    monkeypatch.setattr(Restic, "impatient", lambda repo, real=Restic.impatient: real(repo, 1.0))
    with serving(certificates) as port:
        site.write("plans/ca.env", f"RESTIC_CACERT={certificates}/ca.crt\n", mode=0o600)
        site.plan(
            "a: {engine: files, paths: [/etc]}",
            name="q",
            repository=f"{{url: 'rest:https://localhost:{port}/', password_file: other, env_file: ca.env}}",
        )
        examine([site.loaded("q")], [], site.services())
    seen = site.records("plan.examined")[-1]["repositories"]["primary"]
    assert (seen["way"], seen["format"]) == ("tls", None)
    assert (seen["tls"]["version"], seen["tls"]["verified"]) == ("TLSv1.3", True)
    site.ledger_holds()


def test_the_repositories_of_the_ledger_and_of_the_shipped_log_are_looked_at_too(site: Site) -> None:
    at = new_repository(site.root / "of-the-ledger", STRONG)
    path = site.root / "plans/p.yaml"
    ships = "replicated: {engine: postgres, method: physical, connection: {user: u, database: d}, log_shipping: {interval: 60s}}"
    ledger = f"ledger_repository: {{url: {at}, password_file: other, site: Cluj}}\n"
    path.write_text(path.read_text().replace("assets:", f"{ledger}assets:\n  {ships}", 1))
    examine([site.loaded()], [], site.services())
    seen = site.records("plan.examined")[-1]["repositories"]
    assert set(seen) == {"primary", "ledger_repository"}, "no log was shipped yet"
    assert (seen["ledger_repository"]["site"], seen["ledger_repository"]["keys"]) == ("Cluj", 1)
    log = new_repository(site.repo.resolve() / "log", PASSWORD)
    try:
        examine([site.loaded()], [], site.services())
        seen = site.records("plan.examined")[-1]["repositories"]
        assert set(seen) == {"primary", "primary.log", "ledger_repository"}
        assert [key.name for key in (log / "keys").iterdir()] == seen["primary.log"]["key_ids"]
        shutil.rmtree(log)
        new_repository(log, STRONG)
        examine([site.loaded()], [], site.services())
        closed = site.records("plan.examined")[-1]["repositories"]["primary.log"]
        assert (closed["format"], closed["key_ids"]) == (None, []), (
            "one that does not open is told, and not passed over"
        )
    finally:
        shutil.rmtree(log)


# --- where it lies, whatever the plan says --------------------------------------------------------------------------

HERE, SERVER = "a: {engine: files, paths: [/spool]}", "a: {{engine: redis, connection: {{host: {}}}}}"


@pytest.mark.parametrize(
    ("url", "source", "seen"),
    [
        ("/srv/backups", HERE, "path"),
        ("/srv/backups", SERVER.format("/run/redis"), "path"),
        ("/srv/backups", SERVER.format("127.0.0.1"), "path"),
        ("s3:http://127.0.0.1:8333/b", HERE, "loopback"),
        ("s3:https://localhost:8333/b", HERE, "loopback"),
        ("rest:http://[::1]:8000/", HERE, "loopback"),
        ("sftp:ccdr@localhost:/srv", HERE, "loopback"),
        ("sftp://ccdr@127.0.0.1:2222//srv", HERE, "loopback"),
        ("s3:https://s3.cluj.example/b", HERE, None),
        ("sftp:ccdr@backup.cluj.example:/srv", HERE, None),
        ("sftp://ccdr@backup.cluj.example//srv", HERE, None),
        ("b2:bucket:there", HERE, None),
        ("/srv/backups", SERVER.format("db.iasi.example, ca_file: /ca.pem"), None),
    ],
)
def test_a_repository_beside_a_source_is_seen_by_its_address(
    tmp_path: Path, url: str, source: str, seen: str | None
) -> None:
    made = Site(tmp_path, bare=True)
    made.plan(source)
    assert beside_source(url, made.loaded()) == seen


def test_a_path_that_another_machine_serves_is_not_beside_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Site(tmp_path, bare=True)
    made.plan(HERE)
    monkeypatch.setattr(nearby, "mount_here", lambda path: Mount(path, "nfs4", "nas:/srv", "0:50"))
    assert beside_source("/srv/backups", made.loaded()) is None


def where(site: Site) -> tuple[str, str]:
    done = site.run("controls", "--examine")
    (measure,) = [one for one in done.json["measures"] if one["id"] == "physical-security"]
    (part,) = [one for one in measure["parts"] if one["id"] == "sites"]
    (seen,) = [one for one in part["observed"] if one["plan"] == "p"]
    return seen["state"], seen["text"]


def test_a_site_that_the_repositorys_own_place_contradicts_is_not_believed(site: Site) -> None:
    plan = site.root / "plans/p.yaml"
    text = plan.read_text("utf-8")
    there = text.replace("repository: {", "repository: {site: Cluj, ", 1)
    assert there != text
    plan.write_text(f"site: Iasi\n{there}", "utf-8")
    state, told = where(site)
    assert state == "contradicted" and "said to lie at Cluj" in told and "lies on a disk of the machine" in told, told
    site.ledger_holds()
