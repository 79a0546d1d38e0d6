"""A server's files as restic restores them: below directories of root alone, with a configuration that names the places
where they were. The page's lines start a server on them. A dump lies there likewise, and is loaded by whom they name."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from tests.conftest import _image
from tests.support.harness import Site
from tests.support.mariadb_source import MAJOR, image_of

from ccdr.telling.runbook import by_hand
from ccdr.telling.runbook.by_hand import ASIDE_POSTGRES, START_MARIADB, START_POSTGRES

POSTGRES = """set -e
export PATH=$PATH:/usr/lib/postgresql/17/bin
install -d -m 700 /restore /restore/crm /restore/crm/var
D=/restore/crm/var
su postgres -c "$(command -v initdb) -D /tmp/made" > /tmp/said
mv /tmp/made $D/data
{damage}
chown -R root $D/data
{lines}
[ ! -e /gone ]
su postgres -c "psql -X -h /tmp -p $(sed -n 4p $D/data/postmaster.pid) -d postgres -At" <<'END'
select 40 + 2, pg_is_in_recovery(), current_setting('archive_mode'), current_setting('max_connections'),
  current_setting('max_logical_replication_workers');
END
"""
MARIADB = """set -e
install -d -m 700 /restore /restore/crm /restore/crm/var
D=/restore/crm/var
mariadb-install-db --no-defaults --user=root --datadir=$D/data --auth-root-authentication-method=normal > /tmp/said
rm -rf /run/mysqld
mkdir /undo && chown mysql /undo
printf '[mysqld]\\nevent_scheduler=ON\\ninnodb_page_size=4096\\ninnodb_undo_directory=/undo\\nlog_bin=/undo/log\\n' > /etc/mysql/my.cnf
printf '[mysqld]\\ninnodb_page_size=16384\\ninnodb_undo_directory=/undo\\n' > $D/data/backup-my.cnf
{lines}
[ -z "$(ls /undo)" ]
mariadb --no-defaults --user=root --socket=/tmp/restored.sock -BNe "select concat(40 + 2, ' ', @@event_scheduler, ' ', @@log_bin)"
"""
OLD_PLACES = """cat >> $D/data/postgresql.conf <<'END'
data_directory = '/gone/data'
hba_file = '/gone/data/pg_hba.conf'
ident_file = '/gone/data/pg_ident.conf'
unix_socket_directories = '/gone/run'
logging_collector = on
log_directory = '/gone/log'
include = '/gone/more.conf'
archive_mode = on
archive_command = 'mkdir /gone'
max_connections = 123
END
echo "primary_conninfo = 'host=192.0.2.1'" >> $D/data/postgresql.auto.conf
echo 'include /gone/hba' >> $D/data/pg_hba.conf
touch $D/data/standby.signal"""
ELSEWHERE = "rm $D/data/postgresql.conf $D/data/pg_hba.conf $D/data/pg_ident.conf"  # as Debian has them


def _answered(image: str, script: str) -> str:
    argv = ["docker", "run", "--rm", "--network", "none", "--user", "root", "--entrypoint", "", image]
    done = subprocess.run([*argv, "bash", "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done
    return done.stdout.strip().splitlines()[-1]


def _typed(lines: Sequence[str]) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("damage", "connections"),
    [(":", 100), (OLD_PLACES, 123), (ELSEWHERE, 100)],
    ids=["as it is", "old places", "no configuration"],
)
def test_postgresql_is_started_by_the_pages_lines(damage: str, connections: int) -> None:
    lines = _typed([*ASIDE_POSTGRES, *START_POSTGRES])
    assert _answered(_image(), POSTGRES.format(damage=damage, lines=lines)) == f"42|f|off|{connections}|0"


DUMP = """set -e
export PATH=$PATH:/usr/lib/postgresql/17/bin
su postgres -c 'initdb -D /tmp/empty && pg_ctl -D /tmp/empty -w -o "-c unix_socket_directories=/var/run/postgresql" start' > /tmp/said
install -d -m 700 /restore /restore/crm /restore/crm/var
D=/restore/crm/var
touch $D/ccdr-manifest.json
su postgres -c 'createdb crm && psql -qd crm -c "create table call as select 42 as n" && cd /tmp && pg_dump -Fd -f /tmp/dump crm && dropdb crm'
mv /tmp/dump $D/dump
echo 'create role agent;' > $D/roles.sql
chown -R root:root $D && chmod -R go-rwx $D
unset D
{lines}
su postgres -c 'psql -d crm -Atc "select n from call"'
"""


def test_a_dump_is_loaded_by_the_pages_lines(site: Site) -> None:
    """As restic gives it back: for root alone, who is nobody to the server."""
    site.plan("crm: {engine: postgres, connection: {host: /one, user: u, database: crm}}")
    plan = site.loaded().plan
    (lines,) = (p.lines for p in by_hand.parts(plan, "crm", plan.assets["crm"]) if p.says.startswith("Load it"))
    script = DUMP.replace("{lines}", _typed(lines))
    assert _answered(_image(), f"mkdir -p /var/run/postgresql && chown postgres /var/run/postgresql\n{script}") == "42"


def test_mariadb_is_started_by_the_pages_lines() -> None:
    assert _answered(image_of(MAJOR), MARIADB.format(lines=_typed(START_MARIADB))) == "42 OFF OFF"
