"""A plan that is paused ships no log, and lets whoever ships by hand; once the pause is over it goes on by itself."""

from __future__ import annotations

import pytest
from tests.support.harness import Site, eventually
from tests.support.primary import Primary
from tests.support.shipping import note, plan, ship_once, shipping, standing

from ccdr.model.values import utc

pytestmark = pytest.mark.long


def test_shipping_stands_still_while_the_plan_is_paused_and_goes_on_after_it(site: Site, source: Primary) -> None:
    """What had come by then is stored first. Nothing is late meanwhile; a person may ship."""
    plan(site, source)
    site.backed_up()
    with shipping(site) as process:
        note(source, "before")
        assert site.run("pause", "p", "--for", "1h", "--why", "recovering").code == 0
        assert eventually(lambda: not site.services().state.held("p", "crm", "ship"), 30)
        assert site.services().state.held("p", "crm", "ship-waits") and process.poll() is None
        assert source.psql("select active from pg_replication_slots") == "f", "nothing receives"
        point = standing(site)["point"]
        assert not [t for t in site.run("status", "p").json["plans"][0]["assets"][0]["troubles"] if "LOG" in t["code"]]
        ran = site.run("run", "p").json
        assert ran["did"] == [] and standing(site)["point"] == point, "nor does a run begin it anew"
        meanwhile = note(source, "meanwhile")
        ship_once(site)  # what `ccdr ship --once` does
        assert utc(standing(site)["point"]) >= meanwhile
        assert site.run("pause", "p", "--end").code == 0
        after = note(source, "after")
        assert eventually(lambda: utc(standing(site)["point"]) >= after, 60), standing(site)
        assert process.poll() is None, "the same process goes on"
        source.kill()
        assert eventually(lambda: standing(site)["away"], 60), standing(site)
        assert site.run("backup", "p").json["source"] == "away"
    (asset,) = site.run("status", "p").json["plans"][0]["assets"]
    (gone,) = (one for one in asset["troubles"] if one["code"] == "SOURCE_AWAY")
    assert gone["next_step"].startswith("ccdr runbook run p"), "one way to go on from all of it"
    follows = {one["code"] for one in asset["troubles"] if one["because"] == "SOURCE_AWAY"}
    assert follows == {"LOG_LATE", "BACKUP_FAILED"}
