"""Another cluster at the source's address, by its own number: its log is not shipped until somebody agrees to it, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Ran, Site
from tests.support.primary import Primary, primary
from tests.support.shipping import SMALL, back, note, recovered, ship_once

pytestmark = pytest.mark.long

NOTES = "select string_agg(note, ' ' order by id) from call where id > 100"


def shipped_once(site: Site) -> Ran:
    return site.run("ship", "p", "--once")


def troubles(site: Site) -> list[str]:
    return [t["code"] for asset in site.run("status", "--json").json["plans"][0]["assets"] for t in asset["troubles"]]


def there(site: Site, at: str) -> str:
    """What a recovery that passes brings back."""
    done = recovered(site, at, "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"], done.stderr)
    return back(done, NOTES)


def test_another_cluster_s_log_is_shipped_once_somebody_has_agreed(
    shipped: Site, source: Primary, tmp_path: Path
) -> None:
    """From its first base on: what it has written since lies in its slot. What was stored of the other one stays."""
    moment = note(source, "old").isoformat()
    ship_once(shipped)
    source.kill()
    with primary(tmp_path / "other", _image(), "max_slot_wal_keep_size=1GB") as other:
        other.psql(SMALL)
        path = shipped.root / "plans/p.yaml"
        path.write_text(path.read_text().replace(str(source.sockets), str(other.sockets)))
        refused = shipped_once(shipped)
        assert refused.code == 3 and "another server answers" in refused.stderr, "neither backed up nor agreed"
        assert shipped.run("backup", "p").code == 1, "OTHER_CLUSTER"
        between = note(other, "between").isoformat()
        refused = shipped_once(shipped)
        assert refused.code == 3 and "another server answers" in refused.stderr, "backed up, and not agreed"
        assert "ccdr ack OTHER_CLUSTER" in refused.stderr
        done = recovered(shipped, "latest")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), "its base is not to blame"
        assert shipped.run("backup", "p").code == 1
        agreed = shipped.run(
            "ack", "OTHER_CLUSTER", "p", "--asset", "crm", "--until", "1d", "--why", "moved by pg_upgrade"
        )
        assert agreed.code == 0, agreed
        assert shipped_once(shipped).code != 0, "that its log begins anew is told, once"
        note(other, "new")
        assert shipped_once(shipped).code == 0
        assert "OTHER_CLUSTER" not in troubles(shipped) and "LOG_GAP" not in troubles(shipped), troubles(shipped)
        assert there(shipped, "latest") == "between new"
        shipped.backed_up()
        note(other, "behind")
        ship_once(shipped)
        assert there(shipped, "latest") == "between new behind"
        assert there(shipped, between) == "between", "from the first of its bases"
        assert there(shipped, moment) == "old"
