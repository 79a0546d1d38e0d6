"""From a server's address to a proven restore in three commands; and what is in no plan is seen."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import test_sources
from tests.e2e.test_sources import KEEPER_PASSWORD, Server
from tests.support.harness import SQLITE_SMALL, Quiet, Ran, Site, Source, ask_sqlite
from tests.support.repositories import new_repository
from tests.support.stored import LONG_AGO, settled_file

from ccdr.demo.centre import SOUNDS
from ccdr.engines.postgres.discovery import SOCKETS
from ccdr.plans.yamlfile import parse
from ccdr.setup.discover.unprotected import discover

pytestmark = pytest.mark.long

server = test_sources.server


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path


def ccdr(here: Path, *args: str, env: dict[str, str] | None = None) -> Ran:
    """`ccdr ARGS` in an empty directory, as a newcomer calls it."""
    argv = [sys.executable, "-m", "ccdr", *args]
    environment = {**os.environ, "CCDR_STATE": str(here / "state"), **(env or {})}
    done = subprocess.run(
        argv, cwd=here, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout) if "--json" in args and done.stdout.strip() else None
    return Ran(done.returncode, done.stdout, done.stderr, document)


def following(done: Ran) -> list[list[str]]:
    """The commands that init says come next."""
    lines = done.stdout[done.stdout.index("next:") :].splitlines()[1:]
    commands = [shlex.split(line) for line in lines if line.strip()]
    assert all(words[0] == "ccdr" for words in commands), commands
    return [words[1:] for words in commands]


def proven(here: Path, made: Ran, *, bare: bool = False) -> list[dict[str, Any]]:
    """Run what init says comes next: stored, restored, PASS. The tests' results.

    `bare`: the backup makes the repository; else there is one that opens at once.
    """
    backup, test = following(made)
    if not bare:
        key = next(here.rglob("*.key"))
        assert [p.name for p in here.rglob("*.key")] == [key.name]
        new_repository(here / "ccdr-repository" / backup[-1], key.read_text().strip())
    done = ccdr(here, *backup)
    assert done.code == 0, done
    done = ccdr(here, *test, "--json")
    results = done.json.get("tests", [done.json])
    assert done.code == 0, [(r["asset"], r["reason"], r["checks"]) for r in results]
    assert {r["verdict"] for r in results} == {"PASS"}
    return results


def lint(here: Path) -> Any:
    done = ccdr(here, "plan", "check", "--json")
    assert (done.code, done.json["problems"]) == (0, []), done
    found = done.json["lint"]
    nobody = [line for line in found if "names nobody" in line]
    assert nobody, "who answers for it is for a person to write"
    return [line for line in found if line not in nobody]


def url(source: Source, database: str = "") -> str:
    return f"postgresql://postgres@/{database}?host={source.sockets}"


# --- three commands -------------------------------------------------------------------------------------------------


def test_three_commands_from_an_address_to_a_proven_restore(here: Path, source: Source, database: str) -> None:
    settled_file(here / "etc" / "asterisk" / "sip.conf", b"[general]\n")
    made = ccdr(here, "init", url(source, database), str(here / "etc"), "--name", "centre")
    assert made.code == 0, made
    assert lint(here) == []
    results = proven(here, made, bare=True)
    assert [r["asset"] for r in results] == [database, "etc"]
    kinds = [check["kind"] for check in results[0]["checks"]]
    assert {"identical", "integrity", "rows", "freshness"} <= set(kinds)
    assert "public.call has at least 1500 rows" in [check["name"] for check in results[0]["checks"]]
    assert ccdr(here, "status").code == 0
    modes = {p.name: p.stat().st_mode & 0o777 for p in (here / "plans").rglob("*")}
    assert (modes["secrets"], modes["centre.key"]) == (0o700, 0o600)
    key = (here / "plans" / "secrets" / "centre.key").read_text().strip()
    assert len(key) >= 40
    assert key not in made.stdout + made.stderr
    assert "keep a copy of it elsewhere" in made.stdout


def test_what_was_found_in_a_database_stands_in_its_plan_and_restore_test(
    here: Path, source: Source, database: str
) -> None:
    """Its extensions, which an image must have, and its newest timestamps, which tell how fresh a backup must be."""
    asked = "select extname, extversion from pg_extension where extname in ('pg_trgm', 'btree_gist') order by 1"
    plain = ccdr(here, "init", url(source, database), "--dry-run", "--json").json
    source.psql("create extension pg_trgm; create extension btree_gist", database)
    mails = "select now() - n * interval '4 days' from generate_series(1, 20) n"
    source.psql(f"create table voice_mail (left_at timestamptz); insert into voice_mail {mails}", database)
    there = dict(line.split("|") for line in source.psql(asked, database).splitlines())
    made = ccdr(here, "init", url(source, database), "--json")
    assert made.code == 0, made
    (asset,) = made.json["assets"]
    assert asset["extensions"] == there and len(there) == 2
    plan = (here / "plans" / f"{database}.yaml").read_text()
    told = ", ".join(f"{name} {version}" for name, version in there.items())
    assert "    # extensions, which " in plan and f"(else name one with `image:`): {told}\n" in plan
    assert plain["assets"][0]["extensions"] == {} and "# extensions" not in plain["files"][f"plans/{database}.yaml"]
    file = here / "restore_tests" / f"{database}.yaml"
    document, wrong = parse(file.read_bytes())
    assert document is not None and wrong == []
    fresh = {c["query"]: (c["name"], c["within"]) for c in document.data["checks"] if c["kind"] == "freshness"}
    assert fresh == {
        "select max(started_at) from public.call": ("newest row of public.call", "30d"),  # two days tell no rhythm
        "select max(left_at) from public.voice_mail": ("newest row of public.voice_mail", "12d"),
    }
    text = file.read_text()
    assert "# The newest row was 4d 0h old. " in text and "No silence was longer than 4 days:" in text
    told_to_people = ccdr(here, "init", url(source, database), "--dry-run", "--force").stdout
    assert f"extensions {', '.join(there)}" in told_to_people, told_to_people


@pytest.mark.skipif(not SOUNDS.is_dir(), reason="needs Debian's asterisk-core-sounds-en-wav")
def test_recordings_are_decoded_at_once(here: Path) -> None:
    for path in sorted(SOUNDS.rglob("*.wav"))[:6]:
        settled_file(here / "spool" / "2026" / path.name.upper(), path.read_bytes(), LONG_AGO)
    made = ccdr(here, "init", str(here / "spool"))
    assert made.code == 0, made
    (result,) = proven(here, made)
    decodable = [check for check in result["checks"] if check["kind"] == "decodable"]
    assert [check["actual"] for check in decodable] == ["6 files decode"]


def test_a_sqlite_database_is_named_by_its_file(here: Path) -> None:
    ask_sqlite(here / "pbx" / "cdr.sqlite3", SQLITE_SMALL)
    settled_file(here / "pbx" / "etc" / "sip.conf", b"[general]\n")
    ask_sqlite(
        here / "pbx" / "etc" / "astdb.sqlite3", "create table astdb (key, value); insert into astdb values (1, 2)"
    )
    given = [str(here / "pbx" / "cdr.sqlite3"), str(here / "pbx" / "etc"), "--name", "pbx"]
    made = ccdr(here, "init", *given)
    assert made.code == 1 and "may be torn while it is in use" in made.stdout, made
    assert f"sqlite:{here}/pbx/etc/astdb.sqlite3" in made.stdout
    found = ccdr(here, "discover", "--json").json["unprotected"]
    assert [(u["kind"], u["name"]) for u in found] == [("database file", "astdb.sqlite3")]
    made = ccdr(here, "init", *given, f"sqlite:{here}/pbx/etc/astdb.sqlite3", "--force")
    assert made.code == 0, made
    assert lint(here) == []
    results = proven(here, made)
    assert [r["asset"] for r in results] == ["cdr", "astdb", "etc"]
    names = [check["name"] for check in results[0]["checks"]]
    assert {"integrity_check", "call has at least 1500 rows", "newest row of call"} <= set(names), names
    assert ccdr(here, "discover", "--json").json["unprotected"] == []


def test_commands_that_follow_name_the_directories_that_were_named(here: Path) -> None:
    settled_file(here / "etc" / "sip.conf", b"x")
    dirs = ["--plans", "some plans", "--restore-tests", "tests", "--state", "st"]
    made = ccdr(here, "init", *dirs, "etc", "--name", "e")
    assert made.code == 0, made
    assert proven(here, made)
    assert sorted(p.name for p in here.iterdir()) == ["ccdr-repository", "etc", "some plans", "st", "tests"]


def without_size(text: str) -> str:
    """A server's databases grow while nobody writes to them."""
    return re.sub(r"\b[0-9.]+ [KMG]iB\b", "…", text)


