"""The page for paper works alone: real addresses and file names, no secret's value, no word of the program's own that
only this host would understand."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import NOON
from tests.support.harness import Site
from tests.support.manifests import a_manifest
from tests.support.wording import lines_with

from ccdr.plans import LoadedPlan
from ccdr.plans.runbook_made import runbook_of
from ccdr.plans.targets import NewServer, Target
from ccdr.telling.runbook.by_hand import typed
from ccdr.telling.runbook.page import page

CAPTURED = {"version": "17.2", "bytes": 1, "database": "crm", "superusers": ["postgres"], "bootstrap": "postgres"}
SECRET = "hunter2-hunter2"
ASSETS = """
crm:
  engine: postgres
  method: physical
  connection: {host: db1.example, port: 5433, user: ccdr, database: crm, password_file: crm.pw}
dialler:
  engine: mariadb
  connection: {host: db2.example, user: ccdr, database: dialler}
  depends_on: [crm]
cdr: {engine: sqlite, path: /var/lib/cdr/cdr.db}
recordings: {engine: files, paths: [/var/spool/recordings]}
"""
TARGETS = """\
targets:
  crm: {new_server: {directory: /srv/new/crm, start: [pg_ctlcluster, "17", crm, start]}}
  dialler: {server: "mysql://root@db9.example/dialler"}
  cdr: {directory: /srv/new/cdr}
