"""A MariaDB server's binary log, shipped for real: what ccdr says is lost with a site is no less than what is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.mariadb_source import MariaSource, acknowledged, dialling
from tests.support.shipping import CLOSE, INTERVAL, recovered, shipping
from tests.support.shipping_mariadb import back

from ccdr.model.values import utc

pytestmark = pytest.mark.long


def test_what_a_lost_site_has_lost_is_what_ccdr_says(shipped: Site, source: MariaSource, tmp_path: Path) -> None:
    """Whatever was acknowledged before the point that was reached is there, and little of what came after it is."""
    with shipping(shipped) as process, dialling(source, tmp_path, 200):
        time.sleep(2 * INTERVAL)
        process.kill()
        source.kill()
        killed = datetime.now(UTC)
    done = recovered(shipped, "latest", "--keep")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    there = set(map(int, back(done, "select n from crm.acknowledged").split()))
    known, reached = acknowledged(tmp_path), utc(done.json["recovery"]["reached"]["at"])
    lost = sorted(when for number, when in known.items() if number not in there)
    assert len(known) > 20 and there and lost, "the newest were lost"
    assert lost[0] > reached, "never more than it says"
    assert lost[0] - reached < CLOSE, "and not much less"
    assert done.json["rpo"]["achieved_s"] >= (killed - lost[0]).total_seconds()