def test_dry_run_shows_the_texts_and_writes_nothing(here: Path, source: Source, database: str) -> None:
    shown = ccdr(here, "init", url(source, database), "--dry-run", "--json")
    assert shown.code == 0, shown
    assert [p.name for p in here.iterdir()] == ["state"]
    assert shown.json["written"] == []
    written = ccdr(here, "init", url(source, database))
    assert written.code == 0, written
    assert set(shown.json["files"]) == {f"plans/{database}.yaml", f"restore_tests/{database}.yaml"}
    there = (here / "plans" / f"{database}.yaml").read_text()
    assert without_size(shown.json["files"][f"plans/{database}.yaml"]) == without_size(there)


# --- servers as they are --------------------------------------------------------------------------------------------


@pytest.fixture
def keeper(here: Path) -> Iterator[str]:
    path = here / "plans" / "keeper.pw"
    path.parent.mkdir()
    path.write_text(KEEPER_PASSWORD + "\n")
    path.chmod(0o600)
    yield "plans/keeper.pw"


def everything(server: Server, names: list[str]) -> None:
    """Only these databases, besides the server's own."""
    for name in server.psql(
        "select datname from pg_database where not datistemplate and datname <> 'postgres'"
    ).splitlines():
        server.psql(f'drop database "{name.replace(chr(34), chr(34) * 2)}" with (force)')
    for name in names:
        server.create(name, test_sources.CALLS if name != "empty" else "")


