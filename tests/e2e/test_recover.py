"""docs/how-to/recover.md, followed by somebody who has lost the host: its commands, word for word but for names and addresses."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.harness import CRM_CHECKS, PASSWORD, Site, Source, small_database
from tests.support.pages import commands
from tests.support.stored import settled_file, with_repository
from tests.support.target import PASSWORD as TARGET_PASSWORD
from tests.support.target import server

pytestmark = pytest.mark.long

PAGE = "how-to/recover.md"
PLAN = """\
crm:
  engine: postgres
  connection: {{host: {sockets}, user: postgres, database: {database}}}
  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}
recordings:
  engine: files
  paths: [{tree}]
  settle: 1s
"""


def test_total_loss(source: Source, tmp_path: Path) -> None:
    sockets, tree = tmp_path / "sockets", tmp_path / "spool"
    sockets.mkdir()
    call = settled_file(tree / "2026" / "call.wav", b"a voice")
    (tmp_path / "lost").mkdir()
    lost = with_repository(Site(tmp_path / "lost"))
    with small_database(source, "lost") as database, server(sockets) as target:
        lost.write("restore_tests/crm.yaml", CRM_CHECKS)
        lost.plan(PLAN.format(sockets=source.sockets, database=database, tree=tree), name="outbound")
        assert lost.run("backup", "outbound").code == 0
        call.unlink()
        shutil.rmtree(lost.state)
        (tmp_path / "new").mkdir()
        new = Site(tmp_path / "new")  # it knows nothing but the repository's address and its key
        new.write("db2.pw", f"{TARGET_PASSWORD}\n", mode=0o600)
        said = {
            "URL": str(lost.repo),
            "KEY": str(new.write("key", f"{PASSWORD}\n", mode=0o600)),
            "STORE.env": str(new.write("store.env", "", mode=0o600)),
            "/srv/dr": str(tmp_path / "recovery"),
            "/srv/dr/plans": str(tmp_path / "recovery/plans"),
            "/srv/restored": str(tmp_path / "restored"),
            "postgresql://postgres@db2.example/crm": target.url("crm"),
            "/root/db2.pw": str(new.root / "db2.pw"),
        }
        first, *others = commands(PAGE, "A new host") + commands(PAGE, "One asset")
        # Others have these: test_restore_maria_server.py, restore_server/ and restore_directory/ in tests/faults/.
        elsewhere = ("mysql://", "--onto-source-server", "--part")
        lines = [line for line in others if not any(word in line for word in elsewhere)]
        assert len(lines) == 4 and lines[0].startswith(lines[1])
        done = new.run(*(said.get(word, word) for word in shlex.split(first)[1:]))
        assert done.code == 0, done
        shutil.copytree(tmp_path / "recovery", new.root, dirs_exist_ok=True)  # "cd /srv/dr", as its last line says
        for line in lines:
            program, *words = shlex.split(line)
            done = new.run(*(said.get(word, word) for word in words))
            assert program == "ccdr" and done.code == 0, (line, str(done))
            if "--dry-run" in words:  # "the same without --dry-run"
                name = "crm" if "crm" in words else "restored"
                again = [said.get(word, word) for word in words if word != "--dry-run"]
                done = new.run(*again, "--yes-i-mean", name)
                assert (done.code, done.json["result"]) == (0, "RESTORED"), (line, str(done))
        assert target.psql("select count(*) from call", "crm") == "3000"
    assert (tmp_path / "restored" / str(call).lstrip("/")).read_bytes() == b"a voice"


def stream_of(env: dict[str, str], snapshot: str) -> str:
    """As the tag of the backup's own snapshot has it."""
    argv = ["restic", "snapshots", "--json", snapshot]
    (found,) = json.loads(subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout)
    (tag,) = [tag for tag in found["tags"] if tag.startswith("stream=")]
    return str(tag.removeprefix("stream="))


@pytest.mark.parametrize("method", ["dump", "stream"])
def test_by_hand(source: Source, tmp_path: Path, method: str) -> None:
    """With restic and PostgreSQL's own tools alone, onto an empty server."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    (tmp_path / "site").mkdir()
    site = with_repository(Site(tmp_path / "site"))
    with small_database(source, "byhand") as database, server(sockets) as target:
        site.crm(source, database, f"method: {method}", name="outbound")
        done = site.run("backup", "outbound")
        assert done.code == 0, done
        (tmp_path / "restore").mkdir()
        words = {
            "PLAN": "outbound",
            "ASSET": "crm",
            "ID": done.json["snapshot"]["id"],
            "/restore": f"{tmp_path}/restore",
        }
        env = {"PATH": os.environ["PATH"], "RESTIC_REPOSITORY": str(site.repo), "RESTIC_PASSWORD": PASSWORD}
        lines = commands(PAGE, "By hand")
        for line in [line for line in lines if line.startswith("restic")]:
            if "STREAM" in line:
                if method == "dump":
                    continue
                (capture,) = (tmp_path / "restore").rglob("ccdr-capture")
                words["STREAM"] = stream_of(env, words["ID"])
                line = line.replace("/restore/…/ccdr-capture", "CAPTURE")
                words["CAPTURE"] = str(capture)
            argv = shlex.split(re.sub("|".join(words), lambda match: words[match[0]], line))
            listed = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
            assert listed.returncode == 0 and (listed.stdout.count(words["ID"][:8]) or "restore" in argv), listed
        (capture,) = [p.parent for p in (tmp_path / "restore").rglob("ccdr-manifest.json")]
        there = sockets / "ccdr-capture"
        shutil.copytree(capture, there)
        subprocess.run(["chmod", "-R", "a+rX", there], check=True)
        psql = [
            line.partition("#")[0].replace("DATABASE", database)
            for line in lines
            if line.startswith(("psql", "pg_restore"))
        ]
        assert len(psql) == 4
        script = " && ".join(psql).replace(" && pg_restore", "; pg_restore", 1)  # the first superuser is there already
        env = ["-e", f"PGPASSWORD={TARGET_PASSWORD}", "-e", "PGHOST=/sockets", "-e", "PGUSER=dba"]
        loaded = subprocess.run(
            ["docker", "exec", "-w", "/sockets/ccdr-capture", *env, target.container, "bash", "-c", script],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert loaded.returncode == 0, loaded.stderr
        assert target.psql("select count(*) from call", database) == "3000"
