"""A database restored for real onto another server: how it is asked for, how it ended, and what is there then."""

from __future__ import annotations

from typing import Any

from tests.support.harness import Ran, Site
from tests.support.target import Target

CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: command, argv: ["psql", "-h", "/ccdr/run", "-U", "postgres", "-c", "select 1"]}
"""
# What a database is beside its tables; and rows that make a load last where `ccdr.nap` is set.
MORE = r'''
create role {name}_owner login password 'hush';
create role "{name}: o'Hara; ""x""" nologin;
grant {name}_reader to {name}_owner with admin option;
grant {name}_reader to "{name}: o'Hara; ""x""" granted by {name}_owner;
grant set on parameter work_mem to {name}_owner;
alter role {name}_owner set statement_timeout = '30s';
alter role {name}_owner in database {name} set lock_timeout = '3s';
alter database {name} owner to {name}_owner;
alter database {name} set search_path = public, pg_temp;
alter database {name} connection limit 50;
comment on database {name} is 'it''s
ALTER DATABASE {name} OWNER TO nobody;
\connect {name}
--
-- Name: {name}; Type: DATABASE PROPERTIES; Schema: -; Owner: nobody
--

-- ours';
comment on role {name}_owner is 'it''s
\connect {name}
CREATE ROLE nobody;
-- ours';
grant connect on database {name} to "{name}: o'Hara; ""x""";
revoke temporary on database {name} from public;
set role {name}_owner; create extension pgcrypto; reset role; create extension hstore;
create function nap() returns int language plpgsql as $$
  begin
    perform pg_sleep(coalesce(current_setting('ccdr.nap', true)::float, 0));
    if current_setting('ccdr.lock', true) = 'on' then lock table pg_authid in row exclusive mode; end if;
    return 1;
  end $$;
create table slow (id int, check (nap() = 1));
insert into slow select generate_series(1, 60);
alter table call owner to {name}_owner;
'''
GONE = 'drop owned by {name}_owner, "{name}: o\'Hara; ""x"""; drop role {name}_owner, "{name}: o\'Hara; ""x""";'


def go(site: Site, url: str, *args: str, name: str = "crm", env: dict[str, str] | None = None) -> Ran:
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", name]
    return site.run("restore", "p", "--asset", "crm", "--to", url, *login, *args, env=env)


def end(site: Site) -> dict[str, Any]:
    assert len(site.records("restore.start")) == len(site.records("restore.end"))
    return site.records("restore.end")[-1]


def untouched(target: Target) -> None:
    assert target.databases == {"postgres", "template0", "template1"} and target.roles == {"dba"}
