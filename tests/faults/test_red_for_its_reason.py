"""What is red names its cause: by names of the schema and the plan, and no word of a row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.harness import Site, Source

CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
# It was built once, by a session that nobody has when a dump is loaded.
SCHEMA = """\
create table call as select 1 id;
create function only_here(i int) returns int immutable language plpgsql as $$ begin
  if current_setting('app.here', true) is distinct from 'yes' then raise exception 'Ionescu 0722000001'; end if;
  return i;
end $$;
set app.here = 'yes';
create index "call by here" on call (only_here(id));
"""


@pytest.fixture
def red(source: Source) -> Iterator[str]:
    source.psql("create database red template template0")
    source.psql(SCHEMA, "red")
    yield "red"
    source.psql("drop database red with (force)")


def test_an_exception_in_an_index_s_own_function(site: Site, source: Source, red: str) -> None:
    site.crm(source, red, checks=CHECKS)
    site.backed_up()
    done = site.run("test", "p", "--json")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    reason = done.json["reason"]
    assert "call by here" in reason and "only_here" in reason and "Ionescu" not in done.stdout, reason
    source.psql('drop index "call by here"', red)
    site.backed_up()
    assert site.run("test", "p", "--json").code == 0, "the twin"


def test_a_database_that_is_not_there(site: Site, source: Source, red: str) -> None:
    site.crm(source, "nowhere", checks=CHECKS)
    done = site.run("backup", "p", "--json")
    assert done.code == 1 and "nowhere" in done.json["reason"], done
