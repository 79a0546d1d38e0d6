"""What is lost or changed between capture and check is a FAIL; the same test without the damage passes."""

from __future__ import annotations

import pytest
from tests.harness import Site, Source, sql_damage

from ccdr.model import Verdict

DAMAGE = {
    "table_missing": "drop table call cascade",
    "row_changed": "update call set seconds = seconds + 1 where id = 7",
    "row_lost": "delete from call where id = 7",
    "index_dropped": "drop index call_by_customer",
    "trigger_dropped": "drop trigger stamp_customer on customer",
    "trigger_disabled": "alter table customer disable trigger stamp_customer",
    "grant_lost": "revoke all on call from {db}_reader",
    "owner_changed": "alter table call owner to {db}_reader",
    "sequence_behind": "select setval('call_id_seq', 5)",
    "view_dropped": "drop view answered",
    "large_object_changed": "select lo_put(oid, 0, 'X') from pg_largeobject_metadata",
    "large_object_owner": "do $$ declare o oid; begin for o in select oid from pg_largeobject_metadata loop"
    " execute format('alter large object %s owner to {db}_reader', o); end loop; end $$",
    "role_attribute": "alter role {db}_reader login",
    "database_setting": "alter database {db} set work_mem = '1MB'",
    "constraint_dropped": "alter table call drop constraint call_seconds_check",
    "enum_value_renamed": "alter type call_state rename value 'lost' to 'missed'",
}


@pytest.fixture
def backed_up(site: Site, source: Source, database: str) -> Site:
    site.crm(source, database)
    site.backed_up()
    return site


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_after_restore_fails(backed_up: Site, database: str, name: str) -> None:
    done = backed_up.damaged_test(sql_damage(DAMAGE[name].format(db=database), database))
    assert done.verdict is Verdict.FAIL, done.checks
    assert any(c.status is Verdict.FAIL and c.kind == "identical" for c in done.checks)


def test_undamaged_twin_passes(backed_up: Site, database: str) -> None:
    done = backed_up.damaged_test(sql_damage("select 1; analyze; reindex index call_by_customer", database))
    assert done.verdict is Verdict.PASS, (done.reason, done.checks)