def test_whole_server_by_tcp_with_a_password(here: Path, server: Server, keeper: str) -> None:
    everything(server, ["crm", 'Odd "name": {x}', "empty", "yes"])
    address = f"postgresql://keeper@127.0.0.1:{server.port}"
    made = ccdr(here, "init", address, "--name", "all", "--password-file", keeper)
    assert made.code == 0, made
    assert "empty is left out" in made.stdout
    assert lint(here) == []
    plan, _ = parse((here / "plans" / "all.yaml").read_bytes())
    assert plan is not None
    found = {name: asset["connection"] for name, asset in plan.data["assets"].items()}
    assert [c["database"] for c in found.values()] == ['Odd "name": {x}', "crm", "yes"]
    assert {c["password_file"] for c in found.values()} == {"keeper.pw"}
    assert len(proven(here, made)) == 3
    everywhere = "".join(p.read_text(errors="replace") for p in (here / "state" / "ledger").iterdir())
    assert KEEPER_PASSWORD not in everywhere + made.stdout + made.stderr + (here / "plans" / "all.yaml").read_text()


def test_role_that_lacks_rights_is_told_the_sql_that_gives_them(here: Path, server: Server) -> None:
    name = server.create(
        "guarded",
        test_sources.CALLS
        + "create table secret (id int primary key, at timestamptz); alter table secret enable row level security;"
        "insert into secret select g, now() from generate_series(1, 20) g; select lo_from_bytea(0, 'voice') \\g /dev/null",
    )
    server.psql('drop role if exists "New One"; create role "New One" login')
    address = f"postgresql://New%20One@/{name}?host={server.sockets}&port={server.port}"
    made = ccdr(here, "init", address, "--json")
    assert made.code == 1, made
    sql = [finding.split("in that database: ")[1] for finding in made.json["findings"]]
    assert len(sql) == 3, made.json["findings"]
    *grants, again = made.json["next"]
    assert grants == [f"as a superuser in the database {name}: {statement}" for statement in sql]
    for statement in sql:
        server.psql(statement + "\n", name)
    made = ccdr(here, *shlex.split(again)[1:])
    assert "--force" in again and made.code == 0, made
    (result,) = proven(here, made)
    assert "public.secret has at least 10 rows" in [check["name"] for check in result["checks"]]
    server.psql('drop owned by "New One"', name)
    server.psql(f"drop database {name}")


def test_databases_that_may_not_be_connected_to_are_named(here: Path, server: Server) -> None:
    everything(server, ["open", "closed"])
    server.psql("revoke connect on database closed from public")
    address = f"postgresql://ccdr_backup@/?host={server.sockets}&port={server.port}"
    made = ccdr(here, "init", address, "--json", "--name", "c")
    assert made.code == 1, made
    assert [a["database"] for a in made.json["assets"]] == ["open"]
    assert "GRANT CONNECT ON DATABASE closed TO ccdr_backup" in str(made.json["findings"])


# --- what is in no plan ---------------------------------------------------------------------------------------------


