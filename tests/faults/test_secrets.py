"""No secret in arguments, records, output or a container's configuration; nobody else may read what we keep."""

from __future__ import annotations

import json
import os
import stat

import pytest
from tests.support.harness import PASSWORD, Site, Source
from tests.support.stored import assert_clean, on_store, settled_file, with_repository
from tests.support.watching import watching

from ccdr.demo.store import DemoStore

SOURCE_PASSWORD = "s0urce:pass\\word-of-crm"


@pytest.fixture
def secret_site(site: Site, source: Source, database: str, store: DemoStore) -> Site:
    """A database with a password and a tree, in a repository on the S3 server with its own."""
    with_repository(site)
    settled_file(site.root / "tree" / "a.wav", os.urandom(50_000))
    site.write("plans/crm.pw", SOURCE_PASSWORD + "\n", mode=0o600)
    site.write("restore_tests/crm.yaml", "restore_test: crm\nchecks:\n  - {kind: identical}\n")
    site.write("restore_tests/tree.yaml", "restore_test: tree\nchecks:\n  - {kind: identical}\n")
    connection = f"{{host: {source.sockets}, user: postgres, database: {database}, password_file: crm.pw}}"
    site.plan(
        f"crm:\n  engine: postgres\n  connection: {connection}\n  restore_test: {{schedule: '0 3 * * *', checks: [crm]}}\n"
        f"tree:\n  engine: files\n  paths: [{site.root / 'tree'}]\n  settle: 1s\n"
        "  restore_test: {schedule: '0 3 * * *', checks: [tree]}"
    )
    return on_store(site, store, f"ccdr-secrets-{database}")


def test_secrets_are_never_seen(secret_site: Site, store: DemoStore) -> None:
    secrets = [PASSWORD, store.secret_key, SOURCE_PASSWORD, SOURCE_PASSWORD.replace("\\", "\\\\").replace(":", "\\:")]
    said = []
    with watching(secret_site) as seen:
        for verb in ("backup", "test", "status", "snapshots"):
            done = secret_site.run(verb, "p", "-v")
            assert done.code == 0, done
            said.append(str(done))
    watched = "\n".join(seen.lines)
    assert "restic" in watched and "pg_dump" in watched, "it was really looked at"
    assert len(seen.containers) >= 1, "containers too"
    kept = [
        p.read_text(errors="replace") for d in ("ledger", "catalogue") for p in (secret_site.state / d).rglob("*.json*")
    ]
    for secret in secrets:
        for place, text in (
            ("arguments", watched),
            ("a container's configuration", "".join(seen.containers.values())),
            ("output", "".join(said)),
            ("ledger or catalogue", "".join(kept)),
        ):
            assert secret not in text, f"a secret is in {place}"
    credentials = {path: mode for path, mode in seen.modes.items() if "/credentials" in path}
    assert any(path.endswith("pgpass") for path in credentials), "the client got its password as a file"
    assert all(mode == (0o700 if path.endswith("credentials") else 0o600) for path, mode in credentials.items())
    assert not list(secret_site.state.rglob("pgpass")), "which is gone"
    assert_clean(secret_site)


def test_errors_do_not_quote_secrets(secret_site: Site, store: DemoStore) -> None:
    """What programs say when the credentials are wrong goes into records: without the credentials."""
    secret_site.write("plans/key", "a wrong battery staple\n", mode=0o600)
    secret_site.write("plans/s3.env", f"AWS_ACCESS_KEY_ID={store.access_key}\nAWS_SECRET_ACCESS_KEY=wrongsecretkey42\n")
    plan = secret_site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("    ", "    ") + "limits: {no_progress: 5s, lock_wait: 1s}\n")
    done = secret_site.run("backup", "p", "-v")
    assert done.code == 1, done
    ledger = "".join(p.read_text() for p in (secret_site.state / "ledger").glob("*.jsonl"))
    for secret in ("a wrong battery staple", "wrongsecretkey42", SOURCE_PASSWORD):
        assert secret not in str(done) + json.dumps(done.json) + ledger


def test_what_we_keep_is_ours_alone(secret_site: Site) -> None:
    os.umask(os.umask(0o022))
    assert secret_site.run("backup", "p").code == 0
    assert secret_site.run("test", "p").code == 0
    state = secret_site.state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in [
        p for d in ("ledger", "catalogue", "index", "locks", "scratch") for p in [state / d, *(state / d).rglob("*")]
    ]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path.relative_to(state)} has mode {mode:o}"
