"""Tables of a dump: these come back as captured, with what hangs on them alone, and are never told as the whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site, Source
from tests.support.restored_database import end, go, untouched
from tests.support.stored import assert_clean, with_repository
from tests.support.target import PASSWORD, Target

from ccdr.engines.postgres.dump.target import PostgresTarget
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore.directory import opened
from ccdr.model.values import Verdict
from ccdr.plans.job import Job
from ccdr.ports.restored import Restored

THERE = """
select string_agg(relname || ':' || relkind::text, ' ' order by relname) from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S', 'i')
"""


def test_a_table_comes_back_onto_a_server_without_the_others(site: Site, target: Target) -> None:
    done = go(site, target.url("crm"), "--part", "public.call")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert target.psql(THERE, "crm") == "call:r call_by_customer:i call_id_seq:S call_pkey:i"
    assert target.psql("select count(*), max(id) from call; select last_value from call_id_seq", "crm") == (
        "3000|3000\n3000"
    )
    assert target.psql("select has_table_privilege('restored_reader', 'call', 'select')", "crm") == "t"
    assert target.psql(
        "insert into call (customer_id, state, started_at) values (1, 'lost', now()) returning id", "crm"
    )
    record = end(site)
    assert record["parts"]["tables"] == ["public.call"] and record["parts"]["rows"] == 3000
    assert record["parts"]["of_files"] == 3
    assert any("FK CONSTRAINT public call call_customer_id_fkey" in note for note in record["notes"]), record
    (tables,) = (check for check in record["checks"] if check["name"] == "tables")
    assert tables["status"] == "PASS" and tables["expected"].startswith("1 table, 3000 row")
    passed_over = {check["kind"] for check in record["checks"] if check["status"] == "SKIPPED"}
    assert passed_over == {"identical", "integrity", "rows", "freshness", "command"}, "what else is identical"
    assert_clean(site)


def test_keys_between_chosen_tables_come_back(site: Site, target: Target) -> None:
    done = go(site, target.url("crm"), "--part", "public.call", "--part", "public.customer")
    assert done.code == 0, done
    keys = "select string_agg(conname, ' ') from pg_constraint where contype = 'f'"
    assert target.psql(keys, "crm") == "call_customer_id_fkey"
    assert "TRIGGER public customer stamp_customer" in str(done.json["notes"])


def test_a_row_that_does_not_come_back_is_a_failure(
    site: Site, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is gone before the rows are compared; the twins are above."""
    load = PostgresTarget.load

    def lossy(self: PostgresTarget, *args: Any) -> Restored:
        loaded = load(self, *args)
        target.psql("delete from call where id = 7", self.working)
        return loaded

    monkeypatch.setattr(PostgresTarget, "load", lossy)
    request = Request(to=target.url("crm"), password_file=site.root / "pw", parts=("public.call",))
    with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "crm" not in target.databases
    (tables,) = (check for check in one.result.checks if check.name == "tables")
    assert tables.status is Verdict.FAIL and "2999 restored" in tables.actual, tables


# Partitioned by range, and one of its partitions by list.
CDR = """
create table customer (id int primary key);
create table cdr (
  id bigint generated always as identity, at date not null, customer int references customer, primary key (id, at, customer)
) partition by range (at);
create index on cdr (customer);
create table cdr_2025 partition of cdr for values from ('2025-01-01') to ('2026-01-01');
create table cdr_2026 partition of cdr for values from ('2026-01-01') to ('2027-01-01') partition by list (customer);
create table cdr_2026_1 partition of cdr_2026 for values in (1);
create table cdr_2026_x partition of cdr_2026 default;
insert into customer values (1), (2);
insert into cdr (at, customer) values ('2025-03-03', 1), ('2026-03-03', 1), ('2026-03-04', 2);
"""


def test_a_partitioned_table_comes_back_with_all_of_its_partitions_and_one_of_them_alone(
    source: Source, target: Target, tmp_path: Path
) -> None:
    source.psql("create database cdrs template template0")
    try:
        source.psql(CDR, "cdrs")
        site = with_repository(Site(tmp_path))
        site.crm(source, "cdrs", checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
        site.backed_up()
    finally:
        source.psql("drop database cdrs with (force)")
    site.write("pw", f"{PASSWORD}\n", mode=0o600)
    done = go(site, target.url("crm"), "--part", "public.cdr")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert "public.cdr_2025, public.cdr_2026_1, public.cdr_2026_x" in str(done.json["notes"]), done.json["notes"]
    rows = "select count(*), count(distinct tableoid) from cdr"
    assert target.psql(f"{rows}; select count(*) from pg_inherits", "crm").split() == ["3|3", "12"], "indexes, too"
    assert target.psql("select last_value from cdr_id_seq", "crm") == "3"
    alone = go(site, target.url("one"), "--part", "public.cdr_2026_1", name="one")
    assert alone.code == 0, alone
    assert target.psql("select count(*) from cdr_2026_1; select count(*) from cdr", "one") == "1\n0"
    slip = go(site, target.url("none"), "--part", "public.cd", name="none")
    assert slip.code == 2 and "public.cd" in slip.json["error"], slip


def test_a_name_that_is_no_table_is_a_slip(site: Site, target: Target) -> None:
    for asked, meant in (("public.cal", "public.call"), ("call", "public.call"), ("public.answered", "")):
        done = go(site, target.url("crm"), "--part", asked)
        assert done.code == 2 and asked in done.json["error"] and meant in done.json["hint"], done
    untouched(target)


def test_a_directory_holds_what_is_needed_to_load_the_table(site: Site, target: Target) -> None:
    done = go(site, str(site.root / "part"), "--part", "public.call", name="part")
    assert done.code == 0, done
    assert len(list((site.root / "part/dump").glob("[0-9]*.dat"))) == 1
    assert not list((site.root / "part/dump").glob("blob*"))
    listed = (site.root / "part/parts.list").read_text()
    assert (
        "TABLE DATA public call" in listed
        and "FK CONSTRAINT" not in listed
        and "customer" not in listed.replace("call_by_customer", "")
    )
    assert {c["status"] for c in done.json["checks"]} == {"PASS", "SKIPPED"}
    assert_clean(site)
    target.psql("create role restored_owner; create role restored_reader; create database crm")
    with opened(site.root / "part"):
        shutil.copytree(site.root / "part", target.sockets / "part")
    try:
        load = ["pg_restore", "-h", "/sockets", "-U", "dba", "--exit-on-error", "-O", "-L", "/sockets/part/parts.list"]
        inside = target.client[: target.client.index("psql")]
        subprocess.run([*inside, *load, "-d", "crm", "/sockets/part/dump"], check=True)
    finally:
        shutil.rmtree(target.sockets / "part")
    assert target.psql("select count(*) from call", "crm") == "3000"
