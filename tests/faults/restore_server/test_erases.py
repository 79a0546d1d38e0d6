"""Who was erased at the source is not on the server that a restore hands over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.erased import added, glass
from tests.support.harness import Site, Source, small_database
from tests.support.restored_database import CHECKS
from tests.support.stored import copy_of, with_repository
from tests.support.target import PASSWORD, Target

SELECTOR = "asset: crm\ntable: customer\nkey: {id: 17}\n"
CANARY = "asset: crm\nrows: [{table: public.customer, key: {id: 200}}]\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n"
# Whoever deletes this one keeps them: a rule that nobody remembers.
KEEPS = """
create rule keep as on delete to customer where old.id = 18 do instead nothing;
create table gone (who text);
create function remember() returns trigger language plpgsql as $$ begin insert into gone values (old.name); return old; end $$;
create trigger remember before delete on customer for each row execute function remember();
create materialized view names as select name from customer;
"""


@pytest.fixture(scope="module")
def centre(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(source, "erased") as name:
        source.psql(KEEPS, name)
        site = with_repository(Site(tmp_path_factory.mktemp("e")))
        site.crm(source, name, checks=CHECKS)
        site.backed_up()
        yield site


@pytest.fixture
def own(centre: Site, tmp_path: Path) -> Site:
    """With a repository of its own: a register is written there."""
    (root := tmp_path / "s").mkdir()
    site = copy_of(centre, root)
    site.write("pw", f"{PASSWORD}\n", mode=0o600)
    return site


def restored(site: Site, target: Target, *more: str):
    to, password = target.url("here"), str(site.root / "pw")
    return site.run(
        "restore", "p", "--asset", "crm", "--to", to, "--password-file", password, "--yes-i-mean", "here", *more
    )


def test_who_was_erased_is_not_handed_over_nor_what_refers_to_them(own: Site, target: Target) -> None:
    added(own, SELECTOR, CANARY)
    done = restored(own, target)
    assert done.code == 0, done
    left = "select (select count(*) from customer where id in (17, 200)), (select count(*) from call where customer_id in (17, 200))"
    assert target.psql(left, "here") == "1|15", "the canary is nobody's"
    assert target.psql("select count(*) from customer", "here") == "199", "nobody else is gone"
    assert target.psql("select (select count(*) from gone), (select count(*) from names)", "here") == "0|199"
    assert target.psql("delete from customer where id = 19 returning 1", "here", check=False) == "", "calls refer to it"
    triggers = "select tgname, tgenabled from pg_trigger where not tgisinternal order by 1"
    assert target.psql(triggers, "here") == "remember|O\nstamp_customer|O"
    (replay,) = own.records("erasure.replay")
    assert (replay["result"], replay["atomic"]) == ("PROVEN", True)
    assert [(one["found_before"], one["beside"], one["found_after"]) for one in replay["found"]] == [
        (1, 15, 0),
        (1, 0, 1),
    ]
    own.ledger_holds()


def test_who_is_still_found_is_not_handed_over(own: Site, target: Target) -> None:
    added(own, SELECTOR.replace("17", "18"), CANARY)
    done = restored(own, target)
    assert done.code == 1, done
    assert "here" not in target.databases
    assert any("_ccdr_restore_" in name for name in target.databases), "it stays in quarantine, for a person to look at"
    (replay,) = own.records("erasure.replay")
    assert (replay["result"], replay["handed_over"]) == ("FAILED", False)
    glass(own, lambda *more: restored(own, target, *more))
    assert "here" in target.databases


def test_a_table_that_is_not_there_is_no_proof(own: Site, target: Target) -> None:
    added(own, "asset: crm\nrows: [{table: client, key: {id: 17}, may_lack: true}]\n", CANARY)
    assert restored(own, target).code == 0


def test_a_name_that_is_a_slip_is_not_added(own: Site) -> None:
    """It would stop each restore. A partitioned or an empty table's is none."""
    for table, key, why in (("customer", "number", "it has"), ("customr", "id", "it holds")):
        name = own.write("selector.yaml", f"asset: crm\nrows: [{{table: {table}, key: {{{key}: 17}}}}]\n", mode=0o600)
        done = own.run("erasure", "add", "p", "--selector", str(name))
        assert (done.code, own.records("erasure.add")) == (2, []), done
        assert why in done.json["error"] and "customer" in done.json["error"] and "17" not in done.json["error"], done
    name = own.write("selector.yaml", "asset: crm\nrows: [{table: gone, key: {WHO: Ana}}]\n", mode=0o600)
    done = own.run("erasure", "add", "p", "--selector", str(name))
    assert (done.code, done.json["unlooked"]) == (0, None), done


def test_a_dump_in_a_directory_cannot_be_replayed(own: Site) -> None:
    added(own, SELECTOR)
    into = ["restore", "p", "--asset", "crm", "--to", str(own.root / "dump"), "--yes-i-mean", "dump"]
    assert own.run(*into).code == 1
    assert not (own.root / "dump").exists()
    glass(own, lambda *more: own.run(*into, *more))


def test_a_restore_test_and_prove_say_the_same(own: Site) -> None:
    added(own, SELECTOR)
    done = own.run("erasure", "prove", "p")
    assert (done.code, done.json["proofs"][0]["result"]) == (1, "ERASED"), (
        "no canary: nobody knows that the probe finds"
    )
    added(own, CANARY)
    done = own.run("erasure", "prove", "p")
    assert (done.code, done.json["proofs"][0]["result"]) == (0, "PROVEN"), done
    assert done.json["proofs"][0]["verdict"] == "PASS"


def test_what_was_loaded_before_is_erased_where_it_stands_and_never_at_a_source(
    own: Site, source: Source, target: Target
) -> None:
    assert restored(own, target).code == 0
    added(own, SELECTOR, CANARY)
    replay = [
        "erasure",
        "replay",
        "p",
        "--asset",
        "crm",
        "--yes-i-mean",
        "p/crm",
        "--password-file",
        str(own.root / "pw"),
    ]
    done = own.run(*replay, "--to", target.url("here"))
    assert (done.code, done.json["result"]) == (0, "PROVEN"), done
    assert target.psql("select count(*) from customer where id in (17, 200)", "here") == "1"
    there = own.run(*replay, "--to", f"postgresql://postgres@/erased?host={source.sockets}")
    assert there.code == 2 and "source" in there.json["error"], there
    assert source.psql("select count(*) from customer", "erased") == "200"
