"""`ccdr init` when something is wrong: nothing half-written, nothing overwritten, no secret told, no server kept busy."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.test_init import ccdr, url
from tests.support.harness import Source, eventually
from tests.support.small_disk import NO_BYTECODE
from tests.support.stored import settled_file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    settled_file(tmp_path / "etc" / "sip.conf", b"[general]\n")
    return tmp_path / "etc"


def written(here: Path) -> list[str]:
    """Every file under the directories that init writes to."""
    found = [p for name in ("plans", "restore_tests") for p in (here / name).rglob("*") if p.is_file()]
    return sorted(str(p.relative_to(here)) for p in found)


def test_password_on_the_command_line_is_refused_and_told_to_nobody(tmp_path: Path) -> None:
    done = ccdr(tmp_path, "init", "postgresql://u:hunter2@127.0.0.1/crm", "-v", "--json")
    assert done.code == 2, done
    assert "hunter2" not in done.stdout + done.stderr
    assert "--password-file" in done.json["hint"]
    assert list(tmp_path.iterdir()) == []


def test_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\n")
    (tmp_path / "pw").chmod(0o644)
    done = ccdr(tmp_path, "init", "postgresql://u@127.0.0.1/crm", "--password-file", "pw")
    assert done.code == 2, done
    assert "chmod 600" in done.stderr


def test_dead_server_leaves_nothing(tmp_path: Path, tree: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        done = ccdr(tmp_path, "init", f"postgresql://u@127.0.0.1:{taken.getsockname()[1]}", str(tree), "--json")
    assert done.code == 3, done
    assert "refused" in done.json["error"]
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("user", "database", "said"), [("nobody", "", "USER@host"), ("postgres", "no_such", "leave the database out")]
)
def test_server_that_refuses_is_explained(tmp_path: Path, source: Source, user: str, database: str, said: str) -> None:
    done = ccdr(tmp_path, "init", f"postgresql://{user}@/{database}?host={source.sockets}", "--json")
    assert done.code == 2, done
    assert "does not exist" in done.json["error"]
    assert said in done.json["hint"]
    assert written(tmp_path) == []


def test_plan_and_key_that_are_there_stay(tmp_path: Path, tree: Path) -> None:
    assert ccdr(tmp_path, "init", str(tree)).code == 0
    before = {name: (tmp_path / name).read_bytes() for name in written(tmp_path)}
    done = ccdr(tmp_path, "init", str(tree))
    assert done.code == 2, done
    assert "--force" in done.stderr
    assert {name: (tmp_path / name).read_bytes() for name in written(tmp_path)} == before
    (tmp_path / "plans" / "etc.yaml").unlink()  # its restore test alone is reason enough
    assert ccdr(tmp_path, "init", str(tree)).code == 2
    (tmp_path / "plans" / "etc.yaml").write_text("mine\n")
    assert ccdr(tmp_path, "init", str(tree), "--force").code == 0
    after = {name: (tmp_path / name).read_bytes() for name in written(tmp_path)}
    assert after["plans/secrets/etc.key"] == before["plans/secrets/etc.key"]
    assert after["plans/etc.yaml"] == before["plans/etc.yaml"]


def test_full_disk_leaves_nothing_and_force_loses_nothing(tmp_path: Path, tree: Path) -> None:
    """The kernel refuses to let a file grow past 1 KiB: the key fits, the plan does not."""

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "CCDR_STATE": str(tmp_path / "state"), **NO_BYTECODE}
        argv = [sys.executable, "-m", "ccdr", "init", str(tree), *args]
        return subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, preexec_fn=small, check=False
        )

    done = run()
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done
    assert "cannot be written" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "state") == ["etc"]
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "etc.yaml").write_text("mine\n")
    assert run("--force").returncode == 3
    assert written(tmp_path) == ["plans/etc.yaml"]
    assert (tmp_path / "plans" / "etc.yaml").read_text() == "mine\n"


def test_backups_are_not_put_into_what_is_backed_up(tmp_path: Path, tree: Path) -> None:
    done = ccdr(tmp_path, "init", str(tree), "--repository", str(tree / "repo"))
    assert done.code == 2, done
    assert "back up the backups" in done.stderr
    assert ccdr(tmp_path, "init", str(tmp_path)).code == 2  # the state directory would be in it
    assert written(tmp_path) == []


@pytest.mark.parametrize("repository", ["s3:http://elsewhere/bucket", "nonsense:x", "s3:https://u:hunter2@h/b", ""])
def test_repository_that_no_plan_may_name_is_refused(tmp_path: Path, tree: Path, repository: str) -> None:
    done = ccdr(tmp_path, "init", str(tree), f"--repository={repository}")
    assert done.code == (2 if repository else 0), done
    assert "hunter2" not in done.stderr


def test_store_whose_credentials_are_missing_is_a_finding(tmp_path: Path, tree: Path) -> None:
    done = ccdr(tmp_path, "init", str(tree), "--repository", "s3:https://store.example/bucket", "--json")
    assert done.code == 1, done
    assert "plans/secrets/etc.env" in str(done.json["findings"])
    assert "NO DISASTER RECOVERY" not in (tmp_path / "plans" / "etc.yaml").read_text()


def test_locked_and_broken_tables_do_not_hold_init_up(tmp_path: Path, source: Source, database: str) -> None:
    """A table that is locked, and one whose view of itself fails, are left out of the checks, and out of nothing else."""
    source.psql("create table calm (id int primary key); insert into calm select generate_series(1, 40)", database)
    with source.session("begin; lock table call in access exclusive mode;", database):
        done = ccdr(tmp_path, "init", url(source, database))
    assert done.code == 0, done
    text = (tmp_path / "restore_tests" / f"{database}.yaml").read_text()
    assert "public.calm" in text
    assert "freshness" not in text  # only call has times, and it could not be asked


def test_tables_that_a_restore_cannot_count_are_not_counted(tmp_path: Path, source: Source, database: str) -> None:
    """Foreign tables have no rows in the sandbox; unlogged ones and queues may rightly be empty; partitions are
    counted with their parent; what is planned says nothing about freshness."""
    source.psql(
        """
        create extension postgres_fdw; create server elsewhere foreign data wrapper postgres_fdw;
        create foreign table remote (id int) server elsewhere;
        create table mixed (id int) partition by range (id);
        create table mixed_1 partition of mixed for values from (0) to (100);
        create foreign table mixed_2 partition of mixed for values from (100) to (200) server elsewhere;
        insert into mixed select generate_series(1, 90);
        create unlogged table live (id int); insert into live select generate_series(1, 500);
        create view everybody as select * from customer;
        create table whole (id int, "When it Was" timestamp) partition by range (id);
        create table whole_1 partition of whole for values from (0) to (100);
        insert into whole select g, now() - g * interval '1 hour' from generate_series(0, 99) g;
        create table appointment (starts_at timestamptz, valid_until timestamptz, happened timestamptz);
        insert into appointment select now() + g * interval '1 hour', now() - interval '1 hour', 'infinity'
          from generate_series(-50, 50) g;
        """,
        database,
    )
    for _ in range(5):
        source.psql(
            "create table if not exists queue (id int); delete from queue; insert into queue values (1), (2)", database
        )
    counted = "select n_tup_del > 5 from pg_stat_user_tables where relname = 'queue'"
    assert eventually(lambda: source.psql(counted, database) == "t")
    done = ccdr(tmp_path, "init", url(source, database))
    assert done.code == 0, done
    text = (tmp_path / "restore_tests" / f"{database}.yaml").read_text()
    for name in ("remote", "mixed", "live", "everybody", "whole_1", "queue", "starts_at", "valid_until", "happened"):
        assert name not in text, text
    assert 'select max("When it Was") from public.whole' in text
