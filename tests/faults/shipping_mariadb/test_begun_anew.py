"""A MariaDB server's binary log, shipped for real: a log that was let go, or begun anew, leads on behind a new base only."""

from __future__ import annotations

import time

import pytest
from tests.support.harness import Site, eventually
from tests.support.mariadb_source import MariaSource
from tests.support.shipping import recovered, ship_once, standing
from tests.support.shipping_mariadb import back

from ccdr.jobs.shipping.background import stop

pytestmark = pytest.mark.long


def test_log_that_the_source_let_go_is_a_gap(shipped: Site, source: MariaSource) -> None:
    ship_once(shipped)
    for _ in range(3):
        source.sql("insert into crm.calls (note) values ('lost'); flush binary logs")
    newest = source.sql("show master status").split()[0]

    def purged() -> bool:
        """What the server still sends to a receiver that has gone, and was not missed yet, it does not purge."""
        source.sql(f"purge binary logs to '{newest}'")
        return len(source.sql("show binary logs").splitlines()) == 1

    assert eventually(purged, 60)
    ship_once(shipped)
    assert standing(shipped)["gap"]
    done = recovered(shipped, "latest")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "missing between" in done.json["reason"], done
    shipped.backed_up()
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"


NOTES = "select group_concat(note order by id separator ' ') from crm.calls where id > 100"


@pytest.mark.parametrize("seen_first", [True, False], ids=["shipped before the new base", "backed up first"])
def test_a_source_whose_log_was_begun_anew_is_shipped_on_behind_a_new_base(
    shipped: Site, source: MariaSource, seen_first: bool
) -> None:
    """As that of a server that was recovered is: lower numbers, and soon the same names, of another history. What was
    received of the old one is stored first, and can be gone back to."""
    source.sql("flush binary logs; insert into crm.calls (note) values ('first'); flush binary logs")
    ship_once(shipped)
    last = standing(shipped)["point"]
    if seen_first:
        shipped.run("run", "p")  # schedules count from now
        stop(shipped.services().state)
        last = standing(shipped)["point"]
    time.sleep(1.1)  # a log tells the second in which it was begun
    source.sql("reset master; insert into crm.calls (note) values ('anew')")
    if not seen_first:
        shipped.backed_up()
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "its log begun anew" in done.stdout + done.stderr, done
    if seen_first:
        found = shipped.run("status")
        assert found.code == 1 and "needed: run `ccdr backup p`" in " ".join(found.stdout.split())
        done = shipped.run("run", "p").json["did"]  # as cron does: nobody need say so
        stop(shipped.services().state)
        assert [(one["verb"], one["done"]) for one in done] == [("backup", True), ("test", True)], done
    for text in ("behind", "the same names"):
        source.sql(f"insert into crm.calls (note) values ('{text}'); flush binary logs")
        ship_once(shipped)
    assert "its log" not in shipped.run("status").stdout
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, NOTES) == "first anew behind the same names"
    done = recovered(shipped, last, "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert back(done, NOTES) == "first"


def test_a_log_that_was_begun_anew_under_the_same_name_is_not_taken_for_the_old_one(
    shipped: Site, source: MariaSource
) -> None:
    """The first file of either history has the same name."""
    source.sql("insert into crm.calls (note) values ('first')")
    ship_once(shipped)
    last = standing(shipped)["point"]
    time.sleep(1.1)  # a log tells the second in which it was begun
    source.sql("use crm; reset master; insert into calls (note) select 'unseen' from seq_1_to_50")
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "its log begun anew" in done.stdout + done.stderr, done
    assert shipped.run("status").code == 1
    shipped.backed_up()
    done = recovered(shipped, "latest")  # a base of the new history, and log of the old one
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and "gone back behind its own log" in done.json["reason"], (
        done
    )
    done = recovered(shipped, last, "--keep")  # up to where it was known
    assert done.json["verdict"] == "PASS" and back(done, NOTES) == "first", done


def test_a_log_that_was_begun_anew_behind_its_base_asks_for_a_new_one(shipped: Site, source: MariaSource) -> None:
    """Nothing was shipped yet: the base alone knows how its log began."""
    time.sleep(1.1)
    source.sql("reset master; insert into crm.calls (note) values ('after')")
    done = shipped.run("ship", "p", "--once")
    assert done.code != 0 and "begun anew" in done.stdout + done.stderr and "backup" in done.stdout + done.stderr, done
    shipped.backed_up()
    ship_once(shipped)
    assert recovered(shipped, "latest").json["verdict"] == "PASS"