def in_no_plan(done: Ran) -> list[tuple[str, str]]:
    """What was found in no plan, besides on servers that this host may have of its own."""
    return [(u["kind"], u["name"]) for u in done.json["unprotected"] if not u["server"].startswith(SOCKETS)]


def test_discover_names_what_no_plan_protects(here: Path, server: Server) -> None:
    everything(server, ["crm", "forgotten", "empty"])
    for name in ("spool/here/a.wav", "spool/beside/b.wav", "spool/text/c.txt"):
        settled_file(here / name, b"RIFF")
    address = f"postgresql:///crm?host={server.sockets}&port={server.port}&user=ccdr_backup"
    assert ccdr(here, "init", address, str(here / "spool" / "here"), "--name", "p").code == 0
    done = ccdr(here, "discover", "--json")
    assert done.code == 1, done
    assert in_no_plan(done) == [("database", "forgotten"), ("directory", "beside")]
    assert [(u["plan"], u["asset"]) for u in done.json["untested"]] == [("p", "crm"), ("p", "here")]
    assert done.json["unreachable"] == []
    plan = here / "plans" / "p.yaml"
    text = plan.read_text()
    plan.write_text(f"{text}ignore: [forgotten, {here}/spool/beside]\n")
    assert in_no_plan(ccdr(here, "discover", "--json")) == []
    plan.write_text(text)
    # By TCP it is the same server: what one plan names, no other plan leaves out.
    (here / "keeper.pw").write_text(KEEPER_PASSWORD + "\n")
    (here / "keeper.pw").chmod(0o600)
    tcp = f"postgresql://keeper@127.0.0.1:{server.port}/forgotten"
    assert (
        ccdr(here, "init", tcp, "--password-file", "keeper.pw", str(here / "spool" / "beside"), "--name", "q").code == 0
    )
    assert in_no_plan(ccdr(here, "discover", "--json")) == []
    assert ccdr(here, "discover", "p", "--json").json["unprotected"] == []


def test_discover_is_content_once_all_is_in_a_plan_and_tested(here: Path) -> None:
    settled_file(here / "srv" / "etc" / "sip.conf", b"x")
    made = ccdr(here, "init", str(here / "srv" / "etc"))
    proven(here, made)
    done = ccdr(here, "discover", "etc")
    assert (done.code, "every asset was tested" in done.stdout) == (0, True), done


def test_discover_finds_servers_of_this_host_that_no_plan_names(site: Site, source: Source, database: str) -> None:
    settled_file(site.root / "tree" / "x", b"x")
    site.recordings(site.root / "tree")

    def around() -> list[tuple[str, str]]:
        found = discover(
            [site.loaded()], [site.loaded()], site.services(), Quiet(), this_host=True, sockets=source.sockets
        )
        assert found.unreachable == []
        return [(u.kind, u.name) for u in found.unprotected if u.server.startswith(str(source.sockets))]

    user = getpass.getuser()
    assert around() == [("server", "PostgreSQL, port 5432")]  # it does not know us
    source.psql(f'create role "{user}" login')
    try:
        assert ("database", database) in around()
        site.crm(source, database)
        assert ("database", database) not in around()
    finally:
        source.psql(f'drop role "{user}"')


def test_discover_says_what_it_could_not_ask(site: Site, tmp_path: Path) -> None:
    assets = f"""
        gone:
          engine: postgres
          connection: {json.dumps({"host": str(tmp_path / "nowhere"), "user": "u", "database": "d"})}
        tree:
          engine: files
          paths: [{tmp_path}/no/such/tree]
        """
    site.plan(assets)
    done = site.run("discover")
    assert done.code == 1, done  # nothing was ever tested either
    assert [u["server"] for u in done.json["unreachable"]] == [f"{tmp_path}/nowhere (port 5432)", f"{tmp_path}/no/such"]
    assert {u["why"] for u in done.json["untested"]} == {"its plan has no restore test for it"}


def test_recordings_that_have_not_settled_are_waited_for(here: Path) -> None:
    (here / "rec").mkdir()
    (here / "rec" / "a.gsm").write_bytes(b"a voice")
    dry = ccdr(here, "init", str(here / "rec"), "--repository", str(here / "repo"), "--dry-run")
    assert "waiting" not in dry.stderr, dry
    os.utime(here / "rec" / "a.gsm", times=(time.time() - 50, time.time() - 50))
    made = ccdr(here, "init", str(here / "rec"), "--repository", str(here / "repo"))
    assert made.code == 0 and "until files have settled" in made.stderr, made
    proven(here, made, bare=True)
