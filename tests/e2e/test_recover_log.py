"""docs/how-to/recover.md, followed by somebody who goes back to a moment by a shipped log with the servers' own tools."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import _image
from tests.support import shipping, shipping_mariadb
from tests.support.harness import Site, image_on
from tests.support.mariadb_source import MAJOR, MariaSource, crm, data_directory, image_of, mariadb_server, whole_server
from tests.support.pages import commands
from tests.support.primary import primary

from ccdr.telling.runbook import by_hand

pytestmark = pytest.mark.long

LOG = "By hand: a shipped log"
# Started on what a container has applied the log to: nobody is in recovery, nothing leads to the source's own path.
POSTGRES = """set -ex
{lines}
export PGHOST=/tmp PGUSER=postgres
psql -XqAtc "create table can_be_written ()" postgres
psql -XqAtc "select string_agg(note, ' ' order by id), (select count(*) from late) from call where id > 100" postgres
"""
# What a page's next line waits for, as whoever types it looks whether it is time.
APPLIED = """until docker exec applied psql -XqAt -h /tmp -d postgres -c 'select {}' | grep -q t; do
  docker inspect -f {{{{.State.Running}}}} applied | grep -q true || exit 9; sleep 0.1
done"""
MARIADB = """set -ex
chmod 755 {d} {d}/restore {d}/restore/whole
chown -R mysql {d}/restore/whole/data
{start}
mariadb --no-defaults --socket=/tmp/restored.sock -BNe "select concat_ws(' ', group_concat(note order by id separator ' '), (select n from crm.far)) from crm.calls where id > 100"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Where other users see it."""
    path = Path(tempfile.mkdtemp(prefix="ccdr-by-hand-", dir="/var/tmp"))
    (path / "restore").mkdir()
    yield path
    shutil.rmtree(path)


class ByHand:
    """Whoever types a page's commands, with their own names put in."""

    def __init__(self, site: Site, place: Path, moment: str) -> None:
        self.d = place
        self.env = {**os.environ, "RESTIC_REPOSITORY": str(site.repo), "RESTIC_PASSWORD_FILE": f"{site.root}/plans/key"}
        argv = ["restic", "snapshots", "--json", "--tag", "plan=p,asset=crm,kind=backup"]
        found: Any = json.loads(subprocess.run(argv, env=self.env, capture_output=True, check=True).stdout)
        self.names = {
            "ID:CAPTURED": f"{found[-1]['id']}:{found[-1]['paths'][0]}",
            "PLAN": "p",
            "ASSET": "crm",
            "TIME": moment,
            "/restore/": f"{place}/restore/",
        }

    def lines(self, heading: str, step: str) -> str:
        said = "\n".join(commands("how-to/recover.md", heading, step))
        for name, mine in self.names.items():
            said = said.replace(name, mine)
        return said

    def here(self, *lines: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "BAD" not in done.stdout, done
        return done.stdout

    def in_box(self, image: str, script: str) -> str:
        argv = image_on(self.d)
        done = subprocess.run([*argv, image, "bash", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout.strip().splitlines()[-1]


def test_postgres(site: Site, place: Path, tmp_path: Path) -> None:
    """With a tablespace that was made after the base: whatever is typed, nothing of the source's is touched."""
    image = _image()
    with primary(tmp_path / "source", image, "max_slot_wal_keep_size=1GB") as source:
        source.psql(shipping.SMALL)
        shipping.plan(site, source)
        site.backed_up()
        subprocess.run(["docker", "exec", source.container, "mkdir", "/work/late one"], check=True)
        source.psql("create tablespace late location '/work/late one'")
        source.psql("create table late tablespace late as select generate_series(1, 7)")
        shipping.note(source, "first")
        shipping.ship_once(site)
        source.psql("select pg_switch_wal()")
        moment = shipping.note(source, "second")
        shipping.note(source, "third")
        shipping.ship_once(site)
    me = ByHand(site, place, str(moment))
    base = f"restic restore {me.names['ID:CAPTURED']} --target {place}/restore/whole"  # which stands on its own
    apply = me.lines(LOG, "PostgreSQL").replace("I=postgres:17", f"I={image}")
    first, then = apply.split("docker exec", 1)
    resume, end = f"docker exec{then}".split("docker stop", 1)
    paused, written = APPLIED.format("pg_is_wal_replay_paused()"), APPLIED.format("not pg_is_in_recovery()")
    with none_left():
        me.here(base, me.lines(LOG, "Fetch it"), first, paused, resume, written, f"docker stop{end}")
    start = "\n".join(by_hand.START_POSTGRES).replace("$D", f"{place}/restore/whole")
    lines = f"PATH=$PATH:/usr/lib/postgresql/17/bin\n{start}"
    assert me.in_box(image, POSTGRES.format(lines=lines)) == "first second|7"
    shutil.rmtree(place / "restore")
    (place / "restore").mkdir(mode=0o700)
    _by_the_page(site, me, image)


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["docker", "rm", "-f", "applied"], check=False, capture_output=True)


def _by_the_page(site: Site, me: ByHand, image: str) -> None:
    """To the log's end, by the lines of the printed page alone, below directories that restic has made."""
    plan = site.loaded().plan
    parts = [part.lines for part in by_hand.parts(plan, "crm", plan.assets["crm"])]
    _, fetch, _, verify, _, aside, log, apply, look, end, start = [
        [line.replace("/restore/", f"{me.d}/restore/") for line in lines] for lines in parts
    ]
    me.here(*fetch, *log)
    apply[0] = f"I={image}"
    with none_left():
        written = APPLIED.format("not pg_is_in_recovery()")
        said = me.here(verify[0], *aside, log[0], *apply, written, *look, *end)
    position = re.search(r"^position=(.*)$", said, re.MULTILINE)
    assert position is not None and said.count(f"{position[1]} ") == 1, "all of it was applied"
    assert not list(me.d.rglob("recovery.signal"))
    assert me.in_box(image, POSTGRES.format(lines="\n".join([*verify[:2], *start]))) == "first second third|7"


def test_mariadb(site: Site, place: Path) -> None:
    """With a table that the log makes at a path of the source's, which this host has: nothing comes there."""
    data = data_directory()
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as source:
        source.sql(shipping_mariadb.SMALL)
        moment = _shipped(site, source, data)
    far = data / "far"
    far.mkdir(parents=True)
    me = ByHand(site, place, moment.replace(" ", "T"))
    whole = "By hand: a whole MariaDB server"
    me.here(me.lines(whole, "Fetch and compare"), me.lines(LOG, "Fetch it"))
    me.in_box(image_of(MAJOR), f"{me.lines(whole, 'Make it ready.')}\necho ready")
    apply = me.lines(LOG, "MariaDB").split("\n")
    assert apply[1].startswith("I=mariadb:$(jq ")
    try:
        me.here(apply[0], f"I={image_of(MAJOR)}", *apply[2:])
        assert not list(far.iterdir())
    finally:
        shutil.rmtree(data)
    script = MARIADB.format(d=place, start=me.lines(whole, "Start a server on it"))
    assert me.in_box(image_of(MAJOR), script) == "first second 7"


def _shipped(site: Site, source: MariaSource, data: Path) -> str:
    """The moment before the third row."""
    crm(site, source, "crm", whole_server(data, "{interval: 2s}"), checks=shipping_mariadb.CHECKS)
    site.backed_up()
    source.sql("insert into crm.calls (note) values ('first')")
    shipping.ship_once(site)
    subprocess.run(["docker", "exec", source.container, "mkdir", str(data / "far")], check=True)
    source.sql("flush binary logs; insert into crm.calls (note) values ('second')")
    source.sql(f"create table crm.far (n int) data directory='{data / 'far'}'; insert into crm.far values (7)")
    time.sleep(1.1)  # the log tells whole seconds
    moment = source.sql("select utc_timestamp()")
    time.sleep(1.1)
    source.sql("insert into crm.calls (note) values ('third')")
    shipping.ship_once(site)
    return moment