"""


@pytest.fixture
def loaded(site: Site) -> LoadedPlan:
    for name in ("crm.pw", "store.key", "store.env"):
        site.write(f"plans/{name}", f"{SECRET}\n" if name != "store.env" else f"AWS_SECRET_ACCESS_KEY={SECRET}\n")
    url = "{url: 's3:https://vault.example/ccdr-p', password_file: store.key, env_file: store.env}"
    site.plan(ASSETS, repository=url, extra=TARGETS)
    return site.loaded()


def text_of(html: str) -> str:
    import html as escapes

    lines = re.sub(r"</?(p|pre|h\d|td|th|tr|li|div|table)\b[^>]*>", "\n", html.partition("</style>")[2])
    return escapes.unescape(re.sub(r"<[^>]+>", "", lines))


def printed(loaded: LoadedPlan) -> str:
    return page(loaded, runbook_of(loaded.plan), {}, {"crm": 125.0}, {}, NOON)


def test_somebody_with_this_page_a_bare_host_and_the_key_can_type_all_of_it(loaded: LoadedPlan) -> None:
    said = text_of(printed(loaded))
    typed = [line.split("      #")[0].strip() for line in said.splitlines()]
    for line in (
        "ccdr bootstrap s3:https://vault.example/ccdr-p \\",
        "--password-file /root/p.key --env-file /root/p.env --into /srv/dr",
        "cd /srv/dr",
        "ccdr recover p --under /srv/recovered",
        "ccdr recover check p",
        "ccdr runbook run p",
        "pg_isready -h db1.example -p 5433",
        "pg_ctlcluster 17 crm start",
        "export RESTIC_REPOSITORY=s3:https://vault.example/ccdr-p",
        "restic restore --tag plan=p,asset=dialler,kind=backup latest --target /restore/dialler",
    ):
        assert line in typed, line


def test_it_says_where_the_key_lies_and_never_what_it_is(loaded: LoadedPlan) -> None:
    said = printed(loaded)
    assert str(Path(loaded.path.parent / "store.key")) in said and SECRET not in said
    assert not re.search(r"(src|href)=", said) and "url(" not in said and "<script" not in said


def test_it_names_each_file_of_a_password_that_must_be_there(loaded: LoadedPlan) -> None:
    said, file = text_of(printed(loaded)), f"in {loaded.path.parent}: crm.pw"
    named = f"For `ccdr recover check --opened` and for backups these must be there, from your copies: {file}"
    assert said.count(f"{named}; on a new host ") == 2
    assert said.index(named) < said.index("ccdr recover check p", said.index("6. Everything is back")), "before its use"
    assert "targets’ passwords" not in said
    there = Target.model_validate({"server": "mysql://root@db9.example/dialler", "password_file": "/root/db9.pw"})
    plan = loaded.plan.model_copy(update={"targets": {"dialler": there}})
    assert re.search(r"targets’ passwords\s*in /root: db9.pw", text_of(printed(replace(loaded, plan=plan))))


def test_the_order_has_minutes_and_where_each_is_then(loaded: LoadedPlan) -> None:
    said = text_of(printed(loaded))
    assert re.search(r"crm \(postgres, physical\)\s*–\s*3\s*db1.example port 5433", said)
    assert re.search(r"dialler \(mariadb, dump\)\s*crm\s*\?\s*db2.example", said)
    assert "mysql://root@db9.example/dialler" in said and "/srv/recovered/recordings" in said


def test_start_lines_are_literal_where_this_host_knows_what_was_captured(
    loaded: LoadedPlan, wording: SnapshotAssertion
) -> None:
    new = NewServer(directory=Path("/srv/new/crm"), owner="nobody")
    plan = loaded.plan.model_copy(update={"targets": {"crm": Target(new_server=new)}})
    known = {"crm": a_manifest(method="physical", contents=CAPTURED)}
    said = text_of(page(replace(loaded, plan=plan), runbook_of(plan), {}, {}, known, NOON))
    assert "pg_ctlcluster 17 crm start" in said.splitlines() and "docker run -d --name " in said
    (look,) = [line for line in said.splitlines() if line.startswith("psql")]
    assert look.startswith("psql -U postgres -h /srv/new/crm/run ") and look == wording
    unknown = text_of(page(replace(loaded, plan=plan), runbook_of(plan), {}, {}, {}, NOON))
    assert "pg_ctlcluster" not in unknown and "ccdr recover prints the lines" in unknown


@pytest.mark.parametrize(
    ("asset", "contents", "package"),
    [
        (
            "{engine: mariadb, connection: {host: /run/mysqld, user: ccdr, database: d}}",
            {"version": "11.4.5"},
            "mariadb-server",
        ),
        ("{engine: redis, connection: {host: /run/r.sock}}", {"version": "7.2.1", "server": "redis"}, "redis-server"),
    ],
)
def test_a_bare_host_gets_all_the_lines_that_a_server_needs_by_debian_and_by_docker(
    site: Site, asset: str, contents: dict[str, object], package: str, wording: SnapshotAssertion
) -> None:
    site.plan(f"d: {asset}", extra="targets: {d: {new_server: {directory: /srv/new/d}}}\n")
    loaded = site.loaded()
    known = {
        "d": a_manifest(
            contents={
                **contents,
                "bytes": 1,
                "database_bytes": 1,
                "memory_bytes": 0,
                "memory": 1,
                "described": True,
                "tables": {"hopper": {"engine": "MEMORY", "rows": 3, "file": "rows/1.sql"}},
                "database": "d",
                "users": None,
            }
        )
    }
    said = text_of(page(loaded, runbook_of(loaded.plan), {}, {}, known, NOON))
    lines = [line for line in said.splitlines() if line.strip()]
    assert f"apt-get install --yes {package}" in lines and "chown -R" in said and "systemctl disable --now" in said
    assert "by Debian's tools:" in lines and "or by Docker: take one of the two" in lines
    (docker,) = [line for line in lines if line.startswith("docker run")]
    assert '--user "$(stat -c %u:%g /srv/new/d)"' in docker and "42424242" not in said
    assert "ccdr recover check p --opened" in lines
    if package == "mariadb-server":
        assert lines_with(lines, "docker exec -i") == wording
        assert any(line.startswith("mariadb ") and line.endswith("< /srv/new/d/memory.sql") for line in lines)
    assert next(b for a, b in pairwise(lines) if a.startswith("then look at it")).startswith(
        ("mariadb --socket=/srv/new/d", "redis-cli -s /srv/new/d")
    )


def test_without_targets_it_says_who_prints_the_lines_before_it_says_to_go_on(
    site: Site, wording: SnapshotAssertion
) -> None:
    site.plan("crm: {engine: postgres, connection: {host: db1, user: ccdr, database: crm}}")
    said = text_of(printed(site.loaded()))
    assert lines_with(said, "at its end") == wording
    box = said.partition("B. There is only a bare host")[2]
    assert box.index("ccdr recover p --under") < box.index("# start each new server") < box.index("recover check p")
    assert lines_with(said, "are in 6") == wording
    site.plan("rec: {engine: files, paths: [/srv/x]}")
    said = text_of(printed(site.loaded()))
    assert "prints the lines" not in said and "start each" not in said


def test_what_the_plan_says_is_escaped_and_cannot_turn_the_page(site: Site) -> None:
    site.plan(
        "rec: {engine: files, paths: [/srv/x]}",
        extra='runbook:\n  a: {kind: manual, instructions: "<b>rm</b> \\u202e", phone: "<script>"}\n',
    )
    said = printed(site.loaded())
    assert "<script>" not in said and "<b>rm</b>" not in said and "\u202e" not in said and "&lt;b&gt;rm" in said


def test_of_two_assets_of_one_server_it_says_which_to_start_and_what_the_plan_says_then(
    site: Site, wording: SnapshotAssertion
) -> None:
    one = "connection: {host: /var/run/postgresql, user: ccdr, database: crm}"
    site.plan(
        f"crm: {{engine: postgres, {one}}}\nwhole: {{engine: postgres, method: physical, {one}, log_shipping: {{}}}}\n"
        "rec: {engine: files, paths: [/var/spool/rec]}\n"
    )
    said = text_of(printed(site.loaded()))
    assert lines_with(said, "Start whole") == wording
    assert lines_with(said, "a spare of whole") == wording
    assert "\nwhole: ccdr recover prints the lines" in said
    for asset in ("crm", "whole"):
        assert lines_with(said, f"plans/p.yaml, {asset}:") == wording
    assert lines_with(said, "mkdir -p /var/spool && mv -T") == wording
    site.plan(f"crm: {{engine: postgres, {one}}}")
    alone = text_of(printed(site.loaded()))
    assert said.index("ccdr run p ") < said.index("ccdr backup p\nccdr test p")
    assert "ccdr run p " not in alone and "ccdr backup p\nccdr test p" in alone
    assert "protect the same server" not in alone and "spare" not in alone


def test_where_addresses_are_as_before_the_plan_is_right_as_it_is(site: Site) -> None:
    site.plan("crm: {engine: postgres, connection: {host: localhost, user: ccdr, database: crm}}")
    said = text_of(printed(site.loaded()))
    assert "the plan says so already." in said and "connection.host" not in said


def test_no_line_of_it_is_empty_words_and_no_comment_breaks_into_a_command(site: Site) -> None:
    """Eighty columns fit on every paper."""
    site.plan(ASSETS, name="a-plan-with-quite-a-long-name-for-a-page", repository="{url: /srv/r, password_file: key}")
    site.write("plans/crm.pw", f"{SECRET}\n")
    said = text_of(printed(site.loaded("a-plan-with-quite-a-long-name-for-a-page")))
    assert "None" not in said
    lines = [line for line in said.splitlines() if "      # " in line or line.startswith("# ")]
    assert len(lines) > 8 and max(map(len, lines)) <= 80, max(lines, key=len)
    assert typed("x" * 70, "a comment") == f"# a comment\n{'x' * 70}"
    assert typed("x", "a comment") == "x      # a comment"


THEN = "then (by Docker with docker exec before each):"


def test_where_recover_prints_the_start_lines_the_page_shows_them_again(site: Site, tmp_path: Path) -> None:
    site.plan("crm: {engine: postgres, connection: {host: db1, user: ccdr, database: crm}}")
    said = text_of(printed(site.loaded()))
    (line,) = re.findall(r"^jq (?:.*\n){1,2}.*ccdr-server.json$", said, re.MULTILINE)
    start = {"debian": ['say "it"'], "docker": ["docker run"], "then": [], "look": ["psql"], "inside": "docker exec"}
    (tmp_path / "ccdr-server.json").write_text(json.dumps({"start": start}), "utf-8")
    typed_here = line.replace("/srv/recovered/crm", str(tmp_path))
    done = subprocess.run(["bash", "-c", typed_here], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["Debian:", 'say "it"', "or Docker:", "docker run", THEN, "psql"]


def test_a_socket_of_mariadb_is_told_without_a_port_that_nobody_has_stated(site: Site) -> None:
    site.plan("d: {engine: mariadb, connection: {host: /run/mysqld, user: ccdr, database: d}}")
    assert re.search(r"/run/mysqld, database d", text_of(printed(site.loaded())))
